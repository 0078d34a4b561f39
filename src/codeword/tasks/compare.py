"""`compare`: trainings with each of several k, objectives and seeds, judged on the same held-out rows."""

from __future__ import annotations

import csv
import json
import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from codeword.base.constraints import whole
from codeword.base.errors import DataError, InputError, ParameterError, TrainingError, expected
from codeword.base.files import check_free, check_own, locked, recover, remove, writing
from codeword.base.text import aligned, shortened
from codeword.data import Data
from codeword.data.columns import Columns
from codeword.data.labels import classes_of, one_each
from codeword.data.rows import blocks, check_finite
from codeword.data.scaling import Scaling, describe
from codeword.data.tables import is_table
from codeword.model.autoencoder import AutoEncoder
from codeword.model.fitted import Codec, FittedModel
from codeword.model.inputs import training_data
from codeword.model.parameters import in_words, to_json
from codeword.model.plan import check_parameters, scaling_kind
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import OBJECTIVES, Objective, resolve_objective
from codeword.tasks.evaluate import (
    ABSENT,
    Errors,
    LabelTask,
    check_classes,
    check_reference,
    draw,
    explained_variance,
    flat,
    nearest_neighbors,
    reconstruct_all,
    scale_by,
    take,
)
from codeword.training.checkpoint import digest

SET_HERE = {"n_components": "k", "objective": "objectives", "random_state": "seeds"}
"""Parameters of AutoEncoder that a comparison sets itself, and what it takes instead."""

NOT_COMPARED = (*SET_HERE, "device", "verbose")
"""Parameters that leave the results as they are, or that are among the settings under another name."""

HELD_OUT_SHARE = 5
MOST_HELD_OUT = 10_000
"""A fifth of the rows, and no more than these, is held out; accuracies are of no more either."""

MOST_NEIGHBORS_OF = 20_000
"""Training rows among which neighbors are looked for."""

SETTINGS = "settings.json"
RESULTS = "results.jsonl"
TABLE = "comparison.csv"
PICTURE = "comparison.png"
TRAINING = "training"
"""The folder for the checkpoint of the training under way."""

PCA = "pca"
"""The `objective` of the baseline's rows."""

COLUMNS = (
    "objective", "k", "seed", "mse", "explained_variance", "knn_accuracy", "epochs", "seconds", "failed",
)  # fmt: skip
"""The keys of a row, in order."""

METRICS = {
    "mse": (0, math.inf), "explained_variance": (-math.inf, 1), "knn_accuracy": (0, 1),
    "epochs": (0, math.inf), "seconds": (0, math.inf),
}  # fmt: skip
"""Those that are numbers or None, and their least and greatest."""

NAME_WIDTH = 21
"""An objective's name is cut to this many characters in the table."""

