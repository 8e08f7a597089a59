"""Random detections that hold every awkward case: ties, empty images, missing classes, boxes beyond the border."""

from __future__ import annotations

import numpy as np
import polars as pl

from frostline.analysis import DetectionTable, Predictions, PredictionSettings

SIDE = 300.0


def random_run(
    seed: int, images: int = 6, classes: int = 3, most: int = 8, detections: int = 12, ties: bool = True
) -> Predictions:
    """Make a run; `most` truths and `detections` at most an image, each number drawn from 0 on.

    Scores are few, so that many are equal, between images and, with `ties`, in one image.
    """
    rng = np.random.default_rng(seed)
    table = DetectionTable()
    for index in range(images):
        truths = _boxes(rng, int(rng.integers(0, most + 1)))
        kinds = rng.integers(0, classes, len(truths))
        count = int(rng.integers(0, detections + 1))
        free = _boxes(rng, count)
        found = rng.integers(0, classes, count)
        for row in range(count):
            if len(truths) and rng.random() < 0.7:
                near = int(rng.integers(0, len(truths)))
                spread = (truths[near, 2:] - truths[near, :2]).mean() * rng.choice([0.0, 0.03, 0.1, 0.2])
                free[row] = truths[near] + rng.normal(0, 1, 4) * spread
                free[row, 2:] = np.maximum(free[row, 2:], free[row, :2] + 1)
                found[row] = kinds[near] if rng.random() < 0.8 else found[row]
        scores = rng.choice(np.arange(1, 20), count, replace=ties) / 20
        order = np.argsort(-scores, kind="stable")
        free = free[order].astype(np.float32)
        table.add(
            f"{index:04d}.png",
            (SIDE, SIDE),
            truth_classes=kinds,
            truth_boxes=truths,
            classes=found[order],
            boxes=np.clip(free, 0, SIDE),
            scores=scores[order],
            unclipped_boxes=free,
        )
    return Predictions(table.frame, PredictionSettings(300, 0.001, 0.7, {k: f"class{k}" for k in range(classes)}))


def repeated(run: Predictions, weights: list[int]) -> Predictions:
    """Write each image down as often as its weight says, under names that keep the order."""
    names = run.frame.get_column("image").unique().sort().to_list()
    parts = [
        run.frame.filter(pl.col("image") == name).with_columns(image=pl.lit(f"{name}-{copy:02d}"))
        for name, weight in zip(names, weights, strict=True)
        for copy in range(weight)
    ]
    return Predictions(pl.concat(parts) if parts else run.frame.clear(), run.settings)


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0, SIDE - 130, (count, 2))
    # Whole pixels, of all three sizes that COCO tells apart, and now and then exactly at a bound.
    size = rng.choice([8, 20, 32, 50, 96, 120], (count, 2)) + rng.integers(0, 2, (count, 2))
    return np.hstack([corner.round(), corner.round() + size]).astype(np.float64)
