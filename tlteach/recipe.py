"""The recommended recipe, from a folder of pictures to a model: probe first, then fine-tune where it helps."""

import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from tlteach._language import is_language
from tlteach._stages import HEAD
from tlteach._tables import LINES, SEPARATED
from tlteach.backbones import default_input_size, load_backbone
from tlteach.data import Splits, from_folder, subset, with_test_folder
from tlteach.evaluation import Report, evaluate
from tlteach.features import extract_features
from tlteach.finetune import Phase, Run, fine_tune, gradual_unfreezing
from tlteach.heads import attach_head, linear_probe
from tlteach.tables import from_table, with_test_table

LARGER = 9 / 7  # networks see best at sizes somewhat above those they were trained at (Touvron et al. 2019)
SHALLOW, DEEP = 1 / 3, 3 / 4  # shares of the stages that are fine-tuned
FAR = 0.1  # share of mistakes by the probe from which on the target is so far from the source that few stages help
EPOCHS = 15
RATE, RATE_WITHOUT_NORM = 1e-3, 1e-4  # of Adam, at its highest; without normalisation, large steps end a network
ENOUGH_MISTAKES = 5  # with fewer on validation, no improvement could be told from luck
ENOUGH_TEXTS = 100  # on validation; with fewer, fine-tuning a language backbone gained nothing over its probe
TEXT_EPOCHS, TEXT_RATE = 4, 0.013  # the rate is divided by the backbone's width: 1.7e-5 for BERT's 768


@dataclass(eq=False)
class Fit:
    """What `fit_folder` made.

    Attributes:
        model: The model, from raw pixels to probabilities.
        report: `Report` on the test split.
        run: `Run` of the fine-tuning, or `None` if there was none.
        decision: One sentence: what was done, and why.
        splits: The data.
        seconds: Time from the first look at the folder to the finished model.
        test_seconds: Time that measuring it on the test split took.
        notes: What was left out of the data and why, a sentence each.
    """

    model: keras.Model = field(repr=False)
    report: Report
    run: Run | None
    decision: str
    splits: Splits
    seconds: float
    test_seconds: float
    notes: list = field(default_factory=list)


def fit_folder(folder, backbone, *, test=None, labels=None, phases=None, seed=0):
    """Fit a classifier on a folder of pictures by the recommended recipe.

    A linear probe is solved on the backbone's features. If it makes enough mistakes
    on validation for an improvement to be seen, a third of the stages is fine-tuned
    from there, and if validation gets better by it, three quarters; or three quarters
    at once, where the probe errs often. If nothing helps, the probe learns from the
    validation pictures too. A language backbone in full size is fine-tuned as a whole, for
    a few epochs, where validation has a hundred texts to tell by whether that helps; of the
    mini BERT the probe is all, since fine-tuning it gained nothing with 100 or 2,000 labels.

    Args:
        folder: A folder for each class, or train/val/test folders of them; or a table of texts, as in `from_table`.
        backbone: A `Backbone`, or the keyword arguments of `load_backbone` as a dict.
        test: A folder (or table) of the same classes to measure on; else a fifth of `folder`.
        labels: How many labelled pictures or texts to use in all; all if `None`.
        phases: How many stages to fine-tune; `None` lets validation decide.
        seed: Seed of all that is random.

    Returns:
        `Fit`.

    Raises:
        ValueError: If the folder, the test folder or the numbers do not fit.

    Reference:
        Kumar et al. 2022; lesson 01.
    """
    _check_kind(folder, backbone["name"] if isinstance(backbone, dict) else backbone.name, backbone)
    keras.utils.set_random_seed(seed)
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        splits = _splits(folder, test, labels, seed)
    notes = [str(each.message) for each in caught if each.category is UserWarning]
    backbone = _load(backbone) if isinstance(backbone, dict) else backbone
    labelled = replace(splits, test=splits.test.take([]))
    features = extract_features(backbone, labelled)
    model, run, decision = learn(backbone, splits, features, phases=phases, seed=seed)
    learned = time.perf_counter()
    report = evaluate(model, splits.test)
    return Fit(model, report, run, decision, splits, learned - started, time.perf_counter() - learned, notes)


def _load(wanted):
    """Load a backbone; of pictures, with its input somewhat larger than it was trained with, in steps of 16 pixels."""
    if is_language(wanted["name"]):
        return load_backbone(**wanted)
    height, width = default_input_size(**wanted)
    return load_backbone(**wanted, input_size=[16 * round(n * LARGER / 16) for n in (height, width)])


