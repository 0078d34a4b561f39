"""How hard to try, and the table of what came of it."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FULL_SECONDS = 1500.0
"""About how long two cores take for all of it; a time box gets its share of the repetitions."""

BOX = os.environ.get("CODEWORD_HARD", "")
# scripts/hard says how long this may take. Without that, as in scripts/test, nothing here is collected.
collect_ignore_glob = [] if BOX else ["test_*.py"]

Record = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Effort:
    """How often things are done: all of it, or a share that fits into a time box."""

    share: float

    def times(self, full: int, least: int = 1) -> int:
        """The share of `full` repetitions."""
        return max(least, round(full * self.share))

    def seconds(self, full: float) -> float:
        """The share of a time, for what runs until it is over."""
        return max(4.0, full * self.share)


@pytest.fixture(scope="session")
def effort() -> Effort:
    return Effort(1.0 if BOX == "full" else min(1.0, float(BOX) / FULL_SECONDS))


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Write a row of the table: what was done, how often, and what happened."""

    def write(what: str, often: str, happened: str) -> None:
        request.node.user_properties.append(("row", (what, often, happened)))

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a table for each module, under what its first line says."""
    if not BOX:
        return
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from machine import describe_machine

    tables: dict[str, list[tuple[str, ...]]] = {}
    for kind in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(kind, []):
            module, _, test = report.nodeid.partition("::")
            lines = tables.setdefault(module, [])
            if kind == "skipped":
                lines.append((test, "not run", str(report.longrepr[2])))
            elif report.when == "call":
                found = [line for name, line in report.user_properties if name == "row"]
                failed = " **failed**" if kind == "failed" else ""
                lines += [(*line[:2], line[2] + failed) for line in found]
    print(f"\n{describe_machine('pyarrow', 'pillow')}")
    for module, lines in sorted(tables.items()):
        title = ast.get_docstring(ast.parse((ROOT / module).read_text("utf-8"))) or module
        print(f"\n### {title.splitlines()[0].rstrip('.')}\n")
        print("| what is done | how often | what happens |\n|---|---|---|")
        print(*("| " + " | ".join(line) + " |" for line in lines), sep="\n")
