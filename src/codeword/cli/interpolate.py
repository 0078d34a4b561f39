"""`codeword interpolate`."""

from __future__ import annotations

from typing import Annotated

import typer

from codeword.base.errors import DataError, ParameterError
from codeword.cli.app import Job, command
from codeword.cli.options import PICTURES, ROWS_OR_PICTURE, Output, Steps, indices

__all__: list[str] = []


@command(
    example="interpolate digits.ae digits --samples 3,17,8,40 -o between.png",
    reads=("model", "source", "display"),
    writes=Output("interpolation.png", *ROWS_OR_PICTURE),
)
def interpolate(
    job: Job,
    samples: Annotated[
        str | None,
        typer.Option(help="Pairs of samples, counted from 0: 3,17 or 3,17,8,40; else four pairs at random."),
    ] = None,
    steps: Steps = 8,
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples.", min=0)] = 0,
) -> None:
    """Decode the way from one sample's code to another's.

    The picture has a row for each pair: the first sample, the steps, the second sample.
    """
    import numpy as np

    from codeword.cli.pictures import rows_of, write_samples
    from codeword.tasks.generate import interpolate as path

    rows = _pairs(samples, len(job.data), seed)
    first, last = rows[0::2], rows[1::2]
    between = path(job.model, job.data[first], job.data[last], steps)
    if job.output.suffix.lower() in PICTURES:
        x = rows_of(job.model, job.data, rows)
        between = np.concatenate([x[0::2, None], between, x[1::2, None]], axis=1)
    shares = [f"{share:.0%}" for share in np.linspace(0, 1, steps)]
    write_samples(
        job,
        job.output,
        between,
        columns=steps + 2,
        row_titles=[f"{a} → {b}" for a, b in zip(first, last, strict=True)],
        column_titles=["from", *shares, "to"],
        mark_columns=1,
        mark_last=1,
    )
    job.wrote(samples=rows, steps=steps)


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
