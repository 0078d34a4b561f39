"""Rows of numbers as the cells of the mixed table they stand for, here and in a page."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.data.column import Column
from codeword.data.columns import Columns
from codeword.data.types import moments, type_of, whole_limits

__all__ = ["by_column", "cells_of", "described", "plain"]


def plain(value: Any) -> bool | int | float | str | None:
    """A cell as JSON has it: moments as text to the minute, times of day and durations to the second."""
    if isinstance(value, dt.datetime):
        return (value + dt.timedelta(seconds=30)).replace(tzinfo=None).isoformat(" ", "minutes")[:16]
    if isinstance(value, dt.timedelta):
        seconds = round(value.total_seconds())
        days, rest = divmod(abs(seconds), 86_400)
        clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
        return "-" * (seconds < 0) + (f"{days} d {clock}" if days else clock)
    if isinstance(value, dt.time):
        return value.isoformat("seconds")
    return value if isinstance(value, bool | int | float | None) else str(value)


def cells_of(columns: Columns, rows: NDArray[Any]) -> list[list[Any]]:
    """Rows of numbers (n, d), or of probabilities, as lists of cells, one for each of the table's columns."""
    import pyarrow as pa

    def listed(column: Any) -> list[Any]:
        if getattr(column.type, "unit", "") == "ns":  # which Python's own dates do not go down to
            kind = type_of(str(column.type).replace("[ns", "[us"))
            column = column.cast(kind, safe=False)
        return [plain(value) for value in column.to_pylist()]

    table: pa.Table = columns.inverse_table(rows)
    return [list(row) for row in zip(*map(listed, table.columns), strict=True)]


def by_column(columns: Columns, off: NDArray[Any]) -> NDArray[np.float64]:
    """Differences of the numbers of rows, (n, d), as one of each column: (n, number of these).

    Of a column that several numbers make it is the root of their squares' sum, with the sign of the value.
    """
    off = np.asarray(off, dtype=np.float64)
    sizes: NDArray[np.float64] = np.sqrt(columns.by_column(np.square(off)))
    for place, (column, own) in enumerate(zip(columns.columns_, _places(columns), strict=True)):
        if column.kind != "category":
            sizes[:, place] = np.copysign(sizes[:, place], off[:, _value(column, own)])
    return sizes


def _places(columns: Columns) -> list[list[int]]:
    """Of each column, which numbers of a row it makes."""
    owners = np.array(columns.layout.owners)
    return [np.flatnonzero(owners == place).tolist() for place in range(len(columns.columns_))]


def _value(column: Column, own: list[int]) -> int:
    """Which of a column's numbers is its value; signs of missing cells lie after numbers, before booleans."""
    return own[-1] if column.kind == "flag" else own[0]


def described(columns: Columns) -> list[dict[str, Any]]:
    """What a page needs to make cells of a row of numbers, for each column; fit for JSON."""
    scaler = columns.transformer_.named_transformers_.get("numbers")
    found = []
    for column, own in zip(columns.columns_, _places(columns), strict=True):
        known: dict[str, Any] = {"kind": column.kind, "places": own, "gap": None}
        if column.kind == "category":
            known |= _words(column)
        else:
            at = _value(column, own)
            known |= {"at": at, "gap": next((i for i in own if i != at), None)}
        if column.kind in ("number", "date"):
            known |= {"mean": float(scaler.mean_[at]), "scale": float(scaler.scale_[at])}
            known |= _limits(column) if column.kind == "number" else moments(column.type)
        found.append(known)
    return found


def _words(column: Column) -> dict[str, Any]:
    """The cell that each category stands for, and which of them stands for missing ones."""
    group = column.group
    cells = column.cells(np.array(group, dtype=object)).to_pylist()
    missing = len(column.values) if column.missing else None
    return {"words": [plain(cell) for cell in cells], "missing": missing}


def _limits(column: Column) -> dict[str, Any]:
    """Of whole numbers."""
    import pyarrow as pa

    own = type_of(column.type)
    return {"whole": list(whole_limits(own)) if pa.types.is_integer(own) else None}
