"""Every metric of a run, again under any weights of its images: what the bootstrap draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.ap import PrecisionTable, mean_over_classes, precision_table, rank_matches
from frostline.analysis.blocks import in_blocks
from frostline.analysis.confidence import best_f1_table, false_counts
from frostline.analysis.confusing import confusion, confusion_rates
from frostline.analysis.errors_tide import ERRORS, gain_table, tide_errors
from frostline.analysis.matching import AREAS, match_coco, match_ultralytics, read_boxes
from frostline.analysis.predictions import Predictions, read_predictions

HEADLINES = ("ultralytics/mAP50", "ultralytics/mAP50-95", "coco/mAP50", "coco/mAP50-95")

SOURCES = {
    "ultralytics": "Ultralytics' definition, from predictions.parquet",
    "coco": "COCO's definition, from predictions.parquet",
    "confusion": "confusion matrix at confidence 0.25 and IoU 0.45, as Ultralytics counts it",
    "scores": "false positives at IoU 0.50 in COCO's matching, all that NMS let through",
    "tide": "after TIDE at IoU 0.50 and 0.10: mistakes an image, and the gain in COCO's mAP50 if mended",
}
"""What the first part of a metric's name means."""

_AVERAGES = ("mAP50", "mAP50-95")
_SHARP = ("precision", "recall", "mean_F1")


class RunScorer:
    """Scores one run; a `bootstrap.Scorer`.

    Matches are made once, here. Metrics are named by their source: `ultralytics/mAP50`, `coco/AP_small`,
    `coco/AP50/Car`, `tide/gain/missed`; `SOURCES` says what each source is.

    Args:
        predictions: of the run.

    Attributes:
        boxes: its boxes, sorted.
        coco, ultralytics: which detection found which truth, by either rule.
        confusion: its confusion matrix.
        tide: its mistakes by kind.
    """

    def __init__(self, predictions: Predictions) -> None:
        boxes = read_boxes(predictions)
        ours, theirs = match_coco(boxes, predictions.settings.max_det), match_ultralytics(boxes)
        self._ranked = rank_matches(ours), rank_matches(theirs)
        self._false = false_counts(ours)
        self.boxes, self.coco, self.ultralytics = boxes, ours, theirs
        self.confusion, self.tide = confusion(boxes), tide_errors(boxes)

    @classmethod
    def open(cls, path: Path) -> RunScorer:
        """Read a `predictions.parquet`.

        Raises:
            InputError: see `read_predictions`.
        """
        return cls(read_predictions(path))

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the validation images, sorted."""
        return self.boxes.images

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the columns."""
        per_class = [
            f"{source}/{metric}/{name}"
            for source in ("ultralytics", "coco")
            for metric in ("AP50", "AP")
            for name in self.boxes.names
        ]
        return (
            *(f"ultralytics/{name}" for name in (*_AVERAGES, *_SHARP)),
            *(f"coco/{name}" for name in (*_AVERAGES, *(f"AP_{area}" for area in AREAS[1:]))),
            "coco/precision_at_recall_0.6",
            "confusion/off_diagonal_mass",
            "confusion/background_false_positives",
            "confusion/background_false_negatives",
            "scores/false_positives_above_0.7",
            *(f"tide/count/{name}" for name in ERRORS),
            *(f"tide/gain/{name}" for name in ERRORS),
            *per_class,
        )

    def __call__(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Score each draw of images.

        Args:
            weights: (R, I) how often each image counts.

        Returns:
            (R, M); NaN where a metric is undefined, as AP is without truths.
        """
        blocks = in_blocks(weights)
        coco, theirs = (precision_table(ranking, blocks) for ranking in self._ranked)
        with np.errstate(invalid="ignore"):
            false = weights.astype(np.float64) @ self._false.astype(np.float64)
            above = np.where(false[:, 1] > 0, false[:, 0] / np.maximum(false[:, 1], 1), np.nan)
        mistakes = weights.astype(np.float64) @ self.tide.per_image.astype(np.float64)
        columns = [
            _averages(theirs, 0),
            best_f1_table(self.ultralytics, blocks),
            _averages(coco, 0),
            np.stack([_averages(coco, area)[:, 1] for area in range(1, len(AREAS))], axis=1),
            mean_over_classes(coco.at_recall[:, 0, :, 0])[:, None],
            confusion_rates(self.confusion, weights),
            above[:, None],
            mistakes / np.maximum(weights.sum(axis=1, keepdims=True), 1),
            gain_table(self.tide, blocks),
            *(part for table in (theirs, coco) for part in (table.ap[:, 0, :, 0], table.ap[:, 0].mean(axis=2))),
        ]
        return np.concatenate(columns, axis=1)


def _averages(table: PrecisionTable, area: int) -> NDArray[np.float64]:
    """AP at IoU 0.50, and over all thresholds, mean over classes: (R, 2)."""
    per_class = table.ap[:, area]
    both = (mean_over_classes(per_class[:, :, 0]), mean_over_classes(per_class.mean(axis=2)))
    return np.stack(both, axis=1)
