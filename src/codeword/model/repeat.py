"""The command that trains a model again, from the parameters that it was trained with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from codeword.model.parameters import to_json
from codeword.networks import ARCHITECTURES
from codeword.objectives import OBJECTIVES

__all__ = ["command", "in_words", "of_kinds"]


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


def command(given: dict[str, Any], seed: int, source: str, options: Sequence[str] = ()) -> str:
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

    given = given | {"random_state": seed}
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
