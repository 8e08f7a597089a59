"""Shadows cast on images: the sun is taken from a region, by a ratio for each channel, with a soft edge.

What is left in a shadow is the sky's light, so its ratio to full light is larger in blue than in red. The ratios are
those of a warm sun and a blue sky, as in `frostline.datasets.scenes`; the bi-illuminant model of Maxwell, Friedhoff and
Smith, CVPR 2008.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.errors import InputError
from frostline.imaging.srgb import FULL_SCALE

Strength = Literal["light", "moderate", "heavy"]
_SUN = np.array([1.0, 0.91, 0.78])
_SKY = np.array([0.78, 0.97, 1.30])
_SKY_SHARE: dict[str, float] = {"light": 0.9, "moderate": 0.45, "heavy": 0.2}
# A Gaussian edge rises from 10 to 90 % within 2.56 standard deviations.
_PX_PER_SIGMA = 2.563


def shadow_ratio(strength: Strength) -> tuple[float, float, float]:
    """Give what a shadow leaves of red, green and blue: the sky's light over the sun's and the sky's.

    Raises:
        InputError: for an unknown strength.
    """
    if strength not in _SKY_SHARE:
        raise InputError(f"unknown strength '{strength}'; expected {', '.join(_SKY_SHARE)}")
    sky = _SKY * _SKY_SHARE[strength]
    red, green, blue = (float(ratio) for ratio in sky / (_SUN + sky))
    return red, green, blue


def shadow_mask(region: ArrayLike, size: tuple[int, int], penumbra_px: float) -> NDArray[np.float32]:
    """Give a region a soft edge.

    Args:
        region: (H, W) mask, bool, uint8 in [0, 255] or float in [0, 1]; or (N, 2) corners of a polygon, x and y in
            pixels, which may lie outside the image.
        size: width and height of the image.
        penumbra_px: distance over which the sun goes from 10 to 90 %; 0 for a hard edge.

    Returns:
        (H, W) float32, the share of the sun that is missing, in [0, 1].

    Raises:
        InputError: for a region of another form or size, or a penumbra that is negative or not finite.
    """
    import cv2

    width, height = size
    if not (np.isfinite(penumbra_px) and penumbra_px >= 0):
        raise InputError(f"a penumbra of {penumbra_px} pixels; expected 0 or more")
    given = np.asarray(region)
    if given.ndim == 2 and given.shape[1] == 2 and given.shape != (height, width):
        if len(given) < 3 or not np.isfinite(given.astype(float)).all():
            raise InputError(f"a polygon of {len(given)} corners; expected at least 3, all finite")
        drawn = np.zeros((height, width), np.uint8)
        corners = np.rint(given.astype(float) * 16).astype(np.int32)
        cv2.fillPoly(drawn, [corners], 255, lineType=cv2.LINE_AA, shift=4)
        mask = drawn.astype(np.float32) / 255
    elif given.shape == (height, width):
        mask = given.astype(np.float32) / (255 if given.dtype == np.uint8 else 1)
        if not (mask.min() >= 0 and mask.max() <= 1):
            raise InputError("a shadow mask must lie in [0, 1], or be 8-bit")
    else:
        raise InputError(f"a region of shape {given.shape}; expected ({height}, {width}) or (N, 2) corners")
    if penumbra_px:
        mask = cv2.GaussianBlur(mask, (0, 0), penumbra_px / _PX_PER_SIGMA, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(mask, 0, 1), dtype=np.float32)


def cast_shadow(
    linear: NDArray[Any], region: ArrayLike, ratio: ArrayLike, penumbra_px: float = 0.0
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Take the sun from a region of a linear image.

    `linear * (1 - m + m * ratio)` with `m` from `shadow_mask`: in the penumbra a part of the sun is seen, and light
    adds in linear values. Meant for lit surfaces; a region that lay in shadow already gets darker still.

    Args:
        linear: (H, W, 3) uint16, or float in [0, 65535]. Never log-chromaticity, which has no illumination left.
        region: (H, W) mask, or (N, 2) corners of a polygon; see `shadow_mask`.
        ratio: (3,) what full shadow leaves of red, green and blue, each above 0 and at most 1; or one number.
        penumbra_px: distance over which the sun goes from 10 to 90 %.

    Returns:
        The image in its own type, and (H, W) float32 with the share of the sun that is missing.

    Raises:
        InputError: for an image, a region, a ratio or a penumbra that cannot be right.
    """
    if linear.ndim != 3 or linear.shape[2] != 3 or (linear.dtype != np.uint16 and linear.dtype.kind != "f"):
        raise InputError(f"an image of shape {linear.shape} {linear.dtype}; expected linear (H, W, 3) uint16 or float")
    ratios = np.asarray(ratio, np.float32)
    if ratios.shape not in ((), (3,)) or not ((ratios > 0) & (ratios <= 1)).all():
        raise InputError(f"a shadow ratio of {ratios.tolist()}; expected one or three numbers above 0 and at most 1")
    mask = shadow_mask(region, (linear.shape[1], linear.shape[0]), penumbra_px)
    darkened = linear * (1 - mask[..., np.newaxis] * (1 - ratios))
    if linear.dtype == np.uint16:
        return np.rint(np.clip(darkened, 0, FULL_SCALE)).astype(np.uint16), mask
    return darkened.astype(linear.dtype), mask


def sample_region(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """Draw the outline of a shadow: a building's edge, a post's band or a tree's crown, mostly on the lower half.

    Args:
        rng: drawn from.
        size: width and height in pixels.

    Returns:
        (N, 2) corners, x and y in pixels; some may lie outside the image.
    """
    width, height = size
    kind = rng.integers(3)
    if kind == 2:
        centre = (width * rng.uniform(0.15, 0.85), height * rng.uniform(0.55, 0.9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, 24))
        radii = rng.uniform(0.75, 1.15, 24) * np.stack(
            [np.full(24, width * rng.uniform(0.12, 0.25)), np.full(24, height * rng.uniform(0.08, 0.16))]
        )
        return np.stack([centre[0] + radii[0] * np.cos(angles), centre[1] + radii[1] * np.sin(angles)], axis=1)
    lean = width * rng.uniform(-0.4, 0.4)
    top, bottom = height * rng.uniform(0.3, 0.5), height * 1.05
    left = width * rng.uniform(0.05, 0.7)
    wide = width * (rng.uniform(0.2, 0.45) if kind == 0 else rng.uniform(0.04, 0.1))
    return np.array([(left, top), (left + wide, top), (left + wide * 1.4 + lean, bottom), (left + lean, bottom)])
