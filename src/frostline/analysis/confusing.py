"""The confusion matrix of a detector, counted in each image so that it can be drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.compiling import compiled
from frostline.analysis.matching import Boxes

BACKGROUND = "background"


@dataclass(frozen=True)
class Confusion:
    """Counts of what was taken for what, [predicted, true] as Ultralytics plots it; background comes last.

    Attributes:
        names: (C + 1,) classes, then `background`.
        per_image: (I, C + 1, C + 1) counts; the last cell of all is always 0.
        conf: detections above this confidence count.
        iou: a detection may find a truth above this IoU, of whatever class.
    """

    names: tuple[str, ...]
    per_image: NDArray[np.int64]
    conf: float
    iou: float

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(C + 1, C + 1) counts over all images."""
        total: NDArray[np.int64] = self.per_image.sum(axis=0)
        return total

    @property
    def normalized(self) -> NDArray[np.float64]:
        """(C + 1, C + 1) shares of each true class: columns sum to 1, that of a class without truths is NaN.

        The background's column says which classes its false detections were given.
        """
        counts = self.matrix.astype(np.float64)
        totals = counts.sum(axis=0)
        shares: NDArray[np.float64] = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)
        return shares

    @property
    def off_diagonal_mass(self) -> float | None:
        """Share of the truths found at all that were given a wrong class; None where none was found."""
        return _known(confusion_rates(self, np.ones((1, len(self.per_image))))[0, 0])

    @property
    def background_false_positives(self) -> dict[str, int]:
        """Detections on background, by the class they were given."""
        return {name: int(n) for name, n in zip(self.names[:-1], self.matrix[:-1, -1], strict=True)}

    @property
    def background_false_negatives(self) -> dict[str, int]:
        """Truths that nothing found, by class."""
        return {name: int(n) for name, n in zip(self.names[:-1], self.matrix[-1, :-1], strict=True)}

    def most_confused(self, count: int = 5) -> list[tuple[str, str, int, float]]:
        """List the pairs of classes most often confused: (true, predicted, count, share of the true class), falling."""
        matrix, shares = self.matrix, self.normalized
        pairs = [
            (self.names[true], self.names[predicted], int(matrix[predicted, true]), float(shares[predicted, true]))
            for true in range(len(self.names) - 1)
            for predicted in range(len(self.names) - 1)
            if true != predicted and matrix[predicted, true]
        ]
        return sorted(pairs, key=lambda pair: (-pair[2], -pair[3], pair[:2]))[:count]


def confusion(boxes: Boxes, conf: float = 0.25, iou: float = 0.45) -> Confusion:
    """Count confusions: per image, by falling confidence, each detection takes its best free truth of any class.

    Args:
        boxes: what `read_boxes` gives; as in Ultralytics, detections are not cut off at the border of the image.
        conf: detections above this confidence count, in [0, 1].
        iou: IoU that a match must exceed, in [0, 1].

    Source: ultralytics 8.4, `utils/metrics.py`, `ConfusionMatrix`, with its defaults.
    """
    classes = len(boxes.class_ids)
    per_image = np.zeros((len(boxes.images), classes + 1, classes + 1), dtype=np.int64)
    _confusion_loop(
        *image_groups(boxes), boxes.klass, boxes.truth_class, boxes.score, boxes.whole_box, boxes.truth_box,
        np.float32(conf), iou, per_image,
    )  # fmt: skip
    return Confusion((*boxes.names, BACKGROUND), per_image, conf, iou)


def confusion_rates(found: Confusion, weights: NDArray[Any]) -> NDArray[np.float64]:
    """Compute what a confusion matrix comes down to, for each draw of images.

    Args:
        found: what `confusion` gives.
        weights: (R, I) how often each image counts.

    Returns:
        (R, 3): off-diagonal mass (share of found truths given a wrong class), detections on background an image, and
        the share of truths that nothing found; NaN where there is nothing to share.
    """
    images, size = found.per_image.shape[:2]
    counts = weights.astype(np.float64) @ found.per_image.reshape(images, -1).astype(np.float64)
    matrix = counts.reshape(-1, size, size)
    inner = matrix[:, :-1, :-1]
    matched, right = inner.sum(axis=(1, 2)), np.trace(inner, axis1=1, axis2=2)
    missed, false = matrix[:, -1, :-1].sum(axis=1), matrix[:, :-1, -1].sum(axis=1)
    parts = (matched - right, false, missed), (matched, weights.sum(axis=1), matched + missed)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([np.where(total > 0, part / total, np.nan) for part, total in zip(*parts, strict=True)], axis=1)


def image_groups(boxes: Boxes) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.int64], NDArray[Any]]:
    """Give detections by image and falling score, where each image begins, and the same of truths."""
    order = np.lexsort((-boxes.score.astype(np.float64), boxes.image))
    truth_order = np.argsort(boxes.truth_image, kind="stable")
    edges = np.arange(len(boxes.images) + 1)
    starts = np.searchsorted(boxes.image[order], edges)
    return order, starts, truth_order, np.searchsorted(boxes.truth_image[truth_order], edges)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@compiled
def box_iou(a: Any, b: Any) -> float:
    """Compute the IoU of two boxes x1, y1, x2, y2; 0 for boxes without an area."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    inside = w * h
    return float(inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside))


@compiled
def _confusion_loop(
    order: Any, starts: Any, truth_order: Any, truth_starts: Any, klass: Any, truth_class: Any, score: Any, box: Any,
    truth_box: Any, conf: Any, iou: Any, per_image: Any,
) -> None:  # fmt: skip
    background = per_image.shape[1] - 1
    for image in range(len(starts) - 1):
        truths = truth_order[truth_starts[image] : truth_starts[image + 1]]
        taken = np.zeros(len(truths), dtype=np.bool_)
        for d in order[starts[image] : starts[image + 1]]:
            if score[d] <= conf:
                continue
            found, best = -1, iou
            for j in range(len(truths)):
                overlap = box_iou(truth_box[truths[j]], box[d])
                if not taken[j] and overlap > best:
                    found, best = j, overlap
            if found >= 0:
                taken[found] = True
                per_image[image, klass[d], truth_class[truths[found]]] += 1
            else:
                per_image[image, klass[d], background] += 1
        for j in range(len(truths)):
            if not taken[j]:
                per_image[image, background, truth_class[truths[j]]] += 1
