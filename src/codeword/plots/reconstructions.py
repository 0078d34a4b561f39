"""Samples and what is left of them after coding: images, curves, rows of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codeword.base.errors import DataError
from codeword.data.display import CURVE_FROM, as_curves, as_images, in_shape
from codeword.plots.style import (
    ORIGINAL,
    PALETTE,
    RECONSTRUCTION,
    column_names,
    mixed,
    new_figure,
    plain,
    require_count,
    styled,
    value_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["reconstruction_figure"]

LARGEST_BAND = 10


def reconstruction_figure(
    x: ArrayLike,
    x_hat: ArrayLike,
    *,
    titles: Sequence[str] | None = None,
    sample_shape: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Show samples and what is left of them after coding.

    Images stand above their reconstructions, a column each, in rows of at most ten. Other samples have a
    panel each, original and reconstruction in the same axes: curves from 20 values on, dots beside the
    columns' names below that.

    Parameters
    ----------
    x : array-like of shape (n_samples, ...)
        The samples to show, all of them, in any units.
    x_hat : array-like, as `x`
        Their reconstructions, in the same units.
    titles : sequence of n_samples str or None, default=None
        A line or two over each sample: its number, its error.
    sample_shape : sequence of int or None, default=None
        The shape of one sample, where the rows of `x` are flat. (h, w) with both at least 4 is a greyscale
        image; (h, w, 1), (h, w, 3), (h, w, 4), (1, h, w) and (3, h, w) are images; a second axis of fewer
        than 4 holds the channels of a signal.
    names : sequence of str or None, default=None
        The names of a table's columns.

    Returns
    -------
    matplotlib.figure.Figure
        Both pictures of a pair have the same range of values: the original's, or [0, 255] for uint8 and
        [0, 1] for floats within it where the picture has colours. What a reconstruction has beyond it is cut.

    Raises
    ------
    DataError
        If there is no sample, or the sizes of `x`, `x_hat` and `sample_shape` do not agree.
    ParameterError
        If there are not as many titles as samples, or names as columns.
    """
    x, x_hat = np.asarray(x), np.asarray(x_hat)
    shape = tuple(sample_shape) if sample_shape is not None else x.shape[1:]
    x, x_hat = in_shape(x, shape, "x"), in_shape(x_hat, shape, "x_hat")
    if len(x) != len(x_hat):
        raise DataError(f"x and x_hat must have as many samples each. Got {len(x)} and {len(x_hat)} instead.")
    require_count(titles, len(x), "titles", "samples")
    titles = [plain(t) for t in titles] if titles is not None else [""] * len(x)
    images = as_images(x, shape), as_images(x_hat, shape)
    with styled():
        if images[0] is not None and images[1] is not None:
            return _image_pairs(images[0], images[1], titles)
        if math.prod(shape) >= CURVE_FROM:
            return _curve_panels(as_curves(x, shape), as_curves(x_hat, shape), titles)
        columns = math.prod(shape)
        require_count(names, columns, "names", "columns")
        return _table_panels(
            x.reshape(len(x), columns), x_hat.reshape(len(x), columns), titles, column_names(names, columns)
        )


def _image_pairs(x: NDArray[Any], x_hat: NDArray[Any], titles: Sequence[str]) -> Figure:
    n, height, width = x.shape[:3]
    bands = math.ceil(n / LARGEST_BAND)
    columns = math.ceil(n / bands)
    cell_width, cell_height = _cell(height, width)
    title_height = 0.14 * max(t.count("\n") + 1 if t else 0 for t in titles)
    figure = new_figure(
        columns * (cell_width + 0.06) + 0.3,
        bands * (2 * cell_height + 0.1 + title_height) + 0.1 * (bands - 1) + 0.1,
        layout="compressed",
    )
    # A thin empty row parts one band from the next.
    grid = figure.add_gridspec(3 * bands - 1, columns, height_ratios=([1, 1, 0.06] * bands)[:-1])
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    for i in range(n):
        band, column = divmod(i, columns)
        value_range = _value_range(x[i], x_hat[i])
        top = figure.add_subplot(grid[3 * band, column])
        bottom = figure.add_subplot(grid[3 * band + 1, column])
        top.set_title(titles[i], fontsize=7, pad=3)
        for axes, image, name in ((top, x[i], "original"), (bottom, x_hat[i], "reconstruction")):
            _show_image(axes, image, value_range)
            if column == 0:
                axes.set_ylabel(name, fontsize=7, labelpad=3)
    return figure


