"""What depends on the confidence: precision, recall and F1 along it, and how sure right and wrong detections are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frostline.analysis.blocks import LANES, Blocks, in_blocks, in_threads, running_sums
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
    draws = in_blocks(np.ones((1, len(matches.boxes.images)), np.int32))
    known = matches.truths[0].sum(axis=1) > 0
    precision, recall = (table[known, :, 0] for table in _curves(_steps(matches), draws, 0))
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
    out = np.full((len(draws.weights), 3, LANES), np.nan)

    def part(blocks: slice) -> None:
        mean, best, sure = np.zeros((len(CONFIDENCES), LANES)), np.zeros(LANES, np.int64), np.zeros(LANES, np.bool_)
        for block in range(blocks.start, blocks.stop):
            precision, recall = _curves(steps, draws, block)
            known = matches.truths[0].astype(np.float64) @ draws.weights[block].astype(np.float64) > 0
            _best_loop(precision, recall, known, mean, best, sure)
            for lane in np.flatnonzero(known.any(axis=0)):
                # Sums in another order: where two thresholds are as good as equal, the convolution itself decides.
                at = best[lane] if sure[lane] else int(_smoothed(mean[:, lane]).argmax())
                p, r = precision[known[:, lane], at, lane], recall[known[:, lane], at, lane]
                out[block, :, lane] = p.mean(), r.mean(), (2 * p * r / (p + r + _EPS)).mean()

    in_threads(part, len(draws.weights))
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
    """Where the thresholds stand among the detections of each class: after `position`, which rises as they fall."""

    matches: Matches
    score: NDArray[np.float64]
    hit: NDArray[np.bool_]
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
    return _Steps(matches, score, hit, edges, position, boxes.image[hit], hits_before)


def _curves(steps: _Steps, draws: Blocks, block: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall of one block, each (C, 1000, 16)."""
    weight = draws.weights[block]
    truths = steps.matches.truths[0].astype(np.float64) @ weight.astype(np.float64)
    out = np.zeros((2, len(truths), len(CONFIDENCES), LANES))
    _curve_loop(
        weight, weight.view(np.int64), truths, steps.matches.boxes.image, steps.score, steps.hit, steps.edges,
        steps.position, steps.hit_image, steps.hits_before, CONFIDENCES, out[0], out[1],
    )  # fmt: skip
    return out[0], out[1]


@compiled
def _curve_loop(
    weight: Any, pairs: Any, truths: Any, image: Any, score: Any, hit: Any, edges: Any, position: Any, hit_image: Any,
    hits_before: Any, grid: Any, precision: Any, recall: Any,
) -> None:  # fmt: skip
    """Fill curves as `np.interp` over the detections gives them; an image drawn w times has w equal detections."""
    last, points = len(grid) - 1, len(grid)
    found, hits = np.zeros((points, LANES), dtype=np.int32), np.zeros((points, LANES), dtype=np.int32)
    # Of the step that a threshold is on: the drawn detection above it, the drawn one below, precision, recall, rises.
    state = np.zeros((6, LANES))
    for k in range(len(truths)):
        first, end = edges[k], edges[k + 1]
        running_sums(pairs, image, first, position[k], found.view(np.int64))
        running_sums(pairs, hit_image, hits_before[first], hits_before[position[k]], hits.view(np.int64))
        above, below = np.full(LANES, first - 1), np.full(LANES, first - 1)
        for s in range(points):
            p = position[k, s]
            if s == 0 or p != position[k, s - 1]:
                for lane in range(LANES):
                    if below[lane] < p:
                        nearest = p - 1
                        while nearest > below[lane] and weight[image[nearest], lane] == 0:
                            nearest -= 1
                        above[lane] = nearest
                        nearest = p
                        while nearest < end and weight[image[nearest], lane] == 0:
                            nearest += 1
                        below[lane] = nearest
                    a, b, total = above[lane], below[lane], truths[k, lane]
                    state[0, lane], state[1, lane] = 0.0, 1.0
                    state[4, lane], state[5, lane] = 0.0, 0.0
                    n, h = found[s, lane], hits[s, lane]
                    if n == 0 or total == 0:
                        state[2, lane] = 1.0 if b < end and total > 0 else 0.0
                        state[3, lane] = 0.0
                    else:
                        state[2, lane], state[3, lane] = h / n, h / total
                        if b < end:
                            gain = 1 if hit[b] else 0
                            state[0, lane], state[1, lane] = score[a], score[a] - score[b]
                            state[4, lane] = (h + gain) / (n + 1) - state[2, lane]
                            state[5, lane] = (h + gain) / total - state[3, lane]
            x = grid[last - s]
            for lane in range(LANES):
                slope = (state[0, lane] - x) / state[1, lane]
                precision[k, last - s, lane] = state[2, lane] + slope * state[4, lane]
                recall[k, last - s, lane] = state[3, lane] + slope * state[5, lane]


@compiled
def _best_loop(  # noqa: PLR0912 (one pass, compiled)
    precision: Any, recall: Any, known: Any, mean: Any, best: Any, sure: Any
) -> None:
    """Find the best smoothed mean F1 of each draw by sums that slide, and whether no other comes near it."""
    points, half = len(mean), _SMOOTHED // 2
    mean[:] = 0.0
    for k in range(len(known)):
        factor = known[k].astype(np.float64)
        for i in range(points):
            for lane in range(LANES):
                p, r = precision[k, i, lane], recall[k, i, lane]
                mean[i, lane] += factor[lane] * (2 * p * r / (p + r + _EPS))
    window, smooth = np.zeros(LANES), np.zeros((points, LANES))
    for lane in range(LANES):
        count = 0
        for k in range(len(known)):
            count += known[k, lane]
        for i in range(points):
            mean[i, lane] /= max(count, 1)
        window[lane] = (half + 1) * mean[0, lane]
        for i in range(1, half + 1):
            window[lane] += mean[min(i, points - 1), lane]
    for i in range(points):
        for lane in range(LANES):
            smooth[i, lane] = window[lane]
            window[lane] += mean[min(i + half + 1, points - 1), lane] - mean[max(i - half, 0), lane]
    for lane in range(LANES):
        at = 0
        for i in range(points):
            if smooth[i, lane] > smooth[at, lane]:
                at = i
        near = 0
        for i in range(points):
            near += smooth[i, lane] > smooth[at, lane] - 1e-9
        best[lane], sure[lane] = at, near == 1
