"""The application: `command` makes a command of a function, and hands it a `Job`."""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO, get_type_hints

from typer import Argument, Context, Exit, Option, Typer

from codeword.base.errors import ParameterError
from codeword.base.progress import Progress
from codeword.model.parameters import Parameter, convert

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codeword.data import Data
    from codeword.data.columns import Columns
    from codeword.model.autoencoder import AutoEncoder
    from codeword.model.fitted import FittedModel

PICTURES = (".png", ".svg", ".pdf")
ROWS = (".npy", ".npz", ".csv", ".parquet")
"""Those of `codeword.data.outputs`, which is too slow to import for `--help`."""

SAMPLES = ((*PICTURES, *ROWS), "A picture (.png, .svg, .pdf), or the rows (.npy, .npz, .csv, …).")
"""Of the samples that a command makes: the endings of their output's name, and the help of its option."""

MODEL = ("folder", "device")
READING = ("split", "label_column", "size")
SOURCE = ("source", *READING)
"""Options for a model to be opened, for how rows are read, and for a source of rows: fields of `Job`."""

Seed = Annotated[int, Option(help="Seed of whatever is drawn at random.", min=0)]
Steps = Annotated[int, Option(help="How many steps.", min=2, max=50)]
Method = Annotated[Literal["auto", "tsne", "umap", "pca"], Option(help="How the map is made.")]
Points = Annotated[int, Option(help="How many samples are on the map, chosen at random; 0 for all.", min=0)]

