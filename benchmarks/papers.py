"""Claims of four papers on MNIST, each beside a known value that shows the protocol to be the same.

    python benchmarks/papers.py hinton        784-1000-500-250-30: squared error of a test image
    python benchmarks/papers.py likelihood    log-likelihood of binarized test images, by a VAE
    python benchmarks/papers.py iwae          the same by an IWAE with 50 samples: best on a GPU
    python benchmarks/papers.py generation    a mixture on plain codes against the VAE, as generators
    python benchmarks/papers.py lines         what an objective takes in lines of code
    python benchmarks/papers.py all           the five of them
    python benchmarks/papers.py all --quick   a few rows and epochs of each: does the script run?

Wants MNIST, from `$CODEWORD_DATA/mnist/`, the cache or the network. `--epochs` overrides the length of every
training run and `--samples` those of each estimated likelihood; `--device` and `--seed` are AutoEncoder's.
Prints Markdown tables, and exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import inspect
import io
import sys
import time
import tokenize
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from claims import Claims, Options, Row, show
from machine import describe_machine
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from codeword import MLP, AutoEncoder, load
from codeword.networks import ARCHITECTURES, Network
from codeword.objectives import OBJECTIVES, Variational


def main() -> int:
    """Run what is asked for, and say by the exit code whether every target was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claim", choices=[*CLAIMS, "all"])
    parser.add_argument("--quick", action="store_true", help="a few rows and epochs: does it run?")
    parser.add_argument("--epochs", type=int, help="of every training run, instead of its own number")
    parser.add_argument("--samples", type=int, default=500, help="of each log-likelihood; the paper: 5000")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    missed = show(CLAIMS, options, "known, or target")
    print(f"\nseed {options.seed}; {describe_machine()}")
    return int(missed and not options.quick)


