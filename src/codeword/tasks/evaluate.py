"""`evaluate`: how good a model is, beside PCA and the rows themselves, in one dictionary."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.base import ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import trustworthiness
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from codeword.base.constraints import whole
from codeword.base.errors import DataError, ParameterError, expected
from codeword.base.text import METRICS, aligned, listed, shortened
from codeword.data import Data
from codeword.data.labels import Labels, classes_of
from codeword.data.rows import check_finite
from codeword.data.scaling import Moments
from codeword.data.tables import is_table
from codeword.model.fitted import Codec, FittedModel, as_codec

PREFIXES = ("", "pca_", "raw_")
"""What stands before the name of a metric: nothing for the model; the baseline's; the rows' own."""

MOST_JUDGED = 10_000
MOST_REFERENCE = 60_000
MOST_NEAR = 2_000
"""Rows whose neighbors are compared: each with each."""

MOST_RAW_FEATURES = 4_096
"""Beyond this many, accuracies on the rows themselves are not taken."""

MOST_VALUES = 2**26
"""Numbers that are held at once: 256 MB of raw values."""

CHUNK_BYTES = 32 * 2**20
CHUNK_ROWS = 4096
"""One chunk of x as float64; the pass holds some five arrays of that size, whatever the length of x."""

UNUSED_VARIANCE = 1e-6
"""A variance beside the largest: a spread of less than a thousandth."""

UNUSED_KL = 0.01
NEAREST = 10
MOST_DIMENSIONS = 4096
"""Beyond this many, a matrix of their correlations is no longer made."""

NEIGHBORS = 5
FOLDS = 5
KMEANS_STARTS = 10
"""With one, the error of k-means differs by some per cent from seed to seed."""

MOST_WORK = 2**32
"""Products in one step of logistic regression over all folds: about a second of one core."""

MOST_MIXTURE_WORK = 2**31
"""The same for a mixture, whose steps are up to a hundred too."""

WIDTH = 80
ALIKE = 0.9
"""A correlation of two dimensions from which on it is worth a line."""

ABSENT = "–"

ABOUT_ERRORS, ABOUT_LABELS = tuple(METRICS)[:4], tuple(METRICS)[4:]

Floats = NDArray[np.float64]
RowNumbers = NDArray[np.int64]
Scale = Callable[[Any], Floats]
Classes = NDArray[np.int64]
Values = NDArray[Any]


def evaluate(
    model: Codec,
    x: Any,
    y: Any = None,
    *,
    reference: Any = None,
    baseline: Codec | str | None = "auto",
    random_state: int | None = 0,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:
    """Measure how good a model is on rows `x`, and PCA and the rows themselves beside it by the same code.

    Parameters
    ----------
    model : object with `transform` and `inverse_transform`
        An `AutoEncoder`, scikit-learn's PCA, a pipeline. Where it has a `scaling_`, errors are taken in
        scaled units; otherwise in the units of `x`.
    x : Data, or array-like of shape (n_samples, ...)
        Rows that can be sliced: an ndarray, a memory map of any length, a tensor, a DataFrame. They are read
        once, in chunks, so memory stays bounded, and then some of them again.
    y : array-like of shape (n_samples,), optional
        Labels, numbers or texts; None, NaN and "" are missing ones. A `Data` brings its own.
    reference : (x, y) or Data, optional
        Other rows and their labels, from which kNN and the linear probe learn what they are asked of `x`: the
        training split, where x is the test split. Without it the labeled rows of x are cross-validated in
        five folds.
    baseline : {"auto"}, object with `transform` and `inverse_transform`, or None, default="auto"
        "auto" takes the model's own `baseline_`, PCA fitted on its training rows, where there is one. PCA
        fitted on `x` itself would have seen the rows it is judged on, so it is not made up here: give one
        fitted elsewhere, or None for no comparison.
    random_state : int or None, default=0
        Seed of the rows that are drawn, of folds and of clusterings.
    progress : callable or None, default=None
        Called as `progress(done, total)`.

    Returns
    -------
    dict
        Fit for JSON, always with the same keys; None for what is absent or undefined. Of a metric the name
        alone is the model's, ``pca_…`` the baseline's, and ``raw_…`` that of the rows in scaled units.

        - ``n``: the number of rows; ``k``: numbers in a code.
        - ``mse``: mean squared error over rows and features; ``worst_decile_mse``: the same over the tenth of
          the rows that come out worst, which the model and the baseline each have of their own.
        - ``explained_variance``: one minus the squared error over the squared distance of `x` to its mean,
          both in the same units; None where `x` does not vary or values are missing.
        - ``trustworthiness``: how far neighbors in codes are neighbors in x (Venna and Kaski 2001), from
          ten neighbors of 2,000 rows; None of two rows, or where values are missing.
        - ``latent``: ``unused_dimensions``, the columns of codes with less than 0.01 nats of KL where the
          model tells that, or with less than a millionth of the largest variance; ``max_correlation``, the
          largest |r| of two columns in use, these being ``most_correlated``; ``mean_correlation``, its
          mean over all pairs; and what `model.latent_metrics` gives, such as ``kl_per_dimension`` and
          ``codebook_use``.
        - ``labeled_rows``: those that enter the metrics below, drawn if there are more than 10,000;
          ``unlabeled``: rows of x without a label; ``reference_rows``: at most 60,000, or fewer of more than
          1,118 features; ``classes``: their number.
        - ``knn_accuracy``: of the 5 nearest neighbors; ``linear_accuracy``: of logistic regression on
          standardized columns, None where it would take minutes (rows, columns and classes multiply to more
          than 2³²).
        - ``clustering``: k-means with as many clusters as classes, as ``accuracy`` by the best matching of
          clusters with classes, ``nmi`` and ``ari``; ``mixture``: the same of a Gaussian mixture with full
          covariances, None where clusters have fewer rows than columns, or would take minutes.

        The ``raw_…`` metrics are None above 4,096 features, and where values are missing.

    Raises
    ------
    ParameterError
        If `model` or `baseline` cannot transform and inverse_transform, `reference` is not rows and labels or
        comes without labels of `x`, or `random_state` is no seed.
    DataError
        If `x` has no rows, a reconstruction is not finite or does not fit its row, labels are of another
        length, of one class or no classes at all, or there are fewer labeled rows than neighbors need.
    """
    return evaluate_rows(model, x, y, reference, baseline, random_state, progress).metrics


class Evaluation(NamedTuple):
    """What `evaluate` returns, and the mean squared error of each row, (n,) float32.

    Errors are NaN where no value is known, or where there is no baseline.
    """

    metrics: dict[str, Any]
    errors: NDArray[np.float32]
    baseline_errors: NDArray[np.float32]


def evaluate_rows(
    model: Codec,
    x: Any,
    y: Any = None,
    reference: Any = None,
    baseline: Codec | str | None = "auto",
    random_state: int | None = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Evaluate as `evaluate` does, and keep the errors of all rows."""
    codec, pca = _codecs(model, baseline)
    x, y = _rows(model, x, y)
    labels = None if y is None else classes_of(y, x.shape[0])
    if labels is not None:
        check_classes(labels, referenced=reference is not None)
    if reference is not None:
        reference = _reference(model, reference, x, labels)
    seed, n = _seed(random_state), x.shape[0]
    # In rows: a step for each metric of those that are drawn counts as many as these.
    drawn = min(n, MOST_JUDGED)
    total = n + drawn * (1 + (0 if labels is None else len(LABEL_METRICS) * len(PREFIXES)))
    done = 0

    def advance(rows: int = drawn) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, total)

    advance(0)
    scale = scale_by(scaling_of(codec))
    own, other = Errors("the model", codec, n), Errors("the baseline", pca, n)
    judged = [own] if pca is None else [own, other]
    missing = bool(getattr(codec, "takes_missing", False))
    moments = reconstruct_all(judged, x, scale, missing=missing, advance=advance)
    both = {"": own, "pca_": other}
    metrics: dict[str, Any] = {"n": n, "k": own.k}
    metrics |= {f"{prefix}mse": errors.mse for prefix, errors in both.items()}
    metrics |= {f"{prefix}explained_variance": explained_variance(e, moments) for prefix, e in both.items()}
    metrics |= {f"{prefix}worst_decile_mse": errors.worst_decile_mse for prefix, errors in both.items()}

    represent = partial(_represent, {"": codec, "pca_": pca}, scale, moments.mean)
    near = represent(x, draw(n, max(3, _held(MOST_NEAR, x)), seed))
    metrics |= {f"{prefix}trustworthiness": _trustworthiness(near["raw_"], near[prefix]) for prefix in both}
    rows = draw(n, max(3, _held(MOST_JUDGED, x, own.k)), seed)
    codes = represent(x, rows, raw=False)[""]
    metrics["latent"] = _latent_metrics(codec, take(x, rows), codes, own.code_moments)
    advance()
    counts = dict.fromkeys(("labeled_rows", "unlabeled", "reference_rows", "classes"))
    metrics |= counts | dict.fromkeys(prefix + name for name in LABEL_METRICS for prefix in PREFIXES)
    if labels is not None:
        metrics |= _label_metrics(x, labels, reference, represent, seed, advance)
    return Evaluation(metrics, own.by_row, other.by_row)


