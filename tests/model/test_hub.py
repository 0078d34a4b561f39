"""Models to and from the Hub, against a stand-in for it on this machine; and the card that goes along."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, constants
from stand_in_hub import WRITER, Repo, stand_in
from torch import nn

from codeword import AutoEncoder, Variational, evaluate, load
from codeword.base.errors import InputError, ModelError
from codeword.cli.main import run
from codeword.model import hub as models
from codeword.model.card import Evaluated, model_card
from codeword.model.folder import read_folder
from codeword.model.hub import is_address, local

# What huggingface_hub does to httpx is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NOWHERE = "http://127.0.0.1:9"

FILES = {"README.md", "config.json", "history.jsonl", "weights.safetensors"}


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """The stand-in, with an empty cache and a token that may write."""
    monkeypatch.chdir(tmp_path)
    with stand_in() as server:
        _point_at(server.address, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
        monkeypatch.setenv("HF_TOKEN", WRITER)
        yield server


def _point_at(address, monkeypatch):
    """Where huggingface_hub asks: what it makes of HF_ENDPOINT when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, huggingface_hub.file_download):
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


def push(folder, address, *, overwrite=False, **how):
    """What `AutoEncoder.save` and the command do."""
    return models.push(folder, address, models.check(address, overwrite=overwrite), **how)


def front(card):
    return yaml.safe_load(card.split("---\n")[1])


def one_line(error, *words):
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 400
    for word in words:
        assert word in text


# -- there and back -----------------------------------------------------------------------------------------


def test_a_model_goes_there_and_comes_back_the_same(hub, saved_model, model, digits):
    address = push(read_folder(saved_model), "hf://user/digits")
    repo = hub.repos["user/digits"]
    assert address == f"hf://user/digits@{repo.oid()}"
    assert set(repo.files) == FILES | {".gitattributes"}
    assert len(repo.commits) == 2, "a push is one commit"
    folder = local("hf://user/digits")
    again = AutoEncoder.load(folder, device="cpu")
    assert again.transform(digits).tobytes() == model.transform(digits).tobytes()
    assert again.reconstruct(digits).tobytes() == model.reconstruct(digits).tobytes()
    assert again.history_ == model.history_
    assert (folder / "weights.safetensors").read_bytes() == (saved_model / "weights.safetensors").read_bytes()
    # Weights go as a large file, which is what the Hub asks for by its .gitattributes.
    assert any(line.startswith("PUT /large/") for line in hub.asked)


def test_only_the_files_of_a_model_folder_are_fetched(hub, saved_model, tmp_path):
    push(read_folder(saved_model), "hf://user/digits")
    more = {"evil.py": b"import os", "pytorch_model.bin": b"\x80\x04", "sub/config.json": b"{}"}
    hub.repos["user/digits"].files.update(more)
    folder = local("hf://user/digits")
    assert {path.name for path in folder.iterdir()} == FILES
    asked = {line.rsplit("/", 1)[1] for line in hub.asked if "/resolve/" in line}
    assert asked == FILES


def test_a_revision_gives_what_was_there_then(hub, saved_model, digits):
    first = push(read_folder(saved_model), "hf://user/digits")
    other = AutoEncoder(3, epochs=1, random_state=1, device="cpu").fit(digits.x[:50])
    other.save("other.ae")
    push(read_folder("other.ae"), "hf://user/digits", overwrite=True)
    assert AutoEncoder.load(local(first)).n_components == 5
    assert AutoEncoder.load(local("hf://user/digits")).n_components == 3
    assert AutoEncoder.load(local("hf://user/digits@main")).n_components == 3


def test_without_a_network_the_last_state_fetched_is_taken(hub, saved_model, monkeypatch):
    push(read_folder(saved_model), "hf://user/digits")
    folder = local("hf://user/digits")
    _point_at(NOWHERE, monkeypatch)
    assert local("hf://user/digits") == folder


def test_a_private_model_needs_a_token(hub, saved_model, monkeypatch):
    push(read_folder(saved_model), "hf://user/secret", private=True)
    assert hub.repos["user/secret"].private
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ModelError) as caught:
        local("hf://user/secret")
    one_line(caught, "hf://user/secret", "Repository Not Found", "make sure you are authenticated")


