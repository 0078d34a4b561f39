"""Constraints on parameters: whether one can have a value, and in words what it must be."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

__all__ = [
    "BELOW_ONE",
    "COUNT",
    "FRACTION",
    "NON_NEGATIVE",
    "POSITIVE",
    "WIDTHS",
    "Constraint",
    "one_of",
    "or_auto",
    "or_none",
    "real",
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


NON_NEGATIVE: Constraint = (lambda value: real(value) and value >= 0, "a number, zero or above")
POSITIVE: Constraint = (lambda value: real(value) and value > 0, "a positive number")
FRACTION: Constraint = (lambda value: real(value) and 0 < value < 1, "a number between 0 and 1")
BELOW_ONE: Constraint = (lambda value: real(value) and 0 <= value < 1, "a number from 0 to below 1")
COUNT: Constraint = (whole, "a positive integer")
WIDTHS: Constraint = (widths, "a sequence of positive integers")


def one_of(*names: str) -> Constraint:
    """One of a few words."""
    return lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}"


def or_none(constraint: Constraint) -> Constraint:
    """None, or what the constraint asks for."""
    holds, words = constraint
    return lambda value: value is None or holds(value), f"{words} or None"


def or_auto(constraint: Constraint) -> Constraint:
    """The word "auto", or what the constraint asks for."""
    holds, words = constraint
    return lambda value: (isinstance(value, str) and value == "auto") or holds(value), f"{words} or 'auto'"
