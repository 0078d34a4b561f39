"""Models to and from the Hub, against a stand-in for it on this machine; and the card that goes along."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, constants
from stand_in_hub import READER, WRITER, Repo, stand_in
from torch import nn

from codeword import AutoEncoder, Variational, evaluate, load
from codeword.base.errors import InputError, ModelError, ParameterError
from codeword.cli.main import run
from codeword.model.card import Evaluated, Place, model_card
from codeword.model.folder import read_folder
from codeword.model.hub import Address, check_push, is_address, local, pull, push

# What huggingface_hub does to httpx is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

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


def front(card):
    return yaml.safe_load(card.split("---\n")[1])


def one_line(error, *words):
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 400
    for word in words:
        assert word in text
    return text


# -- there and back -----------------------------------------------------------------------------------------


def test_a_model_goes_there_and_comes_back_the_same(hub, saved_model, model, digits):
    address = push(saved_model, "hf://user/digits")
    repo = hub.repos["user/digits"]
    assert address == f"hf://user/digits@{repo.oid()}"
    assert set(repo.files) == FILES | {".gitattributes"}
    assert len(repo.commits) == 2, "a push is one commit"
    folder = pull("hf://user/digits")
    again = AutoEncoder.load(folder, device="cpu")
    assert again.transform(digits).tobytes() == model.transform(digits).tobytes()
    assert again.reconstruct(digits).tobytes() == model.reconstruct(digits).tobytes()
    assert again.history_ == model.history_
    assert (folder / "weights.safetensors").read_bytes() == (saved_model / "weights.safetensors").read_bytes()
    # Weights go as a large file, which is what the Hub asks for by its .gitattributes.
    assert any(line.startswith("PUT /large/") for line in hub.asked)


def test_only_the_files_of_a_model_folder_are_fetched(hub, saved_model, tmp_path):
    push(saved_model, "hf://user/digits")
    more = {"evil.py": b"import os", "pytorch_model.bin": b"\x80\x04", "sub/config.json": b"{}"}
    hub.repos["user/digits"].files.update(more)
    folder = pull("hf://user/digits")
    assert {path.name for path in folder.iterdir()} == FILES
    asked = {line.rsplit("/", 1)[1] for line in hub.asked if "/resolve/" in line}
    assert asked == FILES


def test_a_revision_gives_what_was_there_then(hub, saved_model, digits):
    first = push(saved_model, "hf://user/digits")
    other = AutoEncoder(3, epochs=1, random_state=1, device="cpu").fit(digits.x[:50])
    other.save("other.ae")
    push("other.ae", "hf://user/digits", overwrite=True)
    assert AutoEncoder.load(pull(first)).n_components == 5
    assert AutoEncoder.load(pull("hf://user/digits")).n_components == 3
    assert AutoEncoder.load(pull("hf://user/digits@main")).n_components == 3


def test_without_a_network_the_last_state_fetched_is_taken(hub, saved_model, monkeypatch):
    push(saved_model, "hf://user/digits")
    folder = pull("hf://user/digits")
    _point_at(f"http://127.0.0.1:{_closed_port()}", monkeypatch)
    assert pull("hf://user/digits") == folder


def test_a_private_model_needs_its_token(hub, saved_model, monkeypatch):
    push(saved_model, "hf://user/secret", private=True)
    assert hub.repos["user/secret"].private
    assert pull("hf://user/secret", token=READER).is_dir()
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(Path.cwd() / "another"))
    with pytest.raises(ModelError) as caught:
        pull("hf://user/secret")
    one_line(caught, "hf://user/secret", "no such repository", "HF_TOKEN")


def test_replacing_takes_the_old_files_away_and_leaves_others(hub, saved_model):
    files = {"config.json": b"old", "columns.json": b"old", "notes.txt": b"mine"}
    hub.repos["user/digits"] = Repo(commits=[files])
    push(saved_model, "hf://user/digits", overwrite=True)
    assert set(hub.repos["user/digits"].files) == FILES | {"notes.txt"}
    assert hub.repos["user/digits"].commits[0] == files, "history keeps what was there"


def test_codes_of_rows_can_stay_at_home(hub, saved_model, model, digits):
    push(saved_model, "hf://user/digits", codes=False)
    assert b"reference." not in hub.repos["user/digits"].files["weights.safetensors"]
    assert b"reference." in (saved_model / "weights.safetensors").read_bytes()
    again = AutoEncoder.load(pull("hf://user/digits"), device="cpu")
    assert again.transform(digits).tobytes() == model.transform(digits).tobytes()
    with pytest.raises(ModelError, match="codes"):
        again.sample(2)
    assert "they were left out" in hub.repos["user/digits"].files["README.md"].decode()


def test_modules_of_ones_own_can_be_shared(hub, tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 6))
    pair = (nn.Sequential(nn.Linear(6, 2)), nn.Sequential(nn.Linear(2, 6)))
    AutoEncoder(2, network=pair, epochs=1).fit(x).save("m.ae")
    push("m.ae", "hf://user/own")
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


def test_the_command_pushes_with_figures(hub, do, saved_model, model):
    words = ("push", saved_model, "hf://user/digits", "--source", "digits", "--license", "mit", "--json")
    said = json.loads(do(*words))
    figures = evaluate(model, load("digits", "test"))
    assert said == {
        "output": f"hf://user/digits@{hub.repos['user/digits'].oid()}",
        "codes": len(model.training_codes_.codes) + len(model.training_codes_.held_codes),
        **{name: pytest.approx(figures[name], rel=1e-4) for name in ("n", "mse", "pca_mse")},
    }
    card = hub.repos["user/digits"].files["README.md"].decode()
    assert f"| {figures['mse']:.4g} | {figures['pca_mse']:.4g} |" in card
    assert f"| {figures['knn_accuracy']:.4g} | {figures['pca_knn_accuracy']:.4g} |" in card
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
    push(saved_model, "hf://user/digits", license="cc-by-4.0")
    card = hub.repos["user/digits"].files["README.md"].decode()
    assert front(card)["library_name"] == "codeword"
    assert front(card)["license"] == "cc-by-4.0"
    assert "auto-encoder" in front(card)["tags"]
    read = ModelCard(card)
    assert (read.data.library_name, read.data.license) == ("codeword", "cc-by-4.0")
    assert read.text.strip().startswith("# digits")
    push(saved_model, "hf://user/no-license")
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
    figures = {"n": 7, "mse": 0.25}
    assert again("held-out.csv", figures, "", ["--label-column", "y"]) == (["SOURCE", *kind], True)
    assert again("mnist", figures, "train") == (["SOURCE", *kind], True)
    assert again("mnist", figures, "test", ["--size", "8"]) == (["mnist", "--size", "8", *kind], False)


def test_the_code_on_the_card_runs(hub, saved_model, digits):
    """With a folder of this machine in the address's place."""
    push(saved_model, "hf://user/digits")
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
    push(saved_model, "hf://user/digits")
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
    card = model_card(config, [], place=Place(front=True))
    (line,) = [line for line in card.splitlines() if line.startswith("- Columns: ")]
    assert "`a¦b`, `'c' # d`, `[31mred`, `<script>alert(1)</script>`, `0`" in line
    assert line.endswith(" and 14 more.")
    assert "\x1b" not in card
    assert front(card)["library_name"] == "codeword"


