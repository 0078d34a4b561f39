"""Rows and tables to a file, a chunk at a time; the file appears when it is whole."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from codeword.base.errors import InputError
from codeword.base.files import check_free, writing
from codeword.base.progress import Progress
from codeword.data.data import Data
from codeword.data.rows import blocks, check_finite

if TYPE_CHECKING:
    from codeword.data.columns import Columns

FORMATS = (".npy", ".npz", ".csv", ".parquet")


def check_output(path: Path, *, overwrite: bool, formats: Sequence[str] = FORMATS) -> Path:
    """Say early, before any work is done, that `path` cannot be written.

    Raises InputError if its ending is not one of `formats`, it exists, or its folder does not.
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
    names: Sequence[str] | None = None,
    *,
    columns: Columns | None = None,
    overwrite: bool = False,
) -> Iterator[Callable[[NDArray[Any]], object]]:
    """A function that takes `n` float32 rows of `shape`, some at a time, into a file.

    `names` are the columns of a CSV or Parquet file, one for each value of a row, by default x0, x1, …; with
    `columns`, which made the rows of a mixed table, it gets the table's own. Memory holds a chunk, but for
    `.npz`, whose rows are collected first.
    """
    path = check_output(Path(path), overwrite=overwrite)
    names = [f"x{i}" for i in range(math.prod(shape))] if names is None else list(map(str, names))
    suffix = path.suffix.lower()
    if suffix == ".npy":
        header = {"descr": "<f4", "fortran_order": False, "shape": (n, *shape)}
        with writing(path, overwrite=overwrite) as new, open(new, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            yield lambda rows: file.write(np.ascontiguousarray(rows, dtype="<f4").data)
        return
    if suffix == ".npz":
        parts: list[NDArray[Any]] = []
        with writing(path, overwrite=overwrite) as new, open(new, "wb") as file:
            yield lambda rows: parts.append(np.array(rows, dtype="<f4"))
            whole = np.concatenate(parts)
            # By name: numpy before 2.1 would store an allow_pickle among the arrays.
            np.savez_compressed(file, z=whole) if names[0] == "z0" else np.savez_compressed(file, x=whole)
        return
    schema = pa.schema([(name, pa.float32()) for name in names])
    if columns is not None:
        csv = suffix == ".csv"  # which knows no dictionaries
        own = [(each.name, each.cell_type if csv else each.arrow_type) for each in columns.columns_]
        schema = pa.schema(own)

    def table(rows: NDArray[Any]) -> pa.Table:
        if columns is not None:
            return columns.inverse_table(rows).cast(schema)
        values = np.asarray(rows, dtype=np.float32).reshape(len(rows), -1).T
        return pa.table([np.ascontiguousarray(column) for column in values], schema=schema)

    with table_writer(path, schema, overwrite=overwrite) as write_table:
        yield lambda rows: write_table(table(rows))


def write_rows(
    function: Callable[[Data], Any],
    data: Data,
    path: Path,
    shape: tuple[int, ...],
    names: Sequence[str] | None = None,
    *,
    columns: Columns | None = None,
    overwrite: bool,
    verbose: bool,
) -> None:
    """Write `function` of the rows of `data`, each of which becomes one of `shape`, a chunk at a time."""
    with (
        row_writer(path, len(data), shape, names, columns=columns, overwrite=overwrite) as write,
        Progress(len(data), path.name, verbose=verbose) as progress,
    ):
        for start, block in blocks(data.x):
            # Here, where the number of the row in the whole is known.
            check_finite(block, start, missing=data.missing)
            write(function(replace(data, x=block, y=None)))
            progress.rows(len(block))


@contextmanager
def table_writer(
    path: Path, schema: pa.Schema, *, overwrite: bool = False
) -> Iterator[Callable[[pa.Table], None]]:
    """A function that takes pyarrow Tables into a CSV or, by the path's ending, a Parquet file."""

    make = pq.ParquetWriter if path.suffix.lower() == ".parquet" else pa_csv.CSVWriter
    with (
        writing(path, overwrite=overwrite) as new,
        open(new, "wb") as file,  # a name need not be text, as pyarrow asks
        make(file, schema) as writer,
    ):
        yield writer.write_table
