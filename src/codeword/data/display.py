"""How samples are shown: as images, as curves, or as the rows of a table."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from codeword.base.errors import DataError, ParameterError

if TYPE_CHECKING:
    from codeword.data.columns import Columns

DISPLAYS = ("image", "curve", "table")

_CURVE_FROM = 20
"""Rows without names are curves from this many values on, and rows of a table below it."""

FAR = 0.7
"""Scaled units: beyond this error a number of a table is shown as off."""


@dataclass(frozen=True, eq=False)
class Display:
    """How samples of one kind are shown, by every picture, page and export.

    Parameters
    ----------
    kind : {"image", "curve", "table"}
    shape : tuple of int
        Shape of a sample.
    low, high : float
        The values that are black and white in an image, or the ends of the axis of a curve, in the units of
        x.
    names : tuple of str
        The columns of a table.
    columns : Columns or None
        Those of a mixed table, whose cells are shown: rows are of the numbers that these make of it.
    """

    kind: str
    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0
    names: tuple[str, ...] = ()
    columns: Columns | None = None

    def images(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows as images (n, h, w), or (n, h, w, 3 or 4) in color, in the units of x."""
        images = _as_images(np.reshape(rows, (len(rows), *self.shape)), self.shape)
        assert images is not None, f"samples of shape {self.shape} are no images"
        return images

    def pixels(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        """Rows as images of eight bits: values beyond the limits are cut, and what is missing is black."""
        images = self.images(np.asarray(rows))
        if images.dtype == np.uint8 and (self.low, self.high) == (0.0, 255.0):
            return np.asarray(images)
        wide = np.result_type(images.dtype, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            values = (images.astype(wide) - wide.type(self.low)) * wide.type(255 / (self.high - self.low))
        found: NDArray[np.uint8] = (
            np.nan_to_num(values, copy=False, nan=0.0).round().clip(0, 255).astype(np.uint8)
        )
        return found

    def curves(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Rows as curves (n, length, channels)."""
        curves = np.asarray(rows, dtype=np.float64).reshape(len(rows), *self.shape)
        if len(self.shape) != 2:
            return curves.reshape(len(rows), -1, 1)
        return curves if self.shape[1] < self.shape[0] else np.swapaxes(curves, 1, 2)

    def cells(self, rows: NDArray[Any]) -> list[list[Any]]:
        """Rows as lists of cells, one for each name: numbers, or a mixed table's own, fit for JSON."""
        flat = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
        if self.columns is None:
            found: list[list[Any]] = flat.tolist()
            return found
        by_column = []
        for column in self.columns.inverse_table(flat).columns:
            if getattr(column.type, "unit", "") == "ns":  # which Python's own dates do not go down to
                column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
            by_column.append([plain_cell(value) for value in column.to_pylist()])
        return [list(row) for row in zip(*by_column, strict=True)]

    def by_name(self, errors: NDArray[Any]) -> NDArray[np.float64]:
        """Differences of the values of rows, (n, d), as one for each name; 0 where a value is missing.

        The difference of a column that several numbers make is the root of their squares' sum, with the sign
        of the value.
        """
        errors = np.nan_to_num(np.asarray(errors, dtype=np.float64)).reshape(len(errors), -1)
        if self.columns is None:
            return errors
        sizes = np.zeros((len(errors), len(self.names)))
        for place, (column, own) in enumerate(zip(self.columns.columns_, self.columns.places_, strict=True)):
            sizes[:, place] = np.sqrt(np.square(errors[:, own]).sum(axis=1))
            if column.kind != "category":
                sizes[:, place] = np.copysign(sizes[:, place], errors[:, own[0]])
        return sizes

    def differs(self, x: NDArray[Any], x_hat: NDArray[Any], errors: NDArray[Any]) -> NDArray[np.bool_]:
        """Which cells of reconstructions are far off, for each name: (n, number of these).

        Numbers and dates are, where their error is more than 0.7 scaled units, other cells where they
        differ, and all of them where one of the two is missing.
        """
        off: NDArray[np.bool_] = np.abs(self.by_name(errors)) > FAR
        if self.columns is None:
            return off
        for row, (cells, again) in enumerate(zip(self.cells(x), self.cells(x_hat), strict=True)):
            for place, (one, other) in enumerate(zip(cells, again, strict=True)):
                kind = self.columns.columns_[place].kind
                if kind in ("flag", "category") or one is None or other is None:
                    off[row, place] = one != other
        return off

    def feature_name(self, place: int) -> str:
        """What the error at a place of the flat row is called; of a mixed table at a place among `names`."""
        if self.names:
            return self.names[place]
        if len(self.shape) == 1:
            return f"x{place}"
        return ",".join(str(i) for i in np.unravel_index(place, self.shape))

    def described(self) -> dict[str, Any]:
        """What the script of a page needs to draw rows that its own decoder makes; fit for JSON."""
        known: dict[str, Any] = {"kind": self.kind, "low": self.low, "high": self.high}
        # The place of each value of a drawn sample in the flat row.
        places = np.arange(math.prod(self.shape))[None]
        if self.kind == "table":
            cells = None if self.columns is None else _described(self.columns)
            return known | {"names": list(self.names), "cells": cells}
        image = self.kind == "image"
        drawn = self.images(places)[0] if image else self.curves(places)[0]
        sizes = dict(zip(("height", "width") if image else ("length",), drawn.shape, strict=False))
        drawn = drawn.reshape(*sizes.values(), -1)
        channels = drawn.shape[-1]
        planes = channels > 1 and bool(drawn.flat[1] != 1)
        return known | sizes | {"channels": channels, "planes": planes}


def display_of(
    shape: Sequence[int],
    *,
    scaling: str | None = None,
    dtype: DTypeLike | None = None,
    limits: tuple[float, float] | None = None,
    rows: NDArray[Any] | None = None,
    names: Sequence[str] | None = None,
    columns: Columns | None = None,
    kind: str | None = None,
) -> Display:
    """How samples of a shape are shown.

    Unless `kind` says what they are, samples are images where their shape is (h, w), (h, w, 1), (h, w, 3),
    (h, w, 4), (1, h, w) or (3, h, w) with sides of at least 4; else rows of a table where they have names or
    fewer than 20 values on one axis; else curves.

    Black and white of an image, the same wherever the samples of a model are shown:

    - 0 and 1 where the scaling is "unit";
    - 0 and 255 where it is "pixels" or values were fitted on as uint8;
    - else the least and the largest value that the model was fitted on (`limits`);
    - where no model is known, 0 and 255 for uint8 and values that fill that range, 0 and 1 for values in
      between; else, and for models that know no limits, the least and the largest value of `rows`.

    `scaling`, `dtype` and the `limits` of values (least, largest) are those that a model was fitted with;
    without a model, dtype is that of `rows` (m, ...), some samples. `names` are those of a table's columns,
    and `columns` those of a mixed table.

    Raises ParameterError if `kind` is none of these or samples of this shape cannot be shown so, or if there
    is another number of names than of values.
    """
    shape, size = tuple(shape), math.prod(shape)
    kind = _kind_of(kind, shape, names, columns)
    if columns is not None:
        return Display("table", shape, names=columns.names, columns=columns)
    known = None
    if rows is not None:
        finite = rows if rows.dtype.kind in "iub" else rows[np.isfinite(rows)]
        known = (float(finite.min()), float(finite.max())) if finite.size else None
        dtype = rows.dtype if dtype is None else dtype
    if kind == "image":
        low, high = _black_and_white(scaling, np.dtype(dtype), limits or known or (0.0, 1.0))
        return Display(kind, shape, low, high)
    low, high = known or limits or (0.0, 1.0)
    if kind == "curve":
        margin = 0.05 * (high - low) or 1.0
        return Display(kind, shape, low - margin, high + margin)
    if names is not None and len(names) != size:
        raise ParameterError(f"names must hold one for each of {size} columns. Got {len(names)} instead.")
    given = [f"x{i}" for i in range(size)] if names is None else map(str, names)
    return Display(kind, shape, low, high, tuple(given))


def _kind_of(
    kind: str | None, shape: tuple[int, ...], names: Sequence[str] | None, columns: Columns | None
) -> str:
    """What samples are: `kind`, if it can be, else what the shape and the names say."""
    must = "The 'display' parameter of display_of must be"
    if columns is not None:
        if kind not in (None, "table"):
            raise ParameterError(f"{must} 'table' for a mixed table. Got {kind!r} instead.")
        return "table"
    image = _as_images(np.empty((0, *shape)), shape) is not None
    if kind is None:
        if image:
            return "image"
        several = len(shape) == 2 and min(shape) > 1
        return "table" if names is not None or (math.prod(shape) < _CURVE_FROM and not several) else "curve"
    if kind not in DISPLAYS:
        raise ParameterError(f"{must} one of {', '.join(DISPLAYS)}. Got {kind!r} instead.")
    if kind == "image" and not image:
        raise ParameterError(
            f"{must} 'curve' or 'table' for samples of the shape {shape}. Got 'image' instead: give rows "
            "in the shape (height, width) or (height, width, channels), with sides of at least 4."
        )
    return kind


def _black_and_white(
    scaling: str | None, dtype: np.dtype[Any], limits: tuple[float, float]
) -> tuple[float, float]:
    if scaling == "unit" or dtype == np.bool_:
        return 0.0, 1.0
    if scaling == "pixels" or dtype == np.uint8:
        return 0.0, 255.0
    low, high = limits
    if scaling is None and low >= 0 and (high <= 1 or 127 < high <= 255):
        return 0.0, 1.0 if high <= 1 else 255.0
    return low, high if high > low else low + 1.0


# -- rows in the shape of what they show --------------------------------------------------------------------


def in_shape(rows: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    """Return rows as (n, *shape), or raise DataError where they are none, or of another size."""
    if rows.ndim < 2 or rows.size == 0 or rows.size != len(rows) * math.prod(shape):
        raise DataError(
            f"{name} must have at least one sample, each of the shape {shape} or flat. "
            f"Got the shape {rows.shape} instead."
        )
    return rows.reshape(len(rows), *shape)


def _as_images(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return rows as grayscale (n, h, w) or color (n, h, w, 3 or 4), or None where they are no images."""
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


# -- cells of a mixed table ---------------------------------------------------------------------------------


def plain_cell(value: Any) -> bool | int | float | str | None:
    """A cell as JSON has it: moments as text to the minute, in UTC."""
    if isinstance(value, dt.datetime):
        return (value + dt.timedelta(seconds=30)).replace(tzinfo=None).isoformat(" ", "minutes")[:16]
    return value if isinstance(value, bool | int | float | None) else str(value)


def _described(columns: Columns) -> list[dict[str, Any]]:
    """What a page needs to make cells of a row of numbers, for each column; fit for JSON."""
    found = []
    for column, own in zip(columns.columns_, columns.places_, strict=True):
        known: dict[str, Any] = {"kind": column.kind, "places": own, "gap": None}
        if column.kind == "category":
            words = [plain_cell(cell) for cell in column.cells(np.arange(len(own))).to_pylist()]
            known |= {"words": words, "missing": len(column.values) if column.missing else None}
        else:
            known |= {"at": own[0], "gap": own[1] if column.missing else None}
        if column.kind in ("number", "date"):
            known |= {"mean": float(columns.mean_[own[0]]), "scale": float(columns.scale_[own[0]])}
        if column.kind == "number":
            known["whole"] = None if column.limits is None else list(column.limits)
        elif column.kind == "date" and column.limits is not None:
            form = "day" if column.type.startswith("date") else "moment"
            known |= {"form": form, "per_second": column.per_second}
            known |= dict(zip(("low", "high"), column.limits, strict=True))
        found.append(known)
    return found
