"""How shadow robustness is drawn: by light, before and after shadows were cast, and what survives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from frostline.report import hover
from frostline.report.canvas import shortened
from frostline.report.chartparts import GREY, WIDTH, arm_legend, in_percent, marks, sheet, strokes
from frostline.report.palette import ArmStyle

LIGHT_NAMES = {"lit": "well lit", "moderate": "moderate shadow", "heavy": "heavy shadow"}
PLACE_NAMES = {"untouched": "outside the shadow", "edge": "on its edge", "inside": "inside it"}

Arms = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By arm and metric: value, low, high; None where undefined."""
Styles = Mapping[str, ArmStyle]

_RECALL, _AP = "Recall", "AP50, mean over classes"
_MOST_LINES = 6  # arms: the lines of more hide the points


def draw_light(arms: Arms, styles: Styles, truths: Mapping[str, int]) -> Figure:
    """Draw recall and AP50 against light, arms side by side, few of them with a thin line along each."""
    figure = sheet(WIDTH, 4.3)
    step = min(0.12, 0.72 / max(len(arms), 1))
    for axes, (what, title) in zip(figure.subplots(1, 2), (("recall", _RECALL), ("AP50", _AP)), strict=True):
        for index, arm in enumerate(arms):
            found = [arms[arm][f"light/{what}/{light}"] for light in LIGHT_NAMES]
            known = [(place, one) for place, one in enumerate(found) if one["value"] is not None]
            x = [place + step * (index - (len(arms) - 1) / 2) for place, _ in known]
            if len(arms) <= _MOST_LINES:
                axes.plot(x, [one["value"] for _, one in known], **strokes(styles[arm], 0.9, alpha=0.55, zorder=2))
            for at, (_, one) in zip(x, known, strict=True):
                if one["low"] is not None:
                    axes.vlines(at, one["low"], one["high"], color=styles[arm].colour, linewidth=1.3, zorder=2)
                axes.plot(at, one["value"], **marks(styles[arm], markersize=6.5, zorder=3, clip_on=False))
        axes.set_title(title)
        named = [f"{name}\n{truths[key]:,} object{'s' * (truths[key] != 1)}" for key, name in LIGHT_NAMES.items()]
        axes.set_xticks(range(len(named)), named)
        axes.tick_params("x", length=0)
        axes.set_xlim(-0.5, len(named) - 0.5)
        axes.set_ylim(0, _top([arms[arm][f"light/{what}/{light}"] for arm in arms for light in LIGHT_NAMES]))
        axes.set_ylabel("%")
        in_percent(axes.yaxis)
    arm_legend(figure, {arm: shortened(arm) for arm in arms}, styles)
    return figure


