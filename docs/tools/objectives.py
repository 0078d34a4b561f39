"""Draw the picture of each objective for docs/objectives.md, from a run on scikit-learn's 8 × 8 digits.

    python docs/tools/objectives.py [NAME ...] [--folder docs/images/objectives]

The same machine draws the same bytes. Every model learns from the 1,438 training digits; what is shown is of
the 359 test digits, or drawn anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from codeword import (
    AutoEncoder,
    Contractive,
    Denoising,
    Masked,
    Regularized,
    Sparse,
    VectorQuantized,
    load,
)
from codeword.plots import PALETTE
from codeword.plots.style import new_figure, save, styled

FOLDER = Path(__file__).resolve().parent.parent / "images" / "objectives"
WIDTH = 5.6
CELL = 0.46
SHOWN = 10

TRAIN, TEST = load("digits"), load("digits", "test")
FIRST = np.array([np.flatnonzero(TEST.y == digit)[0] for digit in range(SHOWN)])
"""The first test digit of each kind."""


def model(objective: Any, k: int = 8, **settings: Any) -> AutoEncoder:
    """A model of the training digits."""
    return AutoEncoder(k, objective=objective, random_state=0, device="cpu", **settings).fit(TRAIN)


def rows_of_digits(rows: Sequence[tuple[str, np.ndarray]], below: Sequence[str] = ()) -> Figure:
    """Rows of digits (n, 8, 8) with their names; a hidden pixel, NaN, is tinted."""
    height = CELL * len(rows) + 0.08 + (0.34 if below else 0)
    figure = new_figure(WIDTH, height, layout="none")
    left, count = 1.0 / WIDTH, len(rows[0][1])
    each = (1 - left) / count
    bottom = (height - CELL * len(rows) - 0.04) / height
    for r, (name, images) in enumerate(rows):
        up = bottom + CELL / height * (len(rows) - 1 - r)
        figure.text(left - 0.012, up + CELL / height / 2, name, ha="right", va="center", fontsize=8)
        for c, image in enumerate(images):
            axes = figure.add_axes((left + c * each, up + 0.02 / height, 0.9 * each, 0.92 * CELL / height))
            show(axes, image)
    for c, text in enumerate(below):
        figure.text(left + (c + 0.45) * each, bottom - 0.02, text, ha="center", va="top", fontsize=6.5)
    return figure


def show(axes: Axes, image: np.ndarray) -> None:
    """One digit, ink on white."""
    import matplotlib

    shades = matplotlib.colormaps["Grays"].with_extremes(bad="#f5d7c8")
    axes.imshow(np.ma.masked_invalid(image), cmap=shades, vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()


def scattered(axes: Axes, codes: np.ndarray, title: str) -> None:
    """Codes of two numbers, one color a digit, over the circles of the standard normal distribution."""
    axes.scatter(*codes.T, s=4, c=[PALETTE[label] for label in TEST.y], linewidths=0)
    around = np.linspace(0, 2 * np.pi, 100)
    for radius in (1, 2):
        axes.plot(radius * np.cos(around), radius * np.sin(around), color="0.6", linewidth=0.6, zorder=0)
    axes.set(title=title, xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[:].set_visible(False)


def on_a_sheet(axes: Axes, images: np.ndarray, columns: int, title: str = "") -> None:
    """Digits side by side in one picture."""
    spaced = np.pad(images.clip(0, 1), ((0, 0), (1, 1), (1, 1)))
    show(axes, spaced.reshape(-1, columns, 10, 10).swapaxes(1, 2).reshape(-1, 10 * columns))
    axes.set_title(title)


# -- one function for each objective ------------------------------------------------------------------------


def reconstruction() -> Figure:
    """Digits over what comes back of them, and over PCA's."""
    ae = model("reconstruction")
    flat = TEST.x[FIRST].reshape(SHOWN, -1)
    pca = ae.baseline_
    said = ((flat - pca.mean.numpy()) @ pca.components.numpy().T) @ pca.components.numpy() + pca.mean.numpy()
    return rows_of_digits(
        [
            ("digit", TEST.x[FIRST]),
            ("8 numbers", ae.reconstruct(TEST.x[FIRST])),
            ("PCA, 8 numbers", said.reshape(-1, 8, 8).clip(0, 1)),
        ]
    )


