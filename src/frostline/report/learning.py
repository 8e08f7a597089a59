"""The panel of learning curves: one metric over the epochs, a mean and a band an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from frostline.analysis import RunFolder
from frostline.report.depth import LEAST_SPAN
from frostline.report.palette import ArmStyle

_MARKERS_A_LINE = 8


@dataclass(frozen=True)
class ArmCurves:
    """One metric of one arm over its epochs.

    Attributes:
        arm: the arm's name.
        epochs: (n,) epoch numbers that all runs of the arm have.
        runs: (seeds, n) the metric; NaN where a run has no value.
        longer: (epochs, values) of every run that went on alone after the others had ended.
    """

    arm: str
    epochs: NDArray[np.int64]
    runs: NDArray[np.float64]
    longer: tuple[tuple[NDArray[np.int64], NDArray[np.float64]], ...]


def arm_curves(runs: Sequence[RunFolder], metric: str) -> list[ArmCurves]:
    """Gather the curves of each arm that has any, in the order of the runs.

    Args:
        runs: those to draw; every run of an arm counts the same.
        metric: a column of `analysis.read_results`; runs without it have no curve.
    """
    arms: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
    for run in runs:
        if run.results is None or metric not in run.results.columns:
            continue
        if run.results.get_column(metric).null_count() < run.results.height:
            curve = run.results.get_column("epoch").to_numpy(), run.results.get_column(metric).to_numpy()
            arms.setdefault(run.arm, []).append(curve)
    gathered = []
    for arm, curves in arms.items():
        shared = sorted(set.intersection(*(set(epochs.tolist()) for epochs, _ in curves)))
        values = [metric_values[np.isin(epochs, shared)] for epochs, metric_values in curves]
        last = shared[-1] if shared else 0
        longer = tuple((e[e >= last], v[e >= last]) for e, v in curves if e[-1] > last)
        gathered.append(ArmCurves(arm, np.array(shared, dtype=np.int64), np.array(values), longer))
    return gathered


def draw_learning(
    axes: Axes, runs: Sequence[RunFolder], metric: str, styles: Mapping[str, ArmStyle], shade: float = 0.16
) -> None:
    """Draw a metric over the epochs: a line an arm (the mean of its seeds), and a band from lowest to highest seed.

    Args:
        axes: where to draw.
        runs: as for `arm_curves`.
        metric: one of `analysis.METRICS`.
        styles: the look of every arm.
        shade: how dense the bands are, in [0, 1]; those of many arms would hide the lines.
    """
    gathered = arm_curves(runs, metric)
    for curves, group in zip(gathered, coinciding(gathered), strict=True):
        _draw_arm(axes, curves, styles[curves.arm], group.index(curves.arm), len(group), shade)
    axes.set_title(f"{metric} while training")
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{metric} (validation)")
    if not gathered:
        axes.set_axis_off()
        axes.text(0.5, 0.5, f"no {metric} in these folders", transform=axes.transAxes, ha="center", color="#555555")
        return
    axes.set_ylim(0, max(axes.get_ylim()[1], LEAST_SPAN))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    last = max(int(run.results.item(-1, "epoch")) for run in runs if run.results is not None)
    margin = max(0.03 * (last - 1), 0.1)
    axes.set_xlim(1 - min(margin, 0.5), last + margin)  # no tick at an epoch 0 that never was
    _mark_stages(axes, runs)


def coinciding(gathered: Sequence[ArmCurves]) -> list[list[str]]:
    """Give for each arm those whose curves lie on one another, itself included, in the order they are drawn.

    Two curves lie on one another when they are within a two-hundredth of the panel for half of the epochs or more.
    """
    top = max((float(np.nanmax(c.runs)) for c in gathered if c.runs.size), default=0.0)
    groups: list[list[ArmCurves]] = []
    for curves in gathered:
        found = next((group for group in groups if _close(group[0], curves, top / 200)), None)
        if found is None:
            groups.append([curves])
        else:
            found.append(curves)
    names = {curves.arm: [member.arm for member in group] for group in groups for curves in group}
    return [names[curves.arm] for curves in gathered]


def _close(a: ArmCurves, b: ArmCurves, within: float) -> bool:
    shared, in_a, in_b = np.intersect1d(a.epochs, b.epochs, return_indices=True)
    if not shared.size:
        return False
    apart = np.abs(a.runs.mean(axis=0)[in_a] - b.runs.mean(axis=0)[in_b])
    return bool(2 * np.count_nonzero(apart <= within) >= shared.size)


def _draw_arm(axes: Axes, curves: ArmCurves, style: ArmStyle, place: int, arms: int, shade: float) -> None:
    """Draw an arm that is number `place` of `arms` whose curves coincide: the first is the widest, and shows."""
    look: dict[str, Any] = {"color": style.colour, "linestyle": style.linestyle}
    above = (arms - 1 - place) * min(1.7, 6 / max(arms - 1, 1))
    width = (1.7 if curves.epochs.size <= 100 else 1.2) + above
    # A dash is in units of the width: kept as long as that of a thin line.
    if style.dash and above:
        look["linestyle"] = (0, tuple(part * 1.7 / width for part in style.dash))
    if curves.epochs.size:
        # The markers of arms that coincide take turns; with fewer epochs than arms, the lower ones are larger.
        step = max(round(curves.epochs.size / _MARKERS_A_LINE), min(arms, curves.epochs.size), 1)
        first = min(step * place // arms, curves.epochs.size - 1)
        nested = above if curves.epochs.size < arms else 0.0
        axes.plot(
            curves.epochs,
            curves.runs.mean(axis=0),
            marker=style.marker,
            markevery=(first, step),
            markersize=6 + 2 * nested,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linewidth=width,
            zorder=3,
            clip_on=False,  # a marker at 0 is whole
            **look,
        )
        if len(curves.runs) > 1:
            low, high = curves.runs.min(axis=0), curves.runs.max(axis=0)
            axes.fill_between(curves.epochs, low, high, color=style.colour, alpha=shade, linewidth=0, zorder=2)
    for epochs, values in curves.longer:
        axes.plot(epochs, values, linewidth=0.8, alpha=0.7, zorder=2, **look)


def _mark_stages(axes: Axes, runs: Sequence[RunFolder]) -> None:
    """Draw a thin line where a stage begins, and name the stage above it."""
    starts: dict[tuple[int, int], set[str]] = {}
    for run in runs:
        if run.results is None:
            continue
        stages = run.results.get_column("stage").to_list()
        epochs = run.results.get_column("epoch").to_list()
        for before, stage, epoch in zip(stages, stages[1:], epochs[1:], strict=False):
            if before is not None and stage is not None and stage != before:
                starts.setdefault((epoch, stage), set()).add(run.arm)
    for (epoch, stage), arms in sorted(starts.items()):
        name = (
            f"stage {stage}"
            if len(arms) > 1 or len({run.arm for run in runs}) == 1
            else f"stage {stage} of {min(arms)}"
        )
        axes.axvline(epoch - 0.5, color="#555555", linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            name,
            (epoch - 0.5, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -3),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=7.5,
            color="#555555",
        )
