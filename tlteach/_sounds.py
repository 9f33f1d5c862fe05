"""Read one recording: decode, mix down, resample, recognise. The only place where sound files are touched."""

import hashlib
import io
import os
import re
import zlib
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path

import numpy as np
from PIL import Image

from tlteach._logmel import RATE, FrontEnd

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
SHORTEST = 0.05  # seconds
SILENT = 1e-4  # of full scale: no sample reaches it
_CLIPPED = 0.002  # share of the samples in runs at the largest value from which on a recording is distorted
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_UNKNOWN = 0x7FFFF000  # a length in a WAV file's header from which on it says: written into a pipe, not known


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording as a data set holds it: where it is, and how it becomes a picture.

    Attributes:
        source: Path of a sound file, or samples `(n,)` at 8 kHz in -1..1.
        frontend: `FrontEnd`.
        speed: How many times faster it is played; pitch rises with it.
    """

    source: object = field(repr=False)
    frontend: FrontEnd = field(default_factory=FrontEnd)
    speed: float = 1.0

    def samples(self):
        """Return the samples `(n,)` at 8 kHz, float32 in -1..1."""
        samples = self.source if isinstance(self.source, np.ndarray) else decode_samples(self.source)
        return samples if self.speed == 1 else _faster(samples, self.speed)

    def picture(self):
        """Return the spectrogram `(height, width, 3)`, uint8 in 0..255."""
        return self.frontend.picture(self.samples())


def _faster(samples, speed):
    """Play faster: the samples are read at other moments, as a tape is (Ko et al. 2015)."""
    moments = np.arange(0, len(samples) - 1, speed)
    return np.interp(moments, np.arange(len(samples)), samples).astype("float32")


def decode_samples(source):
    """Decode a sound file to samples `(n,)` at 8 kHz, float32; channels are averaged.

    Args:
        source: Path, or the bytes of a file.

    Raises:
        ValueError: If the file is empty, damaged, too short or silent.
    """
    sound, rate, _ = _read(source)
    return _resample(sound.mean(axis=1), rate)


def recognise(path):
    """Return `(sha256, look, remark)`: identity, 256 bits of how it sounds, and what a person should know, or `""`.

    Args:
        path: Path of a sound file.

    Raises:
        ValueError: If the file cannot be read to its end, or there is nothing to hear.
    """
    sound, rate, data = _read(path)
    samples = _resample(sound.mean(axis=1), rate)
    return hashlib.sha256(data).hexdigest(), look(samples), "clipped" if _is_clipped(sound) else ""


def look(samples):
    """Describe a recording as a picture is described, so that equal and nearly equal ones are found.

    Args:
        samples: `(n,)` at 8 kHz.

    Returns:
        What `_pictures.recognise` gives for its spectrogram, the word filling the picture.
    """
    from tlteach._pictures import _look

    return _look(Image.fromarray(FrontEnd().picture(samples)))


def _read(source):
    """Return `(sound, rate, data)`: samples `(n, channels)`, float32, samples a second, and the file's bytes."""
    import soundfile

    data = source if isinstance(source, bytes) else _bytes(Path(source))
    _check_whole(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            promised, rate = file.frames, file.samplerate
            sound = file.read(dtype="float32", always_2d=True)
    except Exception as error:
        raise ValueError(f"cannot be read as a sound ({_reason(error)})") from error
    _check_sound(sound, rate, promised)
    return sound, rate, data


def _reason(error):
    """What the decoder said, without the names of its own objects."""
    return re.sub(r"Error (opening <.*?>)?\s*: *", "", str(error))[:120].strip().rstrip(".")


def _bytes(path):
    if not path.is_file():
        raise ValueError("no such file")
    data = path.read_bytes()
    if not data:
        raise ValueError("empty file")
    return data


def _check_whole(data):
    """Raise if a file breaks off where its own format says that more must come; decoders often do not mind."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        place = 12
        while place + 8 <= len(data):
            kind, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
            if kind == b"data" and size < _UNKNOWN and place + 8 + size > len(data):
                raise ValueError(f"breaks off: {len(data) - place - 8} of {size} bytes of sound")
            place += 8 + size + size % 2
    if data[:4] == b"OggS":
        _check_pages(data)


def _check_pages(data):
    """Raise if an Ogg file lacks its last page, or a page's checksum is another: decoders leave such pages out."""
    place, last = 0, False
    while not last:
        header = data[place : place + 27]
        if header and not b"OggS".startswith(header[:4]):
            raise ValueError(f"damaged: no page begins at byte {place}, where one must")
        table = data[place + 27 : place + 27 + (header[26] if len(header) == 27 else 0)]
        page = data[place : place + 27 + len(table) + sum(table)]
        if len(header) < 27 or len(table) < header[26] or len(page) < 27 + len(table) + sum(table):
            raise ValueError("breaks off: the last page is missing")
        if _page_sum(page) != int.from_bytes(page[22:26], "little"):
            raise ValueError(f"damaged: the checksum of the page at byte {place} is another")
        place, last = place + len(page), bool(header[5] & 4)


def _page_sum(page):
    """The checksum of an Ogg page: zlib's polynomial with the bits the other way round, from 0 (RFC 3533)."""
    turned = (page[:22] + bytes(4) + page[26:]).translate(_TURNED)
    value = zlib.crc32(turned, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)


def _check_sound(sound, rate, promised):
    if 0 < promised < 2**62 and len(sound) < promised:
        raise ValueError(f"breaks off: {len(sound)} of {promised} samples")
    if not len(sound):
        raise ValueError("holds no sound")
    if len(sound) < SHORTEST * rate:
        raise ValueError(f"too short: {len(sound) / rate:.3f} of at least {SHORTEST} seconds")
    if not np.isfinite(sound).all():
        raise ValueError("holds values that are no numbers")
    if np.abs(sound - sound.mean(axis=0)).max() < SILENT:
        raise ValueError("silent")
    mixed = sound.mean(axis=1)
    if np.abs(mixed - mixed.mean()).max() < SILENT:
        raise ValueError("silent when its channels are averaged: they are each other's opposites")


def _is_clipped(sound):
    """Whether many samples in a row stand at the largest value: the peaks were cut off."""
    top = np.abs(sound).max()
    at_top = np.where(np.abs(sound) >= 0.9999 * top, np.sign(sound), 0)
    in_runs = (at_top[1:] == at_top[:-1]) & (at_top[1:] != 0)
    return bool(in_runs.mean() > _CLIPPED)


def _resample(samples, rate):
    from scipy.signal import resample_poly

    common = gcd(RATE, rate)
    if rate != RATE:
        samples = resample_poly(samples, RATE // common, rate // common)
    return samples.astype("float32")


def read_archive(archive, paths):
    """Return `(recordings, sums, looks)` of sound files in an open zip archive.

    Args:
        archive: `zipfile.ZipFile`.
        paths: Names of its members.
    """
    from concurrent.futures import ThreadPoolExecutor

    files = [archive.read(path) for path in paths]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        samples = list(pool.map(decode_samples, files))
        looks = list(pool.map(look, samples))
    recordings = np.empty(len(files), object)
    recordings[:] = [Recording(each) for each in samples]
    return recordings, [hashlib.sha256(data).hexdigest() for data in files], looks
