"""Constraints on parameters, as types: whether one can have a value, and in words what it must be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np

from codeword.base.errors import check_parameter

Constraint = tuple[Callable[[Any], bool], str]


LARGEST, LARGEST_REAL = 1 << 62, 1e36
"""What no integer and no number reaches that is handed to torch."""


def whole(value: Any, least: int = 1) -> bool:
    """Whether `value` is an integer, no less than `least` and of a size that torch takes."""
    return not isinstance(value, bool) and isinstance(value, Integral) and least <= int(value) < LARGEST


def real(value: Any) -> bool:
    """Whether `value` is a number, and finite in single precision too."""
    most: Any = LARGEST if isinstance(value, Integral) else LARGEST_REAL
    return not isinstance(value, bool) and isinstance(value, Real) and -most < value < most


def widths(value: Any) -> bool:
    """Whether `value` is a sequence of positive integers."""
    return isinstance(value, (list, tuple)) and all(whole(v) for v in value)


AUTO: Constraint = (lambda value: isinstance(value, str) and value == "auto", "'auto'")
NONE: Constraint = (lambda value: value is None, "None")
COUNT: Constraint = (whole, "a positive integer")
POSITIVE: Constraint = (lambda value: real(value) and value > 0, "a positive number")
BELOW_ONE: Constraint = (lambda value: real(value) and 0 <= value < 1, "a number from 0 to below 1")
FRACTION: Constraint = (lambda value: real(value) and 0 < value < 1, "a number between 0 and 1")

Count = Annotated[int, COUNT]
Positive = Annotated[float, POSITIVE]
NonNegative = Annotated[float, (lambda value: real(value) and value >= 0, "a number, zero or above")]
Fraction = Annotated[float, FRACTION]
BelowOne = Annotated[float, BELOW_ONE]
Widths = Annotated[Sequence[int], (widths, "a sequence of positive integers")]


def one_of(*names: str) -> Constraint:
    """One of a few words."""
    words = f"one of {', '.join(names)}" if len(names) > 1 else names[0]
    return lambda value: isinstance(value, str) and value in names, words


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


def check_annotated(owner: object) -> None:
    """Raise a ParameterError that names the first attribute with a value that its type does not allow."""
    for cls in type(owner).__mro__:
        found = {name: _constraint_of(hint) for name, hint in inspect.get_annotations(cls).items()}
        # A class of one's own need not have what ours only declare.
        mine = {name: constraint for name, constraint in found.items() if hasattr(owner, name)}
        check(owner, {name: constraint for name, constraint in mine.items() if constraint is not None})


def _constraint_of(hint: Any) -> Constraint | None:
    """What a Literal, an Annotated with a constraint, or a union of such allows; None of any other type."""
    if hint is NoneType:
        return NONE
    if hint is bool:
        # NumPy's too, of which searches make their grids, and the 0 and 1 of older model folders.
        return lambda value: isinstance(value, (bool, np.bool_, int)) and value in (0, 1), "True or False"
    if get_origin(hint) is Literal:
        return one_of(*get_args(hint))
    if get_origin(hint) is Annotated:
        # What others annotate may be anything.
        said = hint.__metadata__[0]
        return said if isinstance(said, tuple) and len(said) == 2 and callable(said[0]) else None
    if get_origin(hint) in (Union, UnionType):
        found = [_constraint_of(one) for one in get_args(hint)]
        known = [constraint for constraint in found if constraint is not None]
        return either(*known) if len(known) == len(found) else None
    return None
