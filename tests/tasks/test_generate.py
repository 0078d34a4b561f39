"""Samples, ways between two, what each number of a code does, neighbors: in Python."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from codeword import MLP, AutoEncoder, interpolate, neighbors, traverse
from codeword.base.errors import DataError, ModelError, ParameterError
from codeword.model.fitted import mixture_codes
from codeword.objectives import Sparse, Variational, VectorQuantized
from codeword.objectives.quantized import codebooks


@pytest.fixture(scope="module")
def fitted(digits):
    """A function of an objective to a small model of 300 digits."""

    def make(objective):
        network = MLP(hidden=(16,))
        ae = AutoEncoder(4, network=network, objective=objective, epochs=4, random_state=0, device="cpu")
        return ae.fit(digits.x[:300])

    return make


# -- samples ------------------------------------------------------------------------------------------------


def test_samples_have_the_shape_and_the_range_of_the_data(model):
    x = model.sample(7, random_state=0)
    assert x.shape == (7, 8, 8)
    assert x.dtype == np.float32
    assert x.min() >= 0
    assert x.max() <= 1
    assert len(np.unique(x.reshape(7, -1), axis=0)) == 7


def test_a_seed_gives_the_same_samples_again_and_another_others(model):
    assert (model.sample(5, random_state=3) == model.sample(5, random_state=3)).all()
    assert (model.sample(5, random_state=3) != model.sample(5, random_state=4)).any()


def test_samples_survive_saving(model, saved_model):
    again = AutoEncoder.load(saved_model, device="cpu")
    assert (again.sample(5, random_state=0) == model.sample(5, random_state=0)).all()
    assert (again.training_codes_.codes == model.training_codes_.codes).all()


def test_a_mixture_has_the_moments_and_the_clusters_of_the_codes():
    rng = np.random.default_rng(0)
    codes = np.concatenate([rng.normal(-5, 0.1, (500, 2)), rng.normal(5, 0.1, (500, 2))]) * [1, 1000]
    drawn = mixture_codes(codes, 2000, np.random.default_rng(0))
    assert drawn.mean(axis=0) == pytest.approx(codes.mean(axis=0), abs=500, rel=0.2)
    assert (np.abs(np.abs(drawn) - [5, 5000]) < [1, 1000]).all()  # none lies between the two
    assert 0.4 < (drawn[:, 0] > 0).mean() < 0.6
    assert 0.3 < (drawn[:100, 0] > 0).mean() < 0.7  # shuffled, not cluster by cluster


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_mixture_of_few_codes_stays_near_them(rows):
    codes = np.random.default_rng(0).normal(3, 1, (rows, 6))
    drawn = mixture_codes(codes, 50, np.random.default_rng(0))
    assert np.isfinite(drawn).all()
    assert np.abs(drawn - codes.mean(axis=0)).max() < 10


def test_a_variational_model_decodes_its_prior_and_others_a_mixture(fitted, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "codeword.model.fitted.mixture_codes",
        lambda known, n, rng: asked.append(known) or np.zeros((n, known.shape[1]), "f4"),
    )
    fitted("variational").sample(2)
    plain = fitted("reconstruction")
    plain.sample(2, prior="normal")
    assert not asked
    plain.sample(2)
    assert asked[0] is plain.training_codes_.codes


@pytest.mark.parametrize("method", ["ema", "finite"])
def test_quantized_models_decode_codes_of_the_codebook(fitted, monkeypatch, method):
    objective = VectorQuantized(method=method)
    ae = fitted(objective)
    decoded = []
    monkeypatch.setattr(ae, "inverse_transform", lambda z: decoded.append(z))
    ae.sample(20, random_state=0)
    for codes in (decoded[0], ae.training_codes_.codes):  # what the encoder gave is on the grid too
        z = torch.from_numpy(codes)
        # Of two entries that almost coincide the nearer one is a matter of the processor's last digit.
        torch.testing.assert_close(objective.project(ae.network_, z), z, rtol=0, atol=1e-3)
        if method == "finite":
            np.testing.assert_allclose(codes * 4, np.rint(codes * 4), rtol=0, atol=1e-5)
        else:
            for part, book in zip(np.split(codes, 4, axis=1), codebooks(ae.network_), strict=True):
                assert (part[:, None] == book.numpy()).all(axis=2).any(axis=1).all()


def test_residual_models_decode_sums_of_entries(fitted, monkeypatch):
    ae = fitted(VectorQuantized("residual", codebook_size=6, groups=2))
    decoded = []
    monkeypatch.setattr(ae, "inverse_transform", lambda z: decoded.append(z))
    ae.sample(20, random_state=0)
    first, second = codebooks(ae.network_).detach().numpy()
    sums = (first[:, None] + second[None]).reshape(36, 4)
    assert neighbors(sums, decoded[0], 1)[1].max() < 1e-5


def test_sparse_models_decode_codes_with_as_few_numbers(fitted, monkeypatch):
    ae = fitted(Sparse(active=2))
    decoded = []
    monkeypatch.setattr(ae, "inverse_transform", lambda z: decoded.append(z))
    ae.sample(20, random_state=0)
    assert ((decoded[0] != 0).sum(axis=1) <= 2).all()


def test_bad_requests_for_samples(model):
    with pytest.raises(ParameterError, match=r"prior must be one of auto, normal, mixture. Got 'flat'"):
        model.sample(2, prior="flat")
    for n in (0, -1, 2.5, "4"):
        with pytest.raises(ParameterError, match="n must be a positive whole number"):
            model.sample(n)


def test_a_model_without_codes_says_so(model_folder):
    from safetensors.torch import load_file, save_file

    weights = model_folder / "weights.safetensors"
    tensors = {k: v for k, v in load_file(weights).items() if not k.startswith("reference.")}
    save_file(tensors, weights)
    ae = AutoEncoder.load(model_folder)
    assert ae.training_codes_ is None
    assert ae.sample(2, prior="normal").shape == (2, 8, 8)
    with pytest.raises(ModelError, match="no codes of the rows it was trained on"):
        ae.sample(2)


# -- what a model remembers ---------------------------------------------------------------------------------


def test_the_reference_is_of_rows_trained_on_and_of_rows_held_out(model, digits):
    every = model.transform(digits.x[:300])
    errors = -model.score_samples(digits.x[:300])
    reference = model.training_codes_
    assert len(reference.codes) == 270
    assert len(reference.held_codes) == 30
    for codes, found in ((reference.codes, reference.errors), (reference.held_codes, reference.held_errors)):
        rows, distances = neighbors(every, codes, 1)
        assert distances.max() < 1e-4
        assert errors[rows[:, 0]] == pytest.approx(found, abs=1e-5)
    rows = neighbors(every, np.concatenate([reference.codes, reference.held_codes]), 1)[0]
    assert len(np.unique(rows)) > 295  # each row once; some digits have codes that are nearly equal


def test_nothing_held_out_leaves_no_held_codes(digits):
    ae = AutoEncoder(3, network=MLP(hidden=(8,)), epochs=1, validation_fraction=0.0).fit(digits.x[:50])
    assert ae.training_codes_.held_codes.shape == (0, 3)
    assert ae.training_codes_.codes.shape == (50, 3)


# -- what the objective says of codes -----------------------------------------------------------------------


def test_divergences_are_those_of_the_posterior(fitted, digits):
    from torch.distributions import Normal, kl_divergence

    ae = fitted(Variational())
    with torch.no_grad():
        x = torch.from_numpy(digits.x[:100].reshape(100, -1))
        mean, log_variance = ae.network_.encoder(x).chunk(2, dim=1)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).mean(dim=0)
    found = ae.latent_metrics(digits.x[:100])["kl_per_dimension"]
    assert found == pytest.approx(expected.tolist(), rel=1e-4)


@pytest.mark.parametrize(("method", "size"), [("ema", 256), ("residual", 256), ("finite", 8)])
def test_codebook_use_counts_the_indices(fitted, digits, method, size):
    objective = VectorQuantized(method=method) if method != "finite" else VectorQuantized("finite", levels=8)
    ae = fitted(objective)
    indices = ae.transform(digits.x[:300], indices=True)
    use = ae.latent_metrics(digits.x[:300])["codebook_use"]
    assert use == pytest.approx([len(set(column)) / size for column in indices.T.tolist()])


def test_a_plain_model_has_nothing_to_add(model, digits):
    assert model.latent_metrics(digits.x[:10]) == {}


# -- ways and walks -----------------------------------------------------------------------------------------


def test_a_way_begins_and_ends_at_the_reconstructions(model, digits):
    a, b = digits.x[:3], digits.x[3:6]
    way = interpolate(model, a, b, steps=5)
    assert way.shape == (3, 5, 8, 8)
    assert way[:, 0] == pytest.approx(model.reconstruct(a), abs=1e-5)
    assert way[:, -1] == pytest.approx(model.reconstruct(b), abs=1e-5)
    middle = (model.transform(a) + model.transform(b)) / 2
    assert way[:, 2] == pytest.approx(model.inverse_transform(middle), abs=1e-5)


def test_a_walk_sorts_dimensions_by_effect():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3)) * [1, 10, 3]
    pca = PCA(3, svd_solver="full").fit(x)
    swapped = _Reordered(pca, [2, 0, 1])
    walk = traverse(swapped, swapped.transform(x), steps=5)
    assert walk.dimensions.tolist() == [1, 2, 0]
    assert walk.rows.shape == (3, 5, 3)
    assert (np.diff(walk.effects) < 0).all()
    codes = swapped.transform(x)
    assert walk.values[0, [0, -1]] == pytest.approx(np.percentile(codes[:, 1], [2, 98]), rel=1e-5)
    start = codes[np.linalg.norm(codes - codes.mean(axis=0), axis=1).argmin()]
    expected = np.square(walk.values[0] - start[1]).mean() / 3
    # Of a linear decoder the effect is the mean square of the change, over 3 features.
    assert walk.effects[0] == pytest.approx(expected, rel=1e-4)


def test_effects_are_in_scaled_units(digits):
    ae = AutoEncoder(3, network=MLP(hidden=(8,)), epochs=1, scaling="standard", random_state=0, device="cpu")
    tall = ae.fit(digits.x[:100] * 1000 + 5)
    walk = traverse(tall, tall.training_codes_.codes)
    assert 1e-3 < walk.effects[0] < 3


def test_a_walk_changes_one_number_of_the_code_it_starts_from(model, digits):
    start = model.transform(digits.x[:1])[0]
    walk = traverse(model, model.training_codes_.codes, start=start, steps=3)
    changed = start.copy()
    changed[walk.dimensions[1]] = walk.values[1, 2]
    assert walk.rows[1, 2] == pytest.approx(model.inverse_transform(changed[None])[0], abs=1e-5)


class _Reordered:
    def __init__(self, pca, order):
        self.pca, self.order = pca, order

    def transform(self, x):
        return self.pca.transform(x)[:, self.order]

    def inverse_transform(self, z):
        return self.pca.inverse_transform(np.asarray(z)[:, np.argsort(self.order)])


def test_bad_ways_and_walks(model, digits):
    with pytest.raises(ParameterError, match=r"'steps' parameter of interpolate must be at least 2. Got 1"):
        interpolate(model, digits.x[:1], digits.x[1:2], steps=1)
    with pytest.raises(DataError, match=r"as many rows each. Got 1 and 2"):
        interpolate(model, digits.x[:1], digits.x[1:3])
    with pytest.raises(ParameterError, match=r"'steps' parameter of traverse must be at least 2. Got 1"):
        traverse(model, model.training_codes_.codes, steps=1)
    with pytest.raises(DataError, match=r"one code of 5 numbers. Got 4"):
        traverse(model, model.training_codes_.codes, start=np.zeros(4))


# -- neighbors ---------------------------------------------------------------------------------------------


def test_neighbors_are_those_of_every_distance():
    codes = np.random.default_rng(0).normal(size=(60, 3))
    rows, distances = neighbors(codes, [7, 20], 4)
    for query, near, far in zip([7, 20], rows, distances, strict=True):
        every = np.linalg.norm(codes - codes[query], axis=1)
        order = [i for i in np.argsort(every) if i != query][:4]
        assert near.tolist() == order
        assert far == pytest.approx(every[order], rel=1e-4)


def test_a_row_is_not_its_own_neighbor_even_among_equals():
    rows, distances = neighbors(np.zeros((6, 2)), [0, 5], 3)
    assert rows.shape == (2, 3)
    assert 0 not in rows[0]
    assert 5 not in rows[1]
    assert (distances == 0).all()


def test_codes_of_others_may_find_any_row():
    codes = np.arange(10.0)[:, None]
    rows, distances = neighbors(codes, [[2.2]], 2)
    assert rows.tolist() == [[2, 3]]
    assert distances[0] == pytest.approx([0.2, 0.8])


def test_bad_queries():
    codes = np.zeros((5, 2))
    with pytest.raises(DataError, match="5 neighbors were asked for, and there are 4 other rows"):
        neighbors(codes, [0], 5)
    with pytest.raises(DataError, match="there is no row 5: there are 5, counted from 0"):
        neighbors(codes, [0, 5], 2)
    with pytest.raises(DataError, match="there is no row -1"):
        neighbors(codes, [-1], 2)
    with pytest.raises(DataError, match=r"Got \(5, 2\) and \(1, 3\)"):
        neighbors(codes, [[0, 0, 0]], 2)
