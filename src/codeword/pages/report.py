"""A page put together from what `gather` collected, and the report: one HTML file that holds all it shows."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from numpy.typing import NDArray

from codeword.base.files import writing
from codeword.data.display import Display
from codeword.pages.content import MOST_TRAVERSED, Content, Pairs
from codeword.pages.decoder import KINDS, Program, Unsupported, encoded, program_of
from codeword.pages.words import SLIDERS, limits, ramp, words_of
from codeword.plots.sprites import sprite_sheet
from codeword.plots.style import class_colors

if TYPE_CHECKING:
    from codeword.data.scaling import Scaling
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["MOST_BYTES", "MOST_CLUSTERS", "POLICY", "Page", "Report", "make_report", "packed"]

MOST_BYTES = 8_000_000
"""Size of the file: what most mail servers let through, twice over."""

SCRIPTS = ["decoder.js", "cells.js", "pictures.js", "charts.js", "plot.js", "map.js", "between.js", "page.js"]
LIVE_SCRIPTS = ["live.js", "own.js"]
FIRST, SECOND, UNKNOWN = "#4477AA", "#CC3311", "#9aa0a6"
MOST_BARS = 64

MOST_CLUSTERS = 30
"""Clusters to color by: as many as there are colors."""

TILE, TILES_ACROSS = 64, 64
"""Pixels of a picture's longer side, above which it is made smaller, and pictures side by side."""

MOST_LENGTH, MOST_CHANNELS = 128, 4
"""Values and channels of a curve: a longer one is averaged."""

MOST_COLUMNS = 8
"""Columns of a table that are shown of a row: those with the largest residuals."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; form-action 'none'; base-uri 'none'"
)


class Page:
    """A page in the making: what does not change, however many pictures there are and whatever decodes.

    Parameters
    ----------
    content : Content
    scaling : Scaling
        The model's.
    live : dict, optional
        What a page that is answered needs to know; without it a page has to do with what it holds.
    """

    def __init__(self, content: Content, scaling: Scaling, live: dict[str, Any] | None = None) -> None:
        self.content, there, display = content, content.map, content.display
        codes, m = there.codes, len(there.rows)
        albums = {"shown": content.shown, "worst": content.worst}
        self.albums = {name: _album(content, pairs) for name, pairs in albums.items()}
        if display.kind != "table":
            steps = content.traversal.rows[:MOST_TRAVERSED]
            self.albums["traversal"] = packed(display, steps.reshape(-1, *display.shape))
            if content.samples is not None:
                self.albums["samples"] = packed(display, content.samples)
        self.pictures: dict[int, dict[str, Any]] = {}
        curves = list(_curves(content.history))
        self.points = {
            "n": m,
            "k": content.k,
            "rows": None if np.array_equal(there.rows, np.arange(m)) else encoded(there.rows, "i4"),
            "classes": list(there.classes),
            "spacing": _spacing(there.plane),
            "x": encoded(there.plane[:, 0], "f4"),
            "y": encoded(there.plane[:, 1], "f4"),
            "error": encoded(there.errors, "f4"),
            "pca": encoded(there.pca, "f4"),
            "label": None if there.labels is None else encoded(there.labels, "f4"),
        }
        self.data = {
            "view": display.described(),
            "scale": {name: encoded(getattr(scaling, name), "f4") for name in ("offset", "scale")},
            "colors": _colors(content, live is not None),
            "charts": {"history": curves, "dimensions": _dimensions(content)},
            "sliders": {
                "start": codes[np.square(codes - codes.mean(axis=0)).sum(axis=1).argmin()].tolist(),
                "low": codes.min(axis=0).tolist(),
                "high": (codes.max(axis=0) + 1e-6).tolist(),
                "order": content.traversal.dimensions[:SLIDERS].tolist(),
            },
            "live": live,
        }
        self.words = words_of(content) | {
            "css": _own("page.css"),
            "scripts": [_own(name) for name in (SCRIPTS if live is None else SCRIPTS + LIVE_SCRIPTS)],
            "curves": curves,
            "live": live is not None,
            "policy": Markup(POLICY if live is None else f"{POLICY}; connect-src 'self'"),
            "framed": live is not None and live["framed"],
            "most_clusters": min(MOST_CLUSTERS, m),
        }

    def render(
        self,
        pictures: int = 0,
        decoder: Program | None = None,
        *,
        reason: str = "",
        precision: str = "float32",
        left_out: Sequence[str] = (),
    ) -> str:
        """The file as text.

        Parameters
        ----------
        pictures : int, default=0
            How many points of the map have one in the file.
        decoder : Program, optional
            That runs in the page; without it `reason` says why there is none.
        precision : {"float32", "float16"}, default="float32"
            Precision of the decoder's weights and of codes.
        left_out : sequence of str
            What a reader might expect and does not find.
        """
        content, there = self.content, self.content.map
        if pictures not in self.pictures:
            self.pictures[pictures] = _album(content, content.pictures.first(pictures)) if pictures else {}
        albums = self.albums | ({"pictures": self.pictures[pictures]} if pictures else {})
        points = self.points | {
            "codes": encoded(there.codes, KINDS[precision]),
            "precision": precision,
            "pictured": encoded(there.pictured[:pictures], "i4"),
        }
        program = None if decoder is None else decoder.packed(precision)
        data = self.data | {"albums": albums, "points": points, "decoder": program}
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        page = Environment(autoescape=True, trim_blocks=True).from_string(_own("page.html"))
        return page.render(
            **self.words,
            decoder=self.words["live"] or decoder is not None,
            no_decoder=reason,
            left_out=left_out,
            content=Markup(text.replace("<", "\\u003c")),  # which no text in it can end
        )


@cache
def _own(name: str) -> Markup:
    """A script, a style or the template of the page's own."""
    return Markup(files("codeword.pages").joinpath("web", name).read_text("utf-8"))


