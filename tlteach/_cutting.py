"""The cut: what a phase does not train is computed once, where that saves more than it costs."""

from typing import NamedTuple

import keras
import numpy as np

from tlteach._augment import Augmented, augmented
from tlteach._pooling import POOL
from tlteach._stages import HEAD, boundary_before, cut, entry_of, find_stages, operations_of
from tlteach._store import read_rows
from tlteach._training import Rows, class_weights
from tlteach.costs import multiply_adds
from tlteach.features import PRECISIONS, activations, known_shape, sized_for

LARGEST_CUT = 4 * 2**30  # bytes of boundary activations that are worth keeping
SMALL_CUT = 64 * 2**20  # bytes that are written and read in no time
WORTH = 1.4  # times that a larger cut must save on paper: below it, writing and reading eat the gain


class Choice(NamedTuple):
    """Where a model is cut (an operation's name, or `None` for a model taken whole), and why."""

    start: str | None
    why: str


def choose_cut(model, data, phase):
    """Choose where to cut a model for a phase.

    Args:
        model: A flat model.
        data: `Splits`.
        phase: `Phase`.

    Returns:
        `Choice`.

    Raises:
        ValueError: If the phase wants a cut that cannot be.
    """
    (start, whole), entry = _boundary(model, phase), entry_of(model)
    if start is None:
        if phase.cut and phase.train != ("all",):
            raise ValueError(f"cut=True needs a place to cut. Received: {phase.name}; {whole.why}.")
        return whole
    images = data.train.num_examples * max(1, phase.copies) + data.val.num_examples
    shape = known_shape(cut(model, start).input_shape[1:], sized_for(model, data.train))
    size = int(np.prod(shape)) * images * np.dtype(PRECISIONS[phase.precision][1]).itemsize
    saved = _saved(model, start, data, phase)
    worth = 1 if size <= SMALL_CUT else WORTH  # a small one serves in any case: a step of fewer layers is built sooner
    if phase.cut is False or (phase.cut is None and saved < worth):
        why = "asked for" if phase.cut is False else f"a cut would save {saved:.1f} times, too little"
        return Choice(entry, f"whole: {why}")
    if phase.cut is None and size > LARGEST_CUT:
        return Choice(entry, f"whole: the activations would take {size / 2**30:.1f} GiB")
    return Choice(start, f"saves {saved:.1f} times the arithmetic ({size / 2**20:.1f} MiB kept)")


def _boundary(model, phase):
    """The operation before all that is trained; or `None` and the choice to make instead."""
    entry = entry_of(model)
    if entry is None:
        return None, Choice(None, "whole: a model of one's own")
    if phase.augment is not None and not phase.copies:
        return None, Choice(entry, "whole: each epoch has other augmented pictures")
    stages = list(find_stages(model))
    first = next(stage for stage in stages if stage in phase.train or phase.train == ("all",))
    if first == stages[0]:
        return None, Choice(entry, "whole: nothing before it is frozen")
    start = _pooled(model) if first == HEAD else boundary_before(model, first)
    return start, Choice(entry, f"whole: several tensors enter {first}")


def _pooled(model):
    """The head alone is trained on pooled features, which are small."""
    names = [op.name for op in operations_of(model)]
    return POOL if POOL in names else boundary_before(model, HEAD)


def _saved(model, start, data, phase):
    """How many times less arithmetic: a step backward costs about two forward, and the frozen part has none."""
    names = [op.name for op in operations_of(model)]
    costs = [multiply_adds(op) for op in operations_of(model)]
    place = names.index(start) + 1
    before, after = sum(costs[:place]), sum(costs[place:])
    train, val, epochs = data.train.num_examples, data.val.num_examples, phase.epochs
    trained = epochs * train * 3 * after + (epochs + 1) * val * after
    whole = trained + (epochs * train + (epochs + 1) * val) * before
    return whole / (trained + (max(1, phase.copies) * train + val) * before)


class Inputs:
    """What each phase is trained and validated on; every piece of it is computed once.

    A phase that is cut late is fed from the activations of one that is cut earlier, if there is one:
    the network's beginning is not run for each of them.

    Args:
        model: The whole model.
        data: `Splits`.
        phases: List of `Phase`.
        store: Feature store.
    """

    def __init__(self, model, data, phases, store):
        self.model, self.data, self.store, self.kept = model, data, store, {}
        self.choices = [choose_cut(model, data, phase) for phase in phases]
        order = [op.name for op in operations_of(model)]
        plain = [c.start for c, p in zip(self.choices, phases, strict=True) if p.augment is None and self._is_cut(c)]
        self.earliest = min(plain, key=order.index, default=None)

    def rows(self, phase, choice, *, seed):
        """Return `(train, val)`, each `Rows`.

        Args:
            phase: `Phase`.
            choice: Its `Choice`.
            seed: Seed of the order, and of augmentation.
        """
        train, val = sized_for(self.model, self.data.train), sized_for(self.model, self.data.val)
        if not self._is_cut(choice):
            self.kept.clear()  # this phase may train what was constant until now
        if phase.augment is None:
            x = self._inputs("train", train, choice, phase)
        elif self._is_cut(choice):
            copies = [Augmented(train, phase.augment, [seed, copy]) for copy in range(phase.copies)]
            x = Copies([self._activations(choice.start, copy, phase) for copy in copies])
        else:
            x = AugmentedAnew(train, phase.augment, seed)
        weights = class_weights(phase, self.data)
        # in a model of one's own, a row's loss may depend on the others
        told = {"batch_size": phase.batch_size, "fill": entry_of(self.model) is not None and weights is None}
        rows = Rows(x, train.labels, seed=seed, class_weight=weights, **told)
        return rows, Rows(self._inputs("val", val, choice, phase), val.labels, **told)

    def _inputs(self, name, split, choice, phase):
        if not self._is_cut(choice):
            return split
        if choice.start == self.earliest or phase.augment is not None:
            return self._earliest(name, choice.start, split, phase)
        rows = self._earliest(name, self.earliest, split, phase)
        return _forward(cut(self.model, self.earliest, end=choice.start), rows, phase.batch_size)

    def _earliest(self, name, start, split, phase):
        key = name, start, phase.precision
        if key not in self.kept:
            self.kept[key] = self._activations(start, split, phase)
        return self.kept[key]

    def _activations(self, start, split, phase):
        return activations(self.model, start, split, store=self.store, precision=phase.precision)

    def _is_cut(self, choice):
        return choice.start not in (None, entry_of(self.model))


def _forward(part, rows, batch_size):
    spans = [range(i, min(i + batch_size, len(rows))) for i in range(0, len(rows), batch_size)]
    outputs = [keras.ops.convert_to_numpy(part.predict_on_batch(read_rows(rows, span))) for span in spans]
    return np.concatenate(outputs)


class Copies:
    """Rows of several augmented copies: each epoch reads the next one."""

    def __init__(self, copies):
        self.copies, self.epoch = copies, 0

    def __getitem__(self, rows):
        return read_rows(self.copies[self.epoch % len(self.copies)], rows)


class AugmentedAnew:
    """Rows of pictures that are augmented anew in every epoch."""

    def __init__(self, split, augment, seed):
        self.split, self.augment, self.seed, self.epoch = split, augment, seed, 0

    def __getitem__(self, rows):
        return augmented(self.split._stack(rows), self.augment, [self.seed, self.epoch, int(rows[0])])
