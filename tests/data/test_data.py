"""`load` on arrays, files and folders: what comes back, and one clear line for whatever cannot."""

from __future__ import annotations

import gzip
import os
import struct
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from codeword import AutoEncoder
from codeword.base.errors import DataError, ParameterError
from codeword.cli.main import run
from codeword.data import Data, load, tables
from codeword.data.rows import PartFolder

DTYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
MNIST = Path(os.environ.get("CODEWORD_DATA") or Path(__file__).parents[3] / "shared" / "data") / "mnist"
quick = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


def idx_bytes(values: np.ndarray) -> bytes:
    code = DTYPES[values.dtype.newbyteorder("=").str[1:]]
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    return head + values.astype(values.dtype.newbyteorder(">")).tobytes()


def write_idx_folder(folder: Path, *, name: str = "{}-{}-idx{}-ubyte", pack: bool = False) -> None:
    rng = np.random.default_rng(0)
    for part, n in (("train", 6), ("t10k", 4)):
        for kind, values in (
            ("images", rng.integers(0, 256, (n, 3, 2), dtype=np.uint8)),
            ("labels", np.arange(n, dtype=np.uint8)),
        ):
            content = idx_bytes(values)
            path = folder / (name.format(part, kind, values.ndim) + (".gz" if pack else ""))
            path.write_bytes(gzip.compress(content) if pack else content)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def picture(
    path: Path, color: Any = 7, size: tuple[int, int] = (4, 3), mode: str = "L", **options: Any
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


def complaint(source: Any, *words: str, **options: Any) -> str:
    """Load, expecting a `DataError` of one line with all of `words` in it."""
    with pytest.raises(DataError) as caught:
        load(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message


# Arrays, tensors, frames


def test_an_array_comes_back_untouched() -> None:
    x = np.arange(12.0).reshape(3, 2, 2)
    data = load(x)
    assert data.x is x
    assert (data.y, data.names, data.source, data.sample_shape, len(data)) == (None, None, "array", (2, 2), 3)
    assert load(data) is data


def test_the_repr_is_short() -> None:
    assert repr(Data(np.zeros((3, 2)), np.array([0, 1, 1]))) == "Data(array: x (3, 2) float64, y 2 labels)"
    assert repr(load(np.zeros((3, 2), np.uint8))) == "Data(array: x (3, 2) uint8)"


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.bfloat16, torch.bool])
def test_a_tensor_becomes_an_array(dtype: torch.dtype) -> None:
    tensor = torch.tensor([[0, 1], [1, 0]]).to(dtype)
    x = load(tensor).x
    assert isinstance(x, np.ndarray)
    np.testing.assert_array_equal(x, [[0, 1], [1, 0]])


def test_a_tensor_with_gradients_can_be_read() -> None:
    assert load(torch.ones(2, 2, requires_grad=True)).x.tolist() == [[1, 1], [1, 1]]


def test_a_sparse_tensor_is_refused() -> None:
    complaint(torch.eye(3).to_sparse(), "dense")


def test_a_frame_gives_rows_labels_and_names() -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5], "kind": ["x", "y"], "b": [3, 4]}, index=[7, 9])
    data = load(frame, label_column="kind")
    assert data.x.tolist() == [[1.5, 3], [2.5, 4]]
    assert data.y is not None
    assert data.y.tolist() == ["x", "y"]
    assert data.names == ("a", "b")
    assert data.source == "DataFrame"


def test_a_frame_with_a_hole_names_the_cell() -> None:
    complaint(pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, np.nan]}), "row 2", "'b'", "empty")


def test_a_frame_keeps_integer_names_and_small_types() -> None:
    data = load(pd.DataFrame(np.full((2, 2), 200, np.uint8)))
    assert data.x.dtype == np.uint8
    assert data.names == ("0", "1")
    assert load(pd.DataFrame(np.ones((2, 2), np.float32))).x.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (np.zeros(3), "reshape"),
        (np.ones(()), "reshape"),
        (np.zeros((0, 3)), "no values"),
        (np.zeros((3, 0)), "no values"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.array([[1, None]], dtype=object), "object"),
        (np.zeros((2, 2), "M8[s]"), "datetime64"),
        (np.ma.masked_array([[1.0, 2.0]], [[True, False]]), "masked"),
    ],
)
def test_arrays_that_are_no_rows_of_numbers(values: Any, word: str) -> None:
    complaint(values, word)


def test_other_objects_are_refused_with_what_would_do() -> None:
    complaint({"x": 1}, "dict", "an array", "mnist-5k")


def test_dtypes_that_later_steps_would_not_know_are_changed() -> None:
    assert load(np.ones((2, 2), bool)).x.dtype == np.float32
    assert load(np.ones((2, 2), ">f4")).x.dtype.isnative
    assert load(np.ones((2, 2), np.longdouble)).x.dtype == np.float64


