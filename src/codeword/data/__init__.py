"""Data: rows to learn from, and `load`, which makes them from anything."""

from codeword.data.data import Data, load

__all__ = ["Data", "load"]
