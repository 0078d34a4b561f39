"""What several test modules share: a small model, trained once for each worker, and the real digits."""

import os
from pathlib import Path

# Before torch is imported: the workers share the cores, and threads that wait for each other would not.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
from browsing import chromium

from codeword import MLP, AutoEncoder, load
from codeword.base.files import remove
from codeword.cli.main import run

# The same examples each time, for as long as a busy machine takes: a change is not refused by chance.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits: (1438, 8, 8) float32 in [0, 1]."""
    return load("digits")


@pytest.fixture(scope="session")
def model(digits):
    """A small model of 300 digits. It is shared: do not fit it again."""
    network = MLP(hidden=(16,))
    return AutoEncoder(5, network=network, epochs=3, random_state=0, device="cpu").fit(digits.x[:300])


@pytest.fixture(scope="session")
def saved_model(model, tmp_path_factory):
    """The folder of that model. It is shared: do not write to it."""
    folder = tmp_path_factory.mktemp("models") / "digits.ae"
    model.save(folder)
    return folder


@pytest.fixture
def model_folder(model, tmp_path):
    """A model folder to do harm to."""
    folder = tmp_path / "harmed.ae"
    remove(folder)
    model.save(folder)
    return folder


@pytest.fixture
def mnist(monkeypatch):
    """The real MNIST, both splits, from IDX files on this machine."""
    places = [os.environ.get("CODEWORD_DATA"), Path(__file__).parents[2] / "shared" / "data"]
    found = next((Path(p) for p in places if p and (Path(p) / "mnist").is_dir()), None)
    if found is None:
        pytest.skip(
            "the real MNIST is not here: set CODEWORD_DATA to the folder around mnist/ with its IDX files"
        )
    monkeypatch.setenv("CODEWORD_DATA", str(found))
    return load("mnist", "train"), load("mnist", "test")


@pytest.fixture(scope="session")
def curve():
    """1,000 points of a curve that winds through 10 dimensions: one number each would do."""
    rng = np.random.default_rng(0)
    t = rng.uniform(0, 3 * np.pi, 1000)
    plane = np.stack([t * np.cos(t), t * np.sin(t)], axis=1)
    return plane @ np.linalg.qr(rng.normal(size=(10, 2)))[0].T + rng.normal(scale=0.02, size=(1000, 10))


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def do(capsys):
    """Run a command that must succeed; what it put on standard output."""

    def command(*words):
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 0, err
        assert "error" not in err
        return out

    return command


@pytest.fixture
def refused(capsys, tmp_path):
    """Run a command that must be refused: one line, exit code 2, and not a file more or less; the line."""

    def command(*words, code=2):
        before = snapshot(tmp_path)
        found = run([str(word) for word in words])
        out, err = capsys.readouterr()
        assert found == code, err
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("codeword: error: ")
        assert "Traceback" not in err
        assert len(err) < 500
        assert snapshot(tmp_path) == before
        return err

    return command


def snapshot(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
        if not p.is_symlink()
    }