# Options


@pytest.mark.parametrize("split", ["valid", None, 1])
def test_an_unknown_split(split: Any) -> None:
    with pytest.raises(ParameterError, match=r"The 'split' parameter .* 'train' or 'test'\. Got"):
        load(np.zeros((2, 2)), split)


@pytest.mark.parametrize("size", [0, -1, 2.5, (1, 2, 3), "8", True, (4, 0)])
def test_an_impossible_size(tmp_path: Path, size: Any) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(ParameterError, match=r"The 'size' parameter .* Got"):
        load(tmp_path, size=size)


def test_an_option_that_does_not_apply_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    picture(tmp_path / "pictures" / "a.png")
    for source, options in (
        (np.zeros((2, 2)), {"label_column": "y"}),
        (tmp_path / "a.npy", {"label_column": "y"}),
        (tmp_path / "pictures", {"label_column": "y"}),
        ("digits", {"size": 8}),
        (tmp_path / "a.npy", {"size": 8}),
    ):
        with pytest.raises(ParameterError, match="applies to"):
            load(source, **options)


# Paths that are not there or not known


def test_a_missing_path_suggests_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    complaint("fashion_mnist", "no file or folder", "Did you mean 'fashion-mnist'?", "digits")
    assert "Did you mean" not in complaint(tmp_path / "nowhere.csv", "nowhere.csv", "mnist-5k")
    complaint("", "no file or folder")
    complaint("two\nlines", "no file or folder two lines")
    complaint("a" * 5000, "cannot be read")


def test_a_name_wins_over_a_file_of_that_name_but_not_over_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    write_idx_folder(tmp_path / "digits")
    assert load("digits").sample_shape == (8, 8)
    assert load("./digits").sample_shape == (3, 2)
    assert load(Path("digits")).sample_shape == (3, 2)


@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.npz", "a.parquet", "train-images-idx3-ubyte", "a"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    complaint(write(tmp_path / name, ""), name, "is empty")


def test_an_unknown_kind_of_file_lists_the_known(tmp_path: Path) -> None:
    complaint(write(tmp_path / "a.pkl", "hello"), "a.pkl", ".npy", ".parquet", "IDX")


def test_a_folder_of_nothing_says_what_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "notes.txt", "hello")
    complaint(tmp_path, "train-images-idx3-ubyte", ".png", "found notes.txt")
    write(tmp_path / "table.csv", "a\n1\n")
    complaint(tmp_path, "give the file itself", "table.csv")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a\n1\n")
    path.chmod(0)
    complaint(path, "permission denied")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    complaint(folder, "permission denied")
    folder.chmod(0o700)


def test_what_the_system_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(np.lib.format, "open_memmap", refuse)
    complaint(tmp_path / "a.npy", "a.npy", "permission denied")
    monkeypatch.setattr(Path, "iterdir", refuse)
    complaint(tmp_path, str(tmp_path), "permission denied")


# npy and npz


def test_npy_is_a_memory_map(tmp_path: Path) -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.save(tmp_path / "a.npy", x)
    data = load(tmp_path / "a.npy", "test")
    assert isinstance(data.x, np.memmap)
    np.testing.assert_array_equal(data.x, x)
    assert data.source == "a.npy"


def test_parts_have_the_types_that_one_array_would_have(tmp_path: Path) -> None:
    for name, values in {"truth": np.eye(3, dtype=bool), "big": np.eye(3, dtype=">i2")}.items():
        (tmp_path / name).mkdir()
        for i in range(2):
            np.save(tmp_path / name / f"{i}.npy", values[i : i + 2])
        x = load(tmp_path / name).x
        assert x.dtype == load(values).x.dtype
        np.testing.assert_array_equal(x[:], values[[0, 1, 1, 2]])


def test_npy_files_that_are_none(tmp_path: Path) -> None:
    complaint(write(tmp_path / "text.npy", "hello, world\n" * 9), "text.npy", "NumPy", "hello")
    np.save(tmp_path / "whole.npy", np.zeros((50, 50)))
    content = (tmp_path / "whole.npy").read_bytes()
    complaint(write(tmp_path / "cut.npy", content[:-100]), "cut.npy", "cannot be read")
    np.save(tmp_path / "objects.npy", np.array([[1, None]], dtype=object), allow_pickle=True)
    complaint(tmp_path / "objects.npy", "objects.npy", "object")
    np.save(tmp_path / "none.npy", np.zeros((0, 4)))
    complaint(tmp_path / "none.npy", "none.npy")


@pytest.mark.parametrize("key", ["x", "X", "data", "images", "arr_0", "anything"])
def test_npz_finds_samples_and_labels(tmp_path: Path, key: str) -> None:
    np.savez(tmp_path / "a.npz", **{key: np.eye(3), "labels": np.arange(3)})
    data = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.x, np.eye(3))
    assert data.y is not None
    assert data.y.tolist() == [0, 1, 2]


