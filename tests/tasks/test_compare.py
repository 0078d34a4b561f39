"""Comparisons: what a row says can be found by hand, and a stop at any moment changes none of them."""

import errno
import itertools
import json
import math
import os

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from codeword import MLP, AutoEncoder, Data, Masked, Nested, Reconstruction, Variational, compare, plots
from codeword.base import files
from codeword.base.errors import DataError, InputError, ParameterError, TrainingError
from codeword.model.fitted import FittedModel
from codeword.plots.style import new_figure
from codeword.tasks import compare as comparing
from codeword.tasks.compare import Comparison, elbow
from codeword.training import checkpoint

TINY = {"network": MLP(hidden=(8,)), "epochs": 3, "batch_size": 64, "device": "cpu"}
FILES = ["comparison.csv", "comparison.png", "results.jsonl", "settings.json"]


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(150, 6)).cumsum(axis=1).astype(np.float32)


@pytest.fixture
def fits(monkeypatch):
    """The objective, k and seed of each training that was begun."""
    begun = []
    fit = AutoEncoder.fit

    def counted(self, *args, **more):
        begun.append((type(self.objective).__name__.lower(), self.n_components, self.random_state))
        return fit(self, *args, **more)

    monkeypatch.setattr(AutoEncoder, "fit", counted)
    return begun


@pytest.fixture
def small_picture(monkeypatch):
    """Drawing takes longer than training here."""
    monkeypatch.setattr(plots, "comparison_figure", lambda rows, recommended: new_figure(1, 1))


def models(found):
    return [row for row in found.rows if row["objective"] != "pca"]


