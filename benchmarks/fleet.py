"""Encoding Parquet files: the rate of one worker, the engine's overhead, and what 10^9 rows cost on paper.

    python benchmarks/fleet.py rate      one worker on one core, by stage; keeps the figures for `cost`
    python benchmarks/fleet.py ray       the same files through Ray on two cores
    python benchmarks/fleet.py cost      10^9 rows of 784 on 64 GPUs: arithmetic, from what `rate` measured

The rows are MNIST's digits, drawn with replacement; the model is the default one with 16 numbers. Rates are
of CPU seconds, which other work on the machine does not touch much; those by the clock stand beside. Each
figure is the median of its repeats.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from machine import describe_machine

from codeword import AutoEncoder, load
from codeword.data import load as load_rows
from codeword.export.fleet import encode_parts, run
from codeword.export.fleet.encoder import Encoder, rows
from codeword.export.fleet.job import UNIT_BYTES
from codeword.training.batches import StreamedBatches

RESULTS = Path(__file__).parent / "results" / "fleet.json"
D, K = 784, 16
GROUP = 16_384


def digits(n: int, seed: int = 0) -> np.ndarray:
    """n rows of 784 bytes."""
    x = load("mnist").x.reshape(-1, D)
    chosen = np.random.default_rng(seed).integers(0, len(x), n)
    return np.roll(x[chosen], seed % 7, axis=1)


def write(path: Path, x: np.ndarray, layout: str) -> None:
    """Rows as 784 columns, or as one column of lists."""
    if layout == "columns":
        table = pa.table({f"p{i}": np.ascontiguousarray(column) for i, column in enumerate(x.T)})
    else:
        table = pa.table({"image": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), D)})
    pq.write_table(table, path, row_group_size=GROUP)


def model(folder: Path) -> Path:
    path = folder / "m.ae"
    if not path.exists():
        AutoEncoder(K, epochs=1, random_state=0, device="cpu").fit(load("mnist").x[:10_000]).save(path)
    return path


class Clock:
    """CPU seconds and seconds by the clock of what is done inside."""

    def __enter__(self) -> Clock:
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def worker(folder: Path, source: Path, saved: Path) -> tuple[Encoder, list]:
    """A worker of a job over a file, and the job's units."""
    caught: list = []

    def keep(work, units, pool):
        encoder = Encoder(work, lambda number: 1)
        caught.extend((encoder, units))
        yield from (encoder.tried(unit) for unit in units)

    run.on_ray, kept = keep, run.on_ray
    try:
        encode_parts(saved, str(source), str(folder / f"out-{source.stem}-{time.time_ns()}"))
    finally:
        run.on_ray = kept
    return caught[0], caught[1]


def stages(encoder: Encoder, units: list) -> dict[str, float]:
    """CPU seconds of reading, of columns to rows, of scaling, of encoding (with it), and of a whole part."""
    found = dict.fromkeys(("read", "rows", "scale", "encode", "whole", "clock"), 0.0)
    for unit in units:
        tables = encoder._tables(unit)
        while True:
            with Clock() as clock:
                table = next(tables, None)
            found["read"] += clock.cpu
            if table is None:
                break
            with Clock() as clock:
                x = rows(table, encoder.work.columns, "")
            found["rows"] += clock.cpu
            with Clock() as clock:
                for start in range(0, len(x), 4096):
                    encoder.ae.scaling_.forward(x[start : start + 4096])
            found["scale"] += clock.cpu
            with Clock() as clock:
                encoder.ae.transform(x)
            found["encode"] += clock.cpu
        with Clock() as clock:
            told = encoder.tried(unit)
        assert told["rows"] == unit.rows, told
        found["whole"] += clock.cpu
        found["clock"] += clock.wall
    return found


def of_training(path: Path, ae: AutoEncoder) -> float:
    """CPU seconds of reading all of a folder of parts in shuffled blocks, as training on one process does."""
    x = load_rows(path).x
    stream = StreamedBatches(x, [(0, len(x))], ae.scaling_, torch.device("cpu"))
    order = np.random.default_rng(0).permutation(len(stream.blocks)).tolist()
    with Clock() as clock:
        for start in range(0, len(order), stream.per_window):
            stream._read(order[start : start + stream.per_window])
    return clock.cpu


