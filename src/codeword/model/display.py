"""How the samples of a fitted model are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from codeword.data.display import Display, display_of

__all__ = ["model_display"]


def model_display(
    ae: Any, *, names: Sequence[str] | None = None, rows: NDArray[Any] | None = None, kind: str | None = None
) -> Display:
    """How the samples of a fitted AutoEncoder are shown: see `display_of`.

    `names` are those of the columns that rows come with, for a model that was fitted on rows without; `rows`
    are some of them, for a model that knows no limits of values.
    """
    known = getattr(ae, "feature_names_in_", names)
    return display_of(
        ae.sample_shape_,
        scaling=ae.scaling_.kind,
        dtype=ae.dtype_,
        limits=ae.scaling_.limits,
        rows=rows,
        names=None if known is None else [str(name) for name in known],
        columns=getattr(ae, "columns_", None),
        kind=kind,
    )
