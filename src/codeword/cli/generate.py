"""Codes put to work: `codeword sample`, `interpolate`, `traverse`, `neighbors`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import DataError, ModelError, ParameterError
from codeword.cli.app import PICTURES, app, columns, load_rows, open_model, own_writer, say
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
    from matplotlib.figure import Figure

    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder

__all__: list[str] = []

MOST_PICTURED = 400

Output = Annotated[
    Path,
    typer.Option("-o", "--output", help="A picture (.png, .svg, .pdf), or the rows (.npy, .npz, .csv, …)."),
]
Steps = Annotated[int, typer.Option(help="How many steps.", min=2, max=50)]


@app.command(epilog="Example: codeword sample digits.ae -n 64 -o samples.png")
def sample(
    model: Model,
    output: Output = Path("samples.png"),
    number: Annotated[int, typer.Option("-n", "--number", help="How many samples.", min=1)] = 64,
    prior: Annotated[
        str,
        typer.Option(
            help="What codes are drawn from: normal, mixture, or auto, which is normal for objectives "
            "that make codes so."
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the codes drawn.", min=0)] = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Generate new samples.

    Codes are drawn from a prior and decoded.
    """
    _check(output, number, overwrite)
    ae = open_model(model, device)
    _write(ae, ae.sample(number, prior=prior, random_state=seed), output, overwrite)
    say({"output": str(output), "n": number, "prior": prior, "seed": seed}, json_, quiet)


