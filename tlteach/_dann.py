"""Domain-adversarial training: a layer that reverses the gradient, and the remedy that it makes."""

from dataclasses import dataclass

import keras
import numpy as np

from tlteach._domains import labelled, unlabelled


@keras.saving.register_keras_serializable(package="tlteach")
class GradientReversal(keras.layers.Layer):
    """Identity forwards; the gradient is multiplied by minus a factor that grows from 0 to `strength`.

    The factor after a share p of the steps is `strength * (2 / (1 + exp(-10 p)) - 1)`: while features
    still mean nothing, the domain head must not pull at them. The layer counts the steps itself.
    A sum of which one part has no gradient does it, so every Keras backend can.

    Args:
        strength: The factor at the end of training.
        steps: Batches in the whole training; 0 for the full strength from the start.
        **options: Passed to `keras.layers.Layer`.

    Reference:
        Ganin et al. 2016, Domain-adversarial training of neural networks, section 5.2.2.
    """

    def __init__(self, strength=1.0, *, steps=0, **options):
        super().__init__(**options)
        self.strength, self.steps = float(strength), int(steps)
        self.done = self.add_weight(shape=(), initializer="zeros", trainable=False, name="done")

    def call(self, inputs, training=False):
        share = self.done / max(self.steps, 1) if self.steps else keras.ops.ones(())
        factor = self.strength * (2 / (1 + keras.ops.exp(-10.0 * share)) - 1) if self.steps else self.strength
        if training:
            self.done.assign_add(1.0)
        kept = keras.ops.stop_gradient(inputs)
        return kept - factor * (inputs - kept)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "strength": self.strength, "steps": self.steps}


@dataclass(frozen=True)
class Dann:
    """Train a small network on features that tells the classes apart, but not the domains.

    A second head tries to tell source from target; its gradient is reversed on the way to the hidden
    layer, which learns to hide what it looks for. It takes for granted that classes lie alike in both
    once the domains are mixed: with other class frequencies, or a shift that can be matched in
    several ways, the wrong classes may be laid on each other, and nothing without target labels says so.

    Attributes:
        units: Width of the hidden layer.
        strength: How much the reversed gradient counts at the end; 0 trains on the source alone, the
            network to compare with.
        epochs: Passes over the data.
        learning_rate: Of Adam.
        batch_size: Rows in a batch, about half of them of the target.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> random = np.random.default_rng(0)
        >>> y = np.arange(60) % 2
        >>> x = random.normal(size=(60, 2)) + 4 * y[:, None]
        >>> tl.Dann(units=4, epochs=2).fit((x, y), x + 1).output_shape
        (None, 2)

    Reference:
        Ganin et al. 2016, Domain-adversarial training of neural networks.
    """

    units: int = 64
    strength: float = 1.0
    epochs: int = 100
    learning_rate: float = 1e-2
    batch_size: int = 64

    def fit(self, source, target, *, seed=0):
        """Return a `keras.Model` from features to probabilities.

        Args:
            source: `(x, y)`: features `(n, features)` and labels `(n,)`, integers from 0.
            target: Features `(m, features)`, without labels.
            seed: Seed of the weights and of the order.

        Side effects:
            Sets Keras' random seed.
        """
        x, y = labelled(source)
        target = unlabelled(target, like=x)
        keras.utils.set_random_seed(seed)
        rows, truth, weights = _both(x, y, target)
        steps = self.epochs * -(-len(rows) // self.batch_size)
        whole, classifier = self.networks(rows, int(y.max()) + 1, steps)
        whole.compile(
            keras.optimizers.Adam(self.learning_rate), ["sparse_categorical_crossentropy", "binary_crossentropy"]
        )
        whole.fit(rows, truth, sample_weight=weights, batch_size=self.batch_size, epochs=self.epochs, verbose=0)
        return classifier

    def networks(self, rows, classes, steps):
        """Return the network with both heads, and the one with the classes alone; they share their layers.

        Args:
            rows: Features of both domains, `(n, features)`, which tell mean and scale.
            classes: How many classes.
            steps: Batches over which the reversal grows.
        """
        features = keras.Input((rows.shape[1],), name="features")
        variance = np.maximum(rows.var(0), 1e-12)
        x = keras.layers.Normalization(mean=rows.mean(0).tolist(), variance=variance.tolist(), name="scale")(features)
        x = keras.layers.Dense(self.units, "sigmoid", name="hidden")(x)
        label = keras.layers.Dense(classes, "softmax", name="head")(x)
        domain = GradientReversal(self.strength, steps=steps, name="reversal")(x)
        domain = keras.layers.Dense(1, "sigmoid", name="domain")(domain)
        return keras.Model(features, [label, domain]), keras.Model(features, label, name="dann")


def _both(x, y, target):
    """Rows of both domains, as many of each; labels and domains; weights, as the target has no labels to learn from."""
    n = max(len(x), len(target))
    mine, theirs = np.arange(n) % len(x), np.arange(n) % len(target)
    rows = np.vstack([x[mine], target[theirs]]).astype("float32")
    domain = np.repeat([0.0, 1.0], n)[:, None].astype("float32")
    truth = [np.append(y[mine], np.zeros(n, int)), domain]
    return rows, truth, [np.repeat([2.0, 0.0], n).astype("float32"), np.ones(2 * n, "float32")]
