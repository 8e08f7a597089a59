"""Draws of images in blocks of 16 side by side, so that one instruction counts an image for several draws at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.analysis.compiling import inlined

LANES = 16
_BYTE = 255


@dataclass(frozen=True)
class Blocks:
    """How often each image counts in each draw.

    Attributes:
        draws: number of draws, R.
        weights: (N, I, 16) of draw `16 * n + lane`; lanes beyond the last draw have it again.
        packed: (N, I, 2) the same, a byte a lane.
        room: how many images can be added up in bytes before one may overflow.
    """

    draws: int
    weights: NDArray[np.int32]
    packed: NDArray[np.int64]
    room: int

    def sums(self, per_image: NDArray[Any]) -> NDArray[np.float64]:
        """Sum (K, I) numbers of the images over each draw: (N, K, 16)."""
        total: NDArray[np.float64] = per_image.astype(np.float64) @ self.weights.astype(np.float64)
        return total

    def by_draw(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring (N, K, 16) results into the order of the draws: (R, K)."""
        rows = values.shape[0] * LANES
        return values.transpose(0, 2, 1).reshape(rows, values.shape[1])[: self.draws]


def in_blocks(weights: ArrayLike | Blocks) -> Blocks:
    """Arrange (R, I) weights, integers from 0 to 255, in blocks; blocks stay as they are.

    Raises:
        ValueError: a weight outside of that range.
    """
    if isinstance(weights, Blocks):
        return weights
    rows: NDArray[np.int32] = np.asarray(weights, dtype=np.int32)
    most = int(rows.max(initial=0))
    if most > _BYTE or rows.min(initial=0) < 0:
        raise ValueError(f"images count from 0 to {_BYTE} times each, not {rows.min()} to {most} times")
    count, images = -(-len(rows) // LANES), rows.shape[1]
    padded = rows[np.minimum(np.arange(count * LANES), len(rows) - 1)]
    blocks = np.ascontiguousarray(padded.reshape(count, LANES, images).transpose(0, 2, 1))
    return Blocks(len(rows), blocks, blocks.astype(np.uint8).view(np.int64), _BYTE // max(most, 1))


def usable_cores() -> int:
    """Count the cores that this process may use."""
    # Not on macOS and Windows.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@inlined
def packed_sum(packed: Any, image: Any, start: Any, stop: Any) -> Any:
    """Add up the images `image[start:stop]`, no more than there is room for: two int64 of eight draws each."""
    a = b = np.int64(0)
    for i in range(start, stop):
        m = image[i]
        a += packed[m, 0]
        b += packed[m, 1]
    return a, b


@inlined
def running_sums(packed: Any, room: Any, image: Any, start: Any, stops: Any, parts: Any, table: Any) -> None:
    """Count a list of images from `start` up to each of the rising `stops`.

    From stop to stop it counts in bytes: eight draws share one int64, of which none overflows, and both stay in
    registers. What is between two stops is seldom more than there is room for, and then taken in pieces. A second pass
    adds the parts up, so that no byte is read right after it was written.

    Args:
        packed, room: of one block, see `Blocks`.
        image: (n,) images in their order.
        start: where to begin.
        stops: (S,) where sums are wanted, each the first entry that is not in it.
        parts: (at least S, 2) int64, to work in.
        table: (at least S, 16) int32 sums, filled.
    """
    at, lanes = start, parts.view(np.uint8)
    for s in range(len(stops)):
        for lane in range(LANES):
            table[s, lane] = 0
        while stops[s] - at > room:
            parts[s, 0], parts[s, 1] = packed_sum(packed, image, at, at + room)
            for lane in range(LANES):
                table[s, lane] += lanes[s, lane]
            at += room
        parts[s, 0], parts[s, 1] = packed_sum(packed, image, at, stops[s])
        at = stops[s]
    if len(stops):
        for lane in range(LANES):
            table[0, lane] += lanes[0, lane]
    for s in range(1, len(stops)):
        for lane in range(LANES):
            table[s, lane] += table[s - 1, lane] + lanes[s, lane]
