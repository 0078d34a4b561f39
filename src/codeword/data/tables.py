"""CSV, Parquet and data frames as Arrow tables, and the columns of an Arrow table as numbers or labels."""

from __future__ import annotations

import csv
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.text import listed, shortened
from codeword.data.reading import check_unpacked, reading
from codeword.data.rows import PartFolder, first_not_finite

__all__ = [
    "NUMBER",
    "arrow_table",
    "check_names",
    "decoded",
    "first",
    "is_date",
    "is_large_parquet",
    "is_list",
    "is_mixed",
    "is_number",
    "is_parquet",
    "is_table",
    "is_text",
    "is_time",
    "labels_of",
    "mixed_table",
    "nearly_numbers",
    "numbers_of",
    "open_parquet",
    "own_columns",
    "parsed",
    "read_pixels",
    "read_tables",
    "stored_dtype",
    "without_blanks",
]

NUMBER = r"(?i)^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$|^\s*[+-]?(inf|infinity)\s*$"
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)
_FLOAT32_INTEGERS = 1 << 24  # up to here float32 holds every integer
_ROWS_AT_ONCE = 4096
_BLOCK = 1 << 20
LARGE_BYTES = 1 << 30
_LONGEST_LINE = 1 << 24
MOST_TEXT = 1 << 26  # of a packed table; as columns of numbers it takes several times as much
TEXT_BOMB = 40
_DEFLATE_LIMIT = 1032  # to one: no more can be packed


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
    import pyarrow as pa

    with reading("the DataFrame", "columns of one type each"):
        if isinstance(frame, pa.Table):
            return frame
        if hasattr(frame, "to_arrow"):
            return frame.to_arrow()
        if hasattr(frame, "dtypes") and hasattr(frame, "iloc"):
            return pa.Table.from_pandas(_without_intervals(frame), preserve_index=False)
        return pa.table(frame)


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


def mixed_table(frame: Any) -> Any:
    """Return a DataFrame or pyarrow Table with columns that are no numbers as the latter; None of others.

    Raises
    ------
    DataError
        If a column holds values of several types.
    """
    if not is_table(frame):
        return None
    dtypes = getattr(frame, "dtypes", None)
    if dtypes is not None and all(getattr(dtype, "kind", "O") in "biuf" for dtype in dtypes):
        return None
    table = arrow_table(frame)
    return table if table.num_rows and is_mixed(table) else None


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its name."""
    return path.name.lower().endswith((".parquet", ".pq"))


def read_tables(paths: Sequence[Path], label_column: str | None, as_text: Collection[str] = ()) -> Any:
    """Return a CSV, TSV or Parquet file, or several of the last, as one pyarrow Table.

    Cells of a CSV or TSV file have the type that they look like, but those of the columns `as_text` are text:
    what a file has in them tells one file's cells from another's, and 01234 from 1234. Cells of text that are
    blank or say NA are missing.

    Raises
    ------
    DataError
        If a file is damaged, or files have other columns.
    """
    if not is_parquet(paths[0]):
        table = _read_csv(paths[0], label_column, as_text)
        with reading(paths[0], "a table of text in UTF-8"):
            for i, column in enumerate(table.columns):
                if is_text(column.type):
                    table = table.set_column(i, table.column_names[i], without_blanks(column))
            return table
    import pyarrow as pa

    tables = [_read_parquet(path) for path in paths]
    check_alike(paths, [table.column_names for table in tables])
    names = tables[0].column_names
    if len(tables) == 1 or len(set(names)) < len(names):
        return tables[0]
    with reading(paths[0].parent, "parts of one table"):
        return pa.concat_tables([table.select(names) for table in tables], promote_options="permissive")


def check_alike(paths: Sequence[Path], names: Sequence[Sequence[str]]) -> None:
    """Raise a DataError where the files have not all the same columns, in whatever order."""
    for path, each in zip(paths, names, strict=True):
        if sorted(each) != sorted(names[0]):
            raise DataError(f"{path} and {paths[0]} are not parts of one table: their columns differ")


def own_columns(names: Sequence[str]) -> list[str]:
    """The columns but the index of a DataFrame that pandas wrote: it names rows and measures nothing."""
    return [name for name in names if not name.startswith("__index_level_")]


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
        return _matrix(table.columns, np.dtype(np.uint8))


def is_large_parquet(*paths: Path) -> bool:
    """Whether Parquet files are, together, better read a row group at a time."""
    from pyarrow import parquet

    large = 0
    for path in paths:
        if not is_parquet(path):
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
    own = own_columns(table.column_names)
    return table if len(own) == table.num_columns else table.select(own)


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
        statistics = {name: kind for name, kind in text.items() if name in as_text}
        for types in (statistics, {name: kind for name, kind in text.items() if name != label_column}, text):
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
    import pyarrow as pa

    for column in table.columns:
        if pa.types.is_dictionary(column.type) and not is_text(column.type.value_type):
            return True
        column = decoded(column)
        if is_time(column.type):
            return True
        if is_text(column.type) and parsed(column)[0] is None and not nearly_numbers(column):
            return True
    return False


def labels_of(column: Any, name: str, where: str) -> NDArray[Any]:
    """Return the cells of a column as labels, shape (n,): missing ones are NaN or, of text, None.

    Raises
    ------
    DataError
        If the cells are lists or structures.
    """
    import pyarrow as pa

    column = decoded(column)
    if pa.types.is_nested(column.type):
        raise DataError(f"{where}: column {name!r} holds {column.type} values: expected labels, one a row")
    if not is_text(column.type):
        return np.asarray(column.to_numpy())
    column = without_blanks(column)
    return np.array(column.to_pylist(), dtype=object if column.null_count else str)


def numbers_of(
    table: Any,
    where: str,
    *,
    missing: bool = False,
    dtype: np.dtype[Any] | None = None,
    first_row: int = 0,
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Return the columns of an Arrow table as rows of numbers, and the names of the columns.

    Booleans are 0 and 1; decimals are floats; text is what numbers or truths it spells. A single column of
    lists, all alike, becomes (n, length, …), without names.

    Parameters
    ----------
    table : pyarrow.Table
    where : str
        What the table is called in messages.
    missing : bool, default=False
        Take empty cells as NaN.
    dtype : dtype, optional
        Type of the rows. By default uint8 if all columns are, float32 if that holds each value for certain
        (float32, booleans, integers up to 2**24), else float64.
    first_row : int, default=0
        The number of the first row in the file that the table is of, for messages.

    Raises
    ------
    DataError
        If a cell is not a number, infinite or, without `missing`, empty or NaN; it names row and column.
    """
    names = [str(name) for name in table.column_names]
    columns = [decoded(column) for column in table.columns]
    if len(columns) == 1 and is_list(columns[0].type):
        return _from_lists(columns[0], names[0], where, first_row, dtype), None
    columns = _as_numbers(columns, names, where, first_row)
    if not missing:
        holes = [(first(column.is_null()), i) for i, column in enumerate(columns) if column.null_count]
        if holes:
            row, i = min(holes)
            raise _missing(where, first_row + row, names[i])
    x = _matrix(columns, dtype)
    if bad := first_not_finite(x, missing=missing):
        row, i = bad
        if np.isnan(x[bad]):
            raise _missing(where, first_row + row, names[i])
        raise DataError(
            f"{where}: row {first_row + row + 1}, column {names[i]!r} holds {x[bad]}: expected a finite "
            "number"
        )
    return x, tuple(names)


