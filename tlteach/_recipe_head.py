"""Traps between the head, the loss and the labels, and the metric that hides what went wrong."""

import functools
from typing import NamedTuple

import keras
import numpy as np
from scipy.optimize import linear_sum_assignment

from tlteach._recipe_data import Finding, as_index
from tlteach._recipe_model import learned

_KINDS = (("sparsecategorical", "sparse"), ("categorical", "categorical"), ("binary", "binary"))
_RELATED = {"crossentropy", "ce"}  # Keras chooses by the labels
_FULL_NAMES = {"mse": "meansquarederror", "mae": "meanabsoluteerror"}
_COMMON = 0.75  # share of one class from which accuracy says little
_RARE = 8.0  # times the largest class is larger than the smallest
_ROWS_A_CLASS = 10  # so many rows for each class that is there before another counts as absent


class Loss(NamedTuple):
    """A loss: its kind (`"sparse"`, `"categorical"`, `"binary"` or a name), whether it takes logits, its name."""

    kind: str
    logits: bool
    name: str


def loss_of(case):
    """Return the `Loss`, or `None` if there is none or several."""
    model = case.subject.model
    loss = getattr(model, "loss", None) if model.compiled else None
    while isinstance(loss, (list, tuple, dict)) and len(loss) == 1:
        loss = next(iter(loss.values())) if isinstance(loss, dict) else loss[0]
    if loss is None or isinstance(loss, (list, tuple, dict)) or case.subject.outputs is None:
        return None
    inner = loss.func if isinstance(loss, functools.partial) else loss
    name = inner if isinstance(inner, str) else getattr(inner, "__name__", type(inner).__name__)
    key = name.lower().replace("_", "").replace(" ", "")
    told = loss.keywords if isinstance(loss, functools.partial) else _config(inner)
    kind = next((kind for word, kind in _KINDS if word in key), None)
    if key in _RELATED:
        kind = (
            "binary" if case.subject.outputs.shape[-1] == 1 else "sparse" if _is_flat(case.train.y) else "categorical"
        )
    if kind is None and callable(loss) and not isinstance(loss, keras.losses.Loss) and not hasattr(keras.losses, name):
        kind, logits = _recognised(loss, case.subject.outputs.shape[-1])
        return Loss(kind or key, logits, name)
    return Loss(kind or _FULL_NAMES.get(key, key), bool(told.get("from_logits", False)), name)


def _config(loss):
    try:
        return loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    except Exception:  # a loss of one's own need not have one
        return {}


def _recognised(loss, units):
    """Try a function on made-up outputs: does it give what one of Keras' losses gives?"""
    numbers = np.random.default_rng(0).uniform(0.05, 0.95, (4, units)).astype("float32")
    index, one_hot = np.arange(4) % max(units, 2), np.eye(max(units, 2), dtype="float32")[np.arange(4) % max(units, 2)]
    outputs = numbers / numbers.sum(1, keepdims=True) if units > 1 else numbers
    known = keras.losses
    for kind, function, y in (
        ("sparse", known.sparse_categorical_crossentropy, index),
        ("categorical", known.categorical_crossentropy, one_hot),
        ("binary", known.binary_crossentropy, one_hot if units > 1 else index[:, None].astype("float32")),
    ):
        for logits in (False, True):
            try:
                mine, theirs = np.mean(loss(y, outputs)), np.mean(function(y, outputs, from_logits=logits))
            except Exception:  # not a loss of these labels
                continue
            if np.isfinite(mine) and np.isclose(mine, theirs, rtol=1e-4):
                return kind, logits
    return None, False


def _is_flat(y):
    return y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)


def _labels_kind(y):
    """`"index"`, `"one-hot"` (soft ones too), `"multi-hot"` or `"real"`."""
    if y.dtype.kind not in "fiub" or y.ndim > 2:
        return "other"
    if _is_flat(y):
        return "index" if np.all(y == np.floor(y)) else "real"
    if np.all((y >= 0) & (y <= 1)) and np.allclose(y.sum(1), 1, atol=1e-3):
        return "one-hot"
    return "multi-hot" if np.all((y == 0) | (y == 1)) else "real"


