"""Which pixels an estimator may look at, and the image at the size at which it looks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.imaging.chroma import log_rgb
from frostline.imaging.srgb import FULL_SCALE

NOISE_FLOOR = 400
"""Code values of 65,535 below which the log is mostly noise: 0.6 % of full scale."""

CLIPPED = 65000
"""Code values from which a channel counts as saturated."""

_SKY_BLUE_OVER_RED = 1.05
_SKY_BLUR_PX = 1.0
_CLOUD_PX = 15

LONGEST_SIDE = 640
"""Larger images are averaged down to this many pixels: noise falls, and edges of shadows keep their place."""


def working_size(linear: NDArray[np.uint16]) -> tuple[NDArray[np.float32], NDArray[np.bool_], float]:
    """Shrink an image, and mark the pixels whose log can be trusted.

    Args:
        linear: (H, W, 3) uint16 linear RGB.

    Returns:
        (h, w, 3) float32 code values; (h, w) True where no channel of any pixel under it is clipped or near the noise
        floor; and how many pixels of the image one of the result is wide, 1 or more.
    """
    usable = (linear.min(axis=2) > NOISE_FLOOR) & (linear.max(axis=2) < CLIPPED)
    scale = max(linear.shape[:2]) / LONGEST_SIDE
    values = linear.astype(np.float32)
    if scale <= 1:
        return values, usable, 1.0
    size = tuple(max(1, round(side / scale)) for side in (linear.shape[1], linear.shape[0]))
    share = cv2.resize(usable.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA)), np.asarray(share > 0.999), scale


def log_values(values: NDArray[Any], blur_px: float) -> NDArray[np.float32]:
    """Take the log of (H, W, 3) code values after a Gaussian blur, whose standard deviation is in pixels."""
    blurred = np.asarray(cv2.GaussianBlur(values, (0, 0), blur_px))
    return log_rgb(np.clip(blurred, 0, FULL_SCALE))


def open_sky(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark the sky: what is bluish, brighter than half of the image, and reaches the upper edge; small clouds with it.

    Args:
        values: (H, W, 3) code values.

    Returns:
        (H, W) True for sky. A guess that is good enough to leave it out, not to study it.
    """
    blurred = cv2.GaussianBlur(values, (0, 0), _SKY_BLUR_PX)
    light = blurred.mean(axis=2)
    bluish = (blurred[..., 2] > _SKY_BLUE_OVER_RED * blurred[..., 0]) & (light > np.median(light))
    _, parts = cv2.connectedComponents(bluish.astype(np.uint8))
    at_top = np.unique(parts[0])
    sky = np.isin(parts, at_top[at_top > 0]).astype(np.uint8)
    filled = cv2.morphologyEx(sky, cv2.MORPH_CLOSE, np.ones((_CLOUD_PX, _CLOUD_PX), np.uint8))
    return np.asarray(cv2.dilate(filled, np.ones((3, 3), np.uint8)) > 0)
