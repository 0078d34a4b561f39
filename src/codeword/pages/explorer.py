"""What a live page asks of a model: decode codes, show a sample, cluster, download."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.data import Data
from codeword.pages.content import Content, Pairs, pairs_of
from codeword.pages.report import MOST_CLUSTERS, Page, packed
from codeword.pages.uploads import Frame, sample_of
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
        self.model, self.data, self.content = ae.model_, data, content
        self.display = content.display
        self.dtype = str(np.asarray(data.x[:1]).dtype)
        self.frame = self._frame()
        dark = self.frame is None or self.frame.dark
        live = {"ink": "light" if dark else "dark", "framed": self.frame is not None}
        self.html = Page(content, self.model.scaling, live).render(left_out=content.left_out)
        # Only p-values are used: the level of the detector's alarms does not matter.
        kept = self.model.training_codes
        self.held = 0 if kept is None else len(kept.held_codes)
        self.detector = OutlierDetector.from_model(ae, max_false_alarms=0.5) if self.held else None
        self.clusters: dict[int, NDArray[np.int64]] = {}  # those that were asked for

    def _frame(self) -> Frame | None:
        """The frame of gray pictures; those with color are taken as they come."""
        if self.display.kind != "image":
            return None
        images = self.display.pixels(self.content.pictures.x)
        return Frame(images) if images.ndim == 3 else None

    # -- answers ----------------------------------------------------------------------------------------

    def decode(self, codes: Any) -> NDArray[np.float32]:
        """Rows (m, d) in scaled units of codes (m, k), at most 64 of them."""
        k = self.content.k
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
        return self._album(pairs_of(self.model, self.data, np.asarray(chosen)))

    def find(self, row: Any) -> dict[str, Any]:
        """All there is to say of one row of the source, which need not be on the map."""
        _whole([row], "row", len(self.data))
        found = self._described(replace(self.data, x=np.asarray(self.data.x[[row]]), y=None), row)
        found["title"] = f"no. {row:,}"
        if self.data.y is not None:
            found["title"] += f" · {self.data.y[row]}"
        return found

    def upload(self, data: bytes, *, invert: bool = False, framed: bool = False) -> dict[str, Any]:
        """All there is to say of a sample that was drawn or uploaded."""
        frame = self.frame if framed else None
        how: dict[str, Any] = {"dtype": self.dtype, "missing": self.model.takes_missing}
        x = sample_of(data, self.display, invert=invert, frame=frame, **how)
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
        columns |= {f"z{i}": there.codes[chosen, i] for i in range(self.content.k)}
        table = pa.table(columns)
        file = io.BytesIO()
        if kind == "csv":
            pa_csv.write_csv(table, file)
        else:
            pq.write_table(table, file)
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

    # -- parts ------------------------------------------------------------------------------------------

    def _album(self, pairs: Pairs) -> dict[str, Any]:
        return packed(self.display, pairs.x, pairs.x_hat, pairs.residuals)

    def _described(self, sample: Data, row: int | None = None) -> dict[str, Any]:
        """All there is to say of the only row of `sample`."""
        there = self.content.map
        with np.errstate(over="ignore"):
            code = self.model.transform(sample)
            error = float(-self.model.score_samples(sample)[0])
        if not (np.abs(code) < LARGEST).all() or not np.isfinite(error):
            raise DataError(TOO_LARGE)
        count = min(NEIGHBORS + 1, len(there.rows))
        near, distances = neighbors(there.codes, code, count)
        return {
            "album": self._album(pairs_of(self.model, sample, np.zeros(1, np.int64))),
            "code": code[0].tolist(),
            "error": error,
            "p_value": None if self.detector is None else float(self.detector.p_values(sample)[0]),
            "held": self.held,
            "place": self._place(near[0][:PLACED_BY], distances[0][:PLACED_BY]),
            "neighbors": [int(i) for i in near[0] if there.rows[i] != row][:NEIGHBORS],
        }

    def _place(self, near: NDArray[Any], distances: NDArray[np.float64]) -> list[float]:
        """Between the points with the nearest codes, each weighted by one over its squared distance."""
        weight = 1 / (distances**2 + (1e-6 * (distances.mean() or 1.0)) ** 2)
        place = weight @ self.content.map.plane[near].astype(np.float64) / weight.sum()
        return [float(v) for v in place]


def _whole(given: Any, name: str, end: int, most: int | None = None, *, least: int = 0) -> list[int]:
    """What was given as a list of whole numbers below `end`; with `most`, of one to so many."""
    if not isinstance(given, list) or not all(type(i) is int and least <= i < end for i in given):
        raise DataError(f"{name}: expected whole numbers from {least} to {end - 1}")
    if most is not None and not 0 < len(given) <= most:
        raise DataError(f"{name}: expected between 1 and {most} whole numbers")
    return given
