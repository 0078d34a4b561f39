"""What `evaluate` says of labels, against scikit-learn by hand; and what it says of wrong ones."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from codeword import Data, load
from codeword.base.errors import DataError, ParameterError
from codeword.tasks import evaluate as judging
from codeword.tasks.evaluate import clustering_metrics, evaluate

MEASURES = ["knn_accuracy", "linear_accuracy", "clustering", "mixture"]


@pytest.fixture(scope="module")
def test_digits():
    return load("digits", "test")


@pytest.fixture(scope="module")
def judged(model, digits, test_digits):
    """The small model on held-out digits, which it learns to tell from training digits."""
    return evaluate(model, test_digits.x, test_digits.y, reference=digits)


@pytest.fixture(scope="module")
def blobs():
    """Three groups that nobody can mistake: x (120, 6), y, and a PCA of two components."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [30, 40, 50])
    x = rng.normal(size=(3, 6))[y] * 10 + rng.normal(size=(120, 6))
    return x, y, PCA(2).fit(x)


def labeled(metrics):
    names = ["labeled_rows", "unlabeled", "reference_rows", "classes"]
    return {
        name: metrics[name] for name in [*names, *(v + m for m in MEASURES for v in ("", "pca_", "raw_"))]
    }


# -- metrics ------------------------------------------------------------------------------------------------


def test_accuracies_are_scikit_learns(judged, model, digits, test_digits):
    near, far = ((d.x.reshape(len(d), -1), d.y) for d in (digits, test_digits))
    for view, make in (("", model.transform), ("pca_", model.baseline_.transform), ("raw_", np.asarray)):
        z, z_test = make(near[0]).astype(float), make(far[0]).astype(float)
        knn = KNeighborsClassifier(5).fit(z, near[1]).score(z_test, far[1])
        assert judged[f"{view}knn_accuracy"] == pytest.approx(knn, abs=0.003)
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(z, near[1])
        assert judged[f"{view}linear_accuracy"] == pytest.approx(linear.score(z_test, far[1]), abs=0.006)
    assert judged["labeled_rows"] == 359
    assert judged["reference_rows"] == 1438
    assert judged["classes"] == 10


def test_clusterings_are_scikit_learns(judged, model, test_digits):
    z, y = model.transform(test_digits.x).astype(float), test_digits.y
    clusters = KMeans(10, n_init=10, random_state=0).fit_predict(z)
    assert judged["clustering"]["nmi"] == pytest.approx(normalized_mutual_info_score(y, clusters), abs=1e-6)
    assert judged["clustering"]["ari"] == pytest.approx(adjusted_rand_score(y, clusters), abs=1e-6)
    unit = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0).mean())
    clusters = GaussianMixture(10, random_state=0).fit_predict(unit)
    assert judged["mixture"]["nmi"] == pytest.approx(normalized_mutual_info_score(y, clusters), abs=1e-6)
    assert judged["raw_mixture"] is None  # 359 rows in ten clusters are fewer than the 64 pixels each


def test_without_a_reference_each_fold_is_told_from_the_others(model, test_digits):
    metrics = evaluate(model, test_digits.x, test_digits.y)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    z = model.transform(test_digits.x).astype(float)
    knn = cross_val_score(KNeighborsClassifier(5), z, test_digits.y, cv=folds)
    assert metrics["knn_accuracy"] == pytest.approx(knn @ [72, 72, 72, 72, 71] / 359)
    assert metrics["reference_rows"] is None


def test_clear_groups_are_told_apart(blobs):
    x, y, pca = blobs
    metrics = evaluate(pca, x, y, baseline=pca)
    for view in ("", "pca_", "raw_"):
        assert metrics[f"{view}knn_accuracy"] == metrics[f"{view}linear_accuracy"] == 1
        assert metrics[f"{view}clustering"] == {"accuracy": 1, "nmi": 1, "ari": 1}
        assert metrics[f"{view}mixture"] == {"accuracy": 1, "nmi": 1, "ari": 1}


