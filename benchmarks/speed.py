"""How fast: the tutorial's script, other libraries doing the same work, and codeword, alternating in one run.

    python benchmarks/speed.py --data FOLDER            five repeats; writes results/speed.{json,md}
    python benchmarks/speed.py --device cuda            the same on a GPU: speed-cuda.{json,md}
    python benchmarks/speed.py --quick                  one repeat of one epoch, nothing written, no target
    python benchmarks/speed.py --only tutorial,codeword

FOLDER holds `mnist/train-images-idx3-ubyte.gz` and the other three files; it is `$CODEWORD_DATA` by default.

Each figure is of a whole process, from its start to its end. In each repeat every contender runs once, one
after the other, and each repeat begins with another one. Ratios are medians of the ratios within a repeat.
The other libraries live in an environment of their own, which is made on the first run; nothing of that is
timed. Test errors are judged afterwards, untimed. Exits with 1 where a target is missed.

The time to the tutorial's quality is that of a training that ends, on every repeat and so from every seed, at
or below the test error of the tutorial's five epochs: one epoch with the settings in `TO_QUALITY`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe_machine

HERE = Path(__file__).parent
CODEWORD = str(Path(sysconfig.get_path("scripts"), "codeword"))
PEERS = ("skorch", "pythae", "lightning")

QUALITY = 0.0106
"""Mean squared error on the 10,000 test images that the tutorial's five epochs give."""

TO_QUALITY = {
    "quality-float32": ("--network", "mlp(hidden=(256, 256), activation='gelu')", "--batch-size", "128"),
    "quality-bfloat16": (
        *("--network", "mlp(activation='gelu')", "--precision", "bfloat16"),
        *("--batch-size", "224", "--learning-rate", "0.005"),
    ),
}
"""What brings one epoch of `codeword train mnist` to that error soonest; in float32, and in bfloat16."""

ONE_EPOCH = ("--epochs", "1", "--validation-fraction", "0")


@dataclass(frozen=True)
class Contender:
    """Something to time: `command` makes a command line from a folder to write in and the repeat's number."""

    name: str
    title: str
    epochs: int
    command: Callable[[Path, int], list[str]]
    judged: bool = False


def main() -> int:
    """Time, print, write, and say by the exit code whether every target was reached."""
    options = parse()
    data = Path(options.data or "").expanduser().resolve()
    if not options.data or not list(data.glob("mnist/train-images-idx3-ubyte*")):
        sys.exit(
            "speed.py: error: no MNIST: give --data FOLDER, with FOLDER/mnist/train-images-idx3-ubyte.gz"
        )
    os.environ["CODEWORD_DATA"] = str(data)
    python, missing = environment(Path(options.environment).expanduser())
    if options.device == "cuda" and not all(has_gpu(p) for p in (sys.executable, python)):
        print("On a GPU: not measured: torch finds none here, or one of the two environments lacks CUDA.")
        return 0
    chosen = contenders(options, python, data, missing)
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"speed.py: the machine is busy (load {load:.1f}): times will be too long", file=sys.stderr)
    runs = measure(chosen, 1 if options.quick else options.repeats, warm=not options.quick)
    facts = {
        "machine": describe_machine(),
        "gpu": gpu_name() if options.device == "cuda" else None,
        "peers": versions(python) | {f"not run: {name}": why for name, why in missing.items()},
        "load before": load,
        "epochs": options.epochs,
        "runs": runs,
    }
    page = "\n".join(report(chosen, facts, options))
    print(page)
    if not options.quick:
        stem = options.output / ("speed-cuda" if options.device == "cuda" else "speed")
        options.output.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
        stem.with_suffix(".md").write_text(page + "\n", "utf-8")
    return int(not options.quick and "**no**" in page)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("CODEWORD_DATA"), help="the folder around mnist/")
    parser.add_argument("--environment", default="~/.cache/codeword-benchmarks", help="where the peers live")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", help="names with commas: tutorial, skorch, pythae, lightning, codeword, …")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="the folder of results")
    parser.add_argument("--quick", action="store_true", help="one repeat of one epoch, nothing written")
    options = parser.parse_args()
    options.epochs = 1 if options.quick else 5
    return options


# -- who takes part -----------------------------------------------------------------------------------------


