"""What a fitted model remembers of its rows: codes and errors, beside which others are drawn and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codeword.training.batches import Batches, ResidentBatches
from codeword.training.steps import mean_squared_error

__all__ = ["Reference"]

MOST_ROWS = 10_000
MOST_VALUES = 1 << 20
"""Of codes: four megabytes in the model folder."""

PARTS = ("codes", "errors", "held_codes", "held_errors")

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Reference:
    """Codes and errors of up to 10,000 rows that a model was trained on, and of rows that it was not.

    Parameters
    ----------
    codes : ndarray of shape (m, k), float32
    errors : ndarray of shape (m,), float32
        Mean squared errors, in scaled units.
    held_codes : ndarray of shape (h, k), float32
        Of rows held out from training; h is 0 where none were.
    held_errors : ndarray of shape (h,), float32
    """

    codes: Array
    errors: Array
    held_codes: Array
    held_errors: Array

    @classmethod
    def of(
        cls,
        encode: Callable[[Tensor], Tensor],
        decode: Callable[[Tensor], Tensor],
        k: int,
        train: Batches,
        held_out: ResidentBatches | None,
        seed: int,
    ) -> Reference:
        """Pass rows, drawn by the seed, through a model: the same on every process."""
        most = max(1, min(MOST_ROWS, MOST_VALUES // k))
        size = max(1, min(1024, (1 << 23) // train.d))
        parts: list[Array] = []
        for rows in (
            (x for x, _ in train.alone().epoch(seed, size)),
            held_out.in_order(size) if held_out is not None else iter(()),
        ):
            codes, errors = [np.zeros((0, k), np.float32)], [np.zeros(0, np.float32)]
            for x in _first(rows, most):
                z = encode(x)
                codes.append(z.cpu().numpy())
                errors.append(mean_squared_error(decode(z), x).cpu().numpy())
            parts += [np.concatenate(codes), np.concatenate(errors)]
        return cls(*parts)

    def tensors(self) -> dict[str, Tensor]:
        """As the model folder keeps it."""
        return {f"reference.{part}": torch.from_numpy(getattr(self, part)) for part in PARTS}

    @classmethod
    def take(cls, tensors: dict[str, Tensor], k: int) -> Reference | None:
        """Take it out of a model folder's tensors; None where the folder has none.

        Raises
        ------
        TypeError
            If the parts do not fit each other, or codes of `k` numbers.
        """
        found = [tensors.pop(f"reference.{part}", None) for part in PARTS]
        parts = [part.float().numpy() for part in found if part is not None]
        if not parts:
            return None
        if len(parts) < len(PARTS) or any(
            codes.ndim != 2 or codes.shape[1] != k or errors.shape != codes.shape[:1]
            for codes, errors in (parts[:2], parts[2:])
        ):
            raise TypeError("reference has a shape that it cannot have")
        return cls(*parts)


def _first(batches: Iterator[Tensor], most: int) -> Iterator[Tensor]:
    for x in batches:
        yield x[:most]
        most -= len(x)
        if most <= 0:
            return
