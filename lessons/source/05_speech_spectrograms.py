# %% [markdown]
# # 05 Speech spectrograms
#
# A spoken word can be drawn as a picture, and then a network for pictures reads it. Does it help that
# the network learned from photographs? From speech? And what of a voice, or an accent, that it never heard?
#
# **You will**
#
# - see and hear a spectrogram, and find out why an average over it throws the word away,
# - learn digits from five recordings of each, from four sources and from scratch,
# - hold one accent out, measure the fall, and adapt with 5, 10 and 20 recordings of it in three ways,
# - tell *speaker* from *accent* by the design of the split alone.
#
# **Time** 3 minutes in mini size on two cores. **Before** Lessons 01 and 03. No download. The voices
# are **synthetic**: two programs read the digits aloud, and their accents are rules for vowels. The questions
# need many speakers with known accents, so the data are the mini ones in any size; with `TLTEACH_SIZE=full`
# the photographs' network is Keras' own with ImageNet weights.

# %% tags=["needed"]
import keras
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import tlteach as tl

threadpool_limits(1);  # on problems this small threads only wait for each other

# %% [markdown]
# ## A word as a picture
#
# Ten digits, each said four times by 46 voices in seven accents. No voice stands in two splits.

# %% tags=["needed"]
digits = tl.load_dataset("spoken_digits", "mini")
whole = tl.resplit(digits, val=0.0, test=0.0).train  # all recordings in one split: we shall draw by ourselves
table, labels = whole.table, whole.labels
table.drop_duplicates("speaker")["accent"].value_counts()

# %% [markdown]
# A **spectrogram** says how loud each pitch is at each moment: time goes to the right, pitch goes up
# (on the mel scale, which spaces pitches about as the ear does), bright is loud. Listen, and follow with your finger:
# where do the two parts of "seven" begin? And where is the hissing *s* of "six"?

# %%
said = table[(table["noise"] == "none") & (table["room"] == "none")]
six, seven, zero = (said.index[said["class"] == name][0] for name in ("six", "seven", "zero"))
tl.plot_spectrograms(whole, [six, seven, zero]);

# %%
tl.listen(whole, six)

# %% [markdown]
# The *s* is not there. Most of a hiss lies above 4,000 Hz, which 8,000 samples a second cannot hold, and what is left
# is more than 20 decibels below the vowel, where the front end takes the word to begin. "Six" is told by its vowel.
#
# A vowel is a stack of horizontal bands, the *formants*: which pitches the mouth lets through. Other people have
# other throats, so the bands lie elsewhere. One word by four voices:

# %%
four = said[said["class"] == "zero"].drop_duplicates("accent").index[:4]
tl.plot_spectrograms(whole, four, titles=[f"zero, {accent}" for accent in table.loc[four, "accent"]]);

# %%
tl.listen(whole, four[1])

# %% [markdown]
# `FrontEnd` makes the picture: it finds the word, stretches it over the width, and normalises. `"loudest"` keeps
# decibels below the loudest moment; `"mean_variance"` takes the mean of each band off, so that a microphone
# counts less; `"pcen"` follows slow changes, so that steady noise goes away. The same noisy recording three times:

# %%
noisy = table[(table["noise"] == "pink") & (table["snr_db"] < 12)].index[0]
ways = ("loudest", "mean_variance", "pcen")
heard = [tl.with_frontend(whole.take([noisy]), tl.FrontEnd(normalise=way)) for way in ways]
tl.plot_pictures(tl.Split([split.picture(0) for split in heard], table.loc[[noisy] * 3], whole.classes), range(3), titles=ways);

# %% [markdown]
# ## What an average throws away
#
# A backbone's last step is an average over all places, for networks of photographs should not mind where the cat
# sits. In a spectrogram, *where* is everything: up is pitch, right is later. **Predict**: trained on five
# recordings of each digit, what is left of the accuracy if we average the *pixels* over time, or over pitch?
#
# All of this lesson's questions get their recordings from two functions: one recording of each digit by each of some
# speakers, and a linear probe on some features.

