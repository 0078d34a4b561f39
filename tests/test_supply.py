"""What is shipped: the checks of `scripts/supply`, and what SECURITY.md promises."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import supply

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "SECURITY.md").read_text("utf-8")


# -- what SECURITY.md says ----------------------------------------------------------------------------------

OPENING = """
import json, sys
from codeword import AutoEncoder
AutoEncoder.load({folder!r}, device="cpu")  # what is imported on the way is imported now
seen = []
watched = False
def hook(event, words):
    if watched:
        seen.append((event, [str(word)[:300] for word in words]))
sys.addaudithook(hook)
watched = True
ae = AutoEncoder.load({folder!r}, device="cpu")
watched = False
print(json.dumps(seen))
"""


def test_opening_a_folder_runs_nothing_and_reads_nothing_else(model_folder):
    """By what the interpreter itself reports, with things lying about in the folder that others would run."""
    for name in ("__init__.py", "config.py", "sitecustomize.py", "model.py"):
        (model_folder / name).write_text("raise SystemExit('run')")
    for name in ("weights.pkl", "training.pt", "pytorch_model.bin"):
        (model_folder / name).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    code = OPENING.format(folder=str(model_folder))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=model_folder.parent
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    opened = [words for event, words in seen if event == "open"]
    assert {Path(words[0]).name for words in opened if str(model_folder) in words[0]} == {
        *("config.json", "history.jsonl")  # weights are read by safetensors, which does not ask Python
    }
    assert not [words for words in opened if set(words[1]) & set("wax+")], "opened to write"
    outside = {Path(words[0]).suffix for words in opened if str(model_folder) not in words[0]}
    assert outside <= {".py"}, "sources at most, for inspect"
    events = {event for event, _ in seen}
    forbidden = (
        "pickle.",
        "subprocess.",
        "os.system",
        "os.exec",
        "os.spawn",
        "os.posix_spawn",
        "socket.",
        "ctypes.",
    )
    assert not [event for event in events if event.startswith(forbidden)]
    written = (
        "os.rename",
        "os.remove",
        "os.mkdir",
        "os.link",
        "os.symlink",
        "os.chmod",
        "os.truncate",
        "shutil.",
    )
    assert not [event for event in events if event.startswith(written)]
    imported = {words[0] for event, words in seen if event == "import"}
    assert not imported & {"config", "model", "sitecustomize"}


def test_every_promise_names_a_test_that_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`\]\((tests/[\w/]+\.py)\)", TEXT)
    assert len(named) > 15
    for path, test, link in named:
        assert path == link
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
            f"{path}::{test}"
        )
    assert TEXT.count("tests/") == 2 * len(named), "a link that this test does not read"


def test_the_files_that_are_named_are_all_there_are():
    from codeword.base.files import MODEL_FILES

    beside = TEXT.split("beside its own five**")[1].split("\n[")[0]
    assert set(re.findall(r"`([\w.]+)`", beside)) == set(MODEL_FILES)


# -- lowest versions ----------------------------------------------------------------------------------------


def test_every_requirement_has_a_lower_bound():
    known = supply.project()
    extras = known["optional-dependencies"]
    lines = [line for name in extras for line in extras[name] if not line.startswith("codeword[")]
    found = supply.lowest([*known["dependencies"], *lines])
    assert len(found) == len(known["dependencies"]) + len(lines)
    assert all("==" in line for line in found)


def test_lowest_is_the_lower_bound_and_keeps_its_marker():
    asked = [
        "numpy>=2.2",
        "torch>=2.7,<2.14",
        "openTSNE>=1.0.2; platform_machine != 'aarch64'",
        "ray[data]>=2.40",
    ]
    marked = "openTSNE==1.0.2; platform_machine != 'aarch64'"
    assert supply.lowest(asked) == ["numpy==2.2", "torch==2.7", marked, "ray==2.40"]
    assert supply.lowest(asked, kept=("torch",)) == ["numpy==2.2", marked, "ray==2.40"]


@pytest.mark.parametrize("line", ["numpy", "numpy<3", "numpy==2.2", "numpy~=2.2"])
def test_a_requirement_without_one_is_refused(line):
    with pytest.raises(SystemExit, match="lower bound"):
        supply.lowest([line])


def test_constraints_are_of_what_was_asked():
    names = {line.partition("=")[0] for line in supply.constraints(["hub", "pandas"])}
    assert {"numpy", "huggingface_hub", "pandas"} <= names
    assert not names & {"torch", "onnx", "onnxruntime"}
    assert "torch" in {line.partition("=")[0] for line in supply.constraints(["torch"])}


# -- the wheel ----------------------------------------------------------------------------------------------


def wheel(path, change=None, more=(), time=(2020, 2, 2, 0, 0, 0)):
    """A wheel of src/codeword, with something done to it."""
    name = "codeword-" + supply.project()["version"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for file in sorted((ROOT / "src" / "codeword").rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                entry = file.relative_to(ROOT / "src").as_posix()
                content = b"changed" if entry == change else file.read_bytes()
                made.writestr(zipfile.ZipInfo(entry, time), content, zipfile.ZIP_DEFLATED)
        for entry in (f"{name}.dist-info/METADATA", *more):
            made.writestr(zipfile.ZipInfo(entry, time), b"")
    return path


def test_a_wheel_as_it_should_be(tmp_path):
    assert supply.wheel_problems([wheel(tmp_path / "a.whl"), wheel(tmp_path / "b.whl")]) == []


def test_what_is_wrong_with_a_wheel_is_named(tmp_path, monkeypatch):
    good = wheel(tmp_path / "good.whl")
    for other in (
        wheel(tmp_path / "changed.whl", change="codeword/errors.py"),
        wheel(tmp_path / "late.whl", time=(2021, 2, 2, 0, 0, 0)),
    ):
        (problem,) = supply.wheel_problems([good, other])
        assert "codeword/errors.py" in problem
    for entry in ("tests/cli/test_cli.py", "codeword/secret.key", "codeword-0.1.0.dist-info/extra"):
        (problem,) = supply.wheel_problems([wheel(tmp_path / "more.whl", more=[entry])])
        assert problem.startswith(entry)
    (problem,) = supply.wheel_problems([wheel(tmp_path / "changed.whl", change="codeword/errors.py")])
    assert problem == "codeword/errors.py is not the file in src/codeword"
    monkeypatch.setattr(supply, "MOST_BYTES", 10_000)
    (problem,) = supply.wheel_problems([good])
    assert "it must stay below 10,000" in problem


# -- pip ----------------------------------------------------------------------------------------------------


def test_an_audit_that_looked_at_nothing_is_not_clean():
    """pip-audit says "No known vulnerabilities found" where its service knew none of the packages."""
    unknown = {"dependencies": [{"name": f"p{i}", "skip_reason": "not found"} for i in range(9)]}
    code, line = supply.audited(unknown)
    assert (code, line) == (3, "9 of 9 packages are unknown to the service that was asked")


def test_an_audit_says_what_it_found():
    clean = [{"name": f"p{i}", "version": "1.0", "vulns": []} for i in range(9)]
    skipped = {"name": "codeword", "skip_reason": "editable"}
    code, line = supply.audited({"dependencies": [*clean, skipped]})
    assert (code, line) == (0, "no known weakness in 9 packages; not looked at: codeword")
    weak = {"name": "old", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
    code, line = supply.audited({"dependencies": [*clean, weak, skipped]})
    assert (code, line) == (1, "old 1.0: CVE-1, mended in 1.1")


def test_what_is_behind_is_named():
    items = [("codeword", "0.1.0"), ("numpy", "9.9")]
    report = {"install": [{"metadata": {"name": name, "version": version}} for name, version in items]}
    assert supply.newer(report) == ["numpy 9.9"]
