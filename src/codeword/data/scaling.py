"""Raw units to what the network sees, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from codeword.base.errors import DataError, expected
from codeword.data.rows import Rows, block_length, check_finite, read

KINDS = ("auto", "pixels", "unit", "standard", "none")

BLOCK_BYTES = 8 << 20
"""What is read at once."""


class Processes(Protocol):
    """The processes that read a source together: see `codeword.training.distributed`."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    def sum(self, values: torch.Tensor) -> None: ...


@dataclass
class Moments:
    """Mean of each feature, squared distance to it, and range, of the rows that were seen so far.

    Merged by the pairwise formula of Chan, Golub & LeVeque (1979), which loses no digits.

    Attributes
    ----------
    known : int or ndarray of shape (d,)
        How many values of each feature there were.
    low, high : float
    mean, squares : ndarray of shape (d,), float64
        Of each feature the mean, and the sum of squared distances to it.
    missing : bool
        Whether values that are NaN were left out.
    """

    known: Any = 0
    low: float = np.inf
    high: float = -np.inf
    mean: Any = 0.0
    squares: Any = 0.0
    missing: bool = False

    @property
    def variance(self) -> NDArray[np.float64]:
        """The variance of each feature, of shape (d,)."""
        variance: NDArray[np.float64] = self.squares / np.maximum(self.known, 1)
        return variance

    def add(self, rows: NDArray[Any]) -> None:
        """Take in rows of shape (m, d), none of them missing."""
        self.merge(len(rows), float(rows.min()), float(rows.max()), *_moments(rows))

    def merge(self, known: Any, low: float, high: float, here: NDArray[Any], around: NDArray[Any]) -> None:
        """Take in what other rows gave."""
        self.low, self.high = min(self.low, low), max(self.high, high)
        delta = here - self.mean
        total = self.known + known
        share = known / np.maximum(total, 1)
        self.mean = self.mean + delta * share
        self.squares = self.squares + (around + delta**2 * (self.known * share))
        self.known = total


