"""Everything but the animal: backgrounds, light, what stands in the way, the camera."""

import numpy as np
from pets_noise import blur, cloud, smear
from pets_render import grid
from PIL import Image, ImageDraw, ImageFilter

BACKGROUNDS = ("grass", "sofa", "carpet", "sky", "wall", "wood", "snow", "gradient", "clutter")
LIGHTS = ("warm", "cold", "neutral", "dark", "backlight")
TINTS = {"warm": (1.1, 1.0, 0.82), "cold": (0.86, 0.98, 1.12), "dark": (0.68, 0.66, 0.66)}


def background(name, size, *, random):
    """Paint a background `(size, size, 3)` in about 0..1, out of focus to some degree."""
    if name == "clutter":
        return clutter(size, random)
    colour, grain = SURFACES[name](size, random)
    picture = np.asarray(colour, float) * np.ones((size, size, 1)) * (1 + grain[..., None])
    low = cloud(size, random, slope=3.0)[..., None]
    picture = picture * (1 + random.uniform(0.05, 0.15) * low)
    radius = random.uniform(0.5, 4.5)
    return np.stack([blur(picture[..., i], radius) for i in range(3)], -1)


def _shade(random, low, high):
    """Draw a colour between two, the three channels partly together."""
    together = random.random()
    mix = 0.7 * together + 0.3 * random.random(3)
    return np.array(low) * (1 - mix) + np.array(high) * mix


def _grass(size, random):
    blades = cloud(size, random, slope=0.3, stretch=(0.5, 1.5))
    tilt = np.stack(np.broadcast_arrays(0.35 * cloud(size, random, slope=2.5), -np.ones((size, size))), -1)
    blades = smear(blades, tilt, length=6)
    return _shade(random, (0.20, 0.32, 0.10), (0.45, 0.56, 0.25)), 0.22 * blades / blades.std()


def _sofa(size, random):
    x, y = grid(size)
    seam = random.uniform(-0.4, 0.3)
    cushion = -0.35 * np.exp(-(((y - seam) / 0.05) ** 2)) + 0.15 * (y > seam)
    place = random.uniform(-0.6, 0.6)
    cushion -= 0.3 * np.exp(-(((x - place - 0.05 * y) / 0.04) ** 2)) * (y > seam)
    colour = _shade(random, (0.25, 0.2, 0.2), (0.75, 0.66, 0.6))[random.permutation(3)]
    return colour, cushion + 0.06 * cloud(size, random, slope=0.2)


def _carpet(size, random):
    x, y = grid(size)
    colour = _shade(random, (0.3, 0.2, 0.15), (0.75, 0.65, 0.55))[random.permutation(3)]
    period = random.uniform(6, 16)
    pattern = np.sign(np.sin(period * x) * np.sin(period * 1.5 * y)) if random.random() < 0.5 else 0 * x
    return colour, 0.12 * pattern + 0.13 * cloud(size, random, slope=0.1)


def _sky(size, random):
    _, y = grid(size)
    top = _shade(random, (0.35, 0.5, 0.75), (0.62, 0.75, 0.92))
    horizon = random.uniform(-0.7, 0.1)
    ground = _shade(random, (0.3, 0.32, 0.18), (0.62, 0.56, 0.4))
    white = np.clip(0.35 + 0.4 * cloud(size, random, slope=2.5), 0, 1)[..., None]
    above = top * (1 - white) + 0.93 * white
    edge = horizon + 0.06 * cloud(size, random, slope=3.0)
    return np.where((y > edge)[..., None], above, ground), np.where(y > edge, 0, 0.12 * cloud(size, random, slope=0.8))


def _wall(size, random):
    _, y = grid(size)
    floor = random.uniform(-0.7, -0.1)
    wall = _shade(random, (0.45, 0.42, 0.4), (0.88, 0.85, 0.8))
    below = _shade(random, (0.28, 0.2, 0.15), (0.68, 0.58, 0.48))
    skirting = (np.abs(y - floor - 0.06) < 0.05)[..., None]
    colour = np.where((y > floor)[..., None], wall, below)
    return np.where(skirting, 0.85, colour), 0.04 * cloud(size, random, slope=0.8)


def _wood(size, random):
    _, y = grid(size)
    grain = cloud(size, random, slope=1.2, stretch=(1.5, 0.12))
    boards = random.uniform(0.2, 0.5)
    gaps = -0.45 * (np.abs((y + random.random()) % boards) < 0.025)
    return _shade(random, (0.32, 0.2, 0.12), (0.72, 0.52, 0.34)), 0.13 * grain + gaps


def _snow(size, random):
    return _shade(random, (0.78, 0.82, 0.9), (0.95, 0.95, 0.97)), 0.05 * cloud(size, random, slope=1.5)


def _gradient(size, random):
    x, y = grid(size)
    one, two = random.uniform(0.15, 0.9, (2, 3))
    angle = random.uniform(0, 2 * np.pi)
    t = np.clip(0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y), 0, 1)[..., None]
    return one * (1 - t) + two * t, 0.01 * cloud(size, random, slope=0.5)


SURFACES = {
    "grass": _grass, "sofa": _sofa, "carpet": _carpet, "sky": _sky, "wall": _wall,
    "wood": _wood, "snow": _snow, "gradient": _gradient,
}  # fmt: skip


