"""Traps in what is trained, and how fast; what can be tried is tried on a copy of the model."""

import keras
import numpy as np

from tlteach._recipe_copy import unmoved
from tlteach._recipe_data import Finding
from tlteach._recipe_model import batchnorms, called_for_inference, deaf, kernels, learned, leaves

_STILL = (
    "for layer in backbone.layers:  # then compile\n"
    "    if isinstance(layer, keras.layers.BatchNormalization):\n"
    "        layer.trainable = False"
)
_STEP = 0.02  # relative change of a kernel in one step from which what it knew is soon gone
_LEAP = 0.1  # the same for a network that knows nothing yet
_WORSE = 1.5  # times the loss before the step
_ANEW = 5e-4  # a rate of Adam and its kin to begin anew with
_ANEW_SGD = 1.0  # the same of SGD, over one less its momentum
_HEAD_RATE = 1.0  # of Adam and its kin: no layer learns with it
_UNSTEADY = 1e-3  # of an output: more than rounding
_SLOW = 3e-5  # a rate that nobody chooses for a new head alone
_SLOW_LATER = 1e-4  # the same for a head that has learned already
_STEP_ROWS = 8
_ADAPTIVE = ("adam", "rmsprop", "adagrad", "lion", "lamb", "adafactor", "ftrl", "muon")


def batchnorm(case):
    """Run the model, or its copy, once as `fit` does, and see which of the backbone's BatchNorm statistics move.

    Source: keras#20285 (`training=False` is overridden in `fit` up to Keras 3.15), #7085, #6570.
    """
    subject = case.subject
    layers = batchnorms(subject.backbone)
    if not layers or not subject.pretrained or not any(layer.trainable for layer in layers):
        return
    moved, way = _moved(subject)
    if moved:
        called = " although it is called with training=False" if called_for_inference(subject.built) else ""
        tried = f"one batch{' on a copy' if subject.copy is not None else ''}: by up to {way:.2g}"
        evidence = f"the statistics of {moved} of {len(layers)} BatchNorm layers of the backbone move in fit{called}"
        yield Finding("warning", f"{evidence} ({tried})", _STILL)


def _moved(subject):
    """Return how many BatchNorm layers move, and the farthest way of a mean."""
    layers, takes_training = batchnorms(subject.own), _takes_training(subject.shown)
    means = [keras.ops.convert_to_numpy(layer.moving_mean).copy() for layer in layers]
    with unmoved(subject.shown, every=True):
        subject.shown(subject.x, **({"training": True} if takes_training else {}))
        ways = [np.abs(keras.ops.convert_to_numpy(b.moving_mean) - a).max() for b, a in zip(layers, means, strict=True)]
    return sum(way > 0 for way in ways), max(ways, default=0.0)


def _takes_training(model):
    """Whether `fit` tells a model that it trains: it does so if its `call` has that argument."""
    return getattr(model, "_call_has_training_arg", True) or type(model).train_step is not keras.Model.train_step


def asleep_in_fit(case):
    """Look whether dropout, augmentation and a head's BatchNorm are told that it is `fit`.

    Source: `train_step` of Keras 3, which passes `training` to a model only if its `call` has that argument.
    """
    subject = case.subject
    if _takes_training(subject.model):
        return
    own = {id(layer) for layer in subject.backbone} if subject.pretrained else set()
    asleep = [each.name for each in leaves(subject.built) if id(each) not in own and _awakes(each)]
    if asleep:
        evidence = (
            f"call() of {type(subject.model).__name__} has no argument training, so that fit runs it as predict does"
        )
        told = f"{evidence}: {', '.join(asleep[:4])} do nothing there"
        yield Finding("warning", told, "def call(self, inputs, training=None):")


def _awakes(layer):
    """Whether a layer does something else while it trains: it draws numbers, or takes a batch's statistics."""
    draws = any("seed_generator" in v.path for v in layer.variables)
    return draws or (isinstance(layer, keras.layers.BatchNormalization) and layer.trainable)


def random_in_inference(case):
    """Ask the same rows twice: a model that answers otherwise augments, or drops, in `predict` too.

    Source: layers called with `training=True` in a `call` of one's own, as for Monte Carlo dropout.
    """
    if case.subject.unsteady > _UNSTEADY:
        evidence = f"outputs of the same rows differ by up to {case.subject.unsteady:.2g} in inference"
        yield Finding("error", evidence, "layer(x, training=training)  # not training=True")


