"""`codeword score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import Option

from codeword.base.errors import ParameterError
from codeword.cli.app import MODEL, PICTURES, SOURCE, Job, command

if TYPE_CHECKING:
    from codeword.tasks.detect import OutlierDetector

NAMED, PICTURED = 5, 10
"""How many of the most unusual rows are named on the terminal, and how many pictured."""


@command(
    "score digits.ae mnist --split test -o scores.csv --picture worst.png",
    [*MODEL, *SOURCE, "display"],
    writes=("scores.csv", (".csv", ".parquet"), "Where the scores go: .csv or .parquet."),
    split="test",
)
def score(
    job: Job,
    max_false_alarms: float = Option(0.01, help="The share of usual rows that may be called outliers."),
    calibrate: str | None = Option(
        None,
        help="Usual rows that the model has not seen, read as SOURCE is; else those it held out.",
        metavar="SOURCE",
    ),
    top: int = Option(3, help="Name so many columns or pixels for each row.", min=0),
    picture: Path | None = Option(
        None, help="Picture the ten most unusual rows over their reconstructions (.png, .svg, .pdf)."
    ),
) -> None:
    """Say how unusual each row of SOURCE is.

    One line for each: the error of its reconstruction, the rarity of its code (both mean squares in scaled
    units), a p-value, 1 if it is an outlier, and the columns or pixels with the largest shares of the error.
    Of new rows like those the model was trained on, a share of --max-false-alarms is called outliers; the
    rows that it was trained on come out more usual than new ones.
    """
    if picture is not None:
        job.check(picture, PICTURES)
    if calibrate == job.source:
        raise ParameterError(f"--calibrate {calibrate}: the rows to judge cannot be what they are judged by")
    from codeword.tasks.detect import OutlierDetector, rank

    usual = None if calibrate is None else job.rows(calibrate)
    detector = OutlierDetector.from_model(job.model, usual, max_false_alarms=max_false_alarms)
    outliers, worst = _write(job, detector, top)
    if picture is not None:
        titles = [f"{row['row']}\np = {row['p_value']:.2g}" for row in worst]
        job.write_reconstructions(job.data, [row["row"] for row in worst], picture, titles)
    n, known = len(job.data), len(detector.calibration_scores_)
    by = f"held out from {job.folder}" if calibrate is None else f"of {calibrate}"
    facts = {
        "n": n,
        "outliers": outliers,
        "expected": n * rank(max_false_alarms, known) / (known + 1),
        "max_false_alarms": max_false_alarms,
        "smallest_p_value": worst[0]["p_value"],
        "calibration_rows": known,
    }
    lines = [
        f"{outliers:,} of {n:,} rows are unusual at a false-alarm rate of {100 * max_false_alarms:.3g}%; "
        f"chance alone would give {facts['expected']:,.1f}",
        f"judged by {known:,} rows {by}",
        "",
        f"{'row':>10}{'p-value':>11}{'error':>12}{'rarity':>12}  most of the error",
        *map(_line, worst[:NAMED]),
        "",
        *(f"wrote {path}" for path in (job.output, picture) if path is not None),
    ]
    job.say({"output": str(job.output), **facts}, "\n".join(lines))


def _line(row: dict[str, Any]) -> str:
    """A row of the table, for a person to read."""
    most = [f"{row[f'top{i}']} {100 * row[f'top{i}_share']:.0f}%" for i in (1, 2) if f"top{i}" in row]
    values = f"{row['p_value']:>11.3g}{row['error']:>12.4g}{row['rarity']:>12.4g}"
    return f"{row['row']:>10}{values}  {', '.join(most)}".rstrip()


def _write(job: Job, detector: OutlierDetector, top: int) -> tuple[int, list[dict[str, Any]]]:
    """Write the table, a chunk of rows at a time; return how many are outliers, and the most unusual rows."""
    import numpy as np
    import pyarrow as pa

    from codeword.data.outputs import table_writer

    top = min(top, detector.features)
    fields = [("row", pa.int64()), ("error", pa.float32()), ("rarity", pa.float32())]
    fields += [("p_value", pa.float64()), ("outlier", pa.int8())]
    for i in range(1, top + 1):
        fields += [(f"top{i}", pa.string()), (f"top{i}_share", pa.float32())]
    schema, name = pa.schema(fields), job.fitted.display().feature_name
    worst: Any = None
    n = outliers = 0
    with (
        table_writer(job.output, schema, overwrite=job.overwrite) as write,
        job.progress(job.output.name, len(job.data)) as progress,
    ):
        for found in detector.scan(job.data, top=top):
            m = len(found.scores)
            unusual = found.p_values <= detector.max_false_alarms
            columns: list[Any] = [np.arange(n, n + m), found.errors, found.rarity, found.p_values, unusual]
            for i in range(top):
                columns += [[name(feature) for feature in found.features[:, i].tolist()], found.shares[:, i]]
            table = pa.table(columns, schema=schema)
            write(table)
            n, outliers = n + m, outliers + int(unusual.sum())
            progress.rows(m)
            table = table.append_column("score", pa.array(found.scores))
            worst = table if worst is None else pa.concat_tables([worst, table])
            worst = worst.sort_by("score").slice(0, PICTURED)
    return outliers, worst.to_pylist()
