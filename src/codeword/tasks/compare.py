"""`compare`: trainings with each of several k, objectives and seeds, judged on the same held-out rows."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from codeword.base.errors import DataError, InputError, ParameterError, TrainingError
from codeword.base.files import check_free, check_own, recover, remove, writing
from codeword.base.text import shortened
from codeword.data import Data
from codeword.data.columns import Columns
from codeword.data.labels import classes_of
from codeword.data.rows import blocks, check_finite, read
from codeword.data.scaling import Scaling, describe
from codeword.data.tables import is_table
from codeword.model.autoencoder import AutoEncoder
from codeword.model.fitted import Codec, FittedModel
from codeword.model.inputs import training_data
from codeword.model.parameters import to_json
from codeword.model.plan import check_parameters, scaling_kind
from codeword.networks.pca import PrincipalComponents
from codeword.objectives import OBJECTIVES, Objective, resolve_objective
from codeword.tasks.choice import COLUMNS, PCA, Comparison
from codeword.tasks.labels import (
    LabelTask,
    check_classes,
    check_reference,
    label_metric,
    one_thread_without_warnings,
)
from codeword.tasks.reconstruction import (
    Errors,
    draw,
    explained_variance,
    flat,
    reconstruct_all,
    scale_of,
    take,
)
from codeword.training.batches import RESIDENT_BYTES
from codeword.training.checkpoint import digest

__all__ = ["PICTURE", "RESULTS", "TABLE", "Results", "check_folder", "compare"]

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


Row = dict[str, Any]
Key = tuple[str, int, int | None]
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
        the same.
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
        If `folder` exists and neither `resume` nor `overwrite` is set, or holds a comparison of something
        else; the message names the first setting that differs.
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
    by_label = _by_label(objectives)
    if not _positive(seeds):
        raise ParameterError(
            f"The 'seeds' parameter of compare must be a positive integer. Got {seeds!r} instead."
        )
    for objective in by_label.values():
        check_parameters(_estimator(1, objective, 0, parameters))
    missing = all(objective.takes_missing for objective in by_label.values())
    train, held_out = train_and_held_out(x, y, test, missing=missing)
    d = math.prod(train.sample_shape)
    lengths = check_k(k, d)
    trainings = [
        training
        for seed in range(seeds)
        for label, objective in by_label.items()
        for training in _trainings(label, objective, lengths, seed)
    ]
    held = HeldOut(train, held_out, strict=y is not None)
    results = Results()
    if folder is not None:
        settings = _settings(by_label, lengths, seeds, parameters, train, held_out)
        results = Results.open(folder, settings, resume=resume, overwrite=overwrite)
    try:
        _run(trainings, results, train, held, on_row, parameters)
    except InputError:  # an objective or a network that does not fit the data
        results.withdraw()
        raise
    order = {label: i for i, label in enumerate([*by_label, PCA])}
    rows = sorted(
        results.rows.values(), key=lambda row: (order[row["objective"]], row["k"], row["seed"] or 0)
    )
    found = Comparison(rows, len(held_out), held.n_labelled, d)
    results.finish(found)
    return found


# -- trainings ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """One training, and the lengths of code that it gives rows for."""

    label: str
    objective: Objective
    seed: int
    lengths: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of its checkpoint, which no other training has."""
        return f"k{self.lengths[-1]}-seed{self.seed}-{hashlib.sha256(self.label.encode()).hexdigest()[:8]}"

    @property
    def key(self) -> tuple[str, int, int | None]:
        """The key of its last row in `Results`."""
        return self.label, self.lengths[-1], self.seed


def _trainings(label: str, objective: Objective, lengths: Sequence[int], seed: int) -> Iterator[Training]:
    if objective.ordered:
        yield Training(label, objective, seed, tuple(lengths))
    else:
        yield from (Training(label, objective, seed, (k,)) for k in lengths)


def _run(
    trainings: Sequence[Training],
    results: Results,
    train: Data,
    held: HeldOut,
    on_row: OnRow | None,
    parameters: dict[str, Any],
) -> None:
    """Do what is not done yet, seed by seed, so that what is there at any time covers all k."""
    pending = [training for training in trainings if training.key not in results.rows]
    total = sum(len(training.lengths) for training in trainings)
    done = total - sum(len(training.lengths) for training in pending)
    pca = _principal_components(train, max(t.lengths[-1] for t in trainings), parameters) if pending else None
    for training in pending:
        ae = _estimator(training.lengths[-1], training.objective, training.seed, parameters)
        failed = _fit(ae, train, results.checkpoint(training.name))
        rows: list[Row] = []
        for k in training.lengths:
            if pca is not None and (PCA, k, None) not in results.rows:
                rows.append(_row(PCA, k, None, held.metrics(_first_components(pca, k), pca.scaling)))
            metrics = {"failed": failed} if failed else _metrics(ae.model_, k, held)
            rows.append(_row(training.label, k, training.seed, metrics))
        results.add(rows)
        for row in rows:
            done += row["objective"] != PCA
            if on_row is not None:
                on_row(row, done, total)


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


