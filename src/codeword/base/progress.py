"""What a person sees while they wait: a bar on the terminal, a line for each epoch."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, TextIO


class Progress:
    """A bar over all rows of a run, and a line for each epoch above it.

    Parameters
    ----------
    total : int
        How many rows will be gone through.
    verbose : bool
        Whether to show anything. The bar needs a terminal on standard error; the lines do not.
    lines : TextIO, default=sys.stdout
        Where the lines go.
    """

    def __init__(self, total: int, label: str, *, verbose: bool, lines: TextIO | None = None) -> None:
        self.verbose = verbose
        self.lines = lines if lines is not None else sys.stdout
        self.bar: Any = None
        if verbose and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                total=total, desc=label, unit=" rows", unit_scale=True, leave=False, mininterval=0.2
            )

    def rows(self, n: int) -> None:
        """Go `n` rows on."""
        if self.bar is not None:
            self.bar.update(n)

    def upto(self, done: int, total: int) -> None:
        """Stand at `done` of `total`, where the total was not known before."""
        if self.bar is not None:
            self.bar.total = total
            self.bar.update(done - self.bar.n)

    def epoch(self, row: dict[str, Any], epochs: int) -> None:
        """Show one row of the history."""
        if not self.verbose:
            return
        width = len(str(epochs))
        text = f"epoch {row['epoch']:>{width}}/{epochs}   loss {row['train_loss']:.5f}"
        if row["validation_loss"] is not None:
            text += f"   held out {row['validation_loss']:.5f}"
        text += f"   {row['seconds']:.1f} s"
        if self.bar is not None:
            self.bar.write(text, file=self.lines)
        else:
            print(text, file=self.lines, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()
