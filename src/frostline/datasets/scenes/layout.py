"""Who is where: a street's objects and props, placed so that they do not run into each other, and in drawing order."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from frostline.datasets.scenes.camera import Camera
from frostline.datasets.scenes.props import Prop
from frostline.datasets.scenes.solids import Pose
from frostline.datasets.scenes.street import Street
from frostline.datasets.scenes.tram import tram_length

CLASSES = ("Car", "Cyclist", "Pedestrian", "Tram", "Truck")
"""The classes, in the order of their ids."""

_NEAREST = (6.0, 4.6, 4.0, 9.0, 8.0)
_FARTHEST = (30.0, 19.0, 18.0, 34.0, 34.0)
_HALF_LENGTH = (2.4, 0.95, 0.35, 12.0, 4.6)
_HALF_WIDTH = (0.98, 0.35, 0.35, 1.4, 1.3)
_MEAN_COUNT = (2.25, 1.6, 2.0, 1.45, 1.5)


@dataclass(frozen=True)
class Thing:
    """An object to be detected.

    Attributes:
        kind: its class id.
        pose: where it is.
        seed: of its looks.
        half_length: along its heading, in metres.
        half_width: across.
    """

    kind: int
    pose: Pose
    seed: int
    half_length: float
    half_width: float

    def extent(self, margin: float = 0.0) -> tuple[float, float, float, float]:
        """Give the box around its footprint: least X, greatest X, least Z, greatest Z."""
        sin, cos = abs(math.sin(self.pose.heading)), abs(math.cos(self.pose.heading))
        across = self.half_length * sin + self.half_width * cos + margin
        ahead = self.half_length * cos + self.half_width * sin + margin
        return self.pose.x - across, self.pose.x + across, self.pose.z - ahead, self.pose.z + ahead


def sample_things(street: Street, camera: Camera, rng: np.random.Generator) -> list[Thing]:
    """Draw the objects of a scene: eight or more are tried, and those that find room are kept."""
    counts = rng.poisson(np.array(_MEAN_COUNT) - 1) + (rng.random(5) < 0.92)
    while counts.sum() < 8:
        counts[int(rng.integers(5))] += 1
    # Large ones first: what is small finds room between them.
    kinds = [kind for kind in (3, 4, 0, 1, 2) for _ in range(min(int(counts[kind]), 2 if kind == 3 else 4))]
    placed: list[Thing] = []
    for kind in kinds:
        for _ in range(30):
            thing = _candidate(kind, street, camera, rng)
            if thing is not None and _has_room(thing, placed, camera):
                placed.append(thing)
                break
    return placed


def sample_props(street: Street, camera: Camera, placed: list[Thing], rng: np.random.Generator) -> list[Prop]:
    """Draw the trees, lamps, signs and bins of both pavements."""
    props = []
    trees = rng.random() < 0.75
    gap = rng.uniform(8, 14)
    for side in (-1, 1):
        z = rng.uniform(3, 10)
        while z < 48:
            kind = ("lamp", "sign", "bin")[int(rng.choice(3, p=(0.4, 0.35, 0.25)))]
            if trees and rng.random() < 0.6:
                kind = "tree"
            x = side * (street.road + rng.uniform(0.45, 0.7))
            crossing = street.crossing is not None and abs(z - street.crossing) < 6
            taken = any(_inside(x, z, thing.extent(0.5)) for thing in placed)
            if not (crossing or taken or abs(x - camera.x) < 0.9):
                props.append(Prop(kind, x, z, rng.uniform(0.8, 1.25), int(rng.integers(2**31))))
            z += gap * rng.uniform(0.45, 1.2)
    return props


def far_to_near(things: list[Thing], props: list[Prop], camera: Camera) -> list[Thing | Prop]:
    """Order things so that each is drawn after all that it may hide."""
    waiting: list[Thing | Prop] = [*things, *props]
    extents = [_extent(item) for item in waiting]
    order: list[Thing | Prop] = []
    while waiting:
        farthest = max(range(len(waiting)), key=lambda index: extents[index][2])
        free = [
            index
            for index in range(len(waiting))
            if not any(_hides(extents[index], other, camera) for k, other in enumerate(extents) if k != index)
        ]
        pick = max(free, key=lambda index: extents[index][2]) if free else farthest
        order.append(waiting.pop(pick))
        extents.pop(pick)
    return order


def _candidate(kind: int, street: Street, camera: Camera, rng: np.random.Generator) -> Thing | None:
    z = float(np.exp(rng.uniform(np.log(_NEAREST[kind]), np.log(_FARTHEST[kind]))))
    pose = (_car_pose, _cyclist_pose, _pedestrian_pose, _tram_pose, _truck_pose)[kind](z, street, rng)
    left, right = camera.half_width_at(pose.z)
    slack = _HALF_WIDTH[kind] * 0.4
    if kind != 3 and not left - slack < pose.x < right + slack:
        return None
    seed, length = int(rng.integers(2**31)), _HALF_LENGTH[kind]
    if kind == 3:
        length = tram_length(np.random.default_rng(seed)) / 2
        ahead = length * np.array([abs(np.sin(pose.heading)), abs(np.cos(pose.heading))])
        # Its near end, not its middle, is at the depth drawn above.
        pose = Pose(pose.x, pose.z + float(ahead[1]), pose.heading)
        if not camera.half_width_at(z)[0] - ahead[0] < pose.x < camera.half_width_at(z)[1] + ahead[0]:
            return None
    return Thing(kind, pose, seed, length, _HALF_WIDTH[kind])


def _traffic(x: float, z: float, rng: np.random.Generator, wobble: float = 0.05) -> Pose:
    """Drive on the right: away from the camera on the right half of the road, towards it on the left."""
    return Pose(x, z, (0.0 if x > 0 else np.pi) + float(rng.normal(0, wobble)))


def _car_pose(z: float, street: Street, rng: np.random.Generator) -> Pose:
    chance = rng.random()
    if street.crossing is not None and chance < 0.4:
        return _across(street, rng, 1.9)
    if chance < 0.7:
        parked = street.road - 1.0
        return _traffic(parked * rng.choice([-1, 1]) + rng.normal(0, 0.08), z, rng, 0.03)
    if chance < 0.85:
        return Pose(rng.uniform(-2.5, 2.5), z, rng.uniform(0, 2 * np.pi))
    return _traffic(street.lane * rng.choice([-1, 1]) + rng.normal(0, 0.15), z, rng)


def _truck_pose(z: float, street: Street, rng: np.random.Generator) -> Pose:
    chance = rng.random()
    if street.crossing is not None and chance < 0.4:
        return _across(street, rng, 1.9)
    place = street.road - 1.3 if chance < 0.7 else street.lane
    return _traffic(place * rng.choice([-1, 1]) + rng.normal(0, 0.1), z, rng, 0.04)


def _tram_pose(z: float, street: Street, rng: np.random.Generator) -> Pose:
    if street.crossing is not None and rng.random() < 0.3:
        return _across(street, rng, 1.6, 14)
    x = street.lane * rng.choice([-1, 1])
    return Pose(x, z, 0.0 if x > 0 else np.pi)


def _across(street: Street, rng: np.random.Generator, lane: float, reach: float = 8.0) -> Pose:
    """Cross the picture on the cross street."""
    middle = street.crossing or 0.0
    right = rng.random() < 0.5
    x = rng.uniform(-reach, reach)
    return Pose(x, middle + (-lane if right else lane), (np.pi / 2 if right else -np.pi / 2) + rng.normal(0, 0.04))


def _cyclist_pose(z: float, street: Street, rng: np.random.Generator) -> Pose:
    chance = rng.random()
    if chance < 0.5:
        x = rng.uniform(-0.75, 0.75) * street.road
        return Pose(x, z, rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.35))
    x = street.road * 0.7 * rng.choice([-1, 1]) + rng.normal(0, 0.2)
    return _traffic(x, z, rng, 0.3)


def _pedestrian_pose(z: float, street: Street, rng: np.random.Generator) -> Pose:
    if rng.random() < 0.42:
        if street.crossing is not None and rng.random() < 0.6:
            z = street.crossing - 6.2 + rng.uniform(-1.2, 1.2)
        x = rng.uniform(-street.road, street.road)
        return Pose(x, max(z, 3.5), rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.3))
    x = rng.choice([-1, 1]) * (street.road + rng.uniform(0.5, street.pavement - 0.3))
    return Pose(x, z, rng.choice([0, np.pi]) + rng.normal(0, 0.5))


def _has_room(thing: Thing, placed: list[Thing], camera: Camera) -> bool:
    x0, x1, z0, z1 = thing.extent(0.25)
    if z0 < 3 and x0 - 0.6 < camera.x < x1 + 0.6:
        return False
    for other in placed:
        a0, a1, b0, b1 = other.extent(0.25)
        if x0 < a1 and a0 < x1 and z0 < b1 and b0 < z1:
            return False
    return True


def _inside(x: float, z: float, extent: tuple[float, float, float, float]) -> bool:
    return extent[0] < x < extent[1] and extent[2] < z < extent[3]


def _extent(item: Thing | Prop) -> tuple[float, float, float, float]:
    if isinstance(item, Thing):
        return item.extent()
    return item.x - 0.1, item.x + 0.1, item.z - 0.1, item.z + 0.1


def _hides(one: tuple[float, float, float, float], other: tuple[float, float, float, float], camera: Camera) -> bool:
    """Say whether the first may stand before the second, seen from the camera."""
    if one[3] <= other[2]:
        return True
    if other[3] <= one[2]:
        return False
    # Side by side: the one nearer to the camera's line of sight hides the other, on the same side of it.
    if one[0] >= other[1]:
        return camera.x > one[0]
    if other[0] >= one[1]:
        return camera.x < one[1]
    return (one[2] + one[3]) < (other[2] + other[3])
