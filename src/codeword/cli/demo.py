"""`codeword demo`: the tutorial, end to end."""

import time
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Literal

from typer import Option

from codeword.base.files import check_own, writing
from codeword.cli.app import Job, Seed, chosen, command

TUTORIAL_SAMPLES = [100, 14234, 6906, 300, 349]
TUTORIAL_UPDATES = 9_375
"""Those of five epochs over 60,000 digits in batches of 32: fewer digits are gone over more often."""
MAP_POINTS = 2_000
MADE = ("model.ae", "reconstructions.png", "map.png")


@command("demo --dataset mnist -o tutorial", writes=("codeword-demo", (), "The folder to write."))
def demo(
    job: Job,
    dataset: Literal["mnist-5k", "mnist"] = Option(
        "mnist-5k", help="mnist-5k comes with the install; mnist is the tutorial in full."
    ),
    seed: Seed = 0,
) -> None:
    """Run the tutorial, end to end, on real digits.

    Trains its network, pictures reconstructions, maps the codes, and says how good the model is.
    """
    import numpy as np

    from codeword.data import load
    from codeword.model.autoencoder import AutoEncoder
    from codeword.model.plan import PRESETS
    from codeword.plots import map_figure, save
    from codeword.tasks.evaluate import evaluate, evaluation_table
    from codeword.tasks.map import map_codes

    started = time.perf_counter()
    if job.overwrite:
        check_own(job.output, MADE, "a folder that this demo made")
    with writing(job.output, overwrite=job.overwrite) as folder, redirect_stdout(job.lines):
        folder.mkdir()
        model, pairs, plane = (folder / name for name in MADE)
        train, test = load(dataset, "train"), load(dataset, "test")
        job.tell(f"Training the tutorial's network, 784 → 16 → 784, on {len(train):,} digits of {dataset}.")
        settings = PRESETS["tutorial"]
        epochs = max(5, round(TUTORIAL_UPDATES / -(-len(train) // settings["batch_size"])))
        ae = AutoEncoder(**settings | {"epochs": epochs}, random_state=seed, verbose=not job.quiet)
        ae.fit(train).save(model)
        made = replace(job, folder=model)
        if dataset == "mnist":
            made.write_reconstructions(train, TUTORIAL_SAMPLES, pairs)
        else:  # the first of each digit
            _, first = np.unique(np.asarray(test.y), return_index=True)
            made.write_reconstructions(test, first.tolist(), pairs)
        job.tell(f"Mapping the codes of {MAP_POINTS:,} digits with t-SNE.")
        rows = chosen(len(train), MAP_POINTS, seed)
        with job.progress("map") as progress:
            codes = made.fitted.transform(train[rows])
            points = map_codes(codes, random_state=seed, progress=progress.upto)
        labels = None if train.y is None else train.y[rows]
        save(map_figure(points, labels, title=f"{dataset}: 784 pixels in 16 numbers"), plane)
        metrics = evaluate(ae, test.x)
    metrics |= {
        "output": str(job.output),
        "epochs": len(ae.history_),
        "train_loss": [row["train_loss"] for row in ae.history_],
        "seconds": round(time.perf_counter() - started, 1),
    }
    model, pairs, plane = (job.output / name for name in MADE)
    more = f"codeword evaluate {model} {dataset} --split test"
    if dataset == "mnist-5k":
        more = f"codeword demo --dataset mnist -o {job.output}-mnist   (the tutorial in full, 60,000 digits)"
    words = f"""
{evaluation_table(metrics, f"held-out digits of {dataset}")}

Made in {metrics["seconds"]:.0f} s:
  {pairs}   originals over reconstructions
  {plane}               the codes on a plane, one color a digit
  {model}              the model

Next: {more}
      codeword train digits -o digits.ae && codeword evaluate digits.ae digits"""
    job.say(metrics, words)
