"""Pictures of validation images, small enough to go into a page."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.datasets.dataset import load_dataset
from frostline.datasets.draw import tone_map
from frostline.datasets.pixels import read_picture

WIDTHS = (960, 800, 640, 480)
"""Widths of pictures in pixels, from the one that is wanted to the one that is small enough in any case."""
QUALITY = 80
_ENOUGH = 2 * WIDTHS[0]


@dataclass(frozen=True)
class Picture:
    """A picture to draw on.

    Attributes:
        jpeg: the file.
        size: its width and height, pixels.
    """

    jpeg: bytes
    size: tuple[int, int]

    def pixels(self) -> NDArray[np.uint8]:
        """Decode it: (H, W, 3) uint8, red, green, blue."""
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self.jpeg)).convert("RGB"))


@dataclass(frozen=True)
class Scan:
    """An image as it was read.

    Attributes:
        shown: (H, W, 3) uint8, tone-mapped, W at most `WIDTHS[0]`.
        size: width and height of the file, pixels: what boxes are measured in.
    """

    shown: NDArray[np.uint8]
    size: tuple[int, int]


class Album:
    """The validation images of a dataset, by the names that evidence has for them: without suffix, or as they are.

    Args:
        data: the data.yaml of a run.

    Raises:
        InputError: as `load_dataset`.
    """

    def __init__(self, data: str | Path) -> None:
        files = [str(path) for path in load_dataset(data).val]
        root = os.path.commonpath([os.path.dirname(file) for file in files])  # noqa: PTH120 (as predictions name them)
        whole = {Path(file).relative_to(root).as_posix(): Path(file) for file in files}
        self._files = {str(PurePosixPath(name).with_suffix("")): file for name, file in whole.items()} | whole

    def scan(self, name: str) -> Scan:
        """Read an image of any depth and tone-map it as `frostline data draw` does.

        Raises:
            InputError: the file cannot be read.
            KeyError: there is no such image.
        """
        pixels = read_picture(self._files[name])
        height, width = pixels.shape[:2]
        # Whole rows and columns are left out of very large images before they are tone-mapped, which takes longest.
        step = max(1, width // _ENOUGH)
        return Scan(_narrowed(tone_map(pixels[::step, ::step]), WIDTHS[0]), (width, height))


def encode(scans: Sequence[Scan], budget_bytes: int) -> list[Picture]:
    """Encode pictures as JPEG, all of the widest width with which they fit a budget together.

    Args:
        scans: what `Album.scan` gives.
        budget_bytes: of all files together; may be exceeded at the smallest width only.
    """
    pictures: list[Picture] = []
    for width in WIDTHS:
        pictures = [_encoded(_narrowed(scan.shown, width)) for scan in scans]
        if sum(len(picture.jpeg) for picture in pictures) <= budget_bytes:
            break
    return pictures


def _narrowed(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    import cv2

    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    small: Any = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def _encoded(picture: NDArray[np.uint8]) -> Picture:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=QUALITY, optimize=True)
    return Picture(file.getvalue(), (picture.shape[1], picture.shape[0]))
