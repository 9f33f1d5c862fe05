"""Checks of lesson 04, Medical MRI."""

from collections import Counter

import numpy as np

from tlteach._answers import Number, Table, Word
from tlteach._exercises import Exercise, Mistake
from tlteach._functions import Function

_COLUMNS = {
    "slice": ["slices", "picture"],
    "patient": ["patients", "person"],
    "speaker": ["speakers", "voice"],
    "film": ["films", "movie"],
    "word": ["words"],
    "scanner": ["scanners"],
    "review": ["reviews"],
}
_TASKS = {
    "tumours": Word(_COLUMNS),
    "new scanner": Word(_COLUMNS),
    "spoken words": Word(_COLUMNS),
    "reviews": Word(_COLUMNS),
}
_UNITS = {"tumours": "patient", "new scanner": "scanner", "spoken words": "speaker", "reviews": "film"}

_CASES = (
    (np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8]]), ["p1", "p1", "p1", "p2"]),
    (np.array([[0.3, 0.7], [0.6, 0.4], [0.2, 0.8]]), ["b", "a", "a"]),
    (np.array([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]]), ["x", "x", "x", "y"]),
    (np.array([[0.1, 0.2, 0.7], [0.1, 0.3, 0.6], [0.1, 0.8, 0.1]]), ["x", "x", "y"]),
)


def _of_each(probabilities, patients, choose):
    patients = np.array(patients)
    return {str(who): int(choose(probabilities[patients == who])) for who in dict.fromkeys(patients)}


def _by_mean(probabilities, patients):
    return _of_each(probabilities, patients, lambda rows: rows.mean(0).argmax())


def _by_vote(probabilities, patients):
    return _of_each(probabilities, patients, lambda rows: Counter(rows.argmax(1).tolist()).most_common(1)[0][0])


def _by_first(probabilities, patients):
    return _of_each(probabilities, patients, lambda rows: rows[0].argmax())


def _by_least(probabilities, patients):
    return _of_each(probabilities, patients, lambda rows: rows.mean(0).argmin())


def _by_slice(probabilities, patients):
    return probabilities.argmax(1).tolist()


def _means(probabilities, patients):
    patients = np.array(patients)
    return {str(who): probabilities[patients == who].mean(0) for who in dict.fromkeys(patients)}


def _by_table(probabilities, patients):
    import pandas as pd

    means = pd.DataFrame(probabilities).groupby(list(patients), sort=False).mean()
    return dict(zip(means.index, means.to_numpy().argmax(1).tolist(), strict=True))


_DESIGN = {
    "labels": Word({"as they are": ["true"], "shuffled by slice": ["by slice"], "shuffled by patient": ["by patient"]}),
    "split by": Word({"slice": [], "patient": []}),
    "if it recognises patients": Word(
        {"far above chance": ["above chance", "high"], "about chance": ["at chance", "chance"]}
    ),
}


def _plan(labels="shuffled by patient", split="slice", told="far above chance"):
    return {"labels": labels, "split by": split, "if it recognises patients": told}


