"""Data of any size: memory, rate, growth with the rows, two processes.

    python benchmarks/scale.py memory --gigabytes 20     a memory map of 20 GB against rows in memory
    python benchmarks/scale.py rows                      seconds an epoch from 10^4 to 10^7 rows
    python benchmarks/scale.py processes                 one process against two, through torchrun

The rows are MNIST's digits with their pixels shifted by a row-dependent amount, so that no two are the same;
the network is the tutorial's, with batches of 1,024. Each figure is of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe_machine

from codeword import PRESETS, AutoEncoder, load


def write_rows(path: Path, n: int, d: int) -> None:
    """A .npy file of n rows of d bytes, made block by block."""
    digits = load("mnist").x.reshape(-1, 784)[:, :: max(1, 784 // d)][:, :d]
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (n, d)})
        for start in range(0, n, len(digits)):
            block = np.roll(digits, start // len(digits) % 7, axis=1)[: n - start]
            file.write(np.ascontiguousarray(block).data)


def fit_one(path: str, batch: int, in_memory: bool, epochs: int) -> dict:
    """Train in this process; the seconds of the last epoch, and the peak memory."""
    data = np.load(path) if in_memory else load(path)
    settings = {**PRESETS["tutorial"], "epochs": epochs, "batch_size": batch, "random_state": 0}
    started = time.perf_counter()
    ae = AutoEncoder(**settings).fit(data)
    return {
        "rows": len(data),
        "epoch_seconds": ae.history_[-1]["seconds"],
        "seconds": time.perf_counter() - started,
        "loss": ae.history_[-1]["train_loss"],
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def measure(path: Path, batch: int = 1024, *, in_memory: bool = False, epochs: int = 1) -> dict:
    command = [sys.executable, __file__, "one", str(path), "--batch", str(batch), "--epochs", str(epochs)]
    command += ["--in-memory"] * in_memory
    return json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    )


def memory(gigabytes: float, folder: Path) -> None:
    small, large = folder / "small.npy", folder / "large.npy"
    write_rows(small, 1_000_000, 784)
    write_rows(large, int(gigabytes * 1e9 / 784), 784)
    rows = [("in memory", measure(small, in_memory=True)), ("memory map", measure(large))]
    print("| rows in | rows | GB | peak resident GB | rows a second | whole fit, s |")
    print("|---|---|---|---|---|---|")
    rates = []
    for name, r in rows:
        rates.append(r["rows"] / r["epoch_seconds"])
        print(
            f"| {name} | {r['rows']:,} | {r['rows'] * 784 / 1e9:.1f} | {r['peak_gigabytes']:.2f} "
            f"| {rates[-1]:,.0f} | {r['seconds']:.0f} |"
        )
    print(f"\nrate of the map / rate in memory: {rates[1] / rates[0]:.2f}")


def growth(folder: Path) -> None:
    print("| rows of 64 bytes | seconds an epoch | microseconds a row | against 10^6 |")
    print("|---|---|---|---|")
    found = {}
    for n in (10_000, 100_000, 1_000_000, 10_000_000):
        path = folder / f"{n}.npy"
        write_rows(path, n, 64)
        # The second of two epochs: the first also makes the buffers.
        results = [measure(path, epochs=2) for _ in range(3 if n < 10_000_000 else 1)]
        found[n] = float(np.median([r["epoch_seconds"] / r["rows"] for r in results]))
    for n, per_row in found.items():
        print(f"| {n:,} | {per_row * n:.3g} | {per_row * 1e6:.2f} | {per_row / found[1_000_000]:.2f} |")


def processes(folder: Path) -> None:
    path = folder / "rows.npy"
    write_rows(path, 300_000, 784)
    print("| processes | batch of each | seconds an epoch |")
    print("|---|---|---|")
    common = [
        "train",
        str(path),
        "--preset",
        "tutorial",
        "--epochs",
        "1",
        "--random-state",
        "0",
        "--json",
        "--quiet",
    ]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "codeword.cli"]
    for number, batch, launch in ((1, 2048, ["-m", "codeword.cli"]), (2, 1024, torchrun)):
        output = folder / f"{number}.ae"
        command = [sys.executable, *launch, *common, "--batch-size", str(batch), "-o", str(output)]
        subprocess.run(command, check=True, capture_output=True)
        row = json.loads((output / "history.jsonl").read_text().splitlines()[0])
        print(f"| {number} | {batch} | {row['seconds']:.2f} (loss {row['train_loss']:.5f}) |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["memory", "rows", "processes", "one"])
    parser.add_argument("path", nargs="?")
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--in-memory", action="store_true")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to write the rows; default: a temporary folder")
    arguments = parser.parse_args()
    if arguments.what == "one":
        print(json.dumps(fit_one(arguments.path, arguments.batch, arguments.in_memory, arguments.epochs)))
        return
    print(f"{describe_machine()}\n")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        if arguments.what == "memory":
            memory(arguments.gigabytes, Path(name))
        else:
            {"rows": growth, "processes": processes}[arguments.what](Path(name))


if __name__ == "__main__":
    main()
