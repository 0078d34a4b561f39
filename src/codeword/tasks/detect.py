"""Rows unlike those a model was trained on, with p-values that mean what they say."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from codeword.base.errors import DataError, ModelError, ParameterError, check_parameter
from codeword.data import Data
from codeword.data.columns import fitted_columns
from codeword.data.rows import Rows, blocks, check_finite
from codeword.model.autoencoder import AutoEncoder
from codeword.model.fitted import collect
from codeword.model.inputs import (
    check_feature_names,
    matching_rows,
    mixed_table,
    training_data,
)
from codeword.tasks.scores import Scorer, needed, p_values, reachable, threshold, too_few

__all__ = ["OutlierDetector", "OutlierScores"]

MOST_COMPONENTS = 8
"""Of the default model: a narrow code leaves what is unusual out of the reconstruction."""

MOST_CALIBRATION = 10_000
"""Rows to calibrate on, unless the level asked for needs more."""

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OutlierScores:
    """What a detector says of n rows.

    Parameters
    ----------
    errors : ndarray of shape (n,), float64
        Mean squared error of the reconstruction, in scaled units.
    rarity : ndarray of shape (n,), float64
        Mean squared distance to the nearest known codes, in scaled units of the reconstruction.
    scores : ndarray of shape (n,), float64
        Low is unusual; usual rows are above -1, as a rule.
    p_values : ndarray of shape (n,), float64
    features : ndarray of shape (n, top), int64
        The features of the flat row that share most in its squared error, most first; of a mixed table its
        own columns, by their place in `columns_.names`.
    shares : ndarray of shape (n, top), float32
        The share of each.
    """

    errors: Values
    rarity: Values
    scores: Values
    p_values: Values
    features: NDArray[np.int64]
    shares: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: Sequence[OutlierScores]) -> OutlierScores:
        """Those of one set of rows after the other."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))


class OutlierDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Detect rows that are unlike those it was fitted on.

    A row is unusual if its reconstruction is poor, or its code is far from all others. The error e is the
    squared distance from the row to what the decoder made of it, the rarity r that from there to what it made
    of other rows; with e₀ and r₀, what nine in ten rows trained on stay below, the score is
    -(e / e₀ + r / r₀) / 2.

    Parameters
    ----------
    model : AutoEncoder or None, default=None
        Cloned and fitted. None takes an AutoEncoder with a code of half as many numbers as features, eight
        at most.
    contamination : "auto" or float in (0, 0.5], default="auto"
        `auto` calls a row an outlier where its p-value is at most `max_false_alarms`. A number is the share
        of the rows fitted on that `predict` then calls outliers.
    max_false_alarms : float in (0, 1), default=0.01
        The share of usual rows that may be called outliers.
    calibration_fraction : float in (0, 1), default=0.2
        Rows held out from the model to calibrate on: 10,000 at most, and where there are enough, so many that
        a p-value as small as `max_false_alarms` exists.
    n_neighbors : int, default=5
        Known codes that the distance is taken to.
    random_state : int, RandomState or None, default=None
        Draws the rows to calibrate on, and the model's seed if it has none.

    Attributes
    ----------
    model_ : AutoEncoder
    offset_ : float
        `decision_function` is `score_samples` minus this.
    calibration_scores_ : ndarray of shape (n_calibration,), float64
        In ascending order.
    calibration_indices_ : ndarray of shape (n_calibration,), int64
        Which rows of X of `fit` they are of; not after `from_model`.
    sample_shape_ : tuple of int
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X had column names.
    columns_ : Columns
        Where X was a mixed table, those of `model_`.

    Notes
    -----
    With the scores s₁ … sₙ of n calibration rows, the p-value of a row with score s is the conformal one of
    Vovk, Gammerman & Shafer (2005), "Algorithmic learning in a random world", chapter 2, for one split as in
    Bates et al. (2023), "Testing for outliers with conformal p-values":

    p = (1 + #{i : sᵢ ≤ s}) / (n + 1).

    If the row and the calibration rows are exchangeable given the model, as independent draws from one
    distribution are, P(p ≤ a) ≤ a for every a, whatever the model and the distribution. The probability is
    over the calibration rows too: with those at hand and no ties, the share of false alarms at the level a
    is Beta(m, n + 1 - m) distributed, m = ⌊a (n + 1)⌋, within about √(a (1 - a) / n) of a.

    Examples
    --------
    >>> import numpy as np
    >>> from codeword import AutoEncoder, OutlierDetector
    >>> x = np.random.default_rng(0).normal(size=(600, 1)) * [1, 2, 3, 4]
    >>> detector = OutlierDetector(AutoEncoder(1, epochs=2), random_state=0).fit(x)
    >>> detector.predict([[1, 2, 3, 4], [1, 2, -3, 4]])
    array([ 1, -1])
    """

    def __init__(
        self,
        model: AutoEncoder | None = None,
        *,
        contamination: float | str = "auto",
        max_false_alarms: float = 0.01,
        calibration_fraction: float = 0.2,
        n_neighbors: int = 5,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.contamination = contamination
        self.max_false_alarms = max_false_alarms
        self.calibration_fraction = calibration_fraction
        self.n_neighbors = n_neighbors
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> OutlierDetector:
        """Fit the model to some of the rows, and calibrate on the others.

        Parameters
        ----------
        X : Data, ndarray, memory map, tensor or DataFrame of shape (n, ...)
            Mostly usual rows, two at least. They are brought into memory; for more than that, fit an
            AutoEncoder and take `from_model`.
        y : ignored

        Returns
        -------
        self
            With a warning if the rows are too few for any to be called an outlier.

        Raises
        ------
        DataError, ParameterError
        TrainingError
            If the training of the model diverged.
        """
        _check_parameters(self)
        random = check_random_state(self.random_state)
        model = AutoEncoder(1) if self.model is None else clone(self.model)
        seed = int(random.randint(2**31 - 1))
        if model.random_state is None:
            model.random_state = seed
        table = mixed_table(X)
        if table is None:
            X = training_data(X)
        n = len(X)
        held = _calibration_size(n, self.calibration_fraction, self.max_false_alarms)
        self.calibration_indices_ = np.sort(random.permutation(n)[:held]).astype(np.int64)
        if table is not None:  # what makes numbers of it must not know the rows to calibrate on
            known = fitted_columns(table.take(np.delete(np.arange(n), self.calibration_indices_)))
            X = training_data(known.transform(table))
        if self.model is None:
            d = math.prod(X.sample_shape)
            model.n_components = min(MOST_COMPONENTS, -(-d // 2))
        train, calibration = _parted(
            X, self.calibration_indices_, missing=model.takes_missing or X.columns is not None
        )
        self._adopt(model.fit(train))
        self._calibrate(self._scorer.scores(calibration.x))
        if self.contamination == "auto":
            if not reachable(self.max_false_alarms, held):
                warnings.warn(too_few(self.max_false_alarms, held), stacklevel=2)
        else:
            self.offset_ = _cut(self._scorer.scores(X), float(self.contamination))
        return self

    @classmethod
    def from_model(
        cls,
        model: AutoEncoder,
        calibration: Any = None,
        *,
        max_false_alarms: float = 0.01,
        n_neighbors: int = 5,
    ) -> OutlierDetector:
        """A detector from a model that is fitted already.

        Parameters
        ----------
        model : AutoEncoder
            Fitted or loaded. It is neither copied nor changed.
        calibration : Data, array-like of shape (n, ...) or None, default=None
            Usual rows that the model has not seen, of any number. None takes the rows that it held out from
            training. Those also chose the epoch whose weights were kept, so that its p-values can be a little
            too small.
        max_false_alarms : float in (0, 1), default=0.01
        n_neighbors : int, default=5

        Returns
        -------
        OutlierDetector
            Fitted.

        Raises
        ------
        DataError
            If the calibration rows do not fit the model.
        ModelError
            If the model has no codes of the rows it was trained on, or there is nothing to calibrate on.
        ParameterError
            If the calibration rows are too few for `max_false_alarms`.
        """
        detector = cls(model, max_false_alarms=max_false_alarms, n_neighbors=n_neighbors)
        _check_parameters(detector)
        if model is None:
            raise ParameterError("from_model takes a fitted AutoEncoder. Got None instead.")
        check_is_fitted(model)
        detector._adopt(model)
        if calibration is not None:
            scores = detector.score_samples(calibration)
        else:
            scores = detector._scorer.held_scores()
            if not len(scores):
                raise ModelError(
                    "this model held no rows out from training, to judge others by: give usual rows that it "
                    "has not seen, with calibration= (--calibrate SOURCE)"
                )
        if not reachable(max_false_alarms, len(scores)):
            raise ParameterError(too_few(max_false_alarms, len(scores)))
        detector._calibrate(scores)
        return detector

    def score_samples(self, X: Any) -> Values:
        """How usual each row is, shape (n,), float64: above -1 where usual, as a rule, and low where not."""
        check_is_fitted(self)
        return self._scorer.scores(self._rows(X))

    def decision_function(self, X: Any) -> Values:
        """`score_samples` minus `offset_`, shape (n,), float64: below 0 for outliers."""
        check_is_fitted(self)
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """-1 for outliers and 1 for the other rows, shape (n,), int64."""
        return np.where(self.decision_function(X) < 0, -1, 1).astype(np.int64)

    def p_values(self, X: Any) -> Values:
        """The conformal p-value of each row, shape (n,), float64: small is unusual.

        Of rows exchangeable with the calibration rows, at most a share a is expected to have p ≤ a: see the
        class's notes.
        """
        check_is_fitted(self)
        return p_values(self.calibration_scores_, self.score_samples(X))

    def contributions(self, X: Any) -> NDArray[np.float32]:
        """The share of each value in the squared error of its row, shape (n, ...) as X, float32.

        Errors are taken in scaled units. Shares of a row sum to 1, or are all 0 where nothing is off. Of a
        mixed table there is one for each of its own columns, (n, number of them): see `columns_.names`.
        """
        check_is_fitted(self)
        x, scorer = self._rows(X), self._scorer
        each = (scorer.shares(scaled, x_hat) for scaled, x_hat, _, _ in scorer.rows(x))
        flat = collect(each, len(x), (scorer.parts,))
        return flat if hasattr(self, "columns_") else flat.reshape(len(x), *self.sample_shape_)

    def explain(self, X: Any, *, top: int = 3) -> OutlierScores:
        """All there is to say of each row, in one pass; `top` features that contribute most to its error."""
        return OutlierScores.joined(list(self.scan(X, top=top)))

    def scan(self, X: Any, *, top: int = 3) -> Iterator[OutlierScores]:
        """What `explain` says, of a bounded number of rows at a time, in order: X may be larger than memory.

        Raises
        ------
        DataError
            If X does not fit; of values that are not finite, once they are reached.
        """
        check_is_fitted(self)
        if not _whole(top) or top < 0:
            raise ParameterError(f"top must be a whole number, zero or more. Got {top!r} instead.")
        return self._scan(self._rows(X), min(top, self.features))

    @property
    def features(self) -> int:
        """How many features can be named: the values of a row or, of a mixed table, its own columns."""
        return self._scorer.parts

    def _scan(self, x: Rows, top: int) -> Iterator[OutlierScores]:
        for scaled, x_hat, errors, rarity in self._scorer.rows(x):
            most, features = self._scorer.shares(scaled, x_hat).topk(top, dim=1)
            scores = self._scorer.combined(errors, rarity)
            p = p_values(self.calibration_scores_, scores)
            yield OutlierScores(errors, rarity, scores, p, features.cpu().numpy(), most.cpu().numpy())

    def _rows(self, X: Any) -> Rows:
        check_feature_names(self, X)
        return matching_rows(self.model_.model_, X, who=type(self).__name__)

    # -- fitting --------------------------------------------------------------------------------------------

    def _adopt(self, model: AutoEncoder) -> None:
        """Score by a fitted model."""
        self._scorer = Scorer(model.model_, self.n_neighbors)
        self.model_ = model
        self.sample_shape_, self.n_features_in_ = model.sample_shape_, model.n_features_in_
        if hasattr(model, "feature_names_in_"):
            self.feature_names_in_ = model.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if hasattr(model, "columns_"):
            self.columns_ = model.columns_
        elif hasattr(self, "columns_"):
            del self.columns_

    def _calibrate(self, scores: Values) -> None:
        self.calibration_scores_ = np.sort(scores)
        self.offset_ = threshold(self.calibration_scores_, self.max_false_alarms)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags


def _calibration_size(n: int, fraction: float, level: float) -> int:
    """How many of n rows to calibrate on; at least half are left to train on where there are two."""
    if n < 2:
        raise DataError("x has 1 sample: give at least 2, one to train on and one to calibrate on")
    least = needed(level)
    wanted = min(round(n * fraction), max(MOST_CALIBRATION, least))
    return min(max(1, wanted, min(least, n // 2)), n - 1)


def _parted(data: Data, chosen: NDArray[np.int64], *, missing: bool) -> tuple[Data, Data]:
    """The other rows and the chosen ones, each in memory and under the columns' names."""
    mask = np.zeros(len(data), dtype=bool)
    mask[chosen] = True
    parts: tuple[list[Any], list[Any]] = [], []
    for start, block in blocks(data.x):
        # Here, where the number of a row in the whole is known.
        check_finite(block, start, missing=missing)
        here = mask[start : start + len(block)]
        parts[0].append(block[~here])
        parts[1].append(block[here])
    train, calibration = (replace(data, x=np.concatenate(p), y=None, missing=missing) for p in parts)
    return train, calibration


def _cut(scores: Values, share: float) -> float:
    """Between the scores of so large a share of rows, the lowest, and all others."""
    ordered, n = np.sort(scores), round(share * len(scores))
    if not n:
        return float(ordered[0])
    return float(max((ordered[n - 1] + ordered[n]) / 2, np.nextafter(ordered[n - 1], math.inf)))


def _whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _check_parameters(detector: OutlierDetector) -> None:
    """Raise a ParameterError that names the first parameter with a value it cannot have."""

    must = partial(check_parameter, detector)

    def between(value: Any, most: float) -> bool:
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return real and 0 < float(value) <= most

    below_one = math.nextafter(1, 0)
    must("model", detector.model is None or isinstance(detector.model, AutoEncoder), "an AutoEncoder or None")
    share = detector.contamination
    must("contamination", share == "auto" or between(share, 0.5), "'auto' or a number above 0, up to 0.5")
    for name in ("max_false_alarms", "calibration_fraction"):
        must(name, between(getattr(detector, name), below_one), "a number above 0 and below 1")
    must("n_neighbors", _whole(detector.n_neighbors) and detector.n_neighbors > 0, "a positive integer")
    seed = detector.random_state
    good = seed is None or isinstance(seed, np.random.RandomState)
    good |= _whole(seed) and 0 <= int(seed) < 1 << 32
    must("random_state", good, "an integer from 0 up to, not including, 2**32, a RandomState or None")
