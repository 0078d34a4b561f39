"""The application: `command` makes a command of a function, and hands it a `Job`."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.cli.options import Output, kinds_of, shared_options, size_of
from codeword.model.signature import Parameter, convert

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.model.autoencoder import AutoEncoder

__all__ = ["Interrupted", "Job", "app", "command"]

app = typer.Typer(
    name="codeword",
    help="Learn compact codes for unlabelled data with auto-encoders, and see how much they keep.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Interrupted(Exception):
    """Ctrl-C, with a message of what is kept and how to go on."""


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from codeword.base.about import __version__

        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@dataclass(frozen=True)
class Job:
    """The values of the options that commands share; those that a command does not have are as below."""

    folder: Path = Path()
    source: str = ""
    output: Path = Path()
    split: str = "train"
    label_column: str | None = None
    kind: list[str] | None = None
    size: str | None = None
    device: str = "auto"
    display: str | None = None
    overwrite: bool = False
    quiet: bool = False
    json: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    """The parameters of `AutoEncoder` that were given."""

    @cached_property
    def model(self) -> AutoEncoder:
        """The model in the folder MODEL, opened when it is first asked for."""
        from codeword.model.autoencoder import AutoEncoder

        return AutoEncoder.load(self.folder, device=self.device)

    @cached_property
    def data(self) -> Data:
        """The rows of SOURCE, loaded when they are first asked for."""
        return self.rows(self.source)

    def rows(self, source: str, split: str | None = None) -> Data:
        """The rows of a source, as the model takes them, read with the options of this command."""
        return self.rows_for(self.model, source, split)

    def rows_for(self, ae: AutoEncoder, source: str, split: str | None = None) -> Data:
        """The rows of a source, as a model takes them that may be yet to be trained."""
        from codeword.data import load

        with warnings.catch_warnings():
            # Training says what columns are taken for, and which are left out.
            warnings.filterwarnings("ignore", "column .* is left out: it ")
            return load(
                source,
                split or self.split,
                label_column=self.label_column,
                size=size_of(self.size),
                missing=ae.takes_missing,
                kinds=kinds_of(self.kind or ()),
                columns=getattr(ae, "columns_", None),
            )

    def write_rows(self, function: Callable[[Data], Any], data: Data) -> None:
        """Write `function` of the rows of `data`, which gives rows of the model, to the output."""
        from codeword.data.outputs import write_rows

        model = self.model.model_
        write_rows(
            function,
            data,
            self.output,
            model.sample_shape,
            model.names,
            columns=model.columns,
            overwrite=self.overwrite,
            verbose=not self.quiet,
        )

    @property
    def reading(self) -> list[str]:
        """The options that SOURCE is read with, as another command takes them."""
        given = [("--label-column", self.label_column), *(("--kind", text) for text in self.kind or ())]
        given.append(("--size", self.size))
        return [word for name, value in given if value is not None for word in (name, value)]

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
    *,
    example: str,
    reads: Sequence[str] = (),
    writes: Output | bool = False,
    split: str = "train",
    settings: Sequence[Parameter] = (),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function that takes a `Job` and, as keywords, options of the command's own.

    Parameters
    ----------
    example : str
        A command line that ends the help; the command is named after its first word.
    reads : sequence of {"folder", "model", "source", "rows", "kinds", "display"}
        A model folder (with "model", to be opened on a device), a source, the options that rows of other
        sources are read with, the kinds of columns of a table, and how samples are shown.
    writes : Output or bool, default=False
        What -o names, which is checked before the function is called. True: outputs by options of its own.
    split : str, default="train"
        The default of --split.
    settings : sequence of Parameter
        Those parameters of `AutoEncoder` that are options of the command.
    """

    def made(function: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        options = shared_options(own, reads=reads, writes=writes, split=split, settings=settings)

        def run(**given: Any) -> None:
            texts = {p.name: (p, given.pop(p.name)) for p in settings}
            values = {name: convert(p, text) for name, (p, text) in texts.items() if text is not None}
            more = {p.name: given.pop(p.name) for p in own}
            if isinstance(writes, Output):
                given["output"] = writes.path(given["output"], given.get("source", ""))
            job = Job(**given, settings=values)
            if isinstance(writes, Output) and writes.formats:
                from codeword.data.outputs import check_output

                check_output(job.output, overwrite=job.overwrite, formats=writes.formats)
            function(job, **more)

        run.__doc__ = function.__doc__
        run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        run.__annotations__ = {option.name: option.annotation for option in options}
        name = example.split()[0]
        return app.command(name, epilog=f"Example: codeword {example}")(run)

    return made
