"""The README.md of a model folder, there and on the Hub: what the model is, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from codeword.base.about import __version__
from codeword.base.text import METRICS
from codeword.model.parameters import command, in_words, of_kinds

MOST_NAMES = 20
"""Columns that are named; config.json has them all."""

NOT_SAID = ("device", "verbose", "random_state")
"""Parameters that say where and how a run was watched, or, as the seed, are said elsewhere."""

AGAINST_PCA = tuple(METRICS)[:6]
"""Metrics of `evaluate` that have one for PCA beside them."""

USE = """\
```python
from codeword import AutoEncoder

ae = AutoEncoder.load("{0}")
codes = ae.transform(x)
x_hat = ae.inverse_transform(codes)
```

```sh
codeword encode {0} SOURCE -o codes.npy
codeword evaluate {0} SOURCE
```"""


@dataclass(frozen=True)
class Evaluated:
    """Rows that a model was evaluated on, and what came of it.

    Parameters
    ----------
    source : str
        What the rows are called: a name that `load` knows, or a path, of which the last part is shown.
    metrics : dict
        What `evaluate` returns.
    part : str
        Which part of a source that has two: "train" or "test"; "" otherwise.
    options : sequence of str
        With which the source was read, on the command line: ``["--label-column", "kind"]``.
    """

    source: str
    metrics: Mapping[str, Any]
    part: str = ""
    options: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The source without the folders around it, which are nobody's business."""
        return PurePosixPath(self.source.replace("\\", "/").rstrip("/")).name or "rows"


def model_card(
    config: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    *,
    columns: Mapping[str, Any] | None = None,
    evaluated: Evaluated | None = None,
    address: str = "",
    kept: tuple[int, int] | None = None,
) -> str:
    """Describe a model: what it was fitted on, how, what came of it, and how to use it.

    It is Markdown, with nothing in it of the machine that the model was made on. `config`, `history` and
    `columns` are what config.json, history.jsonl and columns.json hold; `evaluated` has metrics against PCA
    and the name of the data; `address` is where the model is on the Hub, "" if it is on a disk; `kept` says
    how many rows trained on and held out have their codes in the folder, where more than the limit is known.
    """
    data, parameters, seed = config["data"], config["parameters"], config["seed"]
    n, k, shape = f"{data['n']:,}", parameters["n_components"], " × ".join(map(str, data["sample_shape"]))
    names = [_code(name) for name in data["names"] or ()]
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    held = [row["validation_loss"] for row in history if row.get("validation_loss") is not None]
    said = [[_code(name), _code(in_words(v))] for name, v in parameters.items() if name not in NOT_SAID]
    parts = [
        f"# {address.rpartition('/')[2] or 'An auto-encoder made with codeword'}",
        f"It takes samples of {shape} numbers ({_code(data['dtype'])}) to codes of {k} numbers, and back. "
        f"Made with codeword {__version__}, a Python library of auto-encoders.",
        f"> **What of the data travels with this model.** {_travels(kept, mixed='columns' in config)}",
        "## Data",
        _list(
            f"{n} samples, each of {shape} numbers, {_code(data['dtype'])}.",
            f"Scaling: {_code(config['scaling'])}. Errors are in scaled units.",
            "columns" in config
            and "A table of mixed columns, of which numbers are made: see `columns.json`.",
            names and f"Columns: {', '.join(names[:MOST_NAMES])}{more}.",
        ),
        "## Training",
        _list(
            f"Fitted on {n} samples for {len(history)} epochs, seed {seed}.",
            history
            and f"Mean training loss of the last epoch, in scaled units: {history[-1]['train_loss']:.6f}.",
            held and f"Least loss on held-out rows: {min(held):.6f}.",
        ),
        *([] if evaluated is None else ["## Metrics against PCA", *_metrics(evaluated, k)]),
        "## Parameters",
        _table(["parameter", "value"], [*said, ["`random_state`", f"`{seed}`"]]),
        "## Use",
        USE.format(address or "this-folder"),
        "## Train it again",
        *_again(parameters, seed, columns or {}, evaluated),
        "## Limits",
        _list(
            _tested(evaluated),
            "Not tested: rows of another origin or in other units. They get codes too, and nothing says that "
            "these mean anything; the error of each row, which `codeword score` writes, is a hint.",
            "Not tested: whether errors are alike for all groups of rows.",
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _travels(kept: tuple[int, int] | None, *, mixed: bool) -> str:
    """What of the data is in the folder, said where nobody misses it."""
    table = " `columns.json` holds the words and the ranges of its columns." if mixed else ""
    if kept == (0, 0):
        return (
            "No codes of its rows: they were left out. The mean and the directions of PCA and the weights "
            f"are made from the rows all the same.{table}"
        )
    trained, held = ("up to 10,000", "up to 10,000") if kept is None else map("{:,}".format, kept)
    return (
        f"`weights.safetensors` holds the codes and errors of {trained} rows trained on and of {held} held "
        "out. The decoder makes rows of codes that come near the real ones: who may not see the rows may not "
        f"have this folder.{table}"
    )


def _metrics(evaluated: Evaluated, k: int) -> list[str]:
    found, part = evaluated.metrics, f" ({evaluated.part})" if evaluated.part else ""
    rows = [
        [
            METRICS[name][0].strip(),
            *("–" if v is None else f"{v:.4g}" for v in (mine, found.get(f"pca_{name}"))),
        ]
        for name in AGAINST_PCA
        if (mine := found.get(name)) is not None
    ]
    return [
        f"On {found['n']:,} rows of {_code(evaluated.name)}{part}, errors in scaled units. PCA was fitted on "
        "the rows that the model was fitted on.",
        _table(["", f"this model, {k} numbers", f"PCA, {k} numbers"], rows),
    ]


def _again(
    parameters: Mapping[str, Any], seed: int, columns: Mapping[str, Any], evaluated: Evaluated | None
) -> list[str]:
    source, options = "SOURCE", of_kinds(columns.get("kinds", {}))
    # The test part of a data set goes with its training part. Other rows that a model is evaluated on say
    # nothing of those it was trained on.
    if evaluated is not None and evaluated.part == "test":
        source, options = evaluated.name, [*evaluated.options, *options]
    unknown = " SOURCE stands for the rows: their name is not kept." if source == "SOURCE" else ""
    return [
        f"```sh\n{_in_a_line(command(parameters, seed, source, options))}\n```",
        f"On the same rows and the same kind of machine it ends with the same weights.{unknown}",
    ]


def _tested(evaluated: Evaluated | None) -> str:
    if evaluated is None:
        return "It has no metrics here: `codeword evaluate` makes them, on rows of yours."
    if evaluated.part == "test":
        return f"Tested on the test part of {_code(evaluated.name)}, and on nothing else."
    return (
        f"Tested on the rows of {_code(evaluated.name)} and on nothing else. Where the model was fitted on "
        "these very rows, the metrics flatter it."
    )


def _list(*lines: object) -> str:
    """A list of those lines that there are."""
    return "\n".join(f"- {line}" for line in lines if line)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(cells) for cells in (head, *rows)]
    return "\n".join(f"| {line} |" for line in (lines[0], " | ".join(["---"] * len(head)), *lines[1:]))


def _in_a_line(text: object) -> str:
    """One line, and nothing that a terminal takes for more than letters."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def _code(text: object) -> str:
    """A text in Markdown that shows as it is, in a cell of a table too."""
    return "`" + " ".join(_in_a_line(text).split()).replace("`", "'").replace("|", "¦") + "`"
