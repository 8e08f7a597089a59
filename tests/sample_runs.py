"""Run folders with predictions, and the data set that they were validated on, small enough to be reckoned by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.analysis import DetectionTable, Predictions, PredictionSettings, write_predictions
from frostline.imaging import write_png8
from frostline.imaging.io import write_tiff
from run_folders import our_run

Box = tuple[float, float, float, float]
Truth = tuple[int, Box]
Found = tuple[int, Box, float]
WIDTH, HEIGHT = 100, 80
LEFT: Box = (10, 10, 30, 30)
RIGHT: Box = (50, 10, 70, 30)
LOW: Box = (10, 50, 20, 70)


def predictions(
    images: Mapping[str, tuple[Sequence[Truth], Sequence[Found]]],
    names: Sequence[str] = ("Car", "Person"),
    scale: int = 1,
) -> Predictions:
    """Make a table: truths and detections of each image, in pixels of an image of 100 x 80, times `scale`."""
    table = DetectionTable()
    for image, (truths, found) in images.items():
        table.add(
            image,
            (WIDTH * scale, HEIGHT * scale),
            truth_classes=[klass for klass, _ in truths],
            truth_boxes=np.array([box for _, box in truths]).reshape(-1, 4) * scale,
            classes=[klass for klass, _, _ in found],
            boxes=np.array([box for _, box, _ in found]).reshape(-1, 4) * scale,
            scores=[score for _, _, score in found],
        )
    return Predictions(table.frame, PredictionSettings(300, 0.001, 0.7, dict(enumerate(names))))


def dataset(folder: Path, images: Mapping[str, NDArray[np.generic]], names: Sequence[str] = ("Car", "Person")) -> Path:
    """Write images of any depth and their data.yaml."""
    for split in ("train", "val"):
        for name, pixels in images.items():
            path = folder / "images" / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write: Callable[..., None] = write_tiff if path.suffix == ".tiff" else write_png8
            write(path, pixels)
    text = {"train": "images/train", "val": "images/val", "names": list(names)}
    (folder / "data.yaml").write_text(json.dumps(text))  # JSON is YAML
    return folder / "data.yaml"


def run(folder: Path, arm: str, data: Path, found: Predictions, *, map50: float = 0.5, seed: int = 0) -> Path:
    """Write a finished run."""
    our_run(folder / arm / f"seed{seed}", arm, [map50], seed=seed, data=str(data))
    write_predictions(folder / arm / f"seed{seed}" / "predictions.parquet", found.frame, found.settings)
    return folder
