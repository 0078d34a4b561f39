import sys

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.neighbors import KNeighborsClassifier

from codeword.base.errors import DataError, ParameterError
from codeword.tasks import map as mapping
from codeword.tasks.map import map_codes


def knn_accuracy(points, labels):
    return KNeighborsClassifier(5).fit(points[::2], labels[::2]).score(points[1::2], labels[1::2])


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(150, 8, centers=3, center_box=(-20, 20), random_state=0)


@pytest.fixture(scope="module")
def blob_map(blobs):
    return map_codes(blobs[0])


def distances(points):
    return np.linalg.norm(points[:, None].astype(float) - points[None].astype(float), axis=-1)


def test_tsne_keeps_blobs_apart(blobs, blob_map):
    assert blob_map.shape == (150, 2)
    assert blob_map.dtype == np.float32
    assert knn_accuracy(blob_map, blobs[1]) > 0.95


def test_the_same_random_state_gives_the_same_map(blobs, blob_map):
    np.testing.assert_array_equal(map_codes(blobs[0], method="tsne"), blob_map)
    assert not np.array_equal(map_codes(blobs[0], random_state=1), blob_map)


def test_open_tsne_serves_many_points(blobs, monkeypatch):
    pytest.importorskip("openTSNE")
    monkeypatch.setattr(mapping, "MANY_POINTS", 100)
    steps = []
    points = map_codes(blobs[0], n_jobs=1, progress=lambda done, total: steps.append((done, total)))
    assert knn_accuracy(points, blobs[1]) > 0.95
    assert steps[0] == (0, 750)
    assert steps[-1] == (750, 750)
    assert steps == sorted(set(steps))


def test_scikit_learn_serves_many_points_where_open_tsne_has_no_wheel(blobs, blob_map, monkeypatch):
    monkeypatch.setattr(mapping, "MANY_POINTS", 100)
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    np.testing.assert_array_equal(map_codes(blobs[0]), blob_map)


def test_two_columns_are_a_map_already():
    codes = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    np.testing.assert_array_equal(map_codes(codes), codes)


def test_one_column_is_the_first_coordinate():
    codes = np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
    points = map_codes(codes)
    np.testing.assert_array_equal(points[:, :1], codes)
    assert np.ptp(points[:, 1]) < 0.11 * np.ptp(codes)
    assert len(np.unique(points[:, 1])) == 50
    np.testing.assert_array_equal(points, map_codes(codes))


def test_pca_keeps_the_distances_of_codes_that_lie_in_a_plane():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 7)) + 100
    np.testing.assert_allclose(distances(map_codes(codes, method="pca")), distances(codes), atol=1e-4)


@pytest.mark.parametrize("method", ["auto", "tsne", "pca"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_up_to_three_points_keep_their_distances(n, method):
    codes = np.random.default_rng(n).normal(size=(n, 5))
    np.testing.assert_allclose(distances(map_codes(codes, method=method)), distances(codes), atol=1e-5)


@pytest.mark.parametrize("n", [4, 5, 10])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_few_points_have_a_tsne(n, k):
    points = map_codes(np.random.default_rng(n).normal(size=(n, k)), method="tsne")
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()
    assert np.ptp(points, axis=0).min() > 0


@pytest.mark.parametrize("method", ["auto", "tsne", "pca"])
def test_equal_codes_lie_at_the_origin(method):
    np.testing.assert_array_equal(map_codes(np.full((20, 4), 0.1), method=method), np.zeros((20, 2)))


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_the_unit_of_the_codes_does_not_matter_to_tsne(factor):
    codes = np.random.default_rng(0).normal(size=(30, 4))
    points = map_codes(codes * factor)
    assert np.isfinite(points).all()
    np.testing.assert_allclose(distances(points), distances(map_codes(codes)), rtol=0.2)


def test_repeated_codes_do_not_stop_tsne():
    codes = np.repeat(np.random.default_rng(0).normal(size=(4, 3)), 10, axis=0)
    assert np.isfinite(map_codes(codes)).all()


def test_an_unknown_method_is_named():
    with pytest.raises(ParameterError, match=r"auto, tsne, pca, umap. Got 'isomap' instead"):
        map_codes(np.zeros((5, 3)), method="isomap")


def test_umap_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ParameterError, match=r"pip install 'codeword\[umap\]'$"):
        map_codes(np.zeros((5, 3)), method="umap")


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((0, 3)), r"shape=\(0, 3\)"),
        (np.zeros(3), "got 1D array"),
        (np.zeros((3, 2, 2)), "dim 3"),
        ([[1.0, 2.0], [3.0, np.nan]], "NaN \\(the first in row 1, column 1"),
        ([[1.0, -np.inf]], "infinity \\(the first in row 0, column 1"),
        ([[1e300, 0.0]], "infinity \\(the first in row 0, column 0"),
        ([["a", "b"]], "must be a table of numbers"),
    ],
)
def test_what_is_not_a_table_of_finite_numbers_is_refused(codes, message):
    with pytest.raises(DataError, match=message) as caught:
        map_codes(codes)
    assert "\n" not in str(caught.value)
