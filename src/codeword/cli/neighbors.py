"""`codeword neighbors`."""

from pathlib import Path

from typer import Option

from codeword.cli.app import MODEL, PICTURES, SOURCE, Job, command, indices


@command("neighbors digits.ae digits --query 3,17", [*MODEL, *SOURCE, "display", "overwrite"])
def neighbors(
    job: Job,
    query: str = Option(help="Which samples to look for, counted from 0, with commas."),
    query_source: str | None = Option(None, help="Take them from this source instead of SOURCE."),
    output: Path | None = Option(None, "-o", "--output", help="A picture of them (.png, .svg, .pdf)."),
    number: int = Option(8, "-n", "--number", help="How many neighbors.", min=1),
) -> None:
    """Find the samples whose codes are nearest.

    Prints their numbers and distances, and with -o pictures them.
    """
    import numpy as np

    from codeword.tasks.neighbors import neighbors

    if output is not None:
        job.check(output, PICTURES)
    data, model = job.data, job.fitted
    asked = data if query_source is None else job.rows(query_source)
    rows = indices(query, len(asked), "--query")
    codes = model.transform(data)
    queries = np.asarray(rows) if asked is data else model.transform(asked[rows])
    ids, distances = (each.tolist() for each in neighbors(codes, queries, number))
    found = list(zip(rows, ids, distances, strict=True))
    lines = []
    for q, near, far in found:
        lines.append(f"{q}:" if asked.y is None else f"{q} ({asked.y[q]}):")
        labels = [""] * number if data.y is None else [f"  {data.y[i]}" for i in near]
        lines += [f"  {i:>8}  {d:8.4g}{label}" for i, d, label in zip(near, far, labels, strict=True)]
    if output is not None:
        strips, titles = [], []
        for q, near, far in found:
            strips.append(np.concatenate([job.samples(asked, [q]), job.samples(data, near)]))
            titles += [str(q), *(f"{i}\n{d:.3g}" for i, d in zip(near, far, strict=True))]
        job.write_samples(np.stack(strips), output, titles=titles, columns=number + 1, mark_columns=1)
        lines += [] if job.quiet else [f"wrote {output}"]
    facts = [dict(zip(("query", "neighbors", "distances"), each, strict=True)) for each in found]
    job.result({"queries": facts, "output": None if output is None else str(output)}, "\n".join(lines))
