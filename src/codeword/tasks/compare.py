"""The trainings of a comparison, one after the other."""

from __future__ import annotations

import hashlib
import math
import numbers
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from codeword.base.errors import InputError, ParameterError, TrainingError
from codeword.data import Data
from codeword.model.autoencoder import AutoEncoder
from codeword.model.parameters import to_json
from codeword.model.plan import check_parameters
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import OBJECTIVES, Objective, resolve_objective
from codeword.tasks.choice import PCA
from codeword.tasks.judging import Codec, Judge, check_k, digest_of, part
from codeword.tasks.outcome import COLUMNS, Comparison
from codeword.tasks.results import PICTURE, Results

__all__ = ["compare"]

SET_HERE = {"n_components": "k", "objective": "objectives", "random_state": "seeds"}
"""Parameters of AutoEncoder that a comparison sets itself, and what it takes instead."""

NOT_COMPARED = (*SET_HERE, "device", "verbose")
"""Parameters that leave the results as they are, or that are among the settings under another name."""

Row = dict[str, Any]
OnRow = Callable[[Row, int, int], None]


def compare(
    x: Any,
    y: Any = None,
    *,
    k: Any = "auto",
    objectives: Any = ("reconstruction",),
    seeds: int = 3,
    test: Any = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_row: OnRow | None = None,
    **parameters: Any,
) -> Comparison:
    """Train with each objective, k and seed, judge all on the same held-out rows, and recommend a k.

    Parameters
    ----------
    x : Data, ndarray, memory map, tensor or DataFrame of shape (n, ...)
        The rows; a DataFrame may hold words and dates.
    y : array-like of shape (n,), optional
        Labels, which nothing learns from: they judge the codes. Those of a `Data` serve by themselves, where
        they are classes.
    k : sequence of int or "auto", default="auto"
        The lengths of code; `auto` takes 2, 4, 8, 16, 32 and 64, as far as they are below the number of
        features. Repetitions are dropped.
    objectives : sequence of str or objective, default=("reconstruction",)
        One that orders its codes, as `Nested`, is trained once a seed, with the largest k, and gives a row
        for each k from the first k numbers of its codes.
    seeds : int, default=3
        So many trainings with `random_state` 0, 1, …
    test : Data or tuple (x, y), optional
        The rows to judge on. By default a fifth of x, at most 10,000 rows, drawn with the seed 0 and held out
        from every training.
    folder : path, optional
        Where to keep each row as it is made, a checkpoint of the training under way and, at the end, the rows
        as CSV and a picture.
    resume : bool, default=False
        Go on with a comparison that was stopped: nothing that is finished is trained again, and the rows end
        the same. There may be more k, objectives and seeds than before.
    overwrite : bool, default=False
        Replace a comparison that is in `folder`.
    on_row : callable, optional
        Called with each row as it is made, how many rows of trainings there are then, and how many there
        will be. PCA's row, which does not count, comes before the first of its k.
    **parameters
        The other parameters of `AutoEncoder`.

    Returns
    -------
    Comparison
        `.rows`, `.summary()`, `.table()` and `.recommended`. A training that diverged is a row without
        figures, and the rest goes on.

    Raises
    ------
    ParameterError, DataError
        If something given cannot be used; all of it is checked before the first training.
    InputError
        If `folder` exists and neither `resume` nor `overwrite` is set, or holds a comparison of other data or
        with other parameters; the message names the first that differs.
    KeyboardInterrupt
        On Ctrl-C. What is in `folder` can be gone on with.

    Examples
    --------
    >>> from codeword import compare, load
    >>> digits = load("digits")
    >>> found = compare(digits, k=(2, 4, 8), seeds=1, epochs=2)
    >>> [row["k"] for row in found.rows if row["objective"] == "pca"]
    [2, 4, 8]
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ParameterError("compare runs in one process: start it without torchrun")
    by_label = _labelled(objectives)
    seeds = _check_seeds(seeds)
    for objective in by_label.values():
        check_parameters(_estimator(1, objective, 0, parameters))
    missing = all(objective.takes_missing for objective in by_label.values())
    train, held_out = part(x, y, test, missing=missing)
    d = math.prod(train.sample_shape)
    lengths = check_k(k, d)
    tasks = [
        task
        for seed in range(seeds)
        for label, objective in by_label.items()
        for task in _tasks(label, objective, lengths, seed)
    ]
    results = Results()
    judge = Judge(train, held_out, strict=y is not None)
    if folder is not None:
        settings = _settings(by_label, lengths, seeds, parameters, train, held_out)
        ordered = [label for label, objective in by_label.items() if objective.ordered]
        results = Results.open(folder, settings, resume=resume, overwrite=overwrite, ordered=ordered)
    try:
        _run(tasks, results, train, judge, on_row, parameters)
    except InputError:  # an objective or a network that does not fit the data
        results.withdraw()
        raise
    order = {label: i for i, label in enumerate([*by_label, PCA])}
    rows = sorted(
        results.rows.values(), key=lambda row: (order[row["objective"]], row["k"], row["seed"] or 0)
    )
    found = Comparison(rows, len(held_out), judge.n_labelled, d)
    if results.path is not None:
        _finish(results, found)
    return found


@dataclass(frozen=True)
class Task:
    """One training, and the lengths of code that it gives rows for."""

    label: str
    objective: Objective
    seed: int
    lengths: tuple[int, ...]

    @property
    def width(self) -> int:
        """The `n_components` to train with."""
        return self.lengths[-1]

    @property
    def keys(self) -> list[tuple[str, int, int | None]]:
        """Of the rows that it gives."""
        return [(self.label, k, self.seed) for k in self.lengths]

    @property
    def name(self) -> str:
        """Of its checkpoint: no other training has the same."""
        return f"k{self.width}-seed{self.seed}-{hashlib.sha256(self.label.encode()).hexdigest()[:8]}."


def _tasks(label: str, objective: Objective, lengths: Sequence[int], seed: int) -> Iterator[Task]:
    if objective.ordered:
        yield Task(label, objective, seed, tuple(lengths))
    else:
        yield from (Task(label, objective, seed, (k,)) for k in lengths)


def _run(
    tasks: Sequence[Task],
    results: Results,
    train: Data,
    judge: Judge,
    on_row: OnRow | None,
    parameters: dict[str, Any],
) -> None:
    """Do what is not done yet, seed by seed, so that what is there at any time covers all k."""
    pending = [task for task in tasks if not all(key in results.rows for key in task.keys)]
    total = sum(len(task.lengths) for task in tasks)
    results.tidy(keep=[task.name for task in pending])
    for task in pending:
        checkpoint = None if results.path is None else results.path / f"{task.name}checkpoint"
        rows = _fit_and_judge(task, results, train, judge, checkpoint, parameters)
        results.add(rows)
        results.tidy()
        done = sum(row["objective"] != PCA for row in results.rows.values()) - len(task.lengths)
        for row in rows:
            done += row["objective"] != PCA
            if on_row is not None:
                on_row(row, done, total)


def _fit_and_judge(
    task: Task,
    results: Results,
    train: Data,
    judge: Judge,
    checkpoint: Path | None,
    parameters: dict[str, Any],
) -> list[Row]:
    """The rows of one training, and PCA's of those k for which there are none yet."""
    ae = _estimator(task.width, task.objective, task.seed, parameters)
    failed = _fit(ae, train, checkpoint)
    ae = ae.as_numbers()  # of a mixed table, which is judged in the numbers made of it
    rows: list[Row] = []
    for k in task.lengths:
        if (PCA, k, None) not in results.rows:
            pca = _first_components(ae.baseline_, k)
            codec = Codec(pca.transform, pca.inverse_transform, ae.scaling_, ae.takes_missing)
            rows.append(_row(PCA, k, None, judge.figures(codec)))
        figures: Row = {}
        if failed is None:
            cut = partial(ae.transform, k=k) if task.objective.ordered else ae.transform
            figures = judge.figures(Codec(cut, ae.inverse_transform, ae.scaling_, ae.takes_missing))
        seconds = round(sum(epoch["seconds"] for epoch in ae.history_), 3)
        figures |= {"epochs": len(ae.history_), "seconds": seconds, "failed": failed}
        rows.append(_row(task.label, k, task.seed, figures))
    return rows


