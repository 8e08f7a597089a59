"""Ultralytics' dataset for images that it would read in 8 bits, or not at all: uint16 and float32 to the last bit."""

from __future__ import annotations

import math
import os
import random
import shutil
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.data.utils import get_hash
from ultralytics.utils import LOGGER

from frostline.datasets.exact_augment import for_format
from frostline.datasets.pixel_format import PixelFormat
from frostline.datasets.pixels import read_picture
from frostline.datasets.rows import read_rows
from frostline.datasets.scanned import ScannedDataset
from frostline.errors import InputError
from frostline.files import written_beside

CACHE_SUFFIX = ".exact.npy"
"""Behind the name of an image, for its disk cache.

Plain Ultralytics takes `<stem>.npy` for the image itself, and rewrites a 16-bit one.
"""

Loaded = tuple[NDArray[Any], tuple[int, int], tuple[int, int]]


def read_exact(path: Path, pixels: PixelFormat) -> NDArray[Any]:
    """Read an image with every bit of it.

    Args:
        path: an image.
        pixels: what its dataset holds.

    Returns:
        (H, W, 3) of the format's type, in the order blue, green, red, as Ultralytics keeps images; grey is repeated.

    Raises:
        InputError: it cannot be read, has another type or number of channels, or values that are not finite or lie
            outside the range.
    """
    image = read_picture(path)
    if str(image.dtype) != pixels.kind:
        raise InputError(f"{path}: holds {image.dtype} values, not {pixels.kind} like the rest of the dataset")
    if image.shape[2] not in (1, 3):
        raise InputError(f"{path}: has {image.shape[2]} channels; save it with three (or one, which is repeated)")
    if pixels.deep:
        least, most = float(image.min()), float(image.max())
        if not (least >= pixels.low and most <= pixels.high):  # also true for NaN
            if not (math.isfinite(least) and math.isfinite(most)):
                raise InputError(f"{path}: holds NaN or infinite values; mend the image or take it out")
            raise InputError(
                f"{path}: holds values from {least:g} to {most:g}, outside the range {pixels.low:g} to "
                f"{pixels.high:g}; declare the right one as 'pixels: {{range: [LOW, HIGH]}}' in data.yaml"
            )
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    bgr: NDArray[Any] = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    return bgr


def to_unit(images: torch.Tensor, pixels: PixelFormat) -> torch.Tensor:
    """Turn values into float32 shares of the range, `low` to 0 and `high` to 1.

    Args:
        images: of any shape, in the format's type.
        pixels: of the images.

    Returns:
        A new tensor on the same device, and of the same layout in memory.
    """
    shares = _like(images) if images.device.type == "cpu" else torch.empty_like(images, dtype=torch.float32)
    shares.copy_(images)
    if pixels.low:
        shares.sub_(pixels.low)
    return shares.div_(pixels.high - pixels.low)


def _like(images: torch.Tensor) -> torch.Tensor:
    if images.ndim == 4 and images.is_contiguous(memory_format=torch.channels_last):
        count, channels, height, width = images.shape
        return unfilled((count, height, width, channels), torch.float32).permute(0, 3, 1, 2)
    return unfilled(images.shape, torch.float32)


def unfilled(shape: Sequence[int], kind: torch.dtype) -> torch.Tensor:
    """Make a tensor in main memory for values to come.

    NumPy asks Linux for huge pages, without which a batch of large images takes longer to allocate than to compute.
    """
    return torch.from_numpy(np.empty(tuple(shape), str(kind).removeprefix("torch.")))


def remember(dataset: ScannedDataset, i: int, image: NDArray[Any], original: tuple[int, int]) -> Loaded:
    """Put an image that was just loaded where mosaic draws from, as Ultralytics does when it augments.

    Returns:
        What `load_image` returns.
    """
    now = image.shape[0], image.shape[1]
    if dataset.augment and dataset.cache != "ram":
        dataset.ims[i], dataset.im_hw0[i], dataset.im_hw[i] = image, original, now
        dataset.buffer.append(i)
        if 1 < len(dataset.buffer) >= dataset.max_buffer_length:
            old = dataset.buffer.pop(0)
            dataset.ims[old], dataset.im_hw0[old], dataset.im_hw[old] = None, None, None
    return image, original, now


