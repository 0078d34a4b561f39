"""Downloads that are cut off: what is half there is never taken for the whole."""

import gzip
import hashlib
import http.server
import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import ClassVar

import numpy as np
import pytest
from readers import idx

from codeword.base.errors import DownloadError
from codeword.data import load, named

FILES = named.FILES["train"] + named.FILES["test"]


class Flaky(http.server.BaseHTTPRequestHandler):
    """Serves the files of a set, cut off where `cuts` says; slowly if asked."""

    contents: ClassVar[dict[str, bytes]] = {}
    cuts: ClassVar[list[int | None]] = []
    say_length = True
    pause = 0.0
    asked = 0

    def do_GET(self):
        cls = type(self)
        content = cls.contents[self.path.rpartition("/")[2]]
        cut = cls.cuts.pop(0) if cls.cuts else None
        cls.asked += 1
        self.send_response(200)
        if cls.say_length:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        sent = content if cut is None else content[: cut % len(content)]
        for start in range(0, len(sent), 1024):
            self.wfile.write(sent[start : start + 1024])
            if cls.pause:
                self.wfile.flush()
                time.sleep(cls.pause)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def web(monkeypatch, tmp_path):
    """A set of four files on a server of this machine, and an empty cache."""
    rng = np.random.default_rng(0)
    contents = {}
    for file in FILES:
        x = rng.integers(0, 255, (64, 16, 16) if "images" in file else (64,)).astype(np.uint8)
        contents[file] = gzip.compress(idx(x), mtime=0)
    handler = type("Handler", (Flaky,), {"contents": contents, "cuts": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    mirror = f"http://127.0.0.1:{server.server_address[1]}/"
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    monkeypatch.setitem(named.MIRRORS, "mnist", (mirror,))
    monkeypatch.setitem(named.SUMS, "mnist", sums)
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)  # between two tries
    monkeypatch.setenv("CODEWORD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CODEWORD_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    yield handler
    server.shutdown()
    server.server_close()


def sound(cache):
    """Whether each file of the cache is whole, and there is nothing else in it."""
    for path in cache.rglob("*") if cache.exists() else ():
        if path.is_file():
            assert path.name in FILES, f"{path.name} was left"
            assert hashlib.sha256(path.read_bytes()).hexdigest() == named.SUMS["mnist"][path.name]
    return True


def refused():
    """The message of a set that could not be fetched; None if it could."""
    try:
        assert load("mnist").x.shape == (64, 16, 16)
    except DownloadError as error:
        return str(error)
    return None


@pytest.mark.parametrize("say_length", [True, False])
def test_a_connection_that_is_cut(say_length, web, effort, record, tmp_path):
    """At a random byte: of an answer that says how long it is, and of one that does not."""
    chance = random.Random(0)
    web.say_length = say_length
    cache = tmp_path / "cache"
    times, at_once, later = effort.times(200, least=20), 0, 0
    for _ in range(times):
        for path in list(cache.rglob("*.gz")):
            if chance.random() < 0.7:
                path.unlink()
        # Each file is asked for twice at most in one call: cut once it comes, cut twice it is given up.
        web.cuts = [chance.choice((None, chance.randrange(1 << 20), 0)) for _ in range(4)]
        message = refused()
        if message is None:
            at_once += 1
        else:
            assert "\n" not in message
            assert sound(cache)
            web.cuts = []
            assert refused() is None
            later += 1
        assert sound(cache)
    assert at_once
    assert later
    record(
        f"downloads cut at a random byte, {'with' if say_length else 'without'} their length said",
        f"{times} times",
        f"{at_once} whole at the second try, {later} refused in one line and whole at the next call; "
        "no half file in the cache",
    )


def test_a_process_killed_while_it_downloads(web, effort, record, tmp_path):
    chance = random.Random(0)
    web.pause = 0.05
    cache = tmp_path / "cache"
    code = (
        "import sys; from codeword.data import named\n"
        "named.MIRRORS['mnist'], named.SUMS['mnist'] = (sys.argv[1],), eval(sys.argv[2])\n"
        "print('ready', flush=True); named.load_named('mnist', 'train'); print('done', flush=True)"
    )
    (mirror,), sums = named.MIRRORS["mnist"], named.SUMS["mnist"]
    times, killed = effort.times(20, least=3), 0
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, "-c", code, mirror, repr(sums)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.6))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() < 0
        process.stdout.close()
        for path in list(cache.rglob("*")):
            if path.is_file() and path.name in FILES:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == sums[path.name]
                os.remove(path)
    web.pause = 0.0
    assert load("mnist").x.shape == (64, 16, 16)
    assert killed
    record(
        "SIGKILL while a set is downloaded",
        f"{killed} kills",
        "no half file of the set in the cache; the next call has it whole",
    )
