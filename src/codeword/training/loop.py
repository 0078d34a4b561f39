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
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from codeword.base.errors import TrainingError
from codeword.base.progress import Progress
from codeword.networks import Network
from codeword.objectives import Objective
from codeword.training.batches import Batches, ResidentBatches
from codeword.training.checkpoint import Checkpoint
from codeword.training.distributed import ProcessGroup
from codeword.training.steps import FlatAdam, Step, Threads, make_step, mean_squared_error

__all__ = ["SCHEDULES", "Plan", "Run", "fit", "seeded"]

SCHEDULES = ("constant", "cosine")

SMALL_STEP = 1 << 26
"""Multiplications in a forward pass, below which one thread is the safer choice: see `threads`."""

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
class Run:
    """Where a run stands: epochs done, batches done of the epoch under way, and the best weights so far."""

    epoch: int = 0
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = math.inf
    best: dict[str, Tensor] | None = None
    start: dict[str, Tensor] | None = None
    start_errors: Tensor | None = None
    interrupted: bool = False


def fit(
    network: Network,
    objective: Objective,
    train: Batches,
    validation: ResidentBatches | None,
    plan: Plan,
    *,
    run: Run,
    starts_as_pca: bool,
    progress: Progress,
    group: ProcessGroup,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
) -> None:
    """Train `network` in place; `run` gets one row of history for each epoch.

    A row holds `epoch`, `train_loss` (the mean over the epoch's rows while they were trained on),
    `validation_loss` (None without held-out rows) and `seconds`; and each named loss, where the objective has
    several. With held-out rows the weights of the best epoch are kept; or, where the network starts as a
    solution (`starts_as_pca`, as PCA), the start's, unless what was learnt is clearly better. Ctrl-C ends the
    loop with `run.interrupted` set.

    Raises
    ------
    TrainingError
        If a loss or a weight is not finite.
    """
    network.train()
    optimizer = FlatAdam(network, plan.learning_rate, group)
    if validation is None:
        plan = replace(plan, patience=None)
    with _threads_kept(), seeded(plan.seed, optimizer.weights.device), _interruptible(run):
        step = make_step(network, objective, optimizer, plan.precision)
        threads = Threads.for_step(
            step, plan.batch_size, train.d, small=optimizer.weights.numel() * plan.batch_size < SMALL_STEP
        )
        if validation is not None and starts_as_pca:
            run.start, run.start_errors = _copy(network), _errors(network, objective, validation)
        if checkpoint is not None and resume:
            _restore(checkpoint, run, network, optimizer, step)
            progress.rows(run.epoch * train.n)
        while run.epoch < plan.epochs and not _out_of_patience(run, plan):
            started = time.perf_counter()
            losses = _epoch(step, threads, optimizer, train, plan, run, progress, network, checkpoint)
            row = _row(run.epoch + 1, losses, time.perf_counter() - started)
            loss = _validate(network, objective, validation, plan)
            row["validation_loss"] = None if loss is None else group.broadcast(loss)
            # Losses are taken before each update: only the weights tell what the last one did.
            finite = all(math.isfinite(value) for value in (*losses.values(), loss or 0.0))
            if not (finite and bool(optimizer.weights.isfinite().all())):
                raise _diverged(row, plan)
            row |= objective.epoch_metrics(network)
            run.history.append(row)
            run.epoch, run.batch = run.epoch + 1, 0
            _keep_best(run, network, row["validation_loss"])
            last = run.epoch == plan.epochs or _out_of_patience(run, plan)
            if checkpoint is not None and (last or checkpoint.due(within_epoch=False)):
                _save(checkpoint, run, network, optimizer, step)
            progress.epoch(row, plan.epochs)
            if on_epoch is not None:
                on_epoch(row)
    optimizer.release()
    _take_best(run, network, objective, validation)


def _epoch(
    step: Step,
    threads: Threads,
    optimizer: FlatAdam,
    train: Batches,
    plan: Plan,
    run: Run,
    progress: Progress,
    network: Network,
    checkpoint: Checkpoint | None,
) -> dict[str, float]:
    """The rest of one pass over the rows; the mean of each named loss.

    Nothing waits on the device until its end, unless a checkpoint is due.
    """
    per_epoch = train.steps(plan.batch_size)
    total = plan.epochs * per_epoch
    if not run.batch:
        step.totals.zero_()
        _seed(_epoch_seed(plan.seed + 1 + optimizer.group.rank, run.epoch), optimizer.weights.device)
    for x, share in train.epoch(_epoch_seed(plan.seed, run.epoch), plan.batch_size, run.batch):
        optimizer.set_rate(plan.learning_rate * rate(run.epoch * per_epoch + run.batch, total, plan.schedule))
        threads.before(len(x))
        step(x, share)
        run.batch += 1
        progress.rows(len(x))
        # The other processes' random numbers are not kept, so that only one alone can stop within an epoch.
        within = optimizer.group.size == 1 and run.batch < per_epoch
        if checkpoint is not None and within and checkpoint.due(within_epoch=True):
            _save(checkpoint, run, network, optimizer, step)
    totals = step.totals.clone()
    optimizer.group.sum(totals)
    return dict(zip(step.names, (totals / train.n).tolist(), strict=True))


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


# -- the best weights ---------------------------------------------------------------------------------------


@torch.no_grad()
def _validate(
    network: Network, objective: Objective, rows: ResidentBatches | None, plan: Plan
) -> float | None:
    """The objective's loss on the held-out rows, with the same noise, if it has any, each time."""
    if rows is None:
        return None
    device = rows.rows.device
    network.eval()
    total = torch.zeros((), device=device)
    with seeded(plan.seed, device):
        for x in rows.in_order(_rows_at_once(rows)):
            total += sum(objective.losses(network, x).values()) * len(x)
    network.train()
    return float(total) / rows.n


