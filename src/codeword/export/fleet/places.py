"""Folders on a disk or in an object store, all through pyarrow's file systems."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from codeword.base.errors import DataError, InputError
from codeword.base.files import writing
from codeword.base.text import shortened

__all__ = ["File", "Place", "Source", "open_place", "open_source", "public", "reaching"]

OBJECT_STORES = ("s3", "gcs", "abfs")
"""Of these a name appears when its last byte is there; renaming is a copy and a deletion, and not atomic."""

URI = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+://)([^?]*|.*?)(\?\w+=.*)?")
"""Scheme, path, and options such as ?region=eu-west-1: a question mark that is none is a wildcard."""

WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class File:
    """A file of a source: its path below the source's folder, its bytes, and when it was last changed."""

    path: str
    size: int
    modified: int | None


@dataclass(frozen=True)
class Place:
    """A folder in a file system.

    Attributes
    ----------
    system : pyarrow.fs.FileSystem
    path : str
        As `system` takes it.
    """

    system: Any
    path: str

    def at(self, name: str) -> str:
        """The path of what is called `name` there."""
        return f"{self.path.rstrip('/')}/{name}"

    @property
    def is_store(self) -> bool:
        """Whether it is an object store, which has no folders and no renaming."""
        return self.system.type_name in OBJECT_STORES

    @property
    def real(self) -> str:
        """The path without symbolic links and `..`, where there are such."""
        return os.path.realpath(self.path) if self.system.type_name == "local" else self.path

    def names(self) -> dict[str, int]:
        """The size of each file that lies there, by its name, and 0 of each folder, by its name with a slash.

        There are none where there is no such folder.
        """
        from pyarrow.fs import FileSelector, FileType

        with reaching(self.path):
            found = self.system.get_file_info(FileSelector(self.path, allow_not_found=True))
        sizes = {info.base_name: int(info.size) for info in found if info.type == FileType.File}
        return sizes | {f"{i.base_name}/": 0 for i in found if i.type == FileType.Directory}

    def check_folder(self) -> None:
        """Say that a file has this name, and is no folder.

        Raises
        ------
        InputError
        """
        from pyarrow.fs import FileType

        with reaching(self.path):
            info = self.system.get_file_info(self.path)
        if info.type == FileType.File:
            raise InputError(f"{self.path} is a file: give a folder that is empty or not there yet")

    def unchanged(self, name: str, size: int, modified: int) -> bool:
        """Whether a file is there as it was listed, with these bytes and this time (-1 for none)."""
        with reaching(self.at(name)):
            info = self.system.get_file_info(self.at(name))
        # A store may give the time of one object in whole seconds, and that of a list's more exactly.
        unit = 10**9 if self.is_store else 1
        now = -1 if info.mtime_ns is None else info.mtime_ns // unit
        return bool(info.size == size and now == (modified if modified < 0 else modified // unit))

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        with reaching(self.at(name)), self.system.open_input_file(self.at(name)) as file:
            return bytes(file.read())

    def make(self) -> None:
        """Make the folder, where there are folders."""
        if not self.is_store:
            with reaching(self.path):
                self.system.create_dir(self.path, recursive=True)

    def write(self, name: str, content: Any) -> None:
        """Put bytes there, whole or not at all, in the place of what has that name."""
        path = self.at(name)
        with reaching(path):
            if self.system.type_name == "local":
                with writing(path, overwrite=True) as new:
                    Path(new).write_bytes(content)
            elif self.is_store:
                self._send(path, content)
            else:
                # A name of its own, so that two workers on one part do not write into one file.
                aside = self.at(f".{name}.{uuid.uuid4().hex[:8]}.part")
                self._send(aside, content)
                self.system.move(aside, path)

    def _send(self, path: str, content: Any) -> None:
        stream = self.system.open_output_stream(path)
        stream.write(content)
        stream.close()  # not reached where writing fails, since closing is what makes an object appear

    def remove(self, name: str) -> None:
        """Delete a file."""
        with reaching(self.at(name)):
            self.system.delete_file(self.at(name))


@dataclass(frozen=True)
class Source:
    """Parquet files under a folder.

    Attributes
    ----------
    place : Place
        The folder that the paths of files are below of.
    pattern : str
        What paths below it have to look like, as a regular expression.
    deep : bool
        Whether files in folders below it may match.
    said : str
        The source as a person wrote it, without what is secret.
    """

    place: Place
    pattern: str
    deep: bool
    said: str

    @cached_property
    def matches(self) -> Callable[[str], bool]:
        """Whether a path below the folder belongs to the source."""
        compiled = re.compile(self.pattern)
        return lambda path: compiled.fullmatch(path) is not None

    def files(self) -> list[File]:
        """The files, in the order of their paths.

        Raises
        ------
        DataError
            If there are none.
        """
        from pyarrow.fs import FileSelector, FileType

        base = self.place.path
        below = len(base.rstrip("/")) + 1
        selector = FileSelector(base, recursive=self.deep, allow_not_found=True)
        try:
            with reaching(self.said):
                found = [i for i in self.place.system.get_file_info(selector) if i.type == FileType.File]
            told = [(i.path[below:], i) for i in found]
        except UnicodeDecodeError as error:
            name = shortened(error.object.decode("utf-8", "backslashreplace"))
            raise DataError(f"{self.said}: the name {name} is no UTF-8: rename that file") from None
        files = [File(path, int(i.size), i.mtime_ns) for path, i in told if self.matches(path)]
        if not files:
            raise DataError(f"{self.said}: there is no Parquet file (.parquet, .pq) of that name or place")
        return sorted(files, key=lambda file: file.path)


def open_place(text: str) -> Place:
    """The folder that a path or a URI, such as `s3://bucket/codes/`, stands for.

    Raises
    ------
    InputError
        If there is no such file system.
    """
    if URI.fullmatch(text) is None:
        from pyarrow.fs import LocalFileSystem

        return Place(LocalFileSystem(), Path(text).expanduser().absolute().as_posix())
    from pyarrow.fs import FileSystem

    with reaching(public(text)):
        system, path = FileSystem.from_uri(text)
    return Place(system, path)


def open_source(text: str) -> Source:
    """The Parquet files that a path or a URI stands for: a file, a folder, or a pattern with wildcards.

    A `*` stands for a part of a name, `**` for any number of folders. Of a folder all Parquet files are
    taken, those in folders in it too; names that begin with a dot or an underscore are not.

    Raises
    ------
    InputError
        If there is no such file system.
    """
    from pyarrow.fs import FileType

    uri = URI.fullmatch(text)
    scheme, path, options = ("", text, "") if uri is None else (uri[1], uri[2], uri[3] or "")
    parts = path.split("/")
    there = not scheme and os.path.lexists(Path(text).expanduser())  # a name, whatever is in it
    wild = None if there else next((i for i, part in enumerate(parts) if WILD.search(part)), None)
    if wild is not None:
        base = "/".join(parts[:wild]) or ("/" if path.startswith("/") else ".")
        base = base if scheme else str(Path(base))
        pattern, deep = translated(parts[wild:]), len(parts) > wild + 1
        return Source(open_place(f"{scheme}{base}{options}"), pattern, deep, public(text))
    place = open_place(text)
    with reaching(public(text)):
        info = place.system.get_file_info(place.path)
    if info.type == FileType.File:
        folder, _, name = place.path.rpartition("/")
        return Source(Place(place.system, folder or "/"), re.escape(name), False, public(text))
    seen = r"(?:[^/._][^/]*/)*[^/._][^/]*(?i:\.parquet|\.pq)"
    return Source(place, seen, True, public(text))


def translated(parts: list[str]) -> str:
    """A pattern of a shell, part by part, as a regular expression of which `*` stays within a name."""
    found = []
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if part == "**":
            found.append(r"(?:[^/.][^/]*/)*" + (r"[^/.][^/]*" if last else ""))
            continue
        names = re.split(r"(\*|\?|\[[^]]+\])", part)
        told = {"*": "[^/]*", "?": "[^/]"}
        text = "".join(
            told.get(n) or (n.replace("[!", "[^") if n.startswith("[") else re.escape(n)) for n in names
        )
        hidden = "" if part.startswith(".") else r"(?!\.)"  # as a shell has it
        found.append(hidden + text + ("" if last else "/"))
    return "".join(found)


def public(text: str) -> str:
    """A URI without a key and its secret, in which there may be slashes."""
    return re.sub(r"(://)(?:[^?\s]*@|[^/@\s]*@)", r"\1", text)


@contextmanager
def reaching(what: str) -> Iterator[None]:
    """Turn what goes wrong on the way to a file system into one line.

    Raises
    ------
    InputError
        If there is no such file system, or it knows no such path.
    OSError
        If it does not answer, or refuses.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ImportError, UnicodeEncodeError) as error:
        raise InputError(f"{what} cannot be opened: {shortened(public(str(error)), 200)}") from None
    except OSError as error:
        raise OSError(f"{what} cannot be reached: {shortened(public(str(error)), 200)}") from None
