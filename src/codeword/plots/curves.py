"""Curves of numbers: losses epoch by epoch, and how many numbers a code needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from codeword.base.errors import ParameterError, expected
from codeword.base.text import shortened
from codeword.plots.style import (
    PALETTE,
    RECONSTRUCTION,
    blend,
    legend,
    new_figure,
    require_count,
    short,
    styled,
)

PCA = "pca"
PCA_COLOR = "0.5"
MARKERS = "osD^"
"""The first ten objectives have the first, and so on: with a color that is told apart."""
MOST_NUMBERED = 8
"""Lengths of a code that are all written on the axis; of more, the powers of two are."""


def history_figure(
    train_loss: Sequence[float], validation_loss: Sequence[float | None] | None = None
) -> Figure:
    """Draw learning curves by epoch.

    Parameters
    ----------
    train_loss : sequence of n_epochs float
        The first is that of epoch 1.
    validation_loss : sequence of n_epochs float or None, default=None
        An epoch's may be None or NaN; its lowest is marked.

    Returns
    -------
    matplotlib.figure.Figure
        The loss axis is logarithmic where the curves span more than a factor of ten.

    Raises
    ------
    ParameterError
        If there is no epoch, or the two differ in length.
    """
    train = np.asarray(train_loss, dtype=np.float64)
    if train.ndim != 1 or len(train) == 0:
        raise ParameterError(
            f"train_loss must hold one number an epoch. Got the shape {train.shape} instead."
        )
    require_count(validation_loss, len(train), "validation_loss", "epochs")
    validation = np.full(len(train), np.nan)
    if validation_loss is not None:
        validation[:] = [math.nan if v is None else v for v in validation_loss]
    epochs = np.arange(1, len(train) + 1)
    with styled():
        figure = new_figure(4.2, 2.6)
        axes = figure.add_subplot(xlabel="epoch", ylabel="loss")
        how: dict[str, Any] = {"marker": "o" if len(train) <= 30 else "", "markersize": 2.5}
        axes.plot(epochs, train, color="#4477AA", label="training", **how)
        if np.isfinite(validation).any():
            axes.plot(epochs, validation, color=RECONSTRUCTION, label="validation", **how)
            best = int(np.nanargmin(validation))
            lowest = f"lowest: {validation[best]:.4g}, epoch {epochs[best]}"
            ring: dict[str, Any] = {"markersize": 7, "markerfacecolor": "none"}
            axes.plot(epochs[best], validation[best], "o", color=RECONSTRUCTION, label=lowest, **ring)
            axes.legend(loc="upper right")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        losses = np.concatenate([train, validation])
        losses = losses[np.isfinite(losses)]
        if len(losses) and losses.min() > 0 and losses.max() > 10 * losses.min():
            axes.set_yscale("log")
        return figure


@dataclass(frozen=True)
class Runs:
    """What an objective came to: `spread` has k, mean, least and largest over seeds, (4, number of k)."""

    name: str
    color: str
    marker: str
    spread: NDArray[np.float64]


def comparison_figure(rows: Sequence[Mapping[str, Any]], *, recommended: int | None = None) -> Figure:
    """Draw held-out error against the length of a code, with a line for each objective.

    A line goes through the means over seeds, and a band around it from the least to the largest. PCA is
    dashed. Where any run has an accuracy, a second panel shows it. With a single k, where there are no lines,
    the objectives stand below one another, the one of the least error first.

    Parameters
    ----------
    rows : sequence of dict
        One a run: `objective` (str, or "pca"), `k` (int, the numbers in a code), `seed` (int or None), `mse`
        (float, in any units) and maybe `knn_accuracy` (float or None). A value that is None or not finite is
        left out.
    recommended : int or None, default=None
        The k to mark, one of the rows'.

    Returns
    -------
    matplotlib.figure.Figure
        k is on a binary logarithm; the error on a logarithm where it spans more than a factor of five.

    Raises
    ------
    ParameterError
        If there are no rows, a row lacks a key or has no such value, none has an error, or no row has the
        recommended k.
    """
    if len(rows) == 0:
        raise ParameterError("rows must hold one run at least. Got none.")
    for i, row in enumerate(rows):
        k, mse = row.get("k"), row.get("mse")
        known = {"objective", "mse"} <= set(row) and isinstance(k, Integral) and int(k) >= 1
        if not known or not isinstance(mse, Real | None):
            raise ParameterError(
                "Each of rows must have an 'objective', as 'k' a whole number of 1 or more, and as 'mse' a "
                f"number or None. Row {i} is {shortened(row)}."
            )
    ks = sorted({int(row["k"]) for row in rows})
    if recommended is not None and recommended not in ks:
        raise expected(
            "recommended", "comparison_figure", f"the k of a row: {', '.join(map(str, ks))}", recommended
        )
    names = {"mse": "mean squared error, held out", "knn_accuracy": "accuracy of nearest neighbors"}
    measures = [(name, runs) for key, name in names.items() if (runs := _runs(rows, key))]
    if not measures or measures[0][0] != names["mse"]:
        raise ParameterError("rows must hold a finite 'mse' at least once. Got none.")
    with styled():
        return _ranking(measures, ks[0]) if len(ks) == 1 else _curves(measures, ks, recommended)


def _runs(rows: Sequence[Mapping[str, Any]], key: str) -> list[Runs]:
    """Group a measure by objective and k; an objective has the same color, whichever the measure."""
    names = list(dict.fromkeys(str(row["objective"]) for row in rows if row["objective"] != PCA))
    runs = []
    for place, name in enumerate([*names, PCA]):
        values: dict[int, list[float]] = {}
        for row in rows:
            value = row.get(key)
            if str(row["objective"]) == name and value is not None and math.isfinite(value):
                values.setdefault(int(row["k"]), []).append(float(value))
        if not values:
            continue
        spread = np.array([(k, np.mean(v), min(v), max(v)) for k, v in sorted(values.items())]).T
        if name == PCA:
            runs.append(Runs("PCA", PCA_COLOR, "o", spread))
            continue
        cycle, color = divmod(place, len(PALETTE))
        # Names that begin alike are cut in their middle.
        shown = name if len(name) <= 24 else f"{name[:11]}…{name[-12:]}"
        shade = blend(PALETTE[color], 0.0, 0.35 * (cycle % 2))
        runs.append(Runs(shown, shade, MARKERS[cycle % len(MARKERS)], spread))
    return runs


def _scale_values(axes: Axes, which: Literal["x", "y"], runs: Sequence[Runs]) -> None:
    """Put values that span more than a factor of five on a logarithm, with numbers that can be read."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    values = np.concatenate([run.spread[1:].ravel() for run in runs])
    if values.min() > 0 and values.max() > 5 * values.min():
        axes.set(**{f"{which}scale": "log"})
        decades = math.log10(values.max() / values.min())
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axis.set_major_locator(MaxNLocator(4 if which == "x" else 5))
    axis.set_minor_locator(NullLocator())


