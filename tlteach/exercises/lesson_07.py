"""Checks of lesson 07, Named entities."""

import numpy as np

from tlteach._answers import Count, Number, Row, Table, Word
from tlteach._exercises import Exercise, Mistake
from tlteach._functions import Function

_REPAIRS = (
    (["O", "I-PER", "I-PER", "O"],),
    (["B-LOC", "I-PER", "I-PER"],),
    (["I-LOC", "I-LOC", "O", "I-ORG"],),
    (["B-PER", "I-PER", "B-PER", "O", "B-ORG", "I-ORG"],),
    (["I-PER", "O", "B-PER"],),
)


def _repaired(labels):
    before, done = "O", []
    for label in labels:
        stray = label.startswith("I-") and before[2:] != label[2:]
        done.append("B-" + label[2:] if stray else label)
        before = label
    return done


def _every_i(labels):
    return ["B" + label[1:] if label.startswith("I-") else label for label in labels]


def _only_after_o(labels):
    return ["B" + b[1:] if b.startswith("I-") and a == "O" else b for a, b in zip(["O", *labels], labels, strict=False)]


def _not_at_start(labels):
    return [labels[0], *_repaired(labels)[1:]]


def _dropped(labels):
    return ["O" if a != b and b.startswith("I-") else b for a, b in zip(_repaired(labels), labels, strict=True)]


def _persons_alone(labels):
    return [b if a != "I-PER" else r for a, b, r in zip(labels, labels, _repaired(labels), strict=True)]


def _unchanged(labels):
    return list(labels)


def _looped(labels):
    return [
        "B-" + labels[i][2:] if labels[i][0] == "I" and (i == 0 or labels[i - 1][1:] != labels[i][1:]) else labels[i]
        for i in range(len(labels))
    ]


_SCORED = (
    (np.array([[0, 1, 2, 0], [0, 0, 1, 1]]), np.array([[-1, 1, -1, -1], [-1, 0, 0, -1]])),
    (np.array([[3, 0, 0]]), np.array([[3, -1, -1]])),
    (np.array([[0, 0, 0], [2, 2, 1]]), np.array([[-1, 0, 0], [2, 1, -1]])),
)


def _masked(predicted, targets):
    return (predicted == targets)[targets >= 0].mean()


def _unmasked(predicted, targets):
    return (predicted == targets).mean()


def _clipped(predicted, targets):
    return (predicted == targets.clip(0)).mean()


def _no_o(predicted, targets):
    return (predicted == targets)[targets > 0].mean()


def _number(predicted, targets):
    return (predicted == targets)[targets >= 0].sum()


def _by_sentence(predicted, targets):
    return np.mean([(p == t)[t >= 0].mean() for p, t in zip(predicted, targets, strict=True)])


_DESIGN = {
    "lower-case": Word(
        {
            "test alone": ["test"],
            "training and test": ["both", "train and test"],
            "training alone": ["training", "train"],
        }
    ),
    "model": Word({"words and capitals": ["bar with capitals"], "BERT": []}),
    "measure": Word({"F1": ["entity f1"], "share of words": ["accuracy"]}),
    "seeds": Count(),
}


def _plan(lower="training and test", model="words and capitals", measure="F1", seeds=5):
    return {"lower-case": lower, "model": model, "measure": measure, "seeds": seeds}


