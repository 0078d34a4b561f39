"""The constructor's parameters: as they are typed on the command line, and as `config.json` holds them.

The signature and its docstring are read from the source, not imported: the estimator needs torch, which takes
seconds to load, and `--help` should not wait for it.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import shlex
from collections import ChainMap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codeword.base.errors import ModelError, ParameterError

NOT_OPTIONS = ("verbose",)
"""What the command line says otherwise: it is verbose unless `--quiet`."""

IN_WORDS = {
    "n_components": "How many numbers a code has.",
    "network": "A name, such as mlp, or one with parameters, in quotes: 'mlp(hidden=(512, 256))'.",
    "objective": "What is minimized: a name, or one with parameters, in quotes.",
    "patience": "Stop after so many epochs without a better held-out loss; none never stops early.",
    "device": "auto takes CUDA, then MPS, then the CPU; or cpu, cuda, cuda:1, mps.",
}
"""What stands in the constructor's documentation for Python, said for the command line."""

MODULES = {"modules": "given to load"}
"""Stands for a pair of torch modules, whose code is not saved."""


# -- the signature ------------------------------------------------------------------------------------------


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
        return {"int": "<int>", "float": "<number>"}.get(self.annotation.split(" | ")[0], "<name>")


@functools.cache
def parameters() -> tuple[Parameter, ...]:
    """The constructor's parameters that are options, in order, each with its documentation."""
    tree = ast.parse(Path(__file__).with_name("autoencoder.py").read_text("utf-8"))
    cls = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "AutoEncoder")
    init = next(node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    numpydoc = re.findall(r"^(\w+) : (.*)\n((?:    .*\n)*)", ast.get_docstring(cls) or "", re.MULTILINE)
    documented = {name: (kind, text) for name, kind, text in numpydoc}
    arguments = [*init.args.args[1:], *init.args.kwonlyargs]
    defaults = [*init.args.defaults, *init.args.kw_defaults]
    found = []
    for argument, default in zip(arguments, defaults, strict=True):
        if argument.arg in NOT_OPTIONS or argument.annotation is None or default is None:
            continue
        kind, text = documented[argument.arg]
        choices = re.findall(r'"(\w+)"', kind.partition("}")[0]) if kind.startswith("{") else ()
        words = IN_WORDS.get(argument.arg) or " ".join(text.split()).replace("`", "")
        annotation = ast.unparse(argument.annotation)
        found.append(Parameter(argument.arg, annotation, ast.literal_eval(default), tuple(choices), words))
    return tuple(found)


def _classes() -> dict[str, Mapping[str, Any]]:
    """The classes that a name stands for, of each parameter that takes such names."""
    from codeword.networks import ARCHITECTURES
    from codeword.objectives import OBJECTIVES

    return {"network": ARCHITECTURES, "objective": OBJECTIVES}


# -- the command line ---------------------------------------------------------------------------------------


def convert(parameter: Parameter, text: str) -> Any:
    """The value that a text on the command line stands for.

    `mlp(hidden=(512, 256))` stands for an architecture or objective with parameters of its own.

    Raises ParameterError if the text is not of the parameter's type.
    """
    kinds = parameter.annotation.split(" | ")
    if "None" in kinds and text.lower() == "none":
        return None
    if parameter.name in ("network", "objective"):
        return _made(parameter, text.strip())
    for kind, make, what in (("int", int, "a whole number"), ("float", float, "a number")):
        if kind in kinds:
            try:
                return make(text)
            except ValueError:
                if "str" not in kinds:
                    raise ParameterError(
                        f"{parameter.option} must be {what}. Got {text!r} instead."
                    ) from None
    return text


def _made(parameter: Parameter, text: str) -> Any:
    """A name, or what `name(key=value, …)` with literal values stands for."""
    classes = _classes()[parameter.name]
    if text == parameter.default or text in classes:
        return text
    try:
        call = ast.parse(text, mode="eval").body
        name = call.func if isinstance(call, ast.Call) and not call.args else call
        if not isinstance(name, ast.Name):
            raise ValueError("it is not of this form")
        if name.id not in classes:
            raise ValueError(f"{name.id!r} is not one of {', '.join(classes)}")
        known = inspect.signature(classes[name.id]).parameters
        given = {str(word.arg): word.value for word in call.keywords} if isinstance(call, ast.Call) else {}
        for key, value in given.items():
            if key not in known:
                raise ValueError(f"{name.id} has no {key!r}, but {', '.join(known)}")
            if isinstance(value, ast.Name):
                raise ValueError(f"a word stands in quotes, as in {key}={value.id!r}")
        return classes[name.id](**{key: ast.literal_eval(value) for key, value in given.items()})
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[0]
        example = "mlp(hidden=(512, 256))" if parameter.name == "network" else "denoising(level=0.2)"
        raise ParameterError(
            f"{parameter.option} takes a name, or name(key=value) such as '{example}'. Got {text!r}: {reason}"
        ) from None


def in_words(value: Any) -> str:
    """A parameter, as `to_json` gives it, in the form in which it is typed on the command line."""
    if not isinstance(value, dict):
        return "none" if value is None else str(value)
    known = ChainMap(*map(dict, _classes().values()))
    if value.get("name") not in known:
        return "two torch modules of your own"
    usual = to_json(known[value["name"]]().get_params(deep=False))
    changed = {k: v for k, v in value.items() if k != "name" and v != usual.get(k)}
    inside = ", ".join(f"{k}={tuple(v) if isinstance(v, list) else v!r}" for k, v in changed.items())
    return f"{value['name']}({inside})" if inside else str(value["name"])


def of_kinds(kinds: Mapping[str, str]) -> list[str]:
    """The options that say of which kind columns are: see `codeword.Columns`."""
    return [word for name, kind in kinds.items() for word in ("--kind", f"{name}={kind.replace(' ', '-')}")]


def command(given: Mapping[str, Any], seed: int, source: str, options: Sequence[str] = ()) -> str:
    """`codeword train …` for a shell, with the parameters that differ from the defaults.

    Parameters
    ----------
    given : dict
        The constructor's parameters, as `to_json` gives them.
    seed : int
        That the model was trained with, whether it was given or drawn.
    source, options : str, sequence of str
        What it was trained on, and with which options that is read: ``["--label-column", "kind"]``.
    """
    given = {**given, "random_state": seed}
    words = ["codeword", "train", source, *options, "-o", "again.ae"]
    for parameter in parameters():
        value = given.get(parameter.name, parameter.default)
        if parameter.name == "device" or (value == parameter.default and parameter.name != "n_components"):
            continue
        if isinstance(value, dict) and "name" not in value:
            return (
                f"# {in_words(value)} are trained in Python: AutoEncoder(network=(encoder, decoder)).fit(x)"
            )
        words += [parameter.option, in_words(value)]
    return shlex.join(words)


# -- config.json --------------------------------------------------------------------------------------------


def to_json(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What `get_params(deep=False)` gives of an estimator, with nested ones named by their class."""
    return {name: _plain(value) for name, value in parameters.items()}


def _plain(value: Any) -> Any:
    import numpy as np

    if hasattr(value, "get_params"):
        known = [name for each in _classes().values() for name, cls in each.items() if cls is type(value)]
        if not known:
            raise ModelError(
                f"{type(value).__name__} is a class of your own: it cannot be written to a model folder; "
                "pickle it instead"
            )
        return {"name": known[0], **to_json(value.get_params(deep=False))}
    if isinstance(value, (str, bool, int, float, type(None))):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return MODULES if any(hasattr(v, "forward") for v in value) else [_plain(v) for v in value]
    return None  # a RandomState, a torch device: of no use to another process


def check_keys(found: Collection[str], expected: Collection[str], where: object) -> None:
    """Raise a ModelError that names what is there and unknown, or missing."""
    unknown, missing = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    if unknown or missing:
        raise ModelError(f"{where}: {f'unknown {unknown}' if unknown else f'missing {missing}'}")


def from_json(cls: type, parameters: Mapping[str, Any], *, network: Any = None) -> Any:
    """Make an estimator of what `to_json` gave; `network` takes the place of modules that were not saved.

    Raises ModelError if a key is not a parameter of `cls`, one is missing, or a name is unknown.
    """
    check_keys(
        parameters, inspect.signature(cls).parameters, f"config.json, among the parameters of {cls.__name__}"
    )
    values = {}
    for key, value in parameters.items():
        if value == MODULES:
            if network is None:
                raise ModelError(
                    "the model was fitted with torch modules of your own, whose code is not in the folder: "
                    "pass network=(encoder, decoder) to load"
                )
            value = network
        elif isinstance(value, dict):
            own, classes = dict(value), _classes().get(key, {})
            name = own.pop("name", None)
            if name not in classes:
                raise ModelError(f"config.json: {key} {name!r} is not known; this codeword may be older")
            value = from_json(classes[name], own)
        elif isinstance(value, list):
            value = tuple(value)
        values[key] = value
    return cls(**values)
