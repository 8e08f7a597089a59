"""Which detection found which truth: once by COCO's rules and once by Ultralytics', which differ.

Matching looks at one image at a time, so its outcome stays as it is when images are drawn again: everything later
(AP, intervals) counts the rows of a `Matches` with a weight for each image and never matches a box twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from frostline.analysis.compiling import compiled
from frostline.analysis.predictions import BOX, UNCLIPPED, Predictions
from frostline.errors import InputError

IOUS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
AREAS = ("all", "small", "medium", "large")
FALSE, TRUE, IGNORED = range(3)

# Ultralytics' thresholds as torch makes them, in single precision and from both ends: some differ by a last digit.
_STEP = (np.float32(0.95) - np.float32(0.5)) / np.float32(9)
SINGLE_IOUS = np.array(
    [np.float32(0.5) + _STEP * np.float32(i) for i in range(5)]
    + [np.float32(0.95) - _STEP * np.float32(9 - i) for i in range(5, 10)],
    dtype=np.float32,
)

Source = Literal["coco", "ultralytics"]

# COCO's ranges of box area in pixels of the original image; both ends belong to a range.
_AREA_LOW = np.array([0.0, 0.0, 32.0**2, 96.0**2])
_AREA_HIGH = np.array([1e10, 32.0**2, 96.0**2, 1e10])


@dataclass(frozen=True)
class Boxes:
    """The boxes of a `predictions.parquet` as arrays. Detections are in the order of falling score within a class.

    Equal scores stay in the order of the images' names and then of the file, as COCO's stable sort leaves them.

    Attributes:
        images: names, sorted.
        class_ids: ids of all classes with a name, rising.
        names: (C,) names of `class_ids`.
        image: (D,) index into `images` of each detection.
        klass: (D,) index into `class_ids`, rising.
        score: (D,) confidences in [0, 1].
        box: (D, 4) x1, y1, x2, y2 in pixels of the original image, cut off at its border.
        whole_box: (D, 4) the same before it was cut off, where the file has that.
        truth_image: (G,) like `image`, of each truth.
        truth_class: (G,) like `klass`.
        truth_box: (G, 4) like `box`.
        has_whole: whether the file had the boxes before the cut. If not, AP in Ultralytics' definition is near its own
            validation's, not equal to it.
    """

    images: tuple[str, ...]
    class_ids: tuple[int, ...]
    names: tuple[str, ...]
    image: NDArray[np.int32]
    klass: NDArray[np.int32]
    score: NDArray[np.float32]
    box: NDArray[np.float64]
    whole_box: NDArray[np.float64]
    truth_image: NDArray[np.int32]
    truth_class: NDArray[np.int32]
    truth_box: NDArray[np.float64]
    has_whole: bool


@dataclass(frozen=True)
class Matches:
    """The outcome of each detection, at each IoU threshold.

    Attributes:
        source: whose rules.
        areas: the ranges of object size along the first axis, of `AREAS`; Ultralytics has only `all`.
        boxes: what was matched; after COCO's `max_det` only the detections that count.
        outcome: (A, D, T) `FALSE`, `TRUE` or `IGNORED` (COCO: of another size than asked for) by area range, detection
            and threshold (those of `IOUS`).
        in_area: (A, D) whether the detection's own box is in the area range.
        truths: (A, C, I) truths that count, by area range, class and image.
    """

    source: Source
    areas: tuple[str, ...]
    boxes: Boxes
    outcome: NDArray[np.uint8]
    in_area: NDArray[np.bool_]
    truths: NDArray[np.int32]


def read_boxes(predictions: Predictions) -> Boxes:
    """Sort the rows of a prediction table into arrays.

    Args:
        predictions: as `read_predictions` gives them; images without boxes count when they have an `image` row.

    Raises:
        InputError: a class id without a name.
    """
    frame, names = predictions.frame, predictions.settings.names
    boxes = frame.filter(pl.col("kind") != "image")
    unknown = sorted(set(boxes.get_column("class_id").unique().to_list()) - set(names))
    if unknown:
        raise InputError(f"class ids {unknown} have no name; the names are {dict(names)}")
    images = tuple(frame.get_column("image").unique().sort().to_list())
    class_ids = tuple(sorted(names))
    places = {name: index for index, name in enumerate(images)}
    has_whole = set(UNCLIPPED) <= set(frame.columns)
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for kind in ("truth", "prediction"):
        rows = boxes.filter(pl.col("kind") == kind)
        corners = rows.select(pl.col(name).cast(pl.Float64) for name in BOX).to_numpy()
        parts[kind] = {
            "image": rows.get_column("image").replace_strict(places, return_dtype=pl.Int32).to_numpy(),
            "klass": np.searchsorted(np.array(class_ids), rows.get_column("class_id").to_numpy()),
            "score": rows.get_column("score").to_numpy(),
            "box": corners,
            "whole": rows.select(
                pl.coalesce(pl.col(name), pl.col(fallback)).cast(pl.Float64)
                for name, fallback in zip(UNCLIPPED if has_whole else BOX, BOX, strict=True)
            ).to_numpy(),
        }
    found, truth = parts["prediction"], parts["truth"]
    order = np.lexsort((found["image"], -found["score"].astype(np.float64), found["klass"]))
    return Boxes(
        images=images,
        class_ids=class_ids,
        names=tuple(names[key] for key in class_ids),
        image=found["image"][order].astype(np.int32),
        klass=found["klass"][order].astype(np.int32),
        score=found["score"][order].astype(np.float32),
        box=np.ascontiguousarray(found["box"][order]),
        whole_box=np.ascontiguousarray(found["whole"][order]),
        truth_image=truth["image"].astype(np.int32),
        truth_class=truth["klass"].astype(np.int32),
        truth_box=np.ascontiguousarray(truth["box"]),
        has_whole=has_whole,
    )


def match_coco(boxes: Boxes, max_det: int) -> Matches:
    """Match as COCO does: per image and class, by falling score, each detection to its best free truth.

    A truth of another size than the area range asks for is ignored, and so is the detection that finds it; a detection
    that finds nothing is ignored when its own box is of another size.

    Args:
        boxes: what `read_boxes` gives.
        max_det: best-scored detections of one class in one image that count; see `evaluate_coco`.

    Raises:
        InputError: `max_det` below 1.

    Source: Lin et al., "Microsoft COCO: Common Objects in Context", 2014, and the COCO detection evaluation.
    """
    if max_det < 1:
        raise InputError(f"max_det is {max_det}, expected at least 1")
    kept = within_max_det(boxes, max_det)
    area = _areas(kept.box)
    truth_area = _areas(kept.truth_box)
    in_area = (area >= _AREA_LOW[:, None]) & (area <= _AREA_HIGH[:, None])
    counts = (truth_area >= _AREA_LOW[:, None]) & (truth_area <= _AREA_HIGH[:, None])
    return match_ranges(kept, AREAS, in_area, counts, IOUS)


def match_ranges(
    boxes: Boxes,
    names: tuple[str, ...],
    in_range: NDArray[np.bool_],
    counts: NDArray[np.bool_],
    ious: NDArray[np.float64],
) -> Matches:
    """Match as `match_coco` does, with any sorting of boxes in the place of sizes.

    Args:
        boxes: what `within_max_det` gives.
        names: (A,) of the ranges.
        in_range: (A, D) whether the detection's own box is in the range.
        counts: (A, G) whether the truth is.
        ious: (T,) thresholds.
    """
    outcome = np.zeros((len(names), len(boxes.image), len(ious)), dtype=np.uint8)
    detections, truths = _groups(boxes.image, boxes.klass, boxes), _groups(boxes.truth_image, boxes.truth_class, boxes)
    _coco_loop(*detections, *truths, boxes.box, boxes.truth_box, ~counts, in_range, ious, outcome)
    return Matches("coco", names, boxes, outcome, in_range, _count_truths(boxes, counts))


def match_ultralytics(boxes: Boxes) -> Matches:
    """Match as Ultralytics' validator does: per image and class, by falling score, to the best free truth.

    Unlike COCO there are no sizes, all detections count, boxes are not cut off at the border of the image, the first of
    equally good truths is taken instead of the last, and IoU is computed in single precision with 1e-7 added to the
    union. The validator does so in pixels of the network's input; scaled to the original image IoU is the same up to
    rounding.

    Args:
        boxes: what `read_boxes` gives.

    Source: ultralytics 8.4, `engine/validator.py`, `match_predictions`.
    """
    outcome = np.zeros((1, len(boxes.image), len(IOUS)), dtype=np.uint8)
    detections, truths = _groups(boxes.image, boxes.klass, boxes), _groups(boxes.truth_image, boxes.truth_class, boxes)
    _ultralytics_loop(
        *detections, *truths, boxes.whole_box.astype(np.float32), boxes.truth_box.astype(np.float32), SINGLE_IOUS,
        outcome,
    )  # fmt: skip
    everything = np.ones((1, len(boxes.image)), dtype=bool)
    counts = np.ones((1, len(boxes.truth_image)), dtype=bool)
    return Matches("ultralytics", AREAS[:1], boxes, outcome, everything, _count_truths(boxes, counts))


def _areas(box: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    return areas


def _groups(
    image: NDArray[np.int32], klass: NDArray[np.int32], boxes: Boxes
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the rows of each (image, class), in their order, and where each group begins."""
    key = image.astype(np.int64) * len(boxes.class_ids) + klass
    order = np.argsort(key, kind="stable")
    starts = np.searchsorted(key[order], np.arange(len(boxes.images) * len(boxes.class_ids) + 1))
    return order, starts


