"""Checks of lesson 10, Negative transfer."""

from fractions import Fraction

import numpy as np
import pandas as pd

from tlteach._answers import Count, Names, Number, Table, Word
from tlteach._exercises import Exercise, Mistake
from tlteach._functions import Function

_ALIKE = {
    "layers": ["layer", "architecture"],
    "labels": ["recordings", "data"],
    "steps": ["epochs", "number of steps"],
    "effort of tuning": ["tuning", "effort"],
    "learning rate": ["rate"],
    "first weights": ["weights", "initial weights"],
}
_SOURCES = {
    "photographs": ["photos"],
    "shuffled": ["shuffled labels"],
    "other voices": ["voices"],
    "noise": [],
}
_DESIGN = {
    "beside it": Word(
        {
            "same network, random weights": ["same network", "random twin"],
            "small network, random weights": ["small network"],
            "nothing": [],
        }
    ),
    "rate": Word({"tuned for each": ["each"], "tuned for the source": ["the source", "for the source"]}),
    "judged by": Word(
        {
            "patients that were held out": ["held out", "held-out patients"],
            "pictures that were held out": ["held-out pictures"],
            "training accuracy": ["training"],
            "source's accuracy": ["source accuracy", "the source's accuracy"],
        }
    ),
    "seeds": Count(),
}
_RISE = ([0.0, 0.5, 1.0], [0.04, 0.02, -0.02])
_STEEP = ([0.0, 0.2, 0.4, 0.8], [0.10, 0.06, -0.03, -0.2])


def _turns(shares, gain):
    i = next(i for i, each in enumerate(gain) if each < 0)
    before, after = gain[i - 1], gain[i]
    return shares[i - 1] + (shares[i] - shares[i - 1]) * before / (before - after)


def _first_below(shares, gain):
    return shares[next(i for i, each in enumerate(gain) if each < 0)]


def _last_above(shares, gain):
    return shares[next(i for i, each in enumerate(gain) if each < 0) - 1]


def _middle(shares, gain):
    i = next(i for i, each in enumerate(gain) if each < 0)
    return (shares[i - 1] + shares[i]) / 2


def _nearest(shares, gain):
    return shares[int(np.abs(gain).argmin())]


def _unordered(shares, gain):
    return float(np.interp(0, gain, shares))


def _exchanged(shares, gain):
    i = next(i for i, each in enumerate(gain) if each < 0)
    return shares[i] - (shares[i] - shares[i - 1]) * gain[i - 1] / (gain[i - 1] - gain[i])


def _fitted(shares, gain):
    slope, height = np.polyfit(shares, gain, 1)
    return -height / slope


def _needs_arrays(shares, gain):
    i = (gain < 0).argmax()
    return [round(shares[i] - gain[i] * (shares[i] - shares[i - 1]) / (gain[i] - gain[i - 1]), 4)]


def _by_ends(shares, gain):
    return shares[0] + (shares[-1] - shares[0]) * gain[0] / (gain[0] - gain[-1])


def _plan(beside="same network, random weights", rate="tuned for each", judged="patients that were held out", seeds=5):
    return {"beside it": beside, "rate": rate, "judged by": judged, "seeds": seeds}


def _right_design(plan):
    return plan["seeds"] >= 3 and all(plan[name] == value for name, value in _plan().items() if name != "seeds")


