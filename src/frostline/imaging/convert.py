"""A folder of images, or a whole dataset, to log-chromaticity: parallel, resumable, and no file ends the batch."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from frostline.errors import InputError
from frostline.imaging import folders, manifest
from frostline.imaging.batch import reason, stop_if_unwritable, unwritable
from frostline.imaging.chroma import ANCHOR, LOG_SPAN, Encoding, chroma_and_saturated, chroma_image
from frostline.imaging.io import Transfer, is_srgb, linearise, read_rgb, write_png8, write_tiff16
from frostline.imaging.isd import IsdTable, isd_table, unit_isd
from frostline.imaging.isdmaps import IsdMaps, read_isd_map
from frostline.imaging.manifest import Manifest, Source
from frostline.imaging.parallel import each, worker_count
from frostline.imaging.plan import Failure, Task, check_folders, plan, remove, tasks_from, unchanged
from frostline.imaging.srgb import FULL_SCALE

log = logging.getLogger(__name__)

_SAVE_EVERY_SECONDS = 5.0
_PRELOAD = "frostline.imaging.preload"


@dataclass(frozen=True)
class ConversionSummary:
    """What a conversion did.

    Attributes:
        converted: images written now.
        skipped: images that were there already, from the same source with the same parameters.
        failed: images that could not be converted.
        linearised: images, of those written now, whose values were sRGB and were linearised.
        labels: label files copied.
        removed: images of an earlier conversion that were taken away, as their source is gone or failed.
        saturated: images, of those written now, with pixels at full scale, whose chromaticity is not known.
    """

    converted: int = 0
    skipped: int = 0
    failed: list[Failure] = field(default_factory=list)
    linearised: int = 0
    labels: int = 0
    removed: int = 0
    saturated: int = 0


def convert_folder(
    src: Path,
    dst: Path,
    isd: ArrayLike | IsdTable | IsdMaps,
    anchor: float = ANCHOR,
    encode: Encoding = "linear",
    *,
    bits: int = 16,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    transfer: Transfer = "auto",
    mask_saturated: bool = False,
    suffix: str = "",
    previews: bool = False,
    start: str | None = None,
) -> ConversionSummary:
    """Convert a folder of images, or a dataset folder, to log-chromaticity.

    The folders below `src` are kept, and the files' names but for the suffix: 16 bits become `.tiff`, 8 bits `.png`.
    Of a dataset the labels are copied and data.yaml is written anew, without absolute paths. `chroma.json` in `dst`
    records the parameters and, for every image, its source and the ISD used; a second call skips what is unchanged.

    Args:
        src: a folder with TIFF, PNG or JPEG images.
        dst: where to; new, empty, or the result of an earlier conversion.
        isd: (3,) illuminant spectral direction, a table with one for each image, or maps with one for each pixel. An
            image whose map is missing, of another size or holds something else than directions fails.
        anchor: the projection plane's point on the grey diagonal, in natural-log units.
        encode: `linear` for the exponentiated form, `log` for log values spread over all codes.
        bits: 16 or 8.
        workers: processes; None for one a core. Scripts that leave it so need an `if __name__ == "__main__"` guard.
        progress: called with the images done and the images in all.
        transfer: whether values are sRGB or linear; `auto` takes 8 bits as sRGB and 16 bits as linear.
        mask_saturated: whether pixels with a channel at full scale become 0.
        suffix: goes between a name and its ending; labels get it too, so that they keep matching.
        previews: whether to write an 8-bit PNG of each image's log form below `previews/`.
        start: the image to begin with, by path, name, or name without suffix; those before it are left as they are.

    Returns:
        Counts, and the images that failed with their reasons.

    Raises:
        InputError: if a folder or a parameter cannot be right; never for a single image.
    """
    isd = isd if isinstance(isd, IsdMaps) else isd_table(isd)
    parameters = _parameters(src, isd, anchor, encode, bits, transfer, mask_saturated)
    if Path(suffix).name != suffix and suffix:
        raise InputError(f"--suffix {suffix}: expected a part of a file name, such as _chroma")
    worker_count(workers, 1)
    check_folders(src, dst)
    ending = suffix + (".png" if bits == 8 else ".tiff")
    images = folders.find_images(src)
    images = isd.without_maps(images) if isinstance(isd, IsdMaps) else images
    tasks, failed = plan(src, dst, images, isd, ending, previews)
    if isinstance(isd, IsdTable) and isd.images:
        others = sum(task.path.stem not in isd.images for task in tasks)
        if others:
            log.warning("%d of %d images have no direction of their own and take the mean", others, len(tasks))
    before = (manifest.load(dst) if dst.is_dir() else None) or Manifest(parameters)
    # The paths as given: a link to the images is their place, wherever it leads.
    record = Manifest(parameters, unchanged(before, parameters, tasks), _seen_from(dst, src))
    chosen = tasks if start is None else tasks_from(tasks, start, before, parameters)
    removed = remove(dst, before.images.keys() - {task.name for task in tasks})
    waiting = [task for task in chosen if task.name not in record.images]
    skipped = len(chosen) - len(waiting)
    labels = _copy_dataset(src, dst, tasks, record, _pixels(parameters))

    def report(done: int) -> None:
        if progress is not None:
            progress(skipped + done, len(chosen))

    failed += _run(dst, waiting, record, convert=partial(_convert, parameters), workers=workers, progress=report)
    converted = [task.name for task in waiting if task.name in record.images]
    removed += remove(dst, {task.name for task in waiting}.difference(converted))
    linearised = sum(record.images[name].linearised for name in converted)
    if linearised:
        log.info("%d of %d images were sRGB and were linearised first", linearised, len(converted))
    saturated = sum(record.images[name].saturated > 0 for name in converted)
    failed.sort(key=lambda failure: failure.image)  # workers finish in any order
    return ConversionSummary(len(converted), skipped, failed, linearised, labels, removed, saturated)


def _parameters(
    src: Path,
    isd: IsdTable | IsdMaps,
    anchor: float,
    encode: Encoding,
    bits: int,
    transfer: Transfer,
    mask_saturated: bool,
) -> dict[str, Any]:
    """Check what all images share, on a single pixel, and give it the form that the manifest keeps."""
    pixel = linearise(np.ones((1, 1, 3), np.uint16), transfer)
    chroma_image(pixel, isd.mean if isinstance(isd, IsdTable) else (1, 1, 1), anchor, encode, bits)
    if encode == "linear" and bits == 8:
        log.warning("8 bits of the linear form lose dark detail; --encode log keeps it, or 16 bits")
    shared = {"anchor": float(anchor), "encode": encode, "bits": bits, **_told(src, isd), "transfer": transfer}
    if mask_saturated:
        shared["mask_saturated"] = True
    return {**shared, "log_range": [anchor - LOG_SPAN, anchor + LOG_SPAN]} if encode == "log" else shared


def _pixels(parameters: dict[str, Any]) -> dict[str, Any]:
    """Say what the values of the converted images are, in the words of data.yaml; 8-bit ones need no words."""
    if parameters["bits"] == 8:
        return {}
    stored = {"range": [0, FULL_SCALE], "encoding": parameters["encode"]}
    return {**stored, "log_range": parameters["log_range"]} if parameters["encode"] == "log" else stored


def _told(src: Path, isd: IsdTable | IsdMaps) -> dict[str, Any]:
    """Say where directions come from, without a path of this machine: a folder of maps as seen from the images."""
    if isinstance(isd, IsdTable):
        return {"isd": list(isd.mean)}
    folder = _seen_from(src.resolve(), (isd.folder or isd.root).resolve())
    return {"isd_maps": {"folder": folder, "suffix": isd.suffix}}


def _seen_from(place: Path, folder: Path) -> str | None:
    """Give a folder's path relative to another, with forward slashes; None on another drive, where there is none."""
    try:
        return Path(os.path.relpath(folder.absolute(), place.absolute())).as_posix()
    except ValueError:
        return None


