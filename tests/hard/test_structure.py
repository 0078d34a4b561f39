"""Sound files of odd content: hypothesis makes tables of every type, headers, pictures and parameters.

What no harm to a sound file leads to: a Parquet file of dates within lists, say, is whole, and is no rows.
"""

import json
import random
import shutil
import struct
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from fuzz import attempt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import Reader, make, rows_of, source

from codeword import load

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.just(""), names)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


class Reads:
    """Gives a reader what was made, and counts what came of it."""

    def __init__(self, folder):
        self.folder, self.counts = folder, {"read": 0, "refused": 0}

    def __call__(self, name, content, read, **more):
        """Of a file, and others beside it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            for file, data in {name: content, **more}.items():
                (Path(folder) / file).write_bytes(data)
            self._attempt(read, Path(folder))

    def load(self, *source, **options):
        """Of what is in memory."""
        self._attempt(lambda *_: rows_of(load(*source, **options)), self.folder)

    def _attempt(self, read, folder):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numbers too large to square
            outcome = attempt(Reader([], read), folder, random.Random(0))
        assert outcome in self.counts, outcome
        self.counts[outcome] += 1


@pytest.fixture
def hold(effort, figure, tmp_path):
    """Run a check of hypothesis's as often as there is time for, and write the line of the table.

    `sound` are values that must be read. What chance makes need not be, and hypothesis makes other things
    where other libraries are installed: how much of it is read is a figure, not a fact to test.
    """

    def holds(what, check, *strategies, sound, full=2000):
        first = Reads(tmp_path)
        check(first, *sound)
        assert first.counts == {"read": 1, "refused": 0}
        reads = Reads(tmp_path)
        times = effort.times(full, least=60)

        @settings(
            max_examples=times, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(st.tuples(*strategies))
        def every(values):
            check(reads, *values)

        every()
        counts = reads.counts
        figure(
            f"odd {what}, made by hypothesis",
            f"{sum(counts.values()):,} inputs",
            f"{counts['read']:,} read, {counts['refused']:,} refused in one line, 0 else",
        )

    return holds


def arrow_types():
    import pyarrow as pa

    simple = [
        pa.bool_(), pa.int8(), pa.uint8(), pa.int16(), pa.uint32(), pa.int64(), pa.uint64(), pa.float16(),
        pa.float32(), pa.float64(), pa.string(), pa.binary(), pa.large_string(), pa.date32(), pa.time64("us"),
        pa.timestamp("ns"), pa.duration("s"), pa.decimal128(20, 3), pa.null(), pa.binary(3),
        pa.dictionary(pa.int8(), pa.string()),
    ]  # fmt: skip
    kinds = st.sampled_from(simple)
    nested = st.one_of(
        kinds.map(pa.list_),
        kinds.map(lambda kind: pa.list_(kind, 2)),
        kinds.map(lambda kind: pa.struct([("a", kind)])),
        kinds.map(lambda kind: pa.list_(pa.list_(kind))),
    )
    return st.one_of(kinds, kinds, nested)


def cells(kind, n, chance):
    """Values of an arrow type, some of them missing."""
    import datetime
    import decimal

    import pyarrow as pa

    t = pa.types

    def one(kind):
        if chance.random() < 0.1 or t.is_null(kind):
            return None
        if t.is_boolean(kind):
            return chance.random() < 0.5
        if t.is_integer(kind):
            return chance.randrange(1 << (kind.bit_width - 1))
        if t.is_floating(kind):
            value = chance.choice((0.5, -1.0, 3.0, float("nan"), float("inf")))
            return np.float16(value) if t.is_float16(kind) else value
        if t.is_string(kind) or t.is_large_string(kind) or t.is_dictionary(kind):
            return chance.choice(("a", "1.5", "", "é", "nan", "2020-01-01"))
        if t.is_binary(kind) or t.is_fixed_size_binary(kind):
            return chance.choice((b"abc", b"1.5", b"\xff\0a"))
        if t.is_date(kind):
            return datetime.date(2020, 1, chance.randint(1, 28))
        if t.is_time(kind):
            return datetime.time(chance.randrange(24))
        if t.is_timestamp(kind):
            return datetime.datetime(2020, 1, chance.randint(1, 28))
        if t.is_duration(kind):
            return datetime.timedelta(seconds=chance.randrange(1000))
        if t.is_decimal(kind):
            return decimal.Decimal(chance.randrange(1000)) / 8
        if t.is_struct(kind):
            return {"a": one(kind.field(0).type)}
        length = 2 if t.is_fixed_size_list(kind) else chance.choice((2, 2, 2, 0, 3))
        return [one(kind.value_type) for _ in range(length)]

    return pa.array([one(kind) for _ in range(n)], kind)


def test_parquet_of_every_type(hold, tmp_path):
    import io

    import pyarrow as pa
    from pyarrow import parquet

    def check(reads, kinds, titles, n, seed, label):
        chance = random.Random(seed)
        columns = [cells(kind, n, chance) for kind in kinds]
        file = io.BytesIO()
        try:
            table = pa.Table.from_arrays(columns, names=[*titles[: len(kinds)], *"abcdef"][: len(kinds)])
            parquet.write_table(table, file)
        except (pa.ArrowException, ValueError):
            return  # some types cannot be written at all
        label = titles[0] if label and titles else None
        reads(
            "f.parquet",
            file.getvalue(),
            source("f.parquet", missing=(bool(seed % 2),), label_column=(label,)),
        )

    plain = st.sampled_from([pa.uint8(), pa.int16(), pa.float32(), pa.float64(), pa.bool_()])
    strategies = (
        st.lists(plain, min_size=1, max_size=4) | st.lists(arrow_types(), min_size=1, max_size=4),
        st.lists(names, max_size=4, unique=True) | st.lists(names, max_size=4),
        st.integers(0, 6),
        st.integers(0, 10**6),
        st.booleans(),
    )
    hold("Parquet tables", check, *strategies, sound=([pa.uint8(), pa.int16()], [], 6, 1, False))


def test_frames_of_every_type(hold):
    import pandas as pd

    columns = st.one_of(
        st.lists(st.integers(-5, 5), min_size=3, max_size=3),
        st.lists(st.floats(), min_size=3, max_size=3),
        st.lists(st.booleans(), min_size=3, max_size=3),
        st.lists(names, min_size=3, max_size=3),
        st.lists(st.one_of(st.none(), st.integers(), names, st.floats()), min_size=3, max_size=3),
        st.lists(st.datetimes(), min_size=3, max_size=3),
        st.lists(st.complex_numbers(), min_size=3, max_size=3),
        st.sampled_from(["a", "b"]).map(lambda x: pd.Categorical([x, "c", x])),
        st.just(pd.array([1, None, 3], dtype="Int64")),
        st.just(pd.array([1.5, None, 3], dtype="Float32")),
        st.just(pd.arrays.SparseArray([0, 0, 1])),
        st.just(pd.period_range("2020", periods=3)),
        st.just(pd.interval_range(0, 3)),
        st.just([[1, 2], [3, 4], [5, 6]]),
        st.just([{"a": 1}] * 3),
    )
    keys = st.one_of(names, st.integers(), st.tuples(names, names), st.none())

    def check(reads, table, missing):
        frame = pd.DataFrame({i: values for i, (_, values) in enumerate(table)})
        frame.columns = pd.Index([key for key, _ in table], tupleize_cols=False)
        reads.load(frame, missing=missing)

    tables = st.lists(st.tuples(keys, columns), min_size=1, max_size=4)
    hold("data frames", check, tables, st.booleans(), sound=([("a", [1, 2, 3])], False))


def test_tables_of_text(hold):
    quoted = names.map(lambda text: '"' + text.replace('"', '""') + '"')
    lines = st.lists(st.lists(numbers.map(str) | quoted, min_size=1, max_size=5), max_size=8)
    plain = st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(st.floats(width=32).map(str), min_size=n, max_size=n), max_size=8)
    )

    def check(reads, rows, mark, end, encoding, start):
        text = start + end.join(mark.join(row) for row in rows)
        content = text.encode(encoding, "replace")
        reads("f.csv", content, source("f.csv", missing=(False, True)))

    marks, ends = st.sampled_from(",;\t| "), st.sampled_from(["\n", "\r\n", "\r", "\n\n"])
    encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    starts = st.sampled_from(["", "\n", "a,b\n", "1,2\n3,4\n", "1,2\n3,4\n5,6\n"])
    sound = ([["1", "2"], ["3", "4"]], ",", "\n", "utf-8", "a,b\n")
    hold("CSV", check, plain | lines, marks, ends, encodings, starts, sound=sound)


def test_headers_of_arrays(hold):
    def check(reads, kind, shape, order, more, size):
        header = repr({"descr": kind, "fortran_order": order, "shape": shape, **more}).encode() + b"\n"
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) % 65536) + header + bytes(size)
        reads("f.npy", content, source("f.npy"))

    kinds = st.sampled_from(
        ["<f4", ">f8", "|u1", "<i8", "|b1", "<c8", "|O", "<U3", "<M8[s]", "<f2", "<g", "", "x"]
    )
    sizes = st.one_of(st.integers(0, 4), st.integers(), st.sampled_from([2**31, 2**62, -1, None, 1.5, "3"]))
    shapes = st.one_of(st.lists(sizes, max_size=4).map(tuple), st.just((2, 3)), sizes)
    extra = st.just({}) | st.dictionaries(names, json_values, max_size=1)
    orders, bytes_after = st.sampled_from([False, True, None, 0]), st.sampled_from([0, 6, 24, 48])
    sound = ("<f4", (2, 3), False, {}, 24)
    hold("headers of .npy", check, kinds, shapes, orders, extra, bytes_after, sound=sound)


def test_pictures_of_every_mode(hold):
    import io

    from PIL import Image

    def check(reads, mode, kind, height, width, seed, size):
        values = np.random.default_rng(seed).integers(0, 255, (height, width, 4)).astype(np.uint8)
        file = io.BytesIO()
        try:
            image = Image.fromarray(values)
            image = (
                Image.fromarray(values[..., 0].astype(np.uint16) * 257)
                if mode == "I;16"
                else image.convert(mode)
            )
            image.save(file, kind)
        except (OSError, ValueError, KeyError):
            return  # not every format takes every mode
        reads(f"a.{kind}", file.getvalue(), source("", size=(size,)))

    modes = st.sampled_from(
        ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"]
    )
    kinds, sides = st.sampled_from(["png", "jpeg", "gif", "bmp", "tiff", "webp"]), st.integers(1, 20)
    resized = st.sampled_from([None, 1, 8, (3, 50)])  # one side of a resized picture may be one pixel
    sound = ("RGB", "png", 8, 8, 0, None)
    hold("pictures", check, modes, kinds, sides, sides, st.integers(0, 99), resized, sound=sound)


def test_parameters_of_models(hold, tmp_path):
    (tmp_path / "seeds").mkdir()
    model = make("model folder", tmp_path / "seeds")
    shutil.rmtree(tmp_path / "seeds")

    def check(reads, number, place, key, value):
        case = dict(model.seeds[number])
        config = json.loads(case["config.json"])
        holder = config
        for step in place:
            holder = holder.get(step, holder) if isinstance(holder.get(step), dict) else holder
        known = sorted(holder)
        holder[known[key % len(known)]] = value
        case["config.json"] = json.dumps(config).encode()
        reads(
            "config.json", case.pop("config.json"), lambda folder, chance: model.read(folder, chance), **case
        )

    config = json.loads(model.seeds[0]["config.json"])
    as_it_is = (0, [], 0, config[min(config)])  # the first key's value, put in its place again
    places = st.lists(st.sampled_from(["parameters", "data", "network", "objective"]), max_size=2)
    values = json_values | st.sampled_from(["conv", "mlp", "nested", "unit", "relu", 4, [8], 10**9])
    seeds = st.integers(0, len(model.seeds) - 1)
    hold("parameters of a model", check, seeds, places, st.integers(0, 99), values, sound=as_it_is)


def test_arrays_of_every_type(hold):
    import torch

    def check(reads, kind, shape, seed):
        chance = random.Random(seed)
        try:
            values = np.ones(shape).astype(kind) if kind != "torch" else None
        except (TypeError, ValueError):
            return
        if values is None:
            values = torch.ones(
                shape, dtype=chance.choice((torch.bfloat16, torch.half, torch.bool, torch.cfloat))
            )
        reads.load(values)

    kinds = st.sampled_from(
        ["f2", "f4", "f8", "g", "u1", "i1", "u8", "i8", "?", "c8", "O", "U3", "S3", "M8[s]", "m8[s]", "V4",
         "torch"]
    )  # fmt: skip
    shapes = st.lists(st.integers(0, 4), max_size=4)
    hold("arrays", check, kinds, shapes, st.integers(0, 99), sound=("f4", [3, 2], 0), full=1000)