def results(found):
    """The rows without the time they took."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found.rows]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Killed(BaseException):
    """Nothing catches it: what is on disk at that moment is all that is left."""


def stop_after(rows):
    def on_row(row, done, total):
        if done == rows and row["objective"] != "pca":
            raise Killed

    return on_row


# -- the metrics --------------------------------------------------------------------------------------------


def test_a_row_is_what_one_finds_by_hand(digits):
    train, test = digits[:300], digits[300:400]
    found = compare(train, test=test, k=(2, 6), seeds=2, **TINY)
    assert [(row["objective"], row["k"], row["seed"]) for row in found.rows] == [
        *[("reconstruction", k, seed) for k in (2, 6) for seed in (0, 1)],
        *[("pca", k, None) for k in (2, 6)],
    ]
    row = found.rows[3]
    ae = AutoEncoder(6, random_state=1, **TINY).fit(train)
    assert row["mse"] == pytest.approx(-ae.score(test), rel=1e-5)
    spread = ((test.x - test.x.mean(axis=0)) ** 2).mean()
    assert row["explained_variance"] == pytest.approx(1 - row["mse"] / spread, rel=1e-5)
    nearest = KNeighborsClassifier(5).fit(ae.transform(train), train.y)
    assert row["knn_accuracy"] == pytest.approx(nearest.score(ae.transform(test), test.y), abs=0.011)
    assert row["epochs"] == 3
    assert row["seconds"] == pytest.approx(sum(epoch["seconds"] for epoch in ae.history_), abs=1)
    assert row["failed"] is None


def test_the_rows_of_pca_are_scikit_learns(digits):
    train, test = digits[:300], digits[300:400]
    found = compare(train, test=test, k=(2, 6), objectives=("nested", "reconstruction"), seeds=1, **TINY)
    for row in found.rows[-2:]:
        assert row["objective"] == "pca"
        pca = PCA(row["k"]).fit(train.x.reshape(300, -1))
        flat = test.x.reshape(100, -1)
        error = np.mean((pca.inverse_transform(pca.transform(flat)) - flat) ** 2)
        assert row["mse"] == pytest.approx(error, rel=1e-4)
        nearest = KNeighborsClassifier(5).fit(pca.transform(train.x.reshape(300, -1)), train.y)
        assert row["knn_accuracy"] == pytest.approx(nearest.score(pca.transform(flat), test.y), abs=0.011)


def test_the_error_falls_with_k(digits):
    found = compare(digits[:300], k=(16, 2, 4, 2, 8), seeds=1, **TINY)
    rows = models(found)
    assert [row["k"] for row in rows] == [2, 4, 8, 16]
    assert all(a["mse"] > b["mse"] for a, b in itertools.pairwise(rows))
    assert all(a["knn_accuracy"] < b["knn_accuracy"] for a, b in itertools.pairwise(rows[:2]))


def test_a_curve_needs_fewer_numbers_than_pca_says(curve):
    found = compare(curve, k=(1, 2), seeds=1, network=MLP((64, 32)), epochs=60, learning_rate=0.01)
    one, two, pca_one, _ = found.rows
    assert one["mse"] < 0.5 * pca_one["mse"]
    assert two["mse"] < 0.01
    assert one["knn_accuracy"] is None


def test_an_objective_that_orders_its_codes_is_trained_once_a_seed(x, fits):
    found = compare(x[:120], k=(1, 2, 4), objectives=[Nested()], seeds=2, test=(x[120:], None), **TINY)
    assert fits == [("nested", 4, 0), ("nested", 4, 1)]
    ae = AutoEncoder(4, objective=Nested(), random_state=1, **TINY).fit(x[:120])
    errors = [row["mse"] for row in models(found) if row["seed"] == 1]
    np.testing.assert_allclose(errors, ae.error_curve(x[120:])[[0, 1, 3]], rtol=1e-5)


def test_parameters_and_objectives_reach_the_estimator(x, fits):
    objectives = ["variational", Variational(beta=4), Reconstruction(), "reconstruction"]
    found = compare(x, k=2, objectives=objectives, seeds=1, epochs=1, network="mlp")
    assert [row["objective"] for row in found.rows] == [
        "variational", "variational(beta=4)", "reconstruction", "pca",
    ]  # fmt: skip
    assert [row["epochs"] for row in models(found)] == [1, 1, 1]
    assert found.rows[0]["mse"] != found.rows[1]["mse"]


def test_an_objective_of_ones_own_is_compared_too(x):
    class Doubled(Reconstruction):
        def losses(self, network, x):
            return {"error": 2 * super().losses(network, x)["error"]}

    found = compare(x, k=2, objectives=[Doubled()], seeds=1, **TINY)
    assert models(found)[0]["objective"] == "Doubled()"


# -- what is held out ---------------------------------------------------------------------------------------


def test_a_fifth_is_held_out_from_every_training(monkeypatch):
    x = np.arange(100, dtype=np.float64)[:, None] * np.ones((1, 3))
    seen = []
    fit = AutoEncoder.fit

    def watched(self, data, **more):
        seen.append(set(np.asarray(data.x)[:, 0]))
        return fit(self, data, **more)

    judged = []
    judge = comparing.reconstruct_all

    def judge_watched(codecs, rows, *args, **more):
        judged.append(set(np.asarray(rows)[:, 0]))
        return judge(codecs, rows, *args, **more)

    monkeypatch.setattr(AutoEncoder, "fit", watched)
    monkeypatch.setattr(comparing, "reconstruct_all", judge_watched)
    found = compare(x, k=(1, 2), seeds=2, **TINY)
    assert (found.n, len(seen)) == (20, 4)
    assert all(rows == seen[0] for rows in seen)
    assert all(rows == set(x[:, 0]) - seen[0] for rows in judged)
    monkeypatch.setattr(comparing, "MOST_HELD_OUT", 7)
    assert compare(x, k=1, seeds=1, **TINY).n == 7


def test_rows_are_held_out_where_they_lie(x):
    held = comparing.train_and_held_out(x, None, None, missing=False)[1].x
    assert held.base is x
    assert not np.shares_memory(held[:], x)


@pytest.mark.parametrize("kind", ["list", "tensor", "frame", "memory map", "parts"])
def test_rows_may_come_as_anything(x, kind, tmp_path):
    wide = x.astype(np.float64)
    given = {"list": wide.tolist, "tensor": lambda: torch.from_numpy(wide)}
    if kind == "frame":
        rows = pd.DataFrame(wide, columns=list("abcdef"))
    elif kind == "memory map":
        np.save(tmp_path / "x.npy", wide)
        rows = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif kind == "parts":
        from codeword import load

        for i, part in enumerate(np.array_split(wide, 3)):
            np.save(tmp_path / f"{i}.npy", part)
        rows = load(tmp_path)
    else:
        rows = given[kind]()
    found = compare(rows, k=2, seeds=1, **TINY)
    assert models(found)[0]["mse"] == pytest.approx(
        models(compare(wide, k=2, seeds=1, **TINY))[0]["mse"], rel=1e-5
    )


@pytest.mark.parametrize(
    "make", [lambda y: y, lambda y: [f"digit {n}" for n in y], lambda y: y + 0.5, lambda y: y.astype(object)]
)
def test_labels_may_be_of_any_type(digits, make):
    plain = compare(digits.x[:200], digits.y[:200], k=4, seeds=1, **TINY)
    assert 0.6 < plain.rows[0]["knn_accuracy"] < 1
    assert results(compare(digits.x[:200], make(digits.y[:200]), k=4, seeds=1, **TINY)) == results(plain)


def test_classes_are_the_same_in_both_parts_whichever_each_has(digits):
    few = np.flatnonzero(digits.y[300:500] >= 4) + 300
    found = compare(digits[:300], k=6, seeds=1, test=digits[few], **TINY)
    ae = AutoEncoder(6, random_state=0, **TINY).fit(digits[:300])
    nearest = KNeighborsClassifier(5).fit(ae.transform(digits[:300]), digits.y[:300])
    by_hand = nearest.score(ae.transform(digits[few]), digits.y[few])
    assert found.rows[0]["knn_accuracy"] == pytest.approx(by_hand, abs=0.03)  # a tie goes to either class


def test_labels_of_one_part_alone_judge_nothing(digits):
    found = compare(digits[:100], k=2, seeds=1, test=(digits.x[100:150], None), **TINY)
    assert found.rows[0]["knn_accuracy"] is None
    assert found.n_labeled == 0


def test_labels_that_are_no_classes_judge_nothing_unless_they_were_given(digits):
    for y, words in [(np.zeros(100), "one class only"), (np.arange(100) / 7, "these are no classes")]:
        assert compare(Data(digits.x[:100], y), k=2, seeds=1, **TINY).rows[0]["knn_accuracy"] is None
        with pytest.raises(DataError, match=words):
            compare(digits.x[:100], y, k=2, seeds=1, **TINY)


def test_the_neighbors_are_of_a_sample_where_rows_are_many(digits, monkeypatch):
    monkeypatch.setattr(comparing, "MOST_NEIGHBORS_OF", 50)
    monkeypatch.setattr(comparing, "MOST_HELD_OUT", 30)
    asked = []
    transform = FittedModel.transform

    def watched(self, rows, **more):
        asked.append(len(rows))
        return transform(self, rows, **more)

    monkeypatch.setattr(FittedModel, "transform", watched)
    found = compare(digits[:200], k=2, seeds=1, test=digits[200:300], **TINY)
    assert asked == [100, 50, 30]
    assert (found.n, found.n_labeled) == (100, 30)


def test_empty_cells_are_compared_where_the_objective_takes_them(x):
    holed = x.copy()
    holed[::7, 2] = np.nan
    found = compare(holed, k=(1, 2, 4), objectives=[Masked(missing="mask")], seeds=1, **TINY)
    assert all(row["mse"] > 0 for row in found.rows)
    assert found.rows[0]["explained_variance"] is None
    assert "error" in found.recommended.reason
    with pytest.raises(DataError, match=r"NaN \(the first in row 0, column 2\)"):
        compare(holed, k=1, objectives=[Masked(missing="mask"), "reconstruction"], **TINY)


# -- what is recommended ------------------------------------------------------------------------------------


def share(d, signal, noise):
    """The share of the variance that the first 1, …, d components keep, of `signal` and isotropic noise."""
    values = np.full(d, noise / d)
    values[:signal] += (1 - noise) / signal
    return values.cumsum()


@pytest.mark.parametrize("signal", [2, 4, 8, 16])
@pytest.mark.parametrize("noise", [0, 0.1, 0.2])
@pytest.mark.parametrize(
    "ks", [(2, 4, 8, 16, 32), (1, 2, 4, 8, 16, 32, 63), (2, 4, 6, 8, 10, 12, 14, 16, 18)]
)
def test_the_elbow_is_at_the_known_dimension(signal, noise, ks):
    kept = share(64, signal, noise)[np.array(ks) - 1]
    assert ks[elbow(ks, kept)] == signal
    if signal > ks[0]:
        assert ks[elbow(ks, -0.3 * (1 - kept), from_zero=False)] == signal


@pytest.mark.parametrize("ks", [(2, 4, 8), (2, 4, 8, 12), (2, 12), (12,)])
def test_there_is_no_elbow_before_the_dimension_is_reached(ks):
    assert elbow(ks, share(64, 12, 0.1)[np.array(ks) - 1]) is None
    assert elbow(ks, np.zeros(len(ks))) is None


def test_a_curve_that_only_slackens_has_no_elbow():
    """Beyond 4 a doubling keeps 0.63, or 0.42, times what one up to 4 kept."""
    assert elbow((2, 4, 8), (0.40, 0.65, 0.80)) is None
    assert elbow((2, 4, 8), (0.40, 0.65, 0.75)) == 1


def test_a_larger_k_that_came_out_badly_hides_no_elbow():
    assert elbow((2, 4, 8), (0.40, 0.80, -0.10)) == 1


@pytest.fixture(scope="module")
def four_dimensions():
    """1,000 rows of 20 numbers that hang on 4, with a tenth of noise."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(1000, 4)) @ np.linalg.qr(rng.normal(size=(20, 4)))[0].T + rng.normal(
        scale=0.12, size=(1000, 20)
    )


