"""Pictures: reconstructions under their originals, maps of codes, learning curves.

Every figure is a `matplotlib.figure.Figure` with an Agg canvas of its own. pyplot is never imported, so no
window opens and no state is shared with the caller's own plots.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codeword.errors import DataError, ParameterError
from codeword.files import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["history_figure", "map_figure", "reconstruction_figure", "save"]

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

LARGEST_BAND = 10
LINES_FROM = 20
LARGEST_LEGEND = 30
MOST_TEXTS = 100
LARGEST_CLASS_COUNT = 100
"""Numeric labels with more values than this are a quantity, not classes."""


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
    with writing(path, overwrite=overwrite) as temporary, _style(), warnings.catch_warnings():
        # A label in a script the font lacks becomes boxes; the picture is still the one that was asked for.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=dict(METADATA[suffix]))
    return path


def reconstruction_figure(
    x: ArrayLike,
    x_hat: ArrayLike,
    *,
    titles: Sequence[str] | None = None,
    sample_shape: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Show samples and what is left of them after coding.

    Images stand above their reconstructions, a column each, in rows of at most ten. Other samples have a
    panel each, original and reconstruction in the same axes: curves from 20 values on, dots beside the
    columns' names below that.

    Parameters
    ----------
    x : array-like of shape (n_samples, ...)
        The samples to show, all of them, in any units.
    x_hat : array-like, as `x`
        Their reconstructions, in the same units.
    titles : sequence of n_samples str or None, default=None
        A line or two over each sample: its number, its error.
    sample_shape : sequence of int or None, default=None
        The shape of one sample, where the rows of `x` are flat. (h, w) with both at least 4 is a greyscale
        image; (h, w, 1), (h, w, 3), (h, w, 4), (1, h, w) and (3, h, w) are images; a second axis of fewer
        than 4 holds the channels of a signal.
    names : sequence of str or None, default=None
        The names of a table's columns.

    Returns
    -------
    matplotlib.figure.Figure
        Both pictures of a pair have the same range of values: the original's, or [0, 255] for uint8 and
        [0, 1] for floats within it where the picture has colours. What a reconstruction has beyond it is cut.

    Raises
    ------
    DataError
        If there is no sample, or the sizes of `x`, `x_hat` and `sample_shape` do not agree.
    ParameterError
        If there are not as many titles as samples, or names as columns.
    """
    x, x_hat = np.asarray(x), np.asarray(x_hat)
    shape = tuple(sample_shape) if sample_shape is not None else x.shape[1:]
    x, x_hat = _in_shape(x, shape, "x"), _in_shape(x_hat, shape, "x_hat")
    if len(x) != len(x_hat):
        raise DataError(f"x and x_hat must have as many samples each. Got {len(x)} and {len(x_hat)} instead.")
    _require_count(titles, len(x), "titles", "samples")
    titles = [_plain(t) for t in titles] if titles is not None else [""] * len(x)
    images = _as_images(x, shape), _as_images(x_hat, shape)
    with _style():
        if images[0] is not None and images[1] is not None:
            return _image_pairs(images[0], images[1], titles)
        if math.prod(shape) >= LINES_FROM:
            return _curve_panels(_as_curves(x, shape), _as_curves(x_hat, shape), titles)
        columns = math.prod(shape)
        _require_count(names, columns, "names", "columns")
        return _table_panels(
            x.reshape(len(x), columns), x_hat.reshape(len(x), columns), titles, _column_names(names, columns)
        )


def map_figure(points: ArrayLike, labels: Any = None, *, title: str | None = None) -> Figure:
    """Scatter a map of codes, coloured by label.

    Parameters
    ----------
    points : array-like of shape (n_samples, 2)
    labels : array-like of shape (n_samples,) or None, default=None
        Classes of any kind, or a quantity: floats that are not whole, and numbers of more than 100 values. A
        quantity gets a colour bar. Up to 30 classes get a legend, more have their names written at the median
        of their points, the 100 largest of them. Missing labels (None, NaN, an empty string) are light grey.
    title : str or None, default=None

    Returns
    -------
    matplotlib.figure.Figure
        Readable when printed nine centimetres wide.

    Raises
    ------
    DataError
        If `points` is not a table of two finite columns with at least one row.
    ParameterError
        If there are not as many labels as points.
    """
    points = _checked_points(points)
    if labels is not None:
        labels = np.asarray(labels)
        if labels.shape != (len(points),):
            raise ParameterError(
                f"labels must have the shape ({len(points)},), one a point. Got {labels.shape} instead."
            )
    with _style():
        figure, axes = _map_axes(points, title)
        if labels is None:
            _scatter(axes, points, PALETTE[0])
        elif _is_quantity(labels):
            _scatter_quantity(figure, axes, points, labels.astype(np.float64))
        else:
            _scatter_classes(figure, axes, points, labels)
        return figure


