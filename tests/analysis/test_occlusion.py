"""Recall by occlusion: objects found again in the table, and counted as they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frostline.analysis import DetectionTable, Predictions, PredictionSettings, RunFolder, find_runs, write_predictions
from frostline.analysis.evidence import gather
from frostline.analysis.matching import TRUE, Boxes, match_ultralytics, read_boxes
from frostline.analysis.occlusion import (
    OCCLUSIONS,
    OcclusionScorer,
    find_table,
    found_at,
    occlusion_levels,
    read_table,
)
from frostline.errors import InputError
from frostline.files import OBJECT_TABLE
from frostline.report.occlusion import occlusion_charts, occlusion_tables
from random_runs import random_run
from run_folders import our_run

HEADER = "split,image,row,class,kitti_type,left,top,right,bottom,truncation,occlusion"
ROWS = (
    "val,a,0,Car,Car,10,10,50,50,0.0,0",
    "val,a,1,Car,Van,100,10,160,50,0.0,2",
    "val,a,2,Person,Pedestrian,100,10,160,50,0.0,1",
    "val,b,0,Car,Car,10,10,50,50,0.2,2",
    "val,b,1,Car,Car,200,10,260,50,0.2,3",
)


def scene() -> Predictions:
    """Of image a both cars are found, one of them at 0.2; of image b the car without a row, and nothing else."""
    table = DetectionTable()
    table.add(
        "a.png", (300, 100),
        truth_classes=[0, 0, 1], truth_boxes=[[10, 10, 50, 50], [100.4, 10, 160, 50.4], [100, 10, 160, 50]],
        classes=[0, 0, 0], boxes=[[11, 10, 51, 50], [100, 10, 160, 50], [12, 10, 52, 50]], scores=[0.9, 0.2, 0.8],
        unclipped_boxes=[[11, 10, 51, 50], [100, 10, 160, 50], [12, 10, 52, 50]],
    )  # fmt: skip
    table.add(
        "b.png", (300, 100),
        truth_classes=[0, 0], truth_boxes=[[10, 10, 50, 50], [210, 10, 270, 50]],
        classes=[0], boxes=[[210, 10, 270, 50]], scores=[0.7], unclipped_boxes=[[210, 10, 270, 50]],
    )  # fmt: skip
    return Predictions(table.frame, PredictionSettings(300, 0.001, 0.7, {0: "Car", 1: "Person"}))


def write_table(folder: Path, *rows: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OBJECT_TABLE
    path.write_text("\n".join([HEADER, *(rows or ROWS)]) + "\n")
    return path


def scorer(predictions: Predictions, table: Path) -> OcclusionScorer:
    boxes = read_boxes(predictions)
    return OcclusionScorer(boxes, match_ultralytics(boxes), read_table(table))


def test_truths_are_found_again_by_image_class_and_box(tmp_path: Path) -> None:
    boxes = read_boxes(scene())
    levels = occlusion_levels(boxes, read_table(write_table(tmp_path)))
    # the second car of image b lies elsewhere than its row: nobody's
    assert levels.tolist() == [0, 2, 1, 2, -1]


def test_each_row_is_one_truths_and_the_best_pair_goes_first(tmp_path: Path) -> None:
    table = DetectionTable()
    truths = [[0, 0, 100, 98], [0, 0, 100, 100]]
    table.add("a.png", (200, 200), truth_classes=[0, 0], truth_boxes=truths, classes=[], boxes=[], scores=[])
    boxes = read_boxes(Predictions(table.frame, PredictionSettings(300, 0.001, 0.7, {0: "Car"})))
    path = write_table(tmp_path, "val,a,0,Car,Car,0,0,100,100,0,1", "val,a,1,Car,Car,0,0,100,96,0,2")
    assert occlusion_levels(boxes, read_table(path)).tolist() == [2, 1]


def test_recall_counts_an_image_as_often_as_it_is_drawn(tmp_path: Path) -> None:
    one = scorer(scene(), write_table(tmp_path))
    assert one.truths.tolist() == [1, 1, 2, 0] and one.unpaired == 1
    at = {name: place for place, name in enumerate(one.metrics)}
    once, twice, only_b = one(np.array([[1, 1], [3, 1], [0, 1]], np.int32))
    fixed = "occlusion/recall_at_0.25"
    assert once[at[f"{fixed}/{OCCLUSIONS[0]}"]] == 1 and once[at[f"{fixed}/{OCCLUSIONS[1]}"]] == 0
    assert once[at[f"{fixed}/{OCCLUSIONS[2]}"]] == 0  # one at 0.2, one not at all
    assert one.threshold < 0.2  # where F1 is best, so that the weak one counts
    assert once[at[f"occlusion/recall/{OCCLUSIONS[2]}"]] == 0.5
    assert twice[at[f"occlusion/recall/{OCCLUSIONS[2]}"]] == 0.75
    assert only_b[at[f"occlusion/recall/{OCCLUSIONS[2]}"]] == 0 and np.isnan(only_b[at[f"{fixed}/{OCCLUSIONS[0]}"]])
    assert np.isnan(once[at[f"{fixed}/{OCCLUSIONS[3]}"]])


@pytest.mark.parametrize("seed", range(30))
def test_what_is_found_at_a_confidence_is_what_ultralytics_matches(seed: int) -> None:
    boxes = read_boxes(random_run(seed, images=6, ties=False))
    matches, score = match_ultralytics(boxes), found_at(boxes)
    hit = matches.outcome[0, :, 0] == TRUE
    for threshold in (0.0, 0.22, 0.62):
        assert np.sum(score > threshold) == np.sum(boxes.score[hit] > threshold)
    by_class = [sorted(score[(boxes.truth_class == k) & (score >= 0)]) for k in range(3)]
    assert by_class == [sorted(boxes.score[hit & (boxes.klass == k)].astype(float)) for k in range(3)]


def test_images_are_known_by_their_path_or_by_a_name_that_only_one_has(tmp_path: Path) -> None:
    table = read_table(
        write_table(tmp_path, *(f"val,{name},0,Car,Car,0,0,9,9,0,1" for name in ("d1/x", "d2/x", "d2/y")))
    )
    assert [table.rows(name) is not None for name in ("d1/x.png", "d1/x", "x.png", "y.tif", "y", "z")] == [
        True, True, False, True, True, False,
    ]  # fmt: skip


def test_the_table_lies_beside_data_yaml_or_in_its_path(tmp_path: Path) -> None:
    run = our_run(tmp_path / "run", "baseline", [0.3], data=str(tmp_path / "yaml" / "data.yaml"))
    assert find_table(RunFolder.open(run)) is None
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml" / "data.yaml").write_text("path: ../kitti\n")
    assert find_table(RunFolder.open(run)) is None
    beyond = write_table(tmp_path / "kitti")
    found = find_table(RunFolder.open(run))
    assert found is not None and found.resolve() == beyond
    assert find_table(RunFolder.open(run)) != write_table(tmp_path / "yaml")  # asked before the nearer one was there
    assert find_table(RunFolder.open(run)) == tmp_path / "yaml" / OBJECT_TABLE


@pytest.mark.parametrize("text", ["", "image,class\na,Car\n", f"{HEADER}\nval,a,0,Car,Car,left,1,2,3,0,0\n"])
def test_another_table_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / OBJECT_TABLE
    path.write_text(text)
    with pytest.raises(InputError, match=f"{path}: is no table with image, class"):
        read_table(path)


def table_of(boxes: Boxes) -> list[str]:
    """Rows for every truth of a run, of levels in turn."""
    return [
        f"val,{boxes.images[image].rpartition('.')[0]},0,{boxes.names[klass]},x,{','.join(map(str, box))},0,{row % 3}"
        for row, (image, klass, box) in enumerate(
            zip(boxes.truth_image, boxes.truth_class, boxes.truth_box, strict=True)
        )
    ]


def test_the_report_has_recall_by_occlusion_where_labels_tell_and_nothing_elsewhere(tmp_path: Path) -> None:
    run = random_run(3, images=12, most=5)
    for arm in ("baseline", "freeze_1_to_3"):
        for seed in (0, 1):
            folder = our_run(
                tmp_path / arm / f"seed{seed}", arm, [0.3], seed=seed, data=str(tmp_path / "d" / "data.yaml")
            )
            write_predictions(folder / "predictions.parquet", run.frame, run.settings)
    evidence = gather(find_runs([tmp_path]), draws=100)
    assert occlusion_tables(evidence) == [] and occlusion_charts(evidence) == []
    boxes = read_boxes(run)
    write_table(tmp_path / "d", *table_of(boxes))
    [table] = occlusion_tables(evidence)
    assert table.frame["arm"].to_list() == ["baseline"] * 3 + ["freeze_1_to_3"] * 3
    assert table.frame["truths"].sum() == 2 * len(boxes.truth_image)
    assert (
        table.frame["difference"].to_list()[:3] == [None] * 3 and table.frame["difference"].to_list()[3:] == [0.0] * 3
    )
    counts = np.bincount(np.arange(len(boxes.truth_image)) % 3)
    recall = table.frame["recall_fixed"].to_numpy()[:3]
    assert (recall * counts).sum() == pytest.approx(np.sum(found_at(boxes) > 0.25))
    [chart] = occlusion_charts(evidence)
    labels = chart.draw().axes[0].get_xticklabels()
    assert labels[0].get_text().startswith("fully\nvisible")
    assert chart.interactive is not None
    assert [trace["meta"]["arm"] for trace in chart.interactive()["data"]] == ["baseline", "freeze_1_to_3"]
