"""What kind of mistake each false detection is, after TIDE, and what AP50 would gain if that kind were mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.ap import Ranking, mean_over_classes, precision_table, rank_matches
from frostline.analysis.blocks import Blocks, in_blocks
from frostline.analysis.compiling import compiled
from frostline.analysis.confusing import box_iou, image_groups
from frostline.analysis.matching import TRUE, Boxes, Matches

ERRORS = ("classification", "localisation", "both", "duplicate", "background", "missed")
_CLASSIFICATION, _LOCALISATION, _BOTH, _DUPLICATE, _BACKGROUND = range(5)
_RIGHT = -1


@dataclass(frozen=True)
class TideErrors:
    """Mistakes of one run. A detection that found a truth of its class at IoU 0.50 is right, others are a mistake each.

    Attributes:
        per_image: (I, 6) counts in the order of `ERRORS`.
        rankings: AP50 of COCO as it is (`""`) and with each kind of mistake mended.
    """

    per_image: NDArray[np.int64]
    rankings: Mapping[str, Ranking]

    @property
    def counts(self) -> dict[str, int]:
        """Mistakes by kind, over all images and all detections that NMS let through."""
        return {name: int(n) for name, n in zip(ERRORS, self.per_image.sum(axis=0), strict=True)}

    @property
    def gains(self) -> dict[str, float | None]:
        """Points of mAP50 (in [0, 1]) that mending each kind would gain; None without truths."""
        values = gain_table(self, np.ones((1, len(self.per_image)), np.int32))[0]
        return {name: float(v) if np.isfinite(v) else None for name, v in zip(ERRORS, values, strict=True)}


def tide_errors(boxes: Boxes, found_iou: float = 0.5, background_iou: float = 0.1) -> TideErrors:
    """Sort false detections and missed truths into TIDE's kinds.

    In this order, for a detection that found nothing: *localisation*, its best truth of its class overlaps by at least
    `background_iou` but less than `found_iou`; *classification*, a truth of another class overlaps by at least
    `found_iou`; *duplicate*, a truth of its class does, which a surer detection had taken; *background*, nothing
    overlaps by `background_iou`; *both*, the rest: a wrong class and too little overlap. *Missed* is a truth that
    nothing found and that mending a localisation or classification error would not find.

    Args:
        boxes: what `read_boxes` gives.
        found_iou: IoU from which a truth counts as found.
        background_iou: IoU below which a detection counts as background.

    Source: Bolya, Foley, Hays, Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020.
    """
    kind = np.full(len(boxes.image), _RIGHT, dtype=np.int64)
    target = np.full(len(boxes.image), -1, dtype=np.int64)
    used = np.zeros(len(boxes.truth_image), dtype=np.bool_)
    _tide_loop(
        *image_groups(boxes), boxes.klass, boxes.truth_class, boxes.box, boxes.truth_box, found_iou, background_iou,
        kind, target, used,
    )  # fmt: skip
    mendable = np.isin(kind, (_CLASSIFICATION, _LOCALISATION))
    missed = ~used
    missed[target[mendable]] = False
    per_image = np.zeros((len(boxes.images), len(ERRORS)), dtype=np.int64)
    wrong = kind != _RIGHT
    np.add.at(per_image, (boxes.image[wrong], kind[wrong]), 1)
    per_image[:, -1] = np.bincount(boxes.truth_image[missed], minlength=len(boxes.images))
    rankings = {"": _ranking(boxes, kind == _RIGHT, np.ones(len(kind), bool), boxes.klass, np.ones(len(missed), bool))}
    for error, name in enumerate(ERRORS[:-1]):
        hit, keep, klass = _mended(boxes, kind, target, used, error)
        rankings[name] = _ranking(boxes, hit, keep, klass, np.ones(len(missed), bool))
    rankings[ERRORS[-1]] = _ranking(boxes, kind == _RIGHT, np.ones(len(kind), bool), boxes.klass, ~missed)
    return TideErrors(per_image, rankings)


def gain_table(errors: TideErrors, weights: NDArray[np.int32] | Blocks) -> NDArray[np.float64]:
    """Compute how much mAP50 mending each kind of mistake gains, for each draw of images.

    Args:
        errors: what `tide_errors` gives.
        weights: (R, I) how often each image counts.

    Returns:
        (R, 6) in the order of `ERRORS`, in [0, 1]; the kinds are mended one at a time, so they do not sum up.
    """
    draws = in_blocks(weights)
    values = {
        name: mean_over_classes(precision_table(ranking, draws).ap[:, 0, :, 0])
        for name, ranking in errors.rankings.items()
    }
    return np.stack([values[name] - values[""] for name in ERRORS], axis=1)


def _mended(
    boxes: Boxes, kind: NDArray[np.int64], target: NDArray[np.int64], used: NDArray[np.bool_], error: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int32]]:
    """Give hits, kept detections and classes after mending: put right if it then finds a free truth, else dropped."""
    hit, klass = kind == _RIGHT, boxes.klass.copy()
    at = np.flatnonzero(kind == error)
    keep = np.ones(len(kind), dtype=bool)
    keep[at] = False
    if error in (_CLASSIFICATION, _LOCALISATION):
        at = at[~used[target[at]]]
        # The surest detection of each truth is the one that finds it.
        at = at[np.argsort(-boxes.score[at], kind="stable")]
        _, first = np.unique(target[at], return_index=True)
        best = at[first]
        hit[best] = keep[best] = True
        klass[best] = boxes.truth_class[target[best]]
    return hit, keep, klass


def _ranking(
    boxes: Boxes,
    hit: NDArray[np.bool_],
    keep: NDArray[np.bool_],
    klass: NDArray[np.int32],
    truths: NDArray[np.bool_],
) -> Ranking:
    order = np.flatnonzero(keep)
    if klass is not boxes.klass and not np.array_equal(klass, boxes.klass):
        order = order[np.lexsort((boxes.image[order], -boxes.score[order].astype(np.float64), klass[order]))]
    moved = replace(boxes, image=boxes.image[order], klass=klass[order], score=boxes.score[order])
    counts = np.zeros((1, len(boxes.class_ids), len(boxes.images)), dtype=np.int32)
    np.add.at(counts[0], (boxes.truth_class[truths], boxes.truth_image[truths]), 1)
    outcome = np.where(hit[order], TRUE, 0).astype(np.uint8)[None, :, None]
    return rank_matches(Matches("coco", ("all",), moved, outcome, np.ones((1, len(order)), bool), counts))


@compiled
def _tide_loop(  # noqa: PLR0912 (one pass, compiled)
    order: Any, starts: Any, truth_order: Any, truth_starts: Any, klass: Any, truth_class: Any, box: Any,
    truth_box: Any, found_iou: Any, background_iou: Any, kind: Any, target: Any, used: Any,
) -> None:  # fmt: skip
    for image in range(len(starts) - 1):
        truths = truth_order[truth_starts[image] : truth_starts[image + 1]]
        for d in order[starts[image] : starts[image + 1]]:
            free, free_iou = -1, 0.0
            same, same_iou, other, other_iou = -1, 0.0, -1, 0.0
            for truth in truths:
                overlap = box_iou(box[d], truth_box[truth])
                if truth_class[truth] == klass[d]:
                    if overlap >= found_iou and overlap >= free_iou and not used[truth]:
                        free, free_iou = truth, overlap
                    if overlap > same_iou:
                        same, same_iou = truth, overlap
                elif overlap > other_iou:
                    other, other_iou = truth, overlap
            if free >= 0:
                used[free] = True
            elif background_iou <= same_iou < found_iou:
                kind[d], target[d] = _LOCALISATION, same
            elif other_iou >= found_iou:
                kind[d], target[d] = _CLASSIFICATION, other
            elif same_iou >= found_iou:
                kind[d], target[d] = _DUPLICATE, same
            elif max(same_iou, other_iou) < background_iou:
                kind[d] = _BACKGROUND
            else:
                kind[d], target[d] = _BOTH, other
