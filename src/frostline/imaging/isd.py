"""The illuminant spectral direction (ISD): the way a surface's log-RGB moves when the sun is taken from it.

A vector with one component for each of red, green and blue, all of them positive because the sun adds light to every
channel. After Maxwell, Friedhoff and Smith, "A Bi-Illuminant Dichromatic Reflection Model for Understanding Images",
CVPR 2008.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from frostline.errors import InputError
from frostline.files import MOST_YAML_BYTES, parse_yaml, read_bounded

_BLOCK = 65536


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
        vectors = np.asarray(isd)
        vectors = vectors if vectors.dtype.kind in "fiu" else vectors.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"the illuminant direction {isd!r} is not three numbers") from None
    if vectors.shape != (3,) and (vectors.ndim != 3 or vectors.shape[2] != 3):
        raise InputError(f"the illuminant direction has shape {vectors.shape}; expected three numbers or (H, W, 3)")
    rows = vectors.reshape(-1, 3)
    unit = np.empty(rows.shape, np.float32)
    bad = 0
    for first in range(0, len(rows), _BLOCK):  # a whole map in double precision would be the largest thing in memory
        block = rows[first : first + _BLOCK].astype(np.float64)
        wrong = ~(np.isfinite(block) & (block > 0)).all(axis=1)
        bad += int(np.count_nonzero(wrong))
        block[wrong] = 1
        unit[first : first + _BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    if bad:
        which = f"{vectors.tolist()}" if vectors.ndim == 1 else f"map has {bad} bad pixels of {len(rows)}, it"
        raise InputError(f"the illuminant direction {which} must have three finite components above zero")
    return unit.reshape(vectors.shape)


@dataclass(frozen=True)
class IsdTable:
    """The ISD of a set of images: one for all, and where known one for each image or each camera.

    Attributes:
        mean: (3,) unit vector for images that are not listed.
        images: (3,) unit vectors by file stem (`scene_00007` for `images/train/scene_00007.tiff`).
        cameras: (3,) unit vectors by camera. A camera is the name of a folder above the image, or what the image's name
            begins with, before `_` or `-`: `front` for `front/000.tiff` and for `front_000.tiff`.
        only_listed: whether an image that has neither is an error instead of taking the mean.
    """

    mean: tuple[float, float, float]
    images: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    cameras: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    only_listed: bool = False

    def of(self, image: Path) -> tuple[float, float, float]:
        """Return the ISD of an image: its own, found by its stem, else its camera's, else the mean.

        Raises:
            InputError: if the image belongs to two cameras, or, with `only_listed`, to none.
        """
        if image.stem in self.images:
            return self.images[image.stem]
        cameras = [camera for camera in self.cameras if _is_by(camera, image)]
        if len({self.cameras[camera] for camera in cameras}) > 1:
            raise InputError(f"{image}: belongs to the cameras {' and '.join(cameras)}; name them so that one fits")
        if not cameras and self.only_listed:
            raise InputError(f"{image}: is of none of the cameras {', '.join(self.cameras)}; add `isd:` for others")
        return self.cameras[cameras[0]] if cameras else self.mean


def isd_table(isd: ArrayLike | IsdTable) -> IsdTable:
    """Take a vector or a table, and return a table of unit vectors.

    Raises:
        InputError: as `unit_isd`; a map is refused here, as it belongs to a single image.
    """
    if isinstance(isd, IsdTable):
        images, cameras = (
            {str(name): _triple(vector) for name, vector in part.items()} for part in (isd.images, isd.cameras)
        )
        return IsdTable(_triple(isd.mean), images, cameras, isd.only_listed)
    return IsdTable(_triple(isd))


def parse_isd(text: str) -> IsdTable:
    """Read what a user gives as an ISD: three numbers with commas between them, or the path of a YAML or JSON file.

    Args:
        text: `0.68,0.58,0.45`, or a file as `frostline chroma estimate` (YAML) and `frostline data scenes` (JSON) write
            it: `isd: [r, g, b]`, and `images: {stem: [r, g, b]}` where images have their own. One written by hand may
            have `cameras: {name: [r, g, b]}`, see `IsdTable`; with `cameras`, `isd` may be missing.

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
    if len(numbers) != 3:
        raise InputError(f"--isd {text}: {len(numbers)} numbers; expected three, for red, green and blue")
    return isd_table(numbers)


def _read_isd(path: Path) -> IsdTable:
    try:
        content = parse_yaml(read_bounded(path, MOST_YAML_BYTES).decode("utf-8"))  # JSON is YAML
        images, cameras = dict(content.get("images") or {}), dict(content.get("cameras") or {})
        mean = content["isd"] if "isd" in content or not cameras else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        raise InputError(
            f"{path}: not an ISD file; expected YAML or JSON like isd: [0.68, 0.58, 0.45], or cameras:"
            " {front: [0.68, 0.58, 0.45]}"
        ) from None
    try:
        given = mean if mean is not None else np.mean([_triple(vector) for vector in cameras.values()], axis=0)
        return isd_table(IsdTable(given, images, cameras, only_listed=mean is None))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _is_by(camera: str, image: Path) -> bool:
    return camera in image.parent.parts or image.stem == camera or image.stem.startswith((f"{camera}_", f"{camera}-"))


def _triple(vector: Any) -> tuple[float, float, float]:
    unit = unit_isd(vector)
    if unit.shape != (3,):
        raise InputError(f"expected one illuminant direction of three numbers, got an array of shape {unit.shape}")
    red, green, blue = (float(component) for component in unit)
    return red, green, blue
