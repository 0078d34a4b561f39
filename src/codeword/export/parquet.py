"""One row for each point in a Parquet file, in the form that embedding-atlas opens and pandas reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.files import writing
from codeword.base.progress import Progress
from codeword.data import Data
from codeword.data.display import Display
from codeword.data.rows import blocks, check_finite
from codeword.model.autoencoder import AutoEncoder
from codeword.plots.sprites import png
from codeword.tasks.map import map_codes
from codeword.tasks.neighbors import neighbors

NEIGHBORS = 10
"""As many as are named for each point where there are so many others."""

OURS = ("row", "x", "y", "code", "label", "error", "neighbors", "image", "signal")
SUFFIX = "_source"
HUGGING_FACE = {"info": {"features": {"image": {"_type": "Image"}}}}

SEARCHES = 32
"""The search for neighbors goes in so many parts at most: each makes an index of all the codes."""

MOST_ROWS = 1 << 16
"""Of a block, where rows are so small that bytes set no limit."""

SOME = 1_000
"""Rows that black and white come from, for a model that knows no limits of values."""


def write_parquet(
    ae: AutoEncoder,
    data: Data,
    path: str | Path,
    *,
    rows: Sequence[int] | None = None,
    display: str | None = None,
    method: Any = "auto",
    seed: int = 0,
    n_neighbors: int | None = None,
    overwrite: bool = False,
    verbose: bool = False,
) -> dict[str, Any]:
    """Write rows of a source and what a model says of them to a Parquet file, whole or not at all.

    They are read a block at a time. `embedding-atlas FILE --x x --y y --neighbors neighbors --image image`
    opens it: pre-computed places, and neighbors as `{"ids": [...], "distances": [...]}` with zero-based row
    numbers, as Apple's embedding-atlas documents for `--x`, `--y` and `--neighbors`
    (apple.github.io/embedding-atlas/tool.html).

    Columns, in this order, for embedding-atlas shows the first of them beside each other:

    - `row`, int64: the number of the row in the source;
    - `label`, int64, float64, bool or string: where there are labels;
    - `error`, float32: of its reconstruction, mean squared in scaled units;
    - `image`, a struct of `bytes`, a PNG, and `path`, its name: the form of the `Image` feature of Hugging
      Face's datasets, whose metadata the file carries too. The name is there since embedding-atlas takes a
      struct for a picture by the ending of its path; nothing lies at that path;
    - instead of `image`, a table's own columns by their names, of a mixed table in its own types; for signals
      `signal`, a list of numbers, or of such lists, in the shape of a sample. Missing values are null;
    - `x`, `y`, float32: its place on the map;
    - `code`, a list of k float32: one column, for embedding-atlas (`--vector code`) takes vectors so, and
      draws a histogram of every column of numbers; in pandas, `np.stack(frame["code"])` is the (n, k) array;
    - `neighbors`, a struct of `ids`, a list of int64, and `distances`, a list of float32: the points with the
      nearest codes, by their position in this file, the nearest first, without the point itself.

    A column of the table that is called as one of these, or differs only by the case of letters from another,
    gets the suffix "_source", since embedding-atlas asks DuckDB, to which case is one.

    Parameters
    ----------
    ae : AutoEncoder
        Fitted.
    data : Data
    path : path
    rows : sequence of int, optional
        Which rows, rising; by default all.
    display : {"image", "curve", "table"}, optional
        How samples are shown, where their shape does not show it.
    method : {"auto", "tsne", "umap", "pca"}, default="auto"
        Of the map: see `map_codes`.
    seed : int, default=0
        Of the map.
    n_neighbors : int or None, default=None
        None is 10, or as many as there are other points.
    overwrite, verbose : bool, default=False

    Returns
    -------
    dict
        `columns`, the names; `neighbors`, how many; `renamed`, from a table's own names to those here.

    Raises
    ------
    DataError
        If the rows do not fit the model, one has a value that is not finite (the message has its number in
        the source), or more neighbors are asked for than there are other points.
    ParameterError
        If the method is not known.
    InputError
        If `path` exists and `overwrite` is false.
    """
    numbers = np.arange(len(data)) if rows is None else np.asarray(rows, dtype=np.int64)
    model, n = ae.model_, len(numbers)
    nearest = min(NEIGHBORS, n - 1) if n_neighbors is None else n_neighbors
    if not 0 <= nearest < n:
        raise DataError(
            f"{nearest} neighbors were asked for, and each of the {n:,} points has {n - 1:,} others"
        )
    data = data if n == len(data) else data[numbers]
    shown = model.display(names=data.names, rows=np.asarray(data.x[: min(n, SOME)]), kind=display)
    codes, errors = np.empty((n, model.n_components), np.float32), np.empty(n, np.float32)
    ids, distances = np.empty((n, nearest), np.int64), np.empty((n, nearest), np.float32)
    own = _free(shown.names)

    def table(block: NDArray[Any], start: int) -> pa.Table:
        part = slice(start, start + len(block))
        columns: dict[str, Any] = {"row": numbers[part]}
        if data.y is not None:
            columns["label"] = _labels(data.y[part])
        columns["error"] = errors[part]
        columns |= _samples(shown, block.reshape(-1, *shown.shape), numbers[part], own)
        columns |= {"x": plane[part, 0], "y": plane[part, 1], "code": _lists(codes[part])}
        near = [
            pa.array(list(ids[part]), pa.list_(pa.int64())),
            pa.array(list(distances[part]), pa.list_(pa.float32())),
        ]
        columns["neighbors"] = pa.StructArray.from_arrays(near, names=["ids", "distances"])
        return pa.table(columns)

    with writing(path, overwrite=overwrite) as new:
        with Progress(n, "codes", verbose=verbose) as progress:
            for start, block in blocks(data.x, most=MOST_ROWS):
                part = slice(start, start + len(block))
                check_finite(block, numbers[part], missing=data.missing)
                here = replace(data, x=block, y=None)
                codes[part] = model.transform(here)
                errors[part] = -model.score_samples(here)
                progress.rows(len(block))
        with Progress(0, "map", verbose=verbose) as progress:
            plane = map_codes(codes, method=method, random_state=seed, progress=progress.upto)
        with Progress(n, "neighbors", verbose=verbose) as progress:
            for some in np.array_split(np.arange(n), min(SEARCHES, -(-n // 4096))) if nearest else ():
                ids[some], distances[some] = neighbors(codes, some, nearest)
                progress.rows(len(some))
        schema = table(np.asarray(data.x[:1]), 0).schema
        if shown.kind == "image":
            schema = schema.with_metadata({"huggingface": json.dumps(HUGGING_FACE)})
        with (
            Progress(n, Path(path).name, verbose=verbose) as progress,
            open(new, "wb") as file,  # a name need not be text, as pyarrow asks
            pq.ParquetWriter(file, schema) as writer,
        ):
            for start, block in blocks(data.x, most=MOST_ROWS):
                writer.write_table(table(block, start))
                progress.rows(len(block))
    renamed = {old: name for old, name in zip(shown.names, own, strict=True) if old != name}
    return {"columns": schema.names, "neighbors": nearest, "renamed": renamed}


def _labels(y: NDArray[Any]) -> Any:
    if y.dtype.kind in "iufb":
        kind = {"f": np.float64, "b": np.bool_}.get(y.dtype.kind, np.int64)
        return pa.array(y.astype(kind), from_pandas=True)
    return pa.array([None if label is None else str(label) for label in y.tolist()], pa.string())


def _lists(rows: NDArray[Any]) -> Any:
    """Rows of shape (n, a, b, …) as a column of lists of a lists of b …"""
    column = pa.array(np.ascontiguousarray(rows).ravel(), from_pandas=True)
    for length in reversed(rows.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, length)
    return column


def _samples(
    display: Display, block: NDArray[Any], numbers: NDArray[np.int64], names: list[str]
) -> dict[str, Any]:
    """The columns of the samples themselves, (n, *shape); those of a table by these names."""
    if display.kind == "image":
        pictures = pa.array([png(image) for image in display.pixels(block)], pa.binary())
        paths = pa.array([f"{number}.png" for number in numbers.tolist()])
        return {"image": pa.StructArray.from_arrays([pictures, paths], names=["bytes", "path"])}
    if display.columns is not None:
        return dict(zip(names, display.columns.inverse_table(block).columns, strict=True))
    if block.dtype == np.float16:  # which few readers of Parquet know
        block = block.astype(np.float32)
    if display.kind == "curve":
        return {"signal": _lists(block)}
    return {name: _lists(column) for name, column in zip(names, block.reshape(len(block), -1).T, strict=True)}


def _free(names: Sequence[str]) -> list[str]:
    """The names of a table's columns, none of them ours or there twice."""
    taken = {name.casefold() for name in OURS}
    free = []
    for name in names:
        while name.casefold() in taken:
            name += SUFFIX
        taken.add(name.casefold())
        free.append(name)
    return free
