"""Checks of lesson 09, Choosing a source."""

from tlteach._answers import Count, Names, Number, Table, Word
from tlteach._exercises import Exercise, Mistake

_ASKED = {
    "NCE": [],
    "LEEP": [],
    "H-score": ["h score", "plain H-score"],
    "shrunk H-score": ["shrunk h score", "shrunken H-score", "shrunk", "shrunken"],
    "LogME": ["log me"],
    "linear probe": ["probe"],
}
_DESIGN = {
    "sources": Count(),
    "truth": Word(
        {
            "fine-tuned, test split": ["test split", "test"],
            "fine-tuned, validation split": ["validation split", "validation"],
            "linear probe, folds": ["linear probe", "folds"],
        }
    ),
    "report": Word(
        {
            "correlation, interval and points lost": ["correlation, interval, points lost", "points lost", "all three"],
            "correlation and interval": ["correlation with interval", "correlation with its interval"],
            "correlation": ["correlation alone"],
        }
    ),
    "beside": Word({"linear probe": ["probe"], "random order": ["random"], "nothing": []}),
}
_RIGHT = ["shrunk H-score", "LogME", "linear probe"]


def _plan(sources=20, truth="fine-tuned, test split", report="correlation, interval and points lost", **more):
    return {"sources": sources, "truth": truth, "report": report, "beside": "linear probe"} | more


def _right_design(plan):
    return plan["sources"] >= 15 and all(plan[name] == value for name, value in _plan().items() if name != "sources")


