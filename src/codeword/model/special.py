"""What an estimator can do that asks for more of its objective than codes and reconstructions."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from codeword.base.errors import ModelError, ParameterError
from codeword.model.fitted import PRIORS, Passes, collect, draw_codes
from codeword.model.inputs import check_rows
from codeword.objectives import Nested, Variational
from codeword.training.loop import seeded

if TYPE_CHECKING:
    from codeword.data.columns import Columns
    from codeword.model.reference import Reference

__all__ = ["SpecialMethods"]


class SpecialMethods(Passes):
    """Samples, likelihoods, error curves, figures of the codes."""

    if TYPE_CHECKING:
        n_components: int
        seed_: int
        reference_: Reference | None

        columns_: Columns

        def inverse_transform(self, X: Any) -> Any: ...

    def log_likelihood(self, X: Any, n_samples: int = 100) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A lower bound of log p(x) of each row, shape (n,), in nats, for values in scaled units.

        For `objective="variational"`: the importance-weighted bound of Burda et al. (2015, eq. 8), which
        rises to log p(x) with `n_samples`; the same call gives the same figures.

        Raises
        ------
        ParameterError
            If the objective is not a likelihood.
        """
        check_is_fitted(self)
        objective = self._objective()
        if not isinstance(objective, Variational):
            raise ParameterError(
                f"log_likelihood is for objective='variational'. Got {self.objective!r} instead."
            )
        x = check_rows(self, X)
        with torch.inference_mode(), seeded(self.seed_, self._place()):
            bounds = self._each(x, lambda scaled: objective.log_likelihood(self.network_, scaled, n_samples))
            return collect(bounds, len(x), ())

    def sample(self, n: int = 1, *, prior: str = "auto", random_state: int | None = None) -> Any:
        """Generate new samples (n, ...), float32, in the units and the shape of x.

        Of a mixed table they are a DataFrame of its own columns.

        Parameters
        ----------
        n : int, default=1
        prior : {"auto", "normal", "mixture"}, default="auto"
            What codes are drawn from: the standard normal distribution, or a mixture of ten normal
            distributions fitted to codes of rows trained on (Ghosh et al. 2020, section 4). `auto` takes
            `normal` for objectives that make codes so: variational, wasserstein and adversarial.
        random_state : int or None, default=None

        Raises
        ------
        ParameterError
        ModelError
            If the model was saved without codes, and they are needed.
        """
        check_is_fitted(self)
        objective = self._objective()
        if prior not in PRIORS:
            raise ParameterError(f"prior must be one of {', '.join(PRIORS)}. Got {prior!r} instead.")
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise ParameterError(f"n must be a positive whole number. Got {n!r} instead.")
        known = None
        if prior == "mixture" or (prior == "auto" and not objective.normal_prior):
            if self.reference_ is None:
                raise ModelError("the model has no codes of the rows it was trained on: train it again")
            known = self.reference_.codes
        codes = torch.from_numpy(draw_codes(int(n), self.n_components, known, random_state))
        with torch.inference_mode():
            codes = objective.admissible(self.network_, codes.to(self._place()))
        return self.inverse_transform(codes.cpu().numpy())

    def latent_figures(self, X: Any) -> dict[str, list[float]]:
        """What the objective has to say of the codes of rows.

        Returns
        -------
        dict
            - ``kl_per_dimension``, of variational models: the mean over rows of the KL divergence of each
              number's posterior from the prior, in nats.
            - ``codebook_use``, of vector-quantised ones: the share of each codebook's entries, or of each
              number's levels, that occurs.
        """
        check_is_fitted(self)
        with torch.inference_mode():
            rows = self._each(check_rows(self, X), lambda scaled: scaled)
            return self._objective().latent_figures(self.network_, rows)

    def error_curve(self, X: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The mean squared error of rows from the first 1, 2, …, n_components numbers of their codes.

        For `objective="nested"`, whose one training gives every k; shape (n_components,), in scaled units.

        Raises
        ------
        ParameterError
            If the objective does not order the numbers of a code.
        """
        check_is_fitted(self)
        objective = self._objective()
        if not isinstance(objective, Nested):
            raise ParameterError(f"error_curve is for objective='nested'. Got {self.objective!r} instead.")
        x = check_rows(self, X)
        total = np.zeros(self.n_components)
        with torch.inference_mode():
            parts = self._each(x, lambda t: objective.errors_by_length(self.network_, t) * len(t))
            for part in parts:
                total += part.cpu().numpy()
        return total / len(x)

    @property
    def takes_missing(self) -> bool:
        """Whether rows may hold NaN, to be reconstructed."""
        return bool(self._objective().takes_missing)

    # -- mixed tables ---------------------------------------------------------------------------------------

    _as_numbers = False

    def as_numbers(self) -> Self:
        """This model for code that takes arrays: of a mixed table it gives back the rows of numbers, (n, d).

        The weights are shared. A model of anything else is returned as it is.
        """
        check_is_fitted(self)
        if getattr(self, "columns_", None) is None:
            return self
        view = copy.copy(self)
        view._as_numbers = True
        return view

    def _given_back(self, rows: np.ndarray[Any, Any], index: Any = None) -> Any:
        """Rows of numbers as they are or, of a mixed table, as its own columns."""
        columns = getattr(self, "columns_", None)
        if columns is None or self._as_numbers:
            return rows
        return columns.inverse_transform(rows, index=index)
