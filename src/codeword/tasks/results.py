"""The folder of a comparison: what is finished is on disk at once, whole, and outlives a kill."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from codeword.base.errors import InputError, ParameterError
from codeword.base.files import check_free, check_own, recover, remove, writing
from codeword.base.text import shortened

__all__ = ["PICTURE", "RESULTS", "TABLE", "Results", "check_folder", "key"]

SETTINGS = "settings.json"
RESULTS = "results.jsonl"
TABLE = "comparison.csv"
PICTURE = "comparison.png"

GROWING = ("k", "objectives", "seeds")
"""What a comparison that goes on may have more of."""

Row = dict[str, Any]
Key = tuple[str, int, int | None]


def key(row: Row) -> Key:
    """What a row is the result of."""
    return row["objective"], row["k"], row["seed"]


def check_folder(path: str | os.PathLike[str], *, resume: bool, overwrite: bool) -> Path:
    """Say early that a comparison cannot be kept in `path`.

    Raises
    ------
    InputError
        If it is there already and neither may be gone on with nor replaced, is something else than the folder
        of a comparison, or its own folder is missing.
    """
    path = Path(path)
    if resume and overwrite:
        raise ParameterError("--resume goes on with what is there, and --overwrite replaces it: give one")
    if path.name:
        recover(path)
    if path.exists() and not (resume or overwrite):
        raise InputError(
            f"{path} already exists: go on with it by resume=True (--resume), replace it by overwrite=True "
            "(--overwrite), or choose another name"
        )
    if resume and path.exists() and not (path / SETTINGS).is_file():
        raise InputError(f"{path} is no comparison to go on with: there is no {SETTINGS} in it")
    if overwrite and path.is_dir():
        check_own(path, [entry.name for entry in path.iterdir() if _ours(entry.name)], "a comparison")
    return check_free(path, overwrite=path.exists())


class Results:
    """The finished rows of a comparison, and the folder that they are kept in.

    Attributes
    ----------
    rows : dict
        By objective, k and seed.
    path : Path or None
        None keeps them in memory only.
    """

    def __init__(self, path: Path | None = None, rows: Iterable[Row] = ()) -> None:
        self.path = path
        self.rows: dict[Key, Row] = {key(row): row for row in rows}

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        settings: dict[str, Any],
        *,
        resume: bool,
        overwrite: bool,
        ordered: Collection[str] = (),
    ) -> Results:
        """Make the folder, or go on with the one that is there.

        Parameters
        ----------
        path : path
        settings : dict
            What is compared, fit for JSON. Of `k`, `objectives` and `seeds` there may be more than before.
        resume, overwrite : bool
        ordered : collection of str
            The objectives whose rows hang on the largest k: where that has grown they are made anew.

        Raises
        ------
        InputError
            See `check_folder`; also if the settings differ, with the name of the first that does.
        """
        path = check_folder(path, resume=resume, overwrite=overwrite)
        if not (resume and path.exists()):
            with writing(path, overwrite=overwrite) as new:
                new.mkdir()
                (new / SETTINGS).write_text(json.dumps(settings, indent=1), "utf-8")
            return cls(path)
        settings = json.loads(json.dumps(settings))
        kept = _read_settings(path)
        _check_settings(path, kept, settings)
        rows, torn = _read_rows(path / RESULTS)
        if max(kept["k"]) < max(settings["k"]):
            rows, torn = [row for row in rows if row["objective"] not in ordered], True
        if torn:  # before the settings: a kill between the two must leave nothing that they do not describe
            _write(path / RESULTS, "".join(_line(row) for row in rows))
        if kept != settings:
            _write(path / SETTINGS, json.dumps(settings, indent=1))
        return cls(path, rows)

    def add(self, rows: Sequence[Row]) -> None:
        """Keep what one training gave; of a kill while it was written, some may be there already."""
        rows = [row for row in rows if key(row) not in self.rows]
        if self.path is not None:
            with open(self.path / RESULTS, "a", encoding="utf-8") as file:
                file.write("".join(_line(row) for row in rows))
        self.rows |= {key(row): row for row in rows}

    def withdraw(self) -> None:
        """Take the folder away again, if nothing has come of it."""
        if self.path is not None and [entry.name for entry in self.path.iterdir()] == [SETTINGS]:
            remove(self.path)

    def tidy(self, keep: Collection[str] = ()) -> None:
        """Delete what trainings and a kill left, but for the checkpoints named in `keep`."""
        if self.path is None:
            return
        for entry in self.path.iterdir():
            wanted = entry.name.removeprefix(".").startswith(tuple(keep)) if keep else False
            if entry.name not in FILES and _ours(entry.name) and not wanted:
                remove(entry)

    def write_table(self, rows: Sequence[Row], columns: Sequence[str]) -> None:
        """Write the rows as a CSV file."""
        assert self.path is not None
        with (
            writing(self.path / TABLE, overwrite=True) as new,
            open(new, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


FILES = (SETTINGS, RESULTS, TABLE, PICTURE)
TEMPORARY = re.compile(r"\.(settings|results|comparison)\.[0-9a-f]{8}\.part\.\w+")


def _ours(name: str) -> bool:
    checkpoint = name.removeprefix(".").startswith("k") and ".checkpoint" in name
    return name in FILES or checkpoint or bool(TEMPORARY.fullmatch(name))


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"


def _write(path: Path, text: str) -> None:
    with writing(path, overwrite=True) as new:
        new.write_text(text, "utf-8")


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads((path / SETTINGS).read_text("utf-8"))
        growing = [kept["k"], kept["objectives"], kept.get("seeds") or []]
        if not (
            all(type(k) is int for k in kept["k"]) and kept["k"] and isinstance(kept["objectives"], list)
        ):
            raise ValueError("no lists of k and objectives")
        for values in growing:  # which are compared as sets
            set() if isinstance(values, int) else set(values)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = shortened(error)
        raise InputError(f"{path / SETTINGS} is damaged ({reason}): start anew with --overwrite") from None
    return dict(kept)


def _check_settings(path: Path, kept: dict[str, Any], settings: dict[str, Any]) -> None:
    for name in [*kept, *(name for name in settings if name not in kept)]:
        before: Any = kept.get(name)
        now: Any = settings.get(name)
        if name in GROWING and before is not None:
            counts = isinstance(before, int) and isinstance(now, int)
            fits = before <= now if counts else isinstance(before, list) and set(before) <= set(now)
        else:
            fits = before == now
        if not fits:
            more = ", or more" if name in GROWING else ""
            raise InputError(
                f"{path} was made with {name} = {_shown(before)}, and this run has {_shown(now)}: give the "
                f"same{more}, or another folder"
            )


def _shown(value: Any) -> str:
    return shortened(", ".join(map(str, value)) if isinstance(value, list) else value)


def _read_rows(path: Path) -> tuple[list[Row], bool]:
    """The rows of a file, and whether it ended in the middle of one, which is left out."""
    if not path.exists():
        return [], False
    text = path.read_text("utf-8", errors="replace")
    rows: list[Row] = []
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            hash(key(row))
        except (ValueError, KeyError, TypeError, RecursionError):
            if number == len(lines) and not line.endswith("\n"):
                return rows, True
            raise InputError(
                f"{path}, line {number}, is no result: delete the line, or start anew with --overwrite"
            ) from None
        rows.append(row)
    return rows, not text.endswith("\n") and bool(text)
