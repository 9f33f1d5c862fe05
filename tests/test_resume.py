"""A run that was killed goes on from its last epoch, and ends where an unbroken one does."""

import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT, same, small_backbone, small_splits

import tlteach as tl

RUN = """
import os, signal, sys
import keras, numpy as np
from conftest import small_backbone, small_splits
import tlteach as tl

class Watch(keras.callbacks.Callback):
    epochs = 0
    def on_epoch_begin(self, epoch, logs=None):
        Watch.epochs += 1
        if Watch.epochs == int(sys.argv[2]):
            self.die = True
    def on_train_batch_end(self, batch, logs=None):
        if getattr(self, "die", False):
            os.kill(os.getpid(), signal.SIGKILL)

backbone = small_backbone("vgg16")
keras.utils.set_random_seed(0)
model = tl.attach_head(backbone, 2, dropout=0.3)
phases = [
    tl.Phase("head", epochs=2, batch_size=4, patience=9),
    tl.Phase(["block5", "head"], epochs=3, batch_size=4, schedule="one_cycle", patience=9),
    tl.Phase(["block4", "block5", "head"], epochs=4, batch_size=4, patience=9,
             learning_rate={"block4": 1e-4, "block5": 1e-3, "head": 1e-3}),
]
run = tl.fine_tune(model, small_splits(), phases, callbacks=[Watch()], store=sys.argv[3])
np.savez(sys.argv[1], *model.get_weights())
run.history.drop(columns="seconds").to_csv(sys.argv[1] + ".csv")
print(Watch.epochs)
"""


def started(out, store, *, die=0):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    words = [sys.executable, "-c", RUN, str(out), str(die), str(store)]
    return subprocess.run(words, env=environment, capture_output=True, text=True)


def weights(path):
    with np.load(f"{path}.npz") as file:
        return [file[name] for name in file.files]


def test_killed_in_the_third_phase(tmp_path):
    whole = started(tmp_path / "whole", tmp_path / "a")
    assert whole.returncode == 0 and whole.stdout.split() == ["9"], whole.stderr
    killed = started(tmp_path / "broken", tmp_path / "b", die=8)  # in the third epoch of the third phase
    assert killed.returncode == -signal.SIGKILL and len(list((tmp_path / "b" / "runs").glob("*.npz"))) == 1
    again = started(tmp_path / "broken", tmp_path / "b")
    assert again.stdout.split() == ["2"], again.stderr  # only what was not done
    assert "fine_tune goes on after phase 2, epoch 2 of the next one." in again.stderr
    for a, b in zip(weights(tmp_path / "whole"), weights(tmp_path / "broken"), strict=True):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-6)
    assert not list((tmp_path / "b" / "runs").iterdir())
    assert history(tmp_path / "whole") == history(tmp_path / "broken")


def history(path):
    rows = [line.split(",") for line in path.with_suffix(".csv").read_text().splitlines()]
    return [[cell[:7] if "." in cell else cell for cell in row] for row in rows]


class Stop(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise KeyboardInterrupt


def fresh():
    backbone = small_backbone("vgg16")
    keras.utils.set_random_seed(0)
    return tl.attach_head(backbone, 2)


@pytest.fixture
def interrupted(tmp_path):
    """A run that Ctrl-C ended in its third epoch; what it left in `tmp_path`."""
    run = tl.fine_tune(fresh(), small_splits(), PHASE, callbacks=[Stop(2)], store=tmp_path)
    assert run.interrupted
    return next((tmp_path / "runs").glob("*.npz"))


PHASE = tl.Phase("head", epochs=4, batch_size=4, patience=9)


def test_after_ctrl_c_the_same_call_goes_on(interrupted, tmp_path, capsys):
    run = tl.fine_tune(fresh(), small_splits(), PHASE, store=tmp_path)
    assert "goes on after phase 0, epoch 2" in capsys.readouterr().err
    assert run.history["epoch"].tolist() == [0, 1, 2, 3, 4]
    unbroken = tl.fine_tune(fresh(), small_splits(), PHASE, store=None)
    assert all(
        np.allclose(a, b, atol=1e-6) for a, b in zip(run.model.get_weights(), unbroken.model.get_weights(), strict=True)
    )


@pytest.mark.parametrize("other", [{"seed": 1}, {"phases": tl.Phase("head", epochs=5, batch_size=4, patience=9)}])
def test_another_call_begins_anew(interrupted, tmp_path, capsys, other):
    tl.fine_tune(fresh(), small_splits(), **{"phases": PHASE, "store": tmp_path, **other})
    assert "goes on" not in capsys.readouterr().err and interrupted.exists()


def test_other_weights_or_pictures_begin_anew(interrupted, tmp_path, capsys):
    model = fresh()
    model.get_layer("head").bias.assign([1.0, 2.0])
    tl.fine_tune(model, small_splits(), PHASE, store=tmp_path)
    tl.fine_tune(fresh(), small_splits(train=10), PHASE, store=tmp_path)
    assert "goes on" not in capsys.readouterr().err


def test_a_damaged_file_is_told_and_not_read(interrupted, tmp_path):
    with np.load(interrupted) as file:
        held = file["best/0"].tobytes()
    raw = bytearray(interrupted.read_bytes())
    raw[raw.index(held) + 5] ^= 255
    interrupted.write_bytes(raw)
    with pytest.warns(UserWarning, match=r"is damaged, so this run begins anew\."):
        run = tl.fine_tune(fresh(), small_splits(), PHASE, store=tmp_path)
    unbroken = tl.fine_tune(fresh(), small_splits(), PHASE, store=None)
    assert same(run.model.get_weights(), unbroken.model.get_weights())


def test_a_file_cut_short(interrupted, tmp_path):
    interrupted.write_bytes(interrupted.read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"is damaged, so this run begins anew\."):
        assert len(tl.fine_tune(fresh(), small_splits(), PHASE, store=tmp_path).history) == 5


def test_a_disk_that_cannot_be_written_does_not_stop_training(tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match=r"the run cannot be written down, and goes on: .*exists"):
        run = tl.fine_tune(fresh(), small_splits(), PHASE, store=tmp_path)
    assert len(run.history) == 5


def test_a_finished_run_leaves_nothing(tmp_path):
    tl.fine_tune(fresh(), small_splits(), PHASE, store=tmp_path)
    assert not list((tmp_path / "runs").iterdir())


def test_forgotten_files_are_deleted(interrupted, tmp_path):
    os.utime(interrupted, (0, 0))
    tl.fine_tune(fresh(), small_splits(), PHASE, seed=3, store=tmp_path)
    assert not interrupted.exists()
