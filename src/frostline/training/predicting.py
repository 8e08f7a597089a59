"""Prediction on images of any supported depth: Ultralytics' predictor, with our reading where 8 bits do not do."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frostline.datasets import PixelFormat, load_dataset, pixel_format
from frostline.datasets.layout import refuse_inside
from frostline.errors import InputError, did_you_mean
from frostline.training.machine import choose_device, describe_device, hushed
from frostline.training.predict_model import RunFacts, find_weights, open_detector, run_facts
from frostline.training.predict_outputs import ImageDetections, PredictionFolder, Predictions
from frostline.training.predict_sources import (
    ImageLoader,
    KnownFormats,
    Source,
    dataset_sources,
    find_sources,
    is_data_yaml,
)
from frostline.training.predictor import set_up
from frostline.training.preparing import describe_pixels, shorten

logger = logging.getLogger(__name__)


def predict(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    data: str | Path | None = None,
    split: str | None = None,
    overlays: bool = True,
    save_txt: bool = False,
    conf: float = 0.25,
    iou: float = 0.7,
    max_det: int = 300,
    imgsz: int | None = None,
    batch: int = 1,
    device: str | None = None,
    classes: Sequence[str] | None = None,
    trust: bool = False,
    say: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Find objects in images of 8 bits, uint16 or float32.

    Args:
        model: checkpoint, by path or official name, or a run folder of ours or of plain Ultralytics.
        images: images and folders, searched with their sub-folders; or one data.yaml.
        out: folder of overlays, YOLO text and `predictions.json`; None to write nothing.
        data: data.yaml that says what the pixels are; not beside a data.yaml in `images`.
        split: of that data.yaml in `images`; `val` by default.
        overlays: draw the boxes, in `out`.
        save_txt: write YOLO text, in `out`.
        conf: least confidence, 0 to 1.
        iou: overlap above which the less sure of two boxes goes, 0 to 1.
        max_det: boxes an image at most.
        imgsz: longer side at the network's input, pixels; by default that of the training, else 640.
        batch: images at once. Changes the speed alone.
        device: `cpu`, `mps` or a GPU's number; by default the first GPU, else the CPU.
        classes: names of the only classes to look for.
        trust: open the checkpoint without the restricted loader.
        say: told lines for the user; by default the log.
        progress: called with (images done, images in all).

    Returns:
        Detections by image, with what failed. One bad image never ends it.

    Raises:
        InputError: a bad argument, a checkpoint that is none or no detector, images that are not there, or a folder
            that holds something else.

    Example:
        >>> found = predict("runs/train/freeze_1_to_3", "street.tif", out="predictions")  # doctest: +SKIP
        >>> found.images[0].boxes  # doctest: +SKIP
    """
    say = say or logger.info
    _check_numbers(conf, iou, max_det, imgsz, batch)
    if save_txt and out is None:
        raise InputError("save_txt needs a folder to write to: give out")
    chosen = choose_device(device)
    weights = find_weights(model)
    facts = run_facts(weights)
    sources, known = _sources(images, data, split, facts, None if out is None else Path(out))
    network, trained_size = open_detector(weights, trust)
    names = {int(index): str(name) for index, name in network.names.items()}
    wanted = _class_ids(classes, names, weights)
    size = _input_size(imgsz or facts.imgsz or trained_size or 640, network, say)
    loader = ImageLoader(sources, known, batch)
    settings = {
        "imgsz": size, "conf": conf, "iou": iou, "max_det": max_det, "batch": batch,
        "classes": None if classes is None else list(classes), "device": describe_device(chosen),
    }  # fmt: skip
    say(f"{weights} on {settings['device']}: {len(sources)} images at {size} pixels")
    predictor = set_up(network, chosen, loader, imgsz=size, classes=wanted, conf=conf, iou=iou, max_det=max_det)
    folder = None if out is None else PredictionFolder(Path(out), sources, overlays=overlays, save_txt=save_txt)
    found: list[ImageDetections] = []
    speak = _Formats(weights, facts.pixels, say)
    try:
        with hushed():
            for result in predictor(stream=True):
                image = _detections(result)
                speak.met(image.file, predictor.batch[2][0])
                found.append(image)
                if folder is not None:
                    folder.write(image, result.orig_img, names)
                if progress is not None:
                    progress(len(found) + len(loader.failed), len(sources))
        predictions = Predictions(weights, names, found, loader.failed, settings)
        if folder is not None:
            folder.close(predictions)
    finally:
        if folder is not None:
            folder.stop()
    return predictions


