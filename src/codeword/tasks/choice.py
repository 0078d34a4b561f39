"""What a comparison found: its rows, means over seeds, one recommended k, and a table for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["COLUMNS", "PCA", "Comparison", "Recommendation", "elbow", "recommend", "summarize"]

PCA = "pca"
"""The `objective` of the baseline's rows."""

COLUMNS = (
    "objective", "k", "seed", "mse", "explained_variance", "knn_accuracy", "epochs", "seconds", "failed",
)  # fmt: skip
"""The keys of a row, in order."""

NAME_WIDTH = 22
"""An objective's name is cut to so many characters in the table."""

BEND = 0.5
"""Beyond an elbow, a doubling of k keeps less than this share of what one before it kept."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Recommendation:
    """One k, and why.

    Attributes
    ----------
    k : int
    objective : str
        As the command line takes it.
    reason : str
        One sentence with the numbers.
    """

    k: int
    objective: str
    reason: str


def summarize(rows: Iterable[Row]) -> list[Row]:
    """Means over seeds, one row for each objective and k, in the order of `rows`.

    Returns
    -------
    list of dict
        `objective`, `k`, `seeds` (how many succeeded), `failed`, the means `mse`, `explained_variance`,
        `knn_accuracy` and `seconds`, and the standard deviations over seeds `mse_std` and `knn_accuracy_std`.
        What is absent is None: means where none succeeded, deviations where fewer than two did.
    """
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["objective"], row["k"]), []).append(row)
    return [_mean_row(objective, k, group) for (objective, k), group in groups.items()]


def _mean_row(objective: str, k: int, group: list[Row]) -> Row:
    good = [row for row in group if row["mse"] is not None]

    def values(name: str) -> list[float]:
        found = [row[name] for row in good]
        return [] if None in found else found

    found: Row = {"objective": objective, "k": k, "seeds": len(good), "failed": len(group) - len(good)}
    for name in ("mse", "explained_variance", "knn_accuracy", "seconds"):
        found[name] = float(np.mean(values(name))) if values(name) else None
    for name in ("mse", "knn_accuracy"):
        found[f"{name}_std"] = float(np.std(values(name), ddof=1)) if len(values(name)) > 1 else None
    return found


def recommend(summary: Sequence[Row], n: int, d: int) -> Recommendation | None:
    """Choose a k: by the accuracy of labels where there are any, else by the elbow of the variance kept.

    Parameters
    ----------
    summary : list of dict
        What `summarize` gave.
    n : int
        How many held-out rows the accuracy was taken on.
    d : int
        The number of features, which no k can exceed.

    Returns
    -------
    Recommendation or None
        None where no training succeeded.

    Notes
    -----
    With labels, the smallest k whose mean accuracy is within one standard error of the best: the rule of
    Breiman, Friedman, Olshen & Stone (1984, section 3.4.3), for which a smaller model is as good until the
    data can tell the two apart. The standard error is theirs for a test sample, sqrt(p (1 - p) / n), or that
    of the mean over seeds where it is larger: seeds may agree by chance, and tell nothing of which rows were
    held out. Of several objectives that are so good with that k, the one with the least error.

    Without labels, see `elbow`. Of several objectives the one with the least error at each k counts.
    """
    judged = [row for row in summary if row["objective"] != PCA and row["mse"] is not None]
    if not judged:
        return None
    if all(row["knn_accuracy"] is not None for row in judged):
        return _by_accuracy(judged, n, d)
    return _by_elbow(judged, d)


def _by_accuracy(judged: list[Row], n: int, d: int) -> Recommendation:
    best = max(judged, key=lambda row: (row["knn_accuracy"], -row["k"]))
    p = best["knn_accuracy"]
    error = math.sqrt(p * (1 - p) / n)
    if best["knn_accuracy_std"] is not None:
        error = max(error, best["knn_accuracy_std"] / math.sqrt(best["seeds"]))
    within = [row for row in judged if row["knn_accuracy"] >= p - error]
    k = min(row["k"] for row in within)
    chosen = min((row for row in within if row["k"] == k), key=lambda row: float(row["mse"]))
    if chosen is best:
        reason = f"{k} {_numbers(k)} the best label accuracy, {p:.3f}"
        if k > min(row["k"] for row in judged):
            reason += f", and no smaller k comes within one standard error ({error:.3f}) of it"
    else:
        reason = (
            f"{k} {_numbers(k)} a label accuracy of {chosen['knn_accuracy']:.3f}, within one standard error "
            f"({error:.3f}) of the best, {p:.3f} with {best['k']}"
            f"{'' if chosen['objective'] == best['objective'] else ' by ' + best['objective']}"
        )
    largest = max(row["k"] for row in judged)
    if k == largest < d and k > min(row["k"] for row in judged):
        reason += "; it is the largest k of all, so try larger k too"
    return Recommendation(k, chosen["objective"], reason)


def _by_elbow(judged: list[Row], d: int) -> Recommendation:
    best: dict[int, Row] = {}
    for row in judged:
        if row["k"] not in best or row["mse"] < best[row["k"]]["mse"]:
            best[row["k"]] = row
    ks = sorted(best)
    errors = [best[k]["mse"] for k in ks]
    shares = [best[k]["explained_variance"] for k in ks]
    known = None not in shares

    def chosen(i: int, reason: str) -> Recommendation:
        return Recommendation(ks[i], best[ks[i]]["objective"], reason)

    def left(i: int) -> str:
        return (
            f"{ks[i]} keep {100 * shares[i]:.1f}%" if known else f"{ks[i]} leave an error of {errors[i]:.4g}"
        )

    least = int(np.argmin(errors))
    if len(ks) == 1:
        return chosen(0, "it is the only k that was compared")
    if least == 0:
        return chosen(0, f"no larger k has a smaller error than {ks[0]}, {errors[0]:.4g}")
    bend = elbow(ks, shares if known else [-error for error in errors], from_zero=known)
    if bend is not None:
        shown = sorted({max(bend - 1, 0), bend, bend + 1, len(ks) - 1})
        what = "the variance kept" if known else "the error"
        return chosen(bend, f"{what} bends at {ks[bend]}: {', '.join(left(i) for i in shown)}")
    fall = 1 - errors[least] / errors[least - 1] if errors[least - 1] else 0.0
    larger = "; try larger k" if ks[least] == ks[-1] < d else ""
    return chosen(
        least,
        f"there is no elbow up to {ks[-1]}: the error still falls by {100 * fall:.0f}% "
        f"from {ks[least - 1]} to {ks[least]}{larger}",
    )


def elbow(ks: Sequence[int], kept: Sequence[float], *, from_zero: bool = True) -> int | None:
    """Where the curve of what is kept against log2(1 + k) bends: the index into `ks`; None if it does not.

    The point farthest above the chord from the curve's first point to its last (Satopää, Albrecht, Irwin &
    Raghavan 2011, section III), if beyond it a doubling of k keeps less than half of what one before it kept.

    Parameters
    ----------
    ks : sequence of int, increasing
    kept : sequence of float
        For example the share of the variance; where a larger k keeps less, what the smaller kept counts.
    from_zero : bool, default=True
        Whether the curve starts where no numbers keep nothing, so that the bend does not depend on which k
        happens to be the smallest, and may lie there; else it starts at the smallest k.
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


