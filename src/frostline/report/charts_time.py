"""The trade-off: how good an arm gets against how long it trains, with the arms that no other arm beats in both."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from frostline.analysis import RunFolder
from frostline.analysis.evidence import Evidence
from frostline.report import hover
from frostline.report.arm_values import ArmValue, arm_values, interval_sentence
from frostline.report.canvas import shortened
from frostline.report.chartparts import FAINT, in_percent, label_points, marks, sheet, shown_arms, styled
from frostline.report.depth import LEAST_SPAN
from frostline.report.model import Chart
from frostline.report.palette import ArmStyle, arm_styles

_METRIC = "mAP50-95"


@dataclass(frozen=True)
class TimedArm:
    """An arm's time to train beside its metric.

    Attributes:
        value: the metric with its interval.
        seconds: mean over seeds of median epoch seconds times epochs.
        low, high: of the quickest and the slowest seed.
    """

    value: ArmValue
    seconds: float
    low: float
    high: float


def seconds_to_train(run: RunFolder) -> float | None:
    """Give a run's time to train: its median epoch times its epochs, so that one slow epoch does not count; or None."""
    epochs = run.results.height if run.results is not None else len(run.value("epoch_seconds") or ())
    return run.seconds_an_epoch * epochs if run.seconds_an_epoch is not None and epochs else None


def timed_arms(evidence: Evidence, metric: str, arms: Sequence[str]) -> list[TimedArm]:
    """Give the arms that have both a time and a metric."""
    found = []
    for value in arm_values(evidence, metric, arms):
        seconds = [s for run in evidence.runs_of(value.arm) if (s := seconds_to_train(run)) is not None]
        if seconds:
            found.append(TimedArm(value, statistics.fmean(seconds), min(seconds), max(seconds)))
    return found


def pareto_front(points: Sequence[TimedArm]) -> list[TimedArm]:
    """Give the arms, by rising time, that no other beats: none is as quick and better, or as good and quicker."""
    front: list[TimedArm] = []
    for point in sorted(points, key=lambda point: (point.seconds, -point.value.value)):
        if not front or point.value.value > front[-1].value.value:
            front.append(point)
    return front


def time_charts(evidence: Evidence) -> list[Chart]:
    """Make the chart of mAP50-95 against training time."""
    arms, cut = shown_arms(evidence.arms, evidence.baseline)
    found = [point for point in timed_arms(evidence, _METRIC, arms) if not point.value.elsewhere]
    if len(found) < 2:
        return []
    styles = arm_styles(evidence.arms)
    front = pareto_front(found)
    caption = (
        f"{_METRIC} of the best checkpoint, Ultralytics' definition, against the time to train: median seconds of an "
        "epoch times the number of epochs, mean over seeds; horizontal lines reach from the quickest to the slowest "
        "seed (or to the frame). Times are comparable where the runs had the same machine to themselves. The grey "
        "line joins the Pareto front: no other arm is both quicker and better. "
        + interval_sentence(evidence, [point.value for point in found])
        + cut
    )
    return [
        Chart(
            name="training_time",
            section="answer",
            title=f"{_METRIC} against training time",
            caption=caption,
            draw=styled(partial(_draw, found, front, styles)),
            interactive=partial(_interactive, found, front, styles),
        )
    ]


def time_unit(longest: float) -> tuple[float, str]:
    """Choose a unit for times up to `longest` seconds: its length in seconds, and its name."""
    return (3600.0, "hours") if longest >= 3 * 3600 else (60.0, "minutes") if longest >= 180 else (1.0, "seconds")


