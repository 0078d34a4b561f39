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
from codeword.pages.page import POLICY
from codeword.pages.uploads import MOST_BYTES

__all__ = ["HOST", "listen", "serve"]

HOST = "127.0.0.1"
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
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere this would share a port that is in use
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, port))
        taken.listen(128)
        taken.setblocking(False)
    except OSError as error:
        taken.close()
        free = "give another as --port, or --port 0 for any that is free"
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} is in use: {free}") from None
        raise InputError(f"port {port} cannot be opened ({error.strerror}): {free}") from None
    return taken


def serve(explorer: Explorer, taken: socket.socket, ready: Callable[[str], object]) -> None:
    """Answer until Ctrl-C; `ready` is called once with the address, when the first request can come.

    The address holds a key that is drawn anew each time: whoever has an account on the same machine can reach
    the port too.
    """
    port = int(taken.getsockname()[1])
    key = secrets.token_urlsafe(16)
    # One request after the other goes through the model: its passes are not made for several threads. What
    # asks the map alone, k-means above all, does not keep it waiting.
    with ThreadPoolExecutor(1, "model") as model, ThreadPoolExecutor(1, "map") as points:

        async def run() -> None:
            server = HTTPServer(
                application(explorer, model, points, port, key),
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


def application(
    explorer: Explorer, model: ThreadPoolExecutor, points: ThreadPoolExecutor, port: int, key: str
) -> Application:
    """The addresses of the page and of its questions, which go to the model or to the map's points."""
    known = {"explorer": explorer, "pool": model, "port": port, "key": key}
    handlers: list[Any] = [
        ("/", _Home, known),
        ("/api/decode", _Decode, known),
        ("/api/samples", _Samples, known),
        ("/api/look", _Look, known),
        ("/api/upload", _Upload, known),
        ("/api/clusters", _Clusters, known | {"pool": points}),
        ("/api/table", _Table, known | {"pool": points}),
        ("/.*", _Nothing, known),
    ]
    return Application(handlers, log_function=lambda handler: None)


class _Handler(RequestHandler):
    """What all have in common: who may ask, how errors look, and where work is done."""

    def initialize(self, explorer: Explorer, pool: ThreadPoolExecutor, port: int, key: str) -> None:
        self.explorer, self.pool, self.key = explorer, pool, key
        names = (HOST, "localhost")
        self.hosts = {f"{name}:{port}" for name in names}
        if port == 80:  # which browsers leave out
            self.hosts.update(names)

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        origin = self.request.headers.get("Origin")
        if self.request.headers.get("Host", "") not in self.hosts:
            self.refuse(403, "this server answers its own address only")
        elif origin is not None and origin not in {f"http://{host}" for host in self.hosts}:
            self.refuse(403, "this server answers its own page only")
        elif self.request.method == "POST" and origin is None:
            self.refuse(403, "a question must come from the page: it has no Origin")
        elif not hmac.compare_digest(self.given_key().encode(), self.key.encode()):
            self.refuse(403, "open the address that codeword explore printed: it ends in a key")

    def given_key(self) -> str:
        """What the page's own address holds, and what the page sends along with each question."""
        if self.request.method == "POST":
            return str(self.request.headers.get("X-Key", ""))
        return str(self.get_query_argument("key", ""))

    def refuse(self, status: int, problem: str) -> None:
        """Answer with what is wrong, and no more."""
        self.set_status(status)
        self.finish({"error": problem})

    def write_error(self, status_code: int, **_: Any) -> None:
        self.finish({"error": self._reason})

    async def of(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The model's answer, or None where the question was wrong and that has been said."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)
        except CodewordError as error:
            self.refuse(400, str(error))
            return None

    def asked(self) -> dict[str, Any]:
        """The fields of a question in JSON; none where it is something else."""
        try:
            found = json.loads(self.request.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    async def answer(self, function: Callable[..., Any], *arguments: Any) -> None:
        found = await self.of(function, *arguments)
        if found is not None:
            self.write(found)


class _Home(_Handler):
    def get(self) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(self.explorer.html)


class _Nothing(_Handler):
    def get(self) -> None:
        self.refuse(404, "there is nothing at this address")

    def post(self) -> None:
        self.get()


class _Decode(_Handler):
    async def post(self) -> None:
        rows = await self.of(self.explorer.decode, self.asked().get("codes"))
        if rows is not None:
            self.set_header("Content-Type", "application/octet-stream")
            self.write(np.ascontiguousarray(rows, "<f4").tobytes())


class _Samples(_Handler):
    async def post(self) -> None:
        await self.answer(self.explorer.samples, self.asked().get("rows"))


class _Look(_Handler):
    async def post(self) -> None:
        await self.answer(self.explorer.look, self.asked().get("row"))


class _Upload(_Handler):
    async def post(self) -> None:
        def look() -> dict[str, Any]:
            wanted = {name: self.get_query_argument(name, "") == "yes" for name in ("invert", "framed")}
            return self.explorer.look_at(self.request.body, **wanted)

        await self.answer(look)


class _Clusters(_Handler):
    async def post(self) -> None:
        def clusters() -> dict[str, Any]:
            return {"clusters": self.explorer.cluster(self.asked().get("count"))}

        await self.answer(clusters)


class _Table(_Handler):
    async def post(self) -> None:
        asked = self.asked()
        kind = asked.get("format")
        table = await self.of(self.explorer.table, asked.get("places"), kind, asked.get("clusters"))
        if table is not None:
            self.set_header("Content-Type", TYPES[str(kind)])
            self.set_header("Content-Disposition", f'attachment; filename="selection.{kind}"')
            self.write(table)
