"""What a page says: headings, tables and sentences, from metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.about import __version__
from codeword.pages.content import MOST_TRAVERSED, Content, Pairs
from codeword.pages.uploads import row_as_text
from codeword.plots.style import class_colors
from codeword.tasks.text import ABSENT, comparison, health, metric_lines

__all__ = ["SLIDERS", "limits", "ramp", "words_of"]

SLIDERS = 24
"""Sliders in a page, at most."""

COLUMNS = 12
CHANGED = 5
"""Columns of a table shown for each number of a code."""


def words_of(content: Content) -> dict[str, Any]:
    """All texts of the page, as its template asks for them; none of them escaped yet."""
    metrics, there, display = content.metrics, content.map, content.display
    lines = list(metric_lines(metrics))
    used = [i for i in range(3) if any(cells[i] not in ("", ABSENT) for _, cells in lines)]
    quantity = there.labels is not None and not there.classes
    return {
        "title": _title(content),
        "lead": _lead(metrics),
        "tiles": list(_tiles(metrics)),
        "facts": content.facts,
        "command": content.command,
        "version": __version__,
        "kind": display.kind,
        "n": content.n,
        "k": content.k,
        "shown": _captions(content, content.shown),
        "worst": _captions(content, content.worst),
        "has_labels": there.labels is not None,
        "legend": list(zip(there.classes, class_colors(len(there.classes)), strict=True)),
        "label_range": _ends(there.labels) if quantity else None,
        "error_range": _ends(there.errors),
        "ramp": ramp()[::8],
        "columns": [("auto-encoder", "PCA", "raw data")[i] for i in used],
        "table": [(name, [cells[i] for i in used]) for name, cells in lines],
        "metrics": metrics,
        "points": len(there.rows),
        "hidden_sliders": max(0, content.k - SLIDERS),
        "hidden_walks": max(0, len(content.traversal.dimensions) - MOST_TRAVERSED),
        "walks": list(_walks(content)),
        "sampled": 0 if content.samples is None else len(content.samples),
        "sample_names": list(display.names[:COLUMNS]),
        "sample_rows": _sample_rows(content),
        "row_as_text": row_as_text(display, content.shown.x[:1]) if display.kind == "table" else "",
        "health": " ".join(health(metrics["latent"], content.k)),
    }


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


def short(value: float | None, digits: int = 4) -> str:
    """So many digits that count, without an exponent where it can be helped, as the page's script has it."""
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e" in text and 1 <= abs(value) < 1e6 else text


def _title(content: Content) -> str:
    if content.display.columns is not None:
        columns, k = len(content.display.names), content.k
        return f"{content.source}: {columns:,} columns in {k:,} number{'' if k == 1 else 's'}"
    return f"{content.source}: {math.prod(content.display.shape):,} numbers in {content.k:,}"


def _lead(metrics: dict[str, Any]) -> str:
    begin = f"The mean squared error of the auto-encoder is {short(metrics['mse'])}."
    if metrics["explained_variance"] is not None:
        begin = f"The auto-encoder keeps {metrics['explained_variance']:.1%} of the variance."
    return f"{begin} {comparison(metrics['mse'], metrics['pca_mse'])}"


def _tiles(metrics: dict[str, Any]) -> Iterator[dict[str, str]]:
    yield {"value": short(metrics["mse"]), "name": "mean squared error, scaled units"}
    yield {"value": short(metrics["pca_mse"]), "name": "the same of PCA"}
    yield {"value": short(metrics["worst_decile_mse"]), "name": "of the worst tenth"}
    if metrics["trustworthiness"] is not None:
        yield {"value": f"{metrics['trustworthiness']:.3f}", "name": "trustworthiness of codes"}
    if metrics["knn_accuracy"] is not None:
        yield {"value": f"{metrics['knn_accuracy']:.1%}", "name": "labels by 5 nearest codes"}


def _captions(content: Content, pairs: Pairs) -> list[dict[str, str]]:
    return [
        {
            "title": f"no. {row:,}",
            "error": short(float(content.errors[row]), 3),
            "label": content.titles.get(int(row), ""),
        }
        for row in pairs.rows
    ]


def _ends(values: Any) -> list[str]:
    return [short(value) for value in limits(values)]


def _walks(content: Content) -> Iterator[dict[str, Any]]:
    """What each number of a code does on its way from low to high; in a table, which columns it changes."""
    walk, display = content.traversal, content.display
    steps = walk.values.shape[1]
    for i, dimension in enumerate(walk.dimensions[:MOST_TRAVERSED]):
        found: dict[str, Any] = {
            "dimension": int(dimension),
            "effect": short(float(walk.effects[i]), 3),
            "places": list(range(i * steps, (i + 1) * steps)),
        }
        if display.kind == "table":
            rows = walk.rows[i].reshape(steps, -1)
            moved = np.ptp(rows, axis=0) / content.spread
            most = np.argsort(-display.by_name(moved[None])[0], kind="stable")[:CHANGED]
            cells = list(zip(*display.cells(rows), strict=True))
            found["steps"] = [f"{value:.2f}" for value in walk.values[i]]
            found["columns"] = [(display.names[c], _texts(cells[c])) for c in most]
        yield found


def _sample_rows(content: Content) -> list[list[str]]:
    if content.display.kind != "table" or content.samples is None:
        return []
    return [_texts(row[:COLUMNS]) for row in content.display.cells(content.samples[:COLUMNS])]


def _texts(cells: Sequence[Any]) -> list[str]:
    """Cells of a table, as `codeword.said` in the page has them."""

    def text(cell: Any) -> str:
        if isinstance(cell, bool):
            return str(cell).lower()
        if cell is None or cell != cell:
            return "missing"
        if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
            return str(int(cell))
        return short(cell) if isinstance(cell, float) else str(cell)

    return [text(cell) for cell in cells]
