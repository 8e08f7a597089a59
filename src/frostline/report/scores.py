"""How sure arms are of what is right and of what is wrong: mirrored histograms, and false positives above 0.7."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.patches import Patch
from numpy.typing import NDArray

from frostline.analysis import score_distribution
from frostline.analysis.evidence import Evidence
from frostline.analysis.scoring import SOURCES
from frostline.report.canvas import free_figure, panel, shortened
from frostline.report.estimates import Found, estimate_columns, estimates_frame, interval_note, measure
from frostline.report.hovergrid import Grid
from frostline.report.model import Chart, Column, Table
from frostline.report.style import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRIC = "scores/false_positives_above_0.7"
_SURE = 0.7
_BINS, _FROM = (
    20,
    1,
)  # the first bin, up to 0.05, is not drawn: it holds most of what is wrong and would flatten the rest
_RIGHT, _WRONG = "#0072B2", "#D55E00"  # told apart by any eye; arms are told apart by their panels
_WIDTH, _GAP = 11.0, 0.14  # inches


@dataclass(frozen=True)
class ArmScores:
    """Confidences of one arm's detections.

    Attributes:
        arm: name.
        right, wrong: (bins,) detections an image that found a truth at IoU 0.50, and that did not, mean over seeds.
        edges: (bins + 1,) of the bins, in [0, 1].
    """

    arm: str
    right: NDArray[np.float64]
    wrong: NDArray[np.float64]
    edges: NDArray[np.float64]


def arm_scores(evidence: Evidence, bins: int = _BINS) -> list[ArmScores]:
    """Count detections by confidence for every arm with predictions, by COCO's matching at IoU 0.50."""
    found = []
    for arm in evidence.arms:
        seen = evidence.panel_of(arm)
        if seen is not None:
            counts = [score_distribution(scorer.coco).histogram(bins) for scorer in seen.scorers[arm].values()]
            right, wrong = (np.mean([each[k] for each in counts], axis=0) / len(seen.images) for k in (0, 1))
            found.append(ArmScores(arm, right, wrong, counts[0][2]))
    return found


def score_charts(evidence: Evidence) -> list[Chart]:
    """Draw how sure each arm is of right and of wrong detections; nothing where no run has predictions."""
    shown = arm_scores(evidence)
    if not shown:
        return []
    found = measure(evidence, [METRIC])
    caption = (
        "Detections an image by their confidence, mean over seeds: to the right those that found an object at IoU "
        f"0.50, to the left those that did not (COCO's matching). Either side has its own scale, of square roots, and "
        f"nothing is drawn below 0.05, where most wrong detections are. The number: share of false positives above "
        f"{_SURE:g}, {SOURCES['scores']}. {interval_note(evidence)}"
    )
    return [
        Chart(
            "scores", "errors", "How sure each arm is when it is right, and when it is wrong", caption,
            lambda: _figure(shown, found), lambda: _hover(shown),
        )
    ]  # fmt: skip


def score_tables(evidence: Evidence) -> list[Table]:
    """List the share of false positives above a confidence of 0.7, by arm."""
    found = measure(evidence, [METRIC])
    if not found:
        return []
    frame = estimates_frame(found, {"false_above": METRIC})
    columns = (
        Column("arm", "arm"),
        Column("seeds", "seeds", "count"),
        *estimate_columns("false_above", f"false positives above {_SURE:g}", METRIC, "percent", frame),
    )
    note = (
        "The share depends on how many weak detections were kept: all runs that are compared were evaluated with the "
        f"same confidence threshold. {interval_note(evidence)}"
    )
    return [Table("scores", "False positives that are sure", frame, columns, "errors", note)]


def _figure(shown: Sequence[ArmScores], found: Found) -> Figure:
    rows = 1 if len(shown) <= 8 else 2
    across = math.ceil(len(shown) / rows)
    wide = min(1.6, (_WIDTH - 0.6 + _GAP) / across - _GAP)
    high = 2.8 if rows == 1 else 2.2
    tops = _tops(shown)
    with matplotlib.rc_context(STYLE):
        figure = free_figure(max(0.6 + across * (wide + _GAP), 4.5), rows * (high + 1.1) + 0.3)
        for place, one in enumerate(shown):
            i, j = divmod(place, across)
            axes = panel(figure, 0.55 + j * (wide + _GAP), 0.6 + i * (high + 1.1), wide, high)
            _histogram(axes, one, tops, wide)
            if j == 0:
                axes.set_ylabel("confidence")
            else:
                axes.set_yticklabels([])
            measured = found.get((one.arm, METRIC))
            if measured is not None and measured.value is not None:
                _share(axes, measured.value, measured.low, measured.high)
        handles = [Patch(color=_WRONG, label="wrong"), Patch(color=_RIGHT, label="right")]
        figure.legend(handles=handles, loc="lower left", ncols=2, frameon=False, fontsize=8, borderaxespad=0.2)
    return figure


