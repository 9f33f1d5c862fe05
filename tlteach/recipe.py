"""The recommended recipe, from one's own data to a model: probe first, then fine-tune where it helps."""

import time
import warnings
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import keras

from tlteach._augment import small_changes
from tlteach._stages import HEAD, find_stages
from tlteach._tuning import (
    ENOUGH_MISTAKES,
    keeps_classes_mirrored,
    mistakes_of,
    no_clear_loss,
    outcome,
    tune,
    tune_on_all,
    unseen_by_probe,
    unseen_by_tuned,
)
from tlteach.backbones import SPEECH, default_input_size, load_backbone, takes_texts
from tlteach.data import Splits, from_folder, subset, with_test_folder
from tlteach.evaluation import Report, evaluate, predictions_of, report_of
from tlteach.features import Features, Part, extract_features
from tlteach.finetune import Phase, Run, gradual_unfreezing
from tlteach.frontends import holds_sound
from tlteach.heads import attach_head, linear_probe
from tlteach.recipe_sound import learn_sounds
from tlteach.recipe_text import learn_texts
from tlteach.tables import from_table, is_table, with_test_table

LARGER = 9 / 7  # networks see best at sizes somewhat above those they were trained at (Touvron et al. 2019)
SHALLOW, DEEP = 1 / 3, 3 / 4  # shares of the stages that are fine-tuned
FAR = 0.1  # share of mistakes by the better probe from which on the target is far from the source in any case
EPOCHS, FAR_EPOCHS = 15, 20
RATE, RATE_WITHOUT_NORM = 1e-3, 1e-4  # of Adam, at its highest; without normalisation, large steps end a network
OUTER = 1 / 6  # share of the stages, at either end, that the middle ones leave out
BOTH = "avg+dev"  # how the middle stages are pooled
_PARTS = ("train", "val", "test")


@dataclass(eq=False)
class Fit:
    """What `fit_splits` made.

    Attributes:
        model: The model, from raw pixels to probabilities.
        report: `Report` on the test split.
        run: `Run` of the fine-tuning, or `None` if there was none.
        decision: One sentence: what was done, and why.
        splits: The data.
        seconds: Time from the first look at the pictures to the finished model.
        test_seconds: Time that measuring it on the test split took.
        notes: What was left out of the data and why, a sentence each.
        validated: `Report` on the validation split of a model that had not learned from it, which
            thresholds may be chosen by; `None` where there was no such model.
        validated_by: Which model that was, in words.
        backbone: The backbone and where its weights came from, in words.
        seed: Seed of all that was random.
    """

    model: keras.Model = field(repr=False)
    report: Report
    run: Run | None
    decision: str
    splits: Splits
    seconds: float
    test_seconds: float
    notes: list = field(default_factory=list)
    validated: Report | None = None
    validated_by: str = ""
    backbone: str = ""
    seed: int = 0


def read_splits(folder, *, test=None, labels=None, groups=None, seed=0):
    """Read the folder, or the table of texts, that a classifier is to be fitted on.

    Args:
        folder: A folder for each class, or train/val/test folders of them; or a table, as in `from_table`.
        test: A folder (or table) of the same classes to measure on; else a fifth of `folder`.
        labels: How many labelled pictures or texts to use in all; all if `None`.
        groups: What belongs together, such as a patient's slices, as in `from_folder`; none of a table.
        seed: Seed of what is drawn.

    Returns:
        `(splits, notes)`: `Splits`, and a sentence for each thing that was left out.

    Raises:
        ValueError: If the folder, the test folder or the numbers do not fit, or a table is given groups.
    """
    table = is_table(folder)
    if table and groups is not None:
        raise ValueError(f"groups are told of pictures and recordings, a table of texts has none. Received: {groups}.")
    read, with_test = (from_table, with_test_table) if table else (from_folder, with_test_folder)
    told = {} if table else {"groups": groups}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        splits = read(folder, test=0.2 if test is None else 0.0, seed=seed, **told)
        if test is not None:
            splits = with_test(splits, test, **told)
    notes = [str(each.message) for each in caught if each.category is UserWarning]
    return splits if labels is None else subset(splits, labels, seed=seed), notes