def history_figure(
    train_loss: Sequence[float], validation_loss: Sequence[float | None] | None = None
) -> Figure:
    """Draw learning curves by epoch.

    Parameters
    ----------
    train_loss : sequence of n_epochs float
        The first is that of epoch 1.
    validation_loss : sequence of n_epochs float or None, default=None
        An epoch's may be None or NaN; its lowest is marked.

    Returns
    -------
    matplotlib.figure.Figure
        The loss axis is logarithmic where the curves span more than a factor of ten.

    Raises
    ------
    ParameterError
        If there is no epoch, or the two differ in length.
    """
    train = np.asarray(train_loss, dtype=np.float64)
    if train.ndim != 1 or len(train) == 0:
        raise ParameterError(
            f"train_loss must hold one number an epoch. Got the shape {train.shape} instead."
        )
    _require_count(validation_loss, len(train), "validation_loss", "epochs")
    validation = np.full(len(train), np.nan)
    if validation_loss is not None:
        validation[:] = [math.nan if v is None else v for v in validation_loss]
    with _style():
        figure = _new_figure(4.2, 2.6)
        _draw_history(figure.add_subplot(), train, validation)
        return figure


# --- shared -------------------------------------------------------------------------------------------------


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type, unused-ignore]
        yield


def _new_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


def _plain(text: object) -> str:
    """Return `text` so that matplotlib takes no dollar sign in it for mathematics."""
    return str(text).replace("$", r"\$")


def _short(text: object, length: int = 24) -> str:
    text = " ".join(str(text).split())
    return _plain(text if len(text) <= length else text[: length - 1].rstrip() + "…")


def _require_count(values: Sequence[Any] | None, count: int, name: str, of: str) -> None:
    if values is not None and len(values) != count:
        raise ParameterError(f"{name} must hold one for each of {count} {of}. Got {len(values)} instead.")


# --- reconstructions ----------------------------------------------------------------------------------------


