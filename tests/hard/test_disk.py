"""A disk that is full, or may not be written: one line, and what was there is as it was."""

import contextlib
import errno
import os
import resource
import shutil
import signal
import subprocess

import numpy as np
import pytest

from codeword import MLP, AutoEncoder
from codeword.cli.main import run

SMALL = "-k 3 --epochs 6 --random-state 0 --device cpu"
ROOMS = (0, 1, 6, 25, 100, 200, 400, 800, 2_000, 4_000, 12_000)
"""Kilobytes that are left."""

COMMANDS = {
    name: [*words.split(), "--quiet"]
    for name, words in {
        "train": f"train x.npy -o new.ae {SMALL}",
        "train --overwrite": f"train x.npy -o old.ae --overwrite {SMALL}",
        "encode to .npy": "encode old.ae x.npy -o old.npy --overwrite",
        "encode to .npz": "encode old.ae x.npy -o new.npz",
        "encode to .csv": "encode old.ae x.npy -o new.csv",
        "encode to .parquet": "encode old.ae x.npy -o new.parquet",
        "reconstruct": "reconstruct old.ae x.npy -o new.png",
        "report": "report old.ae few.npy -o old.html --overwrite",
    }.items()
}


def fill(folder):
    """Data, a model and outputs of before."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(12_000, 6)).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "few.npy", x[:200])
    ae = AutoEncoder(3, network=MLP(hidden=(64, 64)), epochs=1, random_state=0, device="cpu").fit(x)
    ae.save(folder / "old.ae")
    (folder / "old.npy").write_bytes(b"before")
    (folder / "old.html").write_bytes(b"before")


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def attempt(words, capsys):
    code = run(words)
    return code, capsys.readouterr().err


def check(name, code, err, before, after):
    """All is written, or nothing is; 1 and one line. A stopped run's checkpoint may stay."""
    assert "Traceback" not in err
    kept = {file: content for file, content in after.items() if ".checkpoint/" not in file}
    if code == 0:
        assert set(before) <= set(kept)
        return
    assert code == 1, err
    assert err.count("\n") == 1, err
    assert err.startswith("codeword: error: "), err
    assert kept == before, f"{name}: {sorted(set(kept) ^ set(before))}"


@contextlib.contextmanager
def small_disk(folder, kilobytes):
    """A file system in memory."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root")
    try:
        yield folder
    finally:
        os.chdir("/")
        subprocess.run(["umount", str(folder)], check=True)


def clean(folder, before):
    """Back to how it was."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and str(path.relative_to(folder)) not in before:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for file, content in before.items():
        if not (folder / file).exists() or (folder / file).read_bytes() != content:
            (folder / file).write_bytes(content)


def runs_short_of_room(name, effort, folder, limit, capsys):
    """Run a command in each room that `limit` leaves: how often it failed, out of how many times."""
    fill(folder)
    before, failed = files(folder), 0
    rooms = ROOMS if effort.share == 1 else ROOMS[::3]
    for room in rooms:
        with limit(room * 1024):
            code, err = attempt(COMMANDS[name], capsys)
        check(name, code, err, before, files(folder))
        failed += code == 1
        assert code == 0 or any(os.strerror(number) in err for number in (errno.ENOSPC, errno.EFBIG)), err
        clean(folder, before)
    assert failed
    happened = f"{failed} refused in one line, all before kept, nothing half written"
    return f"{len(rooms)} times", f"{happened}; {len(rooms) - failed} had room"


@contextlib.contextmanager
def ballast(room):
    """A disk, the working folder, that is full but for so many bytes."""
    with open("ballast", "wb") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(4096))
    os.truncate("ballast", max(0, os.path.getsize("ballast") - room))
    yield
    os.remove("ballast")


@contextlib.contextmanager
def short_files(room):
    """A system that lets no file become longer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(name, effort, record, tmp_path, monkeypatch, capsys):
    with small_disk(tmp_path / "disk", 24_000) as disk:
        monkeypatch.chdir(disk)
        happened = runs_short_of_room(name, effort, disk, ballast, capsys)
        monkeypatch.undo()
    record(f"disk full: {name}", *happened)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_may_grow_no_further(name, effort, record, tmp_path, monkeypatch, capsys):
    """As on a full disk, on any machine: the system refuses to let a file become longer than so much."""
    monkeypatch.chdir(tmp_path)
    record(f"file too large: {name}", *runs_short_of_room(name, effort, tmp_path, short_files, capsys))


def test_a_run_goes_on_once_there_is_room(record, tmp_path, monkeypatch, capsys):
    with small_disk(tmp_path / "disk", 24_000) as disk:
        monkeypatch.chdir(disk)
        fill(disk)
        command = [*COMMANDS["train"], "--resume"]
        assert run([word.replace("new.ae", "alone.ae") for word in command]) == 0
        with ballast(0):
            assert run(command) == 1
        assert run(command) == 0
        capsys.readouterr()
        made = [(disk / name / "weights.safetensors").read_bytes() for name in ("alone.ae", "new.ae")]
        assert made[0] == made[1]
        monkeypatch.undo()
    record("disk full in training, then room and --resume", "once", "the same bytes of weights")


def test_what_may_only_be_read(record, tmp_path, monkeypatch, capsys):
    """Data and models on a file system mounted read-only: they are used, and nothing is written there."""
    with small_disk(tmp_path / "disk", 24_000) as disk:
        fill(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        before, refused = files(disk), 0
        monkeypatch.chdir(disk)
        for name, words in COMMANDS.items():
            code, err = attempt(words, capsys)
            assert code == 1, err
            assert err.count("\n") == 1, f"{name}: {err}"
            assert os.strerror(errno.EROFS) in err, err
            refused += 1
        for name, words in COMMANDS.items():
            out = tmp_path / words[words.index("-o") + 1]
            words = [str(out) if word == out.name else word for word in words]
            assert attempt(words, capsys)[0] == 0, name
        assert files(disk) == before
        monkeypatch.undo()
    record(
        "a disk that may only be read",
        f"{2 * len(COMMANDS)} commands",
        f"{refused} that write there refused in one line; {len(COMMANDS)} that write elsewhere done",
    )
