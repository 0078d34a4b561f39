"""Shuffled batches of rows, in scaled units, on the training device.

Rows that fit lie on the device as one tensor (`ResidentBatches`). Rows that do not are read in shuffled
blocks by one thread that keeps a window ahead (`StreamedBatches`); memory then holds three windows, whatever
the size of the file.
"""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from codeword.data.rows import Rows, Selected, block_length, blocks, check_finite, hand_back, read
from codeword.data.scaling import Scaling
from codeword.training.distributed import ALONE, ProcessGroup

GATHER_ROWS = 2048
GATHER_VALUES = 1 << 24
"""Rows, and values, gathered and scaled in one go: the cost of each call is shared by many small batches."""

BLOCK_BYTES = 1 << 20
"""Read at once: large enough that a disk does not notice the shuffling."""

WINDOW_BYTES = 64 << 20
"""Blocks that are mixed with each other, row by row."""

RESIDENT_BYTES = 2 << 30
"""Memory maps and folders of parts up to this size, and to a quarter of memory, are read in whole."""

HELD_OUT_ROWS = 10_000
HELD_OUT_RUN = 64
"""Rows that are held out of streamed ones at most, and the rows of each run that they are held out in."""


class Batches:
    """Rows, n of d values each, that can be walked over in a new order each epoch."""

    n: int
    d: int
    group: ProcessGroup

    def steps(self, batch_size: int) -> int:
        """The number of batches that an epoch has, on every process."""
        raise NotImplementedError

    def epoch(self, seed: int, batch_size: int, first: int = 0) -> Iterator[tuple[Tensor, float]]:
        """Batches (b, d) from the one numbered `first` on, each with this process's share of the step's rows.

        The order depends on `seed` alone.
        """
        raise NotImplementedError

    def alone(self) -> Self:
        """The same rows, walked over by one process."""
        other = copy.copy(self)
        other.group = ALONE
        return other


