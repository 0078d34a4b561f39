"""`evaluate`: how good a model is, beside PCA and the rows themselves, in one dictionary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.constraints import whole
from codeword.base.errors import DataError, ParameterError
from codeword.data import Data
from codeword.data.labels import Labels, classes_of
from codeword.data.rows import check_finite
from codeword.data.scaling import Moments
from codeword.data.tables import is_table
from codeword.model.fitted import Codec, FittedModel, as_codec
from codeword.tasks.labels import LABEL_METRICS, LabelTask, check_classes, check_reference

__all__ = ["PREFIXES", "Errors", "Evaluation", "draw", "evaluate", "evaluate_rows", "scale_by", "scaling_of"]

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

Floats = NDArray[np.float64]
RowNumbers = NDArray[np.int64]
Scale = Callable[[Any], Floats]
Represented = dict[str, Any]


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
    codes : ndarray of shape (m, k), float64
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
    own, other = Errors("the model", codec, n, codes_of), Errors("the baseline", pca, n)
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
    counts = dict.fromkeys(("labelled_rows", "unlabelled", "reference_rows", "classes"))
    metrics |= counts | dict.fromkeys(prefix + name for name in LABEL_METRICS for prefix in PREFIXES)
    if labels is not None:
        metrics |= _label_metrics(x, labels, reference, represent, seed, advance)
    return Evaluation(metrics, own.by_row, other.by_row, np.concatenate(own.kept_codes))


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
    if near is x or (near.shape[0] == x.shape[0] and _alike(x, near)):
        raise DataError(
            f"the reference is the {x.shape[0]:,} rows that are judged: whoever learns from them knows the "
            "answers; give other rows, or none"
        )
    known = classes_of(y, near.shape[0], "the reference")
    check_reference(known, labels)
    return near, known


def _alike(x: Any, other: Any) -> bool:
    """Whether two sets of as many rows are the same, as far as a hundred rows tell."""
    rows = draw(x.shape[0], 100, 0)
    return np.array_equal(flat(take(x, rows)), flat(take(other, rows)), equal_nan=True)


def _seed(random_state: Any) -> int:
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    if not whole(random_state, 0) or random_state >= 2**32:
        raise ParameterError(
            "The 'random_state' parameter of evaluate must be a whole number from 0 to 4294967295, or None. "
            f"Got {random_state!r} instead."
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


class Errors:
    """How far off the reconstructions of a model are, and how its codes vary.

    Parameters
    ----------
    name : str
        What messages call the model.
    codec : Codec
    n : int
        The rows that there will be.
    keep : ndarray of shape (m,), int64, optional
        Rows whose codes are kept, rising.

    Attributes
    ----------
    by_row : ndarray of shape (n,), float32
        The mean squared error of each row, NaN where no value is known.
    code_moments : Moments
        Those of the columns of all codes.
    kept_codes : list of ndarray
        The codes of the rows to keep, in parts.
    """

    def __init__(self, name: str, codec: Codec, n: int, keep: RowNumbers | None = None) -> None:
        self.name = name
        self.codec = codec
        self.k = 0
        self.squared_error = 0.0
        self.count = 0
        self.code_moments = Moments()
        self.keep = np.zeros(0, np.int64) if keep is None else keep
        self.kept_codes: list[Floats] = []
        # Four bytes a row: the one thing here that grows with x.
        self.by_row: NDArray[np.float32] = np.full(n, np.nan, dtype=np.float32)

    def add(self, rows: Any, target: Floats, scale: Scale, start: int) -> None:
        """Take in rows that begin at row `start`, and the same in the units that errors are taken in."""
        codes = self.codec.transform(rows)
        flat_codes = flat(codes)
        check_finite(flat_codes, start, what=f"the code by {self.name}")
        self.code_moments.add(flat_codes)
        first, last = np.searchsorted(self.keep, (start, start + len(flat_codes)))
        self.kept_codes.append(flat_codes[self.keep[first:last] - start])
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
    models: list[Errors],
    x: Any,
    scale: Scale,
    *,
    missing: bool,
    advance: Callable[[int], None] | None = None,
) -> Moments:
    """Take in the reconstructions of every row of `x` by each model; return the moments of x in scaled units.

    Raises
    ------
    DataError
        If a row or its reconstruction is not finite, or the two differ in shape.
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
) -> Represented:
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


def _label_metrics(
    x: Any,
    labels: Labels,
    reference: tuple[Any, Labels] | None,
    represent: Callable[..., Represented],
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
        "labelled_rows": len(rows),
        "unlabelled": len(labels.index) - len(known),
        "reference_rows": None if y_reference is None else len(y_reference),
        "classes": task.n_classes,
    }
    for name, metric in LABEL_METRICS.items():
        for prefix in PREFIXES:
            values = judged[prefix]
            found[prefix + name] = None if values is None else metric(task, values, learned[prefix])
            advance()
    return found


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
    from sklearn.manifold import trustworthiness

    return float(trustworthiness(raw, codes, n_neighbors=min(NEAREST, (len(raw) - 1) // 2)))
