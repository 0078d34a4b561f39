import contextlib
import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from codeword import AutoEncoder, load
from codeword.cli.main import run
from codeword.model.signature import parameters

COMMANDS = [
    *("demo", "train", "encode", "decode", "reconstruct", "map", "evaluate", "info"),
    *("score", "sample", "interpolate", "traverse", "neighbors", "compare", "export"),
    *("report", "explore", "push"),
]
TINY = ["-k", "2", "--epochs", "2", "--network", "mlp(hidden=(4,))", "--random-state", "0", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Every command runs in an empty folder, eighty columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(30, 4))


# -- every command ------------------------------------------------------------------------------------------


def test_train_writes_a_model_and_ends_with_one_line_of_json(do):
    lines = do("train", "digits", "-o", "m.ae", *TINY, "--json").splitlines()
    assert len(lines) == 1
    figures = json.loads(lines[0])
    assert figures["model"] == "m.ae"
    assert figures["epochs"] == 2
    assert len(figures["train_loss"]) == len(figures["validation_loss"]) == 2
    assert figures["seconds"] > 0
    assert (figures["n"], figures["k"]) == (1438, 2)
    ae = AutoEncoder.load("m.ae")
    assert [row["train_loss"] for row in ae.history_] == figures["train_loss"]
    assert ae.network.hidden == (4,)


def test_train_tells_a_person_what_came_of_it(do):
    out = do("train", "digits", *TINY).splitlines()
    assert out[0].startswith("epoch 1/2   loss 0.")
    assert "digits.ae: 64 → 2 → 64, trained on 1,438 rows" in out[2]
    assert out[3] == "next: codeword evaluate digits.ae digits"
    assert do("evaluate", "digits.ae", "digits")


def test_quiet_is_quiet(do, saved_model):
    assert do("train", "digits", *TINY, "-q") == ""
    assert do("encode", saved_model, "digits", "-q") == ""


def test_train_takes_every_parameter(do, tmp_path):
    given = {
        "n-components": 3, "network": "mlp", "objective": "reconstruction", "scaling": "standard",
        "epochs": 1, "batch-size": 64, "learning-rate": 1e-3, "schedule": "constant",
        "validation-fraction": 0.2, "patience": 2, "precision": "float32", "device": "cpu", "random-state": 7,
    }  # fmt: skip
    assert {f"--{name}" for name in given} == {p.option for p in parameters()}
    do(
        "train",
        "digits",
        "-o",
        "m.ae",
        *(word for name, value in given.items() for word in (f"--{name}", value)),
    )
    kept = AutoEncoder.load(tmp_path / "m.ae").get_params(deep=False)
    for name, value in given.items():
        if name != "device":
            assert kept[name.replace("-", "_")] == value


def test_a_preset_can_be_varied(do, mnist_5k_csv):
    do("train", mnist_5k_csv, "-o", "m.ae", "--preset", "tutorial", "--epochs", "1", "-k", "4", "-q")
    ae = AutoEncoder.load("m.ae")
    assert (ae.n_components, ae.epochs, ae.batch_size, ae.schedule) == (4, 1, 32, "constant")
    assert ae.network.hidden == (256,)


@pytest.fixture
def mnist_5k_csv(tmp_path):
    images = load("mnist-5k", "test").x[:60].reshape(60, -1)
    pd.DataFrame(images, columns=[f"p{i}" for i in range(784)]).to_csv("pixels.csv", index=False)
    return "pixels.csv"


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
def test_codes_go_out_and_come_back_in_every_format(suffix, do, saved_model, model):
    said = json.loads(
        do("encode", saved_model, "digits", "--split", "test", "-o", f"codes{suffix}", "--json")
    )
    assert said == {"output": f"codes{suffix}", "n": 359, "k": 5}
    x = load("digits", "test").x
    codes = load(f"codes{suffix}").x.astype(np.float32)
    np.testing.assert_array_equal(codes, model.transform(x))
    do("decode", saved_model, f"codes{suffix}", "-o", "rows.npy")
    np.testing.assert_array_equal(np.load("rows.npy"), model.reconstruct(x))
    do("decode", saved_model, f"codes{suffix}", "-o", f"rows{suffix}", "--overwrite")
    rows = load(f"rows{suffix}").x.astype(np.float32)
    np.testing.assert_array_equal(rows.reshape(-1, 8, 8), model.reconstruct(x))


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


