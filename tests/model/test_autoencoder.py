import re
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from codeword import MLP, AutoEncoder, Reconstruction, VectorQuantized, load
from codeword.base.errors import DataError, ModelError, ParameterError, TrainingError


def small(k=3, **parameters):
    return AutoEncoder(
        k, **{"network": MLP(hidden=(8,)), "epochs": 2, "random_state": 0, "device": "cpu"} | parameters
    )


def weights_of(ae):
    return {name: tensor.clone() for name, tensor in ae.network_.state_dict().items()}


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    return (rng.normal(size=(120, 3)) @ rng.normal(size=(3, 6)) * 7 + 40).astype(np.float32)


# -- scikit-learn's manners ---------------------------------------------------------------------------------


@parametrize_with_checks([AutoEncoder(epochs=3, random_state=0, device="cpu")])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_the_constructor_only_stores():
    network, objective = MLP(hidden=[4]), Reconstruction()
    ae = AutoEncoder("nonsense", network=network, objective=objective, epochs=-1)
    assert ae.n_components == "nonsense"
    assert ae.network is network
    assert ae.objective is objective
    assert vars(ae).keys() == ae.get_params(deep=False).keys()


def test_a_clone_has_the_parameters_and_no_fit(rows):
    ae = small().fit(rows)
    copy = clone(ae)
    assert copy.network is not ae.network
    assert copy.network.hidden == (8,)
    assert not hasattr(copy, "network_")
    assert_same_weights(weights_of(copy.fit(rows)), weights_of(ae))


def test_nested_parameters_can_be_set():
    ae = AutoEncoder(network=MLP())
    ae.set_params(network__hidden=(3,), n_components=2)
    assert ae.network.hidden == (3,)
    assert ae.get_params()["network__activation"] == "silu"


def test_codes_serve_a_classifier_in_a_pipeline(digits):
    x, y = digits.x.reshape(-1, 64)[:600], digits.y[:600]
    pipeline = make_pipeline(AutoEncoder(12, epochs=10, random_state=0), LogisticRegression(max_iter=2000))
    assert pipeline.fit(x[:500], y[:500]).score(x[500:], y[500:]) > 0.85


def test_a_grid_search_reaches_k_the_network_and_the_objective(rows):
    grid = {
        "n_components": [1, 3],
        "network__hidden": [(4,), ()],
        "objective": ["reconstruction", Reconstruction()],
    }
    found = GridSearchCV(small(network=MLP()), grid, cv=2, error_score="raise").fit(rows)
    assert found.best_params_["n_components"] == 3
    assert found.best_score_ > -0.05  # three numbers are all there is in these rows


def test_codes_as_a_data_frame_keep_the_index(rows):
    frame = pd.DataFrame(rows, index=[f"r{i}" for i in range(len(rows))], columns=list("abcdef"))
    codes = small().set_output(transform="pandas").fit_transform(frame)
    assert list(codes.columns) == ["autoencoder0", "autoencoder1", "autoencoder2"]
    assert list(codes.index) == list(frame.index)


def test_a_fitted_estimator_survives_joblib(rows, tmp_path):
    ae = small().fit(rows)
    joblib.dump(ae, tmp_path / "ae.joblib")
    again = joblib.load(tmp_path / "ae.joblib")
    np.testing.assert_array_equal(again.transform(rows), ae.transform(rows))
    np.testing.assert_array_equal(again.reconstruct(rows), ae.reconstruct(rows))
    assert again.history_ == ae.history_


# -- what goes in, and comes out ----------------------------------------------------------------------------


def test_column_names_are_kept_and_their_order_is_held(rows):
    frame = pd.DataFrame(rows, columns=list("abcdef"))
    ae = small().fit(frame)
    assert list(ae.feature_names_in_) == list("abcdef")
    assert list(ae.get_feature_names_out()) == ["autoencoder0", "autoencoder1", "autoencoder2"]
    with pytest.raises(ValueError, match="same order"):
        ae.transform(frame[list("fedcba")])


