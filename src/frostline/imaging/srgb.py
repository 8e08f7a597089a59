"""The sRGB transfer function, both ways. Linear values are 16-bit code values: 0 is black, 65535 is full scale."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.errors import InputError

FULL_SCALE = 65535
"""The largest linear code value."""


def srgb_to_linear(encoded: NDArray[Any]) -> NDArray[Any]:
    """Turn sRGB values into linear code values, by the transfer function of IEC 61966-2-1.

    Args:
        encoded: any shape; uint8 in [0, 255], uint16 in [0, 65535] or float in [0, 1].

    Returns:
        The same shape. For integers uint16 in [0, 65535], rounded; for floats float32 in [0, 65535], not rounded. All
        256 values of 8 bits stay apart, and `linear_to_srgb` gives them back; the darkest of 16 bits fall together.

    Raises:
        InputError: for another type, or floats outside [0, 1].
    """
    if encoded.dtype == np.uint8:
        return np.take(_linear_table(256), encoded)
    if encoded.dtype == np.uint16:
        return np.take(_linear_table(65536), encoded)
    if encoded.dtype.kind != "f":
        raise InputError(f"sRGB values of type {encoded.dtype}; expected uint8, uint16 or float")
    if encoded.size and not (encoded.min() >= 0 and encoded.max() <= 1):  # also true for NaN
        raise InputError("float sRGB values must lie in [0, 1]; divide by the largest code value first")
    return (_decode(encoded.astype(np.float64)) * FULL_SCALE).astype(np.float32)


def linear_to_srgb(linear: NDArray[Any], bits: int = 8) -> NDArray[Any]:
    """Turn linear code values into sRGB values, by the transfer function of IEC 61966-2-1.

    Args:
        linear: any shape; uint16, or float in [0, 65535] (values outside are clipped).
        bits: 8 or 16, the size of the result.

    Returns:
        The same shape; uint8 or uint16, rounded.

    Raises:
        InputError: for another type or another number of bits, or NaN.
    """
    if bits not in (8, 16):
        raise InputError(f"sRGB images have 8 or 16 bits, not {bits}")
    if linear.dtype == np.uint16:
        return np.take(_srgb_table(bits), linear)
    if linear.dtype.kind != "f":
        raise InputError(f"linear values of type {linear.dtype}; expected uint16 or float")
    if np.isnan(linear).any():
        raise InputError("linear values hold NaN")
    return _encode(np.clip(linear.astype(np.float64) / FULL_SCALE, 0, 1), bits)


@cache
def _linear_table(size: int) -> NDArray[np.uint16]:
    table = np.rint(_decode(np.arange(size) / (size - 1)) * FULL_SCALE).astype(np.uint16)
    table.flags.writeable = False
    return table


@cache
def _srgb_table(bits: int) -> NDArray[Any]:
    table = _encode(np.arange(FULL_SCALE + 1) / FULL_SCALE, bits)
    table.flags.writeable = False
    return table


def _decode(encoded: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encode(linear: NDArray[np.float64], bits: int) -> NDArray[Any]:
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    codes: NDArray[Any] = np.rint(encoded * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return codes
