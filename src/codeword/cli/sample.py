"""`codeword sample`."""

from __future__ import annotations

from typing import Annotated

import typer

from codeword.base.errors import ParameterError
from codeword.cli.app import Job, command
from codeword.cli.options import PICTURES, ROWS_OR_PICTURE, Output

__all__: list[str] = []

MOST_PICTURED = 400


@command(
    example="sample digits.ae -n 64 -o samples.png",
    reads=("model", "display"),
    writes=Output("samples.png", *ROWS_OR_PICTURE),
)
def sample(
    job: Job,
    number: Annotated[int, typer.Option("-n", "--number", help="How many samples.", min=1)] = 64,
    prior: Annotated[
        str,
        typer.Option(
            help="What codes are drawn from: normal, mixture, or auto, which is normal for objectives "
            "that make codes so."
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the codes drawn.", min=0)] = 0,
) -> None:
    """Generate new samples.

    Codes are drawn from a prior and decoded.
    """
    if number > MOST_PICTURED and job.output.suffix.lower() in PICTURES:
        raise ParameterError(
            f"--number {number} is more than a picture holds, {MOST_PICTURED}: write rows (-o samples.npy)"
        )
    from codeword.cli.pictures import write_samples

    model = job.model.model_
    rows = model.inverse_transform(model.draw_codes(number, prior=prior, random_state=seed))
    write_samples(job, job.output, rows[None])
    job.wrote(n=number, prior=prior, seed=seed)