def test_the_columns_of_a_file_are_held_to_those_of_training(rows, tmp_path):
    pd.DataFrame(rows, columns=list("abcdef")).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame(rows, columns=list("abdcef")).to_csv(tmp_path / "b.csv", index=False)
    ae = small().fit(load(tmp_path / "a.csv"))
    assert list(ae.feature_names_in_) == list("abcdef")
    assert ae.transform(load(tmp_path / "a.csv")).shape == (120, 3)
    with pytest.raises(DataError, match="'d' stands where 'c' was"):
        ae.transform(load(tmp_path / "b.csv"))


def test_data_arrays_and_tensors_give_the_same_codes(digits):
    ae = small().fit(digits)
    codes = ae.transform(digits)
    np.testing.assert_array_equal(ae.transform(digits.x), codes)
    np.testing.assert_array_equal(ae.transform(torch.from_numpy(digits.x)), codes)
    np.testing.assert_array_equal(ae.transform(digits.x.reshape(-1, 64)), codes)
    np.testing.assert_array_equal(ae.transform(digits.x.astype(np.float64)), codes)
    assert codes.dtype == np.float32


def test_a_tensor_trains_as_its_array_does(rows):
    assert_same_weights(weights_of(small().fit(torch.from_numpy(rows))), weights_of(small().fit(rows)))


def test_columns_that_lie_one_after_the_other_train_as_rows_do():
    """As those of a DataFrame do: the order of values in memory is not part of the data."""
    rows = np.random.default_rng(0).normal(100, 40, size=(200, 6))
    columns = np.asfortranarray(rows)
    one, other = small().fit(columns), small().fit(rows)
    assert_same_weights(weights_of(one), weights_of(other))
    np.testing.assert_array_equal(one.transform(columns), other.transform(rows))


def test_a_memory_map_trains_as_its_array_does(rows, tmp_path):
    np.save(tmp_path / "x.npy", rows)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    one, other = small().fit(mapped), small().fit(rows)
    assert_same_weights(weights_of(one), weights_of(other))
    np.testing.assert_array_equal(one.reconstruct(mapped), other.reconstruct(rows))


def test_images_come_back_as_images_in_their_own_units():
    images = np.zeros((40, 28, 28), dtype=np.uint8)
    images[:20, 4:20, 4:20] = 200
    images[20:, 10:26, 10:26] = 250
    ae = small(2, network=MLP(hidden=(8,)), epochs=1).fit(images)
    x_hat = ae.inverse_transform(ae.transform(images))
    assert x_hat.shape == images.shape
    assert x_hat.min() >= 0
    assert x_hat.max() <= 255
    assert abs(x_hat[0, 10, 8] - 200) < 15
    assert abs(x_hat[-1, 24, 24] - 250) < 15


@pytest.mark.parametrize("n", [1, 100, 4096, 9001])
def test_decoding_codes_is_the_reconstruction_to_the_last_bit(n, digits, model):
    x = np.resize(digits.x, (n, 8, 8))
    np.testing.assert_array_equal(model.inverse_transform(model.transform(x)), model.reconstruct(x))


def test_the_code_of_a_row_hardly_depends_on_the_rows_around_it(digits, model):
    np.testing.assert_allclose(
        model.transform(digits.x[7:8]), model.transform(digits.x)[7:8], rtol=1e-4, atol=1e-5
    )


def test_the_score_is_minus_the_mean_squared_error_in_scaled_units(rows):
    ae = small().fit(rows)
    difference = (rows - ae.reconstruct(rows)) / rows.std(axis=0)
    assert ae.score(rows) == pytest.approx(-np.mean(difference**2), rel=1e-4)
    np.testing.assert_allclose(ae.score_samples(rows), -np.mean(difference**2, axis=1), rtol=1e-3, atol=1e-6)


