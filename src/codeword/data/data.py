"""`load`: one `Data` out of an array, a table, a file, a folder or a name."""

from __future__ import annotations

import difflib
import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError, ParameterError, expected
from codeword.base.text import listed, shortened
from codeword.data.arrays import find_images, is_idx, read_images
from codeword.data.labels import one_each
from codeword.data.named import NAMES, load_named
from codeword.data.reading import check_unpacked, reading
from codeword.data.rows import PartFolder, Selected, open_array, open_arrays, plain_dtype
from codeword.data.tables import (
    arrow_table,
    check_names,
    is_large_parquet,
    is_mixed,
    is_table,
    is_text,
    labels_of,
    numbers_of,
    open_parquet,
    read_tables,
)

if TYPE_CHECKING:
    from codeword.data.columns import Columns

_X_KEYS = ("x", "X", "data", "images", "arr_0")
_Y_KEYS = ("y", "labels", "target")
_ENDINGS = {
    "table": (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq"),
    ".npy": (".npy",),
    ".npz": (".npz",),
    "IDX": ("-ubyte", "-ubyte.gz"),
}
"""Of files, by how they are read."""


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """Rows to learn from, with what is known about them.

    Parameters
    ----------
    x : ndarray, memmap or PartFolder of shape (n, *sample_shape)
        The samples, as they came: any real dtype.
    y : ndarray of shape (n,), optional
        The labels. Nothing learns from them; they color maps and judge codes.
    names : tuple of str, optional
        The column names, where the samples are rows of a table.
    source : str
        A short name of where the samples came from, such as "mnist", "a.csv" or "array".
    missing : bool, default=False
        NaN in x stands for what is not known, and is no mistake.
    columns : codeword.Columns, optional
        Where x was made of a mixed table: what made it, and makes the table's own columns of it again.
    """

    x: Any
    y: NDArray[Any] | None = None
    names: tuple[str, ...] | None = None
    source: str = "array"
    missing: bool = False
    columns: Columns | None = None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self.x.shape[1:])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of x: scikit-learn takes the number of samples from it."""
        return tuple(self.x.shape)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> Data:
        """Some of the samples, by a slice, their numbers or a mask; x is not copied.

        This lets `cross_val_score(model, data, data.y)` give each fold its rows without a copy of them.
        """
        if isinstance(rows, tuple):  # scikit-learn asks for data[numbers, ...]
            rows = rows[0]
        sliced = isinstance(rows, slice) and isinstance(self.x, np.ndarray)  # which copies nothing either
        x: Any = self.x[rows] if sliced else Selected(self.x, rows)
        return replace(self, x=x, y=None if self.y is None else np.atleast_1d(self.y[rows]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """What NumPy, and with it any other estimator, makes of it: x."""
        return np.asarray(self.x, dtype=dtype)

    def __repr__(self) -> str:
        known = set() if self.y is None else {v for v in self.y.tolist() if v is not None and v == v}
        labels = "" if self.y is None else f", y {len(known)} labels"
        return f"Data({self.source}: x {self.x.shape} {self.x.dtype}{labels})"


def load(
    source: Any,
    split: str = "train",
    *,
    label_column: str | None = None,
    size: int | tuple[int, int] | None = None,
    missing: bool = False,
    kinds: Mapping[str, str] | None = None,
    columns: Columns | None = None,
) -> Data:
    """Make a `Data` from nearly anything.

    A table may be of numbers alone, or mixed: with columns of words, dates or times. `Columns` makes rows of
    numbers of a mixed one, and a warning names the columns that it leaves out.

    Parameters
    ----------
    source : Data, ndarray, torch.Tensor, DataFrame, str or Path
        A `Data` is returned as it is. An array or tensor has samples along its first axis. Of a DataFrame
        (pandas or polars, or a pyarrow Table) all columns but the labels are the features. A string or a path
        is one of:

        - a name: ``mnist``, ``fashion-mnist``, ``mnist-5k`` or ``digits``; to open a file or folder of that
          name, write ``./mnist`` or pass a Path;
        - an ``.npy`` file, opened as a read-only memory map, or an ``.npz`` file, whose samples are under
          ``x``, ``X``, ``data``, ``images`` or ``arr_0`` (or are its only array) and labels under ``y``,
          ``labels`` or ``target``; ``x_train``, ``x_test``, ``y_train``, ``y_test`` follow `split`;
        - an IDX file under whatever name, gzipped or not; labels are taken from the labels file beside it;
        - a table, ``.csv``, ``.tsv`` (``.gz`` too) or ``.parquet``: a first line of nothing but numbers is
          taken as data, and the columns are then called ``column_0``, ``column_1``, …;
        - a folder of IDX files under their usual names, where `split` chooses;
        - a folder of ``.npy`` or of ``.parquet`` files, the parts of one set in the order of their names;
          together they may be larger than memory, as may one ``.parquet`` file;
        - a folder of pictures. Sub-folders are labels. Transparent parts are laid on white;
        - a folder with folders ``train`` and ``test`` in it, of which `split` chooses one.
    split : {"train", "test"}
        Which part to take. A source without parts gives all it has, whichever is asked for. The test part of
        ``mnist-5k`` is a tenth of its images, that of ``digits`` a fifth, alike for every label.
    label_column : str, optional
        The column of a table that holds labels; of numbers a missing one is NaN, of text None.
    size : int or (int, int), optional
        Height and width to which pictures of a folder are resized.
    missing : bool, default=False
        Take empty cells of a table of numbers as NaN, for an objective that reconstructs them.
    kinds : mapping of str to {"number", "date", "flag", "category", "leave out"}, optional
        What columns of a table are, by name, where their cells do not show it: ``{"zip": "category"}``. With
        it a table of numbers alone counts as mixed.
    columns : Columns, optional
        The columns of a model, `ae.columns_`, which make the rows of numbers of a table as in training.

    Returns
    -------
    Data
        x keeps its dtype, except that booleans become float32. A table of numbers becomes uint8 if all its
        columns are, float32 if that holds each of its values for certain (float32, booleans, integers up to
        2**24), and float64 otherwise. A mixed table becomes float32, with NaN for missing cells, and has
        `columns`. A folder of pictures becomes (n, height, width) uint8 if all are gray, else
        (n, height, width, 3).

    Raises
    ------
    DataError
        If the source is missing, damaged, not numeric, empty, or has no samples axis; a table of numbers also
        if a cell is missing or not finite.
    DownloadError
        If a named set is not on this machine and cannot be fetched.
    ParameterError
        If `split`, `size` or `kinds` has a value it cannot have, or an option does not apply to the source.
    """
    if isinstance(source, Data):
        return source
    if split not in ("train", "test"):
        raise expected("split", "load", "'train' or 'test'", split)
    kind, where, name, files = _identified(source, split)
    for option, given, takes in (
        ("label_column", label_column is not None, "table"),
        ("kinds", bool(kinds), "table"),
        ("size", size is not None, "folder of pictures"),
    ):
        if given and kind != takes:
            raise ParameterError(
                f"The {option!r} parameter of load applies to a {takes}, which {where} is not."
            )
    if kind != "table":
        x, y = _read(source, kind, files, split, size)
        x = _checked_rows(x, where)
        y = None if y is None else one_each(y, len(x), where)
        return Data(x, y, None, name, missing)
    if files and columns is None and not kinds and is_large_parquet(files):
        x, y, names = open_parquet(files, where, label_column, missing=missing)
        return Data(_checked_rows(x, where), y, names, name, missing)
    as_text = {column for column, each in (kinds or {}).items() if each == "category"}
    if columns is not None:
        # Whatever the words look like in these rows.
        as_text |= {
            each.name for each in columns.columns_ if each.kind == "category" and is_text(each.cell_type)
        }
    table = read_tables(files, label_column, as_text) if files else arrow_table(source)
    with reading(where, "a table"):
        found, y = [str(each) for each in table.column_names], None
        check_names(found, table.num_rows, label_column, where)
        features = table
        if label_column is not None:
            if label_column in (kinds or {}):
                raise ParameterError(
                    f"The 'kinds' parameter names column {label_column!r}, which holds the labels: "
                    "nothing is learned from them"
                )
            y = labels_of(table.column(found.index(label_column)), label_column, where)
            features = table.remove_column(found.index(label_column))
        if columns is not None:  # these may know a column that holds the labels
            return replace(columns.transform(table, where=where), y=y, source=name)
        if kinds or is_mixed(features):
            from codeword.data.columns import fitted_columns

            columns = fitted_columns(features, kinds, where)
            return replace(columns.transform(features, where=where), y=y, source=name)
        x, names = numbers_of(features, where, missing=missing)
        return Data(_checked_rows(x, where), y, names, name, missing)


# -- what a source is ---------------------------------------------------------------------------------------


def _identified(source: Any, split: str) -> tuple[str, str, str, list[Path]]:
    """How a source is read, what messages call it, its short name, and the files to read."""
    if is_table(source):
        return "table", "the DataFrame", "DataFrame", []
    if not isinstance(source, str | os.PathLike):
        return "array", "an array", "array", []
    if isinstance(source, str) and source in NAMES:
        return "name", source, source, []
    path = Path(os.path.expanduser(source))  # which leaves ~x as it is where nobody has that name
    name = path.name or path.resolve().name or str(path)
    with reading(path, "a file or folder"):
        if not str(source) or not path.exists():
            close = difflib.get_close_matches(path.name.lower(), NAMES, n=1)
            guess = f" Did you mean {close[0]!r}?" if close else ""
            raise DataError(
                f"there is no file or folder {shortened(source)}.{guess} Known data sets: {', '.join(NAMES)}"
            )
        while (path / "train").is_dir() and (path / "test").is_dir():
            path /= split
        kind, files = _of_folder(path, split) if path.is_dir() else (_of_file(path), [path])
        return kind, str(path), name, files


def _of_file(path: Path) -> str:
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: expected data in it")
    if is_idx(path):
        return "IDX"
    for kind, endings in _ENDINGS.items():
        if path.name.lower().endswith(endings):
            return kind
    known = ", ".join((*_ENDINGS["table"], ".npy", ".npz"))
    raise DataError(f"{path} is of a kind that is not known: expected IDX, {known}, or a folder")


def _of_folder(path: Path, split: str) -> tuple[str, list[Path]]:
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    arrays = [entry for entry in inside if entry.name.lower().endswith(".npy")]
    tables = [entry for entry in inside if entry.name.lower().endswith((".parquet", ".pq"))]
    if arrays and tables:
        found = listed(entry.name for entry in inside if entry in (*arrays, *tables))
        raise DataError(f"{path} holds parts of two kinds, {found}: keep one kind")
    if arrays or tables:
        return ("parts", arrays) if arrays else ("table", tables)
    images = find_images(path, split)
    return ("folder of pictures", [path]) if images is None else ("IDX", [images])


# -- arrays -------------------------------------------------------------------------------------------------


def _read(source: Any, kind: str, files: list[Path], split: str, size: Any) -> tuple[Any, Any]:
    """The samples and labels of what is no table."""
    if kind == "array":
        return _in_memory(source), None
    if kind == "name":
        return load_named(source, split)
    if kind == "IDX":
        return read_images(files[0])
    if kind == ".npy":
        return open_array(files[0]), None
    if kind == ".npz":
        return _read_npz(files[0], split)
    if kind == "parts":
        return open_arrays(files), None
    from codeword.data.images import read_folder

    return read_folder(files[0], size)


def _in_memory(source: Any) -> NDArray[Any]:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.Tensor):
        with reading("the tensor", f"a dense array of {source.dtype}"):
            # NumPy has no bfloat16.
            small = source.is_floating_point() and source.element_size() < 4
            array: NDArray[Any] = (source.float() if small else source).detach().cpu().numpy()
            return array
    if not isinstance(source, np.ndarray):
        raise DataError(
            f"cannot load a {type(source).__name__}: expected an array, a tensor, a DataFrame, a path or a "
            f"name ({', '.join(NAMES)})"
        )
    return source


def _read_npz(path: Path, split: str) -> tuple[Any, Any]:
    with reading(path, "an .npz archive"), zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        found = []
        for key in _npz_keys(path, list(members), split):
            check_unpacked(path, members[key].compress_size, members[key].file_size)
            with archive.open(members[key]) as file:
                found.append(np.lib.format.read_array(file, allow_pickle=False))
        return found[0], found[1] if len(found) > 1 else None


def _npz_keys(path: Path, keys: list[str], split: str) -> list[str]:
    """Choose the arrays of samples and, if there are any, of labels by their names."""
    for x_key in (f"x_{split}", f"X_{split}"):
        if x_key in keys:
            return [x_key, f"y_{split}"] if f"y_{split}" in keys else [x_key]
    y_keys = [key for key in _Y_KEYS if key in keys][:1]
    plain = [key for key in _X_KEYS if key in keys]
    others = [key for key in keys if key not in y_keys and not key.startswith("y_")]
    if not plain and len(others) == 1 and others[0].lower() not in ("x_train", "x_test"):
        plain = others
    if not plain:
        raise DataError(
            f"{path} has no array of samples for the {split} split: expected x, X, data, images or "
            f"x_{split}, found {listed(keys) or 'nothing'}"
        )
    return [plain[0], *y_keys]


def _checked_rows(x: Any, where: str) -> Any:
    """Check that x is numeric rows, and return it in a dtype that every later step knows."""
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where} holds values of type {x.dtype}: expected real numbers (integers or floats)")
    if x.ndim < 2:
        raise DataError(
            f"{where} has the shape {x.shape}: expected samples along the first axis and features after it; "
            "reshape it, for one feature with x.reshape(-1, 1)"
        )
    if 0 in x.shape:
        raise DataError(f"{where} holds no values: its shape is {x.shape}")
    if isinstance(x, PartFolder):
        return x
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.getmaskarray(x).any():
            raise DataError(f"{where} has masked values: fill or drop them first")
        x = x.data
    return x.astype(plain_dtype(x.dtype), copy=False)
