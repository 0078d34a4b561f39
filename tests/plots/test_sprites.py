"""Images on one sheet, as a page of many samples carries them."""

import io

import numpy as np
import pytest
from PIL import Image

from codeword.plots.sprites import sprite_sheet


def test_images_lie_side_by_side_and_large_ones_are_made_smaller():
    images = np.random.default_rng(0).integers(1, 256, (5, 100, 50, 3), dtype=np.uint8)
    height, width, png = sprite_sheet(images, tile=10, across=3)
    assert (height, width) == (10, 5)
    with Image.open(io.BytesIO(png)) as picture:
        cells = np.asarray(picture).reshape(2, 10, 3, 5, 3).swapaxes(1, 2).reshape(6, 10, 5, 3)
    for cell, image in zip(cells[:5], images, strict=True):
        assert cell == pytest.approx(image.reshape(10, 10, 5, 10, 3).mean(axis=(1, 3)), abs=1)
    assert (cells[5] == 0).all()