def _check_numbers(conf: float, iou: float, max_det: int, imgsz: int | None, batch: int) -> None:
    for what, share in (("conf", conf), ("iou", iou)):
        if not 0 <= share <= 1:
            raise InputError(f"{what} {share:g}: expected a number from 0 to 1")
    for what, number, least in (("max_det", max_det, 1), ("imgsz", imgsz, 32), ("batch", batch, 1)):
        if number is not None and number < least:
            raise InputError(f"{what} {number}: expected at least {least}")


def _sources(
    images: str | Path | Sequence[str | Path],
    data: str | Path | None,
    split: str | None,
    facts: RunFacts,
    out: Path | None,
) -> tuple[list[Source], KnownFormats]:
    given = [Path(images)] if isinstance(images, str | Path) else [Path(image) for image in images]
    yamls = [path for path in given if is_data_yaml(path)]
    if yamls:
        if len(given) > 1:
            raise InputError(f"{yamls[0]}: a data.yaml stands alone; leave the other images out, or predict twice")
        if data is not None:
            raise InputError(f"{data}: the images are those of {yamls[0]}, which also says what their pixels are")
        dataset, sources = dataset_sources(yamls[0], split or "val")
        return sources, KnownFormats((pixel_format(dataset), dataset.yaml), facts.pixels)
    if split is not None:
        raise InputError(f"split {split}: only a data.yaml has splits; give one in place of {given[0]}")
    sources = find_sources(given)
    if out is not None:
        for path in given:
            if path.is_dir():
                refuse_inside(path, out)
    if data is None:
        return sources, KnownFormats(None, facts.pixels)
    dataset = load_dataset(data)
    return sources, KnownFormats((pixel_format(dataset), dataset.yaml), facts.pixels)


def _class_ids(classes: Sequence[str] | None, names: dict[int, str], weights: Path) -> list[int] | None:
    if classes is None:
        return None
    by_name = {name: index for index, name in names.items()}
    for name in classes:
        if name not in by_name:
            hint = did_you_mean(name, by_name) or f"; it has {shorten(by_name, 10)}"
            raise InputError(f"class '{name}': {weights} has no such class{hint}")
    if not classes:
        raise InputError("classes: name at least one")
    return sorted({by_name[name] for name in classes})


def _input_size(size: int, network: Any, say: Callable[[str], None]) -> int:
    stride = max(int(network.stride.max()), 32)
    taken = math.ceil(size / stride) * stride
    if taken != size:
        say(f"warning: imgsz {size} is not a multiple of {stride}, the network's stride: {taken} is taken")
    return taken


def _detections(result: Any) -> ImageDetections:
    height, width = result.orig_shape
    boxes = result.boxes.cpu().numpy()
    return ImageDetections(
        file=Path(result.path),
        size=(int(width), int(height)),
        boxes=boxes.xyxy.astype(np.float32),
        scores=boxes.conf.astype(np.float32),
        classes=boxes.cls.astype(np.int64),
    )


class _Formats:
    """Says once of every format how it is taken, and warns where the model was trained on another."""

    def __init__(self, weights: Path, trained: PixelFormat | None, say: Callable[[str], None]) -> None:
        self.weights, self.trained, self.say = weights, trained, say
        self._met: set[tuple[Any, ...]] = set()

    def met(self, image: Path, pixels: PixelFormat) -> None:
        """Take the format of an image."""
        if pixels.scale in self._met:
            return
        self._met.add(pixels.scale)
        if pixels.deep:
            self.say(describe_pixels(pixels))
        if self.trained is not None and self.trained.scale != pixels.scale:
            self.say(
                f"warning: {self.weights} was trained on {_in_words(self.trained)}, but {image} holds "
                f"{_in_words(pixels)}: a prediction on other values than those of the training means nothing"
            )


def _in_words(pixels: PixelFormat) -> str:
    if not pixels.deep:
        return "uint8"
    logs = "" if pixels.log_range is None else " from {:g} to {:g}".format(*pixels.log_range)
    return f"{pixels.kind} {pixels.encoding}{logs} in the range {pixels.low:g} to {pixels.high:g}"