def test_labels_of_nothing_are_told_by_chance(blobs):
    x, y, pca = blobs
    metrics = evaluate(pca, x, np.random.default_rng(1).permutation(y))
    assert metrics["knn_accuracy"] < 0.6
    assert metrics["linear_accuracy"] < 0.6
    assert metrics["clustering"]["accuracy"] < 0.6
    assert abs(metrics["clustering"]["ari"]) < 0.1


def test_the_names_of_clusters_do_not_matter():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 200)
    clusters = np.where(rng.random(200) < 0.7, y, rng.integers(0, 4, 200))
    metrics = clustering_metrics(y, clusters)
    assert metrics["accuracy"] == pytest.approx(np.mean(y == clusters))
    for _ in range(5):
        names = rng.permutation(4)
        assert clustering_metrics(y, names[clusters]) == pytest.approx(metrics)
        assert clustering_metrics(names[y], clusters) == pytest.approx(metrics)


def test_the_matching_is_the_best_one_not_the_greedy_one():
    y = np.repeat([0, 1], [9, 8])
    clusters = np.array([0] * 5 + [1] * 4 + [0] * 8)  # cluster 0 is mostly class 1, and cluster 1 is left 0
    assert clustering_metrics(y, clusters)["accuracy"] == pytest.approx(12 / 17)
    assert clustering_metrics(y, np.zeros(17, int))["accuracy"] == pytest.approx(9 / 17)


def test_keys_are_the_same_with_and_without_labels(judged, model, test_digits):
    metrics = evaluate(model, test_digits.x)
    assert list(metrics) == list(judged)
    assert set(labeled(metrics).values()) == {None}
    assert json.loads(json.dumps(judged, allow_nan=False)) == judged


