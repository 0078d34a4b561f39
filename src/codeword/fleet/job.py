"""A job: which rows go into which part, kept beside the parts so that a second start can go on.

The unit of work is a run of row groups of one file, and its part is called after them: whoever encodes it,
and however often, there is one part with the same rows. That the parts are whole and all there is seen from
the folder itself, and not from what an engine says of its tasks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from codeword.data.common import listed, reading
from codeword.errors import CodewordError, DataError, InputError
from codeword.fleet.places import File, Place, Source, reaching

__all__ = ["END", "MANIFEST", "Job", "Unit", "begin", "finished", "plan", "rows_of"]

MANIFEST = "_codeword.json"
END = "_SUCCESS"
"""Names that readers of a folder of Parquet files pass over."""

FORMAT = 1

UNIT_BYTES = 256 << 20
UNIT_ROWS = 1 << 22
"""Of a unit, before compression. Large enough that to begin one costs little beside it, small enough that
losing one does, and that its codes fit into memory."""

AT_ONCE = 32
"""Files whose ends are read at a time: of an object store each takes a round trip."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Unit:
    """Row groups `start` to `stop` of a file: `rows` rows, the first of which is its number `first`.

    `part` is the name of what is made of them.
    """

    number: int
    file: str
    start: int
    stop: int
    first: int
    rows: int
    part: str


@dataclass(frozen=True)
class Job:
    """What has to be the same for a second start to go on.

    Attributes
    ----------
    model : str
        A digest of the model: its parameters, weights and columns.
    k : int
    columns : list of str
        Those of the source that make a row; of a model of lists, the one with the lists.
    keep, leave_out : list of str
        Those that are passed through, and those that are passed over.
    files : list of File
    groups : list of list of (int, int, int)
        For each file its units: the first row group, the one behind the last, and the rows.
    """

    model: str
    k: int
    columns: list[str]
    keep: list[str]
    leave_out: list[str]
    files: list[File]
    groups: list[list[tuple[int, int, int]]]

    def units(self) -> Iterator[Unit]:
        """The units, in the order of files and rows."""
        number = 0
        for i, (file, groups) in enumerate(zip(self.files, self.groups, strict=True)):
            first = 0
            for j, (start, stop, rows) in enumerate(groups):
                # In the order of the source, and a function of all that is in the part: what was made of
                # other rows, or by another model, has another name.
                seen = [self.model, self.columns, self.keep, asdict(file), start, stop]
                mark = hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:12]
                part = f"part-{i:06d}-{j:04d}-{mark}.parquet"
                yield Unit(number, file.path, start, stop, first, rows, part)
                number, first = number + 1, first + rows

    def to_json(self) -> str:
        """The job as it is kept beside its parts."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: bytes, where: str) -> Job:
        """The job that `to_json` wrote.

        Raises
        ------
        InputError
            If it is damaged, or of a later codeword.
        """
        try:
            told = json.loads(text)
            if told.pop("format") != FORMAT:
                raise InputError(f"{where} was written by a later codeword; upgrade, or give another output")
            told["files"] = [File(**file) for file in told["files"]]
            told["groups"] = [[(int(a), int(b), int(n)) for a, b, n in each] for each in told["groups"]]
            return cls(**told)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{where} is damaged ({error}); give another output, or --overwrite") from None


def plan(source: Source, files: Sequence[File], check: Callable[[str, Any], None]) -> list[Any]:
    """The units of each file, as `Job.groups` has them.

    Parameters
    ----------
    source : Source
    files : sequence of File
    check : callable
        Takes the name of a file and its pyarrow schema, and raises a DataError where that does not do.

    Raises
    ------
    DataError
        If a file is no Parquet file, its columns do not do, or there is not a row in all of them.
    """
    from pyarrow import parquet

    place = source.place

    def look(file: File) -> tuple[Any, list[tuple[int, int]]]:
        path = place.at(file.path)
        with reaching(path):
            opened = place.system.open_input_file(path)
        with opened, reading(path, "Parquet"), parquet.ParquetFile(opened) as found:
            metadata = found.metadata
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            return found.schema_arrow, [(group.num_rows, group.total_byte_size) for group in groups]

    found = []
    for file, (schema, groups) in zip(files, each(look, files), strict=True):
        check(place.at(file.path), schema)
        found.append(_runs(groups))
    if not any(found):
        raise DataError(f"{source.said}: there is no row in {len(files):,} Parquet files")
    return found


def _runs(groups: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Row groups brought together to units."""
    runs: list[tuple[int, int, int]] = []
    start = rows = size = 0
    for i, (n, length) in enumerate(groups):
        if rows and (rows + n > UNIT_ROWS or size + length > UNIT_BYTES):
            runs.append((start, i, rows))
            start, rows, size = i, 0, 0
        rows, size = rows + n, size + length
    if rows:
        runs.append((start, len(groups), rows))
    return runs


