"""IDX, the format of the original MNIST files.

Two zero bytes, one byte for the type, one for the number of dimensions, the dimensions as big-endian 32-bit
integers, then the values, big-endian, in C order.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.text import listed
from codeword.data.reading import check_unpacked, reading

__all__ = ["find_images", "is_idx", "read_idx", "read_images"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
# Deflate cannot pack more than about 1032 to 1, so a header that promises more is wrong.
_DEFLATE_LIMIT = 1032
_CHUNK = 1 << 24
_SPLITS = {"train": ("train",), "test": ("t10k", "test")}
_IMAGES = re.compile(r"(?:.*[-_.])?(train|t10k|test)[-_.]images[-_.]idx\d[-_.]ubyte(?:\.gz)?", re.IGNORECASE)


def is_idx(path: Path) -> bool:
    """Say whether a file, gzipped or not, starts the way IDX files do."""
    try:
        with _opened(path) as handle:
            head = handle.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in _DTYPES and head[3] > 0


def read_idx(path: Path) -> NDArray[Any]:
    """Return the array an IDX file holds, in native byte order.

    Single-byte values of a file that is not gzipped come as a read-only memory map.

    Raises
    ------
    DataError
        If the file is not IDX, or holds fewer or more bytes than its header promises.
    """
    with reading(path, "IDX"), _opened(path) as handle:
        dtype, shape, offset = _header(handle, path)
        expected = math.prod(shape) * dtype.itemsize
        stored = path.stat().st_size
        if isinstance(handle, gzip.GzipFile):
            if expected > stored * _DEFLATE_LIMIT:
                raise DataError(
                    f"{path} is not a sound IDX file: its header promises {expected} bytes of values, "
                    f"more than {stored} compressed bytes can hold"
                )
            check_unpacked(path, stored, expected)
        elif stored - offset != expected:
            raise _wrong_size(path, expected, str(stored - offset))
        elif dtype.itemsize == 1 and expected:
            return np.memmap(path, dtype, "r", offset, shape)
        return _values(handle, path, dtype, shape)


def read_images(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return what an IDX file holds, and the labels of the labels file beside it, if there is one.

    `train-images-idx3-ubyte.gz` goes with `train-labels-idx1-ubyte.gz`, and likewise for other names with
    "images" in them, gzipped or not.
    """
    x = read_idx(path)
    beside = _labels_beside(path)
    return x, None if beside is None else read_idx(beside)


def find_images(folder: Path, split: str) -> Path | None:
    """Return the IDX images file of a split in `folder`; None if the folder holds no such files at all.

    Raises
    ------
    DataError
        If the folder holds images of the other split only, or several files of this one.
    """
    with reading(folder, "a folder"):
        names = sorted(entry.name for entry in folder.iterdir() if _IMAGES.fullmatch(entry.name))
    mine: dict[str, str] = {}
    for name in names:
        found = _IMAGES.fullmatch(name)
        if found is not None and found.group(1).lower() in _SPLITS[split]:
            # Sorted, a plain file comes before its gzipped twin, and reads faster.
            mine.setdefault(name.removesuffix(".gz"), name)
    if len(mine) > 1:
        raise DataError(
            f"{folder} holds several {split} sets ({listed(mine.values())}): "
            "give the path of one of these files"
        )
    if names and not mine:
        raise DataError(
            f"{folder} holds {listed(names)} but no {split} images: "
            f"expected {_SPLITS[split][0]}-images-idx3-ubyte, gzipped or not"
        )
    return folder / next(iter(mine.values())) if mine else None


def _opened(path: Path) -> io.BufferedIOBase:
    with open(path, "rb") as handle:
        gzipped = handle.read(2) == _GZIP_MAGIC
    return gzip.open(path, "rb") if gzipped else open(path, "rb")


def _header(handle: io.BufferedIOBase, path: Path) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    head = handle.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES or head[3] == 0:
        raise DataError(
            f"{path} is not an IDX file: it starts with the bytes {head.hex(' ') or '(none)'}, "
            "expected 00 00, a type (08 to 0e) and a number of dimensions"
        )
    dimensions = head[3]
    sizes = handle.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError(
            f"{path} is cut short: its header needs {4 + 4 * dimensions} bytes, found {4 + len(sizes)}; "
            "copy or download it again"
        )
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    return np.dtype(_DTYPES[head[2]]), shape, 4 + 4 * dimensions


def _values(
    handle: io.BufferedIOBase, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    expected = math.prod(shape) * dtype.itemsize
    flat = np.empty(expected, np.uint8)
    found = 0
    try:
        while found < expected:
            chunk = handle.read(min(_CHUNK, expected - found))
            if not chunk:
                raise _wrong_size(path, expected, str(found))
            flat[found : found + len(chunk)] = np.frombuffer(chunk, np.uint8)
            found += len(chunk)
        if handle.read(1):
            raise _wrong_size(path, expected, "more")
    except EOFError:
        raise DataError(
            f"{path} is cut short: the gzip stream ends before the {expected} bytes of values its header "
            "promises; copy or download it again"
        ) from None
    values = flat.view(dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _wrong_size(path: Path, expected: int, found: str) -> DataError:
    return DataError(
        f"{path} is not a sound IDX file: its header promises {expected} bytes of values, found {found}; "
        "copy or download it again"
    )


def _labels_beside(path: Path) -> Path | None:
    """Find `…-labels-idx1-ubyte[.gz]` for `…-images-idx3-ubyte[.gz]`."""
    if "images" not in path.name:
        return None
    head, _, tail = path.name.removesuffix(".gz").rpartition("images")
    plain = f"{head}labels{re.sub(r'idx[0-9]', 'idx1', tail)}"
    for name in (plain, plain + ".gz"):
        if (path.parent / name).is_file():
            return path.parent / name
    return None
