"""`codeword score`: a table of how unusual each row is, and a summary."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from codeword import MLP, AutoEncoder, OutlierDetector, load, plots
from codeword.model.fitted import FittedModel

NAMES = ["weight", "height", "width", "depth"]


def table(n, seed):
    """Four columns near a plane, with what a CSV keeps of them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    x = z @ [[1, 1, 1, -1], [0, 1, -1, 1]] + rng.normal(scale=0.1, size=(n, 4))
    return pd.DataFrame(x.round(4), columns=NAMES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of 600 rows, of which it held out 120. It is shared: do not write to it."""
    folder = tmp_path_factory.mktemp("trained")
    table(600, 0).to_csv(folder / "x.csv", index=False)
    ae = AutoEncoder(
        2, network=MLP((8,)), epochs=3, validation_fraction=0.2, random_state=0, device="cpu"
    ).fit(load(folder / "x.csv"))
    ae.save(folder / "x.ae")
    return folder / "x.ae"


@pytest.fixture(autouse=True)
def new(here):
    """200 new rows, of which row 40 is spoiled, in a file."""
    rows = table(200, 1)
    rows.loc[40, "width"] += 20
    rows.to_csv("new.csv", index=False)
    return rows


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
def test_the_table_says_what_the_detector_finds(output, do, trained, new):
    do("score", trained, "new.csv", "-o", output)
    read = pd.read_csv if output.endswith("csv") else pd.read_parquet
    scores = read(output)
    assert list(scores) == [
        "row", "error", "rarity", "p_value", "outlier",
        "top1", "top1_share", "top2", "top2_share", "top3", "top3_share",
    ]  # fmt: skip
    detector = OutlierDetector.from_model(AutoEncoder.load(trained))
    found = detector.explain(load("new.csv"))
    assert list(scores.row) == list(range(200))
    np.testing.assert_allclose(scores.error, found.errors, rtol=1e-6)
    np.testing.assert_allclose(scores.rarity, found.rarity, rtol=1e-6)
    np.testing.assert_array_equal(scores.p_value, found.p_values)
    np.testing.assert_array_equal(scores.outlier, (detector.predict(load("new.csv")) == -1).astype(int))
    np.testing.assert_allclose(scores.top3_share, found.shares[:, 2], rtol=1e-6)
    assert list(scores.top2) == [NAMES[feature] for feature in found.features[:, 1]]
    assert scores.loc[40, "outlier"] == 1
    assert scores.loc[40, "p_value"] == pytest.approx(1 / 121)


def test_facts_come_as_one_line_of_json(do, trained):
    lines = do("score", trained, "new.csv", "--json", "--max-false-alarms", "0.05", "--quiet").splitlines()
    assert len(lines) == 1
    facts = json.loads(lines[0])
    scores = pd.read_csv("scores.csv")
    assert facts == {
        "output": "scores.csv",
        "n": 200,
        "outliers": int((scores.p_value <= 0.05).sum()),
        "expected": pytest.approx(200 * 6 / 121),
        "max_false_alarms": 0.05,
        "smallest_p_value": pytest.approx(1 / 121),
        "calibration_rows": 120,
    }
    assert 0 < facts["outliers"] == scores.outlier.sum()


def test_a_person_is_told_how_many_and_which(do, trained):
    lines = do("score", trained, "new.csv", "--max-false-alarms", "0.01").splitlines()
    outliers = int(pd.read_csv("scores.csv").outlier.sum())
    expected = 200 / 121
    assert lines[0] == (
        f"{outliers} of 200 rows are unusual at a false-alarm rate of 1%; "
        f"chance alone would give {expected:.1f}"
    )
    assert lines[1] == f"judged by 120 rows held out from {trained}"
    assert lines[3].split()[:4] == ["row", "p-value", "error", "rarity"]
    assert lines[4].split()[:2] == ["40", "0.00826"]
    assert "width" in lines[4]
    assert len(lines) == 11
    assert lines[-1] == "wrote scores.csv"
    assert do("score", trained, "new.csv", "-o", "more.csv", "-q") == ""


def test_rows_are_judged_by_those_given(do, trained):
    table(999, 2).to_parquet("usual.parquet")
    words = ("score", trained, "new.csv", "--calibrate", "usual.parquet", "--max-false-alarms", "0.001")
    out = do(*words)
    assert "judged by 999 rows of usual.parquet" in out
    detector = OutlierDetector.from_model(
        AutoEncoder.load(trained), load("usual.parquet"), max_false_alarms=0.001
    )
    p = pd.read_csv("scores.csv").p_value
    np.testing.assert_array_equal(p, detector.p_values(load("new.csv")))
    assert p[40] == 0.001


def test_labels_are_set_aside(do, trained, new):
    new.assign(kind="usual").to_csv("labeled.csv", index=False)
    do("score", trained, "new.csv", "-q")
    do("score", trained, "labeled.csv", "--label-column", "kind", "-o", "labeled-scores.csv", "-q")
    pd.testing.assert_frame_equal(pd.read_csv("labeled-scores.csv"), pd.read_csv("scores.csv"))


@pytest.mark.parametrize(("top", "columns"), [(0, 5), (1, 7), (9, 13)])
def test_as_many_columns_are_named_as_asked_for(top, columns, do, trained):
    lines = do("score", trained, "new.csv", "--top", top).splitlines()
    assert pd.read_csv("scores.csv").shape == (200, columns)
    assert lines[4].count("%") == min(top, 2)


def test_pixels_are_named_by_row_and_column(do, saved_model, digits):
    x = digits.x[300:340].copy()
    x[3, 0, 7] = 1
    np.save("x.npy", x)
    out = do("score", saved_model, "x.npy", "--max-false-alarms", "0.05", "--picture", "worst.png")
    scores = pd.read_csv("scores.csv")
    assert scores.top1[3] == "0,7"
    assert out.endswith("wrote scores.csv\nwrote worst.png\n")
    with Image.open("worst.png") as picture:
        assert picture.width > picture.height > 100


def test_the_picture_shows_the_ten_most_unusual_in_order(do, trained, new, monkeypatch):
    shown = []
    make = plots.reconstruction_figure

    def spy(x, x_hat, **texts):
        shown.append((x, texts["titles"]))
        return make(x, x_hat, **texts)

    monkeypatch.setattr(plots, "reconstruction_figure", spy)
    do("score", trained, "new.csv", "--picture", "worst.png", "-q")
    found = OutlierDetector.from_model(AutoEncoder.load(trained)).explain(load("new.csv"))
    worst = np.argsort(found.scores)[:10]
    assert worst[0] == 40
    ((x, titles),) = shown
    np.testing.assert_allclose(x, new.to_numpy()[worst], rtol=1e-6)
    assert titles == [f"{row}\np = {found.p_values[row]:.2g}" for row in worst]


def test_rows_in_blocks_are_counted_as_in_one(do, trained, monkeypatch):
    do("score", trained, "new.csv", "-q")
    whole = do("score", trained, "new.csv", "--overwrite")
    before = pd.read_csv("scores.csv")
    monkeypatch.setattr(FittedModel, "chunk", 7)
    assert do("score", trained, "new.csv", "--overwrite") == whole
    after = pd.read_csv("scores.csv")
    np.testing.assert_allclose(after.error, before.error, rtol=1e-4)
    assert list(after.row) == list(before.row)


def test_a_bad_row_at_the_end_leaves_nothing_behind(refused, trained):
    x = table(9000, 3).to_numpy(copy=True)
    x[8999, 2] = np.nan
    np.save("x.npy", x)
    assert "NaN (the first in row 8999, column 2)" in refused("score", trained, "x.npy", "--picture", "w.png")


def test_what_is_there_is_kept(do, refused, trained):
    do("score", trained, "new.csv", "-q", "--picture", "w.png")
    assert "scores.csv already exists" in refused("score", trained, "new.csv")
    assert "w.png already exists" in refused("score", trained, "new.csv", "-o", "a.csv", "--picture", "w.png")
    do("score", trained, "new.csv", "-q", "--picture", "w.png", "--overwrite")


def test_wrong_use_is_refused_in_one_line(refused, trained, saved_model):
    words = ("score", trained, "new.csv")
    err = refused(*words, "--max-false-alarms", "0.001")
    assert "rate of 0.001 cannot be reached: with 120 calibration rows" in err
    assert "1 / (120 + 1) = 0.00826; give at least 999 such rows" in err
    for level in ("0", "1", "-0.1", "nan"):
        assert "--max-false-alarms must be a number between 0 and 1" in refused(
            *words, "--max-false-alarms", level
        )
    assert "use .csv, .parquet" in refused(*words, "-o", "scores.npy")
    assert "use .png, .svg, .pdf" in refused(*words, "--picture", "worst.csv")
    assert "cannot be what they are judged by" in refused(*words, "--calibrate", "new.csv")
    assert "there is no" in refused(*words, "--calibrate", "none.csv")
    assert "shape (4,)" in refused("score", saved_model, "new.csv", "--max-false-alarms", "0.05")


def test_a_model_without_rows_to_judge_by_is_refused(refused, do):
    ae = AutoEncoder(2, network=MLP((8,)), epochs=1, validation_fraction=0.0, random_state=0, device="cpu")
    ae.fit(load("new.csv")).save("all.ae")
    table(120, 4).to_csv("usual.csv", index=False)
    table(50, 5).to_csv("other.csv", index=False)
    err = refused("score", "all.ae", "other.csv")
    assert "held no rows out" in err
    assert "--calibrate SOURCE" in err
    do("score", "all.ae", "other.csv", "--calibrate", "usual.csv", "-q")
