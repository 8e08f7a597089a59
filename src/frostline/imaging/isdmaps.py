"""Maps of illuminant spectral directions: one for each image, with a direction of its own at every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.errors import InputError
from frostline.imaging.isd import unit_isd
from frostline.imaging.stored import read_stored

OWN_FOLDER_SUFFIX, BESIDE_SUFFIX = ".npy", ".isd.npy"
"""How maps are named where nobody says: in a folder of their own, or beside the images."""

_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class IsdMaps:
    """Where the maps of a folder of images are.

    Attributes:
        root: the folder of images, which paths are relative to.
        folder: where the maps are, below it the folders of the images; None for beside the images.
        suffix: what takes the place of the image's own suffix. Beside the images it may not be `.npy` or one that
            images have: `<stem>.npy` beside an image is loaded as that image by Ultralytics.
    """

    root: Path
    folder: Path | None = None
    suffix: str = OWN_FOLDER_SUFFIX

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
        direct = nested if self.folder is None else self.folder / name.name
        return direct if direct.is_file() and not nested.is_file() else nested

    def name_of(self, file: Path) -> str:
        """Name a map by its path below the folder of maps, with forward slashes."""
        return file.relative_to(self.folder or self.root).as_posix()

    def without_maps(self, images: list[Path]) -> list[Path]:
        """Leave out what are maps in TIFF form and no images; paths are relative to the folder of images."""
        if Path(f"x{self.suffix}").suffix.lower() == ".npy":
            return images
        if self.suffix.count(".") > 1:
            images = [image for image in images if not image.name.endswith(self.suffix)]
        if self.folder is None:
            return images
        folder, root = self.folder.resolve(), self.root.resolve()
        return [image for image in images if folder == root or folder not in (root / image).parents]


def maps_of(root: Path, folder: Path | None, suffix: str | None) -> IsdMaps:
    """Say where the maps of a folder of images are, with the usual suffix where none is given."""
    return IsdMaps(root, folder, suffix or (OWN_FOLDER_SUFFIX if folder else BESIDE_SUFFIX))


def read_isd_map(file: Path, size: tuple[int, int]) -> NDArray[np.float32]:
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
    try:
        values = read_stored(file) if file.suffix.lower() in _TIFF else np.load(file, allow_pickle=False)
    except Exception as error:  # the codecs raise a type of their own each
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file}: cannot be read as an ISD map ({reason})") from None
    return np.asarray(values)
