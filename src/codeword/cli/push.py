"""A model for others: `codeword push`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import DataError
from codeword.cli.app import app, load_rows, open_model, read_with
from codeword.cli.options import Device, Json, LabelColumn, Model, Overwrite, Quiet, Size, Split

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder
    from codeword.model.card import Evaluated

__all__: list[str] = []


@app.command("push", epilog="Example: codeword push digits.ae hf://user/digits --source digits")
def push_(
    model: Model,
    address: Annotated[
        str, typer.Argument(help="Where to: hf://user/name.", metavar="ADDRESS", show_default=False)
    ],
    source: Annotated[
        str | None,
        typer.Option(
            help="Rows for the card's figures against PCA: all that `codeword evaluate` takes.",
            metavar="SOURCE",
        ),
    ] = None,
    license_: Annotated[
        str,
        typer.Option("--license", help="For the card, as the Hub calls it: mit, cc-by-4.0.", metavar="ID"),
    ] = "",
    private: Annotated[bool, typer.Option("--private", help="Let only yourself read it.")] = False,
    without_codes: Annotated[
        bool,
        typer.Option("--without-codes", help="Leave out the codes of training rows that a model keeps."),
    ] = False,
    split: Split = "test",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Put a model on the Hugging Face Hub.

    With a card that says what it was fitted on, how, what came of it and how to train it again; with
    --source, also figures against PCA. Every command that takes a model takes hf://user/name then. A model
    keeps codes of its training rows, from which the decoder makes rows like them: they go along, unless
    --without-codes is given.
    """
    from codeword.model.folder import read_folder
    from codeword.model.hub import check_push, kept, local, push

    check_push(address, overwrite=overwrite, private=private)
    path = local(model)
    folder = read_folder(path)
    evaluated = None
    if source is not None:
        ae = open_model(path, device)
        data = load_rows(ae, source, split, label_column, size)
        evaluated = _evaluated(ae, data, source, split, read_with(label_column, size), quiet)
    rows = 0 if without_codes else sum(kept(folder))
    done = push(
        folder,
        address,
        evaluated=evaluated,
        license=license_,
        codes=not without_codes,
        private=private,
        overwrite=overwrite,
        verbose=not quiet,
    )
    found = {} if evaluated is None else evaluated.figures
    figures = {"output": done, "codes": rows} | {name: found.get(name) for name in ("n", "mse", "pca_mse")}
    if json_:
        print(json.dumps(figures))
    elif not quiet:
        print(f"wrote {done}")
        print(f"  with the codes of {rows:,} rows" if rows else "  without codes of rows")


def _evaluated(
    ae: AutoEncoder,
    data: Data,
    source: str,
    split: str,
    read: Sequence[str],
    quiet: bool,
) -> Evaluated:
    """Figures on rows that were read with the options `read`; without labels where these cannot be judged."""
    from codeword.base.progress import Progress
    from codeword.data.named import NAMES
    from codeword.model.card import Evaluated
    from codeword.tasks.evaluate import evaluate

    figures: dict[str, Any]
    with Progress(0, "evaluate", verbose=not quiet) as progress:
        try:
            figures = evaluate(ae, data, progress=progress.upto)
        except DataError:
            if data.y is None:
                raise
            figures = evaluate(ae, replace(data, y=None), progress=progress.upto)
    return Evaluated(source, figures, split if source in NAMES else "", read)
