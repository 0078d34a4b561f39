"""Pages that open in a browser: `codeword report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from codeword.commands.common import app, load_rows, open_model, say
from codeword.options import (
    Device,
    Json,
    LabelColumn,
    Model,
    Overwrite,
    Quiet,
    Size,
    Source,
    Split,
)

__all__: list[str] = []


@app.command(epilog="Example: codeword report digits.ae digits -o report.html")
def report(
    model: Model,
    source: Source,
    output: Annotated[Path, typer.Option("-o", "--output", help="An .html file.")] = Path("report.html"),
    points: Annotated[
        int, typer.Option(help="How many samples are on the map, chosen at random; 0 for all.", min=0)
    ] = 2000,
    method: Annotated[str, typer.Option(help="Of the map: auto, tsne, umap or pca.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn, and of the map.", min=0)] = 0,
    split: Split = "test",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Write a page to look at, in one file.

    It opens offline and asks nothing of the network: how the model was trained, samples over their
    reconstructions, the map of codes, errors against PCA, and, for dense networks of modest size, the decoder
    itself.
    """
    from codeword.outputs import check_output

    check_output(output, overwrite=overwrite, formats=(".html", ".htm"))
    ae = open_model(model, device)
    data = load_rows(ae, source, split, label_column, size)
    from codeword.data.named import NAMES
    from codeword.pages.content import gather
    from codeword.pages.report import make_report
    from codeword.progress import Progress

    part = split if source in NAMES else ""
    read = (("--label-column", label_column), ("--size", size))
    options = [word for name, value in read if value is not None for word in (name, value)]
    with (
        Progress(0, "figures", verbose=not quiet) as judging,
        Progress(0, "map", verbose=not quiet) as mapping,
    ):
        content = gather(
            ae,
            data,
            source=source,
            part=part,
            options=options,
            points=points,
            method=method,
            seed=seed,
            judging=judging.upto,
            mapping=mapping.upto,
        )
    made = make_report(ae, content)
    made.save(output, overwrite=overwrite)
    figures: dict[str, Any] = {
        "output": str(output),
        "bytes": made.size,
        "n": content.n,
        "points": made.points,
        "pictures": made.pictures,
        "decoder": made.decoder,
        "left_out": made.left_out,
        "figures": content.figures,
    }
    say(figures, json_, quiet)
