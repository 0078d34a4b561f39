"""Rows unlike those a model was trained on, with p-values that mean what they say."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from codeword.base.constraints import AUTO, COUNT, FRACTION, Constraint, check, either, real, seed_of, whole
from codeword.base.errors import DataError, ModelError, ParameterError
from codeword.data.columns import fitted_columns
from codeword.data.rows import Rows, blocks, check_finite
from codeword.data.tables import mixed_table
from codeword.model.autoencoder import AutoEncoder
from codeword.model.fitted import collect
from codeword.model.inputs import check_feature_names, matching_rows, training_data
from codeword.training.steps import mean_squared_error

MOST_COMPONENTS = 8
"""The most numbers in a code of the default model: a narrow code leaves out what is unusual."""

MOST_CALIBRATION = 10_000
"""Rows to calibrate on, unless the level asked for needs more."""

TREE_UP_TO = 6
"""With so many numbers in a code a tree finds neighbors sooner than a look at every row."""

TYPICAL_ROWS = 2_000
"""The number of rows that tell what distance is typical."""

ROUNDING = 1e-12
"""A mean square below this is rounding, for values of about one in single precision."""

DEAD = 1e-8
"""Below this share of the largest variance, what a direction of the codes varies by is rounding."""

WORST = np.finfo(np.float64).max / 4
"""The size of a score that overflowed: the row is as unusual as can be."""

CONSTRAINTS: dict[str, Constraint] = {
    "model": (lambda model: model is None or isinstance(model, AutoEncoder), "an AutoEncoder or None"),
    "contamination": either(
        AUTO, (lambda share: real(share) and 0 < share <= 0.5, "a number above 0, up to 0.5")
    ),
    "max_false_alarms": FRACTION,
    "calibration_fraction": FRACTION,
    "n_neighbors": COUNT,
    "random_state": seed_of(32),
}

Values = NDArray[np.float64]


class OutlierScores(NamedTuple):
    """What a detector says of n rows: four numbers of each, and the `top` features that share in its error.

    `errors` are mean squared errors of the reconstruction, and `rarity` mean squared distances to the nearest
    known codes, both in scaled units; `scores` are low where a row is unusual, and above -1, as a rule, where
    it is not. `features` (n, top) are those of the flat row that share most in its squared error, most first,
    or a mixed table's own columns by their place in `columns_.names`; `shares` are how much of it.
    """

    errors: Values
    rarity: Values
    scores: Values
    p_values: Values
    features: NDArray[np.int64]
    shares: NDArray[np.float32]


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
            Mostly usual rows, two at least.
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
        check(self, CONSTRAINTS)
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
        chosen = np.sort(random.permutation(n)[:held]).astype(np.int64)
        others = np.delete(np.arange(n), chosen)
        if table is not None:  # what makes numbers of it must not know the rows to calibrate on
            X = training_data(fitted_columns(table.take(others)).transform(table))
        if self.model is None:
            model.n_components = min(MOST_COMPONENTS, -(-math.prod(X.sample_shape) // 2))
        missing = model.takes_missing or X.columns is not None
        for start, block in blocks(X.x):  # here, where the number of a row is that in the whole
            check_finite(block, start, missing=missing)
        X = replace(X, missing=missing)
        self._adopt(model.fit(X[others]))
        self.calibration_indices_ = chosen
        self._calibrate(self._scores(X[chosen].x))
        if self.contamination == "auto":
            if not rank(self.max_false_alarms, held):
                warnings.warn(_too_few(self.max_false_alarms, held), stacklevel=2)
        else:
            self.offset_ = _cut(self._scores(X.x), float(self.contamination))
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
        check(detector, CONSTRAINTS)
        if model is None:
            raise ParameterError("from_model takes a fitted AutoEncoder. Got None instead.")
        check_is_fitted(model)
        detector._adopt(model)
        if calibration is not None:
            scores = detector.score_samples(calibration)
        else:
            known = detector._known
            scores = detector._combined(
                known.held_errors.astype(np.float64), detector._rarity(known.held_codes)
            )
            if not len(scores):
                raise ModelError(
                    "this model held no rows out from training, to judge others by: give usual rows that it "
                    "has not seen, with calibration= (--calibrate SOURCE)"
                )
        if not rank(max_false_alarms, len(scores)):
            raise ParameterError(_too_few(max_false_alarms, len(scores)))
        detector._calibrate(scores)
        return detector

    def score_samples(self, X: Any) -> Values:
        """How usual each row is, shape (n,), float64: above -1 where usual, as a rule, and low where not."""
        return self._scores(self._rows(X))

    def decision_function(self, X: Any) -> Values:
        """`score_samples` minus `offset_`, shape (n,), float64: below 0 for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """-1 for outliers and 1 for the other rows, shape (n,), int64."""
        return np.where(self.decision_function(X) < 0, -1, 1).astype(np.int64)

    def p_values(self, X: Any) -> Values:
        """The conformal p-value of each row, shape (n,), float64: small is unusual.

        Of rows exchangeable with the calibration rows, at most a share a is expected to have p ≤ a: see the
        class's notes.
        """
        scores = self.score_samples(X)
        return p_values(self.calibration_scores_, scores)

    def contributions(self, X: Any) -> NDArray[np.float32]:
        """The share of each value in the squared error of its row, shape (n, ...) as X, float32.

        Errors are taken in scaled units. Shares of a row sum to 1, or are all 0 where nothing is off. Of a
        mixed table there is one for each of its own columns, (n, number of them): see `columns_.names`.
        """
        x, model = self._rows(X), self.model_.model_
        each = model.each(x, lambda scaled: self._shares(scaled, model.decode(model.encode(scaled))))
        flat = collect(each, len(x), (self.features,))
        return flat if hasattr(self, "columns_") else flat.reshape(len(x), *self.sample_shape_)

    def explain(self, X: Any, *, top: int = 3) -> OutlierScores:
        """All there is to say of each row, in one pass; `top` features that contribute most to its error."""
        return OutlierScores(*map(np.concatenate, zip(*self.scan(X, top=top), strict=True)))

    def scan(self, X: Any, *, top: int = 3) -> Iterator[OutlierScores]:
        """What `explain` says, of a bounded number of rows at a time, in order: X may be larger than memory.

        Raises
        ------
        DataError
            If X does not fit; of values that are not finite, once they are reached.
        """
        if not whole(top, 0):
            raise ParameterError(f"top must be a whole number, zero or more. Got {top!r} instead.")
        return self._scan(self._rows(X), min(top, self.features))

    @property
    def features(self) -> int:
        """How many features can be named: the values of a row or, of a mixed table, its own columns."""
        return len(self.columns_.names) if hasattr(self, "columns_") else self.model_.model_.n_features

    def _scan(self, x: Rows, top: int) -> Iterator[OutlierScores]:
        for scaled, x_hat, errors, rarity in self.model_.model_.each(x, self._judge):
            most, features = self._shares(scaled, x_hat).topk(top, dim=1)
            scores = self._combined(errors, rarity)
            p = p_values(self.calibration_scores_, scores)
            yield OutlierScores(errors, rarity, scores, p, features.cpu().numpy(), most.cpu().numpy())

    def _rows(self, X: Any) -> Rows:
        check_is_fitted(self)
        model = self.model_.model_
        check_feature_names(self, model, X)
        return matching_rows(model, X, who=type(self).__name__)

    # -- fitting --------------------------------------------------------------------------------------------

    def _adopt(self, model: AutoEncoder) -> None:
        """Score by a fitted model, and by what it remembers of the rows it was trained on."""
        fitted = model.model_
        known = fitted.training_codes
        if known is None:
            raise ModelError(
                "this model was saved without codes of the rows it was trained on, and nothing tells which "
                "codes are rare: train it again"
            )
        parts = torch.split(torch.from_numpy(known.codes.copy()), fitted.chunk)
        decoded = (fitted.decode(part).cpu().numpy() for part in parts)
        self._known, self._typical_error = known, typical(known.errors)
        self._rarity = NeighborDistance(known.codes, decoder_map(known.codes, decoded), self.n_neighbors)
        self.model_ = model
        self.sample_shape_, self.n_features_in_ = model.sample_shape_, model.n_features_in_
        for name in ("feature_names_in_", "columns_"):
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
            elif hasattr(self, name):
                delattr(self, name)

    def _calibrate(self, scores: Values) -> None:
        self.calibration_scores_ = np.sort(scores)
        self.offset_ = threshold(self.calibration_scores_, self.max_false_alarms)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.non_deterministic = self.random_state is None
        return tags

    # -- scores, in which rows to calibrate on have no say: p-values would mean nothing otherwise -----------

    @torch.inference_mode()
    def _judge(self, scaled: Tensor) -> tuple[Tensor, Tensor, Values, Values]:
        """Rows and reconstructions (m, d), in scaled units, errors (m,) and rarity (m,)."""
        codes = self.model_.model_.encode(scaled)
        x_hat = self.model_.model_.decode(codes)
        errors = mean_squared_error(x_hat, scaled).double().cpu().numpy()
        return scaled, x_hat, errors, self._rarity(codes.cpu().numpy())

    def _combined(self, errors: Values, rarity: Values) -> Values:
        """The score of each row, shape (n,): above -1 where usual, as a rule, and low where not."""
        with np.errstate(over="ignore"):
            scores = -(errors / self._typical_error + rarity / self._rarity.typical) / 2
        return np.nan_to_num(scores, nan=-WORST, neginf=-WORST).clip(min=-WORST)

    def _scores(self, x: Rows) -> Values:
        each = self.model_.model_.each(x, self._judge)
        return np.concatenate([self._combined(errors, rarity) for _, _, errors, rarity in each])

    def _shares(self, scaled: Tensor, x_hat: Tensor) -> Tensor:
        """The share of each feature in the squared error of its row, (m, features); 0 of what is missing."""
        off = torch.where(scaled.isnan(), 0.0, (x_hat.float() - scaled).abs())
        most = torch.finfo(off.dtype).max
        off = off.nan_to_num_(nan=most, posinf=most)
        squares = off.div_(off.amax(dim=1, keepdim=True).clamp_min(torch.finfo(off.dtype).tiny)).square_()
        # The largest is 1, unless all are 0.
        shares = squares.div_(squares.sum(dim=1, keepdim=True).clamp_min(1.0))
        if not hasattr(self, "columns_"):
            return shares
        owners = torch.tensor(self.columns_.layout.owners, device=shares.device)
        return shares.new_zeros(len(shares), self.features).index_add_(1, owners, shares)


