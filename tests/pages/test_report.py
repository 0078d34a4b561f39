"""`codeword report`: what the file holds, without a browser."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from codeword import MLP, AutoEncoder, Data, Sequence, evaluate, load
from codeword.cli.main import run
from codeword.data.display import display_of
from codeword.pages.content import gather, packed
from codeword.pages.decoder import Unsupported, program_of
from codeword.pages.report import make_report

BAD = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def rows():
    """60 held-out digits."""
    digits = load("digits", "test")
    return Data(digits.x[:60], digits.y[:60], source="digits")


def collected(ae, data, **options):
    return gather(ae, data, source=data.source, method="pca", **options)


@pytest.fixture(scope="module")
def content(model, rows):
    return collected(model, rows)


@pytest.fixture(scope="module")
def page(model, content):
    return make_report(content)


def inside(html, name="content"):
    """The JSON that the page's script reads."""
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html)[1])


def markup(html):
    """The page without scripts and data."""
    return re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


# -- the file -----------------------------------------------------------------------------------------------


def test_the_page_asks_nothing_of_anybody(page):
    assert not re.findall(r"(?:src|href|action)\s*=\s*\"(?!data:)", markup(page.html))
    assert not re.findall(r"<(?:iframe|object|embed|form)\b|@import|url\(", markup(page.html))
    assert "<script src" not in page.html
    assert "default-src 'none'" in page.html


def test_the_command_writes_one_file(saved_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["report", str(saved_model), "digits", "--method", "pca", "--points", "50", "-o", "r.html"]
    assert run([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    assert said["bytes"] == (tmp_path / "r.html").stat().st_size
    assert (said["n"], said["points"], said["pictures"]) == (359, 50, 50)
    before = (tmp_path / "r.html").read_bytes()
    assert run(words) == 2
    assert "r.html already exists" in capsys.readouterr().err
    assert (tmp_path / "r.html").read_bytes() == before
    assert run([*words[:-1], "r.png"]) == 2
    assert "use .html" in capsys.readouterr().err


def test_the_figures_are_those_of_evaluate(model, rows, content, page):
    metrics = evaluate(model, rows)
    assert content.metrics == metrics
    for key in ("mse", "pca_mse", "worst_decile_mse"):
        assert f"<td>{metrics[key]:.5g}</td>" in page.html
    assert f"{metrics['pca_mse'] / metrics['mse']:.2f} times smaller" in page.html
    np.testing.assert_allclose(content.map.errors.mean(), metrics["mse"], rtol=1e-5)
    np.testing.assert_allclose(content.map.pca.mean(), metrics["pca_mse"], rtol=1e-5)
    worst = [caption["row"] for caption in content.captions["worst"]]
    assert worst == np.argsort(model.score_samples(rows), kind="stable")[:12].tolist()


def test_the_command_to_repeat_it_does(saved_model, rows, tmp_path, monkeypatch):
    """What stands on the page trains the same weights again, where the rows are the same."""
    monkeypatch.chdir(tmp_path)
    table = np.random.default_rng(0).normal(size=(60, 5)) ** 3
    np.save("my rows.npy", table)
    network = MLP(hidden=(6, 4), activation="tanh", linear_skip=False)
    ae = AutoEncoder(2, network=network, epochs=2, device="cpu").fit(table)  # a seed that nobody chose
    command = gather(ae, load("my rows.npy"), source="my rows.npy", method="pca").command
    import shlex

    assert run([*shlex.split(command)[1:], "--device", "cpu", "--quiet"]) == 0
    again = AutoEncoder.load("again.ae")
    np.testing.assert_array_equal(again.transform(table), ae.transform(table))


def test_the_same_model_and_rows_make_the_same_file(model, rows):
    first, second = (make_report(collected(model, rows)).html for _ in range(2))
    assert first == second


# -- what does not belong to us -----------------------------------------------------------------------------


def test_names_and_labels_are_text(curve):
    names = (BAD, "a & b", *"cdefghij")
    labels = np.array([BAD, "</script><b>"])[np.arange(60) % 2]
    ae = AutoEncoder(2, network=MLP(hidden=(4,)), epochs=2, random_state=0, device="cpu")
    ae.fit(Data(curve[:60], names=names))
    data = Data(curve[:60], labels, names, source=f"{BAD}.csv")
    html = make_report(collected(ae, data)).html
    assert BAD not in html
    assert "</script><b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in markup(html)
    assert inside(html)["points"]["classes"] == sorted({BAD, "</script><b>"})
    assert inside(html)["view"]["names"] == list(names)


# -- what is unusual ----------------------------------------------------------------------------------------


def test_a_map_holds_so_many_points_and_says_so(model, rows, monkeypatch):
    monkeypatch.setattr("codeword.pages.content.MOST_POINTS", 20)
    content = collected(model, rows, points=50)
    assert len(content.map.rows) == 20
    assert content.left_out == ["The map holds 20 of 50 samples, drawn at random."]
    assert len(collected(model, rows, points=50, live=True).map.rows) == 50


def test_two_samples_are_enough(model, rows):
    made = make_report(collected(model, rows[:2]))
    assert made.points == 2
    assert "Labels are left out" in made.html


def test_many_classes_and_long_names(model, rows):
    labels = np.array([f"a class with quite a long name, number {i}" for i in range(50)] * 2)[:60]
    content = collected(model, replace(rows, y=labels))
    html = make_report(content).html
    assert markup(html).count('<span title="a class with quite a long name') >= 50
    assert len(content.map.classes) == 50


def test_quantities_have_a_scale_and_no_classes(model, rows):
    content = collected(model, replace(rows, y=np.linspace(0.5, 9.5, 60)))
    assert content.map.classes == ()
    np.testing.assert_allclose(content.map.labels, np.linspace(0.5, 9.5, 60))
    assert 'class="ramp"' in make_report(content).html


def test_no_labels(model, rows):
    html = make_report(collected(model, replace(rows, y=None))).html
    assert '<option value="label">' not in html
    assert "5 nearest neighbors" not in html


def test_what_does_not_fit_is_left_out_and_named(rows):
    network = MLP(hidden=(128, 128))
    ae = AutoEncoder(5, network=network, epochs=1, random_state=0, device="cpu").fit(rows.x)
    content = collected(ae, rows)
    whole = make_report(content)
    assert (whole.decoder, whole.pictures, whole.left_out) == ("float32", 60, [])
    half = make_report(content, most_bytes=whole.size - 1000)
    assert (half.decoder, half.pictures, half.left_out) == ("float16", 60, [])
    bare = make_report(content, most_bytes=half.size - 1000)
    assert (bare.decoder, bare.pictures) == (None, 60)
    assert "with it this file would be larger than" in bare.html
    tight = make_report(content, most_bytes=bare.size - 5000)
    assert tight.size <= bare.size - 5000
    assert tight.left_out == [f"Pictures: {tight.pictures} of the 60 samples on the map have one."]
    assert tight.left_out[0] in tight.html


# -- samples in the page ------------------------------------------------------------------------------------


def test_pictures_travel_as_they_are(rows):
    x, x_hat = rows.x[:5], 1 - rows.x[:5]
    view = display_of((8, 8), scaling="unit")
    found = packed(view, x, x_hat)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["sprite"].split(",")[1]))))
    tiles = sheet.reshape(8, 10, 8).swapaxes(0, 1)
    np.testing.assert_array_equal(tiles, np.rint(255 * np.concatenate([x, x_hat])).astype(np.uint8))