def describe(x: Rows, *, missing: bool = False, group: Processes | None = None) -> Moments:
    """Mean and variance of each feature of `x`, of shape (n, ...), in one pass of bounded memory.

    With `missing`, values that are NaN are left out. Of several processes (`group`) each reads its share of
    rows that do not lie in memory, and all get the same moments.

    Raises DataError if a value is infinite, or NaN without `missing`; the message names the first bad row and
    column.
    """
    d = int(np.prod(x.shape[1:], dtype=np.int64))
    sums = Moments(mean=np.zeros(d), squares=np.zeros(d), missing=missing)
    if group is None or group.size == 1 or type(x) is np.ndarray:
        _look(x, 0, len(x), sums)
        return sums
    bad = None
    try:
        _look(x, group.rank * len(x) // group.size, (group.rank + 1) * len(x) // group.size, sums)
    except DataError as error:
        bad = error
    return _shared(sums, group, bad)


def _look(x: Rows, first: int, last: int, sums: Moments) -> None:
    """Take rows `first` to `last` into the sums."""
    d, length = len(sums.mean), block_length(x, BLOCK_BYTES)
    for start in range(first, last, length):
        stop = min(start + length, last)
        block = x[start:stop] if type(x) is np.ndarray else read(x, start, stop)
        rows = block.reshape(len(block), d)
        known: Any = len(rows)
        if sums.missing and rows.dtype.kind == "f":
            check_finite(block, start, missing=True)
            known = np.count_nonzero(~np.isnan(rows), axis=0)
            low = float(np.fmin.reduce(rows, None, initial=np.inf))
            high = float(np.fmax.reduce(rows, None, initial=-np.inf))
            # An unknown value stands at its feature's mean, which moves no moment.
            mean = np.nansum(rows, axis=0, dtype=np.float64) / np.maximum(known, 1)
            rows = np.where(np.isnan(rows), mean, rows)
        else:
            low, high = float(rows.min()), float(rows.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                check_finite(block, start)
        sums.merge(known, low, high, *_moments(rows))


def _shared(sums: Moments, group: Processes, bad: DataError | None) -> Moments:
    """The sums of all processes, merged in their order, on each of them."""
    d = len(sums.mean)
    mine = [np.broadcast_to(sums.known, d), sums.mean, sums.squares, [sums.low, sums.high, bad is not None]]
    table = torch.zeros(group.size, 3 * d + 3, dtype=torch.float64, device=group.device)
    table[group.rank] = torch.from_numpy(np.concatenate(mine).astype(np.float64))
    group.sum(table)
    if bad is not None:
        raise bad
    merged = Moments(np.zeros(d), mean=np.zeros(d), squares=np.zeros(d), missing=sums.missing)
    for rank, row in enumerate(table.cpu().numpy()):
        if row[-1]:
            raise DataError(f"process {rank} found rows that nothing can be learned from: see there")
        if row[:d].any():  # a process may have no row
            merged.merge(row[:d], row[-3], row[-2], row[d : 2 * d], row[2 * d : 3 * d])
    return merged


def _moments(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The mean of each column, and the sum of squared distances to it."""
    if rows.dtype == np.uint8:  # single precision does, and torch is several times faster at it
        rows = np.ascontiguousarray(rows)
        x = torch.from_numpy(rows if rows.flags.writeable else rows.copy()).float()
        center = x.mean(dim=0)
        return center.double().numpy(), x.sub_(center).square_().sum(dim=0).double().numpy()
    wide = rows.astype(np.float64, order="C")
    mean = wide.mean(axis=0)
    wide -= mean
    return mean, np.einsum("ij,ij->j", wide, wide)


@dataclass(frozen=True, eq=False)
class Scaling:
    """The affine map from the units of x to what the network sees: (x - offset) / scale.

    Attributes
    ----------
    kind : {"pixels", "unit", "standard", "none"}
        `pixels` divides by 255; `unit` takes values in [0, 1] as they are; `standard` gives each feature
        mean 0 and variance 1; `none` takes any values as they are.
    offset, scale : ndarray of shape (1,) or (d,), float64
    sample_shape : tuple of int
        The shape of one sample in raw units; its product is d.
    missing : bool
        Whether rows may hold NaN, which stays NaN.
    limits : (float, float) or None
        The least and the largest value of the rows fitted on, by which images are shown; None where they are
        not known.
    """

    kind: str
    offset: NDArray[np.float64]
    scale: NDArray[np.float64]
    sample_shape: tuple[int, ...]
    missing: bool = False
    limits: tuple[float, float] | None = None

    @property
    def bounded(self) -> bool:
        """Whether scaled values lie in [0, 1], so that a decoder may end in a sigmoid."""
        return self.kind in ("pixels", "unit")

    @classmethod
    def choose(cls, kind: str, dtype: np.dtype[Any], sample_shape: tuple[int, ...], seen: Moments) -> Scaling:
        """The scaling asked for, or with `auto` the one that fits: see `AutoEncoder`'s `scaling`."""
        if kind not in KINDS:
            raise expected("scaling", "AutoEncoder", f"one of {', '.join(KINDS)}", kind)
        if kind == "auto":
            # 0/1 flags are often kept as uint8; divided by 255 they would all but vanish.
            if dtype == np.uint8 and seen.high > 1:
                kind = "pixels"
            else:
                kind = "unit" if seen.low >= 0 and seen.high <= 1 else "standard"
        offset, scale = np.zeros(1), np.full(1, 255.0 if kind == "pixels" else 1.0)
        if kind in ("pixels", "unit") and (seen.low < 0 or seen.high > scale[0]):
            raise DataError(
                f"scaling={kind!r} takes values from 0 to {scale[0]:g}, and x goes from {seen.low:g} to "
                f"{seen.high:g}: use scaling='standard'"
            )
        if kind == "standard":
            offset, deviation = seen.mean.copy(), np.sqrt(seen.variance)
            constant = deviation <= 1e-9 * np.maximum(1e-30, np.abs(seen.mean))
            scale = np.where(constant, 1.0, deviation)
        limits = (seen.low, seen.high) if np.isfinite([seen.low, seen.high]).all() else None
        return cls(kind, offset, scale, sample_shape, seen.missing, limits)

    def forward(self, rows: NDArray[Any]) -> torch.Tensor:
        """Rows of shape (n, ...) in raw units to a float32 CPU tensor of shape (n, d) in scaled units."""
        # By rows, as they lie in no DataFrame: another order in memory would be rounded otherwise.
        flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
        if flat.dtype == np.uint8:
            return self.finish(torch.from_numpy(np.array(flat) if not flat.flags.writeable else flat))
        if flat.dtype == np.float32 and self.kind in ("unit", "none"):
            return torch.from_numpy(np.array(flat))
        # In double precision: a column of large numbers that differ little keeps its digits.
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite: see FittedModel.each
            scaled = ((flat.astype(np.float64) - self.offset) / self.scale).astype(np.float32)
        return torch.from_numpy(scaled)

    def finish(self, raw: torch.Tensor) -> torch.Tensor:
        """uint8 rows, on any device, to float32 in scaled units: what is left to do for each batch."""
        x = raw.to(torch.float32)
        if self.kind == "standard":
            offset, scale = (torch.from_numpy(a).to(x) for a in (self.offset, self.scale))
            return x.sub_(offset).div_(scale)
        return x.mul_(1.0 / float(self.scale[0]))

    def inverse(self, scaled: torch.Tensor) -> NDArray[np.float32]:
        """A tensor of shape (n, d) in scaled units to float32 rows in the units and the shape of x."""
        values = scaled.detach().cpu().numpy()
        if self.kind in ("pixels", "standard"):
            values = values.astype(np.float64) * self.scale + self.offset
        return values.astype(np.float32).reshape(len(values), *self.sample_shape)

    def scaled_mean(self, seen: Moments) -> NDArray[np.float64]:
        """The mean of each feature in scaled units, of shape (d,)."""
        scaled: NDArray[np.float64] = (seen.mean - self.offset) / self.scale
        return scaled
