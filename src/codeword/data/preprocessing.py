"""scikit-learn's own preprocessing for columns of several kinds, made without looking at data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from codeword.data.column import MISSING, OTHER, Column

__all__ = ["distinct", "gaps", "make_transformer", "most_probable", "stack"]

_NOT_KNOWN = "\0"
"""Stands for a missing category where there is none for missing ones; no cell of a table holds it alone."""


def make_transformer(
    numbers: int, flags: int, groups: Sequence[Sequence[str]], absent: Sequence[int]
) -> ColumnTransformer:
    """A fitted transformer of columns of numbers, then of flags, then of categories, as `stack` gives them.

    Categories are known beforehand, and a scaler is given its figures afterwards: so that the transformer
    that was fitted and the one that is made again from JSON are made alike, by whatever version of
    scikit-learn is there.

    Parameters
    ----------
    numbers, flags : int
        How many columns of each.
    groups : sequence of sequence of str
        The categories of each of the other columns.
    absent : sequence of int
        Columns for which it is told whether a cell is missing.
    """
    count = numbers + flags
    parts: list[tuple[str, Any, list[int]]] = []
    if numbers:
        parts.append(("numbers", StandardScaler(), list(range(numbers))))
    if absent:
        parts.append(("missing", MissingIndicator(features="all"), list(absent)))
    if flags:
        encoder = OrdinalEncoder(
            categories=[np.array([0.0, 1.0])] * flags,
            handle_unknown="use_encoded_value",
            unknown_value=np.nan,
        )
        parts.append(("flags", encoder, list(range(numbers, count))))
    if groups:
        words = [np.array(group, dtype=object) for group in groups]
        one_hot = OneHotEncoder(categories=words, handle_unknown="ignore", sparse_output=False)
        parts.append(("categories", one_hot, list(range(count, count + len(groups)))))
    row = np.array([*[0.0] * count, *(group[0] for group in groups)], dtype=object)
    return ColumnTransformer(parts, sparse_threshold=0.0).fit(np.stack([row, row]))


def gaps(words: NDArray[Any]) -> NDArray[np.bool_]:
    """Which words, shape (n,), are missing."""
    return np.array([word is None for word in words], dtype=bool)


def stack(values: Sequence[NDArray[Any]], columns: Sequence[Column]) -> NDArray[Any]:
    """Columns of values side by side, shape (n, number of columns), object, as the transformer takes them."""
    rows = np.empty((len(values[0]), len(values)), dtype=object)
    for i, (column, each) in enumerate(zip(columns, values, strict=True)):
        rows[:, i] = each if column.kind != "category" else _among(column, each)
    return rows


def _among(column: Column, words: NDArray[Any]) -> NDArray[Any]:
    """Words, with the one that stands for missing ones, and the one for those that are not known."""
    words = np.where(gaps(words), MISSING if column.missing else _NOT_KNOWN, words)
    if column.other:
        known = set(column.group)
        words = np.array([word if word in known else OTHER for word in words], dtype=object)
    return words


def distinct(names: list[str]) -> list[str]:
    """The names, those that come again with a number."""
    found: dict[str, None] = {}
    for name in names:
        new, count = name, 1
        while new in found:
            count += 1
            new = f"{name} ({count})"
        found[new] = None
    return list(found)


def most_probable(column: Column, x: NDArray[Any], *, fill: bool) -> NDArray[Any]:
    """The category of each row, text; None where missing is more probable than all others together."""
    shares = np.nan_to_num(x[:, : len(column.group)], nan=-np.inf)
    own = [i for i, word in enumerate(column.group) if word != MISSING]
    chosen: NDArray[Any] = np.array(column.group, dtype=object)[own][shares[:, own].argmax(axis=1)]
    # Of a missing one nothing is known; a word that was not there in training is none of them.
    chosen[~(shares > 0).any(axis=1)] = None
    if column.missing and not fill:
        chosen[shares[:, len(column.values)] > 0.5] = None
    return chosen
