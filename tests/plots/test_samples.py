import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from PIL import Image

from codeword import Columns
from codeword.base.errors import DataError, ParameterError
from codeword.data.display import display_of
from codeword.plots import reconstruction_figure, sample_figure, save
from codeword.plots.style import RECONSTRUCTION


@pytest.fixture
def images():
    """Sixty-four images without a white pixel, so that what is white in a picture is a gap."""
    return np.random.default_rng(0).integers(0, 250, size=(64, 12, 12), dtype=np.uint8)


@pytest.fixture
def curves():
    """Six sine curves of 50 values; the second goes twice as high as the first."""
    t = np.linspace(0, 2 * np.pi, 50)
    return np.stack([height * np.sin(t) for height in (0.5, 1.0, 0.1, -0.3, 0.7, 0.2)])


def picture(figure, tmp_path):
    """The pixels of the figure's file, (h, w, 3)."""
    path = tmp_path / "samples.png"
    save(figure, path, overwrite=True)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def runs(white):
    """Start and stop of each run of what is not white."""
    edges = np.flatnonzero(np.diff(np.r_[True, white, True].astype(int)))
    return list(zip(edges[::2], edges[1::2], strict=True))


def cells(pixels):
    """The images of a picture without words, row by row, as they are in its file."""
    white = (pixels == 255).all(axis=2)
    return [
        [pixels[top:bottom, left:right] for left, right in runs(white.all(axis=0))]
        for top, bottom in runs(white.all(axis=1))
    ]


def words(figure):
    """Every text of the page and its place in dots: left, bottom, right, top."""
    figure.set_dpi(200)
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    return {text: text.get_window_extent().extents for text in texts}


def shown(figure):
    return [text.get_text() for text in words(figure)]


def apart(a, b):
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def require_room(figure):
    """No word lies on another or hangs over the edge of the page."""
    places = words(figure)
    width, height = figure.get_size_inches() * 200
    for text, (left, bottom, right, top) in places.items():
        assert left >= 0 and bottom >= 0 and right <= width and top <= height, text.get_text()  # noqa: PT018
    for (a, place), (b, other) in itertools.combinations(places.items(), 2):
        assert apart(place, other), (a.get_text(), b.get_text())


def collections(figure, kind):
    return [c for c in figure.axes[0].collections if isinstance(c, kind)]


def drawn_curves(figure):
    """The curves of a figure as they lie on its page, (n, length, 2): the last lines drawn."""
    return np.array(collections(figure, LineCollection)[-1].get_segments())


# --- images


def test_sixty_four_images_are_eight_by_eight_and_crisp(images, tmp_path):
    """Every pixel of a sample is a square of pixels in the file, of its own shade."""
    found = cells(picture(sample_figure(images), tmp_path))
    assert [len(row) for row in found] == [8] * 8
    side = len(found[0][0]) // 12
    assert side > 4
    for image, cell in zip(images, itertools.chain(*found), strict=True):
        np.testing.assert_array_equal(cell[..., 0], image.repeat(side, axis=0).repeat(side, axis=1))


