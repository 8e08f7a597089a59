"""One direction from many, some of them wrong: medians of unit vectors, outliers rejected."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.imaging.estimate.result import Vectors, angles

AGREE_DEGREES = 3.0
"""Two directions that differ by less are taken to agree: within it, a projection removes 95 % of a shadow."""

_LEAST_SPREAD_DEGREES = 1.0
_SPREADS = 3.0
_MAD_TO_SIGMA = 1.4826
_ROUNDS = 12


def robust_direction(steps: NDArray[Any], weights: NDArray[Any] | None = None) -> tuple[Vectors, NDArray[np.bool_]]:
    """Find the direction that most of many steps share.

    The median, component by component, of the steps' unit vectors; those farther from it than three times the spread
    (median absolute angle, as a standard deviation) are rejected, and the median is taken again until nothing changes.

    Args:
        steps: (N, 3) with N at least 1 and no zero vectors; their lengths do not count.
        weights: (N,) at least one above zero; None for equal ones.

    Returns:
        The (3,) unit vector, and which steps were kept, (N,). The weighted majority is always kept.
    """
    units = np.asarray(steps, np.float64)
    units = units / np.linalg.norm(units, axis=1, keepdims=True)
    weight = np.ones(len(units)) if weights is None else np.asarray(weights, np.float64)
    kept = weight > 0
    for _ in range(_ROUNDS):
        middle = np.array([weighted_median(units[kept, channel], weight[kept]) for channel in range(3)])
        direction = middle / np.linalg.norm(middle)
        off = angles(units, direction)
        spread = max(_LEAST_SPREAD_DEGREES, _MAD_TO_SIGMA * weighted_median(off[kept], weight[kept]))
        now = (weight > 0) & (off <= _SPREADS * spread)
        if np.array_equal(now, kept):
            break
        kept = now
    return direction.astype(np.float32), kept


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the value below which half of the weight lies; between two values their mean.

    Args:
        values: (N,) at least one.
        weights: (N,) not negative, their sum above zero.
    """
    order = np.argsort(values, kind="stable")
    ordered, below = values[order], np.cumsum(weights[order])
    half = below[-1] / 2
    low = int(np.searchsorted(below, half * (1 - 1e-12)))
    high = int(np.searchsorted(below, half * (1 + 1e-12)))
    return float((ordered[low] + ordered[min(high, len(ordered) - 1)]) / 2)


def agreement(steps: NDArray[Any], direction: NDArray[Any]) -> float:
    """Return the share of (N, 3) steps within `AGREE_DEGREES` of a direction."""
    return float((angles(steps, direction) < AGREE_DEGREES).mean())
