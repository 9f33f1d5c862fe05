"""Checks of lesson 08, How much data, how much fine-tuning."""

import numpy as np

from tlteach._answers import Count, Number, Table, Word
from tlteach._exercises import Exercise, Mistake
from tlteach._functions import Function


def _pull(weight, source, rate, pull):
    return weight - rate * pull * (weight - source)


def _decay(weight, source, rate, pull):
    return weight - rate * pull * weight


def _away(weight, source, rate, pull):
    return weight + rate * pull * (weight - source)


def _without_rate(weight, source, rate, pull):
    return weight - pull * (weight - source)


def _way_alone(weight, source, rate, pull):
    return -rate * pull * (weight - source)


def _without_pull(weight, source, rate, pull):
    return weight - rate * (weight - source)


def _shares_swapped(weight, source, rate, pull):
    return source + rate * pull * (weight - source)


def _twice(weight, source, rate, pull):
    return weight - 2 * rate * pull * (weight - source)


def _to_the_source(weight, source, rate, pull):
    return source - rate * pull * (weight - source)


_CASES = (
    (np.array([1.0, 2.0]), np.array([0.5, 2.0]), 0.1, 2.0),
    (np.array([-1.0, 0.25]), np.array([1.0, 0.0]), 0.01, 50.0),
    (np.array([3.0]), np.array([3.0]), 0.1, 5.0),
)

_DO = {
    "stop earlier": ["early stopping", "stop"],
    "train longer": ["longer"],
    "hold the source": ["hold", "hold source", "pull", "source_pull", "L2-SP"],
    "keep it": ["keep", "nothing"],
}
_NEXT = {"A": "stop earlier", "B": "train longer", "C": "hold the source", "D": "keep it"}


def _told(**others):
    return _NEXT | others


_DESIGN = {
    "compare at": Word(
        {
            "the same gain on the target": ["same gain", "same target accuracy"],
            "the same number of epochs": ["same epochs"],
            "the last epoch": ["last"],
        }
    ),
    "old probe": Word({"kept as it was": ["kept", "as it was"], "solved again": ["again", "anew"]}),
    "old task": Word(
        {
            "pictures that nothing learned from": ["unseen pictures", "nothing learned from", "test pictures", "test"],
            "the pictures it was fine-tuned on": ["fine-tuned on", "training pictures", "training"],
        }
    ),
    "seeds": Count(),
}


def _plan(at="the same gain on the target", probe="kept as it was", task="pictures that nothing learned from", seeds=5):
    return {"compare at": at, "old probe": probe, "old task": task, "seeds": seeds}


def _right_design(plan):
    return plan["seeds"] >= 3 and all(plan[name] == value for name, value in _plan().items() if name != "seeds")


