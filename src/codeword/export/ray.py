"""Codes of Parquet files by Ray Data: read, encoded by a pool of workers and written, on one machine or many.

Ray Data starts the workers, replaces dead ones, and lists the rows that are written, so that a second start
leaves them out. Three things are added here. Its `read_parquet` numbers no rows: `read_rows` gives each its
place. Parts can lie there that are on none of its lists, as of a worker that outlived its job: `Output.sweep`
removes them. And what a job is lies beside its parts, so that no other job goes on with them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import CodewordError, DataError, InputError, ParameterError
from codeword.base.text import listed, shortened
from codeword.data.data import Data
from codeword.data.reading import reading
from codeword.data.tables import numbers_of

if TYPE_CHECKING:
    import pyarrow as pa

    from codeword.model.autoencoder import AutoEncoder

__all__ = ["encode_parts", "without_secret"]

PLACE = ("file", "row", "position")
"""The columns of the output that say where a row comes from."""

FILE_ROWS = 1 << 40
"""A row's position is the number of its file times this, and its own number in the file."""

BLOCK_BYTES = 32 << 20
"""Bytes of rows that are read at a time."""

SPARE_CPUS = 2
"""CPUs to read, to write, and to leave out what is written: workers that encode keep theirs to the end."""

MOST_DEATHS = 4
"""How often workers may die on the same rows: these may take more memory than there is."""

JOB, END, WRITTEN = "_codeword.json", "_SUCCESS", "_written"
"""The job, the mark of its end, and Ray's lists of rows. Readers of Parquet folders pass over such names."""


