"""Inputs that chance makes: sound files with some harm done to them, and sound files of odd content.

Random bytes are refused by their first four; what gets deep into a reader is a file that was sound but for
one thing. Formats with checksums or packing are opened first, changed inside and closed again, or the harm
would go no further than the checksum.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

Part = tuple[str, bytes]
"""A name and content: a file of a folder, a member of an archive, a chunk of a picture."""

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
tokens = st.sampled_from(
    (b"nan", b"-inf", b"1e999", b"1e-999", b"0x10", b"", b" ", b"-", b"+1", b"1_0", b"1,5", b"-0", b"00",
     b"9" * 400, b"1e308", b"\0", b"\xff\xfe", "٣".encode(), b"'", b'"', b'"1', b"None", b"true",
     b"2020-01-01", b",", b",,,", b"," * 5000, b";", b"\t", b"\r", b"\r\n", b"\n\n", b"\n" * 200,
     "\u2028".encode(), b"(" * 300)
) | (st.integers() | st.floats()).map(lambda number: str(number).encode())  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
) | st.sampled_from(
    (1, 2, 4, 3_000_000, 10**9, 2**63, 10**400, 0.5, "auto", "nan", "\ud800", "x" * 5000, "unit", "relu", [8],
     [1] * 100, [20_000, 20_000], [10**6, 10**6], "conv", "nested", {"name": "mlp"}, {"name": "conv"})
)  # fmt: skip

# -- harm ---------------------------------------------------------------------------------------------------

FILES = ("a.npy", "a.parquet", "a.JPG", "a.csv", "a.gz", "train-images-idx3-ubyte", "config.json", "é")
PNG = b"\x89PNG\r\n\x1a\n"
MEMBERS = ("y.npy", "x.npy", "x_train.npy", "../x.npy", "x", "é.npy", ".npy")
CHUNKS = ("tRNS", "PLTE", "iCCP", "zTXt", "eXIf", "acTL", "IHDR")
Draw = Callable[[st.SearchStrategy[Any]], Any]

some_number = st.integers(0, (1 << 20) - 1)
somewhere = st.integers(0, 64) | st.integers(-200, -1) | some_number
"""Headers lie at the front, and in zip and Parquet at the back."""

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62)
other_bytes = st.one_of(
    st.binary(max_size=16),
    st.builds(
        lambda value, width, order: (value % (1 << 8 * width)).to_bytes(width, order),
        st.sampled_from(EDGES) | st.integers(0, (1 << 64) - 1), st.sampled_from((1, 2, 4, 8)),
        st.sampled_from(("little", "big")),
    ),
    st.builds(struct.pack, st.sampled_from(("<f", ">f")), st.floats(width=32)),
    st.sampled_from((8, 64)).map(bytes),
    st.sampled_from((2, 50, 500)),
)  # fmt: skip
"""What comes in the place of bytes; a number is how often these are repeated."""


def pick(draw: Draw, options: Sequence[Any]) -> Any:
    """One of the options, as `sampled_from`, which takes long to make anew for each input."""
    return options[draw(some_number) % len(options)]


def harmed_cases(seeds: Sequence[dict[str, bytes]]) -> st.SearchStrategy[dict[str, bytes]]:
    """One of the sound inputs with one to three things wrong in it."""

    @st.composite
    def cases(draw: Draw) -> dict[str, bytes]:
        case = pick(draw, seeds)
        for _ in range(pick(draw, (1, 1, 1, 2, 3))):
            case = dict(harmed_parts(draw, list(case.items()), FILES if len(case) > 1 else ()))
        return case

    return cases()


def harmed_parts(draw: Draw, parts: list[Part], others: Sequence[str]) -> list[Part]:
    """Change what is in a part; where parts may have the names `others`, also lose, repeat or swap them."""
    if not parts:
        return parts
    at = draw(some_number) % len(parts)
    name, content = parts[at]
    act = pick(draw, ("inside",) * 8 + (("lose", "again", "rename", "swap") if others else ()))
    if act == "swap":
        contents = [content for _, content in parts]
        to = draw(some_number) % len(parts)
        contents[at], contents[to] = contents[to], contents[at]
        return [(name, content) for (name, _), content in zip(parts, contents, strict=True)]
    new = {
        "inside": lambda: [(name, harmed(draw, content))],
        "lose": lambda: [],
        "again": lambda: [(name, content), (pick(draw, others), content)],
        "rename": lambda: [(pick(draw, others), content)],
    }[act]()
    return [*parts[:at], *new, *parts[at + 1 :]]


def harmed(draw: Draw, content: bytes) -> bytes:
    """Do one harm to a file: to its bytes, to a number or mark of its text, or to what is packed in it."""
    inside = opened(content)
    if inside is not None and draw(some_number) % 5:
        parts, others, close = inside
        return close(harmed_parts(draw, parts, others))
    text = (spliced, marked) + (harmed_json,) * 6 * (content[:1] == b"{")
    return pick(draw, (spliced,) if inside else text)(draw, content)


def opened(content: bytes) -> tuple[list[Part], Sequence[str], Callable[[list[Part]], bytes]] | None:
    """Parts of a packed file, names that they may have, and what packs them again; None for other files."""
    try:
        if content[:2] == b"\x1f\x8b":
            return [("", gzip.decompress(content))], (), lambda parts: gzip.compress(parts[0][1], 1)
        if content[:2] in (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"):
            return [("", zlib.decompress(content))], (), lambda parts: zlib.compress(parts[0][1])
        if content[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return [(name, archive.read(name)) for name in archive.namelist()], MEMBERS, zipped
        if content[:8] == PNG:
            return list(chunks(content)), CHUNKS, lambda parts: PNG + b"".join(chunk(*part) for part in parts)
        if content[:6] == b"\x93NUMPY":
            stop = 10 + int.from_bytes(content[8:10], "little")
            return headed(content[:8], "<H", content[10:stop], content[stop:])
        if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content):  # safetensors
            stop = 8 + int.from_bytes(content[:8], "little")
            return headed(b"", "<Q", content[8:stop], content[stop:])
    except Exception:  # it is harmed already
        return None
    return None


def headed(magic: bytes, length: str, header: bytes, values: bytes) -> Any:
    """A file of a header, whose length stands before it, and values."""

    def close(parts: list[Part]) -> bytes:
        (_, header), (_, values) = parts
        return magic + struct.pack(length, len(header) % (1 << 8 * struct.calcsize(length))) + header + values

    return [("header", header), ("values", values)], (), close


def zipped(parts: list[Part]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in dict(parts).items():
            archive.writestr(name, content)
    return file.getvalue()


def chunks(content: bytes) -> Iterator[Part]:
    """Chunks of a PNG."""
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 8].decode("latin-1"), content[at + 8 : at + 8 + length]
        at += 12 + length


def chunk(kind: str, data: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    body = kind.encode("latin-1") + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def spliced(draw: Draw, content: bytes) -> bytes:
    """Put other bytes in the place of as many, of more or of none, or repeat some."""
    start, new = draw(somewhere) % (len(content) + 1), draw(other_bytes)
    if isinstance(new, int):
        return content[:start] + content[start : start + 64] * new + content[start:]
    stop = start + pick(draw, (len(new),) * 4 + (0, 1, 2, 8, 64, len(content)))
    return content[:start] + new + content[stop:]


def marked(draw: Draw, content: bytes) -> bytes:
    """Put something else in the place of a number, a separator or the end of a line in a text."""
    found = re.finditer(rb"-?\d+\.?\d*(?:e[+-]?\d+)?|[\n,;\t\"']", content[:20_000])
    start, stop = pick(draw, [match.span() for match in found] or [(len(content),) * 2])
    return content[:start] + draw(tokens) + content[stop:]


def harmed_json(draw: Draw, content: bytes) -> bytes:
    """Change, lose or repeat a value somewhere in JSON, or in a line of it, or nest it without end."""
    lines = content.splitlines()
    by_line = len(lines) > 1 and lines[0].endswith(b"}")
    at = draw(some_number) % len(lines) if by_line else 0
    try:
        tree = json.loads(lines[at] if by_line else content)
    except (ValueError, RecursionError):  # it is harmed already
        return spliced(draw, content)
    places = list(places_in(tree))
    act = pick(draw, ("change",) * 8 + ("lose", "again", "all", "nest", "twice"))
    if act == "nest":
        return content[: draw(somewhere) % len(content)] + pick(draw, (b"[", b'{"a":')) * 100_000
    if act == "all" or not places:
        tree = draw(json_values)
    elif act != "twice":
        holder, key = pick(draw, places)
        if act == "change":
            holder[key] = draw(json_values)
        elif act == "lose":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(names)] = holder[key]
        else:
            holder *= pick(draw, (2, 1000))
    text = json.dumps(tree).encode()
    if act == "twice":
        text = text.replace(b"{", b'{"format": 1, "format": 2, ', 1)
    return b"\n".join([*lines[:at], text, *lines[at + 1 :]]) if by_line else text


def places_in(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Each dict or list of a tree with each of its keys."""
    if isinstance(tree, (dict, list)):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from places_in(tree[key])


