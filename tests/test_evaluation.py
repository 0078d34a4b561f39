import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from codeword import evaluation
from codeword.errors import DataError, ParameterError
from codeword.evaluation import evaluate

KEYS = ["n", "k", "mse", "pca_mse", "explained_variance", "pca_explained_variance"]


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 3)) @ rng.normal(size=(3, 12)) + rng.normal(size=(500, 12)) * 0.3 + 5


class Halves:
    """What an AutoEncoder looks like from here: uint8 images, errors in [0, 1], a PCA of its own."""

    def __init__(self, images, k):
        self._shape = images.shape[1:]
        self.scaling_ = self
        self.baseline_ = Reshaping(PCA(k).fit(images.reshape(len(images), -1)), self._shape)
        self.k = k

    def forward(self, rows):
        return torch.as_tensor(rows).flatten(1).to(torch.float32) / 255

    def transform(self, images):
        return np.zeros((len(images), self.k), dtype=np.float32)

    def inverse_transform(self, codes):
        return np.full((len(codes), *self._shape), 127.5)


class Reshaping:
    def __init__(self, pca, shape):
        self.pca, self.shape = pca, shape

    def transform(self, images):
        return self.pca.transform(images.reshape(len(images), -1))

    def inverse_transform(self, codes):
        return self.pca.inverse_transform(codes).reshape(-1, *self.shape)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, size=(60, 6, 5), dtype=np.uint8)


def test_the_error_of_pca_is_what_it_discards(x):
    eigenvalues = PCA().fit(x).explained_variance_ * (len(x) - 1) / len(x)
    figures = evaluate(PCA(3).fit(x), x)
    assert list(figures) == KEYS
    assert (figures["n"], figures["k"]) == (500, 3)
    assert figures["mse"] == pytest.approx(eigenvalues[3:].sum() / 12, rel=1e-9)
    assert figures["explained_variance"] == pytest.approx(eigenvalues[:3].sum() / eigenvalues.sum(), rel=1e-9)


def test_pca_is_as_good_as_itself(x):
    pca = PCA(3).fit(x)
    figures = evaluate(pca, x, baseline=pca)
    assert figures["pca_mse"] == figures["mse"]
    assert figures["pca_explained_variance"] == figures["explained_variance"]


def test_no_baseline_is_made_up(x):
    figures = evaluate(PCA(3).fit(x), x)
    assert figures["pca_mse"] is None
    assert figures["pca_explained_variance"] is None


def test_a_model_with_a_scaling_is_judged_in_scaled_units(images):
    model = Halves(images, 4)
    figures = evaluate(model, images)
    scaled = images.reshape(60, -1) / 255
    left = PCA().fit(scaled).explained_variance_[4:].sum() * 59 / 60
    assert figures["k"] == 4
    assert figures["mse"] == pytest.approx(np.mean((scaled - 0.5) ** 2), rel=1e-6)
    assert figures["pca_mse"] == pytest.approx(left / 30, rel=1e-5)
    assert figures["pca_explained_variance"] == pytest.approx(1 - left / scaled.var(axis=0).sum(), rel=1e-5)
    assert evaluate(model, images, baseline=None)["pca_mse"] is None


def test_it_is_json(images):
    figures = evaluate(Halves(images, 4), images)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


@pytest.mark.parametrize("rows", [1, 7, 499, 500])
def test_the_size_of_a_chunk_does_not_change_the_figures(x, rows, monkeypatch):
    pca = PCA(3).fit(x)
    whole = evaluate(pca, x, baseline=pca)
    monkeypatch.setattr(evaluation, "CHUNK_ROWS", rows)
    assert evaluate(pca, x, baseline=pca) == pytest.approx(whole, rel=1e-12)


def test_a_memory_map_is_read_in_chunks(x, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", x)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(evaluation, "CHUNK_BYTES", 64 * x[0].nbytes)
    pca = PCA(3).fit(x)
    sizes = []

    class Watched:
        inverse_transform = staticmethod(pca.inverse_transform)

        @staticmethod
        def transform(rows):
            sizes.append(len(rows))
            return pca.transform(rows)

    assert evaluate(Watched, on_disk)["mse"] == pytest.approx(evaluate(pca, x)["mse"], rel=1e-12)
    assert sizes == [64] * 7 + [52]


def test_a_large_offset_does_not_drown_the_variance(x):
    near, far = (evaluate(PCA(3).fit(rows), rows) for rows in (x, x + 1e6))
    assert far["explained_variance"] == pytest.approx(near["explained_variance"], rel=1e-6)


def test_pipelines_tables_and_tensors_are_welcome(x):
    pipeline = make_pipeline(StandardScaler(), PCA(3)).fit(x)
    figures = evaluate(pipeline, x)
    expected = np.mean((x - pipeline.inverse_transform(pipeline.transform(x))) ** 2)
    assert figures["mse"] == pytest.approx(expected)
    table = pd.DataFrame(x, columns=[f"c{i}" for i in range(12)])
    assert evaluate(PCA(3).fit(table), table)["mse"] == pytest.approx(evaluate(PCA(3).fit(x), x)["mse"])
    assert evaluate(pipeline, torch.as_tensor(x)) == pytest.approx(figures)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_the_explained_variance_of_constant_rows_is_absent(value):
    class Same:
        transform = inverse_transform = staticmethod(lambda rows: rows)

    figures = evaluate(Same, np.full((10, 3), value))
    assert figures["mse"] == 0
    assert figures["explained_variance"] is None


def test_one_row(x):
    figures = evaluate(PCA(3).fit(x), x[:1])
    assert figures["n"] == 1
    assert figures["explained_variance"] is None


def test_wrong_models_are_refused_in_one_line(x):
    with pytest.raises(ParameterError, match=r"'model' .* Got object, which has no transform and no inverse"):
        evaluate(object(), x)
    with pytest.raises(ParameterError, match=r"'baseline' .* Got object"):
        evaluate(PCA(2).fit(x), x, baseline=object())
    with pytest.raises(ParameterError, match=r"'baseline' .* Got 'pca' instead"):
        evaluate(PCA(2).fit(x), x, baseline="pca")


def test_rows_that_cannot_be_judged_are_refused(x, monkeypatch):
    pca = PCA(2).fit(x)
    with pytest.raises(DataError, match=r"Got the shape \(0, 12\)"):
        evaluate(pca, x[:0])
    with pytest.raises(DataError, match=r"Got the shape \(12,\)"):
        evaluate(pca, x[0])
    monkeypatch.setattr(evaluation, "CHUNK_ROWS", 10)
    x[23, 4] = np.nan
    with pytest.raises(DataError, match="x is not finite: row 23, feature 4 is nan"):
        evaluate(pca, x)


def test_reconstructions_that_do_not_fit_are_refused(x):
    class Short:
        transform = staticmethod(lambda rows: rows)
        inverse_transform = staticmethod(lambda codes: codes[:, :3])

    class Burst(Short):
        inverse_transform = staticmethod(lambda codes: codes * np.inf)

    with pytest.raises(DataError, match=r"\(500, 12\) once flat. Got \(500, 3\)"):
        evaluate(Short, x)
    with pytest.raises(DataError, match="reconstruction by the model is not finite: row 0"):
        evaluate(Burst, x)