def encode_parts(
    model: str | os.PathLike[str],
    source: str,
    output: str,
    *,
    keep: Sequence[str] = (),
    label_column: str | None = None,
    workers: int | None = None,
    gpus_per_worker: float = 0.0,
    overwrite: bool = False,
    verbose: bool = False,
) -> dict[str, Any]:
    """Encode Parquet files with Ray Data, into a folder of Parquet parts in no particular order.

    The columns of a part are `file`, its path below the source's folder; `row`, counted from 0 in that file;
    `position`, which sorts all rows into the order of the source; those to `keep`; and z0, z1, … (float32).
    Whichever processes die, and however often the call is made again, each row is there once in the end.

    Parameters
    ----------
    model : path of a model folder
    source : str
        A Parquet file, a folder of them, or a pattern with `*`, `?`, `[…]` or `**`: a path or a URI.
    output : str
        A folder or a URI, where nothing is yet, or what an earlier call has written.
    keep : sequence of str, default=()
        Columns that are passed through.
    label_column : str, optional
        A column that is no part of a row. A model of a table takes its columns by name, and no other.
    workers : int, optional
        Processes that encode; by default as many as the cluster has room for.
    gpus_per_worker : float, default=0
    overwrite : bool, default=False
        Remove the parts of another job in `output` first.
    verbose : bool, default=False
        Show Ray's progress on a terminal.

    Returns
    -------
    dict
        `n`, the rows; `k`; `written`, the rows that this call has added.

    Raises
    ------
    InputError
        If Ray is not installed, the cluster has no room, or `output` holds something else.
    DataError
        If files lack columns, or a row cannot be encoded. The same call goes on when it was put right.
    CodewordError
        If Ray cannot be started, or stops.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("the engine 'ray' needs Ray, which is not installed: pip install 'codeword[ray]'")
    for name in keep:
        if name in PLACE or re.fullmatch(r"z\d+", name) or list(keep).count(name) > 1:
            raise ParameterError(
                f"The 'keep' parameter of encode_parts must be names that differ, and not those of parts "
                f"({', '.join(PLACE)}, z0, …). Got {name!r} instead."
            )
    from codeword.model.autoencoder import AutoEncoder  # here, since workers that read need no torch
    from codeword.model.hub import local

    device = "cuda" if gpus_per_worker else "cpu"
    ae: AutoEncoder = AutoEncoder.load(model, device="cpu").set_params(device=device)
    output_ = Output(*_open(output))
    files, base, stamps = _find(source, output_)
    columns, kept, pieces = _plan(ae, files, base, stamps, keep, label_column)
    digest = hashlib.sha256()
    for path in sorted(Path(local(model)).glob("[cw]*")):  # what the codes follow from
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    where = f"{files.type_name}:{base}"
    job = {"model": digest.hexdigest(), "source": where, "columns": [columns, list(keep)], "files": stamps}
    n = sum(piece.rows for piece in pieces)
    before = output_.begin(job, overwrite=overwrite)
    if before < n:
        output_.remove([END])
        read = partial(read_rows, base, list(dict.fromkeys([*columns, *kept])))
        with _cluster(workers, gpus_per_worker) as size:
            _run(pieces, read, Encoder(ae, columns, kept), output_, size, gpus_per_worker, verbose=verbose)
        changed = [name for name, stamp in _find(source, output_)[2].items() if stamps.get(name) != stamp]
        if changed:
            raise DataError(f"{base}{changed[0]} was changed meanwhile: make the call again")
        output_.sweep()
    if (found := output_.count()) != n:
        raise CodewordError(
            f"{output_.path} has {found:,} rows, and {n:,} were expected: another job may be writing there; "
            "make the call again when it has ended, or with overwrite (--overwrite)"
        )
    output_.write(END, {"rows": n, "k": ae.n_components})
    return {"n": n, "k": ae.n_components, "written": n - before}


# -- source -------------------------------------------------------------------------------------------------


def without_secret(uri: str) -> str:
    """A URI without a key and its secret, in which there may be slashes."""
    return re.sub(r"(://)(?:[^?\s]*@|[^/@\s]*@)", r"\1", uri)


def _open(text: str) -> tuple[Any, str]:
    """The file system of a path or a URI, and the path in it."""
    from pyarrow.fs import FileSystem, LocalFileSystem

    if "://" not in text:
        return LocalFileSystem(), Path(text).expanduser().resolve().as_posix()
    try:
        system, path = FileSystem.from_uri(quote(text, safe=":/?&=%@*+,;~!$'()#"))
    except (ValueError, OSError, ImportError) as error:
        reason = shortened(without_secret(str(error)), 200)
        raise InputError(f"{without_secret(text)} cannot be opened: {reason}") from None
    return system, path.rstrip("/")


def _find(source: str, output: Output) -> tuple[Any, str, dict[str, list[int]]]:
    """The Parquet files of a source: file system, folder, and paths below it with size and time.

    Parts in the output are none of them.
    """
    from fsspec.implementations.arrow import ArrowFSWrapper

    system, path = _open(source)
    every = ArrowFSWrapper(system)
    wild = None if every.exists(path) else re.search(r"[*?[]", path)
    found = every.find(path) if wild is None else every.glob(path)
    base = f"{path if wild is None else path[: wild.start()].rpartition('/')[0]}/"
    if found == [path]:
        base = f"{path.rpartition('/')[0]}/"
    elif wild is None:
        shown = re.compile(r"(?i)(?!.*/[._])[^._].*\.(parquet|pq)")
        found = [each for each in found if shown.fullmatch(each.removeprefix(base))]
    if system == output.system:
        found = [each for each in found if not each.startswith(f"{output.path}/")]
    if not found:
        raise DataError(f"{without_secret(source)}: there is no Parquet file (.parquet, .pq) there")
    infos = system.get_file_info(sorted(found))
    return system, base, {i.path.removeprefix(base): [i.size or 0, i.mtime_ns or 0] for i in infos}


class Piece(NamedTuple):
    """A row group as a pyarrow fragment, the numbers of its file and of its first row, its rows and bytes."""

    fragment: Any
    file: int
    first: int
    rows: int
    size: int


def _plan(
    ae: AutoEncoder,
    system: Any,
    base: str,
    names: Collection[str],
    keep: Sequence[str],
    label_column: str | None,
) -> tuple[list[str], dict[str, Any], list[Piece]]:
    """The columns that make a row, those to keep with their types, and the row groups.

    A column that a file lacks is named, and one row is encoded here.
    """
    import pyarrow as pa
    from pyarrow.dataset import ParquetFileFormat

    def look(name: str) -> tuple[Any, list[Any]]:
        with reading(base + name, "Parquet"):
            fragment = ParquetFileFormat().make_fragment(base + name, system)
            return fragment.physical_schema, fragment.split_by_row_group()

    with ThreadPoolExecutor(32) as pool:
        schemas, groups = zip(*pool.map(look, names), strict=True)
    mixed, known = ae.model_.columns, ae.model_.names
    others = {*keep, label_column}
    columns = [n for n in schemas[0].names if n not in others and not n.startswith("__index_level_")]
    columns = list(mixed.names) if mixed is not None else columns if known is None else list(known)
    for file, schema in zip(names, schemas, strict=True):
        for name in (*columns, *keep):
            if schema.names.count(name) != 1:
                what = "has two columns called" if name in schema.names else "has no column"
                raise DataError(f"{base}{file} {what} {name!r}; its columns: {listed(schema.names)}")
    with reading(base, "files whose columns to keep are of the same types"):
        wanted = [pa.schema([schema.field(name) for name in keep]) for schema in schemas]
        kept = {f.name: f.type for f in pa.unify_schemas(wanted, promote_options="permissive")}
    pieces: list[Piece] = []
    for number, fragments in enumerate(groups):
        first = 0
        for fragment in fragments:
            group = fragment.row_groups[0]
            pieces.append(Piece(fragment, number, first, group.num_rows, group.total_byte_size))
            first += group.num_rows
    if not (pieces := [piece for piece in pieces if piece.rows]):
        raise DataError(f"{base}: there is no row in {len(names):,} Parquet files")
    Encoder(ae, columns, {}).codes(next(read_rows(base, columns, pieces)).slice(0, 1))
    return columns, kept, pieces


def read_rows(base: str, columns: list[str], pieces: Sequence[Piece]) -> Iterator[pa.Table]:
    """The rows of row groups, some at a time, with their places; their own columns' names begin with `=`."""
    import pyarrow as pa

    for piece in pieces:
        path, first = piece.fragment.path, piece.first
        length = max(1, BLOCK_BYTES * piece.rows // max(piece.size, 1))
        with reading(path, "Parquet"):
            for batch in piece.fragment.to_batches(columns=columns, batch_size=length, batch_readahead=1):
                rows = np.arange(first, first + len(batch))
                places = [pa.repeat(path.removeprefix(base), len(batch)), rows, piece.file * FILE_ROWS + rows]
                yield pa.table([*places, *batch.columns], [*PLACE, *(f"={name}" for name in columns)])
                first += len(batch)


# -- output -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """The folder that parts are written to."""

    system: Any
    path: str

    def names(self, below: str = "") -> list[str]:
        """The names in it, or in a folder below it."""
        from pyarrow.fs import FileSelector

        found = self.system.get_file_info(FileSelector(f"{self.path}{below}", allow_not_found=True))
        return [info.base_name for info in found if info.base_name]

    def remove(self, names: Collection[str], below: str = "") -> None:
        """Remove those of some files that are there."""
        for name in {*names}.intersection(self.names(below)):
            self.system.delete_file(f"{self.path}{below}/{name}")

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a file under another name first: there is never half of it."""
        with self.system.open_output_stream(f"{self.path}/{name}.new") as stream:
            stream.write((json.dumps(content) + "\n").encode())
        self.system.move(f"{self.path}/{name}.new", f"{self.path}/{name}")

    def count(self) -> int:
        """The rows of all parts, by what these say at their ends."""
        from pyarrow.dataset import dataset

        parts = [f"{self.path}/{name}" for name in self.names() if name.endswith(".parquet")]
        with reading(self.path, "Parquet"):
            return int(dataset(parts, filesystem=self.system).count_rows()) if parts else 0

    def begin(self, job: dict[str, Any], *, overwrite: bool) -> int:
        """Make the folder ready for a job, and count the rows that an earlier start has written."""
        names = self.names()
        if JOB in names and overwrite:
            self.remove([END, *(name for name in names if name.endswith(".parquet"))])
            self.sweep()
        elif JOB in names:
            where = f"{self.path}/{JOB}"
            with reading(where, "a job"), self.system.open_input_stream(where) as stream:
                before = json.loads(stream.read())
                old, new = before["files"], job["files"]
                others = [what for what in ("model", "source", "columns") if before[what] != job[what]]
            changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
            if changed and (END in names or old.keys() != new.keys()):
                others.append(f"state of {changed[0]}")
            if others:
                end = "give another output, or --overwrite to begin anew"
                raise InputError(f"{self.path} was begun with another {others[0]}: {end}")
            self.sweep(changed)
        elif others := [name for name in names if not name.startswith(".")]:
            raise InputError(
                f"{self.path} holds {others[0]!r}, and is not the output of an earlier start: give a folder "
                "that is empty or not there yet"
            )
        self.system.create_dir(self.path, recursive=True)
        self.write(JOB, job)
        return self.count()

    def sweep(self, changed: Collection[str] = ()) -> None:
        """Remove parts that are on none of Ray's lists, lists without a part, and parts of `changed` files.

        A list is called after its part, and `.pending` until the part is written: then, or when a worker died
        on the way and the part is written again. Parts of pending lists Ray would remove by itself as it
        starts; but a worker that outlives its job for a moment writes one after that, which Ray would keep.
        """
        from pyarrow import parquet

        lists = {name: name.removesuffix(".parquet") for name in self.names(f"/{WRITTEN}")}
        parts = {name: name.rpartition("-")[0] for name in self.names() if name.endswith(".parquet")}
        pending = {own.removesuffix(".pending") for own in lists.values() if own.endswith(".pending")}
        whole = {*lists.values()} & {*parts.values()} - pending
        for part in parts if changed else ():
            rows = parquet.read_table(f"{self.path}/{part}", columns=["file"], filesystem=self.system)
            whole -= {parts[part]} if {*rows["file"].unique().to_pylist()} & {*changed} else set()
        self.remove([name for name, own in parts.items() if own not in whole])
        self.remove([name for name, own in lists.items() if own not in whole], f"/{WRITTEN}")


# -- workers ------------------------------------------------------------------------------------------------


class Encoder:
    """Makes codes of blocks of rows, on the device of the model."""

    def __init__(self, ae: AutoEncoder, columns: list[str], kept: dict[str, Any]) -> None:
        self.ae, self.columns, self.kept = ae, columns, kept

    def __call__(self, block: pa.Table) -> pa.Table:
        """The places, the columns to keep and the codes of a block."""
        import pyarrow as pa

        kept = {name: block[f"={name}"].cast(kind) for name, kind in self.kept.items()}
        codes = {f"z{i}": np.ascontiguousarray(z) for i, z in enumerate(self.codes(block).T)}
        return pa.table({name: block[name] for name in PLACE} | kept | codes)

    def codes(self, block: pa.Table) -> NDArray[np.float32]:
        """The codes of a block; a row that cannot be encoded is named by its file and its place there."""
        rows: Any = block.select([f"={name}" for name in self.columns]).rename_columns(self.columns)
        try:
            if self.ae.model_.columns is None:
                x, names = numbers_of(rows, "the rows", missing=self.ae.takes_missing)
                rows = Data(x, names=names, missing=self.ae.takes_missing)
            codes: NDArray[np.float32] = self.ae.transform(rows)
            return codes
        except DataError as error:
            if half := len(block) // 2:
                self.codes(block.slice(0, half))
                self.codes(block.slice(half))
            reason = re.sub(r"^(the (DataFrame|table|rows): )?(row 1,? )?", "", str(error))
            file, row = block["file"][0].as_py(), block["row"][0].as_py()
            raise DataError(f"{file}: row {row:,}, counted from 0, {reason}") from None


# -- Ray ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _cluster(workers: int | None, gpus: float) -> Iterator[int]:
    """A Ray that runs already, is at RAY_ADDRESS, or is started here; and the number of workers."""
    address = os.environ.get("RAY_ADDRESS", "").strip() or "local"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        import ray.data

        for logger in (logging.getLogger("ray"), logging.getLogger("ray.data")):
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        if not ray.is_initialized():
            own: dict[str, Any] = {}
            if address == "local":
                own = {"num_cpus": SPARE_CPUS + (workers or os.cpu_count() or 1), "include_dashboard": False}
            try:
                # Ray would ask for two minutes, and then end this process.
                if found := re.fullmatch(r"(?:ray://)?\[?([^\[\]/]+?)\]?:(\d{1,5})", address):
                    socket.create_connection((found[1], int(found[2])), timeout=10).close()
                kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 2)  # on which its core says that it will say nothing
                try:
                    ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
                finally:
                    os.dup2(kept, 2)
                    os.close(kept)
                    os.close(nowhere)
            except (OSError, OverflowError, RuntimeError, ValueError) as error:
                raise CodewordError(
                    f"Ray could not be started at {address!r}: {shortened(error)}; start that cluster, or "
                    "unset RAY_ADDRESS for one on this machine"
                ) from None
            stack.callback(ray.shutdown)
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = int(there.get("CPU", 0)) - SPARE_CPUS
        room = min(room, int(there.get("GPU", 0) / gpus)) if gpus else room
        if room < (workers or 1):
            raise InputError(
                f"the cluster has {there.get('CPU', 0):g} CPUs, of which {SPARE_CPUS} read and write, and "
                f"{there.get('GPU', 0):g} GPUs, and thus room for {max(room, 0)} workers: ask for fewer "
                "(--workers, --gpus), or join another cluster with RAY_ADDRESS"
            )
        yield workers or room


def _run(
    pieces: Sequence[Piece],
    read: partial[Iterator[pa.Table]],
    encoder: Encoder,
    output: Output,
    workers: int,
    gpus: float,
    *,
    verbose: bool,
) -> None:
    """Read, encode and write the rows that are on none of Ray's lists."""
    from ray.data import ActorPoolStrategy, DataContext, Datasource, ReadTask, read_datasource
    from ray.data.block import BlockMetadata
    from ray.data.checkpoint import CheckpointConfig

    class Rows(Datasource):
        """Row groups, some a task."""

        def estimate_inmemory_data_size(self) -> int:
            return sum(piece.size for piece in pieces)

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            tasks = []
            for numbers in np.array_split(range(len(pieces)), min(parallelism, len(pieces))):
                lot = [pieces[i] for i in numbers]
                n, size = sum(piece.rows for piece in lot), sum(piece.size for piece in lot)
                tasks.append(ReadTask(partial(read, lot), BlockMetadata(n, size, None, None)))
            return tasks

    source = Rows()  # type: ignore[no-untyped-call]
    context = DataContext.get_current().copy()
    context.enable_progress_bars = verbose and sys.stderr.isatty()
    context.checkpoint_config = CheckpointConfig(
        PLACE[-1],
        f"{output.path}/{WRITTEN}",
        override_filesystem=output.system,
        delete_checkpoint_on_success=False,
    )
    try:
        with DataContext.current(context):
            codes = read_datasource(source, num_cpus=0.5).map_batches(
                Encoder,
                fn_constructor_args=(encoder.ae, encoder.columns, encoder.kept),
                batch_format="pyarrow",
                compute=ActorPoolStrategy(size=workers),
                num_cpus=1,
                num_gpus=gpus or None,
                max_task_retries=MOST_DEATHS,
            )
            codes.write_parquet(
                output.path,
                filesystem=output.system,
                ray_remote_args={"num_cpus": 0.5},
                use_dictionary=[PLACE[0], *encoder.kept],  # of codes no two are alike
                column_encoding=dict.fromkeys(PLACE[1:], "DELTA_BINARY_PACKED"),
            )
    except Exception as error:  # Ray's are of many types
        go_on = "what is written stays, and the same call goes on from there"
        reason: BaseException | None = error
        while reason is not None and not isinstance(reason, DataError):
            reason = getattr(reason, "cause", None) or reason.__cause__
        if reason is not None:
            raise DataError(f"{reason}; {go_on}") from None
        text = shortened(error, 300)
        raise CodewordError(f"Ray stopped ({type(error).__name__}: {text}); {go_on}") from error
