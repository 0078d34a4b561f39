"""The base of all objectives, as the fit loop and the estimator see one, and plain reconstruction."""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codeword.base.constraints import Positive
from codeword.base.errors import ParameterError
from codeword.data.columns import Layout
from codeword.networks import Network, Spec
from codeword.networks.base import Configurable, start_linear
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import mixed

Loss = Literal["mse", "bce", "l1", "huber"]

LOSSES: dict[Loss, Callable[[Tensor, Tensor, float], Tensor]] = {
    "mse": lambda out, x, delta: F.mse_loss(out, x, reduction="none"),
    "bce": lambda out, x, delta: F.binary_cross_entropy_with_logits(out, x, reduction="none"),
    "l1": lambda out, x, delta: F.l1_loss(out, x, reduction="none"),
    "huber": lambda out, x, delta: F.huber_loss(out, x, reduction="none", delta=delta),
}
"""Losses of each value, by name: of the decoder's output, the data, and the Huber loss's bend."""


class Objective(Configurable):
    """Base of the objectives: a subclass writes `losses`, and what else differs from a plain auto-encoder."""

    ordered = False
    """Whether the first numbers of a code are a code of their own, so that `transform` can cut it."""

    layout: Layout | None = None
    """The parts of a row where rows are those of a mixed table: each part has the loss of its kind."""

    normal_prior = False
    """Whether codes are made to be standard normal, so that new samples can be decoded from such numbers."""

    @property
    def whitened(self) -> bool:
        """Whether codes start with mean 0 and the identity for covariance, as a standard normal prior has."""
        return self.normal_prior

    @property
    def logits(self) -> bool:
        """Whether the decoder gives logits, of which `decode` takes the sigmoid."""
        return False

    @property
    def takes_missing(self) -> bool:
        """Whether x may hold NaN."""
        return self.layout is not None

    def encoder_outputs(self, n_components: int) -> int:
        """The numbers that the encoder puts out for a code of `n_components`."""
        return n_components

    def extra_modules(self, spec: Spec) -> nn.Module | None:
        """Modules and buffers of the objective's own, trained and saved with the network.

        A ParameterError says which parameter does not fit the data or the length of the code.
        """
        if self.logits and not spec.bounded:
            raise ParameterError(
                f"{self} takes values in [0, 1], and these are not scaled to it: "
                "use scaling='pixels' or 'unit', or a loss for any values"
            )
        return None

    def init_weights(self, network: Network, baseline: PrincipalComponents) -> None:
        """Bring a new network, whose linear maps are PCA, to where training should begin."""
        slope, bias = self.outputs_at_mean(baseline)
        if self.whitened:
            deviations = component_std(baseline)
            start_linear(network, baseline, encode=1 / deviations, decode=deviations, slope=slope, bias=bias)
        elif slope is not None:
            start_linear(network, baseline, slope=slope, bias=bias)

    def outputs_at_mean(self, baseline: PrincipalComponents) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """The slope of what follows the decoder, and its outputs, at the data's mean; None where it is 1.

        The sigmoid's slope keeps away from zero, where the mean is near 0 or 1 and a line says nothing of it.
        """
        if self.layout is not None:
            return mixed.start(self.layout, baseline.mean)
        p = baseline.mean.clamp(0.005, 0.995)
        return ((p * (1 - p)).clamp_min(0.05), p.logit()) if self.logits else (None, None)

    def impute(self, x: Tensor) -> Tensor:
        """Rows (n, d) as the encoder takes them: of a mixed table, with means for what is missing."""
        return x if self.layout is None else mixed.impute(self.layout, x)

    def encode(self, network: Network, x: Tensor) -> Tensor:
        """Rows (n, d) in scaled units to codes (n, k)."""
        code: Tensor = network.encoder(self.impute(x))
        return code

    def decode(self, network: Network, z: Tensor) -> Tensor:
        """Codes (n, k) to rows (n, d) in scaled units."""
        x_hat: Tensor = network.decoder(z)
        if self.layout is not None:
            return mixed.decoded(self.layout, x_hat)
        return x_hat.sigmoid() if self.logits else x_hat

    def indices(self, network: Network, x: Tensor) -> Tensor:
        """Rows (n, d) to the indices of their discrete codes, (n, number of indices), int64."""
        raise ParameterError(f"{type(self).__name__} has no indices: its codes are not discrete")

    def lookup(self, network: Network, indices: Tensor) -> Tensor:
        """Indices that `indices` gave to codes (n, k)."""
        raise ParameterError(f"{type(self).__name__} has no indices: its codes are not discrete")

    def project(self, network: Network, z: Tensor) -> Tensor:
        """Any codes (n, k) to codes such as the encoder gives."""
        return z

    def latent_metrics(self, network: Network, rows: Iterator[Tensor]) -> dict[str, list[float]]:
        """Metrics of the codes of rows, (n, d) in scaled units at a time, that only the objective knows."""
        return {}

    def epoch_metrics(self, network: Network) -> dict[str, float]:
        """Further columns of the history: numbers that are shown, and not minimized."""
        return {}

    def value_errors(self, out: Tensor, x: Tensor, loss: Loss = "mse", delta: float = 1.0) -> Tensor:
        """The loss of each value of rows x (n, d), given what the decoder put out: (n, d).

        For a mixed table `loss` is that of the numbers: see `mixed.errors`.
        """
        if self.layout is None:
            return LOSSES[loss](out, x, delta)
        return mixed.errors(self.layout, out, x, lambda y, t: LOSSES[loss](y, t, delta))

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        """Named scalar losses of a batch (n, d), each averaged over its rows; their sum is minimized."""
        raise NotImplementedError


