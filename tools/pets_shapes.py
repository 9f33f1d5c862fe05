"""Shapes in three dimensions from which an animal is put together.

Axes: x to the viewer's right, y up, z towards the viewer. A shape is the image
of the unit ball under `centre + axes @ u`.
"""

from typing import NamedTuple

import numpy as np


class Shape(NamedTuple):
    """A solid ellipsoid covered with fur, or bare skin where `skin` is a colour."""

    centre: np.ndarray  # (3,)
    axes: np.ndarray  # (3, 3)
    flow: np.ndarray  # (3,) where the hair points
    pale: float = 0.0  # 0: colour of the back, 1: colour of the belly
    skin: tuple = None


class Paint(NamedTuple):
    """An ellipsoid that colours every surface inside it, as an eye or a mouth."""

    centre: np.ndarray
    axes: np.ndarray
    colour: tuple
    strength: float = 1.0


class Figure(NamedTuple):
    """An animal or a part of one: what it is made of, painted with and its whiskers."""

    shapes: list
    paints: list
    whiskers: list  # each (points, 3)

    def __add__(self, other):
        return Figure(self.shapes + other.shapes, self.paints + other.paints, self.whiskers + other.whiskers)


def rotation(yaw=0.0, pitch=0.0, roll=0.0):
    """Turn left or right about y, then nod about x, then tilt about z (degrees)."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
    about_z = [[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]]
    return np.array(about_y) @ np.array(about_x) @ np.array(about_z)


def ball(centre, radii, *, flow=(0, -1, 0), pale=0.0, skin=None):
    """Make an ellipsoid along the axes."""
    axes = np.diag(np.broadcast_to(np.asarray(radii, float), 3))
    return Shape(np.asarray(centre, float), axes, np.asarray(flow, float), pale, skin)


def spot(centre, radii, colour, *, strength=1.0, roll=0.0):
    """Make a painted spot, tilted by `roll` degrees about z."""
    axes = rotation(roll=roll) @ np.diag(np.asarray(radii, float))
    return Paint(np.asarray(centre, float), axes, colour, strength)


def chain(points, radii, *, step=0.45, pale=0.0, squash=1.0):
    """Make a tapered limb: overlapping balls along a smooth curve.

    Args:
        points: Control points, `(n, 3)`.
        radii: Radius at each of them, `(n,)`.
        step: Distance of the balls as a part of their radius.
        pale: Belly colour at the far end; the near end has none.
        squash: Width in x as a part of the height.

    Returns:
        A list of `Shape`; the hair points from the first point to the last.
    """
    path, width = _curve(np.asarray(points, float), np.asarray(radii, float), step=step)
    heading = np.gradient(path, axis=0)
    heading /= np.linalg.norm(heading, axis=1, keepdims=True) + 1e-9
    pales = pale * np.linspace(0, 1, len(path)) ** 2
    return [ball(p, (r * squash, r, r), flow=h, pale=c) for p, r, h, c in zip(path, width, heading, pales, strict=True)]


def _curve(points, radii, *, step):
    """Sample a chain's middle line: linear between the points, then rounded off."""
    fine = np.linspace(0, len(points) - 1, 80)
    at = np.arange(len(points))
    path = np.stack([np.interp(fine, at, points[:, i]) for i in range(3)], 1)
    padded = np.pad(path, ((8, 8), (0, 0)), mode="reflect", reflect_type="odd")
    path = np.stack([np.convolve(padded[:, i], np.ones(17) / 17, "valid") for i in range(3)], 1)
    width = np.interp(fine, at, radii)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    count = int(np.clip(np.ceil(along[-1] / (step * width.mean() + 1e-6)), 2, 24))
    even = np.interp(np.linspace(0, along[-1], count), along, np.arange(80))
    middle = np.stack([np.interp(even, np.arange(80), path[:, i]) for i in range(3)], 1)
    return middle, np.interp(even, np.arange(80), width)


def leaf(points, widths, *, thickness, facing=(0, 0, 1), pale=0.0):
    """Make a flat lobe such as an ear: discs along a curve, flat towards `facing`.

    Args:
        points: Control points from the root to the tip, `(n, 3)`.
        widths: Half the width at each of them, `(n,)`.
        thickness: Half the thickness.
        facing: Normal of the flat side, `(3,)`.
        pale: Belly colour.

    Returns:
        A list of `Shape`.
    """
    path, width = _curve(np.asarray(points, float), np.asarray(widths, float), step=0.3)
    heading = np.gradient(path, axis=0)
    made = []
    for p, w, h in zip(path, width, heading, strict=True):
        along = h / (np.linalg.norm(h) + 1e-9)
        across = np.cross(along, facing)
        across /= np.linalg.norm(across) + 1e-9
        normal = np.cross(across, along)
        axes = np.stack([across * w, along * max(0.5 * w, 0.08), normal * thickness], 1)
        made.append(Shape(p, axes, along, pale))
    return made


def place(figure, turn=None, *, scale=1.0, move=(0, 0, 0)):
    """Turn, then scale, then move a figure."""
    turn, move = np.eye(3) if turn is None else turn, np.asarray(move, float)

    def moved(thing):
        new = thing._replace(centre=scale * turn @ thing.centre + move, axes=scale * turn @ thing.axes)
        return new._replace(flow=turn @ thing.flow) if isinstance(thing, Shape) else new

    return Figure(
        [moved(s) for s in figure.shapes],
        [moved(p) for p in figure.paints],
        [scale * w @ turn.T + move for w in figure.whiskers],
    )


def extent(figure):
    """Return the lowest and highest `(x, y)` that a figure covers."""
    centres = np.array([s.centre[:2] for s in figure.shapes])
    reach = np.array([np.sqrt((s.axes[:2] ** 2).sum(1)) for s in figure.shapes])
    return (centres - reach).min(0), (centres + reach).max(0)
