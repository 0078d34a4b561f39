"""Harm done to files that were whole: the same harm for the same seed.

Random bytes are refused by their first four; what gets deep into a reader is a file that was sound but for
one thing. So each input starts as a sound file and has some of its bytes, numbers, or fields changed. Formats
with checksums or compression are opened first, changed inside and closed again, or the harm would go no
further than the checksum.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

Case = dict[str, bytes]
"""Files by their path within the input."""

WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
EDGES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 62,
    (1 << 64) - 1,
)
NUMBERS = (
    b"nan", b"-nan", b"inf", b"-inf", b"1e999", b"-1e999", b"1e-999", b"0x10", b"", b" ", b"-", b"+1", b"1_0",
    b"1,5", b"-0", b"00", b"9" * 20, b"9" * 400, b"-9223372036854775809", b"18446744073709551616", b"1e308",
    b"\x00", b"\xff\xfe", "٣".encode(), b"'", b'"', b'"1', b"None", b"true", b"2020-01-01",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 10**9, 10**12, 2**31, 2**63, -(2**63), 2**64, 10**400, 0.5, -0.0,
    1e308, float("nan"), float("inf"), "", "auto", "nan", "\0", "\ud800", "x" * 5000, [], {}, [[]], [0], [-1],
    [1] * 100, [10**6, 10**6], [20_000, 20_000], 3_000_000, [None], ["a"], {"name": "mlp"}, {"name": None},
    {"": {}}, {"name": "conv"},
)  # fmt: skip

NOT_OPENED = (
    ValueError, OSError, EOFError, LookupError, RuntimeError, zlib.error, struct.error, zipfile.BadZipFile,
)  # fmt: skip
"""What opening a file that is harmed already may end in."""


def harmed(seeds: list[Case], name: str, seed: int, number: int) -> Case:
    """Input `number` of those for the reader `name`: one of its sound inputs, with something wrong in it."""
    chance = random.Random(f"{seed} {name} {number}")
    case = dict(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if not case:
            break
        if len(case) > 1 and chance.random() < 0.1:
            _upset(case, chance)
            continue
        file = chance.choice(sorted(case))
        case[file] = change(case[file], chance)
    return case


def _upset(case: Case, chance: random.Random) -> None:
    """Lose a file, swap two, or give one the name of another kind."""
    first, second = chance.sample(sorted(case), 2)
    act = chance.randrange(4)
    if act == 0:
        del case[first]
    elif act == 1:
        case[first], case[second] = case[second], case[first]
    elif act == 2:
        case[first] = case[second]
    else:
        end = chance.choice(
            (".npy", ".parquet", ".png", ".csv", ".gz", "", "-images-idx3-ubyte", ".JPG", "é")
        )
        case[first + end] = case.pop(first)


def change(content: bytes, chance: random.Random) -> bytes:
    """Do one harm to a file, at its outside or, more often, in what it packs."""
    inside = opened(content)
    if inside is not None and chance.random() < 0.8:
        with contextlib.suppress(*NOT_OPENED):
            return inside(chance)  # what is harmed already may not open
    return scramble(content, chance)


def opened(content: bytes) -> Callable[[random.Random], bytes] | None:
    """What changes the inside of a file of a format with checksums, packing or structure; None for others."""
    if content[:2] == b"\x1f\x8b":
        return lambda chance: gzip.compress(change(gzip.decompress(content), chance), 1)
    if content[:4] == b"PK\x03\x04":
        return lambda chance: _zip(content, chance)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return lambda chance: _png(content, chance)
    if content[:6] == b"\x93NUMPY":
        return lambda chance: _npy(content, chance)
    if content[:1] == b"{":
        return lambda chance: _json(content, chance)
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content):
        return lambda chance: _safetensors(content, chance)
    return None


def scramble(content: bytes, chance: random.Random) -> bytes:
    """Change bytes whatever they mean."""
    raw = bytearray(content)
    at = chance.randrange(len(raw) + 1)
    if chance.random() < 0.5:  # headers lie at the front, and in zip and Parquet at the back
        at = (
            min(at, chance.randrange(64))
            if chance.random() < 0.7
            else max(0, len(raw) - chance.randrange(1, 200))
        )
    act = chance.randrange(10)
    if act == 0 and raw:
        raw[min(at, len(raw) - 1)] ^= 1 << chance.randrange(8)
    elif act in (1, 2):
        width = chance.choice((1, 2, 4, 8))
        value = chance.choice(EDGES) if chance.random() < 0.7 else chance.randrange(1 << 8 * width)
        packed = struct.pack(chance.choice("<>") + WIDTHS[width], value % (1 << 8 * width))
        raw[at : at + width] = packed
    elif act == 3:
        del raw[at:]
    elif act == 4:
        del raw[at : at + chance.choice((1, 2, 4, 8, 64))]
    elif act == 5:
        raw[at:at] = chance.randbytes(chance.choice((1, 2, 7, 100)))
    elif act == 6:
        stop = at + chance.choice((1, 4, 16, 64))
        raw[at:at] = raw[at:stop] * chance.choice((1, 2, 50, 500))
    elif act == 7:
        raw[at : at + chance.choice((1, 8, 64))] = bytes(chance.choice((1, 8, 64)))
    elif act == 8:
        return _number(bytes(raw), chance)
    else:
        return _line(bytes(raw), chance)
    return bytes(raw)


def _number(content: bytes, chance: random.Random) -> bytes:
    """Put something else in the place of a number that stands in a text."""
    found = list(re.finditer(rb"-?\d+\.?\d*(?:e[+-]?\d+)?", content[:20_000]))
    if not found:
        return content + chance.choice(NUMBERS)
    start, stop = chance.choice(found).span()
    return content[:start] + chance.choice(NUMBERS) + content[stop:]


def _line(content: bytes, chance: random.Random) -> bytes:
    """Repeat, lose or lengthen a line, or end all lines otherwise."""
    lines = content.split(b"\n")
    at = chance.randrange(len(lines))
    act = chance.randrange(5)
    if act == 0:
        lines[at:at] = [lines[at]] * chance.choice((1, 2, 200))
    elif act == 1:
        del lines[at]
    elif act == 2:
        lines[at] += chance.choice((b",", b",,,", b",1", b";", b"\t", b'"', b"\r", b" ", b"," * 5000))
    elif act == 3:
        lines[at] = b""
    else:
        return chance.choice((b"\r\n", b"\r", b"\0", b"\n\n", "\u2028".encode())).join(lines)
    return b"\n".join(lines)


def _zip(content: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = chance.choice(sorted(members))
    act = chance.randrange(8)
    if act == 0:
        members[chance.choice(("y.npy", "x.npy", "x_train.npy", "../x.npy", "x", "é.npy", ".npy"))] = members[
            name
        ]
    elif act == 1:
        members[name] = b""
    else:
        members[name] = change(members[name], chance)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return out.getvalue()


def _png(content: bytes, chance: random.Random) -> bytes:
    """Change a chunk of a PNG and make its checksum right again."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    number = chance.randrange(len(chunks))
    kind, data = chunks[number]
    act = chance.randrange(6)
    if act == 0:
        chunks.insert(
            number, (chance.choice((b"tRNS", b"PLTE", b"iCCP", b"zTXt", b"eXIf", b"acTL", b"IHDR")), data)
        )
    elif act == 1:
        del chunks[number]
    elif kind == b"IDAT" and act < 4:
        chunks[number] = (kind, zlib.compress(scramble(zlib.decompress(data), chance)))
    else:
        chunks[number] = (kind, scramble(data, chance))
    out = content[:8]
    for kind, data in chunks:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


