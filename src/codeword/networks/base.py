"""The parts that all networks share: the two maps, their specification, and where training begins."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.base.constraints import check_annotated
from codeword.networks.pca import PrincipalComponents

Activation = Literal["leaky_relu", "relu", "silu", "gelu", "tanh"]

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


class Configurable(BaseEstimator):  # type: ignore[misc]
    """Parameters stored as given, so that `clone` and `set_params` reach them; checked when they are used.

    Their types say what values they can have (see `base.constraints`), and are read at run time: a module of
    such classes does not postpone annotations.
    """

    def check(self) -> None:
        """Raise a ParameterError that names the first parameter with a value that its type does not allow."""
        check_annotated(self)


class Network(nn.Module):
    """An encoder (n, d) → (n, width), a decoder (n, k) → (n, d), and what the objective adds of its own."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, extra: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.extra = nn.Identity() if extra is None else extra


@dataclass(frozen=True)
class Spec:
    """The specification of a network: what it takes and gives.

    Parameters
    ----------
    sample_shape : tuple of int
        The shape of one sample in raw units; its product is d.
    n_components : int
        k, the numbers in a code.
    width : int
        The numbers that the encoder puts out; more than k where the objective wants more than the code.
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


class Architecture(Configurable):
    """Base of the architectures: `build` makes the two maps once the shape of a sample is known."""

    activation: Activation
    linear_skip: bool

    def build(self, spec: Spec) -> tuple[nn.Module, nn.Module]:
        """Make the encoder (n, d) → (n, width) and the decoder (n, k) → (n, d).

        A ParameterError says what shape of samples it takes, where it is not that of these.
        """
        raise NotImplementedError

    def _complete(
        self, encoder: nn.Sequential, decoder: nn.Sequential, spec: Spec, *, tied: bool = False
    ) -> tuple[nn.Module, nn.Module]:
        """Add the linear maps, where they are asked for, and keep outputs in [0, 1] where they have to be."""
        closed = spec.bounded and not spec.logits
        if not self.linear_skip:
            # One flat chain, which `steps.DenseStep` can train without autograd.
            return encoder, nn.Sequential(*decoder, nn.Sigmoid()) if closed else decoder
        linear = nn.Linear(spec.d, spec.width)
        back = Transposed(linear, spec.n_components) if tied else nn.Linear(spec.n_components, spec.d)
        skip = Skip(back, decoder, gated=tied)
        return Skip(linear, encoder, gated=tied), nn.Sequential(skip, Clip()) if closed else skip


class Transposed(nn.Module):
    """A dense layer with another one's weights, transposed, and a bias of its own.

    Only the layer's first `rows` outputs serve, where it has more; each can have a fixed `scale`.
    """

    scale: Tensor

    def __init__(self, source: nn.Linear, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.weight = source.weight
        self.bias = nn.Parameter(torch.zeros(source.in_features))
        self.register_buffer("scale", torch.ones(rows))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x * self.scale, self.weight[: self.rows].t(), self.bias)


class Skip(nn.Module):
    """A linear map beside a deeper one: y = linear(x) + deep(x).

    `gated` multiplies the deep one by a learned number, for a chain whose last layer cannot start at zero.
    """

    def __init__(self, linear: nn.Linear | Transposed, deep: nn.Sequential, *, gated: bool = False) -> None:
        super().__init__()
        self.linear = linear
        self.deep = deep
        self.gate = nn.Parameter(torch.ones(())) if gated else None

    def forward(self, x: Tensor) -> Tensor:
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


class Clip(nn.Module):
    """Values outside [0, 1] brought to its edge; while training a hundredth of the way is left.

    Clipping never moves a reconstruction away from data that lie in [0, 1], so that a linear decoder keeps
    its error or betters it, as it would not behind a sigmoid. What is left of the way lets a pixel that is
    clipped find back.
    """

    def forward(self, x: Tensor) -> Tensor:
        clipped = x.clamp(0, 1)
        return clipped + 0.01 * (x - clipped) if self.training else clipped


class ChannelsFirst(nn.Module):
    """Rows (n, …) of samples of shape (*grid, channels) as (n, channels, *grid)."""

    def __init__(self, grid: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.shape = (*grid, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.shape).movedim(-1, 1).contiguous()


class ChannelsLast(nn.Module):
    """The way back: (n, channels, *grid) as rows (n, d)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.movedim(1, -1).flatten(1)


# -- where training begins ----------------------------------------------------------------------------------


def linear_maps(network: Network) -> tuple[nn.Linear, nn.Linear | Transposed] | None:
    """The linear maps into the code and back, if both stand beside deep ones."""
    encoder = network.encoder
    decoder = network.decoder[0] if isinstance(network.decoder, nn.Sequential) else network.decoder
    if isinstance(encoder, Skip) and isinstance(encoder.linear, nn.Linear) and isinstance(decoder, Skip):
        return encoder.linear, decoder.linear
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

    Numbers that the encoder puts out beyond the components of the data start at zero. `encode` and `decode`
    are factors of each component on its way into the code, and back; by default codes are divided by their
    root mean square, one number for all, so that the deep layers find inputs of the usual size while
    distances between codes stay PCA's. `bias` (d,) is what the decoder gives for a code of zeros, by default
    the data's mean, and `slope` (d,) the derivative there of a function that its output goes through.
    """
    maps = linear_maps(network)
    if maps is None:
        return
    into, back = maps
    components, size = baseline.components, code_size(baseline)
    k = len(components)
    encode = torch.full((k,), 1 / size) if encode is None else encode
    decode = torch.full((k,), size) if decode is None else decode
    for parameter in into.parameters():
        parameter.zero_()
    into.weight[:k] = encode[:, None] * components
    into.bias[:k] = -encode * (components @ baseline.mean)
    if isinstance(back, Transposed):
        back.scale[:k] = decode / encode / (1.0 if slope is None else slope.mean())
    else:
        back.weight.zero_()
        back.weight[:, :k] = components.T * decode / (1.0 if slope is None else slope[:, None])
    back.bias.copy_(baseline.mean if bias is None else bias)
    for module in network.modules():
        if isinstance(module, Skip):
            module.silence()
