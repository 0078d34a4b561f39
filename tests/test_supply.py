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
from supply import PROJECT, ROOT

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
    read = {Path(words[0]).name for words in opened if str(model_folder) in words[0]}
    assert read == {"config.json", "history.jsonl"}, "safetensors maps the weights, and does not ask Python"
    assert not [words for words in opened if set(words[1]) & set("wax+")], "opened to write"
    outside = {Path(words[0]).suffix for words in opened if str(model_folder) not in words[0]}
    assert outside <= {".py"}, "sources at most, for inspect"
    harmless = re.compile(
        r"(?!pickle|subprocess|socket|ctypes|shutil|"
        r"os\.(system|exec|spawn|posix_spawn|rename|remove|mkdir|link|symlink|chmod|truncate))"
    )
    assert not [event for event, _ in seen if not harmless.match(event)]
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


# -- lowest versions, the wheel, weaknesses -----------------------------------------------------------------


def test_every_requirement_has_a_lower_bound():
    extras = PROJECT["optional-dependencies"]
    lines = [line for name in extras for line in extras[name] if not line.startswith("codeword[")]
    assert all("==" in line for line in supply.lowest([*PROJECT["dependencies"], *lines]).values())


def test_lowest_is_the_lower_bound_and_keeps_its_marker():
    asked = [
        "numpy>=2.2",
        "torch>=2.7,<2.14",
        "openTSNE>=1.0.2; platform_machine != 'aarch64'",
        "ray[data]>=2.40",
    ]
    marked = 'openTSNE==1.0.2; platform_machine != "aarch64"'
    assert list(supply.lowest(asked).values()) == ["numpy==2.2", "torch==2.7", marked, "ray==2.40"]
    for line in ("numpy", "numpy<3", "numpy==2.2", "numpy~=2.2"):
        with pytest.raises(SystemExit, match="lower bound"):
            supply.lowest([line])


def test_constraints_are_of_what_was_asked():
    names = {line.partition("=")[0] for line in supply.constraints(["hub", "pandas"])}
    assert {"numpy", "huggingface_hub", "pandas"} <= names
    assert not names & {"torch", "onnx", "onnxruntime"}
    assert "torch" in {line.partition("=")[0] for line in supply.constraints(["torch"])}


def wheel(path, change=None, more=(), time=(2020, 2, 2, 0, 0, 0)):
    """A wheel of src/codeword, with something done to it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for file in sorted(supply.SOURCE.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                entry = file.relative_to(supply.SOURCE.parent).as_posix()
                content = b"changed" if entry == change else file.read_bytes()
                made.writestr(zipfile.ZipInfo(entry, time), content, zipfile.ZIP_DEFLATED)
        for entry in (f"codeword-{PROJECT['version']}.dist-info/METADATA", *more):
            made.writestr(zipfile.ZipInfo(entry, time), b"")
    return path


def test_what_is_wrong_with_a_wheel_is_named(tmp_path, monkeypatch):
    good, harmed = wheel(tmp_path / "good.whl"), "codeword/base/errors.py"
    assert not list(supply.problems([good, wheel(tmp_path / "same.whl")]))
    changed = wheel(tmp_path / "changed.whl", change=harmed)
    late = wheel(tmp_path / "late.whl", time=(2021, 2, 2, 0, 0, 0))
    for paths in ([good, changed], [good, late], [changed]):
        (problem,) = supply.problems(paths)
        assert harmed in problem
    for entry in ("tests/test_cli.py", "codeword/secret.key", "codeword-0.1.0.dist-info/extra"):
        (problem,) = supply.problems([wheel(tmp_path / "more.whl", more=[entry])])
        assert problem.startswith(entry)
    monkeypatch.setattr(supply, "MOST_BYTES", 10_000)
    (problem,) = supply.problems([good])
    assert "it must stay below 10,000" in problem


def test_an_audit_that_looked_at_nothing_is_not_clean():
    """pip-audit says "No known vulnerabilities found" where its service knew none of the packages."""
    unknown = json.dumps({"dependencies": [{"name": f"p{i}", "skip_reason": "not found"} for i in range(9)]})
    for report in (unknown, ""):
        assert supply.audited(report)[1].startswith("SKIPPED: nothing was audited")


def test_an_audit_says_what_it_found():
    packages = [{"name": f"p{i}", "version": "1.0", "vulns": []} for i in range(9)]
    packages.append({"name": "codeword", "skip_reason": "editable"})
    clean = supply.audited(json.dumps({"dependencies": packages}))
    assert clean == (0, "no known weakness in 9 of 10 packages")
    packages.append({"name": "old", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]})
    assert supply.audited(json.dumps({"dependencies": packages})) == (1, "old 1.0: CVE-1")
