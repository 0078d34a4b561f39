"""Two processes of torchrun with batches of b learn what one learns with batches of 2b."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from codeword import AutoEncoder
from codeword.cli import main as cli

TRAIN = ["--network", "mlp(hidden=(16,))", "-k", "4", "--epochs", "3", "--random-state", "0", "--json", "-q"]


def torchrun(*arguments):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launch, "-m", "codeword.cli", *arguments], capture_output=True, text=True, timeout=300
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
        "import os, sys; from codeword.cli import main as cli\n"
        "from codeword.training import checkpoint, loop as training\n"
        "checkpoint.MOST_OF_THE_TIME = 1e9\n"
        "save = training.Trainer._save\n"
        "def die(trainer, kept):\n"
        "    save(trainer, kept)\n"
        "    trainer.epoch == 2 and os._exit(9)\n"
        "training.Trainer._save = die\n"
        "sys.exit(cli.run(sys.argv[1:]))\n"
    )
    (tmp_path / "dies.py").write_text(script)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    again = ["train", str(rows), *TRAIN, "--batch-size", "32", "-o", str(tmp_path / "two.ae")]
    died = subprocess.run(
        [*launch, str(tmp_path / "dies.py"), *again], capture_output=True, text=True, timeout=300
    )
    assert died.returncode != 0
    assert (tmp_path / "two.ae.checkpoint").exists()
    resumed = torchrun(*again, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    a, b = ((folder / "weights.safetensors").read_bytes() for folder in (two[0], tmp_path / "two.ae"))
    assert a == b


def test_of_a_folder_of_parts_each_process_reads_its_own(tmp_path):
    """In the pass that finds the scaling, and in each epoch: every row is read once, by one of the two."""
    x = np.random.default_rng(0).normal(size=(3000, 6)).astype(np.float32)
    (tmp_path / "parts").mkdir()
    for i, part in enumerate(np.array_split(x, 5)):
        columns = {f"c{j}": np.ascontiguousarray(column) for j, column in enumerate(part.T)}
        pq.write_table(pa.table(columns), tmp_path / "parts" / f"{i}.parquet", row_group_size=100)
    script = (
        "import json, os, sys\n"
        "from codeword.cli import main as cli; from codeword.model import autoencoder as estimator\n"
        "from codeword.training import batches\n"
        "from codeword.data import rows as parts, tables\n"
        "batches.RESIDENT_BYTES, batches.BLOCK_BYTES, tables.LARGE_BYTES = 1000, 2400, 1000\n"
        "read, describe = parts.PartFolder._read, estimator.describe\n"
        "epoch, now, seen = batches.StreamedBatches._read, [], {'scaling': [], 'epochs': []}\n"
        "def own(self, start, n):\n"
        "    if now:\n"
        "        seen[now[-1]].append((start, start + n))\n"
        "    return read(self, start, n)\n"
        "def during(what, function, *a, **k):\n"
        "    now.append(what)\n"
        "    try:\n"
        "        return function(*a, **k)\n"
        "    finally:\n"
        "        now.pop()\n"
        "def read_window(self, window):\n"
        "    return during('epochs', epoch, self, window) if self.group.size > 1 else epoch(self, window)\n"
        "parts.PartFolder._read = own\n"
        "estimator.describe = lambda *a, **k: during('scaling', describe, *a, **k)\n"
        "batches.StreamedBatches._read = read_window\n"
        "code = cli.run(sys.argv[2:])\n"
        "open(sys.argv[1] + os.environ['RANK'], 'w').write(json.dumps(seen))\n"
        "sys.exit(code)\n"
    )
    (tmp_path / "reads.py").write_text(script)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train = ["train", str(tmp_path / "parts"), *TRAIN, "--epochs", "1", "--validation-fraction", "0"]
    done = subprocess.run(
        [*launch, str(tmp_path / "reads.py"), str(tmp_path / "seen"), *train, "-o", str(tmp_path / "two.ae")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for phase in ("scaling", "epochs"):
        own = []
        for rank in range(2):
            ranges = json.loads((tmp_path / f"seen{rank}").read_text())[phase]
            own.append([row for start, stop in ranges for row in range(start, stop)])
        assert sorted(own[0] + own[1]) == list(range(3000)), phase
        assert len(own[0]) == pytest.approx(1500, abs=100), phase
    ae = AutoEncoder.load(tmp_path / "two.ae")
    np.testing.assert_allclose(ae.scaling_.offset, x.mean(axis=0, dtype=np.float64), atol=1e-9)
    np.testing.assert_allclose(ae.scaling_.scale, x.std(axis=0, dtype=np.float64), rtol=1e-9)