EXERCISES = [
    Exercise(
        "08.1",
        Number(0.05, "times"),
        right=4,
        accepts=[4, "4 times", 4.0, np.int64(4), "320/80"],
        mistakes=[
            Mistake([16], "20 labels give the frozen backbone 0.58. What scratch has at the end it reaches later."),
            Mistake(
                [80], "That is where the frozen backbone gets there. How many times as many labels did scratch need?"
            ),
            Mistake(
                [240],
                "So many labels are saved. The label saving is a ratio: as good as with how many *times* the labels?",
            ),
            Mistake(
                [0.06, 6, 0.1, 10],
                "That is a difference in accuracy, read upwards. The label saving is read sideways, in labels.",
                when=lambda n: min(abs(n - 0.06), abs(n - 0.1)) < 0.01 or n in (6, 10),
            ),
            Mistake(
                [0.75, 75], "That is the share of the labels that is saved. How many *times* as many does scratch need?"
            ),
            Mistake([0.25], "The other way round: scratch's labels, divided by those of the frozen backbone."),
            Mistake([1], "1 would mean no saving. Look for scratch's *last* accuracy in the other row."),
        ],
        otherwise="Which accuracy has scratch with 320 labels, and with how many does the frozen backbone have it?",
        hints=(
            "Go along a level line through the label curves, not along a vertical one.",
            "Scratch ends at 0.70, with 320 labels. In which row does the frozen backbone have 0.70?",
        ),
        note="Start and asymptote are read upwards, in points; a label saving is read sideways, in labels, and labels are what you pay for.",
    ),
    Exercise(
        "08.2",
        Number(unit="layers"),
        right=7,
        accepts=[7, "7", "7 layers", 7.0],
        mistakes=[
            Mistake(
                [3], "Three stages are kept. VGG16 has two convolutions in each of the first two, three in the third."
            ),
            Mistake([14], "Those are kernels and biases. A layer has one of each: count layers."),
            Mistake([6], "Those are the layers that *differ*. How many are equal?"),
            Mistake([13], "That is every convolution. Compare the weights of each with those of `vgg`."),
            Mistake(
                [10],
                "Those of four stages. `keep_stages(vgg, 3)` keeps `block1` to `block3`.",
            ),
            Mistake(
                [19, 13 + 6, 12],
                "A layer without weights equals any other. Count only those with weights.",
                when=lambda n: n > 13 or n == 12,
            ),
        ],
        otherwise="Compare `get_weights()` of each layer that has weights with the layer of the same name in `vgg.model`.",
        hints=(
            "`vgg.model.get_layer(layer.name)` is the other one.",
            "Two equal lists of arrays: `all(np.array_equal(a, b) for a, b in zip(...))`, and only where `layer.weights`.",
        ),
        note="7 of 13, and few of the weights: early stages are small. What is kept is knowledge of edges, not most of the numbers.",
    ),
    Exercise(
        "08.3",
        Function(_CASES),
        right=_pull,
        accepts=[
            _pull,
            lambda weight, source, rate, pull: (1 - rate * pull) * weight + rate * pull * source,
            lambda weight, source, rate, pull: weight + rate * pull * (source - weight),
        ],
        mistakes=[
            Mistake([_decay], "That is weight decay: it draws to zero. Here the way is measured from the source."),
            Mistake([_away], "This goes *away* from the source. Mind the sign of the difference."),
            Mistake([_without_rate], "The share is `rate * pull`: with a lower rate the pull, too, is weaker."),
            Mistake(
                [_without_pull],
                "Without `pull` every weight goes the same share of its way. The share is `rate * pull`.",
            ),
            Mistake(
                [_shares_swapped], "The two shares are exchanged: with a pull of 0 the weight would be the source's."
            ),
            Mistake([_twice], "There is no factor of 2: the share of the way is `rate * pull` itself."),
            Mistake([_way_alone], "That is the step. Where does the weight stand after it?"),
            Mistake([_to_the_source], "Begin at the weight, not at the source."),
        ],
        otherwise="From the weight, go the share `rate * pull` of the way to the source.",
        hints=(
            "If `rate * pull` is 1, it ends at the source; if it is 0, it stays.",
            "The way from the weight to the source is `source - weight`. Take `rate * pull` of it.",
        ),
        note="With source = 0 it is weight decay: L2-SP only says that zero is the wrong place to draw a pretrained weight to.",
    ),
    Exercise(
        "08.4",
        Table({name: Word(_DO) for name in _NEXT}),
        right=_NEXT,
        accepts=[_NEXT, {"A": "early stopping", "B": "longer", "C": "pull", "D": "keep"}, list(_NEXT.values())],
        mistakes=[
            Mistake(
                [_told(A="train longer"), _told(A="keep it")],
                "A knows its pictures by heart, and its validation loss has more than doubled since epoch 3.",
                when=lambda d: d["A"] in ("train longer", "keep it"),
            ),
            Mistake(
                [_told(A="hold the source")],
                "That may help A as well; but what its numbers show is that the best epoch is long past, and to go back there is free.",
                when=lambda d: d["A"] == "hold the source",
            ),
            Mistake(
                [_told(B="stop earlier"), _told(B="keep it"), _told(B="hold the source")],
                "B's losses both still fall at the last epoch: it is not done.",
                when=lambda d: d["B"] != "train longer",
            ),
            Mistake(
                [_told(C="keep it"), _told(C="stop earlier"), _told(C="train longer")],
                "C does its new task well. What it lost is the old one, and that is still needed.",
                when=lambda d: d["C"] != "hold the source",
            ),
            Mistake(
                [_told(D="stop earlier"), _told(D="train longer"), _told(D="hold the source")],
                "D's two losses came down together and stand still, and nothing else is asked of it.",
                when=lambda d: d["D"] != "keep it",
            ),
        ],
        otherwise="Look at each from its least validation loss to its end, and at what else is asked of it.",
        hints=(
            "Where is the least validation loss: in the middle, or at the end?",
            "One of them overfits, one is not done, one forgot, one is fine.",
        ),
        note="Training accuracy alone would have praised A most.",
    ),
    Exercise(
        "08.5",
        Table(_DESIGN),
        right=_right_design,
        accepts=[_plan(), _plan(seeds=3), ["same gain", "kept", "test", 10]],
        mistakes=[
            Mistake(
                [_plan("the same number of epochs"), _plan("the last epoch")],
                "Whatever moves less forgets less. After as many epochs, the one that learned less would win: give both the same gain.",
                when=lambda p: p["compare at"] != "the same gain on the target",
            ),
            Mistake(
                [_plan(probe="solved again")],
                "A probe solved again tells whether the old knowledge *could* be found. Whether the old model still works, only its own head can tell.",
                when=lambda p: p["old probe"] == "solved again",
            ),
            Mistake(
                [_plan(task="the pictures it was fine-tuned on")],
                "On pictures that it learned from, the features are not what they are elsewhere.",
                when=lambda p: p["old task"] == "the pictures it was fine-tuned on",
            ),
            Mistake(
                [_plan(seeds=1), _plan(seeds=2)],
                "In the lesson seeds differ by points. Take three at least.",
                when=lambda p: p["seeds"] < 3,
            ),
        ],
        otherwise="Two ways that gained the same; what did each of them pay for it?",
        hints=(
            "A run that stands still forgets nothing. How do you keep it from winning?",
            "Which probe belongs to the old *model*? Which pictures can surprise both? And one run is one run.",
        ),
        note="It is a price for a gain: draw what was forgotten over what was gained, and compare the curves.",
    ),
]
