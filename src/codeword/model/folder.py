"""A model on disk: JSON and safetensors, nothing that runs when it is opened.

::

    digits.ae/
      config.json          parameters, library version, the shape and names of the data, the scaling
      weights.safetensors  every tensor; codes and errors of some rows trained on, and of rows held out
      history.jsonl        one line an epoch
      README.md            what it is, in words and metrics
      columns.json         of a mixed table: its columns, and what makes numbers of them
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save
from torch import Tensor

from codeword.base.constraints import whole
from codeword.base.errors import ModelError
from codeword.base.files import MODEL_FILES, check_own, writing
from codeword.base.text import shortened
from codeword.data.columns import Columns
from codeword.data.rows import Rows, read
from codeword.data.scaling import Moments, Scaling
from codeword.model.card import model_card
from codeword.model.fitted import FittedModel, TrainingCodes
from codeword.model.parameters import check_keys, to_json
from codeword.model.plan import make_network, network_spec
from codeword.networks import Spec
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import Objective, resolve_objective
from codeword.training.checkpoint import Checkpoint, digest
from codeword.training.distributed import ProcessGroup
from codeword.training.loop import Plan, seeded

FORMAT = 1
"""Raised when an older codeword could no longer read what is written."""

CHECKPOINT_FILES = ("training.safetensors", "training.json")

COLUMNS = "columns.json"
CONFIG: dict[str, type] = {"format": int, "parameters": dict, "data": dict, "scaling": str, "seed": int}
DATA: dict[str, type] = {"n": int, "sample_shape": list, "dtype": str, "names": object}
"""What config.json holds, and of what type."""

T = TypeVar("T")


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
    extra: Mapping[str, bytes] | None = None,
) -> None:
    """Write a model folder, whole or not at all; `extra` holds further files by name.

    Raises InputError if `path` exists and `overwrite` is false.
    """
    if overwrite:
        check_own(path, (*MODEL_FILES, *CHECKPOINT_FILES), "a model folder")
    texts = {
        "config.json": json.dumps({"format": FORMAT, **folder.config}, indent=2) + "\n",
        "history.jsonl": "".join(json.dumps(row) + "\n" for row in folder.history),
        "README.md": folder.card,
    }
    if folder.columns is not None:
        texts[COLUMNS] = json.dumps(folder.columns, indent=1) + "\n"
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in folder.tensors.items()}
    files = {name: text.encode("utf-8") for name, text in texts.items()}
    with writing(path, overwrite=overwrite) as new:
        new.mkdir()
        for name, content in {**files, "weights.safetensors": save(tensors), **(extra or {})}.items():
            (new / name).write_bytes(content)


def read_folder(path: str | os.PathLike[str]) -> Folder:
    """Read a model folder.

    Raises ModelError if there is none, or a file of it is missing, cut, damaged, or of a later format.
    """
    path = Path(path)
    if not path.exists():
        raise ModelError(f"{path}: there is no model folder here; `codeword train` makes one")
    if not path.is_dir():
        raise ModelError(
            f"{path} is a file; a model is a folder with config.json and weights.safetensors in it"
        )
    file = path / "config.json"
    config = _read(file, _json)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise ModelError(f"{file}: the format is {found!r}, and this codeword reads {FORMAT}; upgrade it")
    mixed = "columns" in config
    _check_types(file, config, CONFIG | ({"columns": str} if mixed else {}))
    _check_types(file, config["data"], DATA)
    file = path / "weights.safetensors"
    tensors = _read(file, _tensors)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ModelError(f"{file}: {name} holds values that are not finite; train or copy it again")
    file = path / "history.jsonl"
    history = _read(file, lambda path: [json.loads(line) for line in path.read_bytes().splitlines()])
    for row in history:
        loss = row.get("train_loss") if isinstance(row, dict) and "epoch" in row else None
        if not isinstance(loss, (int, float)) or not abs(loss) < math.inf:
            raise ModelError(f"{file}: a line lacks 'epoch' or 'train_loss'; train or copy the model again")
    return Folder(config, tensors, history, columns=_read(path / COLUMNS, _json) if mixed else None)


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _tensors(path: Path) -> dict[str, Tensor]:
    """Tensors mapped from their file, not held a second time as bytes."""
    # A name that is not UTF-8, which Python writes with surrogates, is none to safetensors.
    odd = any("\ud800" <= letter <= "\udfff" for letter in str(path))
    return load(path.read_bytes()) if odd else load_file(path)


def _read(path: Path, parse: Callable[[Path], T]) -> T:
    """What a file of a model folder holds."""
    try:
        return parse(path)
    except FileNotFoundError:
        raise ModelError(
            f"{path} is missing: {path.parent} is not a model folder, or not a whole one"
        ) from None
    except (SafetensorError, OSError, ValueError, LookupError, RecursionError) as error:
        reason = shortened(str(error) or type(error).__name__)
        raise ModelError(
            f"{path} is damaged or cut short ({reason}); train or copy the model again"
        ) from None


def _check_types(path: Path, found: dict[str, Any], expected: dict[str, type]) -> None:
    check_keys(found, expected, path)
    for key, kind in expected.items():
        if not isinstance(found[key], kind):
            raise ModelError(f"{path}: {key!r} must be of type {kind.__name__}. Got {found[key]!r} instead.")


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
    columns = None
    if model.columns is not None:
        config["columns"], columns = COLUMNS, model.columns.to_json()
    scaling, baseline, codes = model.scaling, model.baseline, model.training_codes
    tensors = {f"network.{name}": tensor for name, tensor in model.network.state_dict().items()}
    tensors["scaling.offset"] = torch.from_numpy(scaling.offset)
    tensors["scaling.scale"] = torch.from_numpy(scaling.scale)
    if scaling.limits is not None:
        tensors["scaling.limits"] = torch.tensor(scaling.limits, dtype=torch.float64)
    tensors["baseline.mean"] = baseline.mean
    tensors["baseline.components"] = baseline.components
    tensors["baseline.deviations"] = baseline.deviations
    if codes is not None:  # none yet in the checkpoints of a run
        tensors |= {f"reference.{name}": torch.from_numpy(values) for name, values in vars(codes).items()}
    return Folder(config, tensors, model.history, model_card(config, model.history, columns=columns), columns)


def from_folder(folder: Folder, parameters: dict[str, Any]) -> FittedModel:
    """The fitted model that a folder holds, on the CPU.

    Parameters
    ----------
    folder : Folder
    parameters : dict
        The estimator's, made of the folder's, with torch modules in place of those whose code is not there.

    Raises LookupError, TypeError, RuntimeError and others if its parts do not fit together.
    """
    data, k = folder.config["data"], parameters["n_components"]
    shape, names = tuple(data["sample_shape"]), data["names"]
    _check_parts(shape, names, k, folder.tensors)
    columns = None if folder.columns is None else Columns.from_json(folder.columns)
    if columns is not None and list(columns.feature_names_) != names:
        raise TypeError("columns.json makes other numbers of a row than config.json names")
    objective = resolve_objective(parameters["objective"], None if columns is None else columns.layout)
    parts: dict[str, dict[str, Any]] = {"network": {}, "scaling": {}, "baseline": {}, "reference": {}}
    for name, tensor in folder.tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor if part in ("network", "baseline") else tensor.numpy()
    if "limits" in parts["scaling"]:  # there are none in folders of earlier versions
        low, high = parts["scaling"]["limits"].tolist()
        parts["scaling"]["limits"] = low, high
    scaling = Scaling(
        folder.config["scaling"], sample_shape=shape, missing=objective.takes_missing, **parts["scaling"]
    )
    spec = network_spec(k, objective, scaling, shape)
    if not isinstance(parameters["network"], tuple):
        _check_weights(parameters["network"], objective, spec, parts["network"])
    with seeded(0, torch.device("cpu")):
        network = make_network(parameters["network"], objective, spec)
    network.load_state_dict(parts["network"])
    return FittedModel(
        parameters,
        network.eval(),
        objective,
        scaling,
        PrincipalComponents(scaling, **parts["baseline"]),
        shape,
        data["dtype"],
        data["n"],
        folder.config["seed"],
        folder.history,
        None if names is None else tuple(names),
        columns,
        TrainingCodes(**parts["reference"]) if parts["reference"] else None,
    )


def _check_parts(shape: tuple[Any, ...], names: Any, k: int, tensors: Mapping[str, Tensor]) -> None:
    """Raise a TypeError that names the first part of a model that does not fit the others."""
    if not all(map(whole, shape)):
        raise TypeError(f"sample_shape is {shape}")
    d = math.prod(shape)
    offset, scale = tensors["scaling.offset"], tensors["scaling.scale"]
    named = isinstance(names, list) and len(names) == d and all(isinstance(name, str) for name in names)

    def matrix(name: str, of: str, width: int) -> bool:
        """Whether it has a row for each value of a vector."""
        rows, values = tensors[name], tensors[of]
        floats = rows.dtype == values.dtype == torch.float32
        return floats and values.ndim == 1 and rows.shape == (len(values), width)

    sound = {
        "sample_shape": bool(shape) and all(type(size) is int and size > 0 for size in shape),
        "names": names is None or named,
        "scaling.offset": offset.shape in ((1,), (d,)),
        "scaling.scale": scale.shape == offset.shape and bool((scale > 0).all()),
        "scaling.limits": "scaling.limits" not in tensors or tensors["scaling.limits"].shape == (2,),
        "baseline.mean": tensors["baseline.mean"].shape == (d,),
        "baseline.components": matrix("baseline.components", "baseline.deviations", d),
    }
    if any(name.startswith("reference.") for name in tensors):
        sound["reference.codes"] = matrix("reference.codes", "reference.errors", k)
        sound["reference.held_codes"] = matrix("reference.held_codes", "reference.held_errors", k)
    for name, good in sound.items():
        if not good:
            raise TypeError(f"{name} has a shape or a value that it cannot have")


def _check_weights(network: Any, objective: Objective, spec: Spec, weights: Mapping[str, Tensor]) -> None:
    """Raise a TypeError where the parameters ask for other weights than there are, before they get room."""
    most = sum(tensor.numel() for tensor in weights.values())
    sizes = network.get_params(deep=False) if hasattr(network, "get_params") else {}
    for name, value in {"n_components": spec.n_components, **sizes}.items():
        if isinstance(value, int) and value > most:
            raise TypeError(f"{name} is {value}, and there are {most} weights")
    with torch.device("meta"):  # which gives shapes, and takes no memory
        made = make_network(network, objective, spec)
    for name, tensor in made.state_dict().items():
        if name not in weights or weights[name].shape != tensor.shape:
            raise TypeError(f"{name} has another shape than the parameters ask for")


# -- the checkpoint of a run --------------------------------------------------------------------------------


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

    return Checkpoint(Path(path), settings, write, group.is_main)
