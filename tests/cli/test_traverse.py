"""`codeword traverse`: what each number of a code does."""

import json

import numpy as np
import pytest
from PIL import Image

from codeword import AutoEncoder, traverse


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
