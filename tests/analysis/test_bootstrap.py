"""Intervals: equal to scipy's where the definitions are, paired, honest about seeds; and they cover."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from frostline.analysis import (
    RunScorer,
    compare_to_baseline,
    difference_spread,
    equivalence,
    estimate_arm,
    estimate_difference,
    interval,
    p_value,
    probability_best,
    resample,
    work_of,
)
from frostline.analysis.bootstrap import Group, arm_groups, image_weights, spread
from frostline.analysis.matching import match_coco, read_boxes
from frostline.errors import InputError
from random_runs import random_run


class MeanScorer:
    """The metric `mean` of one number an image: its interval can be had elsewhere."""

    metrics = ("mean",)

    def __init__(self, values: NDArray[np.float64], names: str = "image") -> None:
        self.values = np.asarray(values, dtype=np.float64)
        self.images = tuple(f"{names}{index}" for index in range(len(self.values)))

    def __call__(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        return (weights @ self.values / weights.sum(axis=1))[:, None]


def means(arms: dict[str, list[NDArray[np.float64]]]) -> dict[str, dict[int | None, MeanScorer]]:
    return {arm: {seed: MeanScorer(run) for seed, run in enumerate(runs)} for arm, runs in arms.items()}


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_one_seed_gives_the_intervals_of_scipy(method: str) -> None:
    values = np.random.default_rng(3).exponential(size=60) ** 2
    found = resample(means({"a": [values]}), draws=6000)
    ours = estimate_arm(found, "mean", "a", method=method)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=6000, method="BCa" if method == "bca" else method, rng=np.random.default_rng(0)
    )
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.06 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.06 * width)
    assert ours.image_error == pytest.approx(theirs.standard_error, rel=0.05)
    assert ours.seed_error is None and any("one seed" in caution for caution in ours.cautions)
    # The skew of exponential values moves BCa upwards, so the two methods are told apart here.
    other = interval(spread(arm_groups(found, "mean", "a")), method="percentile")
    assert (ours.high > other[1] + 0.05 * width) == (method == "bca")


def test_many_images_and_few_seeds_give_students_interval() -> None:
    # Every image alike, so that only seeds are left to chance.
    levels = np.array([0.50, 0.53, 0.47, 0.52])
    found = resample(means({"a": [np.full(20, level) for level in levels]}), draws=20_000)
    ours = estimate_arm(found, "mean", "a")
    low, high = stats.t.interval(0.95, 3, levels.mean(), stats.sem(levels))
    assert ours.low == pytest.approx(low, abs=0.002) and ours.high == pytest.approx(high, abs=0.002)
    assert ours.seed_error == pytest.approx(stats.sem(levels)) and ours.image_error == pytest.approx(0, abs=1e-9)


def test_what_a_seed_does_on_single_images_counts_once() -> None:
    # Nothing but noise of single runs on single images: the variance between seeds holds all of it already.
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(40):
        runs = rng.normal(size=(5, 100))
        found = spread(arm_groups(resample(means({"a": list(runs)}), draws=200, jackknife=False), "mean", "a"))
        assert found.seed_error is not None
        ratios.append((found.image_error**2 + found.seed_error**2) * 500)
    assert 0.85 < np.mean(ratios) < 1.4  # 2 if it counted twice, 3 if seeds were drawn within draws of images


def test_differences_are_paired_by_image_and_seed() -> None:
    rng = np.random.default_rng(1)
    hard, seeds = rng.normal(size=80), rng.normal(size=4)
    base = [hard + seed for seed in seeds]
    better = [run + 0.02 for run in base]
    found = resample(means({"baseline": base, "arm": better}), draws=300)
    difference = estimate_difference(found, "mean", "arm", "baseline")
    assert (difference.low, difference.high) == (pytest.approx(0.02), pytest.approx(0.02))
    assert estimate_arm(found, "mean", "arm").high - estimate_arm(found, "mean", "arm").low > 0.5
    # Other seeds are no pairs: the spread over seeds stays in.
    apart = {"baseline": dict(enumerate(map(MeanScorer, base))), "arm": dict(enumerate(map(MeanScorer, better), 10))}
    unpaired = estimate_difference(resample(apart, draws=300), "mean", "arm", "baseline")
    assert unpaired.high - unpaired.low > 0.5


def test_a_p_value_is_where_the_interval_meets_zero() -> None:
    rng = np.random.default_rng(2)
    for method in ("percentile", "bca"):
        found = resample(means({"a": [rng.normal(0.2, 1, 60)]}), draws=4000)
        part = spread(arm_groups(found, "mean", "a"))
        p = p_value(part, method=method)
        assert 0.001 < p < 0.999
        ends = interval(part, 1 - p, method)
        assert min(abs(end) for end in ends) < 0.03 * (ends[1] - ends[0])


def test_the_best_arm_is_known_by_its_differences_and_equals_share() -> None:
    rng = np.random.default_rng(4)
    hard = rng.normal(size=50)
    arms = {"a": [hard, hard], "b": [hard + 0.1, hard + 0.1], "c": [hard, hard]}
    found = resample(means(arms), draws=200)
    assert probability_best(found, "mean") == {"a": 0.0, "b": 1.0, "c": 0.0}
    worst = probability_best(found, "mean", higher_is_better=False)
    assert worst == {"a": pytest.approx(0.5), "b": 0.0, "c": pytest.approx(0.5)}
    compared = compare_to_baseline(found, "mean", "a")
    assert list(compared) == ["b", "c"] and compared["c"][1] == 1.0 and compared["b"][1] == 2 * compared["b"][0].p_value


def test_no_difference_can_be_found_and_not_just_missed() -> None:
    rng = np.random.default_rng(5)
    hard = rng.normal(size=200)
    same = {"a": [hard + rng.normal(0, 0.02, 200) for _ in range(4)], "b": [hard for _ in range(4)]}
    assert equivalence(difference_spread(resample(means(same), draws=400), "mean", "a", "b")).equivalent
    noisy = {"a": [hard + rng.normal(0, 1.0, 200) for _ in range(4)], "b": [hard for _ in range(4)]}
    assert not equivalence(difference_spread(resample(means(noisy), draws=400), "mean", "a", "b")).equivalent
    apart = {"a": [hard + 0.03] * 2, "b": [hard] * 2}
    assert not equivalence(difference_spread(resample(means(apart), draws=50), "mean", "a", "b")).equivalent


def test_runs_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="validated on other images: image0"):
        resample({"a": {0: MeanScorer(np.ones(3))}, "b": {0: MeanScorer(np.ones(3), "other")}})
    with pytest.raises(InputError, match="without runs"):
        resample({"a": {}})
    found = resample(means({"a": [np.arange(3.0)]}), draws=5)
    with pytest.raises(InputError, match=r"unknown metric 'meen'.*mean"):
        estimate_arm(found, "meen", "a")
    with pytest.raises(InputError, match="unknown arm 'b'"):
        estimate_difference(found, "mean", "a", "b")


def test_a_real_scorer_gives_every_metric_and_the_same_numbers_on_any_cores() -> None:
    scorer = RunScorer(random_run(5, images=12))
    steps: list[int] = []
    found = resample({"a": {0: scorer}, "b": {0: RunScorer(random_run(5, images=12))}}, draws=30, advance=steps.append)
    assert sum(steps) == work_of(2, 12, 30)
    assert found.arms["a"].draws.shape == (30, 1, len(scorer.metrics)) == found.arms["b"].draws.shape
    np.testing.assert_array_equal(found.arms["a"].draws, found.arms["b"].draws)
    weights = image_weights(12, 30, 0)
    one_by_one = np.concatenate([scorer(row[None]) for row in weights])
    np.testing.assert_allclose(found.arms["a"].draws[:, 0], one_by_one, atol=1e-12)
    values = dict(zip(scorer.metrics, scorer(np.ones((1, 12), np.int32))[0], strict=True))
    assert values["ultralytics/mAP50-95"] != values["coco/mAP50-95"]
    boxes = read_boxes(random_run(5, images=12))
    hits = (match_coco(boxes, 300).outcome[0, :, 0] == 1).sum()
    mistakes = sum(values[f"tide/count/{kind}"] for kind in ("classification", "localisation", "both", "duplicate"))
    assert 12 * (mistakes + values["tide/count/background"]) == pytest.approx(len(boxes.image) - hits)


@pytest.mark.parametrize("seed_spread", [0.0, 0.3])
def test_nominal_95_percent_intervals_cover(seed_spread: float) -> None:
    # Means in place of AP, so that 400 studies take a second; benchmarks/interval_coverage.py does the same with AP.
    rng = np.random.default_rng(11)
    held = 0
    for study in range(400):
        runs = rng.normal(size=(1, 60)) * 0.5 + rng.normal(size=(5, 60)) + seed_spread * rng.normal(size=(5, 1))
        weights = image_weights(60, 300, study)
        group = Group(1.0, 0, runs.mean(axis=1), weights @ runs.T / 60, np.zeros((0, 5)))
        low, high = interval(spread([group], study))
        held += low <= 0 <= high
    assert 0.92 < held / 400 < 0.985