def _fit(ae: AutoEncoder, train: Data, checkpoint: Path | None) -> str | None:
    """Train; why it failed, if it did."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "training was interrupted", UserWarning)
            ae.fit(train, checkpoint=checkpoint, resume=checkpoint is not None)
    except TrainingError as error:
        if error.__cause__ is not None:  # the disk is full: the next training would fare no better
            raise
        return str(error)
    if ae.interrupted_:
        raise KeyboardInterrupt
    return None


def _row(objective: str, k: int, seed: int | None, figures: Row) -> Row:
    return dict.fromkeys(COLUMNS) | {"objective": objective, "k": k, "seed": seed} | figures


def _first_components(baseline: PrincipalComponents, k: int) -> PrincipalComponents:
    return PrincipalComponents(
        baseline.scaling, baseline.mean, baseline.components[:k], baseline.deviations[:k]
    )


def _finish(results: Results, found: Comparison) -> None:
    """Put the rows in order into a table and a picture."""
    from codeword.plots import comparison_figure, save

    assert results.path is not None
    results.tidy()
    results.write_table(found.rows, COLUMNS)
    best = found.recommended
    if best is not None:
        drawn = [row for row in found.rows if row["mse"] is not None]
        save(comparison_figure(drawn, recommended=best.k), results.path / PICTURE, overwrite=True)


# -- what was asked for -------------------------------------------------------------------------------------


def _estimator(k: int, objective: Any, seed: int, parameters: dict[str, Any]) -> AutoEncoder:
    for name, instead in SET_HERE.items():
        if name in parameters:
            raise ParameterError(f"compare sets {name} itself, from {instead}: give {instead} instead")
    return AutoEncoder(k, objective=objective, random_state=seed, **parameters)


def _labelled(objectives: Any) -> dict[str, Objective]:
    """Objectives by what the command line calls them."""
    given = [objectives] if isinstance(objectives, (str, Objective)) else list(objectives)
    if not given:
        raise ParameterError(
            "The 'objectives' parameter of compare must be at least one objective. Got none instead."
        )
    found = [resolve_objective(objective) for objective in given]
    return {_label(objective): objective for objective in found}


def _label(objective: Objective) -> str:
    """A name, with the parameters that are not the default: `variational(beta=4)`."""
    name = next((name for name, cls in OBJECTIVES.items() if cls is type(objective)), None)
    if name is None:  # a class of the user's own, of which nothing more is known
        return " ".join(repr(objective).split())
    default = type(objective)().get_params()
    others = [f"{k}={v!r}" for k, v in objective.get_params().items() if v != default[k]]
    return f"{name}({', '.join(others)})" if others else name


def _check_seeds(seeds: Any) -> int:
    if isinstance(seeds, bool) or not isinstance(seeds, numbers.Integral) or seeds < 1:
        raise ParameterError(
            f"The 'seeds' parameter of compare must be a positive integer. Got {seeds!r} instead."
        )
    return int(seeds)


def _settings(
    objectives: dict[str, Objective],
    lengths: list[int],
    seeds: int,
    parameters: dict[str, Any],
    train: Data,
    held_out: Data,
) -> dict[str, Any]:
    """What has to be the same for a comparison to go on, or may only grow."""
    first = next(iter(objectives.values()))
    others = to_json(_estimator(1, first, 0, parameters).get_params(deep=False))
    found: dict[str, Any] = {"k": lengths, "objectives": list(objectives), "seeds": seeds}
    found |= {name: value for name, value in others.items() if name not in NOT_COMPARED}
    for name, rows in (("training", train), ("held-out", held_out)):
        found |= {
            f"{name} rows": len(rows),
            f"the shape of {name} samples": list(rows.sample_shape),
            f"the type of {name} values": str(rows.x.dtype),
            f"the digest of {name} rows": digest_of(rows),
        }
    return found
