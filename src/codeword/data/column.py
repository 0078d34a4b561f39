"""One column of a table: its kind, its cells as numbers, and numbers as its cells again."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.text import shortened
from codeword.data.tables import NUMBER, decoded, is_date, is_number, is_text, nearly_numbers, parsed

KINDS = ("number", "date", "flag", "category")

MISSING, OTHER = "\0missing", "\0other"
"""Stand among the categories for cells without a value, and for all the rarer words: see `shown`."""

NO_CATEGORY, NOT_KNOWN = -1, -2
"""Places of words that are no category, and of missing cells where none were missing in training."""

FEW = 20
"""So many words are categories in any table, however few its rows."""

LARGEST = 1e150
"""The largest number of a cell: its square is still a number."""

_ISO_DATE = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?$"
_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(, tz=[\w+:/-]{1,64})?\]")
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Column:
    """What is known of a column.

    Parameters
    ----------
    name : str
    kind : {"number", "date", "flag", "category"}
        `flag` is a boolean; `date` a day or a moment.
    type : str
        The pyarrow type of its cells; of categories, that of the values. Moments of any zone are in UTC.
    missing : bool
        Whether cells were missing in the rows fitted on.
    values : tuple of str, default=()
        The categories, as text.
    other : bool, default=False
        Whether rarer categories were put together as one.
    encoded : {"", "plain", "ordered"}, default=""
        Whether cells came as a dictionary of categories, and whether these were in order.
    """

    name: str
    kind: str
    type: str
    missing: bool
    values: tuple[str, ...] = ()
    other: bool = False
    encoded: str = ""

    @classmethod
    def from_json(cls, known: dict[str, Any]) -> Column:
        """The column of which `dataclasses.asdict` made `known`.

        Raises TypeError or ValueError if a part is missing or unknown, or has a value that it cannot have.
        """
        blank = asdict(cls("", "", "", missing=False)) | {"values": []}
        types = {key: type(part) for key, part in blank.items()}
        if {key: type(part) for key, part in known.items()} != types:
            raise TypeError(f"the parts of a column are {known}")
        made = cls(**{**known, "values": tuple(known["values"])})
        own, words, of_words = made.cell_type, made.values, made.kind == "category"
        fits = {
            "number": pa.types.is_integer(own) or pa.types.is_floating(own),
            "date": is_date(own),
            "flag": pa.types.is_boolean(own),
            "category": not is_date(own),
        }
        sound = bool(words) if of_words else not (words or made.other or made.encoded)
        sound = sound and len(set(words)) == len(words) and made.encoded in ("", "plain", "ordered")
        if not (fits[made.kind] and sound):
            raise ValueError(f"the kind, the type or the categories of {made.name!r}")
        made.cells(np.arange(len(words)) if of_words else np.array([0.0, math.nan]))  # shows what cannot be
        return made

    @property
    def group(self) -> tuple[str, ...]:
        """The categories, with those that stand for missing cells and for rarer words."""
        return (*self.values, *(MISSING,) * self.missing, *(OTHER,) * self.other)

    @property
    def cell_type(self) -> pa.DataType:
        """The pyarrow type of cells, or ValueError where a column cannot have it."""
        if found := _TIMESTAMP.fullmatch(self.type):
            return pa.timestamp(found[1], "UTC" if found[2] else None)
        made = pa.type_for_alias(self.type)
        if pa.types.is_null(made) or not (is_number(made) or is_text(made) or is_date(made)):
            raise ValueError(f"no column has the type {self.type!r}")
        return made

    @property
    def arrow_type(self) -> pa.DataType:
        """What `cells` gives."""
        own = self.cell_type
        return pa.dictionary(pa.int32(), own, ordered=self.encoded == "ordered") if self.encoded else own

    @property
    def per_second(self) -> float:
        """How many of what dates are counted in make a second."""
        own = self.cell_type
        return {pa.date32(): 1 / 86_400, pa.date64(): 10**3}.get(own) or _PER_SECOND[own.unit]

    @property
    def limits(self) -> tuple[float, float] | None:
        """The least and the largest float of whole numbers or of dates (years 1 to 9999), else None."""
        own = self.cell_type
        if is_date(own):
            unit = self.per_second
            return max(-719_162 * 86_400.0 * unit, -(2.0**62)), min(2_932_896 * 86_400.0 * unit, 2.0**62)
        if not pa.types.is_integer(own):
            return None
        ends = np.iinfo(own.to_pandas_dtype())
        high = float(ends.max)
        # The float next to the largest of 64 bits is one too large, and a cast would wrap around.
        return float(ends.min), high if int(high) <= ends.max else float(np.nextafter(high, 0))

    def read(self, column: Any, where: str) -> NDArray[Any]:
        """Cells as numbers: float64 with NaN, of dates in their own unit; of categories places in `group`.

        Raises DataError if a cell does not fit the column's kind; it names the row.
        """
        column = decoded(column)
        if self.kind == "category":
            return self._places(column)
        if self.kind == "date":
            return self._ticks(column, where)
        if is_text(column.type):
            numbers, row = parsed(column)
            if numbers is None:
                raise self._alien(where, row, column)
            column = numbers
        if not is_number(column.type):
            raise self._alien(where, _filled(column), column)
        values = _floats(column)
        bad = np.abs(values) > LARGEST
        if self.kind == "flag":
            bad = ~np.isin(values, (0, 1)) & ~np.isnan(values)
        if bad.any():
            raise self._alien(where, int(bad.argmax()), column)
        return values

    def cells(self, values: NDArray[Any]) -> pa.Array:
        """Numbers as cells of the column's own type: NaN and no category are missing, whole numbers whole."""
        own = self.cell_type
        if self.kind == "category":
            # Among numbers there is no word for the rarer ones.
            rarer = self.other and is_text(own)
            known = pa.array([*self.values, *(shown(OTHER),) * rarer], pa.string()).cast(own)
            places = [*range(len(self.values)), *(-1,) * self.missing, *(len(self.values) if rarer else -1,)]
            indices = np.array([*places, -1])[values]
            found = pa.DictionaryArray.from_arrays(
                pa.array(indices, pa.int32(), mask=indices < 0), known, ordered=self.encoded == "ordered"
            )
            return found if self.encoded else found.cast(own)
        gone = np.isnan(values)
        values = np.where(gone, 0.0, values)
        if self.kind == "flag":
            return pa.array(values >= 0.5, mask=gone)
        if self.limits is not None:
            values = np.round(values.clip(*self.limits))
        if self.kind == "date":
            return pa.array(values.astype(f"int{own.bit_width}"), mask=gone).cast(own)
        return pa.array(values.astype(own.to_pandas_dtype()), own, mask=gone)

    def most_probable(self, shares: NDArray[Any]) -> NDArray[Any]:
        """The place of each row's category; none where missing is more probable."""
        shares = np.nan_to_num(shares, nan=-np.inf)
        own = [i for i, word in enumerate(self.group) if word != MISSING]
        chosen: NDArray[Any] = np.array(own)[shares[:, own].argmax(axis=1)]
        # Of a missing one nothing is known; a word that was not there in training is none of them.
        chosen[~(shares > 0).any(axis=1)] = NO_CATEGORY
        if self.missing:
            chosen[shares[:, len(self.values)] > 0.5] = NO_CATEGORY
        return chosen

    def _places(self, column: Any) -> NDArray[Any]:
        words, known = _as_text(column), pa.array(self.values, pa.string())
        # Space around a word says nothing, as in a CSV file, unless two categories differ in it alone.
        if pc.count_distinct(pc.utf8_trim_whitespace(known)).as_py() == len(known):
            words, known = pc.utf8_trim_whitespace(words), pc.utf8_trim_whitespace(known)
        found = pc.index_in(words, value_set=known)
        rare = len(self.group) - 1 if self.other else NO_CATEGORY
        places = np.array(pc.fill_null(found, rare).to_numpy())
        places[words.is_null().to_numpy()] = len(self.values) if self.missing else NOT_KNOWN
        return places

    def _ticks(self, column: Any, where: str) -> NDArray[Any]:
        own, found = self.cell_type, column
        if column.null_count == len(column):
            return np.full(len(column), math.nan)
        try:
            if is_text(column.type):
                try:
                    found = column.cast(pa.timestamp("us"))
                except pa.ArrowInvalid:  # with a zone in each cell
                    found = column.cast(pa.timestamp("us", "UTC"))
            if is_date(found.type):
                return _floats(found.cast(own, safe=False).cast(f"int{own.bit_width}"))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
        raise self._alien(where, _filled(column), column)

    def _alien(self, where: str, row: int, column: Any) -> DataError:
        expected = {"number": "a finite number", "date": f"a date ({self.type})", "flag": "true or false"}
        return DataError(
            f"{where}: row {row + 1}, column {self.name!r} holds {_cell(column, row)}: expected "
            f"{expected[self.kind]}; correct it or drop the column"
        )