def is_table(path):
    """Whether a path is that of a table of texts and not of a folder of pictures.

    Args:
        path: A path.
    """
    return Path(path).suffix.lower() in SEPARATED + LINES and not Path(path).is_dir()


def _check_kind(data, name, backbone):
    texts = is_language(name) if isinstance(backbone, dict) else backbone.tokenizer is not None
    if is_table(data) and not texts:
        raise ValueError(f"a table of texts needs a language backbone, such as bert. Received: {name!r}.")
    if texts and not is_table(data):
        raise ValueError(
            f"a folder of pictures needs a backbone that takes them. Received: {name!r}, which takes a table of texts."
        )


def _splits(data, test, labels, seed):
    read, with_test = (from_table, with_test_table) if is_table(data) else (from_folder, with_test_folder)
    splits = read(data, test=0.2 if test is None else 0.0, seed=seed)
    if test is not None:
        splits = with_test(splits, test)
    return splits if labels is None else subset(splits, labels, seed=seed)


def learn(backbone, splits, features, *, phases, seed):
    """Return the model, the run (or none) and the sentence that says why."""
    probe = linear_probe(features, seed=seed)
    mistakes = int((np.asarray(probe.predict_on_batch(features.val.x)).argmax(1) != features.val.y).sum())
    what = "pictures" if backbone.tokenizer is None else "texts"
    told = f"the linear probe made {mistakes} mistakes on {len(features.val.y)} validation {what}"
    why = _why_not(backbone, mistakes, len(features.val.y))
    if phases == 0 or (phases is None and why):
        why = "and none was asked for" if phases == 0 else why
        return _probe_alone(backbone, features, seed), None, f"Linear probe, no fine-tuning: {told}, {why}."
    model = attach_head(backbone, probe)
    planned = gradual_unfreezing(backbone, phases) if phases else deepening(backbone, mistakes / len(features.val.y))
    run = _unfreeze(model, splits, planned, greedy=phases is None, seed=seed)
    helped = int((run.plan["kept epoch"] > 0).sum())
    stopped = "Interrupted. " if run.interrupted else ""
    if helped:
        before, after = run.history["val_accuracy"].iloc[0], run.history["val_accuracy"].max()
        gain = f"accuracy there went from {before:.1%} to {after:.1%}"
        return model, run, f"{stopped}Fine-tuned ({helped} of {len(run.plan)} phases kept): {told}; {gain}."
    return (
        _probe_alone(backbone, features, seed),
        run,
        f"{stopped}Linear probe: {told}, and fine-tuning made it no better.",
    )


def _why_not(backbone, mistakes, count):
    """Say why fine-tuning need not be tried; nothing if it should be."""
    if backbone.tokenizer is not None and backbone.size == "mini":
        return "and fine-tuning so small a language backbone gains nothing over it"
    few_texts = backbone.tokenizer is not None and count < ENOUGH_TEXTS
    return "too few for fine-tuning to be seen to help" if few_texts or mistakes < ENOUGH_MISTAKES else ""


def deepening(backbone, error):
    """Plan phases, each with a rate that rises and falls: the last third of the stages, then three quarters.

    Targets near the source need few stages or none; far ones, such as brain slices after
    photographs, need nearly all at once, at a rate at which weights really move. Language
    backbones are fine-tuned as a whole, as BERT was (Devlin et al. 2019).

    Args:
        backbone: A `Backbone`.
        error: The probe's share of mistakes on validation, 0 to 1.

    Returns:
        List of `Phase`.
    """
    stages = list(backbone.stages)
    if backbone.tokenizer is not None:
        rate = TEXT_RATE / backbone.model.output_shape[-1]
        return [Phase((*stages, HEAD), TEXT_EPOCHS, rate, schedule="cosine", patience=TEXT_EPOCHS, batch_size=16)]
    kinds = keras.layers.BatchNormalization, keras.layers.LayerNormalization
    rate = RATE if any(isinstance(layer, kinds) for layer in backbone.model.layers) else RATE_WITHOUT_NORM
    shares = (DEEP,) if error > FAR else (SHALLOW, DEEP)
    trained = [(*stages[-max(1, round(share * len(stages))) :], HEAD) for share in shares]
    return [Phase(t, EPOCHS, rate, schedule="cosine", patience=EPOCHS, batch_size=16) for t in trained]


def _unfreeze(model, splits, phases, *, greedy, seed):
    """Fine-tune phase by phase; if greedy, only for as long as each is better on validation than the one before."""
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


def _probe_alone(backbone, features, seed):
    return attach_head(backbone, linear_probe(features, with_val=True, seed=seed))
