"""Dense layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from codeword.base.constraints import BelowOne, Widths
from codeword.networks.base import ACTIVATIONS, Activation, Architecture, Spec, Transposed


class BatchNorm(nn.BatchNorm1d):
    """Batch normalization that takes a batch of one row, whose variance is not known, by the running one."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


_NORMS: dict[str, type[nn.Module]] = {"batch": BatchNorm, "layer": nn.LayerNorm}


@dataclass(eq=False, repr=False)
class MLP(Architecture):
    """Dense layers: d → hidden → k → hidden reversed → d, an activation after each hidden layer.

    Parameters
    ----------
    hidden : sequence of int, default=(512, 256)
        Widths of the encoder's hidden layers; the decoder has them in reverse. `()` is a linear auto-encoder.
    activation : {"silu", "gelu", "relu", "leaky_relu", "tanh"}, default="silu"
    linear_skip : bool, default=True
        Add a linear map from rows to codes, and one from codes to rows, to the dense layers, and start
        with PCA in the first and zero in the second: training begins at PCA's error and goes down from there.
        Outputs that must lie in [0, 1] are clipped to it. Without it the layers start at random, and such
        outputs end in a sigmoid.
    norm : {"batch", "layer"} or None, default=None
        Normalize the inputs of each activation (Ioffe & Szegedy 2015; Ba et al. 2016).
    dropout : float in [0, 1), default=0
        The share of each hidden layer's outputs that are set to zero while training.
    tied : bool, default=False
        The decoder's weights are the encoder's, transposed; its biases are its own.
    """

    hidden: Widths = (512, 256)
    activation: Activation = "silu"
    linear_skip: bool = True
    norm: Literal["batch", "layer"] | None = None
    dropout: BelowOne = 0.0
    tied: bool = False

    def build(self, spec: Spec) -> tuple[nn.Module, nn.Module]:
        into = [nn.Linear(a, b) for a, b in pairwise([spec.d, *self.hidden, spec.width])]
        back: list[nn.Module] = [
            nn.Linear(a, b) for a, b in pairwise([spec.n_components, *self.hidden[::-1], spec.d])
        ]
        if self.tied:
            rows = [*self.hidden, spec.n_components]
            back = [Transposed(layer, n) for layer, n in zip(into[::-1], rows[::-1], strict=True)]
        encoder, decoder = self._chain(into, self.hidden), self._chain(back, self.hidden[::-1])
        return self._complete(encoder, decoder, spec, tied=self.tied)

    def _chain(self, layers: Sequence[nn.Module], hidden: Sequence[int]) -> nn.Sequential:
        """The layers, with what belongs between them."""
        chain: list[nn.Module] = []
        for layer, width in zip(layers[:-1], hidden, strict=True):
            chain.append(layer)
            if self.norm is not None:
                chain.append(_NORMS[self.norm](width))
            chain.append(ACTIVATIONS[self.activation]())
            if self.dropout:
                chain.append(nn.Dropout(self.dropout))
        return nn.Sequential(*chain, layers[-1])
