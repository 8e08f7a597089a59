"""Curves of all arms in a large panel for the mean over classes and a small one for each class: PR and F1 alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray

from frostline.analysis.panels import Panel
from frostline.report import hover
from frostline.report.canvas import shortened
from frostline.report.chartparts import GREY, WIDTH, arm_legend, label_points, sheet, strokes
from frostline.report.palette import ArmStyle

MOST_CLASSES = 12
MEAN = "mean over classes"
_COLUMNS = 3
_MOST_NAMED = 10


@dataclass(frozen=True)
class CurveSet:
    """Curves of all arms, for one figure.

    Attributes:
        x: (n,) what they share.
        mean: (n,) mean over classes by arm, and over seeds.
        by_class: the same for single classes, in the order of the panels.
        truths: objects of each class.
        marked: points to mark by arm, in the panel of the mean or of a class: (x, y) and what to say of each.
        named: points are few on a curve and tell a place along `x`: it is written beside them.
    """

    x: NDArray[np.float64]
    mean: Mapping[str, NDArray[np.float64]]
    by_class: Mapping[str, Mapping[str, NDArray[np.float64]]]
    truths: Mapping[str, int]
    marked: Mapping[str, Mapping[str, Sequence[tuple[float, float, str]]]] = field(default_factory=dict)
    named: bool = False

    @property
    def panels(self) -> dict[str, Mapping[str, NDArray[np.float64]]]:
        """Curves by panel: the mean first; a single class is its own mean."""
        return {MEAN: self.mean, **(self.by_class if len(self.truths) > 1 else {})}


def most_frequent(panel: Panel) -> tuple[dict[str, int], str]:
    """Choose the classes that get a panel: those with most truths, and at least one.

    Returns:
        Their numbers of truths in the order of the classes, and the sentence for the caption where some are left out.
    """
    scorer = next(iter(next(iter(panel.scorers.values())).values()))
    counts = scorer.coco.truths[0].sum(axis=1)
    known = {name: int(count) for name, count in zip(panel.classes, counts, strict=True) if count}
    chosen = sorted(known, key=lambda name: -known[name])[:MOST_CLASSES]
    cut = "" if len(known) <= MOST_CLASSES else f" Of {len(known)} classes, the {MOST_CLASSES} with most objects."
    return {name: known[name] for name in known if name in chosen}, cut


def draw_panels(
    curves: CurveSet,
    styles: Mapping[str, ArmStyle],
    labels: Mapping[str, str],
    names: tuple[str, str],
    baseline: str | None,
) -> Figure:
    """Draw the panels.

    Args:
        curves: to draw.
        styles: the look of every arm.
        labels: of the legend, by arm.
        names: of the horizontal and the vertical axis.
        baseline: drawn above the others, or None.
    """
    single = list(curves.panels)[1:]
    rows = math.ceil(len(single) / _COLUMNS)
    height = max(4.3, 1.75 * rows + 0.5)
    figure = sheet(WIDTH if single else 6.5, height + 0.17 * math.ceil(len(labels) / 4) + 0.3)
    if not single:
        large = figure.subplots()
    else:
        columns = min(_COLUMNS, len(single))
        wide = 0.8 * columns + 0.2  # the large panel against a small one
        grid = figure.add_gridspec(rows, 1 + columns, width_ratios=[wide] + [1] * columns)
        large, small = figure.add_subplot(grid[:, 0]), None
        top = _top(list(curves.by_class.values()))
        for index, name in enumerate(single):
            row, column = divmod(index, columns)
            axes = figure.add_subplot(grid[row, 1 + column], sharex=small, sharey=small)
            small = axes
            _panel(axes, curves, name, styles, baseline, top)
            axes.set_title(f"{shortened(name, 20)}", fontsize=8.5, pad=3)
            axes.annotate(
                f"{curves.truths[name]} objects", (1, 1), xycoords="axes fraction", xytext=(-1, 3), ha="right",
                fontsize=7, textcoords="offset points", color=GREY, va="bottom", annotation_clip=False,
            )  # fmt: skip
            axes.tick_params(labelleft=column == 0, labelbottom=row == rows - 1, labelsize=7)
    _panel(large, curves, MEAN, styles, baseline, _top([curves.mean]))
    large.set_title(MEAN if single else next(iter(curves.truths), MEAN))
    large.set_xlabel(names[0])
    large.set_ylabel(names[1])
    arm_legend(figure, labels, styles, markers=bool(curves.marked))
    points = [(x, y, arm) for arm, marked in curves.marked.get(MEAN, {}).items() for x, y, _ in marked]
    if curves.named and 0 < len(points) <= _MOST_NAMED:
        colours = [styles[arm].colour for _, _, arm in points]
        label_points(large, [(x, y) for x, y, _ in points], [f"{x:.2f}" for x, _, _ in points], colours, 7.5)
    return figure


def _top(panels: Sequence[Mapping[str, NDArray[np.float64]]]) -> float:
    """Give the upper end of the vertical axis: no more than curves need, as F1 may stay far from 1."""
    highest = max((float(np.nanmax(values)) for curves in panels for values in curves.values()), default=1.0)
    return max(min(1.02, 1.1 * highest), 0.05)


def _panel(
    axes: Axes, curves: CurveSet, name: str, styles: Mapping[str, ArmStyle], baseline: str | None, top: float
) -> None:
    width = 1.6 if name == MEAN else 1.1
    for arm, values in curves.panels[name].items():
        above = 3 if arm == baseline else 2
        axes.plot(curves.x, values, **strokes(styles[arm], 1.3 * width if arm == baseline else width), zorder=above)
    # Points that are named belong to the large panel: in a small one they would hide the curves.
    for arm, marked in curves.marked.get(name, {}).items() if name == MEAN or not curves.named else ():
        axes.plot(
            [x for x, _, _ in marked], [y for _, y, _ in marked], linestyle="none", marker=styles[arm].marker,
            color=styles[arm].colour, markersize=4.5 * math.sqrt(width), markeredgecolor="white", markeredgewidth=0.5,
            zorder=4, clip_on=False,
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_locator(MultipleLocator(0.2 if name == MEAN else 0.5))
    axes.yaxis.set_major_locator(MultipleLocator(0.2 if top > 0.5 else 0.1 if top > 0.2 else 0.05))
    axes.grid(visible=True, axis="both")


def interactive_panels(
    curves: CurveSet,
    styles: Mapping[str, ArmStyle],
    names: tuple[str, str],
    hover_of: Callable[[str], str],
    most_points: int = 101,
) -> dict[str, Any]:
    """Give the panels to hover over.

    Args:
        curves, styles: as for `draw_panels`.
        names: of the axes.
        hover_of: gives the template of the hover text of a panel.
        most_points: of a curve.
    """
    titles = [shortened(name) for name in curves.panels]
    layout = hover.panels(
        titles, min(_COLUMNS, len(titles)), x={"range": [0, 1], "title": {"text": names[0]}},
        y={"range": [0, 1.02], "title": {"text": names[1]}}, shared=True, gap=(0.04, 0.12),
        height=260 if len(titles) > 1 else 420,
    )  # fmt: skip
    kept = np.unique(np.linspace(0, len(curves.x) - 1, min(most_points, len(curves.x))).round().astype(int))
    data: list[dict[str, Any]] = []
    for panel, (name, of_panel) in enumerate(curves.panels.items(), start=1):
        for arm, values in of_panel.items():
            trace = hover.line(arm, styles[arm], curves.x[kept], values[kept], hover_of(name), axes=panel)
            trace["line"]["width"] = 2 if panel == 1 else 1.3
            data.append(trace)
        for arm, marked in curves.marked.get(name, {}).items():
            trace = hover.points(
                arm, styles[arm], [x for x, _, _ in marked], [y for _, y, _ in marked], "%{text}", 8, axes=panel,
                text=[text for _, _, text in marked],
            )  # fmt: skip
            data.append(trace)
    return {"data": data, "layout": layout}
