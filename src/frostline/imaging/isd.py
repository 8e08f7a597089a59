"""The illuminant spectral direction (ISD): the way a surface's log-RGB moves when the sun is taken from it.

A vector with one component for each of red, green and blue, all of them positive because the sun adds light to every
channel. After Maxwell, Friedhoff and Smith, "A Bi-Illuminant Dichromatic Reflection Model for Understanding Images",
CVPR 2008.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.errors import InputError


def unit_isd(isd: ArrayLike) -> NDArray[np.float32]:
    """Check an ISD, or a map of them, and give it unit length.

    Args:
        isd: (3,) or (H, W, 3), in the order red, green, blue; any length.

    Returns:
        float32 unit vectors of the same shape.

    Raises:
        InputError: for another shape, or a component that is zero, negative or not finite; it counts them in a map.
    """
    try:
        vectors = np.asarray(isd, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"the illuminant direction {isd!r} is not three numbers") from None
    if vectors.shape != (3,) and (vectors.ndim != 3 or vectors.shape[2] != 3):
        raise InputError(f"the illuminant direction has shape {vectors.shape}; expected three numbers or (H, W, 3)")
    bad = ~(np.isfinite(vectors) & (vectors > 0)).all(axis=-1)
    if bad.any():
        which = f"{vectors.tolist()}" if vectors.ndim == 1 else f"map has {int(bad.sum())} bad pixels of {bad.size}, it"
        raise InputError(f"the illuminant direction {which} must have three finite components above zero")
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class IsdTable:
    """The ISD of a set of images: one for all, and where known one for each.

    Attributes:
        mean: (3,) unit vector for images that are not listed.
        images: (3,) unit vectors by file stem (`scene_00007` for `images/train/scene_00007.tiff`).
    """

    mean: tuple[float, float, float]
    images: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def of(self, image: Path) -> tuple[float, float, float]:
        """Return the ISD of an image, found by its stem, else the mean."""
        return self.images.get(image.stem, self.mean)


def isd_table(isd: ArrayLike | IsdTable) -> IsdTable:
    """Take a vector or a table, and return a table of unit vectors.

    Raises:
        InputError: as `unit_isd`; a map is refused here, as it belongs to a single image.
    """
    if isinstance(isd, IsdTable):
        return IsdTable(_triple(isd.mean), {stem: _triple(vector) for stem, vector in isd.images.items()})
    return IsdTable(_triple(isd))


def parse_isd(text: str) -> IsdTable:
    """Read what a user gives as an ISD: three numbers with commas between them, or the path of an `isd.json`.

    Args:
        text: `0.68,0.58,0.45`, or a JSON file as `frostline data scenes` writes it: `{"isd": [r, g, b], "images":
            {stem: [r, g, b]}}`, where `images` may be missing.

    Raises:
        InputError: if it is neither, or the file does not hold directions.
    """
    path = Path(text)
    if path.is_file():
        return _read_isd(path)
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--isd {text}: neither an existing file nor three numbers like 0.68,0.58,0.45") from None
    return isd_table(numbers)


def _read_isd(path: Path) -> IsdTable:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mean, images = content["isd"], dict(content.get("images", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f'{path}: not an ISD file; expected JSON like {{"isd": [0.68, 0.58, 0.45]}}') from None
    try:
        return isd_table(IsdTable(mean, images))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _triple(vector: Any) -> tuple[float, float, float]:
    unit = unit_isd(vector)
    if unit.shape != (3,):
        raise InputError(f"expected one illuminant direction of three numbers, got an array of shape {unit.shape}")
    red, green, blue = (float(component) for component in unit)
    return red, green, blue
