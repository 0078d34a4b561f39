"""The job as a whole: what is to be done, by whom, and whether all of it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codeword.base.errors import CodewordError, DataError, ParameterError
from codeword.base.progress import Progress
from codeword.export.fleet.encoder import KEYS, Work, check_schema, choose_columns, kinds_of, model_files
from codeword.export.fleet.engine import Pool, check_ray, on_ray
from codeword.export.fleet.job import END, Job, Unit, begin, check_parts, finished, plan
from codeword.export.fleet.places import File, Place, Source, open_place, open_source, public
from codeword.model.autoencoder import AutoEncoder

__all__ = ["encode_parts"]


def encode_parts(
    model: str | os.PathLike[str],
    source: str,
    output: str,
    *,
    keep: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    workers: int | None = None,
    gpus_per_worker: float = 0.0,
    cpus_per_worker: float = 1.0,
    overwrite: bool = False,
    verbose: bool = False,
) -> dict[str, Any]:
    """Encode Parquet files on a Ray cluster, into a folder of Parquet parts.

    A part holds the rows of one file, or of some row groups of a large one. Its columns are `file` and `row`,
    which say where each code comes from, those to `keep`, and z0, z1, … (float32). A part appears when it is
    whole, under a name that follows from the rows in it: however often workers die and units are done again,
    no row is lost and none is there twice. The same call goes on where an earlier one stopped. When all
    parts are there, a file `_SUCCESS` is.

    Parameters
    ----------
    model : path of a model folder
        It is sent to the workers; they do not have to see it.
    source : str
        A Parquet file, a folder of them, or a pattern with `*`, `?` or `**`: a path, or a URI that pyarrow
        knows, such as `s3://bucket/rows/*.parquet`. Workers on other machines have to see it under that name.
    output : str
        A folder, or a place in an object store, that is empty or not there yet.
    keep : sequence of str, default=()
        Columns that are passed through.
    leave_out : sequence of str, default=()
        Columns that are not numbers of a row. A model that was fitted on a table knows its columns by name,
        and passes over all others without this.
    workers : int or None, default=None
        Processes that encode; None is one for each CPU of the cluster or, with GPUs, as many as these carry.
    gpus_per_worker : float, default=0
        A quarter has four workers share a GPU: reading Parquet keeps a GPU waiting.
    cpus_per_worker : float, default=1
    overwrite : bool, default=False
        Remove the parts of an earlier job in `output` first.
    verbose : bool, default=False

    Returns
    -------
    dict
        `n`, the rows; `k`; `parts`, all of them; `written`, the parts of this call; `found`, those of earlier
        ones; `retried`, how often a part was begun again since a worker died.

    Raises
    ------
    InputError
        If Ray is not installed, no machine has room for a worker, or `output` holds something else, or the
        parts of another job.
    ModelError, ParameterError
    DataError
        If files lack columns, before anything is encoded; or rows hold what is no finite number, or a file
        was changed meanwhile, in which case the other parts are there. The same call goes on when it has been
        put right.
    CodewordError
        If the workers could not be started, or units failed for other reasons; the same call goes on.
    """
    _check_parameters(keep, workers, gpus_per_worker, cpus_per_worker)
    check_ray(gpus_per_worker)
    ae = AutoEncoder.load(model, device="cpu")
    from_, to = open_source(source), open_place(output)
    above, part = f"{from_.place.real.rstrip('/')}/", f"{to.real.rstrip('/')}/part-0.parquet"
    if from_.place.system == to.system and part.startswith(above) and from_.matches(part.removeprefix(above)):
        raise ParameterError(
            f"{public(output)} lies in the source {from_.said}: its parts would be taken for rows"
        )
    weights = model_files(ae)
    job, begun = _job(ae, weights, from_, to, keep, leave_out, overwrite=overwrite)
    done = finished(to, job) if begun else set()
    todo = [unit for unit in job.units() if unit.number not in done]
    n = sum(unit.rows for unit in job.units())
    told: list[dict[str, Any]] = []
    if todo:
        if END in to.names():  # parts were lost since, or are cut short
            to.remove(END)
        device, threads = "cuda" if gpus_per_worker else "cpu", max(1, int(cpus_per_worker))
        work = Work(from_.place, to, job.columns, job.keep, job.model, weights, device, threads)
        with Progress(n, "encoding", verbose=verbose) as progress:
            progress.rows(n - sum(unit.rows for unit in todo))
            for each in on_ray(work, todo, Pool(workers, cpus_per_worker, gpus_per_worker)):
                told.append(each)
                progress.rows(each["rows"])
    _finish(to, job, todo, told, n)
    return {
        "n": n,
        "k": job.k,
        "parts": len(done) + len(todo),
        "written": len(todo),
        "found": len(done),
        "retried": sum(each["begun"] - 1 for each in told),
    }


def _check_parameters(keep: Sequence[str], workers: int | None, gpus: float, cpus: float) -> None:
    def must(name: str, good: bool, what: str, value: Any) -> None:
        if not good:
            raise ParameterError(
                f"The {name!r} parameter of encode_parts must be {what}. Got {value!r} instead."
            )

    must("workers", workers is None or (isinstance(workers, int) and workers > 0), "at least 1", workers)
    must(
        "gpus_per_worker", gpus >= 0 and (gpus <= 1 or gpus == int(gpus)), "a share, or a whole number", gpus
    )
    must("cpus_per_worker", cpus > 0, "above 0", cpus)
    must("keep", len(set(keep)) == len(keep), "names that differ", list(keep))
    taken = [name for name in keep if name in KEYS or (name[:1] == "z" and name[1:].isdigit())]
    must("keep", not taken, f"names that parts do not have themselves ({', '.join(KEYS)}, z0, …)", taken)


def _job(
    ae: AutoEncoder,
    weights: dict[str, bytes],
    source: Source,
    output: Place,
    keep: Sequence[str],
    leave_out: Sequence[str],
    *,
    overwrite: bool,
) -> tuple[Job, bool]:
    """The job, and whether it was begun before."""
    digest = hashlib.sha256()
    for name in ("config.json", "weights.safetensors", "columns.json"):  # and not how training went
        digest.update(hashlib.sha256(weights.get(name, b"")).digest())
    files = source.files()
    columns: list[str] = []
    kinds: dict[str, list[str]] = {}

    def check(path: str, schema: Any, n: int) -> None:
        if not columns:
            columns.extend(choose_columns(ae, schema, keep, leave_out))
        check_schema(ae, path, schema, columns, keep)
        if not n:
            return
        kinds[path] = kinds_of(schema, keep)
        first = next(iter(kinds))
        for name, kind, before in zip(keep, kinds[path], kinds[first], strict=True):
            if kind not in (before, "null"):  # of no cell at all, and read as what the first one holds
                raise DataError(
                    f"column {name!r} holds {before} in {first} and {kind} in {path}: parts of both cannot "
                    "be read together; write it alike in both, or do not keep it"
                )

    def make(files: Sequence[File]) -> Job:
        groups = plan(source, files, check)
        found = next(iter(kinds.values()), [])
        return replace(asked, columns=columns, kinds=found, files=list(files), groups=groups)

    system = source.place.system.type_name
    where = source.place.real if system == "local" else f"{system}:{source.place.real}"
    asked = Job(where, digest.hexdigest(), ae.n_components, [], list(keep), list(leave_out), [], files, [])
    return begin(output, asked, make, overwrite=overwrite)


def _finish(output: Place, job: Job, todo: Sequence[Unit], told: Sequence[dict[str, Any]], n: int) -> None:
    """Mark the end, if all parts are there; else say what went wrong first, and how much did."""
    failed = sorted((each for each in told if each["error"]), key=lambda each: each["number"])
    if failed:
        more = f" ({len(failed) - 1} other parts failed too)" if len(failed) > 1 else ""
        kind = DataError if all(each["blame"] == "data" for each in failed) else CodewordError
        raise kind(
            f"{failed[0]['error']}{more}; the other parts are in {output.path}, and the same command goes on "
            "from them"
        )
    names = output.names()
    check_parts(output, job, names)
    lost = [unit for unit in job.units() if unit.part not in names]
    if lost or {each["number"] for each in told} != {unit.number for unit in todo}:
        raise CodewordError(
            f"{output.path} lacks {len(lost):,} parts, the first {lost[0].part if lost else '?'}: the same "
            "command makes them"
        )
    if END not in names:
        figures = {"rows": n, "k": job.k, "parts": sum(len(groups) for groups in job.groups)}
        output.write(END, (json.dumps(figures) + "\n").encode())
