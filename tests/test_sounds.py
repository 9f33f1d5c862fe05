"""Recordings read from a folder: every format, rate and fault that people's files have."""

import csv
import json

import numpy as np
import pytest
import soundfile
from conftest import pixels

import tlteach as tl
from tlteach import _media, _sounds
from tlteach._sounds import Recording, decode_samples, recognise

RATE = 8000


def spoken(seed, seconds=0.5, rate=RATE):
    """Something like a word: a few formants that move, with a beginning and an end, `(n,)`."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    pitch = random.uniform(90, 250)
    formants = [random.uniform(300, 3000, 2) for _ in range(3)]
    sound = np.zeros(len(times))
    for k in range(1, int(3500 / pitch)):
        moving = [np.interp(times, [0, seconds], f) for f in formants]
        level = sum(np.exp(-(((k * pitch - f) / 200) ** 2)) for f in moving)
        sound += level * np.sin(2 * np.pi * k * pitch * times + random.uniform(0, 6.3))
    return 0.5 * sound * np.hanning(len(times)) / np.abs(sound).max()


def write(path, samples, rate=RATE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **options)
    return path


def speech_folder(root, voices=("ann", "bob", "cem", "dan", "eva"), takes=3):
    """Two words by some voices; the file's name carries the voice."""
    for number, word in enumerate(("no", "yes")):
        for v, voice in enumerate(voices):
            for take in range(takes):
                write(root / word / f"{voice}_{take}.wav", spoken(1000 * number + 100 * v + take))
    return root


@pytest.mark.parametrize("suffix", _sounds.SUFFIXES)
@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_format_rate_and_channel_count(tmp_path, suffix, rate, channels):
    if suffix == ".mp3" and channels > 2:
        pytest.skip("MP3 has at most two channels")
    truth = spoken(1)
    path = write(tmp_path / f"a{suffix}", np.repeat(spoken(1, rate=rate)[:, None], channels, axis=1), rate)
    samples = decode_samples(path)
    assert samples.dtype == np.float32 and abs(len(samples) - len(truth)) < 0.15 * RATE  # MP3 pads
    best = np.correlate(samples, truth, "full").max() / np.linalg.norm(samples) / np.linalg.norm(truth)
    assert best > 0.95


def test_channels_are_averaged(tmp_path):
    left, right = spoken(1), spoken(2)
    path = write(tmp_path / "a.wav", np.stack([left, right], 1), subtype="FLOAT")
    np.testing.assert_allclose(decode_samples(path), (left + right) / 2, atol=1e-6)


def test_resampling_keeps_a_tone(tmp_path):
    tone = np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050)
    samples = decode_samples(write(tmp_path / "a.wav", tone, 22050))
    assert len(samples) == RATE
    assert np.abs(np.fft.rfft(samples)).argmax() == 1000


def damaged(tmp_path, fault):
    """A file with one fault."""
    path = tmp_path / "a.wav"
    if fault == "silent":
        return write(path, np.zeros(RATE))
    if fault == "constant":
        return write(path, np.full(RATE, 0.3))
    if fault == "short":
        return write(path, spoken(1)[:100])
    if fault == "nan":
        return write(path, np.where(np.arange(RATE) == 7, np.nan, 0.1), subtype="FLOAT")
    if fault == "no frames":
        return write(path, np.zeros(0))
    if fault == "empty":
        path.write_bytes(b"")
        return path
    if fault == "text":
        path.write_bytes(b"this is no sound at all")
        return path
    if fault == "opposites":
        return write(path, np.stack([spoken(1), -spoken(1)], 1))
    kind = fault.split()[1]
    path = write(tmp_path / f"a.{kind}", spoken(1, 2.0))
    data = path.read_bytes()
    middle = len(data) // 2
    changed = {
        "cut": data[:middle],
        "headed": data[:24],
        "flipped": data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :],
        "holed": data[:400] + bytes(600) + data[1000:],
    }
    path.write_bytes(changed[fault.split()[0]])
    return path


