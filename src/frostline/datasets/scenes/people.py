"""People on foot and on bicycles, as jointed figures of round limbs that take any pose."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.datasets.scenes.camera import Points, vector
from frostline.datasets.scenes.canvas import Canvas, Colour, capsule, tint
from frostline.datasets.scenes.light import Light
from frostline.datasets.scenes.shadowmap import ShadowMap
from frostline.datasets.scenes.solids import Pose

SKIN: tuple[Colour, ...] = ((224, 178, 148), (198, 146, 112), (146, 98, 70), (96, 64, 48), (234, 192, 168))
HAIR: tuple[Colour, ...] = ((42, 32, 28), (88, 60, 38), (150, 112, 62), (120, 118, 116), (24, 24, 26))
TOPS: tuple[Colour, ...] = (
    (186, 40, 44),
    (44, 84, 156),
    (226, 224, 216),
    (52, 54, 60),
    (212, 164, 52),
    (60, 122, 84),
    (150, 70, 130),
    (206, 120, 90),
    (110, 150, 180),
    (96, 84, 66),
)
LEGS: tuple[Colour, ...] = ((48, 58, 88), (40, 40, 44), (116, 104, 84), (86, 88, 94), (70, 48, 40), (150, 144, 130))


@dataclass
class Limb:
    """A round bar of the figure, from one local point (ahead, right, up) to another; radii in metres."""

    start: Points
    end: Points
    radius: float
    end_radius: float
    colour: Colour


class Figure:
    """Parts of a figure, painted from far to near with their shaded and sunny sides."""

    def __init__(self, canvas: Canvas, pose: Pose, light: Light, owner: int) -> None:
        self.canvas = canvas
        self.pose = pose
        self.owner = owner
        self.limbs: list[Limb] = []
        # Seen with the sun behind us most of a limb is lit; against the sun only a rim is.
        self._sunny = 0.52 - 0.34 * float(light.direction[2])

    def limb(self, start: Points, end: Points, radius: float, colour: Colour, end_radius: float | None = None) -> None:
        """Add a round bar."""
        self.limbs.append(Limb(np.asarray(start, float), np.asarray(end, float), radius, end_radius or radius, colour))

    def draw(self) -> None:
        """Paint all limbs added so far, and forget them."""
        camera = self.canvas.camera
        ends = [(self.pose.world(limb.start), self.pose.world(limb.end)) for limb in self.limbs]
        order = sorted(range(len(ends)), key=lambda index: -float(ends[index][0][2] + ends[index][1][2]))
        for index in order:
            start, end = ends[index]
            depth = max(1.0, float(start[2] + end[2]) / 2)
            scale, limb = camera.focal / depth, self.limbs[index]
            low, high = camera.project(np.array([start, end]))
            first, second = max(0.5, limb.radius * scale), max(0.5, limb.end_radius * scale)
            self._round(low, high, (first, second), limb.colour, depth)
        self.limbs = []

    def rings(self, outlines: list[NDArray[np.float64]], colour: Colour, depth: float) -> None:
        """Paint polygons of pixels with holes where they overlap."""
        self.canvas.rings(outlines, colour, 190, self.owner, depth)

    def stripe(self, up: float, half_width: float, thick: float, colour: Colour) -> None:
        """Paint a level stripe across the body, as wide as the body is from here."""
        ends = self.pose.world(np.array([(0.0, -half_width, up), (0.0, half_width, up)]))
        pixels = self.canvas.camera.project(ends)
        half = thick * self.canvas.camera.focal / max(1.0, float(ends[0, 2])) / 2
        aside = np.array([2.0 * half, 0.0]) * np.sign(pixels[1, 0] - pixels[0, 0])
        left, right = pixels[0] - aside, pixels[1] + aside
        self.canvas.mark(
            np.array([left - (0, half), right - (0, half), right + vector(0, half), left + vector(0, half)]), colour
        )

    def hull(self, centres: list[Points], radii: list[float], colour: Colour) -> None:
        """Paint the hull of several balls, local centres and radii in metres, as a torso."""
        world = self.pose.world(np.array(centres, float))
        depth = max(1.0, float(world[:, 2].mean()))
        pixels = self.canvas.camera.project(world)
        scale = self.canvas.camera.focal / depth
        turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        for share, facing, tone in ((1.0, 20, 0.86), (self._sunny, 255, 1.0)):
            dots = [p + circle * r * scale * share for p, r in zip(pixels, radii, strict=True)]
            middle = pixels.mean(axis=0)
            outline = cv2.convexHull(np.concatenate(dots).astype(np.float32))[:, 0].astype(float)
            if share < 1:
                wide = float(np.ptp(pixels[:, 0])) + 2 * max(radii) * scale
                outline[:, 0] = (
                    middle[0] + (outline[:, 0] - middle[0]) * (0.55 + 0.45 * share) - wide * (1 - share) * 0.24
                )
            self.canvas.blob(outline, tint(colour, tone), facing, self.owner, depth)

    def _round(self, low: Points, high: Points, radii: tuple[float, float], colour: Colour, depth: float) -> None:
        first, second = radii
        self.canvas.blob(capsule(low, high, first, second), tint(colour, 0.86), 20, self.owner, depth)
        if first > 0.9:
            share = self._sunny
            aside = np.array([-(1 - share), -(1 - share) * 0.4])
            lit = capsule(low + aside * first, high + aside * second, first * share, second * share)
            self.canvas.blob(lit, colour, 255, self.owner, depth)


def draw_pedestrian(
    canvas: Canvas, pose: Pose, light: Light, shadows: ShadowMap | None, owner: int, rng: np.random.Generator
) -> None:
    """Paint someone who walks or stands; with `shadows` given, only let them cast their shadow."""
    high = rng.uniform(1.58, 1.88) if rng.random() > 0.14 else rng.uniform(1.1, 1.4)
    if shadows is not None:
        shadows.thing(pose.footprint(-0.2, 0.2, 0.16), 0.0, 0.48 * high, owner)
        shadows.thing(pose.footprint(-0.17, 0.17, 0.24), 0.48 * high, 0.84 * high, owner)
        shadows.thing(pose.footprint(-0.1, 0.1, 0.1), 0.84 * high, high, owner)
        return
    figure = Figure(canvas, pose, light, owner)
    top = tint(TOPS[int(rng.integers(len(TOPS)))], rng.uniform(0.7, 1.1))
    legs = tint(LEGS[int(rng.integers(len(LEGS)))], rng.uniform(0.7, 1.2))
    skin, hair = SKIN[int(rng.integers(len(SKIN)))], HAIR[int(rng.integers(len(HAIR)))]
    wide, stride = rng.uniform(0.92, 1.25), rng.uniform(0.1, 0.5) * (rng.random() > 0.2)
    phase = rng.choice([-1, 1])
    style = ("trousers", "trousers", "skirt", "coat", "shorts")[int(rng.integers(5))]
    _legs(figure, high, wide, stride * phase, (skin if style in ("skirt", "shorts") else legs), style, legs)
    figure.draw()
    _arms(figure, high, wide, stride * phase, top, skin, rng)
    behind = [limb for limb in figure.limbs if _further(figure, limb)]
    front = [limb for limb in figure.limbs if not _further(figure, limb)]
    figure.limbs = behind
    figure.draw()
    hip, chest = 0.52 * high, 0.8 * high
    low = {"skirt": 0.34, "coat": 0.3}.get(style, 0.5) * high
    if style in ("skirt", "coat"):
        flare = 0.15 * wide if style == "skirt" else 0.13 * wide
        cloth = legs if style == "skirt" else top
        figure.hull(
            [np.array([0, s, z]) for s, z in ((-flare, low), (flare, low), (0, hip + 0.05))], [0.06, 0.06, 0.14], cloth
        )
    corners = [(-0.08 * wide, hip), (0.08 * wide, hip), (0.145 * wide, chest), (-0.145 * wide, chest)]
    figure.hull([np.array([0, s, z]) for s, z in corners], [0.1 * wide, 0.1 * wide, 0.075, 0.075], top)
    _torso_marks(figure, high, wide, top, rng)
    figure.limbs = front
    figure.draw()
    draw_head(figure, np.array([0.02, 0.0, 0.925 * high]), 0.066 * high, skin, hair, rng)


def _further(figure: Figure, limb: Limb) -> bool:
    middle = np.array([[0.0, 0.0, 1.0], limb.start])
    return bool(np.diff(figure.pose.world(middle)[:, 2])[0] > 0)


def _legs(figure: Figure, high: float, wide: float, stride: float, colour: Colour, style: str, cloth: Colour) -> None:
    hip, knee = 0.51 * high, 0.27 * high
    for side, swing in ((-1, stride), (1, -stride)):
        y = side * 0.075 * wide
        joint = np.array([0.22 * high * np.sin(swing), y, hip - 0.24 * high * np.cos(swing)])
        bend = swing - max(0.0, -swing) * 0.9
        foot = joint + np.array([0.24 * high * np.sin(bend), 0, -(knee - 0.045) * np.cos(bend)])
        start = np.array([0, y, hip])
        figure.limb(start, joint, 0.075 * wide, cloth if style == "shorts" else colour, 0.058 * wide)
        figure.limb(joint, foot, 0.055 * wide, colour, 0.042)
        figure.limb(foot - (0.04, 0, 0), foot + vector(0.15, 0, -0.015), 0.04, (46, 40, 38))


def _arms(
    figure: Figure, high: float, wide: float, stride: float, sleeve: Colour, skin: Colour, rng: np.random.Generator
) -> None:
    shoulder, bare = 0.81 * high, rng.random() < 0.35
    for side, swing in ((-1, -stride), (1, stride)):
        top = np.array([0, side * 0.185 * wide, shoulder])
        elbow = top + np.array([0.17 * high * np.sin(swing), side * 0.03, -0.17 * high * np.cos(swing)])
        bend = swing + 0.35
        hand = elbow + np.array([0.16 * high * np.sin(bend), 0, -0.16 * high * np.cos(bend)])
        figure.limb(top, elbow, 0.052 * wide, tint(sleeve, 0.9), 0.045)
        figure.limb(elbow, hand, 0.042, skin if bare else tint(sleeve, 0.9), 0.036)
        figure.limb(hand, hand + vector(0.02, 0, -0.05), 0.04, skin)


def _torso_marks(figure: Figure, high: float, wide: float, top: Colour, rng: np.random.Generator) -> None:
    """Add a rucksack, a bag or stripes."""
    kind = rng.random()
    if kind < 0.25:
        colour = tint(TOPS[int(rng.integers(len(TOPS)))], 0.8)
        figure.hull([np.array([-0.17, s, z * high]) for s in (-0.1, 0.1) for z in (0.6, 0.77)], [0.07] * 4, colour)
    elif kind < 0.45:
        figure.limb(
            np.array([0, 0.26 * wide, 0.45 * high]), np.array([0.12, 0.26 * wide, 0.45 * high]), 0.1, (110, 66, 44)
        )
        figure.draw()
    elif kind < 0.65:
        colour = tint(top, 1.8) if sum(top) < 380 else tint(top, 0.4)
        for level in (0.6, 0.67, 0.74):
            figure.stripe(level * high, 0.13 * wide, 0.025, colour)


def draw_head(
    figure: Figure,
    centre: Points,
    radius: float,
    skin: Colour,
    hair: Colour,
    rng: np.random.Generator,
    helmet: bool = False,
) -> None:
    """Paint neck, head and what is on it."""
    figure.limb(centre - (0.02, 0, radius * 1.7), centre, radius * 0.6, tint(skin, 0.85))
    figure.draw()
    figure.limb(centre, centre + vector(0, 0, radius * 0.25), radius, skin)
    figure.draw()
    if helmet:
        colour = TOPS[int(rng.integers(len(TOPS)))]
        figure.limb(
            centre + vector(-0.06, 0, radius * 0.75), centre + vector(0.05, 0, radius * 0.8), radius * 0.95, colour
        )
    elif rng.random() < 0.25:
        colour = TOPS[int(rng.integers(len(TOPS)))]
        figure.limb(
            centre + vector(-0.02, 0, radius * 0.7), centre + vector(0.02, 0, radius * 0.75), radius * 1.0, colour
        )
        figure.limb(
            centre + vector(0.04, 0, radius * 0.5),
            centre + vector(0.14, 0, radius * 0.45),
            radius * 0.3,
            tint(colour, 0.8),
        )
    else:
        long = radius * (1.3 if rng.random() < 0.4 else 0.2)
        figure.limb(
            centre + vector(-0.05, 0, radius * 0.55 - long),
            centre + vector(-0.02, 0, radius * 0.6),
            radius * 0.98,
            hair,
        )
    figure.draw()
