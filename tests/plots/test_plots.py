import itertools
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from PIL import Image

from codeword import plots
from codeword.base.errors import DataError, InputError, ParameterError
from codeword.plots import history_figure, map_figure, reconstruction_figure, save


def shown(figure):
    """The image arrays of a figure's axes, in the order they were drawn."""
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def legend_names(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def written(figure, tmp_path):
    """Draw everything: layout, fonts and text are only looked at then."""
    path = tmp_path / "figure.png"
    save(figure, path)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def digits():
    return np.random.default_rng(0).integers(0, 256, size=(5, 28, 28), dtype=np.uint8)


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(400, 2))


# --- reconstructions


def test_originals_stand_above_their_reconstructions(digits, tmp_path):
    x_hat = digits * 0.5
    titles = [f"{i}\nerror $0.01" for i in range(5)]
    figure = reconstruction_figure(digits, x_hat, titles=titles)
    images = shown(figure)
    for i in range(5):
        np.testing.assert_array_equal(images[2 * i], digits[i])
        np.testing.assert_array_equal(images[2 * i + 1], x_hat[i])
    assert [a.get_ylabel() for a in figure.axes[:2]] == ["original", "reconstruction"]
    written(figure, tmp_path)
    for top, bottom in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        assert top.get_position().y0 > bottom.get_position().y1
    tops = [a.get_position() for a in figure.axes[::2]]
    assert len({round(p.y0, 6) for p in tops}) == 1
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(tops))


def test_both_pictures_of_a_pair_have_the_same_range(digits):
    figure = reconstruction_figure(digits, digits * 3.0 - 200)
    ranges = [axes.images[0].get_clim() for axes in figure.axes]
    for i in range(5):
        assert ranges[2 * i] == ranges[2 * i + 1] == (digits[i].min(), digits[i].max())


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (10, 10), (12, 6), (21, 7)])
def test_many_samples_are_wrapped(n, columns, tmp_path):
    x = np.random.default_rng(0).random((n, 8, 8))
    figure = reconstruction_figure(x, x)
    assert len(shown(figure)) == 2 * n
    written(figure, tmp_path)
    assert len({round(axes.get_position().x0, 4) for axes in figure.axes}) == columns


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (1, 9, 7), (9, 7, 3), (3, 9, 7), (9, 7, 4)])
@pytest.mark.parametrize("flat", [False, True])
def test_what_is_an_image(shape, flat):
    x = np.random.default_rng(0).random((2, *shape))
    rows = x.reshape(2, -1) if flat else x
    images = shown(reconstruction_figure(rows, rows, sample_shape=shape if flat else None))
    assert len(images) == 4
    expected = np.moveaxis(x[0], 0, -1) if shape[0] == 3 else x[0].squeeze()
    np.testing.assert_allclose(images[0], expected)


@pytest.mark.parametrize("shape", [(12,), (200,), (200, 3), (3, 200), (2, 9, 7)])
def test_what_is_not_an_image(shape, tmp_path):
    x = np.random.default_rng(0).random((2, *shape))
    figure = reconstruction_figure(x, x)
    assert not shown(figure)
    written(figure, tmp_path)


def test_colours_are_those_of_the_file():
    x = np.full((1, 8, 8, 3), 51, dtype=np.uint8)
    x_hat = np.full((1, 8, 8, 3), 300.0)
    original, reconstruction = shown(reconstruction_figure(x, x_hat))
    np.testing.assert_allclose(original, 0.2)
    np.testing.assert_allclose(reconstruction, 1.0)


def test_a_signal_lies_under_its_reconstruction():
    x = np.random.default_rng(0).normal(size=(3, 200))
    figure = reconstruction_figure(x, x * 0.9)
    for axes, row in zip(figure.axes, x, strict=True):
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), row)
        np.testing.assert_allclose(axes.lines[1].get_ydata(), row * 0.9)
    assert legend_names(figure) == ["original", "reconstruction"]


@pytest.mark.parametrize("scale", [1.0, 1e5, -1e5])
def test_a_table_names_its_columns(scale, tmp_path):
    x = np.array([[1.0, 2.0, 3.0, 4.0 * scale], [2.0, 2.0, 5.0, 3.0 * scale]])
    names = ["age", "height", "costs $ or $$", "a name that is far too long for a small panel"]
    figure = reconstruction_figure(x, x + 0.5, names=names)
    written(figure, tmp_path)
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels[:2] == ["age", "height"]
    assert len(labels[3]) <= 24
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_xdata(), x[1])
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


