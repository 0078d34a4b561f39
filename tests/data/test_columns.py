"""Tables as people have them: columns of every kind, through a model and back."""

from __future__ import annotations

import datetime as dt
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F

from codeword import (
    MLP,
    AutoEncoder,
    OutlierDetector,
    compare,
    evaluate,
    interpolate,
    load,
    traverse,
)
from codeword.base.errors import DataError, ModelError, ParameterError
from codeword.data.columns import Columns, Layout
from codeword.objectives import OBJECTIVES, Reconstruction, Variational, mixed
from codeword.objectives.mixed import LEAST_ENTROPY
from codeword.tasks.evaluate import draw

OWN = ["size", "count", "color", "new", "since", "price"]


def people(n=200, seed=0):
    """Colors go with sizes, and counts with colors; prices are missing where things are new."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n)
    new = rng.random(n) < 0.4
    return pd.DataFrame(
        {
            "size": 10.0 * kind + rng.normal(size=n),
            "count": 5 * kind + rng.integers(3, size=n),
            "color": pd.Series(np.array(["red", "green", "blue"])[kind]).mask(rng.random(n) < 0.1),
            "new": new,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(400 * kind + rng.integers(9, size=n), "D"),
            "price": np.where(new, np.nan, 3.0 * kind + rng.normal(size=n)),
        }
    )


@pytest.fixture(scope="module")
def frame():
    return people()


@pytest.fixture(scope="module")
def ae(frame):
    """Shared: do not fit it again."""
    network = MLP(hidden=(32,))
    return AutoEncoder(3, network=network, epochs=40, random_state=0, device="cpu").fit(frame)


@pytest.fixture
def folder(ae, tmp_path):
    ae.save(tmp_path / "people.ae")
    return tmp_path / "people.ae"


# -- rows of numbers, and back ------------------------------------------------------------------------------


def test_what_a_row_is_made_of(frame):
    columns = Columns().fit(frame)
    kinds = {column.name: column.kind for column in columns.columns_}
    assert kinds == dict(zip(OWN, ["number", "number", "category", "flag", "date", "number"], strict=True))
    assert columns.feature_names_ == (
        *("size", "count", "since", "price", "price=(missing)", "new"),
        *("color=blue", "color=green", "color=red", "color=(missing)"),
    )
    data = columns.transform(frame)
    x = dict(zip(data.names, data.x.T, strict=True))
    assert data.x.dtype == np.float32
    for name in ("size", "count", "price"):
        known = frame[name].notna()
        assert x[name] == pytest.approx(
            (frame[name] - frame[name].mean()) / frame[name].std(ddof=0), nan_ok=True
        )
        assert (np.isnan(x[name]) == ~known).all()  # not filled in: no loss is taken of it
    assert (x["price=(missing)"] == frame["price"].isna()).all()
    assert (x["new"] == frame["new"]).all()
    assert (x["color=red"] == (frame["color"] == "red")).all()
    assert (x["color=(missing)"] == frame["color"].isna()).all()
    layout = columns.layout
    assert (layout.numbers, layout.flags, layout.groups, layout.parts) == (4, 2, (4,), 7)
    assert layout.owners == (0, 1, 4, 5, 5, 3, 2, 2, 2, 2)
    assert layout.means == pytest.approx(np.nanmean(data.x, axis=0, dtype=np.float64), abs=1e-6)


def test_back_in_own_columns_types_and_units(frame):
    columns = Columns()
    back = columns.inverse_transform(columns.fit_transform(frame).x, index=frame.index)
    assert list(back) == OWN
    assert [str(t) for t in back.dtypes[:2]] == ["float64", "int64"]
    assert back["new"].dtype == bool
    assert back["since"].dtype.kind == "M"
    for name in ("count", "new"):
        assert (back[name] == frame[name]).all()
    assert (back["color"].fillna("") == frame["color"].fillna("")).all()
    assert (back["since"] - frame["since"]).abs().max() < pd.Timedelta("1min")  # float32, of years
    for name in ("size", "price"):
        assert back[name].to_numpy() == pytest.approx(frame[name].to_numpy(), abs=1e-5, nan_ok=True)


def test_the_kinds_that_pandas_has():
    frame = pd.DataFrame(
        {
            "level": pd.Categorical(["low", "high", None, "low"], ["low", "high"], ordered=True),
            "zip": [1010, 8001, 1010, 1010],
            "small": np.array([1, 2, 3, 4], dtype=np.int8),
            "share": np.array([0.5, 0.25, 1, 2], dtype=np.float32),
            "zone": pd.to_datetime(["2020-01-01", None, "2020-03-01", "2020-04-01"]).tz_localize(
                "Europe/Oslo"
            ),
            "took": pd.to_timedelta([1, 2, 3, 4], "h"),
            "at": [dt.time(1), dt.time(23, 59), None, dt.time(12)],
            "text_day": ["2020-01-01", "2021-01-01", "2022-01-01", None],
            "text_number": ["1", "2.5", None, "4"],
            "text_flag": ["true", "False", "true", None],
        }
    )
    columns = Columns(kinds={"zip": "category"}).fit(frame)
    kinds = [column.kind for column in columns.columns_]
    assert kinds == ["category", "category", *["number"] * 2, *["date"] * 2, "number", "flag"]
    for name in ("took", "at"):
        assert "give durations and times of day as numbers" in columns.left_out_[name]
    back = columns.inverse_transform(columns.transform(frame).x)
    assert back["level"].dtype == frame["level"].dtype
    assert back["level"].astype(object).fillna("").tolist() == ["low", "high", "", "low"]
    assert back["zip"].tolist() == frame["zip"].tolist()
    assert back["zip"].dtype == np.int64
    assert (back["small"].dtype, back["share"].dtype) == (np.int8, np.float32)
    assert str(back["zone"].dtype).endswith("UTC]")
    assert (back["zone"] - frame["zone"]).abs().max() < pd.Timedelta("1s")
    assert back["text_day"].dt.year.fillna(0).tolist() == [2020, 2021, 2022, 0]
    assert back["text_number"].to_numpy() == pytest.approx([1, 2.5, np.nan, 4], nan_ok=True)
    assert back["text_flag"].tolist() == [True, False, True, None]
    again = Columns.from_json(json.loads(json.dumps(columns.to_json())))
    assert again.inverse_table(columns.transform(frame).x) == columns.inverse_table(
        columns.transform(frame).x
    )


def test_booleans_asked_for_as_numbers_are_read_back_from_the_folder():
    table = pa.table({"a": [True, False, None, True]})
    columns = Columns({"a": "number"}).fit(table)
    again = Columns.from_json(json.loads(json.dumps(columns.to_json())))
    back = again.inverse_table(columns.transform(table).x)["a"].to_numpy()
    assert back == pytest.approx([1, 0, math.nan, 1], abs=1e-6, nan_ok=True)


def test_fitting_again_forgets_what_was(frame):
    columns = Columns().fit(frame)
    assert columns.layout.d == 10
    columns.fit(frame[["size", "color"]])
    assert columns.layout.d == len(columns.feature_names_) == 5
    assert columns.layout == Columns().fit(frame[["size", "color"]]).layout


def test_columns_in_another_order_and_others_beside_them(frame):
    columns = Columns().fit(frame)
    x = columns.transform(frame).x
    other = frame[OWN[::-1]].assign(extra="never seen")
    np.testing.assert_array_equal(columns.transform(other).x, x)
    np.testing.assert_array_equal(columns.transform(pa.Table.from_pandas(other)).x, x)
    with pytest.raises(DataError, match="has no column 'price', which was there in training"):
        columns.transform(frame.drop(columns="price"))


def test_words_that_were_not_there():
    train = pa.table({"a": ["x", "y", "x", "z", "x", "y"], "b": [1.0, 2, 3, 4, 5, 6]})
    few = Columns(max_categories=2).fit(train)
    assert few.feature_names_ == ("b", "a=x", "a=y", "a=(other)")
    new = pa.table({"a": ["z", "new", "x", None], "b": [1.0, 2, 3, None]})
    x = few.transform(new).x
    assert x[:3, 1:].tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]
    assert np.isnan(x[3]).all()  # nothing was missing in training: no sign stands for it
    assert few.inverse_table(x).column("a").to_pylist() == ["(other)", "(other)", "x", None]
    known = Columns().fit(train).transform(new).x
    assert known[1, 1:].tolist() == [0, 0, 0]  # none of the categories: unusual, whatever is expected


def test_what_is_left_out_is_said_and_why():
    n = 100
    frame = pd.DataFrame(
        {
            "name": [f"person {i}" for i in range(n)],
            "nothing": [None] * n,
            "list": [[1, 2]] * n,
            "kind": ["a", "b"] * (n // 2),
            "same": ["always"] * n,
            "one": 1.0,
        }
    )
    model = AutoEncoder(1, epochs=1, random_state=0, device="cpu")
    with pytest.warns(
        UserWarning, match="column 'name' is left out: it holds 100 different texts in 100 cells"
    ):
        model.fit(frame)
    assert set(model.columns_.left_out_) == {"name", "nothing", "list"}
    assert "column 'nothing' is left out: it holds nothing" in model.columns_.summary()
    assert "column 'list' is left out: it holds list" in model.columns_.summary()
    back = model.reconstruct(frame)
    assert list(back) == ["kind", "same", "one"]
    assert (back["same"] == "always").all()
    assert back["one"].to_numpy() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("table", "kinds", "error", "words"),
    [
        ({"a": ["1", "2", "3", "x4"], "b": list("pqrs")}, None, DataError, ["row 4, column 'a' holds 'x4'"]),
        ({"a": [1.0, math.inf], "b": ["p", "q"]}, None, DataError, ["row 2, column 'a' holds inf", "finite"]),
        ({"a": [1.0, 1e200], "b": ["p", "q"]}, None, DataError, ["1e+200"]),
        ({"a": [None, None]}, None, DataError, ["no column", "'a' holds nothing"]),
        ({"a": []}, None, DataError, ["holds no rows"]),
        ({"a": ["p", "q"]}, {"a": "number"}, DataError, ["row 1, column 'a' holds 'p'", "finite number"]),
        ({"a": ["p", "q"]}, {"a": "date"}, DataError, ["'a'", "expected a date"]),
        ({"a": [3, 4]}, {"a": "flag"}, DataError, ["'a' holds 3", "true or false"]),
        ({"a": ["p", "q"]}, {"b": "number"}, ParameterError, ["'kinds'", "no column 'b'"]),
        ({"a": ["p", "q"]}, {"a": "word"}, ParameterError, ["'kinds'", "number, date, flag, category"]),
    ],
)
def test_one_clear_error(table, kinds, error, words):
    with pytest.raises(error) as raised:
        Columns(kinds).fit(pa.table(table))
    for word in words:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_cells_that_do_not_fit_name_their_row(frame):
    columns = Columns().fit(frame)
    cells = {"size": ["big"] * 3, "new": [1.0, 0.0, 2.0], "since": [1.0, 2.0, 3.0]}
    for name, wrong in cells.items():
        row = 3 if name == "new" else 1
        with pytest.raises(DataError, match=f"row {row}, column '{name}' holds"):
            columns.transform(frame.iloc[:3].assign(**{name: wrong}))
    as_text = frame.iloc[:3].assign(new=["true", "false", "true"], size=["1", "2.5", "-3e1"])
    x = columns.transform(as_text).x
    assert x[:, 5].tolist() == [1, 0, 1]
    assert x[2, 0] < x[0, 0] < x[1, 0]
    with pytest.raises(ParameterError, match="'max_categories'"):
        Columns(max_categories=1).fit(frame)
    with pytest.raises(DataError, match=r"have 10 numbers. Got the shape \(2, 3\)"):
        columns.inverse_table(np.zeros((2, 3)))


# -- fuzz ---------------------------------------------------------------------------------------------------

CELLS = {
    "number": st.floats(-1e9, 1e9, width=32),
    "count": st.integers(-(2**31), 2**31),
    "flag": st.booleans(),
    "word": st.sampled_from(["red", "green", " blue", "", "NA", "(other)", "(missing)", "a=b"]),
    "text": st.text(max_size=4),
    "date": st.dates(dt.date(1950, 1, 1), dt.date(2050, 1, 1)),
    "time": st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2050, 1, 1)),
}
TYPES = {
    **{"number": pa.float64(), "count": pa.int64(), "flag": pa.bool_(), "word": pa.string()},
    **{"text": pa.large_string(), "date": pa.date32(), "time": pa.timestamp("us")},
}


@st.composite
def tables(draw):
    n = draw(st.integers(1, 24))
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=5))
    made = {}
    for i, kind in enumerate(kinds):
        cells = CELLS[kind] | st.none() if draw(st.booleans()) else CELLS[kind]
        column = draw(st.lists(cells, min_size=n, max_size=n))
        made[f"{kind} {i}"] = pa.array(column, TYPES[kind])
    return pa.table(made)


def seconds(value):
    epoch = dt.datetime(1970, 1, 1)
    return (value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())) - epoch


@settings(max_examples=60)
@given(tables())
def test_any_table_goes_through_and_comes_back(table):
    try:
        columns = Columns().fit(table)
    except DataError:  # nothing in it, or numbers with other words among them
        return
    x = columns.transform(table).x
    assert x.shape == (table.num_rows, len(columns.feature_names_))
    assert len(set(columns.feature_names_)) == x.shape[1] == columns.layout.d
    assert set(columns.names) | set(columns.left_out_) == set(table.column_names)
    back = columns.inverse_table(x)
    for column in columns.columns_:
        before, after = table[column.name].to_pylist(), back[column.name].to_pylist()
        assert [a is None for a in after] == [b is None for b in before] or column.type == "double"
        pairs = [(a, b) for a, b in zip(after, before, strict=True) if b is not None]
        exact = column.kind == "category" or (column.kind == "flag" and isinstance(pairs[0][1], bool))
        if exact:
            assert all(a == b for a, b in pairs)
        elif column.kind == "date" and not isinstance(pairs[0][1], str):
            spread = max(seconds(b) for _, b in pairs) - min(seconds(b) for _, b in pairs)
            limit = 1e-6 * spread + dt.timedelta(days=column.type == "date32[day]", seconds=1)
            assert all(abs(seconds(a) - seconds(b)) <= limit for a, b in pairs)
        elif column.kind == "number" and not isinstance(pairs[0][1], str):
            values = [b for _, b in pairs]
            limit = (
                1e-5 * (max(values) - min(values)) + 1e-9 * max(map(abs, values)) + (column.type == "int64")
            )
            assert all(abs(a - b) <= limit for a, b in pairs)
    again = Columns.from_json(json.loads(json.dumps(columns.to_json())))
    assert again.to_json() == columns.to_json()
    assert again.layout == columns.layout
    np.testing.assert_array_equal(again.transform(table).x, x)
    assert again.inverse_table(x) == back
    np.testing.assert_array_equal(columns.transform(table.select(table.column_names[::-1])).x, x)


# -- losses -------------------------------------------------------------------------------------------------

LAYOUT = Layout(2, 1, (3, 2), (0, 1, 1, 2, 2, 2, 3, 3), (0.0, 0.0, 0.3, 0.5, 0.4, 0.1, 0.5, 0.5))


def batch():
    torch.manual_seed(0)
    x = torch.tensor([[1.0, -2, 1, 0, 1, 0, 1, 0], [0.5, 3, 0, 1, 0, 0, 0, 1], [0, 0, 1, 0, 0, 1, 1, 0]])
    return torch.randn(3, 8, requires_grad=True), x


@pytest.mark.parametrize("name", ["mse", "l1", "huber"])
def test_each_part_has_the_loss_of_its_kind(name):
    out, x = batch()
    of_numbers = {"mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss}[name]
    objective = Reconstruction(loss=name)
    objective.layout = LAYOUT
    errors = objective.value_errors(out, x, name)
    entropy = torch.distributions.Categorical
    parts = [
        of_numbers(out[:, 0], x[:, 0]),
        of_numbers(out[:, 1], x[:, 1]),
        F.binary_cross_entropy_with_logits(out[:, 2], x[:, 2])
        / torch.distributions.Bernoulli(torch.tensor(0.3)).entropy(),
        F.cross_entropy(out[:, 3:6], x[:, 3:6].argmax(1)) / entropy(torch.tensor([0.5, 0.4, 0.1])).entropy(),
        F.cross_entropy(out[:, 6:], x[:, 6:].argmax(1)) / entropy(torch.tensor([0.5, 0.5])).entropy(),
    ]
    assert errors.shape == x.shape
    assert float(errors.mean().detach()) == pytest.approx(float(torch.stack(parts).mean().detach()), rel=1e-5)


def test_every_part_counts_alike_where_nothing_is_known(frame):
    """The best constants leave a loss of 1 in every part, however many categories it has."""
    columns = Columns().fit(frame)
    x, layout = torch.from_numpy(columns.transform(frame).x), columns.layout
    _, constant = mixed.start(layout, torch.tensor(layout.means))
    errors = mixed.errors(layout, constant.expand_as(x), x, lambda y, t: F.mse_loss(y, t, reduction="none"))
    each = errors.double().nan_to_num().mean(dim=0).numpy() * layout.parts / layout.d
    assert each[[0, 1, 2, 4, 5]] == pytest.approx(1.0, abs=0.02)
    assert each[6:].sum() == pytest.approx(1.0, abs=0.02)
    assert each[3] == pytest.approx(frame["price"].notna().mean(), abs=0.02)  # what is missing costs nothing


def test_what_is_rare_does_not_rule():
    rare = Layout(0, 1, (), (0,), (1e-6,))
    error = mixed.errors(rare, torch.zeros(1, 1), torch.ones(1, 1), torch.sub)
    assert float(error) == pytest.approx(math.log(2) / LEAST_ENTROPY)


def test_what_is_missing_or_unknown_has_no_gradient():
    out, x = batch()
    x[0, 0] = x[1, 3] = x[1, 4] = x[1, 5] = torch.nan  # a number, and a category of which nothing is known
    x[2, 6:] = 0.0  # a word that is none of the categories
    mixed.errors(LAYOUT, out, x, lambda y, t: F.mse_loss(y, t, reduction="none")).sum().backward()
    assert out.grad is not None
    assert out.grad.isfinite().all()
    gone = torch.zeros(3, 8, dtype=torch.bool)
    gone[0, 0] = gone[1, 3] = gone[1, 4] = gone[1, 5] = gone[2, 6] = gone[2, 7] = True
    assert ((out.grad == 0) == gone).all()
    filled = mixed.impute(LAYOUT, x)
    assert filled[1, 3:6].tolist() == pytest.approx([0.5, 0.4, 0.1])


def test_decoded_are_probabilities_and_start_at_the_shares():
    out, _ = batch()
    x_hat = mixed.decoded(LAYOUT, out)
    torch.testing.assert_close(x_hat[:, :2], out[:, :2])
    torch.testing.assert_close(x_hat[:, 2], out[:, 2].sigmoid())
    torch.testing.assert_close(x_hat[:, 3:6], out[:, 3:6].softmax(dim=1))
    torch.testing.assert_close(x_hat[:, 6:], out[:, 6:].softmax(dim=1))
    means = torch.tensor(LAYOUT.means)
    slope, bias = mixed.start(LAYOUT, means)
    torch.testing.assert_close(mixed.decoded(LAYOUT, bias[None])[0], means)
    step = 1e-3 * torch.tensor([1.0, 1, 1, 1, -0.5, -0.5, 1, -1])  # as components move: groups keep their sum
    moved = mixed.decoded(LAYOUT, (bias + step / slope)[None])[0] - means
    torch.testing.assert_close(moved, step, rtol=0.02, atol=1e-5)


def test_training_starts_as_pca(frame):
    """Before a step is made numbers are PCA's, and probabilities nearly its shares."""
    model = AutoEncoder(3, epochs=1, learning_rate=1e-9, random_state=0, device="cpu").fit(frame)
    x = model.columns_.transform(frame).x
    pca = model.baseline_.inverse_transform(model.baseline_.transform(x))
    x_hat = model.model_.reconstruct(frame)
    assert x_hat[:, :4] == pytest.approx(pca[:, :4], abs=1e-3)
    assert np.abs(x_hat[:, 4:] - pca[:, 4:].clip(0, 1)).mean() < 0.1


