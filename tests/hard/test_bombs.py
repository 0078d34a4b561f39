"""Small files that unpack to gigabytes: none may take a gigabyte of memory."""

import gzip
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from odd import PNG, chunk
from readers import READERS, write

HERE = Path(__file__).parent
PIECE = 1 << 24
PIECES = 100
"""Over one and a half gigabytes."""

IN_A_PROCESS = """
import json, random, sys, time
from pathlib import Path
from readers import attempt, forget_peak, limited_memory, model, peak, source
folder, name = Path(sys.argv[1]), sys.argv[2]
read = model if name == "README.md" else source(name.partition("/")[0])
import codeword.data.tables, pyarrow, PIL.Image, codeword.model.autoencoder
with limited_memory():
    before, started = forget_peak(), time.perf_counter()
    outcome = attempt(read, folder, random.Random(0))
    print(json.dumps([outcome, (peak() - before) >> 20, time.perf_counter() - started]))
"""


def png(bits, color, side=9400, height=None, extra=b""):
    """A black picture, by default the largest square that Pillow opens without a warning."""
    height = height or side
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    data = zlib.compress(bytes(height * (1 + side * channels * bits // 8)))
    head = chunk("IHDR", struct.pack(">IIBBBBB", side, height, bits, color, 0, 0, 0))
    return PNG + head + extra + chunk("IDAT", data) + chunk("IEND", b"")


def packed(text, start=b""):
    """Gzip of a text over and over: several streams in one file are one file."""
    return gzip.compress(start) + gzip.compress(text * (PIECE // len(text)), 9) * PIECES


def npz():
    """An array of over one and a half gigabytes of zeros."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        shape = (PIECE * PIECES // 1024, 1024)
        np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for _ in range(PIECES):
            member.write(bytes(PIECE))
    return file.getvalue()


def parquet():
    """A billion rows of one value: a run costs a few bytes, whatever its length."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    file, table = io.BytesIO(), pa.table({"a": pa.repeat(pa.scalar(1.0), 1 << 20)})
    with pq.ParquetWriter(file, table.schema) as writer:
        for _ in range(400):
            writer.write_table(table)
    return file.getvalue()


def model(work, n_components, hidden):
    """A model whose parameters ask for far more weights than there are."""
    files = dict(READERS["model folder"](work).seeds[0])
    config = json.loads(files["config.json"])
    config["parameters"]["n_components"], config["parameters"]["network"]["hidden"] = n_components, hidden
    return files | {"config.json": json.dumps(config).encode()}


PALETTE = chunk("PLTE", bytes(768)) + chunk("tRNS", bytes(256))
BOMBS = {
    "PNG, gray": lambda _: {"p/a.png": png(8, 0)},
    "PNG, color": lambda _: {"p/a.png": png(8, 2)},
    "PNG, palette with transparency": lambda _: {"p/a.png": png(8, 3, extra=PALETTE)},
    "PNG, gray with transparency": lambda _: {"p/a.png": png(8, 4)},
    "PNG, color with transparency": lambda _: {"p/a.png": png(8, 6)},
    "PNG, 16 bits": lambda _: {"p/a.png": png(16, 0)},
    "PNG, 16 bits, one pixel wide": lambda _: {"p/a.png": png(16, 0, side=1, height=88_000_000)},
    "PNG, 400 million pixels": lambda _: {"p/a.png": png(8, 0, side=20_000)},
    "PNG, a text that unpacks to a gigabyte": lambda _: {
        "p/a.png": png(8, 0, side=8, extra=chunk("zTXt", b"a\0\0" + zlib.compress(bytes(1 << 30), 9)))
    },
    "npz": lambda _: {"f.npz": npz()},
    "IDX, gzipped": lambda _: {
        "f.gz": packed(b"\0", start=struct.pack(">HBBII", 0, 8, 2, PIECE * PIECES // 1024, 1024))
    },
    "CSV, gzipped": lambda _: {"f.csv.gz": packed(b"1,1\n", start=b"a,b\n")},
    "CSV, gzipped, one line": lambda _: {"f.csv.gz": packed(b"1,1,")},
    "Parquet": lambda _: {"f.parquet": parquet()},
    "model, k of a billion": lambda work: model(work, 10**9, [3]),
    "model, layers of 20,000": lambda work: model(work, 4, [20_000] * 4),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_less_than_a_gigabyte(name, record, tmp_path):
    files = BOMBS[name](tmp_path)
    write(files, tmp_path / "bomb")
    command = [sys.executable, "-c", IN_A_PROCESS, str(tmp_path / "bomb"), min(files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    outcome, growth, seconds = json.loads(done.stdout)
    size = sum(map(len, files.values())) >> 10
    record(f"a bomb: {name}, {size:,} KB", "once", f"{outcome} in {seconds:.1f} s, grown by {growth} MB")
    assert growth < 1024
    assert seconds < 60
