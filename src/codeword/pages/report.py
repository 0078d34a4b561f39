"""A page put together from what `gather` collected, and the report: one HTML file that holds all it shows."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from codeword.base.about import __version__
from codeword.base.files import writing
from codeword.pages.content import MOST_TRAVERSED, Content, album_of
from codeword.pages.decoder import Program, Unsupported, encoded, program_of
from codeword.pages.uploads import row_as_text
from codeword.plots.style import class_colors
from codeword.tasks.evaluate import ABSENT, comparison, health, metric_lines

MOST_BYTES = 8_000_000
"""Size of the file: what most mail servers let through, twice over."""

SCRIPTS = ["decoder.js", "cells.js", "pictures.js", "charts.js", "plot.js", "map.js", "between.js", "page.js"]
LIVE_SCRIPTS = ["live.js", "own.js"]
FIRST, SECOND, UNKNOWN = "#4477AA", "#CC3311", "#9aa0a6"
MOST_BARS = 64

RAMP = range(30, 230, 4)
"""Colors of quantities, of 256, without the ends, which one of a light and a dark page would swallow."""

MOST_CLUSTERS = 30
"""Clusters to color by: as many as there are colors."""

SLIDERS = 24
"""Sliders in a page, at most."""

COLUMNS = 12
CHANGED = 5
"""Columns of a table shown for each number of a code."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; form-action 'none'; base-uri 'none'"
)


