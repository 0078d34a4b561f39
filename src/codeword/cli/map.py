"""`codeword map`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codeword.cli.app import Job, command
from codeword.cli.options import FORMATS, PICTURES, MapSeed, Method, Output, Points, chosen

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["map_of"]


@command(
    example="map digits.ae mnist --split test -o map.png",
    reads=("model", "source"),
    writes=Output(
        "map.png", "A picture (.png, .svg, .pdf), or the points (.npy, .csv, …).", (*PICTURES, *FORMATS)
    ),
)
def map_(
    job: Job,
    points: Points = 2000,
    method: Method = "auto",
    seed: MapSeed = 0,
) -> None:
    """Map the codes of SOURCE onto a plane.

    One color a label, where there are labels.
    """
    from codeword.data.labels import classes_of
    from codeword.data.outputs import row_writer
    from codeword.plots import map_figure, save

    data = job.data
    rows = chosen(len(data), points or len(data), seed)
    plane = map_of(job.model, data[rows], method=method, seed=seed, verbose=not job.quiet)
    if job.output.suffix.lower() in FORMATS:
        with row_writer(job.output, len(plane), (2,), ["x", "y"], overwrite=job.overwrite) as write:
            write(plane)
    else:
        labels = None if data.y is None else classes_of(data.y, len(data)).take(rows)
        save(map_figure(plane, labels), job.output, overwrite=job.overwrite)
    job.wrote(points=len(plane))


def map_of(model: AutoEncoder, data: Data, *, method: Any = "auto", seed: int, verbose: bool) -> Any:
    """The codes of rows on a plane, of shape (n, 2), with a bar while they are placed."""
    from codeword.base.progress import Progress
    from codeword.tasks.map import map_codes

    codes = model.transform(data)
    with Progress(0, "map", verbose=verbose) as progress:
        return map_codes(codes, method=method, random_state=seed, progress=progress.upto)
