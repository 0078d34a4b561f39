"""Whatever is in a file, a reader gives rows or one line: no traceback, no hang, no gigabyte."""

import faulthandler
import random
import shutil
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd import harmed_cases
from readers import GROWTH, READERS, attempt, forget_peak, limited_memory, peak, write

HANG_SECONDS = 20


@pytest.mark.parametrize("name", READERS)
def test_every_input_is_read_or_refused(name, effort, record, tmp_path):
    """Sound inputs must be read. Of the others chance decides how many are: that is no fact to test.

    The files of an input that ends the process, or hangs in it, are left in the folder `input` of the test,
    and where it hung in `hung.txt`.
    """
    folder, seeds = tmp_path / "input", tmp_path / "seeds"
    seeds.mkdir()
    reader = READERS[name](seeds)
    outcomes, most, slowest = Counter(), 0, 0.0

    def outcome_of(case, chance):
        nonlocal most, slowest
        if isinstance(case, dict):
            write(case, folder)
        before, began = forget_peak(), time.perf_counter()
        faulthandler.dump_traceback_later(3 * HANG_SECONDS, exit=True, file=hung)
        try:
            outcome = attempt(reader.read, folder if isinstance(case, dict) else case, chance)
        finally:
            faulthandler.cancel_dump_traceback_later()
            shutil.rmtree(folder, ignore_errors=True)
        seconds, growth = time.perf_counter() - began, peak() - before
        assert seconds < HANG_SECONDS
        assert growth < GROWTH, f"the process has grown by {growth >> 20} MB"
        most, slowest = max(most, growth), max(slowest, seconds)
        return outcome

    files = isinstance(reader.seeds[0], dict)
    cases = harmed_cases(reader.seeds) | reader.made if files else reader.made

    @settings(
        max_examples=round(effort.times(10_000) * reader.share), derandomize=effort.share < 1, database=None,
        deadline=None, print_blob=True, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases, st.randoms(note_method_calls=True))
    def every_input(case, chance):
        outcomes[outcome_of(case, chance)] += 1

    with open(tmp_path / "hung.txt", "w") as hung, limited_memory():
        for seed in reader.seeds:
            found = {outcome_of(seed, random.Random(options)) for options in range(20)}
            assert "read" in found, f"a sound input is refused: {str(seed)[:1000]}"
        start = forget_peak()
        every_input()
        assert forget_peak() - start < GROWTH, "many inputs together make the process grow"
    record(
        f"harm to {name}" if files else f"odd {name}",
        f"{outcomes.total():,} inputs",
        f"{outcomes['read']:,} read, {outcomes['refused']:,} refused in one line, 0 else; "
        f"slowest {slowest:.2f} s, grown by {most >> 20} MB",
    )