def within_max_det(boxes: Boxes, max_det: int) -> Boxes:
    """Leave the best-scored detections of each class in each image, as COCO does before it matches."""
    keep = among_best(boxes, max_det)
    if keep.all():
        return boxes
    parts = {name: getattr(boxes, name)[keep] for name in ("image", "klass", "score", "box", "whole_box")}
    return Boxes(**{**vars(boxes), **parts})


def among_best(boxes: Boxes, max_det: int) -> NDArray[np.bool_]:
    """Say which detections `within_max_det` leaves: (D,)."""
    order, starts = _groups(boxes.image, boxes.klass, boxes)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts[:-1], np.diff(starts))
    return rank < max_det


def _count_truths(boxes: Boxes, counts: NDArray[np.bool_]) -> NDArray[np.int32]:
    truths = np.zeros((len(counts), len(boxes.class_ids), len(boxes.images)), dtype=np.int32)
    for area, counted in enumerate(counts):
        np.add.at(truths[area], (boxes.truth_class[counted], boxes.truth_image[counted]), 1)
    return truths


@compiled
def _coco_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    # Corner plus size, not the corners themselves: COCO's boxes are x, y, width, height, and rounding decides ties.
    aw, ah, bw, bh = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    w = min(a[0] + aw, b[0] + bw) - max(a[0], b[0])
    h = min(a[1] + ah, b[1] + bh) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    inside = w * h
    return float(inside / (aw * ah + bw * bh - inside))


