"""What README.md says is so: its code runs, its tables are whole, its links lead somewhere."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from blocks import Block, blocks_of, run_command, run_python, shell_lines

from codeword.cli.main import app, run
from codeword.data.named import NAMES
from codeword.model.folder import read_folder

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")
README = ROOT / "README.md"
TEXT = README.read_text("utf-8")
KINDS = {"python", "sh", "text"}


def blocks(kind: str) -> list[Block]:
    return [block for block in blocks_of(README) if block.language == kind]


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_block_is_of_a_kind_that_runs():
    """A block in a language that no test runs would be a claim that nobody holds."""
    assert {block.language for block in blocks_of(README)} <= KINDS
    assert blocks("python")
    assert blocks("sh")


def test_python_blocks_run(tmp_path, monkeypatch):
    """In one session, as a reader types them; `# (1438, 8) float32` behind a name is held to."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    assert sum(run_python(block, names) for block in blocks("python")) == 9
    assert names["metrics"]["mse"] < 0.6 * names["metrics"]["pca_mse"]
    assert (names["again"].transform(names["digits"].x) == names["own"].transform(names["digits"].x)).all()


def test_shell_blocks_run(tmp_path, monkeypatch, capsys):
    """`codeword` in this process, in an empty folder; of `scripts/` that they are there to be run."""
    monkeypatch.chdir(tmp_path)
    for words in (words for block in blocks("sh") for words in shell_lines(block)):
        assert run_command(words) == 0, f"{shlex.join(words)}\n{capsys.readouterr().err}"
    assert "PCA with 8 components" in capsys.readouterr().out
    assert len((tmp_path / "codes.csv").read_text("utf-8").splitlines()) == 1 + 1438
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_table_of_commands_is_whole():
    rows = re.findall(r"^\| `codeword (\w+)[^`]*` \| (.+) \|$", section("The commands"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(
        command.name or command.callback.__name__.rstrip("_") for command in app.registered_commands
    )


def test_every_command_has_an_example_and_json():
    for command in app.registered_commands:
        assert (command.epilog or "").startswith("Example: codeword "), command.callback
        assert "json" in inspect.signature(command.callback).parameters, command.callback


def test_data_section_names_every_set():
    assert set(NAMES) <= set(re.findall(r"`([\w-]+)`", section("Data")))


def test_model_folder_section_names_every_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "digits", "-o", "m.ae", "-k", "2", "--epochs", "1", "--quiet"]) == 0
    Path("people.csv").write_text("kind,size\n" + "cat,1\ndog,3\nbird,2\n" * 10, "utf-8")
    assert run(["train", "people.csv", "-o", "p.ae", "-k", "1", "--epochs", "1", "--quiet"]) == 0
    named = set(re.findall(r"`([\w.]+\.(?:json|jsonl|safetensors|md))`", section("The model folder")))
    assert named - {"columns.json"} == {path.name for path in Path("m.ae").iterdir()}
    assert named == {path.name for path in Path("p.ae").iterdir()}
    assert read_folder("m.ae").config["data"]["sample_shape"] == [8, 8]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Those within the project; a stranger's address is not ours to keep alive."""
    text = (ROOT / page).read_text("utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", text)
    for target in (a or b for a, b in targets):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page}: nothing at {target}"


def test_pictures_are_light():
    """They are in every clone."""
    for picture in re.findall(r"docs/images/[\w.-]+", TEXT):
        assert (ROOT / picture).stat().st_size < 150_000, picture