def _in_shape(rows: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    if rows.ndim < 2 or rows.size == 0 or rows.size != len(rows) * math.prod(shape):
        raise DataError(
            f"{name} must have at least one sample, each of the shape {shape} or flat. "
            f"Got the shape {rows.shape} instead."
        )
    return rows.reshape(len(rows), *shape)


def _as_images(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return rows as greyscale (n, h, w) or colour (n, h, w, 3 or 4), or None where they are no images."""
    match shape:
        case (h, w) if min(h, w) >= 4:
            return rows
        case (h, w, 1) if min(h, w) >= 4:
            return rows[..., 0]
        case (h, w, 3 | 4) if min(h, w) >= 4:
            return rows
        case (1, h, w) if min(h, w) >= 4:
            return rows[:, 0]
        case (3, h, w) if min(h, w) >= 4:
            return np.moveaxis(rows, 1, -1)
    return None


def _as_curves(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return rows as (n, length, channels)."""
    curves = rows.astype(np.float64)
    match shape:
        case (length, channels) if channels < length:
            return curves
        case (_, _):
            return np.swapaxes(curves, 1, 2)
    return curves.reshape(len(rows), -1, 1)


def _image_pairs(x: NDArray[Any], x_hat: NDArray[Any], titles: Sequence[str]) -> Figure:
    n, height, width = x.shape[:3]
    bands = math.ceil(n / LARGEST_BAND)
    columns = math.ceil(n / bands)
    cell_width, cell_height = _cell(height, width)
    title_height = 0.14 * max(t.count("\n") + 1 if t else 0 for t in titles)
    figure = _new_figure(
        columns * (cell_width + 0.06) + 0.3,
        bands * (2 * cell_height + 0.1 + title_height) + 0.1 * (bands - 1) + 0.1,
        layout="compressed",
    )
    # A thin empty row parts one band from the next.
    grid = figure.add_gridspec(3 * bands - 1, columns, height_ratios=([1, 1, 0.06] * bands)[:-1])
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    for i in range(n):
        band, column = divmod(i, columns)
        value_range = _value_range(x[i], x_hat[i])
        top = figure.add_subplot(grid[3 * band, column])
        bottom = figure.add_subplot(grid[3 * band + 1, column])
        top.set_title(titles[i], fontsize=7, pad=3)
        for axes, image, name in ((top, x[i], "original"), (bottom, x_hat[i], "reconstruction")):
            _show_image(axes, image, value_range)
            if column == 0:
                axes.set_ylabel(name, fontsize=7, labelpad=3)
    return figure


def _cell(height: int, width: int) -> tuple[float, float]:
    """Return the size in inches of one image: about a square inch, never flatter than its label is long."""
    cell_height = min(max(math.sqrt(height / width), 0.9), 1.8)
    return min(cell_height * width / height, 4.0), cell_height


def _value_range(x: NDArray[Any], x_hat: NDArray[Any]) -> tuple[float, float]:
    low, high = float(np.min(x)), float(np.max(x))
    coloured = x.ndim == 3
    if x.dtype == np.uint8 and (coloured or low == high):
        return 0.0, 255.0
    if low >= 0 and high <= 1 and (coloured or low == high):
        return 0.0, 1.0
    if low == high:
        low, high = min(low, float(np.min(x_hat))), max(high, float(np.max(x_hat)))
    return low, high if high > low else low + 1.0


def _show_image(axes: Axes, image: NDArray[Any], value_range: tuple[float, float]) -> None:
    low, high = value_range
    interpolation = "nearest" if max(image.shape[:2]) <= 100 else "auto"
    if image.ndim == 3:
        scaled = np.clip((image.astype(np.float64) - low) / (high - low), 0.0, 1.0)
        axes.imshow(scaled, interpolation=interpolation)
    else:
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation=interpolation)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _panels(n: int, width: float, height: float, titles: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Return a figure of n panels, in rows of at most four, with room for a legend above them."""
    rows = math.ceil(n / 4)
    columns = math.ceil(n / rows)
    figure = _new_figure(max(columns * width, 2.6), rows * height + 0.3)
    grid = figure.add_gridspec(rows, columns)
    panels = [figure.add_subplot(grid[divmod(i, columns)]) for i in range(n)]
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=7, pad=4)
    return figure, panels


def _curve_panels(x: NDArray[np.float64], x_hat: NDArray[np.float64], titles: Sequence[str]) -> Figure:
    from matplotlib.colors import to_rgb
    from matplotlib.lines import Line2D

    figure, panels = _panels(len(x), 2.3 if len(x) > 1 else 4.2, 1.4 if len(x) > 1 else 1.9, titles)
    channels = x.shape[2]
    colours = [RECONSTRUCTION] if channels == 1 else [PALETTE[c % len(PALETTE)] for c in range(channels)]
    for axes, original, reconstruction in zip(panels, x, x_hat, strict=True):
        for channel, colour in enumerate(colours):
            pale = ORIGINAL if channels == 1 else _mixed(to_rgb(colour), 1.0, 0.6)
            axes.plot(original[:, channel], color=pale, linewidth=2.4)
            axes.plot(reconstruction[:, channel], color=colour, linewidth=0.9)
        axes.margins(x=0.01)
        axes.locator_params(nbins=4)
    colour = RECONSTRUCTION if channels == 1 else "0.3"
    _legend_above(
        figure,
        Line2D([], [], color=ORIGINAL, linewidth=2.4, label="original"),
        Line2D([], [], color=colour, linewidth=0.9, label="reconstruction"),
    )
    return figure


def _table_panels(
    x: NDArray[Any], x_hat: NDArray[Any], titles: Sequence[str], names: Sequence[str]
) -> Figure:
    x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
    figure, panels = _panels(len(x), 1.9 if len(x) > 1 else 3.6, 0.17 * len(names) + 0.65, titles)
    heights = np.arange(len(names))[::-1]
    for i, axes in enumerate(panels):
        _value_axis(axes, np.concatenate([x, x_hat]))
        axes.hlines(heights, x[i], x_hat[i], color="0.8", linewidth=0.8, zorder=1)
        for values, size, colour, name in (
            (x[i], 5.5, ORIGINAL, "original"),
            (x_hat[i], 2.8, RECONSTRUCTION, "reconstruction"),
        ):
            axes.plot(values, heights, "o", markersize=size, color=colour, label=name, clip_on=False)
        axes.set_ylim(-0.7, len(names) - 0.3)
        first = axes.get_subplotspec().is_first_col()  # type: ignore[union-attr]
        axes.set_yticks(heights, names if first else [""] * len(names))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    _share_range(panels)
    handles, _ = panels[0].get_legend_handles_labels()
    _legend_above(figure, *handles)
    return figure


def _value_axis(axes: Axes, values: NDArray[np.float64]) -> None:
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


def _share_range(panels: Sequence[Axes]) -> None:
    low = min(axes.get_xlim()[0] for axes in panels)
    high = max(axes.get_xlim()[1] for axes in panels)
    for axes in panels:
        axes.set_xlim(low, high)


def _column_names(names: Sequence[str] | None, columns: int) -> list[str]:
    return [_short(n) for n in names] if names is not None else [f"column {i + 1}" for i in range(columns)]


def _legend_above(figure: Figure, *handles: Any) -> None:
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handlelength=1.6)


# --- maps ---------------------------------------------------------------------------------------------------


def _checked_points(points: ArrayLike) -> NDArray[np.float64]:
    rows = np.asarray(points, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != 2 or len(rows) == 0:
        raise DataError(f"points must have the shape (n_samples, 2), one at least. Got {rows.shape} instead.")
    if not np.isfinite(rows).all():
        row = int(np.argwhere(~np.isfinite(rows))[0, 0])
        raise DataError(f"points must be finite: row {row} is {rows[row].tolist()}.")
    return rows


def _map_axes(points: NDArray[np.float64], title: str | None) -> tuple[Figure, Axes]:
    low, high = points.min(axis=0), points.max(axis=0)
    half = (high - low) / 2
    # A map without extent, or one flat as a line, still gets axes one can see.
    half = np.maximum(half, 0.3 * half.max() if half.max() > 0 else 1.0) * (1.05 if len(points) > 10 else 1.3)
    centre = (low + high) / 2
    width, height = 3.4 * half / half.max()
    figure = _new_figure(max(width, 1.6) + 0.1, max(height, 1.0) + (0.3 if title else 0.1), "compressed")
    axes = figure.add_subplot()
    axes.set(
        xlim=(centre[0] - half[0], centre[0] + half[0]),
        ylim=(centre[1] - half[1], centre[1] + half[1]),
        xticks=[],
        yticks=[],
        aspect="equal",
    )
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("0.85")
    if title:
        axes.set_title(_plain(title), pad=5)
    return figure, axes


def _scatter(axes: Axes, points: NDArray[np.float64], colours: Any, **options: Any) -> Any:
    n = len(points)
    # Drawn class by class, the last would hide the others.
    order = np.random.default_rng(0).permutation(n)
    if not isinstance(colours, str):
        colours = np.asarray(colours)[order]
    return axes.scatter(
        points[order, 0],
        points[order, 1],
        s=float(np.clip(280 / math.sqrt(n), 0.7, 30)),
        c=colours,
        alpha=0.85 if n > 200 else 1.0,
        linewidths=0,
        # As vectors, many points make a file that no viewer opens in reasonable time.
        rasterized=n > 5000,
        **options,
    )


def _is_quantity(labels: NDArray[Any]) -> bool:
    if labels.dtype.kind not in "iuf":
        return False
    values = np.unique(labels[np.isfinite(labels)])
    whole = bool(np.all(values == np.round(values)))
    return len(values) > LARGEST_CLASS_COUNT or (not whole and len(values) > 2)


def _scatter_quantity(figure: Figure, axes: Axes, points: NDArray[np.float64], values: NDArray[Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    known = np.isfinite(values)
    if not known.all():
        _scatter(axes, points[~known], NO_LABEL)
    drawn = _scatter(axes, points[known], values[known], cmap="viridis")
    drawn.set_alpha(None)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, aspect=22, pad=0.02)
    bar.ax.spines[:].set_visible(False)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))
    figure.set_figwidth(figure.get_figwidth() + 0.5)


def _scatter_classes(figure: Figure, axes: Axes, points: NDArray[np.float64], labels: NDArray[Any]) -> None:
    names, index = _classes(labels)
    colours = _class_colours(len(names))
    known = index >= 0
    if not known.all():
        _scatter(axes, points[~known], NO_LABEL)
    if known.any():
        _scatter(axes, points[known], np.asarray(colours)[index[known]])
    if 0 < len(names) <= LARGEST_LEGEND:
        if not known.all():
            names, colours = [*names, "no label"], [*colours, NO_LABEL]
        _class_legend(figure, names, colours)
    else:
        _class_texts(axes, points, names, index)


def _classes(labels: NDArray[Any]) -> tuple[list[str], NDArray[np.intp]]:
    """Return the names of the classes in order, and each label's place among them: -1 where it is missing."""
    texts = np.array(["" if _is_missing(v) else _class_name(v) for v in labels.tolist()], dtype=object)
    known = [t for t in dict.fromkeys(texts) if t]
    names = sorted(known, key=_by_number_then_name)
    place = {name: i for i, name in enumerate(names)}
    return names, np.array([place.get(t, -1) for t in texts], dtype=np.intp)


def _is_missing(value: object) -> bool:
    # Missing values of every library differ from themselves, or are none at all.
    return value is None or str(value).strip() in ("", "<NA>", "NaT") or bool(value != value)


def _class_name(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).split())


def _by_number_then_name(name: str) -> tuple[int, float, str]:
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)


