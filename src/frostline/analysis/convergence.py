"""How fast arms learn and what they cost: numbers that a run has once, with intervals over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from frostline.analysis.curves import area_under_curve, epoch_seconds, epochs_to_fraction, final_value
from frostline.analysis.evidence import Evidence
from frostline.analysis.runs import RunFolder
from frostline.analysis.seeds import SeedMean, seed_difference, seed_mean

FRACTION, TAIL = 0.9, 5
"""Converged at this share of the final mAP, which is the mean of so many last epochs."""

Value = Callable[[RunFolder], float | None]


def curve(run: RunFolder, metric: str) -> list[float | None]:
    """Return a metric of each epoch from a run's results.csv; empty where there is none."""
    return [] if run.results is None else run.results.get_column(metric).to_list()


def epochs_to_90(run: RunFolder, metric: str = "mAP50") -> float | None:
    """Return the epoch at which a run first reaches 90 % of its final value, the mean of its last 5 epochs."""
    found = epochs_to_fraction(curve(run, metric), FRACTION, TAIL)
    return None if found is None else float(found)


def seconds_an_epoch(run: RunFolder) -> float | None:
    """Return a run's median seconds an epoch."""
    return run.seconds_an_epoch


def training_seconds(run: RunFolder) -> float | None:
    """Return the seconds of a run's epochs in all, with their validation; None where a time is missing."""
    return sum(times) if (times := _epoch_times(run)) else None


def seconds_to_reach(run: RunFolder, target: float, metric: str = "mAP50-95") -> float | None:
    """Return the seconds of training until a metric first reaches a value; None where it never does."""
    times, values = _epoch_times(run), curve(run, metric)
    if not times:
        return None
    for passed, value in zip(itertools.accumulate(times), values, strict=False):
        if value is not None and value >= target:
            return passed
    return None


def convergence_frame(evidence: Evidence) -> pl.DataFrame:
    """Tell how fast each arm learns, means over seeds with Student's intervals, and against the baseline seed by seed.

    Returns:
        A row an arm: `arm`, `runs` with curves; for `epochs_to_90` (of mAP50), `epochs_to_90_mAP50-95`, `area` under
        the curve of mAP50-95 (its mean height) and `final` (mAP50-95, mean of the last 5 epochs): the value, `_low`,
        `_high`, and `_difference`, `_difference_low`, `_difference_high`. Intervals need two seeds.
    """
    values: dict[str, Value] = {
        "epochs_to_90": epochs_to_90,
        "epochs_to_90_mAP50-95": lambda run: epochs_to_90(run, "mAP50-95"),
        "area": lambda run: area_under_curve(curve(run, "mAP50-95")),
        "final": lambda run: final_value(curve(run, "mAP50-95"), TAIL),
    }
    return _frame(evidence, values)


def cost_frame(evidence: Evidence) -> pl.DataFrame:
    """Tell what each arm costs, means over seeds with Student's intervals, and against the baseline seed by seed.

    Returns:
        A row an arm: `arm`, `runs`; for `epoch_seconds` (median over a run's epochs), `training_seconds` (sum of its
        epochs), `seconds_to_baseline` (until the baseline's final mAP50-95 is first reached), `peak_rss_bytes`,
        `peak_cuda_bytes`, `trainable_parameters` and `inference_ms` (batch 1, warm, median): the value, `_low`,
        `_high`, `_difference`, `_difference_low`, `_difference_high`; `reached`, how many runs reached the baseline's
        final mAP50-95; and `epoch_ratio`, its seconds an epoch over those of the baseline.
    """
    target = baseline_final(evidence)
    values: dict[str, Value] = {
        "epoch_seconds": seconds_an_epoch,
        "training_seconds": training_seconds,
        "seconds_to_baseline": lambda run: None if target is None else seconds_to_reach(run, target),
        "peak_rss_bytes": lambda run: run.number("peak_memory", "rss_bytes"),
        "peak_cuda_bytes": lambda run: run.number("peak_memory", "cuda_bytes"),
        "trainable_parameters": lambda run: run.number("parameters", "trainable"),
        "inference_ms": lambda run: run.number("inference", "ms"),
    }
    frame = _frame(evidence, values)
    reached = [
        sum(values["seconds_to_baseline"](run) is not None for run in evidence.runs_of(a)) for a in evidence.arms
    ]
    own = dict(frame.select("arm", "epoch_seconds").iter_rows()).get(evidence.baseline)
    return frame.with_columns(
        pl.Series("reached", reached if target is not None else [None] * len(reached), dtype=pl.Int64),
        (pl.col("epoch_seconds") / pl.lit(own, dtype=pl.Float64)).alias("epoch_ratio"),
    )


def baseline_final(evidence: Evidence) -> float | None:
    """Return the baseline's final mAP50-95: of each seed the mean of its last 5 epochs, then the mean over seeds."""
    if evidence.baseline is None:
        return None
    return seed_mean([final_value(curve(run, "mAP50-95"), TAIL) for run in evidence.runs_of(evidence.baseline)]).value


def _epoch_times(run: RunFolder) -> list[float]:
    """Return the seconds of each epoch: from `run.json`, else from results.csv; empty where an epoch is missing."""
    recorded = run.value("epoch_seconds")
    epochs = 0 if run.results is None else run.results.height
    times = [float(t) for t in recorded if isinstance(t, int | float)] if isinstance(recorded, list) else []
    if len(times) < max(epochs, 1) and run.results is not None:
        times = epoch_seconds(run.results)
    return times if times and len(times) >= epochs and np.isfinite(times).all() else []


def _frame(evidence: Evidence, values: dict[str, Value]) -> pl.DataFrame:
    by_arm: dict[str, dict[str, dict[int, float | None]]] = {
        arm: {
            name: {run.seed if run.seed is not None else 0: value(run) for run in evidence.runs_of(arm)}
            for name, value in values.items()
        }
        for arm in evidence.arms
    }
    rows: list[dict[str, Any]] = []
    for arm, numbers in by_arm.items():
        row: dict[str, Any] = {"arm": arm, "runs": len(evidence.runs_of(arm))}
        for name, own in numbers.items():
            row |= _columns(name, seed_mean(list(own.values()), evidence.confidence))
            if evidence.baseline not in (None, arm):
                against = seed_difference(own, by_arm[str(evidence.baseline)][name], evidence.confidence)
                row |= _columns(f"{name}_difference", against)
        rows.append(row)
    parts: Sequence[str] = ("", "_low", "_high", "_difference", "_difference_low", "_difference_high")
    numbers_schema = {f"{name}{part}": pl.Float64 for name in values for part in parts}
    return pl.DataFrame(rows, schema={"arm": pl.String, "runs": pl.Int64, **numbers_schema})


def _columns(name: str, found: SeedMean) -> dict[str, float | None]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
