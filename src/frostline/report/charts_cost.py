"""What each arm costs: time, memory and trained parameters, a bar an arm and a point a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from frostline.analysis.convergence import cost_frame, seconds_an_epoch, training_seconds
from frostline.analysis.evidence import Evidence
from frostline.report import hover
from frostline.report.canvas import shortened
from frostline.report.chartparts import GREY, WIDTH, number_at_right, sheet, shown_arms, styled
from frostline.report.charts_time import time_unit
from frostline.report.model import Chart
from frostline.report.palette import ArmStyle, arm_styles


@dataclass(frozen=True)
class Cost:
    """One quantity of all arms.

    Attributes:
        title: its name with its unit.
        bars: mean over seeds by arm, in that unit.
        seeds: what each run has, in that unit, by arm.
    """

    title: str
    bars: Mapping[str, float]
    seeds: Mapping[str, Sequence[float]]


def costs(evidence: Evidence, arms: Sequence[str]) -> list[Cost]:
    """Give the costs that any run recorded: time, memory, parameters; the bars are those of `cost_frame`."""
    frame = cost_frame(evidence).filter(pl.col("arm").is_in(list(arms)))
    runs = {arm: evidence.runs_of(arm) for arm in arms}
    longest = frame.get_column("training_seconds").max()
    unit, name = time_unit(float(longest) if isinstance(longest, float) else 0.0)
    found = []
    for key, title, factor, read in (
        ("epoch_seconds", "seconds an epoch", 1.0, seconds_an_epoch),
        ("training_seconds", f"training, {name}", unit, training_seconds),
        ("peak_rss_bytes", "peak memory, GiB", 2.0**30, lambda run: run.number("peak_memory", "rss_bytes")),
        ("peak_cuda_bytes", "peak CUDA memory, GiB", 2.0**30, lambda run: run.number("peak_memory", "cuda_bytes")),
        ("trainable_parameters", "trainable, millions", 1e6, lambda run: run.number("parameters", "trainable")),
    ):
        bars = {arm: value / factor for arm, value in frame.select("arm", key).iter_rows() if value is not None}
        seeds = {arm: [v / factor for run in runs[arm] if (v := read(run)) is not None] for arm in bars}
        if bars:
            found.append(Cost(title, bars, seeds))
    return found


def cost_charts(evidence: Evidence) -> list[Chart]:
    """Make the bars of time, memory and parameters."""
    arms, cut = shown_arms(evidence.arms, evidence.baseline)
    found = costs(evidence, arms)
    arms = [arm for arm in arms if any(arm in cost.bars for cost in found)]
    if not arms:
        return []
    caption = (
        "Bars: mean over seeds; points: seeds. Seconds an epoch: median over the run's epochs. Training: all its "
        "epochs with their validation. Memory: largest of the process (resident) and of PyTorch on the GPU. "
        "Trainable: parameters, as run.json counts them (of the first stage where there are several). Times are "
        "comparable where the runs had the same machine to themselves. Source: run.json, else results.csv." + cut
    )
    arguments = (found, arms, arm_styles(evidence.arms))
    return [
        Chart(
            name="cost",
            section="cost",
            title="Time and memory",
            caption=caption,
            draw=styled(partial(_draw, *arguments)),
            interactive=partial(_interactive, *arguments),
        )
    ]


def _draw(found: Sequence[Cost], arms: Sequence[str], styles: Mapping[str, ArmStyle]) -> Figure:
    figure = sheet(min(WIDTH, 1.6 + 2.6 * len(found)), 0.26 * len(arms) + 0.95, wspace=0.04)
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, cost in zip(panels, found, strict=True):
        _bars(axes, cost, arms, styles)
    panels[0].set_yticks(range(len(arms)), [shortened(arm) for arm in arms], fontsize=8.5)
    panels[0].set_ylim(len(arms) - 0.4, -0.6)  # the first arm above
    return figure


def _bars(axes: Axes, cost: Cost, arms: Sequence[str], styles: Mapping[str, ArmStyle]) -> None:
    top = max(max(values) for values in cost.seeds.values())
    for row, arm in enumerate(arms):
        value = cost.bars.get(arm)
        if value is None:
            axes.annotate(
                "–", (0, row), xytext=(4, 0), textcoords="offset points", va="center", color=GREY, fontsize=7.5
            )
            continue
        seeds = cost.seeds[arm]
        axes.barh(row, value, height=0.66, color=styles[arm].colour, alpha=0.75, zorder=2)
        if len(seeds) > 1 and max(seeds) > min(seeds):
            axes.plot(
                seeds, [row] * len(seeds), linestyle="none", marker="o", markersize=3.2, markerfacecolor="white",
                markeredgecolor="#333333", markeredgewidth=0.6, zorder=3, clip_on=False,
            )  # fmt: skip
        # In a column of their own: beside a bar, a number would stand at its slowest seed.
        number_at_right(axes, row, value)
    axes.set_title(cost.title, fontsize=9)
    axes.set_xlim(0, 1.27 * top)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.tick_params("y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))


def _interactive(found: Sequence[Cost], arms: Sequence[str], styles: Mapping[str, ArmStyle]) -> dict[str, Any]:
    names = {"tickvals": list(range(len(arms))), "ticktext": [hover.written(shortened(arm)) for arm in arms]}
    layout = hover.panels(
        [cost.title for cost in found], len(found), x={"rangemode": "tozero"}, gap=(0.03, 0.1),
        y={**names, "range": [len(arms) - 0.5, -0.5], "zeroline": False}, height=24 * len(arms) + 40,
    )  # fmt: skip
    layout["margin"]["l"] = 150
    layout["barmode"] = "overlay"
    data = []
    for panel, cost in enumerate(found, start=1):
        number = "" if panel == 1 else str(panel)
        layout[f"yaxis{number}"]["showticklabels"] = panel == 1
        layout["annotations"][panel - 1]["font"] = {"size": 11}
        for row, arm in enumerate(arms):
            value = cost.bars.get(arm)
            if value is None:
                continue
            told = f"{cost.title}: %{{x:.4g}}"
            data.append(hover.bars(arm, styles[arm], [value], [row], told, axes=panel))
            if len(cost.seeds[arm]) > 1:
                seeds = cost.seeds[arm]
                trace = hover.points(arm, styles[arm], seeds, [row] * len(seeds), told + " (a seed)", 7, axes=panel)
                trace["marker"]["line"] = {"color": "#ffffff", "width": 1}  # else lost on a bar of the same colour
                data.append(trace)
    return {"data": data, "layout": layout}
