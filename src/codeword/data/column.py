"""One column of a table: its kind, its cells as values that scikit-learn takes, and values as cells again."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.text import shortened
from codeword.data.tables import (
    NUMBER,
    decoded,
    is_number,
    is_text,
    is_time,
    nearly_numbers,
    parsed,
)
from codeword.data.types import range_of, ticks_of, times_of_text, type_of, whole_limits

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KINDS", "MISSING", "OTHER", "Column", "look", "shown"]

KINDS = ("number", "date", "flag", "category")

MISSING, OTHER = "\0missing", "\0other"
"""Stand among the categories for cells without a value, and for all the rarer words: see `shown`."""

FEW = 20
"""So many words are categories in any table, however few its rows."""

LARGEST = 1e150
"""Of numbers whose squares still are numbers."""

_ISO_DATE = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?$"


@dataclass(frozen=True)
class Column:
    """What is known of a column.

    Parameters
    ----------
    name : str
    kind : {"number", "date", "flag", "category"}
        `flag` is a boolean; `date` any point or stretch of time.
    type : str
        The pyarrow type of its cells; of categories, that of the values.
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

    @property
    def group(self) -> tuple[str, ...]:
        """The categories, with those that stand for missing cells and for rarer words."""
        return (*self.values, *(MISSING,) * self.missing, *(OTHER,) * self.other)

    @property
    def arrow_type(self) -> pa.DataType:
        """What `cells` gives."""
        import pyarrow as pa

        made = type_of(self.type)
        return pa.dictionary(pa.int32(), made, ordered=self.encoded == "ordered") if self.encoded else made

    def read(self, column: Any, where: str) -> NDArray[Any]:
        """Cells as values: float64 with NaN, of dates in their own unit; of categories text or None.

        Raises
        ------
        DataError
            If a cell does not fit the column's kind; it names the row.
        """
        column = decoded(column)
        if self.kind == "category":
            return _words(column)
        if self.kind == "date":
            return _floats(ticks_of(self._in_time(column, where)))
        if is_text(column.type):
            numbers, row = parsed(column)
            if numbers is None:
                raise self._alien(where, row, column)
            column = numbers
        if not is_number(column.type):
            raise self._alien(where, _filled(column), column)
        values = _floats(column)
        bad = (
            np.abs(values) > LARGEST
            if self.kind == "number"
            else ~np.isin(values, (0, 1)) & (values == values)
        )
        if bad.any():
            raise self._alien(where, int(bad.argmax()), column)
        return values

    def cells(self, values: NDArray[Any]) -> pa.Array:
        """Values as cells of the column's own type: NaN and None become missing, whole numbers whole."""
        import pyarrow as pa

        if self.kind == "category":
            return self._categories(values)
        gone = np.isnan(values)
        values = np.where(gone, 0.0, values)
        own = type_of(self.type)
        if self.kind == "flag":
            return pa.array(values >= 0.5, mask=gone)
        if self.kind == "number":
            if pa.types.is_integer(own):
                values = np.round(values).clip(*whole_limits(own))
            return pa.array(values.astype(own.to_pandas_dtype()), own, mask=gone)
        ticks = np.round(values.clip(*range_of(own))).astype(np.int64)
        return pa.array(ticks.astype(np.int32) if own.bit_width == 32 else ticks, mask=gone).cast(own)

    def _in_time(self, column: Any, where: str) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        own = type_of(self.type)
        if column.null_count == len(column):
            return pa.chunked_array([pa.nulls(len(column), own)])
        found = column
        try:
            if is_text(column.type):
                found = times_of_text(column, own)
            if pa.types.is_duration(own) and pa.types.is_integer(found.type):
                found = found.cast(pa.int64())  # so many of its own unit, as a CSV file has them
            elif not is_time(found.type):
                raise self._alien(where, _filled(column), column)
            if pa.types.is_timestamp(found.type) and found.type.tz is None and getattr(own, "tz", None):
                found = pc.assume_timezone(found, own.tz, ambiguous="earliest", nonexistent="latest")
            return found.cast(own, safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise self._alien(where, _filled(column), column) from None

    def _alien(self, where: str, row: int, column: Any) -> DataError:
        expected = {"number": "a finite number", "date": f"a date ({self.type})", "flag": "true or false"}
        return DataError(
            f"{where}: row {row + 1}, column {self.name!r} holds {shortened(repr(column[row].as_py()), 40)}: "
            f"expected {expected[self.kind]}; correct it or drop the column"
        )

    def _categories(self, values: NDArray[Any]) -> pa.Array:
        import pyarrow as pa

        own = type_of(self.type)
        # Among numbers there is no word for the rarer ones.
        known = [*self.values, *(shown(OTHER),) * (self.other and is_text(own))]
        places = {word: i for i, word in enumerate([*self.values, OTHER][: len(known)])}
        indices = pa.array([places.get(word) for word in values], pa.int32())
        found = pa.DictionaryArray.from_arrays(indices, pa.array(known, pa.string()).cast(own))
        if not self.encoded:
            return found.cast(own)
        return pa.DictionaryArray.from_arrays(indices, found.dictionary, ordered=self.encoded == "ordered")


def shown(word: str) -> str:
    """A category as people read it."""
    return {MISSING: "(missing)", OTHER: "(other)"}.get(word, word)


def look(name: str, column: Any, where: str, kind: str | None, most: int) -> Column | str:
    """What a column is, or in words why it is left out; with `kind` it is said beforehand.

    Raises
    ------
    DataError
        If most cells are numbers, and others words; or the cells are not of the `kind`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    raw, order = column.type, _order(column)
    column = decoded(column)
    missing, type_ = column.null_count > 0, str(column.type)
    if column.null_count == len(column):
        return "holds nothing"
    if kind is None and pa.types.is_dictionary(raw):
        kind = ""
    elif kind is None:
        kind = _kind_of(column)
        if kind == "" and is_text(column.type):
            _check_words(name, column, where)
        if kind == "number" and _counts_rows(column):
            return "counts the rows"
    if kind in ("", "category"):
        if not (is_text(column.type) or is_number(column.type)):
            return f"holds {type_} values, which are neither numbers, words nor dates"
        encoded = ""
        if pa.types.is_dictionary(raw):
            encoded = "ordered" if raw.ordered else "plain"
        found = Column(name, "category", type_, missing, encoded=encoded)
        return _category(found, column, order, None if kind else FEW, most)
    if kind == "number" and not is_number(column.type):
        type_ = "double"
    elif kind == "flag":
        type_ = "bool"
    elif kind == "date" and is_text(column.type):
        days = pc.all(pc.equal(pc.utf8_length(column), len("2000-01-01"))).as_py()
        type_ = "date32[day]" if days else "timestamp[us]"
    elif kind == "date" and not is_time(column.type):
        type_ = "timestamp[s]"  # which says what was expected, where it is read
    found = Column(name, kind, type_, missing)
    return replace(found, missing=bool(np.isnan(found.read(column, where)).any()))


def _counts_rows(column: Any) -> bool:
    """Whether whole numbers go up by one from row to row, as those of a DataFrame's index in a file do."""
    import pyarrow as pa

    if not pa.types.is_integer(column.type) or column.null_count or len(column) < FEW:
        return False
    numbers = column.to_numpy()
    return bool((numbers[1:] == numbers[:-1] + 1).all())


def _filled(column: Any) -> int:
    """The first row whose cell is not missing."""
    import pyarrow.compute as pc

    return max(0, int(pc.index(pc.is_valid(column), True).as_py()))


def _kind_of(column: Any) -> str:
    """The kind that cells show by their type or, of text, by what they all spell; "" for others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_boolean(kind):
        return "flag"
    if is_number(kind):
        return "number"
    if is_time(kind):
        return "date"
    if not is_text(kind):
        return ""
    numbers, _ = parsed(column)
    if numbers is not None and numbers.null_count < len(numbers):
        return "flag" if pa.types.is_boolean(numbers.type) else "number"
    if pc.all(pc.match_substring_regex(column, _ISO_DATE)).as_py():
        try:
            column.cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            return ""
        return "date"
    return ""


def _check_words(name: str, column: Any, where: str) -> None:
    if nearly_numbers(column):
        row = parsed(column)[1]
        raise DataError(
            f"{where}: row {row + 1}, column {name!r} holds {shortened(repr(column[row].as_py()), 40)}, and "
            f"most of its cells are numbers: correct it, drop the column, or say that it is a category by "
            f"--kind {name}=category"
        )


def _category(found: Column, column: Any, order: list[str], few: int | None, most: int) -> Column | str:
    """The column with its `most` frequent categories, in their own order or else that of the alphabet.

    Text with more than `few` of them, nearly as many as cells, is left out.
    """
    import pyarrow.compute as pc

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


def _order(column: Any) -> list[str]:
    """The categories of a dictionary, in their order; none for other columns."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type) or not column.num_chunks:
        return []
    return [str(word) for word in column.unify_dictionaries().chunk(0).dictionary.to_pylist()]


def _as_text(column: Any) -> Any:
    """Cells as text; whole numbers without a point, however they came."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        gone = pc.is_nan(column)
        column = pc.if_else(gone, None, column)
        whole = pc.all(pc.equal(column, pc.round(column))).as_py()
        small = pc.all(pc.less(pc.abs(column), 2.0**53)).as_py()
        if whole and small:
            column = column.cast(pa.int64())
    return column.cast(pa.string())


def _words(column: Any) -> NDArray[Any]:
    if not (is_text(column.type) or is_number(column.type) or is_time(column.type)):
        return np.array([None if cell is None else str(cell) for cell in column.to_pylist()], dtype=object)
    return np.array(_as_text(column).to_pylist(), dtype=object)


def _floats(column: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values
