"""What a sample is to the eye, and samples as a page is given them."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.data.display import LINES_FROM, as_curves, as_images
from codeword.data.table_cells import by_column, cells_of, described

if TYPE_CHECKING:
    from codeword.data.columns import Columns

__all__ = ["MOST_COLUMNS", "View", "encoded", "packed", "view_of"]

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


@dataclass(frozen=True, eq=False)
class View:
    """How samples are shown.

    Parameters
    ----------
    kind : {"image", "curve", "table"}
    shape : tuple of int
        Of a sample.
    low, high : float
        The values that are black and white, or the ends of a curve's axis, in the units of x.
    names : tuple of str
        The columns of a table.
    columns : Columns or None
        Of a mixed table, whose cells are shown: rows are of the numbers that these make of it.
    """

    kind: str
    shape: tuple[int, ...]
    low: float
    high: float
    names: tuple[str, ...] = ()
    columns: Columns | None = None

    def described(self) -> dict[str, Any]:
        """What the page needs to draw what its own decoder makes; fit for JSON."""
        known: dict[str, Any] = {"kind": self.kind, "low": self.low, "high": self.high}
        # The place of each value of a drawn sample in the flat row.
        places = np.arange(math.prod(self.shape)).reshape(1, *self.shape)
        if self.kind == "image":
            image = as_images(places, self.shape)
            assert image is not None
            height, width = image.shape[1:3]
            channels = 1 if image.ndim == 3 else image.shape[3]
            known |= {"height": height, "width": width, "channels": channels, "planes": _is_planar(image)}
        elif self.kind == "curve":
            curve = as_curves(places, self.shape)
            known |= {
                "length": curve.shape[1],
                "channels": curve.shape[2],
                "planes": curve.shape[2] > 1 and bool(curve[0, 0, 1] != 1),
            }
        else:
            known["names"] = list(self.names)
            known["cells"] = None if self.columns is None else described(self.columns)
        return known

    def cells(self, rows: NDArray[Any]) -> list[list[Any]]:
        """Rows of a table as lists of cells: one for each name."""
        flat = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
        found: list[list[Any]] = flat.tolist() if self.columns is None else cells_of(self.columns, flat)
        return found

    def by_name(self, off: NDArray[Any]) -> NDArray[np.float64]:
        """Differences of the values of a table's rows, (n, d), for each name: (n, number of these)."""
        off = np.nan_to_num(np.asarray(off, dtype=np.float64))
        return off if self.columns is None else by_column(self.columns, off)

    def pixels(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        """Images (n, h, w) or (n, h, w, c), uint8, of rows in the units of x."""
        images = as_images(np.asarray(rows, dtype=np.float64), self.shape)
        assert images is not None
        gray = (np.nan_to_num(images) - self.low) / (self.high - self.low) * 255
        shown: NDArray[np.uint8] = np.rint(gray).clip(0, 255).astype(np.uint8)
        return shown


def _is_planar(image: NDArray[Any]) -> bool:
    """Whether the channels of an image lie one after the other in the flat row."""
    return image.ndim == 4 and image.shape[3] > 1 and bool(image[0, 0, 0, 1] != 1)


def view_of(
    shape: tuple[int, ...],
    kind: str,
    rows: NDArray[Any],
    names: Sequence[str] | None,
    columns: Columns | None = None,
) -> View:
    """How samples of that shape are shown.

    Parameters
    ----------
    shape : tuple of int
    kind : str
        Of the scaling: values that are known to lie in [0, 255] or [0, 1] are shown in that range.
    rows : ndarray of shape (m, *shape)
        Some of them, to take the range from.
    names : sequence of str or None
        The columns' names, where samples are rows of a table.
    columns : Columns, optional
        That make the rows, of a mixed table.
    """
    if columns is not None:
        return View("table", shape, 0.0, 1.0, columns.names, columns)
    known = rows[np.isfinite(rows)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if as_images(rows[:1], shape) is not None:
        if kind in ("pixels", "unit"):
            low, high = 0.0, 255.0 if kind == "pixels" else 1.0
        return View("image", shape, low, high if high > low else low + 1)
    d = math.prod(shape)
    if names is None and (len(shape) > 1 or d >= LINES_FROM):
        margin = 0.05 * (high - low) or 1.0
        return View("curve", shape, low - margin, high + margin)
    given = [f"column {i + 1}" for i in range(d)] if names is None else [str(name) for name in names]
    return View("table", shape, low, high, tuple(given))


def encoded(values: NDArray[Any], kind: str) -> str:
    """Numbers as little-endian bytes of that type, in base64."""
    return base64.b64encode(np.asarray(values).astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def packed(
    view: View, x: NDArray[Any], x_hat: NDArray[Any] | None = None, off: NDArray[Any] | None = None
) -> dict[str, Any]:
    """Samples, and what the model makes of them, as the page draws them; fit for JSON.

    Parameters
    ----------
    view : View
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
        curves = as_curves(x if x_hat is None else np.concatenate([x, x_hat]), view.shape)
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
