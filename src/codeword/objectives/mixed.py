"""The loss that fits each part of a row that was made of a mixed table.

The decoder's outputs are numbers, logits of flags and logits of categories. Errors are squared for numbers,
the binary cross-entropy for flags, and the cross-entropy over each group. Each is divided by what the best
constant leaves, the mean or the shares of the rows fitted on: a number's variance, which is 1 in scaled
units, and an entropy for the others. So every part counts alike, whatever its kind and however many
categories it has: its loss is 1 where nothing is known of it, and 0 where all is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from codeword.data.columns import Layout

LEAST_ENTROPY = 0.2
"""Nats: by no less is a part's loss divided, or a flag that is set once in a million rows would rule."""


def impute(layout: Layout, x: Tensor) -> Tensor:
    """Rows (n, d) with means where values are missing."""
    return torch.where(x.isnan(), _tensors(layout, x.device).means, x)


def decoded(layout: Layout, out: Tensor) -> Tensor:
    """Outputs (n, d) as numbers, and as probabilities of flags and categories, float32."""
    numbers, flags, categories = _parts(layout, out.float())
    return torch.cat([numbers, flags.sigmoid(), _log_softmax(layout, categories).exp()], dim=1)


def errors(layout: Layout, out: Tensor, x: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The share of each value in the loss of its row, (n, d): their mean is the mean over parts.

    `loss` is that of numbers, value by value. What is missing has none.
    """
    return _losses(layout, out, x, loss) * _tensors(layout, x.device).weights


def log_likelihood(
    layout: Layout, out: Tensor, x: Tensor, density: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """log p(x) of each row, in nats, by `density` for the numbers, (n, numbers): shape (n,)."""
    return -_losses(layout, out, x, lambda y, t: -density(y, t)).sum(dim=1)


def start(layout: Layout, mean: Tensor) -> tuple[Tensor, Tensor]:
    """The slope of `decoded` and the outputs at the rows' mean, shape (d,) each.

    The slope of a softmax is p on the way along which the shares of a group sum to 1, as principal components
    keep to it.
    """
    numbers, (_, p, q) = _parts(layout, mean)[0], _parts(layout, mean.clamp(0.005, 0.995))
    slope = torch.cat([torch.ones_like(numbers), (p * (1 - p)).clamp_min(0.05), q.clamp_min(0.05)])
    return slope, torch.cat([numbers, p.logit(), q.log()])


def _losses(layout: Layout, out: Tensor, x: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The loss of each value, (n, d), in the units of its kind; 0 for what is missing."""
    numbers, flags, categories = _parts(layout, out.float())
    target = _parts(layout, impute(layout, x))  # before the loss: NaN times zero is NaN
    each = [
        loss(numbers, target[0]),
        F.binary_cross_entropy_with_logits(flags, target[1], reduction="none"),
        -target[2] * _log_softmax(layout, categories),
    ]
    return torch.where(x.isnan(), 0.0, torch.cat(each, dim=1))


def _parts(layout: Layout, values: Tensor) -> tuple[Tensor, ...]:
    """Values (…, d) as those of numbers, of flags and of categories."""
    sizes = [layout.numbers, layout.flags, layout.d - layout.numbers - layout.flags]
    return torch.split(values, sizes, dim=-1)


def _log_softmax(layout: Layout, logits: Tensor) -> Tensor:
    """The log-softmax of each group; all of them at once, padded to the longest."""
    if not layout.groups:
        return logits
    held = _tensors(layout, logits.device)
    padded = logits.new_full((logits.shape[0], len(layout.groups) * max(layout.groups)), -torch.inf)
    padded = padded.index_copy(1, held.places, logits)
    each = padded.view(logits.shape[0], len(layout.groups), -1).log_softmax(dim=2)
    return each.flatten(1).index_select(1, held.places)


class _Tensors(NamedTuple):
    means: Tensor
    weights: Tensor
    places: Tensor
    """The place of each category once groups are padded to the longest."""


@lru_cache(maxsize=64)
def _tensors(layout: Layout, device: torch.device) -> _Tensors:
    # Made once, and used in training too, which takes no tensors of inference mode.
    with torch.inference_mode(False):
        means = torch.tensor(layout.means, dtype=torch.float64)
        numbers, p, q = _parts(layout, means.clamp(0, 1))
        entropy = torch.special.entr
        groups = [entropy(group).sum().expand(len(group)) for group in torch.split(q, list(layout.groups))]
        constants = torch.cat([torch.ones_like(numbers), entropy(p) + entropy(1 - p), *groups])
        weights = layout.d / layout.parts / constants.clamp_min(LEAST_ENTROPY)
        longest = max(layout.groups, default=0)
        places = [g * longest + i for g, size in enumerate(layout.groups) for i in range(size)]
        return _Tensors(
            means.float().to(device),
            weights.float().to(device),
            torch.tensor(places, dtype=torch.long, device=device),
        )
