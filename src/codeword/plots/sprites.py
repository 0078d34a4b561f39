"""Samples as pictures of eight bits: one by one as PNG, or all of them as the cells of one sheet."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST_SHEET", "SMALLEST", "Sheet", "png", "sprite_sheet"]

LARGEST_SHEET = 8192
"""Pixels a side of a sprite: more are refused by the projector (`MAX_SPRITE_IMAGE_SIZE_PX`)."""

LARGEST = 64
"""Pixels a side of a cell: on a plane the projector draws cells of more over one another."""

SMALLEST = 8

Pixels = NDArray[np.uint8]


def png(image: Pixels) -> bytes:
    """An image of shape (h, w), (h, w, 3) or (h, w, 4) as the bytes of a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "PNG")
    return file.getvalue()


def sprite_sheet(images: Pixels, tile: int, across: int) -> tuple[int, int, bytes]:
    """Images in one PNG, so many across: the height and width of each, and the bytes of the file.

    Where the longer side has more than `tile` pixels, images are made smaller.
    """
    height, width = images.shape[1:3]
    if max(height, width) > tile:
        share = tile / max(height, width)
        height, width = max(1, round(share * height)), max(1, round(share * width))
        images = np.stack([_resized(image, (height, width)) for image in images])
    channels = images.shape[3:]
    cells = np.zeros((-(-len(images) // across) * across, height, width, *channels), np.uint8)
    cells[: len(images)] = images
    lines = cells.reshape(-1, across, height, width, *channels).swapaxes(1, 2)
    return height, width, png(lines.reshape(-1, across * width, *channels))


class Sheet:
    """A square of as many rows as columns of square cells, filled row by row.

    Images that are not square stand in the middle of their cell on a transparent ground. Larger ones are
    made smaller; none is made larger.

    Parameters
    ----------
    n : int
        Images.
    first : ndarray of shape (h, w) or (h, w, c), uint8
        One of them.
    size : int
        Pixels a side of a cell, as `size_for` gives them.
    """

    def __init__(self, n: int, first: Pixels, size: int) -> None:
        height, width = first.shape[:2]
        scale = size / max(height, width)
        self.size = size
        self.inner = max(1, round(scale * height)), max(1, round(scale * width))
        self.side = _side(n)
        colours = 1 if first.ndim == 2 else first.shape[2]
        self.clear = height != width and colours in (1, 3)
        self.pixels = np.zeros((self.side * size, self.side * size, colours + self.clear), np.uint8)
        # A view of the sheet: (row, column, height, width, colours).
        self.cells = self.pixels.reshape(self.side, size, self.side, size, -1).swapaxes(1, 2)

    @staticmethod
    def size_for(n: int, height: int, width: int) -> int | None:
        """Pixels a side of a cell so that `n` fit on a sheet; None if they would be too few to see."""
        wanted = max(height, width)
        size = min(wanted, LARGEST, LARGEST_SHEET // _side(n))
        return size if size >= min(SMALLEST, wanted) else None

    def put(self, start: int, images: Pixels) -> None:
        """Put images, of which the first is number `start`, into their cells."""
        cells = images.reshape(*images.shape[:3], -1)
        if cells.shape[1:3] != self.inner:
            cells = np.stack([_resized(image, self.inner) for image in images]).reshape(
                len(images), *self.inner, -1
            )
        number = np.arange(start, start + len(images))
        height, width = self.inner
        top, left = (self.size - height) // 2, (self.size - width) // 2
        inside = self.cells[:, :, top : top + height, left : left + width]
        inside[number // self.side, number % self.side, :, :, : cells.shape[-1]] = cells
        if self.clear:
            inside[number // self.side, number % self.side, :, :, -1] = 255

    def png(self) -> bytes:
        """The sheet as the bytes of a PNG file."""
        return png(self.pixels[..., 0] if self.pixels.shape[2] == 1 else self.pixels)


def _side(n: int) -> int:
    return math.isqrt(n - 1) + 1


def _resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    from PIL import Image

    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