def test_npz_follows_the_split(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x_train=np.ones((3, 2)), y_train=[0, 1, 2], x_test=np.zeros((1, 2)), y_test=[5])
    train, test = load(path), load(path, "test")
    assert train.y is not None
    assert test.y is not None
    assert (len(train), train.y.tolist(), len(test), test.y.tolist()) == (3, [0, 1, 2], 1, [5])


def test_npz_files_that_do_not_do(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=np.eye(2), b=np.eye(2))
    complaint(tmp_path / "two.npz", "x_train", "found a, b")
    np.savez(tmp_path / "train.npz", x_train=np.eye(2))
    complaint(tmp_path / "train.npz", "test split", split="test")
    np.savez(tmp_path / "count.npz", x=np.eye(3), y=np.arange(5))
    complaint(tmp_path / "count.npz", "3 rows", "5 labels")
    np.savez(tmp_path / "deep.npz", x=np.eye(3), y=np.eye(3))
    complaint(tmp_path / "deep.npz", "labels of", "the shape (3, 3)")
    np.savez(tmp_path / "objects.npz", allow_pickle=True, x=np.array([[None]]))
    complaint(tmp_path / "objects.npz", "objects.npz", "allow_pickle=False")
    complaint(write(tmp_path / "text.npz", "hello"), "text.npz", "an .npz archive")
    complaint(write(tmp_path / "cut.npz", (tmp_path / "two.npz").read_bytes()[:80]), "cut.npz")


# IDX


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("name", ["{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte"])
def test_an_idx_folder_has_two_splits(tmp_path: Path, name: str, pack: bool) -> None:
    write_idx_folder(tmp_path, name=name, pack=pack)
    for split, n in (("train", 6), ("test", 4)):
        data = load(tmp_path, split)
        assert data.x.shape == (n, 3, 2)
        assert data.y is not None
        assert data.y.tolist() == list(range(n))


def test_an_images_file_brings_the_labels_beside_it(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, pack=True)
    data = load(tmp_path / "t10k-images-idx3-ubyte.gz")
    assert data.y is not None
    assert data.y.tolist() == [0, 1, 2, 3]
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    assert load(tmp_path / "t10k-images-idx3-ubyte.gz").y is None


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("pack", [False, True])
def test_every_idx_type_comes_back_native_under_any_name(tmp_path: Path, dtype: str, pack: bool) -> None:
    x = np.array([[0, 1, 100], [7, 8, 9]], dtype)
    content = idx_bytes(x)
    data = load(write(tmp_path / "whatever.bin", gzip.compress(content) if pack else content))
    assert data.x.dtype == np.dtype(dtype)
    assert data.x.dtype.isnative
    np.testing.assert_array_equal(data.x, x)


def test_an_idx_file_of_the_wrong_length_names_the_bytes(tmp_path: Path) -> None:
    whole = idx_bytes(np.zeros((5, 4), np.int32))
    for pack in (bytes, gzip.compress):
        complaint(write(tmp_path / "a-images-ubyte", pack(whole[:-7])), "promises 80 bytes", "found 73")
        complaint(write(tmp_path / "a-images-ubyte", pack(whole + b"more")), "promises 80 bytes", "found")
        complaint(write(tmp_path / "a-images-ubyte", pack(whole[:9])), "cannot be read as IDX")
        complaint(write(tmp_path / "a-images-ubyte", pack(whole[:3])), "not an IDX file")


def test_an_idx_header_is_not_believed_before_the_size_is_known(tmp_path: Path) -> None:
    absurd = struct.pack(">BBBB4I", 0, 0, 0x0E, 4, *[0xFFFFFFFF] * 4)
    complaint(write(tmp_path / "a.bin", absurd), "promises", "found 0")
    complaint(write(tmp_path / "b.bin", gzip.compress(absurd)), "b.bin", "unpacks to")


