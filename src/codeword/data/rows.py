"""Rows, read a chunk at a time in bounded memory, whether they lie in memory, in a file or in several."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.data.reading import reading

BLOCK_BYTES = 32 << 20
"""How much is read at once: large enough for a disk to stream, small beside any memory."""


class Rows(Protocol):
    """What `codeword` asks of a holder of rows: an ndarray, a memory map, or a folder of parts."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, key: slice, /) -> Any: ...


class Selected:
    """Some rows of another holder, by their numbers: nothing is copied until a block of them is read."""

    def __init__(self, base: Rows, rows: Any) -> None:
        numbers = np.atleast_1d(np.arange(len(base))[rows])
        self.base: Any = base.base if isinstance(base, Selected) else base
        self.rows: NDArray[Any] = base.rows[numbers] if isinstance(base, Selected) else numbers
        self.shape = (len(self.rows), *base.shape[1:])
        self.dtype = base.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        chosen: NDArray[Any] = self.base[self.rows[key]]
        return chosen

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """What NumPy makes of it: a copy of the rows."""
        return np.asarray(self[:], dtype=dtype)


def block_length(x: Rows, block_bytes: int = BLOCK_BYTES) -> int:
    """How many rows of `x` make a block of about `block_bytes`; at least one."""
    row_bytes = max(1, int(np.prod(x.shape[1:], dtype=np.int64)) * x.dtype.itemsize)
    return max(1, block_bytes // row_bytes)


def read(x: Rows, start: int, stop: int) -> NDArray[Any]:
    """Rows `start` to `stop` as an ordinary array; the pages of a memory map are handed back at once."""
    block = x[start:stop] if isinstance(x, Selected) else np.array(x[start:stop])
    hand_back(x)
    return block


def hand_back(x: Rows) -> None:
    """Give back the pages of a memory map that have been read.

    They count as this process's resident memory until the kernel needs them elsewhere, so a pass over a file
    larger than memory would look, to a container's limit, like a leak.
    """
    mapped = getattr(x.base if isinstance(x, Selected) else x, "_mmap", None)
    if isinstance(mapped, mmap.mmap) and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


def blocks(
    x: Rows, block_bytes: int = BLOCK_BYTES, *, multiple: int = 1, most: int | None = None
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Walk over `x` in order: pairs of the first row's number and an array of rows.

    Every block but the last has a multiple of `multiple` rows; none has more than `most`.
    """
    length = max(1, block_length(x, block_bytes) // multiple) * multiple
    length = len(x) if type(x) is np.ndarray and x.nbytes <= block_bytes else length
    length = max(1, min(length, most or length))
    for start in range(0, len(x), length):
        stop = min(start + length, len(x))
        yield start, x[start:stop] if type(x) is np.ndarray else read(x, start, stop)


def first_not_finite(rows: NDArray[Any], *, missing: bool = False) -> tuple[int, int] | None:
    """Row and column of the first value that is infinite or, without `missing`, NaN; None where none is."""
    if rows.dtype.kind != "f" or not rows.size:
        return None
    flat = rows.reshape(len(rows), -1)
    with np.errstate(invalid="ignore", over="ignore"):
        if not missing and np.isfinite(flat.sum(dtype=np.float64)):
            return None  # the sum of finite values can itself overflow
    bad = np.isinf(flat) if missing else ~np.isfinite(flat)
    if not bad.any():
        return None
    row, column = np.argwhere(bad)[0].tolist()
    return row, column


def check_finite(
    rows: NDArray[Any], start: int | NDArray[Any] = 0, *, missing: bool = False, what: str = "x"
) -> None:
    """Raise a DataError that names the first row and column that is infinite or, without `missing`, NaN.

    `start` is the number of the first row, or of each, and `what` what the rows are called.
    """
    bad = first_not_finite(rows, missing=missing)
    if bad is None:
        return
    row, column = bad
    value = rows.reshape(len(rows), -1)[row, column]
    where = f"column {column}"
    if rows.ndim > 2:
        where = f"position {tuple(int(i) for i in np.unravel_index(column, rows.shape[1:]))}"
    number = start[row] if isinstance(start, np.ndarray) else start + row
    advice = "; fill in or drop these rows first" if what == "x" else ""
    raise DataError(
        f"{what} contains {'NaN' if np.isnan(value) else 'infinity'} (the first in row {number}, {where}): "
        f"expected finite numbers{advice}"
    )


# -- rows in several files ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the rows of a folder, which `read` gives whole, or as a memory map."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


class PartFolder:
    """The rows of several parts, one after the other; only the parts that are touched are read.

    Rows by number may come in any order: each part is read once for all.

    Parameters
    ----------
    parts : sequence of Part
        Of one dtype, and alike in every axis but the first.
    block_rows : int, default=0
        How many rows are read at once whenever one is.
    """

    def __init__(self, parts: Sequence[Part], block_rows: int = 0) -> None:
        self.parts, self.block_rows = list(parts), block_rows
        self.starts = np.cumsum([0, *(part.shape[0] for part in parts)]).tolist()
        self.shape: tuple[int, ...] = (self.starts[-1], *parts[0].shape[1:])
        self.dtype = parts[0].dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if isinstance(key, int | np.integer):
            row: NDArray[Any] = self[[key]][0]
            return row
        if isinstance(key, slice):
            chosen = range(len(self))[key]
            if chosen.step == 1:
                return self._read(chosen.start, len(chosen))
            key = chosen
        return self._take(np.asarray(key, dtype=np.int64))

    def _read(self, start: int, n: int) -> NDArray[Any]:
        """The `n` rows from `start` on."""
        out = np.empty((n, *self.shape[1:]), self.dtype)
        number = bisect_right(self.starts, start) - 1
        done = 0
        while done < n:
            first = start + done - self.starts[number]
            length = min(self.starts[number + 1] - start - done, n - done)
            out[done : done + length] = self.parts[number].read()[first : first + length]
            done, number = done + length, number + 1
        return out

    def _take(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows by number."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        order = np.argsort(rows, kind="stable")
        edges = np.searchsorted(rows[order], self.starts)
        for part, start, first, last in zip(self.parts, self.starts, edges, edges[1:], strict=False):
            if last > first:
                out[order[first:last]] = part.read()[rows[order[first:last]] - start]
        return out


def open_array(path: Path) -> NDArray[Any]:
    """A .npy file as a read-only memory map."""
    with reading(path, "a NumPy array"):
        return np.lib.format.open_memmap(path, mode="r")


def open_arrays(paths: Sequence[Path]) -> PartFolder:
    """Rows of several .npy files, in the order of the files.

    Raises DataError if one holds a single number, or two differ in dtype or shape.
    """
    parts = []
    for path in paths:
        mapped = open_array(path)
        if not mapped.ndim:
            raise DataError(f"{path} holds a single number: expected an array of rows")
        # Mapped for each slice anew, so that no pages of it stay resident.
        parts.append(Part(mapped.shape, plain_dtype(mapped.dtype), partial(open_array, path)))
        kind, other = (parts[-1].dtype, mapped.shape[1:]), (parts[0].dtype, parts[0].shape[1:])
        if kind != other:
            raise DataError(f"{path} and {paths[0]} are not parts of one set: {kind} is not {other}")
    return PartFolder(parts)


def plain_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type that numbers of a type are kept in: native, of at most eight bytes, booleans as floats."""
    if dtype.kind == "b":
        return np.dtype(np.float32)
    return np.dtype(np.float64) if dtype.kind == "f" and dtype.itemsize > 8 else dtype.newbyteorder("=")