class ExactDataset(ScannedDataset):
    """Ultralytics' detection dataset with loading, caches and augmentation that keep the type of the pixels.

    An image that cannot be used is an error that names it; Ultralytics would leave it out.

    Args:
        pixels: what the dataset holds.
        kwargs: those of `YOLODataset`.
    """

    def __init__(self, *args: Any, pixels: PixelFormat, **kwargs: Any) -> None:
        self.pixels = pixels
        super().__init__(*args, **kwargs)

    def verify_args(self) -> tuple[Any, Any]:
        """Return what `cache_labels` calls for every image, and with what."""
        classes = len(self.data["names"])
        return _verify, zip(self.im_files, self.label_files, repeat(classes), repeat(self.pixels), strict=False)

    def get_cache_hash(self) -> str:
        """Tell label caches of other formats, and of plain Ultralytics, from this one's."""
        return str(get_hash([*self.label_files, *self.im_files, repr((self.pixels, len(self.data["names"])))]))

    def load_image(self, i: int, rect_mode: bool = True, resize_short: bool = False) -> Loaded:
        """Load an image, resized as Ultralytics resizes it: the long side to `imgsz`, or stretched to it.

        Returns:
            The image, its (height, width) in the file and now.
        """
        image = self.ims[i]
        if image is not None:
            return image, self.im_hw0[i], self.im_hw[i]
        image = self._stored(i)
        height, width = image.shape[:2]
        shape = tuple(self.imgsz) if isinstance(self.imgsz, tuple | list) else (self.imgsz, self.imgsz)
        if rect_mode:
            ratio = max(shape) / (min if resize_short else max)(height, width)
            size = math.ceil(width * ratio), math.ceil(height * ratio)
            if not resize_short:
                size = min(size[0], max(shape)), min(size[1], max(shape))
        else:
            size = shape[1], shape[0]
        if size != (width, height):
            image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return remember(self, i, image, (height, width))

    def _stored(self, i: int) -> NDArray[Any]:
        file, cached = Path(self.im_files[i]), self._cached(i)
        if self.cache == "disk" and _of_now(cached, file):
            try:
                image: NDArray[Any] = np.load(cached)
                if str(image.dtype) == self.pixels.kind and image.ndim == 3:
                    return image
            except (OSError, ValueError, EOFError):  # cut off by a kill, to nothing perhaps: read the image itself
                cached.unlink(missing_ok=True)
        return read_exact(file, self.pixels)

    def _cached(self, i: int) -> Path:
        return Path(self.im_files[i] + CACHE_SUFFIX)  # with its suffix: a.png may stand beside a.tif

    def cache_images_to_disk(self, i: int) -> None:
        """Keep the decoded image beside its file, in its own type."""
        file, cached = Path(self.im_files[i]), self._cached(i)
        self.npy_files[i] = cached  # whose size Ultralytics adds up
        if not _of_now(cached, file):
            try:
                with written_beside(cached) as beside, beside.open("wb") as stream:
                    state = file.stat()
                    np.save(stream, read_exact(file, self.pixels), allow_pickle=False)
                os.utime(cached, ns=(state.st_atime_ns, state.st_mtime_ns))
            except OSError as error:
                LOGGER.warning(f"{self.prefix}{cached} cannot be written ({error.strerror}): reading the image instead")

    def check_cache_disk(self, safety_margin: float = 0.1) -> bool:
        """Say whether the disk has room for the decoded images, estimated from 30 of them."""
        folder = Path(self.im_files[0]).parent
        sample = [random.choice(self.im_files) for _ in range(min(self.ni, 30))]
        needed = sum(read_exact(Path(file), self.pixels).nbytes for file in sample) * self.ni / len(sample)
        free = shutil.disk_usage(folder).free
        if needed * (1 + safety_margin) < free and os.access(folder, os.W_OK):
            return True
        LOGGER.warning(
            f"{self.prefix}images are not cached on disk: {needed / 2**30:.1f} GiB needed, {free / 2**30:.1f} GiB free "
            f"in {folder}, which must be writable"
        )
        self.cache = None
        return False

    def build_transforms(self, hyp: Any) -> Any:
        """Build Ultralytics' transforms, for this dataset's pixels."""
        transforms = super().build_transforms(hyp)
        return for_format(transforms, self.pixels) if self.pixels.deep else transforms


def _of_now(cached: Path, image: Path) -> bool:
    """Say whether a cache file is of the image as it is now: it has the image's own time, to the nanosecond.

    A copy that keeps times may put an older file in an image's place, so a later time proves nothing.
    """
    try:
        return cached.stat().st_mtime_ns == image.stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _verify(job: tuple[str, str, int, PixelFormat]) -> tuple[Any, ...]:
    """Read an image and its labels once, in the form of Ultralytics' `verify_image_label`."""
    file, label, classes, pixels = job
    height, width = read_exact(Path(file), pixels).shape[:2]
    if min(height, width) < 10:
        raise InputError(f"{file}: is {width} x {height} pixels; an image has at least 10 on either side")
    rows, wrong = read_rows(Path(label), classes)
    if wrong:
        raise InputError(f"{label}, line {wrong[0][0]}: {wrong[0][1]}")
    found = np.array([(r.index, r.x, r.y, r.width, r.height) for r in rows], np.float32).reshape(-1, 5)
    unique = np.unique(found, axis=0)
    message = f"{file}: {len(found) - len(unique)} duplicate labels removed" if len(unique) < len(found) else ""
    has = Path(label).is_file()
    # file, labels, shape, segments, keypoints, then missing, found, empty, corrupt and a message
    kept = unique if message else found
    return file, kept, (height, width), [], None, int(not has), int(has), int(has and not rows), 0, message
