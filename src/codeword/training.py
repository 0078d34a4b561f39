"""The fit loop."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from codeword.batches import Batches
from codeword.errors import TrainingError
from codeword.networks import Network
from codeword.objectives import Objective
from codeword.progress import Progress
from codeword.steps import FlatAdam, Step, make_step

__all__ = ["SCHEDULES", "Plan", "Run", "fit", "seeded"]

SCHEDULES = ("constant", "cosine")

SMALL_STEP = 1 << 26
"""Multiplications in a forward pass, below which one thread trains faster than several: see `benchmarks/`."""


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
    """Where a run stands between two epochs: what a checkpoint keeps."""

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_error: float = math.inf
    best: dict[str, Tensor] | None = None
    interrupted: bool = False


def fit(
    network: Network,
    objective: Objective,
    train: Batches,
    validation: Batches | None,
    plan: Plan,
    *,
    progress: Progress,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> Run:
    """Train `network` in place; the run that is returned holds one row of history for each epoch.

    A row holds `epoch`, `train_loss` (the mean over the epoch's rows while they were trained on),
    `validation_loss` (None without held-out rows), `seconds`; and each named loss, where
    the objective has several. With held-out rows the weights of the best epoch are kept.

    Raises
    ------
    TrainingError
        If a loss is not finite; the network then has the weights of the last epoch in which all were.
    """
    run = Run()
    optimiser = FlatAdam(network, plan.learning_rate)
    with _threads(network, plan), seeded(plan.seed, optimiser.weights.device):
        step = make_step(network, objective, optimiser, plan.precision)
        while run.epoch < plan.epochs:
            before = _copy(network)
            started = time.perf_counter()
            try:
                losses = _epoch(step, optimiser, train, plan, run.epoch, progress)
            except KeyboardInterrupt:
                run.interrupted = True
                break
            row = _row(run.epoch + 1, losses, plan, time.perf_counter() - started)
            if not math.isfinite(row["train_loss"]):
                network.load_state_dict(before)
                raise _diverged(row, plan)
            row["validation_loss"] = _validate(network, objective, validation, plan)
            run.history.append(row)
            run.epoch += 1
            stop = _keep_best(run, network, row, plan)
            progress.epoch(row, plan.epochs)
            if on_epoch is not None:
                on_epoch(row)
            if stop:
                break
    if run.best is not None:
        network.load_state_dict(run.best)
    return run


def _epoch(
    step: Step, optimiser: FlatAdam, train: Batches, plan: Plan, epoch: int, progress: Progress
) -> dict[str, float]:
    """One pass over the rows; the mean of each named loss. Nothing waits on the device until its end."""
    per_epoch = -(-train.n // plan.batch_size)
    number, total = epoch * per_epoch, plan.epochs * per_epoch
    step.totals.zero_()
    for x in train.epoch(_epoch_seed(plan.seed, epoch), plan.batch_size):
        optimiser.set_rate(plan.learning_rate * rate(number, total, plan.schedule))
        step(x)
        number += 1
        progress.rows(len(x))
    return dict(zip(step.names, (step.totals / train.n).tolist(), strict=True))


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


def _row(epoch: int, losses: dict[str, float], plan: Plan, seconds: float) -> dict[str, Any]:
    row: dict[str, Any] = {"epoch": epoch, "train_loss": sum(losses.values()), "validation_loss": None}
    if len(losses) > 1:
        row.update(losses)
    return row | {"seconds": round(seconds, 3)}


@torch.no_grad()
def _validate(network: Network, objective: Objective, rows: Batches | None, plan: Plan) -> float | None:
    """The objective's loss on the held-out rows, with the same noise, if it has any, each time."""
    if rows is None:
        return None
    device = next(network.parameters()).device
    network.eval()
    total = torch.zeros((), device=device)
    with seeded(plan.seed, device):
        for x in rows.in_order(4096):
            total += sum(objective.losses(network, x).values()) * len(x)
    network.train()
    return float(total) / rows.n


def _keep_best(run: Run, network: Network, row: dict[str, Any], plan: Plan) -> bool:
    """Remember the best weights so far; say whether patience has run out."""
    error = row["validation_loss"]
    if error is None:
        return False
    if error < run.best_error:
        run.best_epoch, run.best_error, run.best = run.epoch, error, _copy(network)
    return plan.patience is not None and run.epoch - run.best_epoch >= plan.patience


def _copy(network: Network) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _diverged(row: dict[str, Any], plan: Plan) -> TrainingError:
    return TrainingError(
        f"the loss became {row['train_loss']} in epoch {row['epoch']}: training diverged; try a learning rate "
        f"below {plan.learning_rate:g}, or scaling='standard'. The weights before that epoch are kept"
    )


def _epoch_seed(seed: int, epoch: int) -> int:
    """A seed for each epoch's order, so that a resumed epoch needs no history."""
    return (seed * 1_000_003 + epoch) % (1 << 63)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from torch's generators as seeded here, and leave them afterwards as they were found."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _threads(network: Network, plan: Plan) -> Iterator[None]:
    """One thread where a step is small.

    Threads that share a small matrix product spend their time waiting for each other, and where another
    process wants a core they wait for whole slices of the scheduler's: epochs of 1.5 s took up to 20 s.
    """
    found = torch.get_num_threads()
    size = sum(p.numel() for p in network.parameters())
    torch.set_num_threads(1 if size * plan.batch_size < SMALL_STEP else found)
    try:
        yield
    finally:
        torch.set_num_threads(found)
