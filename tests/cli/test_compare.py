"""`codeword compare`: what it says, what it writes, and that a kill costs nothing that was finished."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from codeword import MLP, AutoEncoder, compare, plots
from codeword.cli.main import run
from codeword.model.parameters import parameters
from codeword.plots.style import new_figure
from codeword.tasks.compare import HeldOut

TINY = ["--network", "mlp(hidden=(8,))", "--epochs", "2", "--batch-size", "64", "--device", "cpu"]
FILES = ["comparison.csv", "comparison.png", "results.jsonl", "settings.json"]


@pytest.fixture
def small_picture(monkeypatch):
    """Drawing takes longer than training here."""
    monkeypatch.setattr(plots, "comparison_figure", lambda rows, recommended: new_figure(1, 1))


@pytest.fixture
def rows():
    x = np.random.default_rng(0).normal(size=(120, 6)).cumsum(axis=1)
    np.save("x.npy", x)
    return x


@pytest.fixture
def do(capsys):
    """Run a command that must succeed; what it put on standard output and standard error."""

    def command(*words):
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 0, err
        return out, err

    return command


def results(found):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


def test_it_ends_with_a_table_a_recommendation_and_what_to_do_next(do):
    out, err = do(
        "compare", "digits", "--k", "2,8", "--objective", "reconstruction,nested", "--seeds", "2", *TINY
    )
    assert err == ""
    lines = out.splitlines()
    pca, first = map(json.loads, Path("digits-comparison/results.jsonl").read_text().splitlines()[:2])
    assert lines[0] == (
        f"reconstruction k=2 seed 0: error {first['mse']:.4g} (PCA {pca['mse']:.4g}), "
        f"{first['seconds']:.1f} s; 1 of 8"
    )
    assert [line.rsplit("; ", 1)[1] for line in lines[:8]] == [f"{i} of 8" for i in range(1, 9)]
    assert lines[9].startswith("359 held-out rows")
    assert lines[11].split() == [
        *["objective", "k", "mean", "squared", "error", "PCA", "kept", "label", "accuracy", "PCA", "seconds"]
    ]
    marked = next(line for line in lines if line.startswith("*")).split()
    assert lines[-3].startswith(f"recommended: k = {marked[2]}, {marked[1]}: {marked[2]} numbers have ")
    assert lines[-2] == "wrote digits-comparison: comparison.png, comparison.csv, results.jsonl"
    option = "" if marked[1] == "reconstruction" else f" --objective {marked[1]}"
    assert lines[-1] == f"next: codeword train digits -k {marked[2]}{option}"
    assert sorted(os.listdir("digits-comparison")) == FILES
    with Image.open("digits-comparison/comparison.png") as image:
        assert image.width > image.height > 200
    with open("digits-comparison/comparison.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["objective"], row["k"], row["seed"]) for row in table] == [
        *[("reconstruction", k, seed) for k in "28" for seed in "01"],
        *[("nested", k, seed) for k in "28" for seed in "01"],
        *[("pca", k, "") for k in "28"],
    ]


@pytest.mark.usefixtures("small_picture")
def test_json_is_one_line_and_the_rest_goes_elsewhere(do, rows):
    out, err = do("compare", "x.npy", "--k", "1,2,4", "--seeds", "1", "-o", "c", "--json", *TINY)
    assert out.count("\n") == 1
    said = json.loads(out)
    assert said.keys() == {"rows", "recommended", "folder"}
    assert said["folder"] == "c"
    assert said["recommended"].keys() == {"k", "objective", "reason"}
    found = compare(rows, k=(1, 2, 4), seeds=1, network=MLP(hidden=(8,)), epochs=2, batch_size=64)
    assert results(said["rows"]) == results(found.rows)
    assert said["recommended"]["reason"] == found.recommended.reason
    assert err.count("; ") == 3
    assert "epoch" not in err


@pytest.mark.usefixtures("small_picture")
def test_quiet_leaves_the_result(do, rows):
    out, err = do("compare", "x.npy", "--k", "2", "--seeds", "1", "-q", *TINY)
    assert err == ""
    assert out.startswith("24 held-out rows")
    assert out.splitlines()[-1] == "recommended: k = 2, reconstruction: it is the only k that was compared"


@pytest.mark.usefixtures("small_picture", "rows")
def test_objectives_with_parameters_are_told_apart_at_their_commas(do):
    objectives = "variational(beta=4, decomposition=\"tc\"), nested(truncation='geometric'),reconstruction"
    words = ["compare", "x.npy", "-k", "2", "--seeds", "1", "--objective", objectives, "--json"]
    out, _ = do(*words, *TINY)
    assert [row["objective"] for row in json.loads(out)["rows"]] == [
        "variational(beta=4, decomposition='tc')",
        "nested(truncation='geometric')",
        "reconstruction",
        "pca",
    ]


@pytest.mark.usefixtures("small_picture")
def test_what_to_do_next_can_be_typed(do, rows, tmp_path):
    folder = tmp_path / "my rows"
    folder.mkdir()
    np.save(folder / "x.npy", rows)
    objective = "variational(beta=0.01)"
    out, _ = do("compare", folder / "x.npy", "--k", "2", "--seeds", "1", "--objective", objective, *TINY)
    assert Path("x-comparison").is_dir()
    assert out.splitlines()[-1] == f"next: codeword train '{folder}/x.npy' -k 2 --objective '{objective}'"


@pytest.mark.usefixtures("small_picture")
def test_a_source_with_two_parts_is_judged_on_its_test_part(do, rows):
    for part in ("train", "test"):
        os.makedirs(f"parts/{part}")
    np.save("parts/train/x.npy", rows[:90])
    np.save("parts/test/x.npy", rows[90:])
    out, _ = do("compare", "parts", "--k", "2", "--seeds", "1", "--json", *TINY)
    found = compare(
        rows[:90], test=(rows[90:], None), k=2, seeds=1, network=MLP(hidden=(8,)), epochs=2, batch_size=64
    )
    assert results(json.loads(out)["rows"]) == results(found.rows)
    out, _ = do("compare", "parts", "--split", "test", "--k", "2", "--seeds", "1", "-o", "c", "-q", *TINY)
    assert out.startswith("6 held-out rows")


@pytest.mark.usefixtures("small_picture")
def test_the_test_part_of_a_mixed_table_has_the_columns_of_the_other(do, rows):
    frame = pd.DataFrame(rows[:, :2], columns=["a", "b"]).assign(c=["x", "y", "z"] * 40)
    for part, some in (("train", frame[:90]), ("test", frame[90:])):
        os.makedirs(f"parts/{part}")
        some.to_parquet(f"parts/{part}/rows.parquet")
    out, _ = do("compare", "parts", "--k", "2", "--seeds", "1", "-q", *TINY)
    assert out.startswith("30 held-out rows")


@pytest.mark.usefixtures("small_picture")
def test_labels_of_a_table_judge_the_codes(do, rows):
    frame = pd.DataFrame(rows, columns=list("abcdef"))
    frame.assign(kind=np.where(rows[:, -1] > 0, "up", "down")).to_csv("t.csv", index=False)
    out, _ = do("compare", "t.csv", "--label-column", "kind", "--k", "1,2", "--seeds", "1", *TINY)
    assert "label accuracy" in out
    assert "label accuracy of" in out.splitlines()[-3] or "the best label accuracy" in out.splitlines()[-3]


# -- stopping and going on ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_picture", "rows")
def test_ctrl_c_says_how_to_go_on_and_what_is_done_is_kept(do, capsys, monkeypatch):
    words = ["compare", "x.npy", "--k", "1,2,4", "--seeds", "2", *TINY]
    do(*words, "-o", "alone")
    metrics = HeldOut.metrics
    calls = []

    def interrupted(self, codec, scaling):
        calls.append(codec)
        if len(calls) == 6:  # PCA's and the model's of each k
            raise KeyboardInterrupt
        return metrics(self, codec, scaling)

    monkeypatch.setattr(HeldOut, "metrics", interrupted)
    assert run([*words, "-o", "c"]) == 130
    out, err = capsys.readouterr()
    assert out.count("\n") == 2
    assert err == "codeword: error: interrupted after 2 of 6; the same command goes on\n"
    assert "results.jsonl" in os.listdir("c")
    out, _ = do(*words, "-o", "c")
    assert [line.rsplit("; ", 1)[1] for line in out.splitlines()[:4]] == [f"{i} of 6" for i in (3, 4, 5, 6)]
    assert sorted(os.listdir("c")) == FILES
    kept, whole = (Path(f"{folder}/results.jsonl").read_text().splitlines() for folder in ("c", "alone"))
    assert results(map(json.loads, kept)) == results(map(json.loads, whole))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.usefixtures("small_picture", "rows")
def test_a_killed_process_goes_on_to_the_same_rows(do):
    words = ["compare", "x.npy", "--k", "1,2", "--seeds", "3", *TINY, "--epochs", "60"]
    results_file = Path("c/results.jsonl")
    process = subprocess.Popen(
        [sys.executable, "-m", "codeword.cli", *words, "-o", "c"], stdout=subprocess.DEVNULL
    )
    for _ in range(24000):
        time.sleep(0.005)
        if process.poll() is not None or (
            results_file.exists() and results_file.read_text().count("\n") >= 2
        ):
            break
    process.kill()
    assert process.wait() == -signal.SIGKILL
    finished = results_file.read_text().splitlines()
    assert not Path("c/comparison.csv").exists()
    out, _ = do(*words, "-o", "c", "--json")
    assert results_file.read_text().splitlines()[: len(finished)] == finished  # the very seconds, too
    alone, _ = do(*words, "-o", "alone", "--json")
    assert results(json.loads(out)["rows"]) == results(json.loads(alone)["rows"])
    assert json.loads(out)["recommended"] == json.loads(alone)["recommended"]
    assert sorted(os.listdir("c")) == FILES


@pytest.mark.usefixtures("small_picture")
def test_a_folder_that_is_there_is_gone_on_with_or_replaced(do, refused, rows):
    words = ["compare", "x.npy", "--k", "1,2", "--seeds", "1", *TINY]
    do(*words)
    out, _ = do(*words)
    assert "k=1 seed 0: error" not in out
    assert "recommended" in out
    assert "made with epochs = 2, and this run has 3" in refused(*words, "--epochs", "3")
    np.save("x.npy", rows + 1)
    assert "the digest of training rows" in refused(*words)
    do(*words, "--overwrite")
    os.mkdir("thesis")
    Path("thesis/chapter.txt").write_text("one")
    assert "thesis is no comparison to go on with" in refused(*words, "-o", "thesis")
    assert "'chapter.txt'" in refused(*words, "-o", "thesis", "--overwrite")
    assert "there is no folder no" in refused(*words, "-o", "no/c")


# -- bad input and help -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--k", "", "--k must be whole numbers with commas between, or auto. Got '' instead."),
        ("--k", "2,x", "--k must be whole numbers with commas between, or auto. Got '2,x' instead."),
        ("--k", "2,0", "--k must be positive integers, at least one, or 'auto'. Got [2, 0] instead."),
        ("--k", "2,7", "k = 7 is more than the number of features in a row, 6"),
        ("--seeds", "0", "--seeds must be a positive integer. Got 0 instead."),
        ("--seeds", "x", "--seeds"),
        ("--objective", "nested,best", "'best' is not one of reconstruction"),
        ("--objective", "nested,", "--objective takes a name"),
        ("--objective", "nested(rate=2)", "rate"),
        ("--objective", "nested(rate=0.5", "--objective takes a name"),
        ("--epochs", "0", "--epochs must be a positive integer or 'auto'. Got 0 instead."),
        ("--n-components", "3", "No such option"),
        ("--random-state", "3", "No such option"),
        ("--label-column", "kind", "label"),
        ("--size", "4x", "--size must be"),
        ("--split", "half", "half"),
    ],
)
def test_a_wrong_option_is_named(option, value, words, refused):
    assert words in refused("compare", "x.npy", *TINY, option, value)


def test_where_every_training_fails_it_says_so(capsys, rows):
    wild = "mlp(hidden=(8,), activation='relu', linear_skip=False)"
    code = run(["compare", "x.npy", "--k", "2", *TINY, "--network", wild, "--learning-rate", "1e30", "-q"])
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert err.startswith(
        "codeword: error: no training of x-comparison succeeded: the loss or the weights were"
    )
    assert err.count("\n") == 1


def test_help_has_every_other_parameter_and_an_example(do):
    out, _ = do("compare", "--help")
    text = " ".join(out.split())
    assert "Example: codeword compare" in text
    for parameter in parameters():
        asked = parameter.option in text
        assert asked == (parameter.name not in ("n_components", "random_state")), parameter.option
    assert max(map(len, out.splitlines())) <= 80


def test_the_parameters_reach_the_trainings(do, rows, monkeypatch):
    monkeypatch.setattr(plots, "comparison_figure", lambda rows, recommended: new_figure(1, 1))
    seen = []
    fit = AutoEncoder.fit

    def watched(self, *args, **more):
        seen.append(self.get_params(deep=False))
        return fit(self, *args, **more)

    monkeypatch.setattr(AutoEncoder, "fit", watched)
    do("compare", "x.npy", "--k", "3", "--seeds", "2", *TINY, "--learning-rate", "0.01", "--scaling", "none")
    assert [(p["n_components"], p["random_state"]) for p in seen] == [(3, 0), (3, 1)]
    for name, value in {"epochs": 2, "batch_size": 64, "learning_rate": 0.01, "scaling": "none"}.items():
        assert seen[0][name] == value
