"""What the recipes share: a probe's mistakes, phases tried one by one, and the sentence that says what they gave."""

from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from tlteach._augment import Augmented
from tlteach.data import Split
from tlteach.evaluation import predict
from tlteach.features import sized_for
from tlteach.finetune import fine_tune

ENOUGH_MISTAKES = 5  # with fewer on validation, no improvement could be told from luck


def mistakes_of(probe, part):
    """Count a probe's mistakes.

    Args:
        probe: A `keras.Model` on features.
        part: `Part`.
    """
    return int((np.asarray(probe.predict_on_batch(part.x)).argmax(1) != part.y).sum())


class Unseen(NamedTuple):
    """What a model gave on validation before anything learned from it: to choose thresholds by.

    Attributes:
        told: Which model, in words.
        probabilities: `(validation pictures, classes)`.
    """

    told: str
    probabilities: np.ndarray


def unseen_by_probe(probe, part):
    """Take the probabilities of a probe that was solved on the training split.

    Args:
        probe: A `keras.Model` on features.
        part: The validation `Part`.
    """
    return Unseen(
        "the linear probe that learned from the training split alone", np.asarray(probe.predict_on_batch(part.x))
    )


def unseen_by_tuned(model, split, *, final=False):
    """Take the probabilities of a model that was fine-tuned on the training split.

    Args:
        model: A model from `attach_head`.
        split: The validation `Split`.
        final: Whether it is the one that is kept.
    """
    which = "this model, which" if final else "the fine-tuned model that"
    return Unseen(f"{which} learned from the training split alone", predict(model, split))


def keeps_classes_mirrored(model, split, mistakes):
    """Whether pictures are still of their class in a mirror, as far as a model can tell.

    Letters and digits are not, most other things are: the model must not make clearly more
    mistakes when half of the pictures are mirrored.

    Args:
        model: A model from `attach_head`.
        split: `Split` with pictures that it has not learned from.
        mistakes: Its mistakes on them as they are.
    """
    mirrored = Augmented(sized_for(model, split), keras.layers.RandomFlip("horizontal"), [0])
    wrong = int((predict(model, mirrored).argmax(1) != split.labels).sum())
    return wrong - mistakes <= max(mistakes, 1) ** 0.5  # no more than chance would do


def tune(model, splits, phases, *, greedy, seed):
    """Fine-tune phase by phase; if greedy, only for as long as each is better on validation than the one before.

    Args:
        model: A model from `attach_head`.
        splits: `Splits`.
        phases: List of `Phase`.
        greedy: Whether to stop at the first phase that does not help.
        seed: Seed of the order.

    Returns:
        One `Run` of them all.
    """
    runs = []
    for phase in phases:
        runs.append(fine_tune(model, splits, [phase], seed=seed))
        if runs[-1].interrupted or (greedy and runs[-1].plan["kept epoch"].iloc[0] == 0):
            break
    history = [r.history.assign(phase=i) for i, r in enumerate(runs, 1)]
    plan = [r.plan.assign(phase=i) for i, r in enumerate(runs, 1)]
    return replace(
        runs[-1],
        history=pd.concat(history, ignore_index=True),
        plan=pd.concat(plan, ignore_index=True),
        seconds=sum(r.seconds for r in runs),
        interrupted=any(r.interrupted for r in runs),
    )


def tune_on_all(model, splits, run, phases, *, seed):
    """Train by the phases that validation kept, on the validation pictures too.

    Nothing is left to choose, so each runs to its end: as many epochs as before where its rate
    falls to zero, and else as many as were best.

    Args:
        model: A model from `attach_head`, as it was before `run`.
        splits: `Splits`.
        run: `Run` from `tune`.
        phases: The phases that it was planned of.
        seed: Seed of the order.

    Returns:
        `Run`.
    """
    plan = [
        replace(phase, keep="last", epochs=int(epochs) if phase.schedule == "constant" else phase.epochs)
        for phase, epochs in zip(phases, run.plan["kept epoch"], strict=False)
        if epochs > 0
    ]
    return fine_tune(model, replace(splits, train=joined(splits.train, splits.val)), plan, seed=seed)


def joined(one, other):
    """Return two splits of the same classes as one.

    Args:
        one, other: `Split`.
    """
    table = pd.concat([one.table, other.table], ignore_index=True)
    return Split([*one.pictures, *other.pictures], table, one.classes, size=one.size, batch_size=one.batch_size)


def outcome(run, told):
    """Return whether fine-tuning helped, and the sentence that says so.

    Args:
        run: `Run` from `tune`.
        told: What the probe did, in words.
    """
    helped = int((run.plan["kept epoch"] > 0).sum())
    stopped = "Interrupted. " if run.interrupted else ""
    if not helped:
        return False, f"{stopped}Linear probe: {told}, and fine-tuning made it no better."
    before, after = run.history["val_accuracy"].iloc[0], run.history["val_accuracy"].max()
    gain = f"accuracy there went from {before:.1%} to {after:.1%}"
    return True, f"{stopped}Fine-tuned ({helped} of {len(run.plan)} phases kept): {told}; {gain}."


def no_clear_loss(run, told, mistakes, count):
    """Return whether fine-tuning to its end may stand, and the sentence that says why.

    On brain slices, far from photographs, fine-tuning gained points on the test where 92 validation
    slices could not show it (`benchmarks/README.md`). So validation need not prove a gain there, it
    keeps from a clear loss.

    Args:
        run: `Run` from `tune`, of a phase with `keep="last"`.
        told: What the probe did, in words.
        mistakes: The probe's mistakes on validation.
        count: Validation pictures.
    """
    accuracy = run.history["val_accuracy"]
    before, after = accuracy.iloc[0], accuracy.iloc[-1]
    lost = round((before - after) * count)
    stopped, went = "Interrupted. " if run.interrupted else "", f"from {before:.1%} to {after:.1%}"
    if run.plan["kept epoch"].iloc[0] == 0:
        return False, f"{stopped}Linear probe: {told}, and no epoch of fine-tuning was finished."
    if lost > max(mistakes, 1) ** 0.5:
        return False, f"{stopped}Linear probe: {told}, and fine-tuning took accuracy there {went}."
    luck = ", no more than luck would do" if lost > 0 else ""
    far = "the target is far from what the backbone has learned from, so it stands unless accuracy there falls clearly"
    return True, f"{stopped}Fine-tuned: {told}; {far}; it went {went}{luck}."
