"""Text for people: short, on one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

METRICS = {
    "mse": ("mean squared error", "{:.5g}"),
    "worst_decile_mse": ("  of the worst tenth", "{:.5g}"),
    "explained_variance": ("variance kept", "{:.1%}"),
    "trustworthiness": ("trustworthiness", "{:.3f}"),
    "knn_accuracy": ("5 nearest neighbors", "{:.1%}"),
    "linear_accuracy": ("linear probe", "{:.1%}"),
    "clustering.accuracy": ("k-means accuracy", "{:.1%}"),
    "clustering.nmi": ("  NMI", "{:.3f}"),
    "clustering.ari": ("  ARI", "{:.3f}"),
    "mixture.accuracy": ("Gaussian mixture accuracy", "{:.1%}"),
    "mixture.nmi": ("  NMI", "{:.3f}"),
    "mixture.ari": ("  ARI", "{:.3f}"),
}
"""What each metric of `evaluate` is called and how it is written; one within another stands behind a dot."""


def shortened(text: object, limit: int = 120) -> str:
    """Return `text` on one line of at most `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def listed(items: Iterable[object], limit: int = 8) -> str:
    """Return the first few items, separated by commas, and how many more there are."""
    every = list(items)
    head = ", ".join(shortened(item, 40) for item in every[:limit])
    return head if len(every) <= limit else f"{head} and {len(every) - limit} more"


def aligned(rows: Sequence[Sequence[str]], gap: int = 3) -> list[str]:
    """Return the rows of a table as lines: the first column on the left, the others on the right."""
    left, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = []
    for first, *others in rows:
        cells = (cell.rjust(gap + width) for cell, width in zip(others, widths, strict=True))
        lines.append((first.ljust(left) + "".join(cells)).rstrip())
    return lines