def _numbers(k: int) -> str:
    return "number has" if k == 1 else "numbers have"


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
    n_labelled : int
        How many of them the accuracies are of.
    n_features : int
    """

    rows: list[dict[str, Any]] = field(repr=False)
    n: int
    n_labelled: int
    n_features: int

    def summary(self) -> list[dict[str, Any]]:
        """Means and standard deviations over seeds, one dict for each objective and k; PCA's come last.

        See `codeword.tasks.choice.summarize` for the keys.
        """
        return summarize(self.rows)

    @property
    def recommended(self) -> Recommendation | None:
        """The k to take, its objective and the reason; None where no training succeeded.

        With labels the smallest k within one standard error of the best accuracy, else the elbow of the
        variance kept: see `codeword.tasks.choice.recommend` for the rules and where they are from.
        """
        return recommend(self.summary(), self.n_labelled, self.n_features)

    def table(self) -> str:
        """The summary as text, aligned and at most 100 characters wide, the recommended row marked."""
        summary = self.summary()
        pca = {row["k"]: row for row in summary if row["objective"] == PCA}
        models = [row for row in summary if row["objective"] != PCA]
        labelled = any(row["knn_accuracy"] is not None for row in summary)
        errors = [row["mse"] for row in summary if row["mse"]]
        digits = _decimals(min(errors, default=1.0), max(errors, default=1.0))
        best = self.recommended
        lines = [self._title(models), "", _header(labelled)]
        for before, row in zip([None, *models], models, strict=False):
            if before is not None and before["objective"] != row["objective"]:
                lines.append("")
            mark = best is not None and (best.objective, best.k) == (row["objective"], row["k"])
            lines.append(_line(row, pca.get(row["k"], {}), digits, labelled, mark))
        lines += [
            f"{row['objective']} k={row['k']} seed {row['seed']} failed: {row['failed']}"
            for row in self.rows
            if row["failed"]
        ]
        return "\n".join(lines)

    def _title(self, models: list[dict[str, Any]]) -> str:
        title = f"{self.n:,} held-out rows, errors in scaled units"
        seeds = max((row["seeds"] for row in models), default=0)
        return f"{title}; mean ± standard deviation over {seeds} seeds" if seeds > 1 else title


def _header(labelled: bool) -> str:
    columns = f"  {'objective':{NAME_WIDTH}}{'k':>5}{'mean squared error':>21}{'PCA':>10}{'kept':>8}"
    if labelled:
        columns += f"{'label accuracy':>16}{'PCA':>7}"
    return f"{columns}{'seconds':>9}"


def _line(row: dict[str, Any], pca: dict[str, Any], digits: int | None, labelled: bool, mark: bool) -> str:
    name = row["objective"]
    name = name if len(name) < NAME_WIDTH else name[: NAME_WIDTH - 2] + "…"
    error = _spread(row["mse"], row["mse_std"], digits) if row["seeds"] else "failed"
    text = f"{'*' if mark else ' '} {name:{NAME_WIDTH}}{row['k']:>5}{error:>21}"
    text += f"{_number(pca.get('mse'), digits):>10}{_percent(row['explained_variance']):>8}"
    if labelled:
        text += f"{_spread(row['knn_accuracy'], row['knn_accuracy_std'], 3):>16}"
        text += f"{_number(pca.get('knn_accuracy'), 3):>7}"
    return f"{text}{_number(row['seconds'], 1):>9}"


def _decimals(least: float, most: float) -> int | None:
    """So many that the least error shows three digits; None, for powers of ten, where that were too many."""
    decimals = max(0, 2 - math.floor(math.log10(least)))
    return decimals if decimals <= 6 and most < 1e5 else None


def _number(value: float | None, digits: int | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1e}" if digits is None else f"{value:.{digits}f}"


def _spread(mean: float | None, deviation: float | None, digits: int | None) -> str:
    if deviation is None:
        return _number(mean, digits)
    return f"{_number(mean, digits)} ± {_number(deviation, digits)}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"