def test_a_bound_in_nats_of_every_kind():
    out, x = batch()
    objective = Variational(variance=0.5)
    objective.layout = LAYOUT
    normal = torch.distributions.Normal(out[:, :2], 0.5**0.5).log_prob(x[:, :2]).sum(dim=1)
    flags = torch.distributions.Bernoulli(logits=out[:, 2]).log_prob(x[:, 2])
    words = [F.cross_entropy(out[:, a:b], x[:, a:b].argmax(1), reduction="none") for a, b in ((3, 6), (6, 8))]
    network = torch.nn.Module()
    network.decoder = torch.nn.Identity()
    network.extra = torch.nn.Module()
    network.extra.register_buffer("log_variance", torch.tensor(math.log(0.5)))
    found = objective.log_density(network, out, x)
    torch.testing.assert_close(found, normal + flags - sum(words), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_takes_a_mixed_table(name, frame):
    settings = {"network": MLP(hidden=(8,)), "epochs": 2, "random_state": 0, "device": "cpu"}
    model = AutoEncoder(4, objective=name, **settings).fit(frame)
    assert all(math.isfinite(row["train_loss"]) for row in model.history_)
    back = model.reconstruct(frame)
    assert list(back) == OWN
    assert back[["size", "count"]].notna().all(axis=None)
    assert np.isfinite(model.score_samples(frame)).all()
    x_hat = model.model_.reconstruct(frame)
    assert x_hat[:, 6:].sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(model.model_.inverse_transform(model.transform(frame)), x_hat)
    assert list(model.sample(3, random_state=0)) == OWN
    if name == "nested":
        assert np.isfinite(model.error_curve(frame)).all()
    if name == "variational":
        assert np.isfinite(model.log_likelihood(frame, 3)).all()


# -- the estimator ------------------------------------------------------------------------------------------


def test_a_frame_in_and_a_frame_out(ae, frame):
    back = ae.reconstruct(frame.iloc[5:25])
    assert back.index.tolist() == list(range(5, 25))
    assert list(back) == OWN
    assert (back["color"] == frame["color"].iloc[5:25])[frame["color"].iloc[5:25].notna()].mean() > 0.8
    assert ((back["size"] - frame["size"].iloc[5:25]) ** 2).mean() < 4  # of a variance of 70
    pd.testing.assert_frame_equal(
        ae.inverse_transform(ae.transform(frame.iloc[5:25])), back.reset_index(drop=True)
    )
    assert (back["price"].isna() == frame["new"].iloc[5:25]).mean() > 0.9
    sample = ae.sample(50, random_state=0)
    assert set(sample["color"].dropna()) <= {"red", "green", "blue"}
    assert sample["count"].dtype == np.int64
    assert ae.transform(frame[OWN[::-1]]) == pytest.approx(ae.transform(frame), abs=1e-5)
    np.testing.assert_array_equal(ae.transform(ae.columns_.transform(frame)), ae.transform(frame))
    assert ae.model_.reconstruct(frame).shape == (200, 10)
    metrics = evaluate(ae, frame)
    assert metrics["mse"] == pytest.approx(-ae.score(frame), rel=0.1)
    assert metrics["mse"] < metrics["pca_mse"]
    assert evaluate(ae, frame, frame["new"])["classes"] == 2
    assert evaluate(ae, ae.columns_.transform(frame))["mse"] == metrics["mse"]
    assert traverse(ae, ae.training_codes_.codes).rows.shape == (3, 7, 10)
    assert interpolate(ae, frame.iloc[:2], frame.iloc[2:4], 3).shape == (2, 3, 10)


def test_the_same_seed_gives_the_same_model(frame):
    made = [
        AutoEncoder(2, epochs=2, random_state=3, device="cpu").fit(frame).transform(frame) for _ in range(2)
    ]
    np.testing.assert_array_equal(*made)


def test_tables_of_numbers_are_as_they_were(frame, tmp_path):
    numbers = frame[["size", "count", "new"]]
    settings = {"epochs": 2, "random_state": 0, "device": "cpu"}
    model = AutoEncoder(2, **settings).fit(frame)
    model.fit(numbers)  # the columns of before are forgotten
    assert not hasattr(model, "columns_")
    plain = AutoEncoder(2, **settings).fit(numbers)
    assert isinstance(model.reconstruct(numbers), np.ndarray)
    np.testing.assert_array_equal(model.transform(numbers), plain.transform(numbers))
    plain.save(tmp_path / "plain.ae")
    assert not (tmp_path / "plain.ae" / "columns.json").exists()
    assert "columns" not in json.loads((tmp_path / "plain.ae" / "config.json").read_text())
    with pytest.raises(DataError, match="NaN"):
        AutoEncoder(2).fit(frame[["size", "price"]])
    words = load(frame[["size", "color"]].dropna())
    with pytest.raises(DataError, match="trained on numbers alone, and color is none"):
        plain.transform(words)


def test_what_does_not_go_with_a_mixed_table(ae, frame):
    with pytest.raises(ParameterError, match="must be 'auto' or 'none' for a mixed table"):
        AutoEncoder(2, scaling="standard").fit(frame)
    with pytest.raises(ParameterError, match="takes values in"):
        AutoEncoder(2, objective=Reconstruction("bce")).fit(frame)
    others = Columns().fit_transform(frame.iloc[:50])
    with pytest.raises(DataError, match="made by other columns"):
        ae.transform(others)
    with pytest.raises(DataError, match="no column 'price'"):
        ae.transform(frame.drop(columns="price"))


def test_a_detector_says_which_of_the_own_columns(frame):
    network = MLP(hidden=(32,))
    model = AutoEncoder(3, network=network, epochs=30, device="cpu")
    detector = OutlierDetector(model, max_false_alarms=0.1, random_state=0).fit(frame)
    odd = people(100, seed=1)
    odd["color"] = odd["color"].fillna("red")
    wrong = {"red": "blue", "green": "red", "blue": "green"}
    odd.loc[:9, "color"] = odd.loc[:9, "color"].map(wrong)
    found = detector.explain(odd, top=1)
    named = [detector.columns_.names[i] for i in found.features[:10, 0]]
    assert named.count("color") >= 8
    assert (found.p_values[:10] <= 0.1).mean() > 0.8
    assert (found.p_values[10:] <= 0.1).mean() < 0.25
    shares = detector.contributions(odd)
    assert shares.shape == (100, 6)
    assert shares.sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    # What makes numbers of cells has not seen the rows to calibrate on.
    rest = frame.drop(index=detector.calibration_indices_)
    assert detector.columns_.to_json() == Columns().fit(rest).to_json()


# -- the model folder ---------------------------------------------------------------------------------------


def test_the_folder_holds_the_columns(ae, frame, folder):
    again = AutoEncoder.load(folder, device="cpu")
    assert again.columns_.to_json() == ae.columns_.to_json()
    np.testing.assert_array_equal(again.transform(frame), ae.transform(frame))
    pd.testing.assert_frame_equal(again.reconstruct(frame), ae.reconstruct(frame))
    assert "columns.json" in (folder / "README.md").read_text("utf-8")
    ae.save(folder, overwrite=True)  # its files are known as its own


def change(key, value):
    def applied(state):
        *path, last = key.split(".")
        place = state
        for step in path:
            place = place[int(step) if step.isdigit() else step]
        if value is None:
            del place[last]
        else:
            place[int(last) if last.isdigit() else last] = value
        return state

    return applied


HARMS = {
    "format": change("format", 2),
    "no columns": change("columns", []),
    "twice": lambda state: state | {"columns": state["columns"][:1] * 2},
    "unknown key": change("code", "import os"),
    "missing key": change("means", None),
    "kind": change("columns.0.kind", "pickle"),
    "kind of another type": change("columns.0.kind", "date"),
    "type": change("columns.0.type", "extension<os.system>"),
    "a type that is none": change("columns.4.type", "duration[us]"),
    "name": change("columns.0.name", 3),
    "column key": change("columns.0.name", None),
    "words": change("columns.2.values", ["a", 3]),
    "same words": change("columns.2.values", ["a", "a", "b"]),
    "no words": change("columns.2.values", []),
    "other words": change("columns.2.values", ["a", "b"]),
    "scale": change("scaler.scale.0", 0),
    "infinite": change("scaler.mean.0", math.inf),
    "text": change("scaler.mean.0", "1"),
    "short": change("scaler.mean", [1.0]),
    "no scaler": change("scaler", {}),
    "a part of the scaler": change("scaler.code", "import os"),
    "means": change("means.0", True),
    "fewer means": change("means", [0.0]),
    "left out": change("left_out", [1]),
    "a list": lambda state: [state],
}


@pytest.mark.parametrize("harm", HARMS)
def test_columns_that_cannot_be_are_refused(harm, folder):
    path = folder / "columns.json"
    path.write_text(json.dumps(HARMS[harm](json.loads(path.read_text()))))
    with pytest.raises(ModelError, match=r"columns\.json") as raised:
        AutoEncoder.load(folder)
    assert "\n" not in str(raised.value)


def test_columns_of_an_earlier_codeword_are_read(frame):
    """Those had the version of scikit-learn, the scaler's variance and rows, and at first no kinds."""
    columns = Columns().fit(frame)
    state = columns.to_json()
    numbers = len(state["scaler"]["mean"])
    state["scaler"] |= {"variance": [1.0] * numbers, "rows": [200] * numbers}
    del state["kinds"]
    again = Columns.from_json(state | {"scikit-learn": "1.5.0"})
    assert again.to_json() == columns.to_json()
    np.testing.assert_array_equal(again.transform(frame).x, columns.transform(frame).x)


def test_numbers_are_scaled_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 4)) * [1, 1e6, 1e-3, 0] + [0, 1e7, 5, 3.3]
    x[rng.random(x.shape) < 0.1] = np.nan
    scaler = StandardScaler().fit(x)
    columns = Columns().fit(pd.DataFrame(x, columns=list("abcd")).assign(word="w"))
    np.testing.assert_array_equal(columns.mean_, scaler.mean_)
    np.testing.assert_array_equal(columns.scale_, scaler.scale_)


