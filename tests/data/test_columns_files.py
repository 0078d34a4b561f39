"""Mixed tables in files, typed by hand and shown: every cell comes back as what it was."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_columns import OWN, TINY, people

from codeword import MLP, AutoEncoder, Columns
from codeword.base.errors import DataError
from codeword.data.display import display_of
from codeword.pages.uploads import sample_of


def typed(text, columns):
    """The row of numbers of what is typed into a page."""
    return sample_of(text.encode(), display_of((len(columns.feature_names_),), columns=columns))


@pytest.fixture(scope="module")
def frame():
    return people()


@pytest.fixture(scope="module")
def ae(frame):
    """Shared: do not fit it again."""
    return AutoEncoder(3, network=MLP(hidden=(32,)), epochs=40, random_state=0, device="cpu").fit(frame)


@pytest.fixture
def here(tmp_path, monkeypatch, frame):
    monkeypatch.chdir(tmp_path)
    table = frame.assign(since=frame["since"].dt.strftime("%Y-%m-%d"))
    table.to_csv("people.csv", index=False)
    return table


def test_a_row_has_one_code_in_whatever_file_it_lies(tmp_path, monkeypatch, do):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    words = np.array(["True", "False", "unknown"])[rng.integers(3, size=90)]
    codes = np.array(["007", "1e3", "A1", "12:30"])[rng.integers(4, size=90)]
    table = pd.DataFrame({"said": words, "code": codes, "size": rng.normal(size=90) + (words == "True")})
    table.to_csv("all.csv", index=False)
    do("train", "all.csv", "-o", "m.ae", *TINY, "-q")
    do("encode", "m.ae", "all.csv", "-o", "all.npy", "-q")
    for part in (table["said"] == "True", table["code"] == "007", table["code"] == "12:30"):
        table[part].to_csv("part.csv", index=False)
        do("encode", "m.ae", "part.csv", "-o", "part.npy", "-q", "--overwrite")
        np.testing.assert_allclose(np.load("part.npy"), np.load("all.npy")[part], atol=1e-5)
    model = AutoEncoder.load("m.ae").model_
    row = typed(f"size;said;code\n{table['size'][0]:.17g}; {words[0]} ;{codes[0]}\n", model.columns)
    np.testing.assert_allclose(model.transform(row)[0], np.load("all.npy")[0], atol=1e-5)


def test_postcodes_keep_their_zeros(tmp_path, monkeypatch, do):
    monkeypatch.chdir(tmp_path)
    zips = ["01234", "00501", "90210"]
    pd.DataFrame({"zip": zips * 20, "size": np.arange(60.0)}).to_csv("z.csv", index=False)
    do("train", "z.csv", "-o", "z.ae", *TINY, "-q", "--kind", "zip=category")
    do("sample", "z.ae", "-n", 30, "-o", "s.csv", "-q", "--seed", 0)
    assert set(pd.read_csv("s.csv", dtype=str)["zip"]) <= set(zips)
    assert AutoEncoder.load("z.ae").columns_.columns_[0].values == ("00501", "01234", "90210")


def test_a_word_that_was_not_there_in_training_is_no_other_word(ae, frame):
    odd = frame.iloc[:3].assign(color=["violet", "red", None], size=1.0)
    columns = Columns().fit(frame.assign(color="red"))
    assert columns.inverse_table(columns.transform(odd.assign(color="violet")).x)["color"].null_count == 3
    assert ae.columns_.inverse_table(ae.columns_.transform(odd).x)["color"].to_pylist() == [
        None,
        "red",
        None,
    ]


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_the_largest_whole_numbers_come_back(kind):
    limits = np.iinfo(kind)
    values = np.array([limits.min, limits.max] * 5, dtype=kind)
    columns = Columns().fit(pa.table({"n": values, "c": ["a", "b"] * 5}))
    rows = columns.transform(pa.table({"n": values, "c": ["a", "b"] * 5})).x
    back = columns.inverse_table(rows)["n"].to_numpy()
    if limits.bits < 32:
        np.testing.assert_array_equal(back, values)
    else:  # as far as float32 tells them apart
        np.testing.assert_allclose(back.astype(float), values.astype(float), rtol=1e-6, atol=1)
    far = columns.inverse_table(np.where([[1, 0, 0]], 9.0, rows))["n"].to_numpy()
    assert (far > limits.max // 2).all()  # not wrapped around


def test_moments_go_out_as_text_and_come_back_in_utc(tmp_path, monkeypatch, do):
    monkeypatch.chdir(tmp_path)
    n = 60
    rng = np.random.default_rng(0)
    seconds = 10**9 + rng.integers(-200_000, 200_000, n)
    table = pa.table(
        {
            "seen": pa.array(seconds, pa.timestamp("s", "America/New_York")),
            "noted": pa.array(seconds * 10**9, pa.timestamp("ns")),
            "old": pa.array([dt.datetime(1, 1, 2)] * n, pa.timestamp("us", "America/New_York")),
            "kind": ["a", "b"] * (n // 2),
        }
    )
    pq.write_table(table, "t.parquet")
    do("train", "t.parquet", "-o", "t.ae", *TINY, "-q")
    do("sample", "t.ae", "-n", 5, "-o", "s.csv", "-q", "--seed", 0)
    do("encode", "t.ae", "s.csv", "-o", "z.npy", "-q")  # what it wrote, it reads
    for picture in ("reconstruct", "sample"):
        do(picture, "t.ae", *["t.parquet"] * (picture == "reconstruct"), "-o", f"{picture}.png", "-q")
    columns = AutoEncoder.load("t.ae").columns_
    assert [column.type for column in columns.columns_[:2]] == ["timestamp[ms, tz=UTC]", "timestamp[ns]"]
    display = display_of((4,), columns=columns)
    # What the page shows can be typed.
    shown = display.cells(columns.transform(table).x)
    for i, (seen, noted, *_) in enumerate(shown):
        moment = dt.datetime.fromtimestamp(int(seconds[i]), dt.UTC).replace(tzinfo=None)
        assert abs(dt.datetime.fromisoformat(seen) - moment) < dt.timedelta(minutes=2)
        row = typed(f"seen,noted,old,kind\n{seen},{noted},0001-01-02 12:00,a\n", columns)
        assert display.cells(row)[0][:2] == [seen, noted]
    with pytest.raises(DataError, match=r"row 1, column 'seen' holds 'soon': expected a date \(timestamp"):
        typed("seen,noted,old,kind\nsoon,2020-01-01,2020-01-01,a\n", columns)


def test_what_pandas_calls_a_category_is_one():
    frame = pd.DataFrame(
        {
            "grade": pd.Categorical([1, 2, 3] * 10),
            "span": pd.cut(np.arange(30.0), 3),
            "x": np.arange(30.0),
        }
    )
    columns = Columns().fit(frame)
    assert [column.kind for column in columns.columns_] == ["category", "category", "number"]
    back = columns.inverse_transform(columns.transform(frame).x)
    assert back["grade"].tolist() == [1, 2, 3] * 10
    assert back["span"].tolist() == frame["span"].astype(str).tolist()
    assert Columns().fit(frame[["grade", "x"]]).columns_[0].kind == "category"
    assert AutoEncoder(1, epochs=1, device="cpu").fit(frame[["grade", "x"]]).columns_.names == ("grade", "x")


def test_a_mixed_table_is_exported_in_its_own_columns(here, do):
    do("train", "people.csv", "-o", "p.ae", *TINY, "-q")
    do(
        "export",
        "p.ae",
        "people.csv",
        "--parquet",
        "e.parquet",
        "--method",
        "pca",
        "-q",
    )
    found = pd.read_parquet("e.parquet")
    assert set(OWN) < set(found.columns)
    assert not [name for name in found if "=" in name]
    np.testing.assert_allclose(
        found["size_source" if "size_source" in found else "size"], here["size"], rtol=1e-5
    )
    assert found["color"].fillna("-").tolist() == here["color"].fillna("-").tolist()
    tiny = ("--seeds", "1", "--epochs", 1, "--network", "mlp(hidden=(8,))")
    out = do("compare", "people.csv", "-k", 2, *tiny, "--kind", "count=category", "--label-column", "new")
    assert "next: codeword train people.csv -k" in out
    assert "--label-column new --kind count=category" in out


def test_mistakes_about_kinds_are_named(here, refused):
    words = ("train", "people.csv", "-o", "q.ae", "--kind")
    assert "column 'since' holds " in refused(*words, "since=number")
    assert "'new', which holds the labels" in refused(*words, "new=category", "--label-column", "new")
    here.assign(size=["?"] * 3 + list(here["size"][3:])).to_csv("typo.csv", index=False)
    assert "--kind size=category" in refused("train", "typo.csv", "-o", "q.ae")


def test_parts_in_a_folder_are_one_table(frame, tmp_path, monkeypatch, do, refused):
    monkeypatch.chdir(tmp_path)
    Path("parts").mkdir()
    for i in range(4):  # the columns in another order, and gaps in some parts only
        part = frame.iloc[50 * i : 50 * (i + 1)][OWN if i % 2 else OWN[::-1]]
        part.to_parquet(f"parts/{i}.parquet")
    frame[OWN[::-1]].to_parquet("whole.parquet")
    do("train", "parts", "-o", "p.ae", *TINY, "-q")
    do("train", "whole.parquet", "-o", "w.ae", *TINY, "-q")
    assert AutoEncoder.load("p.ae").columns_.to_json() == AutoEncoder.load("w.ae").columns_.to_json()
    do("encode", "p.ae", "parts", "-o", "p.npy", "-q")
    do("encode", "w.ae", "whole.parquet", "-o", "w.npy", "-q")
    np.testing.assert_array_equal(np.load("p.npy"), np.load("w.npy"))
    pd.DataFrame({"size": [1.0]}).to_parquet("parts/4.parquet")
    assert "4.parquet and " in refused("encode", "p.ae", "parts", "-o", "q.npy")


def test_numbers_of_rows_are_left_out(frame, tmp_path, monkeypatch, do):
    monkeypatch.chdir(tmp_path)
    frame.assign(year=np.arange(1900, 1900 + len(frame))).to_csv("t.csv")  # with an index that has no name
    do("train", "t.csv", "-o", "t.ae", *TINY, "-q")
    columns = AutoEncoder.load("t.ae").columns_
    assert columns.left_out_ == {"": "counts the rows", "year": "counts the rows"}
    do("train", "t.csv", "-o", "y.ae", *TINY, "-q", "--kind", "year=number")
    assert "year" in AutoEncoder.load("y.ae").columns_.names
