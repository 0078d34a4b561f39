"""A worker: it has the model, reads the rows of a unit, and writes the part with their codes."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.text import listed, shortened
from codeword.data import Data
from codeword.data.cells import is_list, is_number, is_text
from codeword.data.reading import reading
from codeword.export.fleet.job import Unit, rows_of
from codeword.export.fleet.places import Place, reaching
from codeword.model.autoencoder import AutoEncoder

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KEYS", "Encoder", "Work", "check_schema", "choose_columns", "kinds_of", "model_files"]

KEYS = ("file", "row")
"""The columns that say where a code comes from: the file, below the source's folder, and the row in it."""

READ_BYTES = 32 << 20
"""Rows in memory at a time, twice: one lot is read while another is encoded."""

FILL_ROWS = 4096
"""Columns are laid side by side as rows a few thousand at once, which stay in the processor's cache."""

TRIES = 3
"""How often a file is asked for of a store that does not answer, with a second, then two, between."""

MOST_DEATHS = 4
"""Workers that die on one unit before it is given up: it may take more memory than there is."""


@dataclass(frozen=True)
class Work:
    """What all workers of a job have to know; it travels to them.

    Attributes
    ----------
    source, output : Place
    columns, keep : list of str
        Those that make a row, and those that are passed through.
    digest : str
        Of the model.
    model : dict of str to bytes
        The files of the model's folder: a worker may be on a machine that does not see it.
    device : str
    threads : int
        For this worker.
    """

    source: Place
    output: Place
    columns: list[str]
    keep: list[str]
    digest: str
    model: dict[str, bytes]
    device: str
    threads: int


