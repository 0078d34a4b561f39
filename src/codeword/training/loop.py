"""The fit loop.

One loop trains every network and objective. To launch it from the command line::

    codeword train rows.npy -o model.ae                                         # one CPU or one GPU
    torchrun --nproc-per-node 8 -m codeword.cli train rows.npy -o model.ae      # eight GPUs of one machine
    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d \\
        --rdzv-endpoint host0:29500 -m codeword.cli train rows.npy -o model.ae  # on each of four machines
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from codeword.base.errors import TrainingError, out_of_memory
from codeword.base.progress import Progress
from codeword.networks import Network
from codeword.objectives import Objective
from codeword.training.batches import Batches, ResidentBatches
from codeword.training.checkpoint import Checkpoint
from codeword.training.steps import FlatAdam, Threads, make_step, mean_squared_error

SCHEDULES = ("constant", "cosine")

SMALL_STEP = 1 << 26
"""Multiplications in a forward pass, below which one thread is the safer choice: see `steps.Threads`."""

CLEARLY = 2.0
"""By how many standard errors, over the held-out rows, a network must beat its start to be kept."""


@dataclass(frozen=True)
class Plan:
    """How to train; each field is the parameter of AutoEncoder of the same name."""

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    patience: int | None
    precision: str
    seed: int


@dataclass
class Trainer:
    """A training: what is trained on which rows, and where it stands.

    The network is trained in place. The weights of the epoch with the least loss on the rows held out for
    `validation` are kept; or, where the network starts as a solution (`starts_as_pca`), the start's, unless
    what was learned is clearly better.

    `history` gets a row for each epoch: `epoch`, `train_loss` (the mean over the epoch's rows while they were
    trained on), `validation_loss` (None without held-out rows) and `seconds`; and each named loss, where the
    objective has several. `on_epoch` is called with it.
    """

    network: Network
    objective: Objective
    train: Batches
    validation: ResidentBatches | None
    plan: Plan
    history: list[dict[str, Any]]
    starts_as_pca: bool
    progress: Progress
    on_epoch: Callable[[dict[str, Any]], None] | None = None
    checkpoint: Checkpoint | None = None

    # Epochs done, and batches done of the epoch under way; and the best weights so far.
    epoch: int = field(default=0, init=False)
    batch: int = field(default=0, init=False)
    best_epoch: int = field(default=0, init=False)
    best_loss: float = field(default=math.inf, init=False)
    best: dict[str, Tensor] | None = field(default=None, init=False)
    interrupted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.optimizer = FlatAdam(self.network, self.plan.learning_rate, self.train.group)
        self.step = make_step(self.network, self.objective, self.optimizer, self.plan.precision)
        self.device = self.optimizer.weights.device

    def fit(self, *, resume: bool = False) -> None:
        """Train, from the checkpoint on where there is one to resume; Ctrl-C ends it with the best weights.

        Raises TrainingError if a loss or a weight is not finite.
        """
        self.network.train()
        start, start_errors = None, None
        with _threads_kept(), seeded(self.plan.seed, self.device):
            try:
                if self.starts_as_pca and self.validation is not None:
                    start, start_errors = self._weights(), self._errors(self.validation)
                self._run_epochs(resume)
            except KeyboardInterrupt:
                self.interrupted = True
        self.optimizer.release()
        if self.best is not None:
            self.network.load_state_dict(self.best)
        if start is None or start_errors is None or self.validation is None:
            return
        # Few held-out rows can favor by chance what is no better than PCA.
        gain = start_errors - self._errors(self.validation)
        doubt = float(gain.std(unbiased=True)) / math.sqrt(len(gain)) if len(gain) > 1 else math.inf
        if self.best is None or not float(gain.mean()) > CLEARLY * doubt:
            self.best_epoch = 0
            self.network.load_state_dict(start)

    def _run_epochs(self, resume: bool) -> None:
        plan, weights = self.plan, self.optimizer.weights
        small = weights.numel() * plan.batch_size < SMALL_STEP
        threads = Threads.for_step(self.step, plan.batch_size, self.train.d, small=small)
        if resume:
            self._restore()
        while self.epoch < plan.epochs and not self._out_of_patience():
            started = time.perf_counter()
            losses = self._run_epoch(threads)
            seconds, loss = round(time.perf_counter() - started, 3), self._validate()
            row: dict[str, Any] = {
                "epoch": self.epoch + 1,
                "train_loss": sum(losses.values()),
                "validation_loss": loss,
            }
            named = losses if len(losses) > 1 else {}
            if taken := named.keys() & {*row, "seconds"}:
                raise TrainingError(
                    f"{min(taken)!r} is a part of the loss and of the history: rename the former"
                )
            row |= named | {"seconds": seconds} | self.objective.epoch_metrics(self.network)
            # Losses are taken before each update: only the weights tell what the last one did.
            finite = all(math.isfinite(value) for value in (*losses.values(), loss or 0.0))
            if not (finite and bool(weights.isfinite().all())):
                raise TrainingError(
                    f"the loss or the weights were not finite in epoch {row['epoch']}: training diverged; "
                    f"try a learning rate below {plan.learning_rate:g}, or scaling='standard'"
                )
            self.history.append(row)
            self.epoch, self.batch = self.epoch + 1, 0
            if loss is not None and loss < self.best_loss:
                self.best_epoch, self.best_loss, self.best = self.epoch, loss, self._weights()
            last = self.epoch == plan.epochs or self._out_of_patience()
            if self.checkpoint is not None and (last or self.checkpoint.due(within_epoch=False)):
                self._save(self.checkpoint)
            self.progress.epoch(row, plan.epochs)
            if self.on_epoch is not None:
                self.on_epoch(row)

    def _run_epoch(self, threads: Threads) -> dict[str, float]:
        """The rest of one pass over the rows; the mean of each named loss.

        Nothing waits on the device until its end, unless a checkpoint is due.
        """
        plan, step, group = self.plan, self.step, self.train.group
        per_epoch = self.train.steps(plan.batch_size)
        if not self.batch:
            step.totals.zero_()
            _seed(_epoch_seed(plan.seed + 1 + group.rank, self.epoch), self.device)
        for x, share in self.train.epoch(_epoch_seed(plan.seed, self.epoch), plan.batch_size, self.batch):
            update = self.epoch * per_epoch + self.batch
            self.optimizer.set_rate(plan.learning_rate * rate(update, plan.epochs * per_epoch, plan.schedule))
            threads.before(len(x))
            step(x, share)
            self.batch += 1
            self.progress.rows(len(x))
            # Other processes' random numbers are not kept: only one alone can stop within an epoch.
            within = group.size == 1 and self.batch < per_epoch
            if self.checkpoint is not None and within and self.checkpoint.due(within_epoch=True):
                self._save(self.checkpoint)
        totals = step.totals.clone()
        group.sum(totals)
        return dict(zip(step.names, (totals / self.train.n).tolist(), strict=True))

    def _out_of_patience(self) -> bool:
        patience = None if self.validation is None else self.plan.patience
        return patience is not None and self.epoch - self.best_epoch >= patience

    # -- held-out rows --------------------------------------------------------------------------------------

    @torch.no_grad()
    def _validate(self) -> float | None:
        """The objective's loss on the held-out rows, with the same noise, if it has any, each time."""
        if self.validation is None:
            return None
        self.network.eval()
        total = torch.zeros((), device=self.device)
        with seeded(self.plan.seed, self.device):
            for x in _chunks(self.validation):
                total += sum(self.objective.losses(self.network, x).values()) * len(x)
        self.network.train()
        return self.train.group.broadcast(float(total) / self.validation.n)

    @torch.no_grad()
    def _errors(self, rows: ResidentBatches) -> Tensor:
        """The squared error of each row, of shape (n,)."""
        self.network.eval()
        objective, network = self.objective, self.network
        errors = [
            mean_squared_error(objective.decode(network, objective.encode(network, x)), x)
            for x in _chunks(rows)
        ]
        self.network.train()
        return torch.cat(errors)

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    # -- checkpoints ----------------------------------------------------------------------------------------

    def _save(self, checkpoint: Checkpoint) -> None:
        """Keep everything that the updates to come depend on."""
        tensors = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}
        tensors |= {f"buffer.{name}": tensor for name, tensor in self.network.named_buffers()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        tensors |= {"random": torch.get_rng_state(), "totals": self.step.totals}
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss if math.isfinite(self.best_loss) else None,
            "history": self.history,
            "names": self.step.names,
        }
        checkpoint.save(state, tensors)

    def _restore(self) -> None:
        """Stand where the checkpoint stood."""
        kept = None if self.checkpoint is None else self.checkpoint.load()
        if self.checkpoint is None or kept is None:
            return
        try:
            self._take_over(*kept)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if out_of_memory(error):
                raise
            raise self.checkpoint.of_another_version(error) from None

    def _take_over(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.best = {name: tensor.to(self.device) for name, tensor in part("best.").items()} or None
        if self.best is not None:
            self.network.load_state_dict(self.best)  # only to see that it fits: what follows replaces it
        self.optimizer.restore(part("optimizer."))
        buffers = dict(self.network.named_buffers())
        for name, tensor in part("buffer.").items():
            buffers[name].copy_(tensor)
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
        self.epoch, self.batch, self.best_epoch = state["epoch"], state["batch"], state["best_epoch"]
        self.best_loss = math.inf if state["best_loss"] is None else state["best_loss"]
        self.history[:] = state["history"]
        self.step.names, self.step.totals = state["names"], tensors["totals"].to(self.device)
        self.progress.rows(self.epoch * self.train.n)


def rate(number: int, total: int, schedule: str) -> float:
    """The learning rate of update `number` of `total`, as a share of its peak.

    `cosine` rises linearly over the first tenth of the updates, at most 1,000, then falls along half a cosine
    (Loshchilov & Hutter 2017, eq. 5) towards zero.
    """
    if schedule == "constant":
        return 1.0
    warm = min(1000, max(1, total // 10))
    if number < warm:
        return (number + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (number - warm) / max(1, total - warm)))


def _chunks(rows: ResidentBatches) -> Iterator[Tensor]:
    """The rows in order, so few at once that what a network makes of them fits in memory, too."""
    return rows.in_order(max(1, min(4096, (1 << 23) // rows.d)))


# -- random numbers and threads -----------------------------------------------------------------------------


def _epoch_seed(seed: int, epoch: int) -> int:
    """A seed for each epoch's order, so that a resumed epoch needs no history."""
    return (seed * 1_000_003 + epoch) % (1 << 63)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from torch's generators as seeded here, and leave them afterwards as they were found."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        _seed(seed, device)
        yield


def _seed(seed: int, device: torch.device) -> None:
    # torch.manual_seed would reseed the generators of every device, and only these are put back.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)


@contextlib.contextmanager
def _threads_kept() -> Iterator[None]:
    """Leave torch's number of threads as it was found."""
    found = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(found)
