"""Numbers that a run has once (convergence, overfitting gap) with intervals over seeds, and what more would bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from frostline.analysis.inference import ONE_POINT
from frostline.errors import InputError

_MOST = 100_000


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds with its interval.

    Attributes:
        value: the mean; None without values.
        low, high: Student's interval; None with fewer than two seeds, which do not tell a spread.
        confidence: nominal, in (0, 1).
        seeds: how many runs had a value.
    """

    value: float | None
    low: float | None
    high: float | None
    confidence: float
    seeds: int


def seed_mean(values: Sequence[float | None], confidence: float = 0.95) -> SeedMean:
    """Average what each run has once: epochs to 90 % of the final mAP, area under the curve, overfitting gap.

    Args:
        values: (S,) one a seed; None or NaN where a run has none, which is left out.
        confidence: of the interval, in (0, 1).

    Source: Student's t with S - 1 degrees of freedom.
    """
    known = np.array([value for value in values if value is not None and np.isfinite(value)], dtype=np.float64)
    if known.size < 2:
        return SeedMean(float(known[0]) if known.size else None, None, None, confidence, known.size)
    half = special.stdtrit(known.size - 1, (1 + confidence) / 2) * known.std(ddof=1) / np.sqrt(known.size)
    mean = float(known.mean())
    return SeedMean(mean, mean - float(half), mean + float(half), confidence, known.size)


def seed_difference(
    values: Mapping[int, float | None], others: Mapping[int, float | None], confidence: float = 0.95
) -> SeedMean:
    """Average the differences of two arms over the seeds that both have a value for.

    Args:
        values, others: by seed.
        confidence: of the interval, in (0, 1).
    """
    pairs = ((values[seed], others[seed]) for seed in values if seed in others)
    return seed_mean([a - b for a, b in pairs if a is not None and b is not None], confidence)


def power(effect: float, image_error: float, seed_error: float, seeds: int, level: float = 0.05) -> float:
    """Compute the chance that an interval leaves 0 out when the difference is really `effect`.

    Args:
        effect: true difference, in the metric's unit.
        image_error: standard error from the images, as `Estimate` gives it.
        seed_error: standard error from the seeds.
        seeds: number of seeds, from 2.
        level: 1 - confidence.

    Source: the noncentral t-distribution, with Satterthwaite's degrees of freedom for the sum of the two variances.
    """
    variance = image_error**2 + seed_error**2
    if variance == 0:
        return 1.0 if effect else level
    freedom = min(variance**2 / (seed_error**4 / (seeds - 1)), 1e6) if seed_error > 0 else 1e6
    center, edge = abs(effect) / np.sqrt(variance), special.stdtrit(freedom, 1 - level / 2)
    if freedom >= 1e6:
        return float(special.ndtr(center - edge) + special.ndtr(-edge - center))
    from scipy import stats  # takes long to import, and only this needs it

    return float(stats.nct.sf(edge, freedom, center) + stats.nct.cdf(-edge, freedom, center))


@dataclass(frozen=True)
class Needed:
    """What would be needed to find a difference, changing one thing at a time.

    Attributes:
        effect: the difference to be found.
        power: wanted chance to find it.
        now: chance with what there is; None when one seed leaves the spread over seeds unknown.
        seeds: seeds an arm, on the same images; None where no number of seeds would do.
        images: validation images, with the same seeds; None where no number of images would do.
    """

    effect: float
    power: float
    now: float | None
    seeds: int | None
    images: int | None


def needed(
    image_error: float,
    seed_error: float | None,
    images: int,
    seeds: int,
    effect: float = ONE_POINT,
    wanted: float = 0.8,
    level: float = 0.05,
) -> Needed:
    """Say how many seeds, or how many images, would find a difference with a chance of 80 %.

    Variances shrink with the number of seeds and of images. What seeds do on single images is counted with the seeds,
    so that the number of images needed errs on the high side. The errors are estimates themselves: take the numbers as
    orders of magnitude, the more so with few seeds.

    Args:
        image_error, seed_error, images, seeds: of an `Estimate` of a difference.
        effect: the difference to be found, in the metric's unit; 0.01 is one point of mAP.
        wanted: chance to find it, in (0, 1).
        level: 1 - confidence.

    Raises:
        InputError: no effect, or a chance that is not above `level` and below 1.
    """
    if not effect:
        raise InputError("a difference of 0 cannot be found; give the smallest that matters")
    if not level < wanted < 1:
        raise InputError(f"a power of {wanted} is outside of ({level}, 1)")
    if seeds < 2:  # of one arm; another may have more and so tell of its own spread, but not of this one's
        seed_error = None
    one_seed = (seed_error or 0.0) * np.sqrt(seeds)
    one_image = image_error * np.sqrt(images)

    def by_seeds(count: int) -> float:
        return power(effect, image_error, one_seed / np.sqrt(count), count, level)

    def by_images(count: int) -> float:
        return power(effect, one_image / np.sqrt(count), seed_error or 0.0, seeds, level)

    return Needed(
        effect=effect,
        power=wanted,
        now=by_images(images) if seed_error is not None else None,
        seeds=_smallest(by_seeds, wanted, 2) if seed_error is not None else None,
        images=_smallest(by_images, wanted, 1),
    )


def _smallest(chance: Callable[[int], float], wanted: float, least: int) -> int | None:
    """Find the smallest number whose chance is high enough; the chance rises with the number."""
    if chance(_MOST) < wanted:
        return None
    low, high = least, _MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= wanted else (middle + 1, high)
    return low