def _calibration_size(n: int, fraction: float, level: float) -> int:
    """How many of n rows to calibrate on; at least half are left to train on where there are two."""
    if n < 2:
        raise DataError("x has 1 sample: give at least 2, one to train on and one to calibrate on")
    least = needed(level)
    wanted = min(round(n * fraction), max(MOST_CALIBRATION, least))
    return min(max(1, wanted, min(least, n // 2)), n - 1)


def _cut(scores: Values, share: float) -> float:
    """Between the scores of so large a share of rows, the lowest, and all others."""
    ordered, n = np.sort(scores), round(share * len(scores))
    if not n:
        return float(ordered[0])
    return float(max((ordered[n - 1] + ordered[n]) / 2, np.nextafter(ordered[n - 1], math.inf)))


def decoder_map(codes: NDArray[Any], decoded: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """The linear map of codes after which a distance is one between reconstructions.

    Codes have no scale of their own: an encoder may stretch any of their numbers if its decoder undoes it,
    and a number that the decoder ignores may be anything. The decoder's least-squares linear approximation A
    on known rows, x̂ ≈ A z + b, says what a difference of codes comes to: T with
    \\|(z - z') T\\|² = \\|A (z - z')\\|² / d, the mean squared difference of the two reconstructions.

    Codes (n, k) come with what they decode to, (m, d) at a time; T (k, k) is zero if that follows no code.
    """
    centered = codes - codes.mean(axis=0, dtype=np.float64)
    shared: Any = 0.0
    start = 0
    for x_hat in decoded:
        shared = shared + centered[start : start + len(x_hat)].T @ x_hat.astype(np.float64) / len(codes)
        start += len(x_hat)
    variances, directions = np.linalg.eigh(centered.T @ centered / len(codes))
    alive = variances > DEAD * max(float(variances[-1]), np.finfo(np.float64).tiny)
    basis = directions[:, alive]
    slopes = basis @ (basis.T @ shared / variances[alive, None])
    stretches, axes = np.linalg.eigh(slopes @ slopes.T / slopes.shape[1])
    mapped: NDArray[np.float64] = axes * np.sqrt(np.maximum(stretches, 0.0))
    return mapped


def typical(values: NDArray[Any]) -> float:
    """The value that nine in ten mean squares stay below, or their mean where that is zero: fit to divide by.

    Up to a tenth of the rows trained on may be outliers themselves without a say in it.
    """
    return max(float(np.quantile(values, 0.9)) or float(np.mean(values, dtype=np.float64)), ROUNDING)


class NeighborDistance:
    """The mean squared distance of codes to their nearest neighbors among known ones.

    Ramaswamy, Rastogi & Shim (2000), "Efficient algorithms for mining outliers from large data sets", with
    the mean over the neighbors of Angiulli & Pizzuti (2002), "Fast outlier detection in high dimensional
    spaces". Distances are taken after `map_` (k, k), which `decoder_map` gives; `typical` is what nine in ten
    known codes, each among the others, stay below.
    """

    def __init__(self, codes: NDArray[Any], map_: NDArray[np.float64], n_neighbors: int) -> None:
        self.center = codes.mean(axis=0, dtype=np.float64)
        self.map = map_
        points = self._mapped(codes)
        m, k = points.shape
        self.n_neighbors = min(n_neighbors, m)
        self.neighbors = NearestNeighbors(algorithm="kd_tree" if k <= TREE_UP_TO else "brute").fit(points)
        some = points[:TYPICAL_ROWS]
        # Each finds itself first.
        distances = self.neighbors.kneighbors(some, min(self.n_neighbors + 1, m))[0][:, 1:]
        self.typical = typical(np.square(distances).mean(axis=1)) if m > 1 else 1.0

    def __call__(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        """The rarity of codes (n, k): shape (n,), infinite where a code is not finite."""
        out = np.full(len(codes), np.inf)
        finite = np.isfinite(codes).all(axis=1)
        if finite.any():
            points = self._mapped(codes[finite])
            distances = self.neighbors.kneighbors(points, self.n_neighbors)[0]
            out[finite] = np.square(distances).mean(axis=1)
        return out

    def _mapped(self, codes: NDArray[Any]) -> NDArray[np.float64]:
        mapped: NDArray[np.float64] = (codes - self.center) @ self.map
        return mapped


def p_values(calibration: Values, scores: Values) -> Values:
    """The p-value of each score, shape (n,), by calibration scores in ascending order."""
    return (1 + np.searchsorted(calibration, scores, side="right")) / (1 + len(calibration))


def rank(level: float, n: int) -> int:
    """How many of the values that a p-value from `n` calibration rows can have are at most `level`."""
    return int(np.searchsorted(np.arange(1, n + 2) / (n + 1), level, side="right"))


def threshold(calibration: Values, level: float) -> float:
    """The score below which a p-value is at most `level`, by calibration scores in ascending order."""
    m = rank(level, len(calibration))
    # p <= level where fewer than m of them are at most s: where s is below the m-th.
    return float(calibration[m - 1]) if m else -math.inf


def needed(level: float) -> int:
    """The least number of calibration rows for a p-value as small as `level`."""
    n = max(1, math.ceil(1 / level) - 2)  # one below the answer or two, for the rounding of 1 / level
    while 1 / (n + 1) > level:
        n += 1
    return n


def _too_few(level: float, n: int) -> str:
    """What to say where `n` calibration rows are too few for a `level`."""
    return (
        f"a false-alarm rate of {level:g} cannot be reached: with {n:,} calibration rows no p-value is below "
        f"1 / ({n:,} + 1) = {1 / (n + 1):.3g}; give at least {needed(level):,} such rows, or allow more "
        "false alarms"
    )
