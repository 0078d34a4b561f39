"""Rows in and out, by the kind of model; `codeword.data` takes this over."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codeword.cli.options import size_of

if TYPE_CHECKING:
    from codeword.data import Data
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
    from codeword.data import load

    with warnings.catch_warnings():
        # Training says what columns are taken for, and which are left out.
        warnings.filterwarnings("ignore", "column .* is left out: it ")
        return load(
            source,
            split,
            label_column=label_column,
            size=size_of(size),
            missing=ae.takes_missing,
            kinds=_kinds(kind or ()),
            columns=getattr(ae, "columns_", None),
        )


def _kinds(words: Sequence[str]) -> dict[str, str]:
    """What columns are, of words such as zip=category."""
    from codeword.base.errors import ParameterError
    from codeword.data.column import KINDS

    kinds: dict[str, str] = {}
    allowed = (*KINDS, LEAVE_OUT)
    for text in words:
        name, mark, kind = (part.strip() for part in text.rpartition("="))
        if not mark or not name:
            raise ParameterError(f"--kind must be COLUMN=KIND, as in zip=category. Got {text!r} instead.")
        if kind not in allowed:
            raise ParameterError(f"--kind {name}={kind}: expected one of {', '.join(allowed)}")
        kinds[name] = kind.replace(LEAVE_OUT, "leave out")
    return kinds


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
