"""`load`: one `Data` out of an array, a table, a file, a folder or a name."""

from __future__ import annotations

import contextlib
import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codeword.base.errors import DataError, ParameterError
from codeword.base.text import listed
from codeword.data.arrays import find_images, is_idx, read_images
from codeword.data.named import NAMES, load_named
from codeword.data.reading import check_unpacked, reading
from codeword.data.rows import PartFolder, Selected, open_arrays
from codeword.data.tables import (
    arrow_table,
    check_names,
    is_large_parquet,
    is_mixed,
    is_table,
    labels_of,
    numbers_of,
    open_parquet,
    read_tables,
)

if TYPE_CHECKING:
    from codeword.data.columns import Columns

__all__ = ["Data", "load"]

_NPY_MAGIC = b"\x93NUMPY"
_X_KEYS = ("x", "X", "data", "images", "arr_0")
_Y_KEYS = ("y", "labels", "target")
_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq")
_SUFFIXES = (".npy", ".npz", *_TABLES)
_PARTS = (".npy", ".parquet", ".pq")


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
    columns : codeword.columns.Columns, optional
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


@dataclass(frozen=True)
class _Options:
    """What `load` is told about a source."""

    split: str
    label_column: str | None
    size: int | tuple[int, int] | None
    missing: bool
    kinds: Mapping[str, str] | None
    columns: Columns | None

    def refuse_table(self, source: str) -> None:
        """Raise a ParameterError if an option was given that is for tables, which `source` is not."""
        _refuse(self.label_column is not None, "label_column", "a table", source)
        _refuse(bool(self.kinds), "kinds", "a CSV, TSV or Parquet file, or a folder of the last", source)

    def refuse_size(self, source: str) -> None:
        """Raise a ParameterError if a size was given, where `source` is no folder of pictures."""
        _refuse(self.size is not None, "size", "a folder of pictures", source)


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
    _check_split(split)
    options = _Options(split, label_column, size, missing, kinds, columns)
    if is_table(source):
        options.refuse_size("DataFrame")
        return _of_table(arrow_table(source), options, "the DataFrame", "DataFrame")
    if not isinstance(source, str | PathLike):
        options.refuse_table("an array")
        options.refuse_size("an array")
        return replace(_data(_in_memory(source), None, None, "array"), missing=missing)
    if isinstance(source, str) and source in NAMES:
        options.refuse_table(source)
        options.refuse_size(source)
        return _data(*load_named(source, split), None, source)
    path = Path(source)
    with contextlib.suppress(RuntimeError):  # a file may be called ~x, and nobody has that name
        path = path.expanduser()
    _check_exists(path, str(source))
    name = path.name or path.resolve().name or str(path)
    if path.is_dir():
        return _folder(path, options, name)
    options.refuse_size(str(path))
    return _file(path, options, name)


def _of_table(table: Any, options: _Options, where: str, source: str) -> Data:
    """The rows and labels of an Arrow table: of numbers as they are, of a mixed one through `Columns`."""
    label_column, y = options.label_column, None
    with reading(where, "a table"):
        names = [str(name) for name in table.column_names]
        check_names(names, table.num_rows, label_column, where)
        if label_column is not None:
            place = names.index(label_column)
            y = labels_of(table.column(place), label_column, where)
        if options.columns is not None:  # these may know a column that holds the labels
            return replace(options.columns.transform(table, where=where), y=y, source=source)
        if label_column is not None:
            table = table.remove_column(place)
            if label_column in (options.kinds or {}):
                raise ParameterError(
                    f"The 'kinds' parameter names column {label_column!r}, which holds the labels: nothing "
                    "is learnt from them"
                )
        if options.kinds or is_mixed(table):
            from codeword.data.columns import fitted_columns

            columns = fitted_columns(table, options.kinds, where)
            return replace(columns.transform(table, where=where), y=y, source=source)
        x, found = numbers_of(table, where, missing=options.missing)
        return replace(_data(x, y, found, source), missing=options.missing)


