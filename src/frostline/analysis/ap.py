"""Average precision of matched detections under weights for the images, in COCO's definition and in Ultralytics'.

A weight is how often an image was drawn: its truths and detections count so many times, side by side in the ranking.
Three things make a thousand draws cheap. Precision has its peaks at true positives, so AP follows from them and from
how many detections stand before each; that count is one running sum, shared by all IoU thresholds; and sixteen draws
are counted side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.analysis.ap_loops import passed_at_ties, precision_loop
from frostline.analysis.blocks import LANES, Blocks, in_blocks
from frostline.analysis.matching import IGNORED, TRUE, Matches

RECALLS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)
RECALL_ASKED = 0.6


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
    ignored truth is taken out. The sum is wanted at events alone, and what stands below the last one is not looked at.

    Attributes:
        shape: (A, C, T).
        strict: Ultralytics' step: the precision at a recall is that of the next true positive, not of this one.
        truths: (A * C, I) truths that count.
        base_image: images of the detections in the running sum, (area, class) after (area, class).
        base_start: (A * C,) where each begins.
        stop, stop_start: ends in `base_image` up to which the sum is wanted, rising, and where the stops of each (area,
            class) begin.
        slot, image, start: of each event, which of those stops is its own, its image; and where each (area, class,
            threshold) begins.
        turn, turn_hit, turn_extra, turn_start: of the events that correct the sum, which it is, whether it is a true
            positive, what it adds; and where each (area, class, threshold) begins. All other events are true positives.
    """

    shape: tuple[int, int, int]
    strict: bool
    truths: NDArray[np.int32]
    base_image: NDArray[np.int32]
    base_start: NDArray[np.int64]
    stop: NDArray[np.int64]
    stop_start: NDArray[np.int64]
    slot: NDArray[np.int32]
    image: NDArray[np.int32]
    start: NDArray[np.int64]
    turn: NDArray[np.int64]
    turn_hit: NDArray[np.bool_]
    turn_extra: NDArray[np.int8]
    turn_start: NDArray[np.int64]


def rank_matches(matches: Matches) -> Ranking:
    """Pack matches for `precision_table`; once for a run, however many draws follow."""
    boxes, areas, classes = matches.boxes, len(matches.areas), len(matches.boxes.class_ids)
    levels = matches.outcome.shape[2]
    edges = np.searchsorted(boxes.klass, np.arange(classes + 1))
    base, stops = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    base_start, stop_start, start, turn_start = [0], [0], [0], [0]
    events = [(np.zeros(0, np.int32), np.zeros(0, np.int32))]
    turns = [(np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0, np.int8))]
    for area in range(areas):
        for k in range(classes):
            rows = slice(edges[k], edges[k + 1])
            inside, image = matches.in_area[area, rows], boxes.image[rows]
            outcome = np.ascontiguousarray(matches.outcome[area, rows].T)
            hit = outcome == TRUE
            moving = hit | ((outcome == IGNORED) & inside)
            some = moving.any(axis=0)
            place = np.cumsum(some, dtype=np.int32) - 1
            base.append(image[inside])
            stops.append(base_start[-1] + np.cumsum(inside)[some])
            base_start.append(base_start[-1] + len(base[-1]))
            stop_start.append(stop_start[-1] + len(stops[-1]))
            for t in range(levels):
                at = np.flatnonzero(moving[t])
                found, extra = hit[t, at], np.where(hit[t, at], ~inside[at], -1).astype(np.int8)
                turning = np.flatnonzero(extra)
                turns.append((start[-1] + turning, found[turning], extra[turning]))
                turn_start.append(turn_start[-1] + len(turning))
                events.append((place[at], image[at]))
                start.append(start[-1] + len(at))
    slots, images = (np.concatenate(parts) for parts in zip(*events, strict=True))
    turn, turn_hit, turn_extra = (np.concatenate(parts) for parts in zip(*turns, strict=True))
    return Ranking(
        shape=(areas, classes, levels),
        strict=matches.source == "ultralytics",
        truths=matches.truths.reshape(areas * classes, len(boxes.images)),
        base_image=np.concatenate(base),
        base_start=np.array(base_start[:-1], np.int64),
        stop=np.concatenate(stops),
        stop_start=np.array(stop_start, np.int64),
        slot=slots,
        image=images,
        start=np.array(start, np.int64),
        turn=turn,
        turn_hit=turn_hit,
        turn_extra=turn_extra,
        turn_start=np.array(turn_start, np.int64),
    )


def precision_table(ranking: Ranking, weights: ArrayLike | Blocks | None = None) -> PrecisionTable:
    """Compute average precision for each draw of images.

    Equal scores keep the order of `Boxes`: COCO's own; Ultralytics sorts them in no stated order. The copies of one
    detection stand side by side, where copied files would let equal scores of one image take turns.

    Args:
        ranking: what `rank_matches` gives.
        weights: (R, I) how often each image counts, integers from 0; None counts each once (R is 1).

    Source: COCO's detection evaluation (mean of the precision envelope at 101 recalls) and ultralytics 8.4,
    `utils/metrics.py`, `compute_ap` (trapezoids between them, the envelope 0 from the highest recall on).
    """
    draws = in_blocks(np.ones((1, ranking.truths.shape[1]), np.int32) if weights is None else weights)
    truths = draws.sums(ranking.truths)
    out = np.full((2, len(draws.weights), len(ranking.start) - 1, LANES), np.nan)
    low, high = passed_at_ties(ranking.strict)

    precision_loop(
        draws.weights, draws.packed, draws.room, truths, ranking.base_image, ranking.base_start, ranking.stop,
        ranking.stop_start, ranking.slot, ranking.image, ranking.start, ranking.turn, ranking.turn_hit,
        ranking.turn_extra, ranking.turn_start, ranking.shape[2], ranking.strict, low, high, *out,
    )  # fmt: skip
    shape = (draws.draws, *ranking.shape)
    ap, at_recall = (draws.by_draw(table).reshape(shape) for table in out)
    return PrecisionTable(ap, at_recall)


def mean_over_classes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the last axis over the classes that have a value; NaN where none has."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    mean: NDArray[np.float64] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean
