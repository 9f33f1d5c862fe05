"""What makes a cat a cat and a dog a dog: heads, bodies and poses.

All lengths are in radii of the head. `random` decides about individuals and
breeds; colour is decided elsewhere, without knowing the species.
"""

import numpy as np
from pets_shapes import Figure, ball, chain, leaf, place, rotation, spot

PINK, DARK, TONGUE = (0.78, 0.52, 0.50), (0.10, 0.08, 0.08), (0.83, 0.42, 0.44)
CAT_EYES = [(0.72, 0.70, 0.28), (0.55, 0.68, 0.36), (0.80, 0.58, 0.22), (0.50, 0.66, 0.78)]
DOG_EYES = [(0.28, 0.16, 0.09), (0.38, 0.22, 0.10), (0.20, 0.12, 0.08), (0.52, 0.64, 0.74)]


def head(species, random):
    """Build a head of radius one that looks along z."""
    return cat_head(random) if species == "cat" else dog_head(random)


def cat_head(random):
    """Build a round, flat face: large eyes, small nose, whiskers, triangular ears."""
    wide, round_ = random.uniform(0.95, 1.1), random.uniform(0.8, 0.92)
    fluffy = random.uniform(0.4, 0.62)
    shapes = [ball((0, 0, 0), (wide, round_, 0.9), flow=(0, 0.2, -1))]
    shapes += [ball((0, 0.02, 0.55), (0.34, 0.42, 0.4), flow=(0, 1, 0))]
    for side in (-1, 1):
        shapes += [ball((side * 0.52, -0.3, 0.2), (fluffy, 0.42, 0.5), flow=(side, -0.4, -0.3), pale=0.3)]
        shapes += [ball((side * 0.2, -0.36, 0.76), (0.27, 0.2, 0.24), flow=(side, -0.2, 0), pale=0.8)]
    shapes += [ball((0, -0.56, 0.66), (0.24, 0.17, 0.2), pale=0.9)]
    nose = PINK if random.random() < 0.6 else DARK
    shapes += [ball((0, -0.2, 0.96), (0.13, 0.09, 0.08), skin=nose)]
    paints = [spot((0, -0.36, 1.0), (0.035, 0.12, 0.2), DARK, strength=0.7)]
    paints += [spot((s * 0.14, -0.5, 0.9), (0.16, 0.035, 0.3), DARK, strength=0.6, roll=s * 18) for s in (-1, 1)]
    figure = Figure(shapes, paints, _whiskers(random)) + _cat_eyes(random) + _cat_ears(random)
    return figure


def _cat_eyes(random):
    iris, open_ = CAT_EYES[random.choice(4, p=[0.35, 0.3, 0.25, 0.1])], random.uniform(0.75, 1.05)
    slit = random.uniform(0.04, 0.13)
    paints = []
    for side in (-1, 1):
        x, y = side * 0.42, 0.08
        paints += [spot((x, y, 0.8), (0.29, 0.22 * open_, 0.5), DARK, strength=0.85, roll=side * 14)]
        paints += [spot((x, y, 0.8), (0.235, 0.19 * open_, 0.5), iris, roll=side * 14)]
        paints += [spot((x, y, 0.8), (slit, 0.17 * open_, 0.5), (0.03, 0.03, 0.03))]
        paints += [spot((x + 0.06, y + 0.08, 0.8), (0.05, 0.05, 0.5), (1, 1, 1), strength=0.9)]
    return Figure([], paints, [])


def _cat_ears(random):
    height, spread = random.uniform(0.72, 0.95), random.uniform(0.15, 0.32)
    width, turn = random.uniform(0.4, 0.5), random.uniform(-0.35, 0.25)
    shapes, paints = [], []
    for side in (-1, 1):
        root = np.array([side * 0.58, 0.5, 0.05])
        tip = root + [side * spread, height, -0.1]
        facing = (side * 0.5 + turn * 0.4, 0.1, 1)
        shapes += leaf([root, (root + tip) / 2, tip], [width, width * 0.55, 0.05], thickness=0.14, facing=facing)
        middle = root * 0.55 + tip * 0.45 + [0, 0, 0.12]
        paints += [spot(middle, (0.17, 0.36, 0.22), PINK, strength=0.75, roll=-side * 18)]
    return Figure(shapes, paints, [])


def _whiskers(random):
    lines = []
    for side in (-1, 1):
        for k in range(4):
            root = np.array([side * 0.28, -0.32 - 0.05 * k, 0.95])
            rise, reach = random.normal(0.12 - 0.12 * k, 0.05), random.uniform(0.9, 1.3)
            t = np.linspace(0, 1, 6)[:, None]
            lines.append(root + t * [side * reach, rise, -0.25] + t**2 * [0, -0.15, 0])
    return lines


