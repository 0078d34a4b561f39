"""`codeword interpolate`: the way between two samples."""

import json

import numpy as np
import pytest
from PIL import Image

from codeword import AutoEncoder, interpolate


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
