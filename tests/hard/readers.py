"""Every reader there is: sound inputs for it, inputs of odd content, and what a user would do with each."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import resource
import struct
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import odd
from hypothesis import strategies as st

from codeword import MLP, AutoEncoder, Conv, load
from codeword.base.errors import CodewordError

Case = dict[str, bytes]
"""Files by their path within a folder."""

Read = Callable[[Any, random.Random], None]

MOST_FEATURES = 1 << 20
"""Features of a sample whose values are looked at: moments of more would count as memory of the reader."""


@dataclass(frozen=True)
class Reader:
    """What is tried.

    `seeds` are sound inputs, which must be read. `read` takes the folder that an input is written to, or the
    input itself where it is not made of files. `made` gives inputs that no harm to a seed leads to, and
    `share` is how many of all inputs are tried where each takes long.
    """

    seeds: Sequence[Any]
    read: Read
    made: st.SearchStrategy[Any] = st.nothing()  # noqa: RUF009 - it has no state
    share: float = 1.0


def write(case: Case, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in case.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def attempt(read: Read, source: Any, chance: random.Random) -> str:
    """Say whether it was "read" or "refused"; a message of more than one line and other errors are raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers too large to square
        try:
            read(source, chance)
        except CodewordError as error:
            message = str(error)
        else:
            return "read"
    assert len(message.splitlines()) == 1, f"not one line: {message[:200]!r}"
    return "refused"


# -- memory -------------------------------------------------------------------------------------------------

GROWTH = 1 << 30
"""Bytes of resident memory that a process may gain by an input."""

CUSHION = 6 << 30
"""Bytes of address space that it may gain: more than GROWTH, so that too much is seen and not hidden as a
MemoryError, and less than would take the machine down."""


