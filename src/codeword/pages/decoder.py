"""A decoder of dense layers as a list of steps that a page can run."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from codeword.networks import Clip, Skip, Transposed
from codeword.networks.base import ChannelsLast, Reshape

if TYPE_CHECKING:
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["MOST_WEIGHTS", "PRECISIONS", "Program", "Unsupported", "program_of"]

MOST_WEIGHTS = 2_000_000
"""A page that runs more takes longer than a frame, and many megabytes."""

PRECISIONS: dict[str, type[np.floating[Any]]] = {"float32": np.float32, "float16": np.float16}

TOLERANCE = 0.5 / 255
"""Of what the page decodes, against Python: half a gray level, of values of the usual size."""

Array = NDArray[np.float32]
Step = dict[str, Any]


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
        weights = self.weights.astype(PRECISIONS[precision]).astype(np.float32)
        with np.errstate(over="ignore"):  # a sigmoid's exponential may be infinite
            return _run(self.steps, np.asarray(codes, dtype=np.float32), weights)

    def packed(self, precision: str = "float32") -> dict[str, Any]:
        """What the page is given: fit for JSON, the weights little-endian in base64."""
        data = self.weights.astype(np.dtype(PRECISIONS[precision]).newbyteorder("<"))
        return {
            "steps": self.steps,
            "precision": precision,
            "weights": base64.b64encode(data.tobytes()).decode(),
        }

    def agrees(self, codes: NDArray[Any], expected: NDArray[Any], precision: str = "float32") -> bool:
        """Whether these codes (n, k) decode to what is expected (n, d), within half a gray level."""
        expected = np.asarray(expected)
        off = np.abs(self.run(codes, precision) - expected)
        return bool((off <= TOLERANCE * np.maximum(1, np.abs(expected))).all())


def program_of(ae: AutoEncoder, codes: NDArray[Any]) -> Program:
    """Take a model's decoder apart, and make sure that the parts do what the whole does.

    Parameters
    ----------
    ae : AutoEncoder
        Fitted.
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
    size = sum(p.numel() for p in ae.model_.network.decoder.parameters())
    if size > MOST_WEIGHTS:
        raise Unsupported(f"it has {size:,} weights, and a page runs up to {MOST_WEIGHTS:,}")
    store = _Store()
    steps = _steps(ae.model_.network.decoder, store)
    objective = ae.model_.objective
    if objective.layout is not None:
        parts = objective.layout
        steps.append(
            {"op": "layout", "numbers": parts.numbers, "flags": parts.flags, "groups": list(parts.groups)}
        )
    elif objective.logits:
        steps.append({"op": "sigmoid"})
    program = Program(steps, np.concatenate([np.zeros(0, np.float32), *store.parts]))
    tried = np.asarray(codes, dtype=np.float32)[:64]
    expected = ae.model_.decode(torch.from_numpy(tried.copy())).float().cpu().numpy()
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
        self.parts: list[Array] = []
        self.length = 0

    def put(self, tensor: torch.Tensor | None) -> list[int] | None:
        if tensor is None:
            return None
        values = tensor.detach().float().cpu().numpy().ravel()
        place = [self.length, len(values)]
        self.parts.append(values)
        self.length += len(values)
        return place


_PLAIN: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    Clip: "clip",
}
_NOTHING = (nn.Identity, nn.Flatten, nn.Dropout, ChannelsLast)


def _steps(module: nn.Module, store: _Store) -> list[Step]:
    kind = type(module)
    if kind is nn.Sequential:
        return [step for child in module.children() for step in _steps(child, store)]
    if kind in _PLAIN:
        return [{"op": _PLAIN[kind]}]
    # ChannelsLast moves values; where it matters, the comparison with the model finds it out.
    if kind in _NOTHING or (isinstance(module, Reshape) and kind is Reshape):
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


def _linear(weight: torch.Tensor, bias: torch.Tensor | None, store: _Store) -> Step:
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


# -- the steps in numpy: what decoder.js does, line by line --------------------------------------------------


def _erf(x: Array) -> Array:
    """Abramowitz & Stegun (1964), 7.1.26: exact to 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    value: Array = np.sign(x) * (1 - series * np.exp(-x * x))
    return value


_FUNCTIONS: dict[str, Any] = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / np.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "clip": lambda x: np.clip(x, 0, 1),
}


def _layout(step: Step, x: Array) -> Array:
    """Numbers as they are, flags and categories as probabilities: see `codeword.objectives.mixed`."""
    y = x.copy()
    start = step["numbers"] + step["flags"]
    y[:, step["numbers"] : start] = _FUNCTIONS["sigmoid"](x[:, step["numbers"] : start])
    for size in step["groups"]:
        part = x[:, start : start + size]
        shares = np.exp(part - part.max(axis=1, keepdims=True))
        y[:, start : start + size] = shares / shares.sum(axis=1, keepdims=True)
        start += size
    return y


def _run(steps: list[Step], x: Array, weights: Array) -> Array:
    def at(place: list[int] | None, otherwise: float) -> Any:
        return otherwise if place is None else weights[place[0] : place[0] + place[1]]

    for step in steps:
        op = step["op"]
        if op == "linear":
            weight = at(step["weight"], 0).reshape(step["rows"], step["columns"])
            x = x @ weight.T + at(step["bias"], 0)
        elif op == "affine":
            x = x * at(step["scale"], 1) + at(step["shift"], 0)
        elif op == "layer_norm":
            centerd = x - x.mean(axis=1, keepdims=True)
            spread = np.sqrt((centerd**2).mean(axis=1, keepdims=True) + step["epsilon"])
            x = centerd / spread * at(step["weight"], 1) + at(step["bias"], 0)
        elif op == "skip":
            x = _run(step["linear"], x, weights) + step["gate"] * _run(step["deep"], x, weights)
        elif op == "leaky_relu":
            x = np.where(x < 0, step["slope"] * x, x)
        elif op == "layout":
            x = _layout(step, x)
        else:
            x = _FUNCTIONS[op](x)
    return x.astype(np.float32)