def mnist(options: Options) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test images, and their labels."""
    train, test = load("mnist", "train"), load("mnist", "test")
    n, m = (1000, 500) if options.quick else (len(train.x), len(test.x))
    return train.x[:n], test.x[:m], np.asarray(train.y)[:n], np.asarray(test.y)[:m]


def fit(options: Options, x: np.ndarray, epochs: int, **parameters: object) -> tuple[AutoEncoder, str]:
    """An auto-encoder, and how long it took, in words."""
    epochs = options.epochs or (2 if options.quick else epochs)
    settings = {"validation_fraction": 0.0, "device": options.device, "random_state": options.seed}
    ae = AutoEncoder(epochs=epochs, verbose=True, **(settings | parameters))
    started = time.perf_counter()
    ae.fit(x)
    return ae, f"{epochs} epochs, {(time.perf_counter() - started) / 60:.1f} min"


# -- Hinton & Salakhutdinov 2006 ----------------------------------------------------------------------------


def hinton(options: Options) -> list[Row]:
    """Squared error of a test image, summed over pixels, through 30 numbers (Hinton & Salakhutdinov 2006).

    The paper's layers beside a linear map that starts as PCA, trained at once. Pixels from 0 to 1, all 60,000
    images.
    """
    x, test, _, _ = mnist(options)
    settings = {"batch_size": 256, "learning_rate": 2e-3, "precision": "bfloat16"}
    network = MLP((1000, 500, 250))
    ae, cost = fit(options, x, 20, n_components=30, network=network, **settings)
    pca = squared_error(ae.baseline_.inverse_transform(ae.baseline_.transform(test)), test)
    error = squared_error(ae.reconstruct(test), test)
    rows: list[Row] = [
        ("PCA, 30 components", "13.87", f"{pca:.2f}", abs(pca - 13.87) < 0.02),
        (f"784-1000-500-250-30 beside a linear map, {cost}", "3.00; ≤ 2.4", f"{error:.2f}", error <= 2.4),
    ]
    return rows


def squared_error(x_hat: np.ndarray, x: np.ndarray) -> float:
    difference = (x_hat.astype(np.float64) - x) / 255
    return float((difference**2).sum() / len(x))


# -- Burda et al. 2015 --------------------------------------------------------------------------------------


class Binarized(Variational):
    """Trained on new draws of black and white pixels, by their gray, at every step (Burda et al. 2015)."""

    def losses(self, network: Network, x: Tensor) -> dict[str, Tensor]:
        return super().losses(network, torch.bernoulli(x))


def likelihood(options: Options) -> list[Row]:
    """Negative log-likelihood of binarized test images in nats, 50 latent variables (Burda et al. 2015).

    Two hidden layers of 200 tanh units each way, as theirs. Test images are binarized once, by the seed. The
    estimate is a bound from above, which 5,000 samples, as theirs, would lower a little.
    """
    x, binary = binarized(options)
    drawn = torch.bernoulli(torch.from_numpy(x.reshape(len(x), -1) / np.float32(255))).numpy()
    mixture = -bernoulli_mixture(drawn, binary.numpy(), options.seed)
    good = abs(mixture - 168.95) < 3
    known: Row = ("mixture of 10 Bernoulli products", "168.95", f"{mixture:.2f}", good)
    return [known, trained_likelihood(options, 1, 560, 86.76)]


def iwae(options: Options) -> list[Row]:
    """As `likelihood`, trained on the importance-weighted bound of 50 samples (Burda et al. 2015, eq. 8)."""
    return [trained_likelihood(options, 50, 240, 84.78)]


def trained_likelihood(options: Options, n_importance: int, epochs: int, known: float) -> Row:
    x, binary = binarized(options)
    objective = Binarized(likelihood="bernoulli", n_importance=n_importance)
    network = MLP((200, 200), activation="tanh", linear_skip=False)
    settings = {"n_components": 50, "network": network, "objective": objective, "scaling": "pixels"}
    ae, cost = fit(options, x, epochs, batch_size=100, learning_rate=3e-3, precision="bfloat16", **settings)
    n_samples = 50 if options.quick else options.samples
    nats = -mean_likelihood(ae, binary, n_samples)
    name = f"{n_importance} sample{'s' * (n_importance > 1)} trained on, {cost}, {n_samples} to judge"
    return name, f"{known}; within 2", f"{nats:.2f}", nats <= known + 2


def binarized(options: Options) -> tuple[np.ndarray, Tensor]:
    """Training images, and flat test images in black and white, drawn once."""
    x, test, _, _ = mnist(options)
    torch.manual_seed(options.seed)
    return x, torch.bernoulli(torch.from_numpy(test.reshape(len(test), -1) / np.float32(255)))


def mean_likelihood(ae: AutoEncoder, binary: Tensor, n_samples: int) -> float:
    device = next(ae.network_.parameters()).device
    torch.manual_seed(0)
    each = ae.objective.log_likelihood(ae.network_, binary.to(device), n_samples)
    return float(each.double().mean())


def bernoulli_mixture(x: np.ndarray, test: np.ndarray, seed: int, components: int = 10) -> float:
    """The mean log-likelihood of `test` under a mixture of products of Bernoullis, by EM on `x`.

    Larochelle & Murray 2011, table 1: -168.95 for ten of them, on binarized MNIST.
    """
    rng = np.random.default_rng(seed)
    centers = 0.25 + 0.5 * rng.random((components, x.shape[1]), dtype=np.float32)
    shares = np.full(components, 1 / components, dtype=np.float32)
    for _ in range(100):
        logs = joint(x, centers, shares)
        weights = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
        held = weights.sum(axis=0)
        shares, centers = (held + 1) / (held + 1).sum(), (weights.T @ x + 0.1) / (held[:, None] + 0.2)
    return float(np.logaddexp.reduce(joint(test, centers, shares), axis=1).mean(dtype=np.float64))


def joint(x: np.ndarray, centers: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """log p(x, component), (n, components)."""
    return x @ np.log(centers / (1 - centers)).T + np.log1p(-centers).sum(axis=1) + np.log(shares)


# -- Ghosh et al. 2020 --------------------------------------------------------------------------------------


def generation(options: Options) -> list[Row]:
    """Fréchet distance of 10,000 generated digits to the test images: a mixture on codes against a prior.

    The claim of Ghosh et al. 2020, section 5. The distance is that of Heusel et al. 2017, eq. 6, on the 64
    features before the last layer of a convolutional classifier of digits that is trained here, on all
    training images; distances of other features are not comparable.
    """
    x, test, y, y_test = mnist(options)
    features, accuracy = classifier(options, x, y, test, y_test)
    real, n = features(test), len(test)
    rng = np.random.default_rng(options.seed)

    def distance(images: np.ndarray) -> float:
        return frechet(features(images), real)

    plain, cost = fit(options, x, 40, network=MLP((512, 256)), objective="regularized", n_components=16)
    variational, vae_cost = fit(
        options, x, 40, network=MLP((512, 256)), objective="variational", n_components=16, scaling="pixels"
    )
    by_prior = distance(variational.inverse_transform(rng.normal(size=(n, 16)).astype(np.float32)))
    by_mixture = distance(mixture_samples(plain, x, n, options.seed))
    rows: list[Row] = [
        ("the classifier's accuracy on test images", "> 0.985", f"{accuracy:.4f}", accuracy > 0.985),
        (
            "training images, as many: the least to expect",
            "",
            f"{distance(x[rng.permutation(len(x))[:n]]):.2f}",
            None,
        ),
        (
            "mixture on 16 principal components",
            "",
            f"{distance(pca_samples(plain, x, n, options.seed)):.2f}",
            None,
        ),
        (f"VAE, from its prior, {vae_cost}", "", f"{by_prior:.2f}", None),
        (
            "VAE, from a mixture on its codes",
            "",
            f"{distance(mixture_samples(variational, x, n, options.seed)):.2f}",
            None,
        ),
        (
            f"plain auto-encoder, from a mixture on its codes, {cost}",
            "below the VAE's",
            f"{by_mixture:.2f}",
            by_mixture < by_prior,
        ),
    ]
    return rows


def mixture_samples(ae: AutoEncoder, x: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Images decoded from a mixture of ten normal distributions that was fitted to the codes of `x`."""
    mixture = GaussianMixture(10, random_state=seed, reg_covar=1e-4).fit(ae.transform(x).astype(np.float64))
    return ae.inverse_transform(mixture.sample(n)[0].astype(np.float32))


