"""What the scripts of several figures share: running those that are asked for, and their tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Options = argparse.Namespace
Row = tuple[str, str, str, bool | None]
"""What it is, what is known or wanted, what was reached, and whether that is good; None where nobody asks."""

Figures = dict[str, Callable[[Options], list[Row]]]


def show(figures: Figures, options: Options, heading: str) -> bool:
    """Run the figure that `options` name, or all, print their tables, and say if a target was missed."""
    missed = False
    for name in figures if options.figure == "all" else [options.figure]:
        rows = figures[name](options)
        print(f"\n## {name}\n\n{(figures[name].__doc__ or '').splitlines()[0]}\n")
        print(f"| figure | {heading} | reached | |\n|---|---|---|---|")
        for figure, target, reached, good in rows:
            verdict = "" if good is None else "yes" if good else "**no**"
            print(f"| {figure} | {target} | {reached} | {verdict} |", flush=True)
            missed |= good is False
    return missed
