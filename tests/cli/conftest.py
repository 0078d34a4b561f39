"""What the tests of several commands share."""

import numpy as np
import pandas as pd
import pytest

from codeword import AutoEncoder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Every command runs in an empty folder, eighty columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(30, 4))


@pytest.fixture(scope="session")
def table_model(tmp_path_factory):
    """A table of three named columns, and the folder of a model of it."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    t = rng.normal(size=200)
    frame = pd.DataFrame({"width": t, "height": 2 * t + 0.1 * rng.normal(size=200), "price": t**2})
    frame.to_csv(folder / "rows.csv", index=False)
    AutoEncoder(2, epochs=3, random_state=0, device="cpu").fit(frame).save(folder / "t.ae")
    return folder / "rows.csv", folder / "t.ae"