def test_figures_that_are_absent_are_left_out(saved_model):
    folder = read_folder(saved_model)
    figures = dict.fromkeys(("knn_accuracy", "pca_mse", "trustworthiness")) | {"n": 7, "mse": 0.25}
    card = model_card(folder.config, folder.history, evaluated=Evaluated("C:\\data\\rows.csv", figures))
    assert "| mean squared error | 0.25 | – |" in card
    assert "nearest neighbors" not in card
    assert "trustworthiness" not in card
    assert "On 7 rows of `rows.csv`, errors in scaled units." in card
    assert "these very rows, the figures flatter it" in " ".join(card.split())


def test_the_card_of_a_folder_is_the_same_without_figures(saved_model):
    card = (saved_model / "README.md").read_text("utf-8")
    assert not card.startswith("---")
    assert "Figures against PCA" not in card
    assert "codeword train SOURCE -o again.ae --n-components 5 --network 'mlp(hidden=(16,))'" in card
    assert "up to 10,000 rows trained on" in card


def test_an_objective_is_told_as_it_is_typed(digits, tmp_path):
    AutoEncoder(2, epochs=1, objective=Variational(beta=2), random_state=0).fit(digits.x[:30]).save("v.ae")
    assert "| `objective` | `variational(beta=2)` |" in Path("v.ae/README.md").read_text("utf-8")


