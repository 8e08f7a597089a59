"""A RAW file, or a folder of them, to linear 16-bit TIFFs that say how they came to be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import frostline
from frostline.errors import InputError
from frostline.imaging.batch import BatchSummary, Job, run_batch
from frostline.imaging.develop import RawOptions, develop, is_raw
from frostline.imaging.folders import files_below
from frostline.imaging.io import COMPRESSIONS, Compression, write_tiff

RECORD = "raw.json"


def convert_raw(
    src: Path,
    dst: Path,
    options: RawOptions,
    compression: Compression = "none",
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BatchSummary:
    """Convert RAW files to linear 16-bit RGB TIFFs.

    Each TIFF's ImageDescription is JSON: source, options, the gains and white level that were used, clipped pixels,
    version. The folders below `src` are kept. `raw.json` in `dst` lets a second call skip what is unchanged.

    Args:
        src: a RAW file, or a folder with RAW files at any depth.
        dst: a folder; new, empty, or the result of an earlier conversion.
        options: what is done to each.
        compression: `none`, `lzw`, `deflate` or `zstd`.
        workers: processes; None for one a core. Scripts that leave it so need an `if __name__ == "__main__"` guard.
        progress: called with the files done and the files in all.

    Returns:
        Counts, and the files that failed with their reasons.

    Raises:
        InputError: if a folder or an option cannot be right; never for a single file of a folder.
    """
    if compression not in COMPRESSIONS:
        raise InputError(f"unknown compression '{compression}'; expected {', '.join(COMPRESSIONS)}")
    jobs, clashes = _jobs(src, dst)
    parameters = {"options": options.recorded(), "compression": compression}
    convert = partial(_convert, options, compression)
    summary = run_batch(dst, RECORD, parameters, jobs, convert, workers=workers, progress=progress)
    return BatchSummary(summary.done, summary.skipped, sorted(summary.failed + clashes), summary.entries)


def _jobs(src: Path, dst: Path) -> tuple[list[Job], list[tuple[str, str]]]:
    if not src.exists():
        raise InputError(f"{src}: no such file or folder")
    root = src if src.is_dir() else src.parent
    if src.is_dir() and (dst.resolve() == src.resolve() or src.resolve() in dst.resolve().parents):
        raise InputError(f"{dst}: lies in the source folder {src}; choose a folder outside it")
    found = [path for path in files_below(src) if is_raw(path)] if src.is_dir() else [Path(src.name)]
    if not found or not is_raw(found[0]):
        raise InputError(f"{src}: no RAW file; expected .raw, or a camera's such as .dng, .nef, .cr3, .arw")
    jobs: dict[str, Job] = {}
    clashes = []
    for path in sorted(found, key=lambda path: path.as_posix()):
        name = path.with_suffix(".tiff").as_posix()
        if name in jobs:
            clashes.append((path.as_posix(), f"has the same name as {jobs[name].source} but for its suffix"))
        else:
            jobs[name] = Job(root / path, dst / name, name, path.as_posix())
    return list(jobs.values()), clashes


def _convert(options: RawOptions, compression: Compression, job: Job) -> dict[str, Any]:
    """Convert one file; runs in a worker."""
    developed = develop(job.path, options)
    used = {"gains": developed.gains, "white": developed.white, "clipped_pixels": developed.clipped}
    metadata = {"source": job.source, "parameters": options.recorded(), **used, "frostline": frostline.__version__}
    write_tiff(job.output, developed.image, metadata, compression)
    return used
