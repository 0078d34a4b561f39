"""What a fit has learned, whole: network, objective, scaling, and what is remembered of the rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from torch import Tensor

from codeword.base.constraints import whole
from codeword.base.errors import DataError, ModelError, ParameterError
from codeword.data.columns import Columns
from codeword.data.display import Display, display_of
from codeword.data.rows import blocks, check_finite
from codeword.data.scaling import Scaling
from codeword.model.inputs import matching_rows
from codeword.networks import Network
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import Objective
from codeword.training.batches import Batches, ResidentBatches
from codeword.training.steps import mean_squared_error

PRIORS = ("auto", "normal", "mixture")

MIXTURE_COMPONENTS = 10
"""As many as Ghosh et al. (2020, section 4) take for a mixture on codes."""

MOST_ROWS = 10_000
MOST_VALUES = 1 << 20
"""The most rows, and the most numbers of their codes (four megabytes), that a model folder keeps."""

Floats = NDArray[np.float32]


@runtime_checkable
class Codec(Protocol):
    """Anything that makes codes of rows, and rows of codes: a model, PCA, a pipeline."""

    def transform(self, X: Any, /) -> Any:
        """Return the codes (n, k) of rows."""

    def inverse_transform(self, X: Any, /) -> Any:
        """Return the rows that codes (n, k) stand for."""


def as_codec(model: Any) -> Any:
    """The `FittedModel` of an AutoEncoder, which works in numbers; anything else as it is."""
    found = getattr(model, "model_", None)
    return found if isinstance(found, FittedModel) else model


@dataclass(frozen=True, eq=False)
class TrainingCodes:
    """Codes and errors of up to 10,000 rows that a model was trained on, and of rows held out from training.

    New codes are drawn from them, and new rows are judged by them.

    Parameters
    ----------
    codes : ndarray of shape (m, k), float32
    errors : ndarray of shape (m,), float32
        Mean squared errors, in scaled units.
    held_codes : ndarray of shape (h, k), float32
        Codes of rows held out from training; h is 0 where none were.
    held_errors : ndarray of shape (h,), float32
    """

    codes: Floats
    errors: Floats
    held_codes: Floats
    held_errors: Floats

    @classmethod
    def of(cls, model: FittedModel, train: Batches, held_out: ResidentBatches | None) -> TrainingCodes:
        """Pass rows, drawn by the model's seed, through the model: the same on every process."""
        most = max(1, min(MOST_ROWS, MOST_VALUES // model.n_components))
        size = max(1, min(1024, (1 << 23) // train.d))
        parts: list[Floats] = []
        for batches in (
            (x for x, _ in train.alone().epoch(model.seed, size)),
            iter(()) if held_out is None else held_out.in_order(size),
        ):
            codes, errors, n = [np.zeros((0, model.n_components), np.float32)], [np.zeros(0, np.float32)], 0
            while n < most and (x := next(batches, None)) is not None:
                x = x[: most - n]
                z = model.encode(x)
                codes.append(z.cpu().numpy())
                errors.append(mean_squared_error(model.decode(z), x).cpu().numpy())
                n += len(x)
            parts += [np.concatenate(codes), np.concatenate(errors)]
        return cls(*parts)


@dataclass(frozen=True, eq=False)
class FittedModel:
    """What `AutoEncoder.fit` learned, in numbers: rows of a mixed table are what `columns` make of it.

    Fields are the attributes of `AutoEncoder` of the same names, such as `network` of `network_`, and these:

    Parameters
    ----------
    parameters : dict
        The estimator's parameters when it was fitted.
    objective : Objective
        What was minimized, with the losses of a mixed table's columns.
    dtype, n_samples : str, int
        The dtype and the number of the rows fitted on, those held out included.
    names : tuple of str or None
        What the values of a row are called, where x had column names.
    """

    parameters: Mapping[str, Any]
    network: Network
    objective: Objective
    scaling: Scaling
    baseline: PrincipalComponents
    sample_shape: tuple[int, ...]
    dtype: str
    n_samples: int
    seed: int
    history: list[dict[str, Any]]
    names: tuple[str, ...] | None = None
    columns: Columns | None = None
    training_codes: TrainingCodes | None = None
    best_epoch: int = 0
    interrupted: bool = False

    @property
    def n_components(self) -> int:
        """k, the numbers in a code."""
        return int(self.parameters["n_components"])

    @property
    def n_features(self) -> int:
        """d, the values in a sample."""
        return int(np.prod(self.sample_shape, dtype=np.int64))

    @property
    def takes_missing(self) -> bool:
        """Whether rows may hold NaN, to be reconstructed."""
        return bool(self.objective.takes_missing)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def display(
        self, *, names: Sequence[str] | None = None, rows: NDArray[Any] | None = None, kind: str | None = None
    ) -> Display:
        """How the model's samples are shown: see `display_of`.

        `names` are those of the columns that rows come with, for a model that was fitted on rows without.
        `rows` are some samples, for a model that knows no limits of values.
        """
        return display_of(
            self.sample_shape,
            scaling=self.scaling.kind,
            dtype=self.dtype,
            limits=self.scaling.limits,
            rows=rows,
            names=self.names or names,
            columns=self.columns,
            kind=kind,
        )

    # -- tensors in scaled units ----------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, scaled: Tensor) -> Tensor:
        """Flat rows (n, d) in scaled units to codes (n, k)."""
        return self.objective.encode(self.network, scaled.to(self.device))

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes (n, k) to flat rows (n, d) in scaled units."""
        return self.objective.decode(self.network, codes.to(self.device))

    @property
    def chunk(self) -> int:
        """How many rows go through the network at once."""
        return max(1, min(4096, (1 << 23) // self.n_features))

    def each(self, X: Any, function: Callable[[Tensor], Any]) -> Iterator[Any]:
        """`function` of rows in scaled units, a bounded number at a time; every pass cuts its rows alike.

        Raises DataError if the rows do not fit the model; of values that are not finite, or of which no
        finite code comes, once they are reached: the message has the number of the row.
        """
        size = self.chunk
        for start, block in blocks(matching_rows(self, X), multiple=size):
            check_finite(block, start, missing=self.scaling.missing)
            for first in range(0, len(block), size):
                rows = block[first : first + size]
                with torch.inference_mode():
                    made = function(self.scaling.forward(rows).to(self.device))
                _check_made(made, rows, start + first)
                yield made

    def _collect(self, X: Any, function: Callable[[Tensor], Tensor], shape: tuple[int, ...] = ()) -> Floats:
        """`function` of all rows, in one array (n, *shape)."""
        x = matching_rows(self, X)
        return collect(self.each(x, function), len(x), shape)

    # -- rows and codes in arrays ---------------------------------------------------------------------------

    def transform(self, X: Any, *, k: int | None = None) -> Floats:
        """Encode rows (n, ...) to codes (n, n_components), or to the first `k` numbers of each."""
        if k is not None and not (self.objective.ordered and 0 < k <= self.n_components):
            raise ParameterError(
                f"k={k!r}: codes can be cut only to between 1 and n_components numbers, and only where the "
                "objective orders them, as objective='nested' does"
            )
        return self._collect(X, lambda scaled: self.encode(scaled)[:, :k], (k or self.n_components,))

    def inverse_transform(self, X: Any) -> Floats:
        """Decode codes (n, n_components) to rows (n, ...), float32, in the units and the shape of x.

        Codes of an objective that orders them may be cut to their first numbers.
        """
        z = check_array(X, dtype=np.float32, ensure_all_finite=False)
        check_finite(z)
        k = self.n_components
        if self.objective.ordered and z.shape[1] < k:
            z = np.pad(z, ((0, 0), (0, k - z.shape[1])))
        if z.shape[1] != k:
            raise DataError(
                f"the codes have {z.shape[1]} columns, and this model's have {k}: give codes that this model "
                "made"
            )
        parts = torch.split(torch.from_numpy(np.array(z)), self.chunk)
        rows = (self.scaling.inverse(self.decode(part)) for part in parts)
        return collect(rows, len(z), self.sample_shape)

    def indices(self, X: Any) -> NDArray[np.int64]:
        """The integers that stand for the code of each row, (n, ...), of an objective with discrete codes."""
        each = self.each(X, lambda scaled: self.objective.indices(self.network, scaled))
        return np.concatenate([part.cpu().numpy() for part in each])

    def codes_of(self, indices: ArrayLike) -> Floats:
        """The codes (n, k) that the integers of `indices` stand for.

        Raises DataError if they are not such as `indices` gives.
        """
        chosen = np.asarray(indices)
        if chosen.dtype.kind not in "iu":
            raise DataError(
                "indices must be whole numbers, as transform(..., indices=True) gives them. "
                f"Got {chosen.dtype} instead."
            )
        whole = torch.from_numpy(chosen.astype(np.int64)).to(self.device)
        found: Floats = self.objective.lookup(self.network, whole).detach().cpu().numpy()
        return found

    def reconstruct(self, X: Any) -> Floats:
        """The reconstruction of each row, (n, ...): `inverse_transform(transform(X))`, in one pass."""
        x = matching_rows(self, X)
        decoded = self.each(x, lambda scaled: self.decode(self.encode(scaled)))
        return collect((self.scaling.inverse(part) for part in decoded), len(x), self.sample_shape)

    def score_samples(self, X: Any) -> Floats:
        """Minus the mean squared error of each row in scaled units, shape (n,): low is unusual."""
        return self._collect(X, lambda x: -mean_squared_error(self.decode(self.encode(x)), x))

    def latent_metrics(self, X: Any) -> dict[str, list[float]]:
        """See `AutoEncoder.latent_metrics`."""
        with torch.inference_mode():
            return self.objective.latent_metrics(self.network, self.each(X, lambda scaled: scaled))

    def draw_codes(self, n: int, *, prior: str = "auto", random_state: int | None = None) -> Floats:
        """New codes (n, k): see `AutoEncoder.sample`."""
        if prior not in PRIORS:
            raise ParameterError(f"prior must be one of {', '.join(PRIORS)}. Got {prior!r} instead.")
        if not whole(n):
            raise ParameterError(f"n must be a positive whole number. Got {n!r} instead.")
        rng = np.random.default_rng(random_state)
        if prior == "normal" or (prior == "auto" and self.objective.normal_prior):
            codes = rng.standard_normal((n, self.n_components)).astype(np.float32)
        elif self.training_codes is not None:
            codes = mixture_codes(self.training_codes.codes, n, rng)
        else:
            raise ModelError("the model has no codes of the rows it was trained on: train it again")
        with torch.inference_mode():
            z = torch.from_numpy(codes).to(self.device)
            drawn: Floats = self.objective.project(self.network, z).cpu().numpy()
        return drawn


def mixture_codes(known: ArrayLike, n: int, rng: np.random.Generator) -> Floats:
    """Draw n codes from a mixture of normal distributions, with full covariance, fitted to m codes of rows.

    It is one of ten, or of fewer where m is below 20 (k + 1) (Ghosh et al. 2020, section 4).
    """
    from sklearn.mixture import GaussianMixture

    rows = np.asarray(known, dtype=np.float64)
    # In units of each number's own spread: what keeps a covariance from being singular is the same for all.
    center, spread = rows.mean(axis=0), rows.std(axis=0)
    spread[spread == 0] = 1.0
    components = int(np.clip(len(rows) // (2 * (rows.shape[1] + 1)), 1, MIXTURE_COMPONENTS))
    mixture = GaussianMixture(components, reg_covar=1e-4, random_state=int(rng.integers(1 << 31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mixture that has not settled is still one
        mixture.fit(np.resize((rows - center) / spread, (max(2, len(rows)), rows.shape[1])))  # one is too few
        drawn = mixture.sample(n)[0]
    rng.shuffle(drawn)  # the mixture gives them component by component
    codes: Floats = (drawn * spread + center).astype(np.float32)
    return codes


def collect(parts: Iterator[Any], n: int, shape: tuple[int, ...]) -> Floats:
    """Tensors or arrays of n rows in all as one array (n, *shape), float32."""
    out = np.empty((n, *shape), dtype=np.float32)
    start = 0
    for part in parts:
        out[start : start + len(part)] = part.cpu().numpy() if isinstance(part, Tensor) else part
        start += len(part)
    return out


def _check_made(made: Any, rows: NDArray[Any], start: int) -> None:
    """Raise a DataError that names the row of which no numbers come; an error alone may be infinite."""
    if not isinstance(made, Tensor) or not made.is_floating_point() or made.sum().isfinite():
        return
    bad = made.isnan() if made.ndim == 1 else ~made.isfinite().flatten(1).all(dim=1)
    if bad.any():
        row = int(bad.nonzero()[0])
        largest = np.nanmax(np.abs(rows[row].astype(np.float64)))
        raise DataError(
            f"row {start + row} holds a value as large as {largest:.3g}, far beyond the rows trained on: no "
            "finite code comes of it; correct it or drop the row"
        )