@pytest.mark.parametrize("value", [0, 255])
def test_blank_images_keep_their_shade(value, tmp_path):
    x = np.full((1, 8, 8), value, dtype=np.uint8)
    figure = reconstruction_figure(x, x)
    assert figure.axes[0].images[0].get_clim() == (0, 255)
    written(figure, tmp_path)


def test_sizes_that_do_not_agree_are_refused(digits):
    with pytest.raises(DataError, match="Got 5 and 4 instead"):
        reconstruction_figure(digits, digits[:4])
    with pytest.raises(DataError, match=r"x_hat .* \(28, 28\)"):
        reconstruction_figure(digits, digits[:, :20])
    with pytest.raises(DataError, match="at least one sample"):
        reconstruction_figure(digits[:0], digits[:0])
    with pytest.raises(ParameterError, match=r"titles must hold one for each of 5 samples. Got 1"):
        reconstruction_figure(digits, digits, titles=["a"])
    with pytest.raises(ParameterError, match=r"names must hold one for each of 4 columns. Got 2"):
        reconstruction_figure(np.ones((2, 4)), np.ones((2, 4)), names=["a", "b"])


# --- maps


def scattered(figure):
    """Every point's place and colour, over all scatters of the map."""
    parts = figure.axes[0].collections
    places = np.concatenate([p.get_offsets() for p in parts])
    colours = [np.broadcast_to(p.get_facecolors(), (len(p.get_offsets()), 4)) for p in parts]
    return places, np.concatenate(colours)


def test_one_colour_a_label(points, tmp_path):
    labels = np.arange(400) % 10
    figure = map_figure(points, labels, title="digits")
    written(figure, tmp_path)
    places, colours = scattered(figure)
    order = [int(np.flatnonzero((points == place).all(axis=1))[0]) for place in places]
    for place, colour in zip(order, colours, strict=True):
        assert to_rgba(plots.PALETTE[labels[place]])[:3] == tuple(colour[:3])
    assert legend_names(figure) == [str(i) for i in range(10)]


def test_the_legend_stands_beside_the_map_and_in_the_figure(points, tmp_path):
    names = np.array(["a", "sandal with a very long name indeed", "_c", "$x$", "d", *"fghij"])
    for labels in (np.arange(400) % 10, np.arange(400) % 30, names[np.arange(400) % 10]):
        figure = map_figure(points * [1, 0.05], labels)
        path = tmp_path / "map.png"
        save(figure, path, overwrite=True)
        box = figure.legends[0].get_window_extent()
        assert figure.bbox.x0 <= box.x0
        assert figure.bbox.y0 <= box.y0
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
        assert not box.overlaps(figure.axes[0].get_window_extent())
    assert "_c" in legend_names(figure)


def test_ten_colours_are_told_apart_without_red_or_green_cones():
    # Machado, Oliveira and Fernandes (2009), severity 1; distances in OKLab (Ottosson 2020).
    sights = [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ]
    to_lms = np.array(
        [
            [0.41222147, 0.53633254, 0.05144599],
            [0.2119035, 0.68069955, 0.10739696],
            [0.08830246, 0.28171884, 0.62997870],
        ]
    )
    to_lab = np.array(
        [
            [0.21045426, 0.79361779, -0.00407205],
            [1.9779985, -2.4285922, 0.4505937],
            [0.0259040, 0.7827718, -0.8086758],
        ]
    )
    rgb = np.array([to_rgb(c) for c in plots.PALETTE])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for sight in sights:
        lab = np.cbrt(np.clip(linear @ np.transpose(sight), 0, 1) @ to_lms.T) @ to_lab.T
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)) > 0.07


def test_thirty_classes_have_thirty_colours(points):
    _, colours = scattered(map_figure(points, np.arange(400) % 30))
    assert len(np.unique(colours, axis=0)) == 30


def test_many_classes_are_named_on_the_map(points, tmp_path):
    labels = np.array([f"class {i % 40}" for i in range(400)])
    figure = map_figure(points, labels)
    assert not figure.legends
    texts = {t.get_text(): t.get_position() for t in figure.axes[0].texts}
    assert len(texts) == 40
    np.testing.assert_allclose(texts["class 7"], np.median(points[labels == "class 7"], axis=0))
    written(figure, tmp_path)


@pytest.mark.parametrize("labels", [np.linspace(0, 1, 400), np.arange(400), np.arange(400) / 2])
def test_a_quantity_has_a_colour_bar(points, labels, tmp_path):
    labels = labels.astype(float)
    labels[3] = np.nan
    figure = map_figure(points, labels)
    assert len(figure.axes) == 2
    written(figure, tmp_path)


