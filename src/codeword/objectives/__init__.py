"""Objectives: what training minimizes.

An objective is a small bag of parameters. The fit loop knows of it only its named losses, whose sum is
minimized, and `encode` and `decode`, which are deterministic.
"""

from __future__ import annotations

import copy
from typing import Any

from codeword.base.errors import expected
from codeword.data.columns import Layout
from codeword.objectives.base import Objective, Reconstruction
from codeword.objectives.plain import Contractive, Denoising, Masked, Nested, Sparse
from codeword.objectives.priors import Adversarial, Regularized, Wasserstein
from codeword.objectives.quantized import VectorQuantized
from codeword.objectives.variational import Variational

__all__ = [
    "OBJECTIVES",
    "Adversarial",
    "Contractive",
    "Denoising",
    "Masked",
    "Nested",
    "Objective",
    "Reconstruction",
    "Regularized",
    "Sparse",
    "Variational",
    "VectorQuantized",
    "Wasserstein",
    "resolve_objective",
]

OBJECTIVES: dict[str, type[Objective]] = {
    "reconstruction": Reconstruction,
    "denoising": Denoising,
    "sparse": Sparse,
    "contractive": Contractive,
    "variational": Variational,
    "wasserstein": Wasserstein,
    "adversarial": Adversarial,
    "regularized": Regularized,
    "vector_quantized": VectorQuantized,
    "nested": Nested,
    "masked": Masked,
}


def resolve_objective(objective: Any, layout: Layout | None = None) -> Objective:
    """The objective that the `objective` parameter of AutoEncoder asks for: a name or an instance.

    With `layout`, the same with the losses that fit the parts of a mixed table's rows. Anything else, or an
    objective with a parameter that has a value it cannot have, is a ParameterError.
    """
    if isinstance(objective, str) and objective in OBJECTIVES:
        objective = OBJECTIVES[objective]()
    if isinstance(objective, Objective):
        objective.check()
        if layout is None:
            return objective
        own = copy.copy(objective)
        own.layout = layout
        return own
    raise expected(
        "objective",
        "AutoEncoder",
        f"one of {', '.join(OBJECTIVES)}, or an instance such as Reconstruction()",
        objective,
    )
