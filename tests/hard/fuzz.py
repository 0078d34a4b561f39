"""Give one reader harmed inputs, and say what it made of them; test_fuzz.py starts a process for each.

    python tests/hard/fuzz.py "CSV" --inputs 10000
    python tests/hard/fuzz.py "CSV" --only 4711     that input alone, with the traceback

An input must be read, or be refused by a CodewordError of one line. Anything else is printed and counted:
another exception, more than --hang seconds for one input (the process then ends with a traceback), or a
process that has grown by more than a gigabyte. A crash of the process itself is seen by who started it.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from mutate import Case, harmed
from readers import Reader, make

from codeword.base.errors import CodewordError

GROWTH = 1 << 30
"""Bytes of resident memory that a process may gain."""

CUSHION = 6 << 30
"""Bytes of address space over what is taken at the start: well over GROWTH, so that too much is seen, not
hidden as a MemoryError, and still less than would take the machine down."""


def peak() -> int:
    """The most resident memory that this process has had, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def limit_memory() -> None:
    """Let the address space grow by no more than the cushion, where the system tells what is taken."""
    status = Path("/proc/self/status")
    if status.exists():
        taken = next(
            int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmSize")
        )
        resource.setrlimit(resource.RLIMIT_AS, (taken * 1024 + CUSHION,) * 2)


def write(case: Case, folder: Path) -> None:
    for name, content in case.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def attempt(reader: Reader, folder: Path, chance: random.Random) -> str:
    """What came of one input: "read", "refused", or what went wrong."""
    try:
        reader.read(folder, chance)
    except CodewordError as error:
        text = str(error)
        if "\n" in text or not text.strip():
            return f"a message that is not one line: {text[:200]!r}"
        return "refused"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]!r} at {Path(last.filename).name}:{last.lineno}"
    return "read"


def fuzz(name: str, inputs: int, seconds: float, seed: int, hang: float, work: Path) -> dict[str, Any]:
    (work / "seeds").mkdir()
    reader = make(name, work / "seeds")
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    warned: set[str] = set()
    for i, case in enumerate(reader.seeds):  # which must be sound, or nothing is tried
        folder = work / f"sound{i}"
        folder.mkdir()
        write(case, folder)
        found = {attempt(reader, folder, random.Random(options)) for options in range(20)}
        assert "read" in found, f"sound input {i} of {name}: {found}"
    gc.collect()
    limit_memory()
    before = most = peak()
    slowest = 0.0
    started = time.perf_counter()
    done = 0
    while done < inputs and time.perf_counter() - started < seconds:
        folder = work / "input"
        folder.mkdir()
        write(harmed(reader.seeds, name, seed, done), folder)
        (work / "number").write_text(str(done))
        faulthandler.dump_traceback_later(hang, exit=True)
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            outcome = attempt(reader, folder, random.Random(done))
        slowest = max(slowest, time.perf_counter() - began)
        faulthandler.cancel_dump_traceback_later()
        warned |= {f"{w.category.__name__} {str(w.message)[:80]!r} (input {done})" for w in caught}
        outcomes[outcome if outcome in ("read", "refused") else "failed"] += 1
        if outcome not in ("read", "refused"):
            failures.append(f"input {done}: {outcome}")
        if peak() - before > GROWTH >= most - before:
            failures.append(f"input {done}: the process has grown by {(peak() - before) >> 20} MB")
        most = peak()
        shutil.rmtree(folder)
        done += 1
    return {
        "reader": name,
        "inputs": done,
        "seed": seed,
        **{key: outcomes[key] for key in ("read", "refused", "failed")},
        "slowest_seconds": round(slowest, 3),
        "growth_mb": (most - before) >> 20,
        "seconds": round(time.perf_counter() - started, 1),
        "failures": failures,
        "warnings": sorted(warned)[:5],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reader")
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hang", type=float, default=20.0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp())
    if arguments.only is not None:
        (work / "seeds").mkdir()
        reader = make(arguments.reader, work / "seeds")
        write(harmed(reader.seeds, arguments.reader, arguments.seed, arguments.only), work)
        shutil.rmtree(work / "seeds")
        print(
            *(f"{path} {path.read_bytes()[:300]!r}" for path in work.rglob("*") if path.is_file()), sep="\n"
        )
        faulthandler.dump_traceback_later(arguments.hang, exit=True)
        reader.read(work, random.Random(arguments.only))
        return
    found = fuzz(arguments.reader, arguments.inputs, arguments.seconds, arguments.seed, arguments.hang, work)
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
