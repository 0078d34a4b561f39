"""Checkpoints: what a run keeps on disk so that it can go on after a kill, as if nothing had happened.

A checkpoint is a model folder, which `AutoEncoder.load` opens like any other, with two more files: the state
of the optimizer and of the random numbers in `training.safetensors`, and where the run stands in
`training.json`, with a checksum of both. It is replaced as a whole, so that a kill at any moment leaves the
one before.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from codeword.base.errors import InputError, ModelError, TrainingError
from codeword.base.files import Lock, check_free, recover
from codeword.base.text import shortened

MOST_OF_THE_TIME = 0.02
"""The share of a run's time that checkpoints may take: where epochs are short, not each of them is kept."""

EVERY_SECONDS = 300.0
"""Within a long epoch, a checkpoint after this long."""


@dataclass
class Checkpoint:
    """The checkpoint of one run.

    Parameters
    ----------
    path : Path
        The folder to keep it in.
    settings : dict
        Whatever has to be the same for a run to go on: parameters, data, processes. It is compared on `load`.
    write : callable
        Writes the model as it stands now to a folder, with further files: ``write(path, {name: content})``.
    writes : bool
        Whether this process is the one that writes.

    Raises
    ------
    InputError
        If another process is writing it, or the folder to keep it in is missing.
    TrainingError
        If it cannot be written there.
    """

    path: Path
    settings: dict[str, Any]
    write: Callable[[Path, dict[str, bytes]], None]
    writes: bool
    last: float = field(default_factory=time.monotonic, init=False)
    cost: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if not self.writes:
            return
        check_free(self.path, overwrite=True)
        try:
            self.lock = Lock.of(self.path)
        except OSError as error:
            raise TrainingError(
                f"the checkpoint {self.path} cannot be written ({error.strerror or error}): choose another "
                "folder"
            ) from error

    def due(self, *, within_epoch: bool) -> bool:
        """Whether it is time to save."""
        if not self.writes:
            return False
        since = time.monotonic() - self.last
        return since >= (EVERY_SECONDS if within_epoch else 0.0) and since >= self.cost / MOST_OF_THE_TIME

    def save(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Replace the checkpoint on disk.

        Raises TrainingError if it cannot be written; the one before is still there.
        """
        if not self.writes:
            return
        started = time.monotonic()
        packed = save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()})
        kept: dict[str, Any] = {"settings": self.settings, "state": state}
        kept["checksum"] = digest(json.dumps(kept).encode(), packed)
        extra = {"training.safetensors": packed, "training.json": json.dumps(kept).encode()}
        try:
            self.write(self.path, extra)
        except OSError as error:
            raise TrainingError(
                f"the checkpoint {self.path} could not be written ({error.strerror or error}): the one "
                "before is kept; make room, then resume"
            ) from error
        self.last = time.monotonic()
        self.cost = self.last - started

    def load(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """State and tensors of the run that stopped; None if there is no checkpoint.

        Raises ModelError if it is damaged or was written by another version of codeword; InputError if it was
        made with other settings; the message names the first that differs.
        """
        if self.writes:
            recover(self.path)
        if not self.path.exists():
            return None
        try:
            kept = json.loads((self.path / "training.json").read_text("utf-8"))
            packed = (self.path / "training.safetensors").read_bytes()
            if kept.pop("checksum") != digest(json.dumps(kept).encode(), packed):
                raise ValueError("its checksum is another")
            settings, state, tensors = dict(kept["settings"]), kept["state"], load(packed)
        except LookupError as error:
            raise self.of_another_version(error) from None
        except (SafetensorError, OSError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise ModelError(
                f"the checkpoint {self.path} is damaged ({shortened(error)}): delete it and train from the "
                "start"
            ) from None
        for name, value in json.loads(json.dumps(self.settings)).items():
            found = settings.get(name)
            if found != value:
                raise InputError(
                    f"the checkpoint {self.path} was made with {name} = {shortened(found)}, and "
                    f"this run has {shortened(value)}: give the same, or delete the checkpoint to train from "
                    "the start"
                )
        return state, tensors

    def of_another_version(self, error: Exception) -> ModelError:
        """What to raise where `error` says that a sound checkpoint holds other things than this version's."""
        return ModelError(
            f"the checkpoint {self.path} was written by another version of codeword "
            f"({type(error).__name__}: {shortened(error)}): delete it and train from the start"
        )


def digest(*parts: Any) -> str:
    """A short name for arrays and bytes, that differs where they do."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else part.tobytes())
    return found.hexdigest()[:16]