def _facts(case):
    """`(loss, ending, units, labels' kind)`; `None` where the model has not one plain output."""
    outputs, loss = case.subject.outputs, loss_of(case)
    if outputs is None or loss is None:
        return None
    return loss, case.subject.ending, outputs.shape[-1], _labels_kind(case.train.y)


_OF_CLASSES = ("sparse", "categorical", "binary")


def logits_and_loss(case):
    """Compare what the last layer gives with what the loss is told that it gives.

    Source: the Keras losses' `from_logits`; on TensorFlow Keras sees through a softmax that it made itself and
    warns, on JAX and PyTorch it does not.
    """
    facts = _facts(case)
    if facts is None or facts[0].kind not in _OF_CLASSES:
        return
    loss, ending, *_ = facts
    low, high = case.subject.outputs.min(), case.subject.outputs.max()
    if ending in ("softmax", "sigmoid") and loss.logits:
        evidence = f"the model ends in {ending} (outputs in {low:.3g}..{high:.3g}) and {loss.name} has from_logits=True"
        yield Finding("error", evidence, f"loss={loss.name}(from_logits=False)")
    if ending in ("linear", "relu", "tanh") and not loss.logits:
        evidence = f"the model ends in {ending} (outputs in {low:.3g}..{high:.3g}) and {loss.name} takes probabilities"
        yield Finding("error", evidence, _mended_logits(ending, loss.kind))


def _mended_logits(ending, kind):
    name = "BinaryCrossentropy" if kind == "binary" else f"{'Sparse' * (kind == 'sparse')}CategoricalCrossentropy"
    last = "" if ending == "linear" else ", and the last layer without an activation"
    return f"loss=keras.losses.{name}(from_logits=True){last}"


def ending_and_loss(case):
    """Compare the last activation with the kind of loss and labels.

    Source: Keras' own examples: one sigmoid with binary, a softmax with categorical crossentropy.
    """
    facts = _facts(case)
    if facts is None:
        return
    loss, ending, units, labels = facts
    if ending == "softmax" and units == 1:
        yield Finding("error", "softmax over one unit is always 1", "Dense(1, activation='sigmoid')")
    elif units == 1 and loss.kind in ("sparse", "categorical"):
        evidence = f"the head has one output, and {loss.name} compares outputs with each other"
        yield Finding("error", evidence, "Dense(1, activation='sigmoid') and loss='binary_crossentropy'")
    elif ending == "sigmoid" and units > 1 and loss.kind in ("sparse", "categorical"):
        evidence = f"{units} sigmoid outputs, which need not sum to 1, and {loss.name}, which takes a distribution"
        yield Finding("error", evidence, f"Dense({units}, activation='softmax')")
    elif labels == "multi-hot" and (ending == "softmax" or loss.kind == "categorical"):
        evidence = f"rows have {case.train.y.sum(1).mean():.2g} classes on average; {ending} with {loss.name} tells one"
        yield Finding("error", evidence, f"Dense({units}, activation='sigmoid') and loss='binary_crossentropy'")
    elif ending == "softmax" and loss.kind == "binary" and labels == "one-hot":
        evidence = f"{units} softmax outputs are measured one by one by {loss.name}"
        yield Finding("warning", evidence, "loss='categorical_crossentropy'")


