"""Rows that lie in several files, such as the parts that a cluster wrote, read as if they were one array."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from codeword.base.errors import DataError
from codeword.base.text import listed
from codeword.data.reading import reading

__all__ = ["PartFolder", "open_parts"]

SUFFIXES = (".npy", ".parquet", ".pq")


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
        self, path: Path, columns: list[str], dtype: np.dtype[Any], kept: dict[Any, np.ndarray[Any, Any]]
    ) -> None:
        from pyarrow import parquet

        self.path, self.columns, self.dtype, self._kept = path, columns, dtype, kept
        with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
            metadata = file.metadata
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self.starts = np.cumsum([0, *sizes]).tolist()
        self.shape = (self.starts[-1], len(columns))
        self.block_rows = max(sizes, default=0)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> np.ndarray[Any, Any]:
        if not isinstance(key, slice):
            return self._take(key)
        start, stop, _ = key.indices(len(self))
        out = np.empty((stop - start, len(self.columns)), self.dtype)
        done = 0
        while done < len(out):
            group = bisect_right(self.starts, start + done) - 1
            rows = self._group(group)
            first = start + done - self.starts[group]
            length = min(len(rows) - first, len(out) - done)
            out[done : done + length] = rows[first : first + length]
            done += length
        return out

    def _take(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Rows by number, in increasing order."""
        edges = np.searchsorted(rows, self.starts)
        found = [
            self._group(group)[rows[first:last] - self.starts[group]]
            for group, (first, last) in enumerate(pairwise(edges))
            if last > first
        ]
        return np.concatenate(found)

    def _group(self, group: int) -> np.ndarray[Any, Any]:
        key = (self.path, self.path.stat().st_mtime_ns, group)
        if key in self._kept:
            return self._kept[key]
        from pyarrow import parquet

        with reading(self.path, "Parquet"), parquet.ParquetFile(self.path) as file:
            table = file.read_row_group(group, columns=self.columns)
        rows = np.empty((table.num_rows, len(self.columns)), self.dtype)
        for i, name in enumerate(self.columns):
            column = table.column(name)
            if column.null_count and self.dtype.kind != "f":
                raise DataError(
                    f"{self.path}: column {name!r} has empty cells: expected numbers; fill them in"
                )
            rows[:, i] = column.to_numpy()
        self._kept.clear()
        self._kept[key] = rows
        return rows


def open_parts(
    paths: Sequence[Path], label_column: str | None
) -> tuple[PartFolder, np.ndarray[Any, Any] | None, tuple[str, ...] | None]:
    """Rows, labels and column names of the parts, all .npy or all Parquet, in the order of their names.

    Raises
    ------
    DataError
        If two parts differ in dtype, shape or columns, or a column is no number.
    """
    if paths[0].suffix.lower() == ".npy":
        if label_column is not None:
            raise DataError(f"{paths[0]} has no columns: label_column is for tables")
        parts: list[Any] = [NpyPart(path) for path in paths]
        _check_alike(paths, [(part.dtype, part.shape[1:]) for part in parts])
        return PartFolder(parts), None, None
    return _open_parquet(paths, label_column)


def _open_parquet(
    paths: Sequence[Path], label_column: str | None
) -> tuple[PartFolder, np.ndarray[Any, Any] | None, tuple[str, ...]]:
    import pyarrow as pa
    from pyarrow import parquet

    schemas = []
    for path in paths:
        with reading(path, "Parquet"):
            schema = parquet.read_schema(path)
            schemas.append([(f.name, f.type) for f in schema if not f.name.startswith("__index_level_")])
    _check_alike(paths, schemas)
    kinds = dict(schemas[0])
    if label_column is not None and label_column not in kinds:
        raise DataError(f"{paths[0]} has no column {label_column!r}: it has {listed(kinds)}")
    kinds.pop(label_column, None)
    for name, kind in kinds.items():
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise DataError(
                f"{paths[0]} has a column of {kind}, {name!r}: expected numbers; leave it out, or pass it as "
                "label_column"
            )
    if not kinds:
        raise DataError(f"{paths[0]} has no columns of numbers")
    small = (pa.uint8(), pa.int8(), pa.uint16(), pa.int16(), pa.bool_(), pa.float16(), pa.float32())
    if all(kind == pa.uint8() for kind in kinds.values()):
        dtype: np.dtype[Any] = np.dtype("uint8")
    else:
        dtype = np.dtype("float32" if all(kind in small for kind in kinds.values()) else "float64")
    kept: dict[Any, np.ndarray[Any, Any]] = {}
    parts = [ParquetPart(path, list(kinds), dtype, kept) for path in paths]
    labels = None
    if label_column is not None:
        columns = []
        for path in paths:
            with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
                columns.append(file.read(columns=[label_column]).column(0).to_numpy())
        labels = np.concatenate(columns)
    return PartFolder(parts), labels, tuple(kinds)


def _check_alike(paths: Sequence[Path], kinds: Sequence[Any]) -> None:
    for path, kind in zip(paths, kinds, strict=True):
        if kind != kinds[0]:
            raise DataError(f"{path} and {paths[0]} are not parts of one set: {kind} is not {kinds[0]}")