def test_figures_come_again_with_the_seed(blobs):
    x, y, pca = blobs
    noisy = x + np.random.default_rng(1).normal(scale=8, size=x.shape)
    first, again, other = (labeled(evaluate(pca, noisy, y, random_state=seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_a_pipeline_is_judged_as_its_last_step_is(blobs):
    x, y, _ = blobs
    metrics = evaluate(make_pipeline(StandardScaler(), PCA(2)).fit(x), pd.DataFrame(x), pd.Series(y))
    assert metrics["knn_accuracy"] == 1
    assert metrics["k"] == 2


# -- labels of every kind -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda y: y.tolist(),
        lambda y: y.astype(float),
        lambda y: y[:, None],
        lambda y: y * 0.5,
        lambda y: np.array(["cat", "dog", "eel"])[y],
        lambda y: np.array([b"cat", b"dog", b"eel"])[y],
        lambda y: np.array(["cat", "dog", "eel"], dtype=object)[y],
        lambda y: pd.Series(pd.Categorical(np.array(["cat", "dog", "eel"])[y])),
        lambda y: torch.as_tensor(y),
        lambda y: np.array([-5, 7, 10**12])[y],
    ],
    ids=["list", "float", "column", "halves", "text", "bytes", "object", "categories", "tensor", "far apart"],
)
def test_labels_of_every_kind_give_the_same_figures(blobs, make):
    x, y, pca = blobs
    noisy = x + np.random.default_rng(1).normal(scale=8, size=x.shape)
    assert labeled(evaluate(pca, noisy, make(y))) == labeled(evaluate(pca, noisy, y))


@pytest.mark.parametrize("missing", [None, np.nan, "", "  ", pd.NA, pd.NaT])
def test_rows_without_a_label_are_left_out_and_counted(blobs, missing):
    x, y, pca = blobs
    names = np.array(["cat", "dog", "eel"], dtype=object)[y]
    names[::4] = missing
    metrics = evaluate(pca, x, names)
    assert (metrics["n"], metrics["labeled_rows"], metrics["unlabeled"]) == (120, 90, 30)
    kept = np.arange(120) % 4 > 0
    expected = labeled(evaluate(pca, x[kept], y[kept]))
    assert labeled(metrics) == expected | {"unlabeled": 30}


def test_nan_among_numbers_is_a_missing_label(blobs):
    x, y, pca = blobs
    metrics = evaluate(pca, x, np.where(np.arange(120) < 7, np.nan, y))
    assert metrics["unlabeled"] == 7
    assert metrics["classes"] == 3


def test_a_data_brings_its_labels(blobs):
    x, y, pca = blobs
    assert evaluate(pca, Data(x, y)) == evaluate(pca, x, y)
    with_reference = evaluate(pca, Data(x[::2], y[::2]), reference=Data(x[1::2], y[1::2]))
    assert with_reference == evaluate(pca, x[::2], y[::2], reference=(x[1::2], y[1::2]))
    assert with_reference["reference_rows"] == 60


def test_a_number_and_its_text_are_one_class(blobs):
    x, y, pca = blobs
    metrics = evaluate(pca, x[::2], y[::2], reference=(x[1::2], y[1::2].astype(str)))
    assert metrics["knn_accuracy"] == 1


def test_a_class_that_the_reference_lacks_is_never_guessed(blobs):
    x, y, pca = blobs
    known = (np.arange(120) % 2 == 1) & (y != 1)
    metrics = evaluate(pca, x[::2], y[::2], reference=(x[known], y[known]))
    assert metrics["knn_accuracy"] == metrics["linear_accuracy"] == pytest.approx(np.mean(y[::2] != 1))


def test_a_class_of_one_row_is_no_obstacle(blobs):
    x, _, pca = blobs
    metrics = evaluate(pca, x[:20], np.arange(20) == 3)
    assert metrics["knn_accuracy"] == metrics["linear_accuracy"] == 0.95


def test_codes_that_are_all_alike_are_judged_without_a_word(blobs):
    class Constant:
        transform = staticmethod(lambda rows: np.ones((len(rows), 2)))
        inverse_transform = staticmethod(lambda codes: np.zeros((len(codes), 6)))

    x, y, _ = blobs
    metrics = evaluate(Constant, x, y)
    assert metrics["linear_accuracy"] == metrics["clustering"]["accuracy"] == pytest.approx(50 / 120)
    assert metrics["clustering"]["ari"] == 0


# -- bounds -------------------------------------------------------------------------------------------------


def test_rows_beyond_the_bounds_are_drawn(blobs, monkeypatch):
    x, y, pca = blobs
    monkeypatch.setattr(judging, "MOST_JUDGED", 40)
    monkeypatch.setattr(judging, "MOST_REFERENCE", 30)
    metrics = evaluate(pca, x[::2], y[::2], reference=(x[1::2], y[1::2]))
    assert (metrics["n"], metrics["labeled_rows"], metrics["reference_rows"]) == (60, 40, 30)
    assert metrics["knn_accuracy"] == 1
    monkeypatch.setattr(judging, "MOST_VALUES", 6 * 20)
    assert evaluate(pca, x[::2], y[::2], reference=(x[1::2], y[1::2]))["reference_rows"] == 20


def test_a_memory_map_is_drawn_from(blobs, monkeypatch, tmp_path):
    x, y, pca = blobs
    monkeypatch.setattr(judging, "MOST_JUDGED", 40)
    np.save(tmp_path / "x.npy", x)
    assert evaluate(pca, np.load(tmp_path / "x.npy", mmap_mode="r"), y) == evaluate(pca, x, y)


def test_what_would_take_too_long_is_left_out(blobs, monkeypatch):
    x, y, pca = blobs
    monkeypatch.setattr(judging, "MOST_RAW_FEATURES", 5)
    metrics = evaluate(pca, x, y)
    assert [metrics[f"raw_{name}"] for name in MEASURES] == [None] * 4
    assert metrics["trustworthiness"] is not None
    monkeypatch.undo()
    monkeypatch.setattr("codeword.tasks.evaluate.MOST_WORK", 4 * 120 * 3 * 2)
    monkeypatch.setattr("codeword.tasks.evaluate.MOST_MIXTURE_WORK", 120 * 3 * 2**2)
    metrics = evaluate(pca, x, y)
    assert metrics["linear_accuracy"] == 1
    assert metrics["mixture"]["accuracy"] == 1
    assert metrics["raw_linear_accuracy"] is metrics["raw_mixture"] is None
    assert metrics["raw_knn_accuracy"] == 1


# -- labels that are none -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.arange(100) % 3, r"^x has 120 rows and 100 labels: give one label for each row$"),
        (np.zeros((120, 3)), r"have the shape \(120, 3\): give one label for each of the 120 rows"),
        (np.zeros(120, int), r"one class only, '0', in all 120 rows: at least two"),
        (["a", ""] * 60, r"one class only, 'a', in all 60 rows"),
        ([None] * 120, r"all 120 labels of x are missing"),
        (np.linspace(0, 1, 120), r"120 different values in 120 rows \(0, 0.008.* 117 more\), more than 20"),
        (np.arange(120), r"120 different values in 120 rows \(0, 1, 2 and 117 more\), more than 60"),
        (np.zeros(120, complex), r"labels of x are of type complex128: expected numbers or texts"),
        ([0, 1] * 4 + [None] * 112, r"8 labeled rows, fewer than 10: 5 nearest neighbors"),
    ],
)
def test_what_are_no_classes_is_refused_with_the_numbers(blobs, y, said):
    x, _, pca = blobs
    with pytest.raises(DataError, match=said):
        evaluate(pca, x, y)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (lambda x, y: (x[:4], y[:4]), r"4 labeled rows, fewer than the 5 nearest neighbors"),
        (lambda x, y: (x[1:], y[1:] * 0), r"the reference has one class only, '0', in all 119 rows"),
        (lambda x, y: (x[1:], y[1:] + 7), r"shares no class .* 7, 8, 9, and they have 0, 1, 2"),
        (lambda x, y: (x[1:], y), r"the reference has 119 rows and 120 labels"),
        (lambda x, y: (x[1:, :5], y[1:]), r"rows of shape \(5,\), and x has rows of shape \(6,\)"),
        (lambda x, y: (x.copy(), y), r"the 120 rows that are judged"),
        (lambda x, y: Data(x[1:]), r"no labels: give one for each of its 119 rows"),
        (lambda x, y: (x[:0], y[:0]), r"the reference must have rows and features"),
    ],
)
def test_a_reference_that_teaches_nothing_is_refused(blobs, reference, said):
    x, y, pca = blobs
    with pytest.raises(DataError, match=said):
        evaluate(pca, x, y, reference=reference(x, y))


