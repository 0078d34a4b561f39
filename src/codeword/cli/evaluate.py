"""`codeword evaluate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codeword.base.errors import ParameterError
from codeword.cli.app import Job, command

if TYPE_CHECKING:
    from codeword.data import Data

__all__: list[str] = []


@command(example="evaluate digits.ae mnist --reference mnist", reads=("model", "source"), split="test")
def evaluate(
    job: Job,
    labels: Annotated[
        Path | None,
        typer.Option(help="Labels from a file, one for each row: .npy, .csv, .txt or IDX.", metavar="FILE"),
    ] = None,
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
) -> None:
    """Say how much the codes keep, beside PCA.

    PCA has as many numbers in a code and was fitted on the model's own training rows. Errors are in scaled
    units, so that they compare from one data set to another. With labels, also how well they can be told from
    codes: by 5 nearest neighbors, by logistic regression, and by clusters that have never seen one.
    """
    given = "--labels" if labels is not None else "--reference" if reference is not None else None
    if no_labels and given:
        raise ParameterError(f"--no-labels leaves labels out, and {given} asks for them: give one of the two")
    if reference_labels is not None and reference is None:
        raise ParameterError("--reference-labels are labels of --reference SOURCE: give both, or neither")
    from codeword.base.progress import Progress
    from codeword.tasks.evaluate import evaluate
    from codeword.tasks.text import evaluation_table

    data = _labelled(job, job.data, labels)
    y = None if no_labels else data.y
    near, more = None, {}
    if reference is not None:
        if y is None:
            raise ParameterError(
                f"--reference needs labels, and {job.source} has none: give them with --labels or "
                "--label-column"
            )
        near = _labelled(job, job.rows(reference, "train"), reference_labels)
        if near.y is None:
            raise ParameterError(
                f"--reference {reference} has no labels: give them with --reference-labels or --label-column"
            )
        more = {"learned_from": _named(reference, "train")}
    with Progress(0, "evaluate", verbose=not job.quiet) as progress:
        metrics = evaluate(job.model, data.x, y, reference=near, progress=progress.upto)
    job.result(metrics, evaluation_table(metrics, _named(job.source, job.split), **more))


def _labelled(job: Job, data: Data, labels: Path | None) -> Data:
    """The rows with labels from a file, if there is one, once their shape and names are known to fit."""
    from codeword.data.labels import read_label_file

    job.model.score(replace(data, x=data.x[:1], y=None))  # checked in the model's own words
    return data if labels is None else replace(data, y=read_label_file(labels, len(data)))


def _named(source: str, split: str) -> str:
    from codeword.data.named import NAMES

    return f"{source} ({split})" if source in NAMES else source
