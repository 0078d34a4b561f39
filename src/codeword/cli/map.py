"""`codeword map`."""

from codeword.cli.app import MODEL, PICTURES, ROWS, SOURCE, Job, Method, Points, Seed, chosen, command


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
    from codeword.tasks.map import map_codes

    data = job.data
    rows = chosen(len(data), points or len(data), seed)
    codes = job.fitted.transform(data[rows])
    with job.progress("map") as progress:
        plane = map_codes(codes, method=method, random_state=seed, progress=progress.upto)
    if job.output.suffix.lower() in ROWS:
        with row_writer(job.output, len(plane), (2,), ["x", "y"], overwrite=job.overwrite) as write:
            write(plane)
    else:
        labels = None if data.y is None else classes_of(data.y, len(data)).take(rows)
        save(map_figure(plane, labels), job.output, overwrite=job.overwrite)
    job.wrote(points=len(plane))
