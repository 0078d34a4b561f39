"""One row for each point in a Parquet file, in the form that embedding-atlas opens and pandas reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError
from codeword.base.files import writing
from codeword.base.progress import Progress
from codeword.export.points import Points
from codeword.plots.sprites import png
from codeword.tasks.map import map_codes
from codeword.tasks.neighbors import neighbors

__all__ = ["NEIGHBORS", "write_parquet"]

NEIGHBORS = 10
"""As many as are named for each point where there are so many others."""

OURS = ("row", "x", "y", "code", "label", "error", "neighbors", "image", "signal")
SUFFIX = "_source"
SEARCHES = 32
"""The search for neighbors goes in so many parts at most: each makes an index of all the codes."""


def write_parquet(
    points: Points,
    path: str | Path,
    *,
    method: Any = "auto",
    seed: int = 0,
    n_neighbors: int | None = None,
    overwrite: bool = False,
    verbose: bool = False,
) -> dict[str, Any]:
    """Write points to a Parquet file, whole or not at all, a block of rows at a time.

    `embedding-atlas FILE --x x --y y --neighbors neighbors --image image` opens it: pre-computed places, and
    neighbors as `{"ids": [...], "distances": [...]}` with zero-based row numbers, as Apple's embedding-atlas
    documents for `--x`, `--y` and `--neighbors` (apple.github.io/embedding-atlas/tool.html).

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
    points : Points
    path : path
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
        If more neighbors are asked for than there are other points.
    ParameterError
        If the method is not known.
    InputError
        If `path` exists and `overwrite` is false.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = len(points)
    nearest = min(NEIGHBORS, n - 1) if n_neighbors is None else n_neighbors
    if not 0 <= nearest < n:
        raise DataError(
            f"{nearest} neighbors were asked for, and each of the {n:,} points has {n - 1:,} others"
        )
    with writing(path, overwrite=overwrite) as new:
        with Progress(0, "map", verbose=verbose) as progress:
            plane = map_codes(points.codes, method=method, random_state=seed, progress=progress.upto)
        ids, distances = _neighbors(points.codes, nearest, verbose)
        own, metadata, renamed = _own_fields(points)
        schema = pa.schema(_fields(points, own), metadata=metadata)
        with (
            Progress(n, Path(path).name, verbose=verbose) as progress,
            pq.ParquetWriter(str(new), schema) as writer,
        ):
            for part, block in points.blocks():
                columns = [
                    pa.array(points.rows[part]),
                    *([] if points.y is None else [_labels(points.y[part])]),
                    pa.array(points.errors[part]),
                    *_own_columns(points, block, points.rows[part]),
                    *(pa.array(np.ascontiguousarray(axis)) for axis in plane[part].T),
                    _lists(points.codes[part]),
                    pa.StructArray.from_arrays(
                        [_ragged(ids[part], pa.int64()), _ragged(distances[part], pa.float32())],
                        names=["ids", "distances"],
                    ),
                ]
                writer.write_table(pa.table(columns, schema=schema))
                progress.rows(len(block))
    return {"columns": schema.names, "neighbors": nearest, "renamed": renamed}


def _neighbors(
    codes: NDArray[np.float32], number: int, verbose: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The rows with the nearest codes, and how far they are, both (n, number)."""
    n = len(codes)
    ids, distances = np.empty((n, number), np.int64), np.empty((n, number), np.float32)
    if number:
        with Progress(n, "neighbors", verbose=verbose) as progress:
            for part in np.array_split(np.arange(n), min(SEARCHES, -(-n // 4096))):
                ids[part], distances[part] = neighbors(codes, part, number)
                progress.rows(len(part))
    return ids, distances


# -- the columns of every source ----------------------------------------------------------------------------


def _fields(points: Points, own: list[Any]) -> list[Any]:
    import pyarrow as pa

    label = [] if points.y is None else [pa.field("label", _labels(points.y[:0]).type)]
    near = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float32()))])
    return [
        pa.field("row", pa.int64()),
        *label,
        pa.field("error", pa.float32()),
        *own,
        pa.field("x", pa.float32()),
        pa.field("y", pa.float32()),
        pa.field("code", pa.list_(pa.float32(), points.codes.shape[1])),
        pa.field("neighbors", near),
    ]


def _labels(y: NDArray[Any]) -> Any:
    import pyarrow as pa

    if y.dtype.kind in "iufb":
        return pa.array(
            y.astype({"f": np.float64, "b": np.bool_}.get(y.dtype.kind, np.int64)), from_pandas=True
        )
    return pa.array([None if label is None else str(label) for label in y.tolist()], pa.string())


def _lists(rows: NDArray[Any]) -> Any:
    """Rows of shape (n, a, b, …) as a column of lists of a lists of b …"""
    import pyarrow as pa

    column = pa.array(np.ascontiguousarray(rows).ravel(), from_pandas=True)
    for length in reversed(rows.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, length)
    return column


def _ragged(rows: NDArray[Any], kind: Any) -> Any:
    """Rows of shape (n, m) as a column of lists without a length of their own: m may be 0."""
    import pyarrow as pa

    ends = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(rows.shape[1])
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(np.ascontiguousarray(rows).ravel(), kind))


# -- what a row itself is -----------------------------------------------------------------------------------


def _own_fields(points: Points) -> tuple[list[Any], dict[str, str] | None, dict[str, str]]:
    """The fields of the samples themselves, the file's metadata, and the columns that had to be renamed."""
    import pyarrow as pa

    if points.display.kind == "image":
        struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        features = {"info": {"features": {"image": {"_type": "Image"}}}}
        return [pa.field("image", struct)], {"huggingface": json.dumps(features)}, {}
    kind = pa.from_numpy_dtype(_kept(points.x.dtype))
    if points.display.kind == "curve":
        for length in reversed(points.display.shape):
            kind = pa.list_(kind, length)
        return [pa.field("signal", kind)], None, {}
    names = _free(points.display.names)
    renamed = {old: new for old, new in zip(points.display.names, names, strict=True) if old != new}
    kinds = [kind] * len(names) if points.display.columns is None else points.display.columns.schema().types
    return [pa.field(name, kind) for name, kind in zip(names, kinds, strict=True)], None, renamed


def _own_columns(points: Points, block: NDArray[Any], rows: NDArray[np.int64]) -> list[Any]:
    import pyarrow as pa

    if points.display.kind == "image":
        images = points.display.pixels(block)
        paths = pa.array([f"{row}.png" for row in rows.tolist()])
        pictures = pa.array([png(image) for image in images], pa.binary())
        return [pa.StructArray.from_arrays([pictures, paths], names=["bytes", "path"])]
    if points.display.columns is not None:
        return [column.combine_chunks() for column in points.display.columns.inverse_table(block).columns]
    block = block.astype(_kept(block.dtype), copy=False)
    if points.display.kind == "curve":
        return [_lists(block)]
    flat = block.reshape(len(block), -1)
    return [pa.array(np.ascontiguousarray(column), from_pandas=True) for column in flat.T]


def _kept(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Half precision becomes single: few readers of Parquet know it."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


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
