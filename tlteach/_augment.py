"""Pictures changed at random, and the same again for the same seed."""

import hashlib
import json

import keras
import numpy as np

from tlteach.data import Split


class Augmented(Split):
    """A split whose pictures are changed at random by Keras layers, each time in the same way.

    Args:
        split: `Split` with a size.
        augment: Keras layer, or `Sequential` of them, on pictures in 0..255.
        seed: What the draws depend on, a list of integers.
    """

    def __init__(self, split, augment, seed):
        super().__init__(split.pictures, split.table, split.classes, size=split.size, batch_size=split.batch_size)
        self.augment, self.seed = augment, seed

    def sized(self, size, *, batch_size=None):
        return Augmented(super().sized(size, batch_size=batch_size), self.augment, self.seed)

    @property
    def fingerprint(self):
        told = json.dumps([super().fingerprint, self.seed, keras.saving.serialize_keras_object(self.augment)])
        return hashlib.sha256(told.encode()).hexdigest()

    def _stack(self, rows):
        first = int(next(iter(rows), 0))
        return augmented(super()._stack(rows), self.augment, [*self.seed, first])


def augmented(pictures, augment, seed):
    """Change a batch at random.

    Args:
        pictures: `(n, height, width, 3)`, float32 in 0..255.
        augment: Keras layer, or `Sequential` of them.
        seed: List of integers; the same list, the same pictures.
    """
    for number, layer in enumerate([augment, *getattr(augment, "layers", [])]):
        generator = getattr(layer, "generator", None) or getattr(layer, "seed_generator", None)
        if generator is not None:
            state = np.random.SeedSequence([*seed, number]).generate_state(2)
            generator.state.assign(state.astype(generator.state.dtype))
    return np.clip(keras.ops.convert_to_numpy(augment(pictures, training=True)), 0, 255)


def small_changes(*, mirror):
    """Return layers that turn, enlarge and move pictures a little, as most pictures may be.

    Args:
        mirror: Whether half of them are mirrored too, left to right.

    Returns:
        `keras.Sequential`: turns by 11 degrees at most, sizes by a tenth, moves by a twentieth.
    """
    layers, black = keras.layers, {"fill_mode": "constant"}
    changes = [
        layers.RandomRotation(0.03, **black),
        layers.RandomZoom(0.1, **black),
        layers.RandomTranslation(0.05, 0.05, **black),
    ]
    return keras.Sequential([layers.RandomFlip("horizontal")] * mirror + changes)


def check_augment(augment, copies):
    """Raise if these are no Keras layers, or if one frozen copy would be all that training ever sees.

    Args:
        augment: Keras layer, `Sequential` of them, or `None`.
        copies: How many copies are kept.
    """
    if augment is not None and not isinstance(augment, keras.Layer):
        raise ValueError(f"augment must be a Keras layer or Sequential of layers. Received: {augment!r}.")
    if copies and (augment is None or copies < 2):
        raise ValueError(
            "copies must be 0 (drawn anew in each epoch) or 2 and more, and goes with augment: one kept copy "
            f"is no augmentation. Received: copies={copies}, augment={augment}."
        )
