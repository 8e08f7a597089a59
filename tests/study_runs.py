"""A whole study on disk without training: run folders whose detections are drawn, arms that differ by a known share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from frostline.analysis import DetectionTable, PredictionSettings, write_predictions
from run_folders import our_run

CLASSES = ("Car", "Cyclist", "Pedestrian")
WIDTH, HEIGHT = 640.0, 480.0


def study(
    folder: Path,
    arms: Mapping[str, float],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    images: int = 40,
    detections: int = 12,
    suffix: str = ".png",
    classes: Sequence[str] = CLASSES,
    hypotheses: Sequence[Mapping[str, Any]] = (),
    truth_seed: int = 7,
    **record: Any,
) -> Path:
    """Write a study folder.

    Args:
        folder: of the study.
        arms: the share of objects that each arm finds, in [0, 1]; `freeze_1_to_3` is depth 3, `baseline` depth 0.
        seeds: of each arm; a seed moves the share a little.
        images: validation images, with up to 5 objects each.
        detections: false ones at most an image.
        suffix: of the images' names.
        classes: names.
        hypotheses: for the study file.
        truth_seed: of the objects: the same truth for the same number.
        record: further keys of every `run.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {"name": folder.name, "arms": {arm: {} for arm in arms}, "seeds": list(seeds)}
    (folder / "study.yaml").write_text(yaml.safe_dump({**content, "hypotheses": list(hypotheses)}, sort_keys=False))
    for arm, share in arms.items():
        depth = 0 if arm == "baseline" else int(arm.rpartition("_")[2]) if arm.startswith("freeze_1_to_") else None
        for seed in seeds:
            path = folder / arm / f"seed{seed}"
            final = share * 0.6
            curve = [final * part for part in (0.2, 0.5, 0.8, 0.92, 0.95, 0.97, 1.0)]
            our_run(path, arm, curve, seed=seed, depth=depth, per_class=dict.fromkeys(classes, final), **record)
            write_detections(
                path / "predictions.parquet", share, seed, images, detections, suffix, classes, truth_seed,
                arm=len(arm),
            )  # fmt: skip
    return folder


def write_detections(
    path: Path,
    share: float,
    seed: int,
    images: int = 40,
    detections: int = 12,
    suffix: str = ".png",
    classes: Sequence[str] = CLASSES,
    truth_seed: int = 7,
    arm: int = 0,
) -> Path:
    """Write a `predictions.parquet`: each object is found with a chance of `share`, beside random false detections.

    Whether an object is easy is the same for every arm and seed, as in life: that is what pairing takes out.
    """
    rng = np.random.default_rng([seed, arm, 1])
    truth = np.random.default_rng(truth_seed)
    table = DetectionTable()
    for index in range(images):
        count = int(truth.integers(1, 6))
        sizes = truth.uniform(12, 160, (count, 2))
        corners = truth.uniform(0, (WIDTH - 170, HEIGHT - 170), (count, 2))
        boxes, kinds = np.hstack([corners, corners + sizes]), truth.integers(0, len(classes), count)
        easy = truth.random(count)
        found = easy + rng.normal(0, 0.1, count) < share
        near = boxes[found] + rng.normal(0, 1, (int(found.sum()), 4)) * 0.04 * sizes[found].repeat(2, axis=1)
        wrong = int(rng.integers(0, detections + 1))
        at = rng.uniform(0, (WIDTH - 100, HEIGHT - 100), (wrong, 2))
        false = np.hstack([at, at + rng.uniform(10, 100, (wrong, 2))])
        scores = np.concatenate([rng.beta(5, 2, len(near)), rng.beta(1, 6, wrong)])
        table.add(
            f"scene_{index:04d}{suffix}",
            (WIDTH, HEIGHT),
            truth_classes=kinds,
            truth_boxes=boxes,
            classes=np.concatenate([kinds[found], rng.integers(0, len(classes), wrong)]),
            boxes=np.vstack([near, false]),
            scores=scores,
        )
    write_predictions(path, table.frame, PredictionSettings(300, 0.001, 0.7, dict(enumerate(classes))))
    return path
