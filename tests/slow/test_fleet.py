"""Encoding on an engine: every row once, whatever dies, and the same codes as in one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store import object_store

from codeword import AutoEncoder, Masked
from codeword.errors import CodewordError, DataError, InputError
from codeword.fleet import encode_parts, engine, job, places, run
from codeword.fleet.encoder import Encoder

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")

ROWS = 300
FILES = 4


def table(n, seed, **more):
    """n rows like those of the shared model, as 64 columns, with a name for each."""
    x = np.random.default_rng(seed).random((n, 64), dtype=np.float32)
    names = [f"p{i}" for i in range(64)]
    columns = dict(zip(names, np.ascontiguousarray(x.T), strict=True))
    return pa.table({**columns, "name": [f"{seed}-{i}" for i in range(n)], **more})


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A folder of four Parquet files of three row groups each."""
    folder = tmp_path_factory.mktemp("rows")
    for i in range(FILES):
        pq.write_table(table(ROWS, i), folder / f"rows{i}.parquet", row_group_size=100)
    return folder


@pytest.fixture
def small_units(monkeypatch):
    """Units of one or two row groups, as files of many have them."""
    monkeypatch.setattr(job, "UNIT_ROWS", 200)


@pytest.fixture(scope="module")
def cluster():
    """A Ray of two CPUs on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray

        with engine._quiet():
            ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def here(monkeypatch):
    """Workers in this process: all of a job but Ray."""

    def in_turn(work, units, pool):
        encoder = Encoder(work, lambda number: 1)
        yield from (encoder.tried(unit) for unit in units)

    monkeypatch.setattr(run, "on_ray", in_turn)


def codes(folder):
    """What a job wrote, in the order of files and rows, each row once."""
    found = pq.read_table(folder).to_pandas()
    found["file"] = found["file"].astype(str)
    assert not found.duplicated(["file", "row"]).any()
    return found.sort_values(["file", "row"], ignore_index=True)


def check_all_there(found, rows, model):
    """Every row of the files once, with the code that it has in one process."""
    ae = AutoEncoder.load(model, device="cpu")
    files = sorted(rows.glob("*.parquet"))
    tables = [pq.read_table(path) for path in files]
    assert found["file"].tolist() == [
        p.name for p, t in zip(files, tables, strict=True) for _ in range(len(t))
    ]
    assert found["row"].tolist() == [i for t in tables for i in range(len(t))]
    x = np.concatenate([np.stack([t[f"p{i}"].to_numpy() for i in range(64)], axis=1) for t in tables])
    np.testing.assert_allclose(found[[f"z{i}" for i in range(5)]].to_numpy(), ae.transform(x), atol=1e-6)


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*")}


# -- on Ray -------------------------------------------------------------------------------------------------


class Dies(Encoder):
    """A worker that is killed with a part in hand, and one that is killed when it has just put it down."""

    def part(self, unit):
        made = super().part(unit)
        self.once(unit, 2)
        return made

    def tried(self, unit):
        told = super().tried(unit)
        self.once(unit, 5)
        return told

    def once(self, unit, number):
        mark = Path(self.work.output.path).with_name(f"killed{number}")
        if unit.number == number and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def test_killed_workers_lose_no_row_and_make_none_twice(
    rows, saved_model, tmp_path, monkeypatch, cluster, small_units
):
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not see this file
    monkeypatch.setattr(engine, "Encoder", Dies)
    told = encode_parts(saved_model, f"{rows}/rows*.parquet", str(tmp_path / "out"), keep=["name"])
    assert told == {"n": 1200, "k": 5, "parts": 8, "written": 8, "found": 0, "retried": 2}
    found = codes(tmp_path / "out")
    check_all_there(found, rows, saved_model)
    assert found["name"].tolist() == [f"{f}-{i}" for f in range(FILES) for i in range(ROWS)]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name for name in names if not name.startswith("part-")] == ["_SUCCESS", "_codeword.json"]
    assert json.loads((tmp_path / "out" / "_SUCCESS").read_text()) == {"rows": 1200, "k": 5, "parts": 8}


def test_a_killed_driver_is_gone_on_from(rows, saved_model, tmp_path, here, do):
    script = (
        "import os, sys\n"
        "from codeword import cli\n"
        "from codeword.fleet import job, run\n"
        "job.UNIT_ROWS = 100\n"
        "on_ray = run.on_ray\n"
        "def dies(*a):\n"
        "    for i, told in enumerate(on_ray(*a)):\n"
        "        i == 1 and os.kill(os.getpid(), 9)\n"
        "        yield told\n"
        "run.on_ray = dies\n"
        "sys.exit(cli.run(sys.argv[1:]))\n"
    )
    (tmp_path / "dies.py").write_text(script)
    out = tmp_path / "out"
    command = ["encode", str(saved_model), f"{rows}/*.parquet", "-o", str(out), "--engine", "ray"]
    command += ["--label-column", "name", "--json"]
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    first = subprocess.run(
        [sys.executable, str(tmp_path / "dies.py"), *command, "--workers", "1"],
        capture_output=True,
        timeout=150,
        env=quiet,
    )
    assert first.returncode == -9, first.stderr
    assert (first.stdout, first.stderr) == (b"", b"")  # Ray says nothing of its own
    before = {}
    while before != (before := stamps(out)):  # a worker outlives its driver for a moment
        time.sleep(1)
    assert 2 <= len(before) < 12
    assert not (out / "_SUCCESS").exists()
    told = json.loads(do(*command))
    assert (told["found"], told["written"]) == (len(before), 12 - len(before))
    after = stamps(out)
    assert {name: after[name] for name in before} == before
    check_all_there(codes(out), rows, saved_model)
    assert json.loads(do(*command))["written"] == 0
    assert stamps(out) == after


# -- a job --------------------------------------------------------------------------------------------------


def test_codes_are_those_of_the_command_without_an_engine(rows, saved_model, tmp_path, monkeypatch, here, do):
    monkeypatch.chdir(tmp_path)
    options = ("--label-column", "name", "--json")
    told = json.loads(do("encode", saved_model, rows, "-o", "out", "--engine", "ray", *options))
    assert told.keys() == {"output", "n", "k", "parts", "written", "found", "retried"}
    do("encode", saved_model, rows, "-o", "codes.npy", *options)
    z = codes("out")[[f"z{i}" for i in range(5)]].to_numpy()
    np.testing.assert_allclose(z, np.load("codes.npy"), atol=1e-6)


def test_bad_rows_are_named_when_the_others_are_done(rows, saved_model, tmp_path, here):
    for path in rows.glob("*.parquet"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    bad = table(ROWS, 1)
    values = bad["p7"].to_numpy().copy()
    values[[211, 250]] = np.nan
    pq.write_table(bad.set_column(7, "p7", [values]), tmp_path / "rows1.parquet")
    source, out = f"{tmp_path}/*.parquet", tmp_path / "out"
    with pytest.raises(
        DataError, match=r"rows1\.parquet: row 211, counted from 0, column 'p7' is empty or NaN"
    ):
        encode_parts(saved_model, source, str(out), keep=["name"])
    before = stamps(out)
    assert len(before) == FILES - 1
    assert not (out / "_SUCCESS").exists()
    # Put right, that file alone is encoded.
    pq.write_table(table(ROWS, 1), tmp_path / "rows1.parquet")
    told = encode_parts(saved_model, source, str(out), keep=["name"])
    assert (told["written"], told["found"]) == (1, 3)
    assert before.items() <= stamps(out).items()
    check_all_there(codes(out), rows, saved_model)


def test_parts_of_another_job_are_not_gone_on_from(rows, saved_model, model, tmp_path, here, refused):
    out, source = tmp_path / "out", f"{rows}/*.parquet"
    encode_parts(saved_model, source, str(out), leave_out=["name"])
    # Every row and every way of telling it apart is the same, and one weight is not.
    other = AutoEncoder.load(saved_model, device="cpu")
    next(other.network_.parameters()).data[0] += 1e-3
    other.save(tmp_path / "other.ae")
    run_ = ("encode", "--engine", "ray", "--label-column", "name", "-o", out)
    assert "holds codes of another model" in refused(*run_, tmp_path / "other.ae", source)
    assert "was begun with other columns to keep" in refused(*run_, saved_model, source, "--keep", "p1")
    assert "rows3.parquet is gone" in refused(*run_, saved_model, f"{rows}/rows[0-2].parquet")
    told = encode_parts(tmp_path / "other.ae", source, str(out), leave_out=["name"], overwrite=True)
    assert (told["written"], told["found"]) == (FILES, 0)
    check_all_there(codes(out), rows, tmp_path / "other.ae")


def test_a_source_that_has_changed_since_it_was_encoded_is_refused(saved_model, tmp_path, here):
    source, out = tmp_path / "a.parquet", tmp_path / "out"
    pq.write_table(table(10, 0), source)
    encode_parts(saved_model, str(source), str(out), leave_out=["name"])
    pq.write_table(table(10, 1), source)
    with pytest.raises(InputError, match=r"a\.parquet has changed; give another output, or --overwrite"):
        encode_parts(saved_model, str(source), str(out), leave_out=["name"])


def test_a_part_that_is_cut_short_is_made_again(rows, saved_model, tmp_path, here):
    out = tmp_path / "out"
    encode_parts(saved_model, f"{rows}/*.parquet", str(out), keep=["name"])
    parts = sorted(out.glob("part-*"))
    parts[0].write_bytes(parts[0].read_bytes()[:-100])
    pq.write_table(pq.read_table(parts[1]).slice(5), parts[1])
    parts[2].unlink()
    (out / "_SUCCESS").unlink()
    (out / f".{parts[2].stem}.01234567.part.parquet").touch()  # left by a worker that was killed
    told = encode_parts(saved_model, f"{rows}/*.parquet", str(out), keep=["name"])
    assert (told["written"], told["found"]) == (3, 1)
    check_all_there(codes(out), rows, saved_model)
    assert not list(out.glob(".*"))


def test_what_else_is_in_the_output_stays(rows, saved_model, tmp_path, here, refused):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    command = ("encode", saved_model, rows, "--engine", "ray", "--label-column", "name", "-o")
    assert "holds 'notes.txt'" in refused(*command, tmp_path / "mine")
    assert "holds 'notes.txt'" in refused(*command, tmp_path / "mine", "--overwrite")
    assert "lies in the source" in refused(*command, rows / "out")


def test_columns_that_do_not_do_are_named_before_anything_is_done(rows, saved_model, tmp_path, here, refused):
    command = ("encode", saved_model, f"{tmp_path}/*.parquet", "--engine", "ray", "-o", tmp_path / "out")
    assert "there is no Parquet file" in refused(*command)
    pq.write_table(table(5, 0), tmp_path / "a.parquet")
    assert "a.parquet: column 'name' holds string values" in refused(*command)
    assert "a.parquet has no column 'id'; its columns: p0, p1," in refused(*command, "--keep", "name,id")
    assert "differ" in refused(*command, "--keep", "name,name")
    pq.write_table(table(5, 0).drop_columns(["p3"]), tmp_path / "b.parquet")
    assert "b.parquet has no column 'p3'" in refused(*command, "--keep", "name")
    (tmp_path / "b.parquet").write_bytes(b"no Parquet at all")
    assert "b.parquet cannot be read as Parquet" in refused(*command, "--keep", "name")
    pq.write_table(table(0, 0), tmp_path / "b.parquet")
    pq.write_table(table(0, 0), tmp_path / "a.parquet")
    assert "there is no row in 2 Parquet files" in refused(*command, "--keep", "name")


def test_options_of_an_engine_need_one(saved_model, refused):
    assert "--workers is for a cluster: add --engine ray" in refused(
        "encode", saved_model, "digits", "--workers", 2
    )
    assert "--engine must be ray. Got 'spark'" in refused("encode", saved_model, "a", "--engine", "spark")
    assert "--size does not go with --engine ray" in refused(
        "encode", saved_model, "a", "--engine", "ray", "--size", "8"
    )


def test_without_ray_there_is_one_line(rows, saved_model, tmp_path, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "ray", None)
    line = refused("encode", saved_model, rows, "--engine", "ray", "-o", tmp_path / "out")
    assert "pip install 'codeword[ray]'" in line


def test_a_cluster_that_is_not_there_is_one_line(rows, saved_model, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise ConnectionError("could not find a cluster\nat all")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", fails)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(CodewordError, match=r"at '10\.0\.0\.1:6379': could not find a cluster$"):
        encode_parts(saved_model, str(rows), str(tmp_path / "out"), keep=["name"])


# -- a worker -----------------------------------------------------------------------------------------------


@pytest.fixture
def encoder(rows, saved_model, tmp_path, monkeypatch):
    """A worker of a job over the four files, and its units."""
    caught = []
    monkeypatch.setattr(run, "on_ray", lambda work, units, pool: caught.extend([work, units]) or [])
    with pytest.raises(CodewordError, match="lacks 4 parts"):
        encode_parts(saved_model, str(rows), str(tmp_path / "out"), leave_out=["name"])
    return Encoder(caught[0], lambda number: 1), caught[1]


def test_a_unit_that_kills_its_workers_is_given_up(encoder):
    worker, units = encoder
    worker.begin = lambda number: 5
    told = worker.tried(units[0])
    assert "4 workers have died on it" in told["error"]
    assert worker.work.output.names().keys() == {"_codeword.json"}


def test_a_store_that_does_not_answer_is_asked_again(encoder, monkeypatch):
    worker, units = encoder
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    fails = [OSError("no route"), OSError("no route")]
    write = places.Place.write

    def flaky(place, name, content):
        if fails:
            raise fails.pop()
        write(place, name, content)

    monkeypatch.setattr(places.Place, "write", flaky)
    assert worker.tried(units[0])["rows"] == ROWS
    fails.extend([OSError("no route")] * 3)
    told = worker.tried(units[1])
    assert "rows1.parquet: no route" in told["error"]
    assert told["blame"] == "system"


def test_columns_come_by_name_and_in_any_order(tmp_path, here):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    frame = pa.table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]})
    ae = AutoEncoder(2, epochs=1, random_state=0).fit(frame.to_pandas())
    ae.save(tmp_path / "m.ae")
    more = frame.append_column("id", [np.arange(200)]).select(["c", "id", "a", "b"])
    pq.write_table(more, tmp_path / "t.parquet")
    encode_parts(
        tmp_path / "m.ae", f"file://{tmp_path}/t.parquet", f"file://{tmp_path}/out", keep=["id", "a"]
    )
    found = codes(tmp_path / "out")
    assert list(found.columns) == ["file", "row", "id", "a", "z0", "z1"]
    np.testing.assert_allclose(found[["z0", "z1"]], ae.transform(frame.to_pandas()), atol=1e-6)
    assert found["a"].tolist() == x[:, 0].tolist()


@pytest.mark.parametrize("shape", [(16,), (4, 4)])
def test_lists_are_rows(tmp_path, here, shape):
    x = np.random.default_rng(0).integers(0, 256, (150, *shape), dtype=np.uint8)
    AutoEncoder(2, epochs=1, random_state=0).fit(x).save(tmp_path / "m.ae")
    column = pa.array(x.tolist(), pa.list_(pa.uint8()) if len(shape) == 1 else pa.list_(pa.list_(pa.uint8())))
    pq.write_table(pa.table({"image": column}), tmp_path / "t.parquet", row_group_size=70)
    encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "out"))
    z = AutoEncoder.load(tmp_path / "m.ae", device="cpu").transform(x)
    np.testing.assert_allclose(codes(tmp_path / "out")[["z0", "z1"]], z, atol=1e-6)
    short = pa.array([*x.tolist()[:-1], x.tolist()[-1][:-1]], column.type)
    pq.write_table(pa.table({"image": short}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="lists of column 'image' differ in length"):
        encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "short"))


def test_mixed_tables_go_through_the_columns_of_the_model(tmp_path, here):
    rng = np.random.default_rng(0)
    frame = pa.table({"size": rng.normal(size=100), "colour": rng.choice(["red", "blue"], 100).tolist()})
    ae = AutoEncoder(2, objective=Masked(missing="mask"), epochs=1, random_state=0).fit(frame)
    ae.save(tmp_path / "m.ae")
    pq.write_table(frame, tmp_path / "t.parquet")
    encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "out"))
    np.testing.assert_allclose(codes(tmp_path / "out")[["z0", "z1"]], ae.transform(frame), atol=1e-6)


# -- places -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.parquet", {"a.parquet", "b.parquet"}),
        ("?.parquet", {"a.parquet", "b.parquet"}),
        ("[!a].parquet", {"b.parquet"}),
        ("**/*.parquet", {"a.parquet", "b.parquet", "in/c.parquet", "in/_d/e.parquet"}),
        ("in/*.parquet", {"c.parquet"}),
        ("i*/*.parquet", {"in/c.parquet"}),
        ("", {"a.parquet", "b.parquet", "in/c.parquet"}),
        ("b.parquet", {"b.parquet"}),
    ],
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_patterns_are_those_of_a_shell(tmp_path, pattern, found, scheme):
    (tmp_path / "in" / "_d").mkdir(parents=True)
    for name in ("a.parquet", "b.parquet", "in/c.parquet", "in/_d/e.parquet", ".f.parquet", "in/g.csv"):
        (tmp_path / name).touch()
    files = places.open_source(f"{scheme}{tmp_path}/{pattern}").files()
    assert {file.path for file in files} == found


def test_a_system_without_atomic_writing_gets_a_name_aside_first(tmp_path):
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    place = places.Place(SubTreeFileSystem(str(tmp_path), LocalFileSystem()), "out")
    place.make()
    place.write("a", b"one")
    place.write("a", b"two")
    assert place.names() == {"a": 3}
    assert place.read("a") == b"two"


def test_an_object_store(rows, saved_model, tmp_path, here):
    with object_store() as (objects, options):
        for path in rows.glob("*.parquet"):
            objects[f"in/rows/{path.name}"] = path.read_bytes()
        reach = ("s3://key:verysecret@in/rows/*.parquet?" + options, f"s3://key:verysecret@out/z/?{options}")
        told = encode_parts(saved_model, *reach, keep=["name"])
        assert (told["n"], told["written"]) == (1200, FILES)
        kept = {name: content for name, content in objects.items() if name.startswith("out/")}
        assert not any(b"verysecret" in content for content in kept.values())
        gone = sorted(name for name in kept if "part-" in name)[1]
        del objects[gone], objects["out/z/_SUCCESS"]
        told = encode_parts(saved_model, *reach, keep=["name"])
        assert (told["found"], told["written"]) == (FILES - 1, 1)
        assert pq.read_table(pa.BufferReader(objects[gone])).equals(
            pq.read_table(pa.BufferReader(kept[gone]))
        )
        (tmp_path / "out").mkdir()
        for name in kept:
            (tmp_path / "out" / Path(name).name).write_bytes(objects[name])
        check_all_there(codes(tmp_path / "out"), rows, saved_model)
        with pytest.raises(DataError, match=r"^s3://in/none/") as caught:
            encode_parts(saved_model, f"s3://key:verysecret@in/none/*.parquet?{options}", reach[1])
        assert "verysecret" not in str(caught.value)
