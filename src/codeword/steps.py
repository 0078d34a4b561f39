"""One update of the weights: forward, backward, Adam.

Three ways to make the same step. `AutogradStep` serves every network, objective and device. `DenseStep`
writes the forward and backward pass of a plain chain of dense layers into buffers that are allocated once; a
test holds its gradients to autograd's. `GraphStep` replays autograd's step as one CUDA graph.
"""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.adam import adam

from codeword.distributed import World
from codeword.networks import Network
from codeword.objectives import Objective, Reconstruction

__all__ = ["AutogradStep", "DenseStep", "FlatAdam", "GraphStep", "Step", "make_step"]


class FlatAdam:
    """Adam (Kingma & Ba 2014) over all parameters of a network as one flat tensor.

    On several processes the gradients of all of them are added up first, in one reduction.

    Every parameter becomes a view of `weights`, and its gradient a view of `gradients`: one fused update, one
    tensor to keep or copy back, and one to average over processes, however many layers there are.
    """

    def __init__(self, network: nn.Module, learning_rate: float, world: World | None = None) -> None:
        self.world = world or World()
        parameters = [p for p in network.parameters() if p.requires_grad]
        # Each view starts on a 64-byte boundary, as the matrix products' vector loads like it.
        sizes = [-(-p.numel() // 16) * 16 for p in parameters]
        like = parameters[0]
        self.weights = torch.zeros(sum(sizes), device=like.device)
        self.gradients = torch.zeros_like(self.weights)
        start = 0
        for p, size in zip(parameters, sizes, strict=True):
            view = self.weights[start : start + p.numel()].view(p.shape)
            view.copy_(p.data)
            p.data = view
            p.grad = self.gradients[start : start + p.numel()].view(p.shape)
            start += size
        self.moments = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self.count = torch.zeros((), device=like.device)
        # In a CUDA graph the rate has to be read from the device, or each replay would use the first.
        self.capturable = like.device.type == "cuda"
        self.rate: Any = torch.tensor(learning_rate, device=like.device) if self.capturable else learning_rate

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the updates to come."""
        if self.capturable:
            self.rate.fill_(rate)
        else:
            self.rate = rate

    def update(self) -> None:
        """Add up the gradients over the processes, if there are several, and apply them."""
        self.world.sum(self.gradients)
        # The function, not torch.optim.Adam, whose constructor loads torch's compiler: over a second.
        adam(
            [self.weights],
            [self.gradients],
            [self.moments[0]],
            [self.moments[1]],
            [],
            [self.count],
            fused=True,
            capturable=self.capturable,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """Weights, both moments and the count of updates: everything that a resumed run needs."""
        return {
            "weights": self.weights,
            "moment1": self.moments[0],
            "moment2": self.moments[1],
            "count": self.count,
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take `state` over, so that the next update is the one that would have followed it."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


class Step(Protocol):
    """One update from a batch, of whose gradient this process's `share` is its part of the step's rows.

    `totals` adds up each named loss times the batch's rows, on the device.
    """

    @property
    def names(self) -> list[str]: ...
    @property
    def totals(self) -> Tensor: ...

    def __call__(self, x: Tensor, share: float = 1.0) -> None: ...
    def begin(self, names: list[str], totals: Tensor) -> None:
        """Go on within an epoch, with the totals that a checkpoint kept."""


class AutogradStep:
    """The step for any network and objective."""

    def __init__(self, network: Network, objective: Objective, optimiser: FlatAdam, precision: str) -> None:
        self.network, self.objective, self.optimiser = network, objective, optimiser
        self.device = optimiser.weights.device.type
        self.precision = precision
        self.names: list[str] = []
        self.totals = torch.zeros(0)

    def begin(self, names: list[str], totals: Tensor) -> None:
        """See `Step.begin`."""
        self.names, self.totals = names, totals.clone()

    def losses(self, x: Tensor) -> Tensor:
        """The named losses of a batch as one vector."""
        with autocast(self.device, self.precision):
            losses = self.objective.losses(self.network, x)
        if not self.names:
            self.begin(list(losses), torch.zeros(len(losses), device=x.device))
        return torch.stack([loss.float() for loss in losses.values()])

    def __call__(self, x: Tensor, share: float = 1.0) -> None:
        self.optimiser.gradients.zero_()
        if share:
            losses = self.losses(x)
            (losses.sum() * share).backward()  # type: ignore[no-untyped-call]
            self.totals += losses.detach() * len(x)
        self.optimiser.update()
        self.optimiser.world.average_buffers(self.network)


class GraphStep:
    """AutogradStep with the whole step of a full batch captured in one CUDA graph."""

    def __init__(self, eager: AutogradStep) -> None:
        self.eager = eager
        self.graph: torch.cuda.CUDAGraph | None = None
        self.input: Tensor | None = None
        self.warm = 0

    @property
    def names(self) -> list[str]:
        return self.eager.names

    @property
    def totals(self) -> Tensor:
        return self.eager.totals

    def begin(self, names: list[str], totals: Tensor) -> None:
        """See `Step.begin`."""
        self.eager.begin(names, totals)

    def __call__(self, x: Tensor, share: float = 1.0) -> None:
        if self.input is None:
            self.input = x.clone()
        # A short last batch, or a reduction over processes, is no part of the graph.
        if x.shape != self.input.shape or self.eager.optimiser.world.size > 1:
            self.eager(x, share)
        elif self.graph is not None:
            self.input.copy_(x)
            self.graph.replay()
        else:
            self._warm_up(x)

    def _warm_up(self, x: Tensor) -> None:
        """Capture needs a few real steps on a side stream first; they count as steps like any other."""
        assert self.input is not None
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.input.copy_(x)
            self.eager(self.input)
        torch.cuda.current_stream().wait_stream(side)
        self.warm += 1
        if self.warm == 3:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.eager(self.input)


class DenseStep:
    """The step of a chain of dense layers under the mean squared error, without autograd.

    The derivatives of the activations are torch's own backward kernels; what is written here is the chain
    rule for `Linear`, and where each result is stored.
    """

    def __init__(self, chain: list[nn.Module], optimiser: FlatAdam) -> None:
        self.optimiser = optimiser
        self.names = ["error"]
        self.totals = torch.zeros(1)
        self.layers: list[tuple[nn.Linear, nn.Module | None]] = []
        for module in chain:
            if isinstance(module, nn.Linear):
                self.layers.append((module, None))
            else:
                self.layers[-1] = (self.layers[-1][0], module)
        self.buffers: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {}

    @staticmethod
    def chain_of(network: Network, objective: Objective) -> list[nn.Module] | None:
        """The layers of a network that this step can train, in order; None if it is anything else."""
        plain = type(objective) is Reconstruction and objective.loss == "mse"
        plain = plain and isinstance(network.extra, nn.Identity)
        if not plain or not (type(network.encoder) is type(network.decoder) is nn.Sequential):
            return None
        chain = [
            m for m in (*_leaves(network.encoder), *_leaves(network.decoder)) if type(m) is not nn.Flatten
        ]
        follows = [isinstance(m, nn.Linear) for m in chain]
        alternates = follows[:1] == [True] and all(a or b for a, b in pairwise(follows))
        known = all(type(m) in _BACKWARD or (type(m) is nn.Linear and m.bias is not None) for m in chain)
        distinct = len({id(p) for m in chain for p in m.parameters()}) == 2 * sum(follows)
        trained = all(p.requires_grad for p in network.parameters())
        hooked = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in network.modules())
        return chain if alternates and known and distinct and trained and not hooked else None

    def begin(self, names: list[str], totals: Tensor) -> None:
        """See `Step.begin`."""
        self.names, self.totals = names, totals.clone()

    def _allocate(self, n: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """For each layer, room for its linear output, its activation, and the gradient of the first."""
        room = []
        for linear, activation in self.layers:
            before = torch.empty(n, linear.out_features)
            room.append(
                (before, torch.empty_like(before) if activation else before, torch.empty_like(before))
            )
        return room

    @torch.no_grad()
    def __call__(self, x: Tensor, share: float = 1.0) -> None:
        if not share:
            self.optimiser.gradients.zero_()
            self.optimiser.update()
            return
        room = self.buffers.get(len(x))
        if room is None:
            room = self.buffers[len(x)] = self._allocate(len(x))
        inputs = [x]
        for (linear, activation), (before, after, _) in zip(self.layers, room, strict=True):
            torch.addmm(linear.bias, inputs[-1], linear.weight.t(), out=before)
            if activation is not None:
                _FORWARD[type(activation)](activation, before, after)
            inputs.append(after)
        # d(mean squared error)/d(output) = 2 (output - x) / count, scaled into the sum of squares on the way.
        output, gradient = inputs.pop(), room[-1][2]
        torch.sub(output, x, out=gradient)
        flat = gradient.view(-1)
        self.totals += torch.dot(flat, flat) / x.shape[1]
        gradient.mul_(2.0 * share / gradient.numel())
        for i in range(len(self.layers) - 1, -1, -1):
            (linear, activation), (before, after, gradient) = self.layers[i], room[i]
            if activation is not None:
                _BACKWARD[type(activation)](activation, gradient, before, after)
            torch.mm(gradient.t(), inputs[i], out=linear.weight.grad)
            torch.sum(gradient, 0, out=linear.bias.grad)
            if i:
                torch.mm(gradient, linear.weight, out=room[i - 1][2])
        self.optimiser.update()


def _leaves(module: nn.Module) -> list[nn.Module]:
    """The modules of nested Sequentials in the order in which they are applied."""
    if type(module) is not nn.Sequential:
        return [module]
    return [leaf for child in module for leaf in _leaves(child)]


_aten = torch.ops.aten

# activation(module, before, out=after)
_FORWARD: dict[type[nn.Module], Any] = {
    nn.LeakyReLU: lambda m, before, after: _aten.leaky_relu.out(before, m.negative_slope, out=after),
    nn.ReLU: lambda m, before, after: torch.clamp_min(before, 0, out=after),
    nn.SiLU: lambda m, before, after: _aten.silu.out(before, out=after),
    nn.Tanh: lambda m, before, after: torch.tanh(before, out=after),
    nn.Sigmoid: lambda m, before, after: torch.sigmoid(before, out=after),
}

# the gradient of `after` becomes, in place, the gradient of `before`
_BACKWARD: dict[type[nn.Module], Any] = {
    nn.LeakyReLU: lambda m, g, before, after: _aten.leaky_relu_backward.grad_input(
        g, before, m.negative_slope, False, grad_input=g
    ),
    nn.ReLU: lambda m, g, before, after: _aten.threshold_backward.grad_input(g, before, 0, grad_input=g),
    nn.SiLU: lambda m, g, before, after: _aten.silu_backward.grad_input(g, before, grad_input=g),
    nn.Tanh: lambda m, g, before, after: _aten.tanh_backward.grad_input(g, after, grad_input=g),
    nn.Sigmoid: lambda m, g, before, after: _aten.sigmoid_backward.grad_input(g, after, grad_input=g),
}


def autocast(device: str, precision: str) -> contextlib.AbstractContextManager[Any]:
    """Matrix products in bfloat16 where asked for; weights, losses and Adam stay in float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16)


def make_step(network: Network, objective: Objective, optimiser: FlatAdam, precision: str) -> Step:
    """The fastest of the steps that can train this network on its device."""
    device = optimiser.weights.device.type
    if device == "cpu" and precision == "float32":
        chain = DenseStep.chain_of(network, objective)
        if chain is not None:
            return DenseStep(chain, optimiser)
    eager = AutogradStep(network, objective, optimiser, precision)
    return GraphStep(eager) if device == "cuda" else eager


def mean_squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Per row, over the features that are not missing: shape (n,)."""
    known = ~x.isnan()
    errors = F.mse_loss(x_hat.float(), x, reduction="none")
    return torch.where(known, errors, 0.0).sum(dim=1) / known.sum(dim=1).clamp_min(1)
