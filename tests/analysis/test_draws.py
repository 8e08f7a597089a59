"""Draws side by side give what one draw at a time gives, by definitions written out in NumPy and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from frostline.analysis import match_coco, match_ultralytics, precision_table, rank_matches, read_boxes
from frostline.analysis.ap import RECALLS
from frostline.analysis.blocks import in_blocks
from frostline.analysis.confidence import CONFIDENCES, best_f1_table
from frostline.analysis.matching import IGNORED, TRUE, Matches
from random_runs import random_run

Values = NDArray[np.float64]


@pytest.mark.parametrize("seed", range(12))
def test_every_draw_is_what_the_definitions_give(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = read_boxes(random_run(seed, images=int(rng.integers(1, 25)), classes=1 + seed % 4))
    # Not a multiple of the block; some draws leave out most images, and one leaves out all.
    weights = rng.poisson(rng.choice([0.3, 1.0, 3.0], 37)[:, None], (37, len(boxes.images)))
    weights[-1] = 0
    for matches in (match_coco(boxes, 300), match_ultralytics(boxes)):
        table = precision_table(rank_matches(matches), weights)
        for r, weight in enumerate(weights):
            expected = np.array(
                [
                    [[_precision(matches, weight, a, k, t) for t in range(10)] for k in range(len(boxes.names))]
                    for a in range(len(matches.areas))
                ]
            )
            np.testing.assert_allclose(table.ap[r], expected[..., 0], rtol=0, atol=1e-12)
            np.testing.assert_allclose(table.at_recall[r], expected[..., 1], rtol=0, atol=1e-12)
    found = best_f1_table(matches, weights)
    np.testing.assert_allclose(found, [_best_f1(matches, weight) for weight in weights], rtol=0, atol=1e-12)


def _precision(matches: Matches, weight: NDArray[np.int64], area: int, k: int, t: int) -> tuple[float, float]:
    """AP, and the precision at recall 0.6, over the detections written out as often as their image was drawn."""
    total = int(matches.truths[area, k] @ weight)
    if total == 0:
        return np.nan, np.nan
    rows = np.flatnonzero(matches.boxes.klass == k)
    rows = np.repeat(rows, weight[matches.boxes.image[rows]])
    outcome, inside = matches.outcome[area, rows, t], matches.in_area[area, rows]
    counted = (outcome == TRUE) | (inside & (outcome != IGNORED))
    hit = outcome[counted] == TRUE
    hits = np.cumsum(hit)
    recall, precision = hits / total, hits / np.arange(1, len(hits) + 1)
    if not len(hits):
        return 0.0, 0.0
    if matches.source == "coco":
        envelope = np.array([precision[recall >= level].max(initial=0) for level in RECALLS])
        return float(envelope.mean()), float(envelope[60])
    steps = np.concatenate([[0.0], recall, [recall[-1]], [1.0]])
    heights = np.concatenate([[1.0], precision, [0.0], [0.0]])
    heights = np.maximum.accumulate(heights[::-1])[::-1]
    values = np.interp(RECALLS, steps, heights)
    return float(np.trapezoid(values, RECALLS)), float(precision[recall > RECALLS[60]].max(initial=0))


def _best_f1(matches: Matches, weight: NDArray[np.int64]) -> tuple[float, float, float]:
    precision, recall = [], []
    for k, truths in enumerate(matches.truths[0]):
        total = int(truths @ weight)
        if total == 0:
            continue
        rows = np.flatnonzero(matches.boxes.klass == k)
        rows = np.repeat(rows, weight[matches.boxes.image[rows]])
        hits = np.cumsum(matches.outcome[0, rows, 0] == TRUE)
        score = matches.boxes.score[rows].astype(np.float64)
        if not len(rows):
            precision.append(np.zeros(1000))
            recall.append(np.zeros(1000))
            continue
        precision.append(np.interp(-CONFIDENCES, -score, hits / np.arange(1, len(rows) + 1), left=1))
        recall.append(np.interp(-CONFIDENCES, -score, hits / total, left=0))
    if not precision:
        return np.nan, np.nan, np.nan
    p, r = np.array(precision), np.array(recall)
    f1 = 2 * p * r / (p + r + 1e-16)
    mean = f1.mean(axis=0)
    padded = np.concatenate([np.full(50, mean[0]), mean, np.full(50, mean[-1])])
    best = int(np.convolve(padded, np.ones(101) / 101, mode="valid").argmax())
    return float(p[:, best].mean()), float(r[:, best].mean()), float(f1[:, best].mean())


def test_draws_of_one_image_skip_more_detections_than_a_byte_counts() -> None:
    boxes = read_boxes(random_run(3, images=60, classes=2, detections=60))
    assert len(boxes.image) > 4 * 255
    weights = np.zeros((19, len(boxes.images)), np.int64)
    weights[np.arange(18), np.arange(18) % len(boxes.images)] = 255  # one image, as often as a byte holds
    weights[-1] = 1
    matches = match_ultralytics(boxes)
    table = precision_table(rank_matches(matches), weights)
    for r, weight in enumerate(weights):
        expected = [[_precision(matches, weight, 0, k, t)[0] for t in range(10)] for k in range(len(boxes.names))]
        np.testing.assert_allclose(table.ap[r, 0], expected, rtol=0, atol=1e-12)
    found = best_f1_table(matches, weights)
    np.testing.assert_allclose(found, [_best_f1(matches, weight) for weight in weights], rtol=0, atol=1e-12)


@pytest.mark.parametrize("weight", [-1, 256])
def test_weights_that_no_byte_holds_are_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="0 to 255 times"):
        in_blocks(np.array([[1, weight]]))