# -- what goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["hf://user/name", "hf:/user/name", Path("hf://user/name"), "hf:\\user\\name"]
)
def test_an_address_is_known_in_every_form(text):
    assert is_address(text)
    assert str(Address.of(text)) == "hf://user/name"
    assert str(Address.of(f"{text}@v1.0")) == "hf://user/name@v1.0"


@pytest.mark.parametrize("text", ["digits.ae", "/tmp/hf:/x/y", "s3://user/name", "hf", Path("hf"), None])
def test_a_path_is_no_address(text):
    assert not is_address(text)
    if text is not None:
        assert local(text) == Path(text)


@pytest.mark.parametrize(
    "text",
    [
        *("hf://", "hf://name", "hf://a/b/c", "hf://../x", "hf://user/..", "hf://user/a b", "hf://user/-a"),
        *(
            "hf://user/a--b",
            "hf://user/a@",
            "hf://user/a@../../x",
            "hf://user/a@b@c",
            f"hf://user/{'a' * 100}",
        ),
    ],
)
def test_a_wrong_address_is_refused_before_anything_is_asked(text, hub):
    for do in (pull, check_push):
        with pytest.raises(ParameterError, match="hf://user/name"):
            do(text)
    assert not hub.asked


def test_a_missing_repository(hub, monkeypatch):
    with pytest.raises(ModelError) as caught:
        pull("hf://user/nothing")
    one_line(caught, "hf://user/nothing", "there is no such repository")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ModelError) as caught:
        pull("hf://user/nothing")
    one_line(caught, "there is no such repository", "HF_TOKEN")


def test_a_missing_revision_and_a_repository_of_something_else(hub, saved_model):
    push(saved_model, "hf://user/digits")
    with pytest.raises(ModelError) as caught:
        pull("hf://user/digits@v2")
    one_line(caught, "hf://user/digits@v2", "no such revision")
    hub.repos["user/other"] = Repo(commits=[{"config.json": b"{}", "pytorch_model.bin": b""}])
    with pytest.raises(ModelError) as caught:
        pull("hf://user/other")
    one_line(caught, "hf://user/other", "holds no model of codeword")


def test_a_gated_repository(hub, saved_model):
    push(saved_model, "hf://user/digits")
    hub.repos["user/digits"].gated = True
    with pytest.raises(ModelError) as caught:
        pull("hf://user/digits")
    one_line(caught, "grants access to those who ask")


