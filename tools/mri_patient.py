"""One simulated patient: an anatomy, a pose, perhaps a tumour, and eight slices from one scanner."""

import numpy as np
from mri_atlas import grain, sigmoid
from mri_head import Canvas, distance, draw_head, draw_vessels
from mri_lesion import draw_lesion
from mri_signal import SCANNERS, bias_field, rician, signals, window
from scipy import ndimage

SIZE, SLICES, FINE, THIN = 96, 8, 2, 2  # pixels, slices; points along a pixel's side and through a slice
THICK = 3.0  # mm
REACH = 0.62  # slices lie within this part of the tumour's half height
MIDDLE = np.array([0.0, -6.0, 0.0])  # of the picture, in mm of the head


class Warp:
    """From a patient's head to the atlas: size, aspect and a smooth displacement, in mm."""

    def __init__(self, random):
        self.scale = 1 / (0.93 * np.exp(random.normal(0, 0.025) + random.normal(0, 0.02, 3)))
        self.coarse = [grain(random, 110) for _ in range(3)]
        self.fine = [grain(random, 26) for _ in range(3)]

    def __call__(self, points):
        """Return the atlas' coordinates of `points` `(3, ...)`."""
        moved = [3.3 * np.tanh(c(points)) + 1.3 * f(points) for c, f in zip(self.coarse, self.fine, strict=True)]
        return np.stack([points[i] * self.scale[i] + moved[i] for i in range(3)]).astype(np.float32)

    def back(self, place):
        """Return the point of the head that lies at `place` of the atlas."""
        point = np.array(place, float) / self.scale
        for _ in range(25):
            point = point + 0.7 * (place - self(point[:, None])[:, 0]) / self.scale
        return point


def make_patient(row, seed, atlas):
    """Make one patient's slices.

    Args:
        row: Dictionary with `number`, `label`, `kind` and `site` (of the tumour; without one, of the tumour whose
            levels are shown), `scanner`, `contrast`.
        seed: Of the whole set.
        atlas: The `Atlas`.

    Returns:
        `(pictures, masks, levels)`: `(8, 96, 96)` bytes, the same of booleans, `(8,)` heights in mm of the atlas.
    """
    streams = [np.random.default_rng([seed, row["number"], k]) for k in range(5)]
    warp, looks = Warp(streams[0]), _draw_looks(streams[1])
    lesion = draw_lesion(row["kind"], row["site"], atlas, streams[2])
    plane = _planes(warp, lesion, SCANNERS[row["scanner"]]["fov"], streams[3])
    points = warp(plane["points"])
    tumour = lesion if row["label"] != "no_tumor" else None
    strengths = signals(row["contrast"], row["scanner"], streams[4])
    canvas, share = _draw(atlas, Canvas(points, strengths), looks, tumour)
    pictures = _scan(canvas.signal, plane["scanner"], row["scanner"], streams[4])
    return pictures, _reduce(share) > 0.5, warp(plane["middles"])[2]


def _draw_looks(random):
    """Draw what makes a head its own apart from its shape."""
    age = random.uniform(0, 1)  # 0 is young, 1 is old
    between = random.uniform
    return dict(
        skull=between(0.75, 1.2),
        scalp=between(0.6, 1.35),
        marrow=between(0.6, 1.0),
        air=between(0.75, 1.2),
        eyes=between(0.93, 1.07),
        gap=1.0 + 1.4 * age + between(0, 0.8),
        widen=-2.0 + 7 * age + random.normal(0, 1),
        fluid=-0.6 + 1.3 * age + random.normal(0, 0.2),
        old_white=max(0, age - 0.45) * between(0.4, 2.0),
        grains=[grain(random, size) for size in (60, 9, 40, 7)],
        folds=grain(random, 9),
        spots=grain(random, 10),
    )