EXERCISES = [
    Exercise(
        "07.1",
        Row(10),
        right=[-1, 1, -1, -1, -1, 0, 3, -1, -1, -1],
        accepts=[
            [-1, 1, -1, -1, -1, 0, 3, -1, -1, -1],
            np.array([[-1, 1, -1, -1, -1, 0, 3, -1, -1, -1]]),
            "-1, 1, -1, -1, -1, 0, 3, -1, -1, -1",
        ],
        mistakes=[
            Mistake(
                [[-1, 1, 1, 1, 1, 0, 3, 3, 3, -1]],
                "Every piece has its word's label: `B-` would begin four persons. The first piece alone carries it.",
            ),
            Mistake(
                [[-1, 1, 2, 2, 2, 0, 3, 4, 4, -1]],
                "A word in four pieces is still one word, so nothing goes on with `I-`. The other pieces are masked.",
            ),
            Mistake(
                [[-1, 1, 0, 0, 0, 0, 3, 0, 0, -1], [0, 1, 0, 0, 0, 0, 3, 0, 0, 0]],
                "0 is the label `O`: the model would learn that the rest of a name is outside of it. Masked is -1.",
            ),
            Mistake(
                [[-100, 1, -100, -100, -100, 0, 3, -100, -100, -100]],
                "-100 is how other libraries mask. Here the mask is -1.",
                when=lambda row: -100 in row,
            ),
            Mistake([[0, 1, -1, -1, -1, 0, 3, -1, -1, 0]], "`[CLS]` and `[SEP]` are no words: they are masked too."),
            Mistake(
                [[-1, -1, -1, -1, 1, 0, -1, -1, 3, -1]], "You put the label on the last piece. It stands on the first."
            ),
        ],
        otherwise="-1 for both marks and for each piece that begins with `##`; the word's label, as its place in `names`, for the others.",
        hints=(
            "Ten places: two marks, three words, and five pieces that go on (`##`).",
            "`names.index(label)` at each first piece, -1 elsewhere.",
        ),
        note="`tl.align_labels` does it. Three places are learned and asked for: as many as there are words.",
    ),
    Exercise(
        "07.2",
        Number(0.006, "a share of 1"),
        right=0.5,
        accepts=[0.5, "0.5", 1 / 2, np.float64(0.5)],
        mistakes=[
            Mistake([50], "F1 is a share here, between 0 and 1."),
            Mistake(
                [0.8], "8 of 10 words are right, and that is the share of words. How many *entities* are found whole?"
            ),
            Mistake(
                [0.75],
                "3 of 4: half a name was counted as found. An entity is found if type, first *and* last word are right.",
            ),
            Mistake(
                [0.67],
                "That is the F1 of the labelled *words*, or of one type. Count whole entities, of all types together.",
            ),
            Mistake(
                [0.44],
                "That is the mean of the three types' F1. Over all types, entities are counted together: a frequent type weighs more.",
            ),
            Mistake(
                [0.4],
                "2 of 5: five *words* bear a label, but together they are four entities.",
            ),
            Mistake(
                [0.25],
                "2 of 8: hits over what was called an entity and what is one, together. F1 counts the hits twice.",
            ),
            Mistake(
                [0.33],
                "2 of 6, the hits over all that either names. Precision is 2 of 4 and recall 2 of 4: what is their harmonic mean?",
            ),
            Mistake([1.0], "One name is called half, and one place an organisation: these two are not found."),
        ],
        otherwise="Count: entities that are there, entities that were called, and those that agree in type, first and last word.",
        hints=(
            "There are four entities, and four were called. How many agree in type, first *and* last word?",
            "`tl.entity_f1([true_labels], [said_labels])` counts for you.",
        ),
        note="80 % of the words, half of the entities. Say which one you report.",
    ),
    Exercise(
        "07.3",
        Function(_REPAIRS),
        right=_repaired,
        accepts=[_repaired, _looped, lambda labels: tuple(_repaired(labels))],
        mistakes=[
            Mistake(
                [_every_i], "Now each word begins an entity of its own. Only an `I-` that continues nothing is stray."
            ),
            Mistake([_persons_alone], "You repair persons alone. `I-LOC` and `I-ORG` may be stray as well: any type."),
            Mistake([_only_after_o], "An `I-PER` after a `B-LOC` continues nothing either: compare the types."),
            Mistake([_not_at_start], "The first word may be stray too: before it there is nothing to continue."),
            Mistake(
                [_dropped],
                "You made the strays `O`, which throws away what the model has found. Let them begin an entity.",
            ),
            Mistake(
                [_unchanged], "Nothing was changed. An `I-` with no `B-` or `I-` of its type before it becomes `B-`."
            ),
        ],
        otherwise="An `I-X` becomes `B-X`, unless the label before it is `B-X` or `I-X`.",
        hints=(
            "Look at the label before: has it the same type, what comes after the `-`?",
            '`label.startswith("I-") and before[2:] != label[2:]` is a stray.',
        ),
        note="The count of the field reads a stray so. It repairs the form; a conditional random field would learn it.",
    ),
    Exercise(
        "07.4",
        Function(_SCORED),
        right=_masked,
        accepts=[
            _masked,
            lambda p, t: np.average(p == t, weights=t >= 0),
            lambda p, t: sum(a == b for a, b in zip(p.ravel(), t.ravel(), strict=True) if b != -1) / (t != -1).sum(),
        ],
        mistakes=[
            Mistake([_unmasked], "The masked places are counted as wrong. Leave them out of the mean."),
            Mistake(
                [_clipped],
                "You made the masked places `O` and counted them. Whoever says `O` everywhere would look good.",
            ),
            Mistake([_no_o], "You left out the words that are `O` as well. 0 is a label, -1 is the mask."),
            Mistake([_number], "That is how many are right. The share is asked for."),
            Mistake(
                [_by_sentence],
                "That is the mean of the sentences' shares. Each *word* counts the same: one mean over all.",
            ),
        ],
        otherwise="Of all places whose target is 0 or more: which share is predicted right?",
        hints=("`targets >= 0` tells which places count.", "`(predicted == targets)[targets >= 0].mean()`"),
        note="The same mask belongs into the loss, as `sample_weight`. Masked in one and not in the other is a bug that trains happily.",
    ),
    Exercise(
        "07.5",
        Table(_DESIGN),
        right=lambda p: (
            p["lower-case"] == "training and test"
            and p["model"] == "words and capitals"
            and p["measure"] == "F1"
            and p["seeds"] >= 3
        ),
        accepts=[_plan(), ["both", "words and capitals", "entity F1", 3], _plan("train and test", seeds=10)],
        mistakes=[
            Mistake(
                [_plan("test alone")],
                "A model that learned to trust capitals meets none: that measures the surprise. What capitals are worth shows if it learned without them too.",
                when=lambda p: p["lower-case"] == "test alone",
            ),
            Mistake(
                [_plan("training alone")],
                "Then it learns without capitals and is asked with them: it cannot use what it gets. Take them away from both.",
                when=lambda p: p["lower-case"] == "training alone",
            ),
            Mistake(
                [_plan(model="BERT")],
                "This BERT is uncased: it lower-cases for itself, so nothing would change.",
                when=lambda p: p["model"] == "BERT",
            ),
            Mistake(
                [_plan(measure="share of words")],
                "Three words in four are right if no entity is found: a share of words hides the loss. Count entities.",
                when=lambda p: p["measure"] == "share of words",
            ),
            Mistake(
                [_plan(seeds=1), _plan(seeds=2)],
                "Draws of few sentences differ by several points: three seeds at least.",
                when=lambda p: p["seeds"] < 3,
            ),
        ],
        otherwise="A model that sees capitals, taught and asked without them, judged by entities, over three seeds or more.",
        hints=(
            "What must change is what the model can *know*, in learning and in the test alike.",
            "Lower-case both, keep the bar, count F1, three seeds or more.",
        ),
        note="It is the difference between the lesson's two bars, found by changing the data and not the features.",
    ),
]
