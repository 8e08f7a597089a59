"""Differences of every arm to the baseline, with paired intervals: narrower than those of the arms themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from frostline.analysis.evidence import Evidence
from frostline.analysis.inference import ONE_POINT
from frostline.analysis.intervals import Estimate
from frostline.report import hover
from frostline.report.arm_values import differences
from frostline.report.canvas import shortened
from frostline.report.chartparts import GREY, WIDTH, marks, sheet, shown_arms, styled
from frostline.report.model import Chart
from frostline.report.palette import ArmStyle, arm_styles

_METRICS = ("mAP50", "mAP50-95")
_Found = Mapping[str, Mapping[str, tuple[Estimate, float]]]


def difference_charts(evidence: Evidence) -> list[Chart]:
    """Make the forest plot of differences to the baseline, where there is a baseline with predictions."""
    arms, cut = shown_arms(evidence.arms, evidence.baseline)
    found = {metric: _of(differences(evidence, metric), arms) for metric in _METRICS}
    if not all(found.values()):
        return []
    first = found[_METRICS[0]]
    order = sorted(first, key=lambda arm: first[arm][0].value)
    level = 1 - evidence.confidence
    cautions = dict.fromkeys(caution for estimate, _ in first.values() for caution in estimate.cautions)
    caption = (
        f"Mean over seeds of arm minus {shortened(str(evidence.baseline))}, in points of mAP, Ultralytics' "
        f"definition, of the best checkpoint. Intervals: {evidence.confidence:.0%}, paired over the same "
        f"{evidence.draws} draws of images and, where shared, the same seeds ({evidence.method}); each for its own "
        f"arm. Filled: p below {level:.2g} after Holm's adjustment for {len(differences(evidence, _METRICS[0]))} "
        "comparisons; hollow: not. The grey band is one point either way."
        + "".join(f" Caution: {caution}." for caution in cautions)
        + cut
    )
    arguments = (found, order, arm_styles(evidence.arms), level)
    return [
        Chart(
            name="differences",
            section="answer",
            title="Differences to the baseline",
            caption=caption,
            draw=styled(partial(_draw, *arguments)),
            interactive=partial(_interactive, *arguments),
        )
    ]


def _of(found: Mapping[str, tuple[Estimate, float]], arms: Sequence[str]) -> dict[str, tuple[Estimate, float]]:
    return {arm: both for arm, both in found.items() if arm in arms}


def _draw(found: _Found, order: Sequence[str], styles: Mapping[str, ArmStyle], level: float) -> Figure:
    figure = sheet(WIDTH, 0.27 * len(order) + 1.05, wspace=0.02)
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (metric, of_metric) in zip(panels, found.items(), strict=True):
        axes.axvspan(-100 * ONE_POINT, 100 * ONE_POINT, color="#777777", alpha=0.14, linewidth=0, zorder=0)
        axes.axvline(0, color=GREY, linewidth=1.0, zorder=1)
        for row, arm in enumerate(order):
            if arm in of_metric:
                _row(axes, row, *of_metric[arm], styles[arm], level)
        axes.set_title(metric, pad=16)
        axes.set_xlabel("points of mAP, arm − baseline")
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed(value, ".10g")))
        axes.annotate(
            "difference, p (Holm)", (1.02, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
            fontsize=7.5, color=GREY, annotation_clip=False, va="bottom",
        )  # fmt: skip
    panels[0].set_yticks(range(len(order)), [shortened(arm) for arm in order], fontsize=8.5)
    panels[0].tick_params("y", length=0)
    panels[0].set_ylim(-0.6, len(order) - 0.4)
    return figure


def _row(axes: Axes, row: int, estimate: Estimate, p: float, style: ArmStyle, level: float) -> None:
    significant = bool(p < level)
    if np.isfinite(estimate.low):
        axes.plot(
            [100 * estimate.low, 100 * estimate.high], [row, row], color=style.colour, lw=1.7, zorder=2,
            solid_capstyle="butt",
        )  # fmt: skip
    look = marks(style, markersize=7.5)
    if not significant:
        look |= {"markerfacecolor": "white", "markeredgecolor": style.colour, "markeredgewidth": 1.3}
    axes.plot(100 * estimate.value, row, zorder=3, **look)
    axes.annotate(
        f"{_signed(100 * estimate.value)}  [{_signed(100 * estimate.low)}, {_signed(100 * estimate.high)}]  {_p(p)}"
        + (" *" if significant else ""),
        (1.02, row), xycoords=("axes fraction", "data"), fontsize=7.5, color="#222222" if significant else GREY,
        va="center", annotation_clip=False, fontweight="bold" if significant else "normal",
    )  # fmt: skip


def _interactive(found: _Found, order: Sequence[str], styles: Mapping[str, ArmStyle], level: float) -> dict[str, Any]:
    titles = [f"{metric}, points" for metric in found]
    names = {"tickvals": list(range(len(order))), "ticktext": [hover.written(shortened(arm)) for arm in order]} | {
        "zeroline": False
    }
    layout = hover.panels(titles, len(titles), x={"zeroline": True, "ticksuffix": ""}, y=names, gap=(0.06, 0.1),
                          height=26 * len(order) + 60)  # fmt: skip
    layout["margin"]["l"] = 150
    data, layout["shapes"] = [], []
    for panel, (metric, of_metric) in enumerate(found.items(), start=1):
        number = "" if panel == 1 else str(panel)
        layout[f"yaxis{number}"] |= {"showticklabels": False, "matches": "y"} if panel > 1 else {}
        layout["shapes"].append(
            {"type": "rect", "xref": f"x{number}", "yref": f"y{number} domain", "layer": "below",
             "x0": -100 * ONE_POINT, "x1": 100 * ONE_POINT, "y0": 0, "y1": 1,
             "fillcolor": hover.faint("#777777", 0.15), "line": {"width": 0}}
        )  # fmt: skip
        for row, arm in enumerate(order):
            if arm not in of_metric:
                continue
            estimate, p = of_metric[arm]
            told = (
                f"{metric} {_signed(100 * estimate.value)} [{_signed(100 * estimate.low)}, "
                f"{_signed(100 * estimate.high)}] points<br>{_p(p)} after Holm, {estimate.seeds} seeds, "
                f"{estimate.images} images"
            )
            trace = hover.points(arm, styles[arm], [100 * estimate.value], [row], told, 10, axes=panel)
            if not p < level:
                trace["marker"]["symbol"] += "-open"
            low, high = (100 * estimate.low, 100 * estimate.high) if np.isfinite(estimate.low) else (None, None)
            trace["error_x"] = {**hover.interval([100 * estimate.value], [low], [high]), "color": styles[arm].colour}
            data.append(trace)
    return {"data": data, "layout": layout}


def _signed(value: float, spec: str = ".1f") -> str:
    """Write a number with its sign; zero has none, and a minus is a minus."""
    text = f"{value:+{spec}}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}" if p < 0.1 else f"p {p:.2f}"
