"""What the constructor's parameters come to: checked, and with "auto" made into numbers."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import torch

from codeword.base.constraints import (
    AUTO,
    BELOW_ONE,
    COUNT,
    NONE,
    POSITIVE,
    Constraint,
    check,
    either,
    one_of,
    seed_of,
    whole,
)
from codeword.base.errors import ParameterError, expected
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


CONSTRAINTS: dict[str, Constraint] = {
    "n_components": COUNT,
    "epochs": either(COUNT, AUTO),
    "batch_size": either(
        (lambda value: whole(value) and value < 1 << 31, "a positive integer below 2**31"), AUTO
    ),
    "learning_rate": POSITIVE,
    "schedule": one_of(*SCHEDULES),
    "scaling": one_of(*KINDS),
    "precision": one_of("float32", "bfloat16"),
    "validation_fraction": either(BELOW_ONE, AUTO),
    "patience": either(COUNT, NONE),
    "random_state": seed_of(63),
}


def check_parameters(ae: AutoEncoder) -> None:
    """Raise a ParameterError that names the first parameter of an AutoEncoder with a value it cannot have."""
    check(ae, CONSTRAINTS)
    resolve_objective(ae.objective)
    resolve_architecture(ae.network)


def scaling_kind(asked: str, columns: Columns | None) -> str:
    """The scaling asked for; of a mixed table none, as its columns are scaled each by its kind."""
    if columns is None:
        return asked
    if asked not in ("auto", "none"):
        raise expected(
            "scaling",
            "AutoEncoder",
            "'auto' or 'none' for a mixed table, whose columns are scaled each by its kind",
            asked,
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
        int(epochs), int(batch), float(ae.learning_rate), ae.schedule, ae.patience, ae.precision, seed
    )


def network_spec(k: int, objective: Objective, scaling: Scaling, sample_shape: tuple[int, ...]) -> Spec:
    """What a network has to fit, for codes of k numbers."""
    return Spec(sample_shape, k, objective.encoder_outputs(k), scaling.bounded, objective.logits)


def make_network(
    network: Any, objective: Objective, spec: Spec, baseline: PrincipalComponents | None = None
) -> Network:
    """The network that the parameter `network` asks for; with PCA of the rows, where training begins."""
    made = build_network(network, spec, objective.extra_modules(spec))
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
