"""The head around the brain: skull, scalp, face, skull base, orbits, vessels. Millimetres of the atlas.

The atlas holds a brain only, so all of this is put together from the distance to the brain and from ellipsoids.
"""

import numpy as np
from mri_atlas import sigmoid

SKULL, SCALP = 7.0, 5.5  # mm, before a patient's own factors
LOW_LEVEL = 6  # mm: above it there is neither face nor skull base


class Canvas:
    """The signal at points in space; what is painted later lies on top."""

    def __init__(self, points, signals):
        self.points, self.signals = points, signals
        self.signal = np.zeros(points.shape[1:], np.float32)

    def paint(self, tissue, share):
        """Let `share` (0 to 1, an array) of each point be this tissue."""
        self.signal += share * (self.signals[tissue] - self.signal)

    def ellipsoid(self, tissue, centre, radii, *, soft=0.5, share=1.0):
        """Paint an ellipsoid; a centre with x above 0 is painted on both sides."""
        for side in (-1, 1) if centre[0] > 0 else (1,):
            self.paint(tissue, share * inside(self.points, (side * centre[0], *centre[1:]), radii, soft=soft))


def distance(points, centre, radii):
    """Return about the signed distance in mm to an ellipsoid, negative inside."""
    scaled = [(points[i] - centre[i]) / radii[i] for i in range(3)]
    k0 = np.sqrt(sum(s**2 for s in scaled))
    k1 = np.sqrt(sum((s / r) ** 2 for s, r in zip(scaled, radii, strict=True)))
    return k0 * (k0 - 1) / (k1 + 1e-6)


def inside(points, centre, radii, *, soft=0.5):
    """Return 1 inside an ellipsoid and 0 outside, with an edge of about `soft` mm."""
    return sigmoid(-distance(points, centre, radii) / soft)


def band(depth, start, end, *, soft=0.4):
    """Return 1 where `depth` lies between two values."""
    return sigmoid((depth - start) / soft) * sigmoid((end - depth) / soft)


def draw_head(canvas, depth, hull, *, head):
    """Paint everything outside the brain.

    Args:
        canvas: The `Canvas`, still empty.
        depth: Distance to the inner side of the skull at its points, negative inside.
        hull: The same for a skull without hollows on its inner side.
        head: A patient's own factors: `skull`, `scalp`, `marrow`, `air`, `eyes`, `grains`.
    """
    low = canvas.points[2].min() < LOW_LEVEL
    skin = _outline(canvas.points, hull, head, low)
    fat = SCALP * head["scalp"] * (1 + 0.3 * head["grains"][0](canvas.points))
    canvas.paint("fat", sigmoid(-skin / 0.5))
    if low:
        _face(canvas, skin, fat, head)
    canvas.paint("skin", band(skin, -1.9, 0))
    _skull(canvas, depth, hull, head)
    if low:
        _skull_base(canvas, depth, head)
        _orbits(canvas, head)
        canvas.paint("air", sigmoid(skin / 0.5))  # what was painted through the skin


def _outline(points, hull, head, low):
    """Return about the signed distance in mm to the skin."""
    shell = hull - SKULL * head["skull"] - SCALP * head["scalp"]
    if not low:
        return shell
    face = distance(points, (0, 14, -46), (69, 77, 58))
    nose = distance(points, (0, 88, -52), (14, 16, 24))
    ears = distance(points, (79, -20, -42), (4, 13, 20))
    ears = np.minimum(ears, distance(points, (-79, -20, -42), (4, 13, 20)))
    k = 6.0  # mm over which the parts melt into each other
    return np.minimum(-k * np.log(np.exp(-shell / k) + np.exp(-face / k) + np.exp(-nose / k)), ears)


