"""What a row is to the eye: an image, a curve, or a row of a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError

__all__ = ["LINES_FROM", "as_curves", "as_images", "in_shape"]

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
