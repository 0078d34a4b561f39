"""What `scripts/supply` asks of Python: is a wheel as it should be, what is the lowest version of each
dependency, and what did pip-audit see?

    python tests/supply.py wheel A.whl B.whl …   # the same bytes, small, and nothing in it but src/codeword
    python tests/supply.py lowest EXTRA …        # a constraints file: what is required, extras, tools by name
    python tests/supply.py newer < report.json   # the report of `pip install --dry-run --upgrade --report`
    python tests/supply.py audited < audit.json  # the report of `pip-audit --format json`

The exit code is 1 where something is wrong, 3 where nothing could be looked at.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 1_000_000
ABOUT = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
REQUIREMENT = re.compile(r"([\w.-]+)(\[[\w,-]+\])?>=([\w.]+)(,<[\w.]+)?(; .*)?")


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def lowest(requirements: list[str], kept: tuple[str, ...] = ()) -> list[str]:
    """A line `name==version` for each requirement, at its lower bound; none for those in `kept`."""
    lines = []
    for requirement in requirements:
        found = REQUIREMENT.fullmatch(requirement)
        if found is None:
            raise SystemExit(f"{requirement!r} in pyproject.toml has no lower bound, or one that is not '>='")
        if found[1] not in kept:
            lines.append(f"{found[1]}=={found[3]}{found[5] or ''}")
    return lines


def constraints(words: list[str]) -> list[str]:
    """Lowest versions of what codeword requires, of the extras and of the tools of its tests in `words`.

    Not of torch, whose older wheels bring gigabytes of CUDA on Linux, unless `words` has it.
    """
    known = project()
    extras = known["optional-dependencies"]
    wanted = [line for word in words for line in extras.get(word, ())]
    tools = [line for line in extras["test"] if line.partition(">")[0] in words]
    kept = () if "torch" in words else ("torch",)
    return lowest([*known["dependencies"], *wanted, *tools], kept)


def wheel_problems(paths: list[Path]) -> list[str]:
    """What is wrong with builds of one wheel."""
    problems = []
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    if len(digests) > 1:
        problems.append(f"the builds differ: {sorted(_different(paths))}")
    path = paths[0]
    if path.stat().st_size >= MOST_BYTES:
        problems.append(f"{path.stat().st_size:,} bytes; it must stay below {MOST_BYTES:,}")
    name = "codeword-" + project()["version"]
    with zipfile.ZipFile(path) as wheel:
        for entry in wheel.namelist():
            if entry.startswith(f"{name}.dist-info/"):
                if entry.removeprefix(f"{name}.dist-info/") not in ABOUT:
                    problems.append(f"{entry} is not of a wheel")
            elif not entry.startswith("codeword/") or not (ROOT / "src" / entry).is_file():
                problems.append(f"{entry} is not in src/codeword")
            elif entry.endswith((".pyc", ".so")):
                problems.append(f"{entry} was made by a machine")
            elif wheel.read(entry) != (ROOT / "src" / entry).read_bytes():
                problems.append(f"{entry} is not the file in src/codeword")
        missing = {
            f"codeword/{file.relative_to(ROOT / 'src' / 'codeword').as_posix()}"
            for file in (ROOT / "src" / "codeword").rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        } - set(wheel.namelist())
        problems += [f"{entry} is missing" for entry in sorted(missing)]
    return problems


def _different(paths: list[Path]) -> set[str]:
    """Entries that are not alike in content, time or mode; or "order"."""
    seen: dict[str, set[Any]] = {}
    for path in paths:
        with zipfile.ZipFile(path) as wheel:
            for info in wheel.infolist():
                seen.setdefault(info.filename, set()).add((info.CRC, info.date_time, info.external_attr))
    return {name for name, kinds in seen.items() if len(kinds) > 1} or {"order"}


def newer(report: dict[str, Any]) -> list[str]:
    """What pip would install: packages that are not in their newest version."""
    found = [(item["metadata"]["name"], item["metadata"]["version"]) for item in report["install"]]
    return [f"{name} {version}" for name, version in found if name != "codeword"]


def audited(report: dict[str, Any]) -> tuple[int, str]:
    """An exit code and a line for a report of pip-audit, which calls clean what it has not looked at."""
    every = report["dependencies"]
    skipped = [found["name"] for found in every if "skip_reason" in found]
    bad = [
        f"{found['name']} {found['version']}: {vuln['id']}"
        + (f", mended in {vuln['fix_versions'][0]}" if vuln.get("fix_versions") else "")
        for found in every
        for vuln in found.get("vulns", ())
    ]
    if bad:
        return 1, "; ".join(bad)
    looked = len(every) - len(skipped)
    if looked < len(every) / 2:
        return 3, f"{len(skipped)} of {len(every)} packages are unknown to the service that was asked"
    rest = f"; not looked at: {', '.join(skipped)}" if skipped else ""
    return 0, f"no known weakness in {looked} packages{rest}"


def main(words: list[str]) -> int:
    what, *rest = words
    if what == "lowest":
        print("\n".join(constraints(rest)))
        return 0
    if what == "wheel":
        paths = [Path(word) for word in rest]
        problems = wheel_problems(paths)
        digest = hashlib.sha256(paths[0].read_bytes()).hexdigest()
        size = f"{paths[0].stat().st_size:,} bytes"
        print("\n".join(problems) or f"  {len(paths)} builds alike: {size}, sha256 {digest}")
        return 1 if problems else 0
    if what == "newer":
        print(", ".join(newer(json.load(sys.stdin))))
        return 0
    code, line = audited(json.load(sys.stdin))
    print(f"  {line}")
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