# -- what was asked -----------------------------------------------------------------------------------------


def _codecs(model: Any, baseline: Any) -> tuple[Any, Any]:
    """The model and the baseline that is meant, known to be codecs."""
    if isinstance(baseline, str) and baseline == "auto":
        baseline = getattr(model, "baseline_", None)
    for name, codec in (("model", model), ("baseline", baseline)):
        lacking = [m for m in ("transform", "inverse_transform") if not callable(getattr(codec, m, None))]
        if lacking and (name == "model" or codec is not None):
            raise ParameterError(
                f"The '{name}' parameter of evaluate must have the methods transform and inverse_transform. "
                f"Got {type(codec).__name__}, which has no {' and no '.join(lacking)}."
            )
    return as_codec(model), baseline


def _rows(model: Any, x: Any, y: Any = None, what: str = "x") -> tuple[Any, Any]:
    """Rows that can be sliced, of numbers where the model is an AutoEncoder, and their labels."""
    codec = as_codec(model)
    if isinstance(codec, FittedModel) and (isinstance(x, Data) or is_table(x)) and len(x):
        model.transform(x[:1])  # which compares names and columns
    if isinstance(x, Data):
        x, y = x.x, x.y if y is None else y
    elif isinstance(codec, FittedModel) and codec.columns is not None and is_table(x):
        x = codec.columns.transform(x)
    if isinstance(x, list | tuple):
        x = np.asarray(x)
    shape: tuple[int, ...] = tuple(getattr(x, "shape", ()))
    if len(shape) < 2 or 0 in shape:
        raise DataError(
            f"{what} must have rows and features, at least one of each. Got the shape {shape} instead."
        )
    return x, y