def test_replacing_takes_the_old_files_away_and_leaves_others(hub, saved_model):
    files = {"config.json": b"old", "columns.json": b"old", "notes.txt": b"mine"}
    hub.repos["user/digits"] = Repo(commits=[files])
    push(read_folder(saved_model), "hf://user/digits", overwrite=True)
    assert set(hub.repos["user/digits"].files) == FILES | {"notes.txt"}
    assert hub.repos["user/digits"].commits[0] == files, "history keeps what was there"


def test_codes_of_rows_can_stay_at_home(hub, saved_model, model, digits):
    push(read_folder(saved_model), "hf://user/digits", codes=False)
    assert b"reference." not in hub.repos["user/digits"].files["weights.safetensors"]
    assert b"reference." in (saved_model / "weights.safetensors").read_bytes()
    again = AutoEncoder.load(local("hf://user/digits"), device="cpu")
    assert again.transform(digits).tobytes() == model.transform(digits).tobytes()
    with pytest.raises(ModelError, match="codes"):
        again.sample(2)
    assert "they were left out" in hub.repos["user/digits"].files["README.md"].decode()


def test_modules_of_ones_own_can_be_shared(hub, tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 6))
    pair = (nn.Sequential(nn.Linear(6, 2)), nn.Sequential(nn.Linear(2, 6)))
    AutoEncoder(2, network=pair, epochs=1).fit(x).save("m.ae")
    push(read_folder("m.ae"), "hf://user/own")
    card = hub.repos["user/own"].files["README.md"].decode()
    assert "# two torch modules of your own are trained in Python" in card


def test_save_and_load_take_an_address(hub, model, digits):
    model.save("hf://user/digits")
    again = AutoEncoder.load("hf://user/digits", device="cpu")
    assert again.transform(digits).tobytes() == model.transform(digits).tobytes()
    with pytest.raises(InputError, match="already holds config"):
        model.save("hf://user/digits")
    model.save("hf://user/digits", overwrite=True)
    assert not Path("hf:").exists()


def test_commands_take_an_address(hub, do, saved_model, model, digits):
    do("push", saved_model, "hf://user/digits", "-q")
    do("encode", "hf://user/digits", "digits", "-o", "codes.npy", "--device", "cpu")
    assert np.load("codes.npy").tobytes() == model.transform(digits).tobytes()
    assert json.loads(do("evaluate", "hf://user/digits", "digits", "--no-labels", "--json"))["k"] == 5


def test_info_takes_an_address(hub, do, saved_model):
    do("push", saved_model, "hf://user/digits", "-q")
    told = do("info", "hf://user/digits")
    assert "8 × 8" in told
    assert "library_name" not in told


# -- the command --------------------------------------------------------------------------------------------


def test_the_command_pushes_with_metrics(hub, do, saved_model, model):
    words = ("push", saved_model, "hf://user/digits", "--source", "digits", "--license", "mit", "--json")
    said = json.loads(do(*words))
    metrics = evaluate(model, load("digits", "test"))
    assert said == {
        "output": f"hf://user/digits@{hub.repos['user/digits'].oid()}",
        "codes": len(model.training_codes_.codes) + len(model.training_codes_.held_codes),
        **{name: pytest.approx(metrics[name], rel=1e-4) for name in ("n", "mse", "pca_mse")},
    }
    card = hub.repos["user/digits"].files["README.md"].decode()
    assert f"| {metrics['mse']:.4g} | {metrics['pca_mse']:.4g} |" in card
    assert f"| {metrics['knn_accuracy']:.4g} | {metrics['pca_knn_accuracy']:.4g} |" in card
    assert "On 359 rows of `digits` (test), errors in scaled units." in card


def test_the_command_says_what_travels(hub, do, saved_model, model):
    n = len(model.training_codes_.codes) + len(model.training_codes_.held_codes)
    out = do("push", saved_model, "hf://user/a").splitlines()
    assert out[0].startswith("wrote hf://user/a@")
    assert out[1] == f"  with the codes of {n} rows"
    assert (
        do("push", saved_model, "hf://user/b", "--without-codes").splitlines()[1] == "  without codes of rows"
    )
    assert do("push", saved_model, "hf://user/c", "-q") == ""
    said = json.loads(do("push", saved_model, "hf://user/d", "--json", "--without-codes"))
    assert (said["codes"], said["n"], said["mse"], said["pca_mse"]) == (0, None, None, None)


def test_labels_that_cannot_be_judged_are_left_out(hub, do, saved_model, digits):
    np.savez("few.npz", x=digits.x[:3], y=np.array([0, 1, 2]))
    said = json.loads(do("push", saved_model, "hf://user/few", "--source", "few.npz", "--json"))
    assert said["n"] == 3
    assert "accuracy" not in hub.repos["user/few"].files["README.md"].decode()


