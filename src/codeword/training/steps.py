"""One update of the weights: forward, backward, Adam.

Three ways to make the same step. `AutogradStep` serves every network, objective and device. `DenseStep`
trains dense networks on a CPU without autograd. `GraphStep` replays autograd's step as one CUDA graph.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.adam import adam

from codeword.networks import Network
from codeword.objectives import Objective, Reconstruction
from codeword.training.dense import Buffers, Chain, chain_of
from codeword.training.distributed import ALONE, ProcessGroup


class FlatAdam:
    """Adam (Kingma & Ba 2014) over all parameters of a network as one flat tensor.

    On several processes the gradients of all of them are added up first, in one reduction.

    Every parameter becomes a view of `weights`, and its gradient a view of `gradients`: one fused update, one
    tensor to keep or copy back, and one to average over processes, however many layers there are.
    """

    def __init__(self, network: nn.Module, learning_rate: float, group: ProcessGroup = ALONE) -> None:
        self.group = group
        self.parameters = parameters = [p for p in network.parameters() if p.requires_grad]
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
        self.group.sum(self.gradients)
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

    def release(self) -> None:
        """Let go of the gradients, which are as large as the network."""
        for p in self.parameters:
            p.grad = None

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


class Step:
    """One update from a batch, of whose gradient this process's `share` is its part of the step's rows.

    `names` are those of the losses, and `totals` adds up each loss times the batch's rows, on the device.
    """

    names: list[str]
    totals: Tensor

    def __call__(self, x: Tensor, share: float = 1.0) -> None:
        raise NotImplementedError


class AutogradStep(Step):
    """The step for any network and objective."""

    def __init__(self, network: Network, objective: Objective, optimizer: FlatAdam, precision: str) -> None:
        self.network, self.objective, self.optimizer = network, objective, optimizer
        # Matrix products in bfloat16 where asked for; weights, losses and Adam stay in float32.
        device = optimizer.weights.device.type
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")
        self.names, self.totals = [], torch.zeros(0)

    def __call__(self, x: Tensor, share: float = 1.0) -> None:
        self.optimizer.gradients.zero_()
        if share:
            with self.autocast:
                named = self.objective.losses(self.network, x)
            if not self.names:
                self.names, self.totals = list(named), torch.zeros(len(named), device=x.device)
            losses = torch.stack([loss.float() for loss in named.values()])
            (losses.sum() * share).backward()  # type: ignore[no-untyped-call]
            self.totals += losses.detach() * len(x)
        self.optimizer.update()
        self.optimizer.group.average_buffers(self.network)


class GraphStep(AutogradStep):
    """AutogradStep with the whole step of a full batch captured in one CUDA graph."""

    graph: torch.cuda.CUDAGraph | None = None
    input: Tensor | None = None
    warm = 0

    def __call__(self, x: Tensor, share: float = 1.0) -> None:
        if self.input is None or len(x) > len(self.input):
            self.input, self.graph, self.warm = x.clone(), None, 0
        # A short last batch, or a reduction over processes, is no part of the graph.
        if x.shape != self.input.shape or self.optimizer.group.size > 1:
            super().__call__(x, share)
        elif self.graph is not None:
            self.input.copy_(x)
            self.graph.replay()
        else:
            self._warm_up(x)

    def _warm_up(self, x: Tensor) -> None:
        """Capture needs a few real steps on a side stream first; they count as steps like any other."""
        assert self.input is not None
        side = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
        here = torch.cuda.current_stream(x.device)
        side.wait_stream(here)
        with torch.cuda.stream(side):
            self.input.copy_(x)
            super().__call__(self.input)
        here.wait_stream(side)
        self.warm += 1
        if self.warm == 3:
            self.graph = torch.cuda.CUDAGraph()
            # The thread that reads rows ahead may copy to the device meanwhile: that is no error.
            with torch.cuda.graph(self.graph, stream=side, capture_error_mode="thread_local"):
                super().__call__(self.input)


class DenseStep(Step):
    """The step of a dense network under the mean squared error, with `dense` in autograd's place."""

    def __init__(self, chain: Chain, optimizer: FlatAdam) -> None:
        self.chain, self.optimizer = chain, optimizer
        self.names, self.totals = ["error"], torch.zeros(1)
        self.buffers = Buffers()

    @staticmethod
    def chain_of(network: Network, objective: Objective) -> Chain | None:
        """The network's layers, if this step can train it under this objective; else None."""
        plain = isinstance(objective, Reconstruction) and objective.plain
        return chain_of(network) if plain else None

    def gradients_of(self, x: Tensor, share: float = 1.0) -> Tensor:
        """Write the gradients of a batch; return the sum of its rows' mean squared errors."""
        # d(mean squared error)/d(output) = 2 (output - x) / count; the sum of squares comes on the way.
        difference = torch.sub(
            self.chain.forward(x), x, out=self.buffers["difference", x.shape[0], x.shape[1]]
        )
        flat = difference.view(-1)
        total = torch.dot(flat, flat) / x.shape[1]
        self.chain.backward(difference.mul_(2.0 * share / flat.numel()), wanted=False)
        return total

    @torch.no_grad()
    def __call__(self, x: Tensor, share: float = 1.0) -> None:
        if share:
            self.totals += self.gradients_of(x, share)
        else:
            self.optimizer.gradients.zero_()
        self.optimizer.update()


