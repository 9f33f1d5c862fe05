"""Who speaks: a speaker is one voice of one engine with an accent, a pitch and a rate of its own."""

from typing import NamedTuple

import numpy as np

ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
FLITE = {"kal": "en-us", "awb": "en-gb-scotland", "rms": "en-us", "slt": "en-us"}  # voice: accent of the person
# Variants of espeak-ng 1.51 that sound like somebody; each is one speaker's alone.
FOR_DIGITS = """
f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 klatt klatt2 klatt3 klatt4 Andy Annie adam anika antonio aunty belinda benjamin
boris caleb david ed edward gustave iven john linda marcelo max michel miguel norbert pablo paul pedro
""".split()
FOR_WORDS = """
quincy rob robert sandro shelby steph steph2 steph3 travis victor zac Alex Alicia Andrea Denis Diogo Gene Gene2
Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen RicishayMax RicishayMax2 RicishayMax3 edward2 grandma grandpa
iven2 iven3 iven4 kaukovalta klatt5 klatt6 whisper whisperf AnxiousAndy announcer
""".split()
SHARES = ("train", "train", "train", "val", "test", "test")  # splits of the six espeak-ng speakers of an accent


class Speaker(NamedTuple):
    """One voice: rate in words a minute for espeak-ng, and as a stretch of time for flite."""

    speaker: str
    split: str
    engine: str
    accent: str
    voice: str
    rate: float
    pitch: float


def digit_speakers(seed):
    """Return the speakers of the digits: six a British, American or Caribbean accent, and flite's four.

    A variant belongs to one speaker, and a speaker to one split. flite's voices, which the
    speech source hears too, are in training alone.

    Args:
        seed: Decides which variant has which accent.

    Returns:
        List of `Speaker`.
    """
    random = np.random.default_rng([seed, 1])
    variants, places = random.permutation(FOR_DIGITS), [(a, s) for a in ACCENTS for s in SHARES]
    chosen = [
        _espeak(f"s{number:02}", split, accent, variant=str(variant), random=random)
        for number, ((accent, split), variant) in enumerate(zip(places, variants, strict=True), 1)
    ]
    flite = [_flite(f"s{len(chosen) + i:02}", "train", voice, random=random) for i, voice in enumerate(FLITE, 1)]
    return chosen + flite


def word_speakers(count, seed):
    """Return speakers of the source's words, whose espeak-ng variants the digits do not have.

    Args:
        count: How many; each sixth is a voice of flite at another pitch and rate.
        seed: Decides about everything.

    Returns:
        List of `Speaker`; every tenth is for validation.
    """
    random = np.random.default_rng([seed, 2])
    speakers = []
    for number in range(count):
        name, split = f"w{number:03}", "val" if number % 10 == 9 else "train"
        if number % 6 == 5:
            speakers.append(_flite(name, split, list(FLITE)[number // 6 % len(FLITE)], random=random))
        else:
            accent, variant = ACCENTS[number % len(ACCENTS)], FOR_WORDS[number % len(FOR_WORDS)]
            speakers.append(_espeak(name, split, accent, variant=variant, random=random))
    return speakers


def _espeak(name, split, accent, *, variant, random):
    rate, pitch = round(random.uniform(120, 200)), round(random.uniform(25, 75))
    return Speaker(name, split, "espeak-ng", accent, variant, rate, pitch)


def _flite(name, split, voice, *, random):
    rate, pitch = round(random.uniform(0.85, 1.25), 3), round(random.uniform(0.8, 1.25), 3)
    return Speaker(name, split, "flite", FLITE[voice], voice, rate, pitch)
