"""Where a run of `fine_tune` stands, in one file, so that a killed one goes on from its last epoch."""

import contextlib
import hashlib
import json
import os
import sys
import time
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

from tlteach._assets import cache_dir
from tlteach._stages import operations_of

KEPT = True  # false in a process of `compare`: its runs are kept whole or not at all
_SLOW = 0.2  # seconds; what takes longer to write down is not written after every epoch,
_SHARE = 10  # but so that it takes a tenth of the time at most
_WEEK = 7 * 24 * 3600  # seconds after which the file of a run that nobody went on with is deleted


class Checkpoint(keras.callbacks.Callback):
    """A callback that writes down the run after each epoch, and the reader of what it wrote.

    The file belongs to one call: the same weights to begin with, data, phases and seed. So the same
    call made again goes on, and any other begins anew.

    Args:
        model: The whole model, as it is when the call begins.
        path: The file, or `None` to write nothing.
    """

    def __init__(self, model, path):
        super().__init__()
        self.whole, self.path, self.touched, self.not_before = model, path, set(), 0.0
        self.arrays, self.told = _read(path)
        if self.told:
            self._say()
            self._assign("weight", self.whole.weights)
        self.histories, self.plans = self.told.get("histories", []), self.told.get("plans", [])

    @property
    def finished(self):
        """How many phases are done."""
        return len(self.plans)

    def _say(self):
        done, at = len(self.told["plans"]), len(self.told.get("keep", {}).get("rows", [])) - 1
        print(f"fine_tune goes on after phase {done}, epoch {max(at, 0)} of the next one.", file=sys.stderr)

    def begin(self, part, keep, epochs):
        """Take up a phase where it stood.

        Args:
            part: The part that is trained, compiled, its optimizer built.
            keep: Its `KeepBest`.
            epochs: How many there are at most.

        Returns:
            How many epochs of it are done; all, if it had stopped early.
        """
        self.part, self.keep = part, keep
        self.touched |= {id(v) for v in part.trainable_variables}
        if "keep" not in self.told:
            return 0
        self._assign("optimizer", part.optimizer.variables)
        keep.restore(self.told.pop("keep"), [self.arrays[f"best/{i}"] for i in range(len(part.trainable_variables))])
        return epochs if self.told["stopped"] else len(keep.rows) - 1

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() >= self.not_before:
            state = {"keep": self.keep.state(), "stopped": self.model.stop_training}
            arrays = {"optimizer": self.part.optimizer.variables, "best": self.keep.weights}
            self._write(state, arrays)

    def finish_phase(self, history, plan, *, write):
        """Take a phase's rows and plan; write down that it is done, its best weights put back."""
        self.histories.append(history)
        self.plans.append(plan)
        if write:
            self._write({}, {})

    def close(self):
        """Delete the file: the run is done."""
        if self.path:
            self.path.unlink(missing_ok=True)

    def _assign(self, kind, variables):
        for i, variable in enumerate(variables):
            if f"{kind}/{i}" in self.arrays:
                variable.assign(self.arrays[f"{kind}/{i}"])
                self.touched |= {id(variable)} if kind == "weight" else set()

    def _write(self, state, arrays):
        if self.path is None:
            return
        began = time.monotonic()
        told = {"histories": self.histories, "plans": self.plans, **state}
        named = {f"weight/{i}": v for i, v in enumerate(self.whole.weights) if id(v) in self.touched}
        named |= {f"{kind}/{i}": v for kind, values in arrays.items() for i, v in enumerate(values)}
        try:
            _replace(self.path, told, {name: keras.ops.convert_to_numpy(v) for name, v in named.items()})
        except OSError as error:
            warnings.warn(f"the run cannot be written down, and goes on: {error}.", stacklevel=2)
            self.path = None
        took = time.monotonic() - began
        self.not_before = began + (_SHARE * took if took > _SLOW else 0)


def _replace(path, told, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            np.savez(file, told=np.frombuffer(json.dumps(told).encode(), np.uint8), **arrays)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _read(path):
    """Read arrays and what is told; nothing, if there is no whole file."""
    if path is None or not path.exists():
        return {}, {}
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}  # the archive's checksums are looked at here
        return arrays, json.loads(arrays.pop("told").tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        warnings.warn(f"{path.name} is damaged, so this run begins anew.", stacklevel=4)
        return {}, {}


def checkpoint_of(model, data, phases, *, seed, store):
    """Return the `Checkpoint` that belongs to one call of `fine_tune`.

    Args:
        model, data, phases, seed, store: As in `fine_tune`.
    """
    if store is None or not KEPT:
        return Checkpoint(model, None)
    root = (cache_dir() if store == "default" else Path(store)) / "runs"
    _delete_old(root)
    return Checkpoint(model, root / f"{run_key(model, data, phases, seed)}.npz")


def _delete_old(root):
    for path in root.glob("*.npz"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _WEEK:
                path.unlink()


def run_key(model, data, phases, seed):
    """What a run depends on: data, model, phases, seed, backend; 40 characters."""
    parts = [(split.fingerprint, split.labels.tolist()) for split in (data.train, data.val)]
    layers = [(op.name, type(op).__name__) for op in operations_of(model)]
    facts = [parts, layers, [vars(phase) for phase in phases], seed, keras.backend.backend()]
    told = hashlib.blake2b(json.dumps(facts, default=keras.saving.serialize_keras_object).encode(), digest_size=20)
    for array in model.get_weights():
        told.update(np.ascontiguousarray(array))
    return told.hexdigest()