EXERCISES = [
    Exercise(
        "10.1",
        Number(0.005, "a share of 1"),
        right=0.75,
        accepts=[0.75, "0.75", 3 / 4, "75 %", "480 of 640", Fraction(3, 4)],
        mistakes=[
            Mistake(
                [0.675, 0.67, 0.68],
                "That many labels change hands. One in ten of them meets a recording of the same digit and is right still.",
                when=lambda share: 0.66 <= share <= 0.69,
            ),
            Mistake([0.5], "With a half, 288 are wrong on average. More have to change hands."),
            Mistake([1, 1.0], "Then all change hands, and 576 are wrong: nine in ten."),
            Mistake(
                [0.6, 0.6075], "You took nine tenths where you had to divide by them: 432 are nine tenths of what?"
            ),
            Mistake([432, 480], "That is a number of labels. Which share of the 640 is it?", when=lambda n: n > 100),
        ],
        otherwise="Of those that change hands nine in ten are wrong. So how many must change hands?",
        hints=(
            "Ten digits: an exchanged label is right by chance one time in ten.",
            "432 are nine tenths of those that change hands, and these are the share of 640.",
        ),
        note="480 of 640 change hands, and 48 of these stay right. Even wholly shuffled labels are right one time in ten.",
    ),
    Exercise(
        "10.2",
        Names(_ALIKE),
        right=["layers", "labels", "steps", "effort of tuning"],
        accepts=[
            ["layers", "labels", "steps", "effort of tuning"],
            ("labels", "layers", "tuning", "epochs"),
            "layers, labels, steps, effort of tuning",
        ],
        mistakes=[
            Mistake(
                [["layers", "labels", "steps", "effort of tuning", "first weights"]],
                "The first weights are the one thing that must differ: they are what is asked about.",
                when=lambda names: "first weights" in names,
            ),
            Mistake(
                [["layers", "labels", "steps", "learning rate"], list(_ALIKE)[:5]],
                "A rate that is right for trained weights may be wrong for random ones. Let each have its own, found with the same effort.",
                when=lambda names: "learning rate" in names,
            ),
            Mistake(
                [["labels", "steps", "effort of tuning"]],
                "With other layers you would compare two networks, and the source with neither.",
                when=lambda names: "layers" not in names,
            ),
            Mistake(
                [["layers", "steps", "effort of tuning"]],
                "Which labels were drawn makes much of the spread. Both must have the same.",
                when=lambda names: "labels" not in names,
            ),
            Mistake(
                [["layers", "labels", "effort of tuning"]],
                "A network that may learn for longer is not a fair bar, in either direction.",
                when=lambda names: "steps" not in names,
            ),
            Mistake(
                [["layers", "labels", "steps"]],
                "One more: ten rates tried for the source and one for scratch is a race with a handicap.",
                when=lambda names: "effort of tuning" not in names,
            ),
        ],
        otherwise="Everything but what was learned before, and what each needs for itself.",
        hints=(
            "What is the single difference that you want to measure?",
            "A setting need not be equal where each may need another; the search for it must be.",
        ),
        note="Alike in everything but the past: then a difference is the past's.",
    ),
    Exercise(
        "10.3",
        Names(_SOURCES),
        right=["photographs", "noise"],
        accepts=[
            ["photographs", "noise"],
            "noise, photographs",
            {"noise", "photographs"},
            pd.DataFrame({"high": [-0.08, -0.02]}, index=["photographs", "noise"]),
        ],
        mistakes=[
            Mistake(
                [["photographs"]],
                "One more: with `noise` the bands overlap, but seed by seed it is below scratch, each time.",
            ),
            Mistake(
                [["photographs", "noise", "shuffled"], ["shuffled"]],
                "The mean of `shuffled` is below zero, and its interval is not: two of five seeds are above scratch.",
                when=lambda names: "shuffled" in names,
            ),
            Mistake(
                [["other voices"], ["photographs", "noise", "other voices"]],
                "`other voices` is above scratch with every seed.",
                when=lambda names: "other voices" in names,
            ),
            Mistake([["noise"]], "And the one that is far below has no less of an interval."),
        ],
        otherwise="`tl.gains` gives the interval of each: where is `high` below zero?",
        hints=(
            "Use `tl.gains(runs)` and look at `low` and `high`.",
            "`gains.index[gains['high'] < 0]` are those whose whole interval is below zero.",
        ),
        note="A small loss that is always there is surer than a large one that comes and goes.",
    ),
    Exercise(
        "10.4",
        Function((_RISE, _STEEP, ([0.0, 1.0], [0.01, -0.03])), tolerance=5e-4),
        right=_turns,
        accepts=[
            _turns,
            _needs_arrays,
            lambda shares, gain: float(np.interp(0, np.array(gain)[::-1], np.array(shares)[::-1])),
            lambda s, g: min(
                s[i] + (s[i + 1] - s[i]) * g[i] / (g[i] - g[i + 1]) for i in range(len(s) - 1) if g[i] > 0 > g[i + 1]
            ),
        ],
        mistakes=[
            Mistake(
                [_first_below],
                "That is the first share that was tried and found below. The line crosses zero before it.",
            ),
            Mistake(
                [_last_above],
                "That is the last share that still helped. The line crosses zero after it.",
            ),
            Mistake(
                [_middle],
                "The middle between the two is right only if both are as far from zero. Which is nearer?",
            ),
            Mistake(
                [_nearest], "That is the share whose gain is nearest to zero. The line crosses zero between two shares."
            ),
            Mistake([_unordered], "`np.interp` wants its second argument to rise; the gains fall."),
            Mistake(
                [_exchanged], "You went the right way from the wrong end: the crossing lies nearer to the smaller gain."
            ),
            Mistake(
                [_by_ends, _fitted],
                "You drew one line for all shares. Take the two neighbours between which the sign changes.",
            ),
        ],
        otherwise="Find the two neighbours with zero between them, and go the right part of the way.",
        hints=(
            "From a gain of 0.06 down to -0.03: two thirds of the way are above zero.",
            "By hand, or by `np.interp(0, ?, ?)`: of its two lists the first must rise.",
        ),
        note="A crossing read off between two settings is a guess with a spread of its own: each seed has another.",
    ),
    Exercise(
        "10.5",
        Table(_DESIGN),
        right=_right_design,
        accepts=[
            _plan(),
            _plan("random twin", "each", "held out", 3),
            ["same network", "tuned for each", "patients that were held out", 10],
        ],
        mistakes=[
            Mistake(
                [_plan(beside="small network, random weights")],
                "Then two things differ, the network and its past. A small network is a good *second* bar.",
                when=lambda p: p["beside it"] == "small network, random weights",
            ),
            Mistake(
                [_plan(beside="nothing")],
                "Without a bar an accuracy is a number and no answer.",
                when=lambda p: p["beside it"] == "nothing",
            ),
            Mistake(
                [_plan(rate="tuned for the source")],
                "A rate that suits trained weights may starve random ones: the bar would be too low.",
                when=lambda p: p["rate"] == "tuned for the source",
            ),
            Mistake(
                [_plan(judged="training accuracy")],
                "Sources that memorised are fast on training labels. Ask patients who were not learned from.",
                when=lambda p: p["judged by"] == "training accuracy",
            ),
            Mistake(
                [_plan(judged="pictures that were held out")],
                "Other pictures of the same ten patients are half known. Hold out patients, with all their pictures.",
                when=lambda p: p["judged by"] == "pictures that were held out",
            ),
            Mistake(
                [_plan(judged="source's accuracy")],
                "How good the source is at its own task says nothing of yours.",
                when=lambda p: p["judged by"] == "source's accuracy",
            ),
            Mistake(
                [_plan(seeds=1), _plan(seeds=2)],
                "With so few labels it matters which. Take three seeds or more, the same for both.",
                when=lambda p: p["seeds"] < 3,
            ),
        ],
        otherwise="Only the past may differ, and those who judge must be new to both.",
        hints=(
            "What would be left if the source had learned nothing?",
            "Whoever stands beside it gets the same chances. And who can tell whether it will help the *next* patients?",
        ),
        note="If it is below the bar now, it is the source; and the remedies can be measured in the same frame.",
    ),
]
