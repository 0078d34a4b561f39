"""IDX, the format of the original MNIST files.

Two zero bytes, one byte for the type, one for the number of dimensions, the dimensions as big-endian 32-bit
integers, then the values, big-endian, in C order.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.text import listed
from codeword.data.reading import check_unpacked, opened, reading

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_SPLITS = {"train": ("train",), "test": ("t10k", "test")}
_IMAGES = re.compile(r"(?:.*[-_.])?(train|t10k|test)[-_.]images[-_.]idx\d[-_.]ubyte(?:\.gz)?", re.IGNORECASE)


def is_idx(path: Path) -> bool:
    """Say whether a file, gzipped or not, starts the way IDX files do."""
    try:
        with opened(path) as handle:
            return _starts_idx(handle.read(4))
    except (OSError, EOFError, zlib.error):
        return False


def read_idx(path: Path) -> NDArray[Any]:
    """Return the array an IDX file holds, in native byte order.

    Single-byte values of a file that is not gzipped come as a read-only memory map.

    Raises DataError if the file is not IDX, or holds fewer or more bytes than its header promises.
    """
    with reading(path, "IDX"), opened(path) as handle:
        head = handle.read(4)
        if not _starts_idx(head):
            raise DataError(
                f"{path} is not an IDX file: it starts with the bytes {head.hex(' ') or '(none)'}, "
                "expected 00 00, a type (08 to 0e) and a number of dimensions"
            )
        shape = struct.unpack(f">{head[3]}I", handle.read(4 * head[3]))
        dtype, offset, stored = np.dtype(_DTYPES[head[2]]), 4 + 4 * head[3], path.stat().st_size
        promised, found = math.prod(shape) * dtype.itemsize, stored - offset
        packed = isinstance(handle, gzip.GzipFile)
        if packed:
            check_unpacked(path, stored, promised)
            values = bytearray()  # unlike bytes, makes an array that can be written to
            while chunk := handle.read(min(1 << 20, promised + 1 - len(values))):
                values += chunk
            found = len(values)
        if found != promised:
            raise DataError(
                f"{path} is not a sound IDX file: its header promises {promised} bytes of values, found "
                f"{found if found < promised else 'more'}; copy or download it again"
            )
        if packed or not promised:
            x = np.frombuffer(values if packed else b"", dtype).reshape(shape)
        else:
            x = np.memmap(path, dtype, "r", offset, shape)
        return x if dtype.itemsize == 1 else x.astype(dtype.newbyteorder("="), subok=False)


def read_images(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return what an IDX file holds, and the labels of the labels file beside it, if there is one.

    `train-images-idx3-ubyte.gz` goes with `train-labels-idx1-ubyte.gz`, and likewise for other names with
    "images" in them, gzipped or not.
    """
    x = read_idx(path)
    head, images, tail = path.name.removesuffix(".gz").rpartition("images")
    if images:
        plain = path.with_name(f"{head}labels{re.sub(r'idx[0-9]', 'idx1', tail)}")
        for beside in (plain, plain.with_name(plain.name + ".gz")):
            if beside.is_file():
                return x, read_idx(beside)
    return x, None


def find_images(folder: Path, split: str) -> Path | None:
    """Return the IDX images file of a split in `folder`; None if the folder holds no such files at all.

    Raises DataError if the folder holds images of the other split only, or several files of this one.
    """
    with reading(folder, "a folder"):
        names = sorted(entry.name for entry in folder.iterdir() if _IMAGES.fullmatch(entry.name))
    # Sorted backwards, a plain file, which reads faster, takes the place of its gzipped twin.
    own = re.compile(f"(.*[-_.])?({'|'.join(_SPLITS[split])})[-_.]images.*", re.IGNORECASE)
    mine = {name.removesuffix(".gz"): name for name in reversed(names) if own.fullmatch(name)}
    if len(mine) > 1:
        raise DataError(
            f"{folder} holds several {split} sets ({listed(sorted(mine.values()))}): "
            "give the path of one of these files"
        )
    if names and not mine:
        raise DataError(
            f"{folder} holds {listed(names)} but no {split} images: "
            f"expected {_SPLITS[split][0]}-images-idx3-ubyte, gzipped or not"
        )
    return folder / next(iter(mine.values())) if mine else None


def _starts_idx(head: bytes) -> bool:
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in _DTYPES and head[3] > 0
