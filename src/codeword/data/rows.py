"""Rows, read a chunk at a time in bounded memory, whether they lie in memory, in a file or in several."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.data.reading import reading
from codeword.data.tables import (
    check_alike,
    check_names,
    is_list,
    labels_of,
    numbers_of,
    own_columns,
    stored_dtype,
)

__all__ = [
    "BLOCK_BYTES",
    "PartFolder",
    "Rows",
    "Selected",
    "block_length",
    "blocks",
    "hand_back",
    "open_arrays",
    "open_parquet",
    "read",
]

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


# -- rows in several files ----------------------------------------------------------------------------------


class PartFolder:
    """The rows of several parts, one after the other; only the parts that are touched are read.

    Rows by number may come in any order: each part, and of Parquet each row group, is read once for all.

    Parameters
    ----------
    parts : sequence of memory maps or of ParquetPart
        Of one dtype, and alike in every axis but the first.
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = list(parts)
        self.starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
        self.shape: tuple[int, ...] = (self.starts[-1], *parts[0].shape[1:])
        self.dtype: np.dtype[Any] = parts[0].dtype
        self.ndim = len(self.shape)
        self.block_rows = max(getattr(part, "block_rows", 0) for part in parts)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray[Any, Any]:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._read(start, max(start, stop))
            key = range(start, stop, step)
        if isinstance(key, (int, np.integer)):
            row: np.ndarray[Any, Any] = self._read(int(key), int(key) + 1)[0]
            return row
        return self._take(np.asarray(key, dtype=np.int64))

    def _take(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        order = np.argsort(rows, kind="stable")
        edges = np.searchsorted(rows[order], self.starts)
        for part, start, first, last in zip(self.parts, self.starts, edges, edges[1:], strict=False):
            if last > first:
                chosen = order[first:last]
                out[chosen] = part[rows[chosen] - start]
        return out

    def _read(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"rows {start} to {stop} of {len(self)}")
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        number = bisect_right(self.starts, start) - 1
        done = 0
        while done < len(out):
            first = start + done - self.starts[number]
            length = min(len(self.parts[number]) - first, len(out) - done)
            out[done : done + length] = self.parts[number][first : first + length]
            done, number = done + length, number + 1
        return out


class NpyPart:
    """One .npy file. It is mapped for each slice anew, so that no pages of it stay resident."""

    def __init__(self, path: Path) -> None:
        self.path = path
        mapped = self._map()
        self.shape, self.dtype = mapped.shape, mapped.dtype

    def _map(self) -> Any:
        with reading(self.path, "a NumPy array"):
            return np.load(self.path, mmap_mode="r", allow_pickle=False)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> np.ndarray[Any, Any]:
        return np.array(self._map()[key])


class ParquetPart:
    """One Parquet file of number columns; a slice reads the row groups that it touches.

    Of the parts that share a dictionary `kept` the row group that was read last stays in it.
    """

    def __init__(
        self,
        path: Path,
        columns: list[str],
        dtype: np.dtype[Any],
        missing: bool,
        kept: dict[Any, NDArray[Any]],
    ) -> None:
        from pyarrow import parquet

        self.path, self.columns, self.dtype = path, columns, dtype
        self._missing, self._kept = missing, kept
        with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
            metadata = file.metadata
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self.starts = np.cumsum([0, *sizes]).tolist()
        self.block_rows = max(sizes, default=0)
        self.shape: tuple[int, ...] = (self.starts[-1], len(columns))

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if not isinstance(key, slice):
            return self._take(key)
        start, stop, _ = key.indices(len(self))
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        done = 0
        while done < len(out):
            group = bisect_right(self.starts, start + done) - 1
            rows = self.group(group)
            first = start + done - self.starts[group]
            length = min(len(rows) - first, len(out) - done)
            out[done : done + length] = rows[first : first + length]
            done += length
        return out

    def _take(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows by number, in increasing order."""
        edges = np.searchsorted(rows, self.starts)
        found = [
            self.group(group)[rows[first:last] - self.starts[group]]
            for group, (first, last) in enumerate(pairwise(edges))
            if last > first
        ]
        return np.concatenate(found)

    def group(self, group: int) -> NDArray[Any]:
        """The rows of a row group."""
        from pyarrow import parquet

        key = (self.path, self.path.stat().st_mtime_ns, group)
        if key not in self._kept:
            with reading(self.path, "Parquet"), parquet.ParquetFile(self.path) as file:
                table = file.read_row_group(group, columns=self.columns).select(self.columns)
                rows, _ = numbers_of(
                    table,
                    str(self.path),
                    missing=self._missing,
                    dtype=self.dtype,
                    first_row=self.starts[group],
                )
            self._kept.clear()
            self._kept[key] = rows
        return self._kept[key]


def open_arrays(paths: Sequence[Path]) -> PartFolder:
    """Rows of several .npy files, in the order of the files.

    Raises
    ------
    DataError
        If two differ in dtype or shape.
    """
    parts = [NpyPart(path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        kind, other = (part.dtype, part.shape[1:]), (parts[0].dtype, parts[0].shape[1:])
        if kind != other:
            raise DataError(f"{path} and {paths[0]} are not parts of one set: {kind} is not {other}")
    return PartFolder(parts)


def open_parquet(
    paths: Sequence[Path], label_column: str | None, *, missing: bool
) -> tuple[PartFolder, NDArray[Any] | None, tuple[str, ...] | None]:
    """Rows, labels and column names of Parquet files, read when they are asked for.

    They are what `numbers_of` makes of all files as one table.

    Raises
    ------
    DataError
        If two files differ in their columns, or a column is no number.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schemas, n = [], 0
    for path in paths:
        with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
            schemas.append(file.schema_arrow)
            n += file.metadata.num_rows
    found = [own_columns(schema.names) for schema in schemas]
    check_alike(paths, found)
    where = str(paths[0] if len(paths) == 1 else paths[0].parent)
    check_names(found[0], n, label_column, where)
    names = [name for name in found[0] if name != label_column]
    dtype = stored_dtype(paths, names, missing=missing)
    kept: dict[Any, NDArray[Any]] = {}
    parts = [ParquetPart(path, names, dtype, missing, kept) for path in paths]
    parts = [part for part in parts if len(part)]
    # A look at the first rows also says early what is no number.
    sample_shape = parts[0].group(int(np.flatnonzero(np.diff(parts[0].starts))[0])).shape[1:]
    for part in parts:
        part.shape = (len(part), *sample_shape)
    labels = None
    if label_column is not None:
        columns = []
        for path in paths:
            with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
                columns.append(file.read(columns=[label_column]))
        with reading(where, "labels"):
            table = pa.concat_tables(columns, promote_options="permissive")
        labels = labels_of(table.column(0), label_column, where)
    one_of_lists = len(names) == 1 and is_list(schemas[0].field(names[0]).type)
    return PartFolder(parts), labels, None if one_of_lists else tuple(names)
