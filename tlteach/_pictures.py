"""Read one picture: decode, resize, recognise. The only place where pixels are touched."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
NEAR = 12  # of 256 bits: the most by which two near duplicates' fingerprints differ
_UNLIKE = 0.02  # squared distance of two small pictures of length one: a correlation of 0.99
_PLAIN = 16.0  # length (8 x the grey levels' spread) below which a small picture shows nothing


def decode(path):
    """Decode a picture file to `(height, width, 3)`, uint8 in 0..255.

    Grey, palette, CMYK and 16-bit pictures become RGB; transparency is laid on
    white; the camera's orientation is applied.

    Raises:
        ValueError: If the file is empty, truncated or not a picture.
    """
    return np.asarray(_open_rgb(path))


def _open_rgb(path, hint=None):
    try:
        with Image.open(path) as opened:
            if hint:
                opened.draft("RGB", hint)
            return _to_rgb(ImageOps.exif_transpose(opened))
    except Exception as error:
        raise ValueError(_why(path, error)) from error


def _why(path, error):
    path = Path(path)
    if not path.is_file():
        return "no such file"
    return "empty file" if path.stat().st_size == 0 else f"cannot be read as a picture ({str(error)[:120]})"


def _to_rgb(picture):
    if picture.mode.startswith(("I", "F")):
        return Image.fromarray(_to_eight_bits(np.asarray(picture, "float32"))).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def _to_eight_bits(values):
    """Scale by the fewest bits that hold the largest value: scanners store 12 bits in 16."""
    bits = next((b for b in (8, 10, 12, 14, 16) if values.max(initial=0) < 2**b), 16)
    return np.clip(values * (255 / (2**bits - 1)), 0, 255).round().astype("uint8")


def resize(picture, size):
    """Resize to `(height, width, 3)`, float32 in 0..255, as the models do inside (bilinear, antialiased).

    Args:
        picture: `(h, w, 3)`, any range.
        size: `(height, width)` in pixels.
    """
    picture = np.asarray(picture)
    if picture.shape[:2] == tuple(size):
        return picture.astype("float32")
    planes = [Image.fromarray(np.ascontiguousarray(picture[..., c], "float32")) for c in range(3)]
    return np.stack([np.asarray(p.resize(size[::-1], Image.Resampling.BILINEAR)) for p in planes], axis=-1)


def recognise(source):
    """Return `(sha256, look)` of a picture: its exact identity, and 256 bits of how it looks.

    Args:
        source: A file's path or an array.

    Raises:
        ValueError: If the file cannot be read to its end.
    """
    if isinstance(source, np.ndarray):
        return hashlib.sha256(source.tobytes()).hexdigest(), _look(Image.fromarray(source))
    # the draft decodes a large JPEG at a fraction of its size, yet reads all of the file
    picture = _open_rgb(source, hint=(34, 32))
    return hashlib.sha256(Path(source).read_bytes()).hexdigest(), _look(picture)


def _look(picture):
    """Difference hash (is each of 16 x 16 spots brighter than its right neighbour?) and the picture at 8 x 8."""
    picture = picture.convert("L")
    grey = np.asarray(picture.resize((17, 16), Image.Resampling.BOX), "int16")
    small = np.asarray(picture.resize((8, 8), Image.Resampling.BOX))
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex() + small.tobytes().hex()


def near_pairs(looks, *, limit=NEAR):
    """Return the pairs `(i, j, bits that differ)` of near-equal fingerprints, i before j.

    Few bits differ too between pictures that are mostly empty ground, such as
    handwritten digits; so the small pictures must agree as well.
    """
    raw = np.frombuffer(bytes.fromhex("".join(looks)), np.uint8).reshape(len(looks), 32 + 64)
    bits, light, length, shape = _describe(raw)
    found = []
    for i in range(len(bits) - 1):
        distance = np.bitwise_count(bits[i + 1 :] ^ bits[i]).sum(axis=1)
        j = i + 1 + np.flatnonzero(distance <= limit)
        alike = ((shape[j] - shape[i]) ** 2).sum(axis=1) <= _UNLIKE
        alike &= (length[i] > _PLAIN) | (np.abs(light[j] - light[i]) <= 8)
        found += [(i, int(k), int(distance[k - i - 1])) for k in j[alike]]
    return found


def _describe(raw):
    """Return bits, mean brightness, contrast, and the small picture freed from both."""
    bits = np.ascontiguousarray(raw[:, :32]).view(np.uint64)
    small = raw[:, 32:].astype("float32")
    light = small.mean(axis=1)
    length = np.linalg.norm(small - light[:, None], axis=1)
    return bits, light, length, (small - light[:, None]) / np.maximum(length, _PLAIN)[:, None]
