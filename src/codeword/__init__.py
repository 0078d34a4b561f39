"""Auto-encoders for everyone who has data without labels.

The public names are imported when they are first used, so that `import codeword` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codeword.data import Data, load
    from codeword.errors import CodewordError
    from codeword.estimator import PRESETS, AutoEncoder
    from codeword.evaluation import evaluate
    from codeword.mapping import map_codes
    from codeword.networks import MLP
    from codeword.objectives import Reconstruction

__version__ = "0.1.0"

_HOME = {
    "MLP": "networks",
    "PRESETS": "estimator",
    "AutoEncoder": "estimator",
    "CodewordError": "errors",
    "Data": "data",
    "Reconstruction": "objectives",
    "evaluate": "evaluation",
    "load": "data",
    "map_codes": "mapping",
}

__all__ = [
    "MLP",
    "PRESETS",
    "AutoEncoder",
    "CodewordError",
    "Data",
    "Reconstruction",
    "evaluate",
    "load",
    "map_codes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'codeword' has no attribute {name!r}")
    return getattr(importlib.import_module(f"codeword.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
