"""Auto-encoders for everyone who has data without labels.

The public names are imported when they are first used, so that `import codeword` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codeword.columns import Columns
    from codeword.comparison import compare
    from codeword.data import Data, load
    from codeword.detection import OutlierDetector
    from codeword.errors import CodewordError
    from codeword.estimator import AutoEncoder
    from codeword.evaluation import evaluate
    from codeword.generation import interpolate, traverse
    from codeword.mapping import map_codes
    from codeword.nearest import neighbors
    from codeword.networks import MLP, Conv, Residual, Sequence
    from codeword.objectives import (
        Adversarial,
        Contractive,
        Denoising,
        Masked,
        Nested,
        Reconstruction,
        Regularized,
        Sparse,
        Variational,
        VectorQuantized,
        Wasserstein,
    )
    from codeword.settings import PRESETS

__version__ = "0.1.0"

_HOME = {
    "Adversarial": "objectives",
    "AutoEncoder": "estimator",
    "CodewordError": "errors",
    "Columns": "columns",
    "Contractive": "objectives",
    "Conv": "networks",
    "Data": "data",
    "Denoising": "objectives",
    "MLP": "networks",
    "Masked": "objectives",
    "Nested": "objectives",
    "OutlierDetector": "detection",
    "PRESETS": "settings",
    "Reconstruction": "objectives",
    "Regularized": "objectives",
    "Residual": "networks",
    "Sequence": "networks",
    "Sparse": "objectives",
    "Variational": "objectives",
    "VectorQuantized": "objectives",
    "Wasserstein": "objectives",
    "compare": "comparison",
    "evaluate": "evaluation",
    "interpolate": "generation",
    "load": "data",
    "map_codes": "mapping",
    "neighbors": "nearest",
    "traverse": "generation",
}

__all__ = [
    "MLP",
    "PRESETS",
    "Adversarial",
    "AutoEncoder",
    "CodewordError",
    "Columns",
    "Contractive",
    "Conv",
    "Data",
    "Denoising",
    "Masked",
    "Nested",
    "OutlierDetector",
    "Reconstruction",
    "Regularized",
    "Residual",
    "Sequence",
    "Sparse",
    "Variational",
    "VectorQuantized",
    "Wasserstein",
    "compare",
    "evaluate",
    "interpolate",
    "load",
    "map_codes",
    "neighbors",
    "traverse",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'codeword' has no attribute {name!r}")
    return getattr(importlib.import_module(f"codeword.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
