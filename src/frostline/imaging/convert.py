"""A folder of images, or a whole dataset, to log-chromaticity: parallel, resumable, and no file ends the batch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from frostline.errors import InputError
from frostline.imaging import folders, manifest
from frostline.imaging.chroma import ANCHOR, LOG_SPAN, Encoding, chroma_image
from frostline.imaging.io import Transfer, is_srgb, linearise, read_rgb, write_png8, write_tiff16
from frostline.imaging.isd import IsdTable, isd_table
from frostline.imaging.manifest import Manifest, Source
from frostline.imaging.parallel import each, worker_count

log = logging.getLogger(__name__)

_SAVE_EVERY_SECONDS = 5.0


@dataclass(frozen=True)
class Failure:
    """An image that could not be converted, and why."""

    image: str
    reason: str


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
    """

    converted: int = 0
    skipped: int = 0
    failed: list[Failure] = field(default_factory=list)
    linearised: int = 0
    labels: int = 0
    removed: int = 0


@dataclass(frozen=True)
class _Task:
    """One image to convert; what a worker process is handed."""

    name: str
    path: Path
    output: Path
    source: Source


def convert_folder(
    src: Path,
    dst: Path,
    isd: ArrayLike | IsdTable,
    anchor: float = ANCHOR,
    encode: Encoding = "linear",
    *,
    bits: int = 16,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    transfer: Transfer = "auto",
) -> ConversionSummary:
    """Convert a folder of images, or a dataset folder, to log-chromaticity.

    The folders below `src` are kept, and the files' names but for the suffix: 16 bits become `.tiff`, 8 bits `.png`.
    Of a dataset the labels are copied and data.yaml is written anew, without absolute paths. `chroma.json` in `dst`
    records the parameters and, for every image, its source and the ISD used; a second call skips what is unchanged.

    Args:
        src: a folder with TIFF, PNG or JPEG images.
        dst: where to; new, empty, or the result of an earlier conversion.
        isd: (3,) illuminant spectral direction, or a table with one for each image.
        anchor: the projection plane's point on the grey diagonal, in natural-log units.
        encode: `linear` for the exponentiated form, `log` for log values spread over all codes.
        bits: 16 or 8.
        workers: processes; None for one a core. Scripts that leave it so need an `if __name__ == "__main__"` guard.
        progress: called with the images done and the images in all.
        transfer: whether values are sRGB or linear; `auto` takes 8 bits as sRGB and 16 bits as linear.

    Returns:
        Counts, and the images that failed with their reasons.

    Raises:
        InputError: if a folder or a parameter cannot be right; never for a single image.
    """
    table = isd_table(isd)
    parameters = _parameters(table, anchor, encode, bits, transfer)
    worker_count(workers, 1)
    _check_folders(src, dst)
    tasks, failed = _plan(src, dst, folders.find_images(src), table, ".png" if bits == 8 else ".tiff")
    others = sum(task.path.stem not in table.images for task in tasks) if table.images else 0
    if others:
        log.warning("%d of %d images have no direction of their own and take the mean", others, len(tasks))
    before = (manifest.load(dst) if dst.is_dir() else None) or Manifest(parameters)
    record = Manifest(parameters, _unchanged(before, parameters, tasks))
    removed = _remove(dst, before.images.keys() - {task.name for task in tasks})
    waiting = [task for task in tasks if task.name not in record.images]
    skipped = len(tasks) - len(waiting)
    labels = _copy_dataset(src, dst, tasks, record)

    def report(done: int) -> None:
        if progress is not None:
            progress(skipped + done, len(tasks))

    failed += _run(dst, waiting, record, convert=partial(_convert, parameters), workers=workers, progress=report)
    converted = [task.name for task in waiting if task.name in record.images]
    removed += _remove(dst, {task.name for task in waiting}.difference(converted))
    linearised = sum(record.images[name].linearised for name in converted)
    if linearised:
        log.info("%d of %d images were sRGB and were linearised first", linearised, len(converted))
    failed.sort(key=lambda failure: failure.image)  # workers finish in any order
    return ConversionSummary(len(converted), skipped, failed, linearised, labels, removed)


def _parameters(table: IsdTable, anchor: float, encode: Encoding, bits: int, transfer: Transfer) -> dict[str, Any]:
    """Check what all images share, on a single pixel, and give it the form that the manifest keeps."""
    pixel = linearise(np.ones((1, 1, 3), np.uint16), transfer)
    chroma_image(pixel, table.mean, anchor, encode, bits)
    if encode == "linear" and bits == 8:
        log.warning("8 bits of the linear form lose dark detail; --encode log keeps it, or 16 bits")
    shared = {"anchor": float(anchor), "encode": encode, "bits": bits, "isd": list(table.mean), "transfer": transfer}
    return {**shared, "log_range": [anchor - LOG_SPAN, anchor + LOG_SPAN]} if encode == "log" else shared


