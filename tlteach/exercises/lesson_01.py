"""Checks of lesson 01, A first transfer."""

from tlteach._answers import Count, Names, Number, Table, Word
from tlteach._exercises import Exercise, Mistake

_BENEFITS = {"start": Number(0.06, "points"), "slope": Number(0.06, "times"), "asymptote": Number(0.06, "points")}
_DESIGN = {
    "beside it": Word(
        {
            "random twin, frozen": ["random VGG16, frozen", "random twin"],
            "random twin, fine-tuned": ["random VGG16, fine-tuned"],
            "small network": ["small network from scratch"],
            "pretrained, fine-tuned": ["pretrained VGG16, fine-tuned"],
        }
    ),
    "labels": Word({"the same": ["same"], "others": ["other"]}),
    "seeds": Count(),
}


def _right_design(plan):
    return plan["beside it"] == "random twin, frozen" and plan["labels"] == "the same" and plan["seeds"] >= 3


def _plan(beside="random twin, frozen", labels="the same", seeds=5):
    return {"beside it": beside, "labels": labels, "seeds": seeds}


EXERCISES = [
    Exercise(
        "01.1",
        Number(unit="labels"),
        right=80,
        accepts=[80, 80.0, "80", "80 labels"],
        mistakes=[
            Mistake(
                [60], "60 are all labels that you pay for: a quarter is set aside to choose by, so 45 are learned from."
            ),
            Mistake(
                [75], "You added a quarter of 60. But it is a quarter of *all*: 60 must be three quarters of the whole."
            ),
            Mistake(
                [240], "60 would be a quarter of that. Three quarters are learned from, a quarter is for validation."
            ),
            Mistake([45], "That is what is left of 60 labels. We look for the whole of which 60 are left."),
            Mistake([120], "Half would be set aside then. Only a quarter is for validation."),
        ],
        otherwise="Count both: `few.train.num_examples` learns, `few.val.num_examples` chooses, and both were labelled.",
        hints=(
            "Of 160 labels, how many are learned from? Ask `tl.subset(pets, 160).train.num_examples`.",
            "What is learned from is three quarters of the whole. Divide by 0.75.",
        ),
        note="Validation is paid for too. A curve over labels that counts only training labels flatters.",
    ),
    Exercise(
        "01.2",
        Number(unit="weights"),
        right=443_010,
        accepts=[443010, "443,010", 443010.0],
        mistakes=[
            Mistake(
                [8],
                "8 variables (kernels and biases) may move, and each holds many weights: count the numbers in them.",
            ),
            Mistake([442_752], "That is block5 alone. The head on it learns too."),
            Mistake([258], "That is the head alone, as with frozen features. Fine-tuning lets block5 move as well."),
            Mistake([921_042, 920_784], "That is the whole network. What stands before block5 is frozen."),
            Mistake([478_032, 477_774], "That is what is *frozen*. Which weights are left?"),
            Mistake([812_034, 811_776], "That counts block4 as well, and only one stage is unfrozen."),
        ],
        otherwise="Look at the column `trainable` of `tl.trainable_table(model)` after `tl.freeze`, and add up.",
        hints=(
            '`tl.freeze(model, ["block5", "head"])` sets what may move.',
            'After that, `tl.trainable_table(model)["trainable"].sum()`.',
        ),
        note="443,010 weights, and 120 pictures to learn from: that is why fine-tuning has to be stopped by validation.",
    ),
    Exercise(
        "01.3",
        Table(_BENEFITS),
        right={"start": 12.0, "slope": 10.0, "asymptote": 2.0},
        accepts=[
            {"start": 12, "slope": 10, "asymptote": 2},
            {"start": "12 points", "slope": "10 times", "asymptote": "2 points"},
            [12.0, 10, 2.0],
        ],
        mistakes=[
            Mistake(
                [{"start": 0.12, "slope": 10, "asymptote": 0.02}],
                "Points are per cent: 0.62 - 0.50 is 12 points. Multiply the differences by 100.",
                when=lambda b: abs(b["start"] - 0.12) < 1e-6 or abs(b["asymptote"] - 0.02) < 1e-6,
            ),
            Mistake(
                [{"start": -12, "slope": 10, "asymptote": -2}],
                "The benefit is what transfer has more: take scratch from transfer, not the other way round.",
                when=lambda b: b["start"] < 0 or b["asymptote"] < 0,
            ),
            Mistake(
                [{"start": 62, "slope": 10, "asymptote": 92}, {"start": 12, "slope": 10, "asymptote": 92}],
                "You read off the accuracy with transfer. A benefit is a difference to scratch.",
                when=lambda b: b["start"] > 50 or b["asymptote"] > 50,
            ),
            Mistake(
                [{"start": 12, "slope": 0.1, "asymptote": 2}, {"start": 12, "slope": 0.01, "asymptote": 2}],
                "Turn it around: how many times *fewer* labels does transfer need, so a number above 1?",
                when=lambda b: 0 < b["slope"] < 1,
            ),
            Mistake(
                [{"start": 12, "slope": 100, "asymptote": 2}],
                "With 10 labels transfer has 0.62, and scratch reaches 0.90 with 1,000. Where does transfer first have 0.90?",
                when=lambda b: abs(b["slope"] - 100) < 1e-6,
            ),
            Mistake(
                [{"start": 24, "slope": 10, "asymptote": 2}, {"start": 24, "slope": 10, "asymptote": 2.2}],
                "That is the gain relative to scratch. A point is a hundredth of accuracy, whatever scratch has.",
                when=lambda b: abs(b["start"] - 24) < 0.1,
            ),
            Mistake(
                [{"start": 20, "slope": 10, "asymptote": 2}],
                "20 points is the gain at 100 labels. The start is the first row.",
                when=lambda b: abs(b["start"] - 20) < 0.1,
            ),
        ],
        otherwise="Start: the first row's difference. Asymptote: the last row's. Slope: labels that scratch needs for 0.90, over those that transfer needs.",
        hints=(
            "Start and asymptote are the differences in the first and in the last row, times 100.",
            "Scratch reaches 0.90 with 1,000 labels. In which row has transfer at least 0.90? Divide the labels.",
        ),
        note="All three are there, and the largest by far is the slope: labels are what transfer saves.",
    ),
    Exercise(
        "01.4",
        Names({str(n): [f"{n}.0", f"{n} labels"] for n in (10, 40, 160, 640)}),
        right=["40", "160"],
        accepts=[[40, 160], (160.0, 40.0), "40, 160", ["40", "160"], {40, 160}, "40 and 160 labels"],
        mistakes=[
            Mistake(
                [[10, 40, 160, 640]],
                "All four gain on average. But at two of them a seed loses: with other labels the answer may be the opposite.",
                when=lambda given: len(given) == 4,
            ),
            Mistake(
                [[10, 40], [10, 160], [10, 40, 160]],
                "At 10 labels the mean gain is above zero, but two of five seeds lose: one run with other labels may say the opposite.",
                when=lambda given: "10" in given,
            ),
            Mistake(
                [[40, 640], [160, 640], [640]],
                "At 640 labels one seed of five loses, and one gains much: the mean hangs on it.",
                when=lambda given: "640" in given,
            ),
            Mistake(
                [[160], 40],
                "That is one of two. Overlapping bands do not matter; in which other column does every row gain?",
                when=lambda given: len(given) == 1,
            ),
        ],
        otherwise="Name the two columns of the table in which every seed gains.",
        hints=(
            "Two bands may overlap although transfer wins with every single seed: both got the same labels, so compare within a seed.",
            "`(gains > 0).all()` asks each column.",
        ),
        note="Differences within a seed decide, not whether bands overlap. At 640 a mean above zero hid a seed that lost.",
    ),
    Exercise(
        "01.5",
        Table(_DESIGN),
        right=_right_design,
        accepts=[
            _plan(),
            _plan("Random VGG16, frozen", "same", 3),
            _plan(seeds="10"),
            ["random twin, frozen", "the same", 5],
        ],
        mistakes=[
            Mistake(
                [_plan("small network")],
                "The small network differs in two things, weights *and* architecture. Then the difference cannot be told apart.",
                when=lambda p: p["beside it"] == "small network",
            ),
            Mistake(
                [_plan("random twin, fine-tuned")],
                "The pretrained one is frozen and this one learns: two things differ. Change the weights alone.",
                when=lambda p: p["beside it"] == "random twin, fine-tuned",
            ),
            Mistake(
                [_plan("pretrained, fine-tuned")],
                "Both know what was learned from photographs, so this asks what fine-tuning adds. Which network knows nothing?",
                when=lambda p: p["beside it"] == "pretrained, fine-tuned",
            ),
            Mistake(
                [_plan(labels="others")],
                "With other labels a part of the difference is luck with the labels. Give both the same.",
                when=lambda p: p["labels"] == "others",
            ),
            Mistake(
                [_plan(seeds=1), _plan(seeds=2)],
                "One run is an anecdote, and two have no spread to speak of. Take three or more seeds.",
                when=lambda p: p["seeds"] < 3,
            ),
        ],
        otherwise="Compare two runs that differ in what was learned before, and in nothing else.",
        hints=(
            "Only one thing may differ between the two: what is asked about.",
            "The random twin has the same layers and none of the learned weights. Treat it as the first one is treated: frozen.",
        ),
        note='That is `tl.load_backbone("vgg16", weights=None)`. Lesson 02 runs it.',
    ),
]
