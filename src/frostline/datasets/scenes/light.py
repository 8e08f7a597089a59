"""The light of a scene: one sun, one sky, and what a sensor makes of them.

Every surface sends `reflectance * (sun * visibility + sky)`. Taking the sun away moves its log-RGB by
`ln((sun + sky) / sky)`, the illuminant spectral direction, whatever the reflectance: the bi-illuminant dichromatic
reflection model of Maxwell, Friedhoff and Smith, CVPR 2008.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.imaging import FULL_SCALE

Rgb = NDArray[np.float32]


@dataclass(frozen=True)
class Light:
    """The two illuminants of a scene and where the sun stands, which is always on the left.

    Attributes:
        sun: (3,) what a white surface that faces the sun sends from it alone, in shares of full scale.
        sky: (3,) the same for the sky alone; bluer than the sun.
        direction: (3,) unit vector towards the sun, in the camera's axes, with a negative X.
        penumbra: standard deviation of a building's shadow edge on the ground, in metres.
    """

    sun: Rgb
    sky: Rgb
    direction: NDArray[np.float64]
    penumbra: float

    @property
    def isd(self) -> Rgb:
        """The illuminant spectral direction, (3,) unit vector."""
        step = np.log((self.sun + self.sky) / self.sky)
        return np.asarray(step / np.linalg.norm(step), dtype=np.float32)

    @property
    def shift(self) -> NDArray[np.float64]:
        """How far a shadow moves over the ground for each metre of height, (2,) in X and Z."""
        x, y, z = self.direction
        return np.array((-x / y, -z / y))


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a light: a warm sun 30 to 54 degrees high, and a blue sky a fifth to a third as strong."""
    sun = np.array([1.0, 0.91, 0.78]) * rng.normal(1, 0.012, 3)
    sky = np.array([0.78, 0.97, 1.30]) * rng.normal(1, 0.02, 3) * rng.uniform(0.2, 0.32)
    exposure = rng.uniform(0.85, 1.05) / (sun + sky).max()
    height, turn = np.radians(rng.uniform(30, 54)), np.radians(rng.uniform(-38, 38))
    direction = np.array([-np.cos(height) * np.cos(turn), np.sin(height), np.cos(height) * np.sin(turn)])
    return Light(
        (sun * exposure).astype(np.float32), (sky * exposure).astype(np.float32), direction, rng.uniform(0.12, 0.32)
    )


def illuminate(reflectance: Rgb, sunlit: Rgb, light: Light) -> Rgb:
    """Light surfaces with the sky, and with the sun where they see it.

    Args:
        reflectance: (H, W, 3) in [0, 1].
        sunlit: (H, W, 3) reflectance times the share of the sun that is seen there. Given apart, as both are averages
            over a pixel.
        light: the two illuminants.

    Returns:
        (H, W, 3) float32 radiance in shares of full scale.
    """
    return np.asarray(sunlit * light.sun + reflectance * light.sky, dtype=np.float32)


def expose(radiance: Rgb, rng: np.random.Generator | None) -> NDArray[np.uint16]:
    """Turn radiance into 16-bit code values as a sensor would.

    Args:
        radiance: (H, W, 3) in shares of full scale; what is above is clipped.
        rng: for shot noise (full well 20,000 electrons) and read noise (4 electrons); None for a sensor without noise.

    Returns:
        (H, W, 3) uint16 linear RGB.
    """
    full_well, read = np.float32(20_000), np.float32(4)
    if rng is not None:
        electrons = radiance * full_well
        spread = np.sqrt(np.maximum(electrons, 0) + read * read)
        electrons += spread * rng.standard_normal(radiance.shape, dtype=np.float32)
        radiance = electrons / full_well
    codes: NDArray[np.uint16] = np.rint(np.clip(radiance, 0, 1) * np.float32(FULL_SCALE)).astype(np.uint16)
    return codes
