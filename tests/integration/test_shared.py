"""End to end on real photographs with a real COCO backbone; skipped where they are not at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import frostline as fl
from frostline.analysis import RunScorer
from frostline.analysis.coco import evaluate_coco
from frostline.analysis.predictions import read_predictions
from frostline.training import open_checkpoint

pytestmark = [pytest.mark.integration, pytest.mark.shared]


@pytest.fixture(scope="module")
def study(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """KITTI converted, then an ablation of two depths and the baseline, by the commands of the documentation."""
    folder = tmp_path_factory.mktemp("kitti")
    weights = shared_dir / "weights" / "yolov5n-coco.pt"
    for words in (
        ["data", "kitti", shared_dir / "data" / "kitti101", folder / "kitti"],
        ["ablate", weights, folder / "kitti" / "data.yaml", "--freeze-list", "3,6", "--epochs", "4", "--imgsz", "224",
         "--batch", "8", "--device", "cpu", "--project", folder / "depth", "--quiet", "nbs=8", "optimizer=AdamW",
         "lr0=0.001", "close_mosaic=1"],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "frostline", *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder / "depth"


def test_frozen_counts_are_the_models_own_and_every_audit_passes(study: Path, shared_dir: Path) -> None:
    layers = open_checkpoint(shared_dir / "weights" / "yolov5n-coco.pt").model
    for depth, arm in ((0, "baseline"), (3, "freeze_1_to_3"), (6, "freeze_1_to_6")):
        record = json.loads((study / arm / "seed0" / "run.json").read_text())
        own = sum(p.numel() for layer in list(layers)[:depth] for p in layer.parameters())
        assert record["parameters"]["frozen"] == own and record["frozen_layers"] == list(range(depth))
        assert record["total_layers"] == 25 and record["audit"] == "PASS"
        assert (record["transfer"]["loaded"], record["transfer"]["total"]) == (421, 427)


def test_a_real_detector_learns_something_and_both_definitions_of_ap_agree_roughly(study: Path) -> None:
    table = fl.compare([study])
    assert table["mAP50"].max() > 0.02
    for arm in ("baseline", "freeze_1_to_3"):
        record = json.loads((study / arm / "seed0" / "run.json").read_text())["metrics"]
        assert record["coco/mAP50"] == pytest.approx(record["ultralytics/mAP50"], abs=0.03)


def test_recorded_detections_give_the_recorded_metrics(study: Path) -> None:
    folder = study / "baseline" / "seed0"
    predictions = read_predictions(folder / "predictions.parquet")
    again = evaluate_coco(predictions.frame, predictions.settings.names, predictions.settings.max_det)
    assert again.map50 == json.loads((folder / "run.json").read_text())["metrics"]["coco/mAP50"]
    counts = dict(predictions.frame.group_by("kind").len().iter_rows())
    assert counts["image"] == 21 and counts["truth"] == 102


@pytest.mark.parametrize("arm", ["baseline", "freeze_1_to_3", "freeze_1_to_6"])
def test_ap_from_the_boxes_is_that_of_faster_coco_eval_and_of_ultralytics_validation(study: Path, arm: str) -> None:
    folder = study / arm / "seed0"
    record = json.loads((folder / "run.json").read_text())
    predictions = read_predictions(folder / "predictions.parquet")
    scorer = RunScorer(predictions)
    ours = dict(zip(scorer.metrics, scorer(np.ones((1, len(scorer.images)), np.int32))[0], strict=True))
    assert scorer.boxes.has_whole and record["metrics"]["ultralytics/mAP50"] > 0
    for name in ("mAP50", "mAP50-95", "precision", "recall"):
        assert ours[f"ultralytics/{name}"] == pytest.approx(record["metrics"][f"ultralytics/{name}"], abs=1e-4), name
    coco = evaluate_coco(predictions.frame, predictions.settings.names, predictions.settings.max_det)
    sizes = {"AP_small": coco.ap_small, "AP_medium": coco.ap_medium, "AP_large": coco.ap_large}
    for name, value in {"mAP50": coco.map50, "mAP50-95": coco.map50_95, **sizes}.items():
        assert ours[f"coco/{name}"] == pytest.approx(value, abs=1e-4), name
    for index, name in predictions.settings.names.items():
        assert ours[f"coco/AP/{name}"] == pytest.approx(coco.ap_per_class[index], abs=1e-4)
        theirs = record["per_class"][name].get("ultralytics/AP50-95")
        assert theirs is None or ours[f"ultralytics/AP/{name}"] == pytest.approx(theirs, abs=1e-4)


def test_the_reference_helpers_see_every_layer_of_a_real_yolo(shared_dir: Path) -> None:
    from ultralytics import YOLO

    model = YOLO(str(shared_dir / "weights" / "yolov5n-coco.pt"))
    assert fl.set_frozen_first_n_layers(model, 3) == [0, 1, 2]
    counts = fl.summarize_trainable_and_bn(model, "freeze_1_to_3")
    own = sum(p.numel() for p in model.model.model[:3].parameters())
    assert counts["frozen_params"] == own + 16 and counts["bn_eval"] == 7
    assert fl.set_trainable_first_n_layers(model, 6) == list(range(6, 25))
    assert fl.set_eval_for_frozen_layers(model, [0]) == 1
