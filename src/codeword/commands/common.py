"""The application, and what its commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codeword.options import size_of

if TYPE_CHECKING:
    from codeword.data import Data
    from codeword.estimator import AutoEncoder

__all__ = ["PICTURES", "Interrupted", "app", "columns", "load_rows", "open_model", "say"]

app = typer.Typer(
    name="codeword",
    help="Learn compact codes for unlabelled data with auto-encoders, and see how much they keep.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PICTURES = (".png", ".svg", ".pdf")


class Interrupted(Exception):
    """Ctrl-C, with what is worth saying about it."""


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from codeword import __version__

        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def open_model(model: Path, device: str) -> AutoEncoder:
    """The model in a folder."""
    from codeword.estimator import AutoEncoder

    return AutoEncoder.load(model, device=device)


def load_rows(ae: AutoEncoder, source: str, split: str, label_column: str | None, size: str | None) -> Data:
    """The rows of a source, with empty cells where the model takes them."""
    from codeword.data import load

    return load(source, split, label_column=label_column, size=size_of(size), missing=ae.takes_missing)


def columns(ae: AutoEncoder) -> list[str]:
    """What the values of a row are called."""
    names = getattr(ae, "feature_names_in_", None)
    return [f"x{i}" for i in range(ae.n_features_in_)] if names is None else [str(name) for name in names]


def say(figures: dict[str, Any], json_: bool, quiet: bool) -> None:
    """Say what was written, in words or in JSON."""
    if json_:
        print(json.dumps(figures))
    elif not quiet:
        print(f"wrote {figures['output']}")
