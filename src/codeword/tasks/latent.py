"""The health of codes: what of them is unused or said twice, and whether neighbours stay neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.tasks.codecs import Floats
from codeword.tasks.reconstruction import Moments

__all__ = ["correlations", "trustworthiness_of", "unused_dimensions"]

NEGLIGIBLE = 1e-6
"""A variance beside the largest: a spread of less than a thousandth."""

NEGLIGIBLE_KL = 0.01
NEAREST = 10
MOST_DIMENSIONS = 4096
"""Beyond this many, a matrix of their correlations is no longer made."""


def unused_dimensions(moments: Moments, kl: Any = None) -> list[int]:
    """Return the columns of codes that say next to nothing.

    Parameters
    ----------
    moments : Moments
        Of all codes.
    kl : sequence of k floats, optional
        The divergence of each dimension's posterior from its prior, in nats. Where it is known, a dimension
        is unused below 0.01 nats; elsewhere with a variance of less than a millionth of the largest.
    """
    if kl is not None:
        return [int(i) for i in np.flatnonzero(np.asarray(kl, dtype=np.float64) < NEGLIGIBLE_KL)]
    variances = moments.squares / moments.n
    # A constant far from zero varies by its rounding.
    real = variances > 1e-14 * np.square(moments.mean)
    least = NEGLIGIBLE * float(np.where(real, variances, 0.0).max())
    return [int(i) for i in np.flatnonzero(~real | (variances <= least))]


def correlations(codes: Floats, unused: list[int]) -> dict[str, Any]:
    """Return how much the columns of `codes` of shape (n, k) that are in use say the same.

    `max_correlation` is the largest |r| between two of them, `most_correlated` these two, and
    `mean_correlation` the mean |r| over all pairs; None with fewer than two columns that vary.
    """
    columns = np.setdiff1d(np.arange(codes.shape[1]), unused)
    spread = codes[:, columns].std(axis=0)
    columns = columns[spread > 0]
    absent = {"max_correlation": None, "mean_correlation": None, "most_correlated": None}
    if not 2 <= len(columns) <= MOST_DIMENSIONS:
        return absent
    r = np.abs(np.corrcoef(codes[:, columns], rowvar=False))
    upper = np.triu_indices(len(columns), 1)
    pairs = np.minimum(r[upper], 1.0)
    largest = int(pairs.argmax())
    return {
        "max_correlation": float(pairs[largest]),
        "mean_correlation": float(pairs.mean()),
        "most_correlated": [int(columns[axis[largest]]) for axis in upper],
    }


def trustworthiness_of(rows: NDArray[Any], codes: NDArray[Any]) -> float | None:
    """Return how far neighbours in `codes` are neighbours in `rows` too: 1 is all, about 0.5 chance.

    Venna and Kaski (2001), "Neighborhood preservation in nonlinear projection methods", equation 2, with ten
    neighbours or, of fewer than 22 rows, as many as it is defined for; None of fewer than three rows.
    """
    neighbours = min(NEAREST, (len(rows) - 1) // 2)
    if neighbours < 1:
        return None
    from sklearn.manifold import trustworthiness

    return float(trustworthiness(rows, codes, n_neighbors=neighbours))
