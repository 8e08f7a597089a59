"""Log-chromaticity of 16-bit pixels in one pass over memory, compiled by numba.

Logs come from a table of all 65,536 values. What NumPy does in ten passes over the image is done here block by block in
the processor's cache. `chroma.chroma_and_saturated` has the same in NumPy; the two differ by at most one code value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_F = np.float32
_BLOCK = 1024
_LOW, _HIGH = _F(-5), _F(11.2)  # exp of what is outside rounds to 0, or is clipped at full scale
_CENTRE = _F(3.1)  # of the range, so that a 16th of a value's distance to it is at most 0.51


def fused_chroma(
    linear: NDArray[np.uint16],
    isd: NDArray[np.float32],
    table: NDArray[np.float32],
    anchor: float,
    log_span: float | None,
    bits: int,
    mask_saturated: bool,
) -> tuple[NDArray[Any], int]:
    """Project 16-bit pixels and encode them; the arguments have been checked by `chroma`.

    Args:
        linear: (..., 3) uint16.
        isd: (3,) or the image's shape, float32 unit vectors.
        table: (65536,) float32 logs.
        anchor: the plane's point on the grey diagonal, natural-log units.
        log_span: half the range of the log form; None for the linear form.
        bits: 16 or 8.
        mask_saturated: whether pixels with a channel of 65535 become 0.

    Returns:
        (..., 3) uint16 or uint8, and the number of pixels that have a channel of 65535.
    """
    top = 2**bits - 1
    out = np.empty(linear.shape, np.uint8 if bits == 8 else np.uint16)
    pixels = np.ascontiguousarray(linear).reshape(-1)
    directions = np.ascontiguousarray(isd, np.float32).reshape(-1)
    centred = table - _F(anchor)
    if log_span is None:
        scale = float(np.exp(np.float64(_CENTRE))) * top / 65535
        form = _F(anchor), _F(scale), _F(top)
    else:
        slope = (top - 1) / (2 * log_span)
        form = _F(slope), _F(slope * log_span + 1), _F(top)
    saturated = _run(pixels, directions, centred, log_span is not None, *form, mask_saturated, out.reshape(-1))
    return out, int(saturated)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, and keep the machine code on disk where there is a place for it."""
    # No input gives NaN here; saying so lets clipping vectorise.
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "reassoc", "nsz", "nnan"},
    }
    try:
        compiled: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        compiled = numba.njit(**options)(function)
    return compiled


@_compiled
def _project(src: Any, isd: Any, first: int, table: Any, values: Any) -> None:
    """Put the projected, anchor-centred logs of a block of pixels into `values`."""
    count = src.size // 3
    if isd.size == 3:
        red, green, blue = isd[0], isd[1], isd[2]
        for j in range(count):
            x, y, z = table[src[3 * j]], table[src[3 * j + 1]], table[src[3 * j + 2]]
            along = x * red + y * green + z * blue
            values[3 * j] = x - along * red
            values[3 * j + 1] = y - along * green
            values[3 * j + 2] = z - along * blue
        return
    for j in range(count):
        place = 3 * (first + j)
        red, green, blue = isd[place], isd[place + 1], isd[place + 2]
        x, y, z = table[src[3 * j]], table[src[3 * j + 1]], table[src[3 * j + 2]]
        along = x * red + y * green + z * blue
        values[3 * j] = x - along * red
        values[3 * j + 1] = y - along * green
        values[3 * j + 2] = z - along * blue


@_compiled
def _count_saturated(src: Any, mask: bool, out: Any) -> int:
    count = 0
    for j in range(src.size // 3):
        if src[3 * j] == 65535 or src[3 * j + 1] == 65535 or src[3 * j + 2] == 65535:
            count += 1
            if mask:
                out[3 * j : 3 * j + 3] = 0
    return count


@_compiled
def _linear(src: Any, values: Any, anchor: np.float32, scale: np.float32, top: np.float32, dst: Any) -> bool:
    """Exponentiated form. exp(x) = exp(centre) * exp((x - centre) / 16)**16: a short series that vectorises."""
    high = False
    for j in range(src.size):
        u = (min(max(values[j] + anchor, _LOW), _HIGH) - _CENTRE) * _F(1 / 16)
        p = _F(1 / 120) + u * (_F(1 / 720) + u * _F(1 / 5040))
        p = _F(1) + u * (_F(1) + u * (_F(1 / 2) + u * (_F(1 / 6) + u * (_F(1 / 24) + u * p))))
        p *= p
        p *= p
        p *= p
        p *= p
        code = np.int32(min(p * scale, top) + _F(0.5))
        high |= src[j] == 65535
        dst[j] = 0 if src[j] == 0 else code
    return high


@_compiled
def _log(src: Any, values: Any, slope: np.float32, offset: np.float32, top: np.float32, dst: Any) -> bool:
    """Log form: equal ratios are equal steps; code 0 stays for channels without signal."""
    high = False
    for j in range(src.size):
        code = np.int32(min(max(values[j] * slope + offset, _F(1)), top) + _F(0.5))
        high |= src[j] == 65535
        dst[j] = 0 if src[j] == 0 else code
    return high


@_compiled
def _run(pixels: Any, isd: Any, table: Any, log: bool, first: Any, second: Any, top: Any, mask: bool, out: Any) -> int:
    """Go block by block; the numbers between are those of the form. Return how many pixels are saturated."""
    values = np.empty(3 * _BLOCK, np.float32)
    saturated = 0
    for start in range(0, pixels.size // 3, _BLOCK):
        src, dst = pixels[3 * start : 3 * (start + _BLOCK)], out[3 * start : 3 * (start + _BLOCK)]
        _project(src, isd, start, table, values)
        high = _log(src, values, first, second, top, dst) if log else _linear(src, values, first, second, top, dst)
        if high:
            saturated += _count_saturated(src, mask, dst)
    return saturated
