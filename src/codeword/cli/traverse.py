"""`codeword traverse`."""

from typer import Argument, Option

from codeword.base.errors import ModelError, ParameterError
from codeword.cli.app import MODEL, PICTURES, READING, SAMPLES, Job, Steps, command, indices


@command(
    "traverse digits.ae -o traversals.png", [*MODEL, *READING, "display"], writes=("traversals.png", *SAMPLES)
)
def traverse(
    job: Job,
    source: str | None = Argument(
        None, help="Where --sample is from: anything that `codeword train` takes.", metavar="[SOURCE]"
    ),
    sample: int | None = Option(
        None, help="Start from this sample of SOURCE, counted from 0; else from a code near the mean.", min=0
    ),
    steps: Steps = 7,
    dimensions: int = Option(16, help="Picture so many numbers of the code at most.", min=1),
) -> None:
    """Show what each number of a code does.

    A row for each, the one that changes the reconstruction most first: it runs from its 2nd to its 98th
    percentile over the training rows, and the other numbers stay.
    """
    if (source is None) != (sample is None):
        raise ParameterError(
            "SOURCE and --sample go together: give both, or neither to start from a code near the mean"
        )
    from codeword.tasks.generate import traverse

    known = job.fitted.training_codes
    if known is None:
        raise ModelError(f"{job.folder} has no codes of the rows it was trained on: train it again")
    start = None
    if source is not None:
        data = job.rows(source)
        start = job.fitted.transform(data[indices(str(sample), len(data), "--sample")])[0]
    found = traverse(job.fitted, known.codes, start=start, steps=steps)
    facts = {"dimensions": found.dimensions.tolist(), "effects": found.effects.tolist()}
    shown = dimensions if job.output.suffix.lower() in PICTURES else len(found.rows)
    titles = [f"z{dimension}: {effect:.4f}" for dimension, effect in zip(*facts.values(), strict=True)]
    job.write_samples(found.rows[:shown], columns=steps, row_titles=titles[:shown])
    job.wrote(**facts, steps=steps)
