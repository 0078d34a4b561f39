"""`evaluate`: everything that can be said of a model, in one dictionary."""

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
from codeword.tasks.codecs import (
    Codec,
    Rows,
    as_numbers,
    as_rows,
    chosen_baseline,
    draw,
    flat,
    nameless,
    scale_of,
    take,
)
from codeword.tasks.labels import (
    LABEL_METRICS,
    LabelTask,
    check_classes,
    check_reference,
    label_metric,
    one_thread_without_warnings,
)
from codeword.tasks.latent import correlations, trustworthiness_of, unused_dimensions
from codeword.tasks.reconstruction import Judged, Moments, reconstruct_all
from codeword.tasks.views import MOST_VALUES, VIEWS, Views

__all__ = ["Evaluation", "evaluate", "evaluate_rows"]

MOST_JUDGED = 10_000
MOST_REFERENCE = 60_000
MOST_NEAR = 2_000
"""Rows whose neighbours are compared: each with each."""

COUNTS = ("labelled_rows", "unlabelled", "reference_rows", "classes")
MOST_RAW_FEATURES = 4_096
"""Beyond this many, accuracies on the rows themselves are not taken."""


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
    """Judge a model on rows `x`, and PCA and the rows themselves beside it through the same code.

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
        Fit for JSON, always with the same keys; None for what is absent or undefined. Of a figure the name
        alone is the model's, ``pca_…`` the baseline's, and ``raw_…`` that of the rows in scaled units.

        - ``n``: the number of rows; ``k``: numbers in a code.
        - ``mse``: mean squared error over rows and features; ``worst_decile_mse``: the same over the tenth of
          the rows that come out worst, which the model and the baseline each have of their own.
        - ``explained_variance``: one minus the squared error over the squared distance of `x` to its mean,
          both in the same units; None where `x` does not vary or values are missing.
        - ``trustworthiness``: how far neighbours in codes are neighbours in x (Venna and Kaski 2001), from
          ten neighbours of 2,000 rows; None of two rows, or where values are missing.
        - ``latent``: ``unused_dimensions``, the columns of codes with less than 0.01 nats of KL where the
          model tells that, or with less than a millionth of the largest variance; ``max_correlation``, the
          largest |r| of two columns in use, these being ``most_correlated``; ``mean_correlation``, its
          mean over all pairs; and what `model.latent_metrics` has to say, such as ``kl_per_dimension`` and
          ``codebook_use``.
        - ``labelled_rows``: those that enter the figures below, drawn if there are more than 10,000;
          ``unlabelled``: rows of x without a label; ``reference_rows``: at most 60,000, or fewer of more than
          1,118 features; ``classes``: their number.
        - ``knn_accuracy``: of the 5 nearest neighbours; ``linear_accuracy``: of logistic regression on
          standardised columns, None where it would take minutes (rows, columns and classes multiply to more
          than 2³²).
        - ``clustering``: k-means with as many clusters as classes, as ``accuracy`` by the best matching of
          clusters with classes, ``nmi`` and ``ari``; ``mixture``: the same of a Gaussian mixture with full
          covariances, None where clusters have fewer rows than columns, or would take minutes.

        The ``raw_…`` figures are None above 4,096 features, and where values are missing.

    Raises
    ------
    ParameterError
        If `model` or `baseline` cannot transform and inverse_transform, `reference` is not rows and labels or
        comes without labels of `x`, or `random_state` is no seed.
    DataError
        If `x` has no rows, a reconstruction is not finite or does not fit its row, labels are of another
        length, of one class or no classes at all, or there are fewer labelled rows than neighbours need.
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
    codes_of: Rows | None = None,
) -> Evaluation:
    """Evaluate as `evaluate` does; keep the errors of all rows and the codes of some, in rising order."""
    baseline = chosen_baseline(model, baseline)
    model = nameless(model, x)
    x, y = _apart(x, y)
    if isinstance(reference, tuple) and len(reference) == 2:
        reference = as_numbers(model, reference[0])[1], reference[1]
    model, x = as_numbers(model, x)
    x = as_rows(x)
    lesson = _lesson(x, y, reference)
    seed = _seed(random_state)
    scale = scale_of(model)
    n = x.shape[0]
    told = _Told(progress, n, 0 if lesson is None else len(LABEL_METRICS) * len(VIEWS))

    own = Judged("the model", model, n, codes_of)
    pca = None if baseline is None else Judged("the baseline", baseline, n)
    judged = [own] if pca is None else [own, pca]
    missing = bool(getattr(model, "takes_missing", False))
    moments = reconstruct_all(judged, x, scale, missing=missing, advance=told.advance)
    views = Views(model, baseline, scale, moments.mean)
    figures: dict[str, Any] = {"n": n, "k": own.k}
    errors, of_pca = _errors(own, moments), _errors(pca, moments)
    figures |= {view + name: each[name] for name in errors for view, each in (("", errors), ("pca_", of_pca))}
    drawn = _Drawn(x, draw(n, max(3, _held(MOST_JUDGED, x, own.k)), seed), views)
    near = draw(len(drawn.rows), MOST_NEAR, seed)
    figures |= {f"{view}trustworthiness": drawn.trustworthiness(view, near) for view in VIEWS[:2]}
    figures["latent"] = _latent(model, drawn, own)
    told.step()
    figures |= _labelled(lesson, x, views, drawn, seed, told)
    baseline_errors = np.full(n, np.nan, np.float32) if pca is None else pca.errors
    return Evaluation(figures, own.errors, baseline_errors, own.kept_codes)


def _held(most: int, x: Any, k: int = 1) -> int:
    """At most so many rows, or fewer of so many values that they would fill the memory."""
    return int(min(most, MOST_VALUES // max(k, math.prod(x.shape[1:]))))


# -- parts of the dictionary --------------------------------------------------------------------------------


def _errors(one: Judged | None, moments: Moments) -> dict[str, float | None]:
    return {
        "mse": None if one is None else one.mse,
        "explained_variance": None if one is None else moments.explained(one.squared_error),
        "worst_decile_mse": None if one is None else one.worst_decile_mse,
    }


class _Drawn:
    """Some rows of x, read once for all that needs no more than these."""

    def __init__(self, x: Any, rows: Rows, views: Views) -> None:
        self.rows = rows
        self.x = x if len(rows) == x.shape[0] else take(x, rows)
        self.views = views.of(self.x, np.arange(len(rows)), raw=True)

    def trustworthiness(self, view: str, near: Rows) -> float | None:
        raw, codes = self.views["raw_"], self.views[view]
        return None if raw is None or codes is None else trustworthiness_of(raw[near], codes[near])


def _latent(model: Any, drawn: _Drawn, own: Judged) -> dict[str, Any]:
    asked = getattr(model, "latent_metrics", None)
    more = dict(asked(drawn.x)) if callable(asked) else {}
    unused = unused_dimensions(own.codes, more.get("kl_per_dimension"))
    codes = drawn.views[""]
    assert codes is not None
    return {"unused_dimensions": unused, **correlations(codes, unused), **more}


def _labelled(
    lesson: Lesson | None, x: Any, views: Views, drawn: _Drawn, seed: int, told: _Told
) -> dict[str, Any]:
    if lesson is None:
        names = [view + name for name in LABEL_METRICS for view in VIEWS]
        return dict.fromkeys([*COUNTS, *names])
    known = lesson.labels.known
    rows = known[draw(len(known), MOST_JUDGED, seed)]
    raw = math.prod(x.shape[1:]) <= MOST_RAW_FEATURES
    if np.array_equal(rows, drawn.rows):
        judged = drawn.views if raw else drawn.views | {"raw_": None}
    else:
        judged = views.of(x, rows, raw=raw)
    learned: dict[str, NDArray[Any] | None] = dict.fromkeys(VIEWS)
    y_reference = None
    if lesson.reference is not None:
        x_reference, labels = lesson.reference
        near = labels.known[
            draw(len(labels.known), _held(MOST_REFERENCE, x) if raw else MOST_REFERENCE, seed)
        ]
        learned = views.of(x_reference, near, raw=raw)
        y_reference = labels.into(lesson.labels.names)[near]
        judged = {view: values if learned[view] is not None else None for view, values in judged.items()}
    classes = len(lesson.labels.names)
    m = None if y_reference is None else len(y_reference)
    found = dict(zip(COUNTS, (len(rows), x.shape[0] - len(known), m, classes), strict=True))
    task = LabelTask(lesson.labels.index[rows], classes, y_reference, seed)
    with one_thread_without_warnings():
        for name in LABEL_METRICS:
            for view in VIEWS:
                found[view + name] = label_metric(name, task, judged[view], learned[view])
                told.step()
    return found


# -- what was asked -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lesson:
    """The labels of x and, where they are not learned from x itself, other rows and theirs."""

    labels: Labels
    reference: tuple[Any, Labels] | None


def _apart(rows: Any, y: Any) -> tuple[Any, Any]:
    if isinstance(rows, Data):
        return rows.x, rows.y if y is None else y
    return rows, y


def _lesson(x: Any, y: Any, reference: Any) -> Lesson | None:
    """Check labels before anything is computed."""
    if y is None:
        if reference is not None:
            raise ParameterError(
                "The 'reference' parameter of evaluate needs labels of x to judge what is learned: give y."
            )
        return None
    labels = classes_of(y, x.shape[0])
    check_classes(labels, referenced=reference is not None)
    if reference is None:
        return Lesson(labels, None)
    pair = (reference.x, reference.y) if isinstance(reference, Data) else reference
    if not (isinstance(pair, tuple) and len(pair) == 2):
        raise ParameterError(
            "The 'reference' parameter of evaluate must be rows and their labels, (x, y), or a Data. Got "
            f"{type(reference).__name__} instead."
        )
    near = as_rows(pair[0], "the reference")
    if math.prod(near.shape[1:]) != math.prod(x.shape[1:]):
        raise DataError(
            f"the reference has rows of shape {tuple(near.shape[1:])}, and x has rows of shape "
            f"{tuple(x.shape[1:])}: give both the same"
        )
    if pair[1] is None:
        raise DataError(f"the reference has no labels: give one for each of its {near.shape[0]:,} rows")
    if _same_rows(x, near):
        raise DataError(
            f"the reference is the {x.shape[0]:,} rows that are judged: whoever learns from them knows the "
            "answers; give other rows, or none"
        )
    known = classes_of(pair[1], near.shape[0], "the reference")
    check_reference(known, labels)
    return Lesson(labels, (near, known))


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


class _Told:
    """How far the figures are: a step for each of them counts as so many rows."""

    def __init__(self, progress: Callable[[int, int], object] | None, n: int, steps: int) -> None:
        self.progress = progress
        self.done = 0
        self.rows = min(n, MOST_JUDGED)
        self.total = n + self.rows * (1 + steps)
        self.advance(0)

    def advance(self, rows: int) -> None:
        """Go so many rows on."""
        self.done += rows
        if self.progress is not None:
            self.progress(self.done, self.total)

    def step(self) -> None:
        """Go one figure on."""
        self.advance(self.rows)
