"""Models that earlier revisions wrote: they open, and give the codes that they gave then.

tests/hard/data holds what each wrote, and the codes of eight digits beside it; made.txt says which they are.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from codeword import AutoEncoder
from codeword.base.errors import ModelError
from codeword.model.folder import FORMAT

DATA = Path(__file__).parent / "data"
READABLE = sorted(path.parent for path in DATA.glob("format*/config.json"))


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images[:8] / 16).astype(np.float32)


@pytest.mark.parametrize("folder", READABLE, ids=lambda path: path.name)
def test_a_model_of_an_earlier_revision_gives_its_codes(folder, digits, record):
    ae = AutoEncoder.load(folder, device="cpu")
    with np.load(DATA / f"{folder.name}.npz") as then:
        codes = np.abs(ae.transform(digits) - then["codes"]).max()
        rows = np.abs(ae.reconstruct(digits) - then["rows"]).max()
    record(
        f"a model folder of an earlier revision, {folder.name}",
        "8 rows",
        f"opens; codes differ by at most {codes:.1g}, reconstructions by {rows:.1g}",
    )
    assert codes < 1e-5
    assert rows < 1e-5


def test_a_later_format_asks_for_an_upgrade(record, tmp_path):
    folder = tmp_path / "later"
    folder.mkdir()
    for path in READABLE[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format": FORMAT + 1}))
    with pytest.raises(ModelError, match="upgrade"):
        AutoEncoder.load(folder)
    record("a model folder of a later format", "once", "refused in one line, which says to upgrade")


def test_the_first_commit_is_refused_by_name(record):
    """Nobody but its author had it: the parameters that its folders lack came on the same day."""
    with pytest.raises(ModelError, match="missing \\['dropout', 'norm', 'tied'\\]"):
        AutoEncoder.load(DATA / "refused-77b244e")
    record("a model folder of the first commit", "once", "refused in one line, which names what it lacks")