def stored_dtype(paths: Sequence[Path], names: Collection[str], *, missing: bool) -> np.dtype[Any]:
    """The type that `numbers_of` gives some columns of Parquet files, by what the files say of themselves."""
    from pyarrow import parquet

    found: set[np.dtype[Any]] = set()
    for path in paths:
        with reading(path, "Parquet"), parquet.ParquetFile(path) as file:
            kinds = {field.name: _plain_type(field.type) for field in file.schema_arrow}
            metadata = file.metadata
            for j in range(metadata.num_columns):
                name = metadata.schema.column(j).path
                name = name if name in kinds else name.split(".")[0]
                if name in names:
                    groups = [metadata.row_group(i).column(j) for i in range(metadata.num_row_groups)]
                    statistics = [group.statistics if group.is_stats_set else None for group in groups]
                    full = all(each and each.has_null_count and not each.null_count for each in statistics)
                    limits = partial(_stored_limits, statistics)
                    found.add(dtype_of(kinds[name], limits, holes=missing and not full))
    return np.result_type(*found)


def _stored_limits(statistics: Sequence[Any]) -> list[float]:
    """Numbers between which the values of a column lie: no limits where a row group does not tell them."""
    known = ((each.min, each.max) if each and each.has_min_max else (-np.inf, np.inf) for each in statistics)
    return [value for limits in known for value in limits]


def _plain_type(kind: Any) -> Any:
    """The type of the values of a dictionary, or of lists."""
    import pyarrow as pa

    while pa.types.is_dictionary(kind) or is_list(kind):
        kind = kind.value_type
    return kind


def dtype_of(kind: Any, limits: Callable[[], Sequence[Any]], *, holes: bool) -> np.dtype[Any]:
    """The type that holds a column's values for certain: uint8, or the smaller of float32 and float64.

    Parameters
    ----------
    kind : pyarrow.DataType
    limits : callable
        Gives numbers between which the values lie; called where they matter.
    holes : bool
        Whether cells are missing.
    """
    import pyarrow as pa

    types = pa.types
    if types.is_uint8(kind) and not holes:
        return np.dtype(np.uint8)
    if types.is_integer(kind) and kind.bit_width > 16:
        small = all(abs(value) <= _FLOAT32_INTEGERS for value in limits() if value is not None)
        return np.dtype(np.float32 if small else np.float64)
    small = types.is_integer(kind) or types.is_boolean(kind) or types.is_null(kind)
    return np.dtype(np.float32 if small or types.is_float32(kind) or types.is_float16(kind) else np.float64)