def shown(word: str) -> str:
    """A category as people read it."""
    return {MISSING: "(missing)", OTHER: "(other)"}.get(word, word)


def recognized(name: str, column: Any, where: str, kind: str | None, most: int) -> Column | str:
    """What a column is, or in words why it is left out; with `kind` it is said beforehand.

    Raises DataError if most cells are numbers, and others words; or the cells are not of the `kind`.
    """
    unasked, encoded = kind is None, ""
    order: list[str] = []
    if pa.types.is_dictionary(column.type) and column.num_chunks:
        encoded = "ordered" if column.type.ordered else "plain"
        order = [str(word) for word in column.unify_dictionaries().chunk(0).dictionary]
    column = decoded(column)
    type_ = str(column.type)
    if column.null_count == len(column):
        return "holds nothing"
    if kind is None:
        kind = "category" if encoded else _kind_of(name, column, where)
    if unasked and kind == "number" and _counts_rows(column):
        return "counts the rows"
    if kind == "category":
        if not (is_text(column.type) or is_number(column.type)):
            why = ", which are neither numbers nor words"
            if pa.types.is_temporal(column.type) and not is_date(column.type):
                why = ": give durations and times of day as numbers, such as hours"
            return f"holds {type_} values{why}"
        found = Column(name, kind, type_, column.null_count > 0, encoded=encoded)
        return _with_categories(found, column, order, FEW if unasked else None, most)
    if kind == "number" and (not is_number(column.type) or pa.types.is_boolean(column.type)):
        type_ = "double"
    elif kind == "flag":
        type_ = "bool"
    elif kind == "date" and not is_date(column.type):
        days = is_text(column.type) and pc.all(pc.equal(pc.utf8_length(column), len("2000-01-01"))).as_py()
        type_ = "date32[day]" if days else "timestamp[us]"
    found = Column(name, kind, type_, missing=False)
    gone = np.isnan(found.read(column, where))
    return "holds nothing" if gone.all() else replace(found, missing=bool(gone.any()))


