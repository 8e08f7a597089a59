"""Activation maps side by side: a figure a layer (images against models), one an image (layers against models)."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from frostline.errors import InputError
from frostline.files import holds_files, read_json, write_json, write_text
from frostline.probing.activation import ActivationMaps
from frostline.probing.explaining import ExplainedImage, Explanation
from frostline.report.canvas import blank_figure, save_figure
from frostline.report.style import STYLE

RECORD = "explain.json"
PAGE = "index.html"
_MAP = colormaps["inferno"]
_DPI = 150
_BOXES = 20  # drawn, the surest; more hide the map
_STRENGTH = 0.75  # of the map where it is 1; where it is 0 the picture is as it was, but grey and darker
_NOTE = (
    "Each map is scaled from 0 to 1 by itself: compare where it lies between two maps, not how bright it is. "
    "Boxes: the detections that are explained."
)


@dataclass(frozen=True, eq=False)
class _Cell:
    image: ExplainedImage
    seen: ActivationMaps | None = None  # None shows the picture
    layer: int = 0


def open_folder(out: Path) -> None:
    """Make sure, before the work, that a folder can be written, and clear what an earlier explanation left there.

    Raises:
        InputError: it holds something else.
    """
    record = out / RECORD
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose a folder with --out")
    if not record.is_file():
        if holds_files(out):
            raise InputError(f"{out}: is not empty and has no {RECORD}; choose another folder with --out")
        return
    try:
        files = [str(name) for name in read_json(record)["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{record}: not a record of explanations; remove it or choose another folder") from None
    for name in files:
        if Path(name).parts[0] in {"layers", "images", PAGE} and ".." not in Path(name).parts:
            (out / name).unlink(missing_ok=True)


def draw_explanation(found: Explanation, out: Path, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Draw all figures, the page that shows them, and the record of what was explained.

    Args:
        found: from `probing.explaining.explain`, with at least one image.
        out: the folder; see `open_folder`.
        progress: called with (figures drawn, in all).

    Returns:
        The files, the page first.

    Raises:
        InputError: it cannot be written.
    """
    names = [subject.name for subject in found.subjects]
    method = found.settings["method"]
    total = len(found.layers) + len(found.images)
    figures: list[tuple[str, str]] = []

    def draw(rows: list[tuple[str, list[_Cell]]], titles: list[str], file: str, title: str) -> None:
        _draw(rows, titles, title, out / file)
        figures.append((file, title))
        if progress is not None:
            progress(len(figures), total)

    try:
        for layer in found.layers:
            rows = [
                (_short(image.source.name), [_Cell(image), *(_Cell(image, image.seen[n], layer) for n in names)])
                for image in found.images
            ]
            draw(rows, ["image", *names], f"layers/layer-{layer:02d}.png", f"Layer {layer}, {method}")
        for image in found.images:
            rows = [(f"layer {layer}", [_Cell(image, image.seen[n], layer) for n in names]) for layer in found.layers]
            draw(rows, names, f"images/{image.source.name}.png", f"{image.source.name}, {method}")
        write_text(out / PAGE, _page(figures))
        files = [PAGE, *(file for file, _ in figures)]
        write_json(out / RECORD, _record(found, files))
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error}); choose another --out") from error
    return [out / file for file in files]


def _draw(rows: Sequence[tuple[str, Sequence[_Cell]]], titles: Sequence[str], title: str, out: Path) -> None:
    shapes = [cells[0].image.picture.shape for _, cells in rows]
    width = min(4.2, 16 / len(titles))  # inches a column
    heights = [max(0.5, width * shape[0] / shape[1]) for shape in shapes]
    with matplotlib.rc_context(STYLE):
        figure = blank_figure(
            width * len(titles) + 0.9, sum(heights) + 0.2 * len(rows) + 0.8, dpi=_DPI, pad=0.03, space=0.01
        )
        grid = figure.subplots(len(rows), len(titles), squeeze=False, height_ratios=heights)
        for number, (axes_row, (label, cells)) in enumerate(zip(grid, rows, strict=True)):
            for axes, cell in zip(axes_row, cells, strict=True):
                _cell(axes, cell, width)
            axes_row[0].set_ylabel(label, fontsize=8)
            if number == 0:
                for axes, name in zip(axes_row, titles, strict=True):
                    axes.set_title(_short(name, round(width * 9)), fontsize=9)
        bar = figure.colorbar(
            ScalarMappable(cmap=_MAP), ax=grid, fraction=0.02, pad=0.01, aspect=25, shrink=min(1.0, 3 / sum(heights))
        )
        bar.set_ticks([0, 1])
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.supxlabel(_wrapped(_NOTE, width * len(titles)), x=0.01, ha="left", fontsize=7.5, color="#555555")
    save_figure(figure, out)


