"""How far reconstructions are from their rows, in one pass over any number of these."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.data.rows import check_finite
from codeword.data.scaling import Moments
from codeword.model.fitted import Codec, FittedModel, as_codec

__all__ = [
    "Errors",
    "Floats",
    "RowNumbers",
    "Scale",
    "chunks",
    "draw",
    "explained_variance",
    "flat",
    "reconstruct_all",
    "scale_of",
    "take",
]

# One chunk of x as float64; the pass holds some five arrays of that size, whatever the length of x.
CHUNK_BYTES = 32 * 2**20
CHUNK_ROWS = 4096

Floats = NDArray[np.float64]
RowNumbers = NDArray[np.int64]
Scale = Callable[[Any], Floats]


def scale_of(model: object) -> Scale:
    """Return what brings rows, ndarray or tensor, to flat float64 in the units errors are taken in."""
    codec = as_codec(model)
    scaling = codec.scaling if isinstance(codec, FittedModel) else getattr(codec, "scaling_", None)
    if scaling is None:
        return flat

    def scale(rows: Any) -> Floats:
        # A tensor stays one and a table becomes an array: the two things a scaling takes.
        return flat(scaling.forward(rows if hasattr(rows, "detach") else np.asarray(rows)))

    return scale


# -- rows ---------------------------------------------------------------------------------------------------


def flat(rows: Any) -> Floats:
    """Return rows or codes, ndarray, tensor or table, as float64 of shape (n, d)."""
    if hasattr(rows, "detach"):
        rows = rows.detach().cpu()
    values = np.asarray(rows, dtype=np.float64)
    return values.reshape(len(values), -1)


def take(x: Any, rows: RowNumbers | slice) -> Any:
    """Return the given rows of `x`, in the kind of thing that x is."""
    return getattr(x, "iloc", x)[rows]


def chunks(x: Any, rows: RowNumbers | None = None) -> Iterator[tuple[int, Any]]:
    """Give `x`, or its rows with the given numbers, some at a time: each after the place of its first row."""
    size = max(1, min(CHUNK_ROWS, CHUNK_BYTES // (8 * math.prod(x.shape[1:]))))
    for start in range(0, x.shape[0] if rows is None else len(rows), size):
        part = slice(start, start + size)
        yield start, take(x, part if rows is None else rows[part])


def draw(n: int, most: int, seed: int) -> RowNumbers:
    """Return at most `most` of the numbers below `n`, in order; the same seed gives the same ones."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


# -- errors -------------------------------------------------------------------------------------------------


class Errors:
    """How far off the reconstructions of a model are, and how its codes vary.

    Parameters
    ----------
    name : str
        What messages call the model.
    codec : Codec
    n : int
        The rows that there will be.
    keep : ndarray of shape (m,), int64, optional
        Rows whose codes are kept, rising.

    Attributes
    ----------
    by_row : ndarray of shape (n,), float32
        The mean squared error of each row, NaN where no value is known.
    code_moments : Moments
        Of the columns of all codes.
    """

    def __init__(self, name: str, codec: Codec, n: int, keep: RowNumbers | None = None) -> None:
        self.name = name
        self.codec = codec
        self.k = 0
        self.squared_error = 0.0
        self.count = 0
        self.code_moments = Moments()
        self.keep = np.zeros(0, np.int64) if keep is None else keep
        self._kept: list[Floats] = []
        # Four bytes a row: the one thing here that grows with x.
        self.by_row: NDArray[np.float32] = np.full(n, np.nan, dtype=np.float32)

    def add(self, rows: Any, target: Floats, scale: Scale, start: int) -> None:
        """Take in rows that begin at row `start`, and the same in the units that errors are taken in."""
        codes = self.codec.transform(rows)
        flat_codes = flat(codes)
        check_finite(flat_codes, start, what=f"the code by {self.name}")
        self.code_moments.add(flat_codes)
        first, last = np.searchsorted(self.keep, (start, start + len(flat_codes)))
        self._kept.append(flat_codes[self.keep[first:last] - start])
        self.k = flat_codes.shape[1]
        x_hat = scale(self.codec.inverse_transform(codes))
        if x_hat.shape != target.shape:
            raise DataError(
                f"the reconstruction by {self.name} must have the shape of its rows, {target.shape} "
                f"once flat. Got {x_hat.shape} instead."
            )
        check_finite(x_hat, start, what=f"the reconstruction by {self.name}")
        difference = target - x_hat
        known = ~np.isnan(target)
        difference[~known] = 0.0
        squared, counts = np.einsum("ij,ij->i", difference, difference), known.sum(axis=1)
        self.count += int(counts.sum())
        self.squared_error += float(squared.sum())
        self.by_row[start : start + len(target)] = squared / np.where(counts > 0, counts, np.nan)

    @property
    def kept_codes(self) -> Floats:
        """The codes of the rows to keep, (m, k)."""
        return np.concatenate(self._kept)

    @property
    def mse(self) -> float | None:
        """The squared error, averaged over all values that are known."""
        return self.squared_error / self.count if self.count else None

    @property
    def worst_decile_mse(self) -> float | None:
        """The mean error of the tenth of the rows that come out worst, at least one."""
        errors = self.by_row[~np.isnan(self.by_row)]
        if not len(errors):
            return None
        worst = math.ceil(len(errors) / 10)
        return float(np.partition(errors, -worst)[-worst:].mean(dtype=np.float64))


def reconstruct_all(
    models: list[Errors],
    x: Any,
    scale: Scale,
    *,
    missing: bool,
    advance: Callable[[int], None] | None = None,
) -> Moments:
    """Take in the reconstructions of every row of `x` by each model; return the moments of x in scaled units.

    Raises
    ------
    DataError
        If a row or its reconstruction is not finite, or the two differ in shape.
    """
    moments = Moments()
    for start, rows in chunks(x):
        target = scale(rows)
        check_finite(target, start, missing=missing)
        moments.add(target)
        for model in models:
            model.add(rows, target, scale, start)
        if advance is not None:
            advance(len(target))
    return moments


def explained_variance(errors: Errors, moments: Moments) -> float | None:
    """One minus the squared error over the squared distance of all rows to their mean.

    None where rows do not vary, or values are missing.
    """
    squares = float(moments.squares.sum())
    # What is left of a constant is rounding: dividing by it would report noise.
    size = float(np.vdot(moments.mean, moments.mean)) * moments.known
    return 1.0 - errors.squared_error / squares if squares > 1e-24 * size else None
