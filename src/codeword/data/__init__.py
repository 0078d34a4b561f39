"""Data: rows to learn from, and `load`, which makes them from anything."""

from codeword.data.readers import Data, load

__all__ = ["Data", "load"]
