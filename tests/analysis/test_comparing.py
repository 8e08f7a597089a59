from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from frostline.analysis import compare, compare_runs, find_runs, summarize
from frostline.errors import InputError
from run_folders import new_ultralytics, old_ultralytics, our_run


def test_a_run_of_ours_gives_every_column_from_its_record(tmp_path: Path) -> None:
    values = [0.1, 0.38, 0.4, 0.39]
    our_run(tmp_path / "a", "freeze_1_to_3", values, depth=3, seed=4, inference={"ms": 12.5})
    row = compare([tmp_path], small_classes=("Pedestrian", "Cyclist")).row(0, named=True)
    expected = {
        "arm": "freeze_1_to_3",
        "seed": 4,
        "status": "finished",
        "freeze_depth": 3,
        "mAP50": 0.41,
        "mAP50-95": 0.205,
        "precision": 0.7,
        "recall": 0.5,
        "metrics_from": "run.json",
        "best_epoch": 3,
        "epochs": 4,
        "epochs_to_90": 2,  # the mean of all four is 0.3175, 90 % of it 0.28575
        "overfitting_gap": 0.125,
        "AP_small": 0.05,
        "AP50_small_classes": 0.25,
        "AP_medium": 0.15,
        "AP_large": None,
        "AP50/Car": 0.6,
        "AP50/Pedestrian": 0.3,
        "AP50/Cyclist": 0.2,
        "coco_mAP50": 0.39,
        "coco_mAP50-95": 0.185,
        "epoch_seconds": 5.0,
        "inference_ms": 12.5,
        "wall_seconds": 20.0,
        "peak_rss_bytes": 2**31,
        "peak_cuda_bytes": None,
        "trainable_parameters": 90,
        "frozen_parameters": 10,
        "audit": "PASS",
        "folder": str(tmp_path / "a"),
    }
    assert list(row) == list(expected)
    assert row == {key: pytest.approx(value) if isinstance(value, float) else value for key, value in expected.items()}


@pytest.mark.parametrize("build", [new_ultralytics, old_ultralytics])
def test_a_plain_folder_gives_the_row_of_its_best_checkpoint_and_leaves_the_rest_empty(build, tmp_path: Path) -> None:
    build(tmp_path / "train", [0.1, 0.4, 0.3], freeze=[0, 1, 2], seed=7)
    row = compare([tmp_path / "train"]).row(0, named=True)
    assert (row["arm"], row["seed"], row["freeze_depth"], row["status"]) == ("train", 7, 3, None)
    assert (row["mAP50"], row["mAP50-95"], row["precision"], row["recall"]) == (0.4, 0.2, 0.5, 0.35)
    assert (row["best_epoch"], row["metrics_from"]) == (2, "results.csv")
    assert row["epoch_seconds"] == (10.0 if build is new_ultralytics else None)
    empty = ("overfitting_gap", "AP_small", "coco_mAP50", "peak_rss_bytes", "audit", "wall_seconds")
    assert all(row[name] is None for name in empty)


def test_an_evaluation_goes_before_the_curves_of_a_plain_folder_and_never_before_run_json(tmp_path: Path) -> None:
    record = {
        "names": {"0": "Car"},
        "metrics": {"ultralytics/mAP50": 0.42, "ultralytics/mAP50-95": 0.21, "coco/AP_small": 0.07},
        "per_class": {"Car": {"ultralytics/AP50": 0.42}},
        "inference": {"ms": 8.5},
    }
    plain = new_ultralytics(tmp_path / "train", [0.1, 0.4, 0.3], seed=7)
    ours = our_run(tmp_path / "ours", "a", [0.2, 0.3])
    for folder in (plain, ours):
        (folder / "evaluation.json").write_text(json.dumps(record))
    row = compare([plain]).row(0, named=True)
    assert (row["metrics_from"], row["mAP50"], row["mAP50-95"]) == ("evaluation.json", 0.42, 0.21)
    assert (row["AP_small"], row["AP50/Car"], row["inference_ms"], row["precision"]) == (0.07, 0.42, 8.5, None)
    assert (row["arm"], row["seed"], row["status"], row["best_epoch"], row["epochs"]) == ("train", 7, None, 2, 3)
    assert compare([ours]).row(0, named=True)["metrics_from"] == "run.json"
    (plain / "evaluation.json").write_text("[]")
    with pytest.raises(InputError, match=r"evaluation\.json: expected a JSON object"):
        compare([plain])


def test_any_missing_or_null_field_is_an_empty_cell(tmp_path: Path) -> None:
    path = our_run(tmp_path / "a", "a", [0.2, 0.4]) / "run.json"
    whole = json.loads(path.read_text())
    for key in whole:
        for broken in ({k: v for k, v in whole.items() if k != key}, {**whole, key: None}, {**whole, key: "x"}):
            path.write_text(json.dumps(broken))
            row = compare([tmp_path / "a"], small_classes=()).row(0, named=True)
            assert not any(value == 0 for name, value in row.items() if name != "seed"), (key, row)
    path.write_text("{}")
    row = compare([tmp_path / "a"]).row(0, named=True)
    assert (row["mAP50"], row["metrics_from"], row["AP_small"], row["freeze_depth"]) == (0.4, "results.csv", None, None)


