"""Shuffled batches: every row once an epoch, in an order that depends on the seed alone."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from codeword import MLP, AutoEncoder, Data, load
from codeword.data import tables
from codeword.data.rows import PartFolder, Selected, open_arrays
from codeword.data.scaling import Scaling, describe
from codeword.training import batches
from codeword.training.batches import ResidentBatches, StreamedBatches, fits, make_batches
from codeword.training.distributed import ALONE, ProcessGroup

CPU = torch.device("cpu")
NONE = Scaling("none", np.zeros(1), np.ones(1), (3,))


def numbered(n):
    """Rows that say which they are."""
    return np.arange(n * 3, dtype=np.float32).reshape(n, 3)


def rows_of(found):
    return [int(v) // 3 for x, _ in found for v in x[:, 0]]


@pytest.fixture
def small_windows(monkeypatch):
    """Blocks of 8 rows, windows of 4 blocks: what takes gigabytes happens in a hundred rows."""
    monkeypatch.setattr(batches, "BLOCK_BYTES", 8 * 12)
    monkeypatch.setattr(batches, "WINDOW_BYTES", 4 * 8 * 12)


def streamed(n, group=ALONE, ranges=None):
    return StreamedBatches(numbered(n), ranges or [(0, n)], NONE, CPU, group)


def resident(n, group=ALONE):
    return ResidentBatches(torch.from_numpy(numbered(n)), NONE, group)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("make", [resident, streamed])
@pytest.mark.parametrize("n", [1, 7, 100, 101])
def test_an_epoch_has_each_row_once_in_full_batches_but_the_last(make, n):
    rows = make(n)
    found = list(rows.epoch(seed=3, batch_size=10))
    assert sorted(rows_of(found)) == list(range(n))
    assert [len(x) for x, _ in found] == [10] * (n // 10) + [n % 10] * (n % 10 > 0)
    assert len(found) == rows.steps(10)
    assert {share for _, share in found} == {1.0}


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("make", [resident, streamed])
def test_the_order_depends_on_the_seed_alone(make):
    first, again, other = (rows_of(make(100).epoch(seed, 10)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != sorted(first)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("make", [resident, streamed])
@pytest.mark.parametrize("done", [1, 4, 7, 9])
def test_an_epoch_can_be_taken_up_in_its_middle(make, done):
    rows = make(101)
    whole = [x for x, _ in rows.epoch(5, 10)]
    rest = [x for x, _ in rows.epoch(5, 10, first=done)]
    assert len(rest) == len(whole) - done
    assert all(torch.equal(a, b) for a, b in zip(whole[done:], rest, strict=True))


@pytest.mark.usefixtures("small_windows")
def test_windows_that_a_resumed_run_is_past_are_not_read(monkeypatch):
    rows = streamed(320)
    read = []
    monkeypatch.setattr(
        rows, "_read", lambda group, read_as_it_is=rows._read: read.append(group) or read_as_it_is(group)
    )
    list(rows.epoch(0, 10, first=24))
    assert sum(len(group) for group in read) * 8 == 320 - 7 * 32


@pytest.mark.usefixtures("small_windows")
def test_blocks_are_mixed_over_the_whole_file():
    order = rows_of(streamed(1000).epoch(0, 100))
    assert np.abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.3
    halves = [sum(row < 500 for row in order[start : start + 200]) for start in range(0, 1000, 200)]
    assert all(10 < count < 190 for count in halves)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("n", [40, 41, 47])
def test_processes_together_make_the_batches_of_one(size, n):
    alone = [x for x, _ in resident(n).epoch(7, 5 * size)]
    parts = [list(resident(n, ProcessGroup(rank, size)).epoch(7, 5)) for rank in range(size)]
    assert {len(p) for p in parts} == {len(alone)} == {resident(n, ProcessGroup(0, size)).steps(5)}
    for step, whole in enumerate(alone):
        together = torch.cat([p[step][0] for p in parts])
        assert torch.equal(together, whole)
        assert sum(p[step][1] for p in parts) == pytest.approx(1)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("n", [96, 100, 131])
def test_processes_that_stream_read_each_row_once_and_step_together(n):
    parts = [list(streamed(n, ProcessGroup(rank, 2)).epoch(1, 10)) for rank in range(2)]
    assert len(parts[0]) == len(parts[1])
    assert sorted(rows_of(parts[0]) + rows_of(parts[1])) == list(range(n))
    for (_, a), (_, b) in zip(*parts, strict=True):
        assert a + b == pytest.approx(1)


def test_a_large_map_is_streamed_and_an_array_is_not(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", numbered(100))
    mapped = load(tmp_path / "x.npy").x
    assert fits(mapped, CPU)
    monkeypatch.setattr(batches, "RESIDENT_BYTES", 100)
    assert not fits(mapped, CPU)
    assert fits(numbered(100), CPU)


def test_held_out_rows_of_a_stream_are_not_trained_on(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "RESIDENT_BYTES", 100)
    np.save(tmp_path / "x.npy", numbered(2000))
    train, held_out = make_batches(load(tmp_path / "x.npy").x, NONE, 200, 0, CPU, ALONE)
    trained = set(rows_of(train.epoch(0, 64)))
    out = {int(v) // 3 for v in held_out.rows[:, 0]}
    assert not trained & out
    assert trained | out == set(range(2000))
    assert 128 <= len(out) <= 200
    assert min(out) < 100
    assert max(out) > 1900


def test_a_stream_learns_what_rows_in_memory_teach(tmp_path, monkeypatch, digits):
    np.save(tmp_path / "x.npy", digits.x)
    settings = {"n_components": 8, "epochs": 10, "batch_size": 32, "random_state": 0}
    whole = AutoEncoder(**settings).fit(digits.x).score(digits.x)
    monkeypatch.setattr(batches, "RESIDENT_BYTES", 100)
    monkeypatch.setattr(batches, "BLOCK_BYTES", 4096)
    stream = AutoEncoder(**settings).fit(load(tmp_path / "x.npy"))
    assert stream.score(digits.x) == pytest.approx(whole, rel=0.15)
    again = AutoEncoder(**settings).fit(load(tmp_path / "x.npy"))
    assert np.array_equal(stream.transform(digits.x), again.transform(digits.x))


def test_nan_in_a_streamed_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "RESIDENT_BYTES", 100)
    x = numbered(500)
    x[321, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(ValueError, match=r"NaN .*row 321, column 2"):
        AutoEncoder(2, epochs=1).fit(load(tmp_path / "x.npy"))


# -- folders of parts -------------------------------------------------------------------------------------


def test_parts_read_as_one_array(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (50, 4, 3)).astype(np.uint8)
    for i, (a, b) in enumerate([(0, 7), (7, 30), (30, 50)]):
        np.save(tmp_path / f"part{i}.npy", x[a:b])
    data = load(tmp_path)
    assert isinstance(data.x, PartFolder)
    assert (data.x.shape, data.x.dtype, len(data)) == ((50, 4, 3), np.uint8, 50)
    for key in (slice(0, 50), slice(3, 41), slice(29, 31), slice(50, 50), 0, 49, np.array([40, 2, 7])):
        assert np.array_equal(data.x[key], x[key])
    assert np.array_equal(
        AutoEncoder(2, epochs=1, random_state=0).fit_transform(data),
        AutoEncoder(2, epochs=1, random_state=0).fit_transform(x),
    )


def test_parquet_parts_keep_columns_and_labels(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    x = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    names = ["a", "b", "c"]
    for i in range(3):
        columns = {name: x[i * 30 : i * 30 + 30, j] for j, name in enumerate(names)}
        table = pa.table({**columns, "kind": np.arange(i * 30, i * 30 + 30) % 4})
        parquet.write_table(table, tmp_path / f"{i}.parquet", row_group_size=11)
    data = load(tmp_path, label_column="kind")
    assert data.names == ("a", "b", "c")
    assert np.array_equal(data.x[:], x)
    assert np.array_equal(data.x[25:67], x[25:67])
    assert np.array_equal(data.y, np.arange(90) % 4)
    assert AutoEncoder(2, epochs=1).fit(data).feature_names_in_.tolist() == names


def test_rows_by_number_in_any_order_are_read_in_one_pass(tmp_path, monkeypatch):
    import pyarrow as pa
    from pyarrow import parquet

    x = np.random.default_rng(0).normal(size=(90, 2))
    for i in range(3):
        table = pa.table({"a": x[i * 30 : i * 30 + 30, 0], "b": x[i * 30 : i * 30 + 30, 1]})
        parquet.write_table(table, tmp_path / f"{i}.parquet", row_group_size=10)
    monkeypatch.setattr(tables, "LARGE_BYTES", 0)
    data = load(tmp_path)
    own, read = parquet.ParquetFile.read_row_group, []
    monkeypatch.setattr(
        parquet.ParquetFile,
        "read_row_group",
        lambda file, i, **options: read.append(i) or own(file, i, **options),
    )
    rows = np.random.default_rng(1).permutation(90)[:60]
    rows = np.concatenate([rows, rows[:3]])  # some twice
    assert np.array_equal(data.x[rows], x[rows])
    assert sorted(read) == [0, 0, 1, 1, 1, 2, 2, 2]  # the very first was kept when it was loaded
    assert np.array_equal(data.x[::-7], x[::-7])
    assert data.x[[]].shape == (0, 2)
    for far in ([0, 90], [-1]):
        with pytest.raises(IndexError):
            data.x[far]


def test_of_many_parquet_parts_one_row_group_is_kept(tmp_path, monkeypatch):
    import pyarrow as pa
    from pyarrow import parquet

    monkeypatch.setattr(tables, "LARGE_BYTES", 0)
    for i in range(4):
        parquet.write_table(pa.table({"a": np.arange(50.0) + i, "b": np.ones(50)}), tmp_path / f"{i}.parquet")
    data = load(tmp_path)
    assert data.x[:].shape == (200, 2)
    (kept,) = {id(part.read.args[0]): part.read.args[0] for part in data.x.parts}.values()
    assert [(key[0].name, rows.shape) for key, rows in kept.items()] == [("3.parquet", (50, 2))]


def test_parts_that_do_not_belong_together_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", numbered(5))
    np.save(tmp_path / "b.npy", numbered(5).astype(np.float64))
    with pytest.raises(ValueError, match=r"b\.npy and .*a\.npy are not parts of one set"):
        open_arrays(sorted(tmp_path.iterdir()))
    np.save(tmp_path / "b.npy", np.float32(1))
    with pytest.raises(ValueError, match=r"b\.npy holds a single number"):
        load(tmp_path)
    (tmp_path / "b.npy").rename(tmp_path / "0.npy")
    with pytest.raises(ValueError, match=r"0\.npy holds a single number"):
        load(tmp_path)
    (tmp_path / "0.npy").unlink()
    (tmp_path / "b.npy").write_text("not an array")
    with pytest.raises(ValueError, match=r"b\.npy"):
        load(tmp_path)


def test_describe_is_numpys_mean_and_variance_whatever_the_blocks():
    for dtype in (np.uint8, np.float32, np.float64, np.int32):
        x = (np.random.default_rng(0).integers(0, 255, (5000, 7))).astype(dtype)
        seen = describe(x)
        np.testing.assert_allclose(seen.mean, x.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(seen.variance, x.astype(float).var(axis=0), rtol=1e-5)
        assert (seen.known, seen.low, seen.high) == (5000, x.min(), x.max())


# -- some rows of many --------------------------------------------------------------------------------------


def test_some_rows_of_a_data_are_those_rows_with_their_labels():
    data = Data(numbered(10), y=np.arange(10), source="x")
    for rows in ([3, 1, 7], np.array([3, 1, 7]), slice(2, 9, 3), np.arange(10) % 2 == 0):
        part = data[rows]
        assert (np.asarray(part.x) == data.x[rows]).all()
        assert (part.y == data.y[rows]).all()
        assert part.shape == (len(part.y), 3)
        assert (np.asarray(part[1:].x) == data.x[rows][1:]).all()
        assert (np.asarray(part[[0, 2]].x) == data.x[rows][[0, 2]]).all()
    assert (np.asarray(data) == data.x).all()


def test_a_fold_trains_and_codes_as_a_copy_of_its_rows_would(digits):
    rows = np.random.default_rng(0).permutation(len(digits))[:200]
    ae = AutoEncoder(3, network=MLP(hidden=(8,)), epochs=2, random_state=0, device="cpu")
    lazily = clone(ae).fit(digits[rows])
    copied = ae.fit(digits.x[rows])
    assert (lazily.transform(digits[rows]) == copied.transform(digits.x[rows])).all()
    assert lazily.score(digits[rows]) == copied.score(digits.x[rows])


@pytest.mark.parametrize("held_out", [0, 20])
def test_pixels_of_a_fold_are_not_copied(held_out):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 4, 4), dtype=np.uint8)
    for x in (pixels, Selected(pixels, np.arange(0, 100, 2))):
        scaling = Scaling("pixels", np.zeros(1), np.full(1, 255.0), (4, 4))
        train, out = make_batches(x, scaling, held_out, 0, CPU, ALONE)
        for batches_ in filter(None, (train, out)):
            assert np.shares_memory(batches_.rows.numpy(), pixels)
        seen = torch.cat([t for b in (train, out) if b is not None for t in b.in_order(7)])
        expected = np.asarray(x[:]).reshape(len(x), -1) / 255
        assert sorted(seen.sum(dim=1).tolist()) == pytest.approx(sorted(expected.sum(axis=1)), rel=1e-5)


def test_cross_validation_takes_a_data_and_gives_what_arrays_give(digits):
    ae = AutoEncoder(4, network=MLP(hidden=(16,)), epochs=3, random_state=0, device="cpu")
    model = make_pipeline(ae, KNeighborsClassifier(3))
    few = digits[:240]
    lazily = cross_val_score(model, few, few.y, cv=3)
    assert lazily.tolist() == cross_val_score(model, few.x.reshape(240, -1), few.y, cv=3).tolist()
    assert lazily.mean() > 0.3
