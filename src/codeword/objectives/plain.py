"""Reconstruction with something done to the input, or asked of the code."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.base.constraints import BelowOne, Count, Fraction, NonNegative
from codeword.base.errors import ParameterError, check_parameter
from codeword.networks import Network, Spec
from codeword.networks.base import code_size, linear_maps, start_linear
from codeword.networks.pca import PrincipalComponents
from codeword.objectives.base import Loss, Reconstruction, squared_jacobian


@dataclass(eq=False, repr=False)
class Denoising(Reconstruction):
    """Reconstruct rows from what noise has left of them (Vincent et al. 2008, section 2; 2010, section 3).

    Noise is for the input of training alone: codes are those of the rows as they are.

    Parameters
    ----------
    noise : {"gaussian", "masking", "salt_and_pepper"}, default="gaussian"
        Add normal noise of deviation `level`; or set a share `level` of the values to zero, which is the mean
        of standardized features; or set that share, by the toss of a coin, to the least or the largest value
        that the feature has in the batch.
    level : float, default=0.3
        In scaled units, or a share.
    loss : {"mse", "bce", "l1", "huber"}, default="mse"
        See `Reconstruction`.
    """

    noise: Literal["gaussian", "masking", "salt_and_pepper"] = "gaussian"
    level: NonNegative = 0.3
    loss: Loss = "mse"

    def check(self) -> None:
        super().check()
        share = self.noise == "gaussian" or self.level <= 1
        check_parameter(self, "level", share, "a share of the values, from 0 to 1, for this noise")

    def corrupt(self, x: Tensor) -> Tensor:
        """Rows (n, d) with noise."""
        if self.noise == "gaussian":
            return x + self.level * torch.randn_like(x)
        hit = torch.rand_like(x) < self.level
        if self.noise == "masking":
            return x.masked_fill(hit, 0.0)
        extremes = torch.where(torch.rand_like(x) < 0.5, x.amin(dim=0), x.amax(dim=0))
        return torch.where(hit, extremes, x)

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        return {"error": self.errors(network, self.encode(network, self.corrupt(self.impute(x))), x).mean()}


@dataclass(eq=False, repr=False)
class Contractive(Reconstruction):
    """Reconstruction with codes that change little when x does (Rifai et al. 2011, eq. 7).

    The penalty is the squared Frobenius norm of the encoder's Jacobian, by automatic differentiation, so that
    it holds for any encoder. A decoder that grows while the encoder shrinks would lower it for nothing; the
    paper's weights are tied, as those of `MLP(tied=True)`.

    Parameters
    ----------
    weight : float, default=1e-3
        λ, what the penalty is multiplied by.
    directions : int or None, default=1
        Random directions from which the norm is estimated, without bias; None takes all k, and is exact.
    loss : {"mse", "bce", "l1", "huber"}, default="mse"
        See `Reconstruction`.
    """

    weight: NonNegative = 1e-3
    directions: Count | None = 1
    loss: Loss = "mse"

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        # Held-out rows come without gradients, of which the penalty is made.
        with torch.enable_grad():
            varied = self.impute(x.detach()).requires_grad_()
            z = self.encode(network, varied)
            penalty = squared_jacobian(z, varied, self.directions)
        return {"error": self.errors(network, z, x).mean(), "contraction": self.weight * penalty}


@dataclass(eq=False, repr=False)
class Sparse(Reconstruction):
    """Codes most of whose numbers are zero, or nearly.

    Parameters
    ----------
    penalty : {"topk", "l1", "kl"}, default="topk"
        `topk` keeps the largest `active` numbers of each code and sets the others to zero (Makhzani & Frey
        2013, section 2). `l1` takes codes through a ReLU and adds `weight` times their mean size, divided by
        the batch's root mean square, or else a decoder that grows would make the penalty vanish. `kl` takes
        codes through a sigmoid and adds `weight` times Σ_j KL(target ‖ mean of z_j over the batch) (Ng 2011,
        section 3).
    active : int or None, default=None
        Numbers kept by `topk`; None keeps a quarter.
    weight : float, default=0.01
        Factor of the penalty.
    target : float in (0, 1), default=0.05
        ρ of `kl`.
    revive : float, default=1/32
        α of `topk`: what the auxiliary loss is multiplied by, which lets codes that have not been used for
        `dead_after` rows explain what the others leave (Gao et al. 2024, section 2.4 and appendix A.2); here
        through the decoder's difference from a code of zeros, as it need not be linear. 0 is none.
    dead_after : int, default=10000
        Rows.
    loss : {"mse", "bce", "l1", "huber"}, default="mse"
        See `Reconstruction`.
    """

    penalty: Literal["topk", "l1", "kl"] = "topk"
    active: Count | None = None
    weight: NonNegative = 0.01
    target: Fraction = 0.05
    revive: NonNegative = 1 / 32
    dead_after: Count = 10000
    loss: Loss = "mse"

    def extra_modules(self, spec: Spec) -> nn.Module | None:
        """Rows since each number of the code was last used."""
        super().extra_modules(spec)
        k = spec.n_components
        if self.active is not None and self.active > k:
            raise ParameterError(
                f"The 'active' parameter of Sparse must be at most n_components, {k}. Got {self.active}."
            )
        if self.penalty != "topk":
            return None
        extra = nn.Module()
        extra.register_buffer("idle", torch.zeros(k))
        return extra

    @torch.no_grad()
    def init_weights(self, network: Network, baseline: PrincipalComponents) -> None:
        """Encoder rows in random directions of the components' space, and the decoder their transpose.

        Gao et al. 2024, appendix A.1; the components themselves would leave no choice of which to use.
        """
        maps = linear_maps(network)
        if maps is None:
            return
        k = maps[0].out_features
        directions = F.normalize(torch.randn(k, len(baseline.components)), dim=1)
        frame = replace(baseline, components=directions @ baseline.components)
        decode = torch.full((k,), code_size(baseline) * min(1.0, 2 * len(baseline.components) / k))
        slope, bias = self.outputs_at_mean(baseline)
        start_linear(network, frame, decode=decode, slope=slope, bias=bias)
        if self.penalty == "kl":
            maps[0].bias.add_(math.log(self.target / (1 - self.target)))

    def encode(self, network: Network, x: Tensor) -> Tensor:
        return self._sparse(network.encoder(self.impute(x)))

    def project(self, network: Network, z: Tensor) -> Tensor:
        """The code with as few numbers at work, or in the range of the activation."""
        return z.clamp(0, 1) if self.penalty == "kl" else self._sparse(z)

    def _sparse(self, u: Tensor) -> Tensor:
        if self.penalty == "topk":
            return largest(u, max(1, u.shape[1] // 4) if self.active is None else self.active)
        return u.relu() if self.penalty == "l1" else u.sigmoid()

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        u = network.encoder(self.impute(x))
        z = self._sparse(u)
        error = self.errors(network, z, x).mean()
        if self.penalty == "l1":
            size = z.square().mean().add(1e-12).sqrt()
            return {"error": error, "sparsity": self.weight * z.abs().mean() / size}
        if self.penalty == "kl":
            used, target = z.float().mean(dim=0).clamp(1e-6, 1 - 1e-6), self.target
            divergence = target * (target / used).log() + (1 - target) * ((1 - target) / (1 - used)).log()
            return {"error": error, "sparsity": self.weight * divergence.sum()}
        if not (network.training and self.revive):
            return {"error": error}
        return {"error": error, "revival": self.revive * self._revival(network, self.impute(x), u, z)}

    def _revival(self, network: Network, x: Tensor, u: Tensor, z: Tensor) -> Tensor:
        """The error with which dead numbers of the code explain what the others leave; 0 if none is dead."""
        idle = network.extra.get_buffer("idle")
        with torch.no_grad():
            idle.copy_(torch.where((z != 0).any(dim=0), 0.0, idle + len(x)))
            dead = idle > self.dead_after
            decoded = self.decode(network, z)
        chosen = largest(u.masked_fill(~dead, -torch.inf), max(1, u.shape[1] // 2))
        chosen = torch.where(dead, chosen, 0.0)
        # What is left is in units of x, and logits are not.
        if self.logits or self.layout is not None:
            explained = self.decode(network, z.detach() + chosen) - decoded
        else:
            explained = network.decoder(chosen) - network.decoder(torch.zeros_like(z))
        return F.mse_loss(explained, x - decoded) * dead.any()


def largest(u: Tensor, count: int) -> Tensor:
    """The `count` largest numbers of each row of u, and zeros."""
    values, places = u.topk(count, dim=1)
    return torch.zeros_like(u).scatter(1, places, values)


@dataclass(eq=False, repr=False)
class Masked(Reconstruction):
    """Reconstruct whole rows from a part of their values (in the spirit of He et al. 2022, section 3).

    A hidden value is replaced by a learned one of each feature, the mask token, which starts at its mean.

    Parameters
    ----------
    ratio : float in [0, 1), default=0.5
        The share of the values, or patches, that are hidden from the encoder while training.
    patch : int, default=1
        Values are hidden in squares of so many pixels, or stretches of a signal; 1 for tables.
    missing : {"error", "mask"}, default="error"
        `mask` lets NaN in x: missing values are hidden, count in no error, and are filled in by
        `reconstruct`.
    on : {"all", "hidden"}, default="all"
        The loss is of all values that are known, or of the hidden ones among them, as in the paper.
    loss : {"mse", "bce", "l1", "huber"}, default="mse"
        See `Reconstruction`.
    """

    ratio: BelowOne = 0.5
    patch: Count = 1
    missing: Literal["error", "mask"] = "error"
    on: Literal["all", "hidden"] = "all"
    loss: Loss = "mse"

    @property
    def takes_missing(self) -> bool:
        return self.missing == "mask" or self.layout is not None

    def extra_modules(self, spec: Spec) -> nn.Module | None:
        """The mask token, and the patch that each value belongs to."""
        super().extra_modules(spec)
        rows, *columns = (torch.arange(size) // self.patch for size in spec.sample_shape[:2])
        patches = rows[:, None] * (columns[0][-1] + 1) + columns[0] if columns else rows
        if self.layout is not None:  # whole columns of the table
            patches = torch.tensor(self.layout.owners)
        channels = spec.d // patches.numel()
        extra = nn.Module()
        extra.token = nn.Parameter(torch.zeros(spec.d))
        extra.register_buffer("patches", patches.flatten().repeat_interleave(channels))
        return extra

    @torch.no_grad()
    def init_weights(self, network: Network, baseline: PrincipalComponents) -> None:
        super().init_weights(network, baseline)
        network.extra.get_parameter("token").copy_(baseline.mean)

    def encode(self, network: Network, x: Tensor) -> Tensor:
        if self.takes_missing:
            x = torch.where(x.isnan(), network.extra.get_parameter("token"), x)
        return super().encode(network, x)

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        token = network.extra.get_parameter("token")
        known = ~x.isnan()
        # As many draws as values, of which each patch uses one.
        draws = torch.rand_like(x).index_select(1, network.extra.get_buffer("patches"))
        hidden = draws < self.ratio
        z = network.encoder(torch.where(hidden | ~known, token, x))
        target = torch.where(known, x, 0.0)  # before the loss: NaN times zero is NaN
        counted = (known & hidden if self.on == "hidden" else known).to(x.dtype)
        errors = self.value_errors(network.decoder(z), target, self.loss, self.delta)
        return {"error": (errors * counted).sum() / counted.sum().clamp_min(1)}


@dataclass(eq=False, repr=False)
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
        Parameter of the geometric distribution.
    loss : {"mse", "bce", "l1", "huber"}, default="mse"
        See `Reconstruction`.
    """

    truncation: Literal["uniform", "geometric"] = "uniform"
    rate: Fraction = 0.1
    loss: Loss = "mse"

    ordered = True

    def lengths(self, n: int, k: int, device: torch.device) -> Tensor:
        """The numbers of k that each of n rows keeps: (n, 1), from 1 to k."""
        draw = torch.rand(n, 1, device=device)
        if self.truncation == "uniform":
            return (draw * k).floor().add(1).clamp_max(k)
        return ((1 - draw).log() / math.log(1 - self.rate)).floor().add(1).clamp_max(k)

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        z = self.encode(network, x)
        k = z.shape[1]
        kept = torch.arange(k, device=z.device) < self.lengths(len(z), k, z.device)
        return {"error": self.errors(network, z * kept, x).mean()}

    @torch.no_grad()
    def errors_by_length(self, network: Network, x: Tensor) -> Tensor:
        """The mean squared error, in scaled units, of rows (n, d) from the first 1, 2, …, k numbers: (k,)."""
        z = self.encode(network, x)
        kept = torch.ones(z.shape[1], z.shape[1], device=z.device).tril()
        squares = ((self.decode(network, z * row) - x).square() for row in kept)
        mean = torch.Tensor.mean if self.layout is None else torch.Tensor.nanmean
        return torch.stack([mean(values) for values in squares])
