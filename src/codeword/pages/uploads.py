"""One sample out of what a visitor hands over: a picture, an .npy file, or numbers as text."""

from __future__ import annotations

import csv
import io
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.text import listed, shortened
from codeword.data.cells import without_blanks
from codeword.data.display import Display, as_images
from codeword.data.images import plain

__all__ = ["MOST_BYTES", "MOST_PIXELS", "Frame", "is_array", "rounded", "sample_of", "table_of", "text_of"]

MOST_BYTES = 10_000_000
"""Of an upload."""

MOST_PIXELS = 40_000_000
"""Of a picture: told by its first bytes, before any of it is decoded."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
"""Decoded by Pillow itself: for some others it would run another program."""

MOST_SIDE = 1024
"""Of a picture that ink is looked for in: a larger one is made smaller first."""

INK = 0.15
"""Of the range of a picture: what differs more from its border is drawn, not ground."""


class Frame:
    """Where in their frame the pictures of a data set are, to bring another to the same place.

    The digits of MNIST, for one, fill 20 of 28 pixels and have their center of mass in the middle (LeCun et
    al. 1998); one that was drawn in a corner would look unusual for that alone.

    Parameters
    ----------
    images : ndarray of shape (n, h, w), uint8
        Some of the data set.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        edges = [border(image) for image in images]
        self.dark = float(np.mean(edges)) < 128 if edges else True
        sizes = [max(bottom - top, right - left) for top, bottom, left, right in map(box, images)]
        self.share = float(np.median(sizes)) / max(images.shape[1:]) if len(images) else 1.0

    def fit(self, image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
        """The ink of a picture (h, w), scaled and shifted to where that of the data set is."""
        from PIL import Image

        top, bottom, left, right = box(image)
        if bottom == top:
            return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
        ground = border(image)
        ink = Image.fromarray(image[top:bottom, left:right])
        scale = self.share * min(height, width) / max(bottom - top, right - left)
        size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
        small = np.asarray(ink.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC))
        weight = np.abs(small.astype(np.float64) - ground)
        total = weight.sum() or 1.0
        middle = [
            float((weight.sum(axis=1 - axis) @ np.arange(small.shape[axis])) / total) for axis in (0, 1)
        ]
        framed = np.full((height, width), ground, np.uint8)
        # The center of mass comes to the middle, as far as the frame has room.
        places = [
            min(max(0, round((space - 1) / 2 - center)), space - length)
            for space, center, length in zip((height, width), middle, small.shape, strict=True)
        ]
        framed[places[0] : places[0] + size[1], places[1] : places[1] + size[0]] = small
        return framed


def border(image: NDArray[np.uint8]) -> float:
    """The median gray level along the edge of a picture (h, w)."""
    return float(np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])))


