from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frostline.analysis import (
    IOUS,
    Matches,
    Predictions,
    RunFolder,
    RunScorer,
    match_coco,
    match_ultralytics,
    read_boxes,
)
from frostline.analysis.pairing import found_truths
from frostline.report.sampling import MOST_FALSE, NO_BEST, Counts, Detector, common_seeds, rank_images
from random_runs import random_run
from sample_runs import LEFT, LOW, RIGHT, Found, predictions

CAR, PERSON = 0, 1
EMPTY = (80.0, 60.0, 95.0, 75.0)


def detector(found: Predictions, threshold: float = 0.25) -> Detector:
    run = RunFolder(Path("nowhere"), "arm", 0)
    return Detector("arm", 0, run, RunScorer(found).ultralytics, threshold)


def three_arms() -> list[Detector]:
    truths = [(CAR, LEFT), (CAR, RIGHT)]
    left, right = (CAR, LEFT, 0.9), (CAR, RIGHT, 0.8)
    wrong: list[Found] = [(CAR, (80, y, 95, y + 9), 0.5) for y in (10, 30, 50)]
    weak = (CAR, EMPTY, 0.2)
    found = {
        "calm.png": ([left, right], [left, right], [left, right, weak]),
        "noisy.png": ([left], [left, *wrong[:1]], [left, *wrong]),
        "swapped.png": ([left], [right], [left, weak]),
        "split.png": ([left, right], [left], []),
    }
    return [detector(predictions({name: (truths, rows[arm]) for name, rows in found.items()})) for arm in range(3)]


def test_the_image_on_which_most_pairs_of_arms_disagree_comes_first() -> None:
    arms = three_arms()
    names = arms[0].boxes.images
    ranked = [(names[index], value) for index, value in rank_images(arms)]
    # noisy: 0, 1 and 3 false positives differ by 1, 3 and 2. split: one truth parts two pairs of arms, and so does the
    # other. swapped: equal numbers, yet other truths: two pairs differ by two each; a tie, by name.
    assert ranked == [("noisy.png", 2.0), ("split.png", pytest.approx(4 / 3)), ("swapped.png", pytest.approx(4 / 3)),
                      ("calm.png", 0.0)]  # fmt: skip


def test_an_arm_alone_is_shown_where_it_is_wrong_most() -> None:
    last = three_arms()[2]
    names = last.boxes.images
    ranked = {names[index]: value for index, value in rank_images([last])}
    assert ranked == {"calm.png": 0, "noisy.png": 4, "split.png": 2, "swapped.png": 1}
    assert next(iter(ranked)) == "noisy.png"


def test_each_box_is_a_true_positive_a_false_one_or_a_miss() -> None:
    truths = [(CAR, LEFT), (CAR, RIGHT), (PERSON, LOW)]
    found = [
        (CAR, LEFT, 0.9),
        (CAR, (11.0, 10.0, 31.0, 30.0), 0.8),  # a second one of the same car
        (CAR, (50.0, 10.0, 62.0, 30.0), 0.7),  # 12 of 20 pixels wide: IoU 0.6
        (PERSON, (10.0, 50.0, 20.0, 58.0), 0.6),  # 8 of 20 pixels high: IoU 0.4
        (PERSON, RIGHT, 0.5),  # another class
        (PERSON, LOW, 0.2),  # below the threshold
    ]
    arm = detector(predictions({"a.png": (truths, found)}))
    marks = {(mark.kind, mark.label, mark.box) for mark in arm.marks(0, (100, 80))}
    assert marks == {
        ("hit", "Car 0.90", (0.1, 0.125, 0.3, 0.375)),
        ("false", "Car 0.80", (0.11, 0.125, 0.31, 0.375)),
        ("hit", "Car 0.70", (0.5, 0.125, 0.62, 0.375)),
        ("false", "Person 0.60", (0.1, 0.625, 0.2, 0.725)),
        ("false", "Person 0.50", (0.5, 0.125, 0.7, 0.375)),
        ("miss", "Person", (0.1, 0.625, 0.2, 0.875)),
    }
    assert arm.counts(0) == Counts(hits=2, false=3, misses=1)
    assert [mark.kind for mark in arm.truths(0, (100, 80))] == ["truth"] * 3


