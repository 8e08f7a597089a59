"""Cars: five bodies, many colours, seen from any side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from frostline.datasets.scenes.camera import Points, vector
from frostline.datasets.scenes.canvas import Canvas, Colour, tint
from frostline.datasets.scenes.light import Light
from frostline.datasets.scenes.shadowmap import ShadowMap
from frostline.datasets.scenes.solids import Panel, Pose, box, disc, draw_panels, patch

PAINTS: tuple[Colour, ...] = (
    (226, 226, 224),
    (180, 184, 188),
    (120, 124, 130),
    (46, 48, 52),
    (168, 30, 34),
    (36, 66, 140),
    (84, 130, 176),
    (40, 92, 70),
    (210, 168, 40),
    (196, 96, 40),
    (92, 44, 50),
    (196, 186, 160),
)
GLASS: Colour = (62, 78, 92)
TYRE: Colour = (34, 34, 36)
_DARK: Colour = (30, 31, 34)


@dataclass(frozen=True)
class Body:
    """The side view of a car, in metres; lengths as shares of the whole, the front at 0.5.

    Attributes:
        length: of the car.
        width: of the car.
        hull: the outline below the windows: (share, height) from the rear bottom over the top to the front bottom.
        cabin: the outline above: rear base, rear roof, front roof, front base.
        wheel: radius of the wheels.
    """

    length: float
    width: float
    hull: tuple[tuple[float, float], ...]
    cabin: tuple[tuple[float, float], ...]
    wheel: float


_SEDAN = Body(
    4.5,
    1.8,
    ((-0.5, 0.3), (-0.5, 0.8), (-0.47, 0.97), (-0.3, 1.0), (0.2, 0.97), (0.45, 0.8), (0.5, 0.62), (0.5, 0.3)),
    ((-0.36, 0.98), (-0.2, 1.43), (0.03, 1.44), (0.21, 0.96)),
    0.32,
)
_HATCH = Body(
    3.9,
    1.74,
    ((-0.5, 0.32), (-0.5, 0.8), (-0.48, 0.98), (-0.3, 1.0), (0.22, 0.98), (0.46, 0.82), (0.5, 0.62), (0.5, 0.3)),
    ((-0.48, 0.98), (-0.37, 1.46), (0.06, 1.48), (0.25, 0.97)),
    0.31,
)
_WAGON = Body(
    4.7,
    1.82,
    ((-0.5, 0.32), (-0.5, 0.8), (-0.48, 0.98), (-0.3, 1.0), (0.2, 0.97), (0.45, 0.8), (0.5, 0.62), (0.5, 0.3)),
    ((-0.48, 0.98), (-0.42, 1.46), (0.03, 1.48), (0.21, 0.96)),
    0.32,
)
_SUV = Body(
    4.5,
    1.88,
    ((-0.5, 0.4), (-0.5, 0.95), (-0.48, 1.12), (-0.3, 1.14), (0.22, 1.12), (0.46, 1.0), (0.5, 0.8), (0.5, 0.4)),
    ((-0.47, 1.12), (-0.4, 1.68), (0.06, 1.7), (0.24, 1.11)),
    0.37,
)
_MINIVAN = Body(
    4.6,
    1.86,
    ((-0.5, 0.34), (-0.5, 0.9), (-0.49, 1.04), (-0.3, 1.06), (0.3, 1.04), (0.47, 0.88), (0.5, 0.66), (0.5, 0.3)),
    ((-0.49, 1.04), (-0.45, 1.74), (0.14, 1.76), (0.35, 1.03)),
    0.33,
)
_BODIES = (_SEDAN, _SEDAN, _HATCH, _HATCH, _WAGON, _SUV, _MINIVAN)


def draw_car(
    canvas: Canvas, pose: Pose, light: Light, shadows: ShadowMap | None, owner: int, rng: np.random.Generator
) -> None:
    """Paint a car; with `shadows` given, only let it cast its shadow."""
    body = _BODIES[int(rng.integers(len(_BODIES)))]
    size = rng.uniform(0.95, 1.06)
    length, half = body.length * size, body.width * size / 2
    paint = tint(PAINTS[int(rng.integers(len(PAINTS)))], rng.uniform(0.75, 1.1))
    if shadows is not None:
        cabin = body.cabin
        shadows.thing(pose.footprint(-length / 2, length / 2, half), 0.0, body.hull[3][1] * size, owner)
        roof = pose.footprint(cabin[0][0] * length * 0.9, cabin[3][0] * length * 0.7, half * 0.86)
        shadows.thing(roof, body.hull[3][1] * size, cabin[1][1] * size, owner)
        return
    taxi = rng.random() < 0.08
    radius = body.wheel * size
    for share in (-0.31, 0.31) if _sees_front(canvas, pose) else (0.31, -0.31):
        for side in (-1, 1):
            tyre = box(share * length - radius * 0.9, share * length + radius * 0.9, 0.1, 0.0, 0.45)
            shifted = [Panel(face + vector(0, side * (half - 0.14), 0), TYRE) for face in tyre]
            draw_panels(canvas, shifted, pose, light, owner)
    under = box(-0.4 * length, 0.4 * length, half - 0.25, 0.2, 0.42)
    draw_panels(canvas, [Panel(face, _DARK) for face in under], pose, light, owner)
    draw_panels(canvas, _hull(body, length, half, size, (214, 176, 40) if taxi else paint), pose, light, owner)
    draw_panels(canvas, _cabin(body, length, half, size, (214, 176, 40) if taxi else paint), pose, light, owner)
    if taxi:
        lamp = box(-0.12, 0.12, 0.3, body.cabin[1][1] * size, body.cabin[1][1] * size + 0.16)
        draw_panels(canvas, [Panel(face, (232, 228, 190)) for face in lamp], pose, light, owner)


def _sees_front(canvas: Canvas, pose: Pose) -> bool:
    ends = pose.world(np.array([(-1.0, 0.0, 0.0), (1.0, 0.0, 0.0)]))
    rear, front = np.linalg.norm(ends - (canvas.camera.x, 0, 0), axis=1)
    return bool(front < rear)


def _hull(body: Body, length: float, half: float, size: float, paint: Colour) -> list[Panel]:
    """Build what is below the windows: two sides, and a strip over every part of the outline."""
    outline = np.array([(share * length, 0.0, height * size) for share, height in body.hull])
    wheels = [(-0.31 * length, body.wheel * size), (0.31 * length, body.wheel * size)]
    panels = [_side(outline + vector(0, side * half, 0), wheels, paint) for side in (-1, 1)]
    for index, (low, high) in enumerate(pairwise(outline)):
        strip = np.array([low + vector(0, half, 0), low - (0, half, 0), high - (0, half, 0), high + vector(0, half, 0)])
        strip = strip.astype(float)
        decals: tuple[tuple[Points, Colour], ...] = ()
        colour = paint
        if index == 0:
            decals = _rear_marks(strip)
        elif index == len(outline) - 2:
            decals = _front_marks(strip[[3, 2, 1, 0]])
        elif index == len(outline) - 3:
            lamps = ((patch(strip[[3, 2, 1, 0]], a, a + 0.24, 0.05, 0.75), (226, 230, 226)) for a in (0.02, 0.74))
            decals = tuple(lamps)
        else:
            colour = tint(paint, 1.08)
        panels.append(Panel(strip, colour, decals))
    return panels


def _side(outline: Points, wheels: list[tuple[float, float]], paint: Colour) -> Panel:
    """Build one side with sill, door gaps, handles and wheels."""
    y = float(outline[0, 1])
    rear, front = float(outline[:, 0].min()), float(outline[:, 0].max())
    low, high = float(outline[0, 2]), float(outline[3, 2])
    length = front - rear

    def bar(a: float, b: float, c: float, d: float) -> Points:
        return np.array([(a, y, c), (b, y, c), (b, y, d), (a, y, d)])

    decals: list[tuple[Points, Colour]] = [(bar(rear + 0.02, front - 0.02, low, low + 0.12), tint(paint, 0.45))]
    decals.append((bar(rear + 0.05, front - 0.3, high - 0.2, high - 0.17), tint(paint, 1.3)))
    for gap in (-0.15, 0.04, 0.2):
        decals.append((bar(gap * length, gap * length + 0.025, low + 0.1, high - 0.02), tint(paint, 0.5)))
    for handle in (-0.13, 0.06):
        decals.append((bar(handle * length, handle * length + 0.18, high - 0.16, high - 0.12), tint(paint, 0.4)))
    decals.append((bar(rear, rear + 0.22, high - 0.3, high - 0.12), (150, 26, 26)))
    decals.append((bar(front - 0.3, front - 0.04, high - 0.36, high - 0.24), (224, 226, 218)))
    for ahead, radius in wheels:
        # Only the upper half of the wheel's arch: a mark below the body would be painted onto the road.
        decals.append((disc(ahead, y, radius, radius * 1.2)[:11], tint(paint, 0.35)))
        decals.append((disc(ahead, y, radius, radius), TYRE))
        decals.append((disc(ahead, y, radius, radius * 0.64), (166, 168, 172)))
        decals.append((disc(ahead, y, radius, radius * 0.42), (104, 106, 110)))
        decals.append((disc(ahead, y, radius, radius * 0.16), (186, 188, 190)))
    return Panel(_with_wheels(outline, wheels), paint, tuple(decals))


def _with_wheels(outline: Points, wheels: list[tuple[float, float]]) -> Points:
    """Extend the lower edge of a side down to the ground where a wheel is."""
    y = outline[0, 1]
    turn = np.linspace(0, np.pi, 9)
    lower: list[tuple[float, float, float]] = []
    for ahead, radius in reversed(wheels):
        for angle in turn:
            height = radius - radius * np.sin(angle)
            if height < outline[0, 2]:
                lower.append((ahead + radius * np.cos(angle), y, height))
    return np.concatenate([outline, np.array(lower)])


def _rear_marks(face: Points) -> tuple[tuple[Points, Colour], ...]:
    return (
        (patch(face, 0, 1, 0, 0.3), (58, 58, 62)),
        (patch(face, 0.02, 0.2, 0.62, 0.98), (172, 24, 26)),
        (patch(face, 0.8, 0.98, 0.62, 0.98), (172, 24, 26)),
        (patch(face, 0.36, 0.64, 0.4, 0.62), (224, 222, 208)),
    )


def _front_marks(face: Points) -> tuple[tuple[Points, Colour], ...]:
    return (
        (patch(face, 0, 1, 0, 0.22), (50, 50, 54)),
        (patch(face, 0.2, 0.8, 0.3, 0.62), (40, 40, 44)),
        (patch(face, 0.2, 0.8, 0.7, 0.78), (170, 172, 174)),
        (patch(face, 0.36, 0.64, 0.06, 0.3), (224, 222, 208)),
        (patch(face, 0.01, 0.19, 0.62, 0.99), (232, 234, 226)),
        (patch(face, 0.81, 0.99, 0.62, 0.99), (232, 234, 226)),
    )


def _cabin(body: Body, length: float, half: float, size: float, paint: Colour) -> list[Panel]:
    """Build what is above: leaning sides with windows, rear window, roof, windscreen."""
    rear, rear_roof, front_roof, front = (np.array([share * length, 0.0, h * size]) for share, h in body.cabin)
    wide, narrow = np.array([0, half - 0.04, 0]), np.array([0, half * 0.78, 0])
    panels = []
    for side in (-1, 1):
        face = np.array(
            [rear + side * wide, front + side * wide, front_roof + side * narrow, rear_roof + side * narrow]
        )
        middle = (patch(face, 0.07, 0.49, 0.12, 0.86), GLASS), (patch(face, 0.53, 0.93, 0.12, 0.86), GLASS)
        shine = (patch(face, 0.56, 0.7, 0.2, 0.8), tint(GLASS, 1.6))
        panels.append(Panel(face, paint, (*middle, shine)))
    back = np.array([rear - wide, rear + wide, rear_roof + narrow, rear_roof - narrow])
    panels.append(Panel(back, paint, ((patch(back, 0.08, 0.92, 0.14, 0.9), GLASS),)))
    screen = np.array([front + wide, front - wide, front_roof - narrow, front_roof + narrow])
    marks = (
        (patch(screen, 0.05, 0.95, 0.05, 0.93), GLASS),
        (patch(screen, 0.14, 0.4, 0.1, 0.55), tint(GLASS, 0.5)),
        (patch(screen, 0.6, 0.86, 0.1, 0.55), tint(GLASS, 0.5)),
        (patch(screen, 0.1, 0.9, 0.78, 0.93), tint(GLASS, 1.7)),
    )
    panels.append(Panel(screen, paint, marks))
    roof = np.array([rear_roof + narrow, front_roof + narrow, front_roof - narrow, rear_roof - narrow])
    panels.append(Panel(roof, tint(paint, 1.08)))
    return panels
