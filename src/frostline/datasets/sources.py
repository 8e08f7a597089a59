"""Where the light of a dataset is: the images that it was converted from, and shadow masks of them.

A log-chromaticity image has no illumination left in it. Its conversion wrote `chroma.json`, which names each image's
source below the source folder, and that folder as seen from itself.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from frostline.datasets.dataset import Dataset
from frostline.datasets.pixel_format import pixel_format
from frostline.errors import InputError
from frostline.imaging import IMAGE_SUFFIXES, manifest, tiff_metadata
from frostline.imaging.folders import files_below
from frostline.imaging.manifest import Manifest, Source

SCENES = "scenes.json"
MASKS = "masks"


@dataclass(frozen=True)
class LightSource:
    """One validation image, and where its light is.

    Attributes:
        name: path below the folder that all validation images share, without suffix: by it datasets pair.
        image: the image that is validated on.
        source: the image that still has its illumination; None if it is not known, and only a mask is.
        mask: 255 in full shadow, 0 in full sun; None if there is none.
        record: of the conversion; None where the image is its own source, or no `chroma.json` tells.
    """

    name: str
    image: Path
    source: Path | None
    mask: Path | None
    record: Source | None = None


@dataclass(frozen=True)
class LightSources:
    """The sources of a dataset's validation images.

    Attributes:
        dataset: the dataset.
        images: of its validation split, in its order.
        converted: how it was made: the manifest of its conversion; None where it was not converted, or nothing tells.
        root: folder that the manifest's sources are relative to; None where the images are their own sources.
        own: whether the images are their own sources, as those that were not converted are.
    """

    dataset: Dataset
    images: list[LightSource]
    converted: Manifest | None = None
    root: Path | None = None
    own: bool = False
    faults: list[str] = field(default_factory=list)
    """Why shadows cast on these sources would not be shadows on this dataset; empty where they would."""

    @property
    def method(self) -> str:
        """`mask` where every image has one, else `estimate`."""
        return "mask" if all(image.mask is not None for image in self.images) else "estimate"


def find_sources(dataset: Dataset, source: Path | None = None, masks: Path | None = None) -> LightSources:
    """Find source and mask of every validation image.

    Args:
        dataset: what `load_dataset` gives.
        source: folder of linear or sRGB images that a converted dataset came from; None to go by its `chroma.json`. A
            dataset that was not converted is its own source.
        masks: folder of shadow masks, found by the images' names; None takes those that `data scenes` rendered beside
            the source, and no others, as a folder `masks` may hold anything.

    Raises:
        InputError: an image without a source and without a mask; it says how to give them. Also a folder that is
            missing, or names that fit several files.
    """
    for option, folder in (("--source", source), ("--masks", masks)):
        if folder is not None and not folder.is_dir():
            raise InputError(f"{option} {folder}: no such folder")
    root = dataset.yaml.parent
    converted = manifest.load(root)
    if converted is None and not _is_chroma(dataset):
        return _own(dataset, masks)
    folder = source or _recorded_folder(root, converted)
    if folder is None and masks is None:
        raise InputError(
            f"{dataset.yaml}: is log-chromaticity, which has no light left, and the images it came from are not found;"
            " give their folder with --source, or shadow masks with --masks"
        )
    of_images = _records(dataset, root, converted)
    found_masks = _Masks.below(masks) if masks else _Masks.of_scenes(folder)
    by_stem = _by_stem(folder) if folder is not None else {}
    images, faults = [], []
    for name, image in _names(dataset).items():
        record = of_images.get(image)
        place = PurePosixPath(record.source) if record else PurePosixPath(image.as_posix())
        path = _source_of(place, folder, by_stem)
        mask = found_masks.of(place)
        if masks is not None and mask is None:
            raise _no_mask(masks, image)
        if path is None and mask is None:
            where = f"{folder}: no image" if folder is not None else f"{masks}: no mask"
            raise InputError(
                f"{where} for {image.name} of {dataset.yaml}; give another folder with --source or --masks"
            )
        if path is not None and record is not None and path.stat().st_size != record.size_bytes:
            faults.append(f"{path}: not the file that {image.name} was converted from (its size differs)")
        elif path is None or record is None:
            faults.append(f"{image.name}: {manifest.NAME} does not say how it was converted")
        images.append(LightSource(name, image, path, mask, record))
    return LightSources(dataset, images, converted, folder, faults=faults)


def _own(dataset: Dataset, masks: Path | None) -> LightSources:
    found = _Masks.below(masks) if masks else _Masks.of_scenes(dataset.yaml.parent)
    images = []
    for name, image in _names(dataset).items():
        mask = found.of(PurePosixPath(image.as_posix()))
        if masks is not None and mask is None:
            raise _no_mask(masks, image)
        images.append(LightSource(name, image, image, mask))
    return LightSources(dataset, images, own=True)


def _no_mask(masks: Path, image: Path) -> InputError:
    return InputError(f"--masks {masks}: no mask for {image.name}; masks are PNG files with their images' names")


def _is_chroma(dataset: Dataset) -> bool:
    """Say whether images are log-chromaticity though no `chroma.json` lies beside data.yaml."""
    return pixel_format(dataset).encoding == "log" or "encode" in tiff_metadata(dataset.val[0])


def _recorded_folder(root: Path, converted: Manifest | None) -> Path | None:
    recorded = converted.source_folder if converted is not None else None
    folder = Path(os.path.normpath(root / recorded)) if recorded else None
    return folder if folder is not None and folder.is_dir() else None


def _records(dataset: Dataset, root: Path, converted: Manifest | None) -> dict[Path, Source]:
    known = {(root / name).resolve(): record for name, record in (converted.images if converted else {}).items()}
    return {image: known[image.resolve()] for image in dataset.val if image.resolve() in known}


def _source_of(place: PurePosixPath, folder: Path | None, by_stem: dict[str, list[Path]]) -> Path | None:
    if folder is None:
        return None
    # An absolute place is that of an image without a record, which is not its own source.
    exact = folder / place
    return exact if not place.is_absolute() and exact.is_file() else _single(by_stem.get(place.stem, []), place, folder)


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in files_below(folder):
        if path.suffix.lower() in IMAGE_SUFFIXES and MASKS not in path.parts[:-1]:
            found.setdefault(path.stem, []).append(folder / path)
    return found


def _single(paths: list[Path], where: PurePosixPath, folder: Path) -> Path | None:
    """Choose among files with an image's stem the one whose folders are most like the image's."""

    def likeness(path: Path) -> int:
        mine, theirs = (
            [part for part in reversed(one.parent.parts) if part not in ("images", MASKS)] for one in (where, path)
        )
        same = [a == b for a, b in zip(mine, theirs, strict=False)]
        return same.index(False) if False in same else len(same)

    best = max(map(likeness, paths), default=0)
    nearest = [path for path in paths if likeness(path) == best]
    if len(nearest) > 1:
        raise InputError(f"{folder}: {nearest[0].name} is there several times; give a folder where it is once")
    return nearest[0] if nearest else None


def _names(dataset: Dataset) -> dict[str, Path]:
    """Name each validation image as its predictions do, without suffix."""
    shared = Path(os.path.commonpath([str(image.parent) for image in dataset.val]))
    names = {image: image.relative_to(shared).with_suffix("").as_posix() for image in dataset.val}
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        raise InputError(
            f"{dataset.yaml}: two validation images are called {twice[0]}, but for their suffix; rename one"
        )
    return {name: image for image, name in names.items()}


@dataclass(frozen=True)
class _Masks:
    folder: Path | None
    by_stem: dict[str, list[Path]]

    @classmethod
    def below(cls, folder: Path) -> _Masks:
        found: dict[str, list[Path]] = {}
        for path in files_below(folder):
            if path.suffix.lower() in (".png", ".tif", ".tiff"):
                found.setdefault(path.stem, []).append(folder / path)
        return cls(folder, found)

    @classmethod
    def of_scenes(cls, root: Path | None) -> _Masks:
        """Take the masks that were rendered with scenes: `masks` beside the folder of their images."""
        if root is not None and (root.parent / SCENES).is_file() and (root.parent / MASKS).is_dir():
            return cls.below(root.parent / MASKS)
        return cls(None, {})

    def of(self, place: PurePosixPath) -> Path | None:
        return None if self.folder is None else _single(self.by_stem.get(place.stem, []), place, self.folder)
