"""A copy of a dataset with shadows cast on its images, and masks of them, always the same for the same names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from frostline.errors import InputError
from frostline.imaging import folders, manifest
from frostline.imaging.batch import BatchSummary, Job, run_batch, unwritable
from frostline.imaging.io import is_srgb, linearise, read_rgb, tiff_metadata, write_png8, write_tiff, write_tiff16
from frostline.imaging.shadows import Strength, cast_shadow, sample_region, shadow_ratio
from frostline.imaging.srgb import linear_to_srgb

RECORD = "shadows.json"
MASKS = "masks"


def cast_folder(
    src: Path,
    dst: Path,
    count: int = 1,
    strength: Strength = "moderate",
    seed: int = 0,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BatchSummary:
    """Cast shadows on every image of a folder or dataset.

    An image's shadows depend on the seed and on its path below `src` without its suffix, so that the linear and the
    sRGB version of a dataset get the same ones. A TIFF stays a TIFF of its own type, PNG and JPEG become 8-bit PNG.

    Args:
        src: a folder of linear (16-bit, float) or sRGB (8-bit) images, or a dataset.
        dst: where to; new, empty, or the result of an earlier call. `masks/` in it holds the shadows.
        count: shadows an image.
        strength: `light`, `moderate` or `heavy`.
        seed: 0 or more.
        workers: processes; None for one a core. Scripts that leave it so need an `if __name__ == "__main__"` guard.
        progress: called with the images done and the images in all.

    Returns:
        Counts, and the images that failed with their reasons.

    Raises:
        InputError: if a folder or a parameter cannot be right, or `src` is log-chromaticity.
    """
    if count < 1 or seed < 0:
        raise InputError(f"{count} shadows with seed {seed}; expected at least 1, and a seed of 0 or more")
    ratio = shadow_ratio(strength)
    _check_source(src, dst)
    jobs: dict[str, Job] = {}
    clashes = []
    for image in folders.find_images(src):
        # The name without suffix decides, as both kinds of output must not share a mask.
        stem = image.with_suffix("").as_posix()
        if stem in jobs:
            clashes.append((image.as_posix(), f"has the same name as {jobs[stem].source} but for its suffix"))
            continue
        name = image.with_suffix(".tiff" if image.suffix.lower() in (".tif", ".tiff") else ".png")
        jobs[stem] = Job(src / image, dst / name, name.as_posix(), image.as_posix())
    parameters = {"count": count, "strength": strength, "seed": seed, "ratio": ratio}
    work = list(jobs.values())
    cast = partial(_cast, dst, count, ratio, seed)
    summary = run_batch(dst, RECORD, parameters, work, cast, workers=workers, progress=progress)
    try:
        folders.copy_labels(src, dst, {Path(job.source): Path(job.name) for job in work})
        folders.copy_data_yaml(src, dst, {job.source: job.name for job in work})
    except OSError as error:
        raise unwritable(dst, error) from None
    return BatchSummary(summary.done, summary.skipped, sorted(summary.failed + clashes), summary.entries)


def mask_of(dst: Path, name: str) -> Path:
    """Give the place of an image's mask: without `images` in its path, so that no dataset takes it for an image."""
    parts = [part for part in PurePosixPath(name).parts if part != "images"]
    return dst.joinpath(MASKS, *parts).with_suffix(".png")


def _check_source(src: Path, dst: Path) -> None:
    if not src.is_dir():
        raise InputError(f"{src}: no such folder")
    if (src / manifest.NAME).is_file():
        raise InputError(f"{src}: is log-chromaticity, which has no illumination left; cast on the images it came from")
    source, target = src.resolve(), dst.resolve()
    if target == source or source in target.parents or target in source.parents:
        raise InputError(f"{dst}: one folder lies in the other; choose a folder outside {src}")


def _cast(dst: Path, count: int, ratio: tuple[float, float, float], seed: int, job: Job) -> dict[str, Any]:
    """Cast the shadows of one image; runs in a worker."""
    metadata = tiff_metadata(job.path) if job.output.suffix == ".tiff" else {}
    if "encode" in metadata:
        raise InputError(f"{job.path}: is log-chromaticity, which has no illumination left")
    stored = read_rgb(job.path)
    linear = linearise(stored)
    height, width = linear.shape[:2]
    digest = hashlib.sha256(Path(job.source).with_suffix("").as_posix().encode()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
    regions = [sample_region(rng, (width, height)) for _ in range(count)]
    penumbras = [float(rng.uniform(0.004, 0.02) * width) for _ in regions]
    lit = np.ones((height, width), np.float32)
    for region, penumbra in zip(regions, penumbras, strict=True):
        _, mask = cast_shadow(linear, region, ratio, penumbra)
        lit *= 1 - mask  # where shadows overlap there is no second sun to take
    shaded, mask = cast_shadow(linear, 1 - lit, ratio)
    told = {"source": job.source, "regions": [r.round(2).tolist() for r in regions], "penumbra_px": penumbras}
    if is_srgb(stored):
        encoded = linear_to_srgb(shaded)
        if job.output.suffix == ".png":
            write_png8(job.output, encoded)
        else:
            write_tiff(job.output, encoded, told)
    elif job.output.suffix == ".png":
        raise InputError(f"{job.path}: a 16-bit PNG; convert it to TIFF first")
    elif shaded.dtype == np.uint16:
        write_tiff16(job.output, shaded, {**metadata, "shadows": told})
    else:
        write_tiff(job.output, shaded, {**metadata, "shadows": told})
    write_png8(mask_of(dst, job.name), np.rint(mask * 255).astype(np.uint8))
    return {key: told[key] for key in ("regions", "penumbra_px")}
