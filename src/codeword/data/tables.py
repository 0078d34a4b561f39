"""CSV, Parquet and data frames as Arrow tables, and the columns of an Arrow table as numbers or labels."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from codeword.base.errors import DataError
from codeword.base.text import listed, shortened
from codeword.data.reading import check_unpacked, opened, reading
from codeword.data.rows import Part, PartFolder, first_not_finite

NUMBER = r"(?i)^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$|^\s*[+-]?(inf|infinity)\s*$"
_FLOAT32_INTEGERS = 1 << 24  # up to here float32 holds every integer
_ROWS_AT_ONCE = 4096
_BLOCK = 1 << 20
LARGE_BYTES = 1 << 30
_LONGEST_LINE = 1 << 24
MOST_TEXT = 1 << 26  # of a packed table; as columns of numbers it takes several times as much
TEXT_BOMB = 40


# -- Arrow tables of files and frames -----------------------------------------------------------------------


def is_table(source: Any) -> bool:
    """Whether an object is a table of named columns: a DataFrame (pandas or polars), a pyarrow Table, …."""
    return hasattr(source, "columns") and (
        hasattr(source, "__arrow_c_stream__") or hasattr(source, "to_numpy")
    )


def arrow_table(frame: Any) -> Any:
    """Return a DataFrame (pandas or polars) or another holder of Arrow columns as a pyarrow Table.

    The index of a DataFrame is no column of it.
    """
    with reading("the DataFrame", "columns of one type each"):
        if hasattr(frame, "to_arrow"):
            return frame.to_arrow()
        if hasattr(frame, "iloc"):
            return pa.Table.from_pandas(_without_intervals(frame), preserve_index=False)
        return pa.table(frame)


def _without_intervals(frame: Any) -> Any:
    """A pandas DataFrame with intervals, as `pandas.cut` makes them, as words: Arrow has no type for them."""
    own, frame = frame, frame.copy(deep=False)
    for name, dtype in own.dtypes.items():
        if hasattr(dtype, "categories") and str(dtype.categories.dtype).startswith("interval"):
            frame[name] = own[name].cat.rename_categories(str)
        elif str(dtype).startswith("interval"):
            frame[name] = own[name].astype(str).where(own[name].notna(), None)
    return frame


def mixed_table(frame: Any) -> Any:
    """Return a DataFrame or pyarrow Table with columns that are no numbers as the latter; None of others.

    Raises DataError if a column holds values of several types.
    """
    if not is_table(frame):
        return None
    dtypes = getattr(frame, "dtypes", None)
    if dtypes is not None and all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes):
        return None
    table = arrow_table(frame)
    return table if table.num_rows and is_mixed(table) else None


def read_tables(paths: Sequence[Path], label_column: str | None, as_text: Collection[str] = ()) -> Any:
    """Return a CSV, TSV or Parquet file, or several of the last, as one pyarrow Table.

    Cells of a CSV or TSV file have the type that they look like, but those of the columns `as_text` are text:
    what a file has in them tells one file's cells from another's, and 01234 from 1234. Cells of text that are
    blank or say NA are missing.

    Raises DataError if a file is damaged, or files have other columns.
    """
    if _are_parquet(paths):
        return _read_parquet(paths)
    with reading(paths[0], "a table in UTF-8, with as many cells in each line"):
        table = _read_csv(paths[0], label_column, as_text)
        for i, column in enumerate(table.columns):
            if is_text(column.type):
                table = table.set_column(i, table.column_names[i], without_blanks(column))
        return table


def _are_parquet(paths: Sequence[Path]) -> bool:
    return all(path.name.lower().endswith((".parquet", ".pq")) for path in paths)


def _read_parquet(paths: Sequence[Path], columns: list[str] | None = None) -> Any:
    tables = []
    for path in paths:
        with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
            table = file.read(columns)
            tables.append(table.drop_columns(list(filter(_names_rows, table.column_names))))
    if len(tables) == 1:
        return tables[0]
    names = _alike(paths, [table.column_names for table in tables])
    with reading(paths[0].parent, "parts of one table"):
        return pa.concat_tables([table.select(names) for table in tables], promote_options="permissive")


def _names_rows(column: str) -> bool:
    """Whether a column is the index of a DataFrame that pandas wrote: it measures nothing."""
    return column.startswith("__index_level_")


def _alike(paths: Sequence[Path], names: Sequence[Sequence[str]]) -> list[str]:
    """The columns of the first file, which must be those of all, in whatever order."""
    for path, each in zip(paths, names, strict=True):
        if sorted(each) != sorted(names[0]):
            raise DataError(f"{path} and {paths[0]} are not parts of one table: their columns differ")
    return list(names[0])


def _read_csv(path: Path, label_column: str | None, as_text: Collection[str]) -> Any:
    line = _first_line(path)
    tabs = path.name.lower().endswith((".tsv", ".tsv.gz"))
    delimiter = "\t" if tabs else next((mark for mark in (",", ";", "\t") if mark in line), ",")
    names = next(csv.reader([line], delimiter=delimiter), [])
    headless = _all_numbers(names)
    names = [f"column_{i}" for i in range(len(names))] if headless else names
    read = arrow_csv.ReadOptions(column_names=names if headless else None)
    read.block_size = max(_BLOCK, 32 * len(line))
    parse = arrow_csv.ParseOptions(delimiter=delimiter)
    # Types are guessed from the first block; where a later one does not fit, cells are read as text and
    # judged here. The labels join in only if they were what did not fit.
    for text in (as_text, [name for name in names if name != label_column]):
        try:
            convert = arrow_csv.ConvertOptions(column_types=dict.fromkeys(text, pa.string()))
            return arrow_csv.read_csv(path, read, parse, convert)
        except pa.ArrowInvalid as error:
            if "conversion error" not in str(error):
                break
    # A reader of one thread also says which line is too short or too long.
    read.use_threads = False
    convert = arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return arrow_csv.read_csv(path, read, parse, convert)


def _first_line(path: Path) -> str:
    """The first line with something in it, of a file that is checked to be no decompression bomb."""
    with opened(path) as file:
        found = 0
        while isinstance(file, gzip.GzipFile) and (chunk := file.read(_BLOCK)):
            found += len(chunk)
            check_unpacked(path, path.stat().st_size, found, MOST_TEXT, TEXT_BOMB)
    with io.TextIOWrapper(opened(path), encoding="utf-8-sig", errors="replace") as text:
        while line := text.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise DataError(f"{path} has no line break in {len(line):,} characters: expected a table")
            if line.strip("\n"):
                return line.strip("\n")
    return ""


def _all_numbers(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    try:
        [float(cell) for cell in filled]
    except ValueError:
        return False
    return bool(filled)


# -- columns as numbers and labels --------------------------------------------------------------------------


def check_names(names: Sequence[str], rows: int, label_column: str | None, where: str) -> None:
    """Raise a DataError where there are no rows, two columns of one name, or no such column of labels."""
    if rows == 0 or not names:
        raise DataError(f"{where} holds no rows: expected a line of column names and then numbers")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where} has two columns called {twice!r}: rename one")
    if label_column is None:
        return
    if label_column not in names:
        raise DataError(f"{where} has no column {label_column!r}; its columns: {listed(names)}")
    if len(names) == 1:
        raise DataError(
            f"{where} has no column besides the labels {label_column!r}: expected columns of numbers"
        )


def is_mixed(table: Any) -> bool:
    """Whether a column is of words, dates, times or categories.

    A column half of whose cells are numbers is one of numbers, with mistakes in it.
    """
    for column in table.columns:
        if pa.types.is_dictionary(column.type) and not is_text(column.type.value_type):
            return True
        column = decoded(column)
        if pa.types.is_temporal(column.type):
            return True
        if is_text(column.type) and parsed(column)[0] is None and not nearly_numbers(column):
            return True
    return False


def labels_of(column: Any, name: str, where: str) -> NDArray[Any]:
    """Return the cells of a column as labels, shape (n,): missing ones are NaN or, of text, None.

    Raises DataError if the cells are lists or structures.
    """
    column = decoded(column)
    if pa.types.is_nested(column.type):
        raise DataError(f"{where}: column {name!r} holds {column.type} values: expected labels, one a row")
    if not is_text(column.type):
        return np.asarray(column.to_numpy())
    column = without_blanks(column)
    return np.array(column.to_pylist(), dtype=object if column.null_count else str)


def numbers_of(
    table: Any, where: str, *, missing: bool = False, dtype: np.dtype[Any] | None = None, first_row: int = 0
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Return the columns of an Arrow table as rows of numbers, and the names of the columns.

    Booleans are 0 and 1; decimals are floats; text is what numbers or truths it spells. A single column of
    lists, all alike, becomes (n, length, …), without names. With `missing`, empty cells are NaN. Rows are of
    `dtype` or, without it, uint8 if all columns are, float32 if that holds each value for certain (float32,
    booleans, integers up to 2**24), else float64. Messages call the table `where`, and its first row
    `first_row`, its number in the file that it is of.

    Raises DataError if a cell is not a number, infinite or, without `missing`, empty or NaN; it names row and
    column.
    """
    names = [str(name) for name in table.column_names]
    columns = [decoded(column) for column in table.columns]
    lists = len(columns) == 1 and is_list(columns[0].type)
    if lists:
        x = _from_lists(columns[0], names[0], where, dtype)
    else:
        pairs = zip(columns, names, strict=True)
        columns = [_as_number(column, name, where, first_row) for column, name in pairs]
        if not missing and any(column.null_count for column in columns):
            dtype = np.dtype(np.float64)  # shows the first hole, which is refused below
        x = _matrix(columns, dtype)
    if bad := first_not_finite(x, missing=missing):
        row, i = bad
        value = x.reshape(len(x), -1)[bad]
        what = f"holds {value}: expected a finite number"
        if np.isnan(value):
            what = (
                "is empty or NaN: expected a number; fill it, drop the row, or train with --objective "
                "'masked(missing=\"mask\")'"
            )
        raise DataError(f"{where}: row {first_row + row + 1}, column {names[0 if lists else i]!r} {what}")
    return x, None if lists else tuple(names)


