"""What a row is to the eye: an image, a curve, or a row of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.errors import DataError
from codeword.plots.style import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LINES_FROM", "as_curves", "as_images", "column_names", "in_shape", "value_axis"]

LINES_FROM = 20
"""Rows of fewer values are those of a table; from here on they are curves."""


def in_shape(rows: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return rows as (n, *shape), or raise DataError where they are none, or of another size."""
    if rows.ndim < 2 or rows.size == 0 or rows.size != len(rows) * math.prod(shape):
        raise DataError(
            f"{name} must have at least one sample, each of the shape {shape} or flat. "
            f"Got the shape {rows.shape} instead."
        )
    return rows.reshape(len(rows), *shape)


def as_images(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return rows as greyscale (n, h, w) or colour (n, h, w, 3 or 4), or None where they are no images."""
    match shape:
        case (h, w) if min(h, w) >= 4:
            return rows
        case (h, w, 1) if min(h, w) >= 4:
            return rows[..., 0]
        case (h, w, 3 | 4) if min(h, w) >= 4:
            return rows
        case (1, h, w) if min(h, w) >= 4:
            return rows[:, 0]
        case (3, h, w) if min(h, w) >= 4:
            return np.moveaxis(rows, 1, -1)
    return None


def as_curves(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return rows as (n, length, channels)."""
    curves = rows.astype(np.float64)
    match shape:
        case (length, channels) if channels < length:
            return curves
        case (_, _):
            return np.swapaxes(curves, 1, 2)
    return curves.reshape(len(rows), -1, 1)


def value_axis(axes: Axes, values: NDArray[np.float64]) -> None:
    """Put columns of unlike sizes on a logarithm, or the largest would press the others into one spot."""
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator

    sizes = np.abs(values).max(axis=0)
    sizes = sizes[sizes > 0]
    if len(sizes) == 0 or sizes.max() <= 50 * sizes.min():
        axes.xaxis.set_major_locator(MaxNLocator(4))
    elif values.min() > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
    else:
        power = math.floor(math.log10(float(sizes.max())))
        axes.set_xscale("symlog", linthresh=10.0 ** math.floor(math.log10(float(sizes.min()))))
        axes.xaxis.set_major_locator(FixedLocator([-(10.0**power), 0.0, 10.0**power]))
    axes.minorticks_off()


def column_names(names: Sequence[str] | None, columns: int) -> list[str]:
    """Return the names of a table's columns as they are shown, made up where there are none."""
    return [short(n) for n in names] if names is not None else [f"column {i + 1}" for i in range(columns)]