def _as_numbers(columns: list[Any], names: list[str], where: str, first_row: int) -> list[Any]:
    """Turn columns of text that hold nothing but numbers into numbers, and refuse all other text."""
    found, words = [], []
    for column, name in zip(columns, names, strict=True):
        if is_number(column.type):
            found.append(column)
        elif not is_text(column.type):
            raise DataError(
                f"{where}: column {name!r} holds {column.type} values: expected numbers; convert or drop it"
            )
        else:
            numbers, row = parsed(column)
            if numbers is None:
                words.append((row, name, column))
            found.append(numbers)
    if words:
        row, name, column = min(words, key=lambda each: each[0])
        end = "correct it or drop the column"
        if len(words) == 1:
            shown = name if name.isprintable() else repr(name)
            end = f"correct it, or pass --label-column {shown} if it holds labels"
        raise DataError(
            f"{where}: row {first_row + row + 1}, column {name!r} holds "
            f"{shortened(column[row].as_py(), 40)!r}: expected a number; {end}"
        )
    return found


def _missing(where: str, row: int, name: str) -> DataError:
    return DataError(
        f"{where}: row {row + 1}, column {name!r} is empty or NaN: expected a number; fill it, drop the row, "
        "or train with --objective 'masked(missing=\"mask\")'"
    )


def _matrix(columns: list[Any], dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
    """Bring columns together as rows, a few thousand at once so that they stay in the processor's cache."""
    import pyarrow as pa

    if dtype is None:
        dtype = np.result_type(
            *{dtype_of(each.type, partial(_limits, each), holes=each.null_count > 0) for each in columns}
        )
    # Of these Arrow makes objects where cells are missing.
    plain = [
        column.cast(pa.float32())
        if pa.types.is_null(column.type) or (pa.types.is_boolean(column.type) and column.null_count)
        else column
        for column in columns
    ]
    table = pa.table(plain, names=[str(i) for i in range(len(plain))])
    x = np.empty(table.shape, dtype)
    start = 0
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        block = x[start : start + len(batch)]
        for i, column in enumerate(batch.columns):
            block[:, i] = column.to_numpy(zero_copy_only=False)
        start += len(batch)
    return x


def _limits(column: Any) -> Sequence[Any]:
    import pyarrow.compute as pc

    return list(pc.min_max(column).as_py().values())


def _from_lists(
    column: Any, name: str, where: str, first_row: int, dtype: np.dtype[Any] | None
) -> NDArray[Any]:
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
    x = _matrix([column], dtype).reshape(shape)
    if bad := first_not_finite(x):
        raise DataError(
            f"{where}: row {first_row + bad[0] + 1}, column {name!r} holds NaN or infinity: expected finite "
            "numbers"
        )
    return x


# -- Parquet files that are read a row group at a time ------------------------------------------------------


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


# -- cells --------------------------------------------------------------------------------------------------


def decoded(column: Any) -> Any:
    """Return the column as plain cells: words of a dictionary, floats of decimals, text of bytes, UTC."""
    import pyarrow as pa

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
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number(kind: Any) -> bool:
    """Whether the cells are numbers or booleans, or there are none."""
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind)
    )


def is_text(kind: Any) -> bool:
    """Whether the cells are text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_date(kind: Any) -> bool:
    """Whether the cells are days or moments."""
    import pyarrow as pa

    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def is_time(kind: Any) -> bool:
    """Whether the cells are dates, times or stretches of time."""
    import pyarrow as pa

    return bool(pa.types.is_temporal(kind))


def first(mask: Any) -> int:
    """Return the first place where a boolean column is true."""
    import pyarrow.compute as pc

    return int(pc.index(mask, True).as_py())


def without_blanks(column: Any) -> Any:
    """Return a column of text without space around the cells; those that stand for nothing are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv

    column = pc.utf8_trim_whitespace(column.cast(pa.string()))
    empty = pc.is_in(column, value_set=pa.array(arrow_csv.ConvertOptions().null_values))
    return pc.if_else(empty, None, column)


def nearly_numbers(column: Any) -> bool:
    """Whether half of the cells of a column of text, or more, are numbers."""
    import pyarrow.compute as pc

    numbers = pc.sum(pc.match_substring_regex(column, NUMBER)).as_py() or 0
    return bool(2 * numbers >= max(1, len(column) - column.null_count))


def parsed(column: Any) -> tuple[Any, int]:
    """Return a column of text as numbers, or None and the first row that is neither a number nor empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = without_blanks(column)
    if column.null_count < len(column):
        lower = pc.utf8_lower(column)
        if pc.all(pc.is_in(lower, value_set=pa.array(["true", "false", None]))).as_py():
            return pc.equal(lower, "true"), -1
    word = pc.fill_null(pc.invert(pc.match_substring_regex(column, NUMBER)), False)
    if pc.any(word).as_py():
        return None, first(word)
    return pc.replace_substring_regex(column, r"^\+", "").cast(pa.float64()), -1
