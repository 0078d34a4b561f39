"""What is judged, and how its rows are read: in chunks, or some of them drawn at random."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError, ParameterError
from codeword.data import Data
from codeword.model.fitted import FittedModel, as_codec

__all__ = [
    "CHUNK_BYTES",
    "CHUNK_ROWS",
    "Codec",
    "Floats",
    "Rows",
    "Scale",
    "as_numbers",
    "as_rows",
    "check_finite",
    "chosen_baseline",
    "chunks",
    "draw",
    "flat",
    "nameless",
    "scale_of",
    "take",
    "taken",
]

# Of one chunk of x as float64; the pass holds some five arrays of that size, whatever the length of x.
CHUNK_BYTES = 32 * 2**20
CHUNK_ROWS = 4096

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Scale = Callable[[Any], Floats]


class Codec(Protocol):
    """Anything that makes codes of rows, and rows of codes."""

    def transform(self, x: Any, /) -> Any:
        """Return the codes of the rows of `x`."""

    def inverse_transform(self, z: Any, /) -> Any:
        """Return the rows that codes stand for, in the units of x."""


# -- models -------------------------------------------------------------------------------------------------


def chosen_baseline(model: Codec, baseline: Codec | str | None) -> Codec | None:
    """Return the baseline that is meant, once it and the model are known to be codecs.

    Raises
    ------
    ParameterError
        If `model` or `baseline` cannot transform and inverse_transform.
    """
    _require_codec(model, "model")
    if baseline is None:
        return None
    if isinstance(baseline, str):
        if baseline != "auto":
            raise ParameterError(
                "The 'baseline' parameter of evaluate must be 'auto', None, or an object with transform and "
                f"inverse_transform. Got {baseline!r} instead."
            )
        return getattr(model, "baseline_", None)
    _require_codec(baseline, "baseline")
    return baseline


def _require_codec(codec: object, name: str) -> None:
    missing = [m for m in ("transform", "inverse_transform") if not callable(getattr(codec, m, None))]
    if missing:
        raise ParameterError(
            f"The '{name}' parameter of evaluate must have the methods transform and inverse_transform. Got "
            f"{type(codec).__name__}, which has no {' and no '.join(missing)}."
        )


def as_numbers(model: Any, x: Any) -> tuple[Any, Any]:
    """Return a model and rows as they are or, of a mixed table's model, as ones of numbers alone."""
    columns = getattr(model, "columns_", None)
    if columns is None:
        return model, x
    table = hasattr(x, "iloc") or hasattr(x, "schema")
    return as_codec(model), columns.transform(x) if table else x


def nameless(model: Any, x: Any) -> Any:
    """A model that was fitted on columns with names, for the plain rows of a Data with the same names.

    Raises
    ------
    DataError
        If the names differ.
    """
    if not isinstance(x, Data) or x.names is None or not hasattr(model, "feature_names_in_"):
        return model
    model.transform(x[:1])  # which compares them
    return as_codec(model)


def scale_of(model: object) -> Scale:
    """Return what brings rows, ndarray or tensor, to flat float64 in the units errors are taken in."""
    codec = as_codec(model)
    scaling = codec.scaling if isinstance(codec, FittedModel) else getattr(model, "scaling_", None)
    if scaling is None:
        return flat

    def scale(rows: Any) -> Floats:
        # A tensor stays one and a table becomes an array: the two things a scaling takes.
        return flat(scaling.forward(rows if hasattr(rows, "detach") else np.asarray(rows)))

    return scale


def flat(rows: Any) -> Floats:
    """Return rows or codes, ndarray, tensor or table, as float64 of shape (n, d)."""
    if hasattr(rows, "detach"):
        rows = rows.detach().cpu()
    values = np.asarray(rows, dtype=np.float64)
    return values.reshape(len(values), -1)


# -- rows ---------------------------------------------------------------------------------------------------


def as_rows(x: Any, what: str = "x") -> Any:
    """Return `x` as something with a shape that can be sliced.

    Raises
    ------
    DataError
        If it has no rows or no features.
    """
    if isinstance(x, list | tuple):
        x = np.asarray(x)
    shape: tuple[int, ...] = tuple(getattr(x, "shape", ()))
    if len(shape) < 2 or 0 in shape:
        raise DataError(
            f"{what} must have rows and features, at least one of each. Got the shape {shape} instead."
        )
    return x


def chunks(x: Any) -> Iterator[tuple[int, Any]]:
    """Give `x` in slices of at most CHUNK_ROWS rows and about CHUNK_BYTES, after each's first row number."""
    size = _chunk_length(x)
    rows = getattr(x, "iloc", x)
    for start in range(0, x.shape[0], size):
        yield start, rows[start : start + size]


def take(x: Any, rows: Rows) -> Any:
    """Return the given rows of `x`, in the kind of thing that x is."""
    return getattr(x, "iloc", x)[rows]


def taken(x: Any, rows: Rows) -> Iterator[Any]:
    """Give the rows of `x` with the given numbers, in chunks of the same size."""
    size = _chunk_length(x)
    for start in range(0, len(rows), size):
        yield take(x, rows[start : start + size])


def _chunk_length(x: Any) -> int:
    row_bytes: int = 8 * math.prod(x.shape[1:])
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES // row_bytes))


def draw(n: int, most: int, seed: int) -> Rows:
    """Return at most `most` of the numbers below `n`, in order; the same seed gives the same ones."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def check_finite(rows: Floats, what: str, start: int) -> None:
    """Raise a DataError that names the first value of `rows` that is not finite; they begin at `start`."""
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise DataError(f"{what} is not finite: row {start + row}, feature {column} is {rows[row, column]}.")
