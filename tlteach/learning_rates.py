"""Find a learning rate: raise it step by step and watch where the loss falls and where it explodes."""

from dataclasses import dataclass, field, replace

import keras
import numpy as np
import pandas as pd

from tlteach._cutting import Inputs
from tlteach._optimizers import optimizer_for
from tlteach._stages import cut
from tlteach._training import seed_dropout
from tlteach.finetune import Phase
from tlteach.freezing import freeze, frozen_dropout_off

_SMOOTHING = 0.9  # share of the loss before, in the running mean
_EXPLODED = 4.0  # times the lowest loss at which nothing more is to be learned
_SAFETY = 10.0  # below the rate of the lowest loss, which is already at the edge


@dataclass(frozen=True, eq=False)
class FoundRate:
    """What `find_learning_rate` saw.

    Attributes:
        rate: The learning rate to try: a tenth of the one where the smoothed loss was lowest.
        table: `pandas.DataFrame`, a row a step: learning_rate, loss, smoothed.
    """

    rate: float
    table: pd.DataFrame = field(repr=False)


def find_learning_rate(model, data, train, *, between=(1e-6, 1.0), steps=60, seed=0):
    """Try rising learning rates on a model, one a step, and put its weights back.

    Good for finding the order of magnitude. From a solved probe the loss can only
    rise, so what is found there is the largest rate that does no harm yet.

    Args:
        model: From `attach_head`, or any flat Keras classifier.
        data: `Splits`; only the training split is used.
        train: Names of the stages that will be trained; or a `Phase`, whose optimizer,
            batch size and stages are taken.
        between: The lowest and the highest rate.
        steps: How many rates, equally far apart on a logarithmic scale.
        seed: Seed of the order of the pictures and of dropout.

    Returns:
        `FoundRate`.

    Raises:
        ValueError: If the rates are not in order, or there are fewer than ten steps.

    Side effects:
        Sets `trainable` on the model's layers; its weights are as before.

    Example:
        >>> import tlteach as tl
        >>> vgg, pets = tl.load_backbone("vgg16", "mini"), tl.load_dataset("cats_vs_dogs", "mini")
        >>> found = tl.find_learning_rate(tl.attach_head(vgg, 2), tl.subset(pets, 40), "head", steps=20)
        >>> 1e-6 <= found.rate < 1
        True

    Reference:
        Smith 2017, Cyclical Learning Rates for Training Neural Networks; lesson 03.
    """
    if not 0 < between[0] < between[1] or steps < 10:
        raise ValueError(
            f"between must be two rising rates above 0, and steps at least 10. Received: {between} and {steps}."
        )
    phase = replace(train if isinstance(train, Phase) else Phase(train), schedule="constant")
    before = [keras.ops.convert_to_numpy(v) for v in model.variables]
    try:
        table = _rise(model, data, phase, np.geomspace(*between, steps), seed)
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
    lowest = table["learning_rate"][table["smoothed"].idxmin()]
    return FoundRate(float(lowest / _SAFETY), table)


def _rise(model, data, phase, rates, seed):
    part, rows = _prepare(model, data, phase, seed)
    optimizer = optimizer_for(phase, model, steps=len(rates))
    part.compile(optimizer, "sparse_categorical_crossentropy")
    losses, smooth, lowest = [], 0.0, np.inf
    with frozen_dropout_off(model, phase.train):
        for step, (rate, batch) in enumerate(zip(rates, _endless(rows), strict=False), 1):
            optimizer.learning_rate.assign(rate)
            part.reset_metrics()  # else some versions of Keras tell the mean of all steps
            told = part.train_on_batch(batch.x, batch.y, sample_weight=batch.weights, return_dict=True)
            loss = float(told["loss"])
            smooth = _SMOOTHING * smooth + (1 - _SMOOTHING) * loss
            losses.append((rate, loss, smooth / (1 - _SMOOTHING**step)))  # as Adam corrects its means
            lowest = min(lowest, losses[-1][2])
            if not np.isfinite(loss) or losses[-1][2] > _EXPLODED * lowest:
                break
    return pd.DataFrame(losses, columns=["learning_rate", "loss", "smoothed"])


def _prepare(model, data, phase, seed):
    freeze(model, phase.train)
    seed_dropout(model, seed)
    inputs = Inputs(model, data, [phase], store=None)
    start = inputs.choices[0].start
    rows, _ = inputs.rows(phase, inputs.choices[0], seed=seed)
    return model if start is None else cut(model, start), rows


def _endless(rows):
    number = 0
    while True:
        yield from rows.epoch(number)
        number += 1
