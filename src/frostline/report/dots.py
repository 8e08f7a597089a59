"""Dots with intervals: an arm a row, a metric a panel, the baseline's value as a line through all arms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from frostline.report.canvas import free_figure, panel, shortened, text_width
from frostline.report.estimates import Found, Measured
from frostline.report.hovergrid import Grid
from frostline.report.palette import ArmStyle, arm_styles
from frostline.report.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _GAP = 11.0, 0.22  # inches
_LABELS = 8.5  # points
_FILLED = "Filled: the interval of the difference to the baseline leaves 0 out."
_CUT = "Bars end where possible values do."


@dataclass(frozen=True)
class Dots:
    """One panel.

    Attributes:
        metric: name.
        title: above it.
        unit: below it.
        factor: values are drawn times this; 100 for shares in %.
        limits: lowest and highest value that is possible, as drawn; bars that reach beyond them end there.
    """

    metric: str
    title: str
    unit: str
    factor: float = 1.0
    limits: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True)
class Row:
    """Panels side by side.

    Attributes:
        panels: at least one.
        shared: all have one scale, so that they can be compared with each other.
    """

    panels: tuple[Dots, ...]
    shared: bool = False


def drawn_arms(found: Found, rows: Sequence[Row]) -> list[str]:
    """Return the arms that have a value in any panel, in order."""
    metrics = {dots.metric for row in rows for dots in row.panels}
    return list(
        dict.fromkeys(arm for (arm, metric), one in found.items() if metric in metrics and one.value is not None)
    )


def is_compared(found: Found) -> bool:
    """Tell whether any arm has a change against a baseline."""
    return any(one.change is not None for one in found.values())


def dots_figure(found: Found, rows: Sequence[Row], arms: Sequence[str], baseline: str | None) -> Figure:
    """Draw metrics of all arms.

    Args:
        found: of `measure`.
        rows: of panels.
        arms: of the whole report, which give the colours.
        baseline: name, or None.
    """
    names = drawn_arms(found, rows)
    styles = arm_styles(arms)
    compared = is_compared(found)
    labels = [shortened(arm) for arm in names]
    left, high = text_width(labels, _LABELS) + 0.2, 0.19 * len(names) + 0.1
    with matplotlib.rc_context(STYLE):
        figure = free_figure(_WIDTH, len(rows) * (high + 0.85) + (0.3 if compared else 0.05))
        for number, row in enumerate(rows):
            wide = (_WIDTH - left - 0.15 + _GAP) / max(len(r.panels) for r in rows) - _GAP
            drawn = []
            for place, dots in enumerate(row.panels):
                axes = panel(figure, left + place * (wide + _GAP), 0.35 + number * (high + 0.85), wide, high)
                _panel(axes, [found.get((arm, dots.metric)) for arm in names], dots, styles, baseline)
                axes.set_yticks(range(len(names)) if place == 0 else [], labels if place == 0 else [], fontsize=_LABELS)
                drawn.append(axes)
            if row.shared:
                _share(drawn)
        if compared:
            handles = [
                Line2D([], [], color="#777777", linewidth=0.9, label=f"value of {shortened(baseline or '')}"),
                _dot("#777777", "differs from it: the interval of the difference leaves 0 out"),
                _dot("white", "not told apart from it"),
            ]
            figure.legend(handles=handles, loc="lower left", ncols=3, frameon=False, fontsize=8, borderaxespad=0.2)
    return figure


def _dot(face: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker="o", markersize=5, mfc=face, mec="#777777", label=label)


def _panel(
    axes: Axes, measured: Sequence[Measured | None], dots: Dots, styles: Mapping[str, ArmStyle], baseline: str | None
) -> None:
    known = [(place, one, one.value) for place, one in enumerate(measured) if one is not None and one.value is not None]
    axes.set_ylim(len(measured) - 0.4, -0.6)
    axes.set_title(dots.title, fontsize=9, pad=5)
    axes.set_xlabel(dots.unit, fontsize=8)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7.5)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    if not known:
        axes.text(0.5, 0.5, "undefined", transform=axes.transAxes, ha="center", va="center", color="#777777")
        axes.set_xticks([])
        return
    lines = [[(0.0, place), (1.0, place)] for place in range(len(measured))]
    across = axes.get_yaxis_transform()
    axes.add_collection(
        LineCollection(lines, colors="#f1f1f1", linewidths=0.8, transform=across, zorder=0.5), autolim=False
    )
    spans = [(place, one, one.low, one.high) for place, one, _ in known if one.low is not None and one.high is not None]
    if spans:
        axes.hlines(
            [place for place, *_ in spans],
            [max(dots.factor * low, dots.limits[0]) for *_, low, _ in spans],
            [min(dots.factor * high, dots.limits[1]) for *_, high in spans],
            colors=[styles[one.arm].colour for _, one, *_ in spans],
            linewidths=1.5,
        )
    for place, one, value in known:
        style = styles[one.arm]
        if one.arm == baseline and len(known) > 1:
            axes.axvline(dots.factor * value, color="#777777", linewidth=0.9, zorder=1)
        face = style.colour if one.clear or one.change is None else "white"
        axes.plot(
            [dots.factor * value], [place], linestyle="none", marker=style.marker, markersize=5.5, mfc=face,
            mec=style.colour, mew=1.1, zorder=3,
        )  # fmt: skip
    axes.margins(x=0.08)
    low, high = axes.get_xlim()
    rim = 0.04 * (min(high, dots.limits[1]) - max(low, dots.limits[0]))  # room for half a marker
    axes.set_xlim(max(low, dots.limits[0] - rim), min(high, dots.limits[1] + rim))
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))


def _share(row: Sequence[Axes]) -> None:
    low, high = min(axes.get_xlim()[0] for axes in row), max(axes.get_xlim()[1] for axes in row)
    for axes in row:
        axes.set_xlim(low, high)


def dots_note(found: Found) -> str:
    """Say how to read the dots."""
    return f"{_CUT} {_FILLED}" if is_compared(found) else _CUT


def dots_interactive(found: Found, rows: Sequence[Row], arms: Sequence[str]) -> dict[str, Any]:
    """Give the same chart as Plotly's JSON; the dots of an arm are a trace a panel.

    Args:
        found: of `measure`.
        rows: of panels.
        arms: of the whole report, which give the colours.
    """
    names = drawn_arms(found, rows)
    styles = arm_styles(arms)
    labels = [shortened(arm) for arm in names]
    grid = Grid(len(rows), max(len(row.panels) for row in rows), gap=(0.03, 0.6 / (3 + len(names))))
    data: list[dict[str, Any]] = []
    for i, row in enumerate(rows):
        for j, dots in enumerate(row.panels):
            axis = grid.add(i, j, dots.title)
            grid.x(axis).update(title={"text": dots.unit}, **({"matches": grid.name(i, 0)} if row.shared and j else {}))
            ticks = {"tickvals": list(range(len(names))), "ticktext": labels if j == 0 else []}
            grid.y(axis).update(range=[len(names) - 0.4, -0.6], zeroline=False, **ticks)
            for place, arm in enumerate(names):
                one = found.get((arm, dots.metric))
                if one is not None and one.value is not None:
                    data.append(_trace(one, one.value, dots, place, styles[arm]) | grid.axes(axis))
    margin = {"l": 20 + 7 * max(map(len, labels), default=0), "r": 20, "t": 40, "b": 50}
    return {"data": data, "layout": {**grid.layout, "height": len(rows) * (110 + 20 * len(names)), "margin": margin}}


def _trace(one: Measured, value: float, dots: Dots, place: int, style: ArmStyle) -> dict[str, Any]:
    factor = dots.factor
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "x": [factor * value], "y": [place], "name": one.arm,
        "meta": {"arm": one.arm}, "marker": {"color": style.colour, "size": 9},
        "hovertemplate": f"%{{fullData.name}}<br>{_spelled(one, dots)}<extra></extra>",
    }  # fmt: skip
    if one.low is not None and one.high is not None:
        ends = {"array": [factor * (one.high - value)], "arrayminus": [factor * (value - one.low)]}
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            **ends,
            "color": style.colour,
            "thickness": 1.5,
            "width": 0,
        }
    return trace


def _spelled(one: Measured, dots: Dots) -> str:
    def between(value: float | None, low: float | None, high: float | None, sign: str) -> str:
        if value is None:
            return ""
        text = f"{dots.factor * value:{sign}.3g}"
        return (
            text
            if low is None or high is None
            else f"{text} ({dots.factor * low:{sign}.3g} to {dots.factor * high:{sign}.3g})"
        )

    text = between(one.value, one.low, one.high, "")
    change = between(one.change, one.change_low, one.change_high, "+")
    return f"{text}<br>to the baseline: {change}" if change else text
