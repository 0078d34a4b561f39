"""What is unusual: `codeword score`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import ParameterError
from codeword.cli.app import PICTURES, app, load_rows, open_model, say
from codeword.cli.options import Device, Json, LabelColumn, Model, Overwrite, Quiet, Size, Source, Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder
    from codeword.tasks.detect import Findings, OutlierDetector

__all__: list[str] = []

TABLES = (".csv", ".parquet")
SAID = 5
"""So many of the most unusual rows are named on the terminal."""
PICTURED = 10


@app.command(epilog="Example: codeword score digits.ae mnist --split test -o scores.csv --picture worst.png")
def score(
    model: Model,
    source: Source,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Where the scores go: .csv or .parquet.")
    ] = Path("scores.csv"),
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
    split: Split = "test",
    label_column: LabelColumn = None,
    size: Size = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Say how unusual each row of SOURCE is.

    One line for each: the error of its reconstruction, the rarity of its code (both mean squares in scaled
    units), a p-value, 1 if it is an outlier, and the columns or pixels with the largest shares of the error.
    Of new rows like those the model was trained on, a share of --max-false-alarms is called outliers; the
    rows that it was trained on come out more usual than new ones.
    """
    from codeword.data.outputs import check_output

    if not 0 < max_false_alarms < 1:
        raise ParameterError(f"--max-false-alarms must be above 0 and below 1. Got {max_false_alarms:g}.")
    check_output(output, overwrite=overwrite, formats=TABLES)
    if picture is not None:
        check_output(picture, overwrite=overwrite, formats=PICTURES)
    if calibrate == source:
        raise ParameterError(f"--calibrate {calibrate}: the rows to judge cannot be what they are judged by")
    ae = open_model(model, device)
    from codeword.tasks.detect import OutlierDetector

    known = None if calibrate is None else load_rows(ae, calibrate, split, label_column, size)
    detector = OutlierDetector.from_model(ae, known, max_false_alarms=max_false_alarms)
    data = load_rows(ae, source, split, label_column, size)
    seen = _write(detector, data, output, top, overwrite=overwrite, verbose=not quiet)
    if picture is not None:
        from codeword.plots import save

        save(_picture(ae, data, seen), picture, overwrite=overwrite)
    figures = seen.figures(detector, output)
    if not (quiet or json_):
        by = f"held out from {model}" if calibrate is None else f"of {calibrate}"
        print(_summary(seen, figures, by, _names(ae)))
    say(figures, json_, quiet)
    if picture is not None:
        say({"output": str(picture)}, False, quiet or json_)


class _Seen:
    """What is kept of the rows as they go by."""

    def __init__(self) -> None:
        self.n = 0
        self.outliers = 0
        self.smallest = 1.0
        self.rows: Any = None
        self.worst: Any = None
        """The numbers of the most unusual rows, the first of them the most, and what was found."""

    def add(self, found: Findings, level: float) -> None:
        import numpy as np

        rows = np.arange(self.n, self.n + len(found.scores))
        self.n += len(rows)
        self.outliers += int((found.p_values <= level).sum())
        self.smallest = min(self.smallest, float(found.p_values.min()))
        if self.rows is not None:
            rows, found = np.concatenate([self.rows, rows]), found.joined([self.worst, found])
        first = found.scores.argsort(kind="stable")[:PICTURED]
        self.rows, self.worst = rows[first], found.take(first)

    def figures(self, detector: OutlierDetector, output: Path) -> dict[str, Any]:
        from codeword.tasks.conformal import rank

        known, level = len(detector.calibration_scores_), detector.max_false_alarms
        return {
            "output": str(output),
            "n": self.n,
            "outliers": self.outliers,
            "expected": self.n * rank(level, known) / (known + 1),
            "max_false_alarms": level,
            "smallest_p_value": self.smallest,
            "calibration_rows": known,
        }


