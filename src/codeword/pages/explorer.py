"""What a live page asks of a model: decode codes, show a sample, cluster, download."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.data import Data
from codeword.pages.content import Content, album_of
from codeword.pages.report import MOST_CLUSTERS, page_of
from codeword.pages.uploads import Frame, row_as_text, sample_of
from codeword.tasks.detect import OutlierDetector
from codeword.tasks.neighbors import neighbors

if TYPE_CHECKING:
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["MOST_CODES", "MOST_SAMPLES", "Explorer", "most_points"]

MOST_CODES = 64
MOST_SAMPLES = 64
"""Decoded, or read from the source, at once."""

NEIGHBORS = 10
LARGEST = 1e15
"""The largest number in a code: the square of a larger one is infinite before long."""

TOO_LARGE = "the values are too large: expected a sample in the range of those of training"

PLACED_BY = 8
"""How many points a new sample is placed between."""

FORMATS = ("csv", "parquet")

CODE_BYTES = 256_000_000
"""Size of the codes that a page holds: browsers take no text much longer."""


def most_points(ae: AutoEncoder) -> int:
    """How many samples of a model the map of a live page can hold."""
    return min(500_000, CODE_BYTES // (4 * ae.n_components))


class Explorer:
    """A model, its data and their map, answering a page.

    Parameters
    ----------
    ae : AutoEncoder
        Fitted.
    data : Data
        The rows that `content` was gathered from.
    content : Content
        See `gather`.
    """

    def __init__(self, ae: AutoEncoder, data: Data, content: Content) -> None:
        self.model, self.data, self.content, self.display = ae.model_, data, content, content.display
        # The frame of gray pictures; those with color are taken as they come.
        gray = self.display.kind == "image" and self.display.images(data.x[:1]).ndim == 3
        self.frame = Frame(self.display.pixels(content.pictures.x)) if gray else None
        ink = "dark" if self.frame and not self.frame.dark else "light"
        row = ""
        if self.display.kind == "table":
            row = row_as_text(self.display, np.asarray(data.x[[content.captions["shown"][0]["row"]]]))
        live = {"ink": ink, "framed": gray}
        self.html = page_of(content, live=live, row=row, left_out=content.left_out)
        # Only p-values are used: the level of the detector's alarms does not matter.
        kept = self.model.training_codes
        self.held = 0 if kept is None else len(kept.held_codes)
        self.detector = OutlierDetector.from_model(ae, max_false_alarms=0.5) if self.held else None
        self.clusters: dict[int, NDArray[np.int64]] = {}  # those that were asked for

    # -- answers ----------------------------------------------------------------------------------------

    def decode(self, codes: Any) -> NDArray[np.float32]:
        """Rows (m, d) in scaled units of codes (m, k), at most 64 of them."""
        k = self.model.n_components
        try:
            with np.errstate(over="ignore"):  # a number too large is infinite, and refused
                given = np.asarray(codes, dtype=np.float32)
        except (TypeError, ValueError, OverflowError):
            given = np.zeros(0, np.float32)
        if given.ndim != 2 or not 0 < len(given) <= MOST_CODES or given.shape[1] != k:
            raise DataError(f"codes: expected between 1 and {MOST_CODES} lists of {k} numbers")
        if not np.isfinite(given).all():
            raise DataError("codes: expected finite numbers")
        rows: NDArray[np.float32] = self.model.scaling.forward(self.model.inverse_transform(given)).numpy()
        return rows

    def samples(self, rows: Any) -> dict[str, Any]:
        """Some rows of the source, by number, and what the model makes of each."""
        chosen = _whole(rows, "rows", len(self.data), MOST_SAMPLES)
        return album_of(self.model, self.display, self.data[chosen])

    def find(self, row: Any) -> dict[str, Any]:
        """All there is to say of one row of the source, which need not be on the map."""
        _whole([row], "row", len(self.data))
        title = f"no. {row:,}" if self.data.y is None else f"no. {row:,} · {self.data.y[row]}"
        return self._described(self.data[[row]], row) | {"title": title}

    def upload(self, data: bytes, *, invert: bool = False, framed: bool = False) -> dict[str, Any]:
        """All there is to say of a sample that was drawn or uploaded."""
        x = sample_of(
            data,
            self.display,
            dtype=self.data.x.dtype,
            missing=self.model.takes_missing,
            invert=invert,
            frame=self.frame if framed else None,
        )
        return self._described(replace(self.data, x=x, y=None)) | {"title": "your sample"}

    def table(self, places: Any, kind: Any, clusters: Any = None) -> bytes:
        """Points of the map as a file: number, place, label, error, cluster and code.

        Parameters
        ----------
        places : list of int
            Which points; none for all.
        kind : {"csv", "parquet"}
        clusters : int, optional
            So many, which each point is put into one of.
        """
        import pyarrow as pa
        import pyarrow.csv as pa_csv
        import pyarrow.parquet as pq

        there = self.content.map
        if kind not in FORMATS:
            raise DataError(f"format: expected {' or '.join(FORMATS)}")
        chosen = np.asarray(_whole(places, "places", len(there.rows)) or range(len(there.rows)))
        columns: dict[str, Any] = {
            "row": there.rows[chosen],
            "x": there.plane[chosen, 0],
            "y": there.plane[chosen, 1],
            "error": there.errors[chosen],
        }
        if self.data.y is not None:
            columns["label"] = np.asarray(self.data.y)[there.rows[chosen]]
        if clusters is not None:
            columns["cluster"] = self.cluster(clusters)[chosen]
        columns |= {f"z{i}": there.codes[chosen, i] for i in range(self.model.n_components)}
        table = pa.table(columns)
        file = io.BytesIO()
        write = pa_csv.write_csv if kind == "csv" else pq.write_table
        write(table, file)
        return file.getvalue()

    def cluster(self, count: Any) -> NDArray[np.int64]:
        """The cluster of each point of the map, by k-means on codes, the largest cluster first."""
        _whole([count], "clusters", min(MOST_CLUSTERS, len(self.content.map.rows)) + 1, least=1)
        if count not in self.clusters:
            from sklearn.cluster import KMeans

            found = KMeans(count, n_init=4, random_state=0).fit_predict(self.content.map.codes)
            rank = np.argsort(np.argsort(-np.bincount(found, minlength=count), kind="stable"))
            self.clusters[count] = rank[found]
        return self.clusters[count]

    def _described(self, sample: Data, row: int | None = None) -> dict[str, Any]:
        """All there is to say of the only row of `sample`."""
        there = self.content.map
        with np.errstate(over="ignore"):
            code = self.model.transform(sample)
            error = float(-self.model.score_samples(sample)[0])
        if not (np.abs(code) < LARGEST).all() or not np.isfinite(error):
            raise DataError(TOO_LARGE)
        count = min(NEIGHBORS + 1, len(there.rows))
        near, distances = (each[0] for each in neighbors(there.codes, code, count))
        # Between the points with the nearest codes, each weighted by one over its squared distance.
        between, away = there.plane[near[:PLACED_BY]], distances[:PLACED_BY]
        weight = 1 / (away**2 + (1e-6 * (away.mean() or 1.0)) ** 2)
        return {
            "album": album_of(self.model, self.display, sample),
            "code": code[0].tolist(),
            "error": error,
            "p_value": None if self.detector is None else float(self.detector.p_values(sample)[0]),
            "held": self.held,
            "place": (weight @ between / weight.sum()).tolist(),
            "neighbors": [int(i) for i in near if there.rows[i] != row][:NEIGHBORS],
        }


def _whole(given: Any, name: str, end: int, most: int | None = None, *, least: int = 0) -> list[int]:
    """What was given as a list of whole numbers below `end`; with `most`, of one to so many."""
    if not isinstance(given, list) or not all(type(i) is int and least <= i < end for i in given):
        raise DataError(f"{name}: expected whole numbers from {least} to {end - 1}")
    if most is not None and not 0 < len(given) <= most:
        raise DataError(f"{name}: expected between 1 and {most} whole numbers")
    return given