def begin(
    output: Place, asked: Job, make: Callable[[Sequence[File]], Job], *, overwrite: bool
) -> tuple[Job, bool]:
    """The job whose parts go to `output`, and whether it was begun before.

    Parameters
    ----------
    output : Place
    asked : Job
        What is asked for now, without units.
    make : callable
        Makes the same job of some of its files, with units.
    overwrite : bool
        Remove the parts of another job first.

    Raises
    ------
    InputError
        If something else lies there, or the job that was begun there is another one.
    """
    there = output.names()
    known = MANIFEST in there
    if known and not overwrite:
        job = _again(output, Job.from_json(output.read(MANIFEST), output.at(MANIFEST)), asked, make, there)
        for name in there:
            if name.startswith(".part-"):  # what a worker was writing when it was killed
                output.remove(name)
        return job, True
    alien = sorted(name for name in there if not name.startswith("."))
    if alien and not known:
        raise InputError(
            f"{output.path} holds {alien[0]!r}, and is not the output of an earlier start: "
            "give a folder that is empty or not there yet"
        )
    job = make(asked.files)
    if known:
        _clear(output, there)
    output.make()
    output.write(MANIFEST, job.to_json().encode())
    return job, False


def _clear(output: Place, there: Iterable[str]) -> None:
    """Remove an earlier job, what it was last of all: a kill on the way leaves one to go on with."""
    parts = [name for name in there if name.startswith("part-") and name.endswith(".parquet")]
    for name in (*(n for n in there if n == END), *parts, MANIFEST):
        output.remove(name)


def _again(
    output: Place, job: Job, asked: Job, make: Callable[[Sequence[File]], Job], there: Iterable[str]
) -> Job:
    """The job that was begun, if it is what is asked for now; with new units of files mended since."""
    end = "give another output, or --overwrite to begin anew"
    if job.model != asked.model:
        raise InputError(
            f"{output.path} holds codes of another model ({job.model[:8]}… and not {asked.model[:8]}…): {end}"
        )
    for what, how in (("keep", "to keep"), ("leave_out", "left out")):
        before, now = getattr(job, what), getattr(asked, what)
        if before != now:
            raise InputError(
                f"{output.path} was begun with other columns {how}, {listed(before) or 'none'} and not "
                f"{listed(now) or 'none'}: {end}"
            )
    old, new = ({file.path: file for file in files} for files in (job.files, asked.files))
    made = {unit.file for unit in job.units() if unit.part in there}
    other = [path for path in sorted({*old, *new}) if old.get(path) != new.get(path)]
    for path in other:
        if path not in old or path not in new or path in made:
            fate = "is gone" if path not in new else "is new" if path not in old else "has changed"
            raise InputError(
                f"the source is not the one that {output.path} was begun with: {path} {fate}; {end}"
            )
    if not other:
        return job
    # A file that could not be encoded has been put right: the rest stands.
    part = make([new[path] for path in other])
    if part.columns != job.columns:
        raise InputError(f"{other[0]} has other columns than the other files: {end}")
    groups = dict(zip(old, job.groups, strict=True)) | dict(zip(other, part.groups, strict=True))
    mended = replace(job, files=asked.files, groups=[groups[file.path] for file in asked.files])
    output.write(MANIFEST, mended.to_json().encode())
    return mended


def finished(output: Place, job: Job) -> set[int]:
    """The numbers of the units whose parts are there and whole.

    Raises
    ------
    CodewordError
        If a part lies there that is none of this job's.
    """
    there = output.names()
    units = {unit.part: unit for unit in job.units()}
    parts = [name for name in there if name.startswith("part-")]
    alien = sorted(set(parts) - set(units))
    if alien:
        raise CodewordError(
            f"{output.at(alien[0])} is no part of this job: remove it, or give another output"
        )
    whole = each(lambda name: rows_of(output, name), parts)
    return {units[name].number for name, rows in zip(parts, whole, strict=True) if rows == units[name].rows}


def rows_of(output: Place, name: str) -> int | None:
    """How many rows a part has by its last bytes; None where it is cut short, or not there."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with output.system.open_input_file(output.at(name)) as file, parquet.ParquetFile(file) as part:
            return int(part.metadata.num_rows)
    except (pa.ArrowInvalid, FileNotFoundError):
        return None


def each(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`function` of each item, in order, several at a time."""
    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(items)))) as pool:
        yield from pool.map(function, items)