def _planes(warp, lesion, fov, random):
    """Lay eight tilted slices through the lesion."""
    angles = np.radians(np.clip(random.normal(size=3), -2, 2) * (3.5, 2.5, 3))
    turn = _rotation(angles)
    shift = turn @ np.append(random.normal(0, 2.5, 2), 0) + MIDDLE
    height = turn[:, 2] @ (warp.back(lesion.centre) - shift)
    reach = REACH * lesion.half_height / warp.scale[2]
    levels = height + reach * (np.linspace(-1, 1, SLICES) + random.normal(0, 0.05))
    fine = ((np.arange(SIZE * FINE) + 0.5) / (SIZE * FINE) - 0.5) * fov
    through = (np.arange(THIN) + 0.5) / THIN * THICK - THICK / 2
    w = (levels[:, None] + through).ravel()  # (slices * THIN,)
    w, v, u = np.meshgrid(w, -fine, -fine, indexing="ij")  # rows run from front to back, columns from right to left
    scanner = np.stack([u, v, w]).astype(np.float32)  # (3, slices * THIN, fine, fine)
    points = np.tensordot(turn, scanner, 1) + shift[:, None, None, None]
    middles = turn @ np.stack([0 * levels, 0 * levels, levels]) + shift[:, None]
    return dict(points=points.astype(np.float32), scanner=scanner, middles=middles)


def _rotation(angles):
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return about_x @ about_y @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])


def _draw(atlas, canvas, looks, lesion):
    """Paint head, brain, vessels and tumour; return the canvas and the tumour's share."""
    points = canvas.points
    gap = looks["gap"] * (1 + 0.2 * looks["grains"][0](points))
    depth = _inner_skull(atlas, points, gap)
    draw_head(canvas, depth, np.minimum(atlas.hull(points) - gap, depth), head=looks)
    shares = _brain(atlas, lesion.pushed(points, atlas) if lesion else points, looks)
    within = sigmoid(-depth / 0.4)
    mixed = sum(s * canvas.signals[t] for s, t in zip(shares, ("grey", "white", "csf"), strict=True))
    canvas.signal += within * (mixed - canvas.signal)
    deep = sigmoid((-8 - depth) / 2)
    spots = sigmoid((looks["spots"](points) - 2.6 + looks["old_white"]) / 0.15)
    canvas.paint("old_white", within * spots * shares[1] * deep)
    draw_vessels(canvas, depth, looks)
    return canvas, lesion.paint(canvas, depth, shares) if lesion else np.zeros_like(depth)


def _inner_skull(atlas, points, gap):
    """Return the signed distance in mm to the inner side of the skull, the basal cisterns included."""
    depth = atlas.depth(points) - gap
    if points[2].min() > 0:
        return depth
    above_sella = distance(points, (0, 1, -21), (15, 13, 9))
    before_pons = distance(points, (0, -12, -32), (13, 6, 14))
    return np.minimum(depth, np.minimum(above_sella, before_pons))


def _brain(atlas, points, looks):
    """Return the shares of grey matter, white matter and fluid, sharpened and with a patient's own folds."""
    points = points + looks["widen"] * np.stack([part(points) for part in atlas.widen])
    grey, white = atlas.grey(points), atlas.white(points)
    fluid = np.clip(1 - grey - white, 0, 1)
    uneven = looks["folds"](points)
    weights = [
        np.clip(grey, 0, 1) ** 1.7,
        np.clip(white, 0, 1) ** 1.7 * np.exp(-0.4 * uneven),
        fluid**1.7 * np.exp(looks["fluid"] + 0.6 * uneven),
    ]
    total = sum(weights) + 1e-6
    return [w / total for w in weights]


def _reduce(values):
    """Average the fine points of each pixel and through each slice: `(slices, 96, 96)`."""
    return values.reshape(SLICES, THIN, SIZE, FINE, SIZE, FINE).mean((1, 3, 5))


def _scan(signal, places, scanner, random):
    """Blur, shade, add noise and set the window."""
    settings = SCANNERS[scanner]
    shaded = signal * bias_field(places, settings["bias"], random)
    blur = settings["blur"] * FINE * np.exp(random.normal(0, 0.12))
    seen = _reduce(ndimage.gaussian_filter(shaded, (0, blur, blur)))
    sigma = settings["noise"] * np.percentile(seen, 99) * np.exp(random.normal(0, 0.2))
    return window(rician(seen, sigma, random), scanner, random)
