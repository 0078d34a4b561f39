"""Every reader there is: sound inputs for it, and what a user would do with what it gives."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mutate import Case

from codeword import MLP, AutoEncoder, load

MOST_FEATURES = 1 << 20
"""Of a sample whose values are looked at: the moments of more would count as memory of the reader."""

Read = Callable[[Path, random.Random], None]


@dataclass(frozen=True)
class Reader:
    """What is fuzzed: `seeds` are sound inputs, `read` takes the folder they are written to."""

    seeds: list[Case]
    read: Read
    speed: float = 1.0
    """The share of inputs that it gets in a time box, where each takes long."""


def numbers(n: int = 6, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (n, *(shape or (4,)))).astype(np.uint8)


def idx(x: np.ndarray) -> bytes:
    codes = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    head = struct.pack(">HBB", 0, codes[x.dtype.name], x.ndim) + struct.pack(f">{x.ndim}I", *x.shape)
    return head + x.astype(x.dtype.newbyteorder(">")).tobytes()


def npy(x: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, x)
    return file.getvalue()


def npz(*, packed: bool = True, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(file, **arrays)
    return file.getvalue()


def parquet(x: np.ndarray, *, labels: bool = False, **options: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet as pq

    columns = {f"c{i}": np.ascontiguousarray(x[:, i]) for i in range(x.shape[1])}
    if labels:
        columns["label"] = np.array([f"l{i % 3}" for i in range(len(x))])
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def picture(kind: str, mode: str = "L", side: int = 9, **options: Any) -> bytes:
    from PIL import Image

    values = np.random.default_rng(1).integers(0, 255, (side, side, 4)).astype(np.uint8)
    image = Image.fromarray(values).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(values[..., 0].astype(np.uint16) * 200)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def table(separator: str = ",", *, header: bool = True, word: bool = False) -> bytes:
    lines = [separator.join(("a", "b", "c", "label"))] if header else []
    for i, row in enumerate(numbers(12, 3)):
        cells = [f"{value / 7:.3f}" for value in row]
        lines.append(separator.join([*cells, f'"cat {i % 2}"' if word else str(i % 2)]))
    return "\n".join(lines).encode() + b"\n"


def model_files(folder: Path) -> Case:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


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


def source(name: str, **choices: tuple[Any, ...]) -> Read:
    """Load `name` of the input's folder, with each option one of its choices."""

    def read(folder: Path, chance: random.Random) -> None:
        options = {option: chance.choice(values) for option, values in choices.items()}
        rows_of(load(folder / name if name else folder, chance.choice(("train", "test")), **options))

    return read


def model(folder: Path, chance: random.Random) -> None:
    """Open a model, encode and decode two rows, and draw two."""
    ae = AutoEncoder.load(folder, device="cpu")
    x = np.zeros((2, *ae.sample_shape_), np.float32)
    codes = ae.transform(x)
    assert codes.shape == (2, ae.n_components)
    assert len(ae.inverse_transform(np.nan_to_num(codes))) == 2


def checkpoint(folder: Path, chance: random.Random) -> None:
    """Go on with a run that was stopped."""
    run().fit(run_rows(), checkpoint=folder, resume=True)


def run() -> AutoEncoder:
    network = MLP(hidden=(3,))
    return AutoEncoder(2, network=network, epochs=3, batch_size=16, random_state=0, device="cpu")


def run_rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)


def upload(view: Any) -> Read:
    """What the explorer does with a file that a visitor hands over."""
    from codeword.pages.uploads import sample_of

    def read(folder: Path, chance: random.Random) -> None:
        data = (folder / "upload").read_bytes()
        missing, invert = chance.random() < 0.3, chance.random() < 0.3
        values = sample_of(data, view, missing=missing, invert=invert)
        assert values.shape == (1, *view.shape)
        assert not np.isinf(values).any()

    return read


def comparison(folder: Path, chance: random.Random) -> None:
    """Go on with a comparison that was stopped."""
    from codeword.tasks.results import Results

    results = Results.open(folder, COMPARED, resume=True, overwrite=False)
    assert isinstance(results.rows, dict)


