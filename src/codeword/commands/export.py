"""Codes for other programs: `codeword export`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from codeword.commands.common import app, load_rows, open_model
from codeword.errors import DataError, ParameterError
from codeword.options import Device, Json, LabelColumn, Model, Overwrite, Quiet, Size, Source, Split

__all__: list[str] = []


@app.command(epilog="Example: codeword export digits.ae mnist --split test --parquet digits.parquet")
def export(
    model: Model,
    source: Source,
    parquet: Annotated[
        Path | None,
        typer.Option(
            help="A table of points for embedding-atlas and pandas: .parquet.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    projector: Annotated[
        Path | None,
        typer.Option(
            help="A folder for TensorBoard's Embedding Projector.", metavar="DIR", show_default=False
        ),
    ] = None,
    points: Annotated[int, typer.Option(help="How many samples, chosen at random; 0 for all.", min=0)] = 0,
    method: Annotated[
        str, typer.Option(help="Of the map in the Parquet file: auto, tsne, umap or pca.")
    ] = "auto",
    neighbors: Annotated[
        int | None,
        typer.Option(
            help="Name so many nearest samples for each in the Parquet file; else 10, or all there are.",
            min=0,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples and of the map.", min=0)] = 0,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the codes of SOURCE for other programs.

    With --parquet, a row for each sample: its place on a map, its code, label, error, nearest samples by
    code, and the sample itself. With --projector, its code, label and error, and a sheet of thumbnails.
    """
    if parquet is None and projector is None:
        raise ParameterError("nothing to write: give --parquet FILE, --projector DIR, or both")
    _check(parquet, projector, overwrite)
    ae = open_model(model, device)
    data = load_rows(ae, source, split, label_column, size)
    n = points or len(data)
    if n > len(data):
        raise ParameterError(f"--points {points}: {source} has {len(data):,} samples; 0 takes all of them")
    if parquet is not None and neighbors is not None and neighbors >= n:
        raise DataError(f"--neighbors {neighbors}: each of {n:,} samples has {n - 1:,} others")
    from codeword.export import look, write_parquet, write_projector
    from codeword.showing import choose

    seen = look(ae, data, choose(len(data), n, seed), verbose=not quiet)
    figures: dict[str, Any] = {"n": n, "k": ae.n_components, "parquet": None, "projector": None}
    figures |= {"columns": None, "neighbors": None, "renamed": {}, "thumbnail": None, "notes": []}
    how: dict[str, Any] = {"overwrite": overwrite, "verbose": not quiet}
    if parquet is not None:
        found = write_parquet(seen, parquet, method=method, seed=seed, n_neighbors=neighbors, **how)
        figures |= {"parquet": str(parquet), **found}
    if projector is not None:
        figures |= {"projector": str(projector), **write_projector(seen, projector, **how)}
    if json_:
        print(json.dumps(figures))
    elif not quiet:
        print("\n".join(_told(figures)))


def _check(parquet: Path | None, projector: Path | None, overwrite: bool) -> None:
    """Before any work is done."""
    from codeword.export.projector import check_folder
    from codeword.outputs import check_output

    if parquet is not None:
        check_output(parquet, overwrite=overwrite, formats=(".parquet",))
    if projector is not None:
        check_folder(projector, overwrite=overwrite)


def _told(figures: dict[str, Any]) -> list[str]:
    """What was written, what was left out or renamed, and the command that opens each."""
    lines = []
    if figures["parquet"] is not None:
        image = " --image image" if "image" in figures["columns"] else ""
        lines += [f"wrote {figures['parquet']}"]
        lines += [
            f"  column {old!r} of the source is {new!r} there" for old, new in figures["renamed"].items()
        ]
        file = shlex.quote(figures["parquet"])
        lines += [f"  embedding-atlas {file} --x x --y y --neighbors neighbors{image}"]
    if figures["projector"] is not None:
        lines += [f"wrote {figures['projector']}"]
        lines += [f"  {note}" for note in figures["notes"]]
        lines += [f"  tensorboard --logdir {shlex.quote(figures['projector'])}"]
    return lines
