"""How many numbers a code needs: `codeword compare`."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.base.errors import InputError, ParameterError, TrainingError
from codeword.cli.app import Interrupted, app, load_rows, read_with
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
from codeword.model.signature import convert, parameters

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.tasks.outcome import Comparison

__all__: list[str] = []

with_the_others = functools.partial(with_parameters, without=("n_components", "objective", "random_state"))


@app.command(epilog="Example: codeword compare mnist --k 4,8,16,32 --objective reconstruction,nested")
@with_the_others
def compare(
    source: Source,
    parameters: dict[str, Any],
    k: Annotated[
        str, typer.Option("-k", "--k", help="Lengths of code, with commas; auto takes 2, 4, 8, … up to 64.")
    ] = "auto",
    objective: Annotated[
        str,
        typer.Option(help="Objectives, with commas: 'reconstruction,variational(beta=4)'."),
    ] = "reconstruction",
    seeds: Annotated[int, typer.Option(help="So many trainings of each, with the seeds 0, 1, ….")] = 3,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The folder to write; by default SOURCE-comparison."),
    ] = None,
    split: Split = "train",
    label_column: LabelColumn = None,
    kind: Kind = None,
    size: Size = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a comparison in OUTPUT.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Choose k: train with each of several, and recommend one.

    One table and one picture of the error of held-out rows against k, and of the accuracy of their labels
    where there are any, with PCA beside it. What is finished is kept at once: a comparison that was stopped
    goes on with --resume, and may then have more k, objectives and seeds.
    """
    folder = output or Path(f"{stem(source)}-comparison")
    lengths, objectives = _lengths(k), _objectives(objective)
    from codeword.tasks.compare import compare as run
    from codeword.tasks.results import check_folder

    check_folder(folder, resume=resume, overwrite=overwrite)
    data, test = _load(source, split, label_column, size, objectives, kind)
    if data.columns is not None and not quiet:
        print(data.columns.summary(), file=sys.stderr)
    lines = _Lines(sys.stderr if json_ else sys.stdout, quiet)
    try:
        # A bar of the training under way goes to a terminal; a line for each of its epochs would be too much.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            found = run(
                data, k=lengths, objectives=objectives, seeds=seeds, test=test, folder=folder, resume=resume,
                overwrite=overwrite, on_row=lines, verbose=not quiet and sys.stderr.isatty(), **parameters,
            )  # fmt: skip
    except InputError as error:
        raise type(error)(_in_options(str(error))) from None
    except KeyboardInterrupt:
        raise Interrupted(_interrupted(lines, source, folder)) from None
    if found.recommended is None:
        failed = next(row["failed"] for row in found.rows if row["failed"])
        raise TrainingError(f"no training of {folder} succeeded: {failed}")
    _report(found, source, read_with(label_column, size, kind), folder, json_, quiet)


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
            print(f"{self._said(row)}; {done} of {total}", file=self.stream, flush=True)

    def _said(self, row: dict[str, Any]) -> str:
        what = f"{row['objective']} k={row['k']} seed {row['seed']}"
        if row["failed"]:
            return f"{what}: failed, {row['failed']}"
        beside = f" (PCA {self.pca[row['k']]:.4g})" if row["k"] in self.pca else ""
        return f"{what}: error {row['mse']:.4g}{beside}, {row['seconds']:.1f} s"


def _interrupted(lines: _Lines, source: str, folder: Path) -> str:
    done = f" after {lines.done} of {lines.total}" if lines.total else ""
    kept = f"; go on with `codeword compare {source} -o {folder} … --resume`" if folder.exists() else ""
    return f"interrupted{done}{kept}"


def _report(
    found: Comparison, source: str, read: Sequence[str], folder: Path, json_: bool, quiet: bool
) -> None:
    """Say what was found; `read` are the options that the source was read with."""
    from codeword.tasks.results import PICTURE, RESULTS, TABLE

    best = found.recommended
    assert best is not None
    if json_:
        recommended = {"k": best.k, "objective": best.objective, "reason": best.reason}
        print(json.dumps({"rows": found.rows, "recommended": recommended, "folder": str(folder)}))
        return
    if not quiet:
        print()
    print(found.table())
    print()
    print(f"recommended: k = {best.k}, {best.objective}: {best.reason}")
    if not quiet:
        print(f"wrote {folder}: {PICTURE}, {TABLE}, {RESULTS}")
        words = ["codeword", "train", source, "-k", str(best.k), *read]
        words += [] if best.objective == "reconstruction" else ["--objective", best.objective]
        print(f"next: {shlex.join(words)}")


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


def _load(
    source: str,
    split: str,
    label_column: str | None,
    size: str | None,
    objectives: list[Any],
    kind: Sequence[str] | None,
) -> tuple[Data, Data | None]:
    """The rows of a source, and those of its test part, if it has one that was not asked for itself."""
    from codeword.data.named import NAMES
    from codeword.model.autoencoder import AutoEncoder

    each = [AutoEncoder(objective=objective) for objective in objectives]
    strictest = min(each, key=lambda ae: ae.takes_missing)  # empty cells only where all of them take these
    data = load_rows(strictest, source, split, label_column, size, kind)
    parted = source in NAMES or all((Path(source).expanduser() / name).is_dir() for name in ("train", "test"))
    if not parted or split != "train":
        return data, None
    return data, load_rows(strictest, source, "test", label_column, size, kind)


def _in_options(text: str) -> str:
    """A message about the parameters of `compare` in the words of the command line."""
    return re.sub(
        r"The '(\w+)' parameter of compare", lambda m: f"--{m[1].replace('objectives', 'objective')}", text
    )
