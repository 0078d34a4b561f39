"""Text for people: short, on one line."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["listed", "shortened"]


def shortened(text: object, limit: int = 120) -> str:
    """Return `text` on one line of at most `limit` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def listed(items: Iterable[object], limit: int = 8) -> str:
    """Return the first few items, separated by commas, and how many more there are."""
    every = list(items)
    head = ", ".join(shortened(item, 40) for item in every[:limit])
    return head if len(every) <= limit else f"{head} and {len(every) - limit} more"
