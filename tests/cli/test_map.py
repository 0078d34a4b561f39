"""`codeword map`: a picture, or the points."""

import json

import pandas as pd
import pytest
from PIL import Image


@pytest.mark.parametrize("points", [1, 2, 3, 60])
def test_map_draws_or_writes_points(points, do, saved_model):
    do("map", saved_model, "digits", "--points", points, "-o", "map.png")
    with Image.open("map.png") as image:
        assert min(image.size) > 200
    said = json.loads(
        do("map", saved_model, "digits", "--points", points, "--method", "pca", "-o", "map.csv", "--json")
    )
    assert said["points"] == points
    table = pd.read_csv("map.csv")
    assert list(table.columns) == ["x", "y"]
    assert table.shape == (points, 2)