def make_step(network: Network, objective: Objective, optimizer: FlatAdam, precision: str) -> Step:
    """The fastest of the steps that can train this network on its device."""
    device = optimizer.weights.device.type
    if device == "cpu" and precision == "float32":
        chain = DenseStep.chain_of(network, objective)
        if chain is not None:
            return DenseStep(chain, optimizer)
    kind = GraphStep if device == "cuda" else AutogradStep
    return kind(network, objective, optimizer, precision)


def mean_squared_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Per row, over the features that are not missing: shape (n,)."""
    known = ~x.isnan()
    errors = F.mse_loss(x_hat.float(), x, reduction="none")
    return torch.where(known, errors, 0.0).sum(dim=1) / known.sum(dim=1).clamp_min(1)


MEASURED = 16
KEPT = 800
"""Steps timed with each number of threads, and steps made with the faster before they are timed again."""


class Threads:
    """Chooses, before each step, how many threads make it.

    Parameters
    ----------
    counts : tuple of int
        The numbers to choose from; with one, there is nothing to choose.
    rows : int
        The rows of a full batch; a shorter one is always made by one thread, since only full ones were tried.
    """

    def __init__(self, counts: tuple[int, ...], rows: int) -> None:
        self.counts, self.rows = counts, rows
        self.schedule = self._schedule()
        torch.set_num_threads(counts[0])

    @classmethod
    def for_step(cls, step: Step, rows: int, d: int, *, small: bool) -> Threads:
        """One thread for small steps and all of them for others, or both, if they give the same bits."""
        most = torch.get_num_threads()
        if most > 1 and isinstance(step, DenseStep) and _same_gradients(step, rows, d, most):
            return cls((1, most), rows)
        return cls((1 if small else most,), rows)

    def before(self, rows: int) -> None:
        """Set the number of threads for a step of so many rows."""
        if len(self.counts) == 1:
            return
        count = next(self.schedule)
        wanted = count if rows == self.rows else 1
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)

    def _schedule(self) -> Iterator[int]:
        """The number for each step: every one for a while, then for long the one that was fastest."""
        while True:
            seconds = {}
            for count in self.counts:
                started = time.perf_counter()
                yield from itertools.repeat(count, MEASURED)
                seconds[count] = time.perf_counter() - started
            yield from itertools.repeat(min(seconds, key=seconds.__getitem__), KEPT)


@torch.no_grad()
def _same_gradients(step: DenseStep, rows: int, d: int, most: int) -> bool:
    """Whether a batch of random rows gives the same bits with one thread and with all."""
    x = torch.rand(rows, d, generator=torch.Generator().manual_seed(0))
    found: list[Tensor] = []
    for count in (1, most):
        torch.set_num_threads(count)
        step.gradients_of(x)
        found.append(step.optimizer.gradients.clone())
    return torch.equal(*found)
