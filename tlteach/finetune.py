"""Fine-tuning: phases that each train some stages, on activations computed once."""

import time
from dataclasses import dataclass, field

import keras
import numpy as np
import pandas as pd

from tlteach._stages import HEAD, boundary_before, cut, find_stages, operations_of
from tlteach._training import KeepBest, Progress, Rows, seed_dropout
from tlteach.features import RESIZE, activations, sized_for
from tlteach.freezing import Proof, freeze

LARGEST_CUT = 4 * 2**30  # bytes of boundary activations that are worth keeping


@dataclass(frozen=True)
class Phase:
    """One step of the training schedule.

    Attributes:
        train: Names of the stages that are trained, such as `("block5", "head")`, or `("all",)`.
        epochs: Passes over the training split, at most.
        learning_rate: Adam's learning rate, or a Keras schedule.
        patience: Epochs without a better one on validation after which it stops.
        batch_size: Pictures a step.
    """

    train: tuple = (HEAD,)
    epochs: int = 5
    learning_rate: float = 1e-3
    patience: int = 3
    batch_size: int = 32

    def __post_init__(self):
        train = (self.train,) if isinstance(self.train, str) else tuple(self.train)
        object.__setattr__(self, "train", train)
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1. Received: {self.epochs}.")

    @property
    def name(self):
        """The stages it trains, joined."""
        return " + ".join(self.train)


@dataclass(eq=False)
class Run:
    """What `fine_tune` did.

    Attributes:
        model: The trained model, the same object that was given.
        history: `pandas.DataFrame`, a row an epoch: phase, epoch, loss, accuracy, val_loss,
            val_accuracy, seconds. Epoch 0 is the phase's beginning.
        plan: `pandas.DataFrame`, a row a phase: what was trained, where the model was cut and why,
            and the epoch whose weights were kept (0: the beginning).
        seconds: Time it took in all.
        interrupted: Whether Ctrl-C ended it early.
    """

    model: keras.Model = field(repr=False)
    history: pd.DataFrame = field(repr=False)
    plan: pd.DataFrame
    seconds: float
    interrupted: bool = False


def gradual_unfreezing(backbone, stages=1, *, epochs=8, learning_rates=None, head=False):
    """Plan phases that unfreeze a backbone stage by stage, from the head downwards.

    Each phase trains one stage more, at a lower learning rate. Start from a
    solved probe: a random head would send large errors into the backbone.

    Args:
        backbone: A `Backbone`.
        stages: How many stages to unfreeze, one phase each.
        epochs: Epochs of each phase, at most.
        learning_rates: A rate for each phase; by default 3e-4, then half of the one before.
        head: Whether to begin with a phase for the head alone (for a random head).

    Returns:
        List of `Phase`, to print, edit and pass to `fine_tune`.

    Raises:
        ValueError: If there are not so many stages, or not a rate for each phase.

    Example:
        >>> import tlteach as tl
        >>> [phase.name for phase in tl.gradual_unfreezing(tl.load_backbone("vgg16", "mini"), 2)]
        ['block5 + head', 'block4 + block5 + head']

    Reference:
        Howard and Ruder 2018, Universal Language Model Fine-tuning; lesson 03.
    """
    names = list(backbone.stages)
    if not 1 <= stages <= len(names):
        raise ValueError(f"stages must be 1 to {len(names)} for {backbone.name}. Received: {stages}.")
    trained = [(*names[len(names) - n :], HEAD) for n in range(0 if head else 1, stages + 1)]
    rates = learning_rates or [3e-4 / 2**i for i in range(-1 if head else 0, stages)]
    if len(rates) != len(trained):
        raise ValueError(f"there must be a learning rate for each of {len(trained)} phases. Received: {len(rates)}.")
    return [Phase(train, epochs, rate) for train, rate in zip(trained, rates, strict=True)]


