"""What every figure shares: its colors and fonts, how it is begun and how it is saved."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from codeword.base.errors import ParameterError
from codeword.base.files import writing

# The date is the one thing matplotlib puts into a file that differs between two runs.
METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
DOTS_PER_INCH = 200

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "0.6",
    "axes.labelcolor": "0.2",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": "0.2",
    "xtick.color": "0.6",
    "ytick.color": "0.6",
    "xtick.labelcolor": "0.35",
    "ytick.labelcolor": "0.35",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    # Without a salt the identifiers in an SVG are drawn anew each time.
    "svg.hashsalt": "codeword",
}

# From Paul Tol's qualitative schemes (SRON/EPS/TN/09-002), the ten that stay furthest apart to normal sight
# and to the three kinds of color blindness at once.
PALETTE = (
    "#6699CC",
    "#EE8866",
    "#117733",
    "#AA4499",
    "#DDCC77",
    "#332288",
    "#88CCEE",
    "#882255",
    "#EE3377",
    "#661100",
)
ORIGINAL = "0.72"
RECONSTRUCTION = "#CC3311"
NO_LABEL = "0.85"


def save(figure: Figure, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a figure to a file, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        The suffix chooses the format: .png, .svg or .pdf. The same figure gives the same bytes.
    overwrite : bool, default=False
        Whether a file that is there already may be replaced.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    ParameterError
        For a suffix that is not one of the three.
    InputError
        If something is at `path` already and `overwrite` is false, or its folder is missing.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in METADATA:
        raise ParameterError(
            f"A figure is written as {', '.join(METADATA)}, chosen by the suffix. Got '{path.name}' instead."
        )
    with writing(path, overwrite=overwrite) as temporary, styled():
        figure.savefig(temporary, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=dict(METADATA[suffix]))
    return path


@contextmanager
def styled() -> Iterator[None]:
    """Give matplotlib the house's settings while the block runs, and the caller's own back after it.

    Labels in a script that the font lacks are drawn as the boxes they become, without a warning.
    """
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():  # type: ignore[arg-type, unused-ignore]
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """Return an empty figure of this size in inches, with an Agg canvas of its own."""
    figure = Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


def plain(text: object) -> str:
    """Return `text` so that matplotlib takes no dollar sign in it for mathematics."""
    return str(text).replace("$", r"\$")


def short(text: object, length: int = 24) -> str:
    """Return `text` on one line, cut to `length` characters as they are shown."""
    text = " ".join(str(text).split())
    return plain(text if len(text) <= length else text[: length - 1].rstrip() + "…")


def require_count(values: Sequence[Any] | None, count: int, name: str, of: str) -> None:
    """Raise ParameterError where there are values but not `count` of them."""
    if values is not None and len(values) != count:
        raise ParameterError(f"{name} must hold one for each of {count} {of}. Got {len(values)} instead.")


def blend(color: str, gray: float, share: float) -> str:
    """Return `color` with this share of a gray, from 0 (black) to 1 (white), in it, as "#rrggbb"."""
    red, green, blue = (channel + (gray - channel) * share for channel in to_rgb(color))
    return str(to_hex((red, green, blue)))


def class_colors(count: int) -> list[str]:
    """Return a color a class: ten, then the same ten lighter, then darker, then all over again."""
    shades = [blend(color, *with_) for with_ in ((0.0, 0.0), (1.0, 0.5), (0.0, 0.45)) for color in PALETTE]
    return [shades[i % len(shades)] for i in range(count)]


def legend(figure: Figure, handles: Sequence[Any], names: Sequence[str], *, beside: bool = False) -> None:
    """Write a legend below the axes, or beside them, in a figure that grows by as much."""
    names = [short(name) for name in names]
    longest = max(map(len, names))
    columns = max(1, min(int(figure.get_figwidth() * 72 / (4.1 * longest + 28)), 5, len(names)))
    made = figure.legend(
        handles,
        [str(i) for i in range(len(names))],
        loc="outside right center" if beside else "outside lower center",
        ncols=1 if beside else columns,
        handletextpad=0.4,
        columnspacing=1.0,
        labelspacing=0.35,
        borderpad=0.2,
        fontsize=7,
    )
    # Written afterwards, since a legend leaves out names that begin with an underscore.
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_text(name)
    if beside:
        figure.set_figwidth(figure.get_figwidth() + 0.3 + longest * 0.065)
        figure.set_figheight(max(figure.get_figheight(), 0.16 * len(names) + 0.2))
    else:
        figure.set_figheight(figure.get_figheight() + 0.155 * -(-len(names) // columns) + 0.1)