def _curves(measures: Sequence[tuple[str, list[Runs]]], ks: Sequence[int], recommended: int | None) -> Figure:
    figure = new_figure(2.5 * len(measures) + 0.4, 2.4)
    numbered = ks if len(ks) <= MOST_NUMBERED else [k for k in ks if k & (k - 1) == 0]
    for i, (what, runs) in enumerate(measures):
        axes = figure.add_subplot(1, len(measures), i + 1)
        for run in runs:
            k, mean, low, high = run.spread
            line = "--" if run.name == "PCA" else "-"
            axes.plot(k, mean, line, color=run.color, marker=run.marker, markersize=2.8)
            if len(k) == 1:
                axes.vlines(k, low, high, color=run.color, alpha=0.4, linewidth=2)
            elif (high > low).any():
                axes.fill_between(k, low, high, color=run.color, alpha=0.16, linewidth=0, zorder=1)
        axes.set(xlabel="k, numbers in a code", ylabel=what)
        axes.set_xscale("log", base=2)
        axes.set_xticks(ks, [str(k) if k in numbered else "" for k in ks])
        axes.minorticks_off()
        _scale_values(axes, "y", runs)
        if recommended is not None:
            axes.axvline(recommended, color="0.7", linewidth=0.6, zorder=0)
            place, above = (recommended, 1.0), axes.get_xaxis_transform()
            how: dict[str, Any] = {"xycoords": above, "xytext": (0, 2), "textcoords": "offset points"}
            axes.annotate(f"k = {recommended}", place, ha="center", va="bottom", fontsize=7, **how)
    runs = measures[0][1]
    legend(figure, figure.axes[0].lines[: len(runs)], [run.name for run in runs])
    return figure


def _ranking(measures: Sequence[tuple[str, list[Runs]]], k: int) -> Figure:
    """Draw the objectives below one another, the one of the least error first."""
    errors = sorted(measures[0][1], key=lambda run: float(run.spread[1, 0]))
    names = list(dict.fromkeys([run.name for run in (*errors, *(r for _, some in measures for r in some))]))
    heights = {name: len(names) - 1 - i for i, name in enumerate(names)}
    figure = new_figure(2.2 * len(measures) + 1.3, 0.17 * len(names) + 0.8)
    for i, (what, runs) in enumerate(measures):
        axes = figure.add_subplot(1, len(measures), i + 1)
        for run in runs:
            _, mean, low, high = run.spread
            height = heights[run.name]
            axes.hlines(height, low, high, color=run.color, alpha=0.4, linewidth=3)
            axes.plot(mean, [height], run.marker, color=run.color, markersize=4)
        axes.set(xlabel=what, ylim=(-0.6, len(names) - 0.4))
        axes.set_title(f"k = {k}", loc="left", fontsize=7, pad=3)
        _scale_values(axes, "x", runs)
        axes.set_yticks(list(heights.values()), [short(name) if i == 0 else "" for name in names])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color="0.93", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
    return figure
