"""What `fine_tune` gives to Keras: rows in a seeded order, the best weights, a progress bar."""

import logging
import time

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from tlteach.data import Split

# Each phase compiles for itself, once and on purpose: TensorFlow's advice against it is not for a learner.
logging.getLogger("tensorflow").addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())


class Rows(keras.utils.PyDataset):
    """Batches of rows, in an order that depends on seed and epoch alone.

    Args:
        x: Array `(n, ...)`, also memory-mapped, or a `Split` whose pictures are read as needed.
        y: Labels `(n,)`.
        batch_size: Rows in a batch.
        seed: Seed of the order; the rows' own order if `None`.
    """

    def __init__(self, x, y, *, batch_size, seed=None):
        super().__init__()
        self.x, self.y, self.batch_size, self.seed, self.epoch = x, y, batch_size, seed, 0
        self._shuffle()

    def __len__(self):
        return -(-len(self.y) // self.batch_size)

    def __getitem__(self, batch):
        chosen = np.sort(self.order[batch * self.batch_size : (batch + 1) * self.batch_size])
        x = self.x._stack(chosen) if isinstance(self.x, Split) else np.asarray(self.x[chosen])
        return x, self.y[chosen]

    def on_epoch_end(self):
        self.epoch += 1
        self._shuffle()

    def _shuffle(self):
        n = len(self.y)
        self.order = (
            np.arange(n) if self.seed is None else np.random.default_rng([self.seed, self.epoch]).permutation(n)
        )


def seed_dropout(model, seed):
    """Begin the random numbers of a model's layers at a seed, whatever was drawn from them before.

    Args:
        model: A flat Keras model.
        seed: The seed.
    """
    for number, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.array([seed, number << 20], "uint32"))


class KeepBest(keras.callbacks.Callback):
    """Remember the weights of the best epoch on validation, the beginning included; stop when it has passed.

    Best is the higher accuracy; where that is equal, the lower loss: loss alone also rises when a
    network only grows too sure of what it gets right.

    Args:
        patience: Epochs without a better validation loss after which training stops.
    """

    def __init__(self, patience):
        super().__init__()
        self.patience, self.rows, self.at = patience, [], -1
        self.weights = None

    @property
    def trained(self):
        """Whether at least one epoch was finished."""
        return len(self.rows) > 1

    def begin(self, model, measured):
        """Take the phase's beginning as the first best.

        Args:
            model: The part that will be trained.
            measured: Its metrics on the validation rows.
        """
        self.started, self.part = time.perf_counter(), model
        self.best = measured["accuracy"], -measured["loss"]
        self.rows.append({"epoch": 0, **{f"val_{k}": v for k, v in measured.items()}, "seconds": 0.0})
        self._remember()

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch + 1, **logs, "seconds": time.perf_counter() - self.started})
        score = logs["val_accuracy"], -logs["val_loss"]
        if score > self.best:
            self.best, self.at = score, epoch
            self._remember()
        elif epoch - self.at >= self.patience:
            self.model.stop_training = True

    def _remember(self):
        self.weights = [keras.ops.convert_to_numpy(v).copy() for v in self.part.trainable_variables]

    def put_back(self):
        """Give the model the best weights, if it was not interrupted before there were any."""
        if self.weights is None:
            return
        for variable, value in zip(self.part.trainable_variables, self.weights, strict=True):
            variable.assign(value)

    def history(self):
        """`pandas.DataFrame`, a row an epoch."""
        return pd.DataFrame(self.rows)


class Progress(keras.callbacks.Callback):
    """A bar over a phase's epochs, which appears after two seconds.

    Args:
        phase: The `Phase`.
    """

    def __init__(self, phase):
        super().__init__()
        self.bar = tqdm(total=phase.epochs, desc=phase.name, unit="epoch", delay=2, leave=False)

    def on_epoch_end(self, epoch, logs=None):
        self.bar.update()
        self.bar.set_postfix(val_loss=f"{logs['val_loss']:.3f}", val_accuracy=f"{logs['val_accuracy']:.3f}")

    def on_train_end(self, logs=None):
        self.bar.close()