def labels_and_loss(case):
    """Compare the labels' form with the loss.

    Source: the error "Shapes (None, 1) and (None, 10) are incompatible", and its silent relatives.
    """
    facts = _facts(case)
    if facts is None:
        return
    loss, _, units, labels = facts
    if isinstance(texts := case.train.y.reshape(-1)[0], (str, bytes)) and loss.kind in _OF_CLASSES:
        mend = "y = np.array([classes.index(each) for each in y])  # classes = sorted(set(y_train)), for each part"
        yield Finding("error", f"labels are texts, such as {texts!r}, and {loss.name} takes numbers", mend)
    form = f"labels have shape {('n', *case.train.y.shape[1:])}, the model gives {units} and the loss is {loss.name}"
    if labels in ("one-hot", "multi-hot") and loss.kind == "sparse" and case.subject.outputs.ndim == 2:
        yield Finding("error", form.replace("('n', ", "(n, "), "loss='categorical_crossentropy'")
    elif labels == "index" and units > 1 and loss.kind in ("categorical", "binary", "meansquarederror"):
        yield Finding(
            "error", form.replace("('n',)", "(n,)").replace("'n'", "n"), "loss='sparse_categorical_crossentropy'"
        )
    elif labels == "one-hot" and units == 1 and loss.kind == "binary":
        mend = f"Dense({case.train.y.shape[1]}, activation='softmax') and loss='categorical_crossentropy'"
        yield Finding("error", form.replace("'n'", "n"), mend)


def label_count(case):
    """Compare the labels with the number of outputs.

    Source: labels that begin at 1; a head that was copied from another task; a loss of nan on a GPU.
    """
    outputs, y = case.subject.outputs, case.train.y
    kind = _labels_kind(y)
    if outputs is None or outputs.ndim != 2 or kind not in ("index", "one-hot"):
        return
    units = outputs.shape[-1]
    loss = loss_of(case)
    if kind == "index" and loss is not None and loss.kind not in _OF_CLASSES:
        return  # a regression
    if kind == "one-hot" and y.shape[1] != units:
        if not (units == 1 and y.shape[1] == 2):
            yield Finding(
                "error", f"labels have {y.shape[1]} columns, the head {units} outputs", f"Dense({y.shape[1]})"
            )
        return
    yield from _count(case, _highest(case), units)


def _highest(case):
    """`(lowest, highest)` label of all parts."""
    columns = [p.y if _is_flat(p.y) else p.y.argmax(1) for p in case.parts.values() if p.y.ndim <= 2]
    return min(float(c.min()) for c in columns), max(float(c.max()) for c in columns)


def _count(case, span, units):
    (low, high), names = span, case.classes
    fits = 2 if units == 1 else units
    if low < 0 or high >= fits:
        begin = f"; labels must be 0..{fits - 1}"
        mend = "y = y - 1" if low == 1 and high == fits else f"Dense({int(high - min(low, 0)) + 1}), labels from 0"
        yield Finding("error", f"labels lie in {low:.0f}..{high:.0f} and the head has {units} outputs{begin}", mend)
    elif names is not None and len(names) != fits:
        yield Finding("error", f"there are {len(names)} classes and the head has {units} outputs", _dense(len(names)))
    elif names is None:
        y = as_index(case.train.y)
        missing = sorted(set(range(fits)) - set(np.unique(y).tolist())) if y is not None else []
        seen = fits - len(missing)
        if missing and len(missing) < fits - 1 and case.train.complete and len(y) >= _ROWS_A_CLASS * seen:
            evidence = f"no training row has label {', '.join(map(str, missing[:5]))}; the head has {units} outputs"
            yield Finding("warning", evidence, _dense(fits - len(missing)))


def _dense(count):
    return f"Dense({count})" if count > 2 else "Dense(2), or Dense(1, activation='sigmoid')"


def class_order(case):
    """Compare the class names that the parts, and the person, know.

    Source: `image_dataset_from_directory` sorts folders by name; `class_names=` given to one of two calls.
    """
    known = {name: list(part.classes) for name, part in case.parts.items() if part.classes}
    if case.classes and list(case.classes) not in known.values():
        known = {"classes": list(case.classes), **known}
    first_name = next(iter(known), None)
    for name, names in list(known.items())[1:]:
        if names != known[first_name]:
            evidence = f"{first_name} has the order {known[first_name][:6]}, {name} has {names[:6]}"
            yield Finding("error", evidence, "give the same class_names= to each data set and to the head")
    for part in case.parts.values():
        if part.table is not None and part.classes and "class" in part.table:
            wrong = sum(part.classes[i] != own for i, own in zip(part.y, part.table["class"], strict=True))
            if wrong:
                evidence = f"{wrong} labels of {part.name} are not the place of their class in {part.classes[:6]}"
                yield Finding("error", evidence, "label = classes.index(class)")


