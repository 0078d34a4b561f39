"""Codes for other programs: a Parquet file for embedding-atlas, a folder for TensorBoard's projector."""

from codeword.export.parquet import write_parquet
from codeword.export.points import Points, look
from codeword.export.projector import write_projector

__all__ = ["Points", "look", "write_parquet", "write_projector"]
