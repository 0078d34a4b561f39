"""`codeword evaluate`."""

from dataclasses import replace
from pathlib import Path

from typer import Option

from codeword.base.errors import ParameterError
from codeword.cli.app import MODEL, SOURCE, Job, command


@command("evaluate digits.ae mnist --reference mnist", [*MODEL, *SOURCE], split="test")
def evaluate(
    job: Job,
    labels: Path | None = Option(
        None, help="Labels from a file, one for each row: .npy, .csv, .txt or IDX.", metavar="FILE"
    ),
    reference: str | None = Option(
        None,
        help="Labeled rows to learn from, of which the train split is taken; else SOURCE itself, in five "
        "folds.",
        metavar="SOURCE",
    ),
    reference_labels: Path | None = Option(
        None, help="Labels of the reference, from a file as for --labels."
    ),
    no_labels: bool = Option(False, "--no-labels", help="Leave labels out: it takes less time."),
) -> None:
    """Say how much the codes keep, beside PCA.

    PCA has as many numbers in a code and was fitted on the model's own training rows. Errors are in scaled
    units, so that they compare from one data set to another. With labels, also how well they can be told from
    codes: by 5 nearest neighbors, by logistic regression, and by clusters that have never seen one.
    """
    asking = "--labels" if labels is not None else "--reference" if reference is not None else None
    if no_labels and asking:
        raise ParameterError(
            f"--no-labels leaves labels out, and {asking} asks for them: give one of the two"
        )
    if reference_labels is not None and reference is None:
        raise ParameterError("--reference-labels are labels of --reference SOURCE: give both, or neither")
    from codeword.tasks.evaluate import evaluate, evaluation_table

    data = job.rows(job.source, labels=labels)
    if no_labels:
        data = replace(data, y=None)
    near, names = None, [_named(job, job.source)]
    if reference is not None:
        missing = f"--reference needs labels, and {job.source} has none: give them with --labels"
        if data.y is not None:
            near = job.rows(reference, "train", reference_labels)
            missing = f"--reference {reference} has no labels: give them with --reference-labels"
        if near is None or near.y is None:
            raise ParameterError(f"{missing} or --label-column")
        names.append(_named(job, reference, "train"))
    with job.progress("evaluate") as progress:
        metrics = evaluate(job.model, data, reference=near, progress=progress.upto)
    job.result(metrics, evaluation_table(metrics, *names))


def _named(job: Job, source: str, split: str | None = None) -> str:
    part = job.part(source, split)
    return f"{source} ({part})" if part else source