def permuted_labels(case):
    """Ask a trained head: do its answers fit the labels far better if two classes change names?

    Source: a head trained with one order of folders and evaluated with another.
    """
    subject = case.subject
    if subject.outputs is None or subject.outputs.ndim != 2 or not learned(subject.head):
        return
    for part in case.parts.values():
        x, y = part.sample(64)
        labels, outputs = as_index(y), np.asarray(keras.ops.convert_to_numpy(subject.answers(x)))
        if labels is None or len(labels) < 16 or len(np.unique(labels)) < 2:
            continue
        cut = 0.0 if subject.ending == "linear" else 0.5
        told = outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > cut).astype(int)
        n = max(told.max(), labels.max()) + 1
        table = np.zeros((n, n))
        np.add.at(table, (labels, told), 1)
        rows, columns = linear_sum_assignment(-table)
        now, best = np.trace(table) / len(labels), table[rows, columns].sum() / len(labels)
        if best >= 0.85 and now <= 0.5 * best:
            moved = [f"{r} is told as {c}" for r, c in zip(rows, columns, strict=True) if r != c and table[r, c]]
            evidence = f"{part.name}: {now:.0%} right as labelled, {best:.0%} if {', '.join(moved[:4])}"
            yield Finding("error", evidence, "use the order of classes that the head was trained with")


def plain_accuracy(case):
    """Compare the share of the largest class with the metrics: always to tell it is no achievement.

    Source: He and Garcia 2009, Learning from imbalanced data.
    """
    y, names = as_index(case.train.y), _metrics(case.subject.model)
    if y is None or not len(y) or not names or not all("acc" in name and "balanced" not in name for name in names):
        return
    weights = case.train.weights
    counts = np.bincount(y, weights=weights if _counts_weights(case.subject.model, weights, y) else None)
    counts = counts[counts > 0]
    share, times = counts.max() / counts.sum(), counts.max() / counts.min()
    if len(counts) > 1 and (share >= _COMMON or (times >= _RARE and share >= 2 / len(counts))):
        evidence = (
            f"{share:.0%} of training rows are of one class ({times:.0f} : 1 with the smallest); metric: {names[0]}"
        )
        metric = "keras.metrics.AUC()" if len(counts) == 2 else "keras.metrics.F1Score(average='macro')"
        yield Finding("warning", evidence, f"metrics=['accuracy', {metric}]; fit(..., class_weight=...)")


def _counts_weights(model, weights, y):
    """Whether the metrics count each row by its weight: a rare class can then be worth as much as a common one."""
    told = getattr(getattr(model, "_compile_metrics", None), "_user_weighted_metrics", None)
    return bool(keras.tree.flatten(told)) and weights is not None and weights.shape == y.shape


def _metrics(model):
    """Names of the compiled metrics, in lower case."""
    told = getattr(model, "_compile_metrics", None) if model.compiled else None
    given = (getattr(told, "_user_metrics", None), getattr(told, "_user_weighted_metrics", None))
    flat = [m for each in given if each is not None for m in keras.tree.flatten(each) if m is not None]
    return [_name(m).lower() for m in flat]


def _name(metric):
    """A metric's own name: what one calls it in `compile` does not say what it is."""
    if isinstance(metric, str):
        return metric
    return getattr(metric, "__name__", type(metric).__name__)


CHECKS = {
    "softmax and from_logits": logits_and_loss,
    "activation and loss": ending_and_loss,
    "labels and loss": labels_and_loss,
    "labels and head": label_count,
    "order of the classes": class_order,
    "answers fit other labels": permuted_labels,
    "imbalance with plain accuracy": plain_accuracy,
}
