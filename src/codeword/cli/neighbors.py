"""`codeword neighbors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codeword.base.errors import DataError
from codeword.cli.app import Job, command
from codeword.cli.options import PICTURES, indices

__all__: list[str] = []


@command(example="neighbors digits.ae digits --query 3,17", reads=("model", "source", "display"), writes=True)
def neighbors(
    job: Job,
    query: Annotated[
        str,
        typer.Option(help="Which samples to look for, counted from 0, with commas.", show_default=False),
    ],
    query_source: Annotated[
        str | None, typer.Option(help="Take them from this source instead of SOURCE.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A picture of them (.png, .svg, .pdf).")
    ] = None,
    number: Annotated[int, typer.Option("-n", "--number", help="How many neighbors.", min=1)] = 8,
) -> None:
    """Find the samples whose codes are nearest.

    Prints their numbers and distances, and with -o pictures them.
    """
    import numpy as np

    from codeword.data.outputs import check_output
    from codeword.tasks.neighbors import neighbors as nearest

    if output is not None:
        check_output(output, overwrite=job.overwrite, formats=PICTURES)
    data = job.data
    asked = data if query_source is None else job.rows(query_source)
    rows = indices(query, len(asked), "--query")
    others = len(data) - (asked is data)
    if number > others:
        raise DataError(f"--number {number}: {job.source} has {others} other samples")
    codes = job.model.transform(data)
    queries = np.asarray(rows) if asked is data else job.model.transform(asked[rows])
    found, distances = nearest(codes, queries, number)
    if output is not None:
        from codeword.cli.pictures import rows_of, write_samples

        near = rows_of(job.model, data, found.ravel().tolist()).reshape(
            len(rows), number, *job.model.sample_shape_
        )
        titles = [
            title
            for q, ids, far in zip(rows, found, distances, strict=True)
            for title in (str(q), *(f"{i}\n{d:.3g}" for i, d in zip(ids, far, strict=True)))
        ]
        write_samples(
            job,
            output,
            np.concatenate([rows_of(job.model, asked, rows)[:, None], near], axis=1),
            titles=titles,
            columns=number + 1,
            mark_columns=1,
        )
    lines = []
    for q, near, far in zip(rows, found, distances, strict=True):
        lines.append(f"{q}:" if asked.y is None else f"{q} ({asked.y[q]}):")
        for i, distance in zip(near, far, strict=True):
            lines.append(f"  {i:>8}  {distance:8.4g}" + ("" if data.y is None else f"  {data.y[i]}"))
    if output is not None and not job.quiet:
        lines.append(f"wrote {output}")
    each = zip(rows, found.tolist(), distances.tolist(), strict=True)
    queries_ = [{"query": q, "neighbors": near, "distances": far} for q, near, far in each]
    job.result({"queries": queries_, "output": None if output is None else str(output)}, "\n".join(lines))
