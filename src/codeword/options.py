"""Command-line options made from the constructor of `AutoEncoder`, its one schema.

The signature and its docstring are read from the source, not imported: the estimator needs torch, which takes
seconds to load, and `--help` should not wait for it.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from codeword.errors import ParameterError

__all__ = ["Parameter", "convert", "parameters", "with_parameters"]

NOT_OPTIONS = {"verbose"}
"""What the command line says otherwise: it is verbose unless `--quiet`."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of the constructor."""

    name: str
    annotation: str
    default: Any
    help: str


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
            documented[a.arg],
        )
        for a, d in pairs
        if a.arg not in NOT_OPTIONS
    )


def _documented(docstring: str) -> dict[str, str]:
    """The type and the text of each parameter in a numpydoc docstring."""
    section = docstring.split("Parameters\n----------\n")[1].split("\n\nAttributes")[0]
    found = {}
    for name, kind, text in re.findall(r"^(\w+) : (.*)\n((?:    .*\n?)*)", section, flags=re.MULTILINE):
        kind = re.sub(r",? ?default=.*$", "", kind)
        words = " ".join(text.split()).replace("`", "")
        found[name] = f"{kind[0].upper()}{kind[1:]}. {words}"
    return found


def with_parameters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for each parameter; those given reach it as the dict `parameters`."""
    own = inspect.signature(command, eval_str=True)
    options = [
        inspect.Parameter(
            p.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    *(["-k"] if p.name == "n_components" else []),
                    f"--{p.name.replace('_', '-')}",
                    help=f"{p.help} [default: {p.default}]",
                    metavar="VALUE",
                    show_default=False,
                    rich_help_panel="Parameters of AutoEncoder",
                ),
            ],
        )
        for p in parameters()
    ]

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        texts = {p.name: given.pop(p.name) for p in parameters()}
        values = {p.name: convert(p, texts[p.name]) for p in parameters() if texts[p.name] is not None}
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
        return _call(parameter.name, text) if "(" in text else text
    if parameter.name == "random_state":
        kinds = ["int"]
    for kind, make in (("int", int), ("float", float)):
        if kind in kinds:
            try:
                return make(text)
            except ValueError:
                if "str" not in kinds:
                    raise ParameterError(
                        f"--{parameter.name.replace('_', '-')} must be a{' whole' * (kind == 'int')} number. "
                        f"Got {text!r} instead."
                    ) from None
    return text


def _call(option: str, text: str) -> Any:
    """`name(key=value, …)` with literal values, as an instance from the table of that parameter."""
    from codeword.networks import ARCHITECTURES
    from codeword.objectives import OBJECTIVES

    table: dict[str, Any] = {"network": ARCHITECTURES, "objective": OBJECTIVES}[option]
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args):
            raise ValueError("it is not of this form")
        if call.func.id not in table:
            raise ValueError(f"{call.func.id!r} is not one of {', '.join(table)}")
        return table[call.func.id](**{str(k.arg): ast.literal_eval(k.value) for k in call.keywords})
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[0]
        example = "mlp(hidden=(512, 256))" if option == "network" else "reconstruction()"
        raise ParameterError(
            f"--{option} takes a name, or name(key=value) such as '{example}': {reason}"
        ) from None