def test_a_gzip_file_cut_or_damaged_in_the_middle(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = gzip.compress(idx_bytes(rng.integers(0, 256, (50, 40), dtype=np.uint8)))
    complaint(
        write(tmp_path / "a-images-idx2-ubyte.gz", content[: len(content) // 2]), "a-images", "ended before"
    )
    broken = content[:1000] + bytes(100) + content[1100:]
    complaint(write(tmp_path / "b-images-idx2-ubyte.gz", broken), "b-images-idx2-ubyte.gz")


def test_a_gzip_bomb_behind_a_small_header_is_not_unpacked(tmp_path: Path) -> None:
    bomb = gzip.compress(idx_bytes(np.zeros((2, 2), np.uint8)) + bytes(1 << 24))
    complaint(write(tmp_path / "a-images-ubyte.gz", bomb), "promises 4 bytes", "found more")


def test_idx_labels_that_do_not_match(tmp_path: Path) -> None:
    write_idx_folder(tmp_path)
    write(tmp_path / "train-labels-idx1-ubyte", idx_bytes(np.zeros(9, np.uint8)))
    complaint(tmp_path, "6 rows", "9 labels")


def test_an_idx_folder_without_the_split_or_with_two(tmp_path: Path) -> None:
    write(tmp_path / "train-images-idx2-ubyte", idx_bytes(np.zeros((2, 2), np.uint8)))
    complaint(tmp_path, "no test images", "t10k-images-idx3-ubyte", split="test")
    write(tmp_path / "letters-train-images-idx2-ubyte", idx_bytes(np.zeros((2, 2), np.uint8)))
    complaint(tmp_path, "several train sets", "letters-train")


def test_a_labels_file_is_no_samples(tmp_path: Path) -> None:
    write_idx_folder(tmp_path)
    complaint(tmp_path / "train-labels-idx1-ubyte", "(6,)", "reshape")


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"needs the four MNIST files in {MNIST}")
def test_real_mnist() -> None:
    train, test = load(MNIST), load(MNIST, "test")
    assert train.x.shape == (60000, 28, 28)
    assert test.x.shape == (10000, 28, 28)
    assert train.x.dtype == np.uint8
    assert train.y is not None
    assert test.y is not None
    assert train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(train.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert train.x.mean() / 255 == pytest.approx(0.1307, abs=1e-4)  # the mean everybody normalizes with


# Tables


def test_a_csv_file_with_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,kind,b\n1.5,cat,2\n-3e2,dog,4\n")
    data = load(path, label_column="kind")
    assert data.x.tolist() == [[1.5, 2], [-300, 4]]
    assert data.x.dtype == np.float64
    assert data.y is not None
    assert data.y.tolist() == ["cat", "dog"]
    assert data.names == ("a", "b")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "a\tb\n1\t2\n3\t4\n"),
        ("a.csv", "a;b\n1;2\n3;4\n"),
        ("a.csv", "\ufeffa,b\r\n1,2\r\n\r\n3,4"),
        ("a.csv", '"a","b"\n"1","2"\n3, 4\n'),
    ],
)
def test_kinds_of_csv(tmp_path: Path, name: str, content: str) -> None:
    data = load(write(tmp_path / name, content))
    assert data.x.tolist() == [[1, 2], [3, 4]]
    assert data.names == ("a", "b")


def test_a_csv_file_without_a_header(tmp_path: Path) -> None:
    data = load(write(tmp_path / "a.csv", "1,2\n3,4.5\n"), label_column="column_0")
    assert data.x.tolist() == [[2], [4.5]]
    assert data.names == ("column_1",)


def test_a_gzipped_csv_file(tmp_path: Path) -> None:
    assert load(write(tmp_path / "a.csv.gz", gzip.compress(b"a,b\n1,2\n"))).x.tolist() == [[1, 2]]
    cut = gzip.compress(os.urandom(5000).hex().encode())[:2000]
    complaint(write(tmp_path / "b.csv.gz", cut), "b.csv.gz")


def test_small_integers_and_truths_take_half_the_room(tmp_path: Path) -> None:
    assert load(write(tmp_path / "a.csv", "a,b\n1,true\n-5,false\n")).x.dtype == np.float32
    data = load(write(tmp_path / "b.csv", f"a\n{2**24 + 1}\n"))
    assert data.x.tolist() == [[2**24 + 1]]


def test_a_number_with_decimals_far_down_is_read(tmp_path: Path) -> None:
    """Readers that guess types from the first megabyte fail here."""
    rows = ["1,7"] * 400_000 + ["2.5,8"]
    data = load(write(tmp_path / "a.csv", "a,kind\n" + "\n".join(rows) + "\n"), label_column="kind")
    assert data.x[0, 0] == 1
    assert data.x[-1, 0] == 2.5
    assert data.y is not None
    assert data.y.dtype == np.int64
    assert data.y[-1] == 8
    words = load(
        write(tmp_path / "a.csv", "a,kind\n" + "\n".join([*rows, "3,dog"]) + "\n"), label_column="kind"
    )
    assert words.y is not None
    assert words.y[[0, -1]].tolist() == ["7", "dog"]


@pytest.mark.parametrize("before", [0, 300_000])
def test_a_word_among_numbers_names_the_cell(tmp_path: Path, before: int) -> None:
    rows = ["1,2"] * before + ["1,2", "3,oops", "5,6"]
    path = write(tmp_path / "a.csv", "a,b\n" + "\n".join(rows) + "\n")
    complaint(path, f"row {before + 2}", "'b'", "'oops'", "--label-column 'b'")


@pytest.mark.parametrize("cell", ["", "NA", "nan", "NULL"])
def test_a_missing_cell_names_row_and_column(tmp_path: Path, cell: str) -> None:
    complaint(write(tmp_path / "a.csv", f"a,b\n1,2\n3,{cell}\n,4\n"), "row 2", "'b'", "empty or NaN")


