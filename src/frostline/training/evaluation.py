"""Evaluation of a checkpoint: Ultralytics' own validation, recorded box by box."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils import nms, ops

from frostline.analysis.coco import evaluate_coco
from frostline.analysis.predictions import DetectionTable, Predictions, PredictionSettings
from frostline.datasets import EIGHT_BITS, PixelFormat, load_dataset, pixel_format
from frostline.datasets.build import build_split
from frostline.datasets.described import harmless_copy
from frostline.datasets.image_cache import ImageCache
from frostline.training.folding import fused_copy
from frostline.training.images import float32_convolutions, pictures, to_device
from frostline.training.levers import LEVERS
from frostline.training.machine import hushed, use_all_cores
from frostline.training.tracking.quiet import without_unasked

NO_TIME_LIMIT = 1e6
"""Seconds an image that NMS may take. Ultralytics' own limit drops the images that come after it."""

PLAIN_ARGUMENTS = frozenset({"conf", "iou", "max_det", "agnostic_nms"})
"""Training arguments that an evaluation takes over."""

ARGUMENTS = PLAIN_ARGUMENTS | {"channels_last"}
"""The same with what changes nothing but the last bits."""


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint scores on a split, by Ultralytics' definition of AP.

    Attributes:
        map50: mean over classes of AP at IoU 0.50, 0 to 1.
        map50_95: mean over classes and IoU 0.50 to 0.95.
        precision: mean over classes at the confidence of best F1.
        recall: the same.
        ap50_per_class: by class name; classes without ground truth are absent.
        ap_per_class: the same over IoU 0.50 to 0.95.
        images: number of images seen.
        frame: every detection and ground truth, with the columns of `analysis.predictions.SCHEMA`.
        settings: how the detections were made.
    """

    map50: float
    map50_95: float
    precision: float
    recall: float
    ap50_per_class: dict[str, float]
    ap_per_class: dict[str, float]
    images: int
    frame: pl.DataFrame
    settings: PredictionSettings

    @property
    def metrics(self) -> dict[str, float]:
        """mAP50, mAP50-95, precision and recall by name."""
        return {
            "mAP50": self.map50,
            "mAP50-95": self.map50_95,
            "precision": self.precision,
            "recall": self.recall,
        }

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """AP50 and AP50-95 by class name."""
        return {
            name: {"AP50": value, "AP50-95": self.ap_per_class[name]} for name, value in self.ap50_per_class.items()
        }


class RecordingValidator(DetectionValidator):
    """Ultralytics' validator without a time limit in NMS and, if asked, with every box written down.

    Attributes:
        table: where boxes go, or None.
        keep: images at most, a seeded sample; None for all.
        sample_seed: of that sample.
        pixels: format of the images.
        advance: called with the images of each batch that is done.
        fused: in training, validate a copy of the EMA with BatchNorms folded and channels last.
        channels_last: lay images out so on a CPU, whose convolutions then are quicker.
        images: keeps images decoded, or None.
    """

    pixels: PixelFormat = EIGHT_BITS
    table: DetectionTable | None = None
    keep: int | None = None
    sample_seed: int = 0
    advance: Callable[[int], None] | None = None
    fused: bool = False
    channels_last: bool = False
    images: ImageCache | None = None

    def run_callbacks(self, event: str) -> None:
        """Run what listens to an event, but for what Ultralytics adds without being asked."""
        without_unasked(self.callbacks)
        super().run_callbacks(event)

    def get_model(self, model: Any, trainer: Any = None) -> Any:
        """Return what is validated: Ultralytics' choice, or in training a copy of it that computes faster."""
        chosen = super().get_model(model, trainer)
        return fused_copy(chosen) if self.fused and trainer is not None else chosen

    def init_metrics(self, model: torch.nn.Module) -> None:
        """Start a pass. Choosing a device has just reset torch's threads, so they are set again here."""
        super().init_metrics(model)
        if self.device.type == "cpu":
            use_all_cores()
        files = self.dataloader.dataset.im_files
        self._image_root = os.path.commonpath([os.path.dirname(file) for file in files])  # noqa: PTH120 (strings)

    def build_dataset(self, img_path: str, mode: str = "val", batch: int | None = None) -> Any:
        """Build the split, or a sample of it."""
        return build_split(
            self.args, img_path, batch, self.data, self.pixels, mode=mode, rect=True, stride=self.stride,
            keep=self.keep, sample_seed=self.sample_seed, images_kept=self.images,
        )  # fmt: skip

    def preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device, with pixels in [0, 1] by the range of their format."""
        if not self.pixels.deep and self.args.quantize == 16:
            return dict(super().preprocess(batch))
        moved = to_device(batch, self.device, self.pixels)
        if self.channels_last and self.device.type == "cpu":
            moved["img"] = moved["img"].contiguous(memory_format=torch.channels_last)
        return moved

    def plot_val_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Plot a batch with its labels, tone-mapped where it has more than 8 bits."""
        super().plot_val_samples(pictures(batch, self.pixels), ni)

    def plot_predictions(self, batch: dict[str, Any], preds: Any, ni: int, max_det: int | None = None) -> None:
        """Plot a batch with its detections, tone-mapped where it has more than 8 bits."""
        super().plot_predictions(pictures(batch, self.pixels), preds, ni, max_det)

    def postprocess(self, preds: Any) -> list[dict[str, torch.Tensor]]:
        """Suppress overlapping boxes as Ultralytics does, however long it takes."""
        outputs = nms.non_max_suppression(
            preds,
            self.args.conf,
            self.args.iou,
            multi_label=True,
            agnostic=self.args.single_cls or self.args.agnostic_nms,
            max_det=self.args.max_det,
            max_time_img=NO_TIME_LIMIT,
            end2end=self.end2end,
        )
        return [{"bboxes": x[:, :4], "conf": x[:, 4], "cls": x[:, 5], "extra": x[:, 6:]} for x in outputs]

    def update_metrics(self, preds: list[dict[str, torch.Tensor]], batch: dict[str, Any]) -> None:
        """Count a batch, and write its boxes down in pixels of the original images."""
        super().update_metrics(preds, batch)
        if self.advance is not None:
            self.advance(len(preds))
        if self.table is None:
            return
        for index, pred in enumerate(preds):
            truth = self._prepare_batch(index, batch)
            found = self.scale_preds(pred, truth)
            boxes = truth["bboxes"]
            if len(boxes):
                boxes = ops.scale_boxes(truth["imgsz"], boxes.clone(), truth["ori_shape"], truth["ratio_pad"])
            height, width = truth["ori_shape"]
            self.table.add(
                Path(truth["im_file"]).relative_to(self._image_root).as_posix(),
                (float(width), float(height)),
                truth_classes=truth["cls"].int().cpu().numpy(),
                truth_boxes=boxes.float().cpu().numpy(),
                classes=found["cls"].int().cpu().numpy(),
                boxes=found["bboxes"].float().cpu().numpy(),
                scores=found["conf"].float().cpu().numpy(),
                unclipped_boxes=_unclipped(pred["bboxes"], truth).float().cpu().numpy(),
            )


