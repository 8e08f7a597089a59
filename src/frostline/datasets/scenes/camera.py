"""A pinhole camera that looks level along a street: X to the right, Y up, Z ahead, in metres; the ground is Y = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

NEAR = 0.8
"""Nothing nearer than this many metres is drawn."""


def vector(*components: float) -> Points:
    """Make an array of a few numbers."""
    return np.array(components, float)


@dataclass(frozen=True)
class Camera:
    """Where the camera stands and how it maps the world to pixels.

    Attributes:
        width: of the canvas in pixels.
        height: of the canvas in pixels.
        focal: focal length in pixels of the canvas.
        centre: (2,) the pixel that looks straight ahead, (column, row); its row is the horizon.
        x: where the camera stands across the street, in metres.
        y: its height over the ground in metres.
    """

    width: int
    height: int
    focal: float
    centre: tuple[float, float]
    x: float
    y: float

    def project(self, points: Points) -> Points:
        """Map (..., 3) world points, all with Z > 0, to (..., 2) pixels."""
        scale = self.focal / points[..., 2]
        pixels = np.empty((*points.shape[:-1], 2))
        pixels[..., 0] = self.centre[0] + scale * (points[..., 0] - self.x)
        pixels[..., 1] = self.centre[1] - scale * (points[..., 1] - self.y)
        return pixels

    def rays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give the slopes X/Z of the columns, (1, width), and Y/Z of the rows, (height, 1), relative to the camera."""
        columns = (np.arange(self.width, dtype=np.float32) - self.centre[0]) / self.focal
        rows = (self.centre[1] - np.arange(self.height, dtype=np.float32)) / self.focal
        return columns[np.newaxis].astype(np.float32), rows[:, np.newaxis].astype(np.float32)

    def half_width_at(self, z: float) -> tuple[float, float]:
        """Give the X of the left and the right edge of the picture at a depth."""
        left = self.x - self.centre[0] * z / self.focal
        return left, left + self.width * z / self.focal


def clip_near(points: Points) -> Points:
    """Cut a polygon of (N, 3) points at the near plane; an empty array where nothing is left."""
    ahead = points[:, 2] >= NEAR
    if ahead.all():
        return points
    kept = []
    for index, point in enumerate(points):
        before = points[index - 1]
        if ahead[index] != ahead[index - 1]:
            share = (NEAR - before[2]) / (point[2] - before[2])
            kept.append(before + share * (point - before))
        if ahead[index]:
            kept.append(point)
    return np.array(kept) if len(kept) > 2 else np.empty((0, 3))
