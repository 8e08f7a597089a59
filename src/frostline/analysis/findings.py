"""What the evidence says of each arm, of each pair of arms and of each declared hypothesis, as frames.

Every comparison, on the command line or on a page, takes its numbers from here, so that they agree to the last digit.
A number that is undefined, or that the runs cannot tell, is null.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from frostline.analysis.comparing import headline
from frostline.analysis.convergence import epochs_to_90, seconds_an_epoch
from frostline.analysis.evidence import Evidence
from frostline.analysis.inference import (
    ONE_POINT,
    difference_spread,
    equivalence,
    estimate_arm,
    estimate_difference,
    holm,
    probability_best,
    verdict,
)
from frostline.analysis.intervals import Estimate
from frostline.analysis.metrics import METRICS
from frostline.analysis.runs import RunFolder
from frostline.analysis.seeds import SeedMean, needed, seed_difference

MAIN = "ultralytics/mAP50-95"
"""The metric that decides: Ultralytics chooses `best.pt` by it."""

_SIZES = ("AP_small", "AP_medium", "AP_large")
_FROM_RUNS = {"epochs_to_90": epochs_to_90, "epoch_seconds": seconds_an_epoch}

_Row = dict[str, Any]


def scored_metric(name: str) -> str:
    """Return the scorer's name of a metric: `mAP50` is Ultralytics', `AP_small` COCO's, a full name itself."""
    if name in METRICS:
        return f"ultralytics/{name}"
    return f"coco/{name}" if name in _SIZES else name


def arm_frame(
    evidence: Evidence, metrics: Sequence[str] = ("mAP50", "mAP50-95"), margin: float = ONE_POINT
) -> pl.DataFrame:
    """Tell of each arm what it scores and how it differs from the baseline.

    Args:
        evidence: what `gather` gives.
        metrics: as `scored_metric` takes them.
        margin: the largest difference that does not matter, in the metric's unit.

    Returns:
        A row an arm: `arm`, `freeze_depth` (null where its runs have no one depth), `runs`, `seeds` (a list), `images`
        (null without predictions); and for each metric M: `M`, `M_low`, `M_high`; `M_difference`, `M_difference_low`,
        `M_difference_high`, `M_p`, `M_p_holm` against the baseline (Holm's for the number of arms in its panel);
        `M_best`, the probability to be the best of its panel; `M_equivalent`, whether it is shown to differ by less
        than `margin`. An arm without predictions has the mean over its runs alone.
    """
    rows = {arm: _arm_row(evidence, arm) for arm in evidence.arms}
    for metric in metrics:
        for arm, values in _metric_columns(evidence, metric, margin).items():
            rows[arm] |= values
    schema: dict[str, Any] = {
        "arm": pl.String,
        "freeze_depth": pl.Int64,
        "runs": pl.Int64,
        "seeds": pl.List(pl.Int64),
        "images": pl.Int64,
    }
    for metric in metrics:
        schema |= dict.fromkeys((f"{metric}{part}" for part in _PARTS), pl.Float64)
        schema[f"{metric}_equivalent"] = pl.Boolean
    return pl.DataFrame(list(rows.values()), schema=schema)


_PARTS = ("", "_low", "_high", "_difference", "_difference_low", "_difference_high", "_p", "_p_holm", "_best")


def pair_frame(evidence: Evidence, metric: str = "mAP50-95") -> pl.DataFrame:
    """Compare any two arms that share a panel.

    Returns:
        A row a pair: `arm`, `other`, `difference` (arm - other), `low`, `high`, `p`, `p_holm` (for all pairs).
    """
    rows: list[_Row] = []
    for arm, other in itertools.combinations(evidence.arms, 2):
        panel = evidence.together(arm, other)
        if panel is not None:
            found = estimate_difference(
                panel.resamples, scored_metric(metric), arm, other, evidence.confidence, evidence.method
            )
            rows.append(
                {"arm": arm, "other": other, **_interval(found, "difference", "low", "high"), "p": found.p_value}
            )
    adjusted = holm({str(index): row["p"] for index, row in enumerate(rows)})
    for index, row in enumerate(rows):
        row |= {"p": known(row["p"]), "p_holm": known(adjusted[str(index)])}
    numbers = dict.fromkeys(("difference", "low", "high", "p", "p_holm"), pl.Float64)
    return pl.DataFrame(rows, schema={"arm": pl.String, "other": pl.String, **numbers})


