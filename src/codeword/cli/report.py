"""`codeword report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.cli.app import Job, command
from codeword.cli.options import Method, Output, Points

if TYPE_CHECKING:
    from codeword.pages.content import Content

__all__ = ["Seed", "content_of"]

Seed = Annotated[int, typer.Option(help="Seed of all that is drawn, and of the map.", min=0)]


@command(
    example="report digits.ae digits -o report.html",
    reads=("model", "source", "display"),
    writes=Output("report.html", "An .html file.", (".html", ".htm")),
    split="test",
)
def report(job: Job, points: Points = 2000, method: Method = "auto", seed: Seed = 0) -> None:
    """Write a page to look at, in one file.

    It opens offline and asks nothing of the network: how the model was trained, samples over their
    reconstructions, the map of codes, errors against PCA, and, for dense networks of modest size, the decoder
    itself.
    """
    from codeword.pages.report import make_report

    content = content_of(job, points=points, method=method, seed=seed)
    made = make_report(job.model, content)
    made.save(job.output, overwrite=job.overwrite)
    job.wrote(
        bytes=made.size,
        n=content.n,
        points=made.points,
        pictures=made.pictures,
        decoder=made.decoder,
        left_out=made.left_out,
        metrics=content.metrics,
    )


def content_of(job: Job, *, points: int, method: str, seed: int, most_points: int | None = None) -> Content:
    """What a page shows of the rows of SOURCE, with a bar for what takes long."""
    from codeword.base.progress import Progress
    from codeword.data.named import NAMES
    from codeword.pages.content import gather

    more: dict[str, Any] = {} if most_points is None else {"most_points": most_points}
    with (
        Progress(0, "metrics", verbose=not job.quiet) as evaluation,
        Progress(0, "map", verbose=not job.quiet) as mapping,
    ):
        return gather(
            job.model,
            job.data,
            source=job.source,
            part=job.split if job.source in NAMES else "",
            options=job.reading,
            points=points,
            method=method,
            seed=seed,
            display=job.display,
            evaluating=evaluation.upto,
            mapping=mapping.upto,
            **more,
        )
