"""Parameters to JSON and back: what `config.json` holds of an estimator, an architecture or an objective."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from codeword.base.errors import ModelError
from codeword.networks import ARCHITECTURES
from codeword.objectives import OBJECTIVES

__all__ = ["command", "from_json", "in_words", "of_kinds", "to_json"]

MODULES = {"modules": "given to load"}
"""Stands for a pair of torch modules, whose code is not saved."""


def to_json(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What `get_params(deep=False)` gives of an estimator, with nested ones named by their class."""
    return {name: _plain(value) for name, value in parameters.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseEstimator):
        return {"name": _name_of(type(value)), **to_json(value.get_params(deep=False))}
    if isinstance(value, (str, bool, int, float, type(None))):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value] if not any(hasattr(v, "forward") for v in value) else MODULES
    return None  # a RandomState, a torch device: of no use to another process


def _name_of(cls: type) -> str:
    for table in (ARCHITECTURES, OBJECTIVES):
        for name, known in table.items():
            if known is cls:
                return name
    raise ModelError(
        f"{cls.__name__} is a class of your own: it cannot be written to a model folder; pickle it instead"
    )


def from_json(cls: type, parameters: dict[str, Any], *, network: Any = None) -> Any:
    """Make an estimator of what `to_json` gave; `network` takes the place of modules that were not saved.

    Raises
    ------
    ModelError
        If a key is not a parameter of `cls`, one is missing, or a name is unknown.
    """
    known = set(inspect.signature(cls).parameters)
    unknown, missing = set(parameters) - known, known - set(parameters)
    if unknown or missing:
        what = f"unknown {sorted(unknown)}" if unknown else f"missing {sorted(missing)}"
        raise ModelError(f"config.json: {what} among the parameters of {cls.__name__}")
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
            table: dict[str, Any] = {"network": ARCHITECTURES, "objective": OBJECTIVES}.get(key, {})
            if value.get("name") not in table:
                raise ModelError(
                    f"config.json: {key} {value.get('name')!r} is not known; this codeword may be older"
                )
            value = from_json(table[value["name"]], {k: v for k, v in value.items() if k != "name"})
        elif isinstance(value, list):
            value = tuple(value)
        values[key] = value
    return cls(**values)


def in_words(value: Any) -> str:
    """A parameter, as `to_json` gives it, in the form in which it is written on the command line."""
    if isinstance(value, dict):
        known: dict[str, Any] = {**ARCHITECTURES, **OBJECTIVES}
        if value.get("name") not in known:
            return "two torch modules of your own"
        usual = to_json(known[value["name"]]().get_params(deep=False))
        changed = {k: v for k, v in value.items() if k != "name" and v != usual.get(k)}
        inside = ", ".join(f"{k}={tuple(v) if isinstance(v, list) else v!r}" for k, v in changed.items())
        return f"{value['name']}({inside})" if inside else str(value["name"])
    return "none" if value is None else str(value)


def of_kinds(kinds: Mapping[str, str]) -> list[str]:
    """The options that say of which kind columns are: see `codeword.Columns`."""
    return [word for name, kind in kinds.items() for word in ("--kind", f"{name}={kind.replace(' ', '-')}")]


def command(given: Mapping[str, Any], seed: int, source: str, options: Sequence[str] = ()) -> str:
    """`codeword train …`, with the parameters that differ from the defaults.

    Parameters
    ----------
    given : dict
        The constructor's parameters, as `to_json` gives them and config.json holds them.
    seed : int
        That the model was trained with, whether it was given or drawn.
    source : str
        What it was trained on.
    options : sequence of str
        With which the source is read: ``["--label-column", "kind"]``.

    Returns
    -------
    str
        One line for a shell; of modules of the user's own, a comment that says how they are trained.
    """
    from codeword.model.signature import parameters

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
