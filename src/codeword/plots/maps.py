"""Maps of codes: points in the plane, colored by class or by quantity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from codeword.base.errors import DataError, ParameterError
from codeword.data.labels import Labels, classes_of
from codeword.data.rows import check_finite
from codeword.plots.style import NO_LABEL, PALETTE, class_colors, legend, new_figure, plain, short, styled

LARGEST_LEGEND = 30
MOST_TEXTS = 100


def map_figure(points: ArrayLike, labels: Any = None, *, title: str | None = None) -> Figure:
    """Scatter a map of codes, colored by label.

    Parameters
    ----------
    points : array-like of shape (n_samples, 2)
    labels : array-like of shape (n_samples,), Labels or None, default=None
        Classes of any kind, or a quantity: see `codeword.data.labels.classes_of`. A quantity gets a color
        bar. Up to 30 classes get a legend, more have their names written at the median of their points, the
        100 largest of them. Missing labels (None, NaN, an empty string) are light gray.
    title : str or None, default=None

    Returns
    -------
    matplotlib.figure.Figure
        Readable when printed nine centimeters wide.

    Raises
    ------
    DataError
        If `points` is not a table of two finite columns with at least one row.
    ParameterError
        If there are not as many labels as points.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise DataError(
            f"points must have the shape (n_samples, 2), one at least. Got {points.shape} instead."
        )
    check_finite(points, what="the map")
    if labels is not None and not isinstance(labels, Labels):
        labels = np.asarray(labels)
        if labels.shape != (len(points),):
            raise ParameterError(
                f"labels must have the shape ({len(points)},), one a point. Got {labels.shape} instead."
            )
        labels = classes_of(labels, len(points))
    with styled():
        figure, axes = _map_axes(points, title)
        if labels is None:
            _scatter(axes, points, PALETTE[0])
        elif labels.quantity is not None:
            _scatter_quantity(figure, axes, points, labels.quantity)
        else:
            _scatter_classes(figure, axes, points, labels)
        return figure


def _map_axes(points: NDArray[np.float64], title: str | None) -> tuple[Figure, Axes]:
    low, high = points.min(axis=0), points.max(axis=0)
    half = (high - low) / 2
    # A map without extent, or one flat as a line, still gets axes one can see.
    half = np.maximum(half, 0.3 * half.max() if half.max() > 0 else 1.0) * (1.05 if len(points) > 10 else 1.3)
    center = (low + high) / 2
    width, height = 3.4 * half / half.max()
    figure = new_figure(max(width, 1.6) + 0.1, max(height, 1.0) + (0.3 if title else 0.1), "compressed")
    axes = figure.add_subplot()
    (left, bottom), (right, top) = center - half, center + half
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("0.85")
    if title:
        axes.set_title(plain(title), pad=5)
    return figure, axes


def _scatter(axes: Axes, points: NDArray[np.float64], colors: Any, **options: Any) -> Any:
    n = len(points)
    # Drawn class by class, the last would hide the others.
    order = np.random.default_rng(0).permutation(n)
    if not isinstance(colors, str):
        colors = np.asarray(colors)[order]
    return axes.scatter(
        points[order, 0],
        points[order, 1],
        s=float(np.clip(280 / math.sqrt(n), 0.7, 30)),
        c=colors,
        alpha=0.85 if n > 200 else 1.0,
        linewidths=0,
        # As vectors, many points make a file that no viewer opens in reasonable time.
        rasterized=n > 5000,
        **options,
    )


def _scatter_quantity(figure: Figure, axes: Axes, points: NDArray[np.float64], values: NDArray[Any]) -> None:
    known = np.isfinite(values)
    if not known.all():
        _scatter(axes, points[~known], NO_LABEL)
    drawn = _scatter(axes, points[known], values[known], cmap="viridis")
    drawn.set_alpha(None)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, aspect=22, pad=0.02)
    bar.ax.spines[:].set_visible(False)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))
    figure.set_figwidth(figure.get_figwidth() + 0.5)


def _scatter_classes(figure: Figure, axes: Axes, points: NDArray[np.float64], labels: Labels) -> None:
    names, index = labels.names, labels.index
    colors = class_colors(len(names))
    known = index >= 0
    if not known.all():
        _scatter(axes, points[~known], NO_LABEL)
    if known.any():
        _scatter(axes, points[known], np.asarray(colors)[index[known]])
    if 0 < len(names) <= LARGEST_LEGEND:
        if not known.all():
            names, colors = [*names, "no label"], [*colors, NO_LABEL]
        style: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4.5, "markeredgewidth": 0}
        handles = [Line2D([], [], color=color, **style) for color in colors]
        few = len(names) <= 15 and max(map(len, names)) <= 12
        legend(figure, handles, names, beside=few)
    else:
        _class_texts(axes, points, labels)


def _class_texts(axes: Axes, points: NDArray[np.float64], labels: Labels) -> None:
    names, index = labels.names, labels.index
    size, halo = 6 if len(names) <= 60 else 5, [withStroke(linewidth=1.5, foreground="white")]
    how: dict[str, Any] = {"ha": "center", "va": "center", "color": "0.1", "fontsize": size}
    counts = np.bincount(index[index >= 0], minlength=len(names))
    for place in np.argsort(-counts, kind="stable")[: min(MOST_TEXTS, np.count_nonzero(counts))]:
        x, y = np.median(points[index == place], axis=0)
        axes.text(x, y, short(names[place], 14), path_effects=halo, **how)
