"""Fine-tuning: phases that each train some stages, on activations computed once."""

import time
from dataclasses import dataclass, field

import keras
import pandas as pd

from tlteach._augment import check_augment
from tlteach._checkpoint import checkpoint_of
from tlteach._cutting import Inputs
from tlteach._optimizers import KINDS, SCHEDULES, optimizer_for, source_of
from tlteach._stages import HEAD, cut
from tlteach._training import KeepBest, Progress, class_weights, measure, train_epochs
from tlteach.features import PRECISIONS
from tlteach.freezing import Proof, freeze, frozen_dropout_off

_CHOICES = {"schedule": SCHEDULES, "optimizer": KINDS, "keep": ("best", "last"), "precision": PRECISIONS}
_COLUMNS = "phase stages epoch loss accuracy val_loss val_accuracy learning_rate seconds".split()


@dataclass(frozen=True)
class Phase:
    """One step of the training schedule.

    Attributes:
        train: Names of the stages that are trained, such as `("block5", "head")`, or `("all",)`.
        epochs: Passes over the training split, at most.
        learning_rate: The optimizer's highest learning rate; or a dict with a rate for each stage.
        schedule: `"constant"`, `"cosine"` (a tenth of the steps up, then down to zero) or
            `"one_cycle"` (a third up, then down).
        optimizer: `"adam"` or `"sgd"`.
        keep: `"best"` puts the weights of the best epoch on validation back; `"last"` keeps the end.
        patience: Epochs without a better one after which it stops, if the best is kept.
        batch_size: Pictures a step.
        augment: Keras layer, or `Sequential` of them, that changes training pictures at random.
        copies: With `augment`: 0 draws anew in each epoch, so nothing can be kept; 2 or more
            keep so many augmented copies, and each epoch reads the next one.
        cut: Whether what stands before the trained stages is computed once: `None` where that
            saves more than it costs, or `True` or `False`.
        precision: Of the kept activations: `"float32"`; or `"float16"` or `"bfloat16"`, which
            take half the disk or time and are approximations.
        weight_decay: Share of each kernel that a step takes away, times the (highest) learning rate;
            biases and normalisation are left alone (Loshchilov and Hutter 2019).
        source_pull: Share of the way back to where `fine_tune` began that a step takes with each weight of the
            backbone, times the (highest) learning rate: L2-SP, apart from the gradient like weight decay
            (Li et al. 2018). The head is left alone. Of use where the source's weights are better than zero.
        class_weight: How much an example of each class counts in the training loss: a dict from class
            name to weight, `"balanced"` (rare classes count more, so that all count alike), or `None`.
    """

    train: tuple = (HEAD,)
    epochs: int = 5
    learning_rate: float | dict = 1e-3
    schedule: str = "constant"
    optimizer: str = "adam"
    keep: str = "best"
    patience: int = 3
    batch_size: int = 32
    augment: keras.Layer | None = None
    copies: int = 0
    cut: bool | None = None
    precision: str = "float32"
    weight_decay: float = 0.0
    source_pull: float = 0.0
    class_weight: dict | str | None = None

    def __post_init__(self):
        train = (self.train,) if isinstance(self.train, str) else tuple(self.train)
        object.__setattr__(self, "train", train)
        for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}. Received: {getattr(self, name)}.")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}. Received: {getattr(self, name)!r}.")
        if isinstance(self.learning_rate, dict) and set(self.learning_rate) != set(train):
            raise ValueError(f"each stage of {train} must have its learning rate. Received: {self.learning_rate}.")
        for name in ("weight_decay", "source_pull"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more. Received: {getattr(self, name)}.")
        check_augment(self.augment, self.copies)

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
            val_accuracy, learning_rate, seconds. Epoch 0 is the phase's beginning.
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


def gradual_unfreezing(backbone, stages=1, *, epochs=8, learning_rates=None, decay=1.0, head=False):
    """Plan phases that unfreeze a backbone stage by stage, from the head downwards.

    Each phase trains one stage more, at a lower learning rate. Start from a
    solved probe: a random head would send large errors into the backbone.

    Args:
        backbone: A `Backbone`.
        stages: How many stages to unfreeze, one phase each.
        epochs: Epochs of each phase, at most.
        learning_rates: A rate for each phase; by default 3e-4, then half of the one before.
        decay: With more than 1, each stage learns so many times slower than the one after it
            (discriminative learning rates; Howard and Ruder take 2.6).
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
    if decay < 1:
        raise ValueError(f"decay must be 1 or more: lower stages learn slower. Received: {decay}.")
    trained = [(*names[len(names) - n :], HEAD) for n in range(0 if head else 1, stages + 1)]
    rates = learning_rates or [3e-4 / 2**i for i in range(-1 if head else 0, stages)]
    if len(rates) != len(trained):
        raise ValueError(f"there must be a learning rate for each of {len(trained)} phases. Received: {len(rates)}.")
    return [Phase(train, epochs, _slower(train, rate, decay)) for train, rate in zip(trained, rates, strict=True)]


def _slower(train, rate, decay):
    """A rate for each stage, lower the farther from the head; one for all if they are equal."""
    return rate if decay == 1 else {stage: rate / decay**i for i, stage in enumerate(reversed(train))}


def fine_tune(model, data, phases, *, callbacks=(), seed=0, store="default"):
    """Train a model phase by phase, and prove for each that only its stages moved.

    A phase freezes what it does not train and compiles for itself. Everything
    before its first stage is constant, so it is run once, and the rest is
    trained on the kept activations, where that saves work (see `Run.plan`).
    After a phase the weights of its best epoch on validation are put back (unless
    it keeps the last): its beginning counts too, so a phase that does not help
    changes nothing.

    Args:
        model: From `attach_head`, or any flat Keras classifier.
        data: `Splits`; the test split is not touched.
        phases: List of `Phase`.
        callbacks: Keras callbacks for every phase. They see the whole model.
        seed: Seed of the order of the pictures, of augmentation and of dropout.
        store: Feature store, as in `extract_features`. The run is written down there too after
            each epoch: if it is killed, the same call goes on from there (callbacks begin anew).

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
        >>> run = tl.fine_tune(tl.attach_head(vgg, 2), few, [tl.Phase(epochs=3)], store=None)
        >>> run.plan["cut at"].tolist()
        ['head_pool']

    Reference:
        Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features; lessons 01 and 03.
    """
    started, interrupted = time.perf_counter(), False
    phases = [phases] if isinstance(phases, Phase) else list(phases)
    _check(model, data, phases)
    inputs = Inputs(model, data, phases, store)
    source = source_of(model, phases)  # before a run that was killed is taken up
    checkpoint = checkpoint_of(model, data, phases, seed=seed, store=store)
    for number, phase in list(enumerate(phases))[checkpoint.finished :]:
        may_move = freeze(model, phase.train)
        proof = Proof(model, may_move)
        start, why = inputs.choices[number]
        rows = inputs.rows(phase, inputs.choices[number], seed=seed + number + 1)
        keep = KeepBest(model if start is None else cut(model, start), phase)
        optimizer = optimizer_for(phase, model, phase.epochs * len(rows[0]), source=source)
        interrupted = _train(model, rows, optimizer, keep=keep, callbacks=callbacks, checkpoint=checkpoint)
        if keep.trained:
            proof.check()
        keep.put_back()
        plan = {"variables": len(may_move), "cut at": start or "input", "why": why, "kept epoch": keep.at + 1}
        checkpoint.finish_phase(keep.rows, {"trains": phase.name, **plan}, write=not interrupted)
        if interrupted:
            break
    return _run(model, checkpoint, time.perf_counter() - started, interrupted=interrupted)


def _run(model, checkpoint, seconds, *, interrupted):
    if not interrupted:
        checkpoint.close()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    plans = [{"phase": number, **plan} for number, plan in enumerate(checkpoint.plans, 1)]
    rows = [
        {"phase": plan["phase"], "stages": plan["trains"], **row}
        for plan, history in zip(plans, checkpoint.histories, strict=True)
        for row in history
    ]
    return Run(model, pd.DataFrame(rows, columns=_COLUMNS), pd.DataFrame(plans), seconds, interrupted)


def _check(model, data, phases):
    for phase in phases:
        freeze(model, phase.train)  # an unknown stage is told before any work is done
        class_weights(phase, data)
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


def _train(model, rows, optimizer, *, keep, callbacks, checkpoint):
    """Compile for this phase, once, and train; return whether Ctrl-C ended it."""
    (train, val), part, phase = rows, keep.part, keep.phase
    metrics = {"weighted_metrics" if train.fill else "metrics": ["accuracy"]}  # what fills a batch up counts nothing
    for each in {id(m): m for m in (model, part)}.values():  # callbacks see the whole model
        each.compile(optimizer, "sparse_categorical_crossentropy", **metrics)
    optimizer.build(part.trainable_variables)
    try:
        with frozen_dropout_off(model, phase.train):
            done = checkpoint.begin(part, keep, phase.epochs)
            if done == 0:
                keep.begin(measure(part, val))
            every = [keep, Progress(phase, done), *callbacks, checkpoint]
            every = keras.callbacks.CallbackList(every, model=model, epochs=phase.epochs, steps=len(train), verbose=0)
            train_epochs(part, train, val, every, epochs=range(done, phase.epochs))
    except KeyboardInterrupt:
        return True
    return False
