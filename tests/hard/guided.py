"""Give one reader inputs that reach more and more of its code: atheris. Started by test_fuzz.py.

python tests/hard/guided.py CSV 30 FOLDER     for thirty seconds; what fails is kept in FOLDER
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["codeword", "PIL", "zipfile", "numpy.lib", "safetensors"]):
    from fuzz import GROWTH, attempt, peak, write
    from mutate import change
    from readers import make


def main() -> None:
    name, seconds, work = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    (work / "seeds").mkdir()
    reader = make(name, work / "seeds")
    # An input is one file of a sound case, the others as they are: its first byte says which.
    files = [(case, file) for case in reader.seeds for file in sorted(case)]
    corpus = work / "corpus"
    corpus.mkdir()
    for i, (case, file) in enumerate(files):
        (corpus / str(i)).write_bytes(bytes([i]) + case[file])

    def one(data: bytes) -> None:
        if not data:
            return
        case, file = files[data[0] % len(files)]
        with tempfile.TemporaryDirectory(dir=work) as folder:
            write(case | {file: data[1:]}, Path(folder))
            outcome = attempt(reader, Path(folder), random.Random(0))
        if outcome not in ("read", "refused"):
            raise RuntimeError(outcome)

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if not data or chance.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        return (data[:1] + change(data[1:], chance))[:most]

    limits = [f"-max_total_time={seconds:.0f}", "-timeout=20", f"-rss_limit_mb={(peak() + GROWTH) >> 20}"]
    options = ["-max_len=16384", "-print_final_stats=1", f"-artifact_prefix={work}/", "-seed=1"]
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], one, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