@pytest.mark.parametrize("content", [None, "", "{", "[" * 100_000])
def test_a_folder_without_its_columns(content, folder, refused, tmp_path):
    path = folder / "columns.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert "columns.json" in refused("info", folder)


# -- the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch, frame):
    monkeypatch.chdir(tmp_path)
    table = frame.assign(id=[f"id{i}x" for i in range(len(frame))])
    table["since"] = table["since"].dt.strftime("%Y-%m-%d")
    table.to_csv("people.csv", index=False)
    table.to_parquet("people.parquet", index=False)
    return table


ALARMS = ("--max-false-alarms", 0.1)
TINY = ("-k", 3, "--epochs", 10, "--network", "mlp(hidden=(32,))", "--random-state", 0, "--device", "cpu")


def test_a_csv_from_end_to_end(here, do, capsys):
    do("train", "people.csv", "-o", "p.ae", *TINY, "-q")
    said = json.loads((Path("p.ae") / "columns.json").read_text())
    assert list(said["left_out"]) == ["id"]
    do("encode", "p.ae", "people.csv", "-o", "codes.csv", "-q")
    codes = pd.read_csv("codes.csv")
    assert list(codes) == ["z0", "z1", "z2"]
    do("encode", "p.ae", "people.parquet", "-o", "codes.npy", "-q")
    assert np.load("codes.npy") == pytest.approx(codes.to_numpy(), abs=1e-5)
    do("decode", "p.ae", "codes.npy", "-o", "decoded.csv", "-q")
    do("reconstruct", "p.ae", "people.csv", "-o", "again.csv", "-q")
    decoded, again = pd.read_csv("decoded.csv"), pd.read_csv("again.csv", parse_dates=["since"])
    assert list(decoded) == list(again) == OWN
    assert decoded["size"].to_numpy() == pytest.approx(again["size"].to_numpy(), abs=1e-3)
    assert (again["color"] == here["color"])[here["color"].notna()].mean() > 0.7
    assert again["new"].dtype == bool
    assert (again["since"] - pd.to_datetime(here["since"])).dt.days.abs().mean() < 200
    do("reconstruct", "p.ae", "people.csv", "-o", "again.parquet", "-q")
    schema = pq.read_schema("again.parquet")
    assert [str(t) for t in schema.types] == ["double", "int64", "string", "bool", "date32[day]", "double"]
    do("reconstruct", "p.ae", "people.csv", "-o", "again.npy", "-q")
    assert np.load("again.npy").shape == (200, 10)
    do("score", "p.ae", "people.csv", "-o", "scores.csv", "--picture", "worst.png", "-q", *ALARMS)
    scores = pd.read_csv("scores.csv")
    assert set(scores["top1"]) <= set(OWN)
    assert {"top3", "top3_share"} <= set(scores)
    do("sample", "p.ae", "-n", 7, "-o", "new.csv", "-q")
    assert pd.read_csv("new.csv").shape == (7, 6)
    metrics = json.loads(
        do("evaluate", "p.ae", "people.csv", "--label-column", "new", "--no-labels", "--json")
    )
    assert metrics["n"] == 200


