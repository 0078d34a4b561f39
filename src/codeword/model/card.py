"""The README.md of a model folder, there and on a hub: what the model is, in words and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from codeword.base.about import __version__
from codeword.base.text import METRICS
from codeword.model.parameters import command, in_words, of_kinds

__all__ = ["Evaluated", "Place", "model_card"]

MOST_NAMES = 20
"""Columns that are named; config.json has them all."""

NOT_SAID = ("device", "verbose", "random_state")
"""Parameters that say where and how a run was watched, or, as the seed, are said elsewhere."""

TRAVELS = "> **What of the data travels with this model.**"

ABOUT = tuple(METRICS)[:6]
"""Metrics of `evaluate` that have one for PCA beside them."""


@dataclass(frozen=True)
class Evaluated:
    """Rows that a model was judged on, and what came of it.

    Parameters
    ----------
    source : str
        What the rows are called: a name that `load` knows, or a path, of which the last part is shown.
    figures : dict
        What `evaluate` returns.
    part : str
        Which part of a source that has two: "train" or "test"; "" otherwise.
    options : sequence of str
        With which the source was read, on the command line: ``["--label-column", "kind"]``.
    """

    source: str
    figures: Mapping[str, Any]
    part: str = ""
    options: Sequence[str] = field(default=())

    @property
    def name(self) -> str:
        """The source without the folders around it, which are nobody's business."""
        return PurePosixPath(self.source.replace("\\", "/").rstrip("/")).name or "rows"


@dataclass(frozen=True)
class Place:
    """Where a card is read.

    Parameters
    ----------
    address : str
        What `AutoEncoder.load` takes.
    title : str
    kept : tuple of (int, int), optional
        Rows trained on, and rows held out, whose codes are in the folder; None where only the limit is known.
    license : str
        An identifier of the Hub's, such as ``mit``; "" for none.
    front : bool
        Begin with the YAML that the Hub reads.
    """

    address: str = "this-folder"
    title: str = "An auto-encoder made with codeword"
    kept: tuple[int, int] | None = None
    license: str = ""
    front: bool = False


