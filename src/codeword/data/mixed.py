"""Tables whose columns are not all numbers: which these are, as pyarrow holds them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.data.cells import decoded, is_text, is_time, nearly_numbers, parsed, without_blanks
from codeword.data.reading import reading
from codeword.data.tables import arrow_table, check_names, is_large_parquet, labels_of, read_arrow

__all__ = ["mixed_frame", "read_labels", "table_of_files"]


def table_of_files(
    paths: Sequence[Path], label_column: str | None = None, *, mixed: bool, as_text: Collection[str] = ()
) -> Any:
    """Return a CSV, TSV or Parquet file, or several of the last, as one pyarrow Table.

    With `mixed` it is None where that is no mixed table. Of more than a gigabyte of Parquet it always is.

    The columns `as_text` hold words, whatever they look like: what a file has in them tells one file's
    cells from another's, and 01234 from 1234.

    A mixed table has, besides the labels, a column of words, dates or times. Cells that are blank or say NA
    are missing.

    Raises
    ------
    DataError
        If a file is damaged or empty, two of its columns have one name, or files have other columns.
    """
    path = paths[0] if len(paths) == 1 else paths[0].parent
    if (mixed or len(paths) > 1) and is_large_parquet(*paths):
        return None
    parquet = paths[0].name.lower().endswith((".parquet", ".pq"))
    table = _together([read_arrow(each, label_column, as_text) for each in paths], paths)
    with reading(path, "a table"):
        check_names(table.column_names, table.num_rows, label_column, str(path))
        if not parquet:
            for i, column in enumerate(table.columns):
                if is_text(column.type):
                    table = table.set_column(i, table.column_names[i], without_blanks(column))
        return table if not mixed or _is_mixed(table, label_column) else None


def _together(tables: Sequence[Any], paths: Sequence[Path]) -> Any:
    import pyarrow as pa

    for table, path in zip(tables, paths, strict=True):
        with reading(path, "a table"):  # names may be no UTF-8
            same = sorted(table.column_names) == sorted(tables[0].column_names)
        if not same:
            raise DataError(f"{path} and {paths[0]} are not parts of one table: their columns differ")
    names = tables[0].column_names
    with reading(paths[0].parent, "parts of one table"):
        return pa.concat_tables([table.select(names) for table in tables], promote_options="permissive")


def mixed_frame(frame: Any) -> Any:
    """Return a DataFrame (pandas or polars) or pyarrow Table as the latter; None where it is not mixed.

    Raises
    ------
    DataError
        If a column holds values of several types.
    """
    import pyarrow as pa

    if not isinstance(frame, pa.Table):
        dtypes = getattr(frame, "dtypes", None)
        if dtypes is None or not hasattr(frame, "columns"):
            return None
        if all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes):
            return None
    table = arrow_table(frame)
    return table if table.num_rows and _is_mixed(table, None) else None


def read_labels(table: Any, label_column: str, where: str) -> NDArray[Any]:
    """Return the labels of a pyarrow Table, shape (n,).

    Raises
    ------
    DataError
        If there is no column of that name, or a cell of it is missing.
    """
    check_names(table.column_names, table.num_rows, label_column, where)
    return labels_of(table.column(label_column), label_column, where)


def _is_mixed(table: Any, label_column: str | None) -> bool:
    """Whether a column besides the labels is of words, dates, times or categories.

    A column half of whose cells are numbers is one of numbers, with mistakes in it.
    """
    import pyarrow as pa

    for name, column in zip(table.column_names, table.columns, strict=True):
        if str(name) == label_column:
            continue
        if pa.types.is_dictionary(column.type) and not is_text(column.type.value_type):
            return True
        column = decoded(column)
        if is_time(column.type):
            return True
        if is_text(column.type) and parsed(column)[0] is None and not nearly_numbers(column):
            return True
    return False
