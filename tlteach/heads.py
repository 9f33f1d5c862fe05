"""Heads: the new layers. A linear probe is solved, not stepped towards."""

import keras
import numpy as np

from tlteach import _logistic
from tlteach._pooling import check_pooling, pooled
from tlteach.features import Features, ends_of
from tlteach.freezing import freeze_batchnorm


def linear_probe(features, *, with_val=False, strength=None, seed=0, weights=None):
    """Fit a linear classifier on fixed features, to its optimum.

    Multinomial logistic regression on standardised features with an L2 penalty.
    The penalty is chosen on what it learns from: by five folds, or by a fifth held
    out where there are 2,500 pictures and more. Standardising is folded into the
    weights, so the probe takes features as they come.

    Args:
        features: `Features`, or `(x, y)` with `x` `(n, features)` and `y` `(n,)` integers from 0.
        with_val: Whether to learn from the validation split too. Not before
            `fine_tune`, which needs that split to be unseen in order to choose.
        strength: Inverse L2 strength; chosen if `None`.
        seed: Seed of the folds, or of what is held out.
        weights: How much each picture counts in the loss `(n,)`, above 0, such as those of `group_weights`; only
            their ratios matter. All alike if `None`.

    Returns:
        A `keras.Model` from features `(batch, features)` to probabilities `(batch, classes)`.

    Raises:
        ValueError: If there are fewer than two classes, or the weights do not fit.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> x = np.array([[0.0, 1], [0, 2], [3, 1], [3, 2]] * 5)
        >>> probe = tl.linear_probe((x, np.array([0, 0, 1, 1] * 5)))
        >>> probe.predict_on_batch(x[:4]).argmax(1)
        array([0, 0, 1, 1])

    Reference:
        Alain and Bengio 2016, Understanding intermediate layers using linear
        classifier probes; lesson 01.
    """
    x, y, classes = _labelled(features, with_val)
    seen, y = np.unique(y, return_inverse=True)
    order = _logistic.shuffled(y, seed) if len(y) >= _logistic.MANY else np.arange(len(y))
    x, mean, scale = _standardise(x, order)
    x, basis = _rotate(x)
    if weights is not None:
        weights = _mean_of_one(weights, len(y))[order]
    solution = _logistic.fit(x, y[order], strength=strength, seed=seed, weights=weights)
    kernel = np.zeros((len(mean), classes))
    bias = np.full(classes, -30.0)  # a class without an example gets no probability
    kernel[:, seen] = (solution[:-1] if basis is None else basis @ solution[:-1]) / scale[:, None]
    bias[seen] = solution[-1] - mean @ kernel[:, seen]
    return _dense(kernel, bias)


def _labelled(features, with_val):
    if isinstance(features, Features):
        parts = [features.train, features.val] if with_val else [features.train]
        x, y = (np.concatenate(p) if with_val else p[0] for p in zip(*parts, strict=True))
        y, classes = np.asarray(y), len(features.classes)
    else:
        x, y = np.asarray(features[0]), np.asarray(features[1])
        classes = int(y.max(initial=0)) + 1
    if len(np.unique(y)) < 2:
        raise ValueError(f"a probe needs at least two classes. Received: labels of {len(np.unique(y))}.")
    return x.reshape(len(x), -1), y, classes


def _mean_of_one(weights, count):
    weights = np.asarray(weights, "float64")
    if weights.shape != (count,) or not np.isfinite(weights).all() or weights.min(initial=1) <= 0:
        raise ValueError(
            f"weights must be {count} finite numbers above 0, one a picture. Received: shape {weights.shape}, "
            f"least {weights.min(initial=np.inf):.3g}; leave out what should not count."
        )
    return weights / weights.mean()


def _standardise(x, order):
    """Return the rows in this order with mean 0 and deviation 1, in one array."""
    out = np.empty(x.shape, "float32" if x.size >= _logistic.LARGE else "float64")
    mean, scale = _moments(x)
    shift, factor = mean.astype(out.dtype), (1 / scale).astype(out.dtype)
    for start in range(0, len(x), 256):
        block = x[order[start : start + 256]] - shift
        np.multiply(block, factor, out=out[start : start + 256])
    return out, mean, scale


