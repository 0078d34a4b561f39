"""A run that is stopped, at whatever moment and by whatever, ends with the bytes of one that was not."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from codeword import MLP, AutoEncoder
from codeword.base.errors import InputError, ModelError, TrainingError
from codeword.cli import main as cli
from codeword.model import folder as folders
from codeword.training import checkpoint
from codeword.training.steps import FlatAdam

SETTINGS = {"n_components": 3, "network": MLP(hidden=(8,)), "epochs": 8, "batch_size": 16, "random_state": 4}


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(300, 6)).cumsum(axis=1).astype(np.float32)


class Killed(BaseException):
    """Nothing catches it: what is on disk at that moment is all that is left."""


def kill_after(epochs):
    def on_epoch(row):
        if row["epoch"] == epochs:
            raise Killed

    return on_epoch


def weights(ae):
    return {name: tensor.numpy().tobytes() for name, tensor in ae.network_.state_dict().items()}


@pytest.mark.parametrize("after", [1, 4, 7, 8])
@pytest.mark.parametrize(
    "settings", [{}, {"patience": 3}, {"schedule": "constant", "validation_fraction": 0.0}]
)
def test_a_resumed_run_ends_with_the_same_bytes(x, tmp_path, monkeypatch, after, settings):
    monkeypatch.setattr(checkpoint, "MOST_OF_THE_TIME", 1e9)
    alone = AutoEncoder(**SETTINGS | settings).fit(x)
    stopped = AutoEncoder(**SETTINGS | settings)
    with contextlib.suppress(Killed):
        stopped.fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(after))
    resumed = AutoEncoder(**SETTINGS | settings).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert weights(resumed) == weights(alone)
    drop = [{k: v for k, v in row.items() if k != "seconds"} for row in alone.history_]
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in resumed.history_] == drop
    assert resumed.best_epoch_ == alone.best_epoch_


def test_a_long_epoch_is_kept_in_its_middle(x, tmp_path, monkeypatch):
    alone = AutoEncoder(**SETTINGS).fit(x)
    monkeypatch.setattr(checkpoint, "MOST_OF_THE_TIME", 1e9)
    monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.0)
    saves = []
    save = checkpoint.Checkpoint.save

    def save_and_die(self, state, tensors):
        save(self, state, tensors)
        saves.append((state["epoch"], state["batch"]))
        if saves[-1] == (2, 5):
            raise Killed

    monkeypatch.setattr(checkpoint.Checkpoint, "save", save_and_die)
    with pytest.raises(Killed):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run")
    resumed = AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert weights(resumed) == weights(alone)
    assert resumed.history_[2]["train_loss"] == alone.history_[2]["train_loss"]


@pytest.mark.parametrize("objective", ["reconstruction", "variational", "nested", "denoising"])
@pytest.mark.parametrize("shape", [(100, 13, 7), (90, 5, 11)])
def test_odd_shapes_resume_within_an_epoch_to_the_same_bytes(tmp_path, monkeypatch, objective, shape):
    """A product's last digits depend on where in memory a batch begins: resumed batches begin there too."""
    n, d, batch = shape
    x = np.random.default_rng(1).normal(size=(n, d)).astype(np.float32)
    settings = {"n_components": 3, "network": MLP((5,), linear_skip=False), "epochs": 3, "batch_size": batch}
    settings |= {"objective": objective, "random_state": 0, "validation_fraction": 0.0}
    alone = AutoEncoder(**settings).fit(x)
    monkeypatch.setattr(checkpoint, "MOST_OF_THE_TIME", 1e9)
    monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.0)
    save = checkpoint.Checkpoint.save

    def save_and_die(self, state, tensors):
        save(self, state, tensors)
        if (state["epoch"], state["batch"]) == (1, 3):
            raise Killed

    monkeypatch.setattr(checkpoint.Checkpoint, "save", save_and_die)
    with pytest.raises(Killed):
        AutoEncoder(**settings).fit(x, checkpoint=tmp_path / "run")
    monkeypatch.setattr(checkpoint.Checkpoint, "save", save)
    resumed = AutoEncoder(**settings).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert weights(resumed) == weights(alone)