def _face(canvas, skin, fat, head):
    """Fill the low parts: muscle inside, fat under the skin, the two mixed."""
    x, y, z = canvas.points
    deep = sigmoid((-skin - 0.8 * fat - 2) / 1.2)
    mixed = sigmoid((head["grains"][1](canvas.points) + 0.5) / 0.25)
    canvas.paint("muscle", deep * mixed * sigmoid((LOW_LEVEL - 4 - z) / 3))
    temple = sigmoid((abs(x) - 50) / 2) * sigmoid((y + 8) / 3) * sigmoid((48 - y) / 3) * sigmoid((2 - z) / 4)
    canvas.paint("muscle", 0.95 * temple * sigmoid((-skin - 5) / 0.8))
    neck = sigmoid((-y - 55) / 5) * sigmoid((-26 - z) / 3)
    canvas.paint("muscle", 0.85 * neck * sigmoid((-skin - 4) / 0.8))


def _skull(canvas, depth, hull, head):
    """Paint two tables of dark bone with bright marrow between; dura on the inner side."""
    uneven = 1 + 0.2 * head["grains"][2](canvas.points)
    outer = SKULL * head["skull"] * np.clip(uneven, 0.5, 1.6)
    canvas.paint("bone", sigmoid(depth / 0.4) * sigmoid((outer - hull) / 0.4))
    inner_table, outer_table = 0.22 * outer + 0.6, 0.78 * outer
    patchy = np.clip(0.75 + 0.3 * head["grains"][1](canvas.points), 0.2, 1) * head["marrow"]
    canvas.paint("marrow", patchy * sigmoid((depth - inner_table) / 0.4) * sigmoid((outer_table - hull) / 0.4))
    canvas.paint("dura", 0.8 * band(depth, -0.3, 0.9, soft=0.3))


def _skull_base(canvas, depth, head):
    """Paint petrous bones, clivus, sella, the air of the sinuses and of the mastoids."""
    x, y, z = canvas.points
    out = sigmoid(depth / 0.5)
    texture = head["grains"][3](canvas.points)
    base = sigmoid((50 - abs(x)) / 2) * sigmoid((y + 45) / 4) * sigmoid((24 - y) / 3) * sigmoid((-24 - z) / 2)
    canvas.paint("bone", out * base)
    for side in (-1, 1):  # the petrous bones run backwards and outwards
        along = (side * x * 0.83 - (y + 20) * 0.56) - 30
        across = side * x * 0.56 + (y + 20) * 0.83 - 20
        wedge = sigmoid((9 - abs(across)) / 1.5) * sigmoid((32 - abs(along)) / 2) * sigmoid((-26 - z) / 2)
        canvas.paint("bone", out * wedge)
        cells = wedge * sigmoid((along - 8) / 2) * sigmoid((texture - 0.1) / 0.3)
        canvas.paint("mucosa", 0.45 * out * cells)
    canvas.ellipsoid("marrow", (0, -11, -47), (13, 6.5, 15), share=0.85 * out)  # the clivus
    canvas.ellipsoid("air", (0, 17, -46), (14 * head["air"], 12, 9), soft=0.6)  # sphenoid sinus
    lining = band(distance(canvas.points, (0, 17, -46), (14 * head["air"], 12, 9)), -1.0, 0.8)
    canvas.paint("mucosa", 0.7 * lining)
    canvas.ellipsoid("air", (9 * head["air"], 44, -42), (7, 22, 15), soft=0.8)  # ethmoid cells, with thin walls
    canvas.ellipsoid("mucosa", (9 * head["air"], 44, -42), (8, 22, 15), share=0.6 * sigmoid((texture - 0.6) / 0.2))
    canvas.paint("mucosa", 0.7 * sigmoid((1.0 - abs(x)) / 0.4) * sigmoid((y - 30) / 2) * sigmoid((-32 - z) / 2) * out)
    front = (8, 72 + 2 * head["air"], -14)
    canvas.ellipsoid("air", front, (11 * head["air"], 4.0, 11 * head["air"]), soft=0.6, share=out)  # frontal sinus