def fine_tune(model, data, phases, *, callbacks=(), seed=0, store="default"):
    """Train a model phase by phase, and prove for each that only its stages moved.

    A phase freezes what it does not train and compiles for itself. Everything
    before its first stage is constant, so it is run once and the rest is
    trained on the kept activations (see `Run.plan`). After a phase the weights
    of its best epoch on validation are put back: the phase's beginning counts
    too, so a phase that does not help changes nothing.

    Args:
        model: From `attach_head`, or any flat Keras classifier.
        data: `Splits`; the test split is not touched.
        phases: List of `Phase`.
        callbacks: Keras callbacks for every phase.
        seed: Seed of the order of the pictures, and of dropout.
        store: Feature store, as in `extract_features`.

    Returns:
        `Run`. After Ctrl-C, what has been reached.

    Raises:
        RuntimeError: If a frozen variable moved or a phase trained nothing.

    Side effects:
        Trains `model`, sets `trainable` on its layers, and leaves it compiled.

    Example:
        >>> import tlteach as tl
        >>> vgg, pets = tl.load_backbone("vgg16", "mini"), tl.load_dataset("cats_vs_dogs", "mini")
        >>> few = tl.subset(pets, 20)
        >>> run = tl.fine_tune(tl.attach_head(vgg, 2), few, [tl.Phase(epochs=1)], store=None)
        >>> run.plan["cut at"].tolist()
        ['head_pool']

    Reference:
        Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features; lessons 01 and 03.
    """
    started, histories, plans, interrupted = time.perf_counter(), [], [], False
    phases = [phases] if isinstance(phases, Phase) else phases
    _check_model(model, data)
    for number, phase in enumerate(phases, 1):
        expected = freeze(model, phase.train)
        proof = Proof(model, expected)
        seed_dropout(model, seed + number)
        part, rows, plan = _cut(model, data, phase, store)
        keep = KeepBest(phase.patience)
        interrupted = _fit(part, rows, phase, [keep, *callbacks], seed + number)
        if keep.trained:
            proof.check()
        keep.put_back()
        histories.append(keep.history().assign(phase=number, stages=phase.name))
        plans.append(
            {"phase": number, "trains": phase.name, "variables": len(expected), **plan, "kept epoch": keep.at + 1}
        )
        if interrupted:
            break
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = pd.concat(histories, ignore_index=True) if histories else pd.DataFrame()
    return Run(model, history, pd.DataFrame(plans), time.perf_counter() - started, interrupted)


def _check_model(model, data):
    if model.output_shape[-1] != len(data.classes):
        raise ValueError(
            f"the model must have an output for each of {len(data.classes)} classes. "
            f"Received: {model.output_shape[-1]}."
        )
    if not (data.train.num_examples and data.val.num_examples):
        raise ValueError(
            "train and val must have pictures: the best weights are chosen by validation. "
            f"Received: {data.train.num_examples} and {data.val.num_examples}."
        )


def _fit(part, rows, phase, callbacks, seed):
    """Compile for this phase, once, and fit; return whether Ctrl-C ended it."""
    part.compile(keras.optimizers.Adam(phase.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    train = Rows(*rows["train"], batch_size=phase.batch_size, seed=seed)
    val = Rows(*rows["val"], batch_size=phase.batch_size)
    keep, progress = callbacks[0], Progress(phase)
    try:
        keep.begin(part, part.evaluate(val, verbose=0, return_dict=True))
        part.fit(
            train,
            validation_data=val,
            epochs=phase.epochs,
            shuffle=False,
            callbacks=[keep, progress, *callbacks[1:]],
            verbose=0,
        )
    except KeyboardInterrupt:
        return True
    return False


def _cut(model, data, phase, store):
    """Return the part that is trained, `{split: (x, y)}` for it, and a line that says why."""
    start, why = _where(model, data, phase)
    rows = {}
    for name in ("train", "val"):
        split = getattr(data, name)
        pictures = start in (None, RESIZE)
        x = sized_for(model, split) if pictures else activations(model, start, split, store=store)
        rows[name] = (x, split.labels)
    part = model if start is None else cut(model, start)
    return part, rows, {"cut at": start or "input", "why": why}


def _where(model, data, phase):
    if RESIZE not in [op.name for op in operations_of(model)]:
        return None, "a model of one's own, trained whole"
    stages = list(find_stages(model))
    first = next(stage for stage in stages if stage in phase.train or phase.train == ("all",))
    if first == stages[0]:
        return RESIZE, "nothing before it is frozen"
    start = _pooled(model) if first == HEAD else boundary_before(model, first)
    if start is None:
        return RESIZE, f"several tensors enter {first}"
    size = 4 * int(np.prod(cut(model, start).input_shape[1:])) * (data.train.num_examples + data.val.num_examples)
    if size > LARGEST_CUT:
        return RESIZE, f"the activations would take {size / 2**30:.1f} GiB"
    return start, f"all before it is constant ({size / 2**20:.1f} MiB kept)"


def _pooled(model):
    """The head alone is trained on pooled features, which are small."""
    names = [op.name for op in operations_of(model)]
    return "head_pool" if "head_pool" in names else boundary_before(model, HEAD)
