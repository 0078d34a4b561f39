"""Names with blanks, quotes, brackets, of any script, as long as names may be."""

import os
import subprocess
import sys

import numpy as np
import pytest

from codeword.cli.main import run

NAMES = (
    "with blanks in it", "Ünïcödé", "e\u0301 in two parts", "数据", "ملف", "🦜 emoji", "quote'\"s", "a%20b",
    "#?&=", "[x]*{y}", "-dash", "~tilde", "$HOME", "dot.", ".hidden", "a.b.c", "back\\slash", " blank",
    "tab\there", "\u202eright to left", "x" * 200, "é" * 100,
)  # fmt: skip
TRAIN = "train x.npy -o m.ae -k 2 --epochs 1"
SMALL = ["-k", "2", "--epochs", "1", "--random-state", "0", "--device", "cpu", "--quiet"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_will_do(name, effort, tmp_path, monkeypatch, capsys):
    """For the folder, the data, the model and what is written; by whole paths, and from within the folder."""
    folder = tmp_path / name
    folder.mkdir()
    x = np.random.default_rng(0).uniform(size=(40, 8, 8)).astype(np.float32)
    for base in (folder, None) if effort.share == 1 else (None,):
        if base is None:
            monkeypatch.chdir(folder)
            source, model, rest = f"./{name}.npy", f"./{name}.two", "./"
        else:
            source, model, rest = f"{base}/{name}.npy", f"{base}/{name}.one", f"{base}/"
        np.save(source, x)
        commands = [
            ["train", source, "-o", model, *SMALL],
            ["encode", model, source, "-o", f"{model}.npy", "--quiet"],
            ["encode", model, source, "-o", f"{model}.csv", "--quiet"],
            ["decode", model, f"{model}.csv", "-o", f"{model}.x.parquet", "--quiet"],
            ["reconstruct", model, source, "-o", f"{model}.png", "--quiet"],
            ["evaluate", model, source],
            ["train", source, "-o", model, "--overwrite", *SMALL],
        ]
        for command in commands:
            assert run(command) == 0, f"{command}: {capsys.readouterr().err}"
        assert np.load(f"{model}.npy").shape == (40, 2)
        assert os.path.isdir(model)
        left = [entry for entry in os.listdir(rest) if ".part" in entry or entry.endswith((".old", ".lock"))]
        assert not left


def test_names_are_tried(record, effort):
    """The line of the table for all of them."""
    often = f"{len(NAMES)} names, {14 if effort.share == 1 else 7} commands each"
    record("names with blanks, quotes, brackets, of many scripts", often, "all done")


def test_names_that_are_no_text(record, tmp_path):
    """Bytes that are not UTF-8 are a name to Linux, and cannot be printed."""
    name = os.fsencode("caf") + b"\xe9.npy"
    path = os.path.join(os.fsencode(tmp_path), name)
    try:
        with open(path, "wb") as file:
            np.save(file, np.random.default_rng(0).uniform(size=(40, 4)).astype(np.float32))
    except OSError as error:
        pytest.skip(f"this file system takes no such names: {error}")
    model = path.removesuffix(b".npy") + b".ae"
    codeword = [sys.executable, "-m", "codeword.cli"]
    done = 0
    for words in (
        ["train", path, "-o", model, "-k", "2", "--epochs", "1"],
        ["evaluate", model, path],
        ["encode", model, path, "-o", model + b".csv"],
        ["encode", model, path, "-o", model + b".csv"],
    ):
        ended = subprocess.run([*codeword, *words], capture_output=True, cwd=tmp_path)
        assert b"Traceback" not in ended.stderr, ended.stderr[-1500:].decode(errors="replace")
        assert ended.returncode == (2 if done == 3 else 0), ended.stderr
        done += 1
    record("names that are not UTF-8", f"{done} commands", "all done, or refused in one line")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_a_terminal_that_cannot_show_an_arrow(encoding, record, tmp_path):
    """Output that goes to a file on Windows is in such an encoding."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).uniform(size=(40, 4)).astype(np.float32))
    command = [sys.executable, "-m", "codeword.cli", *TRAIN.split()]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    ended = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment)
    assert ended.returncode == 0, ended.stderr[-1500:].decode(errors="replace")
    record(f"output in {encoding}, which has no arrow", "once", "done")
