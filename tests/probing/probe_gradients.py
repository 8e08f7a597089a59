"""Gradients made to order."""

from __future__ import annotations

import numpy as np

from frostline.probing.gradients import GradientSet


def made(ratios: dict[int, float], batches: int = 6, size: int = 2000, seed: int = 0) -> GradientSet:
    """Gradients of layers with about these signal-to-noise ratios."""
    rng = np.random.default_rng(seed)
    products = {}
    for index, ratio in ratios.items():
        signal = rng.normal(size=size)
        drawn = signal * (ratio / np.mean(signal**2)) ** 0.5 + rng.normal(size=(batches, size))
        products[index] = drawn @ drawn.T
    return GradientSet(products, dict.fromkeys(products, 1.0))
