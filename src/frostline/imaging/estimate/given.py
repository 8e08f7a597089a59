"""Directions that are known: one for all images or for each camera, or a map for each image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.errors import InputError
from frostline.imaging.estimate.result import Estimate, Vectors
from frostline.imaging.isd import IsdTable, unit_isd

_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class Fixed:
    """Gives the direction that it was told, for all images or for each camera.

    Its confidence is 1, as nothing is measured.

    Attributes:
        table: what `parse_isd` returns.
    """

    table: IsdTable

    name = "fixed"

    def estimate(self, linear: NDArray[np.uint16], image: Path) -> Estimate:
        """Give the direction of one image; see `Estimator`."""
        del linear
        return Estimate(np.array(self.table.of(image), np.float32), 1.0, self.name)


@dataclass(frozen=True)
class Maps:
    """Reads a map of directions, one for every pixel, for each image.

    Its confidence is the length of the mean of the map's unit vectors: 1 where all pixels have one direction.

    Attributes:
        folder: where the maps are, below it the folders of the images; None for beside the images.
        root: the folder of images, which paths are relative to.
        suffix: what takes the place of the image's own suffix. Beside the images it may not be `.npy` or one that
            images have: `<stem>.npy` beside an image is loaded as that image by Ultralytics.
    """

    root: Path
    folder: Path | None = None
    suffix: str = ".npy"

    name = "map"

    def __post_init__(self) -> None:
        """Refuse a suffix that makes a map look like an image.

        Raises:
            InputError: for such a suffix, one that is no array's or TIFF's, or a folder that is missing or the images'.
        """
        if Path(f"x{self.suffix}").suffix.lower() not in (".npy", *_TIFF) or "/" in self.suffix:
            raise InputError(f"ISD maps end in .npy, .tif or .tiff, such as .isd.npy; not in '{self.suffix}'")
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder of ISD maps")
        beside = self.folder is None or self.folder.resolve() == self.root.resolve()
        if beside and self.suffix.count(".") < 2:
            raise InputError(
                f"maps named <image>{self.suffix} beside the images would be taken for images; give them a folder of"
                f" their own, or a suffix such as .isd{self.suffix}"
            )

    def file_of(self, image: Path) -> Path:
        """Return the path of an image's map, by the image's path relative to the folder of images.

        In a folder of its own a map may lie at the image's place below it, or directly in it.
        """
        name = image.with_name(image.stem + self.suffix)
        nested = (self.folder or self.root) / name
        if self.folder is not None and not nested.is_file():
            return self.folder / name.name
        return nested

    def estimate(self, linear: NDArray[np.uint16], image: Path) -> Estimate:
        """Read the map of one image; see `Estimator`."""
        unit = read_isd_map(self.file_of(image), (linear.shape[0], linear.shape[1]))
        length = float(np.linalg.norm(unit.reshape(-1, 3).mean(axis=0, dtype=np.float64)))
        return Estimate(unit, min(1.0, length), self.name)


def read_isd_map(file: Path, size: tuple[int, int]) -> Vectors:
    """Read a map of illuminant spectral directions and normalise it.

    Args:
        file: .npy, or a TIFF of three channels, in the order red, green, blue; any length of vector above zero.
        size: height and width of its image in pixels.

    Returns:
        (H, W, 3) float32 unit vectors.

    Raises:
        InputError: if it is missing, unreadable, of another size, or has zero vectors or components that are not above
            zero; it counts them.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such ISD map")
    values = _load(file)
    if values.ndim != 3 or values.shape[2] != 3 or values.dtype.kind not in "fiu":
        raise InputError(f"{file}: an ISD map has shape (H, W, 3) and numbers; this has {values.shape} {values.dtype}")
    if values.shape[:2] != size:
        height, width = values.shape[:2]
        raise InputError(f"{file}: the ISD map is {width} x {height} but its image is {size[1]} x {size[0]}")
    zero = int((values == 0).all(axis=2).sum())
    if zero:
        raise InputError(f"{file}: the ISD map has {zero} zero vectors of {size[0] * size[1]}; they have no direction")
    try:
        return unit_isd(values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _load(file: Path) -> NDArray[Any]:
    import tifffile

    try:
        values = tifffile.imread(file) if file.suffix.lower() in _TIFF else np.load(file, allow_pickle=False)
    except Exception as error:  # the codecs raise a type of their own each
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file}: cannot be read as an ISD map ({reason})") from None
    return np.asarray(values)
