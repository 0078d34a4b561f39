"""What the constructor's parameters come to: checked, and with "auto" made into numbers."""

from __future__ import annotations

import math
import numbers
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from codeword.base.errors import InputError, ParameterError
from codeword.base.files import recover
from codeword.data.scaling import KINDS
from codeword.model.folder import read_folder
from codeword.networks import MLP, Network, Skip, Spec, build_network, resolve_architecture
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import Reconstruction, resolve_objective
from codeword.training.batches import Batches
from codeword.training.distributed import World
from codeword.training.loop import SCHEDULES, Plan

__all__ = [
    "PRESETS",
    "check_parameters",
    "choose_device",
    "choose_seed",
    "held_out",
    "make_network",
    "make_plan",
    "starts_solved",
]

PRECISIONS = ("float32", "bfloat16")

PRESETS: dict[str, dict[str, Any]] = {
    "tutorial": {
        "n_components": 16,
        "network": MLP(hidden=(256,), activation="leaky_relu", linear_skip=False),
        "objective": "reconstruction",
        "epochs": 5,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "validation_fraction": 0.0,
    }
}
"""Named sets of parameters: `AutoEncoder(**PRESETS["tutorial"])` is the tutorial, network and training."""


def check_parameters(ae: Any) -> None:
    """Raise a ParameterError that names the first parameter of an AutoEncoder with a value it cannot have."""

    def must(name: str, good: bool, what: str) -> None:
        if not good:
            value = getattr(ae, name)
            raise ParameterError(
                f"The {name!r} parameter of AutoEncoder must be {what}. Got {value!r} instead."
            )

    def whole(value: Any) -> bool:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value > 0)

    def real(value: Any) -> bool:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)

    must("n_components", whole(ae.n_components), "a positive integer")
    must("epochs", whole(ae.epochs) or ae.epochs == "auto", "a positive integer or 'auto'")
    must(
        "batch_size",
        ae.batch_size == "auto" or (whole(ae.batch_size) and ae.batch_size < 1 << 31),
        "a positive integer below 2**31 or 'auto'",
    )
    must(
        "learning_rate",
        real(ae.learning_rate) and 0 < ae.learning_rate < math.inf,
        "a positive number",
    )
    must("schedule", ae.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}")
    must("scaling", ae.scaling in KINDS, f"one of {', '.join(KINDS)}")
    must("precision", ae.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}")
    must(
        "validation_fraction",
        ae.validation_fraction == "auto"
        or (real(ae.validation_fraction) and 0 <= float(ae.validation_fraction) < 1),
        "a number from 0 up to, not including, 1, or 'auto'",
    )
    must("patience", ae.patience is None or whole(ae.patience), "a positive integer or None")
    seed = ae.random_state
    must(
        "random_state",
        seed is None
        or isinstance(seed, np.random.RandomState)
        or (isinstance(seed, numbers.Integral) and 0 <= int(seed) < 1 << 63),
        "an integer from 0 up to, not including, 2**63, a RandomState or None",
    )
    resolve_objective(ae.objective)
    resolve_architecture(ae.network)


def scaling_of(ae: Any) -> str:
    """The scaling asked for; of a mixed table none, as its columns are scaled each by its kind."""
    if getattr(ae, "columns_", None) is None:
        return str(ae.scaling)
    if ae.scaling not in ("auto", "none"):
        raise ParameterError(
            "The 'scaling' parameter of AutoEncoder must be 'auto' or 'none' for a mixed table, whose "
            f"columns are scaled each by its kind. Got {ae.scaling!r} instead."
        )
    return "none"


def held_out(ae: Any, n: int) -> int:
    """How many of n rows to hold out; at least one is left to train on."""
    if ae.validation_fraction == "auto":
        return min(n // 10, 5_000)
    return min(int(n * float(ae.validation_fraction)), n - 1)


def make_plan(ae: Any, train: Batches, seed: int, world: World) -> Plan:
    """The training's settings, with "auto" made into numbers."""
    n = train.n // world.size
    if not n:
        raise ParameterError(f"{train.n} rows to train on are too few for {world.size} processes")
    batch = ae.batch_size if ae.batch_size != "auto" else min(256, max(32, 1 << round(math.log2(n / 40 + 1))))
    updates = train.steps(int(batch))
    epochs = ae.epochs if ae.epochs != "auto" else max(10, min(500, -(-2000 // updates)))
    return Plan(
        int(epochs),
        int(batch),
        float(ae.learning_rate),
        ae.schedule,
        ae.patience,
        ae.precision,
        seed,
    )


def make_network(ae: Any, baseline: PrincipalComponents | None, *, bare: bool = False) -> Network:
    """The network for the rows that were seen; with their PCA given, at the point where training begins.

    `bare` leaves out what the objective adds of its own.
    """
    objective = ae._objective()
    k = ae.n_components
    spec = Spec(ae.sample_shape_, k, objective.width(k), ae.scaling_.bounded, objective.logits)
    network = build_network(ae.network, spec, None if bare else objective.extra(spec))
    architecture = resolve_architecture(ae.network)
    if baseline is not None:
        if architecture is not None:
            architecture.start(network, baseline)
        objective.start(network, baseline)
    return network


def starts_solved(ae: Any) -> bool:
    """Whether the network starts as PCA, and PCA is a solution of what is minimised."""
    objective = ae._objective()
    return isinstance(objective, Reconstruction) and objective.plain and isinstance(ae.network_.encoder, Skip)


def choose_seed(ae: Any, checkpoint: str | os.PathLike[str] | None, resume: bool, world: World) -> int:
    """An integer stands for itself, so that a drawn seed, once known, can be given again."""
    if checkpoint is not None and world.first:
        recover(Path(checkpoint))
    world.wait()
    kept = checkpoint is not None and world.all_see(Path(checkpoint).exists())
    if kept and not resume:
        raise InputError(
            f"there is a checkpoint of a run that was stopped, {checkpoint}: go on with resume=True "
            "(--resume), or delete it to train from the start"
        )
    if isinstance(ae.random_state, numbers.Integral):
        return int(ae.random_state)
    if kept:
        return int(read_folder(str(checkpoint)).config["seed"])
    return world.from_first(int(check_random_state(ae.random_state).randint(2**31 - 1)))


def choose_device(name: Any) -> torch.device:
    """The torch device of that name; "auto" takes CUDA, then MPS, then the CPU."""
    if name != "auto":
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ParameterError(f"The 'device' parameter of AutoEncoder is {name!r}: {reason}") from None
    if torch.cuda.is_available():
        # torchrun says which of a machine's GPUs is this process's.
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", torch.cuda.current_device())))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