def test_the_score_of_pixels_is_in_shares_of_255():
    images = np.random.default_rng(0).integers(0, 256, (50, 5, 5), dtype=np.uint8)
    ae = small().fit(images)
    assert ae.score(images) == pytest.approx(
        -np.mean((images / 255 - ae.reconstruct(images) / 255) ** 2), rel=1e-4
    )


# -- scaling ------------------------------------------------------------------------------------------------

FLAGS = np.random.default_rng(0).integers(0, 2, (30, 4))


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        ((FLAGS * 255).astype(np.uint8), "pixels"),
        (FLAGS.astype(np.uint8), "unit"),
        (FLAGS.astype(np.float64), "unit"),
        (FLAGS / 2, "unit"),
        (FLAGS * 2.0, "standard"),
        (FLAGS - 0.5, "standard"),
        ((FLAGS * 255).astype(np.int64), "standard"),
    ],
)
def test_the_scaling_follows_from_the_values(x, kind):
    assert small().fit(x).scaling_.kind == kind


def test_a_scaling_that_does_not_fit_the_values_is_refused(rows):
    with pytest.raises(
        DataError, match=r"takes values from 0 to 1, and x goes from .* use scaling='standard'"
    ):
        small(scaling="unit").fit(rows)


def test_one_wide_column_does_not_drown_the_others():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1)) @ np.ones((1, 4)) * [1e-3, 1, 1e3, 1e6] + [0, 5, 0, 1e9]
    ae = small(1, epochs=5).fit(x)
    relative = (x - ae.reconstruct(x).astype(np.float64)) / x.std(axis=0)
    assert np.abs(relative).max(axis=0).max() < 0.2


# -- the same and nothing else ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(rows):
    ae = small(network=MLP(hidden=(8,), linear_skip=False)).fit(rows)
    torch.rand(3)
    again = small(network=MLP(hidden=(8,), linear_skip=False)).fit(rows)
    assert_same_weights(weights_of(ae), weights_of(again))
    other = small(network=MLP(hidden=(8,), linear_skip=False), random_state=1).fit(rows)
    assert not torch.equal(other.network_.encoder[0].weight, ae.network_.encoder[0].weight)


def test_fitting_twice_is_fitting_once(rows):
    ae = small().fit(rows)
    first = weights_of(ae)
    assert_same_weights(weights_of(ae.fit(rows)), first)
    assert len(ae.history_) == 2


def test_without_a_seed_two_fits_differ(rows):
    one, other = (small(network=MLP((8,), linear_skip=False), random_state=None).fit(rows) for _ in range(2))
    assert not torch.equal(one.network_.encoder[0].weight, other.network_.encoder[0].weight)


def test_a_drawn_seed_can_be_given_again(rows):
    drawn = small(random_state=None).fit(rows)
    assert_same_weights(weights_of(small(random_state=drawn.seed_).fit(rows)), weights_of(drawn))


def test_fitting_touches_no_global_random_state(rows):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = torch.rand(4), np.random.rand(4)  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    small().fit(rows).transform(rows)
    assert torch.equal(torch.rand(4), expected[0])
    np.testing.assert_array_equal(np.random.rand(4), expected[1])  # noqa: NPY002


@pytest.mark.parametrize("kind", ["float32", "float64", "uint8"])
def test_x_is_left_as_it_was(kind, rows):
    x = np.asfortranarray(rows.astype(kind))
    before = x.copy()
    small().fit(x).reconstruct(x)
    np.testing.assert_array_equal(x, before)


def test_threads_are_left_as_they_were(rows):
    before = torch.get_num_threads()
    small().fit(rows)
    assert torch.get_num_threads() == before


# -- small and odd ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 6), (2, 6), (7, 6), (50, 1), (1, 1), (33, 6)])
def test_few_rows_and_few_columns_work(shape):
    x = np.random.default_rng(0).normal(size=shape)
    ae = small(2, batch_size=16).fit(x)
    assert ae.transform(x).shape == (shape[0], 2)
    assert np.isfinite(ae.reconstruct(x)).all()
    assert all(np.isfinite(row["train_loss"]) for row in ae.history_)