def label_file(folder: Path, chance: random.Random) -> None:
    """Read labels from a file of their own."""
    from codeword.data.labels import classes_of, read_label_file

    path = min(folder.iterdir(), default=folder / "lost.csv")
    assert len(classes_of(read_label_file(path, 12), 12).names) > 0


COMPARED = {"source": "x", "n": 12, "k": [2, 4], "objectives": ["pca"], "seeds": [0]}
CLASSES = {"label_column": (None, "label")}
LEAST = {"size": (None, 5, (4, 7))}


def _stopped(folder: Path) -> Case:
    """The checkpoint of a run that was stopped after two of three epochs."""

    class Stop(BaseException):
        pass

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise Stop

    try:
        run().fit(run_rows(), checkpoint=folder, on_epoch=stop)
    except Stop:
        return model_files(folder)
    raise AssertionError("it was not stopped")


def _models(work: Path) -> list[Case]:
    """Models of several kinds, as small as they come."""
    x = np.random.default_rng(0).uniform(size=(40, 8, 8)).astype(np.float32)
    kinds: list[dict[str, Any]] = [
        {"network": MLP(hidden=(3,))},
        {"network": MLP(hidden=(4,), norm="batch", tied=True), "objective": "nested"},
        {"network": "conv", "objective": "variational"},
        {"objective": "vector_quantized", "network": MLP(hidden=(3,), linear_skip=False)},
    ]
    cases = []
    for i, kind in enumerate(kinds):
        if kind["network"] == "conv":
            from codeword import Conv

            kind["network"] = Conv(channels=(2,))
        AutoEncoder(4, epochs=1, random_state=0, device="cpu", **kind).fit(x).save(work / str(i))
        cases.append(model_files(work / str(i)))
    return [*cases, _mixed(work)]


def _mixed(work: Path) -> Case:
    """A model of a table with words, dates and missing cells."""
    import pandas as pd

    chance = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "colour": chance.choice(["red", "green", "blue"], 60),
            "size": np.where(chance.uniform(size=60) < 0.1, np.nan, chance.normal(size=60)),
            "day": pd.date_range("2020-01-01", periods=60),
        }
    )
    network = MLP(hidden=(3,))
    ae = AutoEncoder(2, network=network, epochs=1, random_state=0, device="cpu", objective="masked").fit(
        frame
    )
    ae.save(work / "mixed")
    return model_files(work / "mixed")


