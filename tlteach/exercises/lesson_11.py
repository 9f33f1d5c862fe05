"""Checks of lesson 11, Domain shift and adaptation."""

from tlteach._answers import Count, Number, Row, Table, Word
from tlteach._exercises import Exercise, Mistake
from tlteach.adapt import BatchNormStatistics, FewLabels, SelfTraining

_REMEDIES = {
    "nothing": ["none", "no remedy", "leave it"],
    "BatchNormStatistics": ["batch norm", "batchnorm", "statistics"],
    "FewLabels": ["few labels"],
    "SelfTraining": ["self training"],
}
_CASES = {"night shift": Word(_REMEDIES), "rare disease": Word(_REMEDIES), "slow drift": Word(_REMEDIES)}
_CASES["money for 40 labels"] = Word(_REMEDIES)
_DESIGN = {
    "adapt on": Word(
        {
            "half of B's patients": ["half of the patients"],
            "half of each patient's slices": ["half of the slices"],
            "all of B's patients": ["all of the patients"],
        }
    ),
    "test on": Word(
        {
            "B's other patients": ["other patients"],
            "the same patients": ["same patients"],
            "patients of A": ["A's patients"],
        }
    ),
    "choose the remedy by": Word(
        {
            "some labels of the half that adapts": ["some labels"],
            "the accuracy on the test": ["the test"],
            "the accuracy on A": ["accuracy on a"],
        }
    ),
    "draws": Count(),
}


def _which(**changed):
    right = {"night shift": "BatchNormStatistics", "rare disease": "nothing", "slow drift": "SelfTraining"}
    right["money for 40 labels"] = "FewLabels"
    return right | {name.replace("_", " "): value for name, value in changed.items()}


def _plan(adapt="half of B's patients", test="B's other patients", draws=5, **more):
    chosen = {"choose the remedy by": "some labels of the half that adapts"}
    return {"adapt on": adapt, "test on": test, **chosen, "draws": draws} | more


def _right_design(plan):
    return plan["draws"] >= 5 and all(plan[name] == value for name, value in _plan().items() if name != "draws")


