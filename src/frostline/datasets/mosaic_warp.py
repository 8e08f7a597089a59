"""Four tiles of a mosaic scaled and moved straight into the final image, without the canvas of twice its size.

Ultralytics pastes the tiles on that canvas and has OpenCV warp it. The arithmetic here is that of OpenCV 5 for bilinear
`warpAffine`, in float32 and in its order, so that the pixels are the same to the bit, between tiles too;
`agrees_with_opencv` tries that. A row of the canvas exists only while the rows of the image that need it are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.analysis.compiling import contracted

STEP = 32
"""Widths are multiples of it: OpenCV computes the columns that are left over in another order."""

_F = np.float32
_U = np.uint64
_WHOLE = _F(2**23)  # added and subtracted, it rounds a float32 below itself to an even-halves integer


@dataclass(frozen=True)
class Tile:
    """A part of an image and its place on the canvas.

    Attributes:
        image: (h, w, 3) uint8, uint16 or float32.
        place: left, top, right, bottom on the canvas, pixels.
        corner: (x, y) in the image of what lies at the place's top left.
    """

    image: NDArray[Any]
    place: tuple[int, int, int, int]
    corner: tuple[int, int]


@dataclass(frozen=True)
class Canvas:
    """What a mosaic's canvas would hold.

    Attributes:
        shape: (height, width, 3).
        tiles: four, which do not overlap.
        padding: the value where there is no tile.
    """

    shape: tuple[int, int, int]
    tiles: Sequence[Tile]
    padding: float

    def painted(self) -> NDArray[Any]:
        """Return the canvas as an array."""
        canvas = np.full(self.shape, self.padding, dtype=self.tiles[0].image.dtype)
        for tile in self.tiles:
            (left, top, right, bottom), (x, y) = tile.place, tile.corner
            canvas[top:bottom, left:right] = tile.image[y : y + bottom - top, x : x + right - left]
        return canvas


def is_straight(matrix: NDArray[Any], width: int) -> bool:
    """Tell whether a matrix only scales and moves, and the width is one that `warp` gives OpenCV's pixels for."""
    flat = matrix[0, 1] == matrix[1, 0] == matrix[2, 0] == matrix[2, 1] == 0 and matrix[2, 2] == 1
    return bool(flat and matrix[0, 0] > 0 and matrix[1, 1] > 0 and width % STEP == 0)


def warp(canvas: Canvas, matrix: NDArray[Any], size: tuple[int, int], *, planar: bool) -> NDArray[Any]:
    """Warp a canvas as `cv2.warpAffine` does, bilinearly, with its padding outside.

    Args:
        canvas: the tiles.
        matrix: (3, 3) from the canvas to the image, straight as `is_straight` has it.
        size: width and height of the image.
        planar: keep the channels one after another in memory, red first: what a network is fed is then a view.

    Returns:
        (height, width, 3) of the tiles' type, blue first like them.
    """
    width, height = size
    wide, high, right, low = (np.float64(matrix[place]) for place in ((0, 0), (1, 1), (0, 2), (1, 2)))
    share = 1 / (wide * high)
    columns, across = _sources(high * share, -(high * share) * right, width, fused=True)
    rows, down = _sources(wide * share, -(wide * share) * low, height, fused=False)
    first, last = int(columns[0]), int(columns[-1]) + 2
    a, b, c, d = (np.ascontiguousarray(tile.image).reshape(len(tile.image), -1) for tile in canvas.tiles)
    places = np.array([(*tile.place, *tile.corner) for tile in canvas.tiles], np.int64)
    kind = a.dtype
    out = np.empty((3, height, width) if planar else (1, height, 3 * width), kind)
    starts = (3 * (columns - first)).astype(np.uint32)
    _fill(out, places, a, b, c, d, rows, down, starts, across, first, last, _F(canvas.padding), kind != np.float32)
    return out[::-1].transpose(1, 2, 0) if planar else out.reshape(height, width, 3)


