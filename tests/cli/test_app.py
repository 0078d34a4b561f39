"""What commands share: reading, refusing, overwriting, pictures, help, exit codes."""

import gzip
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from codeword import MLP, AutoEncoder, load, plots
from codeword.cli.main import run
from codeword.export import write_parquet
from codeword.pages.content import gather

COMMANDS = [
    *("demo", "train", "encode", "decode", "reconstruct", "map", "evaluate", "info"),
    *("score", "sample", "interpolate", "traverse", "neighbors", "compare", "export"),
    *("report", "explore", "push"),
]
TINY = ["-k", "2", "--epochs", "2", "--network", "mlp(hidden=(4,))", "--random-state", "0", "--device", "cpu"]


def test_quiet_is_quiet(do, saved_model):
    assert do("train", "digits", *TINY, "-q") == ""
    assert do("encode", saved_model, "digits", "-q") == ""


def test_tables_keep_their_column_names(do, rows):
    frame = pd.DataFrame(rows, columns=["north", "east", "south", "west"]).assign(kind=["a", "b"] * 15)
    frame.to_csv("t.csv", index=False)
    do("train", "t.csv", "-o", "m.ae", *TINY, "--label-column", "kind", "-q")
    do("reconstruct", "m.ae", "t.csv", "--label-column", "kind", "-o", "again.csv")
    again = pd.read_csv("again.csv")
    assert list(again.columns) == ["north", "east", "south", "west"]
    do("encode", "m.ae", "t.csv", "--label-column", "kind", "-o", "codes.csv")
    assert list(pd.read_csv("codes.csv").columns) == ["z0", "z1"]
    do("map", "m.ae", "t.csv", "--label-column", "kind", "--method", "pca", "-o", "map.svg")


def test_images_in_folders_are_taken_as_they_are(do):
    rng = np.random.default_rng(0)
    for label in "ab":
        os.makedirs(f"pictures/{label}")
        for i in range(12):
            Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(f"pictures/{label}/{i}.png")
    do("train", "pictures", *TINY, "-q")
    do("reconstruct", "pictures.ae", "pictures", "-o", "p.png")
    do("decode", "pictures.ae", encoded(do, "pictures.ae", "pictures"), "-o", "rows.npy")
    assert np.load("rows.npy").shape == (24, 6, 5, 3)
    do("train", "pictures", "-o", "small.ae", *TINY, "--size", "4x3", "-q")
    assert AutoEncoder.load("small.ae").sample_shape_ == (4, 3, 3)


def encoded(do, model, source):
    do("encode", model, source, "-o", "codes.npy")
    return "codes.npy"


def test_an_output_is_replaced_only_with_overwrite(do, refused, saved_model):
    do("train", "digits", "-o", "m.ae", *TINY, "-q")
    assert "m.ae already exists" in refused("train", "digits", "-o", "m.ae", *TINY)
    do("train", "digits", "-o", "m.ae", *TINY, "-k", "3", "-q", "--overwrite")
    assert AutoEncoder.load("m.ae").n_components == 3
    for command, output in [
        ("encode", "c.npy"),
        ("reconstruct", "p.png"),
        ("map", "m.svg"),
        ("reconstruct", "r.csv"),
    ]:
        points = ["--points", "20", "--method", "pca"] if command == "map" else []
        do(command, saved_model, "digits", "-o", output, *points)
        assert f"{output} already exists" in refused(command, saved_model, "digits", "-o", output, *points)
        do(command, saved_model, "digits", "-o", output, *points, "--overwrite")


def test_overwrite_spares_what_is_no_model(refused):
    os.mkdir("thesis")
    Path("thesis/chapter.txt").write_text("one")
    Path("thesis/config.json").write_text("{}")
    Path("letter.txt").write_text("dear")
    assert "'chapter.txt', which is no part of a model folder" in refused(
        "train", "digits", "-o", "thesis", *TINY, "--overwrite"
    )
    assert "is a file, not a model folder" in refused(
        "train", "digits", "-o", "letter.txt", *TINY, "--overwrite"
    )
    assert "no part of a folder that this demo made" in refused("demo", "-o", "thesis", "--overwrite")


# -- bad input ----------------------------------------------------------------------------------------------


def idx(values):
    shape = np.array(values.shape, ">u4").tobytes()
    return bytes([0, 0, 8, values.ndim]) + shape + values.astype(np.uint8).tobytes()


def write_pictures(folder, sizes):
    os.makedirs(folder)
    for i, size in enumerate(sizes):
        Image.fromarray(np.zeros(size, np.uint8)).save(f"{folder}/{i}.png")


