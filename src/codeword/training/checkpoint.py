"""What a run keeps on disk so that it can go on after a kill, as if nothing had happened.

A checkpoint is a model folder, which `AutoEncoder.load` opens like any other, with two more files: the state
of the optimizer and of the random numbers in `training.safetensors`, and where the run stands in
`training.json`. It is replaced as a whole, so that a kill at any moment leaves the one before.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from codeword.base.errors import CodewordError, InputError, ModelError, TrainingError, out_of_memory
from codeword.base.files import Lock, check_free, recover, remove
from codeword.base.text import shortened

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

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: dict[str, Any],
        write: Callable[[Path, dict[str, bytes]], None],
        writes: bool,
    ) -> None:
        self.path, self.settings, self.write, self.writes = Path(path), settings, write, writes
        self.last = time.monotonic()
        self.cost = 0.0
        self.lock = self._locked() if writes else None

    def _locked(self) -> Lock:
        check_free(self.path, overwrite=True)
        try:
            return Lock(self.path)
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
            self.write(self.path, extra)
        except OSError as error:
            raise TrainingError(
                f"the checkpoint {self.path} could not be written ({error.strerror or error}): the one "
                "before is kept; make room, then resume"
            ) from error
        self.last = time.monotonic()
        self.cost = self.last - started

    def load(
        self, like: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """State and tensors of the run that stopped; None if there is no checkpoint.

        Parameters
        ----------
        like : dict of tensors, optional
            What a checkpoint of this run holds: those it shares with the kept one must be alike in shape and
            dtype, and none may be missing but for `OPTIONAL`.

        Raises
        ------
        ModelError
            If it is damaged.
        InputError
            If it was made with other settings; the message names the first that differs.
        """
        if self.writes:
            recover(self.path)
        if not self.path.exists():
            return None
        with self.trusting():
            kept = json.loads((self.path / "training.json").read_text("utf-8"))
            tensors = load_file(self.path / "training.safetensors")
            settings, state = dict(kept["settings"]), dict(kept["state"])
            _check_state(state)
            _check_tensors(tensors, like)
        for name, value in json.loads(json.dumps(self.settings)).items():
            if settings.get(name) != value:
                raise InputError(
                    f"the checkpoint {self.path} was made with {name} = {shortened(settings.get(name))}, and "
                    f"this run has {shortened(value)}: give the same, or delete the checkpoint to train from "
                    "the start"
                )
        return state, tensors

    @contextmanager
    def trusting(self) -> Iterator[None]:
        """Make whatever goes wrong with what was read into a ModelError that says it is damaged."""
        try:
            yield
        except CodewordError:
            raise
        except (
            OSError,
            LookupError,
            TypeError,
            ArithmeticError,
            ValueError,
            RuntimeError,
            SafetensorError,
        ) as error:
            if out_of_memory(error):
                raise
            raise ModelError(
                f"the checkpoint {self.path} is damaged ({shortened(error)}): delete it and train from the "
                "start"
            ) from None

    def remove(self) -> None:
        """Delete it: the run has ended and its model is saved."""
        remove(self.path)


OPTIONAL = ("best.", "totals", "random.cuda")
"""The beginnings of what is not in every checkpoint of a run."""


def _check_state(state: dict[str, Any]) -> None:
    """Raise a TypeError or ValueError that says what of a run's state is not what a run leaves."""
    for name in ("epoch", "batch", "best_epoch"):
        if type(state[name]) is not int or state[name] < 0:
            raise TypeError(f"{name} is {shortened(state[name], 40)!r}")
    if not (state["best_loss"] is None or _is_number(state["best_loss"])):
        raise TypeError(f"best_loss is {shortened(state['best_loss'], 40)!r}")
    if not all(isinstance(name, str) for name in state["names"]):
        raise TypeError("names are not names")
    if len(state["history"]) != state["epoch"]:
        raise ValueError(f"{len(state['history'])} lines of history after {state['epoch']} epochs")
    for row in state["history"]:
        known = [row["epoch"], row["train_loss"], row["seconds"]]
        known += [row["validation_loss"]] if row["validation_loss"] is not None else []
        if not all(map(_is_number, known)):
            raise TypeError("a line of history is not of numbers")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _check_tensors(tensors: dict[str, Tensor], like: Mapping[str, Tensor] | None) -> None:
    """Raise a ValueError that names the first tensor that cannot be of this run."""
    for name, tensor in (like or {}).items():
        found = tensors.get(name)
        if found is None:
            if not name.startswith(OPTIONAL):
                raise ValueError(f"{name} is missing")
        elif found.shape != tensor.shape or found.dtype != tensor.dtype:
            raise ValueError(f"{name} is {found.dtype} of shape {tuple(found.shape)}")
    known, best = ({name for name in each or () if name.startswith("best.")} for each in (like, tensors))
    if like is not None and best and best != known:  # all of them, or none
        raise ValueError(f"{min(best ^ known)} is missing, or of no use")


def digest(*arrays: Any) -> str:
    """A short name for data, that differs where they do."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(array.tobytes())
    return found.hexdigest()[:16]