def _first_components(pca: PrincipalComponents, k: int) -> PrincipalComponents:
    return PrincipalComponents(pca.scaling, pca.mean, pca.components[:k], pca.deviations[:k])


# -- rows to train on and rows to judge on ------------------------------------------------------------------


class HeldOut:
    """The held-out rows that trainings are judged on, and the classes of both parts where both have any.

    Labels that are no classes judge nothing or, with `strict`, raise a DataError.
    """

    def __init__(self, train: Data, rows: Data, *, strict: bool) -> None:
        self.rows = rows
        self.task: LabelTask | None = None
        self.n_labelled = 0
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
        self.n_labelled = len(far)

    def metrics(self, codec: Codec, scaling: Scaling) -> dict[str, Any]:
        """`mse` and `explained_variance` of the held-out rows, and `knn_accuracy` (None without labels)."""
        errors = Errors("the model", codec, len(self.rows))
        scale = scale_of(SimpleNamespace(scaling_=scaling))
        moments = reconstruct_all([errors], self.rows.x, scale, missing=scaling.missing)
        accuracy = None
        if self.task is not None:
            near, far = (flat(codec.transform(rows)) for rows in (self.near, self.far))
            with one_thread_without_warnings():
                accuracy = float(label_metric("knn_accuracy", self.task, far, near))
        return {
            "mse": errors.mse,
            "explained_variance": explained_variance(errors, moments),
            "knn_accuracy": accuracy,
        }


def train_and_held_out(x: Any, y: Any, test: Any, *, missing: bool) -> tuple[Data, Data]:
    """Rows to train on and rows to judge on, without column names, which have been checked.

    Without `test`, a fifth of the rows, at most 10,000, is held out. Of a mixed table the columns are fitted
    on all rows of x, those held out too: no codes are, and their units are alike for all.
    """
    train = _with_labels(x, y, "x", missing, None)
    if test is not None:
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
    return _split(replace(train, names=None))


def _with_labels(x: Any, y: Any, name: str, missing: bool, columns: Columns | None) -> Data:
    """Rows with their labels; a mixed table as `columns` or, without these, columns of its own make it."""
    if y is None and isinstance(x, Data):
        y = x.y
    if columns is not None and not isinstance(x, Data) and is_table(x):
        x = columns.transform(x)
    data = training_data(x)
    for start, block in blocks(data.x):  # here, where the number of a row is that in the whole
        check_finite(block, start, missing=missing or data.columns is not None)
    if y is not None and np.shape(y) != (len(data),):
        raise DataError(
            f"the labels of {name} have the shape {np.shape(y)}, and there are {len(data):,} rows: "
            "give one label for each row"
        )
    return replace(data, y=None if y is None else np.asarray(y))


