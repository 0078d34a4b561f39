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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor

from codeword.base.errors import ModelError, ParameterError, out_of_memory
from codeword.base.files import MODEL_FILES, check_own, writing
from codeword.base.text import shortened
from codeword.data.columns import Columns
from codeword.data.rows import Rows, read
from codeword.data.scaling import Moments, Scaling
from codeword.model.card import model_card
from codeword.model.fitted import FittedModel, TrainingCodes
from codeword.model.parameters import to_json
from codeword.model.plan import make_network, network_spec
from codeword.networks import Spec
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import Objective, resolve_objective
from codeword.training.checkpoint import Checkpoint, digest
from codeword.training.distributed import ProcessGroup
from codeword.training.loop import Plan, seeded

__all__ = [
    "FORMAT",
    "Folder",
    "fitting_together",
    "from_folder",
    "make_checkpoint",
    "read_folder",
    "to_folder",
    "write_folder",
]

FORMAT = 1
"""Raised when an older codeword could no longer read what is written."""

CHECKPOINT_FILES = ("training.safetensors", "training.json")

CONFIG: dict[str, type] = {"format": int, "parameters": dict, "data": dict, "scaling": str, "seed": int}
BASELINE_PARTS = ("mean", "components", "deviations")
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

    @property
    def kept(self) -> tuple[int, int]:
        """How many rows trained on, and how many held out, there are codes of."""
        trained, held = (self.tensors.get(f"reference.{part}") for part in ("errors", "held_errors"))
        return 0 if trained is None else len(trained), 0 if held is None else len(held)


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


# -- a fitted model to a folder and back --------------------------------------------------------------------


def to_folder(model: FittedModel) -> Folder:
    """A fitted model as a model folder."""
    config = {
        # How a fit was watched is no matter of the model's.
        "parameters": to_json({**model.parameters, "verbose": False}),
        "data": {
            "n": model.n_samples,
            "sample_shape": list(model.sample_shape),
            "dtype": model.dtype,
            "names": None if model.names is None else list(model.names),
        },
        "scaling": model.scaling.kind,
        "seed": model.seed,
    }
    if model.columns is not None:
        config["columns"] = COLUMNS
    tensors = {f"network.{name}": tensor for name, tensor in model.network.state_dict().items()}
    tensors["scaling.offset"] = torch.from_numpy(model.scaling.offset)
    tensors["scaling.scale"] = torch.from_numpy(model.scaling.scale)
    if model.scaling.limits is not None:
        tensors["scaling.limits"] = torch.tensor(model.scaling.limits, dtype=torch.float64)
    for part in BASELINE_PARTS:
        tensors[f"baseline.{part}"] = getattr(model.baseline, part)
    if model.training_codes is not None:  # none yet in the checkpoints of a run
        tensors |= model.training_codes.tensors()
    columns = None if model.columns is None else model.columns.to_json()
    return Folder(config, tensors, model.history, model_card(config, model.history, columns=columns), columns)


def from_folder(folder: Folder, parameters: dict[str, Any]) -> FittedModel:
    """The fitted model that a folder holds, on the CPU.

    Parameters
    ----------
    folder : Folder
        Its tensors are taken out.
    parameters : dict
        The estimator's, made of the folder's, with torch modules in place of those whose code is not there.
    """
    data, tensors = folder.config["data"], folder.tensors
    shape, names = tuple(data["sample_shape"]), data["names"]
    columns = None if folder.columns is None else Columns.from_json(folder.columns)
    if columns is not None and list(columns.feature_names_) != names:
        raise TypeError("columns.json makes other numbers of a row than config.json names")
    objective = resolve_objective(parameters["objective"], None if columns is None else columns.layout)
    offset, scale = (tensors.pop(f"scaling.{part}").numpy() for part in ("offset", "scale"))
    limits = None
    if "scaling.limits" in tensors:  # there are none in folders of earlier versions
        found = tensors.pop("scaling.limits")
        if found.shape != (2,):
            raise TypeError("scaling.limits has a shape that it cannot have")
        limits = float(found[0]), float(found[1])
    scaling = Scaling(folder.config["scaling"], offset, scale, shape, objective.takes_missing, limits)
    parts = [tensors.pop(f"baseline.{part}") for part in BASELINE_PARTS]
    _check_parts(shape, names, offset, scale, *parts)
    k = parameters["n_components"]
    codes = TrainingCodes.take(tensors, k)
    weights = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
    spec = network_spec(k, objective, scaling, shape)
    if not isinstance(parameters["network"], tuple):
        _check_weights(parameters, objective, spec, weights)
    with seeded(0, torch.device("cpu")):
        network = make_network(parameters["network"], objective, spec)
    network.load_state_dict(weights)
    return FittedModel(
        parameters,
        network.eval(),
        objective,
        scaling,
        PrincipalComponents(scaling, *parts),
        shape,
        data["dtype"],
        data["n"],
        folder.config["seed"],
        folder.history,
        None if names is None else tuple(names),
        columns,
        codes,
    )


