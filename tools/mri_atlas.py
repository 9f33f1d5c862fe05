"""The anatomy that all simulated patients share: tissue maps of the MNI152 brain as functions in space.

Everything is in millimetres of the atlas: x to the right, y to the front, z upwards.
"""

import functools

import numpy as np
from scipy import ndimage

LOW, HIGH = np.array([-125.0, -150, -90]), np.array([125.0, 135, 110])  # everything happens in this box
CLOSED = 7  # mm: fissures narrower than twice this belong to the brain's outline
ROUNDED = 30  # mm, the same for the hull: a head has no notch where the cerebellum has one
DEEP = 14  # mm below the outline begins where fluid is a ventricle


class Volume:
    """A function in space, given on a grid and linear between its points."""

    def __init__(self, values, low, pitch):
        self.values, self.low, self.pitch = np.asarray(values, np.float32), np.asarray(low, float), pitch

    def __call__(self, points):
        """Return the values at `points` `(3, ...)`; outside the grid the nearest one."""
        at = [(points[i] - self.low[i]) / self.pitch for i in range(3)]
        return ndimage.map_coordinates(self.values, at, order=1, mode="nearest", output=np.float32)


def grain(random, size, *, low=LOW, high=HIGH):
    """Make smooth noise of mean 0 and spread 1, whose blobs are about `size` mm wide, in a box."""
    pitch = size / 4
    shape = np.ceil((np.asarray(high) - low) / pitch).astype(int) + 1
    values = ndimage.gaussian_filter(random.normal(size=shape).astype(np.float32), 1.8, mode="wrap")
    return Volume(values / values.std(), low, pitch)


def sigmoid(x):
    """Return 1 / (1 + exp(-x)), the soft step of every edge here."""
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


class Atlas:
    """Maps of one brain.

    Attributes:
        grey, white: Shares of grey and white matter, 0 to 1.
        depth: Distance in mm to the brain's outline with its fissures filled, negative inside.
        hull: The same with wider hollows filled: what skull and skin run along.
        widen: Three volumes, a field that points to the nearest ventricle, at most 1.
    """

    def __init__(self, grey, white, brain, low):
        """Take three arrays on a grid of 1 mm, of which `low` is the first point."""
        self.grey, self.white = (
            Volume(ndimage.gaussian_filter(np.asarray(m, np.float32), 0.4), low, 1.0) for m in (grey, white)
        )
        padded = _pad(brain, low)[::2, ::2, ::2]
        depth, hull = (_outline(padded, 2.0, closed) for closed in (CLOSED, ROUNDED))
        self.depth, self.hull = (Volume(ndimage.gaussian_filter(d, 1.0), LOW, 2.0) for d in (depth, hull))
        fluid = 1 - _pad(grey, low)[::2, ::2, ::2] - _pad(white, low)[::2, ::2, ::2]
        self.widen = [Volume(part, LOW, 2.0) for part in _towards_ventricles(fluid, depth)]


def _pad(values, low):
    """Lay an array of 1 mm into the whole box; what lies beyond it (air) is left out."""
    whole = np.zeros((HIGH - LOW).astype(int) + 1, np.float32)
    start = np.round(np.asarray(low) - LOW).astype(int)
    part = whole[tuple(slice(s, s + n) for s, n in zip(start, values.shape, strict=True))]
    part[:] = values[tuple(slice(n) for n in part.shape)]
    return whole


def _outline(brain, pitch, closed):
    """Return the signed distance in mm to the closed outline of a mask."""
    brain = brain > 0.5
    grown = ndimage.distance_transform_edt(~brain, sampling=pitch) <= closed
    filled = ndimage.distance_transform_edt(grown, sampling=pitch) > closed
    outside = ndimage.distance_transform_edt(~filled, sampling=pitch)
    return (outside - ndimage.distance_transform_edt(filled, sampling=pitch)).astype(np.float32)


def _towards_ventricles(fluid, depth):
    x, y, z = np.meshgrid(*(np.arange(n) * 2.0 + low for n, low in zip(fluid.shape, LOW, strict=True)), indexing="ij")
    near = (abs(x) < 42) & (y > -65) & (y < 45) & (z > -12) & (z < 34)
    ventricles = ndimage.gaussian_filter(((fluid > 0.5) & (depth < -DEEP) & near).astype(np.float32), 2.5)
    parts = np.gradient(ventricles)
    return [p / np.sqrt(sum(q**2 for q in parts)).max() for p in parts]


@functools.cache
def load_atlas():
    """Return the `Atlas` of the MNI152 maps that the package nilearn carries.

    Raises:
        ModuleNotFoundError: If nilearn is not installed.
    """
    try:
        from nilearn import datasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "making the slices needs the atlas that the package nilearn carries. Received: no nilearn. "
            "Install it with: pip install nilearn"
        ) from error
    loaders = (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template, datasets.load_mni152_brain_mask)
    grey, white, brain = (load(resolution=1) for load in loaders)
    values = [np.asarray(image.dataobj, np.float32) for image in (grey, white, brain)]
    values = [v / v.max() for v in values]
    return Atlas(*values, low=grey.affine[:3, 3])
