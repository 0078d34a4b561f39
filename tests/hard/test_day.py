"""A day's worth of epochs in fast motion: the process does not grow, nor slow down, nor fill the disk."""

import json
import subprocess
import sys

DAY_EPOCHS = 86_400
"""An epoch of a second each, for 24 hours."""

RUN = """
import json, os, sys, time
import numpy as np
from codeword import MLP, AutoEncoder
from codeword.training import checkpoint
from codeword.training.checkpoint import Checkpoint
checkpoint.MOST_OF_THE_TIME = 0.5  # many checkpoints, as in epochs of a second
saves, save = [], Checkpoint.save
Checkpoint.save = lambda *words: (saves.append(1), save(*words))
epochs, path = int(sys.argv[1]), sys.argv[2]
x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
page, seen, last = os.sysconf("SC_PAGESIZE"), [], [time.perf_counter()]
every = max(1, epochs // 200)
def on_epoch(row):
    if row["epoch"] % every == 0:
        with open("/proc/self/statm") as file:
            resident = int(file.read().split()[1]) * page
        now = time.perf_counter()
        seen.append((row["epoch"], resident, (now - last[0]) / every))
        last[0] = now
ae = AutoEncoder(2, network=MLP(hidden=(3,)), epochs=epochs, batch_size=32, random_state=0, device="cpu")
ae.fit(x, checkpoint=path, on_epoch=on_epoch)
ae.save(path + ".ae")
sizes = {name: os.path.getsize(os.path.join(path + ".ae", name)) for name in os.listdir(path + ".ae")}
half = [point for point in seen if point[0] > epochs // 2]
slope = np.polyfit([e for e, _, _ in half], [b for _, b, _ in half], 1)[0]
print(json.dumps({
    "slope": slope,
    "sizes": sizes,
    "epochs": len(ae.history_),
    "saved": len(saves),
    "first": float(np.median([s for _, _, s in seen[5:50]])),
    "last": float(np.median([s for _, _, s in seen[-45:]])),
    "grown": seen[-1][1] - seen[len(seen) // 2][1],
    "left": sorted(os.listdir(os.path.dirname(path))),
}))
"""


def test_a_day_of_epochs(effort, record, tmp_path):
    epochs = effort.times(DAY_EPOCHS, least=4_000)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(epochs), str(tmp_path / "run")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    history = found["sizes"]["history.jsonl"] / epochs
    record(
        "a day's epochs in fast motion, with checkpoints",
        f"{found['epochs']:,} epochs",
        f"resident memory over the second half: {found['slope']:+.0f} bytes an epoch, "
        f"{found['grown'] / 2**20:+.1f} MB in all; an epoch takes {1000 * found['first']:.2f} ms at first, "
        f"{1000 * found['last']:.2f} ms at last; {found['saved']} checkpoints; "
        f"history.jsonl {history:.0f} bytes an epoch",
    )
    assert found["epochs"] == epochs
    assert found["saved"] > 1
    # The history itself, which is kept in memory and on disk, has a line for each epoch.
    assert found["slope"] < 2_000
    assert history < 200
    assert found["left"] == ["run.ae"]
    assert found["last"] < 3 * found["first"]
