"""One scene, from a seed to pixels, boxes and the true illuminant spectral direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.datasets.scenes.buildings import draw_building, sample_buildings
from frostline.datasets.scenes.camera import Camera
from frostline.datasets.scenes.canvas import SKY, Canvas
from frostline.datasets.scenes.car import draw_car
from frostline.datasets.scenes.cyclist import draw_cyclist
from frostline.datasets.scenes.layout import Thing, far_to_near, sample_props, sample_things
from frostline.datasets.scenes.light import Light, expose, illuminate, sample_light
from frostline.datasets.scenes.people import draw_pedestrian
from frostline.datasets.scenes.props import draw_prop
from frostline.datasets.scenes.shadowmap import ShadowMap
from frostline.datasets.scenes.street import draw_ground, draw_road, draw_skyline, sample_street, sky_picture
from frostline.datasets.scenes.surface import Surface, roughness, surface_of
from frostline.datasets.scenes.tram import draw_tram
from frostline.datasets.scenes.truck import draw_truck
from frostline.errors import InputError
from frostline.imaging import srgb_to_linear

_SUPERSAMPLING = 2
_SMALLEST_SIDE_PX = 5.0
_LEAST_VISIBLE = 0.4
_LEAST_IN_PICTURE = 0.3
_LARGE = 0.02

Draw = Callable[..., None]
_DRAW: tuple[Draw, ...] = (draw_car, draw_cyclist, draw_pedestrian, draw_tram, draw_truck)


@dataclass(frozen=True)
class Scene:
    """A rendered street.

    Attributes:
        linear: (H, W, 3) uint16 linear RGB.
        boxes: (N, 4) float32, left, top, right, bottom in pixels, around what is visible of each object.
        classes: (N,) int64 class ids, the order of `CLASSES`.
        mask: (H, W) uint8, how much of the sun is missing: 0 in full sun and in the sky, 255 in full shadow.
        isd: (3,) float32, the true illuminant spectral direction, a unit vector.
    """

    linear: NDArray[np.uint16]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    mask: NDArray[np.uint8]
    isd: NDArray[np.float32]


def render_scene(
    seed: int | np.random.Generator, size: tuple[int, int] = (480, 320), *, noise: bool = True, shadows: bool = True
) -> Scene:
    """Render one street.

    Args:
        seed: a number, or a generator that is drawn from; the same one gives the same scene.
        size: width and height in pixels.
        noise: whether the sensor adds shot and read noise.
        shadows: whether things cut off the sun from each other and from the ground. Without, it is the same scene but
            for its cast shadows, and the ratio of the two is the illuminants' alone.

    Returns:
        The scene, with a box for every object of which enough is visible.

    Raises:
        InputError: for a size below 96 x 64 or above 4096 pixels.
    """
    check_size(size)
    width, height = size
    rng = np.random.default_rng(seed)
    light = sample_light(rng)
    camera = _sample_camera(width * _SUPERSAMPLING, height * _SUPERSAMPLING, rng)
    canvas, cast = Canvas(camera), ShadowMap(light)
    sky = sky_picture(camera, size, rng)
    things, seen = _paint(canvas, cast, light, rng)
    surface = surface_of(canvas)
    reflectance = _reflectance(canvas, surface)
    visibility = canvas.facing.astype(np.float32) * np.float32(1 / 255)
    if shadows:
        visibility *= 1 - cast.shadow(surface.x, surface.y, surface.z, canvas.owner)
    visibility[canvas.owner == SKY] = 1
    sunlit = reflectance * cv2.merge([visibility] * 3)
    radiance = illuminate(_shrink(reflectance, size), _shrink(sunlit, size), light)
    open_sky = _shrink((canvas.owner == SKY).astype(np.float32), size)
    radiance += sky * (open_sky * np.float32(light.sun.max() + light.sky.max()))[..., np.newaxis]
    linear = expose(radiance, rng if noise else None)
    mask = np.rint(255 * (1 - _shrink(visibility, size))).astype(np.uint8)
    boxes, classes = _boxes(canvas.owner, things, seen)
    return Scene(linear, boxes, classes, mask, light.isd)


def check_size(size: tuple[int, int]) -> None:
    """Refuse a picture too small to show a street, or too large to hold at the renderer's double resolution."""
    width, height = size
    if width < 96 or height < 64 or max(size) > 4096:
        raise InputError(f"scenes of {width} x {height} pixels; expected 96 x 64 to 4096 x 4096")