def pca_samples(ae: AutoEncoder, x: np.ndarray, n: int, seed: int) -> np.ndarray:
    mixture = GaussianMixture(10, random_state=seed).fit(ae.baseline_.transform(x).astype(np.float64))
    return np.clip(ae.baseline_.inverse_transform(mixture.sample(n)[0].astype(np.float32)), 0, 255)


def classifier(
    options: Options, x: np.ndarray, y: np.ndarray, test: np.ndarray, y_test: np.ndarray
) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """A function of images (n, 28, 28), 0 to 255, to features (n, 64); and the classifier's accuracy."""
    torch.manual_seed(options.seed)
    body = nn.Sequential(
        *(nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(16, 32, 5, stride=2, padding=2)),
        *(nn.ReLU(), nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU()),
    )
    head = nn.Linear(64, 10)
    parameters = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-3)
    images, labels = as_images(x), torch.from_numpy(y.astype(np.int64))
    epochs = 2 if options.quick else 5
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * -(-len(x) // 128))
    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(head(body(images[index])), labels[index]).backward()
            optimizer.step()
            schedule.step()

    @torch.no_grad()
    def features(rows: np.ndarray) -> np.ndarray:
        return torch.cat([body(part) for part in as_images(rows).split(1000)]).numpy()

    with torch.no_grad():
        guesses = head(torch.from_numpy(features(test))).argmax(dim=1).numpy()
    return features, float((guesses == y_test).mean())


def as_images(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32) / np.float32(255))[:, None]


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """The Fréchet distance between normal distributions with the moments of a and of b, (n, features)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    # The trace of the product's square root, by its eigenvalues, which are real and not negative.
    mixed = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real.clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b) - 2 * mixed)


# -- lines of code ------------------------------------------------------------------------------------------


def lines(options: Options) -> list[Row]:
    """Lines of code of each class: without blank lines, comments and docstrings."""
    rows: list[Row] = []
    for table, what in ((OBJECTIVES, "objective"), (ARCHITECTURES, "network")):
        counted = sorted((count(inspect.getsource(cls)), cls.__name__) for cls in table.values())
        for place, (number, name) in enumerate(counted):
            least = what == "objective" and place < 3
            rows.append(
                (f"{what} {name}", "≤ 60" if least else "", str(number), number <= 60 if least else None)
            )
        folder = Path(inspect.getfile(next(iter(table.values())))).parent
        total = sum(count(path.read_text("utf-8")) for path in folder.glob("*.py"))
        rows.append((f"all of {what}s/, {len(table)} names", "", str(total), None))
    return rows


def count(source: str) -> int:
    """The lines of `source` that hold code."""
    held: set[int] = set()
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            begins = True
        elif token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER):
            if not (begins and token.type == tokenize.STRING):  # a string that begins a line is a docstring
                held.update(range(token.start[0], token.end[0] + 1))
            begins = False
    return len(held)


CLAIMS: Claims = {
    "hinton": hinton,
    "likelihood": likelihood,
    "iwae": iwae,
    "generation": generation,
    "lines": lines,
}

if __name__ == "__main__":
    sys.exit(main())
