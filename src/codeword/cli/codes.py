"""Codes and back: `codeword encode`, `decode`, `reconstruct`, `map`."""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import DataError, ParameterError
from codeword.cli.app import PICTURES, Interrupted, app, load_rows, open_model, say, write_own
from codeword.cli.options import (
    Device,
    Json,
    LabelColumn,
    Model,
    Overwrite,
    Quiet,
    Size,
    Source,
    Split,
    indices,
)

if TYPE_CHECKING:
    from codeword.data import Data

__all__: list[str] = []


@app.command(epilog="Example: codeword encode digits.ae mnist --split test -o codes.csv")
def encode(
    model: Model,
    source: Source,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Where the codes go: .npy, .npz, .csv or .parquet; with --engine a folder.",
            metavar="PATH",
            show_default="codes.npy, with --engine codes",
        ),
    ] = None,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    engine: Annotated[
        str | None,
        typer.Option(help="ray: encode Parquet files on a cluster, into Parquet parts.", show_default=False),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="With --engine: columns to pass through, with commas.", show_default=False),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="With --engine: processes; else as many as there is room for.", min=1, show_default=False
        ),
    ] = None,
    gpus: Annotated[
        float, typer.Option(help="With --engine: of each process; 0.25 has four share a GPU.", min=0)
    ] = 0.0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the codes of SOURCE.

    One row of k numbers for each sample. With --engine ray SOURCE is Parquet files, a folder of them or a
    pattern such as 's3://bucket/rows/*.parquet'; a second start goes on where the first stopped.
    """
    given = {"--keep": keep is not None, "--workers": workers is not None, "--gpus": gpus > 0}
    if engine is not None:
        given = {"--split": split != "train", "--size": size is not None, "--device": device != "auto"}
    _check_engine(engine, given)
    output = output or ("codes.npy" if engine is None else "codes")
    if engine is not None:
        how = {"keep": _names(keep), "leave_out": _names(label_column), "gpus_per_worker": gpus}
        figures = _on_engine(
            model, source, output, workers=workers, overwrite=overwrite, verbose=not quiet, **how
        )
        say(figures, json_, quiet)
        return
    from codeword.data.outputs import check_output, write_rows

    path = check_output(Path(output), overwrite=overwrite)
    ae = open_model(model, device)
    data = load_rows(ae, source, split, label_column, size)
    names = [f"z{i}" for i in range(ae.n_components)]
    write_rows(ae.transform, data, path, (ae.n_components,), names, overwrite=overwrite, verbose=not quiet)
    say({"output": output, "n": len(data), "k": ae.n_components}, json_, quiet)


def _check_engine(engine: str | None, refused: dict[str, bool]) -> None:
    if engine not in (None, "ray"):
        raise ParameterError(f"--engine must be ray. Got {engine!r} instead.")
    for option in (name for name, given in refused.items() if given):
        why = "is for a cluster: add --engine ray" if engine is None else "does not go with --engine ray"
        raise ParameterError(f"{option} {why}, or leave it out")


def _names(text: str | None) -> list[str]:
    return [] if text is None else [name.strip() for name in text.split(",")]


def _on_engine(model: Path, source: str, output: str, **how: Any) -> dict[str, Any]:
    from codeword.export.fleet import encode_parts
    from codeword.export.fleet.places import public

    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # where Ray tells of dead workers
            return {"output": public(output), **encode_parts(model, source, output, **how)}
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command goes on from the parts that are there") from None


@app.command(epilog="Example: codeword decode digits.ae codes.npy -o digits.npy")
def decode(
    model: Model,
    codes: Annotated[
        str,
        typer.Argument(help="Codes as `codeword encode` writes them.", metavar="CODES", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the rows go: .npy, .npz, .csv or .parquet.")
    ] = Path("decoded.npy"),
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write the rows that CODES stand for.

    They are in the units and the shape of the data that the model was trained on.
    """
    from codeword.data import load
    from codeword.data.outputs import check_output

    check_output(output, overwrite=overwrite)
    ae = open_model(model, device)
    data = load(codes, missing=ae.takes_missing)
    shape = ae.sample_shape_
    k = ae.n_components
    if data.sample_shape != (k,):
        raise DataError(
            f"{codes} has rows of shape {data.sample_shape}, and this model's codes have {k} numbers"
        )

    def rows_of(part: Data) -> Any:
        return ae.inverse_transform(part.x)

    write_own(rows_of, ae, data, output, overwrite=overwrite, verbose=not quiet)
    say({"output": str(output), "n": len(data), "sample_shape": list(shape)}, json_, quiet)


