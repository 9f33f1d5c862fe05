"""Three kinds of tumours: where they lie, what shape they have, what they do to the brain around them.

Caricatures, each of what a textbook names first: a glioma infiltrates, a meningioma sits on the dura and pushes,
a pituitary adenoma grows out of the sella.
"""

from dataclasses import dataclass, field

import numpy as np
from mri_atlas import grain, sigmoid
from mri_head import band, distance

SITES = {
    "glioma": ["frontal"] * 10 + ["parietal"] * 7 + ["temporal"] * 6 + ["insular"] * 4 + ["occipital"] * 3,
    "meningioma": ["convexity"] * 13
    + ["falx"] * 8
    + ["sphenoid_wing"] * 4
    + ["temporal_convexity"] * 3
    + ["olfactory_groove", "cerebellopontine"],
    "pituitary": ["sellar"] * 12 + ["suprasellar"] * 12 + ["parasellar"] * 6,
}
GLIOMAS = {  # centre in the right half, spread of the centre
    "temporal": ((44, -10, -20), (4, 12, 6)),
    "frontal": ((27, 30, 14), (6, 9, 12)),
    "parietal": ((30, -42, 36), (6, 8, 8)),
    "insular": ((37, 2, 2), (3, 8, 5)),
    "occipital": ((27, -74, 8), (5, 6, 8)),
}
RAYS = {  # from here, in this direction, to the dura; spread of the start
    "convexity": ((15, -20, 28), (1, 0, 0.1), (0, 30, 16)),
    "temporal_convexity": ((40, -15, -22), (1, 0.15, 0), (0, 14, 6)),
    "sphenoid_wing": ((33, 18, -12), (0.05, 0.55, -0.75), (5, 4, 3)),
    "olfactory_groove": ((5, 40, 0), (0, 0.05, -1), (2, 5, 0)),
    "cerebellopontine": ((24, -46, -33), (0.75, 0.65, 0), (2, 3, 4)),
}
SELLA = (0, 3, -34)
SIZES = {"glioma": (14, 25), "meningioma": (14, 24), "pituitary": (10, 14)}  # mm, radius
PUSH = {"glioma": 0.35, "meningioma": 0.75, "pituitary": 0.7}


@dataclass
class Lesion:
    """A tumour in the atlas' millimetres.

    Attributes:
        kind: `glioma`, `meningioma` or `pituitary`.
        centre: Its middle.
        radius: About half its width.
        half_height: About half its height: slices are laid through this.
        parts: List of (centre, radii) whose union is the shape.
        grains: Coarse and fine noise around it.
        traits: The kind's own numbers.
    """

    kind: str
    centre: np.ndarray
    radius: float
    half_height: float
    parts: list
    grains: tuple
    traits: dict = field(default_factory=dict)

    def pushed(self, points, atlas):
        """Return where the brain tissue at `points` came from before the tumour grew: from within the brain."""
        away = points - self.centre[:, None, None, None].astype(np.float32)
        reach = (away**2).sum(0) / (1.6 * self.radius) ** 2
        back = away * (PUSH[self.kind] * self.traits["push"] * np.exp(-reach))
        return points - back * sigmoid(-(atlas.depth(points - back) + 3) / 0.8)

    def paint(self, canvas, depth, shares):
        """Paint the tumour and what belongs to it.

        Args:
            canvas: `Canvas` with the head and brain.
            depth: Distance to the inner side of the skull, negative inside.
            shares: Shares of grey, white matter and fluid at the points.

        Returns:
            The share of tumour (with its dead core, without oedema) at the points.
        """
        return {"glioma": _glioma, "meningioma": _meningioma, "pituitary": _pituitary}[self.kind](
            self, canvas, depth, shares
        )

    def surface(self, points, roughness, *, fine=0.3):
        """Return about the signed distance in mm to the tumour's surface."""
        each = [distance(points, centre, radii) for centre, radii in self.parts]
        k = 1.5  # mm over which two parts melt together
        joined = each[0] if len(each) == 1 else -k * np.log(sum(np.exp(-np.clip(e, -40, 60) / k) for e in each))
        if roughness == 0:
            return joined
        coarse, small = (g(points) for g in self.grains)
        return joined + roughness * self.radius * (coarse + fine * small)