BEND = 0.5
"""Beyond an elbow, a doubling of k keeps less than this share of what one before it kept."""

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
        as CSV and a picture. The same comparison in the same folder goes on where it was stopped: nothing
        that is finished is trained again, and the rows end the same.
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
        metrics, and the rest goes on.

    Raises
    ------
    ParameterError, DataError
        If something given cannot be used; all of it is checked before the first training.
    InputError
        If `folder` is something else, another process is at it, or it holds a comparison of something else
        and `overwrite` is not set; the message names the first setting that differs.
    KeyboardInterrupt
        On Ctrl-C. What is in `folder` is gone on with by the next call.

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
    by_label = _by_label(objectives)
    if not whole(seeds):
        raise expected("seeds", "compare", "a positive integer", seeds)
    for objective in by_label.values():
        check_parameters(_estimator(1, objective, 0, parameters))
    missing = all(objective.takes_missing for objective in by_label.values())
    train, held_out = train_and_held_out(x, y, test, missing=missing)
    d = math.prod(train.sample_shape)
    lengths = check_k(k, d)
    held = HeldOut(train, held_out, strict=y is not None)
    settings = {} if folder is None else _settings(by_label, lengths, seeds, parameters, train, held_out)
    with nullcontext() if folder is None else locked(Path(folder)):
        results = Results(folder, settings, overwrite=overwrite)
        rows, pca = results.rows, None
        done, total = sum(name != PCA for name, _, _ in rows), seeds * len(by_label) * len(lengths)
        trainings = [
            (label, objective, ks, seed)
            for seed in range(seeds)  # seed by seed, so that what is there at any time covers all k
            for label, objective in by_label.items()
            for ks in ([lengths] if objective.ordered else [[k] for k in lengths])
        ]
        try:
            for label, objective, ks, seed in trainings:
                if (label, ks[-1], seed) in rows:
                    continue
                if pca is None:
                    pca = _principal_components(train, lengths[-1], parameters)
                ae = _estimator(ks[-1], objective, seed, parameters)
                failed = _fit(ae, train, results.checkpoint())
                made: list[Row] = []
                for k in ks:
                    if (PCA, k, None) not in rows:
                        first = replace(pca, components=pca.components[:k], deviations=pca.deviations[:k])
                        made.append(_row(PCA, k, None, held.metrics(first, pca.scaling)))
                    metrics = {"failed": failed} if failed else _metrics(ae.model_, k, held)
                    made.append(_row(label, k, seed, metrics))
                results.add(made)
                for row in made:
                    done += row["objective"] != PCA
                    if on_row is not None:
                        on_row(row, done, total)
        except InputError:  # an objective or a network that does not fit the data
            if results.made is not None:
                remove(results.made)
            raise
        order = {label: i for i, label in enumerate([*by_label, PCA])}
        ordered = sorted(rows.values(), key=lambda row: (order[row["objective"]], row["k"], row["seed"] or 0))
        found = Comparison(ordered, len(held_out), held.n_labeled, d)
        results.finish(found)
        return found


# -- trainings ----------------------------------------------------------------------------------------------


def _fit(ae: AutoEncoder, train: Data, checkpoint: Path | None) -> str | None:
    """Train; return why it failed, if it did."""
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


def _metrics(model: FittedModel, k: int, held: HeldOut) -> Row:
    """What came of a training, with the first `k` numbers of its codes."""
    cut = partial(model.transform, k=k) if model.objective.ordered else model.transform
    codec = SimpleNamespace(transform=cut, inverse_transform=model.inverse_transform)
    seconds = round(sum(epoch["seconds"] for epoch in model.history), 3)
    return held.metrics(codec, model.scaling) | {"epochs": len(model.history), "seconds": seconds}


def _row(objective: str, k: int, seed: int | None, metrics: Row) -> Row:
    return dict.fromkeys(COLUMNS) | {"objective": objective, "k": k, "seed": seed} | metrics


def _principal_components(train: Data, k: int, parameters: dict[str, Any]) -> PrincipalComponents:
    """PCA as every training has it beside it: of a training that diverges nothing is left."""
    seen = describe(train.x, missing=True)
    kind = scaling_kind(_estimator(k, "reconstruction", 0, parameters).scaling, train.columns)
    scaling = Scaling.choose(kind, train.x.dtype, train.sample_shape, seen)
    return PrincipalComponents.fit(train.x, scaling, scaling.scaled_mean(seen), k, 0)


# -- rows to train on and rows to judge on ------------------------------------------------------------------


class HeldOut:
    """The held-out rows that trainings are judged on, and the classes of both parts where both have any.

    Labels that are no classes judge nothing or, with `strict`, raise a DataError.
    """

    def __init__(self, train: Data, rows: Data, *, strict: bool) -> None:
        self.rows = rows
        self.task: LabelTask | None = None
        self.n_labeled = 0
        if train.y is None or rows.y is None:
            return
        try:
            learned = classes_of(train.y, len(train), "the rows to train on")
            judged = classes_of(rows.y, len(rows), "the rows to judge on")
            check_classes(judged, "the rows to judge on", referenced=True)
            check_reference(learned, judged)
        except DataError:
            if strict:
                raise
            return
        near = learned.known[draw(len(learned.known), MOST_NEIGHBORS_OF, 0)]
        far = judged.known[draw(len(judged.known), MOST_HELD_OUT, 0)]
        self.near, self.far = take(train.x, near), take(rows.x, far)
        self.task = LabelTask(judged.index[far], len(judged.names), learned.into(judged.names)[near], 0)
        self.n_labeled = len(far)

    def metrics(self, codec: Codec, scaling: Scaling) -> Row:
        """`mse` and `explained_variance` of the held-out rows, and `knn_accuracy` (None without labels)."""
        errors = Errors("the model", codec, len(self.rows))
        moments = reconstruct_all([errors], self.rows.x, scale_by(scaling), missing=scaling.missing)
        accuracy = None
        if self.task is not None:
            near, far = (flat(codec.transform(rows)) for rows in (self.near, self.far))
            accuracy = nearest_neighbors(self.task, far, near)
        explained = explained_variance(errors, moments)
        return {"mse": errors.mse, "explained_variance": explained, "knn_accuracy": accuracy}


