"""A heat map of classes and arms: changes against the baseline, or values where there is none to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from frostline.report.canvas import free_figure, panel, shortened, text_width
from frostline.report.confusiongrid import DIVERGING, DIVERGING_SCALE
from frostline.report.estimates import Measured
from frostline.report.hovergrid import plain
from frostline.report.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 11.0  # inches
_MOST_ACROSS = 16  # classes in columns; more go in rows
_MOST_TEXTS = 400  # cells: of more, only those that differ have a number
_LABELS = 8.0  # points
_GREY = "#E3E3E3"
_LEAST = 2.0  # points: a scale of less would paint noise in full colours


@dataclass(frozen=True)
class Heat:
    """What is drawn.

    Attributes:
        metric: for people.
        arms, classes: names.
        truths: number of true objects by class.
        found: estimates by arm and class.
        baseline: the arm that others are compared with; None draws values.
    """

    metric: str
    arms: tuple[str, ...]
    classes: tuple[str, ...]
    truths: Mapping[str, int]
    found: Mapping[tuple[str, str], Measured]
    baseline: str | None

    def shown(self, arm: str, name: str) -> float | None:
        """Return what a cell stands for, in % or in points; None where undefined."""
        one = self.found[arm, name]
        value = one.value if self.baseline is None else one.change
        return None if value is None else 100 * value

    @property
    def compared(self) -> tuple[str, ...]:
        """The arms that have cells."""
        return tuple(arm for arm in self.arms if arm != self.baseline)

    def scale(self) -> Normalize:
        """Return the scale of colours."""
        if self.baseline is None:
            return Normalize(0, 100)
        values = [abs(v) for arm in self.compared for name in self.classes if (v := self.shown(arm, name)) is not None]
        most = max([*values, _LEAST])
        return Normalize(-most, most)


def heat_figure(heat: Heat) -> Figure:
    """Draw classes across and arms down, the other way round where there are many classes."""
    turned = len(heat.classes) > _MOST_ACROSS
    classes = [f"{shortened(name, 18)} ({heat.truths[name]:,})" for name in heat.classes]
    arms = [shortened(arm) for arm in heat.compared]
    base = [] if heat.baseline is None else [f"{shortened(heat.baseline)}, %"]
    rows, columns = (classes, base + arms) if turned else (base + arms, classes)
    left = text_width(rows, _LABELS) + 0.2
    longest = text_width(columns, _LABELS)
    level = longest < min(0.95, (_WIDTH - left - 0.2) / len(columns)) - 0.05
    right, above = (0.2, 0.3) if level else (0.77 * longest, 0.64 * longest + 0.25)
    cell = min(0.95, (_WIDTH - left - right) / len(columns)), 0.21
    wide, high = cell[0] * len(columns), cell[1] * len(rows)
    colours = colormaps["Blues"] if heat.baseline is None else DIVERGING
    norm = heat.scale()
    with matplotlib.rc_context(STYLE):
        figure = free_figure(max(left + wide + right, 5.0), above + high + 0.65)
        axes = panel(figure, left, above, wide, high)
        _frame(axes, rows, columns, level)
        sparse = len(heat.compared) * len(heat.classes) > _MOST_TEXTS
        for i, name in enumerate(heat.classes):
            if heat.baseline is not None:
                value = heat.found[heat.baseline, name].value
                text = "" if value is None else f"{100 * value:.1f}"
                _cell(axes, _place(i, 0, turned), "white" if text else _GREY, text, "#222222")
            for j, arm in enumerate(heat.compared, start=len(base)):
                change = heat.shown(arm, name)
                clear = heat.found[arm, name].clear
                _value(axes, _place(i, j, turned), change, colours, norm, clear=clear, silent=sparse and not clear)
        bar = panel(figure, left, above + high + 0.32, min(3.0, wide), 0.1)
        figure.colorbar(ScalarMappable(norm, colours), cax=bar, orientation="horizontal")
        bar.tick_params(labelsize=7, length=2, pad=2)
        bar.grid(visible=False)
        unit = f"{heat.metric}, %" if heat.baseline is None else f"change of {heat.metric}, points"
        bar.set_title(unit, fontsize=7.5, fontweight="normal", pad=3)
    return figure


def _place(of_class: int, of_arm: int, turned: bool) -> tuple[int, int]:
    """Give column and row."""
    return (of_arm, of_class) if turned else (of_class, of_arm)


def _frame(axes: Axes, rows: list[str], columns: list[str], level: bool) -> None:
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.tick_top()
    turn: dict[str, Any] = {} if level else {"rotation": 40, "ha": "left", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(columns)), columns, fontsize=_LABELS, **turn)
    axes.set_yticks(range(len(rows)), rows, fontsize=_LABELS)
    axes.tick_params(length=0, pad=3)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _value(
    axes: Axes, place: tuple[int, int], value: float | None, colours: Any, norm: Normalize, *, clear: bool, silent: bool
) -> None:
    if value is None:
        _cell(axes, place, _GREY, "", "")
        return
    share = float(norm(value))
    signed = norm.vmin != 0
    dark = abs(share - 0.5) > 0.34 if signed else share > 0.55
    text = "" if silent else f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") if signed else f"{value:.1f}"
    ink = "white" if dark else "black" if clear else "#3A3A3A"
    _cell(axes, place, colours(share), text, ink, bold=clear)


def _cell(axes: Axes, place: tuple[int, int], face: Any, text: str, ink: str, bold: bool = False) -> None:
    x, y = place
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor="white", linewidth=1.2))
    if text:
        look: dict[str, Any] = {"fontsize": 7.5, "fontweight": "bold"} if bold else {"fontsize": 6.8}
        axes.text(x, y, text, ha="center", va="center_baseline", color=ink, **look)


def heat_hover(heat: Heat) -> dict[str, Any]:
    """Give the same chart as Plotly's JSON: a trace an arm, so that arms can be left out."""
    norm = heat.scale()
    changes = heat.baseline is not None
    data = []
    for number, arm in enumerate(reversed(heat.compared)):
        values = [heat.shown(arm, name) for name in heat.classes]
        data.append(
            {
                "type": "heatmap", "x": [plain(f"{name} ({heat.truths[name]:,})") for name in heat.classes],
                "y": [plain(shortened(arm))], "z": [[None if v is None else round(v, 3) for v in values]],
                "text": [[_told(heat.found[arm, name], changes) for name in heat.classes]], "name": arm,
                "meta": {"arm": arm}, "zmin": norm.vmin, "zmax": norm.vmax, "xgap": 1, "ygap": 1,
                "showscale": number == 0,
                "colorscale": DIVERGING_SCALE if changes else "Blues",
                "hovertemplate": "%{x}<br>%{text}<extra>%{fullData.name}</extra>",
            }
        )  # fmt: skip
    margin = {"l": 20 + 7 * max(len(shortened(arm)) for arm in heat.compared), "r": 20, "t": 20, "b": 110}
    return {
        "data": data,
        "layout": {"height": 150 + 26 * len(heat.compared), "margin": margin, "xaxis": {"tickangle": -40}},
    }


def _told(one: Measured, changes: bool) -> str:
    def between(value: float | None, low: float | None, high: float | None, sign: str) -> str:
        if value is None:
            return "undefined"
        text = f"{100 * value:{sign}.1f}"
        return text if low is None or high is None else f"{text} ({100 * low:{sign}.1f} to {100 * high:{sign}.1f})"

    value = between(one.value, one.low, one.high, "")
    return f"{value}<br>change: {between(one.change, one.change_low, one.change_high, '+')}" if changes else value
