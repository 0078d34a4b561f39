"""Auto-encoders for everyone who has data without labels.

The public names are imported when they are first used, so that `import codeword` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from codeword.base.about import __version__ as __version__

if TYPE_CHECKING:
    from codeword.base.errors import CodewordError as CodewordError
    from codeword.data import Data as Data
    from codeword.data import load as load
    from codeword.data.columns import Columns as Columns
    from codeword.model.autoencoder import AutoEncoder as AutoEncoder
    from codeword.model.plan import PRESETS as PRESETS
    from codeword.networks import MLP as MLP
    from codeword.networks import Conv as Conv
    from codeword.networks import Residual as Residual
    from codeword.networks import Sequence as Sequence
    from codeword.objectives import Adversarial as Adversarial
    from codeword.objectives import Contractive as Contractive
    from codeword.objectives import Denoising as Denoising
    from codeword.objectives import Masked as Masked
    from codeword.objectives import Nested as Nested
    from codeword.objectives import Reconstruction as Reconstruction
    from codeword.objectives import Regularized as Regularized
    from codeword.objectives import Sparse as Sparse
    from codeword.objectives import Variational as Variational
    from codeword.objectives import VectorQuantized as VectorQuantized
    from codeword.objectives import Wasserstein as Wasserstein
    from codeword.tasks.compare import compare as compare
    from codeword.tasks.detect import OutlierDetector as OutlierDetector
    from codeword.tasks.evaluate import evaluate as evaluate
    from codeword.tasks.generate import interpolate as interpolate
    from codeword.tasks.generate import traverse as traverse
    from codeword.tasks.map import map_codes as map_codes
    from codeword.tasks.neighbors import neighbors as neighbors

_HOME = {
    "Adversarial": "objectives",
    "AutoEncoder": "model.autoencoder",
    "CodewordError": "base.errors",
    "Columns": "data.columns",
    "Contractive": "objectives",
    "Conv": "networks",
    "Data": "data",
    "Denoising": "objectives",
    "MLP": "networks",
    "Masked": "objectives",
    "Nested": "objectives",
    "OutlierDetector": "tasks.detect",
    "PRESETS": "model.plan",
    "Reconstruction": "objectives",
    "Regularized": "objectives",
    "Residual": "networks",
    "Sequence": "networks",
    "Sparse": "objectives",
    "Variational": "objectives",
    "VectorQuantized": "objectives",
    "Wasserstein": "objectives",
    "compare": "tasks.compare",
    "evaluate": "tasks.evaluate",
    "interpolate": "tasks.generate",
    "load": "data",
    "map_codes": "tasks.map",
    "neighbors": "tasks.neighbors",
    "traverse": "tasks.generate",
}

__all__ = [*_HOME]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'codeword' has no attribute {name!r}")
    return getattr(importlib.import_module(f"codeword.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