EXERCISES = [
    Exercise(
        "11.1",
        Number(0.006, "share of pairs"),
        right=11 / 16,
        accepts=[0.6875, "11/16", 0.69, "11 of 16", "68.75 %"],
        mistakes=[
            Mistake([5 / 16, 0.31], "Those are the pairs in which the *source* is higher. Count the others."),
            Mistake([11], "11 pairs, right. Of how many? The AUC is a share."),
            Mistake([16], "There are 16 pairs. In how many of them does the target score higher?"),
            Mistake(
                [0.75],
                "0.75 are on the right side of 0.5, and the AUC has no threshold. If you counted pairs, look at them again.",
            ),
            Mistake(
                [0.5],
                "0.5 would be two domains that cannot be told apart. Count the pairs in which the target is higher.",
            ),
        ],
        otherwise="Take each target score, count the source scores below it, add up, divide by the number of pairs.",
        hints=(
            "Four times four pairs. In which does the target's row score higher?",
            "0.3 beats one source score, 0.6 beats three: go on, and divide by 16.",
        ),
        note="Of random pairs, 11 in 16 are in order. With eight rows the interval would reach far beyond 0.5: a shift is not shown by it.",
    ),
    Exercise(
        "11.2",
        Row(4, 0.01),
        right=[10, 14, 16, 20],
        accepts=[[10, 14, 16, 20], (10.0, 14.0, 16.0, 20.0), "10, 14, 16, 20", "[10. 14. 16. 20.]"],
        mistakes=[
            Mistake(
                [[12.5, 14.5, 15.5, 17.5]],
                "The mean is the target's, the spread still the source's: stretch the distances from the mean, too.",
            ),
            Mistake(
                [[-5, -1, 1, 5]],
                "The spread is the target's, the mean is still 0: it has to be moved to the target's mean.",
            ),
            Mistake(
                [[0, 4, 6, 10]],
                "Stretched about 0, so the mean was stretched as well. Take the source's mean off first.",
            ),
            Mistake(
                [[15, 19, 21, 25]],
                "Stretched, and the target's mean added without taking the source's off.",
            ),
            Mistake(
                [[12.5, 16.5, 18.5, 22.5]],
                "Stretched about 0, then moved by the difference of the means: but the stretching had moved the mean.",
            ),
            Mistake(
                [[5, 13, 17, 25]],
                "Stretched by the ratio of the *variances*. Four times the variance is how many deviations?",
            ),
            Mistake([[13.75, 14.75, 15.25, 16.25]], "Pressed together, not stretched: the ratio is upside down."),
            Mistake(
                [[-1.387, -0.277, 0.277, 1.387]],
                "These have mean 0 and deviation 1. The target has others: go on to them.",
            ),
            Mistake(
                [[5.986, 13.197, 16.803, 24.014]],
                "Multiplied by the target's deviation, and the source's own is still in it.",
            ),
            Mistake(
                [[10.67, 14.134, 15.866, 19.33]],
                "Two kinds of deviation: `ddof=1`, as pandas has it, and NumPy's. Take the same for both.",
            ),
            Mistake(
                [[0, 2, 3, 5]],
                "That is the source as it was. It is the source that is moved to where the target is.",
            ),
        ],
        otherwise="Compute the mean and the deviation of yours: are they the target's, and are the rows in their order?",
        hints=(
            "With one feature the covariance is the variance, and its root the deviation.",
            "What is stretched are the distances from the mean. What becomes of the mean itself?",
        ),
        note="That is CORAL with one feature. With many, the roots of the covariances take the deviations' place.",
    ),
    Exercise(
        "11.3",
        Number(0.01, "units"),
        right=-1.6,
        accepts=[-1.6, "-1.6", -1.6000000000000001, "minus 1.6", "-8/5"],
        mistakes=[
            Mistake([0], "The pictures are the same, but the means are not: nine in ten are cats now."),
            Mistake([0.4], "That is the target's mean. By how much is the source moved to get there?"),
            Mistake([2], "That is the source's mean. By how much is it moved to reach the target's?"),
            Mistake([1.6], "By so much. Now the sign: a minus is towards the cats. Which way does the mean go?"),
            Mistake(
                [-0.4],
                "By so much the *share* of the dogs changes. What is the mean of the feature, where a dog stands at 4?",
            ),
            Mistake([-0.8], "That is in deviations of the source. The feature's own units are asked for."),
            Mistake([-2], "That would put the mean on the cats. One in ten of the target is still a dog."),
        ],
        otherwise="Compute both means from the shares, then the target's less the source's.",
        hints=(
            "Source: half at 0 and half at 4. Target: nine tenths at 0 and one tenth at 4.",
            "The target's mean is 0.1 * 4. Take the source's mean from it.",
        ),
        note="The middle between cats and dogs goes from 2 to 0.4, into the cats, although not one picture has changed.",
    ),
    Exercise(
        "11.4",
        Table(_CASES),
        right=_which(),
        accepts=[
            _which(),
            _which(rare_disease="none", night_shift="batchnorm"),
            _which(night_shift=BatchNormStatistics, slow_drift=SelfTraining(), money_for_40_labels=FewLabels),
            ["batch norm", "nothing", "self training", "few labels"],
        ],
        mistakes=[
            Mistake(
                [_which(rare_disease="BatchNormStatistics"), _which(rare_disease="SelfTraining")],
                "Rare disease: the pictures are the same, only the classes' shares differ. What takes that for a shift does harm.",
                when=lambda c: c["rare disease"] in ("BatchNormStatistics", "SelfTraining"),
            ),
            Mistake(
                [_which(night_shift="SelfTraining"), _which(night_shift="FewLabels"), _which(night_shift="nothing")],
                "Night shift: no source is at hand and nobody labels, but the network has BatchNorm, and light and contrast are what it undoes.",
                when=lambda c: c["night shift"] != "BatchNormStatistics",
            ),
            Mistake(
                [_which(slow_drift="nothing"), _which(slow_drift="BatchNormStatistics")],
                "Slow drift: each month differs little from the one before, so most of a probe's own labels are right, step by step.",
                when=lambda c: c["slow drift"] != "SelfTraining",
            ),
            Mistake(
                [_which(money_for_40_labels="SelfTraining"), _which(money_for_40_labels="nothing")],
                "Labels of the target need no belief about the shift. Who has them uses them.",
                when=lambda c: c["money for 40 labels"] != "FewLabels",
            ),
            Mistake(
                [_which(rare_disease="FewLabels")],
                "Rare disease: there are no labels of the new hospital. And what would they mend?",
                when=lambda c: c["rare disease"] == "FewLabels",
            ),
        ],
        otherwise="Ask of each: what is at hand, and what would the remedy have to believe?",
        hints=(
            "What each takes for granted stands in the table above.",
            "Two of the four are told by what is at hand: labels, or no source. One is told by many small steps.",
        ),
        note="One of four needs nothing at all. That is not rare: ask first whether there is anything to mend.",
    ),
    Exercise(
        "11.5",
        Table(_DESIGN),
        right=_right_design,
        accepts=[
            _plan(),
            _plan("half of the patients", "other patients", 20),
            _plan("half of B’s patients", "Bs other patients", range(5)),
            ["half of B's patients", "B's other patients", "some labels", 10],
        ],
        mistakes=[
            Mistake(
                [_plan("half of each patient's slices"), _plan("half of each patient's slices", "the same patients")],
                "Then the model has adapted to the very patients it is asked about. Tomorrow's will be new.",
                when=lambda p: p["adapt on"] == "half of each patient's slices",
            ),
            Mistake(
                [_plan("all of B's patients")],
                "Then there are none left to ask about who were not adapted to.",
                when=lambda p: p["adapt on"] == "all of B's patients",
            ),
            Mistake(
                [_plan(test="the same patients")],
                "Patients that it has adapted to are known ones, labels or not. Ask about others of B.",
                when=lambda p: p["test on"] == "the same patients",
            ),
            Mistake(
                [_plan(test="patients of A")],
                "How A fares after it is a good second question. The first is whether B gains.",
                when=lambda p: p["test on"] == "patients of A",
            ),
            Mistake(
                [_plan(**{"choose the remedy by": "the accuracy on the test"})],
                "The best of five remedies on the test looks better than it is. And a hospital without labels has no such number.",
                when=lambda p: p["choose the remedy by"] == "the accuracy on the test",
            ),
            Mistake(
                [_plan(**{"choose the remedy by": "the accuracy on A"})],
                "A remedy may keep A as it was and do harm on B: the one number says nothing about the other. Pay for some labels of B's first half.",
                when=lambda p: p["choose the remedy by"] == "the accuracy on A",
            ),
            Mistake(
                [_plan(draws=1), _plan(draws=3)],
                "Which patients are drawn moves the numbers by more than the remedies do. Take five draws or more.",
                when=lambda p: p["draws"] < 5,
            ),
        ],
        otherwise="Whom may the remedy see, who is asked, and which labels may choose?",
        hints=(
            "Three groups of patients: those of A, those of B that adapt, and those of B that are asked.",
            "To choose among remedies takes labels; not those of the test.",
        ),
        note="Without any label of the target one can adapt, but not know whether it helped.",
    ),
]
