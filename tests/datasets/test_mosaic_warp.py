"""Tiles warped straight into the image against OpenCV's warp of the whole canvas."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frostline.datasets.mosaic_warp import Canvas, Tile, agrees_with_opencv, is_straight, warp

MOST = {"uint8": 255, "uint16": 65535, "float32": 1.0}
PADDING = {"uint8": 114.0, "uint16": 29298.0, "float32": 114 / 255}


def canvas_of(kind: str, side: int, x: int, y: int, seed: int) -> Canvas:
    """Four images of noise, of several heights, with a corner each at (x, y)."""
    draw = np.random.default_rng(seed)
    tiles = []
    for number, height in enumerate((side * 2 // 3, side, side // 2, side * 3 // 4)):
        image = (draw.random((height, side, 3)) * MOST[kind]).astype(kind)
        left, right = (max(x - side, 0), x) if number % 2 == 0 else (x, min(x + side, 2 * side))
        top, bottom = (max(y - height, 0), y) if number < 2 else (y, min(y + height, 2 * side))
        corner = side - (right - left) if number % 2 == 0 else 0, height - (bottom - top) if number < 2 else 0
        tiles.append(Tile(image, (left, top, right, bottom), corner))
    return Canvas((2 * side, 2 * side, 3), tiles, PADDING[kind])


def by_opencv(canvas: Canvas, matrix: np.ndarray, side: int) -> np.ndarray:
    return cv2.warpAffine(canvas.painted(), matrix[:2], dsize=(side, side), borderValue=(canvas.padding,) * 4)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("kind", list(MOST))
@settings(max_examples=40, deadline=None)
@given(
    side=st.sampled_from([32, 96, 160]),
    scale=st.floats(0.1, 2.0),
    move=st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
    centre=st.tuples(st.floats(0.5, 1.5), st.floats(0.5, 1.5)),
    seed=st.integers(0, 99),
)
def test_every_pixel_is_opencvs(
    kind: str, planar: bool, side: int, scale: float, move: tuple[float, float], centre: tuple[float, float], seed: int
) -> None:
    """Also between tiles, where one ends and padding begins, and outside."""
    canvas = canvas_of(kind, side, int(centre[0] * side), int(centre[1] * side), seed)
    matrix = np.eye(3, dtype=np.float32)
    matrix[0] = scale, 0, (move[0] - scale) * side
    matrix[1] = 0, scale, (move[1] - scale) * side
    assert is_straight(matrix, side)
    ours = warp(canvas, matrix, (side, side), planar=planar)
    theirs = by_opencv(canvas, matrix, side)
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    assert np.array_equal(ours, theirs), int((ours != theirs).sum())


@pytest.mark.parametrize("kind", list(MOST))
def test_a_large_image_is_opencvs_too(kind: str) -> None:
    canvas = canvas_of(kind, 1280, 1111, 1422, 0)
    matrix = np.array([[0.7312, 0, -260.4], [0, 0.7312, -371.9], [0, 0, 1]], np.float32)
    assert np.array_equal(warp(canvas, matrix, (1280, 1280), planar=False), by_opencv(canvas, matrix, 1280))


def test_planes_lie_as_a_network_takes_them() -> None:
    canvas = canvas_of("uint16", 96, 90, 100, 0)
    image = warp(canvas, np.eye(3, dtype=np.float32), (96, 96), planar=True)
    assert image.transpose(2, 0, 1)[::-1].flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("kind", list(MOST))
def test_what_opencv_does_here_is_tried_before_it_is_trusted(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert agrees_with_opencv(kind)
    other = cv2.warpAffine
    off = {"uint8": 1, "uint16": 1, "float32": 1e-7}[kind]
    monkeypatch.setattr(cv2, "warpAffine", lambda *args, **more: other(*args, **more) + np.array(off, kind))
    assert not agrees_with_opencv.__wrapped__(kind)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0.01, 0], [0, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [0.01, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [0, 1, 0], [1e-4, 0, 1]],
        [[-1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 1]],
    ],
)
def test_other_warps_are_opencvs_own(matrix: list[list[float]]) -> None:
    assert not is_straight(np.array(matrix, np.float32), 96)
    assert not is_straight(np.eye(3, dtype=np.float32), 100)
