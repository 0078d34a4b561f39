"""One rule of what labels are, the same wherever they are asked for."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from codeword import evaluate
from codeword.data.labels import classes_of, read_label_file
from codeword.plots import map_figure


def test_classes_are_named_in_order():
    labels = classes_of(["b", None, "a", " b "], 4)
    assert labels.names == ["a", "b"]
    assert labels.index.tolist() == [1, -1, 0, 1]
    assert labels.into(["c", "b"]).tolist() == [1, -1, 2, 1]
    assert classes_of(np.array([" b", " ", "a"]), 3).index.tolist() == [1, -1, 0]
    assert classes_of([2, 10.0, 1.5], 3).names == ["1.5", "2", "10"]
    assert classes_of([True, False], 2).names == ["False", "True"]
    assert classes_of(["10", "b", "2", "a"], 4).names == ["2", "10", "a", "b"]
    assert classes_of([None, float("nan"), "", pd.NA, pd.NaT], 5).names == []
    days = np.array(["2026-01-02", "NaT", "2025-03-04"], "datetime64[D]")
    assert classes_of(days, 3).index.tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (np.arange(400) % 150, "classes"),
        (np.arange(400), "quantity"),
        (np.arange(15), "classes"),
        (np.arange(5000) % 1001, "quantity"),
        (np.arange(400) % 20 / 2, "classes"),
        (np.arange(400) % 21 / 2, "quantity"),
        (np.arange(8) / 3, "quantity"),
        ([None, *range(0, 1000, 7), 0.5], "quantity"),
        ([f"row {i}" for i in range(400)], "classes"),
        ([f"row {i}" for i in range(1001)], "neither"),
        ([None] * 3, "neither"),
    ],
)
def test_labels_are_classes_or_a_quantity(y, kind):
    labels = classes_of(y, len(y))
    assert labels.are_classes == (kind == "classes")
    assert (labels.quantity is not None) == (kind == "quantity")


def test_a_missing_quantity_is_nan():
    labels = classes_of([0.5, None, *np.linspace(1, 2, 50)], 52)
    np.testing.assert_array_equal(labels.quantity, [0.5, np.nan, *np.linspace(1, 2, 50)])


def test_map_and_evaluate_see_the_same_150_classes():
    """They differed: a bar of colors here, and classes there."""
    y = np.arange(450) % 150
    x = np.random.default_rng(0).normal(size=(450, 4))
    metrics = evaluate(PCA(2).fit(x), x, y)
    assert metrics["classes"] == 150
    figure = map_figure(x[:, :2], y)
    assert len(figure.axes) == 1  # no color bar beside it
    assert len(figure.axes[0].texts) == 100  # the names of the largest


def test_a_file_of_labels_is_read_as_it_is(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("﻿a\nb\n\nc\n", "utf-8")
    assert read_label_file(file, 4).tolist() == ["a", "b", "", "c"]
    assert read_label_file(file, 3).tolist() == ["b", "", "c"]
