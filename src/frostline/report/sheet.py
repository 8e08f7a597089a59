"""The sample sheet for print: a row an image, the ground truth and then a column an arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from frostline.report.model import Chart
from frostline.report.samples import Sample, Samples
from frostline.report.sampling import Kind, Mark
from frostline.report.style import DPI, STYLE

ROWS, COLUMNS = 6, 6
# As on the page: sky, vermilion and yellow of Okabe and Ito, lighter, so that black letters can be read on them.
COLOURS: dict[Kind, str] = {"truth": "#ffffff", "hit": "#56b4e9", "false": "#ff7a3c", "miss": "#f0e442"}
_LINES: dict[Kind, tuple[int, tuple[float, ...] | None]] = {
    "truth": (0, None), "hit": (0, None), "false": (0, (3.2, 2.2)), "miss": (0, (0.1, 2.0)),
}  # fmt: skip
_WORDS: dict[Kind, str] = {"truth": "ground truth", "hit": "true positive", "false": "false positive", "miss": "miss"}
_WIDTH, _HIGHEST = 8.8, 9.6  # inches
_MARGIN, _GAP, _UNDER, _HEAD = 0.05, 0.06, 0.19, 0.62  # inches: beside pictures, between, below, above all
_TEXT = 4.2
_Place = tuple[float, float, float, float]


def samples_charts(view: Samples) -> list[Chart]:
    """Offer the sheet as a figure; nothing where there is no sheet.

    Args:
        view: what `gather_samples` gives.
    """
    if not view.samples:
        return []
    arms, images = figure_arms(view), figure_samples(view)
    drawn = f"{len(images)} of these images" if len(images) < len(view.samples) else "these images"
    some = f" Of {len(view.arms)} arms {len(arms)} are drawn: {', '.join(arms)}." if len(arms) < len(view.arms) else ""
    caption = (
        f"Ground truth, then what each arm finds (solid), invents (dashed) and misses (dotted) in {drawn}, chosen as "
        f"said above: at IoU 0.50, above the confidence of its own best F1 on the validation split.{some}"
    )
    return [Chart("samples", "samples", "Sample images side by side", caption, lambda: draw_sheet(view))]


def figure_arms(view: Samples) -> tuple[str, ...]:
    """Name the arms that the figure has room for: wide pictures leave room for fewer columns."""
    return view.shown[: _columns(view) - 1]


def figure_samples(view: Samples) -> tuple[Sample, ...]:
    """Give the images that the figure has room for."""
    width = _tile_width(len(figure_arms(view)) + 1)
    heights = np.cumsum([width / _aspect(one) + _UNDER for one in view.samples[:ROWS]])
    return view.samples[: max(1, int(np.searchsorted(heights, _HIGHEST, side="right")))]


def draw_sheet(view: Samples) -> Figure:
    """Draw the images of a sheet with what arms find, invent and miss in them.

    Args:
        view: with samples.
    """
    arms, samples = figure_arms(view), figure_samples(view)
    names = [arm.name for arm in view.arms]
    columns: list[int | None] = [None, *(names.index(name) for name in arms)]
    width = _tile_width(len(columns))
    heights = [width / _aspect(one) for one in samples]
    total = _HEAD + sum(heights) + len(samples) * _UNDER
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, total), dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        # One axes in inches from the upper left, one background and one collection a kind: many times as quick as a
        # pair of axes and patches for each picture.
        axes: Any = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, _WIDTH), ylim=(total, 0))
        axes.set_axis_off()
        tiles: list[_Tile] = []
        top = _HEAD
        for one, height in zip(samples, heights, strict=True):
            tiles += [_Tile(one, arm, (_MARGIN + at * (width + _GAP), top)) for at, arm in enumerate(columns)]
            top += height + _UNDER
        _draw_pictures(axes, view, tiles, width, total)
        _draw_boxes(axes, tiles, width)
        _draw_labels(axes, tiles, width, canvas.get_renderer())
        for at, arm in enumerate(columns):
            left = _MARGIN + at * (width + _GAP)
            title = "ground truth" if arm is None else _shortened(names[arm], width)
            axes.text(left, 0.41, title, weight="bold", size=6.8)
            if arm is not None:
                note = f"confidence above {view.arms[arm].threshold:.2f}"
                axes.text(left, 0.55, note, size=5.2, color="#555555")
        _add_legend(axes)
    return figure


@dataclass(frozen=True)
class _Tile:
    """One picture on the sheet: of an image, an arm (None: the ground truth), and where its upper left corner is."""

    one: Sample
    arm: int | None
    corner: tuple[float, float]

    @property
    def marks(self) -> tuple[Mark, ...]:
        return self.one.truths if self.arm is None else self.one.marks[self.arm]

    @property
    def under(self) -> str:
        if self.arm is None:
            return self.one.name
        counts = self.one.counts[self.arm]
        return f"{counts.hits} found, {counts.false} false, {counts.misses} missed"


def _draw_pictures(axes: Any, view: Samples, tiles: Sequence[_Tile], width: float, total: float) -> None:
    """Paste all pictures into one background, in the figure's own pixels: sampled again, files are twice as large."""
    paper = np.full((round(total * DPI), round(_WIDTH * DPI), 3), 255, dtype=np.uint8)
    for tile in tiles:
        picture = tile.one.pictures[0 if tile.arm is None else view.arms[tile.arm].album]
        left, top = (round(side * DPI) for side in tile.corner)
        size = round(width * DPI), round(width / _aspect(tile.one) * DPI)
        small = _resized(picture.pixels(), size)[: len(paper) - top, : paper.shape[1] - left]
        paper[top : top + small.shape[0], left : left + small.shape[1]] = small
    axes.imshow(paper, extent=(0, _WIDTH, total, 0), aspect="auto", interpolation="none")


