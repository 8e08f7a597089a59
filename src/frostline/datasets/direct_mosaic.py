"""Ultralytics' mosaic and the warp after it in one step over the pixels: the same labels and the same draws of chance,
and the same pixels to the bit, without the canvas of four times the area."""

from __future__ import annotations

from typing import Any

from ultralytics.data.augment import Compose, CopyPaste, Mosaic, RandomPerspective

from frostline.datasets.exact_augment import ExactMosaic, ExactPerspective, Labels, like
from frostline.datasets.mosaic_warp import Canvas, Tile, is_straight, warp
from frostline.datasets.pixel_format import PixelFormat


def direct(transform: Any, pixels: PixelFormat) -> Any:
    """Let mosaics that a warp follows hand it their tiles instead of a canvas.

    Args:
        transform: a transform or a `Compose` of Ultralytics or of `for_format`; it is not changed.
        pixels: of the images.

    Returns:
        The same with `DirectMosaic` and `DirectPerspective` where nothing between the two looks at pixels.
    """
    if not isinstance(transform, Compose):
        inner = getattr(transform, "pre_transform", None)
        if inner is None:
            return transform
        return like(type(transform), transform, pre_transform=direct(inner, pixels))
    parts = [direct(part, pixels) for part in transform.transforms]
    for place, part in enumerate(parts):
        after = _next_warp(parts, place + 1)
        if type(part) in (Mosaic, ExactMosaic) and part.n == 4 and after is not None:
            parts[place] = like(DirectMosaic, part, pixels=pixels)
            parts[after] = like(DirectPerspective, parts[after], pixels=pixels)
    return Compose(parts)


def _next_warp(parts: list[Any], place: int) -> int | None:
    """Find the warp that follows, with nothing before it but a CopyPaste that does nothing."""
    while place < len(parts) and isinstance(parts[place], CopyPaste) and parts[place].p == 0:
        place += 1
    follows = place < len(parts) and type(parts[place]) in (RandomPerspective, ExactPerspective)
    return place if follows else None


class DirectMosaic(Mosaic):
    """A mosaic whose image is a `Canvas`: the tiles and their places."""

    pixels: PixelFormat

    def apply_image(self, labels: Labels, params: Labels | None = None) -> Labels:
        """Note the layout that `get_params` drew."""
        assert params is not None
        tiles = [
            Tile(
                item["labels_patch"]["img"],
                (item["x1a"], item["y1a"], item["x2a"], item["y2a"]),
                (item["x1b"], item["y1b"]),
            )
            for item in params["layout"]
        ]
        side = 2 * self.imgsz
        labels["img"] = Canvas((side, side, labels["img"].shape[2]), tiles, self.pixels.padding)
        return labels


class DirectPerspective(ExactPerspective):
    """The warp after a `DirectMosaic`; a turned, sheared or tilted one, or of an image, goes the usual way."""

    def apply_image(self, labels: Labels, params: Labels | None = None) -> Labels:
        """Warp by the matrix that `get_params` drew."""
        assert params is not None
        canvas, size = labels["img"], params["size"]
        if isinstance(canvas, Canvas):
            if canvas.shape[2] == 3 and is_straight(params["M"], size[0]):
                # RandomHSV takes 8-bit images as OpenCV lays them out; others go to the network with little between.
                labels["img"] = warp(canvas, params["M"], size, planar=self.pixels.deep)
                labels["resized_shape"] = labels["img"].shape[:2]
                return labels
            labels["img"] = canvas.painted()
        return super().apply_image(labels, params)