def _sources(scale: Any, shift: Any, count: int, fused: bool) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return where each pixel of an axis comes from: the position before it, and the share of the next one."""
    steps = np.arange(count)
    if fused:  # one rounding, as by a fused multiply-add
        source = (steps * np.float64(_F(scale)) + np.float64(_F(shift))).astype(np.float32)
    else:
        source = steps.astype(np.float32) * _F(scale) + _F(shift)
    before = np.floor(source)
    return before.astype(np.int64), source - before


@cache
def agrees_with_opencv(kind: str) -> bool:
    """Try whether `warp` gives OpenCV's pixels to the bit here, for a type: other versions and processors round else.

    Args:
        kind: `uint8`, `uint16` or `float32`.
    """
    draw = np.random.default_rng(0)
    side, most = 96, {"uint8": 255, "uint16": 65535, "float32": 1}[kind]
    for scale in (0.55, 0.8, 1.0, 1.37):
        x, y = (int(number) for number in draw.integers(side // 2, side * 3 // 2, 2))
        images = [(draw.random((70 + k, side, 3)) * most).astype(kind) for k in range(4)]
        for image in images:
            image.flags.writeable = False
        canvas = Canvas((2 * side, 2 * side, 3), tuple(_quartered(images, x, y, side)), 114 / 255 * most)
        moved = draw.uniform(0.4, 0.6, 2) * side - scale * side
        matrix = np.array([[scale, 0, moved[0]], [0, scale, moved[1]], [0, 0, 1]], np.float32)
        if kind != "float32":
            canvas = Canvas(canvas.shape, canvas.tiles, float(round(canvas.padding)))
        expected = cv2.warpAffine(canvas.painted(), matrix[:2], dsize=(side, side), borderValue=(canvas.padding,) * 4)
        if not np.array_equal(warp(canvas, matrix, (side, side), planar=scale > 1), expected):
            return False
    return True


def _quartered(images: Sequence[NDArray[Any]], x: int, y: int, side: int) -> list[Tile]:
    """Place four images around a point, each with a corner at it."""
    tiles = []
    for number, image in enumerate(images):
        height, width = image.shape[:2]
        left, right = (max(x - width, 0), x) if number % 2 == 0 else (x, min(x + width, 2 * side))
        top, bottom = (max(y - height, 0), y) if number < 2 else (y, min(y + height, 2 * side))
        corner = width - (right - left) if number % 2 == 0 else 0, height - (bottom - top) if number < 2 else 0
        tiles.append(Tile(image, (left, top, right, bottom), corner))
    return tiles


@contracted
def _fill(
    out: Any, places: Any, a: Any, b: Any, c: Any, d: Any, rows: Any, down: Any, starts: Any, across: Any,
    first: int, last: int, padding: Any, whole: bool,
) -> None:  # fmt: skip
    """Make the image row by row; two neighbouring rows of the canvas, already stretched, are kept at a time."""
    count = starts.size
    line = np.empty(3 * (last - first), np.float32)
    above, below = np.empty(3 * count + 1, np.float32), np.empty(3 * count + 1, np.float32)
    row_above, row_below = -(1 << 40), -(1 << 40)
    for y in range(out.shape[1]):
        row = rows[y]
        if row_above != row:
            if row_below == row:
                above, below = below, above
            else:
                _canvas_row(line, row, first, last, padding, places, a, b, c, d)
                _stretch(above, line, starts, across)
            row_above = row
        if row_below != row + 1:
            row_below = row + 1
            _canvas_row(line, row_below, first, last, padding, places, a, b, c, d)
            _stretch(below, line, starts, across)
        if out.shape[0] == 1:
            _blend(out[0, y], above, below, down[y], whole)
        else:
            _blend_planes(out[2, y], out[1, y], out[0, y], above, below, down[y], whole)


@contracted
def _canvas_row(
    line: Any, row: int, first: int, last: int, padding: Any, places: Any, a: Any, b: Any, c: Any, d: Any
) -> None:
    """Put columns `first` to `last` of a row of the canvas into `line`."""
    line[:] = padding
    for number in range(4):
        left, top, right, bottom, x, y = places[number]
        begin, end = max(left, first), min(right, last)
        if not top <= row < bottom or begin >= end:
            continue
        if number == 0:
            source = a[row - top + y]
        elif number == 1:
            source = b[row - top + y]
        elif number == 2:
            source = c[row - top + y]
        else:
            source = d[row - top + y]
        skipped = begin - left + x
        _copy(line[3 * (begin - first) : 3 * (end - first)], source[3 * skipped : 3 * (skipped + end - begin)])


@contracted
def _copy(target: Any, source: Any) -> None:
    for j in range(target.size):
        target[j] = source[j]


@contracted
def _stretch(out: Any, line: Any, starts: Any, across: Any) -> None:
    """Interpolate between columns, a pixel at a time; unsigned positions keep numba from wrapping negative ones."""
    for pixel in range(starts.size):
        k, share, j = _U(starts[pixel]), across[pixel], _U(3) * _U(pixel)
        blue, green, red = line[k], line[k + _U(1)], line[k + _U(2)]
        out[j] = (line[k + _U(3)] - blue) * share + blue
        out[j + _U(1)] = (line[k + _U(4)] - green) * share + green
        out[j + _U(2)] = (line[k + _U(5)] - red) * share + red


@contracted
def _blend(out: Any, above: Any, below: Any, share: Any, whole: bool) -> None:
    """Interpolate between rows."""
    if whole:
        for j in range(out.size):
            out[j] = ((below[j] - above[j]) * share + above[j] + _WHOLE) - _WHOLE
    else:
        for j in range(out.size):
            out[j] = (below[j] - above[j]) * share + above[j]


@contracted
def _blend_planes(blue: Any, green: Any, red: Any, above: Any, below: Any, share: Any, whole: bool) -> None:
    """Interpolate between rows, each channel into a row of its own."""
    extra = _WHOLE if whole else _F(0)
    for pixel in range(blue.size):
        j = _U(3) * _U(pixel)
        first = (below[j] - above[j]) * share + above[j]
        second = (below[j + _U(1)] - above[j + _U(1)]) * share + above[j + _U(1)]
        third = (below[j + _U(2)] - above[j + _U(2)]) * share + above[j + _U(2)]
        blue[pixel], green[pixel], red[pixel] = (
            (first + extra) - extra,
            (second + extra) - extra,
            (third + extra) - extra,
        )
