"""Two processes that write one model."""

import random
import subprocess
import sys
import time

import numpy as np

from codeword import AutoEncoder
from codeword.base.errors import ModelError

TRAIN = "train x.npy -o same.ae --quiet --epochs 60"


def test_of_two_that_write_one_model_one_wins_or_both_are_refused(effort, record, tmp_path):
    x = np.random.default_rng(0).normal(size=(2000, 8)).astype(np.float32)
    chance = random.Random(0)
    times, won, refused = effort.times(20, least=4), 0, 0
    for number in range(times):
        folder = tmp_path / str(number)
        folder.mkdir()
        np.save(folder / "x.npy", x)
        processes = []
        for k in ("3", "5"):
            more = ["-k", k, *(["--resume"] if number % 2 else [])]
            command = [sys.executable, "-m", "codeword.cli", *TRAIN.split(), *more]
            processes.append(subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True))
            time.sleep(chance.choice((0, 0, 0.1, 0.5, 1.5, 4)))
        ended = [(p.communicate()[1], p.returncode) for p in processes]
        winners = [k for k, (_, code) in zip((3, 5), ended, strict=True) if code == 0]
        for err, code in ended:
            assert code in (0, 1, 2), err
            if code:
                assert err.count("\n") == 1, err
                assert err.startswith("codeword: error: "), err
                refused += 1
        assert len(winners) < 2, "the second has overwritten the first"
        if winners:
            won += 1
            assert AutoEncoder.load(folder / "same.ae").n_components == winners[0]
        else:
            assert not (folder / "same.ae").exists()
        left = {p.name for p in folder.iterdir()} - {"x.npy", "same.ae", "same.ae.checkpoint"}
        assert not left, left
    record(
        "two processes that train into one model",
        f"{times} times",
        f"{won} times one of them made it, whole; {refused} processes refused in one line; "
        "none overwrote the other",
    )


def test_one_that_saves_over_a_model_another_reads(effort, record, tmp_path):
    """A reader finds the old model or the new one, at every moment."""
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    ae = AutoEncoder(2, network="mlp", epochs=1, random_state=0, device="cpu").fit(x)
    ae.save(tmp_path / "m.ae")
    code = (
        "import sys, time; from codeword import AutoEncoder\n"
        "ae = AutoEncoder.load('m.ae', device='cpu'); stop = time.time() + float(sys.argv[1]); n = 0\n"
        "while time.time() < stop: ae.save('m.ae', overwrite=True); n += 1\n"
        "print(n)"
    )
    seconds = effort.seconds(20)
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(seconds)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    reads = torn = 0
    while writer.poll() is None:
        try:
            AutoEncoder.load(tmp_path / "m.ae", device="cpu")
        except ModelError:  # two files of one folder, of which it was replaced in between
            torn += 1
        reads += 1
    saves = int(writer.communicate()[0])
    assert torn < reads
    record(
        "a model read while another process saves over it",
        f"{reads:,} reads, {saves:,} saves",
        f"{reads - torn:,} whole, {torn} refused in one line as replaced under way",
    )
    assert not [p for p in tmp_path.iterdir() if p.name != "m.ae"]