def _npy(content: bytes, chance: random.Random) -> bytes:
    """Change the header of an .npy file and make its length right again, or the values."""
    length = int.from_bytes(content[8:10], "little")
    header, values = content[10 : 10 + length], content[10 + length :]
    act = chance.randrange(6)
    if act == 0:
        values = scramble(values, chance)
    elif act == 1:
        kind = chance.choice(
            (
                "O",
                "<f8",
                ">f4",
                "<i8",
                "|b1",
                "|u1",
                "<c8",
                "<f2",
                "<f16",
                "<U4",
                "|S3",
                "<M8[D]",
                "|V8",
                "<m8[s]",
            )
        )
        header = re.sub(rb"'descr': '[^']*'", f"'descr': '{kind}'".encode(), header)
    elif act == 2:
        shape = chance.choice(
            ("()", "(0,)", "(-1, 4)", "(3, 0)", "(4611686018427387904, 4)", "(1,) * 9", "(2**40,)", "[3, 4]",
             "(3, 4, 1, 1, 1, 1)", "(1.5, 2)", "('a',)", "(True, 4)", "(1000000, 1000000)", "(3,", "(" * 300)
        )  # fmt: skip
        header = re.sub(rb"'shape': \([^)]*\)", f"'shape': {shape}".encode(), header)
    elif act == 3:
        header = header.replace(b"False", chance.choice((b"True", b"None", b"0", b"'no'", b"lambda: 1")))
    else:
        header = scramble(header, chance)
    return content[:8] + struct.pack("<H", len(header) % 65536) + header + values


