"""What depends on the confidence: precision, recall and F1 along it, and how sure right and wrong detections are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.analysis.blocks import LANES, Blocks, in_blocks
from frostline.analysis.confidence_loops import best_loop, curve_loop, means_at
from frostline.analysis.matching import IOUS, TRUE, Matches

Values = NDArray[np.float64]
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
    draws = in_blocks(np.ones((1, len(matches.boxes.images)), np.int32))
    known = matches.truths[0].sum(axis=1) > 0
    curves = np.zeros((2, len(known), len(CONFIDENCES), LANES))
    truths, total = draws.sums(matches.truths[0])[0], np.zeros((len(CONFIDENCES), LANES))
    _fill_curves(_steps(matches), draws, 0, truths, curves, total)
    precision, recall = curves[..., 0][:, known]
    f1 = 2 * precision * recall / (precision + recall + _EPS)
    names = tuple(name for name, kept in zip(matches.boxes.names, known, strict=True) if kept)
    best = int(_smoothed(f1.mean(axis=0)).argmax()) if len(f1) else 0
    return ConfidenceCurves(names, CONFIDENCES, precision, recall, f1, best)


def best_f1_table(matches: Matches, weights: ArrayLike | Blocks) -> NDArray[np.float64]:
    """Compute mean precision, recall and F1 over classes at the best threshold of each draw of images.

    Args:
        matches: of `match_ultralytics`.
        weights: (R, I) how often each image counts.

    Returns:
        (R, 3) in [0, 1]; NaN for a draw without truths.
    """
    draws, steps = in_blocks(weights), _steps(matches)
    truths = draws.sums(matches.truths[0])
    out = np.full((len(draws.weights), 3, LANES), np.nan)
    mean, best, sure = np.zeros((len(CONFIDENCES), LANES)), np.zeros(LANES, np.int64), np.zeros(LANES, np.bool_)
    curves = np.zeros((2, len(steps.edges) - 1, len(CONFIDENCES), LANES))
    for block in range(len(draws.weights)):
        _fill_curves(steps, draws, block, truths[block], curves, mean)
        best_loop(mean, truths[block], _SMOOTHED // 2, best, sure)
        for lane in np.flatnonzero(~sure):
            # Sums in another order: where two thresholds are as good as equal, the convolution itself decides.
            best[lane] = _smoothed(mean[:, lane]).argmax()
        means_at(curves[0], curves[1], truths[block], best, _EPS, out[block])
    return draws.by_draw(out)


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


@dataclass(frozen=True)
class _Steps:
    """Where the thresholds stand among the detections of each class: after `position`, which rises as they fall.

    `score` and `hit` have one entry more than there are detections.
    """

    image: NDArray[np.int32]
    score: NDArray[np.float64]
    hit: NDArray[np.float64]
    edges: NDArray[np.int64]
    position: NDArray[np.int64]
    hit_image: NDArray[np.int32]
    hits_before: NDArray[np.int64]


def _steps(matches: Matches) -> _Steps:
    boxes, classes = matches.boxes, len(matches.boxes.class_ids)
    edges = np.searchsorted(boxes.klass, np.arange(classes + 1)).astype(np.int64)
    score = boxes.score.astype(np.float64)
    position = np.zeros((classes, len(CONFIDENCES)), dtype=np.int64)
    for k in range(classes):
        inside = -score[edges[k] : edges[k + 1]]
        position[k] = edges[k] + np.searchsorted(inside, -CONFIDENCES[::-1], side="right")
    hit = matches.outcome[0, :, 0] == TRUE
    hits_before = np.concatenate([[0], np.cumsum(hit)]).astype(np.int64)
    return _Steps(
        boxes.image, np.append(score, 0.0), np.append(hit, False).astype(np.float64), edges, position,
        boxes.image[hit], hits_before,
    )  # fmt: skip


def _fill_curves(steps: _Steps, draws: Blocks, block: int, truths: Values, curves: Values, f1: Values) -> None:
    """Fill (2, C, 1000, 16) precision and recall of one block, and (1000, 16) the sum of F1 over classes."""
    curve_loop(
        draws.packed[block], draws.room, steps.image, steps.score, steps.hit, steps.edges, steps.position,
        steps.hit_image, steps.hits_before, truths, CONFIDENCES, _EPS, curves[0], curves[1], f1,
    )  # fmt: skip
