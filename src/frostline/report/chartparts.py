"""What the report's figures share: the sheet they are drawn on, an arm's marks, and labels that keep apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from frostline.report.canvas import shortened
from frostline.report.palette import ArmStyle
from frostline.report.style import DPI, STYLE

WIDTH = 11.0
"""Of a figure, in inches: a page."""
MOST_ARMS = 36
"""That one figure shows; from there on, looks repeat (see `arm_styles`)."""
GREY, FAINT, FROST = "#555555", "#999999", "#5AA9D6"


def styled(draw: Callable[[], Figure]) -> Callable[[], Figure]:
    """Give a function that draws a figure in the shared look, whatever the caller's own settings are.

    The layout is settled here, once: each file that it is saved to would do it anew, which takes as long as drawing.
    """

    def drawn() -> Figure:
        with matplotlib.rc_context(STYLE):
            figure = draw()
            settle(figure)
            return figure

    return drawn


def sheet(width: float, height: float, hspace: float = 0.04, wspace: float = 0.03) -> Figure:
    """Make an empty figure of so many inches that lays itself out; no state is shared between two of them."""
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=wspace, hspace=hspace))
    return figure


def settle(figure: Figure) -> None:
    """Lay out a figure now, and never again."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def listed(names: Sequence[str], most: int = 4) -> str:
    """Name some things in a sentence, the first ones of many."""
    shown = [shortened(name, 40) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def shown_arms(arms: Sequence[str], baseline: str | None) -> tuple[list[str], str]:
    """Choose the arms that a figure shows, and the sentence that says so: the first ones, with the baseline.

    Returns:
        The arms in their order, and a sentence for the caption, empty where all are shown.
    """
    if len(arms) <= MOST_ARMS:
        return list(arms), ""
    first = [arm for arm in arms if arm != baseline][: MOST_ARMS - (baseline in arms)]
    kept = set(first) | ({baseline} if baseline in arms else set())
    return [arm for arm in arms if arm in kept], f" The first {MOST_ARMS} of {len(arms)} arms."


def marks(style: ArmStyle, **more: Any) -> dict[str, Any]:
    """Give Matplotlib's arguments for points of an arm: its colour and marker, with a white edge."""
    look = {"color": style.colour, "marker": style.marker, "linestyle": "none", "markeredgecolor": "white"}
    return {**look, "markeredgewidth": 0.6, **more}


def strokes(style: ArmStyle, width: float = 1.5, **more: Any) -> dict[str, Any]:
    """Give Matplotlib's arguments for a line of an arm; its dash keeps its length whatever the width."""
    dash = tuple(part * 1.6 / width for part in style.dash)
    return {"color": style.colour, "linestyle": (0, dash or None), "linewidth": width, **more}


def arm_legend(figure: Figure, labels: Mapping[str, str], styles: Mapping[str, ArmStyle], markers: bool = True) -> None:
    """Put the legend of the arms above a figure, in as many columns as fit its width."""
    handles = [
        Line2D([], [], **(strokes(styles[arm], 1.6) | ({"marker": styles[arm].marker} if markers else {})),
               markersize=6, markeredgecolor="white", markeredgewidth=0.5, label=label)
        for arm, label in labels.items()
    ]  # fmt: skip
    widest = max(map(len, labels.values()), default=1)
    columns = max(1, min(len(handles), int((figure.get_figwidth() - 0.4) / (0.64 + 0.053 * widest))))
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, frameon=False, handlelength=3.4, fontsize=8,
        columnspacing=1.4, labelspacing=0.35,
    )  # fmt: skip


def number_at_right(axes: Axes, row: int, value: float) -> None:
    """Write a row's number in a column at the right edge of a panel."""
    axes.annotate(
        f"{value:.3g}", (1, row), xycoords=("axes fraction", "data"), va="center", ha="right", fontsize=7.5, color=GREY
    )


