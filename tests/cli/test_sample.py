"""`codeword sample`: new rows, as a picture or in the columns of the table."""

import json

import numpy as np
import pandas as pd
from PIL import Image

from codeword import AutoEncoder


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
