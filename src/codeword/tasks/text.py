"""The metrics of `evaluate` for a person to read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from codeword.base.text import METRICS, aligned, listed, shortened
from codeword.tasks.evaluate import PREFIXES

__all__ = ["ABSENT", "comparison", "evaluation_table", "health", "metric_lines"]

WIDTH = 80
ALIKE = 0.9
"""A correlation of two dimensions from which on it is worth a line."""

ABSENT = "–"

ABOUT_ERRORS, ABOUT_LABELS = tuple(METRICS)[:4], tuple(METRICS)[4:]

Line = tuple[str, list[str]]


def evaluation_table(metrics: dict[str, Any], what: str, learned_from: str = "the reference") -> str:
    """Return the metrics as text: errors, labels, the health of codes, and what to make of it.

    Parameters
    ----------
    metrics : dict
        What `evaluate` returns.
    what : str
        Where the rows are from.
    learned_from : str
        Where the reference is from, if there is one.
    """
    k = metrics["k"]
    errors, labels = (list(metric_lines(metrics, names)) for names in (ABOUT_ERRORS, ABOUT_LABELS))
    names = ["auto-encoder", f"PCA with {_count(k, 'component')}", "raw data"]
    shown = [i for i in range(3) if any(cells[i] not in ("", ABSENT) for _, cells in errors + labels)]
    table = [("", names), *errors, *labels]
    lines = aligned([[label, *(cells[i] for i in shown)] for label, cells in table])
    blocks = [
        [f"{what}: {_count(metrics['n'], 'row')}, {_count(k, 'number')} each"],
        lines[: 1 + len(errors)],
    ]
    if labels:
        blocks.append(_filled(_about_labels(metrics, learned_from)) + lines[1 + len(errors) :])
    blocks.append([line for sentence in health(metrics["latent"], k) for line in _filled(sentence)])
    if metrics["mse"] is not None and metrics["pca_mse"] is not None:
        blocks.append(_filled(comparison(metrics["mse"], metrics["pca_mse"])))
    return "\n\n".join("\n".join(block) for block in blocks)


# -- metrics ------------------------------------------------------------------------------------------------


def metric_lines(metrics: dict[str, Any], names: Sequence[str] = tuple(METRICS)) -> Iterator[Line]:
    """Write metrics out: what each is called, and a cell for the model, the baseline and the raw rows.

    Lines about labels are left out where there were none, and those about clusters where there are none.

    Parameters
    ----------
    metrics : dict
        What `evaluate` returns.
    names : sequence of str
        Those wanted, of METRICS.
    """
    for name in names:
        outer, _, inner = name.partition(".")
        label, form = METRICS[name]
        known = [metrics.get(prefix + outer, "") for prefix in PREFIXES]
        values = [(value or {}).get(inner) for value in known] if inner else known
        if name in ABOUT_ERRORS or (metrics["classes"] is not None and (not inner or any(known))):
            yield label, [_cell(value, form) for value in values]


def _cell(value: Any, form: str) -> str:
    if value == "":
        return ""
    return ABSENT if value is None else form.format(value)


# -- words --------------------------------------------------------------------------------------------------


def _about_labels(metrics: dict[str, Any], learned_from: str) -> str:
    rows = metrics["labelled_rows"]
    drawn = " drawn at random" if rows < metrics["n"] - metrics["unlabelled"] else ""
    about = f"Labels: {metrics['classes']:,} classes in {_count(rows, 'row')}{drawn}"
    if metrics["unlabelled"]:
        about += f", and {metrics['unlabelled']:,} without"
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
        return f"The auto-encoder's error is {_times(pca / error)} smaller than PCA's."
    return f"PCA's error is {_times(error / pca)} smaller than the auto-encoder's: train longer, or use PCA."


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times" if ratio < 1000 else "more than a thousand times"


def _count(n: int, name: str) -> str:
    return f"{n:,} {name}{'' if n == 1 else 's'}"


def _filled(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)