def dog_head(random):
    """Build a head with a long muzzle, a big dark nose and small round eyes."""
    long = random.uniform(0.75, 1.25) if random.random() < 0.85 else random.uniform(0.45, 0.6)
    thick, drop = random.uniform(0.38, 0.5), random.uniform(0.05, 0.2)
    shapes = [ball((0, 0.12, 0), (random.uniform(0.82, 0.95), 0.82, 0.88), flow=(0, 0.1, -1))]
    shapes += [ball((s * 0.42, -0.2, 0.2), (0.42, 0.45, 0.5), flow=(s * 0.5, -0.5, -0.6)) for s in (-1, 1)]
    end = np.array([0, -0.26 - drop, 0.6 + long])
    shapes += chain([(0, -0.12, 0.45), end], [thick * 1.15, thick * 0.82], pale=0.75, squash=0.95)
    for side in (-1, 1):
        lip = end + [side * 0.2, -0.12, -0.15]
        shapes += [ball(lip, (0.26, 0.24, 0.34), flow=(side * 0.3, -0.6, -0.4), pale=0.75)]
        shapes += [ball((side * 0.33, 0.36, 0.6), (0.24, 0.15, 0.22), flow=(0, 1, -0.2), pale=0.1)]
    nose = end + [0, 0.2, 0.3]
    shapes += [ball(nose, (0.24, 0.17, 0.17), skin=DARK)]
    paints = [spot(end + [0, -0.08, 0.3], (0.035, 0.16, 0.3), DARK, strength=0.7)]
    paints += [spot(nose + [-0.05, 0.1, 0.08], (0.1, 0.04, 0.15), (0.6, 0.6, 0.62), strength=0.6)]
    return Figure(shapes, paints, []) + _dog_mouth(end, random) + _dog_eyes(random) + _dog_ears(random)


def _dog_mouth(end, random):
    jaw = [ball(end + [0, -0.34, -0.3], (0.26, 0.14, 0.42), pale=0.85)]
    line = [spot(end + [s * 0.2, -0.3, -0.1], (0.2, 0.035, 0.45), DARK, strength=0.75, roll=s * 14) for s in (-1, 1)]
    if random.random() < 0.5:
        return Figure(jaw, line, [])
    jaw = [ball(end + [0, -0.5, -0.32], (0.26, 0.13, 0.4), pale=0.85)]
    sway = random.uniform(-0.08, 0.08)
    tongue = [ball(end + [sway, -0.44, 0.02], (0.18, 0.13, 0.22), skin=TONGUE)]
    tongue += [ball(end + [sway * 1.5, -0.66, 0.12], (0.17, 0.26, 0.08), skin=TONGUE)]
    gap = [spot(end + [0, -0.33, 0.05], (0.26, 0.09, 0.3), (0.18, 0.06, 0.06), strength=0.8)]
    return Figure(jaw + tongue, line + gap, [])


def _dog_eyes(random):
    iris, size = DOG_EYES[random.choice(4, p=[0.4, 0.3, 0.2, 0.1])], random.uniform(0.13, 0.17)
    paints = []
    for side in (-1, 1):
        x, y = side * 0.37, 0.16
        paints += [spot((x, y, 0.78), (size * 1.35, size * 1.1, 0.4), DARK, strength=0.9, roll=-side * 12)]
        paints += [spot((x, y, 0.78), (size, size * 0.9, 0.4), iris)]
        paints += [spot((x, y, 0.78), (size * 0.55, size * 0.55, 0.4), (0.03, 0.02, 0.02))]
        paints += [spot((x + 0.04, y + 0.06, 0.78), (0.04, 0.04, 0.4), (1, 1, 1), strength=0.9)]
    return Figure([], paints, [])


def _dog_ears(random):
    """Hang most ears down; prick or fold the others."""
    kind = random.choice(["hanging", "long", "pricked", "folded"], p=[0.4, 0.22, 0.23, 0.15])
    shapes, paints = [], []
    for side in (-1, 1):
        root = np.array([side * 0.66, 0.62, -0.05])
        if kind in ("hanging", "long"):
            low = random.uniform(-0.45, -0.1) if kind == "hanging" else random.uniform(-1.3, -0.8)
            bend, tip = [side * 1.0, 0.4, 0.08], [side * 1.02, low, 0.15]
            facing = (side * 0.8, 0.3, 0.7)
            shapes += leaf([root, bend, tip], [0.24, 0.4, 0.26], thickness=0.13, facing=facing)
        elif kind == "pricked":
            root = np.array([side * 0.48, 0.66, -0.1])
            tip = root + [side * random.uniform(0.05, 0.25), random.uniform(0.9, 1.15), -0.05]
            facing = (side * 0.3, 0.1, 1)
            shapes += leaf([root, (root + tip) / 2, tip], [0.32, 0.27, 0.1], thickness=0.13, facing=facing)
            paints += [spot(root * 0.5 + tip * 0.5 + [0, 0, 0.12], (0.13, 0.4, 0.2), PINK, strength=0.45)]
        else:
            bend, tip = root + [side * 0.2, 0.45, 0], root + [side * 0.5, 0.1, 0.35]
            shapes += leaf([root, bend, tip], [0.34, 0.3, 0.1], thickness=0.12, facing=(side * 0.5, 0.5, 0.8))
    return Figure(shapes, paints, [])