EXERCISES = [
    Exercise(
        "04.1",
        Word({f"p{n:03d}": [f"patient {n}", str(n)] for n in range(1, 1000)}),
        right="p117",
        accepts=["p117", "P117", ["p117"], 117, np.array(["p117"])],
        mistakes=[
            Mistake(
                ["p058", "p118"],
                "All eight slices of that patient are in training. Who has some in validation as well?",
                when=lambda who: int(who[1:]) <= 120 and int(who[1:]) % 7 != 0,
            ),
            Mistake(
                ["p007", 14],
                "All eight slices of that patient are in validation. Who has some in training as well?",
                when=lambda who: int(who[1:]) <= 120,
            ),
            Mistake(
                ["p934", "935"], "That is a row of the table. Whose slice is it?", when=lambda who: int(who[1:]) > 120
            ),
        ],
        otherwise="Who is in the column `patient` of both tables? `set(a) & set(b)` finds out.",
        hints=(
            "Each table has a column `patient`. Which values are in both?",
            'The intersection: `set(training["patient"]) & set(validation["patient"])`.',
        ),
        note="`tl.check_leakage(splits)` asks that of all splits, and compares the pictures themselves too.",
    ),
    Exercise(
        "04.2",
        Number(1e-9),
        right=lambda threshold: 0.40 < threshold <= 0.45,
        accepts=[0.45, "0.45", 0.42, np.float32(0.45)],
        mistakes=[
            Mistake(
                [0.5, 0.55],
                "At that threshold 7 of 10 tumours are found. 80 % are asked for: go lower.",
                when=lambda t: 0.45 < t <= 0.55,
            ),
            Mistake(
                [0.9, 0.8, 0.75],
                "So high a threshold spares the healthy and overlooks tumours: six of ten or fewer are found.",
                when=lambda t: 0.55 < t <= 1,
            ),
            Mistake(
                [0.4, 0.3, 0.25],
                "That finds 9 of 10 tumours, more than is asked for, and more of the healthy are alarmed. Take the highest that will do.",
                when=lambda t: 0.2 < t <= 0.4,
            ),
            Mistake(
                [0.0, 0.1, 0.2],
                "All ten are found, and (nearly) every healthy patient is alarmed too. Take the highest threshold that will do.",
                when=lambda t: 0 <= t <= 0.2,
            ),
            Mistake([0.65 * 100, 45, 80], "A threshold is a probability here, between 0 and 1.", when=lambda t: t > 1),
        ],
        otherwise="A threshold is between 0 and 1; count the tumours at or above it.",
        hints=(
            "Eight of the ten tumours must be at or above the threshold.",
            "Sort the tumours' probabilities from the highest: the eighth one is the highest threshold that finds eight.",
        ),
        note="It finds 8 of 10 tumours and alarms 2 of 10 healthy. The default, 0.5, would have found 7: nobody asked for that trade.",
    ),
    Exercise(
        "04.3",
        Table(_TASKS),
        right=_UNITS,
        accepts=[
            _UNITS,
            ["patient", "scanner", "speaker", "film"],
            {name: word.upper() for name, word in _UNITS.items()},
        ],
        mistakes=[
            Mistake(
                [_UNITS | {"tumours": "slice"}],
                "Tumours: neighbouring slices of one patient are nearly the same picture. By slice, the test asks for what was learned by heart.",
                when=lambda t: t["tumours"] == "slice",
            ),
            Mistake(
                [_UNITS | {"tumours": "scanner"}],
                "Tumours: the hospital has one scanner and keeps it. What is new to it each day?",
                when=lambda t: t["tumours"] == "scanner",
            ),
            Mistake(
                [_UNITS | {"new scanner": "patient"}, _UNITS | {"new scanner": "slice"}],
                "New scanner: with every scanner in training, the test does not tell how it goes with one that was never seen.",
                when=lambda t: t["new scanner"] != "scanner",
            ),
            Mistake(
                [_UNITS | {"spoken words": "word"}],
                "Spoken words: the words are the classes. A word that is never trained cannot be recognised; who speaks is what is new.",
                when=lambda t: t["spoken words"] == "word",
            ),
            Mistake(
                [_UNITS | {"reviews": "review"}],
                "Reviews: those of one film share its names and its actors, and mostly the verdict. A model may learn the film.",
                when=lambda t: t["reviews"] == "review",
            ),
        ],
        otherwise="What will be new when the model is used? That must not be divided between the splits.",
        hints=(
            "The unit is what the model meets for the first time when it is used.",
            "New patients, a new scanner, new speakers, new films.",
        ),
        note="A split imitates the use. It is the use, not the data, that says which one is right.",
    ),
    Exercise(
        "04.4",
        Function(_CASES),
        right=_by_mean,
        accepts=[
            _by_mean,
            _by_table,
            lambda p, who: {w: sum(p[i] for i in range(len(who)) if who[i] == w).argmax() for w in who},
        ],
        mistakes=[
            Mistake(
                [_by_vote],
                "That is the vote of the slices. A slice that is sure counts no more than one that hesitates; here the *mean* probability is asked for.",
            ),
            Mistake([_by_first], "You took each patient's first slice. All of them are witnesses: take the mean."),
            Mistake([_by_least], "`argmin` is the least likely class. The most likely one is asked for."),
            Mistake([_by_slice], "That is one answer for each slice. One for each patient is asked for, as a dict."),
            Mistake([_means], "These are the mean probabilities. One step is left: which class has the highest?"),
        ],
        otherwise="A dict from patient to class (a whole number): the mean of the patient's rows, then `argmax`.",
        hints=(
            "`probabilities[np.array(patients) == who]` are the rows of one patient.",
            "`{who: rows_of(who).mean(0).argmax() for who in set(patients)}`",
        ),
        note='That is `tl.average_by(report, "patient")`. The interval stays as wide as the number of patients allows.',
    ),
    Exercise(
        "04.5",
        Table(_DESIGN),
        right=_plan(),
        accepts=[_plan(), ["shuffled by patient", "slice", "far above chance"], _plan("by patient", "Slice", "high")],
        mistakes=[
            Mistake(
                [_plan("as they are")],
                "With true labels a high accuracy may be medicine or memory. Take away what could be medicine.",
                when=lambda p: p["labels"] == "as they are",
            ),
            Mistake(
                [_plan("shuffled by slice")],
                "Then a patient's slices have different labels, and who recognises the patient gains nothing. Keep a patient's label in common.",
                when=lambda p: p["labels"] == "shuffled by slice",
            ),
            Mistake(
                [_plan(split="patient")],
                "With no test patient in training there is nobody to recognise: memory would not show. Split by slice.",
                when=lambda p: p["split by"] == "patient",
            ),
            Mistake(
                [_plan(told="about chance")],
                "A recognised patient brings along his (random) label: it will be right again, so far above chance.",
                when=lambda p: p["if it recognises patients"] == "about chance",
            ),
        ],
        otherwise="Labels that mean nothing but belong to a patient, a split that puts each patient on both sides, and what memory then gives.",
        hints=(
            "Take away everything that could be learned about tumours, and leave all that could be learned about persons.",
            "Shuffle the diagnoses among patients, and split by slice.",
        ),
        note="The lesson's control. What it scores above chance is memory, and the split by slice has counted that as medicine.",
    ),
]