def test_commands_picture_own_columns(here, do, ae):
    ae.save("p.ae")
    do("reconstruct", "p.ae", "people.csv", "-o", "r.svg", "--samples", "3,4", "-q")
    do("traverse", "p.ae", "-o", "t.svg", "-q")
    do("interpolate", "p.ae", "people.csv", "-o", "i.svg", "--samples", "3,4", "-q")
    do("neighbors", "p.ae", "people.csv", "--query", 3, "-n", 2, "-o", "n.svg", "-q")
    do("sample", "p.ae", "-n", 3, "-o", "s.svg", "-q")
    do("map", "p.ae", "people.csv", "--method", "pca", "--label-column", "new", "-o", "m.svg", "-q")
    do("traverse", "p.ae", "-o", "t.csv", "-q")
    assert pd.read_csv("t.csv").shape == (21, 6)


def test_half_precision_is_as_good(frame):
    """The losses of every kind stay in float32, whatever the matrix products are in."""
    settings = {"network": MLP(hidden=(32,)), "epochs": 10, "random_state": 0, "device": "cpu"}
    exact, half = (
        AutoEncoder(3, precision=precision, **settings).fit(frame).score(frame)
        for precision in ("float32", "bfloat16")
    )
    assert half == pytest.approx(exact, rel=0.15)


def test_training_says_what_it_takes_columns_for(here, capsys):
    from codeword.cli.main import run

    words = ["train", "people.csv", "-o", "p.ae", *map(str, TINY), "--label-column", "new"]
    assert run(words) == 0
    err = capsys.readouterr().err
    assert "columns taken as numbers: size, count, price; dates: since; categories: color" in err
    assert "column 'id' is left out: it holds 200 different texts in 200 cells" in err
    assert "new" not in json.dumps(json.loads((Path("p.ae") / "columns.json").read_text()))


def test_commands_refuse_in_one_line(here, refused, do):
    do("train", "people.csv", "-o", "p.ae", *TINY, "-q")
    here.drop(columns="price").to_csv("short.csv", index=False)
    assert "short.csv has no column 'price'" in refused("encode", "p.ae", "short.csv", "-o", "z.npy")
    here.assign(size="large").to_csv("odd.csv", index=False)
    assert "odd.csv: row 1, column 'size' holds 'large'" in refused("score", "p.ae", "odd.csv", *ALARMS)
    here.assign(size=["?", *here["size"][1:]]).to_csv("typo.csv", index=False)
    message = refused("train", "typo.csv", "-o", "t.ae")
    assert "row 1, column 'size' holds '?'" in message
    assert "most of its cells are numbers" in message
    assert "no column 'kind'" in refused("train", "people.csv", "-o", "t.ae", "--label-column", "kind")
    pd.DataFrame({"a": [1.0, None, 3.0], "b": [1, 2, 3]}).to_csv("holes.csv", index=False)
    assert "row 2, column 'a' is empty" in refused("train", "holes.csv", "-o", "t.ae")  # as ever


