"""One run with real Ultralytics: what it freezes, what it writes, and what others can do with it."""

from __future__ import annotations

import csv
import json
import pickletools
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from tiny import SETTINGS

import frostline as fl
from frostline.analysis import RunScorer
from frostline.analysis.predictions import read_predictions
from frostline.training.checkpoints import open_checkpoint, saved_tensors
from frostline.training.settings import for_ultralytics

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def run(tiny_checkpoint: Path, tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> fl.Run:
    """A run with the first three layers frozen, plots on."""
    project = tmp_path_factory.mktemp("runs")
    settings = {**SETTINGS, "plots": True}
    return fl.train(tiny_checkpoint, tiny_source, fl.FreezePlan.first(3), project=project, device="cpu", **settings)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return [{k.strip(): v.strip() for k, v in row.items()} for row in csv.DictReader(stream)]


def test_what_was_frozen_is_in_the_checkpoint_as_it_came(run: fl.Run, tiny_checkpoint: Path) -> None:
    before, after = saved_tensors(tiny_checkpoint), saved_tensors(run.weights)
    frozen = [name for name in before if name.split(".")[0] in {"0", "1", "2"}]
    assert len(frozen) > 20
    assert all(torch.equal(before[name].half(), after[name].half()) for name in frozen)
    trained = [n for n in before if n.split(".")[0] not in {"0", "1", "2"} and n.endswith("conv.weight")]
    same = [n for n in trained if n in after and before[n].shape == after[n].shape and torch.equal(before[n], after[n])]
    # a box branch of a level without positives never has a gradient
    assert [name for name in same if not name.startswith(("23.dfl", "23.cv2"))] == []


def test_the_audit_passed_and_is_kept(run: fl.Run) -> None:
    audit = json.loads((run.folder / "audit.json").read_text())
    assert run.audit_passed and audit["verdict"] == "PASS" and len(audit["checks"]) == 6


def test_the_record_tells_how_the_run_was_made(run: fl.Run) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    assert record["status"] == "finished" and record["arm"] == "freeze_1_to_3" and record["freeze_depth"] == 3
    assert record["frozen_layers"] == [0, 1, 2] and record["total_layers"] == 24
    assert len(record["epoch_seconds"]) == 2 and all(seconds > 0 for seconds in record["epoch_seconds"])
    assert record["peak_memory"]["rss_bytes"] > 2**27 and record["peak_memory"]["cuda_bytes"] is None
    assert set(record["seeds"]) == {"python", "numpy", "torch", "loader", "train_split_sample"}
    assert {"torch", "ultralytics", "numpy", "python", "frostline"} <= set(record["versions"])
    assert record["train_split"]["images"] == 8
    for name in ("ultralytics/mAP50", "coco/mAP50", "coco/AP_small", "coco/AP_medium", "coco/AP_large"):
        assert name in record["metrics"]
    assert set(record["load_average"]) == {"start", "end"} and record["threads"] >= 1
    assert all(load is None or load >= 0 for load in record["load_average"].values())
    assert record["stages"][0]["workers"] == 0, "what Ultralytics uses on a CPU, not what it prints"
    assert record["settings"]["optimizer"] == "SGD" and record["settings"]["precision"] == "auto"
    arithmetic = record["arithmetic"]
    assert arithmetic["precision"] in {"bf16", "fp32"} and arithmetic["channels_last"] and arithmetic["why"]


def test_counts_equal_the_models_own(run: fl.Run, tiny_checkpoint: Path) -> None:
    model = open_checkpoint(run.weights)
    total = sum(p.numel() for p in model.parameters())
    frozen = sum(p.numel() for p in model.model[:3].parameters())
    parameters = run.record["parameters"]
    assert (parameters["total"], parameters["frozen"], parameters["fixed"]) == (total, frozen, 16)
    assert parameters["trainable"] == total - frozen - 16
    assert set(run.record["transfer"]["fresh"]) == {
        f"23.cv3.{level}.2.{part}" for level in range(3) for part in ("weight", "bias")
    }


def test_gradients_are_written_for_layers_that_train_and_empty_for_frozen_ones(run: fl.Run) -> None:
    table = rows(run.folder / "gradients.csv")
    assert [row["epoch"] for row in table] == ["1", "2"]
    for row in table:
        assert [row[f"layer_{index}"] for index in (0, 1, 2, 11, 12)] == [""] * 5
        assert all(float(row[f"layer_{index}"]) > 0 for index in (3, 4, 10, 13, 23))


def test_every_detection_and_ground_truth_is_recorded(run: fl.Run, tiny_source: Path) -> None:
    predictions = read_predictions(run.folder / "predictions.parquet")
    counts = dict(predictions.frame.group_by("kind").len().iter_rows())
    labels = list((tiny_source.parent / "labels" / "val").glob("*.txt"))
    assert counts["image"] == 4 and counts["truth"] == sum(len(p.read_text().splitlines()) for p in labels)
    scores = predictions.frame.filter(pl.col("kind") == "prediction")["score"]
    assert len(scores) > 0 and scores.min() >= 0.001
    assert predictions.settings.max_det == 300 and dict(predictions.settings.names) == {0: "red", 1: "green", 2: "blue"}
    truth = predictions.frame.filter((pl.col("kind") == "truth") & (pl.col("image") == "val0.png"))
    first = (tiny_source.parent / "labels" / "val" / "val0.txt").read_text().splitlines()[0].split()
    x, width = float(first[1]) * 64, float(first[3]) * 64
    assert any(abs(row["x1"] - (x - width / 2)) < 0.01 for row in truth.iter_rows(named=True))


def test_the_folder_is_one_of_ultralytics(run: fl.Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert {"args.yaml", "results.csv", "results.png", "BoxPR_curve.png", "BoxF1_curve.png"} <= names
    assert {"confusion_matrix.png", "confusion_matrix_normalized.png"} <= names
    assert {"val_batch0_labels.jpg", "val_batch0_pred.jpg"} <= names
    assert yaml.safe_load((run.folder / "args.yaml").read_text())["freeze"] == [0, 1, 2]
    assert sorted(path.name for path in (run.folder / "weights").iterdir()) == ["best.pt", "last.pt"]


def test_the_checkpoint_names_no_class_of_ours(run: fl.Run) -> None:
    for path in (run.folder / "weights").iterdir():
        with zipfile.ZipFile(path) as archive:
            pickle = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            words = {str(argument) for _, argument, _ in pickletools.genops(archive.read(pickle)) if argument}
        assert any(word.startswith("ultralytics.nn") for word in words), "module names are among the words"
        assert not [word for word in words if re.match(r"frostline(\.|$|\s)", word)]


def test_the_checkpoint_loads_where_frostline_cannot_be_imported(run: fl.Run, tiny_source: Path) -> None:
    program = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "frostline":
            raise ImportError("frostline is not here")
sys.meta_path.insert(0, Wall())
from ultralytics import YOLO
model = YOLO(sys.argv[1])
print("CLASSES", sorted(model.names.values()))
print("BOXES", len(model.predict(sys.argv[2], imgsz=64, conf=0.0001, verbose=False, device="cpu")[0].boxes) >= 0)
"""
    image = tiny_source.parent / "images" / "val" / "val0.png"
    done = subprocess.run(
        [sys.executable, "-c", program, str(run.weights), str(image)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "CLASSES ['blue', 'green', 'red']" in done.stdout and "BOXES True" in done.stdout


def test_a_finished_run_is_never_run_again(run: fl.Run, tiny_checkpoint: Path, tiny_source: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    settings = {**SETTINGS, "plots": True}
    again = fl.train(
        tiny_checkpoint, tiny_source, fl.FreezePlan.first(3), project=run.folder.parent, device="cpu", **settings
    )
    assert again.map50 == run.map50
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_other_settings_in_the_same_folder_are_refused_with_the_difference(
    run: fl.Run, tiny_checkpoint: Path, tiny_source: Path
) -> None:
    with pytest.raises(fl.InputError, match=r"settings.lr0: 0.01 there, 0.002 now"):
        fl.train(
            tiny_checkpoint, tiny_source, fl.FreezePlan.first(3), project=run.folder.parent, device="cpu",
            **{**SETTINGS, "plots": True, "lr0": 0.002},
        )  # fmt: skip


@pytest.mark.usefixtures("threads_of_ultralytics")
def test_the_same_numbers_as_plain_ultralytics_with_freeze(
    tiny_checkpoint: Path, tiny_source: Path, tmp_path: Path
) -> None:
    """Freezing by our own hands changes nothing else: losses and metrics are those of `freeze=3`."""
    from ultralytics.models.yolo.detect import DetectionTrainer

    run = fl.train(
        tiny_checkpoint, tiny_source, fl.FreezePlan.first(3), project=tmp_path, device="cpu", reference=True, **SETTINGS
    )
    overrides = {
        **for_ultralytics(run.record["settings"]), "model": str(tiny_checkpoint), "data": str(tiny_source),
        "device": "cpu", "seed": 0, "freeze": 3, "project": str(tmp_path), "name": "plain", "plots": False,
    }  # fmt: skip
    DetectionTrainer(overrides=overrides).train()
    plain, ours = rows(tmp_path / "plain" / "results.csv"), rows(run.folder / "results.csv")
    assert len(plain) == len(ours) == 2
    for a, b in zip(plain, ours, strict=True):
        for key in a:
            if key != "time":
                assert float(a[key]) == pytest.approx(float(b[key]), rel=2e-3, abs=2e-4), key


def test_a_sample_of_a_split_is_seeded_and_leaves_the_label_cache_alone(
    run: fl.Run, tiny_source: Path, tmp_path: Path
) -> None:
    from frostline.training.evaluation import evaluate_checkpoint

    cache = tiny_source.parent / "labels" / "train.cache"
    before = cache.read_bytes()

    def images(seed: int) -> set[str]:
        found = evaluate_checkpoint(
            run.weights, tiny_source, imgsz=64, batch=2, device="cpu", folder=tmp_path, split="train", keep=3,
            sample_seed=seed, quiet=True,
        )  # fmt: skip
        names = set(found.frame.filter(pl.col("kind") == "image")["image"])
        assert found.images == len(names) == 3 and all(name.startswith("train") for name in names)
        return names

    assert images(0) == images(0)
    assert len({frozenset(images(seed)) for seed in range(4)}) > 1
    assert cache.read_bytes() == before


def test_nms_is_given_all_the_time_it_needs(run: fl.Run, tiny_source: Path, tmp_path: Path) -> None:
    """Ultralytics stops NMS after a while and drops the images that come later, without an error."""
    import time

    from frostline.training.evaluation import evaluate_checkpoint

    def images_with_detections() -> set[str]:
        found = evaluate_checkpoint(
            run.weights, tiny_source, imgsz=64, batch=4, device="cpu", folder=tmp_path, quiet=True,
            arguments={"conf": 1e-7},
        )  # fmt: skip
        return set(found.frame.filter(pl.col("kind") == "prediction")["image"])

    clock, ticks = time.time, iter(range(0, 10**9, 100))
    time.time = lambda: float(next(ticks))  # every look at the clock is 100 seconds later
    try:
        slow = images_with_detections()
    finally:
        time.time = clock
    assert len(slow) == 4


def test_metrics_from_the_boxes_are_those_that_were_validated(run: fl.Run) -> None:
    record = json.loads((run.folder / "run.json").read_text())
    scorer = RunScorer.open(run.folder / "predictions.parquet")
    assert scorer.boxes.has_whole
    again = dict(zip(scorer.metrics, scorer(np.ones((1, len(scorer.images)), np.int32))[0], strict=True))
    for name in ("ultralytics/mAP50", "ultralytics/mAP50-95", "ultralytics/precision", "ultralytics/recall"):
        assert again[name] == pytest.approx(record["metrics"][name], abs=1e-4), name
    for name in ("coco/mAP50", "coco/mAP50-95"):
        assert again[name] == pytest.approx(record["metrics"][name], abs=1e-9), name
