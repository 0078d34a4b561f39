"""`codeword train`: every parameter reaches the model, and what comes of it is said."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from codeword import AutoEncoder, load
from codeword.cli.main import run
from codeword.model.parameters import parameters

TINY = ["-k", "2", "--epochs", "2", "--network", "mlp(hidden=(4,))", "--random-state", "0", "--device", "cpu"]


def test_train_writes_a_model_and_ends_with_one_line_of_json(do):
    lines = do("train", "digits", "-o", "m.ae", *TINY, "--json").splitlines()
    assert len(lines) == 1
    facts = json.loads(lines[0])
    assert facts["model"] == "m.ae"
    assert facts["epochs"] == 2
    assert len(facts["train_loss"]) == len(facts["validation_loss"]) == 2
    assert facts["seconds"] > 0
    assert (facts["n"], facts["k"]) == (1438, 2)
    ae = AutoEncoder.load("m.ae")
    assert [row["train_loss"] for row in ae.history_] == facts["train_loss"]
    assert ae.network.hidden == (4,)


def test_train_tells_a_person_what_came_of_it(do):
    out = do("train", "digits", *TINY).splitlines()
    assert out[0].startswith("epoch 1/2   loss 0.")
    assert "digits.ae: 64 → 2 → 64, trained on 1,438 rows" in out[2]
    assert out[3] == "next: codeword evaluate digits.ae digits"
    assert do("evaluate", "digits.ae", "digits")


def test_train_takes_every_parameter(do, tmp_path):
    given = {
        "n-components": 3, "network": "mlp", "objective": "reconstruction", "scaling": "standard",
        "epochs": 1, "batch-size": 64, "learning-rate": 1e-3, "schedule": "constant",
        "validation-fraction": 0.2, "patience": 2, "precision": "float32", "device": "cpu", "random-state": 7,
    }  # fmt: skip
    assert {f"--{name}" for name in given} == {p.option for p in parameters()}
    do(
        "train",
        "digits",
        "-o",
        "m.ae",
        *(word for name, value in given.items() for word in (f"--{name}", value)),
    )
    kept = AutoEncoder.load(tmp_path / "m.ae").get_params(deep=False)
    for name, value in given.items():
        if name != "device":
            assert kept[name.replace("-", "_")] == value


def test_a_preset_can_be_varied(do, mnist_5k_csv):
    do("train", mnist_5k_csv, "-o", "m.ae", "--preset", "tutorial", "--epochs", "1", "-k", "4", "-q")
    ae = AutoEncoder.load("m.ae")
    assert (ae.n_components, ae.epochs, ae.batch_size, ae.schedule) == (4, 1, 32, "constant")
    assert ae.network.hidden == (256,)


@pytest.fixture
def mnist_5k_csv(tmp_path):
    images = load("mnist-5k", "test").x[:60].reshape(60, -1)
    pd.DataFrame(images, columns=[f"p{i}" for i in range(784)]).to_csv("pixels.csv", index=False)
    return "pixels.csv"


def test_what_to_do_next_can_be_pasted(do, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd"))
    frame.assign(kind=["x", "y"] * 30).to_csv("my rows.csv", index=False)
    out = do("train", "my rows.csv", "-o", "m.ae", "--label-column", "kind", "--epochs", 1, "-k", 4)
    assert "a code of 4 numbers is no smaller than a row of 4" in out
    following = next(line for line in out.splitlines() if line.startswith("next: codeword "))
    do(*shlex.split(following.removeprefix("next: codeword ")))


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("-k", "0", "--n-components must be a positive integer. Got 0 instead."),
        ("-k", "-3", "--n-components must be a positive integer. Got -3 instead."),
        ("-k", "abc", "--n-components must be a whole number. Got 'abc' instead."),
        ("-k", "1.5", "--n-components must be a whole number. Got '1.5' instead."),
        ("--epochs", "many", "--epochs must be a positive integer or 'auto'. Got 'many' instead."),
        ("--epochs", "0", "--epochs must be a positive integer or 'auto'. Got 0 instead."),
        ("--learning-rate", "fast", "--learning-rate must be a number. Got 'fast' instead."),
        ("--learning-rate", "nan", "--learning-rate must be a positive number"),
        ("--batch-size", "-1", "--batch-size must be a positive integer"),
        ("--scaling", "minmax", "--scaling must be one of auto, pixels, unit, standard, none. Got 'minmax'"),
        ("--scaling", "unit", "use --scaling standard"),
        ("--schedule", "linear", "--schedule must be one of"),
        ("--precision", "float8", "--precision must be one of float32, bfloat16. Got 'float8' instead."),
        ("--validation-fraction", "1", "--validation-fraction must be a number from 0"),
        ("--patience", "x", "--patience must be a whole number"),
        ("--random-state", "-1", "--random-state must be an integer from 0"),
        ("--random-state", "x", "--random-state must be a whole number"),
        ("--device", "gpu", "--device is 'gpu'"),
        ("--network", "mpl", "'mpl' is not one of mlp"),
        ("--network", "mlp(width=3)", "--network takes a name, or name(key=value) such as 'mlp(hidden=(5"),
        ("--network", "mlp(hidden=(0,))", "must be a sequence of positive integers"),
        ("--network", "mlp(hidden=", "--network takes a name"),
        ("--network", "mlp((3,))", "--network takes a name"),
        ("--network", "__import__('os').getcwd()", "--network takes a name"),
        ("--network", "mlp(hidden=open('x'))", "--network takes a name"),
        ("--objective", "best", "'best' is not one of reconstruction"),
        ("--preset", "lecture", "--preset must be one of tutorial. Got 'lecture' instead."),
        ("--split", "half", "half"),
        ("--size", "big", "--size must be a number of pixels, or height x width such as 32x48. Got 'big'"),
        ("--size", "0", "--size must be"),
        ("--size", "3x4x5", "--size must be"),
        ("--size", "-4", "--size must be"),
        ("--label-column", "kind", "label"),
        ("--color", "red", "No such option"),
        ("--output", "no/such/folder/m.ae", "there is no folder no/such/folder; create it first"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(option, value, words, refused, rows):
    np.save("x.npy", rows)
    assert words in refused("train", "x.npy", "-o", "m.ae", *TINY, option, value)


def test_more_numbers_in_a_code_than_in_a_row_are_allowed(do, rows):
    np.save("x.npy", rows)
    do("train", "x.npy", "-o", "m.ae", *TINY, "-k", "9", "-q")
    assert AutoEncoder.load("m.ae").n_components == 9


def test_a_network_larger_than_memory_is_said_in_a_line(refused, rows):
    np.save("x.npy", rows)
    assert "memory" in refused("train", "x.npy", "-o", "m.ae", *TINY, "-k", "9000000000000", code=1)


def test_a_diverging_run_says_what_to_try_and_leaves_no_model(capsys, rows):
    np.save("x.npy", rows)
    wild = "mlp(hidden=(8,), activation='relu', linear_skip=False)"
    code = run(["train", "x.npy", "-o", "m.ae", *TINY, "--network", wild, "--learning-rate", "1e30", "-q"])
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert err.startswith("codeword: error: the loss or the weights were not finite in epoch 1")
    assert "try a learning rate below 1e+30, or --scaling standard" in err
    assert not os.path.exists("m.ae")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_while_training_ends_in_a_line_and_no_model():
    words = ["-m", "codeword.cli", "train", "digits", *TINY, "--epochs", "100000"]
    with subprocess.Popen(
        [sys.executable, "-u", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has what it starts in the background ignore Ctrl-C, and these tests may be in it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            assert "epoch" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=90)
        finally:
            with contextlib.suppress(OSError):
                process.kill()
    assert process.returncode == 130
    assert "interrupted" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not os.path.exists("digits.ae")


def test_the_help_of_train_speaks_of_the_command_line(do):
    out = " ".join(do("train", "--help").split())
    for p in parameters():
        assert p.option in out
    assert "'mlp(hidden=(512, 256))'" in out
    assert "[float32, bfloat16; default: float32]" in out
    for word in ("RandomState", "torch modules", "None", "(encoder, decoder)", "Int.", "Str"):
        assert word not in out
