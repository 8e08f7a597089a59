"""The stressed copy of a dataset's validation split: shadows cast on its sources, then converted as the dataset was."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from frostline.datasets import label_path, load_dataset, pixel_format
from frostline.datasets.sources import LightSource, LightSources
from frostline.errors import InputError
from frostline.files import write_text
from frostline.imaging import IsdMaps, IsdTable, cast_folder, convert_folder, manifest
from frostline.imaging.shadowfolder import RECORD, mask_of
from frostline.imaging.shadows import Strength

Progress = Callable[[str, int, int], None]
"""Told of what is done: the step in words, how much of it is done, and how much there is."""

_VAL = "images/val"
_NO_STRESS = "; --no-stress leaves the stress test out"


@dataclass(frozen=True)
class Shadows:
    """The shadows to cast.

    Attributes:
        strength: `light`, `moderate` or `heavy`.
        count: shadows an image.
        seed: with an image's name it decides its shadows.
    """

    strength: Strength = "moderate"
    count: int = 2
    seed: int = 0


@dataclass(frozen=True)
class StressedData:
    """A stressed dataset.

    Attributes:
        data: its data.yaml; both splits are the stressed validation images.
        masks: mask of the new shadows by the image's name, as `LightSource.name`.
        signature: of all images and parameters: another one means other pixels.
    """

    data: Path
    masks: dict[str, Path] = field(repr=False)
    signature: str


def make_stressed(
    sources: LightSources,
    folder: Path,
    shadows: Shadows,
    *,
    workers: int | None = None,
    advance: Progress = lambda *_: None,
) -> StressedData:
    """Cast shadows on the sources of a dataset's validation images, and convert them as the dataset was.

    An image's shadows depend on the seed and its name alone, so that datasets that pair by name get the same ones. What
    is there already, from the same files with the same parameters, is left as it is.

    Args:
        sources: of the dataset.
        folder: where to: `source/` links to the sources, `cast/` has shadows on them and masks, `data/` is converted.
        shadows: to cast.
        workers: processes; None for one a core.
        advance: see `Progress`.

    Raises:
        InputError: if the sources are not those that the dataset was converted from, or an image cannot be read.
    """
    if sources.faults:
        raise InputError(f"{sources.faults[0]}{_NO_STRESS}")
    source, cast, data = folder / "source", folder / "cast", folder / "data"
    names = _link(sources, source)
    summary = cast_folder(
        source, cast, shadows.count, shadows.strength, shadows.seed, workers=workers,
        progress=lambda done, total: advance("casting shadows", done, total),
    )  # fmt: skip
    if summary.failed:
        raise InputError(f"{summary.failed[0][0]}: no shadow can be cast on it: {summary.failed[0][1]}{_NO_STRESS}")
    masks = {image.name: mask_of(cast, names[image.name]) for image in sources.images}
    without = [name for name, mask in masks.items() if not mask.is_file()]
    if without:
        raise InputError(f"{source / names[without[0]]}: not an image that shadows can be cast on{_NO_STRESS}")
    if sources.converted is not None:
        _convert(sources, cast, data, workers, advance)
    made = cast if sources.converted is None else data
    stressed = load_dataset(made / "data.yaml")
    if pixel_format(stressed).scale != pixel_format(sources.dataset).scale:
        raise InputError(
            f"{sources.dataset.yaml}: its pixels are not what its conversion would write today{_NO_STRESS}"
        )
    parts = [cast / RECORD] + ([data / manifest.NAME] if sources.converted is not None else [])
    labels = [file for image in stressed.val if (file := label_path(image)).is_file()]
    digest = hashlib.sha256(b"\0".join(part.read_bytes() for part in [*parts, *labels])).hexdigest()
    return StressedData(stressed.yaml, masks, digest)


def _link(sources: LightSources, folder: Path) -> dict[str, str]:
    """Make a dataset of the validation images' sources, under the names of the images, and return those names."""
    if folder.exists():  # links and labels alone, made anew as images may have come or gone
        shutil.rmtree(folder)
    names = {}
    for image in sources.images:
        assert image.source is not None
        name = f"{_VAL}/{image.name}{image.source.suffix}"
        _link_file(image.source, folder / name)
        label = label_path(image.image)
        if label.is_file():
            target = folder / f"labels/val/{image.name}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(label, target)
        names[image.name] = name
    content = {"train": _VAL, "val": _VAL, "names": dict(sources.dataset.names)}
    if sources.own and sources.dataset.pixels:
        content["pixels"] = sources.dataset.pixels
    write_text(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return names


def _link_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(source.absolute())
    except OSError:  # Windows without the right to make links
        shutil.copy2(source, target)


def _convert(sources: LightSources, cast: Path, data: Path, workers: int | None, advance: Progress) -> None:
    assert sources.converted is not None
    known = sources.converted.parameters
    summary = convert_folder(
        cast, data, _directions(sources, cast), known["anchor"], known["encode"], bits=known["bits"],
        transfer=known["transfer"], mask_saturated=known.get("mask_saturated", False), workers=workers,
        progress=lambda done, total: advance("converting", done, total),
    )  # fmt: skip
    if summary.failed:
        raise InputError(f"{summary.failed[0].image}: cannot be converted: {summary.failed[0].reason}{_NO_STRESS}")


def _directions(sources: LightSources, cast: Path) -> IsdTable | IsdMaps:
    """Give each image the direction or the map that it was converted with."""
    assert sources.converted is not None and sources.root is not None
    maps = sources.converted.parameters.get("isd_maps")
    if maps is not None:
        return _maps(sources, cast.parent / "maps", sources.root / maps["folder"], str(maps["suffix"]), cast)
    directions: dict[str, tuple[float, float, float]] = {}
    for image in sources.images:
        assert image.record is not None and image.record.isd is not None
        stem = Path(image.name).name
        if directions.setdefault(stem, image.record.isd) != image.record.isd:
            raise InputError(
                f"two validation images are called {stem} and have other directions; rename one{_NO_STRESS}"
            )
    return IsdTable(sources.converted.parameters["isd"], directions)


def _maps(sources: LightSources, folder: Path, theirs: Path, suffix: str, cast: Path) -> IsdMaps:
    if folder.exists():
        shutil.rmtree(folder)
    for image in sources.images:
        file = theirs / _map_of(image)
        if not file.is_file():
            raise InputError(f"{file}: no such ISD map, with which {image.image.name} was converted{_NO_STRESS}")
        _link_file(file, folder / f"{_VAL}/{image.name}{suffix}")
    return IsdMaps(cast, folder, suffix)


def _map_of(image: LightSource) -> str:
    assert image.record is not None and image.record.isd_map is not None
    return str(image.record.isd_map["file"])
