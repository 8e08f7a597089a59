"""A small street for the tests of estimators: materials of many colours, half in sun, half in shadow, a soft edge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SUN, SKY = np.array([0.55, 0.5, 0.43]), np.array([0.11, 0.136, 0.182])
STEP = np.log((SUN + SKY) / SKY)
TRUE = STEP / np.linalg.norm(STEP)


def street(
    *, noise: float = 0.004, penumbra: float = 2.0, shadow: bool = True, size: tuple[int, int] = (160, 240)
) -> NDArray[np.uint16]:
    """Render patches of different reflectance in columns, and a shadow on the lower half; (H, W, 3) uint16."""
    rng = np.random.default_rng(3)
    height, width = size
    colours = rng.uniform(0.25, 0.9, (width // 40, 3))
    reflectance = np.repeat(np.repeat(colours[np.newaxis], height, axis=0), 40, axis=1)
    sun = np.ones((height, width))
    if shadow:
        sun[height // 2 :] = 0
        sun = cv2.GaussianBlur(sun, (0, 0), penumbra)
    light = reflectance * (sun[..., np.newaxis] * SUN + SKY)
    light *= 1 + noise * rng.standard_normal(light.shape)
    return np.rint(np.clip(light, 0, 1) * 65535).astype(np.uint16)