def train_and_held_out(x: Any, y: Any, test: Any, *, missing: bool) -> tuple[Data, Data]:
    """Rows to train on and rows to judge on, without column names, which have been checked.

    The columns of a mixed table are fitted on all rows of x, those held out too: no codes are, and their
    units are alike for all.
    """
    train = _with_labels(x, y, "x", missing, None)
    if test is None:
        n = len(train)
        if n < 2:
            raise DataError("x has one row: at least two are needed, one to train on and one to judge on")
        chosen = draw(n, min(max(1, n // HELD_OUT_SHARE), MOST_HELD_OUT), 0)
        train = replace(train, names=None)
        return train[np.delete(np.arange(n), chosen)], train[chosen]
    x_test, y_test = test if isinstance(test, tuple) and len(test) == 2 else (test, None)
    held_out = _with_labels(x_test, y_test, "test", missing, train.columns)
    if held_out.sample_shape != train.sample_shape:
        raise DataError(
            f"the samples of test have the shape {held_out.sample_shape}, and those to train on "
            f"{train.sample_shape}: give both the same"
        )
    mixed = [None if rows.columns is None else rows.columns.to_json() for rows in (train, held_out)]
    if mixed[0] != mixed[1] or (train.names and held_out.names and train.names != held_out.names):
        raise DataError("the columns of test are not those of the rows to train on: give the same")
    return replace(train, names=None), replace(held_out, names=None)


def _with_labels(x: Any, y: Any, name: str, missing: bool, columns: Columns | None) -> Data:
    """Rows with their labels; a mixed table as `columns` or, without these, columns of its own make it."""
    if y is None and isinstance(x, Data):
        y = x.y
    if columns is not None and not isinstance(x, Data) and is_table(x):
        x = columns.transform(x)
    data = training_data(x)
    for start, block in blocks(data.x):  # here, where the number of a row is that in the whole
        check_finite(block, start, missing=missing or data.columns is not None)
    return replace(data, y=None if y is None else one_each(y, len(data), name))


# -- what was asked for -------------------------------------------------------------------------------------


def _estimator(k: int, objective: Any, seed: int, parameters: dict[str, Any]) -> AutoEncoder:
    for name, instead in SET_HERE.items():
        if name in parameters:
            raise ParameterError(f"compare sets {name} itself, from {instead}: give {instead} instead")
    return AutoEncoder(k, objective=objective, random_state=seed, **parameters)


def _by_label(objectives: Any) -> dict[str, Objective]:
    """Objectives by what the command line calls them; one of the user's own class by what Python does."""
    given = [objectives] if isinstance(objectives, (str, Objective)) else list(objectives)
    if not given:
        raise ParameterError(
            "The 'objectives' parameter of compare must be at least one objective. Got none instead."
        )
    found = {}
    for objective in map(resolve_objective, given):
        label = " ".join(repr(objective).split())
        if type(objective) in OBJECTIVES.values():
            label = in_words(to_json({"objective": objective})["objective"])
        found[label] = objective
    return found


def _settings(
    objectives: dict[str, Objective],
    lengths: list[int],
    seeds: int,
    parameters: dict[str, Any],
    train: Data,
    held_out: Data,
) -> dict[str, Any]:
    """What has to be the same for a comparison to go on."""
    first = next(iter(objectives.values()))
    others = to_json(_estimator(1, first, 0, parameters).get_params(deep=False))
    found: dict[str, Any] = {"k": lengths, "objectives": list(objectives), "seeds": int(seeds)}
    found |= {name: value for name, value in others.items() if name not in NOT_COMPARED}
    for name, rows in (("training", train), ("held-out", held_out)):
        parts = [np.array([digest(np.ascontiguousarray(block)) for _, block in blocks(rows.x)])]
        parts += [] if rows.y is None else [rows.y.astype(str)]
        found |= {
            f"{name} rows": len(rows),
            f"the shape of {name} samples": list(rows.sample_shape),
            f"the type of {name} values": str(rows.x.dtype),
            f"the digest of {name} rows": digest(*parts),
        }
    return found


def check_k(k: Any, d: int) -> list[int]:
    """The lengths of code to compare, increasing and each once, none of them more than the `d` features."""
    if isinstance(k, str) and k == "auto":
        return [n for n in (2, 4, 8, 16, 32, 64) if n < d] or [1]
    lengths = [k] if whole(k) else k
    several = isinstance(lengths, (list, tuple, range, np.ndarray)) and len(lengths) > 0
    if not several or not all(map(whole, lengths)):
        raise expected("k", "compare", "positive integers, at least one, or 'auto'", k)
    most = int(max(lengths))
    if most > d:
        raise ParameterError(
            f"k = {most} is more than the number of features in a row, {d}: give k up to {d}"
        )
    return sorted({int(n) for n in lengths})


# -- the folder: each finished training is on disk at once, whole, and outlives a kill -----------------------


def check_folder(path: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Raise an InputError if `path` is something else than a comparison, or its own folder is missing."""
    path = Path(path)
    if path.name:
        recover(path)
    if overwrite:
        left = [entry.name for entry in path.glob(".*.part.*")]  # by a kill
        check_own(path, [SETTINGS, RESULTS, TABLE, PICTURE, TRAINING, *left], "a comparison")
    elif path.exists() and not (path / SETTINGS).is_file():
        raise InputError(
            f"{path} is no comparison to go on with: there is no {SETTINGS} in it; choose another name"
        )
    return check_free(path, overwrite=path.exists())


class Results:
    """The finished rows of a comparison, by objective, k and seed, and the folder that they are kept in.

    A folder of the same `settings`, fit for JSON, goes on; without a path rows are in memory only. An
    InputError says what is damaged in a folder, or names the first setting that differs.
    """

    def __init__(self, path: str | os.PathLike[str] | None, settings: Row, *, overwrite: bool) -> None:
        self.path = None if path is None else check_folder(path, overwrite=overwrite)
        self.rows: dict[tuple[str, int, int | None], Row] = {}
        self.made: Path | None = None  # and to be removed again where nothing can be trained
        if self.path is None:
            return
        if overwrite or not self.path.exists():
            with writing(self.path, overwrite=overwrite) as new:
                new.mkdir()
                (new / SETTINGS).write_text(json.dumps(settings, indent=1), "utf-8")
            self.made = self.path
            return
        where, settings = SETTINGS, json.loads(json.dumps(settings))
        try:
            kept = dict(json.loads((self.path / SETTINGS).read_text("utf-8")).items())
            for name in [*kept, *settings]:
                before, now = kept.get(name), settings.get(name)
                if before != now:
                    raise InputError(
                        f"{self.path} was made with {shortened(name)} = {shortened(before)}, and this "
                        f"run has {shortened(now)}: give the same, choose another folder, or replace this "
                        "one by overwrite=True (--overwrite)"
                    )
            text = (self.path / RESULTS).read_text("utf-8") if (self.path / RESULTS).exists() else ""
            for number, line in enumerate(text.splitlines(), start=1):
                where = f"{RESULTS}, line {number}"
                row = json.loads(line)
                if not _is_row(row, settings):
                    raise ValueError("it is no row of this comparison")
                self._keep([row])
        except InputError:
            raise
        except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise InputError(
                f"{self.path / where} is damaged ({shortened(error)}): mend it, or start anew by "
                "overwrite=True (--overwrite)"
            ) from None

    def _keep(self, rows: Iterable[Row]) -> None:
        self.rows |= {(row["objective"], row["k"], row["seed"]): row for row in rows}

    def checkpoint(self) -> Path | None:
        """Where the training under way keeps its state, under a name that none before it had."""
        if self.path is None:
            return None
        training = self.path / TRAINING
        if not training.exists():
            training.mkdir()
            self.made = self.made or training
        return training / str(len(self.rows))

    def add(self, rows: Sequence[Row]) -> None:
        """Keep what one training gave, all of it or, if the process is killed here, nothing."""
        self._keep(rows)
        if self.path is not None:
            with writing(self.path / RESULTS, overwrite=True) as new:
                new.write_text("".join(json.dumps(row) + "\n" for row in self.rows.values()), "utf-8")
            remove(self.path / TRAINING)
            self.made = None

    def finish(self, found: Comparison) -> None:
        """Put the rows in order into a table and a picture, and delete what a kill left."""
        if self.path is None:
            return
        from codeword.plots import comparison_figure, save

        for left in [self.path / TRAINING, *self.path.glob(".*.part.*")]:
            remove(left)
        with (
            writing(self.path / TABLE, overwrite=True) as new,
            open(new, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(found.rows)
        best = found.recommended
        if best is not None:
            drawn = [row for row in found.rows if row["mse"] is not None]
            save(comparison_figure(drawn, recommended=best.k), self.path / PICTURE, overwrite=True)


def _is_row(row: Any, settings: Row) -> bool:
    """Whether something read could have been written by a comparison with these settings."""
    if row.keys() != set(COLUMNS):
        return False
    pca, seed, mse, failed = row["objective"] == PCA, row["seed"], row["mse"], row["failed"]
    return (
        (seed is None if pca else type(seed) is int and seed in range(settings["seeds"]))
        and (pca or row["objective"] in settings["objectives"])
        and (type(row["k"]) is int and row["k"] in settings["k"])
        and (failed is None if mse is not None else isinstance(failed, str) and failed != "")
        and all(
            row[name] is None
            or (type(row[name]) in (int, float) and math.isfinite(row[name]) and low <= row[name] <= high)
            for name, (low, high) in METRICS.items()
        )
    )


# -- what is recommended ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recommendation:
    """One k, the objective as the command line takes it, and the reason: a sentence with the numbers."""

    k: int
    objective: str
    reason: str


def _by_accuracy(judged: list[Row], n: int, d: int) -> Recommendation:
    best = max(judged, key=lambda row: (row["knn_accuracy"], -row["k"]))
    p = best["knn_accuracy"]
    error = math.sqrt(p * (1 - p) / n)
    if best["knn_accuracy_std"] is not None:
        error = max(error, best["knn_accuracy_std"] / math.sqrt(best["seeds"]))
    within = [row for row in judged if row["knn_accuracy"] >= p - error]
    chosen = min(within, key=lambda row: (row["k"], float(row["mse"])))
    k, ks = chosen["k"], sorted({row["k"] for row in judged})
    have = f"{k} {'number has' if k == 1 else 'numbers have'}"
    if chosen is best:
        reason = f"{have} the best label accuracy, {p:.3f}"
        if k > ks[0]:
            reason += f", and no smaller k comes within one standard error ({error:.3f}) of it"
    else:
        by = "" if chosen["objective"] == best["objective"] else f" by {best['objective']}"
        reason = (
            f"{have} a label accuracy of {chosen['knn_accuracy']:.3f}, within one standard error "
            f"({error:.3f}) of the best, {p:.3f} with {best['k']}{by}"
        )
    if ks[0] < k == ks[-1] < d:
        reason += "; it is the largest k of all, so try larger k too"
    return Recommendation(k, chosen["objective"], reason)


def _by_elbow(judged: list[Row], d: int) -> Recommendation:
    best: dict[int, Row] = {}
    for row in sorted(judged, key=lambda row: (row["k"], row["mse"])):
        best.setdefault(row["k"], row)
    ks = list(best)
    errors = [row["mse"] for row in best.values()]
    shares = [row["explained_variance"] for row in best.values()]
    known = None not in shares
    bend = elbow(ks, shares if known else [-error for error in errors], from_zero=known)
    chosen = least = int(np.argmin(errors))
    if len(ks) == 1:
        reason = "it is the only k that was compared"
    elif least == 0:
        reason = f"no larger k has a smaller error than {ks[0]}, {errors[0]:.4g}"
    elif bend is not None:
        chosen = bend
        shown = sorted({max(bend - 1, 0), bend, bend + 1, len(ks) - 1})
        kept = [
            f"{ks[i]} keep {shares[i]:.1%}" if known else f"{ks[i]} leave an error of {errors[i]:.4g}"
            for i in shown
        ]
        what = "the variance kept" if known else "the error"
        reason = f"{what} bends at {ks[bend]}: {', '.join(kept)}"
    else:
        fall = 1 - errors[least] / errors[least - 1] if errors[least - 1] else 0.0
        reason = (
            f"there is no elbow up to {ks[-1]}: the error still falls by {fall:.0%} "
            f"from {ks[least - 1]} to {ks[least]}{'; try larger k' if ks[least] == ks[-1] < d else ''}"
        )
    return Recommendation(ks[chosen], best[ks[chosen]]["objective"], reason)


def elbow(ks: Sequence[int], kept: Sequence[float], *, from_zero: bool = True) -> int | None:
    """Where the curve of what is kept against log2(1 + k) bends: the index into `ks`; None if it does not.

    The point farthest above the chord from the curve's first point to its last (Satopää, Albrecht, Irwin &
    Raghavan 2011, section III), if beyond it a doubling of k keeps less than half of what one before it kept.
    Where a larger k keeps less, what the smaller kept counts. The curve starts `from_zero`, where no numbers
    keep nothing, so that the bend may be at the smallest k; or else at the smallest k.
    """
    x = np.log2(1 + np.asarray(ks, dtype=np.float64))
    y = np.asarray(kept, dtype=np.float64)
    if from_zero:
        x, y = np.append(0.0, x), np.append(0.0, y)
    y = np.maximum.accumulate(y)
    if len(ks) < 2 or not y[-1] > y[0]:
        return None
    x, y = (x - x[0]) / (x[-1] - x[0]), (y - y[0]) / (y[-1] - y[0])
    i = int(np.argmax(y - x))
    if i in (0, len(x) - 1):
        return None
    before, after = y[i] / x[i], (1 - y[i]) / (1 - x[i])
    return i - from_zero if after < BEND * before else None


# -- the whole comparison ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Errors, and accuracies of labels, of several objectives, k and seeds, with PCA beside them.

    Attributes
    ----------
    rows : list of dict
        One for each training and k, and one of PCA for each k, whose `objective` is "pca" and whose `seed` is
        None. `mse`: the mean squared error of the held-out rows, in scaled units; `explained_variance`: as in
        `codeword.evaluate`; `knn_accuracy`: the share of held-out rows that the 5 nearest training codes
        label rightly, None without labels; `epochs`, `seconds`: of the training, which rows of an objective
        that orders its codes share; `failed`: why a training failed, and then the metrics are None.
    n : int
        How many held-out rows the errors are of.
    n_labeled : int
        How many of them the accuracies are of.
    n_features : int
    """

    rows: list[dict[str, Any]] = field(repr=False)
    n: int
    n_labeled: int
    n_features: int

    def summary(self) -> list[dict[str, Any]]:
        """Means over seeds, one row for each objective and k, in the order of `rows`: PCA's come last.

        Returns
        -------
        list of dict
            `objective`, `k`, `seeds` (how many succeeded), `failed`, the means `mse`, `explained_variance`,
            `knn_accuracy` and `seconds`, and the standard deviations over seeds `mse_std` and
            `knn_accuracy_std`. What is absent is None: means where none succeeded, deviations where fewer
            than two did.
        """
        groups: dict[tuple[str, int], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row["objective"], row["k"]), []).append(row)
        found: list[Row] = []
        for (objective, k), group in groups.items():
            good = [row for row in group if row["mse"] is not None]
            mean: Row = {"objective": objective, "k": k, "seeds": len(good), "failed": len(group) - len(good)}
            for name in ("mse", "explained_variance", "knn_accuracy", "seconds"):
                values = [row[name] for row in good]
                known = bool(values) and None not in values
                mean[name] = float(np.mean(values)) if known else None
                if name in ("mse", "knn_accuracy"):
                    mean[f"{name}_std"] = float(np.std(values, ddof=1)) if known and len(values) > 1 else None
            found.append(mean)
        return found

    @property
    def recommended(self) -> Recommendation | None:
        """The k to take, its objective and the reason; None where no training succeeded.

        With labels, the smallest k whose mean accuracy is within one standard error of the best: the rule of
        Breiman, Friedman, Olshen & Stone (1984, section 3.4.3), for which a smaller model is as good until
        the data can tell the two apart. The standard error is theirs for a test sample, sqrt(p (1 - p) / n),
        or that of the mean over seeds where it is larger: seeds may agree by chance, and tell nothing of
        which rows were held out. Of several objectives that are so good with that k, the one with the least
        error.

        Without labels, the elbow of the variance kept: see `codeword.tasks.compare.elbow`. Of several
        objectives the one with the least error at each k counts.
        """
        judged = [row for row in self.summary() if row["objective"] != PCA and row["mse"] is not None]
        if not judged:
            return None
        if all(row["knn_accuracy"] is not None for row in judged):
            return _by_accuracy(judged, self.n_labeled, self.n_features)
        return _by_elbow(judged, self.n_features)

    def table(self) -> str:
        """The summary as text, aligned and at most 100 characters wide, the recommended row marked."""
        summary, best = self.summary(), self.recommended
        pca = {row["k"]: row for row in summary if row["objective"] == PCA}
        models = [row for row in summary if row["objective"] != PCA]
        labeled = any(row["knn_accuracy"] is not None for row in summary)
        form = _form([row["mse"] for row in summary if row["mse"]])
        cells = [
            ["  objective", "k", "mean squared error", "PCA", "kept", "label accuracy", "PCA", "seconds"]
        ]
        for row in models:
            name, k, beside = row["objective"], row["k"], pca.get(row["k"], {})
            mark = "*" if best is not None and (best.objective, best.k) == (name, k) else " "
            cells.append(
                [
                    f"{mark} {shortened(name, NAME_WIDTH)}",
                    str(k),
                    _cell(form, row["mse"], row["mse_std"]) if row["seeds"] else "failed",
                    _cell(form, beside.get("mse")),
                    _cell(".1%", row["explained_variance"]),
                    _cell(".3f", row["knn_accuracy"], row["knn_accuracy_std"]),
                    _cell(".3f", beside.get("knn_accuracy")),
                    _cell(".1f", row["seconds"]),
                ]
            )
        if not labeled:
            cells = [[*row[:5], row[7]] for row in cells]
        title = f"{self.n:,} held-out rows, errors in scaled units"
        seeds = max((row["seeds"] for row in models), default=0)
        title += f"; mean ± standard deviation over {seeds} seeds" if seeds > 1 else ""
        heading, *body = aligned(cells, gap=2)
        lines, above = [title, "", heading], None
        for row, line in zip(models, body, strict=True):
            lines += [line] if above in (None, row["objective"]) else ["", line]
            above = row["objective"]
        lines += [
            f"{row['objective']} k={row['k']} seed {row['seed']} failed: {row['failed']}"
            for row in self.rows
            if row["failed"]
        ]
        return "\n".join(lines)


def _form(errors: Sequence[float]) -> str:
    """The format in which the least error shows three digits, or powers of ten where that were too many."""
    decimals = max(0, 2 - math.floor(math.log10(min(errors, default=1.0))))
    return f".{decimals}f" if decimals <= 6 and max(errors, default=1.0) < 1e5 else ".1e"


def _cell(form: str, mean: float | None, deviation: float | None = None) -> str:
    if mean is None:
        return ABSENT
    return f"{mean:{form}}" if deviation is None else f"{mean:{form}} ± {deviation:{form}}"