def peak() -> int:
    """The most resident memory that this process has had, in bytes."""
    with contextlib.suppress(
        OSError
    ):  # ru_maxrss, on Linux, is also that of the process that started this one
        status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(status["VmHWM"].split()[0]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def forget_peak() -> int:
    """Let the peak be what is resident now, where the system can do that, and return it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


@contextlib.contextmanager
def limited_memory():
    """Let the address space grow by no more than the cushion, where the system tells how large it is."""
    known = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + CUSHION, known[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, known)


# -- sound content ------------------------------------------------------------------------------------------


def numbers(n: int = 6, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (n, *(shape or (4,)))).astype(np.uint8)


X, WIDE = numbers(6), numbers(5, 3, 3).astype(np.float32) / 7
FLOATS = X.astype(np.float32)


def idx(x: np.ndarray) -> bytes:
    codes = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    head = struct.pack(">HBB", 0, codes[x.dtype.name], x.ndim) + struct.pack(f">{x.ndim}I", *x.shape)
    return head + x.astype(x.dtype.newbyteorder(">")).tobytes()


def written(write: Callable[..., Any], *words: Any, **options: Any) -> bytes:
    """What `write` puts into a file that it takes first."""
    file = io.BytesIO()
    write(file, *words, **options)
    return file.getvalue()


def npy(x: np.ndarray) -> bytes:
    return written(np.save, x)


def parquet(x: np.ndarray, *, labels: bool = False, **options: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as pq

    columns = {f"c{i}": np.ascontiguousarray(x[:, i]) for i in range(x.shape[1])}
    if labels:
        columns["label"] = np.array([f"l{i % 3}" for i in range(len(x))])
    return written(lambda file: pq.write_table(pa.table(columns), file, **options))


def picture(kind: str, mode: str = "L", **options: Any) -> bytes:
    return odd.picture(kind, mode, 9, 9, 1, **options)


def table(separator: str = ",", *, header: bool = True, word: bool = False) -> bytes:
    lines = [separator.join(("a", "b", "c", "label"))] if header else []
    for i, row in enumerate(numbers(12, 3)):
        cells = [f"{value / 7:.3f}" for value in row]
        lines.append(separator.join([*cells, f'"cat {i % 2}"' if word else str(i % 2)]))
    return "\n".join(lines).encode() + b"\n"


# -- what a user would do -----------------------------------------------------------------------------------


def rows_of(data: Any) -> None:
    """Look at all of it, as training would."""
    from codeword.data.scaling import describe

    assert len(data) > 0
    assert data.x.dtype.kind in "uif"
    assert 0 not in data.shape
    assert data.y is None or len(data.y) == len(data)
    assert repr(data)
    if data.x[0].size <= MOST_FEATURES:
        describe(data.x, missing=data.missing)


def source(name: str, **choices: Sequence[Any]) -> Read:
    """Load `name` of the input's folder, or the folder itself, with each option one of its choices."""

    def read(folder: Path, chance: random.Random) -> None:
        options = {option: chance.choice(values) for option, values in choices.items()}
        rows_of(load(folder / name if name else folder, chance.choice(("train", "test")), **options))

    return read


def in_memory(x: Any, chance: random.Random) -> None:
    rows_of(load(x, missing=chance.choice((True, False))))


def model(folder: Path, chance: random.Random) -> None:
    """Open a model, encode two rows and decode them."""
    ae = AutoEncoder.load(folder, device="cpu")
    codes = ae.transform(np.zeros((2, *ae.sample_shape_), np.float32))
    assert codes.shape == (2, ae.n_components)
    assert len(ae.inverse_transform(np.nan_to_num(codes))) == 2


def run(folder: Path, **more: Any) -> AutoEncoder:
    """Train with checkpoints in a folder."""
    network, rows = MLP(hidden=(3,)), np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
    ae = AutoEncoder(2, network=network, epochs=3, batch_size=16, random_state=0, device="cpu")
    return ae.fit(rows, checkpoint=folder, **more)


def checkpoint(folder: Path, chance: random.Random) -> None:
    """Go on with a run that was stopped."""
    run(folder, resume=True)


def comparison(folder: Path, chance: random.Random) -> None:
    """Go on with a comparison that was stopped."""
    from codeword.tasks.compare import Results

    assert isinstance(Results(folder, COMPARED, overwrite=False).rows, dict)


def label_file(folder: Path, chance: random.Random) -> None:
    """Read labels from a file of their own."""
    from codeword.data.labels import classes_of, read_label_file

    path = min(folder.iterdir(), default=folder / "lost.csv")
    assert len(classes_of(read_label_file(path, 12), 12).names) > 0


def upload(kind: str, shape: tuple[int, ...], names: tuple[str, ...] = ()) -> Read:
    """What the explorer does with a file that a visitor hands over."""
    from codeword.data.display import Display
    from codeword.pages.uploads import sample_of

    display = Display(kind, shape, 0.0, 1.0, names)

    def read(folder: Path, chance: random.Random) -> None:
        data = (folder / "upload").read_bytes()
        missing, invert = chance.choice((False, True)), chance.choice((False, True))
        values = sample_of(data, display, missing=missing, invert=invert)
        assert values.shape == (1, *shape)
        assert not np.isinf(values).any()

    return read


# -- seeds that take more than a line -----------------------------------------------------------------------

COMPARED = {"source": "x", "n": 12, "k": [2, 4], "objectives": ["pca"], "seeds": 1}


def files_in(folder: Path) -> Case:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def stopped_run(work: Path) -> list[Case]:
    """The checkpoint of a run that was stopped after two of three epochs."""

    class Stop(BaseException):
        pass

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise Stop

    with contextlib.suppress(Stop):
        run(work, on_epoch=stop)
    return [files_in(work)]


def models(work: Path) -> list[Case]:
    """Models of several kinds, one of a table with words, dates and missing cells, as small as they come."""
    import pandas as pd

    rng = np.random.default_rng(0)
    x = rng.uniform(size=(40, 8, 8)).astype(np.float32)
    frame = pd.DataFrame(
        {
            "color": rng.choice(["red", "green", "blue"], 60),
            "size": np.where(rng.uniform(size=60) < 0.1, np.nan, rng.normal(size=60)),
            "day": pd.date_range("2020-01-01", periods=60),
        }
    )
    kinds = [
        (x, {"network": MLP(hidden=(3,))}),
        (x, {"network": MLP(hidden=(4,), norm="batch", tied=True), "objective": "nested"}),
        (x, {"network": Conv(channels=(2,)), "objective": "variational"}),
        (x, {"network": MLP(hidden=(3,), linear_skip=False), "objective": "vector_quantized"}),
        (frame, {"network": MLP(hidden=(3,)), "objective": "masked"}),
    ]
    for i, (data, kind) in enumerate(kinds):
        AutoEncoder(4, epochs=1, random_state=0, device="cpu", **kind).fit(data).save(work / str(i))
    return [files_in(work / str(i)) for i in range(len(kinds))]


def compared() -> Case:
    from codeword.tasks.compare import COLUMNS

    row = dict.fromkeys(COLUMNS) | {"objective": "pca", "mse": 0.5}
    rows = [row | {"k": k} for k in (2, 4)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {"settings.json": json.dumps(COMPARED).encode(), "results.jsonl": lines.encode()}


def pictures(modes: dict[str, str], *more: Case, **options: Any) -> Reader:
    """Folders of two pictures of a format and a mode, and one of a folder for each class."""
    kinds = [(kind, mode) for kind, every in modes.items() for mode in every.split()]
    seeds = [{f"{i}.{kind}": picture(kind, mode) for i in range(2)} for kind, mode in kinds]
    by_class = {f"{label}/a.{kinds[0][0]}": picture(*kinds[0]) for label in "ab"}
    return Reader([*seeds, by_class, *more], source("", size=(None, 1, 5, (4, 7))), **options)


def one_file(name: str, *contents: bytes, read: Any = None, made: Any = None, **choices: Any) -> Reader:
    """A reader of a single file of that name."""
    odd_files = st.nothing() if made is None else made.map(lambda content: {name: content})
    return Reader([{name: content} for content in contents], read or source(name, **choices), odd_files)


PARTS, LINES = ("train", "t10k"), "\n".join(f"l{i % 3}" for i in range(12)).encode()
IDX_FOLDER = {f"{part}-images-idx3-ubyte": idx(numbers(6, 3, 3)) for part in PARTS}
IDX_FOLDER |= {f"{part}-labels-idx1-ubyte": idx(X[:, 0]) for part in PARTS}
LABELS = {"label_column": (None, "label")}
CELLS = {"missing": (False, True), **LABELS}

READERS: dict[str, Callable[[Path], Reader]] = {
    "IDX": lambda _: one_file("f", idx(X), idx(WIDE), idx(numbers(3, 28, 28))),
    "IDX, gzipped": lambda _: one_file("f.gz", *(gzip.compress(idx(a)) for a in (X, WIDE))),
    "IDX folder": lambda _: Reader(
        [IDX_FOLDER, {f"{file}.gz": gzip.compress(data) for file, data in IDX_FOLDER.items()}], source("")
    ),
    ".npy": lambda _: one_file(
        "f.npy", npy(X), npy(WIDE), npy(WIDE.astype(">f8")), npy(X.astype(np.int64)),
        npy(np.asfortranarray(WIDE[0])), made=odd.npy_files(),
    ),
    ".npz": lambda _: one_file(
        "f.npz", written(np.savez_compressed, x=X, y=X[:, 0]), written(np.savez, data=WIDE),
        written(np.savez_compressed, x_train=X, y_train=X[:, 0], x_test=X, y_test=X[:, 0]),
        written(np.savez_compressed, arr_0=X),
    ),
    "CSV": lambda _: one_file(
        "f.csv", table(), table(header=False), table(";"), table(word=True), table("\t"),
        made=odd.csv_files(), **CELLS,
    ),
    "TSV, gzipped": lambda _: one_file("f.tsv.gz", gzip.compress(table("\t")), **LABELS),
    "Parquet": lambda _: one_file(
        "f.parquet", parquet(X), parquet(FLOATS, labels=True, compression="gzip"),
        parquet(X.astype(np.int64), compression="none", use_dictionary=False),
        parquet(FLOATS, row_group_size=2), made=odd.parquet_files(), **CELLS,
    ),
    "folder of parts": lambda _: Reader(
        [dict.fromkeys(("0.npy", "1.npy", "2.npy"), npy(X)),
         dict.fromkeys(("0.parquet", "1.parquet"), parquet(FLOATS, labels=True))], source("", **LABELS),
    ),
    "pictures, PNG": lambda _: pictures({"png": "L RGB RGBA LA P 1 I;16"}),
    "pictures, JPEG": lambda _: pictures({"jpeg": "L RGB CMYK"}),
    "pictures, others": lambda _: pictures(
        {"gif": "L RGB", "bmp": "L RGB P", "tiff": "L RGB RGBA I;16 CMYK", "webp": "RGB RGBA"},
        {"a.tiff": picture("tiff", "RGB", compression="tiff_lzw")},
        {"a.tiff": picture("tiff", "L", compression="tiff_adobe_deflate")}, made=odd.picture_files(),
    ),
    "data frames": lambda _: Reader([odd.frame([("a", [1, 2, 3])])], in_memory, odd.frames()),
    "arrays": lambda _: Reader([X, WIDE], in_memory, odd.arrays()),
    "model folder": lambda work: Reader(models(work), model, share=0.4),
    "checkpoint": lambda work: Reader(stopped_run(work / "run"), checkpoint, share=0.2),
    "comparison": lambda _: Reader([compared()], comparison),
    "labels": lambda _: Reader(
        [{"l.csv": b"label\n" + LINES}, {"l.txt": LINES}, {"l.npy": npy(np.arange(12) % 3)},
         {"l": idx(numbers(12)[:, 0])}], label_file,
    ),
    "upload, picture": lambda _: one_file(
        "upload", *(picture("png", mode) for mode in ("L", "RGB", "RGBA", "P", "I;16")), picture("jpeg"),
        picture("gif"), picture("tiff", "RGB"), picture("webp"), npy(numbers(1, 9, 9)),
        read=upload("image", (9, 9)),
    ),
    "upload, table": lambda _: one_file(
        "upload", npy(numbers(1)), npy(FLOATS[0]), b"1,2,3,4\n", b"label;c;b;a\n1;2;3;4", b"1 2 3 4",
        b"1\t2\t3\t4\n", b"a,b,c,label\n1,2,,4\n", "a,b,c,label\n1,2,3,4".encode("utf-8-sig"),
        read=upload("table", (4,), ("a", "b", "c", "label")),
    ),
}  # fmt: skip
"""What makes each reader, in a folder of its own: seeds that take time are made when they are asked for."""
