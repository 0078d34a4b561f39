"""Samples as pictures of eight bits: one by one as PNG, or all of them as the cells of one sheet."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def png(image: Pixels) -> bytes:
    """An image of shape (h, w), (h, w, 3) or (h, w, 4) as the bytes of a PNG file."""
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
        images = np.stack([resized(image, height, width) for image in images])
    channels = images.shape[3:]
    cells = np.zeros((-(-len(images) // across) * across, height, width, *channels), np.uint8)
    cells[: len(images)] = images
    lines = cells.reshape(-1, across, height, width, *channels).swapaxes(1, 2)
    return height, width, png(lines.reshape(-1, across * width, *channels))


def resized(image: Pixels, height: int, width: int) -> Pixels:
    """An image of this height and width: each of its pixels many times, or the mean of many."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