def _orbits(canvas, head):
    """Paint both orbits: fat, muscles, optic nerve, eyeball with lens."""
    x, y, z = canvas.points
    size, (ey, ez) = head["eyes"], (66.0, -36.0)
    for side in (-1, 1):
        way = np.clip((y - 16) / (ey - 4 - 16), 0, 1.25)  # 0 at the tip of the cone, 1 behind the eyeball
        middle, height, wide = side * (13 + 18 * way), -29 + (ez + 29) * way, 4 + 13 * way
        off = np.hypot(x - middle, (z - height) * 1.05)
        cone = sigmoid((wide - off) / 0.6) * sigmoid((y - 16) / 1.0) * sigmoid((ey + 4 - y) / 1.0)
        canvas.paint("bone", 0.9 * band(off, wide, wide + 2.5) * sigmoid((y - 16) / 1.0) * sigmoid((ey - y) / 1.0))
        canvas.paint("fat", cone)
        behind = sigmoid((ey + 3 - y) / 1.0) * sigmoid((y - 18) / 1.0)
        for edge in (-1, 1):
            strip = np.hypot(x - middle - edge * (wide - 3.2), (z - height) / 2.8)
            canvas.paint("muscle", behind * sigmoid((1.9 - strip) / 0.4))
        nerve = np.hypot(x - middle + side * 1.0 * np.sin(3 * way), z - height)
        canvas.paint("white", sigmoid((1.9 - nerve) / 0.4) * behind)
        eye = (side * 32, ey, ez)
        radii = (12.0 * size, 12.0 * size, 12.0 * size)
        canvas.paint("dura", inside(canvas.points, eye, tuple(r + 1 for r in radii), soft=0.4))
        canvas.paint("vitreous", inside(canvas.points, eye, radii, soft=0.4))
        canvas.paint("lens", inside(canvas.points, (eye[0], ey + 8.0 * size, ez), (4.5, 2.0, 4.5), soft=0.4))


def draw_vessels(canvas, depth, head):
    """Paint sinuses, large arteries, the choroid plexus and the pituitary gland, all near the brain."""
    x, y, z = canvas.points
    sagittal = sigmoid((3.5 + 0.6 * depth - abs(x)) / 0.7) * band(depth, -6, 0.3)
    canvas.paint("vein", sagittal * np.maximum(sigmoid((-40 - y) / 3) * sigmoid((z + 5) / 3), sigmoid((z - 38) / 3)))
    transverse = band(depth, -4.5, 0.5) * np.exp(-(((z + 24 + 0.25 * (y + 70)) / 4.0) ** 2))
    canvas.paint("vein", transverse * sigmoid((-48 - y) / 3) * sigmoid((abs(x) - 4) / 2))
    falx = _falx(y, z) * sigmoid((0.8 - abs(x + 0.8 * head["grains"][1](canvas.points))) / 0.3)
    canvas.paint("dura", 0.7 * falx * sigmoid(-depth / 0.4))
    if z.min() < LOW_LEVEL:
        canvas.ellipsoid("dura", (10, 4, -33), (6, 9, 6), share=0.6)  # cavernous sinuses
        canvas.ellipsoid("gland", (0, 4, -34), (6.5, 5, 3.6 * head["air"]))
        canvas.ellipsoid("dura", (0, -3.5, -34), (7, 1.6, 5), share=0.8)
        canvas.ellipsoid("artery", (13, 4, -33), (2.6, 6, 2.8))
        canvas.ellipsoid("artery", (0, -14, -28), (1.9, 1.9, 14))
    canvas.ellipsoid("choroid", (22, -42, 10), (2.5, 5, 6), share=0.8)


def _falx(y, z):
    return sigmoid((z - 2) / 4) * np.maximum(sigmoid((y - 38) / 4), sigmoid((-62 - y) / 4)) + sigmoid((z - 36) / 4) * (
        sigmoid((38 - y) / 4) * sigmoid((y + 62) / 4)
    )
