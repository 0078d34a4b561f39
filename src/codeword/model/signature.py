"""The constructor's parameters: their types, defaults, choices and first sentences.

The signature and its docstring are read from the source, not imported: the estimator needs torch, which takes
seconds to load, and `--help` should not wait for it.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codeword.base.errors import ParameterError

__all__ = ["Parameter", "convert", "parameters"]

NOT_OPTIONS = {"verbose"}
"""What the command line says otherwise: it is verbose unless `--quiet`."""


IN_WORDS = {
    "n_components": "How many numbers a code has.",
    "network": "A name, such as mlp, or one with parameters, in quotes: 'mlp(hidden=(512, 256))'.",
    "objective": "What is minimized: a name, or one with parameters, in quotes.",
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
    spec = importlib.util.find_spec("codeword.model.autoencoder")
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
