"""What the scripts of several claims share: running those that are asked for, and their tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Options = argparse.Namespace
Row = tuple[str, str, str, bool | None]
"""What it is, what is known or wanted, what was reached, and whether that is good; None where nobody asks."""

Claims = dict[str, Callable[[Options], list[Row]]]


def show(claims: Claims, options: Options, heading: str) -> bool:
    """Run the claim that `options` name, or all, print their tables, and say if a target was missed."""
    missed = False
    for name in claims if options.claim == "all" else [options.claim]:
        rows = claims[name](options)
        print(f"\n## {name}\n\n{(claims[name].__doc__ or '').splitlines()[0]}\n")
        print(f"| claim | {heading} | reached | |\n|---|---|---|---|")
        for claim, target, reached, good in rows:
            verdict = "" if good is None else "yes" if good else "**no**"
            print(f"| {claim} | {target} | {reached} | {verdict} |", flush=True)
            missed |= good is False
    return missed
