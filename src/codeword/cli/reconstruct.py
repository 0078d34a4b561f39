"""`codeword reconstruct`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from codeword.cli.app import Job, command
from codeword.cli.options import FORMATS, PICTURES, Output, chosen, indices

__all__: list[str] = []


@command(
    example="reconstruct digits.ae mnist --samples 100,300 -o pairs.png",
    reads=("model", "source", "display"),
    writes=Output(
        "reconstructions.png",
        "A picture (.png, .svg, .pdf) of some, or all rows (.npy, .csv, …).",
        (*PICTURES, *FORMATS),
    ),
)
def reconstruct(
    job: Job,
    samples: Annotated[
        str | None,
        typer.Option(help="Which samples to picture, counted from 0, with commas; else ten at random."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of samples.", min=0)] = 0,
) -> None:
    """Picture samples over their reconstructions.

    Above each its number and its error; rows of a mixed table in its own columns, and in color what is off.
    With an output that is no picture (.npy, .npz, .csv, .parquet), write the reconstruction of every row
    instead.
    """
    n = len(job.data)
    if job.output.suffix.lower() in FORMATS:
        job.write_rows(job.model.model_.reconstruct, job.data)
        job.wrote(n=n)
        return
    from codeword.cli.pictures import save_reconstructions

    rows = chosen(n, 10, seed) if samples is None else indices(samples, n)
    how: dict[str, Any] = {"overwrite": job.overwrite, "display": job.display}
    save_reconstructions(job.model, job.data, rows, job.output, **how)
    job.wrote(samples=rows)
