"""Encoding by Ray Data: every row once, whatever dies, and the same codes as in one process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from codeword import AutoEncoder, Masked
from codeword.base.errors import CodewordError, DataError, InputError

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")

from codeword.export import ray as engine  # noqa: E402
from codeword.export.ray import encode_parts  # noqa: E402

ROWS, FILES = 300, 4


def table(n, seed, **more):
    """n rows like those of the shared model, as 64 columns, with a name for each."""
    x = np.random.default_rng(seed).random((n, 64), dtype=np.float32)
    columns = {f"p{i}": np.ascontiguousarray(x[:, i]) for i in range(64)}
    return pa.table({**columns, "name": [f"{seed}-{i}" for i in range(n)], **more})


def with_cell(rows, name, row, value):
    """The table with another value in one cell."""
    cells = rows[name].to_pylist()
    cells[row] = value
    return rows.set_column(rows.column_names.index(name), name, pa.array(cells))


@pytest.fixture
def rows(tmp_path):
    """A folder of four Parquet files of three row groups each."""
    folder = tmp_path / "rows"
    folder.mkdir()
    for i in range(FILES):
        pq.write_table(table(ROWS, i), folder / f"rows{i}.parquet", row_group_size=100)
    return folder


@pytest.fixture
def here(monkeypatch):
    """Workers in this process: all of a job but Ray, which writes parts and lists as Ray does."""

    def run(base, pieces, encoder, out, workers, gpus, verbose):
        lists = Path(out.path, engine.WRITTEN)
        lists.mkdir(exist_ok=True)
        written = {place for part in lists.glob("*") for place in pq.read_table(part)["position"].to_pylist()}
        start = 1 + max((int(part.stem.split("_")[1]) for part in lists.glob("*")), default=-1)
        columns = list(dict.fromkeys([*encoder.columns, *encoder.kept]))
        for i, piece in enumerate(pieces):
            block = pa.concat_tables(engine.read_rows(base, columns, [piece]))
            block = block.filter(pa.array([place not in written for place in block["position"].to_pylist()]))
            if len(block):
                part = encoder(block)
                name = f"part_{start + i:06}"
                pq.write_table(part, Path(out.path, f"{name}-0.parquet"))
                pq.write_table(part.select(["position"]), lists / f"{name}.parquet")

    monkeypatch.setattr(engine, "_cluster", lambda workers, gpus: contextlib.nullcontext(1))
    monkeypatch.setattr(engine, "_run", run)


def codes(folder):
    """What a job wrote, in the order of the source, each row once."""
    found = pq.read_table(folder).to_pandas().sort_values("position", ignore_index=True)
    assert not found.duplicated(["file", "row"]).any()
    assert found["position"].is_unique
    return found


def check_all_there(out, rows, model):
    """Every row of the files once, with the code that it has in one process."""
    found, files = codes(out), sorted(rows.glob("*.parquet"))
    tables = [pq.read_table(path) for path in files]
    assert found["file"].tolist() == [
        p.name for p, t in zip(files, tables, strict=True) for _ in range(len(t))
    ]
    assert found["row"].tolist() == [i for t in tables for i in range(len(t))]
    x = np.concatenate([np.stack([t[f"p{i}"].to_numpy() for i in range(64)], axis=1) for t in tables])
    z = AutoEncoder.load(model, device="cpu").transform(x)
    np.testing.assert_allclose(found[[f"z{i}" for i in range(5)]].to_numpy(), z, rtol=1e-4, atol=1e-5)


def parts(out):
    return {path.name: path.stat().st_mtime_ns for path in Path(out).glob("*.parquet")}


# -- on Ray, with real kills --------------------------------------------------------------------------------


def dies_once(folder, place):
    """Kill this process, the first time that any process comes to this place."""
    with contextlib.suppress(FileExistsError):
        Path(folder, place).touch(exist_ok=False)
        os.kill(os.getpid(), signal.SIGKILL)


def kills_writers(folder):
    """A function for Ray's processes: one that writes a part dies before, after, and when it is listed."""

    def setup():
        from ray.data.checkpoint.checkpoint_writer import BatchBasedCheckpointWriter as Writer

        begin, commit = Writer.write_pending_checkpoint, Writer.commit_checkpoint

        def begin_part(self, *given, **options):
            pending = begin(self, *given, **options)
            dies_once(folder, "begun")
            return pending

        def commit_part(self, *given):
            dies_once(folder, "written")
            commit(self, *given)
            dies_once(folder, "listed")

        Writer.write_pending_checkpoint, Writer.commit_checkpoint = begin_part, commit_part

    return setup


