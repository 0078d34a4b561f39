"""What a run keeps on disk so that it can go on after a kill, as if nothing had happened.

A checkpoint is a model folder, which `AutoEncoder.load` opens like any other, with two more files: the state
of the optimiser and of the random numbers in `training.safetensors`, and where the run stands in
`training.json`. It is replaced as a whole, so that a kill at any moment leaves the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from codeword.errors import InputError, ModelError, TrainingError
from codeword.files import recover, remove
from codeword.modelfolder import Folder, write_folder

__all__ = ["Checkpoint", "digest"]

MOST_OF_THE_TIME = 0.02
"""The share of a run's time that checkpoints may take: where epochs are short, not each of them is kept."""

EVERY_SECONDS = 300.0
"""Within a long epoch, a checkpoint after this long."""


class Checkpoint:
    """The checkpoint of one run.

    Parameters
    ----------
    path : path
        The folder to keep it in.
    settings : dict
        Whatever has to be the same for a run to go on: parameters, data, processes. It is compared on `load`.
    folder : callable
        Gives the model folder as it stands now.
    writes : bool
        Whether this process is the one that writes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: dict[str, Any],
        folder: Callable[[], Folder],
        writes: bool,
    ) -> None:
        self.path, self.settings, self.folder, self.writes = Path(path), settings, folder, writes
        self.last = time.monotonic()
        self.cost = 0.0

    def due(self, *, within_epoch: bool) -> bool:
        """Whether it is time to save."""
        if not self.writes:
            return False
        since = time.monotonic() - self.last
        return since >= (EVERY_SECONDS if within_epoch else 0.0) and since >= self.cost / MOST_OF_THE_TIME

    def save(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Replace the checkpoint on disk.

        Raises
        ------
        TrainingError
            If it cannot be written; the one before is still there.
        """
        if not self.writes:
            return
        started = time.monotonic()
        extra = {
            "training.safetensors": save(
                {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
            ),
            "training.json": json.dumps({"settings": self.settings, "state": state}).encode(),
        }
        try:
            write_folder(self.path, self.folder(), overwrite=True, extra=extra)
        except OSError as error:
            raise TrainingError(
                f"the checkpoint {self.path} could not be written ({error.strerror or error}): the one "
                "before is kept; make room, then resume"
            ) from error
        self.last = time.monotonic()
        self.cost = self.last - started

    def load(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """State and tensors of the run that stopped; None if there is no checkpoint.

        Raises
        ------
        ModelError
            If it is damaged.
        InputError
            If it was made with other settings; the message names the first that differs.
        """
        recover(self.path)
        if not self.path.exists():
            return None
        try:
            kept = json.loads((self.path / "training.json").read_text("utf-8"))
            tensors = load_file(self.path / "training.safetensors")
            settings, state = kept["settings"], kept["state"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(
                f"the checkpoint {self.path} is damaged ({reason}): delete it and train from the start"
            ) from None
        for name, value in json.loads(json.dumps(self.settings)).items():
            if settings.get(name) != value:
                raise InputError(
                    f"the checkpoint {self.path} was made with {name} = {settings.get(name)}, and this run "
                    f"has {value}: give the same, or delete the checkpoint to train from the start"
                )
        return state, tensors

    def remove(self) -> None:
        """Delete it: the run has ended and its model is saved."""
        remove(self.path)


def digest(*arrays: Any) -> str:
    """A short name for data, that differs where they do."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(array.tobytes())
    return found.hexdigest()[:16]
