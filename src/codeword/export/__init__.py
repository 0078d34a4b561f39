"""For other programs: codes for embedding-atlas, the model itself in ONNX."""

from codeword.export.onnx import write_onnx
from codeword.export.parquet import write_parquet
from codeword.export.points import Points, look

__all__ = ["Points", "look", "write_onnx", "write_parquet"]
