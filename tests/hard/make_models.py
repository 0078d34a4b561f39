"""Write a model folder by the codeword that is imported, and codes of eight digits: for test_previous.py.

    git archive REVISION | tar x -C /tmp/then
    PYTHONPATH=/tmp/then/src python tests/hard/make_models.py NAME

puts data/NAME and data/NAME.npz beside this script.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from codeword import MLP, AutoEncoder


def main() -> None:
    name = sys.argv[1]
    data = Path(__file__).parent / "data"
    x = (load_digits().images[:200] / 16).astype(np.float32)
    ae = AutoEncoder(4, network=MLP(hidden=(12,)), epochs=5, random_state=0, device="cpu").fit(x)
    ae.save(data / name)
    np.savez(data / f"{name}.npz", codes=ae.transform(x[:8]), rows=ae.reconstruct(x[:8]))


if __name__ == "__main__":
    main()
