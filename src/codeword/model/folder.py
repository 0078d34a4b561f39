"""A model on disk: JSON and safetensors, nothing that runs when it is opened.

::

    digits.ae/
      config.json          parameters, library version, the shape and names of the data, the scaling
      weights.safetensors  every tensor; codes and errors of some rows trained on, and of rows held out
      history.jsonl        one line an epoch
      README.md            what it is, in words and figures
      columns.json         of a mixed table: its columns, and the figures of what makes numbers of them
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor

from codeword.base.errors import ModelError
from codeword.base.files import MODEL_FILES, check_own, writing
from codeword.base.text import shortened

__all__ = ["FORMAT", "Folder", "read_folder", "write_folder"]

FORMAT = 1
"""Raised when an older codeword could no longer read what is written."""

CHECKPOINT_FILES = ("training.safetensors", "training.json")

CONFIG: dict[str, type] = {"format": int, "parameters": dict, "data": dict, "scaling": str, "seed": int}
COLUMNS = "columns.json"
DATA: dict[str, type] = {"n": int, "sample_shape": list, "dtype": str, "names": object}
"""What config.json holds, and of what type."""


@dataclass
class Folder:
    """What a model folder holds."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    history: list[dict[str, Any]]
    card: str = ""
    columns: dict[str, Any] | None = None


def write_folder(
    path: str | os.PathLike[str],
    folder: Folder,
    *,
    overwrite: bool = False,
    extra: dict[str, bytes] | None = None,
) -> None:
    """Write a model folder, whole or not at all; `extra` holds further files by name.

    Raises
    ------
    InputError
        If `path` exists and `overwrite` is false.
    """
    path = Path(path)
    if overwrite:
        check_own(path, (*MODEL_FILES, *CHECKPOINT_FILES), "a model folder")
    with writing(path, overwrite=overwrite) as new:
        new.mkdir()
        (new / "config.json").write_text(
            json.dumps({"format": FORMAT, **folder.config}, indent=2) + "\n", "utf-8"
        )
        tensors = {
            name: tensor.detach().cpu().contiguous().clone() for name, tensor in folder.tensors.items()
        }
        (new / "weights.safetensors").write_bytes(save(tensors))
        (new / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in folder.history), "utf-8")
        (new / "README.md").write_text(folder.card, "utf-8")
        if folder.columns is not None:
            (new / COLUMNS).write_text(json.dumps(folder.columns, indent=1) + "\n", "utf-8")
        for name, content in (extra or {}).items():
            (new / name).write_bytes(content)


def read_folder(path: str | os.PathLike[str]) -> Folder:
    """Read a model folder.

    Raises
    ------
    ModelError
        If there is none, or a file of it is missing, cut, damaged, or of a later format.
    """
    path = Path(path)
    if not path.exists():
        raise ModelError(f"{path}: there is no model folder here; `codeword train` makes one")
    if not path.is_dir():
        raise ModelError(
            f"{path} is a file; a model is a folder with config.json and weights.safetensors in it"
        )
    config = _read_json(path / "config.json")
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise ModelError(
            f"{path / 'config.json'}: the format is {found!r}, and this codeword reads {FORMAT}; upgrade it"
        )
    mixed = "columns" in config
    _check_keys(path / "config.json", config, CONFIG | ({"columns": str} if mixed else {}))
    _check_keys(path / "config.json", config["data"], DATA)
    weights = path / "weights.safetensors"
    try:
        # A name that is not UTF-8, which Python writes with surrogates, is none to safetensors.
        odd = any("\ud800" <= letter <= "\udfff" for letter in str(weights))
        tensors = load(weights.read_bytes()) if odd else load_file(weights)
    except FileNotFoundError:
        raise ModelError(
            f"{weights} is missing: the model folder is incomplete; train or copy it again"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{weights} is damaged or cut short ({_line(error)}); train or copy it again"
        ) from None
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ModelError(f"{weights}: {name} holds values that are not finite; train or copy it again")
    columns = _read_json(path / COLUMNS) if mixed else None
    return Folder(config, tensors, _read_history(path / "history.jsonl"), columns=columns)


def _check_keys(path: Path, found: dict[str, Any], expected: dict[str, type]) -> None:
    unknown, missing = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    if unknown or missing:
        raise ModelError(f"{path}: {f'unknown {unknown}' if unknown else f'missing {missing}'}")
    for key, kind in expected.items():
        if not isinstance(found[key], kind):
            raise ModelError(f"{path}: {key!r} must be of type {kind.__name__}. Got {found[key]!r} instead.")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path} is missing: {path.parent} is not a model folder, or not a whole one"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged ({_line(error)}); train or copy the model again") from None


def _read_history(path: Path) -> list[dict[str, Any]]:
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path} is missing or damaged ({_line(error)}); train or copy the model again"
        ) from None
    for row in rows:
        if not isinstance(row, dict) or not _is_number(row.get("train_loss")) or "epoch" not in row:
            raise ModelError(f"{path}: a line lacks 'epoch' or 'train_loss'; train or copy the model again")
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < math.inf


def _line(error: Exception) -> str:
    return shortened(str(error) or type(error).__name__)
