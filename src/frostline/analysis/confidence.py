"""What depends on the confidence: precision, recall and F1 along it, and how sure right and wrong detections are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.analysis.ap import mean_over_classes
from frostline.analysis.blocks import in_threads
from frostline.analysis.compiling import compiled
from frostline.analysis.matching import IOUS, TRUE, Matches

CONFIDENCES: NDArray[np.float64] = np.linspace(0, 1, 1000)
_SMOOTHED = 101  # Ultralytics' box filter over a tenth of 1,000 confidences on either side together, made odd
_EPS = 1e-16


@dataclass(frozen=True)
class ConfidenceCurves:
    """Precision, recall and F1 at IoU 0.50 by confidence threshold, as Ultralytics defines them.

    Attributes:
        names: (K,) classes that have truths.
        confidence: (1000,) thresholds in [0, 1].
        precision, recall, f1: (K, 1000) in [0, 1].
        best: index into `confidence` of the threshold that Ultralytics reports at: best smoothed mean F1.
    """

    names: tuple[str, ...]
    confidence: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    best: int

    @property
    def best_threshold(self) -> float:
        """The confidence of the best smoothed mean F1 over classes."""
        return float(self.confidence[self.best])

    @property
    def best_threshold_per_class(self) -> dict[str, float]:
        """The confidence of the best F1 of each class."""
        at = self.f1.argmax(axis=1)
        return {name: float(self.confidence[k]) for name, k in zip(self.names, at, strict=True)}

    @property
    def best_f1_per_class(self) -> dict[str, float]:
        """The best F1 of each class, at its own threshold."""
        return {name: float(value) for name, value in zip(self.names, self.f1.max(axis=1), strict=True)}

    @property
    def mean_f1(self) -> float | None:
        """Mean F1 over classes at `best_threshold`; None without truths."""
        return float(self.f1[:, self.best].mean()) if len(self.f1) else None


def confidence_curves(matches: Matches) -> ConfidenceCurves:
    """Compute precision, recall and F1 against confidence.

    Args:
        matches: of `match_ultralytics` for Ultralytics' own numbers.

    Source: ultralytics 8.4, `utils/metrics.py`, `ap_per_class`.
    """
    ones = np.ones((1, len(matches.boxes.images)), np.int32)
    precision, recall = (table[0] for table in _curves(matches, ones))
    known = matches.truths[0].sum(axis=1) > 0
    precision, recall = precision[known], recall[known]
    f1 = 2 * precision * recall / (precision + recall + _EPS)
    names = tuple(name for name, kept in zip(matches.boxes.names, known, strict=True) if kept)
    best = int(_smoothed(f1.mean(axis=0)).argmax()) if len(f1) else 0
    return ConfidenceCurves(names, CONFIDENCES, precision, recall, f1, best)


def best_f1_table(matches: Matches, weights: ArrayLike) -> NDArray[np.float64]:
    """Compute mean precision, recall and F1 over classes at the best threshold of each draw of images.

    Args:
        matches: of `match_ultralytics`.
        weights: (R, I) how often each image counts.

    Returns:
        (R, 3) in [0, 1]; NaN for a draw without truths.
    """
    draws = np.ascontiguousarray(weights, dtype=np.int32)
    precision, recall = _curves(matches, draws)
    truths = draws.astype(np.float64) @ matches.truths[0].T.astype(np.float64)
    f1 = 2 * precision * recall / (precision + recall + _EPS)
    f1[truths == 0] = np.nan
    mean = mean_over_classes(f1.transpose(0, 2, 1))
    out = np.full((len(draws), 3), np.nan)
    for r in range(len(draws)):
        known = truths[r] > 0
        if known.any():
            best = int(_smoothed(mean[r]).argmax())
            out[r] = [table[r, known, best].mean() for table in (precision, recall, f1)]
    return out


@dataclass(frozen=True)
class ScoreDistribution:
    """Confidences of right and wrong detections.

    Attributes:
        true_positives: (n,) confidences, falling within each class.
        false_positives: (m,) the same.
    """

    true_positives: NDArray[np.float32]
    false_positives: NDArray[np.float32]

    def histogram(self, bins: int = 20) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Count right and wrong detections in equal bins of [0, 1]: (bins,), (bins,), and (bins + 1,) edges."""
        right, edges = np.histogram(self.true_positives, bins, (0.0, 1.0))
        wrong, _ = np.histogram(self.false_positives, bins, (0.0, 1.0))
        return right, wrong, edges

    def false_share_above(self, score: float = 0.7, floor: float = 0.0) -> float | None:
        """Return the share of false positives above a confidence, among those above `floor`; None without any.

        The share depends on how many weak detections NMS let through: compare runs of one `conf` only, or set `floor`.
        """
        wrong = self.false_positives[self.false_positives > floor]
        return float(np.mean(wrong > score)) if wrong.size else None


