"""One direction for a set of images: an estimate of each, combined robustly, and the file that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from frostline.errors import InputError
from frostline.files import write_text
from frostline.imaging import folders
from frostline.imaging.estimate.result import Estimate, Estimator, Vectors, angles
from frostline.imaging.estimate.robust import AGREE_DEGREES, robust_direction
from frostline.imaging.io import Transfer, read_linear
from frostline.imaging.isdmaps import IsdMaps
from frostline.imaging.parallel import each, worker_count

TRUSTED = 0.2
"""An image's own direction is written only from this confidence on; the others take the direction of all."""


@dataclass(frozen=True)
class DatasetEstimate:
    """The direction of a set of images.

    Attributes:
        isd: (3,) unit vector: the weighted median of the images' directions, outliers rejected.
        confidence: in [0, 1]: the share of the images' summed confidence that lies with images within 3 degrees of the
            direction, times the mean confidence of these, weighted by itself.
        method: the estimator's name.
        images: each image's estimate by its path relative to the folder, without evidence and with the mean of a map.
        failed: images that could not be read or estimated, with the reason.
    """

    isd: Vectors
    confidence: float
    method: str
    images: dict[str, Estimate]
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def trusted(self) -> dict[str, Estimate]:
        """The images whose confidence is at least `TRUSTED`."""
        return {name: estimate for name, estimate in self.images.items() if estimate.confidence >= TRUSTED}

    @property
    def agreeing(self) -> dict[str, Estimate]:
        """The images whose own direction lies within `AGREE_DEGREES` of it."""
        return {n: e for n, e in self.images.items() if float(angles(e.mean, self.isd)) < AGREE_DEGREES}

    @property
    def example(self) -> str:
        """The image that speaks for the direction most clearly: of those that agree, the one of highest confidence."""
        return max(self.agreeing or self.images, key=lambda name: self.images[name].confidence)


def estimate_folder(
    src: Path,
    estimator: Estimator,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    transfer: Transfer = "auto",
) -> DatasetEstimate:
    """Estimate the illuminant spectral direction of every image of a folder or dataset, and of all together.

    Args:
        src: a folder of images, a dataset folder, or one image.
        estimator: `Edges()`, `Entropy()`, `Pairs(...)`, `Fixed(...)` or `Maps(...)`.
        workers: processes; None for one a core. Scripts that leave it so need an `if __name__ == "__main__"` guard.
        progress: called with the images done and the images in all.
        transfer: whether values are sRGB or linear; `auto` takes 8 bits as sRGB and 16 bits as linear.

    Raises:
        InputError: if the folder holds no images, or no image could be estimated or gave any evidence.
    """
    root, names = images_of(src)
    if isinstance(estimator, IsdMaps):
        names = estimator.without_maps(names)
    worker_count(workers, len(names))
    images: dict[str, Estimate] = {}
    failed: dict[str, str] = {}
    if progress is not None:
        progress(0, len(names))
    for done, (name, result) in enumerate(each(partial(_estimate, root, estimator, transfer), names, workers), start=1):
        if isinstance(result, Exception):
            reason = " ".join(str(result).split()) or type(result).__name__
            failed[name.as_posix()] = reason.removeprefix(f"{root / name}: ").removeprefix(f"{name}: ")
        else:
            images[name.as_posix()] = result
        if progress is not None:
            progress(done, len(names))
    images, failed = dict(sorted(images.items())), dict(sorted(failed.items()))  # workers finish in any order
    if not images:
        first, reason = next(iter(failed.items()))
        raise InputError(f"{src}: no image could be estimated; {first}: {reason}")
    isd, confidence = combine([*images.values()], src)
    return DatasetEstimate(isd, confidence, estimator.name, images, failed)


def images_of(src: Path) -> tuple[Path, list[Path]]:
    """Return the folder and the images relative to it; `src` may be a single image."""
    return (src.parent, [Path(src.name)]) if src.is_file() else (src, folders.find_images(src))


def combine(estimates: list[Estimate], src: Path) -> tuple[Vectors, float]:
    """Combine images' directions by their weighted median, weighted by confidence; see `DatasetEstimate`.

    Args:
        estimates: at least one.
        src: named where none of them has evidence.

    Raises:
        InputError: if all confidences are 0.
    """
    directions = np.array([estimate.mean for estimate in estimates])
    weights = np.array([estimate.confidence for estimate in estimates])
    if not weights.any():
        raise InputError(
            f"{src}: {estimates[0].method} found no evidence of an illuminant direction in any image; are there shadows"
            " of the sun? try another method, or --method fixed --isd R,G,B"
        )
    isd, _ = robust_direction(directions, weights)
    agreeing = angles(directions, isd) < AGREE_DEGREES
    return isd, float((weights[agreeing] ** 2).sum() / weights.sum())


def write_isd(file: Path, estimate: DatasetEstimate, *, per_image: bool = False) -> int:
    """Write a direction as YAML, for `frostline chroma convert --isd FILE`; whole or not at all.

    Args:
        file: where to.
        estimate: what `estimate_folder` returns.
        per_image: also write the direction of every image whose confidence is at least `TRUSTED`.

    Returns:
        How many images have a direction of their own in the file.

    Raises:
        InputError: if two of these images have one stem, or the file cannot be written.
    """
    content: dict[str, object] = {
        "isd": _rounded(estimate.isd),
        "confidence": round(estimate.confidence, 4),
        "method": estimate.method,
    }
    own: dict[str, tuple[str, Estimate]] = {}
    for name, each_one in estimate.trusted.items() if per_image else ():
        stem = Path(name).stem
        if stem in own:
            raise InputError(f"{name} and {own[stem][0]}: directions are kept by file stem, and these have the same")
        own[stem] = (name, each_one)
    if per_image:
        content["images"] = {stem: _rounded(one.mean) for stem, (_, one) in own.items()}
        content["confidences"] = {stem: round(one.confidence, 4) for stem, (_, one) in own.items()}
    try:
        write_text(file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None))
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror or error})") from None
    return len(own)


def _estimate(root: Path, estimator: Estimator, transfer: Transfer, image: Path) -> Estimate:
    """Estimate one image, without the evidence, which would be large to send and keep; runs in a worker."""
    estimate = estimator.estimate(read_linear(root / image, transfer), image)
    return replace(estimate, isd=estimate.mean, evidence=None)


def _rounded(vector: Vectors) -> list[float]:
    return [round(float(component), 6) for component in vector]
