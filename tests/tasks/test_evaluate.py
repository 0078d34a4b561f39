import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from codeword import AutoEncoder, Masked, Variational, VectorQuantized
from codeword.base.errors import DataError, ParameterError
from codeword.tasks import evaluate as chunked
from codeword.tasks.evaluate import evaluate, evaluate_rows

RECONSTRUCTION = [
    "n", "k", "mse", "pca_mse", "explained_variance", "pca_explained_variance",
    "worst_decile_mse", "pca_worst_decile_mse",
]  # fmt: skip
TINY = {"epochs": 2, "network": "mlp", "device": "cpu", "random_state": 0}


def reconstruction(metrics):
    return {name: metrics[name] for name in RECONSTRUCTION}


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
    metrics = evaluate(PCA(3).fit(x), x)
    assert list(metrics)[:8] == RECONSTRUCTION
    assert (metrics["n"], metrics["k"]) == (500, 3)
    assert metrics["mse"] == pytest.approx(eigenvalues[3:].sum() / 12, rel=1e-9)
    assert metrics["explained_variance"] == pytest.approx(eigenvalues[:3].sum() / eigenvalues.sum(), rel=1e-9)


def test_pca_is_as_good_as_itself(x):
    pca = PCA(3).fit(x)
    metrics = evaluate(pca, x, baseline=pca)
    for name in ("mse", "explained_variance", "worst_decile_mse", "trustworthiness"):
        assert metrics[f"pca_{name}"] == metrics[name]


def test_no_baseline_is_made_up(x):
    metrics = evaluate(PCA(3).fit(x), x)
    for name in ("mse", "explained_variance", "worst_decile_mse", "trustworthiness"):
        assert metrics[name] is not None
        assert metrics[f"pca_{name}"] is None


def test_a_model_with_a_scaling_is_judged_in_scaled_units(images):
    model = Halves(images, 4)
    metrics = evaluate(model, images)
    scaled = images.reshape(60, -1) / 255
    left = PCA().fit(scaled).explained_variance_[4:].sum() * 59 / 60
    assert metrics["k"] == 4
    assert metrics["mse"] == pytest.approx(np.mean((scaled - 0.5) ** 2), rel=1e-5)
    assert metrics["pca_mse"] == pytest.approx(left / 30, rel=1e-5)
    assert metrics["pca_explained_variance"] == pytest.approx(1 - left / scaled.var(axis=0).sum(), rel=1e-5)
    assert evaluate(model, images, baseline=None)["pca_mse"] is None


def test_it_is_json(images):
    metrics = evaluate(Halves(images, 4), images)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@pytest.mark.parametrize("rows", [1, 7, 499, 500])
def test_the_size_of_a_chunk_does_not_change_the_figures(x, rows, monkeypatch):
    pca = PCA(3).fit(x)
    whole = reconstruction(evaluate(pca, x, baseline=pca))
    monkeypatch.setattr(chunked, "CHUNK_ROWS", rows)
    assert reconstruction(evaluate(pca, x, baseline=pca)) == pytest.approx(whole, rel=1e-7)


