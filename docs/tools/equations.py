"""Equations without a script in the page: what stands between two lines of $$ becomes a drawing.

matplotlib sets it, as one path in the color of the text around it. So the site needs no script, no font and
no network for them, and a screen reader is given their TeX.
"""

from __future__ import annotations

import html
import re

from matplotlib import rc_context
from matplotlib.path import Path
from matplotlib.textpath import TextPath

EQUATION = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.MULTILINE | re.DOTALL)
SIZE = 19
"""Of the letters, in pixels of the page."""
COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}


def with_equations(markdown: str) -> str:
    """A page's text with each equation drawn, one line of TeX under the other."""
    return EQUATION.sub(lambda found: figure(found[1].splitlines()), markdown)


def figure(lines: list[str]) -> str:
    """The HTML of lines of TeX."""
    label = html.escape("; ".join(lines), quote=True)
    drawn = "".join(drawing(line) for line in lines)
    return f'<div class="equation" role="img" aria-label="{label}">{drawn}</div>'


def drawing(tex: str) -> str:
    """One line of TeX as an SVG that is as wide as it needs.

    Raises
    ------
    ValueError
        If matplotlib cannot set it.
    """
    with rc_context({"mathtext.fontset": "stix"}):
        path = TextPath((0, 0), f"${tex}$", size=SIZE)
    (left, low), (right, high) = path.get_extents().get_points()
    width, height = right - left + 2, high - low + 2
    return (
        f'<svg viewBox="0 0 {width:.1f} {height:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'aria-hidden="true"><path fill="currentColor" d="{outline(path, 1 - left, high + 1)}"/></svg>'
    )


def outline(path: TextPath, right: float, down: float) -> str:
    """The path in SVG's words, y pointing down."""
    words = []
    for points, code in path.iter_segments(simplify=False, curves=True):
        numbers = [] if code == Path.CLOSEPOLY else [
            f"{x + right:.2f} {down - y:.2f}" for x, y in points.reshape(-1, 2)
        ]  # fmt: skip
        words.append(COMMANDS[code] + " ".join(numbers))
    return "".join(words)
