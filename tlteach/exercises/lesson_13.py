"""Checks of lesson 13, The museum of traps."""

import numpy as np

from tlteach._answers import Count, Names, Number, Table, Word
from tlteach._exercises import Exercise, Mistake
from tlteach._functions import Function

_TRAPS = {
    "input range": ["range"],
    "rate too high": ["too high", "high rate", "learning rate", "learning rate too high"],
    "frozen backbone": ["frozen", "backbone frozen"],
    "other order of classes": ["order", "order of the classes", "other order"],
    "copies across splits": ["copies", "duplicates", "duplicates across splits"],
    "rare class": ["imbalance", "rare"],
}
_SYMPTOMS = {
    "A": "other order of classes",
    "B": "rate too high",
    "C": "rare class",
    "D": "copies across splits",
    "E": "frozen backbone",
}


def _told(**others):
    return _SYMPTOMS | others


_ROWS = np.arange(12.0).reshape(6, 2)
_CASES = (
    (_ROWS[:4], _ROWS[2:]),
    (_ROWS[:3], _ROWS[3:]),
    (np.concatenate([_ROWS[:4], _ROWS[3:4]]), _ROWS[3:]),  # twice in train, once in test
    (_ROWS[:4], np.concatenate([_ROWS[3:], _ROWS[3:4]])),  # once in train, twice in test
    (_ROWS[:4], _ROWS[:4, ::-1]),  # the same numbers, mirrored
    (_ROWS[::-1], _ROWS),
    (
        _ROWS[:2],
        np.array([[0.0, 3], [2, 3], [2.5, 3], [2.5, 3.5], [1, 4], [4, 1]]),
    ),  # numbers, places and sums agree, one row does
)


def _shared(train, test):
    known = {row.tobytes() for row in train}
    return sum(row.tobytes() in known for row in test)


def _of_train(train, test):
    known = {row.tobytes() for row in test}
    return sum(row.tobytes() in known for row in train)


def _different(train, test):
    return len({row.tobytes() for row in train} & {row.tobytes() for row in test})


def _by_sum(train, test):
    return int(np.isin(test.sum(1), train.sum(1)).sum())


def _by_place(train, test):
    return int(sum(np.array_equal(a, b) for a, b in zip(train, test, strict=False)))


def _by_number(train, test):
    return int(np.isin(test, train).sum())


def _by_numbers(train, test):
    return int(np.isin(test, train).all(1).sum())


def _by_any(train, test):
    return sum(row in train for row in test)


def _by_pairs(train, test):
    return sum(np.array_equal(a, b) for a in train for b in test)


def _by_first(train, test):
    return int(np.isin(test[:, 0], train[:, 0]).sum())


def _where(train, test):
    return [i for i, row in enumerate(test) if any(np.array_equal(row, other) for other in train)]


_STEPS = ("train the head", "trainable = True", "freeze BatchNorm", "compile", "fit")
_ORDER = Names(
    {
        "train the head": ["head", "train head"],
        "trainable = True": ["trainable true", "unfreeze", "trainable=True"],
        "freeze BatchNorm": ["batchnorm", "freeze batch norm"],
        "compile": [],
        "fit": [],
    },
    ordered=True,
)


def _comes_after(first, second):
    return lambda steps: {first, second} <= set(steps) and steps.index(first) > steps.index(second)


_DESIGN = {
    "differs": Word({"channel order": ["order"], "channel order and rate": ["order and rate", "rate"]}),
    "asked": Word({"pictures in both orders": ["both orders", "both"], "pictures in its own order": ["own order"]}),
    "compare on": Word({"validation": ["val"], "test": [], "training": ["train"]}),
    "seeds": Count(),
}


def _plan(differs="channel order", asked="pictures in both orders", on="validation", seeds=5):
    return {"differs": differs, "asked": asked, "compare on": on, "seeds": seeds}


def _right_design(plan):
    return plan["seeds"] >= 3 and all(plan[name] == value for name, value in _plan().items() if name != "seeds")