def test_the_recommended_k_is_the_datas_own_dimension(four_dimensions):
    settings = {"objectives": ("reconstruction", "variational"), "seeds": 1, "epochs": 4, "scaling": "none"}
    found = compare(four_dimensions, k=(1, 2, 4, 8, 16), network=MLP(hidden=(8,)), **settings)
    best = found.recommended
    assert best.k == 4
    errors = {row["objective"]: row["mse"] for row in models(found) if row["k"] == 4}
    assert best.objective == min(errors, key=errors.get)
    kept = next(row["explained_variance"] for row in models(found) if row["mse"] == min(errors.values()))
    assert best.reason.startswith("the variance kept bends at 4: 2 keep ")
    assert f"4 keep {100 * kept:.1f}%" in best.reason


def test_without_an_elbow_larger_k_are_to_be_tried(four_dimensions):
    found = compare(four_dimensions, k=(1, 2, 3), seeds=1, epochs=2, network=MLP(hidden=(8,)), scaling="none")
    assert found.recommended.k == 3
    fall = 1 - models(found)[2]["mse"] / models(found)[1]["mse"]
    assert found.recommended.reason == (
        f"there is no elbow up to 3: the error still falls by {100 * fall:.0f}% from 2 to 3; try larger k"
    )


def row(k, mse, accuracy=None, objective="reconstruction", seed=0, share=None):
    return {
        "objective": objective, "k": k, "seed": seed, "mse": mse, "explained_variance": share,
        "knn_accuracy": accuracy, "epochs": 1, "seconds": 1.0, "failed": None,
    }  # fmt: skip


