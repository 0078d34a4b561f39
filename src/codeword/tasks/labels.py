"""How well labels can be told from codes, from PCA's, and from the rows themselves, by the same means."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.text import listed
from codeword.data.labels import Labels

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

__all__ = [
    "LABEL_METRICS",
    "LabelTask",
    "check_classes",
    "check_reference",
    "clustering_metrics",
    "nearest_neighbors",
]

NEIGHBORS = 5
FOLDS = 5
KMEANS_STARTS = 10
"""With one, the error of k-means differs by some per cent from seed to seed."""

MOST_WORK = 2**32
"""Products in one step of logistic regression over all folds: about a second of one core."""

MOST_MIXTURE_WORK = 2**31
"""The same for a mixture, whose steps are up to a hundred too."""

Classes = NDArray[np.int64]
Values = NDArray[Any]


# -- which labels can be judged -----------------------------------------------------------------------------


def check_classes(labels: Labels, what: str = "x", *, referenced: bool) -> None:
    """Make sure that classes can be told apart on rows with these labels.

    Raises
    ------
    DataError
        If all labels are missing, there is one class only, the labels are no classes, or rows are too few for
        neighbors, which with `referenced` are looked for elsewhere.
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
            f"there are {n} labelled rows, fewer than {2 * NEIGHBORS}: {NEIGHBORS} nearest neighbors in "
            "cross-validation need as many; give more, or a reference to learn from, or judge without labels"
        )
    most = max(2, min(labels.most, n // 2))
    if c > most:
        raise DataError(
            f"the labels take {c:,} different values in {n:,} rows ({listed(labels.names, 3)}), more than "
            f"{most:,}: these are no classes; give labels that are, or judge without"
        )


def check_reference(labels: Labels, judged: Labels, what: str = "the reference") -> None:
    """Make sure that classes can be learned from rows with these labels.

    Raises
    ------
    DataError
        If they are fewer than neighbors, of one class only, or share no class with the rows judged.
    """
    n = len(labels.known)
    if n < NEIGHBORS:
        raise DataError(
            f"{what} has {n} labelled rows, fewer than the {NEIGHBORS} nearest neighbors: give more"
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


# -- metrics ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LabelTask:
    """Classes to be predicted, and the rows to learn them from.

    Attributes
    ----------
    y : ndarray of shape (n,), int64
        The class of each row that is judged, from 0; there are `n_classes` of them.
    y_reference : ndarray of shape (m,), int64, or None
        The class of each row to learn from; with None the rows judged are split into five folds, alike for
        every class, and each fold is judged by what the other four teach.
    seed : int
        Of the folds, and of the starts of k-means and the mixture.
    """

    y: Classes
    n_classes: int
    y_reference: Classes | None
    seed: int

    def splits(
        self, x: Values, reference: Values | None
    ) -> Iterator[tuple[Values, Classes, Values, Classes]]:
        """Give rows to learn from and rows to judge, each followed by its classes."""
        if reference is not None and self.y_reference is not None:
            yield reference, self.y_reference, x, self.y
            return
        from sklearn.model_selection import StratifiedKFold

        folds = min(FOLDS, int(np.bincount(self.y).max()))
        for near, far in StratifiedKFold(folds, shuffle=True, random_state=self.seed).split(x, self.y):
            yield x[near], self.y[near], x[far], self.y[far]

    def accuracy(self, classifier: ClassifierMixin, x: Values, reference: Values | None) -> float:
        """Return the share of the rows `x` whose class is predicted rightly."""
        right = 0
        for near, y_near, far, y_far in self.splits(x, reference):
            alone = np.all(y_near == y_near[0])  # the one row of a class is in the fold that is judged
            right += int((y_far == (y_near[0] if alone else classifier.fit(near, y_near).predict(far))).sum())
        return right / len(self.y)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep scikit-learn's advice from the user, and its small matrix products on one thread.

    Threads that wait for each other by spinning made logistic regression on 16 numbers seventy times slower
    on two cores of which one was busy; alone, the metrics do not depend on the number of cores either.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        # A step limit that is reached, a class with fewer rows than folds, fewer distinct rows than clusters:
        # the metric shows what came of it.
        warnings.simplefilter("ignore", UserWarning)
        yield


@_alone()
def nearest_neighbors(task: LabelTask, x: Values, reference: Values | None) -> float:
    """The accuracy of the class that most of the 5 nearest rows to learn from have."""
    from sklearn.neighbors import KNeighborsClassifier

    return task.accuracy(KNeighborsClassifier(NEIGHBORS, algorithm="brute"), x, reference)


@_alone()
def _linear_probe(task: LabelTask, x: Values, reference: Values | None) -> float | None:
    rows = len(x) * (FOLDS - 1) if reference is None else len(reference)
    if rows * x.shape[1] * task.n_classes > MOST_WORK:
        return None
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return task.accuracy(make_pipeline(StandardScaler(), LogisticRegression(max_iter=100)), x, reference)


@_alone()
def _k_means(task: LabelTask, x: Values, reference: Values | None) -> dict[str, float]:
    from sklearn.cluster import KMeans

    starts = max(1, min(KMEANS_STARTS, 20 * KMEANS_STARTS // task.n_classes))
    clusters = KMeans(task.n_classes, n_init=starts, random_state=task.seed).fit_predict(x)
    return clustering_metrics(task.y, clusters)


@_alone()
def _mixture(task: LabelTask, x: Values, reference: Values | None) -> dict[str, float] | None:
    n, k = x.shape
    # The covariance matrix of fewer rows than columns is singular.
    if task.n_classes * k > n or n * k**2 * task.n_classes > MOST_MIXTURE_WORK:
        return None
    from sklearn.mixture import GaussianMixture

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
    """Compare clusters with classes, whatever the clusters are called.

    Parameters
    ----------
    y, clusters : ndarray of shape (n,), int

    Returns
    -------
    dict
        - ``accuracy``: the share of rows whose cluster is matched with their class, under the one-to-one
          matching that makes it largest (Kuhn 1955, "The Hungarian method").
        - ``nmi``: normalized mutual information, arithmetic mean.
        - ``ari``: the adjusted Rand index (Hubert and Arabie 1985): 1 is the same partition, 0 is chance.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    table = contingency_matrix(y, clusters)
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    return {
        "accuracy": float(matched / len(y)),
        "nmi": float(normalized_mutual_info_score(y, clusters)),
        "ari": float(adjusted_rand_score(y, clusters)),
    }
