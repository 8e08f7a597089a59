"""Log-chromaticity: log-RGB with the component along the illuminant spectral direction (ISD) taken out.

Taking the sun from a surface moves its log-RGB along the ISD, whatever the surface's colour. The projection along that
direction onto a plane therefore keeps the surface and drops the shadow.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.errors import InputError
from frostline.imaging.isd import unit_isd
from frostline.imaging.srgb import FULL_SCALE

ANCHOR = 10.4
"""The log value, in every channel, through which the plane passes: half of full scale, exp(10.4) = 32,860."""

LOG_SPAN = 3.0
"""`encode_log` covers `anchor - LOG_SPAN` to `anchor + LOG_SPAN` in natural-log units: factors of 20 either way."""

_LOG_FULL_SCALE = float(np.log(FULL_SCALE))

Encoding = Literal["linear", "log"]


def log_rgb(linear: NDArray[Any]) -> NDArray[np.float32]:
    """Take the natural log of linear RGB; 0 gives 0, as does everything below one code value.

    Args:
        linear: (..., 3) uint16, or float in [0, 65535].

    Returns:
        float32 of the same shape, in [0, 11.09].

    Raises:
        InputError: for another type or shape, or a value that is negative, above 65535 or not finite.
    """
    if linear.shape[-1:] != (3,):
        raise InputError(f"linear RGB of shape {linear.shape}; expected three channels last")
    if linear.dtype == np.uint16:
        logs: NDArray[np.float32] = np.take(_log_table(), linear)
        return logs
    if linear.dtype.kind != "f":
        raise InputError(f"linear RGB of type {linear.dtype}; expected uint16, or float in [0, 65535]")
    if linear.size and not (linear.min() >= 0 and linear.max() <= FULL_SCALE):  # also true for NaN
        raise InputError("float linear RGB must lie in [0, 65535], without NaN")
    values: NDArray[np.float32] = np.log(np.maximum(linear, 1)).astype(np.float32)
    return values


def project(log_rgb: NDArray[np.float32], isd: ArrayLike, anchor: float = ANCHOR) -> NDArray[np.float32]:
    """Project log-RGB pixels along the ISD, onto the plane through `anchor` that is orthogonal to it.

    Args:
        log_rgb: (..., 3) natural log of linear RGB in [1, 65535].
        isd: (3,), or (H, W, 3) for a direction of its own at every pixel; normalised here.
        anchor: the plane's point on the grey diagonal, in natural-log units, e.g. 10.4.

    Returns:
        float32 of the same shape. Adding any multiple of the ISD to a pixel does not change its result.

    Raises:
        InputError: as `unit_isd`, or if a map does not have the image's size, or the anchor is not finite.
    """
    direction = _direction(isd, log_rgb, anchor)
    centred = log_rgb.astype(np.float32) - np.float32(anchor)
    along = np.einsum("...c,...c->...", centred, np.broadcast_to(direction, centred.shape))
    centred -= along[..., np.newaxis] * direction
    centred += np.float32(anchor)
    return centred


def log_chromaticity(linear: NDArray[Any], isd: ArrayLike, anchor: float = ANCHOR) -> NDArray[np.uint16]:
    """Turn linear RGB into a log-chromaticity image, in the linear (exponentiated) 16-bit form.

    `exp(project(ln(linear), isd, anchor))`, rounded and clipped to [0, 65535]. A channel that is 0 stays 0. Where only
    some channels of a pixel are 0, the others are computed as if those were 1: a sensor's 0 means "less than one code
    value", so the pixel lands where its neighbour with a 1 lands and does not jump.

    Args:
        linear: (..., 3) uint16, or float in [0, 65535].
        isd: (3,), or (H, W, 3) for a direction of its own at every pixel; normalised here.
        anchor: the plane's point on the grey diagonal, in natural-log units.

    Returns:
        uint16 of the same shape.

    Raises:
        InputError: as `log_rgb` and `project`.
    """
    image: NDArray[np.uint16] = chroma_image(linear, isd, anchor)
    return image


def encode_log(
    log_values: NDArray[np.float32], zero: NDArray[np.bool_] | None = None, bits: int = 16, anchor: float = ANCHOR
) -> NDArray[Any]:
    """Spread log values over the codes of an 8 or 16-bit image, so that equal ratios are equal steps.

    `anchor - LOG_SPAN` becomes 1 and `anchor + LOG_SPAN` the largest code; values outside are clipped. Code 0 is kept
    for channels without signal. In 8 bits a step is a ratio of 2.4 %, in 16 bits 0.009 %, in the dark as in the light.

    Args:
        log_values: any shape, natural-log units, as `project` returns them.
        zero: same shape, True where the linear value was 0.
        bits: 8 or 16.
        anchor: the centre of the range.

    Returns:
        uint8 or uint16 of the same shape.

    Raises:
        InputError: for another number of bits.
    """
    _check_bits(bits)
    top = 2**bits - 1
    low = np.float32(anchor - LOG_SPAN)
    codes = (log_values - low) * np.float32((top - 1) / (2 * LOG_SPAN)) + np.float32(1)
    return _whole(np.maximum(codes, np.float32(1)), zero, top)


def chroma_image(
    linear: NDArray[Any],
    isd: ArrayLike,
    anchor: float = ANCHOR,
    encode: Encoding = "linear",
    bits: int = 16,
    mask_saturated: bool = False,
) -> NDArray[Any]:
    """Turn linear RGB into a log-chromaticity image in one of its stored forms.

    Args:
        linear: (..., 3) uint16, or float in [0, 65535].
        isd: (3,) or (H, W, 3).
        anchor: the plane's point on the grey diagonal, in natural-log units.
        encode: `linear` for the exponentiated form, `log` for `encode_log`.
        bits: 16 or 8. Eight bits of the linear form are the high byte, rounded.
        mask_saturated: whether pixels with a channel at full scale become 0: their chromaticity is not known.

    Returns:
        uint16 or uint8 of the same shape.

    Raises:
        InputError: as `log_rgb`, `project` and `encode_log`, or for an unknown encoding.
    """
    return chroma_and_saturated(linear, isd, anchor, encode, bits, mask_saturated)[0]


def chroma_and_saturated(
    linear: NDArray[Any],
    isd: ArrayLike,
    anchor: float = ANCHOR,
    encode: Encoding = "linear",
    bits: int = 16,
    mask_saturated: bool = False,
    *,
    compiled: bool = True,
) -> tuple[NDArray[Any], int]:
    """Do as `chroma_image`, and also count the pixels with a channel at full scale.

    uint16 takes the compiled single pass. Floats take NumPy step by step, and so do all without `compiled`: what the
    compiled pass is tested against.
    """
    _check_bits(bits)
    if encode not in ("linear", "log"):
        raise InputError(f"unknown encoding '{encode}'; expected linear or log")
    if compiled and linear.dtype == np.uint16 and linear.shape[-1:] == (3,):
        from frostline.imaging.fused import fused_chroma  # here, as numba takes long to import

        span = LOG_SPAN if encode == "log" else None
        direction = _direction(isd, linear, anchor)
        return fused_chroma(linear, direction, _log_table(), anchor, span, bits, mask_saturated)
    projected = project(log_rgb(linear), isd, anchor)
    if encode == "log":
        image = encode_log(projected, linear == 0, bits, anchor)
    else:
        values = np.exp(projected)
        image = _whole(values if bits == 16 else values * np.float32(255 / FULL_SCALE), linear == 0, 2**bits - 1)
    saturated = (linear >= FULL_SCALE).any(axis=-1)
    if mask_saturated:
        image[saturated] = 0
    return image, int(np.count_nonzero(saturated))


def _direction(isd: ArrayLike, image: NDArray[Any], anchor: float) -> NDArray[np.float32]:
    """Give the unit direction, or map of them, after checking it against the image, and the anchor."""
    direction = unit_isd(isd)
    if direction.ndim > 1 and direction.shape != image.shape:
        raise InputError(f"the ISD map is {_size(direction)} but the image is {_size(image)}; they must agree")
    if not 0 < anchor < _LOG_FULL_SCALE:  # also false for NaN
        raise InputError(
            f"the anchor must be a natural logarithm of linear 16-bit light, above 0 and below {_LOG_FULL_SCALE:.2f}, "
            f"not {anchor:g}"
        )
    return direction


def _check_bits(bits: int) -> None:
    if bits not in (8, 16):
        raise InputError(f"an image has 8 or 16 bits, not {bits}")


def _whole(values: NDArray[np.float32], zero: NDArray[np.bool_] | None, top: int) -> NDArray[Any]:
    """Round and clip to [0, top], and put 0 where there was no signal."""
    rounded = np.rint(np.clip(values, 0, top)).astype(np.uint8 if top == 255 else np.uint16)
    if zero is not None:
        rounded[zero] = 0
    return rounded


@cache
def _log_table() -> NDArray[np.float32]:
    table = np.log(np.maximum(np.arange(FULL_SCALE + 1), 1)).astype(np.float32)
    table.flags.writeable = False
    return table


def _size(array: NDArray[Any]) -> str:
    return f"{array.shape[1]} x {array.shape[0]}" if array.ndim > 2 else f"of shape {array.shape}"
