"""Where in the world every pixel lies, and the grain of what is there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from frostline.datasets.scenes.canvas import Canvas

Plane = NDArray[np.float32]

_TILE = 512


@dataclass(frozen=True)
class Surface:
    """World coordinates of every pixel, (H, W) each, in metres."""

    x: Plane
    y: Plane
    z: Plane


def surface_of(canvas: Canvas) -> Surface:
    """Find the world coordinates of every pixel from its depth; the sky lies at a kilometre."""
    columns, rows = canvas.camera.rays()
    z = np.asarray(1 / np.maximum(canvas.inverse_depth, np.float32(1e-3)), dtype=np.float32)
    x = np.asarray(columns * z + np.float32(canvas.camera.x), dtype=np.float32)
    y = np.asarray(rows * z + np.float32(canvas.camera.y), dtype=np.float32)
    return Surface(x, y, z)


def roughness(surface: Surface, owner: NDArray[np.uint8]) -> Plane:
    """Give the factor by which the grain and the stains of a surface change its reflectance, about 1.

    The noise is fixed to the world, so that it lies on roads and walls in perspective; grain fades with distance, where
    it would be finer than a pixel.
    """
    # At half the resolution: grain finer than the picture's pixels would only be averaged away again.
    x, y, z = (plane[::2, ::2] for plane in (surface.x, surface.y, surface.z))
    across, ahead = x + y * np.float32(0.9), z + y * np.float32(0.45)
    street = owner[::2, ::2] == 0
    fade = 1 / (1 + z * np.float32(0.09))
    # Paint is smoother than asphalt and plaster.
    factor = 1 + _sample(across, ahead, 42.0) * fade * np.where(street, np.float32(0.11), np.float32(0.04))
    factor += _sample(across, ahead, 7.0) * np.where(street, np.float32(0.085), np.float32(0.05))
    full = cv2.resize(np.clip(factor, 0.4, 1.6), owner.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(full, dtype=np.float32)


@cache
def noise_tile() -> Plane:
    """Make a square of noise with a 1/f spectrum, zero mean and unit variance, that repeats without a seam."""
    rng = np.random.default_rng(20080624)
    frequency = np.hypot(np.fft.fftfreq(_TILE)[:, np.newaxis], np.fft.fftfreq(_TILE)[np.newaxis])
    frequency[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((_TILE, _TILE))) / frequency
    tile = np.fft.ifft2(spectrum).real
    tile = ((tile - tile.mean()) / tile.std()).astype(np.float32)
    tile.flags.writeable = False
    return np.asarray(tile, dtype=np.float32)


def _sample(across: Plane, ahead: Plane, cells_per_metre: float) -> Plane:
    scale = np.float32(cells_per_metre)
    sampled = cv2.remap(noise_tile(), across * scale, ahead * scale, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(sampled, dtype=np.float32)
