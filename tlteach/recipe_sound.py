"""The recipe for recordings: many voices are made of few, and the whole network learns from them."""

from dataclasses import replace

import numpy as np

from tlteach._tuning import joined
from tlteach.data import Split
from tlteach.features import Features, Part, extract_features
from tlteach.finetune import Phase, fine_tune
from tlteach.frontends import SpecAugment, holds_sound, perturb_speed
from tlteach.heads import attach_head, linear_probe

SPEEDS = (0.85, 1.0, 1.17)  # of each recording in training: deeper, as it is, higher
PASSES, STEPS = 12, 600  # passes over the recordings; steps at least, where they are few
RATE, BATCH = 1e-3, 32
DROPOUT, DECAY = 0.2, 0.02
STRENGTH = 1e-2  # inverse, of the probe's penalty: it is only where fine-tuning begins
LEAST = 0.25  # share of the mean group's recordings that each group counts for at least
IN_MEMORY = 2**31  # bytes of pictures that are kept rather than made anew in each epoch


def learn_sounds(backbone, splits, *, phases=None, seed=0, store="default"):
    """Return the model, no run, the sentence that says what was done, and nothing that did not learn from validation.

    All is fixed beforehand, so nothing is left for validation to choose, and its recordings
    are learned from too: a speaker who only helps to choose is missed more. A linear probe
    is solved on recordings at three speeds; then all stages are fine-tuned, with `SpecAugment`.

    Args:
        backbone: A `Backbone`.
        splits: `Splits` of recordings; the test split is not touched.
        phases: 0 for the probe alone.
        seed: Seed of all that is random.
        store: As in `extract_features`.
    """
    learned = joined(splits.train, splits.val)
    spoken = in_memory(perturb_speed(balanced(learned, splits.groups), SPEEDS))
    x = extract_features(backbone, spoken, store=store)
    none = Part(x[:0], spoken.labels[:0])
    probe = linear_probe(Features(Part(x, spoken.labels), none, none, splits.classes), strength=STRENGTH, seed=seed)
    model = attach_head(backbone, probe, dropout=DROPOUT)
    told = f"{learned.num_examples} recordings at {len(SPEEDS)} speeds, those for validation among them"
    if phases == 0:
        return model, None, f"Linear probe, no fine-tuning, as asked for: learned from {told}.", None
    passes = max(PASSES, -(-STEPS * BATCH // learned.num_examples))
    phase = Phase(
        "all",
        max(1, round(passes / len(SPEEDS))),
        RATE,
        schedule="cosine",
        keep="last",
        batch_size=BATCH,
        augment=SpecAugment(),
        weight_decay=DECAY,
    )
    run = fine_tune(model, replace(splits, train=spoken), [phase], seed=seed, store=store)
    stopped = "Interrupted. " if run.interrupted else ""
    return model, None, f"{stopped}All stages fine-tuned in {phase.epochs} epochs of {told}, with SpecAugment.", None


def balanced(split, column):
    """Repeat the rows of groups that have few, such as a new speaker's twenty among others' hundreds.

    Args:
        split: `Split`.
        column: Column of the groups, or `None`.
    """
    if column is None:
        return split
    own = split.table[column]
    sizes = own.value_counts()
    times = np.maximum(1, np.round(LEAST * sizes.mean() / sizes)).astype(int)
    return split.take(np.repeat(np.arange(split.num_examples), own.map(times)))


def in_memory(split):
    """Return the split with its pictures made, if they are not too many.

    Args:
        split: `Split` of recordings.
    """
    if not holds_sound(split) or split.num_examples * split.picture(0).nbytes > IN_MEMORY:
        return split
    pictures = [split.picture(i) for i in range(split.num_examples)]
    return Split(pictures, split.table, split.classes, size=split.size, batch_size=split.batch_size)
