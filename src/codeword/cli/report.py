"""`codeword report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codeword.cli.app import MODEL, SOURCE, Job, Method, Points, Seed, command

if TYPE_CHECKING:
    from codeword.pages.content import Content


@command(
    "report digits.ae digits -o report.html",
    [*MODEL, *SOURCE, "display"],
    writes=("report.html", (".html", ".htm"), "An .html file."),
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
    made = make_report(content)
    made.save(job.output, overwrite=job.overwrite)
    facts = {name: getattr(made, name) for name in ("points", "pictures", "decoder", "left_out")}
    job.wrote(bytes=made.size, n=content.n, **facts, metrics=content.metrics)


def content_of(job: Job, **how: Any) -> Content:
    """What a page shows of the rows of SOURCE, with a bar for what takes long."""
    from codeword.pages.content import gather

    how |= {"source": job.source, "part": job.part(job.source), "options": job.reading}
    return gather(job.model, job.data, display=job.display, verbose=not job.quiet, **how)
