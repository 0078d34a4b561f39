"""What all networks share: the two maps, what they have to fit, and where training begins."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.base.errors import check_parameter

if TYPE_CHECKING:
    from codeword.networks.pca import PrincipalComponents

__all__ = [
    "ACTIVATIONS",
    "Architecture",
    "ChannelsFirst",
    "ChannelsLast",
    "Clip",
    "Configurable",
    "Network",
    "Reshape",
    "Skip",
    "Spec",
    "Transposed",
    "close",
    "code_size",
    "linear_maps",
    "real",
    "start_linear",
    "whole",
    "widths",
]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


class Configurable(BaseEstimator):  # type: ignore[misc]
    """Parameters stored as given, so that `clone` and `set_params` reach them; checked when they are used."""

    def must(self, name: str, good: bool, what: str) -> None:
        """Raise a ParameterError that says what the parameter `name` has to be, unless it is `good`."""
        check_parameter(self, name, good, what)


def whole(value: object, least: int = 1) -> bool:
    """Whether `value` is an integer, and no less than `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def real(value: object) -> bool:
    """Whether `value` is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def widths(value: object) -> bool:
    """Whether `value` is a sequence of positive integers."""
    return isinstance(value, (list, tuple)) and all(whole(v) for v in value)


class Network(nn.Module):
    """An encoder (n, d) → (n, width), a decoder (n, k) → (n, d), and what the objective adds of its own."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, extra: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.extra = nn.Identity() if extra is None else extra


@dataclass(frozen=True)
class Spec:
    """What a network has to fit.

    Parameters
    ----------
    sample_shape : tuple of int
        The shape of one sample in raw units; its product is d.
    n_components : int
        k, the numbers in a code.
    width : int
        How many numbers the encoder puts out; more than k where the objective wants more than the code.
    bounded : bool
        Scaled values lie in [0, 1].
    logits : bool, default=False
        The objective applies the sigmoid to what the decoder puts out, so the decoder ends without one.
    """

    sample_shape: tuple[int, ...]
    n_components: int
    width: int
    bounded: bool
    logits: bool = False

    @property
    def d(self) -> int:
        """The number of values in a sample."""
        return math.prod(self.sample_shape)

    @property
    def closed(self) -> bool:
        """Whether the decoder itself has to keep its outputs in [0, 1]."""
        return self.bounded and not self.logits


class Architecture(Configurable):
    """Base of the architectures: `build` makes the two maps once the shape of a sample is known."""

    def build(self, spec: Spec) -> tuple[nn.Module, nn.Module]:
        """Make the encoder (n, d) → (n, width) and the decoder (n, k) → (n, d).

        Raises
        ------
        ParameterError
            If a parameter has a value it cannot have, or samples are not of a shape that it takes.
        """
        raise NotImplementedError

    def init_weights(self, network: Network, baseline: PrincipalComponents) -> None:
        """Bring the weights of a new network to where training should begin, given the data's PCA."""
        start_linear(network, baseline)

    def _check_activation(self) -> None:
        names = ", ".join(ACTIVATIONS)
        self.must("activation", self.activation in ACTIVATIONS, f"one of {names}")


class Skip(nn.Module):
    """A linear map beside a deeper one: y = linear(x) + deep(x).

    `gated` multiplies the deep one by a learned number, for a chain whose last layer cannot start at zero.
    """

    def __init__(self, linear: nn.Module, deep: nn.Sequential, *, gated: bool = False) -> None:
        super().__init__()
        self.linear = linear
        self.deep = deep
        self.gate = nn.Parameter(torch.ones(())) if gated else None

    def forward(self, x: Tensor) -> Tensor:
        """The sum of the two maps."""
        deep: Tensor = self.deep(x) if self.gate is None else self.gate * self.deep(x)
        y: Tensor = self.linear(x) + deep
        return y

    @torch.no_grad()
    def silence(self) -> None:
        """Let the deep map start at zero."""
        if self.gate is not None:
            self.gate.zero_()
            return
        last = [m for m in self.deep.modules() if isinstance(getattr(m, "weight", None), Tensor)][-1]
        for parameter in last.parameters(recurse=False):
            parameter.zero_()


class Transposed(nn.Module):
    """A dense layer with another one's weights, transposed, and a bias of its own.

    Of a layer with more outputs than `rows` only the first `rows` serve; each can have a fixed `scale`.
    """

    scale: Tensor

    def __init__(self, source: nn.Linear, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.weight = source.weight
        self.bias = nn.Parameter(torch.zeros(source.in_features))
        self.register_buffer("scale", torch.ones(rows))

    def forward(self, x: Tensor) -> Tensor:
        """Codes, or hidden rows, back through the weights."""
        return F.linear(x * self.scale, self.weight[: self.rows].t(), self.bias)


class Clip(nn.Module):
    """Values outside [0, 1] brought to its edge; while training a hundredth of the way is left.

    Clipping never moves a reconstruction away from data that lie in [0, 1], so that a linear decoder keeps
    its error or betters it, as it would not behind a sigmoid. What is left of the way lets a pixel that is
    clipped find back.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Values in [0, 1]; while training, nearly."""
        clipped = x.clamp(0, 1)
        return clipped + 0.01 * (x - clipped) if self.training else clipped


class Reshape(nn.Module):
    """Rows (n, …) in another shape (n, *shape)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """The same values as (n, *shape)."""
        return x.reshape(x.shape[0], *self.shape)


class ChannelsFirst(nn.Module):
    """Rows (n, …) of samples of shape (*grid, channels) as (n, channels, *grid)."""

    def __init__(self, grid: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.shape = (*grid, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The same values as (n, channels, *grid)."""
        return x.reshape(x.shape[0], *self.shape).movedim(-1, 1).contiguous()


class ChannelsLast(nn.Module):
    """The way back: (n, channels, *grid) as rows (n, d)."""

    def forward(self, x: Tensor) -> Tensor:
        """The same values as (n, d)."""
        return x.movedim(1, -1).flatten(1)


def linear_maps(network: Network) -> tuple[Skip, Skip] | None:
    """The encoder and the decoder, if both have a linear map beside the deep one."""
    decoder = network.decoder[0] if isinstance(network.decoder, nn.Sequential) else network.decoder
    if isinstance(network.encoder, Skip) and isinstance(decoder, Skip):
        return network.encoder, decoder
    return None


def code_size(baseline: PrincipalComponents) -> float:
    """The root mean square of the components, so that codes divided by it have the usual size."""
    return float(baseline.deviations.square().mean().sqrt()) or 1.0


@torch.no_grad()
def start_linear(
    network: Network,
    baseline: PrincipalComponents,
    *,
    encode: Tensor | None = None,
    decode: Tensor | None = None,
    slope: Tensor | None = None,
    bias: Tensor | None = None,
) -> None:
    """Make the linear maps PCA, and let the deep ones start at zero; do nothing where there are none.

    What the encoder puts out beyond the components that the data have starts at zero.

    Parameters
    ----------
    encode, decode : Tensor of shape (number of components,), optional
        What each component is multiplied by on its way into the code, and back. By default codes are divided
        by their root mean square, one number for all, so that the deep layers find inputs of the usual size
        while distances between codes stay PCA's.
    slope, bias : Tensor of shape (d,), optional
        For a decoder whose output goes through a function: that function's derivative at `bias`, which the
        decoder gives for a code of zeros. By default 1 and the data's mean.
    """
    skips = linear_maps(network)
    if skips is None:
        return
    components, size = baseline.components, code_size(baseline)
    k = len(components)
    encode = torch.full((k,), 1 / size) if encode is None else encode
    decode = torch.full((k,), size) if decode is None else decode
    into, back = skips[0].linear, skips[1].linear
    assert isinstance(into, nn.Linear)
    for parameter in into.parameters():
        parameter.zero_()
    into.weight[:k] = encode[:, None] * components
    into.bias[:k] = -encode * (components @ baseline.mean)
    if isinstance(back, Transposed):
        back.scale[:k] = decode / encode / (1.0 if slope is None else slope.mean())
    else:
        assert isinstance(back, nn.Linear)
        back.weight.zero_()
        back.weight[:, :k] = components.T * decode / (1.0 if slope is None else slope[:, None])
    back.bias.copy_(baseline.mean if bias is None else bias)
    for skip in skips:
        skip.silence()


def close(decoder: nn.Module, spec: Spec, *, linear_skip: bool) -> nn.Module:
    """The decoder with its outputs kept in [0, 1], where they have to be."""
    if not spec.closed:
        return decoder
    last = Clip() if linear_skip else nn.Sigmoid()
    # One flat chain, which `steps.DenseStep` can train without autograd.
    return nn.Sequential(*decoder, last) if type(decoder) is nn.Sequential else nn.Sequential(decoder, last)
