"""The tool that lets voices speak: who speaks what, and the same bytes again."""

import io
import shutil
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import make_digits
from voices_engines import trim
from voices_rooms import MICROPHONES, NOISES, ROOMS, noise, take, through_microphone
from voices_speakers import ACCENTS, FOR_DIGITS, FOR_WORDS, digit_speakers, word_speakers
from voices_words import DIGITS, OTHERS, check_words

engines = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite"
)


def test_there_are_many_speakers_in_every_accent_and_each_is_in_one_split():
    speakers = digit_speakers(0)
    assert len(speakers) >= 40 and len({s.speaker for s in speakers}) == len(speakers)
    assert len({(s.engine, s.voice) for s in speakers}) == len(speakers)  # a variant is one speaker's alone
    for split in ("train", "val", "test"):
        assert {s.accent for s in speakers if s.split == split} == set(ACCENTS)
    assert {s.voice for s in speakers if s.engine == "flite"} == {"kal", "awb", "rms", "slt"}


def test_the_source_has_other_words_by_other_voices():
    assert not set(FOR_DIGITS) & set(FOR_WORDS) and not set(OTHERS) & set(DIGITS)
    heard = {s.voice for s in word_speakers(60, 0) if s.engine == "espeak-ng"}
    assert len(heard) > 30 and heard <= set(FOR_WORDS) and not heard & {s.voice for s in digit_speakers(0)}
    assert check_words(OTHERS) == OTHERS and len(OTHERS) >= 60


@pytest.mark.parametrize("words", [["apple", "two"], ["apple", "apple"], []])
def test_wrong_words(words):
    with pytest.raises(ValueError, match="words must be other words than the digits, each once. Received:"):
        check_words(words)


def test_conditions_do_not_tell_digits_apart():
    rows = make_digits.plan(digit_speakers(0), DIGITS, takes=4, seed=0)
    for name, values in {"room": ROOMS, "microphone": MICROPHONES, "noise": NOISES}.items():
        for digit in DIGITS:
            counts = Counter(row[name] for row in rows if row["label"] == digit)
            assert set(counts) == set(values) and max(counts.values()) < 2.2 * min(counts.values())


@pytest.mark.parametrize("kind", [n for n in NOISES if n != "none"])
def test_noise_has_power_one(kind):
    made = noise(kind, 8000, np.random.default_rng(0))
    assert made.shape == (8000,) and abs(np.mean(made**2) - 1) < 1e-6


def test_the_noise_is_as_loud_as_the_table_says():
    word = np.sin(np.arange(8000) / 3)
    conditions = {"room": "none", "microphone": "studio", "noise": "white"}
    quiet, loud = (take(word, conditions | {"snr_db": snr}, np.random.default_rng(0)) / 0.01 for snr in (30.0, 10.0))
    tone = lambda x: np.abs(np.fft.rfft(x))[np.abs(np.fft.rfft(x)).argmax()]  # noqa: E731
    rest = [np.median(np.abs(np.fft.rfft(x))) / tone(x) for x in (quiet, loud)]
    assert 8 < rest[1] / rest[0] < 12  # 20 decibels are ten times


def test_a_telephone_lets_little_through_below_300_hertz():
    low, high = (np.sin(2 * np.pi * f * np.arange(8000) / 8000) for f in (100, 1000))
    ratio = np.std(through_microphone(low, "telephone")) / np.std(through_microphone(high, "telephone"))
    assert ratio < 0.2


def test_trimming_keeps_the_word():
    word = np.sin(np.arange(2400))
    samples = np.concatenate([np.zeros(4000), word, np.zeros(6000)])
    cut = trim(samples)
    assert 2400 <= len(cut) <= 2400 + 2 * 8000 * 0.08 and np.isclose(np.abs(cut).sum(), np.abs(word).sum())
    with pytest.raises(ValueError, match="there must be something to hear. Received: silence"):
        trim(np.zeros(800))


@engines
def test_the_same_row_gives_the_same_bytes():
    rows = make_digits.plan(digit_speakers(0), DIGITS, takes=1, seed=0)
    for row in (rows[0], rows[-1]):  # espeak-ng and flite
        data = make_digits.record(row, 0)
        assert data == make_digits.record(row, 0) != make_digits.record(row, 1)
        samples, rate = soundfile.read(io.BytesIO(data))
        assert rate == 8000 and samples.ndim == 1 and 0.2 < len(samples) / rate < 2 and np.abs(samples).max() > 0.1


@engines
def test_the_shipped_recordings_are_those_of_the_tool():
    import zipfile

    if "1.51" not in make_digits.versions():
        pytest.skip("another version of espeak-ng")
    rows = make_digits.plan(digit_speakers(0), DIGITS, takes=4, seed=0)
    with zipfile.ZipFile(ROOT / "datasets/spoken_digits/mini/digits.zip") as archive:
        assert archive.namelist() == [row["path"] for row in rows]
        for row in rows[::400]:
            shipped, _ = soundfile.read(io.BytesIO(archive.read(row["path"])))
            made, _ = soundfile.read(io.BytesIO(make_digits.record(row, 0)))
            np.testing.assert_array_equal(shipped, made)


def test_the_archive_is_small():
    assert (ROOT / "datasets/spoken_digits/mini/digits.zip").stat().st_size <= 8e6
