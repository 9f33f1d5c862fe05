"""Checks of lesson 02, What a backbone sees."""

import numpy as np

from tlteach._answers import Names, Number, Word
from tlteach._exercises import Exercise, Mistake
from tlteach._functions import Function

_STAGES = ("block1", "block2", "block3", "block4", "block5")
_CALLS = {"A": ["a"], "B": ["b"], "C": ["c"], "D": ["d"], "E": ["e"]}
_NEAREST = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0], [3, 2, 1]])
_ALIKE = (
    (_NEAREST, np.array(["cat", "cat", "dog", "dog"])),
    (_NEAREST[:, :2], np.array([0, 0, 0, 1])),
    (_NEAREST, np.array(["a", "a", "a", "a"])),
    (_NEAREST, np.array(["cat", "dog", "cat", "dog"])),
)


def _share_alike(nearest, answers):
    return (answers[nearest[:, 1:]] == answers[:, None]).mean()


def _with_itself(nearest, answers):
    return (answers[nearest] == answers[:, None]).mean()


def _count(nearest, answers):
    return (answers[nearest[:, 1:]] == answers[:, None]).sum()


def _first_alone(nearest, answers):
    return (answers[nearest[:, 1]] == answers).mean()


def _by_place(nearest, answers):
    return (answers[nearest[:, 1:]] == answers[:, None]).mean(axis=0)


def _any_alike(nearest, answers):
    return (answers[nearest[:, 1:]] == answers[:, None]).any(axis=1).mean()


def _of_indices(nearest, answers):
    return (nearest[:, 1:] == nearest[:, :1]).mean()