def test_a_memory_map_is_read_in_chunks(x, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", x)
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(chunked, "CHUNK_BYTES", 64 * x[0].nbytes)
    pca = PCA(3).fit(x)
    sizes = []

    class Watched:
        inverse_transform = staticmethod(pca.inverse_transform)

        @staticmethod
        def transform(rows):
            sizes.append(len(rows))
            return pca.transform(rows)

    assert evaluate(Watched, on_disk)["mse"] == pytest.approx(evaluate(pca, x)["mse"], rel=1e-12)
    assert sizes[:8] == [64] * 7 + [52]
    assert max(sizes) == 64  # what is drawn for the other metrics is read in chunks too


def test_rows_are_drawn_in_order_and_by_seed():
    assert chunked.draw(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    rows = chunked.draw(1000, 50, 3)
    assert sorted(set(rows.tolist())) == rows.tolist()  # a file is read from its start to its end
    assert len(rows) == 50
    assert (rows == chunked.draw(1000, 50, 3)).all()
    assert (rows != chunked.draw(1000, 50, 4)).any()


def test_a_large_offset_drowns_neither_variance_nor_neighbors(x):
    near, far = (evaluate(PCA(3).fit(rows), rows) for rows in (x, x + 1e6))
    for name in ("explained_variance", "trustworthiness"):
        assert far[name] == pytest.approx(near[name], rel=1e-4)


def test_pipelines_tables_and_tensors_are_welcome(x):
    pipeline = make_pipeline(StandardScaler(), PCA(3)).fit(x)
    metrics = evaluate(pipeline, x)
    expected = np.mean((x - pipeline.inverse_transform(pipeline.transform(x))) ** 2)
    assert metrics["mse"] == pytest.approx(expected)
    table = pd.DataFrame(x, columns=[f"c{i}" for i in range(12)])
    assert evaluate(PCA(3).fit(table), table)["mse"] == pytest.approx(evaluate(PCA(3).fit(x), x)["mse"])
    assert reconstruction(evaluate(pipeline, torch.as_tensor(x))) == pytest.approx(reconstruction(metrics))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_the_explained_variance_of_constant_rows_is_absent(value):
    class Same:
        transform = inverse_transform = staticmethod(lambda rows: rows)

    metrics = evaluate(Same, np.full((10, 3), value))
    assert metrics["mse"] == 0
    assert metrics["explained_variance"] is None


def test_one_row(x):
    metrics = evaluate(PCA(3).fit(x), x[:1])
    assert metrics["n"] == 1
    assert metrics["explained_variance"] is None
    assert metrics["trustworthiness"] is None
    assert metrics["worst_decile_mse"] == pytest.approx(metrics["mse"])
    assert evaluate(PCA(3).fit(x), x[:3])["trustworthiness"] == 1  # one neighbor of two, which PCA keeps


def test_wrong_models_are_refused_in_one_line(x):
    with pytest.raises(ParameterError, match=r"'model' .* Got object, which has no transform and no inverse"):
        evaluate(object(), x)
    with pytest.raises(ParameterError, match=r"'baseline' .* Got object"):
        evaluate(PCA(2).fit(x), x, baseline=object())
    with pytest.raises(ParameterError, match=r"'baseline' .* Got str, which"):
        evaluate(PCA(2).fit(x), x, baseline="pca")


def test_rows_that_cannot_be_judged_are_refused(x, monkeypatch):
    pca = PCA(2).fit(x)
    with pytest.raises(DataError, match=r"Got the shape \(0, 12\)"):
        evaluate(pca, x[:0])
    with pytest.raises(DataError, match=r"Got the shape \(12,\)"):
        evaluate(pca, x[0])
    monkeypatch.setattr(chunked, "CHUNK_ROWS", 10)
    x[23, 4] = np.nan
    with pytest.raises(DataError, match=r"x contains NaN \(the first in row 23, column 4\)"):
        evaluate(pca, x)


def test_reconstructions_that_do_not_fit_are_refused(x):
    class Short:
        transform = staticmethod(lambda rows: rows)
        inverse_transform = staticmethod(lambda codes: codes[:, :3])

    class Burst(Short):
        inverse_transform = staticmethod(lambda codes: codes * np.inf)

    with pytest.raises(DataError, match=r"\(500, 12\) once flat. Got \(500, 3\)"):
        evaluate(Short, x)
    with pytest.raises(DataError, match=r"reconstruction by the model contains \w+ \(the first in row 0"):
        evaluate(Burst, x)


# -- the worst rows and neighbors --------------------------------------------------------------------------


def test_the_worst_decile_is_each_models_own(x):
    pca, mean = PCA(3).fit(x), PCA(1).fit(x)
    rows = x[:495]
    metrics = evaluate(pca, rows, baseline=mean)
    for name, model in (("worst_decile_mse", pca), ("pca_worst_decile_mse", mean)):
        errors = np.mean((rows - model.inverse_transform(model.transform(rows))) ** 2, axis=1)
        assert metrics[name] == pytest.approx(np.sort(errors)[-50:].mean(), rel=1e-6)


def test_trustworthiness_is_that_of_the_rows_that_are_drawn(x):
    pca = PCA(2).fit(x)
    expected = trustworthiness(x, pca.transform(x), n_neighbors=10)
    assert evaluate(pca, x)["trustworthiness"] == pytest.approx(expected, abs=1e-4)
    many = np.random.default_rng(1).normal(size=(2500, 12))
    rows = np.sort(np.random.default_rng(4).choice(2500, 2000, replace=False))
    expected = trustworthiness(many[rows], pca.transform(many[rows]), n_neighbors=10)
    assert evaluate(pca, many, random_state=4)["trustworthiness"] == pytest.approx(expected, abs=1e-6)


def test_codes_without_a_sense_keep_no_neighbors(x):
    class Shuffled:
        transform = staticmethod(lambda rows: np.random.default_rng(9).normal(size=(len(rows), 3)))
        inverse_transform = staticmethod(lambda codes: np.zeros((len(codes), 12)))

    assert evaluate(Shuffled, x)["trustworthiness"] == pytest.approx(0.5, abs=0.05)


def test_progress_goes_to_its_end(x):
    told = []
    evaluate(PCA(2).fit(x), x, np.arange(500) % 3, progress=lambda done, total: told.append((done, total)))
    done, totals = zip(*told, strict=True)
    assert list(done) == sorted(done)
    assert done[0] == 0
    assert set(totals) == {done[-1]}


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0"])
def test_what_is_no_seed_is_refused(x, seed):
    with pytest.raises(ParameterError, match=r"'random_state' .* whole number"):
        evaluate(PCA(2).fit(x), x, random_state=seed)


# -- the health of codes ------------------------------------------------------------------------------------


class Health:
    """A model of which only the codes matter: columns of x, times numbers."""

    def __init__(self, make, **more):
        self.transform = make
        if more:
            self.latent_metrics = lambda rows: more

    def inverse_transform(self, codes):
        return np.zeros((len(codes), 12))


def test_a_dead_and_a_doubled_dimension_are_found():
    x = np.random.default_rng(0).normal(size=(400, 12))

    def make(rows):
        return np.column_stack(
            [
                rows[:, 0],
                np.full(len(rows), 7.1),
                rows[:, 1],
                -3 * rows[:, 0] + 0.01 * rows[:, 2],
                1e-5 * rows[:, 3],
            ]
        )

    latent = evaluate(Health(make), x)["latent"]
    assert latent["unused_dimensions"] == [1, 4]
    assert latent["most_correlated"] == [0, 3]
    r = np.abs(np.corrcoef(make(x)[:, [0, 2, 3]], rowvar=False))
    assert latent["max_correlation"] == pytest.approx(r[0, 2]) == pytest.approx(1, abs=1e-4)
    assert latent["mean_correlation"] == pytest.approx((r[0, 1] + r[0, 2] + r[1, 2]) / 3)


def test_the_variance_of_all_rows_counts_not_of_those_drawn():
    x = np.zeros((10_300, 12))
    x[:, 0] = np.random.default_rng(0).normal(size=10_300)
    drawn = np.random.default_rng(0).choice(10_300, 10_000, replace=False)
    x[np.setdiff1d(np.arange(10_300), drawn), 1] = 1  # at work only where nobody was drawn
    latent = evaluate(Health(lambda rows: rows[:, :2]), x)["latent"]
    assert latent["unused_dimensions"] == []
    assert latent["max_correlation"] is None


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1])
def test_constant_codes_are_unused(value):
    latent = evaluate(Health(lambda rows: np.full((len(rows), 2), value)), np.ones((50, 12)))["latent"]
    assert latent.pop("unused_dimensions") == [0, 1]
    assert latent == dict.fromkeys(["max_correlation", "mean_correlation", "most_correlated"])


