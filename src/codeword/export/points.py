"""Rows of a source with what a model says of each: what every format is written from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.progress import Progress
from codeword.data import Data
from codeword.data.display import Display
from codeword.data.rows import blocks, check_finite

if TYPE_CHECKING:
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["Points", "look"]

MOST_ROWS = 1 << 16
"""Of a block, where rows are so small that bytes set no limit."""

SOME = 1_000
"""Rows that black and white come from, for a model that knows no limits of values."""


@dataclass(frozen=True, eq=False)
class Points:
    """Some rows of a source, and what a model says of each.

    Attributes
    ----------
    x : ndarray, memory map or other holder of rows, of shape (n, ...)
        Read a block at a time.
    rows : ndarray of shape (n,), int64
        Their numbers in the source, rising.
    codes : ndarray of shape (n, k), float32
    errors : ndarray of shape (n,), float32
        Mean squared, in scaled units.
    y : ndarray of shape (n,), or None
        Labels.
    display : Display
        How samples are shown.
    """

    x: Any
    rows: NDArray[np.int64]
    codes: NDArray[np.float32]
    errors: NDArray[np.float32]
    y: NDArray[Any] | None
    display: Display

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Walk over x in order: which of the points, and their rows in the shape of a sample."""
        for start, block in blocks(self.x, most=MOST_ROWS):
            part = slice(start, start + len(block))
            yield part, block.reshape(len(block), *self.display.shape)


def look(
    model: AutoEncoder,
    data: Data,
    rows: Sequence[int],
    *,
    display: str | None = None,
    verbose: bool = False,
) -> Points:
    """Encode and judge some rows of a source, a block at a time.

    Parameters
    ----------
    model : AutoEncoder
        Fitted.
    data : Data
    rows : sequence of int
        Which rows, rising.
    display : {"image", "curve", "table"}, optional
        How samples are shown, where their shape does not show it.
    verbose : bool, default=False
        Show a bar on a terminal.

    Raises
    ------
    DataError
        If the rows are not of the model's shape, or one has a value that is not finite; the message has its
        number in the source.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    part = data if len(chosen) == len(data) else data[chosen]
    n = len(chosen)
    some = np.asarray(part.x[: min(n, SOME)])
    shown = model.model_.display(names=data.names, rows=some, kind=display)
    codes = np.empty((n, model.n_components), np.float32)
    errors = np.empty(n, np.float32)
    with Progress(n, "codes", verbose=verbose) as progress:
        for start, block in blocks(part.x, most=MOST_ROWS):
            where = slice(start, start + len(block))
            check_finite(block, chosen[where], missing=data.missing)
            here = replace(part, x=block, y=None)
            codes[where] = model.transform(here)
            errors[where] = -model.score_samples(here)
            progress.rows(len(block))
    return Points(part.x, chosen, codes, errors, part.y, shown)