def draw_stress(arms: Arms, styles: Styles) -> Figure:
    """Draw each arm's mAP50 before and after, joined, and beside it the drop with its interval."""
    figure = sheet(WIDTH, 0.34 * len(arms) + 1.5, wspace=0.03)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1))
    for row, arm in enumerate(arms):
        clean, stressed, drop = (arms[arm][f"stress/{key}/mAP50"] for key in ("clean", "stressed", "drop"))
        style = styles[arm]
        if clean["value"] is not None and stressed["value"] is not None:
            left.plot([clean["value"], stressed["value"]], [row, row], color=style.colour, linewidth=2.2, alpha=0.5)
            hollow = {"markerfacecolor": "white", "markeredgecolor": style.colour, "markeredgewidth": 1.4}
            left.plot(clean["value"], row, zorder=3, **(marks(style, markersize=8) | hollow))
            left.plot(stressed["value"], row, zorder=4, **marks(style, markersize=6.5))
        _interval_row(right, row, drop, style)
        right.annotate(
            _told(drop, signed=True), (1.02, row), xycoords=("axes fraction", "data"), fontsize=7.5, color=GREY,
            va="center", annotation_clip=False,
        )  # fmt: skip
    left.set_xlim(0, _top([arms[arm][f"stress/{key}/mAP50"] for arm in arms for key in ("clean", "stressed")], False))
    handles = [
        Line2D([], [], marker="o", linestyle="none", color=GREY, markerfacecolor="white", label="clean"),
        Line2D([], [], marker="o", linestyle="none", color=GREY, label="shadows cast"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize=8)
    left.set_title("mAP50")
    right.set_title("Drop of mAP50")
    left.set_xlabel("mAP50, %")
    right.set_xlabel("points of mAP50, clean − shadows cast")
    right.axvline(0, color=GREY, linewidth=1.0, zorder=1)
    _name_rows(left, list(arms))
    for axes in (left, right):
        _across(axes)
    return figure


def draw_survival(arms: Arms, styles: Styles, found: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw the share of detections that survive, a panel for each place, a bar for each arm."""
    figure = sheet(WIDTH, 0.34 * len(arms) + 1.2, wspace=0.03)
    panels = figure.subplots(1, len(PLACE_NAMES), sharey=True)
    for axes, (place, name) in zip(panels, PLACE_NAMES.items(), strict=True):
        for row, arm in enumerate(arms):
            one = arms[arm][f"stress/survival/{place}"]
            count = found[arm].get(place, 0)
            if one["value"] is None:
                axes.annotate("none was found there", (0.01, row), va="center", fontsize=7.5, color=GREY)
                continue
            axes.barh(row, one["value"], height=0.62, color=styles[arm].colour, alpha=0.6, linewidth=0, zorder=2)
            if one["low"] is not None:
                axes.hlines(row, one["low"], one["high"], color="#222222", linewidth=1.2, zorder=3)
            axes.annotate(
                f"{100 * one['value']:.0f} % of {count:,.0f}", (0.015, row), va="center", fontsize=7.5, color="#111111",
                zorder=4, bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
            )  # fmt: skip
        axes.set_title(name)
        axes.set_xlim(0, 1.02)
        axes.set_xlabel("still found, %")
        _across(axes)
    _name_rows(panels[0], list(arms))
    return figure


def hover_light(arms: Arms, styles: Styles, truths: Mapping[str, int]) -> dict[str, Any]:
    """Give the chart of light as Plotly reads it."""
    layout = hover.panels([_RECALL, _AP], 2, x={"type": "category"}, y={"rangemode": "tozero", "ticksuffix": " %"})
    data = []
    for panel, what in enumerate(("recall", "AP50"), 1):
        for arm in arms:
            found = [arms[arm][f"light/{what}/{light}"] for light in LIGHT_NAMES]
            values, lows, highs = _columns(found)
            told = f"%{{x}}, %{{customdata}} objects: {what} %{{y:.1f}} %"
            trace = hover.points(arm, styles[arm], list(LIGHT_NAMES.values()), values, told, axes=panel)
            trace |= {
                "error_y": hover.interval(values, lows, highs),
                "customdata": [truths[key] for key in LIGHT_NAMES],
            }
            data.append(trace)
    return {"data": data, "layout": {**layout, "scattermode": "group"}}


def hover_stress(arms: Arms, styles: Styles) -> dict[str, Any]:
    """Give the chart of the stress test as Plotly reads it."""
    layout = _rows(["mAP50: hollow clean, filled with shadows", "Drop of mAP50, points"], arms)
    data = []
    for row, arm in enumerate(arms):
        clean, stressed, drop = (arms[arm][f"stress/{key}/mAP50"] for key in ("clean", "stressed", "drop"))
        ends, _, _ = _columns([clean, stressed])
        told = f"clean {_told(clean)}<br>shadows cast {_told(stressed)}"
        joined = hover.line(arm, styles[arm], ends, [row, row], told)
        sign = hover.symbol(styles[arm])
        joined |= {
            "mode": "lines+markers",
            "marker": {"color": styles[arm].colour, "size": 10, "symbol": [f"{sign}-open", sign]},
        }
        values, lows, highs = _columns([drop])
        fall = hover.points(arm, styles[arm], values, [row], f"drop {_told(drop, signed=True)}", axes=2)
        data += [joined, fall | {"error_x": hover.interval(values, lows, highs)}]
    return {"data": data, "layout": layout}


def hover_survival(arms: Arms, styles: Styles, found: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Give the chart of survival as Plotly reads it."""
    layout = _rows(list(PLACE_NAMES.values()), arms)
    data = []
    for panel, place in enumerate(PLACE_NAMES, 1):
        for row, arm in enumerate(arms):
            one = arms[arm][f"stress/survival/{place}"]
            values, lows, highs = _columns([one])
            told = f"{_told(one)} of {found[arm].get(place, 0):,.0f} found before"
            trace = hover.bars(arm, styles[arm], values, [row], told, axes=panel)
            data.append(trace | {"error_x": hover.interval(values, lows, highs)})
    return {"data": data, "layout": layout}


def _rows(titles: list[str], arms: Arms) -> dict[str, Any]:
    names = {"tickvals": list(range(len(arms))), "ticktext": [hover.written(shortened(arm)) for arm in arms]}
    layout = hover.panels(titles, len(titles), y={**names, "autorange": "reversed"}, height=28 * len(arms) + 60)
    layout["margin"]["l"] = 150
    for panel in range(2, len(titles) + 1):
        layout[f"yaxis{panel}"] |= {"showticklabels": False, "matches": "y"}
    return layout


def _columns(found: list[Mapping[str, Any]]) -> tuple[list[float | None], ...]:
    """Give values, lower and upper ends in percent; an end is unknown where its value is."""
    rows = [(one["value"], one["low"], one["high"]) for one in found]
    return tuple(
        [None if one is None or row[0] is None else 100 * one for row in rows for one in [row[i]]] for i in range(3)
    )


def _interval_row(axes: Axes, row: int, found: Mapping[str, Any], style: ArmStyle) -> None:
    if found["value"] is None:
        return
    if found["low"] is not None:
        axes.plot(
            [found["low"], found["high"]], [row, row], color=style.colour, lw=1.7, solid_capstyle="butt", zorder=2
        )
    axes.plot(found["value"], row, zorder=3, **marks(style, markersize=7))


def _name_rows(axes: Axes, arms: list[str]) -> None:
    axes.set_yticks(range(len(arms)), [shortened(arm) for arm in arms], fontsize=8.5)
    axes.set_ylim(len(arms) - 0.4, -0.6)  # the first arm on top


def _across(axes: Axes) -> None:
    axes.tick_params("y", length=0)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    in_percent(axes.xaxis)


def _top(found: list[Mapping[str, Any]], with_ends: bool = True) -> float:
    keys = ("value", "high") if with_ends else ("value",)
    ends = [one[key] for one in found for key in keys if one[key] is not None]
    return max(1.06 * max(ends, default=1.0), 0.05)


def _told(found: Mapping[str, Any], signed: bool = False) -> str:
    if found["value"] is None:
        return "–"
    sign = "+" if signed else ""
    value = f"{100 * found['value']:{sign}.1f}"
    if found["low"] is None:
        return value.replace("-", "−")
    return f"{value}  [{100 * found['low']:{sign}.1f}, {100 * found['high']:{sign}.1f}]".replace("-", "−")
