"""The forward and backward pass of dense networks, written out, without autograd.

On a CPU and small batches half of a step's time is autograd's own and the allocator's. Here each layer keeps
its results in buffers that are made once for each size of batch. The derivatives of the activations are
torch's own backward kernels; what is written here is the chain rule for `Linear`, `Skip` and `Clip`. A test
holds the gradients to autograd's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from codeword.networks import Clip, Network, Skip
from codeword.networks.pca import affine

_aten = torch.ops.aten


class Layer(Protocol):
    """A part of a network, whose `backward` needs what its last `forward` left."""

    def forward(self, x: Tensor) -> Tensor:
        """The output of a batch."""

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor:
        """From the loss's gradient by the output, which it may overwrite, to that by the input, if `wanted`.

        The gradients by the parameters are written to their `.grad`.
        """


class Buffers(dict[tuple[str, int, int], Tensor]):
    """Tensors by name and shape (n, width), made when they are first asked for."""

    def __missing__(self, key: tuple[str, int, int]) -> Tensor:
        made = self[key] = torch.empty(key[1:])
        return made


class LinearLayer:
    """y = x Wᵀ + b."""

    def __init__(self, module: nn.Linear) -> None:
        self.module = module
        self.buffers = Buffers()
        self.x = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.x = x
        module = self.module
        return affine(x, module.weight, module.bias, self.buffers["y", len(x), module.out_features])

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor:
        """Compute ∂L/∂W = gᵀ x, ∂L/∂b = Σ g and ∂L/∂x = g W."""
        weight, bias = self.module.weight, self.module.bias
        assert weight.grad is not None
        assert bias.grad is not None
        by_weight = affine(gradient.t(), self.x.t(), None, weight.grad)
        if by_weight is not weight.grad:
            weight.grad.copy_(by_weight)
        torch.sum(gradient, 0, out=bias.grad)
        if not wanted:
            return gradient
        return affine(gradient, weight.t(), None, self.buffers["x", len(gradient), weight.shape[1]])


class ActivationLayer:
    """An elementwise function; its gradient takes the place of the one it is given."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.run, self.run_back = _ACTIVATIONS[type(module)]
        self.buffers = Buffers()
        self.before = self.after = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.before = x
        self.after = self.run(self.module, x, self.buffers["y", x.shape[0], x.shape[1]])
        return self.after

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor:
        self.run_back(self.module, gradient, self.before, self.after)
        return gradient


class SkipLayer:
    """y = linear(x) + deep(x)."""

    def __init__(self, linear: LinearLayer, deep: Chain) -> None:
        self.linear, self.deep = linear, deep

    def forward(self, x: Tensor) -> Tensor:
        return self.linear.forward(x).add_(self.deep.forward(x))

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor:
        """Take the linear way first, since the deep one may overwrite the gradient."""
        straight = self.linear.backward(gradient, wanted)
        deep = self.deep.backward(gradient, wanted)
        return straight.add_(deep) if wanted else gradient


class Chain:
    """Layers one after the other."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor:
        for i in range(len(self.layers) - 1, -1, -1):
            gradient = self.layers[i].backward(gradient, wanted or i > 0)
        return gradient


def chain_of(network: Network) -> Chain | None:
    """The layers of a network, if they are all known here, plain and trained; else None."""
    modules = list(network.modules())
    hooked = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in modules)
    # A parameter that is used twice would have the second gradient written over the first.
    parameters = [p for _, p in network.named_parameters(remove_duplicate=False)]
    tied = len(set(parameters)) < len(parameters)
    plain = isinstance(network.extra, nn.Identity) and all(p.requires_grad for p in parameters)
    if hooked or tied or not plain:
        return None
    try:
        return Chain([*_layers(network.encoder), *_layers(network.decoder)])
    except NotImplementedError:
        return None


def _layers(module: nn.Module) -> list[Layer]:
    """A module as layers, in order; a NotImplementedError if there is anything else in it."""
    kind = type(module)
    if isinstance(module, nn.Linear) and kind is nn.Linear and module.bias is not None:
        return [LinearLayer(module)]
    if kind is nn.Flatten:
        return []
    if kind in _ACTIVATIONS:
        return [ActivationLayer(module)]
    if kind is nn.Sequential:
        return [layer for child in module.children() for layer in _layers(child)]
    if type(module) is Skip and module.gate is None:
        linear, deep = _layers(module.linear), _layers(module.deep)
        if len(linear) == 1 and isinstance(linear[0], LinearLayer):
            return [SkipLayer(linear[0], Chain(deep))]
    raise NotImplementedError(f"{kind.__name__} is left to autograd")


# Of each kind y from (module, x, out); and what makes, in place, of the gradient by y the one by x.
_ACTIVATIONS: dict[type[nn.Module], tuple[Callable[..., Tensor], Callable[..., Any]]] = {
    nn.LeakyReLU: (
        lambda m, x, out: _aten.leaky_relu.out(x, m.negative_slope, out=out),
        lambda m, g, x, y: _aten.leaky_relu_backward.grad_input(g, x, m.negative_slope, False, grad_input=g),
    ),
    nn.ReLU: (
        lambda m, x, out: torch.clamp_min(x, 0, out=out),
        lambda m, g, x, y: _aten.threshold_backward.grad_input(g, x, 0, grad_input=g),
    ),
    nn.SiLU: (
        lambda m, x, out: _aten.silu.out(x, out=out),
        lambda m, g, x, y: _aten.silu_backward.grad_input(g, x, grad_input=g),
    ),
    nn.GELU: (
        lambda m, x, out: _aten.gelu.out(x, approximate=m.approximate, out=out),
        lambda m, g, x, y: _aten.gelu_backward.grad_input(g, x, approximate=m.approximate, grad_input=g),
    ),
    nn.Tanh: (
        lambda m, x, out: torch.tanh(x, out=out),
        lambda m, g, x, y: _aten.tanh_backward.grad_input(g, y, grad_input=g),
    ),
    nn.Sigmoid: (
        lambda m, x, out: torch.sigmoid(x, out=out),
        lambda m, g, x, y: _aten.sigmoid_backward.grad_input(g, y, grad_input=g),
    ),
    Clip: (
        lambda m, x, out: torch.clamp(x, 0, 1, out=out).lerp_(x, 0.01),
        lambda m, g, x, y: g.mul_(((x >= 0) & (x <= 1)).float().mul_(0.99).add_(0.01)),
    ),
}
