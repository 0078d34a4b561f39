"""`codeword neighbors`: which samples have the nearest codes."""

import json

import pandas as pd
import pytest
from PIL import Image

from codeword import AutoEncoder, neighbors


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
    assert "200 neighbors were asked for, and there are 199 other rows" in line
    assert "--query must be whole numbers" in refused("neighbors", saved_model, "digits", "--query", "three")
