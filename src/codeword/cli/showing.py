"""What commands show of a model and its data: choices of rows, titles, tables in text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from codeword.base.progress import Progress
from codeword.data import Data
from codeword.model.autoencoder import AutoEncoder
from codeword.plots import reconstruction_figure
from codeword.tasks.map import map_codes
from codeword.tasks.text import evaluation_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["choose", "evaluation_table", "map_of", "picture_reconstructions"]


def choose(n: int, most: int, seed: int) -> list[int]:
    """At most `most` of `n` rows at random, in order."""
    if most >= n:
        return list(range(n))
    return sorted(np.random.default_rng(seed).choice(n, most, replace=False).tolist())


def picture_reconstructions(ae: AutoEncoder, data: Data, rows: Sequence[int]) -> Figure:
    """Samples `rows` over their reconstructions, each with its number and its error."""
    chosen = replace(data, x=np.stack([np.asarray(data.x[i]) for i in rows]), y=None)
    errors = -ae.score_samples(chosen)
    titles = [f"row {row}\nerror {error:.4f}" for row, error in zip(rows, errors, strict=True)]
    shape = ae.sample_shape_
    x, x_hat = chosen.x.reshape(len(rows), *shape), ae.reconstruct(chosen)
    return reconstruction_figure(x, x_hat, titles=titles, sample_shape=shape, names=data.names)


def map_of(
    ae: AutoEncoder,
    data: Data,
    rows: Sequence[int],
    *,
    method: Any = "auto",
    seed: int = 0,
    verbose: bool = False,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The codes of some rows on a plane, of shape (n, 2)."""
    codes = ae.transform(replace(data, x=np.asarray(data.x[np.asarray(rows)]), y=None))
    with Progress(0, "map", verbose=verbose) as progress:
        return map_codes(codes, method=method, random_state=seed, progress=progress.upto)
