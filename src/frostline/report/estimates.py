"""Metrics of every arm with their intervals, and their changes against the baseline: what tables and charts share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from frostline.analysis import estimate_arm, estimate_difference
from frostline.analysis.evidence import Evidence
from frostline.analysis.intervals import Estimate
from frostline.analysis.scoring import SOURCES
from frostline.report.model import Column, Kind

# A difference is shown with its sign, and one of shares in points.
_CHANGE: Mapping[Kind, Kind] = {"percent": "points", "number": "signed"}


@dataclass(frozen=True)
class Measured:
    """A metric of an arm, in its own unit; None where it, its interval or a baseline to compare with is missing.

    Attributes:
        arm: name.
        metric: name, as the resamples have it.
        seeds: runs of the arm.
        value: mean over seeds.
        low, high: the interval of `value`.
        change: `value` less that of the baseline, on the same images; None for the baseline itself.
        change_low, change_high: the interval of `change`.
    """

    arm: str
    metric: str
    seeds: int
    value: float | None
    low: float | None
    high: float | None
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval of the change leaves 0 out."""
        return (
            self.change_low is not None
            and self.change_high is not None
            and not self.change_low <= 0 <= self.change_high
        )


Found = Mapping[tuple[str, str], Measured]
"""By arm and metric."""


def measure(evidence: Evidence, metrics: Iterable[str]) -> dict[tuple[str, str], Measured]:
    """Estimate metrics of all arms that have predictions, and their changes against the baseline.

    Args:
        evidence: the runs.
        metrics: names of `RunScorer.metrics`; those that an arm's panel lacks (of another class) are left out.

    Returns:
        By arm and metric, in the order of the arms and then of the metrics.
    """
    wanted = list(metrics)
    found = {}
    for arm in evidence.arms:
        panel = evidence.panel_of(arm)
        if panel is None:
            continue
        known = set(panel.resamples.metrics)
        seeds = len(panel.scorers[arm])
        for metric in wanted:
            if metric in known:
                found[arm, metric] = _measured(evidence, arm, metric, seeds)
    return found


def _measured(evidence: Evidence, arm: str, metric: str, seeds: int) -> Measured:
    panel = evidence.panel_of(arm)
    assert panel is not None
    resamples, how = panel.resamples, (evidence.confidence, evidence.method)
    if not math.isfinite(resamples.arm(arm).point[:, resamples.index(metric)].mean()):
        return Measured(arm, metric, seeds, None, None, None)
    here = _parts(estimate_arm(resamples, metric, arm, *how))
    baseline = evidence.baseline
    if baseline is None or baseline == arm or baseline not in panel.scorers:
        return Measured(arm, metric, seeds, *here)
    return Measured(arm, metric, seeds, *here, *_parts(estimate_difference(resamples, metric, arm, baseline, *how)))


def _parts(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    value, low, high = (part if math.isfinite(part) else None for part in (estimate.value, estimate.low, estimate.high))
    # Without a width it is no interval: no draw differed, as with a single image, or where nothing was ever found.
    return (value, None, None) if low == high else (value, low, high)


def estimates_frame(found: Found, metrics: Mapping[str, str]) -> pl.DataFrame:
    """Put estimates in a table with a row an arm: `<key>`, `_low`, `_high`, `_change`, `_change_low`, `_change_high`.

    Args:
        found: of `measure`.
        metrics: names of metrics by the key of their columns.
    """
    rows = []
    for arm in dict.fromkeys(arm for arm, _ in found):
        row: dict[str, str | int | float | None] = {"arm": arm}
        for key, metric in metrics.items():
            one = found.get((arm, metric))
            row["seeds"] = one.seeds if one else row.get("seeds")
            row |= {f"{key}{end}": getattr(one, name) if one else None for end, name in _ENDS.items()}
        rows.append(row)
    schema = {"arm": pl.String, "seeds": pl.Int64} | {f"{key}{end}": pl.Float64 for key in metrics for end in _ENDS}
    return pl.DataFrame(rows, schema=schema)


_ENDS = {
    "": "value",
    "_low": "low",
    "_high": "high",
    "_change": "change",
    "_change_low": "change_low",
    "_change_high": "change_high",
}


def estimate_columns(key: str, header: str, metric: str, kind: Kind, frame: pl.DataFrame) -> tuple[Column, ...]:
    """Describe an estimate's columns: the value, and its change where any arm has one.

    Args:
        key: as in `estimates_frame`.
        header: for people.
        metric: its first part says whose definition it is.
        kind: of the value, `percent` or `number`.
        frame: of `estimates_frame`.
    """
    source = SOURCES[metric.partition("/")[0]]
    value = Column(key, header, kind, f"{key}_low", f"{key}_high", source)
    if frame.get_column(f"{key}_change").null_count() == frame.height:
        return (value,)
    change = Column(
        f"{key}_change", f"{header}, change", _CHANGE[kind], f"{key}_change_low", f"{key}_change_high", source
    )
    return value, change


def interval_note(evidence: Evidence, arms: Sequence[str] | None = None) -> str:
    """Say what the intervals of a chart or a table are, and for which arms they know of one seed alone."""
    names = [
        arm for arm in (arms or evidence.arms) if (panel := evidence.panel_of(arm)) and len(panel.scorers[arm]) == 1
    ]
    note = f"Intervals: {100 * evidence.confidence:g} %, {_METHODS[evidence.method]}, over images and seeds"
    if not names:
        return f"{note}."
    which = "each arm has one seed" if len(names) == len(evidence.arms) else f"one seed: {', '.join(names)}"
    return f"{note}; over images alone where there is one seed ({which})."


_METHODS = {"percentile": "percentile", "bca": "BCa"}
