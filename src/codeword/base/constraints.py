"""Constraints on parameters: whether one can have a value, and in words what it must be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from codeword.base.errors import check_parameter

__all__ = [
    "AUTO",
    "BELOW_ONE",
    "COUNT",
    "FRACTION",
    "NONE",
    "NON_NEGATIVE",
    "POSITIVE",
    "WIDTHS",
    "Constraint",
    "check",
    "either",
    "one_of",
    "real",
    "seed_of",
    "whole",
    "widths",
]

Constraint = tuple[Callable[[Any], bool], str]


def whole(value: Any, least: int = 1) -> bool:
    """Whether `value` is an integer, and no less than `least`."""
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least


def real(value: Any) -> bool:
    """Whether `value` is a finite number."""
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def widths(value: Any) -> bool:
    """Whether `value` is a sequence of positive integers."""
    return isinstance(value, (list, tuple)) and all(whole(v) for v in value)


AUTO: Constraint = (lambda value: isinstance(value, str) and value == "auto", "'auto'")
NONE: Constraint = (lambda value: value is None, "None")
NON_NEGATIVE: Constraint = (lambda value: real(value) and value >= 0, "a number, zero or above")
POSITIVE: Constraint = (lambda value: real(value) and value > 0, "a positive number")
FRACTION: Constraint = (lambda value: real(value) and 0 < value < 1, "a number between 0 and 1")
BELOW_ONE: Constraint = (lambda value: real(value) and 0 <= value < 1, "a number from 0 to below 1")
COUNT: Constraint = (whole, "a positive integer")
WIDTHS: Constraint = (widths, "a sequence of positive integers")


def one_of(*names: str) -> Constraint:
    """One of a few words."""
    return lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}"


def seed_of(bits: int) -> Constraint:
    """A seed of so many bits, what seeds are drawn from, or None."""
    words = f"an integer from 0 to below 2**{bits}, a RandomState or None"
    return (
        lambda value: (
            value is None
            or isinstance(value, np.random.RandomState)
            or (whole(value, least=0) and int(value) < 1 << bits)
        ),
        words,
    )


def check(owner: object, constraints: Mapping[str, Constraint]) -> None:
    """Raise a ParameterError that names the first parameter of `owner` with a value it cannot have."""
    for name, (holds, words) in constraints.items():
        check_parameter(owner, name, holds(getattr(owner, name)), words)


def either(*constraints: Constraint) -> Constraint:
    """What any of the constraints allows."""
    words = " or ".join(words for _, words in constraints)
    return lambda value: any(holds(value) for holds, _ in constraints), words
