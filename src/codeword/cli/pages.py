"""Pages that open in a browser: `codeword report`, `codeword explore`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.cli.app import app, load_rows, open_model, read_with, say
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
)

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder
    from codeword.pages.content import Content

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
    from codeword.data.outputs import check_output

    check_output(output, overwrite=overwrite, formats=(".html", ".htm"))
    ae = open_model(model, device)
    data = load_rows(ae, source, split, label_column, size)
    from codeword.pages.report import make_report

    read = read_with(label_column, size)
    how = {"points": points, "method": method, "seed": seed}
    content = _gathered(ae, data, source, split, read, quiet, **how)
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
        "metrics": content.metrics,
    }
    say(figures, json_, quiet)


@app.command(epilog="Example: codeword explore digits.ae digits")
def explore(
    model: Model,
    source: Source,
    port: Annotated[
        int, typer.Option(help="On this machine; 0 for any that is free.", min=0, max=65535)
    ] = 8866,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Say the address, open nothing.")] = False,
    max_points: Annotated[
        int, typer.Option(help="How many samples are on the map, chosen at random; 0 for all.", min=0)
    ] = 5000,
    method: Annotated[str, typer.Option(help="Of the map: auto, tsne, umap or pca.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn, and of the map.", min=0)] = 0,
    split: Split = "test",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Open a page that the model answers: the report, live.

    Move over the map to see what the decoder makes of a place, draw or upload a sample of your own, go from
    one sample to another, colour by cluster, and download what is selected. The address holds a key, and only
    this machine can reach it; Ctrl-C stops it.
    """
    from codeword.pages.server import listen, serve

    taken = listen(port)  # first: what comes then takes a while
    with taken:
        ae = open_model(model, device)
        data = load_rows(ae, source, split, label_column, size)
        from codeword.pages.explorer import Explorer, most_points

        read = read_with(label_column, size)
        how = {"points": max_points, "most_points": most_points(ae), "method": method, "seed": seed}
        content = _gathered(ae, data, source, split, read, quiet, **how)
        explorer = Explorer(ae, data, content)

        def ready(address: str) -> None:
            if json_:
                known = {"url": address, "n": content.n, "points": len(content.map.rows)}
                print(json.dumps(known), flush=True)
            elif not quiet:
                print(f"{address}  (Ctrl-C stops it)", flush=True)
            if not no_browser:
                _open(address)

        serve(explorer, taken, ready)


def _open(address: str) -> None:
    """Show a page in the user's browser, where there is one; some of them return when they are closed."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _gathered(
    ae: AutoEncoder,
    data: Data,
    source: str,
    split: str,
    read: Sequence[str],
    quiet: bool,
    **how: Any,
) -> Content:
    """What a page shows of rows that were read with the options `read`, with a bar for what takes long."""
    from codeword.base.progress import Progress
    from codeword.data.named import NAMES
    from codeword.pages.content import gather

    with (
        Progress(0, "metrics", verbose=not quiet) as judging,
        Progress(0, "map", verbose=not quiet) as mapping,
    ):
        return gather(
            ae,
            data,
            source=source,
            part=split if source in NAMES else "",
            options=read,
            judging=judging.upto,
            mapping=mapping.upto,
            **how,
        )