def contenders(
    options: argparse.Namespace, python: str, data: Path, missing: dict[str, str]
) -> list[Contender]:
    """Everyone who can run here and was asked for."""
    common = ["--epochs", str(options.epochs), "--device", options.device]

    def script(file: str) -> Callable[[Path, int], list[str]]:
        return lambda *_: [python, str(HERE / "peers" / file), str(data / "mnist"), *common]

    def train(*more: str) -> Callable[[Path, int], list[str]]:
        def command(folder: Path, seed: int) -> list[str]:
            own = ["--device", options.device, "--random-state", str(seed), "-o", str(folder / "model.ae")]
            return [CODEWORD, "train", "mnist", *more, *own, "--quiet", "--json"]

        return command

    known = [
        Contender("tutorial", "the tutorial's script", options.epochs, script("tutorial.py")),
        *(
            Contender(name, name, options.epochs, script(f"{name}_.py"))
            for name in PEERS
            if name not in missing
        ),
        Contender(
            "codeword",
            "`codeword train mnist --preset tutorial`",
            options.epochs,
            train("--preset", "tutorial", "--epochs", str(options.epochs)),
            judged=True,
        ),
        *(
            Contender(name, f"to quality: `{' '.join(settings)}`", 1, train(*ONE_EPOCH, *settings), True)
            for name, settings in TO_QUALITY.items()
        ),
    ]
    if not options.only:
        return known
    wanted = options.only.split(",")
    unknown = set(wanted) - {c.name for c in known} - set(missing)
    if unknown:
        sys.exit(
            f"speed.py: error: --only {','.join(sorted(unknown))}: choose from {[c.name for c in known]}"
        )
    return [c for c in known if c.name in wanted]


def environment(folder: Path) -> tuple[str, dict[str, str]]:
    """The Python of the peers' environment, made on the first run; who could not be installed, and why."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    found = versions(str(python))
    missing = {}
    # torch first, so that the others take it as it is.
    for names in (["torch>=2.7,<2.14", "numpy", "pillow"], *([name] for name in PEERS)):
        if all(name.split(">")[0] in found for name in names):
            continue
        print(f"speed.py: installing {', '.join(names)} into {folder}", file=sys.stderr)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *names]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode and names[0] not in PEERS:
            sys.exit(f"speed.py: error: {' '.join(names)} cannot be installed: {done.stderr.strip()}")
        if done.returncode:
            missing[names[0]] = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    return str(python), missing


def versions(python: str) -> dict[str, str]:
    """What the peers' environment holds of what matters."""
    code = (
        "import importlib.metadata as m, json\n"
        f"names = {('torch', 'numpy', 'pillow', *PEERS)!r}\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: found[n] for n in names if n in found}))"
    )
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, check=True).stdout)


def has_gpu(python: str) -> bool:
    """Whether torch finds a GPU in that environment."""
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def gpu_name() -> str:
    """The first GPU's name."""
    import torch

    return torch.cuda.get_device_name(0)


# -- the clock ----------------------------------------------------------------------------------------------


def measure(chosen: Sequence[Contender], repeats: int, warm: bool) -> dict[str, list[dict[str, Any]]]:
    """Run everyone in turn; a row for each run."""
    runs: dict[str, list[dict[str, Any]]] = {c.name: [] for c in chosen}
    # The first run of all reads programs from disk, which is no one's doing: one epoch, not counted.
    if warm:
        for contender in chosen:
            timed(contender, 0, "--epochs", "1")
    for repeat in range(repeats):
        first = repeat % len(chosen)
        for contender in (*chosen[first:], *chosen[:first]):
            row = timed(contender, repeat)
            runs[contender.name].append(row)
            print(f"{repeat + 1}/{repeats} {contender.name}: {row}", file=sys.stderr, flush=True)
    return runs


def timed(contender: Contender, seed: int, *more: str) -> dict[str, Any]:
    """One whole process: seconds on the wall, seconds of processors, and the loss it ended with."""
    with tempfile.TemporaryDirectory() as name:
        command = [*contender.command(Path(name), seed), *more]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, cwd=name)
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"speed.py: error: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
        said = json.loads(done.stdout.strip().splitlines()[-1])
        row = {
            "wall": round(wall, 3),
            "cpu": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3),
            "train_loss": said["train_loss"][-1] if isinstance(said, dict) else said,
        }
        if isinstance(said, dict):
            row["fit"] = said["seconds"]
        if contender.judged and not more:
            row["test_error"] = test_error(Path(name, "model.ae"))
        return row


