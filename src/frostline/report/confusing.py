"""Confusion matrices of arms: the mean over seeds, of all classes or of those that are confused most."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.analysis.confusing import BACKGROUND, Confusion
from frostline.analysis.evidence import Evidence
from frostline.analysis.panels import Panel

MOST_CLASSES = 12  # in a grid of a matrix an arm: more cannot be read


@dataclass(frozen=True)
class ArmMatrix:
    """What one arm takes for what.

    Attributes:
        arm: name.
        shares: (P, T) share of each true class that was given each predicted one, mean over seeds; NaN in the column
            of a class without truths. The last column says which classes false detections were given.
        counts: (P, T) mean counts over seeds.
        runs: number of runs.
    """

    arm: str
    shares: NDArray[np.float64]
    counts: NDArray[np.float64]
    runs: int


@dataclass(frozen=True)
class MatrixView:
    """The matrices of all arms of a panel, with the same rows and columns.

    Attributes:
        predicted: (P,) rows: classes, then `other classes` where some are left out, then `background`.
        true: (T,) columns: the same without `other classes`.
        arms: in the order of the evidence.
        classes: number of classes of the panel.
        baseline: index of its arm, or None where it is not in this panel.
        conf, iou: as `analysis.confusion` counts.
    """

    predicted: tuple[str, ...]
    true: tuple[str, ...]
    arms: tuple[ArmMatrix, ...]
    classes: int
    baseline: int | None
    conf: float
    iou: float

    @property
    def partial(self) -> bool:
        """Whether some classes are left out."""
        return len(self.true) - 1 < self.classes


def matrix_views(evidence: Evidence, most: int = MOST_CLASSES) -> list[MatrixView]:
    """Give the mean matrices of each panel.

    Args:
        evidence: the runs.
        most: classes shown; of more, those that are confused with others most often, over all arms.
    """
    return [_view(evidence, panel, most) for panel in evidence.panels]


def arm_confusions(evidence: Evidence, panel: Panel) -> dict[str, tuple[Confusion, ...]]:
    """Return the matrices of each arm of a panel, one a seed, in the order of the evidence's arms."""
    return {
        arm: tuple(scorer.confusion for scorer in panel.scorers[arm].values())
        for arm in evidence.arms
        if arm in panel.scorers
    }


def mean_shares(matrices: Sequence[Confusion]) -> NDArray[np.float64]:
    """Average normalised matrices over seeds: (C + 1, C + 1), NaN where no seed has a share."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class without truths is NaN in every seed
        mean: NDArray[np.float64] = np.nanmean([each.normalized for each in matrices], axis=0)
    return mean


def _view(evidence: Evidence, panel: Panel, most: int) -> MatrixView:
    found = arm_confusions(evidence, panel)
    first = next(iter(found.values()))[0]
    chosen = _chosen(found, len(panel.classes), most)
    background = len(panel.classes)
    columns = [*chosen, background]
    arms = []
    for arm, matrices in found.items():
        shares, counts = mean_shares(matrices), np.mean([each.matrix for each in matrices], axis=0)
        arms.append(ArmMatrix(arm, _folded(shares, columns), _folded(counts, columns), len(matrices)))
    names = [panel.classes[index] for index in chosen]
    others = background - len(chosen)
    rows = [*names, *([f"{others} others"] if others else []), BACKGROUND]
    order = [one.arm for one in arms]
    baseline = order.index(evidence.baseline) if evidence.baseline in order else None
    return MatrixView(
        tuple(rows), (*names, BACKGROUND), tuple(arms), background, baseline, first.conf, first.iou
    )  # fmt: skip


def _chosen(found: Mapping[str, Sequence[Confusion]], classes: int, most: int) -> list[int]:
    if classes <= most:
        return list(range(classes))
    total = np.zeros((classes + 1, classes + 1))
    for matrices in found.values():
        total += np.mean([each.matrix for each in matrices], axis=0)
    inner = total[:-1, :-1]
    wrong = inner + inner.T
    np.fill_diagonal(wrong, 0)
    truths = total[:, :-1].sum(axis=0)
    order = np.lexsort((np.arange(classes), -truths, -wrong.sum(axis=1)))
    return sorted(int(index) for index in order[:most])


def _folded(matrix: NDArray[np.float64], columns: Sequence[int]) -> NDArray[np.float64]:
    """Take some classes out of a matrix; what was predicted as any other is summed up in the row before the last."""
    taken = matrix[:, columns]
    others = [index for index in range(len(matrix)) if index not in set(columns)]
    rest = [taken[others].sum(axis=0)] if others else []
    return np.stack([*taken[columns[:-1]], *rest, taken[-1]])
