"""Images that occur twice: the same pixels, or the same to the eye."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from frostline.datasets.quality.look import Look

NEAR_BITS = 8
"""Perceptual hashes of 64 bits that differ in no more than these may be the same picture."""
NEAR_CORRELATION = 0.95
"""And are taken for it when their thumbnails correlate at least so much."""
_ROWS = 2048
_TRIED = 16

Pair = tuple[Look, Look]


def equal_pairs(looks: Sequence[Look]) -> tuple[list[Pair], list[Pair]]:
    """Find images with the same pixels.

    Returns:
        Pairs in two splits, and pairs within one. A picture that occurs n times gives n - 1 pairs, with its first.
    """
    groups: dict[bytes, list[Look]] = defaultdict(list)
    for look in looks:
        if look.digest:
            groups[look.digest].append(look)
    pairs = [(group[0], other) for group in groups.values() for other in group[1:]]
    across = [pair for pair in pairs if pair[0].split != pair[1].split]
    return across, [pair for pair in pairs if pair[0].split == pair[1].split]


def near_pairs(looks: Sequence[Look]) -> list[Pair]:
    """Find images that look the same as one of another split, and are not equal to it pixel by pixel."""
    by_split: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        if look.phash is not None:
            by_split[look.split].append(look)
    return [pair for one, other in combinations(by_split, 2) for pair in _between(by_split[one], by_split[other])]


def _between(ones: Sequence[Look], others: Sequence[Look]) -> list[Pair]:
    """Give each of the others its nearest twin at most: a camera that stood still makes millions of pairs."""
    pairs: list[Pair] = []
    # With bits as -1 and 1, the dot product of two hashes is 64 less twice the bits that differ.
    left = np.array([look.phash for look in ones], dtype=np.float32) * 2 - 1
    for start in range(0, len(others), _ROWS):
        part = others[start : start + _ROWS]
        right = np.array([look.phash for look in part], dtype=np.float32) * 2 - 1
        alike = right @ left.T
        for row in np.flatnonzero(alike.max(axis=1) >= left.shape[1] - 2 * NEAR_BITS):
            nearest = np.argsort(-alike[row], kind="stable")[:_TRIED]
            close = (ones[int(k)] for k in nearest if alike[row, k] >= left.shape[1] - 2 * NEAR_BITS)
            twin = next((one for one in close if _same_picture(one, part[int(row)])), None)
            if twin is not None:
                pairs.append((twin, part[int(row)]))
    return pairs


def _same_picture(one: Look, other: Look) -> bool:
    if one.digest == other.digest or one.thumbnail is None or other.thumbnail is None:
        return False
    return float((one.thumbnail * other.thumbnail).mean()) >= NEAR_CORRELATION
