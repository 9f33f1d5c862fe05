"""Checks of lesson 03, Staged unfreezing."""

from itertools import pairwise

import numpy as np

from tlteach._answers import Count, Number, Table, Word
from tlteach._exercises import Exercise, Mistake
from tlteach._functions import Function
from tlteach._reading import Unfit, shortly
from tlteach.finetune import Phase


class Phases:
    """A list of `tl.Phase`, or a single one."""

    def read(self, answer):
        phases = [answer] if isinstance(answer, Phase) else list(answer) if isinstance(answer, (list, tuple)) else None
        if phases is None or not phases or not all(isinstance(each, Phase) for each in phases):
            raise Unfit(
                f"a list of `tl.Phase` is asked for, such as [tl.Phase('head', epochs=5)]. Received: {shortly(answer)}."
            )
        return phases

    def difference(self, value, right):
        return None if value == right else "The phases are other ones."


_STEPS = ({"head"}, {"conv5", "head"}, {"conv4", "conv5", "head"})


def _stages(phases):
    return [set(phase.train) for phase in phases]


def _rates(phases):
    return [max(p.learning_rate.values()) if isinstance(p.learning_rate, dict) else p.learning_rate for p in phases]


def _falls(phases):
    rates = _rates(phases)
    return all(0 < b <= a for a, b in pairwise(rates)) and rates[0] <= 0.02


def _plan(trains=(["head"], ["conv5", "head"], ["conv4", "conv5", "head"]), rates=(1e-3, 3e-4, 1e-4)):
    return [Phase(train, epochs=5, learning_rate=rate) for train, rate in zip(trains, rates, strict=True)]


_CAUSES = {
    "rate too high": ["too high"],
    "rate too low": ["too low"],
    "no compile": ["changed after compile", "trainable after compile", "not compiled"],
    "BatchNorm moves": ["batchnorm", "batch norm", "batchnorm moves"],
    "cached augmentation": ["augmentation cached", "augmented then cached", "cached"],
}
_SYMPTOMS = {"A": "rate too high", "B": "no compile", "C": "BatchNorm moves", "D": "cached augmentation"}


def _told(**others):
    return _SYMPTOMS | others


_BEFORE = {"conv1": np.array([1.0, 2.0]), "mean": np.array([0.5, -0.5]), "conv5": np.zeros(2), "head": np.ones(2)}
_TRAINED = ["conv5", "head"]
_CASES = (
    (_BEFORE, _BEFORE | {"mean": np.array([0.6, -0.6]), "conv5": np.ones(2)}, _TRAINED),
    (_BEFORE, _BEFORE | {"conv5": np.ones(2), "head": np.zeros(2)}, _TRAINED),
    (_BEFORE, _BEFORE | {"mean": np.array([0.5, -0.5 + 1e-9]), "conv1": np.array([1.0, 2.5])}, _TRAINED),
    (_BEFORE, _BEFORE | {"conv1": np.array([3.0, 0.0])}, ["conv5", "head", "mean"]),
    (_BEFORE, _BEFORE | {"conv1": np.array([0.5, 2.0])}, _TRAINED),
    (_BEFORE | {"conv5_bn": np.zeros(2)}, _BEFORE | {"conv5_bn": np.ones(2)}, _TRAINED),
)


def _moved(before, after, trained):
    return [name for name in before if name not in trained and not np.array_equal(before[name], after[name])]


def _all_moved(before, after, trained):
    return [name for name in before if not np.array_equal(before[name], after[name])]


def _trained_moved(before, after, trained):
    return [name for name in before if name in trained and not np.array_equal(before[name], after[name])]


def _about(before, after, trained):
    return [name for name in before if name not in trained and not np.allclose(before[name], after[name])]


def _by_sum(before, after, trained):
    return [name for name in before if name not in trained and before[name].sum() != after[name].sum()]


def _still(before, after, trained):
    return [name for name in before if name not in trained and np.array_equal(before[name], after[name])]


_ARMS = {
    "A trains": Word({"conv5, then conv4 too": ["conv5 then conv4"], "conv5 alone": ["only conv5"]}),
    "A epochs": Number(),
    "B trains": Word({"conv5, then conv4 too": ["conv5 then conv4"], "conv5 alone": ["only conv5"]}),
    "B epochs": Number(),
    "compare on": Word({"validation": ["val"], "test": [], "training": ["train"]}),
    "seeds": Count(),
}


def _design(a="conv5, then conv4 too", a_epochs=12, b="conv5 alone", b_epochs=12, on="validation", seeds=3):
    return {"A trains": a, "A epochs": a_epochs, "B trains": b, "B epochs": b_epochs, "compare on": on, "seeds": seeds}


def _right_design(d):
    parted = d["A trains"] != d["B trains"] and d["A epochs"] == d["B epochs"] > 1
    return parted and d["compare on"] == "validation" and d["seeds"] >= 3


