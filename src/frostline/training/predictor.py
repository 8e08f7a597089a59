"""Ultralytics' predictor on images that our loader read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ultralytics.data.augment import LetterBox
from ultralytics.data.loaders import SourceTypes
from ultralytics.models.yolo.detect import DetectionPredictor
from ultralytics.utils import nms

from frostline.datasets import PixelFormat
from frostline.datasets.exact import to_unit
from frostline.training.evaluation import NO_TIME_LIMIT
from frostline.training.images import float32_convolutions
from frostline.training.machine import hushed, use_all_cores
from frostline.training.predict_sources import ImageLoader
from frostline.training.tracking.quiet import without_unasked


class ExactPredictor(DetectionPredictor):
    """Ultralytics' predictor on images that our loader read, without a time limit in NMS.

    8-bit images take Ultralytics' own way. Deeper ones are padded in their own range and become float32 in [0, 1].

    Attributes:
        loader: the images.
    """

    loader: ImageLoader

    def setup_source(self, source: Any, stride: int | None = None) -> None:
        """Take the loader for the source, whatever source is named."""
        size = int(self.args.imgsz)
        self.imgsz = [size, size]
        self.dataset, self.source_type = self.loader, SourceTypes()

    def _format(self) -> PixelFormat:
        pixels: PixelFormat = self.batch[2][0]
        return pixels

    def pre_transform(self, im: list[Any]) -> list[Any]:
        """Resize and pad a batch of one shape, to the smallest rectangle that the stride allows."""
        pixels = self._format()
        if not pixels.deep:
            return list(super().pre_transform(im))
        letterbox = LetterBox(self.imgsz, auto=True, stride=self.model.stride, padding_value=pixels.padding)
        return [letterbox(image=image) for image in im]

    def preprocess(self, im: list[Any]) -> torch.Tensor:
        """Turn a batch into a tensor (N, 3, H, W), red, green, blue, in [0, 1] by the range of its format."""
        pixels = self._format()
        if not pixels.deep:
            plain: torch.Tensor = super().preprocess(im)
            return plain
        stacked = np.stack(self.pre_transform(im))[..., ::-1].transpose(0, 3, 1, 2)
        return to_unit(torch.from_numpy(np.ascontiguousarray(stacked)).to(self.device), pixels)

    def inference(self, im: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the network; a GPU must not round more than 8 bits, and goes on afterwards as it did before."""
        if not self._format().deep:
            return super().inference(im, *args, **kwargs)
        before = torch.backends.cudnn.allow_tf32
        float32_convolutions()
        try:
            return super().inference(im, *args, **kwargs)
        finally:
            torch.backends.cudnn.allow_tf32 = before

    def postprocess(self, preds: Any, img: torch.Tensor, orig_imgs: list[Any], **kwargs: Any) -> Any:
        """Suppress overlapping boxes as Ultralytics does, however long it takes."""
        outputs = nms.non_max_suppression(
            preds,
            self.args.conf,
            self.args.iou,
            self.args.classes,
            self.args.agnostic_nms,
            max_det=self.args.max_det,
            max_time_img=NO_TIME_LIMIT,
            end2end=getattr(self.model, "end2end", False),
        )
        return self.construct_results(outputs, img, orig_imgs)


def set_up(network: Any, device: str, loader: ImageLoader, **arguments: Any) -> ExactPredictor:
    """Build a predictor for a network, on a device.

    Args:
        network: a detector, as Ultralytics opens it.
        device: `cpu`, `mps` or a GPU's number.
        loader: the images.
        arguments: more of Ultralytics' arguments.
    """
    overrides = {
        "mode": "predict", "task": "detect", "rect": True, "save": False, "verbose": False, "device": device,
        "batch": loader.batch, **arguments,
    }  # fmt: skip
    with hushed():
        predictor = ExactPredictor(overrides=overrides)
        without_unasked(predictor.callbacks)
        predictor.loader = loader
        predictor.setup_model(network, verbose=False)
    if device == "cpu":
        use_all_cores()  # choosing a device has just reset torch's threads
    return predictor
