"""What intervals say: arms compared, equivalence, declared hypotheses answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.bootstrap import Group, Resamples, Spread, arm_groups, difference_groups, spread
from frostline.analysis.intervals import Estimate, Method, interval, p_value
from frostline.errors import InputError

ONE_POINT = 0.01
CHECKED_IMAGES = 200  # benchmarks/interval_coverage.py: with these the intervals were seen to cover
FEW_SEEDS = 3

# Metrics in [0, 1], those from 0 up, and differences between metrics among them.
_SHARES = (
    "ultralytics/", "coco/", "scores/", "light/", "stress/", "confusion/off_diagonal_mass",
    "confusion/background_false_negatives",
)  # fmt: skip
_DIFFERENCES = ("/gap", "/drop/")
_COUNTS = ("tide/count/", "confusion/background_false_positives")

Verdict = Literal["supported", "refuted", "undecided"]


def estimate_arm(
    resamples: Resamples, metric: str, arm: str, confidence: float = 0.95, method: Method = "percentile"
) -> Estimate:
    """Estimate a metric of an arm, mean over its seeds.

    Args:
        resamples: what `resample` gives.
        metric, arm: names.
        confidence: of the interval, in (0, 1).
        method: of the interval.

    Raises:
        InputError: an unknown name, or a confidence outside of (0, 1).
    """
    found = _estimate(resamples, arm_groups(resamples, metric, arm), (arm,), confidence, method)
    highest = _highest(metric)
    return found if highest is None else _within(found, 0.0, highest)


def estimate_difference(
    resamples: Resamples, metric: str, arm: str, other: str, confidence: float = 0.95, method: Method = "percentile"
) -> Estimate:
    """Estimate how much higher a metric of `arm` is than that of `other`, on the same images and, if shared, seeds.

    Raises:
        InputError: see `estimate_arm`.
    """
    found = _estimate(resamples, difference_groups(resamples, metric, arm, other), (arm, other), confidence, method)
    highest = _highest(metric)
    return found if highest is None else _within(found, -highest, highest)


def _highest(metric: str) -> float | None:
    """Return the highest value that a metric can have, if its lowest is 0; None where that is not known."""
    if metric.startswith(_COUNTS):
        return float("inf")
    if any(word in metric for word in _DIFFERENCES):
        return None
    return 1.0 if metric.startswith(_SHARES) else None


def _within(found: Estimate, lowest: float, highest: float) -> Estimate:
    """End an interval where possible values do: seeds add and take off alike, also where there is nothing left."""
    low, high = (min(max(end, lowest), highest) if np.isfinite(end) else end for end in (found.low, found.high))
    return replace(found, low=low, high=high)


def difference_spread(resamples: Resamples, metric: str, arm: str, other: str) -> Spread:
    """Give the draws of a difference, for figures and for other questions than an interval."""
    return spread(difference_groups(resamples, metric, arm, other), resamples.seed)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values for having made several comparisons, so that the chance of any false finding stays at the level.

    Args:
        p_values: by comparison, in [0, 1]; NaN stays NaN and counts for nothing.

    Returns:
        Adjusted p-values, in the order given.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 6, 1979.
    """
    known = sorted((p, name) for name, p in p_values.items() if np.isfinite(p))
    adjusted = {name: float("nan") for name in p_values}
    highest = 0.0
    for rank, (p, name) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[name] = highest
    return adjusted


def compare_to_baseline(
    resamples: Resamples, metric: str, baseline: str, confidence: float = 0.95, method: Method = "percentile"
) -> dict[str, tuple[Estimate, float]]:
    """Estimate every other arm's difference to a baseline, with p-values adjusted after Holm for their number.

    Returns:
        (difference, adjusted p-value) by arm. The intervals are not adjusted: each is for its own arm.
    """
    found = {
        arm: estimate_difference(resamples, metric, arm, baseline, confidence, method)
        for arm in resamples.arms
        if arm != baseline
    }
    adjusted = holm({arm: estimate.p_value for arm, estimate in found.items()})
    return {arm: (estimate, adjusted[arm]) for arm, estimate in found.items()}


