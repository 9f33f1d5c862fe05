"""Sound to log-mel picture, in NumPy: one recording takes a millisecond, and every backend sees the same picture.

The arithmetic is that of `keras.layers.MelSpectrogram`, as a test proves; the layer itself takes
many times longer for one short recording, and numbers differ a little from backend to backend.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

RATE = 8000  # samples a second, to which every recording is resampled: speech up to 4 kHz
STRIDE = 40  # samples from frame to frame, 5 ms
WINDOW = 256  # samples of a frame, 32 ms
FFT = 512
LOWEST, HIGHEST = 60.0, 3800.0  # hertz
NORMALISATIONS = ("loudest", "mean_variance", "pcen")
RANGE = 45.0  # decibels from black to white
MARGIN = 0.08  # of a stretched word's length, shown before and after it
_FLOOR = 1e-10
_PCEN = {"smoothing": 0.04, "gain": 0.8, "bias": 2.0, "power": 0.5}


@dataclass(frozen=True)
class FrontEnd:
    """How a recording becomes a picture: log energy in mel bands over time, around the word.

    The word is found by its loudness, and each word is stretched over the whole picture, since
    people speak at different rates. Or `seconds` keeps time as it is: the word stands in the middle;
    one that is too long is squeezed, and what is longer still is cut to where it is loudest.

    Attributes:
        seconds: What the picture's width stands for; `None` stretches each word over it.
        bands: Mel bands from 60 to 3,800 Hz.
        size: `(height, width)` of the picture in pixels.
        normalise: `"loudest"` keeps decibels below the loudest, so that level does not count;
            `"mean_variance"` takes from each band its mean over the word, so that microphone and
            room no longer count, nor much of a short word's vowel, and divides by the deviation;
            `"pcen"` is per-channel energy normalisation, which follows slow changes.
        within: Decibels below the loudest moment at which the word begins and ends.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> tone = np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)
        >>> tl.FrontEnd().picture(tone).shape
        (64, 64, 3)

    Reference:
        Davis and Mermelstein 1980; Wang et al. 2017, Trainable Frontend (PCEN); lesson 05.
    """

    seconds: float | None = None
    bands: int = 40
    size: tuple = (64, 64)
    normalise: str = "loudest"
    within: float = 20.0

    def __post_init__(self):
        if self.normalise not in NORMALISATIONS:
            raise ValueError(f"normalise must be one of {', '.join(NORMALISATIONS)}. Received: {self.normalise!r}.")
        if self.seconds is not None and not 0.1 <= self.seconds <= 10:
            raise ValueError(f"seconds must be 0.1 to 10, or None. Received: {self.seconds}.")
        if not 8 <= self.bands <= 128:
            raise ValueError(f"bands must be 8 to 128. Received: {self.bands}.")

    def picture(self, samples):
        """Return the picture of a recording, `(height, width, 3)`, uint8 in 0..255, low pitch at the bottom.

        Args:
            samples: `(n,)` at 8 kHz, any level.
        """
        mel = mel_power(samples, self.bands)  # (bands, frames)
        start, stop = span(mel, self.within)
        inside, black = self._normalised(mel, start, stop)  # (bands, frames), black is silence
        edges = self.edges(mel.sum(0), start, stop)  # (width + 1,)
        columns = _average(inside, edges, black)  # (bands, width)
        rows = _rows(self.size[0], self.bands) @ columns  # (height, width)
        grey = np.clip(np.round(rows[::-1]), 0, 255).astype("uint8")
        return np.repeat(grey[..., None], 3, axis=2)

    def edges(self, power, start, stop):
        """Return where the picture's columns begin and end, in frames, `(width + 1,)`.

        Args:
            power: Energy of each frame `(frames,)`.
            start, stop: Frames where the word begins and ends.
        """
        long = stop - start
        if self.seconds is None:
            return np.linspace(start - MARGIN * long, stop + MARGIN * long, self.size[1] + 1)
        wanted = self.seconds * RATE / STRIDE
        width, centre = min(max(wanted, 1.1 * long), 1.6 * wanted), (start + stop) / 2
        if long > width + 1:  # too long to be squeezed: where it is loudest
            total = np.concatenate([[0.0], np.cumsum(np.sqrt(power))])
            first = np.arange(start, stop - int(width) + 1)
            centre = first[np.argmax(total[first + int(width)] - total[first])] + width / 2
        return np.linspace(centre - width / 2, centre + width / 2, self.size[1] + 1)

    def _normalised(self, mel, start, stop):
        """Return levels in 0..255 and what silence is among them."""
        if self.normalise == "pcen":
            level = pcen(mel)
            return 255 * np.clip(level / max(np.quantile(level[:, start:stop], 0.995), 1e-9), 0, 1), 0.0
        level = 10 * np.log10(mel + _FLOOR)
        if self.normalise == "loudest":
            return 255 * np.clip((level - level.max()) / RANGE + 1, 0, 1), 0.0
        level = np.maximum(level, level.max() - 60)
        word = level[:, start:stop]
        level = (level - word.mean(1, keepdims=True)) / max(word.std(axis=1).mean(), 1e-6)
        return np.clip(128 + 50 * level, 0, 255), 0.0

    def settings(self):
        """Return the settings as a sorted text, by which kept features are told apart."""
        return repr(sorted(asdict(self).items()))


def mel_power(samples, bands):
    """Return the energy in mel bands, `(bands, frames)`, a frame every 5 ms.

    Args:
        samples: `(n,)` at 8 kHz.
        bands: How many.
    """
    samples = np.asarray(samples, "float32")
    samples = samples - samples.mean()
    samples = np.pad(samples / max(np.abs(samples).max(initial=0), 1e-9), FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FFT)[::STRIDE]  # (frames, 512)
    spectrum = np.abs(np.fft.rfft(frames * _window(), axis=1)) ** 2  # (frames, 257)
    return (spectrum.astype("float32") @ mel_matrix(bands)).T


@lru_cache
def _window():
    """A Hann window in the middle of the frame."""
    pad = (FFT - WINDOW) // 2
    return np.pad(np.hanning(WINDOW + 1)[:-1], pad).astype("float32")


@lru_cache
def mel_matrix(bands):
    """Return the triangles that gather frequencies into mel bands, `(257, bands)`."""
    mel = lambda hertz: 1127 * np.log1p(hertz / 700)  # noqa: E731
    corners = np.linspace(mel(LOWEST), mel(HIGHEST), bands + 2)
    lines = mel(np.arange(1, FFT // 2 + 1) * RATE / FFT)[:, None]  # without the constant part
    up = (lines - corners[:-2]) / (corners[1:-1] - corners[:-2])
    down = (corners[2:] - lines) / (corners[2:] - corners[1:-1])
    return np.pad(np.maximum(0, np.minimum(up, down)), [(1, 0), (0, 0)]).astype("float32")


def band_hertz(bands):
    """Return the middle of each band in hertz, `(bands,)`."""
    mel = np.linspace(1127 * np.log1p(LOWEST / 700), 1127 * np.log1p(HIGHEST / 700), bands + 2)[1:-1]
    return 700 * np.expm1(mel / 1127)


def span(mel, within):
    """Return the first frame of the word and the one after its last.

    Args:
        mel: Energy `(bands, frames)`.
        within: Decibels below the loudest frame that still belong to it; fewer where the background is loud.
    """
    power = np.convolve(mel.sum(0), np.ones(5) / 5, "same")
    level = 10 * np.log10(power + _FLOOR)
    quiet, loud = np.quantile(level, 0.05), level.max()
    least = max(loud - within, min(quiet + 0.2 * (loud - quiet), loud - 12))
    heard = np.flatnonzero(level >= least)
    return int(heard[0]), int(heard[-1]) + 1


def pcen(mel):
    """Return per-channel energy normalised levels, `(bands, frames)`.

    Args:
        mel: Energy `(bands, frames)`.
    """
    from scipy.signal import lfilter

    s, start = _PCEN["smoothing"], mel.mean(1, keepdims=True)  # each band begins at its mean
    slow = lfilter([s], [1, s - 1], mel, axis=1, zi=(1 - s) * start)[0]
    ratio = mel / (1e-6 + slow) ** _PCEN["gain"]
    return (ratio + _PCEN["bias"]) ** _PCEN["power"] - _PCEN["bias"] ** _PCEN["power"]


def _average(levels, edges, outside):
    """Average the frames between edges; beyond the recording there is silence. Returns `(bands, len(edges) - 1)`."""
    frames = levels.shape[1]
    total = np.concatenate([np.zeros((len(levels), 1)), np.cumsum(levels - outside, axis=1)], axis=1)
    place = np.clip(edges, 0, frames)
    low = np.minimum(place.astype(int), frames - 1)
    at = total[:, low] + (place - low) * (total[:, low + 1] - total[:, low])
    return outside + np.diff(at, axis=1) / np.diff(edges)


@lru_cache
def _rows(height, bands):
    """Weights that draw bands as rows of pixels, `(height, bands)`: between two bands, something of both."""
    place = np.clip((np.arange(height) + 0.5) * bands / height - 0.5, 0, bands - 1)
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(bands)))
    return (weights / weights.sum(1, keepdims=True)).astype("float32")