def denoising() -> Figure:
    """Noisy digits, cleaned by a model that was trained to, and by one that was not."""
    noisy = TEST.x + np.random.default_rng(0).normal(scale=0.3, size=TEST.x.shape).astype(np.float32)
    clean = {name: model(o, k=16, scaling="none").reconstruct(noisy) for name, o in (
        ("denoising", Denoising(level=0.3)), ("plain", "reconstruction"),
    )}  # fmt: skip
    for name, x_hat in clean.items():
        print(f"{name}: squared error to the clean digits {np.square(x_hat - TEST.x).mean():.4f}")
    return rows_of_digits(
        [("digit", TEST.x[FIRST]), ("with noise", noisy[FIRST].clip(0, 1))]
        + [(name, x_hat[FIRST].clip(0, 1)) for name, x_hat in clean.items()]
    )


def masked() -> Figure:
    """Digits of which half is missing, filled in."""
    ae = model(Masked(missing="mask"), k=16)
    holes = TEST.x[FIRST].copy()
    holes[np.random.default_rng(0).random(holes.shape) < 0.5] = np.nan
    return rows_of_digits(
        [("digit", TEST.x[FIRST]), ("half of it", holes), ("filled in", ae.reconstruct(holes))]
    )


def sparse() -> Figure:
    """What single numbers of a sparse code stand for, and how few of them a digit takes."""
    ae = model(Sparse(active=6), k=64)
    codes = ae.transform(TEST.x)
    used = np.argsort(-(codes != 0).mean(axis=0))[:20]
    nothing, one = np.zeros((1, 64), np.float32), np.zeros((20, 64), np.float32)
    one[np.arange(20), used] = [codes[codes[:, j] != 0, j].mean() for j in used]
    atoms = ae.inverse_transform(one) - ae.inverse_transform(nothing)
    atoms /= np.abs(atoms).max(axis=(1, 2), keepdims=True)
    figure = new_figure(WIDTH, 2.1)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    left.imshow(codes[:40] != 0, cmap="Grays", aspect="auto", interpolation="nearest", vmax=1.3)
    left.set(title="numbers at work, of 64", ylabel="40 digits", xticks=[], yticks=[])
    right.imshow(
        np.concatenate(list(np.concatenate(np.split(atoms, 4), axis=1)), axis=1),
        cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest",
    )  # fmt: skip
    for line in range(1, 5):
        right.axvline(8 * line - 0.5, color="white", linewidth=1.5)
        right.axhline(8 * line - 0.5, color="white", linewidth=1.5)
    right.set(title="what 20 of them add", xticks=[], yticks=[])
    right.spines[:].set_visible(False)
    return figure


def contractive() -> Figure:
    """How far codes move when noise is added to digits, in deviations of the codes."""
    levels = np.linspace(0, 0.5, 11)
    noise = np.random.default_rng(0).normal(size=TEST.x.shape)
    figure = new_figure(WIDTH, 2.2)
    axes = figure.subplots()
    for color, weight in zip(PALETTE, (None, 1e-3, 1e-2), strict=False):
        ae = model("reconstruction" if weight is None else Contractive(weight=weight), scaling="none")
        codes = ae.transform(TEST.x)
        spread = codes.var(axis=0).sum()
        squares = [np.square(ae.transform(TEST.x + level * noise) - codes).sum(axis=1) for level in levels]
        moved = [np.sqrt(square.mean() / spread) for square in squares]
        name = "plain" if weight is None else f"contractive, weight {weight:g}"
        axes.plot(levels, moved, color=color, label=name)
        print(f"{name}: error {-ae.score(TEST.x):.4f}; moved by noise of 0.5: {moved[-1]:.2f}")
    axes.set(xlabel="deviation of the noise on the pixels", ylabel="how far codes move", xlim=0, ylim=0)
    axes.legend()
    return figure