def recommended(rows, n, d):
    return Comparison(rows, n, n, d).recommended


def test_with_labels_it_is_the_smallest_k_within_a_standard_error_of_the_best():
    rows = [row(2, 0.4, 0.80), row(4, 0.3, 0.899), row(8, 0.2, 0.91), row(16, 0.1, 0.90)]
    best = recommended(rows, 400, 20)  # sqrt(0.91 × 0.09 / 400) = 0.0143
    assert best.k == 4
    assert "0.899, within one standard error (0.014) of the best, 0.910 with 8" in best.reason
    assert recommended(rows, 4000, 20).k == 8  # 0.0045
    assert "no smaller k comes within one standard error (0.005)" in recommended(rows, 4000, 20).reason


def test_seeds_that_differ_widen_the_standard_error():
    rows = [row(2, 0.4, 0.80, seed=s) for s in range(4)] + [
        row(4, 0.3, accuracy, seed=s) for s, accuracy in enumerate([0.81, 0.89, 0.81, 0.89])
    ]
    assert recommended(rows, 10**6, 20).k == 4
    rows += [row(3, 0.3, 0.83, seed=s) for s in range(4)]
    assert recommended(rows, 10**6, 20).k == 3  # the deviation is 0.046, of the mean 0.023
    alike = [row(k, 1 / k, accuracy, seed=s) for k, accuracy in ((2, 0.90), (4, 0.91)) for s in range(3)]
    assert recommended(alike, 10**6, 20).k == 4
    assert recommended(alike, 400, 20).k == 2  # that they agree says nothing of other rows


def test_of_objectives_that_are_as_good_the_one_of_the_least_error_is_recommended():
    rows = [row(4, 0.2, 0.90), row(4, 0.3, 0.905, "nested"), row(8, 0.1, 0.91, "nested")]
    rows += [row(4, 0.1, 0.8, "sparse"), row(4, 0.1, 0.99, "pca")]
    best = recommended(rows, 400, 20)
    assert (best.k, best.objective) == (4, "reconstruction")
    assert best.reason.endswith("of the best, 0.910 with 8 by nested")