def test_an_infinite_cell(tmp_path: Path) -> None:
    complaint(write(tmp_path / "a.csv", "a,b\n1,2\n3,-inf\n"), "row 2", "'b'", "-inf", "finite")


def test_a_ragged_csv_names_the_line(tmp_path: Path) -> None:
    complaint(write(tmp_path / "a.csv", "a,b\n1,2\n3\n"), "a.csv", "Row #3", "Expected 2 columns")


def test_an_unknown_label_column_lists_the_columns(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(500)]
    path = write(tmp_path / "a.csv", ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    message = complaint(path, "no column 'y'", "c0, c1", "492 more", label_column="y")
    assert len(message) < 400


def test_tables_without_rows_or_features(tmp_path: Path) -> None:
    complaint(write(tmp_path / "a.csv", "a,b\n"), "no rows")
    complaint(write(tmp_path / "b.csv", "\n\n"), "b.csv")
    complaint(write(tmp_path / "c.csv", "y\n1\n"), "besides the labels", label_column="y")
    complaint(write(tmp_path / "d.csv", "a,a\n1,2\n"), "two columns called 'a'")


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"a": [1.5, 2.5], "kind": pd.Categorical(["x", "y"])}, index=["r", "s"])
    frame.to_parquet(path)
    data = load(path, label_column="kind")
    assert data.x.tolist() == [[1.5], [2.5]]
    assert data.y is not None
    assert data.y.tolist() == ["x", "y"]
    assert data.names == ("a",)
    complaint(write(tmp_path / "cut.parquet", path.read_bytes()[:-9]), "cut.parquet", "Parquet")
    complaint(write(tmp_path / "text.parquet", "hello"), "text.parquet", "Parquet")


def test_parquet_columns_of_bytes_stay_bytes(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": pa.array([1, 255], pa.uint8())}), tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").x.dtype == np.uint8
    holes = pa.table({"a": pa.array([1, None], pa.uint8()), "b": pa.array([None, True])})
    parquet.write_table(holes, tmp_path / "b.parquet")
    complaint(tmp_path / "b.parquet", "row 1", "'b'", "empty")


def test_a_parquet_column_of_lists_is_a_block(tmp_path: Path) -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    for kind in (pa.list_(pa.list_(pa.float32())), pa.list_(pa.list_(pa.float32(), 3), 2)):
        parquet.write_table(
            pa.table({"x": pa.array(x.tolist(), kind), "y": ["u", "v"]}), tmp_path / "a.parquet"
        )
        data = load(tmp_path / "a.parquet", label_column="y")
        np.testing.assert_array_equal(data.x, x)
        assert data.names is None
    parquet.write_table(pa.table({"x": [[1.0, 2.0], [3.0, float("nan")]]}), tmp_path / "b.parquet")
    complaint(tmp_path / "b.parquet", "row 2", "'x'", "NaN")
    assert np.isnan(load(tmp_path / "b.parquet", missing=True).x).sum() == 1
    parquet.write_table(pa.table({"x": [[1, 2], [3]]}), tmp_path / "b.parquet")
    complaint(tmp_path / "b.parquet", "'x'", "differ in length")


def test_parts_of_parquet_are_read_anew_for_other_columns_and_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LARGE_BYTES", 0)
    table = pa.table({"a": [1.0, 2.0], "b": [3.0, 4.0], "y": [5.0, 6.0]})
    parquet.write_table(table, tmp_path / "0.parquet")
    everything, first = load(tmp_path), load(tmp_path, label_column="a")
    np.testing.assert_array_equal(everything.x[:], [[1, 3, 5], [2, 4, 6]])
    np.testing.assert_array_equal(first.x[:], [[3, 5], [4, 6]])
    np.testing.assert_array_equal(load(tmp_path, label_column="y").x[:], [[1, 3], [2, 4]])
    np.testing.assert_array_equal(everything.x[:], [[1, 3, 5], [2, 4, 6]])
    parquet.write_table(table.slice(1), tmp_path / "0.parquet")
    np.testing.assert_array_equal(load(tmp_path).x[:], [[2, 4, 6]])


# One road in: a file, a folder with that file, a large file and a DataFrame


