"""The parts of a page that bokeh draws: maps, errors, learning curves, the use of each dimension.

Each takes plain arrays and gives a bokeh figure. What a pointer does on them is left to the page's script: a
static page and a live one share these figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.events import MouseLeave, MouseMove, SelectionGeometry, Tap
from bokeh.models import (
    BoxSelectTool,
    ColumnDataSource,
    CustomJS,
    DataRange1d,
    FixedTicker,
    LassoSelectTool,
    LinearColorMapper,
    PanTool,
    PrintfTickFormatter,
    Range1d,
    ResetTool,
    Scatter,
    WheelZoomTool,
)
from bokeh.palettes import Plasma256
from bokeh.plotting import figure
from numpy.typing import ArrayLike, NDArray

from codeword.plots.style import PALETTE, mixed

__all__ = [
    "MANY_POINTS",
    "MOST_CLUSTERS",
    "QUANTITY",
    "class_colours",
    "dimension_figure",
    "error_figure",
    "history_figure",
    "map_figure",
    "points_source",
]

MANY_POINTS = 5_000
"""From here on the page's script draws the points: bokeh takes longer than a frame, and WebGL too wherever it
has no graphics processor."""

MOST_CLUSTERS = 30
"""As many as there are colours."""

ACCENT = "#CC3311"
SECOND = "#4477AA"
NO_LABEL = "#9aa0a6"
QUANTITY = list(Plasma256[30:230:4])
"""Without the ends, which one of a light and a dark page would swallow."""

Figure = Any


def class_colours(count: int) -> list[str]:
    """A colour a class: ten that colour-blind readers can tell apart, then lighter, darker, and again."""

    def written(colour: tuple[float, float, float]) -> str:
        return "#" + "".join(f"{round(255 * channel):02x}" for channel in colour)

    base = [(int(c[1:3], 16) / 255, int(c[3:5], 16) / 255, int(c[5:7], 16) / 255) for c in map(str, PALETTE)]
    every = [mixed(c, grey, share) for grey, share in ((0.5, 0.0), (1.0, 0.45), (0.0, 0.4)) for c in base]
    return [written(every[i % len(every)]) for i in range(count)]


def points_source(
    plane: NDArray[Any],
    errors: ArrayLike,
    pca: ArrayLike,
    labels: NDArray[Any] | None,
    *,
    clusters: bool = False,
) -> ColumnDataSource:
    """What is known of each point, in columns that several figures share, and with them a selection.

    Parameters
    ----------
    plane : ndarray of shape (n, 2)
    errors, pca : array-like of shape (n,)
    labels : ndarray of shape (n,), integers from -1 on or numbers, or None
    clusters : bool, default=False
        Whether there is a column for the cluster of each, all zero to begin with.
    """
    columns = {
        "x": np.asarray(plane[:, 0], np.float32),
        "y": np.asarray(plane[:, 1], np.float32),
        "error": np.asarray(errors, np.float32),
        "pca": np.asarray(pca, np.float32),
    }
    if labels is not None:
        whole = labels.dtype.kind in "iu"
        columns["label"] = labels.astype(np.int16 if whole else np.float32)
    if clusters:
        columns["cluster"] = np.zeros(len(plane), np.int16)
    return ColumnDataSource(data=columns, name="points")


def map_figure(source: ColumnDataSource, classes: Sequence[str], quantity: bool = False) -> Figure:
    """The map of codes, coloured by label where there are labels, with room for what is drawn on it.

    Parameters
    ----------
    source : ColumnDataSource
        See `points_source`.
    classes : sequence of str
        What the labels stand for.
    quantity : bool, default=False
        Whether labels are quantities.
    """
    n = len(source.data["x"])
    plot = _figure("map", 560, n)
    plot.axis.visible = False
    plot.grid.visible = False
    for axis in "xy":
        values = np.asarray(source.data[axis])
        middle, half = (values.max() + values.min()) / 2, np.ptp(values) / 2 * 1.06 or 1.0
        setattr(plot, f"{axis}_range", Range1d(start=float(middle - half), end=float(middle + half)))
    colour: Any = {"field": "error", "transform": _mapper("by_error", source.data["error"])}
    if classes:
        by_label = {"field": "label", "transform": _class_mapper("by_label", len(classes))}
    elif quantity:
        by_label = {"field": "label", "transform": _mapper("by_label", source.data["label"])}
    else:
        by_label = colour
    _dots(plot, source, "x", "y", by_label, n)
    plot.tags = [*plot.tags, {"by_label": by_label, "by_error": colour}]
    if "cluster" in source.data:
        by_cluster = {"field": "cluster", "transform": _class_mapper("by_cluster", MOST_CLUSTERS)}
        plot.tags = [*plot.tags, {"by_cluster": by_cluster}]
    links = ColumnDataSource(data={"x0": [], "y0": [], "x1": [], "y1": [], "colour": []}, name="links")
    plot.segment("x0", "y0", "x1", "y1", source=links, line_color="colour", line_width=1.5, line_alpha=0.8)
    plot.scatter("x1", "y1", source=links, size=9, fill_color=None, line_color="colour", line_width=2)
    chosen = ColumnDataSource(data={"x": [], "y": []}, name="chosen")
    plot.scatter("x", "y", source=chosen, size=14, fill_color=None, line_color=ACCENT, line_width=3)
    _listened(plot)
    return plot


def error_figure(source: ColumnDataSource) -> Figure:
    """Each point's error beside that of PCA: below the line the auto-encoder is better."""
    n = len(source.data["x"])
    both = np.concatenate([source.data["error"], source.data["pca"]])
    least = both[both > 0].min() if (both > 0).any() else 1e-6
    scale = "log" if both.max() > 20 * least and both.min() > 0 else "linear"
    plot = _figure("errors", 340, n, x_axis_type=scale, y_axis_type=scale)
    plot.xaxis.axis_label = "error of PCA"
    plot.yaxis.axis_label = "error of the auto-encoder"
    low = float(least * 0.8) if scale == "log" else 0.0
    high = float(both.max() * 1.15) or 1.0
    plot.x_range, plot.y_range = Range1d(start=low, end=high), Range1d(start=low, end=high)
    if scale == "log":
        powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)))
        few = [1, 2, 5] if len(powers) < 3 else [1, 3] if len(powers) < 5 else [1]
        powers = powers[:: -(-len(powers) // 8)]
        # To the digit: 3e-4 written out is 0.0003, and not what the product of two floats is.
        ticks = np.array([float(f"{tick:.0e}") for tick in np.sort(np.outer(powers, few).ravel())])
        plot.axis.formatter = PrintfTickFormatter(format="%g")
        plot.axis.ticker = FixedTicker(ticks=ticks[(ticks >= low) & (ticks <= high)].tolist())
    plot.line([low, high], [low, high], line_color=NO_LABEL, line_dash="dashed", line_width=1.5)
    _dots(plot, source, "pca", "error", SECOND, n)
    _listened(plot)
    return plot


def history_figure(history: Sequence[dict[str, Any]]) -> Figure:
    """The loss of each epoch, on the rows trained on and on those held out."""
    plot = _figure("history", 260, 0)
    plot.xaxis.axis_label, plot.yaxis.axis_label = "epoch", "loss"
    for key, name, colour in (
        ("train_loss", "trained on", SECOND),
        ("validation_loss", "held out", ACCENT),
    ):
        known = [(row["epoch"], row[key]) for row in history if row.get(key) is not None]
        if known:
            epochs, losses = zip(*known, strict=True)
            plot.line(epochs, losses, line_color=colour, line_width=2.5, legend_label=name)
            plot.scatter(epochs, losses, color=colour, size=5 if len(known) < 60 else 0, legend_label=name)
    _plain_legend(plot)
    return plot


def dimension_figure(values: ArrayLike, what: str) -> Figure:
    """A bar for each number of a code, the largest first; `what` says what is shown."""
    sizes = np.asarray(values, dtype=np.float64)
    order = np.argsort(-sizes, kind="stable")[:64]
    names = [f"z{i}" for i in order]
    plot = _figure("dimensions", 260, 0, x_range=names)
    plot.y_range = DataRange1d(start=0)
    plot.vbar(x=names, top=sizes[order], width=0.75, color=SECOND)
    plot.yaxis.axis_label = what
    plot.xgrid.visible = False
    if len(names) > 10:  # on a telephone more of them would run into one another
        plot.xaxis.major_label_orientation = "vertical"
    return plot


# -- what they share ----------------------------------------------------------------------------------------


def _figure(name: str, height: int, n: int, **options: Any) -> Figure:
    tools: list[Any] = []
    if n:
        wheel = WheelZoomTool(modifiers="ctrl")  # without a key the wheel scrolls the page
        tools = [PanTool(), wheel, BoxSelectTool(), LassoSelectTool(), ResetTool()]
        options |= {"active_scroll": wheel, "active_drag": tools[0]}
    plot: Any = figure(
        name=name,
        height=height,
        sizing_mode="stretch_width",
        tools=tools,
        toolbar_location="above" if n else None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border=4,
        **options,
    )
    plot.toolbar.logo = None
    for axis in plot.axis:
        axis.axis_line_color = axis.major_tick_line_color = NO_LABEL
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "12px"
    for grid in plot.grid:
        grid.grid_line_color, grid.grid_line_alpha = NO_LABEL, 0.25
    return plot


def _class_mapper(name: str, count: int) -> LinearColorMapper:
    return LinearColorMapper(
        palette=class_colours(count), low=-0.5, high=count - 0.5, low_color=NO_LABEL, name=name
    )


def _mapper(name: str, values: Any) -> LinearColorMapper:
    known = np.asarray(values)[np.isfinite(values)]
    low, high = np.percentile(known, [2, 98]) if len(known) else (0, 1)
    return LinearColorMapper(
        palette=QUANTITY,
        low=float(low),
        high=float(high) if high > low else float(low) + 1,
        nan_color=NO_LABEL,
        name=name,
    )


def _dots(plot: Figure, source: ColumnDataSource, x: str, y: str, colour: Any, n: int) -> None:
    plot.tags = [*plot.tags, source]  # part of the document, whoever draws it
    if n >= MANY_POINTS:
        return
    size, alpha = (9, 0.9) if n <= 200 else (6, 0.8) if n <= 3000 else (4, 0.6) if n <= 20_000 else (3, 0.5)
    dots = Scatter(x=x, y=y, size=size, fill_color=colour, fill_alpha=alpha, line_color=None)
    faint = Scatter(x=x, y=y, size=size, fill_color=colour, fill_alpha=alpha * 0.4, line_color=None)
    bold = Scatter(x=x, y=y, size=size + 1, fill_color=colour, fill_alpha=1, line_color=None)
    plot.add_glyph(source, dots, selection_glyph=bold, nonselection_glyph=faint, name="dots")


def _listened(plot: Figure) -> None:
    """Tell the page's script, `codeword.on`, what the pointer does."""
    for kind, event in (
        ("move", MouseMove),
        ("leave", MouseLeave),
        ("tap", Tap),
        ("enclose", SelectionGeometry),
    ):
        plot.js_on_event(
            event, CustomJS(args={"plot": plot}, code=f"window.codeword.on('{kind}', plot, cb_obj)")
        )


def _plain_legend(plot: Figure) -> None:
    if plot.legend:
        plot.legend.background_fill_color = plot.legend.border_line_color = None
        plot.legend.location = "top_right"
        plot.legend.label_text_font_size = "12px"
