"""The tutorial's run on 60,000 digits beside its reference figures, as a Markdown table on standard output.

    python benchmarks/tutorial.py [--seed 0]

Wants MNIST, from `$CODEWORD_DATA/mnist/`, the cache or the network. The commands run as a user runs them,
each in a process of its own. Exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe_machine

REFERENCE = (0.0238, 0.0138, 0.0123, 0.0115, 0.0110)
"""Mean training loss of each epoch, of the tutorial's own code on the same data."""
TOLERANCE = 0.0006
TEST_ERROR = 0.0109
IMPORT_SECONDS, HELP_SECONDS = 0.3, 1.0

CODEWORD = [str(Path(sysconfig.get_path("scripts"), "codeword"))]

Row = tuple[str, str, str, bool | None]


def main() -> int:
    """Run, print, and say by the exit code whether every target was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="random_state of the run")
    seed = parser.parse_args().seed
    rows = speed_rows()
    with tempfile.TemporaryDirectory() as folder:
        rows = quality_rows(Path(folder, "tutorial.ae"), seed) + rows
    print("| figure | target | reached | |")
    print("|---|---|---|---|")
    for name, target, reached, good in rows:
        print(f"| {name} | {target} | {reached} | {'' if good is None else 'yes' if good else '**no**'} |")
    print(f"\nseed {seed}; {describe_machine()}")
    return int(any(good is False for *_, good in rows))


def quality_rows(model: Path, seed: int) -> list[Row]:
    """Train and evaluate; the losses and errors beside their targets."""
    trained = run("train", "mnist", "--preset", "tutorial", "--random-state", str(seed), "-o", str(model))
    judged = run("evaluate", str(model), "mnist", "--split", "test")
    rows: list[Row] = [
        (f"training loss, epoch {i}", f"{want:.4f} ± {TOLERANCE}", f"{got:.4f}", abs(got - want) <= TOLERANCE)
        for i, (got, want) in enumerate(zip(trained["train_loss"], REFERENCE, strict=True), 1)
    ]
    epochs = trained["epochs"]
    return [
        *rows,
        ("test error", f"≤ {TEST_ERROR}", f"{judged['mse']:.4f}", judged["mse"] <= TEST_ERROR),
        (f"test error of PCA, k = {judged['k']}", "", f"{judged['pca_mse']:.4f}", None),
        (f"fit, {epochs} epochs", "", f"{trained['seconds']:.1f} s", None),
    ]


def speed_rows() -> list[Row]:
    """How long whole processes take that do next to nothing."""
    imported = best_of_five([sys.executable, "-c", "import codeword"])
    helped = best_of_five([*CODEWORD, "--help"])
    return [
        ("`import codeword`", f"< {IMPORT_SECONDS} s", f"{imported:.2f} s", imported < IMPORT_SECONDS),
        ("`codeword --help`", f"< {HELP_SECONDS:.0f} s", f"{helped:.2f} s", helped < HELP_SECONDS),
    ]


def run(*arguments: str) -> dict[str, Any]:
    """Run a command with `--json`; what its last line says."""
    print("$ codeword", *arguments, "--json", file=sys.stderr)
    done = subprocess.run([*CODEWORD, *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def best_of_five(command: list[str]) -> float:
    """The least wall-clock seconds of a process, from start to exit."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    sys.exit(main())
