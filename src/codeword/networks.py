"""Encoders and decoders.

An architecture, such as `MLP`, is a small bag of parameters; `build` makes its two torch modules once the
shape of a sample is known. A network inside the library always takes flat rows of shape (n, d) in scaled
units and gives them back; whatever shape a module wants inside is its own affair.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from codeword.errors import ParameterError

if TYPE_CHECKING:
    from codeword.baseline import PrincipalComponents

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "MLP",
    "Architecture",
    "Network",
    "Spec",
    "build_network",
    "resolve_architecture",
]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


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
    """

    sample_shape: tuple[int, ...]
    n_components: int
    width: int
    bounded: bool

    @property
    def d(self) -> int:
        """The number of values in a sample."""
        return math.prod(self.sample_shape)


class Architecture(BaseEstimator):  # type: ignore[misc]
    """Base of the architectures: parameters stored as given, so that `clone` and `set_params` reach them."""

    def build(self, spec: Spec) -> tuple[nn.Module, nn.Module]:
        """Make the encoder (n, d) → (n, width) and the decoder (n, k) → (n, d)."""
        raise NotImplementedError

    def start(self, network: Network, baseline: PrincipalComponents) -> None:
        """Bring the weights of a new network to where training should begin, given the data's PCA."""


class MLP(Architecture):
    """Dense layers: d → hidden → k → hidden reversed → d, an activation after each hidden layer.

    Parameters
    ----------
    hidden : sequence of int, default=(512, 256)
        Widths of the encoder's hidden layers; the decoder has them in reverse. `()` is a linear auto-encoder.
    activation : {"silu", "gelu", "relu", "leaky_relu", "tanh"}, default="silu"
    linear_skip : bool, default=True
        Add a linear map from rows to codes, and one from codes to rows, to the dense layers, and start
        with PCA in the first and zero in the second: training begins at PCA's error and goes down from there.
        Outputs that must lie in [0, 1] are clipped to it. Without it the layers start at random, and such
        outputs end in a sigmoid.
    """

    def __init__(
        self, hidden: Sequence[int] = (512, 256), activation: str = "silu", linear_skip: bool = True
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.linear_skip = linear_skip

    def build(self, spec: Spec) -> tuple[nn.Module, nn.Module]:
        """See `Architecture.build`."""
        if self.activation not in ACTIVATIONS:
            raise ParameterError(
                f"The 'activation' parameter of MLP must be one of {', '.join(ACTIVATIONS)}. "
                f"Got {self.activation!r} instead."
            )
        hidden = self.hidden
        if not isinstance(hidden, (list, tuple)) or not all(isinstance(h, int) and h > 0 for h in hidden):
            raise ParameterError(
                "The 'hidden' parameter of MLP must be a sequence of positive integers. "
                f"Got {hidden!r} instead."
            )
        encoder = self._chain([spec.d, *hidden, spec.width])
        decoder = self._chain([spec.n_components, *hidden[::-1], spec.d])
        if not self.linear_skip:
            return encoder, nn.Sequential(*decoder, nn.Sigmoid()) if spec.bounded else decoder
        skip = Skip(nn.Linear(spec.n_components, spec.d), decoder)
        return (
            Skip(nn.Linear(spec.d, spec.width), encoder),
            nn.Sequential(skip, Clip()) if spec.bounded else skip,
        )

    def start(self, network: Network, baseline: PrincipalComponents) -> None:
        """See `Architecture.start`."""
        decoder = network.decoder[0] if isinstance(network.decoder, nn.Sequential) else network.decoder
        if isinstance(network.encoder, Skip) and isinstance(decoder, Skip):
            start_linear(network.encoder, decoder, baseline)

    def _chain(self, widths: list[int]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), ACTIVATIONS[self.activation]()]
        return nn.Sequential(*layers[:-1])


class Skip(nn.Module):
    """A linear map beside a deeper one: y = linear(x) + deep(x)."""

    def __init__(self, linear: nn.Linear, deep: nn.Sequential) -> None:
        super().__init__()
        self.linear = linear
        self.deep = deep

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x) + self.deep(x)
        return y


class Clip(nn.Module):
    """Values outside [0, 1] brought to its edge; while training a hundredth of the way is left.

    Clipping never moves a reconstruction away from data that lie in [0, 1], so that a linear decoder keeps
    its error or betters it, as it would not behind a sigmoid. What is left of the way lets a pixel that is
    clipped find back.
    """

    def forward(self, x: Tensor) -> Tensor:
        clipped = x.clamp(0, 1)
        return clipped + 0.01 * (x - clipped) if self.training else clipped


