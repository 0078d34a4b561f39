"""All that a page shows of a model and its data, as plain arrays and texts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from codeword.base.about import __version__
from codeword.base.errors import DataError, ModelError
from codeword.base.progress import Progress
from codeword.data import Data
from codeword.data.display import Display
from codeword.data.labels import Labels, classes_of
from codeword.model.autoencoder import AutoEncoder
from codeword.model.fitted import FittedModel
from codeword.model.parameters import command, in_words, of_kinds, to_json
from codeword.pages.decoder import encoded
from codeword.plots.sprites import sprite_sheet
from codeword.tasks.evaluate import check_classes, evaluate_rows
from codeword.tasks.generate import Traversal, traverse
from codeword.tasks.map import map_codes

MOST_POINTS, MOST_LIVE_POINTS = 100_000, 500_000
"""Points on the map of a file that has to travel by mail, and of a live page."""

MOST_CODE_BYTES = 256_000_000
"""Size of the codes that a live page holds: browsers take no text much longer."""

MOST_PICTURED = 2_000
SHOWN, WORST, SAMPLES = 12, 12, 48
STEPS = 7
MOST_TRAVERSED = 16

TILE, TILES_ACROSS = 64, 64
"""Pixels of a picture's longer side, above which it is made smaller, and pictures side by side."""

MOST_LENGTH, MOST_CHANNELS = 128, 4
"""Values and channels of a curve: a longer one is averaged."""

MOST_COLUMNS = 8
"""Columns of a table that are shown of a row: those with the largest residuals."""

