"""CSV, Parquet and data frames: columns of numbers, brought together as rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.text import listed, shortened
from codeword.data.cells import (
    NUMBER,
    decoded,
    dtype_of,
    first,
    is_list,
    is_number,
    is_text,
    parsed,
)
from codeword.data.reading import check_unpacked, reading

__all__ = [
    "arrow_table",
    "check_names",
    "from_frame",
    "is_large_parquet",
    "labels_of",
    "read_arrow",
    "read_pixels",
    "read_table",
]

Parts = tuple[NDArray[Any], NDArray[Any] | None, tuple[str, ...] | None]

_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)
_ROWS_AT_ONCE = 4096
_BLOCK = 1 << 20
LARGE_BYTES = 1 << 30
_LONGEST_LINE = 1 << 24
MOST_TEXT = 1 << 26  # of a packed table; as columns of numbers it takes several times as much
TEXT_BOMB = 40
_DEFLATE_LIMIT = 1032  # to one: no more can be packed


def read_table(path: Path, label_column: str | None, *, missing: bool = False) -> Parts:
    """Return the numbers, the labels and the column names of a CSV, TSV or Parquet file.

    With `missing`, empty cells become NaN.

    Raises
    ------
    DataError
        If the file is damaged or empty, a cell is missing, not finite or not a number, or there is no column
        of the name `label_column`.
    """
    table = read_arrow(path, label_column)
    with reading(path, "a table"):
        return _from_arrow(table, label_column, str(path), missing=missing)


def read_arrow(path: Path, label_column: str | None, as_text: Collection[str] = ()) -> Any:
    """Return a CSV, TSV or Parquet file as a pyarrow Table, under the names of its columns.

    Cells of a CSV or TSV file have the type that they look like, but in the columns `as_text`.
    """
    if path.name.lower().endswith((".parquet", ".pq")):
        return _read_parquet(path)
    return _read_csv(path, label_column, as_text)


def from_frame(frame: Any, label_column: str | None, *, missing: bool = False) -> Parts:
    """Return the numbers, the labels and the column names of a pandas or polars data frame."""
    table = arrow_table(frame)
    with reading("the DataFrame", "columns of numbers"):
        label_column = None if label_column is None else str(label_column)
        return _from_arrow(table, label_column, "the DataFrame", missing=missing)


def arrow_table(frame: Any) -> Any:
    """Return a DataFrame (pandas or polars) as a pyarrow Table, without its index."""
    import pyarrow as pa

    with reading("the DataFrame", "columns of one type each"):
        if isinstance(frame, pa.Table):
            return frame
        if hasattr(frame, "to_arrow"):
            return frame.to_arrow()
        return pa.Table.from_pandas(_without_intervals(frame), preserve_index=False)


def _without_intervals(frame: Any) -> Any:
    """A pandas DataFrame with intervals, as `pandas.cut` makes them, as words: Arrow has no type for them."""
    words = {}
    for name, dtype in frame.dtypes.items():
        categories = getattr(dtype, "categories", None)
        if getattr(getattr(categories, "dtype", dtype), "name", "").startswith("interval"):
            column = frame[name]
            known = column.cat.rename_categories(str) if categories is not None else column.astype(str)
            words[name] = known if categories is not None else known.where(column.notna(), None)
    frame = frame.copy(deep=False) if words else frame
    for name, column in words.items():
        frame[name] = column
    return frame


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """Return a CSV file without a header, all of integers from 0 to 255, as (n, d) uint8."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with reading(path, "a table of pixels"):
        columns = [f"column_{i}" for i in range(len(_first_line(path).split(",")))]
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=columns),
            convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.uint8())),
        )
        return _matrix(table.columns)


def is_large_parquet(*paths: Path) -> bool:
    """Whether Parquet files are, together, better read a row group at a time."""
    from pyarrow import parquet

    large = 0
    for path in paths:
        if not path.name.lower().endswith((".parquet", ".pq")):
            return False
        with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
            groups = range(file.metadata.num_row_groups)
            stored = sum(file.metadata.row_group(i).total_byte_size for i in groups)
            # Values that repeat take no room in the file, and all of it in memory.
            large += max(stored, 4 * file.metadata.num_rows * file.metadata.num_columns)
    return large > LARGE_BYTES


def _read_parquet(path: Path) -> Any:
    from pyarrow import parquet

    with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
        table = file.read()
    # pandas keeps the index of a frame as a column of this name: it names rows and measures nothing.
    index = [name for name in table.column_names if name.startswith("__index_level_")]
    return table.drop_columns(index) if index else table