def batch_in_inference(case):
    """Ask half of the rows without the others: an answer must not depend on the rows beside it.

    Source: Ioffe and Szegedy 2015, inference with the moving statistics; `training=True` left in a `call`.
    """
    subject = case.subject
    if subject.unsteady <= _UNSTEADY < subject.mixed:
        evidence = f"in inference, answers change by up to {subject.mixed:.2g} of the largest with the rows beside them"
        norm = " (BatchNorm takes the batch's own statistics)" if batchnorms(leaves(subject.built)) else ""
        yield Finding("error", evidence + norm, "layer(x, training=training)  # not training=True")


def trainable_changed(case):
    """Compare what would be trained now with what the compiled model began with.

    `compile` itself notes the flags (Keras keeps them from some version on), and the optimizer knows its variables
    from the first step. Before the first `fit` Keras takes the flags of now, so that nothing is lost yet.

    Source: tf#117169, keras PR#22413: TensorFlow silently trains what it did before, JAX breaks the model.
    """
    model, now = case.subject.model, case.subject.trainable
    optimizer = getattr(model, "optimizer", None) if model.compiled else None
    if optimizer is None:
        return
    mend = "model.compile(...) again, after the last change of trainable and before fit"
    known = {id(v) for v in getattr(optimizer, "_trainable_variables", None) or []}
    if optimizer.built and known != now:
        more, less = len(now - known), len(known - now)
        evidence = f"since the first step {more} variables became trainable and {less} frozen; fit goes on as before"
        yield Finding("error", evidence, mend)
        return
    then = getattr(model, "_compiled_trainable_state", None) or {}
    changed = [each.name for each, flag in list(then.items()) if each.trainable != flag and each.weights]
    if changed:
        evidence = f"trainable changed after compile in {len(changed)} layers ({', '.join(changed[:3])})"
        yield Finding("warning", f"{evidence}; Keras promises nothing for that", mend)


def backbone_frozen(case):
    """Look whether anything of the backbone moves in a step that looks, or is said, to be fine-tuning.

    Source: deep-learning-with-python-notebooks#257.
    """
    subject = case.subject
    if not subject.trainable:
        yield Finding("error", "the model has no trainable weights", "layer.trainable = True; then compile")
    if not subject.backbone:
        return
    total = len(kernels(subject.backbone))
    if subject.fine_tuning is False and subject.kernels:
        evidence = f"{len(subject.kernels)} of {total} kernels of the backbone may move, and fine_tuning=False"
        yield Finding("error", evidence, "backbone.trainable = False; then compile")
    if subject.kernels or subject.fine_tuning is False or not subject.trainable:
        return
    stuck = deaf(subject.built, subject.backbone)
    evidence = f"0 of {total} kernels of the backbone may move"
    mend = "backbone.trainable = True  # on the model's own backbone, then freeze layers again; then compile"
    if stuck:
        told = f"; {stuck[0].name!r} says trainable=True all the same, so that setting it to True may do nothing"
        evidence, mend = evidence + told, mend.replace("backbone", "backbone.trainable = False; backbone", 1)
    if subject.fine_tuning:
        yield Finding("error", f"{evidence}, and this step is fine-tuning", mend)
    elif subject.rate is not None and subject.rate <= (_SLOW_LATER if learned(subject.head) else _SLOW):
        yield Finding("warning", f"{evidence}; the rate {subject.rate:.1g} is one for fine-tuning", mend)
    elif any(isinstance(each, keras.Sequential) for each in stuck):  # many freeze others layer by layer
        yield Finding("hint", evidence, mend)


