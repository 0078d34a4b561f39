"""`codeword interpolate`."""

from typer import Option

from codeword.base.errors import DataError, ParameterError
from codeword.cli.app import MODEL, PICTURES, SAMPLES, SOURCE, Job, Seed, Steps, command, indices


@command(
    "interpolate digits.ae digits --samples 3,17,8,40 -o between.png",
    [*MODEL, *SOURCE, "display"],
    writes=("interpolation.png", *SAMPLES),
)
def interpolate(
    job: Job,
    samples: str | None = Option(
        None, help="Pairs of samples, counted from 0: 3,17 or 3,17,8,40; else four pairs at random."
    ),
    steps: Steps = 8,
    seed: Seed = 0,
) -> None:
    """Decode the way from one sample's code to another's.

    The picture has a row for each pair: the first sample, the steps, the second sample.
    """
    import numpy as np

    from codeword.tasks.generate import interpolate

    n = len(job.data)
    if samples is not None:
        rows = indices(samples, n)
        if len(rows) % 2:
            raise ParameterError(f"--samples must be pairs: from, to, from, to. Got {len(rows)} samples.")
    elif n < 2:
        raise DataError(f"two samples are needed to go from one to the other, and the source has {n}")
    else:
        rows = np.random.default_rng(seed).permutation(n)[: 2 * min(4, n // 2)].tolist()
    first, last = rows[0::2], rows[1::2]
    between = interpolate(job.fitted, job.data[first], job.data[last], steps)
    if job.output.suffix.lower() in PICTURES:
        ends = [job.samples(job.data, each)[:, None] for each in (first, last)]
        between = np.concatenate([ends[0], between, ends[1]], axis=1)
    job.write_samples(
        between,
        columns=steps + 2,
        row_titles=[f"{a} → {b}" for a, b in zip(first, last, strict=True)],
        column_titles=["from", *(f"{share:.0%}" for share in np.linspace(0, 1, steps)), "to"],
        mark_columns=1,
        mark_last=1,
    )
    job.wrote(samples=rows, steps=steps)