# -- samples ------------------------------------------------------------------------------------------------


def packed(
    display: Display,
    x: NDArray[Any],
    x_hat: NDArray[Any] | None = None,
    residuals: NDArray[Any] | None = None,
) -> dict[str, Any]:
    """Samples, and what the model makes of them, as the page draws them; fit for JSON.

    Parameters
    ----------
    display : Display
    x, x_hat : ndarray of shape (n, *shape)
        In the units of x.
    residuals : ndarray of shape (n, d), optional
        For a table, in scaled units: of these the largest are kept; else the first columns are.
    """
    known: dict[str, Any] = {"n": len(x), "pair": x_hat is not None}
    both = x if x_hat is None else np.concatenate([x, x_hat])
    if display.kind == "image":
        height, width, png = sprite_sheet(display.pixels(both), TILE, across := min(len(both), TILES_ACROSS))
        sprite = "data:image/png;base64," + base64.b64encode(png).decode()
        return known | {"width": width, "height": height, "across": across, "sprite": sprite}
    if display.kind == "curve":
        curves = _shorter(display.curves(both)[..., :MOST_CHANNELS])
        length, channels = curves.shape[1:]
        return known | {"length": length, "channels": channels, "values": encoded(curves, "f4")}
    count = min(MOST_COLUMNS, len(display.names))
    off = np.zeros((len(x), len(display.names))) if residuals is None else display.by_name(residuals)
    columns = np.argsort(-np.abs(off), axis=1, kind="stable")[:, :count]
    places = [*columns, *columns][: len(both)]
    chosen = [[row[i] for i in own] for row, own in zip(display.cells(both), places, strict=True)]
    return known | {
        "count": count,
        "columns": encoded(columns, "i4"),
        "residuals": encoded(np.take_along_axis(off, columns, axis=1), "f4"),
        **_listed(chosen, numbers=display.columns is None),
    }


def _listed(cells: list[list[Any]], *, numbers: bool) -> dict[str, Any]:
    """Cells for JSON: numbers as bytes, and of a mixed table the place of each in a list of all there are."""
    if numbers:
        return {"values": encoded(np.array(cells), "f4")}
    places: dict[Any, int] = {}
    # True is 1 to a dictionary: the type is part of the key.
    keys = [(type(cell), cell) for row in cells for cell in row]
    chosen = [places.setdefault(key, len(places)) for key in keys]
    shown = [float(f"{cell:.6g}") if kind is float else cell for kind, cell in places]
    return {"words": shown, "cells": encoded(np.array(chosen), "i4")}


def _album(content: Content, pairs: Pairs) -> dict[str, Any]:
    return packed(content.display, pairs.x, pairs.x_hat, pairs.residuals)


