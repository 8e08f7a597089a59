"""The figure of an estimated illuminant spectral direction: what it rests on, and what taking it out does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from frostline.imaging import chroma_image, linear_to_srgb, log_rgb
from frostline.imaging.estimate import DatasetEstimate, EntropyEvidence, Estimate, PairEvidence, angles
from frostline.report.canvas import blank_figure, check_format, save_figure
from frostline.report.style import STYLE

_KEPT, _REJECTED, _RESULT, _GUIDE = "#009E73", "#D55E00", "#000000", "#9a9a9a"
_MOST_LINES = 700
_AXES = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2.0], [6.0]])
_LOWER_INCHES = 4.4
_LEAST_REACH = 6.0  # degrees
_DOTS: dict[str, Any] = {"linewidths": 0, "rasterized": True}  # thousands of them would make an SVG heavy


def draw_estimate(
    linear: NDArray[np.uint16], estimate: Estimate, out: Path, name: str = "", dataset: DatasetEstimate | None = None
) -> Path:
    """Draw why a direction was taken: the evidence in one image, the directions, and the image without it.

    Args:
        linear: (H, W, 3) uint16 linear RGB of an image.
        estimate: of this image, with its evidence.
        out: the file; its suffix (.png, .svg or .pdf) chooses the format. Written whole or not at all.
        name: of the image, for its title.
        dataset: where the image is one of several, the estimate of all. The projection then uses its direction.

    Returns:
        `out`.

    Raises:
        InputError: for another suffix, or if the file cannot be written.
    """
    check_format(out)
    several = dataset is not None and len(dataset.images) > 1
    isd = dataset.isd if dataset is not None and several else estimate.mean
    confidence = dataset.confidence if dataset is not None and several else estimate.confidence
    with matplotlib.rc_context(STYLE):
        # as high as the pictures are, so that a wide one does not float in a white field
        upper = float(np.clip(5.2 * linear.shape[0] / linear.shape[1], 1.2, 5.6)) + 0.6
        figure = blank_figure(11.0, upper + _LOWER_INCHES + 0.5, pad=0.11, space=0.035)
        rows = figure.add_gridspec(2, 1, height_ratios=(upper, _LOWER_INCHES))
        source, result = figure.add_subfigure(rows[0]).subplots(1, 2)
        evidence, other = figure.add_subfigure(rows[1]).subplots(1, 2)
        _draw_source(source, linear, estimate, name)
        _draw_result(result, linear, isd if estimate.isd.ndim == 1 else estimate.isd)
        _draw_evidence(evidence, estimate)
        if dataset is not None and several:
            _draw_images(other, dataset)
        else:
            _draw_log_rgb(other, linear, estimate)
        red, green, blue = (f"{component:.3f}" for component in isd.tolist())
        title = f"Illuminant spectral direction  ({red}, {green}, {blue})   by {estimate.method}, "
        figure.suptitle(f"{title}confidence {confidence:.2f}", x=0.01, ha="left", fontsize=13, fontweight="bold")
    return save_figure(figure, out)


def _draw_source(axes: Axes, linear: NDArray[np.uint16], estimate: Estimate, name: str) -> None:
    """Show the image, and on it where the evidence lies."""
    shown = _srgb(linear)
    evidence = estimate.evidence
    if isinstance(evidence, PairEvidence):
        shown = (shown * 0.55 + 255 * 0.12).astype(np.uint8)  # so that lines stand out on any picture
    axes.imshow(shown, interpolation="antialiased")
    if isinstance(evidence, PairEvidence):
        few = len(evidence.kept) < 60
        for kept, colour in ((False, _REJECTED), (True, _KEPT)):
            lines = _some(evidence.places[evidence.kept == kept])
            axes.add_collection(LineCollection([*lines], colors=colour, linewidths=1.6 if few else 0.8))
            if few:
                axes.plot(lines[:, 0, 0], lines[:, 0, 1], "o", mfc="white", mec=colour, ms=5, ls="none")
                axes.plot(lines[:, 1, 0], lines[:, 1, 1], "o", mfc="black", mec=colour, ms=5, ls="none")
        # a collection moves the limits of the axes, and the picture would no longer fill them
        axes.set_xlim(-0.5, linear.shape[1] - 0.5)
        axes.set_ylim(linear.shape[0] - 0.5, -0.5)
        kept_of = f"{int(evidence.kept.sum())} of {len(evidence.kept)} pairs agree (green)"
        _title(axes, name or "Image", kept_of + ("; white end: lit, black end: shadow" if few else ""))
    else:
        _title(axes, name or "Image", "as sRGB")
    _bare(axes)


def _draw_result(axes: Axes, linear: NDArray[np.uint16], isd: NDArray[np.float32]) -> None:
    """Show the image projected along the direction: what is left of shadows shows how good it is."""
    codes = chroma_image(linear, isd, encode="log", bits=16).astype(np.float32)
    seen = codes[codes > 0]
    low, high = np.percentile(seen, (1, 99)) if seen.size else (0, 1)
    axes.imshow(np.clip((codes - low) / max(1.0, high - low), 0, 1), interpolation="antialiased")
    _title(axes, "Projected along the direction", "shadows that are left speak against it")
    _bare(axes)


def _draw_evidence(axes: Axes, estimate: Estimate) -> None:
    """Show in degrees around grey what the estimate was chosen from."""
    evidence = estimate.evidence
    result = _degrees(estimate.mean[np.newaxis])[0]
    points = result[np.newaxis]
    if isinstance(evidence, PairEvidence):
        points = _degrees(evidence.lit - evidence.shadow)
        for kept, colour, label in ((False, _REJECTED, "pair rejected"), (True, _KEPT, "pair kept")):
            some = points[evidence.kept == kept]
            size, alpha = (30, 0.9) if len(points) < 60 else (5, 0.35)
            axes.scatter(
                some[:, 0],
                some[:, 1],
                s=size,
                c=colour,
                alpha=alpha,
                **_DOTS,
                label=label if len(some) else None,
            )
        _title(axes, "Direction of every pair", "degrees from grey")
        points = np.concatenate([points[evidence.kept], result[np.newaxis]])
    elif isinstance(evidence, EntropyEvidence):
        points = _degrees(evidence.directions)
        colours = 100 * np.exp(evidence.entropies - evidence.entropies.min())
        levels = np.geomspace(99.9, max(101.0, float(colours.max())), 24)
        filled = axes.tricontourf(points[:, 0], points[:, 1], colours, levels=levels, cmap="viridis_r")
        bar = axes.figure.colorbar(filled, ax=axes, pad=0.02, shrink=0.9, format="%.0f", ticks=levels[::4])
        bar.set_label("colours left, least = 100", color="#333333")
        bar.outline.set_visible(False)
        _title(axes, "Entropy of the projection", "its least value is the direction, degrees from grey")
    elif estimate.isd.ndim == 3:
        points = _some(_degrees(estimate.isd.reshape(-1, 3)), 4000)
        axes.scatter(points[:, 0], points[:, 1], s=4, c=_KEPT, alpha=0.3, **_DOTS, label="pixel of the map")
        _title(axes, "Directions in the map", "degrees from grey")
    else:
        _title(axes, "Direction as given", "degrees from grey: nothing was measured")
    axes.plot(*result, marker="+", ms=15, mew=2.2, color=_RESULT, ls="none", label="estimate")
    _frame(axes, points)


def _draw_images(axes: Axes, dataset: DatasetEstimate) -> None:
    """Show the direction of every image, larger the more it is trusted, and the one of all."""
    found = {name: one for name, one in dataset.images.items() if one.confidence > 0}
    directions = np.array([one.mean for one in found.values()])
    weights = np.array([one.confidence for one in found.values()])
    points = _degrees(directions)
    agree = angles(directions, dataset.isd) < 3
    for chosen, colour, label in ((~agree, _REJECTED, "image, differs"), (agree, _KEPT, "image, within 3 degrees")):
        axes.scatter(
            points[chosen, 0],
            points[chosen, 1],
            s=8 + 90 * weights[chosen],
            c=colour,
            alpha=0.45,
            **_DOTS,
            label=label if chosen.any() else None,
        )
    result = _degrees(dataset.isd[np.newaxis])[0]
    axes.plot(*result, marker="+", ms=15, mew=2.2, color=_RESULT, ls="none", label="of all images")
    _title(axes, f"Direction of {len(found)} images", f"{int(agree.sum())} within 3 degrees; size: confidence")
    _frame(axes, np.concatenate([points, result[np.newaxis]]))


def _draw_log_rgb(axes: Axes, linear: NDArray[np.uint16], estimate: Estimate) -> None:
    """Show the pixels in log space from the side from which the direction and grey differ, and the direction."""
    logs = _some(log_rgb(linear.reshape(-1, 3)), 8_000)
    colours = _some(_srgb(linear).reshape(-1, 3), 8_000) / 255
    axes.scatter(logs[:, 2], logs[:, 0], s=3, c=colours, alpha=0.6, **_DOTS)
    red, _, blue = estimate.mean.tolist()
    middle = np.median(logs, axis=0)
    for slope, colour, label in ((1.0, _GUIDE, "grey"), (red / blue, _RESULT, "direction")):
        axes.axline((float(middle[2]), float(middle[0])), slope=slope, color=colour, lw=1.5, label=label)
    low, high = np.percentile(logs, 0.5), np.percentile(logs, 99.8)
    axes.set(xlim=(low, high + 0.2), ylim=(low, high + 0.2), xlabel="ln blue", ylabel="ln red", aspect="equal")
    axes.legend(frameon=False, loc="upper left")
    _title(axes, "Pixels in log-RGB", "from sun to shadow a colour moves along the black line")


def _frame(axes: Axes, points: NDArray[np.float64]) -> None:
    """Centre a plane of directions on grey, with rings every 5 degrees, so that figures can be compared."""
    reach = max(_LEAST_REACH, float(np.percentile(np.linalg.norm(points, axis=1), 98)) * 1.15)
    turn = np.linspace(0, 2 * np.pi, 181)
    for radius in np.arange(5, reach, 5):
        axes.plot(radius * np.cos(turn), radius * np.sin(turn), color=_GUIDE, lw=0.6, zorder=0.5)
    axes.plot(0, 0, marker="o", ms=5, mfc="white", mec=_GUIDE, ls="none", label="grey")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set(xlabel="greener  \N{LEFTWARDS ARROW}  \N{RIGHTWARDS ARROW}  redder")
    axes.set(ylabel="bluer  \N{LEFTWARDS ARROW}  \N{RIGHTWARDS ARROW}  yellower")
    axes.grid(False)
    # beside the plane: in it, it would hide the directions that speak against the estimate
    legend = axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(1.0, 0.0), borderaxespad=0.0)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1.0)
            if hasattr(handle, "set_sizes"):
                handle.set_sizes([25.0])
            elif hasattr(handle, "set_markersize"):
                handle.set_markersize(7)


def _degrees(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Map (N, 3) vectors to degrees from grey: (N, 2), redder than green to the right, yellower than blue upwards."""
    units = np.asarray(vectors, np.float64)
    units = units / np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-12)
    side = units @ _AXES.T
    length = np.linalg.norm(side, axis=1, keepdims=True)
    away = np.degrees(np.arctan2(length[:, 0], units.sum(axis=1) / np.sqrt(3)))[:, np.newaxis]
    return np.asarray(side / np.maximum(length, 1e-12) * away, dtype=np.float64)


def _srgb(linear: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Brighten an image so that its 99th percentile is white, and encode it as sRGB."""
    top = max(1.0, float(np.percentile(linear, 99)))
    return np.asarray(linear_to_srgb(np.clip(linear * (65535 / top), 0, 65535).astype(np.float32)), dtype=np.uint8)


def _some(rows: NDArray[Any], most: int = _MOST_LINES) -> NDArray[Any]:
    return rows[:: max(1, -(-len(rows) // most))]


def _title(axes: Axes, title: str, note: str) -> None:
    axes.set_title(title, pad=20)
    axes.annotate(
        note, (0, 1), xytext=(0, 6), xycoords="axes fraction", textcoords="offset points", color="#555555", fontsize=8.5
    )


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
