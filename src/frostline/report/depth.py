"""The panel of freeze depth: one metric of the best checkpoints against the number of frozen leading layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from frostline.analysis import RunFolder, headline
from frostline.report.palette import ArmStyle

_MOST_TICKS = 16
LEAST_SPAN = 0.05
"""Of a vertical axis: differences far below a point of mAP are not blown up to fill the panel."""


def draw_depth(axes: Axes, runs: Sequence[RunFolder], metric: str, styles: Mapping[str, ArmStyle]) -> None:
    """Draw a metric against freeze depth: a point a run, a line through the arms' means, nothing fitted.

    Arms whose plan is not a plain freeze of leading layers have no depth: they stand apart, at the right. The line is
    left out where two arms share a depth, as it would join arms that differ in something else.

    Args:
        axes: where to draw.
        runs: those to draw; every run of an arm counts the same.
        metric: one of `analysis.METRICS`.
        styles: the look of every arm.
    """
    values: dict[str, list[float]] = {}
    depths: dict[str, int | None] = {}
    for run in runs:
        value = headline(run)[metric]
        if isinstance(value, float):
            values.setdefault(run.arm, []).append(value)
            depths[run.arm] = run.freeze_depth if depths.get(run.arm, run.freeze_depth) == run.freeze_depth else None
    axes.set_title(f"{metric} against freeze depth")
    if not values:
        axes.set_axis_off()
        axes.text(0.5, 0.5, f"no final {metric} yet", transform=axes.transAxes, ha="center", color="#555555")
        return
    places = _place(depths)
    means = {arm: float(np.mean(items)) for arm, items in values.items()}
    known = sorted((depth, means[arm]) for arm, depth in depths.items() if depth is not None)
    if len({depth for depth, _ in known}) == len(known) > 1:
        axes.plot(*zip(*known, strict=True), color="#999999", linewidth=1.2, zorder=1)
    reach = max(places.values()) - min(places.values())
    for arm, items in values.items():
        look: dict[str, Any] = {"color": styles[arm].colour, "marker": styles[arm].marker, "linestyle": "none"}
        if len(items) > 1:  # beside the mean, which would hide them
            beside = places[arm] + max(0.025 * reach, 0.03)
            axes.plot(
                [beside] * len(items),
                items,
                markersize=4.5,
                alpha=0.55,
                markeredgewidth=0,
                zorder=2,
                clip_on=False,
                **look,
            )
        # Arms at one spot lie on one another, the first one largest.
        later = list(means)[list(means).index(arm) + 1 :]
        hidden = sum(places[other] == places[arm] and abs(means[other] - means[arm]) < 0.002 for other in later)
        size = 8 + 5 * min(hidden, 3)
        axes.plot(
            places[arm], means[arm], markersize=size, markeredgecolor="white", markeredgewidth=0.7, zorder=3,
            clip_on=False, **look,
        )  # fmt: skip
    _label(axes, depths, places, metric)
    _widen(axes, [value for items in values.values() for value in items])


def _place(depths: Mapping[str, int | None]) -> dict[str, float]:
    """Give each arm its horizontal place: its depth, or one past the deepest for plans without one."""
    known = [depth for depth in depths.values() if depth is not None]
    step = max(1.0, (max(known) - min(known)) / 8) if known else 1.0
    apart = (max(known) if known else 0) + 2 * step
    others = [arm for arm, depth in depths.items() if depth is None]
    return {arm: float(depth) for arm, depth in depths.items() if depth is not None} | {
        arm: apart + step * index for index, arm in enumerate(others)
    }


def _label(axes: Axes, depths: Mapping[str, int | None], places: Mapping[str, float], metric: str) -> None:
    known = sorted({depth for depth in depths.values() if depth is not None})
    others = [places[arm] for arm, depth in depths.items() if depth is None]
    if len(known) <= _MOST_TICKS:
        axes.set_xticks(known, [str(depth) for depth in known])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axes.set_xlabel("leading layers frozen")
    axes.set_ylabel(f"{metric} (best checkpoint)")
    if others:
        if known:
            axes.axvline((max(known) + min(others)) / 2, color="#bbbbbb", linewidth=0.8, zorder=0)
        axes.annotate(
            "other\nplans",
            (float(np.mean(others)), 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -4),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8,
            linespacing=0.95,
        )
    left, right = min(places.values()), max(places.values())
    margin = max(0.6, (right - left) * 0.07)
    axes.set_xlim(left - margin, right + margin)


def _widen(axes: Axes, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    span = max(high - low, LEAST_SPAN)
    middle = (low + high) / 2
    bottom = max(0.0, middle - 0.6 * span)
    axes.set_ylim(bottom, bottom + 1.2 * span)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
