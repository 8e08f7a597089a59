"""People on bicycles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from frostline.datasets.scenes.camera import Points, vector
from frostline.datasets.scenes.canvas import Canvas, Colour, tint
from frostline.datasets.scenes.light import Light
from frostline.datasets.scenes.people import HAIR, LEGS, SKIN, TOPS, Figure, draw_head
from frostline.datasets.scenes.shadowmap import ShadowMap
from frostline.datasets.scenes.solids import Pose

_FRAMES: tuple[Colour, ...] = (
    (176, 36, 38),
    (38, 88, 160),
    (40, 42, 46),
    (216, 216, 212),
    (60, 128, 84),
    (214, 150, 40),
)
_VESTS: tuple[Colour, ...] = ((206, 222, 40), (240, 120, 30))
_WHEEL = 0.34
_HALF_BASE = 0.53
_CRANK = np.array([-0.02, 0.0, 0.29])


def draw_cyclist(
    canvas: Canvas, pose: Pose, light: Light, shadows: ShadowMap | None, owner: int, rng: np.random.Generator
) -> None:
    """Paint a rider and the bicycle; with `shadows` given, only let them cast their shadow."""
    if shadows is not None:
        shadows.thing(pose.footprint(-0.86, 0.86, 0.05), 0.0, 0.62, owner)
        shadows.thing(pose.footprint(-0.3, 0.3, 0.2), 0.62, 1.45, owner)
        shadows.thing(pose.footprint(0.1, 0.32, 0.1), 1.45, 1.72, owner)
        return
    figure = Figure(canvas, pose, light, owner)
    sporty = rng.uniform(0, 1)
    turn, wide = rng.uniform(0, 2 * np.pi), rng.uniform(0.95, 1.2)
    paint = _FRAMES[int(rng.integers(len(_FRAMES)))]
    vest = rng.random() < 0.3
    top = _VESTS[int(rng.integers(2))] if vest else TOPS[int(rng.integers(len(TOPS)))]
    top = tint(top, rng.uniform(0.8, 1.1))
    legs = tint(LEGS[int(rng.integers(len(LEGS)))], rng.uniform(0.7, 1.2))
    skin = SKIN[int(rng.integers(len(SKIN)))]
    # The far leg and arm, then the bicycle, then the near ones.
    hip = np.array([-0.2, 0.0, 0.98])
    shoulder = np.array([0.1 + 0.2 * sporty, 0.0, 1.48 - 0.14 * sporty])
    near = _near_side(figure)
    _leg(figure, hip, -near, turn + np.pi, legs, wide)
    _arm(figure, shoulder, -near, top, skin)
    figure.draw()
    _bicycle(figure, paint)
    figure.draw()
    cloth = [hip + vector(0, -0.08 * wide, 0), hip + vector(0, 0.08 * wide, 0)]
    cloth += [shoulder + vector(0, side * 0.14 * wide, 0) for side in (-1, 1)]
    figure.hull(cloth, [0.115 * wide, 0.115 * wide, 0.085, 0.085], top)
    if rng.random() < 0.3:
        _load_on_back(figure, hip, shoulder, rng)
    _leg(figure, hip, near, turn, legs, wide)
    _arm(figure, shoulder, near, top, skin)
    figure.draw()
    head = shoulder + np.array([0.13 + 0.05 * sporty, 0, 0.21 - 0.03 * sporty])
    hair = HAIR[int(rng.integers(len(HAIR)))]
    draw_head(figure, head, 0.112, skin, hair, rng, helmet=bool(rng.random() < 0.65))


def _near_side(figure: Figure) -> int:
    """Say which side of the bicycle, 1 for the right, is nearer to the camera."""
    sides = figure.pose.world(np.array([(0.0, -0.2, 1.0), (0.0, 0.2, 1.0)]))
    eye = np.array([figure.canvas.camera.x, 0, 0])
    return 1 if np.linalg.norm(sides[1] - eye) < np.linalg.norm(sides[0] - eye) else -1


def _leg(figure: Figure, hip: Points, side: int, turn: float, colour: Colour, wide: float) -> None:
    start = hip + vector(0, side * 0.09, 0)
    pedal = _CRANK + np.array([0.16 * np.cos(turn), side * 0.13, 0.16 * np.sin(turn)])
    foot = pedal + vector(-0.02, 0, 0.07)
    # The knee: two bars of given length between hip and foot, bent forwards.
    span = foot - start
    distance = float(np.hypot(span[0], span[2]))
    thigh, shin = 0.44, 0.45
    cosine = np.clip((thigh**2 + distance**2 - shin**2) / (2 * thigh * distance), -1, 1)
    angle = np.arctan2(span[2], span[0]) + np.arccos(cosine)
    knee = start + np.array([thigh * np.cos(angle), side * 0.03, thigh * np.sin(angle)])
    figure.limb(start, knee, 0.085 * wide, colour, 0.062)
    figure.limb(knee, foot, 0.058, colour, 0.042)
    figure.limb(foot - (0.06, 0, 0.03), foot + vector(0.13, 0, -0.05), 0.042, (44, 40, 40))


def _arm(figure: Figure, shoulder: Points, side: int, sleeve: Colour, skin: Colour) -> None:
    start = shoulder + vector(0, side * 0.19, -0.02)
    hand = np.array([0.42, side * 0.25, 1.03])
    elbow = (start + hand) / 2 + (-0.04, side * 0.05, -0.06)
    figure.limb(start, elbow, 0.055, tint(sleeve, 0.9), 0.047)
    figure.limb(elbow, hand, 0.044, tint(sleeve, 0.9), 0.036)
    figure.limb(hand, hand + vector(0.04, 0, 0), 0.04, skin)


def _bicycle(figure: Figure, paint: Colour) -> None:
    for ahead in (-_HALF_BASE, _HALF_BASE):
        _wheel(figure, ahead)
    rear, front = np.array([-_HALF_BASE, 0, _WHEEL]), np.array([_HALF_BASE, 0, _WHEEL])
    seat, bars = np.array([-0.2, 0, 0.84]), np.array([0.37, 0, 0.86])
    tubes = ((rear, seat), (rear, _CRANK), (seat, _CRANK), (seat, bars), (_CRANK, bars), (bars, front))
    for start, end in tubes:
        figure.limb(start, end, 0.026, paint)
    figure.limb(np.array([-0.31, 0, 0.92]), np.array([-0.08, 0, 0.92]), 0.045, (36, 34, 34))
    figure.limb(bars, np.array([0.38, 0, 1.03]), 0.022, (60, 60, 62))
    figure.limb(np.array([0.4, -0.27, 1.04]), np.array([0.4, 0.27, 1.04]), 0.024, (52, 52, 54))
    for ahead, colour in ((-_HALF_BASE - 0.32, (176, 26, 26)), (0.46, (236, 236, 214))):
        figure.limb(np.array([ahead + 0.1, 0, 0.74]), np.array([ahead + 0.12, 0, 0.74]), 0.04, colour)


def _wheel(figure: Figure, ahead: float) -> None:
    """Paint a wheel: a ring where it is seen from the side, a bar where it is seen from the front."""
    camera, turn = figure.canvas.camera, np.linspace(0, 2 * np.pi, 24, endpoint=False)
    hub = vector(ahead, 0, _WHEEL)
    middle = figure.pose.world(hub)
    depth = max(1.0, float(middle[2]))

    def ring(radius: float) -> NDArray[np.float64]:
        rim = np.stack([ahead + radius * np.cos(turn), np.zeros(24), _WHEEL + radius * np.sin(turn)], axis=1)
        return camera.project(np.maximum(figure.pose.world(rim), (-1e9, -1e9, 0.8)))

    tyre = max(0.6, 0.022 * camera.focal / depth)
    outer = ring(_WHEEL)
    if np.ptp(outer[:, 0]) > 6 * tyre:
        for angle in np.linspace(0, np.pi, 5)[:-1] + 0.3:
            along = 0.9 * _WHEEL * np.array([np.cos(angle), 0, np.sin(angle)])
            spoke = figure.pose.world(np.array([hub - along, hub + along]))
            start, end = camera.project(np.maximum(spoke, (-1e9, -1e9, 0.8)))
            across = np.array([[0.0, 0.0], [0.0, 0.7], [0.7, 0.7]])
            outline = np.concatenate([start + across, end + across[::-1]])
            figure.canvas.blob(outline, (150, 152, 156), 200, figure.owner, depth)
        figure.rings([ring(_WHEEL * 0.88), ring(_WHEEL * 0.78)], (172, 174, 178), depth)
        figure.rings([outer, ring(_WHEEL * 0.86)], (30, 30, 32), depth)
    else:
        figure.limb(
            np.array([ahead, 0, 0.03]),
            np.array([ahead, 0, 2 * _WHEEL - 0.03]),
            max(0.03, tyre * depth / camera.focal),
            (32, 32, 34),
        )


def _load_on_back(figure: Figure, hip: Points, shoulder: Points, rng: np.random.Generator) -> None:
    """Add a rucksack, or the large box of someone who delivers food."""
    middle = (hip + shoulder) / 2 + (-0.2, 0, 0.08)
    if rng.random() < 0.5:
        colour = ((30, 170, 160), (236, 130, 30), (220, 60, 110))[int(rng.integers(3))]
        size, round_by = 0.17, 0.04
    else:
        colour, size, round_by = TOPS[int(rng.integers(len(TOPS)))], 0.09, 0.08
    corners = [middle + vector(a * size, s * size, u * size * 1.1) for a in (-1, 0.6) for s in (-1, 1) for u in (-1, 1)]
    figure.hull(corners, [round_by] * 8, colour)
