"""Turn a figure into a picture: depth, surface, coat, hair and light."""

import numpy as np
from pets_noise import blur, smear, waves
from PIL import Image, ImageDraw


def grid(size):
    """Return the `(size, size)` arrays of x and y in -1..1, y upwards."""
    steps = (np.arange(size) + 0.5) / size * 2 - 1
    return np.meshgrid(steps, -steps)


def trace(shapes, size, *, melt=0.02):
    """See the shapes from the front, melted into one another.

    Each ellipsoid's depth has a closed form without perspective; a soft maximum
    over all of them joins limbs and body without seams.

    Args:
        shapes: List of `Shape`, in the frame -1..1.
        size: Pixels along a side.
        melt: Depth over which shapes flow into each other.

    Returns:
        A dictionary of arrays `(size, size, ...)`: `mask` (bool), `z`, `normal`
        (3), `flow` (3), `pale`, `skin` (3) and `bare` (share of bare skin).
    """
    x, y = grid(size)
    total = np.zeros((size, size, 12))  # weight, normal, flow, pale, bare, skin
    for shape in shapes:
        box = _window(shape, size)
        if box is None:
            continue
        depth, normal, hit = _surface(shape, x[box], y=y[box])
        weight = np.where(hit, np.exp(np.clip(depth / melt, -300, 300)), 0.0)
        bare = shape.skin is not None
        constant = np.concatenate([shape.flow, [shape.pale, bare], shape.skin if bare else (0, 0, 0)])
        total[box][..., 0] += weight
        total[box][..., 1:4] += weight[..., None] * normal
        total[box][..., 4:] += weight[..., None] * constant
    mask = total[..., 0] > 0
    mean = total[..., 1:] / np.where(mask, total[..., 0], 1)[..., None]
    normal = mean[..., :3] / (np.linalg.norm(mean[..., :3], axis=-1, keepdims=True) + 1e-9)
    z = melt * np.log(np.where(mask, total[..., 0], 1))
    parts = dict(flow=mean[..., 3:6], pale=mean[..., 6], bare=mean[..., 7], skin=mean[..., 8:])
    return dict(parts, mask=mask, z=z, normal=normal)


def _window(shape, size):
    """Return the slices of the pixels that a shape can reach, or None."""
    reach = np.sqrt((shape.axes[:2] ** 2).sum(1))
    low, high = shape.centre[:2] - reach, shape.centre[:2] + reach
    left, right = np.clip([(low[0] + 1) / 2 * size, (high[0] + 1) / 2 * size + 1], 0, size).astype(int)
    top, bottom = np.clip([(1 - high[1]) / 2 * size, (1 - low[1]) / 2 * size + 1], 0, size).astype(int)
    return (slice(top, bottom), slice(left, right)) if right > left and bottom > top else None


def _surface(shape, x, *, y):
    """Solve for the nearer point where the line of sight meets an ellipsoid."""
    inverse = np.linalg.inv(shape.axes)
    q = inverse.T @ inverse
    dx, dy = x - shape.centre[0], y - shape.centre[1]
    half = q[0, 2] * dx + q[1, 2] * dy
    rest = q[0, 0] * dx**2 + 2 * q[0, 1] * dx * dy + q[1, 1] * dy**2 - 1
    inside = half**2 - q[2, 2] * rest
    dz = (-half + np.sqrt(np.maximum(inside, 0))) / q[2, 2]
    normal = np.stack([dx, dy, dz], -1) @ q
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    return shape.centre[2] + dz, normal, inside > 0


def coat(place_on_body, view, *, look, random):
    """Colour the fur: base colours, markings and the pale belly, alike for both species.

    Args:
        place_on_body: Each pixel's point on the untwisted animal, `(size, size, 3)`.
        view: What `trace` returned.
        look: Attributes; `fur` names the markings, `palette` holds two colours.
        random: Generator.

    Returns:
        Colours `(size, size, 3)` in 0..1.
    """
    main, second = np.array(look["palette"], float)
    p, noise = place_on_body, waves(place_on_body, 0.7, random=random)
    if look["fur"] == "tabby":
        along = random.uniform(5, 7) * (p[..., 2] + 0.35 * p[..., 1])
        bands = np.sin(along + 1.8 * noise + 1.5 * waves(p, 2.0, random=random))
        amount = 0.75 * _step(bands, edge=0.0, soft=0.5)
    elif look["fur"] == "spots":
        amount = 0.85 * _step(waves(p, 4.0, random=random), edge=0.55, soft=0.2)
    elif look["fur"] == "patches":
        amount = _step(waves(p, 1.3, random=random), edge=0.1, soft=0.1)
    elif look["fur"] == "two_tone":
        amount = _step(p[..., 1] + 0.3 * noise, edge=0.45, soft=0.3) * (1 - view["pale"])
    else:
        amount = 0.12 * _step(noise, edge=0.0, soft=1.0)
    amount = amount[..., None]
    colour = main * (1 - amount) + second * amount
    pale = (look["belly"] * _step(view["pale"] + 0.15 * noise, edge=0.45, soft=0.3))[..., None]
    colour = colour * (1 - pale) + np.clip(0.45 * main + 0.52, 0, 0.95) * pale
    return colour * (1 + 0.07 * noise[..., None])


