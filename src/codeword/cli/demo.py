"""`codeword demo`: the tutorial, end to end."""

from __future__ import annotations

import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import ParameterError
from codeword.base.files import check_own, writing
from codeword.cli.app import Job, command
from codeword.cli.options import Output, chosen

if TYPE_CHECKING:
    from codeword.data import Data

__all__: list[str] = []

TUTORIAL_SAMPLES = [100, 14234, 6906, 300, 349]
TUTORIAL_UPDATES = 9_375
"""Those of five epochs over 60,000 digits in batches of 32."""
MAP_POINTS = 2_000
MADE = ("model.ae", "reconstructions.png", "map.png")


@command(example="demo --dataset mnist -o tutorial", writes=Output("codeword-demo", "The folder to write."))
def demo(
    job: Job,
    dataset: Annotated[
        str, typer.Option(help="mnist-5k, which comes with the install, or mnist.")
    ] = "mnist-5k",
    seed: Annotated[int, typer.Option(help="Seed of the weights, of the batches and of the map.", min=0)] = 0,
) -> None:
    """Run the tutorial, end to end, on real digits.

    Trains its network, pictures reconstructions, maps the codes, and says how good the model is.
    """
    if dataset not in ("mnist-5k", "mnist"):
        raise ParameterError(f"--dataset must be mnist-5k or mnist. Got {dataset!r} instead.")
    from codeword.cli.map import map_of
    from codeword.cli.pictures import save_reconstructions
    from codeword.data import load
    from codeword.model.autoencoder import AutoEncoder
    from codeword.plots import map_figure, save
    from codeword.tasks.evaluate import evaluate

    started = time.perf_counter()
    if job.overwrite:
        check_own(job.output, MADE, "a folder that this demo made")
    with (
        writing(job.output, overwrite=job.overwrite) as folder,
        redirect_stdout(sys.stderr if job.json else sys.stdout),
    ):
        folder.mkdir()
        train, test = load(dataset, "train"), load(dataset, "test")
        _tell(job, f"Training the tutorial's network, 784 → 16 → 784, on {len(train):,} digits of {dataset}.")
        ae = AutoEncoder(**_settings(len(train)), random_state=seed, verbose=not job.quiet).fit(train)
        ae.save(folder / "model.ae")
        pictured, rows = (train, TUTORIAL_SAMPLES) if dataset == "mnist" else (test, _one_of_each(test))
        save_reconstructions(ae, pictured, rows, folder / "reconstructions.png", overwrite=False)
        _tell(job, f"Mapping the codes of {MAP_POINTS:,} digits with t-SNE.")
        rows = chosen(len(train), MAP_POINTS, seed)
        plane = map_of(ae, train[rows], seed=seed, verbose=not job.quiet)
        labels = None if train.y is None else train.y[rows]
        save(map_figure(plane, labels, title=f"{dataset}: 784 pixels in 16 numbers"), folder / "map.png")
        metrics = evaluate(ae, test.x)
    metrics |= {
        "output": str(job.output),
        "epochs": len(ae.history_),
        "train_loss": [row["train_loss"] for row in ae.history_],
        "seconds": round(time.perf_counter() - started, 1),
    }
    job.say(metrics, _ending(metrics, dataset, job.output))


def _settings(n: int) -> dict[str, Any]:
    """The tutorial's parameters, with as many updates for `n` rows as it makes on 60,000."""
    from codeword.model.plan import PRESETS

    settings = dict(PRESETS["tutorial"])
    per_epoch = -(-n // settings["batch_size"])
    return settings | {"epochs": max(5, round(TUTORIAL_UPDATES / per_epoch))}


def _one_of_each(data: Data) -> list[int]:
    """The first row of each label."""
    import numpy as np

    assert data.y is not None
    return [int(i) for i in np.unique(data.y, return_index=True)[1]]


def _tell(job: Job, text: str) -> None:
    if not job.quiet:
        print(text, flush=True)


def _ending(metrics: dict[str, Any], dataset: str, output: Path) -> str:
    from codeword.tasks.text import evaluation_table

    table = evaluation_table(metrics, f"held-out digits of {dataset}")
    more = f"codeword evaluate {output / 'model.ae'} {dataset} --split test"
    if dataset == "mnist-5k":
        more = f"codeword demo --dataset mnist -o {output}-mnist      (the tutorial in full, 60,000 digits)"
    return "\n".join(
        [
            "",
            table,
            "",
            f"Made in {metrics['seconds']:.0f} s:",
            f"  {output / 'reconstructions.png'}   originals over reconstructions",
            f"  {output / 'map.png'}               the codes on a plane, one color a digit",
            f"  {output / 'model.ae'}              the model",
            "",
            f"Next: {more}",
            "      codeword train digits -o digits.ae && codeword evaluate digits.ae digits",
        ]
    )
