"""What shadows cast on the validation images do to a run: the fall of its mAP, and which detections survive."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.ap import mean_over_classes, precision_table, rank_matches
from frostline.analysis.lighting import IOU, best_threshold, per_image, ratio
from frostline.analysis.matching import Boxes, match_ultralytics
from frostline.analysis.occlusion import found_at
from frostline.errors import InputError

PLACES = ("untouched", "edge", "inside")
"""Where a box lies to the new shadow; a box's place is an index into these."""

EDGE_BOUNDS = (0.05, 0.95)
"""The shadow's edge crosses a box when between 5 and 95 % of it are in the new shadow."""

_AVERAGES = ("mAP50", "mAP50-95")


def places(shares: NDArray[np.float64]) -> NDArray[np.int8]:
    """Sort boxes by where they lie to the new shadow.

    Args:
        shares: (N,) in the new shadow, in [0, 1].

    Returns:
        (N,) indices into `PLACES`.
    """
    low, high = EDGE_BOUNDS
    found: NDArray[np.int8] = (shares >= low).astype(np.int8) + (shares > high).astype(np.int8)
    return found


class StressScorer:
    """Scores one run before and after shadows were cast, on the same draws; a `bootstrap.Scorer`.

    `stress/clean/mAP50`, `stress/stressed/mAP50` and `stress/drop/mAP50` (clean less stressed), the same for mAP50-95,
    are Ultralytics' AP. `stress/survival/<place>` is the share of the truths found on the clean images that are found
    on the stressed ones too, at IoU 0.50 and the confidence of the run's best F1 on the clean images; by where the
    truth's box lies to the new shadow, and `all`.

    Args:
        before: boxes on the validation images.
        after: boxes on the same images with shadows cast.
        shares: (G,) what share of each truth of `before` lies in the new shadow, in [0, 1].

    Attributes:
        threshold: confidence that survival is taken at.

    Raises:
        InputError: if the two are not of the same images and truths.
    """

    def __init__(self, before: Boxes, after: Boxes, shares: NDArray[np.float64]) -> None:
        # Stable: within a class the truths of an image stay in the order of its label file, which both have.
        order, theirs = (np.lexsort((boxes.truth_class, boxes.truth_image)) for boxes in (before, after))
        if before.images != after.images or before.names != after.names or len(order) != len(theirs):
            raise InputError("the stressed images are not those of the validation; remove their folder")
        if not np.allclose(before.truth_box[order], after.truth_box[theirs], rtol=0, atol=0.5):
            raise InputError("the stressed images have other labels than the validation had; remove their folder")
        self._images = before.images
        self.threshold = best_threshold(before)
        self._rankings = [rank_matches(match_ultralytics(boxes)) for boxes in (before, after)]
        found = (found_at(before, IOU) > self.threshold)[order]
        kept = found & (found_at(after, IOU) > self.threshold)[theirs]
        image, place = before.truth_image[order], places(shares[order])
        self._found, self._kept = (
            per_image(image[rows], place[rows], len(self._images), len(PLACES)) for rows in (found, kept)
        )

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the validation images, sorted."""
        return self._images

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the columns."""
        averages = (f"stress/{when}/{name}" for when in ("clean", "stressed", "drop") for name in _AVERAGES)
        return (*averages, *(f"stress/survival/{place}" for place in (*PLACES, "all")))

    @property
    def found(self) -> Mapping[str, int]:
        """Truths found on the clean images, by place."""
        return dict(zip(PLACES, map(int, self._found.sum(axis=0)), strict=True))

    def __call__(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Score each draw of images.

        Args:
            weights: (R, I) how often each image counts.

        Returns:
            (R, 10); NaN where nothing was found to survive.
        """
        tables = [precision_table(ranking, weights).ap[:, 0] for ranking in self._rankings]
        clean, stressed = (
            np.stack([mean_over_classes(ap[..., 0]), mean_over_classes(ap.mean(axis=2))], axis=1) for ap in tables
        )
        drawn = weights.astype(np.float64)
        kept, found = drawn @ self._kept, drawn @ self._found
        whole = ratio(kept.sum(axis=1, keepdims=True), found.sum(axis=1, keepdims=True))
        return np.concatenate([clean, stressed, clean - stressed, ratio(kept, found), whole], axis=1)
