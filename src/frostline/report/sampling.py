"""Which validation images show best how arms differ, and what each arm finds, invents and misses in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frostline.analysis import Boxes, Matches, RunFolder, RunScorer, confidence_curves
from frostline.analysis.pairing import found_truths

Kind = Literal["truth", "hit", "false", "miss"]

MOST_FALSE = 60
"""False positives drawn in one image: more hide the image, and a threshold near 0 lets hundreds through."""
NO_BEST = 0.25
"""The confidence of an arm whose F1 is 0 at every confidence: what Ultralytics predicts with."""


@dataclass(frozen=True)
class Mark:
    """A box to be drawn.

    Attributes:
        kind: `truth` (as labelled), `hit` (a true positive), `false` (a false positive) or `miss` (a truth not found).
        name: of the class.
        score: confidence in [0, 1]; None for truths and misses.
        box: x1, y1, x2, y2 in shares of the image's width and height, [0, 1].
    """

    kind: Kind
    name: str
    score: float | None
    box: tuple[float, float, float, float]

    @property
    def label(self) -> str:
        """The class, and the confidence where there is one."""
        return self.name if self.score is None else f"{self.name} {self.score:.2f}"


@dataclass(frozen=True)
class Counts:
    """How many truths an arm found and missed in an image, and how many false positives it has there."""

    hits: int
    false: int
    misses: int


@dataclass(frozen=True)
class Detector:
    """One run of an arm, looked at above the confidence of its best F1.

    Attributes:
        arm: its name.
        seed: of the run.
        run: its folder.
        matches: by Ultralytics' rules, as its best F1 is; at IoU 0.50.
        threshold: only detections above this confidence count, in [0, 1].
    """

    arm: str
    seed: int | None
    run: RunFolder
    matches: Matches
    threshold: float

    @classmethod
    def of(cls, arm: str, seed: int | None, run: RunFolder, scorer: RunScorer) -> Detector:
        """Look at a run above the confidence of its best F1."""
        curves = confidence_curves(scorer.ultralytics)
        return cls(arm, seed, run, scorer.ultralytics, curves.best_threshold if curves.mean_f1 else NO_BEST)

    @property
    def boxes(self) -> Boxes:
        """All boxes of the run."""
        return self.matches.boxes

    @cached_property
    def kept(self) -> NDArray[np.int64]:
        """(K,) detections above the threshold."""
        return np.flatnonzero(self.boxes.score > self.threshold)

    @cached_property
    def found(self) -> NDArray[np.int64]:
        """(K,) the truth that each of `kept` found, -1 for false positives."""
        found: NDArray[np.int64] = found_truths(self.matches)[self.kept]
        return found

    @cached_property
    def ordinals(self) -> NDArray[np.int64]:
        """(G,) the place of each truth among those of its class in its image: it names a truth in every arm's file."""
        key = self.boxes.truth_image.astype(np.int64) * len(self.boxes.names) + self.boxes.truth_class
        order = np.argsort(key, kind="stable")
        ordinals = np.empty(len(key), dtype=np.int64)
        ordinals[order] = np.arange(len(key)) - np.searchsorted(key[order], key[order])
        return ordinals

    def counts(self, image: int) -> Counts:
        """Count in one image, given by its index."""
        inside = self.boxes.image[self.kept] == image
        hits = int((self.found[inside] >= 0).sum())
        return Counts(hits, int(inside.sum()) - hits, int((self.boxes.truth_image == image).sum()) - hits)

    def marks(self, image: int, size: tuple[int, int]) -> tuple[Mark, ...]:
        """Give what is drawn for the arm in one image: misses first, as they lie under the rest, and sure ones last.

        Args:
            image: its index.
            size: its (width, height), pixels.
        """
        boxes = self.boxes
        inside = boxes.image[self.kept] == image
        kept, found = self.kept[inside], self.found[inside]
        truths = np.flatnonzero(boxes.truth_image == image)
        marks = [self._truth(truth, "miss", size) for truth in np.setdiff1d(truths, found).tolist()]
        rising = np.argsort(boxes.score[kept], kind="stable")
        false = [at for at in rising if found[at] < 0][-MOST_FALSE:]
        for at in [*false, *(at for at in rising if found[at] >= 0)]:
            row = kept[at]
            name, score = boxes.names[boxes.klass[row]], float(boxes.score[row])
            marks.append(Mark("hit" if found[at] >= 0 else "false", name, score, _shares(boxes.box[row], size)))
        return tuple(marks)

    def truths(self, image: int, size: tuple[int, int]) -> tuple[Mark, ...]:
        """Give the truths of one image as marks; see `marks`."""
        rows = np.flatnonzero(self.boxes.truth_image == image)
        return tuple(self._truth(row, "truth", size) for row in rows.tolist())

    def _truth(self, row: int, kind: Kind, size: tuple[int, int]) -> Mark:
        name = self.boxes.names[self.boxes.truth_class[row]]
        return Mark(kind, name, None, _shares(self.boxes.truth_box[row], size))


def common_seeds(scorers: Mapping[str, Mapping[int | None, RunScorer]]) -> dict[str, int | None]:
    """Choose a seed for each arm: the lowest that all have, else the lowest of each."""
    shared = set.intersection(*(set(seeds) for seeds in scorers.values())) if scorers else set()
    return {arm: min(shared or seeds, key=lambda seed: -1 if seed is None else seed) for arm, seeds in scorers.items()}


def rank_images(detectors: Sequence[Detector]) -> list[tuple[int, float]]:
    """Rank the images by how much arms disagree in them.

    For each pair of arms: the truths that one found and the other missed, plus the difference between their numbers of
    false positives; the mean over all pairs. A single arm has no pairs: then its misses plus its false positives.
    Equal images come in the order of their names.

    Args:
        detectors: one an arm, at least one, of the same images and truths.

    Returns:
        (index, mean) of each image, falling.
    """
    images = len(detectors[0].boxes.images)
    false = np.stack([np.bincount(one.boxes.image[one.kept[one.found < 0]], minlength=images) for one in detectors])
    if len(detectors) == 1:
        truths = detectors[0].boxes.truth_image
        missed = np.delete(truths, detectors[0].found[detectors[0].found >= 0])
        total, pairs = np.bincount(missed, minlength=images) + false[0], 1
    else:
        total, pairs = _differing(detectors, false), len(detectors) * (len(detectors) - 1) // 2
    # The order of the indices is that of the names.
    return [(int(index), float(total[index] / pairs)) for index in np.argsort(-total, kind="stable")]


def _differing(detectors: Sequence[Detector], false: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum the disagreement over all pairs of arms: whole numbers, so that ties are ties."""
    arms = len(detectors)
    slots = []
    for one in detectors:
        truth = one.found[one.found >= 0]
        slots.append(np.stack([one.boxes.truth_image[truth], one.boxes.truth_class[truth], one.ordinals[truth]]))
    found, finders = np.unique(np.concatenate(slots, axis=1), axis=1, return_counts=True)
    total = np.zeros(false.shape[1], dtype=np.int64)
    np.add.at(total, found[0].astype(np.int64), finders * (arms - finders))
    # Of sorted numbers, the k-th is subtracted from those after it and has those before it subtracted.
    signs = 2 * np.arange(arms) - (arms - 1)
    total += signs @ np.sort(false, axis=0)
    return total


def _shares(box: NDArray[np.float64], size: tuple[int, int]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = np.clip(box / np.array([*size, *size]), 0, 1).tolist()
    return x1, y1, x2, y2
