"""From stage to stage: the curves of arms that train in stages, and what each stage adds to the one before."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frostline.analysis import RunFolder
from frostline.analysis.evidence import Evidence
from frostline.report import hover
from frostline.report.canvas import shortened
from frostline.report.chartparts import FAINT, GREY, WIDTH, in_percent, sheet, styled, whole_epochs
from frostline.report.learning import ArmCurves, arm_curves
from frostline.report.model import Chart
from frostline.report.palette import ArmStyle, arm_styles

_METRICS = ("mAP50", "mAP50-95")
_MOST = 6


@dataclass(frozen=True)
class StageBest:
    """The best checkpoint of one stage, over the seeds of an arm.

    Attributes:
        stage: its number, from 1.
        first: epoch at which the stage begins, counted through all stages; mean over seeds.
        epoch: of the best checkpoint, so counted; mean over seeds.
        values: the metric of that checkpoint by run, in the order of the arm's runs.
    """

    stage: int
    first: float
    epoch: float
    values: tuple[float, ...]

    @property
    def value(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.values))


def stage_bests(runs: Sequence[RunFolder], metric: str) -> list[StageBest]:
    """Give the best checkpoint of each stage of an arm; empty for an arm of one stage.

    The checkpoint is that of the highest mAP50-95 within the stage. Its metric is what run.json measured of it again,
    else the value in results.csv.

    Args:
        runs: of one arm; those without the stages of most are left out.
        metric: `mAP50` or `mAP50-95`.
    """
    found = [rows for run in runs if len(rows := _of_run(run, metric)) > 1]
    count = max(map(len, found), default=0)
    found = [rows for rows in found if len(rows) == count]
    bests = []
    for stage in range(count):
        firsts, epochs, values = zip(*(rows[stage] for rows in found), strict=True)
        bests.append(StageBest(stage + 1, float(np.mean(firsts)), float(np.mean(epochs)), values))
    return bests


def _of_run(run: RunFolder, metric: str) -> list[tuple[int, int, float]]:
    """Give (first epoch, best epoch, metric) of each stage of a run."""
    if run.results is None:
        return []
    rows = run.results.filter(pl.col("stage").is_not_null() & pl.col("mAP50-95").is_not_null())
    measured = run.value("stages") or []
    found = []
    for number, part in enumerate(rows.partition_by("stage", maintain_order=True)):
        best = part.filter(pl.col("mAP50-95") == part.get_column("mAP50-95").max()).row(-1, named=True)
        again = measured[number].get("metrics") if number < len(measured) else None
        value = (again or {}).get(f"ultralytics/{metric}", best[metric])
        found.append((int(part.item(0, "epoch")), int(best["epoch"]), float(value)))
    return found


def stage_charts(evidence: Evidence) -> list[Chart]:
    """Make the chart of arms that train in stages, where there are any."""
    bests = {arm: {metric: stage_bests(evidence.runs_of(arm), metric) for metric in _METRICS} for arm in evidence.arms}
    arms = [arm for arm in evidence.arms if bests[arm][_METRICS[0]]]
    if not arms:
        return []
    cut = f" The first {_MOST} of {len(arms)} such arms." if len(arms) > _MOST else ""
    arms = arms[:_MOST]
    wanted = [*arms, *([evidence.baseline] if evidence.baseline is not None and evidence.baseline not in arms else [])]
    runs = [run for arm in wanted for run in evidence.runs_of(arm)]
    curves = {metric: {found.arm: found for found in arm_curves(runs, metric)} for metric in _METRICS}
    caption = (
        "Validation mAP over the epochs of all stages, Ultralytics' definition, from results.csv: mean over seeds, "
        "thin lines are seeds. Points: best checkpoint of each stage, measured again (run.json), mean over seeds at "
        "its mean epoch. Above a stage: what it adds to the one before, with the lowest and highest seed in "
        "brackets. Dashed: the baseline, and its best checkpoint." + cut
    )
    arguments = (arms, bests, curves, arm_styles(evidence.arms), evidence.baseline)
    return [
        Chart(
            name="stages",
            section="stages",
            title="From stage to stage",
            caption=caption,
            draw=styled(partial(_draw, *arguments)),
            interactive=partial(_interactive, *arguments),
        )
    ]


_Bests = Mapping[str, Mapping[str, Sequence[StageBest]]]
_Curves = Mapping[str, Mapping[str, ArmCurves]]


def _draw(
    arms: Sequence[str], bests: _Bests, curves: _Curves, styles: Mapping[str, ArmStyle], baseline: str | None
) -> Figure:
    figure = sheet(WIDTH, 2.9 * len(arms) + 0.4)
    grid = figure.subplots(len(arms), len(_METRICS), squeeze=False)
    for row, arm in zip(grid, arms, strict=True):
        for axes, metric in zip(row, _METRICS, strict=True):
            reference = curves[metric].get(baseline) if baseline not in (None, arm) else None  # type: ignore[arg-type]
            _panel(axes, bests[arm][metric], curves[metric].get(arm), reference, styles[arm])
            axes.set_title(f"{shortened(arm)}: {metric}")
            axes.set_ylabel(f"{metric} (%)")
            axes.set_xlabel("epoch")
    return figure


def _panel(
    axes: Axes, bests: Sequence[StageBest], curves: ArmCurves | None, reference: ArmCurves | None, style: ArmStyle
) -> None:
    if reference is not None and reference.epochs.size:
        mean = reference.runs.mean(axis=0)
        axes.plot(reference.epochs, mean, color=FAINT, linewidth=1.1, linestyle=(0, (4, 2)), zorder=1)
        axes.axhline(float(np.nanmax(mean)), color=FAINT, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
        axes.annotate(
            f"best of {shortened(reference.arm)}", (0, float(np.nanmax(mean))), xycoords=("axes fraction", "data"),
            xytext=(4, 2), textcoords="offset points", fontsize=7.5, color=GREY, va="bottom", zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.5},
        )  # fmt: skip
    last = 1
    if curves is not None and curves.epochs.size:
        last = int(curves.epochs[-1])
        for values in curves.runs if len(curves.runs) > 1 else ():
            axes.plot(curves.epochs, values, color=style.colour, linewidth=0.7, alpha=0.45, zorder=2)
        axes.plot(curves.epochs, curves.runs.mean(axis=0), color=style.colour, linewidth=1.8, zorder=3)
    axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
    whole_epochs(axes, last)
    in_percent(axes.yaxis)
    for index, best in enumerate(bests):
        _header(axes, bests, index)
        axes.plot(
            best.epoch, best.value, marker="o", markersize=8, color=style.colour, markeredgecolor="white", zorder=6,
            clip_on=False,
        )  # fmt: skip
    for before, after in itertools.pairwise(bests):
        axes.annotate(
            "", (after.epoch, after.value), (before.epoch, before.value), zorder=5,
            arrowprops={"arrowstyle": "-|>", "color": "#222222", "linewidth": 1.3, "shrinkA": 5, "shrinkB": 5,
                        "connectionstyle": "arc3,rad=-0.2"},
        )  # fmt: skip


def _header(axes: Axes, bests: Sequence[StageBest], index: int) -> None:
    """Name a stage above it, with what it adds: there it covers neither curves nor arrows."""
    best = bests[index]
    left, right = axes.get_xlim()
    start = best.first - 0.5 if index else left
    if index:
        axes.axvline(start, color=GREY, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    late = index == len(bests) - 1 and start > left + 0.7 * (right - left)
    at, side = (right, "right") if late else (start, "left")
    axes.annotate(
        f"stage {best.stage}", (at, 1), xycoords=("data", "axes fraction"), xytext=(-2 if late else 4, -2),
        textcoords="offset points", va="top", ha=side, fontsize=7.5, color=GREY,
    )  # fmt: skip
    if index:
        told = gain(bests[index - 1], best)
        axes.annotate(
            told if len(bests) < 4 else told.partition(" ")[0], (at, 1), xycoords=("data", "axes fraction"),
            xytext=(-2 if late else 4, -13), textcoords="offset points", va="top", ha=side, fontsize=8,
            fontweight="bold", color="#222222",
        )  # fmt: skip


def gain(before: StageBest, after: StageBest) -> str:
    """Write what a stage adds, in points: mean over seeds, and the lowest and highest seed."""
    each = [100 * (b - a) for a, b in zip(before.values, after.values, strict=True)]
    text = f"{np.mean(each):+.1f}" + (f" [{min(each):+.1f}, {max(each):+.1f}]" if len(each) > 1 else "") + " points"
    return text.replace("-", "−")


def _interactive(
    arms: Sequence[str], bests: _Bests, curves: _Curves, styles: Mapping[str, ArmStyle], baseline: str | None
) -> dict[str, Any]:
    titles = [f"{shortened(arm)}: {metric}" for arm in arms for metric in _METRICS]
    layout = hover.panels(titles, len(_METRICS), x={"title": {"text": "epoch"}}, height=330,
                          y={"tickformat": ".0%", "rangemode": "tozero"})  # fmt: skip
    layout["shapes"] = []
    data: list[dict[str, Any]] = []
    panel = 0
    for arm in arms:
        for metric in _METRICS:
            panel += 1
            number = "" if panel == 1 else str(panel)
            found = bests[arm][metric]
            told = f"epoch %{{x}}: {metric} %{{y:.1%}}"
            for name in dict.fromkeys(name for name in (baseline, arm) if name in curves[metric]):
                of_arm = curves[metric][str(name)]
                mean = of_arm.runs.mean(axis=0) if of_arm.epochs.size else []
                data.append(hover.line(of_arm.arm, styles[of_arm.arm], of_arm.epochs, mean, told, axes=panel))
                if name != arm:
                    data[-1] |= {"opacity": 0.5}
            layout["shapes"] += [
                {"type": "line", "xref": f"x{number}", "yref": f"y{number} domain", "x0": best.first - 0.5, "y0": 0,
                 "x1": best.first - 0.5, "y1": 1, "line": {"color": GREY, "width": 1, "dash": "dot"}}
                for best in found[1:]
            ]  # fmt: skip
            gains = ["", *(f"<br>{gain(a, b)} on stage {a.stage}" for a, b in itertools.pairwise(found))]
            trace = hover.points(
                arm, styles[arm], [best.epoch for best in found], [best.value for best in found],
                f"best of stage %{{customdata[0]}}: {metric} %{{y:.1%}}%{{customdata[1]}}", 12, axes=panel,
            )  # fmt: skip
            trace["customdata"] = [[best.stage, text] for best, text in zip(found, gains, strict=True)]
            trace |= {"mode": "lines+markers", "line": {"color": styles[arm].colour, "width": 1, "dash": "dot"}}
            data.append(trace)
    return {"data": data, "layout": layout}
