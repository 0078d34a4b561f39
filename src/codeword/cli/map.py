"""`codeword map`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codeword.cli.app import MODEL, PICTURES, ROWS, SOURCE, Job, Method, Points, Seed, chosen, command

if TYPE_CHECKING:
    from codeword.data import Data


@command(
    "map digits.ae mnist --split test -o map.png",
    [*MODEL, *SOURCE],
    writes=("map.png", (*PICTURES, *ROWS), "A picture (.png, .svg, .pdf), or the points (.npy, .csv, …)."),
)
def map_(job: Job, points: Points = 2000, method: Method = "auto", seed: Seed = 0) -> None:
    """Map the codes of SOURCE onto a plane.

    One color a label, where there are labels.
    """
    from codeword.data.labels import classes_of
    from codeword.data.outputs import row_writer
    from codeword.plots import map_figure, save

    data = job.data
    rows = chosen(len(data), points or len(data), seed)
    plane = map_of(job, data[rows], seed, method)
    if job.output.suffix.lower() in ROWS:
        with row_writer(job.output, len(plane), (2,), ["x", "y"], overwrite=job.overwrite) as write:
            write(plane)
    else:
        labels = None if data.y is None else classes_of(data.y, len(data)).take(rows)
        save(map_figure(plane, labels), job.output, overwrite=job.overwrite)
    job.wrote(points=len(plane))


def map_of(job: Job, data: Data, seed: int, method: Any = "auto") -> Any:
    """The codes of rows on a plane, of shape (n, 2), with a bar while they are placed."""
    from codeword.tasks.map import map_codes

    codes = job.fitted.transform(data)
    with job.progress("map") as progress:
        return map_codes(codes, method=method, random_state=seed, progress=progress.upto)
