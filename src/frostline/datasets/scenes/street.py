"""The street itself: sky, far skyline, road, pavements and what is painted on them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.datasets.scenes.camera import NEAR, Camera, Points
from frostline.datasets.scenes.canvas import Canvas, Colour, tint
from frostline.datasets.scenes.surface import noise_tile

FAR = 72.0
"""Where the street ends, in metres."""


@dataclass(frozen=True)
class Street:
    """How a street is laid out, in metres; X = 0 is the middle of the road.

    Attributes:
        road: half the width of the road, parking strips included.
        pavement: width of each pavement.
        lane: X of the middle of the right lane and of the right tram track; the left ones are at -X.
        tracks: whether there are tram tracks.
        crossing: Z of the middle of the cross street, or None.
        bike_lane: whether the edge of the road is painted for bicycles.
        asphalt: colour of the road.
        slabs: colour of the pavements.
    """

    road: float
    pavement: float
    lane: float
    tracks: bool
    crossing: float | None
    bike_lane: bool
    asphalt: Colour
    slabs: Colour

    @property
    def front(self) -> float:
        """X of the facades on the right; on the left it is the negative."""
        return self.road + self.pavement


CROSS_STREET_HALF = 4.5
"""Half the width of a cross street in metres."""


def sample_street(rng: np.random.Generator) -> Street:
    """Draw a layout."""
    grey = int(rng.integers(112, 148))
    warm = int(rng.integers(0, 9))
    slab = int(rng.integers(166, 200))
    return Street(
        road=rng.uniform(5.2, 6.6),
        pavement=rng.uniform(2.6, 3.8),
        lane=rng.uniform(1.7, 2.0),
        tracks=bool(rng.random() < 0.85),
        crossing=float(rng.uniform(13, 30)) if rng.random() < 0.6 else None,
        bike_lane=bool(rng.random() < 0.35),
        asphalt=(grey + warm // 2, grey, grey + 3 - warm // 2),
        slabs=(slab, slab - 4 - warm // 2, slab - 10 - warm),
    )


def sky_picture(camera: Camera, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Make the light that the sky itself sends to the camera: a gradient with clouds, (H, W, 3) in shares of scale."""
    step, noise = 4, noise_tile()
    rows, columns = np.arange(0, camera.height, step), np.arange(0, camera.width, step)
    height = np.clip((camera.centre[1] - rows) / camera.height, 0, 1)
    zenith = np.array([0.16, 0.31, 0.66]) * rng.uniform(0.8, 1.15)
    low = np.array([0.62, 0.72, 0.84]) * rng.uniform(0.85, 1.0)
    rise = (1 - np.exp(-height * 4.0))[:, np.newaxis]
    clear = low * (1 - rise) + zenith * rise
    cover, scale = rng.uniform(-0.5, 0.9), rng.uniform(0.25, 0.5)
    right, down = rng.uniform(0, 400, 2)
    tile = len(noise)
    across = (columns * (scale * 480 / camera.width) + right).astype(int) % tile
    along = (rows * (scale * 1100 / camera.width) + down).astype(int) % tile
    clouds = cv2.GaussianBlur(noise[np.ix_(along, across)], (0, 0), camera.width / 160 / step)
    amount = np.clip((clouds + cover - 0.6) * 0.8, 0, 0.85)[..., np.newaxis]
    white = np.array([0.84, 0.86, 0.90]) * (1 - 0.12 * amount)
    sky = clear[:, np.newaxis] * (1 - amount) + white * amount
    full = cv2.resize(sky.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, dtype=np.float32)


def draw_ground(canvas: Canvas, street: Street) -> None:
    """Paint everything below the horizon as ground, pavement-coloured."""
    camera = canvas.camera
    first = min(camera.height, max(0, int(np.ceil(camera.centre[1] + camera.focal * camera.y / 400))))
    rows = np.arange(first, camera.height, dtype=np.float32)
    canvas.inverse_depth[first:] = ((rows - camera.centre[1]) / np.float32(camera.focal * camera.y))[:, np.newaxis]
    canvas.owner[first:] = 0
    canvas.colour[first:] = street.slabs


