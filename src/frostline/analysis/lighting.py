"""What a run finds in the sun and in shadow, under any weights of its images: what the bootstrap draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.ap import mean_over_classes, precision_table, rank_matches
from frostline.analysis.confidence import confidence_curves
from frostline.analysis.matching import (
    Boxes,
    among_best,
    match_ranges,
    match_ultralytics,
    within_max_det,
)
from frostline.analysis.occlusion import found_at
from frostline.imaging.lighting import LIGHTS

IOU = 0.5

SharesOf = Callable[[str, NDArray[np.float64]], NDArray[np.float64]]
"""Gives the share in shadow of boxes of an image: of its name and (N, 4) corners as shares of its sides, (N,)."""


@dataclass(frozen=True)
class Shares:
    """What share of each box of a run lies in shadow, in the order of its `Boxes`.

    Attributes:
        detections: (D,) in [0, 1].
        truths: (G,) in [0, 1].
    """

    detections: NDArray[np.float64]
    truths: NDArray[np.float64]


def shade_shares(
    boxes: Sequence[Boxes],
    sizes: Sequence[Mapping[str, tuple[float, float]]],
    shares_of: SharesOf,
    *,
    detections: bool = True,
    advance: Callable[[int, int], None] = lambda *_: None,
) -> list[Shares]:
    """Look up the shadow of all boxes of runs on the same images, one image at a time, so that each is read once.

    Args:
        boxes: of each run; all of the same images.
        sizes: width and height of each image by its name, in pixels, as each run has it.
        shares_of: see `SharesOf`.
        detections: look up those of detections, too; else theirs are 0.
        advance: told of images done, and in all.
    """
    found = [Shares(np.zeros(len(one.image)), np.zeros(len(one.truth_image))) for one in boxes]
    for index, name in enumerate(boxes[0].images if boxes else ()):
        for one, size, shares in zip(boxes, sizes, found, strict=True):
            sides = np.array([*size[name], *size[name]])
            rows = np.flatnonzero(one.truth_image == index)
            shares.truths[rows] = shares_of(name, one.truth_box[rows] / sides)
            if detections:
                rows = np.flatnonzero(one.image == index)
                shares.detections[rows] = shares_of(name, one.box[rows] / sides)
        advance(index + 1, len(boxes[0].images))
    return found


class LightScorer:
    """Scores one run in each class of light; a `bootstrap.Scorer`.

    `light/recall/<light>` is the share of the truths in that light that are found at IoU 0.50 in Ultralytics' matching,
    of all object classes together, at the confidence of the run's best mean F1 over classes on all images; the
    threshold stays as it is when images are drawn again. `light/AP50/<light>` is AP at IoU 0.50, mean over object
    classes, in COCO's way with sizes: truths in another light are ignored, and so are detections that find them; a
    detection that finds nothing counts where its own box lies. `light/recall/gap` and `light/AP50/gap` are `lit` less
    `heavy`.

    Args:
        boxes: of the run.
        max_det: see `match_coco`.
        detections: (D,) the light of each detection, an index into `LIGHTS`.
        truths: (G,) the light of each truth.

    Attributes:
        threshold: confidence that recall is taken at.
    """

    def __init__(self, boxes: Boxes, max_det: int, detections: NDArray[np.int8], truths: NDArray[np.int8]) -> None:
        self._images = boxes.images
        self.threshold = best_threshold(boxes)
        kept, found = within_max_det(boxes, max_det), detections[among_best(boxes, max_det)]
        every = np.arange(len(LIGHTS))[:, None]
        matches = match_ranges(kept, LIGHTS, found == every, truths == every, np.array([IOU]))
        self._ranking = rank_matches(matches)
        hit = found_at(boxes, IOU) > self.threshold
        self._truths = per_image(boxes.truth_image, truths, len(boxes.images), len(LIGHTS))
        self._found = per_image(boxes.truth_image[hit], truths[hit], len(boxes.images), len(LIGHTS))

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the validation images, sorted."""
        return self._images

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the columns."""
        return tuple(f"light/{what}/{light}" for what in ("recall", "AP50") for light in (*LIGHTS, "gap"))

    @property
    def truths(self) -> Mapping[str, int]:
        """Truths in each light."""
        return dict(zip(LIGHTS, map(int, self._truths.sum(axis=0)), strict=True))

    def __call__(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Score each draw of images.

        Args:
            weights: (R, I) how often each image counts.

        Returns:
            (R, 8); NaN in a light that holds no truth.
        """
        drawn = weights.astype(np.float64)
        recall = ratio(drawn @ self._found, drawn @ self._truths)
        ap = mean_over_classes(precision_table(self._ranking, weights).ap[..., 0])
        parts = [part for table in (recall, ap) for part in (table, table[:, :1] - table[:, -1:])]
        return np.concatenate(parts, axis=1)


def best_threshold(boxes: Boxes) -> float:
    """Give the confidence of a run's best smoothed mean F1 over classes, as Ultralytics chooses it."""
    return confidence_curves(match_ultralytics(boxes)).best_threshold


def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; NaN where there is nothing to divide by."""
    found: NDArray[np.float64] = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return found


def per_image(image: NDArray[np.int32], kind: NDArray[np.int8], images: int, kinds: int) -> NDArray[np.float64]:
    """Count boxes by image and kind: (I, K)."""
    counts = np.bincount(image.astype(np.int64) * kinds + kind, minlength=images * kinds)
    return counts.reshape(images, kinds).astype(np.float64)