def test_a_constant_column_comes_back():
    x = np.random.default_rng(0).normal(size=(60, 4))
    x[:, 2] = 1e6
    np.testing.assert_allclose(small().fit(x).reconstruct(x)[:, 2], 1e6, rtol=1e-5)


def test_rows_that_are_all_alike_come_back():
    x = np.full((20, 3), 7.0)
    np.testing.assert_allclose(small(1).fit(x).reconstruct(x), x, atol=0.1)


def test_more_components_than_columns_are_allowed(rows):
    ae = small(10).fit(rows)
    assert ae.transform(rows).shape == (120, 10)
    assert -ae.score(rows) < 1e-2


def test_every_row_counts_even_in_a_short_last_batch(rows):
    """With a rate of next to nothing, the mean training loss is the loss of all rows."""
    ae = small(network=MLP((8,), linear_skip=False), batch_size=50, epochs=1, validation_fraction=0.0)
    ae.set_params(learning_rate=1e-12).fit(rows)
    assert ae.history_[0]["train_loss"] == pytest.approx(-ae.score(rows), rel=1e-3)


@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_the_first_bad_value_is_named(bad, word, rows):
    x = rows.copy()
    x[17, 4] = x[30, 1] = bad
    with pytest.raises(DataError, match=rf"{word} \(the first in row 17, column 4\)"):
        small().fit(x)
    with pytest.raises(DataError, match=rf"{word} \(the first in row 17, column 4\)"):
        small().fit(rows).transform(x)
    images = x.reshape(-1, 2, 3)
    with pytest.raises(DataError, match=r"row 17, position \(1, 1\)"):
        small().fit(images)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros(5),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.array([["a", "b"]]),
        np.zeros((3, 2), dtype=complex),
        [[1, 2], [3]],
        None,
        "mnist",
        np.array([[{}, 1]], dtype=object),
    ],
    ids=["1-D", "no rows", "no columns", "text", "complex", "ragged", "None", "a name", "objects"],
)
def test_what_is_not_rows_of_numbers_is_refused_in_one_line(x):
    with pytest.raises((ValueError, TypeError)) as caught:
        small().fit(x)
    assert "\n" not in str(caught.value)


def test_rows_of_another_shape_are_refused(rows, digits, model):
    with pytest.raises(DataError, match="X has 5 features, but AutoEncoder is expecting 6"):
        small().fit(rows).transform(rows[:, :5])
    with pytest.raises(DataError, match=r"shape \(8, 7\), and the model was fitted on shape \(8, 8\)"):
        model.transform(digits.x[:, :, :7])
    with pytest.raises(DataError, match="codes have 4 columns, and this model's have 5"):
        model.inverse_transform(np.zeros((2, 4)))
    with pytest.raises(DataError, match="NaN"):
        model.inverse_transform(np.full((2, 5), np.nan))


# -- parameters ---------------------------------------------------------------------------------------------

