"""The right number of threads for small steps, measured while they are made.

On an idle machine two threads make the tutorial's step faster than one; beside one busy process
they make it several times slower, since each product waits for the thread that has lost its core. So both
are timed, again and again, and the faster is kept for a while. That may not change a single bit of the
weights: it is done only where a trial shows that a step's gradients do not depend on the number of threads.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from codeword.training.steps import DenseStep, Step

__all__ = ["Threads"]

MEASURED = 16
KEPT = 800
"""Steps timed with each number of threads, and steps made with the faster before they are timed again."""


class Threads:
    """Chooses, before each step, how many threads make it.

    Parameters
    ----------
    counts : tuple of int
        The numbers to choose from; with one, there is nothing to choose.
    rows : int
        The rows of a full batch; a shorter one is always made by one thread, since only full ones were tried.
    """

    def __init__(self, counts: tuple[int, ...], rows: int) -> None:
        self.counts, self.rows = counts, rows
        self.phase, self.left, self.current = -1, 0, counts[0]
        self.seconds: list[float] = []
        self.since = 0.0
        torch.set_num_threads(self.current)

    @classmethod
    def for_step(cls, step: Step, rows: int, d: int, *, small: bool) -> Threads:
        """One thread for small steps and all of them for others, or both, if they give the same bits."""
        most = torch.get_num_threads()
        if most > 1 and isinstance(step, DenseStep) and _same_gradients(step, rows, d, most):
            return cls((1, most), rows)
        return cls((1 if small else most,), rows)

    def before(self, rows: int) -> None:
        """Set the number of threads for a step of so many rows."""
        if len(self.counts) == 1:
            return
        if self.left == 0:
            self._turn()
        self.left -= 1
        wanted = self.current if rows == self.rows else 1
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)

    def _turn(self) -> None:
        """From one number to the next, and after the last to the one that was fastest."""
        now = time.perf_counter()
        if self.phase >= 0:
            self.seconds.append(now - self.since)
        self.phase += 1
        if self.phase < len(self.counts):
            self.current, self.left = self.counts[self.phase], MEASURED
        else:
            self.current, self.left = self.counts[self.seconds.index(min(self.seconds))], KEPT
            self.phase, self.seconds = -1, []
        self.since = now


@torch.no_grad()
def _same_gradients(step: DenseStep, rows: int, d: int, most: int) -> bool:
    """Whether a batch of random rows gives the same bits with one thread and with all."""
    x = torch.rand(rows, d, generator=torch.Generator().manual_seed(0))
    found: list[Tensor] = []
    for count in (1, most):
        torch.set_num_threads(count)
        step.gradients_of(x)
        found.append(step.optimiser.gradients.clone())
    return torch.equal(*found)
