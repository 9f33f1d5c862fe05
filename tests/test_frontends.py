"""The front end against Keras' own layer, and what augmentation may and may not do."""

import keras
import numpy as np
import pytest
from conftest import small_splits
from test_sounds import RATE, speech_folder, spoken

import tlteach as tl
from tlteach import _logmel
from tlteach._logmel import FFT, STRIDE, WINDOW, FrontEnd, band_hertz, mel_power, span
from tlteach.frontends import holds_sound, recording_of


def test_the_mel_energies_are_those_of_the_keras_layer():
    samples = spoken(3, 1.0).astype("float32")
    layer = keras.layers.MelSpectrogram(
        fft_length=FFT,
        sequence_stride=STRIDE,
        sequence_length=WINDOW,
        sampling_rate=RATE,
        num_mel_bins=40,
        min_freq=_logmel.LOWEST,
        max_freq=_logmel.HIGHEST,
        power_to_db=False,
    )
    level = samples - samples.mean()
    truth = keras.ops.convert_to_numpy(layer((level / np.abs(level).max())[None]))[0]  # (bands, frames)
    ours = mel_power(samples, 40)
    inner = slice(FFT // STRIDE, -FFT // STRIDE - 1)  # at the ends the layer mirrors the sound
    frames = min(truth.shape[1], ours.shape[1])
    truth, ours = truth[:, :frames][:, inner], ours[:, :frames][:, inner]
    assert np.abs(truth - ours).max() < 1e-3 * truth.max()


@pytest.mark.parametrize("seconds", [0.3, 0.6, 1.2])
def test_slow_and_fast_words_look_alike(seconds):
    times = np.linspace(0, 1, round(seconds * RATE))
    rising = np.sin(2 * np.pi * np.cumsum(300 + 1500 * times) / RATE) * np.hanning(len(times))
    one = np.sin(2 * np.pi * np.cumsum(300 + 1500 * np.linspace(0, 1, RATE)) / RATE) * np.hanning(RATE)
    pictures = [FrontEnd().picture(x).astype(float).ravel() for x in (rising, one)]
    assert np.corrcoef(*pictures)[0, 1] > 0.95


@pytest.mark.parametrize("hertz", [200, 440, 1000, 2500])
def test_a_tone_stands_at_its_frequency(hertz):
    tone = np.sin(2 * np.pi * hertz * np.arange(RATE // 2) / RATE)
    seen = tl.spectrogram(tone, frontend=FrontEnd(seconds=0.8))
    middle = seen.hertz[seen.level[:, 28:36].mean(1).argmax()]
    assert abs(np.log2(middle / hertz)) < 0.25


def test_the_axes_are_seconds_and_hertz():
    word = np.concatenate([np.zeros(RATE), spoken(1, 0.4), np.zeros(RATE)])
    seen = tl.spectrogram(word, frontend=FrontEnd(seconds=0.8))
    assert len(seen.seconds) == 65 and len(seen.hertz) == 64
    assert seen.seconds[0] < 1.05 and seen.seconds[-1] > 1.35  # the word lies at 1.0 to 1.4 s
    assert abs(np.diff(seen.seconds[[0, -1]])[0] - 0.8) < 1e-6
    assert (np.diff(seen.hertz) >= 0).all() and 60 < seen.hertz[0] < seen.hertz[-1] < 3800
    assert abs(band_hertz(40)[20] - keras_band(20, 40)) < 1


def keras_band(number, bands):
    mel = np.linspace(1127 * np.log1p(60 / 700), 1127 * np.log1p(3800 / 700), bands + 2)[number + 1]
    return 700 * (np.exp(mel / 1127) - 1)


@pytest.mark.parametrize("before, after", [(0.0, 0.0), (0.5, 0.1), (0.1, 1.5)])
def test_the_word_is_kept_wherever_it_stands(before, after):
    word = spoken(5, 0.5)
    alone = FrontEnd().picture(np.pad(word, 2000)).astype(float)
    moved = np.pad(word, [round(before * RATE), round(after * RATE)])
    assert np.corrcoef(alone.ravel(), FrontEnd().picture(moved).astype(float).ravel())[0, 1] > 0.9


def test_a_long_word_is_squeezed_and_a_very_long_sound_is_cut_to_its_loudest():
    start, stop = span(mel_power(spoken(1, 1.2), 40), 30)
    assert (stop - start) * STRIDE / RATE > 0.8
    edges = FrontEnd(seconds=0.8).edges(np.ones(240), start, stop)
    assert edges[0] < start and edges[-1] > stop
    quiet = np.concatenate([0.05 * spoken(2, 3.0), spoken(3, 0.6), 0.05 * spoken(4, 3.0)])
    seen = tl.spectrogram(quiet, frontend=FrontEnd(seconds=0.8, within=50))
    assert seen.seconds[0] < 3.15 and seen.seconds[-1] > 3.45


@pytest.mark.parametrize("normalise", ["loudest", "mean_variance", "pcen"])
def test_level_does_not_matter(normalise):
    frontend = FrontEnd(normalise=normalise)
    loud = frontend.picture(spoken(1)).astype(int)
    assert np.abs(loud - frontend.picture(0.01 * spoken(1))).max() <= 1
    assert loud.std() > 20


def test_a_microphone_matters_less_after_normalisation():
    from scipy.signal import butter, sosfilt

    word = spoken(1) + 0.03 * np.random.default_rng(0).normal(size=4000)
    telephone = sosfilt(butter(1, 1000, "high", fs=RATE, output="sos"), word)

    def change(normalise):
        frontend = FrontEnd(normalise=normalise)
        one, other = (frontend.picture(x)[..., 0].astype(float) for x in (word, telephone))
        return np.abs(one - other).mean() / one.std()

    assert change("mean_variance") < 0.6 * change("loudest")


def test_pcen_takes_steady_noise_away():
    mel = np.ones((4, 400), "float32")
    mel[:, 200:210] = 10.0
    level = _logmel.pcen(mel)
    assert level[0, 200:210].max() > 3 * level[0, 150] and np.allclose(level[:, 190], level[:, 150], atol=1e-3)


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"normalise": "loud"}, "normalise must be one of loudest, mean_variance, pcen. Received: 'loud'."),
        ({"seconds": 0}, "seconds must be 0.1 to 10, or None. Received: 0."),
        ({"bands": 2}, "bands must be 8 to 128. Received: 2."),
    ],
)
def test_wrong_settings(wrong, told):
    with pytest.raises(ValueError, match=told.replace(".", r"\.")):
        FrontEnd(**wrong)