def draw_lesion(kind, site, atlas, random):
    """Place a tumour of a kind at a site; everything else is drawn at random."""
    radius = random.uniform(*SIZES[kind])
    make = {"glioma": _place_glioma, "meningioma": _place_meningioma, "pituitary": _place_pituitary}[kind]
    parts, traits = make(site, radius, atlas, random)
    centres = np.array([centre for centre, _ in parts])
    heights = np.array([radii[2] for _, radii in parts])
    bottom, top = (centres[:, 2] - heights).min(), (centres[:, 2] + heights).max()
    middle = np.append(centres[:, :2].mean(0), (bottom + top) / 2)
    box = dict(low=middle - 70, high=middle + 70)
    grains = (grain(random, 1.3 * radius, **box), grain(random, max(0.5 * radius, 5), **box))
    traits["push"] = random.uniform(0.7, 1.2)
    return Lesion(kind, middle, radius, (top - bottom) / 2, parts, grains, traits)


def _place_glioma(site, radius, atlas, random):
    centre, spread = GLIOMAS[site]
    centre = np.array(centre) + np.clip(random.normal(size=3), -1.6, 1.6) * spread
    centre[0] *= random.choice((-1, 1))
    for _ in range(10):
        if atlas.depth(centre[:, None])[0] > -0.55 * radius:  # too near to the surface: towards the middle
            centre *= 0.96
    radii = radius * np.exp(random.normal(0, 0.14, 3))
    high = random.random() < 0.9
    traits = dict(
        high=high,
        rim=random.uniform(3.5, 6.5),
        core=high and random.random() < 0.85,
        oedema=random.uniform(9, 19) if high else random.uniform(0, 4),
        soft=random.uniform(0.8, 1.6) if high else random.uniform(1.5, 3.0),
        share=random.uniform(0.75, 0.95),
        rough=random.uniform(0.16, 0.26),
    )
    return [(centre, radii)], traits


def _place_meningioma(site, radius, atlas, random):
    side = random.choice((-1, 1))
    sunk = random.uniform(0.25, 0.75) * radius
    if site == "falx":
        start = np.array([0.0, random.uniform(-55, 55), random.uniform(28, 52)])
        base, inward = start, np.array([side, 0, 0])
    else:
        start, way, spread = (np.array(v, float) for v in RAYS[site])
        start = start + np.clip(random.normal(size=3), -1.5, 1.5) * spread
        if site == "convexity":
            way[1] = random.normal(0, 0.5)
        way /= np.linalg.norm(way)
        path = start[:, None] + way[:, None] * np.arange(0, 110, 0.5)
        at = np.argmax(atlas.depth(path) > 1.5) if (atlas.depth(path) > 1.5).any() else 0
        mirror = np.array([side, 1, 1])
        base, inward = path[:, at] * mirror, -way * mirror
    radii = radius * np.exp(random.normal(0, 0.08, 3))
    traits = dict(
        side=side if site == "falx" else 0,
        oedema=random.uniform(4, 11) if random.random() < 0.5 else 0,
        tail=random.uniform(1.3, 2.1),
        share=random.uniform(0.9, 1.0),
        base=base,
    )
    return [(base + inward * sunk, radii)], traits


