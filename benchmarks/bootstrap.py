"""How long the paired bootstrap takes: 811 images, 5 classes, 10 IoUs, 5 arms, 1,000 resamples, every metric.

    python benchmarks/bootstrap.py

Detections are synthetic, about 100 an image: jittered truths, wrong classes, duplicates and background.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from frostline.analysis.bootstrap import difference_groups, resample, spread
from frostline.analysis.intervals import interval
from frostline.analysis.predictions import DetectionTable, Predictions, PredictionSettings
from frostline.analysis.scoring import RunScorer

NAMES = {0: "Car", 1: "Cyclist", 2: "Pedestrian", 3: "Tram", 4: "Truck"}


def synthetic(images: int, detections: int, noise: float, seed: int) -> Predictions:
    """Make one run: the same truths for every seed, detections that miss them by `noise` of their size."""
    truth_rng, rng = np.random.default_rng(0), np.random.default_rng([1, seed])
    table = DetectionTable()
    for index in range(images):
        count = int(truth_rng.integers(1, 12))
        corner = truth_rng.uniform(0, [1100, 300], (count, 2))
        size = np.exp(truth_rng.normal(4.0, 0.7, (count, 2)))
        truths, classes = np.hstack([corner, corner + size]), truth_rng.choice(5, count, p=[0.6, 0.1, 0.15, 0.05, 0.1])
        near = rng.integers(0, count, detections // 2)
        jitter = rng.normal(0, noise, (len(near), 4)) * np.tile(size[near], 2)
        wrong = rng.random(len(near)) < 0.1
        far = rng.uniform(0, [1100, 300], (detections - len(near), 2))
        boxes = np.vstack([truths[near] + jitter, np.hstack([far, far + np.exp(rng.normal(4.0, 0.7, far.shape))])])
        found = np.concatenate([np.where(wrong, rng.integers(0, 5, len(near)), classes[near]), rng.choice(5, len(far))])
        scores = np.concatenate([rng.beta(1.5, 2 + 8 * np.abs(jitter).mean(axis=1) / 60), rng.beta(0.4, 12, len(far))])
        table.add(
            f"{index:06d}.png", (1242, 375), truth_classes=classes, truth_boxes=truths, classes=found, boxes=boxes,
            scores=scores,
        )  # fmt: skip
    return Predictions(table.frame, PredictionSettings(300, 0.001, 0.7, NAMES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=811)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--arms", type=int, default=5)
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    runs = {f"arm{a}": synthetic(options.images, options.detections, 0.1 + 0.02 * a, a) for a in range(options.arms)}
    warm = RunScorer(synthetic(8, 10, 0.1, 0))
    warm(np.ones((16, 8), np.int32))  # compiles, or loads what was compiled before
    began, worked = time.perf_counter(), time.process_time()
    scorers = {arm: {0: RunScorer(run)} for arm, run in runs.items()}
    matched, matching_work = time.perf_counter(), time.process_time() - worked
    for jackknife in (False, True):
        start, worked = time.perf_counter(), time.process_time()
        found = resample(scorers, draws=options.draws, jackknife=jackknife)
        drawn = time.perf_counter()
        for metric in found.metrics:
            for arm in list(found.arms)[1:]:
                interval(spread(difference_groups(found, metric, arm, "arm0")))
        done = time.perf_counter()
        print(
            f"{'with' if jackknife else 'without'} jackknife: matching {matched - began:.1f} s, "
            f"draws {drawn - start:.1f} s, intervals {done - drawn:.1f} s, "
            f"together {matched - began + done - start:.1f} s "
            f"({matching_work + time.process_time() - worked:.1f} s of processor time)"
        )
    cores = len(os.sched_getaffinity(0))
    print(f"{options.images} images, {options.detections} detections an image, {options.arms} arms, "
          f"{options.draws} draws, {len(found.metrics)} metrics, {cores} cores")  # fmt: skip


if __name__ == "__main__":
    main()
