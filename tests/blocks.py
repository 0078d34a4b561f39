"""Code blocks of Markdown pages, run as a reader would run them."""

from __future__ import annotations

import io
import os
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codeword.cli.main import run

__all__ = ["KINDS", "Block", "blocks_of", "matches", "run_command", "run_page", "run_python", "shell_lines"]

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = {"python", "sh", "text", "console"}
"""What a block may be; `console` is for what cannot run here, and the page says why."""

NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
NEAR = 0.15
"""How far, relative to it, a decimal number may be from the page's: training differs between machines."""


@dataclass(frozen=True)
class Block:
    """What stands between two fences, and where."""

    language: str
    code: str
    where: str


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(found[1], found[2], f"{page.name}, line {text.count(chr(10), 0, found.start()) + 1}")
        for found in FENCE.finditer(text)
    ]


def run_python(block: Block, names: dict[str, Any]) -> int:
    """Run a block among these names; what `# (1438, 8) float32` behind one promises is held to.

    Returns the number of such promises.
    """
    exec(compile(block.code, block.where, "exec"), names)
    promised = re.findall(r"^(\w+) = .*# (\([\d, ]+\)) (\w+)", block.code, re.MULTILINE)
    for name, shape, dtype in promised:
        assert (str(names[name].shape), str(names[name].dtype)) == (shape, dtype), f"{block.where}: {name}"
    return len(promised)


def shell_lines(block: Block) -> list[list[str]]:
    """The words of each command, with lines that end in a backslash joined."""
    lines = block.code.replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def run_command(words: list[str]) -> int:
    """Run `codeword` in this process; of a script of the project, see that it is there. The exit code."""
    program, *arguments = words
    if program == "codeword":
        return run(arguments)
    if program == "python" and arguments:
        return int(not (ROOT / arguments[0]).is_file())
    return int(not (program.startswith("scripts/") and os.access(ROOT / program, os.X_OK)))


def run_page(page: Path) -> dict[str, Any]:
    """Run a page's blocks in order, in the folder at hand; the names that Python's leave.

    A `text` block right after another is held to be what that one printed: see `matches`.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    printed, before = "", ""
    for block in blocks_of(page):
        assert block.language in KINDS, f"{block.where}: no test runs a block of {block.language!r}"
        if block.language == "text" and before in ("python", "sh"):
            assert matches(block.code, printed), f"{block.where}\n{block.code}\n--- printed:\n{printed}"
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            if block.language == "python":
                run_python(block, names)
            for words in shell_lines(block) if block.language == "sh" else ():
                assert run_command(words) == 0, f"{block.where}: {shlex.join(words)}\n{err.getvalue()}"
        printed, before = out.getvalue(), block.language
    return names


def matches(expected: str, printed: str) -> bool:
    """Whether a page shows what was printed.

    Word by word; decimal numbers need only be near; a line of `…` stands for any number of lines, and `…` in
    a line for any word, or for the rest of one.
    """
    return _lines_match(expected.splitlines(), printed.splitlines())


def _lines_match(expected: list[str], printed: list[str]) -> bool:
    expected = [line for line in expected if line.strip()]
    printed = [line for line in printed if line.strip()]
    if not expected:
        return not printed
    if expected[0].strip() == "…":
        return any(_lines_match(expected[1:], printed[i:]) for i in range(len(printed) + 1))
    return bool(printed) and _words_match(expected[0], printed[0]) and _lines_match(expected[1:], printed[1:])


def _words_match(expected: str, printed: str) -> bool:
    words, others = expected.split(), printed.split()
    return len(words) == len(others) and all(map(_near, words, others))


def _near(expected: str, printed: str) -> bool:
    if expected == printed:
        return True
    if "…" in expected:
        return re.fullmatch(".+".join(map(re.escape, expected.split("…"))), printed) is not None
    if NUMBER.sub("#", expected) != NUMBER.sub("#", printed):
        return False
    pairs = zip(map(float, NUMBER.findall(expected)), map(float, NUMBER.findall(printed)), strict=True)
    return all(abs(a - b) <= NEAR * max(abs(a), abs(b)) for a, b in pairs)
