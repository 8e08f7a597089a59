"""Recall and AP by light, and survival under cast shadows, against numbers worked out by hand and another library."""

from __future__ import annotations

import numpy as np
import pytest

from frostline.analysis import DetectionTable, Predictions, PredictionSettings
from frostline.analysis.lighting import LightScorer, shade_shares
from frostline.analysis.matching import read_boxes
from frostline.analysis.stress import StressScorer, places
from frostline.errors import InputError
from random_runs import random_run

NAMES = {0: "car", 1: "tram"}


def table(images: dict[str, tuple[list, list]]) -> Predictions:
    """Images with truths (class, box) and detections (class, box, score)."""
    made = DetectionTable()
    for name, (truths, found) in images.items():
        made.add(
            name, (100, 100), truth_classes=[k for k, _ in truths], truth_boxes=[b for _, b in truths],
            classes=[k for k, _, _ in found], boxes=[b for _, b, _ in found], scores=[s for *_, s in found],
        )  # fmt: skip
    return Predictions(made.frame, PredictionSettings(300, 0.001, 0.7, NAMES))


A, B, C, D = (0, 0, 20, 20), (40, 0, 60, 20), (0, 40, 20, 60), (40, 40, 60, 60)


def test_recall_and_ap_by_light_are_those_worked_out_by_hand() -> None:
    run = table({
        "a": ([(0, A), (0, B), (0, C)], [(0, A, 0.9), (0, B, 0.8), (0, D, 0.7)]),
        "b": ([(0, A), (0, D)], [(0, D, 0.6)]),
    })  # fmt: skip
    boxes = read_boxes(run)
    # In light: A; in moderate shadow: B and C; in heavy: D. Detections where they lie.
    light = {A: 0, B: 1, C: 1, D: 2}
    of = [np.array([light[tuple(map(int, box))] for box in part], np.int8) for part in (boxes.box, boxes.truth_box)]
    scorer = LightScorer(boxes, 300, *of)
    assert scorer.truths == {"lit": 2, "moderate": 2, "heavy": 1}
    assert scorer.threshold < 0.6  # all four detections count: F1 is best with them
    weights = np.array([[1, 1], [2, 1], [1, 0]], np.int32)
    recall_lit, recall_moderate, recall_heavy, gap, ap_lit, ap_moderate, ap_heavy, ap_gap = scorer(weights).T
    assert recall_lit == pytest.approx([1 / 2, 2 / 3, 1])
    assert recall_moderate == pytest.approx([1 / 2, 1 / 2, 1 / 2])
    assert recall_heavy == pytest.approx([1, 1, np.nan], nan_ok=True)
    assert gap == pytest.approx([-1 / 2, -1 / 3, np.nan], nan_ok=True)
    # 101 recalls; precision is 1 up to the recall reached: 51 of them for a half, 67 for two thirds.
    assert ap_lit == pytest.approx([51 / 101, 67 / 101, 1])
    assert ap_moderate == pytest.approx([51 / 101] * 3)
    # Heavy: the false detection in image a (0.7) comes before the right one in b (0.6); twice with weight 2.
    assert ap_heavy == pytest.approx([1 / 2, 1 / 3, np.nan], nan_ok=True)
    assert ap_gap == pytest.approx(ap_lit - ap_heavy, nan_ok=True)