class Encoder:
    """Makes parts of units, in a process of its own.

    Parameters
    ----------
    work : Work
    begin : callable
        Takes the number of a unit that is begun, and gives how often it has been, by any worker.
    """

    def __init__(self, work: Work, begin: Callable[[int], int]) -> None:
        import pyarrow as pa
        import torch

        torch.set_num_threads(work.threads)
        pa.set_cpu_count(work.threads)
        self.work, self.begin = work, begin
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "model"
            folder.mkdir()
            for file, content in work.model.items():
                (folder / file).write_bytes(content)
            self.ae = AutoEncoder.load(folder, device=work.device)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch of units, as columns, to what became of each: `number`, `rows`, `error`, `blame`."""
        columns = (np.asarray(batch[field.name]).tolist() for field in fields(Unit))
        told = [self.tried(Unit(*values)) for values in zip(*columns, strict=True)]
        return {name: np.array([each[name] for each in told]) for name in told[0]}

    def tried(self, unit: Unit) -> dict[str, Any]:
        """Encode a unit. What goes wrong is said, not raised: other units go on."""
        told = {"number": unit.number, "rows": 0, "error": "", "blame": "", "begun": 0}
        where = self.work.source.at(unit.file)
        told["begun"] = begun = self.begin(unit.number)
        for left in reversed(range(TRIES)):
            try:
                # A worker may have died after the last byte was written and before it could say so.
                if begun > 1 and rows_of(self.work.output, unit.part) == unit.rows:
                    return told | {"rows": unit.rows}
                if begun > MOST_DEATHS:
                    error = f"{where}: {MOST_DEATHS} workers have died on it; there may be too little memory"
                    return told | {"error": error, "blame": "worker"}
                self.work.output.write(unit.part, self.part(unit))
                return told | {"rows": unit.rows}
            except DataError as reason:
                return told | {"error": str(reason), "blame": "data"}
            except OSError as reason:
                told |= {"error": f"{where}: {shortened(reason, 200)}", "blame": "system"}
                time.sleep((TRIES - left) if left else 0)
            except Exception as reason:  # out of GPU memory, a damaged file: one unit, not the job
                said = f"{type(reason).__name__}: {shortened(reason, 200)}"
                return told | {"error": f"{where}: {said}", "blame": "system"}
        return told

    def part(self, unit: Unit) -> Any:
        """The Parquet file of a unit, in memory: a store shows no half of it, wherever this process dies."""
        import pyarrow as pa
        from pyarrow import parquet

        names = [f"z{i}" for i in range(self.ae.n_components)]
        sink = pa.BufferOutputStream()
        writer = None
        done = 0
        self._check_unchanged(unit)
        for table in self._ahead(unit):
            codes = self.codes(table, unit, unit.first + done)
            part = pa.table(
                [
                    pa.DictionaryArray.from_arrays(np.zeros(len(codes), np.int32), [unit.file]),
                    np.arange(unit.first + done, unit.first + done + len(codes)),
                    *(table.column(name) for name in self.work.keep),
                    *(np.ascontiguousarray(column) for column in codes.T),
                ],
                names=[*KEYS, *self.work.keep, *names],
            )
            if writer is None:
                schema = part.schema.with_metadata({"codeword.model": self.work.digest})
                # Of codes no two are alike: a dictionary of them is only work.
                dictionary = [KEYS[0], *self.work.keep]
                writer = parquet.ParquetWriter(sink, schema, use_dictionary=dictionary)
            writer.write_table(part.cast(writer.schema))
            done += len(codes)
        self._check_unchanged(unit)
        if writer is None or done != unit.rows:
            path = self.work.source.at(unit.file)
            raise DataError(
                f"{path} has {done:,} rows where {unit.rows:,} were found: it was changed meanwhile"
            )
        writer.close()
        return sink.getvalue()

    def _check_unchanged(self, unit: Unit) -> None:
        """Its row groups may be others by now, and its rows as many as before."""
        if not self.work.source.unchanged(unit.file, unit.size, unit.modified):
            path = self.work.source.at(unit.file)
            raise DataError(f"{path} was changed or taken away meanwhile")

    def codes(self, table: pa.Table, unit: Unit, first: int) -> NDArray[np.float32]:
        """The codes (n, k) of rows of which the first is number `first` of its file."""
        path = self.work.source.at(unit.file)
        columns = getattr(self.ae, "columns_", None)
        data: Data
        if columns is not None:
            with _rows_named(path, first - 1):  # it counts the rows of a table from 1
                data = columns.transform(table, where=path)
        else:
            x = rows(table, self.work.columns, path)
            missing, d = self.ae.takes_missing, int(self.ae.n_features_in_)
            if x.shape[1] != d:
                raise _of_length(path, self.work.columns[0], x.shape[1], d)
            check(x, first, path, self.work.columns, missing=missing)
            names = getattr(self.ae, "feature_names_in_", None)
            data = Data(x, names=None if names is None else tuple(names), missing=missing)
        with _rows_named(path, first):
            codes: NDArray[np.float32] = self.ae.transform(data)
        return codes

    def _ahead(self, unit: Unit) -> Iterator[pa.Table]:
        """The rows of a unit, some at a time; the next are read while these are encoded."""
        tables = self._tables(unit)
        with ThreadPoolExecutor(1, thread_name_prefix="codeword-read") as reader:
            table = reader.submit(next, tables, None)
            while (now := table.result()) is not None:
                table = reader.submit(next, tables, None)
                yield now

    def _tables(self, unit: Unit) -> Iterator[Any]:
        import pyarrow as pa
        from pyarrow import parquet

        path = self.work.source.at(unit.file)
        length = max(1, READ_BYTES // (4 * int(self.ae.n_features_in_)))
        wanted = [*self.work.columns, *(name for name in self.work.keep if name not in self.work.columns)]
        with reaching(path):
            file = self.work.source.system.open_input_file(path)
        with file, reading(path, "Parquet"), parquet.ParquetFile(file, pre_buffer=True) as opened:
            groups = range(unit.start, min(unit.stop, opened.num_row_groups))
            for batch in opened.iter_batches(length, row_groups=groups, columns=wanted):
                yield pa.Table.from_batches([batch])


# -- columns to rows ----------------------------------------------------------------------------------------


def choose_columns(ae: AutoEncoder, schema: Any, keep: Sequence[str], leave_out: Sequence[str]) -> list[str]:
    """The columns of a table that make a row for this model.

    A model that was fitted on a table knows their names, and all other columns are passed over. One that was
    fitted on an array takes all columns but those that are kept or left out.
    """
    mixed, known = getattr(ae, "columns_", None), getattr(ae, "feature_names_in_", None)
    if mixed is not None:
        return list(mixed.names)
    if known is not None:
        return [str(name) for name in known]
    others = {*keep, *leave_out}
    return [n for n in schema.names if n not in others and not n.startswith("__index_level_")]


def check_schema(
    ae: AutoEncoder, path: str, schema: Any, columns: Sequence[str], keep: Sequence[str]
) -> None:
    """Say that a file lacks a column, or has in one what is no number.

    Raises
    ------
    DataError
    """
    for name in (*columns, *keep):
        if schema.names.count(name) != 1:
            what = "has no column" if name not in schema.names else "has two columns called"
            raise DataError(f"{path} {what} {name!r}; its columns: {listed(schema.names)}")
    if getattr(ae, "columns_", None) is not None:
        return
    d, kinds = int(ae.n_features_in_), [schema.field(name).type for name in columns]
    if len(kinds) == 1 and is_list(kinds[0]):
        length = _length(kinds[0])
        if length not in (None, d):
            raise _of_length(path, columns[0], length, d)
        return
    named = getattr(ae, "feature_names_in_", None) is not None
    lists = [name for name, kind in zip(columns, kinds, strict=True) if is_list(kind)]
    if len(lists) == 1 and not named:
        other = next(name for name in columns if name not in lists)
        raise DataError(
            f"{path}: column {other!r} is beside {lists[0]!r}, whose lists are rows: pass it through with "
            "--keep, or leave it out with --label-column"
        )
    for name, kind in zip(columns, kinds, strict=True):
        if not is_number(kind):
            way = "pass it through with --keep, or leave it out with --label-column"
            way = "this model takes that column, so make numbers of it" if named else way
            raise DataError(f"{path}: column {name!r} holds {kind} values: expected numbers; {way}")
    if len(columns) != d:
        raise DataError(
            f"{path} has {len(columns)} columns of numbers, and a row of this model has {d}: pass others "
            "through with --keep"
        )


def kinds_of(schema: Any, names: Sequence[str]) -> list[str]:
    """Of which type columns are, in words that are the same for what can be read as one column."""
    import pyarrow as pa

    kinds = [schema.field(name).type for name in names]
    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
    return ["string" if is_text(kind) else str(kind) for kind in kinds]


def _length(kind: Any) -> int | None:
    """How many numbers lists hold, or lists of lists, where their type says so."""
    import pyarrow as pa

    length = 1
    while is_list(kind):
        if not pa.types.is_fixed_size_list(kind):
            return None
        length, kind = length * int(kind.list_size), kind.value_type
    return length


def _of_length(path: str, name: str, length: int | None, d: int) -> DataError:
    return DataError(
        f"{path}: the lists of column {name!r} hold {length} numbers, and a row of this model has {d}"
    )


@contextmanager
def _rows_named(path: str, first: int) -> Iterator[None]:
    """Name in a DataError of some rows the file, and the place in it of the row that is named.

    `first` is what has to be added to the number of that row, to count from 0 in the file.
    """
    try:
        yield
    except DataError as error:
        text = str(error).removeprefix(f"{path}: ")
        found = re.match(r"row ([\d,]+),?", text)
        if found is not None:
            row = int(found[1].replace(",", "")) + first
            text = f"row {row:,}, counted from 0,{text[found.end() :]}"
        raise DataError(text if text.startswith(path) else f"{path}: {text}") from None


def rows(table: pa.Table, columns: Sequence[str], path: str) -> NDArray[Any]:
    """Columns of numbers, or one of lists, as rows (n, d): uint8 where all are, else float32 or float64."""
    arrays = [table.column(name) for name in columns]
    if len(arrays) == 1 and is_list(arrays[0].type):
        flat = _flattened(arrays[0], columns[0], path)
        return np.asarray(_cells(flat), dtype=_dtype([flat])).reshape(len(table), -1)
    x = np.empty((len(table), len(arrays)), _dtype(arrays))
    cells = [_cells(array) for array in arrays]
    for start in range(0, len(x), FILL_ROWS):
        block = x[start : start + FILL_ROWS]
        for i, column in enumerate(cells):
            block[:, i] = column[start : start + FILL_ROWS]
    return x


def _flattened(column: Any, name: str, path: str) -> Any:
    """What lists hold, or lists of lists: one column of so many times the rows."""
    import pyarrow.compute as pc

    while is_list(column.type):
        lengths = pc.list_value_length(column)
        if column.null_count or pc.count_distinct(lengths).as_py() > 1:
            raise DataError(
                f"{path}: the lists of column {name!r} differ in length: expected lists all alike"
            )
        column = pc.list_flatten(column)
    if not is_number(column.type):
        raise DataError(f"{path}: the lists of column {name!r} hold {column.type}: expected numbers")
    return column


def _cells(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    plain = pa.types.is_boolean(column.type) or pa.types.is_null(column.type)
    cells: NDArray[Any] = (column.cast(pa.float32()) if plain else column).to_numpy()
    return cells


def _dtype(arrays: Sequence[Any]) -> np.dtype[Any]:
    """By the columns' types alone: batches of one file are all of one."""
    import pyarrow as pa

    kinds = {array.type for array in arrays}
    if kinds == {pa.uint8()} and not any(array.null_count for array in arrays):
        return np.dtype(np.uint8)
    exact = {pa.uint8(), pa.int8(), pa.uint16(), pa.int16(), pa.bool_(), pa.float16(), pa.float32()}
    return np.dtype(np.float32 if kinds <= exact else np.float64)


def check(x: NDArray[Any], first: int, path: str, columns: Sequence[str], *, missing: bool) -> None:
    """Raise a DataError that names the first value that is infinite or, without `missing`, NaN."""
    if x.dtype.kind != "f" or np.isfinite(x.sum(dtype=np.float64)):
        return
    bad = np.isinf(x) if missing else ~np.isfinite(x)
    if not bad.any():
        return
    row, i = (int(place) for place in np.argwhere(bad)[0])
    what = "is empty or NaN" if np.isnan(x[row, i]) else f"holds {x[row, i]}"
    name = repr(columns[i]) if len(columns) > 1 else f"{columns[0]!r}, place {i},"
    raise DataError(
        f"{path}: row {first + row:,}, counted from 0, column {name} {what}: expected a finite number; "
        "fill it in or drop the row"
    )


def model_files(ae: AutoEncoder) -> dict[str, bytes]:
    """The files of a model folder, by their names, without its card."""
    with tempfile.TemporaryDirectory() as name:
        ae.save(Path(name) / "model")
        files = {path.name: path.read_bytes() for path in (Path(name) / "model").iterdir()}
    return {name: content for name, content in sorted(files.items()) if name != "README.md"}
