"""The two rows of buildings along a street, with windows, shops and roofs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frostline.datasets.scenes.camera import Points
from frostline.datasets.scenes.canvas import Canvas, Colour, tint
from frostline.datasets.scenes.light import Light
from frostline.datasets.scenes.shadowmap import ShadowMap
from frostline.datasets.scenes.solids import facing_of, patch, patches
from frostline.datasets.scenes.street import CROSS_STREET_HALF, FAR, Street

_PLASTER: tuple[Colour, ...] = (
    (214, 196, 164),
    (196, 138, 104),
    (168, 92, 72),
    (222, 212, 190),
    (188, 176, 160),
    (206, 176, 120),
    (150, 160, 158),
    (176, 118, 92),
    (226, 190, 170),
    (132, 128, 126),
)
_ROOFS: tuple[Colour, ...] = ((150, 80, 62), (92, 92, 98), (120, 72, 58), (78, 84, 92))
_AWNINGS: tuple[Colour, ...] = ((170, 44, 40), (36, 92, 66), (40, 70, 130), (206, 164, 60), (120, 50, 90))
_GLASS: tuple[Colour, ...] = ((58, 70, 84), (74, 90, 106), (46, 54, 64), (96, 110, 124))


@dataclass(frozen=True)
class Building:
    """One house of a row.

    Attributes:
        side: -1 on the left of the street, 1 on the right.
        start: Z of its near end, in metres.
        end: Z of its far end.
        height: of its front, in metres.
        colour: of its walls.
    """

    side: int
    start: float
    end: float
    height: float
    colour: Colour


def sample_buildings(street: Street, rng: np.random.Generator) -> list[Building]:
    """Draw both rows, with gaps, and wide open where the cross street is."""
    rows: list[Building] = []
    for side in (-1, 1):
        low = rng.uniform(4.0, 7.5) if side < 0 else rng.uniform(5, 11)
        z = rng.uniform(-6, 0)
        while z < FAR:
            if rng.random() < (0.28 if side < 0 else 0.14):
                z += rng.uniform(2.5, 9)
            end = z + rng.uniform(7, 15)
            if street.crossing is not None:
                near, far = street.crossing - CROSS_STREET_HALF - 2, street.crossing + CROSS_STREET_HALF + 2
                if z < far and end > near:
                    if z < near - 3:
                        end = near
                    else:
                        z = far
                        continue
            colour = _PLASTER[int(rng.integers(len(_PLASTER)))]
            height = low * rng.uniform(0.8, 1.55)
            rows.append(Building(side, z, end, height, tint(colour, rng.uniform(0.7, 1.05))))
            z = end + (0.0 if rng.random() < 0.75 else rng.uniform(1, 5))
    return sorted(rows, key=lambda building: -building.start)


def draw_building(
    canvas: Canvas, building: Building, street: Street, light: Light, shadows: ShadowMap, rng: np.random.Generator
) -> None:
    """Paint a house and let it cast its shadow."""
    side, front = building.side, street.front
    back = front + 9
    if side < 0:
        corners = [(-front, building.start), (-front, building.end), (-back, building.end), (-back, building.start)]
        shadows.wall(np.array(corners), building.height)
    if building.end < 1.5:
        return
    x, z0, z1, high = side * front, building.start, building.end, building.height
    colour = building.colour
    facade = np.array([(x, 0, z0), (x, 0, z1), (x, high, z1), (x, high, z0)])
    end = np.array([(side * back, 0, z0), (x, 0, z0), (x, high, z0), (side * back, high, z0)])
    if rng.random() < 0.6:
        _roof(canvas, building, front, light, rng)
    for wall, normal in ((end, (0.0, 0.0, -1.0)), (facade, (-float(side), 0.0, 0.0))):
        facing, shade = facing_of(np.array(normal), light)
        # The end wall of a house on the left lies in the shadow of its neighbour on the sun's side.
        canvas.face(wall, tint(colour, shade), facing if side > 0 or wall is facade else 0, 0)
        if wall is facade:
            _front(canvas, facade, building, tint(colour, shade), rng)
        elif z0 > 2:
            _openings(canvas, wall, 9.0, high, tint(colour, shade), rng)


def _roof(canvas: Canvas, building: Building, front: float, light: Light, rng: np.random.Generator) -> None:
    side, high = building.side, building.height
    ridge, inner, outer = high + rng.uniform(1.4, 2.8), side * front, side * (front + 4)
    plane = np.array(
        [
            (inner, high, building.start),
            (inner, high, building.end),
            (outer, ridge, building.end),
            (outer, ridge, building.start),
        ]
    )
    normal = np.array([-side * (ridge - high), 4.0, 0.0])
    facing, shade = facing_of(normal / np.linalg.norm(normal), light)
    colour = _ROOFS[int(rng.integers(len(_ROOFS)))]
    gable = np.array(
        [(inner, high, building.start), (outer, ridge, building.start), (side * (front + 8), high, building.start)]
    )
    canvas.face(
        gable, tint(building.colour, 0.85), facing_of(np.array([0.0, 0.0, -1.0]), light)[0] if side > 0 else 0, 0
    )
    canvas.face(plane, tint(colour, shade), facing, 0)


def _front(canvas: Canvas, wall: Points, building: Building, colour: Colour, rng: np.random.Generator) -> None:
    """Paint the street side: cornice, base, shops or doors, windows above."""
    length, high = building.end - building.start, building.height
    shop = rng.random() < 0.55
    ground = 3.4 if shop else 0.7
    canvas.decals([patch(wall, 0, 1, 1 - 0.35 / high, 1)], tint(colour, 1.25))
    canvas.decals([patch(wall, 0, 1, 0, 0.6 / high)], tint(colour, 0.6))
    if shop:
        _shops(canvas, wall, length, high, rng)
    else:
        door = rng.uniform(0.15, 0.8)
        canvas.decals(
            [patch(wall, door, door + 1.3 / length, 0, 2.3 / high)], tint(_AWNINGS[int(rng.integers(5))], 0.6)
        )
    _windows(canvas, wall, length, high, ground, colour, rng)


def _shops(canvas: Canvas, wall: Points, length: float, high: float, rng: np.random.Generator) -> None:
    panes = max(1, int(length / 4))
    for pane in range(panes):
        left, right = (pane + 0.1) / panes, (pane + 0.9) / panes
        canvas.decals([patch(wall, left, right, 0.35 / high, 2.5 / high)], _GLASS[int(rng.integers(4))])
        inner = rng.uniform(left, right - 0.3 * (right - left))
        goods = tint(_PLASTER[int(rng.integers(10))], 0.45)
        canvas.decals([patch(wall, inner, inner + 0.25 * (right - left), 0.5 / high, 1.6 / high)], goods)
        sign = _AWNINGS[int(rng.integers(5))]
        canvas.decals(
            [patch(wall, left - 0.02, right + 0.02, 2.55 / high, 3.15 / high)], tint(sign, rng.uniform(0.6, 1.1))
        )
        canvas.decals([patch(wall, left + 0.1 / panes, right - 0.2 / panes, 2.75 / high, 2.95 / high)], (225, 220, 205))


def _windows(
    canvas: Canvas, wall: Points, length: float, high: float, ground: float, colour: Colour, rng: np.random.Generator
) -> None:
    floor, spacing = rng.uniform(2.7, 3.3), rng.uniform(1.7, 2.8)
    width, tall = spacing * rng.uniform(0.4, 0.62), floor * rng.uniform(0.48, 0.62)
    columns = int((length - 0.6) / spacing)
    if columns < 1:
        return
    margin = (length - columns * spacing + spacing - width) / 2
    lefts = (margin + np.arange(columns) * spacing) / length
    lows = np.arange(ground + 0.7, high - tall - 0.5, floor) / high
    share, rise = width / length, tall / high
    frame, sill = 0.08 / length, 0.12 / high
    a, b = (grid.ravel() for grid in np.meshgrid(lefts, lows))
    if not len(a):
        return
    trim = tint(colour, 1.45) if rng.random() < 0.7 else tint(colour, 0.55)
    canvas.decals(patches(wall, a - frame, a + share + frame, b - sill, b + rise + sill / 2), trim)
    tones = rng.integers(0, 4, len(a))
    glass = patches(wall, a, a + share, b, b + rise)
    canvas.paint([(pane, _GLASS[tone]) for pane, tone in zip(glass, tones.tolist(), strict=True)])
    drawn = tones == 1
    canvas.decals(patches(wall, a[drawn], a[drawn] + share * 0.4, b[drawn], b[drawn] + rise), (190, 184, 172))
    canvas.decals(patches(wall, a + share * 0.46, a + share * 0.54, b, b + rise), trim)


def _openings(
    canvas: Canvas, wall: Points, length: float, high: float, colour: Colour, rng: np.random.Generator
) -> None:
    """Paint the few windows of an end wall."""
    trim = tint(colour, 1.35)
    for low in np.arange(1.2 if rng.random() < 0.5 else 4.2, high - 2, 3.1):
        for left in (0.14, 0.42, 0.72):
            if rng.random() < 0.75:
                right, top = left + 1.1 / length, (low + 1.5) / high
                canvas.decals([patch(wall, left - 0.012, right + 0.012, (low - 0.12) / high, top + 0.1 / high)], trim)
                canvas.decals([patch(wall, left, right, low / high, top)], _GLASS[int(rng.integers(4))])
                canvas.decals(
                    [patch(wall, (left + right) / 2 - 0.005, (left + right) / 2 + 0.005, low / high, top)], trim
                )