def _place_pituitary(site, radius, atlas, random):
    low = np.array(SELLA) + random.normal(0, 0.7, 3)
    parts = [(low, radius * np.array([1.1, 0.95, 0.85]))]
    if site in ("suprasellar", "parasellar"):
        upper = radius * random.uniform(0.8, 1.35) * np.exp(random.normal(0, 0.07, 3))
        lift = 0.75 * radius + 0.55 * upper[2]
        parts.append((low + [random.normal(0, 1.2), random.normal(-0.5, 1), lift], upper))
    if site == "parasellar":
        aside = random.choice((-1, 1)) * radius * random.uniform(0.9, 1.3)
        parts.append((low + [aside, random.normal(0, 1), random.uniform(-1, 3)], radius * random.uniform(0.6, 0.85, 3)))
    traits = dict(cyst=random.uniform(0.5, 1.4) if random.random() < 0.3 else 9, share=random.uniform(0.9, 1.0))
    return parts, traits


def _glioma(lesion, canvas, depth, shares):
    """Soft and ragged, with oedema in the white matter; the malignant ones have a rim and a dead core."""
    points, t = canvas.points, lesion.traits
    edge = lesion.surface(points, t["rough"], fine=0.5)
    _, white, fluid = shares
    brain = sigmoid(-(depth + 2.5) / 0.6) * (1 - 0.85 * fluid)
    far = edge - t["oedema"] * (1 + 0.35 * lesion.grains[0](points[[1, 2, 0]] - _roll(lesion)))
    canvas.paint("oedema", 0.9 * sigmoid(-far / 2.0) * white**1.5 * brain)
    solid = sigmoid(-edge / t["soft"]) * brain
    canvas.paint("glioma", t["share"] * solid)
    if t["high"]:
        wall = t["rim"] * np.clip(1 + 0.45 * lesion.grains[1](points), 0.25, 2)
        canvas.paint("glioma_rim", 0.9 * brain * band(edge, -wall, 0.4, soft=0.7) if t["core"] else 0.8 * solid)
        if t["core"]:
            canvas.paint("necrosis", 0.9 * brain * sigmoid(-(edge + wall) / 0.8))
    return solid


def _roll(lesion):
    """Shift that keeps a point with its axes swapped near the lesion, where its noise is defined."""
    return (lesion.centre[[1, 2, 0]] - lesion.centre)[:, None, None, None].astype(np.float32)


def _meningioma(lesion, canvas, depth, shares):
    """Smooth and sharp, broad on the dura, with a thin cleft of fluid and often a dural tail."""
    points, t = canvas.points, lesion.traits
    edge = lesion.surface(points, 0.06)
    room = sigmoid(-(depth - 0.2) / 0.4)
    if t["side"]:
        room = room * sigmoid((t["side"] * points[0] - 0.3) / 0.4)
    if t["oedema"]:
        far = edge - t["oedema"] * (1 + 0.4 * lesion.grains[0](points))
        canvas.paint("oedema", 0.85 * sigmoid(-far / 2.0) * shares[1] ** 1.5 * room)
    canvas.paint("csf", 0.5 * room * band(edge, 0, 1.3))
    away = np.sqrt(((points - t["base"][:, None, None, None].astype(np.float32)) ** 2).sum(0))
    flat = abs(points[0]) - 0.6 if t["side"] else depth
    tail = band(flat, -1.6, 0.6) * sigmoid((t["tail"] * lesion.radius - away) / 1.5)
    canvas.paint("meningioma", 0.7 * tail)
    mass = sigmoid(-edge / 0.6) * room
    canvas.paint("meningioma", t["share"] * mass)
    return mass


def _pituitary(lesion, canvas, depth, shares):
    """Round, or a snowman through the diaphragm, out of the sella; the carotids stay."""
    points, t = canvas.points, lesion.traits
    mass = sigmoid(-lesion.surface(points, 0.05) / 0.6)
    canvas.paint("adenoma", t["share"] * mass)
    canvas.paint("cyst", 0.9 * mass * sigmoid((lesion.grains[0](points) - t["cyst"]) / 0.25))
    canvas.ellipsoid("artery", (14, 4, -33), (2.4, 6, 2.6))
    return mass
