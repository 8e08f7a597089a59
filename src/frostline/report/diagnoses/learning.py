"""Learning curves: still rising at the end, diverged, or with numbers that are none."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from frostline.analysis.inference import ONE_POINT
from frostline.files import read_lines
from frostline.report.diagnoses.facts import Facts, RunFacts, points
from frostline.report.diagnoses.model import Diagnosis, Severity

LAST_SHARE = 0.2
"""Share of the epochs that is the end of a curve."""

LEAST_EPOCHS = 5
"""Fewest epochs that are an end: with fewer, no interval of a slope leaves 0 out by the rise alone."""

BEST_SHARE = 0.05
"""Share of the epochs that the best one must be among: where it is earlier, training longer found nothing better."""

LEAST_RISE = 0.002
"""Rise of mAP50-95 over the end of a curve below which more epochs are not worth a line: a fifth of a point."""

JUMP = 2.0
"""Training loss over its lowest so far, from which it counts as lost; unfreezing and closing mosaic stay below."""

COLLAPSED = 0.05
"""Share of the best mAP50-95 so far at which it counts as collapsed."""

WORTH_LOSING = 0.02
"""mAP50-95 below which a collapse is the noise of a model that has learned nothing yet."""

_PERSISTED = "nan persisted"


@dataclass(frozen=True)
class Rise:
    """A curve that still rises at its end.

    Attributes:
        epochs: length of the curve.
        end: epochs of its end.
        slope: of mAP50-95 an epoch at the end, Theil and Sen's.
        low, high: 95 % interval of the slope.
        best: the best epoch.
    """

    epochs: int
    end: int
    slope: float
    low: float
    high: float
    best: int


def still_rising(facts: Facts) -> list[Diagnosis]:
    """Find arms of which at least half of the runs were still getting better when they ended."""
    found = []
    for arm in facts.evidence.arms:
        runs = facts.of_arm(arm)
        rising = [(one, rise) for one in runs if (rise := rise_of(one.stages[-1].curve)) is not None]
        if not rising or 2 * len(rising) < len(runs):
            continue
        slopes = sorted(rise.slope for _, rise in rising)
        lows = min(rise.low for _, rise in rising)
        one, rise = rising[0]
        total = one.epochs or rise.epochs
        gain = _span([100 * slope for slope in slopes], ".2g")
        epochs = sorted({math.ceil(ONE_POINT / slope) for slope in slopes})
        detail = (
            f"{len(rising)} of {len(runs)} runs gain {gain} points of mAP50-95 an epoch over the last {rise.end} of "
            f"{rise.epochs} (95 % intervals from {100 * lows:.2g} up) and are best at the end; one more point takes "
            f"{_span(epochs, 'd')} epoch{'s' * (epochs[-1] > 1)} at that slope, and slopes fall"
        )
        try_ = [
            f"half as many epochs again ({total} to {math.ceil(1.5 * total)}) for every arm, and look again: a curve "
            "does not tell where it ends",
            "do not rank arms by how fast they rise: which is ahead may change",
        ]
        found.append(
            Diagnosis(
                "still-rising", "warning", "Still rising at the end", detail, (*try_, *_mosaic(one, rise)), (arm,)
            )
        )
    return found


def rise_of(curve: Sequence[float | None]) -> Rise | None:
    """Tell whether a curve still rises at its end; None where it does not, or is too short to tell.

    Args:
        curve: (epochs,) mAP50-95 in [0, 1].

    Source: Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968.
    """
    values = np.array([math.nan if value is None else value for value in curve])
    end = max(LEAST_EPOCHS, math.ceil(LAST_SHARE * len(values)))
    if len(values) <= end or not np.isfinite(values[-end:]).all():
        return None
    best = len(values) - int(np.nanargmax(values[::-1]))
    first, second = np.triu_indices(end, 1)
    slope = np.median((values[-end:][second] - values[-end:][first]) / (second - first))
    if slope * end < LEAST_RISE or best <= len(values) - max(1, math.ceil(BEST_SHARE * len(values))):
        return None
    from scipy import stats  # takes long to import, and few curves still rise

    _, _, low, high = stats.theilslopes(values[-end:], np.arange(end), alpha=0.95)
    if low <= 0:
        return None
    return Rise(len(values), end, float(slope), float(low), float(high), best)


def diverged(facts: Facts) -> list[Diagnosis]:
    """Find runs whose losses are no numbers or jumped, and those whose mAP collapsed."""
    found = []
    for one in facts.runs:
        holes = not_numbers(one)
        lost = {column: epochs for column, epochs in holes.items() if column.startswith(("train/", "metrics/"))}
        other = {column: epochs for column, epochs in holes.items() if column not in lost}
        if lost:
            found.append(_diverged(one, "error", _told(lost)))
        elif _PERSISTED in str(one.record.get("reason") or "").lower():
            found.append(_diverged(one, "error", f"it stopped with: {one.record['reason']}"))
        elif sign := _jump(one) or _collapse(one):
            detail, lasting = sign
            found.append(_diverged(one, "error" if lasting else "note", detail))
        if other:
            found.append(
                one.says(
                    "nan-in-results",
                    "warning",
                    "NaN in results.csv",
                    f"{_told(other)}; such cells are left out of curves and means",
                    "look for images without labels and for pixels that are no numbers: frostline data check",
                )
            )
    return found


def not_numbers(one: RunFacts) -> dict[str, list[int]]:
    """Return the rows of `results.csv` (from 1) in which a column holds NaN or an infinity, by column."""
    try:
        text = "\n".join(read_lines(one.run.path / "results.csv"))
    except (OSError, ValueError):
        return {}
    if "nan" not in text.lower() and "inf" not in text.lower():
        return {}
    found: dict[str, list[int]] = {}
    rows = list(csv.reader(text.splitlines()))
    for number, row in enumerate(rows[1:], 1):
        for name, cell in zip(rows[0], row, strict=False):
            if cell.strip().lower().lstrip("+-") in {"nan", "inf", "infinity"}:
                found.setdefault(name.strip(), []).append(number)
    return found


def _diverged(one: RunFacts, severity: Severity, detail: str) -> Diagnosis:
    rate = one.settings.get("lr0")
    lower = f"lr0={rate / 3:.2g} instead of {rate:g}" if isinstance(rate, int | float) and rate > 0 else "a lower lr0"
    try_ = [f"{lower}, for every arm", "a longer warm-up: warmup_epochs"]
    if one.precision != "fp32":
        try_.append(f"precision=fp32, not {one.precision}: half precision overflows or rounds first")
    try_.append("look for broken images and boxes: frostline data check")
    title = "A run diverged" if severity == "error" else "A run fell and came back"
    return one.says("diverged", severity, title, detail, *try_)


def _jump(one: RunFacts) -> tuple[str, bool] | None:
    """Find an epoch whose training loss is far above the lowest so far, within a stage."""
    results = one.results
    names = [name for name in results.columns if name.startswith("train/") and name.endswith("loss")]
    if not names or not results.height:
        return None
    loss = _array(results.select(pl.sum_horizontal(pl.col(names), ignore_nulls=False)).to_series())
    start = 0
    for stage in one.stages:
        part = loss[start : start + len(stage.curve)]
        start += len(stage.curve)
        lowest = np.fmin.accumulate(part)
        with np.errstate(invalid="ignore"):
            above = np.flatnonzero(part[1:] > JUMP * lowest[:-1]) + 1
        if above.size:
            epoch = int(above[0])
            rise = f"from {lowest[epoch - 1]:.3g} to {part[epoch]:.3g} in epoch {stage.first + epoch}"
            return f"the training loss rose {rise}", bool(part[-1] > JUMP * lowest[-1])
    return None


def _collapse(one: RunFacts) -> tuple[str, bool] | None:
    """Find an epoch whose mAP is next to nothing after it had been more."""
    best, best_epoch = 0.0, 0
    values = one.results.get_column("mAP50-95").to_list()
    for epoch, value in enumerate(values, 1):
        if value is None:
            continue
        if best >= WORTH_LOSING and value <= COLLAPSED * best:
            detail = f"mAP50-95 fell to {points(value)} in epoch {epoch} after {points(best)} in epoch {best_epoch}"
            last = next((other for other in reversed(values) if other is not None), 0.0)
            return detail, last <= COLLAPSED * best
        if value > best:
            best, best_epoch = value, epoch
    return None


def _told(holes: Mapping[str, Sequence[int]]) -> str:
    parts = []
    for column, rows in list(holes.items())[:3]:
        where = f"row {rows[0]}" if len(rows) == 1 else f"{len(rows)} rows from row {rows[0]}"
        parts.append(f"{column} is no number in {where}")
    more = f", and {len(holes) - 3} more columns" if len(holes) > 3 else ""
    return ", ".join(parts) + more


def _mosaic(one: RunFacts, rise: Rise) -> tuple[str, ...]:
    """Say so where the end is when mosaic was off, which changes the curve by itself."""
    close, mosaic = one.settings.get("close_mosaic"), one.settings.get("mosaic", 1.0)
    if mosaic and isinstance(close, int) and 0 < close < rise.epochs and close <= rise.end:
        return (f"mind that mosaic was off in the last {close} epochs, which lifts the end by itself",)
    return ()


def _span(numbers: Sequence[float], style: str) -> str:
    low, high = (format(number, style) for number in (numbers[0], numbers[-1]))
    return low if low == high else f"{low} to {high}"


def _array(series: pl.Series) -> NDArray[np.float64]:
    return series.cast(pl.Float64).fill_null(math.nan).to_numpy()