def fit_splits(splits, backbone, *, phases=None, seed=0, notes=()):
    """Fit a classifier by the recommended recipe.

    For recordings it is that of `recipe_sound`, for texts that of `recipe_text`. Of pictures linear
    probes are solved on what the backbone's last stage gives, and on its middle stages together,
    which serve targets far from the source better. If the better one makes enough mistakes on
    validation for an improvement to be seen, a third of the stages is fine-tuned from there, and if
    validation gets better by it, three quarters. Where the target is far from the source (the
    middle stages serve better, or both probes err often), it is three quarters at once, on
    pictures that each epoch sees changed a little, and that stands unless validation got clearly
    worse. When that has been decided, probe and kept phases learn anew, from the validation
    pictures too.

    Args:
        splits: `Splits`; the test split is touched once, at the end.
        backbone: A `Backbone`, or the keyword arguments of `load_backbone` as a dict.
        phases: How many stages to fine-tune; `None` lets validation decide.
        seed: Seed of all that is random.
        notes: Sentences for the report.

    Returns:
        `Fit`.

    Raises:
        ValueError: If the backbone or the phases do not fit.

    Reference:
        Kumar et al. 2022; lessons 01, 03 and 04.
    """
    _check_kind(splits, backbone)
    keras.utils.set_random_seed(seed)
    started = time.perf_counter()
    backbone = _load(backbone) if isinstance(backbone, dict) else backbone
    how = learn_texts if splits.train.holds_texts else learn_sounds if holds_sound(splits.train) else learn
    model, run, decision, unseen = how(backbone, replace(splits, test=splits.test.take([])), phases=phases, seed=seed)
    learned = time.perf_counter()
    report = evaluate(model, splits.test, groups=splits.groups)
    fitted = Fit(
        model,
        report,
        run,
        decision,
        splits,
        learned - started,
        time.perf_counter() - learned,
        notes=list(notes),
        backbone=f"{backbone.name} {backbone.size}, weights: {backbone.weights}",
        seed=seed,
    )
    return fitted if unseen is None else replace(fitted, validated=_validated(splits, unseen), validated_by=unseen.told)


def _validated(splits, unseen):
    return report_of(predictions_of(splits.val, unseen.probabilities), splits.classes, groups=splits.groups)


def _check_kind(splits, backbone):
    """Raise if texts meet a backbone of pictures, or pictures one of texts."""
    wanted = isinstance(backbone, dict)
    name = backbone["name"] if wanted else backbone.name
    able = takes_texts(name) if wanted else backbone.tokenizer is not None
    if splits.train.holds_texts and not able:
        raise ValueError(f"a table of texts needs a language backbone, such as bert. Received: {name!r}.")
    if able and not splits.train.holds_texts:
        raise ValueError(
            f"a folder of pictures needs a backbone that takes them. Received: {name!r}, which takes a table of texts."
        )


def _load(wanted):
    """Load a backbone; of pictures, with its input somewhat larger than it was trained with, in steps of 16 pixels.

    Spectrograms have no more to show in a larger size.
    """
    if takes_texts(wanted["name"]) or SPEECH in (wanted["name"].lower(), wanted.get("weights")):
        return load_backbone(**wanted)
    height, width = default_input_size(**wanted)
    return load_backbone(**wanted, input_size=[16 * round(n * LARGER / 16) for n in (height, width)])


class View(NamedTuple):
    """Features taken in one way, and what was solved on them.

    Attributes:
        told: Its name in the report.
        how: Keyword arguments of `attach_head`.
        features: `Features`.
        probe: `keras.Model`, solved on the training split.
        mistakes: The probe's mistakes on validation.
    """

    told: str
    how: dict
    features: Features
    probe: keras.Model
    mistakes: int


