"""Lorries: a cab and behind it a box, a curtain, a tipper or a tank."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from frostline.datasets.scenes.camera import Points, vector
from frostline.datasets.scenes.canvas import Canvas, Colour, tint
from frostline.datasets.scenes.car import GLASS, TYRE
from frostline.datasets.scenes.light import Light
from frostline.datasets.scenes.shadowmap import ShadowMap
from frostline.datasets.scenes.solids import Panel, Pose, box, disc, draw_panels, patch

_CABS: tuple[Colour, ...] = (
    (220, 220, 216),
    (190, 36, 34),
    (38, 84, 156),
    (226, 132, 32),
    (44, 108, 70),
    (214, 178, 44),
    (64, 66, 72),
)
_LOADS: tuple[Colour, ...] = (
    (228, 226, 220),
    (204, 206, 208),
    (180, 62, 48),
    (54, 96, 150),
    (70, 122, 84),
    (222, 190, 90),
)
_CHASSIS: Colour = (44, 44, 48)

Marks = list[tuple[Points, Colour]]


def draw_truck(
    canvas: Canvas, pose: Pose, light: Light, shadows: ShadowMap | None, owner: int, rng: np.random.Generator
) -> None:
    """Paint a lorry; with `shadows` given, only let it cast its shadow."""
    load_length, cab_length = rng.uniform(3.8, 7.0), rng.uniform(1.7, 2.1)
    half, cab_high, load_high = rng.uniform(1.14, 1.25), rng.uniform(2.5, 2.9), rng.uniform(3.0, 3.7)
    front = (load_length + cab_length) / 2
    rear, joint = -front, front - cab_length
    kind = ("box", "box", "curtain", "tipper", "tank")[int(rng.integers(5))]
    if kind == "tipper":
        load_high = rng.uniform(2.1, 2.6)
    if shadows is not None:
        shadows.thing(pose.footprint(rear, joint - 0.25, half), 0.0, load_high, owner)
        shadows.thing(pose.footprint(joint, front, half * 0.96), 0.0, cab_high, owner)
        return
    cab = tint(_CABS[int(rng.integers(len(_CABS)))], rng.uniform(0.8, 1.1))
    load = tint(_LOADS[int(rng.integers(len(_LOADS)))], rng.uniform(0.8, 1.08))
    parts: list[tuple[float, Callable[[], None]]] = []

    def add(middle: float, panels: list[Panel]) -> None:
        parts.append((middle, lambda: draw_panels(canvas, panels, pose, light, owner)))

    add(joint / 2, _load(kind, rear, joint - 0.25, half, load_high, load, rng))
    add((joint + front) / 2, _cab(joint, front, half * 0.96, cab_high, cab))
    eye = np.array([canvas.camera.x, canvas.camera.y, 0.0])
    draw_panels(canvas, _chassis(rear, front, half, load_length), pose, light, owner)

    def distance(part: tuple[float, Callable[[], None]]) -> float:
        return -float(np.linalg.norm(pose.world(np.array([part[0], 0.0, 1.5])) - eye))

    for _, draw in sorted(parts, key=distance):
        draw()


def _chassis(rear: float, front: float, half: float, load_length: float) -> list[Panel]:
    radius = 0.48
    axles = [front - 1.0, rear + 1.1] + ([rear + 2.2] if load_length > 5.2 else [])
    panels = []
    for face in box(rear + 0.05, front - 0.05, half - 0.06, 0.05, 1.05)[:2]:
        y = float(face[0, 1])
        # The space below the frame is dark; wheels, tank and guard stand in front of it.
        marks: Marks = [(_rect(y, rear + 2.7, front - 1.7, 0.45, 0.8), (112, 114, 118))]
        marks.append((_rect(y, rear + 0.1, front - 0.1, 0.9, 1.05), (70, 70, 74)))
        for axle in axles:
            marks += [(disc(axle, y, radius, radius), TYRE), (disc(axle, y, radius, radius * 0.58), (150, 152, 154))]
            marks.append((disc(axle, y, radius, radius * 0.3), (84, 86, 90)))
        panels.append(Panel(face, (24, 24, 27), tuple(marks)))
    tail = box(rear + 0.05, front - 0.05, half - 0.06, 0.05, 1.05)[3]
    lights: Marks = [(patch(tail, 0.0, 1, 0.5, 0.72), _CHASSIS)]
    lights += [(patch(tail, a, a + 0.16, 0.52, 0.7), (176, 28, 28)) for a in (0.02, 0.82)]
    lights += [(patch(tail, a, a + 0.17, 0.0, 0.5), TYRE) for a in (0.0, 0.83)]
    lights.append((patch(tail, 0.38, 0.62, 0.54, 0.7), (222, 220, 206)))
    panels.append(Panel(tail, (22, 22, 25), tuple(lights)))
    return panels


def _cab(joint: float, front: float, half: float, high: float, colour: Colour) -> list[Panel]:
    right, left, nose, back, top = box(joint, front, half, 0.5, high)
    panels = [Panel(back, tint(colour, 0.7)), Panel(top, colour)]
    for face, mirrored in ((right, False), (left, True)):

        def at(a: float, b: float, c: float, d: float, face: Points = face, mirrored: bool = mirrored) -> Points:
            return patch(face, 1 - b, 1 - a, c, d) if mirrored else patch(face, a, b, c, d)

        marks = (
            (at(0.4, 0.92, 0.52, 0.88), GLASS),
            (at(0.45, 0.6, 0.56, 0.84), tint(GLASS, 1.6)),
            (at(0.34, 0.36, 0.1, 0.9), tint(colour, 0.5)),
            (at(0.4, 0.55, 0.44, 0.48), tint(colour, 0.4)),
            (disc(front - 1.0, float(face[0, 1]), 0.48, 0.58)[:11], _CHASSIS),
            (disc(front - 1.0, float(face[0, 1]), 0.48, 0.48), TYRE),
            (disc(front - 1.0, float(face[0, 1]), 0.48, 0.27), (150, 152, 154)),
            (at(0.93, 1.0, 0.55, 0.8), (40, 40, 44)),
        )
        panels.append(Panel(face, colour, marks))
    panels.append(Panel(nose, colour, tuple(_nose(nose, colour))))
    return panels


def _nose(face: Points, colour: Colour) -> Marks:
    marks: Marks = [
        (patch(face, 0.04, 0.96, 0.5, 0.86), GLASS),
        (patch(face, 0.08, 0.92, 0.74, 0.86), tint(GLASS, 1.5)),
        (patch(face, 0.04, 0.96, 0.86, 0.93), tint(colour, 0.55)),
        (patch(face, 0.18, 0.82, 0.22, 0.44), (46, 46, 50)),
        (patch(face, 0.0, 1.0, 0.0, 0.17), (62, 62, 66)),
        (patch(face, 0.38, 0.62, 0.03, 0.12), (222, 220, 206)),
    ]
    marks += [(patch(face, 0.18, 0.82, low, low + 0.025), (150, 150, 152)) for low in (0.27, 0.33, 0.39)]
    marks += [(patch(face, a, a + 0.15, 0.06, 0.16), (234, 234, 222)) for a in (0.04, 0.81)]
    return marks


def _load(
    kind: str, rear: float, front: float, half: float, high: float, colour: Colour, rng: np.random.Generator
) -> list[Panel]:
    if kind == "tank":
        return _tank(rear, front, half, colour)
    right, left, nose, back, top = box(rear, front, half, 1.0, high)
    if kind == "tipper":
        colour = tint(((214, 120, 36), (196, 160, 44), (120, 124, 128))[int(rng.integers(3))], rng.uniform(0.8, 1.1))
    panels = [Panel(nose, tint(colour, 0.9)), Panel(top, tint(colour, 1.05) if kind != "tipper" else (150, 128, 96))]
    stripe, other = (int(value) for value in rng.integers(len(_LOADS), size=2))
    level, start = rng.uniform(0.3, 0.5), rng.uniform(0.15, 0.4)
    for face in (right, left):
        marks: Marks = []
        if kind == "box":
            marks = [(patch(face, 0, 1, level, level + 0.2), _LOADS[stripe])]
            marks.append((patch(face, start, start + 0.35, level + 0.05, level + 0.42), tint(_LOADS[other], 0.8)))
            marks.append((patch(face, start + 0.05, start + 0.3, level + 0.18, level + 0.28), (232, 230, 224)))
        elif kind == "curtain":
            folds = np.linspace(0, 1, 13)[:-1]
            marks = [(patch(face, a, a + 0.03, 0.06, 0.94), tint(colour, 0.72)) for a in folds]
            marks.append((patch(face, 0.25, 0.75, 0.35, 0.68), tint(_LOADS[stripe], 0.9)))
        else:
            marks = [(patch(face, a, a + 0.05, 0, 1), tint(colour, 0.6)) for a in np.linspace(0, 0.95, 7)]
        marks.append((patch(face, 0, 1, 0, 0.05), (70, 70, 74)))
        panels.append(Panel(face, colour, tuple(marks)))
    doors: Marks = [(patch(back, 0.49, 0.51, 0, 1), tint(colour, 0.4))]
    doors += [(patch(back, a, a + 0.02, 0.05, 0.95), tint(colour, 0.6)) for a in (0.2, 0.36, 0.62, 0.78)]
    doors += [(patch(back, 0, 1, 0, 0.06), (186, 40, 36)), (patch(back, 0.04, 0.44, 0.55, 0.75), _LOADS[stripe])]
    panels.append(Panel(back, tint(colour, 0.95), tuple(doors)))
    return panels


def _tank(rear: float, front: float, half: float, colour: Colour) -> list[Panel]:
    turn = np.linspace(0, 2 * np.pi, 15)
    ring = np.stack([np.zeros(15), half * 0.98 * np.cos(turn), 1.95 + 0.95 * np.sin(turn)], axis=1)
    panels = [Panel((ring + vector(end, 0, 0))[:-1], tint(colour, 0.85)) for end in (rear, front)]
    for first, second in pairwise(ring):
        face = np.array(
            [
                first + vector(rear, 0, 0),
                first + vector(front, 0, 0),
                second + vector(front, 0, 0),
                second + vector(rear, 0, 0),
            ]
        )
        bands = tuple((patch(face, a, a + 0.02, 0, 1), tint(colour, 0.55)) for a in (0.02, 0.34, 0.66, 0.96))
        panels.append(Panel(face.astype(float), colour, bands))
    return panels


def _rect(y: float, rear: float, front: float, low: float, high: float) -> Points:
    return np.array([(rear, y, low), (front, y, low), (front, y, high), (rear, y, high)])
