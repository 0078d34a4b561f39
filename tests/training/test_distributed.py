"""Several processes find what one finds; tests/slow has them train."""

from contextlib import suppress

import numpy as np
import pytest
import torch

from codeword.base.errors import DataError
from codeword.data.scaling import describe


def test_what_several_processes_see_is_what_one_sees(tmp_path):
    x = np.random.default_rng(0).normal(5, 3, size=(103, 4))
    np.save(tmp_path / "x.npy", x)
    holed = np.where(np.random.default_rng(1).random(x.shape) < 0.3, np.nan, x)
    holed[:60, 2] = np.nan  # of which the first two processes see nothing
    np.save(tmp_path / "holed.npy", holed)
    for name, missing in (("x.npy", False), ("holed.npy", True)):
        rows = np.load(tmp_path / name, mmap_mode="r")
        alone = describe(rows, missing=missing)
        for seen in in_turn(lambda group, r=rows, m=missing: describe(r, missing=m, group=group)):
            assert (seen.low, seen.high) == (alone.low, alone.high)
            np.testing.assert_array_equal(seen.known, np.broadcast_to(alone.known, 4))
            np.testing.assert_allclose(seen.mean, alone.mean, rtol=1e-12)
            np.testing.assert_allclose(seen.variance, alone.variance, rtol=1e-12)
    holed = np.load(tmp_path / "holed.npy", mmap_mode="r")
    with pytest.raises(DataError, match="NaN"):
        in_turn(lambda group: describe(holed, group=group))


@pytest.mark.parametrize("rank", range(3))
def test_every_process_stops_where_one_finds_a_bad_row(tmp_path, rank):
    x = np.zeros((90, 2))
    x[40, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    rows = np.load(tmp_path / "x.npy", mmap_mode="r")
    told = "row 40, column 1" if rank == 1 else "process 1 found rows that nothing can be learned from"
    said = {}
    for one in range(3):
        with suppress(DataError):
            describe(rows, group=Turn(one, 3, said))
    with pytest.raises(DataError, match=told):
        describe(rows, group=Turn(rank, 3, said))


class Turn:
    """A process among several that take turns: its sums have what those before it said."""

    device = torch.device("cpu")

    def __init__(self, rank, size, said):
        self.rank, self.size, self.said = rank, size, said

    def sum(self, values):
        self.said[self.rank] = values.clone()
        values.copy_(sum(self.said.values()))


def in_turn(function):
    """What `function` gives on each of three processes, once all have said theirs."""
    said = {}
    for rank in range(3):
        function(Turn(rank, 3, said))
    return [function(Turn(rank, 3, said)) for rank in range(3)]
