"""The examples run as they are, and what they print is worth printing."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
SERVE = EXAMPLES / "serve_onnx.py"
LONGEST = 40


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Run an example in an empty folder; the names it leaves."""
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> dict[str, Any]:
        return runpy.run_path(str(EXAMPLES / name), run_name="__main__")

    return run


def test_compress_digits(example, tmp_path, capsys):
    left = example("compress_digits.py")
    assert left["codes"].shape == (359, 16)
    assert left["metrics"]["mse"] < 0.6 * left["metrics"]["pca_mse"]
    assert left["same"]
    assert (tmp_path / "digits.ae" / "weights.safetensors").is_file()
    assert "auto-encoder 0.00" in capsys.readouterr().out


def test_own_modules(example, capsys):
    left = example("own_modules.py")
    assert left["metrics"]["mse"] < 0.6 * left["metrics"]["pca_mse"]
    assert "the score is the same: True" in capsys.readouterr().out


def test_pipeline(example):
    """Eight numbers tell digits apart nearly as well as all pixels do, and no worse than PCA's eight."""
    pixels, pca, codes = example("pipeline.py")["accuracy"].values()
    assert codes > pixels - 0.04
    assert codes > pca - 0.005


def test_few_labels(example):
    """With fifty labels, codes learned from every image tell digits better than pixels, and PCA, do."""
    accuracy = example("few_labels.py")["accuracy"]
    pixels, pca, codes = (sum(values) / len(values) for values in accuracy.values())
    assert codes > pixels + 0.02
    assert codes > pca - 0.01


def test_cluster(example):
    """Groups found in the map of codes are the digits far more nearly than groups of pixels are."""
    pytest.importorskip("umap", reason="needs the umap extra")
    pixels, _, mapped = example("cluster.py")["agreement"].values()
    assert mapped > pixels + 0.1


def test_table(example, capsys):
    """Rows that reconstruct badly are malignant more often than rows are on the whole, unasked."""
    left = example("table.py")
    table, x_hat = left["table"], left["x_hat"]
    assert list(x_hat.columns) == list(table.columns)
    assert ((x_hat - table) ** 2 / table.var()).to_numpy().mean() < 0.2  # in the columns' own units
    assert left["share"] > 1.25 * left["malignant"].mean()
    assert str(left["order"][0]) in capsys.readouterr().out


def test_mixed_table(example):
    """Words that cannot be right are found, and blamed, where PCA of the same numbers sees few of them."""
    pytest.importorskip("palmerpenguins", reason="needs the demo extra")
    left = example("mixed_table.py")
    assert list(left["given_back"]["auto-encoder"]) == list(left["test"])
    assert left["right"]["auto-encoder"] > left["right"]["PCA"] + 0.1
    assert left["hits"]["auto-encoder"] > left["hits"]["PCA"] + 2
    assert left["blamed"].count("Species") >= 6


def test_serve_onnx(model, digits, tmp_path):
    """Where neither torch nor codeword can be imported, exported files say what the model says."""
    from codeword.export import write_onnx

    write_onnx(model, tmp_path / "digits-onnx")
    np.save(tmp_path / "rows.npy", digits.x[:20])
    absent = "import sys; sys.modules.update(torch=None, codeword=None)"
    script = f"sys.argv[1:] = ['digits-onnx', 'rows.npy']; import runpy; runpy.run_path({str(SERVE)!r})"
    command = [sys.executable, "-W", "error", "-c", f"{absent}; {script}"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")
    with np.load(tmp_path / "served.npz") as served:
        assert served["codes"] == pytest.approx(model.transform(digits.x[:20]), abs=1e-5)
        assert served["x_hat"] == pytest.approx(model.reconstruct(digits.x[:20]), abs=1e-5)
    assert told.stdout.startswith("20 rows, 5 numbers each, mean squared error 0.0")


def test_every_example_is_short_and_tested():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    for script in SCRIPTS:
        text = script.read_text("utf-8")
        assert script.stem in tested, f"{script.name} has no test here"
        assert ast.get_docstring(ast.parse(text)), f"{script.name} does not say what it shows"
        assert len(text.splitlines()) < LONGEST, f"{script.name} is longer than an example should be"
