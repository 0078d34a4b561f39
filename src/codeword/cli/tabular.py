"""What commands show of a model of a mixed table: rows in its own columns and units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.data.display import cells_of
from codeword.plots.cells import cells_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["pairs_figure", "rows_figure"]

FAR = 0.5
"""Beyond this sum of squared differences of its numbers a cell is off."""

OFF = "in colour: another category, or more than 0.7 standard deviations away"


def rows_figure(
    ae: AutoEncoder, rows: NDArray[Any], *, titles: Sequence[str] | None = None, group: int = 0
) -> Figure:
    """Rows of numbers (n, d), as a model of a mixed table gives them, in the table's own columns.

    `titles` stand before the rows, and `group` of these belong together.
    """
    return cells_figure(_texts(ae, rows), ae.columns_.names, titles=titles, group=group)


def pairs_figure(ae: AutoEncoder, data: Data, titles: Sequence[str]) -> Figure:
    """Rows, as the model's columns made them, over their reconstructions, a title for each pair of them.

    What is off is in colour.
    """
    x, x_hat = np.asarray(data.x[:]), np.asarray(ae.as_numbers().reconstruct(data))
    cells, again = (cells_of(ae.columns_, rows) for rows in (x, x_hat))
    both = [row for pair in zip(cells, again, strict=True) for row in pair]
    squares = np.where(np.isnan(x), 0.0, np.square(x_hat - x, dtype=np.float64))
    off = np.zeros((len(both), len(ae.columns_.names)), dtype=bool)
    off[1::2] = ae.columns_.by_column(squares) > FAR
    for place, column in enumerate(ae.columns_.columns_):
        pairs = [(one[place], other[place]) for one, other in zip(cells, again, strict=True)]
        if column.kind in ("number", "date"):  # which may be there or not, too
            off[1::2, place] &= [None not in pair for pair in pairs]
            off[1::2, place] |= [(one is None) != (other is None) for one, other in pairs]
        else:
            off[1::2, place] = [one != other for one, other in pairs]
    said = [text for title in titles for text in (title, "")]
    texts = [[_text(cell) for cell in row] for row in both]
    return cells_figure(texts, ae.columns_.names, titles=said, group=2, off=off, note=OFF)


def _texts(ae: AutoEncoder, rows: NDArray[Any]) -> list[list[str]]:
    return [[_text(value) for value in row] for row in cells_of(ae.columns_, rows)]


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