def _of_table_files(paths: list[Path], options: _Options, source: str) -> Data:
    label_column, kinds = options.label_column, options.kinds or {}
    if options.columns is None and not kinds and is_large_parquet(*paths):
        rows = open_parquet(paths, label_column, missing=options.missing)
        return replace(_data(*rows, source), missing=options.missing)
    as_text = {name for name, kind in kinds.items() if kind == "category"}
    if options.columns is not None:
        as_text |= options.columns.words
    table = read_tables(paths, label_column, as_text)
    return _of_table(table, options, str(paths[0] if len(paths) == 1 else paths[0].parent), source)


def _check_split(split: object) -> None:
    if split not in ("train", "test"):
        raise ParameterError(
            f"The 'split' parameter of load must be 'train' or 'test'. Got {split!r} instead."
        )


def _refuse(given: bool, option: str, applies_to: str, source: str) -> None:
    if given:
        raise ParameterError(
            f"The {option!r} parameter of load applies to {applies_to}, which {source} is not."
        )


def _check_exists(path: Path, given: str) -> None:
    with reading(path, "a file or folder"):
        if not given or any(mark in given for mark in "\0\n\r"):
            raise DataError(f"{given!r} is not a path; known data sets: {', '.join(NAMES)}")
        if path.is_file() or path.is_dir():
            return
        if path.exists():
            raise DataError(
                f"{path} is neither a file nor a folder: expected one of these, or a data set's name"
            )
        close = difflib.get_close_matches(path.name.lower(), NAMES, n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise DataError(f"there is no file or folder {path}.{guess} Known data sets: {', '.join(NAMES)}")


def _data(x: Any, y: Any, names: tuple[str, ...] | None, source: str) -> Data:
    x = _rows(x, source)
    return Data(x, None if y is None else _labels(y, len(x), source), names, source)


def _rows(x: Any, source: str) -> Any:
    """Check that x is numeric rows, and return it in a dtype that every later step knows."""
    if isinstance(x, PartFolder) and x.dtype.kind in "iuf" and x.dtype.isnative and x.ndim > 1 and len(x):
        return x
    if x.dtype.kind not in "biuf":
        raise DataError(
            f"{source} holds values of type {x.dtype}: expected real numbers (integers or floats)"
        )
    if x.ndim < 2:
        raise DataError(
            f"{source} has the shape {x.shape}: expected samples along the first axis and features after it; "
            "reshape it, for one feature with x.reshape(-1, 1)"
        )
    if 0 in x.shape:
        raise DataError(f"{source} holds no values: its shape is {x.shape}")
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.getmaskarray(x).any():
            raise DataError(f"{source} has masked values: fill or drop them first")
        x = x.data
    if x.dtype.kind == "b":
        return x.astype(np.float32)
    if x.dtype.itemsize > 8:
        return x.astype(np.float64)
    return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))


def _labels(labels: Any, n: int, source: str) -> NDArray[Any]:
    y: NDArray[Any] = np.asarray(labels)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            f"{source} has labels of shape {y.shape}: expected one label for each of the {n} samples"
        )
    if len(y) != n:
        raise DataError(f"{source} has {n} samples but {len(y)} labels: expected one label for each sample")
    return y


def _in_memory(source: Any) -> NDArray[Any]:
    if isinstance(source, np.ndarray):
        return source
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(source, torch.Tensor):
        return _from_tensor(source)
    raise DataError(
        f"cannot load a {type(source).__name__}: expected an array, a tensor, a DataFrame, a path or a name "
        f"({', '.join(NAMES)})"
    )


