import numpy as np
import pytest

from codeword import load
from codeword.base.errors import InputError
from codeword.data.outputs import FORMATS, check_output, row_writer

ROWS = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)


def write(path, blocks, shape=(6,), names="abcdef", **how):
    with row_writer(path, sum(map(len, blocks)), shape, list(names), **how) as add:
        for block in blocks:
            add(block)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_back_each_bit(suffix, tmp_path):
    path = tmp_path / f"rows{suffix}"
    write(path, [ROWS[:3], ROWS[3:4], ROWS[4:]])
    data = load(path)
    if suffix != ".csv":
        assert data.x.dtype == np.float32
    np.testing.assert_array_equal(data.x.astype(np.float32), ROWS)
    if suffix in (".csv", ".parquet"):
        assert data.names == tuple("abcdef")


@pytest.mark.parametrize("suffix", FORMATS)
def test_images_are_flat_only_in_tables(suffix, tmp_path):
    path = tmp_path / f"rows{suffix}"
    write(path, [ROWS.reshape(7, 2, 3)], shape=(2, 3))
    x = load(path).x
    assert x.shape == ((7, 2, 3) if suffix in (".npy", ".npz") else (7, 6))
    np.testing.assert_array_equal(x.reshape(7, 6).astype(np.float32), ROWS)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_failure_half_way_leaves_nothing(suffix, tmp_path):
    def fail(add):
        add(ROWS)
        raise RuntimeError("half way")

    path = tmp_path / f"rows{suffix}"
    with pytest.raises(RuntimeError, match="half way"), row_writer(path, 14, (6,), list("abcdef")) as add:
        fail(add)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_an_array_is_what_numpy_itself_reads(suffix, tmp_path):
    path = tmp_path / f"rows{suffix}"
    write(path, [ROWS[:5], ROWS[5:]], names=[f"z{i}" for i in range(6)])
    read = np.load(path, allow_pickle=False)
    rows = read if suffix == ".npy" else read["z"]
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, ROWS)
    if suffix == ".npz":
        assert read.files == ["z"]
        read.close()


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_in_fortran_order_and_double_precision_are_taken(suffix, tmp_path):
    path = tmp_path / f"rows{suffix}"
    write(path, [np.asfortranarray(ROWS.astype(np.float64))])
    np.testing.assert_array_equal(load(path).x.astype(np.float32), ROWS)


def test_an_ending_in_capitals_is_understood(tmp_path):
    for suffix in FORMATS:
        write(tmp_path / f"rows{suffix.upper()}", [ROWS])
        np.testing.assert_array_equal(load(tmp_path / f"rows{suffix.upper()}").x.astype(np.float32), ROWS)


def test_an_unknown_ending_is_refused_early(tmp_path):
    for name in ("rows.xlsx", "rows", "rows.npy.gz"):
        with pytest.raises(InputError, match=r"cannot tell the format .* use \.npy, \.npz, \.csv, \.parquet"):
            check_output(tmp_path / name, overwrite=False)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_exists_is_replaced_only_if_asked(suffix, tmp_path):
    path = tmp_path / f"rows{suffix}"
    path.write_text("old")
    with pytest.raises(InputError, match="already exists"):
        write(path, [ROWS])
    assert path.read_text() == "old"
    write(path, [ROWS], overwrite=True)
    np.testing.assert_array_equal(load(path).x.astype(np.float32), ROWS)
