"""The frost line of a study: how deep one may freeze without a loss that matters."""

from __future__ import annotations

from dataclasses import dataclass

from frostline.analysis.evidence import Evidence
from frostline.analysis.findings import MAIN, freeze_depth
from frostline.analysis.inference import ONE_POINT, difference_spread, estimate_arm
from frostline.analysis.intervals import interval


@dataclass(frozen=True)
class FrostLine:
    """The deepest freeze that is shown to cost no more than a margin.

    Attributes:
        depth: leading layers to freeze; 0 when every depth tried is shown to cost more, None when undecided. Deeper
            ones may be in `open`.
        arm: the arm of that depth, or None.
        margin: the largest loss that does not matter, in mAP50-95.
        within: depths that are shown to lose no more than the margin, 0 included.
        beyond: depths that are shown to lose more.
        open: depths of which neither is shown.
    """

    depth: int | None
    arm: str | None
    margin: float
    within: tuple[int, ...]
    beyond: tuple[int, ...]
    open: tuple[int, ...]


def frost_line(
    evidence: Evidence, metric: str = MAIN, margin: float = ONE_POINT, level: float = 0.05
) -> FrostLine | None:
    """Find the frost line among the arms that freeze a number of leading layers throughout.

    A depth is within the margin when its difference to the baseline, and to the best depth, is shown to be above
    -margin by one-sided tests at `level` (non-inferiority); beyond it when its difference to the baseline is shown to
    be below -margin. The deepest one within, whose shallower depths need not be within, is the frost line: the deeper,
    the cheaper.

    Args:
        evidence: what `gather` gives.
        metric: of the scorer.
        margin: in the metric's unit.
        level: of each one-sided test.

    Returns:
        None without a baseline that freezes nothing or without any depth beside it.

    Source: Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15, 1987, one side of the two.
    """
    panel = evidence.panel_of(evidence.baseline) if evidence.baseline is not None else None
    if panel is None or evidence.baseline is None:
        return None
    depths = {arm: depth for arm in panel.runs if (depth := freeze_depth(evidence.runs_of(arm))) is not None}
    if depths.get(evidence.baseline) != 0 or not any(depths.values()):
        return None
    values = {arm: estimate_arm(panel.resamples, metric, arm).value for arm in depths}
    best = max(values, key=lambda arm: values[arm])

    def bounds(arm: str, other: str) -> tuple[float, float]:
        found = difference_spread(panel.resamples, metric, arm, other)
        return interval(found, 1 - 2 * level, evidence.method)

    within, beyond, undecided = [], [], []
    for arm, depth in depths.items():
        low, high = bounds(arm, evidence.baseline) if arm != evidence.baseline else (0.0, 0.0)
        near_best = arm == best or bounds(arm, best)[0] > -margin
        if low > -margin and near_best:
            within.append((depth, arm))
        elif high < -margin:
            beyond.append((depth, arm))
        else:
            undecided.append((depth, arm))
    sets = (_depths(within), _depths(beyond), _depths(undecided))
    depth, chosen = max(within, default=(0, evidence.baseline))
    if depth == 0 and undecided:
        return FrostLine(None, None, margin, *sets)
    return FrostLine(depth, chosen, margin, *sets)


def _depths(arms: list[tuple[int, str]]) -> tuple[int, ...]:
    return tuple(sorted(depth for depth, _ in arms))
