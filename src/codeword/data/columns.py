"""A table of mixed columns to rows of numbers, and rows of numbers to the table's own columns and units."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from codeword.base.constraints import whole
from codeword.base.errors import DataError, ModelError, ParameterError, check_parameter
from codeword.base.text import listed, shortened
from codeword.data import Data
from codeword.data.column import KINDS, MISSING, NOT_KNOWN, Column, recognized, shown
from codeword.data.tables import arrow_table, check_names

FORMAT = 1
"""The format of columns.json: another number where an older codeword could not read what is written."""

KEYS = {"format", "kinds", "columns", "left_out", "means", "scaler"}

NOT_WANTED = "is not wanted"

FARTHEST = 1e15
"""Standard deviations: float32 can still square them."""


@dataclass(frozen=True)
class Layout:
    """What the d values of a row are: numbers, then flags, then groups of one-hot categories.

    `codeword.objectives.mixed` has the losses that fit them.

    Parameters
    ----------
    numbers, flags : int
        How many values are numbers, and how many flags: booleans, and signs that a value is missing.
    groups : tuple of int
        How many categories each group has.
    owners : tuple of int, of length d
        The table's own column that each value is of, by number.
    means : tuple of float, of length d
        Of the rows fitted on. They stand for what is missing where rows are encoded.
    """

    numbers: int
    flags: int
    groups: tuple[int, ...]
    owners: tuple[int, ...]
    means: tuple[float, ...]

    @property
    def d(self) -> int:
        """The values of a row."""
        return len(self.means)

    @property
    def parts(self) -> int:
        """Numbers, flags and groups, together."""
        return self.numbers + self.flags + len(self.groups)


class Columns(BaseEstimator):  # type: ignore[misc]
    """Make rows of numbers of a table of mixed columns, and the table's own columns of such rows.

    Numbers, and dates in their own unit, get mean 0 and variance 1; booleans are 0 or 1; each category is a
    column of its own, 1 where the cell is of it and else 0; where cells were missing, a 1 says so. A missing
    number, date or boolean stays NaN, and missing categories are one of their own. Moments are in UTC.
    Columns of names, row numbers, free text, durations and times of day are left out, with a warning.

    Parameters
    ----------
    kinds : mapping of str to {"number", "date", "flag", "category", "leave out"}, optional
        What columns are, by name, where their cells do not show it: `{"zip": "category"}`.
    max_categories : int, default=50
        Of a column; where there are more, the rarest are put together.

    Attributes
    ----------
    columns_ : tuple of Column
        Those in use, in the order of the table.
    left_out_ : dict of str to str
        The other columns, with the reason.
    mean_, scale_ : ndarray of shape (number of number and date columns,), float64
        Mean and standard deviation of these columns, in the order of the table.
    feature_names_ : tuple of str
        What the numbers of a row are called, as "color=red".
    places_ : list of list of int
        Which numbers of a row each column makes: value and sign of missing cells, or one for each category.
    layout : Layout
        The parts of a row, as an objective takes them.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"size": [1.0, 2.0, None, 3.0], "color": ["red", "blue", "red", "red"]})
    >>> columns = Columns().fit(table)
    >>> columns.feature_names_
    ('size', 'size=(missing)', 'color=blue', 'color=red')
    >>> columns.inverse_table(columns.transform(table).x).to_pylist()[1:3]
    [{'size': 2.0, 'color': 'blue'}, {'size': None, 'color': 'red'}]
    """

    def __init__(self, kinds: Mapping[str, str] | None = None, max_categories: int = 50) -> None:
        self.kinds = kinds
        self.max_categories = max_categories

    # -- fitting --------------------------------------------------------------------------------------------

    def fit(self, frame: Any, y: Any = None, *, where: str = "the table") -> Columns:
        """Learn what each column is from a DataFrame (pandas or polars) or a pyarrow Table.

        `where` is what messages call the table.

        Raises
        ------
        DataError
            If there are no rows, a column has numbers with mistakes among them, two have one name, or none
            is of any use.
        ParameterError
        """
        table = _named(frame, where)
        kinds = self._checked(table.column_names, where)
        found: list[Column] = []
        left_out: dict[str, str] = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            kind = kinds.get(name)
            what: Column | str = NOT_WANTED
            if kind != "leave out":
                what = recognized(name, column, where, kind, self.max_categories)
            if isinstance(what, Column):
                found.append(what)
            else:
                left_out[name] = what
        if not found:
            reasons = "; ".join(f"{name!r} {reason}" for name, reason in list(left_out.items())[:3])
            raise DataError(f"no column of {where} can be learned from: {reasons}")
        scaled = [each.read(table[each.name], where) for each in found if each.kind in ("number", "date")]
        scaler = StandardScaler().fit(np.stack(scaled, axis=1)) if scaled else None
        mean, scale = (np.zeros(0), np.ones(0)) if scaler is None else (scaler.mean_, scaler.scale_)
        self._set(tuple(found), left_out, mean, scale)
        x = self._rows(table, where)
        means: NDArray[np.float64] = np.nanmean(x, axis=0, dtype=np.float64)
        self._means = tuple(means.tolist())
        return self

    def _checked(self, names: list[str], where: str) -> dict[str, str]:
        kinds, allowed = dict(self.kinds or {}), (*KINDS, "leave out")
        for name, kind in kinds.items():
            if name not in names:
                raise ParameterError(
                    f"The 'kinds' parameter names a column {name!r}, and {where} has no column {name!r}: "
                    f"{listed(names)}"
                )
            if kind not in allowed:
                raise ParameterError(
                    f"The 'kinds' parameter must give each column one of {', '.join(allowed)}. "
                    f"Got {kind!r} for {name!r} instead."
                )
        check_parameter(self, "max_categories", whole(self.max_categories, 2), "an integer of at least 2")
        return kinds

    def _set(
        self,
        columns: tuple[Column, ...],
        left_out: dict[str, str],
        mean: NDArray[np.float64],
        scale: NDArray[np.float64],
    ) -> None:
        """Take what was learned, and name the numbers of a row: numbers, flags, then categories."""
        self.columns_, self.left_out_, self.mean_, self.scale_ = columns, left_out, mean, scale
        each = list(enumerate(columns))
        scaled = [(i, column) for i, column in each if column.kind in ("number", "date")]
        flags = [(i, column) for i, column in each if column.kind == "flag"]
        words = [(i, column) for i, column in each if column.kind == "category"]
        made = [(i, column.name) for i, column in scaled]
        made += [(i, f"{column.name}={shown(MISSING)}") for i, column in (*scaled, *flags) if column.missing]
        made += [(i, column.name) for i, column in flags]
        made += [(i, f"{column.name}={shown(word)}") for i, column in words for word in column.group]
        self._owners = tuple(i for i, _ in made)
        self.feature_names_ = tuple(_distinct([name for _, name in made]))
        owners = np.array(self._owners)
        self.places_ = [np.flatnonzero(owners == i).tolist() for i, _ in each]
        for i, _ in flags:
            self.places_[i].reverse()  # signs of missing cells lie before booleans

    # -- what it says ---------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the table's own columns, of those in use."""
        check_is_fitted(self)
        return tuple(column.name for column in self.columns_)

    @property
    def layout(self) -> Layout:
        """The parts of a row, as an objective takes them."""
        check_is_fitted(self)
        groups = tuple(len(column.group) for column in self.columns_ if column.kind == "category")
        numbers = len(self.mean_)
        return Layout(numbers, len(self._owners) - numbers - sum(groups), groups, self._owners, self._means)

    def summary(self) -> str:
        """Say in a few lines which columns are taken as what, and which are left out."""
        check_is_fitted(self)
        said = []
        for kind, plural in zip(KINDS, ("numbers", "dates", "booleans", "categories"), strict=True):
            names = [column.name for column in self.columns_ if column.kind == kind]
            if names:
                said.append(f"{plural}: {listed(names)}")
        return "\n".join([f"columns taken as {'; '.join(said)}", *self.left_out_text().splitlines()])

    def left_out_text(self) -> str:
        """Say which columns are left out, and why."""
        reasons = (f"column {name!r} is left out: it {reason}" for name, reason in self.left_out_.items())
        return "\n".join(reasons)

    # -- both ways ------------------------------------------------------------------------------------------

    def transform(self, frame: Any, *, where: str = "the table") -> Data:
        """Rows of numbers, (n, d) float32 with NaN for what is missing, under their names.

        Columns may come in another order, and others beside them. A word that is not among the categories is
        taken for one of the rarer ones or, where these are none, for no category at all.

        Raises
        ------
        DataError
            If a column is absent, or a cell does not fit its kind.
        """
        check_is_fitted(self)
        table = _named(frame, where)
        absent = [name for name in self.names if name not in table.column_names]
        if absent:
            raise DataError(
                f"{where} has no column {absent[0]!r}, which was there in training; its columns: "
                f"{listed(table.column_names)}"
            )
        x = self._rows(table, where)
        return Data(x, names=self.feature_names_, source=where, missing=True, columns=self)

    def fit_transform(self, frame: Any, y: Any = None) -> Data:
        """`fit`, then `transform`."""
        return self.fit(frame).transform(frame)

    def _rows(self, table: pa.Table, where: str) -> NDArray[np.float32]:
        x = np.zeros((table.num_rows, len(self.feature_names_)), np.float32)
        for column, own in zip(self.columns_, self.places_, strict=True):
            values = column.read(table[column.name], where)
            if column.kind == "category":
                known = np.flatnonzero(values >= 0)
                x[known, own[0] + values[known]] = 1.0
                # Not known, rather than none of the categories.
                x[values == NOT_KNOWN, own[0] : own[-1] + 1] = np.nan
                continue
            if column.missing:
                x[:, own[1]] = np.isnan(values)
            if column.kind != "flag":
                values = (values - self.mean_[own[0]]) / self.scale_[own[0]]
            x[:, own[0]] = values.clip(-FARTHEST, FARTHEST)
        return x

    def inverse_table(self, matrix: Any) -> pa.Table:
        """Rows of numbers (n, d), or of probabilities, as a pyarrow Table: own columns, types, units.

        A category is the most probable one, a boolean true from ½ on; whole numbers are rounded. A cell is
        missing where that is more probable than not.

        Raises
        ------
        DataError
            If the rows are not of d numbers.
        """
        check_is_fitted(self)
        x = np.asarray(matrix, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.feature_names_):
            raise DataError(
                f"rows of these columns have {len(self.feature_names_)} numbers. Got the shape {x.shape} "
                "instead."
            )
        found = {}
        for column, own in zip(self.columns_, self.places_, strict=True):
            if column.kind == "category":
                values = column.most_probable(x[:, own])
            else:
                values = x[:, own[0]]
                if column.kind != "flag":
                    values = values * self.scale_[own[0]] + self.mean_[own[0]]
                if column.missing:
                    values = np.where(x[:, own[1]] > 0.5, np.nan, values)
            found[column.name] = column.cells(values)
        return pa.table(found)

    def inverse_transform(self, matrix: Any, *, index: Any = None) -> Any:
        """`inverse_table` as a pandas DataFrame; where pandas is not installed, the pyarrow Table.

        `index` is that of the DataFrame.
        """
        table = self.inverse_table(matrix)
        try:
            import pandas  # noqa: F401
        except ImportError:
            return table
        frame = table.to_pandas(date_as_object=False)
        if index is not None:
            frame.index = index
        return frame

    # -- JSON -----------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Everything that was learned, of which `from_json` makes the same again."""
        check_is_fitted(self)
        scaler = {"mean": self.mean_.tolist(), "scale": self.scale_.tolist()}
        return {
            "format": FORMAT,
            "kinds": dict(self.kinds or {}),
            "columns": [asdict(column) | {"values": list(column.values)} for column in self.columns_],
            "left_out": dict(self.left_out_),
            "means": list(self._means),
            "scaler": scaler if len(self.mean_) else None,
        }

    @classmethod
    def from_json(cls, state: Any) -> Columns:
        """The fitted Columns of which `to_json` made `state`, or an earlier codeword.

        Raises
        ------
        ModelError
            If something is missing, unknown or of a value that it cannot have.
        """
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        if found != FORMAT:
            raise ModelError(
                f"columns.json: the format is {found!r}, and this codeword reads {FORMAT}; upgrade it"
            )
        try:
            # The first folders had no kinds; all of them a version of scikit-learn.
            known = {"kinds": {}} | {key: value for key, value in state.items() if key != "scikit-learn"}
            if set(known) != KEYS:
                raise ValueError(f"unknown or missing: {sorted(set(known) ^ KEYS)}")
            columns = tuple(Column.from_json(each) for each in known["columns"])
            names = {column.name for column in columns}
            if not columns or len(names) < len(columns):
                raise ValueError("no columns, or two of one name")
            numbers = sum(column.kind in ("number", "date") for column in columns)
            scaler = {"mean": [], "scale": []} if known["scaler"] is None else dict(known["scaler"])
            mean, scale = (_floats(scaler.pop(key), numbers) for key in ("mean", "scale"))
            if min(scale, default=1.0) <= 0 or set(scaler) - {"variance", "rows"}:
                raise ValueError("the scaler")
            made = cls({str(name): str(kind) for name, kind in known["kinds"].items()} or None)
            left_out = {str(name): str(reason) for name, reason in known["left_out"].items()}
            made._set(columns, left_out, np.array(mean), np.array(scale))
            made._means = tuple(_floats(known["means"], len(made.feature_names_)))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(
                f"columns.json: a part is missing or cannot be ({shortened(error)}); train or copy the model "
                "again"
            ) from None
        return made


def _distinct(names: list[str]) -> list[str]:
    """The names, those that come again with a number."""
    found: dict[str, None] = {}
    for name in names:
        new, count = name, 1
        while new in found:
            count += 1
            new = f"{name} ({count})"
        found[new] = None
    return list(found)


def _floats(values: Any, length: int) -> list[float]:
    """A list of JSON as finite numbers, so many of them, or ValueError or TypeError."""
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise TypeError("a list of numbers that is none")
    found = [float(value) for value in values]
    if len(found) != length or not all(map(math.isfinite, found)):
        raise ValueError("numbers that are not finite, or too few or too many of them")
    return found


def fitted_columns(table: Any, kinds: Mapping[str, str] | None = None, where: str = "the table") -> Columns:
    """`Columns` fitted on a mixed table, with a warning of what they leave out unasked."""
    columns = Columns(kinds).fit(table, where=where)
    if any(reason != NOT_WANTED for reason in columns.left_out_.values()):
        warnings.warn(columns.left_out_text(), stacklevel=2)
    return columns


def _named(frame: Any, where: str) -> pa.Table:
    """A frame as a pyarrow Table of at least one row, with columns of different names."""
    table = arrow_table(frame)
    check_names(table.column_names, table.num_rows, None, where)
    return table
