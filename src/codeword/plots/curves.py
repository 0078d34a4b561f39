"""How many numbers a code needs: held-out error against k, objective by objective."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import ParameterError
from codeword.plots.grid import boxes_allowed
from codeword.plots.style import PALETTE, mixed, new_figure, short, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["comparison_figure"]

PCA = "pca"
PCA_COLOUR = "0.5"
MARKERS = "osD^"
"""The first ten objectives have the first, and so on: with a colour that is told apart."""
NAME_SIZE = 6.5
LINE_HEIGHT = 1.35 * NAME_SIZE
"""In points."""


@dataclass(frozen=True)
class Runs:
    """What an objective came to at each k: `values` has an entry a k, with one figure a seed."""

    name: str
    colour: Any
    marker: str
    dashed: bool
    values: dict[int, list[float]]

    def spread(self) -> NDArray[np.float64]:
        """Return k, mean, least and largest, of shape (4, number of k)."""
        rows = [(k, np.mean(v), np.min(v), np.max(v)) for k, v in sorted(self.values.items())]
        return np.array(rows, dtype=np.float64).reshape(-1, 4).T


def comparison_figure(rows: Sequence[Mapping[str, Any]], *, recommended: int | None = None) -> Figure:
    """Draw held-out error against the length of a code, with a line for each objective.

    A line goes through the means over seeds, and a band around it from the least to the largest. PCA is
    dashed. Where any run has an accuracy, a second panel shows it. With a single k, where there are no lines,
    the objectives stand below one another, the one of the least error first.

    Parameters
    ----------
    rows : sequence of dict
        One a run: `objective` (str, or "pca"), `k` (int, the numbers in a code), `seed` (int or None), `mse`
        (float, in any units) and maybe `knn_accuracy` (float or None). A figure that is None or not finite
        is left out.
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
    _check(rows)
    ks = sorted({int(row["k"]) for row in rows})
    if recommended is not None and recommended not in ks:
        raise ParameterError(
            "The 'recommended' parameter of comparison_figure must be the k of a row: "
            f"{', '.join(map(str, ks))}. Got {recommended!r} instead."
        )
    errors = _runs(rows, "mse")
    if not errors:
        raise ParameterError("rows must hold a finite 'mse' at least once. Got none.")
    measures = [("mean squared error, held out", errors)]
    accuracies = _runs(rows, "knn_accuracy")
    if accuracies:
        measures.append(("accuracy of nearest neighbours", accuracies))
    with styled(), boxes_allowed():
        return _ranking(measures, ks[0]) if len(ks) == 1 else _lines(measures, ks, recommended)


def _check(rows: Sequence[Mapping[str, Any]]) -> None:
    if len(rows) == 0:
        raise ParameterError("rows must hold one run at least. Got none.")
    for i, row in enumerate(rows):
        missing = [key for key in ("objective", "k", "mse") if key not in row]
        if missing:
            raise ParameterError(
                f"Each of rows must have 'objective', 'k' and 'mse'. Row {i} has no {missing[0]!r}."
            )
        k = row["k"]
        if not hasattr(k, "__index__") or isinstance(k, bool) or k < 1:
            raise ParameterError(f"The 'k' of rows must be whole numbers of 1 or more. Row {i} has {k!r}.")
        for key in ("mse", "knn_accuracy"):
            if not isinstance(row.get(key), Real | None):
                raise ParameterError(
                    f"The '{key}' of rows must be numbers or None. Row {i} has {row[key]!r}."
                )


def _runs(rows: Sequence[Mapping[str, Any]], key: str) -> list[Runs]:
    """Group a figure by objective and k; an objective has the same colour, whichever the figure."""
    from matplotlib.colors import to_rgb

    names = list(dict.fromkeys(str(row["objective"]) for row in rows if row["objective"] != PCA))
    runs = []
    for place, (name, shown) in enumerate(zip([*names, PCA], [*_cut(names), "PCA"], strict=True)):
        values: dict[int, list[float]] = {}
        for row in rows:
            value = row.get(key)
            if str(row["objective"]) == name and value is not None and math.isfinite(value):
                values.setdefault(int(row["k"]), []).append(float(value))
        cycle, colour = divmod(place, len(PALETTE))
        shade = mixed(to_rgb(PALETTE[colour]), 0.0, 0.35 * (cycle % 2))
        if values and name == PCA:
            runs.append(Runs(shown, to_rgb(PCA_COLOUR), "o", True, values))
        elif values:
            runs.append(Runs(shown, shade, MARKERS[cycle % len(MARKERS)], False, values))
    return runs


