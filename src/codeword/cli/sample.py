"""`codeword sample`."""

from typer import Option

from codeword.base.errors import ParameterError
from codeword.cli.app import MODEL, PICTURES, SAMPLES, Job, Seed, command

MOST_PICTURED = 400


@command("sample digits.ae -n 64 -o samples.png", [*MODEL, "display"], writes=("samples.png", *SAMPLES))
def sample(
    job: Job,
    number: int = Option(64, "-n", "--number", help="How many samples.", min=1),
    prior: str = Option(
        "auto",
        help="What codes are drawn from: normal, mixture, or auto, which is normal for objectives that make "
        "codes so.",
    ),
    seed: Seed = 0,
) -> None:
    """Generate new samples.

    Codes are drawn from a prior and decoded.
    """
    if number > MOST_PICTURED and job.output.suffix.lower() in PICTURES:
        raise ParameterError(
            f"--number {number} is more than a picture holds, {MOST_PICTURED}: write rows (-o samples.npy)"
        )
    codes = job.fitted.draw_codes(number, prior=prior, random_state=seed)
    job.write_samples(job.fitted.inverse_transform(codes)[None])
    job.wrote(n=number, prior=prior, seed=seed)