def hypothesis_frame(evidence: Evidence) -> pl.DataFrame:
    """Answer the hypotheses that the study file declared before its runs.

    Returns:
        A row a hypothesis: `name`, `metric`, `better`, `than`, `by` (it must be better by more than this), `difference`
        (better - than), `low`, `high`, `answer` (`supported`, `refuted` or `undecided`), and `reason` where it could
        not be answered.
    """
    declared = evidence.study.get("hypotheses") or []
    rows = [_answer(evidence, one) for one in declared if isinstance(one, Mapping)]
    texts = dict.fromkeys(("name", "metric", "better", "than"), pl.String)
    numbers = dict.fromkeys(("by", "difference", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema={**texts, **numbers, "answer": pl.String, "reason": pl.String})


def needed_frame(evidence: Evidence, metric: str = "mAP50-95", effect: float = ONE_POINT) -> pl.DataFrame:
    """Say for each arm what would find a difference to the baseline with a chance of 80 %.

    Returns:
        A row an arm: `arm`, `effect`, `power` (the chance with what there is; null with one seed), `seeds` (on these
        images; null where no number would do, or where one seed tells no spread), `images` (with these seeds).
    """
    rows = []
    for arm in evidence.arms:
        panel = evidence.together(arm, evidence.baseline) if evidence.baseline not in (None, arm) else None
        if panel is None or evidence.baseline is None:
            continue
        found = estimate_difference(panel.resamples, scored_metric(metric), arm, evidence.baseline)
        if not math.isfinite(found.value):
            continue
        more = needed(found.image_error, found.seed_error, found.images, found.seeds, effect)
        rows.append({"arm": arm, "effect": effect, "power": more.now, "seeds": more.seeds, "images": more.images})
    schema = {"arm": pl.String, "effect": pl.Float64, "power": pl.Float64, "seeds": pl.Int64, "images": pl.Int64}
    return pl.DataFrame(rows, schema=schema)


def cautions(evidence: Evidence, metric: str = "mAP50-95") -> list[str]:
    """Say why the intervals of this comparison may hold less often than they claim; each reason once."""
    found: dict[str, None] = {}
    for panel in evidence.panels:
        for arm in panel.runs:
            found |= dict.fromkeys(estimate_arm(panel.resamples, scored_metric(metric), arm).cautions)
    return list(found)


def freeze_depth(runs: Sequence[RunFolder]) -> int | None:
    """Return the depth that all runs of an arm have, or None."""
    depths = {run.freeze_depth for run in runs}
    return depths.pop() if len(depths) == 1 else None


def known(value: float | None) -> float | None:
    """Return a finite number, else None."""
    return float(value) if value is not None and math.isfinite(value) else None


def _arm_row(evidence: Evidence, arm: str) -> _Row:
    runs, panel = evidence.runs_of(arm), evidence.panel_of(arm)
    seeds = [run.seed for run in runs if run.seed is not None]
    images = len(panel.images) if panel is not None else None
    return {"arm": arm, "freeze_depth": freeze_depth(runs), "runs": len(runs), "seeds": seeds, "images": images}


def _metric_columns(evidence: Evidence, metric: str, margin: float) -> dict[str, _Row]:
    name, baseline = scored_metric(metric), evidence.baseline
    rows: dict[str, _Row] = {arm: {} for arm in evidence.arms}
    for arm in evidence.arms:
        panel = evidence.panel_of(arm)
        if panel is None:
            values = [v for run in evidence.runs_of(arm) if isinstance(v := headline(run).get(metric), float)]
            rows[arm] = {metric: sum(values) / len(values) if values else None}
            continue
        found = estimate_arm(panel.resamples, name, arm, evidence.confidence, evidence.method)
        rows[arm] = _interval(found, metric, f"{metric}_low", f"{metric}_high")
        if baseline is None or arm == baseline or baseline not in panel.runs:
            continue
        against = estimate_difference(panel.resamples, name, arm, baseline, evidence.confidence, evidence.method)
        parts = (f"{metric}_difference{part}" for part in ("", "_low", "_high"))
        same = equivalence(difference_spread(panel.resamples, name, arm, baseline), margin, method=evidence.method)
        rows[arm] |= {**_interval(against, *parts), f"{metric}_p": known(against.p_value)}
        rows[arm][f"{metric}_equivalent"] = same.equivalent
    adjusted = holm({arm: row[f"{metric}_p"] for arm, row in rows.items() if row.get(f"{metric}_p") is not None})
    for arm, value in adjusted.items():
        rows[arm][f"{metric}_p_holm"] = known(value)
    for panel in evidence.panels:
        if len(panel.runs) > 1:
            for arm, value in probability_best(panel.resamples, name).items():
                rows[arm][f"{metric}_best"] = known(value)
    return rows


def _answer(evidence: Evidence, declared: Mapping[str, Any]) -> _Row:
    metric = str(declared.get("metric", "mAP50"))
    better, than = str(declared.get("better")), str(declared.get("than", "baseline"))
    by = float(declared.get("by") or 0.0)
    row = {"name": str(declared.get("name", "")), "metric": metric, "better": better, "than": than, "by": by}
    missing = [arm for arm in (better, than) if arm not in evidence.arms]
    if missing:
        return {**row, "answer": "undecided", "reason": f"no finished run of {', '.join(missing)}"}
    if metric in _FROM_RUNS:
        value = _FROM_RUNS[metric]
        a, b = ({run.seed or 0: value(run) for run in evidence.runs_of(arm)} for arm in (better, than))
        return {**row, **_from_seeds(seed_difference(a, b, evidence.confidence), by)}
    panel = evidence.together(better, than)
    if panel is None:
        return {**row, "answer": "undecided", "reason": "the two were not evaluated on the same images"}
    found = estimate_difference(
        panel.resamples, scored_metric(metric), better, than, evidence.confidence, evidence.method
    )
    return {**row, **_interval(found, "difference", "low", "high"), "answer": verdict(found, by), "reason": None}


def _from_seeds(found: SeedMean, by: float) -> _Row:
    """Answer from numbers that a run has once, where less is better."""
    row: _Row = {"difference": found.value, "low": found.low, "high": found.high}
    if found.low is None or found.high is None:
        return {**row, "answer": "undecided", "reason": f"{found.seeds} common seeds tell no spread; two or more do"}
    answer = "supported" if found.high < -by else "refuted" if found.low > -by else "undecided"
    return {**row, "answer": answer, "reason": None}


def _interval(found: Estimate, *keys: str) -> _Row:
    return dict(zip(keys, map(known, (found.value, found.low, found.high)), strict=True))
