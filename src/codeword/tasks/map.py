"""Codes of any size as points on a plane, to be looked at."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_array
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from codeword.base.errors import DataError, ParameterError, expected
from codeword.base.text import shortened
from codeword.data.rows import check_finite

METHODS = ("auto", "tsne", "pca", "umap")

# Below this many points scikit-learn's exact neighbors win; above it openTSNE's interpolation does. Measured
# on 2 cores: 2,000 points in 4.8 s against 17.7 s, 20,000 points in 94 s against 56 s.
MANY_POINTS = 10_000

# Up to here one thread is quick enough, gives the same map whatever the number of cores, and does not suffer
# where other work holds some of them: threads that spin for one another took ten times as long there.
FEW_POINTS = 3_000

PERPLEXITY = 30.0
NEIGHBORS = 15

Progress = Callable[[int, int], object]


def map_codes(
    codes: ArrayLike,
    *,
    method: Literal["auto", "tsne", "pca", "umap"] = "auto",
    random_state: int | None = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Place every code on a plane so that codes that are alike lie close together.

    Parameters
    ----------
    codes : array-like of shape (n_samples, n_components)
        Finite numbers.
    method : {"auto", "tsne", "pca", "umap"}, default="auto"
        "tsne" keeps neighborhoods, "pca" keeps directions and distances as far as a plane can, "umap" needs
        the extra `codeword[umap]`. "auto" is t-SNE, except where there is nothing to reduce: codes of two
        columns are returned as they are, and codes of one column become the first coordinate, with a seeded
        spread in the second (a twentieth of the range either way, without meaning) so that points do not
        hide one another.
    random_state : int or None, default=0
        With an int, the same codes give the same map on the same machine with the same number of threads.
    n_jobs : int or None, default=None
        Threads to use, -1 for one a core. None takes every core from 3,000 points on and one below.
    progress : callable or None, default=None
        Called as `progress(done, total)`, in iterations, from (0, total) to (total, total). Only t-SNE of
        many points reports what lies between.

    Returns
    -------
    ndarray of shape (n_samples, 2), float32
        "pca" and "auto" on two columns or fewer keep the units of `codes`; t-SNE and UMAP have none. Up to
        three points always lie as PCA puts them, which keeps each distance exactly. Codes that are all equal
        lie at the origin.

    Raises
    ------
    ParameterError
        For an unknown method, or "umap" where umap-learn is not installed.
    DataError
        If `codes` is not a table of finite numbers with at least one row and one column.

    Notes
    -----
    t-SNE starts from PCA and uses a perplexity of 30, or (n_samples - 1) / 3 where that is less. It is
    scikit-learn's below 10,000 points and openTSNE's from there, except where openTSNE has no wheel.

    References
    ----------
    van der Maaten and Hinton (2008), "Visualizing Data using t-SNE". Kobak and Berens (2019), "The art of
    using t-SNE for single-cell transcriptomics", on starting from PCA. McInnes, Healy and Melville (2018),
    "UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction".
    """
    if method not in METHODS:
        raise expected("method", "map_codes", f"one of {', '.join(METHODS)}", method)
    try:
        rows: NDArray[np.float64] = check_array(codes, dtype=np.float64, ensure_all_finite=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"codes must be a table of numbers: {shortened(error)}") from error
    with np.errstate(over="ignore"):  # the map is float32: a number beyond its range would come out infinite
        check_finite(rows.astype(np.float32), what="the table of float32 codes")
    if method == "umap" and find_spec("umap") is None:
        raise ParameterError(
            "The method 'umap' of map_codes needs umap-learn, which is not installed: "
            "pip install 'codeword[umap]'"
        )
    if method == "auto" and rows.shape[1] == 2:
        return rows.astype(np.float32)
    random = np.random.default_rng(random_state)
    if method == "auto" and rows.shape[1] == 1:
        spread = random.uniform(-0.05, 0.05, size=rows.shape) * np.ptp(rows)
        return np.hstack([rows, spread]).astype(np.float32)
    if not np.ptp(rows, axis=0).any():
        return np.zeros((len(rows), 2), np.float32)
    # Neighborhoods stay, and float32 is then exact enough for them wherever the codes lay.
    centered = rows - rows.mean(axis=0)
    size = float(np.abs(centered).max())
    unit = centered / size
    plane = np.zeros((len(rows), 2))
    directions = min(2, *rows.shape)
    plane[:, :directions] = PCA(directions, random_state=0).fit_transform(unit)
    # Three points fit on a plane without loss: no method can do better, and most cannot start with so few.
    if method == "pca" or len(rows) <= 3:
        return (plane * size).astype(np.float32)
    # t-SNE unfolds from a point. Noise lets codes on a line leave it, and equal codes part.
    noise = random.normal(scale=0.01, size=plane.shape)
    start = (1e-4 * (plane / plane[:, 0].std() + noise)).astype(np.float32)
    report = progress or (lambda done, total: None)
    with warnings.catch_warnings():
        # What these libraries warn about (a number of threads, a coming default) is nothing the caller chose.
        warnings.simplefilter("ignore")
        layout = _umap if method == "umap" else _tsne
        points = layout(unit.astype(np.float32), start, random_state, n_jobs, report)
    return np.ascontiguousarray(points, dtype=np.float32)


def _tsne(
    rows: NDArray[np.float32],
    start: NDArray[np.float32],
    random_state: int | None,
    n_jobs: int | None,
    progress: Progress,
) -> ArrayLike:
    """t-SNE by openTSNE where points are many and this platform has it (Linux on Arm has not)."""
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    if n_jobs is None:
        n_jobs = 1 if len(rows) < FEW_POINTS else -1
    if len(rows) >= MANY_POINTS and find_spec("openTSNE") is not None:
        early, normal, step = 250, 500, 50
        done = count(step, step)  # the library counts each of its two phases from one

        def on_step(*_: object) -> None:
            progress(next(done), early + normal)

        progress(0, early + normal)
        layout = import_module("openTSNE").TSNE(
            perplexity=perplexity,
            initialization=start.astype(np.float64),
            early_exaggeration_iter=early,
            n_iter=normal,
            callbacks=on_step,
            callbacks_every_iters=step,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        return np.asarray(layout.fit(rows))
    tsne = TSNE(
        perplexity=perplexity, init=start, learning_rate="auto", random_state=random_state, n_jobs=n_jobs
    )
    progress(0, tsne.max_iter)
    # The gradient takes its threads from OpenMP, not from n_jobs.
    with threadpool_limits(n_jobs if n_jobs > 0 else None, user_api="openmp"):
        points: ArrayLike = tsne.fit_transform(rows)
    progress(tsne.max_iter, tsne.max_iter)
    return points


def _umap(
    rows: NDArray[np.float32],
    start: NDArray[np.float32],
    random_state: int | None,
    n_jobs: int | None,
    progress: Progress,
) -> ArrayLike:
    # UMAP unfolds from a span of about ten, not from a point; and a seed allows it one thread only.
    layout = import_module("umap").UMAP(
        n_neighbors=min(NEIGHBORS, len(rows) - 1),
        init=start / np.abs(start).max() * 10,
        random_state=random_state,
        n_jobs=1 if random_state is not None else (n_jobs or -1),
    )
    progress(0, 1)
    points: ArrayLike = layout.fit_transform(rows)
    progress(1, 1)
    return points