@pytest.mark.parametrize("seed", range(6))
def test_ap_by_light_is_what_coco_gives_for_areas_that_stand_for_light(seed: int) -> None:
    from faster_coco_eval import COCO, COCOeval_faster

    run = random_run(seed, images=8)
    boxes = read_boxes(run)
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 3, len(boxes.image)).astype(np.int8)
    truths = rng.integers(0, 3, len(boxes.truth_image)).astype(np.int8)
    area = np.array([10.0**2, 50.0**2, 200.0**2])  # small, medium, large for COCO
    sides = []
    for image, klass, box, light, score in (
        (boxes.truth_image, boxes.truth_class, boxes.truth_box, truths, None),
        (boxes.image, boxes.klass, boxes.box, found, boxes.score),
    ):
        side = COCO(print_function=lambda *_: None)
        side.dataset = {
            "images": [{"id": index + 1} for index in range(len(boxes.images))],
            "categories": [{"id": key, "name": name} for key, name in enumerate(boxes.names)],
            "annotations": [
                {
                    "id": row + 1, "image_id": int(image[row]) + 1, "category_id": int(klass[row]), "iscrowd": 0,
                    "bbox": [box[row, 0], box[row, 1], box[row, 2] - box[row, 0], box[row, 3] - box[row, 1]],
                    "area": float(area[light[row]]), "score": 0.0 if score is None else float(score[row]),
                }
                for row in range(len(image))
            ],
        }  # fmt: skip
        side.createIndex()
        sides.append(side)
    coco = COCOeval_faster(*sides, "bbox", print_function=lambda *_: None)
    coco.params.maxDets = [300]
    coco.evaluate()
    coco.accumulate()
    precision = np.asarray(coco.eval["precision"])[0, ..., 0]  # (101, K, 4) at IoU 0.50
    expected = []
    for light in range(3):
        of_class = [p.mean() for p in precision[:, :, light + 1].T if (p > -1).all()]
        expected.append(np.mean(of_class) if of_class else np.nan)
    scorer = LightScorer(boxes, 300, found, truths)
    assert scorer(np.ones((1, len(boxes.images)), np.int32))[0, 4:7] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_survival_counts_what_was_found_before_by_where_the_new_shadow_lies() -> None:
    truths = [(0, A), (0, B), (0, C), (0, D)]
    nothing = (80, 80, 99, 99)  # found there at 0.3: the best threshold is above
    found = [(0, A, 0.9), (0, B, 0.9), (0, C, 0.9), (0, nothing, 0.3)]
    before = table({"a": (truths, found), "b": ([(1, A)], [(1, A, 0.9)])})
    # B moves off its place, C's confidence falls below the threshold, and D, never found before, is found now.
    moved = (52, 0, 72, 20)
    after = table({
        "a": (truths[::-1], [(0, A, 0.9), (0, moved, 0.9), (0, C, 0.2), (0, D, 0.9)]), "b": ([(1, A)], [(1, A, 0.9)]),
    })  # fmt: skip
    with pytest.raises(InputError, match="other labels"):
        StressScorer(read_boxes(before), read_boxes(after), np.zeros(5))
    after = table({
        "a": (truths, [(0, A, 0.9), (0, moved, 0.9), (0, C, 0.2), (0, D, 0.9)]), "b": ([(1, A)], [(1, A, 0.9)]),
    })  # fmt: skip
    boxes = read_boxes(before)
    # A untouched; B and C crossed by the edge; D inside; the tram of image b inside.
    share = {A: 0.0, B: 0.5, C: 0.9, D: 1.0}
    shares = [
        1.0 if k == 1 else share[tuple(map(int, b))] for k, b in zip(boxes.truth_class, boxes.truth_box, strict=True)
    ]
    scorer = StressScorer(boxes, read_boxes(after), np.array(shares))
    assert scorer.found == {"untouched": 1, "edge": 2, "inside": 1}
    named = dict(zip(scorer.metrics, scorer(np.array([[1, 1], [1, 0]], np.int32)).T, strict=True))
    assert named["stress/survival/untouched"] == pytest.approx([1, 1])
    assert named["stress/survival/edge"] == pytest.approx([0, 0])
    assert named["stress/survival/inside"] == pytest.approx([1, np.nan], nan_ok=True)
    assert named["stress/survival/all"] == pytest.approx([2 / 4, 1 / 3])
    drop = named["stress/clean/mAP50"] - named["stress/stressed/mAP50"]
    assert named["stress/drop/mAP50"] == pytest.approx(drop)
    assert not np.allclose(drop, 0)
    with pytest.raises(InputError, match="not those of the validation"):
        StressScorer(boxes, read_boxes(table({"a": (truths, [])})), np.array(shares))


def test_the_edge_crosses_a_box_between_its_bounds() -> None:
    assert places(np.array([0, 0.0499, 0.05, 0.95, 0.951, 1])).tolist() == [0, 0, 1, 1, 2, 2]


def test_boxes_are_looked_up_in_shares_of_their_own_image_s_sides() -> None:
    small, large = read_boxes(random_run(1)), read_boxes(random_run(1))
    sizes = [dict.fromkeys(small.images, (300.0, 300.0)), dict.fromkeys(small.images, (600.0, 150.0))]
    seen: list[str] = []

    def right_edge(name: str, boxes: np.ndarray) -> np.ndarray:
        seen.append(name)
        return boxes[:, 2]

    a, b = shade_shares([small, large], sizes, right_edge)
    assert a.truths == pytest.approx(small.truth_box[:, 2] / 300) and b.truths == pytest.approx(a.truths / 2)
    assert a.detections == pytest.approx(small.box[:, 2] / 300)
    assert seen == [name for name in small.images for _ in range(4)]  # one image after the other
