"""`codeword reconstruct`: a picture of some rows, or all rows."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def test_reconstruct_pictures_the_samples_that_were_asked_for(do, saved_model):
    said = json.loads(
        do("reconstruct", saved_model, "digits", "--samples", "3,1,200", "-o", "p.png", "--json")
    )
    assert said == {"output": "p.png", "samples": [3, 1, 200]}
    with Image.open("p.png") as image:
        assert image.width > image.height > 100
        assert np.asarray(image.convert("L")).std() > 20
    do("reconstruct", saved_model, "digits", "-o", "p.svg", "-q")
    assert Path("p.svg").read_text().count("<!-- error") == 10


def test_reconstruct_writes_every_row_where_the_output_is_an_array(do, saved_model, model, digits):
    do("reconstruct", saved_model, "digits", "-o", "all.npy")
    np.testing.assert_array_equal(np.load("all.npy"), model.reconstruct(digits.x))
