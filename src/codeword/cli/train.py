"""`codeword demo` and `codeword train`."""

from __future__ import annotations

import json
import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import InputError, ParameterError
from codeword.base.files import MODEL_FILES, check_free, check_own
from codeword.cli.app import Interrupted, app, load_rows, open_model, read_with
from codeword.cli.options import (
    Json,
    Kind,
    LabelColumn,
    Overwrite,
    Quiet,
    Size,
    Source,
    Split,
    stem,
    with_parameters,
)

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder

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
    from codeword.cli.demo import run_demo

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
    kind: Kind = None,
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
    output = output or Path(stem(source) + ".ae")
    checkpoint = output.with_name(output.name + ".checkpoint")
    done = resume and not overwrite and output.is_dir() and not checkpoint.exists()
    if not done:
        check_free(output, overwrite=overwrite)
    if overwrite:
        check_own(output, MODEL_FILES, "a model folder")
    from codeword.model.autoencoder import AutoEncoder
    from codeword.model.plan import PRESETS
    from codeword.training.distributed import leave

    if preset is not None and preset not in PRESETS:
        raise ParameterError(f"--preset must be one of {', '.join(PRESETS)}. Got {preset!r} instead.")
    ae = AutoEncoder(**({**PRESETS[preset]} if preset else {}) | parameters, verbose=not quiet)
    data = load_rows(ae, source, split, label_column, size, kind)
    if done:
        _check_trained(output, ae, data)
        if not quiet:
            print(f"{output} is trained already: there is nothing to resume", file=sys.stderr)
        _report(output, open_model(output, "cpu"), len(data), 0.0, source, (), json_, True)
        return
    if data.columns is not None and not quiet:
        print(data.columns.summary(), file=sys.stderr)
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
        ae.verbose = False  # how this command spoke is no matter of the model's
        ae.save(output, overwrite=overwrite)
    leave()
    if not first:
        return
    _report(output, ae, len(data), seconds, source, read_with(label_column, size), json_, quiet)


def _report(
    output: Path,
    ae: AutoEncoder,
    n: int,
    seconds: float,
    source: str,
    read: Sequence[str],
    json_: bool,
    quiet: bool,
) -> None:
    """Say what was trained; `read` are the options that a command reads the source with."""
    if json_:
        figures = {
            "model": str(output),
            "n": n,
            "k": ae.n_components,
            "epochs": len(ae.history_),
            "train_loss": [row["train_loss"] for row in ae.history_],
            "validation_loss": [row["validation_loss"] for row in ae.history_],
            "seconds": round(seconds, 3),
        }
        print(json.dumps(figures))
    elif not quiet:
        d = ae.n_features_in_
        print(f"{output}: {d} → {ae.n_components} → {d}, trained on {n:,} rows in {seconds:.1f} s")
        if ae.n_components >= d:
            print(f"a code of {ae.n_components} numbers is no smaller than a row of {d}: pass a smaller -k")
        print(f"next: {shlex.join(['codeword', 'evaluate', str(output), source, *read])}")


def _check_trained(output: Path, ae: AutoEncoder, data: Data) -> None:
    """Say in what a finished model is not the one that was asked for."""
    from codeword.model.folder import read_folder
    from codeword.model.parameters import to_json

    config = read_folder(output).config
    asked, made = to_json(ae), config["parameters"]
    differ = [name for name in asked if name not in ("device", "verbose") and asked[name] != made.get(name)]
    rows = (len(data), list(data.sample_shape))
    if differ or rows != (config["data"]["n"], config["data"]["sample_shape"]):
        what = f"--{differ[0].replace('_', '-')} {made.get(differ[0])}" if differ else "other rows"
        raise InputError(
            f"{output} is trained already, with {what}: choose another name, or pass --overwrite"
        )
