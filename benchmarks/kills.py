"""Kill training at random moments, resume it, and compare the weights with those of a run left alone.

    python benchmarks/kills.py              fifty kills, in ten runs of five
    python benchmarks/kills.py --kills 6 --per-run 2

Each run trains on mnist-5k with noise of its own (a held-out part, best weights kept), is killed with SIGKILL
at a random moment of its life, resumed, killed again, and at last left to end.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe_machine

TRAIN = ["train", "mnist-5k", "--epochs", "60", "--random-state", "3", "--quiet"]


def start(folder: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "codeword.cli", *TRAIN, "-o", str(folder / "model.ae"), *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.ae" / "weights.safetensors").read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--per-run", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        alone = Path(name) / "alone"
        alone.mkdir()
        started = time.perf_counter()
        assert start(alone).wait() == 0
        whole = time.perf_counter() - started
        wanted = weights(alone)
        same = killed = runs = found = 0
        while killed < arguments.kills:
            folder = Path(name) / str(runs)
            folder.mkdir()
            runs += 1
            for _ in range(arguments.per_run):
                process = start(folder, "--resume")
                time.sleep(chance.uniform(0, whole))
                process.kill()
                if process.wait() < 0:
                    killed += 1
                found += (folder / "model.ae.checkpoint").exists()
                if (folder / "model.ae").exists():  # it had come to its end before the kill
                    break
            complaint, code = "", 0
            if not (folder / "model.ae").exists():
                process = start(folder, "--resume")
                complaint, code = process.communicate()[1], process.returncode
            if code == 0 and weights(folder) == wanted:
                same += 1
            else:
                print(f"run {runs}: exit {code}, {complaint or 'other weights'}", file=sys.stderr)
    print(f"{describe_machine()}; seed {arguments.seed}\n")
    print("| runs | kills | kills that found a checkpoint | runs with the same bytes of weights |")
    print("|---|---|---|---|")
    print(f"| {runs} | {killed} | {found} | {same} |")
    sys.exit(same != runs)


if __name__ == "__main__":
    main()