@pytest.mark.timeout(900)  # processes are started, and each imports torch
def test_killed_workers_lose_no_row_and_make_none_twice(rows, saved_model, tmp_path, monkeypatch):
    killed = tmp_path / "killed"
    killed.mkdir()

    class Dies(engine.Encoder):
        """A worker that is killed with codes in hand."""

        def __call__(self, block):
            made = super().__call__(block)
            dies_once(killed, "encoded")
            return made

    monkeypatch.setattr(engine, "Encoder", Dies)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray import cloudpickle

        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not see this file
        hook = {"worker_process_setup_hook": kills_writers(killed)}
        ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False, runtime_env=hook)
    try:
        told = encode_parts(saved_model, f"{rows}/rows*.parquet", str(tmp_path / "out"), keep=["name"])
    finally:
        ray.shutdown()
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert told == {"n": 1200, "k": 5, "written": 1200}
    assert {path.name for path in killed.iterdir()} == {"encoded", "begun", "written", "listed"}
    check_all_there(tmp_path / "out", rows, saved_model)
    assert codes(tmp_path / "out")["name"].tolist() == [f"{f}-{i}" for f in range(FILES) for i in range(ROWS)]
    assert json.loads((tmp_path / "out" / "_SUCCESS").read_text()) == {"rows": 1200, "k": 5}