def test_modules_in_evaluation_mode_are_trained_and_resume_alike(x, tmp_path):
    def modules():
        torch.manual_seed(0)
        encoder = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3))
        return encoder.eval(), torch.nn.Linear(3, 6).eval()

    settings = {
        "n_components": 3,
        "epochs": 4,
        "batch_size": 30,
        "random_state": 0,
        "validation_fraction": 0.0,
    }
    alone = AutoEncoder(network=modules(), **settings).fit(x)
    assert int(alone.network_.encoder[1].num_batches_tracked) == 40
    with pytest.raises(Killed):
        AutoEncoder(network=modules(), **settings).fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(1))
    resumed = AutoEncoder(network=modules(), **settings).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert weights(resumed) == weights(alone)
    other = (torch.nn.Linear(6, 3), torch.nn.Linear(3, 6))
    with pytest.raises(Killed):
        AutoEncoder(network=modules(), **settings).fit(
            x, checkpoint=tmp_path / "again", on_epoch=kill_after(1)
        )
    with pytest.raises(InputError, match="modules"):
        AutoEncoder(network=other, **settings).fit(x, checkpoint=tmp_path / "again", resume=True)


def test_an_interrupted_runs_checkpoint_outlives_a_save(x, tmp_path):
    def on_epoch(row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        ae = AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", on_epoch=on_epoch)
    ae.save(tmp_path / "partial.ae")
    resumed = AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert weights(resumed) == weights(AutoEncoder(**SETTINGS).fit(x))


def test_overwriting_does_not_throw_a_stopped_run_away(x, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x)
    with pytest.raises(Killed):
        AutoEncoder(**SETTINGS).fit(x, checkpoint="x.ae.checkpoint", on_epoch=kill_after(1))
    assert cli.run(["train", "x.npy", "--overwrite", "-q"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "x.ae.checkpoint").exists()


def test_divergence_in_the_very_last_update_is_noticed(x):
    ae = AutoEncoder(3, epochs=1, batch_size=300, learning_rate=1e30, schedule="constant", random_state=0)
    with pytest.raises(TrainingError, match="not finite"):
        ae.fit(x)


def test_patience_without_held_out_rows_does_not_stop_training(x):
    ae = AutoEncoder(**SETTINGS | {"patience": 2, "validation_fraction": 0.0}).fit(x)
    assert len(ae.history_) == 8


def test_a_checkpoint_is_a_model_that_opens(x, tmp_path):
    with pytest.raises(Killed):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(1))
    ae = AutoEncoder.load(tmp_path / "run")
    assert len(ae.history_) == 1
    assert ae.transform(x).shape == (300, 3)


def test_a_drawn_seed_is_taken_up_again(x, tmp_path):
    settings = SETTINGS | {"random_state": None}
    with pytest.raises(Killed):
        AutoEncoder(**settings).fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(1))
    seed = json.loads((tmp_path / "run" / "config.json").read_text())["seed"]
    resumed = AutoEncoder(**settings).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert resumed.seed_ == seed
    assert weights(resumed) == weights(AutoEncoder(**settings | {"random_state": seed}).fit(x))


def test_other_parameters_or_other_data_are_refused_by_name(x, tmp_path):
    with pytest.raises(Killed):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(1))
    with pytest.raises(InputError, match=r"learning_rate = 0.004, and this run has 0.01"):
        AutoEncoder(**SETTINGS | {"learning_rate": 0.01}).fit(x, checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(InputError, match=r"random_state|seed = 4, and this run has 5"):
        AutoEncoder(**SETTINGS | {"random_state": 5}).fit(x, checkpoint=tmp_path / "run", resume=True)
    other = x.copy()
    other[7, 2] += 1
    with pytest.raises(InputError, match="data"):
        AutoEncoder(**SETTINGS).fit(other, checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(InputError, match="resume=True"):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run")


@pytest.mark.parametrize("name", ["training.json", "training.safetensors"])
@pytest.mark.parametrize("cut", [0, 1, 20])
def test_a_checkpoint_that_was_cut_is_a_clear_error(x, tmp_path, name, cut):
    with pytest.raises(Killed):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(1))
    file = tmp_path / "run" / name
    file.write_bytes(file.read_bytes()[: -cut or 0])
    with pytest.raises(ModelError, match=r"damaged .*delete it and train from the start") as error:
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["training.json", "training.safetensors"])
def test_a_checkpoint_with_another_digit_is_a_clear_error(x, tmp_path, name):
    """Weights would go on from any bits: it takes a checksum to notice."""
    with pytest.raises(Killed):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(1))
    file = tmp_path / "run" / name
    content = bytearray(file.read_bytes())
    place = content.index(b'"seconds": ') + 11 if name == "training.json" else len(content) - 3
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged \(its checksum is another"):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda kept, tensors: kept.pop("settings"),
        lambda kept, tensors: kept.pop("state"),
        lambda kept, tensors: kept.update(state=[]),
        lambda kept, tensors: kept["state"].pop("batch"),
        lambda kept, tensors: tensors.pop("random"),
        lambda kept, tensors: tensors.update(random=torch.zeros(3)),
        lambda kept, tensors: tensors.pop(next(name for name in tensors if name.startswith("optimizer."))),
        lambda kept, tensors: tensors.update({"best.other": torch.zeros(3)}),
        lambda kept, tensors: tensors.update({"buffer.other": torch.zeros(3)}),
        None,
    ],
)
def test_a_checkpoint_of_another_version_is_a_clear_error(x, tmp_path, change):
    """Its checksum is right, or there is none, and what it holds is not what this version keeps."""
    with pytest.raises(Killed):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(1))
    file, packed = tmp_path / "run" / "training.json", tmp_path / "run" / "training.safetensors"
    kept, tensors = json.loads(file.read_text("utf-8")), load_file(packed)
    del kept["checksum"]
    if change is not None:
        change(kept, tensors)
        packed.write_bytes(save(tensors))
        kept["checksum"] = checkpoint.digest(json.dumps(kept).encode(), packed.read_bytes())
    file.write_text(json.dumps(kept), "utf-8")
    said = r"was written by another version of codeword .*delete it and train from the start"
    with pytest.raises(ModelError, match=said) as error:
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert "\n" not in str(error.value)


