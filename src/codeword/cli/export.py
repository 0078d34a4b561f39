"""`codeword export`."""

import shlex
from pathlib import Path
from typing import Any

from typer import Argument, Option

from codeword.base.errors import ParameterError
from codeword.cli.app import MODEL, READING, Job, Method, Seed, chosen, command


@command(
    "export digits.ae mnist --split test --parquet digits.parquet", [*MODEL, *READING, "display", "overwrite"]
)
def export(
    job: Job,
    source: str | None = Argument(
        None, help="Whose codes --parquet writes: all that `codeword encode` takes.", metavar="SOURCE"
    ),
    parquet: Path | None = Option(
        None, help="A table of points for embedding-atlas and pandas: .parquet.", metavar="FILE"
    ),
    onnx: Path | None = Option(
        None, help="A folder of the model in ONNX, scaling inside, to serve without torch.", metavar="DIR"
    ),
    points: int = Option(0, help="How many samples, chosen at random; 0 for all.", min=0),
    method: Method = "auto",
    neighbors: int | None = Option(
        None,
        help="Name so many nearest samples for each in the Parquet file; else 10, or all there are.",
        min=0,
    ),
    seed: Seed = 0,
) -> None:
    """Write codes, or the model, for other programs.

    With --parquet, a row for each sample: its place on a map, its code, label, error, nearest samples by
    code, and the sample itself. With --onnx, which needs no SOURCE, encoder, decoder and reconstruction.
    """
    if parquet is None and onnx is None:
        raise ParameterError("nothing to write: give --parquet FILE, --onnx DIR, or both")
    if parquet is not None and source is None:
        raise ParameterError("--parquet writes the codes of a SOURCE: codeword export MODEL SOURCE …")
    if parquet is None and source is not None:
        raise ParameterError(
            f"--onnx writes the model, and has no use for {source}: leave it out, or add --parquet"
        )
    from codeword.export import write_onnx, write_parquet
    from codeword.export.onnx import check_onnx

    if parquet is not None:
        job.check(parquet, (".parquet",))
    if onnx is not None:
        check_onnx(onnx, overwrite=job.overwrite)
    facts: dict[str, Any] = {"n": None, "k": job.fitted.n_components, "parquet": None, "columns": None}
    facts |= {"neighbors": None, "renamed": {}, "onnx": None, "notes": []}
    lines = []
    if parquet is not None and source is not None:
        data = job.rows(source)
        n = points or len(data)
        if n > len(data):
            raise ParameterError(
                f"--points {points}: {source} has {len(data):,} samples; 0 takes all of them"
            )
        how = {"display": job.display, "method": method, "n_neighbors": neighbors, **job.flags}
        rows = chosen(len(data), n, seed)
        found = write_parquet(job.model, data, parquet, rows=rows, seed=seed, **how)
        facts |= {"n": n, "parquet": str(parquet), **found}
        image = " --image image" if "image" in found["columns"] else ""
        renamed = found["renamed"].items()
        lines += [f"wrote {parquet}"]
        lines += [f"  column {old!r} of the source is {new!r} there" for old, new in renamed]
        lines += [f"  embedding-atlas {shlex.quote(str(parquet))} --x x --y y --neighbors neighbors{image}"]
    if onnx is not None:
        notes = write_onnx(job.model, onnx, **job.flags)
        facts |= {"onnx": str(onnx), "notes": notes}
        lines += [f"wrote {onnx}", *(f"  {note}" for note in notes)]
    job.say(facts, "\n".join(lines))
