"""Let espeak-ng and flite speak a word: samples at 8 kHz, the same for the same words."""

import io
import re
import subprocess
import tempfile
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

RATE = 8000  # samples a second
WITHIN = 40.0  # decibels below the loudest moment at which speech begins and ends
MARGIN = 0.06  # seconds that are kept before and after it
_FRAME = 80  # samples, 10 ms
HOME_PITCH = {"kal": 100.0, "awb": 120.0, "rms": 100.0, "slt": 170.0}  # hertz, about what each flite voice has


def speak(speaker, text, *, faster=1.0, higher=1.0):
    """Return what a speaker says, without the silence around it.

    Args:
        speaker: `Speaker`.
        text: A word; a question mark or an exclamation mark changes its melody.
        faster: Factor on the rate of speaking.
        higher: Factor on the pitch.

    Returns:
        Samples `(n,)` at 8 kHz, float64, the largest at 1.
    """
    say = _espeak if speaker.engine == "espeak-ng" else _flite
    samples, rate = say(speaker, text, faster, higher)
    samples = trim(to_rate(samples, rate))
    return samples / np.abs(samples).max()


def _espeak(speaker, text, faster, higher):
    voice = f"{speaker.accent}+{speaker.voice}"
    rate, pitch = round(speaker.rate * faster), int(np.clip(round(speaker.pitch * higher), 0, 99))
    done = _run(["espeak-ng", "-v", voice, "-s", str(rate), "-p", str(pitch), "--stdout", text])
    samples, rate = soundfile.read(io.BytesIO(_with_length(done)))
    return samples, rate


def _with_length(wave):
    """Put the true lengths into a WAV file that was written into a pipe, where nobody could go back to its header."""
    data = wave.index(b"data")
    sizes = [(4, len(wave) - 8), (data + 4, len(wave) - data - 8)]
    for place, size in sizes:
        wave = wave[:place] + size.to_bytes(4, "little") + wave[place + 4 :]
    return wave


def _flite(speaker, text, faster, higher):
    pitch, stretch = HOME_PITCH[speaker.voice] * speaker.pitch * higher, 1 / (speaker.rate * faster)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "said.wav"
        options = ["--setf", f"duration_stretch={stretch:.3f}", "--setf", f"int_f0_target_mean={pitch:.1f}"]
        _run(["flite", "-voice", speaker.voice, *options, "-t", text, "-o", str(file)])
        return soundfile.read(file)


def _run(command, *, check=True):
    try:
        return subprocess.run(command, capture_output=True, check=check).stdout
    except FileNotFoundError as error:
        raise OSError(
            f"{command[0]} must be installed: apt-get install espeak-ng flite. Received: no such command."
        ) from error


def versions():
    """Return the engines' versions in a line: other versions may give other bytes."""
    espeak = re.search(rb"text-to-speech: (\S+)", _run(["espeak-ng", "--version"]))[1].decode()
    flite = re.search(rb"version: (\S+)", _run(["flite", "--version"], check=False))[1].decode()
    return f"espeak-ng {espeak}, {flite}"


def to_rate(samples, rate):
    """Resample to 8 kHz.

    Args:
        samples: `(n,)`.
        rate: Samples a second.
    """
    common = gcd(RATE, rate)
    return samples if rate == RATE else resample_poly(samples, RATE // common, rate // common)


def trim(samples):
    """Cut off what is silent before and after, up to a short margin.

    Args:
        samples: `(n,)` at 8 kHz.
    """
    if not np.abs(samples).max(initial=0) > 0:
        raise ValueError("there must be something to hear. Received: silence; try another voice.")
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    level = 10 * np.log10((frames**2).mean(1) + 1e-12)
    loud = np.flatnonzero(level > level.max() - WITHIN)
    margin = round(MARGIN * RATE)
    return samples[max(0, loud[0] * _FRAME - margin) : (loud[-1] + 1) * _FRAME + margin]
