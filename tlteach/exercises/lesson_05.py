"""Checks of lesson 05, Speech spectrograms."""

from tlteach._answers import Count, Names, Number, Table, Word
from tlteach._exercises import Exercise, Mistake

_AVERAGES = {
    "no average": ["none", "no mean", "pixels"],
    "mean over time": ["time"],
    "mean over pitch": ["pitch"],
    "mean over both": ["both"],
}
_COST = {"speaker": Number(0.06, "points"), "accent": Number(0.06, "points")}
_DESIGN = {
    "recordings": Word(
        {
            "one of each digit, two speakers": ["two speakers", "one of each digit"],
            "two of each digit, one speaker": ["one speaker", "two of each digit"],
            "twenty of one digit": ["one digit"],
        }
    ),
    "test": Word(
        {
            "other speakers of the accent": ["others of the accent"],
            "the same speakers": ["same speakers"],
            "speakers of other accents": ["other accents"],
        }
    ),
    "with": Word({"twenty of the old accents added": ["old accents"], "nothing added": ["nothing"]}),
    "seeds": Count(),
}


def _plan(recordings="one of each digit, two speakers", test="other speakers of the accent", seeds=5, **more):
    return {"recordings": recordings, "test": test, "with": "twenty of the old accents added", "seeds": seeds} | more


def _right_design(plan):
    return plan["seeds"] >= 3 and all(plan[name] == value for name, value in _plan().items() if name != "seeds")


