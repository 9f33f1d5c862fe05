"""Draw one pet from its attributes: figure, coat, light, scene."""

import numpy as np
from pets_anatomy import animal
from pets_render import coat, comb, draw_whiskers, fringe, grid, light_up, paint_over, trace
from pets_scene import BACKGROUNDS, LIGHTS, OCCLUDERS, background, develop, occlude, shadow
from pets_shapes import extent, place, rotation

SIDE, SUPERSAMPLE = 64, 4
SPECIES = ("cat", "dog")
CHOICES = {
    "background": BACKGROUNDS,
    "pose": ("face", "face", "face", "sitting", "sitting", "standing_left", "standing_right", "lying"),
    "fur": ("solid", "tabby", "patches", "spots", "two_tone"),
    "light": LIGHTS,
    "occluded": ("none", "none", "none", "none", "none", *OCCLUDERS, "frame"),
    "style": ("short_hair", "long_hair"),
}
PALETTES = (
    ((0.72, 0.47, 0.24), (0.45, 0.25, 0.12)), ((0.52, 0.50, 0.48), (0.22, 0.21, 0.21)),
    ((0.14, 0.13, 0.13), (0.85, 0.83, 0.80)), ((0.86, 0.83, 0.78), (0.48, 0.34, 0.22)),
    ((0.42, 0.29, 0.19), (0.17, 0.12, 0.09)), ((0.80, 0.68, 0.50), (0.45, 0.32, 0.20)),
    ((0.88, 0.86, 0.83), (0.15, 0.14, 0.14)), ((0.36, 0.34, 0.33), (0.80, 0.76, 0.70)),
)  # fmt: skip


def attributes(species, choices, *, random):
    """Draw one picture's attributes that both species share.

    Args:
        species: `cat` or `dog`; it is recorded and changes nothing.
        choices: The named attributes of `CHOICES`.
        random: Generator.

    Returns:
        A dictionary; positions and sizes are in the frame -1..1.
    """
    palette = np.array(PALETTES[random.integers(len(PALETTES))]) * random.uniform(0.85, 1.12)
    return dict(
        choices,
        label=species,
        palette=np.clip(palette + random.normal(0, 0.02, (2, 3)), 0.05, 0.93),
        belly=random.choice([0.0, 0.5, 1.0]),
        span=random.uniform(1.5, 1.95),
        centre=random.normal(0, 0.09, 2),
        tilt=random.normal(0, 5),
        ambient=random.uniform(0.3, 0.6),
        strands=random.uniform(0.6, 1.2),
    )


def draw(look, random):
    """Draw a pet; return its photograph, uint8 `(64, 64, 3)`."""
    size = SIDE * SUPERSAMPLE
    figure, turn, zoom = _stage(look, random)
    sun = _sun(random)
    view = _view(figure, zoom)
    x, y = grid(size)
    point = np.stack([x, y, view["z"]], -1)
    on_body = (point - figure.shapes[0].centre) @ turn / zoom  # back to the animal's own axes
    colour, bare = paint_over(coat(on_body, view, look=look, random=random), view, paints=figure.paints)
    length = 12 if look["style"] == "long_hair" else 6
    hair, flow = comb(view, length * np.clip(zoom * 6, 0.5, 1.5), random=random)
    lit = light_up(colour, view, sun=sun, hair=hair, bare=bare, look=look)
    reach = (4.5 if look["style"] == "long_hair" else 2.0) * np.clip(zoom * 6, 0.5, 1.6)
    lit, alpha = fringe(lit, view["mask"], hair=hair * (1 - bare), flow=flow, reach=reach)
    scene = background(look["background"], size, random=random)
    if look["pose"] != "face":
        scene = scene * shadow(view["mask"], sun)
    picture = scene * (1 - alpha[..., None]) + lit * alpha[..., None]
    picture = draw_whiskers(picture, figure.whiskers, shade=0.92, width=1 if zoom < 0.3 else 2)
    picture = occlude(picture, look["occluded"] if look["occluded"] in OCCLUDERS else "none", random=random)
    return develop(picture, look["light"], side=SIDE, random=random)


def _view(figure, zoom):
    return trace(figure.shapes, SIDE * SUPERSAMPLE, melt=0.035 * zoom)


def _sun(random):
    sun = np.array([random.uniform(-0.9, 0.9), random.uniform(0.2, 0.9), random.uniform(0.35, 1.0)])
    return sun / np.linalg.norm(sun)


def _stage(look, random):
    """Build the animal and fit what is seen of it into the frame.

    Fitting the outline's larger side keeps size and place alike for both species.
    """
    figure, turn, face = animal(look["label"], look["pose"], random=random)
    tilt = rotation(roll=look["tilt"])  # the camera is rarely level
    figure, turn, face = place(figure, tilt), tilt @ turn, place(face, tilt)
    low, high = extent(face if look["pose"] == "face" else figure)
    scale = look["span"] / (high - low).max()
    middle, centre = (low + high) / 2, np.array(look["centre"])
    if look["occluded"] == "frame":
        scale, centre = scale * 1.3, centre + random.choice([-1, 1], 2) * [0.4, 0.15]
    move = np.append(centre - scale * middle, 0)
    return place(figure, scale=scale, move=move), turn, scale


def example(seed, index, *, row):
    """Draw picture `index` of a collection; only `seed`, `index` and `row` decide."""
    look, random = _look(seed, index, row)
    return draw(look, random)


def outline(seed, index, *, row):
    """Return where the animal of `example` is, bool `(64, 64)`: its body, also behind what stands before it."""
    look, random = _look(seed, index, row)
    figure, _, zoom = _stage(look, random)
    mask = _view(figure, zoom)["mask"].reshape(SIDE, SUPERSAMPLE, SIDE, SUPERSAMPLE)
    return mask.mean((1, 3)) >= 0.5


def _look(seed, index, row):
    random = np.random.default_rng([seed, index])
    choices = {k: row[k] for k in CHOICES}
    return attributes(row["label"], choices, random=random), random