def test_an_unfinished_run_shows_its_best_so_far_and_counts_in_no_mean(tmp_path: Path) -> None:
    our_run(tmp_path / "a" / "seed0", "a", [0.2, 0.3], seed=0)
    our_run(tmp_path / "a" / "seed1", "a", [0.9], seed=1, status="interrupted", metrics=None, best=None)
    comparison = compare_runs(find_runs([tmp_path]))
    assert comparison.frame.get_column("mAP50").to_list() == [pytest.approx(0.31), 0.9]
    assert comparison.frame.get_column("metrics_from").to_list() == ["run.json", "results.csv"]
    row = comparison.summary.filter(pl.col("metric") == "mAP50").row(0, named=True)
    assert (row["n"], row["mean"], row["max"]) == (1, pytest.approx(0.31), pytest.approx(0.31))


def test_the_mean_over_small_classes_is_over_all_of_them_or_empty(tmp_path: Path) -> None:
    our_run(tmp_path / "a", "a", [0.2], per_class={"Car": 0.5, "Pedestrian": 0.25, "Cyclist": 0.75})
    our_run(tmp_path / "b", "b", [0.2], per_class={"Car": 0.5, "Pedestrian": 0.25})
    frame = compare([tmp_path], small_classes=("Pedestrian", "Cyclist"))
    assert frame.get_column("AP50_small_classes").to_list() == [0.5, None]
    assert frame.get_column("AP50/Cyclist").to_list() == [0.75, None]
    with pytest.raises(InputError, match=r"unknown class 'Pedestrain', did you mean 'Pedestrian'\?"):
        compare([tmp_path], small_classes=("Pedestrain",))


def test_the_metrics_asked_for_come_first(tmp_path: Path) -> None:
    our_run(tmp_path / "a", "a", [0.2])
    columns = compare([tmp_path], metrics=("recall", "map50-95")).columns
    assert columns[4:8] == ["recall", "mAP50-95", "mAP50", "precision"]
    with pytest.raises(InputError, match="unknown metric 'mAP51', did you mean 'mAP50'"):
        compare([tmp_path], metrics=("mAP51",))
    with pytest.raises(InputError, match="no metric named"):
        compare([tmp_path], metrics=())


def test_the_spread_of_an_arm_is_that_of_its_seeds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tops = {"baseline": rng.uniform(0.2, 0.8, 5), "freeze_1_to_3": rng.uniform(0.2, 0.8, 2)}
    for arm, values in tops.items():
        for seed, value in enumerate(values):
            our_run(tmp_path / arm / f"seed{seed}", arm, [0.1, value], seed=seed, depth=3 if arm != "baseline" else 0)
    summary = compare_runs(find_runs([tmp_path])).summary
    assert summary.get_column("arm").unique(maintain_order=True).to_list() == ["baseline", "freeze_1_to_3"]
    for arm, values in tops.items():
        row = summary.filter((pl.col("arm") == arm) & (pl.col("metric") == "mAP50")).row(0, named=True)
        expected = (len(values), np.mean(values) + 0.01, np.min(values) + 0.01, np.max(values) + 0.01)
        assert (row["n"], row["mean"], row["min"], row["max"]) == pytest.approx(expected)
        assert row["freeze_depth"] == (0 if arm == "baseline" else 3)
    assert summary.filter(pl.col("metric") == "AP_large").is_empty()


def test_seeds_that_lack_a_metric_are_not_counted_for_it_and_unequal_depths_give_none() -> None:
    frame = pl.DataFrame({"arm": ["a", "a", "b"], "freeze_depth": [3, 4, None], "mAP50": [0.5, None, None]})
    assert summarize(frame).rows() == [("a", None, "mAP50", 1, 0.5, 0.5, 0.5)]


def test_csv_and_json_hold_every_column_and_where_it_is_from(tmp_path: Path) -> None:
    our_run(tmp_path / "runs" / "a", 'a, "b"', [0.2])
    new_ultralytics(tmp_path / "runs" / "자전거", [0.3])
    comparison = compare_runs(find_runs([tmp_path / "runs"]), small_classes=("Car",))
    comparison.write_csv(tmp_path / "c.csv")
    comparison.write_json(tmp_path / "c.json")
    read = pl.read_csv(tmp_path / "c.csv")
    assert read.columns == comparison.frame.columns
    assert read.get_column("arm").to_list() == ['a, "b"', "자전거"]
    assert read.get_column("AP_small").to_list() == [0.05, None]
    record = json.loads((tmp_path / "c.json").read_text())
    assert list(record["sources"]) == comparison.frame.columns
    assert record["sources"]["mAP50"].startswith("Ultralytics")
    assert record["sources"]["AP_small"].startswith("COCO")
    assert record["runs"] == comparison.frame.to_dicts()
    assert record["arms"] == comparison.summary.to_dicts()


def test_analysis_imports_neither_torch_nor_matplotlib_nor_ultralytics() -> None:
    heavy = ("torch", "ultralytics", "matplotlib", "cv2")
    code = f"import sys, frostline.analysis; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