app = Typer(
    name="codeword",
    help="Learn compact codes for unlabeled data with auto-encoders, and see how much they keep.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Interrupted(Exception):
    """Ctrl-C, with a message of what is kept and how to go on."""


@app.callback(invoke_without_command=True)
def _root(
    context: Context, version: bool = Option(False, "--version", help="Print the version and exit.")
) -> None:
    if version:
        from codeword.base.about import __version__

        print(__version__)
        raise Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise Exit(2)


@dataclass(frozen=True)
class Job:
    """The options that commands share, as typer takes them; a command without one has its default."""

    folder: Annotated[
        Path, Argument(help="A model folder, as `codeword train` makes it.", metavar="MODEL")
    ] = Path()
    source: Annotated[
        str,
        Argument(
            help="mnist, fashion-mnist, mnist-5k, digits; or a .npy, .npz, IDX, CSV or Parquet file; "
            "or a folder of images or IDX files.",
            metavar="SOURCE",
        ),
    ] = ""
    output: Path = Path()
    split: Annotated[str, Option(help="Which part of a source that has two: train or test.")] = "train"
    label_column: Annotated[
        str | None, Option(help="The column of a table that holds labels: it is left out of the rows.")
    ] = None
    kind: Annotated[
        list[str] | None,
        Option(
            help="What a column of a table is, where its cells do not show it: zip=category, or number, "
            "date, flag or leave-out. May be given for several.",
            metavar="COLUMN=KIND",
        ),
    ] = None
    size: Annotated[
        str | None, Option(help="Bring a folder's images to this size: 32, or 32x48 (height x width).")
    ] = None
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto"
    display: Annotated[
        str | None,
        Option(help="How samples are shown, where their shape does not show it: image, curve or table."),
    ] = None
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the output if it exists.")] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show nothing but errors and results.")] = False
    json: Annotated[bool, Option("--json", help="End with one line of JSON on standard output.")] = False
    settings: dict[str, Any] = field(default_factory=dict)
    """The parameters of `AutoEncoder` that were given."""

    # -- what is read ---------------------------------------------------------------------------------------

    @cached_property
    def model(self) -> AutoEncoder:
        """The model in the folder MODEL, opened when it is first asked for."""
        from codeword.model.autoencoder import AutoEncoder

        return AutoEncoder.load(self.folder, device=self.device)

    @property
    def fitted(self) -> FittedModel:
        """What the model has learned, which works in numbers."""
        return self.model.model_

    @cached_property
    def data(self) -> Data:
        """The rows of SOURCE, loaded when they are first asked for."""
        return self.rows(self.source)

    def rows(self, source: str, split: str | None = None, labels: Path | None = None) -> Data:
        """The rows of a source, as the model takes them, with labels from a file if there is one."""
        model = self.fitted
        data = self.load(source, split, missing=model.takes_missing, columns=model.columns)
        if labels is None:
            return data
        from codeword.data.labels import read_label_file

        return replace(data, y=read_label_file(labels, len(data)))

    def load(
        self, source: str, split: str | None = None, *, missing: bool, columns: Columns | None = None
    ) -> Data:
        """The rows of a source, read with the options of this command."""
        from codeword.data import load

        with warnings.catch_warnings():
            # Training says what columns are taken for, and which are left out.
            warnings.filterwarnings("ignore", "column .* is left out: it ")
            return load(
                source,
                split or self.split,
                label_column=self.label_column,
                size=_size(self.size),
                missing=missing,
                kinds=_kinds(self.kind or ()),
                columns=columns,
            )

    def part(self, source: str, split: str | None = None) -> str:
        """The part of a source that is read; nothing where it has no parts."""
        from codeword.data.named import NAMES

        folder = Path(os.path.expanduser(source))  # which leaves ~x as it is where nobody has that name
        parted = source in NAMES or all((folder / name).is_dir() for name in ("train", "test"))
        return (split or self.split) if parted else ""

    @property
    def reading(self) -> list[str]:
        """The options that SOURCE is read with, as another command takes them."""
        given = [("--label-column", self.label_column), *(("--kind", text) for text in self.kind or ())]
        given.append(("--size", self.size))
        return [word for name, value in given if value is not None for word in (name, value)]

    # -- what is written ------------------------------------------------------------------------------------

    @property
    def flags(self) -> dict[str, Any]:
        """The options of whatever writes: whether to overwrite, and whether to show a bar."""
        return {"overwrite": self.overwrite, "verbose": not self.quiet}

    def check(self, path: Path, formats: Sequence[str]) -> None:
        """Say early, before any work is done, that a file cannot be written."""
        from codeword.data.outputs import check_output

        check_output(path, overwrite=self.overwrite, formats=formats)

    def samples(self, data: Data, rows: Sequence[int]) -> NDArray[Any]:
        """Some rows in the shape of the model's samples."""
        import numpy as np

        return np.asarray(data[rows]).reshape(len(rows), *self.fitted.sample_shape)

    def write_samples(self, groups: NDArray[Any], path: Path | None = None, **words: Any) -> None:
        """Write groups of samples (groups, n, *sample_shape) to the output, as a picture or as rows.

        `words` are what `sample_figure` writes around them.
        """
        from codeword.data.outputs import row_writer
        from codeword.plots import sample_figure, save

        model, path = self.fitted, path or self.output
        rows = groups.reshape(-1, *model.sample_shape)
        if path.suffix.lower() in PICTURES:
            figure = sample_figure(rows, display=model.display(rows=rows, kind=self.display), **words)
            save(figure, path, overwrite=self.overwrite)
            return
        how: dict[str, Any] = {"columns": model.columns, "overwrite": self.overwrite}
        with row_writer(path, len(rows), model.sample_shape, model.names, **how) as write:
            write(rows)

    def write_reconstructions(
        self, data: Data, rows: Sequence[int], path: Path, titles: Sequence[str] | None = None
    ) -> None:
        """Picture some rows over their reconstructions; by default each with its number and error."""
        from codeword.plots import reconstruction_figure, save

        model = self.fitted
        x_hat, x = model.reconstruct(data[rows]), self.samples(data, rows)
        if titles is None:
            found = -model.score_samples(data[rows])
            titles = [f"row {row}\nerror {error:.4f}" for row, error in zip(rows, found, strict=True)]
        errors = (model.scaling.forward(x_hat) - model.scaling.forward(x)).numpy()
        shown = model.display(names=data.names, rows=x, kind=self.display)
        figure = reconstruction_figure(x, x_hat, titles=titles, display=shown, errors=errors)
        save(figure, path, overwrite=self.overwrite)

    def write_rows(self, function: Callable[[Data], Any], data: Data) -> None:
        """Write `function` of the rows of `data`, which gives rows of the model, to the output."""
        from codeword.data.outputs import write_rows

        model = self.fitted
        how = {"columns": model.columns, **self.flags}
        write_rows(function, data, self.output, model.sample_shape, model.names, **how)

    # -- what is said ---------------------------------------------------------------------------------------

    def progress(self, label: str, total: int = 0) -> Progress:
        """A bar on a terminal, unless quiet."""
        return Progress(total, label, verbose=not self.quiet)

    @property
    def lines(self) -> TextIO:
        """Where lines go that are said on the way: not to standard output where JSON is to be alone there."""
        return sys.stderr if self.json else sys.stdout

    def tell(self, text: str, to: TextIO | None = None) -> None:
        """Say something on the way, unless quiet."""
        if not self.quiet:
            print(text, file=to or self.lines, flush=True)

    def result(self, facts: dict[str, Any], words: str) -> None:
        """End with facts as a line of JSON, or with words, even if quiet."""
        print(json.dumps(facts) if self.json else words, flush=True)

    def say(self, facts: dict[str, Any], words: str) -> None:
        """End with facts as a line of JSON or, if not quiet, with words."""
        if self.json or not self.quiet:
            self.result(facts, words)

    def wrote(self, **facts: Any) -> None:
        """End with the output and facts about it."""
        self.say({"output": str(self.output), **facts}, f"wrote {self.output}")