def _cell(height: int, width: int) -> tuple[float, float]:
    """Return the size in inches of one image: about a square inch, never flatter than its label is long."""
    cell_height = min(max(math.sqrt(height / width), 0.9), 1.8)
    return min(cell_height * width / height, 4.0), cell_height


def _value_range(x: NDArray[Any], x_hat: NDArray[Any]) -> tuple[float, float]:
    low, high = float(np.min(x)), float(np.max(x))
    coloured = x.ndim == 3
    if x.dtype == np.uint8 and (coloured or low == high):
        return 0.0, 255.0
    if low >= 0 and high <= 1 and (coloured or low == high):
        return 0.0, 1.0
    if low == high:
        low, high = min(low, float(np.min(x_hat))), max(high, float(np.max(x_hat)))
    return low, high if high > low else low + 1.0


def _show_image(axes: Axes, image: NDArray[Any], value_range: tuple[float, float]) -> None:
    low, high = value_range
    interpolation = "nearest" if max(image.shape[:2]) <= 100 else "auto"
    if image.ndim == 3:
        scaled = np.clip((image.astype(np.float64) - low) / (high - low), 0.0, 1.0)
        axes.imshow(scaled, interpolation=interpolation)
    else:
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation=interpolation)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _panels(n: int, width: float, height: float, titles: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Return a figure of n panels, in rows of at most four, with room for a legend above them."""
    rows = math.ceil(n / 4)
    columns = math.ceil(n / rows)
    figure = new_figure(max(columns * width, 2.6), rows * height + 0.3)
    grid = figure.add_gridspec(rows, columns)
    panels = [figure.add_subplot(grid[divmod(i, columns)]) for i in range(n)]
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=7, pad=4)
    return figure, panels


def _curve_panels(x: NDArray[np.float64], x_hat: NDArray[np.float64], titles: Sequence[str]) -> Figure:
    from matplotlib.colors import to_rgb
    from matplotlib.lines import Line2D

    figure, panels = _panels(len(x), 2.3 if len(x) > 1 else 4.2, 1.4 if len(x) > 1 else 1.9, titles)
    channels = x.shape[2]
    colours = [RECONSTRUCTION] if channels == 1 else [PALETTE[c % len(PALETTE)] for c in range(channels)]
    for axes, original, reconstruction in zip(panels, x, x_hat, strict=True):
        for channel, colour in enumerate(colours):
            pale = ORIGINAL if channels == 1 else mixed(to_rgb(colour), 1.0, 0.6)
            axes.plot(original[:, channel], color=pale, linewidth=2.4)
            axes.plot(reconstruction[:, channel], color=colour, linewidth=0.9)
        axes.margins(x=0.01)
        axes.locator_params(nbins=4)
    colour = RECONSTRUCTION if channels == 1 else "0.3"
    _legend_above(
        figure,
        Line2D([], [], color=ORIGINAL, linewidth=2.4, label="original"),
        Line2D([], [], color=colour, linewidth=0.9, label="reconstruction"),
    )
    return figure


def _table_panels(
    x: NDArray[Any], x_hat: NDArray[Any], titles: Sequence[str], names: Sequence[str]
) -> Figure:
    x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
    figure, panels = _panels(len(x), 1.9 if len(x) > 1 else 3.6, 0.17 * len(names) + 0.65, titles)
    heights = np.arange(len(names))[::-1]
    for i, axes in enumerate(panels):
        value_axis(axes, np.concatenate([x, x_hat]))
        axes.hlines(heights, x[i], x_hat[i], color="0.8", linewidth=0.8, zorder=1)
        for values, size, colour, name in (
            (x[i], 5.5, ORIGINAL, "original"),
            (x_hat[i], 2.8, RECONSTRUCTION, "reconstruction"),
        ):
            axes.plot(values, heights, "o", markersize=size, color=colour, label=name, clip_on=False)
        axes.set_ylim(-0.7, len(names) - 0.3)
        first = axes.get_subplotspec().is_first_col()  # type: ignore[union-attr]
        axes.set_yticks(heights, names if first else [""] * len(names))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    _share_range(panels)
    handles, _ = panels[0].get_legend_handles_labels()
    _legend_above(figure, *handles)
    return figure


def _share_range(panels: Sequence[Axes]) -> None:
    low = min(axes.get_xlim()[0] for axes in panels)
    high = max(axes.get_xlim()[1] for axes in panels)
    for axes in panels:
        axes.set_xlim(low, high)


def _legend_above(figure: Figure, *handles: Any) -> None:
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=1.6)
