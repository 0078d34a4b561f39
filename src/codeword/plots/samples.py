"""Samples in one picture: new ones, between others, nearest to a query, over their reconstructions.

Images and curves stand in a grid, and rows of a table below each other. Lengths in a grid are dots, of which
a saved picture has 200 an inch. One pair of axes covers the page: an axes for each of hundreds of samples
would take seconds.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from codeword.base.constraints import whole
from codeword.base.errors import DataError, expected
from codeword.data.display import Display, display_of, in_shape
from codeword.plots.sprites import resized
from codeword.plots.style import (
    DOTS_PER_INCH,
    ORIGINAL,
    PALETTE,
    RECONSTRUCTION,
    blend,
    new_figure,
    plain,
    require_count,
    short,
    styled,
)

SAMPLE, MARKED, GROUND = "#4477AA", "0.35", "0.965"
TEXT_SIZE = 6.5
"""In points."""
TICK: dict[str, Any] = {"fontsize": TEXT_SIZE - 1, "color": "0.45"}
BESIDE: dict[str, Any] = {"fontsize": TEXT_SIZE, "ha": "right", "va": "center"}
LONGEST = 24
"""Characters of a line of a title."""
MARGIN, PAD = 10, 8
MARK_GAP = 26
"""Dots between columns that are marked and the rest; the rule stands in the middle of them."""
WIDEST = 1300
"""Dots that the cells of a row share, where their number leaves a choice."""
MOST_ACROSS = {"image": 10, "curve": 4}
"""Pairs of sample and reconstruction in a row."""
HEADROOM = 0.06
"""Room over and under the curves of a cell, as a share of the range of values."""

MOST_COLUMNS, CELL_LENGTH = 16, 16
"""Columns of a table, and characters of a cell."""
CHARACTER, LINE, SIDE, GROUP_GAP = 0.062, 0.19, 0.12, 0.1
"""Inches in the picture of a table: a character, a line, the page's margin, the room before a new group."""


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
    display: Display | str | None = None,
) -> Figure:
    """Show samples in a grid, row by row.

    Images stand close together, and those that are small have each of their pixels on whole pixels of a saved
    picture. Curves share one range of values. Rows of a table stand below each other, each with its titles,
    those of a row of the grid together.

    Parameters
    ----------
    x : array-like of shape (n_samples, ...)
        The samples to show, all of them, in any units. What is not finite is left out.
    titles : sequence of n_samples str or None, default=None
        A small line over each sample: its number, its distance.
    row_titles : sequence of str or None, default=None
        A text at the left of each row.
    column_titles : sequence of `columns` str or None, default=None
        A text over each column.
    columns : int or None, default=None
        Samples a row. With None the grid is about square.
    sample_shape : sequence of int or None, default=None
        The shape of one sample, where the rows of `x` are flat.
    names : sequence of str or None, default=None
        The names of a table's columns.
    mark_columns, mark_last : int, default=0
        So many columns, the first and the last, are set apart by a rule: a query, or the ends of a path.
    display : Display or {"image", "curve", "table"}, optional
        How samples are shown, or what they are: see `codeword.data.display.display_of`, whose rule holds
        where this is not given.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If there is no sample, or the sizes of `x` and `sample_shape` do not agree.
    ParameterError
        If there are not as many titles as samples, rows or columns, or names as a table has columns, or if
        `columns`, `mark_columns`, `mark_last` or `display` is nothing that fits.
    """
    x, shown = _shaped(x, sample_shape, names, display)
    n = len(x)
    across = _near_square(n, _aspect(shown)) if columns is None else _count("columns", columns, 1)
    require_count(column_titles, across, "column_titles", "columns")
    across = min(across, n) if column_titles is None else across
    require_count(titles, n, "titles", "samples")
    require_count(row_titles, math.ceil(n / across), "row_titles", "rows")
    first = _count("mark_columns", mark_columns, 0, across)
    last = _count("mark_last", mark_last, 0, across - first)
    grid = _Grid(n, across, titles or (), row_titles or (), column_titles or (), first, last)
    with styled():
        if shown.kind == "table":
            return _table(shown, shown.cells(x), grid.said(), columns or 0)
        return _DRAWN[shown.kind](shown, [x], grid)


