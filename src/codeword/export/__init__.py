"""For other programs: codes for embedding-atlas and TensorBoard's projector, the model itself in ONNX."""

from codeword.export.onnx import write_onnx
from codeword.export.parquet import write_parquet
from codeword.export.points import Points, look
from codeword.export.projector import write_projector

__all__ = ["Points", "look", "write_onnx", "write_parquet", "write_projector"]