def _dtype_of(kind: Any, limits: Collection[Any], *, holes: bool) -> np.dtype[Any]:
    """The type that holds a column's values for certain: uint8, or the smaller of float32 and float64.

    Integers lie between `limits`; `holes` says whether cells are missing.
    """
    types = pa.types
    if types.is_uint8(kind) and not holes:
        return np.dtype(np.uint8)
    if types.is_integer(kind) and kind.bit_width > 16:
        small = all(abs(value) <= _FLOAT32_INTEGERS for value in limits if value is not None)
    else:
        small = is_number(kind) and not types.is_float64(kind)
    return np.dtype(np.float32 if small else np.float64)


def _as_number(column: Any, name: str, where: str, first_row: int) -> Any:
    """A column as numbers, those that text spells too; all other text is refused."""
    if is_text(column.type):
        numbers, row = parsed(column)
        if numbers is None:
            raise DataError(
                f"{where}: row {first_row + row + 1}, column {name!r} holds "
                f"{shortened(column[row].as_py(), 40)!r}: expected a number; correct it, drop the column, "
                f"or pass --label-column {name!r} if it holds labels"
            )
        return numbers
    if not is_number(column.type):
        raise DataError(
            f"{where}: column {name!r} holds {column.type} values: expected numbers; convert or drop it"
        )
    return column