def test_two_detections_near_two_truths_find_one_each() -> None:
    # Both lie nearest the first truth; the surer takes it, and the other finds the second at IoU 17 / 23.
    truths = [(CAR, (10.0, 10.0, 30.0, 30.0)), (CAR, (14.0, 10.0, 34.0, 30.0))]
    found = [(CAR, (10.0, 10.0, 30.0, 30.0), 0.9), (CAR, (11.0, 10.0, 31.0, 30.0), 0.8)]
    arm = detector(predictions({"a.png": (truths, found)}))
    assert sorted(arm.found) == [0, 1]
    assert [mark.kind for mark in arm.marks(0, (100, 80))] == ["hit", "hit"]


def test_only_the_surest_false_positives_of_many_are_drawn_and_all_are_counted() -> None:
    wrong = [(CAR, (float(x), 40.0, float(x) + 5, 45.0), 0.3 + x / 200) for x in range(90)]
    arm = detector(predictions({"a.png": ([(CAR, LEFT)], wrong)}))
    drawn = [mark for mark in arm.marks(0, (100, 80)) if mark.kind == "false"]
    assert len(drawn) == MOST_FALSE
    assert min(mark.score or 0 for mark in drawn) == pytest.approx(0.3 + 30 / 200)
    assert arm.counts(0) == Counts(0, 90, 1)


@pytest.mark.parametrize("rules", ["coco", "ultralytics"])
@pytest.mark.parametrize("seed", range(4))
def test_every_true_positive_has_a_truth_of_its_own(rules: str, seed: int) -> None:
    boxes = read_boxes(random_run(seed, images=20))
    matches: Matches = match_coco(boxes, 100) if rules == "coco" else match_ultralytics(boxes)
    boxes, truth = matches.boxes, found_truths(matches)
    hit = matches.outcome[0, :, 0] == 1
    assert hit.sum() > 20
    assert ((truth >= 0) == hit).all()
    assert len(set(truth[hit])) == hit.sum()
    assert (boxes.truth_image[truth[hit]] == boxes.image[hit]).all()
    assert (boxes.truth_class[truth[hit]] == boxes.klass[hit]).all()
    mine = (boxes.box if rules == "coco" else boxes.whole_box)[hit]
    theirs = boxes.truth_box[truth[hit]]
    sides = np.maximum(np.minimum(mine[:, 2:], theirs[:, 2:]) - np.maximum(mine[:, :2], theirs[:, :2]), 0)
    inside = sides.prod(axis=1)
    union = (mine[:, 2:] - mine[:, :2]).prod(axis=1) + (theirs[:, 2:] - theirs[:, :2]).prod(axis=1) - inside
    assert (inside / union >= IOUS[0] - 1e-6).all()


def test_an_arm_that_finds_nothing_at_any_confidence_does_not_show_all_its_noise() -> None:
    noise = predictions({"a.png": ([(CAR, LEFT)], [(CAR, EMPTY, 0.01)])})
    run = RunFolder(Path("nowhere"), "arm", 0)
    arm = Detector.of("arm", 0, run, RunScorer(noise))
    assert arm.threshold == NO_BEST
    assert arm.counts(0) == Counts(0, 0, 1)


def test_arms_are_drawn_with_the_lowest_seed_that_all_have() -> None:
    scorer = RunScorer(predictions({"a.png": ([], [])}))
    assert common_seeds({"a": {0: scorer, 2: scorer, 3: scorer}, "b": {3: scorer, 2: scorer}}) == {"a": 2, "b": 2}
    assert common_seeds({"a": {0: scorer}, "b": {4: scorer, 3: scorer}}) == {"a": 0, "b": 3}
    assert common_seeds({"a": {None: scorer}, "b": {None: scorer, 1: scorer}}) == {"a": None, "b": None}
