"""`codeword compare`."""

import os
import re
import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

from typer import Option

from codeword.base.errors import TrainingError
from codeword.cli.app import SOURCE, Interrupted, Job, command, numbers
from codeword.model.parameters import convert, parameters

OWN = {p.name: p for p in parameters() if p.name in ("n_components", "objective", "random_state")}
"""Parameters of `AutoEncoder` that a comparison sets itself."""


@command(
    "compare mnist --k 4,8,16,32 --objective reconstruction,nested",
    [*SOURCE, "kind"],
    writes=("SOURCE-comparison", (), "The folder to write."),
    settings=[p for p in parameters() if p.name not in OWN],
)
def compare(
    job: Job,
    k: str = Option(
        "auto", "-k", "--k", help="Lengths of code, with commas; auto takes 2, 4, 8, … up to 64."
    ),
    objective: str = Option(
        "reconstruction", help="Objectives, with commas: 'reconstruction,variational(beta=4)'."
    ),
    seeds: int = Option(3, help="So many trainings of each, with the seeds 0, 1, …."),
) -> None:
    """Choose k: train with each of several, and recommend one.

    One table and one picture of the error of held-out rows against k, and of the accuracy of their labels
    where there are any, with PCA beside it. What is finished is kept at once: the same command goes on with
    a comparison that was stopped.
    """
    automatic = k.strip().lower() == "auto"
    lengths = "auto" if automatic else numbers(k, "--k", ", or auto")
    objectives = [convert(OWN["objective"], part) for part in _parts(objective)]
    from codeword.objectives import resolve_objective
    from codeword.tasks.compare import PICTURE, RESULTS, TABLE, check_folder, compare

    check_folder(job.output, overwrite=job.overwrite)
    # Empty cells only where all objectives take them.
    missing = all(resolve_objective(each).takes_missing for each in objectives)
    data, test = job.load(job.source, missing=missing), None
    if job.split == "train" and job.part(job.source):
        test = job.load(job.source, "test", missing=missing, columns=data.columns)
    if data.columns is not None:
        job.tell(data.columns.summary(), sys.stderr)
    pca: dict[int, float] = {}
    lines, after = job.lines, ""

    def on_row(row: dict[str, Any], done: int, total: int) -> None:
        nonlocal after
        after = f" after {done} of {total}"
        if row["objective"] == "pca":
            pca[row["k"]] = row["mse"]
            return
        about = f"failed, {row['failed']}"
        if not row["failed"]:
            beside = f" (PCA {pca[row['k']]:.4g})" if row["k"] in pca else ""
            about = f"error {row['mse']:.4g}{beside}, {row['seconds']:.1f} s"
        job.tell(f"{row['objective']} k={row['k']} seed {row['seed']}: {about}; {done} of {total}", lines)

    try:
        # A bar of the training under way goes to a terminal; a line for each of its epochs would be too much.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            found = compare(
                data,
                k=lengths,
                objectives=objectives,
                seeds=seeds,
                test=test,
                folder=job.output,
                overwrite=job.overwrite,
                on_row=on_row,
                verbose=not job.quiet and sys.stderr.isatty(),
                **job.settings,
            )
    except KeyboardInterrupt:
        kept = "; the same command goes on" if job.output.exists() else ""
        raise Interrupted(f"interrupted{after}{kept}") from None
    best = found.recommended
    if best is None:
        failed = next(row["failed"] for row in found.rows if row["failed"])
        raise TrainingError(f"no training of {job.output} succeeded: {failed}")
    words = [found.table(), "", f"recommended: k = {best.k}, {best.objective}: {best.reason}"]
    if not job.quiet:
        train = ["codeword", "train", job.source, "-k", str(best.k), *job.reading]
        train += [] if best.objective == "reconstruction" else ["--objective", best.objective]
        wrote = f"wrote {job.output}: {PICTURE}, {TABLE}, {RESULTS}"
        words = ["", *words, wrote, f"next: {shlex.join(train)}"]
    facts = {"rows": found.rows, "recommended": asdict(best), "folder": str(job.output)}
    job.result(facts, "\n".join(words))


def _parts(text: str) -> list[str]:
    """A text cut at its commas, but for those within brackets or quotes."""
    parts, depth = [""], 0
    for piece in re.findall(r"'[^']*'|\"[^\"]*\"|.", text, re.DOTALL):
        depth += (piece in "([{") - (piece in ")]}")
        if piece == "," and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return [part.strip() for part in parts]
