"""Shuffled batches of rows, in scaled units, on the training device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from codeword.data.scaling import Scaling

__all__ = ["Batches", "ResidentBatches"]

GATHER_ROWS = 2048
"""Rows gathered and scaled in one go: the cost of each call is shared by many small batches."""


class Batches(Protocol):
    """Rows that can be walked over in a new order each epoch."""

    n: int

    def epoch(self, seed: int, batch_size: int, first: int = 0) -> Iterator[Tensor]:
        """Batches (b, d) from the batch numbered `first` on; the order depends on `seed` alone."""
        ...

    def in_order(self, batch_size: int) -> Iterator[Tensor]:
        """The same rows, unshuffled."""
        ...


class ResidentBatches:
    """Rows that lie on the device as one tensor: a batch is an index, no loader and no worker.

    uint8 rows stay uint8, a quarter of the memory, and are scaled as they are gathered.
    """

    def __init__(self, rows: Tensor, scaling: Scaling) -> None:
        self.rows, self.scaling = rows, scaling
        self.n = len(rows)

    def epoch(self, seed: int, batch_size: int, first: int = 0) -> Iterator[Tensor]:
        """See `Batches.epoch`."""
        order = torch.randperm(self.n, generator=torch.Generator().manual_seed(seed)).to(self.rows.device)
        yield from self._gather(order[first * batch_size :], batch_size)

    def in_order(self, batch_size: int) -> Iterator[Tensor]:
        """See `Batches.in_order`."""
        yield from self._gather(torch.arange(self.n, device=self.rows.device), batch_size)

    def _gather(self, order: Tensor, batch_size: int) -> Iterator[Tensor]:
        length = max(1, GATHER_ROWS // batch_size) * batch_size
        for index in torch.split(order, length):
            rows = self.rows.index_select(0, index)
            if rows.dtype == torch.uint8:
                rows = self.scaling.finish(rows)
            yield from torch.split(rows, batch_size)
