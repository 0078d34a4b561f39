"""The command line's options: those that commands share, and those made from `AutoEncoder`'s constructor.

The signature and its docstring are read from the source, not imported: the estimator needs torch, which takes
seconds to load, and `--help` should not wait for it.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from codeword.errors import ParameterError

__all__ = [
    "LEAVE_OUT",
    "Device",
    "Json",
    "Kind",
    "LabelColumn",
    "Labels",
    "Model",
    "Overwrite",
    "Parameter",
    "Quiet",
    "Size",
    "Source",
    "Split",
    "convert",
    "in_options",
    "indices",
    "parameters",
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

# -- the constructor's parameters ---------------------------------------------------------------------------

NOT_OPTIONS = {"verbose"}
"""What the command line says otherwise: it is verbose unless `--quiet`."""


IN_WORDS = {
    "n_components": "How many numbers a code has.",
    "network": "A name, such as mlp, or one with parameters, in quotes: 'mlp(hidden=(512, 256))'.",
    "objective": "What is minimised: a name, or one with parameters, in quotes.",
    "patience": "Stop after so many epochs without a better held-out loss; none never stops early.",
    "device": "auto takes CUDA, then MPS, then the CPU; or cpu, cuda, cuda:1, mps.",
}
"""What stands in the constructor's documentation for Python, said for the command line."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of the constructor."""

    name: str
    annotation: str
    default: Any
    choices: tuple[str, ...]
    help: str

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def metavar(self) -> str:
        """What stands for a value in the help."""
        if self.annotation.startswith("float"):
            return "<number>"
        return "<int>" if self.annotation.startswith("int") or self.name == "random_state" else "<name>"


@functools.cache
def parameters() -> tuple[Parameter, ...]:
    """The constructor's parameters, in order, each with the first sentence of its documentation."""
    spec = importlib.util.find_spec("codeword.estimator")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    cls = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "AutoEncoder")
    init = next(n for n in cls.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    documented = _documented(ast.get_docstring(cls) or "")
    positional = init.args.args[1:]
    pairs = [*zip(positional, init.args.defaults, strict=True)]
    pairs += [
        (a, d) for a, d in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True) if d is not None
    ]
    return tuple(
        Parameter(
            a.arg,
            ast.unparse(a.annotation) if a.annotation else "Any",
            ast.literal_eval(d),
            *documented[a.arg],
        )
        for a, d in pairs
        if a.arg not in NOT_OPTIONS
    )


def _documented(docstring: str) -> dict[str, tuple[tuple[str, ...], str]]:
    """The choices and the text of each parameter in a numpydoc docstring."""
    section = docstring.split("Parameters\n----------\n")[1].split("\n\nAttributes")[0]
    found = {}
    for name, kind, text in re.findall(r"^(\w+) : (.*)\n((?:    .*\n?)*)", section, flags=re.MULTILINE):
        choices = re.match(r"\{(.*)\}", kind)
        names = tuple(re.findall(r'"([^"]+)"', choices[1])) if choices else ()
        found[name] = (names, IN_WORDS.get(name) or " ".join(text.split()).replace("`", ""))
    return found


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


def convert(parameter: Parameter, text: str) -> Any:
    """The value that a text on the command line stands for.

    `mlp(hidden=(512, 256))` stands for an architecture or objective with parameters of its own.

    Raises
    ------
    ParameterError
        If the text is not of the parameter's type.
    """
    kinds = [kind.strip() for kind in parameter.annotation.split("|")]
    if "None" in kinds and text.lower() == "none":
        return None
    if parameter.name in ("network", "objective"):
        return _named(parameter, text)
    if parameter.name == "random_state":
        if text.lower() == "none":
            return None
        kinds = ["int"]
    for kind, make in (("int", int), ("float", float)):
        if kind in kinds:
            try:
                return make(text)
            except ValueError:
                if "str" not in kinds:
                    whole = " whole" if kind == "int" else ""
                    raise ParameterError(
                        f"{parameter.option} must be a{whole} number. Got {text!r} instead."
                    ) from None
    return text


def _named(parameter: Parameter, text: str) -> Any:
    """A name, or `name(key=value, …)` with literal values, of the table of that parameter."""
    from codeword.networks import ARCHITECTURES
    from codeword.objectives import OBJECTIVES

    table: dict[str, Any] = {"network": ARCHITECTURES, "objective": OBJECTIVES}[parameter.name]
    if text == parameter.default or text in table:
        return text
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if isinstance(call, ast.Name):
            raise ValueError(f"{call.id!r} is not one of {', '.join(table)}")
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args):
            raise ValueError("it is not of this form")
        if call.func.id not in table:
            raise ValueError(f"{call.func.id!r} is not one of {', '.join(table)}")
        known = inspect.signature(table[call.func.id]).parameters
        given = {str(k.arg): k.value for k in call.keywords}
        for key, value in given.items():
            if key not in known:
                raise ValueError(f"{call.func.id} has no {key!r}, but {', '.join(known)}")
            if isinstance(value, ast.Name):
                raise ValueError(f"a word stands in quotes, as in {key}={value.id!r}")
        return table[call.func.id](**{key: ast.literal_eval(value) for key, value in given.items()})
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[0]
        example = "mlp(hidden=(512, 256))" if parameter.name == "network" else "denoising(level=0.2)"
        raise ParameterError(
            f"{parameter.option} takes a name, or name(key=value) such as '{example}'. Got {text!r}: {reason}"
        ) from None


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