def sources():
    """Every source that cannot be read, by name: how to make it, and words of what is said of it."""
    sound = idx(np.zeros((9, 4, 4)))
    holed = np.ones((5, 3))
    holed[2, 1] = np.nan
    return {
        "missing.npy": (None, "there is no file or folder missing.npy"),
        "minst": (None, "Did you mean 'mnist'?"),
        "empty.npy": (b"", "empty.npy"),
        "empty.csv": (b"", "empty.csv"),
        "empty-ubyte": (b"", "empty-ubyte"),
        "empty.parquet": (b"", "empty.parquet"),
        "short-images-idx3-ubyte": (sound[:-5], "promises 144 bytes of values, found 139"),
        "short.gz": (gzip.compress(sound)[:-9], "short.gz cannot be read as IDX: Compressed file ended"),
        "text.npy": (b"hello, world\n", "text.npy cannot be read as a NumPy array: the magic string"),
        "words.csv": (b"a,b\n1,2\n3,four\n", "row 2, column 'b' holds 'four'"),
        "nan.csv": (b"a,b\n1,2\n3,nan\n", "row 2, column 'b' is empty or NaN"),
        "ragged.csv": (b"a,b\n1,2\n3\n", "CSV parse error: Row #3: Expected 2 columns, got 1"),
        "header.csv": (b"a,b\n", "header.csv holds no rows"),
        "nan.npy": (lambda name: np.save(name, holed), "NaN (the first in row 2, column 1)"),
        "inf.npy": (lambda name: np.save(name, holed / 0), "infinity (the first in row 0, column 0)"),
        "objects.npy": (lambda name: np.save(name, np.array([{}]), allow_pickle=True), "objects.npy"),
        "flat.npy": (lambda name: np.save(name, np.zeros(5)), "has the shape (5,): expected samples along"),
        "complex.npy": (lambda name: np.save(name, np.zeros((3, 2), complex)), "complex128: expected real"),
        "ragged": (lambda name: write_pictures(name, [(4, 4), (4, 5)]), "--size"),
        "nothing": (os.mkdir, "nothing holds nothing that can be read"),
        "rows.xyz": (b"1 2 3", "rows.xyz is of a kind that is not known"),
    }  # fmt: skip


@pytest.mark.parametrize("name", sources())
def test_a_bad_source_is_named(name, refused):
    make, words = sources()[name]
    with np.errstate(all="ignore"):
        if callable(make):
            make(name)
        elif make is not None:
            Path(name).write_bytes(make)
    assert words in refused("train", name, "-o", "m.ae", *TINY)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], "No such command 'fly'"),
        (["train"], "Missing argument"),
        (["encode", "m.ae"], "Missing argument"),
        (["train", "a", "b"], "unexpected extra argument"),
        (["map", "m.ae", "x.npy", "--points", "-1"], "--points"),
        (["map", "m.ae", "x.npy", "--points", "few"], "--points"),
        (["demo", "--seed", "x"], "--seed"),
        (["demo", "--dataset", "digits"], "'--dataset': 'digits' is not one of 'mnist-5k', 'mnist'"),
        (["--fly"], "No such option"),
    ],
)
def test_wrong_usage_points_to_the_help(words, said, refused):
    err = refused(*words)
    assert said in err
    if "must be" not in err:
        assert err.rstrip().endswith("--help`")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["encode", "-o", "c.xlsx"],
            "cannot tell the format from the ending '.xlsx'; use .npy, .npz, .csv, .parquet",
        ),
        (["encode", "-o", "codes"], "cannot tell the format"),
        (["encode", "-o", "no/c.npy"], "there is no folder no; create it first"),
        (["encode", "-o", "."], "."),
        (["encode", "--device", "gpu"], "--device is 'gpu'"),
        (["reconstruct", "--samples", "1438"], "--samples: there is no sample 1438; the source has 1,438"),
        (["reconstruct", "--samples", "-1"], "--samples: there is no sample -1"),
        (
            ["reconstruct", "--samples", "1,x"],
            "--samples must be whole numbers with commas between. Got '1,x'",
        ),
        (["reconstruct", "--samples", ""], "--samples must be whole numbers"),
        (["reconstruct", "-o", "p.gif"], "cannot tell the format from the ending '.gif'"),
        (["map", "--method", "magic"], "'--method': 'magic' is not one of 'auto', 'tsne'"),
        (["map", "--seed", "-1"], "seed"),
        (["reconstruct", "--seed", "-1"], "seed"),
        (["evaluate", "--split", "half"], "half"),
    ],
)
def test_wrong_options_of_the_other_commands_are_named(words, said, refused, saved_model):
    assert said in refused(words[0], saved_model, "digits", *words[1:])