EXERCISES = [
    Exercise(
        "05.1",
        Number(0.5, "hertz"),
        right=1200,
        accepts=[1200, "1,200 Hz", 1200.0],
        mistakes=[
            Mistake(
                [1000],
                "Then only the length would change. Played faster, every wave passes sooner: the pitch rises too.",
            ),
            Mistake([833, 833.33, 1000 / 1.2], "Slower is deeper, faster is higher: multiply by the speed."),
            Mistake([200], "That is by how much it rises. At which pitch does it stand then?"),
            Mistake([1.2], "That is the factor. Which pitch, in hertz, is it applied to?"),
            Mistake([2000], "That is an octave, twice as fast. Here it is 1.2 times."),
        ],
        otherwise="1,000 waves a second, and the second is over 1.2 times as soon. Look at the plot.",
        hints=("Played faster, more waves pass in a second.", "How many times more? As many times as it is faster."),
        note="Pitch and formants move together, as with a smaller throat: that is why a changed speed is another voice.",
    ),
    Exercise(
        "05.2",
        Names(_AVERAGES),
        right=["no average", "mean over pitch"],
        accepts=[["no average", "mean over pitch"], ("mean over pitch", "none"), "no average, mean over pitch"],
        mistakes=[
            Mistake(
                [["no average"]],
                "One more does: over pitch, the first is loud and then soft, the other soft and then loud.",
            ),
            Mistake([["mean over pitch"]], "And the whole picture, without any average, tells them apart as well."),
            Mistake(
                [
                    ["no average", "mean over time"],
                    ["mean over time"],
                    ["no average", "mean over time", "mean over pitch"],
                ],
                "Over time, each pitch is as loud on average forwards as backwards: that mean has lost *when*.",
                when=lambda names: "mean over time" in names and "mean over both" not in names,
            ),
            Mistake(
                [["no average", "mean over time", "mean over pitch", "mean over both"], ["mean over both"]],
                "The mean over both is one number, the loudness, and it is the same for the two.",
                when=lambda names: "mean over both" in names,
            ),
        ],
        otherwise="Compute each: `sound.mean(1)` is over time, `sound.mean(0)` over pitch.",
        hints=(
            "Backwards, the columns change places. Which means notice?",
            "`np.allclose(sound.mean(1), reversed_sound.mean(1))`: rows are pitches, so this is the mean over time.",
        ),
        note="A mean over time cannot tell a word from itself backwards. And yet `speech` averages: its features have looked before.",
    ),
    Exercise(
        "05.3",
        Number(unit="speakers"),
        right=46,
        accepts=[46, "46", "46 speakers", 46.0],
        mistakes=[
            Mistake(
                [0], "That is the split that ships. `by_recording` draws single recordings: compare its two tables."
            ),
            Mistake([14], "14 speakers are in the test split that ships. Look at `by_recording`."),
            Mistake([25], "25 speakers are in the training split that ships. Look at `by_recording`."),
            Mistake(
                [1840, 368, 1104],
                "Those are recordings. Ask for the different speakers: a `set`, or `unique()`.",
                when=lambda n: n >= 100,
            ),
            Mistake([92], "You added up both sides. Who stands in both of them?"),
            Mistake([7], "7 is the number of accents, or of speakers in validation. Count speakers on both sides."),
        ],
        otherwise="Take the set of speakers of each table, and count what is in both.",
        hints=(
            'The tables have a column "speaker".',
            'With sets, `set(by_recording.train.table["speaker"]) & set(...)` is what is in both.',
        ),
        note="All of them. Such a test asks for known voices; people who use it will be unknown ones.",
    ),
    Exercise(
        "05.4",
        Table(_COST),
        right={"speaker": 4.0, "accent": 6.0},
        accepts=[{"speaker": 4, "accent": 6}, {"speaker": "4 points", "accent": "6 points"}, [4.0, 6.0]],
        mistakes=[
            Mistake(
                [{"speaker": 4, "accent": 10}],
                "Ten points is both together. How many come on top when the speaker is unknown already?",
                when=lambda c: abs(c["accent"] - 10) < 0.1,
            ),
            Mistake(
                [{"speaker": 0.04, "accent": 0.06}],
                "Those are shares of 1. A point is a hundredth: multiply by 100.",
                when=lambda c: 0 < abs(c["speaker"]) < 1 and 0 < abs(c["accent"]) < 1,
            ),
            Mistake(
                [{"speaker": -4, "accent": -6}],
                "The cost is what is lost, a number above zero: take the lower accuracy from the higher.",
                when=lambda c: c["speaker"] < 0 or c["accent"] < 0,
            ),
            Mistake(
                [{"speaker": 6, "accent": 4}],
                "The other way round: from `speaker known` to `accent known` only the speaker becomes unknown.",
                when=lambda c: abs(c["speaker"] - 6) < 0.1 and abs(c["accent"] - 4) < 0.1,
            ),
            Mistake(
                [{"speaker": 5, "accent": 15}, {"speaker": 9, "accent": 15}, {"speaker": 5, "accent": 9}],
                "Those are errors: what an accuracy has less than 1. A cost is the difference of two accuracies.",
                when=lambda c: c["speaker"] in (5, 9) and c["accent"] in (9, 15),
            ),
            Mistake(
                [{"speaker": 4.2, "accent": 6.6}],
                "That is the loss relative to what was there. A point is a hundredth of accuracy, whatever was there.",
                when=lambda c: abs(c["speaker"] - 4.2) < 0.1 and abs(c["accent"] - 6.6) < 0.1,
            ),
            Mistake(
                [{"speaker": 91, "accent": 85}],
                "Those are accuracies. A cost is a difference of two.",
                when=lambda c: c["speaker"] > 50 or c["accent"] > 50,
            ),
        ],
        otherwise="Each step makes one more thing unknown. Take neighbours' differences, in points.",
        hints=(
            "`speaker known` knows both, `accent known` the accent alone.",
            "0.95 - 0.91 for the speaker; what is left to 0.85 for the accent.",
        ),
        note="Without the middle number all ten points would have been blamed on the accent.",
    ),
    Exercise(
        "05.5",
        Table(_DESIGN),
        right=_right_design,
        accepts=[
            _plan(),
            _plan("two speakers", "others of the accent", 3),
            ["two speakers", "other speakers of the accent", "old accents", 10],
        ],
        mistakes=[
            Mistake(
                [_plan(test="the same speakers")],
                "Then a gain may be the voices alone. Whom should it help? Ask people who were not recorded.",
                when=lambda p: p["test"] == "the same speakers",
            ),
            Mistake(
                [_plan(test="speakers of other accents")],
                "That tells whether the old accents suffer, a good second question. The first is whether the new one gains.",
                when=lambda p: p["test"] == "speakers of other accents",
            ),
            Mistake(
                [_plan("twenty of one digit")],
                "The other nine digits of the accent would never be heard.",
                when=lambda p: p["recordings"] == "twenty of one digit",
            ),
            Mistake(
                [_plan("two of each digit, one speaker")],
                "With one speaker, accent and voice are the same thing. Two tell a little of what they share.",
                when=lambda p: p["recordings"] == "two of each digit, one speaker",
            ),
            Mistake(
                [_plan(**{"with": "nothing added"})],
                "More recordings help whatever their accent. Add as many in both, so that only the accent differs.",
                when=lambda p: p["with"] == "nothing added",
            ),
            Mistake(
                [_plan(seeds=1), _plan(seeds=2)],
                "Which speakers are drawn matters more than the point you look for. Take three seeds or more.",
                when=lambda p: p["seeds"] < 3,
            ),
        ],
        otherwise="Vary the accent of what is added, and nothing else; ask people who were not recorded.",
        hints=(
            "A gain must not be the voice, nor the number of recordings.",
            "Other speakers in the test; as many recordings added on both sides.",
        ),
        note="Only the accent of the twenty differs now, and the test asks the people it is for.",
    ),
]