# -- odd content --------------------------------------------------------------------------------------------


@st.composite
def parquet_files(draw: Draw) -> bytes:
    """Tables of columns of every type, within lists and structs too."""
    import datetime

    import pyarrow as pa
    from pyarrow import parquet

    integers = [pa.uint8(), pa.int8(), pa.int16(), pa.uint32(), pa.int64(), pa.uint64(), pa.decimal128(20, 3)]
    plain = [
        (st.integers(0, 127), integers),
        (st.floats(width=16).map(np.float16), [pa.float32(), pa.float64(), pa.float16()]),
        (st.booleans(), [pa.bool_()]),
    ]
    kinds = [
        *plain, *plain,
        (names, [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]),
        (st.sampled_from(("a", "1.5", "", "nan", "2020-01-01")), [pa.string()]),
        (st.binary(min_size=3, max_size=3), [pa.binary(), pa.binary(3)]),
        (st.dates(), [pa.date32()]),
        (st.times(), [pa.time64("us")]),
        (st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)), [pa.timestamp("ns")]),
        (st.timedeltas(), [pa.duration("s")]),
        (st.none(), [pa.null()]),
    ]  # fmt: skip
    n, titles = draw(st.integers(0, 6)), draw(st.lists(st.just("label") | names, min_size=1, max_size=4))
    columns = []
    for _ in titles:
        values, types = draw(st.sampled_from(kinds))
        kind = draw(st.sampled_from(types))
        for nest in draw(st.sampled_from(("", "", "", "l", "f", "s", "ll"))):
            values, kind = {
                "l": (st.lists(values, max_size=3), pa.list_(kind)),
                "f": (st.lists(values, min_size=2, max_size=2), pa.list_(kind, 2)),
                "s": (st.fixed_dictionaries({"a": values}), pa.struct([("a", kind)])),
            }[nest]
        values = values | st.none() if draw(st.booleans()) else values
        columns.append(pa.array(draw(st.lists(values, min_size=n, max_size=n)), kind))
    file = io.BytesIO()
    try:
        parquet.write_table(pa.Table.from_arrays(columns, names=titles), file)
    except (pa.ArrowException, ValueError):
        reject()  # some types cannot be written at all
    return file.getvalue()


