"""Tables of numbers, categories, booleans, dates and missing values, as rows of numbers and back."""

from codeword.columns.table import Columns

__all__ = ["Columns"]