@app.command(epilog="Example: codeword reconstruct digits.ae mnist --samples 100,300 -o pairs.png")
def reconstruct(
    model: Model,
    source: Source,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="A picture (.png, .svg, .pdf) of some, or all rows (.npy, .csv, …)."
        ),
    ] = Path("reconstructions.png"),
    samples: Annotated[
        str | None,
        typer.Option(help="Which samples to picture, counted from 0, with commas; else ten at random."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples.", min=0)] = 0,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Picture samples over their reconstructions.

    Above each its number and its error; rows of a mixed table in its own columns, and in colour what is off.
    With an output that is no picture (.npy, .npz, .csv, .parquet), write the reconstruction of every row
    instead.
    """
    from codeword.data.outputs import FORMATS, check_output

    check_output(output, overwrite=overwrite, formats=(*PICTURES, *FORMATS))
    ae = open_model(model, device)
    data = load_rows(ae, source, split, label_column, size)
    if output.suffix.lower() in FORMATS:
        write_own(ae.reconstruct, ae, data, output, overwrite=overwrite, verbose=not quiet)
        say({"output": str(output), "n": len(data)}, json_, quiet)
        return
    from codeword.cli.showing import choose, picture_reconstructions
    from codeword.plots import save

    rows = indices(samples, len(data)) if samples is not None else choose(len(data), 10, seed)
    if getattr(ae, "columns_", None) is None:
        figure = picture_reconstructions(ae, data, rows)
    else:
        from codeword.cli.tabular import pairs_figure

        errors = -ae.score_samples(data[rows])
        titles = [f"{row}, {error:.4f}" for row, error in zip(rows, errors, strict=True)]
        figure = pairs_figure(ae, data[rows], titles)
    save(figure, output, overwrite=overwrite)
    say({"output": str(output), "samples": rows}, json_, quiet)


@app.command(name="map", epilog="Example: codeword map digits.ae mnist --split test -o map.png")
def map_(
    model: Model,
    source: Source,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A picture (.png, .svg, .pdf), or the points (.npy, .csv, …)."),
    ] = Path("map.png"),
    points: Annotated[int, typer.Option(help="How many samples, chosen at random; 0 for all.", min=0)] = 2000,
    method: Annotated[str, typer.Option(help="auto, tsne, umap or pca.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples and of the map.", min=0)] = 0,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Map the codes of SOURCE onto a plane.

    One colour a label, where there are labels.
    """
    from codeword.data.outputs import FORMATS, check_output, row_writer

    check_output(output, overwrite=overwrite, formats=(*PICTURES, *FORMATS))
    ae = open_model(model, device)
    data = load_rows(ae, source, split, label_column, size)
    from codeword.cli.showing import choose, map_of
    from codeword.plots import map_figure, save

    rows = choose(len(data), points or len(data), seed)
    plane = map_of(ae, data, rows, method=method, seed=seed, verbose=not quiet)
    if output.suffix.lower() in FORMATS:
        with row_writer(output, len(plane), (2,), ["x", "y"], overwrite=overwrite) as write:
            write(plane)
    else:
        save(map_figure(plane, None if data.y is None else data.y[rows]), output, overwrite=overwrite)
    say({"output": str(output), "points": len(plane)}, json_, quiet)
