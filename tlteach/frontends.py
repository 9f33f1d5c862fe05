"""Front ends: what turns a sound into the picture that a backbone reads, and changes it as voices differ."""

import hashlib
from dataclasses import replace
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from tlteach._logmel import RATE, STRIDE, FrontEnd, band_hertz, mel_power, span
from tlteach._media import is_sound
from tlteach._sounds import Recording
from tlteach.data import Split, Splits

__all__ = ["FrontEnd", "SpecAugment", "Spectrogram", "listen", "perturb_speed", "spectrogram", "with_frontend"]


class Spectrogram(NamedTuple):
    """A spectrogram with its axes.

    `level` is `(height, width)` in 0..255, low pitch first; `seconds` `(width + 1,)` are the columns' edges,
    0 where the recording begins; `hertz` `(height,)` the middles of the rows.
    """

    level: np.ndarray
    seconds: np.ndarray
    hertz: np.ndarray


def spectrogram(data, index=0, *, frontend=None):
    """Return the picture that a network sees of a recording, with its axes in seconds and hertz.

    Args:
        data: `Split` of recordings, or samples `(n,)` at 8 kHz in -1..1.
        index: Which recording of the split.
        frontend: `FrontEnd`; the split's own, or the default, if `None`.

    Returns:
        `Spectrogram`.

    Raises:
        ValueError: If the data are no recordings.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> tone = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000)
        >>> seen = tl.spectrogram(tone, frontend=tl.FrontEnd(seconds=0.8))
        >>> bool(900 < seen.hertz[seen.level.sum(axis=1).argmax()] < 1100)
        True

    Reference:
        Lesson 05.
    """
    recording = recording_of(data, index) if isinstance(data, Split) else Recording(np.asarray(data, "float32"))
    frontend = frontend or recording.frontend
    samples = recording.samples()
    mel = mel_power(samples, frontend.bands)
    edges = frontend.edges(mel.sum(0), *span(mel, frontend.within)) * STRIDE / RATE
    bands = (np.arange(frontend.size[0]) + 0.5) * frontend.bands / frontend.size[0] - 0.5
    hertz = np.interp(bands, np.arange(frontend.bands), band_hertz(frontend.bands))
    return Spectrogram(frontend.picture(samples)[::-1, :, 0], edges, hertz)


def listen(data, index=0):
    """Return a player for a notebook.

    Args:
        data: `Split` of recordings, or samples `(n,)` at 8 kHz in -1..1.
        index: Which recording of the split.

    Returns:
        `IPython.display.Audio`, which a notebook shows as a player.

    Raises:
        ValueError: If the data are no recordings.
    """
    from IPython.display import Audio

    return Audio(recording_of(data, index).samples() if isinstance(data, Split) else np.asarray(data), rate=RATE)


def recording_of(split, index):
    """Return the `Recording` in a row of a split.

    Args:
        split: `Split`.
        index: Row.

    Raises:
        ValueError: If it is a picture.
    """
    source = split.pictures[index]
    if isinstance(source, Recording):
        return source
    if isinstance(source, np.ndarray) or not is_sound(source):
        kind = "a picture in memory" if isinstance(source, np.ndarray) else source
        raise ValueError(f"the split must hold recordings (WAV, FLAC, Ogg or MP3). Received: {kind}.")
    return Recording(source)


def holds_sound(data):
    """Whether a `Split` holds recordings.

    Args:
        data: `Split`.
    """
    if not data.num_examples or data.holds_texts:
        return False
    first = data.pictures[0]
    return isinstance(first, Recording) or (not isinstance(first, np.ndarray) and is_sound(first))


def with_frontend(data, frontend):
    """Return the same recordings, seen through another front end.

    Args:
        data: `Splits` or `Split` of recordings.
        frontend: `FrontEnd`.

    Returns:
        `Splits` or `Split`; kept features are told apart by the front end's settings.

    Raises:
        ValueError: If the data are no recordings.

    Example:
        >>> import tlteach as tl
        >>> digits = tl.load_dataset("spoken_digits", "mini")
        >>> tl.with_frontend(digits, tl.FrontEnd(size=(32, 48))).train.picture(0).shape
        (32, 48, 3)
    """
    if isinstance(data, Splits):
        return replace(data, **{part: with_frontend(split, frontend) for part, split in data.parts().items()})
    recordings = [replace(recording_of(data, i), frontend=frontend) for i in range(data.num_examples)]
    return _split(data, recordings, data.table)


def perturb_speed(split, factors=(0.9, 1.0, 1.1)):
    """Return a split in which each recording is played at several speeds, pitch and formants changing with it.

    The cheapest way to more voices: slower is deeper, as of a larger person. For training
    alone; a test is measured on recordings as they are.

    Args:
        split: `Split` of recordings.
        factors: Speeds, 0.5 to 2.

    Returns:
        `Split`, with so many times the rows and a column `speed`.

    Raises:
        ValueError: If the data are no recordings, or a factor is out of range.

    Reference:
        Ko et al. 2015, Audio Augmentation for Speech Recognition; lesson 05.
    """
    if not factors or not all(0.5 <= factor <= 2 for factor in factors):
        raise ValueError(f"factors must be speeds of 0.5 to 2. Received: {factors!r}.")
    every = [recording_of(split, i) for i in range(split.num_examples)]
    recordings = [replace(each, speed=each.speed * float(factor)) for factor in factors for each in every]
    rows = np.tile(np.arange(split.num_examples), len(factors))
    table = split.table.iloc[rows].assign(speed=np.repeat(factors, split.num_examples))
    return _split(split, recordings, table.reset_index(drop=True))


