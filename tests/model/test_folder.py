import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from codeword import MLP, AutoEncoder, Reconstruction
from codeword.base.errors import InputError, ModelError
from codeword.base.files import remove

FILES = ["README.md", "config.json", "history.jsonl", "weights.safetensors"]
NEEDED = ["config.json", "history.jsonl", "weights.safetensors"]


def refused(folder, *words):
    """Opening fails with one line that holds `words`."""
    with pytest.raises(ModelError) as caught:
        AutoEncoder.load(folder)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text
    return text


def opened(folder, x=None):
    """What is said of a folder that may or may not open: nothing, or a ModelError of one line."""
    try:
        ae = AutoEncoder.load(folder, device="cpu")
    except ModelError as error:
        return str(error)
    if x is not None:
        ae.reconstruct(x)
    return ""


def change(folder, edit):
    """Let `edit` change the content of config.json."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))


# -- there and back -----------------------------------------------------------------------------------------


def test_a_loaded_model_gives_the_same_bytes(model, saved_model, digits):
    again = AutoEncoder.load(saved_model, device="cpu")
    assert again.transform(digits).tobytes() == model.transform(digits).tobytes()
    assert again.reconstruct(digits).tobytes() == model.reconstruct(digits).tobytes()
    assert again.history_ == model.history_
    assert again.baseline_.transform(digits.x).tobytes() == model.baseline_.transform(digits.x).tobytes()
    assert again.score(digits.x) == model.score(digits.x)
    assert again.sample_shape_ == (8, 8)
    assert again.network.hidden == (16,)
    assert again.n_components == 5


def test_a_name_that_is_not_utf8_opens(saved_model, tmp_path, digits):
    """Safetensors would not take it."""
    odd = tmp_path / "m\udcff.ae"
    try:
        shutil.copytree(saved_model, odd)
    except OSError:
        pytest.skip("this file system takes no such name")
    again = AutoEncoder.load(odd, device="cpu")
    assert again.transform(digits).tobytes() == AutoEncoder.load(saved_model).transform(digits).tobytes()


def test_saving_what_was_loaded_gives_the_same_files(saved_model, tmp_path):
    AutoEncoder.load(saved_model, device="cpu").save(tmp_path / "again.ae")
    for name in FILES:
        assert (tmp_path / "again.ae" / name).read_bytes() == (saved_model / name).read_bytes()


def test_a_loaded_model_can_be_fitted_again(saved_model, digits):
    again = AutoEncoder.load(saved_model, device="cpu")
    first = again.transform(digits.x[:300])
    np.testing.assert_array_equal(again.fit(digits.x[:300]).transform(digits.x[:300]), first)


@pytest.mark.parametrize(
    ("x", "parameters"),
    [
        (np.arange(60.0).reshape(20, 3) - 7, {}),
        (np.arange(60, dtype=np.uint8).reshape(20, 3), {"network": "mlp", "objective": Reconstruction()}),
        (np.linspace(0, 1, 80).reshape(10, 2, 4), {"network": MLP([4, 3], "tanh", linear_skip=False)}),
        (np.arange(60.0).reshape(20, 3), {"scaling": "none", "n_components": np.int64(2)}),
        (np.arange(60.0).reshape(20, 3), {"random_state": np.random.RandomState(0), "patience": 1}),
        (np.arange(3.0).reshape(1, 3), {"validation_fraction": 0.0}),
    ],
)
def test_models_of_all_kinds_come_back(x, parameters, tmp_path):
    ae = AutoEncoder(**{"n_components": 2, "epochs": 1} | parameters).fit(x)
    ae.save(tmp_path / "m.ae")
    again = AutoEncoder.load(tmp_path / "m.ae")
    assert again.transform(x).tobytes() == ae.transform(x).tobytes()
    assert again.reconstruct(x).tobytes() == ae.reconstruct(x).tobytes()
    assert again.scaling_.kind == ae.scaling_.kind


def test_column_names_are_kept(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=["a", "ü", "c d"])
    AutoEncoder(2, epochs=1).fit(frame).save(tmp_path / "m.ae")
    again = AutoEncoder.load(tmp_path / "m.ae")
    assert list(again.feature_names_in_) == ["a", "ü", "c d"]
    with pytest.raises(ValueError, match="same order"):
        again.transform(frame[["ü", "a", "c d"]])


def test_modules_of_ones_own_are_asked_for(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 6))
    pair = (nn.Sequential(nn.Linear(6, 2)), nn.Sequential(nn.Linear(2, 6)))
    ae = AutoEncoder(2, network=pair, epochs=1).fit(x)
    ae.save(tmp_path / "m.ae")
    refused(tmp_path / "m.ae", "modules of your own", "pass network=(encoder, decoder) to load")
    fresh = (nn.Sequential(nn.Linear(6, 2)), nn.Sequential(nn.Linear(2, 6)))
    again = AutoEncoder.load(tmp_path / "m.ae", network=fresh)
    assert again.transform(x).tobytes() == ae.transform(x).tobytes()
    wrong = (nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)), fresh[1])
    with pytest.raises(ModelError) as caught:
        AutoEncoder.load(tmp_path / "m.ae", network=wrong)
    assert "\n" not in str(caught.value)


def test_no_pickle_is_written_or_read(saved_model, monkeypatch):
    assert sorted(p.name for p in saved_model.iterdir()) == FILES

    def forbidden(*_, **__):
        pytest.fail("a pickle was opened")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, forbidden)
    monkeypatch.setattr(torch, "load", forbidden)
    AutoEncoder.load(saved_model)
    for name in FILES:
        content = (saved_model / name).read_bytes()
        assert not content.startswith((b"\x80", b"PK"))


def test_the_model_card_says_what_it_is(saved_model):
    card = (saved_model / "README.md").read_text()
    assert "8 × 8" in card
    assert "300 samples for 3 epochs" in card
    assert "mlp" in card


# -- harm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_file_is_named(name, model_folder):
    (model_folder / name).unlink()
    refused(model_folder, name)


@pytest.mark.parametrize("cut", [1, 2, 50])
@pytest.mark.parametrize("name", NEEDED)
def test_a_file_that_lost_its_end_is_named(name, cut, model_folder):
    path = model_folder / name
    path.write_bytes(path.read_bytes()[:-cut])
    if name == "weights.safetensors" or cut > 1:  # a last line feed more or less changes nothing
        refused(model_folder, name)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_an_empty_file_is_named(name, model_folder):
    (model_folder / name).write_bytes(b"")
    refused(model_folder, name)


@pytest.mark.parametrize("name", ["config.json", "history.jsonl"])
def test_no_flipped_byte_of_the_json_is_more_than_a_model_error(name, model_folder, digits):
    path = model_folder / name
    sound = path.read_bytes()
    for place in range(0, len(sound), max(1, len(sound) // 60)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x08]) + sound[place + 1 :])
        assert "\n" not in opened(model_folder, digits.x[:1])


def test_the_readme_may_be_lost(model_folder):
    (model_folder / "README.md").unlink()
    AutoEncoder.load(model_folder)


def test_an_unknown_key_is_named(model_folder):
    change(model_folder, lambda config: config["parameters"].update(n_componets=3))
    refused(model_folder, "among the parameters of AutoEncoder: unknown ['n_componets']")


def test_an_unknown_key_at_the_top_is_named(model_folder):
    change(model_folder, lambda config: config.update(color="red"))
    refused(model_folder, "color")


def test_a_missing_key_is_named(model_folder):
    change(model_folder, lambda config: config["parameters"].pop("epochs"))
    refused(model_folder, "among the parameters of AutoEncoder: missing ['epochs']")


def test_an_unknown_key_of_the_network_is_named(model_folder):
    change(model_folder, lambda config: config["parameters"]["network"].update(width=3))
    refused(model_folder, "among the parameters of MLP: unknown ['width']")


@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c["parameters"]["network"].update(name="of tomorrow"),
        lambda c: c["parameters"].update(objective={"name": "of tomorrow"}),
        lambda c: c["parameters"].update(n_components=6),
        lambda c: c["parameters"].update(n_components=-6),
        lambda c: c["parameters"].update(n_components="5"),
        lambda c: c["parameters"]["network"].update(hidden=[17]),
        lambda c: c["parameters"]["network"].update(hidden="16"),
        lambda c: c["parameters"].update(network="mlp"),
        lambda c: c["data"].update(sample_shape=[8, 9]),
        lambda c: c["data"].update(sample_shape=[]),
        lambda c: c["data"].update(sample_shape="88"),
        lambda c: c["data"].update(sample_shape=[-8, -8]),
        lambda c: c["data"].update(sample_shape=[64.0]),
        lambda c: c["data"].update(names=["a", "b"]),
        lambda c: c["data"].pop("n"),
        lambda c: c.update(scaling="magic"),
        lambda c: c.update(scaling=None),
        lambda c: c.update(data=[]),
        lambda c: c.update(parameters=[]),
        lambda c: c.pop("seed"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(edit, model_folder):
    change(model_folder, edit)
    refused(model_folder)


def test_a_later_format_asks_for_an_upgrade(model_folder):
    change(model_folder, lambda config: config.update(format=99))
    refused(model_folder, "the format is 99", "upgrade")


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "{}", "[" * 100_000, "NaN", "\ud83d"])
def test_json_of_another_kind_is_refused(text, model_folder):
    (model_folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(model_folder, "config.json")


def tensors(edit):
    def harm(folder):
        path = folder / "weights.safetensors"
        held = load_file(path)
        edit(held)
        save_file({name: tensor.contiguous() for name, tensor in held.items()}, path)

    return harm


def first(held, part="network."):
    return next(name for name in held if name.startswith(part) and held[name].ndim == 2)


@pytest.mark.parametrize(
    "edit",
    [
        lambda held: held.pop(first(held)),
        lambda held: held.pop("scaling.offset"),
        lambda held: held.pop("baseline.components"),
        lambda held: held.update({"network.more": torch.zeros(3)}),
        lambda held: held.update({"stranger": torch.zeros(3)}),
        lambda held: held.update({first(held): held[first(held)].T}),
        lambda held: held.update({first(held): held[first(held)][:1]}),
        lambda held: held.update({"scaling.offset": torch.zeros(3)}),
        lambda held: held.update({"scaling.scale": torch.zeros(64, 2)}),
        lambda held: held.update({"scaling.limits": torch.zeros(3)}),
        lambda held: held.update({"baseline.components": torch.zeros(5, 3)}),
        lambda held: held.update({"baseline.mean": torch.zeros(3)}),
    ],
)
def test_weights_that_do_not_fit_are_refused(edit, model_folder):
    tensors(edit)(model_folder)
    refused(model_folder)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(bad, model_folder):
    tensors(lambda held: held[first(held)].fill_(bad))(model_folder)
    refused(model_folder, "finite")


def test_what_is_no_folder_is_said(tmp_path):
    refused(tmp_path / "missing", "there is no model folder here")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "is a file; a model is a folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "config.json is missing")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NEEDED), content=st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
def test_no_bytes_are_more_than_a_model_error(model_folder, name, content):
    path = model_folder / name
    sound = path.read_bytes()
    path.write_bytes(content)
    try:
        assert "\n" not in opened(model_folder)
    finally:
        path.write_bytes(sound)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=JSON)
def test_no_value_anywhere_in_the_config_is_more_than_a_model_error(model_folder, digits, data, value):
    path = model_folder / "config.json"
    sound = path.read_bytes()
    config = json.loads(sound)
    place = data.draw(st.sampled_from(["data", "parameters", "network", "top"]))
    inside = {"top": config, "network": config["parameters"]["network"]}.get(place) or config[place]
    inside[data.draw(st.sampled_from(sorted(inside)))] = value
    path.write_text(json.dumps(config))
    try:
        assert "\n" not in opened(model_folder, digits.x[:1])
    finally:
        path.write_bytes(sound)


# -- saving -------------------------------------------------------------------------------------------------


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_model_is_not_overwritten_unasked(model, model_folder):
    before = contents(model_folder)
    with pytest.raises(InputError, match="already exists"):
        model.save(model_folder)
    assert contents(model_folder) == before


def test_a_model_is_overwritten_if_asked(model, model_folder, digits):
    other = AutoEncoder(2, network=MLP((4,)), epochs=1).fit(digits.x[:50])
    other.save(model_folder, overwrite=True)
    assert AutoEncoder.load(model_folder).n_components == 2
    assert [p.name for p in model_folder.parent.iterdir()] == [model_folder.name]


@pytest.mark.parametrize("kind", ["a file", "another folder", "a folder with a config.json and more"])
def test_what_is_no_model_is_not_overwritten(kind, model, tmp_path):
    path = tmp_path / "precious"
    if kind == "a file":
        path.write_text("x")
    else:
        path.mkdir()
        (path / "thesis.txt").write_text("x")
        if "config" in kind:
            (path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="not overwritten"):
        model.save(path, overwrite=True)
    assert path.is_file() or (path / "thesis.txt").is_file()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_half_way_leaves_what_was_there(overwrite, model, model_folder, monkeypatch):
    before = contents(model_folder)
    if not overwrite:
        remove(model_folder)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("codeword.model.folder.save", full)
    with pytest.raises(OSError, match="No space"):
        model.save(model_folder, overwrite=overwrite)
    assert [p.name for p in model_folder.parent.iterdir()] == ([model_folder.name] if overwrite else [])
    if overwrite:
        assert contents(model_folder) == before


def test_an_unfitted_estimator_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        AutoEncoder().save(tmp_path / "m.ae")
    assert list(tmp_path.iterdir()) == []


class OwnObjective(Reconstruction):
    pass


def test_an_objective_of_ones_own_is_refused_before_anything_is_written(tmp_path):
    ae = AutoEncoder(1, objective=OwnObjective(), epochs=1).fit(np.random.default_rng(0).normal(size=(9, 3)))
    with pytest.raises(ModelError, match="OwnObjective is a class of your own"):
        ae.save(tmp_path / "m.ae")
    assert list(tmp_path.iterdir()) == []


def test_saving_loads_no_command_line(tmp_path):
    code = (
        "import sys, numpy; from codeword import AutoEncoder\n"
        "ae = AutoEncoder(2, epochs=1, random_state=0).fit(numpy.random.rand(40, 4))\n"
        "ae.save('m.ae'); AutoEncoder.load('m.ae')\n"
        "print(*(m for m in sys.modules if m == 'typer' or m.startswith('codeword.cli')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.split() == []