def box(image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what differs from the border; all zero where nothing does."""
    off = np.abs(image.astype(np.float64) - border(image)) > INK * 255
    rows, columns = np.flatnonzero(off.any(axis=1)), np.flatnonzero(off.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def sample_of(
    data: bytes,
    view: Display,
    *,
    dtype: str = "float32",
    names: Sequence[str] | None = None,
    missing: bool = False,
    invert: bool = False,
    frame: Frame | None = None,
) -> NDArray[Any]:
    """Read one sample, whatever it came as.

    Parameters
    ----------
    data : bytes
        A picture, where samples are pictures; an .npy file; or numbers as text, with or without a line of
        column names.
    view : Display
        How samples are shown: the gray levels of a picture become values between its ends.
    names : sequence of str, optional
        The columns, which a line of names is brought into the order of.
    missing : bool, default=False
        Whether an empty cell is a missing value.
    invert : bool, default=False
        Whether light and dark of a picture change places.
    frame : Frame, optional
        Where to bring a gray picture to.

    Returns
    -------
    ndarray of shape (1, *view.shape)

    Raises
    ------
    DataError
        If it is none of these, is too large, or does not hold one sample.
    """
    if not data:
        raise DataError("nothing was sent: expected a picture, an .npy file or numbers")
    if len(data) > MOST_BYTES:
        raise DataError(f"{len(data):,} bytes are too many: at most {MOST_BYTES:,} are read")
    if is_array(data):
        return _from_array(data, view, missing)
    if view.kind == "image":
        return _from_picture(data, view, invert, frame, dtype)
    return _from_text(data, view, names, missing)


def is_array(data: bytes) -> bool:
    """Whether it is an .npy file."""
    return data.startswith(b"\x93NUMPY")


def table_of(data: bytes) -> Any:
    """One row of a mixed table as a pyarrow Table, out of a line of column names and one of values.

    Raises
    ------
    DataError
        If it is not that.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    if len(data) > MOST_BYTES:
        raise DataError(f"{len(data):,} bytes are too many: at most {MOST_BYTES:,} are read")
    first = (data.decode("utf-8-sig", "replace").strip().splitlines() or [""])[0]
    mark = next((mark for mark in (",", ";", "\t") if mark in first), ",")
    names = next(csv.reader([first], delimiter=mark), [])
    try:
        # As text: what a cell is, the model knows.
        options = pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        parsing = pa_csv.ParseOptions(delimiter=mark)
        table = pa_csv.read_csv(pa.BufferReader(data), parse_options=parsing, convert_options=options)
        table = pa.table([without_blanks(column) for column in table.columns], table.column_names)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(
            f"this cannot be read as a line of column names and one of values: {shortened(error)}"
        ) from None
    if table.num_rows != 1:
        raise DataError(f"there are {table.num_rows:,} rows below the line of names: give one")
    return table


def rounded(table: Any) -> Any:
    """A pyarrow Table with six digits that count of each float: more were not kept."""
    import pyarrow as pa

    for i, column in enumerate(table.columns):
        if pa.types.is_floating(column.type):
            cells = [None if value is None else float(f"{value:.6g}") for value in column.to_pylist()]
            table = table.set_column(i, table.column_names[i], pa.array(cells, pa.float64()))
    return table


def text_of(table: Any) -> str:
    """A pyarrow Table as CSV."""
    import pyarrow.csv as pa_csv

    file = io.BytesIO()
    pa_csv.write_csv(table, file, pa_csv.WriteOptions(quoting_style="needed"))
    return file.getvalue().decode()


def _from_array(data: bytes, view: Display, missing: bool) -> NDArray[Any]:
    wanted = f"one sample of shape {view.shape}"
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        reader = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, kind = reader(file)
        # Not any shape of as many values: a picture with its axes in another order would be scrambled.
        if kind.kind not in "fiub" or shape not in (view.shape, (1, *view.shape), (math.prod(view.shape),)):
            raise DataError(f"the .npy file holds {kind} of shape {shape}: expected {wanted}")
        values = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except DataError:
        raise
    except Exception as error:  # of whatever type the parser raises
        raise DataError(f"the .npy file cannot be read: {shortened(error)}") from None
    return _finite(values.reshape(1, *view.shape), missing)


def _from_picture(data: bytes, view: Display, invert: bool, frame: Frame | None, dtype: str) -> NDArray[Any]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            warnings.simplefilter("ignore")  # of bombs: the size is looked at here
            if opened.width * opened.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            picture = plain(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError:
        raise DataError("this is no picture that can be read: give a PNG or a JPEG") from None
    except Image.DecompressionBombError:
        raise DataError(
            f"the picture has more than {MOST_PIXELS:,} pixels and is not decoded: make it smaller"
        ) from None
    except Exception as error:  # of whatever type the decoder raises
        raise DataError(f"this is no picture that can be read: {shortened(error)}") from None
    places = as_images(np.arange(math.prod(view.shape)).reshape(1, *view.shape), view.shape)
    assert places is not None  # the view says that samples are pictures
    places = places[0]
    height, width = places.shape[:2]
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[1 if places.ndim == 2 else places.shape[2]]
    gray = mode == "L" and frame is not None
    picture = picture.convert(mode)
    if gray:
        picture.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(picture if gray else picture.resize((width, height), Image.Resampling.BOX))
    if invert:
        pixels = (
            np.concatenate([255 - pixels[..., :3], pixels[..., 3:]], -1) if mode == "RGBA" else 255 - pixels
        )
    if gray and frame is not None:
        pixels = frame.fit(pixels, height, width)
    values = view.low + pixels.astype(np.float64) / 255 * (view.high - view.low)
    row = np.empty(math.prod(view.shape), np.float64)
    row[places.ravel()] = values.ravel()
    whole = np.dtype(dtype).kind in "iub"
    return (np.rint(row) if whole else row).reshape(1, *view.shape).astype(dtype)


def _from_text(data: bytes, view: Display, names: Sequence[str] | None, missing: bool) -> NDArray[np.float64]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("this is neither an .npy file nor text: give numbers, separated by commas") from None
    lines = [line for line in text.splitlines() if line.strip()]
    header = None
    if len(lines) > 1 and not all(_is_number(cell) for cell in _cells(lines[0])):
        header = _cells(lines.pop(0))
    cells = [cell for line in lines for cell in _cells(line)]
    if header is not None and names is not None:
        cells = _in_order(header, cells, names)
    wanted = math.prod(view.shape)
    if len(cells) != wanted:
        raise DataError(f"these are {len(cells):,} numbers: expected one sample, which has {wanted:,}")
    values = np.empty(wanted, np.float64)
    for i, cell in enumerate(cells):
        if not _is_number(cell):
            raise DataError(f"value {i + 1} is {shortened(cell, 40)!r}: expected a number")
        values[i] = float(cell) if cell else np.nan
    return _finite(values.reshape(1, *view.shape), missing)


def _cells(line: str) -> list[str]:
    """The values of a line: separated by commas, semicolons, tabs, or else by blanks."""
    for mark in (",", ";", "\t"):
        if mark in line:
            try:
                return [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
            except csv.Error as error:
                raise DataError(f"this cannot be read as numbers: {shortened(error)}") from None
    return re.split(r"\s+", line.strip())


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _in_order(header: Sequence[str], cells: list[str], names: Sequence[str]) -> list[str]:
    """The cells of the columns that the model knows, in its order."""
    absent = [name for name in names if name not in header]
    if absent:
        raise DataError(f"the line of names has no {listed(absent)}: expected the columns of training")
    if len(cells) != len(header):
        raise DataError(f"there are {len(header):,} names over {len(cells):,} values: give one row")
    return [cells[list(header).index(name)] for name in names]


def _finite(values: NDArray[Any], missing: bool = False) -> NDArray[Any]:
    if np.isinf(values).any() if missing else not np.isfinite(values).all():
        what = "infinite" if missing else "missing or infinite"
        raise DataError(f"a value is {what}: expected finite numbers")
    return values