def _split(split, recordings, table):
    """A split of other recordings, whose sums tell how they are heard: kept features of others are never taken."""
    heard = [f"{sha}{r.frontend.settings()}{r.speed}" for sha, r in zip(table["sha256"], recordings, strict=True)]
    table = table.assign(sha256=[hashlib.sha256(text.encode()).hexdigest() for text in heard])
    return Split(recordings, table, split.classes, size=split.size, batch_size=split.batch_size)


@keras.saving.register_keras_serializable(package="tlteach")
class SpecAugment(keras.layers.Layer):
    """Change spectrograms as voices and rooms do: stretch and shift them, and hide bands and moments.

    For `Phase(augment=...)`: it is drawn anew for each picture, after what is kept on disk. Only
    for training; without `training=True` pictures pass unchanged.

    Args:
        stretch: Largest change of speed, as a share: 0.15 is 0.85 to 1.15 times.
        shift: Largest shift in time, as a share of the width.
        formants: Largest stretch of the pitch axis, as a share: other heads and throats.
        masks: Stretches of time, and bands, that are hidden.
        mask_width: Largest width of each, as a share of the picture.
        floor: Largest level, 0 to 255, that background noise may lift silence to.

    Example:
        >>> import keras, numpy as np, tlteach as tl
        >>> pictures = np.full((2, 64, 64, 3), 100.0, "float32")
        >>> tl.SpecAugment()(pictures, training=True).shape == (2, 64, 64, 3)
        True

    Reference:
        Park et al. 2019, SpecAugment; Jaitly and Hinton 2013, Vocal Tract Length Perturbation; lesson 05.
    """

    def __init__(self, stretch=0.15, shift=0.08, *, formants=0.12, masks=1, mask_width=0.15, floor=60.0):
        super().__init__()
        self.settings = {"stretch": stretch, "shift": shift, "formants": formants}
        self.settings |= {"masks": masks, "mask_width": mask_width, "floor": floor}
        if not all(0 <= self.settings[name] < 1 for name in ("stretch", "shift", "formants", "mask_width")):
            raise ValueError(
                f"stretch, shift, formants and mask_width must be shares, 0 to 1. Received: {self.settings}."
            )
        self.seed_generator = keras.random.SeedGenerator(0)

    def get_config(self):
        return self.settings

    def call(self, pictures, training=False):
        if not training:
            return pictures
        x = ops.cast(pictures, "float32")
        n, height, width = ops.shape(x)[:3]
        own = self.settings
        in_time = _warp(self._draw(n, own["stretch"], centre=1.0), self._draw(n, own["shift"]), width, fixed=0.5)
        in_pitch = _warp(self._draw(n, own["formants"], centre=1.0), self._draw(n, 0.02), height, fixed=1.0)
        x = ops.einsum("nij,njkc->nikc", in_pitch, x)
        x = ops.einsum("nkl,nilc->nikc", in_time, x)
        x = ops.maximum(x, ops.reshape(ops.maximum(self._draw(n, own["floor"]), 0.0), (-1, 1, 1, 1)))
        mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
        for _ in range(own["masks"]):
            x = ops.where(ops.reshape(self._mask(n, width), (-1, 1, width, 1)), mean, x)
            x = ops.where(ops.reshape(self._mask(n, height), (-1, height, 1, 1)), mean, x)
        return x

    def _draw(self, n, reach, *, centre=0.0):
        """Uniform numbers around a centre, `(n, 1)`."""
        return keras.random.uniform((n, 1), centre - reach, centre + reach, seed=self.seed_generator)

    def _mask(self, n, length):
        """Which places are hidden, `(n, length)`."""
        place, length = ops.cast(ops.arange(length), "float32")[None], ops.cast(length, "float32")
        wide = keras.random.uniform((n, 1), 0, self.settings["mask_width"], seed=self.seed_generator) * length
        first = keras.random.uniform((n, 1), 0, 1, seed=self.seed_generator) * (length - wide)
        return ops.logical_and(place >= first, place < first + wide)


def _warp(factor, shift, length, *, fixed):
    """Weights that read an axis at stretched and shifted places, `(n, length, length)`; beyond its ends is the end.

    Args:
        factor: `(n, 1)`, how many times longer it becomes.
        shift: `(n, 1)`, as a share of the length.
        length: Pixels.
        fixed: The place, as a share of the length, that stretching leaves where it is.
    """
    place = ops.cast(ops.arange(length), "float32")[None]
    length = ops.cast(length, "float32")
    centre = fixed * (length - 1)
    read = centre + (place - centre) / factor - shift * length  # (n, length)
    read = ops.clip(read, 0.0, length - 1)
    return ops.maximum(0.0, 1.0 - ops.abs(read[..., None] - place[:, None]))