def test_no_token(hub, refused, saved_model, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    told = refused("push", saved_model, "hf://user/digits")
    assert "hf://user/digits cannot be written without a token" in told
    assert "hf auth login" in told
    assert not hub.asked


@pytest.mark.parametrize(("token", "word"), [(READER, "no right to do that"), ("hf_wrong", "not valid")])
def test_a_token_that_may_not_write(token, word, hub, refused, saved_model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", token)
    assert word in refused("push", saved_model, "hf://user/digits")
    assert not hub.repos


@pytest.mark.parametrize("token", ["hf_secret\nX", "hf_sec\x01ret", "hf_secrét", "hf_sec ret"])
def test_a_token_that_cannot_be_one_is_not_told(token, hub, saved_model, monkeypatch):
    for what in (pull, lambda *a, **k: push(saved_model, *a, **k)):
        with pytest.raises(InputError) as caught:
            what("hf://user/digits", token=token)
        assert "sec" not in one_line(caught, "the token holds characters that no token has", "HF_TOKEN")
    assert not hub.asked


def test_the_line_break_behind_a_token_is_no_part_of_it(hub, saved_model, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    push(saved_model, "hf://user/digits", private=True, token=f"{WRITER}\n")
    assert pull("hf://user/digits", token=f" {READER}\n").is_dir()


def test_a_token_in_an_error_is_struck_out(hub, monkeypatch):
    def fails(*_, **__):
        raise ValueError("Illegal header value b'Bearer abc' for hf_secret")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(ModelError) as caught:
        pull("hf://user/digits")
    text = one_line(caught, "Illegal header value")
    assert not any(word in text for word in ("abc", "secret"))


def test_a_repository_that_a_token_may_not_see_cannot_be_made(hub, saved_model, monkeypatch):
    """It is looked for in vain, and cannot be made."""
    hub.repos["user/theirs"] = Repo(private=True)
    asked = hub.RequestHandlerClass
    hidden = {"X-Error-Code": "RepoNotFound"}
    monkeypatch.setattr(asked, "_of_repo", lambda each, *_: each._say(404, {"error": "not found"}, hidden))
    with pytest.raises(InputError) as caught:
        push(saved_model, "hf://user/theirs")
    one_line(caught, "it is there and this token may not see it")


def test_no_network(refused, saved_model, monkeypatch):
    _point_at(f"http://127.0.0.1:{_closed_port()}", monkeypatch)
    told = refused("push", saved_model, "hf://user/digits")
    assert "it takes a network" in told
    with pytest.raises(ModelError) as caught:
        pull("hf://user/digits")
    one_line(caught, "hf://user/digits cannot be fetched", "it takes a network")


def test_a_hub_that_fails_half_way(hub, saved_model, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between its tries
    for part in ("/large/", "/commit/"):
        hub.fails = {part}
        with pytest.raises(InputError) as caught:
            push(saved_model, "hf://user/digits", overwrite=True)
        one_line(caught, "hf://user/digits cannot be written: the Hub answered 500; try again later")
    assert set(hub.repos["user/digits"].files) == {".gitattributes"}, "whole or not at all"
    hub.fails = set()
    push(saved_model, "hf://user/digits")
    for i, part in enumerate(("/large/", "history.jsonl")):
        hub.fails = {part}
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(Path.cwd() / f"empty{i}"))
        with pytest.raises(ModelError) as caught:
            pull("hf://user/digits")
        one_line(caught, "hf://user/digits cannot be fetched: the Hub answered 500; try again later")


def test_huggingface_hub_is_not_installed(refused, saved_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    told = refused("push", saved_model, "hf://user/digits")
    assert 'pip install "codeword[hub]"' in told
    with pytest.raises(InputError, match=r"codeword\[hub\]"):
        pull("hf://user/digits")


def test_nothing_is_overwritten_unasked(hub, refused, saved_model):
    push(saved_model, "hf://user/digits")
    before = dict(hub.repos["user/digits"].files)
    told = refused("push", saved_model, "hf://user/digits", "--source", "not-even-looked-at")
    assert "hf://user/digits already holds config.json" in told
    assert "--overwrite" in told
    assert hub.repos["user/digits"].files == before


def test_a_private_push_does_not_land_in_public(hub, refused, saved_model):
    hub.repos["user/digits"] = Repo()
    assert "everybody can read it" in refused("push", saved_model, "hf://user/digits", "--private")


def test_two_who_push_at_once_do_not_mix(hub, saved_model):
    """The second is told so: a commit names the one that it was made for."""
    hub.repos["user/digits"] = Repo()
    hub.before_commit = lambda repo: repo.commits.append({"config.json": b"from the other"})
    with pytest.raises(InputError) as caught:
        push(saved_model, "hf://user/digits")
    one_line(caught, "changed meanwhile")
    assert hub.repos["user/digits"].files == {"config.json": b"from the other"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hf://user/digits", "--license", "my own\nfront: matter"), "license"),
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


def _closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
