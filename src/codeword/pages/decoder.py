"""A decoder of dense layers as a list of steps that a page can run."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.model.fitted import FittedModel
from codeword.networks import Clip, Skip, Transposed
from codeword.networks.base import ChannelsLast

MOST_WEIGHTS = 2_000_000
"""Weights of a decoder that runs in a page: more take longer than a frame, and many megabytes."""

TOLERANCE = 0.5 / 255
"""How far what a page decodes may be from Python: half a gray level, for values of the usual size."""

Array = NDArray[np.float32]
Step = dict[str, Any]


def encoded(values: ArrayLike, kind: str) -> str:
    """Numbers as little-endian bytes of that type, in base64."""
    return base64.b64encode(np.asarray(values).astype(np.dtype(kind).newbyteorder("<")).tobytes()).decode()


class Unsupported(Exception):
    """Why a decoder cannot run in a page, in words to be read there."""


@dataclass
class Program:
    """A decoder as steps, the weights of which are parts of one array.

    Parameters
    ----------
    steps : list of dict
        Each with its operation, `op`, and numbers; weights are pairs of a start and a length.
    weights : ndarray of shape (m,), float32
    """

    steps: list[Step]
    weights: Array

    def run(self, codes: ArrayLike, precision: str = "float32") -> Array:
        """Decode codes (n, k) to rows (n, d), float32, in scaled units, as the page does."""
        weights = self.weights.astype(precision).astype(np.float32)
        x = torch.from_numpy(np.array(codes, dtype=np.float32))
        return np.asarray(_run(self.steps, x, torch.from_numpy(weights)))

    def packed(self, precision: str = "float32") -> dict[str, Any]:
        """What the page is given: fit for JSON, the weights little-endian in base64."""
        return {"steps": self.steps, "precision": precision, "weights": encoded(self.weights, precision)}

    def agrees(self, codes: ArrayLike, expected: Array, precision: str = "float32") -> bool:
        """Whether these codes (n, k) decode to what is expected (n, d), within half a gray level."""
        off = np.abs(self.run(codes, precision) - expected)
        return bool((off <= TOLERANCE * np.maximum(1, np.abs(expected))).all())


def program_of(model: FittedModel, codes: ArrayLike) -> Program:
    """Take a model's decoder apart, and make sure on `codes` (m, k) that the parts do what the whole does.

    `Unsupported` is raised if it is large, or has layers that are not known here.
    """
    decoder, objective = model.network.decoder, model.objective
    size = sum(p.numel() for p in decoder.parameters())
    if size > MOST_WEIGHTS:
        raise Unsupported(f"it has {size:,} weights, and a page runs up to {MOST_WEIGHTS:,}")
    weights = [np.zeros(0, np.float32)]
    steps = _steps(decoder, weights)
    if objective.layout is not None:
        parts = objective.layout
        steps.append({"op": "layout", "numbers": parts.numbers, "flags": parts.flags, "groups": parts.groups})
    elif objective.logits:
        steps.append({"op": "sigmoid"})
    program = Program(steps, np.concatenate(weights))
    tried = np.array(codes, dtype=np.float32)[:64]
    expected = model.decode(torch.from_numpy(tried)).float().cpu().numpy()
    with suppress(ValueError, RuntimeError):  # of shapes that do not fit each other
        if program.agrees(tried, expected):
            return program
    raise Unsupported("its objective or its layers do more than the page knows")


# -- from modules to steps ----------------------------------------------------------------------------------

_PLAIN = (nn.ReLU, nn.SiLU, nn.Tanh, nn.Sigmoid, Clip)
# ChannelsLast and Unflatten move values; where it matters, the comparison with the model finds it out.
_NOTHING = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, ChannelsLast)


def _steps(module: nn.Module, weights: list[Array]) -> list[Step]:
    """The steps of a module, whose tensors are appended to `weights`."""

    def put(tensor: Tensor | None) -> list[int] | None:
        """Where a tensor lies among all weights, one after the other: its start and its length."""
        if tensor is None:
            return None
        start = sum(map(len, weights))
        weights.append(tensor.detach().float().cpu().numpy().ravel())
        return [start, len(weights[-1])]

    def linear(weight: Tensor, bias: Tensor | None) -> list[Step]:
        rows, columns = weight.shape
        places = {"weight": put(weight), "bias": put(bias)}
        return [{"op": "linear", "rows": rows, "columns": columns, **places}]

    kind = type(module)
    if kind is nn.Sequential:
        return [step for child in module.children() for step in _steps(child, weights)]
    if kind in _PLAIN:
        return [{"op": kind.__name__.lower()}]
    if kind in _NOTHING:
        return []
    match module:
        case nn.LeakyReLU():
            return [{"op": "leaky_relu", "slope": module.negative_slope}]
        case nn.GELU():
            return [{"op": "gelu_tanh" if module.approximate == "tanh" else "gelu"}]
        case nn.Linear() if kind is nn.Linear:
            return linear(module.weight, module.bias)
        case Transposed():
            return linear(module.weight[: module.rows].t() * module.scale, module.bias)
        case nn.BatchNorm1d() if module.running_var is not None:
            # The running mean and variance make it a number to multiply by, and one to add.
            known = module.state_dict()
            scale = (known["running_var"] + module.eps).rsqrt() * known.get("weight", torch.tensor(1.0))
            shift = known.get("bias", torch.tensor(0.0)) - known["running_mean"] * scale
            return [{"op": "affine", "scale": put(scale), "shift": put(shift)}]
        case nn.LayerNorm():
            places = {"weight": put(module.weight), "bias": put(module.bias)}
            return [{"op": "layer_norm", "epsilon": module.eps, **places}]
        case Skip():
            gate = 1.0 if module.gate is None else float(module.gate.detach())
            parts = {"linear": _steps(module.linear, weights), "deep": _steps(module.deep, weights)}
            return [{"op": "skip", "gate": gate, **parts}]
    raise Unsupported(f"it has layers that are not dense ({kind.__name__})")


# -- the steps in torch: what decoder.js does, line by line --------------------------------------------------

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "clip": lambda x: x.clamp(0, 1),
}


def _run(steps: list[Step], x: Tensor, weights: Tensor) -> Tensor:
    def at(place: list[int] | None) -> Any:
        return None if place is None else weights[place[0] : place[0] + place[1]]

    for step in steps:
        match step["op"]:
            case "linear":
                x = F.linear(x, at(step["weight"]).view(step["rows"], -1), at(step["bias"]))
            case "affine":
                x = x * at(step["scale"]) + at(step["shift"])
            case "layer_norm":
                x = F.layer_norm(x, x.shape[1:], at(step["weight"]), at(step["bias"]), step["epsilon"])
            case "skip":
                x = _run(step["linear"], x, weights) + step["gate"] * _run(step["deep"], x, weights)
            case "leaky_relu":
                x = F.leaky_relu(x, step["slope"])
            case "layout":  # numbers as they are, flags and categories as probabilities
                sizes = [step["numbers"], step["flags"], *step["groups"]]
                numbers, flags, *groups = torch.split(x, sizes, dim=1)
                shares = [group.softmax(dim=1) for group in groups]
                x = torch.cat([numbers, flags.sigmoid(), *shares], dim=1)
            case plain:
                x = _FUNCTIONS[plain](x)
    return x