FAULTS = {
    "silent": "^silent$",
    "constant": "^silent$",
    "short": "^too short: 0.013 of at least 0.05 seconds$",
    "nan": "^holds values that are no numbers$",
    "no frames": "^holds no sound$",
    "empty": "^empty file$",
    "text": r"^cannot be read as a sound \(",
    "cut wav": "^breaks off: ",
    "cut flac": "^(breaks off: |cannot be read as a sound)",
    "cut ogg": "^breaks off: the last page is missing$",
    "cut mp3": r"^(breaks off: \d+ of 16000 samples|cannot be read as a sound)",
    "headed wav": r"^cannot be read as a sound \(",
    "headed mp3": r"^cannot be read as a sound \(",
    "flipped flac": r"^cannot be read as a sound \(",
    "flipped ogg": r"^damaged: the checksum of the page at byte \d+ is another$",
    "holed ogg": r"^damaged: ",
    "holed mp3": r"^breaks off: \d+ of 16000 samples$",
    "opposites": "^silent when its channels are averaged: they are each other's opposites$",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_sentence(tmp_path, fault):
    with pytest.raises(ValueError, match=FAULTS[fault]) as told:
        recognise(damaged(tmp_path, fault))
    assert "<" not in str(told.value) and " object at " not in str(told.value)


@pytest.mark.parametrize("kind", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM"])
def test_every_kind_of_wav_file(tmp_path, kind):
    samples = decode_samples(write(tmp_path / "a.wav", spoken(1), subtype=kind))
    assert np.corrcoef(samples[: RATE // 2], spoken(1))[0, 1] > 0.98


def test_an_mp3_file_with_a_tag_before_its_sound(tmp_path):
    path = write(tmp_path / "a.mp3", spoken(1, rate=44100), 44100)
    plain = decode_samples(path)
    path.write_bytes(b"ID3\x03\0\0\0\0\x02\0" + bytes(256) + path.read_bytes())
    np.testing.assert_array_equal(decode_samples(path), plain)


def test_a_file_under_another_formats_name_is_read_for_what_it_is(tmp_path):
    flac = write(tmp_path / "a.flac", spoken(1))
    flac.rename(tmp_path / "a.wav")
    np.testing.assert_allclose(decode_samples(tmp_path / "a.wav"), spoken(1), atol=1e-4)


def test_suffixes_in_capitals_are_sounds_too(tmp_path):
    root = speech_folder(tmp_path / "words")
    for path in list(root.rglob("ann_*.wav")):
        path.rename(path.with_suffix(".WAV"))
    assert sum(part.num_examples for part in tl.from_folder(root).parts().values()) == 30


def test_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match="^no such file$"):
        decode_samples(tmp_path / "a.wav")


def test_a_wav_file_from_a_pipe_whose_length_nobody_knew(tmp_path):
    path = write(tmp_path / "a.wav", spoken(1))
    data, place = path.read_bytes(), path.read_bytes().index(b"data")
    path.write_bytes(data[: place + 4] + b"\xff\xff\xff\xff" + data[place + 8 :])
    assert len(decode_samples(path)) == RATE // 2


def test_clipped_recordings_are_noticed_and_loud_ones_are_not(tmp_path):
    loud = spoken(1) / np.abs(spoken(1)).max()
    assert recognise(write(tmp_path / "a.wav", loud))[2] == ""
    assert recognise(write(tmp_path / "b.wav", np.clip(3 * loud, -1, 1)))[2] == "clipped"
    assert recognise(write(tmp_path / "c.wav", np.clip(3 * loud, -1, 1) / 2))[2] == "clipped"  # made quieter later


def test_a_folder_names_what_it_leaves_out_and_what_is_odd(tmp_path):
    root = speech_folder(tmp_path / "words")
    write(root / "no" / "silent.wav", np.zeros(RATE))
    (root / "yes" / "empty.flac").write_bytes(b"")
    write(root / "yes" / "loud_0.wav", np.clip(4 * spoken(77), -0.9, 0.9))
    with pytest.warns(UserWarning) as caught:
        words = tl.from_folder(root)
    told = [str(each.message) for each in caught]
    assert "2 of 33 files cannot be read and are left out: no/silent.wav: silent; yes/empty.flac: empty file" in told
    assert "1 of 31 recordings may mislead and are kept: yes/loud_0.wav: clipped" in told
    assert sum(part.num_examples for part in words.parts().values()) == 31


def test_the_picture_of_a_recording_is_its_spectrogram(tmp_path):
    words = tl.from_folder(speech_folder(tmp_path / "words"))
    path = words.train.pictures[0]
    np.testing.assert_array_equal(words.train.picture(0), tl.FrontEnd().picture(decode_samples(path)))
    assert words.train.picture(0).shape == (64, 64, 3) and words.train.picture(0).dtype == np.uint8
    assert words.train[0][0].shape[1:] == (64, 64, 3)


@pytest.mark.parametrize("way", ["pattern", "file"])
def test_speakers_group_the_splits(tmp_path, way):
    root = speech_folder(tmp_path / "words")
    groups = r"^(?P<speaker>[a-z]+)_"
    if way == "file":
        groups = root / "speakers.csv"
        with open(groups, "w", newline="") as file:
            rows = [
                (f"{word}/{v}_{t}.wav", v)
                for word in ("no", "yes")
                for v in "ann bob cem dan eva".split()
                for t in range(3)
            ]
            csv.writer(file).writerows([("path", "speaker"), *rows])
    words = tl.from_folder(root, groups=groups)
    assert words.groups == "speaker"
    found = [set(part.table["speaker"]) for part in words.parts().values()]
    assert sum(len(each) for each in found) == len(set.union(*found)) == 5


def test_the_same_recording_in_another_format_is_found(tmp_path):
    root = speech_folder(tmp_path / "words")
    again = decode_samples(root / "no" / "ann_0.wav")
    write(root / "no" / "again.flac", 0.5 * again)
    words = tl.from_folder(root, test=0.3)
    whole = {part: list(split.table["path"]) for part, split in words.parts().items()}
    sides = [part for part, paths in whole.items() if {"no/again.flac", "no/ann_0.wav"} & set(paths)]
    assert len(sides) == 1


def test_takes_of_one_word_are_no_duplicates(tmp_path):
    from tlteach._pictures import near_pairs

    words = tl.from_folder(speech_folder(tmp_path / "words"))
    looks = [look for part in words.parts().values() for look in part.table["look"]]
    assert near_pairs(looks) == []


def test_recordings_go_all_the_way_to_a_model(tmp_path):
    from conftest import small_backbone

    words = tl.from_folder(speech_folder(tmp_path / "words", takes=4), groups=r"^([a-z]+)_")
    net = small_backbone("resnet50")
    probe = tl.linear_probe(tl.extract_features(net, words, store=None))
    model = tl.attach_head(net, probe)
    run = tl.fine_tune(model, words, [tl.Phase(epochs=1, augment=tl.SpecAugment())], store=None)
    report = tl.evaluate(run.model, words.test)
    assert report.n == words.test.num_examples and run.plan["cut at"].tolist() == ["resize"]


def test_predict_takes_recordings(tmp_path):
    from conftest import small_backbone

    from tlteach.predicting import predict_files
    from tlteach.report import save_model

    root = speech_folder(tmp_path / "words")
    write(root / "no" / "silent.wav", np.zeros(RATE))
    save_model(tl.attach_head(small_backbone("resnet50"), 2), ["no", "yes"], tmp_path / "model.keras")
    lines = list(predict_files(tmp_path / "model.keras", [root / "no"]))
    assert len(lines) == 16 and [line["error"] for line in lines if "error" in line] == ["silent"]
    assert json.dumps(lines)


def test_a_folder_of_recordings_alone_says_where_to_go(tmp_path):
    write(tmp_path / "a.wav", spoken(1))
    with pytest.raises(ValueError, match="holds such files itself: give the folder above it"):
        tl.from_folder(tmp_path)


def test_a_faster_recording_is_shorter_and_higher():
    tone = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE).astype("float32")
    fast = Recording(tone, speed=1.25).samples()
    assert abs(len(fast) - RATE / 1.25) <= 1
    assert abs(np.abs(np.fft.rfft(fast)).argmax() * RATE / len(fast) - 625) < 2


def test_pictures_are_read_as_before(tmp_path):
    from conftest import save

    path = save(tmp_path / "a.png", pixels(1)[0].astype("uint8"))
    np.testing.assert_array_equal(_media.decode(path), pixels(1)[0].astype("uint8"))
    assert _media.recognise(path)[2] == ""
