"""All that a page shows of a model and its data, as plain arrays and texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.about import __version__
from codeword.base.errors import DataError, ModelError
from codeword.data import Data
from codeword.data.display import Display
from codeword.data.labels import classes_of
from codeword.model.parameters import command, in_words, of_kinds, to_json
from codeword.tasks.evaluate import Evaluation, evaluate_rows
from codeword.tasks.generate import Traversal, traverse
from codeword.tasks.map import map_codes

if TYPE_CHECKING:
    from codeword.model.autoencoder import AutoEncoder
    from codeword.model.fitted import FittedModel

__all__ = ["MOST_POINTS", "MOST_TRAVERSED", "Content", "Map", "Pairs", "gather", "pairs_of"]

MOST_POINTS = 100_000
"""Points on the map of a file that has to travel by mail."""

MOST_PICTURED = 2_000
SHOWN, WORST, SAMPLES = 12, 12, 48
STEPS = 7
MOST_TRAVERSED = 16

Floats = NDArray[np.float32]
Progress = Callable[[int, int], object]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Samples and what the model makes of them.

    Parameters
    ----------
    rows : ndarray of shape (n,), int64
        Their numbers in the source.
    x, x_hat : ndarray of shape (n, *sample_shape)
        In the units of x.
    residuals : ndarray of shape (n, d), float32
        x - x_hat, in scaled units.
    """

    rows: NDArray[np.int64]
    x: NDArray[Any]
    x_hat: NDArray[Any]
    residuals: Floats

    def first(self, count: int) -> Pairs:
        """The first of them."""
        return Pairs(self.rows[:count], self.x[:count], self.x_hat[:count], self.residuals[:count])


@dataclass(frozen=True, eq=False)
class Map:
    """Points on a plane, and what is known of each.

    Parameters
    ----------
    rows : ndarray of shape (m,), int64
        Their numbers in the source.
    plane : ndarray of shape (m, 2), float32
    codes : ndarray of shape (m, k), float32
    errors, pca : ndarray of shape (m,), float32
        Mean squared errors in scaled units, of the model and of PCA.
    labels : ndarray of shape (m,), int64 or float64, or None
        Places in `classes`, -1 where there is no label; or quantities, where `classes` is empty.
    classes : tuple of str
    pictured : ndarray of shape (p,), int64
        The points that have a picture, as places among the m, in no order, so that the first
        few are as good a sample.
    """

    rows: NDArray[np.int64]
    plane: Floats
    codes: Floats
    errors: Floats
    pca: Floats
    labels: NDArray[Any] | None
    classes: tuple[str, ...]
    pictured: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Content:
    """What a page shows.

    Parameters
    ----------
    facts : list of (str, str)
        What was trained on what, and how; `command` trains such a model again.
    metrics : dict
        What `evaluate` returns.
    pictures, shown, worst : Pairs
        Samples on the map; samples drawn at random; those with the largest errors, the largest first.
    errors : ndarray of shape (n,), float32
        Mean squared errors of all rows.
    titles : dict of int to str
        The labels of the rows in `shown` and `worst`, where they have one.
    spread : ndarray of shape (1,) or (d,), float64
        What one scaled unit of each value is in the units of x.
    samples : ndarray of shape (s, *sample_shape), or None where the model cannot draw any
    left_out : list of str
        What a reader might expect and does not find, and why.
    """

    source: str
    n: int
    k: int
    facts: list[tuple[str, str]]
    command: str
    history: list[dict[str, Any]]
    metrics: dict[str, Any]
    display: Display
    map: Map
    pictures: Pairs
    shown: Pairs
    worst: Pairs
    errors: Floats
    titles: dict[int, str]
    spread: NDArray[np.float64]
    traversal: Traversal
    samples: NDArray[Any] | None
    left_out: list[str]