def _draw(found: Sequence[TimedArm], front: Sequence[TimedArm], styles: Mapping[str, ArmStyle]) -> Figure:
    unit, name = time_unit(max(point.seconds for point in found))
    figure = sheet(9.5, 5.4)
    axes = figure.subplots()
    for point in found:
        _arm(axes, point, styles[point.value.arm], unit)
    axes.plot(
        [point.seconds / unit for point in front], [point.value.value for point in front], color=FAINT, linewidth=1.4,
        zorder=1, label="Pareto front",
    )  # fmt: skip
    for point in front:
        axes.plot(
            point.seconds / unit, point.value.value, marker="o", markersize=14, markerfacecolor="none",
            markeredgecolor=FAINT, markeredgewidth=1.2, linestyle="none", zorder=3,
        )  # fmt: skip
    axes.set_xlabel(f"{name} to train (median epoch × epochs)")
    axes.set_ylabel(f"{_METRIC} (%)")
    _limits(axes, found, unit)
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    label_points(
        axes,
        [(point.seconds / unit, point.value.value) for point in found],
        [shortened(point.value.arm) for point in found],
        [styles[point.value.arm].colour for point in found],
    )
    return figure


def _arm(axes: Axes, point: TimedArm, style: ArmStyle, unit: float) -> None:
    value, x = point.value, point.seconds / unit
    if value.low is not None and value.high is not None:
        axes.plot([x, x], [value.low, value.high], color=style.colour, linewidth=1.3, alpha=0.45, zorder=2)
    if point.high > point.low:
        ends = [point.low / unit, point.high / unit]
        axes.plot(ends, [value.value] * 2, color=style.colour, linewidth=1.0, alpha=0.3, zorder=2)
    look = marks(style, markersize=8)
    if value.low is None:
        look |= {"markerfacecolor": "white", "markeredgecolor": style.colour, "markeredgewidth": 1.3}
    axes.plot(x, value.value, zorder=4, **look)


def _limits(axes: Axes, found: Sequence[TimedArm], unit: float) -> None:
    """Frame the points and their intervals; a seed that a busy machine made far slower is cut off at the frame."""
    seconds = [point.seconds / unit for point in found]
    reach = max(max(seconds) - min(seconds), 0.1 * max(seconds))
    axes.set_xlim(max(0.0, min(seconds) - 0.12 * reach), max(seconds) + 0.16 * reach)
    ends = [end for point in found for end in (point.value.low, point.value.high, point.value.value) if end is not None]
    span = max(max(ends) - min(ends), LEAST_SPAN)
    axes.set_ylim(min(ends) - 0.06 * span, min(ends) + 1.06 * span)
    in_percent(axes.yaxis, 8)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))


def _interactive(
    found: Sequence[TimedArm], front: Sequence[TimedArm], styles: Mapping[str, ArmStyle]
) -> dict[str, Any]:
    unit, name = time_unit(max(point.seconds for point in found))
    layout = hover.panels([f"{_METRIC} against {name} to train"], 1, height=430,
                          x={"title": {"text": f"{name} to train"}}, y={"tickformat": ".0%"})  # fmt: skip
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "x": hover.numbers(point.seconds / unit for point in front),
         "y": hover.numbers(point.value.value for point in front), "line": {"color": FAINT, "width": 2},
         "hoverinfo": "skip", "name": "Pareto front", "showlegend": False}
    ]  # fmt: skip
    names = [shortened(point.value.arm) for point in found]
    sides = hover.free_sides([(point.seconds, point.value.value) for point in found], names)
    for point, label, side in zip(found, names, sides, strict=True):
        value, style = point.value, styles[point.value.arm]
        told = f"{_METRIC} %{{y:.1%}}"
        if value.low is not None and value.high is not None:
            told += f" ({value.low:.1%} to {value.high:.1%})"
        told += f"<br>{point.seconds / unit:.3g} {name} (seeds {point.low / unit:.3g} to {point.high / unit:.3g})"
        told += "<br>on the Pareto front" if point in front else ""
        trace = hover.points(value.arm, style, [point.seconds / unit], [value.value], told, 12)
        trace |= {"mode": "markers+text", "text": [hover.written(label)], "textposition": side}
        trace["error_y"] = {**hover.interval([value.value], [value.low], [value.high]), "color": style.colour}
        trace["error_y"] |= {"thickness": 1, "width": 0}
        data.append(trace)
    return {"data": data, "layout": layout}