def clutter(size, random):
    """Paint coloured things far out of focus."""
    base = tuple(int(v) for v in random.integers(60, 190, 3))
    picture = Image.new("RGB", (size, size), base)
    pen = ImageDraw.Draw(picture)
    for _ in range(random.integers(10, 24)):
        x, y = random.uniform(-0.1, 1.0, 2) * size
        w, h = random.uniform(0.05, 0.4, 2) * size
        colour = tuple(int(v) for v in random.integers(20, 240, 3))
        (pen.ellipse if random.random() < 0.4 else pen.rectangle)([x, y, x + w, y + h], fill=colour)
    picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(4, 11)))
    return np.asarray(picture, float) / 255


def shadow(mask, sun):
    """Darken the ground: the animal's outline, pressed flat, shifted and blurred."""
    size, rows = len(mask), np.flatnonzero(mask.any(1))
    if not len(rows):
        return np.ones((size, size, 1))
    foot, height = rows[-1], rows[-1] - rows[0] + 1
    flat = np.zeros((size, size))
    source = rows[0] + ((np.arange(size) - foot) / 0.22 + height).astype(int)
    valid = (source >= rows[0]) & (source <= foot)
    flat[valid] = mask[source[valid]]
    flat = np.roll(flat, (size // 40, int(-0.12 * size * sun[0])), (0, 1))
    return 1 - 0.55 * blur(flat, size / 32)[..., None]


def occlude(picture, kind, *, random):
    """Put something in front: leaves, a chair's leg or a hand."""
    if kind == "none":
        return picture
    size = len(picture)
    layer = Image.new("L", (size, size))
    pen = ImageDraw.Draw(layer)
    colour = OCCLUDERS[kind](pen, size, random)
    layer = np.asarray(layer.filter(ImageFilter.GaussianBlur(random.uniform(0.8, 3))), float)[..., None] / 255
    x, _ = grid(size)
    relief = 1 + 0.1 * cloud(size, random, slope=3.0)[..., None] + 0.12 * x[..., None]
    return picture * (1 - layer) + colour * relief * layer


def _leaves(pen, size, random):
    corner = np.array([random.choice([0.0, 1.0]), random.choice([0.0, 1.0])]) * size
    for _ in range(random.integers(2, 5)):
        angle, length = random.uniform(0, 2 * np.pi), random.uniform(0.2, 0.4) * size
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        t = np.linspace(0, 1, 16)
        width = 0.17 * length * np.sin(np.pi * t)
        start = corner + random.uniform(-0.25, 0.25, 2) * size - along * length / 2
        outline = [start + along * length * a + across * w for a, w in zip(t, width, strict=True)]
        outline += [start + along * length * a - across * w for a, w in zip(t[::-1], width, strict=True)]
        pen.polygon([tuple(p) for p in outline], fill=255)
    return _shade(random, (0.12, 0.25, 0.08), (0.4, 0.52, 0.2))


def _chair_leg(pen, size, random):
    x, lean = random.uniform(0.1, 0.9) * size, random.uniform(-0.1, 0.1) * size
    width = random.uniform(0.04, 0.08) * size
    pen.polygon([(x, -5), (x + width, -5), (x + lean + width * 0.8, size + 5), (x + lean, size + 5)], fill=255)
    return _shade(random, (0.15, 0.1, 0.07), (0.6, 0.45, 0.3))


def _hand(pen, size, random):
    """A palm at the frame's edge and four rounded fingers, spread a little."""
    side, y = random.choice([0, 1]), random.uniform(0.5, 0.95) * size
    inward, palm, thick = 1 - 2 * side, random.uniform(0.1, 0.15) * size, 0.05 * size
    centre = np.array([side * size + inward * random.uniform(-0.2, 0.6) * palm, y])
    pen.ellipse([*(centre - palm), *(centre + palm)], fill=255)
    for k in range(4):
        angle = np.radians(-36 + 21 * k + random.normal(0, 3))
        end = centre + palm * (1.75 - 0.12 * abs(k - 1.2)) * np.array([inward * np.cos(angle), np.sin(angle)])
        pen.line([tuple(centre), tuple(end)], fill=255, width=int(thick))
        pen.ellipse([*(end - thick / 2), *(end + thick / 2)], fill=255)
    return _shade(random, (0.36, 0.22, 0.16), (0.9, 0.72, 0.6))


OCCLUDERS = {"leaf": _leaves, "chair_leg": _chair_leg, "hand": _hand}


def develop(picture, light, *, side, random):
    """Take the photograph: tint, exposure, back light, lens blur and sensor noise.

    Args:
        picture: `(big, big, 3)` in about 0..1.
        light: One of `LIGHTS`.
        side: Pixels along a side of the photograph.
        random: Generator.

    Returns:
        uint8 array `(side, side, 3)`.
    """
    x, y = grid(len(picture))
    picture = picture * np.array(TINTS.get(light, (1, 1, 1))) * random.normal(1, 0.03, 3)
    if light == "backlight":
        angle = random.uniform(0, np.pi)
        glow = np.clip(0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y), 0, 1)[..., None] ** 2
        picture = picture * (0.75 - 0.1 * glow) + glow * random.uniform(0.25, 0.5) * np.array([1, 0.96, 0.88])
    picture = picture * random.uniform(0.85, 1.2) * (1 - random.uniform(0, 0.2) * (x**2 + y**2)[..., None])
    lens = random.uniform(0.3, 2.2)
    picture = np.stack([blur(picture[..., i], lens) for i in range(3)], -1)
    factor = len(picture) // side
    small = picture.reshape(side, factor, side, factor, 3).mean((1, 3))
    small = small + random.uniform(0.003, 0.018) * random.normal(size=small.shape)
    return (np.clip(small, 0, 1) * 255).round().astype(np.uint8)