DIES = """
import os, sys, threading, time
from pathlib import Path
from ray import cloudpickle
from codeword.cli.main import run
from codeword.export import ray as engine

class Slow(engine.Encoder):
    def __call__(self, block):
        time.sleep(1)
        return super().__call__(block)

def watch(lists):
    while len([path for path in lists.glob("*") if "pending" not in path.name]) < 2:
        time.sleep(0.05)
    os.kill(os.getpid(), 9)

cloudpickle.register_pickle_by_value(sys.modules["__main__"])
engine.Encoder = Slow
threading.Thread(target=watch, args=[Path(sys.argv[1], engine.WRITTEN)], daemon=True).start()
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.timeout(900)
def test_a_killed_driver_is_gone_on_from(rows, saved_model, tmp_path, monkeypatch, do):
    (tmp_path / "dies.py").write_text(DIES)
    out = tmp_path / "out"
    command = ["encode", str(saved_model), f"{rows}/*.parquet", "-o", str(out), "--engine", "ray"]
    command += ["--label-column", "name", "--json"]
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    first = subprocess.run(
        [sys.executable, str(tmp_path / "dies.py"), str(out), *command, "--workers", "1"],
        capture_output=True,
        timeout=300,
        env=quiet,
    )
    assert first.returncode == -9, first.stderr
    assert (first.stdout, first.stderr) == (b"", b"")  # Ray says nothing of its own
    assert not (out / "_SUCCESS").exists()
    # A part on none of Ray's lists, as a worker leaves it that outlives its driver for a moment: Ray by
    # itself keeps it, and its rows are there twice.
    done = min(path.stem for path in (out / engine.WRITTEN).iterdir() if "pending" not in path.name)
    part = out / f"{done}-0.parquet"
    (out / "late_000000-0.parquet").write_bytes(part.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_sweep", lambda *_: None)
        with pytest.raises(CodewordError, match="another job may be writing there"):
            encode_parts(saved_model, f"{rows}/*.parquet", str(out), label_column="name", workers=1)
    assert pq.read_table(out).num_rows == 1200 + pq.read_table(part).num_rows
    assert json.loads(do(*command)) == {"output": str(out), "n": 1200, "k": 5, "written": 0}
    check_all_there(out, rows, saved_model)
    assert (out / "_SUCCESS").exists()


# -- lists and parts ----------------------------------------------------------------------------------------


@pytest.fixture
def written(rows, saved_model, tmp_path, here):
    """The folder of a job that is done."""
    encode_parts(saved_model, str(rows), str(tmp_path / "out"), keep=["name"])
    return tmp_path / "out"


def test_what_lists_and_parts_do_not_agree_on_is_encoded_again(written, rows, saved_model):
    before, lists = parts(written), written / engine.WRITTEN
    (lists / "part_000002.pending.parquet").write_bytes((lists / "part_000002.parquet").read_bytes())
    (written / "part_000004-0.parquet").unlink()
    (lists / "part_000006.parquet").unlink()  # and a part is there, left by a worker of an earlier start
    told = encode_parts(saved_model, str(rows), str(written), keep=["name"])
    assert told["written"] == 300
    check_all_there(written, rows, saved_model)
    gone = {f"part_00000{i}-0.parquet" for i in (2, 4, 6)}
    assert {name: stamp for name, stamp in before.items() if name not in gone}.items() <= parts(
        written
    ).items()


def test_the_end_is_not_marked_while_rows_are_missing(written, rows, saved_model, monkeypatch):
    (written / "part_000004-0.parquet").unlink()
    monkeypatch.setattr(engine, "_run", lambda *_, **__: None)
    with pytest.raises(CodewordError, match=r"has 1,100 rows, and 1,200 were expected"):
        encode_parts(saved_model, str(rows), str(written), keep=["name"])
    assert not (written / "_SUCCESS").exists()


# -- a job --------------------------------------------------------------------------------------------------


def test_codes_are_those_of_the_command_without_an_engine(rows, saved_model, tmp_path, monkeypatch, here, do):
    monkeypatch.chdir(tmp_path)
    told = json.loads(do("encode", saved_model, rows, "--engine", "ray", "--label-column", "name", "--json"))
    assert told == {"output": "codes", "n": 1200, "k": 5, "written": 1200}
    do("encode", saved_model, rows, "--label-column", "name")
    z = codes("codes")[[f"z{i}" for i in range(5)]].to_numpy()
    np.testing.assert_allclose(z, np.load("codes.npy"), rtol=1e-4, atol=1e-5)


def test_a_bad_row_is_named_and_its_file_alone_is_encoded_when_put_right(rows, saved_model, tmp_path, here):
    good, out = pq.read_table(rows / "rows1.parquet"), tmp_path / "out"
    bad = with_cell(with_cell(good, "p7", 211, float("nan")), "p7", 250, float("nan"))
    pq.write_table(bad, rows / "rows1.parquet", row_group_size=100)
    with pytest.raises(
        DataError, match=r"^rows1\.parquet: row 211, counted from 0, column 'p7' is empty or NaN"
    ):
        encode_parts(saved_model, str(rows), str(out), keep=["name"])
    assert not (out / "_SUCCESS").exists()
    before = parts(out)
    pq.write_table(good, rows / "rows1.parquet", row_group_size=100)
    told = encode_parts(saved_model, str(rows), str(out), keep=["name"])
    assert told["written"] == 900  # of that file nothing stays, since other rows may have changed
    check_all_there(out, rows, saved_model)
    assert min(before.items()) in parts(out).items()


def test_a_file_that_is_replaced_meanwhile_is_named_and_encoded_anew(
    rows, saved_model, tmp_path, here, monkeypatch
):
    out, run = tmp_path / "out", engine._run

    def late(*given, **options):
        run(*given, **options)
        pq.write_table(table(ROWS, 9), rows / "rows1.parquet")

    monkeypatch.setattr(engine, "_run", late)
    with pytest.raises(DataError, match=r"rows1\.parquet was changed meanwhile"):
        encode_parts(saved_model, str(rows), str(out), keep=["name"])
    monkeypatch.setattr(engine, "_run", run)
    assert encode_parts(saved_model, str(rows), str(out), keep=["name"])["written"] == ROWS
    check_all_there(out, rows, saved_model)


def test_parts_of_another_job_are_not_gone_on_from(written, rows, saved_model, tmp_path, refused):
    # Every row and every way of telling it apart is the same, and one weight is not.
    other = AutoEncoder.load(saved_model, device="cpu")
    next(other.network_.parameters()).data[0] += 1e-3
    other.save(tmp_path / "other.ae")
    run = ("encode", "--engine", "ray", "-o", written)
    assert "was begun with another model" in refused(*run, tmp_path / "other.ae", rows, "--keep", "name")
    assert "was begun with another columns" in refused(*run, saved_model, rows, "--label-column", "name")
    assert "was begun with another state of rows3.parquet" in refused(
        *run, saved_model, f"{rows}/rows[0-2].parquet", "--keep", "name"
    )
    (tmp_path / "copy").mkdir()
    for path in rows.iterdir():
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    assert "was begun with another source" in refused(*run, saved_model, tmp_path / "copy", "--keep", "name")
    pq.write_table(table(ROWS, 9), rows / "rows1.parquet")
    assert "another state of rows1.parquet: give another output, or --overwrite" in refused(
        *run, saved_model, rows, "--keep", "name"
    )
    told = encode_parts(tmp_path / "other.ae", str(rows), str(written), keep=["name"], overwrite=True)
    assert told["written"] == 1200
    check_all_there(written, rows, tmp_path / "other.ae")


def test_what_else_is_in_the_output_stays(rows, saved_model, tmp_path, refused):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    command = ("encode", saved_model, rows, "--engine", "ray", "--label-column", "name", "-o")
    assert "holds 'notes.txt'" in refused(*command, tmp_path / "mine")
    assert "holds 'notes.txt'" in refused(*command, tmp_path / "mine", "--overwrite")


def test_parts_within_the_source_are_not_taken_for_rows(rows, saved_model, here):
    for _ in range(2):
        encode_parts(saved_model, str(rows), str(rows / "codes"), keep=["name"])
    check_all_there(rows / "codes", rows, saved_model)


def test_columns_to_keep_are_of_one_type(saved_model, tmp_path, here):
    (tmp_path / "rows").mkdir()
    call = (saved_model, str(tmp_path / "rows"), str(tmp_path / "out"))
    pq.write_table(table(2, 0, id=pa.array([1, 2])), tmp_path / "rows" / "a.parquet")
    pq.write_table(table(2, 1, id=pa.array(["1", "b"])), tmp_path / "rows" / "b.parquet")
    with pytest.raises(DataError, match=r"columns to keep are of the same types.*int64.*string"):
        encode_parts(*call, keep=["name", "id"])
    pq.write_table(table(2, 1, id=pa.nulls(2)), tmp_path / "rows" / "b.parquet")
    encode_parts(*call, keep=["name", "id"])
    assert codes(tmp_path / "out")["id"].tolist()[:2] == [1, 2]


def test_columns_that_do_not_do_are_named_before_anything_is_done(saved_model, tmp_path, refused):
    command = ("encode", saved_model, f"{tmp_path}/*.parquet", "--engine", "ray", "-o", tmp_path / "out")
    assert "there is no Parquet file" in refused(*command)
    pq.write_table(table(5, 0), tmp_path / "a.parquet")
    said = refused(*command)
    assert "a.parquet: row 0, counted from 0, column 'name' holds '0-0': expected a number" in said
    assert "a.parquet has no column 'id'; its columns: p0, p1," in refused(*command, "--keep", "id")
    assert "Got 'z7' instead" in refused(*command, "--keep", "z7")
    pq.write_table(table(5, 0).drop_columns(["p3"]), tmp_path / "b.parquet")
    assert "b.parquet has no column 'p3'" in refused(*command, "--keep", "name")
    (tmp_path / "b.parquet").write_bytes(b"no Parquet at all")
    assert "b.parquet cannot be read as Parquet" in refused(*command, "--keep", "name")
    for name in "ab":
        pq.write_table(table(0, 0), tmp_path / f"{name}.parquet")
    assert "there is no row in 2 Parquet files" in refused(*command, "--keep", "name")


def test_names_with_a_comma_are_names(saved_model, tmp_path, here, do):
    named = table(20, 0).rename_columns([*(f"p{i}" for i in range(64)), "name, first"])
    pq.write_table(named.append_column("city, land", [["Bonn"] * 20]), tmp_path / "a.parquet")
    do("encode", saved_model, tmp_path / "a.parquet", "--engine", "ray", "-o", tmp_path / "out",
       "--label-column", "name, first", "--keep", "city, land", "--keep", "city, land")  # fmt: skip
    assert list(codes(tmp_path / "out").columns[:4]) == ["file", "row", "position", "city, land"]


def test_options_of_an_engine_need_one(saved_model, refused):
    assert "--workers is for a cluster: add --engine ray" in refused(
        "encode", saved_model, "digits", "--workers", 2
    )
    assert "'--engine': 'spark' is not one of 'ray'" in refused(
        "encode", saved_model, "a", "--engine", "spark"
    )
    assert "--size does not go with --engine ray" in refused(
        "encode", saved_model, "a", "--engine", "ray", "--size", "8"
    )


# -- Ray that is not there ----------------------------------------------------------------------------------


def test_without_ray_there_is_one_line(rows, saved_model, tmp_path, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "ray", None)
    line = refused("encode", saved_model, rows, "--engine", "ray", "-o", tmp_path / "out")
    assert "pip install 'codeword[ray]'" in line


def test_a_cluster_that_is_not_there_is_one_line(monkeypatch):
    def fails(*_, **__):
        raise ConnectionError("could not find a cluster\nat all")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", fails)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(CodewordError, match=rf"at '{address}': .*refused; start that cluster"):
            engine._cluster(None, 0).__enter__()
        other.listen()
        with pytest.raises(CodewordError, match=rf"at '{address}': could not find a cluster at all; start"):
            engine._cluster(None, 0).__enter__()


def test_workers_that_the_cluster_has_no_room_for_are_one_line(monkeypatch):
    there = {"CPU": 6.0}
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.cluster_resources", lambda: there)
    with engine._cluster(None, 0) as workers:
        assert workers == 4
    with pytest.raises(
        InputError, match=r"6 CPUs, of which 2 read and write, and 0 GPUs.*room for 4 workers"
    ):
        engine._cluster(5, 0).__enter__()
    with pytest.raises(InputError, match=r"0 GPUs, and thus room for 0 workers: ask for fewer .*--gpus"):
        engine._cluster(None, 0.25).__enter__()
    there["GPU"] = 0.5
    with engine._cluster(None, 0.25) as workers:
        assert workers == 2


# -- rows ---------------------------------------------------------------------------------------------------


def test_columns_come_by_name_and_in_any_order(tmp_path, here):
    x = np.random.default_rng(0).normal(size=(200, 3))
    frame = pa.table({"a": x[:, 0], "row": x[:, 1], "c": x[:, 2]})
    ae = AutoEncoder(2, epochs=1, random_state=0).fit(frame.to_pandas())
    ae.save(tmp_path / "m.ae")
    more = frame.append_column("id", [np.arange(200)]).select(["c", "id", "a", "row"])
    pq.write_table(more, tmp_path / "t.parquet", row_group_size=70)
    encode_parts(
        tmp_path / "m.ae", f"file://{tmp_path}/t.parquet", f"file://{tmp_path}/out", keep=["id", "a"]
    )
    found = codes(tmp_path / "out")
    assert list(found.columns) == ["file", "row", "position", "id", "a", "z0", "z1"]
    np.testing.assert_allclose(found[["z0", "z1"]], ae.transform(frame.to_pandas()), rtol=1e-4, atol=1e-5)
    assert found["a"].tolist() == x[:, 0].tolist()


@pytest.mark.parametrize("shape", [(16,), (4, 4)])
def test_lists_are_rows(tmp_path, here, shape):
    x = np.random.default_rng(0).integers(0, 256, (150, *shape), dtype=np.uint8)
    AutoEncoder(2, epochs=1, random_state=0).fit(x).save(tmp_path / "m.ae")
    column = pa.array(x.tolist(), pa.list_(pa.uint8()) if len(shape) == 1 else pa.list_(pa.list_(pa.uint8())))
    pq.write_table(pa.table({"image": column}), tmp_path / "t.parquet", row_group_size=70)
    call = (tmp_path / "m.ae", str(tmp_path / "t.parquet"))
    encode_parts(*call, str(tmp_path / "out"))
    z = AutoEncoder.load(tmp_path / "m.ae", device="cpu").transform(x)
    np.testing.assert_allclose(codes(tmp_path / "out")[["z0", "z1"]], z, rtol=1e-4, atol=1e-5)
    short = pa.array([*x.tolist()[:-1], x.tolist()[-1][:-1]], column.type)
    pq.write_table(pa.table({"image": short}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: row 149, counted from 0, .*(shape|features)"):
        encode_parts(*call, str(tmp_path / "short"))


def test_mixed_tables_go_through_the_columns_of_the_model(tmp_path, here):
    rng = np.random.default_rng(0)
    frame = pa.table({"size": rng.normal(size=100), "color": rng.choice(["red", "blue"], 100).tolist()})
    ae = AutoEncoder(2, objective=Masked(missing="mask"), epochs=1, random_state=0).fit(frame)
    ae.save(tmp_path / "m.ae")
    pq.write_table(frame, tmp_path / "t.parquet")
    encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "out"), keep=["color"])
    found = codes(tmp_path / "out")
    np.testing.assert_allclose(found[["z0", "z1"]], ae.transform(frame), rtol=1e-4, atol=1e-5)
    assert found["color"].tolist() == frame["color"].to_pylist()
    words = frame.set_column(0, "size", [[str(size) for size in frame["size"].to_pylist()]])
    pq.write_table(with_cell(words, "size", 77, "x"), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: row 77, counted from 0, column 'size' holds 'x'"):
        encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "bad"))


# -- sources ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.parquet", {"a.parquet", "b.parquet", ".f.parquet"}),
        ("?.parquet", {"a.parquet", "b.parquet"}),
        ("[!a].parquet", {"b.parquet"}),
        ("**/[a-z].parquet", {"a.parquet", "b.parquet", "in/c.parquet", "in/_d/e.parquet"}),
        ("i*/*.parquet", {"in/c.parquet"}),
        ("", {"a.parquet", "b.parquet", "in/c.parquet"}),
        ("b.parquet", {"b.parquet"}),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_patterns_are_those_of_a_shell(tmp_path, pattern, found, scheme):
    if scheme and set(pattern) & set("?["):
        pytest.skip("they mean something else in a URI")
    (tmp_path / "in" / "_d").mkdir(parents=True)
    for name in ("a.parquet", "b.parquet", "in/c.parquet", "in/_d/e.parquet", ".f.parquet", "in/g.csv"):
        (tmp_path / name).touch()
    output = engine._open(str(tmp_path / "out"))
    _, base, names = engine._find(f"{scheme}{tmp_path}/{pattern}", output)
    assert {f"{base}{name}" for name in names} == {f"{tmp_path}/{name}" for name in found}


def test_a_name_that_is_there_is_no_pattern(tmp_path):
    output = engine._open(str(tmp_path / "out"))
    for name in ("rows [v2]", "what?"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a*.parquet").touch()
        for source in (tmp_path / name, tmp_path / name / "a*.parquet"):
            assert list(engine._find(str(source), output)[2]) == ["a*.parquet"]


@pytest.mark.parametrize("uri", ["s4://KEY:SECRET@bucket/rows", "s3://KEY:SEC/RET@bucket/rows"])
def test_secrets_of_an_address_are_not_told(uri, saved_model, tmp_path):
    for source, output in ((uri, str(tmp_path / "out")), (str(tmp_path), uri)):
        with pytest.raises(InputError, match=r"s\d://bucket/rows cannot be opened") as caught:
            encode_parts(saved_model, source, output)
        assert not any(word in str(caught.value) for word in ("KEY", "SEC", "RET"))