# %%
pixels = whole.array()[:, ::2, ::2, 0]  # (recordings, 32, 32)
read_aloud = table[table["engine"] == "espeak-ng"]  # the speech source has heard the voices of the other program
learners = read_aloud[read_aloud["path"].isin(digits.train.table["path"])]["speaker"].unique()
strangers = table.index[table["path"].isin(digits.test.table["path"])].to_numpy()


def one_take(speakers, seed):
    """One recording of each digit by each of the speakers, as rows of the table."""
    own = read_aloud[read_aloud["speaker"].isin(speakers)].sample(frac=1, random_state=seed)
    return own.drop_duplicates(["speaker", "class"]).index.to_numpy()


def score(x, learned, asked):
    """Share rightly named by logistic regression, the probe's mathematics, for each kind of recording asked about."""
    judge = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    x = x.reshape(len(x), -1)
    judge.fit(x[learned], labels[learned])
    return {kind: judge.score(x[rows], labels[rows]) for kind, rows in asked.items()}

# %% [markdown]
# Five labels a class, then: five speakers, one recording of each digit. We ask about *known* speakers (other
# recordings of these five) and *unknown* ones (the 14 of the test split), with eight draws of the five.

# %%
def draw(seed):
    five = np.random.default_rng(seed).choice(learners, 5, replace=False)
    few = one_take(five, seed)
    known = np.setdiff1d(read_aloud.index[read_aloud["speaker"].isin(five)], few)
    return few, {"known": known, "unknown": strangers}


def over_draws(features, draws=8):
    """A row for each way, draw and kind of speaker."""
    found = []
    for seed in range(draws):
        few, asked = draw(seed)
        for way, x in features.items():
            found += [(way, seed, who, right) for who, right in score(x, few, asked).items()]
    return pd.DataFrame(found, columns=["way", "draw", "speakers", "accuracy"])

# %%
pooled = over_draws({
    "all pixels": pixels,
    "mean over time": pixels.mean(2),
    "mean over pitch": pixels.mean(1),
    "mean over both": pixels.mean((1, 2)),
})
tl.plot_ranges(pooled);

# %% [markdown]
# The word is in the *arrangement*. The mean over time says which pitches were loud, no longer when; the mean over pitch
# says when it was loud, no longer at which pitch. Either loses about half of the accuracy, and both together leave
# next to nothing (chance is 10 %). A word and the same word backwards have the *same* mean over time:

# %%
backwards = whole.picture(seven)[:, ::-1]
both = tl.Split([whole.picture(seven), backwards], table.loc[[seven] * 2], whole.classes)
tl.plot_pictures(both, range(2), titles=["seven", "backwards"])
f"mean over time apart by {np.abs(whole.picture(seven).mean(1) - backwards.mean(1)).max():.1g}"

# %% [markdown]
# ## Four sources, five labels a class
#
# Three times the same network, mini ResNet50, frozen: it learned from **photographs**; from nothing (**random weights**);
# from **speech**, 254 other words by other synthetic voices. And the **pixels** themselves, without any
# network. **Predict** the order, and the points between known and unknown speakers:
#
# | | photographs | random weights | pixels | speech |
# |---|---|---|---|---|
# | known speakers | ? | ? | ? | ? |
# | unknown speakers | ? | ? | ? | ? |
#
# Ours, before the first run: speech, photographs, pixels, random weights.

# %%
keras.utils.set_random_seed(0)
drawn = tl.Split([whole.picture(i) for i in range(len(table))], table, whole.classes)  # as pictures: no longer heard
backbones = {
    "photographs": tl.load_backbone("resnet50"),
    "random weights": tl.load_backbone("resnet50", weights=None),
    "speech": tl.load_backbone("speech", "mini"),
}
features = {name: tl.extract_features(backbone, drawn) for name, backbone in backbones.items()}

# %%
sources = over_draws({**features, "pixels": pixels})

# %% [markdown]
# And **from scratch**: a small network that learns everything from the fifty recordings. It keeps the places
# (`Flatten` instead of an average).

# %%
def small_network():
    layers = keras.layers
    return keras.Sequential([
        keras.Input((64, 64, 3)),
        layers.Rescaling(1 / 127.5, offset=-1),
        *[layers.Conv2D(n, 3, strides=2, padding="same", activation="relu") for n in (16, 32, 64)],
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ])