@pytest.mark.parametrize(
    ("n", "shape", "columns"),
    [
        (1, (9, 9), 1),
        (3, (9, 9), 3),
        (10, (9, 9), 5),
        (9, (12, 9), 3),
        (400, (4, 4), 20),
        (16, (8, 32), 2),
        (16, (32, 8), 8),
    ],
)
def test_a_grid_is_about_square(n, shape, columns, tmp_path):
    found = cells(picture(sample_figure(np.zeros((n, *shape), np.uint8)), tmp_path))
    assert len(found[0]) == columns
    assert len(found) == -(-n // columns)


def test_columns_are_those_asked_for(images, tmp_path):
    found = cells(picture(sample_figure(images[:7], columns=3), tmp_path))
    assert [len(row) for row in found] == [3] * 3
    assert (found[2][2] == 255).all()
    pixels = picture(sample_figure(images[:2], columns=3), tmp_path)
    first, last = runs((pixels == 255).all(axis=(0, 2)))
    assert pixels.shape[1] - last[1] == pytest.approx(first[0], abs=4)


def test_four_hundred_images_are_one_picture(images):
    figure = sample_figure(np.repeat(images, 7, axis=0)[:400])
    assert len(figure.axes) == 1
    assert len(figure.axes[0].images) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 51], np.uint8), [0, 51]),
        ([0.0, 0.2], [0, 51]),
        ([0.0, 200.0], [0, 200]),
        ([0.0, 16.0], [0, 255]),
        ([-1.0, 1.0], [0, 255]),
        ([0.0, 500.0], [0, 255]),
        ([False, True], [0, 255]),
    ],
)
def test_all_images_share_a_range(values, expected, tmp_path):
    x = np.asarray(values)[:, None, None].repeat(4, axis=1).repeat(4, axis=2)
    left, right = (len(picture(sample_figure(x, columns=2), tmp_path)[0]) * share // 4 for share in (1, 3))
    pixels = picture(sample_figure(x, columns=2), tmp_path)
    assert [pixels[len(pixels) // 2, place, 0] for place in (left, right)] == expected


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (1, 9, 7), (9, 7, 3), (3, 9, 7), (9, 7, 4)])
@pytest.mark.parametrize("flat", [False, True])
def test_what_is_an_image(shape, flat, tmp_path):
    x = np.random.default_rng(0).integers(0, 250, size=(2, *shape), dtype=np.uint8)
    rows = x.reshape(2, -1) if flat else x
    figure = sample_figure(rows, sample_shape=shape if flat else None)
    [row] = cells(picture(figure, tmp_path))
    side = len(row[0]) // 9
    small = row[1][::side, ::side]
    expected = np.moveaxis(x[1], 0, -1) if shape[0] == 3 else x[1]
    expected = expected.reshape(9, 7, -1).astype(float)
    if shape == (9, 7, 4):  # on white
        opaque = expected[..., 3:] / 255
        expected = expected[..., :3] * opaque + 255 * (1 - opaque)
    np.testing.assert_allclose(small, np.broadcast_to(expected, (9, 7, 3)), atol=0.51)


def test_large_images_are_made_smaller(tmp_path):
    x = np.zeros((9, 600, 450, 3), dtype=np.uint8)
    x[:, :, :, 1] = 80
    x[:, 200:, :, 1] = 160
    figure = sample_figure(x)
    pixels = picture(figure, tmp_path)
    assert max(pixels.shape) < 1500
    assert figure.axes[0].images[0].get_array().nbytes < x.nbytes
    for cell in itertools.chain(*cells(pixels)):
        third = len(cell) // 3
        assert (cell[4 : third - 4, 4:-4, 1] == 80).all()
        assert (cell[third + 4 : -4, 4:-4, 1] == 160).all()


def test_pixels_that_are_missing_are_left_out(tmp_path):
    x = np.zeros((1, 8, 8))
    x[0, 2, 3] = np.nan
    pixels = picture(sample_figure(x), tmp_path)
    assert (pixels == 255).any(axis=2).sum() > 0
    x[:] = np.nan
    assert (picture(sample_figure(x), tmp_path) == 255).all()


# --- words


@pytest.mark.parametrize("kind", ["images", "curves"])
@pytest.mark.parametrize("long", ["none", "titles", "row_titles", "column_titles"])
def test_words_have_room(kind, long, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, *{"images": (4, 24), "curves": (60,)}[kind])) * 1e4
    titles = {
        "titles": [f"{1000 * i}\n{i / 7:.4f}" for i in range(24)],
        "row_titles": [f"z{i}\n0.0123\n0.0045" for i in range(3)],
        "column_titles": ["a", *(f"{v:.3g}" for v in np.arange(1, 7) / 7), "b"],
    }
    if long != "none":
        titles[long] = [f"{text} and very much more than fits" for text in titles[long]]
    figure = sample_figure(x, columns=8, mark_columns=1, mark_last=1, **titles)
    picture(figure, tmp_path)
    require_room(figure)
    texts = shown(figure)
    assert all(len(line) <= 24 for text in texts for line in text.splitlines())
    for name, given in titles.items():
        assert name == long or set(given) <= set(texts)