def reconstruction_figure(
    x: ArrayLike,
    x_hat: ArrayLike,
    *,
    titles: Sequence[str] | None = None,
    sample_shape: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    display: Display | str | None = None,
    errors: ArrayLike | None = None,
) -> Figure:
    """Show samples and what is left of them after coding.

    Images and rows of a table stand above their reconstructions; curves lie under theirs.

    Parameters
    ----------
    x : array-like of shape (n_samples, ...)
        The samples to show, all of them, in any units.
    x_hat : array-like, as `x`
        Their reconstructions, in the same units.
    titles : sequence of n_samples str or None, default=None
        A line or two over each sample: its number, its error.
    sample_shape, names, display
        As in `sample_figure`.
    errors : array-like of shape (n_samples, d), optional
        x_hat - x in scaled units: the cells of a table that are far off are shown in color.

    Returns
    -------
    matplotlib.figure.Figure
        All images have the same black and white, those of `x`. What a reconstruction has beyond is cut.

    Raises
    ------
    DataError
        If there is no sample, or the sizes of `x`, `x_hat` and `sample_shape` do not agree.
    ParameterError
        If there are not as many titles as samples, or names as columns, or `display` does not fit.
    """
    x, shown = _shaped(x, sample_shape, names, display)
    x_hat = in_shape(np.asarray(x_hat), shown.shape, "x_hat")
    n = len(x)
    if n != len(x_hat):
        raise DataError(f"x and x_hat must have as many samples each. Got {n} and {len(x_hat)} instead.")
    require_count(titles, n, "titles", "samples")
    with styled():
        if shown.kind == "table":
            off = None
            if errors is not None:
                off = np.zeros((2 * n, len(shown.names)), dtype=bool)
                off[1::2] = shown.differs(x, x_hat, np.asarray(errors))
            pairs = zip(shown.cells(x), shown.cells(x_hat), strict=True)
            said = [text for title in titles or [""] * n for text in (_one_line(title), "reconstruction")]
            return _table(shown, [row for pair in pairs for row in pair], said, 2, off)
        rows = math.ceil(n / MOST_ACROSS[shown.kind])
        return _DRAWN[shown.kind](shown, [x, x_hat], _Grid(n, math.ceil(n / rows), titles or ()))


def _shaped(
    x: ArrayLike,
    sample_shape: Sequence[int] | None,
    names: Sequence[str] | None,
    display: Display | str | None,
) -> tuple[NDArray[Any], Display]:
    """Rows in the shape of a sample, and how they are shown."""
    x = np.asarray(x)
    if isinstance(display, Display):
        return in_shape(x, display.shape, "x"), display
    shape = tuple(sample_shape) if sample_shape is not None else x.shape[1:]
    x = in_shape(x, shape, "x")
    return x, display_of(shape, rows=x, names=names, kind=display)


def _aspect(display: Display) -> float:
    if display.kind != "image":
        return 1.6
    height, width = display.images(np.zeros((1, *display.shape))).shape[1:3]
    return float(width / height)


def _one_line(text: str) -> str:
    return ", ".join(" ".join(line.split()) for line in str(text).splitlines())


def _near_square(n: int, aspect: float) -> int:
    """Return how many columns make `n` cells, `aspect` times as wide as high, about a square."""
    square = math.sqrt(n / aspect)

    def badness(columns: int) -> float:
        # Pages are wider than high.
        narrow = 0.15 if columns < square else 0.0
        return -n % columns / n + 0.6 * abs(math.log(columns / square)) + narrow

    return min(range(1, n + 1), key=badness)


def _count(name: str, value: Any, least: int, most: float = math.inf) -> int:
    if not whole(value, least) or value > most:
        limits = f"from {least} to {most}" if most < math.inf else f"of {least} or more"
        raise expected(name, "sample_figure", f"a whole number {limits}", value)
    return int(value)


