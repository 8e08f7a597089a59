"""Draws of images in blocks of 16 side by side, so that one instruction counts an image for several draws at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.analysis.compiling import compiled

LANES = 16


@dataclass(frozen=True)
class Blocks:
    """How often each image counts in each draw.

    Attributes:
        draws: number of draws, R.
        weights: (N, I, 16) of draw `16 * n + lane`; 0 in lanes beyond the last draw.
    """

    draws: int
    weights: NDArray[np.int32]

    def sums(self, per_image: NDArray[Any]) -> NDArray[np.float64]:
        """Sum (K, I) numbers of the images over each draw: (N, K, 16)."""
        total: NDArray[np.float64] = per_image.astype(np.float64) @ self.weights.astype(np.float64)
        return total

    def by_draw(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring (N, K, 16) results into the order of the draws: (R, K)."""
        rows = values.shape[0] * LANES
        return values.transpose(0, 2, 1).reshape(rows, values.shape[1])[: self.draws]


def in_blocks(weights: ArrayLike | Blocks) -> Blocks:
    """Arrange (R, I) weights, integers from 0, in blocks; blocks stay as they are."""
    if isinstance(weights, Blocks):
        return weights
    rows: NDArray[np.int32] = np.asarray(weights, dtype=np.int32)
    count, images = -(-len(rows) // LANES), rows.shape[1]
    padded = np.zeros((count * LANES, images), np.int32)
    padded[: len(rows)] = rows
    return Blocks(len(rows), np.ascontiguousarray(padded.reshape(count, LANES, images).transpose(0, 2, 1)))


def usable_cores() -> int:
    """Count the cores that this process may use."""
    # Not on macOS and Windows.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[slice], None], count: int) -> None:
    """Call `work(slice)` over `count` blocks on the cores that this process may use; the kernels let go of the GIL."""
    parts = min(usable_cores(), count)
    if parts <= 1:
        work(slice(0, count))
        return
    edges = [count * part // parts for part in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, map(slice, edges, edges[1:])))


@compiled
def running_sums(pairs: Any, image: Any, start: Any, stops: Any, table: Any) -> None:
    """Count a list of images from `start` up to each of the rising `stops`.

    Two draws share one int64, of which neither half overflows, and eight sums stay in registers: a loop over sixteen
    int32 goes through memory and takes more than twice as long.

    Args:
        pairs: (I, 8) int64 view of one block's weights.
        image: (n,) images in their order.
        start: where to begin.
        stops: (S,) where sums are wanted, each the first entry that is not in it.
        table: (at least S, 8) int64 view of the sums, filled.
    """
    a = b = c = d = e = f = g = h = np.int64(0)
    at = start
    for s in range(len(stops)):
        for i in range(at, stops[s]):
            m = image[i]
            a += pairs[m, 0]
            b += pairs[m, 1]
            c += pairs[m, 2]
            d += pairs[m, 3]
            e += pairs[m, 4]
            f += pairs[m, 5]
            g += pairs[m, 6]
            h += pairs[m, 7]
        at = stops[s]
        row = table[s]
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7] = a, b, c, d, e, f, g, h
