"""The canvas on which a scene is painted from far to near: what is seen at each pixel, before any light falls on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.datasets.scenes.camera import NEAR, Camera, Points, clip_near

Colour = tuple[int, int, int]

SKY = 255
"""The owner of pixels that show the sky. The street is 0, objects count from 1."""

FOLIAGE = 254
"""The owner of leaves, which take no shadow from leaves: their own side away from the sun is painted dark already."""

_SUBPIXEL_BITS = 4


class Canvas:
    """Colour, depth, facing and owner of every pixel.

    Attributes:
        camera: the camera.
        colour: (H, W, 3) uint8, reflectance as an sRGB value.
        inverse_depth: (H, W) float32, 1 / Z in 1/m; 0 for the sky.
        facing: (H, W) uint8, how much of the sun the surface would see without other things in its way.
        owner: (H, W) uint8, `SKY`, 0 for the street, else the number of an object.
    """

    def __init__(self, camera: Camera) -> None:
        shape = (camera.height, camera.width)
        self.camera = camera
        self.colour = np.zeros((*shape, 3), np.uint8)
        self.inverse_depth = np.zeros(shape, np.float32)
        self.facing = np.full(shape, 255, np.uint8)
        self.owner = np.full(shape, SKY, np.uint8)

    def face(self, points: Points, colour: Colour, facing: int, owner: int) -> None:
        """Paint a flat polygon of (N, 3) world points."""
        points = clip_near(points)
        if len(points) < 3:
            return
        camera = self.camera
        pixels = camera.project(points)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        left, top = max(0, math.floor(low[0]) - 1), max(0, math.floor(low[1]) - 1)
        right, bottom = min(camera.width, math.ceil(high[0]) + 2), min(camera.height, math.ceil(high[1]) + 2)
        if right <= left or bottom <= top:
            return
        fixed = [_fixed(pixels)]
        cv2.fillPoly(self.colour, fixed, colour, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.facing, fixed, facing, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.owner, fixed, owner, cv2.LINE_8, _SUBPIXEL_BITS)
        normal = cross(points[1] - points[0], points[2] - points[0])
        offset = normal @ (points[0] - (camera.x, camera.y, 0))
        if abs(offset) < 1e-9 * np.abs(normal).max():  # seen edge on
            return
        inside = np.zeros((bottom - top, right - left), np.uint8)
        shifted = fixed[0] - np.array((left << _SUBPIXEL_BITS, top << _SUBPIXEL_BITS), np.int32)
        cv2.fillPoly(inside, [shifted], 1, cv2.LINE_8, _SUBPIXEL_BITS)
        # On a plane 1 / Z is linear in the pixel's column and row.
        across = normal[0] * (np.arange(left, right) - camera.centre[0]) / camera.focal
        down = normal[1] * (camera.centre[1] - np.arange(top, bottom)) / camera.focal + normal[2]
        plane = ((across[np.newaxis] + down[:, np.newaxis]) / offset).astype(np.float32)
        np.copyto(self.inverse_depth[top:bottom, left:right], np.maximum(plane, 1e-4), where=inside.view(bool))

    def decals(self, polygons: Sequence[Points] | Points, colour: Colour) -> None:
        """Paint flat polygons, (N, 3) each, onto what is there already: only the colour changes."""
        self.paint([(points, colour) for points in polygons])

    def paint(self, decals: Sequence[tuple[Points, Colour]]) -> None:
        """Paint flat polygons, (N, 3) each, in a colour of their own, one over the other."""
        if not decals:
            return
        points = np.concatenate([polygon for polygon, _ in decals])
        if points[:, 2].min() < NEAR:
            decals = [(clipped, colour) for polygon, colour in decals if len(clipped := clip_near(polygon)) > 2]
            if not decals:
                return
            points = np.concatenate([polygon for polygon, _ in decals])
        fixed, start = _fixed(self.camera.project(points)), 0
        for polygon, colour in decals:
            part = fixed[start : start + len(polygon)]
            cv2.fillPoly(self.colour, [part], colour, cv2.LINE_8, _SUBPIXEL_BITS)
            start += len(polygon)

    def blob(self, pixels: NDArray[np.float64], colour: Colour, facing: int, owner: int, depth: float) -> None:
        """Paint a polygon of (N, 2) pixels, all at one depth."""
        self.rings([pixels], colour, facing, owner, depth)

    def rings(
        self, outlines: Sequence[NDArray[np.float64]], colour: Colour, facing: int, owner: int, depth: float
    ) -> None:
        """Paint polygons of (N, 2) pixels at one depth; where two overlap there is a hole."""
        self._fill([_fixed(outline) for outline in outlines], colour, facing, owner, depth)

    def blobs(
        self,
        outlines: NDArray[np.float64],
        colours: Sequence[Colour],
        facings: Sequence[int],
        owner: int,
        depths: NDArray[np.float64],
    ) -> None:
        """Paint many polygons, (M, N, 2) pixels, one over the other."""
        for outline, colour, facing, depth in zip(_fixed(outlines), colours, facings, depths.tolist(), strict=True):
            self._fill([outline], colour, facing, owner, depth)

    def mark(self, pixels: NDArray[np.float64], colour: Colour) -> None:
        """Paint a polygon of (N, 2) pixels onto what is there already: only the colour changes."""
        cv2.fillPoly(self.colour, [_fixed(pixels)], colour, cv2.LINE_8, _SUBPIXEL_BITS)

    def _fill(self, fixed: list[NDArray[np.int32]], colour: Colour, facing: int, owner: int, depth: float) -> None:
        cv2.fillPoly(self.colour, fixed, colour, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.facing, fixed, facing, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.owner, fixed, owner, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.inverse_depth, fixed, 1 / depth, cv2.LINE_8, _SUBPIXEL_BITS)


def tint(colour: Colour, factor: float) -> Colour:
    """Scale the reflectance behind an sRGB colour."""
    gain = factor ** (1 / 2.2)
    red, green, blue = colour
    return min(255, round(red * gain)), min(255, round(green * gain)), min(255, round(blue * gain))


def cross(one: Points, other: Points) -> Points:
    """Give the cross product of two (3,) vectors; NumPy's takes twenty times as long for a single pair."""
    (a, b, c), (d, e, f) = one.tolist(), other.tolist()
    return np.array((b * f - c * e, c * d - a * f, a * e - b * d))


def capsule(start: Points, end: Points, radius: float, end_radius: float | None = None) -> NDArray[np.float64]:
    """Outline a bar with round ends between two pixels, (18, 2); the radii are in pixels."""
    end_radius = radius if end_radius is None else end_radius
    x, y = (end - start).tolist()
    length = math.hypot(x, y)
    cos, sin = (x / length, y / length) if length > 1e-9 else (1.0, 0.0)
    outline = np.empty((18, 2))
    back = _half_circle() @ np.array([(cos, sin), (-sin, cos)])
    outline[:9] = start + radius * back
    outline[9:] = end - end_radius * back
    return outline


@cache
def _half_circle() -> NDArray[np.float64]:
    turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 9)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def _fixed(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
    # Bounded, as OpenCV's polygons are 32-bit and the near plane can throw a point very far.
    scaled = np.minimum(np.maximum(pixels, -30000), 30000) * (1 << _SUBPIXEL_BITS)
    return np.asarray(np.rint(scaled), dtype=np.int32)
