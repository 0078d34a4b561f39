import json

import numpy as np
import pandas as pd
import pytest

from codeword import Columns
from codeword.base.errors import ParameterError
from codeword.data.display import Display, display_of


@pytest.mark.parametrize(
    ("shape", "names", "kind"),
    [
        ((9, 7), None, "image"),
        ((9, 7, 1), None, "image"),
        ((1, 9, 7), None, "image"),
        ((9, 7, 3), None, "image"),
        ((3, 9, 7), None, "image"),
        ((9, 7, 4), None, "image"),
        ((8, 8), ["p"] * 64, "image"),  # pixels from the columns of a table
        ((3,), None, "table"),
        ((19,), None, "table"),
        ((20,), None, "curve"),
        ((20, 1), None, "curve"),
        ((3, 2), None, "curve"),
        ((200, 3), None, "curve"),
        ((3, 200), None, "curve"),
        ((2, 9, 7), None, "curve"),
        ((784,), None, "curve"),
        ((784,), ["p"] * 784, "table"),
    ],
)
def test_what_samples_are_is_seen_by_their_shape_and_names(shape, names, kind):
    assert display_of(shape, names=names).kind == kind


def test_columns_without_names_are_called_as_in_the_files_that_are_written():
    assert display_of((3,)).names == ("x0", "x1", "x2")


def test_the_person_can_say_what_samples_are():
    assert display_of((8, 8), kind="curve").curves(np.zeros((5, 64))).shape == (5, 8, 8)
    assert display_of((8, 8), kind="table").names[-1] == "x63"
    assert display_of((30,), names=["c"] * 30, kind="curve").names == ()
    with pytest.raises(ParameterError, match=r"one of image, curve, table\. Got 'photo' instead"):
        display_of((8, 8), kind="photo")
    with pytest.raises(ParameterError, match=r"shape \(784,\)\. Got .image. instead: give rows"):
        display_of((784,), kind="image")
    with pytest.raises(ParameterError, match=r"one for each of 4 columns\. Got 2"):
        display_of((4,), names=["a", "b"])
    columns = Columns().fit(pd.DataFrame({"a": list("xyxy"), "b": [1.0, 2.0, 3.0, 4.5]}))
    with pytest.raises(ParameterError, match=r"must be .table. for a mixed table"):
        display_of((3,), columns=columns, kind="curve")


@pytest.mark.parametrize(
    ("given", "ends"),
    [
        ({"scaling": "unit", "dtype": "uint8"}, (0, 1)),
        ({"scaling": "pixels", "dtype": "float32"}, (0, 255)),
        ({"scaling": "standard", "dtype": "uint8", "limits": (0, 59)}, (0, 255)),
        ({"scaling": "standard", "dtype": "float32", "limits": (-2, 3)}, (-2, 3)),
        ({"scaling": "standard", "dtype": "float32", "limits": (2, 2)}, (2, 3)),
        ({"rows": np.full((2, 4, 4), 9, np.uint8)}, (0, 255)),
        ({"rows": np.full((2, 4, 4), 0.5)}, (0, 1)),
        ({"rows": np.full((2, 4, 4), True)}, (0, 1)),
        ({"rows": np.full((2, 4, 4), 200.0)}, (0, 255)),
        ({"rows": np.linspace(0, 16, 32).reshape(2, 4, 4)}, (0, 16)),
        ({"rows": np.linspace(-1, 1, 32).reshape(2, 4, 4)}, (-1, 1)),
        ({"rows": np.full((2, 4, 4), np.nan)}, (0, 1)),
    ],
)
def test_black_and_white(given, ends):
    display = display_of((4, 4), **given)
    assert (display.low, display.high) == ends


def test_values_in_eight_bits():
    rows = np.array([[[0.0, 0.5, 1.0, 2.0], [-1.0, np.nan, 0.25, 0.75]] * 2])
    assert Display("image", (4, 4)).pixels(rows)[0, :2].tolist() == [[0, 128, 255, 255], [0, 0, 64, 191]]
    color = np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4)  # channels first, as torch has them
    pixels = Display("image", (3, 4, 4), 0.0, 255.0).pixels(color)
    np.testing.assert_array_equal(pixels, np.moveaxis(color, 1, -1))


def test_what_errors_are_called():
    assert display_of((4,), names=list("abcd")).feature_name(2) == "c"
    assert display_of((30,)).feature_name(2) == "x2"
    assert display_of((3, 8, 8)).feature_name(65) == "1,0,1"


def test_a_page_can_draw_what_is_described():
    for display in (display_of((3, 8, 8)), display_of((2, 30)), display_of((4,), names=list("abcd"))):
        json.dumps(display.described())
    assert display_of((3, 8, 8)).described()["planes"]
    assert not display_of((8, 8, 3)).described()["planes"]
    assert display_of((2, 30)).described()["planes"]
