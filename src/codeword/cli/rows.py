"""Rows in and out, by the kind of model; `codeword.data` takes this over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codeword.cli.options import size_of

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.data.columns import Columns
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["columns", "load_rows", "own_writer", "write_own"]

LEAVE_OUT = "leave-out"
"""What the command line calls the kind of columns that nothing is learnt from."""


def load_rows(
    ae: AutoEncoder,
    source: str,
    split: str,
    label_column: str | None,
    size: str | None,
    kind: Sequence[str] | None = None,
) -> Data:
    """The rows of a source, with empty cells where the model takes them.

    A table goes through the columns of a model that has them; a model that is yet to be trained gets columns
    where the table is mixed, or `kind` says what some of them are.
    """
    from codeword.base.errors import DataError
    from codeword.data import load

    known = getattr(ae, "columns_", None)
    if known is not None:
        table = _table(source, label_column, mixed=False, as_text=known.words)
        if table is not None:
            return _mixed_rows(known, table, source, label_column)
    if kind:
        return _of_kinds(kind, source, label_column)
    try:
        return load(source, split, label_column=label_column, size=size_of(size), missing=ae.takes_missing)
    except DataError:
        table = None if known is not None or hasattr(ae, "network_") else _table(source, label_column)
        if table is None:
            raise
    return _fitted(table, source, label_column, {})


def _of_kinds(kind: Sequence[str], source: str, label_column: str | None) -> Data:
    """The rows of a table, of whose columns some are of a kind that was given."""
    from codeword.base.errors import ParameterError

    kinds: dict[str, str] = {}
    for text in kind:
        name, mark, what = text.rpartition("=")
        if not mark or not name:
            raise ParameterError(f"--kind must be COLUMN=KIND, as in zip=category. Got {text!r} instead.")
        kinds[name] = what.strip()
    words = [name for name, what in kinds.items() if what == "category"]
    table = _table(source, label_column, mixed=False, as_text=words)
    if table is None:
        raise ParameterError(
            f"--kind is for a CSV, TSV or Parquet file, or a folder of the last; {source} is none"
        )
    return _fitted(table, source, label_column, kinds)


def _fitted(table: Any, source: str, label_column: str | None, kinds: dict[str, str]) -> Data:
    from codeword.base.errors import ParameterError
    from codeword.base.text import listed
    from codeword.data.column import KINDS
    from codeword.data.columns import Columns

    own = table if label_column is None else table.drop_columns([label_column])
    allowed = (*KINDS, LEAVE_OUT)
    for name, what in kinds.items():
        if name == label_column:
            raise ParameterError(f"--kind: column {name!r} holds the labels, which nothing is learnt from")
        if name not in own.column_names:
            raise ParameterError(f"--kind: {source} has no column {name!r}: {listed(own.column_names)}")
        if what not in allowed:
            raise ParameterError(f"--kind {name}={what}: expected one of {', '.join(allowed)}")
    kinds = {name: what.replace(LEAVE_OUT, "leave out") for name, what in kinds.items()}
    return _mixed_rows(Columns(kinds or None).fit(own), table, source, label_column)


def _table(
    source: str, label_column: str | None, *, mixed: bool = True, as_text: Collection[str] = ()
) -> Any:
    """The pyarrow Table of a file, or of parts; None of other sources and, with `mixed`, of numbers alone."""
    from codeword.data.data import table_files
    from codeword.data.mixed import table_of_files

    files = table_files(source)
    return table_of_files(files, label_column, mixed=mixed, as_text=as_text) if files else None


def _mixed_rows(columns: Columns, table: Any, source: str, label_column: str | None) -> Data:
    from codeword.data.mixed import read_labels

    data = replace(columns.transform(table, where=source), source=Path(source).name)
    return data if label_column is None else replace(data, y=read_labels(table, label_column, source))


@contextmanager
def own_writer(ae: AutoEncoder, path: Path, n: int, *, overwrite: bool) -> Iterator[Callable[[Any], None]]:
    """A function that takes `n` rows of a model, some at a time, into a file that appears when whole.

    Of a mixed table a CSV or Parquet file gets the table's own columns, and an array the rows of numbers.
    """
    own = getattr(ae, "columns_", None)
    if own is None or path.suffix.lower() not in (".csv", ".parquet"):
        from codeword.data.outputs import row_writer

        with row_writer(path, n, ae.sample_shape_, columns(ae), overwrite=overwrite) as write:
            yield write
        return
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    from codeword.base.files import writing

    parquet = path.suffix.lower() == ".parquet"
    schema = own.schema(plain=not parquet)
    with (
        writing(path, overwrite=overwrite) as new,
        (pq.ParquetWriter if parquet else pa_csv.CSVWriter)(str(new), schema) as writer,
    ):
        yield lambda rows: writer.write_table(own.inverse_table(rows).cast(schema))


def write_own(
    function: Callable[[Data], Any],
    ae: AutoEncoder,
    data: Data,
    path: Path,
    *,
    overwrite: bool,
    verbose: bool,
) -> None:
    """Write `function` of the rows of `data`, which gives rows of the model, a block at a time."""
    if getattr(ae, "columns_", None) is None:
        from codeword.data.outputs import write_rows

        shape, names = ae.sample_shape_, columns(ae)
        write_rows(function, data, path, shape, names, overwrite=overwrite, verbose=verbose)
        return
    from codeword.base.progress import Progress
    from codeword.data.rows import blocks

    with (
        own_writer(ae, path, len(data), overwrite=overwrite) as write,
        Progress(len(data), path.name, verbose=verbose) as progress,
    ):
        for _, block in blocks(data.x, 8 << 20):
            write(function(replace(data, x=block, y=None)))
            progress.rows(len(block))


def columns(ae: AutoEncoder) -> list[str]:
    """What the values of a row are called."""
    names = getattr(ae, "feature_names_in_", None)
    return [f"x{i}" for i in range(ae.n_features_in_)] if names is None else [str(name) for name in names]