@pytest.mark.parametrize("command", ["encode", "reconstruct", "map", "evaluate"])
def test_rows_that_do_not_fit_the_model_are_refused(command, refused, saved_model, rows):
    np.save("x.npy", rows)
    assert "fitted on shape (8, 8)" in refused(command, saved_model, "x.npy")


@pytest.mark.parametrize("command", ["encode", "reconstruct", "map", "evaluate"])
def test_a_table_with_the_wrong_columns_is_refused(command, refused, do, rows):
    frame = pd.DataFrame(rows, columns=list("abcd"))
    frame.to_csv("t.csv", index=False)
    frame[list("abc")].to_csv("few.csv", index=False)
    frame[list("abdc")].to_csv("mixed.csv", index=False)
    do("train", "t.csv", "-o", "m.ae", *TINY, "-q")
    assert "3 features" in refused(command, "m.ae", "few.csv")
    assert "'d' stands where 'c' was" in refused(command, "m.ae", "mixed.csv")


@pytest.mark.parametrize("command", ["encode", "reconstruct", "map", "evaluate"])
def test_rows_that_are_not_finite_are_refused(command, refused, saved_model):
    x = np.zeros((50, 8, 8), np.float32)
    x[33, 2, 1] = np.nan
    np.save("x.npy", x)
    err = refused(command, saved_model, "x.npy", *(["--samples", "33"] if command == "reconstruct" else []))
    assert "nan" in err.lower()


@pytest.mark.parametrize("command", ["info", "evaluate", "encode"])
def test_a_damaged_model_is_named(command, refused, model_folder):
    weights = model_folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    rest = [] if command == "info" else ["digits"]
    assert "weights.safetensors is damaged or cut short" in refused(command, model_folder, *rest)
    assert "there is no model folder here" in refused(command, "missing.ae", *rest)


