import functools
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from codeword import MLP, AutoEncoder, Data, Masked, OutlierDetector
from codeword.base.errors import DataError, ModelError, ParameterError
from codeword.objectives import OBJECTIVES
from codeword.tasks import detect as detection
from codeword.tasks.detect import NeighborDistance, decoder_map, needed, p_values, rank, threshold, typical

MIX = np.array([[1, 1, 1, 0, 0.5, -0.5], [0, 1, -1, 1, 0.5, 0.5]])


def table(n, seed, spread=1.0):
    """Rows of six columns near a plane."""
    rng = np.random.default_rng(seed)
    return spread * rng.normal(size=(n, 2)) @ MIX + rng.normal(scale=0.1, size=(n, 6))


def small(k=2, **parameters):
    given = {"network": MLP(hidden=(8,)), "epochs": 2, "batch_size": 64, "device": "cpu"}
    return AutoEncoder(k, **given | parameters)


def detect(model=None, **parameters):
    return OutlierDetector(model or small(), **{"random_state": 0} | parameters)


@pytest.fixture(scope="module")
def fitted():
    """A detector of 1,000 rows. It is shared: do not fit it again."""
    return detect().fit(table(1000, 0))


# -- scikit-learn's manners ---------------------------------------------------------------------------------


@parametrize_with_checks([detect(small(1), max_false_alarms=0.2)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_the_constructor_only_stores():
    detector = OutlierDetector("model", contamination=-1, n_neighbors="few")
    assert vars(detector) == detector.get_params(deep=False)
    assert (detector.model, detector.contamination, detector.n_neighbors) == ("model", -1, "few")


def test_parameters_of_the_model_can_be_set_and_cloned():
    detector = detect().set_params(model__epochs=3, model__network__hidden=(4,), contamination=0.1)
    copy = clone(detector)
    assert copy.model is not detector.model
    assert (copy.model.epochs, copy.model.network.hidden, copy.contamination) == (3, (4,), 0.1)
    assert copy.get_params()["model__n_components"] == 2


def test_the_model_given_is_left_as_it_was():
    model = small(random_state=None)
    detector = detect(model).fit(table(250, 0))
    assert detector.model is model
    assert model.random_state is None
    assert not hasattr(model, "network_")


def test_the_same_seed_gives_the_same_scores_and_touches_no_global_state():
    x, new = table(200, 0), table(50, 1)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = detect().fit(x).score_samples(new)
    drawn = np.random.rand(2), torch.rand(2)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    np.testing.assert_array_equal(drawn[0], np.random.rand(2))  # noqa: NPY002
    assert torch.equal(drawn[1], torch.rand(2))
    np.testing.assert_array_equal(detect().fit(x).score_samples(new), before)
    assert not np.array_equal(detect(random_state=1).fit(x).score_samples(new), before)


# -- p-values -----------------------------------------------------------------------------------------------


def test_false_alarms_are_as_many_as_were_allowed():
    """Over 40 data sets; the share of one spreads by sqrt(a (1 - a) (1 / n + 1 / m)) around the level."""
    levels, n, m = np.array([0.05, 0.2, 0.5]), 60, 200
    shares = []
    for seed in range(40):
        detector = detect(small(epochs=1), random_state=seed, max_false_alarms=0.05).fit(table(300, seed))
        assert len(detector.calibration_scores_) == n
        p = detector.p_values(table(m, 1000 + seed))
        assert (detector.predict(table(m, 1000 + seed)) == np.where(p <= 0.05, -1, 1)).all()
        shares.append([(p <= level).mean() for level in levels])
    expected = np.array([rank(level, n) / (n + 1) for level in levels])
    spread = np.sqrt(expected * (1 - expected) * (1 / n + 1 / m) / len(shares))
    assert (np.abs(np.mean(shares, axis=0) - expected) < 4 * spread).all()


def test_rows_that_are_often_alike_raise_no_more_false_alarms():
    """Ties make p-values larger, never smaller: few patterns of flags, so that most scores are shared."""
    rng = np.random.default_rng(0)
    x = (rng.random((3000, 4)) < 0.2).astype(float)
    model = small(2).fit(x[:500])
    shares = []
    for start in range(500, 2900, 100):
        detector = OutlierDetector.from_model(model, x[start : start + 60], max_false_alarms=0.1)
        shares.append((detector.p_values(x[start + 60 : start + 100]) <= 0.1).mean())
    assert np.mean(shares) < 0.1 + 4 * np.sqrt(0.09 * (1 / 60 + 1 / 40) / len(shares))


def test_a_p_value_counts_the_calibration_rows_at_most_as_usual():
    scores = np.array([-9.0, -4.0, -4.0, -1.0])
    np.testing.assert_allclose(
        p_values(scores, np.array([-10.0, -9.0, -5.0, -4.0, 0.0])) * 5, [1, 2, 2, 4, 5]
    )


@pytest.mark.parametrize("level", [0.01, 0.05, 0.07, 0.29, 0.5, 1 / 3, 0.58])
def test_the_threshold_is_where_p_values_come_to_the_level(level):
    rng = np.random.default_rng(0)
    for n in [*range(1, 30), 99, 100, 199]:
        known = np.sort(rng.integers(0, 20, n).astype(float))
        scores = np.linspace(-1, 21, 89)
        found = scores < threshold(known, level)
        np.testing.assert_array_equal(found, p_values(known, scores) <= level)
        assert found.any() == (n >= needed(level))


def test_as_many_rows_are_held_out_as_the_level_needs():
    assert needed(0.01) == 99
    assert len(detect(max_false_alarms=0.01).fit(table(250, 0)).calibration_scores_) == 99
    assert len(detect(max_false_alarms=0.05).fit(table(250, 0)).calibration_scores_) == 50
    assert len(detect(calibration_fraction=0.4).fit(table(250, 0)).calibration_scores_) == 100


def test_too_few_rows_for_the_level_are_warned_of():
    expected = (
        r"rate of 0.01 cannot be reached: with 20 calibration rows no .* = 0.0476; give at least 99 such"
    )
    with pytest.warns(UserWarning, match=expected):
        detector = detect().fit(table(40, 0))
    assert detector.offset_ == -np.inf
    assert (detector.predict(table(10, 1, spread=50)) == 1).all()
    assert np.isclose(detector.p_values(table(10, 1, spread=50)), 1 / 21).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a share of the rows needs no p-value
        assert (detect(contamination=0.1).fit_predict(table(40, 0)) == -1).sum() == 4


# -- is it any good? ----------------------------------------------------------------------------------------


def test_rows_off_the_plane_are_found_by_their_errors(fitted):
    off = table(200, 1)
    off[:, 1] *= -1
    found = fitted.explain(np.concatenate([table(200, 2), off]))
    assert (found.p_values[200:] <= 0.01).mean() > 0.5
    assert (found.p_values[:200] <= 0.01).mean() < 0.05
    assert roc_auc_score(np.arange(400) >= 200, found.errors) > 0.9


def test_rows_far_out_on_the_plane_are_found_by_their_codes(fitted):
    """The decoder reaches them, so their errors alone say little."""
    rng = np.random.default_rng(3)
    angles = rng.uniform(0, 2 * np.pi, 200)
    far = 7 * np.stack([np.cos(angles), np.sin(angles)], axis=1) @ MIX + rng.normal(scale=0.1, size=(200, 6))
    usual = table(200, 2)
    linear = detect(small(2, network=MLP(hidden=()))).fit(table(1000, 0))
    y, found = np.arange(400) >= 200, linear.explain(np.concatenate([usual, far]))
    assert roc_auc_score(y, found.errors) < 0.7
    assert roc_auc_score(y, found.rarity) > 0.99
    assert roc_auc_score(y, -found.scores) > 0.99
    assert (found.p_values[200:] <= 0.01).mean() > 0.95


def test_where_every_reconstruction_is_exact_any_error_stands_out():
    x = np.random.default_rng(0).normal(size=(600, 1)) * [1, 2, 3, 4]
    detector = detect(small(1)).fit(x)
    assert list(detector.predict([[1, 2, 3, 4], [1, 2, -3, 4], [1, 2, 3, 4.1]])) == [1, -1, -1]


def test_a_digit_of_another_kind_is_found(digits):
    """Fitted on zeros with the default model: an eight-number code at most."""
    zeros = digits.x[digits.y == 0]
    detector = OutlierDetector(AutoEncoder(8, epochs=10), max_false_alarms=0.05, random_state=0).fit(zeros)
    others = digits.x[digits.y != 0]
    assert (detector.predict(others) == -1).mean() > 0.95


def test_contributions_name_the_column_that_was_spoiled(fitted):
    x = table(50, 1)
    x[np.arange(50), np.arange(50) % 6] += 5
    shares = fitted.contributions(x)
    assert shares.shape == (50, 6)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert (shares.argmax(axis=1) == np.arange(50) % 6).mean() > 0.9
    squares = ((x - fitted.model_.reconstruct(x)) / fitted.model_.scaling_.scale) ** 2
    np.testing.assert_allclose(shares, squares / squares.sum(axis=1, keepdims=True), atol=1e-4)
    found = fitted.explain(x, top=2)
    np.testing.assert_array_equal(found.features, np.argsort(-shares, axis=1)[:, :2])
    np.testing.assert_array_equal(found.shares, np.sort(shares, axis=1)[:, :-3:-1])


@pytest.mark.parametrize("share", [0.004, 0.01, 0.1, 1 / 3, 0.5])
def test_a_contamination_is_the_share_of_rows_called_outliers(share):
    x = table(300, 0)
    predicted = detect(contamination=share).fit(x).predict(x)
    assert (predicted == -1).sum() == round(300 * share)


def test_the_default_model_has_half_as_many_numbers_as_columns(monkeypatch):
    monkeypatch.setattr(detection, "AutoEncoder", functools.partial(AutoEncoder, epochs=1))
    for d, k in ((1, 1), (2, 1), (5, 3), (40, 8)):
        x = np.random.default_rng(0).normal(size=(30, d))
        detector = OutlierDetector(max_false_alarms=0.2, random_state=0).fit(x)
        assert detector.model_.n_components == k
        assert detector.model is None


# -- a model that is there already --------------------------------------------------------------------------


def test_from_a_model_is_as_fitted(fitted):
    x, new = table(1000, 0), table(100, 1)
    again = OutlierDetector.from_model(fitted.model_, x[fitted.calibration_indices_])
    np.testing.assert_allclose(again.calibration_scores_, fitted.calibration_scores_, rtol=1e-4)
    np.testing.assert_allclose(again.p_values(new), fitted.p_values(new), atol=0.01)
    assert again.offset_ == pytest.approx(fitted.offset_, rel=1e-4)


def test_a_saved_model_scores_as_the_one_in_memory(fitted, tmp_path):
    fitted.model_.save(tmp_path / "m.ae")
    one = OutlierDetector.from_model(fitted.model_, max_false_alarms=0.05)
    other = OutlierDetector.from_model(
        AutoEncoder.load(tmp_path / "m.ae", device="cpu"), max_false_alarms=0.05
    )
    new = table(100, 1)
    np.testing.assert_array_equal(other.score_samples(new), one.score_samples(new))
    np.testing.assert_array_equal(other.p_values(new), one.p_values(new))


def test_rows_that_a_model_held_out_calibrate_it():
    shares = []
    for seed in range(10):
        model = small(validation_fraction=0.25, random_state=seed).fit(table(400, seed))
        detector = OutlierDetector.from_model(model, max_false_alarms=0.1)
        assert len(detector.calibration_scores_) == 100
        shares.append((detector.p_values(table(400, 100 + seed)) <= 0.1).mean())
    assert abs(np.mean(shares) - 0.1) < 4 * np.sqrt(0.09 * (1 / 100 + 1 / 400) / len(shares))


def test_what_cannot_calibrate_is_refused():
    x = table(100, 0)
    model = small(validation_fraction=0.0).fit(x)
    with pytest.raises(ModelError, match=r"held no rows out .* calibration= "):
        OutlierDetector.from_model(model)
    assert OutlierDetector.from_model(model, table(99, 1)).offset_ > -np.inf
    with pytest.raises(ParameterError, match=r"rate of 0.01 cannot be reached: with 98 .* at least 99 such"):
        OutlierDetector.from_model(model, table(98, 1))
    with pytest.raises(DataError, match="X has 5 features, but OutlierDetector is expecting 6"):
        OutlierDetector.from_model(model, x[:, :5])
    with pytest.raises(NotFittedError):
        OutlierDetector.from_model(small())
    with pytest.raises(ParameterError, match="'model' parameter of OutlierDetector must be an AutoEncoder"):
        OutlierDetector.from_model("m.ae")
    with pytest.raises(ParameterError, match="Got None"):
        OutlierDetector.from_model(None)
    model.model_ = replace(model.model_, training_codes=None)
    with pytest.raises(ModelError, match="train it again"):
        OutlierDetector.from_model(model, x)


# -- what goes in -------------------------------------------------------------------------------------------


def test_arrays_frames_tensors_and_memory_maps_score_alike(tmp_path):
    x, new = table(200, 0).astype(np.float32), table(30, 1).astype(np.float32)
    names = list("abcdef")
    scores = detect().fit(x).score_samples(new)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(detect().fit(mapped).score_samples(new), scores)
    np.testing.assert_array_equal(detect().fit(torch.from_numpy(x)).score_samples(new.tolist()), scores)
    frame = detect().fit(pd.DataFrame(x, columns=names))
    np.testing.assert_array_equal(frame.score_samples(pd.DataFrame(new, columns=names)), scores)
    np.testing.assert_array_equal(frame.score_samples(Data(new, names=tuple(names))), scores)
    assert list(frame.feature_names_in_) == list(frame.model_.feature_names_in_) == names
    with pytest.raises(DataError, match="'b' stands where 'a' was"):
        frame.predict(Data(new, names=tuple("bacdef")))
    assert not hasattr(frame.fit(x), "feature_names_in_")


def test_rows_are_scored_some_at_a_time(fitted):
    x = np.tile(table(1000, 1), (9, 1))
    parts = list(fitted.scan(x, top=1))
    assert [len(part.scores) for part in parts] == [4096, 4096, 808]
    one = 1 / (1 + len(fitted.calibration_scores_))  # a row as usual as one of them may fall to either side
    np.testing.assert_allclose(
        np.concatenate([p.p_values for p in parts]), fitted.p_values(x), atol=1.01 * one
    )
    np.testing.assert_allclose(fitted.explain(x, top=1).scores, fitted.score_samples(x), rtol=1e-4)
    assert fitted.explain(x[:3], top=99).features.shape == (3, 6)
    assert fitted.explain(x[:3], top=0).shares.shape == (3, 0)


def test_images_keep_their_shape(digits, model):
    detector = OutlierDetector.from_model(model, digits.x[300:500])
    shares = detector.contributions(digits.x[500:520])
    assert shares.shape == (20, 8, 8)
    np.testing.assert_array_equal(detector.contributions(digits.x[500:520].reshape(20, 64)), shares[:, :])
    spoiled = digits.x[500:501].copy()
    spoiled[0, 0, 0] = 1.0
    assert detector.contributions(spoiled)[0].argmax() == 0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_model_of_any_objective_serves(objective, digits):
    x = digits.x[:240]
    model = small(4, objective=objective, validation_fraction=0.25, random_state=0).fit(x)
    detector = OutlierDetector.from_model(model, max_false_alarms=0.05)
    found = detector.explain(np.concatenate([digits.x[240:300], 1 - digits.x[240:300]]))
    assert np.isfinite(found.scores).all()
    assert (found.rarity > 0).any()
    assert roc_auc_score(np.arange(120) >= 60, -found.scores) > 0.9


def test_a_missing_value_is_no_part_of_the_error():
    x = table(300, 0)
    x[::3, 2] = np.nan
    detector = detect(small(objective=Masked(missing="mask")), max_false_alarms=0.05).fit(x)
    assert np.isfinite(detector.score_samples(x)).all()
    assert (detector.contributions(x)[::3, 2] == 0).all()
    assert detector.contributions(x)[1::3, 2].max() > 0


def test_a_row_beyond_all_numbers_is_the_most_unusual(fitted):
    x = table(3, 0)
    x[1, 4] = 1e30
    found = fitted.explain(x, top=1)
    assert np.isfinite(found.scores).all()
    assert found.scores.argmin() == 1
    assert found.p_values[1] == 1 / (1 + len(fitted.calibration_scores_))
    assert fitted.decision_function(x)[1] < 0
    assert np.isfinite(fitted.contributions(x)).all()


@pytest.mark.parametrize("x", [np.full((40, 3), 7.0), np.repeat(np.eye(3), 20, axis=0), np.zeros((2, 1))])
def test_rows_that_are_all_or_often_alike_work(x):
    detector = detect(small(1), max_false_alarms=0.5).fit(x)
    assert np.isfinite(detector.score_samples(x)).all()
    assert ((detector.p_values(x) > 0) & (detector.p_values(x) <= 1)).all()
    assert detector.score_samples(x[:1] + 100)[0] < detector.calibration_scores_[0]


def test_rows_that_cannot_be_fitted_are_refused():
    x = table(200, 0)
    x[123, 4] = np.nan
    with pytest.raises(DataError, match=r"NaN \(the first in row 123, column 4\)"):
        detect().fit(x)
    with pytest.raises(DataError, match=r"NaN \(the first in row 123, column 4\)"):
        detect().fit(table(200, 0)).predict(x)
    with pytest.raises(DataError, match="1 sample: give at least 2"):
        detect().fit(x[:1])
    with pytest.raises(NotFittedError):
        detect().predict(x)


WRONG = {
    "model": [AutoEncoder, "digits.ae", 3],
    "contamination": [0, 0.51, -0.1, "some", None, True, float("nan")],
    "max_false_alarms": [0, 1, -0.1, "0.01", None, float("nan")],
    "calibration_fraction": [0, 1, 2, None],
    "n_neighbors": [0, 2.5, None, True],
    "random_state": [-1, "seed", 1.5, 2**32],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_wrong_parameter_is_named_with_what_it_must_be(name, value):
    with pytest.raises(ParameterError, match=rf"^The '{name}' parameter of OutlierDetector must be .* Got "):
        OutlierDetector(**{name: value}).fit(table(20, 0))


def test_every_parameter_is_tested_here(fitted):
    assert set(WRONG) == set(OutlierDetector().get_params(deep=False))
    with pytest.raises(ParameterError, match="top must be a whole number"):
        fitted.scan(table(3, 0), top=-1)


# -- rarity -------------------------------------------------------------------------------------------------


def rarity_of(codes, decoded, new):
    rarity = NeighborDistance(codes, decoder_map(codes, [decoded[:70], decoded[70:]]), 4)
    return rarity(new) / rarity.typical


def test_rarity_is_the_same_whatever_the_encoder_does_to_the_codes():
    """Stretched, turned and shifted codes with a decoder that undoes it are the same codes."""
    rng = np.random.default_rng(0)
    codes, new = rng.normal(size=(300, 3)), 2 * rng.normal(size=(50, 3))
    decoded = codes @ rng.normal(size=(3, 20)) + rng.normal(scale=0.01, size=(300, 20))
    turn = rng.normal(size=(3, 3)) * [1, 10, 100]
    one = rarity_of(codes, decoded, new)
    other = rarity_of(codes @ turn + [5, 0, -7], decoded, new @ turn + [5, 0, -7])
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_number_that_the_decoder_ignores_is_ignored():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(300, 3))
    decoded = codes[:, :2] @ rng.normal(size=(2, 20))
    far_in_nothing, far = np.array([[0.0, 0, 50]]), np.array([[50.0, 0, 0]])
    assert rarity_of(codes, decoded, far_in_nothing) < 1
    assert rarity_of(codes, decoded, far) > 100


def test_rarity_is_the_mean_squared_distance_of_reconstructions():
    rng = np.random.default_rng(0)
    codes, new = rng.normal(size=(100, 3)), rng.normal(size=(5, 3))
    decoder = rng.normal(size=(3, 10))
    rarity = NeighborDistance(codes, decoder_map(codes, [codes @ decoder]), 4)
    squares = (((new[:, None] - codes) @ decoder) ** 2).mean(axis=2)
    np.testing.assert_allclose(rarity(new), np.sort(squares, axis=1)[:, :4].mean(axis=1), rtol=1e-9)
    known = (((codes[:, None] - codes) @ decoder) ** 2).mean(axis=2)
    assert rarity.typical == pytest.approx(np.quantile(np.sort(known, axis=1)[:, 1:5].mean(axis=1), 0.9))
    assert list(rarity(np.full((1, 3), np.nan))) == [np.inf]


def test_what_is_usual_can_be_divided_by():
    assert typical(np.arange(11.0)) == 9
    assert typical(np.array([0.0] * 19 + [40.0])) == 2
    assert 0 < typical(np.zeros(3)) < 1e-9