@pytest.mark.parametrize(
    ("rows", "k", "words"),
    [
        ([row(4, 0.3)], 4, "the only k"),
        ([row(2, 0.0), row(4, 0.0)], 2, "no larger k has a smaller error than 2"),
        ([row(2, 0.3, 0.8), row(4, 0.2, 0.95)], 4, "largest k of all, so try larger k"),
        ([row(2, 0.5, share=0.5), row(4, 0.1, share=0.9), row(8, 0.2, share=0.8)], 4, "bends at 4"),
        ([row(2, 5, share=-4.0), row(4, 3, share=-2.0)], 4, "still falls by 40% from 2 to 4; try larger k"),
        ([row(10, 0.5, share=0.5), row(20, 0.1, share=0.9)], 20, "from 10 to 20"),
    ],
)
def test_odd_curves_have_a_recommendation_too(rows, k, words):
    best = recommended(rows, 100, 20)
    assert best.k == k
    assert words in best.reason
    assert ("larger k" in best.reason) == (words in best.reason and "larger k" in words)


# -- the table ----------------------------------------------------------------------------------------------


def test_the_table_has_pca_beside_each_mean(digits):
    found = compare(digits[:300], k=(2, 8), objectives=("reconstruction", "variational"), seeds=3, **TINY)
    mean = found.summary()[1]
    errors = [row["mse"] for row in models(found) if (row["objective"], row["k"]) == ("reconstruction", 8)]
    assert (mean["objective"], mean["k"], mean["seeds"]) == ("reconstruction", 8, 3)
    assert mean["mse"] == pytest.approx(np.mean(errors))
    assert mean["mse_std"] == pytest.approx(np.std(errors, ddof=1))
    table = found.table()
    lines = table.splitlines()
    assert "60 held-out rows" in lines[0]
    assert "± standard deviation over 3 seeds" in lines[0]
    line = next(line for line in lines if line[2:].split()[:2] == ["reconstruction", "8"])
    assert f"{mean['mse']:.4f} ± {mean['mse_std']:.4f}" in line
    assert f"{found.summary()[-1]['mse']:.4f}" in line
    assert f"{100 * mean['explained_variance']:.1f}%" in line
    assert f"{mean['knn_accuracy']:.3f} ± {mean['knn_accuracy_std']:.3f}" in line
    marked = [line for line in lines if line.startswith("*")]
    assert len(marked) == 1
    best = found.recommended
    assert best.objective in marked[0]
    assert marked[0].split()[2] == str(best.k)


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1, 3e3, 1e12])
def test_the_table_is_aligned_and_fits(scale):
    objective = "variational(beta=0.25, likelihood='gaussian', free_bits=0.1)"
    rows = [row(k, scale / k, 0.9, objective, seed) for k in (2, 1024) for seed in (0, 1)]
    rows += [row(k, scale, 0.8, "pca", None) for k in (2, 1024)]
    lines = Comparison(rows, 123456, 10000, 2048).table().splitlines()
    assert max(map(len, lines)) <= 100
    header, *body = lines[2:]
    assert {len(line) for line in body} == {len(header)}
    assert "variational(beta=0.2…" in body[0]
    assert [line.removeprefix("*").split()[1] for line in body] == ["2", "1024"]


# -- what fails ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_picture")
def test_a_training_that_diverges_does_not_lose_the_others(x, monkeypatch, tmp_path):
    fit = AutoEncoder.fit

    def sometimes(self, *args, **more):
        fit(self, *args, **more)
        if (self.n_components, self.random_state) == (2, 0):
            raise TrainingError("the loss was not finite")
        return self

    monkeypatch.setattr(AutoEncoder, "fit", sometimes)
    found = compare(x, k=(2, 4), seeds=2, folder=tmp_path / "c", **TINY)
    assert [row["mse"] is None for row in found.rows] == [True, False, False, False, False, False]
    assert found.rows[0]["failed"] == "the loss was not finite"
    assert "reconstruction k=2 seed 0 failed: the loss was not finite" in found.table()
    assert (found.summary()[0]["seeds"], found.summary()[0]["failed"]) == (1, 1)
    assert names(tmp_path / "c") == FILES


def test_where_all_diverge_nothing_is_recommended(x, tmp_path):
    wild = {"network": MLP(hidden=(8,), activation="relu", linear_skip=False), "learning_rate": 1e30}
    found = compare(x, k=(2, 4), seeds=1, folder=tmp_path / "c", **TINY | wild)
    assert found.recommended is None
    assert "diverged" in found.rows[0]["failed"]
    assert found.table().count("failed") == 4
    assert found.rows[-1]["mse"] > 0  # PCA's
    assert names(tmp_path / "c") == [name for name in FILES if name != "comparison.png"]


