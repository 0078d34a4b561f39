"""Folders of pictures, through Pillow."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from codeword.base.constraints import whole
from codeword.base.errors import DataError, expected
from codeword.base.text import listed
from codeword.data.reading import reading

MOST_LINES = 1_000_000
"""Lines of pixels of a picture: Pillow needs some memory for each, however short it is."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
"""Decoded by Pillow itself, whatever a file is called: for some others it would run another program."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def read_folder(
    folder: Path, size: int | tuple[int, int] | None
) -> tuple[NDArray[np.uint8], NDArray[np.str_] | None]:
    """Return the pictures of a folder and the names of the sub-folders they lie in.

    Hidden files and folders, and files that are no pictures, are passed over. The order is that of the names.
    Of an animation the first frame is taken; pictures are turned as their camera says; 16-bit gray is brought
    to 8 bits. Pictures are (n, height, width) uint8 or, if any has color, (n, height, width, 3); names are
    those of the sub-folders right under `folder`, (n,), or None if pictures lie in `folder` itself.

    Raises DataError if there is no picture, one is damaged or too large, they differ in size and `size` is
    None, or some lie in sub-folders and some do not; ParameterError if `size` is not one or two positive
    integers.
    """
    target = _checked_size(size)
    with reading(folder, "a folder of pictures"):
        paths = _pictures(folder)
        inside = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if not paths:
        raise DataError(
            f"{folder} holds nothing that can be read: looked for IDX files (train-images-idx3-ubyte, …), "
            f"pictures ({', '.join(SUFFIXES)}) there or in sub-folders, and folders train and test; found "
            f"{listed(inside, 4) or 'nothing'}; for a table or an array give the file itself"
        )
    parts = [path.relative_to(folder).parts for path in paths]
    here = [path for path, part in zip(paths, parts, strict=True) if len(part) == 1]
    if here and len(here) < len(paths):
        raise DataError(
            f"{folder} holds {len(here)} pictures of its own ({here[0].name}, …) and "
            f"{len(paths) - len(here)} in sub-folders: expected all of them in it, or each in a "
            "sub-folder named by its label"
        )
    y = None if here else np.array([part[0] for part in parts], dtype=str)
    return _stacked(paths, target), y


def _checked_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = size if isinstance(size, tuple | list) else (size, size)
    if len(pair) != 2 or not all(map(whole, pair)):
        raise expected("size", "load", "a positive integer or a pair of them, height and width", size)
    return int(pair[0]), int(pair[1])


def _pictures(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()
    for here, inside, files in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(here)
        if real in seen:  # a link back up would never end
            inside.clear()
            continue
        seen.add(real)
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        names = sorted(name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        found += [Path(here, name) for name in names]
    return found


def _raise(error: OSError) -> None:
    raise error


def _stacked(paths: list[Path], target: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Decode pictures straight into one array, which gains its channels when the first color turns up."""
    x: NDArray[np.uint8] = np.empty(0, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for i, path in enumerate(paths):
            with reading(path, "a picture"):
                pixels = _decoded(path, target)
            size = f"{pixels.shape[0]}×{pixels.shape[1]}"
            if i == 0:
                with reading(
                    path, f"the first of {len(paths)} pictures of {size} pixels: pass a small --size"
                ):
                    x = np.empty((len(paths), *pixels.shape), np.uint8)
            if pixels.shape[:2] != x.shape[1:3]:
                raise DataError(
                    f"pictures differ in size: {paths[0]} is {x.shape[1]}×{x.shape[2]} and {path} is {size} "
                    f"(height × width); pass --size to bring them to one, such as --size {min(x.shape[1:3])}"
                )
            if pixels.ndim == 3 and x.ndim == 3:
                x = np.repeat(x[..., None], 3, axis=3)
            x[i] = pixels if pixels.ndim == x.ndim - 1 else pixels[..., None]
    return x


def _decoded(path: Path, target: tuple[int, int] | None) -> NDArray[np.uint8]:
    """The pixels of a picture, the right way up, in gray or in color."""
    with Image.open(path, formats=FORMATS) as opened:
        if opened.height > MOST_LINES:
            raise ValueError(f"it has {opened.height:,} lines of pixels; expected at most {MOST_LINES:,}")
        ImageOps.exif_transpose(opened, in_place=True)
        picture = plain(opened)
    del opened  # in its own mode it takes as much memory again
    if target is not None:
        picture = picture.resize((target[1], target[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def plain(picture: Any) -> Any:
    """Return a picture as 8-bit gray ("L") or color ("RGB")."""
    mode = picture.mode
    if mode == "I" or mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(np.asarray(picture)))
    if mode == "F":
        raise ValueError(
            "its pixels are floating-point numbers; expected 8 or 16 bits, so save them as .npy instead"
        )
    if mode in ("LA", "RGBA", "RGBa", "PA") or "transparency" in picture.info:
        # Where nothing is seen any color may be stored, often black; viewers show the white of the page.
        own = "LA" if mode in ("1", "L", "LA") else "RGBA"
        picture = picture if mode == own else picture.convert(own)
        white = Image.new(own.removesuffix("A"), picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    if mode in ("L", "RGB"):
        picture.load()
        return picture
    return picture.convert("L" if mode == "1" else "RGB")


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values of 16 bits as 8."""
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels go beyond 16 bits; save them as .npy instead")
    wide = values.astype(np.int32)
    wide += 128
    wide //= 257
    return wide.astype(np.uint8)