def _draw_boxes(axes: Any, tiles: Sequence[_Tile], width: float) -> None:
    """Draw all boxes, a kind at a time in the order of `_LINES`, over a dark edge that sets them off any picture."""
    edges: dict[Kind, list[list[tuple[float, float]]]] = {kind: [] for kind in _LINES}
    for tile in tiles:
        for mark in tile.marks:
            x1, y1, x2, y2 = _inches(mark, tile, width)
            edges[mark.kind].append([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    look: dict[str, Any] = {"facecolors": "none", "joinstyle": "miter"}
    every = [outline for outlines in edges.values() for outline in outlines]
    axes.add_collection(PolyCollection(every, edgecolors="#000000a0", linewidths=1.4, **look), autolim=False)
    for kind, outlines in edges.items():
        lines = PolyCollection(
            outlines, edgecolors=COLOURS[kind], linestyles=[_LINES[kind]], linewidths=1.0 if kind == "miss" else 0.75,
            capstyle="round" if kind == "miss" else "butt", **look,
        )  # fmt: skip
        axes.add_collection(lines, autolim=False)


def _draw_labels(axes: Any, tiles: Sequence[_Tile], width: float, renderer: Any) -> None:
    """Write classes and confidences, and below each picture its name or counts."""
    font = FontProperties(family="DejaVu Sans", size=_TEXT)

    @cache
    def measure(label: str) -> tuple[float, float]:
        pixels, _, _ = renderer.get_text_width_height_descent(label, font, False)
        return float(pixels) / DPI + 0.03, _TEXT * 1.35 / 72

    plates, colours = [], []
    for tile in tiles:
        left, top = tile.corner
        height = width / _aspect(tile.one)
        for mark, (x1, y1, x2, y2) in place_labels(tile.marks, width, height, measure):
            plates.append([(left + x, top + y) for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))])
            colours.append(COLOURS[mark.kind])
            middle = top + (y1 + y2) / 2
            axes.text(left + x1 + 0.015, middle, mark.label, size=_TEXT, color="#111111", va="center_baseline")
        axes.text(left, top + height + 0.025, tile.under, size=4.9, color="#444444", va="top")
    axes.add_collection(PolyCollection(plates, facecolors=colours, edgecolors="none", zorder=2.5), autolim=False)


def place_labels(
    marks: Sequence[Mark], width: float, height: float, measure: Callable[[str], tuple[float, float]]
) -> list[tuple[Mark, _Place]]:
    """Find a free place for the label of each box: above it, below, inside or beside, within the picture.

    Sure detections are placed first, then less sure ones, then misses; a label without any free place is left out.

    Args:
        marks: as `Detector.marks` orders them.
        width, height: of the picture, in any unit.
        measure: gives the (width, height) of a label in that unit.

    Returns:
        The marks with a place, and the place's x1, y1, x2, y2.
    """
    placed: list[tuple[Mark, _Place]] = []
    for mark in reversed(marks):
        x1, y1, x2, y2 = (share * side for share, side in zip(mark.box, (width, height) * 2, strict=True))
        w, h = measure(mark.label)
        left, right = min(max(x1, 0), width - w), min(max(x2 - w, 0), width - w)
        spots = [
            (left, y1 - h), (right, y1 - h), (left, y2), (right, y2), (left, y1), (left, y2 - h), (x2, y1), (x1 - w, y1)
        ]  # fmt: skip
        for x, y in spots:
            place = x, y, x + w, y + h
            inside = x >= 0 and y >= 0 and x + w <= width and y + h <= height
            if inside and all(_apart(place, other) for _, other in placed):
                placed.append((mark, place))
                break
    return placed


def _apart(a: _Place, b: _Place) -> bool:
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def _inches(mark: Mark, tile: _Tile, width: float) -> _Place:
    (left, top), height = tile.corner, width / _aspect(tile.one)
    x1, y1, x2, y2 = mark.box
    return left + x1 * width, top + y1 * height, left + x2 * width, top + y2 * height


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    import cv2

    smaller = size[0] < picture.shape[1]
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return np.asarray(resized, dtype=np.uint8)


def _add_legend(axes: Any) -> None:
    handles = [
        Line2D(
            [], [], color=COLOURS[kind], linestyle=_LINES[kind], linewidth=1.5,
            dash_capstyle="round" if kind == "miss" else "butt", label=word,
        )
        for kind, word in _WORDS.items()
    ]  # fmt: skip
    legend = axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(_MARGIN, 0.05), bbox_transform=axes.transData, ncols=4,
        handlelength=3, fontsize=5.6, labelcolor="white", borderaxespad=0, borderpad=0.5, fancybox=False, framealpha=1,
    )  # fmt: skip
    legend.get_frame().set(facecolor="#2b3036", edgecolor="none")


def _columns(view: Samples) -> int:
    """As many as leave a picture high enough to read, from 3 of the widest to 6."""
    aspect = float(np.median([_aspect(one) for one in view.samples]))
    return int(np.clip(round(2 * COLUMNS / aspect), 3, COLUMNS))


def _tile_width(columns: int) -> float:
    return (_WIDTH - 2 * _MARGIN + _GAP) / columns - _GAP


def _aspect(one: Sample) -> float:
    width, height = one.pictures[0].size
    return width / height


def _shortened(name: str, inches: float) -> str:
    longest = max(8, int(inches / 0.064))
    return name if len(name) <= longest else f"{name[: longest // 2]}…{name[-(longest // 2 - 1) :]}"
