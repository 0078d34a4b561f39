"""SIGKILL: at random moments of training, and before each step of a write."""

import os
import re
import signal
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from codeword import MLP, AutoEncoder
from codeword.cli.main import run

ROOT = Path(__file__).resolve().parents[2]

EPOCHS = 30
"""Fewer than the benchmark's own, so that fifty kills fit into the time."""


def test_killed_training_resumes_to_the_same_bytes(effort, record):
    """benchmarks/kills.py: it kills, resumes, kills again, and compares with a run that was left alone."""
    kills = effort.times(50, least=4)
    code = f"import kills; kills.TRAIN[3] = '{EPOCHS}'; kills.main()"
    command = [sys.executable, "-c", code, "--kills", str(kills), "--per-run", str(min(5, kills // 2))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "benchmarks")
    assert done.returncode == 0, done.stderr[-2000:]
    runs, killed, found, same = map(int, re.findall(r"\d+", done.stdout.strip().splitlines()[-1]))
    record(
        "SIGKILL while training, then --resume",
        f"{killed} kills in {runs} runs",
        f"{same} of {runs} runs end with the bytes of one left alone; {found} kills found a checkpoint",
    )
    assert same == runs


STEPS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate")


def killed_at(step, folder, act):
    """Whether `act`, in a process of its own, was killed before its `step`-th touch of a file in `folder`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that do not go along
        child = os.fork()
    if child == 0:
        touches = 0

        def count(event, arguments):
            nonlocal touches
            if event in STEPS and str(arguments[0]).startswith(str(folder)):
                touches += 1
                if touches == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            sys.addaudithook(count)
            code = act() or 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def kill_at_each_step(act, folder, found, prepare):
    """Kill `act` at each step, after `prepare`; count what is `found` then."""
    states, step = Counter(), 1
    prepare()
    while killed_at(step, folder, act):
        states[found()] += 1
        step += 1
        prepare()
    assert set(states) == {"old", "new"}, states
    assert states.total() >= 10, states
    happened = f"{states['old']} times the old is there, {states['new']} times the new, always whole"
    return f"{states.total()} kills", happened


def test_a_model_that_is_replaced_is_the_old_or_the_new(record, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    settings = {"network": MLP(hidden=(3,)), "epochs": 1, "device": "cpu"}
    models = {
        name: AutoEncoder(2, random_state=i, **settings).fit(x) for i, name in enumerate(("old", "new"))
    }
    path, known = tmp_path / "m.ae", {}
    for name, model in models.items():
        model.save(path, overwrite=True)
        known[(path / "weights.safetensors").read_bytes()] = name

    def found():
        AutoEncoder.load(path)
        # What a kill leaves beside it hinders nothing.
        assert all(p.name.startswith(".m.") for p in tmp_path.iterdir() if p != path)
        return known[(path / "weights.safetensors").read_bytes()]

    def save(name):
        models[name].save(path, overwrite=True)

    rows = kill_at_each_step(lambda: save("new"), tmp_path, found, lambda: save("old"))
    record("SIGKILL before each touch of a file, as a model is saved over another", *rows)


@pytest.mark.parametrize(
    "words", [["encode", "-o", "z.npy"], ["encode", "-o", "z.parquet"], ["report", "-o", "r.html"]]
)
def test_an_output_that_is_replaced_is_the_old_or_the_new(words, record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    np.save("x.npy", x)
    network = MLP(hidden=(3,))
    AutoEncoder(2, network=network, epochs=1, device="cpu", random_state=0).fit(x).save("m.ae")
    command = [words[0], "m.ae", "x.npy", *words[1:], "--quiet", "--overwrite"]
    assert run(command) == 0
    output = tmp_path / words[-1]
    whole = len(output.read_bytes())

    def found():
        content = output.read_bytes()
        assert content == b"old" or abs(len(content) - whole) < 0.05 * whole
        return "old" if content == b"old" else "new"

    rows = kill_at_each_step(lambda: run(command), "", found, lambda: output.write_bytes(b"old"))
    record(f"SIGKILL before a touch of a file, as {words[0]} writes {words[-1]} over another", *rows)