def _read_csv(path: Path, label_column: str | None, as_text: Collection[str]) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with reading(path, "a table of text in UTF-8"):
        _check_packed(path)
        line = _first_line(path)
        delimiter = _delimiter(path, line)
        cells = next(csv.reader([line], delimiter=delimiter), [])
        columns = [f"column_{i}" for i in range(len(cells))] if _all_numbers(cells) else None
        names = columns or cells
        options = {
            "read_options": arrow_csv.ReadOptions(
                column_names=columns, block_size=max(_BLOCK, 32 * len(line))
            ),
            "parse_options": arrow_csv.ParseOptions(delimiter=delimiter),
        }
        # Types are guessed from the first block; where a later one does not fit, cells are read as text and
        # judged here. The labels join in only if they were what did not fit.
        text = dict.fromkeys(names, pa.string())
        told = {name: kind for name, kind in text.items() if name in as_text}
        for types in (told, {name: kind for name, kind in text.items() if name != label_column}, text):
            try:
                convert = arrow_csv.ConvertOptions(column_types=types)
                return arrow_csv.read_csv(path, convert_options=convert, **options)
            except pa.ArrowInvalid as error:
                if "conversion error" not in str(error):
                    _explain_ragged(path, columns, delimiter)
                    raise
        raise DataError(f"{path} holds cells that are not text in UTF-8: save it in that encoding")


def _check_packed(path: Path) -> None:
    """Raise a DataError if a packed table would fill the memory: it is unpacked once, a block at a time."""
    import pyarrow as pa

    packed, found = path.stat().st_size, 0
    if not path.name.lower().endswith(".gz") or packed * _DEFLATE_LIMIT < MOST_TEXT:
        return
    with pa.input_stream(str(path), compression="gzip") as stream:
        while chunk := stream.read(_BLOCK):
            found += len(chunk)
            check_unpacked(path, packed, found, MOST_TEXT, TEXT_BOMB)


def _first_line(path: Path) -> str:
    import pyarrow as pa

    head = b""
    with pa.input_stream(str(path), compression="detect") as stream:
        while b"\n" not in head.lstrip(b"\xef\xbb\xbf\r\n") and len(head) < _LONGEST_LINE:
            chunk = stream.read(_BLOCK)
            if not chunk:
                break
            head += chunk
    if len(head) >= _LONGEST_LINE and b"\n" not in head:
        raise DataError(f"{path} has no line break in its first {len(head):,} bytes: expected a table")
    return (head.decode("utf-8-sig", "replace").lstrip("\r\n").splitlines() or [""])[0]


def _delimiter(path: Path, line: str) -> str:
    """Tabs in a .tsv file; elsewhere commas, or where the first line has none, what it has instead."""
    if path.name.lower().endswith((".tsv", ".tsv.gz")):
        return "\t"
    return next((mark for mark in (",", ";", "\t") if mark in line), ",")


