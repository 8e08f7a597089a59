"""Which rays of the sun are cut off, kept as a map of the ground.

All points on one ray of the sun share the place where it meets the ground. So one map of the ground, seen from above,
says for every point in space whether its ray is cut: directly for buildings and trees, which are higher than what they
shade, and with the height at which the ray leaves its last obstacle for things that stand on the street.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.datasets.scenes.camera import Points
from frostline.datasets.scenes.canvas import FOLIAGE
from frostline.datasets.scenes.light import Light

_METRES_PER_CELL = 0.08
_WEST, _EAST, _SOUTH, _NORTH = -13.0, 32.0, -6.0, 74.0
_FIXED_BITS = 4
_GROUND = 0.05


class ShadowMap:
    """Collects what casts shadows, then answers for every pixel how much of the sun is cut off.

    Attributes:
        light: where the sun stands.
    """

    def __init__(self, light: Light) -> None:
        shape = (round((_NORTH - _SOUTH) / _METRES_PER_CELL), round((_EAST - _WEST) / _METRES_PER_CELL))
        self.light = light
        self._walls = np.zeros(shape, np.uint8)
        self._leaves = np.zeros(shape, np.uint8)
        self._height = np.zeros(shape, np.float32)
        self._owner = np.zeros(shape, np.uint8)

    def wall(self, footprint: Points, height: float) -> None:
        """Add something tall with a convex footprint of (N, 2) points in X and Z."""
        cv2.fillConvexPoly(self._walls, self._swept(footprint, 0, height), 255, cv2.LINE_8, _FIXED_BITS)

    def leaves(self, centres: Points, radii: NDArray[np.float64]) -> None:
        """Add balls of leaves around (N, 3) points."""
        cells = self._cells(centres[:, [0, 2]] + centres[:, 1:2] * self.light.shift).tolist()
        sizes = np.maximum(1, radii / _METRES_PER_CELL * (1 << _FIXED_BITS)).astype(int).tolist()
        for cell, size in zip(cells, sizes, strict=True):
            cv2.circle(self._leaves, cell, size, 255, -1, cv2.LINE_8, _FIXED_BITS)

    def thing(self, footprint: Points, low: float, high: float, owner: int) -> None:
        """Add a part of an object on the street: a convex footprint of (N, 2) points between two heights."""
        levels = np.linspace(low, high, 6)
        for below, above in pairwise(levels.tolist()):
            cells = self._swept(footprint, below, above)
            cv2.fillConvexPoly(self._height, cells, above, cv2.LINE_8, _FIXED_BITS)
            cv2.fillConvexPoly(self._owner, cells, owner, cv2.LINE_8, _FIXED_BITS)

    def shadow(
        self, x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32], owner: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """Say how much of the sun is cut off at points of the world, 0 to 1.

        Args:
            x: (H, W) in metres.
            y: (H, W) in metres over the ground.
            z: (H, W) in metres.
            owner: (H, W) the object that each point is on; an object does not cast its own shadow on itself here.
        """
        across, ahead = (np.float32(step) for step in self.light.shift)
        column = (x + y * across - np.float32(_WEST)) * np.float32(1 / _METRES_PER_CELL)
        row = (z + y * ahead - np.float32(_SOUTH)) * np.float32(1 / _METRES_PER_CELL)
        walls = _soft(self._walls, self.light.penumbra)
        cut = cv2.remap(walls, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        leaves = cv2.remap(_soft(self._leaves, 0.09), column, row, cv2.INTER_LINEAR)
        leaves[owner == FOLIAGE] = 0
        cut = cv2.max(cut, leaves)
        things = cv2.remap(
            _soft((self._height > 0).view(np.uint8) * np.uint8(255), 0.07), column, row, cv2.INTER_LINEAR
        )
        height = cv2.remap(self._height, column, row, cv2.INTER_NEAREST)
        caster = cv2.remap(self._owner, column, row, cv2.INTER_NEAREST)
        touched = (y < _GROUND) | ((height > y + np.float32(0.1)) & (caster != owner))
        shadow: NDArray[np.float32] = np.maximum(cut, things * touched).astype(np.float32) * np.float32(1 / 255)
        return shadow

    def _swept(self, footprint: Points, low: float, high: float) -> NDArray[np.int32]:
        """Outline, in cells, the shadow of a footprint that reaches from one height to another."""
        shift = self.light.shift
        cells = self._cells(np.concatenate([footprint + shift * low, footprint + shift * high]))
        return np.asarray(cv2.convexHull(cells), dtype=np.int32)

    @staticmethod
    def _cells(points: Points) -> NDArray[np.int32]:
        scale = (1 << _FIXED_BITS) / _METRES_PER_CELL
        return np.rint((points - (_WEST, _SOUTH)) * scale).astype(np.int32)


def _soft(cover: NDArray[np.uint8], spread: float) -> NDArray[np.uint8]:
    """Soften edges by a standard deviation in metres."""
    return np.asarray(cv2.GaussianBlur(cover, (0, 0), spread / _METRES_PER_CELL), dtype=np.uint8)
