"""Codes of Parquet files by Ray Data: read, encoded by a pool of workers and written, on one machine or many.

Ray Data starts the workers, replaces dead ones, and lists the rows that are written, so that a second start
leaves them out. Three things are added here. Its `read_parquet` numbers no rows: `read_rows` gives each its
place. Parts can lie there that are on none of its lists, as of a worker that outlived its job: `_sweep`
removes them. And what a job is lies beside its parts, so that no other job goes on with them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import itertools
import json
import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet
from pyarrow.fs import FileSystem

from codeword.base.errors import CodewordError, DataError, InputError, expected
from codeword.base.text import listed, shortened
from codeword.data.data import Data
from codeword.data.reading import reading
from codeword.data.tables import numbers_of
from codeword.model.autoencoder import AutoEncoder

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
    keep = list(dict.fromkeys(keep))
    for name in keep:
        if name in PLACE or re.fullmatch(r"z\d+", name):
            raise expected(
                "keep", "encode_parts", f"other names than those of parts ({', '.join(PLACE)}, z0, …)", name
            )
    from codeword.model.autoencoder import AutoEncoder  # here, since workers that read need no torch
    from codeword.model.hub import local

    device = "cuda" if gpus_per_worker else "cpu"
    ae: AutoEncoder = AutoEncoder.load(model, device="cpu").set_params(device=device)
    out = _open(output)
    files, base, stamps = _find(source, out)
    encoder, pieces = _plan(ae, files, base, stamps, keep, label_column)
    digest = hashlib.sha256()
    for path in sorted(Path(local(model)).glob("[cw]*")):  # what the codes follow from
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    where = f"{files.type_name}:{base}"
    job = {"model": digest.hexdigest(), "source": where, "columns": [encoder.columns, keep], "files": stamps}
    n = sum(piece.rows for piece in pieces)
    before = _begin(out, job, overwrite=overwrite)
    if before < n:
        with _cluster(workers, gpus_per_worker) as size:
            _run(base, pieces, encoder, out, size, gpus_per_worker, verbose)
        changed = [name for name, stamp in _find(source, out)[2].items() if stamps.get(name) != stamp]
        if changed:
            raise DataError(f"{base}{changed[0]} was changed meanwhile: make the call again")
        _sweep(out)
    if (found := _count(out)) != n:
        raise CodewordError(
            f"{out.path} has {found:,} rows, and {n:,} were expected: another job may be writing there; "
            "make the call again when it has ended, or with overwrite (--overwrite)"
        )
    _write(out, END, {"rows": n, "k": ae.n_components})
    return {"n": n, "k": ae.n_components, "written": n - before}


# -- source -------------------------------------------------------------------------------------------------


def without_secret(uri: str) -> str:
    """A URI without a key and its secret, in which there may be slashes."""
    return re.sub(r"(://)(?:[^?\s]*@|[^/@\s]*@)", r"\1", uri)


def _open(text: str) -> Any:
    """A path or a URI as the root of a file system of fsspec, over one of pyarrow."""
    from fsspec.implementations.arrow import ArrowFSWrapper
    from fsspec.implementations.dirfs import DirFileSystem

    uri = quote(text, safe=":/?&=%@*+,;~!$'()#")
    try:
        system, path = FileSystem.from_uri(
            uri if "://" in text else Path(text).expanduser().resolve().as_uri()
        )
    except (ValueError, OSError, ImportError) as error:
        reason = shortened(without_secret(str(error)), 200)
        raise InputError(f"{without_secret(text)} cannot be opened: {reason}") from None
    return DirFileSystem(path.rstrip("/"), ArrowFSWrapper(system))


def _find(source: str, out: Any) -> tuple[Any, str, dict[str, list[int]]]:
    """The Parquet files of a source: file system, folder, and paths below it with size and time.

    Parts in the output are none of them.
    """
    place = _open(source)
    every, path, system = place.fs, place.path, place.fs.fs
    if every.isdir(path):
        base = f"{path}/"
        shown = re.compile(r"(?i)(?!.*/[._])[^._].*\.(parquet|pq)")
        found = [name for name in every.find(path) if shown.fullmatch(name.removeprefix(base))]
    else:
        wild = None if every.exists(path) else re.search(r"[*?[]", path)
        base = f"{path[: wild.start() if wild else None].rpartition('/')[0]}/"
        found = every.glob(path) if wild else every.find(path)
    if system == out.fs.fs:
        found = [name for name in found if not name.startswith(f"{out.path}/")]
    if not found:
        raise DataError(f"{without_secret(source)}: there is no Parquet file (.parquet, .pq) there")
    infos = system.get_file_info(sorted(found))
    return system, base, {i.path.removeprefix(base): [i.size or 0, i.mtime_ns or 0] for i in infos}


class Piece(NamedTuple):
    """A row group as a pyarrow fragment, the numbers of its file and of its first row, and its rows."""

    fragment: Any
    file: int
    first: int
    rows: int


def _plan(
    ae: AutoEncoder, system: Any, base: str, names: Collection[str], keep: list[str], label_column: str | None
) -> tuple[Encoder, list[Piece]]:
    """What makes codes of rows, and the row groups.

    A column that a file lacks is named, and one row is encoded here.
    """
    from pyarrow.dataset import ParquetFileFormat

    def look(name: str) -> tuple[Any, list[Any]]:
        with reading(base + name, "Parquet"):
            fragment = ParquetFileFormat().make_fragment(base + name, system)
            return fragment.physical_schema, fragment.split_by_row_group()

    with ThreadPoolExecutor(32) as pool:
        schemas, groups = zip(*pool.map(look, names), strict=True)
    mixed, others = ae.model_.columns, {*keep, label_column}
    known = ae.model_.names if mixed is None else mixed.names
    free = [n for n in schemas[0].names if n not in others and not n.startswith("__index_level_")]
    columns = list(known or free)
    for file, schema in zip(names, schemas, strict=True):
        for name in (*columns, *keep):
            if name not in schema.names:
                raise DataError(f"{base}{file} has no column {name!r}; its columns: {listed(schema.names)}")
    with reading(base, "files whose columns to keep are of the same types"):
        wanted = [pa.schema([schema.field(name) for name in keep]) for schema in schemas]
        kept = {f.name: f.type for f in pa.unify_schemas(wanted, promote_options="permissive")}
    pieces: list[Piece] = []
    for number, fragments in enumerate(groups):
        first = 0
        for fragment in fragments:
            rows = fragment.row_groups[0].num_rows
            pieces.append(Piece(fragment, number, first, rows))
            first += rows
    row = next((table.slice(0, 1) for table in read_rows(base, columns, pieces) if len(table)), None)
    if row is None:
        raise DataError(f"{base}: there is no row in {len(names):,} Parquet files")
    encoder = Encoder(ae, columns, kept)
    encoder.codes(row)
    return encoder, pieces


def read_rows(base: str, columns: list[str], pieces: Iterable[Piece]) -> Iterator[pa.Table]:
    """The rows of row groups, some at a time, with their places; their own columns' names begin with `=`."""
    for fragment, file, first, n in pieces:
        length = max(1, BLOCK_BYTES * n // max(fragment.row_groups[0].total_byte_size, 1))
        with reading(fragment.path, "Parquet"):
            for batch in fragment.to_batches(columns=columns, batch_size=length, batch_readahead=1):
                rows = np.arange(first, first + len(batch))
                name = pa.repeat(fragment.path.removeprefix(base), len(batch))
                places = [name, rows, file * FILE_ROWS + rows]
                yield pa.table([*places, *batch.columns], [*PLACE, *(f"={name}" for name in columns)])
                first += len(batch)


# -- output -------------------------------------------------------------------------------------------------


def _write(out: Any, name: str, content: dict[str, Any]) -> None:
    """Write a file under another name first: there is never half of it."""
    out.pipe_file(f"{name}.new", (json.dumps(content) + "\n").encode())
    out.mv(f"{name}.new", name)


def _parts(out: Any) -> list[str]:
    return [name for name in out.ls("", detail=False) if name.endswith(".parquet")]


def _count(out: Any) -> int:
    """The rows of all parts, by what these say at their ends."""
    from pyarrow.dataset import dataset

    parts = [f"{out.path}/{name}" for name in _parts(out)]
    with reading(out.path, "Parquet"):
        return int(dataset(parts, filesystem=out.fs.fs).count_rows()) if parts else 0


def _begin(out: Any, job: dict[str, Any], *, overwrite: bool) -> int:
    """Make the folder ready for a job, and count the rows that an earlier start has written."""
    out.makedirs("", exist_ok=True)
    names = sorted(out.ls("", detail=False))
    gone = [END] if END in names else []
    if JOB not in names:
        if others := [name for name in names if not name.startswith(".")]:
            raise InputError(
                f"{out.path} holds {others[0]!r}, and is not the output of an earlier start: give a folder "
                "that is empty or not there yet"
            )
    elif overwrite:
        gone += _parts(out)
    else:
        with reading(f"{out.path}/{JOB}", "a job"):
            before = json.loads(out.cat_file(JOB))
            old, new = before["files"], job["files"]
            others = [what for what in ("model", "source", "columns") if before[what] != job[what]]
        changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
        if changed and (END in names or old.keys() != new.keys()):
            others.append(f"state of {min(changed)}")
        if others:
            end = "give another output, or --overwrite to begin anew"
            raise InputError(f"{out.path} was begun with another {others[0]}: {end}")
        for part in _parts(out) if changed else ():
            rows = parquet.read_table(f"{out.path}/{part}", columns=["file"], filesystem=out.fs.fs)
            gone += [part] if changed & {*rows["file"].unique().to_pylist()} else []
    for name in gone:
        out.rm_file(name)
    _sweep(out)
    _write(out, JOB, job)
    return _count(out)


def _sweep(out: Any) -> None:
    """Remove parts that are on none of Ray's lists, and lists without a part.

    A list is called after its part, and `.pending` until the part is written: then, or when a worker died on
    the way and the part is written again. Parts of pending lists Ray would remove by itself as it starts; but
    a worker that outlives its job for a moment writes one after that, which Ray would keep.
    """
    out.makedirs(WRITTEN, exist_ok=True)
    lists = {name: Path(name).stem for name in out.ls(WRITTEN, detail=False)}
    parts = {name: name.rpartition("-")[0] for name in _parts(out)}
    done = {own for own in lists.values() if f"{own}.pending" not in lists.values()} & {*parts.values()}
    for name, own in (lists | parts).items():
        if own not in done:
            out.rm_file(name)


# -- workers ------------------------------------------------------------------------------------------------


@dataclass
class Encoder:
    """Makes codes of blocks of rows, on the device of the model."""

    ae: AutoEncoder
    columns: list[str]
    kept: dict[str, Any]

    def __call__(self, block: pa.Table) -> pa.Table:
        """The places, the columns to keep and the codes of a block."""
        kept = {name: block[f"={name}"].cast(kind) for name, kind in self.kept.items()}
        codes = {f"z{i}": np.ascontiguousarray(z) for i, z in enumerate(self.codes(block).T)}
        return pa.table({name: block[name] for name in PLACE} | kept | codes)

    def codes(self, block: pa.Table) -> NDArray[np.float32]:
        """The codes of a block; a row that cannot be encoded is named by its file and its place there."""
        model = self.ae.model_
        rows: Any = block.select([f"={name}" for name in self.columns]).rename_columns(self.columns)
        try:
            if model.columns is None:
                x, names = numbers_of(rows, "the rows", missing=model.takes_missing)
                rows = Data(x, names=names, missing=model.takes_missing)
            return model.transform(rows)
        except DataError as error:
            if half := len(block) // 2:
                self.codes(block.slice(0, half))
                self.codes(block.slice(half))
            reason = re.sub(r"^(the (DataFrame|table|rows): )?(row 1,? )?", "", str(error))
            file, row = block["file"][0].as_py(), block["row"][0].as_py()
            raise DataError(f"{file}: row {row:,}, counted from 0, {reason}") from None


# -- Ray ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Standard error goes nowhere, that of code in C++ too."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


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
                # Ray would ask for five minutes, and then end this process.
                if found := re.fullmatch(r"(?:ray://)?\[?([^\[\]/]+?)\]?:(\d{1,5})", address):
                    socket.create_connection((found[1], int(found[2])), timeout=10).close()
                with _no_stderr():  # on which its core says that it will say nothing
                    ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
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
    base: str, pieces: list[Piece], encoder: Encoder, out: Any, workers: int, gpus: float, verbose: bool
) -> None:
    """Read, encode and write the rows that are on none of Ray's lists."""
    from ray.data import ActorPoolStrategy, DataContext, Datasource, ReadTask, read_datasource
    from ray.data.block import BlockMetadata
    from ray.data.checkpoint import CheckpointConfig

    class Rows(Datasource):
        """Row groups, some a task."""

        def estimate_inmemory_data_size(self) -> None:
            """Unknown: Ray looks at the blocks that come."""

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[Any]:
            ends = np.linspace(0, len(pieces), min(parallelism, len(pieces)) + 1, dtype=int)
            lots = [pieces[start:end] for start, end in itertools.pairwise(ends)]
            return [ReadTask(partial(read, lot), BlockMetadata(None, None, None)) for lot in lots]

    read = partial(read_rows, base, list(dict.fromkeys([*encoder.columns, *encoder.kept])))
    source = Rows()  # type: ignore[no-untyped-call]
    context = DataContext.get_current().copy()
    context.enable_progress_bars = verbose and sys.stderr.isatty()
    lists = f"{out.path}/{WRITTEN}"
    context.checkpoint_config = CheckpointConfig(
        PLACE[-1], lists, override_filesystem=out.fs.fs, delete_checkpoint_on_success=False
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
                out.path,
                filesystem=out.fs.fs,
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
