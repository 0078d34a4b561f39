"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import uuid
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from codeword.base.errors import InputError

MODEL_FILES = ("config.json", "weights.safetensors", "history.jsonl", "README.md", "columns.json")
"""What a model folder holds."""

ANY = "[0-9a-f]" * 8
"""The random part of a temporary name, in a pattern."""


def check_free(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Return `path`, or say why nothing can be written there.

    Raises InputError if something is there already and `overwrite` is false, or the folder to write into is
    missing.
    """
    path = Path(path)
    if not path.name:
        raise InputError(f"{path} cannot be written: give a name of its own")
    if (path.exists() or path.is_symlink()) and not overwrite:
        raise InputError(f"{path} already exists: choose another name, or pass --overwrite to replace it")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}; create it first")
    return path


def check_own(path: str | os.PathLike[str], names: Collection[str], what: str) -> None:
    """Refuse to put anything in the place of a folder with other files in it than `names`.

    Raises InputError if `path` is something else than a folder of such files, of which `what` says what it
    should be.
    """
    path = Path(path)
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"{path} is a file, not {what}: it is not overwritten; choose another name")
    others = sorted(entry.name for entry in path.iterdir() if entry.name not in {*names, ".DS_Store"})
    if others:
        raise InputError(
            f"{path} holds {others[0]!r}, which is no part of {what}: it is not overwritten; "
            "choose another name"
        )


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
        _replace(temporary, path, overwrite=overwrite)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class Lock:
    """Keeps other processes from writing to a path for as long as the object lives: see `Lock.of`."""

    held: ClassVar[weakref.WeakValueDictionary[Path, Lock]] = weakref.WeakValueDictionary()

    def __init__(self, file: Path, number: int) -> None:
        weakref.finalize(self, _let_go, file, number)
        Lock.held[file] = self

    @classmethod
    def of(cls, path: Path) -> Lock:
        """The lock of `path`, which this process may have already.

        The system lets go of it when the process ends, however it ends. Where there are no such locks
        (Windows, some network drives) nothing is kept out.

        Raises InputError if another process has it; OSError if the folder of `path` is missing or cannot be
        written.
        """
        file = path.resolve().with_name(f".{path.name}.lock")
        if (lock := Lock.held.get(file)) is not None:
            return lock
        while True:
            number, current = os.open(file, os.O_RDWR | os.O_CREAT, 0o666), True
            try:
                import fcntl

                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                current = file.exists() and os.path.samestat(os.fstat(number), file.stat())
            except BlockingIOError:
                os.close(number)
                raise InputError(
                    f"{path} is being written by another process: wait for it, or choose another name"
                ) from None
            except (ImportError, OSError):
                pass
            if current:
                return cls(file, number)
            os.close(number)  # who had it until just now has deleted its file


def _let_go(file: Path, number: int) -> None:
    with contextlib.suppress(OSError):
        file.unlink()
    os.close(number)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, where there can be one: what is missing or read-only is said elsewhere.

    Raises InputError if another process has it.
    """
    lock = None
    with contextlib.suppress(OSError):
        lock = Lock.of(path) if path.name else None
    try:
        yield
    finally:
        del lock


def recover(path: Path) -> None:
    """Tidy up after a process that was killed while it replaced the folder `path`.

    Where a folder is replaced by two renames, a kill between them leaves the old one aside, whence it comes
    back.

    Raises InputError if another process has the lock of `path`, and is writing it.
    """
    with locked(path):
        for aside in sorted(path.parent.glob(f".{glob.escape(path.name)}.{ANY}.old")):
            if path.exists():
                remove(aside)
            else:
                os.replace(aside, path)
        for left in path.parent.glob(f".{glob.escape(path.stem)}.{ANY}.part{glob.escape(path.suffix)}"):
            remove(left)


NO_REPLACE, EXCHANGE = 1, 2
"""Linux's renameat2: fail where the target exists, or change places with it; either at once."""


def _replace(new: Path, path: Path, *, overwrite: bool) -> None:
    if not overwrite:
        if not _renamed(new, path, NO_REPLACE):
            check_free(path)  # another process may have been quicker
            os.replace(new, path)
        return
    if not path.exists() or not (path.is_dir() or new.is_dir()):
        os.replace(new, path)
        return
    # A folder can neither be renamed over a file, nor over one that is not empty.
    if _renamed(new, path, EXCHANGE):
        return
    # Where the two cannot change places at once: move the old one aside first, and back if that fails.
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    os.replace(path, aside)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(aside, path)
        raise
    remove(aside)


def _renamed(new: Path, path: Path, how: int) -> bool:
    """Rename by renameat2; False if that fails, or this system or file system has none."""
    import ctypes

    here = -100  # names are relative to the working directory
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(rename(here, os.fsencode(new), here, os.fsencode(path), how) == 0)


def _flush(path: Path) -> None:
    """Bring the bytes to the disk, so that a power cut after the rename finds them whole."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())