@pytest.mark.usefixtures("small_picture")
def test_a_full_disk_ends_the_comparison_with_what_is_done(x, tmp_path, monkeypatch):
    save = checkpoint.Checkpoint.save

    def full(path, extra):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def save_on_a_full_disk(self, state, tensors):
        if self.path.name == "2":  # after PCA's row and the model's with k = 2
            self.write = full
        save(self, state, tensors)

    monkeypatch.setattr(checkpoint.Checkpoint, "save", save_on_a_full_disk)
    with pytest.raises(TrainingError, match="No space left on device"):
        compare(x, k=(2, 4, 5), seeds=1, folder=tmp_path / "c", **TINY)
    monkeypatch.setattr(checkpoint.Checkpoint, "save", save)
    found = compare(x, k=(2, 4, 5), seeds=1, folder=tmp_path / "c", **TINY)
    assert [row["failed"] for row in found.rows] == [None] * 6


def test_ctrl_c_is_not_taken_for_the_end_of_one_training(x, monkeypatch):
    monkeypatch.setattr(
        "codeword.training.loop.Trainer._validate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        compare(x, k=(2, 4), seeds=1, **TINY)


# -- stopping and going on ----------------------------------------------------------------------------------

WHOLE = {"k": (1, 2, 4), "objectives": ("reconstruction", "nested"), "seeds": 2, **TINY}


@pytest.fixture(scope="module")
def undisturbed(x):
    return results(compare(x, **WHOLE))


@pytest.mark.usefixtures("small_picture")
@pytest.mark.parametrize("after", [1, 3, 5, 6, 9, 12])
def test_a_stopped_comparison_goes_on_without_training_anything_again(x, undisturbed, tmp_path, fits, after):
    with pytest.raises(Killed):
        compare(x, folder=tmp_path / "c", on_row=stop_after(after), **WHOLE)
    before = len(fits)
    found = compare(x, folder=tmp_path / "c", **WHOLE)
    assert results(found) == undisturbed
    assert len(fits) == len(set(fits)) == 8
    assert before < 8 or after > 9
    assert names(tmp_path / "c") == FILES
    again = compare(x, folder=tmp_path / "c", **WHOLE)
    assert again.rows == found.rows
    assert len(fits) == 8


@pytest.mark.usefixtures("small_picture")
@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_training_under_way_goes_on_from_its_checkpoint(x, undisturbed, tmp_path, monkeypatch, nth):
    monkeypatch.setattr(checkpoint, "MOST_OF_THE_TIME", 1e9)
    save = checkpoint.Checkpoint.save
    saved = []

    def save_and_die(self, state, tensors):
        save(self, state, tensors)
        saved.append(state["epoch"])
        if saved.count(2) == nth:
            raise Killed

    monkeypatch.setattr(checkpoint.Checkpoint, "save", save_and_die)
    with pytest.raises(Killed):
        compare(x, folder=tmp_path / "c", **WHOLE)
    assert len(names(tmp_path / "c" / "training")) == 1
    saved.clear()
    monkeypatch.setattr(
        checkpoint.Checkpoint, "save", lambda *args: (save(*args), saved.append(args[1]["epoch"]))
    )
    assert results(compare(x, folder=tmp_path / "c", **WHOLE)) == undisturbed
    assert saved[0] == 3  # the third epoch, not the first again
    assert names(tmp_path / "c") == FILES


@pytest.mark.usefixtures("small_picture")
def test_a_kill_while_results_are_written_loses_one_training_at_most(x, undisturbed, tmp_path, fits):
    with pytest.raises(Killed):
        compare(x, folder=tmp_path / "c", on_row=stop_after(9), **WHOLE)
    (tmp_path / "c" / ".results.jsonl.part.0").write_text('{"objective": "nes')
    fits.clear()
    assert results(compare(x, folder=tmp_path / "c", **WHOLE)) == undisturbed
    assert len(fits) == 1
    assert names(tmp_path / "c") == FILES
    assert len((tmp_path / "c" / "results.jsonl").read_text().splitlines()) == 15


@pytest.mark.usefixtures("small_picture")
def test_other_parameters_or_other_data_are_refused_by_name(x, tmp_path):
    y = np.arange(len(x)) % 3
    settings = WHOLE | {"k": (1, 2), "seeds": 1}
    compare(x, y, folder=tmp_path / "c", **settings)
    before = {path.name: path.read_bytes() for path in (tmp_path / "c").iterdir()}
    other = x.copy()
    other[7, 2] += 1
    for given, words in [
        ((x, y, {"epochs": 4}), "made with epochs = 3, and this run has 4"),
        ((x, y, {"network": MLP(hidden=(9,))}), "network = "),
        ((x[:100], y[:100], {}), "training rows = 120, and this run has 80"),
        ((other, y, {}), "the digest of (training|held-out) rows"),
        ((x, y + (y == 1), {}), "the digest of (training|held-out) rows"),
        ((x, None, {}), "the digest of training rows"),
        ((x.astype(np.float64), y, {}), "the type of training values"),
        ((x, y, {"k": (1, 2, 4)}), "made with k = \\[1, 2\\], and this run has \\[1, 2, 4\\]"),
        ((x, y, {"seeds": 2}), "seeds = 1, and this run has 2"),
        (
            (x, y, {"objectives": ("nested",)}),
            r"objectives = \['reconstruction', 'nested'\], and this run has \['nested'\]",
        ),
    ]:
        with pytest.raises(InputError, match=words) as error:
            compare(*given[:2], folder=tmp_path / "c", **settings | given[2])
        assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in (tmp_path / "c").iterdir()} == before
    compare(x, y, folder=tmp_path / "c", **settings | {"device": "auto", "verbose": False})


