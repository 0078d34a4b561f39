"""Reading rows a block at a time, in bounded memory, whatever holds them."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

__all__ = ["BLOCK_BYTES", "Rows", "Selected", "block_length", "blocks", "hand_back", "read"]

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
        self.rows: np.ndarray[Any, Any] = base.rows[numbers] if isinstance(base, Selected) else numbers
        self.shape = (len(self.rows), *base.shape[1:])
        self.dtype = base.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> np.ndarray[Any, Any]:
        chosen: np.ndarray[Any, Any] = self.base[self.rows[key]]
        return chosen

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """What NumPy makes of it: a copy of the rows."""
        return np.asarray(self[:], dtype=dtype)


def block_length(x: Rows, block_bytes: int = BLOCK_BYTES) -> int:
    """How many rows of `x` make a block of about `block_bytes`; at least one."""
    row_bytes = max(1, int(np.prod(x.shape[1:], dtype=np.int64)) * x.dtype.itemsize)
    return max(1, block_bytes // row_bytes)


def read(x: Rows, start: int, stop: int) -> np.ndarray[Any, Any]:
    """Rows `start` to `stop` as an ordinary array; the pages of a memory map are handed back at once."""
    block = x[start:stop] if isinstance(x, Selected) else np.array(x[start:stop])
    hand_back(x)
    return block


def hand_back(x: Rows) -> None:
    """Give back the pages of a memory map that have been read.

    They count as this process's resident memory until the kernel needs them elsewhere, so a pass over a file
    larger than memory would look, to a container's limit, like a leak.
    """
    mapped = getattr(getattr(x, "base", x) if isinstance(x, Selected) else x, "_mmap", None)
    if isinstance(mapped, mmap.mmap) and hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)


def blocks(
    x: Rows, block_bytes: int = BLOCK_BYTES, *, multiple: int = 1
) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """Walk over `x` in order: pairs of the first row's number and an array of rows.

    Every block but the last has a multiple of `multiple` rows.
    """
    if type(x) is np.ndarray and x.nbytes <= block_bytes:
        yield 0, x
        return
    length = max(1, block_length(x, block_bytes) // multiple) * multiple
    for start in range(0, len(x), length):
        stop = min(start + length, len(x))
        yield start, x[start:stop] if type(x) is np.ndarray else read(x, start, stop)