def _all_numbers(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    try:
        [float(cell) for cell in filled]
    except ValueError:
        return False
    return bool(filled)


def _explain_ragged(path: Path, columns: list[str] | None, delimiter: str) -> None:
    """Raise an error that names the first line of a wrong length, if there is one.

    The file is read again, since only a reader of one thread counts lines.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=columns, use_threads=False),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
        )
    except pa.ArrowInvalid as error:
        found = _RAGGED.search(str(error))
        if found:
            line, expected, actual, text = found.groups()
            raise DataError(
                f"{path}: line {line} has {actual} cells, expected {expected} as in the first line: "
                f"{shortened(text, 60)!r}"
            ) from None


def _from_arrow(table: Any, label_column: str | None, where: str, *, missing: bool) -> Parts:
    names = [str(name) for name in table.column_names]
    check_names(names, table.num_rows, label_column, where)
    y = None
    if label_column is not None:
        index = names.index(label_column)
        y = labels_of(table.column(index), label_column, where)
        names.pop(index)
        table = table.remove_column(index)
    columns = [decoded(column) for column in table.columns]
    if len(columns) == 1 and is_list(columns[0].type):
        return _from_lists(columns[0], names[0], where), y, None
    columns = _numbers(columns, names, label_column, where)
    if missing:
        columns = [_with_nan(column) for column in columns]
    else:
        _check_missing(columns, names, where)
    x = _matrix(columns)
    _check_finite(x, names, where, missing=missing)
    return x, y, tuple(names)


def check_names(names: list[str], rows: int, label_column: str | None, where: str) -> None:
    """Raise a DataError where there are no rows, two columns of one name, or no such column of labels."""
    if rows == 0 or not names:
        raise DataError(f"{where} holds no rows: expected a line of column names and then numbers")
    twice = (
        next((name for name in names if names.count(name) > 1), None)
        if len(set(names)) < len(names)
        else None
    )
    if twice is not None:
        raise DataError(f"{where} has two columns called {twice!r}: rename one")
    if label_column is None:
        return
    if label_column not in names:
        raise DataError(f"{where} has no column {label_column!r}; its columns: {listed(names)}")
    if len(names) == 1:
        raise DataError(
            f"{where} has no column besides the labels {label_column!r}: expected columns of numbers"
        )


def labels_of(column: Any, name: str, where: str) -> NDArray[Any]:
    """Return the cells of a column as labels, or raise a DataError where one is missing."""
    import pyarrow as pa

    column = decoded(column)
    if pa.types.is_nested(column.type):
        raise DataError(f"{where}: column {name!r} holds {column.type} values: expected labels, one a row")
    if column.null_count:
        raise _missing(where, first(column.is_null()), name)
    if is_text(column.type):
        return np.array(column.to_pylist(), dtype=str)
    return np.asarray(column.to_numpy())


def _numbers(columns: list[Any], names: list[str], label_column: str | None, where: str) -> list[Any]:
    """Turn columns of text that hold nothing but numbers into numbers, and refuse all other text."""
    alien = [name for column, name in zip(columns, names, strict=True) if not is_number(column.type)]
    out, bad = [], []
    for column, name in zip(columns, names, strict=True):
        if is_number(column.type):
            out.append(column)
        elif not is_text(column.type):
            raise DataError(
                f"{where}: column {name!r} holds {column.type} values: expected numbers; convert or drop it"
            )
        else:
            numbers, row = parsed(column)
            if numbers is None:
                bad.append((row, name, column))
            out.append(numbers)
    if bad:
        row, name, column = min(bad, key=lambda each: each[0])
        raise _word(
            column, row, name, where, may_be_labels=label_column is None and len(bad) == 1 == len(alien)
        )
    return out


def _word(column: Any, row: int, name: str, where: str, *, may_be_labels: bool) -> DataError:
    import pyarrow.compute as pc

    word = shortened(column[row].as_py(), 40)
    any_number = pc.any(pc.match_substring_regex(column, NUMBER)).as_py()
    advice = f"pass --label-column {name if name.isprintable() else repr(name)} if it holds labels"
    if not any_number:
        others = "" if may_be_labels else ", and drop others of words, or give the table itself to `fit`"
        return DataError(
            f"{where}: column {name!r} holds words (row {row + 1}: {word!r}): expected numbers; "
            f"{advice}{others}"
        )
    end = f"correct it, or {advice}" if may_be_labels else "correct it or drop the column"
    return DataError(f"{where}: row {row + 1}, column {name!r} holds {word!r}: expected a number; {end}")


def _missing(where: str, row: int, name: str) -> DataError:
    return DataError(
        f"{where}: row {row + 1}, column {name!r} is empty or NaN: expected a number; fill it, drop the row, "
        "or train with --objective 'masked(missing=\"mask\")'"
    )


def _check_missing(columns: list[Any], names: list[str], where: str) -> None:
    holes = [(first(column.is_null()), i) for i, column in enumerate(columns) if column.null_count]
    if holes:
        row, i = min(holes)
        raise _missing(where, row, names[i])


def _with_nan(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(pa.float64()).fill_null(float("nan")) if column.null_count else column


def _check_finite(x: NDArray[Any], names: list[str], where: str, *, missing: bool) -> None:
    bad = np.isinf if missing else lambda values: ~np.isfinite(values)
    if x.dtype.kind != "f" or not bad(x).any():
        return
    row, i = (int(place) for place in np.argwhere(bad(x))[0])
    if np.isnan(x[row, i]):
        raise _missing(where, row, names[i])
    raise DataError(
        f"{where}: row {row + 1}, column {names[i]!r} holds {x[row, i]}: expected a finite number"
    )


def _matrix(columns: list[Any]) -> NDArray[Any]:
    """Bring columns together as rows, a few thousand at once so that they stay in the processor's cache."""
    import pyarrow as pa

    dtype = np.result_type(*{dtype_of(column) for column in columns})
    table = pa.table(columns, names=[str(i) for i in range(len(columns))])
    x = np.empty(table.shape, dtype)
    start = 0
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        block = x[start : start + len(batch)]
        for i, column in enumerate(batch.columns):
            block[:, i] = column.to_numpy(zero_copy_only=False)
        start += len(batch)
    return x


def _from_lists(column: Any, name: str, where: str) -> NDArray[Any]:
    """Return a column whose cells are lists, all alike, as (n, length, …)."""
    import pyarrow.compute as pc

    shape = [len(column)]
    while is_list(column.type):
        lengths = pc.list_value_length(column)
        if column.null_count or pc.count_distinct(lengths).as_py() != 1:
            raise DataError(
                f"{where}: the lists of column {name!r} differ in length: expected lists all alike"
            )
        shape.append(lengths[0].as_py())
        column = pc.list_flatten(column)
    if not is_number(column.type) or column.null_count:
        raise DataError(
            f"{where}: the lists of column {name!r} hold {column.type} or empty cells: expected numbers"
        )
    x = _matrix([column]).reshape(shape)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0][0])
        raise DataError(
            f"{where}: row {row + 1}, column {name!r} holds NaN or infinity: expected finite numbers"
        )
    return x