def from_scratch(few, seed):
    keras.utils.set_random_seed(seed)
    splits = tl.Splits(drawn.take(few), drawn.take(few), drawn.take([]), name="few")  # nothing is chosen: keep="last"
    phase = tl.Phase("all", epochs=60, schedule="cosine", keep="last", batch_size=16)
    return tl.fine_tune(small_network(), splits, phase, seed=seed, store=None).model

# %%
scratch = []
for seed in tqdm(range(3)):
    few, asked = draw(seed)
    model = from_scratch(few, seed)
    for who, rows in asked.items():
        right = tl.evaluate(model, drawn.take(rows)).accuracy
        scratch.append({"way": "from scratch", "draw": seed, "speakers": who, "accuracy": right})

# %%
sources = pd.concat([sources, pd.DataFrame(scratch)], ignore_index=True)
order = sources[sources["speakers"] == "unknown"].groupby("way")["accuracy"].mean().sort_values().index
tl.plot_ranges(sources.set_index("way").loc[order].reset_index());

# %%
sources.pivot_table(index="way", columns="speakers", values="accuracy", aggfunc=["mean", "min", "max"]).loc[order].round(2)

# %% [markdown]
# **Speech is far ahead**, with no draw in common with any other: its worst beats their best. And **photographs come last,
# behind random weights**: we were wrong about them. Why is each where it is?
#
# - **Speech** has had to tell 254 words apart whoever said them, through rooms and microphones. So its averages are
#   about *words*: the features at one place have already seen most of the picture, and say in their channels what was where.
#   An unknown speaker costs it little.
# - **Pixels** know nothing of speech, but lose nothing: each word was stretched over the same width, so a place means
#   much the same in all pictures. An unknown throat shifts the bands, and pixels do not forgive a shift.
# - **Random weights** mix neighbours blindly, and then comes the average. What is left is a blurred account of how much of
#   which texture there was, and, as the borders are padded with zeros, something of where.
# - **Photographs** taught the same network to name a thing wherever it sits, near or far, light or dark. In a
#   spectrogram that is the word itself. What helps with cats does harm here: *negative transfer*. (This is our
#   explanation, and one random network is one draw; the second line of *Further* gives the places back.)
# - **From scratch**, fifty pictures are enough for three convolutions that keep the places: as good as the pixels, and
#   better than either frozen network that averages. (Three draws instead of eight.)
#
# Each does worse for unknown speakers: what was learned of a word was in part learned of a voice. The source that knows most
# loses least. One caveat: its own words were said by the same program, in the same seven accents, with other voices.

# %% [markdown]
# ## Speaker, or accent?
#
# A recording that goes wrong may come from an unknown *speaker* or from an unknown *accent*. A split that draws
# speakers at random cannot tell: both come together. So we hold the number of labels and the recordings that are asked
# about fixed, and change three of 18 speakers. Asked: three speakers of an accent. Learned from: one recording of each
# digit by 15 speakers of other accents, and
#
# - `speaker known`: the three themselves (other recordings),
# - `accent known`: three others of their accent,
# - `neither`: three more of other accents.
#
# **Predict** which step costs more.

# %%
accent_of = read_aloud.drop_duplicates("speaker").set_index("speaker")["accent"]


def design(accent, seed):
    """Speakers to learn from in each of three ways, and those asked about."""
    random = np.random.default_rng(seed)
    own, others = (random.permutation(accent_of.index[keep]) for keep in (accent_of == accent, accent_of != accent))
    added = {"speaker known": own[:3], "accent known": own[3:6], "neither": others[15:18]}
    return {name: [*others[:15], *three] for name, three in added.items()}, own[:3]


def fall(x, accent, seed):
    learn, three = design(accent, seed)
    rows = {name: one_take(speakers, seed) for name, speakers in learn.items()}
    asked = np.setdiff1d(read_aloud.index[read_aloud["speaker"].isin(three)], rows["speaker known"])
    return {name: score(x, chosen, {"": asked})[""] for name, chosen in rows.items()}