WRONG = {
    "n_components": [0, -3, 2.5, "8", None, True, np.nan],
    "network": ["mpl", 3, None, (nn.Linear(6, 3),), (nn.Linear(6, 3), "decoder"), MLP],
    "objective": ["reconstuction", 1, None, Reconstruction],
    "scaling": ["minmax", None, 1],
    "epochs": [0, -1, 1.5, "many", None],
    "batch_size": [0, -1, 2.0, "big", None],
    "learning_rate": [0, -1e-3, "fast", None, float("nan"), float("inf")],
    "schedule": ["linear", None],
    "validation_fraction": [1, -0.1, "0.1", None, float("nan")],
    "patience": [0, -1, 1.5, "long"],
    "precision": ["float16", None, 32],
    "random_state": ["seed", -1, 2**70, 1.5],
    "device": ["gpu", "cuda:99", 3.5],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_wrong_parameter_is_named_with_what_it_must_be(name, value, rows):
    with pytest.raises(ParameterError) as caught:
        small(**{"k" if name == "n_components" else name: value}).fit(rows)
    text = str(caught.value)
    assert text.startswith(f"The '{name}' parameter of AutoEncoder ")
    assert "\n" not in text
    assert len(text) < 400
    if name != "device":
        assert re.search(r" must be .* Got .* instead\.$", text)


@pytest.mark.parametrize(
    "network", [MLP(hidden=8), MLP(hidden=(0,)), MLP(hidden="8"), MLP(activation="sine"), MLP(hidden=(1.5,))]
)
def test_a_wrong_parameter_of_the_network_is_named(network, rows):
    with pytest.raises(ParameterError, match=r"^The '(hidden|activation)' parameter of MLP must be .* Got "):
        small(network=network).fit(rows)


def test_every_parameter_is_tested_here():
    assert set(WRONG) == set(AutoEncoder().get_params(deep=False)) - {"verbose"}


# -- torch modules of one's own -----------------------------------------------------------------------------


def tutorial_modules():
    encoder = nn.Sequential(nn.Linear(784, 32), nn.LeakyReLU(), nn.Linear(32, 4))
    decoder = nn.Sequential(nn.Linear(4, 32), nn.LeakyReLU(), nn.Linear(32, 784), nn.Sigmoid())
    return encoder, decoder


class ConvEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=4)
        self.norm = nn.BatchNorm2d(4)
        self.out = nn.Linear(4 * 7 * 7, 4)

    def forward(self, x):
        return self.out(torch.relu(self.norm(self.conv(x))).flatten(1))


class ConvDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(4, 4 * 7 * 7)
        self.conv = nn.ConvTranspose2d(4, 1, 4, stride=4)

    def forward(self, z):
        return torch.sigmoid(self.conv(torch.relu(self.dense(z)).view(-1, 4, 7, 7)))


class FlattenEncoder(nn.Module):
    """Takes images and flattens them itself, as many do."""

    def __init__(self):
        super().__init__()
        self.stack = nn.Sequential(nn.Flatten(), nn.Linear(784, 4))

    def forward(self, x):
        return self.stack(x)


@pytest.fixture(scope="module")
def images():
    return (load("mnist-5k", "test").x)[:200]


PAIRS = {
    "dense": tutorial_modules,
    "conv": lambda: (ConvEncoder(), ConvDecoder()),
    "mixed": lambda: (FlattenEncoder(), ConvDecoder()),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_modules_of_ones_own_are_trained_and_left_untouched(pair, images):
    modules = pair()
    before = [{name: t.clone() for name, t in m.state_dict().items()} for m in modules]
    ae = small(4, network=modules, epochs=4, learning_rate=1e-2, validation_fraction=0.0).fit(images)
    assert ae.history_[-1]["train_loss"] < 0.8 * ae.history_[0]["train_loss"]
    assert ae.reconstruct(images).shape == images.shape
    np.testing.assert_array_equal(ae.inverse_transform(ae.transform(images)), ae.reconstruct(images))
    for module, state in zip(modules, before, strict=True):
        assert_same_weights(module.state_dict(), state)
        assert module.training


def test_training_starts_from_the_weights_that_modules_come_with(images):
    ae = small(4, network=tutorial_modules(), epochs=6, learning_rate=1e-2, validation_fraction=0.0).fit(
        images
    )
    further = small(4, network=(ae.network_.encoder, ae.network_.decoder), epochs=1).fit(images)
    assert further.history_[0]["train_loss"] < 0.8 * ae.history_[0]["train_loss"]


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ((nn.Linear(100, 4), nn.Linear(4, 784)), "encoder does not take samples of shape (28, 28)"),
        ((nn.Linear(784, 9), nn.Linear(4, 784)), "gives a code of shape (9,)"),
        ((nn.Linear(784, 4), nn.Linear(9, 784)), "decoder does not take codes of shape (4,)"),
        ((nn.Linear(784, 4), nn.Linear(4, 9)), "decoder gives 9 values a sample where 784 were expected"),
        ((nn.Flatten(0), nn.Linear(4, 784)), "encoder does not take"),
        ((nn.LSTM(784, 4), nn.Linear(4, 784)), "encoder"),
        ((nn.Linear(784, 4), nn.LSTM(4, 784)), "decoder"),
        ((nn.Identity(), nn.Identity()), "encoder"),
    ],
)
def test_modules_that_do_not_fit_are_refused_in_one_line(pair, words, images):
    with pytest.raises(ParameterError) as caught:
        small(4, network=pair).fit(images)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_modules_without_a_parameter_are_refused():
    with pytest.raises(ParameterError, match=r"nothing to train|no parameters"):
        small(2, network=(nn.Identity(), nn.Identity())).fit(np.zeros((5, 2)))


