"""From what was measured to the arms that are worth running: a rule with its thresholds in sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frostline.probing.depths import DepthCost
from frostline.probing.gradients import GradientSet, signal_to_noise
from frostline.probing.regions import EVEN, FIRST_BLOCK, RegionRanking, group_products
from frostline.probing.result import ProbedLayer

LEAST_SAVING = 0.10
"""Share of the step's time or of its activation memory that a depth must save to be worth a run for itself."""
MOST_DRIFT = 0.5
"""Mean shift, in stored standard deviations, above which frozen BatchNorms would hold statistics that do not fit."""
HIGH, MEDIUM = 0.9, 0.6
"""Shares of resamples that keep the ranking, for a high and for a medium confidence."""

_WORDS = {"first": "the first block", "backbone": "the backbone", "head": "the head"}


@dataclass(frozen=True)
class Recommendation:
    """What to run.

    Attributes:
        depth: the frost line: leading layers that can be frozen, by the rule; 0 for none.
        arms: plans by name, as a study file has them; the baseline is always among them.
        left_out: the other arms that were considered, with the reason.
        sentences: three: what to run and why, what not and why, and how sure that is.
        confidence: `high`, `medium` or `low`.
    """

    depth: int
    arms: dict[str, dict[str, Any]]
    left_out: dict[str, str]
    sentences: tuple[str, str, str]
    confidence: str


def recommend(
    layers: Sequence[ProbedLayer], depths: Sequence[DepthCost], ranking: RegionRanking, gradients: GradientSet
) -> Recommendation:
    """Choose arms.

    A depth is worth a run when the layers that it freezes have no more signal than noise in their gradient, their
    BatchNorms have not drifted by more than `MOST_DRIFT`, and it saves `LEAST_SAVING` of time or memory. The deepest
    such depth, all shallower ones being free of signal and drift too, is the frost line. Of the depths up to it, the
    shallowest and the deepest are run. The region that ranks first is trained alone in one more arm.

    Args:
        layers: as probed.
        depths: as measured, depth 0 among them.
        ranking: of the regions.
        gradients: what it rests on.
    """
    backbone = sum(layer.role == "backbone" for layer in layers)
    full = next(cost for cost in depths if cost.depth == 0)
    left_out: dict[str, str] = {}
    worth: list[int] = []
    open_water = False  # a depth that must not freeze, and all deeper ones with it
    line = 0
    for cost in sorted(depths, key=lambda c: c.depth):
        if not 0 < cost.depth <= backbone:
            continue
        name = f"freeze_1_to_{cost.depth}"
        why = "a shallower depth already must train" if open_water else _objection(layers, cost.depth, gradients)
        if why is not None:
            open_water = True
            left_out[name] = why
            continue
        line = cost.depth
        saving = max(1 - cost.step_seconds / full.step_seconds, 1 - cost.activation_bytes / full.activation_bytes)
        if saving < LEAST_SAVING:
            left_out[name] = f"it saves {max(saving, 0):.0%} of time and memory at most"
        else:
            worth.append(cost.depth)
    arms: dict[str, dict[str, Any]] = {"baseline": {}}
    for depth in sorted({*worth[:1], *worth[-1:]}):
        arms[f"freeze_1_to_{depth}"] = {"freeze": f"0-{depth - 1}"}
    for depth in worth[1:-1]:
        left_out[f"freeze_1_to_{depth}"] = "between two depths that are run"
    only = _alone(ranking.order[0])
    arms |= only
    for region in ranking.order[1:]:
        left_out[next(iter(_alone(region)))] = f"{_WORDS[region]} ranks behind {_WORDS[ranking.order[0]]}"
    confidence = _confidence(ranking)
    sentences = (
        _run_sentence(arms, line, ranking), _leave_sentence(left_out), _sure_sentence(confidence, ranking, layers)
    )  # fmt: skip
    return Recommendation(line, arms, left_out, sentences, confidence)


def _objection(layers: Sequence[ProbedLayer], depth: int, gradients: GradientSet) -> str | None:
    """Say why a depth should not freeze, or None."""
    signal = signal_to_noise(group_products(gradients, tuple(range(depth))))
    if signal > EVEN:
        return f"its layers have more signal than noise in their gradient (ratio {signal:.2g})"
    drifts = [(layer.drift.channels, layer.drift.mean_shift) for layer in layers[:depth] if layer.drift is not None]
    shift = sum(c * s for c, s in drifts) / max(sum(c for c, _ in drifts), 1)
    if shift > MOST_DRIFT:
        return f"its BatchNorms' inputs have drifted by {shift:.2g} standard deviations"
    return None


def _alone(region: str) -> dict[str, dict[str, Any]]:
    if region == "first":
        return {f"first_{FIRST_BLOCK}_only": {"train_only": f"0-{FIRST_BLOCK - 1}"}}
    return {f"{region}_only": {"train_only": region}}


def _confidence(ranking: RegionRanking) -> str:
    if not ranking.pulled:
        return "low"
    return "high" if ranking.stability >= HIGH else "medium" if ranking.stability >= MEDIUM else "low"


def _run_sentence(arms: Mapping[str, Any], line: int, ranking: RegionRanking) -> str:
    scores = ", ".join(f"{_WORDS[name]} {ranking.scores[name]:.2f}" for name in ranking.order)
    why = (
        f"of the parts trained alone {_WORDS[ranking.order[0]]} promises most (signal-to-noise: {scores})"
        if ranking.pulled
        else f"no part has more signal than noise in its gradient ({scores}), so what disturbs least promises most"
    )
    frozen = f", and the first {line} layers can be frozen" if line else ", and no depth is free of signal or drift"
    return f"Run {_joined(arms)}: {why}{frozen}."


def _leave_sentence(left_out: Mapping[str, str]) -> str:
    if not left_out:
        return "No arm that was considered is left out."
    by_reason: dict[str, list[str]] = {}
    for name, why in left_out.items():
        by_reason.setdefault(why, []).append(name)
    return "Leave out " + "; ".join(f"{_joined(names)} ({why})" for why, names in by_reason.items()) + "."


def _sure_sentence(confidence: str, ranking: RegionRanking, layers: Sequence[ProbedLayer]) -> str:
    text = f"The confidence is {confidence}: {ranking.stability:.0%} of resamples of the batches give the same order"
    if not ranking.pulled:
        text += ", but an order without signal says little, and more or larger batches would say more"
    drifted = [layer for layer in layers if layer.drift is not None and layer.role == "backbone"]
    if drifted:
        worst = max(drifted, key=lambda layer: layer.drift.mean_shift if layer.drift is not None else 0.0)
        assert worst.drift is not None
        text += f"; of the backbone, layer {worst.index} has drifted most, by {worst.drift.mean_shift:.2g} deviations"
    compared = [layer for layer in layers if layer.similarity is not None and layer.role == "backbone"]
    if compared:
        apart = min(compared, key=lambda layer: layer.similarity if layer.similarity is not None else 1.0)
        text += f", and source and target are least alike in layer {apart.index} (CKA {apart.similarity:.2f})"
    return f"{text}."


def _joined(names: Any) -> str:
    words = list(names)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
