"""Whatever is in a file, a reader gives rows or one line: no traceback, no hang, no gigabyte."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from readers import READERS

HERE = Path(__file__).parent
HANG_SECONDS = 20


@pytest.mark.parametrize("name", READERS)
def test_harmed_inputs_are_read_or_refused(name, effort, figure, tmp_path):
    command = [
        sys.executable,
        str(HERE / "fuzz.py"),
        name,
        "--work",
        str(tmp_path),
        "--hang",
        str(HANG_SECONDS),
    ]
    if effort.share < 1:
        command += ["--seconds", str(effort.seconds(20))]
    command += ["--inputs", "10000"]
    done = subprocess.run(command, capture_output=True, text=True)
    last = (tmp_path / "number").read_text() if (tmp_path / "number").exists() else "(none)"
    if done.returncode < 0:
        pytest.fail(f"input {last} of {name}: the process ended by {signal.Signals(-done.returncode).name}")
    assert done.returncode == 0, f"input {last} of {name}: {done.stderr[-3000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    figure(
        f"harm to {name}",
        f"{found['inputs']:,} inputs",
        f"{found['read']:,} read, {found['refused']:,} refused in one line, {found['failed']} else; "
        f"slowest {found['slowest_seconds']:.2f} s, grown by {found['growth_mb']} MB",
    )
    assert not found["failures"], "\n".join(found["failures"][:10])
    assert found["read"] > 0
    assert found["refused"] > 0
    assert found["slowest_seconds"] < HANG_SECONDS


@pytest.mark.parametrize("name", ["CSV", ".npz", "pictures, PNG", "model folder"])
def test_inputs_that_coverage_leads_to_are_read_or_refused(name, effort, figure, tmp_path):
    pytest.importorskip("atheris", reason="atheris is not installed: no wheel for this machine")
    if effort.share < 1:
        pytest.skip("to follow coverage takes longer than a time box has: scripts/hard --full")
    command = [sys.executable, str(HERE / "guided.py"), name, str(effort.seconds(30)), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    stats = dict(line.split(": ", 1) for line in done.stderr.splitlines() if line.startswith("stat::"))
    inputs = int(stats["stat::number_of_executed_units"])
    covered = [line.split("cov: ")[1].split()[0] for line in done.stderr.splitlines() if "cov: " in line]
    figure(
        f"harm to {name}, guided by coverage",
        f"{inputs:,} inputs",
        f"all read or refused in one line; {covered[-1]} branches reached, {covered[0]} by the first input",
    )
    assert inputs > 100
