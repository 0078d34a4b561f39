"""`codeword train`."""

from __future__ import annotations

import os
import shlex
import sys
import time
import warnings
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from typer import Option

from codeword.base.errors import InputError, ParameterError
from codeword.base.files import MODEL_FILES, check_free, check_own
from codeword.cli.app import SOURCE, Interrupted, Job, command
from codeword.model.parameters import parameters

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder


@command(
    "train mnist -o digits.ae -k 16",
    [*SOURCE, "kind"],
    writes=("SOURCE.ae", (), "The model folder to write."),
    settings=parameters(),
)
def train(
    job: Job,
    preset: str | None = Option(None, help="Start from a named set of parameters: tutorial."),
    resume: bool = Option(
        False, "--resume", help="Go on with a run that was stopped, from OUTPUT.checkpoint."
    ),
) -> None:
    """Train an auto-encoder on SOURCE.

    Writes a model folder, which the other commands take.
    """
    checkpoint = job.output.with_name(job.output.name + ".checkpoint")
    done = resume and not job.overwrite and job.output.is_dir() and not checkpoint.exists()
    if not done:
        check_free(job.output, overwrite=job.overwrite)
    if job.overwrite:
        check_own(job.output, MODEL_FILES, "a model folder")
    from codeword.model.autoencoder import AutoEncoder
    from codeword.model.plan import PRESETS
    from codeword.training.distributed import ProcessGroup

    if preset is not None and preset not in PRESETS:
        raise ParameterError(f"--preset must be one of {', '.join(PRESETS)}. Got {preset!r} instead.")
    settings = (PRESETS[preset] if preset else {}) | job.settings
    ae = AutoEncoder(**settings, verbose=not job.quiet)
    data = job.load(job.source, missing=ae.takes_missing)
    if done:
        _check_trained(job.output, ae, data)
        job.tell(f"{job.output} is trained already: there is nothing to resume", sys.stderr)
        _report(replace(job, quiet=True), AutoEncoder.load(job.output, device="cpu"), len(data), 0.0)
        return
    if data.columns is not None:
        job.tell(data.columns.summary(), sys.stderr)
    started = time.perf_counter()
    with redirect_stdout(job.lines), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what it would say of an interruption is said below
        ae.fit(data, checkpoint=checkpoint, resume=resume)
    seconds = time.perf_counter() - started
    if ae.interrupted_:
        again = f"`codeword train {job.source} -o {job.output} … --resume`"
        kept = f"; go on with {again}" if checkpoint.exists() else ""
        raise Interrupted(f"interrupted after {len(ae.history_)} epochs{kept}")
    first = int(os.environ.get("RANK", "0")) == 0
    if first:
        ae.save(job.output, overwrite=job.overwrite)
    ProcessGroup.destroy()
    if first:
        _report(job, ae, len(data), seconds)


def _report(job: Job, ae: AutoEncoder, n: int, seconds: float) -> None:
    """End with what was trained, and the command that evaluates it."""
    d, k = ae.n_features_in_, ae.n_components
    facts = {"model": str(job.output), "n": n, "k": k, "epochs": len(ae.history_)}
    facts |= {name: [row[name] for row in ae.history_] for name in ("train_loss", "validation_loss")}
    facts["seconds"] = round(seconds, 3)
    lines = [f"{job.output}: {d} → {k} → {d}, trained on {n:,} rows in {seconds:.1f} s"]
    if k >= d:
        lines.append(f"a code of {k} numbers is no smaller than a row of {d}: pass a smaller -k")
    lines.append(f"next: {shlex.join(['codeword', 'evaluate', str(job.output), job.source, *job.reading])}")
    job.say(facts, "\n".join(lines))


def _check_trained(output: Path, ae: AutoEncoder, data: Data) -> None:
    """Raise InputError where a finished model is not the one that was asked for."""
    from codeword.model.folder import read_folder
    from codeword.model.parameters import to_json

    config = read_folder(output).config
    asked, made = to_json(ae.get_params(deep=False)), config["parameters"]
    differ = [name for name in asked if name not in ("device", "verbose") and asked[name] != made.get(name)]
    rows = (len(data), list(data.sample_shape))
    if differ or rows != (config["data"]["n"], config["data"]["sample_shape"]):
        what = f"--{differ[0].replace('_', '-')} {made.get(differ[0])}" if differ else "other rows"
        raise InputError(
            f"{output} is trained already, with {what}: choose another name, or pass --overwrite"
        )
