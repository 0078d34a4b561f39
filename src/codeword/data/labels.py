"""Labels from wherever they come: which class each is, or which quantity, and which are missing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError, ParameterError
from codeword.data.arrays import is_idx, read_idx
from codeword.data.reading import reading

MOST_CLASSES = 1_000
FEW_CLASSES = 20
"""As many different numbers may be classes though they are not whole, or though few of them come twice."""


@dataclass(frozen=True, eq=False)
class Labels:
    """The class of each row or, where labels are a quantity, its value.

    Attributes
    ----------
    index : ndarray of shape (n,), int64
        Into `names`; -1 where the label is missing.
    names : list of str
        The different labels in order, numbers by their value; the number 3 and the text "3" are one.
    most : int
        How many different labels of this kind may be classes: see `classes_of`.
    quantity : ndarray of shape (n,), float64, or None
        Where labels are numbers and more than classes can be: their values, NaN where missing.
    """

    index: NDArray[np.int64]
    names: list[str]
    most: int
    quantity: NDArray[np.float64] | None

    @property
    def are_classes(self) -> bool:
        """Whether the labels stand for classes: there are some, and not too many different ones."""
        return 0 < len(self.names) <= self.most

    @property
    def known(self) -> NDArray[np.int64]:
        """The numbers of the rows that have a label."""
        return np.flatnonzero(self.index >= 0)

    def take(self, rows: Any) -> Labels:
        """The labels of some rows, which are what they are among all."""
        quantity = None if self.quantity is None else self.quantity[rows]
        return Labels(self.index[rows], self.names, self.most, quantity)

    def into(self, names: list[str]) -> NDArray[np.int64]:
        """Return the same classes as numbers in another list of names; those not in it come after it."""
        place = {name: i for i, name in enumerate(names)}
        there = [place.setdefault(name, len(place)) for name in self.names]
        return np.array([*there, -1])[self.index]


def classes_of(y: Any, n: int, what: str = "x") -> Labels:
    """Return what the labels `y` of the `n` rows of `what` are; None, NaN and empty texts are missing labels.

    The rule of what a class is, wherever labels are asked for: texts stand for classes if no more than 1,000
    are different. Whole numbers do if no more than 20 are different, or 1,000 and half as many as there are
    labels; other numbers if no more than 20, and half as many. Numbers beyond that are a quantity.

    Raises DataError if there is not one label for each row, or they are neither numbers nor texts.
    """
    values, missing = _plain(one_each(y.detach().cpu() if hasattr(y, "detach") else y, n, what), what)
    distinct, inverse = np.unique(values[~missing], return_inverse=True)
    names = [_name(value) for value in distinct.tolist()]
    if values.dtype.kind == "U":
        order = sorted(range(len(names)), key=lambda i: _by_number_then_name(names[i]))
        names = [names[i] for i in order]
        inverse = np.argsort(order)[inverse] if order else inverse
    index = np.full(n, -1)
    index[~missing] = inverse
    fractional = distinct.dtype.kind == "f" and not np.array_equal(distinct, np.floor(distinct))
    most, repeated = MOST_CLASSES, len(inverse) // 2
    if values.dtype.kind in "iuf":
        most = max(2, min(FEW_CLASSES, repeated)) if fractional else max(FEW_CLASSES, min(most, repeated))
    quantity = None
    if len(names) > most and values.dtype.kind in "iuf":
        quantity = np.where(missing, np.nan, values.astype(np.float64))
    return Labels(index, names, most, quantity)


def one_each(y: Any, n: int, what: str) -> NDArray[Any]:
    """Labels as an array of shape (n,), or a DataError where there is not one for each row of `what`."""
    values: NDArray[Any] = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(
            f"the labels of {what} have the shape {values.shape}: give one label for each of the {n:,} rows, "
            f"of shape ({n},)"
        )
    if len(values) != n:
        raise DataError(f"{what} has {n:,} rows and {len(values):,} labels: give one label for each row")
    return values


def _plain(values: NDArray[Any], what: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return labels as numbers or as texts, and which of them are missing."""
    if values.dtype.kind in "OT":
        items = [None if _is_missing(item) else item for item in values.tolist()]
        if all(item is None or isinstance(item, int | float | np.number) for item in items):
            values = np.array(items, dtype=np.float64)
        else:
            values = np.array(["" if item is None else _name(item) for item in items])
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind in "Mm":
        values = np.where(np.isnat(values), "", values.astype(str))
    if values.dtype.kind == "U":
        values = np.char.strip(values)
        return values, values == ""
    if values.dtype.kind in "fiub":
        return values, np.isnan(values)
    raise DataError(f"the labels of {what} are of type {values.dtype}: expected numbers or texts")


def _is_missing(item: Any) -> bool:
    # pandas' NA and NaT know no truth value, or are no numbers.
    return item is None or type(item).__name__ in ("NAType", "NaTType") or item == "" or bool(item != item)


def _name(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value).strip()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _by_number_then_name(name: str) -> tuple[int, float, str]:
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)


def read_label_file(path: Path, n: int) -> NDArray[Any]:
    """Return the labels in a file, one for each of `n` rows.

    An `.npy` or IDX file holds an array; a `.csv`, `.tsv` or `.txt` file one label a line, of which an empty
    one is missing, after a heading if there is one line more than rows.

    Raises DataError if the file is missing, damaged, has several columns, or another number of labels.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path} with labels")
    suffix = path.suffix.lower()
    with reading(path, "labels"):
        if suffix == ".npy":
            y: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        elif is_idx(path):
            y = read_idx(path)
        elif suffix in (".csv", ".tsv", ".txt"):
            with open(path, encoding="utf-8-sig", newline="") as handle:
                rows = list(csv.reader(handle, delimiter="\t" if suffix == ".tsv" else ","))
            wide = next((i for i, row in enumerate(rows, 1) if len(row) > 1), None)
            if wide is not None:
                raise DataError(f"{path}: line {wide} has several cells: expected one label a line")
            lines = [row[0] if row else "" for row in rows]
            y = np.array(lines[1:] if len(lines) == n + 1 else lines, dtype=str)
        else:
            raise ParameterError(
                f"{path} is of a kind that is not known: give labels as .npy, .csv, .tsv, .txt or IDX"
            )
    if y.shape not in ((n,), (n, 1)):
        found = f"{len(y):,} labels" if y.ndim == 1 else f"the shape {y.shape}"
        raise DataError(f"{path} has {found}, and there are {n:,} rows: give one label for each row")
    return y