def _reference(model: Any, reference: Any, x: Any, labels: Labels | None) -> tuple[Any, Labels]:
    """The rows to learn from and what their labels are, once classes of x can be learned from them."""
    if labels is None:
        raise ParameterError(
            "The 'reference' parameter of evaluate needs labels of x to judge what is learned: give y."
        )
    pair = reference if isinstance(reference, tuple) else (reference, None)
    if len(pair) != 2 or not isinstance(reference, tuple | Data):
        raise ParameterError(
            "The 'reference' parameter of evaluate must be rows and their labels, (x, y), or a Data. Got "
            f"{type(reference).__name__} instead."
        )
    near, y = _rows(model, *pair, "the reference")
    if math.prod(near.shape[1:]) != math.prod(x.shape[1:]):
        raise DataError(
            f"the reference has rows of shape {tuple(near.shape[1:])}, and x has rows of shape "
            f"{tuple(x.shape[1:])}: give both the same"
        )
    if y is None:
        raise DataError(f"the reference has no labels: give one for each of its {near.shape[0]:,} rows")
    few = draw(x.shape[0], 100, 0)  # so many rows tell whether two sets of them are the same
    if near.shape[0] == x.shape[0] and np.array_equal(
        flat(take(x, few)), flat(take(near, few)), equal_nan=True
    ):
        raise DataError(
            f"the reference is the {x.shape[0]:,} rows that are judged: whoever learns from them knows the "
            "answers; give other rows, or none"
        )
    known = classes_of(y, near.shape[0], "the reference")
    check_reference(known, labels)
    return near, known


def _seed(random_state: Any) -> int:
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if not whole(random_state, 0) or random_state >= 2**32:
        raise expected(
            "random_state", "evaluate", "a whole number from 0 to 4294967295, or None", random_state
        )
    return int(random_state)


