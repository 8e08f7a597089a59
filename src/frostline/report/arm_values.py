"""A metric of each arm, with its interval and its seeds, for charts and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frostline.analysis import RunFolder, compare_to_baseline, estimate_arm, headline
from frostline.analysis.evidence import Evidence
from frostline.analysis.findings import freeze_depth
from frostline.analysis.intervals import Estimate


@dataclass(frozen=True)
class ArmValue:
    """A metric of one arm.

    Attributes:
        arm: the arm's name.
        depth: leading layers frozen throughout; None for another plan.
        plain: frozen leading layers are all that tells it from the baseline, as far as its folder says.
        value: mean over seeds.
        low, high: the interval; None for an arm without predictions.
        seeds: what each run has, by seed.
        elsewhere: it was validated on other images than the baseline.
        cautions: why the interval may cover less than it says.
    """

    arm: str
    depth: int | None
    plain: bool
    value: float
    low: float | None
    high: float | None
    seeds: dict[int | None, float]
    elsewhere: bool
    cautions: tuple[str, ...]


def arm_values(evidence: Evidence, metric: str, arms: Sequence[str]) -> list[ArmValue]:
    """Give a headline metric of each arm that has any.

    Args:
        evidence: of the study.
        metric: `mAP50` or `mAP50-95`, in Ultralytics' definition.
        arms: of the evidence, in the order wanted.
    """
    found = []
    reference = evidence.runs_of(evidence.baseline) if evidence.baseline is not None else ()
    for arm in arms:
        runs, panel = evidence.runs_of(arm), evidence.panel_of(arm)
        seeds = {run.seed: value for run in runs if isinstance(value := headline(run)[metric], float)}
        estimate: Estimate | None = None
        if panel is not None:
            name = f"ultralytics/{metric}"
            estimate = estimate_arm(panel.resamples, name, arm, evidence.confidence, evidence.method)
            scores = panel.resamples.arm(arm)
            seeds = dict(zip(scores.seeds, map(float, scores.point[:, panel.resamples.index(name)]), strict=True))
        known = [value for value in seeds.values() if np.isfinite(value)]
        if not known:
            continue
        depth = freeze_depth(runs)
        bounded = estimate is not None and np.isfinite(estimate.low)
        found.append(
            ArmValue(
                arm=arm,
                depth=depth,
                plain=depth is not None and (not reference or start_of(runs[0]) == start_of(reference[0])),
                value=estimate.value if estimate is not None else float(np.mean(known)),
                low=estimate.low if estimate is not None and bounded else None,
                high=estimate.high if estimate is not None and bounded else None,
                seeds=seeds,
                elsewhere=panel is not None and panel is not evidence.panels[0],
                cautions=estimate.cautions if estimate is not None else (),
            )
        )
    return found


def start_of(run: RunFolder) -> tuple[str, ...]:
    """Tell what a run started from: arms that differ in it differ in more than their depth."""
    if run.ours:
        return tuple(str(run.value(key)) for key in ("model", "weights", "imgsz"))
    return str(run.arguments.get("model")), str(run.arguments.get("imgsz"))


def differences(evidence: Evidence, metric: str) -> dict[str, tuple[Estimate, float]]:
    """Give (difference to the baseline, p-value adjusted after Holm) of each arm on the baseline's images."""
    if evidence.baseline is None or not evidence.panels or evidence.baseline not in evidence.panels[0].runs:
        return {}
    found = compare_to_baseline(
        evidence.panels[0].resamples, f"ultralytics/{metric}", evidence.baseline, evidence.confidence, evidence.method
    )
    return {arm: (estimate, p) for arm, (estimate, p) in found.items() if np.isfinite(estimate.value)}


def interval_sentence(evidence: Evidence, values: Sequence[ArmValue]) -> str:
    """Say in a caption what the intervals are, and what they lack."""
    told = f"Intervals: {evidence.confidence:.0%}, {evidence.draws} draws of images and the spread over seeds"
    parts = [f"{told} ({evidence.method})."] if any(value.low is not None for value in values) else []
    bare = [value.arm for value in values if value.low is None]
    if bare:
        parts.append(f"Hollow, without an interval, as they have no predictions: {', '.join(bare)}.")
    elsewhere = [value.arm for value in values if value.elsewhere]
    if elsewhere:
        parts.append(f"On other images than the baseline, so not to be compared with it: {', '.join(elsewhere)}.")
    cautions = dict.fromkeys(caution for value in values for caution in value.cautions)
    parts += [f"Caution: {caution}." for caution in cautions]
    return " ".join(parts)