def score_distribution(matches: Matches, iou: float = 0.5, class_index: int | None = None) -> ScoreDistribution:
    """Split the confidences of all detections by whether they found a truth.

    Args:
        matches: by either rule.
        iou: one of `IOUS`.
        class_index: of one class, in the order of `Boxes.class_ids`; None for all.
    """
    level = int(np.argmin(np.abs(IOUS - iou)))
    rows = slice(None) if class_index is None else matches.boxes.klass == class_index
    right = matches.outcome[0, rows, level] == TRUE
    score = matches.boxes.score[rows]
    return ScoreDistribution(score[right], score[~right])


def false_counts(matches: Matches, score: float = 0.7) -> NDArray[np.int64]:
    """Count false positives at IoU 0.50 in each image: (I, 2), those above a confidence, and all."""
    wrong = matches.outcome[0, :, 0] != TRUE
    image, count = matches.boxes.image, len(matches.boxes.images)
    high = np.bincount(image[wrong & (matches.boxes.score > score)], minlength=count)
    return np.stack([high, np.bincount(image[wrong], minlength=count)], axis=1)


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    half = np.ones(_SMOOTHED // 2)
    padded = np.concatenate((half * values[0], values, half * values[-1]))
    return np.convolve(padded, np.ones(_SMOOTHED) / _SMOOTHED, mode="valid")


def _curves(matches: Matches, draws: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall, each (R, C, 1000)."""
    boxes, classes = matches.boxes, len(matches.boxes.class_ids)
    edges = np.searchsorted(boxes.klass, np.arange(classes + 1))
    truths = draws.astype(np.float64) @ matches.truths[0].T.astype(np.float64)
    hit = matches.outcome[0, :, 0] == TRUE
    out = np.zeros((2, len(draws), classes, len(CONFIDENCES)))

    def part(rows: slice) -> None:
        _curve_loop(
            draws[rows], truths[rows], boxes.image, boxes.score.astype(np.float64), hit, edges, CONFIDENCES,
            out[0, rows], out[1, rows],
        )  # fmt: skip

    in_threads(part, len(draws))
    return out[0], out[1]


@compiled
def _curve_loop(
    draws: Any, truths: Any, image: Any, score: Any, hit: Any, edges: Any, grid: Any, precision: Any, recall: Any
) -> None:
    """Fill curves as `np.interp` over the detections gives them; an image drawn w times has w equal detections."""
    for r in range(len(draws)):
        weight = draws[r]
        for k in range(len(edges) - 1):
            total = truths[r, k]
            if total == 0:
                continue
            found, hits, at = 0, 0, len(grid) - 1
            last_score, last_precision, last_recall = 0.0, 1.0, 0.0
            for d in range(edges[k], edges[k + 1]):
                w = weight[image[d]]
                if w == 0:
                    continue
                gain = 1 if hit[d] else 0
                here = score[d]
                first_precision, first_recall = (hits + gain) / (found + 1), (hits + gain) / total
                while at >= 0 and grid[at] > here:
                    x = grid[at]
                    if found == 0:
                        precision[r, k, at], recall[r, k, at] = 1.0, 0.0
                    else:
                        slope = (last_score - x) / (last_score - here)
                        precision[r, k, at] = last_precision + slope * (first_precision - last_precision)
                        recall[r, k, at] = last_recall + slope * (first_recall - last_recall)
                    at -= 1
                found += w
                hits += w * gain
                last_score, last_precision, last_recall = here, hits / found, hits / total
            if found > 0:
                for rest in range(at + 1):
                    precision[r, k, rest], recall[r, k, rest] = last_precision, last_recall