# %%
found = []
for accent in tqdm(sorted(accent_of.unique())):
    for way, x in {"pixels": pixels, "photographs": features["photographs"], "speech": features["speech"]}.items():
        for seed in range(3):
            by_name = fall(x, accent, seed)
            found += [(way, accent, seed, name, right) for name, right in by_name.items()]
falls = pd.DataFrame(found, columns=["way", "accent", "draw", "learned", "accuracy"])

# %%
falls.pivot_table(index="way", columns="learned", values="accuracy")[["speaker known", "accent known", "neither"]].round(3)

# %%
mean = falls.pivot_table(index=["way", "accent"], columns="learned", values="accuracy")
(100 * (mean["accent known"] - mean["neither"])).unstack("way").round(1)

# %% [markdown]
# On average not to know the *speaker* costs about three points, and not to know the *accent* besides some two or three
# more. Who holds out "an accent" and has no middle column adds the two up, and blames the accent for voices that were
# new. Accents differ (second table, points lost by the accent alone): some cost nothing, some much,
# most of all with the photographs' features. Three draws with
# some 90 recordings each: a point or two in this table is chance, and what is below zero is no gain.
#
# For the speech source both cost little, and the order turns: below a point for the speaker, somewhat more for the accent.
# But it has heard these accents in other words; what it
# shows is that a wide source protects, not that it would understand an accent that nobody gave it.
#
# ## A few recordings of the new accent
#
# We hold `en-gb-x-gbcwmd` out, the rules for the West Midlands. It is the accent that cost the speech source most in the
# table above, chosen so that there is something to mend: the fall is larger than typical. We take the speech source: 15 speakers of other
# accents to learn from, and then 5, 10 and 20 recordings of the new accent by up to three *other* speakers of it, each
# counted three times. Three ways to learn from the same recordings:
#
# - **linear probe**: the backbone stays as it is;
# - **fine-tuning**: a random head, and the last stage moves with it from the first step;
# - **probe, then fine-tuning**: the same, but the head begins as the solved probe.
#
# **Predict** which is best with five, and which with twenty.

# %%
NEW, COUNTS = "en-gb-x-gbcwmd", (5, 10, 20)


def recordings(count, seed):
    """Rows to learn from, with so many of the new accent, and rows to ask about."""
    learn, three = design(NEW, seed)
    others, teachers = one_take(learn["neither"][:15], seed), one_take(learn["accent known"][15:], seed)
    turn = labels[teachers].argsort(kind="stable").reshape(10, -1).T.ravel()  # all ten digits before one comes again
    own = np.random.default_rng(seed).permutation(10) if count < 10 else np.arange(count)
    asked = read_aloud.index[read_aloud["speaker"].isin(three)].to_numpy()
    return np.r_[others, np.repeat(teachers[turn][own[:count]], 3)], asked

# %%
def adapted(way, count, seed):
    """Accuracy for the new accent, after learning in one way."""
    keras.utils.set_random_seed(seed)
    learned, asked = recordings(count, seed)
    probe = tl.linear_probe((features["speech"][learned], labels[learned]), strength=0.01, seed=seed)
    model = tl.attach_head(tl.load_backbone("speech", "mini"), 10 if way == "fine-tuning" else probe)
    if way != "linear probe":
        splits = tl.Splits(drawn.take(learned), drawn.take(learned[:16]), drawn.take([]), name="new accent")
        phase = tl.Phase(("conv5", "head"), epochs=6, schedule="cosine", keep="last", batch_size=16)
        tl.fine_tune(model, splits, phase, seed=seed)
    return tl.evaluate(model, drawn.take(asked)).accuracy

# %% [markdown]
# The next cell takes a minute.

# %%
plan = [(way, count, seed) for way in ("fine-tuning", "probe, then fine-tuning") for count in COUNTS for seed in range(3)]
plan += [("linear probe", count, seed) for count in (0, *COUNTS) for seed in range(3)]
adaptation = pd.DataFrame(plan, columns=["way", "labels", "seed"])
adaptation["accuracy"] = [adapted(*each) for each in tqdm(plan)]

# %%
before = adaptation[adaptation["labels"] == 0]
flat = [before.assign(labels=count, way="not adapted") for count in COUNTS]
shown = pd.concat([*flat, adaptation[adaptation["labels"] > 0]])
tl.plot_label_curve(shown, by="way").set_xlabel("recordings of the new accent");

