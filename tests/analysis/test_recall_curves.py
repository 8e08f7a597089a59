from __future__ import annotations

import numpy as np
import pytest

from frostline.analysis import match_coco, precision_table, rank_matches, read_boxes
from frostline.analysis.coco import _precision
from frostline.analysis.recall_curves import crossings, recall_curves
from random_runs import random_run

RECALL = np.linspace(0, 1, 101)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_curves_are_those_of_cocos_own_evaluation(seed: int, iou: float) -> None:
    run = random_run(seed, images=12, classes=4)
    curves = recall_curves(match_coco(read_boxes(run), 300), iou)
    expected = _precision(run.frame, run.settings.names, 300)[round((iou - 0.5) / 0.05), :, :, 0].T
    assert np.allclose(np.nan_to_num(curves.precision, nan=-1), expected, rtol=0, atol=1e-12)


def test_the_mean_of_a_curve_is_the_average_precision() -> None:
    matches = match_coco(read_boxes(random_run(3, images=20)), 300)
    curves, table = recall_curves(matches), precision_table(rank_matches(matches))
    assert curves.precision.mean(axis=1) == pytest.approx(table.ap[0, 0, :, 0])
    assert curves.mean.mean() == pytest.approx(float(np.nanmean(table.ap[0, 0, :, 0])))


def test_a_class_without_objects_has_no_curve_and_does_not_count() -> None:
    matches = match_coco(read_boxes(random_run(1, images=4, classes=3, most=1)), 300)
    curves = recall_curves(matches)
    bare = curves.truths == 0
    assert bare.any() and not bare.all()
    assert np.isnan(curves.precision[bare]).all() and np.isfinite(curves.mean).all()


def test_a_crossing_is_where_the_lines_meet() -> None:
    falling, level = 1 - RECALL, np.full(101, 0.355)
    side, found = crossings(RECALL, falling, level)
    assert side == "above"
    assert [(c.side, round(c.recall, 6), round(c.lead, 6)) for c in found] == [("below", 0.645, -0.355)]


def test_the_lead_is_the_largest_up_to_the_next_crossing() -> None:
    wave = 0.5 + 0.2 * np.sin(3 * np.pi * RECALL)
    side, found = crossings(RECALL, wave, np.full(101, 0.5))
    assert side == "above" and [c.side for c in found] == ["below", "above"]
    assert [c.recall for c in found] == pytest.approx([1 / 3, 2 / 3], abs=0.01)
    assert [c.lead for c in found] == pytest.approx([-0.2, 0.2], abs=0.001)


def test_small_leads_to_and_fro_are_no_crossings() -> None:
    rng = np.random.default_rng(0)
    other = np.full(101, 0.5)
    assert crossings(RECALL, other + rng.uniform(-0.009, 0.009, 101), other) == (None, [])
    step = np.where(RECALL < 0.4, 0.1, -0.1)
    step[30:50] = rng.uniform(-0.009, 0.009, 20)
    side, found = crossings(RECALL, other + step, other)
    assert side == "above" and [c.side for c in found] == ["below"]
    assert 0.29 <= found[0].recall <= 0.5


def test_a_curve_never_crosses_itself() -> None:
    curve = np.random.default_rng(2).random(101)
    assert crossings(RECALL, curve, curve) == (None, [])