def _check_folders(src: Path, dst: Path) -> None:
    if not src.is_dir():
        raise InputError(
            f"{src}: no such folder" if not src.exists() else f"{src}: is a file; expected a folder of images"
        )
    source, target = src.resolve(), dst.resolve()
    if target == source or source in target.parents:
        raise InputError(f"{dst}: lies in the source folder {src}; choose a folder outside it")
    if target in source.parents:
        raise InputError(f"{dst}: holds the source folder {src}; choose a folder of its own")
    if dst.exists() and not dst.is_dir():
        raise InputError(f"{dst}: is a file; expected a folder")
    if dst.is_dir() and any(dst.iterdir()) and manifest.load(dst) is None:
        raise InputError(f"{dst}: is not empty and has no {manifest.NAME}; choose a new folder")


def _plan(src: Path, dst: Path, images: list[Path], table: IsdTable, suffix: str) -> tuple[list[_Task], list[Failure]]:
    """Say what becomes of every image; of two that would be written to one place, the second fails."""
    tasks: dict[str, _Task] = {}
    failed = []
    for image in images:
        output = image.with_suffix(suffix)
        name = output.as_posix()
        if name in tasks:
            failed.append(
                Failure(image.as_posix(), f"has the same name as {tasks[name].source.source} but for its suffix")
            )
            continue
        try:
            state = (src / image).stat()
        except OSError as error:
            failed.append(Failure(image.as_posix(), f"cannot be read ({error.strerror})"))
            continue
        source = Source(image.as_posix(), state.st_size, state.st_mtime_ns, table.of(image))
        tasks[name] = _Task(name, src / image, dst / output, source)
    return list(tasks.values()), failed


def _unchanged(before: Manifest, parameters: dict[str, Any], tasks: list[_Task]) -> dict[str, Source]:
    """List the images that are there already, from the same source with the same parameters."""
    if before.parameters != parameters:
        return {}
    known = {task.name: before.images[task.name] for task in tasks if task.name in before.images}
    return {
        task.name: known[task.name]
        for task in tasks
        if task.name in known and task.source.same_input(known[task.name]) and task.output.is_file()
    }


def _remove(dst: Path, names: Set[str]) -> int:
    """Take away images that we wrote and that no longer belong, so that nothing trains on them."""
    removed = 0
    for name in names:
        if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
            continue
        if (dst / name).is_file():
            (dst / name).unlink()
            removed += 1
    return removed


def _copy_dataset(src: Path, dst: Path, tasks: list[_Task], record: Manifest) -> int:
    """Write what is not an image; the manifest first, so that a killed run is known as ours when it is resumed."""
    try:
        record.save(dst)
        labels = folders.copy_labels(src, dst, [Path(task.source.source) for task in tasks])
        folders.copy_data_yaml(src, dst, {task.source.source: task.name for task in tasks})
    except OSError as error:
        raise InputError(f"{dst}: cannot be written ({error.strerror})") from None
    return labels


def _run(
    dst: Path,
    waiting: list[_Task],
    record: Manifest,
    *,
    convert: Callable[[_Task], Source],
    workers: int | None,
    progress: Callable[[int], None],
) -> list[Failure]:
    failed: list[Failure] = []
    saved = time.monotonic()
    progress(0)
    try:
        for done, (task, result) in enumerate(each(convert, waiting, workers), start=1):
            if isinstance(result, Exception):
                failed.append(Failure(task.source.source, _reason(task, result)))
            else:
                record.images[task.name] = result
            if time.monotonic() - saved > _SAVE_EVERY_SECONDS:
                record.save(dst)
                saved = time.monotonic()
            progress(done)
    finally:
        record.save(dst)
    return failed


def _convert(parameters: dict[str, Any], task: _Task) -> Source:
    """Convert one image; runs in a worker."""
    stored = read_rgb(task.path)
    linearised = is_srgb(stored, parameters["transfer"])
    linear = linearise(stored, parameters["transfer"])
    image = chroma_image(linear, task.source.isd, parameters["anchor"], parameters["encode"], parameters["bits"])
    if parameters["bits"] == 8:
        write_png8(task.output, image)
    else:
        form = {key: parameters[key] for key in ("anchor", "encode")}
        write_tiff16(task.output, image, {"source": task.source.source, "isd": task.source.isd, **form})
    return Source(**{**vars(task.source), "linearised": linearised})


def _reason(task: _Task, error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error).removeprefix(f"{task.path}: ")
    if isinstance(error, OSError):
        return f"cannot be read or written ({error.strerror})"
    return " ".join(str(error).split()) or type(error).__name__
