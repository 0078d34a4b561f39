"""The samples that are most like a given one, by their codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from codeword.base.errors import DataError


def neighbors(
    codes: ArrayLike, queries: ArrayLike, n_neighbors: int = 8
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the codes nearest to each query, by Euclidean distance.

    Parameters
    ----------
    codes : array-like of shape (n, k)
    queries : array-like of shape (m, k), or of shape (m,) of integers
        Codes to look for; or numbers of rows of `codes`, which are then not found as their own neighbors.
    n_neighbors : int, default=8

    Returns
    -------
    rows : ndarray of shape (m, n_neighbors), int
        Row numbers of `codes`, the nearest first.
    distances : ndarray of shape (m, n_neighbors), float64

    Raises
    ------
    DataError
        If there are fewer rows than neighbors asked for, a row does not exist, or codes differ in length.
    """
    codes, queries = np.asarray(codes), np.asarray(queries)
    own = queries.ndim == 1 and queries.dtype.kind in "iu"
    if codes.ndim != 2 or not (own or queries.shape[1:] == codes.shape[1:]):
        raise DataError(
            f"codes must have the shape (n, k), and queries (m, k) or (m,) of row numbers. Got {codes.shape} "
            f"and {queries.shape} instead."
        )
    others = len(codes) - own
    if not 0 < n_neighbors <= others:
        raise DataError(f"{n_neighbors} neighbors were asked for, and there are {others} other rows")
    if own:
        bad = queries[(queries < 0) | (queries >= len(codes))]
        if len(bad):
            raise DataError(f"there is no row {bad[0]}: there are {len(codes):,}, counted from 0")
    index = NearestNeighbors(n_neighbors=n_neighbors + own).fit(codes)
    distances, rows = index.kneighbors(codes[queries] if own else queries)
    if not own:
        return rows, distances
    drop = rows == queries[:, None]
    drop[~drop.any(axis=1), -1] = True  # equal rows left no room for the row itself
    shape = (len(queries), n_neighbors)
    return rows[~drop].reshape(shape), distances[~drop].reshape(shape)
