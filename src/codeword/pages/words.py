"""What a report says: headings, tables and sentences, from figures."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.about import __version__
from codeword.pages.content import MOST_TRAVERSED, Content, Pairs
from codeword.plots.style import PALETTE, mixed
from codeword.tasks.text import comparison, health, metric_lines

__all__ = ["MOST_CLUSTERS", "SLIDERS", "class_colors", "limits", "ramp", "words_of"]

MOST_CLUSTERS = 30
"""As many as there are colors."""

SLIDERS = 24
"""At most so many are in a page."""

ABSENT = "–"
COLUMNS = 12
CHANGED = 5
"""Columns of a table shown for each number of a code."""


def words_of(content: Content) -> dict[str, Any]:
    """All texts of the page, as its template asks for them; none of them escaped yet."""
    figures, there = content.figures, content.map
    columns, table = _table(figures)
    quantity = there.labels is not None and not there.classes
    return {
        "title": _title(content),
        "lead": _lead(figures),
        "tiles": list(_tiles(figures)),
        "facts": content.facts,
        "command": content.command,
        "version": __version__,
        "kind": content.view.kind,
        "n": content.n,
        "shown": _cells(content, content.shown),
        "worst": _cells(content, content.worst),
        "has_labels": there.labels is not None,
        "legend": list(zip(there.classes, class_colors(len(there.classes)), strict=True)),
        "label_range": _ends(there.labels) if quantity and there.labels is not None else None,
        "error_range": _ends(there.errors),
        "ramp": ramp()[::8],
        "columns": columns,
        "table": table,
        "about_figures": _about_figures(figures),
        "about_map": _about_map(content),
        "about_sliders": _about_sliders(content),
        "about_traversal": _about_traversal(content),
        "walks": list(_walks(content)),
        "sampled": 0 if content.samples is None else len(content.samples),
        "sample_names": list(content.view.names[:COLUMNS]),
        "sample_rows": _sample_rows(content),
        "row_as_text": _row_as_text(content),
        "health": " ".join(health(figures["latent"], content.k)),
    }


def class_colors(count: int) -> list[str]:
    """A color a class: ten that color-blind readers can tell apart, then lighter, darker, and again."""

    def written(color: tuple[float, float, float]) -> str:
        return "#" + "".join(f"{round(255 * channel):02x}" for channel in color)

    base = [(int(c[1:3], 16) / 255, int(c[3:5], 16) / 255, int(c[5:7], 16) / 255) for c in map(str, PALETTE)]
    every = [mixed(c, gray, share) for gray, share in ((0.5, 0.0), (1.0, 0.45), (0.0, 0.4)) for c in base]
    return [written(every[i % len(every)]) for i in range(count)]


def ramp() -> list[str]:
    """Colors of quantities, without the ends, which one of a light and a dark page would swallow."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["plasma"](i)) for i in range(30, 230, 4)]


def limits(values: NDArray[Any]) -> tuple[float, float]:
    """The values at the ends of the ramp: the few beyond take the color of the end."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
    return float(low), float(high) if high > low else float(low) + 1


def _title(content: Content) -> str:
    if content.view.columns is not None:
        columns, k = len(content.view.names), content.k
        return f"{content.source}: {columns:,} columns in {k:,} number{'' if k == 1 else 's'}"
    return f"{content.source}: {math.prod(content.view.shape):,} numbers in {content.k:,}"


def short(value: float | None, digits: int = 4) -> str:
    """So many digits that count, without an exponent where it can be helped, as the page's script has it."""
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e" in text and 1 <= abs(value) < 1e6 else text


# -- figures ------------------------------------------------------------------------------------------------


def _lead(figures: dict[str, Any]) -> str:
    begin = f"The mean squared error of the auto-encoder is {short(figures['mse'])}."
    if figures["explained_variance"] is not None:
        begin = f"The auto-encoder keeps {figures['explained_variance']:.1%} of the variance."
    return f"{begin} {comparison(figures['mse'], figures['pca_mse'])}"


def _tiles(figures: dict[str, Any]) -> Iterator[dict[str, str]]:
    yield {"value": short(figures["mse"]), "name": "mean squared error, scaled units"}
    yield {"value": short(figures["pca_mse"]), "name": "the same of PCA"}
    yield {"value": short(figures["worst_decile_mse"]), "name": "of the worst tenth"}
    if figures["trustworthiness"] is not None:
        yield {"value": f"{figures['trustworthiness']:.3f}", "name": "trustworthiness of codes"}
    if figures["knn_accuracy"] is not None:
        yield {"value": f"{figures['knn_accuracy']:.1%}", "name": "labels by 5 nearest codes"}


