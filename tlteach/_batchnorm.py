"""BatchNorm statistics of the target in place of the source's: a remedy that needs neither labels nor source."""

from dataclasses import dataclass

import keras
import numpy as np

from tlteach.data import Split
from tlteach.features import sized_for


@dataclass(frozen=True)
class BatchNormStatistics:
    """Give the BatchNorm layers of a model the means and variances of the target's pictures.

    The network then sees the target as bright, sharp or contrasted as it saw the source. It takes for
    granted that the pictures differ in such ways, and that both show the classes equally often. It needs no
    source pictures at all, and no labels, but some dozens of target pictures: a few say too
    little. Models without BatchNorm (VGG16, transformers) cannot have it.

    The head must have been learned with the source's own statistics. A pretrained backbone that was only
    frozen has those of its pretraining: give it the source's first, learn the head, and then the target's.

    Statistics are exact and taken layer by layer: each layer's input is that which the layers before it
    give with their new statistics, over all the pictures at once. So memory grows with their number.

    Attributes:
        most: How many of the target's pictures are looked at, drawn at random where there are more.

    Example:
        >>> import tlteach as tl
        >>> model = tl.attach_head(tl.load_backbone("resnet50", "mini"), 2)
        >>> pets = tl.load_dataset("cats_vs_dogs", "mini")
        >>> tl.BatchNormStatistics(most=20).fit(model, pets.val).output_shape
        (None, 2)

    Reference:
        Li et al. 2016, Revisiting batch normalization for practical domain adaptation; Schneider et al.
        2020, Improving robustness against common corruptions by covariate shift adaptation; lesson 11.
    """

    most: int = 500

    def fit(self, source, target, *, seed=0):
        """Return a copy of the model with the target's statistics.

        Args:
            source: A `keras.Model` that was trained on the source, such as one of `attach_head`; it stays as it is.
            target: `Split`, whose labels are not looked at, or an array as the model takes it.
            seed: Seed of the drawing.
        """
        norms = [layer.name for layer in source.layers if isinstance(layer, keras.layers.BatchNormalization)]
        if not norms:
            raise ValueError(
                "the model needs BatchNorm layers. "
                f"Received: {source.name!r}, which has none; try Coral on its features."
            )
        target = self._drawn(target, seed)
        x = sized_for(source, target).array() if isinstance(target, Split) else target
        copy = keras.models.clone_model(source)
        copy.set_weights(source.get_weights())
        for name, statistics in _statistics(source, norms, x).items():
            layer = copy.get_layer(name)
            layer.moving_mean.assign(statistics[0])
            layer.moving_variance.assign(statistics[1])
        return copy

    def _drawn(self, target, seed):
        count = target.num_examples if isinstance(target, Split) else len(target)
        if count < 2 or self.most < 2:
            raise ValueError(f"statistics need two pictures or more. Received: {count} pictures, most={self.most}.")
        rows = np.sort(np.random.default_rng(seed).permutation(count)[: self.most])
        return target.take(rows) if isinstance(target, Split) else np.asarray(target)[rows]


class _Measuring(keras.layers.BatchNormalization):
    """A BatchNorm that normalises by the batch it is given, and keeps its mean and variance."""

    def call(self, inputs, *, training=None, mask=None):
        return super().call(inputs, training=True, mask=mask)  # what the model is told does not reach it


def _statistics(model, norms, x):
    """Mean and variance of what each BatchNorm layer is given, where those before it have theirs of `x` already."""
    measuring = {}

    def copied(layer):
        if layer.name not in norms:
            return layer
        config = {**layer.get_config(), "momentum": 0.0, "trainable": True}
        measuring[layer.name] = _Measuring.from_config(config)
        return measuring[layer.name]

    clone = keras.models.clone_model(model, clone_function=copied)
    for name, layer in measuring.items():
        layer.set_weights(model.get_layer(name).get_weights())
    clone(np.asarray(x, "float32"), training=False)  # in one batch, whose statistics replace the old ones
    return {name: (layer.moving_mean, layer.moving_variance) for name, layer in measuring.items()}
