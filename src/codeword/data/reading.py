"""What every reader shares: errors of one line out of whatever a parser raises."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codeword.base.errors import CodewordError, DataError
from codeword.base.text import shortened

MOST_UNPACKED = 1 << 29
BOMB = 200
"""Files of numbers, sparse ones too, are seldom packed to less than a hundredth; a bomb to a thousandth."""


def check_unpacked(
    path: Path | str, packed: int, unpacked: int, most: int = MOST_UNPACKED, ratio: int = BOMB
) -> None:
    """Raise a DataError where a small file unpacks to a very large one, before that has filled the memory.

    `most` bytes are unpacked whatever the file's size, and beyond that `ratio` times its size.
    """
    if unpacked > most and unpacked > ratio * packed:
        raise DataError(
            f"{path} has {packed:,} bytes and unpacks to {unpacked:,} or more, as a decompression bomb does: "
            "unpack it yourself if these are your data"
        )


def opened(path: Path) -> io.BufferedReader | gzip.GzipFile:
    """A file to read from, unpacked if it is gzip."""
    with open(path, "rb") as handle:
        gzipped = handle.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if gzipped else open(path, "rb")


@contextmanager
def reading(path: Path | str, expected: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into a `DataError` that names the file and what it should hold."""
    try:
        yield
    except CodewordError:
        raise
    except PermissionError:
        raise DataError(f"{path} cannot be read: permission denied") from None
    except MemoryError:
        raise DataError(f"{path} does not fit into memory as {expected}") from None
    except Exception as error:
        # Parsers given arbitrary bytes raise arbitrary types (SyntaxError, struct.error, zlib.error, …).
        text = getattr(error, "strerror", None) or str(error)
        reason = shortened(text) or type(error).__name__
        raise DataError(f"{path} cannot be read as {expected}: {reason}") from error
