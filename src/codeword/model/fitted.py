"""Rows through a fitted model, a bounded number at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from codeword.base.errors import DataError
from codeword.data.rows import Rows, blocks
from codeword.data.scaling import check_finite
from codeword.objectives import Objective, resolve_objective

if TYPE_CHECKING:
    from codeword.data.scaling import Scaling
    from codeword.networks import Network

__all__ = ["PRIORS", "Passes", "collect", "draw_codes"]

PRIORS = ("auto", "normal", "mixture")

COMPONENTS = 10
"""Of a mixture on codes: as many as Ghosh et al. (2020, section 4) take."""


class Passes:
    """The two directions of a fitted estimator, on flat tensors in scaled units."""

    if TYPE_CHECKING:
        objective: Any
        network_: Network
        scaling_: Scaling
        n_features_in_: int

    def _objective(self) -> Objective:
        columns = getattr(self, "columns_", None)
        return resolve_objective(self.objective, None if columns is None else columns.layout)

    def _place(self) -> torch.device:
        return next(self.network_.parameters()).device

    @torch.inference_mode()
    def _encode(self, scaled: Tensor) -> Tensor:
        return self._objective().encode(self.network_, scaled.to(self._place()))

    @torch.inference_mode()
    def _decode(self, codes: Tensor) -> Tensor:
        return self._objective().decode(self.network_, codes.to(self._place()))

    def _each(self, x: Rows, function: Callable[[Tensor], Any]) -> Iterator[Any]:
        """`function` of rows, a bounded number at a time; every pass cuts its rows alike."""
        for start, block in blocks(x, multiple=self._chunk):
            check_finite(block, start, missing=self.scaling_.missing)
            for first in range(0, len(block), self._chunk):
                rows = block[first : first + self._chunk]
                made = function(self.scaling_.forward(rows).to(self._place()))
                _check_made(made, rows, start + first)
                yield made

    def _tensors(self, z: np.ndarray[Any, Any]) -> Iterator[Tensor]:
        yield from torch.split(torch.from_numpy(np.array(z)), self._chunk)

    @property
    def _chunk(self) -> int:
        return max(1, min(4096, (1 << 23) // int(self.n_features_in_)))


def _check_made(made: Any, rows: np.ndarray[Any, Any], start: int) -> None:
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


def collect(parts: Iterator[Any], n: int, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Tensors or arrays of n rows in all as one array (n, *shape), float32."""
    out = np.empty((n, *shape), dtype=np.float32)
    start = 0
    for part in parts:
        out[start : start + len(part)] = part.cpu().numpy() if isinstance(part, Tensor) else part
        start += len(part)
    return out


def draw_codes(
    n: int, k: int, known: ArrayLike | None, random_state: int | None = None
) -> NDArray[np.float32]:
    """Draw codes from a distribution of them.

    Parameters
    ----------
    n : int
        How many.
    k : int
        Numbers in a code.
    known : array-like of shape (m, k), or None
        Codes of real rows, to which a mixture of normal distributions with full covariance is fitted (Ghosh
        et al. 2020, section 4): of ten, or of fewer where m is below 20 (k + 1). None draws from the standard
        normal distribution, the prior of a variational model.
    random_state : int or None, default=None

    Returns
    -------
    ndarray of shape (n, k), float32
    """
    rng = np.random.default_rng(random_state)
    if known is None:
        return rng.standard_normal((n, k)).astype(np.float32)
    from sklearn.mixture import GaussianMixture

    rows = np.asarray(known, dtype=np.float64)
    # In units of each number's own spread: what keeps a covariance from being singular is the same for all.
    centre, spread = rows.mean(axis=0), rows.std(axis=0)
    spread[spread == 0] = 1.0
    components = int(np.clip(len(rows) // (2 * (k + 1)), 1, COMPONENTS))
    mixture = GaussianMixture(components, reg_covar=1e-4, random_state=int(rng.integers(1 << 31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mixture that has not settled is still one
        mixture.fit(np.resize((rows - centre) / spread, (max(2, len(rows)), k)))  # one row is too few
        drawn = mixture.sample(n)[0]
    rng.shuffle(drawn)  # the mixture gives them component by component
    codes: NDArray[np.float32] = (drawn * spread + centre).astype(np.float32)
    return codes
