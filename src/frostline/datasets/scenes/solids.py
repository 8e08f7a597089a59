"""Boxes, panels and wheels: the parts that buildings and vehicles are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.datasets.scenes.camera import Points
from frostline.datasets.scenes.canvas import Canvas, Colour, cross, tint
from frostline.datasets.scenes.light import Light

Shares = float | NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Where an object stands and where it looks.

    Attributes:
        x: of its centre on the ground, in metres.
        z: the same, ahead of the camera.
        heading: in radians; 0 drives away from the camera, pi comes towards it, pi/2 goes to the right.
    """

    x: float
    z: float
    heading: float

    def world(self, local: Points) -> Points:
        """Map (..., 3) local points (ahead, to the right, up) to world points."""
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        points = np.empty(local.shape)
        points[..., 0] = self.x + local[..., 0] * sin + local[..., 1] * cos
        points[..., 1] = local[..., 2]
        points[..., 2] = self.z + local[..., 0] * cos - local[..., 1] * sin
        return points

    def footprint(self, rear: float, front: float, half_width: float) -> Points:
        """Give the (4, 2) corners in X and Z of a rectangle on the ground."""
        corners = [(rear, -half_width, 0), (front, -half_width, 0), (front, half_width, 0), (rear, half_width, 0)]
        return self.world(np.array(corners, float))[:, [0, 2]]


@dataclass(frozen=True)
class Panel:
    """A flat polygon of a solid, with what is painted on it.

    Attributes:
        points: (N, 3) local points, counter-clockwise seen from outside.
        colour: of the panel.
        decals: polygons of (N, 3) local points with their colours, painted in order.
    """

    points: Points
    colour: Colour
    decals: tuple[tuple[Points, Colour], ...] = ()


def outward(points: Points, inside: Points) -> NDArray[np.float64]:
    """Give the unit normal of a polygon that points away from a point inside the solid."""
    normal = cross(points[1] - points[0], points[2] - points[0])
    length = float(np.linalg.norm(normal))
    if length < 1e-9:
        return np.array([0.0, 1.0, 0.0])
    normal = normal / length
    return normal if normal @ (points.mean(axis=0) - inside) > 0 else -normal


def draw_panels(canvas: Canvas, panels: list[Panel], pose: Pose, light: Light, owner: int) -> None:
    """Paint the panels of a convex solid that face the camera, from far to near."""
    world = [pose.world(panel.points) for panel in panels]
    inside = np.mean([points.mean(axis=0) for points in world], axis=0)
    eye = np.array([canvas.camera.x, canvas.camera.y, 0.0])
    order = sorted(range(len(panels)), key=lambda index: -float(np.linalg.norm(world[index].mean(axis=0) - eye)))
    for index in order:
        points, panel = world[index], panels[index]
        normal = outward(points, inside)
        if normal @ (eye - points.mean(axis=0)) <= 0:
            continue
        facing, shade = facing_of(normal, light)
        canvas.face(points, tint(panel.colour, shade), facing, owner)
        if panel.decals:
            decals = pose.world(np.concatenate([decal for decal, _ in panel.decals]))
            ends = np.cumsum([len(decal) for decal, _ in panel.decals])[:-1]
            tints = [tint(colour, shade) for _, colour in panel.decals]
            canvas.paint(list(zip(np.split(decals, ends), tints, strict=True)))


def facing_of(normal: NDArray[np.float64], light: Light) -> tuple[int, float]:
    """Say how much sun a surface sees (0 or 255, soft where it is grazed), and how much to tone its colour."""
    towards = float(normal @ light.direction)
    facing = round(255 * min(1.0, max(0.0, towards / 0.18)))
    return facing, 0.78 + 0.22 * min(1.0, max(0.0, 0.5 * towards + 0.5 * float(normal[1]) + 0.35))


def box(rear: float, front: float, half_width: float, low: float, high: float) -> list[Points]:
    """Give the faces of a box as (4, 3) local points: right, left, front, rear, top."""
    w = half_width
    faces = [
        [(rear, w, low), (front, w, low), (front, w, high), (rear, w, high)],
        [(front, -w, low), (rear, -w, low), (rear, -w, high), (front, -w, high)],
        [(front, w, low), (front, -w, low), (front, -w, high), (front, w, high)],
        [(rear, -w, low), (rear, w, low), (rear, w, high), (rear, -w, high)],
        [(rear, w, high), (front, w, high), (front, -w, high), (rear, -w, high)],
    ]
    return [np.array(face, float) for face in faces]


def patch(face: Points, left: float, right: float, low: float, high: float) -> Points:
    """Give a rectangle on a four-cornered face by shares of its sides: (4, 3) points."""
    corners = ((left, low), (right, low), (right, high), (left, high))
    # Plain numbers: this is called for every mark on every vehicle, and small arrays are slow to make.
    weights = [((1 - a) * (1 - b), a * (1 - b), a * b, (1 - a) * b) for a, b in corners]
    return np.asarray(np.array(weights) @ face)


def patches(face: Points, left: Shares, right: Shares, low: Shares, high: Shares) -> Points:
    """Give many rectangles on a four-cornered face by shares of its sides: (M, 4, 3) points."""
    left, right, low, high = np.broadcast_arrays(*np.atleast_1d(left, right, low, high))
    across = np.stack([left, right, right, left], axis=1)[..., np.newaxis]
    up = np.stack([low, low, high, high], axis=1)[..., np.newaxis]
    lower = face[0] + across * (face[1] - face[0])
    upper = face[3] + across * (face[2] - face[3])
    return np.asarray(lower + up * (upper - lower))


def disc(ahead: float, side: float, up: float, radius: float) -> Points:
    """Give a wheel's outline in the plane of a side: (20, 3) local points."""
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return np.stack([ahead + radius * np.cos(turn), np.full(20, side), up + radius * np.sin(turn)], axis=1)
