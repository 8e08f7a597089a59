"""Intervals of a spread: percentile and BCa, and the p-value that goes with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from frostline.analysis.bootstrap import Spread

Method = Literal["percentile", "bca"]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: on the images as they are, mean over seeds.
        low, high: the interval.
        confidence: nominal, in (0, 1).
        method: how the interval was made.
        image_error, seed_error: standard errors from the choice of images and of seeds, see `Spread`.
        images: number of validation images.
        seeds: smallest number of seeds of an arm that takes part.
        p_value: two-sided, against 0: the largest level at which the interval still has 0 outside of it.
        cautions: why the interval may cover less than it says; empty where the simulation found it to hold.
    """

    value: float
    low: float
    high: float
    confidence: float
    method: Method
    image_error: float
    seed_error: float | None
    images: int
    seeds: int
    p_value: float
    cautions: tuple[str, ...]


def interval(found: Spread, confidence: float = 0.95, method: Method = "percentile") -> tuple[float, float]:
    """Compute the interval of a spread.

    Args:
        found: what `bootstrap.spread` gives.
        confidence: in (0, 1).
        method: `percentile` takes the quantiles of the draws as they are; `bca` shifts them for bias and acceleration.

    Returns:
        (low, high); NaN for an undefined quantity.

    Source: Efron, "Better bootstrap confidence intervals", JASA 82, 1987.
    """
    draws = found.draws
    if not draws.size or not np.isfinite(found.value):
        return float("nan"), float("nan")
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = np.quantile(draws, bca_levels(found, tails) if method == "bca" else tails)
    return float(low), float(high)


def bca_levels(found: Spread, tails: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the quantiles of the draws that BCa takes for those of the interval."""
    draws = found.draws
    # Draws equal to the value count half, as scipy counts them: with few images many are equal.
    below = (np.sum(draws < found.value) + np.sum(draws <= found.value)) / (2 * len(draws))
    if below in (0.0, 1.0):
        return tails
    bias = special.ndtri(below)
    moved = bias + special.ndtri(tails)
    levels: NDArray[np.float64] = special.ndtr(bias + moved / (1 - found.acceleration * moved))
    return levels


def p_value(found: Spread, against: float = 0.0, method: Method = "percentile") -> float:
    """Compute the two-sided p-value of a quantity being `against`: where its interval begins to leave that value out.

    Never below 2 / (B + 1), as B draws tell no more.

    Args:
        found: what `bootstrap.spread` gives.
        against: the value of the null hypothesis.
        method: of the interval.
    """
    draws = found.draws
    if not draws.size or not np.isfinite(found.value):
        return float("nan")
    smallest = 2 / (len(draws) + 1)
    share = (np.sum(draws < against) + np.sum(draws <= against)) / (2 * len(draws))
    if method == "bca" and 0 < share < 1:
        levels = np.linspace(smallest, 1.0, 2001)
        lows = np.quantile(draws, bca_levels(found, levels / 2))
        highs = np.quantile(draws, bca_levels(found, 1 - levels / 2))
        outside = (lows > against) | (highs < against)
        return float(levels[outside][0]) if outside.any() else 1.0
    return float(min(1.0, max(smallest, 2 * min(share, 1 - share))))
