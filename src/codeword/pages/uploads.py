"""One sample out of what a visitor hands over: a picture, an .npy file, or a row as text."""

from __future__ import annotations

import csv
import io
import math
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy.ndimage import center_of_mass

from codeword.base.errors import DataError
from codeword.base.text import listed
from codeword.data.display import Display
from codeword.data.images import FORMATS, plain
from codeword.data.reading import reading
from codeword.data.rows import check_finite
from codeword.data.tables import check_names, numbers_of, read_tables

MOST_BYTES = 10_000_000
"""Size of an upload."""

MOST_PIXELS = 40_000_000
"""Pixels of a picture, known from its first bytes before any of it is decoded."""

MOST_SIDE = 1024
"""Pixels a side of a picture that ink is sought in: a larger one is made smaller first."""

INK = 0.15
"""Share of the range of a picture: what differs more from its border is drawn, not ground."""


class Frame:
    """Where in their frame the pictures of a data set are, to bring another to the same place.

    The digits of MNIST, for one, fill 20 of 28 pixels and have their center of mass in the middle (LeCun et
    al. 1998); one that was drawn in a corner would look unusual for that alone. It is learned from some
    `images` (n, h, w), uint8.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.dark = float(np.mean([border(image) for image in images])) < 128
        sizes = [max(right - left, bottom - top) for left, top, right, bottom in map(box, images)]
        self.share = float(np.median(sizes)) / max(images.shape[1:])

    def fit(self, image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
        """The ink of a picture (h, w), scaled and shifted to where that of the data set is."""
        left, top, right, bottom = box(image)
        if left == right:
            return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
        scale = self.share * min(height, width) / max(right - left, bottom - top)
        size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
        how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        ink = np.asarray(Image.fromarray(image[top:bottom, left:right]).resize(size, how))
        ground = border(image)
        framed = np.full((height, width), ground, np.uint8)
        # The center of mass comes to the middle, as far as the frame has room.
        middle = center_of_mass(np.abs(ink - ground) + 1e-9)
        y, x = (
            min(max(0, round((space - 1) / 2 - center)), space - length)
            for space, center, length in zip((height, width), middle, ink.shape, strict=True)
        )
        framed[y : y + size[1], x : x + size[0]] = ink
        return framed


def border(image: NDArray[np.uint8]) -> float:
    """The median gray level along the edge of a picture (h, w)."""
    return float(np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])))


def box(image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what differs from the border; all zero where nothing does."""
    return Image.fromarray(np.abs(image - border(image)) > INK * 255).getbbox() or (0, 0, 0, 0)


def sample_of(
    data: bytes, display: Display, *, missing: bool = False, invert: bool = False, frame: Frame | None = None
) -> NDArray[Any]:
    """Read one sample, (1, *display.shape), whatever it came as.

    It is a picture, where samples are images: its gray levels become values between the ends of `display`. Or
    it is an .npy file; or a row as text: numbers, or values under a line of column names, which may be in
    another order and have others beside them. With `missing` an empty cell is a missing value; with `invert`
    light and dark of a picture change places; `frame` is where to bring a gray one to.

    Raises DataError if it is none of these, is too large, or does not hold one sample.
    """
    if not data:
        raise DataError("nothing was sent: expected a picture, an .npy file or numbers")
    if len(data) > MOST_BYTES:
        raise DataError(f"{len(data):,} bytes are too many: at most {MOST_BYTES:,} are read")
    array = data.startswith(b"\x93NUMPY")
    if display.kind == "image" and not array:
        return _from_picture(data, display, invert, frame)
    if re.fullmatch(rb"[\s\d.eE+-]+", data):  # numbers with blanks between them
        data = b"\n".join(b",".join(line.split()) for line in data.splitlines())
    with tempfile.TemporaryDirectory() as folder:  # for the readers of files, whose messages name them
        path = Path(folder, "sample")
        path.write_bytes(data)
        try:
            row = _from_array(path, display, missing) if array else _from_text(path, display, missing)
        except DataError as error:
            raise DataError(str(error).replace(str(path), "what was sent")) from None
    return row.reshape(1, *display.shape)


def row_as_text(display: Display, row: NDArray[Any]) -> str:
    """A row of a table, (1, d), as a line of column names and one of values, to be changed by hand."""

    def text(cell: Any) -> str:
        if cell is None or cell != cell:
            return ""
        # Six digits that count: more were not kept.
        return f"{cell:.6g}" if isinstance(cell, float) else str(cell)

    file = io.StringIO()
    lines = [display.names, map(text, display.cells(row)[0])]
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


def _from_array(path: Path, display: Display, missing: bool) -> NDArray[Any]:
    shape = display.shape
    with reading(path, "an .npy file"), np.errstate(all="ignore"):
        x = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header may promise any size
        # Not any shape of as many values: a picture with its axes in another order would be scrambled.
        if x.dtype.kind not in "fiub" or x.shape not in (shape, (1, *shape), (math.prod(shape),)):
            raise DataError(
                f"the .npy file holds {x.dtype} of shape {x.shape}: expected one sample of shape {shape}"
            )
        row = np.array(x).reshape(1, *shape)
        check_finite(row, missing=missing or display.columns is not None)
        return row


def _from_text(path: Path, display: Display, missing: bool) -> NDArray[Any]:
    columns, wanted = display.columns, math.prod(display.shape)
    with reading(path, "a table of text in UTF-8"):
        table = read_tables([path], None, as_text=() if columns is None else columns.names)
        check_names(table.column_names, table.num_rows, None, "what was sent")
        headed = table.column_names[0] != "column_0"
        if headed and table.num_rows != 1:
            raise DataError(f"there are {table.num_rows:,} rows below the line of names: give one")
        if columns is not None:
            return np.asarray(columns.transform(table, where="your row").x)
        if headed and display.names:
            absent = [name for name in display.names if name not in table.column_names]
            if absent:
                raise DataError(f"the line of names has no {listed(absent)}: give all columns of training")
            table = table.select(list(display.names))
        x, _ = numbers_of(table, "what was sent", missing=missing)
    if x.size != wanted:
        raise DataError(f"these are {x.size:,} numbers: expected one sample, which has {wanted:,}")
    return x


def _from_picture(data: bytes, display: Display, invert: bool, frame: Frame | None) -> NDArray[np.float32]:
    # The place of each value of a picture in the flat row.
    places = display.images(np.arange(math.prod(display.shape)).reshape(1, *display.shape))[0]
    height, width = places.shape[:2]
    with reading("the picture", "a PNG, a JPEG or the like"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # damaged notes of a camera, for one
        try:
            opened = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            raise DataError("this is no picture that can be read: give a PNG or a JPEG") from None
        if opened.width * opened.height > MOST_PIXELS:
            raise DataError(f"the picture has more than {MOST_PIXELS:,} pixels: make it smaller")
        picture = plain(ImageOps.exif_transpose(opened))
        picture = picture.convert("L" if places.ndim == 2 else "RGBA"[: places.shape[2]])
        if frame is None:
            picture = picture.resize((width, height), Image.Resampling.BOX)
        else:
            picture.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.BOX)
    pixels = np.array(picture)
    if invert:
        colors = pixels if pixels.ndim == 2 else pixels[..., :3]
        colors[...] = 255 - colors
    if frame is not None:
        pixels = frame.fit(pixels, height, width)
    row = np.empty(places.size, np.float32)
    row[places] = display.low + pixels / 255 * (display.high - display.low)
    return row.reshape(1, *display.shape)