def learn(backbone, splits, *, phases=None, seed=0, store="default"):
    """Return the model, the run (or none), the sentence that says why, and `Unseen`.

    Args:
        backbone: A `Backbone`.
        splits: `Splits`; the test split is not touched.
        phases, seed: As in `fit_splits`.
        store: As in `extract_features`.
    """
    last, far = _views(backbone, splits, seed=seed, store=store)
    clearly = last.mistakes - far.mistakes > last.mistakes**0.5  # more than chance would do
    view = far if phases is None and clearly else last
    count, unseen = len(view.features.val.y), unseen_by_probe(view.probe, view.features.val)
    told = f"the linear probe on {view.told} made {view.mistakes} mistakes on {count} validation pictures"
    if phases == 0 or (phases is None and view.mistakes < ENOUGH_MISTAKES):
        why = "and the probe alone was asked for" if phases == 0 else "too few for fine-tuning to be seen to help"
        return _probe_alone(backbone, view, seed), None, f"Linear probe, no fine-tuning: {told}, {why}.", unseen
    start = backbone.model.get_weights()
    model = attach_head(backbone, view.probe, **view.how)
    planned = _planned(backbone, model, view, splits, phases)
    run = tune(model, splits, planned, greedy=phases is None, seed=seed)
    ends = planned[-1].keep == "last"
    helped, decision = no_clear_loss(run, told, view.mistakes, count) if ends else outcome(run, told)
    if not helped:
        backbone.model.set_weights(start)  # what ran to its end has moved them
        return _probe_alone(backbone, view, seed), run, decision, unseen
    if run.interrupted:
        return model, run, decision, unseen_by_tuned(model, splits.val, final=True)
    best, unseen = model.get_weights(), unseen_by_tuned(model, splits.val)
    backbone.model.set_weights(start)
    anew = _probe_alone(backbone, view, seed)
    if tune_on_all(anew, splits, run, planned, seed=seed).interrupted:
        model.set_weights(best)
        unseen = unseen_by_tuned(model, splits.val, final=True)
        return model, replace(run, interrupted=True), f"Interrupted. {decision}", unseen
    return anew, run, f"{decision} Then all was learned anew, from the validation pictures too.", unseen


def _views(backbone, splits, *, seed, store):
    """Solve probes on the last stage, and on the middle ones, in one run of the backbone."""
    stages = list(backbone.stages)
    outer = max(1, round(OUTER * len(stages)))
    middle, width = stages[outer:-outer], backbone.model.output_shape[-1]
    joined = extract_features(backbone, splits, layer=[*middle, stages[-1]], pooling=BOTH, store=store)
    last, far = slice(-2 * width, -width), slice(-2 * width)  # of the last stage, the averages alone
    yield _view("its last stage", {}, _columns(joined, last), seed)
    yield _view("its middle stages", {"layer": middle, "pooling": BOTH}, _columns(joined, far), seed)


def _columns(features, columns):
    parts = {name: Part(part.x[:, columns], part.y) for name in _PARTS for part in [getattr(features, name)]}
    return replace(features, **parts)


def _view(told, how, features, seed):
    probe = linear_probe(features, seed=seed)
    return View(told, how, features, probe, mistakes_of(probe, features.val))


def _planned(backbone, model, view, splits, phases):
    """The phases asked for, or those that the target calls for."""
    if phases:
        return gradual_unfreezing(backbone, phases)
    far = bool(view.how) or view.mistakes > FAR * len(view.features.val.y)  # the middle stages served, or none did well
    return deepening(model, far=far, mirror=far and keeps_classes_mirrored(model, splits.val, view.mistakes))


def deepening(model, *, far, mirror=False):
    """Plan phases, each with a rate that rises and falls: the last third of the stages, then three quarters.

    Targets near the source need few stages or none; far ones, such as brain slices after
    photographs, need nearly all at once, at a rate at which weights really move. So few pictures
    would then be learned by heart: each epoch sees them changed a little. Where few stages are
    trained, their inputs are computed once instead, and pictures stay as they are.

    Args:
        model: A model from `attach_head`.
        far: Whether the target is far from the source.
        mirror: Whether a mirrored picture is still one of its class.

    Returns:
        List of `Phase`.
    """
    stages = [stage for stage in find_stages(model) if stage != HEAD]
    kinds = keras.layers.BatchNormalization, keras.layers.LayerNormalization
    rate = RATE if any(isinstance(layer, kinds) for layer in model.layers) else RATE_WITHOUT_NORM
    to_the_end = {"epochs": FAR_EPOCHS, "keep": "last", "augment": small_changes(mirror=mirror)}
    changes = to_the_end if far else {"epochs": EPOCHS}
    trained = [
        (*stages[-max(1, round(share * len(stages))) :], HEAD) for share in ((DEEP,) if far else (SHALLOW, DEEP))
    ]
    told = {"learning_rate": rate, "schedule": "cosine", "patience": changes["epochs"], "batch_size": 16, **changes}
    return [Phase(stages, **told) for stages in trained]


def _probe_alone(backbone, view, seed):
    return attach_head(backbone, linear_probe(view.features, with_val=True, seed=seed), **view.how)