def rate(folder: Path, n: int, repeats: int) -> None:
    torch.set_num_threads(1)
    saved = model(folder)
    x = digits(n)
    figures: dict = {"machine": describe_machine("pyarrow"), "rows": n, "repeats": repeats, "layouts": {}}
    ae = AutoEncoder.load(saved, device="cpu")
    encoder_parameters = sum(p.numel() for p in ae.network_.encoder.parameters())
    figures["multiplications"] = encoder_parameters
    figures["parameters"] = sum(p.numel() for p in ae.network_.parameters())
    for layout in ("columns", "lists"):
        (folder / layout).mkdir()
        source = folder / layout / "a.parquet"
        write(source, x, layout)
        one, units = worker(folder, source, saved)
        found = [stages(one, units) for _ in range(repeats)]
        row = {name: statistics.median(each[name] for each in found) / n * 1e6 for name in found[0]}
        parts = Path(one.work.output.path)
        row["bytes_in"] = source.stat().st_size / n
        row["bytes_out"] = sum((parts / unit.part).stat().st_size for unit in units) / n
        figures["layouts"][layout] = row
    times = [of_training(folder / "columns", ae) for _ in range(repeats)]
    figures["training_read"] = statistics.median(times) / n * 1e6
    RESULTS.write_text(json.dumps(figures, indent=1) + "\n")
    print(
        "| 784 bytes a row, as | read | to rows | scale | encode | whole | by the clock | rows / s, a core |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for layout, row in figures["layouts"].items():
        names = ("read", "rows", "scale", "encode", "whole", "clock")
        cells = " | ".join(f"{row[name]:.1f}" for name in names)
        what = "784 columns" if layout == "columns" else "one of lists"
        print(f"| {what} | {cells} | {1e6 / row['whole']:,.0f} |")
    print("\nMicroseconds of CPU a row, but for the clock's.")
    for layout, row in figures["layouts"].items():
        print(f"{layout}: {row['bytes_in']:.0f} bytes a row in, {row['bytes_out']:.0f} out")
    print(f"reading as training does: {figures['training_read']:.1f} microseconds a row")
    print(f"{n:,} rows, {repeats} repeats; load average {os.getloadavg()[0]:.1f}\n{figures['machine']}")


def on_ray(folder: Path, n: int) -> None:
    """Many files on two workers, and one of the files by hand: what the engine adds."""
    saved, files = model(folder), 16
    (folder / "many").mkdir()
    for i in range(files):
        write(folder / "many" / f"{i:02d}.parquet", digits(n // files, i), "lists")
    first: list[float] = []
    mapped = run.on_ray

    def timed(*arguments):
        for told in mapped(*arguments):
            first.append(time.perf_counter())
            yield told

    run.on_ray = timed
    started = time.perf_counter()
    encode_parts(saved, str(folder / "many"), str(folder / "out"), workers=2)
    seconds = time.perf_counter() - started
    steady = (len(first) - 2) / (first[-1] - first[1]) * (n // files)
    print("| rows | parts | first part after | all after | rows a second from the second part on |")
    print("|---|---|---|---|---|")
    print(f"| {n:,} | {files} | {first[0] - started:.1f} s | {seconds:.1f} s | {steady:,.0f} |")
    print(f"\ntwo workers, load average {os.getloadavg()[0]:.1f}\n{describe_machine('ray')}")


def cost(arguments: argparse.Namespace) -> None:
    """What bounds the job, each bound alone; the largest is the least it can take."""
    a, figures = arguments, json.loads(RESULTS.read_text())
    lists = figures["layouts"][a.layout]
    n, machines = a.rows, a.gpus / a.gpus_per_machine
    cores = a.gpus * a.cores_per_gpu
    # A GPU takes the products over; scaling stays with the CPU.
    feed = (lists["whole"] - lists["encode"] + lists["scale"]) / 1e6
    network = machines * a.gigabits * 1e9 / 8
    flops = 2 * figures["multiplications"]
    bounds = {
        "read, decode, write: CPU": (n * feed / cores, "N (t_whole − t_encode + t_scale) / C"),
        "files over the network": (n * lists["bytes_in"] / network, "N bytes_in / (M · B_net)"),
        "codes over the network": (n * lists["bytes_out"] / network, "N bytes_out / (M · B_net)"),
        "rows to the GPU, as float32": (n * D * 4 / (a.gpus * a.bus * 1e9), "N · 4 d / (G · B_bus)"),
        "products on the GPU": (n * flops / (a.gpus * a.teraflops * 1e12), "N · 2 m / (G · F)"),
    }
    print(f"Encoding {n:,} rows of {D} on {a.gpus} GPUs; N = {n:.0e}, G = {a.gpus}\n")
    print("| bound | formula | seconds |\n|---|---|---|")
    for name, (seconds, formula) in bounds.items():
        print(f"| {name} | {formula} | {seconds:,.2f} |")
    most = max(bounds, key=lambda name: bounds[name][0])
    least = bounds[most][0]
    whole = least + a.start
    print(f"\nThe largest is {most}: {least:,.1f} s, with {a.start:.0f} s to start {whole:,.0f} s.")
    hours = whole * a.gpus / 3600
    print(f"{hours:.2f} GPU hours, {a.price * hours:,.2f} dollars")
    alone = n * lists["whole"] / 1e6
    print(
        f"\nWithout a GPU: {alone / 3600:,.1f} core hours; {alone / cores:,.0f} s on the {cores:,.0f} cores"
    )
    units = -(-n * D // UNIT_BYTES)
    print(f"{units:,} parts of {UNIT_BYTES / D:,.0f} rows, {units / cores:.1f} for each core")
    steps = n / (a.gpus * a.batch)
    sent = 2 * (a.gpus - 1) / a.gpus * figures["parameters"] * 4
    epoch = {
        "read and decode: CPU": (n * figures["training_read"] / 1e6 / cores, "N t_read / C"),
        "files over the network": (
            n * figures["layouts"]["columns"]["bytes_in"] / network,
            "N bytes_in / (M · B_net)",
        ),
        "products on the GPU": (
            n * 6 * figures["parameters"] / (a.gpus * a.teraflops * 1e12),
            "N · 6 p / (G · F)",
        ),
        "gradients over the network": (
            steps * sent * a.gpus_per_machine / (a.gigabits * 1e9 / 8),
            "N / (G b) · 8 p (G − 1) / G · G / M / B_net",
        ),
    }
    print(f"\nAn epoch of training, batches of {a.batch:,} a GPU, {steps:,.0f} steps\n")
    print("| bound | formula | seconds |\n|---|---|---|")
    for name, (seconds, formula) in epoch.items():
        print(f"| {name} | {formula} | {seconds:,.2f} |")
    total = sum(seconds for seconds, _ in epoch.values())
    print(f"\nOne after the other, {total:,.0f} s: {total * a.gpus / 3600:.2f} GPU hours")
    print(
        f"\nAssumed: {a.cores_per_gpu} cores a GPU, {a.gpus_per_machine} GPUs a machine, {a.gigabits} Gbit/s "
        f"of a machine,\n{a.bus} GB/s to a GPU, {a.teraflops} TFLOP/s of a GPU, {a.start:.0f} s to start, "
        f"{a.price} dollars a GPU hour"
    )
    m, p = figures["multiplications"], figures["parameters"]
    print(f"Measured: rows as {a.layout}, {figures['rows']:,} of them; m = {m:,} weights of the encoder,")
    print(f"p = {p:,} of encoder and decoder; {figures['machine']}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["rate", "ray", "cost"])
    parser.add_argument("--rows", type=float, help="default: 200,000 to measure, 10^9 on paper")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write the rows; default: a temporary folder")
    parser.add_argument("--layout", choices=["columns", "lists"], default="lists")
    assumed = {
        "gpus": 64,
        "gpus-per-machine": 8,
        "cores-per-gpu": 12,
        "gigabits": 25,
        "bus": 20,
        "teraflops": 10,
    }
    for name, value in {**assumed, "start": 60, "price": 3, "batch": 4096}.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    arguments = parser.parse_args()
    if arguments.what == "cost":
        arguments.rows = int(arguments.rows or 1e9)
        cost(arguments)
        return
    n = int(arguments.rows or 200_000)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        if arguments.what == "rate":
            rate(Path(name), n, arguments.repeats)
        else:
            on_ray(Path(name), n)


if __name__ == "__main__":
    main()