# -- training -----------------------------------------------------------------------------------------------


def test_each_epoch_is_reported_as_it_ends(rows):
    seen = []
    ae = small(epochs=4, validation_fraction=0.25).fit(rows, on_epoch=seen.append)
    assert seen == ae.history_
    assert [row["epoch"] for row in seen] == [1, 2, 3, 4]
    assert all(row.keys() >= {"train_loss", "validation_loss", "seconds"} for row in seen)
    assert all(row["validation_loss"] > 0 for row in seen)
    assert small(validation_fraction=0.0).fit(rows).history_[0]["validation_loss"] is None


def test_lines_are_shown_only_where_asked_for(rows, capsys):
    small(epochs=2).fit(rows)
    assert capsys.readouterr() == ("", "")
    small(epochs=2, verbose=True).fit(rows)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2
    assert out[1].startswith("epoch 2/2   loss 0.")


def test_patience_stops_a_run_that_no_longer_betters_itself(rows):
    noise = np.random.default_rng(0).normal(size=(60, 6))
    ae = small(epochs=300, patience=3, learning_rate=0.05, validation_fraction=0.3, schedule="constant").fit(
        noise
    )
    assert len(ae.history_) < 100


DIVERGES = {"network": MLP((8,), "relu", linear_skip=False), "learning_rate": 1e20, "schedule": "constant"}


def raise_in_on_epoch(row):
    raise RuntimeError("stop here")


@pytest.mark.parametrize(
    ("parameters", "x", "on_epoch", "error"),
    [
        (DIVERGES, None, None, TrainingError),
        ({"epochs": 0}, None, None, ParameterError),
        ({"n_components": 2, "objective": "none such"}, None, None, ParameterError),
        ({"objective": Reconstruction(loss="bce"), "scaling": "standard"}, None, None, ParameterError),
        ({}, np.full((20, 4), np.nan), None, DataError),
        ({}, np.ones((20, 3, 3)) * np.inf, None, DataError),
        ({}, [["a", "b"]], None, DataError),
        ({}, None, raise_in_on_epoch, RuntimeError),
    ],
    ids=["diverges", "parameter", "objective", "loss", "values", "shape", "words", "on_epoch"],
)
@pytest.mark.parametrize("fitted", [False, True])
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(
    fitted, parameters, x, on_epoch, error, rows, tmp_path
):
    ae = small()
    if fitted:
        ae.fit(rows)
        codes = ae.transform(rows)
    before = {name: value for name, value in vars(ae).items() if name.endswith("_")}
    ae.set_params(**parameters)
    with pytest.raises(error) as caught:
        ae.fit(rows if x is None else x, on_epoch=on_epoch)
    assert "\n" not in str(caught.value)
    after = {name: value for name, value in vars(ae).items() if name.endswith("_")}
    assert after == before
    if not fitted:
        for name in ("network_", "sample_shape_", "n_features_in_", "history_", "columns_"):
            assert not hasattr(ae, name)
        with pytest.raises(NotFittedError):
            ae.transform(rows)
        with pytest.raises(NotFittedError):
            ae.save(tmp_path / "m.ae")
        return
    np.testing.assert_array_equal(ae.transform(rows), codes)
    assert not ae.network_.training
    ae.save(tmp_path / "m.ae")
    np.testing.assert_array_equal(AutoEncoder.load(tmp_path / "m.ae").transform(rows), codes)


