"""How much of the data the codes keep, beside what PCA keeps with as many numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codeword.errors import DataError, ParameterError

__all__ = ["evaluate"]

# Of one chunk of x as float64; the pass holds some five arrays of that size, whatever the length of x.
CHUNK_BYTES = 32 * 2**20
CHUNK_ROWS = 4096

Scale = Callable[[Any], NDArray[np.float64]]


class Codec(Protocol):
    """Anything that makes codes of rows, and rows of codes."""

    def transform(self, x: Any, /) -> Any:
        """Return the codes of the rows of `x`."""

    def inverse_transform(self, z: Any, /) -> Any:
        """Return the rows that codes stand for, in the units of x."""


def evaluate(model: Codec, x: Any, *, baseline: Codec | str | None = "auto") -> dict[str, Any]:
    """Judge a model's reconstructions of `x`, and PCA's beside them through the same code.

    Parameters
    ----------
    model : object with `transform` and `inverse_transform`
        An `AutoEncoder`, scikit-learn's PCA, a pipeline. Where it has a `scaling_`, errors are taken in
        scaled units; otherwise in the units of `x`.
    x : array-like of shape (n_samples, ...)
        Rows that can be sliced: an ndarray, a memory map of any length, a tensor, a DataFrame. It is read
        once, in chunks, so memory stays bounded.
    baseline : {"auto"}, object with `transform` and `inverse_transform`, or None, default="auto"
        "auto" takes the model's own `baseline_`, PCA fitted on its training rows, where there is one. PCA
        fitted on `x` itself would have seen the rows it is judged on, so it is not made up here: give one
        fitted elsewhere, or None for no comparison.

    Returns
    -------
    dict
        Fit for JSON, with None for what is absent or undefined.

        - ``n``: the number of rows; ``k``: numbers in a code.
        - ``mse``: mean squared error over rows and features; ``pca_mse``: the baseline's.
        - ``explained_variance``: one minus the squared error over the squared distance of `x` to its mean,
          both in the same units, None where `x` does not vary; ``pca_explained_variance``: the baseline's.

    Raises
    ------
    ParameterError
        If `model` or `baseline` cannot transform and inverse_transform.
    DataError
        If `x` has no rows, or a reconstruction is not finite or does not fit its row.
    """
    baseline = _chosen_baseline(model, baseline)
    scale = _scale_of(model)
    judged = [_Judged("the model", model)]
    if baseline is not None:
        judged.append(_Judged("the baseline", baseline))
    missing = bool(getattr(model, "takes_missing", False))
    variance = _Variance()
    for start, rows in _chunks(x):
        target = scale(rows)
        _require_finite(np.nan_to_num(target, nan=0.0) if missing else target, "x", start)
        variance.add(target)
        for one in judged:
            one.add(rows, target, scale, start)
    return _reconstruction_figures(judged[0], judged[1] if len(judged) > 1 else None, variance)


def _reconstruction_figures(model: _Judged, pca: _Judged | None, variance: _Variance) -> dict[str, Any]:
    return {
        "n": variance.n,
        "k": model.k,
        "mse": model.squared_error / model.count,
        "pca_mse": None if pca is None else pca.squared_error / pca.count,
        "explained_variance": variance.explained(model.squared_error),
        "pca_explained_variance": None if pca is None else variance.explained(pca.squared_error),
    }


class _Judged:
    """A model under judgement: what its codes are like and how far off its reconstructions are."""

    def __init__(self, name: str, codec: Codec) -> None:
        self.name = name
        self.codec = codec
        self.k = 0
        self.squared_error = 0.0
        self.count = 0

    def add(self, rows: Any, target: NDArray[np.float64], scale: Scale, start: int) -> None:
        codes = self.codec.transform(rows)
        self.k = math.prod(codes.shape[1:])
        x_hat = scale(self.codec.inverse_transform(codes))
        if x_hat.shape != target.shape:
            raise DataError(
                f"the reconstruction by {self.name} must have the shape of its rows, {target.shape} "
                f"once flat. Got {x_hat.shape} instead."
            )
        _require_finite(x_hat, f"the reconstruction by {self.name}", start)
        difference = (target - x_hat)[~np.isnan(target)]
        self.count += difference.size
        self.squared_error += float(np.vdot(difference, difference))


class _Variance:
    """The squared distance of all rows to their mean, gathered chunk by chunk.

    Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", equation 1.5.
    """

    def __init__(self) -> None:
        self.n = 0
        self.d = 0
        self.squares = 0.0
        self._mean: NDArray[np.float64] = np.zeros(1)

    def add(self, rows: NDArray[np.float64]) -> None:
        m, self.d = rows.shape
        mean = rows.mean(axis=0)
        centred = rows - mean
        shift = mean - self._mean
        total = self.n + m
        self.squares += float(np.vdot(centred, centred) + np.vdot(shift, shift) * self.n * m / total)
        self._mean = self._mean + shift * (m / total)
        self.n = total

    def explained(self, squared_error: float) -> float | None:
        # What is left of a constant is rounding: dividing by it would report noise.
        size = float(np.vdot(self._mean, self._mean)) * self.n
        if not self.squares > 1e-24 * size:  # NaN too: with values missing there is no such share
            return None
        return 1.0 - squared_error / self.squares


def _chosen_baseline(model: Codec, baseline: Codec | str | None) -> Codec | None:
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


def _scale_of(model: object) -> Scale:
    """Return what brings rows, ndarray or tensor, to flat float64 in the units errors are taken in."""
    scaling = getattr(model, "scaling_", None)
    if scaling is None:
        return _flat

    def scale(rows: Any) -> NDArray[np.float64]:
        # A tensor stays one and a table becomes an array: the two things a scaling takes.
        return _flat(scaling.forward(rows if hasattr(rows, "detach") else np.asarray(rows)))

    return scale


def _flat(rows: Any) -> NDArray[np.float64]:
    if hasattr(rows, "detach"):
        rows = rows.detach().cpu()
    flat = np.asarray(rows, dtype=np.float64)
    return flat.reshape(len(flat), -1)


def _chunks(x: Any) -> Iterator[tuple[int, Any]]:
    """Give `x` in slices of at most CHUNK_ROWS rows and about CHUNK_BYTES, after each's first row number."""
    if isinstance(x, list | tuple):
        x = np.asarray(x)
    shape: tuple[int, ...] = tuple(getattr(x, "shape", ()))
    if len(shape) < 2 or 0 in shape:
        raise DataError(
            f"x must have rows and features, at least one of each. Got the shape {shape} instead."
        )
    row_bytes = 8 * math.prod(shape[1:])
    size = max(1, min(CHUNK_ROWS, CHUNK_BYTES // row_bytes))
    rows = getattr(x, "iloc", x)
    for start in range(0, shape[0], size):
        yield start, rows[start : start + size]


def _require_finite(rows: NDArray[np.float64], what: str, start: int) -> None:
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise DataError(f"{what} is not finite: row {start + row}, feature {column} is {rows[row, column]}.")