def _from_tensor(tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    try:
        if tensor.is_floating_point() and tensor.element_size() < 4:
            tensor = tensor.float()  # NumPy has no bfloat16
        values: NDArray[Any] = tensor.numpy()
        return values
    except (TypeError, RuntimeError) as error:
        raise DataError(
            f"a tensor of {tensor.dtype} and {tensor.layout} cannot be read: expected a dense one"
        ) from error


def _file(path: Path, options: _Options, source: str) -> Data:
    with reading(path, "data"):
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty: expected data in it")
        with open(path, "rb"):
            pass
    name, idx = path.name.lower(), is_idx(path)
    if name.endswith(_TABLES) and not idx:
        return _of_table_files([path], options, source)
    options.refuse_table(str(path))
    x, y = None, None
    if idx or "-ubyte" in name:
        x, y = read_images(path)
    elif name.endswith(".npy"):
        x = _read_npy(path)
    elif name.endswith(".npz"):
        x, y = _read_npz(path, options.split)
    else:
        raise DataError(
            f"{path} is of a kind that is not known: expected IDX, {', '.join(_SUFFIXES)}, or a folder"
        )
    return replace(_data(x, y, None, source), missing=options.missing)


def _read_npy(path: Path) -> NDArray[Any]:
    with reading(path, "a NumPy array"):
        with open(path, "rb") as handle:
            head = handle.read(6)
        if head != _NPY_MAGIC:
            raise DataError(f"{path} is not a NumPy file: it starts with {head!r}, expected {_NPY_MAGIC!r}")
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _read_npz(path: Path, split: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    # The file is opened here since numpy leaves it open where it turns out to be no archive.
    with reading(path, "an .npz archive"), open(path, "rb") as handle:
        head = handle.read(2)
        if head != b"PK":
            raise DataError(f"{path} is not an .npz archive: it starts with {head!r}, expected {b'PK'!r}")
        handle.seek(0)
        with np.load(handle, allow_pickle=False) as archive:
            x_key, y_key = _npz_keys(path, archive.files, split)
            packed = {member.filename.removesuffix(".npy"): member for member in archive.zip.infolist()}
            for key in (x_key, y_key):
                if key in packed:
                    check_unpacked(path, packed[key].compress_size, packed[key].file_size)
            x, y = archive[x_key], None if y_key is None else archive[y_key]
            for key, value in ((x_key, x), (y_key, y)):
                if key is not None and not isinstance(value, np.ndarray):  # other members come as bytes
                    raise DataError(f"{path}: {key!r} is no array: expected one as np.savez writes it")
            return x, y


def _npz_keys(path: Path, keys: list[str], split: str) -> tuple[str, str | None]:
    """Choose the arrays of samples and of labels by their names."""
    parted = [key for key in (f"x_{split}", f"X_{split}") if key in keys]
    if parted:
        return parted[0], next((key for key in (f"y_{split}",) if key in keys), None)
    plain = [key for key in _X_KEYS if key in keys]
    y_key = next((key for key in _Y_KEYS if key in keys), None)
    others = [key for key in keys if key != y_key and not key.startswith("y_")]
    if not plain and len(others) == 1 and others[0].lower() not in ("x_train", "x_test"):
        plain = others
    if not plain:
        raise DataError(
            f"{path} has no array of samples for the {split} split: expected x, X, data, images or "
            f"x_{split}, found {listed(keys) or 'nothing'}"
        )
    return plain[0], y_key


def _folder(path: Path, options: _Options, source: str) -> Data:
    with reading(path, "a folder"):
        inside = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
        if (path / "train").is_dir() and (path / "test").is_dir():
            return _folder(path / options.split, options, source)
    parts = [path / name for name in inside if name.lower().endswith(_PARTS)]
    arrays = [part for part in parts if part.suffix.lower() == ".npy"]
    if arrays and len(arrays) < len(parts):
        raise DataError(
            f"{path} holds parts of two kinds, {listed(part.name for part in parts)}: keep one kind"
        )
    if parts and not arrays:
        options.refuse_size(str(path))
        return _of_table_files(parts, options, source)
    options.refuse_table(str(path))
    if arrays:
        options.refuse_size(str(path))
        return replace(_data(open_arrays(arrays), None, None, source), missing=options.missing)
    images = find_images(path, options.split)
    if images is not None:
        options.refuse_size(str(path))
        return _data(*read_images(images), None, source)
    from codeword.data.images import SUFFIXES, read_folder

    found = read_folder(path, options.size)
    if found is not None:
        return _data(*found, None, source)
    files = [name for name in inside if name.lower().endswith(_SUFFIXES)]
    hint = f"; for a table or an array give the file itself, such as {path / files[0]}" if files else ""
    raise DataError(
        f"{path} holds nothing that can be read: looked for IDX files (train-images-idx3-ubyte, …), pictures "
        f"({', '.join(SUFFIXES)}) there or in sub-folders, and folders train and test; "
        f"found {listed(inside, 4) or 'nothing'}{hint}"
    )
