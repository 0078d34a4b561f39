"""For other programs: codes for embedding-atlas, the model itself in ONNX."""

from codeword.export.onnx import write_onnx
from codeword.export.parquet import write_parquet

__all__ = ["write_onnx", "write_parquet"]
