"""Intervals for any metric of an arm, and for differences between arms: paired bootstrap over images, and seeds.

Two things were left to chance: which images were in the validation split, and which seeds trained. All arms are scored
on the same images, so one draw of images serves every arm and seed (paired), and what all arms have in common cancels
from a difference. Seeds are few, and drawing 5 of 5 with replacement gives intervals that are too short; their part is
drawn from Student's t instead. docs/concepts/statistics.md has the simulation behind that choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.blocks import usable_cores
from frostline.errors import InputError, did_you_mean

Values = NDArray[np.float64]
_CHUNK = 256


class Scorer(Protocol):
    """Anything that scores one run under weights for the images."""

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the validation images, in the order of the weights."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""

    def __call__(self, weights: NDArray[np.int32]) -> Values:
        """Give (R, M) metrics for (R, I) weights; NaN where a metric is undefined."""


@dataclass(frozen=True)
class ArmScores:
    """The metrics of one arm: S runs that differ in their seed, M metrics.

    Attributes:
        seeds: (S,) of the runs; None where nothing tells.
        point: (S, M) on the images as they are.
        draws: (B, S, M) on each draw of images.
        jackknife: (I, S, M) with one image left out; (0, S, M) if that was not asked for.
    """

    seeds: tuple[int | None, ...]
    point: Values
    draws: Values
    jackknife: Values


@dataclass(frozen=True)
class Resamples:
    """All arms under the same draws of images.

    Attributes:
        metrics: (M,) names.
        images: number of validation images, I.
        arms: by name, in the order given.
        seed: of the random numbers.
    """

    metrics: tuple[str, ...]
    images: int
    arms: Mapping[str, ArmScores]
    seed: int

    @property
    def draws(self) -> int:
        """Number of draws, B."""
        return len(next(iter(self.arms.values())).draws)

    def index(self, metric: str) -> int:
        """Return the place of a metric.

        Raises:
            InputError: there is no such metric.
        """
        if metric not in self.metrics:
            raise InputError(f"unknown metric '{metric}'{did_you_mean(metric, self.metrics)}")
        return self.metrics.index(metric)

    def arm(self, name: str) -> ArmScores:
        """Return the scores of an arm.

        Raises:
            InputError: there is no such arm.
        """
        if name not in self.arms:
            raise InputError(f"unknown arm '{name}'{did_you_mean(name, list(self.arms))}")
        return self.arms[name]


@dataclass(frozen=True)
class Group:
    """Runs whose mean enters a quantity with a factor: `factor * mean over seeds`.

    Attributes:
        factor: 1 for an arm or for the differences of two arms seed by seed, -1 for an arm that is taken off.
        stream: groups with the same stream share the random numbers of their seeds.
        point: (S,) values on the images as they are.
        draws: (B, S) on each draw of images.
        jackknife: (I, S) without each image; (0, S) if unknown.
    """

    factor: float
    stream: int
    point: Values
    draws: Values
    jackknife: Values


def image_weights(images: int, draws: int, seed: int) -> NDArray[np.int32]:
    """Draw images with replacement.

    Args:
        images: number of images, I.
        draws: number of draws, B.
        seed: of the random numbers.

    Returns:
        (B, I) how often each image was drawn; each row sums to I.
    """
    rng = np.random.default_rng([seed, 0])
    return rng.multinomial(images, np.full(images, 1 / images), size=draws).astype(np.int32)


def resample(
    arms: Mapping[str, Mapping[int | None, Scorer]],
    *,
    draws: int = 1000,
    seed: int = 0,
    jackknife: bool = True,
    advance: Callable[[int], None] = lambda _: None,
) -> Resamples:
    """Score every run of every arm on the same draws of images.

    Args:
        arms: scorers by arm and seed; all of the same images and metrics.
        draws: number of draws, B.
        seed: of the random numbers.
        jackknife: also leave out each image once, which BCa intervals need.
        advance: called with the rows scored since the last call, for a progress bar; `work_of` tells how many come.

    Raises:
        InputError: no runs, runs with other images or metrics, or no images.
    """
    runs = [(f"{arm}, seed {key}", scorer) for arm, seeds in arms.items() for key, scorer in seeds.items()]
    if not runs or not all(arms.values()):
        raise InputError("nothing to resample: an arm without runs")
    (first_name, first), *others = runs
    for name, scorer in others:
        if scorer.images != first.images:
            odd = sorted(set(scorer.images) ^ set(first.images))
            raise InputError(f"{name} and {first_name} were validated on other images: {', '.join(odd[:3])}")
        if scorer.metrics != first.metrics:
            raise InputError(f"{name} and {first_name} have other metrics: their classes differ")
    images = len(first.images)
    if images == 0 or draws < 1:
        raise InputError(f"cannot draw {draws} times from {images} images")
    weights = [np.ones((1, images), np.int32), image_weights(images, draws, seed)]
    if jackknife:
        weights.append((1 - np.eye(images)).astype(np.int32))
    tables = iter(_scored([scorer for _, scorer in runs], np.concatenate(weights), advance))
    scored = {}
    for arm, seeds in arms.items():
        table = np.stack([next(tables) for _ in seeds], axis=1)
        scored[arm] = ArmScores(tuple(seeds), table[0], table[1 : draws + 1], table[draws + 1 :])
    return Resamples(first.metrics, images, scored, seed)


def work_of(runs: int, images: int, draws: int) -> int:
    """Count the rows that `resample` scores with its jackknife, for a progress bar."""
    return runs * (1 + draws + images)


def _scored(scorers: Sequence[Scorer], weights: NDArray[np.int32], advance: Callable[[int], None]) -> list[Values]:
    """Score each run, chunk by chunk, on all cores: compiled loops let go of the interpreter's lock."""
    starts = range(0, len(weights), _CHUNK)
    parts: list[list[Values]] = [[] for _ in scorers]
    with ThreadPoolExecutor(usable_cores()) as pool:
        asked = [
            (parts[number], pool.submit(scorer, weights[start : start + _CHUNK]))
            for number, scorer in enumerate(scorers)
            for start in starts
        ]
        try:
            for kept, part in asked:
                kept.append(part.result())
                advance(len(kept[-1]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # nobody waits for the other draws
            raise
    return [np.concatenate(kept) for kept in parts]


def arm_groups(resamples: Resamples, metric: str, arm: str) -> list[Group]:
    """Describe an arm's mean over seeds for `spread`."""
    scores, m = resamples.arm(arm), resamples.index(metric)
    return [Group(1.0, 0, scores.point[:, m], scores.draws[:, :, m], scores.jackknife[:, :, m])]


def difference_groups(resamples: Resamples, metric: str, arm: str, other: str) -> list[Group]:
    """Describe the difference of two arms for `spread`: seed by seed where both have the same seeds, else apart."""
    m = resamples.index(metric)
    a, b = resamples.arm(arm), resamples.arm(other)
    if None not in a.seeds and sorted(map(str, a.seeds)) == sorted(map(str, b.seeds)):
        order = [b.seeds.index(seed) for seed in a.seeds]
        return [
            Group(
                1.0, 0,
                a.point[:, m] - b.point[order, m],
                a.draws[:, :, m] - b.draws[:, order, m],
                a.jackknife[:, :, m] - b.jackknife[:, order, m],
            )
        ]  # fmt: skip
    names = list(resamples.arms)
    return [
        Group(sign, 1 + names.index(name), part.point[:, m], part.draws[:, :, m], part.jackknife[:, :, m])
        for sign, name, part in ((1.0, arm, a), (-1.0, other, b))
    ]


@dataclass(frozen=True)
class Spread:
    """Where a quantity may lie, given what images and seeds were left to chance.

    Attributes:
        value: on the images as they are, mean over seeds.
        draws: (B,) values that the quantity might have; draws in which it was undefined are left out.
        image_error: standard error from the choice of images, the seeds' own share taken out.
        seed_error: standard error from the choice of seeds; None with a single seed, which cannot tell.
        acceleration: BCa's, how the error grows with the value; 0 without a jackknife.
    """

    value: float
    draws: Values
    image_error: float
    seed_error: float | None
    acceleration: float


def spread(groups: Sequence[Group], seed: int = 0) -> Spread:
    """Combine the spread over images with that over seeds.

    Runs are crossed with images: every seed was scored on the same ones. What a seed does on single images (its
    interaction) is part of the variance between seeds and again of that between images; it is taken out of the latter,
    so that it counts once. Between seeds the deviation of the mean is `t * s / sqrt(S)`, with t of Student's
    distribution with S - 1 degrees of freedom and one direction in the space of seeds for all arms in a draw.

    Args:
        groups: of `arm_groups` or `difference_groups`.
        seed: of the random numbers; the same for all quantities of a study, so that their draws belong together.

    Source: the pigeonhole bootstrap for crossed factors (McCullagh, Bernoulli 6, 2000; Owen, Annals of Applied
    Statistics 1, 2007), with a t-distributed seed factor in place of resampled seeds.
    """
    value = float(sum(group.factor * group.point.mean() for group in groups))
    means: Values = sum((group.factor * group.draws.mean(axis=1) for group in groups), np.zeros(1))
    known = np.isfinite(means)
    means = means[known]
    shared = float(means.var()) if means.size else 0.0
    interaction, between, with_seeds = 0.0, 0.0, False
    part = np.zeros(len(known))
    for group in groups:
        seeds = len(group.point)
        if seeds < 2:
            continue
        with_seeds = True
        draws = group.draws[known]
        excess = draws.var(axis=0).mean() - draws.mean(axis=1).var() if len(draws) else 0.0
        interaction += group.factor**2 * float(excess) / (seeds - 1)
        between += group.factor**2 * float(group.point.var(ddof=1)) / seeds
        part += group.factor * _seed_noise(group, len(known), seed)
    kept = max(0.0, 1.0 - interaction / shared) if shared > 0 else 1.0
    drawn = value + np.sqrt(kept) * (means - value) + part[known]
    variance = kept * shared + between
    influence = _influence(groups)
    skew = float((influence**3).sum()) * kept**1.5 if influence.size else 0.0
    return Spread(
        value=value,
        draws=drawn,
        image_error=float(np.sqrt(kept * shared)),
        seed_error=float(np.sqrt(between)) if with_seeds else None,
        acceleration=skew / (6 * variance**1.5) if variance > 0 else 0.0,
    )


def _seed_noise(group: Group, draws: int, seed: int) -> Values:
    count = len(group.point)
    rng = np.random.default_rng([seed, 1 + group.stream])
    # Draws of one stream stay the same numbers for every metric: chi first, as directions depend on the seeds' count.
    scale = np.sqrt((count - 1) / rng.chisquare(count - 1, size=draws))
    directions = rng.standard_normal((draws, count))
    deviations = group.point - group.point.mean()
    noise: Values = scale * (directions @ deviations) / np.sqrt(count * (count - 1))
    return noise


def _influence(groups: Iterable[Group]) -> Values:
    """Give each image's pull on the quantity, from the jackknife, in units of the quantity itself."""
    without: Values = sum((group.factor * group.jackknife.mean(axis=1) for group in groups), np.zeros(1))
    without = without[np.isfinite(without)]
    if len(without) < 2:
        return np.zeros(0)
    influence: Values = (without.mean() - without) * (len(without) - 1) / len(without)
    return influence
