"""The folder of a comparison: each finished training is on disk at once, whole, and outlives a kill."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from codeword.base.errors import InputError, ParameterError
from codeword.base.files import check_free, check_own, recover, remove, writing
from codeword.base.text import shortened
from codeword.tasks.choice import COLUMNS, Comparison

__all__ = ["PICTURE", "RESULTS", "TABLE", "Results", "check_folder"]

SETTINGS = "settings.json"
RESULTS = "results.jsonl"
TABLE = "comparison.csv"
PICTURE = "comparison.png"
TRAINING = "training"
"""The folder for the checkpoint of the training under way."""

Row = dict[str, Any]
Key = tuple[str, int, int | None]


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
        left = [entry.name for entry in path.glob(".*.part.*")]  # by a kill
        check_own(path, [SETTINGS, RESULTS, TABLE, PICTURE, TRAINING, *left], "a comparison")
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
        self.rows: dict[Key, Row] = {(row["objective"], row["k"], row["seed"]): row for row in rows}

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], settings: dict[str, Any], *, resume: bool, overwrite: bool
    ) -> Results:
        """Make the folder, or go on with one of the same `settings`, which are fit for JSON.

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
        kept = _read_settings(path / SETTINGS)
        for name in [*kept, *settings]:
            before, now = kept.get(name), settings.get(name)
            if before != now:
                raise InputError(
                    f"{path} was made with {name} = {_shown(before)}, and this run has {_shown(now)}: give "
                    "the same, or another folder"
                )
        return cls(path, _read_rows(path / RESULTS))

    def checkpoint(self, name: str) -> Path | None:
        """Where the training of a name keeps its state."""
        if self.path is None:
            return None
        (self.path / TRAINING).mkdir(exist_ok=True)
        return self.path / TRAINING / name

    def add(self, rows: Sequence[Row]) -> None:
        """Keep what one training gave, all of it or, if the process is killed here, nothing."""
        self.rows |= {(row["objective"], row["k"], row["seed"]): row for row in rows}
        if self.path is not None:
            with writing(self.path / RESULTS, overwrite=True) as new:
                new.write_text("".join(json.dumps(row) + "\n" for row in self.rows.values()), "utf-8")
            remove(self.path / TRAINING)

    def withdraw(self) -> None:
        """Take the training under way away again, and the folder if nothing else has come of it."""
        if self.path is not None:
            remove(self.path / TRAINING if self.rows else self.path)

    def finish(self, found: Comparison) -> None:
        """Put the rows in order into a table and a picture, and delete what a kill left."""
        if self.path is None:
            return
        from codeword.plots import comparison_figure, save

        for left in [self.path / TRAINING, *self.path.glob(".*.part.*")]:
            remove(left)
        with (
            writing(self.path / TABLE, overwrite=True) as new,
            open(new, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(found.rows)
        best = found.recommended
        if best is not None:
            drawn = [row for row in found.rows if row["mse"] is not None]
            save(comparison_figure(drawn, recommended=best.k), self.path / PICTURE, overwrite=True)


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text("utf-8"))
        if not isinstance(kept, dict):
            raise ValueError("it holds no names of settings")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({shortened(error)}): start anew with --overwrite") from None
    return kept


def _read_rows(path: Path) -> list[Row]:
    rows: list[Row] = []
    text = path.read_text("utf-8", errors="replace") if path.exists() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line)
            hash((row["objective"], row["k"], row["seed"]))
            rows.append(row)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                f"{path}, line {number}, is no result: delete the line, or start anew with --overwrite"
            ) from None
    return rows


def _shown(value: Any) -> str:
    return shortened(", ".join(map(str, value)) if isinstance(value, list) else value)