def _held(most: int, x: Any, k: int = 1) -> int:
    """The number `most` of rows, or fewer where so many values would fill the memory."""
    return int(min(most, MOST_VALUES // max(k, math.prod(x.shape[1:]))))


# -- rows ---------------------------------------------------------------------------------------------------


def scaling_of(model: Any) -> Any:
    """The scaling of a model, whatever its class, in whose units errors are taken; None where it has none."""
    codec = as_codec(model)
    return codec.scaling if isinstance(codec, FittedModel) else getattr(codec, "scaling_", None)


def scale_by(scaling: Any) -> Scale:
    """Return what brings rows, ndarray or tensor, to flat float64 in the units of a scaling, if any."""
    if scaling is None:
        return flat
    # A tensor stays one and a table becomes an array: the two things a scaling takes.
    return lambda rows: flat(scaling.forward(rows if hasattr(rows, "detach") else np.asarray(rows)))


def flat(rows: Any) -> Floats:
    """Return rows or codes, ndarray, tensor or table, as float64 of shape (n, d)."""
    if hasattr(rows, "detach"):
        rows = rows.detach().cpu()
    values = np.asarray(rows, dtype=np.float64)
    return values.reshape(len(values), -1)


def take(x: Any, rows: RowNumbers | slice) -> Any:
    """Return the given rows of `x`, in the kind of thing that x is."""
    return getattr(x, "iloc", x)[rows]


def chunks(x: Any, rows: RowNumbers | None = None) -> Iterator[tuple[int, Any]]:
    """Give `x`, or its rows with the given numbers, some at a time: each after the place of its first row."""
    size = max(1, min(CHUNK_ROWS, CHUNK_BYTES // (8 * math.prod(x.shape[1:]))))
    for start in range(0, x.shape[0] if rows is None else len(rows), size):
        part = slice(start, start + size)
        yield start, take(x, part if rows is None else rows[part])


def draw(n: int, most: int, seed: int) -> RowNumbers:
    """Return at most `most` of the numbers below `n`, in order; the same seed gives the same ones."""
    return np.sort(np.random.default_rng(seed).choice(n, min(n, most), replace=False))


# -- errors -------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Errors:
    """How far off the reconstructions of a model are, and how its codes vary, over rows taken in by chunks.

    `by_row` takes the mean squared error of each row, NaN where no value is known: four bytes a row, the one
    thing here that grows with x.
    """

    name: str
    codec: Any
    n: int
    k: int = 0
    squared_error: float = 0.0
    count: int = 0
    code_moments: Moments = field(default_factory=Moments)

    def __post_init__(self) -> None:
        self.by_row: NDArray[np.float32] = np.full(self.n, np.nan, np.float32)

    def add(self, rows: Any, target: Floats, scale: Scale, start: int) -> None:
        """Take in rows that begin at row `start`, and the same in the units that errors are taken in."""
        codes = self.codec.transform(rows)
        flat_codes = flat(codes)
        check_finite(flat_codes, start, what=f"the code by {self.name}")
        self.code_moments.add(flat_codes)
        self.k = flat_codes.shape[1]
        x_hat = scale(self.codec.inverse_transform(codes))
        if x_hat.shape != target.shape:
            raise DataError(
                f"the reconstruction by {self.name} must have the shape of its rows, {target.shape} "
                f"once flat. Got {x_hat.shape} instead."
            )
        check_finite(x_hat, start, what=f"the reconstruction by {self.name}")
        difference = target - x_hat
        known = ~np.isnan(target)
        difference[~known] = 0.0
        squared, counts = np.einsum("ij,ij->i", difference, difference), known.sum(axis=1)
        self.count += int(counts.sum())
        self.squared_error += float(squared.sum())
        self.by_row[start : start + len(target)] = squared / np.where(counts > 0, counts, np.nan)

    @property
    def mse(self) -> float | None:
        """The squared error, averaged over all values that are known."""
        return self.squared_error / self.count if self.count else None

    @property
    def worst_decile_mse(self) -> float | None:
        """The mean error of the tenth of the rows that come out worst, at least one."""
        errors = self.by_row[~np.isnan(self.by_row)]
        if not len(errors):
            return None
        worst = math.ceil(len(errors) / 10)
        return float(np.partition(errors, -worst)[-worst:].mean(dtype=np.float64))


def reconstruct_all(
    models: list[Errors], x: Any, scale: Scale, *, missing: bool, advance: Callable[[int], None] | None = None
) -> Moments:
    """Take in the reconstructions of every row of `x` by each model; return the moments of x in scaled units.

    A DataError says which row or reconstruction is not finite, or that the two differ in shape.
    """
    moments = Moments()
    for start, rows in chunks(x):
        target = scale(rows)
        check_finite(target, start, missing=missing)
        moments.add(target)
        for model in models:
            model.add(rows, target, scale, start)
        if advance is not None:
            advance(len(target))
    return moments


def explained_variance(errors: Errors, moments: Moments) -> float | None:
    """One minus the squared error over the squared distance of all rows to their mean.

    None where rows do not vary, values are missing, or nothing was taken in.
    """
    if not errors.count:
        return None
    squares = float(moments.squares.sum())
    # What is left of a constant is rounding: dividing by it would report noise.
    size = float(np.vdot(moments.mean, moments.mean)) * moments.known
    return 1.0 - errors.squared_error / squares if squares > 1e-24 * size else None


# -- parts of the dictionary --------------------------------------------------------------------------------


def _represent(
    codecs: dict[str, Any], scale: Scale, center: Floats, x: Any, rows: RowNumbers, *, raw: bool = True
) -> dict[str, Any]:
    """Some rows of `x` as codes (n, k) of each codec, float64, and as they are, by prefix; absent ones None.

    With `raw`, rows as they are come as (n, d) float32 in scaled units, less their `center` (d,), which keeps
    their differences; they are absent where a value among them is missing.
    """
    found: dict[str, list[NDArray[Any]]] = {prefix: [] for prefix in PREFIXES}
    for _, some in chunks(x, rows):
        for prefix, codec in codecs.items():
            if codec is not None:
                found[prefix].append(flat(codec.transform(some)))
        if raw:
            found["raw_"].append((scale(some) - center).astype(np.float32))
    if not all(np.isfinite(part).all() for part in found["raw_"]):
        found["raw_"] = []
    return {prefix: np.concatenate(parts) if parts else None for prefix, parts in found.items()}


def _latent_metrics(model: Any, rows: Any, codes: Any, moments: Moments) -> dict[str, Any]:
    """What of the codes is unused or said twice, and what the model itself knows of them."""
    asked = getattr(model, "latent_metrics", None)
    more = dict(asked(rows)) if callable(asked) else {}
    kl = more.get("kl_per_dimension")
    if kl is not None:
        unused = np.flatnonzero(np.asarray(kl, dtype=np.float64) < UNUSED_KL)
    else:
        variances = moments.squares / moments.known
        # A constant far from zero varies by its rounding.
        real = variances > 1e-14 * np.square(moments.mean)
        least = UNUSED_VARIANCE * float(np.where(real, variances, 0.0).max())
        unused = np.flatnonzero(~real | (variances <= least))
    return {"unused_dimensions": unused.tolist(), **_correlations(codes, unused), **more}


def _correlations(codes: Floats, unused: RowNumbers) -> dict[str, Any]:
    """How much the columns in use of `codes` (n, k) say the same; None with fewer than two that vary."""
    columns = np.setdiff1d(np.arange(codes.shape[1]), unused)
    columns = columns[codes[:, columns].std(axis=0) > 0]
    if not 2 <= len(columns) <= MOST_DIMENSIONS:
        return {"max_correlation": None, "mean_correlation": None, "most_correlated": None}
    r = np.abs(np.corrcoef(codes[:, columns], rowvar=False))
    upper = np.triu_indices(len(columns), 1)
    pairs = np.minimum(r[upper], 1.0)
    largest = int(pairs.argmax())
    return {
        "max_correlation": float(pairs[largest]),
        "mean_correlation": float(pairs.mean()),
        "most_correlated": [int(columns[axis[largest]]) for axis in upper],
    }


def _trustworthiness(raw: Any, codes: Any) -> float | None:
    """How far neighbors in `codes` are neighbors in `raw` rows too: 1 is all, about 0.5 chance.

    Venna and Kaski (2001), "Neighborhood preservation in nonlinear projection methods", equation 2, with ten
    neighbors or, of fewer than 22 rows, as many as it is defined for; None of fewer than three rows.
    """
    if raw is None or codes is None or len(raw) < 3:
        return None
    return float(trustworthiness(raw, codes, n_neighbors=min(NEAREST, (len(raw) - 1) // 2)))


# -- labels -------------------------------------------------------------------------------------------------


def check_classes(labels: Labels, what: str = "x", *, referenced: bool) -> None:
    """Raise a DataError if classes cannot be told apart on rows with these labels.

    With `referenced`, their neighbors are looked for elsewhere.
    """
    n, c = len(labels.known), len(labels.names)
    if not n:
        raise DataError(
            f"all {len(labels.index):,} labels of {what} are missing: give some, or judge without labels"
        )
    if c < 2:
        raise DataError(
            f"the labels have one class only, {labels.names[0]!r}, in all {n:,} rows: at least two are "
            "needed; judge without labels"
        )
    if not referenced and n < 2 * NEIGHBORS:
        raise DataError(
            f"there are {n} labeled rows, fewer than {2 * NEIGHBORS}: {NEIGHBORS} nearest neighbors in "
            "cross-validation need as many; give more, or a reference to learn from, or judge without labels"
        )
    most = max(2, min(labels.most, n // 2))
    if c > most:
        raise DataError(
            f"the labels take {c:,} different values in {n:,} rows ({listed(labels.names, 3)}), more than "
            f"{most:,}: these are no classes; give labels that are, or judge without"
        )


def check_reference(labels: Labels, judged: Labels, what: str = "the reference") -> None:
    """Raise a DataError if classes of the rows judged cannot be learned from rows with these labels."""
    n = len(labels.known)
    if n < NEIGHBORS:
        raise DataError(
            f"{what} has {n} labeled rows, fewer than the {NEIGHBORS} nearest neighbors: give more"
        )
    if len(labels.names) < 2:
        raise DataError(
            f"{what} has one class only, {labels.names[0]!r}, in all {n:,} rows: at least two are needed"
        )
    if not set(labels.names) & set(judged.names):
        raise DataError(
            f"{what} shares no class with the rows judged: it has {listed(labels.names, 4)}, and they have "
            f"{listed(judged.names, 4)}"
        )


@dataclass(frozen=True)
class LabelTask:
    """The class of each row that is judged (n,), and of each row to learn from (m,), below `n_classes`.

    Without rows to learn from, those judged are split into five folds, alike for every class, and each fold
    is judged by what the other four teach. `seed` is that of folds and of the starts of clusterings.
    """

    y: Classes
    n_classes: int
    y_reference: Classes | None
    seed: int


@contextmanager
def _alone() -> Iterator[None]:
    """Keep scikit-learn's advice from the user, and its small matrix products on one thread.

    Threads that wait for each other by spinning made logistic regression on 16 numbers seventy times slower
    on two cores of which one was busy; alone, the metrics do not depend on the number of cores either.
    """

    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # A step limit that is reached, a class with fewer rows than folds, fewer distinct rows than clusters:
        # the metric shows what came of it.
        warnings.simplefilter("ignore", UserWarning)
        yield


def _accuracy(classifier: ClassifierMixin, task: LabelTask, x: Values, reference: Values | None) -> float:
    """Return the share of the rows `x` whose class is predicted rightly."""
    splits: Any = [(reference, task.y_reference, x, task.y)]
    if reference is None:
        folds = min(FOLDS, int(np.bincount(task.y).max()))
        parts = StratifiedKFold(folds, shuffle=True, random_state=task.seed).split(x, task.y)
        splits = [(x[near], task.y[near], x[far], task.y[far]) for near, far in parts]
    right = 0
    for near, y_near, far, y_far in splits:
        alone = len(np.unique(y_near)) < 2  # the one row of a class is in the fold that is judged
        right += int((y_far == (y_near[0] if alone else classifier.fit(near, y_near).predict(far))).sum())
    return right / len(task.y)


@_alone()
def nearest_neighbors(task: LabelTask, x: Values, reference: Values | None) -> float:
    """The accuracy of the class that most of the 5 nearest rows to learn from have."""
    return _accuracy(KNeighborsClassifier(NEIGHBORS, algorithm="brute"), task, x, reference)


@_alone()
def _linear_probe(task: LabelTask, x: Values, reference: Values | None) -> float | None:
    rows = len(x) * (FOLDS - 1) if reference is None else len(reference)
    if rows * x.shape[1] * task.n_classes > MOST_WORK:
        return None
    return _accuracy(make_pipeline(StandardScaler(), LogisticRegression(max_iter=100)), task, x, reference)


@_alone()
def _k_means(task: LabelTask, x: Values, reference: Values | None) -> dict[str, float]:
    starts = max(1, min(KMEANS_STARTS, 20 * KMEANS_STARTS // task.n_classes))
    clusters = KMeans(task.n_classes, n_init=starts, random_state=task.seed).fit_predict(x)
    return clustering_metrics(task.y, clusters)


@_alone()
def _mixture(task: LabelTask, x: Values, reference: Values | None) -> dict[str, float] | None:
    n, k = x.shape
    # The covariance matrix of fewer rows than columns is singular.
    if task.n_classes * k > n or n * k**2 * task.n_classes > MOST_MIXTURE_WORK:
        return None
    # One number for all columns: distances keep their ratios, and the least variance that is allowed its
    # meaning.
    spread = float(np.sqrt(x.var(axis=0).mean())) or 1.0
    unit = ((x - x.mean(axis=0)) / spread).astype(np.float64)
    clusters = GaussianMixture(task.n_classes, random_state=task.seed).fit_predict(unit)
    return clustering_metrics(task.y, clusters)


LABEL_METRICS: dict[str, Callable[[LabelTask, Values, Values | None], Any]] = {
    "knn_accuracy": nearest_neighbors,
    "linear_accuracy": _linear_probe,
    "clustering": _k_means,
    "mixture": _mixture,
}
"""Functions of a task, rows (n, d), and rows (m, d) to learn from or None."""


def clustering_metrics(y: Classes, clusters: Classes) -> dict[str, float]:
    """Compare clusters (n,) with classes (n,), whatever the clusters are called.

    ``accuracy`` is the share of rows whose cluster is matched with their class, under the one-to-one matching
    that makes it largest (Kuhn 1955, "The Hungarian method"); ``nmi`` normalized mutual information, by the
    arithmetic mean; ``ari`` the adjusted Rand index (Hubert and Arabie 1985), 1 for the same partition.
    """
    table = contingency_matrix(y, clusters)
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    return {
        "accuracy": float(matched / len(y)),
        "nmi": float(normalized_mutual_info_score(y, clusters)),
        "ari": float(adjusted_rand_score(y, clusters)),
    }


def _label_metrics(
    x: Any,
    labels: Labels,
    reference: tuple[Any, Labels] | None,
    represent: Callable[..., dict[str, Any]],
    seed: int,
    advance: Callable[[], None],
) -> dict[str, Any]:
    """Counts of labels, and each of LABEL_METRICS by prefix."""
    known = labels.known
    rows = known[draw(len(known), MOST_JUDGED, seed)]
    raw = math.prod(x.shape[1:]) <= MOST_RAW_FEATURES
    judged, learned, y_reference = represent(x, rows, raw=raw), dict.fromkeys(PREFIXES), None
    if reference is not None:
        x_reference, their = reference
        most = _held(MOST_REFERENCE, x) if raw else MOST_REFERENCE
        near = their.known[draw(len(their.known), most, seed)]
        learned = represent(x_reference, near, raw=raw)
        y_reference = their.into(labels.names)[near]
        judged = {prefix: None if learned[prefix] is None else judged[prefix] for prefix in PREFIXES}
    task = LabelTask(labels.index[rows], len(labels.names), y_reference, seed)
    found: dict[str, Any] = {
        "labeled_rows": len(rows),
        "unlabeled": len(labels.index) - len(known),
        "reference_rows": None if y_reference is None else len(y_reference),
        "classes": task.n_classes,
    }
    for name, metric in LABEL_METRICS.items():
        for prefix in PREFIXES:
            values = judged[prefix]
            found[prefix + name] = None if values is None else metric(task, values, learned[prefix])
            advance()
    return found


# -- words --------------------------------------------------------------------------------------------------


def evaluation_table(metrics: dict[str, Any], what: str, learned_from: str = "the reference") -> str:
    """Return what `evaluate` returns as text, of rows from `what` and a reference from `learned_from`."""
    k = metrics["k"]
    errors, labels = (list(metric_lines(metrics, names)) for names in (ABOUT_ERRORS, ABOUT_LABELS))
    names = ["auto-encoder", f"PCA with {_count(k, 'component')}", "raw data"]
    shown = [i for i in range(3) if any(cells[i] not in ("", ABSENT) for _, cells in errors + labels)]
    table = [("", names), *errors, *labels]
    lines = aligned([[label, *(cells[i] for i in shown)] for label, cells in table])
    fill = partial(textwrap.fill, width=WIDTH, break_on_hyphens=False)
    blocks = [
        [f"{what}: {_count(metrics['n'], 'row')}, {_count(k, 'number')} each"],
        lines[: 1 + len(errors)],
    ]
    if labels:
        blocks.append([fill(_about_labels(metrics, learned_from)), *lines[1 + len(errors) :]])
    blocks.append([fill(sentence) for sentence in health(metrics["latent"], k)])
    if metrics["mse"] is not None and metrics["pca_mse"] is not None:
        blocks.append([fill(comparison(metrics["mse"], metrics["pca_mse"]))])
    return "\n\n".join("\n".join(block) for block in blocks)


def metric_lines(
    metrics: dict[str, Any], names: Sequence[str] = tuple(METRICS)
) -> Iterator[tuple[str, list[str]]]:
    """Write metrics out: what each is called, and a cell for the model, the baseline and the raw rows.

    Lines about labels are left out where there were none, and those about clusters where there are none.
    """
    for name in names:
        outer, _, inner = name.partition(".")
        label, form = METRICS[name]
        known = [metrics.get(prefix + outer, "") for prefix in PREFIXES]
        values = [(value or {}).get(inner) for value in known] if inner else known
        if name in ABOUT_ERRORS or (metrics["classes"] is not None and (not inner or any(known))):
            cells = [ABSENT if value is None else value for value in values]
            yield label, [cell if isinstance(cell, str) else form.format(cell) for cell in cells]


def _about_labels(metrics: dict[str, Any], learned_from: str) -> str:
    rows = metrics["labeled_rows"]
    drawn = " drawn at random" if rows < metrics["n"] - metrics["unlabeled"] else ""
    about = f"Labels: {metrics['classes']:,} classes in {_count(rows, 'row')}{drawn}"
    if metrics["unlabeled"]:
        about += f", and {metrics['unlabeled']:,} without"
    if metrics["reference_rows"] is None:
        return f"{about}; accuracy in five-fold cross-validation."
    return f"{about}; learned from {metrics['reference_rows']:,} rows of {shortened(learned_from, 40)}."


def health(latent: dict[str, Any], k: int) -> Iterator[str]:
    """Sentences on what is worth knowing of the codes themselves."""
    unused = latent["unused_dimensions"]
    if unused:
        verb = "is" if len(unused) == 1 else "are"
        yield f"{len(unused):,} of {_count(k, 'dimension')} {verb} unused: {listed(unused)}."
    else:
        yield "The one dimension is in use." if k == 1 else f"All {k:,} dimensions are in use."
    if (latent["max_correlation"] or 0) >= ALIKE:
        one, other = latent["most_correlated"]
        yield f"Dimensions {one} and {other} say nearly the same: |r| = {latent['max_correlation']:.3f}."
    kl = latent.get("kl_per_dimension")
    if kl:
        yield (
            f"A code is {sum(kl):.1f} nats from the prior (KL), {min(kl):.2g} to {max(kl):.2g} "
            "in each dimension."
        )
    use = latent.get("codebook_use")
    if use:
        books = "codebook" if len(use) == 1 else f"{len(use):,} codebooks"
        least = "" if len(use) == 1 else f"; of the least used, {min(use):.0%}"
        yield f"{sum(use) / len(use):.0%} of the {books} is in use{least}."


def comparison(error: float, pca: float) -> str:
    """A sentence on which of the two errors is smaller, and by how much."""
    # In scaled units: what is left is float32's rounding.
    if error <= 0 or pca <= 0 or max(error, pca) < 1e-10 or abs(error / pca - 1) < 0.005:
        return "The auto-encoder and PCA keep the same."
    if error < pca:
        return f"The auto-encoder's error is {pca / error:,.2f} times smaller than PCA's."
    return (
        f"PCA's error is {error / pca:,.2f} times smaller than the auto-encoder's: train longer, or use PCA."
    )


def _count(n: int, name: str) -> str:
    return f"{n:,} {name}{'' if n == 1 else 's'}"
