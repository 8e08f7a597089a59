"""The figure of a probe: gradients, drift and similarity by layer, and what freezing each depth saves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from frostline.probing.result import Probe, ProbedLayer
from frostline.report.canvas import blank_figure, check_format, save_figure
from frostline.report.style import STYLE

_ROLES = {"backbone": "#0072B2", "neck": "#888888", "head": "#D55E00"}
_LINE = "#222222"
_CEILING = 1000.0
Value = Callable[[ProbedLayer], float | None]


def draw_probe(probe: Probe, title: str, out: Path) -> Path:
    """Draw what a probe found.

    Args:
        probe: it.
        title: above it.
        out: the file; its suffix (.png, .svg or .pdf) chooses the format. Written whole or not at all.

    Raises:
        InputError: another suffix.
    """
    check_format(out)
    panels = _panels(probe)
    rows = len(panels) // 2 + len(panels) % 2
    with matplotlib.rc_context(STYLE):
        figure = blank_figure(11.0, 0.9 + 2.5 * rows, space=0.03)
        grid = figure.subplots(rows, 2, squeeze=False).flatten()
        for axes, draw in zip(grid, panels, strict=False):
            draw(axes)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        present = [role for role in _ROLES if any(layer.role == role for layer in probe.layers)]
        handles = [Patch(color=_ROLES[role], label=role) for role in present]
        figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return save_figure(figure, out)


def _panels(probe: Probe) -> list[Callable[[Axes], None]]:
    """Return what draws each panel; those without anything to show are left out."""

    def relative(axes: Axes) -> None:
        _bars(axes, probe, lambda layer: layer.gradient.relative if layer.gradient else None)
        axes.set_title("Relative gradient norm")
        axes.set_ylabel("|gradient| / |weights|")

    def signal(axes: Axes) -> None:
        _bars(axes, probe, lambda layer: min(layer.gradient.snr, _CEILING) if layer.gradient else None)
        axes.axhline(1, color=_LINE, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.set_title("Gradient signal-to-noise (dashed: half is noise)")
        axes.set_ylabel("signal / noise")

    def drift(axes: Axes) -> None:
        _bars(axes, probe, lambda layer: layer.drift.mean_shift if layer.drift else None)
        axes.set_title("Drift of BatchNorm inputs (bars: mean; ◆ KL, right)")
        axes.set_ylabel("stored standard deviations")
        other = axes.twinx()
        shown = [(layer.index, layer.drift.kl) for layer in probe.layers if layer.drift]
        other.plot(*zip(*shown, strict=True), linestyle="none", marker="D", markersize=4, color=_LINE, clip_on=False)
        other.set_ylim(0, 1.12 * max(*(kl for _, kl in shown), 1e-3))
        other.set_ylabel("KL, nats")
        other.grid(visible=False)
        other.spines["right"].set_visible(True)

    def alike(axes: Axes) -> None:
        shown = [(layer.index, layer.similarity, layer.role) for layer in probe.layers if layer.similarity is not None]
        axes.plot([i for i, _, _ in shown], [v for _, v, _ in shown], color="#bbbbbb", linewidth=1, zorder=1)
        colours = [_ROLES[role] for _, _, role in shown]
        axes.scatter([i for i, _, _ in shown], [v for _, v, _ in shown], c=colours, s=28, zorder=2, clip_on=False)
        axes.set_ylim(min(0.0, *(v for _, v, _ in shown)), 1.04)
        axes.set_title(f"Likeness of source and target features ({probe.pairs} pairs)")
        axes.set_ylabel("linear CKA")
        _index_axis(axes, probe)

    found: list[Callable[[Axes], None]] = [relative, signal]
    if any(layer.drift for layer in probe.layers):
        found.append(drift)
    if any(layer.similarity is not None for layer in probe.layers):
        found.append(alike)
    return [*found, lambda axes: _costs(axes, probe), lambda axes: _regions(axes, probe)]


def _bars(axes: Axes, probe: Probe, value: Value) -> None:
    shown = [(layer.index, value(layer), layer.role) for layer in probe.layers]
    known = [(index, max(v, 0.0), role) for index, v, role in shown if v is not None]
    axes.bar([i for i, _, _ in known], [v for _, v, _ in known], color=[_ROLES[role] for _, _, role in known])
    _index_axis(axes, probe)


def _index_axis(axes: Axes, probe: Probe) -> None:
    count = len(probe.layers)
    axes.set_xlim(-0.7, count - 0.3)
    axes.set_xticks(range(0, count, 1 if count <= 30 else 5))
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel("layer")


def _costs(axes: Axes, probe: Probe) -> None:
    places = np.arange(len(probe.depths))
    full = probe.depths[0]
    series = (
        ("time of a step", [c.step_seconds / full.step_seconds for c in probe.depths], "#56B4E9"),
        ("activation memory", [c.activation_bytes / full.activation_bytes for c in probe.depths], "#E69F00"),
        ("trainable parameters", [c.trainable / full.trainable for c in probe.depths], "#999933"),
    )
    for number, (label, shares, colour) in enumerate(series):
        axes.bar(places + 0.26 * (number - 1), [100 * share for share in shares], 0.26, color=colour, label=label)
    axes.set_xticks(places, [str(c.depth) for c in probe.depths])
    axes.set_ylim(0, max(100.0, 100 * max(series[0][1])) * 1.25)
    axes.set_title("Cost of a training step by freeze depth")
    axes.set_xlabel("leading layers frozen")
    axes.set_ylabel("% of nothing frozen")
    axes.legend(frameon=False, ncols=3, loc="upper center", fontsize=8, columnspacing=1.0, handlelength=1.2)


def _regions(axes: Axes, probe: Probe) -> None:
    names = list(reversed(probe.ranking.order))
    colours = [{"head": _ROLES["head"]}.get(name, _ROLES["backbone"]) for name in names]
    values = [min(max(probe.ranking.scores[name], 0.0), _CEILING) for name in names]
    axes.barh(names, values, color=colours, height=0.6)
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        axes.annotate(
            f"{probe.ranking.scores[name]:.2f}",
            (value, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.axvline(1, color=_LINE, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1.15 * max(*values, 1.05))
    axes.grid(visible=False)
    axes.set_xlabel("signal / noise")
    axes.set_title(f"What to train alone, best on top (confidence {probe.recommendation.confidence})")
