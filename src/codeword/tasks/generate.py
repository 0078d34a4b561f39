"""New codes: drawn, on the way between two, or with one number changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codeword.base.errors import DataError, ParameterError
from codeword.model.fitted import Codec, as_codec
from codeword.tasks.evaluate import scale_by, scaling_of


def interpolate(model: Codec, a: Any, b: Any, steps: int = 8) -> NDArray[Any]:
    """Decode the straight way from the code of one sample to that of another.

    Parameters
    ----------
    model : object with `transform` and `inverse_transform`
    a, b : array-like of shape (n, ...)
        Where to start and where to end, as many rows each.
    steps : int, default=8
        Points on each way, both ends included: at least 2.

    Returns
    -------
    ndarray of shape (n, steps, ...)
        In the units of x; of a mixed table, the rows of numbers that its `columns_` make of it. The first and
        the last of each are the reconstructions of a and b.

    Raises
    ------
    ParameterError
        If `steps` is below 2.
    DataError
        If `a` and `b` have not as many rows each.
    """
    if steps < 2:
        raise ParameterError(f"The 'steps' parameter of interpolate must be at least 2. Got {steps} instead.")
    model = as_codec(model)
    start, end = np.asarray(model.transform(a)), np.asarray(model.transform(b))
    if len(start) != len(end):
        raise DataError(f"a and b must have as many rows each. Got {len(start)} and {len(end)} instead.")
    share = np.linspace(0, 1, steps, dtype=start.dtype)[None, :, None]
    way = start[:, None] * (1 - share) + end[:, None] * share
    rows = np.asarray(model.inverse_transform(way.reshape(-1, way.shape[-1])))
    return rows.reshape(*way.shape[:2], *rows.shape[1:])


@dataclass(frozen=True)
class Traversal:
    """What each number of a code does: `dimensions` (k,), the one that changes a reconstruction most first.

    In the same order, `effects` (k,) are mean squared changes of the decoded row over the steps, in scaled
    units where the model has a `scaling_` and otherwise in those of x; `values` (k, steps) are what each
    number was set to, and `rows` (k, steps, ...) the decoded rows, in the units of x.
    """

    dimensions: NDArray[np.intp]
    effects: NDArray[np.float64]
    values: NDArray[np.float32]
    rows: NDArray[Any]


def traverse(model: Codec, codes: ArrayLike, *, start: ArrayLike | None = None, steps: int = 7) -> Traversal:
    """Change one number of a code at a time, and decode.

    Parameters
    ----------
    model : object with `inverse_transform`
    codes : array-like of shape (m, k)
        Codes of real rows: each number runs from its 2nd to its 98th percentile among them.
    start : array-like of shape (k,), optional
        The code that is changed; by default that of `codes` which is nearest to their mean: the mean itself
        need not lie where any code does.
    steps : int, default=7
        At least 2.

    Returns
    -------
    Traversal
        Dimensions sorted by effect.

    Raises
    ------
    ParameterError
        If `steps` is below 2.
    DataError
        If `start` has not as many numbers as a code.
    """
    if steps < 2:
        raise ParameterError(f"The 'steps' parameter of traverse must be at least 2. Got {steps} instead.")
    model = as_codec(model)
    known = np.asarray(codes, dtype=np.float32)
    k = known.shape[1]
    if start is None:
        start = known[np.square(known - known.mean(axis=0)).sum(axis=1).argmin()]
    center = np.asarray(start, dtype=np.float32).reshape(-1)
    if center.shape != (k,):
        raise DataError(f"start must be one code of {k} numbers. Got {center.size} instead.")
    low, high = np.percentile(known, [2, 98], axis=0)
    values = np.linspace(low, high, steps, axis=1).astype(np.float32)
    changed = np.broadcast_to(center, (k, steps, k)).copy()
    changed[np.arange(k), :, np.arange(k)] = values
    rows = np.asarray(model.inverse_transform(np.concatenate([changed.reshape(-1, k), center[None]])))
    scaled = scale_by(scaling_of(model))(rows)
    effects = np.square(scaled[:-1] - scaled[-1]).mean(axis=1).reshape(k, steps).mean(axis=1)
    order = np.argsort(-effects, kind="stable")
    shaped = rows[:-1].reshape(k, steps, *rows.shape[1:])
    return Traversal(order, effects[order], values[order], shaped[order])