def regularized() -> Figure:
    """New digits from a mixture fitted to the codes."""
    sheets = {"plain": model("reconstruction"), "regularized": model(Regularized(beta=1e-3, weight=1e-3))}
    return two_sheets({name: ae.sample(50, random_state=0) for name, ae in sheets.items()})


def two_sheets(sheets: dict[str, np.ndarray]) -> Figure:
    """Two sheets of 50 digits beside each other."""
    figure = new_figure(WIDTH, 1.55)
    for axes, (name, images) in zip(figure.subplots(1, 2), sheets.items(), strict=True):
        on_a_sheet(axes, images, 10, name)
    return figure


def variational() -> Figure:
    """Codes of two numbers, decoded along the quantiles of the prior; and new digits of eight."""
    from scipy.stats import norm

    plane = model("variational", k=2)
    steps = norm.ppf(np.linspace(0.05, 0.95, 10))
    grid = np.array([(a, b) for b in steps[::-1] for a in steps], np.float32)
    figure = new_figure(WIDTH, 2.8)
    left, right = figure.subplots(1, 2)
    on_a_sheet(left, plane.inverse_transform(grid), 10, "codes of two numbers, over the plane")
    on_a_sheet(right, model("variational").sample(100, random_state=0), 10, "new digits, from eight numbers")
    return figure


def matched(objective: Any, name: str) -> Figure:
    """Codes of two numbers beside those of a plain model, over the circles of the prior."""
    plain = model("reconstruction", k=2).transform(TEST.x)
    figure = new_figure(WIDTH, 2.7)
    left, right = figure.subplots(1, 2)
    scattered(left, plain / plain.std(axis=0), "plain, each number over its deviation")
    codes = model(objective, k=2).transform(TEST.x)
    scattered(right, codes, f"{name}, as it is")
    print(f"{name}: deviations of the two numbers {codes.std(axis=0).round(2)}")
    return figure


def wasserstein() -> Figure:
    """Codes that have the prior's distribution."""
    return matched("wasserstein", "wasserstein")


def adversarial() -> Figure:
    """Codes that a second network cannot tell from the prior."""
    return matched("adversarial", "adversarial")


def vector_quantized() -> Figure:
    """Digits, what comes back of four integers, and the integers."""
    ae = model(VectorQuantized(codebook_size=64, groups=4))
    integers = ae.transform(TEST.x[FIRST], indices=True)
    return rows_of_digits(
        [("digit", TEST.x[FIRST]), ("4 integers", ae.inverse_transform(integers, indices=True))],
        below=["{} {}\n{} {}".format(*row) for row in integers],
    )


def nested() -> Figure:
    """One model, digits from the first 1, 2, 4, 8 and 16 numbers of their codes."""
    ae = model("nested", k=16)
    codes = ae.transform(TEST.x[FIRST])
    rows = [
        (f"first {k}" if k > 1 else "first number", ae.inverse_transform(codes[:, :k])) for k in (1, 2, 4, 8)
    ]
    return rows_of_digits([*rows, ("all 16", ae.inverse_transform(codes)), ("digit", TEST.x[FIRST])])


PICTURES: dict[str, Callable[[], Figure]] = {
    f.__name__: f
    for f in (
        reconstruction, denoising, masked, sparse, contractive, regularized, variational, wasserstein,
        adversarial, vector_quantized, nested,
    )
}  # fmt: skip


def lighten(path: Path) -> None:
    """Keep no more colors than anyone sees: a third of the bytes, which are in every clone."""
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Draw those that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    for name in options.names or PICTURES:
        with styled():
            figure = PICTURES[name]()
        path = save(figure, options.folder / f"{name}.png", overwrite=True)
        lighten(path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
