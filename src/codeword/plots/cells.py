"""Rows of a mixed table as a picture: words and numbers, with those that are off in colour."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.plots.style import RECONSTRUCTION, new_figure, plain, require_count, short, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["cells_figure"]

MOST_COLUMNS = 16
LONGEST = 16
"""Characters of a cell, and of a line of a column's name."""
CHARACTER, LINE, MARGIN, GAP = 0.062, 0.19, 0.12, 0.1
"""In inches: a character's width, a line's height, the page's margin, the space before a new group."""


def cells_figure(
    rows: Sequence[Sequence[str]],
    names: Sequence[str],
    *,
    titles: Sequence[str] | None = None,
    group: int = 0,
    off: NDArray[np.bool_] | None = None,
    note: str = "",
) -> Figure:
    """Draw rows of a table.

    Parameters
    ----------
    rows : sequence of n_rows sequences of n_columns str
    names : sequence of n_columns str
    titles : sequence of n_rows str, optional
        Stands before each row.
    group : int, default=0
        So many rows belong together, and space comes before the next; 0 for none.
    off : ndarray of shape (n_rows, n_columns), bool, optional
        Cells that are shown in colour.
    note : str, default=""
        What the colour says.

    Returns
    -------
    matplotlib.figure.Figure
        With 16 columns at most; the last line says how many are not shown.

    Raises
    ------
    DataError
        If there are no rows or no columns.
    """
    if not rows or not names:
        raise DataError("rows must have at least one row and one column to be drawn")
    require_count(titles, len(rows), "titles", "rows")
    shown = list(names)[:MOST_COLUMNS]
    heads = [_head(str(name)) for name in shown]
    cells = [[short(cell, LONGEST) for cell in row[: len(shown)]] for row in rows]
    before = [short(title, 20) for title in titles] if titles is not None else [""] * len(rows)
    columns = [before, *([row[i] for row in cells] for i in range(len(shown)))]
    longest = [max(len(text) for text in [*column, ""]) for column in columns]
    widths = [
        max([n, *(round(1.15 * len(line)) for line in head)]) + 2
        for n, head in zip(longest[1:], heads, strict=True)
    ]
    left = MARGIN + CHARACTER * (longest[0] + 2 if titles is not None else 0)
    edges = left + CHARACTER * np.cumsum([0, *widths])
    tops = np.array([LINE * i + (GAP * (i // group) if group else 0.0) for i in range(len(rows))])
    head_height = LINE * max(len(head) for head in heads) + 0.08
    notes = [note] if note else []
    if len(names) > len(shown):
        notes.append(f"and {len(names) - len(shown)} more columns")
    height = 2 * MARGIN + head_height + float(tops[-1]) + LINE + (LINE + 0.05 if notes else 0)
    width = max(float(edges[-1]) + MARGIN, 2 * MARGIN + CHARACTER * len("; ".join(notes)))
    with styled():
        figure = new_figure(width, height, layout="none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        for x, head in zip(edges, heads, strict=False):
            axes.text(x, MARGIN, plain("\n".join(head)), weight="bold", va="top", fontsize=7)
        start = MARGIN + head_height
        axes.plot([MARGIN, float(edges[-1])], [start - 0.05] * 2, color="0.7", linewidth=0.6)
        _write(axes, cells, before, edges, start + tops, off)
        if notes:
            axes.text(MARGIN, height - MARGIN, "; ".join(notes), va="bottom", fontsize=7, color="0.4")
        return figure


def _head(name: str) -> list[str]:
    """The lines of a column's name, which may break behind an underscore too."""
    parts = " ".join(name.split()).replace("_", "_ ")
    lines = textwrap.wrap(parts, LONGEST, max_lines=3, placeholder="…")
    return [line.replace("_ ", "_") for line in lines]


def _write(
    axes: Axes,
    cells: list[list[str]],
    before: list[str],
    edges: NDArray[Any],
    tops: NDArray[Any],
    off: NDArray[np.bool_] | None,
) -> None:
    for i, (row, title, top) in enumerate(zip(cells, before, tops, strict=True)):
        axes.text(MARGIN, top, title, va="top", fontsize=7, color="0.4")
        for j, (cell, x) in enumerate(zip(row, edges, strict=False)):
            wrong = off is not None and bool(off[i, j])
            axes.text(x, top, cell, va="top", fontsize=7, color=RECONSTRUCTION if wrong else "0.2")