def test_reconstruct_pictures_the_samples_that_were_asked_for(do, saved_model):
    said = json.loads(
        do("reconstruct", saved_model, "digits", "--samples", "3,1,200", "-o", "p.png", "--json")
    )
    assert said == {"output": "p.png", "samples": [3, 1, 200]}
    with Image.open("p.png") as image:
        assert image.width > image.height > 100
        assert np.asarray(image.convert("L")).std() > 20
    do("reconstruct", saved_model, "digits", "-o", "p.svg", "-q")
    assert Path("p.svg").read_text().count("<!-- error") == 10


def test_reconstruct_writes_every_row_where_the_output_is_an_array(do, saved_model, model, digits):
    do("reconstruct", saved_model, "digits", "-o", "all.npy")
    np.testing.assert_array_equal(np.load("all.npy"), model.reconstruct(digits.x))


@pytest.mark.parametrize("points", [1, 2, 3, 60])
def test_map_draws_or_writes_points(points, do, saved_model):
    do("map", saved_model, "digits", "--points", points, "-o", "map.png")
    with Image.open("map.png") as image:
        assert min(image.size) > 200
    said = json.loads(
        do("map", saved_model, "digits", "--points", points, "--method", "pca", "-o", "map.csv", "--json")
    )
    assert said["points"] == points
    table = pd.read_csv("map.csv")
    assert list(table.columns) == ["x", "y"]
    assert table.shape == (points, 2)


def test_evaluate_sets_pca_beside_the_model(do, saved_model, model):
    figures = json.loads(do("evaluate", saved_model, "digits", "--json"))
    assert figures.keys() >= {"n", "k", "mse", "pca_mse"}
    assert (figures["n"], figures["k"]) == (359, 5)
    assert figures["mse"] == pytest.approx(-model.score(load("digits", "test").x), rel=1e-5)
    out = do("evaluate", saved_model, "digits")
    assert f"{figures['mse']:.5g}" in out
    assert f"{figures['pca_mse']:.5g}" in out
    assert "digits (test): 359 rows" in out
    assert "PCA" in out.splitlines()[-1]


def test_info_describes_the_model(do, saved_model):
    out = do("info", saved_model)
    assert "samples of 8 × 8 numbers" in out
    assert "Fitted on 300 samples for 3 epochs" in out
    described = json.loads(do("info", saved_model, "--json"))
    assert described["parameters"]["n_components"] == 5
    assert len(described["history"]) == 3


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


# -- the demo -----------------------------------------------------------------------------------------------


@pytest.fixture
def short_demo(monkeypatch):
    monkeypatch.setattr("codeword.cli.demo.TUTORIAL_UPDATES", 1)
    monkeypatch.setattr("codeword.cli.demo.MAP_POINTS", 100)


@pytest.mark.usefixtures("short_demo")
def test_demo_makes_three_things_and_says_what_next(do, refused):
    out = do("demo", "-o", "d")
    assert sorted(os.listdir("d")) == ["map.png", "model.ae", "reconstructions.png"]
    assert AutoEncoder.load("d/model.ae").n_components == 16
    for name in ("d/reconstructions.png", "d/map.png"):
        assert name in out
        with Image.open(name) as image:
            assert min(image.size) > 100
    assert "PCA with 16 components" in out
    assert "codeword demo --dataset mnist -o d-mnist" in out
    assert "d already exists" in refused("demo", "-o", "d")
    figures = json.loads(do("demo", "-o", "d", "--overwrite", "--json"))
    assert figures.keys() >= {"n", "k", "mse", "pca_mse", "train_loss", "seconds", "output"}
    assert (figures["n"], figures["k"]) == (500, 16)