def _unclipped(boxes: torch.Tensor, image: dict[str, Any]) -> torch.Tensor:
    """Scale boxes to the original image as `ops.scale_boxes` does, but leave what reaches beyond it."""
    (gain_y, gain_x), (pad_x, pad_y) = image["ratio_pad"]
    pad, gain = boxes.new_tensor([pad_x, pad_y] * 2), boxes.new_tensor([gain_x, gain_y] * 2)
    return (boxes - pad) / gain


def evaluate_checkpoint(
    weights: Path,
    data: str | Path,
    *,
    imgsz: int,
    batch: int,
    device: str,
    folder: Path,
    split: str = "val",
    plots: bool = False,
    keep: int | None = None,
    sample_seed: int = 0,
    workers: int = 0,
    arguments: dict[str, Any] | None = None,
    quiet: bool = False,
    advance: Callable[[int], None] | None = None,
    images: ImageCache | None = None,
) -> Evaluation:
    """Run a checkpoint over a split without augmentation, as training validates: rectangular, confidence 0.001.

    Args:
        weights: a checkpoint.
        data: data.yaml.
        imgsz: longer side, pixels.
        batch: images a training batch; validation takes twice as many, as Ultralytics does in training.
        device: `cpu`, `mps` or a GPU's number.
        folder: where plots go.
        split: `val`, `train` or `test`.
        plots: draw Ultralytics' curves, confusion matrices and sample batches.
        keep: images at most, a seeded sample.
        sample_seed: of that sample.
        workers: loader processes (none on a CPU).
        arguments: a run's training arguments; only those in `ARGUMENTS` matter here.
        quiet: print nothing.
        advance: called with the images of each batch that is done.
        images: keeps images decoded, or None.
    """
    overrides = {key: value for key, value in (arguments or {}).items() if key in PLAIN_ARGUMENTS}
    overrides |= {
        "model": str(weights), "imgsz": imgsz, "batch": batch * 2, "device": device, "rect": True,
        "split": split, "plots": plots, "workers": workers, "mode": "val", "task": "detect", "augmentations": [],
    }  # fmt: skip
    with harmless_copy(data) as copy:
        validator = RecordingValidator(args={**overrides, "data": copy}, save_dir=folder)
        validator.pixels = pixel_format(load_dataset(data))
        if validator.pixels.deep:
            float32_convolutions()
        validator.table, validator.keep, validator.sample_seed = DetectionTable(), keep, sample_seed
        validator.advance, validator.images = advance, images
        validator.channels_last = bool({**LEVERS, **(arguments or {})}["channels_last"])
        with hushed() if quiet else nullcontext():
            validator()
    names = {int(key): str(value) for key, value in validator.names.items()}
    box = validator.metrics.box
    found = [names[int(index)] for index in box.ap_class_index]
    return Evaluation(
        map50=float(box.map50),
        map50_95=float(box.map),
        precision=float(box.mp),
        recall=float(box.mr),
        ap50_per_class=dict(zip(found, (float(x) for x in box.ap50), strict=True)),
        ap_per_class=dict(zip(found, (float(x) for x in box.ap), strict=True)),
        images=int(validator.seen),
        frame=validator.table.frame,
        settings=PredictionSettings(
            max_det=int(validator.args.max_det),
            conf=float(validator.args.conf),
            iou=float(validator.args.iou),
            names=names,
        ),
    )