@app.command(epilog="Example: codeword interpolate digits.ae digits --samples 3,17,8,40 -o between.png")
def interpolate(
    model: Model,
    source: Source,
    output: Output = Path("interpolation.png"),
    samples: Annotated[
        str | None,
        typer.Option(help="Pairs of samples, counted from 0: 3,17 or 3,17,8,40; else four pairs at random."),
    ] = None,
    steps: Steps = 8,
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples.", min=0)] = 0,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Decode the way from one sample's code to another's.

    The picture has a row for each pair: the first sample, the steps, the second sample.
    """
    _check(output, 0, overwrite)
    ae = open_model(model, device)
    data = load_rows(ae, source, split, label_column, size)
    rows = _pairs(samples, len(data), seed)
    from codeword.tasks.generate import interpolate as way

    between = way(ae, data[rows[0::2]], data[rows[1::2]], steps)
    if output.suffix.lower() not in PICTURES:
        _write(ae, between.reshape(-1, *between.shape[2:]), output, overwrite)
    else:
        import numpy as np

        from codeword.plots import sample_figure, save

        x = _rows(ae, data, rows)
        strips = np.concatenate([x[0::2, None], between, x[1::2, None]], axis=1)
        shares = [f"{share:.0%}" for share in np.linspace(0, 1, steps)]
        figure = _in_words(
            ae,
            strips,
            [[str(a), *shares, str(b)] for a, b in zip(rows[0::2], rows[1::2], strict=True)],
        ) or sample_figure(
            strips.reshape(-1, *x.shape[1:]),
            columns=steps + 2,
            row_titles=[f"{a} → {b}" for a, b in zip(rows[0::2], rows[1::2], strict=True)],
            column_titles=["from", *shares, "to"],
            mark_columns=1,
            mark_last=1,
            sample_shape=ae.sample_shape_,
            names=columns(ae),
        )
        save(figure, output, overwrite=overwrite)
    say({"output": str(output), "samples": rows, "steps": steps}, json_, quiet)


@app.command(epilog="Example: codeword traverse digits.ae -o traversals.png")
def traverse(
    model: Model,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Where --sample is from: anything that `codeword train` takes.",
            metavar="[SOURCE]",
            show_default=False,
        ),
    ] = None,
    output: Output = Path("traversals.png"),
    sample: Annotated[
        int | None,
        typer.Option(
            help="Start from this sample of SOURCE, counted from 0; else from a code near the mean.", min=0
        ),
    ] = None,
    steps: Steps = 7,
    dimensions: Annotated[int, typer.Option(help="Picture so many numbers of the code at most.", min=1)] = 16,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Show what each number of a code does.

    A row for each, the one that changes the reconstruction most first: it runs from its 2nd to its 98th
    percentile over the training rows, and the other numbers stay.
    """
    _check(output, 0, overwrite)
    if (source is None) != (sample is None):
        raise ParameterError(
            "SOURCE and --sample go together: give both, or neither to start from a code near the mean"
        )
    ae = open_model(model, device)
    if ae.reference_ is None:
        raise ModelError(f"{model} has no codes of the rows it was trained on: train it again")
    start = None
    if source is not None and sample is not None:
        data = load_rows(ae, source, split, label_column, size)
        start = ae.transform(data[indices(str(sample), len(data), "--sample")])[0]
    from codeword.tasks.generate import traverse as walk

    found = walk(ae, ae.reference_.codes, start=start, steps=steps)
    if output.suffix.lower() not in PICTURES:
        _write(ae, found.rows.reshape(-1, *ae.sample_shape_), output, overwrite)
    else:
        from codeword.plots import sample_figure, save

        shown = found.rows[:dimensions]
        pairs = zip(found.dimensions, found.effects, strict=True)
        titles = [f"z{dimension}   {effect:.4f}" for dimension, effect in pairs][:dimensions]
        figure = _in_words(ae, shown, [[title, *[""] * (steps - 1)] for title in titles]) or sample_figure(
            shown.reshape(-1, *ae.sample_shape_),
            columns=steps,
            row_titles=titles,
            sample_shape=ae.sample_shape_,
            names=columns(ae),
        )
        save(figure, output, overwrite=overwrite)
    figures = {"dimensions": found.dimensions.tolist(), "effects": found.effects.tolist()}
    say({"output": str(output), **figures, "steps": steps}, json_, quiet)


@app.command(epilog="Example: codeword neighbors digits.ae digits --query 3,17")
def neighbors(
    model: Model,
    source: Source,
    query: Annotated[
        str,
        typer.Option(help="Which samples to look for, counted from 0, with commas.", show_default=False),
    ],
    query_source: Annotated[
        str | None, typer.Option(help="Take them from this source instead of SOURCE.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A picture of them (.png, .svg, .pdf).")
    ] = None,
    number: Annotated[int, typer.Option("-n", "--number", help="How many neighbours.", min=1)] = 8,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Find the samples whose codes are nearest.

    Prints their numbers and distances, and with -o pictures them.
    """
    from codeword.data.outputs import check_output
    from codeword.tasks.neighbors import neighbors as nearest

    if output is not None:
        check_output(output, overwrite=overwrite, formats=PICTURES)
    ae = open_model(model, device)
    data = load_rows(ae, source, split, label_column, size)
    asked = data if query_source is None else load_rows(ae, query_source, split, label_column, size)
    rows = indices(query, len(asked), "--query")
    others = len(data) - (asked is data)
    if number > others:
        raise DataError(f"--number {number}: {source} has {others} other samples")
    import numpy as np

    codes = ae.transform(data)
    queries = np.asarray(rows) if asked is data else ae.transform(asked[rows])
    found, distances = nearest(codes, queries, number)
    labels = None if data.y is None else data.y
    if output is not None:
        from codeword.plots import sample_figure, save

        x, near = _rows(ae, asked, rows), _rows(ae, data, found.ravel().tolist())
        strips = np.concatenate([x[:, None], near.reshape(len(x), number, *x.shape[1:])], axis=1)
        titles = [
            text
            for q, ids, far in zip(rows, found, distances, strict=True)
            for text in (str(q), *(f"{i}\n{d:.3g}" for i, d in zip(ids, far, strict=True)))
        ]
        figure = _in_words(ae, strips, np.reshape(titles, (len(x), -1)).tolist()) or sample_figure(
            strips.reshape(-1, *x.shape[1:]),
            titles=titles,
            columns=number + 1,
            mark_columns=1,
            sample_shape=ae.sample_shape_,
            names=columns(ae),
        )
        save(figure, output, overwrite=overwrite)
    if json_:
        each = zip(rows, found.tolist(), distances.tolist(), strict=True)
        told = [{"query": q, "neighbors": near, "distances": far} for q, near, far in each]
        print(json.dumps({"queries": told, "output": None if output is None else str(output)}))
        return
    for q, near, far in zip(rows, found, distances, strict=True):
        own = "" if asked.y is None else f" ({asked.y[q]})"
        print(f"{q}{own}:")
        for i, distance in zip(near, far, strict=True):
            print(f"  {i:>8}  {distance:8.4g}" + ("" if labels is None else f"  {labels[i]}"))
    if output is not None and not quiet:
        print(f"wrote {output}")


# -- what they share ----------------------------------------------------------------------------------------


def _check(output: Path, number: int, overwrite: bool) -> None:
    from codeword.data.outputs import FORMATS, check_output

    check_output(output, overwrite=overwrite, formats=(*PICTURES, *FORMATS))
    if number > MOST_PICTURED and output.suffix.lower() in PICTURES:
        raise ParameterError(
            f"--number {number} is more than a picture holds, {MOST_PICTURED}: write rows (-o samples.npy)"
        )


def _rows(ae: AutoEncoder, data: Data, rows: list[int]) -> Any:
    """Some rows, in the shape of the model's samples, to be pictured."""
    import numpy as np

    return np.asarray(data[rows].x).reshape(len(rows), *ae.sample_shape_)


def _write(ae: AutoEncoder, rows: Any, output: Path, overwrite: bool) -> None:
    """Samples as a picture, or as rows."""
    if output.suffix.lower() in PICTURES:
        from codeword.plots import sample_figure, save

        figure = _in_words(ae, rows[None], [[""] * len(rows)]) or sample_figure(
            rows, sample_shape=ae.sample_shape_, names=columns(ae)
        )
        save(figure, output, overwrite=overwrite)
        return
    with own_writer(ae, output, len(rows), overwrite=overwrite) as write:
        write(rows)


def _in_words(ae: AutoEncoder, groups: Any, titles: list[list[str]]) -> Figure | None:
    """Groups of rows (groups, rows, d) in the own columns of a mixed table; None of anything else.

    There is a title for each row of each group.
    """
    if getattr(ae, "columns_", None) is None:
        return None
    from codeword.cli.tabular import rows_figure

    flat = [", ".join(title.split()) for group in titles for title in group]
    size = groups.shape[1]
    return rows_figure(ae, groups.reshape(-1, groups.shape[-1]), titles=flat, group=size)


def _pairs(text: str | None, n: int, seed: int) -> list[int]:
    """Samples two by two: those asked for, or four pairs at random."""
    if text is not None:
        rows = indices(text, n)
        if len(rows) % 2:
            raise ParameterError(f"--samples must be pairs: from, to, from, to. Got {len(rows)} samples.")
        return rows
    if n < 2:
        raise DataError(f"two samples are needed to go from one to the other, and the source has {n}")
    import numpy as np

    chosen = np.random.default_rng(seed).permutation(n)[: 2 * min(4, n // 2)]
    return [int(i) for i in chosen]