@torch.no_grad()
def _errors(network: Network, objective: Objective, rows: ResidentBatches) -> Tensor:
    """The squared error of each held-out row, of shape (n,)."""
    network.eval()
    errors = [
        mean_squared_error(objective.decode(network, objective.encode(network, x)), x)
        for x in rows.in_order(_rows_at_once(rows))
    ]
    network.train()
    return torch.cat(errors)


def _rows_at_once(rows: ResidentBatches) -> int:
    """Few enough that what a network makes of them fits in memory, too."""
    return max(1, min(4096, (1 << 23) // rows.rows.shape[1]))


def _keep_best(run: Run, network: Network, loss: float | None) -> None:
    if loss is not None and loss < run.best_loss:
        run.best_epoch, run.best_loss, run.best = run.epoch, loss, _copy(network)


def _out_of_patience(run: Run, plan: Plan) -> bool:
    return plan.patience is not None and run.epoch - run.best_epoch >= plan.patience


def _take_best(run: Run, network: Network, objective: Objective, validation: ResidentBatches | None) -> None:
    """Leave the network with the best weights.

    Where the start is a solution of its own, PCA, what was learnt has to be better by more than the chance
    with which few held-out rows would say so.
    """
    if validation is None:
        return
    if run.best is None:  # stopped within the first epoch
        if run.start is not None:
            network.load_state_dict(run.start)
        return
    network.load_state_dict(run.best)
    if run.start_errors is None or run.start is None:
        return
    gain = run.start_errors - _errors(network, objective, validation)
    doubt = float(gain.std(unbiased=True)) / math.sqrt(len(gain)) if len(gain) > 1 else math.inf
    if not float(gain.mean()) > CLEARLY * doubt:
        run.best_epoch = 0
        network.load_state_dict(run.start)


def _copy(network: Network) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


# -- checkpoints --------------------------------------------------------------------------------------------


def _kept(best: dict[str, Tensor], network: Network, optimizer: FlatAdam) -> dict[str, Tensor]:
    """The tensors of a run that a checkpoint holds, with those of the best weights so far."""
    tensors = {f"optimizer.{name}": tensor for name, tensor in optimizer.state().items()}
    tensors |= {f"buffer.{name}": tensor for name, tensor in network.named_buffers()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    return tensors | {"random": torch.get_rng_state()}


def _save(checkpoint: Checkpoint, run: Run, network: Network, optimizer: FlatAdam, step: Step) -> None:
    """Keep everything that the updates to come depend on."""
    tensors = _kept(run.best or {}, network, optimizer)
    if optimizer.weights.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(optimizer.weights.device)
    if run.batch:
        tensors["totals"] = step.totals
    state = {
        "epoch": run.epoch,
        "batch": run.batch,
        "best_epoch": run.best_epoch,
        "best_loss": run.best_loss if math.isfinite(run.best_loss) else None,
        "history": run.history,
        "names": step.names,
    }
    checkpoint.save(state, tensors)


def _restore(checkpoint: Checkpoint, run: Run, network: Network, optimizer: FlatAdam, step: Step) -> None:
    """Stand where the checkpoint stood."""
    kept = checkpoint.load(_kept(network.state_dict(), network, optimizer))
    if kept is None:
        return
    with checkpoint.trusting():
        _take_over(*kept, run, network, optimizer, step)


def _take_over(
    state: dict[str, Any],
    tensors: dict[str, Tensor],
    run: Run,
    network: Network,
    optimizer: FlatAdam,
    step: Step,
) -> None:

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    optimizer.restore(part("optimizer."))
    buffers = dict(network.named_buffers())
    for name, tensor in part("buffer.").items():
        buffers[name].copy_(tensor)
    torch.set_rng_state(tensors["random"])
    if "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], optimizer.weights.device)
    device = optimizer.weights.device
    run.best = {name: tensor.to(device) for name, tensor in part("best.").items()} or None
    run.epoch, run.batch, run.best_epoch = state["epoch"], state["batch"], state["best_epoch"]
    run.best_loss = math.inf if state["best_loss"] is None else state["best_loss"]
    run.history[:] = state["history"]
    if "totals" in tensors:
        step.begin(state["names"], tensors["totals"].to(device))


# -- the rest -----------------------------------------------------------------------------------------------


def _row(epoch: int, losses: dict[str, float], seconds: float) -> dict[str, Any]:
    row: dict[str, Any] = {"epoch": epoch, "train_loss": sum(losses.values()), "validation_loss": None}
    if len(losses) > 1:
        if taken := losses.keys() & {*row, "seconds"}:
            raise TrainingError(f"a part of the loss is called {min(taken)!r}, as a part of the history is")
        row.update(losses)
    return row | {"seconds": round(seconds, 3)}


def _diverged(row: dict[str, Any], plan: Plan) -> TrainingError:
    return TrainingError(
        f"the loss or the weights were not finite in epoch {row['epoch']}: training diverged; try a learning "
        f"rate below {plan.learning_rate:g}, or scaling='standard'"
    )


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
def _interruptible(run: Run) -> Iterator[None]:
    """Take Ctrl-C for the end of training."""
    try:
        yield
    except KeyboardInterrupt:
        run.interrupted = True


@contextlib.contextmanager
def _threads_kept() -> Iterator[None]:
    """Leave torch's number of threads as it was found."""
    found = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(found)