@contextmanager
def fitting_together(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what goes wrong as parts are put together into a ModelError, unless memory has run out."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, RuntimeError, ParameterError) as error:
        if out_of_memory(error):
            raise
        raise ModelError(f"{path}: the parts of the model do not fit together ({shortened(error)})") from None


def make_checkpoint(
    model: FittedModel,
    path: str | os.PathLike[str] | None,
    plan: Plan,
    x: Rows,
    seen: Moments,
    group: ProcessGroup,
) -> Checkpoint | None:
    """The checkpoint of a run, where a path is given, with what has to be the same for it to go on."""
    if path is None:
        return None
    not_compared = ("device", "verbose", "random_state")
    settings = {k: v for k, v in to_json(model.parameters).items() if k not in not_compared}
    settings |= {"seed": plan.seed, "processes": group.size, "rows": len(x)}
    settings |= {
        "sample shape": list(model.sample_shape),
        "the data's digest": digest(seen.mean, seen.variance, read(x, 0, 64), read(x, len(x) - 64, len(x))),
        "the modules' digest": digest(np.array(str(model.network))),
    }

    def write(folder: Path, extra: dict[str, bytes]) -> None:
        write_folder(folder, to_folder(model), overwrite=True, extra=extra)

    return Checkpoint(path, settings, write, group.is_main)


def _check_weights(
    parameters: dict[str, Any], objective: Objective, spec: Spec, weights: dict[str, Tensor]
) -> None:
    """Raise a TypeError where the parameters ask for other weights than there are, before they get room."""
    most = sum(tensor.numel() for tensor in weights.values())
    network = parameters["network"]
    sizes = network.get_params(deep=False) if hasattr(network, "get_params") else {}
    for name, value in {"n_components": spec.n_components, **sizes}.items():
        if isinstance(value, int) and value > most:
            raise TypeError(f"{name} is {value}, and there are {most} weights")
    with torch.device("meta"):  # which gives shapes, and takes no memory
        try:
            made = make_network(network, objective, spec)
        except RuntimeError:  # an objective that makes numbers of its own; they are few
            made = make_network(network, objective, spec, bare=True)
    for name, tensor in made.state_dict().items():
        if name not in weights or weights[name].shape != tensor.shape:
            raise TypeError(f"{name} has another shape than the parameters ask for")


def _check_parts(
    sample_shape: tuple[Any, ...],
    names: Any,
    offset: np.ndarray[Any, Any],
    scale: np.ndarray[Any, Any],
    mean: Tensor,
    components: Tensor,
    deviations: Tensor,
) -> None:
    """Raise a TypeError that names the first part of a loaded model that does not fit the others."""
    d = math.prod(sample_shape)
    named = isinstance(names, list) and len(names) == d and all(isinstance(name, str) for name in names)
    sound = {
        "sample_shape": bool(sample_shape) and all(type(size) is int and size > 0 for size in sample_shape),
        "names": names is None or named,
        "scaling.offset": offset.shape in ((1,), (d,)),
        "scaling.scale": scale.shape == offset.shape and bool((scale > 0).all()),
        "baseline.mean": mean.shape == (d,),
        "baseline.components": components.shape == (len(deviations), d),
        "baseline.deviations": deviations.ndim == 1,
    }
    for name, good in sound.items():
        if not good:
            raise TypeError(f"{name} has a shape or a value that it cannot have")


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
