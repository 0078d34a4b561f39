"""How rare a code is: its distance to the codes of other rows, in what the distance means to the decoder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rarity", "decoder_map", "usual"]

TREE_UP_TO = 6
"""With so many numbers in a code a tree finds neighbours sooner than a look at every row."""

USUAL_ROWS = 2_000
"""So many rows tell what distance is usual."""

ROUNDING = 1e-12
"""Of values of about one, kept in single precision: a mean square below it is none."""

DEAD = 1e-8
"""Below this share of the largest variance, what a direction of the codes varies by is rounding."""


def decoder_map(pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]], k: int) -> NDArray[np.float64]:
    """The linear map of codes after which a distance is one between reconstructions.

    Codes have no scale of their own: an encoder may stretch any of their numbers if its decoder undoes it,
    and a number that the decoder ignores may be anything. The decoder's least-squares linear approximation A
    on known rows, x̂ ≈ A z + b, says what a difference of codes comes to: T with
    \\|(z - z') T\\|² = \\|A (z - z')\\|² / d, the mean squared difference of the two reconstructions.

    Parameters
    ----------
    pairs : iterable of (ndarray of shape (m, k), ndarray of shape (m, d))
        Codes and what they decode to, some at a time.
    k : int

    Returns
    -------
    ndarray of shape (k, k), float64
        T; all zero if no decoded value follows the codes.
    """
    n, sums, squares = 0, np.zeros(k), np.zeros((k, k))
    totals: Any = 0.0
    products: Any = 0.0
    for z, x_hat in pairs:
        codes, decoded = z.astype(np.float64), x_hat.astype(np.float64)
        n += len(codes)
        sums += codes.sum(axis=0)
        squares += codes.T @ codes
        totals = totals + decoded.sum(axis=0)
        products = products + codes.T @ decoded
    covariance = squares / n - np.outer(sums, sums) / n**2
    shared = products / n - np.outer(sums / n, totals / n)
    variances, directions = np.linalg.eigh(covariance)
    alive = variances > DEAD * max(float(variances[-1]), np.finfo(np.float64).tiny)
    basis = directions[:, alive]
    slopes = basis @ (basis.T @ shared / variances[alive, None])
    stretches, axes = np.linalg.eigh(slopes @ slopes.T / slopes.shape[1])
    mapped: NDArray[np.float64] = axes * np.sqrt(np.maximum(stretches, 0.0))
    return mapped


def usual(values: NDArray[Any]) -> float:
    """What nine in ten mean squares stay below, or their mean where that is zero: fit to be divided by.

    Up to a tenth of the rows trained on may be outliers themselves without a say in it.
    """
    return max(float(np.quantile(values, 0.9)) or float(np.mean(values, dtype=np.float64)), ROUNDING)


class Rarity:
    """The mean squared distance of codes to their nearest neighbours among known ones.

    Ramaswamy, Rastogi & Shim (2000), "Efficient algorithms for mining outliers from large data sets", with
    the mean over the neighbours of Angiulli & Pizzuti (2002), "Fast outlier detection in high dimensional
    spaces".

    Parameters
    ----------
    codes : ndarray of shape (m, k)
        Known codes.
    map_ : ndarray of shape (k, k)
        Applied to codes before distances are taken, as `decoder_map` gives it.
    n_neighbors : int
        So many, or all where there are fewer.

    Attributes
    ----------
    usual : float
        What nine in ten known codes, each among the others, stay below.
    """

    def __init__(self, codes: NDArray[Any], map_: NDArray[np.float64], n_neighbors: int) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.centre = codes.mean(axis=0, dtype=np.float64)
        self.map = map_
        points = self._mapped(codes)
        m, k = points.shape
        self.n_neighbors = min(n_neighbors, m)
        self.neighbours = NearestNeighbors(algorithm="kd_tree" if k <= TREE_UP_TO else "brute").fit(points)
        some = points[:USUAL_ROWS]
        # Each finds itself first.
        distances = self.neighbours.kneighbors(some, min(self.n_neighbors + 1, m))[0][:, 1:]
        self.usual = usual(np.square(distances).mean(axis=1)) if m > 1 else 1.0

    def __call__(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        """The rarity of codes (n, k): shape (n,), infinite where a code is not finite."""
        out = np.full(len(codes), np.inf)
        finite = np.isfinite(codes).all(axis=1)
        if finite.any():
            points = self._mapped(codes[finite])
            distances = self.neighbours.kneighbors(points, self.n_neighbors)[0]
            out[finite] = np.square(distances).mean(axis=1)
        return out

    def _mapped(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        mapped: NDArray[np.float64] = (codes - self.centre) @ self.map
        return mapped
