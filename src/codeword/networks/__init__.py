"""Encoders and decoders.

An architecture, such as `MLP`, is a small bag of parameters; `build` makes its two torch modules once the
shape of a sample is known. A network inside the library always takes flat rows of shape (n, d) in scaled
units and gives them back; whatever shape a module wants inside is its own affair.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from codeword.base.errors import expected
from codeword.networks.base import Architecture, Clip, Network, Skip, Spec, Transposed
from codeword.networks.conv import Conv, Residual, Sequence
from codeword.networks.custom import wrap_pair
from codeword.networks.mlp import MLP

__all__ = [
    "ARCHITECTURES",
    "MLP",
    "Architecture",
    "Clip",
    "Conv",
    "Network",
    "Residual",
    "Sequence",
    "Skip",
    "Spec",
    "Transposed",
    "build_network",
    "resolve_architecture",
]

ARCHITECTURES: dict[str, type[Architecture]] = {
    "mlp": MLP,
    "conv": Conv,
    "residual": Residual,
    "sequence": Sequence,
}


def resolve_architecture(architecture: Any) -> Architecture | None:
    """The architecture that the `network` parameter of AutoEncoder asks for; None for a pair of modules.

    "auto" is `MLP`: dense layers train soonest on a CPU, whatever the shape of a sample. Anything else, or an
    architecture with a parameter that has a value it cannot have, is a ParameterError.
    """
    if isinstance(architecture, str) and architecture in ("auto", *ARCHITECTURES):
        return ARCHITECTURES.get(architecture, MLP)()
    if isinstance(architecture, Architecture):
        architecture.check()
        return architecture
    pair = isinstance(architecture, (tuple, list)) and len(architecture) == 2
    if pair and all(isinstance(m, nn.Module) for m in architecture):
        return None
    raise expected(
        "network",
        "AutoEncoder",
        f"'auto', {', '.join(map(repr, ARCHITECTURES))}, an architecture such as MLP(), or a pair (encoder, "
        "decoder) of torch modules",
        architecture,
    )


def build_network(architecture: Any, spec: Spec, extra: nn.Module | None = None) -> Network:
    """Make the network that the `network` parameter of AutoEncoder asks for.

    A pair of modules is copied, and starts from the weights it comes with; a ParameterError says what it, or
    a parameter of an architecture, should be.
    """
    resolved = resolve_architecture(architecture)
    encoder, decoder = wrap_pair(architecture, spec) if resolved is None else resolved.build(spec)
    return Network(encoder, decoder, extra)
