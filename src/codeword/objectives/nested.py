"""Ordered codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from codeword.networks import Network, real
from codeword.objectives.base import Reconstruction

__all__ = ["Nested"]


class Nested(Reconstruction):
    """Codes whose first numbers are a code of their own: one training for every k up to n_components.

    Nested dropout (Rippel et al. 2014, section 2.1): while training, each row keeps the first b numbers of
    its code, b drawn anew, and has zeros for the rest, so that they come ordered by how much they tell, as
    those of PCA do; `transform(x, k=8)` gives the first eight, and `inverse_transform` takes them.

    Parameters
    ----------
    truncation : {"uniform", "geometric"}, default="uniform"
        The distribution of b: all lengths alike, or, as in the paper, each number after the first dropped
        with probability `rate` together with all that follow.
    rate : float in (0, 1), default=0.1
        Of the geometric distribution.
    loss : {"mse", "bce", "l1", "huber"}, default="mse"
        See `Reconstruction`.
    """

    ordered = True

    def __init__(self, truncation: str = "uniform", rate: float = 0.1, loss: str = "mse") -> None:
        self.truncation = truncation
        self.rate = rate
        self.loss = loss

    def check(self) -> None:
        """See `Objective.check`."""
        super().check()
        self.must("truncation", self.truncation in ("uniform", "geometric"), "uniform or geometric")
        self.must("rate", real(self.rate) and 0 < self.rate < 1, "a number between 0 and 1")

    def lengths(self, n: int, k: int, device: torch.device) -> Tensor:
        """How many numbers of k each of n rows keeps: (n, 1), from 1 to k."""
        draw = torch.rand(n, 1, device=device)
        if self.truncation == "uniform":
            return (draw * k).floor().add(1).clamp_max(k)
        return ((1 - draw).log() / math.log(1 - self.rate)).floor().add(1).clamp_max(k)

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        """See `Objective.losses`."""
        z = self.encode(network, x)
        k = z.shape[1]
        kept = torch.arange(k, device=z.device) < self.lengths(len(z), k, z.device)
        return {"error": self.errors(network, z * kept, x).mean()}

    @torch.no_grad()
    def errors_by_length(self, network: Network, x: Tensor) -> Tensor:
        """The mean squared error, in scaled units, of rows (n, d) from the first 1, 2, …, k numbers: (k,)."""
        z = self.encode(network, x)
        lengths = torch.arange(1, z.shape[1] + 1, device=z.device)
        kept = torch.arange(z.shape[1], device=z.device) < lengths[:, None]
        squares = ((self.decode(network, z * row) - x).square() for row in kept)
        mean = torch.Tensor.mean if self.layout is None else torch.Tensor.nanmean
        return torch.stack([mean(values) for values in squares])
