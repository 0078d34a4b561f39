"""A grid of cells on a page, and the words over and beside them.

Lengths are in dots, of which a saved picture has 200 an inch. Every place is a whole number of them: a pixel
of a sample covers whole pixels of the file. The page is laid out here, in one pass, since matplotlib's own
layouts know no dots and take seconds over hundreds of cells.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codeword.base.errors import ParameterError
from codeword.plots.style import DOTS_PER_INCH, new_figure, plain, require_count, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TITLE_SIZE", "Arrangement", "Grid", "boxes_allowed", "lay_out", "near_square", "text_size"]

MARGIN = 10
PAD = 8
MARK_GAP = 26
"""Between columns that are marked and the rest; the rule stands in its middle."""
TITLE_SIZE = 6.5
"""In points, of every word on the page."""
LONGEST = 24


@dataclass(frozen=True)
class Arrangement:
    """How samples are placed and what is written around them.

    `titles` has one text a sample, `row_titles` one a row and `column_titles` one a column; each may be
    empty. The first `mark_columns` and the last `mark_last` columns are set apart.
    """

    columns: int
    rows: int
    titles: list[str]
    row_titles: list[str]
    column_titles: list[str]
    mark_columns: int
    mark_last: int

    @classmethod
    def of(
        cls,
        n: int,
        aspect: float,
        *,
        titles: Sequence[str] | None,
        row_titles: Sequence[str] | None,
        column_titles: Sequence[str] | None,
        columns: int | None,
        mark_columns: int,
        mark_last: int,
    ) -> Arrangement:
        """Check what the caller asks for, and choose the number of columns where it is None.

        Raises
        ------
        ParameterError
            For counts that do not fit each other.
        """
        for name, given in (("row_titles", row_titles), ("column_titles", column_titles)):
            if given is not None and columns is None:
                raise ParameterError(
                    f"The 'columns' parameter of sample_figure must be a number where there are {name}. "
                    "Got None instead."
                )
        across = _count(columns, "columns", 1, None) if columns is not None else near_square(n, aspect)
        require_count(column_titles, across, "column_titles", "columns")
        if column_titles is None:
            across = min(across, n)
        rows = math.ceil(n / across)
        require_count(titles, n, "titles", "samples")
        require_count(row_titles, rows, "row_titles", "rows")
        first = _count(mark_columns, "mark_columns", 0, across)
        return cls(
            across,
            rows,
            _lines(titles),
            _lines(row_titles),
            _lines(column_titles),
            first,
            _count(mark_last, "mark_last", 0, across - first),
        )

    def is_marked(self, i: int) -> bool:
        """Say whether sample `i` stands in a marked column."""
        column = i % self.columns
        return column < self.mark_columns or column >= self.columns - self.mark_last

    @property
    def breaks(self) -> list[int]:
        """The columns before which a rule stands."""
        ends = {self.mark_columns, self.columns - self.mark_last}
        return sorted(ends - {0, self.columns})


@dataclass(frozen=True)
class Grid:
    """A page with its words, and the place of each cell on it.

    `page` has axes all over `figure` whose units are dots, counted from the upper left corner; `lefts` are
    those of the columns, `tops` those of the rows, `width` and `height` those of every cell.
    """

    figure: Figure
    page: Axes
    lefts: list[int]
    tops: list[int]
    width: int
    height: int

    def corner(self, i: int) -> tuple[int, int]:
        """Return left and top of cell `i`."""
        row, column = divmod(i, len(self.lefts))
        return self.lefts[column], self.tops[row]


def near_square(n: int, aspect: float) -> int:
    """Return how many columns make `n` cells, `aspect` times as wide as high, about a square."""
    square = math.sqrt(n / aspect)

    def badness(columns: int) -> float:
        blank = -n % columns / n
        # Pages are wider than high.
        return blank + 0.6 * abs(math.log(columns / square)) + (0.15 if columns < square else 0.0)

    return min(range(1, n + 1), key=badness)


def lay_out(
    words: Arrangement, width: int, height: int, *, gap: int, beside: int = 0, below: int = 0
) -> Grid:
    """Make the page of a grid and write the words on it.

    Parameters
    ----------
    words : Arrangement
    width, height : int
        The size of a cell, in dots.
    gap : int
        The least distance between cells, in dots.
    beside, below : int, default=0
        Room for an axis at the left of the first column and under the last row, in dots.
    """
    title_width, title_height = text_size(words.titles)
    head_width, head_height = text_size(words.column_titles)
    row_width, row_height = text_size(words.row_titles)
    over = title_height + PAD // 2 if title_height else 0
    slot = max(width, title_width + PAD, head_width + PAD)
    first = MARGIN + (row_width + PAD if row_width else 0) + beside
    lefts = [
        first + c * (slot + gap) + MARK_GAP * sum(b <= c for b in words.breaks) + (slot - width) // 2
        for c in range(words.columns)
    ]
    line = max(over + height + (gap if not over else max(gap, 12)), row_height + PAD)
    top = MARGIN + (head_height + PAD // 2 if head_height else 0) + over
    # A word may be higher than the cell it stands beside.
    top += max(0, (row_height - height) // 2)
    tops = [top + r * line for r in range(words.rows)]
    right = lefts[-1] + width + (slot - width + 1) // 2 + MARGIN
    bottom = tops[-1] + height + max(below, (row_height - height + 1) // 2, 0) + MARGIN
    figure, page = _page(right, bottom)
    grid = Grid(figure, page, lefts, tops, width, height)
    _write(grid, words, over, first - beside - PAD)
    for c in words.breaks:
        middle = (lefts[c - 1] + width + lefts[c]) / 2
        page.plot([middle] * 2, [tops[0] - over, tops[-1] + height], color="0.75", linewidth=0.6)
    return grid


def text_size(texts: Sequence[str]) -> tuple[int, int]:
    """Return the width and the height in dots that the largest of some texts take; (0, 0) of none."""
    from matplotlib.text import Text

    shown = [text for text in dict.fromkeys(texts) if text]
    figure = new_figure(1, 1, "none")
    figure.set_dpi(DOTS_PER_INCH)
    with boxes_allowed():
        boxes = [Text(0, 0, t, fontsize=TITLE_SIZE, figure=figure).get_window_extent() for t in shown]
    # The hundredth more is for formats that do not fit letters to the dots.
    return (
        math.ceil(1.01 * max((box.width for box in boxes), default=0)),
        math.ceil(max((box.height for box in boxes), default=0)),
    )


@contextmanager
def boxes_allowed() -> Iterator[None]:
    """Measure labels in a script the font lacks as the boxes they become, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _write(grid: Grid, words: Arrangement, over: int, row_end: int) -> None:
    options: dict[str, Any] = {"fontsize": TITLE_SIZE}
    for i, text in enumerate(words.titles):
        left, top = grid.corner(i)
        grid.page.text(
            left + grid.width / 2, top - PAD // 2, text, ha="center", va="bottom", color="0.35", **options
        )
    for left, text in zip(grid.lefts, words.column_titles, strict=False):
        place = left + grid.width / 2, grid.tops[0] - over - PAD // 2
        grid.page.text(*place, text, ha="center", va="bottom", **options)
    for top, text in zip(grid.tops, words.row_titles, strict=False):
        grid.page.text(row_end, top + grid.height / 2, text, ha="right", va="center", **options)


def _page(width: int, height: int) -> tuple[Figure, Axes]:
    # Sizes in inches are rounded, and a dot that is lost to it would shift every pixel.
    while width / DOTS_PER_INCH * DOTS_PER_INCH != width:
        width += 1
    while height / DOTS_PER_INCH * DOTS_PER_INCH != height:
        height += 1
    figure = new_figure(width / DOTS_PER_INCH, height / DOTS_PER_INCH, "none")
    page = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    page.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    page.set_axis_off()
    return figure, page


def _lines(texts: Sequence[str] | None) -> list[str]:
    """Return texts as they are shown, each of its lines cut by itself, with the spaces it has."""
    return ["\n".join(_cut(line.rstrip()) for line in str(text).splitlines()) for text in texts or ()]


def _cut(line: str) -> str:
    return plain(line) if len(line) <= LONGEST else short(line, LONGEST)


def _count(value: Any, name: str, least: int, most: int | None) -> int:
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limits = f"from {least} to {most}" if most is not None else f"of {least} or more"
        raise ParameterError(
            f"The '{name}' parameter of sample_figure must be a whole number {limits}. Got {value!r} instead."
        )
    return int(value)
