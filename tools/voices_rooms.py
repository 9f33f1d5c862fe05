"""Where it is said: rooms, microphones and noise, all drawn from numbers."""

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

RATE = 8000
ROOMS = {"none": None, "booth": (0.08, 0.1), "office": (0.25, 0.25), "hall": (0.5, 0.35)}  # seconds to -60 dB, share
MICROPHONES = {  # hertz let through, and how many decibels an octave it tilts
    "studio": (50, 3900, 0.0),
    "headset": (120, 3700, 1.5),
    "telephone": (300, 3400, 0.0),
    "laptop": (180, 3800, 3.0),
    "far": (80, 3000, -3.0),
}
NOISES = ("none", "white", "pink", "hum", "street", "babble")
LOUDEST = 0.9
WORDS_AGAINST_NOISE = (8.0, 35.0)  # decibels between the word and the noise


def take(samples, conditions, random):
    """Return a word as it is recorded: in a room, through a microphone, with noise.

    Args:
        samples: `(n,)` at 8 kHz.
        conditions: Dict with room, microphone, noise, and `snr_db`, the word above the noise.
        random: NumPy generator.

    Returns:
        Samples `(m,)`, the largest at about 0.2 to 0.9.
    """
    before, after = (np.zeros(round(RATE * random.uniform(0.02, 0.15))) for _ in range(2))
    samples = np.concatenate([before, samples, after])
    samples = in_room(samples, conditions["room"], random)
    power = np.sqrt(np.mean(samples**2))
    if conditions["noise"] != "none":
        samples = samples + noise(conditions["noise"], len(samples), random) * power / 10 ** (conditions["snr_db"] / 20)
    samples = through_microphone(samples, conditions["microphone"])
    return samples / np.abs(samples).max() * random.uniform(0.2, LOUDEST)


def in_room(samples, room, random):
    """Add a room's echoes: noise that dies away, after the direct sound (Moorer 1979).

    Args:
        samples: `(n,)`.
        room: A key of `ROOMS`.
        random: NumPy generator.
    """
    if ROOMS[room] is None:
        return samples
    seconds, share = ROOMS[room]
    times = np.arange(1, round(seconds * RATE)) / RATE
    tail = random.normal(size=len(times)) * np.exp(-6.9 * times / seconds)
    response = np.concatenate([[1.0], share * tail / np.sqrt(np.sum(tail**2))])
    return fftconvolve(samples, response)[: len(samples) + round(0.1 * RATE)]


def through_microphone(samples, microphone):
    """Filter by what a microphone lets through, and tilt its spectrum.

    Args:
        samples: `(n,)`.
        microphone: A key of `MICROPHONES`.
    """
    low, high, tilt = MICROPHONES[microphone]
    samples = sosfilt(butter(2, [low, high], "bandpass", fs=RATE, output="sos"), samples)
    return _shaped(samples, lambda f: 10 ** (tilt * np.log2(np.maximum(f, 60) / 1000) / 20))


def noise(kind, count, random):
    """Return noise of mean power one.

    Args:
        kind: One of `NOISES` but `"none"`.
        count: Samples.
        random: NumPy generator.
    """
    white = random.normal(size=count)
    if kind == "hum":
        times, base = np.arange(count) / RATE, random.choice([50, 60])
        made = sum(np.sin(2 * np.pi * base * k * times + random.uniform(0, 6.3)) / k for k in (1, 2, 3, 5)) + white / 4
    elif kind == "babble":  # noise with the spectrum of speech, whose loudness moves as syllables do
        knots = np.arange(0, count + 1600, 1600)  # five a second
        slow = np.interp(np.arange(count), knots, random.uniform(0.2, 1, len(knots)))
        made = slow * _shaped(white, lambda f: 1 / (1 + (f / 500) ** 2))
    else:
        slope = {"white": 0.0, "pink": 0.5, "street": 1.0}[kind]
        made = _shaped(white, lambda f: np.maximum(f, 40) ** -slope)
    return made / np.sqrt(np.mean(made**2))


def _shaped(samples, gain):
    """Multiply a sound's spectrum by a gain, a function of the frequency in hertz."""
    spectrum = np.fft.rfft(samples)
    return np.fft.irfft(spectrum * gain(np.fft.rfftfreq(len(samples), 1 / RATE)), len(samples))
