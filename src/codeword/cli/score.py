"""`codeword score`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import ParameterError
from codeword.cli.app import Job, command
from codeword.cli.options import PICTURES, Output

if TYPE_CHECKING:
    from codeword.tasks.detect import OutlierDetector, OutlierScores

__all__: list[str] = []

NAMED = 5
"""How many of the most unusual rows are named on the terminal."""
PICTURED = 10


@command(
    example="score digits.ae mnist --split test -o scores.csv --picture worst.png",
    reads=("model", "source", "display"),
    writes=Output("scores.csv", "Where the scores go: .csv or .parquet.", (".csv", ".parquet")),
    split="test",
)
def score(
    job: Job,
    max_false_alarms: Annotated[
        float, typer.Option(help="The share of usual rows that may be called outliers.")
    ] = 0.01,
    calibrate: Annotated[
        str | None,
        typer.Option(
            help="Usual rows that the model has not seen, read as SOURCE is; else those it held out.",
            metavar="SOURCE",
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Name so many columns or pixels for each row.", min=0)] = 3,
    picture: Annotated[
        Path | None,
        typer.Option(help="Picture the ten most unusual rows over their reconstructions (.png, .svg, .pdf)."),
    ] = None,
) -> None:
    """Say how unusual each row of SOURCE is.

    One line for each: the error of its reconstruction, the rarity of its code (both mean squares in scaled
    units), a p-value, 1 if it is an outlier, and the columns or pixels with the largest shares of the error.
    Of new rows like those the model was trained on, a share of --max-false-alarms is called outliers; the
    rows that it was trained on come out more usual than new ones.
    """
    from codeword.data.outputs import check_output

    if picture is not None:
        check_output(picture, overwrite=job.overwrite, formats=PICTURES)
    if calibrate == job.source:
        raise ParameterError(f"--calibrate {calibrate}: the rows to judge cannot be what they are judged by")
    from codeword.tasks.detect import OutlierDetector

    known = None if calibrate is None else job.rows(calibrate)
    detector = OutlierDetector.from_model(job.model, known, max_false_alarms=max_false_alarms)
    seen = _write(job, detector, top)
    if picture is not None:
        from codeword.cli.pictures import save_reconstructions

        rows = seen.rows.tolist()
        titles = [f"{row}\np = {p:.2g}" for row, p in zip(rows, seen.worst.p_values, strict=True)]
        how: dict[str, Any] = {"overwrite": job.overwrite, "display": job.display}
        save_reconstructions(job.model, job.data, rows, picture, titles=titles, **how)
    facts = seen.facts(detector)
    by = f"held out from {job.folder}" if calibrate is None else f"of {calibrate}"
    lines = [*_summary(seen, facts, by, job.model.model_.display().feature_name), f"wrote {job.output}"]
    if picture is not None:
        lines.append(f"wrote {picture}")
    job.say({"output": str(job.output), **facts}, "\n".join(lines))


class _Seen:
    """What is kept of the rows as they go by."""

    def __init__(self) -> None:
        self.n = 0
        self.outliers = 0
        self.smallest = 1.0
        self.rows: Any = None
        self.worst: Any = None
        """The numbers of the most unusual rows, the first of them the most, and what was found."""

    def add(self, found: OutlierScores, level: float) -> None:
        import numpy as np

        rows = np.arange(self.n, self.n + len(found.scores))
        self.n += len(rows)
        self.outliers += int((found.p_values <= level).sum())
        self.smallest = min(self.smallest, float(found.p_values.min()))
        if self.rows is not None:
            rows, found = np.concatenate([self.rows, rows]), found.joined([self.worst, found])
        first = found.scores.argsort(kind="stable")[:PICTURED]
        self.rows, self.worst = rows[first], found.take(first)

    def facts(self, detector: OutlierDetector) -> dict[str, Any]:
        """The numbers that JSON has."""
        from codeword.tasks.scores import rank

        known, level = len(detector.calibration_scores_), detector.max_false_alarms
        return {
            "n": self.n,
            "outliers": self.outliers,
            "expected": self.n * rank(level, known) / (known + 1),
            "max_false_alarms": level,
            "smallest_p_value": self.smallest,
            "calibration_rows": known,
        }


def _summary(seen: _Seen, facts: dict[str, Any], by: str, names: Callable[[int], str]) -> list[str]:
    """How many rows are unusual, and the most unusual of them, for a person to read."""
    lines = [
        f"{facts['outliers']:,} of {facts['n']:,} rows are unusual at a false-alarm rate of "
        f"{100 * facts['max_false_alarms']:.3g}%; chance alone would give {facts['expected']:,.1f}",
        f"judged by {facts['calibration_rows']:,} rows {by}",
        "",
        f"{'row':>10}{'p-value':>11}{'error':>12}{'rarity':>12}  most of the error",
    ]
    found = seen.worst
    for i, row in enumerate(seen.rows[:NAMED]):
        parts = list(zip(found.features[i].tolist(), found.shares[i].tolist(), strict=True))[:2]
        what = ", ".join(f"{names(feature)} {100 * share:.0f}%" for feature, share in parts)
        numbers = f"{found.p_values[i]:>11.3g}{found.errors[i]:>12.4g}{found.rarity[i]:>12.4g}"
        lines.append(f"{row:>10}{numbers}  {what}".rstrip())
    return [*lines, ""]


def _write(job: Job, detector: OutlierDetector, top: int) -> _Seen:
    """Write the table, a chunk of rows at a time."""
    import numpy as np
    import pyarrow as pa

    from codeword.base.progress import Progress
    from codeword.data.outputs import table_writer

    top = min(top, detector.features)
    columns = {
        "row": pa.int64(),
        "error": pa.float32(),
        "rarity": pa.float32(),
        "p_value": pa.float64(),
        "outlier": pa.int8(),
    }
    for i in range(1, top + 1):
        columns |= {f"top{i}": pa.string(), f"top{i}_share": pa.float32()}
    schema = pa.schema(list(columns.items()))
    names = detector.model_.model_.display().feature_name
    seen = _Seen()
    with (
        table_writer(job.output, schema, overwrite=job.overwrite) as write,
        Progress(len(job.data), job.output.name, verbose=not job.quiet) as progress,
    ):
        for found in detector.scan(job.data, top=top):
            values: list[Any] = [
                np.arange(seen.n, seen.n + len(found.errors)),
                found.errors.astype(np.float32),
                found.rarity.astype(np.float32),
                found.p_values,
                (found.p_values <= detector.max_false_alarms).astype(np.int8),
            ]
            for i in range(top):
                values += [[names(feature) for feature in found.features[:, i].tolist()], found.shares[:, i]]
            write(pa.table(values, schema=schema))
            seen.add(found, detector.max_false_alarms)
            progress.rows(len(found.scores))
    return seen
