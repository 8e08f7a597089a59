"""One figure of what the projection does to an image, for people who have to believe it first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike, NDArray

from frostline.errors import InputError
from frostline.files import written_beside
from frostline.imaging.chroma import ANCHOR, chroma_image, log_rgb, project
from frostline.imaging.io import Transfer, linearise, read_rgb
from frostline.imaging.isd import unit_isd
from frostline.imaging.srgb import FULL_SCALE, linear_to_srgb
from frostline.report.style import STYLE

_POINTS = 12_000
_LOWER_INCHES = 3.8
_PLATE = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.2}
_CHANNELS = ("#D55E00", "#009E73", "#0072B2")
_STYLE: dict[str, Any] = {**STYLE, "axes.grid.axis": "both"}


def draw_view(image: Path, isd: ArrayLike, out: Path, *, anchor: float = ANCHOR, transfer: Transfer = "auto") -> Path:
    """Draw input, log-RGB scatter with the ISD, the same seen along the ISD, result and histogram.

    Args:
        image: a linear or sRGB image.
        isd: (3,) illuminant spectral direction.
        out: the PNG to write, whole or not at all.
        anchor: the projection plane's point on the grey diagonal, natural-log units.
        transfer: what the image's values are.

    Returns:
        `out`.

    Raises:
        InputError: as `read_linear` and `chroma_image`, for another suffix, an image without a usable pixel, or
            a file that cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise InputError(f"{out}: expected a name that ends in .png")
    direction = unit_isd(isd)
    linear = linearise(read_rgb(image), transfer)
    result = chroma_image(linear, direction, anchor, "log", 8)
    inside = np.asarray(((linear > 0) & (linear < FULL_SCALE)).all(axis=2), dtype=np.bool_)
    if not inside.any():
        raise InputError(f"{image}: every pixel has a channel that is 0 or at full scale; there is nothing to draw")
    every = np.flatnonzero(inside)
    chosen = np.random.default_rng(0).permutation(every)[:_POINTS]
    pixels = linear.reshape(-1, 3)[chosen]
    logs = log_rgb(pixels)
    shown = _tone_mapped(linear)
    colours = shown.reshape(-1, 3)[chosen] / 255
    with matplotlib.rc_context(_STYLE):
        # as high as the pictures are, so that a wide one does not float in a white field
        height = float(np.clip(6.2 * linear.shape[0] / linear.shape[1], 1.2, 6.5)) + 0.4
        figure = Figure(figsize=(13, height + _LOWER_INCHES + 0.2), dpi=150)
        FigureCanvasAgg(figure)
        figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.03, hspace=0.04))
        grid = figure.add_gridspec(2, 1, height_ratios=(height, _LOWER_INCHES))
        upper, lower = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
        left, right = upper.subplots(1, 2)
        _picture(left, shown, f"Input: {image.name}")
        _picture(right, result, "Log-chromaticity")
        scatter, plane, histogram = lower.subplots(1, 3)
        _scatter(scatter, logs, colours, direction, anchor)
        _plane(plane, project(logs, direction, anchor) - anchor, colours, direction)
        _histogram(histogram, logs, project(logs, direction, anchor))
        figure.supxlabel(_note(direction, anchor, inside, len(chosen)), x=0.01, ha="left", fontsize=8, color="#555555")
        try:
            with written_beside(out) as beside:
                figure.savefig(beside, format="png")
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror or error})") from None
    return out


def _tone_mapped(linear: NDArray[Any]) -> NDArray[np.uint8]:
    """Brighten so that the 99th percentile is near white, and encode as sRGB."""
    top = max(float(np.percentile(linear, 99)), 1.0)
    mapped: NDArray[np.uint8] = linear_to_srgb(
        np.minimum(linear.astype(np.float32) * (0.9 * FULL_SCALE / top), FULL_SCALE)
    )
    return mapped


def _picture(axes: Axes, pixels: NDArray[np.uint8], title: str) -> None:
    axes.imshow(pixels, interpolation="antialiased")
    axes.set_title(title)
    axes.set_axis_off()


def _scatter(
    axes: Axes, logs: NDArray[np.float32], colours: NDArray[Any], isd: NDArray[np.float32], anchor: float
) -> None:
    """Log red against log blue, where sun and sky differ most, with the direction through the middle of the pixels."""
    axes.scatter(logs[:, 2], logs[:, 0], s=2.5, c=colours, linewidths=0, alpha=0.6, rasterized=True)
    middle = np.median(logs, axis=0)
    low, high = np.percentile(logs, (0.5, 99.5), axis=0)
    down, up = float(min((middle - low) / isd)), float(min((high - middle) / isd))
    ends = np.array([middle - 0.85 * down * isd, middle + 0.85 * up * isd])
    axes.annotate(
        "",
        xy=(ends[1, 2], ends[1, 0]),
        xytext=(ends[0, 2], ends[0, 0]),
        arrowprops={
            "arrowstyle": "-|>",
            "color": "black",
            "lw": 2.2,
            "mutation_scale": 18,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
    words: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8.5, "bbox": _PLATE}
    axes.annotate("towards the sun", ends[1][[2, 0]], xytext=(-9, 2), ha="right", **words)
    axes.plot(anchor, anchor, marker="P", color="black", markersize=8, markeredgecolor="white", linestyle="none")
    axes.annotate("anchor", (anchor, anchor), xytext=(8, -4), **words)
    axes.set(title="Log-RGB and the illuminant direction", xlabel="ln blue", ylabel="ln red")


def _plane(axes: Axes, flat: NDArray[np.float32], colours: NDArray[Any], isd: NDArray[np.float32]) -> None:
    """The plane of the projection, seen along the direction: lit and shadowed pixels of a surface fall together."""
    across = np.cross(isd, (0, 1, 0))
    across /= np.linalg.norm(across)
    up = np.cross(across, isd)
    across, up = across * np.sign(across[0]), up * np.sign(up[1])
    axes.scatter(flat @ across, flat @ up, s=2.5, c=colours, linewidths=0, alpha=0.6, rasterized=True)
    axes.plot(0, 0, marker="P", color="black", markersize=8, markeredgecolor="white", linestyle="none")
    reach = float(np.percentile(np.abs(np.concatenate([flat @ across, flat @ up])), 99.7)) * 1.1
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set(
        title="Projected, seen along the direction",
        xlabel="blue  ←  ln units  →  red",
        ylabel="magenta  ←  ln units  →  green",
    )


def _histogram(axes: Axes, before: NDArray[np.float32], after: NDArray[np.float32]) -> None:
    """Log values of each channel before (lines) and after (filled)."""
    low, high = np.percentile(np.concatenate([before, after]), (0.1, 99.9))
    edges = np.linspace(low, high, 120).tolist()
    for channel, (colour, name) in enumerate(zip(_CHANNELS, ("red", "green", "blue"), strict=True)):
        axes.hist(after[:, channel], edges, color=colour, alpha=0.45, linewidth=0, label=name)
        axes.hist(before[:, channel], edges, color=colour, histtype="step", linewidth=1.2)
    axes.set(title="Before (lines) and after (filled)", xlabel="ln of the value", ylabel="pixels")
    axes.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _note(isd: NDArray[np.float32], anchor: float, inside: NDArray[np.bool_], points: int) -> str:
    red, green, blue = isd
    left_out = 100 * (1 - float(inside.mean()))
    return (
        f"Direction {red:.3f}, {green:.3f}, {blue:.3f}; anchor {anchor:g}. Plots: {points:,} pixels drawn at random;"
        f" {left_out:.1f} % left out, as a channel is 0 or at full scale. Result: the 8-bit log form."
    )
