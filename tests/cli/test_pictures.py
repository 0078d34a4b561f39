"""One value has one shade, and samples are of one kind, in every picture, page and export of a model."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from codeword import MLP, AutoEncoder, load, plots
from codeword.export import look
from codeword.pages.content import gather


@pytest.fixture
def displays(do, monkeypatch, tmp_path):
    """How four ways to show a model's samples show them: report, export, and two commands."""
    monkeypatch.chdir(tmp_path)

    def found(model, data, source):
        seen = []
        for name in ("sample_figure", "reconstruction_figure"):
            make = getattr(plots, name)

            def spy(*rows, display, make=make, **how):
                seen.append(display)
                return make(*rows, display=display, **how)

            monkeypatch.setattr(plots, name, spy)
        model.save("m.ae")
        do("sample", "m.ae", "-n", 4, "-o", "s.png", "-q")
        do("reconstruct", "m.ae", source, "--samples", "3,4", "-o", "r.png", "-q")
        opened = AutoEncoder.load("m.ae")
        return [
            *seen,
            gather(opened, data, source="x", method="pca").display,
            look(opened, data, [1, 2]).display,
        ]

    return found


@pytest.mark.parametrize(
    ("dtype", "scaling", "ends"),
    [
        (np.uint8, "standard", (0, 255)),
        (np.uint8, "auto", (0, 255)),
        (np.float32, "standard", (0, 59)),
        (np.float32, "none", (0, 59)),
    ],
)
def test_a_value_has_one_shade_wherever_it_is_shown(displays, dtype, scaling, ends):
    x = np.random.default_rng(0).integers(0, 60, size=(50, 6, 6)).astype(dtype)
    x[0, 0, :2] = 0, 59
    np.save("x.npy", x)
    settings = {"network": MLP(hidden=(4,)), "epochs": 1, "random_state": 0, "device": "cpu"}
    found = displays(AutoEncoder(2, scaling=scaling, **settings).fit(x), load("x.npy"), "x.npy")
    assert len(found) == 4
    assert [(display.kind, display.low, display.high) for display in found] == [("image", *ends)] * 4


def test_the_person_says_what_samples_are(do, refused, saved_model, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    curve, few = ["--display", "curve"], ["--points", 20, "--method", "pca"]
    do("export", saved_model, "digits", "--parquet", "d.parquet", *few, *curve, "-q")
    assert "signal" in pq.read_schema("d.parquet").names
    do("report", saved_model, "digits", "-o", "r.html", *few, *curve, "-q")
    assert '"kind": "curve"' in Path("r.html").read_text() or '"kind":"curve"' in Path("r.html").read_text()
    commands = {
        "sample": ["-n", 4],
        "traverse": [],
        "reconstruct": ["digits"],
        "interpolate": ["digits"],
        "neighbors": ["digits", "--query", 3],
    }
    for command, words in commands.items():
        do(command, saved_model, *words, "-o", f"{command}.svg", "--display", "table", "-q")
        assert "<!-- x12 -->" in Path(f"{command}.svg").read_text()
    said = refused("sample", saved_model, "-o", "s.png", "--display", "photo")
    assert "--display must be one of image, curve, table. Got 'photo' instead" in said