def proportions(species, random):
    """Return the body's measures; the two species overlap in most of them."""
    if species == "cat":
        return dict(
            height=random.uniform(2.7, 3.3), length=random.uniform(3.4, 4.2), chest=random.uniform(1.0, 1.2),
            waist=random.uniform(0.95, 1.15), leg=random.uniform(0.3, 0.37), neck=random.uniform(0.35, 0.6),
            tail=random.uniform(3.6, 4.6), tail_width=random.uniform(0.22, 0.36), paw=0.36,
        )  # fmt: skip
    return dict(
        height=random.uniform(3.4, 4.8), length=random.uniform(3.4, 4.6), chest=random.uniform(1.15, 1.5),
        waist=random.uniform(0.75, 1.0), leg=random.uniform(0.34, 0.45), neck=random.uniform(0.9, 1.4),
        tail=random.uniform(1.6, 3.0), tail_width=random.uniform(0.2, 0.4), paw=0.44,
    )  # fmt: skip


def tail(species, start, *, body, random):
    """Let a cat's tail stand or trail and a dog's curl up or swing as a sabre."""
    length, width = body["tail"], body["tail_width"]
    x, y, z = start
    side = random.choice([-1, 1])
    if species == "cat":
        up = random.uniform(-0.55, 0.95)
        path = [start, (x, y + 0.3 * up * length, z - 0.35 * length)]
        path += [(x + side * 0.4, y + 0.8 * up * length, z - 0.55 * length)]
        path += [(x + side * 0.8, y + up * length, z - 0.4 * length - 0.3)]
        return chain(path, [width, width, width * 0.9, width * 0.7], step=0.6)
    curl = random.uniform(0.1, 1.0)
    path = [start, (x, y + 0.5 * length * curl, z - 0.5 * length)]
    path += [(x + side * 0.3, y + length * curl, z - 0.6 * length * (1.2 - curl))]
    return chain(path, [width * 1.2, width, width * 0.35], step=0.5, pale=0.5)


def _legs(pairs, body, pale=0.6):
    """Make limbs on both sides; each of `pairs` is a path with positive x."""
    shapes = []
    for path, widths in pairs:
        for side in (-1, 1):
            points = np.array(path, float) * [side, 1, 1]
            shapes += chain(points, np.array(widths) * body["leg"], pale=pale)
            foot = points[-1] + [0, -0.05, 0.18]
            shapes += [ball(foot, (body["paw"], body["paw"] * 0.7, body["paw"] * 1.25), flow=(0, 0, 1), pale=pale)]
    return shapes


def standing(species, body, *, random):
    """Stand on four legs; return the shapes and where the head goes."""
    h, half, c = body["height"], body["length"] / 2, body["chest"]
    step = random.uniform(-0.5, 0.5)
    shapes = chain([(0, h, half), (0, h - 0.05, 0), (0, h + 0.05, -half)], [c, body["waist"], body["waist"] * 0.95])
    shapes += [ball((0, h - 0.45 * c, 0.2), (c * 0.6, c * 0.5, half), flow=(0, 0, -1), pale=1.0)]
    front = [(0.5, h - 0.4, half), (0.5, h * 0.5, half - 0.1), (0.5, 0.3, half + step)]
    hind = [(0.5, h - 0.2, -half), (0.55, h * 0.55, -half + 0.35)]
    hind += [(0.5, h * 0.3, -half - 0.5), (0.5, 0.3, -half - step)]
    shapes += _legs([(front, [1.6, 1.0, 0.9]), (hind, [2.3, 1.5, 0.95, 0.9])], body)
    shapes += tail(species, (0, h + 0.3, -half - 0.7), body=body, random=random)
    up = body["neck"] * random.uniform(0.6, 1.2)
    seat = np.array([0, h + 0.5 + up, half + 0.9 + 0.3 * up])
    return shapes + chain([(0, h + 0.2, half + 0.2), seat - [0, 0.25, 0.35]], [c * 0.85, 0.72]), seat