def _copy_dataset(src: Path, dst: Path, tasks: list[Task], record: Manifest, pixels: dict[str, Any]) -> int:
    """Write what is not an image; the manifest first, so that a killed run is known as ours when it is resumed."""
    try:
        record.save(dst)
        labels = folders.copy_labels(src, dst, {Path(task.source.source): Path(task.name) for task in tasks})
        folders.copy_data_yaml(src, dst, {task.source.source: task.name for task in tasks}, pixels)
    except OSError as error:
        raise unwritable(dst, error) from None
    folders.remove_leftovers(task.output.parent for task in tasks)
    return labels


def _run(
    dst: Path,
    waiting: list[Task],
    record: Manifest,
    *,
    convert: Callable[[Task], Source],
    workers: int | None,
    progress: Callable[[int], None],
) -> list[Failure]:
    failed: list[Failure] = []
    saved = time.monotonic()
    progress(0)
    try:
        for done, (task, result) in enumerate(each(convert, waiting, workers, _PRELOAD), start=1):
            if isinstance(result, Exception):
                stop_if_unwritable(dst, result)
                failed.append(Failure(task.source.source, reason(task.path, result)))
            else:
                record.images[task.name] = result
            if time.monotonic() - saved > _SAVE_EVERY_SECONDS:
                _save(record, dst)
                saved = time.monotonic()
            progress(done)
    finally:
        _save(record, dst)
    return failed


def _save(record: Manifest, dst: Path) -> None:
    try:
        record.save(dst)
    except OSError as error:
        raise unwritable(dst, error) from None


def _convert(parameters: dict[str, Any], task: Task) -> Source:
    """Convert one image; runs in a worker."""
    stored = read_rgb(task.path)
    linearised = is_srgb(stored, parameters["transfer"])
    linear = linearise(stored, parameters["transfer"])
    isd, mean = _direction(task, linear.shape[:2])
    anchor, encode, bits = (parameters[key] for key in ("anchor", "encode", "bits"))
    mask = parameters.get("mask_saturated", False)
    image, saturated = chroma_and_saturated(linear, isd, anchor, encode, bits, mask)
    if task.preview is not None:
        write_png8(task.preview, chroma_image(linear, isd, anchor, "log", 8, mask))
    if bits == 8:
        write_png8(task.output, image)
    else:
        told = {"source": task.source.source, "isd": mean, "anchor": anchor, "encode": encode}
        if task.source.isd_map is not None:
            told["isd_map"] = task.source.isd_map["file"]
        write_tiff16(task.output, image, told)
    return replace(task.source, isd=mean, linearised=linearised, saturated=saturated)


def _direction(task: Task, size: tuple[int, ...]) -> tuple[ArrayLike, tuple[float, float, float] | None]:
    """Give the direction or the map of an image, and one direction to record."""
    if task.isd_map is None:
        assert task.source.isd is not None
        return task.source.isd, task.source.isd
    height, width = size
    directions = read_isd_map(task.isd_map, (height, width))
    red, green, blue = unit_isd(directions.reshape(-1, 3).mean(axis=0, dtype=np.float64)).tolist()
    return directions, (red, green, blue)
