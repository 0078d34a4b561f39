"""`codeword reconstruct`."""

from typer import Option

from codeword.cli.app import MODEL, PICTURES, ROWS, SOURCE, Job, Seed, chosen, command, indices


@command(
    "reconstruct digits.ae mnist --samples 100,300 -o pairs.png",
    [*MODEL, *SOURCE, "display"],
    writes=(
        "reconstructions.png",
        (*PICTURES, *ROWS),
        "A picture (.png, .svg, .pdf) of some, or all rows (.npy, .csv, …).",
    ),
)
def reconstruct(
    job: Job,
    samples: str | None = Option(
        None, help="Which samples to picture, counted from 0, with commas; else ten at random."
    ),
    seed: Seed = 0,
) -> None:
    """Picture samples over their reconstructions.

    Above each its number and its error; rows of a mixed table in its own columns, and in color what is off.
    With an output that is no picture (.npy, .npz, .csv, .parquet), write the reconstruction of every row
    instead.
    """
    n = len(job.data)
    if job.output.suffix.lower() in ROWS:
        job.write_rows(job.fitted.reconstruct, job.data)
        job.wrote(n=n)
        return
    rows = chosen(n, 10, seed) if samples is None else indices(samples, n)
    job.write_reconstructions(job.data, rows, job.output)
    job.wrote(samples=rows)
