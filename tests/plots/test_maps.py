import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba
from PIL import Image

from codeword import plots
from codeword.base.errors import DataError, ParameterError
from codeword.data.labels import classes_of
from codeword.plots import map_figure, save


def legend_names(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def written(figure, tmp_path):
    """Draw everything: layout, fonts and text are only looked at then."""
    path = tmp_path / "figure.png"
    save(figure, path)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(400, 2))


def scattered(figure):
    """Every point's place and color, over all scatters of the map."""
    parts = figure.axes[0].collections
    places = np.concatenate([p.get_offsets() for p in parts])
    colors = [np.broadcast_to(p.get_facecolors(), (len(p.get_offsets()), 4)) for p in parts]
    return places, np.concatenate(colors)


def test_one_color_a_label(points, tmp_path):
    labels = np.arange(400) % 10
    figure = map_figure(points, labels, title="digits")
    written(figure, tmp_path)
    places, colors = scattered(figure)
    order = [int(np.flatnonzero((points == place).all(axis=1))[0]) for place in places]
    for place, color in zip(order, colors, strict=True):
        assert to_rgba(plots.PALETTE[labels[place]])[:3] == tuple(color[:3])
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


def test_ten_colors_are_told_apart_without_red_or_green_cones():
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


def test_thirty_classes_have_thirty_colors(points):
    _, colors = scattered(map_figure(points, np.arange(400) % 30))
    assert len(np.unique(colors, axis=0)) == 30


def test_many_classes_are_named_on_the_map(points, tmp_path):
    labels = np.array([f"class {i % 40}" for i in range(400)])
    figure = map_figure(points, labels)
    assert not figure.legends
    texts = {t.get_text(): t.get_position() for t in figure.axes[0].texts}
    assert len(texts) == 40
    np.testing.assert_allclose(texts["class 7"], np.median(points[labels == "class 7"], axis=0))
    written(figure, tmp_path)


@pytest.mark.parametrize("labels", [np.linspace(0, 1, 400), np.arange(400), np.arange(400) / 2])
def test_a_quantity_has_a_color_bar(points, labels, tmp_path):
    labels = labels.astype(float)
    labels[3] = np.nan
    figure = map_figure(points, labels)
    assert len(figure.axes) == 2
    written(figure, tmp_path)


def test_missing_labels_are_gray(points, tmp_path):
    labels = np.array(["cat", None, "dog", float("nan"), ""] * 80, dtype=object)
    figure = map_figure(points, labels)
    assert legend_names(figure) == ["cat", "dog", "no label"]
    _, colors = scattered(figure)
    assert (colors[:, :3] == to_rgb(plots.NO_LABEL)).all(axis=1).sum() == 240
    written(figure, tmp_path)
    written_path = tmp_path / "none.png"
    save(map_figure(points, np.array([None] * 400)), written_path)


def test_a_script_the_font_lacks_is_no_warning(points, tmp_path):
    written(map_figure(points, np.array(["靴", "shoe"])[np.arange(400) % 2]), tmp_path)


def test_labels_are_what_they_are_among_all_rows_though_few_are_drawn(points):
    labels = classes_of(np.arange(1000) % 150, 1000)
    figure = map_figure(points[:60], labels.take(np.arange(60)))
    assert len(figure.axes) == 1  # no color bar
    assert len(figure.axes[0].texts) == 60


def test_whole_floats_are_classes(points):
    assert legend_names(map_figure(points, np.arange(400) % 3 * 1.0)) == ["0", "1", "2"]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("labeled", [False, True])
def test_few_points_are_inside_the_axes(n, labeled, tmp_path):
    points = np.arange(2.0 * n).reshape(n, 2)
    figure = map_figure(points, list("abc")[:n] if labeled else None)
    written(figure, tmp_path)
    axes = figure.axes[0]
    assert axes.get_xlim()[0] < points[:, 0].min() <= points[:, 0].max() < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < points[:, 1].min() <= points[:, 1].max() < axes.get_ylim()[1]


def test_what_is_not_a_map_is_refused(points):
    with pytest.raises(DataError, match=r"Got \(400, 1\)"):
        map_figure(points[:, :1])
    with pytest.raises(DataError, match=r"Got \(0, 2\)"):
        map_figure(points[:0])
    with pytest.raises(DataError, match="the first in row 1"):
        map_figure([[0.0, 0.0], [np.inf, 1.0]])
    with pytest.raises(ParameterError, match=r"one a point. Got \(3,\)"):
        map_figure(points, [1, 2, 3])
