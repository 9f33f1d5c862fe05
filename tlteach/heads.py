"""Heads: the new layers. A linear probe is solved, not stepped towards."""

import keras
import numpy as np

from tlteach.features import Features
from tlteach.freezing import freeze_batchnorm

_STRENGTHS = 10.0 ** np.arange(-5, 2)  # inverse L2 strengths tried, for standardised features
_FOLDS = 5


def linear_probe(features, *, with_val=False, strength=None, seed=0):
    """Fit a linear classifier on fixed features, to its optimum.

    Multinomial logistic regression on standardised features with an L2 penalty.
    The penalty is chosen by cross-validation on what it learns from. Standardising
    is folded into the weights, so the probe takes features as they come.

    Args:
        features: `Features`, or `(x, y)` with `x` `(n, features)` and `y` `(n,)` integers from 0.
        with_val: Whether to learn from the validation split too. Not before
            `fine_tune`, which needs that split to be unseen in order to choose.
        strength: Inverse L2 strength; chosen by cross-validation if `None`.
        seed: Seed of the folds.

    Returns:
        A `keras.Model` from features `(batch, features)` to probabilities `(batch, classes)`.

    Raises:
        ValueError: If there are fewer than two classes.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> x = np.array([[0.0, 1], [0, 2], [3, 1], [3, 2]] * 5)
        >>> probe = tl.linear_probe((x, np.array([0, 0, 1, 1] * 5)))
        >>> np.asarray(probe(x[:4])).argmax(1)
        array([0, 0, 1, 1])

    Reference:
        Alain and Bengio 2016, Understanding intermediate layers using linear
        classifier probes; lesson 01.
    """
    x, y, classes = _labelled(features, with_val)
    x, mean, scale = _standardise(x)
    x, basis = _rotate(x)
    strength = _choose_strength(x, y, seed) if strength is None else strength
    fitted = _logistic(strength, tol=1e-8).fit(x, y)
    kernel, bias = _both_columns(fitted, y, classes)
    kernel = basis @ kernel / scale[:, None]
    return _dense(kernel, bias - mean @ kernel)


def _labelled(features, with_val):
    if isinstance(features, Features):
        parts = [features.train, features.val] if with_val else [features.train]
        x, y = np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])
        classes = len(features.classes)
    else:
        x, y = np.asarray(features[0]), np.asarray(features[1])
        classes = int(y.max(initial=0)) + 1
    if len(np.unique(y)) < 2:
        raise ValueError(f"a probe needs at least two classes. Received: labels of {len(np.unique(y))}.")
    return x.reshape(len(x), -1).astype("float64"), y, classes


def _standardise(x):
    mean, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 1e-6 * max(scale.max(), 1e-12), scale, 1.0)  # a constant feature says nothing
    return (x - mean) / scale, mean, scale


def _rotate(x):
    """With fewer pictures than features, keep the directions that the pictures span.

    The L2-penalised optimum lies in that span, so the solution is the same and
    costs far less.
    """
    if len(x) >= x.shape[1]:
        return x, np.eye(x.shape[1])
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return u * s, vt.T


def _logistic(strength, *, tol=1e-4):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=5000, tol=tol)


def _choose_strength(x, y, seed):
    """Cross-validate by log loss; with too few of a class for folds, take the middle strength."""
    from sklearn.metrics import log_loss

    folds = min(_FOLDS, np.bincount(y)[np.unique(y)].min())
    if folds < 2:
        return float(np.median(_STRENGTHS))
    losses = [log_loss(y, _held_out(x, y, strength, folds, seed), labels=np.unique(y)) for strength in _STRENGTHS]
    return _STRENGTHS[int(np.argmin(losses))]


def _held_out(x, y, strength, folds, seed):
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return cross_val_predict(_logistic(strength), x, y, cv=split, method="predict_proba")


def _both_columns(fitted, y, classes):
    """Kernel `(features, classes)` and bias: two classes come as one column, absent ones as none."""
    kernel = np.zeros((fitted.coef_.shape[1], classes))
    bias = np.full(classes, -30.0)  # a class without an example gets no probability
    seen = np.unique(y)
    if len(seen) == 2:
        kernel[:, seen] = np.stack([-fitted.coef_[0], fitted.coef_[0]], 1) / 2
        bias[seen] = np.array([-fitted.intercept_[0], fitted.intercept_[0]]) / 2
    else:
        kernel[:, seen], bias[seen] = fitted.coef_.T, fitted.intercept_
    return kernel, bias


def _dense(kernel, bias):
    features = keras.Input((len(kernel),), name="features")
    dense = keras.layers.Dense(len(bias), activation="softmax", name="head")
    probe = keras.Model(features, dense(features), name="linear_probe")
    dense.set_weights([kernel.astype("float32"), bias.astype("float32")])
    return probe


def attach_head(backbone, head, *, pooling="avg", dropout=0.0):
    """Put a head on a backbone: one flat model from raw pixels to probabilities.

    Args:
        backbone: A `Backbone`. The model shares its layers, so training the
            model trains the backbone.
        head: A number of classes for a new random linear head, a probe from
            `linear_probe`, or any `keras.Model` on pooled features. A given head is copied.
        pooling: `"avg"` or `"max"`, as the probe's features were pooled.
        dropout: Share of the pooled features dropped in training, 0 to 1.

    Returns:
        A flat `keras.Model` from pixels `(batch, any height, any width, 3)` in
        0..255 to `(batch, classes)`. It is a plain Keras model: it can be
        saved, loaded and trained without tlteach.

    Raises:
        ValueError: If the head does not fit the backbone's features, or the pooling is unknown.

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
    pools = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
    if pooling not in pools:
        raise ValueError(f"pooling must be 'avg' or 'max'. Received: {pooling!r}.")
    x = pools[pooling](name="head_pool")(backbone.model.output)
    x = keras.layers.Dropout(dropout, name="head_dropout")(x) if dropout else x
    model = keras.Model(backbone.model.input, _head_on(x, head), name=f"{backbone.name}_classifier")
    freeze_batchnorm(model)
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
