"""Default settings against PCA with the same k, on held-out rows.

    python benchmarks/quality.py                       every data set, three seeds, a Markdown table
    python benchmarks/quality.py --only iris,wine      some of them
    python benchmarks/quality.py --set learning_rate=0.002 --set 'epochs=20'    an alternative to the defaults

A fifth of the rows is held out, by the seed; of MNIST and Fashion-MNIST their own 10,000 test images. Both
models see the rest. Errors are mean squared errors in the units in which the auto-encoder sees the data (each
column at variance 1, pixels from 0 to 1); PCA is scikit-learn's, fitted on the same scaled rows.
"""

from __future__ import annotations

import argparse
import ast
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import describe_machine
from sklearn import datasets as sk
from sklearn.decomposition import PCA
from sklearn.feature_extraction.image import extract_patches_2d

from codeword import AutoEncoder, load
from codeword.base.errors import CodewordError

SEEDS = (0, 1, 2)
SAME = 1e-4
"""Errors this close, relative to PCA's, are the same: the two computed the same map in another order."""


def named(name: str) -> Callable[[], np.ndarray]:
    """Both parts of a named set, its own test part first: of MNIST, the 10,000 images that it is known by."""
    return lambda: np.concatenate([load(name, "test").x, load(name, "train").x])


def curve(n: int = 2000, d: int = 20, noise: float = 0.05) -> np.ndarray:
    """A closed curve on a torus of two angles, in 20 dimensions."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 2 * np.pi, (2, n))
    latent = np.stack([np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(a + b), np.sin(2 * a)], axis=1)
    return latent @ rng.normal(size=(6, d)) + noise * rng.normal(size=(n, d))


def sines(n: int = 2000, length: int = 64) -> np.ndarray:
    """Sine waves of random frequency, phase and height, with noise."""
    rng = np.random.default_rng(0)
    frequency, phase, height = rng.uniform(1, 4, n), rng.uniform(0, 2 * np.pi, n), rng.uniform(0.5, 2, n)
    t = np.linspace(0, 1, length)
    waves = height[:, None] * np.sin(2 * np.pi * frequency[:, None] * t + phase[:, None])
    return waves + 0.05 * rng.normal(size=waves.shape)


def low_rank(n: int = 1000, d: int = 30, rank: int = 8) -> np.ndarray:
    """Gaussian, of rank 8 with noise: nothing that PCA misses can be learnt."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) + 0.5 * rng.normal(size=(n, d))


def counts(n: int = 2000, d: int = 60) -> np.ndarray:
    """Poisson counts of a mixture of five topics."""
    rng = np.random.default_rng(0)
    topics = rng.dirichlet(np.full(d, 0.1), size=5)
    return rng.poisson(200 * rng.dirichlet(np.full(5, 0.3), size=n) @ topics).astype(np.float64)


def patches() -> np.ndarray:
    """8 x 8 color patches of scikit-learn's two photographs."""
    pictures = sk.load_sample_images().images
    parts = [extract_patches_2d(p, (8, 8), max_patches=5000, random_state=0) for p in pictures]
    return np.concatenate(parts)


# name: (rows, k)
DATA: dict[str, tuple[Callable[[], np.ndarray], int]] = {
    "mnist": (named("mnist"), 16),
    "fashion-mnist": (named("fashion-mnist"), 16),
    "mnist-5k": (named("mnist-5k"), 16),
    "digits": (named("digits"), 8),
    "photo patches": (patches, 16),
    "iris": (lambda: sk.load_iris().data, 2),
    "wine": (lambda: sk.load_wine().data, 4),
    "breast cancer": (lambda: sk.load_breast_cancer().data, 5),
    "diabetes": (lambda: sk.load_diabetes().data, 4),
    "linnerud": (lambda: np.hstack([sk.load_linnerud().data, sk.load_linnerud().target]), 2),
    "swiss roll": (lambda: sk.make_swiss_roll(2000, noise=0.1, random_state=0)[0], 2),
    "s curve": (lambda: sk.make_s_curve(2000, noise=0.02, random_state=0)[0], 2),
    "torus in 20-D": (curve, 4),
    "sine waves": (sines, 4),
    "topic counts": (counts, 4),
    "blobs": (lambda: sk.make_blobs(1000, 12, centers=6, random_state=0)[0], 3),
    "low-rank Gaussian": (low_rank, 5),
    "uniform noise": (lambda: sk.make_friedman1(600, 10, random_state=0)[0], 4),
}


def judge(x: np.ndarray, k: int, seed: int, settings: dict) -> tuple[float, float, float, int]:
    """The auto-encoder's error, PCA's, the seconds of fit, and the epoch kept (0: the start)."""
    order = np.random.default_rng(seed).permutation(len(x))
    cut = len(x) // 5
    if x.shape == (70_000, 28, 28):
        order, cut = np.arange(len(x)), 10_000
    train, test = x[order[cut:]], x[order[:cut]]
    ae = AutoEncoder(k, random_state=seed, **settings)
    started = time.perf_counter()
    ae.fit(train)
    seconds = time.perf_counter() - started
    scaled_train, scaled_test = (ae.scaling_.forward(part).numpy() for part in (train, test))
    pca = PCA(min(k, *scaled_train.shape), random_state=0).fit(scaled_train)
    pca_error = np.square(
        pca.inverse_transform(pca.transform(scaled_test)) - scaled_test, dtype=np.float64
    ).mean()
    return -ae.score(test), float(pca_error), seconds, ae.best_epoch_


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="names with commas")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    settings = {}
    for pair in arguments.set:
        name, _, text = pair.partition("=")
        try:
            settings[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            settings[name] = text
    chosen = arguments.only.split(",") if arguments.only else list(DATA)
    print(f"{describe_machine()}; seeds {SEEDS}; settings {settings or 'default'}\n")
    print("| data | rows × features | k | auto-encoder | PCA | ratio, worst seed | seconds |")
    print("|---|---|---|---|---|---|---|")
    worse = []
    for name in chosen:
        make, k = DATA[name]
        try:
            x = make()
        except CodewordError as error:
            print(f"| {name} | not on this machine | | | | | |")
            print(f"{name}: {error}", file=sys.stderr)
            continue
        rows = [judge(x, k, seed, settings) for seed in SEEDS]
        errors, pcas, seconds, epochs = (np.array(column) for column in zip(*rows, strict=True))
        ratio = (errors / pcas).max()
        worse += [name] * bool(ratio > 1 + SAME)
        print(
            f"| {name} | {len(x):,} × {int(np.prod(x.shape[1:]))} | {k} "
            f"| {errors.mean():.5g} ± {errors.std():.1g} | {pcas.mean():.5g} ± {pcas.std():.1g} "
            f"| {ratio:.4f} | {seconds.mean():.1f} |",
            flush=True,
        )
        print(
            name, "epochs kept", epochs.tolist(), "ratios", (errors / pcas).round(4).tolist(), file=sys.stderr
        )
    print(f"\nworse than PCA on some seed: {', '.join(worse) or 'none'}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
