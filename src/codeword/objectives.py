"""What is minimised.

An objective is a small bag of parameters. The fit loop knows of it only its named losses, whose sum is
minimised, and `encode` and `decode`, which are deterministic.
"""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.errors import ParameterError
from codeword.networks import Network

__all__ = ["OBJECTIVES", "Objective", "Reconstruction", "resolve_objective"]


class Objective(BaseEstimator):  # type: ignore[misc]
    """Base of the objectives: a subclass writes `losses`, and what else differs from a plain auto-encoder."""

    def width(self, n_components: int) -> int:
        """How many numbers the encoder puts out for a code of `n_components`."""
        return n_components

    def extra(self, n_components: int, d: int) -> nn.Module | None:
        """Modules and buffers of the objective's own, trained and saved with the network."""
        return None

    def encode(self, network: Network, x: Tensor) -> Tensor:
        """Rows (n, d) in scaled units to codes (n, k)."""
        code: Tensor = network.encoder(x)
        return code

    def decode(self, network: Network, z: Tensor) -> Tensor:
        """Codes (n, k) to rows (n, d) in scaled units."""
        x_hat: Tensor = network.decoder(z)
        return x_hat

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        """Named scalar losses of a batch (n, d), each averaged over its rows; their sum is minimised."""
        raise NotImplementedError


class Reconstruction(Objective):
    """Plain reconstruction: the mean squared error of g(f(x)), over rows and features."""

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        """See `Objective.losses`."""
        return {"error": F.mse_loss(self.decode(network, self.encode(network, x)), x)}


OBJECTIVES: dict[str, type[Objective]] = {"reconstruction": Reconstruction}


def resolve_objective(objective: Any) -> Objective:
    """The objective that the `objective` parameter of AutoEncoder asks for: a name or an instance."""
    if isinstance(objective, str) and objective in OBJECTIVES:
        return OBJECTIVES[objective]()
    if isinstance(objective, Objective):
        return objective
    raise ParameterError(
        f"The 'objective' parameter of AutoEncoder must be one of {', '.join(OBJECTIVES)}, or an instance "
        f"such as Reconstruction(). Got {objective!r} instead."
    )
