"""Studies on disk for the diagnoses: a healthy one, and what is changed in it to make it ill."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from frostline.analysis import Predictions, find_runs, gather, write_predictions
from frostline.analysis.evidence import Evidence
from frostline.report.diagnoses import Diagnosis, diagnose
from random_runs import random_run
from run_folders import our_run

IMAGES = 210
CURVE = [0.10, 0.25, 0.34, 0.38, 0.40, 0.41, 0.412, 0.411, 0.413, 0.410, 0.412, 0.409]
"""mAP50, flat at its end; run_folders writes half of it as mAP50-95."""

SETTINGS: dict[str, Any] = {
    "epochs": 12, "imgsz": 640, "batch": 16, "optimizer": "SGD", "lr0": 0.01, "amp": False, "nbs": 64, "patience": 0
}  # fmt: skip


def a_stage(epochs: int = 12, frozen: Sequence[int] = (), **more: Any) -> dict[str, Any]:
    """Give a stage's part of `run.json`."""
    return {
        "stage": 1,
        "selector": "freeze none",
        "epochs": epochs,
        "frozen_layers": list(frozen),
        "frozen_parameters": 1000 * len(frozen),
        "trainable_parameters": 9000,
        "batchnorms_held": 2 * len(frozen),
        "batch": 16,
        **more,
    }


def a_run(
    folder: Path,
    arm: str = "arm",
    seed: int = 0,
    curve: Sequence[float] = CURVE,
    depth: int = 0,
    lengths: Sequence[int] = (),
    **record: Any,
) -> Path:
    """Write a run that has nothing wrong with it, but for what `record` says; `lengths` are the epochs of stages."""
    given = {
        "model": "yolo11s.pt",
        "weights": None,
        "data": "data.yaml",
        "settings": SETTINGS,
        "frozen_layers": list(range(depth)),
        "total_layers": 24,
        "transfer": {"loaded": 427, "total": 427, "source": "yolo11s.pt", "fresh": []},
        "plan": {"stages": [{"epochs": 12}], "freeze_fresh": False},
        "versions": {"ultralytics": "8.4.190", "torch": "2.14.1"},
        "device": "cpu, 2 cores",
        **record,
    }
    stages = given.pop("stages", [a_stage(frozen=range(depth))])
    our_run(folder, arm, curve, seed=seed, depth=depth, stages=lengths, **given)
    change(folder, stages=stages)
    arguments(folder, **SETTINGS, mosaic=1.0, model="yolo11s.pt")
    return folder


def arguments(folder: Path, **values: Any) -> None:
    """Write an `args.yaml`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "args.yaml").write_text(yaml.safe_dump({"data": "data.yaml", **values}))


def predictions(folder: Path, run: Predictions) -> None:
    """Write a run's `predictions.parquet`."""
    write_predictions(folder / "predictions.parquet", run.frame, run.settings)


def found_share(truths: Predictions, share: float, seed: int) -> Predictions:
    """Make a run that finds a share of the objects, each exactly, and nothing else: mAP is near the share."""
    frame = truths.frame.filter(pl.col("kind") != "prediction")
    rng = np.random.default_rng(seed)
    objects = frame.filter(pl.col("kind") == "truth").with_row_index("row")
    kept = objects.filter(pl.Series(rng.random(objects.height) < share)).drop("row")
    scores = pl.Series("score", rng.uniform(0.3, 0.9, kept.height), dtype=pl.Float32)
    return Predictions(pl.concat([frame, kept.with_columns(scores, kind=pl.lit("prediction"))]), truths.settings)


def a_study(
    folder: Path,
    arms: Mapping[str, int],
    *,
    seeds: int = 3,
    images: int = IMAGES,
    shares: Sequence[float] = (0.9, 0.5, 0.3),
    **record: Any,
) -> Path:
    """Write a study: arms by name and freeze depth, with shares of the objects found that plainly differ."""
    truths = random_run(0, images)
    for number, (arm, depth) in enumerate(arms.items()):
        for seed in range(seeds):
            place = a_run(folder / arm / f"seed{seed}", arm, seed, depth=depth, **record)
            predictions(place, found_share(truths, shares[number], 10 * number + seed))
    return folder


def change(folder: Path, **values: Any) -> None:
    """Change keys of a `run.json`."""
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def evidence_of(*folders: Path, **options: Any) -> Evidence:
    """Gather runs with few draws."""
    return gather(find_runs(folders), draws=100, **options)


def codes_of(*folders: Path) -> dict[str, Diagnosis]:
    """Diagnose runs; by code, the last of each."""
    return {one.code: one for one in diagnose(evidence_of(*folders))}