def _cut(names: Sequence[str]) -> list[str]:
    """Return names as they are shown; those that begin alike are cut in their middle."""
    shown = [short(name) for name in names]
    return [
        short(f"{name[:11]}…{name[-12:]}") if shown.count(text) > 1 else text
        for name, text in zip(names, shown, strict=True)
    ]


def _scale_values(axes: Axes, which: Literal["x", "y"], runs: Sequence[Runs]) -> None:
    """Put values that span more than a factor of five on a logarithm, with numbers that can be read."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    values = np.concatenate([run.spread()[1:].ravel() for run in runs])
    if values.min() > 0 and values.max() > 5 * values.min():
        axes.set(**{f"{which}scale": "log"})
        decades = math.log10(values.max() / values.min())
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axis.set_major_locator(MaxNLocator(4 if which == "x" else 5))
    axis.set_minor_locator(NullLocator())


# -- lines ------------------------------------------------------------------------------------------------


def _lines(measures: Sequence[tuple[str, list[Runs]]], ks: Sequence[int], recommended: int | None) -> Figure:
    figure = new_figure(2.5 * len(measures) + 0.4, 2.4)
    panels = [figure.add_subplot(1, len(measures), i + 1) for i in range(len(measures))]
    for axes, (what, runs) in zip(panels, measures, strict=True):
        for run in runs:
            _draw_line(axes, run)
        axes.set(xlabel="k, numbers in a code", ylabel=what)
        axes.set_xscale("log", base=2)
        _scale_values(axes, "y", runs)
        if recommended is not None:
            axes.axvline(recommended, color="0.7", linewidth=0.6, zorder=0)
            axes.annotate(
                f"k = {recommended}",
                (recommended, 1.0),
                xycoords=axes.get_xaxis_transform(),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7,
            )
    figure.draw_without_rendering()
    _name_lines(figure, panels, measures, ks[-1])
    figure.draw_without_rendering()
    for axes in panels:
        _tick_lengths(axes, ks, recommended)
    return figure


def _draw_line(axes: Axes, run: Runs) -> None:
    k, mean, low, high = run.spread()
    style = "--" if run.dashed else "-"
    axes.plot(k, mean, style, color=run.colour, marker=run.marker, markersize=2.8)
    if len(k) == 1:
        axes.vlines(k, low, high, color=run.colour, alpha=0.4, linewidth=2)
    elif (high > low).any():
        axes.fill_between(k, low, high, color=run.colour, alpha=0.16, linewidth=0, zorder=1)


def _name_lines(
    figure: Figure, panels: Sequence[Axes], measures: Sequence[tuple[str, list[Runs]]], last: int
) -> None:
    """Write names at the ends of the lines, or in a legend where not all end there or there is no room."""
    room = panels[0].get_window_extent().height * 72 / figure.dpi
    every = {run.name for _, runs in measures for run in runs}
    moves: list[tuple[float, Axes, list[Runs], NDArray[np.float64]]] = []
    for axes, (_, runs) in zip(panels, measures, strict=True):
        if len(runs) == len(every) and all(last in run.values for run in runs):
            low, high = axes.get_window_extent().intervaly
            ends = axes.transData.transform([run.spread()[:2, -1] for run in runs])[:, 1]
            heights = (ends - low) / (high - low) * room
            up = _apart(heights, room) - heights
            moves.append((float(np.abs(up).sum()), axes, runs, up))
    if moves and len(every) * LINE_HEIGHT <= room:
        # In the panel whose lines end furthest from each other.
        _, axes, runs, up = min(moves, key=lambda move: move[0])
        _name_ends(axes, runs, up)
        figure.set_figwidth(figure.get_figwidth() + 0.045 * max(map(len, every)))
    else:
        _legend_below(figure, panels[0], measures[0][1])


def _name_ends(axes: Axes, runs: Sequence[Runs], up: NDArray[np.float64]) -> None:
    for run, points in zip(runs, up, strict=True):
        k, mean = (float(v) for v in run.spread()[:2, -1])
        axes.annotate(
            run.name,
            (k, mean),
            xytext=(16, points),
            textcoords="offset points",
            va="center",
            fontsize=NAME_SIZE,
            color=mixed(run.colour, 0.0, 0.4),
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": run.colour,
                "linewidth": 0.5,
                "shrinkA": 0,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def _apart(heights: NDArray[np.float64], room: float) -> NDArray[np.float64]:
    """Move heights as little as keeps them a line apart and inside the room, by least squares."""
    order = np.argsort(heights, kind="stable")
    steps = LINE_HEIGHT * np.arange(len(heights))
    # Less the steps, heights that do not fall are all that is asked: neighbours that do fall are pooled.
    pools: list[tuple[float, int]] = []
    for height in heights[order] - steps:
        pools.append((float(height), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, n), (b, m) = pools[-2:]
            pools[-2:] = [((a * n + b * m) / (n + m), n + m)]
    placed = np.repeat([height for height, _ in pools], [n for _, n in pools])
    apart = np.empty_like(heights)
    apart[order] = np.clip(placed, LINE_HEIGHT / 2, room - steps[-1] - LINE_HEIGHT / 2) + steps
    return apart


def _legend_below(figure: Figure, axes: Axes, runs: Sequence[Runs]) -> None:
    longest = max(len(run.name) for run in runs)
    columns = max(1, min(int(figure.get_figwidth() * 72 / (3.9 * longest + 34)), 4, len(runs)))
    legend = figure.legend(
        axes.lines[: len(runs)],
        [str(i) for i in range(len(runs))],
        loc="outside lower center",
        ncols=columns,
        fontsize=NAME_SIZE,
        handlelength=2.2,
        columnspacing=1.2,
        labelspacing=0.35,
    )
    # Written afterwards, since a legend leaves out names that begin with an underscore.
    for text, run in zip(legend.get_texts(), runs, strict=True):
        text.set_text(run.name)
    figure.set_figheight(figure.get_figheight() + 0.13 * math.ceil(len(runs) / columns) + 0.1)


def _tick_lengths(axes: Axes, ks: Sequence[int], recommended: int | None) -> None:
    """Put a tick at every k, with its number where there is room: first the one recommended and the ends."""
    room = axes.get_window_extent().width / axes.figure.dpi * 72
    low, high = np.log2(axes.get_xlim())
    kept: dict[int, tuple[float, float]] = {}
    for k in dict.fromkeys([recommended or ks[0], ks[0], ks[-1], *ks]):
        middle, half = (math.log2(k) - low) / (high - low) * room, 2.2 * len(str(k)) + 1.5
        if all(middle + half <= a or b <= middle - half for a, b in kept.values()):
            kept[k] = middle - half, middle + half
    axes.set_xticks(ks, [str(k) if k in kept else "" for k in ks])
    axes.minorticks_off()


# -- one k ------------------------------------------------------------------------------------------------


def _ranking(measures: Sequence[tuple[str, list[Runs]]], k: int) -> Figure:
    errors = sorted(measures[0][1], key=lambda run: float(np.mean(run.values[k])))
    names = list(dict.fromkeys([run.name for run in (*errors, *(r for _, some in measures for r in some))]))
    heights = {name: len(names) - 1 - i for i, name in enumerate(names)}
    figure = new_figure(2.2 * len(measures) + 1.3, 0.17 * len(names) + 0.8)
    for i, (what, runs) in enumerate(measures):
        axes = figure.add_subplot(1, len(measures), i + 1)
        for run in runs:
            _, mean, low, high = run.spread()
            height = heights[run.name]
            axes.hlines(height, low, high, color=run.colour, alpha=0.4, linewidth=3)
            axes.plot(mean, [height], run.marker, color=run.colour, markersize=4)
        axes.set(xlabel=what, ylim=(-0.6, len(names) - 0.4))
        axes.set_title(f"k = {k}", loc="left", fontsize=7, pad=3)
        _scale_values(axes, "x", runs)
        axes.set_yticks(list(heights.values()), names if i == 0 else [""] * len(names))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color="0.93", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
    return figure
