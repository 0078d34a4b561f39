"""A page put together from what `gather` collected: one template, its scripts, and bokeh's figures."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, Template
from markupsafe import Markup

from codeword.pages.components import (
    MOST_CLUSTERS,
    dimension_figure,
    error_figure,
    history_figure,
    map_figure,
    points_source,
)
from codeword.pages.content import MOST_TRAVERSED, Content, Pairs
from codeword.pages.decoder import Program
from codeword.pages.views import encoded, packed
from codeword.pages.words import SLIDERS, words_of

if TYPE_CHECKING:
    from codeword.data.scaling import Scaling

__all__ = ["POLICY", "Page"]

SCRIPTS = ("decoder.js", "cells.js", "pictures.js", "map.js", "dots.js", "between.js", "page.js")
LIVE = ("live.js", "own.js")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; form-action 'none'; base-uri 'none'"
)


class Page:
    """A page in the making: parts that do not change, and those that are tried.

    Parameters
    ----------
    content : Content
    scaling : Scaling
        The model's.
    live : bool, default=False
        Whether somebody answers the page; else it has to do with what it holds.
    """

    def __init__(self, content: Content, scaling: Scaling, *, live: bool = False) -> None:
        self.content, self.scaling, self.live = content, scaling, live
        self.about: dict[str, Any] | None = None
        self.row_as_text: str | None = None
        self.decoder: Program | None = None
        self.reason, self.precision = "", "float32"
        self.roots, self.figures, self.items = _embedded(content, live)
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
        if self.row_as_text is not None:
            words["row_as_text"] = self.row_as_text
        ours = SCRIPTS + LIVE if self.live else SCRIPTS
        return _template().render(
            **words,
            css=_raw(_read("page.css")),
            roots=self.roots,
            live=self.live,
            policy=_raw(f"{POLICY}; connect-src 'self'" if self.live else POLICY),
            framed=self.live and bool(self.about and self.about["framed"]),
            points=len(self.content.map.rows),
            most_clusters=min(MOST_CLUSTERS, len(self.content.map.rows)),
            decoder=self.live or self.decoder is not None,
            no_decoder=self.reason,
            left_out=left_out,
            content=_json(self._data(pictures)),
            figures=self.figures,
            items=self.items,
            scripts=[_raw(text) for text in (_bokeh(), *map(_read, ours))],
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
            "live": self.about,
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


def _embedded(content: Content, live: bool) -> tuple[dict[str, Markup], Markup, Markup]:
    """The places of the figures in the page, the figures as JSON, and which belongs where."""
    from bokeh.core.json_encoder import serialize_json
    from bokeh.document import Document
    from bokeh.embed.util import standalone_docs_json_and_render_items

    there = content.map
    quantity = there.labels is not None and not there.classes
    source = points_source(there.plane, there.errors, there.pca, there.labels, clusters=live)
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


def _bokeh() -> str:
    """BokehJS from its wheel."""
    from bokeh.resources import Resources

    return str(Resources(mode="inline", components=["bokeh"], minified=True).js_raw[0])


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