def sitting(species, body, *, random):
    """Sit on the haunches with the forelegs straight."""
    h, c, w = body["height"] * 0.95, body["chest"], body["waist"]
    shapes = chain([(0, h, 0.65), (0, h * 0.62, 0.05), (0, 0.95, -0.9)], [c * 0.88, c * 1.02, w * 1.15])
    shapes += [ball((0, h * 0.75, 0.85), (c * 0.6, c * 0.85, c * 0.55), pale=0.9)]
    shapes += _legs([([(0.42, h - 0.5, 0.95), (0.45, h * 0.45, 1.15), (0.45, 0.3, 1.2)], [1.5, 1.05, 0.95])], body)
    for side in (-1, 1):
        shapes += [ball((side * 0.85, 0.95, -0.5), (0.6, 0.9, 1.1), flow=(0, -0.6, 0.6))]
        shapes += [ball((side * 0.95, 0.28, 0.75), (body["paw"], 0.28, 0.65), flow=(0, 0, 1), pale=0.5)]
    side = random.choice([-1, 1])
    reach = body["tail"] * 0.4
    path = [(0, 0.35, -1.7), (side * 1.2, 0.25, -1.3), (side * (0.9 + 0.4 * reach), 0.25, -1.2 + reach)]
    shapes += chain(path, [body["tail_width"]] * 3, step=0.6)
    seat = np.array([0, h + 0.75 + body["neck"] * 0.7, 1.0 + 0.2 * body["neck"]])
    return shapes + chain([(0, h, 0.65), seat - [0, 0.3, 0.3]], [c * 0.85, 0.75]), seat


def lying(species, body, *, random):
    """Lie on the belly with the forelegs stretched out."""
    half, c, w = body["length"] / 2, body["chest"], body["waist"]
    shapes = chain([(0, c + 0.1, half), (0, c, 0), (0, w + 0.05, -half)], [c, c * 1.02, w * 1.1])
    fore = [(0.6, 0.8, half), (0.65, 0.35, half + 0.9), (0.6, 0.3, half + 1.3 + 0.3 * body["height"])]
    shapes += _legs([(fore, [1.7, 1.1, 0.95])], body)
    for side in (-1, 1):
        shapes += [ball((side * 0.95, 0.85, -half + 0.3), (0.55, 0.8, 1.15), flow=(0, -0.5, 0.7))]
        shapes += [ball((side * 1.2, 0.25, -half + 1.3), (body["paw"], 0.27, 0.7), flow=(0, 0, 1), pale=0.5)]
    side = random.choice([-1, 1])
    path = [(0, 0.6, -half - 0.8), (side * 1.2, 0.25, -half - 0.9), (side * 1.9, 0.25, -half - 1 + body["tail"] * 0.6)]
    shapes += chain(path, [body["tail_width"]] * 3, step=0.6)
    seat = np.array([0, c + 1.1 + body["neck"] * 0.8, half + 0.9])
    return shapes + chain([(0, c + 0.2, half + 0.2), seat - [0, 0.3, 0.35]], [c * 0.9, 0.78]), seat


POSES = {"face": sitting, "sitting": sitting, "standing_left": standing, "standing_right": standing, "lying": lying}


def animal(species, pose, *, random):
    """Build an animal in a pose, seen by the camera.

    Args:
        species: `cat` or `dog`.
        pose: One of `POSES`.
        random: A `numpy.random.Generator`.

    Returns:
        `(figure, turn, head)`: the figure in view, the matrix `(3, 3)` that turned
        the body, and the head alone, in view.
    """
    body = proportions(species, random)
    shapes, seat = POSES[pose](species, body, random=random)
    yaw, look = _directions(pose, random)
    turn = rotation(pitch=random.uniform(2, 20)) @ rotation(yaw=yaw)
    gaze = rotation(yaw=look - yaw, pitch=random.uniform(-12, 14), roll=random.normal(0, 7))
    size = random.uniform(1.2, 1.5)  # larger than life: 64 pixels must show a face
    face = place(head(species, random), gaze, scale=size, move=seat)
    return place(Figure(shapes, [], []) + face, turn), turn, place(face, turn)


def _directions(pose, random):
    """Return where the body and where the face points (degrees, 0: to the viewer)."""
    side = {"standing_left": -1, "standing_right": 1}.get(pose, random.choice([-1, 1]))
    body = {"face": (0, 40), "sitting": (5, 75), "lying": (20, 90)}.get(pose, (50, 100))
    yaw = side * random.uniform(*body)
    turned = random.uniform(0.0, 0.8) if pose != "face" else random.uniform(0.0, 1.2)
    return yaw, np.clip(yaw * turned + random.normal(0, 8), -95, 95)
