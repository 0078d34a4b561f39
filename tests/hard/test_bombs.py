"""Small files that unpack to gigabytes: none may take a gigabyte of memory."""

import gzip
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PIECE = 1 << 24
PIECES = 200
"""Over three gigabytes."""

IN_A_PROCESS = """
import json, random, sys, time
from pathlib import Path
from fuzz import attempt, limit_memory, peak
from readers import Reader, source, model
path = Path(sys.argv[1])
reader = Reader([], model if (path / "config.json").exists() else source("" if path.is_dir() else path.name))
import codeword.data.tables, pyarrow, PIL.Image, codeword.model.autoencoder
limit_memory()
before, started = peak(), time.perf_counter()
outcome = attempt(reader, path if path.is_dir() else path.parent, random.Random(0))
print(json.dumps([outcome, (peak() - before) >> 20, time.perf_counter() - started]))
"""


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits, colour, side=9400, extra=b""):
    """A black square as large as Pillow opens without a warning."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    packer = zlib.compressobj(6)
    line = bytes(1 + side * channels * bits // 8)
    data = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def packed(text):
    """Gzip of a text over and over: several streams in one file are one file."""
    return gzip.compress(text * (PIECE // len(text)), 9) * PIECES


def npz(path):
    """An array of over three gigabytes of zeros in one deflate stream, whose blocks repeat."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 1024), }" % (PIECE * PIECES // 1024)
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(PIECE)) + packer.flush(zlib.Z_FULL_FLUSH)
    data += block * PIECES + packer.flush()
    size = len(header) + PIECE * PIECES
    local = (
        struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(data), size, 5, 0) + b"x.npy" + data
    )
    central = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(data), size, 5, 0, 0, 0, 0, 0, 0
    )
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(central) + 5, len(local), 0)
    path.write_bytes(local + central + b"x.npy" + end)
    assert zipfile.is_zipfile(path)


def parquet(path):
    """A billion rows of one value: a run costs a few bytes, whatever its length."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    table = pa.table({"a": pa.repeat(pa.scalar(1.0), 1 << 20)})
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(400):
            writer.write_table(table)


def picture_folder(folder, *content, name="a.png"):
    folder.mkdir()
    for i, one in enumerate(content):
        (folder / f"{i}{name}").write_bytes(one)
    return folder


def build(name, folder):
    """The path of a bomb."""
    if name.startswith("PNG"):
        palette = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256))
        kinds = {
            "PNG, grey": png(8, 0),
            "PNG, colour": png(8, 2),
            "PNG, palette with transparency": png(8, 3, extra=palette),
            "PNG, grey with transparency": png(8, 4),
            "PNG, colour with transparency": png(8, 6),
            "PNG, 16 bits": png(16, 0),
            "PNG, 400 million pixels": png(8, 0, side=20_000),
            "PNG, a text that unpacks to a gigabyte": png(
                8, 0, side=8, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 30), 9))
            ),
        }
        return picture_folder(folder / "p", kinds[name])
    if name == "npz":
        npz(folder / "f.npz")
        return folder / "f.npz"
    if name == "Parquet":
        parquet(folder / "f.parquet")
        return folder / "f.parquet"
    if name == "IDX, gzipped":
        head = struct.pack(">HBBII", 0, 8, 2, PIECE * PIECES // 1024, 1024)
        (folder / "f.gz").write_bytes(gzip.compress(head) + packed(b"\0"))
        return folder / "f.gz"
    if name == "CSV, gzipped":
        (folder / "f.csv.gz").write_bytes(gzip.compress(b"a,b\n") + packed(b"1,1\n"))
        return folder / "f.csv.gz"
    if name == "CSV, gzipped, one line":
        (folder / "f.csv.gz").write_bytes(packed(b"1,1,"))
        return folder / "f.csv.gz"
    from readers import make

    (folder / "seeds").mkdir()
    case = dict(make("model folder", folder / "seeds").seeds[0])
    config = json.loads(case["config.json"])
    wide = {"model, k of a billion": (10**9, [3]), "model, layers of 20,000": (4, [20_000] * 4)}
    config["parameters"]["n_components"], config["parameters"]["network"]["hidden"] = wide[name]
    for file, content in (case | {"config.json": json.dumps(config).encode()}).items():
        path = folder / "m" / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return folder / "m"


BOMBS = (
    "PNG, grey",
    "PNG, colour",
    "PNG, palette with transparency",
    "PNG, grey with transparency",
    "PNG, colour with transparency",
    "PNG, 16 bits",
    "PNG, 400 million pixels",
    "PNG, a text that unpacks to a gigabyte",
    "npz",
    "IDX, gzipped",
    "CSV, gzipped",
    "CSV, gzipped, one line",
    "Parquet",
    "model, k of a billion",
    "model, layers of 20,000",
)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_less_than_a_gigabyte(name, figure, tmp_path):
    path = build(name, tmp_path)
    size = sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, str(path)], capture_output=True, text=True, cwd=HERE, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outcome, growth, seconds = json.loads(done.stdout)
    figure(
        f"a bomb: {name}, {size >> 10:,} KB", "once", f"{outcome} in {seconds:.1f} s, grown by {growth} MB"
    )
    assert outcome in ("read", "refused")
    assert growth < 1024
    assert seconds < 60
