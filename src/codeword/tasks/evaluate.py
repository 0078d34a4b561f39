"""`evaluate`: how good a model is, beside PCA and the rows themselves, in one dictionary."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError, ParameterError
from codeword.data import Data
from codeword.data.labels import Labels, classes_of
from codeword.data.scaling import Moments
from codeword.data.tables import is_table
from codeword.model.fitted import Codec, FittedModel, as_codec
from codeword.tasks.labels import (
    LABEL_METRICS,
    LabelTask,
    check_classes,
    check_reference,
    label_metric,
    one_thread_without_warnings,
)
from codeword.tasks.reconstruction import (
    Errors,
    Floats,
    RowNumbers,
    Scale,
    chunks,
    draw,
    explained_variance,
    flat,
    reconstruct_all,
    scale_of,
    take,
)

__all__ = ["PREFIXES", "Evaluation", "evaluate", "evaluate_rows"]

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

COUNTS = ("labelled_rows", "unlabelled", "reference_rows", "classes")

UNUSED_VARIANCE = 1e-6
"""A variance beside the largest: a spread of less than a thousandth."""

UNUSED_KL = 0.01
NEAREST = 10
MOST_DIMENSIONS = 4096
"""Beyond this many, a matrix of their correlations is no longer made."""


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
        training split, where x is the test split. Without it the labelled rows of x are cross-validated in
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
        - ``labelled_rows``: those that enter the metrics below, drawn if there are more than 10,000;
          ``unlabelled``: rows of x without a label; ``reference_rows``: at most 60,000, or fewer of more than
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
        length, of one class or no classes at all, or there are fewer labelled rows than neighbors need.
    """
    return evaluate_rows(model, x, y, reference, baseline, random_state, progress).metrics


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The metrics of a model, and what came of each row on the way to them.

    Attributes
    ----------
    metrics : dict
        What `evaluate` returns.
    errors, baseline_errors : ndarray of shape (n,), float32
        Mean squared errors of the rows: NaN where no value is known, or where there is no baseline.
    codes : ndarray of shape (m, k)
        Codes of the rows asked for.
    """

    metrics: dict[str, Any]
    errors: NDArray[np.float32]
    baseline_errors: NDArray[np.float32]
    codes: NDArray[Any]


def evaluate_rows(
    model: Codec,
    x: Any,
    y: Any = None,
    reference: Any = None,
    baseline: Codec | str | None = "auto",
    random_state: int | None = 0,
    progress: Callable[[int, int], object] | None = None,
    codes_of: RowNumbers | None = None,
) -> Evaluation:
    """Evaluate as `evaluate` does; keep the errors of all rows and the codes of some, in rising order."""
    codec, pca = _codecs(model, baseline)
    x, y = _rows(model, x, y)
    labels = None if y is None else classes_of(y, x.shape[0])
    if labels is not None:
        check_classes(labels, referenced=reference is not None)
    if reference is not None:
        reference = _reference(model, reference, x, labels)
    seed, n = _seed(random_state), x.shape[0]
    advance = _Progress(progress, n, 0 if labels is None else len(LABEL_METRICS) * len(PREFIXES))

    scale = scale_of(codec)
    errors = [Errors("the model", codec, n, codes_of)]
    errors += [] if pca is None else [Errors("the baseline", pca, n)]
    missing = bool(getattr(codec, "takes_missing", False))
    moments = reconstruct_all(errors, x, scale, missing=missing, advance=advance)
    own = errors[0]
    metrics = {"n": n, "k": own.k, **_error_metrics(errors, moments)}

    represent = _Representations(codec, pca, scale, moments.mean)
    rows = draw(n, max(3, _held(MOST_JUDGED, x, own.k)), seed)
    drawn = x if len(rows) == n else take(x, rows)  # read once for all that needs no more than these
    found = represent(drawn, np.arange(len(rows)), raw=True)
    near = draw(len(rows), MOST_NEAR, seed)
    for prefix in PREFIXES[:2]:
        metrics[f"{prefix}trustworthiness"] = _trustworthiness(found["raw_"], found[prefix], near)
    metrics["latent"] = _latent_metrics(codec, drawn, found[""], own.code_moments)
    advance.step()
    if labels is None:
        metrics |= dict.fromkeys([*COUNTS, *(p + name for name in LABEL_METRICS for p in PREFIXES)])
    else:
        metrics |= _label_metrics(x, labels, reference, represent, (rows, found), seed, advance.step)
    baseline_errors = np.full(n, np.nan, np.float32) if pca is None else errors[1].by_row
    return Evaluation(metrics, own.by_row, baseline_errors, own.kept_codes)


# -- what was asked -----------------------------------------------------------------------------------------


def _codecs(model: Any, baseline: Any) -> tuple[Any, Any]:
    """The model and the baseline that is meant, known to be codecs."""
    if isinstance(baseline, str):
        if baseline != "auto":
            raise ParameterError(
                "The 'baseline' parameter of evaluate must be 'auto', None, or an object with transform and "
                f"inverse_transform. Got {baseline!r} instead."
            )
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
    if len(pair) != 2 or not (isinstance(reference, tuple | Data)):
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
    if _same_rows(x, near):
        raise DataError(
            f"the reference is the {x.shape[0]:,} rows that are judged: whoever learns from them knows the "
            "answers; give other rows, or none"
        )
    known = classes_of(y, near.shape[0], "the reference")
    check_reference(known, labels)
    return near, known


def _same_rows(x: Any, other: Any) -> bool:
    """Whether two sets are alike, as far as a hundred rows tell."""
    if x is other:
        return True
    if x.shape[0] != other.shape[0]:
        return False
    rows = draw(x.shape[0], 100, 0)
    return np.array_equal(flat(take(x, rows)), flat(take(other, rows)), equal_nan=True)


def _seed(random_state: Any) -> int:
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if not isinstance(random_state, int | np.integer) or not 0 <= random_state < 2**32:
        raise ParameterError(
            "The 'random_state' parameter of evaluate must be a whole number from 0 to 4294967295, or None. "
            f"Got {random_state!r} instead."
        )
    return int(random_state)


def _held(most: int, x: Any, k: int = 1) -> int:
    """The number `most` of rows, or fewer where so many values would fill the memory."""
    return int(min(most, MOST_VALUES // max(k, math.prod(x.shape[1:]))))


class _Progress:
    """Progress in rows: a step for each metric of those that are drawn counts as many as these."""

    def __init__(self, progress: Callable[[int, int], object] | None, n: int, steps: int) -> None:
        self.progress = progress
        self.done = 0
        self.drawn = min(n, MOST_JUDGED)
        self.total = n + self.drawn * (1 + steps)
        self(0)

    def __call__(self, rows: int) -> None:
        self.done += rows
        if self.progress is not None:
            self.progress(self.done, self.total)

    def step(self) -> None:
        """Advance by one metric."""
        self(self.drawn)


# -- parts of the dictionary --------------------------------------------------------------------------------


def _error_metrics(errors: list[Errors], moments: Moments) -> dict[str, float | None]:
    metrics: dict[str, Callable[[Errors], float | None]] = {
        "mse": lambda one: one.mse,
        "explained_variance": lambda one: explained_variance(one, moments),
        "worst_decile_mse": lambda one: one.worst_decile_mse,
    }
    by_prefix = dict(zip(PREFIXES, errors, strict=False))
    return {
        prefix + name: metric(by_prefix[prefix]) if prefix in by_prefix else None
        for name, metric in metrics.items()
        for prefix in PREFIXES[:2]
    }


class _Representations:
    """Rows as codes of the model, as codes of the baseline, and as they are: by prefix, absent ones None.

    `center` (d,) is taken off raw rows in scaled units, which then keep their differences in float32.
    """

    def __init__(self, model: Codec, baseline: Codec | None, scale: Scale, center: Floats) -> None:
        self.codecs = {"": model, "pca_": baseline}
        self.scale = scale
        self.center = center

    def __call__(self, x: Any, rows: RowNumbers, *, raw: bool) -> dict[str, NDArray[Any] | None]:
        """Return the codes (n, k) float64 and, if `raw`, the values (n, d) float32 of some rows of `x`.

        Raw rows are absent where a value among them is missing.
        """
        found: dict[str, list[NDArray[Any]]] = {prefix: [] for prefix in PREFIXES}
        for _, some in chunks(x, rows):
            for prefix, codec in self.codecs.items():
                if codec is not None:
                    found[prefix].append(flat(codec.transform(some)))
            if raw:
                found["raw_"].append((self.scale(some) - self.center).astype(np.float32))
        joined = {prefix: np.concatenate(parts) if parts else None for prefix, parts in found.items()}
        values = joined["raw_"]
        if values is not None and not np.isfinite(values).all():
            joined["raw_"] = None
        return joined


def _label_metrics(
    x: Any,
    labels: Labels,
    reference: tuple[Any, Labels] | None,
    represent: _Representations,
    drawn: tuple[RowNumbers, dict[str, NDArray[Any] | None]],
    seed: int,
    step: Callable[[], None],
) -> dict[str, Any]:
    """Counts of labels, and each of LABEL_METRICS by prefix; `drawn` are rows whose codes are known."""
    known = labels.known
    rows = known[draw(len(known), MOST_JUDGED, seed)]
    raw = math.prod(x.shape[1:]) <= MOST_RAW_FEATURES
    if np.array_equal(rows, drawn[0]):
        judged = drawn[1] if raw else drawn[1] | {"raw_": None}
    else:
        judged = represent(x, rows, raw=raw)
    learned: dict[str, NDArray[Any] | None] = dict.fromkeys(PREFIXES)
    y_reference = None
    if reference is not None:
        x_reference, their = reference
        most = _held(MOST_REFERENCE, x) if raw else MOST_REFERENCE
        near = their.known[draw(len(their.known), most, seed)]
        learned = represent(x_reference, near, raw=raw)
        y_reference = their.into(labels.names)[near]
        judged = {prefix: None if learned[prefix] is None else judged[prefix] for prefix in PREFIXES}
    classes = len(labels.names)
    m = None if y_reference is None else len(y_reference)
    found = dict(zip(COUNTS, (len(rows), x.shape[0] - len(known), m, classes), strict=True))
    task = LabelTask(labels.index[rows], classes, y_reference, seed)
    with one_thread_without_warnings():
        for name in LABEL_METRICS:
            for prefix in PREFIXES:
                found[prefix + name] = label_metric(name, task, judged[prefix], learned[prefix])
                step()
    return found


# -- codes --------------------------------------------------------------------------------------------------


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


def _trustworthiness(raw: Any, codes: Any, near: RowNumbers) -> float | None:
    """How far neighbors in `codes` are neighbors in `raw` rows too: 1 is all, about 0.5 chance.

    Venna and Kaski (2001), "Neighborhood preservation in nonlinear projection methods", equation 2, with ten
    neighbors or, of fewer than 22 rows, as many as it is defined for; None of fewer than three rows.
    """
    neighbors = min(NEAREST, (len(near) - 1) // 2)
    if raw is None or codes is None or neighbors < 1:
        return None
    from sklearn.manifold import trustworthiness

    return float(trustworthiness(raw[near], codes[near], n_neighbors=neighbors))
