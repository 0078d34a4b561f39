"""An encoder and a decoder of the user's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from codeword.base.errors import ParameterError
from codeword.networks.base import ChannelsFirst, ChannelsLast, Reshape, Spec

__all__ = ["wrap_pair"]

_WRONG_INPUT = (RuntimeError, ValueError, TypeError, IndexError)


def wrap_pair(pair: Sequence[nn.Module], spec: Spec) -> tuple[nn.Module, nn.Module]:
    """Copies of the user's modules, fed rows in the first of the usual layouts that they accept.

    A decoder that ends in `nn.Sigmoid` loses it where the objective works on logits; any other is then taken
    to give logits.

    Raises
    ------
    ParameterError
        If they do not take (n, d) to (n, width) and (n, k) to (n, d).
    """
    encoder, decoder = copy.deepcopy(tuple(pair))  # together: weights that are tied stay so
    layout = _layout_of(encoder, spec)
    size = _probe_decoder(decoder, spec)
    if not any(p.requires_grad for m in (encoder, decoder) for p in m.parameters()):
        raise ParameterError("The encoder and the decoder have no parameters that could be trained")
    if spec.logits:
        decoder = _without_sigmoid(decoder)
    shape = spec.sample_shape
    first = (shape[-1], *shape[:-1])
    back = ChannelsLast() if size == first != shape else nn.Flatten(1)
    if layout == (spec.d,):
        return encoder, nn.Sequential(decoder, back)
    view = ChannelsFirst(shape[:-1], shape[-1]) if layout == first != shape else Reshape(layout)
    return nn.Sequential(view, encoder), nn.Sequential(decoder, back)


def _layouts(sample_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes in which modules usually take such a sample: flat, as it is, with channels in front."""
    layouts: list[tuple[int, ...]] = [(math.prod(sample_shape),), sample_shape]
    if len(sample_shape) == 2:
        layouts.append((1, *sample_shape))
    if len(sample_shape) > 1:
        layouts.append((sample_shape[-1], *sample_shape[:-1]))
    return list(dict.fromkeys(layouts))


def _run(module: nn.Module, x: Tensor) -> Tensor:
    """What a module makes of x; of a copy in evaluation mode, as a probe must not move batch statistics."""
    with torch.no_grad():
        y = copy.deepcopy(module).cpu().eval()(x)
    if not isinstance(y, Tensor):
        raise TypeError(f"gives a {type(y).__name__} in place of a tensor")
    return y


def _layout_of(encoder: nn.Module, spec: Spec) -> tuple[int, ...]:
    reasons = []
    for layout in _layouts(spec.sample_shape):
        try:
            code = _run(encoder, torch.zeros(2, *layout))
        except _WRONG_INPUT as error:
            reasons.append(f"{layout}: {(str(error).splitlines() or [''])[0]}")
            continue
        if tuple(code.shape) == (2, spec.width):
            return layout
        reasons.append(f"{layout}: gives a code of shape {tuple(code.shape[1:])}")
    raise ParameterError(
        f"The encoder does not take samples of shape {spec.sample_shape} to codes of shape "
        f"({spec.width},); tried {'; '.join(reasons)}"
    )


def _probe_decoder(decoder: nn.Module, spec: Spec) -> tuple[int, ...]:
    try:
        made = _run(decoder, torch.zeros(2, spec.n_components))
    except _WRONG_INPUT as error:
        raise ParameterError(
            f"The decoder does not take codes of shape ({spec.n_components},): "
            f"{(str(error).splitlines() or [''])[0]}"
        ) from None
    if made.numel() != 2 * spec.d:
        raise ParameterError(
            f"The decoder gives {made.numel() // 2} values a sample where {spec.d} were expected "
            f"(samples of shape {spec.sample_shape})"
        )
    return tuple(made.shape[1:])


def _without_sigmoid(decoder: nn.Module) -> nn.Module:
    if isinstance(decoder, nn.Sigmoid):
        return nn.Identity()
    if isinstance(decoder, nn.Sequential) and len(decoder):
        decoder[-1] = _without_sigmoid(decoder[-1])
    return decoder
