"""Grids of samples: drawn from a model, between others, along a code's dimensions, nearest to a query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codeword.data.display import CURVE_FROM, as_curves, as_images, in_shape
from codeword.plots.grid import TITLE_SIZE, Arrangement, Grid, lay_out, text_size
from codeword.plots.style import PALETTE, column_names, new_figure, require_count, styled, value_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["sample_figure"]

SAMPLE = "#4477AA"
MARKED = "0.35"
GROUND = "0.965"
MARGIN = 0.06
"""Of the range of values, over and under the curves of a cell."""
TICK: dict[str, Any] = {"fontsize": TITLE_SIZE - 1, "color": "0.45"}
WIDEST = 1300
"""Dots that the cells of a row share, where their number leaves a choice."""


def sample_figure(
    x: ArrayLike,
    *,
    titles: Sequence[str] | None = None,
    row_titles: Sequence[str] | None = None,
    column_titles: Sequence[str] | None = None,
    columns: int | None = None,
    sample_shape: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    mark_columns: int = 0,
    mark_last: int = 0,
) -> Figure:
    """Show samples in a grid, row by row.

    Images stand close together, each of their pixels on whole pixels of a saved picture where they are small.
    Curves, of 20 values or more or of several channels, share one range of values. Rows of a table are dots
    beside the columns' names, on one axis of values.

    Parameters
    ----------
    x : array-like of shape (n_samples, ...)
        The samples to show, all of them, in any units. What is not finite is left out.
    titles : sequence of n_samples str or None, default=None
        A small line over each sample: its number, its distance.
    row_titles : sequence of str or None, default=None
        A text at the left of each row; it needs `columns`.
    column_titles : sequence of `columns` str or None, default=None
        A text over each column; it needs `columns`.
    columns : int or None, default=None
        Samples a row. With None the grid is about square.
    sample_shape : sequence of int or None, default=None
        The shape of one sample, where the rows of `x` are flat: read as `reconstruction_figure` does.
    names : sequence of str or None, default=None
        The names of a table's columns.
    mark_columns, mark_last : int, default=0
        So many columns, the first and the last, are set apart by a rule: a query, or the ends of a path.

    Returns
    -------
    matplotlib.figure.Figure
        All images have the same range of values: [0, 255] for uint8 and for other values that fill it, [0, 1]
        for floats within it, else from the least value to the largest.

    Raises
    ------
    DataError
        If there is no sample, or the sizes of `x` and `sample_shape` do not agree.
    ParameterError
        If there are not as many titles as samples, rows or columns, or names as a table has columns, or if
        `columns`, `mark_columns` or `mark_last` is no such number.
    """
    x = np.asarray(x)
    shape = tuple(sample_shape) if sample_shape is not None else x.shape[1:]
    x = in_shape(x, shape, "x")
    images = as_images(x, shape)
    size = math.prod(shape)
    is_table = images is None and size < CURVE_FROM and (len(shape) != 2 or min(shape) < 2)
    if is_table:
        require_count(names, size, "names", "columns")
    if images is not None:
        aspect = images.shape[2] / images.shape[1]
    else:
        aspect = 6 / size if is_table else 1.6
    words = Arrangement.of(
        len(x),
        aspect,
        titles=titles,
        row_titles=row_titles,
        column_titles=column_titles,
        columns=columns,
        mark_columns=mark_columns,
        mark_last=mark_last,
    )
    with styled():
        if images is not None:
            return _image_grid(images, words)
        if is_table:
            return _table_grid(x.reshape(len(x), size).astype(np.float64), words, column_names(names, size))
        return _curve_grid(as_curves(x, shape), words)


def _range(values: NDArray[Any]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if known.size == 0:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return low, high if high > low else low + 1.0


# -- images -----------------------------------------------------------------------------------------------


def _image_grid(images: NDArray[Any], words: Arrangement) -> Figure:
    low, high = _shades(images)
    height, width, fineness = _cell_of(images.shape[1], images.shape[2], words.columns)
    size = fineness * width, fineness * height
    shown = [_resized(_colours_of(image, low, high), size) for image in images]
    grid = lay_out(words, width, height, gap=min(max(round(0.04 * min(width, height)), 3), 8))
    left, top = grid.lefts[0], grid.tops[0]
    right, bottom = grid.lefts[-1] + width, grid.tops[-1] + height
    grid.page.imshow(
        _mosaic(shown, grid, fineness),
        extent=(left, right, bottom, top),
        aspect="auto",
        interpolation="auto",
    )
    return grid.figure


def _colours_of(image: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return an image as (h, w, 3), white where it is transparent or not finite."""
    shades = (image.astype(np.float64) - low) * (255 / (high - low))
    if shades.ndim == 2:
        shades = shades[..., None]
    if shades.shape[2] == 4:
        opaque = np.clip(shades[..., 3:] / 255, 0, 1)
        shades = shades[..., :3] * opaque + 255 * (1 - opaque)
    shades = np.where(np.isfinite(shades), np.clip(np.round(shades), 0, 255), 255)
    return np.broadcast_to(shades.astype(np.uint8), (*shades.shape[:2], 3))


