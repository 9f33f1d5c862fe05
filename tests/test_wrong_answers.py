"""Plausible wrong answers, by somebody who did not write the checks: each gets a sentence that helps, and none passes.

They are what the checks' own mistakes (`Mistake.examples`) are not: guesses from the lesson's text alone.
"""

import numpy as np
import pandas as pd
import pytest

import tlteach as tl
from tlteach._exercises import lessons_with_exercises

FIRST = {"beside it": "random twin, frozen", "labels": "the same", "seeds": 5}
BENEFITS = {"start": 12, "slope": 10, "asymptote": 2}
CAUSES = {"A": "rate too high", "B": "no compile", "C": "BatchNorm moves", "D": "cached augmentation"}
ARMS = {"A trains": "conv5, then conv4 too", "A epochs": 12, "B trains": "conv5 alone", "B epochs": 12}
ARMS |= {"compare on": "validation", "seeds": 3}
UNITS = {"tumours": "patient", "new scanner": "scanner", "spoken words": "speaker", "reviews": "film"}
CONTROL = {"labels": "shuffled by patient", "split by": "slice", "if it recognises patients": "far above chance"}
TWENTY = {"recordings": "one of each digit, two speakers", "test": "other speakers of the accent"}
TWENTY |= {"with": "twenty of the old accents added", "seeds": 5}
READING = {"beside it": "random twin, frozen", "texts": "both", "draws": "the same", "number of draws": 5}
CAPITALS = {"lower-case": "training and test", "model": "words and capitals", "measure": "F1", "seeds": 3}
RUNS = {"A": "stop earlier", "B": "train longer", "C": "hold the source", "D": "keep it"}
FORGETS = {"compare at": "the same gain on the target", "old probe": "kept as it was"}
FORGETS |= {"old task": "pictures that nothing learned from", "seeds": 3}
STUDY = {"sources": 20, "truth": "fine-tuned, test split", "report": "correlation, interval and points lost"}
STUDY |= {"beside": "linear probe"}
CLINIC = {"beside it": "same network, random weights", "rate": "tuned for each"}
CLINIC |= {"judged by": "patients that were held out", "seeds": 5}
REMEDIES = {"night shift": "BatchNormStatistics", "rare disease": "nothing", "slow drift": "SelfTraining"}
REMEDIES |= {"money for 40 labels": "FewLabels"}
FUTURE = {"adapt on": "half of B's patients", "test on": "B's other patients", "draws": 5}
FUTURE |= {"choose the remedy by": "some labels of the half that adapts"}
SCANNERS = {"test": "both scanners in each class", "unit": "patient", "report": "worst group with its interval"}
SCANNERS |= {"draws": 5}
TRAPS = {"A": "other order of classes", "B": "rate too high", "C": "rare class", "D": "copies across splits"}
TRAPS |= {"E": "frozen backbone"}
ORDERS = {"differs": "channel order", "asked": "pictures in both orders", "compare on": "validation", "seeds": 3}
DIGITS = "Write digits, such as 12 or 0.5."
TURN = "which is taken from which?"
ROUNDED = "That is the right number, rounded too far"
IN_PER_CENT = "yours is in points or per cent, and a share of 1 is asked for"
IN_SHARES = "yours is a share of 1, and points or per cent are asked for"
TRUTHS = "holds True and False"

