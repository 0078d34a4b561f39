"""An explorer over HTTP, for one browser on the same machine.

It answers requests that name this machine and its port as host, and come from its own page: other pages in
the same browser, and names that somebody makes point here (DNS rebinding), get nothing; nor does another user
of the machine, who does not have the key in the address. Nothing is read from disk.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import json
import os
import secrets
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from codeword.base.errors import CodewordError, InputError
from codeword.pages.explorer import Explorer
from codeword.pages.report import POLICY
from codeword.pages.uploads import MOST_BYTES

__all__ = ["HOST", "listen", "serve"]

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
MOST_HEADER = 64_000
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

TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def listen(port: int) -> socket.socket:
    """Take a port of this machine, or any that is free where it is 0.

    Raises
    ------
    InputError
        If another program has it, or it is not ours to take.
    """
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
        server = HTTPServer(
            application(explorer, port, key),
            max_body_size=MOST_BYTES,
            max_buffer_size=2 * MOST_BYTES,
            max_header_size=MOST_HEADER,
            body_timeout=BODY_SECONDS,
        )
        server.add_socket(taken)
        ready(f"http://{HOST}:{port}/?key={key}")
        await asyncio.Event().wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(run())


def application(explorer: Explorer, port: int, key: str) -> Application:
    """The addresses of the page and of its questions, for who has the key."""
    hosts = {f"{name}:{port}" for name in NAMES} | (
        set(NAMES) if port == 80 else set()
    )  # browsers leave 80 out
    # One request after the other goes through the model: its passes are not made for several threads. What
    # asks the map alone, k-means above all, does not keep it waiting.
    model, points = ThreadPoolExecutor(1, "model"), ThreadPoolExecutor(1, "map")
    questions: dict[str, tuple[ThreadPoolExecutor, Callable[[_Handler], Any]]] = {
        "decode": (model, lambda page: explorer.decode(page.asked("codes"))),
        "samples": (model, lambda page: explorer.samples(page.asked("rows"))),
        "find": (model, lambda page: explorer.find(page.asked("row"))),
        "upload": (
            model,
            lambda page: explorer.upload(
                page.request.body, invert=page.checked("invert"), framed=page.checked("framed")
            ),
        ),
        "clusters": (points, lambda page: {"clusters": explorer.cluster(page.asked("count")).tolist()}),
        "table": (
            points,
            lambda page: explorer.table(page.asked("places"), page.asked("format"), page.asked("clusters")),
        ),
    }
    return Application(
        [("/", _Home), (f"/api/({'|'.join(questions)})", _Question)],
        default_handler_class=_Nothing,
        log_function=lambda handler: None,
        html=explorer.html,
        hosts=hosts,
        key=key,
        questions=questions,
    )


class _Handler(RequestHandler):
    """What all have in common: who may ask, what they ask, and how errors look."""

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        hosts, asked = self.settings["hosts"], self.request.method == "POST"
        origin = self.request.headers.get("Origin")
        # The key is in the page's own address, and in the header of each question of the page.
        key = str(self.request.headers.get("X-Key", "") if asked else self.get_query_argument("key", ""))
        if self.request.headers.get("Host", "") not in hosts:
            self.refuse(403, "this server answers its own address only")
        elif origin is not None and origin not in {f"http://{host}" for host in hosts}:
            self.refuse(403, "this server answers its own page only")
        elif asked and origin is None:
            self.refuse(403, "a question must come from the page: it has no Origin")
        elif not hmac.compare_digest(key.encode(), self.settings["key"].encode()):
            self.refuse(403, "open the address that codeword explore printed: it ends in a key")

    def refuse(self, status: int, problem: str) -> None:
        """Answer with what is wrong, and no more."""
        self.set_status(status)
        self.finish({"error": problem})

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish({"error": self._reason})

    def asked(self, field: str) -> Any:
        """A field of a question in JSON; None where there is none, or the question is something else."""
        try:
            found = json.loads(self.request.body)
        except (ValueError, RecursionError):
            return None
        return found.get(field) if isinstance(found, dict) else None

    def checked(self, name: str) -> bool:
        """Whether a box of the page is checked."""
        return str(self.get_query_argument(name, "")) == "yes"


class _Home(_Handler):
    def get(self) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(self.settings["html"])


class _Nothing(_Handler):
    def get(self) -> None:
        self.refuse(404, "there is nothing at this address")

    post = get


class _Question(_Handler):
    async def post(self, name: str) -> None:
        pool, answer = self.settings["questions"][name]
        try:
            found = await asyncio.get_running_loop().run_in_executor(pool, answer, self)
        except CodewordError as error:
            return self.refuse(400, str(error))
        if isinstance(found, np.ndarray):
            self.set_header("Content-Type", "application/octet-stream")
            found = np.ascontiguousarray(found, "<f4").tobytes()
        elif isinstance(found, bytes):
            kind = str(self.asked("format"))
            self.set_header("Content-Type", TYPES[kind])
            self.set_header("Content-Disposition", f'attachment; filename="selection.{kind}"')
        self.write(found)
