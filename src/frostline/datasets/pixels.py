"""Any image file for looking at, not for training on: every channel, every bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.imaging.stored import read_stored


def read_picture(path: Path) -> NDArray[Any]:
    """Decode an image whole, CMYK as RGB; see `frostline.imaging.stored.read_stored`."""
    return read_stored(path, to_rgb=True)


def full_scale(pixels: NDArray[Any]) -> float:
    """Return the largest value that this type stores; 1 for floats, or their maximum where it is larger."""
    if pixels.dtype.kind == "f":
        return max(1.0, float(np.nanmax(pixels, initial=0.0)))
    return float(np.iinfo(pixels.dtype).max)
