"""The pyarrow types that cells of a column can have, and moments and stretches of time as numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

__all__ = ["moments", "range_of", "ticks_of", "times_of_text", "type_of", "whole_limits"]

_DURATION = re.compile(r"(-)?(?:(\d{1,6}) d )?(\d+):(\d\d):(\d\d)")
_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=([A-Za-z0-9_+:/-]{1,64}))?\]")
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

_NUMBERS = (
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("halffloat", "float", "double"),
)
_PLAIN = (*_NUMBERS, "bool", "string", "large_string")


def type_of(text: str) -> Any:
    """The pyarrow type of that name, among those that a column can have.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    import pyarrow as pa

    if text in _PLAIN:
        return pa.type_for_alias(text)
    found = _TIMESTAMP.fullmatch(text)
    if found:
        return pa.timestamp(found[1], found[2])
    made: dict[str, Any] = {"date32[day]": pa.date32(), "date64[ms]": pa.date64()}
    made |= {f"time32[{unit}]": pa.time32(unit) for unit in ("s", "ms")}
    made |= {f"time64[{unit}]": pa.time64(unit) for unit in ("us", "ns")}
    made |= {f"duration[{unit}]": pa.duration(unit) for unit in _PER_SECOND}
    if text not in made:
        raise ValueError(f"no column has the type {text!r}")
    return made[text]


def moments(text: str) -> dict[str, Any]:
    """A type of dates in words: what it counts, how many of it make a second, from where to where."""
    import pyarrow as pa

    own = type_of(text)
    low, high = range_of(own)
    is_day = pa.types.is_date32(own) or pa.types.is_date64(own)
    form = "day" if is_day else "time" if pa.types.is_time(own) else "moment"
    if pa.types.is_duration(own):
        form = "duration"
    zone = own.tz if pa.types.is_timestamp(own) else None
    return {"form": form, "per_second": _per_second(own), "low": low, "high": high, "zone": zone}


def whole_limits(own: Any) -> tuple[float, float]:
    """The least and the largest float that a type of whole numbers can hold."""
    limits = np.iinfo(own.to_pandas_dtype())
    high = float(limits.max)
    # The float next to the largest of 64 bits is one too large, and a cast would wrap around.
    return float(limits.min), high if int(high) <= limits.max else float(np.nextafter(high, 0))


def range_of(own: Any) -> tuple[float, float]:
    """The first and the last moment of a type of dates: of years 1 to 9999 in every zone, or of a day."""
    import pyarrow as pa

    if pa.types.is_duration(own):
        return -(2.0**62), 2.0**62
    unit = _per_second(own)
    if pa.types.is_time(own):
        return 0.0, 86_400.0 * unit - 1
    margin = pa.types.is_timestamp(own) and own.tz is not None
    low, high = (-719_162 + margin) * 86_400.0 * unit, (2_932_896 - margin) * 86_400.0 * unit
    return max(low, -(2.0**62)), min(high, 2.0**62)


def _per_second(own: Any) -> float:
    """How many of what a type of dates counts make a second."""
    import pyarrow as pa

    return {pa.date32(): 1 / 86_400, pa.date64(): 10**3}.get(own) or _PER_SECOND[own.unit]


def ticks_of(column: Any) -> Any:
    """Dates as whole numbers of their own unit."""
    import pyarrow as pa

    return column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())


def times_of_text(column: Any, own: Any) -> Any:
    """Text as moments, times of day, or whole numbers of the unit of a type of durations.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a cell is none of these.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_time(own):
        # pyarrow reads no times of day, but moments of the first day of all.
        return pc.binary_join_element_wise("1970-01-01", column, " ").cast(pa.timestamp("ns"))
    if pa.types.is_duration(own):
        return pa.chunked_array([_durations(column.to_pylist(), _PER_SECOND[own.unit])])
    try:
        return column.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # with a zone in each cell
        return column.cast(pa.timestamp("us", "UTC"))


def _durations(cells: list[str | None], per_second: int) -> Any:
    """Whole numbers, or what `codeword.data.display.plain_cell` writes: 3 d 02:10:05."""
    import pyarrow as pa

    ticks: list[int | None] = []
    for cell in cells:
        if cell is None:
            ticks.append(None)
            continue
        found = _DURATION.fullmatch(cell.strip())
        if found is None:
            ticks.append(int(pa.scalar(cell.strip()).cast(pa.int64()).as_py()))
            continue
        days, hours, minutes, seconds = (int(part or 0) for part in found.group(2, 3, 4, 5))
        size = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        ticks.append((-size if found[1] else size) * per_second)
    return pa.array(ticks, pa.int64())
