"""The cells of one column of a table: what they are, and what they are as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "NUMBER",
    "decoded",
    "dtype_of",
    "first",
    "is_list",
    "is_number",
    "is_text",
    "is_time",
    "nearly_numbers",
    "parsed",
    "without_blanks",
]

NUMBER = r"(?i)^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$|^\s*[+-]?(inf|infinity)\s*$"
_FLOAT32_INTEGERS = 1 << 24  # up to here float32 holds every integer


def decoded(column: Any) -> Any:
    """Return the column as plain cells: words of a dictionary, floats for decimals, text for bytes."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return decoded(column.cast(kind.value_type))
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        text = [None if cell is None else cell.decode("utf-8", "replace") for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(text, pa.string())])
    return column


def is_list(kind: Any) -> bool:
    """Whether the cells are lists."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number(kind: Any) -> bool:
    """Whether the cells are numbers or booleans, or there are none."""
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind)
    )


def is_text(kind: Any) -> bool:
    """Whether the cells are text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_time(kind: Any) -> bool:
    """Whether the cells are dates, times or stretches of time."""
    import pyarrow as pa

    return bool(pa.types.is_temporal(kind))


def first(mask: Any) -> int:
    """Return the first place where a boolean column is true."""
    import pyarrow.compute as pc

    return int(pc.index(mask, True).as_py())


def without_blanks(column: Any) -> Any:
    """Return a column of text without space around the cells; those that stand for nothing are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv

    column = pc.utf8_trim_whitespace(column.cast(pa.string()))
    empty = pc.is_in(column, value_set=pa.array(arrow_csv.ConvertOptions().null_values))
    return pc.if_else(empty, None, column)


def nearly_numbers(column: Any) -> bool:
    """Whether half of the cells of a column of text, or more, are numbers."""
    import pyarrow.compute as pc

    numbers = pc.sum(pc.match_substring_regex(column, NUMBER)).as_py() or 0
    return bool(2 * numbers >= max(1, len(column) - column.null_count))


def parsed(column: Any) -> tuple[Any, int]:
    """Return a column of text as numbers, or None and the first row that is neither a number nor empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = without_blanks(column)
    if column.null_count < len(column):
        lower = pc.utf8_lower(column)
        if pc.all(pc.is_in(lower, value_set=pa.array(["true", "false", None]))).as_py():
            return pc.equal(lower, "true"), -1
    word = pc.fill_null(pc.invert(pc.match_substring_regex(column, NUMBER)), False)
    if pc.any(word).as_py():
        return None, first(word)
    return pc.replace_substring_regex(column, r"^\+", "").cast(pa.float64()), -1


def dtype_of(column: Any) -> np.dtype[Any]:
    """Return uint8, or the smaller of float32 and float64 that holds the column's values for certain."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_uint8(kind):
        return np.dtype(np.uint8)
    if (
        pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
        or kind.bit_width <= 16
        or pa.types.is_float32(kind)
    ):
        return np.dtype(np.float32)
    if pa.types.is_integer(kind):
        limits = pc.min_max(column).as_py()
        if limits["min"] >= -_FLOAT32_INTEGERS and limits["max"] <= _FLOAT32_INTEGERS:
            return np.dtype(np.float32)
    return np.dtype(np.float64)
