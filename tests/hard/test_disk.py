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

SMALL = ["-k", "3", "--epochs", "6", "--random-state", "0", "--device", "cpu"]
ROOMS = (0, 1, 6, 25, 100, 200, 400, 800, 2_000, 4_000, 12_000)
"""Kilobytes that are left."""

COMMANDS = {
    "train": ["train", "x.npy", "-o", "new.ae", "--quiet", *SMALL],
    "train --overwrite": ["train", "x.npy", "-o", "old.ae", "--overwrite", "--quiet", *SMALL],
    "encode to .npy": ["encode", "old.ae", "x.npy", "-o", "old.npy", "--overwrite", "--quiet"],
    "encode to .npz": ["encode", "old.ae", "x.npy", "-o", "new.npz", "--quiet"],
    "encode to .csv": ["encode", "old.ae", "x.npy", "-o", "new.csv", "--quiet"],
    "encode to .parquet": ["encode", "old.ae", "x.npy", "-o", "new.parquet", "--quiet"],
    "reconstruct": ["reconstruct", "old.ae", "x.npy", "-o", "new.png", "--quiet"],
    "report": ["report", "old.ae", "few.npy", "-o", "old.html", "--overwrite", "--quiet"],
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


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(name, effort, record, tmp_path, monkeypatch, capsys):
    failed = 0
    with small_disk(tmp_path / "disk", 24_000) as disk:
        monkeypatch.chdir(disk)
        fill(disk)
        before = files(disk)
        rooms = ROOMS if effort.share == 1 else ROOMS[::3]
        for room in rooms:
            with open("ballast", "wb") as file, contextlib.suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(4096))
            free = os.path.getsize("ballast") - room * 1024
            os.truncate("ballast", max(0, free))
            code, err = attempt(COMMANDS[name], capsys)
            os.remove("ballast")
            check(name, code, err, before, files(disk))
            failed += code == 1
            if code == 1:
                assert os.strerror(errno.ENOSPC) in err, err
            clean(disk, before)
        monkeypatch.undo()
    assert failed
    record(f"disk full: {name}", f"{len(rooms)} times", outcome(failed, len(rooms)))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_may_grow_no_further(name, effort, record, tmp_path, monkeypatch, capsys):
    """As on a full disk, on any machine: the system refuses to let a file become longer than so much."""
    fill(tmp_path)
    monkeypatch.chdir(tmp_path)
    before, failed = files(tmp_path), 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    rooms = ROOMS if effort.share == 1 else ROOMS[::3]
    for room in rooms:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room * 1024, hard))
            code, err = attempt(COMMANDS[name], capsys)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        check(name, code, err, before, files(tmp_path))
        failed += code == 1
        clean(tmp_path, before)
    signal.signal(signal.SIGXFSZ, ignored)
    assert failed
    record(f"file too large: {name}", f"{len(rooms)} times", outcome(failed, len(rooms)))


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


def outcome(failed, times):
    return f"{failed} refused in one line, all before kept, nothing half written; {times - failed} had room"


def test_a_run_goes_on_once_there_is_room(record, tmp_path, monkeypatch, capsys):
    with small_disk(tmp_path / "disk", 24_000) as disk:
        monkeypatch.chdir(disk)
        fill(disk)
        command = [*COMMANDS["train"], "--resume"]
        assert run([word.replace("new.ae", "alone.ae") for word in command]) == 0
        with open("ballast", "wb") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(4096))
        stopped = run(command)
        os.remove("ballast")
        assert stopped == 1
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
