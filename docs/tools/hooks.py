"""What mkdocs does to the pages on its way: equations, and pages made of what is elsewhere in the project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from equations import with_equations
from executing import executed
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]

ELSEWHERE = {"benchmarks.md": "benchmarks/README.md", "changes.md": "CHANGELOG.md"}
"""Pages whose text has its place outside docs/, by their place on the site."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page's text before it becomes HTML."""
    return with_equations(markdown)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not files of docs/."""
    for place, source in ELSEWHERE.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text("utf-8")))
    files.append(File.generated(config, "api/commands.md", content=commands()))
    for script in sorted((ROOT / "notebooks").glob("*.py")):
        page, pictures = executed(script.read_text("utf-8"), script.stem)
        files.append(File.generated(config, f"notebooks/{script.stem}.md", content=page))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=picture))
    return files


def commands() -> str:
    """What each command's --help says."""
    names = re.findall(r"^  ([a-z]+)  ", help_of(), re.MULTILINE)
    parts = [f"## codeword {name}\n\n```text\n{help_of(name)}\n```\n" for name in names]
    return "# The command line\n\n" + INTRODUCTION + "\n".join(parts)


INTRODUCTION = """\
Every command takes `--json` for one line of JSON on standard output, and shows a progress bar on standard
error if that is a terminal. The exit code is 0 when done, 1 when it failed, 2 for bad usage or bad input.
Nothing is overwritten without `--overwrite`.

"""


def help_of(*command: str) -> str:
    """The help of a command, or of all, at most 90 characters wide."""
    words = [sys.executable, "-m", "codeword.cli", *command, "--help"]
    plain = os.environ | {"COLUMNS": "90", "TERM": "dumb"}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=plain).stdout.strip("\n")
