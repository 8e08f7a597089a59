"""The canvas on which a scene is painted from far to near: what is seen at each pixel, before any light falls on it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.datasets.scenes.camera import Camera, Points, clip_near

Colour = tuple[int, int, int]

SKY = 255
"""The owner of pixels that show the sky. The street is 0, objects count from 1."""

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
        pixels = self.camera.project(points)
        fixed = [_fixed(pixels)]
        cv2.fillPoly(self.colour, fixed, colour, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.facing, fixed, facing, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.owner, fixed, owner, cv2.LINE_8, _SUBPIXEL_BITS)
        left, top = np.clip(np.floor(pixels.min(axis=0)) - 1, 0, (camera.width, camera.height)).astype(int)
        right, bottom = np.clip(np.ceil(pixels.max(axis=0)) + 2, 0, (camera.width, camera.height)).astype(int)
        if right <= left or bottom <= top:
            return
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        offset = normal @ (points[0] - (camera.x, camera.y, 0))
        if abs(offset) < 1e-9 * np.abs(normal).max():  # seen edge on
            return
        inside = np.zeros((bottom - top, right - left), np.uint8)
        origin = (int(-left) << _SUBPIXEL_BITS, int(-top) << _SUBPIXEL_BITS)
        cv2.fillPoly(inside, [fixed[0] + np.array(origin, np.int32)], 1, cv2.LINE_8, _SUBPIXEL_BITS)
        # On a plane 1 / Z is linear in the pixel's column and row.
        across = normal[0] * (np.arange(left, right) - camera.centre[0]) / camera.focal
        down = normal[1] * (camera.centre[1] - np.arange(top, bottom)) / camera.focal + normal[2]
        plane = ((across[np.newaxis] + down[:, np.newaxis]) / offset).astype(np.float32)
        np.copyto(self.inverse_depth[top:bottom, left:right], np.maximum(plane, 1e-4), where=inside.view(bool))

    def decals(self, polygons: Sequence[Points] | Points, colour: Colour) -> None:
        """Paint flat polygons, (N, 3) each, onto what is there already: only the colour changes."""
        if isinstance(polygons, np.ndarray) and polygons.size and polygons[..., 2].min() > 1:
            fixed = list(_fixed(self.camera.project(polygons)))
        else:
            kept = [clip_near(points) for points in polygons]
            fixed = [_fixed(self.camera.project(points)) for points in kept if len(points) > 2]
        for polygon in fixed:  # one at a time: overlapping polygons of one call would cut holes into each other
            cv2.fillPoly(self.colour, [polygon], colour, cv2.LINE_8, _SUBPIXEL_BITS)

    def blob(self, pixels: NDArray[np.float64], colour: Colour, facing: int, owner: int, depth: float) -> None:
        """Paint a polygon of (N, 2) pixels, all at one depth."""
        self.rings([pixels], colour, facing, owner, depth)

    def rings(
        self, outlines: Sequence[NDArray[np.float64]], colour: Colour, facing: int, owner: int, depth: float
    ) -> None:
        """Paint polygons of (N, 2) pixels at one depth; where two overlap there is a hole."""
        fixed = [_fixed(outline) for outline in outlines]
        cv2.fillPoly(self.colour, fixed, colour, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.facing, fixed, facing, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.owner, fixed, owner, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.inverse_depth, fixed, 1 / depth, cv2.LINE_8, _SUBPIXEL_BITS)


def tint(colour: Colour, factor: float) -> Colour:
    """Scale the reflectance behind an sRGB colour."""
    gain = factor ** (1 / 2.2)
    red, green, blue = (min(255, max(0, round(channel * gain))) for channel in colour)
    return red, green, blue


def capsule(start: Points, end: Points, radius: float, end_radius: float | None = None) -> NDArray[np.float64]:
    """Outline a bar with round ends between two pixels, (18, 2); the radii are in pixels."""
    end_radius = radius if end_radius is None else end_radius
    along = np.arctan2(end[1] - start[1], end[0] - start[0])
    turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 9) + along
    back = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([start + radius * back, end - end_radius * back])


def _fixed(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
    # Half a pixel, as OpenCV's pixel centres lie on whole numbers; bounded, as its polygons are 32-bit.
    scaled = np.clip(pixels, -30000, 30000) * (1 << _SUBPIXEL_BITS)
    return np.rint(scaled).astype(np.int32)
