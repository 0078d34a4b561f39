"""Alternatives to the default settings, one change at a time, on data of different kinds.

    python benchmarks/defaults.py    a Markdown table: errors against PCA's, and seconds

Each figure is the held-out error divided by that of PCA with the same k, the mean of two seeds (one on
MNIST): smaller is better, and 1 is PCA's. The data and the protocol are those of `quality.py`.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from machine import describe_machine
from quality import DATA, judge

from codeword import MLP

SETS = ("mnist", "mnist-5k", "digits", "sine waves", "swiss roll", "topic counts", "breast cancer", "iris")

ALTERNATIVES: dict[str, dict] = {
    "default": {},
    "no linear path (sigmoid)": {"network": MLP(linear_skip=False)},
    "hidden (256,)": {"network": MLP(hidden=(256,))},
    "hidden (1024, 512)": {"network": MLP(hidden=(1024, 512))},
    "GELU": {"network": MLP(activation="gelu")},
    "ReLU": {"network": MLP(activation="relu")},
    "learning rate 0.002": {"learning_rate": 0.002},
    "learning rate 0.008": {"learning_rate": 0.008},
    "constant rate 0.001": {"learning_rate": 0.001, "schedule": "constant"},
    "batch 64": {"batch_size": 64},
    "epochs 20": {"epochs": 20},
    "bfloat16": {"precision": "bfloat16"},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", help="names with commas", default=",".join(SETS))
    sets = parser.parse_args().sets.split(",")
    print(f"{describe_machine()}\n")
    print("| settings | " + " | ".join(sets) + " |")
    print("|---|" + "---|" * len(sets))
    rows = {name: DATA[name][0]() for name in sets}
    for title, settings in ALTERNATIVES.items():
        cells = []
        for name in sets:
            seeds = (0,) if name == "mnist" else (0, 1)
            found = [judge(rows[name], DATA[name][1], seed, settings) for seed in seeds]
            ratio = np.mean([error / pca for error, pca, *_ in found])
            cells.append(f"{ratio:.3f} ({np.mean([seconds for _, _, seconds, _ in found]):.0f} s)")
            print(title, name, cells[-1], file=sys.stderr)
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
