"""The overfitting gap with an interval: training split minus validation split, over the images of both and over seeds.

The images of the two splits have nothing to do with each other and are drawn apart. The seeds are the same runs: a seed
that is good on one split is likely good on the other, so that the gap is taken seed by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from frostline.analysis.ap import mean_over_classes, precision_table, rank_matches
from frostline.analysis.bootstrap import Group, Resamples, Scorer, Values, resample
from frostline.analysis.evidence import Evidence
from frostline.analysis.inference import estimate_groups
from frostline.analysis.intervals import Estimate, Method
from frostline.analysis.matching import match_ultralytics, read_boxes
from frostline.analysis.predictions import Predictions, read_predictions
from frostline.analysis.runs import RunFolder
from frostline.analysis.seeds import seed_mean
from frostline.errors import InputError

TRAIN_PREDICTIONS = "train_predictions.parquet"
"""A run's detections on a sample of its training images, with the columns of `predictions.parquet`."""

GAP_METRIC = "ultralytics/mAP50-95"
TRAIN_DRAWS = 300
"""Draws of training images that a report makes; each is paired with several draws of validation images."""


class GapScorer:
    """Scores mAP50 and mAP50-95 of one run in Ultralytics' definition, and nothing else; a `bootstrap.Scorer`.

    Args:
        predictions: of the run.
    """

    metrics: tuple[str, ...] = ("ultralytics/mAP50", GAP_METRIC)

    def __init__(self, predictions: Predictions) -> None:
        boxes = read_boxes(predictions)
        self._images = boxes.images
        self._ranking = rank_matches(match_ultralytics(boxes))

    @classmethod
    def open(cls, path: Path) -> GapScorer:
        """Read a `predictions.parquet` or `train_predictions.parquet`.

        Raises:
            InputError: see `read_predictions`.
        """
        return cls(read_predictions(path))

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images, sorted."""
        return self._images

    def __call__(self, weights: NDArray[np.int32]) -> Values:
        """Give (R, 2) for (R, I) weights of the images; NaN without truths."""
        ap = precision_table(self._ranking, weights).ap[:, 0]
        return np.stack([mean_over_classes(ap[:, :, 0]), mean_over_classes(ap.mean(axis=2))], axis=1)


def resample_train(
    runs: Mapping[str, Mapping[int | None, RunFolder]],
    *,
    draws: int = 1000,
    seed: int = 0,
    jackknife: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> Resamples | None:
    """Draw the training images of the runs that kept their detections on them.

    Args:
        runs: by arm and seed.
        draws, seed, jackknife, advance: as in `resample`.

    Returns:
        The arms all of whose runs have `TRAIN_PREDICTIONS`; None where no arm has. Arms whose sample is another than
        the first one's are left out, as such draws could not be shared.

    Raises:
        InputError: a file cannot be read.
    """
    scorers: dict[str, dict[int | None, Scorer]] = {}
    for arm, seeds in runs.items():
        paths = {key: run.path / TRAIN_PREDICTIONS for key, run in seeds.items()}
        if paths and all(path.is_file() for path in paths.values()):
            opened: dict[int | None, Scorer] = {key: GapScorer.open(path) for key, path in paths.items()}
            first = next(iter(next(iter(scorers.values()), opened).values()))
            if all(scorer.images == first.images for scorer in opened.values()):
                scorers[arm] = opened
    if not scorers:
        return None
    return resample(scorers, draws=draws, seed=seed, jackknife=jackknife, advance=advance)


def overfitting_gap(
    train: Resamples,
    val: Resamples,
    arm: str,
    confidence: float = 0.95,
    method: Method = "percentile",
    metric: str = GAP_METRIC,
) -> Estimate:
    """Estimate how much higher a metric is on the training images than on the validation images, mean over seeds.

    Args:
        train: of the training images, from `resample_train`.
        val: of the validation images, from `resample`.
        arm: its name in both.
        confidence: of the interval, in (0, 1).
        method: of the interval; `bca` needs both jackknives.
        metric: its name in both.

    Returns:
        The estimate over the seeds that both have. Its `images` is the smaller of the two numbers of images.

    Raises:
        InputError: an unknown name, no seed in common, or a confidence outside of (0, 1).
    """
    group = _gap(train, val, arm, metric)
    images = min(train.images, val.images)
    return estimate_groups([group], val, images, [len(group.point)], confidence, method)


def gap_frame(evidence: Evidence, train_draws: int = TRAIN_DRAWS) -> pl.DataFrame:
    """Estimate the overfitting gap of every arm that has one.

    Args:
        evidence: the runs.
        train_draws: of training images.

    Returns:
        `arm`, `overfitting_gap` in mAP50-95, `overfitting_gap_low`, `overfitting_gap_high`, and `interval_over`:
        `images and seeds` where all runs of the arm kept their detections on training images (`images` with one seed),
        else `seeds`, or null where one seed without them tells of no spread. An arm without any gap has no row.
    """
    rows: list[tuple[str, float, float | None, float | None, str | None]] = []
    for panel in evidence.panels:
        train = resample_train(panel.runs, draws=train_draws, jackknife=evidence.method == "bca")
        for arm in panel.runs:
            if train is not None and arm in train.arms:
                found = overfitting_gap(train, panel.resamples, arm, evidence.confidence, evidence.method)
                over = "images and seeds" if found.seed_error is not None else "images"
                rows.append((arm, found.value, found.low, found.high, over))
    table = evidence.comparison.frame.with_columns(pl.Series("counts", [evidence.counts(run) for run in evidence.runs]))
    for arm in evidence.arms:
        if arm not in [row[0] for row in rows]:
            values = table.filter(pl.col("counts") & (pl.col("arm") == arm)).get_column("overfitting_gap").to_list()
            mean = seed_mean(values, evidence.confidence)
            if mean.value is not None:
                rows.append((arm, mean.value, mean.low, mean.high, None if mean.low is None else "seeds"))
    names = ("overfitting_gap", "overfitting_gap_low", "overfitting_gap_high")
    schema = {"arm": pl.String, **dict.fromkeys(names, pl.Float64), "interval_over": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _gap(train: Resamples, val: Resamples, arm: str, metric: str) -> Group:
    """Describe the gap seed by seed for `spread`."""
    seen, held = train.arm(arm), val.arm(arm)
    seeds = [seed for seed in held.seeds if seed in seen.seeds]
    if not seeds:
        raise InputError(f"{arm}: no seed has both its training and its validation images scored")
    a, b = ([part.seeds.index(seed) for seed in seeds] for part in (seen, held))
    i, j = train.index(metric), val.index(metric)
    # Two sets drawn with one seed would move together, image by image: their draws are paired anew, at random. Fewer
    # draws of the training images are used several times, each with other draws of the validation images.
    order = np.resize(np.random.default_rng([val.seed, 1 << 20]).permutation(train.draws), val.draws)
    point = seen.point[a, i] - held.point[b, j]
    leave_train = _influence(seen.jackknife[:, a, i])
    leave_val = _influence(held.jackknife[:, b, j])
    without = np.concatenate([leave_train, -leave_val])
    if not (len(leave_train) and len(leave_val)):
        without = np.zeros((0, len(seeds)))
    elif len(without) > 1:
        without = -without * len(without) / (len(without) - 1)  # as if all had been left out of one set
    return Group(1.0, 0, point, seen.draws[order][:, a, i] - held.draws[:, b, j], without)


def _influence(jackknife: Values) -> Values:
    """Give each image's pull on the mean of its own set, (I, S), from the values without it."""
    count = len(jackknife)
    if count < 2:
        return np.zeros((0, jackknife.shape[1]))
    pull: Values = (np.nanmean(jackknife, axis=0) - jackknife) * (count - 1) / count
    return pull
