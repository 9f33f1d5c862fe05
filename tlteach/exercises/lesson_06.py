"""Checks of lesson 06, Sentiment."""

import numpy as np

from tlteach._answers import Count, Number, Table, Word
from tlteach._exercises import Exercise, Mistake
from tlteach._functions import Function

_WORDS = ("cinematography", "straightforward", "misunderstandings", "unforgettable", "thermostat", "disappointing")

_ROWS = np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 4.0], [9.0, 9.0], [9.0, 9.0]])
_CASES = (
    (_ROWS, np.array([True, True, True, False, False])),
    (_ROWS, np.array([True, False, False, False, False])),
    (_ROWS[::-1].copy(), np.array([True, True, True, True, True])),
    (_ROWS[1:], np.array([1, 1, 0, 0])),
    (_ROWS, np.array([False, False, True, True, True])),
)


def _mean(rows, real):
    return rows[np.asarray(real, bool)].mean(axis=0)


def _everything(rows, real):
    return rows.mean(axis=0)


def _first(rows, real):
    return rows[0]


def _last(rows, real):
    return rows[np.asarray(real, bool)][-1]


def _sum(rows, real):
    return rows[np.asarray(real, bool)].sum(axis=0)


def _zeros(rows, real):
    return (rows * np.asarray(real, bool)[:, None]).mean(axis=0)


def _one_number(rows, real):
    return rows[np.asarray(real, bool)].mean()


_PAIRS = (
    (np.array([0.9, 0.8, 0.3, 0.6]), np.array([0.2, 0.6, 0.7, 0.9]), np.array([False, False, True, True])),
    (np.array([0.7, 0.7, 0.4]), np.array([0.65, 0.4, 0.1]), np.array([False, False, False])),
    (np.array([0.1, 0.2, 0.9]), np.array([0.3, 0.8, 0.1]), np.array([True, True, True])),
)


def _turned(before, after, should_rise):
    return int((((before > 0.5) != should_rise) & ((after > 0.5) == should_rise)).sum())


def _any_move(before, after, should_rise):
    return int(((after > before) == should_rise).sum())


def _right_after(before, after, should_rise):
    return int(((after > 0.5) == should_rise).sum())


def _crossed(before, after, should_rise):
    return int(((before > 0.5) != (after > 0.5)).sum())


def _shares(before, after, should_rise):
    return _turned(before, after, should_rise) / len(before)


_DESIGN = {
    "beside it": Word(
        {
            "random twin, frozen": ["random twin"],
            "bag of words": [],
            "BERT, fine-tuned": ["fine-tuned bert", "fine-tuned"],
        }
    ),
    "texts": Word({"films": [], "restaurants": [], "both": []}),
    "draws": Word({"the same": ["same"], "others": ["other"]}),
    "number of draws": Count(),
}


def _plan(beside="random twin, frozen", texts="both", draws="the same", number=10):
    return {"beside it": beside, "texts": texts, "draws": draws, "number of draws": number}


