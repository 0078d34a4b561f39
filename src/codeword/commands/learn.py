"""`codeword demo` and `codeword train`."""

from __future__ import annotations

import json
import sys
import time
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from codeword.commands.common import Interrupted, app, load_rows
from codeword.errors import ParameterError
from codeword.files import MODEL_FILES, check_free, check_own
from codeword.options import (
    Json,
    LabelColumn,
    Overwrite,
    Quiet,
    Size,
    Source,
    Split,
    stem,
    with_parameters,
)

__all__: list[str] = []


@app.command(epilog="Example: codeword demo --dataset mnist -o tutorial")
def demo(
    dataset: Annotated[
        str, typer.Option(help="mnist-5k, which comes with the install, or mnist.")
    ] = "mnist-5k",
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")] = Path(
        "codeword-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the weights, of the batches and of the map.", min=0)] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Run the tutorial, end to end, on real digits.

    Trains its network, pictures reconstructions, maps the codes, and says how good the model is.
    """
    from codeword.demo import run_demo

    figures = run_demo(dataset, output, seed=seed, overwrite=overwrite, verbose=not quiet, json=json_)
    if json_:
        print(json.dumps(figures))


@app.command(epilog="Example: codeword train mnist -o digits.ae -k 16")
@with_parameters
def train(
    source: Source,
    parameters: dict[str, Any],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The model folder to write; by default named after SOURCE."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Start from a named set of parameters: tutorial.")
    ] = None,
    split: Split = "train",
    label_column: LabelColumn = None,
    size: Size = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped, from OUTPUT.checkpoint.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Train an auto-encoder on SOURCE.

    Writes a model folder, which the other commands take.
    """
    output = check_free(output or Path(stem(source) + ".ae"), overwrite=overwrite)
    if overwrite:
        check_own(output, MODEL_FILES, "a model folder")
    checkpoint = output.with_name(output.name + ".checkpoint")
    from codeword.distributed import leave
    from codeword.estimator import AutoEncoder
    from codeword.settings import PRESETS

    if preset is not None and preset not in PRESETS:
        raise ParameterError(f"--preset must be one of {', '.join(PRESETS)}. Got {preset!r} instead.")
    ae = AutoEncoder(**({**PRESETS[preset]} if preset else {}) | parameters, verbose=not quiet)
    data = load_rows(ae, source, split, label_column, size)
    started = time.perf_counter()
    with redirect_stdout(sys.stderr if json_ else sys.stdout), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what it would say of an interruption is said below
        ae.fit(data, checkpoint=checkpoint, resume=resume)
    seconds = time.perf_counter() - started
    if ae.interrupted_:
        kept = f"; go on with `codeword train {source} -o {output} … --resume`" if checkpoint.exists() else ""
        raise Interrupted(f"interrupted after {len(ae.history_)} epochs{kept}")
    first = ae._world.first
    if first:
        ae.save(output, overwrite=overwrite)
    leave()
    if not first:
        return
    history = ae.history_
    if json_:
        print(
            json.dumps(
                {
                    "model": str(output),
                    "n": len(data),
                    "k": ae.n_components,
                    "epochs": len(history),
                    "train_loss": [row["train_loss"] for row in history],
                    "validation_loss": [row["validation_loss"] for row in history],
                    "seconds": round(seconds, 3),
                }
            )
        )
    elif not quiet:
        d = ae.n_features_in_
        print(f"{output}: {d} → {ae.n_components} → {d}, trained on {len(data):,} rows in {seconds:.1f} s")
        print(f"next: codeword evaluate {output} {source}")