def gather(
    ae: AutoEncoder,
    data: Data,
    *,
    source: str,
    part: str = "",
    options: Sequence[str] = (),
    points: int = 2000,
    most_points: int = MOST_POINTS,
    method: Any = "auto",
    seed: int = 0,
    display: str | None = None,
    evaluating: Progress | None = None,
    mapping: Progress | None = None,
) -> Content:
    """Collect what a page shows, in one pass over the rows.

    Parameters
    ----------
    ae : AutoEncoder
        Fitted.
    data : Data
        Rows that fit it, with or without labels.
    source, part : str
        What the rows are called, and which part of them they are: "" where there are no parts.
    options : sequence of str
        With which they were read, on the command line: ``["--label-column", "kind"]``.
    points : int, default=2000
        How many rows go on the map, drawn at random; 0 for all.
    most_points : int, default=100,000
        That a page of this kind can hold.
    method : str, default="auto"
        See `map_codes`.
    seed : int, default=0
        Seed of everything that is drawn.
    display : {"image", "curve", "table"}, optional
        How samples are shown, where their shape does not show it.
    evaluating, mapping : callable, optional
        Called as `f(done, total)` while the metrics and the map are made.

    Returns
    -------
    Content

    Raises
    ------
    DataError, ParameterError
        If the rows do not fit the model, or the map cannot be made.
    """
    left_out: list[str] = []
    model = ae.model_
    rng = np.random.default_rng(seed)
    n = len(data)
    if (wanted := min(points or n, n)) > most_points:
        left_out.append(f"The map holds {most_points:,} of {wanted:,} samples, drawn at random.")
    m = min(wanted, most_points)
    on_map = np.arange(n) if m == n else np.sort(rng.choice(n, m, replace=False))
    found = _evaluated(ae, data, on_map, seed, evaluating, left_out)
    errors, pca = (np.nan_to_num(each) for each in (found.errors, found.baseline_errors))
    codes = found.codes.astype(np.float32)
    plane = map_codes(codes, method=method, random_state=seed, progress=mapping)
    pictured = rng.permutation(m)[:MOST_PICTURED]
    drawn = np.sort(rng.choice(n, min(n, SHOWN), replace=False))
    worst = np.argsort(-errors, kind="stable")[:WORST]
    labels, classes, titles = _labels(data, on_map, [*drawn, *worst])
    pictures = pairs_of(model, data, on_map[pictured])
    shown = model.display(names=data.names, rows=pictures.x, kind=display)
    known = codes if model.training_codes is None else model.training_codes.codes
    what = f"{source} ({part})" if part else source
    kinds = [] if shown.columns is None else of_kinds(shown.columns.kinds or {})
    return Content(
        source=what,
        n=n,
        k=model.n_components,
        facts=_facts(model, shown, what, n),
        command=command(to_json(model.parameters), model.seed, source, [*options, *kinds]),
        history=list(model.history),
        metrics=found.metrics,
        display=shown,
        map=Map(on_map, plane, codes, errors[on_map], pca[on_map], labels, classes, pictured),
        pictures=pictures,
        shown=pairs_of(model, data, drawn),
        worst=pairs_of(model, data, worst),
        errors=errors,
        titles=titles,
        spread=model.scaling.scale,
        traversal=traverse(ae, known, steps=STEPS),
        samples=_samples(model, seed, left_out),
        left_out=left_out,
    )


def pairs_of(model: FittedModel, data: Data, rows: NDArray[np.int64]) -> Pairs:
    """Some rows, by number, and what the model makes of them."""
    x = np.asarray(data.x[rows]).reshape(len(rows), *model.sample_shape)
    x_hat = model.reconstruct(Data(x, names=data.names, missing=data.missing))
    return Pairs(rows, x, x_hat, (model.scaling.forward(x) - model.scaling.forward(x_hat)).numpy())


def _evaluated(
    ae: AutoEncoder,
    data: Data,
    on_map: NDArray[np.int64],
    seed: int,
    progress: Progress | None,
    left_out: list[str],
) -> Evaluation:
    """Metrics, errors of each row and codes of those on the map; with labels only if they are classes."""
    try:
        return evaluate_rows(ae, data, random_state=seed, progress=progress, codes_of=on_map)
    except DataError as error:
        if data.y is None:
            raise
        left_out.append(f"Labels are left out: {error}.")
        return _evaluated(ae, replace(data, y=None), on_map, seed, progress, left_out)


def _labels(
    data: Data, rows: NDArray[np.int64], named: list[Any]
) -> tuple[NDArray[Any] | None, tuple[str, ...], dict[int, str]]:
    """The labels of some rows, as places among classes or as quantities without any, and names for others."""
    try:
        known = None if data.y is None else classes_of(data.y, len(data))
    except DataError:
        known = None
    if known is None:
        return None, (), {}
    if known.quantity is not None:
        return (
            known.quantity[rows],
            (),
            {int(row): f"{known.quantity[row]:.4g}" for row in named if np.isfinite(known.quantity[row])},
        )
    titles = {int(row): known.names[known.index[row]] for row in named if known.index[row] >= 0}
    return (known.index[rows], tuple(known.names), titles) if known.are_classes else (None, (), titles)


def _samples(model: FittedModel, seed: int, left_out: list[str]) -> NDArray[Any] | None:
    try:
        return model.inverse_transform(model.draw_codes(SAMPLES, prior="auto", random_state=seed))
    except ModelError as error:
        left_out.append(f"There are no samples from the prior: {error}.")
        return None


def _facts(model: FittedModel, display: Display, source: str, n: int) -> list[tuple[str, str]]:
    given, columns = to_json(model.parameters), display.columns
    shape, d = " × ".join(str(size) for size in model.sample_shape), model.n_features
    weights = sum(p.numel() for p in model.network.parameters())
    epochs = f"{len(model.history):,}"
    if model.history and model.history[-1].get("seconds") is not None:
        epochs += f" in {sum(row['seconds'] for row in model.history):.1f} s"
    trained, scaling = f"{model.n_samples:,} samples of {shape} numbers ({model.dtype})", model.scaling.kind
    taken = []
    if columns is not None:
        trained = f"{model.n_samples:,} rows of {len(columns.names):,} columns, as {shape} numbers"
        scaling = "each column by its kind"
        first, *others = columns.summary().splitlines()
        taken.append(("Columns", first.removeprefix("columns taken as ")))
        if others:
            taken.append(("Left out", "; ".join(line.removeprefix("column ") for line in others)))
    return [
        ("Trained on", trained),
        *taken,
        ("Shown on", f"{source}, {n:,} samples"),
        ("Code", f"{model.n_components:,} number{'' if model.n_components == 1 else 's'} for {d:,}"),
        ("Network", f"{in_words(given['network'])}, {weights:,} weights"),
        ("Objective", in_words(given["objective"])),
        ("Scaling", scaling),
        ("Epochs", epochs),
        ("Seed", str(model.seed)),
        ("Made with", f"codeword {__version__}"),
    ]
