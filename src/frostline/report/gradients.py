"""Heat maps of gradient norms: layer against epoch, one panel a run, on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from frostline.analysis import RunFolder
from frostline.analysis.evidence import Evidence
from frostline.analysis.gradients import GradientTable, read_gradients
from frostline.errors import InputError
from frostline.report.canvas import blank_figure, check_format, save_figure
from frostline.report.model import Chart
from frostline.report.planchart import EMPTY, FROZEN, mark_roles
from frostline.report.style import STYLE

if TYPE_CHECKING:
    from frostline.training.structure import Structure

_MOST = 24  # panels: more cannot be read on a page
_ARMS = 12  # in a report
_DECADES = 5  # of the colour scale; a nearly dead layer would flatten all the others
_MAP = colormaps["inferno"]
_SILENT = "#B23A6F"


def draw_gradients(runs: Sequence[RunFolder], out: Path, *, relative: bool = True) -> list[GradientTable]:
    """Draw layer against epoch for every run, all on one logarithmic colour scale.

    Args:
        runs: run folders; those that have no gradients raise.
        out: the file; its suffix (.png, .svg or .pdf) chooses the format. Written whole or not at all.
        relative: draw gradient norm over weight norm, else the gradient norm.

    Returns:
        What was drawn, in the order of the panels.

    Raises:
        InputError: another suffix, too many runs, or a table that is missing or cannot be drawn.
    """
    check_format(out)
    if not 0 < len(runs) <= _MOST:
        raise InputError(f"{len(runs)} runs: expected 1 to {_MOST} in one figure; name fewer arms or runs")
    tables = [read_gradients(run) for run in runs]
    for run, table in zip(runs, tables, strict=True):
        if table.values(relative) is None:
            raise InputError(
                f"{run.path}: its gradients.csv is of an earlier version, without relative norms; use --norm"
            )
    save_figure(gradients_figure(tables, _structures(runs), relative), out)
    return tables


def gradients_figure(
    tables: Sequence[GradientTable], structures: Sequence[Structure | None], relative: bool = True
) -> Figure:
    """Draw layer against epoch for every table, all on one logarithmic colour scale.

    Args:
        tables: at least one, as `read_gradients` gives them, each with the kind of norm that is drawn.
        structures: of the models that they were measured on; None draws no roles.
        relative: draw gradient norm over weight norm, else the gradient norm.

    Raises:
        InputError: no epoch has a gradient.
    """
    scale = _scale(tables, relative)
    columns = _columns(len(tables))
    same = len({len(table.norm) for table in tables}) == 1
    with matplotlib.rc_context(STYLE):
        figure, panels = _panels(tables)
        for place, (axes, table, structure) in enumerate(zip(panels, tables, structures, strict=False)):
            _panel(axes, table, structure, scale, relative, leftmost=place % columns == 0, numbered=not same)
        for axes in panels[len(tables) :]:
            axes.set_axis_off()
        bar = figure.colorbar(
            ScalarMappable(scale, _MAP),
            ax=list(panels),
            pad=0.02,
            aspect=30,
            shrink=1 / math.ceil(len(tables) / columns),
            anchor=(0, 1),
        )
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bar.set_label("gradient norm / weight norm" if relative else "gradient norm (L2)")
        _legend(figure, tables, structures)
    return figure


def gradient_charts(evidence: Evidence) -> list[Chart]:
    """Draw the gradients of one run of each arm, the first that has some; nothing where none has.

    No checkpoint is opened, and no torch imported, to tell frozen layers from those without weights: they look alike.
    """
    tables = [table for arm in evidence.arms if (table := _first_table(evidence.runs_of(arm))) is not None]
    relative = [table for table in tables if table.relative is not None]
    shown, left_out = (relative or tables)[:_ARMS], len(tables) - len((relative or tables)[:_ARMS])
    if not any(np.isfinite(table.norm).any() for table in shown):
        return []
    caption = (
        f"Mean {'gradient norm over weight norm' if relative else 'L2 norm of the gradient'} of each layer over the "
        "steps of an epoch, one run an arm, on one logarithmic scale. Input at the top; dark lines begin a stage. "
        "Source: gradients.csv."
    )
    if left_out:
        caption += f" The first {len(shown)} arms; {left_out} more are not drawn ('frostline gradients' draws any)."
    return [
        Chart(
            "gradients", "gradients", "Where the gradients are", caption,
            lambda: gradients_figure(shown, [None] * len(shown), bool(relative)),
        )
    ]  # fmt: skip


def _first_table(runs: Sequence[RunFolder]) -> GradientTable | None:
    for run in runs:
        try:
            return read_gradients(run)
        except InputError:  # plain Ultralytics keeps none, and a broken file of one seed leaves the others
            continue
    return None


def _structures(runs: Sequence[RunFolder]) -> list[Structure | None]:
    """Read one structure for each model: the runs of a study share theirs, and opening checkpoints takes time."""
    from frostline.training.structure import run_structure  # torch: only where a checkpoint is opened

    known: dict[str, Structure | None] = {}
    found = []
    for run in runs:
        key = str(run.value("model") or run.path)
        if known.get(key) is None:
            known[key] = run_structure(run.path)
        found.append(known[key])
    return found


def _scale(tables: Sequence[GradientTable], relative: bool) -> LogNorm:
    values = np.concatenate([table.values(relative)[np.isfinite(table.values(relative))] for table in tables])  # type: ignore[index,arg-type]
    values = values[values > 0]
    if not values.size:
        raise InputError("no epoch of these runs has a gradient yet; draw them when one is done")
    high = float(values.max())
    low = max(float(values.min()), high / 10**_DECADES)
    return LogNorm(low if low < high else high / 10, high, clip=True)


def _columns(panels: int) -> int:
    return min(panels, 3) if panels != 4 else 2


def _panels(tables: Sequence[GradientTable]) -> tuple[Figure, list[Axes]]:
    columns = _columns(len(tables))
    rows = math.ceil(len(tables) / columns)
    layers = max(table.norm.shape[0] for table in tables)
    width = {1: 8.5, 2: 11.0}.get(columns, 14.0)
    figure = blank_figure(width, 1.1 + rows * (0.7 + (0.19 if columns == 1 else 0.15) * layers))
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def _panel(
    axes: Axes,
    table: GradientTable,
    structure: Structure | None,
    scale: LogNorm,
    relative: bool,
    *,
    leftmost: bool,
    numbered: bool,
) -> None:
    layers, epochs = table.norm.shape
    axes.imshow(
        np.rint(255 * _colours(table, structure, scale, relative)).astype(np.uint8),
        aspect="auto", extent=(0.5, epochs + 0.5, layers - 0.5, -0.5),
        interpolation="nearest",
    )  # fmt: skip
    if leftmost or numbered:  # hundreds of ticks take seconds
        axes.set_yticks(range(layers), [f"{index}" for index in range(layers)], fontsize=6.5)
    else:
        axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(min(12, epochs), integer=True, min_n_ticks=1))
    axes.set_xlim(0.5, epochs + 0.5)
    axes.grid(visible=False)
    axes.hlines(np.arange(1, layers) - 0.5, 0.5, epochs + 0.5, colors="white", linewidths=0.5)
    for epoch in np.flatnonzero(~table.measured):
        axes.axvspan(epoch + 0.5, epoch + 1.5, facecolor="white", edgecolor="#aaaaaa", hatch="////", linewidth=0)
    for first in table.stages:
        axes.axvline(first - 0.5, color="#222222", linewidth=1.2)
    axes.set_xlabel("epoch")
    if leftmost:
        axes.set_ylabel("layer")
    axes.set_title(table.name, loc="left")
    if structure is not None and len(structure.roles) == layers:
        mark_roles(axes, structure.roles)


def _colours(table: GradientTable, structure: Structure | None, scale: LogNorm, relative: bool) -> NDArray[np.float64]:
    values = table.values(relative)
    assert values is not None
    image = np.asarray(_MAP(scale(np.nan_to_num(values))), dtype=np.float64)[..., :3]
    image[np.isnan(values)] = to_rgb(FROZEN)
    image[table.silent] = to_rgb(_SILENT)
    if structure is not None:
        bare = [index for index in range(len(values)) if index not in structure.weighted]
        image[bare] = to_rgb(EMPTY)
    return image


def _legend(figure: Figure, tables: Sequence[GradientTable], structures: Sequence[Structure | None]) -> None:
    known = all(structure is not None for structure in structures)
    handles = [Patch(color=FROZEN, label="frozen" if known else "frozen, or without weights")]
    if any(s is not None and len(s.weighted) < len(s.roles) for s in structures):
        handles.append(Patch(facecolor=EMPTY, edgecolor="#dddddd", label="no weights"))
    if any(not table.measured.all() for table in tables):
        handles.append(Patch(facecolor="white", edgecolor="#aaaaaa", hatch="////", label="nothing measured"))
    if any(table.silent.any() for table in tables):
        handles.append(Patch(color=_SILENT, label="no finite gradient"))
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=8)
