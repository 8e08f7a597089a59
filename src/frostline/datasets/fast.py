"""The datasets of `build_split` when images are kept decoded, or mosaics made without a canvas."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import cv2
import torch
import ultralytics
from ultralytics.utils import LOGGER

from frostline.datasets.direct_mosaic import direct
from frostline.datasets.exact import ExactDataset, Loaded, remember, unfilled
from frostline.datasets.image_cache import ImageCache, Size
from frostline.datasets.mosaic_warp import agrees_with_opencv
from frostline.datasets.pixel_format import PixelFormat
from frostline.datasets.sampled import SampledDataset


class FastDataset(SampledDataset):
    """Ultralytics' dataset with decoded images from a file and direct mosaics, and its very tensors.

    Args:
        pixels: what the dataset holds.
        images: where decoded images are kept; None decodes them in every epoch.
        direct_mosaic: warp tiles straight into the image, where that gives OpenCV's pixels.
        kwargs: those of `SampledDataset`.
    """

    def __init__(
        self, *args: Any, pixels: PixelFormat, images: ImageCache | None, direct_mosaic: bool, **kwargs: Any
    ) -> None:
        self.pixels = pixels
        self._direct = direct_mosaic
        if pixels.exact:
            kwargs["pixels"] = pixels
        super().__init__(*args, **kwargs)
        self._images = None
        if images is not None:
            self._images = images.images(self.im_files, self._sources(), self._read_as(), self._decode, self.prefix)

    def _decode(self, position: int) -> tuple[Any, Size]:
        reader = copy(self)
        reader.augment = False  # and so it fills no buffer
        image, original, _ = reader.load_image(position)
        return image, original

    def _sources(self) -> list[Path]:
        """List what the pixels are read from; Ultralytics takes `<stem>.npy` for the image."""
        files = [Path(file) for file in self.im_files]
        return files if self.pixels.exact else files + [path for path in self.npy_files if path.exists()]

    def _read_as(self) -> str:
        """Name what the pixels depend on beside the files."""
        versions = cv2.__version__, ultralytics.__version__
        return repr((versions, self.imgsz, self.channels, self.pixels.scale, self.pixels.exact))

    def load_image(self, i: int, rect_mode: bool = True, resize_short: bool = False) -> Loaded:
        """Load an image as Ultralytics does, from the file of decoded ones where it is there."""
        images = getattr(self, "_images", None)  # not yet there while Ultralytics sets up
        if images is None or self.ims[i] is not None or not rect_mode or resize_short:
            loaded: Loaded = super().load_image(i, rect_mode, resize_short)
            return loaded
        image, original = images[i]
        return remember(self, i, image, original)

    @staticmethod
    def collate_fn(batch: list[dict[str, Any]]) -> dict[str, Any]:
        """Put samples into a batch as Ultralytics does, with images in memory that is quick to allocate."""
        images = [sample["img"] for sample in batch]
        done = dict(SampledDataset.collate_fn([{**sample, "img": sample["img"].new_empty(0)} for sample in batch]))
        room = unfilled((len(images), *images[0].shape), images[0].dtype)
        done["img"] = torch.stack(images, out=room)
        return done

    def build_transforms(self, hyp: Any) -> Any:
        """Build Ultralytics' transforms, with direct mosaics."""
        transforms = super().build_transforms(hyp)
        if not (self._direct and self.augment and hyp.mosaic):
            return transforms
        if not agrees_with_opencv(self.pixels.kind):
            LOGGER.info(f"{self.prefix}mosaics are made on a canvas: OpenCV {cv2.__version__} rounds otherwise here")
            return transforms
        return direct(transforms, self.pixels)


class FastExactDataset(FastDataset, ExactDataset):
    """The same of an `ExactDataset`."""