@pytest.mark.usefixtures("short_demo")
def test_a_demo_that_fails_leaves_nothing(monkeypatch, refused):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("codeword.cli.map.map_of", fail)
    assert "No space left" in refused("demo", "-q", code=1)


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
        "short.gz": (gzip.compress(sound)[:-9], "short.gz is cut short"),
        "text.npy": (b"hello, world\n", "text.npy is not a NumPy file: it starts with b'hello,'"),
        "words.csv": (b"a,b\n1,2\n3,four\n", "row 2, column 'b' holds 'four'"),
        "nan.csv": (b"a,b\n1,2\n3,nan\n", "row 2, column 'b' is empty or NaN"),
        "ragged.csv": (b"a,b\n1,2\n3\n", "line 3 has 1 cells, expected 2"),
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
    ("option", "value", "words"),
    [
        ("-k", "0", "--n-components must be a positive integer. Got 0 instead."),
        ("-k", "-3", "--n-components must be a positive integer. Got -3 instead."),
        ("-k", "abc", "--n-components must be a whole number. Got 'abc' instead."),
        ("-k", "1.5", "--n-components must be a whole number. Got '1.5' instead."),
        ("--epochs", "many", "--epochs must be a positive integer or 'auto'. Got 'many' instead."),
        ("--epochs", "0", "--epochs must be a positive integer or 'auto'. Got 0 instead."),
        ("--learning-rate", "fast", "--learning-rate must be a number. Got 'fast' instead."),
        ("--learning-rate", "nan", "--learning-rate must be a positive number"),
        ("--batch-size", "-1", "--batch-size must be a positive integer"),
        ("--scaling", "minmax", "--scaling must be one of auto, pixels, unit, standard, none. Got 'minmax'"),
        ("--scaling", "unit", "use --scaling standard"),
        ("--schedule", "linear", "--schedule must be one of"),
        ("--precision", "float8", "--precision must be one of float32, bfloat16. Got 'float8' instead."),
        ("--validation-fraction", "1", "--validation-fraction must be a number from 0"),
        ("--patience", "x", "--patience must be a whole number"),
        ("--random-state", "-1", "--random-state must be an integer from 0"),
        ("--random-state", "x", "--random-state must be a whole number"),
        ("--device", "gpu", "--device is 'gpu'"),
        ("--network", "mpl", "'mpl' is not one of mlp"),
        ("--network", "mlp(width=3)", "--network takes a name, or name(key=value) such as 'mlp(hidden=(5"),
        ("--network", "mlp(hidden=(0,))", "must be a sequence of positive integers"),
        ("--network", "mlp(hidden=", "--network takes a name"),
        ("--network", "mlp((3,))", "--network takes a name"),
        ("--network", "__import__('os').getcwd()", "--network takes a name"),
        ("--network", "mlp(hidden=open('x'))", "--network takes a name"),
        ("--objective", "best", "'best' is not one of reconstruction"),
        ("--preset", "lecture", "--preset must be one of tutorial. Got 'lecture' instead."),
        ("--split", "half", "half"),
        ("--size", "big", "--size must be a number of pixels, or height x width such as 32x48. Got 'big'"),
        ("--size", "0", "--size must be"),
        ("--size", "3x4x5", "--size must be"),
        ("--size", "-4", "--size must be"),
        ("--label-column", "kind", "label"),
        ("--color", "red", "No such option"),
        ("--output", "no/such/folder/m.ae", "there is no folder no/such/folder; create it first"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(option, value, words, refused, rows):
    np.save("x.npy", rows)
    assert words in refused("train", "x.npy", "-o", "m.ae", *TINY, option, value)


def test_more_numbers_in_a_code_than_in_a_row_are_allowed(do, rows):
    np.save("x.npy", rows)
    do("train", "x.npy", "-o", "m.ae", *TINY, "-k", "9", "-q")
    assert AutoEncoder.load("m.ae").n_components == 9


def test_a_network_larger_than_memory_is_said_in_a_line(refused, rows):
    np.save("x.npy", rows)
    assert "memory" in refused("train", "x.npy", "-o", "m.ae", *TINY, "-k", "9000000000000", code=1)


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
        (["demo", "--dataset", "digits"], "--dataset must be mnist-5k or mnist. Got 'digits' instead."),
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
        (["map", "--method", "magic"], "--method must be one of auto, tsne"),
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


@pytest.mark.parametrize("shape", [(3, 4), (3, 6), (3, 5, 1), (3, 1, 5)])
def test_codes_that_do_not_fit_the_model_are_refused(shape, refused, saved_model):
    np.save("codes.npy", np.zeros(shape, np.float32))
    assert "this model's codes have 5 numbers" in refused("decode", saved_model, "codes.npy")


@pytest.mark.parametrize("command", ["encode", "reconstruct", "map", "evaluate"])
def test_rows_that_are_not_finite_are_refused(command, refused, saved_model):
    x = np.zeros((50, 8, 8), np.float32)
    x[33, 2, 1] = np.nan
    np.save("x.npy", x)
    err = refused(command, saved_model, "x.npy", *(["--samples", "33"] if command == "reconstruct" else []))
    assert "nan" in err.lower()


def test_the_bad_row_is_counted_from_the_files_start(refused, saved_model, monkeypatch):
    x = np.zeros((50, 8, 8), np.float32)
    x[33, 2, 1] = np.nan
    np.save("x.npy", x)
    monkeypatch.setattr(
        "codeword.data.outputs.blocks", lambda x: ((i, np.array(x[i : i + 8])) for i in range(0, 50, 8))
    )
    assert "row 33, position (2, 1)" in refused("encode", saved_model, "x.npy")


def test_codes_that_are_not_finite_are_refused(refused, saved_model):
    np.save("codes.npy", np.full((3, 5), np.inf, np.float32))
    assert "infinity" in refused("decode", saved_model, "codes.npy")


@pytest.mark.parametrize("command", ["info", "evaluate", "encode"])
def test_a_damaged_model_is_named(command, refused, model_folder):
    weights = model_folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    rest = [] if command == "info" else ["digits"]
    assert "weights.safetensors is damaged or cut short" in refused(command, model_folder, *rest)
    assert "there is no model folder here" in refused(command, "missing.ae", *rest)


def test_a_diverging_run_says_what_to_try_and_leaves_no_model(capsys, rows):
    np.save("x.npy", rows)
    wild = "mlp(hidden=(8,), activation='relu', linear_skip=False)"
    code = run(["train", "x.npy", "-o", "m.ae", *TINY, "--network", wild, "--learning-rate", "1e30", "-q"])
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert err.startswith("codeword: error: the loss or the weights were not finite in epoch 1")
    assert "try a learning rate below 1e+30, or --scaling standard" in err
    assert not os.path.exists("m.ae")


def test_ctrl_c_is_no_traceback(capsys, rows, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    np.save("x.npy", rows)
    monkeypatch.setattr("codeword.data.load", interrupt)
    assert run(["train", "x.npy", *TINY]) == 130
    assert capsys.readouterr().err == "codeword: error: interrupted\n"


# -- help ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_shows_an_example(command, do):
    out = do(command, "--help")
    assert f"Example: codeword {command}" in " ".join(out.split())
    assert "--json" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_help_of_train_speaks_of_the_command_line(do):
    out = " ".join(do("train", "--help").split())
    for p in parameters():
        assert p.option in out
    assert "'mlp(hidden=(512, 256))'" in out
    assert "[float32, bfloat16; default: float32]" in out
    for word in ("RandomState", "torch modules", "None", "(encoder, decoder)", "Int.", "Str"):
        assert word not in out


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


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_while_training_ends_in_a_line_and_no_model():
    words = ["-m", "codeword.cli", "train", "digits", *TINY, "--epochs", "100000"]
    with subprocess.Popen(
        [sys.executable, "-u", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has what it starts in the background ignore Ctrl-C, and these tests may be in it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            assert "epoch" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=90)
        finally:
            with contextlib.suppress(OSError):
                process.kill()
    assert process.returncode == 130
    assert "interrupted" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not os.path.exists("digits.ae")


def test_what_to_do_next_can_be_pasted(do, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd"))
    frame.assign(kind=["x", "y"] * 30).to_csv("my rows.csv", index=False)
    out = do("train", "my rows.csv", "-o", "m.ae", "--label-column", "kind", "--epochs", 1, "-k", 4)
    assert "a code of 4 numbers is no smaller than a row of 4" in out
    following = next(line for line in out.splitlines() if line.startswith("next: codeword "))
    do(*shlex.split(following.removeprefix("next: codeword ")))


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