def _table(metrics: dict[str, Any]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The names of the columns, and lines of a name and a cell each."""
    lines = list(metric_lines(metrics))
    names = ["auto-encoder", "PCA", "raw data"]
    used = [i for i in range(3) if any(cells[i] not in ("", ABSENT) for _, cells in lines)]
    return [names[i] for i in used], [(name, [cells[i] for i in used]) for name, cells in lines]


def _about_figures(figures: dict[str, Any]) -> str:
    counted = f"{figures['k']:,} component{'' if figures['k'] == 1 else 's'}"
    text = (
        f"As codeword evaluate gives them, of {figures['n']:,} samples; PCA has {counted} "
        "and was fitted on the rows the model was trained on. Errors are in scaled units."
    )
    if figures["classes"] is not None:
        text += (
            f" Labels: {figures['classes']:,} classes in {figures['labelled_rows']:,} samples, told from "
            "codes in five-fold cross-validation."
        )
    return text


# -- samples ------------------------------------------------------------------------------------------------


def _cells(content: Content, pairs: Pairs) -> list[dict[str, str]]:
    return [
        {
            "title": f"no. {row:,}",
            "error": short(float(content.errors[row]), 3),
            "label": content.titles.get(int(row), ""),
        }
        for row in pairs.rows
    ]


def _ends(values: NDArray[Any]) -> list[str]:
    return [short(value) for value in limits(values)]


def _about_map(content: Content) -> str:
    m = len(content.map.rows)
    drawn = "all samples" if m == content.n else f"{m:,} of {content.n:,} samples, drawn at random"
    return (
        f"The codes of {drawn}. Lines go from the selected point to its nearest codes: green where the map "
        "keeps them near, red where it tears them away. Ctrl and the wheel zoom."
    )


def _about_sliders(content: Content) -> str:
    text = (
        "The number that changes the reconstruction most comes first. Selecting a point sets all of them to "
        "its code."
    )
    hidden = content.k - SLIDERS
    return text + (f" {hidden:,} more are left as they are." if hidden > 0 else "")


def _about_traversal(content: Content) -> str:
    text = (
        "One number at a time goes from its 2nd to its 98th percentile, the others stay. The effect is the "
        "mean squared change of what is decoded."
    )
    hidden = len(content.traversal.dimensions) - MOST_TRAVERSED
    return text + (f" The {hidden:,} of least effect are not shown." if hidden > 0 else "")


def _walks(content: Content) -> Iterator[dict[str, Any]]:
    walk = content.traversal
    steps = walk.values.shape[1]
    for i, dimension in enumerate(walk.dimensions[:MOST_TRAVERSED]):
        found: dict[str, Any] = {
            "dimension": int(dimension),
            "effect": short(float(walk.effects[i]), 3),
            "places": list(range(i * steps, (i + 1) * steps)),
        }
        if content.view.kind == "table":
            rows = walk.rows[i].reshape(steps, -1)
            moved = np.ptp(rows, axis=0) / content.spread
            most = np.argsort(-content.view.by_name(moved[None])[0], kind="stable")[:CHANGED]
            cells = list(zip(*content.view.cells(rows), strict=True))
            found["steps"] = [f"{value:.2f}" for value in walk.values[i]]
            found["columns"] = [(content.view.names[c], _texts(cells[c])) for c in most]
        yield found


def _sample_rows(content: Content) -> list[list[str]]:
    if content.view.kind != "table" or content.samples is None:
        return []
    return [_texts(row[:COLUMNS]) for row in content.view.cells(content.samples[:COLUMNS])]


def _row_as_text(content: Content) -> str:
    """The first row shown of a table, as a file would have it: to be changed and looked at."""
    if content.view.kind != "table" or content.view.columns is not None:
        return ""
    text = io.StringIO()
    values = [f"{value:.6g}" if math.isfinite(value) else "" for value in content.shown.x[0].ravel().tolist()]
    csv.writer(text, lineterminator="\n").writerows([content.view.names, values])
    return text.getvalue()


def _texts(cells: Sequence[Any]) -> list[str]:
    return [_text(cell) for cell in cells]


def _text(cell: Any) -> str:
    """A cell of a table, as `codeword.said` in the page has it."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if cell is None or cell != cell:
        return "missing"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return short(cell) if isinstance(cell, float) else str(cell)
