"""Labels from wherever they come, as classes; or a clear word on why they are none."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError, ParameterError
from codeword.base.text import listed
from codeword.data.arrays import is_idx, read_idx
from codeword.data.reading import reading

__all__ = ["NEIGHBOURS", "Labels", "check_judged", "check_reference", "labels_of", "read_label_file"]

NEIGHBOURS = 5
FEWEST_ROWS = 2 * NEIGHBOURS
MOST_CLASSES = 1_000
MOST_FRACTIONS = 20
"""Labels such as 0.5 may stand for classes, but not many different ones."""


@dataclass(frozen=True)
class Labels:
    """The class of each row.

    Attributes
    ----------
    index : ndarray of shape (n,), int64
        Into `names`; -1 where the label is missing.
    names : list of str
        The classes in order; the number 3 and the text "3" are one class.
    fractional : bool
        Whether there are numbers among them that are not whole.
    """

    index: NDArray[np.int64]
    names: list[str]
    fractional: bool = False

    @property
    def known(self) -> NDArray[np.int64]:
        """The numbers of the rows that have a label."""
        return np.flatnonzero(self.index >= 0)

    def into(self, names: list[str]) -> NDArray[np.int64]:
        """Return the same classes as numbers in another list of names; those not in it come after it."""
        place = {name: i for i, name in enumerate(names)}
        there = [place.setdefault(name, len(place)) for name in self.names]
        return np.array([*there, -1])[self.index]


def labels_of(y: Any, n: int, what: str = "x") -> Labels:
    """Return the labels `y` of the `n` rows of `what`; None, NaN and empty texts are missing labels.

    Raises
    ------
    DataError
        If there is not one for each row, none at all, or they are neither numbers nor texts.
    """
    values = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(
            f"the labels of {what} have the shape {values.shape}: give one label for each of the {n:,} rows, "
            f"of shape ({n},)"
        )
    if len(values) != n:
        raise DataError(f"{what} has {n:,} rows and {len(values):,} labels: give one label for each row")
    values, missing = _plain(values, what)
    if missing.all():
        raise DataError(f"all {n:,} labels of {what} are missing: give some, or judge without labels")
    distinct, inverse = np.unique(values[~missing], return_inverse=True)
    index = np.full(n, -1)
    index[~missing] = inverse
    fractional = distinct.dtype.kind == "f" and not np.array_equal(distinct, np.floor(distinct))
    return Labels(index, [_name(value) for value in distinct.tolist()], fractional)


def _plain(values: NDArray[Any], what: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return labels as numbers or as texts, and which of them are missing."""
    if values.dtype.kind in "OT":
        items = values.tolist()
        gone = np.array([_is_missing(item) for item in items])
        if all(no or isinstance(item, int | float | np.number) for item, no in zip(items, gone, strict=True)):
            return np.array(
                [np.nan if no else item for item, no in zip(items, gone, strict=True)], float
            ), gone
        values = np.array(["" if no else _name(item) for item, no in zip(items, gone, strict=True)])
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "U":
        values = np.char.strip(values)
        return values, values == ""
    if values.dtype.kind == "f":
        return values, np.isnan(values)
    if values.dtype.kind in "iub":
        return values, np.zeros(len(values), dtype=bool)
    raise DataError(f"the labels of {what} are of type {values.dtype}: expected numbers or texts")


def _is_missing(item: Any) -> bool:
    # pandas' NA and NaT know no truth value, or are no numbers.
    return item is None or type(item).__name__ in ("NAType", "NaTType") or item == "" or bool(item != item)


def _name(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value).strip()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def check_judged(labels: Labels, *, referenced: bool) -> None:
    """Make sure that classes can be told apart on rows with these labels.

    Raises
    ------
    DataError
        If there is one class only, if the labels are no classes, or rows are too few for neighbours.
    """
    n, c = len(labels.known), len(labels.names)
    if c < 2:
        raise DataError(
            f"the labels have one class only, {labels.names[0]!r}, in all {n:,} rows: at least two are "
            "needed; judge without labels"
        )
    if not referenced and n < FEWEST_ROWS:
        raise DataError(
            f"there are {n} labelled rows, fewer than {FEWEST_ROWS}: {NEIGHBOURS} nearest neighbours in "
            "cross-validation need as many; give more, or a reference to learn from, or judge without labels"
        )
    most = min(MOST_FRACTIONS, n // 2) if labels.fractional else min(MOST_CLASSES, n // 2)
    if c > max(most, 2):
        raise DataError(
            f"the labels take {c:,} different values in {n:,} rows ({listed(labels.names, 3)}), more than "
            f"{most:,}: these are no classes; give labels that are, or judge without"
        )


def check_reference(labels: Labels, judged: Labels) -> None:
    """Make sure that classes can be learned from rows with these labels.

    Raises
    ------
    DataError
        If they are fewer than neighbours, of one class only, or share no class with the rows judged.
    """
    n = len(labels.known)
    if n < NEIGHBOURS:
        raise DataError(
            f"the reference has {n} labelled rows, fewer than the {NEIGHBOURS} nearest neighbours: give more"
        )
    if len(labels.names) < 2:
        raise DataError(
            f"the reference has one class only, {labels.names[0]!r}, in all {n:,} rows: "
            "at least two are needed"
        )
    if not set(labels.names) & set(judged.names):
        raise DataError(
            f"the reference shares no class with the rows judged: it has {listed(labels.names, 4)}, and they "
            f"have {listed(judged.names, 4)}"
        )


def read_label_file(path: Path, n: int) -> NDArray[Any]:
    """Return the labels in a file, one for each of `n` rows.

    An `.npy` or IDX file holds an array; a `.csv`, `.tsv` or `.txt` file one label a line, of which an empty
    one is missing, after a heading if there is one line more than rows.

    Raises
    ------
    DataError
        If the file is missing, damaged, has several columns, or another number of labels.
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
            y = _read_lines(path, "\t" if suffix == ".tsv" else ",", n)
        else:
            raise ParameterError(
                f"{path} is of a kind that is not known: give labels as .npy, .csv, .tsv, .txt or IDX"
            )
    if y.shape not in ((n,), (n, 1)):
        found = f"{len(y):,} labels" if y.ndim == 1 else f"the shape {y.shape}"
        raise DataError(f"{path} has {found}, and there are {n:,} rows: give one label for each row")
    return y


def _read_lines(path: Path, delimiter: str, n: int) -> NDArray[Any]:
    with open(path, encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.reader(handle, delimiter=delimiter))
    wide = next(((i, row) for i, row in enumerate(rows, 1) if len(row) > 1), None)
    if wide is not None:
        raise DataError(f"{path}: line {wide[0]} has {len(wide[1])} cells: expected one label a line")
    labels = [row[0] if row else "" for row in rows]
    return np.array(labels[1:] if len(labels) == n + 1 else labels, dtype=str)