# -- the card -----------------------------------------------------------------------------------------------


def test_the_hub_reads_the_front_of_the_card(hub, saved_model):
    push(read_folder(saved_model), "hf://user/digits", license="cc-by-4.0")
    card = hub.repos["user/digits"].files["README.md"].decode()
    assert front(card)["library_name"] == "codeword"
    assert front(card)["license"] == "cc-by-4.0"
    assert "auto-encoder" in front(card)["tags"]
    read = ModelCard(card)
    assert (read.data.library_name, read.data.license) == ("codeword", "cc-by-4.0")
    assert read.text.strip().startswith("# digits")
    push(read_folder(saved_model), "hf://user/no-license")
    assert "license" not in front(hub.repos["user/no-license"].files["README.md"].decode())


def test_the_command_on_the_card_trains_the_same_weights(hub, do, tmp_path):
    tiny = ["-k", "2", "--epochs", "2", "--network", "mlp(hidden=(4,))", "--objective", "sparse(weight=0.01)"]
    np.save("digits-of-mine.npy", load("digits").x[:200])
    assert run(["train", "digits-of-mine.npy", "-o", "m.ae", *tiny, "--device", "cpu", "-q"]) == 0
    do("push", "m.ae", "hf://user/m", "--source", str(tmp_path / "digits-of-mine.npy"), "-q")
    card = hub.repos["user/m"].files["README.md"].decode()
    line = next(line for line in card.splitlines() if line.startswith("codeword train "))
    words = ["digits-of-mine.npy" if word == "SOURCE" else word for word in shlex.split(line)[1:]]
    assert run([*words, "--device", "cpu", "-q"]) == 0
    weights = "weights.safetensors"
    assert Path("again.ae", weights).read_bytes() == Path("m.ae", weights).read_bytes()


def test_rows_judged_on_are_not_taken_for_those_trained_on(saved_model):
    """But the test part of a data set, beside which there is a part to train on."""
    folder = read_folder(saved_model)
    columns = {"kinds": {"zip  code\n": "category"}}

    def again(*given):
        card = model_card(folder.config, folder.history, columns=columns, evaluated=Evaluated(*given))
        line = next(line for line in card.splitlines() if line.startswith("codeword train "))
        return shlex.split(line)[2 : shlex.split(line).index("-o")], "SOURCE stands for the rows" in card

    kind = ["--kind", "zip  code =category"]
    metrics = {"n": 7, "mse": 0.25}
    assert again("held-out.csv", metrics, "", ["--label-column", "y"]) == (["SOURCE", *kind], True)
    assert again("mnist", metrics, "train") == (["SOURCE", *kind], True)
    assert again("mnist", metrics, "test", ["--size", "8"]) == (["mnist", "--size", "8", *kind], False)


def test_the_code_on_the_card_runs(hub, saved_model, digits):
    """With a folder of this machine in the address's place."""
    push(read_folder(saved_model), "hf://user/digits")
    card = hub.repos["user/digits"].files["README.md"].decode()
    code = card.split("```python\n")[1].split("```")[0].replace("hf://user/digits", str(saved_model))
    names = {"x": digits.x[:4]}
    exec(compile(code, "card", "exec"), names)
    assert names["codes"].shape == (4, 5)
    assert names["x_hat"].shape == (4, 8, 8)


def test_nothing_of_the_machine_is_on_the_card(hub, do, tmp_path, digits):
    """Neither a path, nor the user, nor the device; and config.json says no more of it."""
    secret = tmp_path / "jane.doe" / "private"
    secret.mkdir(parents=True)
    np.save(secret / "rows.npy", digits.x[:60])
    AutoEncoder(2, epochs=1, random_state=0, device="cpu").fit(digits.x[:60]).save(secret / "m.ae")
    do("push", secret / "m.ae", "hf://user/m", "--source", secret / "rows.npy", "-q")
    repo = hub.repos["user/m"]
    for name in FILES - {"weights.safetensors"}:
        for word in ("jane", "private", str(tmp_path), '"cpu"', "`cpu`"):
            assert word.encode() not in repo.files[name], f"{word} in {name}"
    assert "`rows.npy`" in repo.files["README.md"].decode()