def test_what_a_model_says_of_its_codes_is_asked_of_at_most_ten_thousand_rows():
    asked = []

    class Speaks(Health):
        def latent_metrics(self, rows):
            asked.append(len(rows))
            return {"kl_per_dimension": [2.0, 0.009, 0.5]}

    model = Speaks(lambda rows: rows[:, :3])
    latent = evaluate(model, np.random.default_rng(0).normal(size=(10_001, 12)))["latent"]
    assert asked == [10_000]
    assert latent["kl_per_dimension"] == [2.0, 0.009, 0.5]
    assert latent["unused_dimensions"] == [1]


def test_objectives_speak_of_their_codes(digits):
    vae = AutoEncoder(3, objective=Variational(), **TINY).fit(digits.x[:300])
    kl = evaluate(vae, digits.x[:50])["latent"]["kl_per_dimension"]
    assert len(kl) == 3
    assert min(kl) > 0
    books = AutoEncoder(4, objective=VectorQuantized(codebook_size=8), **TINY).fit(digits.x[:300])
    metrics = evaluate(books, digits.x[:50])
    assert all(0 < share <= 1 for share in metrics["latent"]["codebook_use"])
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_missing_values_leave_out_what_needs_all_of_them(digits):
    x = digits.x[:300].copy()
    x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    model = AutoEncoder(3, objective=Masked(missing="mask"), **TINY).fit(x)
    metrics = evaluate(model, x, digits.y[:300])
    known = ~np.isnan(x)
    error = np.where(known, model.reconstruct(x) - np.nan_to_num(x), 0) ** 2
    assert metrics["mse"] == pytest.approx(error.sum() / known.sum(), rel=1e-5)
    by_row = np.sort(error.sum(axis=(1, 2)) / known.sum(axis=(1, 2)))
    assert metrics["worst_decile_mse"] == pytest.approx(by_row[-30:].mean(), rel=1e-5)
    assert metrics["trustworthiness"] is None
    assert metrics["raw_knn_accuracy"] is metrics["raw_clustering"] is metrics["explained_variance"] is None
    assert metrics["knn_accuracy"] > 0.5
    assert metrics["pca_knn_accuracy"] > 0.5


def test_what_came_of_each_row_is_kept_on_the_way(curve):
    """Errors of the model and of PCA."""
    ae = AutoEncoder(2, epochs=3, random_state=0, device="cpu").fit(curve[:300])
    x = curve[300:]
    found = evaluate_rows(ae, x)
    assert found.metrics == evaluate(ae, x)
    np.testing.assert_allclose(found.errors, -ae.score_samples(x), rtol=1e-4)
    hat = ae.baseline_.inverse_transform(ae.baseline_.transform(x))
    off = (ae.scaling_.forward(x) - ae.scaling_.forward(hat)).numpy()
    np.testing.assert_allclose(found.baseline_errors, np.square(off).mean(axis=1), rtol=1e-4)
