"""Samples as a page is given them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.data.display import Display

__all__ = ["MOST_COLUMNS", "encoded", "packed"]

TILE = 64
"""Pixels of a picture's longer side; larger ones are made smaller."""

TILES_ACROSS = 64
SMALL_SHEET = 1 << 22
"""Bytes of pictures that are quick to press harder."""

MOST_SAMPLES = 128
"""Of a curve: a longer one is averaged to so many."""

MOST_CHANNELS = 4
MOST_COLUMNS = 8
"""Of a row of a table: those with the largest residuals."""


def encoded(values: NDArray[Any], kind: str) -> str:
    """Numbers as little-endian bytes of that type, in base64."""
    return base64.b64encode(np.asarray(values).astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def packed(
    view: Display, x: NDArray[Any], x_hat: NDArray[Any] | None = None, off: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Samples, and what the model makes of them, as the page draws them; fit for JSON.

    Parameters
    ----------
    view : Display
    x, x_hat : ndarray of shape (n, *shape)
        In the units of x.
    off : ndarray of shape (n, d), optional
        For a table: residuals in scaled units, of which the largest are kept; else the first columns are.
    """
    n = len(x)
    if view.kind == "image":
        both = view.pixels(x if x_hat is None else np.concatenate([x, x_hat]))
        return {"n": n, "pair": x_hat is not None, **_sprite(both)}
    if view.kind == "curve":
        curves = view.curves(x if x_hat is None else np.concatenate([x, x_hat]))
        curves = _shorter(curves[..., :MOST_CHANNELS])
        return {
            "n": n,
            "pair": x_hat is not None,
            "length": curves.shape[1],
            "channels": curves.shape[2],
            "values": encoded(curves, "f4"),
        }
    count = min(MOST_COLUMNS, len(view.names))
    off = np.zeros((n, len(view.names))) if off is None else view.by_name(off)
    columns = np.argsort(-np.abs(off), axis=1, kind="stable")[:, :count]
    rows = view.cells(x) + view.cells(x if x_hat is None else x_hat)
    chosen = [[row[i] for i in places] for row, places in zip(rows, [*columns, *columns], strict=True)]
    return {
        "n": n,
        "pair": x_hat is not None,
        "count": count,
        "columns": encoded(columns, "i4"),
        "off": encoded(np.take_along_axis(off, columns, axis=1), "f4"),
        **_listed(chosen, numbers=view.columns is None),
    }


def _listed(cells: list[list[Any]], *, numbers: bool) -> dict[str, Any]:
    """Cells for JSON: numbers as bytes, and of a mixed table the place of each in a list of all there are."""
    if numbers:
        return {"values": encoded(np.array(cells), "f4")}
    places: dict[Any, int] = {}
    # True is 1 to a dictionary: the type is part of the key.
    keys = [(type(cell), cell) for row in cells for cell in row]
    chosen = [places.setdefault(key, len(places)) for key in keys]
    shown = [float(f"{cell:.6g}") if kind is float else cell for kind, cell in places]
    return {"words": shown, "cells": encoded(np.array(chosen), "i4")}


def _shorter(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Curves (n, length, channels) averaged to at most MOST_SAMPLES values."""
    length = curves.shape[1]
    if length <= MOST_SAMPLES:
        return curves
    edges = np.linspace(0, length, MOST_SAMPLES + 1).astype(int)
    sums = np.add.reduceat(curves, edges[:-1], axis=1)
    return sums / np.diff(edges)[None, :, None]


def _sprite(images: NDArray[np.uint8]) -> dict[str, Any]:
    """All images in one PNG, side by side and row below row."""
    from PIL import Image

    mode = "L" if images.ndim == 3 else {3: "RGB", 4: "RGBA"}[images.shape[3]]
    n, height, width = images.shape[:3]
    if max(height, width) > TILE:
        share = TILE / max(height, width)
        size = (max(1, round(width * share)), max(1, round(height * share)))
        small = [Image.fromarray(one, mode).resize(size, Image.Resampling.BOX) for one in images]
        images = np.stack([np.asarray(one) for one in small])
        height, width = images.shape[1:3]
    across = min(n, TILES_ACROSS)
    down = -(-n // across)
    sheet = np.zeros((down * across, *images.shape[1:]), np.uint8)
    sheet[:n] = images
    rest = images.shape[3:]
    sheet = sheet.reshape(down, across, height, width, *rest).swapaxes(1, 2)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(sheet.reshape(down * height, across * width, *rest)), mode).save(
        file, "png", optimize=sheet.size < SMALL_SHEET
    )
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return {"width": width, "height": height, "across": across, "sprite": source}
