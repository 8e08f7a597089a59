"""Precision at each recall as COCO draws it, and where one such curve overtakes another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.ap import RECALLS, mean_over_classes
from frostline.analysis.matching import FALSE, IOUS, TRUE, Matches

Side = Literal["above", "below"]


@dataclass(frozen=True)
class RecallCurves:
    """Precision against recall at one IoU threshold, by class.

    Attributes:
        names: (C,) all classes.
        truths: (C,) objects to be found.
        recall: (101,) 0, 0.01, ..., 1.
        precision: (C, 101) best precision at this recall or above, 0 where it is not reached; NaN without truths.
    """

    names: tuple[str, ...]
    truths: NDArray[np.int64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(101,) mean over the classes that have truths; its own mean is COCO's mAP at this threshold."""
        return mean_over_classes(self.precision.T)


def recall_curves(matches: Matches, iou: float = 0.5) -> RecallCurves:
    """Compute precision at COCO's 101 recalls, for objects of all sizes.

    Args:
        matches: of `match_coco`.
        iou: one of `IOUS`.

    Source: COCO's detection evaluation; the mean of a class's row is its AP at this threshold.
    """
    boxes, level = matches.boxes, int(np.argmin(np.abs(IOUS - iou)))
    truths = matches.truths[0].sum(axis=1).astype(np.int64)
    precision = np.full((len(boxes.names), len(RECALLS)), np.nan)
    edges = np.searchsorted(boxes.klass, np.arange(len(boxes.names) + 1))
    for k in np.flatnonzero(truths):
        outcome = matches.outcome[0, edges[k] : edges[k + 1], level]
        hits, misses = np.cumsum(outcome == TRUE), np.cumsum(outcome == FALSE)
        envelope = np.maximum.accumulate((hits / np.maximum(hits + misses, 1))[::-1])[::-1]
        at = np.searchsorted(hits / truths[k], RECALLS, side="left")
        precision[k] = np.append(envelope, 0.0)[at]
    return RecallCurves(boxes.names, truths, RECALLS, precision)


@dataclass(frozen=True)
class Crossing:
    """Where a curve changes sides with another.

    Attributes:
        recall: at which the two meet, in [0, 1].
        side: of the curve from there on.
        lead: largest difference, curve - other, up to the next crossing; below 0 where it is below.
    """

    recall: float
    side: Side
    lead: float


def crossings(
    recall: NDArray[np.float64], curve: NDArray[np.float64], other: NDArray[np.float64], least: float = 0.01
) -> tuple[Side | None, list[Crossing]]:
    """Find where a curve overtakes another or falls behind it.

    Curves that lie on one another cross at every step; a lead counts only once it has been `least` or more.

    Args:
        recall: (n,) rising.
        curve, other: (n,) precision, in [0, 1].
        least: smallest lead that counts.

    Returns:
        The side that the curve is on at first (None where it never leads or trails by `least`), and the crossings, by
        rising recall.
    """
    apart = curve - other
    sides = np.where(apart >= least, 1, np.where(apart <= -least, -1, 0))
    known = np.flatnonzero(sides)
    if not known.size:
        return None, []
    turns = [(a, b) for a, b in itertools.pairwise(known) if sides[a] != sides[b]]
    found = []
    for index, (before, after) in enumerate(turns):
        # Where the sign changes last before the lead is clear: small leads to and fro in between do not count.
        signs = apart[before : after + 1] * sides[after] > 0
        step = before + int(np.flatnonzero(~signs)[-1])
        a, b = apart[step], apart[step + 1]
        meet = recall[step] + (recall[step + 1] - recall[step]) * (a / (a - b))
        end = turns[index + 1][0] + 1 if index + 1 < len(turns) else len(apart)
        part = apart[after:end]
        lead = float(part.max() if sides[after] > 0 else part.min())
        found.append(Crossing(float(meet), "above" if sides[after] > 0 else "below", lead))
    return ("above" if sides[known[0]] > 0 else "below"), found