def test_resuming_and_overwriting(here, do):
    do("train", "people.csv", "-o", "p.ae", *TINY, "-q")
    do("train", "people.csv", "-o", "p.ae", *TINY, "-q", "--overwrite")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        do("train", "people.csv", "-o", "p.ae", *TINY, "-q", "--resume")


def test_the_command_line_says_what_columns_are(here, do, refused):
    words = ("train", "people.csv", "-o", "p.ae", *TINY, "-q")
    do(*words, "--kind", "count=category", "--kind", "price=leave-out")
    said = json.loads((Path("p.ae") / "columns.json").read_text())
    kinds = {column["name"]: column["kind"] for column in said["columns"]}
    assert kinds == {
        "size": "number",
        "count": "category",
        "color": "category",
        "new": "flag",
        "since": "date",
    }
    assert said["left_out"]["price"] == "is not wanted"
    again = "codeword train SOURCE --kind count=category --kind price=leave-out -o again.ae"
    assert again in (Path("p.ae") / "README.md").read_text()
    assert AutoEncoder.load("p.ae").columns_.kinds == {"count": "category", "price": "leave out"}
    # Of a table of numbers alone too.
    here[["size", "count"]].to_csv("numbers.csv", index=False)
    do("train", "numbers.csv", "-o", "n.ae", *TINY, "-q", "--kind", "count=category")
    assert AutoEncoder.load("n.ae").columns_.feature_names_[:3] == ("size", "count=0", "count=1")
    np.save("x.npy", np.ones((3, 2)))
    for kind, source, problem in (
        ("count", "people.csv", "must be COLUMN=KIND, as in zip=category. Got 'count' instead"),
        ("cuont=category", "people.csv", "people.csv has no column 'cuont'"),
        (
            "count=word",
            "people.csv",
            "--kind must give each column one of number, date, flag, category, leave-out. Got 'word'",
        ),
        ("a=number", "x.npy", "applies to a table, which x.npy is not"),
    ):
        assert problem in refused("train", source, "-o", "q.ae", "--kind", kind)


