"""What a model is worth: `codeword evaluate` and `codeword info`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codeword.base.errors import InputError, ParameterError
from codeword.cli.app import app, load_rows, open_model
from codeword.cli.options import Device, Json, LabelColumn, Labels, Model, Quiet, Size, Source, Split

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder

__all__: list[str] = []

IN_OPTIONS = {
    "judge without labels": "pass --no-labels",
    "or judge without": "or pass --no-labels",
    "or a reference to learn from": "or --reference SOURCE",
    "the labels of x": "the labels",
    "labels of x": "labels",
}
"""What `evaluate` says to a person who writes Python, in the words of the command line."""


@app.command(epilog="Example: codeword evaluate digits.ae mnist --reference mnist")
def evaluate(
    model: Model,
    source: Source,
    split: Split = "test",
    labels: Labels = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Labelled rows to learn from, of which the train split is taken; "
            "else SOURCE itself, in five folds.",
            metavar="SOURCE",
        ),
    ] = None,
    reference_labels: Annotated[
        Path | None, typer.Option(help="Labels of the reference, from a file as for --labels.")
    ] = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Leave labels out: it takes less time.")
    ] = False,
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Say how much the codes keep, beside PCA.

    PCA has as many numbers in a code and was fitted on the model's own training rows. Errors are in scaled
    units, so that they compare from one data set to another. With labels, also how well they can be told from
    codes: by 5 nearest neighbours, by logistic regression, and by clusters that have never seen one.
    """
    from codeword.base.progress import Progress
    from codeword.tasks.evaluate import evaluate as judge

    _check_options(labels, reference, reference_labels, no_labels)
    ae = open_model(model, device)
    data = _labelled(ae, load_rows(ae, source, split, label_column, size), labels)
    y = None if no_labels else data.y
    near = None
    if reference is not None:
        if y is None:
            raise ParameterError(
                f"--reference needs labels, and {source} has none: give them with --labels or --label-column"
            )
        near = _labelled(ae, load_rows(ae, reference, "train", label_column, size), reference_labels)
        if near.y is None:
            raise ParameterError(
                f"--reference {reference} has no labels: give them with --reference-labels or --label-column"
            )
    with Progress(0, "evaluate", verbose=not quiet) as progress, _in_words():
        figures = judge(ae, data.x, y, reference=near, progress=progress.upto)
    if json_:
        print(json.dumps(figures))
    else:
        from codeword.cli.showing import evaluation_table

        learned_from = {} if reference is None else {"learned_from": _named(reference, "train")}
        print(evaluation_table(figures, _named(source, split), **learned_from))


def _check_options(
    labels: Path | None, reference: str | None, reference_labels: Path | None, no_labels: bool
) -> None:
    given = "--labels" if labels is not None else "--reference" if reference is not None else None
    if no_labels and given:
        raise ParameterError(f"--no-labels leaves labels out, and {given} asks for them: give one of the two")
    if reference_labels is not None and reference is None:
        raise ParameterError("--reference-labels are labels of --reference SOURCE: give both, or neither")


def _labelled(ae: AutoEncoder, data: Data, labels: Path | None) -> Data:
    """The rows with labels from a file, if there is one, once their shape and names are known to fit."""
    from codeword.data.labels import read_label_file

    ae.score(replace(data, x=data.x[:1], y=None))  # checked in the model's own words
    return data if labels is None else replace(data, y=read_label_file(labels, len(data)))


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        text = str(error)
        for said, instead in IN_OPTIONS.items():
            text = text.replace(said, instead)
        raise type(error)(text) from None


def _named(source: str, split: str) -> str:
    from codeword.data.named import NAMES

    return f"{source} ({split})" if source in NAMES else source


@app.command(epilog="Example: codeword info digits.ae --json")
def info(model: Model, json_: Json = False) -> None:
    """Describe a model folder.

    The data it was fitted on, its parameters and its training.
    """
    from codeword.model.card import model_card
    from codeword.model.folder import read_folder
    from codeword.model.hub import local

    folder = read_folder(local(model))
    open_model(model, "cpu")  # a folder that cannot be opened is not described as if it could
    if json_:
        print(json.dumps({**folder.config, "history": folder.history}))
    else:
        card = model_card(folder.config, folder.history, columns=folder.columns)
        print(card.split("\n## Use")[0].strip())