def page_of(
    content: Content,
    pictures: dict[str, Any] | None = None,
    decoder: Program | None = None,
    *,
    reason: str = "",
    precision: str = "float32",
    left_out: Sequence[str] = (),
    live: dict[str, Any] | None = None,
) -> str:
    """The page as text, with an album of the first of `content.pictures`.

    A decoder runs in the page; without one `reason` says why. `precision`, "float32" or "float16", is that of
    its weights and of codes. `live` is what a page that is answered needs to know: any other has to do with
    what it holds.
    """
    there, display, traversal = content.map, content.display, content.traversal
    codes, m, k = there.codes, len(there.rows), content.model.n_components
    curves, scaling = list(_curves(content.model.history)), content.model.scaling
    ends = {"error": limits(there.errors)}
    if there.labels is not None and not there.classes:
        ends["label"] = limits(there.labels)
    ramp = [to_hex(colormaps["plasma"](i)) for i in RAMP]
    points = {
        "n": m,
        "k": k,
        "rows": None if np.array_equal(there.rows, np.arange(m)) else encoded(there.rows, "i4"),
        "classes": list(there.classes),
        "spacing": there.spacing,
        "x": encoded(there.plane[:, 0], "f4"),
        "y": encoded(there.plane[:, 1], "f4"),
        "error": encoded(there.errors, "f4"),
        "pca": encoded(there.pca, "f4"),
        "label": None if there.labels is None else encoded(there.labels, "f4"),
        "codes": encoded(codes, precision),
        "precision": precision,
        "pictured": encoded(there.pictured[: pictures["n"] if pictures else 0], "i4"),
    }
    data = {
        "view": display.described(),
        "scale": {name: encoded(getattr(scaling, name), "f4") for name in ("offset", "scale")},
        "colors": {
            "classes": class_colors(max(len(there.classes), MOST_CLUSTERS if live else 0)),
            "ramp": ramp,
            "limits": ends,
            "none": UNKNOWN,
            "plain": FIRST,
        },
        "charts": {"history": curves, "dimensions": _dimensions(content)},
        "sliders": {
            "start": codes[np.square(codes - codes.mean(axis=0)).sum(axis=1).argmin()].tolist(),
            "low": codes.min(axis=0).tolist(),
            "high": (codes.max(axis=0) + 1e-6).tolist(),
            "order": traversal.dimensions[:SLIDERS].tolist(),
        },
        "live": live,
        "albums": content.albums | ({"pictures": pictures} if pictures else {}),
        "points": points,
        "decoder": None if decoder is None else decoder.packed(precision),
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    table, lines = display.kind == "table", list(metric_lines(content.metrics))
    used = [i for i in range(3) if any(cells[i] not in ("", ABSENT) for _, cells in lines)]
    environment = Environment(autoescape=True, trim_blocks=True)
    environment.filters |= {"short": short, "said": said}
    # Macros keep what a template is given until garbage is collected: no model, and no rows of a file.
    shown = ("n", "facts", "command", "metrics", "captions", "map", "samples")
    return environment.from_string(_own("page.html")).render(
        page={name: getattr(content, name) for name in shown},
        title=_title(content),
        lead=_lead(content.metrics),
        tiles=list(_tiles(content.metrics)),
        version=__version__,
        kind=display.kind,
        k=k,
        legend=list(zip(there.classes, class_colors(len(there.classes)), strict=True)),
        limits=ends,
        ramp=ramp[::8],
        columns=[("auto-encoder", "PCA", "raw data")[i] for i in used],
        metrics=[(name, [cells[i] for i in used]) for name, cells in lines],
        points=m,
        hidden_sliders=max(0, k - SLIDERS),
        hidden_walks=max(0, len(traversal.dimensions) - MOST_TRAVERSED),
        walks=list(_walks(content)),
        sample_names=display.names[:COLUMNS],
        sample_rows=display.cells(content.samples[:COLUMNS]) if table and content.samples is not None else [],
        row_as_text=row_as_text(display, content.pictures.x[:1]) if table else "",
        health=" ".join(health(content.metrics["latent"], k)),
        css=_own("page.css"),
        scripts=[_own(name) for name in (SCRIPTS if live is None else SCRIPTS + LIVE_SCRIPTS)],
        curves=curves,
        live=live,
        policy=Markup(POLICY if live is None else f"{POLICY}; connect-src 'self'"),
        most_clusters=min(MOST_CLUSTERS, m),
        decoder=live is not None or decoder is not None,
        no_decoder=reason,
        left_out=left_out,
        content=Markup(text.replace("<", "\\u003c")),  # which no text in it can end
    )


@cache
def _own(name: str) -> Markup:
    """A script, a style or the template of the page's own."""
    return Markup(files("codeword.pages").joinpath("web", name).read_text("utf-8"))


# -- words --------------------------------------------------------------------------------------------------


def short(value: float | None, digits: int = 4) -> str:
    """So many digits that count, without an exponent where it can be helped, as the page's script has it."""
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e" in text and 1 <= abs(value) < 1e6 else text


def _title(content: Content) -> str:
    display, k = content.display, content.model.n_components
    if display.columns is not None:
        return f"{content.source}: {len(display.names):,} columns in {k:,} number{'' if k == 1 else 's'}"
    return f"{content.source}: {math.prod(display.shape):,} numbers in {k:,}"


def _lead(metrics: dict[str, Any]) -> str:
    begin = f"The mean squared error of the auto-encoder is {short(metrics['mse'])}."
    if metrics["explained_variance"] is not None:
        begin = f"The auto-encoder keeps {metrics['explained_variance']:.1%} of the variance."
    return f"{begin} {comparison(metrics['mse'], metrics['pca_mse'])}"


def _tiles(metrics: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield short(metrics["mse"]), "mean squared error, scaled units"
    yield short(metrics["pca_mse"]), "the same of PCA"
    yield short(metrics["worst_decile_mse"]), "of the worst tenth"
    if metrics["trustworthiness"] is not None:
        yield f"{metrics['trustworthiness']:.3f}", "trustworthiness of codes"
    if metrics["knn_accuracy"] is not None:
        yield f"{metrics['knn_accuracy']:.1%}", "labels by 5 nearest codes"


def _walks(content: Content) -> Iterator[dict[str, Any]]:
    """What each number of a code does on its way from low to high; in a table, which columns it changes."""
    walk, display = content.traversal, content.display
    steps = walk.values.shape[1]
    for i, dimension in enumerate(walk.dimensions[:MOST_TRAVERSED]):
        places = range(i * steps, (i + 1) * steps)
        found = {"dimension": int(dimension), "effect": float(walk.effects[i]), "places": places}
        if display.kind == "table":
            rows = walk.rows[i].reshape(steps, -1)
            moved = np.ptp(rows, axis=0) / content.model.scaling.scale
            most = np.argsort(-display.by_name(moved[None])[0], kind="stable")[:CHANGED]
            cells = list(zip(*display.cells(rows), strict=True))
            found["steps"] = [f"{value:.2f}" for value in walk.values[i]]
            found["columns"] = [(display.names[c], cells[c]) for c in most]
        yield found


def said(cell: Any) -> str:
    """A cell of a table, as `codeword.said` in the page has it."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if cell is None or cell != cell:
        return "missing"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else short(cell)
    return str(cell)


# -- charts -------------------------------------------------------------------------------------------------


def limits(values: NDArray[Any]) -> tuple[float, float]:
    """The values at the ends of the ramp: the few beyond take the color of the end."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
    return float(low), float(high) if high > low else float(low) + 1


def _curves(history: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The loss of each epoch, on the rows trained on and on those held out."""
    lines = (("train_loss", "trained on", FIRST), ("validation_loss", "held out", SECOND))
    for key, name, color in lines:
        losses = [(row["epoch"], row[key]) for row in history if row.get(key) is not None]
        if points := [point for point in losses if math.isfinite(point[1])]:
            yield {"name": name, "color": color, "points": points}


def _dimensions(content: Content) -> dict[str, Any]:
    """How much each number of a code is used, the largest first."""
    spread = content.metrics["latent"].get("kl_per_dimension")
    sizes = np.asarray(spread or content.map.codes.std(axis=0), dtype=np.float64)
    order = np.argsort(-sizes, kind="stable")[:MOST_BARS]
    return {
        "names": [f"z{i}" for i in order],
        "values": sizes[order].tolist(),
        "what": "KL, nats" if spread else "standard deviation of the code",
        "color": FIRST,
    }


# -- the report ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Report:
    """A report that can be written: the page, and how many samples are on its map and have a picture.

    `decoder` is the precision of the decoder's weights, None where it does not run in the page; `left_out` is
    what a reader might expect and does not find, and why.
    """

    html: str
    points: int
    pictures: int
    decoder: str | None
    left_out: list[str]

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return len(self.html.encode())

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the file, whole or not at all: see `codeword.base.files.writing`."""
        with writing(path, overwrite=overwrite) as new:
            new.write_text(self.html, "utf-8")
        return Path(path)


def make_report(content: Content, *, most_bytes: int = MOST_BYTES) -> Report:
    """Put what `gather` collected into a page.

    Where everything does not fit, the decoder's weights and the codes are rounded to half precision first,
    then samples go without a picture, then the decoder stays out.
    """
    codes = content.map.codes
    too_large = f"with it this file would be larger than {most_bytes / 1e6:g} MB"
    try:
        program, reason = program_of(content.model, codes), ""
    except Unsupported as error:
        program, reason = None, str(error)

    @cache
    def album(count: int) -> dict[str, Any] | None:
        return album_of(content.model, content.display, content.pictures[:count]) if count else None

    def made(decoder: Program | None, precision: str, kept: int) -> Report:
        left_out = list(content.left_out)
        if kept < len(codes):
            left_out.append(f"Pictures: {kept:,} of the {len(codes):,} samples on the map have one.")
        why = reason if decoder is program else too_large
        html = page_of(content, album(kept), decoder, reason=why, precision=precision, left_out=left_out)
        return Report(html, len(codes), kept, None if decoder is None else precision, left_out)

    half = float(np.abs(codes).max()) < np.finfo(np.float16).max
    counts = [len(content.pictures) * share // 20 for share in range(20, -1, -1)]
    plans: list[tuple[Program | None, str, int]] = [(program, "float32", counts[0])]
    if half and program is not None and program.agrees(codes[:64], program.run(codes[:64]), "float16"):
        # A page with few pictures is worth more than one that cannot decode, but not one without any.
        plans += [(program, "float16", count) for count in counts if count >= min(counts[0], 100)]
    plans += [(None, "float16" if half else "float32", count) for count in counts]
    for plan in plans:
        report = made(*plan)
        if report.size <= most_bytes:
            break
    return report