def _shades(images: NDArray[Any]) -> tuple[float, float]:
    low, high = _range(images)
    if images.dtype == np.uint8 or (low >= 0 and 127 < high <= 255):
        return 0.0, 255.0
    if images.dtype == np.bool_ or (low >= 0 and high <= 1):
        return 0.0, 1.0
    return low, high


def _cell_of(height: int, width: int, columns: int) -> tuple[int, int, int]:
    """Return height and width of an image's cell in dots, and how many of its pixels go on a dot.

    A pixel becomes a square of dots. Images that are larger than their cell are made smaller, to two pixels a
    dot: a hundred photographs would otherwise become a file that no viewer opens.
    """
    wanted = min(max(900 / columns, 56), 220)
    scale = min(wanted / math.sqrt(height * width), WIDEST / columns / width, 800 / height)
    if scale >= 0.75:
        times = max(1, round(scale))
        return times * height, times * width, 1
    return max(1, round(scale * height)), max(1, round(scale * width)), 2


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image of this width and height: each of its pixels many times, or the mean of many."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _mosaic(images: Sequence[NDArray[np.uint8]], grid: Grid, fineness: int) -> NDArray[np.uint8]:
    """Return one image of all, white between them: an axes for each would take seconds."""
    height, width = images[0].shape[:2]
    lefts, tops = (fineness * (np.array(edges) - edges[0]) for edges in (grid.lefts, grid.tops))
    mosaic = np.full((tops[-1] + height, lefts[-1] + width, 3), 255, np.uint8)
    for i, image in enumerate(images):
        row, column = divmod(i, len(lefts))
        mosaic[tops[row] : tops[row] + height, lefts[column] : lefts[column] + width] = image
    return mosaic


# -- curves -----------------------------------------------------------------------------------------------


def _curve_grid(x: NDArray[np.float64], words: Arrangement) -> Figure:
    n, length, channels = x.shape
    low, high = _range(x)
    width = _pane_width(words.columns)
    height = width // 2
    scale = height / (high - low) / (1 + 2 * MARGIN)
    ticks = _few_ticks(low, high)
    if len(ticks) > 1 and (ticks[1] - ticks[0]) * scale < 22:
        ticks = ticks[::2]
    labels = _numbers(ticks)
    label_width, label_height = text_size(labels)
    grid = lay_out(words, width, height, gap=12, beside=label_width + 8, below=label_height + 8)
    across = np.linspace(0.03, 0.97, length) * width if length > 1 else np.array([width / 2])
    down, levels = ((high - values + MARGIN * (high - low)) * scale for values in (x, ticks))
    _panes(grid, n, levels, np.array([]))
    for channel in range(channels):
        points = _corners(grid, n)[:, None, :] + np.stack(
            [np.broadcast_to(across, (n, length)), down[:, :, channel]], axis=-1
        )
        colours = _colours(words, n) if channels == 1 else PALETTE[channel % len(PALETTE)]
        _lines(grid, points, colors=colours, linewidths=0.8, zorder=2)
    _values_beside(grid, labels, levels)
    for place in {0, length - 1}:
        side = "center" if length == 1 else "left" if place == 0 else "right"
        under = grid.lefts[0] + across[place], grid.tops[-1] + height + 5
        grid.page.text(*under, str(place), ha=side, va="top", **TICK)
    return grid.figure


def _values_beside(grid: Grid, labels: Sequence[str], levels: NDArray[np.float64]) -> None:
    """Write the values at the lowest cell of the first column: they are those of every cell."""
    for label, level in zip(labels, levels, strict=True):
        place = grid.lefts[0] - 5, grid.tops[-1] + level
        grid.page.text(*place, label, ha="right", va="center", **TICK)


def _few_ticks(low: float, high: float) -> NDArray[np.float64]:
    from matplotlib.ticker import MaxNLocator

    ticks = np.asarray(MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high))
    margin = MARGIN * (high - low)
    return ticks[(ticks >= low - margin) & (ticks <= high + margin)]