def test_no_memory_to_resume_is_no_damage(x, tmp_path, monkeypatch):
    with pytest.raises(Killed):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(1))

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(FlatAdam, "restore", full)
    with pytest.raises(torch.OutOfMemoryError):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", resume=True)


def test_a_full_disk_keeps_the_checkpoint_before(x, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "MOST_OF_THE_TIME", 1e9)
    alone = AutoEncoder(**SETTINGS).fit(x)
    write = folders.write_folder

    def full(path, folder, **more):
        if len(folder.history) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, folder, **more)

    monkeypatch.setattr(folders, "write_folder", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*make room, then resume"):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run")
    monkeypatch.setattr(folders, "write_folder", write)
    assert len(AutoEncoder.load(tmp_path / "run").history_) == 3
    resumed = AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert weights(resumed) == weights(alone)


def test_a_kill_between_the_two_renames_loses_nothing(x, tmp_path):
    with pytest.raises(Killed):
        AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", on_epoch=kill_after(1))
    (tmp_path / "run").rename(tmp_path / ".run.0123abcd.old")
    (tmp_path / ".run.99999999.part").mkdir()
    resumed = AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run", resume=True)
    assert weights(resumed) == weights(AutoEncoder(**SETTINGS).fit(x))
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_save_takes_the_checkpoint_away(x, tmp_path):
    ae = AutoEncoder(**SETTINGS).fit(x, checkpoint=tmp_path / "run")
    assert (tmp_path / "run").exists()
    ae.save(tmp_path / "model.ae")
    assert [p.name for p in tmp_path.iterdir()] == ["model.ae"]


def test_ctrl_c_in_python_gives_a_fitted_estimator_and_a_warning(x):
    def on_epoch(row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after 3 of 8 epochs"):
        ae = AutoEncoder(**SETTINGS).fit(x, on_epoch=on_epoch)
    assert len(ae.history_) == 3
    assert ae.transform(x).shape == (300, 3)
    assert torch.get_num_threads() >= 1


def test_the_command_line_survives_a_real_kill(tmp_path, capsys):
    train = [
        "train",
        "mnist-5k",
        "--network",
        "mlp(hidden=(32,))",
        "--epochs",
        "40",
        "--random-state",
        "1",
        "-q",
    ]
    assert cli.run([*train, "-o", str(tmp_path / "alone.ae")]) == 0
    output = tmp_path / "stopped.ae"
    kept = tmp_path / "stopped.ae.checkpoint" / "training.json"
    process = subprocess.Popen([sys.executable, "-m", "codeword.cli", *train, "-o", str(output)])
    for _ in range(6000):
        time.sleep(0.02)
        if process.poll() is not None or kept.exists():
            break
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not output.exists()
    assert cli.run([*train, "-o", str(output)]) == 2
    assert cli.run([*train, "-o", str(output), "--resume"]) == 0
    alone, resumed = ((p / "weights.safetensors").read_bytes() for p in (tmp_path / "alone.ae", output))
    assert resumed == alone
    # A job that is started again and again comes to an end, and is not told that it failed.
    assert cli.run([*train, "-o", str(output), "--resume"]) == 0
    assert cli.run([*train, "-k", "4", "-o", str(output), "--resume"]) == 2
    assert "stopped.ae is trained already, with --n-components 16: choose another" in capsys.readouterr().err
    assert (output / "weights.safetensors").read_bytes() == alone
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone.ae", "stopped.ae"]
