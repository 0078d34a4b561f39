"""p-values from the scores of rows that were held out: split conformal inference.

With the scores s₁ … sₙ of n calibration rows, low being unusual, the p-value of a row with score s is

p = (1 + #{i : sᵢ ≤ s}) / (n + 1),

the conformal one of Vovk, Gammerman & Shafer (2005), "Algorithmic learning in a random world", chapter 2, for
one split as in Bates et al. (2023), "Testing for outliers with conformal p-values". It takes the values
1 / (n + 1), 2 / (n + 1), …, 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["needed", "p_values", "rank", "reachable", "threshold", "too_few"]

Values = NDArray[np.float64]


def p_values(calibration: Values, scores: Values) -> Values:
    """The p-value of each score, shape (n,), by calibration scores in ascending order."""
    return (1 + np.searchsorted(calibration, scores, side="right")) / (1 + len(calibration))


def rank(level: float, n: int) -> int:
    """How many of the values that a p-value from `n` calibration rows can have are at most `level`."""
    return int(np.searchsorted(np.arange(1, n + 2) / (n + 1), level, side="right"))


def threshold(calibration: Values, level: float) -> float:
    """The score below which a p-value is at most `level`, by calibration scores in ascending order."""
    m = rank(level, len(calibration))
    # p <= level where fewer than m of them are at most s: where s is below the m-th.
    return float(calibration[m - 1]) if m else -math.inf


def reachable(level: float, n: int) -> bool:
    """Whether a p-value from `n` calibration rows can be as small as `level`."""
    return rank(level, n) > 0


def needed(level: float) -> int:
    """The least number of calibration rows for a p-value as small as `level`."""
    n = max(1, math.ceil(1 / level) - 2)  # one below the answer or two, for the rounding of 1 / level
    while 1 / (n + 1) > level:
        n += 1
    return n


def too_few(level: float, n: int) -> str:
    """What to say where `n` calibration rows are too few for a `level`."""
    return (
        f"a false-alarm rate of {level:g} cannot be reached: with {n:,} calibration rows no p-value is below "
        f"1 / ({n:,} + 1) = {1 / (n + 1):.3g}; give at least {needed(level):,} such rows, or allow more "
        "false alarms"
    )