def command(
    example: str,
    options: Sequence[str] = (),
    *,
    writes: tuple[str, Sequence[str], str] | None = None,
    split: str = "train",
    settings: Sequence[Parameter] = (),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function that takes a `Job` and, as keywords, options of the command's own.

    Parameters
    ----------
    example : str
        A command line that ends the help; the command is named after its first word.
    options : sequence of str
        Those fields of `Job` that are options, beside --quiet and --json, which all commands have.
    writes : (default, formats, help), optional
        What -o names: by default `default`, in which SOURCE stands for the name of what is read. The endings
        `formats` of a file are checked before the function is called; without any, the function checks.
    split : str, default="train"
        The default of --split.
    settings : sequence of Parameter
        Those parameters of `AutoEncoder` that are options of the command.
    """
    default, formats, help_ = writes or ("", (), "")
    by_source = "SOURCE" in default
    asked = {*options, "quiet", "json", *(["output", "overwrite"] if writes else [])}
    defaults: dict[str, Any] = dict.fromkeys(("folder", "source"), inspect.Parameter.empty)  # are required
    defaults |= {"split": split, "output": None if by_source else Path(default)}
    hints = get_type_hints(Job, include_extras=True)
    output = Option("-o", "--output", help=help_, show_default=default if by_source else True)
    hints["output"] = Annotated[Path | None, output]

    def made(function: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        shared = {
            name: _keyword(name, hint, defaults.get(name, getattr(Job, name, None)))
            for name, hint in hints.items()
            if name in asked
        }
        first = [shared.pop(name) for name in ("folder", "source", "output") if name in shared]

        def run(**given: Any) -> None:
            texts = [(p, given.pop(p.name)) for p in settings]
            values = {p.name: convert(p, text) for p, text in texts if text is not None}
            more = {p.name: given.pop(p.name) for p in own}
            if writes and given["output"] is None:
                given["output"] = Path(default.replace("SOURCE", _stem(given["source"])))
            job = Job(**given, settings=values)
            if formats:
                job.check(job.output, formats)
            function(job, **more)

        run.__doc__ = function.__doc__
        in_order = [*first, *(_keyword(p.name, p.annotation, p.default) for p in own), *shared.values()]
        run.__signature__ = inspect.Signature([*in_order, *map(_setting, settings)])  # type: ignore[attr-defined]
        return app.command(example.split()[0], epilog=f"Example: codeword {example}")(run)

    return made


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _setting(parameter: Parameter) -> inspect.Parameter:
    """The option for a parameter of the constructor; what is given stays a text."""
    default = "none" if parameter.default is None else parameter.default
    choices = f"{', '.join(parameter.choices)}; " if parameter.choices else ""
    option = Option(
        None,
        *(["-k"] if parameter.name == "n_components" else []),
        parameter.option,
        help=f"{parameter.help}  [{choices}default: {default}]",
        metavar=parameter.metavar,
    )
    return _keyword(parameter.name, str | None, option)


# -- texts on the command line ------------------------------------------------------------------------------


def _stem(source: str) -> str:
    """The name that what is made of a source has by default: `mnist` of mnist, `rows` of some/rows.npy."""
    path = Path(source)
    return path.name.split(".")[0] or path.resolve().name


def _kinds(words: Sequence[str]) -> dict[str, str]:
    """What columns of a table are, of words such as zip=category and note=leave-out."""
    kinds: dict[str, str] = {}
    for text in words:
        name, mark, kind = (part.strip() for part in text.rpartition("="))
        if not mark or not name:
            raise ParameterError(f"--kind must be COLUMN=KIND, as in zip=category. Got {text!r} instead.")
        kinds[name] = kind.replace("-", " ")
    return kinds


def _size(text: str | None) -> int | tuple[int, int] | None:
    """The size that `32` or `32x48`, height by width, stands for."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})(?:x([1-9][0-9]{0,4}))?", text, re.IGNORECASE)
    if found is None:
        raise ParameterError(
            f"--size must be a number of pixels, or height x width such as 32x48. Got {text!r} instead."
        )
    return int(found[1]) if found[2] is None else (int(found[1]), int(found[2]))


def numbers(text: str, option: str, instead: str = "") -> list[int]:
    """Whole numbers with commas between; a ParameterError says what else could stand `instead`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            f"{option} must be whole numbers with commas between{instead}. Got {text!r} instead."
        ) from None


def indices(text: str, n: int, option: str = "--samples") -> list[int]:
    """Row numbers with commas between, each below `n`; otherwise a ParameterError."""
    rows = numbers(text, option)
    bad = [row for row in rows if not 0 <= row < n]
    if bad:
        raise ParameterError(f"{option}: there is no sample {bad[0]}; the source has {n:,}, counted from 0")
    return rows


def chosen(n: int, most: int, seed: int) -> list[int]:
    """At most `most` of `n` rows at random, in order."""
    import numpy as np

    return sorted(np.random.default_rng(seed).choice(n, min(n, most), replace=False).tolist())
