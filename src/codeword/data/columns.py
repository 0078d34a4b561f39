"""A table of mixed columns to rows of numbers, and rows of numbers to the table's own columns and units."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from codeword.base.errors import DataError, ModelError, ParameterError
from codeword.base.text import listed
from codeword.data import Data
from codeword.data.column import KINDS, MISSING, Column, look, shown
from codeword.data.preprocessing import distinct, gaps, make_transformer, most_probable, stack
from codeword.data.tables import arrow_table
from codeword.data.told import check_told

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Columns", "Layout", "fitted_columns"]

FORMAT = 1
"""Of columns.json; raised when an older codeword could no longer read what is written."""

ROWS_AT_ONCE = 1 << 14

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

    Numbers, and dates in their own unit, go through scikit-learn's `StandardScaler`, booleans through its
    `OrdinalEncoder`, categories through its `OneHotEncoder`; where cells were missing, its `MissingIndicator`
    adds a 1 or a 0. A missing number, date or boolean stays NaN, and missing categories are one of their own.
    Columns of names, row numbers and free text are left out, with a warning.

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
    transformer_ : sklearn.compose.ColumnTransformer
        Takes numbers, dates and booleans as floats and categories as text, in the order of `inputs_`.
    inputs_ : list of str
        The columns in the order in which `transformer_` takes them.
    feature_names_ : tuple of str
        What the numbers of a row are called, as "colour=red".
    layout : Layout
        The parts of a row, as an objective takes them.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"size": [1.0, 2.0, None, 3.0], "colour": ["red", "blue", "red", "red"]})
    >>> columns = Columns().fit(table)
    >>> columns.feature_names_
    ('size', 'size=(missing)', 'colour=blue', 'colour=red')
    >>> columns.inverse_table(columns.transform(table).x).to_pylist()[1:3]
    [{'size': 2.0, 'colour': 'blue'}, {'size': None, 'colour': 'red'}]
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
        table = arrow_table(frame)
        _check_table(table)
        kinds = self._checked(table, where)
        found: list[Column] = []
        left_out: dict[str, str] = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            kind = kinds.get(name)
            if kind == "leave out":
                left_out[name] = NOT_WANTED
                continue
            what = look(name, column, where, kind, self.max_categories)
            if isinstance(what, Column):
                found.append(what)
            else:
                left_out[name] = what
        if not found:
            reasons = "; ".join(f"{name!r} {reason}" for name, reason in list(left_out.items())[:3])
            raise DataError(f"no column of {where} can be learnt from: {reasons}")
        self._take(tuple(found), left_out)
        self._fit_scaler(table, where)
        means = np.zeros(len(self.feature_names_))
        counts = np.zeros(len(self.feature_names_))
        for block in self._blocks(table, where):
            means += np.nansum(block, axis=0, dtype=np.float64)
            counts += (~np.isnan(block)).sum(axis=0)
        self._means = tuple((means / np.maximum(counts, 1)).tolist())
        return self

    def _checked(self, table: pa.Table, where: str) -> dict[str, str]:
        kinds, allowed = dict(self.kinds or {}), (*KINDS, "leave out")
        for name, kind in kinds.items():
            if name not in table.column_names:
                raise ParameterError(
                    f"The 'kinds' parameter names a column {name!r}, and {where} has no column {name!r}: "
                    f"{listed(table.column_names)}"
                )
            if kind not in allowed:
                raise ParameterError(
                    f"The 'kinds' parameter must give each column one of {', '.join(allowed)}. "
                    f"Got {kind!r} for {name!r} instead."
                )
        most = self.max_categories
        if not isinstance(most, int) or isinstance(most, bool) or most < 2:
            raise ParameterError(
                f"The 'max_categories' parameter of Columns must be an integer of at least 2. Got {most!r} "
                "instead."
            )
        return kinds

    def _fit_scaler(self, table: pa.Table, where: str) -> None:
        scaled = self._of("number", "date")
        if not scaled:
            return
        values = np.stack([column.read(table[column.name], where) for column in scaled], axis=1)
        scaler = StandardScaler().fit(values)
        self._set_scaler(scaler.mean_, scaler.var_, scaler.scale_, scaler.n_samples_seen_)

    def _set_scaler(self, mean: Any, variance: Any, scale: Any, seen: Any) -> None:
        scaler = self.transformer_.named_transformers_["numbers"]
        scaler.mean_, scaler.var_, scaler.scale_ = (
            np.asarray(a, np.float64) for a in (mean, variance, scale)
        )
        scaler.n_samples_seen_ = np.asarray(seen) if np.ndim(seen) else np.int64(seen)

    def _take(self, columns: tuple[Column, ...], left_out: dict[str, str]) -> None:
        """Take these columns over, and what follows from them."""
        self.__dict__.pop("layout", None)
        self.columns_, self.left_out_ = columns, left_out
        scaled, flags, words = self._of("number", "date"), self._of("flag"), self._of("category")
        self.inputs_ = [column.name for column in (*scaled, *flags, *words)]
        self._absent = [i for i, column in enumerate((*scaled, *flags)) if column.missing]
        self.transformer_ = make_transformer(
            len(scaled), len(flags), [column.group for column in words], self._absent
        )
        names = [column.name for column in scaled]
        names += [f"{self.inputs_[i]}={shown(MISSING)}" for i in self._absent]
        names += [column.name for column in flags]
        names += [f"{column.name}={shown(word)}" for column in words for word in column.group]
        self.feature_names_ = tuple(distinct(names))

    def _of(self, *kinds: str) -> list[Column]:
        return [column for column in self.columns_ if column.kind in kinds]

    # -- what it says ---------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the table's own columns, of those in use."""
        check_is_fitted(self)
        return tuple(column.name for column in self.columns_)

    @property
    def words(self) -> frozenset[str]:
        """The names of the columns whose cells are text, whatever that looks like in some row."""
        text = ("string", "large_string")
        return frozenset(each.name for each in self.columns_ if each.kind == "category" and each.type in text)

    @cached_property
    def layout(self) -> Layout:
        """The parts of a row, as an objective takes them."""
        check_is_fitted(self)
        places = {name: i for i, name in enumerate(self.names)}
        scaled, flags, words = self._of("number", "date"), self._of("flag"), self._of("category")
        owners = [places[column.name] for column in scaled]
        owners += [places[self.inputs_[i]] for i in self._absent]
        owners += [places[column.name] for column in flags]
        owners += [places[column.name] for column in words for _ in column.group]
        groups = tuple(len(column.group) for column in words)
        return Layout(len(scaled), len(self._absent) + len(flags), groups, tuple(owners), self._means)

    def summary(self) -> str:
        """Say in a few lines which columns are taken as what, and which are left out."""
        check_is_fitted(self)
        said = []
        for kind, plural in zip(KINDS, ("numbers", "dates", "booleans", "categories"), strict=True):
            names = [column.name for column in self._of(kind)]
            if names:
                said.append(f"{plural}: {listed(names)}")
        lines = [f"columns taken as {'; '.join(said)}"]
        return "\n".join([*lines, *([self.left_out_text()] if self.left_out_ else [])])

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
        table = arrow_table(frame)
        _check_table(table)
        absent = [name for name in self.names if name not in table.column_names]
        if absent:
            raise DataError(
                f"{where} has no column {absent[0]!r}, which was there in training; its columns: "
                f"{listed(table.column_names)}"
            )
        x = np.concatenate(list(self._blocks(table, where)))
        return Data(x, names=self.feature_names_, source=where, missing=True, columns=self)

    def fit_transform(self, frame: Any, y: Any = None) -> Data:
        """`fit`, then `transform`."""
        return self.fit(frame).transform(frame)

    def _blocks(self, table: pa.Table, where: str) -> Any:
        known = {column.name: column for column in self.columns_}
        columns = [known[name] for name in self.inputs_]
        values = [column.read(table[column.name], where) for column in columns]
        for start in range(0, table.num_rows, ROWS_AT_ONCE):
            part = [each[start : start + ROWS_AT_ONCE] for each in values]
            x = np.asarray(self.transformer_.transform(stack(part, columns)), dtype=np.float64)
            self._forget(x, part, columns)
            yield x.clip(-FARTHEST, FARTHEST).astype(np.float32)

    def _forget(self, x: NDArray[Any], part: list[NDArray[Any]], columns: list[Column]) -> None:
        """A missing category of a column that had none missing is not known, rather than none of them."""
        first = x.shape[1] - sum(len(column.group) for column in columns if column.kind == "category")
        for column, words in zip(columns, part, strict=True):
            if column.kind != "category":
                continue
            if not column.missing:
                gone = gaps(words)
                x[gone, first : first + len(column.group)] = np.nan
            first += len(column.group)

    def inverse_table(self, matrix: Any, *, fill: bool = False) -> pa.Table:
        """Rows of numbers (n, d), or of probabilities, as a pyarrow Table: own columns, types, units.

        A category is the most probable one, a boolean true from ½ on; whole numbers are rounded. A cell is
        missing where that is more probable than not, unless `fill`, which takes the most probable value.

        Raises
        ------
        DataError
            If the rows are not of d numbers.
        """
        import pyarrow as pa

        check_is_fitted(self)
        x = np.asarray(matrix, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.feature_names_):
            raise DataError(
                f"rows of these columns have {len(self.feature_names_)} numbers. Got the shape {x.shape} "
                "instead."
            )
        layout, found = self.layout, {}
        scaled, flags, words = self._of("number", "date"), self._of("flag"), self._of("category")
        first = layout.numbers + layout.flags
        values = x[:, : len(scaled)]
        if scaled:
            values = self.transformer_.named_transformers_["numbers"].inverse_transform(values)
        plain = np.concatenate([values, x[:, first - len(flags) : first]], axis=1)
        if not fill:
            for place, i in enumerate(self._absent):
                plain[x[:, len(scaled) + place] > 0.5, i] = np.nan
        for column, cells in zip((*scaled, *flags), plain.T, strict=True):
            found[column.name] = column.cells(cells)
        for column in words:
            found[column.name] = column.cells(most_probable(column, x[:, first:], fill=fill))
            first += len(column.group)
        return pa.table({name: found[name] for name in self.names})

    def schema(self, *, plain: bool = False) -> pa.Schema:
        """What `inverse_table` gives; `plain` has for each column a type that a CSV file can hold."""
        import pyarrow as pa

        def type_(column: Column) -> pa.DataType:
            own = column.arrow_type
            if plain and column.encoded:
                return own.value_type
            return pa.int64() if plain and pa.types.is_duration(own) else own

        return pa.schema([(column.name, type_(column)) for column in self.columns_])

    def inverse_transform(self, matrix: Any, *, fill: bool = False, index: Any = None) -> Any:
        """`inverse_table` as a pandas DataFrame; where pandas is not installed, the pyarrow Table.

        `index` is that of the DataFrame.
        """
        table = self.inverse_table(matrix, fill=fill)
        try:
            import pandas  # noqa: F401
        except ImportError:
            return table
        frame = table.to_pandas(date_as_object=False)
        if index is not None:
            frame.index = index
        return frame

    def by_column(self, values: NDArray[Any]) -> NDArray[Any]:
        """Shares of the numbers of rows, (n, d), summed to the own columns: (n, number of these)."""
        sums = np.zeros((len(values), len(self.names)), dtype=values.dtype)
        np.add.at(sums.T, np.array(self.layout.owners), values.T)
        return sums

    # -- JSON -----------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Everything that was learnt, of which `from_json` makes the same again."""
        check_is_fitted(self)
        import sklearn

        state: dict[str, Any] = {
            "format": FORMAT,
            "scikit-learn": sklearn.__version__,
            "kinds": dict(self.kinds or {}),
            "columns": [asdict(column) | {"values": list(column.values)} for column in self.columns_],
            "left_out": dict(self.left_out_),
            "means": list(self._means),
            "scaler": None,
        }
        if self._of("number", "date"):
            scaler = self.transformer_.named_transformers_["numbers"]
            state["scaler"] = {
                "mean": scaler.mean_.tolist(),
                "variance": scaler.var_.tolist(),
                "scale": scaler.scale_.tolist(),
                "rows": np.asarray(scaler.n_samples_seen_).tolist(),
            }
        return state

    @classmethod
    def from_json(cls, state: Any) -> Columns:
        """The fitted Columns that `to_json` told of.

        Its scikit-learn objects are made anew by the installed version, and given the figures.

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
            told = check_told(state)
            made = cls(told.kinds or None)
            made._take(told.columns, told.left_out)
            made._means = told.means
            if told.scaler is not None:
                made._set_scaler(*told.scaler)
            if len(made._means) != len(made.feature_names_):
                raise ValueError("too few or too many means")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(
                f"columns.json: a part is missing or cannot be ({reason}); train or copy the model again"
            ) from None
        return made


def fitted_columns(table: Any, kinds: Mapping[str, str] | None = None, where: str = "the table") -> Columns:
    """`Columns` fitted on a mixed table, with a warning of what they leave out unasked."""
    columns = Columns(kinds).fit(table, where=where)
    if any(reason != NOT_WANTED for reason in columns.left_out_.values()):
        warnings.warn(columns.left_out_text(), stacklevel=2)
    return columns


def _check_table(table: pa.Table) -> None:
    names = table.column_names
    if not table.num_rows or not names:
        raise DataError(
            f"the table has {table.num_rows} rows and {len(names)} columns: give at least one of each"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the table has two columns called {twice!r}: rename one")
