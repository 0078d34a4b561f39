"""Rows through a fitted model, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from codeword.data.blocks import Rows, blocks
from codeword.data.scaling import check_finite
from codeword.errors import DataError
from codeword.objectives import Objective, resolve_objective

if TYPE_CHECKING:
    from codeword.data.scaling import Scaling
    from codeword.networks import Network

__all__ = ["Passes", "collect"]


class Passes:
    """The two directions of a fitted estimator, on flat tensors in scaled units."""

    if TYPE_CHECKING:
        objective: Any
        network_: Network
        scaling_: Scaling
        n_features_in_: int

    def _objective(self) -> Objective:
        columns = getattr(self, "columns_", None)
        return resolve_objective(self.objective, None if columns is None else columns.layout)

    def _place(self) -> torch.device:
        return next(self.network_.parameters()).device

    @torch.inference_mode()
    def _encode(self, scaled: Tensor) -> Tensor:
        return self._objective().encode(self.network_, scaled.to(self._place()))

    @torch.inference_mode()
    def _decode(self, codes: Tensor) -> Tensor:
        return self._objective().decode(self.network_, codes.to(self._place()))

    def _each(self, x: Rows, function: Callable[[Tensor], Any]) -> Iterator[Any]:
        """`function` of rows, a bounded number at a time; every pass cuts its rows alike."""
        for start, block in blocks(x, multiple=self._chunk):
            check_finite(block, start, missing=self.scaling_.missing)
            for first in range(0, len(block), self._chunk):
                rows = block[first : first + self._chunk]
                made = function(self.scaling_.forward(rows).to(self._place()))
                _check_made(made, rows, start + first)
                yield made

    def _tensors(self, z: np.ndarray[Any, Any]) -> Iterator[Tensor]:
        yield from torch.split(torch.from_numpy(np.array(z)), self._chunk)

    @property
    def _chunk(self) -> int:
        return max(1, min(4096, (1 << 23) // int(self.n_features_in_)))


def _check_made(made: Any, rows: np.ndarray[Any, Any], start: int) -> None:
    """Raise a DataError that names the row of which no numbers come; an error alone may be infinite."""
    if not isinstance(made, Tensor) or not made.is_floating_point() or made.sum().isfinite():
        return
    bad = made.isnan() if made.ndim == 1 else ~made.isfinite().flatten(1).all(dim=1)
    if bad.any():
        row = int(bad.nonzero()[0])
        largest = np.nanmax(np.abs(rows[row].astype(np.float64)))
        raise DataError(
            f"row {start + row} holds a value as large as {largest:.3g}, far beyond the rows trained on: no "
            "finite code comes of it; correct it or drop the row"
        )


def collect(parts: Iterator[Any], n: int, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Tensors or arrays of n rows in all as one array (n, *shape), float32."""
    out = np.empty((n, *shape), dtype=np.float32)
    start = 0
    for part in parts:
        out[start : start + len(part)] = part.cpu().numpy() if isinstance(part, Tensor) else part
        start += len(part)
    return out