EXERCISES = [
    Exercise(
        "03.1",
        Number(unit="variables"),
        right=22,
        accepts=[22, "22", 22.0, np.int64(22)],
        mistakes=[
            Mistake([2], "That is the head alone: its kernel and its bias. `conv5` is to move as well."),
            Mistake([20], "That is `conv5` alone. The head moves too."),
            Mistake(
                [60, 62],
                "That counts BatchNorm's variables (four in each of ten layers). They stay frozen, one layer at a time.",
            ),
            Mistake(
                [42, 40],
                "That counts BatchNorm's scale and shift, two in each of ten layers. `freeze` leaves these frozen as well.",
            ),
            Mistake(
                [937_730, 936_704],
                "Those are single numbers. A variable is a kernel or a bias as a whole: count the variables.",
            ),
            Mistake([320, 318], "That is every variable of the model, whether it may move or not."),
            Mistake(
                [30],
                "ResNet50's `conv5` has ten convolutions, and each has two variables that may move. Did you count BatchNorm?",
            ),
        ],
        otherwise="`tl.freeze` gives back the variables that may move: how long is that list?",
        hints=(
            "`conv5` has ten convolutions, each with a kernel and a bias; the head is one layer more.",
            '`len(tl.freeze(model, ["conv5", "head"]))`',
        ),
        note="22 of 320. Counting them before training is the cheapest test of a recipe: stuck fine-tuning shows here.",
    ),
    Exercise(
        "03.2",
        Phases(),
        right=lambda phases: _stages(phases) == list(_STEPS) and _falls(phases),
        accepts=[
            _plan(),
            tuple(_plan(rates=(1e-3, 1e-3, 1e-3))),
            [
                Phase("head"),
                Phase(["head", "conv5"], learning_rate={"conv5": 1e-4, "head": 5e-4}),
                Phase(["conv5", "conv4", "head"], learning_rate=5e-5),
            ],
        ],
        mistakes=[
            Mistake(
                [[Phase("head"), Phase("all", learning_rate=1e-4)]],
                "`all` unfreezes everything at once. Name the stages, one more in each phase.",
                when=lambda p: any("all" in s for s in _stages(p)),
            ),
            Mistake(
                [[Phase("head"), Phase(["block5", "head"], learning_rate=1e-4)]],
                "`block5` is a stage of VGG16. ResNet50's are `conv1` to `conv5`.",
                when=lambda p: any(name.startswith("block") for s in _stages(p) for name in s),
            ),
            Mistake(
                [_plan(rates=(1e-4, 3e-4, 1e-3))],
                "The rate rises. The more of the backbone moves, the more it has to lose: lower it from phase to phase.",
                when=lambda p: _stages(p) == list(_STEPS) and any(b > a for a, b in pairwise(_rates(p))),
            ),
            Mistake(
                [_plan(rates=(0.5, 0.1, 0.1))],
                "At such a rate the first steps wreck the backbone, as the lesson's curve at 0.1 shows. Begin at 1e-2 or less.",
                when=lambda p: _stages(p) == list(_STEPS) and not _falls(p),
            ),
            Mistake(
                [_plan((["head"], ["conv5"], ["conv4", "conv5"])), _plan((["head"], ["conv5"], ["conv4"]))],
                "The head is frozen again in a later phase. It must be able to follow the backbone: train it in each phase.",
                when=lambda p: any("head" not in s for s in _stages(p)),
            ),
            Mistake(
                [_plan((["head"], ["conv4", "head"], ["conv5", "conv4", "head"]))],
                "`conv4` comes before `conv5` here. One unfreezes from the head downwards, so `conv5` is first.",
                when=lambda p: any("conv4" in s and "conv5" not in s for s in _stages(p)),
            ),
            Mistake(
                [_plan((["conv5", "head"], ["conv4", "conv5", "head"]), (1e-3, 1e-4)), _plan()[1:]],
                "The head is random here: alone first, or its first errors go into the backbone.",
                when=lambda p: _stages(p)[0] != {"head"},
            ),
            Mistake(
                [_plan()[:2], _plan()[:1]],
                "A phase is missing: the head, then `conv5` too, then `conv4` too.",
                when=lambda p: len(p) < 3,
            ),
            Mistake(
                [_plan()[:2] + [Phase(["conv4", "conv5", "head"], learning_rate=1e-4)] * 2],
                "Three phases are asked for, and these are more.",
                when=lambda p: len(p) > 3,
            ),
        ],
        otherwise="Three phases: `head`; `conv5` and `head`; `conv4`, `conv5` and `head`; with rates that do not rise.",
        hints=(
            "Each phase trains what the one before trained, and one stage more.",
            'It begins with `tl.Phase("head", epochs=5, learning_rate=1e-3)`.',
        ),
        note="That is what `tl.gradual_unfreezing(resnet, stages=2, head=True)` plans. With a solved probe the first phase is not needed.",
    ),
    Exercise(
        "03.3",
        Table(dict.fromkeys("ABCD", Word(_CAUSES))),
        right=_SYMPTOMS,
        accepts=[
            _SYMPTOMS,
            ["Rate too high", "no compile", "BatchNorm", "cached"],
            {"A": "too high", "B": "not compiled", "C": "batchnorm moves", "D": "cached augmentation"},
        ],
        mistakes=[
            Mistake(
                [_told(A="rate too low")],
                "A: a rate that is too low leaves the probe's 0.80 alone. Here it fell to a coin within an epoch.",
                when=lambda t: t["A"] == "rate too low",
            ),
            Mistake(
                [_told(B="rate too low")],
                "B: at a rate that is too low nothing gets anywhere, but `conv5` would still move by a little. It moved by *exactly* zero.",
                when=lambda t: t["B"] == "rate too low",
            ),
            Mistake(
                [_told(C="rate too high", A="BatchNorm moves"), _told(C="rate too high")],
                "C: the rate is zero, so it cannot be too high. What moves without any gradient?",
                when=lambda t: t["C"] in ("rate too high", "rate too low"),
            ),
            Mistake(
                [_told(D="BatchNorm moves", C="cached augmentation"), _told(D="BatchNorm moves")],
                "D: nothing of the model is compared there, only pictures. Why are those of two epochs equal, after a *random* turn?",
                when=lambda t: t["D"] != "cached augmentation",
            ),
            Mistake(
                [_told(B="BatchNorm moves")],
                "B: there too little moved, not too much. What did the compiled model know of `conv5`?",
                when=lambda t: t["B"] == "BatchNorm moves",
            ),
            Mistake(
                [_told(A="BatchNorm moves"), _told(A="no compile")],
                "A: training itself broke within an epoch, on training pictures too. Which cause throws the weights so far?",
                when=lambda t: t["A"] != "rate too high",
            ),
            Mistake(
                [_told(C="no compile"), _told(C="cached augmentation")],
                "C: without a gradient step something of the model moved all the same. What does training update besides weights?",
                when=lambda t: t["C"] != "BatchNorm moves",
            ),
        ],
        otherwise="Ask of each: did too much move, too little, or nothing new come in? The five wrong ways of the lesson are the causes.",
        hints=(
            "One cause is left over.",
            "A: training broke. B: exactly zero, although declared. C: moves without a gradient. D: random, and yet the same.",
        ),
        note="None of the four raised an error. That is why the library counts, proves and refuses.",
    ),
    Exercise(
        "03.4",
        Function(_CASES, ordered=False),
        right=_moved,
        accepts=[
            _moved,
            lambda b, a, t: sorted(k for k in set(b) - set(t) if (b[k] != a[k]).any()),
            lambda before, after, trained: [
                k for k, v in before.items() if k not in trained and v.tobytes() != after[k].tobytes()
            ],
        ],
        mistakes=[
            Mistake([_all_moved], "You name those that were trained as well. These may move: leave them out."),
            Mistake([_trained_moved], "You name what was trained and moved, as it should. Which *others* moved?"),
            Mistake(
                [_about],
                "`allclose` lets small moves pass. Frozen means bit by bit: compare with `np.array_equal` or `!=`.",
            ),
            Mistake(
                [_by_sum], "Two numbers may move against each other, and their sum stands still. Compare each number."
            ),
            Mistake([_still], "These are the ones that stood still. Turn the comparison around."),
        ],
        otherwise="Give a list of the names that are not in `trained` and whose arrays are not equal, number by number.",
        hints=(
            "`for name in before`, and two conditions.",
            "`name not in trained and not np.array_equal(before[name], after[name])`",
        ),
        note="This is the proof that `fine_tune` makes after each phase. BatchNorm's means are what it catches most.",
    ),
    Exercise(
        "03.5",
        Table(_ARMS),
        right=_right_design,
        accepts=[
            _design(),
            _design(a_epochs=6, b_epochs=6, seeds=10),
            _design(a="conv5 alone", b="conv5, then conv4 too"),
            ["conv5, then conv4 too", 12, "conv5 alone", 12, "val", 5],
        ],
        mistakes=[
            Mistake(
                [_design(b_epochs=6)],
                "One arm trains longer than the other, so that you would not know again whether `conv4` did it or the epochs. Give both as many.",
                when=lambda d: d["A trains"] != d["B trains"] and d["A epochs"] != d["B epochs"],
            ),
            Mistake(
                [_design(b="conv5, then conv4 too")],
                "Both train the same stages. Let one leave `conv4` frozen.",
                when=lambda d: d["A trains"] == d["B trains"],
            ),
            Mistake(
                [_design(on="test")],
                "To choose on the test split uses it up: what it says afterwards flatters. Compare on validation.",
                when=lambda d: d["compare on"] == "test",
            ),
            Mistake(
                [_design(on="training")],
                "On training pictures the larger part always wins: it learns more by heart.",
                when=lambda d: d["compare on"] == "training",
            ),
            Mistake(
                [_design(seeds=1)],
                "The gain was a few points and so was the spread: take three seeds at least.",
                when=lambda d: d["seeds"] < 3,
            ),
        ],
        otherwise="Two arms that differ in `conv4` alone, as many epochs (two or more: one for each phase) in both, compared on validation.",
        hints=(
            "In the lesson two things changed with the second phase. Which one do you ask about? Hold the other still.",
            "Both arms 12 epochs; in one of them `conv4` stays frozen.",
        ),
        note="Run it if you like: `conv5` for 12 epochs against 6 and 6. The lesson did not separate the two, and says so.",
    ),
]
