"""What is minimised.

An objective is a small bag of parameters. The fit loop knows of it only its named losses, whose sum is
minimised, and `encode` and `decode`, which are deterministic.
"""

from __future__ import annotations

from typing import Any

from codeword.errors import ParameterError
from codeword.objectives.base import Objective, Reconstruction
from codeword.objectives.nested import Nested
from codeword.objectives.plain import Contractive, Denoising, Masked, Sparse
from codeword.objectives.probabilistic import Adversarial, Regularized, Wasserstein
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


def resolve_objective(objective: Any) -> Objective:
    """The objective that the `objective` parameter of AutoEncoder asks for: a name or an instance.

    Raises
    ------
    ParameterError
        If it is neither, or one of its own parameters has a value it cannot have.
    """
    if isinstance(objective, str) and objective in OBJECTIVES:
        return OBJECTIVES[objective]()
    if isinstance(objective, Objective):
        objective.check()
        return objective
    raise ParameterError(
        f"The 'objective' parameter of AutoEncoder must be one of {', '.join(OBJECTIVES)}, or an instance "
        f"such as Reconstruction(). Got {objective!r} instead."
    )