def _cell(axes: Axes, cell: _Cell, inches: float) -> None:
    picture = _shrunk(cell.image.picture, round(inches * _DPI))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if cell.seen is None:
        axes.imshow(picture)
        return
    seen = cell.seen
    axes.imshow(blend(picture, seen.maps[cell.layer]))
    scale = picture.shape[1] / cell.image.size[0]
    for left, top, right, bottom in seen.boxes[:_BOXES] * scale:
        axes.add_patch(
            Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="#6FE3FF", linewidth=0.7)
        )
    axes.set_xlabel(_told(seen, cell.layer), fontsize=6.5, color="#555555", labelpad=2)


def _shrunk(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Resize to what is seen of it: Matplotlib is slow at that."""
    if width >= picture.shape[1]:
        return picture
    size = width, max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _told(seen: ActivationMaps, layer: int) -> str:
    if not len(seen.scores):
        told = "no detection at all"
    elif seen.confident:
        told = f"{len(seen.scores)} detection{'s' if len(seen.scores) > 1 else ''}, surest {seen.scores[0]:.2f}"
        told += f"; boxes of {_BOXES}" if len(seen.scores) > _BOXES else ""
    else:
        told = f"none is sure enough; the surest, {seen.scores[0]:.2f}, is explained"
    return told if seen.maps[layer].max() > 0 else f"{told}; nothing here speaks for them"


def blend(picture: NDArray[np.uint8], activation: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a map over a picture: the hotter, the less of the picture is seen; elsewhere it is grey and darkened.

    Args:
        picture: (H, W, 3) uint8.
        activation: (h, w) in [0, 1]; resized to the picture.
    """
    height, width = picture.shape[:2]
    heat = np.clip(cv2.resize(activation, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    grey = np.repeat(picture.mean(axis=2, keepdims=True) / 255 * 0.75, 3, axis=2)
    share = (_STRENGTH * np.sqrt(heat))[..., None]
    mixed = grey * (1 - share) + np.asarray(_MAP(heat))[..., :3] * share
    return np.asarray(np.rint(mixed * 255), dtype=np.uint8)


def _short(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else f"…{name[-(longest - 1) :]}"


def _wrapped(text: str, inches: float) -> str:
    import textwrap

    return textwrap.fill(text, max(40, round(inches * 17)))


def _page(figures: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f'<h2>{html.escape(title)}</h2>\n<img src="{html.escape(file)}" alt="{html.escape(title)}" loading="lazy">\n'
        for file, title in figures
    )
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>What the network looks at</title>\n'
        "<style>body{font:16px sans-serif;max-width:1500px;margin:2em auto;padding:0 1em;color:#222}"
        "img{max-width:100%}h2{font-size:1.05em;margin-top:2em}</style>\n"
        f"<h1>What the network looks at</h1>\n<p>{html.escape(_NOTE)}</p>\n{items}</html>\n"
    )


def _record(found: Explanation, files: Sequence[str]) -> dict[str, Any]:
    return {
        "version": 1,
        "models": {subject.name: str(subject.weights) for subject in found.subjects},
        "layers": list(found.layers),
        "settings": found.settings,
        "images": [
            {
                "file": str(image.source.path),
                "explained": {
                    name: [
                        {
                            "class": found.names[name].get(int(index), str(index)),
                            "score": round(float(score), 6),
                            "box": [round(float(side), 3) for side in box],
                        }
                        for index, score, box in zip(seen.classes, seen.scores, seen.boxes, strict=True)
                    ]
                    for name, seen in image.seen.items()
                },
            }
            for image in found.images
        ],
        "failed": [{"file": str(path), "reason": why} for path, why in found.failed],
        "files": list(files),
    }
