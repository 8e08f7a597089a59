"""Which part of a detector is most worth training: the first block, the backbone or the head, from gradients alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.freezing import layer_roles
from frostline.probing.gradients import GradientSet, signal_to_noise

FIRST_BLOCK = 3
"""Layers of the first block: of a YOLO, two strided convolutions and the first block of convolutions."""
RESAMPLES = 1000
EVEN = 1.0
"""Signal-to-noise ratio at which the gradient of one batch is half noise."""


@dataclass(frozen=True)
class RegionRanking:
    """The first block, the backbone and the head, by how much training each alone promises.

    Attributes:
        order: `first`, `backbone` and `head`, the most promising first.
        scores: signal-to-noise ratio of each, and of `rest`, the backbone without the first block.
        pulled: whether any region has more signal than noise. Without, the order goes by least disturbance.
        stability: share of bootstrap resamples of the batches that give the same order, 0 to 1.
        top_stability: share that gives the same first.
    """

    order: tuple[str, ...]
    scores: dict[str, float]
    pulled: bool
    stability: float
    top_stability: float


def regions_of(model: Any) -> dict[str, tuple[int, ...]]:
    """Return the layers of the first block, of the backbone, which the first block is part of, and of the head."""
    roles = layer_roles(model)
    backbone = tuple(i for i, role in enumerate(roles) if role == "backbone")
    return {"first": backbone[:FIRST_BLOCK], "backbone": backbone, "head": (len(roles) - 1,)}


def rank_regions(
    gradients: GradientSet, regions: Mapping[str, tuple[int, ...]], seed: int = 0, resamples: int = RESAMPLES
) -> RegionRanking:
    """Rank the first block, the backbone and the head by the signal-to-noise ratio of their gradients.

    A region whose gradient is much the same on every batch has something to learn that holds for the next batch too
    (Auto-SNR of Lee et al., ICLR 2023). Two cases need more than that:

    - The backbone holds the first block, and can learn all that it can. It comes before it where what it adds has more
      signal than noise, and after it where it adds mostly noise.
    - Where no region has more signal than noise, no shift pulls at any. Training then disturbs more than it teaches,
      the more so the more layers lie behind what moves: the head comes first, then the first block, then the backbone.

    Args:
        gradients: of at least 2 batches.
        regions: layers of `first`, `backbone` and `head`, as `regions_of` gives them.
        seed: of the bootstrap.
        resamples: of the batches, with replacement; those of one batch alone are drawn again.
    """
    n = gradients.batches
    grams = _region_products(gradients, regions)
    scores = {name: signal_to_noise(products) for name, products in grams.items()}
    order = _ordered(scores)
    same = top = done = 0
    generator = np.random.default_rng(seed)
    while done < resamples:
        counts = generator.multinomial(n, np.full(n, 1 / n)).astype(float)
        if np.count_nonzero(counts) < 2:
            continue
        again = _ordered({name: signal_to_noise(products, counts) for name, products in grams.items()})
        same += again == order
        top += again[0] == order[0]
        done += 1
    return RegionRanking(order, scores, _pulled(scores), same / max(done, 1), top / max(done, 1))


def group_products(gradients: GradientSet, layers: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the inner products of the gradients of several layers together; zeros where none has weights."""
    total = np.zeros((gradients.batches, gradients.batches))
    for index in layers:
        if index in gradients.products:
            total = total + gradients.products[index]
    return total


def _region_products(gradients: GradientSet, regions: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float64]]:
    rest = tuple(index for index in regions["backbone"] if index not in regions["first"])
    return {name: group_products(gradients, layers) for name, layers in {**regions, "rest": rest}.items()}


def _pulled(scores: Mapping[str, float]) -> bool:
    return max(scores["first"], scores["backbone"], scores["head"]) > EVEN


def _ordered(scores: Mapping[str, float]) -> tuple[str, ...]:
    if not _pulled(scores):
        return ("head", "first", "backbone")
    lower = ("backbone", "first") if scores["rest"] > EVEN else ("first", "backbone")
    if scores["head"] > max(scores["first"], scores["backbone"]):
        return ("head", *lower)
    return (*lower, "head")