@torch.no_grad()
def start_linear(encoder: Skip, decoder: Skip, baseline: PrincipalComponents) -> None:
    """Make the linear maps PCA, and the deep ones zero.

    Codes are divided by their root mean square, one number for all, so that the deep layers find inputs of
    the usual size while distances between codes stay PCA's. What the encoder puts out beyond the components
    that the data have starts at zero.
    """
    components = baseline.components
    k = len(components)
    size = float(baseline.deviations.square().mean().sqrt()) or 1.0
    for linear in (encoder.linear, decoder.linear):
        nn.init.zeros_(linear.weight)
    encoder.linear.weight[:k] = components / size
    nn.init.zeros_(encoder.linear.bias)
    encoder.linear.bias[:k] = -(components @ baseline.mean) / size
    decoder.linear.weight[:, :k] = components.T * size
    decoder.linear.bias.copy_(baseline.mean)
    for last in (encoder.deep[-1], decoder.deep[-1]):
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


class Reshape(nn.Module):
    """Rows (n, …) in another shape (n, *shape)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)


ARCHITECTURES: dict[str, type[Architecture]] = {"mlp": MLP}


def resolve_architecture(architecture: Any) -> Architecture | None:
    """The architecture that the `network` parameter of AutoEncoder asks for; None for a pair of modules.

    Raises
    ------
    ParameterError
        If it is not "auto", a name in `ARCHITECTURES`, an Architecture, or a pair of torch modules.
    """
    if architecture == "auto":
        return MLP()
    if isinstance(architecture, str) and architecture in ARCHITECTURES:
        return ARCHITECTURES[architecture]()
    if isinstance(architecture, Architecture):
        return architecture
    if isinstance(architecture, (tuple, list)) and [isinstance(m, nn.Module) for m in architecture] == [
        True,
        True,
    ]:
        return None
    raise ParameterError(
        f"The 'network' parameter of AutoEncoder must be 'auto', {', '.join(map(repr, ARCHITECTURES))}, an "
        "architecture such as MLP(), or a pair (encoder, decoder) of torch modules. "
        f"Got {architecture!r} instead."
    )


def build_network(architecture: Any, spec: Spec, extra: nn.Module | None = None) -> Network:
    """Make the network that the `network` parameter of AutoEncoder asks for.

    A pair of modules is copied, and starts from the weights it comes with.

    Raises
    ------
    ParameterError
        If the parameter has a value it cannot have, or a pair does not take (n, d) to (n, width) and
        (n, k) to (n, d).
    """
    resolved = resolve_architecture(architecture)
    encoder, decoder = _wrap_pair(architecture, spec) if resolved is None else resolved.build(spec)
    return Network(encoder, decoder, extra)


def _wrap_pair(pair: Sequence[nn.Module], spec: Spec) -> tuple[nn.Module, nn.Module]:
    """The user's own modules, fed rows in the first of the usual layouts that they accept."""
    encoder, decoder = (copy.deepcopy(m) for m in pair)
    d, k, width = spec.d, spec.n_components, spec.width
    reasons = []
    for layout in _layouts(spec.sample_shape):
        try:
            with torch.no_grad():
                # A parameterless copy in evaluation mode: the probe must not move batch statistics.
                code = copy.deepcopy(encoder).cpu().eval()(torch.zeros(2, *layout))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reasons.append(f"{layout}: {str(error).splitlines()[0]}")
            continue
        if tuple(code.shape) == (2, width):
            break
        reasons.append(f"{layout}: gives a code of shape {tuple(code.shape[1:])}")
    else:
        raise ParameterError(
            f"The encoder does not take samples of shape {spec.sample_shape} to codes of shape "
            f"({width},); tried {'; '.join(reasons)}"
        )
    try:
        with torch.no_grad():
            size = copy.deepcopy(decoder).cpu().eval()(torch.zeros(2, k)).numel() // 2
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ParameterError(
            f"The decoder does not take codes of shape ({k},): {str(error).splitlines()[0]}"
        ) from None
    if size != d:
        raise ParameterError(
            f"The decoder gives {size} values a sample where {d} were expected "
            f"(samples of shape {spec.sample_shape})"
        )
    if layout != (d,):
        encoder = nn.Sequential(Reshape(layout), encoder)
    return encoder, nn.Sequential(decoder, nn.Flatten(1))


def _layouts(sample_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes in which modules usually take such a sample: flat, as it is, with a channel."""
    layouts: list[tuple[int, ...]] = [(math.prod(sample_shape),), sample_shape]
    if len(sample_shape) == 2:
        layouts.append((1, *sample_shape))
    return list(dict.fromkeys(layouts))
