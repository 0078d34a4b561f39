"""Encoding on an engine: every row once, whatever dies, and the same codes as in one process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
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
from codeword.base.errors import CodewordError, DataError, InputError
from codeword.export.fleet import encode_parts, encoder, engine, job, places, run
from codeword.export.fleet.encoder import Encoder

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
    np.testing.assert_allclose(
        found[[f"z{i}" for i in range(5)]].to_numpy(), ae.transform(x), rtol=1e-4, atol=1e-5
    )


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
        "from codeword.cli import main as cli\n"
        "from codeword.export.fleet import job, run\n"
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
    told = json.loads(do("encode", saved_model, rows, "--engine", "ray", *options))
    assert told.keys() == {"output", "n", "k", "parts", "written", "found", "retried"}
    assert told["output"] == "codes"
    do("encode", saved_model, rows, *options)
    z = codes("codes")[[f"z{i}" for i in range(5)]].to_numpy()
    np.testing.assert_allclose(z, np.load("codes.npy"), rtol=1e-4, atol=1e-5)


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
    (out / ".part-000000-0000-0123456789ab.01234567.part.parquet").touch()
    told = encode_parts(tmp_path / "other.ae", source, str(out), leave_out=["name"], overwrite=True)
    assert (told["written"], told["found"]) == (FILES, 0)
    assert not list(out.glob(".*"))
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


def test_a_part_with_a_damaged_end_is_made_again(rows, saved_model, tmp_path, here):
    out = tmp_path / "out"
    encode_parts(saved_model, f"{rows}/*.parquet", str(out), keep=["name"])
    part = min(out.glob("part-*"))
    whole = part.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    part.write_bytes(whole[: -8 - length] + b"\xff" * length + whole[-8:])
    told = encode_parts(saved_model, f"{rows}/*.parquet", str(out), keep=["name"])
    assert (told["written"], told["found"]) == (1, 3)
    assert part.read_bytes() == whole


def test_the_end_is_not_marked_while_a_part_is_missing(rows, saved_model, tmp_path, here, monkeypatch):
    out, source = tmp_path / "out", f"{rows}/*.parquet"
    encode_parts(saved_model, source, str(out), keep=["name"])
    min(out.glob("part-*")).unlink()
    monkeypatch.setattr(run, "on_ray", lambda *_: unanswered(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        encode_parts(saved_model, source, str(out), keep=["name"])
    assert not (out / "_SUCCESS").exists()


def test_a_part_that_a_worker_of_another_job_leaves_late_is_seen(
    rows, saved_model, tmp_path, here, monkeypatch
):
    """Its driver was killed, and --overwrite began anew."""
    out, in_turn = tmp_path / "out", run.on_ray
    late = "part-000000-0000-0123456789ab.parquet"

    def with_another(*given):
        yield from in_turn(*given)
        (out / late).touch()

    monkeypatch.setattr(run, "on_ray", with_another)
    for _ in range(2):
        with pytest.raises(CodewordError, match=f"{late} is no part of this job: remove it"):
            encode_parts(saved_model, str(rows), str(out), keep=["name"])
        assert not (out / "_SUCCESS").exists()
    (out / late).unlink()
    monkeypatch.setattr(run, "on_ray", in_turn)
    assert encode_parts(saved_model, str(rows), str(out), keep=["name"])["found"] == FILES
    assert (out / "_SUCCESS").exists()


@pytest.mark.parametrize("mended", ["right", "empty", "gone"])
def test_a_file_of_several_units_can_be_put_right(saved_model, tmp_path, here, monkeypatch, mended):
    monkeypatch.setattr(job, "UNIT_ROWS", 10)
    source, out = tmp_path / "rows", tmp_path / "out"
    source.mkdir()
    bad = table(30, 1)
    values = bad["p7"].to_numpy().copy()
    values[25] = np.nan
    for i, each in enumerate((table(20, 0), bad.set_column(7, "p7", [values]), table(20, 2))):
        pq.write_table(each, source / f"{i}.parquet", row_group_size=10)
    with pytest.raises(DataError, match=r"1\.parquet: row 25,"):
        encode_parts(saved_model, str(source), str(out), keep=["name"])
    before = stamps(out)
    assert len(before) == 2 + 2 + 2
    if mended == "gone":
        (source / "1.parquet").unlink()
    else:
        pq.write_table(table(30 if mended == "right" else 0, 1), source / "1.parquet", row_group_size=10)
    told = encode_parts(saved_model, str(source), str(out), keep=["name"])
    assert (told["written"], told["found"]) == (3 if mended == "right" else 0, 4)
    assert sum(stamp in before.values() for stamp in stamps(out).values()) == 4
    if mended == "gone":
        # Come back, it is encoded after all; the parts of the others keep their names.
        pq.write_table(table(30, 1), source / "1.parquet", row_group_size=10)
        told = encode_parts(saved_model, str(source), str(out), keep=["name"])
        assert (told["written"], told["found"]) == (3, 4)
    if mended != "empty":
        check_all_there(codes(out), source, saved_model)
    figures = json.loads((out / "_SUCCESS").read_text())
    assert figures == {"rows": told["n"], "k": 5, "parts": told["parts"]}


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_file_that_is_replaced_while_it_is_read_loses_no_row(
    saved_model, tmp_path, here, monkeypatch, when
):
    """By one of as many rows, too."""
    source, out = tmp_path / "rows", tmp_path / "out"
    source.mkdir()
    pq.write_table(table(30, 0), source / "a.parquet")
    in_turn, read = run.on_ray, Encoder.codes

    def replaced(worker, *given):
        pq.write_table(table(30, 1), source / "a.parquet")
        return read(worker, *given)

    def late(*given):
        pq.write_table(table(30, 1), source / "a.parquet")
        yield from in_turn(*given)

    with monkeypatch.context() as patch:
        patch.setattr(*((run, "on_ray", late) if when == "before" else (Encoder, "codes", replaced)))
        with pytest.raises(DataError, match=r"a\.parquet was changed or taken away meanwhile"):
            encode_parts(saved_model, str(source), str(out), keep=["name"])
    assert not stamps(out)
    encode_parts(saved_model, str(source), str(out), keep=["name"])
    check_all_there(codes(out), source, saved_model)


def test_rows_of_another_folder_are_another_job(rows, saved_model, tmp_path, here):
    """Whatever its files are called, and of whatever size and time they are."""
    shutil.copytree(rows, tmp_path / "copy")
    out = str(tmp_path / "out")
    encode_parts(saved_model, str(rows), out, keep=["name"])
    with pytest.raises(InputError, match=r"was begun with the rows of .* and not of .*copy"):
        encode_parts(saved_model, str(tmp_path / "copy"), out, keep=["name"])


def test_columns_to_keep_are_of_one_type(saved_model, tmp_path, here, refused):
    command = ("encode", saved_model, tmp_path / "rows", "--engine", "ray", "--keep", "name,id", "-o")
    (tmp_path / "rows").mkdir()
    pq.write_table(table(2, 0, id=pa.array([1, 2])), tmp_path / "rows" / "a.parquet")
    pq.write_table(table(2, 1, id=pa.array(["1", "b"])), tmp_path / "rows" / "b.parquet")
    line = refused(*command, tmp_path / "out")
    assert "column 'id' holds int64 in" in line
    assert line.index("a.parquet and string in") < line.index("b.parquet")
    names = table(2, 1)["name"].combine_chunks().dictionary_encode()
    pq.write_table(table(2, 1, id=pa.nulls(2)).set_column(64, "name", names), tmp_path / "rows" / "b.parquet")
    encode_parts(saved_model, str(tmp_path / "rows"), str(tmp_path / "out"), keep=["name", "id"])
    assert codes(tmp_path / "out")["name"].tolist() == ["0-0", "0-1", "1-0", "1-1"]


def test_what_else_is_in_the_output_stays(rows, saved_model, tmp_path, here, refused):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    command = ("encode", saved_model, rows, "--engine", "ray", "--label-column", "name", "-o")
    assert "holds 'notes.txt'" in refused(*command, tmp_path / "mine")
    assert "holds 'notes.txt'" in refused(*command, tmp_path / "mine", "--overwrite")
    (tmp_path / "link").symlink_to(rows)
    for inside in (rows / "out", f"{rows}/../{rows.name}/out", tmp_path / "link" / "out"):
        assert "lies in the source" in refused(*command, inside)
    assert "notes.txt is a file: give a folder" in refused(*command, tmp_path / "mine" / "notes.txt")
    (tmp_path / "dates" / "date=1").mkdir(parents=True)
    assert "holds 'date=1/'" in refused(*command, tmp_path / "dates")


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
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(
            CodewordError, match=rf"at '{address}': nothing answers there .*; start that cluster"
        ):
            encode_parts(saved_model, str(rows), str(tmp_path / "out"), keep=["name"])
        other.listen()
        with pytest.raises(CodewordError, match=rf"at '{address}': could not find a cluster$"):
            encode_parts(saved_model, str(rows), str(tmp_path / "out"), keep=["name"])
    monkeypatch.setenv("RAY_ADDRESS", "")
    with pytest.raises(CodewordError, match=r"at 'local': could not find a cluster$"):
        encode_parts(saved_model, str(rows), str(tmp_path / "out"), keep=["name"])


def test_a_gpu_that_is_not_there_is_said_before_anything_is_changed(
    rows, saved_model, tmp_path, monkeypatch, here, refused
):
    out = tmp_path / "out"
    encode_parts(saved_model, str(rows), str(out), keep=["name"])
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    command = ("encode", saved_model, rows, "--engine", "ray", "--keep", "name", "-o", out)
    assert "has no GPU: leave out --gpus" in refused(*command, "--gpus", "0.25", "--overwrite")


def test_workers_that_no_machine_has_room_for_are_one_line(monkeypatch):
    there = [{"Alive": True, "Resources": {"CPU": 3.0}}] * 2 + [{"Alive": False, "Resources": {"CPU": 9.0}}]
    monkeypatch.setattr("ray.nodes", lambda: there)
    assert engine._carried(engine.Pool(cpus=2.0)) == 2, "a worker is on one machine"
    assert engine._carried(engine.Pool(cpus=0.5)) == 12
    with pytest.raises(InputError, match=r"the cluster has no GPU: leave out --gpus"):
        engine._carried(engine.Pool(gpus=0.25))
    with pytest.raises(
        InputError, match=r"to have 4 CPU, and no machine of the cluster has: the most are 3 CPU"
    ):
        engine._carried(engine.Pool(cpus=4.0))
    there.append({"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}})
    assert engine._carried(engine.Pool(gpus=0.25)) == 2


# -- a worker -----------------------------------------------------------------------------------------------


@pytest.fixture
def worker(rows, saved_model, tmp_path, monkeypatch):
    """A worker of a job over the four files, and its units."""
    caught = []
    monkeypatch.setattr(run, "on_ray", lambda work, units, pool: caught.extend([work, units]) or [])
    with pytest.raises(CodewordError, match="lacks 4 parts"):
        encode_parts(saved_model, str(rows), str(tmp_path / "out"), leave_out=["name"])
    return Encoder(caught[0], lambda number: 1), caught[1]


def test_a_unit_that_kills_its_workers_is_given_up_but_for_its_part_being_there(worker):
    worker, units = worker
    worker.begin = lambda number: 5
    told = worker.tried(units[0])
    assert "4 workers have died on it" in told["error"]
    assert worker.work.output.names().keys() == {"_codeword.json"}
    # It was begun anew since a worker died on another unit that it had been handed with it.
    worker.work.output.write(units[0].part, worker.part(units[0]))
    told = worker.tried(units[0])
    assert (told["rows"], told["error"]) == (ROWS, "")


def test_a_store_that_does_not_answer_is_asked_again(worker, monkeypatch):
    worker, units = worker
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
    # What it is asked for of a unit that was begun before, too.
    worker.begin = lambda number: 2
    fails.append(OSError("no route"))
    rows_of = encoder.rows_of
    monkeypatch.setattr(encoder, "rows_of", lambda *a: rows_of(*a) if not fails else unanswered(fails.pop()))
    assert worker.tried(units[2])["rows"] == ROWS


def unanswered(error):
    raise error


def test_rows_of_which_no_codes_come_are_named(saved_model, tmp_path, here, monkeypatch):
    """By their number in the file, and not in the lot that they are read with."""
    monkeypatch.setattr(encoder, "READ_BYTES", 4 * 64 * 40)
    bad = table(100, 0)
    values = bad["p3"].to_numpy().astype(np.float64)
    values[90] = 1e300
    pq.write_table(bad.set_column(3, "p3", [values]), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"a\.parquet: row 90, counted from 0, holds a value as large as 1e\+300"
    ):
        encode_parts(saved_model, str(tmp_path / "a.parquet"), str(tmp_path / "out"), keep=["name"])


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
    np.testing.assert_allclose(found[["z0", "z1"]], ae.transform(frame.to_pandas()), rtol=1e-4, atol=1e-5)
    assert found["a"].tolist() == x[:, 0].tolist()
    words = frame.set_column(1, "b", [["much"] * 200])
    pq.write_table(words, tmp_path / "t.parquet")
    with pytest.raises(DataError, match="column 'b' holds string values: expected numbers; this model takes"):
        encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "words"))


@pytest.mark.parametrize("shape", [(16,), (4, 4)])
def test_lists_are_rows(tmp_path, here, shape):
    x = np.random.default_rng(0).integers(0, 256, (150, *shape), dtype=np.uint8)
    AutoEncoder(2, epochs=1, random_state=0).fit(x).save(tmp_path / "m.ae")
    column = pa.array(x.tolist(), pa.list_(pa.uint8()) if len(shape) == 1 else pa.list_(pa.list_(pa.uint8())))
    pq.write_table(pa.table({"image": column}), tmp_path / "t.parquet", row_group_size=70)
    encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "out"))
    z = AutoEncoder.load(tmp_path / "m.ae", device="cpu").transform(x)
    np.testing.assert_allclose(codes(tmp_path / "out")[["z0", "z1"]], z, rtol=1e-4, atol=1e-5)
    short = pa.array([*x.tolist()[:-1], x.tolist()[-1][:-1]], column.type)
    pq.write_table(pa.table({"image": short}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="lists of column 'image' differ in length"):
        encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "short"))
    flat = x.reshape(150, 16)
    for kind, where in ((pa.list_(pa.uint8()), "lists"), (pa.list_(pa.uint8(), 15), "lists15")):
        alike = pa.table({"image": pa.array(flat[:, :15].tolist(), kind), "id": range(150)})
        pq.write_table(alike, tmp_path / "t.parquet")
        to = (tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / where))
        with pytest.raises(
            DataError,
            match=r"t\.parquet: column 'id' is beside 'image'.* through with --keep, or leave it out",
        ):
            encode_parts(*to)
        with pytest.raises(
            DataError, match=r"t\.parquet: the lists of column 'image' hold 15 numbers.* has 16"
        ):
            encode_parts(*to, leave_out=["id"])
    assert not (tmp_path / "lists15").exists()  # what the file's own types say is said first


def test_mixed_tables_go_through_the_columns_of_the_model(tmp_path, here, monkeypatch):
    rng = np.random.default_rng(0)
    frame = pa.table({"size": rng.normal(size=100), "colour": rng.choice(["red", "blue"], 100).tolist()})
    ae = AutoEncoder(2, objective=Masked(missing="mask"), epochs=1, random_state=0).fit(frame)
    ae.save(tmp_path / "m.ae")
    pq.write_table(frame, tmp_path / "t.parquet")
    encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "out"))
    np.testing.assert_allclose(
        codes(tmp_path / "out")[["z0", "z1"]], ae.transform(frame), rtol=1e-4, atol=1e-5
    )
    sizes = ["1"] * 100
    sizes[77] = "x"
    pq.write_table(frame.set_column(0, "size", [sizes]), tmp_path / "t.parquet")
    monkeypatch.setattr(encoder, "READ_BYTES", 4 * ae.n_features_in_ * 30)
    with pytest.raises(DataError, match=r"t\.parquet: row 77, counted from 0, column 'size' holds 'x'"):
        encode_parts(tmp_path / "m.ae", str(tmp_path / "t.parquet"), str(tmp_path / "bad"))


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


def test_a_name_that_is_there_is_no_pattern(tmp_path):
    for name in ("rows [v2]", "what?"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a*.parquet").touch()
        for source in (tmp_path / name, tmp_path / name / "a*.parquet"):
            assert [file.path for file in places.open_source(str(source)).files()] == ["a*.parquet"]


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text")
def test_a_name_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.parquet")).touch()
    with pytest.raises(DataError, match=r"the name .*\\xff\.parquet is no UTF-8: rename that file"):
        places.open_source(str(tmp_path)).files()


@pytest.mark.parametrize("uri", ["s3://KEY:SECRET@bucket/my rows", "s3://KEY:SEC/RET@bucket/rows"])
def test_secrets_of_an_address_are_not_told(uri):
    for opened in (places.open_place, places.open_source):
        with pytest.raises(InputError, match=r"s3://bucket/.*rows cannot be opened") as caught:
            opened(uri)
        assert not any(word in str(caught.value) for word in ("KEY", "SEC", "RET"))


def test_a_system_without_atomic_writing_gets_a_name_aside_first(tmp_path):
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    place = places.Place(SubTreeFileSystem(str(tmp_path), LocalFileSystem()), "out")
    place.make()
    place.write("a", b"one")
    place.write("a", b"two")
    assert place.names() == {"a": 3}
    assert place.read("a") == b"two"


def test_an_object_store(rows, saved_model, tmp_path, here, do, refused):
    with object_store() as (objects, options):
        for path in rows.glob("*.parquet"):
            objects[f"in/rows/{path.name}"] = path.read_bytes()
        reach = ("s3://key:verysecret@in/rows/*.parquet?" + options, f"s3://key:verysecret@out/z/?{options}")
        told = encode_parts(saved_model, *reach, keep=["name"])
        assert (told["n"], told["written"]) == (1200, FILES)
        kept = {name: content for name, content in objects.items() if name.startswith("out/")}
        assert not any(b"verysecret" in content for content in kept.values())
        said = do("encode", saved_model, reach[0], "-o", reach[1], "--engine", "ray", "--keep", "name")
        assert said.startswith("wrote s3://out/z/?")
        within = ("encode", saved_model, f"s3://key:verysecret@out/?{options}", "--engine", "ray")
        line = refused(*within, "-o", reach[1])
        assert "s3://out/z/" in line
        assert "lies in the source" in line
        assert "verysecret" not in line
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