def test_titles_of_rows_may_be_higher_than_the_rows():
    require_room(sample_figure(np.zeros((3, 4, 400)), columns=1, row_titles=["a\nb\nc"] * 3))


def test_words_stand_where_they_belong(images):
    figure = sample_figure(
        images[:6],
        titles=list("abcdef"),
        row_titles=["one", "two"],
        column_titles=["x", "y", "z"],
        columns=3,
    )
    place = {text.get_text(): box for text, box in words(figure).items()}
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    height = figure.get_size_inches()[1] * 200
    assert place["one"][2] < left
    assert place["a"][0] > left
    assert place["c"][2] < right
    assert place["a"][1] > height - top
    assert place["x"][1] >= place["a"][3]
    assert height - top > place["one"][1] > place["d"][3] > place["two"][3] > height - bottom


def test_a_dollar_is_no_mathematics(images, tmp_path):
    figure = sample_figure(images[:2], titles=["$x$", "costs $ 1"])
    picture(figure, tmp_path)
    assert shown(figure) == [r"\$x\$", r"costs \$ 1"]


def test_a_script_the_font_lacks_is_no_warning(images, tmp_path):
    picture(sample_figure(images[:2], titles=["靴", "shoe"]), tmp_path)


def test_marked_columns_are_set_apart(images, tmp_path):
    plain = sample_figure(images[:10], columns=5)
    gaps = np.diff([left for left, _ in runs((picture(plain, tmp_path) == 255).all(axis=(0, 2)))])
    assert len(set(gaps)) == 1
    figure = sample_figure(images[:10], columns=5, mark_columns=1, mark_last=1)
    pixels = picture(figure, tmp_path)
    lefts = [left for left, right in runs((pixels == 255).all(axis=(0, 2))) if right - left > 20]
    after = np.diff(lefts)
    assert after[1] == after[2] == gaps[0]
    assert after[0] == after[3] > gaps[0]
    rules = [line.get_xdata()[0] for line in figure.axes[0].lines]
    assert lefts[0] < rules[0] < lefts[1] < lefts[3] < rules[1] < lefts[4]


# --- curves


@pytest.mark.parametrize("shape", [(50,), (20,), (200, 3), (3, 200), (6, 2), (2, 9, 7)])
def test_what_is_a_curve(shape, tmp_path):
    figure = sample_figure(np.random.default_rng(0).normal(size=(5, *shape)))
    lines = drawn_curves(figure)
    assert lines.shape == (5, {50: 50, 20: 20, 200: 200, 3: 200, 6: 6, 2: 126}[shape[0]], 2)
    picture(figure, tmp_path)
    require_room(figure)


def test_curves_share_a_range_of_values(curves):
    lines = drawn_curves(sample_figure(curves))
    down = lines[:, :, 1]
    ranges = np.ptp(down, axis=1)
    np.testing.assert_allclose(ranges / ranges[1], np.ptp(curves, axis=1) / np.ptp(curves[1]))
    # Dots are counted downwards.
    assert down[0].argmin() == curves[0].argmax()


def test_the_values_beside_curves_are_those_of_their_lines(curves):
    figure = sample_figure(curves, columns=2)
    height = figure.get_size_inches()[1] * 200
    low = drawn_curves(figure)[4, :, 1]
    scale = np.polyfit(curves[4], low, 1)
    for text, (_, bottom, _, top) in words(figure).items():
        if text.get_text() not in ("0", "49") or text.get_va() == "center":
            value = float(text.get_text().replace("−", "-"))
            assert height - (bottom + top) / 2 == pytest.approx(np.polyval(scale, value), abs=2)
    assert {"0", "49", "1", "−1"} <= set(shown(figure))


def test_marked_curves_have_another_color(curves):
    lines = collections(sample_figure(curves, columns=3, mark_columns=1), LineCollection)[-1]
    first, second, third, fourth, *_ = lines.get_colors().tolist()
    assert first == fourth != second == third