@pytest.mark.usefixtures("small_picture")
def test_overwriting_starts_anew_and_spares_what_is_none_of_ours(x, tmp_path, fits):
    settings = WHOLE | {"k": (1, 2), "objectives": "nested", "seeds": 1}
    with pytest.raises(Killed):
        compare(x, folder=tmp_path / "c", on_row=stop_after(1), **settings)
    compare(x, folder=tmp_path / "c", overwrite=True, **settings)
    assert len(fits) == 2
    assert names(tmp_path / "c") == FILES
    (tmp_path / "c" / "chapter.txt").write_text("one")
    with pytest.raises(InputError, match=r"'chapter.txt', which is no part of a comparison"):
        compare(x, folder=tmp_path / "c", overwrite=True, **settings)
    (tmp_path / "thesis").mkdir()
    with pytest.raises(InputError, match=r"no comparison to go on with: there is no settings.json"):
        compare(x, folder=tmp_path / "thesis", **settings)
    with pytest.raises(InputError, match="there is no folder"):
        compare(x, folder=tmp_path / "no" / "c", **settings)


@pytest.mark.usefixtures("small_picture")
@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("results.jsonl", '{"k": 2\n{"k": 3}\n', "results.jsonl, line 1 is damaged .*: mend it"),
        ("results.jsonl", '{"k": 2}\n', "line 1 is damaged"),
        ("results.jsonl", "[2]\n", "line 1 is damaged"),
        ("settings.json", "{", "settings.json is damaged"),
        ("settings.json", "[]", "settings.json is damaged"),
    ],
)
def test_damaged_files_are_named(x, tmp_path, name, text, words):
    settings = WHOLE | {"k": 2, "objectives": "nested", "seeds": 1}
    compare(x, folder=tmp_path / "c", **settings)
    (tmp_path / "c" / name).write_text(text)
    with pytest.raises(InputError, match=words):
        compare(x, folder=tmp_path / "c", **settings)


@pytest.mark.usefixtures("small_picture")
def test_a_row_that_no_comparison_wrote_is_damaged(x, tmp_path):
    settings = {"k": 2, "seeds": 1, "folder": tmp_path / "c", **TINY}
    compare(x, **settings)
    file = tmp_path / "c" / "results.jsonl"
    first, second = map(json.loads, file.read_text().splitlines())
    changes = [
        *[{"mse": value} for value in ("x", None, math.nan, -1, True, 10**400, [1])],
        *[{"k": value} for value in ("2", None, 3, 2.0, [])],
        *[{"seed": value} for value in (None, 1, -1, "0", False)],
        *[{"objective": value} for value in ("nested", "pca", None, [])],
        *[{"knn_accuracy": 2}, {"explained_variance": "x"}, {"seconds": math.inf}, {"epochs": "3"}],
        *[{"failed": "why"}, {"mse": None, "failed": 3}, {"more": 1}],
    ]
    damaged = [second | change for change in changes] + [{k: v for k, v in second.items() if k != "mse"}]
    for row in damaged:
        file.write_text(f"{json.dumps(first)}\n{json.dumps(row)}\n")
        with pytest.raises(InputError, match=r"results.jsonl, line 2 is damaged .*: mend it"):
            compare(x, **settings)
    file.write_text("".join(json.dumps(row) + "\n" for row in (first, second)))
    assert compare(x, **settings).rows == [second, first]


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks")
@pytest.mark.usefixtures("small_picture")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_second_process_is_refused_and_takes_nothing_from_the_first(x, tmp_path, overwrite):
    settings = {"k": (2, 4), "seeds": 1, "folder": tmp_path / "c", **TINY}
    seen = []

    def second(*_):
        pid = os.fork()
        if pid == 0:
            files.Lock.held.clear()  # as in a process of its own
            try:
                compare(x, overwrite=overwrite, **settings)
            except InputError as error:
                os._exit(42 if "is being written by another process" in str(error) else 43)
            finally:
                os._exit(44)
        before = names(tmp_path / "c")
        seen.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        assert names(tmp_path / "c") == before

    compare(x, on_row=second, **settings)
    assert seen == [42] * 4
    assert names(tmp_path) == ["c"]