EXERCISES = [
    Exercise(
        "13.1",
        Number(0.5),
        right=255,
        accepts=[255, "255", 255.0, "x 255"],
        mistakes=[
            Mistake([1], "Then they stay in 0..1, the trap of room 1."),
            Mistake(
                [1 / 255, 0.0039], "That divides once more: they would end in 0..0.004.", when=lambda s: 0 < s < 0.005
            ),
            Mistake([256], "Then white would be 256. The largest byte is 255."),
            Mistake(
                [127.5], "That gives 0..127.5. It belongs to networks that take -1..1, with 1 taken away afterwards."
            ),
            Mistake(
                [124, 123.68, 151],
                "That is an edge of what VGG itself sees, after the mean colour went. `preprocess` does that.",
            ),
        ],
        otherwise="White is 1 in the array and 255 to `preprocess`. By what is it multiplied?",
        hints=("What is white in `as_read`, and what does `preprocess` take for white?", "1 times what is 255?"),
        note="And then `preprocess`, once. Rather keep it inside the model, where nobody can forget it.",
    ),
    Exercise(
        "13.2",
        Table(dict.fromkeys("ABCDE", Word(_TRAPS))),
        right=_SYMPTOMS,
        accepts=[
            _SYMPTOMS,
            ["order", "too high", "imbalance", "duplicates", "frozen"],
            {trap: letter for letter, trap in _SYMPTOMS.items()},
            list(_SYMPTOMS.items()),
            {"A": "Other order", "B": "learning rate", "C": "rare", "D": "copies", "E": "backbone frozen"},
        ],
        mistakes=[
            Mistake(
                [_told(A="input range"), _told(A="rate too high")],
                "A: those end at a coin, 0.5. To be *far below* one needs a network that knows the answer. What did it get wrong then?",
                when=lambda t: t["A"] in ("input range", "rate too high"),
            ),
            Mistake(
                [_told(A="copies across splits")],
                "A: copies make validation look *better* than it is. Here it is far worse than a coin.",
                when=lambda t: t["A"] == "copies across splits",
            ),
            Mistake(
                [_told(A="rare class")],
                "A: its two classes are balanced, so none is rare.",
                when=lambda t: t["A"] == "rare class",
            ),
            Mistake(
                [_told(A="frozen backbone")],
                "A: with a frozen backbone a head may learn little. It takes knowledge to be wrong so often.",
                when=lambda t: t["A"] == "frozen backbone",
            ),
            Mistake(
                [_told(B="input range")],
                "B: at a wrong range the loss starts high or stays at a coin's. Here it was 0.7 and rose within three steps.",
                when=lambda t: t["B"] == "input range",
            ),
            Mistake(
                [_told(C="copies across splits"), _told(C="rate too high")],
                "C: 0.94 is just the share of one class, and of the other classes nothing is found.",
                when=lambda t: t["C"] != "rare class",
            ),
            Mistake(
                [_told(D="rare class"), _told(D="other order of classes")],
                "D: labels from a coin cannot be learned, only remembered. Where has it seen the validation pictures?",
                when=lambda t: t["D"] != "copies across splits",
            ),
            Mistake(
                [_told(E="rate too high"), _told(E="input range")],
                "E: not a bit moved in the backbone, so nothing reached it. A rate or a range would still move something.",
                when=lambda t: t["E"] != "frozen backbone",
            ),
        ],
        otherwise="Ask of each: a coin, better than possible, worse than a coin, or exactly nothing?",
        hints=(
            "One trap is left over: the one that ends at a coin.",
            "A knows the answer and says the other word. D has seen the pictures. E did not move at all.",
        ),
        note="Worse than a coin, better than possible, exactly zero: such numbers are messages. A plausible number is the dangerous one.",
    ),
    Exercise(
        "13.3",
        Function(_CASES),
        right=_shared,
        accepts=[
            _shared,
            lambda train, test: sum(any(np.array_equal(row, other) for other in train) for row in test),
            lambda train, test: int((test[:, None] == train[None]).all(-1).any(1).sum()),
        ],
        mistakes=[
            Mistake(
                [_of_train],
                "You count rows of *train* that stand in test. Asked are test rows, as each is one wrong measurement.",
            ),
            Mistake([_different], "A set counts equal rows once. A test row that is there twice is measured twice."),
            Mistake(
                [_by_any],
                "`row in train` on arrays is true if *any* number of the row fits in its column. All must fit, in one row.",
            ),
            Mistake([_by_pairs], "A test row that stands in train twice is still one test row, and counts once."),
            Mistake([_by_first], "The first number alone does not tell a row. Compare every number."),
            Mistake([_where], "Those are the places of the rows. How many are they?"),
            Mistake(
                [_by_sum], "Other rows may have the same sum, a mirrored one for instance. Compare number by number."
            ),
            Mistake(
                [_by_place],
                "That compares the first with the first, the second with the second. A copy may stand anywhere in train.",
            ),
            Mistake(
                [_by_number, _by_numbers],
                "`isin` asks of single numbers. A row is the same only if all its numbers are, in order.",
            ),
        ],
        otherwise="For each row of test: is a row of train equal to it, number by number? Count those.",
        hints=(
            "Something that can stand in a set tells a row: `row.tobytes()`.",
            "Put what tells the rows of train into a set. Then ask of each test row whether it is in there.",
        ),
        note="This is what `check_recipe` does first. For mirrored and nearly equal pictures one has to look at how they look.",
    ),
    Exercise(
        "13.4",
        _ORDER,
        right=_STEPS,
        accepts=[
            list(_STEPS),
            _STEPS,
            "head, unfreeze, batchnorm, compile, fit",
            " -> ".join(_STEPS),
            dict(enumerate(_STEPS, 1)),
            {step: _STEPS.index(step) for step in sorted(_STEPS)},
        ],
        mistakes=[
            Mistake(
                [["compile", *_STEPS]],
                "Each step once. To train the head takes a `compile` and a `fit` of its own: they are in that step.",
                when=lambda steps: len(set(steps)) < len(steps),
            ),
            Mistake(
                [["train the head", "compile", "trainable = True", "freeze BatchNorm", "fit"]],
                "`compile` comes before a flag is changed: room 4. It must be the last thing before `fit`.",
                when=_comes_after("trainable = True", "compile"),
            ),
            Mistake(
                [["train the head", "freeze BatchNorm", "trainable = True", "compile", "fit"]],
                "`backbone.trainable = True` reaches every layer in it, BatchNorm too, and undoes what was done before.",
                when=_comes_after("trainable = True", "freeze BatchNorm"),
            ),
            Mistake(
                [["train the head", "trainable = True", "compile", "freeze BatchNorm", "fit"]],
                "BatchNorm is frozen after `compile`: a flag that is changed too late, as in room 4.",
                when=_comes_after("freeze BatchNorm", "compile"),
            ),
            Mistake(
                [["trainable = True", "train the head", "freeze BatchNorm", "compile", "fit"]],
                "The head is random at first, and its errors would go into a backbone that may move. Train it while all else is frozen.",
                when=_comes_after("train the head", "trainable = True"),
            ),
            Mistake(
                [["train the head", "trainable = True", "freeze BatchNorm", "fit", "compile"]],
                "`fit` before `compile` goes on with what the model knew before.",
                when=_comes_after("compile", "fit"),
            ),
        ],
        otherwise="Five steps, each once, so that none undoes another or comes too late.",
        hints=(
            "Which step undoes another if it comes later?",
            "Everything about `trainable` before `compile`; BatchNorm after the backbone.",
        ),
        note="Between `compile` and `fit`, count: `len(model.trainable_variables)`.",
    ),
    Exercise(
        "13.5",
        Table(_DESIGN),
        right=_right_design,
        accepts=[_plan(), _plan(seeds=10), ["order", "both orders", "val", 3]],
        mistakes=[
            Mistake(
                [_plan(differs="channel order and rate")],
                "Room 2 is about the channel order alone. If the rate differs too, you cannot tell which one did it.",
                when=lambda p: p["differs"] != "channel order",
            ),
            Mistake(
                [_plan(asked="pictures in its own order")],
                "That is what room 2 did, and hardly saw a thing. The harm shows when somebody asks in the other order.",
                when=lambda p: p["asked"] != "pictures in both orders",
            ),
            Mistake(
                [_plan(on="test")],
                "The test is kept for the last word on one model. Where are two arms compared before that?",
                when=lambda p: p["compare on"] == "test",
            ),
            Mistake(
                [_plan(on="training")],
                "On training pictures a head shows what it remembers. Ask others.",
                when=lambda p: p["compare on"] == "training",
            ),
            Mistake(
                [_plan(seeds=1), _plan(seeds=2)],
                "In room 2 the difference was about as large as chance makes it. Take three or more.",
                when=lambda p: p["seeds"] < 3,
            ),
        ],
        otherwise="Two arms that differ in one thing, asked in both orders, on validation, with several seeds.",
        hints=(
            "Which one thing differs, and who could be surprised by it later?",
            "Ask each model with RGB and with BGR pictures.",
        ),
        note="A trap without a symptom today is one for whoever uses the model tomorrow.",
    ),
]
