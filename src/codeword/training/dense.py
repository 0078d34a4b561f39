"""The forward and backward pass of dense networks, written out, without autograd.

On a CPU and small batches half of a step's time is autograd's own and the allocator's. Here each layer keeps
its results in buffers that are made once for each size of batch. The derivatives of the activations are
torch's own backward kernels; what is written here is the chain rule for `Linear`, `Skip` and `Clip`. A test
holds the gradients to autograd's.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from codeword.networks import Clip, Network, Skip
from codeword.networks.pca import affine

__all__ = ["Buffers", "Chain", "chain_of"]

_aten = torch.ops.aten


class Layer(Protocol):
    """A part of a network: what `backward` needs of the last `forward` it keeps."""

    def forward(self, x: Tensor) -> Tensor:
        """The output of a batch."""
        ...

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        """From the loss's gradient by the output, which it may overwrite, to that by the input, if `wanted`.

        The gradients by the parameters are written to their `.grad`.
        """
        ...


class Buffers:
    """Tensors that are made once for each shape."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, int, int], Tensor] = {}

    def get(self, name: str, n: int, width: int) -> Tensor:
        """The buffer of that name and shape (n, width)."""
        found = self.made.get((name, n, width))
        if found is None:
            found = self.made[name, n, width] = torch.empty(n, width)
        return found


class LinearLayer:
    """y = x Wᵀ + b."""

    def __init__(self, module: nn.Linear) -> None:
        self.module = module
        self.buffers = Buffers()
        self.x: Tensor = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        module = self.module
        return affine(x, module.weight, module.bias, self.buffers.get("y", len(x), module.out_features))

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        """See `Layer.backward`: ∂L/∂W = gᵀ x, ∂L/∂b = Σ g, ∂L/∂x = g W."""
        weight, bias = self.module.weight, self.module.bias
        assert weight.grad is not None
        assert bias.grad is not None
        by_weight = affine(gradient.t(), self.x.t(), None, weight.grad)
        if by_weight is not weight.grad:
            weight.grad.copy_(by_weight)
        torch.sum(gradient, 0, out=bias.grad)
        if not wanted:
            return None
        return affine(gradient, weight.t(), None, self.buffers.get("x", len(gradient), weight.shape[1]))


class ActivationLayer:
    """An elementwise function; its gradient takes the place of the one it is given."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.buffers = Buffers()
        self.before = self.after = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.before = x
        self.after = _FORWARD[type(self.module)](self.module, x, self.buffers.get("y", *x.shape))
        return self.after

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        _BACKWARD[type(self.module)](self.module, gradient, self.before, self.after)
        return gradient


class SkipLayer:
    """y = linear(x) + deep(x)."""

    def __init__(self, linear: LinearLayer, deep: Chain) -> None:
        self.linear, self.deep = linear, deep

    def forward(self, x: Tensor) -> Tensor:
        return self.linear.forward(x).add_(self.deep.forward(x))

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        """The linear way goes first, since the deep one may overwrite the gradient."""
        straight = self.linear.backward(gradient, wanted)
        deep = self.deep.backward(gradient, wanted)
        return None if straight is None or deep is None else straight.add_(deep)


class Chain:
    """Layers one after the other."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        found: Tensor | None = gradient
        for i in range(len(self.layers) - 1, -1, -1):
            assert found is not None
            found = self.layers[i].backward(found, wanted or i > 0)
        return found


def chain_of(network: Network) -> Chain | None:
    """The layers of a network, if they are all known here, plain and trained; else None."""
    modules = list(network.modules())
    parameters = [p for m in modules for p in m._parameters.values() if p is not None]
    hooked = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in modules)
    tied = len({id(p) for p in parameters}) < len(parameters)
    plain = isinstance(network.extra, nn.Identity) and all(p.requires_grad for p in parameters)
    if hooked or tied or not plain:
        return None
    used: list[nn.Module] = []
    layers = _layers(nn.Sequential(network.encoder, network.decoder), used)
    # A layer that is used twice would have the second gradient written over the first.
    return None if layers is None or len(set(used)) < len(used) else Chain(layers)


def _layers(module: nn.Module, used: list[nn.Module]) -> list[Layer] | None:
    """A module as layers, in order; None if there is anything else in it. `used` gets its linear maps."""
    kind = type(module)
    if isinstance(module, nn.Linear) and kind is nn.Linear and module.bias is not None:
        used.append(module)
        return [LinearLayer(module)]
    if kind is nn.Flatten:
        return []
    if kind in _BACKWARD:
        return [ActivationLayer(module)]
    if kind is nn.Sequential:
        parts = [_layers(child, used) for child in module.children()]
        return (
            None if any(part is None for part in parts) else [layer for part in parts for layer in part or []]
        )
    if isinstance(module, Skip) and kind is Skip:
        linear, deep = _layers(module.linear, used), _layers(module.deep, used)
        if linear and deep and isinstance(linear[0], LinearLayer) and isinstance(deep[-1], LinearLayer):
            return [SkipLayer(linear[0], Chain(deep))]
    return None


def _clip(module: nn.Module, before: Tensor, after: Tensor) -> Tensor:
    torch.clamp(before, 0, 1, out=after)
    return after.lerp_(before, 0.01)


def _clip_backward(module: nn.Module, gradient: Tensor, before: Tensor, after: Tensor) -> None:
    inside = (before >= 0) & (before <= 1)
    gradient.mul_(inside.float().mul_(0.99).add_(0.01))


# activation(module, before, out=after) -> after
_FORWARD: dict[type[nn.Module], Any] = {
    nn.LeakyReLU: lambda m, before, after: _aten.leaky_relu.out(before, m.negative_slope, out=after),
    nn.ReLU: lambda m, before, after: torch.clamp_min(before, 0, out=after),
    nn.SiLU: lambda m, before, after: _aten.silu.out(before, out=after),
    nn.GELU: lambda m, before, after: _aten.gelu.out(before, approximate=m.approximate, out=after),
    nn.Tanh: lambda m, before, after: torch.tanh(before, out=after),
    nn.Sigmoid: lambda m, before, after: torch.sigmoid(before, out=after),
    Clip: _clip,
}

# the gradient of `after` becomes, in place, the gradient of `before`
_BACKWARD: dict[type[nn.Module], Any] = {
    nn.LeakyReLU: lambda m, g, before, after: _aten.leaky_relu_backward.grad_input(
        g, before, m.negative_slope, False, grad_input=g
    ),
    nn.ReLU: lambda m, g, before, after: _aten.threshold_backward.grad_input(g, before, 0, grad_input=g),
    nn.SiLU: lambda m, g, before, after: _aten.silu_backward.grad_input(g, before, grad_input=g),
    nn.GELU: lambda m, g, before, after: _aten.gelu_backward.grad_input(
        g, before, approximate=m.approximate, grad_input=g
    ),
    nn.Tanh: lambda m, g, before, after: _aten.tanh_backward.grad_input(g, after, grad_input=g),
    nn.Sigmoid: lambda m, g, before, after: _aten.sigmoid_backward.grad_input(g, after, grad_input=g),
    Clip: _clip_backward,
}