def draw_skyline(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the far end of the street: pale blocks and round tree tops beyond the last facade."""
    x = -60.0
    while x < 60:
        width, height = rng.uniform(5, 12), rng.uniform(4, 15)
        tone = int(rng.integers(138, 178))
        z = FAR + 6 + rng.uniform(0, 4)
        if rng.random() < 0.65:
            colour = (tone - 8, tone, tone + 8)
            wall = np.array([(x, 0, z), (x + width, 0, z), (x + width, height, z), (x, height, z)])
            canvas.face(wall, colour, 255, 0)
            floors, columns = np.arange(1.5, height - 1.5, 3.0), np.arange(x + 1, x + width - 1.5, 2.2)
            canvas.decals([_upright(left, z, low, 1.0, 1.5) for low in floors for left in columns], tint(colour, 0.7))
        else:
            bumps = np.linspace(0, np.pi, 25)
            top = height * 0.45 * (1 + 0.14 * np.abs(np.sin(bumps * 5))) * np.sin(bumps) ** 0.35
            crowns = np.stack([x + width * bumps / np.pi, np.maximum(top, 0), np.full(25, z)], axis=1)
            canvas.face(crowns, (tone - 62, tone - 34, tone - 58), 255, 0)
        x += width * rng.uniform(0.85, 1.0)


def draw_road(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Paint the road, its markings, tracks, repairs, kerbs and pavement slabs."""
    road, front = street.road, street.front
    for joint in np.geomspace(3, 40, 26) if rng.random() < 0.7 else ():
        canvas.decals([_flat(-front, front, joint, joint + 0.03 + joint * 0.002)], tint(street.slabs, 0.82))
    for x in (-(road + street.pavement * 0.5), road + street.pavement * 0.5):
        canvas.decals([_flat(x, x + 0.03, NEAR, 30)], tint(street.slabs, 0.82))
    canvas.decals([_flat(-road - 0.25, road + 0.25, NEAR, FAR + 6)], tint(street.slabs, 1.25))
    canvas.decals([_flat(-road - 0.06, road + 0.06, NEAR, FAR + 6)], tint(street.asphalt, 0.55))
    canvas.decals([_flat(-road, road, NEAR, FAR + 6)], street.asphalt)
    if street.crossing is not None:
        half = CROSS_STREET_HALF
        canvas.decals([_flat(-60, 60, street.crossing - half, street.crossing + half)], street.asphalt)
    _repairs(canvas, street, rng)
    if street.bike_lane:
        red = tint((148, 84, 72), rng.uniform(0.8, 1.1))
        canvas.decals([_flat(side * road * 0.62, side * (road * 0.62 + 1.1), NEAR, FAR) for side in (-1, 1)], red)
    _markings(canvas, street, rng)
    if street.tracks:
        _tracks(canvas, street)


def _repairs(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(3, 8))):
        x, z = rng.uniform(-street.road, street.road - 2), float(np.exp(rng.uniform(np.log(3), np.log(35))))
        patch = _flat(x, x + rng.uniform(0.5, 2.2), z, z + rng.uniform(0.6, 5))
        patch[:, 0] = np.clip(patch[:, 0] + rng.normal(0, 0.06, 4), -street.road, street.road)
        canvas.decals([patch], tint(street.asphalt, rng.uniform(0.72, 1.22)))
    for _ in range(int(rng.integers(1, 4))):
        x, z, turn = rng.uniform(-3, 3), rng.uniform(4, 18), np.linspace(0, 2 * np.pi, 16, endpoint=False)
        lid = np.stack([x + 0.33 * np.cos(turn), np.zeros(16), z + 0.33 * np.sin(turn)], axis=1)
        canvas.decals([lid], tint(street.asphalt, 0.5))
        canvas.decals([lid * (0.75, 1, 0.75) + (x * 0.25, 0, z * 0.25)], tint(street.asphalt, 0.8))


def _markings(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    white = tint((226, 226, 220), rng.uniform(0.65, 1.0))
    start = rng.uniform(0, 6)
    dashes = [_flat(-0.07, 0.07, z, z + 2.5) for z in np.arange(start, FAR, 6.0)]
    edge = street.road * 0.6
    lines = [_flat(side * edge - 0.06, side * edge + 0.06, NEAR, FAR) for side in (-1, 1)]
    keep_out = street.crossing
    if keep_out is not None:
        near, far = keep_out - CROSS_STREET_HALF, keep_out + CROSS_STREET_HALF
        dashes = [dash for dash in dashes if dash[2, 2] < near - 3.5 or dash[0, 2] > far]
        lines = [
            _flat(side * edge - 0.06, side * edge + 0.06, a, b)
            for side in (-1, 1)
            for a, b in ((NEAR, near - 3.5), (far, FAR))
        ]
        stripes = np.arange(-street.road + 0.4, street.road - 0.5, 1.0)
        canvas.decals([_flat(x, x + 0.5, near - 3.0, near - 0.4) for x in stripes], white)
    canvas.decals(dashes + lines, white)


def _tracks(canvas: Canvas, street: Street) -> None:
    for middle in (-street.lane, street.lane):
        for rail in (middle - 0.72, middle + 0.72):
            canvas.decals([_flat(rail - 0.1, rail + 0.1, NEAR, FAR)], tint(street.asphalt, 0.6))
            canvas.decals([_flat(rail - 0.035, rail + 0.035, NEAR, FAR)], (176, 174, 170))


def _flat(left: float, right: float, near: float, far: float) -> Points:
    return np.array([(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)], float)


def _upright(left: float, z: float, low: float, width: float, height: float) -> Points:
    right, high = left + width, low + height
    return np.array([(left, low, z), (right, low, z), (right, high, z), (left, high, z)], float)