def by_source(
    metrics: Mapping[str, float], per_class: Mapping[str, Mapping[str, float]], predictions: Predictions
) -> dict[str, Any]:
    """Give a checkpoint's metrics as records keep them, each named by its source.

    Args:
        metrics: Ultralytics' mAP50, mAP50-95, precision and recall.
        per_class: Ultralytics' AP50 and AP50-95 by class name; a class may be missing.
        predictions: of the same evaluation; COCO's metrics are computed from them.
    """
    names = predictions.settings.names
    coco = evaluate_coco(predictions.frame, names, predictions.settings.max_det)
    classes: dict[str, dict[str, float | None]] = {name: {} for name in names.values()}
    for name, values in per_class.items():
        classes[name] |= {f"ultralytics/{key}": value for key, value in values.items()}
    for index, name in names.items():
        classes[name] |= {
            "coco/AP50": coco.ap50_per_class.get(index),
            "coco/AP50-95": coco.ap_per_class.get(index),
        }
    return {
        "metrics": {
            **{f"ultralytics/{key}": value for key, value in metrics.items()},
            "coco/mAP50": coco.map50,
            "coco/mAP50-95": coco.map50_95,
            "coco/AP_small": coco.ap_small,
            "coco/AP_medium": coco.ap_medium,
            "coco/AP_large": coco.ap_large,
        },
        "per_class": classes,
        "max_det": predictions.settings.max_det,
    }
