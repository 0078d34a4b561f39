"""Matrix products by the faster of the libraries that torch ships."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["affine", "onednn_is_faster"]

SMALL_PRODUCT = 1 << 19
"""Multiplications below which the call itself costs more than a faster product saves."""


@functools.cache
def onednn_is_faster() -> bool:
    """Whether float32 products should go to oneDNN, which torch ships, and not to MKL, its default.

    MKL keeps its AVX-512 kernels for Intel's processors; on AMD's, oneDNN's are about twice as fast.
    """
    cpuinfo = Path("/proc/cpuinfo")
    maker = cpuinfo.read_text()[:4000] if cpuinfo.exists() else platform.processor()
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    # The operator that torch's own compiler calls; a version that lacks it keeps to MKL.
    return "AMD" in maker and wide and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def affine(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
    """x weightᵀ + bias on a CPU, float32, without autograd; in `out` or in a tensor of its own."""
    if onednn_is_faster() and x.shape[0] * weight.numel() >= SMALL_PRODUCT:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return y
    return torch.mm(x, weight.t(), out=out) if bias is None else torch.addmm(bias, x, weight.t(), out=out)