def test_another_front_end_gives_other_pictures_and_another_fingerprint(tmp_path):
    words = tl.from_folder(speech_folder(tmp_path / "words"))
    other = tl.with_frontend(words, FrontEnd(size=(32, 48), normalise="pcen"))
    assert other.train.picture(0).shape == (32, 48, 3) and other.groups == words.groups
    assert other.train.fingerprint != words.train.fingerprint
    assert tl.with_frontend(words, FrontEnd(bands=30)).train.fingerprint != other.train.fingerprint


def test_speed_gives_more_rows_and_leaves_the_recordings(tmp_path):
    words = tl.from_folder(speech_folder(tmp_path / "words"))
    more = tl.perturb_speed(words.train, (0.8, 1.0))
    n = words.train.num_examples
    assert more.num_examples == 2 * n and more.table["speed"].tolist() == [0.8] * n + [1.0] * n
    assert (more.labels == np.tile(words.train.labels, 2)).all()
    np.testing.assert_array_equal(more.picture(n), words.train.picture(0))
    assert (more.picture(0) != words.train.picture(0)).any()
    assert more.fingerprint != words.train.fingerprint
    with pytest.raises(ValueError, match=r"factors must be speeds of 0.5 to 2. Received: \(3,\)"):
        tl.perturb_speed(words.train, (3,))


def test_what_is_no_sound_is_told(tmp_path):
    split = small_splits().train
    assert not holds_sound(split)
    with pytest.raises(ValueError, match="the split must hold recordings .* Received: a picture in memory"):
        recording_of(split, 0)


def test_the_player_plays_the_samples(tmp_path):
    words = tl.from_folder(speech_folder(tmp_path / "words"))
    assert holds_sound(words.train)
    player = tl.listen(words.train, 0)
    assert player.data[:4] == b"RIFF" and int.from_bytes(player.data[24:28], "little") == RATE


