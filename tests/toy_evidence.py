"""Evidence whose truth is known: a metric is the weighted mean of numbers that were drawn for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.analysis import Evidence, Panel, PredictionSettings, compare_runs, find_runs, resample
from run_folders import our_run

METRICS = ("ultralytics/mAP50", "ultralytics/mAP50-95", "coco/AP_small")


class MeanScorer:
    """Scores a run by the mean over images of numbers in [0, 1], the same for every metric."""

    metrics = METRICS

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values
        self.images = tuple(f"{index:04d}" for index in range(len(values)))

    def __call__(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Give (R, 3)."""
        share = weights @ self.values / weights.sum(axis=1)
        return np.stack([np.minimum(1.5 * share, 1), share, share / 2], axis=1)


def evidence(
    folder: Path,
    arms: Mapping[str, float],
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    images: int = 300,
    between_images: float = 0.15,
    between_seeds: float = 0.002,
    curves: Mapping[str, Sequence[float]] | None = None,
    study: Mapping[str, Any] | None = None,
    draws: int = 400,
    **records: Any,
) -> Evidence:
    """Make evidence of arms that have these mAP50-95 in the mean; an image is as hard for all of them.

    Args:
        folder: where run folders go.
        arms: mAP50-95 by arm.
        seeds: of each arm.
        images: validation images.
        between_images, between_seeds: standard deviations; a run on an image deviates by a tenth of the first.
        curves: results.csv's mAP50 by arm; mAP50-95 is half of it.
        study: content of the study file.
        draws: of images.
        records: further keys of `run.json` by arm.
    """
    rng = np.random.default_rng(5)
    hard = rng.normal(0, between_images, images)
    scorers: dict[str, dict[int | None, MeanScorer]] = {}
    for arm, mean in arms.items():
        depth = 0 if arm == "baseline" else int(arm.rpartition("_")[2]) if arm.startswith("freeze_1_to_") else None
        for seed in seeds:
            own = rng.normal(0, between_images / 10, images)
            values = hard - hard.mean() + own - own.mean() + mean + rng.normal(0, between_seeds)
            scorers.setdefault(arm, {})[seed] = MeanScorer(values)
            curve = (curves or {}).get(arm, [0.2, 0.4, 0.6])
            our_run(folder / arm / f"seed{seed}", arm, curve, seed=seed, depth=depth, **records.get(arm, {}))
    runs = find_runs([folder])
    by_arm = {arm: {run.seed: run for run in runs if run.arm == arm} for arm in arms}
    some = next(iter(next(iter(scorers.values())).values()))
    panel = Panel(
        images=tuple(f"{name}.png" for name in some.images),
        classes=("Car",),
        settings=PredictionSettings(300, 0.001, 0.7, {0: "Car"}),
        runs=by_arm,
        scorers={},
        resamples=resample(scorers, draws=draws, jackknife=False),
    )
    return Evidence(
        runs=tuple(runs), arms=tuple(arms), baseline="baseline" if "baseline" in arms else None, panels=(panel,),
        left_out=(), comparison=compare_runs(runs), study=study or {}, study_folder=folder, confidence=0.95,
        method="percentile", draws=draws,
    )  # fmt: skip
