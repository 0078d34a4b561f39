"""What every figure shares: its colours and fonts, how it is begun and how it is saved."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import ParameterError
from codeword.base.files import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "NO_LABEL",
    "ORIGINAL",
    "PALETTE",
    "RECONSTRUCTION",
    "class_colors",
    "column_names",
    "mixed",
    "new_figure",
    "plain",
    "require_count",
    "save",
    "short",
    "styled",
    "value_axis",
]

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
# and to the three kinds of colour blindness at once.
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
    with writing(path, overwrite=overwrite) as temporary, styled(), warnings.catch_warnings():
        # A label in a script the font lacks becomes boxes; the picture is still the one that was asked for.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=dict(METADATA[suffix]))
    return path


@contextmanager
def styled() -> Iterator[None]:
    """Give matplotlib the house's settings while the block runs, and the caller's own back after it."""
    import matplotlib

    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type, unused-ignore]
        yield


def new_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """Return an empty figure of this size in inches, with an Agg canvas of its own."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

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


def value_axis(axes: Axes, values: NDArray[np.float64]) -> None:
    """Put columns of unlike sizes on a logarithm, or the largest would press the others into one spot."""
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator

    sizes = np.abs(values).max(axis=0)
    sizes = sizes[sizes > 0]
    if len(sizes) == 0 or sizes.max() <= 50 * sizes.min():
        axes.xaxis.set_major_locator(MaxNLocator(4))
    elif values.min() > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
    else:
        power = math.floor(math.log10(float(sizes.max())))
        axes.set_xscale("symlog", linthresh=10.0 ** math.floor(math.log10(float(sizes.min()))))
        axes.xaxis.set_major_locator(FixedLocator([-(10.0**power), 0.0, 10.0**power]))
    axes.minorticks_off()


def column_names(names: Sequence[str] | None, columns: int) -> list[str]:
    """Return the names of a table's columns as they are shown, made up where there are none."""
    return [short(n) for n in names] if names is not None else [f"column {i + 1}" for i in range(columns)]


def require_count(values: Sequence[Any] | None, count: int, name: str, of: str) -> None:
    """Raise ParameterError where there are values but not `count` of them."""
    if values is not None and len(values) != count:
        raise ParameterError(f"{name} must hold one for each of {count} {of}. Got {len(values)} instead.")


def mixed(colour: tuple[float, float, float], grey: float, share: float) -> tuple[float, float, float]:
    """Return `colour` with this share of a grey in it; every channel lies in [0, 1]."""
    red, green, blue = (c + (grey - c) * share for c in colour)
    return red, green, blue


def class_colors(count: int) -> list[str]:
    """A color for each class of a page: ten that color-blind readers can tell apart, then lighter, darker."""
    base = [tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)) for color in PALETTE]
    every = [mixed((r, g, b), *how) for how in ((0.5, 0.0), (1.0, 0.45), (0.0, 0.4)) for r, g, b in base]
    written = ["#" + "".join(f"{round(255 * channel):02x}" for channel in color) for color in every]
    return [written[i % len(written)] for i in range(count)]
