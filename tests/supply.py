"""What `scripts/supply` asks of Python.

python tests/supply.py wheel A.whl B.whl …   # the same bytes, small, and nothing in it but src/codeword
python tests/supply.py lowest EXTRA …        # a constraints file: what is required, extras, tools by name
python tests/supply.py audit < audit.json    # the report of `pip-audit --format json`
"""

from __future__ import annotations

import json
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "codeword"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MOST_BYTES = 1_000_000
ABOUT = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def lowest(requirements: list[str]) -> dict[str, str]:
    """A line `name==version` for each requirement, at its lower bound, by its name."""
    lines = {}
    for line in requirements:
        asked = Requirement(line)
        bounds = [bound.version for bound in asked.specifier if bound.operator == ">="]
        if len(bounds) != 1:
            raise SystemExit(f"{line!r} in pyproject.toml has no lower bound, or one that is not '>='")
        lines[asked.name] = f"{asked.name}=={bounds[0]}" + (f"; {asked.marker}" if asked.marker else "")
    return lines


def constraints(words: list[str]) -> list[str]:
    """Lowest versions of what codeword requires, of the extras and of the tools of its tests in `words`.

    Not of torch, whose older wheels bring gigabytes of CUDA on Linux, unless `words` has it.
    """
    extras = PROJECT["optional-dependencies"]
    tools = [line for line in extras["test"] if Requirement(line).name in words]
    wanted = [line for word in words for line in extras.get(word, ())]
    lines = lowest([*PROJECT["dependencies"], *wanted, *tools])
    return [line for name, line in lines.items() if name != "torch" or "torch" in words]


def problems(paths: list[Path]) -> Iterator[str]:
    """What is wrong with builds of one wheel."""
    if len({path.read_bytes() for path in paths}) > 1:
        kinds = [
            {
                (info.filename, info.CRC, info.date_time, info.external_attr)
                for info in zipfile.ZipFile(path).infolist()
            }
            for path in paths
        ]
        differ = {name for name, *_ in set.union(*kinds) - set.intersection(*kinds)}
        yield f"the builds differ: {sorted(differ) or 'in order'}"
    if (size := paths[0].stat().st_size) >= MOST_BYTES:
        yield f"{size:,} bytes; it must stay below {MOST_BYTES:,}"
    about = f"codeword-{PROJECT['version']}.dist-info/"
    with zipfile.ZipFile(paths[0]) as wheel:
        found = {name: wheel.read(name) for name in wheel.namelist() if name.removeprefix(about) not in ABOUT}
    files = [path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    known = {path.relative_to(SOURCE.parent).as_posix(): path.read_bytes() for path in files}
    for name in sorted(found.keys() | known.keys()):
        if found.get(name) != known.get(name):
            yield f"{name} is not what is in src/codeword"


def audited(report: str) -> tuple[int, str]:
    """An exit code and a line for a report of pip-audit, which calls clean what it has not looked at."""
    every: list[dict[str, Any]] = json.loads(report)["dependencies"] if report else []
    looked = [package for package in every if "skip_reason" not in package]
    bad = [
        f"{package['name']} {package['version']}: {v['id']}" for package in looked for v in package["vulns"]
    ]
    if bad:
        return 1, "; ".join(bad)
    if len(looked) <= len(every) / 2:
        return (
            0,
            f"SKIPPED: nothing was audited: {len(looked)} of {len(every)} packages are known where we asked",
        )
    return 0, f"no known weakness in {len(looked)} of {len(every)} packages"


def main(what: str, *words: str) -> int:
    if what == "lowest":
        print("\n".join(constraints(list(words))))
        return 0
    if what == "wheel":
        found = list(problems([Path(word) for word in words]))
        print("\n".join(found) or f"  {len(words)} builds alike: {Path(words[0]).stat().st_size:,} bytes")
        return bool(found)
    code, line = audited(sys.stdin.read())
    print(f"  {line}")
    return code


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