def _class_colours(count: int) -> list[Any]:
    """Return a colour a class: ten, then the same ten lighter, then darker, then all over again."""
    from matplotlib.colors import to_rgb

    base = [to_rgb(c) for c in PALETTE]
    colours = base + [_mixed(c, 1.0, 0.5) for c in base] + [_mixed(c, 0.0, 0.45) for c in base]
    return [colours[i % len(colours)] for i in range(count)]


def _mixed(colour: tuple[float, float, float], grey: float, share: float) -> tuple[float, float, float]:
    red, green, blue = (c + (grey - c) * share for c in colour)
    return red, green, blue


def _class_legend(figure: Figure, names: Sequence[str], colours: Sequence[Any]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=c, marker="o", linestyle="", markersize=4.5, markeredgewidth=0) for c in colours
    ]
    longest = max(min(len(n), 24) for n in names)
    beside = longest <= 12 and len(names) <= 15
    widest = figure.get_figwidth() * 72 / (4.2 * longest + 20)
    columns = 1 if beside else max(1, min(int(widest), 5, len(names)))
    legend = figure.legend(
        handles,
        [str(i) for i in range(len(names))],
        loc="outside right center" if beside else "outside lower center",
        ncols=columns,
        handletextpad=0.2,
        columnspacing=1.0,
        labelspacing=0.35,
        borderpad=0.2,
    )
    # Written afterwards, since a legend leaves out names that begin with an underscore.
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(_short(name))
    if beside:
        figure.set_figwidth(figure.get_figwidth() + 0.3 + longest * 0.065)
        figure.set_figheight(max(figure.get_figheight(), 0.16 * len(names) + 0.2))
    else:
        figure.set_figheight(figure.get_figheight() + 0.155 * math.ceil(len(names) / columns) + 0.1)