def ways_in(table: pa.Table, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[Data]:
    for name in ("parts", "two"):
        (folder / name).mkdir()
    parquet.write_table(table, folder / "parts" / "0.parquet", row_group_size=2)
    for i in range(2):
        parquet.write_table(table.slice(i * 3, 3 if i == 0 else None), folder / "two" / f"{i}.parquet")
    small = [load(folder / "parts" / "0.parquet", **options)]
    small += [load(folder / "parts", **options), load(folder / "two", **options), load(table, **options)]
    if tables.is_mixed(table):
        return small
    monkeypatch.setattr(tables, "LARGE_BYTES", 0)
    large = [load(folder / name, **options) for name in ("parts/0.parquet", "parts", "two")]
    assert all(isinstance(data.x, PartFolder) for data in large)
    return [*small, *large]


def check_alike(found: list[Data]) -> None:
    first = found[0]
    for data in found[1:]:
        assert (data.x.dtype, data.x.shape, data.names) == (first.x.dtype, first.x.shape, first.names)
        np.testing.assert_array_equal(data.x[:], first.x[:])
        assert (data.y is None) == (first.y is None)
        if data.y is not None and first.y is not None:
            assert data.y.dtype == first.y.dtype
            np.testing.assert_array_equal(data.y, first.y)


COLUMNS = {
    "float32": pa.array([0.5, 1, 2, 3, 4, 5, 6], pa.float32()),
    "small": pa.array([0, 1, 2, 3, 4, 5, 2**24], pa.int64()),
    "large": pa.array([0, 1, 2, 3, 4, 5, 2**24 + 1], pa.int64()),
    "byte": pa.array([0, 1, 2, 3, 4, 5, 255], pa.uint8()),
    "truth": pa.array([True, False, True, True, False, True, True]),
    "decimal": pa.array([Decimal("1.25"), *map(Decimal, range(6))], pa.decimal128(9, 2)),
    "spelt": pa.array(["1", "2", "3.5", "4", "5", " 6", "7"]),
    "dictionary": pa.array(["1", "2", "3", "4", "5", "6", "1"]).dictionary_encode(),
    "list": pa.array([[i, i + 1] for i in range(7)], pa.list_(pa.int16())),
    "bytes": pa.array([[[i], [i + 1]] for i in range(7)], pa.list_(pa.list_(pa.uint8(), 1), 2)),
}
LABELS = {
    "words": pa.array(["a", "b", "c", "a", "b", "c", "é"]),
    "words with one missing": pa.array(["a", "", "c", "a", None, "c", "a"]),
    "numbers": pa.array([1, 2, 3, 1, 2, 3, 1]),
    "numbers with one missing": pa.array([1, 2, None, 1, 2, 3, 1]),
    "decimals": pa.array([*map(Decimal, range(7))], pa.decimal128(9, 2)),
    "raw bytes": pa.array([b"a", b"b", b"a", b"a", b"b", b"a", b"a"]),
    "categories": pa.array(["u", "v", "u", "v", "u", "v", "u"]).dictionary_encode(),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_the_same_numbers_in_a_file_a_folder_and_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    check_alike(ways_in(pa.table({name: COLUMNS[name]}), tmp_path, monkeypatch))


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_the_same_in_a_file_a_folder_and_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    table = pa.table({"a.b": COLUMNS["small"], "y": LABELS[kind], "c": COLUMNS["byte"]})
    found = ways_in(table, tmp_path, monkeypatch, label_column="y")
    check_alike(found)
    y = found[0].y
    assert y is not None
    if "missing" in kind:
        assert sum(value is None or value != value for value in y.tolist()) == (2 if "words" in kind else 1)


def test_missing_cells_are_the_same_in_a_file_a_folder_and_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holes = {name: pa.array([None, *COLUMNS[name].to_pylist()[1:]], COLUMNS[name].type)
             for name in ("float32", "small", "byte", "truth")}  # fmt: skip
    found = ways_in(pa.table(holes), tmp_path, monkeypatch, missing=True)
    check_alike(found)
    assert found[0].x.dtype == np.float32
    assert np.isnan(found[0].x[0]).all()
    for path in (tmp_path / "parts", tmp_path / "parts" / "0.parquet"):
        complaint(path, "row 1", "empty or NaN")


def test_a_mixed_table_is_the_same_in_a_file_a_folder_and_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"a": COLUMNS["small"], "w": LABELS["words"], "y": LABELS["numbers with one missing"]})
    found = ways_in(table, tmp_path, monkeypatch, label_column="y")
    arrow_csv.write_csv(table, tmp_path / "a.csv")
    found.append(load(tmp_path / "a.csv", label_column="y"))
    check_alike(found)
    told = [data.columns.to_json() for data in found if data.columns is not None]
    assert len(told) == 5
    assert all(each == told[0] for each in told)
    known = load(tmp_path / "a.csv", columns=found[0].columns)
    np.testing.assert_array_equal(known.x, found[0].x)
    assert (known.y, known.columns) == (None, found[0].columns)