def in_percent(axis: Any, ticks: int = 6) -> None:
    """Write shares of one as percent on an axis."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.10g}"))


def whole_epochs(axes: Axes, last: int, ticks: int = 8) -> None:
    """Make room for epochs 1 to `last`, with ticks at whole ones."""
    axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    margin = max(0.03 * (last - 1), 0.1)
    axes.set_xlim(1 - min(margin, 0.5), last + margin)  # no tick at an epoch 0 that never was


def spread_out(wanted: Sequence[float], gap: float) -> NDArray[np.float64]:
    """Move numbers as little as possible so that they stand `gap` apart; their order stays.

    Args:
        wanted: (n,) where each would like to be.
        gap: least distance between two.

    Returns:
        (n,) places in the order given, which minimise the sum of squared moves.

    Source: pool adjacent violators (Barlow et al., "Statistical Inference under Order Restrictions", 1972).
    """
    values = np.asarray(wanted, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    blocks: list[tuple[float, int]] = []  # mean of what is left once the gaps are taken off, and how many
    for rank, index in enumerate(order):
        mean, count = float(values[index]) - gap * rank, 1
        while blocks and blocks[-1][0] >= mean:
            before, more = blocks.pop()
            mean, count = (mean * count + before * more) / (count + more), count + more
        blocks.append((mean, count))
    placed = np.empty(len(values))
    placed[order] = np.repeat([mean for mean, _ in blocks], [count for _, count in blocks]) + gap * np.arange(
        len(values)
    )
    return placed


def label_points(
    axes: Axes, places: Sequence[tuple[float, float]], labels: Sequence[str], colours: Sequence[str], size: float = 8
) -> None:
    """Write a label at every point where it hides no other label or point, with a thin line to those further away.

    Everything else must be drawn before, and limits set: the layout is settled here, to measure in pixels.

    Args:
        axes: where the points are drawn.
        places: (x, y) of each point, in data coordinates.
        labels, colours: of each point.
        size: of the letters, points.
    """
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    settle(figure)
    pixel = figure.dpi / 72
    points = axes.transData.transform(np.asarray(places, dtype=np.float64).reshape(-1, 2))
    frame = axes.get_window_extent()
    taken: list[NDArray[np.float64]] = [
        np.array([x, y, x, y]) + 5 * pixel * np.array([-1, -1, 1, 1]) for x, y in points
    ]
    # Points in a crowd choose first: the others have room anyway.
    crowd = [int((np.hypot(*(points - point).T) < 60 * pixel).sum()) for point in points]
    for i in sorted(range(len(labels)), key=lambda i: -crowd[i]):
        text = axes.annotate(labels[i], places[i], fontsize=size, color=colours[i], annotation_clip=False)
        extent = text.get_window_extent()
        text.remove()
        box = _free_place(points[i], (extent.width, extent.height), taken, frame.extents, pixel)
        taken.append(box)
        aside = np.maximum(np.maximum(box[:2] - points[i], points[i] - box[2:]), 0)
        far = np.hypot(*aside) > 14 * pixel
        axes.annotate(
            labels[i], places[i], xytext=((box[0] - points[i][0]) / pixel, (box[1] - points[i][1]) / pixel),
            textcoords="offset points", fontsize=size, color=colours[i], annotation_clip=False, zorder=6,
            ha="left", va="bottom", path_effects=[withStroke(linewidth=2.2, foreground="white", alpha=0.85)],
            arrowprops={"arrowstyle": "-", "color": colours[i], "linewidth": 0.5, "alpha": 0.7, "shrinkB": 4,
                        "relpos": (0.5, 0.5)} if far else None,
        )  # fmt: skip


def _free_place(
    point: NDArray[np.float64],
    size: tuple[float, float],
    taken: Sequence[NDArray[np.float64]],
    frame: Any,
    pixel: float,
) -> NDArray[np.float64]:
    """Find the nearest box around a point that covers least of what is there: x0, y0, x1, y1."""
    width, height = size
    best, least = np.zeros(4), np.inf
    for radius in (8, 14, 22, 32, 44, 58, 74):
        for angle in np.deg2rad([40, 320, 140, 220, 60, 300, 120, 240, 0, 180, 90, 270]):
            reach = radius * pixel
            dx, dy = np.cos(angle) * (reach + width / 2), np.sin(angle) * (reach + height / 2)
            x, y = point[0] + dx, point[1] + dy
            box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
            over = sum(_overlap(box, other) for other in taken) / (width * height)
            outside = width * height - _overlap(box, frame)
            cost = 40 * over + 60 * max(outside, 0) / (width * height) + radius / 20
            if cost < least:
                best, least = box, cost
    return best


def _overlap(a: Any, b: Any) -> float:
    across, up = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return float(across * up) if across > 0 and up > 0 else 0.0
