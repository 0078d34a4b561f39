"""A fitted estimator to a model folder and back."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from codeword.data.columns import Columns
from codeword.data.rows import Rows, read
from codeword.data.scaling import Scaling, Statistics
from codeword.model.card import model_card
from codeword.model.folder import Folder, write_folder
from codeword.model.parameters import from_json, to_json
from codeword.model.plan import check_parameters, choose_device, make_network
from codeword.model.reference import Reference
from codeword.networks.pca import PrincipalComponents
from codeword.training.checkpoint import Checkpoint, digest
from codeword.training.distributed import World
from codeword.training.loop import Plan, seeded

__all__ = ["from_folder", "make_checkpoint", "to_folder"]


def to_folder(ae: Any) -> Folder:
    """A fitted AutoEncoder as a model folder."""
    check_is_fitted(ae)
    names = getattr(ae, "feature_names_in_", None)
    config = {
        "parameters": to_json(ae),
        "data": {
            "n": ae.n_samples_,
            "sample_shape": list(ae.sample_shape_),
            "dtype": ae.dtype_,
            "names": None if names is None else list(names),
        },
        "scaling": ae.scaling_.kind,
        "seed": ae.seed_,
    }
    columns = getattr(ae, "columns_", None)
    if columns is not None:
        config["columns"] = "columns.json"
    tensors = {f"network.{name}": tensor for name, tensor in ae.network_.state_dict().items()}
    tensors["scaling.offset"] = torch.from_numpy(ae.scaling_.offset)
    tensors["scaling.scale"] = torch.from_numpy(ae.scaling_.scale)
    for part in ("mean", "components", "deviations"):
        tensors[f"baseline.{part}"] = getattr(ae.baseline_, part)
    reference = getattr(ae, "reference_", None)  # none yet in the checkpoints of a run
    if reference is not None:
        tensors |= reference.tensors()
    told = None if columns is None else columns.to_json()
    return Folder(config, tensors, ae.history_, model_card(config, ae.history_, columns=told), told)


def from_folder(cls: type, folder: Folder, network: Any, device: str) -> Any:
    """The AutoEncoder that a model folder holds; `network` stands for modules whose code it cannot hold."""
    data, tensors = folder.config["data"], folder.tensors
    ae = from_json(cls, folder.config["parameters"], network=network)
    ae.device = device
    check_parameters(ae)
    ae.sample_shape_ = tuple(data["sample_shape"])
    ae.n_features_in_ = math.prod(ae.sample_shape_)
    ae._n_features_out = ae.n_components
    ae.seed_ = folder.config["seed"]
    ae.n_samples_, ae.dtype_ = data["n"], data["dtype"]
    if data["names"] is not None:
        ae.feature_names_in_ = np.array(data["names"], dtype=object)
    if folder.columns is not None:
        ae.columns_ = Columns.from_json(folder.columns)
        if list(ae.columns_.feature_names_) != data["names"]:
            raise TypeError("columns.json makes other numbers of a row than config.json names")
    offset, scale = (tensors.pop(f"scaling.{part}").numpy() for part in ("offset", "scale"))
    missing = ae._objective().takes_missing
    ae.scaling_ = Scaling(folder.config["scaling"], offset, scale, ae.sample_shape_, missing)
    parts = [tensors.pop(f"baseline.{part}") for part in ("mean", "components", "deviations")]
    _check_parts(ae.sample_shape_, data["names"], offset, scale, *parts)
    ae.baseline_ = PrincipalComponents(ae.scaling_, *parts)
    ae.reference_ = Reference.take(tensors, ae.n_components)
    weights = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
    if network is None:
        _check_weights(ae, weights)
    with seeded(0, torch.device("cpu")):
        ae.network_ = make_network(ae, None)
    ae.network_.load_state_dict(weights)
    ae.network_.to(choose_device(ae.device)).eval()
    ae.history_ = folder.history
    return ae


def _check_weights(ae: Any, weights: dict[str, Tensor]) -> None:
    """Raise a TypeError where the parameters ask for other weights than there are, before they get room."""
    most = sum(tensor.numel() for tensor in weights.values())
    sizes = ae.network.get_params(deep=False) if hasattr(ae.network, "get_params") else {}
    for name, value in {"n_components": ae.n_components, **sizes}.items():
        if isinstance(value, int) and value > most:
            raise TypeError(f"{name} is {value}, and there are {most} weights")
    with torch.device("meta"):  # which gives shapes, and takes no memory
        try:
            network = make_network(ae, None)
        except RuntimeError:  # an objective that makes numbers of its own; they are few
            network = make_network(ae, None, bare=True)
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    for name, shape in wanted.items():
        if name not in weights or weights[name].shape != shape:
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


def make_checkpoint(
    ae: Any, path: str | os.PathLike[str] | None, plan: Plan, x: Rows, seen: Statistics, world: World
) -> Checkpoint | None:
    """The checkpoint of a run, where a path is given, with what has to be the same for it to go on."""
    if path is None:
        return None
    not_compared = ("device", "verbose", "random_state")
    settings = {k: v for k, v in to_json(ae).items() if k not in not_compared}
    settings |= {"seed": plan.seed, "processes": world.size, "rows": seen.n}
    settings |= {
        "sample shape": list(ae.sample_shape_),
        "the data's digest": digest(seen.mean, seen.variance, read(x, 0, 64), read(x, len(x) - 64, len(x))),
        "the modules' digest": digest(np.array(str(ae.network_))),
    }

    def write(folder: Path, extra: dict[str, bytes]) -> None:
        write_folder(folder, to_folder(ae), overwrite=True, extra=extra)

    return Checkpoint(path, settings, write, world.first)
