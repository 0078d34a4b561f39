"""What a comparison found: its rows, their means, a table for people."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from codeword.tasks.choice import PCA, Recommendation, recommend, summarise

__all__ = ["COLUMNS", "Comparison"]

COLUMNS = (
    "objective", "k", "seed", "mse", "explained_variance", "knn_accuracy", "epochs", "seconds", "failed",
)  # fmt: skip
"""The keys of a row, in order."""

NAME_WIDTH = 22
"""An objective's name is cut to so many characters in the table."""


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
        that orders its codes share; `failed`: why a training failed, and then the figures are None.
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

        See `codeword.tasks.choice.summarise` for the keys.
        """
        return summarise(self.rows)

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
