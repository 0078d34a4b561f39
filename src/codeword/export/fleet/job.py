"""A job: which rows go into which part, kept beside the parts so that a second start can go on.

The unit of work is a run of row groups of one file, and its part is called after them: whoever encodes it,
and however often, there is one part with the same rows. That the parts are whole and all there is seen from
the folder itself, and not from what an engine says of its tasks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from codeword.base.errors import CodewordError, DataError, InputError
from codeword.base.text import listed
from codeword.data.reading import reading
from codeword.export.fleet.places import File, Place, Source, reaching

__all__ = ["END", "MANIFEST", "Job", "Unit", "begin", "check_parts", "finished", "plan", "rows_of"]

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

    `part` is the name of what is made of them, `size` and `modified` are the file's (-1 where no time is
    known).
    """

    number: int
    file: str
    start: int
    stop: int
    first: int
    rows: int
    part: str
    size: int
    modified: int


@dataclass(frozen=True)
class Job:
    """What has to be the same for a second start to go on.

    Attributes
    ----------
    source : str
        The folder that the files are below of, and of which file system.
    model : str
        A digest of the model: its parameters, weights and columns.
    k : int
    columns : list of str
        Those of the source that make a row; of a model of lists, the one with the lists.
    keep, leave_out : list of str
        Those that are passed through, and those that are passed over.
    kinds : list of str
        Of which type those to keep are; none of files without rows.
    files : list of File
        Of a size below 0 is one that was taken away before it was encoded: it keeps its number.
    groups : list of list of (int, int, int)
        For each file its units: the first row group, the one behind the last, and the rows.
    """

    source: str
    model: str
    k: int
    columns: list[str]
    keep: list[str]
    leave_out: list[str]
    kinds: list[str]
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
                seen = [self.source, self.model, self.columns, self.keep, asdict(file), start, stop]
                mark = hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:12]
                part = f"part-{i:06d}-{j:04d}-{mark}.parquet"
                time = -1 if file.modified is None else file.modified
                yield Unit(number, file.path, start, stop, first, rows, part, file.size, time)
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


def plan(source: Source, files: Sequence[File], check: Callable[[str, Any, int], None]) -> list[Any]:
    """The units of each file, as `Job.groups` has them.

    Parameters
    ----------
    source : Source
    files : sequence of File
    check : callable
        Takes the name of a file, its pyarrow schema and the number of its rows, and raises a DataError where
        these do not do.

    Raises
    ------
    DataError
        If a file is no Parquet file, or its columns do not do.
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
        check(place.at(file.path), schema, sum(rows for rows, _ in groups))
        found.append(_runs(groups))
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
        If something else lies there, the job that was begun there is another one, or there is no row at all.
    """
    output.check_folder()
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
    job = _with_rows(make(asked.files))
    if known:
        _clear(output, there)
    output.make()
    output.write(MANIFEST, job.to_json().encode())
    return job, False


def _with_rows(job: Job) -> Job:
    if not any(job.groups):
        raise DataError(f"{job.source}: there is no row in {len(job.files):,} Parquet files")
    return job


def _clear(output: Place, there: Iterable[str]) -> None:
    """Remove an earlier job, what it was last of all: a kill on the way leaves one to go on with."""
    parts = [name for name in there if name.startswith(("part-", ".part-")) and name.endswith(".parquet")]
    for name in (*(n for n in there if n == END), *parts, MANIFEST):
        output.remove(name)


def _again(
    output: Place, job: Job, asked: Job, make: Callable[[Sequence[File]], Job], there: Collection[str]
) -> Job:
    """The job that was begun, if it is what is asked for now; with new units of files mended since."""
    end = "give another output, or --overwrite to begin anew"
    if job.source != asked.source:
        raise InputError(
            f"{output.path} was begun with the rows of {job.source} and not of {asked.source}: {end}"
        )
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
    gone = {path for path in old if path not in new}
    other = [path for path in sorted({*old, *new}) if path not in gone and old.get(path) != new[path]]
    lost = [path for path in sorted(gone) if old[path].size >= 0]
    if not other and not lost:
        return job
    stale = _stale(output, job, [*other, *lost], new, there)
    # A file that could not be encoded has been put right: the rest stands.
    part = make([new[path] for path in other]) if other else job
    alike = not part.kinds or all(
        now in (kind, "null") for kind, now in zip(job.kinds, part.kinds, strict=True)
    )
    if part.columns != job.columns or not alike:
        raise InputError(f"{other[0]} has other columns than the other files: {end}")
    groups = dict(zip(old, job.groups, strict=True)) | {path: [] for path in lost}
    groups |= dict(zip(other, part.groups, strict=True)) if other else {}
    files = [new.get(path, File(path, -1, None)) for path in old]
    mended = _with_rows(replace(job, files=files, groups=[groups[path] for path in old]))
    for name in (*(name for name in there if name == END), *stale):
        output.remove(name)
    output.write(MANIFEST, mended.to_json().encode())
    return mended


def _stale(
    output: Place, job: Job, other: Iterable[str], new: Container[str], there: Container[str]
) -> list[str]:
    """The parts that were made of files as they were before, if these may still change.

    They may until the job has ended. One that is gone may not have been encoded to its end: more likely than
    that its rows are not wanted is that the source is another one.
    """
    parts: dict[str, list[str]] = {file.path: [] for file in job.files}
    for unit in job.units():
        parts[unit.file].append(unit.part)
    stale: list[str] = []
    for path in other:
        made = [part for part in parts.get(path, ()) if part in there]
        ended = END in there or (path not in new and len(made) == len(parts[path]))
        if path not in parts or (made and ended):
            fate = "is gone" if path not in new else "is new" if path not in parts else "has changed"
            raise InputError(
                f"the source is not the one that {output.path} was begun with: {path} {fate}; give another "
                "output, or --overwrite to begin anew"
            )
        stale += made
    return stale


def finished(output: Place, job: Job) -> set[int]:
    """The numbers of the units whose parts are there and whole.

    Raises
    ------
    CodewordError
        If a part lies there that is none of this job's.
    """
    there = output.names()
    check_parts(output, job, there)
    units = {unit.part: unit for unit in job.units()}
    parts = [name for name in there if name in units]
    whole = each(lambda name: rows_of(output, name), parts)
    return {units[name].number for name, rows in zip(parts, whole, strict=True) if rows == units[name].rows}


def check_parts(output: Place, job: Job, there: Iterable[str]) -> None:
    """Say that among the files `there` is a part of another job, such as a worker left that outlived it.

    Raises
    ------
    CodewordError
    """
    alien = {name for name in there if name.startswith("part-")} - {unit.part for unit in job.units()}
    if alien:
        raise CodewordError(
            f"{output.at(min(alien))} is no part of this job: remove it, or give another output"
        )


def rows_of(output: Place, name: str) -> int | None:
    """How many rows a part has by its last bytes; None where it is cut short, damaged, or not there.

    Raises
    ------
    OSError
        If the store does not answer.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path = output.at(name)
    with reaching(path):
        try:
            with output.system.open_input_file(path) as file:
                end = file.read_at(min(8, file.size()), max(0, file.size() - 8))
                length = min(int.from_bytes(end[:4], "little") + 8, file.size())
                end = file.read_at(length, file.size() - length)
        except FileNotFoundError:
            return None
    try:
        return int(parquet.read_metadata(pa.BufferReader(end)).num_rows)
    except Exception:  # of many types, and all of them say that these bytes are not what was written
        return None


def each(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`function` of each item, in order, several at a time."""
    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(items)))) as pool:
        yield from pool.map(function, items)
