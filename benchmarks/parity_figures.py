"""The figures of `parity.py`: the loss and mAP50 of the three sides over one another, a figure an arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

LABELS = {"plain": "plain Ultralytics", "reference": "ours, reference=true", "full": "ours, full speed"}


def draw(out: Path, arm: str, sides: Sequence[str]) -> Path:
    """Draw an arm's curves: mean over seeds as a line, each seed as a thin one.

    Args:
        out: work folder, with runs in `<side>/<arm>/seed<k>`.
        arm: name.
        sides: in the order of the legend.

    Returns:
        The PNG that was written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from frostline.report.palette import arm_styles
    from frostline.report.style import DPI, STYLE

    styles = arm_styles(sides)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        for place, side in enumerate(sides):
            style, width = styles[side], (5.0, 2.6, 1.2)[place]  # lines that lie on one another are all seen
            losses, maps = curves(out / side / arm)
            for axes, table in ((left, losses), (right, 100 * maps)):
                epochs = np.arange(1, table.shape[1] + 1)
                for row in table:
                    axes.plot(epochs, row, color=style.colour, linewidth=0.7, alpha=0.4)
                axes.plot(
                    epochs, table.mean(axis=0), color=style.colour, linewidth=width, marker=style.marker,
                    markersize=1.3 * width + 2, label=LABELS[side],
                )  # fmt: skip
        left.set(title="training loss", xlabel="epoch")
        right.set(title="mAP50 on the validation images, %", xlabel="epoch")
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=len(sides), frameon=False)
        seeds = f"{len(losses)} seed{'s' * (len(losses) != 1)}"
        figure.suptitle(f"{arm}: mean over {seeds}, thin lines each seed", x=0.01, ha="left", fontsize=9)
        path = out / f"parity_{arm}.png"
        figure.savefig(path, dpi=DPI)
    return path


def curves(folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Read an arm's curves.

    Returns:
        Training loss, the sum of its parts, and mAP50 in [0, 1]: (seeds, epochs) each.
    """
    from frostline.analysis import find_runs

    tables = [run.results for run in find_runs([folder])]
    known = [table for table in tables if table is not None]
    parts = [name for name in known[0].columns if name.startswith("train/")]
    losses = [table.select(parts).sum_horizontal().to_numpy() for table in known]
    return np.stack(losses), np.stack([table["mAP50"].to_numpy() for table in known])