def _kind_of(name: str, column: Any, where: str) -> str:
    """The kind that cells show by their type or, of text, by what they all spell."""
    if not is_text(column.type):
        kinds = {"flag": pa.types.is_boolean, "number": is_number, "date": is_date}
        return next((kind for kind, fits in kinds.items() if fits(column.type)), "category")
    numbers, row = parsed(column)
    if numbers is not None and numbers.null_count < len(numbers):
        return "flag" if pa.types.is_boolean(numbers.type) else "number"
    if nearly_numbers(column):
        raise DataError(
            f"{where}: row {row + 1}, column {name!r} holds {_cell(column, row)}, and most of its cells are "
            f"numbers: correct it, drop the column, or say that it is a category by --kind {name}=category"
        )
    if pc.all(pc.match_substring_regex(column, _ISO_DATE)).as_py():
        with suppress(pa.ArrowInvalid):
            column.cast(pa.timestamp("us"))
            return "date"
    return "category"


def _with_categories(
    found: Column, column: Any, order: list[str], few: int | None, most: int
) -> Column | str:
    """The column with its `most` frequent categories, in their own order or else that of the alphabet.

    Text with more than `few` of them, nearly as many as cells, is left out.
    """
    counted = pc.value_counts(pc.drop_null(_as_text(column)))
    counts = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
    known = len(column) - column.null_count
    if few is not None and len(counts) > max(few, known / 2):
        return (
            f"holds {len(counts):,} different texts in {known:,} cells: names, numbers of rows or free text "
            "say nothing that rows have in common"
        )
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:most]
    places: dict[str, Any] = {word: i for i, word in enumerate(order)}
    if not places and all(re.fullmatch(NUMBER, word) for word in frequent):
        places = {word: float(word) for word in frequent}
    words = sorted(frequent, key=lambda word: (places.get(word, 0), word))
    return replace(found, values=tuple(words), other=len(counts) > most)


def _counts_rows(column: Any) -> bool:
    """Whether whole numbers go up by one from row to row, as those of a DataFrame's index in a file do."""
    if not pa.types.is_integer(column.type) or column.null_count or len(column) < FEW:
        return False
    numbers = column.to_numpy()
    return bool((numbers[1:] == numbers[:-1] + 1).all())


def _filled(column: Any) -> int:
    """The first row whose cell is not missing."""
    return max(0, int(pc.index(pc.is_valid(column), True).as_py()))


def _cell(column: Any, row: int) -> str:
    return shortened(repr(column[row].as_py()), 40)


def _as_text(column: Any) -> Any:
    """Cells as text; whole numbers without a point, however they came."""
    if not (is_text(column.type) or is_number(column.type) or is_date(column.type)):
        text = [None if cell is None else str(cell) for cell in column.to_pylist()]
        return pa.chunked_array([pa.array(text, pa.string())])
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        whole = pc.equal(column, pc.round(column))
        if pc.all(pc.and_(whole, pc.less(pc.abs(column), 2.0**53))).as_py():
            column = column.cast(pa.int64())
    return column.cast(pa.string())


def _floats(column: Any) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values