# -- tables -----------------------------------------------------------------------------------------------


def _table_grid(x: NDArray[np.float64], words: Arrangement, names: Sequence[str]) -> Figure:
    n, columns = x.shape
    name_width, name_height = text_size(names)
    width = _pane_width(words.columns)
    height = (name_height + 6) * columns
    shares, tick_shares, labels = _on_one_axis(x, width)
    grid = lay_out(words, width, height, gap=20, beside=name_width + 10, below=text_size(labels)[1] + 8)
    levels = (np.arange(columns) + 0.5) * height / columns
    _panes(grid, n, levels, tick_shares * width)
    corners = _corners(grid, n)
    places, heights = corners[:, :1] + shares * width, corners[:, 1:] + levels
    colours = np.repeat(_colours(words, n), columns)
    grid.page.scatter(places.ravel(), heights.ravel(), s=11, c=colours, linewidths=0, zorder=2)
    for top in grid.tops:
        for name, level in zip(names, levels, strict=True):
            place = grid.lefts[0] - 7, top + level
            grid.page.text(*place, name, ha="right", va="center", fontsize=TITLE_SIZE, color="0.35")
    for i in range(max(0, n - words.columns), n):
        left, top = grid.corner(i)
        for label, share in zip(labels, tick_shares, strict=True):
            under = left + share * width, top + height + 5
            grid.page.text(*under, label, ha="center", va="top", **TICK)
    return grid.figure


def _on_one_axis(
    x: NDArray[np.float64], width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Return where values and ticks stand between the ends of one axis, 0 and 1, and the ticks' labels."""
    known = x[:, np.isfinite(x).any(axis=0)]
    if known.size == 0:
        return np.full(x.shape, np.nan), np.array([]), []
    axes = new_figure(2, 2, "none").add_subplot()
    known = np.where(np.isfinite(known), known, np.nanmedian(known, axis=0))
    value_axis(axes, known)
    axes.plot(known.ravel(), np.zeros(known.size))
    low, high = axes.get_xlim()
    ticks = np.asarray(axes.get_xticks())
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    # Long numbers in narrow cells: fewer of them.
    while len(ticks) > 1 and text_size(_numbers(ticks))[0] + 10 > width / len(ticks):
        ticks = ticks[::2]

    transform = axes.xaxis.get_transform()

    def share(values: NDArray[np.float64]) -> NDArray[np.float64]:
        start, end, *inner = np.ravel(transform.transform(np.r_[low, high, values.ravel()]))
        return np.reshape((np.array(inner) - start) / (end - start), values.shape)

    return share(x), share(ticks), _numbers(ticks)


# -- cells with an axis -----------------------------------------------------------------------------------


def _pane_width(columns: int) -> int:
    return round(min(max(WIDEST / columns, 130), 440 if columns > 1 else 640))


def _corners(grid: Grid, n: int) -> NDArray[np.float64]:
    return np.array([grid.corner(i) for i in range(n)], dtype=np.float64)


def _colours(words: Arrangement, n: int) -> list[str]:
    return [MARKED if words.is_marked(i) else SAMPLE for i in range(n)]


def _panes(grid: Grid, n: int, levels: NDArray[np.float64], places: NDArray[np.float64]) -> None:
    """Draw every cell's ground, with lines across at `levels` and down at `places`, in dots of the cell."""
    from matplotlib.collections import PolyCollection

    corners = _corners(grid, n)[:, None, :]
    w, h = grid.width, grid.height
    ground = corners + np.array([(0, 0), (w, 0), (w, h), (0, h)])
    grid.page.add_collection(PolyCollection(list(ground), facecolors=GROUND, linewidths=0, zorder=0))
    across = [corners + np.array([(0, y), (w, y)]) for y in levels]
    down = [corners + np.array([(x, 0), (x, h)]) for x in places]
    if across or down:
        _lines(grid, np.concatenate(across + down), colors="white", linewidths=0.8, zorder=1)


def _lines(grid: Grid, points: NDArray[np.float64], **options: Any) -> None:
    from matplotlib.collections import LineCollection

    grid.page.add_collection(LineCollection(list(points), **options))


def _numbers(values: NDArray[np.float64]) -> list[str]:
    """Return numbers with as few digits as tell them apart."""
    texts: list[str] = []
    for digits in range(3, 17):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) == len(texts) and np.allclose([float(t) for t in texts], values, rtol=1e-3):
            break
    return [text.replace("-", "−") for text in texts]
