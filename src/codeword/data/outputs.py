"""Rows to a file, a block at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from codeword.base.errors import InputError
from codeword.base.files import check_free, writing
from codeword.base.progress import Progress
from codeword.data.data import Data
from codeword.data.rows import blocks
from codeword.data.scaling import check_finite

__all__ = ["FORMATS", "check_output", "row_writer", "write_rows"]

FORMATS = (".npy", ".npz", ".csv", ".parquet")


class RowWriter(Protocol):
    """Takes rows in order."""

    def __call__(self, rows: np.ndarray[Any, Any], /) -> None: ...


def check_output(path: Path, *, overwrite: bool, formats: Sequence[str] = FORMATS) -> Path:
    """Say early, before any work is done, that `path` cannot be written.

    Raises
    ------
    InputError
        If its ending is not one of `formats`, it exists, or its folder does not.
    """
    if path.suffix.lower() not in formats:
        raise InputError(
            f"{path}: cannot tell the format from the ending {path.suffix!r}; use {', '.join(formats)}"
        )
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file in it, such as {path / path.name}")
    return check_free(path, overwrite=overwrite)


@contextmanager
def row_writer(
    path: str | os.PathLike[str],
    n: int,
    shape: tuple[int, ...],
    names: Sequence[str],
    *,
    overwrite: bool = False,
) -> Iterator[RowWriter]:
    """A function that takes `n` float32 rows of `shape`, some at a time, into a file that appears when whole.

    `names` are the columns of a CSV or Parquet file, one for each value of a row. Memory holds a block, but
    for `.npz`, whose rows are collected first.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    with writing(check_output(path, overwrite=overwrite), overwrite=overwrite) as new:
        if suffix in (".npy", ".npz"):
            with _array_writer(new, n, shape, key="z" if names[0] == "z0" else "x") as write:
                yield write
        else:
            with _table_writer(new, list(names)) as write:
                yield write


def write_rows(
    function: Callable[[Data], Any],
    data: Data,
    path: Path,
    shape: tuple[int, ...],
    names: Sequence[str],
    *,
    overwrite: bool,
    verbose: bool,
) -> None:
    """Write `function` of the rows of `data`, each of which becomes one of `shape`, a block at a time."""
    with (
        row_writer(path, len(data), shape, names, overwrite=overwrite) as write,
        Progress(len(data), path.name, verbose=verbose) as progress,
    ):
        for start, block in blocks(data.x):
            # Here, where the number of the row in the whole is known.
            check_finite(block, start, missing=data.missing)
            write(function(replace(data, x=block, y=None)))
            progress.rows(len(block))


@contextmanager
def _array_writer(path: Path, n: int, shape: tuple[int, ...], *, key: str) -> Iterator[RowWriter]:
    packed = path.suffix.lower() == ".npz"
    with open(path, "wb") as file:
        if not packed:
            header = {"descr": "<f4", "fortran_order": False, "shape": (n, *shape)}
            np.lib.format.write_array_header_1_0(file, header)
        rows: list[np.ndarray[Any, Any]] = []

        def write(block: np.ndarray[Any, Any]) -> None:
            block = np.ascontiguousarray(block, dtype="<f4")
            if packed:
                rows.append(block)
            else:
                file.write(block.data)

        yield write
        if packed:
            # By name: numpy before 2.1 would store an allow_pickle among the arrays.
            whole = np.concatenate(rows)
            np.savez_compressed(file, z=whole) if key == "z" else np.savez_compressed(file, x=whole)


@contextmanager
def _table_writer(path: Path, names: list[str]) -> Iterator[RowWriter]:
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.float32()) for name in names])
    make = pq.ParquetWriter if path.suffix.lower() == ".parquet" else pa_csv.CSVWriter
    with open(path, "wb") as file, make(file, schema) as writer:  # a name need not be text, as pyarrow asks

        def write(block: np.ndarray[Any, Any]) -> None:
            columns = np.asarray(block, dtype=np.float32).reshape(len(block), -1).T
            writer.write_table(pa.table([np.ascontiguousarray(c) for c in columns], schema=schema))

        yield write
