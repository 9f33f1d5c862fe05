"""The training of one phase: rows in a seeded order, epochs, the best weights, a progress bar."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from tlteach._stages import layers_within
from tlteach._store import read_rows
from tlteach.data import Split


class Batch(NamedTuple):
    """Rows of a step: inputs, labels, what each row counts in the loss (or `None`), and how many are no filling."""

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    count: int


class Rows:
    """Batches of rows, in an order that depends on seed and epoch alone.

    Args:
        x: Array `(n, ...)`, also memory-mapped, or a `Split` whose pictures are read as needed.
        y: Labels `(n,)`.
        batch_size: Rows in a batch.
        seed: Seed of the order; the rows' own order if `None`.
        class_weight: Dict from label to what an example of it counts in the loss; all alike if `None`.
        fill: Whether the last batch is filled up with rows that count nothing: a step is built for
            each shape of batch, and building one may take longer than an epoch. Not for models in which
            rows of a batch see each other; nor with class weights, as then accuracy would be weighted too.
    """

    def __init__(self, x, y, *, batch_size, seed=None, class_weight=None, fill=False):
        self.x, self.y, self.batch_size, self.seed = x, y, batch_size, seed
        self.class_weight, self.fill = class_weight, fill

    def __len__(self):
        return -(-len(self.y) // self.batch_size)

    def epoch(self, number=0):
        """Yield each `Batch` of one epoch; the next is read while one is worked on."""
        if hasattr(self.x, "epoch"):
            self.x.epoch = number
        n = len(self.y)
        order = np.arange(n) if self.seed is None else np.random.default_rng([self.seed, number]).permutation(n)
        chosen = [np.sort(order[i : i + self.batch_size]) for i in range(0, n, self.batch_size)]
        with ThreadPoolExecutor(1) as reader:
            waiting = reader.submit(self._read, chosen[0])
            for following in [*chosen[1:], None]:
                batch = waiting.result()
                waiting = None if following is None else reader.submit(self._read, following)
                yield batch

    def _read(self, rows):
        x, y = self.x._stack(rows) if isinstance(self.x, Split) else read_rows(self.x, rows), self.y[rows]
        if self.fill:
            return filled(x, y, min(self.batch_size, len(self.y)))
        weights = None if self.class_weight is None else np.array([self.class_weight[label] for label in y], "float32")
        return Batch(x, y, weights, len(y))


def filled(x, y, size):
    """Make a batch of some rows, filled up to a size; the loss is the mean over the rows given, as without.

    Args:
        x: `(n, ...)`.
        y: `(n,)`.
        size: Rows of the batch, at least `n`.
    """
    n = len(y)
    places = np.minimum(np.arange(size), n - 1)
    weights = np.where(np.arange(size) < n, size / n, 0)  # Keras divides by the batch's size
    return Batch(x[places] if size > n else x, y[places], weights.astype("float32"), n)


def class_weights(phase, data):
    """Return what an example of each label counts in the training loss; `None` if all count alike.

    Args:
        phase: `Phase`, whose `class_weight` is a dict by class name, `"balanced"` or `None`.
        data: `Splits`.
    """
    wanted, classes = phase.class_weight, data.classes
    if wanted is None:
        return None
    if wanted == "balanced":
        counts = np.bincount(data.train.labels, minlength=len(classes))
        return {label: len(data.train.labels) / (len(classes) * max(n, 1)) for label, n in enumerate(counts)}
    if not isinstance(wanted, dict) or set(wanted) != set(classes):
        raise ValueError(
            f"class_weight must be 'balanced', None or a dict with a weight for each of {', '.join(classes)}. "
            f"Received: {wanted!r}."
        )
    return {classes.index(name): float(weight) for name, weight in wanted.items()}


def train_epochs(part, train, val, callbacks, *, epochs):
    """Train as Keras' `fit` does, one compiled step a batch.

    `fit` now and then returns long after its work is done (its input pipeline sleeps), and cannot
    go on in mid-order: so the loop is here.

    Args:
        part: A compiled model.
        train: `Rows`.
        val: `Rows`.
        callbacks: `keras.callbacks.CallbackList`; its model's `stop_training` ends the loop.
        epochs: Range of epoch numbers.
    """
    callbacks.model.stop_training = False
    callbacks.on_train_begin()
    logs = {}
    for number in epochs:
        seed_dropout(callbacks.model, train.seed, number)
        callbacks.on_epoch_begin(number)
        logs = _mean_logs(part, part.train_on_batch, train.epoch(number), callbacks=callbacks)
        logs |= {f"val_{name}": value for name, value in measure(part, val).items()}
        callbacks.on_epoch_end(number, logs)
        if callbacks.model.stop_training:
            break
    callbacks.on_train_end(logs)


def measure(part, rows):
    """Return loss and accuracy of a compiled model over all rows.

    Args:
        part: A compiled model.
        rows: `Rows`.
    """
    return _mean_logs(part, part.test_on_batch, rows.epoch())


def _mean_logs(part, step, batches, *, callbacks=None):
    """Run a step over the batches; return the mean of its logs, each batch weighted by its size."""
    total, seen = {}, 0
    for number, (x, y, weights, count) in enumerate(batches):
        part.reset_metrics()  # some versions of Keras tell the mean over all batches since the last reset
        if callbacks:
            callbacks.on_train_batch_begin(number)
        logs, seen = step(x, y, sample_weight=weights, return_dict=True), seen + count
        total = {name: total.get(name, 0.0) + float(value) * count for name, value in logs.items()}
        if callbacks:
            callbacks.on_train_batch_end(number, {name: value / seen for name, value in total.items()})
            if callbacks.model.stop_training:
                break
    return {name: value / seen for name, value in total.items()}


def seed_dropout(model, *seed):
    """Begin the random numbers of a model's layers anew, whatever was drawn from them before.

    Args:
        model: The whole model: a layer's place in it decides its draws, so that a cut changes nothing.
        *seed: Integers; those of an epoch, so that a run which goes on draws what it would have drawn.
    """
    within = [inner for layer in model.layers for inner in layers_within(layer)]
    for place, layer in enumerate(within):
        generator = getattr(layer, "seed_generator", None) or getattr(layer, "generator", None)  # dropout, augmentation
        if generator is not None:
            generator._initial_seed = 0  # without any seed, PyTorch would draw from its global numbers
            generator.state.assign(np.random.SeedSequence([*seed, place]).generate_state(2))


class KeepBest(keras.callbacks.Callback):
    """Remember the weights of the best epoch on validation, the beginning included; stop when it has passed.

    Best is the higher accuracy; where that is equal, the lower loss: loss alone also rises when a
    network only grows too sure of what it gets right.

    Args:
        part: The part that is trained.
        phase: The `Phase`, whose `patience` says when to stop, and `keep` whether the best is kept at all.
    """

    def __init__(self, part, phase):
        super().__init__()
        self.part, self.phase, self.rows, self.at = part, phase, [], -1
        self.weights, self.trained = None, False

    def begin(self, measured):
        """Take the phase's beginning as the first best.

        Args:
            measured: Metrics of the part on the validation rows, before a step is taken.
        """
        self.started = time.perf_counter()
        self.best = [measured["accuracy"], -measured["loss"]]
        self.rows.append({"epoch": 0, **{f"val_{k}": v for k, v in measured.items()}, "seconds": 0.0})
        self._remember()

    def on_epoch_end(self, epoch, logs=None):
        self.trained = True
        seconds, rate = time.perf_counter() - self.started, float(self.part.optimizer.learning_rate)
        self.rows.append({"epoch": epoch + 1, **logs, "learning_rate": rate, "seconds": seconds})
        score = [logs["val_accuracy"], -logs["val_loss"]]
        if score > self.best or self.phase.keep == "last":
            self.best, self.at = score, epoch
            self._remember()
        elif epoch - self.at >= self.phase.patience:
            self.model.stop_training = True

    def _remember(self):
        self.weights = [keras.ops.convert_to_numpy(v).copy() for v in self.part.trainable_variables]

    def state(self):
        """What is remembered but for the weights, to be written down."""
        return {"rows": self.rows, "at": self.at, "best": self.best}

    def restore(self, state, weights):
        """Take up what `state` and `weights` were when they were written down."""
        self.rows, self.at, self.best, self.weights = state["rows"], state["at"], state["best"], weights
        self.started = time.perf_counter() - self.rows[-1]["seconds"]

    def put_back(self):
        """Give the model the best weights, if it was not interrupted before there were any."""
        for variable, value in zip(self.part.trainable_variables, self.weights or [], strict=bool(self.weights)):
            variable.assign(value)


class Progress(keras.callbacks.Callback):
    """A bar over a phase's epochs, which appears after two seconds.

    Args:
        phase: The `Phase`.
        done: Epochs of it that are done.
    """

    def __init__(self, phase, done):
        super().__init__()
        self.bar = tqdm(total=phase.epochs, initial=done, desc=phase.name, unit="epoch", delay=2, leave=False)

    def on_epoch_end(self, epoch, logs=None):
        self.bar.update()
        self.bar.set_postfix(val_loss=f"{logs['val_loss']:.3f}", val_accuracy=f"{logs['val_accuracy']:.3f}")

    def on_train_end(self, logs=None):
        self.bar.close()
