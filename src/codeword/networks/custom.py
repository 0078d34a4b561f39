"""An encoder and a decoder of the user's own."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from codeword.base.errors import ParameterError
from codeword.base.text import shortened
from codeword.networks.base import ChannelsFirst, ChannelsLast, Spec

_WRONG_INPUT = (RuntimeError, ValueError, TypeError, IndexError)


def wrap_pair(pair: Sequence[nn.Module], spec: Spec) -> tuple[nn.Module, nn.Module]:
    """Copies of the user's modules, fed rows in the first of the usual shapes that they accept.

    A decoder that ends in `nn.Sigmoid` loses it where the objective works on logits; any other is then taken
    to give logits. A ParameterError says what (n, d) → (n, width) and (n, k) → (n, d) lack.
    """
    encoder, decoder = copy.deepcopy(tuple(pair))  # together: weights that are tied stay so
    shape = spec.sample_shape
    channels_first = (shape[-1], *shape[:-1])
    taken, given = _shape_taken(encoder, spec), _shape_given(decoder, spec)
    if not any(p.requires_grad for m in (encoder, decoder) for p in m.parameters()):
        raise ParameterError("The encoder and the decoder have no parameters that could be trained")
    if spec.logits:
        decoder = _without_sigmoid(decoder)
    decoder = nn.Sequential(decoder, ChannelsLast() if given == channels_first != shape else nn.Flatten(1))
    if taken == (spec.d,):
        return encoder, decoder
    transposed = taken == channels_first != shape
    view = ChannelsFirst(shape[:-1], shape[-1]) if transposed else nn.Unflatten(1, taken)
    return nn.Sequential(view, encoder), decoder


def _shape_taken(encoder: nn.Module, spec: Spec) -> tuple[int, ...]:
    """The shape in which the encoder takes a sample: flat, as it is, or with channels in front."""
    shape, reasons = spec.sample_shape, []
    one_channel = [(1, *shape)] if len(shape) == 2 else []
    for tried in dict.fromkeys([(spec.d,), shape, *one_channel, (shape[-1], *shape[:-1])]):
        try:
            code = _run(encoder, torch.zeros(2, *tried))
        except _WRONG_INPUT as error:
            reasons.append(f"{tried}: {shortened(error)}")
            continue
        if tuple(code.shape) == (2, spec.width):
            return tried
        reasons.append(f"{tried}: gives a code of shape {tuple(code.shape[1:])}")
    raise ParameterError(
        f"The encoder does not take samples of shape {shape} to codes of shape "
        f"({spec.width},); tried {'; '.join(reasons)}"
    )


def _shape_given(decoder: nn.Module, spec: Spec) -> tuple[int, ...]:
    """The shape in which the decoder gives a sample."""
    try:
        made = _run(decoder, torch.zeros(2, spec.n_components))
    except _WRONG_INPUT as error:
        raise ParameterError(
            f"The decoder does not take codes of shape ({spec.n_components},): {shortened(error)}"
        ) from None
    if made.numel() != 2 * spec.d:
        raise ParameterError(
            f"The decoder gives {made.numel() // 2} values a sample where {spec.d} were expected "
            f"(samples of shape {spec.sample_shape})"
        )
    return tuple(made.shape[1:])


def _run(module: nn.Module, x: Tensor) -> Tensor:
    """The output of a copy of the module in evaluation mode: a probe must not move batch statistics."""
    with torch.no_grad():
        y = copy.deepcopy(module).cpu().eval()(x)
    if not isinstance(y, Tensor):
        raise TypeError(f"gives a {type(y).__name__} in place of a tensor")
    return y


def _without_sigmoid(decoder: nn.Module) -> nn.Module:
    if isinstance(decoder, nn.Sigmoid):
        return nn.Identity()
    if isinstance(decoder, nn.Sequential) and len(decoder):
        decoder[-1] = _without_sigmoid(decoder[-1])
    return decoder