# SpecAugment


def spectrograms(n=6):
    return np.stack([FrontEnd().picture(spoken(i)) for i in range(n)]).astype("float32")


def test_augmentation_is_for_training_alone():
    pictures = spectrograms()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(tl.SpecAugment()(pictures, training=False)), pictures)
    assert np.abs(keras.ops.convert_to_numpy(tl.SpecAugment()(pictures, training=True)) - pictures).mean() > 5


def test_nothing_to_change_changes_nothing():
    still = tl.SpecAugment(0.0, 0.0, formants=0.0, masks=0, floor=0.0)
    pictures = spectrograms()
    changed = keras.ops.convert_to_numpy(still(pictures, training=True))
    assert np.abs(changed - pictures)[:, 2:-2].mean() < 12  # only the small shift of pitch is left


def test_masks_hide_bands_and_moments_up_to_their_width():
    hide = tl.SpecAugment(0.0, 0.0, formants=0.0, masks=1, mask_width=0.25, floor=0.0)
    flat = np.tile(np.linspace(0, 255, 64, dtype="float32")[None, :, None, None], (64, 1, 64, 3))
    changed = keras.ops.convert_to_numpy(hide(flat, training=True))[..., 0]
    hidden = (np.abs(changed - changed[:, :, :1]) > 1).any(1).sum(1)  # columns unlike the first
    columns = np.minimum(hidden, 64 - hidden)
    assert columns.mean() > 0 and columns.max() <= 17


def test_epochs_differ_and_the_same_seed_gives_the_same(tmp_path):
    from tlteach._augment import augmented

    pictures, layer = spectrograms(), tl.SpecAugment()
    one, again, other = (augmented(pictures, layer, [0, epoch]) for epoch in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 3


def test_the_layer_is_saved_with_a_model(tmp_path):
    model = keras.Sequential([keras.Input((64, 64, 3)), tl.SpecAugment(0.2, masks=3)])
    model.save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras")
    assert again.layers[0].settings == model.layers[0].settings


def test_wrong_shares_of_augmentation():
    with pytest.raises(ValueError, match="must be shares, 0 to 1"):
        tl.SpecAugment(stretch=2)


def test_the_plot_has_seconds_and_hertz():
    import matplotlib.pyplot as plt

    word = np.concatenate([np.zeros(RATE), spoken(1, 0.4), np.zeros(RATE)])
    seen = tl.spectrogram(word)
    _, mine = plt.subplots()
    ax = tl.plot_spectrogram(seen, ax=mine)
    assert ax is mine and ax.get_xlabel() == "time (s)" and "Hz" in ax.get_ylabel()
    assert ax.get_xlim() == pytest.approx((seen.seconds[0], seen.seconds[-1]))
    ticks = dict(zip([t.get_text() for t in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    assert abs(seen.hertz[round(ticks["1,000"])] - 1000) < 60
    plt.close("all")


def test_spectrograms_side_by_side(tmp_path):
    import matplotlib.pyplot as plt

    words = tl.from_folder(speech_folder(tmp_path / "words"))
    axes = tl.plot_spectrograms(words.train, [0, 1], titles=["one", "other"])
    assert [ax.get_title() for ax in axes] == ["one", "other"] and [bool(ax.get_ylabel()) for ax in axes] == [
        True,
        False,
    ]
    drawn = axes[1].images[0].get_array()
    np.testing.assert_array_equal(drawn, tl.spectrogram(words.train, 1).level)
    plt.close("all")


def test_ranges_reach_from_the_worst_run_to_the_best():
    import matplotlib.pyplot as plt
    import pandas as pd

    rows = [("a", "known", 0.5), ("a", "known", 0.9), ("b", "known", 0.3), ("a", "unknown", 0.2)]
    ax = tl.plot_ranges(pd.DataFrame(rows, columns=["way", "speakers", "accuracy"]))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    known = ax.containers[0]
    np.testing.assert_allclose(np.asarray(known[0].get_xdata(), float), [0.7, 0.3])
    np.testing.assert_allclose(np.asarray(known[2][0].get_segments()[0], float)[:, 0], [0.5, 0.9])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["known", "unknown"]
    plt.close("all")
