"""Traps in the data: what stands on two sides, what is random where it should not be, and what is in a bad order."""

import re
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import keras
import numpy as np

from tlteach._pictures import near_pairs
from tlteach._recipe_model import Subject
from tlteach._recipe_reading import ROWS, Part, first, hashes_of

_CONTENT = 16  # numbers in a row from which equal rows are no chance
_NEAR_SHARE = 0.02  # of a part's pictures: fewer alike ones are left to `check_leakage`
_RANDOM = re.compile(r"Stateless(Random|Truncated|Multinomial)|Random(Uniform|StandardNormal|Gamma|Poisson)|Truncated")
_SPLIT = "x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y)  # before anything else"
_DRAWN_ONCE = "rows = rows.shuffle(n, seed=0, reshuffle_each_iteration=False)  # before take() and skip()"
_KEPT = re.compile(r"Cache|Snapshot|Save")


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        severity: `"error"` (the result is wrong, or `fit` fails), `"warning"` (it is worse than it
            could be, or says less) or `"hint"`.
        evidence: What was seen, with numbers.
        mend: The line that mends it.
    """

    severity: str
    evidence: str
    mend: str


@dataclass(eq=False)
class Case:
    """All that the checks look at.

    Attributes:
        subject: The model.
        parts: Dict from `"train"`, `"val"`, `"test"` to `Part`, of those that were given.
        classes: Class names in the order of the model's outputs, or `None`.
        groups: Column of the parts' tables that must not span two of them, or `None`.
    """

    subject: Subject
    parts: dict[str, Part]
    classes: list | None = None
    groups: str | None = None

    @property
    def train(self):
        """The part that the model learns from."""
        return self.parts["train"]


def duplicates(case):
    """Find rows that stand in two parts, exactly or (pictures) mirrored, or nearly.

    Source: Yagis et al. 2021 (accuracy inflated by 29 to 55 points); `check_leakage`.
    """
    for one, other in combinations(case.parts.values(), 2):
        shared, total = _shared(one, other)
        if shared and not _is_test_in(one, other) and not _is_val_test(one, other, shared, total):
            evidence = f"{shared} of {total} rows of {other.name} stand in {one.name} too"
            yield _by_cause(case, other, evidence, _without(one, other))
        elif not shared and (turned := _mirrored(one, other)):
            evidence = f"{turned} pictures of {other.name} are the mirror image of one of {one.name}"
            yield Finding("error", evidence, "split first; then augment train alone")
        elif not shared and (alike := _alike(one, other)):
            evidence = f"{alike} pictures of {other.name} look almost like one of {one.name}"
            yield Finding("error", evidence, "split before copies are made, or take tl.from_folder(...), which does so")


def groups(case):
    """Find patients, speakers or other groups that stand in two parts.

    Source: Yagis et al. 2021; brain MRI by slice 96.6 %, by patient 88.5 %.
    """
    for one, other in combinations(case.parts.values(), 2):
        if case.groups and one.table is not None and other.table is not None:
            both = set(one.table[case.groups].dropna()) & set(other.table[case.groups].dropna())
            if both:
                evidence = f"{len(both)} of the column {case.groups!r} stand in {one.name} and in {other.name}"
                yield Finding("error", evidence, f"tl.resplit(splits, by={case.groups!r})")


def test_in_train(case):
    """Find test rows among those that the model learns from.

    Source: the Keras guides' evaluation rule; Kapoor and Narayanan 2023, leakage in 17 fields.
    """
    if "test" in case.parts:
        shared, total = _shared(case.train, case.parts["test"])
        if shared:
            evidence = f"{shared} of {total} test rows stand in train"
            yield _by_cause(case, case.parts["test"], evidence, _SPLIT)


def test_as_validation(case):
    """Find out whether validation, which chooses, is the test.

    Source: d2l's dog lesson and others: the test set used as validation.
    """
    if {"val", "test"} <= set(case.parts):
        val, test = case.parts["val"], case.parts["test"]
        shared, total = _shared(val, test)
        if val.source is test.source or _is_val_test(val, test, shared, total):
            evidence = f"validation and test are the same data ({shared} of {total} rows)"
            yield Finding("error", evidence, "take validation from train: fit(..., validation_split=0.2)")


def _shared(one, other):
    """Return how many rows of the other stand in one, and how many it has."""
    if not _tells(one) or not _tells(other):
        return 0, len(other.hashes)
    known = set(one.hashes)
    shared = sum(each in known and not _is_blank(other, i) for i, each in enumerate(other.hashes))
    return shared or len(known & _new(other)), len(other.hashes)


def _new(part):
    """What a second reading brings that the first did not."""
    return set(part.again or []) - set(part.hashes)


def _by_cause(case, part, evidence, mend):
    if _is_drawn_anew(case, part):
        return Finding("error", f"{evidence}; the split is drawn anew at each reading", _DRAWN_ONCE)
    return Finding("error", evidence, mend)


def _is_drawn_anew(case, part):
    """Whether what a second reading brings stands in other parts, as if `shuffle` came before `take` and `skip`."""
    new = _new(part)
    others = {each for other in case.parts.values() if other is not part for each in [*other.hashes, *_new(other)]}
    return bool(new) and len(new & others) >= len(new) / 4  # augmented ones stand nowhere else


def _tells(part):
    """Whether a row holds so much that two equal ones are no chance."""
    x = first(part.x)
    return (
        part.table is not None
        or x.dtype.kind in "OSU"
        or sum(v[0].size for v in keras.tree.flatten(part.x)) >= _CONTENT
    )


def _is_blank(part, i):
    x = first(part.x)
    return part.table is None and x.dtype.kind in "fiu" and x[i].max(initial=0) == x[i].min(initial=0)


def _is_test_in(one, other):
    return (one.name, other.name) == ("train", "test")


def _is_val_test(one, other, shared, total):
    return (one.name, other.name) == ("val", "test") and shared >= 0.9 * total


def _without(one, other):
    seen = f"seen = {{row.tobytes() for row in x_{one.name}}}"
    keep = f"keep = [row.tobytes() not in seen for row in x_{other.name}]"
    return f"{seen}\n{keep}\nx_{other.name}, y_{other.name} = x_{other.name}[keep], y_{other.name}[keep]"


def _mirrored(one, other):
    """Count pictures that were turned left to right before the parts were drawn; one that is its own mirror is none."""
    x = first(other.x)
    if one.table is not None or other.table is not None or x.ndim != 4 or len(keras.tree.flatten(other.x)) > 1:
        return 0
    known, rows = set(one.hashes), min(len(x), ROWS)
    turned = hashes_of(x[:rows, :, ::-1], rows)
    return sum(mirror in known and mirror != own for mirror, own in zip(turned, other.hashes, strict=False))


def _alike(one, other):
    looks = one.looks(), other.looks()
    if not all(looks):
        return 0
    count = len(looks[0])
    found = {j for i, j, _ in near_pairs([*looks[0], *looks[1]]) if i < count <= j}
    return len(found) if len(found) >= max(2, _NEAR_SHARE * len(looks[1])) else 0


def augmented_validation(case):
    """Read validation and test twice: what is read to be measured must be the same both times.

    Source: keras-preprocessing's generators, one of which often serves both training and validation.
    """
    for part in (case.parts.get("val"), case.parts.get("test")):
        if part is None or part.again is None or _is_drawn_anew(case, part):
            continue
        one, two = set(part.hashes), set(part.again)
        differs = one != two if part.complete else not one & two
        if differs and len(one & two) < len(one):
            evidence = f"{len(one - two)} of {len(one)} rows of {part.name} are others when it is read again"
        elif _first_random(part.source):
            evidence = f"the pipeline of {part.name} has the random operation {_first_random(part.source)}"
        else:
            continue
        yield Finding(
            "warning", evidence, f"{part.name} = {part.name}_without_the_random_layers  # augment train alone"
        )


def frozen_augmentation(case):
    """Look for a cache behind random operations: every epoch then sees the same "random" pictures.

    Source: the Keras transfer learning guide, which maps the augmentation and caches afterwards.
    """
    for kept in _pipeline(case.train.source):
        name = type(kept).__name__
        drawn = _first_random(kept) if _KEPT.search(name) else None
        if drawn:
            evidence = (
                f"{name.strip('_')} stands behind the random operation {drawn}: it keeps the first epoch's pictures"
            )
            yield Finding("error", evidence, "train = train.cache().map(augment)  # the cache comes first")
            return


def _pipeline(source):
    """A `tf.data.Dataset` and all it is made of, the last first; nothing for other data."""
    if not (hasattr(source, "element_spec") and hasattr(source, "_inputs")):
        return []
    found, left = [], [source]
    while left:
        found.append(left.pop())
        left += found[-1]._inputs()
    return found


def _first_random(source):
    """Name a random operation of a pipeline, or return `None`."""
    for each in _pipeline(source):
        for function in each._functions():
            graph = function.function.graph.as_graph_def()
            nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
            drawn = next((node.op for node in nodes if _RANDOM.match(node.op)), None)
            if drawn:
                return drawn
    return None


def sorted_batches(case):
    """Look whether batches hold one class each: a network then forgets one class while it learns the next.

    Source: Bengio 2012, Practical recommendations: shuffle; `image_dataset_from_directory(shuffle=False)`.
    """
    batches = [as_index(y) for y in case.train.batches or [] if len(y) >= 4]
    if len(batches) < 3 or any(y is None for y in batches):
        return
    alone = sum(len(np.unique(y)) == 1 for y in batches)
    if alone >= 0.7 * len(batches) and max(np.bincount(np.concatenate(batches))) < 0.9 * sum(map(len, batches)):
        evidence = f"{alone} of the first {len(batches)} training batches hold a single class"
        yield Finding("error", evidence, "train = train.shuffle(number_of_rows)  # before batch()")


def constant_labels(case):
    """Look whether all labels of a part are the same.

    Source: labels read from the wrong column or folder; `flow_from_directory` on a folder above the classes.
    """
    for part in case.parts.values():
        y = as_index(part.y)
        if y is not None and len(y) >= 8 and len(np.unique(y)) == 1:
            evidence = f"all {len(y)} labels of {part.name} that were read are {y[0]}"
            yield Finding("error", evidence, "look at the labels: np.unique(y, return_counts=True)")


def as_index(y):
    """Labels as numbers of classes, or `None` if they are none."""
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(1) if y.dtype.kind in "fiub" and np.allclose(y.sum(1), 1) else None
    if y.ndim > 2 or y.dtype.kind not in "fiub":
        return None
    y = y.reshape(-1)
    return y.astype(int) if np.all(y == np.floor(y)) and y.min(initial=0) >= 0 else None


def ranges_differ(case):
    """Compare the parts' ranges: one that was rescaled and one that was not are two kinds of picture.

    Source: the Kaggle notebooks' two generators, of which one has `rescale=1./255`.
    """
    ranges = {name: _range(part) for name, part in case.parts.items()}
    if ranges["train"] is None:
        return
    low, high = ranges["train"]
    for name, other in ranges.items():
        if other is None or high == low or other[0] == other[1]:
            continue
        times = (other[1] - other[0]) / (high - low)
        moved = abs((other[0] + other[1]) - (low + high)) / 2 > 0.4 * (high - low)
        if not 1 / 3 < times < 3 or moved:
            evidence = f"train lies in {low:.3g}..{high:.3g}, {name} in {other[0]:.3g}..{other[1]:.3g}"
            yield Finding("error", evidence, f"x_{name} = the same preprocessing as x_train; best inside the model")


def _range(part):
    x = first(part.sample(64)[0])
    if x.ndim != 4 or x.dtype.kind not in "fiu":
        return None
    return float(np.min(x)), float(np.max(x))


CHECKS = {
    "test data in training": test_in_train,
    "test data used for validation": test_as_validation,
    "duplicates across splits": duplicates,
    "groups across splits": groups,
    "augmentation in validation": augmented_validation,
    "augmentation before a cache": frozen_augmentation,
    "training data sorted by class": sorted_batches,
    "one label only": constant_labels,
    "ranges differ between splits": ranges_differ,
}