def _shorter(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Curves (n, length, channels) averaged to at most MOST_LENGTH values."""
    length = curves.shape[1]
    if length <= MOST_LENGTH:
        return curves
    edges = np.linspace(0, length, MOST_LENGTH + 1).astype(int)
    sums = np.add.reduceat(curves, edges[:-1], axis=1)
    return sums / np.diff(edges)[None, :, None]


# -- charts -------------------------------------------------------------------------------------------------


def _colors(content: Content, live: bool) -> dict[str, Any]:
    """Colors of classes and clusters, the ramp of quantities, and between which values it goes."""
    there = content.map
    known = {"error": limits(there.errors)}
    if there.labels is not None and not there.classes:
        known["label"] = limits(there.labels)
    return {
        "classes": class_colors(max(len(there.classes), MOST_CLUSTERS if live else 0)),
        "ramp": ramp(),
        "limits": known,
        "none": UNKNOWN,
        "plain": FIRST,
    }


def _curves(history: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The loss of each epoch, on the rows trained on and on those held out."""
    for key, name, color in (
        ("train_loss", "trained on", FIRST),
        ("validation_loss", "held out", SECOND),
    ):
        points = [
            (row["epoch"], row[key])
            for row in history
            if row.get(key) is not None and math.isfinite(row[key])
        ]
        if points:
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


def _spacing(plane: NDArray[Any]) -> float:
    """How far apart points of a map lie: what nineteen in twenty have a neighbor within."""
    from sklearn.neighbors import NearestNeighbors

    if len(plane) < 2:
        return 1.0
    distances = NearestNeighbors(n_neighbors=2).fit(plane).kneighbors(plane)[0][:, 1]
    return float(np.percentile(distances, 95)) or 1.0


# -- the report ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Report:
    """A report that can be written.

    Parameters
    ----------
    html : str
    points, pictures : int
        How many samples are on the map, and how many of these have a picture.
    decoder : str or None
        The precision of the decoder's weights in the page; None where it does not run there.
    left_out : list of str
        What a reader might expect and does not find, and why.
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
        """Write the file, whole or not at all.

        Raises
        ------
        InputError
            If `path` exists and `overwrite` is false, or its folder is missing.
        """
        with writing(path, overwrite=overwrite) as new:
            new.write_text(self.html, "utf-8")
        return Path(path)


def make_report(ae: AutoEncoder, content: Content, *, most_bytes: int = MOST_BYTES) -> Report:
    """Put what `gather` collected into a page.

    Where everything does not fit, the decoder's weights and the codes are rounded to half precision first,
    then samples go without a picture, then the decoder stays out.

    Parameters
    ----------
    ae : AutoEncoder
        The model.
    content : Content
    most_bytes : int, default=8,000,000

    Returns
    -------
    Report
    """
    try:
        program, reason = program_of(ae.model_, content.map.codes), ""
    except Unsupported as error:
        program, reason = None, str(error)
    page = Page(content, ae.model_.scaling)
    every, there = len(content.pictures.rows), len(content.map.rows)
    plans = _plans(program, content)
    for decoder, precision in plans:
        if decoder is not program:
            reason = f"with it this file would be larger than {most_bytes / 1e6:g} MB"
        how: dict[str, Any] = {"decoder": decoder, "reason": reason, "precision": precision}
        kept, size = every, len(page.render(every, **how).encode())
        if size > most_bytes:
            bare = len(page.render(0, **how).encode())
            kept = max(0, int(0.97 * (most_bytes - bare) / (size - bare) * every))
        # A page with few pictures is worth more than one that cannot decode, but not one without any.
        if kept == every if precision == "float32" else kept >= min(every, 100):
            break
    while True:
        left_out = list(content.left_out)
        if kept < there:
            left_out.append(f"Pictures: {kept:,} of the {there:,} samples on the map have one.")
        html = page.render(kept, **how, left_out=left_out)
        if kept == 0 or len(html.encode()) <= most_bytes:
            return Report(html, there, kept, None if decoder is None else precision, left_out)
        kept = kept * 9 // 10


def _plans(program: Program | None, content: Content) -> list[tuple[Program | None, str]]:
    """Try these until the page fits: a decoder or none, and the precision of its weights and of codes."""
    codes = content.map.codes
    plans: list[tuple[Program | None, str]] = [(program, "float32")]
    if float(np.abs(codes).max()) < np.finfo(np.float16).max:
        if program is not None and program.agrees(codes[:64], program.run(codes[:64]), "float16"):
            plans.append((program, "float16"))
        plans.append((None, "float16"))
    return plans