def frames() -> st.SearchStrategy[Any]:
    """Data frames of three rows, with columns of every type and names of every kind."""
    import pandas as pd

    cells = (
        st.integers(-5, 5), st.floats(), st.booleans(), names, st.datetimes(), st.complex_numbers(),
        st.none() | st.integers() | names | st.floats(),
    )  # fmt: skip
    columns = st.one_of(
        *(st.lists(cell, min_size=3, max_size=3) for cell in cells),
        st.sampled_from(["a", "b"]).map(lambda x: pd.Categorical([x, "c", x])),
        st.sampled_from(
            [
                pd.array([1, None, 3], dtype="Int64"), pd.array([1.5, None, 3], dtype="Float32"),
                pd.arrays.SparseArray([0, 0, 1]), pd.period_range("2020", periods=3), pd.interval_range(0, 3),
                [[1, 2], [3, 4], [5, 6]], [{"a": 1}] * 3,
            ]
        ),
    )  # fmt: skip
    keys = names | st.integers() | st.tuples(names, names) | st.none()
    return st.lists(st.tuples(keys, columns), min_size=1, max_size=4).map(frame)


def frame(table: list[tuple[Any, Any]]) -> Any:
    """A data frame of pairs of a name and a column."""
    import pandas as pd

    made = pd.DataFrame({i: values for i, (_, values) in enumerate(table)})
    made.columns = pd.Index([key for key, _ in table], tupleize_cols=False)
    return made


