"""Codes and reconstructions from exported files, with NumPy and onnxruntime: neither torch nor codeword.

The files are those of `codeword export digits.ae --onnx digits-onnx`: give the folder, and rows as .npy.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder, rows = Path(sys.argv[1]), np.load(sys.argv[2])
encoder = onnxruntime.InferenceSession(folder / "encoder.onnx")
decoder = onnxruntime.InferenceSession(folder / "decoder.onnx")
(codes,) = encoder.run(None, {"x": rows.astype(np.float32)})
(x_hat,) = decoder.run(None, {"code": codes})
np.savez("served.npz", codes=codes, x_hat=x_hat)
print(
    f"{len(rows)} rows, {codes.shape[1]} numbers each, mean squared error {np.mean((x_hat - rows) ** 2):.4f}"
)