def make(name: str, work: Path) -> Reader:
    """The reader of that name; what takes time is made only when it is asked for."""
    x, wide = numbers(6), numbers(5, 3, 3).astype(np.float32) / 7
    if name == "IDX":
        return Reader([{"f": idx(x)}, {"f": idx(wide)}, {"f": idx(numbers(3, 28, 28))}], source("f"))
    if name == "IDX, gzipped":
        return Reader([{"f.gz": gzip.compress(idx(a))} for a in (x, wide)], source("f.gz"))
    if name == "IDX folder":
        both = {f"{part}-images-idx3-ubyte": idx(numbers(6, 3, 3)) for part in ("train", "t10k")}
        both |= {f"{part}-labels-idx1-ubyte": idx(numbers(6)[:, 0]) for part in ("train", "t10k")}
        return Reader([both, {f"{file}.gz": gzip.compress(data) for file, data in both.items()}], source(""))
    if name == ".npy":
        arrays = (x, wide, wide.astype(">f8"), x.astype(np.int64), np.asfortranarray(wide[0]))
        return Reader([{"f.npy": npy(a)} for a in arrays], source("f.npy"))
    if name == ".npz":
        split = {"x_train": x, "y_train": x[:, 0], "x_test": x, "y_test": x[:, 0]}
        kinds = (npz(x=x, y=x[:, 0]), npz(data=wide, packed=False), npz(**split), npz(arr_0=x))
        return Reader([{"f.npz": kind} for kind in kinds], source("f.npz"))
    if name == "CSV":
        kinds = (table(), table(header=False), table(";"), table(word=True), table("\t"))
        return Reader([{"f.csv": kind} for kind in kinds], source("f.csv", missing=(True, False), **CLASSES))
    if name == "TSV, gzipped":
        return Reader([{"f.tsv.gz": gzip.compress(table("\t"))}], source("f.tsv.gz", **CLASSES))
    if name == "Parquet":
        floats = x.astype(np.float32)
        kinds = (
            parquet(x), parquet(floats, labels=True, compression="gzip"),
            parquet(x.astype(np.int64), compression="none", use_dictionary=False),
            parquet(floats, row_group_size=2),
        )  # fmt: skip
        read = source("f.parquet", missing=(True, False), **CLASSES)
        return Reader([{"f.parquet": kind} for kind in kinds], read)
    if name == "folder of parts":
        tables = {f"{i}.parquet": parquet(x.astype(np.float32), labels=True) for i in range(2)}
        return Reader(
            [{f"{i}.npy": npy(x) for i in range(3)}, tables], source("", label_column=(None, "label"))
        )
    if name.startswith("pictures"):
        return _pictures(name)
    if name == "model folder":
        return Reader(_models(work), model, 0.4)
    if name == "checkpoint":
        return Reader([_stopped(work / "run")], checkpoint, 0.2)
    if name == "comparison":
        rows = [{"objective": "pca", "k": k, "seed": None, "error": 0.5} for k in (2, 4)]
        kept = {"settings.json": json.dumps(COMPARED).encode()}
        kept["results.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
        return Reader([kept], comparison)
    if name == "labels":
        lines = "\n".join(f"l{i % 3}" for i in range(12)).encode()
        files = {
            "l.csv": b"label\n" + lines,
            "l.txt": lines,
            "l.npy": npy(np.arange(12) % 3),
            "l": idx(numbers(12)[:, 0]),
        }
        return Reader([{file: data} for file, data in files.items()], label_file)
    assert name.startswith("upload")
    return _uploads(name)


def _pictures(name: str) -> Reader:
    kinds = {
        "pictures, PNG": [("png", mode) for mode in ("L", "RGB", "RGBA", "LA", "P", "1", "I;16")],
        "pictures, JPEG": [("jpeg", "L"), ("jpeg", "RGB"), ("jpeg", "CMYK")],
        "pictures, others": [
            *(("gif", mode) for mode in ("L", "RGB")), *(("bmp", mode) for mode in ("L", "RGB", "P")),
            *(("tiff", mode) for mode in ("L", "RGB", "RGBA", "I;16", "CMYK")),
            *(("webp", mode) for mode in ("RGB", "RGBA")),
        ],
    }[name]  # fmt: skip
    seeds = [{f"{i}.{kind}": picture(kind, mode) for i in range(2)} for kind, mode in kinds]
    if name.endswith("others"):
        seeds.append({"a.tiff": picture("tiff", "RGB", compression="tiff_lzw")})
        seeds.append({"a.tiff": picture("tiff", "L", compression="tiff_adobe_deflate")})
    seeds.append({f"{label}/a.{kinds[0][0]}": picture(*kinds[0]) for label in "ab"})
    return Reader(seeds, source("", **LEAST))


def _uploads(name: str) -> Reader:
    from codeword.data.display import Display

    if name == "upload, picture":
        view = Display("image", (9, 9), 0.0, 1.0)
        sent = [picture("png", mode) for mode in ("L", "RGB", "RGBA", "P", "I;16")]
        sent += [
            picture("jpeg"),
            picture("gif"),
            picture("tiff", "RGB"),
            picture("webp"),
            npy(numbers(1, 9, 9)),
        ]
        return Reader([{"upload": data} for data in sent], upload(view))
    names = ("a", "b", "c", "label")
    sent = [npy(numbers(1)), npy(numbers(1)[0].astype(np.float32)), b"1,2,3,4\n", b"a,b,c,label\n1,2,,4\n"]
    sent += [b"label;c;b;a\n1;2;3;4", b"1 2 3 4", b"1\t2\t3\t4\n", "a,b,c,label\n1,2,3,4".encode("utf-8-sig")]
    view = Display("table", (4,), 0.0, 1.0, names)
    return Reader([{"upload": data} for data in sent], upload(view))


READERS = (
    "IDX", "IDX, gzipped", "IDX folder", ".npy", ".npz", "CSV", "TSV, gzipped", "Parquet", "folder of parts",
    "pictures, PNG", "pictures, JPEG", "pictures, others", "model folder", "checkpoint", "comparison",
    "labels", "upload, picture", "upload, table",
)  # fmt: skip