def _summary(seen: _Seen, figures: dict[str, Any], by: str, names: Callable[[int], str]) -> str:
    """What came of it, for a person to read."""
    lines = [
        f"{figures['outliers']:,} of {figures['n']:,} rows are unusual at a false-alarm rate of "
        f"{100 * figures['max_false_alarms']:.3g}%; chance alone would give {figures['expected']:,.1f}",
        f"judged by {figures['calibration_rows']:,} rows {by}",
        "",
        f"{'row':>10}{'p-value':>11}{'error':>12}{'rarity':>12}  most of the error",
    ]
    found = seen.worst
    for i, row in enumerate(seen.rows[:SAID]):
        parts = list(zip(found.features[i].tolist(), found.shares[i].tolist(), strict=True))[:2]
        what = ", ".join(f"{names(feature)} {100 * share:.0f}%" for feature, share in parts)
        figures_ = f"{found.p_values[i]:>11.3g}{found.errors[i]:>12.4g}{found.rarity[i]:>12.4g}"
        lines.append(f"{row:>10}{figures_}  {what}".rstrip())
    return "\n".join([*lines, ""])


def _picture(ae: AutoEncoder, data: Data, seen: _Seen) -> Figure:
    """The most unusual rows over their reconstructions, each with its number and its p-value."""
    import numpy as np

    from codeword.plots import reconstruction_figure

    rows = seen.rows.tolist()
    shape = ae.sample_shape_
    if getattr(ae, "columns_", None) is not None:
        from codeword.cli.tabular import pairs_figure

        said = [f"{row}, p = {p:.2g}" for row, p in zip(rows, seen.worst.p_values, strict=True)]
        return pairs_figure(ae, data[rows], said)
    x = np.stack([np.asarray(data.x[row]) for row in rows]).reshape(len(rows), *shape)
    x_hat = ae.reconstruct(dataclasses.replace(data, x=x, y=None))
    titles = [f"{row}\np = {p:.2g}" for row, p in zip(rows, seen.worst.p_values, strict=True)]
    return reconstruction_figure(x, x_hat, titles=titles, sample_shape=shape, names=data.names)


def _names(ae: AutoEncoder) -> Callable[[int], str]:
    """What a value of a flat row is called: its column, or its place in an image or a signal."""
    import numpy as np

    own = getattr(ae, "columns_", None)
    if own is not None:
        return lambda feature: str(own.names[feature])
    known = getattr(ae, "feature_names_in_", None)
    if known is not None:
        return lambda feature: str(known[feature])
    shape = ae.sample_shape_
    if len(shape) == 1:
        return lambda feature: f"x{feature}"
    return lambda feature: ",".join(str(i) for i in np.unravel_index(feature, shape))


def _write(
    detector: OutlierDetector, data: Data, path: Path, top: int, *, overwrite: bool, verbose: bool
) -> _Seen:
    """Write the table, a block of rows at a time."""
    from codeword.base.files import writing
    from codeword.base.progress import Progress

    seen = _Seen()
    with (
        writing(path, overwrite=overwrite) as new,
        _table(new, detector, min(top, detector.features)) as write,
        Progress(len(data), path.name, verbose=verbose) as progress,
    ):
        for found in detector.scan(data, top=top):
            write(found, seen.n)
            seen.add(found, detector.max_false_alarms)
            progress.rows(len(found.scores))
    return seen


@contextmanager
def _table(path: Path, detector: OutlierDetector, top: int) -> Iterator[Callable[[Findings, int], None]]:
    """A function that takes findings, in order, with the number of their first row."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

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
    names = _names(detector.model_)
    make = pq.ParquetWriter if path.suffix.lower() == ".parquet" else pa_csv.CSVWriter
    with make(str(path), schema) as writer:

        def write(found: Findings, start: int) -> None:
            n = len(found.errors)
            values: list[Any] = [
                np.arange(start, start + n),
                found.errors.astype(np.float32),
                found.rarity.astype(np.float32),
                found.p_values,
                (found.p_values <= detector.max_false_alarms).astype(np.int8),
            ]
            for i in range(top):
                values += [[names(feature) for feature in found.features[:, i].tolist()], found.shares[:, i]]
            writer.write_table(pa.table(values, schema=schema))

        yield write