@pytest.mark.parametrize("value", [0.0, 5.0, -1e9, np.nan])
@pytest.mark.parametrize("d", [1, 4, 40])
def test_rows_without_a_range_can_be_drawn(value, d, tmp_path):
    figure = sample_figure(np.full((3, d), value))
    picture(figure, tmp_path)
    require_room(figure)


@pytest.mark.parametrize("most", [0.9, 0.98, 1.5, 2.2, 3])
def test_the_numbers_beside_curves_have_room(most):
    x = np.tile(most * np.cos(np.linspace(0, 9, 40)), (24, 1))
    for columns in (1, 6, 12):
        require_room(sample_figure(x, columns=columns))


def test_values_that_are_missing_leave_gaps(curves, tmp_path):
    whole = picture(sample_figure(curves), tmp_path)
    for value in (np.nan, np.inf):
        broken = curves.copy()
        broken[0, 10] = value
        pixels = picture(sample_figure(broken), tmp_path)
        assert pixels.shape == whole.shape
        changed = (pixels != whole).any(axis=2)
        assert 0 < changed.sum() < 500


def test_values_far_from_zero_are_told_apart():
    x = 1e6 + np.linspace(0, 1, 30)[None]
    ticks = [text for text in shown(sample_figure(x)) if text not in ("0", "29")]
    assert len(set(ticks)) == len(ticks) >= 2
    assert all(1e6 <= float(text) <= 1e6 + 1 for text in ticks)


# --- tables


def lines_of(figure):
    """The texts of a table's picture, line by line, each from left to right."""
    rows = {}
    for text in figure.axes[0].texts:
        rows.setdefault(round(text.get_position()[1], 3), []).append(
            (text.get_position()[0], text.get_text())
        )
    return [[text for _, text in sorted(row)] for _, row in sorted(rows.items())]


def off(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_color() == RECONSTRUCTION]


