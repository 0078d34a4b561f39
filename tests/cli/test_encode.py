"""`codeword encode`, and `decode` after it: codes go out and come back."""

import json

import numpy as np
import pytest

from codeword import load


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
def test_codes_go_out_and_come_back_in_every_format(suffix, do, saved_model, model):
    said = json.loads(
        do("encode", saved_model, "digits", "--split", "test", "-o", f"codes{suffix}", "--json")
    )
    assert said == {"output": f"codes{suffix}", "n": 359, "k": 5}
    x = load("digits", "test").x
    codes = load(f"codes{suffix}").x.astype(np.float32)
    np.testing.assert_array_equal(codes, model.transform(x))
    do("decode", saved_model, f"codes{suffix}", "-o", "rows.npy")
    np.testing.assert_array_equal(np.load("rows.npy"), model.reconstruct(x))
    do("decode", saved_model, f"codes{suffix}", "-o", f"rows{suffix}", "--overwrite")
    rows = load(f"rows{suffix}").x.astype(np.float32)
    np.testing.assert_array_equal(rows.reshape(-1, 8, 8), model.reconstruct(x))


def test_the_bad_row_is_counted_from_the_files_start(refused, saved_model, monkeypatch):
    x = np.zeros((50, 8, 8), np.float32)
    x[33, 2, 1] = np.nan
    np.save("x.npy", x)
    monkeypatch.setattr(
        "codeword.data.outputs.blocks", lambda x: ((i, np.array(x[i : i + 8])) for i in range(0, 50, 8))
    )
    assert "row 33, position (2, 1)" in refused("encode", saved_model, "x.npy")
