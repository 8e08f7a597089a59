"""A change of light in images of more than 8 bits: a factor on linear or sRGB values, an offset on logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.compiling import compiled
from frostline.datasets.pixel_format import PixelFormat


def brightened(image: NDArray[Any], factor: float, pixels: PixelFormat) -> NDArray[Any]:
    """Multiply the light in an image by a factor.

    Args:
        image: any shape, uint16 or float32.
        factor: of the light; at least 0.
        pixels: of the image. Of a log encoding, `low` means no signal and stays.

    Returns:
        A new image of the same type, clipped to the range; planes that lie one after another in memory stay so.
    """
    planes = image.transpose(2, 0, 1)[::-1] if image.ndim == 3 else image
    planar = image.ndim == 3 and planes.flags["C_CONTIGUOUS"] and not image.flags["C_CONTIGUOUS"]
    source = planes if planar else np.ascontiguousarray(image)
    made = np.empty(source.shape, source.dtype)
    if image.dtype == np.uint16:
        table = rounded(_changed(np.arange(65536, dtype=np.float64), factor, pixels), pixels)
        _look_up(made.reshape(-1), source.reshape(-1), table)
    else:
        low, high = np.float32(pixels.low), np.float32(pixels.high)
        if pixels.log_range is None:
            _scale(made.reshape(-1), source.reshape(-1), low, high, np.float32(factor))
        else:
            shift, least = (np.float32(number) for number in _offset(factor, pixels))
            _shift(made.reshape(-1), source.reshape(-1), low, high, shift, least)
    return made[::-1].transpose(1, 2, 0) if planar else made


def rounded(values: NDArray[Any], pixels: PixelFormat) -> NDArray[Any]:
    """Clip to the range and round to the type."""
    clipped: NDArray[Any] = np.clip(values, pixels.low, pixels.high)
    return clipped.astype(np.float32) if pixels.kind == "float32" else np.rint(clipped).astype(np.uint16)


def _changed(values: NDArray[Any], factor: float, pixels: PixelFormat) -> NDArray[Any]:
    if pixels.log_range is None:
        changed: NDArray[Any] = pixels.low + (values - pixels.low) * factor
        return changed
    shift, least = _offset(factor, pixels)
    shifted: NDArray[Any] = np.where(values <= pixels.low, pixels.low, np.maximum(values + shift, least))
    return shifted


def _offset(factor: float, pixels: PixelFormat) -> tuple[float, float]:
    """Return what a factor of light adds to logarithms, and the least value that a pixel with a signal keeps."""
    assert pixels.log_range is not None
    bottom, top = pixels.log_range
    shift = math.log(max(factor, 1e-6)) * (pixels.high - pixels.low) / (top - bottom)
    # The lowest code says that there was no signal; darkening must not turn a dark pixel into one.
    return shift, pixels.low + ((pixels.high - pixels.low) / 65535 if pixels.kind == "float32" else 1)


@compiled
def _look_up(out: Any, values: Any, table: Any) -> None:
    for j in range(values.size):
        out[j] = table[values[j]]


@compiled
def _scale(out: Any, values: Any, low: Any, high: Any, factor: Any) -> None:
    for j in range(values.size):
        out[j] = min(max(low + (values[j] - low) * factor, low), high)


@compiled
def _shift(out: Any, values: Any, low: Any, high: Any, shift: Any, least: Any) -> None:
    for j in range(values.size):
        moved = min(max(values[j] + shift, least, low), high)
        out[j] = low if values[j] <= low else moved