def _split(data: Data) -> tuple[Data, Data]:
    n = len(data)
    if n < 2:
        raise DataError("x has one row: at least two are needed, one to train on and one to judge on")
    held_out = draw(n, min(max(1, n // HELD_OUT_SHARE), MOST_HELD_OUT), 0)
    rest = np.delete(np.arange(n), held_out)
    if math.prod(data.x.shape) * data.x.dtype.itemsize > RESIDENT_BYTES:
        return data[rest], data[held_out]  # which copies nothing
    x = data.x if type(data.x) is np.ndarray else read(data.x, 0, n)
    parts = [replace(data, x=x[i], y=None if data.y is None else data.y[i]) for i in (rest, held_out)]
    return parts[0], parts[1]


def _digest(data: Data) -> str:
    """A short name for rows and labels, that differs where they do."""
    parts = [np.array([digest(np.ascontiguousarray(block)) for _, block in blocks(data.x)])]
    if data.y is not None:
        parts.append(data.y.astype(str))
    return digest(*parts)


# -- what was asked for -------------------------------------------------------------------------------------


def _estimator(k: int, objective: Any, seed: int, parameters: dict[str, Any]) -> AutoEncoder:
    for name, instead in SET_HERE.items():
        if name in parameters:
            raise ParameterError(f"compare sets {name} itself, from {instead}: give {instead} instead")
    return AutoEncoder(k, objective=objective, random_state=seed, **parameters)


def _by_label(objectives: Any) -> dict[str, Objective]:
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
        found |= {
            f"{name} rows": len(rows),
            f"the shape of {name} samples": list(rows.sample_shape),
            f"the type of {name} values": str(rows.x.dtype),
            f"the digest of {name} rows": _digest(rows),
        }
    return found


def _positive(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value > 0)


def check_k(k: Any, d: int) -> list[int]:
    """The lengths of code to compare, increasing and each once, none of them more than the `d` features."""
    if isinstance(k, str) and k == "auto":
        return [n for n in (2, 4, 8, 16, 32, 64) if n < d] or [1]
    lengths = [k] if isinstance(k, (int, np.integer)) else k
    several = isinstance(lengths, (list, tuple, range, np.ndarray)) and len(lengths) > 0
    if not several or not all(_positive(n) for n in lengths):
        raise ParameterError(
            f"The 'k' parameter of compare must be positive integers, at least one, or 'auto'. "
            f"Got {k!r} instead."
        )
    most = int(max(lengths))
    if most > d:
        raise ParameterError(
            f"k = {most} is more than the number of features in a row, {d}: give k up to {d}"
        )
    return sorted({int(n) for n in lengths})


# -- the folder: each finished training is on disk at once, whole, and outlives a kill -----------------------


def check_folder(path: str | os.PathLike[str], *, resume: bool, overwrite: bool) -> Path:
    """Say early that a comparison cannot be kept in `path`.

    Raises
    ------
    InputError
        If it is there already and neither may be gone on with nor replaced, is something else than the folder
        of a comparison, or its own folder is missing.
    """
    path = Path(path)
    if resume and overwrite:
        raise ParameterError("--resume goes on with what is there, and --overwrite replaces it: give one")
    if path.name:
        recover(path)
    if path.exists() and not (resume or overwrite):
        raise InputError(
            f"{path} already exists: go on with it by resume=True (--resume), replace it by overwrite=True "
            "(--overwrite), or choose another name"
        )
    if resume and path.exists() and not (path / SETTINGS).is_file():
        raise InputError(f"{path} is no comparison to go on with: there is no {SETTINGS} in it")
    if overwrite and path.is_dir():
        left = [entry.name for entry in path.glob(".*.part.*")]  # by a kill
        check_own(path, [SETTINGS, RESULTS, TABLE, PICTURE, TRAINING, *left], "a comparison")
    return check_free(path, overwrite=path.exists())


class Results:
    """The finished rows of a comparison, and the folder that they are kept in.

    Attributes
    ----------
    rows : dict
        By objective, k and seed.
    path : Path or None
        None keeps them in memory only.
    """

    def __init__(self, path: Path | None = None, rows: Iterable[Row] = ()) -> None:
        self.path = path
        self.rows: dict[Key, Row] = {(row["objective"], row["k"], row["seed"]): row for row in rows}

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], settings: dict[str, Any], *, resume: bool, overwrite: bool
    ) -> Results:
        """Make the folder, or go on with one of the same `settings`, which are fit for JSON.

        Raises
        ------
        InputError
            See `check_folder`; also if the settings differ, with the name of the first that does.
        """
        path = check_folder(path, resume=resume, overwrite=overwrite)
        if not (resume and path.exists()):
            with writing(path, overwrite=overwrite) as new:
                new.mkdir()
                (new / SETTINGS).write_text(json.dumps(settings, indent=1), "utf-8")
            return cls(path)
        settings = json.loads(json.dumps(settings))
        kept = _read_settings(path / SETTINGS)
        for name in [*kept, *settings]:
            before, now = kept.get(name), settings.get(name)
            if before != now:
                raise InputError(
                    f"{path} was made with {name} = {_shown(before)}, and this run has {_shown(now)}: give "
                    "the same, or another folder"
                )
        return cls(path, _read_rows(path / RESULTS))

    def checkpoint(self, name: str) -> Path | None:
        """Where the training of a name keeps its state."""
        if self.path is None:
            return None
        (self.path / TRAINING).mkdir(exist_ok=True)
        return self.path / TRAINING / name

    def add(self, rows: Sequence[Row]) -> None:
        """Keep what one training gave, all of it or, if the process is killed here, nothing."""
        self.rows |= {(row["objective"], row["k"], row["seed"]): row for row in rows}
        if self.path is not None:
            with writing(self.path / RESULTS, overwrite=True) as new:
                new.write_text("".join(json.dumps(row) + "\n" for row in self.rows.values()), "utf-8")
            remove(self.path / TRAINING)

    def withdraw(self) -> None:
        """Take the training under way away again, and the folder if nothing else has come of it."""
        if self.path is not None:
            remove(self.path / TRAINING if self.rows else self.path)

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


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")).items())
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({shortened(error)}): start anew with --overwrite") from None


def _read_rows(path: Path) -> Iterator[Row]:
    text = path.read_text("utf-8", errors="replace") if path.exists() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line)
            hash((row["objective"], row["k"], row["seed"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                f"{path}, line {number}, is no result: delete the line, or start anew with --overwrite"
            ) from None
        yield row


def _shown(value: Any) -> str:
    return shortened(", ".join(map(str, value)) if isinstance(value, list) else value)
