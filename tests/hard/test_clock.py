"""Clocks that jump, and files from the future."""

import itertools
import os
import time

import numpy as np
import pytest

from codeword import MLP, AutoEncoder
from codeword.cli.main import run
from codeword.training import checkpoint

DAY = 86_400


class Stop(BaseException):
    pass


def rows():
    return np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)


def made(**more):
    settings = {"network": MLP(hidden=(8,)), "epochs": 8, "random_state": 0, "device": "cpu"}
    return AutoEncoder(3, **settings | more)


@pytest.mark.parametrize(
    "jump", ["back an hour each time", "to and fro", "to 1970", "on by a year each time"]
)
def test_the_time_of_day_may_jump(jump, record, tmp_path, monkeypatch, capsys):
    """Nothing that is measured, kept or shown hangs on it."""
    alone = made().fit(rows())
    calls = itertools.count()
    jumps = {
        "back an hour each time": lambda: 2e9 - 3600 * next(calls),
        "to and fro": lambda: 2e9 + (-1) ** next(calls) * DAY,
        "to 1970": lambda: 0.0,
        "on by a year each time": lambda: 2e9 + 365 * DAY * next(calls),
    }
    monkeypatch.setattr(time, "time", jumps[jump])
    monkeypatch.setattr(checkpoint, "MOST_OF_THE_TIME", 1e9)

    def stop(row):
        if row["epoch"] == 3:
            raise Stop

    with pytest.raises(Stop):
        made(verbose=True).fit(rows(), checkpoint=tmp_path / "run", on_epoch=stop)
    resumed = made(verbose=True).fit(rows(), checkpoint=tmp_path / "run", resume=True)
    monkeypatch.undo()
    err = capsys.readouterr().err
    assert all(0 <= row["seconds"] < 60 for row in resumed.history_)
    for name, tensor in alone.network_.state_dict().items():
        assert tensor.equal(resumed.network_.state_dict()[name])
    record(
        f"the clock jumps {jump} while training stops and resumes",
        f"{len(resumed.history_)} epochs",
        "no negative seconds, the same weights",
    )
    assert "Traceback" not in err


@pytest.mark.parametrize("year", [1970, 2100])
def test_files_may_be_of_any_year(year, record, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=rows())
    made().fit(rows()).save("m.ae")
    with pytest.raises(Stop):
        made().fit(rows(), checkpoint="run", on_epoch=lambda row: (_ for _ in ()).throw(Stop))
    when = (year - 1970) * 365.2425 * DAY
    for path in tmp_path.rglob("*"):
        os.utime(path, (when, when))
    assert len(made().fit(rows(), checkpoint="run", resume=True).history_) == 8
    for words in (["encode", "m.ae", "x.npz", "-o", "z.npz"], ["report", "m.ae", "x.npz", "-o", "r.html"]):
        assert run([*words, "--quiet"]) == 0, capsys.readouterr().err
    record(f"model, data and checkpoint dated {year}", "3 commands", "all done")
