"""Encode any number of rows on an engine that others keep: Ray, on one machine or on many."""

from codeword.export.fleet.run import encode_parts

__all__ = ["encode_parts"]
