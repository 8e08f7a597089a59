"""Ultralytics' augmentation for images of more than 8 bits: the same geometry and the same draws of chance, with
canvases of the image's own type, padding in its own range and a change of brightness that suits its encoding."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from ultralytics.data.augment import (
    Albumentations,
    BaseTransform,
    Compose,
    CopyPaste,
    CutMix,
    Format,
    LetterBox,
    MixUp,
    Mosaic,
    RandomFlip,
    RandomHSV,
    RandomPerspective,
)

from frostline.datasets.brightness import brightened, rounded
from frostline.datasets.pixel_format import PixelFormat

Labels = dict[str, Any]

_AS_THEY_ARE = (CopyPaste, CutMix, RandomFlip, Format)
"""Transforms that move pixels without computing with them."""


def for_format(transform: Any, pixels: PixelFormat) -> Any:
    """Turn Ultralytics' transforms into those for a pixel format; they keep their parameters and their order.

    Args:
        transform: a transform or a `Compose`, as `v8_transforms` builds it.
        pixels: of the images it will see.

    Raises:
        TypeError: for a transform that is not known to keep more than 8 bits.
    """
    if isinstance(transform, Compose):
        parts = [for_format(part, pixels) for part in transform.transforms]
        return Compose([part for part in parts if part is not None])
    if isinstance(transform, Albumentations):
        return None  # written for 8 bits; our runs pass an empty list anyway
    if isinstance(transform, RandomHSV):
        return Brightness(transform.vgain, pixels)
    if isinstance(transform, LetterBox):
        # Ultralytics hands the value to OpenCV, which takes any number
        return like(LetterBox, transform, padding_value=pixels.padding)
    for plain, ours in ((Mosaic, ExactMosaic), (MixUp, ExactMixUp), (RandomPerspective, ExactPerspective)):
        if type(transform) is plain:
            transform = like(ours, transform, pixels=pixels)
            break
    else:
        if not isinstance(transform, _AS_THEY_ARE):
            raise TypeError(f"{type(transform).__name__} is not known to keep more than 8 bits")
        transform = like(type(transform), transform)
    if getattr(transform, "pre_transform", None) is not None:
        transform.pre_transform = for_format(transform.pre_transform, pixels)
    return transform


def like(kind: type[BaseTransform], transform: BaseTransform, **more: Any) -> Any:
    """Make a transform of another class with the same attributes, and more or other ones."""
    made = object.__new__(kind)
    made.__dict__.update(vars(transform), **more)
    return made


class ExactMosaic(Mosaic):
    """Four images on a canvas of their own type."""

    pixels: PixelFormat

    def apply_image(self, labels: Labels, params: Labels | None = None) -> Labels:
        """Paste the images of the layout that `get_params` drew."""
        assert params is not None and self.n == 4
        image = labels["img"]
        side = 2 * self.imgsz
        canvas = np.full((side, side, image.shape[2]), self.pixels.padding, dtype=image.dtype)
        for item in params["layout"]:
            patch = item["labels_patch"]["img"]
            canvas[item["y1a"] : item["y2a"], item["x1a"] : item["x2a"]] = patch[
                item["y1b"] : item["y2b"], item["x1b"] : item["x2b"]
            ]
        labels["img"] = canvas
        return labels


class ExactMixUp(MixUp):
    """A weighted sum of two images, rounded to their own type."""

    pixels: PixelFormat

    def apply_image(self, labels: Labels, params: Labels | None = None) -> Labels:
        """Blend by the ratio that `get_params` drew."""
        assert params is not None
        ratio = params["r"]
        blend = labels["img"] * ratio + labels["mix_labels"][0]["img"] * (1 - ratio)
        labels["img"] = rounded(blend, self.pixels)
        return labels


class ExactPerspective(RandomPerspective):
    """The affine or perspective warp, padded in the image's own range."""

    pixels: PixelFormat

    def apply_image(self, labels: Labels, params: Labels | None = None) -> Labels:
        """Warp by the matrix that `get_params` drew."""
        assert params is not None
        border = (self.pixels.padding,) * 4
        if self.perspective:
            image = cv2.warpPerspective(labels["img"], params["M"], dsize=params["size"], borderValue=border)
        else:
            image = cv2.warpAffine(labels["img"], params["M"][:2], dsize=params["size"], borderValue=border)
        labels["img"] = image if image.ndim == 3 else image[..., None]
        labels["resized_shape"] = image.shape[:2]
        return labels


class Brightness(BaseTransform):
    """A random gain of brightness: a factor on linear or sRGB values, an offset on logarithms.

    It takes the place of `RandomHSV`: hue and saturation have no meaning in a log-chromaticity image. The gain is
    drawn as Ultralytics draws that of the value channel, uniformly from 1 - `gain` to 1 + `gain`.

    Args:
        gain: the largest change, such as 0.4.
        pixels: of the images.
    """

    def __init__(self, gain: float, pixels: PixelFormat) -> None:
        self.gain = gain
        self.pixels = pixels

    def apply_image(self, labels: Labels, params: Labels | None = None) -> Labels:
        """Draw a gain and apply it."""
        if self.gain:
            factor = 1 + float(np.random.uniform(-1, 1, 3)[2]) * self.gain
            labels["img"] = brightened(labels["img"], factor, self.pixels)
        return labels
