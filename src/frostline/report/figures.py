"""Figures that compare runs, drawn with Matplotlib's objects alone: no state is shared between two figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from frostline.analysis import RunFolder, chosen_metrics
from frostline.errors import InputError
from frostline.report.canvas import blank_figure, check_format, save_figure, shortened
from frostline.report.depth import draw_depth
from frostline.report.learning import draw_learning
from frostline.report.palette import ArmStyle, arm_styles
from frostline.report.style import STYLE

_WIDTH, _ROW_HEIGHT = 11.0, 3.5  # inches


def draw_comparison(runs: Sequence[RunFolder], metrics: Sequence[str], out: Path) -> Path:
    """Draw learning curves and metric against freeze depth, a row of two panels for each metric.

    Each arm keeps one colour, dash and marker throughout. Runs that are not final are left out of their arm where it
    has final ones, and drawn as curves alone where it has none; the figure says which.

    Args:
        runs: run folders in the order of the legend.
        metrics: of `analysis.METRICS`; one row each.
        out: the file; its suffix (.png, .svg or .pdf) chooses the format. Written whole or not at all.

    Returns:
        `out`.

    Raises:
        InputError: no runs, an unknown metric, another suffix, or a file that cannot be read.
    """
    check_format(out)
    if not runs:
        raise InputError("no runs to draw")
    chosen = chosen_metrics(metrics)
    styles = arm_styles(run.arm for run in runs)
    with matplotlib.rc_context(STYLE):
        labels = _labels(runs)
        in_a_row = max(1, min(len(labels), int((_WIDTH - 0.3) / (0.85 + 0.07 * max(map(len, labels.values()))))))
        height = len(chosen) * _ROW_HEIGHT + 0.2 * math.ceil(len(labels) / in_a_row) + 0.6
        figure = blank_figure(_WIDTH, height, space=0.04)
        grid = figure.subplots(len(chosen), 2, squeeze=False, width_ratios=(1.55, 1))
        for (left, right), metric in zip(grid, chosen, strict=True):
            draw_learning(left, _drawn(runs), metric, styles)
            draw_depth(right, [run for run in runs if run.counts], metric, styles)
        _add_legend(figure, labels, styles, in_a_row)
        figure.supxlabel("\n".join(_notes(runs)), x=0.01, ha="left", fontsize=8, color="#555555")
    return save_figure(figure, out)


def _drawn(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """Leave unfinished runs out of those arms that have finished ones: their mean would change where one ends."""
    final = {run.arm for run in runs if run.counts}
    return [run for run in runs if run.counts or run.arm not in final]


def _labels(runs: Sequence[RunFolder]) -> dict[str, str]:
    """Give each arm's name for the legend, with its state where none of its runs is final."""
    final = {run.arm for run in runs if run.counts}
    state = {run.arm: run.status for run in runs}
    return {arm: shortened(arm) + ("" if arm in final else f" ({state[arm]})") for arm in state}


def _add_legend(figure: Figure, labels: Mapping[str, str], styles: Mapping[str, ArmStyle], in_a_row: int) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=styles[arm].colour,
            linestyle=styles[arm].linestyle,
            marker=styles[arm].marker,
            markersize=6.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linewidth=1.7,
            label=label,
        )
        for arm, label in labels.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=in_a_row, frameon=False, handlelength=3.6)


def _notes(runs: Sequence[RunFolder]) -> list[str]:
    """Say what a reader must know so as not to read more into the figure than it shows."""
    seeds: dict[str, int] = {}
    for run in runs:
        if run.counts:
            seeds[run.arm] = seeds.get(run.arm, 0) + 1
    alone = [arm for arm, count in seeds.items() if count == 1]
    notes = ["Metrics as Ultralytics defines them, on the validation split."]
    if seeds and len(alone) == len(seeds):
        notes.append("One seed an arm: no uncertainty is shown.")
    elif seeds:
        note = "Lines and large points: mean over seeds. Bands: lowest to highest seed. Small points: seeds."
        notes.append(f"{note} One seed, so no uncertainty shown: {_listed(alone)}." if alone else note)
    left_out = [f"{run.arm} seed {run.seed} ({run.status})" for run in runs if not run.counts]
    if left_out:
        notes.append(f"Not final, and in no mean: {_listed(left_out)}.")
    missing = list(dict.fromkeys(run.arm for run in runs if run.results is None))
    if missing:
        notes.append(f"Without learning curves, as results.csv is missing: {_listed(missing)}.")
    return notes


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = [shortened(name, 40) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")