class ResidentBatches(Batches):
    """Rows that lie on the device as one tensor: a batch is an index, no loader and no worker.

    uint8 rows stay uint8, a quarter of the memory, and are scaled as they are gathered. `chosen` are the
    numbers of the rows that are walked over, or all: those held out, or of another fold, stay where they are.
    Each of several processes holds all rows and takes its part of each batch, so that two with batches of b
    make the very steps that one makes with batches of 2b.
    """

    def __init__(
        self, rows: Tensor, scaling: Scaling, group: ProcessGroup = ALONE, chosen: Tensor | None = None
    ) -> None:
        self.rows, self.scaling, self.group = rows, scaling, group
        self.chosen = None if chosen is None else chosen.to(rows.device)
        self.n, self.d = len(rows if chosen is None else chosen), rows.shape[1]

    def steps(self, batch_size: int) -> int:
        return -(-self.n // (batch_size * self.group.size))

    def epoch(self, seed: int, batch_size: int, first: int = 0) -> Iterator[tuple[Tensor, float]]:
        order = _shuffled(self.n, seed).to(self.rows.device)
        rank, size = self.group.rank, self.group.size
        order = order[first * batch_size * size :]
        if self.chosen is not None:
            order = self.chosen[order]
        if size == 1:
            for x in _gather(self.rows, order, batch_size, self.scaling):
                yield x, 1.0
            return
        for step in torch.split(order, batch_size * size):
            mine = step[rank * len(step) // size : (rank + 1) * len(step) // size]
            yield _scaled(self.scaling, self.rows.index_select(0, mine)), len(mine) / len(step)

    def in_order(self, batch_size: int) -> Iterator[Tensor]:
        """The same rows, unshuffled, on every process."""
        order = torch.arange(self.n, device=self.rows.device) if self.chosen is None else self.chosen
        yield from _gather(self.rows, order, batch_size, self.scaling)


class StreamedBatches(Batches):
    """Rows read from where they lie, in shuffled blocks, a window ahead of their use.

    Blocks of about a megabyte are drawn in random order; those of one window are mixed row by row. Of several
    processes each reads its own blocks.
    """

    def __init__(
        self,
        x: Rows,
        ranges: list[tuple[int, int]],
        scaling: Scaling,
        device: torch.device,
        group: ProcessGroup = ALONE,
    ) -> None:
        self.x, self.scaling, self.device, self.group = x, scaling, device, group
        # Parquet is read by row groups: a block of less than one would have it decoded many times over.
        length = max(block_length(x, BLOCK_BYTES), getattr(x, "block_rows", 0))
        self.blocks = [
            (start, min(start + length, stop)) for a, stop in ranges for start in range(a, stop, length)
        ]
        self.per_window = max(1, block_length(x, WINDOW_BYTES) // length)
        self.n = sum(b - a for a, b in self.blocks)
        self.d = math.prod(x.shape[1:])

    def steps(self, batch_size: int) -> int:
        """Every process makes as many as the one with most rows."""
        # Blocks differ by their last row only, so that the count of any order bounds them all.
        longest = max((b - a for a, b in self.blocks), default=1)
        return -(-min(self.n, longest * -(-len(self.blocks) // self.group.size)) // batch_size)

    def epoch(self, seed: int, batch_size: int, first: int = 0) -> Iterator[tuple[Tensor, float]]:
        rank, size = self.group.rank, self.group.size
        order = _shuffled(len(self.blocks), seed).tolist()
        counts = [
            sum(b - a for a, b in (self.blocks[i] for i in order[other::size])) for other in range(size)
        ]
        batches = self._batches(order[rank::size], seed, batch_size, first)
        for step in range(first, self.steps(batch_size)):
            rows = [min(batch_size, max(0, count - step * batch_size)) for count in counts]
            if not sum(rows):
                return
            x = next(batches) if rows[rank] else torch.empty(0, self.d, device=self.device)
            yield x, rows[rank] / sum(rows)

    def _batches(self, mine: list[int], seed: int, batch_size: int, first: int) -> Iterator[Tensor]:
        """This process's batches, cut across the windows' borders, from the one numbered `first` on."""
        left = torch.empty(0, self.d, device=self.device)
        for number, rows, past in self._windows(mine, first * batch_size):
            order = _shuffled(len(rows), (seed + number) % (1 << 63)).to(self.device)[past:]
            if len(left):  # what the window before left over makes the first batch whole
                head, order = order.tensor_split([batch_size - len(left)])
                left = torch.cat([left, _scaled(self.scaling, rows.index_select(0, head))])
                if len(left) == batch_size:
                    yield left
                    left = left[:0]
            for x in _gather(rows, order, batch_size, self.scaling):
                if len(x) == batch_size:
                    yield x
                else:
                    left = x.clone()
        if len(left):
            yield left

    def _windows(self, mine: list[int], to_skip: int) -> Iterator[tuple[int, Tensor, int]]:
        """The number of each window, its rows on the device, and how many of them a resumed run is past.

        A thread reads ahead; windows that are past as a whole are not read.
        """
        todo: list[tuple[int, list[int], int]] = []
        for number, start in enumerate(range(0, len(mine), self.per_window)):
            window = mine[start : start + self.per_window]
            size = sum(self.blocks[i][1] - self.blocks[i][0] for i in window)
            past = min(size, to_skip)
            to_skip -= past
            if past < size:
                todo.append((number, window, past))
        with ThreadPoolExecutor(1, thread_name_prefix="codeword-read") as reader:
            ahead: Future[Tensor] | None = None
            for place, (number, window, past) in enumerate(todo):
                rows = (ahead or reader.submit(self._read, window)).result()
                ahead = reader.submit(self._read, todo[place + 1][1]) if place + 1 < len(todo) else None
                yield number, rows, past

    def _read(self, window: list[int]) -> Tensor:
        ranges = [self.blocks[i] for i in window]
        dtype = torch.uint8 if self.x.dtype == np.uint8 else torch.float32
        rows = torch.empty(sum(stop - start for start, stop in ranges), self.d, dtype=dtype)
        done = 0
        for start, stop in ranges:
            block = np.asarray(self.x[start:stop])
            check_finite(block, start, missing=self.scaling.missing)
            into = rows[done : done + len(block)]
            if dtype == torch.uint8:
                np.copyto(into.numpy(), block.reshape(len(block), self.d))
            else:
                into.copy_(self.scaling.forward(block))
            done += len(block)
        hand_back(self.x)
        return rows.to(self.device)


def make_batches(
    x: Rows, scaling: Scaling, held_out: int, seed: int, device: torch.device, group: ProcessGroup
) -> tuple[Batches, ResidentBatches | None]:
    """Rows to train on and, where `held_out` is not 0, about so many held out."""
    if group.broadcast(fits(x, device)):
        rows, chosen = _in_memory(x, scaling, device)
        if not held_out:
            return ResidentBatches(rows, scaling, group, chosen), None
        order = _shuffled(len(x), seed)
        kept, out = order[held_out:].sort().values, order[:held_out].sort().values
        if chosen is not None:
            kept, out = chosen[kept], chosen[out]
        return ResidentBatches(rows, scaling, group, kept), ResidentBatches(rows, scaling, ALONE, out)
    runs = min(held_out, HELD_OUT_ROWS) // HELD_OUT_RUN
    starts = [int(s) for s in np.linspace(0, len(x) - HELD_OUT_RUN, runs)] if runs else []
    between = zip([0, *(s + HELD_OUT_RUN for s in starts)], [*starts, len(x)], strict=True)
    ranges = [(a, b) for a, b in between if a < b]
    train = StreamedBatches(x, ranges, scaling, device, group)
    if not starts:
        return train, None
    out_rows = torch.cat([_resident(read(x, s, s + HELD_OUT_RUN), scaling) for s in starts])
    return train, ResidentBatches(out_rows.to(device), scaling)


def fits(x: Rows, device: torch.device) -> bool:
    """Whether the rows should lie on the device whole."""
    row = x.dtype.itemsize if x.dtype == np.uint8 else 4
    size = int(np.prod(x.shape, dtype=np.int64)) * row
    if device.type == "cuda" and size > torch.cuda.mem_get_info(device)[0] // 2:
        return False
    if isinstance(x, Selected):
        x = x.base
    return type(x) is np.ndarray or size <= min(RESIDENT_BYTES, _memory() // 4)


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 8 << 30


def _in_memory(x: Rows, scaling: Scaling, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """All rows on the device, and the numbers of those meant, where they lie among others.

    Pixels are taken as they lie in the caller's array: on a CPU nothing is copied.
    """
    base, chosen = (x.base, torch.from_numpy(x.rows)) if isinstance(x, Selected) else (x, None)
    if base.dtype == np.uint8 and type(base) is np.ndarray and (chosen is None or device.type == "cpu"):
        return _pixels(base).to(device), chosen
    return torch.cat([_resident(block, scaling) for _, block in blocks(x)]).to(device), None


def _resident(block: np.ndarray[Any, Any], scaling: Scaling) -> Tensor:
    """Rows as they lie on the device: uint8 as it is, anything else scaled."""
    return _pixels(block) if block.dtype == np.uint8 else scaling.forward(block)


def _pixels(rows: np.ndarray[Any, Any]) -> Tensor:
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of memory that is read-only
        return torch.from_numpy(rows.reshape(len(rows), -1))


def _scaled(scaling: Scaling, rows: Tensor) -> Tensor:
    return scaling.finish(rows) if rows.dtype == torch.uint8 else rows


def _gather(rows: Tensor, order: Tensor, batch_size: int, scaling: Scaling) -> Iterator[Tensor]:
    if not len(order):
        return
    most = min(GATHER_ROWS, GATHER_VALUES // rows.shape[1])
    length = max(1, most // batch_size) * batch_size
    for index in torch.split(order, length):
        for x in torch.split(_scaled(scaling, rows.index_select(0, index)), batch_size):
            # A product's last digits depend on where in memory its operands begin: without this, a run that
            # is resumed within an epoch, and gathers from there on, would differ in them.
            yield x if x.data_ptr() % 64 == 0 else x.clone()


def _shuffled(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))