def test_missing_labels_are_grey(points, tmp_path):
    labels = np.array(["cat", None, "dog", float("nan"), ""] * 80, dtype=object)
    figure = map_figure(points, labels)
    assert legend_names(figure) == ["cat", "dog", "no label"]
    _, colours = scattered(figure)
    assert (colours[:, :3] == to_rgb(plots.NO_LABEL)).all(axis=1).sum() == 240
    written(figure, tmp_path)
    written_path = tmp_path / "none.png"
    save(map_figure(points, np.array([None] * 400)), written_path)


def test_a_script_the_font_lacks_is_no_warning(points, tmp_path):
    written(map_figure(points, np.array(["靴", "shoe"])[np.arange(400) % 2]), tmp_path)


def test_whole_floats_are_classes(points):
    assert legend_names(map_figure(points, np.arange(400) % 3 * 1.0)) == ["0", "1", "2"]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("labelled", [False, True])
def test_few_points_are_inside_the_axes(n, labelled, tmp_path):
    points = np.arange(2.0 * n).reshape(n, 2)
    figure = map_figure(points, list("abc")[:n] if labelled else None)
    written(figure, tmp_path)
    axes = figure.axes[0]
    assert axes.get_xlim()[0] < points[:, 0].min() <= points[:, 0].max() < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < points[:, 1].min() <= points[:, 1].max() < axes.get_ylim()[1]


def test_what_is_not_a_map_is_refused(points):
    with pytest.raises(DataError, match=r"Got \(400, 1\)"):
        map_figure(points[:, :1])
    with pytest.raises(DataError, match=r"Got \(0, 2\)"):
        map_figure(points[:0])
    with pytest.raises(DataError, match="row 1 is"):
        map_figure([[0.0, 0.0], [np.inf, 1.0]])
    with pytest.raises(ParameterError, match=r"one a point. Got \(3,\)"):
        map_figure(points, [1, 2, 3])


# --- learning curves


def test_learning_curves_begin_at_epoch_one(tmp_path):
    figure = history_figure([0.024, 0.014, 0.012], [0.02, None, 0.021])
    train, validation, lowest = figure.axes[0].lines
    np.testing.assert_array_equal(train.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(train.get_ydata(), [0.024, 0.014, 0.012])
    np.testing.assert_array_equal(validation.get_ydata(), [0.02, np.nan, 0.021])
    assert (lowest.get_xdata()[0], lowest.get_ydata()[0]) == (1, 0.02)
    written(figure, tmp_path)


@pytest.mark.parametrize("train", [[0.1], [1.0, 0.01], [0.0, 0.0], [np.nan, 1.0], [-1.0, -50.0]])
def test_any_losses_can_be_drawn(train, tmp_path):
    written(history_figure(train, [np.nan] * len(train)), tmp_path)


def test_curves_of_different_length_are_refused():
    with pytest.raises(ParameterError, match=r"one for each of 2 epochs. Got 1"):
        history_figure([1.0, 2.0], [1.0])
    with pytest.raises(ParameterError, match="train_loss must hold one number an epoch"):
        history_figure([])


# --- files


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_the_same_figure_is_the_same_bytes(suffix, points, tmp_path):
    paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
    for path in paths:
        assert save(map_figure(points, np.arange(400) % 3), path) == path
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")


def test_an_unknown_suffix_names_the_known_ones(points, tmp_path):
    with pytest.raises(ParameterError, match=r"\.png, \.svg, \.pdf.* Got 'map\.gif' instead"):
        save(map_figure(points), tmp_path / "map.gif")
    assert not list(tmp_path.iterdir())


def test_a_figure_is_written_whole_or_not_at_all(points, tmp_path, monkeypatch):
    def half(self, path, **_):
        path.write_bytes(b"\x89PNG half")
        raise OSError("disk full")

    kept = tmp_path / "kept.png"
    kept.write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", half)
    for path in (tmp_path / "new.png", kept):
        with pytest.raises(OSError, match="disk full"):
            save(map_figure(points), path, overwrite=True)
    assert list(tmp_path.iterdir()) == [kept]
    assert kept.read_bytes() == b"old"


def test_a_file_is_not_replaced_unasked(points, tmp_path):
    path = tmp_path / "map.png"
    save(map_figure(points), path)
    with pytest.raises(InputError, match="already exists"):
        save(map_figure(points), path)
    save(map_figure(points), path, overwrite=True)


def test_nothing_of_the_callers_matplotlib_changes(tmp_path):
    code = f"""
import sys
from codeword.plots import map_figure, save
assert "matplotlib" not in sys.modules
import matplotlib
before = matplotlib.rcParams.copy()
save(map_figure([[0, 0], [1, 1]], ["a", "b"]), {str(tmp_path / "map.png")!r})
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)