Floats = NDArray[np.float32]
Json = dict[str, Any]


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
        The points that have a picture, as places among the m, in no order, so that the first few are as good
        a sample.
    """

    rows: NDArray[np.int64]
    plane: Floats
    codes: Floats
    errors: Floats
    pca: Floats
    labels: NDArray[Any] | None
    classes: tuple[str, ...]
    pictured: NDArray[np.int64]

    @cached_property
    def spacing(self) -> float:
        """How far apart points lie: what nineteen in twenty have a neighbor within."""
        if len(self.plane) < 2:
            return 1.0
        distances = NearestNeighbors(n_neighbors=2).fit(self.plane).kneighbors(self.plane)[0][:, 1]
        return float(np.percentile(distances, 95)) or 1.0


@dataclass(frozen=True, eq=False)
class Content:
    """What a page shows.

    Parameters
    ----------
    source, n : str, int
        What the rows are called, with the part that they are, and how many there are.
    facts : list of (str, str)
        What was trained on what, and how; `command` trains such a model again.
    metrics : dict
        What `evaluate` returns.
    captions : dict of lists of dicts
        Of samples drawn at random ("shown") and those with the largest errors ("worst", the largest first):
        the number of each in the source as `row`, its mean squared `error`, and its `label` or "".
    albums : dict of dicts
        The pictures of these, of the traversal and of samples from the prior: see `packed`.
    pictures : Data
        The samples on the map that have a picture, in memory.
    samples : ndarray of shape (s, *sample_shape), or None where the model cannot draw any
    left_out : list of str
        What a reader might expect and does not find, and why.
    """

    model: FittedModel
    source: str
    n: int
    facts: list[tuple[str, str]]
    command: str
    metrics: Json
    display: Display
    map: Map
    captions: dict[str, list[Json]]
    albums: dict[str, Json]
    pictures: Data
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
    method: Any = "auto",
    seed: int = 0,
    display: str | None = None,
    live: bool = False,
    verbose: bool = False,
) -> Content:
    """Collect what a page shows, in one pass over the rows of `data`, which may have labels.

    The rows are called `source`, `part` is "" where that has no parts, and `options` are those they were read
    with on the command line. So many `points` go on the map, drawn at random (0: all); that of a `live` page,
    which the model answers, can hold more than that of a file. `method` and `display` are those of
    `map_codes` and `display_of`.
    """
    left_out: list[str] = []
    model, n = ae.model_, len(data)
    rng = np.random.default_rng(seed)
    most, wanted = MOST_POINTS, min(points or n, n)
    if live:
        most = min(MOST_LIVE_POINTS, MOST_CODE_BYTES // (4 * model.n_components))
    if wanted > most:
        left_out.append(f"The map holds {most:,} of {wanted:,} samples, drawn at random.")
    m = min(wanted, most)
    on_map = np.arange(n) if m == n else np.sort(rng.choice(n, m, replace=False))
    labels = None
    try:
        if data.y is not None:
            labels = classes_of(data.y, n)
            check_classes(labels, referenced=False)
    except DataError as error:
        left_out.append(f"Labels are left out: {error}.")
        data = replace(data, y=None)
    with Progress(0, "metrics", verbose=verbose) as progress:
        found = evaluate_rows(ae, data, random_state=seed, progress=progress.upto)
    errors, pca = (np.nan_to_num(each) for each in (found.errors, found.baseline_errors))
    codes = np.asarray(model.transform(data.x[on_map]), dtype=np.float32)
    with Progress(0, "map", verbose=verbose) as progress:
        plane = map_codes(codes, method=method, random_state=seed, progress=progress.upto)
    pictured = rng.permutation(m)[:MOST_PICTURED]
    chosen = {
        "shown": np.sort(rng.choice(n, min(n, SHOWN), replace=False)),
        "worst": np.argsort(-errors, kind="stable")[:WORST],
    }
    pictures = data[on_map[pictured]]
    pictures = replace(pictures, x=np.asarray(pictures.x))
    shown = model.display(names=data.names, rows=pictures.x, kind=display)
    known = codes if model.training_codes is None else model.training_codes.codes
    traversal = traverse(ae, known, steps=STEPS)
    samples = None
    try:
        samples = model.inverse_transform(model.draw_codes(SAMPLES, random_state=seed))
    except ModelError as error:
        left_out.append(f"There are no samples from the prior: {error}.")
    albums = {name: album_of(model, shown, data[rows]) for name, rows in chosen.items()}
    if shown.kind != "table":
        albums["traversal"] = packed(shown, traversal.rows[:MOST_TRAVERSED].reshape(-1, *shown.shape))
        if samples is not None:
            albums["samples"] = packed(shown, samples)
    what = f"{source} ({part})" if part else source
    kinds = [] if shown.columns is None else of_kinds(shown.columns.kinds or {})
    return Content(
        model=model,
        source=what,
        n=n,
        facts=_facts(model, shown, what, n),
        command=command(to_json(model.parameters), model.seed, source, [*options, *kinds]),
        metrics=found.metrics,
        display=shown,
        map=Map(on_map, plane, codes, errors[on_map], pca[on_map], *_values(labels, on_map), pictured),
        captions={
            name: [{"row": int(i), "error": float(errors[i]), "label": _label(labels, i)} for i in rows]
            for name, rows in chosen.items()
        },
        albums=albums,
        pictures=pictures,
        traversal=traversal,
        samples=samples,
        left_out=left_out,
    )


def _values(labels: Labels | None, rows: NDArray[np.int64]) -> tuple[NDArray[Any] | None, tuple[str, ...]]:
    """The labels of some rows, as places among classes or as quantities without any."""
    if labels is None or (labels.quantity is None and not labels.are_classes):
        return None, ()
    return (labels.index[rows], (*labels.names,)) if labels.quantity is None else (labels.quantity[rows], ())


def _label(labels: Labels | None, row: int) -> str:
    if labels is None or labels.index[row] < 0:
        return ""
    return labels.names[labels.index[row]] if labels.quantity is None else f"{labels.quantity[row]:.4g}"


def _facts(model: FittedModel, display: Display, source: str, n: int) -> list[tuple[str, str]]:
    given, columns, k = to_json(model.parameters), display.columns, model.n_components
    shape = " × ".join(str(size) for size in model.sample_shape)
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
        ("Code", f"{k:,} number{'' if k == 1 else 's'} for {model.n_features:,}"),
        ("Network", f"{in_words(given['network'])}, {weights:,} weights"),
        ("Objective", in_words(given["objective"])),
        ("Scaling", scaling),
        ("Epochs", epochs),
        ("Seed", str(model.seed)),
        ("Made with", f"codeword {__version__}"),
    ]


# -- pictures of samples ------------------------------------------------------------------------------------


def album_of(model: FittedModel, display: Display, data: Data) -> Json:
    """Some rows and what the model makes of them: see `packed`."""
    x = np.asarray(data.x).reshape(-1, *model.sample_shape)
    x_hat = model.reconstruct(replace(data, x=x))
    return packed(display, x, x_hat, (model.scaling.forward(x) - model.scaling.forward(x_hat)).numpy())


def packed(
    display: Display,
    x: NDArray[Any],
    x_hat: NDArray[Any] | None = None,
    residuals: NDArray[Any] | None = None,
) -> Json:
    """Samples (n, *shape), and what the model makes of them, as the page draws them; fit for JSON.

    Rows of a table come with their `residuals` (n, d) in scaled units: the largest of these are kept.
    """
    known: Json = {"n": len(x), "pair": x_hat is not None}
    both = x if x_hat is None else np.concatenate([x, x_hat])
    if display.kind == "image":
        across = min(len(both), TILES_ACROSS)
        height, width, png = sprite_sheet(display.pixels(both), TILE, across)
        sprite = "data:image/png;base64," + base64.b64encode(png).decode()
        return known | {"width": width, "height": height, "across": across, "sprite": sprite}
    if display.kind == "curve":
        curves = display.curves(both)[..., :MOST_CHANNELS]
        edges = np.linspace(0, curves.shape[1], min(curves.shape[1], MOST_LENGTH) + 1).astype(int)
        curves = np.add.reduceat(curves, edges[:-1], axis=1) / np.diff(edges)[None, :, None]
        length, channels = curves.shape[1:]
        return known | {"length": length, "channels": channels, "values": encoded(curves, "f4")}
    assert residuals is not None
    off = display.by_name(residuals)
    columns = np.argsort(-np.abs(off), axis=1, kind="stable")[:, :MOST_COLUMNS]
    places = [*columns, *columns][: len(both)]
    cells = [row[i] for row, own in zip(display.cells(both), places, strict=True) for i in own]
    known |= {"count": columns.shape[1], "columns": encoded(columns, "i4")}
    known |= {"residuals": encoded(np.take_along_axis(off, columns, axis=1), "f4")}
    if display.columns is None:
        return known | {"values": encoded(cells, "f4")}
    # Of a mixed table the place of each cell in a list of all there are. True is 1 to a dictionary: the type
    # is part of the key.
    words: dict[Any, int] = {}
    numbers = [words.setdefault((type(cell), cell), len(words)) for cell in cells]
    texts = [float(f"{cell:.6g}") if kind is float else cell for kind, cell in words]
    return known | {"words": texts, "cells": encoded(numbers, "i4")}
