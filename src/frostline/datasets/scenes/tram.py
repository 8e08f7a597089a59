"""Trams: long, on rails, with a band of windows, tall doors and two-tone liveries."""

from __future__ import annotations

import numpy as np

from frostline.datasets.scenes.camera import Points
from frostline.datasets.scenes.canvas import Canvas, Colour, tint
from frostline.datasets.scenes.car import GLASS
from frostline.datasets.scenes.light import Light
from frostline.datasets.scenes.shadowmap import ShadowMap
from frostline.datasets.scenes.solids import Panel, Pose, box, draw_panels, patch

_LIVERIES: tuple[tuple[Colour, Colour], ...] = (
    ((180, 34, 36), (228, 214, 186)),
    ((216, 176, 40), (232, 230, 222)),
    ((46, 106, 72), (226, 216, 180)),
    ((40, 84, 160), (230, 230, 228)),
    ((226, 228, 226), (180, 40, 40)),
    ((222, 112, 36), (230, 228, 220)),
)
_LOW, _BELT, _TOP, _ROOF = 0.28, 1.3, 2.72, 3.25


def draw_tram(
    canvas: Canvas, pose: Pose, light: Light, shadows: ShadowMap | None, owner: int, rng: np.random.Generator
) -> None:
    """Paint a tram; with `shadows` given, only let it cast its shadow."""
    length, half = tram_length(rng), rng.uniform(1.2, 1.3)
    if shadows is not None:
        shadows.thing(pose.footprint(-length / 2, length / 2, half), 0.0, _ROOF, owner)
        return
    lower, upper = _LIVERIES[int(rng.integers(len(_LIVERIES)))]
    lower, upper = tint(lower, rng.uniform(0.85, 1.1)), tint(upper, rng.uniform(0.85, 1.05))
    under = box(-length / 2 + 0.6, length / 2 - 0.6, half - 0.15, 0.02, _LOW + 0.1)
    draw_panels(canvas, [Panel(face, (28, 28, 31)) for face in under], pose, light, owner)
    draw_panels(canvas, _body(length, half, lower, upper, int(rng.integers(1, 30))), pose, light, owner)
    _roof_gear(canvas, pose, length, light, owner)


def tram_length(rng: np.random.Generator) -> float:
    """Draw a length in metres; the first number that a tram's generator gives."""
    return rng.uniform(13, 24)


def _body(length: float, half: float, lower: Colour, upper: Colour, line: int) -> list[Panel]:
    """Build sides, the two leaning ends and the roof."""
    end, lean = length / 2, 0.7
    panels = []
    for side in (-1, 1):
        y = side * half
        outline = [(-end, y, _LOW), (end, y, _LOW), (end, y, _BELT), (end - lean, y, _ROOF), (lean - end, y, _ROOF)]
        outline.append((-end, y, _BELT))
        panels.append(Panel(np.array(outline), upper, tuple(_side_marks(y, end, lean, lower, upper))))
    for sign in (-1, 1):
        w = sign * half
        skirt = np.array(
            [(sign * end, w, _LOW), (sign * end, -w, _LOW), (sign * end, -w, _BELT), (sign * end, w, _BELT)]
        )
        lamps = [
            (patch(skirt, a, a + 0.12, 0.42, 0.68), (236, 236, 220) if sign > 0 else (176, 28, 28)) for a in (0.08, 0.8)
        ]
        bumper = [(patch(skirt, 0, 1, 0, 0.2), (48, 48, 52)), (patch(skirt, 0.42, 0.58, 0.02, 0.24), (24, 24, 26))]
        panels.append(Panel(skirt, lower, (*lamps, *bumper)))
        near, far = sign * end, sign * (end - lean)
        glass = np.array([(near, w, _BELT), (near, -w, _BELT), (far, -w, _ROOF), (far, w, _ROOF)])
        panels.append(Panel(glass, upper, tuple(_window(glass, line))))
    e = end - lean
    panels.append(
        Panel(np.array([(-e, half, _ROOF), (e, half, _ROOF), (e, -half, _ROOF), (-e, -half, _ROOF)]), (128, 130, 132))
    )
    return panels


