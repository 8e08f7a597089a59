"""TIDE's kinds of mistake, worked by hand, and never lost or counted twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frostline.analysis import ERRORS, DetectionTable, Predictions, PredictionSettings, read_boxes, tide_errors
from frostline.analysis.ap import mean_over_classes, precision_table, rank_matches
from frostline.analysis.matching import match_coco
from random_runs import random_run

SETTINGS = PredictionSettings(300, 0.001, 0.7, {0: "Car", 1: "Van"})


def test_each_kind_of_mistake_in_a_case_worked_by_hand() -> None:
    table = DetectionTable()
    spots = [(200.0 * i, 0.0, 200.0 * i + 100, 100.0) for i in range(6)]
    shifted = [(x1 + 50, y1, x2 + 50, y2) for x1, y1, x2, y2 in spots]  # IoU 1/3 with the truth
    found = [
        (0, spots[0], 0.95),  # right
        (0, spots[0], 0.90),  # duplicate
        (1, spots[1], 0.85),  # classification
        (0, shifted[2], 0.80),  # localisation
        (1, shifted[3], 0.75),  # both
        (0, (0.0, 500.0, 50.0, 550.0), 0.70),  # background
    ]
    table.add(
        "a", (1200, 600), truth_classes=[0] * 5 + [1], truth_boxes=spots,
        classes=[row[0] for row in found], boxes=[row[1] for row in found], scores=[row[2] for row in found],
    )  # fmt: skip
    errors = tide_errors(read_boxes(Predictions(table.frame, SETTINGS)))
    # Nothing finds truths 3, 4 and 5, and mending classification and localisation would not either.
    assert errors.counts == {
        "classification": 1, "localisation": 1, "both": 1, "duplicate": 1, "background": 1, "missed": 3,
    }  # fmt: skip
    # Of five cars one is found, at once: recall 0.2, so 21 of 101 recalls see precision 1; of one van none.
    before = 21 / 101 / 2
    # With the wrong class put right a second car is found, third in the ranking: recalls to 0.4 see 2/3.
    assert errors.gains["classification"] == pytest.approx((21 + 20 * 2 / 3) / 101 / 2 - before)
    # With the box put right it is found third of the cars' detections too.
    assert errors.gains["localisation"] == pytest.approx((21 + 20 * 2 / 3) / 101 / 2 - before)
    # Without the missed: three cars, of which one is found, recalls to 1/3; and no van is left to find.
    assert errors.gains["missed"] == pytest.approx(34 / 101 - before)
    assert errors.gains["background"] == errors.gains["duplicate"] == errors.gains["both"] == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 4))
def test_every_detection_is_right_or_one_mistake(seed: int, classes: int) -> None:
    boxes = read_boxes(random_run(seed, classes=classes))
    errors = tide_errors(boxes)
    matches = match_coco(boxes, 10_000)
    right = int((matches.outcome[0, :, 0] == 1).sum())
    assert right + sum(errors.counts[name] for name in ERRORS[:-1]) == len(boxes.image)
    assert errors.counts["missed"] <= len(boxes.truth_image) - right
    ones = np.ones((1, len(boxes.images)), np.int32)
    ap = precision_table(rank_matches(matches)).ap[:, 0, :, 0]
    plain = precision_table(errors.rankings[""], ones).ap[:, 0, :, 0]
    np.testing.assert_allclose(mean_over_classes(plain), mean_over_classes(ap), atol=1e-12)
    for name in ("both", "duplicate", "background"):
        gain = errors.gains[name]
        assert gain is None or gain >= -1e-12
