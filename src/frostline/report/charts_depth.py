"""The report's answer: mAP against freeze depth with intervals, and the frost line where the study would freeze to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frostline.analysis.evidence import Evidence
from frostline.report import hover
from frostline.report.arm_values import ArmValue, arm_values, interval_sentence
from frostline.report.canvas import shortened
from frostline.report.chartparts import FAINT, FROST, WIDTH, in_percent, marks, sheet, shown_arms, spread_out, styled
from frostline.report.depth import LEAST_SPAN
from frostline.report.model import Chart
from frostline.report.palette import ArmStyle, arm_styles

_METRICS = ("mAP50", "mAP50-95")
_GAP = 0.24  # inches between two arms: room for a name on its side


def depth_charts(evidence: Evidence, frost_line: int | None = None) -> list[Chart]:
    """Make the charts of mAP against freeze depth.

    Args:
        evidence: of the study.
        frost_line: number of leading layers that the study recommends to freeze; None where it recommends none.
    """
    arms, cut = shown_arms(evidence.arms, evidence.baseline)
    values = {metric: arm_values(evidence, metric, arms) for metric in _METRICS}
    values = {metric: found for metric, found in values.items() if found}
    if not values:
        return []
    styles = arm_styles(evidence.arms)
    order = _Places(next(iter(values.values())), frost_line)
    joined = any(len(_joined(found)) > 1 for found in values.values())
    caption = (
        "mAP of the best checkpoint, Ultralytics' definition, on the validation split; mean over seeds, small "
        "points are seeds. "
        + ("The grey line joins arms that differ in nothing but their depth. " if joined else "")
        + ("The grey band is the baseline's interval. " if evidence.baseline is not None else "")
        + ("The frost line is the depth that this study recommends. " if frost_line is not None else "")
        + interval_sentence(evidence, next(iter(values.values())))
        + cut
    )
    return [
        Chart(
            name="freeze_depth",
            section="answer",
            title="mAP against freeze depth",
            caption=caption,
            draw=styled(partial(_draw, values, order, styles, evidence.baseline, frost_line)),
            interactive=partial(_interactive, values, order, styles, evidence.baseline, frost_line),
        )
    ]


class _Places:
    """Where each arm stands: plain depths on the left to scale, as far as names have room; other plans on the right.

    Attributes:
        x: by arm; each of the two panels has its own inches.
        widths: of the two panels, inches.
    """

    def __init__(self, values: Sequence[ArmValue], frost_line: int | None) -> None:
        self.deep = [value for value in values if value.depth is not None]
        self.deep.sort(key=lambda value: (value.depth or 0, not value.plain))
        self.others = [value for value in values if value.depth is None]
        depths = [value.depth or 0 for value in self.deep]
        if frost_line is not None and depths:
            depths.append(frost_line)
        room = WIDTH - 1.0 - 0.36 * len(self.others)
        self.span = max(max(depths) - min(depths), 1) if depths else 1
        self.low = min(depths) if depths else 0
        # An arm an inch is plenty; a few arms do not need the whole page.
        inches = min(max(room, 0.3 * len(self.deep) + 1, 2.5), 0.9 + 1.0 * len(self.deep)) if self.deep else 0.0
        self.scale = (inches - 0.7) / self.span
        wanted = [self.scale * ((value.depth or 0) - self.low) for value in self.deep]
        gap = min(_GAP, inches / max(len(self.deep), 1))
        places = spread_out(wanted, gap)
        self.x = {value.arm: float(place) for value, place in zip(self.deep, places, strict=True)}
        self.x |= {value.arm: 0.42 * index for index, value in enumerate(self.others)}
        self.widths = (inches, max(0.42 * len(self.others) + 0.1, 0.75) if self.others else 0.0)

    def of_depth(self, depth: int) -> float:
        """Give the place of a depth: that of the plain arm with it, else to scale."""
        at = [self.x[value.arm] for value in self.deep if value.depth == depth and value.plain]
        return at[0] if at else self.scale * (depth - self.low)


def _joined(values: Sequence[ArmValue]) -> list[ArmValue]:
    """Give the arms that a line may join, by depth: none where two have one depth, as they differ in something else."""
    plain = sorted((value for value in values if value.plain), key=lambda value: value.depth or 0)
    return plain if len({value.depth for value in plain}) == len(plain) else []


def _draw(
    values: Mapping[str, Sequence[ArmValue]], places: _Places, styles: Mapping[str, ArmStyle], baseline: str | None,
    frost_line: int | None,
) -> Figure:  # fmt: skip
    sides = [side for side, group in enumerate((places.deep, places.others)) if group]
    widths = [places.widths[side] for side in sides]
    longest = max(len(shortened(value.arm)) for value in [*places.deep, *places.others])
    figure = sheet(max(sum(widths) + 1.0, 5.0), 2.7 * len(values) + 0.075 * min(longest, 28) + 0.5)
    grid = figure.subplots(
        len(values), len(sides), squeeze=False, sharey="row", sharex="col", gridspec_kw={"width_ratios": widths}
    )
    for row, (metric, found) in enumerate(values.items()):
        for axes, side in zip(grid[row], sides, strict=True):
            here = [value for value in found if (value.depth is None) == bool(side)]
            _panel(axes, here, found, places, styles, baseline)
            if side == 0:
                joined = _joined(found)
                axes.plot([places.x[v.arm] for v in joined], [v.value for v in joined], color=FAINT, lw=1.3, zorder=1)
                if frost_line is not None:
                    _mark_frost_line(axes, places.of_depth(frost_line), frost_line, row == 0)
            _ticks(axes, places, side, row == len(values) - 1)
        grid[row][0].set_ylabel(f"{metric} (%)")
        grid[row][0].set_ylim(*_limits(found))
        in_percent(grid[row][0].yaxis)
    for axes, side in zip(grid[0], sides, strict=True):
        axes.set_title("leading layers frozen" if side == 0 else "other plans", pad=20 if frost_line is not None else 8)
    return figure


def _panel(
    axes: Axes, here: Sequence[ArmValue], found: Sequence[ArmValue], places: _Places, styles: Mapping[str, ArmStyle],
    baseline: str | None,
) -> None:  # fmt: skip
    base = next((value for value in found if value.arm == baseline), None)
    if base is not None:
        if base.low is not None and base.high is not None:
            axes.axhspan(base.low, base.high, color="#777777", alpha=0.13, linewidth=0, zorder=0)
        axes.axhline(base.value, color="#777777", linewidth=0.8, linestyle=(0, (4, 3)), zorder=0.5)
    for value in here:
        style, x = styles[value.arm], places.x[value.arm]
        if len(value.seeds) > 1:
            axes.plot(
                [x + 0.12] * len(value.seeds), list(value.seeds.values()), clip_on=False, zorder=2,
                **marks(style, markersize=3.6, alpha=0.55, markeredgewidth=0),
            )  # fmt: skip
        look = marks(style, markersize=7.5)
        if value.low is not None and value.high is not None:
            axes.plot([x, x], [value.low, value.high], color=style.colour, lw=1.6, zorder=3, solid_capstyle="butt")
        else:
            look |= {"markerfacecolor": "white", "markeredgecolor": style.colour, "markeredgewidth": 1.3}
        axes.plot(x, value.value, zorder=4, clip_on=False, **look)


def _ticks(axes: Axes, places: _Places, side: int, last: bool) -> None:
    group = places.others if side else places.deep
    at = [places.x[value.arm] for value in group]
    axes.xaxis.remove_overlapping_locs = False  # a name may stand right under its depth
    axes.set_xticks(at, [shortened(value.arm) for value in group], minor=True, rotation=90, fontsize=8)
    axes.tick_params("x", which="minor", length=0 if side == 0 else 2, labelbottom=last, pad=3 if side else 18)
    depths: dict[int, list[float]] = {}
    for value, x in zip(group, at, strict=True):
        depths.setdefault(value.depth or 0, []).append(x)
    middles = [float(np.mean(here)) for here in depths.values()]
    axes.set_xticks(middles if side == 0 else [], map(str, depths) if side == 0 else [])
    axes.tick_params("x", length=2, labelbottom=last)
    margin = 0.35 if side == 0 else 0.28
    axes.set_xlim(min(at) - margin, max(at) + margin)


def _mark_frost_line(axes: Axes, x: float, depth: int, named: bool) -> None:
    axes.axvline(x, color=FROST, linewidth=7, alpha=0.28, zorder=0.6)
    axes.axvline(x, color=FROST, linewidth=1.2, zorder=0.7)
    if named:
        layers = "no layer" if depth == 0 else "1 layer" if depth == 1 else f"{depth} layers"
        axes.annotate(
            f"❄ frost line: freeze {layers}", (x, 1), xycoords=("data", "axes fraction"), xytext=(-5, 4),
            textcoords="offset points", fontsize=8.5, color="#23749F", fontweight="bold", ha="left", va="bottom",
            annotation_clip=False,
        )  # fmt: skip


def _limits(found: Sequence[ArmValue]) -> tuple[float, float]:
    ends = [end for v in found for end in (v.low, v.high, v.value, *v.seeds.values()) if end is not None]
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    span = max(high - low, LEAST_SPAN)
    # Near enough to 0, the axis shows it.
    return (0.0 if low < 0.35 * high else low - 0.06 * span), high + max(0.06 * span, high - low + LEAST_SPAN - span)


def _interactive(
    values: Mapping[str, Sequence[ArmValue]], places: _Places, styles: Mapping[str, ArmStyle], baseline: str | None,
    frost_line: int | None,
) -> dict[str, Any]:  # fmt: skip
    layout = hover.panels(
        list(values),
        1,
        gap=(0.07, 0.08),
        height=330,
        x={"zeroline": False},
        y={"tickformat": ".0%", "rangemode": "tozero"},
    )
    layout["margin"]["b"] = 110  # names stand on their side
    apart = places.widths[0] + 0.3
    x = {value.arm: places.x[value.arm] for value in places.deep}
    x |= {value.arm: apart + places.x[value.arm] for value in places.others}
    names = {value.arm: f"{hover.written(shortened(value.arm))} · {value.depth}" for value in places.deep}
    names |= {value.arm: hover.written(shortened(value.arm)) for value in places.others}
    data: list[dict[str, Any]] = []
    layout["shapes"] = []
    for panel, (metric, found) in enumerate(values.items(), start=1):
        number = "" if panel == 1 else str(panel)
        layout[f"xaxis{number}"] |= {
            "tickvals": hover.numbers(x.values()),
            "ticktext": list(names.values()),
            "tickangle": -60,
            "showticklabels": panel == len(values),
        } | ({"matches": f"x{len(values)}"} if panel < len(values) else {})
        joined = _joined(found)
        if len(joined) > 1:
            data.append(
                {"type": "scatter", "mode": "lines", "x": hover.numbers(x[v.arm] for v in joined), "hoverinfo": "skip",
                 "y": hover.numbers(v.value for v in joined), "xaxis": f"x{number}", "yaxis": f"y{number}",
                 "line": {"color": FAINT, "width": 1.5}, "showlegend": False}
            )  # fmt: skip
        base = next((value for value in found if value.arm == baseline), None)
        if base is not None and base.low is not None:
            layout["shapes"].append(
                {"type": "rect", "xref": f"x{number} domain", "yref": f"y{number}", "x0": 0, "x1": 1, "layer": "below",
                 "y0": base.low, "y1": base.high, "fillcolor": hover.faint("#777777", 0.15), "line": {"width": 0}}
            )  # fmt: skip
        if frost_line is not None and places.deep:
            at = places.of_depth(frost_line)
            layout["shapes"].append(
                {"type": "line", "xref": f"x{number}", "yref": f"y{number} domain", "x0": at, "x1": at, "y0": 0,
                 "y1": 1, "line": {"color": FROST, "width": 3}, "layer": "below"}
            )  # fmt: skip
            layout["annotations"].append(
                {"text": f"❄ frost line: {frost_line}", "x": at, "y": 1, "xref": f"x{number}", "font": {"color": FROST},
                 "yref": f"y{number} domain", "xanchor": "left", "yanchor": "top", "showarrow": False, "xshift": 4}
            )  # fmt: skip
        for value in found:
            data += _traces(value, styles[value.arm], x[value.arm], metric, panel)
    return {"data": data, "layout": layout}


def _traces(value: ArmValue, style: ArmStyle, x: float, metric: str, panel: int) -> list[dict[str, Any]]:
    told = f"{metric} %{{y:.1%}}"
    if value.low is not None and value.high is not None:
        told += f" ({value.low:.1%} to {value.high:.1%})"
    plan = "another plan" if value.depth is None else f"{value.depth} leading layers frozen"
    mean = hover.points(
        value.arm, style, [x], [value.value], f"{told}<br>{plan}, {len(value.seeds)} seeds", 11, axes=panel
    )
    if value.low is not None:
        mean["error_y"] = {**hover.interval([value.value], [value.low], [value.high]), "color": style.colour}
    if len(value.seeds) < 2:
        return [mean]
    labels = [f"seed {seed}" for seed in value.seeds]
    seeds = hover.points(
        value.arm, style, [x + 0.08] * len(labels), value.seeds.values(), f"{metric} %{{y:.1%}}, %{{text}}", 5,
        axes=panel, text=labels, opacity=0.6,
    )  # fmt: skip
    return [mean, seeds]
