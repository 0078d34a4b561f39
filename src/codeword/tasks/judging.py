"""What every training of a comparison is judged on, and by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from codeword.base.errors import DataError, ParameterError
from codeword.data import Data, load
from codeword.data.columns import Columns, fitted_columns
from codeword.data.labels import classes_of
from codeword.data.rows import blocks, read
from codeword.data.scaling import Scaling, check_finite
from codeword.model.inputs import mixed_table
from codeword.tasks.codecs import draw, flat, scale_of, take
from codeword.tasks.labels import (
    LabelTask,
    check_classes,
    check_reference,
    label_metric,
    one_thread_without_warnings,
)
from codeword.tasks.reconstruction import Judged, reconstruct_all
from codeword.training.batches import RESIDENT_BYTES
from codeword.training.checkpoint import digest

__all__ = ["Codec", "Judge", "check_k", "digest_of", "part"]

HELD_OUT_SHARE = 5
MOST_HELD_OUT = 10_000
"""A fifth of the rows, and no more than these, is held out; accuracies are of no more either."""

MOST_NEIGHBOURS_OF = 20_000
"""Training rows among which neighbours are looked for."""


@dataclass(frozen=True)
class Codec:
    """The two directions of a model, or of a part of it, as `evaluate` takes them."""

    transform: Callable[[Any], Any]
    inverse_transform: Callable[[Any], Any]
    scaling_: Scaling
    takes_missing: bool


class Judge:
    """Held-out rows, and the classes of both parts where both have any.

    Parameters
    ----------
    train : Data
        The rows that models are fitted on.
    held_out : Data
        The rows that they are judged on.
    strict : bool
        Whether labels that are no classes are an error; else they judge nothing.

    Raises
    ------
    DataError
        With `strict`, if there is one class only or more than there could be, or the parts share none.
    """

    def __init__(self, train: Data, held_out: Data, *, strict: bool) -> None:
        self.held_out = held_out
        self.task: LabelTask | None = None
        self.n_labelled = 0
        if train.y is None or held_out.y is None:
            return
        try:
            learned = classes_of(train.y, len(train), "the rows to train on")
            judged = classes_of(held_out.y, len(held_out), "the rows to judge on")
            check_classes(judged, "the rows to judge on", referenced=True)
            check_reference(learned, judged)
        except DataError:
            if strict:
                raise
            return
        near = learned.known[draw(len(learned.known), MOST_NEIGHBOURS_OF, 0)]
        far = judged.known[draw(len(judged.known), MOST_HELD_OUT, 0)]
        self.rows = take(train.x, near), take(held_out.x, far)
        self.task = LabelTask(judged.index[far], len(judged.names), learned.into(judged.names)[near], 0)
        self.n_labelled = len(far)

    def figures(self, codec: Codec) -> dict[str, Any]:
        """`mse` and `explained_variance` of the held-out rows, and `knn_accuracy` (None without labels)."""
        judged = Judged("the model", codec, len(self.held_out))
        moments = reconstruct_all(
            [judged],
            self.held_out.x,
            scale_of(codec),
            missing=codec.takes_missing,
            advance=lambda n: None,
        )
        return {
            "mse": judged.mse,
            "explained_variance": moments.explained(judged.squared_error),
            "knn_accuracy": self._accuracy(codec),
        }

    def _accuracy(self, codec: Codec) -> float | None:
        """The share of held-out rows that the nearest codes of training rows label rightly."""
        if self.task is None:
            return None
        near, far = (flat(codec.transform(rows)) for rows in self.rows)
        with one_thread_without_warnings():
            return float(label_metric("knn_accuracy", self.task, far, near))


def part(x: Any, y: Any, test: Any, *, missing: bool) -> tuple[Data, Data]:
    """Rows to train on and rows to judge on, without column names, which have been checked.

    Parameters
    ----------
    x : Data, ndarray, memory map, tensor or DataFrame of shape (n, ...)
    y : array-like of shape (n,) or None
    test : Data, (x, y), or None
        With None, a fifth of the rows, at most 10,000, drawn with the seed 0. Of a mixed table the columns
        are fitted on all rows of x, those held out too: no codes are, and their units are alike for all.
    missing : bool
        Whether NaN may stand for what is not known.

    Raises
    ------
    DataError
        If a value is not finite, labels are not one for each row, the two parts differ in the shape or the
        columns of their samples, or there is one row only.
    """
    train = _labelled(x, y, "x", missing, None)
    if test is not None:
        x_test, y_test = test if isinstance(test, tuple) and len(test) == 2 else (test, None)
        held_out = _labelled(x_test, y_test, "test", missing, train.columns)
        if held_out.sample_shape != train.sample_shape:
            raise DataError(
                f"the samples of test have the shape {held_out.sample_shape}, and those to train on "
                f"{train.sample_shape}: give both the same"
            )
        mixed = [None if rows.columns is None else rows.columns.to_json() for rows in (train, held_out)]
        if mixed[0] != mixed[1] or (train.names and held_out.names and train.names != held_out.names):
            raise DataError("the columns of test are not those of the rows to train on: give the same")
        return replace(train, names=None), replace(held_out, names=None)
    return _split(replace(train, names=None))


def _labelled(x: Any, y: Any, name: str, missing: bool, columns: Columns | None) -> Data:
    """Rows with their labels; a mixed table as `columns` or, without these, columns of its own make it."""
    if columns is None and (table := mixed_table(x)) is not None:
        columns = fitted_columns(table)
    if columns is not None and not isinstance(x, Data) and (hasattr(x, "columns") or hasattr(x, "schema")):
        x = columns.transform(x)
    data = load(np.asarray(x) if isinstance(x, (list, tuple)) else x, missing=missing)
    missing = missing or data.columns is not None
    for start, block in blocks(data.x):  # here, where the number of a row is that in the whole
        check_finite(block, start, missing=missing)
    if y is None:
        return data
    y = np.asarray(y)
    if y.shape != (len(data),):
        raise DataError(
            f"the labels of {name} have the shape {y.shape}, and there are {len(data):,} rows: "
            "give one label for each row"
        )
    return replace(data, y=y)


def _split(data: Data) -> tuple[Data, Data]:
    n = len(data)
    if n < 2:
        raise DataError("x has one row: at least two are needed, one to train on and one to judge on")
    held_out = draw(n, min(max(1, n // HELD_OUT_SHARE), MOST_HELD_OUT), 0)
    rest = np.delete(np.arange(n), held_out)
    if math.prod(data.x.shape) * data.x.dtype.itemsize > RESIDENT_BYTES:
        return data[rest], data[held_out]  # which copies nothing
    x = data.x if type(data.x) is np.ndarray else read(data.x, 0, n)
    parts = [replace(data, x=x[i], y=None if data.y is None else data.y[i]) for i in (rest, held_out)]
    return parts[0], parts[1]


def digest_of(data: Data) -> str:
    """A short name for rows and labels, that differs where they do."""
    parts = [np.array([digest(np.ascontiguousarray(block)) for _, block in blocks(data.x)])]
    if data.y is not None:
        parts.append(data.y.astype(str))
    return digest(*parts)


def check_k(k: Any, d: int) -> list[int]:
    """The lengths of code to compare, increasing and each once.

    Raises
    ------
    ParameterError
        If they are not positive integers, or one exceeds the number of features d.
    """
    if isinstance(k, str) and k == "auto":
        return [n for n in (2, 4, 8, 16, 32, 64) if n < d] or [1]
    lengths = [k] if isinstance(k, (int, np.integer)) else k
    whole = isinstance(lengths, (list, tuple, range, np.ndarray)) and all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in lengths
    )
    if not whole or not len(lengths):
        raise ParameterError(
            f"The 'k' parameter of compare must be positive integers, at least one, or 'auto'. "
            f"Got {k!r} instead."
        )
    most = int(max(lengths))
    if most > d:
        raise ParameterError(
            f"k = {most} is more than the number of features in a row, {d}: give k up to {d}"
        )
    return sorted({int(n) for n in lengths})
