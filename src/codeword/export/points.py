"""Rows of a source with what a model says of each: what every format is written from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from codeword.base.progress import Progress
from codeword.data import Data
from codeword.data.display import LINES_FROM, as_images
from codeword.data.rows import block_length, read
from codeword.data.scaling import check_finite

if TYPE_CHECKING:
    from codeword.data.columns import Columns
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["Kind", "Points", "kind_of", "look"]

Kind = Literal["images", "table", "signals"]

MOST_ROWS = 1 << 16
"""Of a block, where rows are so small that bytes set no limit."""


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
    names : tuple of str, or None
        What the values of a row are called, where the rows are those of a table.
    sample_shape : tuple of int
        Of the model's samples.
    kind : {"images", "table", "signals"}
    shades : (float, float)
        The values that are black and white, where the rows are images.
    columns : Columns or None
        Of a mixed table, whose own columns `names` are.
    """

    x: Any
    rows: NDArray[np.int64]
    codes: NDArray[np.float32]
    errors: NDArray[np.float32]
    y: NDArray[Any] | None
    names: tuple[str, ...] | None
    sample_shape: tuple[int, ...]
    kind: Kind
    shades: tuple[float, float]
    columns: Columns | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Walk over x in order: which of the points, and their rows in the shape of a sample."""
        for part, block in _blocks(self.x):
            yield part, block.reshape(len(block), *self.sample_shape)


def look(model: AutoEncoder, data: Data, rows: Sequence[int], *, verbose: bool = False) -> Points:
    """Encode and judge some rows of a source, a block at a time.

    Parameters
    ----------
    model : AutoEncoder
        Fitted.
    data : Data
    rows : sequence of int
        Which rows, rising.
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
    n, shape = len(chosen), tuple(model.sample_shape_)
    kind, names = kind_of(shape, _names(model, data))
    shades = _shades(model, part) if kind == "images" else (0.0, 1.0)
    low, high = math.inf, -math.inf
    codes = np.empty((n, model.n_components), np.float32)
    errors = np.empty(n, np.float32)
    with Progress(n, "codes", verbose=verbose) as progress:
        for where, block in _blocks(part.x):
            _check(block, chosen[where], missing=data.missing)
            here = replace(part, x=block, y=None)
            codes[where] = model.transform(here)
            errors[where] = -model.score_samples(here)
            if shades is None:
                low = min(low, float(np.nanmin(block, initial=math.inf)))
                high = max(high, float(np.nanmax(block, initial=-math.inf)))
            progress.rows(len(block))
    if shades is None:
        # Where all values are one, or none is known, the picture is of one shade.
        shades = (low, high) if low < high else (low, low + 1) if low == high else (0.0, 1.0)
    columns = getattr(model, "columns_", None)
    names = names if columns is None else columns.names
    return Points(part.x, chosen, codes, errors, part.y, names, shape, kind, shades, columns)


def kind_of(shape: tuple[int, ...], names: tuple[str, ...] | None) -> tuple[Kind, tuple[str, ...] | None]:
    """What samples of a shape are to the eye, as the house's pictures have it, and the names of a table."""
    size = math.prod(shape)
    if as_images(np.empty((0, *shape)), shape) is not None:
        return "images", None
    if names is not None or (size < LINES_FROM and (len(shape) != 2 or min(shape) < 2)):
        return "table", names or tuple(f"x{i}" for i in range(size))
    return "signals", None


def _names(model: AutoEncoder, data: Data) -> tuple[str, ...] | None:
    if data.names is not None:
        return data.names
    known = getattr(model, "feature_names_in_", None)
    return None if known is None else tuple(map(str, known))


def _shades(model: AutoEncoder, data: Data) -> tuple[float, float] | None:
    """Black and white where the model's scaling or the dtype tells; None where the rows must."""
    if model.scaling_.kind == "unit":
        return 0.0, 1.0
    if model.scaling_.kind == "pixels" or data.x.dtype == np.uint8:
        return 0.0, 255.0
    return None


def _blocks(x: Any) -> Iterator[tuple[slice, NDArray[Any]]]:
    length = min(block_length(x), MOST_ROWS)
    for start in range(0, len(x), length):
        stop = min(start + length, len(x))
        yield slice(start, stop), x[start:stop] if type(x) is np.ndarray else read(x, start, stop)


def _check(block: NDArray[Any], rows: NDArray[np.int64], *, missing: bool) -> None:
    """Name the first bad row by its number in the source: the model would count those it was given."""
    if block.dtype.kind != "f":
        return
    flat = block.reshape(len(block), -1)
    bad = np.flatnonzero((np.isinf(flat) if missing else ~np.isfinite(flat)).any(axis=1))
    if len(bad):
        check_finite(block[bad[0] : bad[0] + 1], int(rows[bad[0]]), missing=missing)