# -- the page of a grid -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grid:
    """How samples are placed in a grid and what is written around them.

    `titles` has one text a sample, `row_titles` one a row and `column_titles` one a column; each may be
    empty. The first `mark_columns` and the last `mark_last` columns are set apart.
    """

    n: int
    columns: int
    titles: Sequence[str] = ()
    row_titles: Sequence[str] = ()
    column_titles: Sequence[str] = ()
    mark_columns: int = 0
    mark_last: int = 0

    def colors(self) -> list[str]:
        """A color for each sample: another for those in marked columns."""
        inner = range(self.mark_columns, self.columns - self.mark_last)
        return [SAMPLE if i % self.columns in inner else MARKED for i in range(self.n)]

    def said(self) -> list[str]:
        """All that is written about each sample, on one line."""
        said = []
        for i in range(self.n):
            row, column = divmod(i, self.columns)
            parts = [*self.column_titles[column : column + 1], *self.titles[i : i + 1]]
            if column == 0:
                parts = [*self.row_titles[row : row + 1], *parts]
            said.append(", ".join(_one_line(part) for part in parts if str(part)))
        return said

    def page(
        self, width: int, height: int, *, gap: int, beside: int = 0, below: int = 0, above: int = 0
    ) -> tuple[Figure, Axes, NDArray[np.int64]]:
        """The page for cells of this size, with all words on it, and left and top of each cell, (n, 2).

        The units of its axes are dots, counted from the upper left corner. There is room `beside` the first
        column, `below` the last row and `above` the words.
        """
        titles, heads, row_titles = map(_lines, (self.titles, self.column_titles, self.row_titles))
        title_width, title_height = _text_size(titles)
        head_width, head_height = _text_size(heads)
        row_width, row_height = _text_size(row_titles)
        breaks = sorted({self.mark_columns, self.columns - self.mark_last} - {0, self.columns})
        over = title_height + PAD // 2 if title_height else 0
        slot = max(width, title_width + PAD, head_width + PAD)
        first = MARGIN + (row_width + PAD if row_width else 0) + beside
        lefts = [
            first + c * (slot + gap) + MARK_GAP * sum(b <= c for b in breaks) + (slot - width) // 2
            for c in range(self.columns)
        ]
        line = max(over + height + (max(gap, 12) if over else gap), row_height + PAD)
        # A word may be higher than the cell it stands beside.
        aside = max(0, (row_height - height + 1) // 2)
        top = MARGIN + above + (head_height + PAD // 2 if head_height else 0) + over + aside
        tops = [top + r * line for r in range(math.ceil(self.n / self.columns))]
        right = lefts[-1] + width + (slot - width + 1) // 2 + MARGIN
        bottom = tops[-1] + height + max(below, aside) + MARGIN
        figure, page = _page(right / DOTS_PER_INCH, bottom / DOTS_PER_INCH, right, bottom)
        write: dict[str, Any] = {"fontsize": TEXT_SIZE, "va": "bottom", "ha": "center"}
        corners = np.array([(lefts[i % self.columns], tops[i // self.columns]) for i in range(self.n)])
        for (left, start), text in zip(corners, titles, strict=False):
            page.text(left + width / 2, start - PAD // 2, text, color="0.35", **write)
        for left, text in zip(lefts, heads, strict=False):
            page.text(left + width / 2, tops[0] - over - PAD // 2, text, **write)
        for start, text in zip(tops, row_titles, strict=False):
            page.text(first - beside - PAD, start + height / 2, text, **BESIDE)
        for c in breaks:
            middle = (lefts[c - 1] + width + lefts[c]) / 2
            page.plot([middle] * 2, [tops[0] - over, tops[-1] + height], color="0.75", linewidth=0.6)
        return figure, page, corners


def _page(width: float, height: float, right: float, bottom: float) -> tuple[Figure, Axes]:
    """Make a figure of a size in inches, with axes all over it from the upper left corner."""
    figure = new_figure(width, height, "none")
    page = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    page.set(xlim=(0, right), ylim=(bottom, 0), autoscale_on=False)
    page.set_axis_off()
    return figure, page


def _lines(texts: Sequence[str]) -> list[str]:
    """Return texts as they are shown, each of their lines cut by itself."""
    return ["\n".join(short(line, LONGEST) for line in str(text).splitlines()) for text in texts]


def _text_size(texts: Sequence[str]) -> tuple[int, int]:
    """Return the width and the height in dots that the largest of some texts take; (0, 0) of none."""
    figure = new_figure(1, 1, "none")
    figure.set_dpi(DOTS_PER_INCH)
    boxes = [
        Text(0, 0, text, fontsize=TEXT_SIZE, figure=figure).get_window_extent()
        for text in dict.fromkeys(texts)
        if text
    ]
    # The hundredth more is for formats that do not fit letters to the dots.
    return (
        math.ceil(1.01 * max((box.width for box in boxes), default=0)),
        math.ceil(max((box.height for box in boxes), default=0)),
    )


# -- images -----------------------------------------------------------------------------------------------


def _draw_images(display: Display, parts: Sequence[NDArray[Any]], grid: _Grid) -> Figure:
    """Draw images, those of each further part below the first, in one image with white between them."""
    images = [_on_white(display, rows) for rows in parts]
    # Pairs, of which there are few, are twice as large as samples.
    high, wide = images[0].shape[1:3]
    height, width = _image_size(high, wide, grid.columns / len(parts))
    gap = min(max(round(0.04 * min(width, height)), 3), 8)
    names = ["original", "reconstruction"] if len(parts) > 1 else []
    beside = _text_size(names)[0] + PAD if names else 0
    deep = len(parts) * (height + gap) - gap
    figure, page, corners = grid.page(width, deep, gap=16 if names else gap, beside=beside)
    left, top = corners.min(axis=0)
    right, bottom = corners.max(axis=0) + np.array([width, deep])
    mosaic = np.full((bottom - top, right - left, 3), 255, np.uint8)
    for part, rows in enumerate(images):
        for (x, y), image in zip(corners - (left, top), rows, strict=True):
            start = y + part * (height + gap)
            mosaic[start : start + height, x : x + width] = resized(image, height, width)
    extent = (left, right, bottom, top)
    page.imshow(mosaic, extent=extent, aspect="auto", interpolation="nearest")
    for start in np.unique(corners[:, 1]):
        for part, name in enumerate(names):
            page.text(left - PAD, start + part * (height + gap) + height / 2, name, **BESIDE)
    return figure


def _on_white(display: Display, rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Return images as (n, h, w, 3), white where they are transparent or not finite."""
    pixels = np.where(np.isfinite(display.images(rows)), display.pixels(rows), np.uint8(255))
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.shape[3] == 4:
        opaque = pixels[..., 3:] / 255
        pixels = np.round(pixels[..., :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:3], 3))


def _image_size(height: int, width: int, columns: float) -> tuple[int, int]:
    """Return height and width of an image in dots: whole dots for each pixel, or a smaller image."""
    wanted = min(max(900 / columns, 56), 220)
    scale = min(wanted / math.sqrt(height * width), WIDEST / columns / width, 800 / height)
    if scale >= 0.75:
        scale = max(1, round(scale))
    return max(1, round(scale * height)), max(1, round(scale * width))


# -- curves -----------------------------------------------------------------------------------------------


def _draw_curves(display: Display, parts: Sequence[NDArray[Any]], grid: _Grid) -> Figure:
    """Draw curves, those of further parts over the first, on one range of values."""
    pair = len(parts) > 1
    curves = [display.curves(rows) for rows in parts]
    n, length, channels = curves[0].shape
    known = np.concatenate(curves)
    known = known[np.isfinite(known)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    high = high if high > low else low + 1.0
    width = round(min(max(WIDEST / grid.columns, 130), 440 if grid.columns > 1 else 640))
    height, margin = width // 2, HEADROOM * (high - low)
    scale = height / (high - low + 2 * margin)
    ticks = np.asarray(MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high))
    ticks = ticks[(ticks >= low - margin) & (ticks <= high + margin)]
    if len(ticks) > 1 and (ticks[1] - ticks[0]) * scale < 22:
        ticks = ticks[::2]
    labels = [f"{tick:.12g}".replace("-", "−") for tick in ticks]
    label_width, label_height = _text_size(labels)
    room = {"beside": label_width + 8, "below": label_height + 8, "above": 50 if pair else 0}
    figure, page, places = grid.page(width, height, gap=12, **room)
    corners = places[:, None, :].astype(np.float64)
    across = np.linspace(0.03, 0.97, length) * width if length > 1 else np.array([width / 2])
    levels, *down = ((high - values + margin) * scale for values in (ticks, *curves))
    ground = corners + np.array([(0, 0), (width, 0), (width, height), (0, height)])
    page.add_collection(PolyCollection(list(ground), facecolors=GROUND, linewidths=0, zorder=0))
    rules = [rule for y in levels for rule in corners + np.array([(0, y), (width, y)])]
    page.add_collection(LineCollection(rules, colors="white", linewidths=0.8, zorder=1))
    front: list[Any] = [PALETTE[channel % len(PALETTE)] for channel in range(channels)]
    back = [blend(color, 1.0, 0.6) for color in front]
    if channels == 1:
        front, back = [RECONSTRUCTION if pair else grid.colors()], [ORIGINAL]
    styles = [(back, 2.0), (front, 0.9)] if pair else [(front, 0.8)]
    for values, (colors, thickness) in zip(down, styles, strict=True):
        for channel, color in enumerate(colors):
            points = np.stack([np.broadcast_to(across, (n, length)), values[:, :, channel]], axis=-1)
            lines = LineCollection(list(corners + points), colors=color, linewidths=thickness, zorder=2)
            page.add_collection(lines)
    # The values beside the lowest cell of the first column are those of every cell.
    left, bottom = places[:, 0].min(), places[:, 1].max()
    for label, level in zip(labels, levels, strict=True):
        page.text(left - 5, bottom + level, label, ha="right", va="center", **TICK)
    for place in {0, length - 1}:
        side = "center" if length == 1 else "left" if place == 0 else "right"
        page.text(left + across[place], bottom + height + 5, str(place), ha=side, va="top", **TICK)
    if pair:
        shades = {"original": (ORIGINAL, 2.0), "reconstruction": (front[0] if channels == 1 else "0.3", 0.9)}
        handles = [Line2D([], [], color=c, linewidth=w, label=name) for name, (c, w) in shades.items()]
        figure.legend(handles=handles, loc="upper left", ncols=2, handlelength=1.6, borderpad=0.2)
    return figure


_DRAWN = {"image": _draw_images, "curve": _draw_curves}


# -- rows of a table --------------------------------------------------------------------------------------


def _table(
    display: Display,
    rows: Sequence[Sequence[Any]],
    titles: Sequence[str],
    group: int,
    off: NDArray[np.bool_] | None = None,
) -> Figure:
    """Draw rows of a table, with 16 columns at most; a last line says how many are not shown.

    `titles` stand before the rows, `group` of which belong together (0: all of them). Cells in which `off` is
    true are in color.
    """
    names = display.names[:MOST_COLUMNS]
    heads = [_head(name) for name in names]
    before = [short(title, LONGEST) for title in titles]
    cells = [[short(_text(cell), CELL_LENGTH) for cell in row[: len(names)]] for row in rows]
    widths = [
        2 + max(*(len(row[i]) for row in cells), *(round(1.15 * len(line)) for line in head), 0)
        for i, head in enumerate(heads)
    ]
    left = SIDE + CHARACTER * (max(map(len, before)) + 2 if any(before) else 0)
    edges = left + CHARACTER * np.cumsum([0, *widths])
    start = SIDE + LINE * max(map(len, heads)) + 0.08
    tops = [start + LINE * i + (GROUP_GAP * (i // group) if group else 0) for i in range(len(rows))]
    notes = []
    if off is not None and off.any():
        category = "" if display.columns is None else ", or another category"
        notes.append(f"in color: more than 0.7 scaled units away{category}")
    if len(display.names) > len(names):
        notes.append(f"and {len(display.names) - len(names)} more columns")
    note = "; ".join(notes)
    height = tops[-1] + LINE + SIDE + (LINE + 0.05 if note else 0)
    width = max(float(edges[-1]) + SIDE, 2 * SIDE + CHARACTER * len(note))
    figure, page = _page(width, height, width, height)
    write: dict[str, Any] = {"va": "top", "fontsize": 7}
    for x, head in zip(edges, heads, strict=False):
        page.text(x, SIDE, plain("\n".join(head)), weight="bold", **write)
    page.plot([SIDE, float(edges[-1])], [start - 0.05] * 2, color="0.7", linewidth=0.6)
    for i, (row, title, top) in enumerate(zip(cells, before, tops, strict=True)):
        page.text(SIDE, top, title, color="0.4", **write)
        for j, (cell, x) in enumerate(zip(row, edges, strict=False)):
            wrong = off is not None and bool(off[i, j])
            page.text(x, top, cell, color=RECONSTRUCTION if wrong else "0.2", **write)
    if note:
        page.text(SIDE, height - SIDE, note, va="bottom", fontsize=7, color="0.4")
    return figure


def _head(name: str) -> list[str]:
    """The lines of a column's name, which may break behind an underscore too."""
    parts = " ".join(name.split()).replace("_", "_ ")
    lines = textwrap.wrap(parts, CELL_LENGTH, max_lines=3, placeholder="…")
    return [line.replace("_ ", "_") for line in lines]


def _text(cell: Any) -> str:
    if cell is None or cell != cell:
        return "–"
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return f"{cell:.0f}" if 1e4 <= abs(cell) < 1e9 else f"{cell:.4g}"
    return str(cell)