def test_a_refit_that_fails_leaves_the_columns_of_a_mixed_table(rows):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"color": ["red", "blue"] * 20, "size": np.arange(40.0)})
    ae = small(epochs=2).fit(frame)
    codes = ae.transform(frame)
    with pytest.raises(DataError):
        ae.fit(np.full((20, 4), np.nan))
    np.testing.assert_array_equal(ae.transform(frame), codes)
    assert list(ae.reconstruct(frame).columns) == ["color", "size"]


@pytest.mark.parametrize("message", ["CUDA out of memory. Tried to allocate", "not enough memory: you tried"])
def test_memory_that_runs_out_is_not_damage(message, rows, tmp_path, monkeypatch):
    ae = small(epochs=1).fit(rows)
    ae.save(tmp_path / "m.ae")

    def full(*_, **__):
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr("codeword.model.folder.make_network", full)
        with pytest.raises(RuntimeError, match="memory") as caught:
            AutoEncoder.load(tmp_path / "m.ae")
    assert not isinstance(caught.value, ModelError)
    run = small(epochs=3)

    def stop(row):
        if row["epoch"] == 2:
            raise OSError("the machine goes down")

    with pytest.raises(OSError, match="goes down"):
        run.fit(rows, checkpoint=tmp_path / "c", on_epoch=stop)
    monkeypatch.setattr("codeword.training.loop.FlatAdam.restore", full)
    with pytest.raises(RuntimeError, match="memory") as caught:
        run.fit(rows, checkpoint=tmp_path / "c", resume=True)
    assert not isinstance(caught.value, ModelError)


@pytest.mark.parametrize("container", ["pandas", "default"])
def test_codes_that_were_cut_and_indices_have_names_of_their_own(container, rows):
    pandas = pytest.importorskip("pandas")
    kind = pandas.DataFrame if container == "pandas" else np.ndarray
    nested = small(objective="nested", epochs=1).fit(rows).set_output(transform=container)
    codes, cut = nested.transform(rows), nested.transform(rows, k=2)
    assert isinstance(cut, kind)
    assert cut.shape == (len(rows), 2)
    np.testing.assert_array_equal(np.asarray(codes)[:, :2], cut)
    if container == "pandas":
        assert list(cut.columns) == list(codes.columns)[:2] == list(nested.get_feature_names_out())[:2]
    quantized = small(4, objective="vector_quantized", epochs=1).fit(rows).set_output(transform=container)
    found = quantized.transform(rows, indices=True)
    assert isinstance(found, kind)
    np.testing.assert_allclose(
        quantized.inverse_transform(found, indices=True), quantized.reconstruct(rows), atol=1e-4
    )


@pytest.mark.parametrize("method", ["ema", "finite", "residual"])
def test_indices_that_are_none_are_refused_by_row_and_column(method, rows):
    ae = small(4, objective=VectorQuantized(method=method), epochs=1).fit(rows)
    found = ae.transform(rows[:4], indices=True)
    for value in (-1, 10**6):
        bad = found.copy()
        bad[2, 0] = value
        with pytest.raises(DataError, match=rf"row 2, column 0: there is no entry {value}"):
            ae.inverse_transform(bad, indices=True)
    with pytest.raises(DataError, match=r"must have the shape \(n, |codes have"):
        ae.inverse_transform(np.hstack([found, found]), indices=True)
    with pytest.raises(DataError, match="whole numbers"):
        ae.inverse_transform(found.astype(float), indices=True)