def learning_rate(case):
    """Take one step on the copy and see how far the kernels move, as a share of their length.

    Source: Howard and Ruder 2018 (forgetting by too high a rate); the Keras guide's 1e-5.
    """
    subject = case.subject
    if subject.rate is None or not subject.trainable:
        return
    adaptive = _is_adaptive(subject.model.optimizer)
    if not subject.kernels:
        if (adaptive and subject.rate >= _HEAD_RATE / 10) or subject.rate > 10 * _HEAD_RATE:
            evidence = f"{type(subject.model.optimizer).__name__} with {subject.rate:.2g} trains a head"
            yield Finding("warning", evidence, "learning_rate=1e-3")
        return
    change, losses = _one_step(case)
    severity = _by_step(subject, change, losses) or _by_rate(subject)
    if severity is None:
        return
    evidence = f"{type(subject.model.optimizer).__name__} with {subject.rate:.2g} trains the backbone"
    if change is not None:
        evidence = f"one step at {subject.rate:.2g} changes the backbone's kernels by {change:.1%} of their length"
    told = f"; the loss on that batch went from {losses[0]:.3g} to {losses[1]:.3g}" if losses else ""
    share = 0.01 if change is None or not np.isfinite(change) else min(1e-3 / max(change, 1e-12), 0.1)
    yield Finding(severity, evidence + told, f"learning_rate={10 ** np.floor(np.log10(subject.rate * share)):.0e}")


def _by_step(subject, change, losses):
    """Judge a step by how far it went, and by the loss after it.

    Measured on mini VGG16, mini ResNet50 and MobileNetV2 with ImageNet weights: one step of Adam changes the kernels
    by 0.24, 0.07 and 0.04 % with 1e-4, and by 24, 6.8 and 3.7 % with 1e-2.
    """
    if change is None:
        return None
    if not np.isfinite(change) or (losses and not np.isfinite(losses[1])):
        return "error"
    if not subject.pretrained:
        return "warning" if change >= _LEAP else None
    worse = losses is not None and losses[1] > _WORSE * losses[0] and change >= _STEP / 10
    return "error" if change >= _STEP or worse else None


def _by_rate(subject):
    """Judge a rate by itself: networks are trained from scratch with such a one."""
    optimizer = subject.model.optimizer
    reach = subject.rate / (1 - float(getattr(optimizer, "momentum", 0) or 0))
    high = reach >= (_ANEW if _is_adaptive(optimizer) else _ANEW_SGD)
    return "warning" if subject.pretrained and high else None


def _is_adaptive(optimizer):
    return any(word in type(optimizer).__name__.lower() for word in _ADAPTIVE)


def _one_step(case):
    """Return `(median relative change of the backbone's kernels, (loss before, after))`; `None` is unknown."""
    subject = case.subject
    moving = [i for i, v in enumerate(kernels(subject.backbone)) if id(v) in subject.trainable]
    if subject.copy is None:
        return (_by_arithmetic(subject), None) if _is_adaptive(subject.model.optimizer) else (None, None)
    variables = [kernels(subject.own)[i] for i in moving]
    then, saved = [keras.ops.convert_to_numpy(v).copy() for v in variables], subject.copy.get_weights()
    try:
        losses = _train(case)
        ways = [np.linalg.norm(keras.ops.convert_to_numpy(v) - w) for v, w in zip(variables, then, strict=True)]
    except Exception:  # labels that do not fit the loss are found elsewhere
        return (_by_arithmetic(subject), None) if _is_adaptive(subject.model.optimizer) else (None, None)
    finally:
        subject.copy.set_weights(saved)
    return _median(w / max(np.linalg.norm(t), 1e-12) for w, t in zip(ways, then, strict=True)), losses


def _median(values):
    values = list(values)
    return float("inf") if not np.all(np.isfinite(values)) else float(np.median(values))


def _train(case):
    copy, model = case.subject.copy, case.subject.model
    settings = model.optimizer.get_config()
    settings["learning_rate"] = case.subject.rate
    copy.compile(type(model.optimizer).from_config(settings), model.loss, run_eagerly=True)
    x, y = case.train.sample(_STEP_ROWS)
    before = copy.test_on_batch(x, y, return_dict=True)["loss"]
    copy.train_on_batch(x, y)
    return float(before), float(copy.test_on_batch(x, y, return_dict=True)["loss"])


def _by_arithmetic(subject):
    """The first step of Adam and its kin moves each weight by about the rate."""
    sizes = [float(np.sqrt(np.mean(keras.ops.convert_to_numpy(v) ** 2))) for v in subject.kernels]
    return float(np.median([subject.rate / max(size, 1e-12) for size in sizes]))


CHECKS = {
    "BatchNorm moves": batchnorm,
    "asleep in fit": asleep_in_fit,
    "random in inference": random_in_inference,
    "batch in inference": batch_in_inference,
    "trainable changed since compile": trainable_changed,
    "backbone frozen": backbone_frozen,
    "learning rate too high": learning_rate,
}
