"""Checks of lesson 12, Bias."""

import pandas as pd

from tlteach._answers import Count, Names, Number, Table, Word
from tlteach._exercises import Exercise, Mistake

_COLUMNS = {name: [] for name in ("background", "pose", "fur", "light", "occluded", "style", "place")}
_REMEDIES = {
    "weights": ["weighted", "group_weights"],
    "balanced rows": ["balanced_rows"],
    "a few new": ["few new", "new pictures", "a few new pictures"],
}
_DESIGN = {
    "test": Word(
        {
            "both scanners in each class": ["both scanners"],
            "as the clinic's archive": ["archive"],
            "scanner A alone": ["scanner a"],
        }
    ),
    "unit": Word(("patient", "slice")),
    "report": Word({"worst group with its interval": ["worst group"], "average": ["mean"]}),
    "draws": Count(),
}


def _plan(test="both scanners in each class", unit="patient", report="worst group with its interval", draws=10):
    return {"test": test, "unit": unit, "report": report, "draws": draws}


def _right_design(plan):
    return plan["draws"] >= 5 and all(plan[name] == value for name, value in _plan().items() if name != "draws")


EXERCISES = [
    Exercise(
        "12.1",
        Number(0.0045, "a share of 1"),
        right=0.934,
        accepts=[0.934, 0.93, "93.4 %", "0.934", 0.96 * 0.96 + 0.04 * 0.31],
        mistakes=[
            Mistake([0.635, 0.64], "That counts both kinds alike. In this test set 96 of 100 pictures are at home."),
            Mistake([0.96], "That is the accuracy of those at home alone. Four in a hundred are not."),
            Mistake([0.31], "That is the accuracy of those who are not at home: the number that the average hides."),
            Mistake([0.336], "The other way round: 96 of 100 are at home, and there 0.96 are right."),
            Mistake([0.0124], "That is what the strays add. Those at home add far more."),
            Mistake([0.066], "That is the share of *wrong* answers. The accuracy is asked for."),
            Mistake([0.65], "That is the gap between the two. Which number does the average of all pictures give?"),
            Mistake([0.9216], "And those who are not at home add something too: 0.04 of all, with 0.31 right."),
        ],
        otherwise="Weight each accuracy with its share of the pictures, and add.",
        hints=("An average weighs each group by how many pictures it has.", "`0.96 * 0.96 + 0.04 * ...`"),
        note="Two thirds of the strays are wrong, and the average has hardly noticed: they are four in a hundred.",
    ),
    Exercise(
        "12.2",
        Number(0.06, "times"),
        right=19,
        accepts=[19, "19", 19.0, "19 times"],
        mistakes=[
            Mistake(
                [10], "`tl.group_weights` gives the rare ones a weight of 10. How much is it over that of the others?"
            ),
            Mistake([0.053, 1 / 19], "The other way round: the rare pictures count more, not less."),
            Mistake([20], "One in twenty is rare; how many of the others come to one rare one?"),
            Mistake([162], "So many *more* are at home. How many *times* as many?"),
            Mistake([9, 171], "That is how many pictures a group has. How many times as many has the larger one?"),
            Mistake([0.526, 0.53], "That is the weight of a common picture. Divide that of a rare one by it."),
        ],
        otherwise="Groups count alike if number times weight is alike: 9 times what is 171?",
        hints=("171 pictures at home, 9 not.", "`weights.max() / weights.min()`"),
        note="So nine pictures bear half of the loss. Whatever is odd about one of them counts nineteen times: hence the spread.",
    ),
    Exercise(
        "12.3",
        Names(_COLUMNS),
        right=["background", "place"],
        accepts=[
            ["background", "place"],
            ("place", "background"),
            "backgrounds, places",
            pd.Series({"background": 0.45, "place": 0.45}),
        ],
        mistakes=[
            Mistake(
                [["place"]],
                "Place was made from another column, which tells the class as well. Look at each.",
            ),
            Mistake([["background"]], "And what was made from the background: is it not tied too?"),
            Mistake(
                [["background", "place", "pose"], ["background", "fur", "place"]],
                "One of these is about half and half, whatever its value. A few points from 0.5 are chance.",
                when=lambda names: names >= {"background", "place"},
            ),
            Mistake(
                [["pose"], ["fur", "light"]],
                "Those are drawn alike for both classes. Take the share of dogs for each value of each column.",
                when=lambda names: not names & {"background", "place"},
            ),
        ],
        otherwise="For each column, `given.groupby(column)['label'].mean()`: is some value far from 0.5?",
        hints=(
            "A column is tied if the share of dogs depends on its value.",
            '`given.groupby("pose")["label"].mean()`, and so on.',
        ),
        note="You found it because somebody had written the column down. What nobody wrote down cannot be asked for: that is what a data card is for.",
    ),
    Exercise(
        "12.4",
        Names(_REMEDIES),
        right=["a few new"],
        accepts=[["a few new"], "a few new", ("a few new pictures",)],
        mistakes=[
            Mistake(
                [["weights", "balanced rows"], ["weights", "balanced rows", "a few new"]],
                "Both work on the exceptions that are there. How many are there at 0 %? Call them, and read what they say.",
                when=lambda names: names >= {"weights", "balanced rows"},
            ),
            Mistake(
                [["weights"], ["weights", "a few new"]],
                "A weight needs a picture to be put on. `tl.group_weights` says what it misses: try it.",
                when=lambda names: "weights" in names,
            ),
            Mistake(
                [["balanced rows"], ["balanced rows", "a few new"]],
                "Of each group as many as the smallest has: that is none. `tl.balanced_rows` says so: try it.",
                when=lambda names: "balanced rows" in names,
            ),
        ],
        otherwise="Which of them asks nothing of a group that has no picture?",
        hints=(
            "At 0 % two of the four groups are empty.",
            'Try `tl.group_weights(perfect, "place")` and read what it says.',
        ),
        note="Where a group is missing altogether no arithmetic brings it back. Somebody has to go and take the pictures.",
    ),
    Exercise(
        "12.5",
        Table(_DESIGN),
        right=_right_design,
        accepts=[
            _plan(),
            _plan("both scanners", "patient", "worst group", 5),
            ["both scanners", "patients", "worst group with its interval", range(20)],
        ],
        mistakes=[
            Mistake(
                [_plan("as the clinic's archive")],
                "The archive has the tie that you ask about: such a test looks splendid whatever was learned.",
                when=lambda p: p["test"] == "as the clinic's archive",
            ),
            Mistake(
                [_plan("scanner A alone")],
                "Then one group of each class is never asked about, and it may be the one that is lost.",
                when=lambda p: p["test"] == "scanner A alone",
            ),
            Mistake(
                [_plan(unit="slice")],
                "Eight slices of a patient are nearly one picture: the interval would be far too narrow.",
                when=lambda p: p["unit"] == "slice",
            ),
            Mistake(
                [_plan(report="average")],
                "An average is what hid it in this lesson. Name the group that fares worst, and how sure you are.",
                when=lambda p: p["report"] == "average",
            ),
            Mistake(
                [_plan(draws=1), _plan(draws=3)],
                "With few patients a draw decides much: the lesson's bars are wide. Take five or more.",
                when=lambda p: p["draws"] < 5,
            ),
        ],
        otherwise="Each class from each scanner; count what is independent; report what an average hides.",
        hints=(
            "What would a model do that knows the scanner alone? Your test must notice.",
            "Two slices of one patient: are they two answers? And what does an average hide?",
        ),
        note="Such a test costs a day at the other clinic. It is cheaper than finding out in use.",
    ),
]