WRONG = [
    ("01.1", "sixty", DIGITS),
    ("01.1", "60 + 20", "Received: '60 + 20'. Which one number is that?"),
    ("01.1", "75 %", "That is a share, and a number of labels is asked for."),
    ("01.1", [60, 20], "this holds 2 of them. Which one number do they come to?"),
    ("01.1", 48, "It is too low. Count both"),
    ("01.2", "about 443 thousand", ROUNDED),
    ("01.2", "443k", ROUNDED),
    ("01.2", "0.44 million", ROUNDED),
    ("01.2", "48 %", "That is a share, and a number of weights is asked for."),
    ("01.2", "443010 of 921042", "A number (weights) is asked for."),
    ("01.3", {"start": 0.12, "slope": "10x", "asymptote": 0.02}, "Multiply the differences by 100."),
    ("01.3", (12, 2, 10), "not each at its own name: look at 'slope', 'asymptote'"),
    ("01.3", {"start": 12, "asymptote": 2}, "slope is missing"),
    ("01.3", BENEFITS | {"slope": "ten"}, f"In 'slope': a number (times) is asked for. Received: 'ten'. {DIGITS}"),
    ("01.3", BENEFITS | {"slope": "90 labels"}, "'90 labels' is one of labels"),
    ("01.4", "all of them", "All four gain on average."),
    ("01.4", "none", "this one is empty. Some of '10', '40', '160', '640' belong there."),
    ("01.4", [False, True, True, False], TRUTHS),
    ("01.4", [1, 2], "one of '10', '40', '160', '640'. Received: 1."),
    ("01.5", FIRST | {"seeds": "several"}, DIGITS),
    ("01.5", FIRST | {"seeds": [0, 1]}, "One run is an anecdote"),
    ("01.5", FIRST | {"beside it": "vgg16 without weights"}, "one of 'random twin, frozen'"),
    ("02.1", "16 x 16", "Which one number is that?"),
    ("02.1", (1, 16, 16, 64), "this holds 4 of them"),
    ("02.1", 32, "Square what is left"),
    ("02.2", "B C E D", "D is another probe on the same features"),
    ("02.2", [2, 3, 5], "one of 'A', 'B', 'C', 'D', 'E'. Received: 2."),
    ("02.2", {"A": False, "B": True, "C": False, "D": False, "E": True}, "Look at C again"),
    ("02.3", "block3 or block4", "this names 2 of them"),
    ("02.3", 4, "one of 'block1', 'block2'"),
    ("02.4", 15, "of the animal's rows"),
    ("02.4", -4, "what the twin loses from `block1` to `block5`"),
    ("02.4", 74, "one of the two accuracies"),
    ("02.4", 0.09, IN_SHARES),
    ("02.4", 0.09, TURN),
    ("02.4", "9 points less", "The sign tells whether pretraining gave or took"),
    ("02.5", lambda near, said: (said[near[:, 1:]] == said[:, None]).any(axis=1).mean(), "*any* neighbour agrees"),
    ("02.5", lambda near, said: [(said[r[1:]] == said[r[0]]).mean() for r in near], "it gives [0.5, 0.5, 0.5, 0.5]"),
    ("02.5", lambda near, said: 100 * (said[near[:, 1:]] == said[:, None]).mean(), "in per cent"),
    ("02.5", "share_alike", "give its name, without brackets"),
    ("03.1", "twenty-two", DIGITS),
    ("03.1", 0.07, "That is a share, and a number of variables"),
    ("03.1", ["kernel", "bias"], "A number (variables) is asked for."),
    ("03.2", ["head", "conv5", "conv4"], "A list of `tl.Phase` is asked for"),
    ("03.2", [tl.Phase("head"), tl.Phase("conv5"), tl.Phase("conv4")], "The head is frozen again in a later phase."),
    ("03.3", CAUSES | {"A": "overfitting"}, "In 'A': the answer must be one of 'rate too high'"),
    ("03.3", CAUSES | {"A": "no compile", "B": "rate too high"}, "Which cause throws the weights so far?"),
    ("03.4", lambda b, a, t: [k for k in b if k not in t and b[k] is not a[k]], "it gives ['conv1', 'mean'] and"),
    ("03.4", lambda b, a, t: {k: (b[k] != a[k]).any() for k in b if k not in t}, "it gives {'conv1': False,"),
    ("03.4", lambda b, a, t: [k for k in b if k not in t and b[k] != a[k]], "raised ValueError ('The truth value"),
    ("03.5", ARMS | {"A epochs": [6, 6]}, "In 'A epochs': a number is asked for, a single one"),
    ("03.5", ARMS | {"A epochs": "6 + 6"}, "Which one number is that?"),
    ("04.1", "p119", "All eight slices of that patient are in validation."),
    ("04.1", 934, "That is a row of the table."),
    ("04.2", "80 %", "overlooks tumours"),
    ("04.2", 8, "A threshold is a probability here"),
    ("04.2", True, "a comparison (==, <) gives True or False"),
    ("04.3", UNITS | {"spoken words": "word"}, "the words are the classes"),
    ("04.3", UNITS | {"tumours": ["patient", "slice"]}, "one of them, and this holds 2"),
    ("04.3", "patient", "A dict with tumours, new scanner"),
    ("04.4", lambda p, who: p.mean(0).argmax(), "it gives 1 and should give {'p1': 0, 'p2': 1}"),
    ("04.4", lambda p, who: {w: p[np.array(who) == w].max(0).argmax() for w in who}, "it gives {'x': 2, 'y': 1}"),
    ("04.5", CONTROL | {"split by": "both"}, "In 'split by'"),
    ("04.5", CONTROL | {"if it recognises patients": 0.95}, "'far above chance', 'about chance'. Received: 0.95."),
    ("05.1", "about 1 kHz", "Played faster, every wave passes sooner"),
    ("05.1", "1200 samples", "'1200 samples' is one of samples"),
    ("05.1", "twelve hundred", DIGITS),
    ("05.2", "all", "The mean over both is one number"),
    ("05.2", [0, 2], "one of 'no average'"),
    ("05.3", "46 %", "a hundred times too small"),
    ("05.3", 92, "You added up both sides."),
    ("05.3", 50, "It is too high. Take the set of speakers"),
    ("05.3", "all of them", DIGITS),
    ("05.4", {"speaker": 5, "accent": 15}, "Those are errors"),
    ("05.4", {"speaker": 4.2, "accent": 6.6}, "the loss relative to what was there"),
    ("05.4", {"speaker": 0.04, "accent": 6}, IN_SHARES),
    ("05.5", TWENTY | {"recordings": "two of each digit, two speakers"}, "this names 2 of them"),
    ("05.5", TWENTY | {"seeds": "as many as possible"}, DIGITS),
    ("06.1", "cinematography and thermostat", "this names 2 of them"),
    ("06.1", 5, "one of 'cinematography'"),
    ("06.2", lambda rows, real: rows.sum(0) / real.sum(), "it gives [9.0, 8.0] and should give [3.0, 2.0]"),
    ("06.2", lambda rows, real: rows[: real.sum()].mean(0), "should give [7.667, 7.333]"),
    ("06.3", "20 %", "That is the share. How many draws of the five?"),
    ("06.3", [True, False, False, False, False], TRUTHS),
    ("06.3", "two of five", DIGITS),
    ("06.4", lambda b, a, rise: ((b > 0.5) != rise) & ((a > 0.5) == rise), "it gives [True, False, True, False]"),
    ("06.5", READING | {"beside it": "random twin, fine-tuned"}, "this names 2 of them"),
    ("06.5", READING | {"number of draws": 3}, "Take five or more."),
    ("07.1", [-1, "B-PER", -1, -1, -1, "O", "B-LOC", -1, -1, -1], "At place 1 (counted from 0): a number"),
    ("07.1", [-100, 1, -100, -100, -100, 0, 3, -100, -100, -100], "Here the mask is -1."),
    ("07.1", [1, 0, 3], "10 numbers is asked for, and this one has 3"),
    ("07.2", "80 %", "8 of 10 words are right"),
    ("07.2", 2, "A share lies between 0 and 1."),
    ("07.2", "2 of 8", "F1 counts the hits twice"),
    ("07.2", {"precision": 0.5, "recall": 0.6}, "A number (a share of 1) is asked for."),
    ("07.3", lambda labels: labels.sort(), "is there a `return` with a value?"),
    ("07.3", lambda labels: " ".join(labels), "should give ['O', 'B-PER', 'I-PER', 'O']"),
    ("07.4", lambda p, t: 100 * (p == t)[t >= 0].mean(), "in per cent, and a share of 1 is asked for"),
    ("07.4", lambda t, p: (p == t)[t >= 0].mean(), "The masked places are counted as wrong."),
    ("07.5", CAPITALS | {"measure": "precision"}, "one of 'F1', 'share of words'"),
    ("08.1", "4 points", "A number (times) is asked for, and '4 points' is one of points."),
    ("08.1", "four", DIGITS),
    ("08.1", [80, 320], "Which one number do they come to?"),
    ("08.2", "block1, block2, block3", "A number (layers) is asked for."),
    ("08.2", 0.54, "That is a share, and a number of layers"),
    ("08.3", lambda weight, source, rate, pull: (weight + source) / 2, "it gives [0.75, 2.0] and should"),
    ("08.3", lambda weight, source: source, "takes 2 positional arguments but 4 were given"),
    ("08.4", RUNS | {"A": "more data"}, "In 'A': the answer must be one of 'stop earlier'"),
    ("08.4", ["keep it"] * 4, "A knows its pictures by heart"),
    ("08.5", FORGETS | {"compare at": "epoch 10"}, "In 'compare at'"),
    ("09.1", -24, "a hundred times too large"),
    ("09.1", "23.9 %", "where is the sign?"),
    ("09.1", "yes", DIGITS),
    ("09.2", "3 of 4", DIGITS),
    ("09.2", float("inf"), "something was divided by zero"),
    ("09.3", "all", "NCE and LEEP need what the source's own head says"),
    ("09.3", "none of them", "this one is empty"),
    ("09.3", ["accuracy"], "one of 'NCE', 'LEEP'"),
    ("09.4", 7.6, IN_PER_CENT),
    ("09.4", "1 in 20", "0.05 is what people call rare."),
    ("09.4", "about one in ten", DIGITS),
    ("09.5", STUDY | {"sources": ["photographs", "speech"]}, "Take 15 or more."),
    ("10.1", 432 / 640, "That many labels change hands."),
    ("10.1", "three quarters", DIGITS),
    ("10.1", 1.11, "A share lies between 0 and 1."),
    ("10.2", "everything", "The first weights are the one thing that must differ"),
    ("10.2", "all but the first weights", "one of 'layers', 'labels'"),
    ("10.3", "all four", "The mean of `shuffled` is below zero"),
    ("10.3", [], "this one is empty"),
    ("10.3", pd.Series({"photographs": -0.096, "shuffled": -0.02}), "The mean of `shuffled` is below zero"),
    ("10.4", lambda shares, gain: next(x for x, y in zip(shares, gain, strict=True) if y == 0), "raised StopIteration"),
    ("10.4", lambda shares, gain: np.interp(0, shares, gain), "it gives 0.04 and should give 0.75"),
    ("10.5", CLINIC | {"judged by": "pictures that were held out"}, "Hold out patients, with all their pictures."),
    ("10.5", CLINIC | {"rate": 0.001}, "one of 'tuned for each', 'tuned for the source'. Received: 0.001."),
    ("11.1", 68.75, IN_PER_CENT),
    ("11.1", 0.7, ROUNDED),
    ("11.1", [0.25, 0.75, 0.75, 1.0], "this holds 4 of them"),
    ("11.2", [20, 16, 14, 10], "are the rows in their order?"),
    ("11.2", "10 14 16 twenty", "At place 3 (counted from 0)"),
    ("11.3", "-1.6 deviations", "'-1.6 deviations' is one of deviations"),
    ("11.3", 160, TURN),
    ("11.3", "towards the cats", DIGITS),
    ("11.4", REMEDIES | {"night shift": tl.Coral()}, "Received: Coral("),
    ("11.4", list(REMEDIES.values())[::-1], "What takes that for a shift does harm."),
    ("11.5", FUTURE | {"test on": "B"}, "In 'test on'"),
    ("12.1", 93.4, IN_PER_CENT),
    ("12.1", "0.96 * 0.96", "Which one number is that?"),
    ("12.1", 0.9, ROUNDED),
    ("12.2", "19 %", "a hundred times too small"),
    ("12.2", "171", "how many pictures a group has"),
    ("12.3", "all", "A few points from 0.5 are chance."),
    ("12.3", ["background", "style"], "style does not belong there and 1 is missing"),
    ("12.4", "nothing", "this one is empty"),
    ("12.4", "all", "Both work on the exceptions that are there."),
    ("12.5", SCANNERS | {"test": "scanner B alone"}, "'scanner A alone'. Received: 'scanner B alone'."),
    ("12.5", SCANNERS | {"report": "worst group and average"}, "this names 2 of them"),
    ("13.1", 2.55, "a hundred times too small"),
    ("13.1", 1 / 127.5, "It is too low."),
    ("13.1", "0 to 255", DIGITS),
    ("13.2", TRAPS | {"A": "overfitting"}, "In 'A': the answer must be one of 'input range'"),
    ("13.2", ["input range"] * 5, "A: those end at a coin"),
    ("13.3", lambda train, test: np.isin(test, train).all(1), "it gives [True, True, False, False] and should give 2"),
    ("13.3", lambda train, test: set(train) & set(test), "unhashable type"),
    ("13.4", ["head", "trainable = False", "freeze BatchNorm", "compile", "fit"], "Received: 'trainable = False'."),
    ("13.4", "all", "Received: 'all'."),
    ("13.4", ["compile", "fit"], "3 are missing"),
    ("13.5", ORDERS | {"asked": "BGR"}, "In 'asked'"),
]  # fmt: skip


