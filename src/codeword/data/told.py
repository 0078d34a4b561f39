"""What columns.json tells of columns, checked: nothing is made of it before it is known to fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from codeword.data.column import KINDS, Column
from codeword.data.types import type_of

__all__ = ["Told", "check_told"]

KEYS = {"format", "scikit-learn", "kinds", "columns", "left_out", "means", "scaler"}
SCALER = ("mean", "variance", "scale")
TYPES = {
    "name": str,
    "kind": str,
    "type": str,
    "missing": bool,
    "values": list,
    "other": bool,
    "encoded": str,
}


@dataclass(frozen=True)
class Told:
    """What was told: of the scaler mean, variance, scale, and the rows that each column was fitted on."""

    kinds: dict[str, str]
    columns: tuple[Column, ...]
    left_out: dict[str, str]
    means: tuple[float, ...]
    scaler: tuple[Any, ...] | None


def check_told(state: dict[str, Any]) -> Told:
    """Take columns.json apart.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError, OverflowError
        If a part is missing or unknown, or has a value that it cannot have.
    """
    state = {"kinds": {}} | state  # which the first folders do not tell of
    if set(state) != KEYS:
        raise ValueError(f"unknown or missing: {sorted(set(state) ^ KEYS)}")
    kinds = {str(name): str(kind) for name, kind in state["kinds"].items()}
    columns = tuple(_column(each) for each in state["columns"])
    names = [column.name for column in columns]
    if not columns or len(set(names)) < len(names):
        raise ValueError("no columns, or two of one name")
    left_out = {str(name): str(reason) for name, reason in state["left_out"].items()}
    means = tuple(_figures(state["means"], len(state["means"])))
    numbers = sum(column.kind in ("number", "date") for column in columns)
    return Told(kinds, columns, left_out, means, _scaler(state["scaler"], numbers))


def _column(told: dict[str, Any]) -> Column:
    if set(told) != {field.name for field in fields(Column)}:
        raise ValueError(f"of a column: {sorted(told)}")
    for key, kind in TYPES.items():
        if type(told[key]) is not kind:
            raise TypeError(f"{key!r} of a column is {told[key]!r}")
    column = Column(**{**told, "values": tuple(told["values"])})
    words = column.values
    if not all(type(word) is str for word in words) or len(set(words)) < len(words):
        raise ValueError(f"the categories of {column.name!r}")
    if (column.kind == "category") != bool(words) or (column.kind != "category" and column.other):
        raise ValueError(f"the categories of {column.name!r}")
    if column.kind not in KINDS or column.encoded not in ("", "plain", "ordered"):
        raise ValueError(f"the kind of {column.name!r}")
    _check_type(column)
    return column


def _check_type(column: Column) -> None:
    """Raise a ValueError if the type of cells does not go with the kind."""
    import pyarrow as pa

    own = type_of(column.type)
    fits = {
        "number": pa.types.is_integer(own) or pa.types.is_floating(own),
        "date": pa.types.is_temporal(own),
        "flag": pa.types.is_boolean(own),
        "category": not pa.types.is_temporal(own),
    }
    if not fits[column.kind] or (column.encoded and column.kind != "category"):
        raise ValueError(f"the type of {column.name!r}")
    # That its categories can be cells, and that its zone is known, shows at once.
    values = [*column.values, None] if column.kind == "category" else [0.0, math.nan]
    column.cells(np.array(values, dtype=object if column.kind == "category" else np.float64)).to_pylist()


def _scaler(told: Any, numbers: int) -> tuple[Any, ...] | None:
    if (told is None) != (numbers == 0):
        raise ValueError("a scaler without numbers, or numbers without one")
    if told is None:
        return None
    if set(told) != {*SCALER, "rows"}:
        raise ValueError(f"of the scaler: {sorted(told)}")
    mean, variance, scale = (_figures(told[name], numbers) for name in SCALER)
    if min(scale) <= 0 or min(variance) < 0:
        raise ValueError("a scale or a variance below 0")
    rows = told["rows"]
    several = [int(n) for n in _figures(rows, numbers)] if isinstance(rows, list) else int(rows)
    return mean, variance, scale, several


def _figures(told: Any, length: int) -> list[float]:
    if not isinstance(told, list) or not all(type(value) in (int, float) for value in told):
        raise TypeError("figures that are none")
    values = [float(value) for value in told]
    if len(values) != length or not all(map(math.isfinite, values)):
        raise ValueError("figures that are not finite, or too few or many of them")
    return values
