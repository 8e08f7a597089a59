"""Which part of a detector is most worth training: the first block, the backbone or the head, from gradients alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.freezing import layer_roles
from frostline.probing.gradients import GradientSet

FIRST_BLOCK = 3
"""Layers of the first block: of a YOLO, two strided convolutions and the first block of convolutions."""
RESAMPLES = 1000


@dataclass(frozen=True)
class RegionRanking:
    """Regions by how much training each of them promises.

    Attributes:
        order: names, the most promising first.
        scores: by name; see `rank_regions`.
        stability: share of bootstrap resamples of the batches that give the same order, 0 to 1.
        top_stability: share that gives the same first.
    """

    order: tuple[str, ...]
    scores: dict[str, float]
    stability: float
    top_stability: float


def regions_of(model: Any) -> dict[str, tuple[int, ...]]:
    """Return the layers of the first block, of the backbone (the first block is part of it) and of the head."""
    roles = layer_roles(model)
    backbone = tuple(i for i, role in enumerate(roles) if role == "backbone")
    return {"first": backbone[:FIRST_BLOCK], "backbone": backbone, "head": (len(roles) - 1,)}


def rank_regions(
    gradients: GradientSet, regions: Mapping[str, tuple[int, ...]], seed: int = 0, resamples: int = RESAMPLES
) -> RegionRanking:
    """Rank regions.

    Args:
        gradients: of at least 2 batches.
        regions: layers by name.
        seed: of the bootstrap.
        resamples: of the batches, with replacement.
    """
    n = gradients.batches
    once = np.ones(n)
    scores = {name: region_score(gradients, layers, once) for name, layers in regions.items()}
    order = _ordered(scores)
    same = top = 0
    generator = np.random.default_rng(seed)
    for _ in range(resamples):
        counts = generator.multinomial(n, np.full(n, 1 / n)).astype(float)
        again = _ordered({name: region_score(gradients, layers, counts) for name, layers in regions.items()})
        same += again == order
        top += again[0] == order[0]
    return RegionRanking(order, scores, same / resamples, top / resamples)


def region_score(gradients: GradientSet, layers: tuple[int, ...], counts: NDArray[np.float64]) -> float:
    """Give the mean over a region's layers of the relative gradient norm (Lee et al., ICLR 2023).

    Args:
        gradients: of the batches.
        layers: of the region; those without weights do not count.
        counts: how often each batch counts.
    """
    values = [
        float(np.sqrt(np.diagonal(gradients.products[index])) @ counts / counts.sum()) / gradients.weights[index]
        for index in layers
        if gradients.weights.get(index, 0) > 0
    ]
    return float(np.mean(values)) if values else 0.0


def _ordered(scores: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(scores, key=lambda name: -scores[name]))
