"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codeword.errors import InputError

__all__ = ["check_free", "writing"]


def check_free(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Return `path`, or say why nothing can be written there.

    Raises
    ------
    InputError
        If something is there already and `overwrite` is false, or the folder to write into is missing.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path} already exists: choose another name, or pass --overwrite to replace it")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}; create it first")
    return path


@contextmanager
def writing(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes `path`'s place, on any failure it is gone.

    The temporary name keeps the suffix, so that writers which look at it choose the same format. What is
    made there may be a file or a folder.
    """
    path = check_free(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield temporary
        _flush(temporary)
        _replace(temporary, path)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace(new: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(new, path)
        return
    # A folder that is not empty cannot be renamed over: move the old one aside first, and back if that fails.
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    os.replace(path, aside)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(aside, path)
        raise
    remove(aside)


def _flush(path: Path) -> None:
    """Bring the bytes to the disk, so that a power cut after the rename finds them whole."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())
