"""`codeword traverse`."""

from __future__ import annotations

from typing import Annotated

import typer

from codeword.base.errors import ModelError, ParameterError
from codeword.cli.app import Job, command
from codeword.cli.options import PICTURES, ROWS_OR_PICTURE, Output, Steps, indices

__all__: list[str] = []


@command(
    example="traverse digits.ae -o traversals.png",
    reads=("model", "rows", "display"),
    writes=Output("traversals.png", *ROWS_OR_PICTURE),
)
def traverse(
    job: Job,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Where --sample is from: anything that `codeword train` takes.",
            metavar="[SOURCE]",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            help="Start from this sample of SOURCE, counted from 0; else from a code near the mean.", min=0
        ),
    ] = None,
    steps: Steps = 7,
    dimensions: Annotated[int, typer.Option(help="Picture so many numbers of the code at most.", min=1)] = 16,
) -> None:
    """Show what each number of a code does.

    A row for each, the one that changes the reconstruction most first: it runs from its 2nd to its 98th
    percentile over the training rows, and the other numbers stay.
    """
    if (source is None) != (sample is None):
        raise ParameterError(
            "SOURCE and --sample go together: give both, or neither to start from a code near the mean"
        )
    from codeword.cli.pictures import write_samples
    from codeword.tasks.generate import traverse as walk

    if job.model.training_codes_ is None:
        raise ModelError(f"{job.folder} has no codes of the rows it was trained on: train it again")
    start = None
    if source is not None:
        data = job.rows(source)
        start = job.model.transform(data[indices(str(sample), len(data), "--sample")])[0]
    found = walk(job.model, job.model.training_codes_.codes, start=start, steps=steps)
    shown = dimensions if job.output.suffix.lower() in PICTURES else len(found.rows)
    pairs = zip(found.dimensions, found.effects, strict=True)
    titles = [f"z{dimension}   {effect:.4f}" for dimension, effect in pairs][:shown]
    write_samples(
        job,
        job.output,
        found.rows[:shown],
        columns=steps,
        row_titles=titles,
    )
    job.wrote(dimensions=found.dimensions.tolist(), effects=found.effects.tolist(), steps=steps)
