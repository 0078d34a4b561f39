"""Encoders and decoders.

An architecture, such as `MLP`, is a small bag of parameters; `build` makes its two torch modules once the
shape of a sample is known. A network inside the library always takes flat rows of shape (n, d) in scaled
units and gives them back; whatever shape a module wants inside is its own affair.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from codeword.base.errors import ParameterError
from codeword.networks.base import (
    ACTIVATIONS,
    Architecture,
    Clip,
    Configurable,
    Network,
    Reshape,
    Skip,
    Spec,
    Transposed,
    code_size,
    linear_maps,
    real,
    start_linear,
    whole,
    widths,
)
from codeword.networks.conv import Conv, Residual, Sequence
from codeword.networks.custom import wrap_pair
from codeword.networks.mlp import MLP

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "MLP",
    "Architecture",
    "Clip",
    "Configurable",
    "Conv",
    "Network",
    "Reshape",
    "Residual",
    "Sequence",
    "Skip",
    "Spec",
    "Transposed",
    "auto_architecture",
    "build_network",
    "code_size",
    "linear_maps",
    "real",
    "resolve_architecture",
    "start_linear",
    "whole",
    "widths",
]

ARCHITECTURES: dict[str, type[Architecture]] = {
    "mlp": MLP,
    "conv": Conv,
    "residual": Residual,
    "sequence": Sequence,
}


def auto_architecture(sample_shape: tuple[int, ...]) -> Architecture:
    """What `network="auto"` stands for; dense layers whatever the shape, as they train soonest on a CPU."""
    return MLP()


def resolve_architecture(architecture: Any, sample_shape: tuple[int, ...] = ()) -> Architecture | None:
    """The architecture that the `network` parameter of AutoEncoder asks for; None for a pair of modules.

    Raises
    ------
    ParameterError
        If it is not "auto", a name in `ARCHITECTURES`, an Architecture, or a pair of torch modules.
    """
    if isinstance(architecture, str) and architecture == "auto":
        return auto_architecture(sample_shape)
    if isinstance(architecture, str) and architecture in ARCHITECTURES:
        return ARCHITECTURES[architecture]()
    if isinstance(architecture, Architecture):
        return architecture
    pair = isinstance(architecture, (tuple, list)) and len(architecture) == 2
    if pair and all(isinstance(m, nn.Module) for m in architecture):
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
    resolved = resolve_architecture(architecture, spec.sample_shape)
    encoder, decoder = wrap_pair(architecture, spec) if resolved is None else resolved.build(spec)
    return Network(encoder, decoder, extra)
