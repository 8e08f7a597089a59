"""Losses over the epochs, of training above and of validation below: a gap that grows is overfitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frostline.analysis import RunFolder
from frostline.report import hover
from frostline.report.canvas import shortened
from frostline.report.chartparts import WIDTH, arm_legend, sheet, strokes, styled, whole_epochs
from frostline.report.learning import ArmCurves, arm_curves
from frostline.report.model import Chart
from frostline.report.palette import ArmStyle

_MOST_LOSSES = 4
_SPLITS = ("train", "val")
_Losses = Mapping[tuple[str, str], Sequence[ArmCurves]]


def loss_charts(
    runs: Sequence[RunFolder], arms: Sequence[str], styles: Mapping[str, ArmStyle], cut: str = ""
) -> list[Chart]:
    """Make the chart of losses, where results.csv has any.

    Args:
        runs: those that count.
        arms: in the order of the legend.
        styles: the look of all arms.
        cut: what the caption says of arms that are left out.
    """
    names = dict.fromkeys(
        column.partition("/")[2]
        for run in runs
        if run.results is not None
        for column in run.results.columns
        if column.partition("/")[0] in _SPLITS and column.endswith("loss")
    )
    kept = list(names)[:_MOST_LOSSES]
    curves = {(split, name): arm_curves(runs, f"{split}/{name}") for name in kept for split in _SPLITS}
    curves = {key: found for key, found in curves.items() if found}
    if not curves:
        return []
    caption = (
        "Losses at each epoch, from results.csv, of the training batches (with their augmentations) above and of the "
        "validation split below. Lines: mean over seeds; bands: lowest to highest seed. Each panel has its own scale; "
        "the highest spikes are cut off." + cut
    )
    return [
        Chart(
            name="losses",
            section="curves",
            title="Losses",
            caption=caption,
            draw=styled(partial(_draw, curves, arms, styles)),
            interactive=partial(_interactive, curves, styles),
        )
    ]


def _grid(curves: _Losses) -> tuple[list[str], list[str]]:
    splits = [split for split in _SPLITS if any(key[0] == split for key in curves)]
    return splits, list(dict.fromkeys(name for _, name in curves))


def _draw(curves: _Losses, arms: Sequence[str], styles: Mapping[str, ArmStyle]) -> Figure:
    splits, names = _grid(curves)
    figure = sheet(WIDTH, 2.3 * len(splits) + 0.8)
    grid = figure.subplots(len(splits), len(names), squeeze=False, sharex=True)
    for row, split in zip(grid, splits, strict=True):
        for axes, name in zip(row, names, strict=True):
            _panel(axes, curves.get((split, name), ()), styles)
            axes.set_title(f"{split}/{name}", fontsize=9.5)
    last = max(int(found.epochs[-1]) for several in curves.values() for found in several if found.epochs.size)
    whole_epochs(grid[0][0], last)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    arm_legend(figure, {arm: shortened(arm) for arm in arms}, styles, markers=False)
    return figure


def _panel(axes: Axes, curves: Sequence[ArmCurves], styles: Mapping[str, ArmStyle]) -> None:
    if not curves:
        axes.set_axis_off()
        return
    for found in reversed(curves):  # the first arm, mostly the baseline, lies above
        style = styles[found.arm]
        axes.plot(found.epochs, found.runs.mean(axis=0), **strokes(style, 1.4), zorder=3)
        if len(found.runs) > 1:
            low, high = found.runs.min(axis=0), found.runs.max(axis=0)
            axes.fill_between(found.epochs, low, high, color=style.colour, alpha=0.1, linewidth=0, zorder=2)
    axes.set_ylim(_limits(curves))


def _limits(curves: Sequence[ArmCurves]) -> tuple[float, float]:
    values = np.concatenate([found.runs.ravel() for found in curves])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    usual = float(np.quantile(values, 0.9))
    if usual > low and high - low > 4 * (usual - low):  # a spike that would press all else flat
        high = low + 2.5 * (usual - low)
    span = max(high - low, 1e-3 * abs(high), 1e-6)
    return low - 0.05 * span, high + 0.05 * span


def _interactive(curves: _Losses, styles: Mapping[str, ArmStyle]) -> dict[str, Any]:
    splits, names = _grid(curves)
    titles = [f"{split}/{name}" for split in splits for name in names]
    layout = hover.panels(titles, len(names), height=280,
                          x={"title": {"text": "epoch"}})  # fmt: skip
    data: list[dict[str, Any]] = []
    for panel, title in enumerate(titles, start=1):
        split, _, name = title.partition("/")
        if curves.get((split, name)):
            layout[f"yaxis{'' if panel == 1 else panel}"]["range"] = hover.numbers(_limits(curves[split, name]))
        for found in curves.get((split, name), ()):
            if not found.epochs.size:
                continue
            style, mean = styles[found.arm], found.runs.mean(axis=0)
            if len(found.runs) > 1:
                low, high = found.runs.min(axis=0), found.runs.max(axis=0)
                data.append(hover.band(found.arm, style, list(found.epochs), low, high, 0.1, axes=panel))
            data.append(hover.line(found.arm, style, found.epochs, mean, "epoch %{x}: %{y:.4g}", axes=panel))
    return {"data": data, "layout": layout}
