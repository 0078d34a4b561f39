"""The variational auto-encoder and its kin."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.base.constraints import Count, NonNegative, Positive
from codeword.base.errors import ParameterError
from codeword.networks import Network, Spec
from codeword.networks.base import linear_maps, start_linear
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import mixed
from codeword.objectives.base import Objective, component_std

LOG_2PI = math.log(2 * math.pi)

LEAST_VARIANCE = 1e-6
"""Added to the decoder's variance: rows that are reconstructed exactly have no infinite density."""


@dataclass(eq=False, repr=False)
class Variational(Objective):
    """The variational auto-encoder (Kingma & Welling 2013, eq. 10 and appendix B).

    The encoder gives mean and log-variance of a normal posterior; the prior is the standard normal. The
    negative bound is summed over features and over code dimensions, then averaged over rows, in nats. Codes
    are posterior means.

    Networks with a linear skip start as probabilistic PCA (Tipping & Bishop 1999), the optimum of a linear
    variational auto-encoder (Lucas et al. 2019); for Bernoulli likelihoods, as its first-order likeness.

    Parameters
    ----------
    beta : float, default=1
        Factor of the KL divergence (Higgins et al. 2017, eq. 4), or, with `decomposition`, the
        total correlation in it.
    decomposition : {"tc"} or None, default=None
        `tc` takes the KL divergence apart and weighs the total correlation alone (Chen et al. 2018, eq. 4),
        by their minibatch-weighted sampling, with the batch for the data set: what that leaves out is
        constant.
    free_bits : float, default=0
        Nats of each code dimension's KL divergence, averaged over the batch, that cost nothing (Kingma et al.
        2016, appendix C.8).
    likelihood : {"gaussian", "bernoulli"}, default="gaussian"
        Distribution of values given a code; `bernoulli` is for values in [0, 1] and a decoder of logits.
    variance : {"learned", "by_feature"} or float, default="learned"
        Variance of the Gaussian likelihood, in scaled units: one number that is learned with the weights
        (Rybkin et al. 2021), one for each feature, or a given one.
    n_importance : int, default=1
        Samples of the importance-weighted bound that is trained (Burda et al. 2015, eq. 8); with more than
        one, the bound is taken as it is, without `beta`, `decomposition` or `free_bits`.
    """

    beta: NonNegative = 1.0
    decomposition: Literal["tc"] | None = None
    free_bits: NonNegative = 0.0
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    variance: Literal["learned", "by_feature"] | Positive = "learned"
    n_importance: Count = 1

    normal_prior = True

    @property
    def logits(self) -> bool:
        return self.likelihood == "bernoulli"

    def check(self) -> None:
        super().check()
        if self.n_importance > 1 and (self.beta != 1 or self.decomposition or self.free_bits):
            raise ParameterError(
                "The 'n_importance' parameter of Variational can be above 1 only with beta=1, without "
                "decomposition and without free_bits: the importance-weighted bound has no KL term of its own"
            )

    def encoder_outputs(self, n_components: int) -> int:
        """Means, then log-variances."""
        return 2 * n_components

    def extra_modules(self, spec: Spec) -> nn.Module | None:
        """The log-variance of the Gaussian likelihood."""
        super().extra_modules(spec)
        if self.likelihood == "bernoulli":
            return None
        extra = nn.Module()
        if isinstance(self.variance, str):
            size = (spec.d,) if self.variance == "by_feature" else ()
            extra.log_variance = nn.Parameter(torch.zeros(size))
        else:
            extra.register_buffer("log_variance", torch.tensor(math.log(self.variance)))
        return extra

    # -- where training begins ------------------------------------------------------------------------------

    @torch.no_grad()
    def init_weights(self, network: Network, baseline: PrincipalComponents) -> None:
        """Start as probabilistic PCA.

        With σ² for the variance of a value given its code, W for the decoder and c for a component: the
        posterior's precision is 1 + ‖W c‖² / σ², and its mean what that makes of the component.
        """
        deviations = component_std(baseline)
        slope, bias = self.outputs_at_mean(baseline)
        if self.likelihood == "gaussian":
            log_variance = _log_variance(network)
            if isinstance(self.variance, str):
                # What the components leave, over the dimensions that they leave: Tipping & Bishop, eq. 8.
                d, k = len(baseline.mean), len(baseline.components)
                log_variance.fill_(math.log(max(baseline.residual * d / max(d - k, 1), LEAST_VARIANCE)))
            variance = log_variance.exp().mean()
            decode = (deviations**2 - variance).clamp_min(0.01 * deviations**2).sqrt()
            information = decode**2 / variance
        else:
            assert slope is not None
            decode = deviations
            curvature = baseline.mean.clamp(0, 1) * (1 - baseline.mean.clamp(0, 1))
            information = decode**2 * (baseline.components.square() * curvature / slope**2).sum(dim=1)
        precision = 1 + information / max(self.beta, 1e-3)
        encode = (1 - 1 / precision) / decode
        start_linear(network, baseline, encode=encode, decode=decode, slope=slope, bias=bias)
        maps = linear_maps(network)
        if maps is not None:
            k = maps[0].out_features // 2
            maps[0].bias[k : k + len(precision)] = -precision.log()

    # -- the two directions ---------------------------------------------------------------------------------

    def posterior(self, network: Network, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the code of each row, (n, k) each."""
        mean, log_variance = network.encoder(self.impute(x)).float().chunk(2, dim=1)
        return mean, log_variance

    def encode(self, network: Network, x: Tensor) -> Tensor:
        """The posterior mean."""
        return self.posterior(network, x)[0]

    def latent_metrics(self, network: Network, rows: Iterator[Tensor]) -> dict[str, list[float]]:
        """Nats of each number of the code, averaged over rows."""
        total, n = torch.zeros(1, dtype=torch.float64), 0
        for x in rows:
            total = total + divergence(*self.posterior(network, x)).double().sum(dim=0).cpu()
            n += len(x)
        return {"kl_per_dimension": (total / n).tolist()}

    def log_density(self, network: Network, z: Tensor, x: Tensor) -> Tensor:
        """log p(x | z), in nats and scaled units, of codes (n, k) and rows (n, d): shape (n,)."""
        out = network.decoder(z).float()
        if self.likelihood == "bernoulli":
            return -F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(dim=1)
        log_variance = _log_variance(network)
        variance = log_variance.exp() + LEAST_VARIANCE
        if self.layout is not None:
            of_numbers = variance[: self.layout.numbers] if variance.ndim else variance
            return mixed.log_likelihood(self.layout, out, x, lambda y, t: _normal(y, t, of_numbers))
        return _normal(out, x, variance).sum(dim=1)

    # -- losses ---------------------------------------------------------------------------------------------

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        if self.n_importance > 1:
            weights = self.log_weights(network, x, self.n_importance)
            bound = weights.logsumexp(dim=0) - math.log(self.n_importance)
            return {"bound": -bound.mean()}
        mean, log_variance = self.posterior(network, x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        error = -self.log_density(network, z, x).mean()
        kl = divergence(mean, log_variance).mean(dim=0)
        if self.free_bits:
            kl = kl.clamp_min(self.free_bits)
        if self.decomposition is None:
            return {"error": error, "kl": self.beta * kl.sum()}
        correlation = (self.beta - 1) * total_correlation(z, mean, log_variance)
        return {"error": error, "kl": kl.sum(), "total_correlation": correlation}

    def log_weights(self, network: Network, x: Tensor, n_samples: int) -> Tensor:
        """log p(x, z) - log q(z | x) of codes drawn from the posterior: shape (n_samples, n)."""
        mean, log_variance = self.posterior(network, x)
        noise = torch.randn(n_samples, *mean.shape, device=x.device)
        z = mean + (0.5 * log_variance).exp() * noise
        # Of both normal densities the constant is the same, and goes.
        prior_over_posterior = 0.5 * (noise.square() + log_variance - z.square()).sum(dim=2)
        rows = x.expand(n_samples, *x.shape).reshape(-1, x.shape[1])
        return self.log_density(network, z.flatten(0, 1), rows).view(n_samples, len(x)) + prior_over_posterior

    @torch.no_grad()
    def log_likelihood(
        self, network: Network, x: Tensor, n_samples: int = 100, batch_size: int = 1 << 14
    ) -> Tensor:
        """A lower bound of log p(x) of each row, (n,) in nats, reached with many samples of its code.

        Burda et al. 2015, eq. 8; values x (n, d) are in scaled units, codes are drawn from torch's default
        generator, and `batch_size` of them are decoded at once. One sample gives the usual bound.
        """
        parts = []
        for rows in torch.split(x, max(1, batch_size // n_samples)):
            at_once = max(1, min(n_samples, batch_size // len(rows)))
            total = torch.full((len(rows),), -torch.inf, device=x.device)
            for first in range(0, n_samples, at_once):
                weights = self.log_weights(network, rows, min(at_once, n_samples - first))
                total = torch.logaddexp(total, weights.logsumexp(dim=0))
            parts.append(total - math.log(n_samples))
        return torch.cat(parts)


def _log_variance(network: Network) -> Tensor:
    """A parameter or, where it is given, a buffer."""
    return cast(Tensor, network.extra.log_variance)


def _normal(mean: Tensor, x: Tensor, variance: Tensor) -> Tensor:
    """The log density of each value."""
    return -0.5 * (LOG_2PI + variance.log() + (x - mean).square() / variance)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) ‖ N(0, 1)) of each number (Kingma & Welling 2013, appendix B): same shape."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def total_correlation(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q(z) ‖ Π_j q(z_j)), with the batch's mixture of posteriors for q (Chen et al. 2018, section 4.1).

    All three of shape (n, k); z drawn from the posteriors.
    """
    scaled = (z[:, None] - mean[None]).square() * (-log_variance[None]).exp()
    densities = -0.5 * (LOG_2PI + log_variance[None] + scaled)  # log q(z_ij | x_m), of shape (n, n, k)
    n = len(z)
    joint = densities.sum(dim=2).logsumexp(dim=1) - math.log(n)
    marginals = (densities.logsumexp(dim=1) - math.log(n)).sum(dim=1)
    return (joint - marginals).mean()
