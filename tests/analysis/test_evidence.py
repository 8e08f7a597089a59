from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from frostline.analysis import Evidence, estimate_difference, evaluate_coco, find_runs, gather, read_predictions
from frostline.errors import InputError
from run_folders import new_ultralytics
from study_runs import CLASSES, study, write_detections

ARMS = {"baseline": 0.7, "freeze_1_to_3": 0.72, "freeze_1_to_6": 0.4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("evidence") / "study", ARMS)


def gathered(*folders: Path, **options: object) -> Evidence:
    return gather(find_runs(folders), draws=200, **options)  # type: ignore[arg-type]


def test_the_arms_of_a_study_share_one_panel(folder: Path) -> None:
    found = gathered(folder)
    assert found.arms == tuple(ARMS) and found.baseline == "baseline" and not found.left_out
    (panel,) = found.panels
    assert len(panel.images) == 40 and panel.images[0] == "scene_0000.png" and panel.classes == CLASSES
    assert [list(runs) for runs in panel.runs.values()] == [[0, 1, 2]] * 3
    assert found.study_folder == folder.resolve() and list(found.study["arms"]) == list(ARMS)


def test_scores_are_those_of_the_runs_own_predictions(folder: Path) -> None:
    panel = gathered(folder).panels[0]
    seeds = []
    for seed in range(3):
        predictions = read_predictions(folder / "baseline" / f"seed{seed}" / "predictions.parquet")
        seeds.append(evaluate_coco(predictions.frame, predictions.settings.names, 300).map50)
    column = panel.resamples.index("coco/mAP50")
    np.testing.assert_allclose(panel.resamples.arm("baseline").point[:, column], seeds, atol=1e-4)


def test_the_same_pictures_in_another_format_are_paired(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "baseline", tmp_path / "s" / "baseline")
    study(tmp_path / "tiff", {"srgb": 0.7}, suffix=".tiff")
    shutil.copytree(tmp_path / "tiff" / "srgb", tmp_path / "s" / "srgb")
    found = gathered(tmp_path / "s")
    assert len(found.panels) == 1 and set(found.panels[0].runs) == {"baseline", "srgb"}
    assert np.isfinite(estimate_difference(found.panels[0].resamples, "coco/mAP50", "srgb", "baseline").value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": 30}, "other validation images (30, of which 30 are among the 40)"),
        ({"truth_seed": 8}, "another ground truth"),
        ({"classes": ("Car", "Cyclist", "Tram")}, "other classes"),
    ],
)
def test_an_arm_that_was_validated_otherwise_stands_apart(
    folder: Path, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    other = study(tmp_path / "other", {"odd": 0.7}, **change)  # type: ignore[arg-type]
    found = gathered(folder, other)
    assert len(found.panels) == 2 and "baseline" in found.panels[0].runs and set(found.panels[1].runs) == {"odd"}
    assert found.together("odd", "baseline") is None and found.study == {}

    # A single run of an arm that differs from its other seeds leaves the arm, and says why.
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    shutil.copy(other / "odd" / "seed0" / "predictions.parquet", mixed / "baseline" / "seed2" / "predictions.parquet")
    (left,) = gathered(mixed).left_out
    assert left.label == "baseline, seed 2" and reason in left.reason


def test_runs_that_do_not_count_are_named_with_their_reason(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "study"
    shutil.copytree(folder, broken)
    record = broken / "freeze_1_to_3" / "seed0" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "status": "interrupted"}))
    failed = broken / "freeze_1_to_3" / "seed1" / "run.json"
    failed.write_text(json.dumps({**json.loads(failed.read_text()), "status": "failed", "audit": "FAIL"}))
    (broken / "freeze_1_to_6" / "seed0" / "predictions.parquet").unlink()
    cut = broken / "freeze_1_to_6" / "seed1" / "predictions.parquet"
    cut.write_bytes(cut.read_bytes()[:2000])
    new_ultralytics(broken / "plain", [0.1, 0.2])
    found = gathered(broken)
    reasons = {left.label: left.reason for left in found.left_out}
    assert reasons["freeze_1_to_3, seed 0"] == "interrupted, not finished"
    assert reasons["freeze_1_to_3, seed 1"] == "failed: its audit failed"
    assert "no predictions.parquet" in reasons["freeze_1_to_6, seed 0"]
    assert "not a whole Parquet file" in reasons["freeze_1_to_6, seed 1"]
    assert "frostline evaluate" in reasons["plain, seed 0"]
    assert list(found.panels[0].runs["freeze_1_to_3"]) == [2] and list(found.panels[0].runs["freeze_1_to_6"]) == [2]
    # Curves count without predictions; what is not finished counts when asked to.
    assert found.panel_of("plain") is None and len(found.runs_of("plain")) == 1
    asked = gathered(broken, include_unfinished=True)
    assert list(asked.panels[0].runs["freeze_1_to_3"]) == [0, 1, 2]


def test_the_baseline_is_the_arm_of_that_name_else_the_one_that_freezes_nothing(folder: Path, tmp_path: Path) -> None:
    assert gathered(folder, baseline="freeze_1_to_3").baseline == "freeze_1_to_3"
    with pytest.raises(InputError, match="no arm 'freze_1_to_3', did you mean 'freeze_1_to_3'"):
        gathered(folder, baseline="freze_1_to_3")
    plain = [new_ultralytics(tmp_path / f"run{freeze}", [0.1, 0.2], freeze=freeze) for freeze in (6, 0)]
    assert gathered(*plain).baseline == "run0"
    assert gathered(plain[0]).baseline is None


@pytest.mark.parametrize(
    ("options", "fault"), [({"confidence": 1.0}, "confidence of 1 is outside"), ({"draws": 10}, "10 draws tell too")]
)
def test_options_that_make_no_sense_are_told(folder: Path, options: dict[str, float], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        gather(find_runs([folder]), **options)  # type: ignore[arg-type]


def test_names_that_clash_without_their_suffix_keep_it(tmp_path: Path) -> None:
    run = study(tmp_path / "s", {"baseline": 0.5}, seeds=(0,)) / "baseline" / "seed0" / "predictions.parquet"
    predictions = read_predictions(run)
    names = {"scene_0000.png": "scene_0001.jpg"}
    frame = predictions.frame.with_columns(pl.col("image").replace(names))
    from frostline.analysis import write_predictions

    write_predictions(run, frame, predictions.settings)
    panel = gathered(tmp_path / "s").panels[0]
    assert "scene_0001.jpg" in panel.images and "scene_0001.png" in panel.images


def test_progress_counts_every_run_and_every_draw(folder: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}
    gathered(folder, advance=lambda step, done, total: seen.update({step: (done, total)}))
    assert seen == {"reading predictions": (9, 9), "drawing images": (9 * 201, 9 * 201)}


def test_write_detections_is_the_same_for_the_same_numbers(tmp_path: Path) -> None:
    a, b = (write_detections(tmp_path / name, 0.5, 1).read_bytes() for name in ("a.parquet", "b.parquet"))
    assert a == b