def test_lengths_of_code_are_compared_on_a_mixed_table(here, frame):
    small = {"network": MLP(hidden=(16,)), "epochs": 5, "device": "cpu"}
    found = compare(frame, k=(1, 4), seeds=1, objectives=["reconstruction", "nested"], **small)
    assert [(row["objective"], row["k"]) for row in found.rows] == [
        (name, k) for name in ("reconstruction", "nested", "pca") for k in (1, 4)
    ]
    errors = {(row["objective"], row["k"]): row["mse"] for row in found.rows}
    # What a model of its own leaves of the same rows, in the same numbers.
    held = draw(200, 40, 0)
    data = Columns().fit_transform(frame)
    rest = np.delete(np.arange(200), held)
    alone = AutoEncoder(4, random_state=0, **small).fit(data[rest])
    assert errors["reconstruction", 4] == pytest.approx(evaluate(alone, data[held])["mse"], rel=1e-5)
    assert errors["pca", 4] < errors["pca", 1]
    judged = compare(
        frame, frame["new"], k=(2,), seeds=1, test=(people(50, 1), people(50, 1)["new"]), **small
    )
    assert judged.rows[0]["knn_accuracy"] > 0.6
    with pytest.raises(DataError, match="columns of test"):
        compare(data, k=(2,), seeds=1, test=Columns().fit_transform(people(50, 1)), **small)


