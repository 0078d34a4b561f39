"""Codes, and the model itself, for other programs: `codeword export`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from codeword.base.errors import DataError, ParameterError
from codeword.cli.app import app, load_rows, open_model
from codeword.cli.options import Device, Json, LabelColumn, Model, Overwrite, Quiet, Size, Split

__all__: list[str] = []


@app.command(epilog="Example: codeword export digits.ae mnist --split test --parquet digits.parquet")
def export(
    model: Model,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Whose codes --parquet and --projector write: all that `codeword encode` takes.",
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
    projector: Annotated[
        Path | None,
        typer.Option(
            help="A folder for TensorBoard's Embedding Projector.", metavar="DIR", show_default=False
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
    """Write codes, or the model, for other programs.

    With --parquet, a row for each sample: its place on a map, its code, label, error, nearest samples by
    code, and the sample itself. With --projector, its code, label and error, and a sheet of thumbnails. With
    --onnx, which needs no SOURCE, encoder, decoder and reconstruction, compared with torch.
    """
    source = _check(source, parquet, projector, onnx, overwrite)
    ae = open_model(model, device)
    figures: dict[str, Any] = {"n": None, "k": ae.n_components, "parquet": None, "projector": None}
    figures |= {"columns": None, "neighbors": None, "renamed": {}, "thumbnail": None}
    figures |= {"onnx": None, "difference": None, "notes": []}
    how: dict[str, Any] = {"overwrite": overwrite, "verbose": not quiet}
    told = []
    if source is not None:
        data = load_rows(ae, source, split, label_column, size)
        n = _how_many(points, neighbors if parquet is not None else None, source, len(data))
        from codeword.cli.showing import choose
        from codeword.export import look, write_parquet, write_projector

        seen = look(ae, data, choose(len(data), n, seed), verbose=not quiet)
        figures["n"] = n
        if parquet is not None:
            found = write_parquet(seen, parquet, method=method, seed=seed, n_neighbors=neighbors, **how)
            figures |= {"parquet": str(parquet), **found}
            told += _told_of_table(parquet, found)
        if projector is not None:
            found = write_projector(seen, projector, **how)
            figures |= {"projector": str(projector), **found}
            told += _told_of_folder(projector, found, f"tensorboard --logdir {shlex.quote(str(projector))}")
    if onnx is not None:
        from codeword.export import write_onnx

        found = write_onnx(ae, onnx, **how)
        figures |= {"onnx": str(onnx), **found, "notes": figures["notes"] + found["notes"]}
        told += _told_of_folder(onnx, found, _apart(found["difference"]))
    if json_:
        print(json.dumps(figures))
    elif not quiet:
        print("\n".join(told))


def _check(
    source: str | None, parquet: Path | None, projector: Path | None, onnx: Path | None, overwrite: bool
) -> str | None:
    """The source, if there is one and something to do with it: before any work is done."""
    from codeword.data.outputs import check_output
    from codeword.export.onnx import check_onnx
    from codeword.export.projector import check_folder

    if parquet is None and projector is None:
        if onnx is None:
            raise ParameterError(
                "nothing to write: give --parquet FILE, --projector DIR, --onnx DIR, or several"
            )
        if source is not None:
            raise ParameterError(
                f"--onnx writes the model, and has no use for {source}: leave it out, or add --parquet or "
                "--projector"
            )
    elif source is None:
        raise ParameterError(
            "--parquet and --projector write the codes of a SOURCE: codeword export MODEL SOURCE …"
        )
    if parquet is not None:
        check_output(parquet, overwrite=overwrite, formats=(".parquet",))
    if projector is not None:
        check_folder(projector, overwrite=overwrite)
    if onnx is not None:
        check_onnx(onnx, overwrite=overwrite)
    return source


def _how_many(points: int, neighbors: int | None, source: str, rows: int) -> int:
    n = points or rows
    if n > rows:
        raise ParameterError(f"--points {points}: {source} has {rows:,} samples; 0 takes all of them")
    if neighbors is not None and neighbors >= n:
        raise DataError(f"--neighbors {neighbors}: each of {n:,} samples has {n - 1:,} others")
    return n


def _told_of_table(path: Path, found: dict[str, Any]) -> list[str]:
    """What was written, what was renamed, and the command that opens it."""
    image = " --image image" if "image" in found["columns"] else ""
    renamed = [f"  column {old!r} of the source is {new!r} there" for old, new in found["renamed"].items()]
    file = shlex.quote(str(path))
    opens = f"  embedding-atlas {file} --x x --y y --neighbors neighbors{image}"
    return [f"wrote {path}", *renamed, opens]


def _told_of_folder(path: Path, found: dict[str, Any], last: str) -> list[str]:
    """What was written, and what there is to know of it."""
    return [f"wrote {path}", *(f"  {note}" for note in found["notes"]), *([f"  {last}"] if last else [])]


def _apart(difference: dict[str, float] | None) -> str:
    if difference is None:
        return ""
    return f"outputs are those of torch within {max(difference.values()):.0e}, in scaled units"
