"""`codeword compare`."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import ParameterError, TrainingError
from codeword.cli.app import Interrupted, Job, command
from codeword.cli.options import Output
from codeword.model.signature import convert, parameters

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.tasks.choice import Comparison

__all__: list[str] = []


@command(
    example="compare mnist --k 4,8,16,32 --objective reconstruction,nested",
    reads=("source", "kinds"),
    writes=Output("SOURCE-comparison", "The folder to write."),
    settings=[p for p in parameters() if p.name not in ("n_components", "objective", "random_state")],
)
def compare(
    job: Job,
    k: Annotated[
        str, typer.Option("-k", "--k", help="Lengths of code, with commas; auto takes 2, 4, 8, … up to 64.")
    ] = "auto",
    objective: Annotated[
        str,
        typer.Option(help="Objectives, with commas: 'reconstruction,variational(beta=4)'."),
    ] = "reconstruction",
    seeds: Annotated[int, typer.Option(help="So many trainings of each, with the seeds 0, 1, ….")] = 3,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a comparison in OUTPUT.")] = False,
) -> None:
    """Choose k: train with each of several, and recommend one.

    One table and one picture of the error of held-out rows against k, and of the accuracy of their labels
    where there are any, with PCA beside it. What is finished is kept at once: a comparison that was stopped
    goes on with --resume.
    """
    lengths, objectives = _lengths(k), _objectives(objective)
    from codeword.tasks.compare import check_folder, compare

    check_folder(job.output, resume=resume, overwrite=job.overwrite)
    data, test = _load(job, objectives)
    if data.columns is not None and not job.quiet:
        print(data.columns.summary(), file=sys.stderr)
    lines = _Lines(sys.stderr if job.json else sys.stdout, job.quiet)
    try:
        # A bar of the training under way goes to a terminal; a line for each of its epochs would be too much.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            found = compare(
                data, k=lengths, objectives=objectives, seeds=seeds, test=test, folder=job.output,
                resume=resume, overwrite=job.overwrite, on_row=lines,
                verbose=not job.quiet and sys.stderr.isatty(), **job.settings,
            )  # fmt: skip
    except KeyboardInterrupt:
        done = f" after {lines.done} of {lines.total}" if lines.total else ""
        again = f"`codeword compare {job.source} -o {job.output} … --resume`"
        kept = f"; go on with {again}" if job.output.exists() else ""
        raise Interrupted(f"interrupted{done}{kept}") from None
    if found.recommended is None:
        failed = next(row["failed"] for row in found.rows if row["failed"])
        raise TrainingError(f"no training of {job.output} succeeded: {failed}")
    _report(job, found)


class _Lines:
    """A line for each finished row."""

    def __init__(self, stream: Any, quiet: bool) -> None:
        self.stream, self.quiet = stream, quiet
        self.pca: dict[int, float] = {}
        self.done = self.total = 0

    def __call__(self, row: dict[str, Any], done: int, total: int) -> None:
        self.done, self.total = done, total
        if row["objective"] == "pca":
            self.pca[row["k"]] = row["mse"]
        elif not self.quiet:
            print(f"{self._about(row)}; {done} of {total}", file=self.stream, flush=True)

    def _about(self, row: dict[str, Any]) -> str:
        what = f"{row['objective']} k={row['k']} seed {row['seed']}"
        if row["failed"]:
            return f"{what}: failed, {row['failed']}"
        beside = f" (PCA {self.pca[row['k']]:.4g})" if row["k"] in self.pca else ""
        return f"{what}: error {row['mse']:.4g}{beside}, {row['seconds']:.1f} s"


def _report(job: Job, found: Comparison) -> None:
    """End with the table, the recommendation and the command that trains what it recommends."""
    from codeword.tasks.compare import PICTURE, RESULTS, TABLE

    best = found.recommended
    assert best is not None
    recommended = {"k": best.k, "objective": best.objective, "reason": best.reason}
    lines = [found.table(), "", f"recommended: k = {best.k}, {best.objective}: {best.reason}"]
    if not job.quiet:
        words = ["codeword", "train", job.source, "-k", str(best.k), *job.reading]
        words += [] if best.objective == "reconstruction" else ["--objective", best.objective]
        wrote = f"wrote {job.output}: {PICTURE}, {TABLE}, {RESULTS}"
        lines = ["", *lines, wrote, f"next: {shlex.join(words)}"]
    facts = {"rows": found.rows, "recommended": recommended, "folder": str(job.output)}
    job.result(facts, "\n".join(lines))


# -- what was asked for -------------------------------------------------------------------------------------


def _lengths(text: str) -> list[int] | str:
    if text.strip().lower() == "auto":
        return "auto"
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            f"--k must be whole numbers with commas between, or auto. Got {text!r} instead."
        ) from None


def _objectives(text: str) -> list[Any]:
    option = next(p for p in parameters() if p.name == "objective")
    return [convert(option, part.strip()) for part in _parts(text)]


def _parts(text: str) -> list[str]:
    """A text cut at its commas, but for those within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _load(job: Job, objectives: list[Any]) -> tuple[Data, Data | None]:
    """The rows of SOURCE, and those of its test part, if it has one that was not asked for itself."""
    from codeword.data.named import NAMES
    from codeword.model.autoencoder import AutoEncoder

    each = [AutoEncoder(objective=objective) for objective in objectives]
    strictest = min(each, key=lambda ae: ae.takes_missing)  # empty cells only where all of them take these
    data = job.rows_for(strictest, job.source)
    folder = Path(job.source).expanduser()
    parted = job.source in NAMES or all((folder / name).is_dir() for name in ("train", "test"))
    if not parted or job.split != "train":
        return data, None
    return data, job.rows_for(strictest, job.source, "test")
