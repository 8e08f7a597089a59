"""How much of a box lies in shadow: counted on a shadow mask, or estimated from the image that has its light left.

The estimate compares like with like. Along the illuminant spectral direction (ISD) a surface moves when the sun is
taken from it; across, it stays. So pixels that agree across it are taken for one material, the brightest of them for
its sunlit level, and a pixel far below that level for shadow. It is a guess: a dark thing beside a bright one of the
same chromaticity is taken for shadow too. docs/commands/shadows-evaluate.md says how often it agrees with true masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.errors import InputError
from frostline.imaging.isd import unit_isd

LIGHTS = ("lit", "moderate", "heavy")
"""Classes of light, from the sun into shadow; a box's class is an index into these."""

USUAL_ISD = (0.68, 0.58, 0.45)
"""The direction that is taken where nobody knows the image's own: that of a clear day, as scenes are rendered."""

MASK_BOUNDS, ESTIMATE_BOUNDS = (0.10, 0.60), (0.40, 0.70)
"""Shares in shadow at which `moderate` begins and above which `heavy` begins. An estimate has bounds of its own: it
calls dark paint and tyres shadow, so that a box in full sun has a share far above 0."""

# Chosen on 120 rendered scenes; docs/commands/shadows-evaluate.md has the agreement on others.
_WIDEST = 640  # pixels of the longer side that are looked at: shadows of things are larger than a pixel of that
_CELL = 0.06  # natural-log units across the ISD: pixels that agree to this are one material
_SUNLIT = 0.97  # of a material's pixels, along the ISD: what lies higher is glare and noise
_DROP = 1.4  # natural-log units along the ISD below the sunlit level from which a pixel is in shadow
_LEVELS = 48
_DARKEST = 8.0  # code values of 65,535: below, a sensor's noise decides where the log lies
_FALL_MOST = 1.5  # a material that is nowhere in the sun is not taken for sunlit if it is this far below the ground

Method = Literal["mask", "estimate"]


