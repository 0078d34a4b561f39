"""The options of commands: those that several share, and one for each parameter of `AutoEncoder`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from codeword.base.errors import ParameterError
from codeword.model.signature import Parameter, parameters

__all__ = [
    "FORMATS",
    "PICTURES",
    "ROWS_OR_PICTURE",
    "MapSeed",
    "Method",
    "Output",
    "Points",
    "Steps",
    "chosen",
    "in_options",
    "indices",
    "shared_options",
    "size_of",
    "stem",
]

PICTURES = (".png", ".svg", ".pdf")
FORMATS = (".npy", ".npz", ".csv", ".parquet")
"""Those of `codeword.data.outputs`, which is too slow to import for `--help`."""

ROWS_OR_PICTURE = (
    "A picture (.png, .svg, .pdf), or the rows (.npy, .npz, .csv, …).",
    (*PICTURES, *FORMATS),
)

Steps = Annotated[int, typer.Option(help="How many steps.", min=2, max=50)]
Method = Annotated[str, typer.Option(help="How the map is made: auto, tsne, umap or pca.")]
Points = Annotated[
    int, typer.Option(help="How many samples are on the map, chosen at random; 0 for all.", min=0)
]
MapSeed = Annotated[int, typer.Option(help="Seed of the choice of samples and of the map.", min=0)]


@dataclass(frozen=True)
class Output:
    """The file or folder that a command writes, by its option -o.

    Parameters
    ----------
    default : str
        Its name where none is given; SOURCE stands for the name of what is read.
    help : str
        The help of the option.
    formats : sequence of str, optional
        The endings of the names of files. Without them the command checks its output itself.
    """

    default: str
    help: str
    formats: Sequence[str] = ()

    def path(self, given: Path | None, source: str) -> Path:
        """The output that was asked for, or the default."""
        return given or Path(self.default.replace("SOURCE", stem(source)))


def stem(source: str) -> str:
    """The name that what is made of a source has by default: `mnist` of mnist, `rows` of some/rows.npy."""
    path = Path(source)
    return path.name.split(".")[0] or path.resolve().name


# -- what several commands share ----------------------------------------------------------------------------


def _option(type_: Any, default: Any, *names: str, **how: Any) -> tuple[Any, Any]:
    return Annotated[type_, typer.Option(*names, **how)], default


def _argument(type_: Any, metavar: str, help_: str) -> tuple[Any, Any]:
    argument = typer.Argument(help=help_, metavar=metavar, show_default=False)
    return Annotated[type_, argument], inspect.Parameter.empty


_SHARED = {
    "folder": _argument(Path, "MODEL", "A model folder, as `codeword train` makes it."),
    "source": _argument(
        str,
        "SOURCE",
        "mnist, fashion-mnist, mnist-5k, digits; or a .npy, .npz, IDX, CSV or Parquet file; "
        "or a folder of images or IDX files.",
    ),
    "split": _option(str, "train", help="Which part of a source that has two: train or test."),
    "label_column": _option(
        str | None, None, help="The column of a table that holds labels: it is left out of the rows."
    ),
    "kind": _option(
        list[str] | None,
        None,
        help="What a column of a table is, where its cells do not show it: zip=category, or number, date, "
        "flag or leave-out. May be given for several.",
        metavar="COLUMN=KIND",
    ),
    "size": _option(
        str | None, None, help="Bring a folder's images to this size: 32, or 32x48 (height x width)."
    ),
    "device": _option(str, "auto", help="auto, cpu, cuda, cuda:1, mps."),
    "display": _option(
        str | None,
        None,
        help="How samples are shown, where their shape does not show it: image, curve or table.",
        show_default=False,
    ),
    "overwrite": _option(bool, False, "--overwrite", help="Replace the output if it exists."),
    "quiet": _option(bool, False, "--quiet", "-q", help="Show nothing but errors and results."),
    "json": _option(bool, False, "--json", help="End with one line of JSON on standard output."),
}
_OF = {
    "folder": ("folder",),
    "model": ("folder", "device"),
    "source": ("source", "split", "label_column", "size"),
    "rows": ("split", "label_column", "size"),
    "kinds": ("kind",),
    "display": ("display",),
}
"""The options that come with what a command reads."""


def shared_options(
    own: Sequence[inspect.Parameter],
    *,
    reads: Sequence[str],
    writes: Output | bool,
    split: str,
    settings: Sequence[Parameter],
) -> list[inspect.Parameter]:
    """The options of a command in the order of its help: its own, and those of what it reads and writes.

    Typer takes from the annotations of a signature what they are. Each parameter in `settings` of the
    constructor of `AutoEncoder` becomes an option, too.
    """
    asked = {"quiet", "json", *(name for thing in reads for name in _OF[thing])}
    if writes:
        asked.add("overwrite")
    found = {
        name: _keyword(name, annotation, split if name == "split" else default)
        for name, (annotation, default) in _SHARED.items()
        if name in asked
    }
    first = [found.pop(name) for name in ("folder", "source") if name in found]
    if isinstance(writes, Output):
        by_source = "SOURCE" in writes.default
        how = {"show_default": writes.default} if by_source else {}
        annotation, _ = _option(Path | None, None, "-o", "--output", help=writes.help, **how)
        first.append(_keyword("output", annotation, None if by_source else Path(writes.default)))
    in_order = [*first, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own)]
    return [*in_order, *found.values(), *map(_setting, settings)]


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _setting(parameter: Parameter) -> inspect.Parameter:
    """The option for a parameter of the constructor; what is given stays a text."""
    default = "none" if parameter.default is None else parameter.default
    choices = f"{', '.join(parameter.choices)}; " if parameter.choices else ""
    annotation, _ = _option(
        str | None,
        None,
        *(["-k"] if parameter.name == "n_components" else []),
        parameter.option,
        help=f"{parameter.help}  [{choices}default: {default}]",
        metavar=parameter.metavar,
        show_default=False,
    )
    return _keyword(parameter.name, annotation, None)


# -- other texts on the command line ------------------------------------------------------------------------

_IN_PYTHON = re.compile(r"The '(\w+)' parameter of (?:[a-z_]+|AutoEncoder|OutlierDetector)\b")
"""Parameters of functions and of these two classes are options, and those of a network are not."""
_REPLACED = {
    "--objectives": "--objective",
    "judge without labels": "pass --no-labels",
    "or judge without": "or pass --no-labels",
    "or a reference to learn from": "or --reference SOURCE",
    "the labels of x": "the labels",
    "labels of x": "labels",
}


def in_options(text: str) -> str:
    """A message for a person who writes Python in the words of the command line."""
    options = {p.name: p.option for p in parameters()}
    text = _IN_PYTHON.sub(lambda m: f"--{m[1].replace('_', '-')}", text)
    text = re.sub(r"\b\w+=\w* \((--[^)]+)\)", r"\1", text)  # said in both ways: resume=True (--resume)
    text = re.sub(r"\b(\w+)='(\w+)'", lambda m: f"{options[m[1]]} {m[2]}" if m[1] in options else m[0], text)
    for in_python, instead in _REPLACED.items():
        text = text.replace(in_python, instead)
    return text


LEAVE_OUT = "leave-out"
"""What the command line calls the kind of columns that nothing is learnt from."""


def kinds_of(words: Sequence[str]) -> dict[str, str]:
    """What columns of a table are, of words such as zip=category.

    Raises
    ------
    ParameterError
        If one is not of that form, or the kind is not known.
    """
    from codeword.data.column import KINDS

    kinds: dict[str, str] = {}
    allowed = (*KINDS, LEAVE_OUT)
    for text in words:
        name, mark, kind = (part.strip() for part in text.rpartition("="))
        if not mark or not name:
            raise ParameterError(f"--kind must be COLUMN=KIND, as in zip=category. Got {text!r} instead.")
        if kind not in allowed:
            raise ParameterError(f"--kind {name}={kind}: expected one of {', '.join(allowed)}")
        kinds[name] = kind.replace(LEAVE_OUT, "leave out")
    return kinds


def size_of(text: str | None) -> int | tuple[int, int] | None:
    """`32` or `32x48`, height by width.

    Raises
    ------
    ParameterError
        If it is neither.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})(?:x([1-9][0-9]{0,4}))?", text, re.ASCII | re.IGNORECASE)
    if found is None:
        raise ParameterError(
            f"--size must be a number of pixels, or height x width such as 32x48. Got {text!r} instead."
        )
    return int(found[1]) if found[2] is None else (int(found[1]), int(found[2]))


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


def chosen(n: int, most: int, seed: int) -> list[int]:
    """At most `most` of `n` rows at random, in order."""
    import numpy as np

    if most >= n:
        return list(range(n))
    return sorted(np.random.default_rng(seed).choice(n, most, replace=False).tolist())
