"""The command line's options: those that commands share, and those made from `AutoEncoder`'s constructor."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from codeword.base.errors import ParameterError
from codeword.model.signature import Parameter, convert, parameters

__all__ = [
    "LEAVE_OUT",
    "Device",
    "Json",
    "Kind",
    "LabelColumn",
    "Labels",
    "Model",
    "Overwrite",
    "Quiet",
    "Size",
    "Source",
    "Split",
    "in_options",
    "indices",
    "size_of",
    "stem",
    "with_parameters",
]

# -- what several commands share ----------------------------------------------------------------------------

Model = Annotated[
    Path,
    typer.Argument(help="A model folder, as `codeword train` makes it.", metavar="MODEL", show_default=False),
]
Source = Annotated[
    str,
    typer.Argument(
        help="mnist, fashion-mnist, mnist-5k, digits; or a .npy, .npz, IDX, CSV or Parquet file; "
        "or a folder of images or IDX files.",
        metavar="SOURCE",
        show_default=False,
    ),
]
Split = Annotated[str, typer.Option(help="Which part of a source that has two: train or test.")]
LabelColumn = Annotated[
    str | None, typer.Option(help="The column of a table that holds labels: it is left out of the rows.")
]
LEAVE_OUT = "leave-out"
"""What the command line calls the kind of columns that nothing is learnt from."""

Kind = Annotated[
    list[str] | None,
    typer.Option(
        help="What a column of a table is, where its cells do not show it: zip=category, or number, date, "
        "flag or leave-out. May be given for several.",
        metavar="COLUMN=KIND",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(help="Labels from a file, one for each row: .npy, .csv, .txt or IDX.", metavar="FILE"),
]
Size = Annotated[
    str | None,
    typer.Option(help="Bring a folder's images to this size: 32, or 32x48 (height x width)."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but errors and results.")]
Json = Annotated[bool, typer.Option("--json", help="End with one line of JSON on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]


def _help(parameter: Parameter) -> str:
    default = "none" if parameter.default is None else parameter.default
    choices = f"{', '.join(parameter.choices)}; " if parameter.choices else ""
    return f"{parameter.help}  [{choices}default: {default}]"


def stem(source: str) -> str:
    """What a model of a source is called by default: `mnist` of mnist, `rows` of some/rows.npy."""
    path = Path(source)
    return path.name.split(".")[0] or path.resolve().name


def with_parameters(command: Callable[..., Any], without: Collection[str] = ()) -> Callable[..., Any]:
    """Give a command an option for each parameter; those given reach it as the dict `parameters`.

    The parameters named in `without` get none: the command sets them itself.
    """
    own = inspect.signature(command, eval_str=True)
    given_by_option = [p for p in parameters() if p.name not in without]
    options = [
        inspect.Parameter(
            p.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    *(["-k"] if p.name == "n_components" else []),
                    p.option,
                    help=_help(p),
                    metavar=p.metavar,
                    show_default=False,
                    rich_help_panel="Parameters of AutoEncoder",
                ),
            ],
        )
        for p in given_by_option
    ]

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        texts = {p.name: given.pop(p.name) for p in given_by_option}
        values = {p.name: convert(p, texts[p.name]) for p in given_by_option if texts[p.name] is not None}
        return command(**given, parameters=values)

    kept = [p for p in own.parameters.values() if p.name != "parameters"]
    run.__signature__ = own.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*kept, *options)}
    del run.__wrapped__
    return run


# -- other texts on the command line ------------------------------------------------------------------------


def in_options(text: str) -> str:
    """A message about parameters in the words of the command line."""
    names = {p.name: p.option for p in parameters()}
    text = re.sub(r"The '(\w+)' parameter of AutoEncoder", lambda m: str(names.get(m[1], m[0])), text)
    text = text.replace("The 'method' parameter of map_codes", "--method")
    text = re.sub(r"\b\w+=\w* \((--[^)]+)\)", r"\1", text)  # said in both ways: resume=True (--resume)
    return re.sub(r"\b(\w+)='(\w+)'", lambda m: f"{names[m[1]]} {m[2]}" if m[1] in names else m[0], text)


def size_of(text: str | None) -> int | tuple[int, int] | None:
    """`32` or `32x48`, height by width.

    Raises
    ------
    ParameterError
        If it is neither.
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(
        part.isascii() and part.isdigit() and 0 < int(part) < 10**5 for part in parts
    ):
        raise ParameterError(
            f"--size must be a number of pixels, or height x width such as 32x48. Got {text!r} instead."
        )
    height, width = (int(part) for part in (parts * 2)[:2])
    return height if len(parts) == 1 else (height, width)


def indices(text: str, n: int, option: str = "--samples") -> list[int]:
    """Row numbers with commas between, each below `n`.

    Raises
    ------
    ParameterError
        If one is not a number or there is no such row.
    """
    try:
        rows = [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            f"{option} must be whole numbers with commas between. Got {text!r} instead."
        ) from None
    bad = [row for row in rows if not 0 <= row < n]
    if bad:
        raise ParameterError(f"{option}: there is no sample {bad[0]}; the source has {n:,}, counted from 0")
    return rows
