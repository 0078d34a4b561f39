"""The tutorial, end to end."""

from __future__ import annotations

import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from codeword.base.errors import ParameterError
from codeword.base.files import check_own, writing
from codeword.cli.showing import choose, evaluation_table, map_of, picture_reconstructions
from codeword.data import Data, load
from codeword.model.autoencoder import AutoEncoder
from codeword.model.plan import PRESETS
from codeword.plots import map_figure, save
from codeword.tasks.evaluate import evaluate

__all__ = ["run_demo"]

TUTORIAL_SAMPLES = [100, 14234, 6906, 300, 349]
TUTORIAL_UPDATES = 9_375
"""Five epochs of 60,000 digits in batches of 32."""
MAP_POINTS = 2_000
MADE = ("model.ae", "reconstructions.png", "map.png")


def run_demo(
    dataset: str,
    output: Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    verbose: bool = True,
    json: bool = False,
) -> dict[str, Any]:
    """Train the tutorial's network, picture reconstructions and the map of codes, and say how good it is.

    Writes the folder `output` with the model `model.ae`, `reconstructions.png` and `map.png`, whole or not at
    all, and returns the figures. On `mnist-5k` there are as many updates as the tutorial makes on 60,000.

    Raises
    ------
    InputError
        For another data set, or if `output` exists and `overwrite` is false.
    DownloadError
        If `mnist` is not on this machine and cannot be fetched.
    """
    if dataset not in ("mnist-5k", "mnist"):
        raise ParameterError(f"--dataset must be mnist-5k or mnist. Got {dataset!r} instead.")
    started = time.perf_counter()
    if overwrite:
        check_own(output, MADE, "a folder that this demo made")
    with writing(output, overwrite=overwrite) as folder, redirect_stdout(sys.stderr if json else sys.stdout):
        folder.mkdir()
        train, test = load(dataset, "train"), load(dataset, "test")
        _tell(
            verbose,
            f"Training the tutorial's network, 784 → 16 → 784, on {len(train):,} digits of {dataset}.",
        )
        ae = AutoEncoder(**_settings(len(train)), random_state=seed, verbose=verbose).fit(train)
        ae.save(folder / "model.ae")
        if dataset == "mnist":
            pictured, rows = train, TUTORIAL_SAMPLES
        else:
            pictured, rows = test, _one_of_each(test)
        save(picture_reconstructions(ae, pictured, rows), folder / "reconstructions.png")
        _tell(verbose, f"Mapping the codes of {MAP_POINTS:,} digits with t-SNE.")
        rows = choose(len(train), MAP_POINTS, seed)
        plane = map_of(ae, train, rows, seed=seed, verbose=verbose)
        labels = None if train.y is None else train.y[rows]
        save(map_figure(plane, labels, title=f"{dataset}: 784 pixels in 16 numbers"), folder / "map.png")
        figures = evaluate(ae, test.x)
    figures |= {
        "output": str(output),
        "epochs": len(ae.history_),
        "train_loss": [row["train_loss"] for row in ae.history_],
        "seconds": round(time.perf_counter() - started, 1),
    }
    if verbose and not json:
        print(_ending(figures, dataset, output))
    return figures


def _settings(n: int) -> dict[str, Any]:
    settings = dict(PRESETS["tutorial"])
    per_epoch = -(-n // settings["batch_size"])
    return settings | {"epochs": max(5, round(TUTORIAL_UPDATES / per_epoch))}


def _one_of_each(data: Data) -> list[int]:
    """The first row of each label."""
    assert data.y is not None
    return [int(i) for i in np.unique(data.y, return_index=True)[1]]


def _tell(verbose: bool, text: str) -> None:
    if verbose:
        print(text, flush=True)


def _ending(figures: dict[str, Any], dataset: str, output: Path) -> str:
    table = evaluation_table(figures, f"held-out digits of {dataset}")
    more = f"codeword evaluate {output / 'model.ae'} {dataset} --split test"
    if dataset == "mnist-5k":
        more = f"codeword demo --dataset mnist -o {output}-mnist      (the tutorial in full, 60,000 digits)"
    return "\n".join(
        [
            "",
            table,
            "",
            f"Made in {figures['seconds']:.0f} s:",
            f"  {output / 'reconstructions.png'}   originals over reconstructions",
            f"  {output / 'map.png'}               the codes on a plane, one colour a digit",
            f"  {output / 'model.ae'}              the model",
            "",
            f"Next: {more}",
            "      codeword train digits -o digits.ae && codeword evaluate digits.ae digits",
        ]
    )