@dataclass(frozen=True)
class ShadeMap:
    """An image's shadow, summed up so that the share in any box costs four look-ups.

    Attributes:
        sums: (H + 1, W + 1) shadow above and to the left of each corner, in pixels.
        method: `mask` if it was counted, `estimate` if it was guessed.
    """

    sums: NDArray[np.float64]
    method: Method

    def shares(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Give the share of each box that lies in shadow.

        Args:
            boxes: (N, 4) x1, y1, x2, y2 as shares of the image's width and height, so that an image of another size
                has the same ones.

        Returns:
            (N,) in [0, 1], by area, parts of pixels included; 0 for a box without area within the image.
        """
        corners = np.asarray(boxes, np.float64).reshape(-1, 4).clip(0, 1)
        height, width = (side - 1 for side in self.sums.shape)
        x1, y1, x2, y2 = (corners * np.array([width, height] * 2)).T
        inside = self._at(x2, y2) - self._at(x1, y2) - self._at(x2, y1) + self._at(x1, y1)
        area = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
        shares: NDArray[np.float64] = np.divide(inside, area, out=np.zeros(len(area)), where=area > 1e-9)
        np.clip(shares, 0, 1, out=shares)
        return shares

    def _at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Read the sums between corners; linear on either side, as a pixel's shadow is spread evenly over it."""
        column = np.minimum(x.astype(int), self.sums.shape[1] - 2)
        row = np.minimum(y.astype(int), self.sums.shape[0] - 2)
        right, down = x - column, y - row
        above = self.sums[row, column] * (1 - right) + self.sums[row, column + 1] * right
        below = self.sums[row + 1, column] * (1 - right) + self.sums[row + 1, column + 1] * right
        between: NDArray[np.float64] = above * (1 - down) + below * down
        return between


def shade_of_mask(mask: NDArray[np.uint8]) -> ShadeMap:
    """Sum up a shadow mask.

    Args:
        mask: (H, W), 0 in full sun to 255 in full shadow; a penumbra counts as the part of the sun that is missing.
    """
    return _summed(mask / 255.0, "mask")


def shade_of_image(linear: NDArray[Any], isd: ArrayLike = USUAL_ISD) -> ShadeMap:
    """Estimate where an image lies in shadow.

    Args:
        linear: (H, W, 3) linear RGB in [0, 65535]; never log-chromaticity, which has no illumination left.
        isd: (3,) the image's illuminant spectral direction, of any length.

    Raises:
        InputError: for an image of another shape, or a direction that is not above zero.
    """
    return _summed(in_shadow(linear, isd), "estimate")


def in_shadow(linear: NDArray[Any], isd: ArrayLike = USUAL_ISD) -> NDArray[np.bool_]:
    """Say of each pixel whether it seems to lie in shadow, at most 640 pixels a side; see `shade_of_image`.

    Source: the bi-illuminant dichromatic reflection model of Maxwell, Friedhoff and Smith, CVPR 2008, says that a
    surface moves along the ISD; the sunlit level of a material is a quantile, after no paper.
    """
    import cv2

    if linear.ndim != 3 or linear.shape[2] != 3 or not linear.size:
        raise InputError(f"an image of shape {linear.shape}; expected linear RGB (H, W, 3)")
    pixels = linear.astype(np.float32)
    shrink = _WIDEST / max(pixels.shape[:2])
    if shrink < 1:
        pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(pixels, (0, 0), 1.0)
    log = np.log(np.maximum(smooth, _DARKEST))
    along, across = _axes(unit_isd(isd).astype(np.float64))
    light = log @ along
    places = [log @ axis for axis in across]
    cells = [np.floor((place - place.min()) / _CELL).astype(np.int64) for place in places]
    ground = float(np.quantile(light[light.shape[0] // 2 :], 0.9))
    sunlit = np.maximum(_sunlit_levels(light, cells), ground - _FALL_MOST)
    shaded: NDArray[np.bool_] = light < sunlit[cells[0], cells[1]] - _DROP
    return shaded


def light_classes(shares: ArrayLike, bounds: tuple[float, float]) -> NDArray[np.int8]:
    """Sort shares in shadow into classes.

    Args:
        shares: (N,) in [0, 1].
        bounds: the share at which `moderate` begins, and the one above which `heavy` begins.

    Returns:
        (N,) indices into `LIGHTS`.

    Raises:
        InputError: bounds that do not rise within [0, 1].
    """
    moderate, heavy = bounds
    if not 0 <= moderate < heavy <= 1:
        raise InputError(f"bounds of shadow {moderate:g} and {heavy:g}; expected two rising shares from 0 to 1")
    values = np.asarray(shares, np.float64)
    classes: NDArray[np.int8] = (values >= moderate).astype(np.int8) + (values > heavy).astype(np.int8)
    return classes


def _summed(shade: NDArray[Any], method: Method) -> ShadeMap:
    sums = np.zeros((shade.shape[0] + 1, shade.shape[1] + 1))
    sums[1:, 1:] = shade.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    return ShadeMap(sums, method)


def _axes(along: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Give the direction and two unit vectors across it; the first leans to brightness, which is nearest to the ISD."""
    grey = np.ones(3) - along.sum() * along
    if np.linalg.norm(grey) < 1e-6:  # a grey direction: any two across it do
        grey = np.array([1.0, -1.0, 0.0])
    first = grey / np.linalg.norm(grey)
    return along, (first, np.cross(along, first))


def _sunlit_levels(light: NDArray[Any], cells: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Give the sunlit level of each cell of the plane across the ISD, from its pixels and its neighbours'."""
    import cv2

    rows, columns = (int(cell.max()) + 1 for cell in cells)
    low, high = float(light.min()), float(light.max()) + 1e-3
    level = ((light - low) / (high - low) * _LEVELS).astype(np.int64)
    flat = (cells[0] * columns + cells[1]) * _LEVELS + level
    counts = np.bincount(flat.ravel(), minlength=rows * columns * _LEVELS)
    # Neighbouring cells count as the same material: colour varies a little across one surface.
    table = counts.astype(np.float32).reshape(rows, columns * _LEVELS)
    table = cv2.blur(table, (1, 3), borderType=cv2.BORDER_CONSTANT).reshape(rows, columns, _LEVELS)
    padded = np.pad(table, ((0, 0), (1, 1), (0, 0)))
    table = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    share = table.cumsum(axis=2, dtype=np.float64)
    share /= np.maximum(share[:, :, -1:], 1e-9)
    below = (share < _SUNLIT).sum(axis=2)
    levels: NDArray[np.float64] = low + (high - low) * (below + 0.5) / _LEVELS
    return levels
