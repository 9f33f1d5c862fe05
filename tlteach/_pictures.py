"""Read one picture: decode, resize, recognise. The only place where pixels are touched."""

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
NEAR = 12  # of 256 bits: the most by which two near duplicates' fingerprints differ
_UNLIKE = 0.02  # squared distance of two small pictures of length one: a correlation of 0.99
_AT_ONCE = (
    2**18
)  # multiplications: larger products of matrices are shared among threads, which costs more than it gains
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
    (height, width, _), rows = picture.shape, picture.reshape(len(picture), -1)
    low = np.empty((size[0], width * 3), "float32")
    for out, read, weights in _bands(height, size[0], across=width * 3):
        np.matmul(weights, rows[read].astype("float32"), out=low[out])
    small = np.empty((size[0], size[1] * 3), "float32")
    for out, read, weights in _bands(width, size[1], across=size[0], channels=3):
        np.matmul(low[:, read], weights.T, out=small[:, out])
    return small.reshape(*size, 3)


@lru_cache(maxsize=64)
def _bands(old, new, *, across, channels=1):
    """Resizing along one axis is a product with a matrix of bands: only the blocks that are not zero, and small ones.

    Args:
        old, new: Length of the axis in pixels, before and after.
        across: How many rows or columns each block is multiplied with.
        channels: Numbers of a pixel that stand side by side along the axis.

    Returns:
        List of `(where it writes, where it reads, weights)`.
    """
    step, reach = old / new, max(old / new, 1.0)
    pixels = _band_size(step, reach, across * channels**2)
    first = np.arange(0, new, pixels)
    length = min(old, int(np.ceil((pixels - 1) * step + 2 * reach)) + 2)
    start = np.clip(np.floor((first + 0.5) * step - 0.5 - reach).astype(int), 0, old - length)
    centre = (np.minimum(first[:, None] + np.arange(pixels), new - 1) + 0.5) * step - 0.5  # (bands, pixels)
    weights = 1 - np.abs(start[:, None, None] + np.arange(length) - centre[..., None]) / reach
    weights = np.maximum(weights, 0) / np.maximum(weights, 0).sum(-1, keepdims=True)  # (bands, pixels, length)
    wide = np.einsum("bpl,cd->bpcld", weights, np.eye(channels)).astype("float32")
    wide = wide.reshape(len(first), pixels * channels, length * channels)
    out = [slice(f * channels, min(f + pixels, new) * channels) for f in first]
    read = [slice(s * channels, (s + length) * channels) for s in start]
    return [(o, r, block[: o.stop - o.start]) for o, r, block in zip(out, read, wide, strict=True)]


def _band_size(step, reach, work):
    """The most pixels, up to 16, whose product is done at once in the thread that asks: others are read beside it."""
    fitting = [n for n in range(1, 17) if n * (n * step + 2 * reach + 2) * work <= _AT_ONCE]
    return max(fitting, default=1)


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
    light, length, shape = _describe(raw)
    found = []
    for i, j in _close(shape):
        bits = np.unpackbits(raw[i, :32] ^ raw[j, :32], axis=1).sum(axis=1)
        alike = (bits <= limit) & (((shape[j] - shape[i]) ** 2).sum(axis=1) <= _UNLIKE)
        alike &= (length[i] > _PLAIN) | (np.abs(light[j] - light[i]) <= 8)
        found += zip(i[alike].tolist(), j[alike].tolist(), bits[alike].tolist(), strict=True)
    return sorted(found)


def _close(points):
    """Yield `i, j` of all pairs of points about as close as alike pictures are, some thousands at a time.

    One product of matrices gives the squared distances of a tile, |a|² - 2ab + |b|²: as fast as
    it gets, and the memory is the same for any number of pictures.
    """
    rows, columns, most = 512, 8192, 2**15
    square = (points**2).sum(axis=1, keepdims=True)
    one, other = np.hstack([-2 * points, square, square**0]), np.hstack([points, square**0, square])
    for top in range(0, len(points), rows):
        for left in range(top, len(points), columns):
            apart = one[top : top + rows] @ other[left : left + columns].T  # (rows, columns)
            i, j = np.divmod(np.flatnonzero(apart <= _UNLIKE + 1e-4), apart.shape[1])  # rounding is let through
            i, j = top + i, left + j
            i, j = i[i < j], j[i < j]
            yield from ((i[k : k + most], j[k : k + most]) for k in range(0, len(i), most))


def _describe(raw):
    """Return mean brightness, contrast, and the small picture freed from both."""
    small = raw[:, 32:].astype("float32")
    light = small.mean(axis=1)
    length = np.linalg.norm(small - light[:, None], axis=1)
    return light, length, (small - light[:, None]) / np.maximum(length, _PLAIN)[:, None]
