"""What the constructor's parameters come to: checked, and with "auto" made into numbers."""

from __future__ import annotations

import functools
import math
import numbers
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from codeword.base.errors import ParameterError, check_parameter
from codeword.data.columns import Columns
from codeword.data.scaling import KINDS, Scaling
from codeword.networks import MLP, Network, Skip, Spec, build_network, resolve_architecture
from codeword.networks.base import start_linear
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import Objective, Reconstruction, resolve_objective
from codeword.training.batches import Batches
from codeword.training.distributed import ProcessGroup
from codeword.training.loop import SCHEDULES, Plan

if TYPE_CHECKING:
    from codeword.model.autoencoder import AutoEncoder

__all__ = [
    "PRESETS",
    "check_parameters",
    "choose_device",
    "held_out_rows",
    "make_network",
    "make_plan",
    "network_spec",
    "scaling_kind",
    "starts_as_pca",
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


def check_parameters(ae: AutoEncoder) -> None:
    """Raise a ParameterError that names the first parameter of an AutoEncoder with a value it cannot have."""

    must = functools.partial(check_parameter, ae)

    def whole(value: Any) -> bool:
        return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value > 0)

    def real(value: Any) -> bool:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)

    must("n_components", whole(ae.n_components), "a positive integer")
    must("epochs", whole(ae.epochs) or ae.epochs == "auto", "a positive integer or 'auto'")
    must(
        "batch_size",
        ae.batch_size == "auto" or (whole(ae.batch_size) and int(ae.batch_size) < 1 << 31),
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
        or (isinstance(seed, (int, np.integer)) and 0 <= int(seed) < 1 << 63),
        "an integer from 0 up to, not including, 2**63, a RandomState or None",
    )
    resolve_objective(ae.objective)
    resolve_architecture(ae.network)


def scaling_kind(asked: str, columns: Columns | None) -> str:
    """The scaling asked for; of a mixed table none, as its columns are scaled each by its kind."""
    if columns is None:
        return asked
    if asked not in ("auto", "none"):
        raise ParameterError(
            "The 'scaling' parameter of AutoEncoder must be 'auto' or 'none' for a mixed table, whose "
            f"columns are scaled each by its kind. Got {asked!r} instead."
        )
    return "none"


def held_out_rows(fraction: float | str, n: int) -> int:
    """How many of n rows to hold out; at least one is left to train on."""
    if fraction == "auto":
        return min(n // 10, 5_000)
    return min(int(n * float(fraction)), n - 1)


def make_plan(ae: AutoEncoder, train: Batches, seed: int, group: ProcessGroup) -> Plan:
    """The training's settings, with "auto" made into numbers."""
    n = train.n // group.size
    if not n:
        raise ParameterError(f"{train.n} rows to train on are too few for {group.size} processes")
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


def network_spec(k: int, objective: Objective, scaling: Scaling, sample_shape: tuple[int, ...]) -> Spec:
    """What a network has to fit, for codes of k numbers."""
    return Spec(sample_shape, k, objective.encoder_outputs(k), scaling.bounded, objective.logits)


def make_network(
    network: Any,
    objective: Objective,
    spec: Spec,
    baseline: PrincipalComponents | None = None,
    *,
    bare: bool = False,
) -> Network:
    """The network that the parameter `network` asks for; with PCA of the rows, where training begins.

    `bare` leaves out what the objective adds of its own.
    """
    made = build_network(network, spec, None if bare else objective.extra_modules(spec))
    if baseline is not None:
        if resolve_architecture(network) is not None:
            start_linear(made, baseline)
        objective.init_weights(made, baseline)
    return made


def starts_as_pca(network: Network, objective: Objective) -> bool:
    """Whether the network starts as PCA, and PCA is a solution of what is minimized."""
    return isinstance(objective, Reconstruction) and objective.plain and isinstance(network.encoder, Skip)


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
