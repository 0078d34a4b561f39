"""The commands that put codes to work: sample, interpolate, traverse, neighbors."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from codeword import AutoEncoder, interpolate, neighbors, traverse


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def table_model(tmp_path_factory):
    """A table of three named columns, and the folder of a model of it."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    t = rng.normal(size=200)
    frame = pd.DataFrame({"width": t, "height": 2 * t + 0.1 * rng.normal(size=200), "price": t**2})
    frame.to_csv(folder / "rows.csv", index=False)
    AutoEncoder(2, epochs=3, random_state=0, device="cpu").fit(frame).save(folder / "t.ae")
    return folder / "rows.csv", folder / "t.ae"


def test_samples_as_a_picture_and_as_rows(do, saved_model):
    assert do("sample", saved_model, "-n", 12) == "wrote samples.png\n"
    with Image.open("samples.png") as picture:
        assert picture.width > picture.height  # 12 make 4 by 3
    do("sample", saved_model, "-n", 12, "-o", "samples.npy", "--seed", 5)
    ae = AutoEncoder.load(saved_model, device="cpu")
    assert (np.load("samples.npy") == ae.sample(12, random_state=5)).all()


def test_samples_of_a_table_have_its_columns(do, table_model):
    said = json.loads(do("sample", table_model[1], "-n", 30, "-o", "new.csv", "--json"))
    assert said == {"output": "new.csv", "n": 30, "prior": "auto", "seed": 0}
    new = pd.read_csv("new.csv")
    assert list(new) == ["width", "height", "price"]
    assert abs(np.corrcoef(new["width"], new["height"])[0, 1]) > 0.9


def test_the_normal_prior_is_used_when_asked_for(do, saved_model):
    do("sample", saved_model, "-n", 4, "-o", "a.npy")
    do("sample", saved_model, "-n", 4, "-o", "b.npy", "--prior", "normal")
    assert (np.load("a.npy") != np.load("b.npy")).any()


def test_requests_for_samples_that_are_refused(refused, saved_model):
    assert "--number 401 is more than a picture holds, 400" in refused("sample", saved_model, "-n", 401)
    assert "prior must be one of auto, normal, mixture" in refused("sample", saved_model, "--prior", "flat")
    assert "ending '.txt'" in refused("sample", saved_model, "-o", "samples.txt")


def test_a_way_between_two_samples(do, saved_model, digits):
    do("interpolate", saved_model, "digits", "--samples", "3,17,8,40", "--steps", 5, "-o", "way.npy")
    ae = AutoEncoder.load(saved_model, device="cpu")
    way = interpolate(ae, digits.x[[3, 8]], digits.x[[17, 40]], 5)
    assert np.load("way.npy") == pytest.approx(way.reshape(-1, 8, 8), abs=1e-5)
    said = json.loads(do("interpolate", saved_model, "digits", "--json"))
    assert said["steps"] == 8
    assert len(set(said["samples"])) == 8
    with Image.open("interpolation.png") as picture:
        assert picture.width > 2 * picture.height  # four rows of ten


def test_ways_that_are_refused(refused, saved_model):
    line = refused("interpolate", saved_model, "digits", "--samples", "3")
    assert "--samples must be pairs: from, to, from, to. Got 1 samples." in line
    line = refused("interpolate", saved_model, "digits", "--samples", "3,1438")
    assert "--samples: there is no sample 1438; the source has 1,438, counted from 0" in line
    assert "--steps" in refused("interpolate", saved_model, "digits", "--steps", 1)


def test_what_each_number_does(do, saved_model, digits):
    said = json.loads(do("traverse", saved_model, "--json"))
    ae = AutoEncoder.load(saved_model, device="cpu")
    walk = traverse(ae, ae.training_codes_.codes)
    assert said["dimensions"] == walk.dimensions.tolist()
    assert said["effects"] == walk.effects.tolist()
    with Image.open("traversals.png") as picture:
        assert picture.width > picture.height  # five numbers, seven steps
    do("traverse", saved_model, "digits", "--sample", 3, "--steps", 4, "-o", "walk.npy")
    walk = traverse(ae, ae.training_codes_.codes, start=ae.transform(digits.x[3:4])[0], steps=4)
    assert np.load("walk.npy") == pytest.approx(walk.rows.reshape(20, 8, 8), abs=1e-5)


def test_walks_that_are_refused(refused, saved_model):
    assert "SOURCE and --sample go together" in refused("traverse", saved_model, "digits")
    assert "SOURCE and --sample go together" in refused("traverse", saved_model, "--sample", 3)
    line = refused("traverse", saved_model, "digits", "--sample", 9999)
    assert "--sample: there is no sample 9999; the source has 1,438" in line


def test_neighbors_are_told_and_pictured(do, saved_model, digits):
    told = do("neighbors", saved_model, "digits", "--query", "3,17", "-n", 4, "-o", "near.png")
    lines = told.splitlines()
    ae = AutoEncoder.load(saved_model, device="cpu")
    rows, distances = neighbors(ae.transform(digits.x), [3, 17], 4)
    assert lines[0] == f"3 ({digits.y[3]}):"
    found = [line.split() for line in (*lines[1:5], *lines[6:10])]
    assert [int(row) for row, _, _ in found] == rows.ravel().tolist()
    assert [float(d) for _, d, _ in found] == pytest.approx(distances.ravel(), rel=1e-3)
    assert [int(label) for _, _, label in found] == digits.y[rows.ravel()].tolist()
    assert lines[-1] == "wrote near.png"
    with Image.open("near.png") as picture:
        assert picture.width > picture.height


def test_neighbors_of_rows_from_elsewhere(do, table_model):
    rows, model = table_model
    frame = pd.read_csv(rows)
    frame.iloc[[50]].to_csv("own.csv", index=False)
    asked = ("neighbors", model, rows, "--query", 0, "--query-source", "own.csv", "-n", 2, "--json")
    said = json.loads(do(*asked))
    assert said["queries"][0]["neighbors"][0] == 50
    assert said["queries"][0]["distances"][0] < 1e-5
    assert said["output"] is None


def test_neighbors_that_are_refused(refused, saved_model, table_model):
    line = refused("neighbors", saved_model, "digits", "--query", "1438")
    assert "--query: there is no sample 1438; the source has 1,438, counted from 0" in line
    line = refused("neighbors", table_model[1], table_model[0], "--query", "0", "-n", 200)
    assert "--number 200: " in line
    assert "199 other samples" in line
    assert "--query must be whole numbers" in refused("neighbors", saved_model, "digits", "--query", "three")