def test_the_card_says_how_much_of_the_data_travels(hub, saved_model, model):
    push(read_folder(saved_model), "hf://user/digits")
    card = hub.repos["user/digits"].files["README.md"].decode()
    kept = model.training_codes_
    kept = f"{len(kept.codes)} rows trained on and of {len(kept.held_codes)} held out"
    assert f"holds the codes and errors of {kept}" in " ".join(card.split())
    before, _, after = card.partition("What of the data travels with this model")
    assert len(before.splitlines()) < 25, "said where nobody misses it"
    assert "may not have this folder" in after


def test_names_of_columns_cannot_break_the_card():
    bad = ["a|b", "`c`\n# d", "\x1b[31mred", "<script>alert(1)</script>", *map(str, range(30))]
    config = {
        "parameters": AutoEncoder(2).get_params(deep=False),
        "data": {"n": 3, "sample_shape": [len(bad)], "dtype": "float64", "names": bad},
        **{"scaling": "standard", "seed": 0},
    }
    card = model_card(config, [])
    (line,) = [line for line in card.splitlines() if line.startswith("- Columns: ")]
    assert "`a¦b`, `'c' # d`, `[31mred`, `<script>alert(1)</script>`, `0`" in line
    assert line.endswith(" and 14 more.")
    assert "\x1b" not in card


def test_metrics_that_are_absent_are_left_out(saved_model):
    folder = read_folder(saved_model)
    metrics = dict.fromkeys(("knn_accuracy", "pca_mse", "trustworthiness")) | {"n": 7, "mse": 0.25}
    card = model_card(folder.config, folder.history, evaluated=Evaluated("C:\\data\\rows.csv", metrics))
    assert "| mean squared error | 0.25 | – |" in card
    assert "nearest neighbors" not in card
    assert "trustworthiness" not in card
    assert "On 7 rows of `rows.csv`, errors in scaled units." in card
    assert "these very rows, the metrics flatter it" in " ".join(card.split())


def test_the_card_of_a_folder_is_the_same_without_metrics(saved_model):
    card = (saved_model / "README.md").read_text("utf-8")
    assert not card.startswith("---")
    assert "Metrics against PCA" not in card
    assert "codeword train SOURCE -o again.ae --n-components 5 --network 'mlp(hidden=(16,))'" in card
    assert "up to 10,000 rows trained on" in card


def test_an_objective_is_told_as_it_is_typed(digits, tmp_path):
    AutoEncoder(2, epochs=1, objective=Variational(beta=2), random_state=0).fit(digits.x[:30]).save("v.ae")
    assert "| `objective` | `variational(beta=2)` |" in Path("v.ae/README.md").read_text("utf-8")


# -- what goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["hf://user/name", "hf:/user/name", Path("hf://user/name"), "hf:\\user\\name"]
)
def test_an_address_is_known_in_every_form(text, hub, saved_model):
    assert is_address(text)
    push(read_folder(saved_model), text)
    assert [*hub.repos] == ["user/name"]
    assert local(f"{text}@main") == local(text)


@pytest.mark.parametrize("text", ["digits.ae", "/tmp/hf:/x/y", "s3://user/name", "hf", Path("hf"), None])
def test_a_path_is_no_address(text):
    assert not is_address(text)
    if text is not None:
        assert local(text) == Path(text)


WRONG = ["hf://", "hf://name", "hf://a/b/c", "hf://../x", "hf://user/..", "hf://user/a b", "hf://user/-a"]
WRONG += ["hf://user/a--b", "hf://user/a@", "hf://user/a@../../x", "hf://user/a@b@c", f"hf://u/{'a' * 100}"]


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_address_is_refused_before_anything_is_asked(text, hub, saved_model):
    for do in (local, lambda address: push(read_folder(saved_model), address)):
        with pytest.raises(InputError) as caught:
            do(text)
        one_line(caught, text)
    assert not hub.asked


def test_a_repository_or_a_revision_that_is_not_there(hub, saved_model):
    with pytest.raises(ModelError) as caught:
        local("hf://user/nothing")
    one_line(caught, "hf://user/nothing", "404", "Repository Not Found")
    push(read_folder(saved_model), "hf://user/digits")
    with pytest.raises(ModelError) as caught:
        local("hf://user/digits@v2")
    one_line(caught, "hf://user/digits@v2", "Revision Not Found")


