"""How far reconstructions are from their rows, in one pass over any number of these."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.tasks.codecs import Codec, Floats, Rows, Scale, check_finite, chunks, flat

__all__ = ["Judged", "Moments", "reconstruct_all"]


class Moments:
    """Mean and squared distance to it of each column, gathered chunk by chunk.

    Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", equation 1.5.

    Attributes
    ----------
    n : int
        Rows so far.
    mean, squares : ndarray of shape (d,), float64
        Of each column the mean, and the sum of squared distances to it.
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean: Floats = np.zeros(1)
        self.squares: Floats = np.zeros(1)

    def add(self, rows: Floats) -> None:
        """Take in rows of shape (m, d)."""
        m = len(rows)
        mean = rows.mean(axis=0)
        centred = rows - mean
        shift = mean - self.mean
        total = self.n + m
        self.squares = self.squares + np.einsum("ij,ij->j", centred, centred)
        self.squares += np.square(shift) * (self.n * m / total)
        self.mean = self.mean + shift * (m / total)
        self.n = total

    def explained(self, squared_error: float) -> float | None:
        """One minus a squared error over the squared distance of all rows to their mean."""
        squares = float(self.squares.sum())
        # What is left of a constant is rounding: dividing by it would report noise.
        size = float(np.vdot(self.mean, self.mean)) * self.n
        if not squares > 1e-24 * size:  # NaN too: with values missing there is no such share
            return None
        return 1.0 - squared_error / squares


class Judged:
    """A model under judgement: how far off its reconstructions are, and how its codes vary.

    Parameters
    ----------
    name : str
        What errors call it.
    codec : Codec
    n : int
        The rows that there will be.
    keep : ndarray of shape (m,), int64, optional
        Rows whose codes are kept, rising.

    Attributes
    ----------
    errors : ndarray of shape (n,), float32
        The mean squared error of each row, NaN where no value is known.
    """

    def __init__(self, name: str, codec: Codec, n: int, keep: Rows | None = None) -> None:
        self.name = name
        self.codec = codec
        self.k = 0
        self.squared_error = 0.0
        self.count = 0
        self.codes = Moments()
        self.keep = np.zeros(0, np.int64) if keep is None else keep
        self._kept: list[Floats] = []
        # Four bytes a row: the one thing here that grows with x.
        self.errors: NDArray[np.float32] = np.full(n, np.nan, dtype=np.float32)

    def add(self, rows: Any, target: Floats, scale: Scale, start: int) -> None:
        """Take in rows that begin at row `start`, and the same in the units that errors are taken in."""
        codes = self.codec.transform(rows)
        flat_codes = flat(codes)
        check_finite(flat_codes, f"the code by {self.name}", start)
        self.codes.add(flat_codes)
        first, last = np.searchsorted(self.keep, (start, start + len(flat_codes)))
        self._kept.append(flat_codes[self.keep[first:last] - start])
        self.k = flat_codes.shape[1]
        x_hat = scale(self.codec.inverse_transform(codes))
        if x_hat.shape != target.shape:
            raise DataError(
                f"the reconstruction by {self.name} must have the shape of its rows, {target.shape} "
                f"once flat. Got {x_hat.shape} instead."
            )
        check_finite(x_hat, f"the reconstruction by {self.name}", start)
        difference = target - x_hat
        known = ~np.isnan(target)
        difference[~known] = 0.0
        squared, counts = np.einsum("ij,ij->i", difference, difference), known.sum(axis=1)
        self.count += int(counts.sum())
        self.squared_error += float(squared.sum())
        self.errors[start : start + len(target)] = squared / np.where(counts > 0, counts, np.nan)

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
        errors = self.errors[~np.isnan(self.errors)]
        if not len(errors):
            return None
        worst = math.ceil(len(errors) / 10)
        return float(np.partition(errors, -worst)[-worst:].mean(dtype=np.float64))


def reconstruct_all(
    judged: list[Judged], x: Any, scale: Scale, *, missing: bool, advance: Callable[[int], None]
) -> Moments:
    """Judge the reconstruction of every row of `x`; return the moments of x in scaled units.

    Raises
    ------
    DataError
        If a row or its reconstruction is not finite, or the two differ in shape.
    """
    moments = Moments()
    for start, rows in chunks(x):
        target = scale(rows)
        check_finite(np.where(np.isnan(target), 0.0, target) if missing else target, "x", start)
        moments.add(target)
        for one in judged:
            one.add(rows, target, scale, start)
        advance(len(target))
    return moments
