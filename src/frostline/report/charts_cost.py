"""What each arm costs: time, memory and trained parameters, a bar an arm and a point a seed."""

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
from frostline.report.canvas import GREY, WIDTH, sheet, shortened, shown_arms, styled
from frostline.report.charts_time import time_unit
from frostline.report.model import Chart
from frostline.report.palette import ArmStyle, arm_styles


@dataclass(frozen=True)
class Cost:
    """One quantity of all arms.

    Attributes:
        title: its name with its unit.
        seeds: what each run has, in that unit, by arm.
    """

    title: str
    seeds: Mapping[str, Sequence[float]]

    def bar(self, arm: str) -> float | None:
        """The median over seeds: one run on a busy machine does not move it."""
        return statistics.median(self.seeds[arm]) if self.seeds.get(arm) else None


def costs(evidence: Evidence, arms: Sequence[str]) -> list[Cost]:
    """Give the costs that any run recorded: seconds an epoch, time of the run, memory, parameters."""

    def gathered(title: str, read: Any, factor: float = 1.0) -> Cost:
        seeds = {arm: [value / factor for run in evidence.runs_of(arm) if (value := read(run)) is not None] for arm in arms}
        return Cost(title, {arm: values for arm, values in seeds.items() if values})

    def wall(run: RunFolder) -> float | None:
        return run.number("wall_seconds")

    longest = max((value for arm in arms for run in evidence.runs_of(arm) if (value := wall(run))), default=0.0)
    unit, name = time_unit(longest)
    found = [
        gathered("seconds an epoch", lambda run: run.seconds_an_epoch),
        gathered(f"whole run, {name}", wall, unit),
        gathered("peak memory, GiB", lambda run: run.number("peak_memory", "rss_bytes"), 2**30),
        gathered("peak CUDA memory, GiB", lambda run: run.number("peak_memory", "cuda_bytes"), 2**30),
        gathered("trainable parameters, millions", lambda run: run.number("parameters", "trainable"), 1e6),
    ]
    return [cost for cost in found if cost.seeds]


def cost_charts(evidence: Evidence) -> list[Chart]:
    """Make the bars of time, memory and parameters."""
    arms, cut = shown_arms(evidence.arms, evidence.baseline)
    found = costs(evidence, arms)
    arms = [arm for arm in arms if any(arm in cost.seeds for cost in found)]
    if not arms:
        return []
    caption = (
        "Bars: median over seeds; points: seeds. Seconds an epoch: median over the run's epochs. Whole run: from start to "
        "end, with validation and everything else. Memory: largest of the process (resident) and of PyTorch on the GPU. "
        "Parameters: those that could move when the training began or, with stages, in the first of them. Times are "
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
        value = cost.bar(arm)
        if value is None:
            axes.annotate("–", (0, row), xytext=(4, 0), textcoords="offset points", va="center", color=GREY, fontsize=7.5)
            continue
        seeds = cost.seeds[arm]
        axes.barh(row, value, height=0.66, color=styles[arm].colour, alpha=0.75, zorder=2)
        end = value
        if len(seeds) > 1 and max(seeds) > min(seeds):
            axes.plot(
                seeds, [row] * len(seeds), linestyle="none", marker="o", markersize=3.2, markerfacecolor="white",
                markeredgecolor="#333333", markeredgewidth=0.6, zorder=3, clip_on=False,
            )  # fmt: skip
            end = max(value, *seeds)
        axes.annotate(
            f"{value:.3g}", (end, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=7, color=GREY,
            annotation_clip=False,
        )  # fmt: skip
    axes.set_title(cost.title, fontsize=9)
    axes.set_xlim(0, 1.16 * top)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.tick_params("y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))


def _interactive(found: Sequence[Cost], arms: Sequence[str], styles: Mapping[str, ArmStyle]) -> dict[str, Any]:
    names = {"tickvals": list(range(len(arms))), "ticktext": [hover.written(shortened(arm)) for arm in arms]}
    layout = hover.panels([cost.title for cost in found], len(found), x={"rangemode": "tozero"}, gap=(0.03, 0.1),
                          y={**names, "range": [len(arms) - 0.5, -0.5]}, height=24 * len(arms) + 40)  # fmt: skip
    layout["margin"]["l"] = 150
    layout["barmode"] = "overlay"
    data = []
    for panel, cost in enumerate(found, start=1):
        number = "" if panel == 1 else str(panel)
        layout[f"yaxis{number}"]["showticklabels"] = panel == 1
        layout["annotations"][panel - 1]["font"] = {"size": 11}
        for row, arm in enumerate(arms):
            value = cost.bar(arm)
            if value is None:
                continue
            told = f"{cost.title}: %{{x:.4g}}"
            data.append(hover.bars(arm, styles[arm], [value], [row], told, axes=panel))
            if len(cost.seeds[arm]) > 1:
                data.append(
                    hover.points(arm, styles[arm], cost.seeds[arm], [row] * len(cost.seeds[arm]), told + " (a seed)", 5,
                                 axes=panel, opacity=0.7)
                )  # fmt: skip
    return {"data": data, "layout": layout}