def arrays() -> st.SearchStrategy[Any]:
    """Arrays and tensors of every type and of up to four axes, some of no length."""
    import torch

    shapes = numpy_strategies.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    types = st.sampled_from([torch.bfloat16, torch.half, torch.bool, torch.cfloat])
    others = st.sampled_from(["O", "g", "V4"])
    return (
        numpy_strategies.arrays(numpy_strategies.scalar_dtypes(), shapes)
        | st.tuples(shapes, others).map(lambda made: np.ones(made[0]).astype(made[1]))
        | st.tuples(shapes, types).map(lambda made: torch.ones(made[0], dtype=made[1]))
    )


@st.composite
def csv_files(draw: Draw) -> bytes:
    """Tables of numbers or of anything, with every separator, end of a line and encoding."""
    columns = draw(st.integers(1, 4))
    quoted = names.map(lambda text: '"' + text.replace('"', '""') + '"')
    anything = (st.integers(-(2**70), 2**70) | st.floats() | st.just("") | names).map(str) | quoted
    rows = draw(
        st.lists(st.lists(st.floats(width=32).map(str), min_size=columns, max_size=columns), max_size=8)
        | st.lists(st.lists(anything, min_size=1, max_size=5), max_size=8)
    )
    mark, end = draw(st.sampled_from(",;\t| ")), draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    text = draw(st.sampled_from(["", "\n", "a,b\n", "1,2\n3,4\n", "1,2\n3,4\n5,6\n"]))
    text += end.join(mark.join(row) for row in rows)
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])), "replace")


@st.composite
def npy_files(draw: Draw) -> bytes:
    """Headers of every form over some zeros."""
    kinds = ["<f4", ">f8", "|u1", "<i8", "|b1", "<c8", "|O", "<U3", "<M8[s]", "<f2", "<g", "|V8", "", "x"]
    sizes = st.integers(0, 4) | st.integers() | st.sampled_from([2**31, 2**62, -1, None, 1.5, "3", True])
    header = {
        "descr": draw(st.sampled_from(kinds)),
        "fortran_order": draw(st.sampled_from([False, True, None, 0])),
        "shape": draw(st.just((2, 3)) | st.lists(sizes, max_size=6).map(tuple) | sizes),
        **draw(st.just({}) | st.dictionaries(names, json_values, max_size=1)),
    }
    text = repr(header).encode("utf-8", "replace") + b"\n"
    size = draw(st.sampled_from([0, 6, 24, 48]))
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) % 65536) + text + bytes(size)


def picture(kind: str, mode: str, height: int, width: int, seed: int, **options: Any) -> bytes:
    """A picture of random pixels."""
    from PIL import Image

    values = np.random.default_rng(seed).integers(0, 255, (height, width, 4)).astype(np.uint8)
    if mode == "I;16":
        image = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(values).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@st.composite
def picture_files(draw: Draw) -> dict[str, bytes]:
    """A picture of every mode and format, of one pixel and more."""
    modes = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"]
    kind = draw(st.sampled_from(["png", "jpeg", "gif", "bmp", "tiff", "webp"]))
    sides = st.integers(1, 20)
    mode, seed = draw(st.sampled_from(modes)), draw(st.integers(0, 99))
    try:
        content = picture(kind, mode, draw(sides), draw(sides), seed)
    except (OSError, ValueError, KeyError):
        reject()  # not every format takes every mode
    return {f"a.{kind}": content}
