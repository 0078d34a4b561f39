"""`codeword decode`: codes that do not fit are refused; `test_encode.py` has those that do."""

import numpy as np
import pytest


@pytest.mark.parametrize("shape", [(3, 4), (3, 6), (3, 5, 1), (3, 1, 5)])
def test_codes_that_do_not_fit_the_model_are_refused(shape, refused, saved_model):
    np.save("codes.npy", np.zeros(shape, np.float32))
    assert "this model's codes have 5 numbers" in refused("decode", saved_model, "codes.npy")


def test_codes_that_are_not_finite_are_refused(refused, saved_model):
    np.save("codes.npy", np.full((3, 5), np.inf, np.float32))
    assert "infinity" in refused("decode", saved_model, "codes.npy")
