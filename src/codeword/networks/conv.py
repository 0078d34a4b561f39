"""Convolutions, for images and for signals."""

import math
from collections import abc
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from torch import Tensor, nn

from codeword.base.constraints import Count, widths
from codeword.base.errors import ParameterError
from codeword.networks.base import ACTIVATIONS, Activation, Architecture, ChannelsFirst, ChannelsLast, Spec

Channels = Annotated[
    abc.Sequence[int], (lambda v: widths(v) and len(v) > 0, "a sequence of at least one positive integer")
]

_CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d}
_TRANSPOSE: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}


class Conv(Architecture):
    """Strided convolutions for images of any height and width, of shape (h, w) or (h, w, channels).

    Each stage halves height and width, rounding up, and a dense layer ends in the code; the decoder is the
    mirror image, with transposed convolutions (after Radford et al. 2016, without batch normalization).

    Parameters
    ----------
    channels : sequence of int, default=(32, 64)
        The channels of each stage of the encoder; the decoder has them in reverse.
    activation : {"silu", "gelu", "relu", "leaky_relu", "tanh"}, default="silu"
    linear_skip : bool, default=True
        As for `MLP`: a linear map beside the convolutions, which starts as PCA.
    """

    channels: Channels

    _dims = 2

    def __init__(
        self, channels: Channels = (32, 64), activation: Activation = "silu", linear_skip: bool = True
    ) -> None:
        self.channels = channels
        self.activation = activation
        self.linear_skip = linear_skip

    def build(self, spec: Spec) -> tuple[nn.Module, nn.Module]:
        grid, first = self._grid(spec.sample_shape)
        sizes = [grid]
        for _ in self.channels:
            sizes.append(tuple(-(-s // 2) for s in sizes[-1]))
        last = (self.channels[-1], *sizes[-1])
        activation = ACTIVATIONS[self.activation]
        down: list[nn.Module] = []
        for a, b in pairwise([first, *self.channels]):
            down += [_CONV[self._dims](a, b, 3, stride=2, padding=1), activation(), *self._stage(b)]
        up: list[nn.Module] = []
        for (a, b), size in zip(pairwise([*self.channels[::-1], first]), sizes[-2::-1], strict=True):
            # 2h + 2 - 2 padding + output_padding values of h: 2h for an even size, 2h - 1 for an odd one.
            odd = tuple(s % 2 for s in size)
            padding = tuple(1 + o for o in odd)
            double = _TRANSPOSE[self._dims](a, b, 4, stride=2, padding=padding, output_padding=odd)
            up += [activation(), *self._stage(a), double]
        values = math.prod(last)
        encoder = nn.Sequential(
            ChannelsFirst(grid, first), *down, nn.Flatten(1), nn.Linear(values, spec.width)
        )
        decoder = nn.Sequential(
            nn.Linear(spec.n_components, values), nn.Unflatten(1, last), *up, ChannelsLast()
        )
        return self._complete(encoder, decoder, spec)

    def _stage(self, channels: int) -> list[nn.Module]:
        """Further layers of a stage, at its own resolution."""
        return []

    def _grid(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """The samples' height and width (or length), and their channels."""
        if len(shape) == self._dims:
            return shape, 1
        if len(shape) == self._dims + 1:
            return shape[:-1], shape[-1]
        wanted = "(height, width) or (height, width, channels)" if self._dims == 2 else "(length, channels)"
        raise ParameterError(
            f"{type(self).__name__} takes samples of shape {wanted}, and these have shape {shape}: "
            "give x in that shape, or use MLP()"
        )


@dataclass(eq=False, repr=False)
class Residual(Conv):
    """`Conv` with residual blocks in each stage (He et al. 2016, eq. 1, in the order of their second paper).

    Parameters
    ----------
    channels : sequence of int, default=(32, 64)
    blocks : int, default=1
        Residual blocks in a stage.
    activation : {"silu", "gelu", "relu", "leaky_relu", "tanh"}, default="silu"
    linear_skip : bool, default=True
    """

    channels: Channels = (32, 64)
    blocks: Count = 1
    activation: Activation = "silu"
    linear_skip: bool = True

    def _stage(self, channels: int) -> list[nn.Module]:
        return [Block(self._dims, channels, ACTIVATIONS[self.activation]) for _ in range(self.blocks)]


class Sequence(Conv):
    """Strided 1-D convolutions for signals of one length, of shape (length,) or (length, channels).

    Parameters
    ----------
    channels : sequence of int, default=(32, 64)
        The channels of each stage, which halves the length, rounding up.
    activation : {"silu", "gelu", "relu", "leaky_relu", "tanh"}, default="silu"
    linear_skip : bool, default=True
        As for `MLP`: a linear map beside the convolutions, which starts as PCA.
    """

    _dims = 1


class Block(nn.Module):
    """x + conv(activation(conv(activation(x)))); the second convolution starts at zero."""

    def __init__(self, dims: int, channels: int, activation: Any) -> None:
        super().__init__()
        last = _CONV[dims](channels, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first = _CONV[dims](channels, channels, 3, padding=1)
        self.branch = nn.Sequential(activation(), first, activation(), last)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.branch(x)
        return y