def test_a_reference_needs_labels_on_both_sides(blobs):
    x, y, pca = blobs
    with pytest.raises(ParameterError, match=r"'reference' .* needs labels of x"):
        evaluate(pca, x, reference=(x[1:], y[1:]))
    with pytest.raises(ParameterError, match=r"'reference' .* Got ndarray instead"):
        evaluate(pca, x, y, reference=x)


def test_labels_are_checked_before_anything_is_computed(blobs):
    class Never:
        transform = inverse_transform = staticmethod(lambda rows: pytest.fail("too late"))

    with pytest.raises(DataError, match="one class only"):
        evaluate(Never, blobs[0], blobs[1] * 0)


def test_codes_that_are_not_finite_are_refused(blobs):
    class Burst:
        transform = staticmethod(lambda rows: np.full((len(rows), 2), np.inf))
        inverse_transform = staticmethod(lambda codes: np.zeros((len(codes), 6)))

    with pytest.raises(
        DataError, match=r"the code by the model contains infinity \(the first in row 0, column 0\)"
    ):
        evaluate(Burst, blobs[0])


# -- real digits --------------------------------------------------------------------------------------------


def test_codes_of_real_digits_are_worth_more_than_chance(mnist):
    train, test = mnist
    x, x_test = (d.x[:n].reshape(n, -1) / np.float32(255) for d, n in ((train, 3000), (test, 1000)))
    metrics = evaluate(PCA(16, random_state=0).fit(x), x_test, test.y[:1000], reference=(x, train.y[:3000]))
    assert 0.88 < metrics["knn_accuracy"] < 0.95
    assert 0.75 < metrics["linear_accuracy"] < 0.9
    assert 0.4 < metrics["clustering"]["accuracy"] < 0.7
    assert metrics["trustworthiness"] > 0.98