# %%
shown.pivot_table(index="labels", columns="way", values="accuracy", aggfunc=["mean", "min", "max"]).round(3)

# %% [markdown]
# Ten recordings, one of each digit, win back nearly all; five cover five digits, and draws differ. **The three ways are
# alike**: the whole of it is that the new accent is among what is learned from, not what is trained. The probe's features
# are right already, and `conv5` has nothing to mend; so the cheapest way will do. (A random head and a moving stage do no harm
# either at this rate, see lesson 03.) The fall is six points, from three draws: differences of a point between the lines
# are chance (120 recordings are asked, so one of them is 0.8 points). Where the source is poor there would be more for fine-tuning to do.
#
# ## Did it happen as predicted?
#
# If your run does not bear a claim out, the cell stops and says so.

# %%
unknown = sources[sources["speakers"] == "unknown"].groupby("way")["accuracy"].agg(["mean", "min", "max"])
apart = 100 * (unknown.loc["speech", "min"] - unknown.drop("speech")["max"].max())
left = pooled[pooled["speakers"] == "unknown"].groupby("way")["accuracy"].mean()
steps = 100 * falls.groupby("learned")["accuracy"].mean()
gain = 100 * (shown.groupby(["way", "labels"])["accuracy"].mean() - before["accuracy"].mean())

# %%
facts = {"pooled": left.to_dict(), "apart": apart, "steps": steps.to_dict(), "accents": falls.to_dict("records")}
tl.save_results("05_speech_spectrograms", sources, **facts, adaptation=adaptation.to_dict("records"))

# %%
print(tl.claim("pixels, unknown speakers", left["all pixels"], 0.7, 0.92))
print(tl.claim("the same, averaged over time", left["mean over time"], 0.3, 0.62))
print(tl.claim("the same, averaged over pitch", left["mean over pitch"], 0.3, 0.68))
print(tl.claim("the same, averaged over both (chance is 0.1)", left["mean over both"], 0.05, 0.3))

# %%
print(tl.claim("speech, unknown speakers", unknown.loc["speech", "mean"], 0.93, 1))
print(tl.claim("photographs, unknown speakers", unknown.loc["photographs", "mean"], 0.35, 0.65))
print(tl.claim("from scratch, unknown speakers", unknown.loc["from scratch", "mean"], 0.65, 0.92))
print(tl.claim("random weights, unknown speakers", unknown.loc["random weights", "mean"], 0.4, 0.85))
print(tl.claim("points from the best draw of any other to the worst draw of speech", apart, 2, 25))

# %%
print(tl.claim("points that it costs not to know the speaker", steps["speaker known"] - steps["accent known"], 0.5, 7))
print(tl.claim("points that it costs not to know the accent either", steps["accent known"] - steps["neither"], 0, 5))
print(tl.claim("points that 20 recordings add, linear probe", gain["linear probe", 20], -2, 15))
print(tl.claim("points that 20 recordings add, probe, then fine-tuning", gain["probe, then fine-tuning", 20], -5, 18))

# %% [markdown]
# ## Summary
#
# - A spectrogram is a picture in which the place is the meaning. Averages over places lose the word, unless the features
#   have read it before.
# - The source should have had to ignore what you want ignored (voices) and to keep what you want kept (places).
#   Photographs taught the opposite.
# - Known and unknown speakers are two questions. No speaker on two sides of a split.
# - Speaker or accent: change one, hold the other, and keep the number of labels.
# - Set pixels and random weights beside every source. They are the bar.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell; it says what it thinks of it. `tl.hint("05.1")` helps.
#
# ### Exercise 05.1: A faster voice
#
# `tl.perturb_speed` plays recordings faster or slower, to make more voices of few. A whistle of 1,000 Hz is played 1.2
# times as fast. At which pitch, in hertz, does it stand in the spectrogram then? Change this number.

# %%
whistle = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
faster = np.interp(np.arange(0, 7999, 1.2), np.arange(8000), whistle)
# solution: a pitch in hertz
pitch = 1200
# end
tl.plot_spectrogram(tl.spectrogram(faster, frontend=tl.FrontEnd(seconds=0.8)))
tl.check("05.1", pitch)