def test_a_mixed_table_is_read_once_and_is_what_the_command_line_trains_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{i * 2},{'uvw'[i % 3]},n{i},{i % 2}" for i in range(40)]
    write(Path("people.csv"), "size,word,id,y\n" + "\n".join(rows) + "\n")
    own, seen = arrow_csv.read_csv, []
    monkeypatch.setattr(arrow_csv, "read_csv", lambda *a, **k: seen.append(a) or own(*a, **k))
    with pytest.warns(UserWarning, match="column 'id' is left out"):
        data = load("people.csv", label_column="y")
    assert len(seen) == 1
    assert data.names == ("size", "word=u", "word=v", "word=w")
    small = ["--label-column", "y", "--device", "cpu", "--epochs", "1", "-k", "2", "--random-state", "0"]
    assert run(["train", "people.csv", "-o", "p.ae", *small, "--quiet"]) == 0
    assert len(seen) == 2
    assert run(["encode", "p.ae", "people.csv", "-o", "z.npy", "--quiet"]) == 0
    assert len(seen) == 3
    by_command = AutoEncoder.load("p.ae")
    by_python = AutoEncoder(2, epochs=1, random_state=0, device="cpu").fit(data)
    assert by_command.columns_.to_json() == by_python.columns_.to_json()
    np.testing.assert_array_equal(by_python.transform(load("people.csv", columns=data.columns)),
                                  np.load("z.npy"))  # fmt: skip
    frame = pd.read_csv("people.csv").drop(columns="y")
    with pytest.warns(UserWarning, match="column 'id' is left out"):
        by_frame = AutoEncoder(2, epochs=1, random_state=0, device="cpu").fit(frame)
    np.testing.assert_array_equal(np.asarray(by_frame.transform(frame)), np.load("z.npy"))


def test_what_columns_are_can_be_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "zip,n,y\n01234,1,2\n00501,2,3\n01234,3,4\n")
    data = load(path, label_column="y", kinds={"zip": "category"})
    assert data.names == ("n", "zip=00501", "zip=01234")
    for kinds, words in (
        ({"zap": "category"}, "no column 'zap': zip, n"),
        ({"zip": "word"}, "number, date, flag, category, leave out"),
        ({"y": "category"}, "holds the labels"),
    ):
        with pytest.raises(ParameterError, match=words):
            load(path, label_column="y", kinds=kinds)
    with pytest.raises(ParameterError, match="'kinds' parameter of load applies to"):
        load(np.zeros((2, 2)), kinds={"a": "number"})


# Pictures


def test_gray_pictures_in_sub_folders(tmp_path: Path) -> None:
    for label, value in (("dog", 20), ("cat", 10)):
        for i in range(2):
            picture(tmp_path / label / "deeper" / f"{i}.png", value + i)
    write(tmp_path / "Thumbs.db", "x")
    write(tmp_path / "cat" / ".hidden.png", "x")
    data = load(tmp_path)
    assert data.x.shape == (4, 3, 4)
    assert data.x.dtype == np.uint8
    assert data.x[:, 0, 0].tolist() == [10, 11, 20, 21]
    assert data.y is not None
    assert data.y.tolist() == ["cat", "cat", "dog", "dog"]


def test_pictures_at_the_top_have_no_labels(tmp_path: Path) -> None:
    picture(tmp_path / "b.png", 2)
    picture(tmp_path / "a.bmp", 1)
    data = load(tmp_path)
    assert data.y is None
    assert data.x[:, 0, 0].tolist() == [1, 2]
    picture(tmp_path / "more" / "c.png")
    complaint(tmp_path, "a.bmp", "1 in sub-folders")


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif", "webp", "jpg", "jpeg"])
def test_every_kind_of_picture(tmp_path: Path, suffix: str) -> None:
    picture(tmp_path / f"a.{suffix}", (250, 10, 20), mode="RGB")
    x = load(tmp_path).x
    assert x.shape == (1, 3, 4, 3)
    np.testing.assert_allclose(x[0, 0, 0], [250, 10, 20], atol=8)


def test_a_picture_that_another_program_would_draw_is_refused(tmp_path: Path) -> None:
    """Pillow hands EPS to Ghostscript, whatever the file is called."""
    Image.new("L", (5, 4)).save(tmp_path / "a.png", "EPS")
    with pytest.raises(DataError, match=r"a\.png cannot be read as a picture: cannot identify"):
        load(tmp_path)


def test_one_color_picture_gives_all_three_channels(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 9)
    picture(tmp_path / "b.png", (1, 2, 3), mode="RGB")
    picture(tmp_path / "c.png", 8)
    assert load(tmp_path).x[:, 0, 0].tolist() == [[9, 9, 9], [1, 2, 3], [8, 8, 8]]


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", (0, 0, 0, 0), mode="RGBA")
    picture(tmp_path / "b.png", (7, 8, 9, 255), mode="RGBA")
    assert load(tmp_path).x[:, 0, 0].tolist() == [[255, 255, 255], [7, 8, 9]]
    picture(tmp_path / "gray" / "a.png", (0, 51), mode="LA")
    picture(tmp_path / "gray" / "b.png", 7, transparency=7)
    assert load(tmp_path / "gray").x[:, 0, 0].tolist() == [204, 255]


