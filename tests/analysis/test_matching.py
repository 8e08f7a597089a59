"""Average precision from matches agrees with the libraries whose definitions it has, also for repeated images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frostline.analysis import (
    DetectionTable,
    Predictions,
    PredictionSettings,
    confidence_curves,
    confusion,
    evaluate_coco,
    match_coco,
    match_ultralytics,
    precision_table,
    rank_matches,
    read_boxes,
    score_distribution,
)
from frostline.analysis.ap import mean_over_classes
from frostline.analysis.confidence import best_f1_table
from frostline.analysis.matching import SINGLE_IOUS
from frostline.errors import InputError
from random_runs import random_run, repeated

SIZES = {
    "seed": st.integers(0, 10**6),
    "images": st.integers(1, 8),
    "classes": st.integers(1, 4),
    "most": st.integers(0, 8),
    "detections": st.integers(0, 14),
}


def close(value: float, expected: float | None) -> bool:
    return math.isnan(value) if expected is None else value == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(max_det=st.sampled_from([1, 3, 300]), **SIZES)
def test_coco_ap_equals_faster_coco_eval(max_det: int, **sizes: int) -> None:
    run = random_run(**sizes)
    ap = precision_table(rank_matches(match_coco(read_boxes(run), max_det))).ap[0]
    theirs = evaluate_coco(run.frame, run.settings.names, max_det)
    assert close(mean_over_classes(ap[0, :, 0]), theirs.map50)
    assert close(mean_over_classes(ap[0].mean(axis=1)), theirs.map50_95)
    for area, expected in enumerate((theirs.ap_small, theirs.ap_medium, theirs.ap_large), start=1):
        assert close(mean_over_classes(ap[area].mean(axis=1)), expected)
    for k, key in enumerate(sorted(run.settings.names)):
        assert close(ap[0, k, 0], theirs.ap50_per_class[key])
        assert close(ap[0, k].mean(), theirs.ap_per_class[key])


@settings(max_examples=25, deadline=None)
@given(data=st.data(), **SIZES)
def test_a_weight_counts_an_image_as_if_it_were_there_so_often(data: st.DataObject, **sizes: int) -> None:
    run = random_run(**sizes, ties=False)
    boxes = read_boxes(run)
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(boxes.images), max_size=len(boxes.images)))
    copied = read_boxes(repeated(run, weights))
    rows = np.array([weights])
    for match in (lambda b: match_coco(b, 300), match_ultralytics):
        weighted = precision_table(rank_matches(match(boxes)), rows)
        counted = precision_table(rank_matches(match(copied)))
        np.testing.assert_allclose(weighted.ap, counted.ap, atol=1e-12)
        np.testing.assert_allclose(weighted.at_recall, counted.at_recall, atol=1e-12)
    expected = evaluate_coco(repeated(run, weights).frame, run.settings.names, 300)
    coco = precision_table(rank_matches(match_coco(boxes, 300)), rows).ap[0]
    assert close(mean_over_classes(coco[0].mean(axis=1)), expected.map50_95)
    assert close(mean_over_classes(coco[1].mean(axis=1)), expected.ap_small)
    np.testing.assert_allclose(
        best_f1_table(match_ultralytics(boxes), rows)[0],
        best_f1_table(match_ultralytics(copied), np.ones((1, len(copied.images))))[0],
        atol=1e-9,
    )


@settings(max_examples=25, deadline=None)
@given(**SIZES)
def test_ultralytics_matching_and_ap_equal_its_own(**sizes: int) -> None:
    import torch
    from ultralytics.engine.validator import BaseValidator
    from ultralytics.utils.metrics import ap_per_class, box_iou, smooth

    run = random_run(**sizes)
    boxes = read_boxes(run)
    matches = match_ultralytics(boxes)
    judge = BaseValidator.__new__(BaseValidator)
    judge.iouv = torch.linspace(0.5, 0.95, 10)
    np.testing.assert_array_equal(SINGLE_IOUS, judge.iouv.numpy())
    correct = np.zeros((len(boxes.image), 10), dtype=bool)
    for image in range(len(boxes.images)):
        at = np.flatnonzero(boxes.image == image)
        at = at[np.argsort(-boxes.score[at], kind="stable")]
        mine = boxes.truth_image == image
        if not mine.any() or not len(at):
            continue
        iou = box_iou(torch.tensor(boxes.truth_box[mine]), torch.tensor(boxes.whole_box[at]))
        classes, truths = torch.tensor(boxes.klass[at]), torch.tensor(boxes.truth_class[mine])
        correct[at] = judge.match_predictions(classes, truths, iou).numpy()
    np.testing.assert_array_equal(matches.outcome[0], correct)
    # Ultralytics leaves equal scores in no stated order: give it scores that differ, in our order.
    score = boxes.score - 1e-6 * np.arange(len(boxes.score), dtype=np.float32)
    found = ap_per_class(correct, score, boxes.klass, boxes.truth_class)
    ap = precision_table(rank_matches(matches)).ap[0, 0]
    known = ~np.isnan(ap[:, 0])
    np.testing.assert_array_equal(np.flatnonzero(known), found[6])
    np.testing.assert_allclose(ap[known], found[5], atol=1e-9)
    distinct = match_ultralytics(type(boxes)(**{**vars(boxes), "score": score}))
    curves = confidence_curves(distinct)
    if known.any():
        np.testing.assert_allclose(curves.precision, found[7], atol=1e-6)
        np.testing.assert_allclose(curves.recall, found[8], atol=1e-6)
        np.testing.assert_allclose(curves.f1, found[9], atol=1e-6)
        smoothed = smooth(found[9].mean(0), 0.1)
        assert smoothed[curves.best] == pytest.approx(smoothed.max(), abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(**SIZES)
def test_the_confusion_matrix_is_that_of_ultralytics(**sizes: int) -> None:
    import torch
    from ultralytics.utils.metrics import ConfusionMatrix

    run = random_run(**sizes)
    boxes = read_boxes(run)
    theirs = ConfusionMatrix(names=dict(run.settings.names))
    for image in range(len(boxes.images)):
        at, mine = boxes.image == image, boxes.truth_image == image
        theirs.process_batch(
            {
                "cls": torch.tensor(boxes.klass[at]),
                "conf": torch.tensor(boxes.score[at]),
                "bboxes": torch.tensor(boxes.whole_box[at]),
            },
            {"cls": torch.tensor(boxes.truth_class[mine]), "bboxes": torch.tensor(boxes.truth_box[mine])},
        )
    found = confusion(boxes)
    np.testing.assert_array_equal(found.matrix, theirs.matrix)
    shares = found.normalized
    known = found.matrix.sum(axis=0) > 0
    np.testing.assert_allclose(shares[:, known].sum(axis=0), 1)
    assert np.isnan(shares[:, ~known]).all()
    assert sum(found.background_false_negatives.values()) == found.matrix[-1].sum()


def test_confused_pairs_and_off_diagonal_mass_of_a_case_worked_by_hand() -> None:
    table = DetectionTable()
    spots = [(100.0 * i, 0.0, 100.0 * i + 50, 50.0) for i in range(5)]
    # Three cars and a van; a car is called a van twice; one detection on background; one car is not found.
    table.add(
        "a", (600, 100), truth_classes=[0, 0, 0, 1], truth_boxes=spots[:4], classes=[1, 1, 1, 0],
        boxes=[spots[0], spots[1], spots[3], spots[4]], scores=[0.9, 0.8, 0.7, 0.6],
    )  # fmt: skip
    run = Predictions(table.frame, PredictionSettings(300, 0.001, 0.7, {0: "Car", 1: "Van"}))
    found = confusion(read_boxes(run))
    assert found.matrix.tolist() == [[0, 0, 1], [2, 1, 0], [1, 0, 0]]
    assert found.off_diagonal_mass == pytest.approx(2 / 3)
    assert found.most_confused() == [("Car", "Van", 2, pytest.approx(2 / 3))]
    assert found.background_false_positives == {"Car": 1, "Van": 0}
    assert found.background_false_negatives == {"Car": 1, "Van": 0}
    scores = score_distribution(match_coco(read_boxes(run), 300))
    assert sorted(scores.true_positives) == pytest.approx([0.7])
    assert sorted(scores.false_positives) == pytest.approx([0.6, 0.8, 0.9])
    assert scores.false_share_above(0.7) == pytest.approx(2 / 3)
    assert scores.false_share_above(0.7, floor=0.85) == 1.0
    assert scores.histogram(10)[1].tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 1, 1]


def test_precision_at_a_recall_is_the_best_at_that_recall_or_above() -> None:
    # A hit, a false alarm, a hit, of two truths: recall 0.6 and above is reached by the last alone, at precision 2/3.
    table = DetectionTable()
    spots = [(100.0 * i, 0.0, 100.0 * i + 50, 50.0) for i in range(3)]
    table.add(
        "a", (600, 100), truth_classes=[0, 0], truth_boxes=[spots[0], spots[2]], classes=[0, 0, 0],
        boxes=spots, scores=[0.9, 0.8, 0.7],
    )  # fmt: skip
    run = Predictions(table.frame, PredictionSettings(300, 0.001, 0.7, {0: "Car"}))
    coco = precision_table(rank_matches(match_coco(read_boxes(run), 300)))
    assert coco.at_recall[0, 0, 0, 0] == pytest.approx(2 / 3)
    curves = confidence_curves(match_ultralytics(read_boxes(run)))
    # F1 is 2/3 with the first alone, 1/2 with two, 4/5 with all: the best threshold is below the last score.
    assert curves.best_f1_per_class == {"Car": pytest.approx(0.8)}
    assert curves.best_threshold_per_class["Car"] < 0.7


def test_a_box_beyond_the_border_is_cut_off_for_coco_and_whole_for_ultralytics() -> None:
    table = DetectionTable()
    table.add(
        "a", (100, 100), truth_classes=[0], truth_boxes=[(50, 0, 100, 100)], classes=[0],
        boxes=[(50, 0, 100, 100)], scores=[0.9], unclipped_boxes=[(50, 0, 135, 100)],
    )  # fmt: skip
    run = Predictions(table.frame, PredictionSettings(300, 0.001, 0.7, {0: "Car"}))
    boxes = read_boxes(run)
    assert boxes.has_whole
    assert match_coco(boxes, 300).outcome[0].all()
    assert match_ultralytics(boxes).outcome[0, 0].tolist() == [1, 1] + [0] * 8  # IoU 50 / 85
    old = Predictions(run.frame.drop("free_x1", "free_y1", "free_x2", "free_y2"), run.settings)
    assert not read_boxes(old).has_whole
    assert match_ultralytics(read_boxes(old)).outcome[0].all()


def test_a_class_without_a_name_is_refused() -> None:
    run = random_run(1)
    with pytest.raises(InputError, match=r"class ids .* have no name"):
        read_boxes(Predictions(run.frame, PredictionSettings(300, 0.001, 0.7, {7: "Car"})))
    with pytest.raises(InputError, match="max_det is 0"):
        match_coco(read_boxes(run), 0)
