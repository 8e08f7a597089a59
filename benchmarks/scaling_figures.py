"""The figures of `scaling.py`: what was measured, beside what the FLOPs say."""

from __future__ import annotations

import argparse
from pathlib import Path
from textwrap import fill
from typing import Any

LABELS = {
    "plain": "plain Ultralytics, freeze=",
    "ours": "ours, full speed",
    "together": "together",
    "in turn": "one after another",
}
AXES = {"imgsz": "image size, pixels", "depth": "frozen layers", "arms": "arms of the study"}
TITLES = {
    "imgsz": "Time and memory by image size, nothing frozen",
    "depth": "Time and memory by frozen depth",
    "arms": "Time and memory by arms, ours at full speed",
}
FORMULA = (
    "By FLOPs: a frozen prefix costs its forward pass F, all else 3 F (forward F, backward 2 F); "
    "time is in proportion to that sum,"
)


def draw(path: Path, found: dict[str, Any], args: argparse.Namespace) -> Path:
    """Draw one question: seconds for 100 training images, with the FLOPs' line, and peak memory.

    Args:
        path: the PNG to write.
        found: `key`, the `reference` point and `rows` of what was measured.
        args: of the program, for the caption.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from frostline.report.palette import arm_styles
    from frostline.report.style import DPI, STYLE

    key, rows = found["key"], found["rows"]
    styles = arm_styles(LABELS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        for side in dict.fromkeys(row["side"] for row in rows):
            own = [row for row in rows if row["side"] == side]
            at = [row[key] for row in own]
            look: dict[str, Any] = {"color": styles[side].colour, "marker": styles[side].marker, "markersize": 5}
            left.plot(at, [row["seconds"] for row in own], linewidth=1.8, label=LABELS[side], **look)
            predicted = [row["predicted"] for row in own]
            if key != "arms" or side == rows[-1]["side"]:  # one line for both ways
                colour = "#555555" if key == "arms" else styles[side].colour
                left.plot(at, predicted, color=colour, linewidth=1, linestyle=(0, (4, 3)), label="by FLOPs")
            right.plot(at, [row["megabytes"] for row in own], linewidth=1.8, **look)
        left.set(title="seconds for 100 training images", xlabel=AXES[key])
        right.set(title="peak memory, MiB", xlabel=AXES[key])
        for axes in (left, right):
            axes.set_xticks(sorted({row[key] for row in rows}))
            axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
        figure.suptitle(TITLES[key], x=0.01, ha="left", fontsize=11, fontweight="bold")
        left.legend(loc="lower left" if key == "depth" else "upper left", frameon=False, fontsize=8)
        lines = "\n".join(fill(line, 130) for line in caption(found, args).splitlines())
        figure.supxlabel(lines, x=0.01, ha="left", fontsize=7, color="#555555")
        figure.savefig(path, dpi=DPI)
    return path


def caption(found: dict[str, Any], args: argparse.Namespace) -> str:
    """Say what the lines are and how they were made."""
    names = {"imgsz": "{} px", "depth": "depth {}", "arms": "{} arm"}
    at = ", ".join(names[key].format(value) for key, value in found["reference"].items())
    size = {"imgsz": "", "depth": f"{args.size} px, ", "arms": f"{args.arms_size} px, "}[found["key"]]
    return (
        f"{FORMULA} drawn through what was measured at {at}.\n"
        f"{Path(args.model).name}, {size}batch {args.batch}, {args.device}; medians of {args.steps - 2} steps, "
        "loading included, validation not."
        if found["key"] != "arms"
        else f"{FORMULA} drawn through the mean of both ways for one arm, which are the same work.\n"
        f"{Path(args.model).name}, {size}batch {args.batch}, {args.device}; an epoch of all arms, for 100 images; "
        "loading and validation included."
    )