def test_black_and_white_and_sixteen_bits_become_eight(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1, mode="1")
    picture(tmp_path / "b.png", 65535, mode="I;16")
    picture(tmp_path / "c.png", 257 * 40, mode="I;16")
    assert load(tmp_path).x[:, 0, 0].tolist() == [255, 255, 40]
    picture(tmp_path / "d.tif", 0.5, mode="F")
    complaint(tmp_path, "d.tif", "floating-point")


def test_a_photograph_is_turned_as_the_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    picture(tmp_path / "a.jpg", size=(4, 3), exif=exif)
    assert load(tmp_path).x.shape == (1, 4, 3)


def test_pictures_of_two_sizes(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", size=(4, 3))
    picture(tmp_path / "b.png", size=(5, 6))
    complaint(tmp_path, "a.png is 3×4", "b.png is 6×5", "--size")
    assert load(tmp_path, size=8).x.shape == (2, 8, 8)
    assert load(tmp_path, size=(2, 5)).x.shape == (2, 2, 5)


def test_shrinking_averages(tmp_path: Path) -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(tmp_path / "a.png")
    x = load(tmp_path, size=8).x.astype(int)
    assert abs(x - 127).max() < 12


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    whole = picture(tmp_path / "b.png", size=(90, 90), mode="RGB", color=(1, 2, 3)).read_bytes()
    write(tmp_path / "b.png", whole[: len(whole) // 2])
    complaint(tmp_path, "b.png", "cannot be read as a picture")
    write(tmp_path / "b.png", "no picture")
    complaint(tmp_path, "b.png", "cannot be read as a picture")


def test_a_decompression_bomb_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(tmp_path / "a.png", size=(30, 30))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    complaint(tmp_path, "a.png", "600 pixels")


def test_a_picture_of_a_million_lines_is_an_error(tmp_path: Path) -> None:
    """Each takes memory and time, though a line of one pixel packs to nothing."""
    picture(tmp_path / "a.png", 0, size=(1, 1_000_001), mode="I;16")
    complaint(tmp_path, "a.png", "1,000,001 lines of pixels; expected at most 1,000,000")


def test_train_and_test_folders(tmp_path: Path) -> None:
    for split, n in (("train", 3), ("test", 2)):
        for i in range(n):
            picture(tmp_path / split / "cat" / f"{i}.png")
    assert (len(load(tmp_path)), len(load(tmp_path, "test"))) == (3, 2)
    data = load(tmp_path)
    assert data.y is not None
    assert set(data.y) == {"cat"}


def test_a_link_back_up_ends(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png")
    (tmp_path / "cat" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(load(tmp_path)) == 1


# Properties

shapes = array_shapes(min_dims=2, max_dims=4, max_side=5)
floats = st.floats(-1e6, 1e6, width=32)


@quick
@given(x=st.sampled_from(sorted(DTYPES)).flatmap(lambda dtype: arrays(dtype, shapes)), pack=st.booleans())
def test_what_is_written_as_idx_or_numpy_comes_back(x: np.ndarray, pack: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        content = idx_bytes(x)
        path = write(Path(folder, "a"), gzip.compress(content) if pack else content)
        np.save(Path(folder, "a.npy"), x)
        np.savez(Path(folder, "a.npz"), x=x)
        for data in (load(path), load(Path(folder, "a.npz")), load(Path(folder, "a.npy"))):
            assert data.x.dtype == x.dtype
            np.testing.assert_array_equal(data.x, x)
            del data


@quick
@given(x=arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=floats))
def test_what_is_written_as_a_table_comes_back(x: np.ndarray) -> None:
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])])
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(Path(folder, "a.csv"), index=False)
        frame.to_parquet(Path(folder, "a.parquet"))
        for data in (load(Path(folder, "a.csv")), load(Path(folder, "a.parquet")), load(frame)):
            np.testing.assert_array_equal(data.x, x)
            assert data.names == tuple(frame.columns)


STARTS = [
    b"",
    b"\0\0\x08\x03",
    b"\0\0\x0e\x01",
    b"\x93NUMPY\x01\0",
    b"PK\x03\x04",
    b"PAR1",
    b"\x1f\x8b\x08\0",
    b"a,b\n",
]


@settings(quick, max_examples=150)
@given(
    name=st.sampled_from(
        ["a", "a.npy", "a.npz", "a.csv", "a.csv.gz", "a.parquet", "x/a.png", "t10k-images-ubyte"]
    ),
    start=st.sampled_from(STARTS),
    rest=st.binary(max_size=200),
)
def test_arbitrary_bytes_give_data_or_one_line(name: str, start: bytes, rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(start + rest)
        message = ""
        try:
            assert load(path if path.suffix != ".png" else path.parent).x.ndim >= 2
        except DataError as error:
            message = str(error)
        assert "\n" not in message
