"""Learning curves of all arms over one another, and arm by arm, with bands over seeds and where they have learnt."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from frostline.analysis import RunFolder
from frostline.analysis.convergence import epochs_to_90
from frostline.analysis.evidence import Evidence
from frostline.analysis.panels import label
from frostline.report import hover
from frostline.report.canvas import shortened
from frostline.report.chartparts import (
    GREY,
    WIDTH,
    in_percent,
    listed,
    marks,
    number_at_right,
    sheet,
    shown_arms,
    strokes,
    styled,
)
from frostline.report.charts_losses import loss_charts
from frostline.report.learning import ArmCurves, arm_curves, draw_learning
from frostline.report.model import Chart
from frostline.report.palette import ArmStyle, arm_styles

_METRICS = ("mAP50", "mAP50-95")
_MOST_UNFINISHED = 12  # lines; more cannot be told apart
_MOST_PANELS = 24
_MOST_POINTS = 300  # of an interactive curve


@dataclass(frozen=True)
class Learning:
    """What the charts of learning curves draw.

    Attributes:
        arms: those with curves, in order.
        runs: of these arms, those that count.
        unfinished: runs that do not count, but have curves.
        styles: the look of all arms.
        baseline: its name, or None.
    """

    arms: Sequence[str]
    runs: Sequence[RunFolder]
    unfinished: Sequence[RunFolder]
    styles: Mapping[str, ArmStyle]
    baseline: str | None

    def to_90(self, arm: str) -> list[float]:
        """Epochs to 90 % of the final mAP50, of each run that has them."""
        return [epochs for run in self.runs if run.arm == arm and (epochs := epochs_to_90(run)) is not None]


def learning_charts(evidence: Evidence) -> list[Chart]:
    """Make the charts of learning curves, and of losses where results.csv has them."""
    chosen, cut = shown_arms(evidence.arms, evidence.baseline)
    runs = [run for arm in chosen for run in evidence.runs_of(arm) if run.results is not None]
    unfinished = [run for run in evidence.runs if not evidence.counts(run) and run.results is not None]
    arms = [curves.arm for curves in arm_curves(runs, "mAP50")]
    if not arms and not unfinished:
        return []
    styles = arm_styles([*evidence.arms, *(run.arm for run in unfinished)])
    learning = Learning(arms, runs, unfinished[:_MOST_UNFINISHED], styles, evidence.baseline)
    caption = (
        "Validation metrics at each epoch, Ultralytics' definition, from results.csv. Lines: mean over seeds; "
        "bands: lowest to highest seed." + _unfinished_note(unfinished) + cut
    )
    charts = [
        Chart(
            name="learning_curves",
            section="curves",
            title="Learning curves",
            caption=caption
            + " Right: epochs to 90 % of the final mAP50 (mean of the last 5 epochs), line to the mean over "
            "seeds, small points are seeds.",
            draw=styled(partial(_draw, learning)),
            interactive=partial(_interactive, learning),
        )
    ]
    if len(arms) > 3:
        most = f" The first {_MOST_PANELS} of {len(arms)} arms." if len(arms) > _MOST_PANELS else ""
        charts.append(
            Chart(
                name="learning_by_arm",
                section="curves",
                title="Learning curves, arm by arm",
                caption=caption
                + " Thin lines: seeds. Dashed grey: the baseline. Ring: the mean epoch at which 90 % of the "
                "final mAP50 is reached." + most,
                draw=styled(partial(_draw_by_arm, learning)),
            )
        )
    return charts + loss_charts(runs, arms, styles, cut)


def _unfinished_note(unfinished: Sequence[RunFolder]) -> str:
    if not unfinished:
        return ""
    names = listed([f"{label(run)} ({run.status})" for run in unfinished])
    return f" Dotted, ending in a cross, and in no mean: {names}."


def _draw(learning: Learning) -> Figure:
    rows = max(len(learning.arms), 1)
    figure = sheet(WIDTH, max(3.6, 0.215 * rows + 1.0))
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.35, 1.35, 1))
    for axes, metric in zip((left, middle), _METRICS, strict=True):
        draw_learning(axes, learning.runs or learning.unfinished, metric, learning.styles, _shade(rows))
        axes.set_title(metric)
        axes.set_ylabel(f"{metric} (%)")
        if learning.runs:
            _draw_unfinished(axes, learning, metric)
        if axes.axison:
            in_percent(axes.yaxis)
    _draw_to_90(right, learning)
    return figure


def _shade(arms: int) -> float:
    """Give how dense bands are: those of many arms would hide the lines."""
    return 0.16 if arms <= 6 else 0.07


def _draw_unfinished(axes: Axes, learning: Learning, metric: str) -> None:
    for run in learning.unfinished:
        epochs, values = _curve(run, metric)
        colour = learning.styles[run.arm].colour
        axes.plot(epochs, values, color=colour, linewidth=1.1, linestyle=":", zorder=3)
        axes.plot(epochs[-1:], values[-1:], marker="x", color=colour, markersize=6, markeredgewidth=1.6, zorder=4)
    last = max(
        (int(run.results.item(-1, "epoch")) for run in learning.unfinished if run.results is not None), default=0
    )
    if last > axes.get_xlim()[1]:
        axes.set_xlim(right=1.03 * last)


def _curve(run: RunFolder, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    assert run.results is not None
    kept = run.results.select("epoch", metric).drop_nulls()
    return kept.get_column("epoch").to_numpy().astype(np.float64), kept.get_column(metric).to_numpy()


def _draw_to_90(axes: Axes, learning: Learning) -> None:
    """Draw a row an arm: the legend of the figure, whose line ends at the mean epochs to 90 %."""
    top = 1.0
    for row, arm in enumerate(learning.arms):
        style, epochs = learning.styles[arm], learning.to_90(arm)
        mean = float(np.mean(epochs)) if epochs else 0.0
        top = max([top, *epochs])
        if not epochs:
            axes.annotate("–", (0, row), xytext=(4, 0), textcoords="offset points", va="center", color=GREY)
            continue
        axes.plot([0, mean], [row, row], **strokes(style, 1.8), zorder=2, solid_capstyle="butt")
        if len(set(epochs)) > 1:
            axes.plot(epochs, [row] * len(epochs), **marks(style, markersize=4, markeredgewidth=0, alpha=0.5), zorder=3)
        axes.plot(mean, row, **marks(style, markersize=7), zorder=4, clip_on=False)
        number_at_right(axes, row, mean)
    axes.set_yticks(range(len(learning.arms)), [shortened(arm) for arm in learning.arms], fontsize=8)
    axes.tick_params("y", length=0)
    axes.set_ylim(max(len(learning.arms), 1) - 0.4, -0.6)
    axes.set_xlim(0, 1.24 * top)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.set_title("epochs to 90 %")
    axes.set_xlabel("epoch")


def _draw_by_arm(learning: Learning) -> Figure:
    gathered = arm_curves(learning.runs, "mAP50")[:_MOST_PANELS]
    columns = min(5, math.ceil(len(gathered) / 2)) if len(gathered) > 4 else len(gathered)
    rows = math.ceil(len(gathered) / columns)
    figure = sheet(WIDTH, 1.75 * rows + 0.45, hspace=0.03, wspace=0.02)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    reference = next((curves for curves in gathered if curves.arm == learning.baseline), None)
    for axes, curves in zip(grid.ravel(), gathered, strict=False):
        _one_arm(axes, curves, reference, learning)
    for axes in grid.ravel()[len(gathered) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    for row in grid:
        row[0].set_ylabel("mAP50 (%)")
    grid[0][0].set_ylim(bottom=0)
    in_percent(grid[0][0].yaxis, 4)
    grid[0][0].xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    return figure


def _one_arm(axes: Axes, curves: ArmCurves, reference: ArmCurves | None, learning: Learning) -> None:
    colour = learning.styles[curves.arm].colour
    if reference is not None and reference is not curves:
        axes.plot(
            reference.epochs,
            reference.runs.mean(axis=0),
            color="#999999",
            linewidth=1.0,
            linestyle=(0, (4, 2)),
            zorder=1,
        )
    for values in curves.runs if len(curves.runs) > 1 else ():
        axes.plot(curves.epochs, values, color=colour, linewidth=0.6, alpha=0.6, zorder=2)
    for epochs, values in curves.longer:
        axes.plot(epochs, values, color=colour, linewidth=0.6, alpha=0.6, zorder=2)
    mean = curves.runs.mean(axis=0)
    if len(curves.runs) > 1:
        low, high = curves.runs.min(axis=0), curves.runs.max(axis=0)
        axes.fill_between(curves.epochs, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    marker = "o" if curves.epochs.size == 1 else ""
    axes.plot(curves.epochs, mean, color=colour, linewidth=1.8, zorder=3, marker=marker, markersize=4)
    reached = learning.to_90(curves.arm)
    if reached and curves.epochs.size:
        at = float(np.mean(reached))
        axes.plot(
            at, np.interp(at, curves.epochs, mean), marker="o", markersize=6, markerfacecolor="white", color=colour,
            markeredgewidth=1.4, zorder=4, clip_on=False,
        )  # fmt: skip
    for start in _starts(learning.runs, curves.arm):
        axes.axvline(start - 0.5, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    axes.set_title(shortened(curves.arm, 24), fontsize=8.5, color=colour, pad=4)


def _starts(runs: Sequence[RunFolder], arm: str) -> set[int]:
    """Give the epochs at which an arm's later stages begin."""
    found: set[int] = set()
    for run in runs:
        if run.arm == arm and run.results is not None:
            rows = run.results.select("stage", "epoch").drop_nulls().rows()
            found |= {epoch for (before, _), (stage, epoch) in itertools.pairwise(rows) if stage != before}
    return found


