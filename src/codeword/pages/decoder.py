"""A decoder of dense layers as a list of steps that a page can run."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.networks import Clip, Skip, Transposed
from codeword.networks.base import ChannelsLast

if TYPE_CHECKING:
    from codeword.model.fitted import FittedModel

__all__ = ["KINDS", "MOST_WEIGHTS", "Program", "Unsupported", "encoded", "program_of"]

MOST_WEIGHTS = 2_000_000
"""Weights of a decoder that runs in a page: more take longer than a frame, and many megabytes."""

KINDS = {"float32": "f4", "float16": "f2"}

TOLERANCE = 0.5 / 255
"""How far what a page decodes may be from Python: half a gray level, for values of the usual size."""

Array = NDArray[np.float32]
Step = dict[str, Any]


def encoded(values: NDArray[Any], kind: str) -> str:
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

    steps: list[Step] = field(default_factory=list)
    weights: Array = field(default_factory=lambda: np.zeros(0, np.float32))

    def run(self, codes: NDArray[Any], precision: str = "float32") -> Array:
        """Decode codes (n, k) to rows (n, d), float32, in scaled units, as the page does."""
        weights = self.weights.astype(KINDS[precision]).astype(np.float32)
        x = torch.from_numpy(np.array(codes, dtype=np.float32))
        return np.asarray(_run(self.steps, x, torch.from_numpy(weights)))

    def packed(self, precision: str = "float32") -> dict[str, Any]:
        """What the page is given: fit for JSON, the weights little-endian in base64."""
        weights = encoded(self.weights, KINDS[precision])
        return {"steps": self.steps, "precision": precision, "weights": weights}

    def agrees(self, codes: NDArray[Any], expected: NDArray[Any], precision: str = "float32") -> bool:
        """Whether these codes (n, k) decode to what is expected (n, d), within half a gray level."""
        expected = np.asarray(expected)
        off = np.abs(self.run(codes, precision) - expected)
        return bool((off <= TOLERANCE * np.maximum(1, np.abs(expected))).all())


def program_of(model: FittedModel, codes: NDArray[Any]) -> Program:
    """Take a model's decoder apart, and make sure that the parts do what the whole does.

    Parameters
    ----------
    model : FittedModel
    codes : array-like of shape (m, k)
        Codes of real rows, on which the two are compared.

    Returns
    -------
    Program

    Raises
    ------
    Unsupported
        If it is large, or has layers that are not known here.
    """
    size = sum(p.numel() for p in model.network.decoder.parameters())
    if size > MOST_WEIGHTS:
        raise Unsupported(f"it has {size:,} weights, and a page runs up to {MOST_WEIGHTS:,}")
    store = _Store()
    steps = _steps(model.network.decoder, store)
    objective = model.objective
    if objective.layout is not None:
        parts = objective.layout
        steps.append(
            {"op": "layout", "numbers": parts.numbers, "flags": parts.flags, "groups": list(parts.groups)}
        )
    elif objective.logits:
        steps.append({"op": "sigmoid"})
    program = Program(steps, np.concatenate(store.parts))
    tried = np.asarray(codes, dtype=np.float32)[:64]
    expected = model.decode(torch.from_numpy(tried.copy())).float().cpu().numpy()
    try:
        same = program.agrees(tried, expected)
    except ValueError:  # of shapes that do not fit each other
        same = False
    if not same:
        raise Unsupported("its objective or its layers do more than the page knows")
    return program


# -- from modules to steps ----------------------------------------------------------------------------------


class _Store:
    """Tensors one after the other; a pair of numbers says where each lies."""

    def __init__(self) -> None:
        self.parts = [np.zeros(0, np.float32)]

    def put(self, tensor: Tensor | None) -> list[int] | None:
        if tensor is None:
            return None
        self.parts.append(tensor.detach().float().cpu().numpy().ravel())
        return [sum(map(len, self.parts[:-1])), len(self.parts[-1])]


_PLAIN: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    Clip: "clip",
}
_NOTHING = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, ChannelsLast)


def _steps(module: nn.Module, store: _Store) -> list[Step]:
    kind = type(module)
    if kind is nn.Sequential:
        return [step for child in module.children() for step in _steps(child, store)]
    if kind in _PLAIN:
        return [{"op": _PLAIN[kind]}]
    # ChannelsLast moves values; where it matters, the comparison with the model finds it out.
    if kind in _NOTHING:
        return []
    if isinstance(module, nn.LeakyReLU):
        return [{"op": "leaky_relu", "slope": module.negative_slope}]
    if isinstance(module, nn.GELU):
        return [{"op": "gelu_tanh" if module.approximate == "tanh" else "gelu"}]
    if isinstance(module, nn.Linear) and kind is nn.Linear:
        return [_linear(module.weight, module.bias, store)]
    if isinstance(module, Transposed):
        weight = module.weight[: module.rows].t() * module.scale
        return [_linear(weight, module.bias, store)]
    if isinstance(module, nn.BatchNorm1d) and module.running_var is not None:
        return [_batch_norm(module, store)]
    if isinstance(module, nn.LayerNorm):
        places = {"weight": store.put(module.weight), "bias": store.put(module.bias)}
        return [{"op": "layer_norm", "epsilon": module.eps, **places}]
    if isinstance(module, Skip):
        gate = 1.0 if module.gate is None else float(module.gate.detach())
        linear, deep = _steps(module.linear, store), _steps(module.deep, store)
        return [{"op": "skip", "gate": gate, "linear": linear, "deep": deep}]
    raise Unsupported(f"it has layers that are not dense ({kind.__name__})")


def _linear(weight: Tensor, bias: Tensor | None, store: _Store) -> Step:
    rows, columns = weight.shape
    return {
        "op": "linear",
        "rows": rows,
        "columns": columns,
        "weight": store.put(weight),
        "bias": store.put(bias),
    }


def _batch_norm(module: nn.BatchNorm1d, store: _Store) -> Step:
    """The running mean and variance make it a number to multiply by, and one to add."""
    assert module.running_mean is not None
    assert module.running_var is not None
    scale = (module.running_var + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * module.weight
    shift = -module.running_mean * scale
    if module.bias is not None:
        shift = shift + module.bias
    return {"op": "affine", "scale": store.put(scale), "shift": store.put(shift)}


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
        op = step["op"]
        if op == "linear":
            x = F.linear(x, at(step["weight"]).view(step["rows"], -1), at(step["bias"]))
        elif op == "affine":
            x = x * at(step["scale"]) + at(step["shift"])
        elif op == "layer_norm":
            x = F.layer_norm(x, x.shape[1:], at(step["weight"]), at(step["bias"]), step["epsilon"])
        elif op == "skip":
            x = _run(step["linear"], x, weights) + step["gate"] * _run(step["deep"], x, weights)
        elif op == "leaky_relu":
            x = F.leaky_relu(x, step["slope"])
        elif op == "layout":  # numbers as they are, flags and categories as probabilities
            numbers, flags, *groups = torch.split(x, [step["numbers"], step["flags"], *step["groups"]], dim=1)
            x = torch.cat([numbers, flags.sigmoid(), *(group.softmax(dim=1) for group in groups)], dim=1)
        else:
            x = _FUNCTIONS[op](x)
    return x