@pytest.mark.parametrize("when", ["on_epoch", "mid-epoch"])
def test_an_interrupt_leaves_a_fitted_estimator(when, rows, monkeypatch):
    ae = small(epochs=50)
    calls = []

    def interrupt(*_):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    if when == "mid-epoch":
        monkeypatch.setattr("codeword.base.progress.Progress.rows", interrupt)
    with pytest.warns(UserWarning, match=r"interrupted after \d of 50 epochs"):
        ae.fit(rows, on_epoch=interrupt if when == "on_epoch" else None)
    assert len(ae.history_) < 50
    assert not ae.network_.training
    np.testing.assert_array_equal(ae.inverse_transform(ae.transform(rows)), ae.reconstruct(rows))


def test_an_error_in_on_epoch_is_the_callers_own(rows):
    def fail(row):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        small().fit(rows, on_epoch=fail)


# -- is it any good? ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2])
def test_the_default_beats_pca_where_data_are_curved(k, curve):
    train, test = curve[:800], curve[800:]
    ae = AutoEncoder(k, random_state=0).fit(train)
    scaled = (test - train.mean(axis=0)) / train.std(axis=0)
    pca = PCA(k).fit((train - train.mean(axis=0)) / train.std(axis=0))
    error = np.mean((scaled - pca.inverse_transform(pca.transform(scaled))) ** 2)
    assert -ae.score(test) < (0.5 if k == 1 else 1.05) * error


def test_the_default_is_no_worse_than_pca_on_few_rows_of_noise():
    x = np.random.default_rng(0).normal(size=(60, 8))
    ae = AutoEncoder(4, random_state=0, epochs=20).fit(x)
    pca = ae.baseline_
    error = np.mean(((x - pca.inverse_transform(pca.transform(x))) / x.std(axis=0)) ** 2)
    assert -ae.score(x) <= 1.02 * error


def test_no_warning_is_given_on_the_way(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AutoEncoder(2, epochs=1).fit(rows).reconstruct(rows)


@pytest.mark.parametrize("value", [1e42, 1e300, 3e38])
def test_a_value_of_which_no_code_comes_is_named(rows, value):
    ae = AutoEncoder(2, network=MLP(hidden=(8,)), epochs=1, random_state=0, device="cpu").fit(rows)
    bad = np.array(rows[:9], dtype=np.float64)
    bad[7].flat[1] = value
    if value > 1e40:
        for function in (ae.transform, ae.reconstruct, ae.score_samples):
            with pytest.raises(DataError, match=r"row 7 holds a value as large as .*e\+"):
                function(bad)
    else:  # a code comes of it, and an error that is too large for a number: as unusual as can be
        assert np.isfinite(ae.transform(bad)).all()
        assert ae.score_samples(bad)[7] == -np.inf


def test_weights_that_are_tied_stay_tied(rows, tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self, encoder):
            super().__init__()
            self.weight, self.bias = encoder.weight, torch.nn.Parameter(torch.zeros(6))

        def forward(self, z):
            return z @ self.weight + self.bias

    pair = (encoder := torch.nn.Linear(6, 2), Tied(encoder))
    ae = AutoEncoder(2, network=pair, epochs=2, random_state=0, device="cpu").fit(rows)
    assert sum(p.numel() for p in ae.network_.parameters()) == 6 * 2 + 2 + 6
    ae.save(tmp_path / "m.ae")
    again = AutoEncoder.load(tmp_path / "m.ae", network=pair, device="cpu")
    np.testing.assert_array_equal(again.reconstruct(rows), ae.reconstruct(rows))


def test_a_dataset_of_torch_is_refused_in_one_line(rows):
    data = torch.utils.data.TensorDataset(torch.from_numpy(rows))
    for given in (data, torch.utils.data.DataLoader(data)):
        with pytest.raises(DataError, match=r"is not rows: give the tensor .* dataset\.tensors\[0\]"):
            AutoEncoder(2, epochs=1).fit(given)