def test_error(model: Path) -> float:
    """Mean squared error on the test images; not timed."""
    command = [CODEWORD, "evaluate", str(model), "mnist", "--split", "test", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["mse"])


# -- the report ---------------------------------------------------------------------------------------------


def report(chosen: Sequence[Contender], facts: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """Tables in Markdown: everyone's times, and the targets."""
    runs = facts["runs"]
    peers = [name for name in PEERS if name in runs]
    fastest = min(peers, key=lambda name: median(runs, name, "wall"), default=None)
    lines = [
        f"| whole process, {options.device} | epochs | wall, s (min–max) | CPU, s | training loss "
        f"| worst test error | tutorial's ÷ its wall | {fastest or 'fastest peer'}'s ÷ its wall |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for c in chosen:
        walls = [row["wall"] for row in runs[c.name]]
        errors = [row["test_error"] for row in runs[c.name] if "test_error" in row]
        cells = [
            c.title,
            str(c.epochs),
            f"{statistics.median(walls):.1f} ({min(walls):.1f}–{max(walls):.1f})",
            f"{median(runs, c.name, 'cpu'):.1f}",
            f"{median(runs, c.name, 'train_loss'):.4f}",
            f"{max(errors):.5f}" if errors else "",
            ratio(runs, "tutorial", c.name),
            ratio(runs, fastest, c.name),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    table = targets(facts, options, fastest)
    lines += ["", *table, *[""] * bool(table)]
    lines.append(f"{facts['machine']}{'; ' + facts['gpu'] if facts['gpu'] else ''}")
    lines.append(f"peers: {', '.join(f'{name} {value}' for name, value in facts['peers'].items())}")
    repeats = max(len(rows) for rows in runs.values())
    lines.append(
        f"repeats, alternating: {repeats}; load average before the first: {facts['load before']:.1f}"
    )
    if options.device == "cpu" and not has_gpu(sys.executable):
        lines.append("On a GPU (`--device cuda`): not measured, none on this machine")
    return lines


def targets(facts: dict[str, Any], options: argparse.Namespace, fastest: str | None) -> list[str]:
    """What was aimed at and what was reached."""
    runs, cuda = facts["runs"], options.device == "cuda"
    rows: list[tuple[str, float, float]] = []
    if "tutorial" in runs and "codeword" in runs:
        rows.append(
            ("faster than the tutorial's script", 40 if cuda else 4, ratios(runs, "tutorial", "codeword"))
        )
    if fastest and "codeword" in runs and not cuda:
        rows.append((f"faster than the fastest peer, {fastest}", 3, ratios(runs, fastest, "codeword")))
    good = [n for n in TO_QUALITY if n in runs and max(r["test_error"] for r in runs[n]) <= QUALITY]
    if "tutorial" in runs and any(n in runs for n in TO_QUALITY) and not cuda:
        sooner = max((ratios(runs, "tutorial", name) for name in good), default=0.0)
        rows.append((f"sooner at a test error of {QUALITY}, every time", 12, sooner))
    if options.quick or not rows:
        return []
    table = ["| | target | reached | |", "|---|---|---|---|"]
    for name, target, reached in rows:
        table.append(f"| {name} | {target}× | {reached:.1f}× | {'yes' if reached >= target else '**no**'} |")
    return table


def median(runs: dict[str, list[dict[str, Any]]], name: str, what: str) -> float:
    """The median of a figure over a contender's repeats."""
    return statistics.median(row[what] for row in runs[name])


def ratios(runs: dict[str, list[dict[str, Any]]], slow: str, fast: str) -> float:
    """How many times as long `slow` took as `fast`: the median over repeats."""
    pairs = zip(runs[slow], runs[fast], strict=True)
    return statistics.median(a["wall"] / b["wall"] for a, b in pairs)


def ratio(runs: dict[str, list[dict[str, Any]]], slow: str | None, fast: str) -> str:
    """The same for a cell of the table."""
    return f"{ratios(runs, slow, fast):.2f}×" if slow in runs and slow != fast else ""


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
