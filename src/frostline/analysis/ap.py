"""Average precision of matched detections under weights for the images, in COCO's definition and in Ultralytics'.

A weight is how often an image was drawn: its truths and detections count so many times, side by side in the ranking.
Two things make a thousand draws cheap. Precision has its peaks at true positives, so AP follows from them and from how
many detections stand before each; and that count is one running sum, shared by all IoU thresholds.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.analysis.compiling import compiled
from frostline.analysis.matching import IGNORED, TRUE, Matches

RECALLS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)
RECALL_ASKED = 0.6
_ASKED_INDEX = 60


@dataclass(frozen=True)
class PrecisionTable:
    """Precision of each draw; every array is (R draws, A area ranges, C classes, T IoU thresholds), in [0, 1].

    Where the truth holds nothing to find it is NaN; where there is something and none was found it is 0.

    Attributes:
        ap: average precision.
        at_recall: the best precision at recall 0.6 or above; 0 where that recall is not reached.
    """

    ap: NDArray[np.float64]
    at_recall: NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """The matches of one run, packed for counting: what moves the precision-recall curve, in its order.

    For each area range and class the running sum is over the detections whose own box is in the range. At each IoU
    threshold, *events* correct it: a true positive from outside of the range is added, a detection inside that found an
    ignored truth is taken out.

    Attributes:
        shape: (A, C, T).
        strict: Ultralytics' step: the precision at a recall is that of the next true positive, not of this one.
        truths: (A * C, I) truths that count.
        base_image, base_start: images of the detections in the running sum, and where each (area, class) begins.
        rank, image, hit, extra, start: of each event, the detections of the running sum up to it, its image, whether it
            is a true positive, what it adds to the sum; and where each (area, class, threshold) begins.
    """

    shape: tuple[int, int, int]
    strict: bool
    truths: NDArray[np.int32]
    base_image: NDArray[np.int32]
    base_start: NDArray[np.int64]
    rank: NDArray[np.int32]
    image: NDArray[np.int32]
    hit: NDArray[np.int8]
    extra: NDArray[np.int8]
    start: NDArray[np.int64]


def rank_matches(matches: Matches) -> Ranking:
    """Pack matches for `precision_table`; once for a run, however many draws follow."""
    boxes, areas, classes = matches.boxes, len(matches.areas), len(matches.boxes.class_ids)
    levels = matches.outcome.shape[2]
    edges = np.searchsorted(boxes.klass, np.arange(classes + 1))
    base, base_start = [], [0]
    events: list[tuple[NDArray[Any], ...]] = []
    start = [0]
    for area in range(areas):
        for k in range(classes):
            rows = slice(edges[k], edges[k + 1])
            inside, image = matches.in_area[area, rows], boxes.image[rows]
            base.append(image[inside])
            base_start.append(base_start[-1] + len(base[-1]))
            rank = np.cumsum(inside)
            for t in range(levels):
                outcome = matches.outcome[area, rows, t]
                hit = outcome == TRUE
                at = np.flatnonzero(hit | ((outcome == IGNORED) & inside))
                extra = np.where(hit[at], ~inside[at], -1)
                events.append((rank[at], image[at], hit[at], extra))
                start.append(start[-1] + len(at))
    columns = [np.concatenate(parts) for parts in zip(*events, strict=True)] if events else [np.zeros(0)] * 4
    return Ranking(
        shape=(areas, classes, levels),
        strict=matches.source == "ultralytics",
        truths=matches.truths.reshape(areas * classes, len(boxes.images)),
        base_image=np.concatenate(base).astype(np.int32) if base else np.zeros(0, np.int32),
        base_start=np.array(base_start),
        rank=columns[0].astype(np.int32),
        image=columns[1].astype(np.int32),
        hit=columns[2].astype(np.int8),
        extra=columns[3].astype(np.int8),
        start=np.array(start),
    )


def precision_table(ranking: Ranking, weights: ArrayLike | None = None) -> PrecisionTable:
    """Compute average precision for each draw of images.

    Equal scores keep the order of `Boxes`: COCO's own; Ultralytics sorts them in no stated order. The copies of one
    detection stand side by side, where copied files would let equal scores of one image take turns.

    Args:
        ranking: what `rank_matches` gives.
        weights: (R, I) how often each image counts, integers from 0; None counts each once (R is 1).

    Source: COCO's detection evaluation (mean of the precision envelope at 101 recalls) and ultralytics 8.4,
    `utils/metrics.py`, `compute_ap` (trapezoids between them, the envelope 0 from the highest recall on).
    """
    images = ranking.truths.shape[1]
    draws = np.ones((1, images), np.int32) if weights is None else np.ascontiguousarray(weights, dtype=np.int32)
    truths = np.rint(draws.astype(np.float64) @ ranking.truths.T.astype(np.float64)).astype(np.int64)
    areas, classes, levels = ranking.shape
    out = np.full((2, len(draws), areas * classes * levels), np.nan)

    def part(rows: slice) -> None:
        _precision_loop(
            draws[rows], truths[rows], ranking.base_image, ranking.base_start, ranking.rank, ranking.image,
            ranking.hit, ranking.extra, ranking.start, levels, ranking.strict, RECALLS, _ASKED_INDEX,
            out[0, rows], out[1, rows],
        )  # fmt: skip

    in_threads(part, len(draws))
    shape = (len(draws), *ranking.shape)
    return PrecisionTable(out[0].reshape(shape), out[1].reshape(shape))


def in_threads(work: Any, count: int) -> None:
    """Call `work(slice)` over `count` rows on the cores that this process may use; the kernels let go of the GIL."""
    # Not on macOS and Windows.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = min(cores, count // 8)
    if parts <= 1:
        work(slice(0, count))
        return
    edges = [count * part // parts for part in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, map(slice, edges, edges[1:])))


def mean_over_classes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the last axis over the classes that have a value; NaN where none has."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    mean: NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


@compiled
def _recalls_passed(recall: float, strict: bool, recalls: NDArray[np.float64]) -> int:
    """Count the recalls of the table up to one; `strict` leaves out the equal one."""
    k = min(int(recall * 100) + 2, len(recalls))
    while k > 0 and (recalls[k - 1] > recall or (strict and recalls[k - 1] == recall)):
        k -= 1
    return k


@compiled
def _precision_loop(
    draws: Any, truths: Any, base_image: Any, base_start: Any, rank: Any, image: Any, hit: Any, extra: Any, start: Any,
    levels: Any, strict: Any, recalls: Any, asked: Any, ap: Any, at_recall: Any,
) -> None:  # fmt: skip
    longest = 0
    for group in range(len(base_start) - 1):
        longest = max(longest, base_start[group + 1] - base_start[group])
    running = np.zeros(longest + 1, dtype=np.int32)
    widest = 0
    for cell in range(len(start) - 1):
        widest = max(widest, start[cell + 1] - start[cell])
    passed, precision = np.zeros(widest + 1, dtype=np.int64), np.zeros(widest + 1)
    for r in range(len(draws)):
        weight = draws[r]
        for group in range(len(base_start) - 1):
            total = truths[r, group]
            if total == 0:
                continue
            first, n = base_start[group], base_start[group + 1] - base_start[group]
            count = np.int32(0)
            for d in range(n):
                count += weight[base_image[first + d]]
                running[d + 1] = count
            for t in range(levels):
                cell = group * levels + t
                hits, correction, found = 0, 0, 0
                for e in range(start[cell], start[cell + 1]):
                    w = weight[image[e]]
                    if w == 0:
                        continue
                    correction += w * extra[e]
                    if hit[e]:
                        hits += w
                        precision[found] = hits / (running[rank[e]] + correction)
                        passed[found] = _recalls_passed(hits / total, strict, recalls)
                        found += 1
                # Backwards: the envelope is the best precision from here on; it holds for the recalls just passed.
                envelope, area, asked_precision = 0.0, 0.0, 0.0
                for j in range(found - 1, -1, -1):
                    envelope = max(envelope, precision[j])
                    before = passed[j - 1] if j > 0 else 0
                    area += envelope * (passed[j] - before)
                    if before <= asked < passed[j]:
                        asked_precision = envelope
                ap[r, cell] = (area - envelope / 2) / (len(recalls) - 1) if strict else area / len(recalls)
                at_recall[r, cell] = asked_precision
