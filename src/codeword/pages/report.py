"""The report: one HTML file that holds everything it shows and asks nothing of the network."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, Template
from markupsafe import Markup

from codeword.files import writing
from codeword.pages.components import (
    MANY_POINTS,
    dimension_figure,
    error_figure,
    history_figure,
    map_figure,
    points_source,
)
from codeword.pages.content import MOST_TRAVERSED, Content, Pairs
from codeword.pages.decoder import Program, Unsupported, program_of
from codeword.pages.views import encoded, packed
from codeword.pages.words import SLIDERS, words_of

if TYPE_CHECKING:
    from codeword.data.scaling import Scaling
    from codeword.estimator import AutoEncoder

__all__ = ["MOST_BYTES", "Report", "make_report"]

MOST_BYTES = 8_000_000
"""Of the file: what most mail servers let through, twice over."""

SCRIPTS = ("decoder.js", "pictures.js", "map.js", "page.js")


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
    left_out = list(content.left_out)
    try:
        program, reason = program_of(ae, content.map.codes), ""
    except Unsupported as error:
        program, reason = None, str(error)
    page = _Page(content, ae.scaling_)
    every = len(content.pictures.rows)
    plans = _plans(program, content)
    for decoder, precision in plans:
        if decoder is not program:
            reason = f"with it this file would be larger than {most_bytes / 1e6:g} MB"
        page.decoder, page.reason, page.precision = decoder, reason, precision
        kept, size = every, page.size(every)
        if size > most_bytes:
            bare = page.size(0)
            kept = max(0, int(0.97 * (most_bytes - bare) / (size - bare) * every))
        # A page with few pictures is worth more than one that cannot decode, but not one without any.
        enough = kept == every if precision == "float32" else kept >= min(every, 100)
        if enough or (decoder, precision) == plans[-1]:
            break
    while True:
        there = len(content.map.rows)
        missing = f"Pictures: {kept:,} of the {there:,} samples on the map have one."
        named = left_out if kept == there else [*left_out, missing]
        html = page.render(kept, named)
        if kept == 0 or len(html.encode()) <= most_bytes:
            break
        kept = kept * 9 // 10
    return Report(html, there, kept, None if decoder is None else precision, named)


def _plans(program: Program | None, content: Content) -> list[tuple[Program | None, str]]:
    """What to try until the page fits: a decoder or none, and the precision of its weights and of codes."""
    codes = content.map.codes
    plans: list[tuple[Program | None, str]] = [(program, "float32")]
    if float(np.abs(codes).max()) < np.finfo(np.float16).max:
        if program is not None and program.agrees(codes[:64], program.run(codes[:64]), "float16"):
            plans.append((program, "float16"))
        plans.append((None, "float16"))
    return plans


class _Page:
    """A page in the making: parts that do not change, and those that are tried."""

    def __init__(self, content: Content, scaling: Scaling) -> None:
        self.content, self.scaling = content, scaling
        self.decoder: Program | None = None
        self.reason, self.precision = "", "float32"
        self.roots, self.figures, self.items = _embedded(content)
        self.pictured: dict[int, dict[str, Any]] = {0: {}}
        self.spacing = _spacing(content.map.plane)
        view = content.view
        self.albums = {
            "shown": _album(content, content.shown),
            "worst": _album(content, content.worst),
        }
        if view.kind != "table":
            steps = content.traversal.rows[:MOST_TRAVERSED]
            self.albums["traversal"] = packed(view, steps.reshape(-1, *view.shape))
            if content.samples is not None:
                self.albums["samples"] = packed(view, content.samples)

    def size(self, pictures: int) -> int:
        """Bytes of the file with so many pictures, and nothing said of those that are missing."""
        return len(self.render(pictures, self.content.left_out).encode())

    def render(self, pictures: int, left_out: list[str]) -> str:
        """The file as text."""
        words = words_of(self.content)
        return _template().render(
            **words,
            css=_raw(_read("page.css")),
            roots=self.roots,
            decoder=self.decoder is not None,
            no_decoder=self.reason,
            left_out=left_out,
            content=_json(self._data(pictures)),
            figures=self.figures,
            items=self.items,
            scripts=[_raw(text) for text in (*_bokeh(len(self.content.map.rows)), *map(_read, SCRIPTS))],
        )

    def _data(self, pictures: int) -> dict[str, Any]:
        content, there = self.content, self.content.map
        if pictures not in self.pictured:
            album = _album(content, _first(content.pictures, pictures))
            self.pictured[pictures] = {"pictures": album}
        m = len(there.rows)
        known = there.codes
        start = known[np.square(known - known.mean(axis=0)).sum(axis=1).argmin()]
        return {
            "view": content.view.described(),
            "scale": {
                "offset": encoded(self.scaling.offset, "f4"),
                "scale": encoded(self.scaling.scale, "f4"),
            },
            "albums": self.albums | self.pictured[pictures],
            "points": {
                "n": m,
                "k": content.k,
                "rows": None if np.array_equal(there.rows, np.arange(m)) else encoded(there.rows, "i4"),
                "codes": encoded(known, "f2" if self.precision == "float16" else "f4"),
                "precision": self.precision,
                "pictured": encoded(there.pictured[:pictures], "i4"),
                "classes": list(there.classes),
                "spacing": self.spacing,
            },
            "sliders": {
                "start": start.tolist(),
                "low": known.min(axis=0).tolist(),
                "high": (known.max(axis=0) + 1e-6).tolist(),
                "order": content.traversal.dimensions[:SLIDERS].tolist(),
            },
            "decoder": None if self.decoder is None else self.decoder.packed(self.precision),
        }


def _spacing(plane: Any) -> float:
    """How far apart points of a map lie: what nineteen in twenty have a neighbour within."""
    from sklearn.neighbors import NearestNeighbors

    if len(plane) < 2:
        return 1.0
    distances = NearestNeighbors(n_neighbors=2).fit(plane).kneighbors(plane)[0][:, 1]
    return float(np.percentile(distances, 95)) or 1.0


def _first(pairs: Pairs, count: int) -> Pairs:
    return Pairs(pairs.rows[:count], pairs.x[:count], pairs.x_hat[:count], pairs.off[:count])


def _album(content: Content, pairs: Pairs) -> dict[str, Any]:
    return packed(content.view, pairs.x, pairs.x_hat, pairs.off)


# -- the file -----------------------------------------------------------------------------------------------


def _embedded(content: Content) -> tuple[dict[str, Markup], Markup, Markup]:
    """The places of the figures in the page, the figures as JSON, and which belongs where."""
    from bokeh.core.json_encoder import serialize_json
    from bokeh.document import Document
    from bokeh.embed.util import standalone_docs_json_and_render_items

    there = content.map
    quantity = there.labels is not None and not there.classes
    source = points_source(there.plane, there.errors, there.pca, there.labels)
    latent = content.figures["latent"]
    spread = latent.get("kl_per_dimension")
    what = "KL, nats" if spread else "standard deviation of the code"
    plots = {
        "map": map_figure(source, there.classes, quantity),
        "errors": error_figure(source),
        "dimensions": dimension_figure(spread or there.codes.std(axis=0), what),
    }
    if content.history:
        plots["history"] = history_figure(content.history)
    document = Document()
    for plot in plots.values():
        document.add_root(plot)
    docs, items = standalone_docs_json_and_render_items(list(plots.values()))
    # What bokeh draws at random is named here, so that the same model and data make the same file.
    (item,), (docid,) = items, docs
    places = [item.roots[name].elementid for name in plots]
    drawn = json.dumps([item.to_json()])
    for at, name in zip((str(docid), *places), ("document", *plots), strict=True):
        drawn = drawn.replace(f'"{at}"', f'"of-{name}"')
    roots = {name: Markup('<div class="bokeh" id="of-{}"></div>').format(name) for name in plots}
    return roots, _safe(serialize_json({"of-document": docs[docid]})), _safe(drawn)


def _bokeh(n: int) -> list[str]:
    """BokehJS from its wheel, with WebGL where points are many."""
    from bokeh.resources import Resources

    parts: list[Any] = ["bokeh", "bokeh-gl"] if n >= MANY_POINTS else ["bokeh"]
    return list(Resources(mode="inline", components=parts, minified=True).js_raw)[: len(parts)]


def _template() -> Template:
    return Environment(autoescape=True, trim_blocks=True).from_string(_read("page.html"))


@cache
def _read(name: str) -> str:
    return files("codeword.pages").joinpath(name).read_text("utf-8")


def _json(value: Any) -> Markup:
    return _safe(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _safe(text: str) -> Markup:
    """JSON that no text in it can end: a smaller-than sign is written by its number."""
    return Markup(text.replace("<", "\\u003c"))


def _raw(text: str) -> Markup:
    """Our own scripts and styles, and bokeh's."""
    return Markup(text)