def test_what_comes_from_the_hub_is_checked_as_any_folder_is(hub):
    hub.repos["user/other"] = Repo(commits=[{"config.json": b"{}", "pytorch_model.bin": b""}])
    with pytest.raises(ModelError) as caught:
        AutoEncoder.load("hf://user/other")
    assert "the format is None" in str(caught.value)


def test_no_token(hub, refused, saved_model, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert "hf auth login" in refused("push", saved_model, "hf://user/digits")
    assert not hub.asked


@pytest.mark.parametrize(
    "token", ["hf_reader", "hf_secret", "hf_sec\x01ret", "hf_secrét", "hf_sec ret", "sec\x01ret sec"]
)
def test_a_token_that_may_not_write_is_not_told(token, hub, refused, saved_model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", token)
    said = refused("push", saved_model, "hf://user/digits")
    assert "hf://user/digits" in said
    assert "sec" not in said
    assert not hub.repos


def test_no_network(refused, saved_model, monkeypatch):
    _point_at(NOWHERE, monkeypatch)
    assert "hf://user/digits" in refused("push", saved_model, "hf://user/digits")
    with pytest.raises(ModelError) as caught:
        local("hf://user/digits")
    one_line(caught, "hf://user/digits", "check your internet connection")


def test_a_hub_that_fails_half_way(hub, saved_model, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between its tries
    for part in ("/large/", "/commit/"):
        hub.fails = {part}
        with pytest.raises(InputError) as caught:
            push(read_folder(saved_model), "hf://user/digits")
        one_line(caught, "hf://user/digits", "500")
    assert set(hub.repos["user/digits"].files) == {".gitattributes"}, "whole or not at all"


def test_huggingface_hub_is_not_installed(refused, saved_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert 'pip install "codeword[hub]"' in refused("push", saved_model, "hf://user/digits")
    with pytest.raises(InputError, match=r"codeword\[hub\]"):
        local("hf://user/digits")


def test_nothing_is_overwritten_unasked(hub, refused, saved_model):
    push(read_folder(saved_model), "hf://user/digits")
    before = dict(hub.repos["user/digits"].files)
    said = refused("push", saved_model, "hf://user/digits")
    assert "hf://user/digits already holds config.json" in said
    assert "--overwrite" in said
    assert hub.repos["user/digits"].files == before


def test_a_private_push_does_not_land_in_public(hub, refused, saved_model):
    hub.repos["user/digits"] = Repo()
    assert "everybody can read it" in refused("push", saved_model, "hf://user/digits", "--private")


def test_what_is_refused_is_refused_before_any_work(hub, refused, saved_model):
    """Not after the rows were read: here they are not even there."""
    hub.repos["user/digits"] = Repo(commits=[{"config.json": b"{}"}])
    rows = ("--source", "nowhere.npy")
    assert "already holds config.json" in refused("push", saved_model, "hf://user/digits", *rows)
    assert "everybody can read it" in refused(
        "push", saved_model, "hf://user/digits", *rows, "--private", "--overwrite"
    )
    assert "names a revision" in refused("push", saved_model, "hf://user/digits@main", *rows)


@pytest.mark.parametrize(("status", "code"), [(403, "GatedRepo"), (401, "RepoNotFound"), (401, None)])
def test_a_repository_that_may_be_there_is_not_taken_for_none(hub, refused, saved_model, status, code):
    hub.denies = status, code
    said = refused("push", saved_model, "hf://user/digits")
    assert str(status) in said
    assert not any("create" in line for line in hub.asked)


def test_two_who_push_at_once_do_not_mix(hub, saved_model):
    """The second is told so: a commit names the one that it was made for."""
    hub.repos["user/digits"] = Repo()
    hub.before_commit = lambda repo: repo.commits.append({"config.json": b"from the other"})
    with pytest.raises(InputError) as caught:
        push(read_folder(saved_model), "hf://user/digits")
    one_line(caught, "A commit has happened since")
    assert hub.repos["user/digits"].files == {"config.json": b"from the other"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hf://user/digits@main",), "names a revision"),
        (("user/digits",), "hf://user/name"),
        (("hf://user/digits", "--source", "nowhere.npy"), "nowhere.npy"),
    ],
)
def test_wrong_usage(words, said, hub, refused, saved_model):
    assert said in refused("push", saved_model, *words)
    assert not hub.repos


def test_a_damaged_folder_is_not_pushed(hub, refused, model_folder):
    (model_folder / "weights.safetensors").write_bytes(b"short")
    assert "damaged" in refused("push", model_folder, "hf://user/digits")
    assert not hub.repos
