"""Codes for other programs: the Parquet file of `codeword export`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from codeword import AutoEncoder, load, map_codes, neighbors
from codeword.cli.app import chosen
from codeword.cli.main import run
from codeword.export import write_parquet


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def ae(saved_model):
    return AutoEncoder.load(saved_model, device="cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table two of whose columns are called as ours are, and the folder of a model of it."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    t = rng.normal(size=60)
    numbers = {"width": t, "x": 2 * t, "Error": t**2}
    kinds = np.where(t > 0, "on\tthe right", "left\nof it")
    pd.DataFrame(numbers | {"kind": kinds}).to_parquet(folder / "rows.parquet", index=False)
    AutoEncoder(2, epochs=2, random_state=0, device="cpu").fit(pd.DataFrame(numbers)).save(folder / "t.ae")
    return folder / "rows.parquet", folder / "t.ae"


def fitted(x, **parameters):
    return AutoEncoder(2, epochs=1, random_state=0, device="cpu", **parameters).fit(x)


def pixels(cell):
    with Image.open(io.BytesIO(cell["bytes"])) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


# -- Parquet ------------------------------------------------------------------------------------------------


def test_every_column_holds_what_the_model_says(do, saved_model, ae, digits):
    said = json.loads(
        do("export", saved_model, "digits", "--parquet", "d.parquet", "--method", "pca", "--json")
    )
    columns = ["row", "label", "error", "image", "x", "y", "code", "neighbors"]
    assert said == {
        **{"n": 1438, "k": 5, "parquet": "d.parquet", "columns": columns},
        **{"neighbors": 10, "renamed": {}, "notes": [], "onnx": None},
    }
    read = pq.read_table("d.parquet")
    floats = pa.list_(pa.float32())
    assert dict(zip(read.schema.names, read.schema.types, strict=True)) == {
        **{"row": pa.int64(), "label": pa.int64(), "error": pa.float32()},
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        **{"x": pa.float32(), "y": pa.float32(), "code": pa.list_(pa.float32(), 5)},
        "neighbors": pa.struct([("ids", pa.list_(pa.int64())), ("distances", floats)]),
    }
    frame = pd.read_parquet("d.parquet")
    codes = np.stack(frame["code"])
    assert codes == pytest.approx(ae.transform(digits.x), abs=1e-5)
    assert frame["error"].to_numpy() == pytest.approx(-ae.score_samples(digits.x), rel=1e-4)
    assert (frame["row"] == np.arange(1438)).all()
    assert (frame["label"] == digits.y).all()
    assert frame[["x", "y"]].to_numpy() == pytest.approx(map_codes(codes, method="pca"), abs=1e-4)
    ids, distances = neighbors(codes, np.arange(1438), 10)
    assert (np.stack([cell["ids"] for cell in frame["neighbors"]]) == ids).all()
    assert np.stack([cell["distances"] for cell in frame["neighbors"]]) == pytest.approx(distances, rel=1e-5)
    for row in (0, 700, 1437):
        assert (pixels(frame["image"][row]) == np.round(255 * digits.x[row])).all()
        assert frame["image"][row]["path"] == f"{row}.png"
    assert json.loads(read.schema.metadata[b"huggingface"])["info"]["features"]["image"]["_type"] == "Image"


def test_some_points_and_the_same_again(do, saved_model, ae, digits):
    for name in ("a.parquet", "b.parquet"):
        do("export", saved_model, "digits", "--parquet", name, "--points", 40, "--seed", 3, "--neighbors", 4)
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes()
    frame = pd.read_parquet("a.parquet")
    rows = chosen(1438, 40, 3)
    assert frame["row"].tolist() == rows
    codes = np.stack(frame["code"])
    assert codes == pytest.approx(ae.transform(digits.x[rows]), abs=1e-5)
    assert (frame["label"] == digits.y[rows]).all()
    assert frame["image"][7]["path"] == f"{rows[7]}.png"
    assert (pixels(frame["image"][7]) == np.round(255 * digits.x[rows[7]])).all()
    near = [cell["ids"] for cell in frame["neighbors"]]  # by their place in this file
    assert (np.stack(near) == neighbors(codes, np.arange(40), 4)[0]).all()


def test_a_table_keeps_its_columns_and_says_which_it_renames(do, table):
    rows, model = table
    told = do("export", model, rows, "--label-column", "kind", "--parquet", "t.parquet")
    assert told.splitlines() == [
        "wrote t.parquet",
        "  column 'x' of the source is 'x_source' there",
        "  column 'Error' of the source is 'Error_source' there",
        "  embedding-atlas t.parquet --x x --y y --neighbors neighbors",
    ]
    frame, given = pd.read_parquet("t.parquet"), pd.read_parquet(rows)
    own = ["width", "x_source", "Error_source"]
    assert list(frame) == ["row", "label", "error", *own, "x", "y", "code", "neighbors"]
    assert (frame[own].to_numpy() == given[["width", "x", "Error"]].to_numpy()).all()
    assert frame["label"].tolist() == given["kind"].tolist()
    assert (frame["x"] == np.stack(frame["code"])[:, 0]).all()  # a map of two numbers is they themselves


def test_what_is_missing_is_null(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 3))
    x[4, 1] = np.nan
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    from codeword import Masked

    model = fitted(load(frame, missing=True), objective=Masked(missing="mask"))
    write_parquet(model, load(frame, missing=True), "m.parquet", method="pca")
    read = pq.read_table("m.parquet")
    assert [read[name].null_count for name in "abc"] == [0, 1, 0]
    assert read["b"][4].as_py() is None


@pytest.mark.parametrize("shape", [(40,), (24, 3)])
def test_signals_are_lists_in_the_shape_of_a_sample(shape):
    x = np.random.default_rng(0).normal(size=(12, *shape))
    write_parquet(fitted(x), load(x), "s.parquet", method="pca")
    read = pq.read_table("s.parquet")
    assert read.schema.names == ["row", "error", "signal", "x", "y", "code", "neighbors"]
    assert (np.array(read["signal"].to_pylist()) == x).all()
    frame = pd.read_parquet("s.parquet")
    assert np.shape(np.stack(frame["signal"][0])) == shape


def test_blocks_are_row_groups_and_change_nothing(ae, digits, monkeypatch):
    write_parquet(ae, digits[:50], "whole.parquet", method="pca")
    monkeypatch.setattr("codeword.export.parquet.MOST_ROWS", 20)
    write_parquet(ae, digits[:50], "parts.parquet", method="pca")
    assert pq.ParquetFile("parts.parquet").metadata.num_row_groups == 3
    parts, whole = pq.read_table("parts.parquet"), pq.read_table("whole.parquet")
    assert parts.schema == whole.schema
    assert np.stack(parts["code"].to_pylist()) == pytest.approx(np.stack(whole["code"].to_pylist()), abs=1e-5)
    for name in ("row", "label", "image"):
        assert parts[name].equals(whole[name])


@pytest.mark.parametrize("n", [1, 2])
def test_the_fewest_samples(n, do, saved_model, digits):
    np.save("x.npy", digits.x[:n])
    do("export", saved_model, "x.npy", "--parquet", "f.parquet")
    frame = pd.read_parquet("f.parquet")
    assert [cell["ids"].tolist() for cell in frame["neighbors"]] == [[1], [0]][:n] if n == 2 else [[]]
    assert np.isfinite(frame[["x", "y", "error"]].to_numpy()).all()


# -- files and mistakes -------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unasked(do, refused, saved_model):
    words = ["export", saved_model, "digits", "--points", 20, "-q", "--parquet", "d.parquet"]
    assert do(*words) == ""
    before = Path("d.parquet").read_bytes()
    assert "d.parquet already exists" in refused(*words)
    do(*words, "--overwrite", "--seed", 1)
    assert Path("d.parquet").read_bytes() != before


def test_a_failure_half_way_leaves_nothing(saved_model, monkeypatch, tmp_path):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("codeword.export.parquet.png", fail)
    assert run(["export", str(saved_model), "digits", "--points", "20", "--parquet", "d.parquet", "-q"]) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to write: give --parquet FILE, --onnx DIR, or both"),
        (["--parquet", "d.csv"], "cannot tell the format from the ending '.csv'; use .parquet"),
        (["--parquet", "no/d.parquet"], "there is no folder no; create it first"),
        (
            ["--parquet", "d.parquet", "--points", 1439],
            "--points 1439: digits has 1,438 samples; 0 takes all",
        ),
        (["--parquet", "d.parquet", "--points", -1], "--points"),
        (
            ["--parquet", "d.parquet", "--points", 20, "--neighbors", 20],
            "20 neighbors were asked for, and each of the 20 points has 19 others",
        ),
        (["--parquet", "d.parquet", "--method", "magic"], "'--method': 'magic' is not one of 'auto', 'tsne'"),
    ],
)
def test_requests_that_are_refused(words, said, refused, saved_model):
    assert said in refused("export", saved_model, "digits", *words)


def test_rows_that_cannot_be_encoded_are_named_as_the_source_counts_them(refused, saved_model):
    x = np.zeros((60, 8, 8), np.float32)
    x[[33, 50], 2, 1] = np.nan
    np.save("x.npy", x)
    seed = next(s for s in range(99) if 33 not in chosen(60, 50, s) and 50 in chosen(60, 50, s))
    line = refused("export", saved_model, "x.npy", "--points", 50, "--seed", seed, "--parquet", "p.parquet")
    assert "row 50, position (2, 1)" in line
    np.save("y.npy", np.zeros((9, 7), np.float32))
    assert "fitted on shape (8, 8)" in refused("export", saved_model, "y.npy", "--parquet", "y.parquet")
