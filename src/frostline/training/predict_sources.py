"""What is predicted on: images found and named, read in the format they have, and handed over in batches."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from ultralytics.utils.patches import imread

from frostline.datasets import Dataset, PixelFormat, load_dataset
from frostline.datasets.dataset import IMAGE_SUFFIXES
from frostline.datasets.exact import read_exact
from frostline.datasets.headers import StoredAs, stored_as
from frostline.datasets.pixel_format import given_format, told_format
from frostline.errors import InputError, did_you_mean
from frostline.imaging.batch import reason
from frostline.imaging.folders import find_images
from frostline.training.threads import usable_cpus

Batch = tuple[list[str], list[NDArray[Any]], list[PixelFormat]]
_Read = tuple[NDArray[Any], PixelFormat]


@dataclass(frozen=True)
class Source:
    """An image to predict on.

    Attributes:
        path: its file.
        name: of what is written for it, with `/` and without suffix; no other source has the same.
    """

    path: Path
    name: str


def is_data_yaml(path: Path) -> bool:
    """Tell a data.yaml from an image or a folder, by its suffix."""
    return path.suffix.lower() in {".yaml", ".yml"} and not path.is_dir()


def dataset_sources(data: str | Path, split: str) -> tuple[Dataset, list[Source]]:
    """List the images of a dataset's split.

    Raises:
        InputError: see `load_dataset`; or there is no such split.
    """
    dataset = load_dataset(data)
    if split not in dataset.splits:
        known = ", ".join(dataset.splits)
        raise InputError(f"{dataset.yaml}: has no split '{split}', only {known}{did_you_mean(split, dataset.splits)}")
    images = dataset.splits[split]
    root = Path(os.path.commonpath([image.parent for image in images]))
    return dataset, named([(image, image.relative_to(root)) for image in images])


def find_sources(images: Sequence[str | Path]) -> list[Source]:
    """List images and the images of folders, with their sub-folders; what is named twice counts once.

    Args:
        images: files and folders.

    Raises:
        InputError: one does not exist, is no image, or is a folder without images.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for path in map(Path, images):
        if path.is_dir():
            pairs = [(path / inner, inner) for inner in find_images(path, IMAGE_SUFFIXES)]
        elif not path.is_file():
            raise InputError(f"{path}: no such image or folder")
        elif path.suffix.lower() not in IMAGE_SUFFIXES:
            kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
            raise InputError(f"{path}: not an image that is read here ({kinds}), nor a folder or a data.yaml")
        else:
            pairs = [(path, Path(path.name))]
        for file, inner in pairs:
            found.setdefault(file.absolute(), (file, inner))
    if not found:
        raise InputError("no images were given")
    return named(list(found.values()))


def named(images: Sequence[tuple[Path, Path]]) -> list[Source]:
    """Give every image a name of its own, by its path in its folder.

    That path without its suffix is the name. Where several images share it, as `a.png` and `a.tif` do, all keep their
    suffix; what is still the same gets a number. Case does not tell names apart, as it does not on every disk.

    Args:
        images: each file with its path relative to the folder it was found in.
    """
    stems = Counter(inner.with_suffix("").as_posix().casefold() for _, inner in images)
    taken: set[str] = set()
    sources = []
    for path, inner in images:
        stem = inner.with_suffix("").as_posix()
        base = stem if stems[stem.casefold()] == 1 else inner.as_posix()
        name, number = base, 1
        while name.casefold() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.casefold())
        sources.append(Source(path, name))
    return sources


@dataclass(frozen=True)
class KnownFormats:
    """What is known of pixel formats before an image is opened.

    Attributes:
        declared: of the dataset whose data.yaml was given, with that file; every image must have it.
        trained: what the model was trained on; images of the same type are taken in its range.
    """

    declared: tuple[PixelFormat, Path] | None = None
    trained: PixelFormat | None = None

    def of(self, path: Path, stored: StoredAs) -> PixelFormat:
        """Tell the format of an image: as declared, else as trained on, else by its metadata and type.

        Raises:
            InputError: it has another type than was declared.
        """
        if self.declared is not None and self.declared[0].kind != stored.kind:
            pixels, yaml = self.declared
            raise InputError(f"{path}: holds {stored.kind} values, not {pixels.kind} like the images of {yaml}")
        if stored.kind == "uint8":
            return PixelFormat("uint8", 0.0, 255.0, "srgb", exact=not stored.by_opencv)
        if self.declared is not None:
            return self.declared[0]
        told = told_format(path)
        own = given_format(stored, told, str(path))
        if self.trained is None or self.trained.kind != stored.kind:
            return own
        # The range is the network's; how light is encoded in the file, the file knows best.
        return replace(self.trained, encoding=own.encoding, log_range=own.log_range) if told else self.trained


@dataclass
class ImageLoader:
    """Images for a predictor of Ultralytics, read ahead by threads.

    A batch holds images of one shape and format, so that each is padded as it would be alone: how many are taken at
    once changes the speed and not the result.

    Attributes:
        sources: the images.
        known: of their formats.
        batch: images a batch, at most.
        failed: images that could not be read, with the reason; grows while batches are taken.
    """

    sources: Sequence[Source]
    known: KnownFormats
    batch: int = 1
    failed: list[tuple[Path, str]] = field(default_factory=list)
    mode: str = "image"

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Batch]:
        """Give batches of file names, images (H, W, 3) in the order blue, green, red, and their formats."""
        paths: list[str] = []
        images: list[NDArray[Any]] = []
        formats: list[PixelFormat] = []
        for path, outcome in self._read_ahead():
            if isinstance(outcome, Exception):
                self.failed.append((path, reason(path, outcome)))
                continue
            image, pixels = outcome
            if paths and (len(paths) == self.batch or image.shape != images[0].shape or pixels != formats[0]):
                yield paths, images, formats
                paths, images, formats = [], [], []
            paths.append(str(path))
            images.append(image)
            formats.append(pixels)
        if paths:
            yield paths, images, formats

    def _read_ahead(self) -> Iterator[tuple[Path, _Read | Exception]]:
        threads = usable_cpus()
        rest = iter(self.sources)
        waiting: deque[tuple[Path, Future[_Read | Exception]]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                while True:
                    for source in islice(rest, self.batch + threads - len(waiting)):
                        waiting.append((source.path, pool.submit(self._attempt, source.path)))
                    if not waiting:
                        return
                    path, future = waiting.popleft()
                    yield path, future.result()
            finally:
                for _, future in waiting:
                    future.cancel()

    def _attempt(self, path: Path) -> _Read | Exception:
        try:
            return self.read(path)
        except Exception as error:  # a decoder's own: whatever it is, the other images go on
            return error

    def read(self, path: Path) -> _Read:
        """Read an image: as plain Ultralytics does where it has 8 bits that OpenCV reads, else with every bit.

        Returns:
            (H, W, 3) in the order blue, green, red, and its format.

        Raises:
            InputError: it cannot be used.
        """
        stored = stored_as(path)
        pixels = self.known.of(path, stored)
        if pixels.exact:
            return read_exact(path, pixels), pixels
        image = imread(str(path))
        if image is None:
            raise InputError(f"{path}: cannot be read as an image, truncated or corrupt")
        return image, pixels