def _moments(x):
    """Mean and deviation of each feature, in float64, without a float64 copy of all the rows."""
    total, squares, shift = 0.0, 0.0, x[0].astype("float64")  # near the values, so that their squares are small
    for start in range(0, len(x), 256):
        block = x[start : start + 256] - shift
        total, squares = total + block.sum(0), squares + np.einsum("ij,ij->j", block, block)
    mean = total / len(x)
    scale = np.sqrt(np.maximum(squares / len(x) - mean**2, 0))
    scale = np.where(scale > 1e-6 * max(scale.max(), 1e-12), scale, 1.0)  # a constant feature says nothing
    return mean + shift, scale


def _rotate(x):
    """With fewer pictures than features, keep the directions that the pictures span.

    The L2-penalised optimum lies in that span, so the solution is the same and
    costs far less.
    """
    if len(x) >= x.shape[1]:
        return x, None
    basis, rotated = np.linalg.qr(x.T)
    return np.ascontiguousarray(rotated.T), basis


def _dense(kernel, bias):
    features = keras.Input((len(kernel),), name="features")
    dense = keras.layers.Dense(len(bias), activation="softmax", name="head")
    probe = keras.Model(features, dense(features), name="linear_probe")
    dense.set_weights([kernel.astype("float32"), bias.astype("float32")])
    return probe


def attach_head(backbone, head, *, layer=None, pooling="avg", dropout=0.0):
    """Put a head on a backbone: one flat model from raw pixels to probabilities.

    Args:
        backbone: A `Backbone`. The model shares its layers, so training the
            model trains the backbone.
        head: A number of classes for a new random linear head, a probe from
            `linear_probe`, or any `keras.Model` on pooled features. A given head is copied.
        layer: Stage or layer that the head stands on, or a list of them, as the probe's features were
            extracted; the last if `None`. What comes after it is left out of the model.
        pooling: `"avg"`, `"max"` or `"avg+dev"`, of texts `"avg"`, `"cls"` or `"last"`, as the probe's
            features were pooled.
        dropout: Share of the pooled features dropped in training, 0 to 1.

    Returns:
        A flat `keras.Model` from pixels `(batch, any height, any width, 3)` in
        0..255 to `(batch, classes)`. It is a plain Keras model: it can be
        saved, loaded and trained without tlteach. That of a language backbone takes
        word pieces `(batch, length)`, -1 after a text's end, which its `tokenizer`
        makes of texts; KerasHub must be imported where it is loaded, and the
        tokenizer kept beside it (`tlteach fit` does).

    Raises:
        ValueError: If the head does not fit the backbone's features, or there is no such layer or pooling.

    Side effects:
        Sets every BatchNorm layer of the backbone to `trainable=False`.

    Example:
        >>> import tlteach as tl
        >>> model = tl.attach_head(tl.load_backbone("vgg16", "mini"), 2)
        >>> model.output_shape
        (None, 2)

    Reference:
        Lesson 01.
    """
    check_pooling(backbone.model, pooling)
    x = pooled(backbone.model, ends_of(backbone, layer), pooling)
    x = keras.layers.Dropout(dropout, name="head_dropout")(x) if dropout else x
    model = keras.Model(backbone.model.input, _head_on(x, head), name=f"{backbone.name}_classifier")
    freeze_batchnorm(model)
    if hasattr(backbone.model, "tokenizer"):
        model.tokenizer = backbone.model.tokenizer
    return model


def _head_on(x, head):
    if isinstance(head, int | np.integer):
        return keras.layers.Dense(int(head), activation="softmax", name="head")(x)
    if head.input_shape[-1] != x.shape[-1]:
        raise ValueError(
            f"the head must take the backbone's {x.shape[-1]} features. Received: a head for {head.input_shape[-1]}."
        )
    return _copied_on(x, keras.Model(head.inputs[0], head.outputs[0]))


def _copied_on(x, head):
    """Run a head's graph on other features with copies of its layers, whose names begin with `head`."""
    copies, outputs = {}, {}

    def call(op, *args, **kwargs):
        copy = copies[op.name] = _renamed(op)
        outputs[op.name] = copy(*args, **kwargs)
        return outputs[op.name]

    keras.models.clone_model(head, input_tensors=x, clone_function=lambda layer: layer, call_function=call)
    for layer in head.layers:
        if layer.weights:
            copies[layer.name].set_weights(layer.get_weights())
    return outputs[head.output._keras_history.operation.name]


def _renamed(op):
    name = op.name if op.name.startswith("head") else f"head_{op.name}"
    return op.__class__.from_config({**op.get_config(), "name": name})