def test_a_column_that_was_not_there_in_training_is_named(do, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd"))
    frame.to_csv("a.csv", index=False)
    frame.assign(label=np.arange(60) % 3).to_csv("b.csv", index=False)
    do("train", "a.csv", "-o", "m.ae", "--epochs", 1, "-q")
    assert "column 'label' was not there in training" in refused("encode", "m.ae", "b.csv")
    for words, problem in (
        (("--objective", "masked(missing=mask)"), "a word stands in quotes, as in missing='mask'"),
        (("--network", "mlp(hiden=(8,))"), "mlp has no 'hiden', but hidden, "),
    ):
        assert problem in refused("train", "a.csv", "-o", "q.ae", *words)


def test_ctrl_c_is_no_traceback(capsys, rows, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    np.save("x.npy", rows)
    monkeypatch.setattr("codeword.data.load", interrupt)
    assert run(["train", "x.npy", *TINY]) == 130
    assert capsys.readouterr().err == "codeword: error: interrupted\n"


# -- pictures -----------------------------------------------------------------------------------------------


@pytest.fixture
def displays(do, monkeypatch, tmp_path):
    """How four ways to show a model's samples show them: report, export, and two commands."""
    monkeypatch.chdir(tmp_path)

    def found(model, data, source):
        seen = []
        for name in ("sample_figure", "reconstruction_figure"):
            make = getattr(plots, name)

            def spy(*rows, display, make=make, **how):
                seen.append(display)
                return make(*rows, display=display, **how)

            monkeypatch.setattr(plots, name, spy)
        model.save("m.ae")
        do("sample", "m.ae", "-n", 4, "-o", "s.png", "-q")
        do("reconstruct", "m.ae", source, "--samples", "3,4", "-o", "r.png", "-q")
        opened = AutoEncoder.load("m.ae")
        return [
            *seen,
            gather(opened, data, source="x", method="pca").display,
        ]

    return found


@pytest.mark.parametrize(
    ("dtype", "scaling", "ends"),
    [
        (np.uint8, "standard", (0, 255)),
        (np.uint8, "auto", (0, 255)),
        (np.float32, "standard", (0, 59)),
        (np.float32, "none", (0, 59)),
    ],
)
def test_a_value_has_one_shade_wherever_it_is_shown(displays, dtype, scaling, ends):
    x = np.random.default_rng(0).integers(0, 60, size=(50, 6, 6)).astype(dtype)
    x[0, 0, :2] = 0, 59
    np.save("x.npy", x)
    settings = {"network": MLP(hidden=(4,)), "epochs": 1, "random_state": 0, "device": "cpu"}
    model = AutoEncoder(2, scaling=scaling, **settings).fit(x)
    found = displays(model, load("x.npy"), "x.npy")
    assert [(display.kind, display.low, display.high) for display in found] == [("image", *ends)] * 3
    write_parquet(model, load("x.npy"), "x.parquet", method="pca")
    picture = pq.read_table("x.parquet")["image"][0]["bytes"].as_py()
    with Image.open(io.BytesIO(picture)) as opened:
        assert np.asarray(opened)[0, :2].tolist() == [0, round(255 * 59 / ends[1])]


def test_the_person_says_what_samples_are(do, refused, saved_model, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    curve, few = ["--display", "curve"], ["--points", 20, "--method", "pca"]
    do("export", saved_model, "digits", "--parquet", "d.parquet", *few, *curve, "-q")
    assert "signal" in pq.read_schema("d.parquet").names
    do("report", saved_model, "digits", "-o", "r.html", *few, *curve, "-q")
    assert '"kind": "curve"' in Path("r.html").read_text() or '"kind":"curve"' in Path("r.html").read_text()
    commands = {
        "sample": ["-n", 4],
        "traverse": [],
        "reconstruct": ["digits"],
        "interpolate": ["digits"],
        "neighbors": ["digits", "--query", 3],
    }
    for command, words in commands.items():
        do(command, saved_model, *words, "-o", f"{command}.svg", "--display", "table", "-q")
        assert "<!-- x12 -->" in Path(f"{command}.svg").read_text()
    said = refused("sample", saved_model, "-o", "s.png", "--display", "photo")
    assert "--display must be one of image, curve, table. Got 'photo' instead" in said


# -- help ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_shows_an_example(command, do):
    out = do(command, "--help")
    assert f"Example: codeword {command}" in " ".join(out.split())
    assert "--json" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
def test_help_lists_every_command(words, do):
    out = do(*words)
    for command in COMMANDS:
        assert f"\n  {command} " in out
    assert "..." not in out.split("Commands:")[1]
    assert out.startswith("Usage: codeword [")


def test_codeword_alone_prints_its_help(capsys):
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("Usage: codeword")
    assert err == ""


def test_version(do):
    from codeword.base.about import __version__

    assert do("--version") == f"{__version__}\n"


# -- as a process -------------------------------------------------------------------------------------------


def python(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "import codeword",
        *(f"from codeword.cli.main import run; run({w})" for w in (["--help"], ["train", "--help"])),
    ],
)
def test_importing_codeword_and_help_are_quick(code):
    """They import nothing heavy. The processor's time is held to, and not the clock of a busy machine."""
    heavy = {"torch", "numpy", "scipy", "sklearn", "matplotlib", "pyarrow", "pandas"}
    done = python("-c", f"{code}; import sys, time; print({heavy} & set(sys.modules), time.process_time())")
    assert done.returncode == 0, done.stderr
    imported, seconds = done.stdout.splitlines()[-1].rsplit(" ", 1)
    assert imported == "set()"
    assert float(seconds) < 1


def test_exit_codes_and_streams_of_the_process(tmp_path):
    done = python("-m", "codeword.cli", "train", "missing.npy")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("codeword: error: there is no file or folder missing.npy")
    assert done.stderr.count("\n") == 1
    done = python("-m", "codeword.cli", "train", "digits", *TINY, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["model"] == "digits.ae"
    assert "epoch 2/2" in done.stderr  # for a person who looks on, out of the way of the JSON
    assert "Warning" not in done.stderr


def test_a_service_without_standard_output(saved_model, tmp_path):
    words = [sys.executable, "-m", "codeword.cli", "encode", str(saved_model), "digits", "-o", "z.npy"]
    script = f"exec {shlex.join(words)} >&-"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "z.npy").exists()


def test_how_a_model_was_trained_is_not_heard_again(tmp_path, monkeypatch, do, capsys):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(60, 4))
    pd.DataFrame(x, columns=list("abcd")).to_csv("a.csv", index=False)
    np.save("x.npy", x)
    do("train", "a.csv", "-o", "loud.ae", "--epochs", 1, "-k", 2, "--random-state", 0)
    do("train", "a.csv", "-o", "still.ae", "--epochs", 1, "-k", 2, "--random-state", 0, "-q")
    assert Path("loud.ae/config.json").read_text() == Path("still.ae/config.json").read_text()
    capsys.readouterr()
    AutoEncoder.load("loud.ae").fit(x)
    assert capsys.readouterr() == ("", "")
    done = subprocess.run(
        [sys.executable, "-m", "codeword.cli", "encode", "loud.ae", "x.npy", "-o", "z.npy", "-q"],
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
