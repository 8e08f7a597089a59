"""Grids of confusion matrices: one an arm, and one an arm less the baseline's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from numpy.typing import NDArray

from frostline.analysis.evidence import Evidence
from frostline.report.canvas import free_figure, panel, shortened, text_width
from frostline.report.confusing import ArmMatrix, MatrixView, matrix_views
from frostline.report.hovergrid import Grid, plain
from frostline.report.model import Chart
from frostline.report.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _GAP = 11.0, 0.25  # inches
_LABELS, _CELLS = 7.0, 6.5  # points
_UNKNOWN = "#E3E3E3"
# Vermilion and blue of Okabe and Ito, told apart by any eye.
_CHANGES = ("#A84300", "#E88C4A", "#F7F7F7", "#5AA2D0", "#00568A")
DIVERGING = LinearSegmentedColormap.from_list("change", _CHANGES).with_extremes(bad=_UNKNOWN)
DIVERGING_SCALE = [[place / 4, colour] for place, colour in enumerate(_CHANGES)]
_SHARES = colormaps["Blues"].with_extremes(bad=_UNKNOWN)
_LEAST_CHANGE = 5.0  # points: a scale of less would paint noise in full colours


def confusion_charts(evidence: Evidence) -> list[Chart]:
    """Draw a grid of normalised matrices for each panel of the evidence, and one of differences to the baseline."""
    charts = []
    for number, view in enumerate(matrix_views(evidence)):
        end = "" if number == 0 else f"_{number + 1}"
        charts.append(_shares_chart(view, end))
        if view.baseline is not None and len(view.arms) > 1:
            charts.append(_changes_chart(view, end))
    return charts


def _shares_chart(view: MatrixView, end: str) -> Chart:
    caption = (
        "Share of each true class (column) that was given each class (row), in %, mean over seeds; blank below 0.5. "
        f"The row background: objects that nothing found. The column background: which classes false detections were "
        f"given. {_told(view)}"
    )
    shown = [(one, 100 * one.shares) for one in view.arms]
    return Chart(
        f"confusion{end}", "errors", "What each arm takes for what", caption,
        lambda: _figure(view, shown, _SHARES, Normalize(0, 100), "share of the true class, %"),
        lambda: _hover(view, shown, change=False),
    )  # fmt: skip


def _changes_chart(view: MatrixView, end: str) -> Chart:
    assert view.baseline is not None
    base = view.arms[view.baseline]
    shown = [(one, 100 * (one.shares - base.shares)) for one in view.arms if one is not base]
    caption = (
        f"The share of each true class (column) that was given each class (row), less that of {base.arm}, in points; "
        "blank below 0.5. Blue on the diagonal is better, blue elsewhere is worse. Single cells have no interval: the "
        f"table of confusion has those of the sums. {_told(view)}"
    )
    return Chart(
        f"confusion_change{end}", "errors", f"What each arm takes for what, compared with {base.arm}", caption,
        lambda: _figure(view, shown, DIVERGING, _even(shown), "change, points"),
        lambda: _hover(view, shown, change=True),
    )  # fmt: skip


def _even(shown: list[tuple[ArmMatrix, NDArray[np.float64]]]) -> Normalize:
    values = np.concatenate([np.abs(values[np.isfinite(values)]) for _, values in shown])
    most = max(float(values.max(initial=0.0)), _LEAST_CHANGE)
    return Normalize(-most, most)


def _told(view: MatrixView) -> str:
    parts = []
    if view.partial:
        parts.append(
            f"Of {view.classes} classes, the {len(view.true) - 1} that are confused with others most often; what was "
            "taken for any other class is summed up in one row."
        )
    if any(np.isnan(one.shares).any() for one in view.arms):
        parts.append("Grey: there is no such object, or no such detection.")
    parts.append(f"Detections above confidence {view.conf:g}, at IoU {view.iou:g}, as Ultralytics counts them.")
    return " ".join(parts)


def _figure(
    view: MatrixView, shown: list[tuple[ArmMatrix, NDArray[np.float64]]], colours: Any, norm: Normalize, unit: str
) -> Figure:
    rows, columns = [shortened(name, 16) for name in view.predicted], [shortened(name, 16) for name in view.true]
    left, below = text_width(rows, _LABELS) + 0.35, text_width(columns, _LABELS) + 0.3
    room = (_WIDTH - left) / min(len(shown), 5 if len(shown) > 8 else 4) - _GAP
    cell = float(np.clip(room / len(columns), 0.205, 0.36))
    wide, high = cell * len(columns), cell * len(rows)
    across = max(1, min(len(shown), round((_WIDTH - left) / (wide + _GAP) - 0.3)))
    down = math.ceil(len(shown) / across)
    gap_down = 0.33
    height = 0.35 + down * (high + gap_down) + below + 0.45
    with matplotlib.rc_context(STYLE):
        figure = free_figure(max(left + across * (wide + _GAP), 4.2), height)
        for place, (one, values) in enumerate(shown):
            i, j = divmod(place, across)
            axes = panel(figure, left + j * (wide + _GAP), 0.35 + i * (high + gap_down), wide, high)
            _matrix(axes, values, colours, norm, size=_CELLS if cell > 0.25 else 5.5)
            axes.set_title(shortened(one.arm, max(12, round(wide / 0.085))), fontsize=8.5, pad=4)
            axes.set_yticks(range(len(rows)), rows if j == 0 else [], fontsize=_LABELS)
            last = place + across >= len(shown)
            axes.set_xticks(range(len(columns)), columns if last else [], fontsize=_LABELS, rotation=90)
            if j == 0:
                axes.set_ylabel("predicted", fontsize=_LABELS)
            if last:
                axes.set_xlabel("true", fontsize=_LABELS)
        bar = panel(figure, left, height - 0.42, min(3.0, across * (wide + _GAP) - _GAP), 0.1)
        figure.colorbar(ScalarMappable(norm, colours), cax=bar, orientation="horizontal")
        bar.tick_params(labelsize=_LABELS, length=2, pad=2)
        bar.grid(visible=False)
        bar.set_title(unit, fontsize=7.5, fontweight="normal", pad=3)
    return figure


def _matrix(axes: Axes, values: NDArray[np.float64], colours: Any, norm: Normalize, size: float) -> None:
    signed = norm.vmin != 0
    rows, columns = values.shape
    drawn = values.copy()
    drawn[-1, -1] = np.nan  # background taken for background: nothing is counted there
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    axes.pcolormesh(*edges, np.ma.masked_invalid(drawn), cmap=colours, norm=norm, edgecolors="white", linewidth=0.6)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.axhline(rows - 1.5, color="white", linewidth=2)
    axes.axvline(columns - 1.5, color="white", linewidth=2)
    for row, column in zip(*np.nonzero(np.abs(np.nan_to_num(drawn)) >= 0.5), strict=True):
        value = float(drawn[row, column])
        share = float(norm(value))
        dark = abs(share - 0.5) > 0.34 if signed else share > 0.55
        axes.text(
            column, row, f"{value:+.0f}".replace("-", "\N{MINUS SIGN}") if signed else f"{value:.0f}", ha="center",
            va="center_baseline", fontsize=size, color="white" if dark else "#222222",
        )  # fmt: skip


def _hover(view: MatrixView, shown: list[tuple[ArmMatrix, NDArray[np.float64]]], *, change: bool) -> dict[str, Any]:
    across = min(len(shown), 4 if len(view.true) <= 8 else 3)
    down = math.ceil(len(shown) / across)
    grid = Grid(down, across, gap=(0.02, 0.25 / (down + 0.25)))
    rows, columns = [plain(name) for name in view.predicted], [plain(name) for name in view.true]
    limit = float(_even(shown).vmax or 0) if change else 100.0
    unit = "points" if change else "%"
    data = []
    for place, (one, values) in enumerate(shown):
        i, j = divmod(place, across)
        axis = grid.add(i, j, shortened(one.arm))
        grid.y(axis).update(autorange="reversed", showticklabels=j == 0, type="category")
        grid.x(axis).update(showticklabels=place + across >= len(shown), tickangle=-90, type="category")
        drawn = [[round(float(x), 2) if math.isfinite(x) else None for x in row] for row in values]
        drawn[-1][-1] = None
        counts = [[round(float(x), 2) for x in row] for row in one.counts]
        data.append(
            {
                "type": "heatmap", "x": columns, "y": rows, "z": drawn, "customdata": counts, "name": one.arm,
                "meta": {"arm": one.arm}, "zmin": -limit if change else 0, "zmax": limit, "xgap": 1, "ygap": 1,
                "colorscale": DIVERGING_SCALE if change else "Blues", "reversescale": False, "showscale": place == 0,
                "hovertemplate": f"%{{x}} taken for %{{y}}<br>%{{z}} {unit}, %{{customdata}} a run"
                "<extra>%{fullData.name}</extra>",
                **grid.axes(axis),
            }
        )  # fmt: skip
    return {"data": data, "layout": {**grid.layout, "height": 120 + down * (60 + 24 * len(rows))}}