def _json(content: bytes, chance: random.Random) -> bytes:
    """Change a value somewhere in JSON, or each line of it, or how it is written."""
    lines = content.splitlines()
    by_line = len(lines) > 1 and lines[0].endswith(b"}")
    at = chance.randrange(len(lines)) if by_line else 0
    act = chance.randrange(12)
    if act == 0:
        deep = chance.choice((b"[", b'{"a":')) * 100_000
        return content[: chance.randrange(len(content))] + deep
    if act in (1, 2):
        return scramble(content, chance)
    try:
        tree = json.loads(lines[at] if by_line else content)
    except ValueError:
        return scramble(content, chance)
    tree = _odd(tree, chance)
    text = json.dumps(tree).encode()
    if act == 3:  # a key twice
        text = text.replace(b"{", b'{"format": 1, "format": 2, ', 1)
    if by_line:
        lines[at] = text
        return b"\n".join(lines) + b"\n"
    return text


def _odd(tree: Any, chance: random.Random) -> Any:
    """A tree with an odd value, a key more or a key less somewhere in it."""
    holders: list[Any] = []

    def walk(node: Any) -> None:
        if isinstance(node, (dict, list)) and node:
            holders.append(node)
            for child in node.values() if isinstance(node, dict) else node:
                walk(child)

    walk(tree)
    if not holders or chance.random() < 0.03:
        return chance.choice(VALUES)
    holder = chance.choice(holders)
    at = chance.choice(sorted(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    act = chance.randrange(8)
    if act == 0:
        del holder[at]
    elif act == 1 and isinstance(holder, dict):
        holder[chance.choice(("", "x", "name", "format", "n_components", "\ud800"))] = chance.choice(VALUES)
    elif act == 2 and isinstance(holder[at], int):
        holder[at] = chance.choice(
            (holder[at] + 1, -holder[at], holder[at] * 1000, float(holder[at]), 10**10)
        )
    elif act == 3 and isinstance(holder, list):
        holder *= chance.choice((2, 1000))
    else:
        holder[at] = chance.choice(VALUES)
    return tree


def _safetensors(content: bytes, chance: random.Random) -> bytes:
    """Change the header of a safetensors file and make its length right again, or the values."""
    length = int.from_bytes(content[:8], "little")
    header, values = content[8 : 8 + length], content[8 + length :]
    act = chance.randrange(6)
    if act == 0:
        values = scramble(values, chance)
    elif act == 1:  # numbers that are none, or far too large
        at = chance.randrange(max(1, len(values) // 4)) * 4
        value = chance.choice((float("nan"), float("inf"), 3e38, -3e38, 1e-45, 0.0))
        values = values[:at] + struct.pack("<f", value) + values[at + 4 :]
    elif act == 2:
        tree = json.loads(header)
        names = sorted(tree)
        if names:
            a, b = chance.choice(names), chance.choice(names)
            tree[a], tree[b] = tree[b], tree[a]
        header = json.dumps(tree).encode()
    else:
        header = _json(header, chance)
    return struct.pack("<Q", len(header)) + header + values
