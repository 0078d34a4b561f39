"""Scores of rows by their errors and their codes, and conformal p-values of these scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codeword.base.errors import ModelError
from codeword.data.rows import Rows
from codeword.training.steps import mean_squared_error

if TYPE_CHECKING:
    from codeword.model.fitted import FittedModel

__all__ = [
    "NeighborDistance",
    "Scorer",
    "decoder_map",
    "needed",
    "p_values",
    "rank",
    "reachable",
    "shares",
    "threshold",
    "too_few",
    "typical",
]

TREE_UP_TO = 6
"""With so many numbers in a code a tree finds neighbors sooner than a look at every row."""

TYPICAL_ROWS = 2_000
"""The number of rows that tell what distance is typical."""

ROUNDING = 1e-12
"""A mean square below this is rounding, for values of about one in single precision."""

DEAD = 1e-8
"""Below this share of the largest variance, what a direction of the codes varies by is rounding."""


def decoder_map(pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]], k: int) -> NDArray[np.float64]:
    """The linear map of codes after which a distance is one between reconstructions.

    Codes have no scale of their own: an encoder may stretch any of their numbers if its decoder undoes it,
    and a number that the decoder ignores may be anything. The decoder's least-squares linear approximation A
    on known rows, x̂ ≈ A z + b, says what a difference of codes comes to: T with
    \\|(z - z') T\\|² = \\|A (z - z')\\|² / d, the mean squared difference of the two reconstructions.

    Parameters
    ----------
    pairs : iterable of (ndarray of shape (m, k), ndarray of shape (m, d))
        Codes and what they decode to, some at a time.
    k : int

    Returns
    -------
    ndarray of shape (k, k), float64
        T; all zero if no decoded value follows the codes.
    """
    n, sums, squares = 0, np.zeros(k), np.zeros((k, k))
    totals: Any = 0.0
    products: Any = 0.0
    for z, x_hat in pairs:
        codes, decoded = z.astype(np.float64), x_hat.astype(np.float64)
        n += len(codes)
        sums += codes.sum(axis=0)
        squares += codes.T @ codes
        totals = totals + decoded.sum(axis=0)
        products = products + codes.T @ decoded
    covariance = squares / n - np.outer(sums, sums) / n**2
    shared = products / n - np.outer(sums / n, totals / n)
    variances, directions = np.linalg.eigh(covariance)
    alive = variances > DEAD * max(float(variances[-1]), np.finfo(np.float64).tiny)
    basis = directions[:, alive]
    slopes = basis @ (basis.T @ shared / variances[alive, None])
    stretches, axes = np.linalg.eigh(slopes @ slopes.T / slopes.shape[1])
    mapped: NDArray[np.float64] = axes * np.sqrt(np.maximum(stretches, 0.0))
    return mapped


def typical(values: NDArray[Any]) -> float:
    """The value that nine in ten mean squares stay below, or their mean where that is zero: fit to divide by.

    Up to a tenth of the rows trained on may be outliers themselves without a say in it.
    """
    return max(float(np.quantile(values, 0.9)) or float(np.mean(values, dtype=np.float64)), ROUNDING)


class NeighborDistance:
    """The mean squared distance of codes to their nearest neighbors among known ones.

    Ramaswamy, Rastogi & Shim (2000), "Efficient algorithms for mining outliers from large data sets", with
    the mean over the neighbors of Angiulli & Pizzuti (2002), "Fast outlier detection in high dimensional
    spaces".

    Parameters
    ----------
    codes : ndarray of shape (m, k)
        Known codes.
    map_ : ndarray of shape (k, k)
        Applied to codes before distances are taken, as `decoder_map` gives it.
    n_neighbors : int
        How many, or all where there are fewer.

    Attributes
    ----------
    typical : float
        What nine in ten known codes, each among the others, stay below.
    """

    def __init__(self, codes: NDArray[Any], map_: NDArray[np.float64], n_neighbors: int) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.center = codes.mean(axis=0, dtype=np.float64)
        self.map = map_
        points = self._mapped(codes)
        m, k = points.shape
        self.n_neighbors = min(n_neighbors, m)
        self.neighbors = NearestNeighbors(algorithm="kd_tree" if k <= TREE_UP_TO else "brute").fit(points)
        some = points[:TYPICAL_ROWS]
        # Each finds itself first.
        distances = self.neighbors.kneighbors(some, min(self.n_neighbors + 1, m))[0][:, 1:]
        self.typical = typical(np.square(distances).mean(axis=1)) if m > 1 else 1.0

    def __call__(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        """The rarity of codes (n, k): shape (n,), infinite where a code is not finite."""
        out = np.full(len(codes), np.inf)
        finite = np.isfinite(codes).all(axis=1)
        if finite.any():
            points = self._mapped(codes[finite])
            distances = self.neighbors.kneighbors(points, self.n_neighbors)[0]
            out[finite] = np.square(distances).mean(axis=1)
        return out

    def _mapped(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        mapped: NDArray[np.float64] = (codes - self.center) @ self.map
        return mapped


WORST = np.finfo(np.float64).max / 4
"""The size of a score that overflowed: the row is as unusual as can be."""

Values = NDArray[np.float64]


class Scorer:
    """Scores rows by a fitted model and what it remembers of the rows it was trained on.

    Nothing here depends on rows to calibrate on: the level of p-values would be off otherwise.

    Parameters
    ----------
    model : FittedModel
    n_neighbors : int
        See `OutlierDetector`.

    Raises
    ------
    ModelError
        If the model has no codes of the rows it was trained on.
    """

    def __init__(self, model: FittedModel, n_neighbors: int) -> None:
        known = model.training_codes
        if known is None:
            raise ModelError(
                "this model was saved without codes of the rows it was trained on, and nothing tells which "
                "codes are rare: train it again"
            )
        self.model, self.known = model, known
        parts = torch.split(torch.from_numpy(known.codes.copy()), model.chunk)
        pairs = ((z.numpy(), model.decode(z).cpu().numpy()) for z in parts)
        self.rarity = NeighborDistance(known.codes, decoder_map(pairs, model.n_components), n_neighbors)
        self.typical_error = typical(known.errors)

    def rows(self, x: Rows) -> Iterator[tuple[Tensor, Tensor, Values, Values]]:
        """Rows and reconstructions (m, d), in scaled units, errors (m,) and rarity (m,), block by block."""
        yield from self.model.each(x, self._score)

    @torch.inference_mode()
    def _score(self, scaled: Tensor) -> tuple[Tensor, Tensor, Values, Values]:
        codes = self.model.encode(scaled)
        x_hat = self.model.decode(codes)
        errors = mean_squared_error(x_hat, scaled).double().cpu().numpy()
        return scaled, x_hat, errors, self.rarity(codes.cpu().numpy())

    def combined(self, errors: Values, rarity: Values) -> Values:
        """The score of each row, shape (n,): above -1 where usual, as a rule, and low where not."""
        with np.errstate(over="ignore"):
            scores = -(errors / self.typical_error + rarity / self.rarity.typical) / 2
        return np.nan_to_num(scores, nan=-WORST, neginf=-WORST).clip(min=-WORST)

    def scores(self, x: Rows) -> Values:
        """The score of each row of `x`, shape (n,)."""
        return np.concatenate([self.combined(errors, rarity) for _, _, errors, rarity in self.rows(x)])

    def held_scores(self) -> Values:
        """The scores of the rows that the model held out from training, shape (h,)."""
        errors: Any = self.known.held_errors.astype(np.float64)
        return self.combined(errors, self.rarity(self.known.held_codes))

    @property
    def parts(self) -> int:
        """How many shares a row has: one for each value or, of a mixed table, for each of its own columns."""
        columns = self.model.columns
        return self.model.n_features if columns is None else len(columns.names)

    def shares(self, scaled: Tensor, x_hat: Tensor) -> Tensor:
        """The share of each value, or of a mixed table's own columns, in its row's error: (m, parts)."""
        each = shares(scaled, x_hat)
        columns = self.model.columns
        if columns is None:
            return each
        owners = torch.tensor(columns.layout.owners, device=each.device)
        return each.new_zeros(len(each), self.parts).index_add_(1, owners, each)


def shares(x: Tensor, x_hat: Tensor) -> Tensor:
    """The share of each value in the squared error of its row, (m, d); none of what is missing."""
    off = torch.where(x.isnan(), 0.0, (x_hat.float() - x).abs())
    most = torch.finfo(off.dtype).max
    off = off.nan_to_num_(nan=most, posinf=most)
    squares = off.div_(off.amax(dim=1, keepdim=True).clamp_min(torch.finfo(off.dtype).tiny)).square_()
    # The largest is 1, unless all are 0.
    return squares.div_(squares.sum(dim=1, keepdim=True).clamp_min(1.0))


def p_values(calibration: Values, scores: Values) -> Values:
    """The p-value of each score, shape (n,), by calibration scores in ascending order."""
    return (1 + np.searchsorted(calibration, scores, side="right")) / (1 + len(calibration))


def rank(level: float, n: int) -> int:
    """How many of the values that a p-value from `n` calibration rows can have are at most `level`."""
    return int(np.searchsorted(np.arange(1, n + 2) / (n + 1), level, side="right"))


def threshold(calibration: Values, level: float) -> float:
    """The score below which a p-value is at most `level`, by calibration scores in ascending order."""
    m = rank(level, len(calibration))
    # p <= level where fewer than m of them are at most s: where s is below the m-th.
    return float(calibration[m - 1]) if m else -math.inf


def reachable(level: float, n: int) -> bool:
    """Whether a p-value from `n` calibration rows can be as small as `level`."""
    return rank(level, n) > 0


def needed(level: float) -> int:
    """The least number of calibration rows for a p-value as small as `level`."""
    n = max(1, math.ceil(1 / level) - 2)  # one below the answer or two, for the rounding of 1 / level
    while 1 / (n + 1) > level:
        n += 1
    return n


def too_few(level: float, n: int) -> str:
    """What to say where `n` calibration rows are too few for a `level`."""
    return (
        f"a false-alarm rate of {level:g} cannot be reached: with {n:,} calibration rows no p-value is below "
        f"1 / ({n:,} + 1) = {1 / (n + 1):.3g}; give at least {needed(level):,} such rows, or allow more "
        "false alarms"
    )
