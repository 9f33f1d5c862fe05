"""Noise with a chosen grain: the raw material of fur, grass and carpets."""

import numpy as np


def blur(field, radius):
    """Blur a `(height, width)` array by about a Gaussian of `radius` pixels; edges repeat."""
    width = int(max(0, round(radius)))
    if width == 0:
        return field if radius < 0.3 else _tap3(_tap3(field, 0), 1)
    for _ in range(2):
        field = _box(_box(field, width, axis=0), width, axis=1)
    return field


def _tap3(field, axis):
    padded = np.pad(field, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
    part = [np.take(padded, range(k, k + field.shape[axis]), axis=axis) for k in range(3)]
    return 0.25 * part[0] + 0.5 * part[1] + 0.25 * part[2]


def _box(field, width, *, axis):
    """Average over `2 * width + 1` pixels by differences of running sums."""
    pad = [(width + 1, width) if a == axis else (0, 0) for a in (0, 1)]
    total = np.cumsum(np.pad(field, pad, mode="edge"), axis=axis)
    reach = 2 * width + 1
    sums = total[reach:] - total[:-reach] if axis == 0 else total[:, reach:] - total[:, :-reach]
    return sums / reach


def waves(points, frequency, *, random, count=14):
    """Sum random plane waves in space: smooth noise of spread 1 at points `(..., 3)`."""
    direction = random.normal(size=(count, 3)) * frequency * 1.2
    phase = random.uniform(0, 2 * np.pi, count)
    return np.sqrt(2 / count) * np.sin(points @ direction.T + phase).sum(-1)


def cloud(size, random, *, slope=2.0, stretch=(1.0, 1.0)):
    """Make a picture `(size, size)` of spread 1 whose power falls with frequency.

    Args:
        size: Pixels along a side.
        random: Generator.
        slope: The larger, the smoother: 0 is white noise, 3 is clouds.
        stretch: Frequencies along y and x are multiplied by these.

    Returns:
        The array, mean 0.
    """
    fy, fx = np.fft.fftfreq(size)[:, None] * stretch[0], np.fft.rfftfreq(size)[None] * stretch[1]
    amplitude = 1 / (np.sqrt(fy**2 + fx**2) + 1.5 / size) ** (slope / 2 + 0.5 * (slope > 0))
    spectrum = np.fft.rfft2(random.normal(size=(size, size))) * amplitude
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(size, size))
    return field / (field.std() + 1e-9)


def smear(field, flow, *, length):
    """Average a field along `flow` `(size, size, 2)`, `length` steps each way."""
    size = len(field)
    total, values, flow = field.copy(), field.ravel(), flow.reshape(-1, 2)
    for sign in (-1, 1):
        y, x = np.mgrid[:size, :size] + 0.5
        at = np.arange(size * size)
        for _ in range(length):
            step = sign * flow[at].reshape(size, size, 2)
            x, y = x + step[..., 0], y + step[..., 1]
            at = (np.clip(y, 0, size - 1).astype(int) * size + np.clip(x, 0, size - 1).astype(int)).ravel()
            total += values[at].reshape(size, size)
    return total