@pytest.mark.usefixtures("small_picture")
def test_what_was_there_before_outlives_a_refusal(x, tmp_path, monkeypatch):
    settings = {"k": 2, "seeds": 1, "folder": tmp_path / "c", **TINY}

    def stopped(*args, **more):
        raise Killed

    def refused(*args, **more):
        raise InputError("no")

    for stop, error in ((stopped, Killed), (refused, InputError)):
        monkeypatch.setattr(AutoEncoder, "fit", stop)
        with pytest.raises(error) as raised:
            compare(x, **settings)
        assert names(tmp_path / "c") == ["settings.json", "training"]
        assert names(tmp_path) == ["c"], raised  # no lock either, though the error is still at hand


# -- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"k": ()}, r"'k' parameter of compare must be positive integers, at least one, or 'auto'. Got \(\)"),
        ({"k": (2, 0)}, "positive integers"),
        ({"k": (2, 2.5)}, "positive integers"),
        ({"k": "many"}, "positive integers"),
        ({"k": True}, "positive integers"),
        ({"k": (2, 7)}, "k = 7 is more than the number of features in a row, 6: give k up to 6"),
        ({"seeds": 0}, "'seeds' parameter of compare must be a positive integer. Got 0"),
        ({"seeds": 1.5}, "'seeds' parameter"),
        ({"objectives": ()}, "at least one objective"),
        ({"objectives": ("nested", "best")}, "must be one of reconstruction, .* Got 'best'"),
        ({"objectives": [Variational(beta=-1)]}, "beta"),
        ({"epochs": 0}, "'epochs' parameter of AutoEncoder"),
        ({"n_components": 3}, "compare sets n_components itself, from k: give k instead"),
        ({"random_state": 3}, "give seeds instead"),
        ({"y": [1, 2]}, "x has 150 rows and 2 labels: give one label for each"),
        ({"test": (np.ones((5, 4)), None)}, r"test have the shape \(4,\), and those to train on \(6,\)"),
        ({"test": (np.ones((5, 6)), [1])}, "test has 5 rows and 1 labels"),
        ({"test": np.full((5, 6), np.nan)}, "NaN"),
    ],
)
def test_what_cannot_be_used_is_said_before_any_training(x, fits, tmp_path, given, words):
    with pytest.raises(InputError, match=words) as error:
        compare(x, **{"folder": tmp_path / "c", **TINY, **given})
    assert "\n" not in str(error.value)
    assert fits == []
    assert names(tmp_path) == []


def test_an_objective_that_does_not_fit_the_data_leaves_no_folder(x, tmp_path):
    given = {"folder": tmp_path / "c", "k": 2, "seeds": 1, **TINY}
    with pytest.raises(InputError, match=r"values in \[0, 1\]"):
        compare(x, objectives=[Reconstruction(loss="bce")], **given)
    assert names(tmp_path) == []
    with pytest.raises(InputError, match=r"values in \[0, 1\]"):
        compare(x, objectives=["reconstruction", Reconstruction(loss="bce")], **given)
    assert names(tmp_path / "c") == ["results.jsonl", "settings.json"]


def test_rows_that_cannot_be_parted_or_do_not_fit_are_refused(x, monkeypatch):
    with pytest.raises(DataError, match="one row"):
        compare(x[:1], **TINY)
    named = Data(x, names=tuple("abcdef"))
    with pytest.raises(DataError, match="columns of test"):
        compare(named, test=Data(x, names=tuple("abcdfe")), **TINY)
    bad = x.copy()
    bad[77, 3] = np.inf
    with pytest.raises(DataError, match=r"infinity .*row 77, column 3"):
        compare(bad, **TINY)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ParameterError, match="without torchrun"):
        compare(x, **TINY)


@pytest.mark.parametrize(
    ("d", "ks"), [(1, [1]), (2, [1]), (6, [2, 4]), (64, [2, 4, 8, 16, 32]), (65, [2, 4, 8, 16, 32, 64])]
)
def test_auto_takes_what_is_below_the_number_of_features(d, ks):
    assert comparing.check_k("auto", d) == ks
