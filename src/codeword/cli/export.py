"""`codeword export`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from codeword.base.errors import DataError, ParameterError
from codeword.cli.app import Job, command
from codeword.cli.options import MapSeed, Method, chosen

__all__: list[str] = []


@command(
    example="export digits.ae mnist --split test --parquet digits.parquet",
    reads=("model", "rows", "display"),
    writes=True,
)
def export(
    job: Job,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Whose codes --parquet writes: all that `codeword encode` takes.",
            metavar="SOURCE",
            show_default=False,
        ),
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option(
            help="A table of points for embedding-atlas and pandas: .parquet.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="A folder of the model in ONNX, scaling inside, to serve without torch.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    points: Annotated[int, typer.Option(help="How many samples, chosen at random; 0 for all.", min=0)] = 0,
    method: Method = "auto",
    neighbors: Annotated[
        int | None,
        typer.Option(
            help="Name so many nearest samples for each in the Parquet file; else 10, or all there are.",
            min=0,
            show_default=False,
        ),
    ] = None,
    seed: MapSeed = 0,
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
    from codeword.data.outputs import check_output
    from codeword.export.onnx import check_onnx

    if parquet is not None:
        check_output(parquet, overwrite=job.overwrite, formats=(".parquet",))
    if onnx is not None:
        check_onnx(onnx, overwrite=job.overwrite)
    facts: dict[str, Any] = {"n": None, "k": job.model.n_components, "parquet": None}
    facts |= {"columns": None, "neighbors": None, "renamed": {}, "onnx": None}
    facts |= {"notes": []}
    how: dict[str, Any] = {"overwrite": job.overwrite, "verbose": not job.quiet}
    lines = []
    if parquet is not None and source is not None:
        from codeword.export import look, write_parquet

        data = job.rows(source)
        n = _how_many(points, neighbors, source, len(data))
        seen = look(job.model, data, chosen(len(data), n, seed), display=job.display, verbose=not job.quiet)
        found = write_parquet(seen, parquet, method=method, seed=seed, n_neighbors=neighbors, **how)
        facts |= {"n": n, "parquet": str(parquet), **found}
        lines += _about_table(parquet, found)
    if onnx is not None:
        from codeword.export import write_onnx

        notes = write_onnx(job.model, onnx, **how)
        facts |= {"onnx": str(onnx), "notes": notes}
        lines += [f"wrote {onnx}", *(f"  {note}" for note in notes)]
    job.say(facts, "\n".join(lines))


def _how_many(points: int, neighbors: int | None, source: str, rows: int) -> int:
    n = points or rows
    if n > rows:
        raise ParameterError(f"--points {points}: {source} has {rows:,} samples; 0 takes all of them")
    if neighbors is not None and neighbors >= n:
        raise DataError(f"--neighbors {neighbors}: each of {n:,} samples has {n - 1:,} others")
    return n


def _about_table(path: Path, found: dict[str, Any]) -> list[str]:
    """Lines on what was written, what was renamed, and the command that opens it."""
    image = " --image image" if "image" in found["columns"] else ""
    renamed = [f"  column {old!r} of the source is {new!r} there" for old, new in found["renamed"].items()]
    opens = f"  embedding-atlas {shlex.quote(str(path))} --x x --y y --neighbors neighbors{image}"
    return [f"wrote {path}", *renamed, opens]
