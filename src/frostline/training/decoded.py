"""Whether images are decoded once and kept, and for how long: as long as the run or the study that trains from them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from frostline.datasets import PixelFormat
from frostline.datasets.image_cache import ImageCache

FOLDER = "decoded"
MEMORY_SHARE = 0.25
DISK_SHARE = 0.1


@contextmanager
def keeping_images(
    settings: Mapping[str, Any], folder: Path, count: int, imgsz: int, pixels: PixelFormat
) -> Iterator[ImageCache | None]:
    """Keep decoded images in a folder of their own while the block runs, then remove it.

    With `image_cache: auto` they are kept where they would fill a quarter of the free memory and a tenth of the free
    disk at most: a mapped file that does not stay in memory is read again and again. A process that is killed leaves
    the folder behind, and the next one goes on with it.

    Args:
        settings: resolved training arguments.
        folder: of a run or a study; `decoded/` is made in it.
        count: images.
        imgsz: long side that they are resized to, pixels.
        pixels: their format.

    Yields:
        The cache, or None where images are decoded in every epoch.
    """
    wanted = settings.get("image_cache", False)
    if wanted == "auto":
        wanted = _fits(folder, count * imgsz * imgsz * 3 * np.dtype(pixels.kind).itemsize)
    if not wanted or settings.get("cache"):
        yield None
        return
    place = folder / FOLDER
    try:
        yield ImageCache(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _fits(folder: Path, needed: int) -> bool:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    return needed <= min(MEMORY_SHARE * psutil.virtual_memory().available, DISK_SHARE * free)
