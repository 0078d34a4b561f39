import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from codeword.base.errors import InputError, ParameterError
from codeword.plots import map_figure, save


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(400, 2))


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
import matplotlib
before = matplotlib.rcParams.copy()
from codeword.plots import map_figure, save
save(map_figure([[0, 0], [1, 1]], ["a", "b"]), {str(tmp_path / "map.png")!r})
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)
