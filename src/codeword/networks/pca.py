"""The linear baseline: principal components of the training rows."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codeword.data.rows import Rows, block_length, blocks, read
from codeword.data.scaling import Scaling

MOST_ROWS = 1 << 17
"""Beyond this many rows a regular sample of blocks serves: the components no longer change visibly."""

MOST_FEATURES = 4096
"""Beyond this many features, and as many rows, a random projection serves for the covariance matrix."""


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """PCA in scaled units, with the units of x outside: what an auto-encoder has to beat.

    Parameters
    ----------
    scaling : Scaling
    mean : Tensor of shape (d,), float32, scaled units
    components : Tensor of shape (k, d), float32, orthonormal rows, largest variance first
    deviations : Tensor of shape (k,), float32
        The standard deviation of the training rows along each component, scaled units.
    residual : float, default=0
        The variance of a value that the components leave, averaged over features; known while fitting.
    """

    scaling: Scaling
    mean: Tensor
    components: Tensor
    deviations: Tensor
    residual: float = field(default=0.0, kw_only=True)

    @classmethod
    def fit(
        cls, x: Rows, scaling: Scaling, mean: np.ndarray[Any, Any], k: int, seed: int
    ) -> PrincipalComponents:
        """The first `k` components (as many as rows and features allow) of rows `x`, of shape (n, ...).

        `mean` is the mean of the scaled rows, of shape (d,).
        """
        center = torch.from_numpy(mean.astype(np.float32))
        d = len(center)
        rows = min(len(x), MOST_ROWS)
        if d <= min(rows, MOST_FEATURES):
            values, vectors = _from_covariance(x, scaling, center)
            total = float(values.sum())
        else:
            kept = min(rows, MOST_FEATURES)
            sample = torch.cat([_centered(block, scaling, center) for block in _sample(x, kept)])[:kept]
            values, vectors = _from_rows(sample, k, seed)
            total = float(sample.square().sum()) / len(sample)
        k = min(k, d, len(x))
        # The sign of a component is arbitrary: make its largest entry positive, as scikit-learn does.
        components = vectors[:, :k].T
        largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
        components = (components * torch.where(largest < 0, -1.0, 1.0)).float().contiguous()
        residual = max(0.0, total - float(values[:k].sum())) / d
        return cls(scaling, center, components, values[:k].clamp_min(0).sqrt().float(), residual=residual)

    def transform(self, x: Rows) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Rows (n, ...) in the units of x to their first k principal components (n, k)."""
        codes = _centered(np.asarray(x), self.scaling, self.mean) @ self.components.T
        return codes.numpy()

    def inverse_transform(self, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Components (n, k) to rows (n, ...) in the units of x."""
        z = torch.from_numpy(np.array(codes, dtype=np.float32))
        return self.scaling.inverse(z @ self.components + self.mean)


def _centered(rows: np.ndarray[Any, Any], scaling: Scaling, center: Tensor) -> Tensor:
    """Scaled rows without their mean, which stands for missing values."""
    centered = scaling.forward(rows) - center
    return centered.nan_to_num_(nan=0.0) if scaling.missing else centered


def _sample(x: Rows, most: int) -> Iterator[np.ndarray[Any, Any]]:
    """All blocks of x, or blocks spread evenly over it that hold about `most` rows."""
    if len(x) <= most:
        yield from (block for _, block in blocks(x))
        return
    length = max(1, min(block_length(x, 8 << 20), most // 16))
    starts = np.linspace(0, len(x) - length, -(-most // length)).astype(int)
    yield from (read(x, int(start), int(start) + length) for start in starts)


def _from_covariance(x: Rows, scaling: Scaling, center: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, largest first, and eigenvectors of the covariance matrix, summed in double precision."""
    d = len(center)
    products, n = torch.zeros(d, d, dtype=torch.float64), 0
    for block in _sample(x, MOST_ROWS):
        for start in range(0, len(block), 16384):
            rows = _centered(block[start : start + 16384], scaling, center)
            products += affine(rows.T, rows.T, None, torch.empty(d, d))
            n += len(rows)
    values, vectors = torch.linalg.eigh(products / n)
    return values.flip(0), vectors.flip(1)


def _from_rows(rows: Tensor, k: int, seed: int) -> tuple[Tensor, Tensor]:
    """The same from centered rows (n, d), of which there are few, or from their random projection.

    Halko, Martinsson & Tropp (2011), algorithm 4.4, with four power iterations.
    """
    n = len(rows)
    if n <= 1024 or k + 10 >= min(rows.shape) // 4:
        _, singular, vectors = torch.linalg.svd(rows.double(), full_matrices=False)
        return singular**2 / n, vectors.T
    probe = torch.randn(rows.shape[1], k + 10, generator=torch.Generator().manual_seed(seed))
    basis = torch.linalg.qr(rows @ probe).Q
    for _ in range(4):
        basis = torch.linalg.qr(rows @ torch.linalg.qr(rows.T @ basis).Q).Q
    _, singular, vectors = torch.linalg.svd(basis.T @ rows, full_matrices=False)
    return singular.double() ** 2 / n, vectors.T.double()


SMALL_PRODUCT = 1 << 19
"""Multiplications below which the call itself costs more than a faster product saves."""


@functools.cache
def onednn_is_faster() -> bool:
    """Say whether float32 products should go to oneDNN, which torch ships, and not to MKL, its default.

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