def test_rows_of_tables_travel_with_the_columns_that_are_most_off(curve):
    x = curve[:4]
    off = np.zeros((4, 10))
    off[:, 3], off[:, 7] = -2, 1
    found = packed(display_of((10,), names=[f"c{i}" for i in range(10)]), x, x + off, off)
    columns = numbers(found["columns"], "<i4").reshape(4, -1)
    assert columns[:, :2].tolist() == [[3, 7]] * 4
    values = numbers(found["values"], "<f4").reshape(2, 4, -1)
    np.testing.assert_allclose(values[0, :, 0], x[:, 3], rtol=1e-6)
    np.testing.assert_allclose(values[1, :, 0], x[:, 3] - 2, rtol=1e-5)
    assert numbers(found["residuals"], "<f4").reshape(4, -1)[:, :2].tolist() == [[-2, 1]] * 4


def test_curves_travel_with_their_means_when_they_are_long():
    x = np.repeat(np.arange(128.0), 4)[None]
    found = packed(display_of((512,)), x)
    np.testing.assert_array_equal(numbers(found["values"], "<f4"), np.arange(128))


# -- the decoder --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network",
    [
        MLP(hidden=(6,)),
        MLP(hidden=(6, 5), activation="gelu", norm="layer", linear_skip=False),
        MLP(hidden=(6,), activation="leaky_relu", norm="batch", dropout=0.1),
        MLP(hidden=(6,), activation="tanh", tied=True),
        (
            nn.Sequential(nn.Linear(64, 3)),
            nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 64), nn.Sigmoid()),
        ),
    ],
    ids=["skip", "layer norm", "batch norm", "tied", "own modules"],
)
def test_the_decoder_in_steps_is_the_decoder(network, rows):
    ae = AutoEncoder(3, network=network, epochs=1, random_state=0, device="cpu").fit(rows.x)
    codes = ae.transform(rows.x)
    program = program_of(ae.model_, codes)
    scaled = ae.scaling_.forward(ae.inverse_transform(3 * codes)).numpy()
    np.testing.assert_allclose(program.run(3 * codes), scaled, atol=2e-6)
    assert program.agrees(codes, program.run(codes), "float16")


def test_other_decoders_stay_outside_with_a_reason(rows):
    x = np.random.default_rng(0).normal(size=(40, 32))
    ae = AutoEncoder(2, network=Sequence(), epochs=1, random_state=0, device="cpu").fit(x)
    with pytest.raises(Unsupported, match="not dense"):
        program_of(ae.model_, ae.transform(x))
    made = make_report(collected(ae, Data(x)))
    assert made.decoder is None
    assert inside(made.html)["decoder"] is None
    assert "The decoder does not run in this page: it has layers that are not dense" in made.html


def test_a_decoder_whose_layers_see_rows_in_another_shape_stays_outside(rows):
    layers = nn.Linear(3, 64), nn.Unflatten(1, (4, 16)), nn.Linear(16, 16), nn.Flatten()
    network = nn.Sequential(nn.Linear(64, 3)), nn.Sequential(*layers)
    ae = AutoEncoder(3, network=network, epochs=1, random_state=0, device="cpu").fit(rows.x)
    assert make_report(collected(ae, rows)).decoder is None


def test_a_decoder_that_does_more_than_its_layers_say_is_found_out(rows):
    ae = AutoEncoder(3, network=MLP(hidden=(6,)), epochs=1, random_state=0, device="cpu").fit(rows.x)
    ae.model_.network.decoder.register_forward_hook(lambda module, codes, rows: rows + 0.1)
    with pytest.raises(Unsupported, match="more than the page knows"):
        program_of(ae.model_, ae.transform(rows.x))