def _sample_camera(width: int, height: int, rng: np.random.Generator) -> Camera:
    centre = (width * rng.uniform(0.36, 0.64), height * rng.uniform(0.34, 0.46))
    return Camera(width, height, width * rng.uniform(0.85, 1.1), centre, rng.uniform(-3.2, 4.0), rng.uniform(1.6, 3.0))


def _paint(
    canvas: Canvas, cast: ShadowMap, light: Light, rng: np.random.Generator
) -> tuple[list[Thing], list[tuple[int, float]]]:
    """Paint everything from far to near, and say of each object how much was painted and how much is in the picture."""
    street = sample_street(rng)
    things = sample_things(street, canvas.camera, rng)
    props = sample_props(street, canvas.camera, things, rng)
    draw_ground(canvas, street)
    draw_skyline(canvas, rng)
    draw_road(canvas, street, rng)
    for building in sample_buildings(street, rng):
        draw_building(canvas, building, street, light, cast, rng)
    seen: list[tuple[int, float]] = [(0, 0.0)] * len(things)
    for item in far_to_near(things, props, canvas.camera):
        if not isinstance(item, Thing):
            draw_prop(canvas, item, light, cast)
            continue
        index = things.index(item)
        for shadows in (cast, None):
            _DRAW[item.kind](canvas, item.pose, light, shadows, index + 1, np.random.default_rng(item.seed))
        painted = canvas.owner == index + 1
        seen[index] = (int(np.count_nonzero(painted)), _share_in_picture(canvas.camera, item))
    return things, seen


def _reflectance(canvas: Canvas, surface: Surface) -> NDArray[np.float32]:
    """Give what each pixel reflects; nothing in the sky."""
    table = srgb_to_linear(np.arange(256, dtype=np.uint8)).astype(np.float32) / np.float32(65535)
    factor = roughness(surface, canvas.owner)
    factor[canvas.owner == SKY] = 0
    reflectance = cv2.LUT(canvas.colour, table) * cv2.merge([factor] * 3)
    return np.asarray(np.minimum(reflectance, 1), dtype=np.float32)


def _shrink(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _share_in_picture(camera: Camera, thing: Thing) -> float:
    """Say how much of an object's outline lies within the picture."""
    high = (1.5, 1.7, 1.75, 3.3, 3.2)[thing.kind]
    ground = thing.pose.footprint(-thing.half_length, thing.half_length, thing.half_width)
    corners = np.array([(x, y, max(z, 0.8)) for x, z in ground for y in (0.0, high)])
    pixels = camera.project(corners)
    whole = np.ptp(pixels, axis=0)
    inside = np.ptp(np.clip(pixels, 0, (camera.width, camera.height)), axis=0)
    return float(np.prod(inside) / max(1e-9, np.prod(whole)))


def _boxes(
    owner: NDArray[np.uint8], things: list[Thing], seen: list[tuple[int, float]]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Box what is visible of each object; one that is mostly hidden, outside or tiny gets no box."""
    boxes, classes = [], []
    for index, (thing, (painted, share)) in enumerate(zip(things, seen, strict=True), start=1):
        visible = (owner == index).view(np.uint8)
        pixels, (left, top, width, height) = cv2.countNonZero(visible), cv2.boundingRect(visible)
        # Something large right beside the camera fills the picture with a small part of itself.
        beside = share < _LEAST_IN_PICTURE and pixels < _LARGE * owner.size
        if not pixels or pixels < _LEAST_VISIBLE * painted or beside:
            continue
        box = np.array([left, top, left + width, top + height]) / _SUPERSAMPLING
        if min(box[2] - box[0], box[3] - box[1]) >= _SMALLEST_SIDE_PX:
            boxes.append(box)
            classes.append(thing.kind)
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64)