def _matrix(columns: list[Any], dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """Bring columns together as rows, a few thousand at once so that they stay in the processor's cache."""
    plain, found = [], set()
    for column in columns:
        if dtype is None:
            limits = pc.min_max(column).as_py().values() if pa.types.is_integer(column.type) else ()
            found.add(_dtype_of(column.type, limits, holes=column.null_count > 0))
        if pa.types.is_null(column.type) or (pa.types.is_boolean(column.type) and column.null_count):
            column = column.cast(pa.float32())  # otherwise Arrow makes objects of them
        plain.append(column)
    table = pa.table(plain, names=[str(i) for i in range(len(plain))])
    x = np.empty(table.shape, dtype or np.result_type(*found))
    start = 0
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        block = x[start : start + len(batch)]
        for i, column in enumerate(batch.columns):
            block[:, i] = column.to_numpy(zero_copy_only=False)
        start += len(batch)
    return x


def _from_lists(column: Any, name: str, where: str, dtype: np.dtype[Any] | None) -> NDArray[Any]:
    """Return a column whose cells are lists, all alike, as (n, length, …)."""
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
    return _matrix([column], dtype).reshape(shape)


# -- Parquet files that are read a row group at a time ------------------------------------------------------


def is_large_parquet(paths: Sequence[Path]) -> bool:
    """Whether files are Parquet and, together, better read a row group at a time."""
    if not _are_parquet(paths):
        return False
    large = 0
    for metadata in _metadata(paths):
        stored = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        # Values that repeat take no room in the file, and all of it in memory.
        large += max(stored, 4 * metadata.num_rows * metadata.num_columns)
    return large > LARGE_BYTES


def _metadata(paths: Sequence[Path]) -> list[Any]:
    found = []
    for path in paths:
        with reading(path, "Parquet"):
            found.append(parquet.read_metadata(path))
    return found


def open_parquet(
    paths: Sequence[Path], where: str, label_column: str | None, *, missing: bool
) -> tuple[PartFolder, NDArray[Any] | None, tuple[str, ...] | None]:
    """Rows, labels and column names of Parquet files, read when they are asked for.

    They are what `numbers_of` makes of all files as one table.

    Raises DataError if two files differ in their columns, or a column is no number.
    """
    files = _metadata(paths)
    schemas = [metadata.schema.to_arrow_schema() for metadata in files]
    names = _alike(paths, [[name for name in each.names if not _names_rows(name)] for each in schemas])
    check_names(names, sum(metadata.num_rows for metadata in files), label_column, where)
    names = [name for name in names if name != label_column]
    dtype = np.result_type(*(_stored_dtype(metadata, names, missing) for metadata in files))
    kept: dict[tuple[Path, int], NDArray[Any]] = {}
    groups = []
    for path, metadata in zip(paths, files, strict=True):
        first_row = 0
        for i in range(metadata.num_row_groups):
            n = metadata.row_group(i).num_rows
            if n:
                groups.append((n, partial(_row_group, kept, path, i, first_row, names, dtype, missing)))
            first_row += n
    # A look at the first rows says early what is no number, and the shape of lists.
    sample_shape = groups[0][1]().shape[1:]
    parts = [Part((n, *sample_shape), dtype, read) for n, read in groups]
    rows = PartFolder(parts, block_rows=max(n for n, _ in groups))
    labels = None
    if label_column is not None:
        labels = labels_of(_read_parquet(paths, [label_column]).column(0), label_column, where)
    one_of_lists = len(names) == 1 and is_list(schemas[0].field(names[0]).type)
    return rows, labels, None if one_of_lists else tuple(names)


def _row_group(
    kept: dict[tuple[Path, int], NDArray[Any]],
    path: Path,
    group: int,
    first_row: int,
    columns: list[str],
    dtype: np.dtype[Any],
    missing: bool,
) -> NDArray[Any]:
    """The rows of a row group; the one that was read last is kept."""
    rows = kept.get((path, group))
    if rows is None:
        with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
            table = file.read_row_group(group, columns=columns).select(columns)
            rows, _ = numbers_of(table, str(path), missing=missing, dtype=dtype, first_row=first_row)
        kept.clear()
        kept[path, group] = rows
    return rows


def _stored_dtype(metadata: Any, names: Collection[str], missing: bool) -> np.dtype[Any]:
    """The type that `numbers_of` gives columns of a Parquet file, by what the file says of itself."""
    kinds = {field.name: field.type for field in metadata.schema.to_arrow_schema()}
    found = set()
    for j in range(metadata.num_columns):
        name = metadata.schema.column(j).path
        name = name if name in kinds else name.split(".")[0]
        if name not in names:
            continue
        limits: list[Any] = []
        holes = False
        for i in range(metadata.num_row_groups):
            known = metadata.row_group(i).column(j).statistics
            limits += (known.min, known.max) if known and known.has_min_max else (-np.inf, np.inf)
            holes |= not known or not known.has_null_count or known.null_count > 0
        kind = kinds[name]
        while pa.types.is_dictionary(kind) or is_list(kind):
            kind = kind.value_type
        found.add(_dtype_of(kind, limits, holes=holes and missing))
    return np.result_type(*found)


# -- cells --------------------------------------------------------------------------------------------------


def decoded(column: Any) -> Any:
    """Return the column as plain cells: words of a dictionary, floats of decimals, text of bytes, UTC."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return decoded(column.cast(kind.value_type))
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        text = [None if cell is None else cell.decode("utf-8", "replace") for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(text, pa.string())])
    return column


def is_list(kind: Any) -> bool:
    """Whether the cells are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number(kind: Any) -> bool:
    """Whether the cells are numbers or booleans, or there are none."""
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return any(check(kind) for check in checks)


def is_text(kind: Any) -> bool:
    """Whether the cells are text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_date(kind: Any) -> bool:
    """Whether the cells are days or moments."""
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def without_blanks(column: Any) -> Any:
    """Return a column of text without space around the cells; those that stand for nothing are missing."""
    column = pc.utf8_trim_whitespace(column.cast(pa.string()))
    empty = pc.is_in(column, value_set=pa.array(arrow_csv.ConvertOptions().null_values))
    return pc.if_else(empty, None, column)


def nearly_numbers(column: Any) -> bool:
    """Whether half of the cells of a column of text, or more, are numbers."""
    numbers = pc.sum(pc.match_substring_regex(column, NUMBER)).as_py() or 0
    return bool(2 * numbers >= max(1, len(column) - column.null_count))


def parsed(column: Any) -> tuple[Any, int]:
    """Return a column of text as numbers, or None and the first row that is neither a number nor empty."""
    column = without_blanks(column)
    if column.null_count < len(column):
        lower = pc.utf8_lower(column)
        if pc.all(pc.is_in(lower, value_set=pa.array(["true", "false", None]))).as_py():
            return pc.equal(lower, "true"), -1
    word = pc.fill_null(pc.invert(pc.match_substring_regex(column, NUMBER)), False)
    if pc.any(word).as_py():
        return None, int(pc.index(word, True).as_py())
    return pc.replace_substring_regex(column, r"^\+", "").cast(pa.float64()), -1
