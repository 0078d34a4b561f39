"""Rows as the model sees them, as the baseline does, and as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.tasks.codecs import Codec, Floats, Rows, Scale, flat, taken

__all__ = ["MOST_VALUES", "VIEWS", "Views"]

VIEWS = ("", "pca_", "raw_")
"""What stands before a figure's name: nothing for the model; the baseline's; the rows' own."""

MOST_VALUES = 2**26
"""Numbers of one view that are held at once: 256 MB of raw values."""


class Views:
    """Makes the three views of some rows, of which the last two may be absent.

    Parameters
    ----------
    model : Codec
    baseline : Codec or None
    scale : callable
        From rows to flat float64 in the units that errors are taken in.
    centre : ndarray of shape (d,), float64
        What is taken off raw rows, which then keep their differences in float32.
    """

    def __init__(self, model: Codec, baseline: Codec | None, scale: Scale, centre: Floats) -> None:
        self.codecs = {"": model, "pca_": baseline}
        self.scale = scale
        self.centre = centre

    def of(self, x: Any, rows: Rows, *, raw: bool) -> dict[str, NDArray[Any] | None]:
        """Return the codes (n, k) float64 and, if `raw`, the values (n, d) float32 of some rows of `x`.

        Raw rows are absent where a value among them is missing.
        """
        found: dict[str, list[NDArray[Any]]] = {view: [] for view in VIEWS}
        for some in taken(x, rows):
            for view, codec in self.codecs.items():
                if codec is not None:
                    found[view].append(flat(codec.transform(some)))
            if raw:
                found["raw_"].append((self.scale(some) - self.centre).astype(np.float32))
        joined = {view: np.concatenate(parts) if parts else None for view, parts in found.items()}
        values = joined["raw_"]
        if values is not None and not np.isfinite(values).all():
            joined["raw_"] = None
        return joined