def _interactive(learning: Learning) -> dict[str, Any]:
    layout = hover.panels(_METRICS, 2, x={"title": {"text": "epoch"}}, y={"tickformat": ".0%", "rangemode": "tozero"},
                          height=400)  # fmt: skip
    data: list[dict[str, Any]] = []
    for panel, metric in enumerate(_METRICS, start=1):
        for curves in arm_curves(learning.runs, metric):
            data += _traces(curves, learning, metric, panel)
        for run in learning.unfinished:
            epochs, values = _curve(run, metric)
            told = f"epoch %{{x}}: {metric} %{{y:.1%}}<br>{hover.spoken(str(run.status))}, seed {run.seed}"
            trace = hover.line(run.arm, learning.styles[run.arm], epochs, values, told, axes=panel)
            trace |= {"mode": "lines+markers", "marker": {"symbol": "x", "size": [0] * (len(epochs) - 1) + [9]}}
            trace["line"] |= {"dash": "dot", "width": 1.5}
            data.append(trace)
    return {"data": data, "layout": layout}


def _traces(curves: ArmCurves, learning: Learning, metric: str, panel: int) -> list[dict[str, Any]]:
    if not curves.epochs.size:
        return []
    style = learning.styles[curves.arm]
    step = max(1, math.ceil(curves.epochs.size / _MOST_POINTS))
    kept = np.unique(np.append(np.arange(0, curves.epochs.size, step), curves.epochs.size - 1))
    epochs, runs = curves.epochs[kept], curves.runs[:, kept]
    mean, low, high = runs.mean(axis=0), runs.min(axis=0), runs.max(axis=0)
    several = f"<br>{len(runs)} seeds: %{{customdata[0]:.1%}} to %{{customdata[1]:.1%}}" if len(runs) > 1 else ""
    trace = hover.line(curves.arm, style, epochs, mean, f"epoch %{{x}}: {metric} %{{y:.1%}}{several}", axes=panel)
    if epochs.size == 1:
        trace["mode"] = "markers"
    if not several:
        found = [trace]
    else:
        trace["customdata"] = [list(pair) for pair in zip(hover.numbers(low), hover.numbers(high), strict=True)]
        shade = _shade(len(learning.arms))
        found = [hover.band(curves.arm, style, epochs, low, high, shade, axes=panel), trace]
    reached = learning.to_90(curves.arm)
    if reached and metric == "mAP50":
        at = float(np.mean(reached))
        told = f"90 % of its final mAP50 at epoch {at:.3g} (runs: {', '.join(f'{epochs:g}' for epochs in reached[:8])})"
        found.append(hover.points(curves.arm, style, [at], [np.interp(at, epochs, mean)], told, 10, axes=panel))
        found[-1]["marker"]["symbol"] = "circle-open"
    return found