def _window(face: Points, line: int) -> list[tuple[Points, Colour]]:
    """Paint a driver's window with the destination above it."""
    marks: list[tuple[Points, Colour]] = [
        (patch(face, 0.05, 0.95, 0.04, 0.72), tint(GLASS, 0.8)),
        (patch(face, 0.1, 0.9, 0.45, 0.68), tint(GLASS, 1.5)),
        (patch(face, 0.48, 0.5, 0.04, 0.72), (40, 42, 46)),
        (patch(face, 0.16, 0.84, 0.76, 0.95), (24, 24, 26)),
    ]
    letters = 3 + line % 4
    marks += [(patch(face, 0.34 + 0.06 * k, 0.38 + 0.06 * k, 0.8, 0.91), (236, 160, 40)) for k in range(letters)]
    marks.append((patch(face, 0.2, 0.28, 0.79, 0.92), (236, 160, 40)))
    return marks


def _side_marks(y: float, end: float, lean: float, lower: Colour, upper: Colour) -> list[tuple[Points, Colour]]:
    """Paint one side: livery, window band, pillars, doors and the joints between cars."""

    def bar(rear: float, front: float, low: float, high: float) -> Points:
        return np.array([(rear, y, low), (front, y, low), (front, y, high), (rear, y, high)])

    inset = lean * (_TOP - _BELT) / (_ROOF - _BELT)
    band = np.array([(-end, y, _BELT), (end, y, _BELT), (end - inset, y, _TOP), (inset - end, y, _TOP)])
    marks: list[tuple[Points, Colour]] = [(bar(-end, end, _LOW, _BELT - 0.05), lower), (band, tint(GLASS, 0.9))]
    marks.append((bar(-end, end, _LOW, _LOW + 0.2), tint(lower, 0.45)))
    marks.append((bar(-end, end, _BELT - 0.3, _BELT - 0.22), tint(upper, 0.95)))
    pillars = np.arange(-end + 1.3, end - 0.9, 1.45)
    for index, place in enumerate(pillars):
        marks.append((bar(place, place + 0.16, _BELT, _TOP), tint(upper, 0.9)))
        marks.append((bar(place + 0.3, place + 0.7, _BELT + 0.75, _TOP - 0.15), tint(GLASS, 1.45)))
        if index % 4 == 1:
            marks.append((bar(place + 0.16, place + 1.45, _LOW + 0.08, _TOP), (54, 56, 60)))
            for leaf in (place + 0.22, place + 0.86):
                marks.append((bar(leaf, leaf + 0.54, _LOW + 0.25, _TOP - 0.12), tint(GLASS, 1.15)))
    joints = np.linspace(-end, end, max(2, round(2 * end / 7)) + 1)[1:-1]
    for joint in joints:
        marks.append((bar(joint - 0.4, joint + 0.4, _LOW, _ROOF), (52, 52, 56)))
        marks += [(bar(joint + fold, joint + fold + 0.09, _LOW, _ROOF), (84, 84, 88)) for fold in (-0.3, -0.08, 0.14)]
    return marks


def _roof_gear(canvas: Canvas, pose: Pose, length: float, light: Light, owner: int) -> None:
    """Paint the boxes on the roof and the pantograph."""
    for middle in (-length * 0.3, length * 0.08, length * 0.32):
        gear = box(middle - 0.9, middle + 0.9, 0.75, _ROOF, _ROOF + 0.32)
        draw_panels(canvas, [Panel(face, (146, 148, 150)) for face in gear], pose, light, owner)
    foot, knee = np.array([0.6, 0, _ROOF + 0.1]), np.array([-0.5, 0, _ROOF + 0.7])
    for low, high, width in ((foot, knee, 0.05), (knee, np.array([0.5, 0, _ROOF + 1.35]), 0.04)):
        for aside in (-0.25, 0.25):
            side = np.array([0, aside, 0])
            strut = np.array([low + side, low + side + (width, width, 0), high + side + (width, width, 0), high + side])
            canvas.face(pose.world(strut), (60, 60, 64), 120, owner)
    bow = np.array(
        [(0.5, -0.8, _ROOF + 1.35), (0.5, 0.8, _ROOF + 1.35), (0.5, 0.8, _ROOF + 1.42), (0.5, -0.8, _ROOF + 1.42)]
    )
    canvas.face(pose.world(bow), (60, 60, 64), 120, owner)
