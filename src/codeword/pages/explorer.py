"""A live page: what it asks of a model, and the server that answers one browser on the same machine.

The server answers requests that name this machine and its port as host, and come from its own page: other
pages in the same browser, and names that somebody makes point here (DNS rebinding), get nothing; nor does
another user of the machine, who does not have the key in the address. Nothing is read from disk.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import io
import json
import os
import secrets
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from codeword.base.errors import CodewordError, DataError, InputError
from codeword.data import Data
from codeword.model.autoencoder import AutoEncoder
from codeword.pages.content import Content, album_of
from codeword.pages.report import MOST_CLUSTERS, POLICY, page_of
from codeword.pages.uploads import MOST_BYTES, Frame, sample_of
from codeword.tasks.detect import OutlierDetector
from codeword.tasks.neighbors import neighbors

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

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
NOTHING = "there is nothing at this address"
BODY_SECONDS = 60.0

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"{POLICY}; connect-src 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "codeword",
    "X-Content-Type-Options": "nosniff",
}


class Explorer:
    """A fitted model, its data and the `content` that was gathered from them, answering a page."""

    def __init__(self, ae: AutoEncoder, data: Data, content: Content) -> None:
        self.model, self.data, self.content, self.display = ae.model_, data, content, content.display
        # The frame of gray pictures; those with color are taken as they come.
        gray = self.display.kind == "image" and self.display.images(data.x[:1]).ndim == 3
        self.frame = Frame(self.display.pixels(content.pictures.x)) if gray else None
        ink = "dark" if self.frame and not self.frame.dark else "light"
        live = {"ink": ink, "framed": gray}
        self.html = page_of(content, live=live, left_out=content.left_out)
        # Only p-values are used: the level of the detector's alarms does not matter.
        kept = self.model.training_codes
        self.held = 0 if kept is None else len(kept.held_codes)
        self.detector = OutlierDetector.from_model(ae, max_false_alarms=0.5) if self.held else None
        self.clusters: dict[int, NDArray[np.int64]] = {}  # those that were asked for

    # -- answers ----------------------------------------------------------------------------------------

    def decode(self, codes: Any) -> NDArray[np.float32]:
        """Rows (m, d) in scaled units of codes (m, k), at most 64 of them."""
        k = self.model.n_components
        if not (
            isinstance(codes, list)
            and 0 < len(codes) <= MOST_CODES
            and all(isinstance(code, list) and len(code) == k for code in codes)
            and all(type(value) in (int, float) and abs(value) < LARGEST for code in codes for value in code)
        ):
            raise DataError(f"codes: expected between 1 and {MOST_CODES} lists of {k} finite numbers")
        rows: NDArray[np.float32] = self.model.scaling.forward(self.model.inverse_transform(codes)).numpy()
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
        frame, missing = self.frame if framed else None, self.model.takes_missing
        x = sample_of(data, self.display, missing=missing, invert=invert, frame=frame)
        return self._described(replace(self.data, x=x, y=None)) | {"title": "your sample"}

    def table(self, places: Any, kind: Any, clusters: Any = None) -> bytes:
        """Points of the map as a CSV or Parquet file: number, place, label, error, cluster and code.

        `places` are those of the points, none for all; with `clusters` each is in one of so many.
        """
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
        file = io.BytesIO()
        write = pa_csv.write_csv if kind == "csv" else pq.write_table
        write(pa.table(columns), file)
        return file.getvalue()

    def cluster(self, count: Any) -> NDArray[np.int64]:
        """The cluster of each point of the map, by k-means on codes, the largest cluster first."""
        _whole([count], "clusters", min(MOST_CLUSTERS, len(self.content.map.rows)) + 1, least=1)
        if count not in self.clusters:
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


# -- the server ---------------------------------------------------------------------------------------------


def listen(port: int) -> socket.socket:
    """Take a port of this machine, or any that is free where it is 0; InputError if it cannot be had."""
    try:
        taken = socket.create_server((HOST, port))
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        why = "is in use" if used else f"cannot be opened ({os.strerror(error.errno or 0)})"
        raise InputError(
            f"port {port} {why}: give another as --port, or --port 0 for any that is free"
        ) from None
    taken.setblocking(False)
    return taken


def serve(explorer: Explorer, taken: socket.socket, ready: Callable[[str], object]) -> None:
    """Answer until Ctrl-C; `ready` is called once with the address, when the first request can come.

    The address holds a key that is drawn anew each time: whoever has an account on the same machine can reach
    the port too.
    """
    port = int(taken.getsockname()[1])
    key = secrets.token_urlsafe(16)

    async def run() -> None:
        answers = application(explorer, port, key)
        server = HTTPServer(answers, max_body_size=MOST_BYTES, body_timeout=BODY_SECONDS)
        server.add_socket(taken)
        ready(f"http://{HOST}:{port}/?key={key}")
        await asyncio.Event().wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(run())


def application(explorer: Explorer, port: int, key: str) -> Application:
    """The page and the answers to its questions, for who has the key."""
    hosts = {f"{name}:{port}" for name in NAMES}
    if port == 80:  # which browsers leave out
        hosts.update(NAMES)
    # One request after the other goes through the model: its passes are not made for several threads. What
    # asks the map alone, k-means above all, does not keep it waiting.
    model, points = ThreadPoolExecutor(1, "model"), ThreadPoolExecutor(1, "map")
    questions: dict[str, tuple[ThreadPoolExecutor, Callable[[_Handler], Any]]] = {
        "api/decode": (model, lambda page: explorer.decode(*page.asked("codes")).astype("<f4").tobytes()),
        "api/samples": (model, lambda page: explorer.samples(*page.asked("rows"))),
        "api/find": (model, lambda page: explorer.find(*page.asked("row"))),
        "api/upload": (
            model,
            lambda page: explorer.upload(
                page.request.body, invert=page.checked("invert"), framed=page.checked("framed")
            ),
        ),
        "api/clusters": (points, lambda page: {"clusters": explorer.cluster(*page.asked("count")).tolist()}),
        "api/table": (points, lambda page: explorer.table(*page.asked("places", "format", "clusters"))),
    }
    known = {"html": explorer.html, "questions": questions, "hosts": hosts, "key": key}
    return Application([("/(.*)", _Handler, known)], log_function=lambda handler: None)


class _Handler(RequestHandler):
    """Who may ask, what they ask, and how errors look."""

    def initialize(self, html: str, questions: dict[str, Any], hosts: set[str], key: str) -> None:
        self.html, self.questions, self.hosts, self.key = html, questions, hosts, key

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        asks, origin = self.request.method == "POST", self.request.headers.get("Origin")
        # The key is in the page's own address, and in the header of each question of the page.
        key = self.request.headers.get("X-Key", "") if asks else self.get_query_argument("key", "")
        if self.request.headers.get("Host", "") not in self.hosts:
            self.refuse(403, "this server answers its own address only")
        elif origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            self.refuse(403, "this server answers its own page only")
        elif asks and origin is None:
            self.refuse(403, "a question must come from the page: it has no Origin")
        elif not hmac.compare_digest(key.encode(), self.key.encode()):
            self.refuse(403, "open the address that codeword explore printed: it ends in a key")

    def refuse(self, status: int, problem: str) -> None:
        """Answer with what is wrong, and no more."""
        self.set_status(status)
        self.finish({"error": problem})

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish({"error": self._reason})

    def asked(self, *fields: str) -> list[Any]:
        """Fields of a question in JSON; None where there is none, or the question is something else."""
        found: Any = None
        with suppress(ValueError, RecursionError):
            found = json.loads(self.request.body)
        return [found.get(field) if isinstance(found, dict) else None for field in fields]

    def checked(self, name: str) -> bool:
        """Whether a box of the page is checked."""
        return self.get_query_argument(name, "") == "yes"

    def get(self, path: str) -> None:
        if path:
            return self.refuse(404, NOTHING)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(self.html)

    async def post(self, path: str) -> None:
        if path not in self.questions:
            return self.refuse(404, NOTHING)
        pool, answer = self.questions[path]
        try:
            found = await asyncio.get_running_loop().run_in_executor(pool, answer, self)
        except CodewordError as error:
            return self.refuse(400, str(error))
        if isinstance(found, bytes):
            self.set_header("Content-Type", "application/octet-stream")
        self.write(found)