@pytest.fixture
def people():
    """A mixed table and its columns."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "color": rng.choice(["red", "blue"], 60),
            "size": 10 + 3 * rng.normal(size=60),
            "new": rng.random(60) < 0.5,
            "since": pd.date_range("2020-01-01", periods=60).strftime("%Y-%m-%d"),
        }
    )
    frame.loc[5, "size"] = np.nan
    return frame, Columns().fit(frame)


def test_rows_of_a_table_stand_under_the_names_of_its_columns(tmp_path):
    x = np.array([[1.0, 0.12345, 123456.7], [2.0, np.nan, -0.5]])
    figure = sample_figure(x, names=["age", "height", "costs $"])
    picture(figure, tmp_path)
    require_room(figure)
    assert lines_of(figure) == [
        ["age", "height", r"costs \$"],
        ["", "1", "0.1235", "123457"],
        ["", "2", "–", "-0.5"],
    ]
    assert lines_of(sample_figure(x))[0] == ["x0", "x1", "x2"]


def test_what_is_said_of_a_row_of_the_grid_stands_before_the_rows_of_the_table():
    figure = sample_figure(
        np.zeros((4, 2)), columns=2, row_titles=["3 → 5\nnear", "4 → 7"], column_titles=["from", "to"]
    )
    assert [row[0] for row in lines_of(figure)[1:]] == ["3 → 5, near, from", "to", "4 → 7, from", "to"]
    tops = sorted({text.get_position()[1] for text in figure.axes[0].texts})
    first, between, second = np.diff(tops[1:])
    assert between > first == pytest.approx(second)


def test_a_wide_table_says_what_it_leaves_out():
    names = [f"column {i}" for i in range(19)]
    texts = [text for row in lines_of(sample_figure(np.zeros((2, 19)), names=names)) for text in row]
    assert "and 3 more columns" in texts
    assert "column 15" in texts
    assert "column 16" not in texts


def test_rows_of_a_table_stand_above_their_reconstructions_with_what_is_off_in_color():
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    errors = np.array([[0.2, -0.8], [0.0, np.nan]])
    figure = reconstruction_figure(
        x, x + errors, titles=["row 0\nerror 1", "b"], names=["a", "b"], errors=errors
    )
    assert lines_of(figure)[1:3] == [["row 0, error 1", "1", "2"], ["reconstruction", "1.2", "1.2"]]
    assert off(figure) == ["1.2"]
    assert lines_of(figure)[-1] == ["in color: more than 0.7 scaled units away"]
    plain = reconstruction_figure(x, x, names=["a", "b"], errors=np.zeros((2, 2)))
    assert off(plain) == []
    assert lines_of(plain)[-1][0] == "reconstruction"


def test_a_mixed_table_has_its_own_cells(people, tmp_path):
    frame, columns = people
    rows = columns.transform(frame).x[:8]
    display = display_of(rows.shape[1:], columns=columns)
    figure = sample_figure(rows, display=display)
    picture(figure, tmp_path)
    require_room(figure)
    found = lines_of(figure)
    assert found[0] == list(frame.columns)
    assert found[1][1] == frame["color"][0]
    assert found[1][3:] == [str(frame["new"][0]).lower(), frame["since"][0]]
    assert found[6][2] == "–"


def test_cells_of_a_mixed_table_that_differ_are_in_color(people):
    frame, columns = people
    x = columns.transform(frame).x[:2]
    other = columns.transform(frame.assign(color="red", new=True, size=frame["size"].fillna(9) + 30)).x[:2]
    display = display_of(x.shape[1:], columns=columns)
    figure = reconstruction_figure(x, other, display=display, errors=other - x)
    wanted = []
    for i in range(2):
        wanted += ["red"] * (frame["color"][i] != "red") + [f"{frame['size'][i] + 30:.4g}"]
        wanted += ["true"] * (not frame["new"][i])
    assert off(figure) == wanted
    assert lines_of(figure)[-1][0] == "in color: more than 0.7 scaled units away, or another category"
    missing = columns.transform(frame).x[5:6]
    figure = reconstruction_figure(missing, x[:1], display=display, errors=np.nan_to_num(x[:1] - missing))
    assert f"{frame['size'][0]:.4g}" in off(figure)


# --- reconstructions


def pairs_of(figure, tmp_path):
    """The images of a picture of pairs, without the words at their left."""
    left = int(figure.axes[0].images[0].get_extent()[0])
    return cells(picture(figure, tmp_path)[:, left - 4 :])


def test_images_stand_above_their_reconstructions(images, tmp_path):
    titles = [f"{i}\nerror $0.01" for i in range(5)]
    figure = reconstruction_figure(images[:5], images[:5] // 2, titles=titles)
    picture(figure, tmp_path)
    require_room(figure)
    assert shown(figure).count("original") == shown(figure).count("reconstruction") == 1
    found = pairs_of(reconstruction_figure(images[:5], images[:5] // 2), tmp_path)
    assert [len(row) for row in found] == [5, 5]
    side = len(found[0][0]) // 12
    for i in range(5):
        for row, rows in zip(found, (images, images // 2), strict=True):
            np.testing.assert_array_equal(row[i][::side, ::side, 0], rows[i])


def test_pairs_have_the_black_and_white_of_the_originals(tmp_path):
    x = np.array([[-1.0, 1.0], [0.0, 0.0]])[:, :, None].repeat(8, axis=1).reshape(2, 4, 4)
    figure = reconstruction_figure(x, 3 * x)
    pixels = figure.axes[0].images[0].get_array()
    assert pixels[2, 2, 0] == 0
    assert pixels[len(pixels) - 3, 2, 0] == 255  # cut
    assert pixels[2, -3, 0] in (127, 128)


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (10, 10), (12, 6), (21, 7)])
def test_many_pairs_are_wrapped(n, columns, tmp_path):
    x = np.random.default_rng(0).integers(0, 250, size=(n, 8, 8), dtype=np.uint8)
    found = pairs_of(reconstruction_figure(x, x), tmp_path)
    assert [len(row) for row in found][:2] == [columns] * 2
    assert len(found) == 2 * -(-n // columns)


def test_a_curve_lies_under_its_reconstruction(curves, tmp_path):
    figure = reconstruction_figure(curves, curves * 0.5, titles=["a"] * 6)
    picture(figure, tmp_path)
    require_room(figure)
    *_, first, second = (np.array(c.get_segments()) for c in collections(figure, LineCollection))
    np.testing.assert_allclose(np.ptp(second[:, :, 1], axis=1), 0.5 * np.ptp(first[:, :, 1], axis=1))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["original", "reconstruction"]
    several = reconstruction_figure(np.zeros((2, 30, 3)), np.ones((2, 30, 3)))
    assert len(collections(several, LineCollection)) == 1 + 2 * 3


def test_reconstructions_that_do_not_fit_are_refused(images):
    with pytest.raises(DataError, match=r"Got 5 and 4 instead"):
        reconstruction_figure(images[:5], images[:4])
    with pytest.raises(DataError, match=r"x_hat .* \(12, 12\)"):
        reconstruction_figure(images, images[:, :10])
    with pytest.raises(DataError, match="at least one sample"):
        reconstruction_figure(images[:0], images[:0])
    with pytest.raises(ParameterError, match=r"titles must hold one for each of 64 samples\. Got 1"):
        reconstruction_figure(images, images, titles=["a"])
    with pytest.raises(ParameterError, match=r"names must hold one for each of 4 columns\. Got 2"):
        reconstruction_figure(np.ones((2, 4)), np.ones((2, 4)), names=["a", "b"])


def test_the_person_can_say_what_samples_are():
    assert collections(sample_figure(np.zeros((2, 8, 8)), display="curve"), LineCollection)
    assert lines_of(sample_figure(np.zeros((2, 30)), display="table"))[0][:2] == ["x0", "x1"]
    with pytest.raises(ParameterError, match=r".display. parameter of display_of must be one of"):
        sample_figure(np.zeros((2, 30)), display="picture")


# --- errors and files


def test_what_does_not_fit_is_refused(images):
    with pytest.raises(DataError, match=r"x must have at least one sample, each of the shape \(12, 12\)"):
        sample_figure(images[:0])
    with pytest.raises(DataError, match=r"shape \(5, 5\) or flat. Got the shape \(64, 12, 12\) instead"):
        sample_figure(images, sample_shape=(5, 5))
    with pytest.raises(ParameterError, match=r"titles must hold one for each of 64 samples. Got 1"):
        sample_figure(images, titles=["a"])
    with pytest.raises(ParameterError, match=r"row_titles must hold one for each of 8 rows. Got 3"):
        sample_figure(images, columns=8, row_titles=["a"] * 3)
    with pytest.raises(ParameterError, match=r"column_titles must hold one for each of 8 columns. Got 3"):
        sample_figure(images, columns=8, column_titles=["a"] * 3)
    with pytest.raises(ParameterError, match=r"names must hold one for each of 4 columns. Got 2"):
        sample_figure(np.ones((2, 4)), names=["a", "b"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": 0}, "'columns' .* a whole number of 1 or more. Got 0 instead"),
        ({"columns": 2.5}, "'columns' .* Got 2.5 instead"),
        ({"columns": 4, "mark_columns": 5}, "'mark_columns' .* from 0 to 4. Got 5 instead"),
        ({"columns": 4, "mark_columns": 3, "mark_last": 2}, "'mark_last' .* from 0 to 1. Got 2 instead"),
        ({"columns": 4, "mark_columns": 4, "mark_last": 1}, "'mark_last' .* from 0 to 0. Got 1 instead"),
        ({"mark_columns": True}, "'mark_columns' .* Got True instead"),
    ],
)
def test_numbers_of_columns_are_checked(images, given, message):
    with pytest.raises(ParameterError, match=message):
        sample_figure(images, **given)


@pytest.mark.parametrize("kind", ["images", "curves", "table"])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_figure_is_the_same_bytes(kind, suffix, tmp_path):
    x = np.random.default_rng(0).normal(size=(6, *{"images": (9, 9), "curves": (30,), "table": (4,)}[kind]))
    paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
    for path in paths:
        save(sample_figure(x, titles=list("abcdef"), columns=3, mark_columns=1), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