def probability_best(resamples: Resamples, metric: str, higher_is_better: bool = True) -> dict[str, float]:
    """Compute in which share of the draws each arm is the best; draws that tie are shared out.

    Each arm is drawn as its difference to the mean of all arms, so that the choice of images and seeds that all share
    does not blur the ranking. It is a summary of the same draws as the intervals, and says no more than they.

    Returns:
        Probabilities by arm that sum to 1; NaN where no draw has a value.
    """
    arms = list(resamples.arms)
    table = np.stack([_contrast(resamples, metric, arm) for arm in arms], axis=1)
    table = table[np.isfinite(table).all(axis=1)]
    if not len(table):
        return dict.fromkeys(arms, float("nan"))
    table = table if higher_is_better else -table
    best = np.isclose(table, table.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    share = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return dict(zip(arms, map(float, share), strict=True))


@dataclass(frozen=True)
class Equivalence:
    """Whether a difference is smaller than what matters.

    Attributes:
        equivalent: the interval lies within the margin, on both sides.
        low, high: the interval of two one-sided tests, at confidence 1 - 2 x level.
        margin: largest difference that does not matter.
        level: of each one-sided test.
    """

    equivalent: bool
    low: float
    high: float
    margin: float
    level: float


def equivalence(
    found: Spread, margin: float = ONE_POINT, level: float = 0.05, method: Method = "percentile"
) -> Equivalence:
    """Test whether a difference is no larger than a margin, so that "no difference" can be found and not just missed.

    Args:
        found: of a difference, from `difference_spread`.
        margin: in the metric's unit; 0.01 is one point of mAP.
        level: of each of the two one-sided tests.
        method: of the interval.

    Raises:
        InputError: a margin that is not above 0.

    Source: Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987: equivalent at `level` when the interval at
    confidence 1 - 2 x `level` lies within the margin.
    """
    if not margin > 0:
        raise InputError(f"a margin of {margin} leaves nothing to be equal within; give one above 0")
    low, high = interval(found, 1 - 2 * level, method)
    return Equivalence(bool(-margin < low and high < margin), low, high, margin, level)


def verdict(found: Estimate, at_least: float = 0.0, higher_is_better: bool = True) -> Verdict:
    """Answer a hypothesis "better by more than `at_least`" from the interval of the difference better - than.

    Args:
        found: the difference.
        at_least: by how much it must be better, in the metric's unit.
        higher_is_better: False for metrics where less is better, as for missed objects.

    Returns:
        `supported` when the whole interval is beyond `at_least`, `refuted` when the whole interval falls short of it,
        `undecided` when it holds it, or is undefined.
    """
    low, high = (found.low, found.high) if higher_is_better else (-found.high, -found.low)
    if low > at_least:
        return "supported"
    return "refuted" if high < at_least else "undecided"


def cautions(images: int, seeds: Sequence[int], draws: int, used: int) -> tuple[str, ...]:
    """Say why an interval may cover less, or mean less, than it claims; see docs/concepts/statistics.md.

    Args:
        images: number of validation images.
        seeds: number of seeds of each arm that takes part.
        draws: number of draws.
        used: how many of them gave a value.
    """
    found = []
    if images < CHECKED_IMAGES:
        found.append(
            f"{images} validation images: intervals were checked with {CHECKED_IMAGES}; they may hold less often"
        )
    if min(seeds) == 1:
        found.append("an arm with one seed: the interval is for these very weights; other seeds may fall outside")
    elif min(seeds) < FEW_SEEDS:
        found.append(f"{min(seeds)} seeds: Student's t with one degree of freedom makes the interval very wide")
    if used < draws:
        found.append(f"undefined in {draws - used} of {draws} draws of images: too few objects of a kind")
    return tuple(found)


def _estimate(
    resamples: Resamples, groups: Sequence[Group], arms: Sequence[str], confidence: float, method: Method
) -> Estimate:
    counts = [len(resamples.arm(arm).seeds) for arm in arms]
    return estimate_groups(groups, resamples, resamples.images, counts, confidence, method)


def estimate_groups(
    groups: Sequence[Group],
    resamples: Resamples,
    images: int,
    counts: Sequence[int],
    confidence: float,
    method: Method,
) -> Estimate:
    """Estimate the quantity that some groups of runs describe.

    Args:
        groups: see `bootstrap.Group`.
        resamples: where their draws are from; its seed and number of draws count.
        images: how many the caution about few images goes by.
        counts: number of seeds of each arm that takes part.
        confidence: of the interval, in (0, 1).
        method: of the interval.

    Raises:
        InputError: a confidence outside of (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"a confidence of {confidence} is outside of (0, 1)")
    found = spread(groups, resamples.seed)
    low, high = interval(found, confidence, method)
    return Estimate(
        value=found.value,
        low=low,
        high=high,
        confidence=confidence,
        method=method,
        image_error=found.image_error,
        seed_error=found.seed_error,
        images=images,
        seeds=min(counts),
        p_value=p_value(found, method=method),
        cautions=cautions(images, counts, resamples.draws, len(found.draws)),
    )


def _contrast(resamples: Resamples, metric: str, arm: str) -> NDArray[np.float64]:
    """Draws of an arm's difference to the mean of all arms, NaN where undefined, in the order of the draws."""
    arms, m = list(resamples.arms), resamples.index(metric)
    scores = [resamples.arms[name] for name in arms]
    factors = [(name == arm) - 1 / len(arms) for name in arms]
    if all(part.seeds == scores[0].seeds for part in scores):
        together = [
            sum(factor * part[..., m] for factor, part in zip(factors, parts, strict=True))
            for parts in ([s.point for s in scores], [s.draws for s in scores])
        ]
        groups = [Group(1.0, 0, np.asarray(together[0]), np.asarray(together[1]), np.zeros((0, len(scores[0].seeds))))]
    else:
        groups = [
            Group(factor, 1 + index, part.point[:, m], part.draws[:, :, m], np.zeros((0, len(part.seeds))))
            for index, (factor, part) in enumerate(zip(factors, scores, strict=True))
        ]
    draws = np.full(resamples.draws, np.nan)
    known = np.isfinite(sum(group.draws.mean(axis=1) for group in groups))
    draws[known] = spread(groups, resamples.seed).draws
    return draws
