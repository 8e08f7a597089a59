from __future__ import annotations

import logging

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from frostline.analysis import CocoMetrics, DetectionTable, evaluate_coco
from frostline.errors import InputError

Boxes = list[tuple[float, float, float, float]]


def one_image(truths: Boxes, boxes: Boxes, scores: list[float]) -> pl.DataFrame:
    table = DetectionTable()
    table.add(
        "a",
        (640, 640),
        truth_classes=[0] * len(truths),
        truth_boxes=truths,
        classes=[0] * len(boxes),
        boxes=boxes,
        scores=scores,
    )
    return table.frame


def test_a_case_worked_by_hand() -> None:
    # Two objects of 100 x 100 pixels. By falling score: a hit, a false alarm, a hit. Precision is 1 up to recall 0.5,
    # then 2/3 up to recall 1: of the 101 recalls 0.00 to 1.00, 51 see 1 and 50 see 2/3.
    truths = [(0, 0, 100, 100), (200, 200, 300, 300)]
    boxes = [(0, 0, 100, 100), (400, 400, 500, 500), (200, 200, 300, 300)]
    metrics = evaluate_coco(one_image(truths, boxes, [0.9, 0.8, 0.7]), {0: "Car", 1: "Van"}, 100)
    expected = (51 + 50 * 2 / 3) / 101
    for value in (metrics.map50, metrics.map75, metrics.map50_95, metrics.ap_large):
        assert value == pytest.approx(expected, abs=1e-12)
    assert metrics.ap_small is None
    assert metrics.ap_medium is None
    assert metrics.ap50_per_class == {0: pytest.approx(expected), 1: None}
    assert metrics.ap_per_class == {0: pytest.approx(expected), 1: None}


@pytest.mark.parametrize(("rows", "passed"), [(52, 1), (72, 5), (76, 6), (100, 10)])
def test_iou_thresholds_are_those_of_coco(rows: int, passed: int) -> None:
    # The detection covers so many of 100 rows: IoU 0.72 passes 0.50, 0.55, 0.60, 0.65, 0.70 and fails the other five.
    metrics = evaluate_coco(one_image([(0, 0, 100, 100)], [(0, 0, 100, rows)], [0.5]), {0: "Car"}, 100)
    assert (metrics.map50, metrics.map75) == (1.0, 1.0 if rows > 75 else 0.0)
    assert metrics.map50_95 == pytest.approx(passed / 10)
    below = evaluate_coco(one_image([(0, 0, 100, 100)], [(0, 0, 100, 48)], [0.5]), {0: "Car"}, 100)
    assert below.map50 == 0.0


@pytest.mark.parametrize(
    ("side", "kind"), [(31, "small"), (33, "medium"), (95, "medium"), (97, "large"), (32, "small and medium")]
)
def test_objects_are_sorted_by_their_box_area_in_pixels(side: float, kind: str) -> None:
    box = (0.0, 0.0, side, side)
    metrics = evaluate_coco(one_image([box], [box], [0.5]), {0: "Car"}, 100)
    for name in ("small", "medium", "large"):
        assert getattr(metrics, f"ap_{name}") == (1.0 if name in kind else None), name


def test_max_det_counts_the_best_detections_of_a_class_in_an_image() -> None:
    truth = (0.0, 0.0, 50.0, 50.0)
    elsewhere: Boxes = [(100.0 + 60 * i, 0.0, 150.0 + 60 * i, 50.0) for i in range(4)]
    frame = one_image([truth], [*elsewhere, truth], [0.9, 0.8, 0.7, 0.6, 0.5])
    assert evaluate_coco(frame, {0: "Car"}, 5).map50 == pytest.approx(1 / 5)
    assert evaluate_coco(frame, {0: "Car"}, 4).map50 == 0.0


def test_without_ground_truth_there_is_no_number_and_without_detections_it_is_zero() -> None:
    nothing = evaluate_coco(one_image([], [(0, 0, 9, 9)], [0.5]), {0: "Car"}, 100)
    assert nothing == CocoMetrics(None, None, None, None, None, None, {0: None}, {0: None})
    assert evaluate_coco(DetectionTable().frame, {}, 100).map50 is None
    missed = evaluate_coco(one_image([(0, 0, 9, 9)], [], []), {0: "Car", 3: "Van"}, 100)
    assert (missed.map50, missed.ap_small, missed.ap_large) == (0.0, 0.0, None)
    assert missed.ap50_per_class == {0: 0.0, 3: None}


def test_a_class_without_a_name_is_an_error_that_names_it() -> None:
    with pytest.raises(InputError, match=r"class ids \[0\] have no name"):
        evaluate_coco(one_image([(0, 0, 9, 9)], [], []), {1: "Car"}, 100)
    with pytest.raises(InputError, match="max_det is 0"):
        evaluate_coco(one_image([(0, 0, 9, 9)], [], []), {0: "Car"}, 0)


