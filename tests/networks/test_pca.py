import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from codeword.data.scaling import Scaling, describe
from codeword.networks import pca as baseline
from codeword.networks.pca import PrincipalComponents


def fitted(x, k, kind="auto", seed=0):
    seen = describe(x)
    scaling = Scaling.choose(kind, x.dtype, x.shape[1:], seen)
    return PrincipalComponents.fit(x, scaling, scaling.scaled_mean(seen), k, seed)


def correlated(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * np.linspace(2, 0.1, d) + rng.normal(size=d)


def error(codec, x):
    return np.mean((codec.inverse_transform(codec.transform(x)) - x) ** 2)


@pytest.mark.parametrize(("n", "d", "k"), [(300, 10, 4), (300, 10, 10), (12, 40, 5), (40, 40, 3)])
def test_it_is_scikit_learns_pca(n, d, k):
    """More rows than features, fewer, as many: the covariance matrix, or the rows themselves."""
    x = correlated(n, d)
    ours, theirs = fitted(x, k, "none"), PCA(k, svd_solver="full").fit(x)
    np.testing.assert_allclose(ours.mean.numpy(), theirs.mean_, atol=1e-4)
    np.testing.assert_allclose(
        np.abs(np.sum(ours.components.numpy() * theirs.components_, axis=1)), 1, atol=1e-4
    )
    variance = theirs.explained_variance_ * (n - 1) / n
    np.testing.assert_allclose(ours.deviations.numpy() ** 2, variance, rtol=1e-3)
    np.testing.assert_allclose(
        ours.inverse_transform(ours.transform(x)), theirs.inverse_transform(theirs.transform(x)), atol=1e-2
    )


def test_components_are_orthonormal_and_their_signs_are_fixed():
    components = fitted(correlated(200, 12), 5, "none").components
    torch.testing.assert_close(components @ components.T, torch.eye(5), atol=1e-5, rtol=0)
    assert (components.gather(1, components.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_codes_are_centered_and_vary_as_told():
    x = correlated(400, 8)
    pca = fitted(x, 3)
    codes = pca.transform(x)
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(codes.std(axis=0), pca.deviations.numpy(), rtol=1e-4)
    assert list(pca.deviations) == sorted(pca.deviations, reverse=True)


def test_it_works_in_scaled_units_and_gives_back_the_datas():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1)) @ np.ones((1, 3)) * [1e-3, 1, 1e6] + [0, 5, 1e8]
    again = fitted(x, 1).inverse_transform(fitted(x, 1).transform(x))
    assert np.max(np.abs(again - x) / x.std(axis=0)) < 1e-3


def test_images_come_back_as_images():
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 5), dtype=np.uint8)
    pca = fitted(images, 20)
    again = pca.inverse_transform(pca.transform(images))
    assert again.shape == (30, 4, 5)
    np.testing.assert_allclose(again, images, atol=0.05)


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (5, 1), (1, 1)])
def test_there_are_no_more_components_than_the_data_have(shape):
    x = np.random.default_rng(0).normal(size=shape)
    pca = fitted(x, 4, "none")
    assert pca.components.shape == (min(4, *shape), shape[1])
    assert torch.isfinite(pca.components).all()
    assert torch.isfinite(pca.deviations).all()
    assert error(pca, x) < 1e-6 or shape[0] > shape[1]


def test_rows_that_are_all_alike_have_components_of_no_width():
    pca = fitted(np.full((9, 3), 2.0), 2, "none")
    np.testing.assert_allclose(pca.deviations.numpy(), 0, atol=1e-6)
    np.testing.assert_allclose(pca.inverse_transform(pca.transform(np.full((2, 3), 2.0))), 2.0, atol=1e-5)


def test_a_large_offset_costs_no_digits():
    x = correlated(500, 6)
    assert error(fitted(x + 1e4, 3, "none"), x + 1e4) == pytest.approx(
        error(fitted(x, 3, "none"), x), rel=0.02
    )


def test_a_random_projection_finds_the_same_space():
    """Of more features than the covariance matrix is worth, and more rows than a decomposition is."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(1500, 6)) * [9, 8, 7, 6, 5, 4] @ rng.normal(size=(6, 1600))).astype(np.float32)
    x += rng.normal(scale=0.5, size=x.shape).astype(np.float32)
    ours = fitted(x, 6, "none")
    theirs = PCA(6, svd_solver="randomized", random_state=0).fit(x)
    assert error(ours, x) == pytest.approx(error(theirs, x), rel=1e-3)
    assert torch.equal(ours.components, fitted(x, 6, "none").components)


def test_of_many_rows_a_spread_sample_serves(monkeypatch):
    """It covers the file from end to end, also where rows are sorted."""
    monkeypatch.setattr(baseline, "MOST_ROWS", 2000)
    x = correlated(20_000, 5)
    x = x[np.argsort(x[:, 0])].astype(np.float32)
    pca, whole = fitted(x, 2, "none"), PCA(2).fit(x)
    assert error(pca, x) < 1.02 * error(whole, x)


def test_it_takes_a_memory_map(tmp_path):
    x = correlated(300, 7).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = fitted(np.load(tmp_path / "x.npy", mmap_mode="r"), 3)
    assert torch.equal(mapped.components, fitted(x, 3).components)
