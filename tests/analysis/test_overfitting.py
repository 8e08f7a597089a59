"""The gap between training and validation images: its interval holds the truth, and the images are drawn apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from frostline.analysis import RunFolder, RunScorer, find_runs, resample, seed_mean, write_predictions
from frostline.analysis.bootstrap import spread
from frostline.analysis.evidence import gather
from frostline.analysis.overfitting import (
    GAP_METRIC,
    TRAIN_PREDICTIONS,
    GapScorer,
    _gap,
    gap_frame,
    overfitting_gap,
    resample_train,
)
from random_runs import random_run
from run_folders import our_run


class Means:
    """A metric that is the mean of one value an image, so that its errors are known."""

    metrics = (GAP_METRIC,)

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.images = tuple(f"{index:04d}" for index in range(len(values)))

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        return (weights @ self.values / weights.sum(axis=1))[:, None]


def test_the_images_of_the_two_splits_are_drawn_apart_although_their_seed_is_the_same() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    train, val = (resample({"a": {0: Means(values)}}, draws=4000) for _ in range(2))
    found = overfitting_gap(train, val, "a")
    assert found.value == 0
    assert found.image_error == pytest.approx(np.sqrt(2 * values.var() / 400), rel=0.05)
    assert found.high - found.low == pytest.approx(2 * 1.96 * found.image_error, rel=0.06)
    assert found.seed_error is None and any("one seed" in caution for caution in found.cautions)


def test_fewer_draws_of_training_images_serve_all_draws_of_validation_images() -> None:
    rng = np.random.default_rng(1)
    train = resample({"a": {0: Means(rng.normal(1, 1, 300))}}, draws=300)
    val = resample({"a": {0: Means(rng.normal(0, 2, 300))}}, draws=3000)
    found = overfitting_gap(train, val, "a")
    assert found.image_error == pytest.approx(np.sqrt((1 + 4) / 300), rel=0.12)


def test_seeds_are_taken_off_one_by_one() -> None:
    """A seed that is 10 better on both splits says nothing about the gap."""
    rng = np.random.default_rng(2)
    seen, held = rng.normal(1, 0.1, 100), rng.normal(0, 0.1, 80)
    train = resample({"a": {seed: Means(seen + 10 * seed) for seed in (0, 1, 2)}}, draws=200)
    val = resample({"a": {seed: Means(held + 10 * seed) for seed in (2, 0, 1, 7)}}, draws=200)
    found = overfitting_gap(train, val, "a")
    assert found.value == pytest.approx(seen.mean() - held.mean())
    assert found.seed_error == pytest.approx(0, abs=1e-9) and found.seeds == 3 and found.images == 80


def test_bca_knows_the_skew_of_both_sets() -> None:
    rng = np.random.default_rng(3)
    seen, held = rng.exponential(1, 60), rng.exponential(2, 40)
    train, val = (resample({"a": {0: Means(values)}}, draws=500) for values in (seen, held))
    acceleration = spread([_gap(train, val, "a", GAP_METRIC)]).acceleration
    pull = np.concatenate([(seen - seen.mean()) / 60, -(held - held.mean()) / 40])
    assert acceleration == pytest.approx((pull**3).sum() / (6 * (pull**2).sum() ** 1.5), rel=0.2)
    assert acceleration < -0.005


def test_the_interval_holds_the_true_gap_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    held_truth, studies, seeds = 0, 200, 4
    for _ in range(studies):
        skill = rng.normal(0, 0.03, seeds)
        arms = []
        for images, level, luck in ((120, 0.5, rng.normal(0, 0.02, seeds)), (60, 0.3, np.zeros(seeds))):
            hard = rng.normal(0, 0.2, images)  # the same for every seed
            runs = {
                seed: Means(level + skill[seed] + luck[seed] + hard + rng.normal(0, 0.1, images))
                for seed in range(seeds)
            }
            arms.append(resample({"a": runs}, draws=200, seed=int(rng.integers(1 << 30)), jackknife=False))
        found = overfitting_gap(arms[0], arms[1], "a")
        held_truth += found.low <= 0.2 <= found.high
    assert 0.91 <= held_truth / studies <= 0.995, held_truth / studies


def test_the_quick_scorer_gives_what_the_whole_one_gives() -> None:
    run = random_run(5, images=8)
    quick, whole = GapScorer(run), RunScorer(run)
    weights = np.random.default_rng(0).integers(0, 3, (20, 8)).astype(np.int32)
    columns = [whole.metrics.index(name) for name in quick.metrics]
    assert quick.images == whole.images
    assert np.allclose(quick(weights), whole(weights)[:, columns], equal_nan=True)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two arms of three seeds, of which one kept its detections on training images."""
    for arm, shift in (("baseline", 0), ("freeze_1_to_3", 100)):
        for seed in range(3):
            folder = our_run(tmp_path / arm / f"seed{seed}", arm, [0.3, 0.3 + seed / 100], seed=seed)
            run = random_run(7, images=12, most=4)  # one seed of images, so that all have the same truths
            write_predictions(folder / "predictions.parquet", run.frame, run.settings)
            if not shift:
                fitted = random_run(90 + seed, images=9)
                write_predictions(folder / TRAIN_PREDICTIONS, fitted.frame, fitted.settings)
    return tmp_path


def test_runs_without_boxes_on_training_images_have_an_interval_over_seeds_alone(study: Path) -> None:
    evidence = gather(find_runs([study]), draws=100)
    frame = gap_frame(evidence)
    assert frame["arm"].to_list() == ["baseline", "freeze_1_to_3"]
    assert frame["interval_over"].to_list() == ["images and seeds", "seeds"]
    panel = evidence.panels[0]
    train = resample_train(panel.runs, draws=300)
    assert train is not None and list(train.arms) == ["baseline"]
    expected = overfitting_gap(train, panel.resamples, "baseline")
    assert frame.row(0)[1:4] == pytest.approx((expected.value, expected.low, expected.high))
    gaps = []
    for seed in range(3):
        record = json.loads((study / "freeze_1_to_3" / f"seed{seed}" / "run.json").read_text())
        gaps.append(record["train_split"]["ultralytics/mAP50-95"] - record["metrics"]["ultralytics/mAP50-95"])
    over = seed_mean(gaps)
    assert frame.row(1)[1:4] == pytest.approx((over.value, over.low, over.high))


def test_an_arm_with_another_sample_of_training_images_is_left_out(tmp_path: Path) -> None:
    runs: dict[str, dict[int | None, RunFolder]] = {}
    for arm, images in (("a", 6), ("b", 6), ("c", 5)):
        folder = tmp_path / arm
        folder.mkdir()
        fitted = random_run(1, images=images)
        write_predictions(folder / TRAIN_PREDICTIONS, fitted.frame, fitted.settings)
        runs[arm] = {0: RunFolder.open(folder)}
    train = resample_train(runs, draws=10)
    assert train is not None and list(train.arms) == ["a", "b"]
    assert resample_train({"c": {0: RunFolder.open(tmp_path)}}) is None