def told(case):
    number, answer, _ = case
    return f"{number} {'function' if callable(answer) else answer}"[:60]


@pytest.mark.parametrize(("number", "answer", "said"), WRONG, ids=map(told, WRONG))
def test_a_wrong_answer_gets_a_sentence_that_helps(number, answer, said):
    outcome = tl.check(number, answer)
    assert outcome.status == "wrong"
    assert said in outcome.message
    assert "Traceback" not in outcome.message and "np." not in outcome.message and len(outcome.message) < 500


@pytest.mark.parametrize("lesson", lessons_with_exercises())
def test_each_lesson_has_wrong_answers_of_its_own(lesson):
    own = [number for number, *_ in WRONG if number.startswith(lesson)]
    assert len(own) >= 8 and len(set(own)) >= 4


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("01.2", "443.01 thousand"), ("05.1", "1.2 kHz"), ("04.2", "45 %"), ("08.1", "320 to 80"), ("12.2", "171 : 9"),
        ("02.4", "-9 per cent"), ("07.2", "2 of 4"), ("02.2", "B C E"), ("01.5", FIRST | {"seeds": range(5)}),
    ],
)  # fmt: skip
def test_a_right_number_passes_as_people_write_it(number, answer):
    assert tl.check(number, answer).passed


def test_nothing_at_all_is_no_wrong_answer():
    assert "does that `return` it?" in tl.check("13.1", None).message
    outcome = tl.check("13.5", ORDERS | {"seeds": None})
    assert outcome.status == "open" and outcome.message == "Still to be filled in: seeds."