def test_it_says_nothing(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        evaluate_coco(one_image([(0, 0, 9, 9)], [(0, 0, 9, 9)], [0.5]), {0: "Car"}, 100)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("seed", range(4))
def test_random_scenes_agree_with_a_second_implementation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = {0: "Car", 2: "Pedestrian", 5: "Never there"}
    frame = random_scenes(rng, images=12, classes=[0, 2])
    for max_det in (3, 300):
        metrics = evaluate_coco(frame, names, max_det)
        reference = {(key, area): reference_ap(frame, key, area, max_det) for key in (0, 2) for area in ("all", *AREAS)}
        for key in (0, 2):
            assert metrics.ap_per_class[key] == pytest.approx(np.mean(reference[key, "all"]), abs=1e-9)
            assert metrics.ap50_per_class[key] == pytest.approx(reference[key, "all"][0], abs=1e-9)
        assert metrics.ap50_per_class[5] is None
        mean = np.mean([reference[key, "all"] for key in (0, 2)], axis=0)
        assert metrics.map50_95 == pytest.approx(mean.mean(), abs=1e-9)
        assert metrics.map75 == pytest.approx(mean[5], abs=1e-9)
        for area in AREAS:
            found = [reference[key, area] for key in (0, 2) if reference[key, area] is not None]
            value = getattr(metrics, f"ap_{area}")
            assert value == (pytest.approx(np.mean(found), abs=1e-9) if found else None), area


def random_scenes(rng: np.random.Generator, images: int, classes: list[int]) -> pl.DataFrame:
    """Scenes with objects of all sizes, and detections that hit them more or less, twice, or nothing at all."""
    table = DetectionTable()
    for image in range(images):
        count = int(rng.integers(0, 8))
        sides = np.exp(rng.uniform(np.log(8), np.log(200), (count, 2)))
        corners = rng.uniform(0, 400, (count, 2))
        truths = np.hstack([corners, corners + sides])
        truth_classes = rng.choice(classes, count)
        hits = rng.integers(0, count, 2 * count) if count else np.zeros(0, dtype=int)
        moved = truths[hits] + rng.normal(0, 0.12, (len(hits), 4)) * np.tile(sides[hits], 2)
        noise = rng.uniform(0, 400, (3, 2))
        boxes = np.vstack([moved, np.hstack([noise, noise + rng.uniform(5, 150, (3, 2))])])
        labels = np.concatenate([truth_classes[hits], rng.choice(classes, 3)])
        # No two equal scores: COCO leaves the order of equals across images to the sort.
        scores = rng.permutation(len(boxes)) / 100 + image * 1e-4 + 0.01
        table.add(
            f"{image}.png",
            (640, 480),
            truth_classes=truth_classes,
            truth_boxes=truths,
            classes=labels,
            boxes=boxes,
            scores=scores,
        )
    return table.frame


AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


def reference_ap(frame: pl.DataFrame, class_id: int, area: str, max_det: int) -> NDArray[np.float64] | None:
    """AP at the ten IoU thresholds, by loops, from the published description of COCO's evaluation."""
    low, high = AREAS.get(area, (0.0, 1e10))
    thresholds = np.linspace(0.5, 0.95, 10)
    rows: list[tuple[float, NDArray[np.int64]]] = []  # per detection: score, and 1 hit, 0 false alarm, -1 not counted
    objects = 0
    for (_,), scene in frame.filter(pl.col("class_id") == class_id).group_by(["image"], maintain_order=True):
        truths = boxes_of(scene.filter(pl.col("kind") == "truth"))
        found = scene.filter(pl.col("kind") == "prediction").sort("score", descending=True).head(max_det)
        sized = [low <= size(box) <= high for box in truths]
        objects += sum(sized)
        outcomes = np.zeros((found.height, len(thresholds)), dtype=np.int64)
        for t, threshold in enumerate(thresholds):
            taken: set[int] = set()
            for d, box in enumerate(boxes_of(found)):
                match = best_match(box, truths, sized, taken, threshold)
                if match is not None:
                    taken.add(match)
                    outcomes[d, t] = 1 if sized[match] else -1
                elif not low <= size(box) <= high:
                    outcomes[d, t] = -1
        rows += list(zip(found.get_column("score").to_list(), outcomes, strict=True))
    if not objects:
        return None
    outcomes = np.array([outcome for _, outcome in sorted(rows, key=lambda row: -row[0])])
    return np.array([interpolated(outcomes[:, t], objects) for t in range(len(thresholds))])


def interpolated(outcomes: NDArray[np.int64], objects: int) -> float:
    counted = outcomes[outcomes >= 0]
    hits = np.cumsum(counted)
    recall, precision = hits / objects, hits / np.arange(1, len(counted) + 1)
    best = [precision[recall >= level].max(initial=0.0) for level in np.linspace(0, 1, 101)]
    return float(np.mean(best))


def best_match(
    box: NDArray[np.float64],
    truths: NDArray[np.float64],
    sized: list[bool],
    taken: set[int],
    threshold: float,
) -> int | None:
    """The free object with the highest IoU; one of the wanted size comes before any other."""
    for wanted in (True, False):
        free = [i for i in range(len(truths)) if i not in taken and sized[i] is wanted]
        overlaps = {i: overlap(box, truths[i]) for i in free}
        best = max(overlaps, key=lambda i: overlaps[i], default=None)
        if best is not None and overlaps[best] >= threshold:
            return best
    return None


def boxes_of(rows: pl.DataFrame) -> NDArray[np.float64]:
    return rows.select("x1", "y1", "x2", "y2").to_numpy().astype(np.float64)


def size(box: NDArray[np.float64]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (size(one) + size(other) - shared)