def test_compare_takes_a_mixed_table_on_the_command_line(here, do):
    do("compare", "people.csv", "-k", "1,3", "--seeds", "1", "--epochs", 3, "--network", "mlp(hidden=(8,))",
       "--label-column", "new", "--kind", "count=category", "-q")  # fmt: skip
    rows = pd.read_csv("people-comparison/comparison.csv")
    assert rows["knn_accuracy"].notna().all()
    assert set(rows["objective"]) == {"reconstruction", "pca"}


def test_space_around_a_word_is_the_same_in_a_file_and_a_frame(tmp_path):
    """A CSV file gives words without it."""
    frame = pd.DataFrame({"word": ["x", "z ", " y", "z "] * 20, "n": range(80)})
    columns = Columns(kinds={"word": "category"}).fit(frame)
    frame.to_csv(tmp_path / "words.csv", index=False)
    rows = np.asarray(columns.transform(frame).x)
    assert len(np.unique(rows[:, 1:], axis=0)) == 3
    np.testing.assert_array_equal(load(tmp_path / "words.csv", columns=columns).x, rows)
    np.testing.assert_array_equal(columns.transform(frame.assign(word=frame["word"].str.strip())).x, rows)


def test_words_that_differ_in_space_alone_are_told_apart_in_a_frame():
    frame = pd.DataFrame({"word": ["z", "z "] * 40, "n": range(80)})
    columns = Columns(kinds={"word": "category"}).fit(frame)
    words = np.asarray(columns.transform(frame).x)[:, 1:]
    assert not np.array_equal(words[0], words[1])
