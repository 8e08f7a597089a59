"""The overfitting gap with an interval: training split minus validation split, over the images of both and over seeds.

The images of the two splits have nothing to do with each other and are drawn apart. The seeds are the same runs: a seed
that is good on one split is likely good on the other, so that the gap is taken seed by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.ap import mean_over_classes, precision_table, rank_matches
from frostline.analysis.bootstrap import Group, Resamples, Scorer, Values, resample
from frostline.analysis.inference import estimate_groups
from frostline.analysis.intervals import Estimate, Method
from frostline.analysis.matching import match_ultralytics, read_boxes
from frostline.analysis.predictions import Predictions, read_predictions
from frostline.analysis.runs import RunFolder
from frostline.errors import InputError

TRAIN_PREDICTIONS = "train_predictions.parquet"
"""A run's detections on a sample of its training images, with the columns of `predictions.parquet`."""

GAP_METRIC = "ultralytics/mAP50-95"


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
        draws, seed, jackknife, advance: as in `resample`; `draws` must be that of the validation images.

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
        InputError: an unknown name, no seed in common, another number of draws, or a confidence outside of (0, 1).
    """
    group = _gap(train, val, arm, metric)
    images = min(train.images, val.images)
    return estimate_groups([group], val, images, [len(group.point)], confidence, method)


def _gap(train: Resamples, val: Resamples, arm: str, metric: str) -> Group:
    """Describe the gap seed by seed for `spread`."""
    if train.draws != val.draws:
        raise InputError(f"{train.draws} draws of training images and {val.draws} of validation images: draw as many")
    seen, held = train.arm(arm), val.arm(arm)
    seeds = [seed for seed in held.seeds if seed in seen.seeds]
    if not seeds:
        raise InputError(f"{arm}: no seed has both its training and its validation images scored")
    a, b = ([part.seeds.index(seed) for seed in seeds] for part in (seen, held))
    i, j = train.index(metric), val.index(metric)
    # Two sets drawn with one seed would move together, image by image: their draws are paired anew, at random.
    order = np.random.default_rng([val.seed, 1 << 20]).permutation(train.draws)
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