EXERCISES = [
    Exercise(
        "09.1",
        Number(0.002, "a mean of logarithms"),
        right=-0.2393,
        accepts=[-0.2393, -0.239, "-0.2393"],
        mistakes=[
            Mistake([-0.2859, -0.286], "That is the lesson's source, with 0.6 and 0.4. Put 0.5 and 0.5 in its place."),
            Mistake([-0.4774, -0.477], "That is NCE, which takes the likeliest class. LEEP keeps the doubt."),
            Mistake([0.2393], "A mean of logarithms of probabilities is below zero: where is the sign?"),
            Mistake(
                [0.787, 0.7872], "That is the probability that LEEP is the logarithm of. Take `np.log`, or `tl.leep`."
            ),
            Mistake(
                [-0.4389, -0.439], "That row is picture 4's: rows are counted from 0, so picture 3 is `in_doubt[2]`."
            ),
            Mistake([-0.1039, -0.3452], "That is with logarithms to another base. LEEP takes natural ones, `np.log`."),
            Mistake([-0.957, -0.9571], "That is the sum over the four pictures. LEEP is the mean."),
        ],
        otherwise="Change picture 3's row to 0.5 and 0.5, and call `tl.leep` with the target's labels.",
        hints=(
            "Source class 0 is given to 1 + 1 + 0.5 pictures now: 2 of 2.5 are of class 0.",
            "Picture 3 gets 0.5 · 0.2 + 0.5 · 1 = 0.6; pictures 1 and 2 get 0.8, picture 4 gets 1.",
        ),
        note="More doubt about picture 3, and a better score: it leaned to the wrong class before.",
    ),
    Exercise(
        "09.2",
        Number(0.05),
        right=3,
        accepts=[3, 3.0, "3", 2.99999],
        mistakes=[
            Mistake(
                [0],
                "That would be fair, as the features know nothing. With more features than pictures it is not so.",
                when=lambda n: n == 0,
            ),
            Mistake(
                [0.29, 0.2897],
                "That is the shrunk one, which is not so easily fooled. What does the plain one say?",
                when=lambda n: abs(n - 0.29) < 0.005,
            ),
            Mistake([4], "The most is one less than the number of classes: class means differ from their common mean."),
            Mistake([50, 40, 39], "The score counts neither features nor pictures. What is the most that it can be?"),
            Mistake([1], "There are four classes. What is the most that it can be?"),
        ],
        otherwise="Call `tl.h_score(noise, labels)` and look.",
        hints=(
            "With 50 features, 40 pictures can be told apart in any way one likes.",
            "Any labels fit, so the score is at its upper end: the number of classes less one.",
        ),
        note="The most that there is, from nothing at all. Shrunk, it is 0.29 of these 3.",
    ),
    Exercise(
        "09.3",
        Names(_ASKED),
        right=_RIGHT,
        accepts=[_RIGHT, "LogME, linear probe, shrunk H-score", ("probe", "log me", "shrunk")],
        mistakes=[
            Mistake(
                [[*_RIGHT, "LEEP"], ["LEEP"], ["NCE", "LEEP", "LogME"]],
                "NCE and LEEP need what the source's own head says, and this file has no top.",
                when=lambda names: bool({"LEEP", "NCE"} & set(names)),
            ),
            Mistake(
                [[*_RIGHT, "H-score"], ["H-score"]],
                "With 512 features and 100 pictures the plain H-score is at its end for every source.",
                when=lambda names: "H-score" in names,
            ),
            Mistake(
                [["shrunk H-score", "LogME"]],
                "And the oldest way of all? 100 labels are enough for a classifier in folds.",
                when=lambda names: "linear probe" not in names,
            ),
            Mistake(
                [["linear probe"], ["LogME", "linear probe"]],
                "One more of the scores of features bears having fewer pictures than features.",
                when=lambda names: len(names) < 3,
            ),
        ],
        otherwise="Ask two things of each: does it need the head? Does it bear 512 features with 100 pictures?",
        hints=("No top, no source classes.", "More features than pictures: which score has been mended for that?"),
        note="Three are left. The probe costs a few seconds more and is in accuracy, which everybody can read.",
    ),
    Exercise(
        "09.4",
        Number(0.02, "a share of 1"),
        right=0.076,
        accepts=[0.076, 0.0757, 0.08, "0.07", "8 %", "about 0.08"],
        mistakes=[
            Mistake([0.5], "0.5 is the correlation that is asked about. How often does chance reach it?"),
            Mistake([0.0, 0.001], "It happens. Of all shuffled orders, how many have 0.5 or more?"),
            Mistake(
                [0.05],
                "0.05 is what people call rare. Was it counted? Draw a few thousand orders.",
                when=lambda n: abs(n - 0.05) < 0.004,
            ),
            Mistake(
                [0.0315, 0.03],
                "That is about what the plain tau gives, where all places count alike. Take the *weighted* one.",
                when=lambda n: 0.02 < n < 0.045,
            ),
            Mistake([0.55, 0.568], "Is that the best of ten scores? First the luck of a single one."),
            Mistake(
                [303, 322],
                "That is how many of 4,000. Divide: a share is asked for.",
                when=lambda n: n > 100,
            ),
            Mistake([0.924, 0.92], "That is the share below. How many are at 0.5 or above?"),
            Mistake(
                [0.15, 0.145], "Either direction was counted. A score that ranks the wrong way round helps nobody."
            ),
        ],
        otherwise="Put eight in a random order many times, take the weighted tau of each order with the truth, and count.",
        hints=(
            "A score of pure chance puts the eight in a random order: `random.permutation(8)`.",
            "Draw 2,000 orders, take `weightedtau(order, range(8)).statistic` of each, and count.",
        ),
        note="About one in thirteen. Who tries ten scores on eight sources finds a good one by luck about every second time.",
    ),
    Exercise(
        "09.5",
        Table(_DESIGN),
        right=_right_design,
        accepts=[_plan(), _plan(30), [50, "test split", "points lost", "probe"], _plan(range(20))],
        mistakes=[
            Mistake(
                [_plan(3), _plan(8)],
                "So few orders are soon hit by luck: with eight the interval reached from bad to perfect. Take 15 or more.",
                when=lambda p: p["sources"] < 15,
            ),
            Mistake(
                [_plan(truth="linear probe, folds")],
                "The question is who is best *after fine-tuning*; the probe is one of those who guess.",
                when=lambda p: p["truth"] == "linear probe, folds",
            ),
            Mistake(
                [_plan(truth="fine-tuned, validation split")],
                "Validation has chosen the epochs, so it flatters. The truth is asked of pictures that nothing has used.",
                when=lambda p: p["truth"] == "fine-tuned, validation split",
            ),
            Mistake(
                [_plan(report="correlation")],
                "Without an interval nobody can tell it from luck.",
                when=lambda p: p["report"] == "correlation",
            ),
            Mistake(
                [_plan(report="correlation and interval")],
                "And what does it cost to follow the score? A wrong order among equals costs nothing.",
                when=lambda p: p["report"] == "correlation and interval",
            ),
            Mistake(
                [_plan(beside="nothing"), _plan(beside="random order")],
                "The score must beat what everyone would do without it: a probe on the features.",
                when=lambda p: p["beside"] != "linear probe",
            ),
        ],
        otherwise="Many sources, the truth after fine-tuning on unused pictures, and what following the score costs.",
        hints=(
            "The interval is over sources: more of them is what makes it narrow.",
            "Beside the score stands what is simple; beside the order stands what a wrong order costs.",
        ),
        note="Such a study is rarely done, as it takes many fine-tunings. Read published correlations with this in mind.",
    ),
]