class Reconstruction(Objective):
    """Plain reconstruction: the loss of g(f(x)), averaged over rows and features.

    Parameters
    ----------
    loss : {"mse", "bce", "l1", "huber"}, default="mse"
        The squared error; the Bernoulli cross-entropy, for values in [0, 1], with the decoder's output taken
        as logits; the absolute error; or Huber's (1964), squared up to `delta` and linear beyond.
    delta : float, default=1
        In scaled units; for `huber` alone.
    """

    loss: Loss
    delta: Positive = 1.0

    def __init__(self, loss: Loss = "mse", delta: float = 1.0) -> None:
        self.loss = loss
        self.delta = delta

    @property
    def plain(self) -> bool:
        """Whether the mean squared error is all that is minimized."""
        return type(self) is Reconstruction and self.loss == "mse" and self.layout is None

    @property
    def logits(self) -> bool:
        return self.loss == "bce"

    def errors(self, network: Network, z: Tensor, x: Tensor) -> Tensor:
        """The loss of each value of x when it is decoded from codes z: shape (n, d)."""
        return self.value_errors(network.decoder(z), x, self.loss, self.delta)

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        return {"error": self.errors(network, self.encode(network, x), x).mean()}


def squared_jacobian(y: Tensor, x: Tensor, directions: int | None) -> Tensor:
    """The squared Frobenius norm of dy/dx, averaged over rows, of y (n, k) that was computed from x (n, d).

    With `directions` it is estimated without bias from so many vector-Jacobian products, as E‖vᵀJ‖² over v of
    random signs (Hutchinson 1990); with None it is exact and takes k of them.
    """
    if directions is None:
        sums = y.sum(dim=0).unbind()
    else:
        signs = torch.empty(directions, *y.shape, device=y.device).bernoulli_(0.5).mul_(2).sub_(1)
        sums = (signs * y).sum(dim=(1, 2)).unbind()
    norms = [torch.autograd.grad(s, x, create_graph=True)[0].square().sum() for s in sums]
    return torch.stack(norms).sum() / len(x) / (1 if directions is None else directions)


def component_std(baseline: PrincipalComponents) -> Tensor:
    """The deviations of the components, (k,), none of them so small that to divide by it would hurt."""
    deviations = baseline.deviations
    if not len(deviations) or not float(deviations.max()):
        return torch.ones_like(deviations)
    return deviations.clamp_min(1e-3 * float(deviations.max()))
