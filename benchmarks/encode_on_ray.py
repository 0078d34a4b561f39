"""Encoding Parquet files by Ray Data: what one worker takes, and what Ray adds.

    python benchmarks/encode_on_ray.py --rows 200000

The rows are MNIST's digits, drawn with replacement, 784 bytes each; the model is the default one with 16
numbers. A worker's times are microseconds of CPU a row on one thread, which other work on the machine does
not touch much; those of Ray are by the clock, with two workers, and hold its start.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from machine import describe_machine
from pyarrow.dataset import ParquetFileFormat
from pyarrow.fs import LocalFileSystem

from codeword import AutoEncoder, load
from codeword.export.ray import Encoder, Piece, encode_parts, read_rows

D, K = 784, 16
FILES = 8


def write(folder: Path, x: np.ndarray, layout: str) -> None:
    """Rows as 784 columns, or as one column of lists, in several files."""
    folder.mkdir()
    for i, part in enumerate(np.array_split(x, FILES)):
        if layout == "784 columns":
            table = pa.table({f"p{j}": np.ascontiguousarray(column) for j, column in enumerate(part.T)})
        else:
            table = pa.table({"image": pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), D)})
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=16_384)


def worker(ae: AutoEncoder, folder: Path, out: Path) -> dict[str, float]:
    """CPU seconds of one worker that reads, encodes and writes all files."""
    found = {"read": 0.0, "encode": 0.0, "write": 0.0}
    for path in sorted(folder.iterdir()):
        columns = pq.read_schema(path).names
        encoder = Encoder(ae, columns, {})
        for i, fragment in enumerate(
            ParquetFileFormat().make_fragment(str(path), LocalFileSystem()).split_by_row_group()
        ):
            started = time.process_time()
            piece = Piece(fragment, 0, 0, fragment.row_groups[0].num_rows)
            block = pa.concat_tables(read_rows(f"{folder}/", columns, [piece]))
            read = time.process_time()
            codes = encoder(block)
            encoded = time.process_time()
            pq.write_table(codes, out / f"{path.stem}-{i}.parquet")
            found["read"] += read - started
            found["encode"] += encoded - read
            found["write"] += time.process_time() - encoded
    return found


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    n = parser.parse_args().rows
    torch.set_num_threads(1)
    digits = load("mnist").x.reshape(-1, D)
    ae = AutoEncoder(K, epochs=1, random_state=0, device="cpu").fit(digits[:10_000])
    x = digits[np.random.default_rng(0).integers(0, len(digits), n)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ae.save(folder / "m.ae")
        print("| 784 bytes a row, as | read | encode | write | rows a second of a core | bytes in |")
        print("|---|---|---|---|---|---|")
        for layout in ("784 columns", "one column of lists"):
            (out := folder / f"out of {layout}").mkdir()
            write(folder / layout, x, layout)
            found = worker(ae, folder / layout, out)
            cells = " | ".join(f"{seconds / n * 1e6:.1f}" for seconds in found.values())
            bytes_in = size(folder / layout) / n
            print(f"| {layout} | {cells} | {n / sum(found.values()):,.0f} | {bytes_in:.0f} |")
        started = time.perf_counter()
        encode_parts(folder / "m.ae", str(folder / layout), str(folder / "codes"), workers=2)
        seconds = time.perf_counter() - started
        print(f"\nthrough Ray, with two workers and its start: {seconds:.1f} s for {n:,} rows")
        lists = size(folder / "codes" / "_written") / n
        print(f"{size(folder / 'codes') / n:.0f} bytes a row out, {lists:.1f} on Ray's lists")
    print(f"load average {os.getloadavg()[0]:.1f}\n{describe_machine('pyarrow', 'ray')}")


if __name__ == "__main__":
    main()