EXERCISES = [
    Exercise(
        "02.1",
        Number(unit="places"),
        right=256,
        accepts=[256, "256", 256.0, np.int64(256)],
        mistakes=[
            Mistake(
                [64],
                "That is the map of a picture of 64 x 64, and the number of its channels too. This picture has twice the side.",
            ),
            Mistake([16], "16 is the side of the map. It has as many places down as across."),
            Mistake([128], "Twice the side gives twice as many places across *and* twice as many down."),
            Mistake([1024], "That is `block2`: each stage halves the side once, and `block3` is the third."),
            Mistake(
                [16384], "You counted every number. A place has one number for each of 64 channels; count the places."
            ),
        ],
        otherwise="Each stage halves the side of the map: 128, then 64 after `block1`, and so on. Square what is left after `block3`.",
        hints=(
            "Each of VGG16's stages ends by halving height and width.",
            'Or ask: `tl.load_backbone("vgg16", input_size=(128, 128))`, and the shape that `extract_features(..., pooling=None)` gives.',
        ),
        note="Channels stay what they are; places go with the square of the side. Larger pictures keep *where* for longer.",
    ),
    Exercise(
        "02.2",
        Names(_CALLS),
        right=["B", "C", "E"],
        accepts=[["B", "C", "E"], "b, c, e", ("E", "C", "B"), {"B", "C", "E"}, "B and C and E"],
        mistakes=[
            Mistake(
                [["A", "B", "C", "E"], ["A", "B", "C", "D", "E"]],
                "A differs in its labels only. The backbone never sees a label, so its features are found again.",
                when=lambda calls: "A" in calls,
            ),
            Mistake(
                [["B", "C", "D", "E"]],
                "D is another probe on the same features: the backbone has nothing to do with it.",
                when=lambda calls: "D" in calls,
            ),
            Mistake(
                [["B", "E"], ["B"], ["E"]],
                "Look at C again: a mean and a maximum over the places are two sets of features.",
                when=lambda calls: "C" not in calls,
            ),
            Mistake(
                [["C", "E"], ["C"]],
                "Look at B again: another stage gives other features, even of the same pictures.",
                when=lambda calls: "B" not in calls,
            ),
            Mistake(
                [["B", "C"]], "Look at E again: other weights, other features.", when=lambda calls: "E" not in calls
            ),
        ],
        otherwise="Ask of each call whether pictures, weights, stage or pooling are new. If none is, the features are kept already.",
        hints=(
            "Features depend on the pictures, the weights, the stage and the pooling. On what do they not depend?",
            "Three of the five need the backbone. Neither labels nor probes are its business.",
        ),
        note="Labels and heads are cheap to try again and again; what the backbone has to run for is not.",
    ),
    Exercise(
        "02.3",
        Word(_STAGES),
        right="block4",
        accepts=["block4", "BLOCK4", "block 4", ["block4"], np.array(["block4"])],
        mistakes=[
            Mistake(
                ["block3"],
                "`block3` is best on the *test* split. Chosen by it, the number that you then report flatters: validation chooses.",
            ),
            Mistake(
                ["block5"],
                "The last stage is the habit. Here validation likes another better, on average over the seeds.",
            ),
            Mistake(
                ["block2"], "`block2` has the best single run, and the worst one too. Take the mean over the seeds."
            ),
            Mistake(["block1"], "That is the worst on average. Did you take the least in place of the largest?"),
        ],
        otherwise="Take the mean over the seeds of what validation says, and the stage where it is largest.",
        hints=("Which split may choose, and which may only report?", "`validation.mean().idxmax()`"),
        note="Validation says `block4`, and the test then tells what that is worth: 0.79, not the 0.83 of a stage picked by the test.",
    ),
    Exercise(
        "02.4",
        Number(0.051, "points"),
        right=-9.0,
        accepts=[-9.0, "-9 points", -9, np.float64(-9.02)],
        mistakes=[
            Mistake([-0.09], "In points, please: 0.01 of accuracy is one point."),
            Mistake([9.0], "The sign tells whether pretraining gave or took: pretrained minus twin."),
            Mistake(
                [-1.0], "You compared each network's best stage. At the same stage, `block5`, only the weights differ."
            ),
            Mistake(
                [24.0], "That is `block5` above chance. What would the same network have reached without pretraining?"
            ),
            Mistake([5.0, 10.0, 15.0, 20.0], "That is of the animal's rows. The question is about brightness."),
            Mistake(
                [74.0, 83.0, 0.74, 0.83],
                "That is one of the two accuracies. What pretraining adds is their difference.",
            ),
            Mistake(
                [33.0], "That is the twin above chance. How far is the pretrained network above or below the *twin*?"
            ),
            Mistake([-4.0], "That is what the twin loses from `block1` to `block5`. Compare at `block5` alone."),
            Mistake(
                [-12.0], "That is what pretraining loses from `block1` to `block5`. Compare with the twin, at `block5`."
            ),
        ],
        otherwise="Take the twin's accuracy at `block5` from that of the pretrained network, both for brightness, times 100.",
        hints=(
            "One thing may differ between the two numbers: whether the weights were learned.",
            "Row `brightness`, stage `block5`: pretrained minus twin, in points.",
        ),
        note="Below zero: the source task taught the network to ignore light. Where your target is what the source ignores, transfer hurts.",
    ),
    Exercise(
        "02.5",
        Function(_ALIKE),
        right=_share_alike,
        accepts=[
            _share_alike,
            lambda nearest, answers: np.mean([np.mean(answers[row[1:]] == answers[row[0]]) for row in nearest]),
            lambda nearest, answers: float(np.mean(np.equal(answers[nearest[:, 1:]], answers[nearest[:, :1]]))),
        ],
        mistakes=[
            Mistake(
                [_with_itself],
                "Each picture is its own nearest neighbour, and agrees with itself: leave the first column out.",
            ),
            Mistake([_count], "You counted them. A share is between 0 and 1: take the mean."),
            Mistake([_first_alone], "You asked the nearest one only. All neighbours after the picture itself count."),
            Mistake([_any_alike], "You asked whether *any* neighbour agrees. The share of all of them is asked for."),
            Mistake([_by_place], "One share for each place among the neighbours: average them into one number."),
            Mistake(
                [_of_indices],
                "You compared the numbers of the pictures, not their answers: look them up, `answers[nearest]`.",
            ),
        ],
        otherwise="Of all neighbours but the picture itself: which share has the same answer as the picture?",
        hints=(
            "`nearest[:, 0]` are the pictures themselves. What is `nearest[:, 1:]`?",
            "`answers[nearest[:, 1:]] == answers[:, None]` compares each neighbour with its picture. The mean of that is a share.",
        ),
        note="Had each picture been asked about itself, every stage would have looked better than it is: a leak of the smallest kind.",
    ),
]
