"""The chart of a plan: layer against epoch, frozen or at what learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from frostline.report.canvas import blank_figure, check_format, save_figure
from frostline.report.style import STYLE

if TYPE_CHECKING:
    from frostline.freezing.outline import PlanOutline

FROZEN, EMPTY = "#C9D6E2", "#F4F4F4"
_FULL = (0.84, 0.37, 0.0)  # the vermilion of Okabe and Ito
_PALEST = 0.22


def draw_plan(plan: PlanOutline, title: str, out: Path) -> Path:
    """Draw a plan as a chart, input at the top.

    Args:
        plan: from `freezing.outline.outline`.
        title: above it.
        out: the file; its suffix (.png, .svg or .pdf) chooses the format. Written whole or not at all.

    Raises:
        InputError: another suffix.
    """
    check_format(out)
    factors = np.array([row for stage in plan.stages for row in stage.factors]).T
    layers, epochs = factors.shape
    with matplotlib.rc_context(STYLE):
        figure = blank_figure(8.5, 1.6 + 0.19 * layers)
        axes = figure.subplots()
        axes.imshow(_colours(factors, plan.weighted), aspect="auto", extent=(0.5, epochs + 0.5, layers - 0.5, -0.5))
        axes.set_yticks(range(layers), [f"{index}" for index in range(layers)], fontsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        axes.set_xlim(0.5, epochs + 0.5)
        axes.grid(visible=False)
        for edge in range(1, layers):
            axes.axhline(edge - 0.5, color="white", linewidth=0.5)
        axes.set_xlabel("epoch")
        axes.set_ylabel("layer")
        axes.set_title(title, loc="left")
        mark_roles(axes, plan.roles)
        for stage in plan.stages:
            if stage.first > 1:
                axes.axvline(stage.first - 0.5, color="#222222", linewidth=1.2)
            for layer in stage.parts:
                axes.plot(stage.first + 0.15, layer, marker="<", color="#222222", markersize=4, clip_on=False)
        _legend(figure, plan, float(factors.max()))
    return save_figure(figure, out)


def _colours(factors: NDArray[np.float64], weighted: tuple[int, ...]) -> NDArray[np.float64]:
    """Give each cell its colour: grey-blue frozen, paler orange the lower the rate, near white without weights."""
    share = factors / max(float(factors.max()), 1e-12)
    strength = _PALEST + (1 - _PALEST) * np.sqrt(share[..., None])  # the eye would lose small rates in a straight scale
    image: NDArray[np.float64] = 1 - strength * (1 - np.array(_FULL))
    image[factors == 0] = to_rgb(FROZEN)
    bare = [index for index in range(factors.shape[0]) if index not in weighted]
    image[bare] = to_rgb(EMPTY)
    return image


def mark_roles(axes: Axes, roles: Sequence[str]) -> None:
    """Write backbone, neck and head beside the layers, a white line between them."""
    start = 0
    for index in range(1, len(roles) + 1):
        if index == len(roles) or roles[index] != roles[start]:
            if index < len(roles):
                axes.axhline(index - 0.5, color="white", linewidth=2)
            axes.annotate(
                roles[start], (1.01, 1 - (start + index) / 2 / len(roles)), xycoords="axes fraction",
                va="center", fontsize=8, color="#555555",
            )  # fmt: skip
            start = index


def _legend(figure: Figure, plan: PlanOutline, most: float) -> None:
    even = len({f for stage in plan.stages for row in stage.factors for f in row if f > 0}) < 2
    low = tuple(1 - _PALEST * (1 - c) for c in _FULL)
    handles = [Patch(color=FROZEN, label="frozen")]
    if even:
        handles.append(Patch(color=_FULL, label="trains"))
    else:
        handles += [
            Patch(color=_FULL, label=f"trains at {most:.3g} times the stage's rate"),
            Patch(color=low, label="towards 0"),
        ]
    if len(plan.weighted) < len(plan.roles):
        handles.append(Patch(facecolor=EMPTY, edgecolor="#dddddd", label="no weights"))
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=8)
    notes = []
    if any(stage.decided for stage in plan.stages):
        notes.append("Later epochs are decided during the run; the first one is drawn.")
    if any(stage.parts for stage in plan.stages):
        notes.append("◂ frozen in part.")
    if notes:
        figure.supxlabel(" ".join(notes), x=0.99, ha="right", fontsize=8, color="#555555")
