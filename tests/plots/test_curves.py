import itertools

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from codeword.base.errors import ParameterError
from codeword.plots import comparison_figure, history_figure, save
from codeword.plots.style import styled

LENGTHS = [2, 4, 8, 16]
TWELVE = [
    "reconstruction",
    "denoising",
    "sparse",
    "contractive",
    "variational(beta=4, likelihood='gaussian')",
    "variational(beta=4, likelihood='bernoulli')",
    "wasserstein",
    "adversarial",
    "regularized",
    "vector_quantized",
    "nested",
    "masked(missing='mask')",
]


def runs(objectives=("reconstruction", "sparse"), lengths=LENGTHS, seeds=3, accuracy=True):
    """Errors that fall with k and rise with an objective's place; the middle seed is the mean."""
    rows = [
        {
            "objective": objective,
            "k": k,
            "seed": seed,
            "mse": (0.1 + 0.02 * i) / k * (1 + 0.05 * (seed - seeds // 2)),
            "knn_accuracy": 1 - 0.3 / k - 0.01 * i if accuracy else None,
        }
        for i, objective in enumerate(objectives)
        for k in lengths
        for seed in range(seeds)
    ]
    return rows + [
        {"objective": "pca", "k": k, "seed": None, "mse": 0.21 / k, "knn_accuracy": None} for k in lengths
    ]


def finished(figure):
    """Laid out, as it is when it is saved."""
    with styled():
        figure.draw_without_rendering()
    return figure


def texts(figure):
    """Every text but the axes' own ticks and labels."""
    written = [text for axes in figure.axes for text in axes.texts]
    return written + [text for legend in figure.legends for text in legend.get_texts()]


def lines(axes):
    """Each line of two points or more that shows values, by its color."""
    return {to_hex(line.get_color()): line for line in axes.lines if line.get_marker() != "None"}


def extent(text):
    """The place of the letters, without the line that leads to them."""
    return Text.get_window_extent(text)


def tick_labels(axis):
    """The numbers of an axis that are drawn: matplotlib keeps some beyond its ends."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def require_room(figure):
    """No text lies on another or hangs over the edge of the figure."""
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    titles = [t for p in figure.axes for t in p.findobj(Text) if t.get_text() == p.get_title("left")]
    ticks = [label for axis in axes for label in tick_labels(axis)]
    written = [*texts(figure), *titles, *ticks, *(axis.label for axis in axes)]
    places = [(text.get_text(), extent(text).extents) for text in written if text.get_text()]
    width, height = figure.bbox.size
    for text, (left, bottom, right, top) in places:
        assert left >= -1 and bottom >= -1 and right <= width + 1 and top <= height + 1, text  # noqa: PT018
    for (a, first), (b, second) in itertools.combinations(places, 2):
        low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
        # The boxes of letters have room above and below them.
        assert (high - low).min() < 1.5, (a, b)


# --- error against k


def test_a_line_goes_through_the_means_and_a_band_to_the_ends():
    axes = comparison_figure(runs(accuracy=False)).axes[0]
    assert len(lines(axes)) == 3
    first = axes.lines[0]
    np.testing.assert_array_equal(first.get_xdata(), LENGTHS)
    np.testing.assert_allclose(first.get_ydata(), 0.1 / np.array(LENGTHS))
    bands = [c for c in axes.collections if isinstance(c, PolyCollection)]
    assert len(bands) == 2
    edges = bands[0].get_paths()[0].get_extents()
    assert (edges.y0, edges.y1) == pytest.approx((0.95 * 0.1 / 16, 1.05 * 0.1 / 2))


def test_pca_is_gray_and_dashed():
    axes = comparison_figure([*runs(), *runs(["nested"], accuracy=False)]).axes[0]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 1
    red, green, blue = to_rgb(dashed[0].get_color())
    assert red == green == blue
    np.testing.assert_allclose(dashed[0].get_ydata(), 0.21 / np.array(LENGTHS))


@pytest.mark.parametrize("lengths", [[2, 4, 8, 16], [3, 5, 700], [1, 2]])
def test_ticks_are_the_lengths_that_were_tried(lengths):
    axes = finished(comparison_figure(runs(lengths=lengths))).axes[0]
    assert axes.xaxis.get_transform().base == 2
    ticks = axes.get_xticks()
    np.testing.assert_array_equal(ticks, lengths)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(map(str, lengths))
    assert len(axes.xaxis.get_minorticklocs()) == 0


def test_of_many_lengths_some_are_numbered():
    lengths = [*range(1, 33), 48, 64]
    figure = finished(comparison_figure(runs(lengths=lengths), recommended=29))
    require_room(figure)
    for axes in figure.axes:
        np.testing.assert_array_equal(axes.get_xticks(), lengths)
        named = [label.get_text() for label in axes.get_xticklabels() if label.get_text()]
        assert named == ["1", "2", "4", "8", "16", "32", "64"]
        assert "k = 29" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("errors", "scale"), [([0.1, 0.03], "linear"), ([0.1, 0.01], "log"), ([0.1, 0.0], "linear")]
)
@pytest.mark.parametrize("k", [(2, 2), (2, 4)])
def test_errors_of_unlike_sizes_are_on_a_logarithm(errors, scale, k):
    rows = [{"objective": f"o{i}", "k": k[i], "seed": 0, "mse": errors[i]} for i in range(2)]
    figure = finished(comparison_figure(rows))
    axes = figure.axes[0]
    assert (axes.get_xscale() if k == (2, 2) else axes.get_yscale()) == scale
    require_room(figure)


@pytest.mark.parametrize("spread", [6, 80, 1e4, 1e9])
def test_a_logarithm_has_ticks_that_can_be_read(spread):
    rows = [{"objective": "nested", "k": k, "seed": 0, "mse": e} for k, e in ((2, 0.9), (4, 0.9 / spread))]
    figure = finished(comparison_figure(rows))
    axes = figure.axes[0]
    labels = tick_labels(axes.yaxis)
    assert len(labels) >= 2
    for label in labels:
        assert float(label.get_text()) == pytest.approx(label.get_position()[1])
    require_room(figure)


def test_accuracies_have_a_panel_where_there_are_any():
    assert len(comparison_figure(runs(accuracy=False)).axes) == 1
    rows = runs(accuracy=False)
    rows[0]["knn_accuracy"] = 0.9
    figure = comparison_figure(rows)
    assert len(figure.axes) == 2
    assert figure.axes[1].get_ylabel() == "accuracy of nearest neighbors"
    [line] = lines(figure.axes[1]).values()
    assert line.get_ydata().tolist() == [0.9]


def test_an_objective_has_one_color():
    rows = runs(["nested", "sparse", "masked"])
    for row in rows:
        if row["objective"] == "nested":
            row["knn_accuracy"] = None
    errors, accuracies = (list(lines(axes)) for axes in comparison_figure(rows).axes)
    assert accuracies == errors[1:3]
    shades = list(lines(comparison_figure(runs([f"o{i}" for i in range(20)])).axes[0]))
    assert len(shades) == 21


def test_values_that_failed_are_left_out():
    rows = runs(accuracy=False)
    for i, value in zip(range(3), (None, np.nan, np.inf), strict=True):
        rows[i]["mse"] = value
    figure = finished(comparison_figure(rows))
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [4, 8, 16])


# --- names


def test_long_names_are_cut_and_told_apart():
    names = [t.get_text() for t in texts(finished(comparison_figure(runs(TWELVE))))]
    assert len(set(names)) == 13
    assert max(map(len, names)) <= 24
    assert {"PCA", "nested", "variational…'bernoulli')", "masked(missing='mask')"} <= set(names)


@pytest.mark.parametrize(
    "rows",
    [
        runs(TWELVE[:1]),
        [row for row in runs(TWELVE[:4]) if row["objective"] != "sparse" or row["k"] < 16],
        runs([f"_objective({i})" for i in range(24)]),
        runs([f"objective {i} with a very long name" for i in range(24)], accuracy=False),
    ],
)
def test_names_are_in_a_legend_below_the_lines(rows):
    figure = finished(comparison_figure(rows))
    assert len(figure.legends) == 1
    names = dict.fromkeys(row["objective"] for row in rows)
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(shown) == len(names)
    assert shown[0][:10] == next(iter(names))[:10]
    assert shown[-1] == "PCA"
    require_room(figure)
    for axes in figure.axes:
        assert not figure.legends[0].get_window_extent().overlaps(axes.get_window_extent())


# --- the recommended k


@pytest.mark.parametrize("k", LENGTHS)
def test_the_recommended_length_is_marked(k):
    figure = finished(comparison_figure(runs(), recommended=k))
    require_room(figure)
    for axes in figure.axes:
        [rule] = [line for line in axes.lines if line.get_marker() == "None"]
        assert set(rule.get_xdata()) == {k}
        [text] = [text for text in axes.texts if text.get_text() == f"k = {k}"]
        box = extent(text)
        assert (box.x0 + box.x1) / 2 == pytest.approx(axes.transData.transform((k, 1))[0], abs=1)
        assert box.y0 >= axes.get_window_extent().y1


# --- one k


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("accuracy", [False, True])
def test_at_one_length_the_best_stands_first(count, accuracy):
    rows = runs(TWELVE[:count][::-1], [16], accuracy=accuracy)
    figure = finished(comparison_figure(rows, recommended=16))
    require_room(figure)
    assert len(figure.axes) == 1 + accuracy
    axes = figure.axes[0]
    assert all(panel.get_title("left") == "k = 16" for panel in figure.axes)
    named = {round(label.get_position()[1]): label.get_text() for label in axes.get_yticklabels()}
    assert named[count] == ("masked(missing='mask')" if count == 12 else "reconstruction")
    errors = {line.get_ydata()[0]: line.get_xdata()[0] for line in axes.lines}
    assert [errors[height] for height in sorted(errors, reverse=True)] == sorted(errors.values())
    widest = next(c.get_segments()[0] for c in axes.collections if isinstance(c, LineCollection))
    np.testing.assert_allclose(widest[:, 0], [0.95 * 0.1 / 16, 1.05 * 0.1 / 16])


# --- errors and files


def test_rows_that_cannot_be_drawn_are_refused():
    with pytest.raises(ParameterError, match=r"one run at least. Got none"):
        comparison_figure([])
    with pytest.raises(ParameterError, match=r"'mse' a number or None. Row 1 is"):
        comparison_figure([*runs()[:1], {"objective": "nested", "k": 2}])
    for k in (0, 2.5, "8"):
        with pytest.raises(ParameterError, match=rf"whole number of 1 or more.* Row 0 is .*'k': {k!r}"):
            comparison_figure([{"objective": "nested", "k": k, "seed": 0, "mse": 0.1}])
    with pytest.raises(ParameterError, match=r"Row 0 is .*'mse': 'low'"):
        comparison_figure([{"objective": "nested", "k": 2, "seed": 0, "mse": "low"}])
    with pytest.raises(ParameterError, match=r"finite 'mse' at least once. Got none"):
        comparison_figure([{"objective": "nested", "k": 2, "seed": 0, "mse": np.nan}])
    with pytest.raises(ParameterError, match=r"k of a row: 2, 4, 8, 16. Got 5 instead"):
        comparison_figure(runs(), recommended=5)


def test_the_numbers_of_numpy_will_do():
    rows = [{"objective": "nested", "k": np.int64(k), "seed": 0, "mse": np.float32(0.5)} for k in (2, 4)]
    finished(comparison_figure(rows, recommended=np.int64(4)))


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize("lengths", [LENGTHS, [8]])
def test_the_same_figure_is_the_same_bytes(suffix, lengths, tmp_path):
    paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
    for path in paths:
        save(comparison_figure(runs(lengths=lengths), recommended=8), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_script_the_font_lacks_is_no_warning(tmp_path):
    save(comparison_figure(runs(["靴", "$x$"])), tmp_path / "comparison.png")


# --- learning curves


def test_learning_curves_begin_at_epoch_one(tmp_path):
    figure = history_figure([0.024, 0.014, 0.012], [0.02, None, 0.021])
    train, validation, lowest = figure.axes[0].lines
    np.testing.assert_array_equal(train.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(train.get_ydata(), [0.024, 0.014, 0.012])
    np.testing.assert_array_equal(validation.get_ydata(), [0.02, np.nan, 0.021])
    assert (lowest.get_xdata()[0], lowest.get_ydata()[0]) == (1, 0.02)
    save(figure, tmp_path / "figure.png")


@pytest.mark.parametrize("train", [[0.1], [1.0, 0.01], [0.0, 0.0], [np.nan, 1.0], [-1.0, -50.0]])
def test_any_losses_can_be_drawn(train, tmp_path):
    save(history_figure(train, [np.nan] * len(train)), tmp_path / "figure.png")


def test_curves_of_different_length_are_refused():
    with pytest.raises(ParameterError, match=r"one for each of 2 epochs. Got 1"):
        history_figure([1.0, 2.0], [1.0])
    with pytest.raises(ParameterError, match="train_loss must hold one number an epoch"):
        history_figure([])
