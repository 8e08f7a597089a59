"""Images to pretrain on: all found, hashed and decoded before anything trains, and those of more than 8 bits copied.

lightly-train reads 8 bits, fills truncated images with grey and leaves out what it cannot read. So every image is
decoded here first, and what lightly-train would read wrongly is given to it as an 8-bit PNG.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from frostline.datasets import PixelFormat, load_dataset, pixel_format
from frostline.datasets.exact import read_exact
from frostline.datasets.headers import stored_as
from frostline.datasets.pixel_format import given_format, told_format
from frostline.datasets.pixels import read_picture
from frostline.errors import InputError
from frostline.imaging import linear_to_srgb, write_png8
from frostline.imaging.folders import find_images
from frostline.imaging.srgb import FULL_SCALE
from frostline.training.threads import usable_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_TIFFS = (".tif", ".tiff")


@dataclass(frozen=True)
class ImageSet:
    """The images of a folder and their content.

    Attributes:
        root: the folder.
        paths: of the images, sorted.
        digests: SHA-256 of each file.
    """

    root: Path
    paths: tuple[Path, ...]
    digests: tuple[str, ...]

    @property
    def key(self) -> str:
        """Of the contents: the same for the same files under other names or in another folder."""
        return hashlib.sha256("\n".join(sorted(self.digests)).encode()).hexdigest()[:16]


def describe_formats(formats: dict[Path, PixelFormat], span: tuple[float, float] | None) -> tuple[str, ...]:
    """Say in words what is converted and how: a line for each pixel format, and one for the values found.

    Args:
        formats: from `pixel_formats`.
        span: from `check_readable`.
    """
    lines = [f"{count} {_in_words(pixels)}" for pixels, count in Counter(formats.values()).items()]
    if span is not None:
        lines.append(f"their values run from {span[0]:g} to {span[1]:g}; fine-tuning keeps all their bits")
        if span[1] < min(pixels.high for pixels in formats.values() if pixels.deep) / 4:
            lines.append(
                "warning: that is less than a quarter of the range: where it is the camera's, declare "
                "'pixels: {range: [LOW, HIGH]}' in a data.yaml, as training needs it too"
            )
    return tuple(lines)


def survey(root: str | Path, progress: Progress | None = None) -> ImageSet:
    """Find the images of a folder and hash their content.

    Args:
        root: searched with its sub-folders; in a dataset, the folders named `images` count.
        progress: called with (images hashed, images in all).

    Raises:
        InputError: the folder is missing or holds no images, or some cannot be opened.
    """
    root = Path(root)
    if root.is_file():
        raise InputError(f"{root}: expected a folder of images to pretrain on, not a file")
    paths = tuple(root / path for path in find_images(root, SUFFIXES))
    digests: list[str] = []
    failed: list[tuple[Path, str]] = []
    for done, (path, outcome) in enumerate(_each(_digest, paths), 1):
        if isinstance(outcome, Exception):
            failed.append((path, f"{path}: {outcome.strerror}" if isinstance(outcome, OSError) else str(outcome)))
        else:
            digests.append(outcome)
        if progress:
            progress(done, len(paths))
    _refuse(failed, len(paths), root)
    return ImageSet(root, paths, tuple(digests))


def pixel_formats(images: ImageSet, data: str | None = None) -> dict[Path, PixelFormat]:
    """Tell from the ends of the files which images lightly-train would misread, and what their values mean.

    Args:
        images: from `survey`.
        data: data.yaml whose `pixels:` counts for images of its type; for others, and without it, the range is that of
            the type, and the encoding what our converters left in the file, or else linear: as in training.

    Raises:
        InputError: some are empty, cut off, or of another type.
    """
    declared = pixel_format(load_dataset(data)) if data is not None else None
    found: dict[Path, PixelFormat] = {}
    failed: list[tuple[Path, str]] = []
    for path, outcome in _each(lambda path: _format(path, declared), images.paths):
        if isinstance(outcome, Exception):
            failed.append((path, str(outcome)))
        elif outcome is not None:
            found[path] = outcome
    _refuse(failed, len(images.paths), images.root)
    return found


def check_readable(
    images: ImageSet, formats: dict[Path, PixelFormat], progress: Progress | None = None
) -> tuple[float, float] | None:
    """Decode every image whole.

    Args:
        images: from `survey`.
        formats: from `pixel_formats`.
        progress: called with (images decoded, images in all).

    Returns:
        The lowest and the highest value in images of more than 8 bits; None where there are none.

    Raises:
        InputError: some cannot be read, hold values outside their range, or are not of one or three channels.
    """
    failed: list[tuple[Path, str]] = []
    spans: list[tuple[float, float]] = []
    for done, (path, outcome) in enumerate(_each(lambda path: _span(path, formats.get(path)), images.paths), 1):
        if isinstance(outcome, Exception):
            failed.append((path, str(outcome)))
        elif outcome is not None:
            spans.append(outcome)
        if progress:
            progress(done, len(images.paths))
    _refuse(failed, len(images.paths), images.root)
    return (min(low for low, _ in spans), max(high for _, high in spans)) if spans else None


def copy_deep(
    images: ImageSet, formats: dict[Path, PixelFormat], folder: Path, progress: Progress | None = None
) -> list[Path]:
    """Write the 8-bit copies, and return what lightly-train is to read: copies, and the other images themselves.

    Args:
        images: from `survey`.
        formats: from `pixel_formats`.
        folder: of the copies, PNG files named by content.
        progress: called with (copies written, copies in all).
    """
    names = {path: folder / f"{digest[:32]}.png" for path, digest in zip(images.paths, images.digests, strict=True)}

    def write(path: Path) -> None:
        pixels = formats[path]
        write_png8(names[path], to_eight_bits(read_exact(path, pixels)[..., ::-1], pixels))

    for done, (_, outcome) in enumerate(_each(write, list(formats)), 1):
        if isinstance(outcome, Exception):
            raise outcome
        if progress:
            progress(done, len(formats))
    return [names[path] if path in formats else path.absolute() for path in images.paths]


def to_eight_bits(image: NDArray[Any], pixels: PixelFormat) -> NDArray[np.uint8]:
    """Bring values into 8 bits by one curve for the whole dataset, so that brightness still compares between images.

    `linear` values pass through the transfer curve of sRGB (IEC 61966-2-1), as 8-bit pictures have; `srgb` values and
    logarithms are scaled evenly over the range.

    Args:
        image: any shape; of the format's type, within its range.
        pixels: what the values mean.

    Returns:
        The same shape; 0 is `low` and 255 is `high`.
    """
    if pixels.kind == "uint8":
        return np.ascontiguousarray(image, dtype=np.uint8)
    if pixels.kind == "uint16":
        return np.take(_curve(np.arange(65536), pixels), image)
    return _curve(image, pixels)


def _curve(values: NDArray[Any], pixels: PixelFormat) -> NDArray[np.uint8]:
    share = np.clip((values.astype(np.float64) - pixels.low) / (pixels.high - pixels.low), 0, 1)
    if pixels.encoding == "linear":
        return np.asarray(linear_to_srgb(share * FULL_SCALE), dtype=np.uint8)
    return np.rint(share * 255).astype(np.uint8)


def _format(path: Path, declared: PixelFormat | None) -> PixelFormat | None:
    """Return the format of an image that needs a copy, None for one that lightly-train reads as it is."""
    stored = stored_as(path)
    if stored.kind == "uint8":  # Pillow does not read every TIFF that is read here
        return PixelFormat("uint8", 0.0, 255.0, "srgb") if path.suffix.lower() in _TIFFS else None
    if declared is not None and declared.kind == stored.kind:
        return declared
    return given_format(stored, told_format(path), str(path))


def _span(path: Path, pixels: PixelFormat | None) -> tuple[float, float] | None:
    """Decode an image; return its extremes if it has more than 8 bits."""
    if pixels is None:
        read_picture(path)
        return None
    image = read_exact(path, pixels)
    return (float(image.min()), float(image.max())) if pixels.deep else None


def _in_words(pixels: PixelFormat) -> str:
    if not pixels.deep:
        return "8-bit TIFFs are copied to PNG for pretraining, value for value"
    light = {
        "linear": "linear light, through the sRGB curve",
        "srgb": "sRGB encoded, scaled evenly",
        "log": "logarithms, scaled evenly",
    }[pixels.encoding]
    return (
        f"{pixels.kind} images are copied to 8-bit PNG for pretraining ({light}): {pixels.low:g} becomes 0 and "
        f"{pixels.high:g} becomes 255"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _slowly(stream)


def _slowly(stream: Any) -> str:
    """Hash a file on Python 3.10, which has no `file_digest`."""
    digest = hashlib.sha256()
    while block := stream.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def _each(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result | Exception]]:
    """Do it for every item, in order, in threads: decoders and hashes let go of the interpreter."""

    def attempt(item: Item) -> Result | Exception:
        try:
            return work(item)
        except (InputError, OSError) as error:
            return error

    with ThreadPoolExecutor(usable_cpus()) as pool:
        try:
            yield from zip(items, pool.map(attempt, items), strict=True)
        except BaseException:  # Ctrl-C must not wait for all that is queued
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _refuse(failed: Iterable[tuple[Path, str]], count: int, root: Path) -> None:
    """Name the images that cannot be used, the first three of them."""
    failed = list(failed)
    if not failed:
        return
    names = ", ".join(str(path.relative_to(root)) for path, _ in failed[:3])
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    reason = failed[0][1].removeprefix(f"{failed[0][0]}: ")
    raise InputError(
        f"{root}: {len(failed)} of {count} images cannot be read: {names}{more} (the first: {reason}); "
        "mend them or take them out"
    )