def _class_texts(
    axes: Axes, points: NDArray[np.float64], names: Sequence[str], index: NDArray[np.intp]
) -> None:
    from matplotlib.patheffects import withStroke

    counts = np.bincount(index[index >= 0], minlength=len(names))
    for place in np.argsort(-counts, kind="stable")[:MOST_TEXTS]:
        x, y = np.median(points[index == place], axis=0)
        axes.text(
            x,
            y,
            _short(names[place], 14),
            ha="center",
            va="center",
            fontsize=6 if len(names) <= 60 else 5,
            color="0.1",
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )


# --- history ------------------------------------------------------------------------------------------------


def _draw_history(axes: Axes, train: NDArray[np.float64], validation: NDArray[np.float64]) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(train) + 1)
    marker = "o" if len(train) <= 30 else ""
    axes.plot(epochs, train, color="#4477AA", marker=marker, markersize=2.5, label="training")
    if np.isfinite(validation).any():
        axes.plot(epochs, validation, color=RECONSTRUCTION, marker=marker, markersize=2.5, label="validation")
        best = int(np.nanargmin(validation))
        axes.plot(
            epochs[best],
            validation[best],
            "o",
            markersize=7,
            markerfacecolor="none",
            markeredgecolor=RECONSTRUCTION,
            label=f"lowest: {validation[best]:.4g}, epoch {epochs[best]}",
        )
        axes.legend(loc="upper right")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    losses = np.concatenate([train, validation])
    losses = losses[np.isfinite(losses)]
    if len(losses) and losses.min() > 0 and losses.max() > 10 * losses.min():
        axes.set_yscale("log")