def _step(value, *, edge, soft):
    t = np.clip((value - edge) / soft + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def paint_over(colour, view, *, paints):
    """Colour what lies inside painted ellipsoids; return the colours and where it is bare."""
    size = len(colour)
    x, y = grid(size)
    point = np.stack([x, y, view["z"]], -1)
    bare = view["bare"].copy()
    colour = colour * (1 - bare[..., None]) + view["skin"]
    for paint in paints:
        box = _window(paint, size)
        if box is None:
            continue
        offset = (point[box] - paint.centre) @ np.linalg.inv(paint.axes).T
        distance = np.sqrt((offset**2).sum(-1))
        soft = 1.5 / size / max(np.linalg.norm(paint.axes, axis=0).min(), 1e-3)
        amount = (paint.strength * np.clip((1 - distance) / (2 * soft) + 0.5, 0, 1) * view["mask"][box])[..., None]
        colour[box] = colour[box] * (1 - amount) + np.array(paint.colour) * amount
        bare[box] = np.maximum(bare[box], amount[..., 0])
    return colour, bare


def comb(view, length, *, random):
    """Draw hair: noise smeared along the direction in which it lies.

    Args:
        view: What `trace` returned.
        length: Length of the hair in pixels.
        random: Generator.

    Returns:
        `(hair, flow)`: strand brightness `(size, size)` of mean 0 and spread 1,
        and the unit direction in the picture `(size, size, 2)`, x right, y down.
    """
    size = len(view["z"])
    flow = np.stack([view["flow"][..., 0], -view["flow"][..., 1]], -1)
    flow = np.stack([blur(flow[..., i], size / 50) for i in (0, 1)], -1)
    angle = 0.6 * blur(random.normal(size=(size, size)), 5) * 5 * 3.5
    turned = flow[..., ::-1] * [-1, 1] * np.sin(angle)[..., None] + flow * np.cos(angle)[..., None]
    flow = turned / (np.linalg.norm(turned, axis=-1, keepdims=True) + 1e-3)
    grain = random.normal(size=(size, size))
    grain = blur(grain, 0.7) - blur(grain, 4.0)
    hair = smear(grain, flow, length=int(length))
    return hair / (hair.std() + 1e-9), flow


def light_up(colour, view, *, sun, hair, bare, look):
    """Shade the surface: lamp, sky, shadow in the folds, a gleam and strands of hair."""
    hairy = (1 - bare) * hair
    normal = view["normal"] + 0.0
    normal[..., :2] += 0.16 * np.stack([hairy, -hairy], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    facing = normal @ sun
    lamp = np.clip((facing + 0.35) / 1.35, 0, 1)
    sky = 0.5 + 0.5 * normal[..., 1]
    size = len(colour)
    z = np.where(view["mask"], view["z"], view["z"][view["mask"]].min() if view["mask"].any() else 0)
    folds = sum(np.clip((blur(z, size / s) - z) * 5.0, 0, 0.6) for s in (14, 30))
    shade = look["ambient"] * (0.55 + 0.45 * sky) + (1 - look["ambient"]) * 1.25 * lamp
    shade = shade * (1 - 0.75 * np.clip(folds, 0, 0.9))
    edge = (1 - np.clip(normal[..., 2], 0, 1)) ** 3
    gleam = 0.35 * np.clip(facing, 0, 1) ** 12 * bare
    fur = 1 + 0.13 * hairy * look["strands"]
    return colour * (shade * fur + 0.22 * edge * sky)[..., None] + gleam[..., None]


def fringe(picture, mask, *, hair, flow, reach):
    """Let hair stick out over the outline by shifting pixels along the hair."""
    size = len(mask)
    rows, columns = np.mgrid[:size, :size]
    shift = reach * np.clip(np.abs(hair) - 0.2, 0, 2)
    y = np.clip(rows - shift * flow[..., 1], 0, size - 1).astype(int)
    x = np.clip(columns - shift * flow[..., 0], 0, size - 1).astype(int)
    return picture[y, x], blur(mask[y, x].astype(float), 0.8)


def draw_whiskers(picture, whiskers, *, shade, width):
    """Draw fine pale lines over a picture `(size, size, 3)` in 0..1."""
    size = len(picture)
    layer = Image.new("L", (size, size))
    pen = ImageDraw.Draw(layer)
    for line in whiskers:
        pen.line([((x + 1) / 2 * size, (1 - y) / 2 * size) for x, y, _ in line], fill=190, width=width)
    amount = np.asarray(layer)[..., None] / 255
    return picture * (1 - amount) + shade * amount