# %% [markdown]
# ### Exercise 05.2: Which averages tell them apart?
#
# Two sounds of two pitches and two moments: a loud high one and then a soft low one, and the same backwards. After which of
# `"no average"`, `"mean over time"`, `"mean over pitch"` and `"mean over both"` can the two still be told apart?

# %%
sound = np.array([[2, 0], [0, 1]])  # rows: high, low; columns: earlier, later
reversed_sound = sound[:, ::-1]
# solution: a list of those that differ
seen = {
    "no average": lambda x: x,
    "mean over time": lambda x: x.mean(1),
    "mean over pitch": lambda x: x.mean(0),
    "mean over both": lambda x: x.mean(),
}
apart_after = [name for name, mean in seen.items() if not np.allclose(mean(sound), mean(reversed_sound))]
# end
tl.check("05.2", apart_after)

# %% [markdown]
# ### Exercise 05.3: The leak
#
# `by_recording` draws single recordings, as many a script does. How many speakers stand in its training *and* in its test
# split?

# %%
by_recording = tl.resplit(digits, seed=0)
# solution: compare the speakers of the two tables
both_sides = len(set(by_recording.train.table["speaker"]) & set(by_recording.test.table["speaker"]))
# end
tl.check("05.3", both_sides)

# %% [markdown]
# ### Exercise 05.4: Speaker or accent
#
# Somebody who tests a recogniser reports three accuracies for the same recordings and the same number of labels. How many
# points does it cost not to know the *speaker*, and how many *more* not to know the *accent* either?

# %%
reported = {"speaker known": 0.95, "accent known": 0.91, "neither": 0.85}
# solution: {"speaker": ?, "accent": ?}
cost = {
    "speaker": 100 * (reported["speaker known"] - reported["accent known"]),
    "accent": 100 * (reported["accent known"] - reported["neither"]),
}
# end
tl.check("05.4", cost)

# %% [markdown]
# ### Exercise 05.5: Design the experiment
#
# Money for twenty recordings of a new accent: do they help people who have it? Choose the `recordings`: `"two of each digit, one
# speaker"`, `"one of each digit, two speakers"` or `"twenty of one digit"`. Choose the `test`: `"the same speakers"`, `"other
# speakers of the accent"` or `"speakers of other accents"`. Choose what it is compared `with`: `"nothing added"` or `"twenty of
# the old accents added"`. And how many `seeds`.

# %%
# solution: {"recordings": "?", "test": "?", "with": "?", "seeds": ?}
experiment = {
    "recordings": "one of each digit, two speakers",
    "test": "other speakers of the accent",
    "with": "twenty of the old accents added",
    "seeds": 5,
}
# end
tl.check("05.5", experiment)

# %% [markdown]
# ### Further
#
# - Change the five speakers in `draw` to two, and to fifteen. Who gains most from more voices?
# - Give the places back: `tl.extract_features(backbone, drawn, pooling=None)` for the three backbones, into
#   `over_draws`. Whom does it help? And with `layer="conv3"`, where each feature has seen less of the picture?
# - `tl.with_frontend(whole, tl.FrontEnd(normalise="mean_variance"))`, and `pcen`: which is best for pixels, for
#   unknown speakers?
#
# Your own recordings: `tlteach fit FOLDER --backbone speech --groups PATTERN --out my-words`.
#
# ## References
#
# - Davis and Mermelstein 1980, *Comparison of parametric representations for monosyllabic word recognition* (mel scale).
# - Wang et al. 2017, *Trainable frontend for robust and far-field keyword spotting* (PCEN).
# - Palanisamy et al. 2020, *Rethinking CNN models for audio classification* (photographs as a source for sound).
# - Kong et al. 2020, *PANNs*; Hershey et al. 2017, *CNN architectures for large-scale audio classification* (sound as one).
# - Ko et al. 2015, *Audio augmentation for speech recognition*; Park et al. 2019, *SpecAugment*.
# - Kumar et al. 2022, *Fine-tuning can distort pretrained features and underperform out-of-distribution*.