def _tops(shown: Sequence[ArmScores]) -> tuple[float, float]:
    """Return the largest number of wrong and of right detections in a bin: each side has its own scale."""
    return (
        max(float(one.wrong[_FROM:].max()) for one in shown) or 1.0,
        max(float(one.right[_FROM:].max()) for one in shown) or 1.0,
    )


def _histogram(axes: Axes, one: ArmScores, tops: tuple[float, float], wide: float) -> None:
    centre, height = (one.edges[:-1] + one.edges[1:]) / 2, np.diff(one.edges) * 0.86
    axes.barh(centre[_FROM:], np.sqrt(one.right / tops[1])[_FROM:], height[_FROM:], color=_RIGHT)
    axes.barh(centre[_FROM:], -np.sqrt(one.wrong / tops[0])[_FROM:], height[_FROM:], color=_WRONG)
    axes.axvline(0, color="white", linewidth=1)
    axes.axhline(_SURE, color="#555555", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(-1.04, 1.04)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_title(shortened(one.arm, max(10, round(wide / 0.08))), fontsize=8.5, pad=25)
    steps = [_step(top) for top in tops]
    places = [-math.sqrt(steps[0] / tops[0]), 0.0, math.sqrt(steps[1] / tops[1])]
    axes.set_xticks(places, [f"{steps[0]:g}", "0", f"{steps[1]:g}"])
    axes.tick_params(labelsize=7, length=2)
    axes.set_xlabel("detections an image", fontsize=6.5)


def _step(top: float) -> float:
    """Return the largest round number that is not above a value."""
    power: float = 10.0 ** math.floor(math.log10(top))
    return max(digit for digit in (1, 2, 5) if digit * power <= top) * power


def _share(axes: Axes, value: float, low: float | None, high: float | None) -> None:
    text = f"above {_SURE:g}: {100 * value:.2g} %"
    if low is not None and high is not None:
        text += f"\n({100 * max(low, 0.0):.2g} to {100 * min(high, 1.0):.2g})"
    axes.text(
        0.0,
        1.02,
        text,
        transform=axes.transAxes,
        ha="left",
        va="bottom",
        fontsize=6.5,
        color="#A84300",
        linespacing=1.3,
    )


def _hover(shown: Sequence[ArmScores]) -> dict[str, Any]:
    rows = 1 if len(shown) <= 8 else 2
    across = math.ceil(len(shown) / rows)
    grid = Grid(rows, across, gap=(0.012, 0.16))
    wrong, right = _tops(shown)
    data = []
    for place, one in enumerate(shown):
        axis = grid.add(*divmod(place, across), shortened(one.arm, 14))
        grid.x(axis).update(range=[-1.04, 1.04], showticklabels=False, zeroline=False)
        grid.y(axis).update(range=[0, 1], showticklabels=place % across == 0)
        centre = [round(float(x), 4) for x in (one.edges[:-1] + one.edges[1:])[_FROM:] / 2]
        sides = ((right, one.right, "right", _RIGHT), (-wrong, one.wrong, "wrong", _WRONG))
        for top, values, name, colour in sides:
            data.append(
                {
                    "type": "bar", "orientation": "h", "y": centre,
                    "x": [round(math.copysign(math.sqrt(v / abs(top)), top), 4) for v in values[_FROM:]],
                    "customdata": [round(float(v), 4) for v in values[_FROM:]],
                    "name": one.arm, "meta": {"arm": one.arm},
                    "marker": {"color": colour}, "width": 0.043,
                    "hovertemplate": f"{name}, confidence %{{y:.3f}}<br>%{{customdata:.3g}} an image"
                    "<extra>%{fullData.name}</extra>",
                    **grid.axes(axis),
                }
            )  # fmt: skip
    return {"data": data, "layout": {**grid.layout, "barmode": "overlay", "height": 60 + 340 * rows}}