EXERCISES = [
    Exercise(
        "06.1",
        Word(_WORDS),
        right="thermostat",
        accepts=["thermostat", "Thermostat", ["thermostat"], "'thermostat'"],
        mistakes=[
            Mistake(
                ["misunderstandings"],
                "That is the longest in letters. Pieces are cut by what the backbone has read, not by length.",
            ),
            Mistake(["straightforward"], "Three pieces, `straight ##for ##ward`. Another word is cut finer."),
            Mistake(["cinematography"], "Long, and a single piece: film reviews say it often."),
            Mistake(
                ["unforgettable", "disappointing"],
                "A single piece: film reviews say it often. What do they seldom speak of?",
            ),
        ],
        otherwise="Ask `mini_tokenizer.pieces(word)` of each, and count.",
        hints=(
            "The pieces were learned from film reviews. Which word has no business there?",
            "`max(candidates, key=lambda word: len(mini_tokenizer.pieces(word)))`",
        ),
        note="Five pieces of which none means anything: what the source has not read, it has to spell.",
    ),
    Exercise(
        "06.2",
        Function(_CASES),
        right=_mean,
        accepts=[
            _mean,
            lambda rows, real: np.average(rows, axis=0, weights=np.asarray(real, float)),
            lambda rows, real: [
                sum(r[c] for r, ok in zip(rows, real, strict=True) if ok) / sum(real) for c in range(rows.shape[1])
            ],
        ],
        mistakes=[
            Mistake(
                [_everything],
                "You took the mean of all rows. Those after the text's end are padding: leave them out, or a text's features depend on its neighbours.",
            ),
            Mistake(
                [_zeros],
                "The padding is zero now, and still counted: divide by the number of real pieces, not by the length.",
            ),
            Mistake(
                [_sum],
                "That is the sum. A long text would be louder than a short one: divide by the number of real pieces.",
            ),
            Mistake([_first], "That is the first piece alone, the pooling *cls*. The mean is asked for."),
            Mistake([_last], "That is the last real piece, the pooling *last*. The mean is asked for."),
            Mistake([_one_number], "One number for the whole text. Each feature has a mean of its own: `axis=0`."),
        ],
        otherwise="The mean over the real pieces, one number a feature.",
        hints=(
            "Which rows are real? `real` is a mask, so `rows[real]` with `real` as booleans.",
            "`rows[np.asarray(real, bool)].mean(axis=0)`",
        ),
        note="That is the pooling *avg*. Padding that leaks into it is a mistake which costs accuracy and raises nothing.",
    ),
    Exercise(
        "06.3",
        Number(unit="draws"),
        right=1,
        accepts=[1, "1", "1 draw", np.int64(1)],
        mistakes=[
            Mistake([4], "The rows were compared as they stand, and they are of different draws: look at `seed`."),
            Mistake([2], "One draw is the same to the last digit: that is no gain."),
            Mistake([3], "In three draws the *frozen features* are better. Which is taken from which?"),
            Mistake([0.2, 20], "That is the share. How many draws of the five?"),
            Mistake(
                [0.004, 0.4], "That is the mean gain, which one lucky draw can make. In *how many* draws is there one?"
            ),
        ],
        otherwise="Align by `seed`, take one from the other, and count what is above zero.",
        hints=(
            "The two tables are not in the same order: look at the column `seed`.",
            '`(tuned_table.set_index("seed") - frozen_table.set_index("seed"))["accuracy"] > 0`',
        ),
        note="One of five. Row by row it had looked like four, and the mean is above zero too. pandas aligns by index, NumPy does not.",
    ),
    Exercise(
        "06.4",
        Function(_PAIRS),
        right=_turned,
        accepts=[
            _turned,
            lambda b, a, s: sum(bool((x > 0.5) != r and (y > 0.5) == r) for x, y, r in zip(b, a, s, strict=True)),
            lambda b, a, s: np.sum(np.where(s, (b <= 0.5) & (a > 0.5), (b > 0.5) & (a <= 0.5))),
        ],
        mistakes=[
            Mistake(
                [_any_move], "You count each move in the right direction. To turn a verdict around, it must cross 0.5."
            ),
            Mistake(
                [_right_after],
                "You count what is right afterwards. Some were on that side before, and nothing was turned around.",
            ),
            Mistake(
                [_crossed], "You count crossings in either direction. Only those that the negation should cause count."
            ),
            Mistake([_shares], "That is a share. The number of pairs is asked for."),
        ],
        otherwise="Count the pairs that were on the wrong side of 0.5 for the negated sentence, and are on the right side after.",
        hints=(
            "Two conditions must hold: on one side before, on the other after.",
            "`((before > 0.5) != should_rise) & ((after > 0.5) == should_rise)`",
        ),
        note="Strict, and fair: a model that is always unsure crosses now and then, one that never hears *not* does not.",
    ),
    Exercise(
        "06.5",
        Table(_DESIGN),
        right=lambda p: (
            p["beside it"] == "random twin, frozen"
            and p["texts"] == "both"
            and p["draws"] == "the same"
            and p["number of draws"] >= 5
        ),
        accepts=[_plan(), _plan("Random twin", number=5), ["random twin, frozen", "both", "same", 16]],
        mistakes=[
            Mistake(
                [_plan("bag of words")],
                "Counted words differ from BERT in everything. To see what was *read*, let one network have read and the same one not.",
                when=lambda p: p["beside it"] == "bag of words",
            ),
            Mistake(
                [_plan("BERT, fine-tuned")],
                "Both have read the film reviews. Which network has read nothing?",
                when=lambda p: p["beside it"] == "BERT, fine-tuned",
            ),
            Mistake(
                [_plan(texts="films"), _plan(texts="restaurants")],
                "One domain shows that reading helps there. Whether it is *reading about films* that helps wants another domain beside it.",
                when=lambda p: p["texts"] != "both",
            ),
            Mistake(
                [_plan(draws="others")],
                "With other draws the luck of the labels is in the difference. Give both the same.",
                when=lambda p: p["draws"] == "others",
            ),
            Mistake(
                [_plan(number=1), _plan(number=2)],
                "At 30 labels draws differ by ten points. Take five or more.",
                when=lambda p: p["number of draws"] < 5,
            ),
        ],
        otherwise="The same network without what was read, on the same draws, in films and in another domain.",
        hints=(
            "One thing may differ: what was read.",
            "The random twin, frozen; both domains; the same draws; five of them or more.",
        ),
        note="The lesson did it: well ahead of the twin in films, hardly in restaurants. What was read helps where it was read about.",
    ),
]
