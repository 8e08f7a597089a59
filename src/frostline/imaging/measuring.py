"""What the projection bought: the contrast of shadows before and after, and how much texture is left.

Beside a shadow's edge lie lit and shadowed pixels of the same surface. The image is cut into tiles; a tile that holds
enough of both gives one difference of mean log-RGB, before and after. The median over tiles is the
shadow's: where the material changes too, a tile differs in a way of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.errors import InputError
from frostline.imaging import manifest
from frostline.imaging.batch import reason
from frostline.imaging.chroma import LOG_SPAN, log_rgb
from frostline.imaging.folders import files_below
from frostline.imaging.io import IMAGE_SUFFIXES, linearise, read_grey, read_rgb
from frostline.imaging.parallel import each
from frostline.imaging.srgb import FULL_SCALE

TILE_PX = 24
_LEAST_PIXELS = 12
_LIT, _SHADOW = 5, 250  # mask codes: 2 % of the sun is missing, or all but 2 %
_DARKEST = 128  # source code values: below, a sensor's noise decides where the log lies
_ONE_SURFACE = 0.35  # natural-log units: a side that varies more than that holds more than one surface
_LEAST_DROP = 0.15  # natural-log units: a shadow takes at least that from every channel, a change of material need not

Logs = NDArray[np.float32]


@dataclass(frozen=True)
class Contrast:
    """What was measured, of one image or over several.

    Attributes:
        places: tiles with lit and shadowed pixels of one surface.
        before: contrast of the shadow in the source, natural-log units: the length of the median log-RGB difference.
        after: the same in the log-chromaticity image.
        texture: rms deviation from the tile's mean within its lit pixels, after over before (noise counts as texture).
    """

    places: int
    before: float
    after: float
    texture: float

    @property
    def fall_db(self) -> float:
        """How far the contrast fell: 20 log10(before / after)."""
        return float(20 * np.log10(self.before / max(self.after, 1e-6)))


@dataclass(frozen=True)
class Places:
    """Differences of means, lit less shadowed, one row a place.

    Attributes:
        before: (N, 3) in log-RGB of the source.
        after: (N, 3) in log values of the result.
        texture: (N,) rms deviation of the lit side, after over before.
    """

    before: Logs
    after: Logs
    texture: Logs

    def contrast(self) -> Contrast:
        """Return the length of the median difference, before and after."""
        first, last = (float(np.linalg.norm(np.median(steps, axis=0))) for steps in (self.before, self.after))
        return Contrast(len(self.texture), first, last, float(np.median(self.texture)))


@dataclass(frozen=True)
class MeasureSummary:
    """Contrast of every image that has shadow edges.

    Attributes:
        overall: the median over all places of all images; an image with few places does not weigh as much as one with
            many.
        images: by the image's path in the converted folder.
        without: images with no place where a lit and a shadowed surface meet.
        failed: images that could not be measured, with reasons.
    """

    overall: Contrast
    images: dict[str, Contrast]
    without: list[str]
    failed: list[tuple[str, str]]


def find_places(before: Logs, after: Logs, usable: NDArray[np.bool_], mask: NDArray[np.uint8]) -> Places | None:
    """Find the places of one image.


    Args:
        before: (H, W, 3) log-RGB of the source.
        after: (H, W, 3) log values of the log-chromaticity image.
        usable: (H, W), False where a channel is 0 or clipped, before or after.
        mask: (H, W), 0 in full sun to 255 in full shadow.

    Returns:
        The places; None if there is none.
    """
    lit, shadow = usable & (mask <= _LIT), usable & (mask >= _SHADOW)
    steps_before, steps_after, textures = [], [], []
    height, width = mask.shape
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            tile = (slice(top, top + TILE_PX), slice(left, left + TILE_PX))
            sun, shade = lit[tile], shadow[tile]
            if min(sun.sum(), shade.sum()) < _LEAST_PIXELS:
                continue
            bright = before[tile][sun]
            step = bright.mean(axis=0) - before[tile][shade].mean(axis=0)
            spread = max(bright.std(axis=0).max(), before[tile][shade].std(axis=0).max())
            if step.min() < _LEAST_DROP or spread > _ONE_SURFACE:
                continue
            steps_before.append(step)
            plain = after[tile][sun]
            steps_after.append(plain.mean(axis=0) - after[tile][shade].mean(axis=0))
            textures.append(plain.std(axis=0).mean() / max(float(bright.std(axis=0).mean()), 1e-6))
    if not steps_before:
        return None
    return Places(*(np.asarray(rows, dtype=np.float32) for rows in (steps_before, steps_after, textures)))


def measure_folder(
    src: Path,
    dst: Path,
    masks: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MeasureSummary:
    """Measure every image of a conversion against its source.

    Args:
        src: the folder that was converted.
        dst: what `convert_folder` made of it.
        masks: shadow masks, 0 lit to 255 in shadow, of the images' size; found by path, else by name.
        workers: processes; None for one a core.
        progress: called with the images done and the images in all.

    Returns:
        Contrasts, and what could not be measured.

    Raises:
        InputError: if `dst` is no conversion, a folder is missing, or no image has a place.
    """
    record = manifest.load(dst) if dst.is_dir() else None
    if record is None:
        raise InputError(f"{dst}: has no {manifest.NAME}; give the folder that frostline chroma convert wrote")
    for folder in (src, masks):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
    found = _mask_index(masks)
    items = [(name, source.source) for name, source in sorted(record.images.items())]
    places: dict[str, Places] = {}
    without: list[str] = []
    failed: list[tuple[str, str]] = []
    measure = partial(_measure_one, src, dst, masks, found, record.parameters)
    for done, ((name, source), result) in enumerate(each(measure, items, workers), start=1):
        if isinstance(result, Exception):
            failed.append((name, reason(src / source, result)))
        elif result is None:
            without.append(name)
        else:
            places[name] = result
        if progress is not None:
            progress(done, len(items))
    if not places:
        told = f"; {failed[0][0]}: {failed[0][1]}" if failed else "; are these the right masks?"
        raise InputError(f"no image has a place where a lit and a shadowed surface meet{told}")
    pooled = (np.concatenate([getattr(p, kind) for p in places.values()]) for kind in ("before", "after", "texture"))
    images = {name: places[name].contrast() for name in sorted(places)}
    return MeasureSummary(Places(*pooled).contrast(), images, sorted(without), sorted(failed))


def summary_json(summary: MeasureSummary) -> str:
    """Give the numbers as JSON: overall, and by image."""
    overall = summary.overall
    content = {
        "overall": {**vars(overall), "fall_db": overall.fall_db},
        "images": {name: {**vars(c), "fall_db": c.fall_db} for name, c in summary.images.items()},
        "without_shadow_edges": summary.without,
        "failed": dict(summary.failed),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def decode_log(stored: NDArray[Any], encode: str, anchor: float) -> tuple[Logs, NDArray[np.bool_]]:
    """Turn a stored log-chromaticity image back into log values, and say which pixels are neither 0 nor clipped."""
    top = 255 if stored.dtype == np.uint8 else FULL_SCALE
    floor = 1 if encode == "log" else 0
    usable = np.asarray(((stored > floor) & (stored < top)).all(axis=2), dtype=np.bool_)
    if encode == "log":
        values = (stored.astype(np.float32) - 1) * np.float32(2 * LOG_SPAN / (top - 1)) + np.float32(anchor - LOG_SPAN)
    else:
        values = np.log(np.maximum(stored, 1).astype(np.float32) * np.float32(FULL_SCALE / top))
    return np.asarray(values, dtype=np.float32), usable


def _measure_one(
    src: Path, dst: Path, masks: Path, found: dict[str, list[str]], parameters: dict[str, Any], item: tuple[str, str]
) -> Places | None:
    """Measure one image; runs in a worker."""
    name, source = item
    linear = linearise(read_rgb(src / source), parameters["transfer"])
    after, usable = decode_log(read_rgb(dst / name), parameters["encode"], parameters["anchor"])
    mask = read_grey(_mask_of(masks, found, source))
    if not linear.shape[:2] == after.shape[:2] == mask.shape:
        raise InputError(f"image {linear.shape[:2]}, result {after.shape[:2]} and mask {mask.shape} differ in size")
    usable &= ((linear >= _DARKEST) & (linear < FULL_SCALE)).all(axis=2)
    return find_places(log_rgb(linear), after, usable, mask)


def _mask_index(masks: Path) -> dict[str, list[str]]:
    """List the masks by name without suffix."""
    index: dict[str, list[str]] = {}
    for path in files_below(masks):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            index.setdefault(path.stem, []).append(path.as_posix())
    return index


def _mask_of(masks: Path, found: dict[str, list[str]], source: str) -> Path:
    path = PurePosixPath(source)
    candidates: Sequence[str] = found.get(path.stem, [])
    folders = [part for part in path.parts[:-1] if part != "images"]
    same = [c for c in candidates if list(PurePosixPath(c).parts[:-1]) == folders]
    chosen = same or candidates
    if len(chosen) != 1:
        raise InputError(f"{len(chosen)} masks named {path.stem} below {masks}; expected one")
    return masks / chosen[0]
