"""Objectives with a prior on the code: variational, Wasserstein, adversarial, regularized."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.base.constraints import NonNegative, Widths
from codeword.networks import Network, Spec
from codeword.objectives.base import Objective, squared_jacobian


@dataclass(eq=False, repr=False)
class Wasserstein(Objective):
    """Codes whose distribution is the standard normal, by their maximum mean discrepancy from it.

    Tolstikhin et al. 2018, algorithm 2: the squared error, summed over features, plus `weight` times the MMD
    with the inverse multiquadratic kernel C / (C + ‖a - b‖²), C = 2kσ² of their section 4 with σ = 1, summed
    over the scales 0.1, 0.2, 0.5, 1, 2, 5 and 10 times C, as their published code has it.

    Parameters
    ----------
    weight : float, default=10
        λ.
    """

    weight: NonNegative = 10.0

    normal_prior = True

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        z = self.encode(network, x)
        discrepancy = mmd(z.float(), torch.randn_like(z, dtype=torch.float32))
        error = self.value_errors(network.decoder(z), x).sum(dim=1).mean()
        return {"error": error, "discrepancy": self.weight * discrepancy}


def mmd(a: Tensor, b: Tensor) -> Tensor:
    """The squared maximum mean discrepancy of samples a and b (n, k), Tolstikhin et al. 2018, algorithm 2.

    A row's likeness to itself is left out where there are others, so that the estimate is unbiased.
    """
    n, k = a.shape
    distances = [_squared_distances(p, q) for p, q in ((a, a), (b, b), (a, b))]
    total = torch.zeros((), device=a.device)
    for scale in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0):
        c = 2.0 * k * scale
        own_a, own_b, across = ((c / (c + d)).sum() for d in distances)
        own = own_a + own_b
        own = (own - 2 * n) / (n * (n - 1)) if n > 1 else own
        total = total + own - 2 * across / n**2
    return total


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Between all rows of a and of b, of shape (len(a), len(b))."""
    products = a @ b.T
    squares = a.square().sum(1)[:, None] + b.square().sum(1)[None]
    return (squares - 2 * products).clamp_min(0)


@dataclass(eq=False, repr=False)
class Adversarial(Objective):
    """Codes whose distribution is the standard normal, as far as a second network can tell.

    Makhzani et al. 2015, section 2; the minimax game of Goodfellow et al. 2014, eq. 1, is played in one
    backward pass, through the reversal of the gradient (Ganin et al. 2016, section 4.2) between the encoder
    and the discriminator. On held-out rows the discriminator's loss counts as the encoder sees it, with the
    opposite sign: the weights that are kept are those that deceive it well, not those it sees through.

    Parameters
    ----------
    weight : float, default=10
        Factor of the reversed gradient; the error is summed over features.
    hidden : sequence of int, default=(128, 128)
        Widths of the discriminator's hidden layers.
    """

    weight: NonNegative = 10.0
    hidden: Widths = (128, 128)

    normal_prior = True

    def extra_modules(self, spec: Spec) -> nn.Module | None:
        """The discriminator, codes (n, k) to logits (n, 1)."""
        layers: list[nn.Module] = []
        for a, b in pairwise([spec.n_components, *self.hidden]):
            layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, nn.Linear([spec.n_components, *self.hidden][-1], 1))

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        z = self.encode(network, x)
        error = self.value_errors(network.decoder(z), x).sum(dim=1).mean()
        prior = network.extra(torch.randn_like(z))
        codes = network.extra(reverse(z, self.weight))
        guesses = F.softplus(-prior).mean() + F.softplus(codes).mean()
        return {"error": error, "discriminator": guesses if network.training else -self.weight * guesses}


def reverse(x: Tensor, weight: float) -> Tensor:
    """x itself; but its gradient is `-weight` times what comes back (Ganin et al. 2016, section 4.2)."""
    y = x.view_as(x)
    if y.requires_grad:
        y.register_hook(lambda gradient: -weight * gradient)  # type: ignore[no-untyped-call]
    return y


@dataclass(eq=False, repr=False)
class Regularized(Objective):
    """A deterministic auto-encoder with a smooth decoder and codes of moderate size (Ghosh et al. 2020).

    Their section 3: the squared error, averaged over features here, plus β ½‖z‖², plus λ times the
    regularizer of the decoder. New samples come from a density that is fitted to the codes afterwards.

    Parameters
    ----------
    beta : float, default=1e-4
        Factor of the codes' size.
    weight : float, default=1e-5
        λ, the factor of the regularizer.
    penalty : {"gradient", "l2"}, default="gradient"
        `gradient` is the squared norm of the decoder's Jacobian at the codes, estimated without bias from
        one random direction; `l2` the squared norm of its parameters.
    """

    beta: NonNegative = 1e-4
    weight: NonNegative = 1e-5
    penalty: Literal["gradient", "l2"] = "gradient"

    @property
    def whitened(self) -> bool:
        return True

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        z = self.encode(network, x)
        if self.penalty == "l2":
            penalty = torch.stack([p.square().sum() for p in network.decoder.parameters()]).sum()
        else:
            with torch.enable_grad():  # held-out rows come without gradients
                at = z.detach().requires_grad_()
                penalty = squared_jacobian(network.decoder(at), at, 1)
        return {
            "error": self.value_errors(network.decoder(z), x).mean(),
            "size": self.beta * 0.5 * z.square().sum(dim=1).mean(),
            "smoothness": self.weight * penalty,
        }