def model_card(
    config: dict[str, Any],
    history: list[dict[str, Any]],
    *,
    columns: dict[str, Any] | None = None,
    evaluated: Evaluated | None = None,
    place: Place | None = None,
) -> str:
    """A model in words and figures: what it was fitted on, how, what came of it, and how to use it.

    Parameters
    ----------
    config : dict
        What config.json holds.
    history : list of dict
        See `AutoEncoder.history_`.
    columns : dict, optional
        What columns.json holds, of a model of a mixed table.
    evaluated : Evaluated, optional
        Figures against PCA, and the name of the data.
    place : Place, optional
        Where the card is read; by default in a model folder on a disk.

    Returns
    -------
    str
        Markdown. There is nothing in it of the machine that the model was made on.
    """
    place = place or Place()
    parts = [
        _front(place),
        [f"# {place.title}", "", *_summary(config)],
        _travels(config, place.kept),
        ["## Data", "", *_data(config)],
        ["## Training", "", *_training(config, history)],
        _figures(config, evaluated),
        ["## Parameters", "", *_parameters(config)],
        ["## Use", "", *_use(place.address)],
        ["## Train it again", "", *_again(config, columns, evaluated)],
        ["## Limits", "", *_limits(config, evaluated)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


# -- parts --------------------------------------------------------------------------------------------------


def _front(place: Place) -> list[str]:
    if not place.front:
        return []
    given = [f"license: {place.license}"] if place.license else []
    tags = ["auto-encoder", "representation-learning", "dimensionality-reduction", "safetensors"]
    about = ["library_name: codeword", "pipeline_tag: feature-extraction", *given]
    return ["---", *about, "tags:", *(f"- {tag}" for tag in tags), "---"]


def _summary(config: dict[str, Any]) -> list[str]:
    data, k = config["data"], config["parameters"]["n_components"]
    return [
        f"It takes samples of {_shape(data)} numbers ({_code(data['dtype'])}) to codes of {k} numbers, and "
        f"back. Made with codeword {__version__}, a Python library of auto-encoders."
    ]


def _travels(config: dict[str, Any], kept: tuple[int, int] | None) -> list[str]:
    """What of the data is in the folder, said where nobody misses it."""
    table = " `columns.json` holds the words and the ranges of its columns." if "columns" in config else ""
    if kept is not None and not any(kept):
        return [
            f"{TRAVELS} No codes of its rows: they were left out. The mean and the directions of PCA and the "
            f"weights are made from the rows all the same.{table}"
        ]
    held = "up to 10,000 rows trained on and of up to 10,000 held out"
    if kept is not None:
        held = f"{kept[0]:,} rows trained on and of {kept[1]:,} held out"
    return [
        f"{TRAVELS} `weights.safetensors` holds the codes and errors of {held}. The decoder makes rows of "
        f"codes that come near the real ones: who may not see the rows may not have this folder.{table}"
    ]


def _data(config: dict[str, Any]) -> list[str]:
    data = config["data"]
    lines = [
        f"- {data['n']:,} samples, each of {_shape(data)} numbers, {_code(data['dtype'])}.",
        f"- Scaling: {_code(config['scaling'])}. Errors are in scaled units.",
    ]
    if "columns" in config:
        lines.append("- A table of mixed columns, of which numbers are made: see `columns.json`.")
    names = data["names"]
    if names is not None:
        more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        lines.append(f"- Columns: {', '.join(_code(name) for name in names[:MOST_NAMES])}{more}.")
    return lines


def _training(config: dict[str, Any], history: list[dict[str, Any]]) -> list[str]:
    lines = [f"- Fitted on {config['data']['n']:,} samples for {len(history)} epochs, seed {config['seed']}."]
    if history:
        last = history[-1]
        lines.append(f"- Mean training loss of the last epoch, in scaled units: {last['train_loss']:.6f}.")
        held = [row["validation_loss"] for row in history if row.get("validation_loss") is not None]
        if held:
            lines.append(f"- Least loss on held-out rows: {min(held):.6f}.")
    return lines


def _figures(config: dict[str, Any], evaluated: Evaluated | None) -> list[str]:
    if evaluated is None:
        return []
    found, k = evaluated.figures, config["parameters"]["n_components"]
    rows = [
        f"| {METRICS[name][0].strip()} | {_figure(found[name])} | {_figure(found.get(f'pca_{name}'))} |"
        for name in ABOUT
        if found.get(name) is not None
    ]
    part = f" ({evaluated.part})" if evaluated.part else ""
    return [
        "## Figures against PCA",
        "",
        f"On {found['n']:,} rows of {_code(evaluated.name)}{part}, errors in scaled units. PCA was fitted on "
        "the rows that the model was fitted on.",
        "",
        f"| | this model, {k} numbers | PCA, {k} numbers |",
        "|---|---|---|",
        *rows,
    ]


def _parameters(config: dict[str, Any]) -> list[str]:
    given = {k: v for k, v in config["parameters"].items() if k not in NOT_SAID}
    return [
        "| parameter | value |",
        "|---|---|",
        *(f"| {_code(name)} | {_code(in_words(value))} |" for name, value in given.items()),
        f"| `random_state` | `{config['seed']}` |",
    ]


def _use(address: str) -> list[str]:
    return [
        "```python",
        "from codeword import AutoEncoder",
        "",
        f'ae = AutoEncoder.load("{address}")',
        "codes = ae.transform(x)",
        "x_hat = ae.inverse_transform(codes)",
        "```",
        "",
        "```sh",
        f"codeword encode {address} SOURCE -o codes.npy",
        f"codeword evaluate {address} SOURCE",
        "```",
    ]


def _again(config: dict[str, Any], columns: dict[str, Any] | None, evaluated: Evaluated | None) -> list[str]:
    source, options = "SOURCE", of_kinds((columns or {}).get("kinds", {}))
    # The test part of a data set goes with its training part. Other rows that a model is judged on say
    # nothing of those it was trained on.
    if evaluated is not None and evaluated.part == "test":
        source, options = evaluated.name, [*evaluated.options, *options]
    return [
        "```sh",
        _in_a_line(command(config["parameters"], config["seed"], source, options)),
        "```",
        "",
        "On the same rows and the same kind of machine it ends with the same weights."
        + (" SOURCE stands for the rows: their name is not kept." if source == "SOURCE" else ""),
    ]


def _limits(config: dict[str, Any], evaluated: Evaluated | None) -> list[str]:
    if evaluated is None:
        tested = "- It has no figures here: `codeword evaluate` makes them, on rows of yours."
    elif evaluated.part == "test":
        tested = f"- Tested on the test part of {_code(evaluated.name)}, and on nothing else."
    else:
        tested = (
            f"- Tested on the rows of {_code(evaluated.name)} and on nothing else. Where the model was "
            "fitted on these very rows, the figures flatter it."
        )
    return [
        tested,
        "- Not tested: rows of another origin or in other units. They get codes too, and nothing says that "
        "these mean anything; the error of each row, which `codeword score` writes, is a hint.",
        "- Not tested: whether errors are alike for all groups of rows.",
    ]


# -- words --------------------------------------------------------------------------------------------------


def _shape(data: Mapping[str, Any]) -> str:
    return " × ".join(str(size) for size in data["sample_shape"])


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _in_a_line(text: object) -> str:
    """One line, and nothing that a terminal takes for more than letters."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def _plain(text: object) -> str:
    """The same without the spaces of which a browser shows none."""
    return " ".join(_in_a_line(text).split())


def _code(text: object) -> str:
    """A text in Markdown that shows as it is, in a cell of a table too."""
    return "`" + _plain(text).replace("`", "'").replace("|", "¦") + "`"