@compiled
def _coco_loop(  # noqa: PLR0912 (one pass, compiled)
    order: Any, starts: Any, truth_order: Any, truth_starts: Any, box: Any, truth_box: Any, ignore: Any, in_area: Any,
    ious: Any, outcome: Any,
) -> None:  # fmt: skip
    for group in range(len(starts) - 1):
        detections = order[starts[group] : starts[group + 1]]
        truths = truth_order[truth_starts[group] : truth_starts[group + 1]]
        overlap, most = np.zeros((len(detections), len(truths))), np.zeros(len(detections))
        for i in range(len(detections)):
            for j in range(len(truths)):
                overlap[i, j] = _coco_iou(box[detections[i]], truth_box[truths[j]])
                most[i] = max(most[i], overlap[i, j])
        for area in range(len(outcome)):
            for t in range(len(ious)):
                least = min(ious[t], 1 - 1e-10)
                taken = np.zeros(len(truths), dtype=np.bool_)
                for i in range(len(detections)):
                    # Truths that count come first; only where none is found may an ignored one be taken.
                    found = -1
                    for wanted in (False, True):
                        if most[i] < least:
                            break
                        best = least
                        for j in range(len(truths)):
                            if ignore[area, truths[j]] == wanted and not taken[j] and overlap[i, j] >= best:
                                best, found = overlap[i, j], j
                        if found >= 0:
                            break
                    if found >= 0:
                        taken[found] = True
                        outcome[area, detections[i], t] = IGNORED if ignore[area, truths[found]] else TRUE
                    elif not in_area[area, detections[i]]:
                        outcome[area, detections[i], t] = IGNORED


@compiled
def _single_iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> np.float32:
    w = max(min(a[2], b[2]) - max(a[0], b[0]), np.float32(0))
    h = max(min(a[3], b[3]) - max(a[1], b[1]), np.float32(0))
    inside = w * h
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return np.float32(inside / (areas - inside + np.float32(1e-7)))


@compiled
def _ultralytics_loop(
    order: Any, starts: Any, truth_order: Any, truth_starts: Any, box: Any, truth_box: Any, ious: Any, outcome: Any
) -> None:
    for group in range(len(starts) - 1):
        detections = order[starts[group] : starts[group + 1]]
        truths = truth_order[truth_starts[group] : truth_starts[group + 1]]
        taken = np.zeros((len(ious), len(truths)), dtype=np.bool_)
        for i in range(len(detections)):
            overlap, most = np.zeros(len(truths), dtype=np.float32), np.float32(0)
            for j in range(len(truths)):
                overlap[j] = _single_iou(truth_box[truths[j]], box[detections[i]])
                most = max(most, overlap[j])
            for t in range(len(ious)):
                if most < ious[t]:
                    break
                found, best = -1, np.float32(0)
                for j in range(len(truths)):
                    if not taken[t, j] and overlap[j] > best:
                        found, best = j, overlap[j]
                if found >= 0 and best >= ious[t]:
                    taken[t, found] = True
                    outcome[0, detections[i], t] = TRUE
