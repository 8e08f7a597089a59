"""What stands on the pavements and is not to be detected: trees, lamp posts, signs, bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frostline.datasets.scenes.camera import Points, vector
from frostline.datasets.scenes.canvas import FOLIAGE, Canvas, Colour, capsule, tint
from frostline.datasets.scenes.light import Light
from frostline.datasets.scenes.shadowmap import ShadowMap

_LEAVES: tuple[Colour, ...] = ((96, 140, 62), (112, 148, 66), (84, 124, 66), (140, 150, 68), (166, 132, 60))


@dataclass(frozen=True)
class Prop:
    """A thing on the pavement.

    Attributes:
        kind: tree, lamp, sign or bin.
        x: in metres.
        z: in metres.
        size: a factor of its usual size.
        seed: of its details.
    """

    kind: str
    x: float
    z: float
    size: float
    seed: int


def draw_prop(canvas: Canvas, prop: Prop, light: Light, shadows: ShadowMap) -> None:
    """Paint a thing and let it cast its shadow."""
    rng = np.random.default_rng(prop.seed)
    {"tree": _tree, "lamp": _lamp, "sign": _sign, "bin": _bin}[prop.kind](canvas, prop, light, shadows, rng)


def bar(canvas: Canvas, start: Points, end: Points, radii: tuple[float, float], colour: Colour, light: Light) -> None:
    """Paint an upright round bar between two world points: its side away from the sun, and its sunny side over it."""
    depth = max(1.0, float(start[2] + end[2]) / 2)
    low, high = canvas.camera.project(np.array([start, end]))
    scale = canvas.camera.focal / depth
    first, second = radii[0] * scale, radii[1] * scale
    canvas.blob(capsule(low, high, first, second), tint(colour, 0.8), 30, 0, depth)
    share = 0.75 if light.direction[2] < 0 else 0.45
    aside = np.array([-(1 - share), 0.0])
    canvas.blob(
        capsule(low + aside * first, high + aside * second, first * share, second * share), colour, 255, 0, depth
    )


def _tree(canvas: Canvas, prop: Prop, light: Light, shadows: ShadowMap, rng: np.random.Generator) -> None:
    crown_low, crown = rng.uniform(2.4, 3.2), rng.uniform(1.3, 2.1) * prop.size
    foot = np.array([prop.x, 0.0, prop.z])
    fork = np.array([prop.x + rng.normal(0, 0.15), crown_low + crown * 0.6, prop.z])
    bark = tint((104, 84, 66), rng.uniform(0.7, 1.1))
    around = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    trunk = np.stack([prop.x + 0.14 * np.cos(around), prop.z + 0.14 * np.sin(around)], axis=1)
    shadows.wall(trunk, fork[1])
    bar(canvas, foot, fork, (0.16 * prop.size, 0.1 * prop.size), bark, light)
    middle = np.array([prop.x, crown_low + crown, prop.z])
    # Fewer clumps where the crown is small in the picture.
    count = int(np.clip(crown * canvas.camera.focal / prop.z * 0.9, 50, 150))
    spread = rng.standard_normal((count, 3))
    spread *= (rng.uniform(0.25, 1, count) ** 0.5 / np.linalg.norm(spread, axis=1))[:, np.newaxis]
    leaves = middle + spread * (crown, crown * 1.05, crown)
    sizes = rng.uniform(0.12, 0.27, count) * crown
    shadows.leaves(leaves, sizes * 0.8)
    colour = _LEAVES[int(rng.integers(len(_LEAVES)))]
    # From the side away from the sun towards it, so that the sunlit clumps come last and lie on top.
    side = spread @ light.direction
    order = np.argsort(side - spread[:, 2] * 0.6)
    leaves, side, radii = leaves[order], side[order], sizes[order] * canvas.camera.focal / leaves[order, 2]
    turn = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn) * 0.85], axis=1)
    wobble = radii[:, np.newaxis] * rng.uniform(0.8, 1.15, (count, 9))
    outlines = canvas.camera.project(leaves)[:, np.newaxis] + ring * wobble[..., np.newaxis]
    facings = np.clip(150 + 240 * side, 0, 255).astype(int).tolist()
    tones = 0.72 + 0.3 * np.clip(side + 0.5, 0, 1) + rng.uniform(-0.12, 0.12, count)
    canvas.blobs(outlines, [tint(colour, tone) for tone in tones.tolist()], facings, FOLIAGE, leaves[:, 2])


def _lamp(canvas: Canvas, prop: Prop, light: Light, shadows: ShadowMap, rng: np.random.Generator) -> None:
    high = rng.uniform(4.5, 6.5)
    towards = -np.sign(prop.x) * 1.3
    grey = tint((92, 96, 98), rng.uniform(0.5, 1.3))
    foot, top = np.array([prop.x, 0.0, prop.z]), np.array([prop.x, high, prop.z])
    head = top + vector(towards, 0.15, 0)
    post = np.array([(-0.05, -0.05), (0.05, -0.05), (0.05, 0.05), (-0.05, 0.05)]) + vector(prop.x, prop.z)
    shadows.wall(post, high)
    bar(canvas, foot, top, (0.08, 0.05), grey, light)
    bar(canvas, top, head, (0.04, 0.05), grey, light)
    bar(canvas, head - (0.3 * np.sign(towards), 0, 0), head, (0.1, 0.1), (214, 210, 190), light)


def _sign(canvas: Canvas, prop: Prop, light: Light, shadows: ShadowMap, rng: np.random.Generator) -> None:
    high, radius = rng.uniform(2.1, 2.6), 0.33
    post = np.array([(-0.03, -0.03), (0.03, -0.03), (0.03, 0.03), (-0.03, 0.03)]) + vector(prop.x, prop.z)
    shadows.wall(post, high)
    bar(
        canvas,
        np.array([prop.x, 0.0, prop.z]),
        np.array([prop.x, high, prop.z]),
        (0.035, 0.035),
        (150, 150, 150),
        light,
    )
    corners = int(rng.choice([3, 4, 20]))
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False) + (np.pi / 2 if corners == 3 else np.pi / 4)
    middle = canvas.camera.project(np.array([prop.x, high, prop.z - 0.05]))
    shape = np.stack([np.cos(turn), -np.sin(turn)], axis=1) * radius * canvas.camera.focal / prop.z
    rim, plate = ((186, 34, 34), (226, 226, 222)) if corners != 4 else ((222, 222, 222), (36, 76, 160))
    facing = 255 if light.direction[2] < 0 else 0
    canvas.blob(middle + shape, rim, facing, 0, prop.z)
    canvas.blob(middle + shape * 0.68, plate, facing, 0, prop.z)


def _bin(canvas: Canvas, prop: Prop, light: Light, shadows: ShadowMap, rng: np.random.Generator) -> None:
    colour = tint(((62, 84, 62), (70, 72, 76), (170, 98, 40))[int(rng.integers(3))], rng.uniform(0.7, 1.2))
    around = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    shadows.thing(np.stack([prop.x + 0.22 * np.cos(around), prop.z + 0.22 * np.sin(around)], axis=1), 0, 0.9, 0)
    bar(canvas, np.array([prop.x, 0.2, prop.z]), np.array([prop.x, 0.75, prop.z]), (0.22, 0.24), colour, light)
