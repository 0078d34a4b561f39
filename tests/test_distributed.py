"""Two processes with batches of b learn what one learns with batches of 2b."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from codeword import cli

TRAIN = ["--network", "mlp(hidden=(16,))", "-k", "4", "--epochs", "3", "--random-state", "0", "--json", "-q"]


def torchrun(*arguments):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launch, "-m", "codeword.cli", *arguments], capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(1000, 12)).cumsum(axis=1).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def two(rows, tmp_path_factory):
    """A run of two processes: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("two") / "two.ae"
    done = torchrun("train", str(rows), *TRAIN, "--batch-size", "32", "-o", str(folder))
    assert done.returncode == 0, done.stderr
    assert [p.name for p in folder.parent.iterdir()] == ["two.ae"]
    return folder, done.stdout


def test_two_processes_match_one(rows, two, tmp_path, capsys):
    assert cli.run(["train", str(rows), *TRAIN, "--batch-size", "64", "-o", str(tmp_path / "one.ae")]) == 0
    one = json.loads(capsys.readouterr().out)
    together = json.loads(two[1])  # one line: rank 0 alone speaks
    np.testing.assert_allclose(together["train_loss"], one["train_loss"], rtol=1e-4)
    np.testing.assert_allclose(together["validation_loss"], one["validation_loss"], rtol=1e-4)
    a, b = (load_file(folder / "weights.safetensors") for folder in (tmp_path / "one.ae", two[0]))
    for name in a:
        np.testing.assert_allclose(b[name], a[name], rtol=0.02, atol=2e-3, err_msg=name)


def test_two_processes_resume_what_two_processes_began(rows, two, tmp_path):
    script = (
        "import os, sys; from codeword import checkpoint, cli, training\n"
        "checkpoint.MOST_OF_THE_TIME = 1e9\n"
        "save = training._save\n"
        "def die(c, run, *rest):\n"
        "    save(c, run, *rest)\n"
        "    run.epoch == 2 and os._exit(9)\n"
        "training._save = die\n"
        "sys.exit(cli.run(sys.argv[1:]))\n"
    )
    (tmp_path / "dies.py").write_text(script)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    again = ["train", str(rows), *TRAIN, "--batch-size", "32", "-o", str(tmp_path / "two.ae")]
    died = subprocess.run(
        [*launch, str(tmp_path / "dies.py"), *again], capture_output=True, text=True, timeout=120
    )
    assert died.returncode != 0
    assert (tmp_path / "two.ae.checkpoint").exists()
    resumed = torchrun(*again, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    a, b = ((folder / "weights.safetensors").read_bytes() for folder in (two[0], tmp_path / "two.ae"))
    assert a == b
