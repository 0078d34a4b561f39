"""`codeword demo`: a folder with a model and two pictures, whole or not at all."""

import json
import os

import pytest
from PIL import Image

from codeword import AutoEncoder


@pytest.fixture
def short_demo(monkeypatch):
    monkeypatch.setattr("codeword.cli.demo.TUTORIAL_UPDATES", 1)
    monkeypatch.setattr("codeword.cli.demo.MAP_POINTS", 100)


@pytest.mark.usefixtures("short_demo")
def test_demo_makes_three_things_and_says_what_next(do, refused):
    out = do("demo", "-o", "d")
    assert sorted(os.listdir("d")) == ["map.png", "model.ae", "reconstructions.png"]
    assert AutoEncoder.load("d/model.ae").n_components == 16
    for name in ("d/reconstructions.png", "d/map.png"):
        assert name in out
        with Image.open(name) as image:
            assert min(image.size) > 100
    assert "PCA with 16 components" in out
    assert "codeword demo --dataset mnist -o d-mnist" in out
    assert "d already exists" in refused("demo", "-o", "d")
    facts = json.loads(do("demo", "-o", "d", "--overwrite", "--json"))
    assert facts.keys() >= {"n", "k", "mse", "pca_mse", "train_loss", "seconds", "output"}
    assert (facts["n"], facts["k"]) == (500, 16)


@pytest.mark.usefixtures("short_demo")
def test_a_demo_that_fails_leaves_nothing(monkeypatch, refused):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("codeword.tasks.map.map_codes", fail)
    assert "No space left" in refused("demo", "-q", code=1)
